/* SPDX-License-Identifier: Apache-2.0
 * Quantization arithmetic against a slow oracle, which divides in f32 as the grid demands and does everything else in double with the
 * C library's rounding. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ir/half.h"
#include "ir/quant.h"
#include "tests/oom.h"

static uint64_t next(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  uint64_t x = *seed ^ *seed >> 29;
  return x * 0x9e3779b97f4a7c15u ^ x >> 32;
}

static double unit(uint64_t *seed) { return (double)(next(seed) >> 11) * 0x1p-53; }

static int32_t oracle(float x, float scale, int32_t zero, int32_t lo, int32_t hi) {
  volatile float v = x / scale;
  if (isnan(v)) v = 0;
  double q = rint((double)v) + zero;
  return (int32_t)(q < lo ? lo : q > hi ? hi : q);
}

static bool same_bits(float a, float b) { return memcmp(&a, &b, sizeof a) == 0; }

static void rounding(void **state) {
  (void)state;
  static const struct {
    double x;
    int64_t want;
  } row[] = {{0.5, 0},
             {1.5, 2},
             {2.5, 2},
             {-0.5, 0},
             {-1.5, -2},
             {0.49999999999999994, 0},
             {-2.5, -2},
             {4503599627370495.5, 4503599627370496},
             {4503599627370497.0, 4503599627370497},
             {9007199254740993.0, 9007199254740992},
             {1e300, INT64_MAX},
             {-1e300, INT64_MIN}};
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) assert_true(qcc_round_even(row[i].x) == row[i].want);
  assert_true(qcc_round_even((double)NAN) == 0);
  assert_true(qcc_round_even(0x1p63) == INT64_MAX && qcc_round_even(-0x1p63) == INT64_MIN);
  uint64_t seed = 2;
  for (int i = 0; i < 300000; i++) {
    double x = (unit(&seed) - 0.5) * ldexp(1, (int)(next(&seed) % 62));
    if (i % 3 == 0) x = floor(x) + 0.5;
    assert_true(qcc_round_even(x) == (int64_t)rint(x));
  }
}

/* All finite halves and random floats through every grid: scalar, vector and whole-tensor paths agree with the oracle bit for bit. */
static void check_grid(const float *x, size_t n, qcc_dtype t, float scale, int32_t zero, float *y) {
  int32_t lo = (int32_t)qcc_dtype_min(t), hi = (int32_t)qcc_dtype_max(t);
  qcc_fake_quantize(y, x, n, scale, zero, lo, hi);
  for (size_t i = 0; i < n; i++) {
    int32_t q = qcc_quantize1(x[i], scale, zero, lo, hi), want = oracle(x[i], scale, zero, lo, hi);
    if (q != want) fail_msg("%s: %a / %a gave %d, not %d", qcc_dtype_name(t), (double)x[i], (double)scale, q, want);
    float d = qcc_dequantize1(q, scale, zero), exact = (float)((double)q - zero) * scale;
    if (!same_bits(d, exact) || !same_bits(y[i], d))
      fail_msg("%s: %a came back as %a and %a", qcc_dtype_name(t), (double)x[i], (double)d, (double)y[i]);
  }
}

static void grids(void **state) {
  (void)state;
  static const qcc_dtype all[] = {QCC_U8, QCC_S8, QCC_U16, QCC_S16, QCC_U4, QCC_S4, QCC_S32, QCC_U2, QCC_S2};
  enum { N = 65536 };
  float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  uint64_t seed = 11;
  for (size_t k = 0; k < sizeof all / sizeof all[0]; k++) {
    int64_t span = qcc_dtype_max(all[k]) - qcc_dtype_min(all[k]);
    for (int round = 0; round < 4; round++) {
      float scale = round == 0 ? 1.0f : (float)ldexp(unit(&seed) + 0.5, (int)(next(&seed) % 24) - 12);
      int32_t zero = round == 0 || all[k] == QCC_S32 ? 0 : (int32_t)(qcc_dtype_min(all[k]) + (int64_t)(next(&seed) % (uint64_t)(span + 1)));
      for (uint32_t i = 0; i < N; i++) x[i] = qcc_f16_to_f32((uint16_t)i);
      check_grid(x, N, all[k], scale, zero, y);
      for (uint32_t i = 0; i < N; i++) {
        uint32_t word = (uint32_t)next(&seed);
        memcpy(&x[i], &word, sizeof x[i]);
        if (i % 2) x[i] = (float)((unit(&seed) - 0.5) * 2.2 * (double)span * (double)scale);
        if (i % 8 == 1) x[i] = ((float)(int)(next(&seed) % 600) - 300 + 0.5f) * scale; /* ties */
      }
      check_grid(x, N, all[k], scale, zero, y);
    }
  }
  check_grid(x, 64, QCC_U8, FLT_MIN, 3, y);
  check_grid(x, 64, QCC_U8, FLT_MAX, 3, y);
  qcc_fake_quantize(x, x, 64, 0.1f, 3, 0, 255); /* in place */
  free(x);
  free(y);
}

/* ---- ranges */

static void check_range(double lo, double hi, const qcc_grid *grid) {
  float s = 0;
  int32_t z = 0;
  qcc_range_to_qparams(&s, &z, lo, hi, grid);
  assert_true(s >= FLT_MIN && s <= FLT_MAX && z >= grid->lo && z <= grid->hi);
  assert_true(qcc_dequantize1(z, s, z) == 0);
  double a = lo < 0 ? lo : 0, b = hi > 0 ? hi : 0, step = (double)s * 0.5001;
  if (s <= FLT_MIN || b - a > (double)FLT_MAX) return;
  /* every number of the range is within half a step of a code */
  for (int i = 0; i <= 4; i++) {
    float x = (float)(a + (b - a) * i / 4);
    int32_t q = qcc_quantize1(x, s, z, grid->lo, grid->hi);
    double gap = fabs((double)qcc_dequantize1(q, s, z) - (double)x);
    if (gap > step * 1.001 + fabs((double)x) * 1e-6)
      fail_msg("range [%g, %g]: %g is %g away from its code, step %g", lo, hi, (double)x, gap, (double)s);
  }
}

static void ranges(void **state) {
  (void)state;
  qcc_grid u8 = qcc_grid_u8(), w = qcc_grid_weight(), s8 = {.dtype = QCC_S8, .lo = -128, .hi = 127},
           mid = {.dtype = QCC_U8, .hi = 255, .symmetric = true};
  qcc_grid two = u8, u16 = {.dtype = QCC_U16, .hi = 65535};
  two.pow2 = true;
  const qcc_grid *all[] = {&u8, &w, &s8, &mid, &two, &u16};
  uint64_t seed = 4;
  for (int i = 0; i < 200000; i++) {
    double size = ldexp(1, (int)(next(&seed) % 200) - 100), lo = (unit(&seed) - 0.6) * size, hi = lo + unit(&seed) * size;
    check_range(lo, hi, all[i % 6]);
  }
  float s;
  int32_t z;
  qcc_range_to_qparams(&s, &z, 0, 6, &u8);
  assert_true(s * 255.0f == 6.0f && z == 0);
  for (int i = 1; i < 100000; i++) { /* one-sided ranges never grow */
    double hi = (double)(float)(i * 0.0137);
    qcc_range_to_qparams(&s, &z, 0, hi, &u8);
    assert_true(z == 0 && (double)(255.0f * s) <= hi && (double)(255.0f * s) > hi * 0.999999);
    qcc_range_to_qparams(&s, &z, -hi, 0, &u8);
    assert_true(z == 255 && (double)(-255.0f * s) >= -hi);
  }
  qcc_range_to_qparams(&s, &z, -1.27, 0.5, &w);
  assert_true(z == 0 && s == (float)(1.27 / 127));
  qcc_range_to_qparams(&s, &z, -1, 1, &mid);
  assert_int_equal(z, 128);
  qcc_range_to_qparams(&s, &z, -1, 100, &two);
  assert_true(s == 0.5f);
  static const double odd[][2] = {{0, 0}, {1, -1}, {NAN, 1}, {0, NAN}, {-INFINITY, 1}, {0, INFINITY}, {0, 1e300}};
  for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
    for (int k = 0; k < 6; k++) {
      qcc_range_to_qparams(&s, &z, odd[i][0], odd[i][1], all[k]);
      assert_true(s == 1 && z == (all[k] == &mid ? 128 : 0));
    }
  check_range(-1e-45, 1e-45, &u8);
  check_range(-(double)FLT_MAX, (double)FLT_MAX, &u8);
  check_range(-(double)FLT_MAX, (double)FLT_MAX, &two);
}

/* ---- granularity */

static void axes(void **state) {
  (void)state;
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  enum { A = 3, B = 5, C = 4 };
  float x[A * B * C], y[A * B * C], scale[A * B * C];
  int32_t zero[A * B * C];
  uint64_t seed = 8;
  for (int i = 0; i < A * B * C; i++) {
    x[i] = (float)((unit(&seed) - 0.5) * 20);
    scale[i] = (float)(0.01 + unit(&seed));
    zero[i] = (int32_t)(next(&seed) % 8);
  }
  qcc_type type = qcc_type_of(QCC_F32, 3, (int64_t[]){A, B, C});
  qcc_tensor t, q, d;
  assert_int_equal(qcc_tensor_copy(&t, cx, &type, x), QCC_OK);
  static const qcc_dtype dtypes[] = {QCC_U8, QCC_S8, QCC_U16, QCC_S16, QCC_S32, QCC_U4, QCC_S4};
  static const struct {
    int32_t axis;
    int64_t block;
    uint32_t count;
  } grain[] = {{-1, 0, 1}, {0, 0, A}, {1, 0, B}, {2, 0, C}, {1, 2, A * 3 * C}, {2, 4, A * B}, {0, 9, B * C}};
  for (int k = 0; k < 7 * 7; k++) {
    qcc_qparams p = {.dtype = dtypes[k % 7],
                     .axis = grain[k / 7].axis,
                     .block = grain[k / 7].block,
                     .count = grain[k / 7].count,
                     .scale = scale,
                     .zero = zero};
    if (p.dtype == QCC_S32) p.zero = NULL;
    assert_int_equal(qcc_quantize(&q, cx, &t, &p), QCC_OK);
    assert_int_equal(qcc_dequantize(&d, cx, &q, &p), QCC_OK);
    assert_int_equal(qcc_fake_quantize_tensor(cx, y, x, &type, &p), QCC_OK);
    for (int i = 0; i < A * B * C; i++) {
      int a = i / (B * C), b = i / C % B, c = i % C;
      int at = p.axis < 0 ? 0 : p.axis == 0 ? a : p.axis == 1 ? b : c;
      if (p.block == 2) at = (a * 3 + b / 2) * C + c;
      if (p.block == 4) at = a * B + b;
      if (p.block == 9) at = b * C + c;
      int32_t z = p.zero ? zero[at] : 0,
              want = oracle(x[i], scale[at], z, (int32_t)qcc_dtype_min(p.dtype), (int32_t)qcc_dtype_max(p.dtype));
      assert_int_equal(qcc_tensor_get_s64(&q, i), want);
      assert_true(same_bits((float)qcc_tensor_get(&d, i), qcc_dequantize1(want, scale[at], z)));
      assert_true(same_bits(y[i], qcc_dequantize1(want, scale[at], z)));
    }
    qcc_tensor_release(&q);
    qcc_tensor_release(&d);
  }
  qcc_tensor_release(&t);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

/* Floats of 8 bits: the fast loop against the encoder, whole tensors against both. */
static void floats_of_8_bits(void **state) {
  (void)state;
  static const qcc_dtype types[] = {QCC_F8E4M3FN, QCC_F8E4M3FNUZ, QCC_F8E5M2, QCC_F8E5M2FNUZ};
  enum { N = 6000 };
  qcc_context *cx = NULL;
  float x[N], y[N], scale[2] = {0.375f, 3};
  uint64_t seed = 9;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  for (size_t k = 0; k < 4; k++) {
    const qcc_dtype t = types[k];
    for (int i = 0; i < N; i++) x[i] = (float)((unit(&seed) - 0.5) * exp2((double)(next(&seed) % 40) - 22));
    for (int i = 0; i < 512; i += 2) { /* numbers and the middle to the next one */
      x[i] = (float)qcc_small_decode(t, (uint32_t)i / 2);
      const float after = (float)qcc_small_decode(t, (uint32_t)i / 2 + 1 < 256 ? (uint32_t)i / 2 + 1 : 0);
      if (!isfinite(x[i]) || x[i] != x[i]) x[i] = 1;
      x[i + 1] = isfinite(after) ? (x[i] + after) / 2 : 1;
    }
    x[600] = INFINITY, x[601] = -1e30f, x[602] = -0.0f, x[603] = 1e-30f;
    qcc_fake_quantize_f8(t, y, x, N, 1);
    for (int i = 0; i < N; i++) assert_true(y[i] == (float)qcc_small_decode(t, qcc_small_encode(t, (double)x[i])));
    assert_true(y[600] == (float)qcc_f8_most(t) && y[601] == -(float)qcc_f8_most(t));
    x[600] = 1;
    const qcc_type type = qcc_type_of(QCC_F32, 2, (int64_t[]){2, N / 2});
    const qcc_qparams p = {.dtype = t, .axis = 0, .count = 2, .scale = scale};
    qcc_tensor f, q, d;
    assert_int_equal(qcc_tensor_copy(&f, cx, &type, x), QCC_OK);
    assert_int_equal(qcc_quantize(&q, cx, &f, &p), QCC_OK);
    assert_int_equal(qcc_dequantize(&d, cx, &q, &p), QCC_OK);
    assert_int_equal(qcc_fake_quantize_tensor(cx, y, x, &type, &p), QCC_OK);
    assert_int_equal(q.bytes, N);
    for (int i = 0; i < N; i++) {
      const float s = scale[i / (N / 2)];
      assert_int_equal(((const uint8_t *)q.data)[i], qcc_small_encode(t, (double)(x[i] / s)));
      assert_true(((const float *)d.data)[i] == (float)qcc_tensor_get(&q, i) * s && ((const float *)d.data)[i] == y[i]);
    }
    qcc_tensor_release(&f), qcc_tensor_release(&q), qcc_tensor_release(&d);
  }
  qcc_context_free(cx);
}

static void misfits(void **state) {
  (void)state;
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  float x[6] = {0}, scale[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  qcc_type type = qcc_type_of(QCC_F32, 2, (int64_t[]){2, 3});
  const qcc_qparams bad[] = {{.dtype = QCC_U8, .axis = -1, .count = 2, .scale = scale},
                             {.dtype = QCC_U8, .axis = 0, .count = 3, .scale = scale},
                             {.dtype = QCC_U8, .axis = 2, .count = 2, .scale = scale},
                             {.dtype = QCC_U8, .axis = 1, .block = 2, .count = 3, .scale = scale},
                             {.dtype = QCC_F32, .axis = -1, .count = 1, .scale = scale},
                             {.dtype = QCC_U8, .axis = -1, .count = 1},
                             {.dtype = QCC_S64, .axis = -1, .count = 1, .scale = scale},
                             {.dtype = QCC_NONE, .axis = -1, .count = 1, .scale = scale},
                             {.dtype = QCC_U8, .axis = -1, .block = 2, .count = 1, .scale = scale}};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    assert_int_equal(qcc_fake_quantize_tensor(cx, x, x, &type, &bad[i]), QCC_INTERNAL);
  qcc_qparams a = {.dtype = QCC_U8, .axis = -1, .count = 1, .scale = scale}, b = a;
  int32_t zero[1] = {0};
  b.zero = zero;
  assert_true(qcc_qparams_equal(&a, &b));
  zero[0] = 1;
  assert_false(qcc_qparams_equal(&a, &b));
  qcc_context_free(cx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(rounding),         cmocka_unit_test(grids),   cmocka_unit_test(ranges), cmocka_unit_test(axes),
      cmocka_unit_test(floats_of_8_bits), cmocka_unit_test(misfits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
