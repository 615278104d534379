/* SPDX-License-Identifier: Apache-2.0
 * Operators that make or mask elements by position: Range, EyeLike, Trilu, CumSum, NonZero. */
#include "backends/ref/kernels/kutil.h"

qcc_status qcc_kernel_range(qcc_kargs *k) {
  qcc_dtype t = k->in[0]->type.dtype;
  double count;
  void *out;
  for (uint32_t i = 0; i < 3; ++i) {
    if (qcc_tensor_count(k->in[i]) != 1 || k->in[i]->type.dtype != t)
      return qcc_kx_fail(k, QCC_DATA, "D-830", "input %u must be one number of the common type", i);
  }
  if (!qcc_kx_is_float(t) && !qcc_dtype_is_int(t)) return qcc_kx_no_type(k, t);
  double start = qcc_tensor_get(k->in[0], 0), limit = qcc_tensor_get(k->in[1], 0), delta = qcc_tensor_get(k->in[2], 0);
  count = ceil((limit - start) / delta);
  if (delta == 0 || count != count || count > 1e15)
    return qcc_kx_fail(k, QCC_DATA, "D-831", "a range from %g to %g by %g has no end", start, limit, delta);
  qcc_type type = qcc_type_of(t, 1, (int64_t[]){count > 0 ? (int64_t)count : 0});
  QCC_TRY(qcc_kx_out(k, 0, &type, &out));
  int64_t s = qcc_dtype_is_int(t) ? qcc_tensor_get_s64(k->in[0], 0) : 0, d = qcc_dtype_is_int(t) ? qcc_tensor_get_s64(k->in[2], 0) : 0;
  for (int64_t i = 0; out && i < type.dim[0]; ++i) {
    if (qcc_dtype_is_int(t))
      qcc_kx_put_s64(t, out, i, (int64_t)((uint64_t)s + (uint64_t)i * (uint64_t)d));
    else
      qcc_kx_put(t, out, i, start + (double)i * delta);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_eye_like(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t dtype = qcc_attr_int(k->node, "dtype", x->dtype), shift = qcc_attr_int(k->node, "k", 0);
  size_t elem;
  void *out;
  if (x->rank != 2) return qcc_kx_fail(k, QCC_DATA, "D-771", "rank %d; a matrix is needed", x->rank);
  if (dtype <= 0 || dtype >= QCC_DTYPE_COUNT)
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-760", "the target type %lld is unknown", (long long)dtype);
  qcc_type t = qcc_kx_like(x, (qcc_dtype)dtype);
  QCC_TRY(qcc_kx_elem(k, t.dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out) return QCC_OK;
  memset(out, 0, (size_t)qcc_tensor_count(&k->out[0]) * elem);
  for (int64_t i = 0; i < t.dim[0]; ++i) {
    int64_t j;
    if (qcc_add_s64(i, shift, &j) && j >= 0 && j < t.dim[1]) qcc_kx_put(t.dtype, out, i * t.dim[1] + j, 1);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_trilu(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0], *diagonal = qcc_kx_in(k, 1);
  bool upper = qcc_attr_int(k->node, "upper", 1) != 0;
  size_t elem;
  void *out;
  if (x->type.rank < 2) return qcc_kx_fail(k, QCC_DATA, "D-771", "rank %d; at least 2 is needed", x->type.rank);
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, &x->type, &out));
  int64_t shift = diagonal && qcc_tensor_count(diagonal) ? qcc_tensor_get_s64(diagonal, 0) : 0;
  int64_t h = x->type.dim[x->type.rank - 2], w = x->type.dim[x->type.rank - 1], rows = w ? qcc_tensor_count(x) / w : 0;
  for (int64_t r = 0; out && r < rows; ++r) {
    int64_t cut, from = 0, to = w; /* kept columns [from, to) */
    char *row = (char *)out + r * w * (int64_t)elem;
    if (!qcc_add_s64(r % h, shift, &cut)) cut = shift > 0 ? INT64_MAX - 1 : INT64_MIN;
    if (upper)
      from = cut < 0 ? 0 : cut > w ? w : cut;
    else
      to = cut < 0 ? 0 : cut >= w ? w : cut + 1;
    memset(row, 0, (size_t)w * elem);
    memcpy(row + from * (int64_t)elem, (const char *)x->data + (r * w + from) * (int64_t)elem, (size_t)(to - from) * elem);
  }
  return QCC_OK;
}

/* Running sum or product along an axis; integers wrap. */
static qcc_status cumulate(qcc_kargs *k, bool product) {
  const qcc_tensor *x = k->in[0];
  qcc_dtype t = x->type.dtype;
  bool exclusive = qcc_attr_int(k->node, "exclusive", 0) != 0, reverse = qcc_attr_int(k->node, "reverse", 0) != 0;
  int axis;
  void *out;
  if (!qcc_kx_is_float(t) && !qcc_dtype_is_int(t)) return qcc_kx_no_type(k, t);
  if (qcc_tensor_count(k->in[1]) != 1) return qcc_kx_fail(k, QCC_DATA, "D-832", "the axis must be one number");
  QCC_TRY(qcc_kx_axis(k, qcc_tensor_get_s64(k->in[1], 0), x->type.rank, &axis));
  QCC_TRY(qcc_kx_out(k, 0, &x->type, &out));
  int64_t n = x->type.dim[axis], inner = qcc_kx_product(x->type.dim, axis + 1, x->type.rank),
          lines = qcc_kx_product(x->type.dim, 0, axis) * inner;
  for (int64_t l = 0; out && l < lines; ++l) {
    double sum = product;
    uint64_t whole = product;
    for (int64_t i = 0; i < n; ++i) {
      int64_t at = (l / inner * n + (reverse ? n - 1 - i : i)) * inner + l % inner;
      double before = sum;
      uint64_t whole_before = whole;
      if (qcc_dtype_is_int(t)) {
        const uint64_t v = (uint64_t)qcc_tensor_get_s64(x, at);
        whole = product ? whole * v : whole + v;
        qcc_kx_put_s64(t, out, at, (int64_t)(exclusive ? whole_before : whole));
      } else {
        sum = product ? sum * qcc_tensor_get(x, at) : sum + qcc_tensor_get(x, at);
        qcc_kx_put(t, out, at, exclusive ? before : sum);
      }
    }
  }
  return QCC_OK;
}

qcc_status qcc_kernel_cum_sum(qcc_kargs *k) { return cumulate(k, false); }
qcc_status qcc_kernel_cum_prod(qcc_kargs *k) { return cumulate(k, true); }

static bool is_zero(const char *p, size_t elem, qcc_dtype t) {
  uint8_t any = 0;
  for (size_t i = 0; i < elem; ++i) any |= (uint8_t)p[i];
  if (!any) return true;
  if (t == QCC_F32) return *(const float *)(const void *)p == 0;
  if (t == QCC_F64) return *(const double *)(const void *)p == 0;
  uint16_t half;
  if (t != QCC_F16 && t != QCC_BF16) return false;
  memcpy(&half, p, sizeof half);
  return (half & 0x7fff) == 0;
}

qcc_status qcc_kernel_non_zero(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  const char *from = x->data;
  size_t elem;
  void *out;
  int64_t n = qcc_tensor_count(x), found = 0, at = 0;
  int rank = x->type.rank;
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  for (int64_t i = 0; i < n; ++i) found += !is_zero(from + i * (int64_t)elem, elem, x->type.dtype);
  qcc_type t = qcc_type_of(QCC_S64, 2, (int64_t[]){rank, found});
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  int64_t *to = out;
  for (int64_t i = 0; to && rank && i < n; ++i) {
    if (is_zero(from + i * (int64_t)elem, elem, x->type.dtype)) continue;
    int64_t rest = i;
    for (int d = rank - 1; d >= 0; rest /= x->type.dim[d--]) to[d * found + at] = rest % x->type.dim[d];
    ++at;
  }
  return QCC_OK;
}
