/* SPDX-License-Identifier: Apache-2.0
 * Reading, writing and combining single elements: the slow, general path that scatter, integer reductions and small operators use. */
#include "backends/ref/kernels/kutil.h"

#define COMBINE(T, W)                                      \
  {                                                        \
    T a, b;                                                \
    memcpy(&a, slot, sizeof a);                            \
    memcpy(&b, value, sizeof b);                           \
    switch (op) {                                          \
      case QCC_KX_SET: a = b; break;                       \
      case QCC_KX_ADD: a = (T)((W)a + (W)b); break;        \
      case QCC_KX_MUL: a = (T)((W)a * (W)b); break;        \
      case QCC_KX_MAX: a = a > b || a != a ? a : b; break; \
      case QCC_KX_MIN: a = a < b || a != a ? a : b; break; \
    }                                                      \
    memcpy(slot, &a, sizeof a);                            \
    return true;                                           \
  }

static bool combine_half(qcc_dtype t, void *slot, const void *value, qcc_kx_combine op) {
  uint16_t a, b;
  memcpy(&a, slot, sizeof a);
  memcpy(&b, value, sizeof b);
  float x = t == QCC_F16 ? qcc_f16_to_f32(a) : qcc_bf16_to_f32(a), y = t == QCC_F16 ? qcc_f16_to_f32(b) : qcc_bf16_to_f32(b);
  qcc_kx_combine_at(QCC_F32, &x, &y, op);
  a = t == QCC_F16 ? qcc_f32_to_f16(x) : qcc_f32_to_bf16(x);
  memcpy(slot, &a, sizeof a);
  return true;
}

bool qcc_kx_combine_at(qcc_dtype t, void *slot, const void *value, qcc_kx_combine op) {
  if (op == QCC_KX_SET) {
    memcpy(slot, value, qcc_dtype_bits(t) / 8);
    return true;
  }
  switch (t) {
    case QCC_F32: COMBINE(float, float)
    case QCC_F64: COMBINE(double, double)
    case QCC_S8: COMBINE(int8_t, uint32_t)
    case QCC_S16: COMBINE(int16_t, uint32_t)
    case QCC_S32: COMBINE(int32_t, uint32_t)
    case QCC_S64: COMBINE(int64_t, uint64_t)
    case QCC_U8: COMBINE(uint8_t, uint32_t)
    case QCC_U16: COMBINE(uint16_t, uint32_t)
    case QCC_U32: COMBINE(uint32_t, uint32_t)
    case QCC_U64: COMBINE(uint64_t, uint64_t)
    case QCC_F16:
    case QCC_BF16: return combine_half(t, slot, value, op);
    default: return false;
  }
}

void qcc_kx_put_s64(qcc_dtype t, void *to, int64_t i, int64_t v) {
  size_t elem = qcc_dtype_bits(t) / 8;
  if (t == QCC_BOOL)
    ((uint8_t *)to)[i] = v != 0;
  else if (qcc_dtype_is_int(t))
    memcpy((char *)to + (size_t)i * elem, &v, elem); /* little-endian */
  else
    qcc_kx_put(t, to, i, (double)v);
}

static int64_t truncate_to(qcc_dtype t, double v) {
  double lo = (double)qcc_dtype_min(t), hi = (double)qcc_dtype_max(t);
  if (v != v) return 0;
  if (t == QCC_U64 && v >= 9223372036854775808.0) return (int64_t)(v >= 18446744073709551615.0 ? UINT64_MAX : (uint64_t)v);
  return v <= lo ? qcc_dtype_min(t) : v >= hi ? qcc_dtype_max(t) : (int64_t)v;
}

void qcc_kx_put(qcc_dtype t, void *to, int64_t i, double v) {
  float narrow = (float)v;
  size_t elem = qcc_dtype_bits(t) / 8;
  if (t == QCC_F32)
    ((float *)to)[i] = narrow;
  else if (t == QCC_F64)
    ((double *)to)[i] = v;
  else if (t == QCC_F16 || t == QCC_BF16)
    qcc_kx_from_f32(t, (uint16_t *)to + i, &narrow, 1);
  else if (t == QCC_BOOL)
    ((uint8_t *)to)[i] = v != 0;
  else if (qcc_dtype_is_int(t) && elem)
    qcc_kx_put_s64(t, to, i, truncate_to(t, v));
}
