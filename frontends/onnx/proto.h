/* SPDX-License-Identifier: Apache-2.0
 * The wire format of ONNX files: field numbers, a writer that never copies weights, and the scan that a file must pass.
 * Shared by the reader (frontends/onnx) and the writer (backends/onnx); free of protobuf-c.
 *
 * Writer: small fields go into one buffer of bytes without message lengths; lengths and large payloads ("blobs", borrowed) are
 * slots at positions of that buffer. A length is known when its message is closed, so nothing is written twice. */
#ifndef QCC_ONNX_PROTO_H
#define QCC_ONNX_PROTO_H

#include "ir/support/context.h"
#include "ir/support/vec.h"

/* Field numbers, QCC_PB_<message>_<field>. A test compares them with onnx.proto. */
enum {
  QCC_PB_MODEL_IR_VERSION = 1,
  QCC_PB_MODEL_PRODUCER_NAME = 2,
  QCC_PB_MODEL_PRODUCER_VERSION = 3,
  QCC_PB_MODEL_DOMAIN = 4,
  QCC_PB_MODEL_MODEL_VERSION = 5,
  QCC_PB_MODEL_GRAPH = 7,
  QCC_PB_MODEL_OPSET_IMPORT = 8,
  QCC_PB_MODEL_METADATA_PROPS = 14,
  QCC_PB_OPSET_DOMAIN = 1,
  QCC_PB_OPSET_VERSION = 2,
  QCC_PB_ENTRY_KEY = 1,
  QCC_PB_ENTRY_VALUE = 2,
  QCC_PB_GRAPH_NODE = 1,
  QCC_PB_GRAPH_NAME = 2,
  QCC_PB_GRAPH_INITIALIZER = 5,
  QCC_PB_GRAPH_INPUT = 11,
  QCC_PB_GRAPH_OUTPUT = 12,
  QCC_PB_GRAPH_VALUE_INFO = 13,
  QCC_PB_NODE_INPUT = 1,
  QCC_PB_NODE_OUTPUT = 2,
  QCC_PB_NODE_NAME = 3,
  QCC_PB_NODE_OP_TYPE = 4,
  QCC_PB_NODE_ATTRIBUTE = 5,
  QCC_PB_NODE_DOMAIN = 7,
  QCC_PB_NODE_OVERLOAD = 8,
  QCC_PB_ATTR_NAME = 1,
  QCC_PB_ATTR_F = 2,
  QCC_PB_ATTR_I = 3,
  QCC_PB_ATTR_S = 4,
  QCC_PB_ATTR_T = 5,
  QCC_PB_ATTR_G = 6,
  QCC_PB_ATTR_FLOATS = 7,
  QCC_PB_ATTR_INTS = 8,
  QCC_PB_ATTR_STRINGS = 9,
  QCC_PB_ATTR_TENSORS = 10,
  QCC_PB_ATTR_GRAPHS = 11,
  QCC_PB_ATTR_TYPE = 20,
  QCC_PB_TENSOR_DIMS = 1,
  QCC_PB_TENSOR_DATA_TYPE = 2,
  QCC_PB_TENSOR_STRING_DATA = 6,
  QCC_PB_TENSOR_NAME = 8,
  QCC_PB_TENSOR_RAW_DATA = 9,
  QCC_PB_TENSOR_EXTERNAL_DATA = 13,
  QCC_PB_TENSOR_DATA_LOCATION = 14,
  QCC_PB_VALUE_NAME = 1,
  QCC_PB_VALUE_TYPE = 2,
  QCC_PB_TYPE_TENSOR = 1,
  QCC_PB_TENSOR_TYPE_ELEM = 1,
  QCC_PB_TENSOR_TYPE_SHAPE = 2,
  QCC_PB_SHAPE_DIM = 1,
  QCC_PB_DIM_VALUE = 1,
  QCC_PB_DIM_PARAM = 2
};

/* AttributeProto.type */
enum {
  QCC_PB_FLOAT = 1,
  QCC_PB_INT,
  QCC_PB_STRING,
  QCC_PB_TENSOR,
  QCC_PB_GRAPH,
  QCC_PB_FLOATS,
  QCC_PB_INTS,
  QCC_PB_STRINGS,
  QCC_PB_TENSORS,
  QCC_PB_GRAPHS,
  QCC_PB_SPARSE_TENSOR,
  QCC_PB_SPARSE_TENSORS,
  QCC_PB_TYPE_PROTO,
  QCC_PB_TYPE_PROTOS
};

/* ---- writer. Sticky on out of memory: emit freely, qcc_wire_emit tells. */
typedef struct qcc_wire_slot {
  size_t at;        /* position in `bytes` before which it stands */
  const void *blob; /* NULL: the length of a message */
  size_t n;         /* bytes of the blob, or the length */
} qcc_wire_slot;

typedef struct qcc_wire {
  qcc_context *cx;
  uint8_t *bytes;
  size_t n, cap;
  QCC_VEC(qcc_wire_slot) slots;
  size_t total; /* bytes that the file will have, lengths of open messages left out */
  bool failed;
} qcc_wire;

void qcc_wire_init(qcc_wire *w, qcc_context *cx);
void qcc_wire_free(qcc_wire *w);
void qcc_wire_s64(qcc_wire *w, uint32_t field, int64_t x); /* any integer field */
void qcc_wire_fixed32(qcc_wire *w, uint32_t field, uint32_t bits);
void qcc_wire_fixed64(qcc_wire *w, uint32_t field, uint64_t bits);
void qcc_wire_f32(qcc_wire *w, uint32_t field, float x);
void qcc_wire_str(qcc_wire *w, uint32_t field, const char *s); /* NULL writes nothing */
/* A string, bytes or packed field. Payloads from 256 bytes on are borrowed until the writer is freed. */
void qcc_wire_bytes(qcc_wire *w, uint32_t field, const void *bytes, size_t n);
void qcc_wire_fields(qcc_wire *w, const void *bytes, size_t n); /* whole fields as they stand; borrowed too */
size_t qcc_wire_open(qcc_wire *w, uint32_t field);              /* begin a message; give the result to close, innermost first */
void qcc_wire_close(qcc_wire *w, size_t token);
/* Hand out all bytes in order, in pieces of any size. Stops at the first failure. */
typedef qcc_status (*qcc_wire_sink)(void *user, const void *bytes, size_t n);
qcc_status qcc_wire_emit(const qcc_wire *w, qcc_wire_sink sink, void *user) QCC_MUST_USE;
/* All bytes in one block; free with qcc_free. */
qcc_status qcc_wire_flatten(const qcc_wire *w, uint8_t **out, size_t *n) QCC_MUST_USE;
unsigned qcc_wire_varint_size(uint64_t x);
unsigned qcc_wire_put_varint(uint8_t *to, uint64_t x); /* to >= 10 bytes */

/* ---- SHA-1, the checksum that the format names for external data; also the name of data files that we write. Not for security. */
typedef struct qcc_sha1 {
  uint32_t h[5];
  uint8_t block[64];
  uint64_t n;
} qcc_sha1;
void qcc_sha1_init(qcc_sha1 *s);
void qcc_sha1_add(qcc_sha1 *s, const void *bytes, size_t n);
void qcc_sha1_done(qcc_sha1 *s, uint8_t digest[20]);

/* ---- scan: one non-recursive walk that checks bounds, wire types, depth, UTF-8, doubled fields and the memory that parsing needs. */
typedef enum qcc_pb_root { QCC_PB_ROOT_MODEL, QCC_PB_ROOT_TENSOR } qcc_pb_root;

/* Bytes that are left out of the scanned buffer: the payload of a raw_data field (verification of a written file). */
typedef struct qcc_pb_hole {
  size_t at, n;
} qcc_pb_hole;

typedef struct qcc_pb_scan {
  qcc_context *cx;
  const char *file;     /* for messages */
  const uint8_t *bytes; /* without the holes */
  size_t n;             /* of the file, with the holes */
  const qcc_pb_hole *holes;
  size_t hole_count;
  qcc_pb_root root;
  qcc_wire *out;   /* may be NULL: gets the canonical message, every raw_data replaced by a qcc_pb_ref */
  uint64_t parsed; /* result: an upper bound of the memory of the parsed message */
} qcc_pb_scan;

typedef struct qcc_pb_ref {
  uint64_t at, n;
} qcc_pb_ref; /* where in the file the raw_data is */

/* QCC_INVALID, QCC_LIMIT or QCC_NOMEM; messages carry the byte offset and the path of fields. */
qcc_status qcc_pb_run_scan(qcc_pb_scan *s) QCC_MUST_USE;

#endif
