/* SPDX-License-Identifier: Apache-2.0
 * Type algebra (merge, broadcast, axis) and inference of one node: arity by the op table, then the rule of the operator, then the
 * size limit on what it gave. Stateless: safe on any thread, used on graphs and by the runtime with concrete shapes. */
#include "ir/shape.h"

static const qcc_shape_fn rules[QCC_OP_COUNT] = {
    qcc_shape_opaque,
#define OP(id, domain, name, since, in_min, in_max, out_max, shape, kern, role, exact) qcc_shape_##shape,
#include "ir/ops.def"
#undef OP
};

/* ---- algebra */
static bool merge_dim(int64_t *into, int64_t other) {
  if (*into >= 0) return other < 0 || other == *into;
  if (other >= 0 || *into == QCC_DIM_UNKNOWN) *into = other;
  return true;
}

bool qcc_type_merge(qcc_type *into, const qcc_type *other) {
  qcc_type t = *into;
  if (t.dtype == QCC_NONE) t.dtype = other->dtype;
  if (other->dtype != QCC_NONE && t.dtype != other->dtype) return false;
  if (t.rank < 0) {
    qcc_dtype keep = t.dtype;
    t = *other;
    t.dtype = keep;
  } else if (other->rank >= 0) {
    if (t.rank != other->rank) return false;
    for (int i = 0; i < t.rank; i++)
      if (!merge_dim(&t.dim[i], other->dim[i])) return false;
  }
  *into = t;
  return true;
}

static bool broadcast_dim(int64_t *out, int64_t a, int64_t b) {
  if (a == b || b == 1)
    *out = a;
  else if (a == 1)
    *out = b;
  else if (a >= 0 && b >= 0)
    return false;
  else
    *out = a >= 0 ? a : b >= 0 ? b : QCC_DIM_UNKNOWN; // a number other than 1 decides; two symbols do not
  return true;
}

bool qcc_broadcast(qcc_type *out, const qcc_type *a, const qcc_type *b) {
  qcc_type t = qcc_type_unknown();
  t.dtype = a->dtype != QCC_NONE ? a->dtype : b->dtype;
  if (a->rank >= 0 && b->rank >= 0) {
    t.rank = a->rank > b->rank ? a->rank : b->rank;
    for (int i = 1; i <= t.rank; i++) {
      int64_t da = i <= a->rank ? a->dim[a->rank - i] : 1, db = i <= b->rank ? b->dim[b->rank - i] : 1;
      if (!broadcast_dim(&t.dim[t.rank - i], da, db)) return false;
    }
  }
  *out = t;
  return true;
}

bool qcc_axis(int64_t axis, int rank, int *out) {
  if (axis < -rank || axis >= rank) return false;
  *out = (int)(axis < 0 ? axis + rank : axis);
  return true;
}

/* ---- one node */
static qcc_status check_arity(const qcc_infer *f) {
  const qcc_node *n = f->node;
  const qcc_op_info *op = qcc_op_get(n->op);
  if (n->in_count > (uint32_t)op->in_max)
    return qcc_shape_bad(f, QCC_M_ARITY, "%u inputs; %s takes at most %d", n->in_count, op->name, op->in_max);
  for (uint32_t k = 0; k < (uint32_t)op->in_min; k++)
    if (!qcc_shape_in(f, k)) return qcc_shape_bad(f, QCC_M_ARITY, "input %u is missing; %s needs %d", k, op->name, op->in_min);
  if (n->out_count > (uint32_t)op->out_max)
    return qcc_shape_bad(f, QCC_M_ARITY, "%u outputs; %s gives at most %d", n->out_count, op->name, op->out_max);
  return QCC_OK;
}

static qcc_status check_size(const qcc_infer *f, uint32_t k) {
  const qcc_type *t = &f->out[k];
  uint64_t limit = qcc_context_limits(f->cx)->run_bytes;
  int64_t known = 1; // the sizes that are known bound the tensor from below when none of them is 0
  for (int i = 0; i < t->rank; i++) {
    if (t->dim[i] == 0) return QCC_OK;
    if (t->dim[i] > 0 && !qcc_mul_s64(known, t->dim[i], &known)) known = INT64_MAX;
    if (known == INT64_MAX) break;
  }
  uint64_t bits = qcc_dtype_bits(t->dtype);
  if ((uint64_t)known / 8 > limit / (bits ? bits : 8))
    return qcc_shape_limit(f, "output %u has %lld elements or more; the limit is %llu bytes (max-run-bytes)", k, (long long)known,
                           (unsigned long long)limit);
  return QCC_OK;
}

qcc_status qcc_infer_node(qcc_infer *f) {
  const qcc_node *n = f->node;
  for (uint32_t k = 0; k < n->out_count; k++) f->out[k] = qcc_type_unknown();
  if (n->op == QCC_OP_OPAQUE) return QCC_OK;
  if (f->opset < 1) f->opset = 13; // not imported: a graph in the making
  QCC_TRY(check_arity(f));
  QCC_TRY(rules[n->op](f));
  for (uint32_t k = 0; k < n->out_count; k++) QCC_TRY(check_size(f, k));
  return QCC_OK;
}

/* Operators of other domains whose shapes nobody needs: value_info decides. */
qcc_status qcc_shape_opaque(qcc_infer *f) {
  (void)f;
  return QCC_OK;
}
