/* SPDX-License-Identifier: Apache-2.0
 * The part of rewrite-qdq for weights in blocks along K.
 *
 *   %wq = qcc.FakeQuant(%w){axis=0, block=32}           %wd = DequantizeLinear(%codes, %s[K/32,N], %z[K/32,N]){axis=0, block_size=32}
 *   %y  = MatMul(%x, %wq)                          =>   %y  = MatMul(%x, %wd)
 *
 * The weight of a transposed Gemm is turned round, because runtimes know blocks along the first axis only. With nbits=contrib a product
 * becomes com.microsoft.MatMulNBits at once (qdq_nbits.c), which older runtimes and opsets have. */
#include <string.h>

#include "passes/fakequant.h"
#include "passes/qdq.h"
#include "passes/rewrite.h"

typedef struct blocks { /* of a matrix: K runs along `q->axis` */
  qcc_graph *g;
  qcc_node *fq, *user; /* user NULL: not one product */
  const qcc_tensor *w;
  qcc_qparams q;
  int64_t k, n, count; /* blocks along K */
} blocks;

static qcc_status read(blocks *b, qcc_node *fq, const qcc_qparams *q) {
  const qcc_value *w = fq->in[0].value;
  *b = (blocks){.g = fq->graph, .fq = fq, .w = w->data, .q = *q};
  if (w->type.rank != 2 || q->axis < 0 || q->axis > 1) {
    qcc_loc loc = qcc_node_loc(fq);
    return qcc_error(b->g->cx, QCC_UNSUPPORTED, "U-203", &loc, "blocks of scales are written for matrices only");
  }
  b->k = w->type.dim[q->axis];
  b->n = w->type.dim[1 - q->axis];
  b->count = (b->k + q->block - 1) / q->block;
  b->user = qcc_nbits_product(fq->out[0], q->axis);
  return QCC_OK;
}

static int64_t at(const blocks *b, int64_t block, int64_t n) { return b->q.axis == 0 ? block * b->n + n : n * b->count + block; }

static qcc_value *add(const blocks *b, const char *what, qcc_tensor *t) {
  return qcc_add_const(b->g, qcc_internf(b->g->cx, "%s_%s", b->fq->in[0].value->name, what), t);
}

static bool make(qcc_tensor *t, const blocks *b, qcc_dtype dtype, int rank, const int64_t *dims) {
  const qcc_type type = qcc_type_of(dtype, rank, dims);
  if (qcc_tensor_new(t, b->g->cx, &type) == QCC_OK) return true;
  b->g->root->failed = true;
  return false;
}

/* ---- the standard form, [K, N] */
/* Weight and parameters with K first. */
static qcc_status turn(blocks *b) {
  qcc_tensor t;
  if (b->q.axis == 0) return QCC_OK;
  if (!make(&t, b, QCC_F32, 2, (int64_t[]){b->k, b->n})) return QCC_NOMEM;
  for (int64_t k = 0; k < b->k; k++)
    for (int64_t n = 0; n < b->n; n++) qcc_tensor_set(&t, k * b->n + n, qcc_tensor_get(b->w, n * b->k + k));
  qcc_value *w = add(b, "transposed", &t);
  float *scale = qcc_arena_array(b->g->arena, b->q.count, sizeof *scale);
  int32_t *zero = qcc_arena_array(b->g->arena, b->q.count, sizeof *zero);
  if (!w || !scale || !zero) return QCC_NOMEM;
  for (int64_t k = 0; k < b->count; k++)
    for (int64_t n = 0; n < b->n; n++) {
      scale[k * b->n + n] = b->q.scale[at(b, k, n)];
      zero[k * b->n + n] = b->q.zero ? b->q.zero[at(b, k, n)] : 0;
    }
  qcc_attr_remove(b->user, "transB");
  qcc_set_input(b->fq, 0, w);
  b->w = w->data;
  b->q.axis = 0, b->q.scale = scale, b->q.zero = zero;
  return QCC_OK;
}

static qcc_status dequantize(blocks *b) {
  qcc_tensor t, codes = {0};
  const int64_t dims[2] = {b->q.axis == 0 ? b->count : b->n, b->q.axis == 0 ? b->n : b->count};
  QCC_TRY(qcc_quantize(&codes, b->g->cx, b->w, &b->q));
  qcc_value *in[3] = {add(b, "quantized", &codes)};
  if (make(&t, b, QCC_F32, 2, dims)) {
    for (uint32_t i = 0; i < b->q.count; i++) qcc_tensor_set(&t, i, (double)b->q.scale[i]);
    in[1] = add(b, "scale", &t);
  }
  const bool zeros = qcc_nbits_has_zeros(&b->q);
  if (zeros && make(&t, b, b->q.dtype, 2, dims)) {
    for (uint32_t i = 0; i < b->q.count; i++) qcc_tensor_set(&t, i, b->q.zero[i]);
    in[2] = add(b, "zero_point", &t);
  }
  const char *name = qcc_internf(b->g->cx, "%s_DequantizeLinear", b->fq->in[0].value->name);
  qcc_node *n = qcc_add_node(b->g, b->fq, QCC_OP_DEQUANTIZE_LINEAR, name, in, zeros ? 3 : 2, 1);
  QCC_TRY(qcc_graph_status(b->g));
  qcc_attr_set_int(n, "axis", b->q.axis);
  qcc_attr_set_int(n, "block_size", b->q.block);
  qcc_set_type(n->out[0], &(qcc_type){.dtype = QCC_F32, .rank = 2, .dim = {b->w->type.dim[0], b->w->type.dim[1]}});
  qcc_replace_value(b->fq->out[0], n->out[0]);
  return qcc_erase_node(b->fq);
}

/* ---- MatMulNBits */
static qcc_status contrib(blocks *b) {
  qcc_graph *g = b->g;
  qcc_tensor codes = {0};
  QCC_TRY(qcc_quantize(&codes, g->cx, b->w, &b->q));
  const qcc_nbits to = {.user = b->user,
                        .codes = &codes,
                        .q = b->q,
                        .scale_type = QCC_F32,
                        .k = b->k,
                        .n = b->n,
                        .count = b->count,
                        .base = b->fq->in[0].value->name};
  qcc_status st = qcc_nbits_replace(&to);
  qcc_tensor_release(&codes);
  QCC_TRY(st);
  QCC_TRY(qcc_erase_node(b->fq));
  return qcc_graph_set_opset(g->root, "com.microsoft", 1);
}

bool qcc_qdq_in_blocks(const qcc_node *n) { return n->op == QCC_OP_FAKE_QUANT && qcc_attr_int(n, "block", 0) > 0; }

bool qcc_qdq_nbits_fits(const qcc_node *fq) {
  return qcc_dtype_bits(qcc_dtype_from_name(qcc_attr_str(fq, "dtype", ""))) == 4 &&
         qcc_nbits_product(fq->out[0], (int)qcc_attr_int(fq, "axis", -1));
}

qcc_status qcc_qdq_blocks(qcc_qdq *s, qcc_node *fq, const qcc_qparams *q) {
  blocks b;
  QCC_TRY(read(&b, fq, q));
  if (s->nbits && qcc_qdq_nbits_fits(fq)) return contrib(&b);
  if (b.user) QCC_TRY(turn(&b));
  return dequantize(&b);
}
