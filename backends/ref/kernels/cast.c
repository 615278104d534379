/* SPDX-License-Identifier: Apache-2.0
 * Cast and CastLike: the conversion itself is qcc_tensor_cast; common pairs, and text, have loops here. */
#include "backends/ref/kernels/kutil.h"

/* Floats to 2 and 4 bit integers: the fraction goes, then the high bits, as in a cast by way of a wider integer. */
static void cast_packed(const qcc_tensor *x, uint8_t *to, qcc_dtype t) {
  unsigned bits = qcc_dtype_bits(t), per_byte = 8 / bits, mask = (1u << bits) - 1;
  for (int64_t i = 0, n = qcc_tensor_count(x); i < n; ++i) {
    double v = trunc(qcc_tensor_get(x, i));
    unsigned code = v > -1e18 && v < 1e18 ? (unsigned)((uint64_t)(int64_t)v & mask) : 0, at = (unsigned)((uint64_t)i % per_byte);
    if (at == 0) to[(uint64_t)i / per_byte] = 0;
    to[(uint64_t)i / per_byte] = (uint8_t)(to[(uint64_t)i / per_byte] | code << at * bits);
  }
}

/* 8 bit floats with saturate = 0: numbers whose rounding leaves the range become infinite, or NaN where there is no infinity. */
static void overflow_f8(const qcc_tensor *x, uint8_t *to, qcc_dtype t) {
  double end = t == QCC_F8E4M3FN ? 464 : t == QCC_F8E4M3FNUZ ? 248 : 61440;
  for (int64_t i = 0, n = qcc_tensor_count(x); i < n; ++i) {
    double v = qcc_tensor_get(x, i), size = fabs(v);
    bool over = t == QCC_F8E4M3FN ? size > end : size >= end; /* a tie goes to the even neighbour */
    unsigned sign = signbit(v) ? 0x80 : 0;
    if (over) to[i] = (uint8_t)(t == QCC_F8E4M3FN ? sign | 0x7f : t == QCC_F8E5M2 ? sign | 0x7c : 0x80);
  }
}

/* ---- numbers as text: the fewest digits that read back */
static size_t print_number(char *to, const qcc_tensor *x, int64_t i) {
  enum { ROOM = 40 };
  if (x->type.dtype == QCC_U64) return qcc_format(to, ROOM, "%llu", (unsigned long long)((const uint64_t *)x->data)[i]);
  if (qcc_dtype_is_int(x->type.dtype)) return qcc_format(to, ROOM, "%lld", (long long)qcc_tensor_get_s64(x, i));
  const double v = qcc_tensor_get(x, i);
  if (isnan(v)) return qcc_format(to, ROOM, "NaN");
  if (isinf(v)) return qcc_format(to, ROOM, v < 0 ? "-INF" : "INF");
  return x->type.dtype == QCC_F64 ? qcc_print_f64(to, v) : qcc_print_f32(to, (float)v);
}

static qcc_status to_text(qcc_kargs *k, const qcc_tensor *x) {
  const qcc_type t = qcc_kx_like(&x->type, QCC_STRING);
  const int64_t n = qcc_tensor_count(x);
  qcc_bytes *to = qcc_kscratch(k, ((size_t)n + 1) * sizeof *to);
  char *text = qcc_kscratch(k, ((size_t)n + 1) * 40);
  if (!to || !text) return QCC_NOMEM;
  for (int64_t i = 0; i < n; ++i) to[i] = (qcc_bytes){text + i * 40, print_number(text + i * 40, x, i)};
  return qcc_kx_put_text(k, 0, &t, to);
}

static bool same_letters(qcc_bytes s, const char *word) {
  size_t i = 0;
  while (i < s.n && word[i] && (s.at[i] | 0x20) == word[i]) ++i;
  return i == s.n && !word[i];
}

/* Plain and scientific notation; NaN and the infinities in any case. */
static bool read_number(qcc_bytes s, double *to) {
  const bool sign = s.n && (*s.at == '-' || *s.at == '+'), minus = sign && *s.at == '-';
  const qcc_bytes rest = {s.at + sign, s.n - sign};
  *to = same_letters(rest, "nan") ? (double)NAN : (double)INFINITY;
  if (!same_letters(rest, "nan") && !same_letters(rest, "inf") && !same_letters(rest, "infinity")) {
    if (!rest.n || *rest.at == '-' || *rest.at == '+' || qcc_read_f64(rest.at, rest.n, to) != rest.n) return false;
  }
  if (minus) *to = -*to;
  return true;
}

static qcc_status from_text(qcc_kargs *k, const qcc_tensor *x, qcc_dtype dtype) {
  const qcc_type t = qcc_kx_like(&x->type, dtype);
  const qcc_bytes *text;
  void *out;
  if (dtype == QCC_STRING) return qcc_kx_pass_on(k, 0, x);
  if (!qcc_kx_is_float(dtype) && (!qcc_dtype_is_int(dtype) || qcc_dtype_bits(dtype) < 8)) return qcc_kx_no_type(k, dtype);
  QCC_TRY(qcc_kx_text(k, x, &text));
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  for (int64_t i = 0, n = out ? qcc_tensor_count(x) : 0; i < n; ++i) {
    int64_t whole;
    double v;
    if (qcc_dtype_is_int(dtype) && text[i].n && qcc_read_s64(text[i].at, text[i].n, &whole) == text[i].n) {
      qcc_kx_put_s64(dtype, out, i, whole);
      continue;
    }
    if (!read_number(text[i], &v) || (qcc_dtype_is_int(dtype) && isnan(v)))
      return qcc_kx_fail(k, QCC_DATA, "D-292", "string %lld is no number of type %s", (long long)i, qcc_dtype_name(dtype));
    qcc_kx_put(dtype, out, i, v);
  }
  return QCC_OK;
}

static qcc_status cast_to(qcc_kargs *k, qcc_dtype to) {
  const qcc_tensor *x = k->in[0];
  qcc_type t = qcc_kx_like(&x->type, to);
  qcc_tensor y = {0};
  int64_t n = qcc_tensor_count(x);
  void *out;
  if (qcc_dtype_kind(x->type.dtype) == QCC_KIND_COMPLEX || qcc_tensor_is_list(x)) return qcc_kx_no_type(k, x->type.dtype);
  if (x->type.dtype == QCC_STRING) return from_text(k, x, to);
  if (to == QCC_STRING) return to_text(k, x);
  if (qcc_dtype_bits(to) == 0) return qcc_kx_no_type(k, to);
  if (qcc_dtype_kind(to) == QCC_KIND_COMPLEX) return qcc_kx_no_type(k, to);
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out) return QCC_OK;
  if (to == x->type.dtype) {
    memmove(out, x->data, x->bytes);
  } else if (to == QCC_F32) {
    qcc_tensor_read_f32(x, out);
  } else if (to == QCC_S64 && x->type.dtype == QCC_S32) {
    for (int64_t i = 0; i < n; ++i) ((int64_t *)out)[i] = ((const int32_t *)x->data)[i];
  } else if (to == QCC_S32 && x->type.dtype == QCC_S64) {
    for (int64_t i = 0; i < n; ++i) ((int32_t *)out)[i] = (int32_t)((const int64_t *)x->data)[i];
  } else if (qcc_dtype_is_int(to) && qcc_dtype_bits(to) < 8 && qcc_kx_is_float(x->type.dtype)) {
    cast_packed(x, out, to);
  } else {
    QCC_TRY(qcc_tensor_cast(&y, k->cx, x, to));
    memcpy(out, y.data, k->out[0].bytes);
    qcc_tensor_release(&y);
    if (qcc_dtype_is_f8(to) && !qcc_attr_int(k->node, "saturate", 1)) overflow_f8(x, out, to);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_cast(qcc_kargs *k) {
  int64_t to = qcc_attr_int(k->node, "to", 0);
  if (to <= 0 || to >= QCC_DTYPE_COUNT) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-760", "the target type %lld is unknown", (long long)to);
  return cast_to(k, (qcc_dtype)to);
}

qcc_status qcc_kernel_cast_like(qcc_kargs *k) { return cast_to(k, k->in[1]->type.dtype); }

qcc_status qcc_kernel_bit_cast(qcc_kargs *k) {
  const qcc_type t = qcc_kx_like(&k->in[0]->type, (qcc_dtype)qcc_attr_int(k->node, "to", 0));
  void *to;
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  if (to) memmove(to, k->in[0]->data, k->out[0].bytes);
  return QCC_OK;
}
