/* SPDX-License-Identifier: Apache-2.0
 * Private to the reader: short names of the generated messages, and the state of one import that its files share. */
#ifndef QCC_ONNX_PB_H
#define QCC_ONNX_PB_H

#include "frontends/onnx/onnx.pb-c.h"
#include "frontends/onnx/proto.h"
#include "ir/ir.h"
#include "ir/support/map.h"

typedef Qcc__Onnx__ModelProto pb_model;
typedef Qcc__Onnx__GraphProto pb_graph;
typedef Qcc__Onnx__NodeProto pb_node;
typedef Qcc__Onnx__AttributeProto pb_attr;
typedef Qcc__Onnx__TensorProto pb_tensor;
typedef Qcc__Onnx__SparseTensorProto pb_sparse;
typedef Qcc__Onnx__ValueInfoProto pb_value;
typedef Qcc__Onnx__TypeProto pb_type;
typedef Qcc__Onnx__FunctionProto pb_function;
typedef Qcc__Onnx__OperatorSetIdProto pb_opset;
typedef Qcc__Onnx__StringStringEntryProto pb_entry;

/* A file in memory and its parsed message. raw_data fields hold qcc_pb_ref into `bytes`. */
typedef struct qcc_pb_file {
  qcc_context *cx;
  const char *name; /* for messages */
  qcc_buf *bytes;
  qcc_arena arena; /* the message, and what the import needs while it runs */
  bool failed;     /* an allocation of the parser failed */
} qcc_pb_file;

/* file.c */
qcc_status qcc_pb_open(qcc_pb_file *f, qcc_context *cx, const char *path) QCC_MUST_USE;
/* Scan and parse; the message lives in f->arena. */
qcc_status qcc_pb_parse(qcc_pb_file *f, qcc_pb_root root, ProtobufCMessage **out) QCC_MUST_USE;
void qcc_pb_close(qcc_pb_file *f);
const char *qcc_pb_sniff(const uint8_t *bytes, size_t n); /* name of another format that the bytes look like; NULL: none */

/* A name in a scope: a value, or an alias for `name` in `scope`, or neither: an argument that was left out. */
typedef struct qcc_binding {
  qcc_value *value;
  struct qcc_scope *scope;
  const char *name;
} qcc_binding;

typedef struct qcc_scope {
  struct qcc_scope *outer; /* of the enclosing graph; NULL: root graph, or body of a function */
  struct qcc_call *call;   /* the call whose body this belongs to; NULL: none */
  qcc_graph *graph;        /* where the nodes go */
  qcc_map names;           /* interned name -> qcc_binding */
  struct qcc_scope *next;  /* all scopes, to free them */
} qcc_scope;

/* One call of a local function that is being inlined. */
typedef struct qcc_call {
  struct qcc_call *up;
  const struct qcc_function *function;
  const pb_node *node;
  qcc_scope *caller, *scope;
  const char *prefix; /* of the names of inner nodes and values */
} qcc_call;

typedef struct qcc_function {
  const pb_function *pb;
  const char *key;   /* interned domain, name, overload */
  uint64_t expanded; /* nodes after inlining; 0: not counted yet */
  bool open;         /* being counted: a call now is a recursion */
} qcc_function;

typedef struct qcc_made { /* a node whose inputs and attributes are still to be set */
  qcc_node *node;
  const pb_node *pb;
  qcc_scope *scope;
} qcc_made;

typedef struct qcc_later { /* a subgraph still to be imported */
  qcc_graph *graph;
  const pb_graph *pb;
  qcc_scope *outer;
} qcc_later;

typedef struct qcc_data_file {
  const char *location; /* interned */
  void *handle;
  uint64_t size;
  uint64_t used; /* sum of all reads: bounds what overlapping tensors can ask for */
  bool hashed;
  uint8_t digest[20]; /* SHA-1 of the whole file, when hashed */
} qcc_data_file;

enum { QCC_DATA_FILES = 8 };

typedef struct qcc_import {
  qcc_context *cx;
  qcc_pb_file *file;
  const char *base; /* folder of external data; NULL: none allowed */
  qcc_graph *root;
  const pb_model *model;
  qcc_function *functions;
  size_t function_count;
  qcc_map function_index; /* key -> qcc_function */
  qcc_map warned;         /* interned operator types that were told to be unknown */
  qcc_scope *scopes;
  QCC_VEC(qcc_made) made;
  QCC_VEC(qcc_later) later;
  uint64_t node_count;
  QCC_VEC(qcc_graph *) unsorted;
  qcc_data_file data[QCC_DATA_FILES];
  uint32_t data_next;
} qcc_import;

static inline const char *qcc_pb_str(const char *s) { return s ? s : ""; }
static inline bool qcc_pb_given(const char *s) { return s && *s; }

/* file.c: wire bytes of what is left of a message, in the graph's arena. */
qcc_status qcc_pb_keep(qcc_import *im, const ProtobufCMessage *m, qcc_extra *out) QCC_MUST_USE;

/* tensors.c. `where` names the tensor's place. */
qcc_status qcc_import_tensor(qcc_import *im, const pb_tensor *p, const qcc_loc *where, qcc_tensor *out) QCC_MUST_USE;
qcc_status qcc_import_sparse(qcc_import *im, const pb_sparse *p, const qcc_loc *where, qcc_tensor *out) QCC_MUST_USE;
/* What the IR does not model of a tensor. */
qcc_status qcc_import_tensor_rest(qcc_import *im, const pb_tensor *p, qcc_extra *out) QCC_MUST_USE;
/* The bytes that a stripped raw_data stands for; false when there is none. */
bool qcc_pb_raw(const qcc_pb_file *f, const pb_tensor *p, size_t *at, size_t *n);
void qcc_pb_unstrip(const qcc_pb_file *f, pb_tensor *p); /* make raw_data the real bytes again */

/* external.c */
qcc_status qcc_import_external(qcc_import *im, const pb_tensor *p, const qcc_loc *where, size_t bytes, qcc_buf **out) QCC_MUST_USE;
void qcc_import_close_data(qcc_import *im);

/* types.c: `*plain` tells whether the IR type says all there is. */
qcc_status qcc_import_type(qcc_import *im, const pb_type *p, const qcc_loc *where, qcc_type *out, bool *plain) QCC_MUST_USE;
qcc_status qcc_import_value_info(qcc_import *im, qcc_value *v, const pb_value *p) QCC_MUST_USE;

/* attrs.c */
qcc_status qcc_import_attrs(qcc_import *im, const qcc_made *made) QCC_MUST_USE;

/* functions.c */
qcc_status qcc_import_functions(qcc_import *im) QCC_MUST_USE;                                          /* table, counts, recursion */
qcc_status qcc_import_callee(const qcc_import *im, const pb_node *n, qcc_function **out) QCC_MUST_USE; /* *out NULL: not a call */
/* Resolve a reference to an attribute of the enclosing call. `*attr` NULL: not given; `*scope` becomes where it was written. */
qcc_status qcc_import_ref(qcc_import *im, const pb_attr **attr, qcc_scope **scope, const qcc_loc *where) QCC_MUST_USE;

/* import.c */
qcc_scope *qcc_import_scope(qcc_import *im, qcc_scope *outer, qcc_call *call, qcc_graph *g);
qcc_status qcc_import_bind(qcc_import *im, qcc_scope *s, const char *name, qcc_binding b) QCC_MUST_USE;
qcc_status qcc_import_nodes(qcc_import *im, qcc_scope *s, pb_node *const *nodes, size_t n) QCC_MUST_USE;
qcc_status qcc_import_call(qcc_import *im, qcc_scope *s, const qcc_function *f, const pb_node *n) QCC_MUST_USE; /* functions.c */
qcc_loc qcc_import_loc(const qcc_import *im, const pb_node *n);

#endif
