/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of reductions: along axes (an attribute, from opset 13 or 18 an input), arg max/min, top k. */
#include "ir/shape.h"

/* Result of dropping (or keeping as 1) the axes in `set`. */
static qcc_type reduced(const qcc_type *x, uint32_t set, bool keep) {
  qcc_type t = qcc_shape_type(x->dtype, 0);
  for (int i = 0; i < x->rank; i++) {
    if (!(set & 1u << i))
      t.dim[t.rank++] = x->dim[i];
    else if (keep)
      t.dim[t.rank++] = 1;
  }
  return t;
}

static qcc_status reduce_axes(qcc_infer *f, qcc_list *axes) {
  int64_t moved = f->node->op == QCC_OP_REDUCE_SUM ? 13 : 18;
  bool is_input = f->opset >= moved;
  return qcc_shape_list(f, is_input ? NULL : "axes", is_input ? 1 : QCC_NO_INPUT, axes);
}

qcc_status qcc_shape_reduce(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  bool keep, noop;
  qcc_list axes;
  QCC_TRY(qcc_shape_flag(f, "keepdims", true, &keep));
  QCC_TRY(qcc_shape_flag(f, "noop_with_empty_axes", false, &noop));
  QCC_TRY(reduce_axes(f, &axes));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (!x) {
    qcc_shape_set(f, 0, &t);
    return QCC_OK;
  }
  if (axes.state == QCC_LIST_UNKNOWN) {
    if (keep || axes.n > 0) t = qcc_shape_type(x->dtype, keep ? x->rank : axes.n <= x->rank ? x->rank - axes.n : 0);
  } else {
    uint32_t set = noop ? 0 : ~0u;
    if (axes.n > 0) QCC_TRY(qcc_shape_axes(f, &axes, x->rank, &set));
    t = reduced(x, set, keep);
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_arg_reduce(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  bool keep;
  QCC_TRY(qcc_shape_flag(f, "keepdims", true, &keep));
  qcc_type t = qcc_shape_type(QCC_S64, -1);
  if (x && x->rank > 0) {
    int axis;
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 0), x->rank, &axis));
    if (x->dim[axis] == 0) return qcc_shape_bad(f, QCC_M_DIM, "axis %d has size 0: it has no maximum or minimum", axis);
    t = reduced(x, 1u << axis, keep);
    t.dtype = QCC_S64;
  } else if (x) {
    t.rank = 0;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_topk(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  int64_t k = QCC_DIM_UNKNOWN;
  qcc_type t = *f->in[0];
  if (f->opset < 10)
    k = qcc_attr_int(f->node, "k", -1);
  else if (!qcc_shape_in(f, 1))
    return qcc_shape_bad(f, QCC_M_ARITY, "input 1 (k) is missing");
  bool known = (f->opset < 10) || qcc_shape_scalar(f, 1, &k);
  if (known && k < 0) return qcc_shape_bad(f, QCC_M_ATTR, "k is %lld; allowed is 0 or more", (long long)k);
  if (x) {
    int axis;
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", -1), x->rank, &axis));
    if (known && x->dim[axis] >= 0 && k > x->dim[axis])
      return qcc_shape_bad(f, QCC_M_DIM, "k is %lld, but axis %d has only %lld elements", (long long)k, axis, (long long)x->dim[axis]);
    t.dim[axis] = k;
  }
  qcc_shape_set(f, 0, &t);
  t.dtype = QCC_S64;
  qcc_shape_set(f, 1, &t);
  return QCC_OK;
}
