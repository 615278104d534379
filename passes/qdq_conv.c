/* SPDX-License-Identifier: Apache-2.0
 * Operands of ConvInteger: what differs from a matrix product.
 *
 *   %i = ConvInteger(%q, %codes, %z, 128)     %f = Cast(%i){to=1}     %t = Mul(%s, %ws[M,1,1])     %y = Add(Mul(%f, %t), %b[M,1,1])
 *
 * Weights are u8 with one zero point, which every version of ONNX Runtime takes; their scales come behind the sum, one per channel or one. */
#include "passes/qdq.h"

bool qcc_qdq_one_zero(const qcc_qparams *q) {
  for (uint32_t i = 1; q->zero && i < q->count; i++)
    if (q->zero[i] != q->zero[0]) return false;
  return true;
}

/* Numbers of output channels where these stand in the result of a Conv with weight `w`. */
static qcc_value *by_channel(qcc_value *v, const qcc_value *w) {
  if (!v || v->data->type.rank != 1) return v;
  qcc_tensor t = qcc_tensor_retain(v->data);
  while (t.type.rank < w->data->type.rank - 1) t.type.dim[t.type.rank++] = 1;
  return qcc_add_const(w->graph, qcc_internf(w->graph->cx, "%s_by_channel", v->name), &t);
}

/* s8 codes as u8 ones. */
static qcc_status raise_codes(qcc_value **codes, qcc_graph *g) {
  const qcc_value *from = *codes;
  qcc_type type = from->data->type;
  type.dtype = QCC_U8;
  qcc_tensor t;
  QCC_TRY(qcc_tensor_new(&t, g->cx, &type));
  uint8_t *to = qcc_tensor_mut(&t);
  const int8_t *at = from->data->data;
  for (size_t i = 0; to && i < t.bytes; i++) to[i] = (uint8_t)(at[i] + 128);
  *codes = qcc_add_const(from->graph, qcc_internf(g->cx, "%s_unsigned", from->name), &t);
  return qcc_graph_status(g);
}

static qcc_value *scalar_zero(qcc_graph *g, int32_t zero, const char *base) {
  qcc_tensor t;
  if (qcc_tensor_new(&t, g->cx, &(qcc_type){.dtype = QCC_U8}) != QCC_OK) {
    g->root->failed = true;
    return NULL;
  }
  qcc_tensor_set(&t, 0, zero);
  return qcc_add_const(g, qcc_internf(g->cx, "%s_zero_point", base), &t);
}

qcc_status qcc_qdq_conv_operands(qcc_qdq_operands *o, int32_t zero, qcc_graph *g) {
  qcc_value *codes = o->w;
  if (codes->data->type.dtype == QCC_S8) {
    QCC_TRY(raise_codes(&o->w, g));
    if (!codes->use_count && !codes->is_input) qcc_erase_const(codes);
    zero += 128;
  }
  o->w_zero = scalar_zero(g, zero, o->w->name);
  o->w_scale = by_channel(o->w_scale, o->w);
  o->bias = by_channel(o->bias, o->w);
  return qcc_graph_status(g);
}
