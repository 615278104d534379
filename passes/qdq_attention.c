/* SPDX-License-Identifier: Apache-2.0
 * Attention of com.microsoft between the float operator with dequantized operands and QAttention, whose projection multiplies codes.
 *
 *   %xd = DequantizeLinear(%x, sx, zx)
 *   %wd = DequantizeLinear(%w, sw[], zw[]){axis=1}       <=>   %y, %p = QAttention(%x, %w, %b, sx, sw[], %mask, zx, zw[], %past)
 *   %y, %p = Attention(%xd, %wd, %b, %mask, %past)
 *
 * Data are u8 with one scale. What QAttention has no input or attribute for stays float: sizes of queries and values that differ, a bias of
 * the scores, rotary positions. */
#include <string.h>

#include "passes/qdq.h"
#include "passes/raise_qlinear.h"

enum { X, W, BIAS, MASK, PAST, INPUTS };                                     /* of Attention */
enum { Q_SCALE = 3, Q_W_SCALE, Q_MASK, Q_ZERO, Q_W_ZERO, Q_PAST, Q_INPUTS }; /* of QAttention, behind the same three */

/* ---- to codes */
const char *qcc_attention_weight_obstacle(const qcc_node *n) { return qcc_qdq_weight_obstacle(qcc_in(n, W), 2); }

/* QAttention wants a bias. */
static qcc_value *zeros_for(qcc_graph *g, const qcc_value *w) {
  const qcc_type type = qcc_type_of(QCC_F32, 1, &w->data->type.dim[1]);
  qcc_tensor t;
  if (qcc_tensor_new(&t, g->cx, &type) != QCC_OK) {
    g->root->failed = true;
    return NULL;
  }
  void *at = qcc_tensor_mut(&t);
  if (at) memset(at, 0, t.bytes);
  return qcc_add_const(g, qcc_internf(g->cx, "%s_bias", w->name), &t);
}

qcc_status qcc_attention_to_codes(qcc_node *n, const qcc_qdq_operands *o) {
  qcc_graph *g = n->graph;
  qcc_node *dq = n->in[W].value->def, *data = n->in[X].value->def;
  qcc_value *w = dq->in[0].value, *bias = qcc_in(n, BIAS);
  qcc_value *in[Q_INPUTS] = {o->x, w, bias ? bias : zeros_for(g, w)};
  in[Q_SCALE] = o->x_scale, in[Q_ZERO] = o->x_zero;
  in[Q_W_SCALE] = qcc_in(dq, 1), in[Q_W_ZERO] = qcc_in(dq, 2);
  in[Q_MASK] = qcc_in(n, MASK), in[Q_PAST] = qcc_in(n, PAST);
  QCC_TRY(qcc_graph_status(g));
  uint32_t count = Q_INPUTS;
  while (!in[count - 1]) count--;
  qcc_attr_remove(n, "qkv_hidden_sizes");
  QCC_TRY(qcc_qdq_replace(n, qcc_add_node(g, n, QCC_OP_MS_QATTENTION, NULL, in, count, n->out_count)));
  QCC_TRY(qcc_qdq_drop(dq));
  return data && data->op == QCC_OP_DEQUANTIZE_LINEAR ? qcc_qdq_drop(data) : QCC_OK;
}

/* ---- back */
static const char *read_codes(qcc_raise_grid *x, qcc_raise_grid *w, const qcc_node *n) {
  const char *why = qcc_raise_read(x, qcc_in(n, X), qcc_in(n, Q_SCALE), qcc_in(n, Q_ZERO), -1);
  return why ? why : qcc_raise_read(w, qcc_in(n, W), qcc_in(n, Q_W_SCALE), qcc_in(n, Q_W_ZERO), 1);
}

const char *qcc_attention_coded_obstacle(const qcc_node *n) {
  qcc_raise_grid x, w;
  return qcc_in(n, BIAS) && n->in[BIAS].value->type.dtype == QCC_F32 ? read_codes(&x, &w, n) : "its result is not f32";
}

qcc_status qcc_attention_to_floats(qcc_node *n) {
  qcc_graph *g = n->graph;
  qcc_raise_grid x, w;
  (void)read_codes(&x, &w, n);
  qcc_raise_shape(&x, g);
  qcc_raise_shape(&w, g);
  QCC_TRY(qcc_graph_status(g));
  qcc_value *in[INPUTS] = {qcc_raise_floats(&x, n), qcc_raise_floats(&w, n), qcc_in(n, BIAS), qcc_in(n, Q_MASK), qcc_in(n, Q_PAST)};
  QCC_TRY(qcc_graph_status(g));
  uint32_t count = INPUTS;
  while (!in[count - 1]) count--;
  return qcc_qdq_replace(n, qcc_add_node(g, n, QCC_OP_MS_ATTENTION, NULL, in, count, n->out_count));
}
