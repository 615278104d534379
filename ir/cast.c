/* SPDX-License-Identifier: Apache-2.0
 * Elements of tensors as numbers, whatever their type: reading, writing, conversion of whole tensors.
 * Data may be unaligned (mapped files), so every access copies bytes. Integers stay integers on the way from integer types. */
#include <string.h>

#include "ir/half.h"
#include "ir/quant.h"

/* ---- one element */

/* The raw bits of element i, up to 64. */
static uint64_t load(const void *data, unsigned bits, int64_t i) {
  const uint8_t *at = data;
  uint64_t x = 0;
  if (bits >= 8) {
    memcpy(&x, at + (size_t)i * (bits / 8), bits <= 64 ? bits / 8 : 8);
    return x;
  }
  unsigned per = 8 / bits;
  return (uint64_t)at[(size_t)i / per] >> ((size_t)i % per * bits) & ((1u << bits) - 1);
}

static void store(void *data, unsigned bits, int64_t i, uint64_t x) {
  uint8_t *at = data;
  if (bits >= 8) {
    memcpy(at + (size_t)i * (bits / 8), &x, bits <= 64 ? bits / 8 : 8);
    return;
  }
  unsigned per = 8 / bits, shift = (unsigned)((size_t)i % per * bits), mask = ((1u << bits) - 1) << shift;
  at += (size_t)i / per;
  *at = (uint8_t)((*at & ~mask) | ((unsigned)(x << shift) & mask));
}

static int64_t extend(uint64_t x, unsigned bits) {
  return bits >= 64 ? (int64_t)x : (int64_t)((x ^ (uint64_t)1 << (bits - 1)) - ((uint64_t)1 << (bits - 1)));
}

static double to_double(qcc_dtype t, uint64_t raw) {
  float f;
  double d;
  uint32_t word = (uint32_t)raw;
  switch (qcc_dtype_kind(t)) {
    case QCC_KIND_UINT: return (double)raw;
    case QCC_KIND_SINT: return (double)extend(raw, qcc_dtype_bits(t));
    case QCC_KIND_BOOL: return (raw & 0xff) != 0;
    case QCC_KIND_FLOAT:
      if (t == QCC_F32) {
        memcpy(&f, &word, sizeof f);
        return (double)f;
      }
      if (t != QCC_F64) return qcc_small_decode(t, word);
      memcpy(&d, &raw, sizeof d);
      return d;
    default: return 0;
  }
}

static uint64_t float_bits(qcc_dtype t, double x) {
  float f = (float)x;
  uint32_t word;
  uint64_t raw;
  if (t == QCC_F32) {
    memcpy(&word, &f, sizeof word);
    return word;
  }
  if (t != QCC_F64) return qcc_small_encode(t, x);
  memcpy(&raw, &x, sizeof raw);
  return raw;
}

/* Into the range of an integer type; x is whole or NaN. */
static uint64_t saturate(qcc_dtype t, double x) {
  double lo = (double)qcc_dtype_min(t), hi = (double)qcc_dtype_max(t);
  if (x != x) return 0;
  if (t == QCC_U64) return x <= 0 ? 0 : x >= 0x1p64 ? UINT64_MAX : (uint64_t)x;
  if (x <= lo) return (uint64_t)qcc_dtype_min(t);
  if (x >= hi) return (uint64_t)qcc_dtype_max(t);
  return (uint64_t)(int64_t)x;
}

double qcc_tensor_get(const qcc_tensor *t, int64_t i) {
  unsigned bits = qcc_dtype_bits(t->type.dtype);
  return bits ? to_double(t->type.dtype, load(t->data, bits, i)) : 0;
}

int64_t qcc_tensor_get_s64(const qcc_tensor *t, int64_t i) {
  qcc_dtype dtype = t->type.dtype;
  unsigned bits = qcc_dtype_bits(dtype);
  if (!bits) return 0;
  uint64_t raw = load(t->data, bits, i);
  if (qcc_dtype_kind(dtype) == QCC_KIND_SINT) return extend(raw, bits);
  if (qcc_dtype_kind(dtype) == QCC_KIND_UINT) return raw > INT64_MAX ? INT64_MAX : (int64_t)raw;
  return (int64_t)saturate(QCC_S64, __builtin_trunc(to_double(dtype, raw)));
}

/* x rounded half to even, however large. */
static double round_whole(double x) { return __builtin_fabs(x) < 0x1p52 ? (double)qcc_round_even(x) : x; }

static uint64_t number_bits(qcc_dtype t, double x) {
  if (qcc_dtype_kind(t) == QCC_KIND_FLOAT) return float_bits(t, x);
  if (qcc_dtype_kind(t) == QCC_KIND_BOOL) return x != 0;
  return saturate(t, round_whole(x));
}

void qcc_tensor_set(qcc_tensor *t, int64_t i, double x) {
  unsigned bits = qcc_dtype_bits(t->type.dtype);
  void *data = bits && bits <= 64 ? qcc_tensor_mut(t) : NULL;
  if (data) store(data, bits, i, number_bits(t->type.dtype, x));
}

/* ---- many elements */

static void read_f32(float *to, const void *from, size_t n) { memcpy(to, from, n * sizeof *to); }

static void read_f16(float *to, const void *from, size_t n) {
  const char *at = from;
  for (size_t i = 0; i < n; i++) {
    uint16_t h;
    memcpy(&h, at + 2 * i, 2);
    to[i] = qcc_f16_to_f32(h);
  }
}

static void read_bf16(float *to, const void *from, size_t n) {
  const char *at = from;
  for (size_t i = 0; i < n; i++) {
    uint16_t h;
    memcpy(&h, at + 2 * i, 2);
    to[i] = qcc_bf16_to_f32(h);
  }
}

static void read_u8(float *to, const void *from, size_t n) {
  const uint8_t *at = from;
  for (size_t i = 0; i < n; i++) to[i] = (float)at[i];
}

static void read_s8(float *to, const void *from, size_t n) {
  const int8_t *at = from;
  for (size_t i = 0; i < n; i++) to[i] = (float)at[i];
}

void qcc_tensor_read_f32(const qcc_tensor *t, float *to) {
  size_t n = (size_t)qcc_tensor_count(t);
  if (!n) return;
  switch (t->type.dtype) {
    case QCC_F32: read_f32(to, t->data, n); return;
    case QCC_F16: read_f16(to, t->data, n); return;
    case QCC_BF16: read_bf16(to, t->data, n); return;
    case QCC_U8: read_u8(to, t->data, n); return;
    case QCC_S8: read_s8(to, t->data, n); return;
    default: break;
  }
  bool whole = qcc_dtype_kind(t->type.dtype) == QCC_KIND_SINT;
  for (size_t i = 0; i < n; i++) to[i] = whole ? (float)qcc_tensor_get_s64(t, (int64_t)i) : (float)qcc_tensor_get(t, (int64_t)i);
}

/* ---- conversion. Float to integer truncates and saturates, integer to integer keeps the low bits. */

static uint64_t cast_float(qcc_dtype to, double x) {
  if (qcc_dtype_kind(to) == QCC_KIND_FLOAT) return float_bits(to, x);
  if (qcc_dtype_kind(to) == QCC_KIND_BOOL) return x != 0;
  return saturate(to, __builtin_trunc(x));
}

static uint64_t cast_whole(qcc_dtype to, qcc_dtype from, uint64_t raw) {
  bool sign = qcc_dtype_kind(from) == QCC_KIND_SINT;
  int64_t x = sign ? extend(raw, qcc_dtype_bits(from)) : 0;
  if (qcc_dtype_kind(to) == QCC_KIND_BOOL) return raw != 0;
  if (qcc_dtype_kind(to) != QCC_KIND_FLOAT) return sign ? (uint64_t)x : raw;
  if (to == QCC_F32) { /* rounds once, not through double */
    float f = sign ? (float)x : (float)raw;
    uint32_t word;
    memcpy(&word, &f, sizeof word);
    return word;
  }
  return float_bits(to, sign ? (double)x : (double)raw);
}

static bool has_numbers(qcc_dtype t) {
  qcc_kind k = qcc_dtype_kind(t);
  return k == QCC_KIND_FLOAT || k == QCC_KIND_UINT || k == QCC_KIND_SINT || k == QCC_KIND_BOOL;
}

qcc_status qcc_tensor_cast(qcc_tensor *out, qcc_context *cx, const qcc_tensor *t, qcc_dtype dtype) {
  qcc_type type = t->type;
  qcc_dtype from = type.dtype;
  *out = (qcc_tensor){0};
  if (from == dtype && dtype != QCC_STRING) return qcc_tensor_copy(out, cx, &type, t->data);
  if (!has_numbers(from) || !has_numbers(dtype))
    return qcc_error(cx, QCC_UNSUPPORTED, "U-001", NULL, "a tensor of type %s cannot be converted to %s", qcc_dtype_name(from),
                     qcc_dtype_name(dtype));
  type.dtype = dtype;
  QCC_TRY(qcc_tensor_new(out, cx, &type));
  char *to = qcc_tensor_mut(out);
  unsigned bits = qcc_dtype_bits(dtype), from_bits = qcc_dtype_bits(from);
  if (bits < 8 && out->bytes) memset(to, 0, out->bytes);
  if (dtype == QCC_F32) {
    qcc_tensor_read_f32(t, (float *)(void *)to);
    return QCC_OK;
  }
  int64_t n = qcc_tensor_count(t);
  bool is_float = qcc_dtype_kind(from) == QCC_KIND_FLOAT;
  for (int64_t i = 0; i < n; i++) {
    uint64_t raw = load(t->data, from_bits, i);
    if (qcc_dtype_kind(from) == QCC_KIND_BOOL) raw = raw != 0;
    store(to, bits, i, is_float ? cast_float(dtype, to_double(from, raw)) : cast_whole(dtype, from, raw));
  }
  return QCC_OK;
}
