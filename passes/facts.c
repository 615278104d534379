/* SPDX-License-Identifier: Apache-2.0
 * Answers from constants and types; nothing here changes a graph. */
#include "passes/facts.h"

#include <math.h>

static bool int_tensor(const qcc_tensor *t, qcc_int_list *out) {
  int64_t count = qcc_tensor_count(t);
  if (!qcc_dtype_is_int(t->type.dtype) || count > QCC_MOST_INTS) return false;
  out->count = (uint32_t)count;
  for (int64_t k = 0; k < count; k++) out->at[k] = qcc_tensor_get_s64(t, k);
  return true;
}

bool qcc_const_ints(const qcc_value *v, qcc_int_list *out) { return qcc_is_const(v) && int_tensor(v->data, out); }

bool qcc_node_has(const qcc_node *n, const char *name, uint32_t index) { return qcc_attr_find(n, name) || qcc_in(n, index); }

bool qcc_node_ints(const qcc_node *n, const char *name, uint32_t index, qcc_int_list *out) {
  const qcc_attr *a = qcc_attr_find(n, name);
  if (!a) return qcc_const_ints(qcc_in(n, index), out);
  if (a->kind != QCC_ATTR_INTS || a->count > QCC_MOST_INTS) return false;
  out->count = a->count;
  for (uint32_t k = 0; k < a->count; k++) out->at[k] = a->ints[k];
  return true;
}

static bool numeric(const qcc_value *v) {
  qcc_kind kind = qcc_is_const(v) ? qcc_dtype_kind(v->data->type.dtype) : QCC_KIND_NONE;
  return kind == QCC_KIND_FLOAT || kind == QCC_KIND_UINT || kind == QCC_KIND_SINT;
}

bool qcc_const_number(const qcc_value *v, double *out) {
  if (!numeric(v) || qcc_tensor_count(v->data) != 1) return false;
  *out = qcc_tensor_get(v->data, 0);
  return true;
}

bool qcc_const_splat(const qcc_value *v, double x) {
  if (!numeric(v)) return false;
  for (int64_t k = 0; k < qcc_tensor_count(v->data); k++)
    if (qcc_tensor_get(v->data, k) != x) return false;
  return true;
}

bool qcc_same_shape(const qcc_value *a, const qcc_value *b) {
  if (a->type.rank < 0 || a->type.rank != b->type.rank) return false;
  for (int k = 0; k < a->type.rank; k++)
    if (a->type.dim[k] == QCC_DIM_UNKNOWN || a->type.dim[k] != b->type.dim[k]) return false;
  return true;
}

bool qcc_same_type(const qcc_value *a, const qcc_value *b) {
  return a->type.dtype != QCC_NONE && a->type.dtype == b->type.dtype && qcc_same_shape(a, b);
}

bool qcc_reshape_target(const qcc_type *t, int64_t *dims) {
  int unknown = 0;
  if (t->rank < 0) return false;
  for (int k = 0; k < t->rank; k++) {
    if (!t->dim[k]) return false;
    dims[k] = t->dim[k] < 0 ? -1 : t->dim[k];
    unknown += t->dim[k] < 0;
  }
  return unknown <= 1;
}

bool qcc_clamp_window(const qcc_node *n, double *lo, double *hi) {
  *lo = -INFINITY, *hi = INFINITY;
  if (n->op == QCC_OP_RELU) *lo = 0;
  if (n->op == QCC_OP_RELU) return true;
  if (n->op != QCC_OP_CLIP) return false;
  const qcc_value *min = qcc_in(n, 1), *max = qcc_in(n, 2);
  if ((min && !min->data) || (max && !max->data)) return false;
  *lo = min ? qcc_tensor_get(min->data, 0) : (double)qcc_attr_float(n, "min", -INFINITY);
  *hi = max ? qcc_tensor_get(max->data, 0) : (double)qcc_attr_float(n, "max", INFINITY);
  return true;
}

bool qcc_is_quantize(const qcc_node *n) { return n && (n->op == QCC_OP_QUANTIZE_LINEAR || n->op == QCC_OP_MS_QUANTIZE_LINEAR); }

bool qcc_is_dequantize(const qcc_node *n) { return n && (n->op == QCC_OP_DEQUANTIZE_LINEAR || n->op == QCC_OP_MS_DEQUANTIZE_LINEAR); }

qcc_dtype qcc_codes_type(const qcc_node *n) {
  const qcc_value *codes = qcc_is_dequantize(n) ? qcc_in(n, 0) : NULL;
  if (codes && codes->type.dtype != QCC_NONE) return codes->type.dtype;
  const qcc_node *q = codes ? codes->def : n; /* types may not be inferred yet */
  if (!qcc_is_quantize(q)) return QCC_NONE;
  const int64_t named = qcc_attr_int(q, "output_dtype", 0);
  if (qcc_in(q, 2)) return qcc_in(q, 2)->type.dtype;
  return named > 0 && named < QCC_DTYPE_COUNT ? (qcc_dtype)named : QCC_U8;
}

bool qcc_moves_elements(const qcc_node *n) {
  static const qcc_op known[] = {QCC_OP_RESHAPE, QCC_OP_TRANSPOSE, QCC_OP_SQUEEZE, QCC_OP_UNSQUEEZE, QCC_OP_FLATTEN,        QCC_OP_SLICE,
                                 QCC_OP_EXPAND,  QCC_OP_TILE,      QCC_OP_GATHER,  QCC_OP_MAX_POOL,  QCC_OP_GATHER_ELEMENTS};
  for (size_t k = 0; k < sizeof known / sizeof *known; k++)
    if (n->op == known[k]) return n->out_count == 1;
  return false;
}

bool qcc_stores_codes(const qcc_node *n) {
  const qcc_value *codes = n->op == QCC_OP_CAST ? qcc_in(n, 0) : NULL;
  if (!qcc_is_const(codes) || !qcc_dtype_is_int(codes->data->type.dtype) || qcc_dtype_bits(codes->data->type.dtype) > 8) return false;
  if (qcc_attr_int(n, "to", 0) != QCC_F32 || codes->data->type.rank < 2 || !n->out[0]->use_count) return false;
  QCC_FOR_USES(u, n->out[0]) {
    if (!u->node || u->node->op != QCC_OP_MUL || !qcc_is_const(qcc_in(u->node, 1 - u->index))) return false;
  }
  return true;
}
