/* SPDX-License-Identifier: Apache-2.0
 * Operators that keep the bytes and change the shape (Reshape Squeeze Unsqueeze Flatten Identity Dropout), and those that speak of
 * shapes (Constant ConstantOfShape Shape Size). Work for every element type, packed ones included. */
#include "backends/ref/kernels/kutil.h"

/* Strings have a size that their type does not give. */
static qcc_status same_bytes(qcc_kargs *k, const qcc_type *t) {
  const qcc_tensor *x = k->in[0];
  void *to;
  if (x->type.dtype == QCC_STRING) {
    QCC_TRY(qcc_kx_pass_on(k, 0, x));
    if (k->want[0]) k->out[0].type = *t;
    return QCC_OK;
  }
  QCC_TRY(qcc_kx_out(k, 0, t, &to));
  if (!to) return QCC_OK;
  if (k->out[0].bytes != x->bytes) {
    return qcc_kx_fail(k, QCC_DATA, "D-720", "%lld elements do not fill the new shape", (long long)qcc_tensor_count(x));
  }
  if (to != x->data) memmove(to, x->data, x->bytes);
  return QCC_OK;
}

qcc_status qcc_kernel_identity(qcc_kargs *k) {
  return qcc_tensor_is_list(k->in[0]) ? qcc_kx_pass_on(k, 0, k->in[0]) : same_bytes(k, &k->in[0]->type);
}

qcc_status qcc_kernel_dropout(qcc_kargs *k) {
  qcc_type mask = qcc_kx_like(&k->in[0]->type, k->opset < 10 ? k->in[0]->type.dtype : QCC_BOOL);
  const qcc_tensor *ratio = qcc_kx_in(k, 1), *training = qcc_kx_in(k, 2);
  double rate = ratio && qcc_tensor_count(ratio) > 0 ? qcc_tensor_get(ratio, 0) : 0.5;
  void *to;
  if (training && qcc_tensor_count(training) > 0 && qcc_tensor_get_s64(training, 0) && rate != 0) { return qcc_kx_drop(k, rate); }
  QCC_TRY(qcc_kx_out(k, 1, &mask, &to));
  if (to) {
    if (mask.dtype != QCC_BOOL) return qcc_kx_no_type(k, mask.dtype);
    memset(to, 1, k->out[1].bytes);
  }
  return same_bytes(k, &k->in[0]->type);
}

qcc_status qcc_kernel_reshape(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t dim[QCC_MAX_RANK], known = 1, total = qcc_tensor_count(k->in[0]);
  int rank, open = -1;
  bool zero_is_zero = qcc_attr_int(k->node, "allowzero", 0) != 0;
  QCC_TRY(qcc_kx_ints(k, 1, "shape", dim, QCC_MAX_RANK, &rank));
  if (rank < 0) rank = 0;
  for (int d = 0; d < rank; ++d) {
    if (dim[d] == 0 && !zero_is_zero) dim[d] = d < x->rank ? x->dim[d] : -2;
    if (dim[d] < -1 || (dim[d] == -1 && open >= 0)) {
      return qcc_kx_fail(k, QCC_DATA, "D-722", "shape entry %d is %lld; at most one may be -1, 0 copies a size of the input", d,
                         (long long)dim[d]);
    }
    if (dim[d] == -1)
      open = d;
    else if (!qcc_mul_s64(known, dim[d], &known))
      return qcc_kx_fail(k, QCC_DATA, "D-723", "the shape has more elements than 64 bits count");
  }
  if (open >= 0) dim[open] = known ? total / known : 0;
  if ((open >= 0 ? known * dim[open] : known) != total) {
    return qcc_kx_fail(k, QCC_DATA, "D-720", "%lld elements do not fill the new shape", (long long)total);
  }
  qcc_type t = qcc_type_of(x->dtype, rank, dim);
  return same_bytes(k, &t);
}

/* Axes as a bit set over `rank`. */
static qcc_status axis_set(qcc_kargs *k, const int64_t *axes, int n, int rank, uint32_t *set) {
  *set = 0;
  for (int i = 0; i < n; ++i) {
    int a;
    QCC_TRY(qcc_kx_axis(k, axes[i], rank, &a));
    if (*set & 1u << a) return qcc_kx_fail(k, QCC_DATA, "D-724", "axis %d is listed twice", a);
    *set |= 1u << a;
  }
  return QCC_OK;
}

qcc_status qcc_kernel_squeeze(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t axes[QCC_MAX_RANK];
  int n;
  uint32_t set = 0;
  qcc_type t = {.dtype = x->dtype};
  QCC_TRY(qcc_kx_ints(k, 1, "axes", axes, QCC_MAX_RANK, &n));
  if (n >= 0) QCC_TRY(axis_set(k, axes, n, x->rank, &set));
  for (int d = 0; d < x->rank; ++d) {
    bool drop = n >= 0 ? set >> d & 1 : x->dim[d] == 1;
    if (drop && x->dim[d] != 1)
      return qcc_kx_fail(k, QCC_DATA, "D-725", "axis %d has size %lld; only size 1 can be squeezed", d, (long long)x->dim[d]);
    if (!drop) t.dim[t.rank++] = x->dim[d];
  }
  return same_bytes(k, &t);
}

qcc_status qcc_kernel_unsqueeze(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t axes[QCC_MAX_RANK];
  int n, from = 0;
  uint32_t set;
  QCC_TRY(qcc_kx_ints(k, 1, "axes", axes, QCC_MAX_RANK, &n));
  if (n < 0) n = 0;
  if (x->rank + n > QCC_MAX_RANK) return qcc_kx_fail(k, QCC_LIMIT, "L-726", "rank %d is above the limit of %d", x->rank + n, QCC_MAX_RANK);
  QCC_TRY(axis_set(k, axes, n, x->rank + n, &set));
  qcc_type t = {.dtype = x->dtype, .rank = (int8_t)(x->rank + n)};
  for (int d = 0; d < t.rank; ++d) t.dim[d] = set >> d & 1 ? 1 : x->dim[from++];
  return same_bytes(k, &t);
}

qcc_status qcc_kernel_flatten(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t axis = qcc_attr_int(k->node, "axis", 1);
  if (axis < 0) axis += x->rank;
  if (axis < 0 || axis > x->rank) return qcc_kx_fail(k, QCC_DATA, "D-703", "axis %lld is outside the rank %d", (long long)axis, x->rank);
  int64_t dim[2] = {qcc_kx_product(x->dim, 0, (int)axis), qcc_kx_product(x->dim, (int)axis, x->rank)};
  qcc_type t = qcc_type_of(x->dtype, 2, dim);
  return same_bytes(k, &t);
}

/* ---- constants */
static qcc_status emit(qcc_kargs *k, qcc_dtype dtype, int rank, int64_t count, const void *bytes) {
  qcc_type t = qcc_type_of(dtype, rank, &count);
  void *to;
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  if (to && k->out[0].bytes) memcpy(to, bytes, k->out[0].bytes);
  return QCC_OK;
}

qcc_status qcc_kernel_constant(qcc_kargs *k) {
  const qcc_attr *a = k->node->attrs;
  void *to;
  for (; a; a = a->next) {
    switch (a->kind) {
      case QCC_ATTR_TENSOR:
        if (a->t->type.dtype == QCC_STRING) return qcc_kx_pass_on(k, 0, a->t);
        QCC_TRY(qcc_kx_out(k, 0, &a->t->type, &to));
        if (to) memcpy(to, a->t->data, a->t->bytes);
        return QCC_OK;
      case QCC_ATTR_INT: return emit(k, QCC_S64, 0, 1, &a->i);
      case QCC_ATTR_FLOAT: return emit(k, QCC_F32, 0, 1, &a->f);
      case QCC_ATTR_INTS: return emit(k, QCC_S64, 1, a->count, a->ints);
      case QCC_ATTR_FLOATS: return emit(k, QCC_F32, 1, a->count, a->floats);
      case QCC_ATTR_STRING: return qcc_kx_put_text(k, 0, &(qcc_type){.dtype = QCC_STRING}, &a->s);
      case QCC_ATTR_STRINGS: return qcc_kx_put_text(k, 0, &(qcc_type){.dtype = QCC_STRING, .rank = 1, .dim = {a->count}}, a->strings);
      default: break;
    }
  }
  return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-727", "this kind of Constant value has no kernel (a sparse tensor)");
}

qcc_status qcc_kernel_constant_of_shape(qcc_kargs *k) {
  const qcc_tensor *value = qcc_attr_tensor(k->node, "value");
  int64_t dim[QCC_MAX_RANK], all = 1;
  int rank;
  size_t elem;
  float zero = 0;
  void *to;
  qcc_dtype dtype = value ? value->type.dtype : QCC_F32;
  QCC_TRY(qcc_kx_elem(k, dtype, &elem));
  if (value && qcc_tensor_count(value) < 1) return qcc_kx_fail(k, QCC_DATA, "D-728", "attribute value is empty, one element is needed");
  QCC_TRY(qcc_kx_ints(k, 0, NULL, dim, QCC_MAX_RANK, &rank));
  for (int d = 0; d < rank; ++d) {
    if (dim[d] < 0 || !qcc_mul_s64(all, dim[d], &all))
      return qcc_kx_fail(k, QCC_DATA, "D-729", "size %lld of axis %d cannot be", (long long)dim[d], d);
  }
  qcc_type t = qcc_type_of(dtype, rank < 0 ? 0 : rank, dim);
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  if (to) qcc_kx_fill(to, value ? value->data : (const void *)&zero, elem, qcc_tensor_count(&k->out[0]));
  return QCC_OK;
}

static int64_t clamp_axis(int64_t a, int rank) {
  if (a < 0) a += rank;
  return a < 0 ? 0 : a > rank ? rank : a;
}

qcc_status qcc_kernel_shape(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t from = clamp_axis(qcc_attr_int(k->node, "start", 0), x->rank), to = clamp_axis(qcc_attr_int(k->node, "end", x->rank), x->rank);
  return emit(k, QCC_S64, 1, to > from ? to - from : 0, x->dim + from);
}

qcc_status qcc_kernel_size(qcc_kargs *k) {
  int64_t n = qcc_tensor_count(k->in[0]);
  return emit(k, QCC_S64, 0, 1, &n);
}
