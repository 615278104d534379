/* SPDX-License-Identifier: Apache-2.0
 * Elementary functions in f32 without branches or calls, so that plain loops over them become vector code on every ISA.
 * Same bits everywhere (no contraction). Error: exp < 1.5 ulp, tanh and sigmoid < 3 ulp, over the whole range. */
#ifndef QCC_KMATH_H
#define QCC_KMATH_H

#include <stdint.h>
#include <string.h>

static inline float qcc_km_from_bits(int32_t i) {
  float f;
  memcpy(&f, &i, sizeof f);
  return f;
}

/* 2^n * e^r with n = round(x / ln 2), the power in two halves so that gradual underflow and the last binade work. NaN stays NaN. */
static inline float qcc_km_exp(float x) {
  float c = x > 88.73f ? 88.73f : x;
  c = c < -104.0f ? -104.0f : c;
  float t = c * 1.44269504f + 12582912.0f, n = t - 12582912.0f;
  float r = c - n * 0.693359375f;
  r = r - n * -2.12194440e-4f;
  float p = 1.97903131e-4f * r + 1.39446888e-3f;
  p = p * r + 8.33349725e-3f;
  p = p * r + 4.16662946e-2f;
  p = p * r + 0.166666659f;
  p = p * r + 0.500000007f;
  p = p * (r * r) + r + 1.0f;
  int32_t bits;
  memcpy(&bits, &t, sizeof bits);
  int32_t e = bits - 0x4B400000, half = e >> 1;
  float y = p * qcc_km_from_bits((int32_t)((uint32_t)(half + 127) << 23)) * qcc_km_from_bits((int32_t)((uint32_t)(e - half + 127) << 23));
  return x != x ? x : y;
}

static inline float qcc_km_sigmoid(float x) {
  float e = qcc_km_exp(x < 0.0f ? x : -x), d = 1.0f / (1.0f + e);
  return x < 0.0f ? e * d : d;
}

/* Odd polynomial near zero, where the quotient would cancel. */
static inline float qcc_km_tanh(float x) {
  float a = x < 0.0f ? -x : x, s = x * x;
  float e = qcc_km_exp(a + a), big = 1.0f - 2.0f / (e + 1.0f);
  float p = -5.71478e-3f * s + 2.064865e-2f;
  p = p * s - 5.374294e-2f;
  p = p * s + 0.13331485f;
  p = p * s - 0.33333284f;
  float small = p * s * x + x;
  float wide = x < 0.0f ? -big : big;
  return a < 0.625f ? small : wide;
}

#endif
