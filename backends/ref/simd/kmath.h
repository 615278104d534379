/* SPDX-License-Identifier: Apache-2.0
 * Elementary functions in f32 without branches or calls, so that plain loops over them become vector code on every ISA.
 * The includer may define qcc_km_fma(a, b, c) = a * b + c rounded once; without it products are rounded first. Each form gives the same
 * bits everywhere. Error: exp < 1.5 ulp, sigmoid < 3, tanh and erf < 3.4, where not told otherwise. */
#ifndef QCC_KMATH_H
#define QCC_KMATH_H

#include <stdint.h>
#include <string.h>

#ifndef qcc_km_fma
#define qcc_km_fma(a, b, c) ((a) * (b) + (c))
#endif

static inline float qcc_km_from_bits(int32_t i) {
  float f;
  memcpy(&f, &i, sizeof f);
  return f;
}

static inline int32_t qcc_km_bits(float f) {
  int32_t i;
  memcpy(&i, &f, sizeof i);
  return i;
}

/* x in [lo, hi]; NaN stays NaN. Each line is one instruction. */
static inline float qcc_km_clamp(float x, float lo, float hi) {
  float c = hi < x ? hi : x;
  return lo > c ? lo : c;
}

/* e^r of c = n * ln 2 + r with n = round(c / ln 2), which stands in the low bits of *t. */
static inline float qcc_km_exp_part(float c, float *t) {
  *t = qcc_km_fma(c, 1.44269504f, 12582912.0f);
  float n = *t - 12582912.0f, r = qcc_km_fma(n, -0.693359375f, c);
  r = qcc_km_fma(n, 2.12194440e-4f, r);
  float p = qcc_km_fma(1.97903131e-4f, r, 1.39446888e-3f);
  p = qcc_km_fma(p, r, 8.33349725e-3f);
  p = qcc_km_fma(p, r, 4.16662946e-2f);
  p = qcc_km_fma(p, r, 0.166666659f);
  p = qcc_km_fma(p, r, 0.500000007f);
  return qcc_km_fma(p, r * r, r) + 1.0f;
}

/* The power of two in two halves, so that gradual underflow and the last binade work. NaN stays NaN. */
static inline float qcc_km_exp(float x) {
  float t, p = qcc_km_exp_part(qcc_km_clamp(x, -104.0f, 88.73f), &t);
  int32_t e = qcc_km_bits(t) - 0x4B400000, half = e >> 1;
  return p * qcc_km_from_bits((int32_t)((uint32_t)(half + 127) << 23)) * qcc_km_from_bits((int32_t)((uint32_t)(e - half + 127) << 23));
}

/* The same with x held within 86, where n goes straight into the exponent. */
static inline float qcc_km_exp_mid(float x) {
  float t, p = qcc_km_exp_part(qcc_km_clamp(x, -86.0f, 86.0f), &t);
  float y = qcc_km_from_bits((int32_t)((uint32_t)qcc_km_bits(p) + ((uint32_t)qcc_km_bits(t) << 23)));
  return x != x ? x : y;
}

/* Below -86 it stays at e^-86. */
static inline float qcc_km_sigmoid(float x) { return 1.0f / (1.0f + qcc_km_exp_mid(-x)); }

/* Odd polynomial near zero, where the quotient would cancel. */
static inline float qcc_km_tanh(float x) {
  float a = x < 0.0f ? -x : x, s = x * x;
  float big = 1.0f - 2.0f / (qcc_km_exp_mid(a + a) + 1.0f);
  float p = qcc_km_fma(-5.71478e-3f, s, 2.064865e-2f);
  p = qcc_km_fma(p, s, -5.374294e-2f);
  p = qcc_km_fma(p, s, 0.13331485f);
  p = qcc_km_fma(p, s, -0.33333284f);
  float small = qcc_km_fma(p * s, x, x);
  float wide = x < 0.0f ? -big : big;
  return a < 0.625f ? small : wide;
}

/* x times a polynomial of x * x up to 1, then 1 - e^-p with p a polynomial of |x|; both fitted for the least largest error. */
static inline float qcc_km_erf(float x) {
  float s = x * x, a = x < 0.0f ? -x : x;
  float t = 4.0f < a ? 4.0f : a;
  float p = qcc_km_fma(7.8891222e-5f, s, -8.0208422e-4f);
  p = qcc_km_fma(p, s, 5.1895352e-3f);
  p = qcc_km_fma(p, s, -2.6854444e-2f);
  p = qcc_km_fma(p, s, 1.1283600e-1f);
  p = qcc_km_fma(p, s, -3.7612626e-1f);
  float small = qcc_km_fma(p, s, 1.1283791f) * x;
  float q = qcc_km_fma(2.1686770e-5f, t, -4.4133537e-4f);
  q = qcc_km_fma(q, t, 4.2045568e-3f);
  q = qcc_km_fma(q, t, -2.5208242e-2f);
  q = qcc_km_fma(q, t, 1.0841855e-1f);
  q = qcc_km_fma(q, t, 6.3321990e-1f);
  q = qcc_km_fma(q, t, 1.1295785f);
  q = qcc_km_fma(q, t, -1.8803742e-4f);
  float big = 1.0f - qcc_km_exp_mid(-q);
  float wide = x < 0.0f ? -big : big;
  return a < 1.0f ? small : wide;
}

static inline float qcc_km_gelu(float x) { return 0.5f * x * (1.0f + qcc_km_erf(x * 0.70710678f)); }

#endif
