/* SPDX-License-Identifier: Apache-2.0
 * The rounding function and the loops built on it. One value is quantized as
 *   code = saturate(round_half_even(x / scale) + zero)
 * with a true division in f32. The fast loop clamps x / scale to whole borders first, which gives the same codes because
 * rounding is monotone and leaves whole numbers alone, and rounds by adding 1.5 * 2^23; it is branch-free for vector code. */
#include "ir/fake_quant.h"

int64_t qcc_round_even(double x) {
  const double big = 0x1p52;
  if (x != x) return 0;
  if (x >= 0x1p63) return INT64_MAX;
  if (x <= -0x1p63) return INT64_MIN;
  if (x >= big || x <= -big) return (int64_t)x;
  return (int64_t)(x < 0 ? (x - big) + big : (x + big) - big);
}

int32_t qcc_quantize1(float x, float scale, int32_t zero, int32_t lo, int32_t hi) {
  int64_t q = qcc_round_even((double)(x / scale)), code;
  if (!qcc_add_s64(q, zero, &code)) code = q;
  return (int32_t)(code < lo ? lo : code > hi ? hi : code);
}

float qcc_dequantize1(int32_t q, float scale, int32_t zero) { return (float)((int64_t)q - zero) * scale; }

/* x / scale, clamped to [a, b] and rounded: whole numbers below 2^22. NaN counts as 0. */
static inline float step(float x, float scale, float a, float b) {
  const float magic = 12582912.0f;
  float v = x / scale;
  v = v == v ? v : 0.0f;
  v = v < a ? a : v;
  v = v > b ? b : v;
  return (v + magic) - magic;
}

/* Whether the rounding trick covers all codes as seen from the zero point. */
static bool is_small(int32_t zero, int32_t lo, int32_t hi) {
  const int64_t limit = 1 << 21;
  int64_t a = (int64_t)lo - zero, b = (int64_t)hi - zero;
  return a >= -limit && b <= limit;
}

void qcc_fake_quantize(float *y, const float *x, size_t n, float scale, int32_t zero, int32_t lo, int32_t hi) {
  if (!is_small(zero, lo, hi)) {
    for (size_t i = 0; i < n; i++) y[i] = qcc_dequantize1(qcc_quantize1(x[i], scale, zero, lo, hi), scale, zero);
    return;
  }
  float a = (float)(lo - zero), b = (float)(hi - zero);
  for (size_t i = 0; i < n; i++) y[i] = step(x[i], scale, a, b) * scale;
}

void qcc_quantize_codes(int32_t *codes, const float *x, size_t n, float scale, int32_t zero, int32_t lo, int32_t hi) {
  if (!is_small(zero, lo, hi)) {
    for (size_t i = 0; i < n; i++) codes[i] = qcc_quantize1(x[i], scale, zero, lo, hi);
    return;
  }
  float a = (float)(lo - zero), b = (float)(hi - zero);
  for (size_t i = 0; i < n; i++) codes[i] = (int32_t)step(x[i], scale, a, b) + zero;
}

void qcc_dequantize_codes(float *y, const int32_t *codes, size_t n, float scale, int32_t zero, bool is_narrow) {
  if (is_narrow || zero == 0) {
    for (size_t i = 0; i < n; i++) y[i] = (float)(codes[i] - zero) * scale;
  } else {
    for (size_t i = 0; i < n; i++) y[i] = qcc_dequantize1(codes[i], scale, zero);
  }
}
