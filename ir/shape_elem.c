/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of operators that work element by element: broadcasting, unary, comparisons, casts, and those whose result has the
 * type of input 0 once an attribute is checked. */
#include "ir/shape.h"

/* ---- broadcasting. Before opset 7 `axis` placed the second operand; only then can a smaller operand stand in the middle. */
static qcc_status legacy_broadcast(qcc_infer *f, qcc_type *out) {
  const qcc_type *a = qcc_shape_ranked(f, 0), *b = qcc_shape_ranked(f, 1);
  *out = a ? *a : qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (!a || !b) return QCC_OK;
  if (!qcc_attr_int(f->node, "broadcast", 0) && a->rank != b->rank)
    return qcc_shape_bad(f, QCC_M_DIM, "ranks %d and %d differ, and broadcast is 0", a->rank, b->rank);
  int64_t at_end = a->rank - b->rank, axis = at_end == 0 ? 0 : qcc_attr_int(f->node, "axis", at_end);
  if (axis < 0) axis += a->rank;
  if (axis < 0 || axis > at_end)
    return qcc_shape_bad(f, QCC_M_INDEX, "axis %lld does not place rank %d within rank %d", (long long)axis, b->rank, a->rank);
  for (int i = 0; i < b->rank; i++)
    if (b->dim[i] != 1) QCC_TRY(qcc_shape_fit(f, &out->dim[axis + i], b->dim[i], "operands"));
  return QCC_OK;
}

static bool is_legacy(const qcc_infer *f) {
  if (f->opset >= 7 || f->node->in_count != 2) return false;
  return qcc_op_get(f->node->op)->in_max == 2;
}

static qcc_status broadcast_inputs(qcc_infer *f, uint32_t first, qcc_type *out) {
  if (is_legacy(f)) return legacy_broadcast(f, out);
  *out = *f->in[first];
  for (uint32_t k = first + 1; k < f->node->in_count; k++) {
    const qcc_type *b = qcc_shape_in(f, k);
    if (b && !qcc_broadcast(out, out, b)) return qcc_shape_bad(f, QCC_M_DIM, "the shape of input %u does not broadcast with the others", k);
  }
  return QCC_OK;
}

qcc_status qcc_shape_broadcast(qcc_infer *f) {
  QCC_TRY(qcc_shape_same_dtype(f, 0, f->node->in_count));
  qcc_type t;
  QCC_TRY(broadcast_inputs(f, 0, &t));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

static const char *const directions[] = {"LEFT", "RIGHT", NULL};
qcc_status qcc_shape_bit_shift(qcc_infer *f) {
  int direction;
  QCC_TRY(qcc_shape_choice(f, "direction", directions, &direction));
  return qcc_shape_broadcast(f);
}

/* Pow: the operands may differ in type. */
qcc_status qcc_shape_broadcast_first(qcc_infer *f) {
  qcc_type t;
  QCC_TRY(broadcast_inputs(f, 0, &t));
  t.dtype = qcc_shape_dtype(f, 0);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_compare(qcc_infer *f) {
  QCC_TRY(qcc_shape_same_dtype(f, 0, 1));
  qcc_type t;
  QCC_TRY(broadcast_inputs(f, 0, &t));
  t.dtype = QCC_BOOL;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_where(qcc_infer *f) {
  QCC_TRY(qcc_shape_same_dtype(f, 1, 2));
  qcc_dtype condition = qcc_shape_dtype(f, 0);
  if (condition != QCC_NONE && condition != QCC_BOOL)
    return qcc_shape_bad(f, QCC_M_DTYPE, "the condition is %s, expected bool", qcc_dtype_name(condition));
  qcc_type t;
  QCC_TRY(broadcast_inputs(f, 0, &t));
  t.dtype = qcc_shape_dtype(f, 1) != QCC_NONE ? qcc_shape_dtype(f, 1) : qcc_shape_dtype(f, 2);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- like input 0 */
qcc_status qcc_shape_same(qcc_infer *f) {
  qcc_shape_set(f, 0, f->in[0]);
  return QCC_OK;
}

qcc_status qcc_shape_same_bool(qcc_infer *f) {
  qcc_type t = *f->in[0];
  t.dtype = QCC_BOOL;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* Softmax and the like. Up to opset 12 the axis splits a flattened matrix, so that it may also stand behind the last axis. */
qcc_status qcc_shape_axis_same(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  bool flattens = f->opset < 13 && qcc_op_get(f->node->op)->since == 1 && f->node->op != QCC_OP_LP_NORMALIZATION;
  if (x) {
    int64_t axis = qcc_attr_int(f->node, "axis", flattens ? 1 : -1);
    int i;
    if (!(flattens && axis == x->rank) && !(x->rank == 0 && (axis == 0 || axis == -1))) QCC_TRY(qcc_shape_axis(f, axis, x->rank, &i));
  }
  return qcc_shape_same(f);
}

qcc_status qcc_shape_prelu(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *slope = qcc_shape_ranked(f, 1);
  QCC_TRY(qcc_shape_same_dtype(f, 0, 1));
  qcc_type t;
  bool per_channel = slope && x && slope->rank == 1 && x->rank > 1 && slope->dim[0] == x->dim[1]; // allowed before opset 7, still written
  if (f->opset >= 7 && x && slope && !per_channel) {
    if (!qcc_broadcast(&t, x, slope) || t.rank != x->rank) return qcc_shape_bad(f, QCC_M_DIM, "the slope does not broadcast to the input");
  }
  return qcc_shape_same(f);
}

qcc_status qcc_shape_clip(qcc_infer *f) {
  for (uint32_t k = 1; k < 3; k++) {
    const qcc_type *t = qcc_shape_ranked(f, k);
    int64_t count;
    if (t && qcc_type_count(t, &count) && count != 1)
      return qcc_shape_bad(f, QCC_M_DIM, "input %u has %lld elements, expected 1", k, (long long)count);
  }
  QCC_TRY(qcc_shape_same_dtype(f, 0, 2));
  return qcc_shape_same(f);
}

qcc_status qcc_shape_cum_sum(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  int64_t axis;
  int i;
  if (x && qcc_shape_scalar(f, 1, &axis)) QCC_TRY(qcc_shape_axis(f, axis, x->rank, &i));
  return qcc_shape_same(f);
}

qcc_status qcc_shape_trilu(qcc_infer *f) {
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  return qcc_shape_same(f);
}

/* ---- casts */
qcc_status qcc_shape_cast(qcc_infer *f) {
  qcc_type t = *f->in[0];
  if (!qcc_attr_find(f->node, "to")) return qcc_shape_bad(f, QCC_M_ARITY, "attribute to is missing");
  QCC_TRY(qcc_shape_dtype_attr(f, "to", QCC_NONE, &t.dtype));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_bit_cast(qcc_infer *f) {
  QCC_TRY(qcc_shape_cast(f));
  const qcc_dtype from = qcc_shape_dtype(f, 0), to = f->out[0].dtype;
  if (from == QCC_NONE || (qcc_dtype_bits(from) == qcc_dtype_bits(to) && qcc_dtype_bits(to) > 0)) return QCC_OK;
  return qcc_shape_bad(f, QCC_M_DTYPE, "elements of %s and %s differ in size", qcc_dtype_name(from), qcc_dtype_name(to));
}

qcc_status qcc_shape_cast_like(qcc_infer *f) {
  qcc_type t = *f->in[0];
  t.dtype = qcc_shape_dtype(f, 1);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* The mask is of the data's type until opset 9. */
qcc_status qcc_shape_dropout(qcc_infer *f) {
  qcc_type t = *f->in[0];
  qcc_shape_set(f, 0, &t);
  if (f->opset >= 10) t.dtype = QCC_BOOL;
  qcc_shape_set(f, 1, &t);
  return QCC_OK;
}
