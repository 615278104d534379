/* SPDX-License-Identifier: Apache-2.0
 * Private to the writer: the graph as one wire message (model.c), which save.c brings to a file. */
#ifndef QCC_ONNX_WRITE_H
#define QCC_ONNX_WRITE_H

#include "frontends/onnx/proto.h"
#include "ir/ir.h"

typedef struct qcc_onnx_piece { /* a tensor that goes to the data file */
  const void *at;
  size_t n;
  uint64_t offset;
} qcc_onnx_piece;

typedef struct qcc_onnx_writer {
  qcc_context *cx;
  const qcc_graph *root;
  qcc_wire wire;
  QCC_VEC(size_t) raws;  /* slots of the wire that are payloads of raw_data */
  const char *data_name; /* NULL: everything in the model file */
  size_t threshold;      /* bytes from which a tensor goes outside */
  QCC_VEC(qcc_onnx_piece) pieces;
  uint64_t data_size;
} qcc_onnx_writer;

/* Fill w->wire from w->root; callable again after qcc_onnx_reset. */
qcc_status qcc_onnx_build(qcc_onnx_writer *w) QCC_MUST_USE;
void qcc_onnx_reset(qcc_onnx_writer *w);

#endif
