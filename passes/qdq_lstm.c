/* SPDX-License-Identifier: Apache-2.0
 * LSTM between the standard form with dequantized weights and the operator on codes that quantizes its data at run time.
 *
 *   %wd = DequantizeLinear(%w, sw[4H], zw[4H]){axis=1}
 *   %rd = DequantizeLinear(%r, sr[4H], zr[4H]){axis=1}   <=>   %y = DynamicQuantizeLSTM(%x, %wt, %rt, %b, .., sw[D,4H], zw[D,4H], sr, zr)
 *   %y  = LSTM(%x, %wd, %rd, %b, ..)
 *
 * Weights are [D,4H,K] on the left and [D,K,4H] on the right; scales on the left serve all D directions. */
#include <string.h>

#include "passes/qdq.h"
#include "passes/raise_qlinear.h"

enum { W = 1, R = 2, INPUTS = 8, W_SCALE = 8, W_ZERO, R_SCALE, R_ZERO, CODED_INPUTS };

/* [D,A,B] to [D,B,A], one byte per element. */
static qcc_value *turned(qcc_graph *g, const qcc_value *codes) {
  const int64_t *d = codes->data->type.dim;
  const qcc_type type = qcc_type_of(codes->data->type.dtype, 3, (int64_t[]){d[0], d[2], d[1]});
  qcc_tensor t;
  if (qcc_tensor_new(&t, g->cx, &type) != QCC_OK) {
    g->root->failed = true;
    return NULL;
  }
  int8_t *to = qcc_tensor_mut(&t);
  const int8_t *from = codes->data->data;
  for (int64_t k = 0; to && k < d[0]; k++)
    for (int64_t a = 0; a < d[1]; a++)
      for (int64_t b = 0; b < d[2]; b++) to[(k * d[2] + b) * d[1] + a] = from[(k * d[1] + a) * d[2] + b];
  return qcc_add_const(g, qcc_internf(g->cx, "%s_transposed", codes->name), &t);
}

/* A constant of `dims` that repeats the numbers of `v`; NULL: zeros. */
static qcc_value *spread(qcc_graph *g, const qcc_value *v, const char *name, qcc_dtype dtype, int rank, const int64_t *dims) {
  const qcc_type type = qcc_type_of(dtype, rank, dims);
  qcc_tensor t;
  int64_t count = 1;
  for (int i = 0; i < rank; i++) count *= dims[i];
  if (qcc_tensor_new(&t, g->cx, &type) != QCC_OK) {
    g->root->failed = true;
    return NULL;
  }
  const int64_t have = v ? qcc_tensor_count(v->data) : 0;
  for (int64_t i = 0; i < count; i++) qcc_tensor_set(&t, i, have ? qcc_tensor_get(v->data, i % have) : 0);
  return qcc_add_const(g, name, &t);
}

/* ---- to codes */
static void put_weight(qcc_graph *g, qcc_value **in, const qcc_value *v, uint32_t at, uint32_t scale_at) {
  const qcc_node *dq = v->def;
  const qcc_value *codes = dq->in[0].value, *scale = qcc_in(dq, 1);
  const int64_t *d = codes->data->type.dim;
  const int rank = qcc_tensor_count(scale->data) > 1 ? 2 : 1;
  const char *base = codes->name;
  in[at] = turned(g, codes);
  in[scale_at] = spread(g, scale, qcc_internf(g->cx, "%s_scales", base), QCC_F32, rank, d);
  in[scale_at + 1] = spread(g, qcc_in(dq, 2), qcc_internf(g->cx, "%s_zeros", base), codes->data->type.dtype, rank, d);
}

const char *qcc_lstm_obstacle(const qcc_node *n) {
  if (n->op != QCC_OP_LSTM) return "it is no LSTM";
  if (qcc_attr_int(n, "layout", 0)) return "its batch comes first";
  const char *why = qcc_qdq_weight_obstacle(qcc_in(n, W), 3);
  return why ? why : qcc_qdq_weight_obstacle(qcc_in(n, R), 3);
}

qcc_status qcc_lstm_to_codes(qcc_node *n) {
  qcc_graph *g = n->graph;
  qcc_value *in[CODED_INPUTS] = {NULL};
  qcc_node *dq[2] = {n->in[W].value->def, n->in[R].value->def};
  for (uint32_t k = 0; k < INPUTS; k++) in[k] = qcc_in(n, k);
  put_weight(g, in, n->in[W].value, W, W_SCALE);
  put_weight(g, in, n->in[R].value, R, R_SCALE);
  QCC_TRY(qcc_graph_status(g));
  if (!qcc_graph_opset(g->root, "com.microsoft")) QCC_TRY(qcc_graph_set_opset(g->root, "com.microsoft", 1));
  QCC_TRY(qcc_qdq_replace(n, qcc_add_node(g, n, QCC_OP_MS_DYNAMIC_QUANTIZE_LSTM, NULL, in, CODED_INPUTS, n->out_count)));
  QCC_TRY(qcc_qdq_drop(dq[0]));
  return dq[1] == dq[0] ? QCC_OK : qcc_qdq_drop(dq[1]);
}

/* ---- back */
/* The first `rows` numbers, when all directions have the same ones. */
static bool alike(const qcc_value *v, int64_t directions) {
  const int64_t count = qcc_tensor_count(v->data), each = count / directions;
  for (int64_t i = each; i < count; i++)
    if (qcc_tensor_get(v->data, i) != qcc_tensor_get(v->data, i % each)) return false;
  return true;
}

static const char *coded_obstacle(const qcc_node *n, uint32_t at, uint32_t scale_at) {
  const qcc_value *w = qcc_in(n, at), *scale = qcc_in(n, scale_at), *zero = qcc_in(n, scale_at + 1);
  if (!qcc_is_const(w) || !qcc_is_const(scale) || !qcc_is_const(zero)) return "its weights are computed";
  const int64_t directions = w->data->type.dim[0];
  if (!alike(scale, directions) || !alike(zero, directions)) return "its directions have different scales";
  return NULL;
}

static qcc_value *weight_floats(qcc_node *n, uint32_t at, uint32_t scale_at) {
  qcc_graph *g = n->graph;
  const qcc_value *w = n->in[at].value, *scale = n->in[scale_at].value, *zero = n->in[scale_at + 1].value;
  const int64_t *d = w->data->type.dim;
  const int rank = qcc_tensor_count(scale->data) > d[0] || qcc_tensor_count(zero->data) > d[0];
  qcc_raise_grid q = {.axis = rank ? 1 : -1, .count = rank ? d[2] : 1};
  const char *base = w->name;
  q.codes = turned(g, w);
  q.scale = spread(g, scale, qcc_internf(g->cx, "%s_scale", base), QCC_F32, rank, &q.count);
  q.zero = spread(g, zero, qcc_internf(g->cx, "%s_zero_point", base), w->data->type.dtype, rank, &q.count);
  return qcc_graph_failed(g) ? NULL : qcc_raise_floats(&q, n);
}

const char *qcc_lstm_coded_obstacle(const qcc_node *n) {
  const char *why = coded_obstacle(n, W, W_SCALE);
  return why ? why : coded_obstacle(n, R, R_SCALE);
}

qcc_status qcc_lstm_to_floats(qcc_node *n) {
  qcc_value *in[INPUTS];
  for (uint32_t k = 0; k < INPUTS; k++) in[k] = qcc_in(n, k);
  in[W] = weight_floats(n, W, W_SCALE);
  in[R] = weight_floats(n, R, R_SCALE);
  QCC_TRY(qcc_graph_status(n->graph));
  uint32_t count = INPUTS;
  while (!in[count - 1]) count--;
  return qcc_qdq_replace(n, qcc_add_node(n->graph, n, QCC_OP_LSTM, NULL, in, count, n->out_count));
}
