/* SPDX-License-Identifier: Apache-2.0
 * What all shape rules share: reading inputs, attributes and lists with checks that tell what was found and what is allowed. */
#include "ir/shape.h"

#include <string.h>

const qcc_type *qcc_shape_in(const qcc_infer *f, uint32_t k) { return k < f->node->in_count ? f->in[k] : NULL; }

const qcc_tensor *qcc_shape_known(const qcc_infer *f, uint32_t k) { return f->known && k < f->node->in_count ? f->known[k] : NULL; }

const qcc_type *qcc_shape_ranked(const qcc_infer *f, uint32_t k) {
  const qcc_type *t = qcc_shape_in(f, k);
  return t && t->rank >= 0 ? t : NULL;
}

qcc_dtype qcc_shape_dtype(const qcc_infer *f, uint32_t k) {
  const qcc_type *t = qcc_shape_in(f, k);
  return t ? t->dtype : QCC_NONE;
}

qcc_status qcc_shape_need(const qcc_infer *f, uint32_t k) {
  return qcc_shape_in(f, k) ? QCC_OK : qcc_shape_bad(f, QCC_M_ARITY, "input %u is missing", k);
}

void qcc_shape_set(qcc_infer *f, uint32_t k, const qcc_type *t) {
  if (k < f->node->out_count) f->out[k] = *t;
}

qcc_type qcc_shape_type(qcc_dtype dtype, int rank) {
  qcc_type t = qcc_type_unknown();
  t.dtype = dtype;
  t.rank = (int8_t)rank;
  for (int i = 0; i < QCC_MAX_RANK; i++) t.dim[i] = i < rank ? QCC_DIM_UNKNOWN : 0;
  return t;
}

qcc_status qcc_shape_make(qcc_infer *f, qcc_type *t, qcc_dtype dtype, int64_t rank) {
  if (rank > QCC_LIST_MAX) return qcc_shape_bad(f, QCC_M_RANK, "the result has rank %lld; at most 32 is allowed", (long long)rank);
  if (rank > QCC_MAX_RANK)
    return qcc_error(f->cx, QCC_UNSUPPORTED, "U-020", (qcc_loc[]){qcc_node_loc(f->node)}, "the result has rank %lld; qcc holds at most %d",
                     (long long)rank, QCC_MAX_RANK);
  *t = qcc_shape_type(dtype, (int)rank);
  return QCC_OK;
}

qcc_status qcc_shape_axis(const qcc_infer *f, int64_t axis, int rank, int *out) {
  if (qcc_axis(axis, rank, out)) return QCC_OK;
  return qcc_shape_bad(f, QCC_M_INDEX, "axis %lld; allowed is %d to %d", (long long)axis, -rank, rank - 1);
}

qcc_status qcc_shape_rank(const qcc_infer *f, uint32_t k, int lo, int hi) {
  const qcc_type *t = qcc_shape_ranked(f, k);
  if (!t || (t->rank >= lo && t->rank <= hi)) return QCC_OK;
  if (lo == hi) return qcc_shape_bad(f, QCC_M_RANK, "input %u has rank %d, expected %d", k, t->rank, lo);
  return qcc_shape_bad(f, QCC_M_RANK, "input %u has rank %d, expected %d to %d", k, t->rank, lo, hi);
}

qcc_status qcc_shape_fit(const qcc_infer *f, int64_t *into, int64_t other, const char *what) {
  if (*into >= 0 && other >= 0 && *into != other)
    return qcc_shape_bad(f, QCC_M_DIM, "%s: %lld and %lld do not agree", what, (long long)*into, (long long)other);
  if (*into < 0 && (other >= 0 || *into == QCC_DIM_UNKNOWN)) *into = other;
  return QCC_OK;
}

qcc_status qcc_shape_same_dtype(const qcc_infer *f, uint32_t first, uint32_t last) {
  qcc_dtype seen = QCC_NONE;
  for (uint32_t k = first; k <= last && k < f->node->in_count; k++) {
    qcc_dtype t = qcc_shape_dtype(f, k);
    if (t == QCC_NONE) continue;
    if (seen != QCC_NONE && t != seen)
      return qcc_shape_bad(f, QCC_M_DTYPE, "input %u is %s where another is %s; they must be of one type", k, qcc_dtype_name(t),
                           qcc_dtype_name(seen));
    seen = t;
  }
  return QCC_OK;
}

qcc_status qcc_shape_flag(const qcc_infer *f, const char *name, bool fallback, bool *out) {
  int64_t i = qcc_attr_int(f->node, name, fallback);
  if (i != 0 && i != 1) return qcc_shape_bad(f, QCC_M_ATTR, "%s is %lld; allowed is 0 or 1", name, (long long)i);
  *out = i == 1;
  return QCC_OK;
}

qcc_status qcc_shape_choice(const qcc_infer *f, const char *name, const char *const *allowed, int *out) {
  const char *s = qcc_attr_str(f->node, name, allowed[0]);
  char all[200];
  size_t used = 0;
  for (int i = 0; allowed[i]; i++) {
    if (strcmp(s, allowed[i]) == 0) {
      *out = i;
      return QCC_OK;
    }
    if (used < sizeof all) used += qcc_format(all + used, sizeof all - used, "%s%s", i ? ", " : "", allowed[i]);
  }
  return qcc_shape_bad(f, QCC_M_ATTR, "%s is '%.128s'; allowed is %s", name, s, all);
}

qcc_status qcc_shape_dtype_attr(const qcc_infer *f, const char *name, qcc_dtype fallback, qcc_dtype *out) {
  const qcc_attr *a = qcc_attr_find(f->node, name);
  if (a && a->kind == QCC_ATTR_STRING) { // before opset 6 types were spelled out
    static const struct {
      const char *name;
      qcc_dtype dtype;
    } old[] = {{"FLOAT", QCC_F32},  {"UINT8", QCC_U8},   {"INT8", QCC_S8},       {"UINT16", QCC_U16}, {"INT16", QCC_S16},
               {"INT32", QCC_S32},  {"INT64", QCC_S64},  {"STRING", QCC_STRING}, {"BOOL", QCC_BOOL},  {"FLOAT16", QCC_F16},
               {"DOUBLE", QCC_F64}, {"UINT32", QCC_U32}, {"UINT64", QCC_U64}};
    for (size_t i = 0; i < sizeof old / sizeof *old; i++)
      if (strcmp(a->s.at, old[i].name) == 0) {
        *out = old[i].dtype;
        return QCC_OK;
      }
    return qcc_shape_bad(f, QCC_M_ATTR, "%s is '%.128s', which is not an element type", name, a->s.at);
  }
  int64_t i = qcc_attr_int(f->node, name, fallback);
  if (a && (i <= 0 || i >= QCC_DTYPE_COUNT))
    return qcc_shape_bad(f, QCC_M_ATTR, "%s is %lld, which is not an element type", name, (long long)i);
  *out = (qcc_dtype)i;
  return QCC_OK;
}

/* ---- lists */
static qcc_status too_long(const qcc_infer *f, int64_t n) {
  return qcc_shape_bad(f, QCC_M_ATTR, "a list of %lld axes or sizes; at most %d are allowed", (long long)n, QCC_LIST_MAX);
}

static qcc_status list_attr(const qcc_infer *f, const char *name, qcc_list *out) {
  uint32_t n;
  const int64_t *at = qcc_attr_ints(f->node, name, &n);
  if (!at && !qcc_attr_find(f->node, name)) return QCC_OK;
  if (n > QCC_LIST_MAX) return too_long(f, n);
  *out = (qcc_list){.state = QCC_LIST_KNOWN, .n = (int)n};
  for (uint32_t i = 0; i < n; i++) out->at[i] = at[i];
  return QCC_OK;
}

static qcc_status list_known(const qcc_infer *f, int input, const qcc_tensor *t, qcc_list *out) {
  if (!qcc_dtype_is_int(t->type.dtype))
    return qcc_shape_bad(f, QCC_M_DTYPE, "input %d is %s, expected integers", input, qcc_dtype_name(t->type.dtype));
  int64_t n = qcc_tensor_count(t);
  if (n > QCC_LIST_MAX) return too_long(f, n);
  out->state = QCC_LIST_KNOWN;
  out->n = (int)n;
  for (int i = 0; i < out->n; i++) out->at[i] = qcc_tensor_get_s64(t, i);
  return QCC_OK;
}

qcc_status qcc_shape_list(const qcc_infer *f, const char *attr, int input, qcc_list *out) {
  *out = (qcc_list){.state = QCC_LIST_ABSENT};
  if (attr) return list_attr(f, attr, out);
  const qcc_type *t = input >= 0 ? qcc_shape_in(f, (uint32_t)input) : NULL;
  if (!t) return QCC_OK;
  QCC_TRY(qcc_shape_rank(f, (uint32_t)input, 0, 1));
  const qcc_tensor *known = qcc_shape_known(f, (uint32_t)input);
  if (known) return list_known(f, input, known, out);
  out->state = QCC_LIST_UNKNOWN;
  out->n = -1;
  if (t->rank == 0) out->n = 1;
  if (t->rank == 1 && t->dim[0] > QCC_LIST_MAX) return too_long(f, t->dim[0]);
  if (t->rank == 1 && t->dim[0] >= 0) out->n = (int)t->dim[0];
  return QCC_OK;
}

qcc_status qcc_shape_target(const qcc_infer *f, int input, qcc_list *out) {
  QCC_TRY(qcc_shape_list(f, NULL, input, out));
  if (out->state != QCC_LIST_UNKNOWN || !f->partial || !f->partial[input]) return QCC_OK;
  const qcc_entries *e = f->partial[input];
  out->state = QCC_LIST_KNOWN;
  out->n = e->n;
  for (int i = 0; i < e->n; i++) out->at[i] = e->at[i];
  return QCC_OK;
}

qcc_status qcc_shape_axes(const qcc_infer *f, const qcc_list *axes, int rank, uint32_t *set) {
  *set = 0;
  for (int i = 0; i < axes->n; i++) {
    int axis;
    QCC_TRY(qcc_shape_axis(f, axes->at[i], rank, &axis));
    if (*set & 1u << axis) return qcc_shape_bad(f, QCC_M_INDEX, "axis %d is named twice", axis);
    *set |= 1u << axis;
  }
  return QCC_OK;
}

bool qcc_shape_scalar(const qcc_infer *f, uint32_t input, int64_t *out) {
  const qcc_tensor *t = qcc_shape_known(f, input);
  if (!t || qcc_tensor_count(t) != 1 || !qcc_dtype_is_int(t->type.dtype)) return false;
  *out = qcc_tensor_get_s64(t, 0);
  return true;
}
