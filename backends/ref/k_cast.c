/* SPDX-License-Identifier: Apache-2.0
 * Cast and CastLike: the conversion itself is qcc_tensor_cast; common pairs have loops here. */
#include "backends/ref/kutil.h"

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

static bool is_f8(qcc_dtype t) { return t == QCC_F8E4M3FN || t == QCC_F8E4M3FNUZ || t == QCC_F8E5M2 || t == QCC_F8E5M2FNUZ; }

static qcc_status cast_to(qcc_kargs *k, qcc_dtype to) {
  const qcc_tensor *x = k->in[0];
  qcc_type t = qcc_kx_like(&x->type, to);
  qcc_tensor y = {0};
  int64_t n = qcc_tensor_count(x);
  void *out;
  if (to == QCC_STRING || x->type.dtype == QCC_STRING || qcc_dtype_bits(to) == 0) return qcc_kx_no_type(k, QCC_STRING);
  if (qcc_dtype_kind(to) == QCC_KIND_COMPLEX || qcc_dtype_kind(x->type.dtype) == QCC_KIND_COMPLEX) return qcc_kx_no_type(k, to);
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
    if (is_f8(to) && !qcc_attr_int(k->node, "saturate", 1)) overflow_f8(x, out, to);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_cast(qcc_kargs *k) {
  int64_t to = qcc_attr_int(k->node, "to", 0);
  if (to <= 0 || to >= QCC_DTYPE_COUNT) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-760", "the target type %lld is unknown", (long long)to);
  return cast_to(k, (qcc_dtype)to);
}

qcc_status qcc_kernel_cast_like(qcc_kargs *k) { return cast_to(k, k->in[1]->type.dtype); }
