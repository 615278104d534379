/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of losses, steps of optimizers, random tensors, and text. */
#include "ir/shape.h"

static const char *const reductions[] = {"mean", "sum", "none", NULL};

/* Scores [N, C, ...] with labels [N, ...] and weights [C]. */
static qcc_status loss_of(qcc_infer *f, qcc_type *loss) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *label = qcc_shape_ranked(f, 1), *w = qcc_shape_ranked(f, 2);
  int reduction;
  QCC_TRY(qcc_shape_choice(f, "reduction", reductions, &reduction));
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  QCC_TRY(qcc_shape_rank(f, 1, 1, QCC_MAX_RANK - 1));
  QCC_TRY(qcc_shape_rank(f, 2, 1, 1));
  if (x) QCC_TRY(qcc_shape_rank(f, 1, x->rank - 1, x->rank - 1));
  *loss = qcc_shape_type(qcc_shape_dtype(f, 0), x ? x->rank - 1 : label ? label->rank : -1);
  for (int d = 0; d < loss->rank; d++) {
    if (x) loss->dim[d] = x->dim[d ? d + 1 : 0];
    if (label) QCC_TRY(qcc_shape_fit(f, &loss->dim[d], label->dim[d], "sizes of scores and labels"));
  }
  if (x && w) {
    int64_t classes = x->dim[1];
    QCC_TRY(qcc_shape_fit(f, &classes, w->dim[0], "classes and weights"));
  }
  if (reduction != 2) loss->rank = 0;
  return QCC_OK;
}

qcc_status qcc_shape_loss(qcc_infer *f) {
  qcc_type t;
  QCC_TRY(loss_of(f, &t));
  qcc_shape_set(f, 0, &t);
  qcc_shape_set(f, 1, f->in[0]); /* log probabilities, where the operator gives them */
  return QCC_OK;
}

/* ---- optimizers: rate and count, then groups of equally many tensors; all but the gradients come back changed */
qcc_status qcc_shape_optimizer(qcc_infer *f) {
  const uint32_t groups = f->node->op == QCC_OP_ADAM ? 4 : 3, all = f->node->in_count - 2, each = all / groups;
  if (all % groups) return qcc_shape_bad(f, QCC_M_ARITY, "%u tensors do not fall into %u groups", all, groups);
  if (f->node->out_count != each * (groups - 1))
    return qcc_shape_bad(f, QCC_M_ARITY, "%u outputs, expected %u", f->node->out_count, each * (groups - 1));
  for (uint32_t k = 0; k < all; k++) {
    const qcc_type *t = qcc_shape_in(f, k + 2), *first = qcc_shape_in(f, k % each + 2);
    if (!t || !first) return qcc_shape_bad(f, QCC_M_ARITY, "input %u is missing", k + 2);
    qcc_type both = *first;
    if (!qcc_type_merge(&both, t)) return qcc_shape_bad(f, QCC_M_DIM, "input %u has another type than the tensor it belongs to", k + 2);
    const uint32_t group = k / each;
    if (group != 1) qcc_shape_set(f, (group ? group - 1 : 0) * each + k % each, &both);
  }
  return QCC_OK;
}

/* One derivative per name in xs, of the shape of its value. */
qcc_status qcc_shape_gradient(qcc_infer *f) {
  for (uint32_t k = 0; k < f->node->out_count; k++) {
    const qcc_type *x = qcc_shape_in(f, k);
    if (!x) return qcc_shape_bad(f, QCC_M_ARITY, "output %u has no input", k);
    qcc_shape_set(f, k, x);
  }
  return QCC_OK;
}

/* ---- random */
qcc_status qcc_shape_random(qcc_infer *f) {
  qcc_list size;
  qcc_type t;
  QCC_TRY(qcc_shape_list(f, "shape", QCC_NO_INPUT, &size));
  if (size.state != QCC_LIST_KNOWN) return qcc_shape_bad(f, QCC_M_ARITY, "attribute shape is missing");
  QCC_TRY(qcc_shape_make(f, &t, QCC_F32, size.n));
  QCC_TRY(qcc_shape_dtype_attr(f, "dtype", QCC_F32, &t.dtype));
  for (int i = 0; i < size.n; i++) {
    if (size.at[i] < 0) return qcc_shape_bad(f, QCC_M_ATTR, "shape[%d] is %lld", i, (long long)size.at[i]);
    t.dim[i] = size.at[i];
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_random_like(qcc_infer *f) {
  qcc_type t = *f->in[0];
  QCC_TRY(qcc_shape_dtype_attr(f, "dtype", t.dtype, &t.dtype));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_multinomial(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  const int64_t n = qcc_attr_int(f->node, "sample_size", 1);
  qcc_type t = qcc_type_of(QCC_S32, 2, (int64_t[]){x ? x->dim[0] : QCC_DIM_UNKNOWN, n});
  QCC_TRY(qcc_shape_rank(f, 0, 2, 2));
  QCC_TRY(qcc_shape_dtype_attr(f, "dtype", QCC_S32, &t.dtype));
  if (n < 0) return qcc_shape_bad(f, QCC_M_ATTR, "sample_size is %lld", (long long)n);
  if (t.dtype != QCC_S32 && t.dtype != QCC_S64)
    return qcc_shape_bad(f, QCC_M_ATTR, "dtype is %s; allowed is s32 or s64", qcc_dtype_name(t.dtype));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- text */
static qcc_status need_text(const qcc_infer *f, uint32_t k) {
  const qcc_dtype t = qcc_shape_dtype(f, k);
  if (t == QCC_NONE || t == QCC_STRING) return QCC_OK;
  return qcc_shape_bad(f, QCC_M_DTYPE, "input %u is %s, expected strings", k, qcc_dtype_name(t));
}

qcc_status qcc_shape_string_split(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_type t = qcc_shape_type(QCC_STRING, -1), n = *f->in[0];
  QCC_TRY(need_text(f, 0));
  if (x) {
    QCC_TRY(qcc_shape_make(f, &t, QCC_STRING, (int64_t)x->rank + 1));
    for (int d = 0; d < x->rank; d++) t.dim[d] = x->dim[d];
  }
  n.dtype = QCC_S64;
  qcc_shape_set(f, 0, &t);
  qcc_shape_set(f, 1, &n);
  return QCC_OK;
}

qcc_status qcc_shape_string_normalizer(qcc_infer *f) {
  static const char *const actions[] = {"NONE", "LOWER", "UPPER", NULL};
  const qcc_type *x = qcc_shape_ranked(f, 0);
  int action;
  QCC_TRY(need_text(f, 0));
  QCC_TRY(qcc_shape_choice(f, "case_change_action", actions, &action));
  QCC_TRY(qcc_shape_rank(f, 0, 1, 2));
  if (x && x->rank == 2) {
    int64_t one = 1;
    QCC_TRY(qcc_shape_fit(f, &one, x->dim[0], "1 and the first size"));
  }
  qcc_type t = qcc_shape_type(QCC_STRING, x ? x->rank : -1);
  if (x && x->rank == 2) t.dim[0] = 1;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
