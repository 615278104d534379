/* SPDX-License-Identifier: Apache-2.0
 * The constants and DequantizeLinear nodes that rewrite-qdq emits. Scale and zero point are always both written, per tensor as rank 0:
 * several fusions of ONNX Runtime ask for exactly that. */
#include <string.h>

#include "ir/check.h"
#include "passes/qdq.h"

/* One shared constant per distinct parameter text. */
static qcc_value *shared(qcc_map *map, const char *key) { return qcc_map_ptr(map, key); }

static qcc_value *remember(qcc_graph *g, qcc_map *map, const char *key, qcc_value *v) {
  if (v && !qcc_map_put(map, key, (uintptr_t)v)) g->root->failed = true;
  return v;
}

qcc_value *qcc_qdq_scale(qcc_qdq *s, qcc_graph *g, const qcc_qparams *q, const char *base) {
  const char *name = qcc_internf(g->cx, "%s_scale", base);
  int64_t count = q->count;
  if (q->axis >= 0) return qcc_add_const_f32(g, name, 1, &count, q->scale);
  uint32_t bits;
  memcpy(&bits, &q->scale[0], sizeof bits);
  const char *key = qcc_internf(g->cx, "scale:%x", bits);
  qcc_value *v = shared(&s->scales, key);
  return v ? v : remember(g, &s->scales, key, qcc_add_const_f32(g->root, name, 0, NULL, q->scale));
}

static qcc_value *zero_const(qcc_graph *g, const qcc_qparams *q, const char *name) {
  int64_t count = q->count;
  qcc_type type = qcc_type_of(q->dtype, q->axis >= 0 ? 1 : 0, &count);
  qcc_tensor t;
  if (qcc_tensor_new(&t, g->cx, &type) != QCC_OK) {
    g->root->failed = true;
    return NULL;
  }
  for (uint32_t i = 0; i < q->count; i++) qcc_tensor_set(&t, i, q->zero ? q->zero[i] : 0);
  return qcc_add_const(g, name, &t);
}

qcc_value *qcc_qdq_zero(qcc_qdq *s, qcc_graph *g, const qcc_qparams *q, const char *base) {
  const char *name = qcc_internf(g->cx, "%s_zero_point", base);
  if (q->axis >= 0) return zero_const(g, q, name);
  const char *key = qcc_internf(g->cx, "zero:%s:%d", qcc_dtype_name(q->dtype), q->zero ? (int)q->zero[0] : 0);
  qcc_value *v = shared(&s->zeros, key);
  return v ? v : remember(g, &s->zeros, key, zero_const(g->root, q, name));
}

qcc_value *qcc_qdq_dequantize(qcc_qdq *s, qcc_graph *g, qcc_node *before, qcc_value *codes, const qcc_qparams *q, const char *base) {
  if (!codes) return NULL;
  qcc_value *in[3] = {codes, qcc_qdq_scale(s, g, q, base), qcc_qdq_zero(s, g, q, base)};
  qcc_node *n = qcc_add_node(g, before, QCC_OP_DEQUANTIZE_LINEAR, qcc_internf(g->cx, "%s_DequantizeLinear", base), in, 3, 1);
  if (!n) return NULL;
  if (q->axis >= 0) qcc_attr_set_int(n, "axis", q->axis);
  qcc_type type = codes->type;
  type.dtype = QCC_F32;
  qcc_set_type(n->out[0], &type);
  return n->out[0];
}

/* Scales in a shape that broadcasts along the axis. */
static qcc_value *spread_scale(qcc_graph *g, const qcc_qparams *q, int rank, const char *base) {
  int64_t dims[QCC_MAX_RANK];
  const char *name = qcc_internf(g->cx, "%s_scale", base);
  if (q->axis < 0) return qcc_add_const_f32(g, name, 0, NULL, q->scale);
  for (int i = 0; i < rank; i++) dims[i] = i == q->axis ? (int64_t)q->count : 1;
  return qcc_add_const_f32(g, name, rank, dims, q->scale);
}

qcc_value *qcc_qdq_cast(qcc_graph *g, qcc_node *before, qcc_value *codes, const qcc_qparams *q, const char *base) {
  if (!codes) return NULL;
  qcc_type type = codes->type;
  type.dtype = QCC_F32;
  qcc_node *cast = qcc_add_node(g, before, QCC_OP_CAST, qcc_internf(g->cx, "%s_Cast", base), &codes, 1, 1);
  if (!cast) return NULL;
  qcc_attr_set_int(cast, "to", QCC_F32);
  qcc_value *in[2] = {cast->out[0], spread_scale(g, q, type.rank, base)};
  qcc_node *mul = qcc_add_node(g, before, QCC_OP_MUL, qcc_internf(g->cx, "%s_Mul", base), in, 2, 1);
  if (!mul) return NULL;
  qcc_set_type(cast->out[0], &type);
  qcc_set_type(mul->out[0], &type);
  return mul->out[0];
}

qcc_status qcc_qdq_codes(qcc_value **out, qcc_graph *g, qcc_value *w, bool last, const qcc_qparams *q) {
  qcc_tensor codes = {0};
  if (w->type.dtype == q->dtype)
    codes = qcc_tensor_retain(w->data);
  else
    QCC_TRY(qcc_quantize(&codes, g->cx, w->data, q));
  const char *name = qcc_internf(g->cx, "%s_quantized", w->name);
  if (last && w->use_count == 1 && !w->is_input) {
    qcc_set_const(w, &codes);
    qcc_rename_value(w, name);
    *out = w;
  } else {
    *out = qcc_add_const(w->graph, name, &codes);
  }
  return qcc_graph_status(g);
}

qcc_status qcc_qdq_replace(qcc_node *old, qcc_node *n) {
  if (!n) return QCC_NOMEM;
  qcc_attr_copy(n, old);
  for (uint32_t k = 0; k < old->out_count; k++) {
    if (!old->out[k]) continue;
    qcc_set_type(n->out[k], &old->out[k]->type);
    qcc_replace_value(old->out[k], n->out[k]);
  }
  qcc_add_origin(n, old);
  const char *name = old->name;
  QCC_TRY(qcc_erase_node(old));
  qcc_rename_node(n, name);
  return qcc_graph_status(n->graph);
}

qcc_status qcc_qdq_drop(qcc_node *dq) {
  if (dq->out[0]->use_count) return QCC_OK;
  qcc_value *codes = dq->in[0].value;
  QCC_TRY(qcc_erase_node(dq));
  if (qcc_is_const(codes) && !codes->use_count && !codes->is_input) qcc_erase_const(codes);
  return QCC_OK;
}

const char *qcc_qdq_weight_obstacle(const qcc_value *v, int rank) {
  const qcc_node *dq = v ? v->def : NULL;
  if (!dq || dq->op != QCC_OP_DEQUANTIZE_LINEAR || qcc_attr_int(dq, "block_size", 0)) return "its weights are not dequantized";
  const qcc_value *codes = dq->in[0].value, *scale = qcc_in(dq, 1), *zero = qcc_in(dq, 2);
  if (!qcc_is_const(codes) || codes->data->type.rank != rank || qcc_dtype_bits(codes->data->type.dtype) != 8)
    return "its weights are not 8-bit codes";
  if (!qcc_is_const(scale) || scale->data->type.dtype != QCC_F32 || (zero && !qcc_is_const(zero)))
    return "the scales of its weights are computed";
  int axis;
  if (qcc_tensor_count(scale->data) == 1) return NULL;
  return qcc_axis(qcc_attr_int(dq, "axis", 1), rank, &axis) && axis == 1 ? NULL : "its scales lie along another axis";
}
