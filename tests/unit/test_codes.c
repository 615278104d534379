/* SPDX-License-Identifier: Apache-2.0
 * Integer loops and what is built on them: tiles, depthwise, convolution and products on every instruction set of this machine against the
 * definition, on odd sizes; saturation of pairs; rounding of ties. Everything must be equal to the last bit. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/qint.h"
#include "backends/ref/ref.h"
#include "ir/text.h"

static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static int64_t among(uint32_t *state, int64_t lo, int64_t hi) { return lo + (int64_t)(next_random(state) % (uint32_t)(hi - lo + 1)); }

static uint8_t *random_bytes(size_t n, uint32_t seed) {
  uint8_t *x = malloc(n + 64);
  assert_non_null(x);
  for (size_t i = 0; i < n + 64; ++i) x[i] = (uint8_t)(next_random(&seed) % 5 ? next_random(&seed) : next_random(&seed) % 2 ? 255 : 128);
  return x;
}

static int32_t clamp16(int32_t x) { return x < -32768 ? -32768 : x > 32767 ? 32767 : x; }

static uint8_t code_of(int32_t sum, float scale, const qcc_iend *e) {
  float x = rintf((float)sum * scale);
  x = x > e->lo ? x : e->lo;
  x = x < e->hi ? x : e->hi;
  return (uint8_t)((int32_t)x + e->zero);
}

/* ---- tiles */
enum { MOST_GROUPS = 24, WIDE = 32 };
typedef enum way { PAIRS, QUADS, DOT } way;

static int32_t group_sum(way how, const uint8_t *a, const uint8_t *b) {
  int16_t x[2], y[2];
  memcpy(x, a, 4), memcpy(y, b, 4);
  if (how == PAIRS) return (int32_t)((uint32_t)(x[0] * y[0]) + (uint32_t)(x[1] * y[1]));
  const int32_t first = a[0] * (int8_t)b[0] + a[1] * (int8_t)b[1], second = a[2] * (int8_t)b[2] + a[3] * (int8_t)b[3];
  return how == DOT ? first + second : clamp16(first) + clamp16(second);
}

typedef struct tile_case {
  uint8_t *a, *b;
  int32_t bias[WIDE], sum[QCC_MR][WIDE];
  float scale[WIDE];
  const void *row[3 * QCC_MR];
  qcc_itile t;
} tile_case;

static void make_tile(tile_case *c, const qcc_isimd *simd, way how, unsigned m, unsigned n, size_t taps, size_t depth) {
  const size_t row = depth * 4 + 3; /* rows at odd addresses */
  uint32_t seed = m * 100 + n;
  *c = (tile_case){.a = random_bytes(taps * QCC_MR * row, seed), .b = random_bytes(taps * depth * simd->nr * 4, seed + 1)};
  for (size_t k = 0; k < taps * QCC_MR; ++k) c->row[k] = c->a + k * row;
  for (unsigned j = 0; j < WIDE; ++j) c->bias[j] = (int32_t)next_random(&seed) - (1 << 23), c->scale[j] = 1e-5f * (float)(j + 1);
  for (unsigned i = 0; i < m; ++i)
    for (unsigned j = 0; j < n; ++j)
      for (size_t k = 0; k < taps * depth; ++k)
        c->sum[i][j] =
            (int32_t)((uint32_t)c->sum[i][j] + (uint32_t)group_sum(how, (const uint8_t *)c->row[k / depth * QCC_MR + i] + k % depth * 4,
                                                                   c->b + (k * simd->nr + j) * 4));
  c->t = (qcc_itile){.a = c->row, .taps = taps, .depth = depth, .b = c->b, .m = m, .n = n};
  c->t.end = (qcc_iend){.bias = c->bias, .scale = c->scale, .lo = -7.0f, .hi = 248.0f, .zero = 7};
}

static void check_tile(const qcc_isimd *simd, way how, unsigned m, unsigned n, size_t taps, size_t depth) {
  tile_case c;
  uint8_t out[3][QCC_MR * WIDE * 4];
  make_tile(&c, simd, how, m, n, taps, depth);
  for (qcc_ikind kind = QCC_TO_CODES; kind <= QCC_TO_SUMS; ++kind) {
    c.t.end.kind = kind, c.t.out = out[kind], c.t.ldc = WIDE * 4;
    memset(out[kind], 0xa5, sizeof out[kind]);
    (how == PAIRS ? simd->pair : how == DOT ? simd->dot : simd->quad)(&c.t);
  }
  for (unsigned i = 0; i < m; ++i) {
    for (unsigned j = 0; j < n; ++j) {
      const int32_t want = (int32_t)((uint32_t)c.sum[i][j] + (uint32_t)c.bias[j]);
      const float scaled = (float)want * c.scale[j];
      assert_memory_equal(out[QCC_TO_SUMS] + (i * WIDE + j) * 4, &want, 4);
      assert_memory_equal(out[QCC_TO_FLOATS] + (i * WIDE + j) * 4, &scaled, 4);
      assert_int_equal(out[QCC_TO_CODES][i * WIDE * 4 + j], code_of(want, c.scale[j], &c.t.end));
    }
    assert_int_equal(out[QCC_TO_CODES][i * WIDE * 4 + n], 0xa5);
  }
  free(c.a);
  free(c.b);
}

static void test_tiles(void **state) {
  (void)state;
  for (unsigned isa = 0; qcc_isimd_at(isa); ++isa) {
    const qcc_isimd *simd = qcc_isimd_at(isa);
    assert_true(simd->nr <= WIDE);
    for (way how = PAIRS; how <= (simd->dot ? DOT : QUADS); ++how)
      for (unsigned m = 1; m <= QCC_MR; ++m)
        for (unsigned n = 1; n <= simd->nr; n += 3)
          for (size_t taps = 1; taps <= 3; taps += 2) check_tile(simd, how, m, n, taps, 1 + (m * 7 + n) % MOST_GROUPS);
  }
}

/* 255 * 127 + 255 * 127 does not fit 16 bits; of opposite sign the products cancel. */
static void test_saturation(void **state) {
  (void)state;
  for (unsigned isa = 0; qcc_isimd_at(isa); ++isa) {
    const qcc_isimd *simd = qcc_isimd_at(isa);
    const uint8_t a[4] = {255, 255, 255, 255}, weights[3][4] = {{127, 127, 127, 127}, {0x80, 0x80, 0x80, 0x80}, {127, 0x81, 127, 0}};
    const int32_t want[3] = {2 * 32767, 2 * -32768, 255 * 127};
    uint8_t b[WIDE * 4] = {0};
    int32_t bias[WIDE] = {0}, out[WIDE];
    float scale[WIDE] = {0};
    const void *row[QCC_MR] = {a};
    memcpy(b, weights, sizeof weights);
    qcc_itile t = {.a = row, .taps = 1, .depth = 1, .b = b, .m = 1, .n = 3, .out = (uint8_t *)out, .ldc = sizeof out};
    t.end = (qcc_iend){.kind = QCC_TO_SUMS, .bias = bias, .scale = scale};
    simd->quad(&t);
    for (int j = 0; j < 3; ++j) assert_int_equal(out[j], want[j]);
  }
}

/* Halves go to the even neighbour, at every position of a vector. */
static void test_ties(void **state) {
  (void)state;
  for (unsigned isa = 0; qcc_isimd_at(isa); ++isa) {
    const qcc_isimd *simd = qcc_isimd_at(isa);
    const uint8_t a[4] = {0};
    uint8_t b[WIDE * 4] = {0}, out[WIDE], again[WIDE];
    int32_t bias[WIDE];
    float scale[WIDE];
    const void *row[QCC_MR] = {a};
    for (int j = 0; j < WIDE; ++j) bias[j] = 2 * j - 31, scale[j] = 0.5f;
    qcc_itile t = {.a = row, .taps = 1, .depth = 1, .b = b, .m = 1, .n = simd->nr, .out = out, .ldc = WIDE};
    t.end = (qcc_iend){.kind = QCC_TO_CODES, .bias = bias, .scale = scale, .lo = -10.0f, .hi = 245.0f, .zero = 10};
    simd->pair(&t);
    simd->finish(again, bias, WIDE, 0.5f, &t.end);
    for (unsigned j = 0; j < WIDE; ++j) {
      const int32_t half = 2 * (int32_t)j - 31, even = half % 4 == 1 || half % 4 == -3 ? (half - 1) / 2 : (half + 1) / 2;
      const int32_t want = even < -10 ? 0 : even + 10;
      if (j < simd->nr) assert_int_equal(out[j], want);
      assert_int_equal(again[j], want);
    }
  }
}

/* ---- convolution by the definition, channels last */
typedef struct conv_case {
  qcc_conv c;
  qcc_iform x;
  qcc_dtype w;
  int32_t w_zero;
  qcc_arithmetic how;
  qcc_ikind kind;
  bool late; /* the zero point comes while running */
} conv_case;

static int32_t value_of(qcc_dtype t, uint8_t x) { return t == QCC_S8 ? (int8_t)x : x; }

/* Product sums of one output: numbers under the kernel in the order positions, then channels; pairs saturate when they are u8 * s8. */
static int32_t naive_sum(const conv_case *k, const uint8_t *x, const uint8_t *w, int64_t co, int64_t pixel) {
  const qcc_conv *c = &k->c;
  const int64_t depth = c->cin / c->group, first = co / (c->cout / c->group) * depth, taps = c->kernel[0] * c->kernel[1] * c->kernel[2];
  const int64_t o[3] = {pixel / (c->out[1] * c->out[2]), pixel / c->out[2] % c->out[1], pixel % c->out[2]};
  const bool raw = k->how == QCC_AS_SATURATING && k->w == QCC_S8 && k->w_zero == 0 && !c->depthwise;
  const int32_t shift = k->x.type == QCC_S8 ? 128 : 0;
  int32_t sum = 0, zeros = 0, half = 0;
  for (int64_t e = 0; e < taps * depth; ++e) {
    const int64_t ci = e % depth, tap = e / depth;
    const int64_t t[3] = {tap / (c->kernel[1] * c->kernel[2]), tap / c->kernel[2] % c->kernel[1], tap % c->kernel[2]};
    int64_t at[3];
    bool in = true;
    for (int d = 0; d < 3; ++d) {
      at[d] = o[d] * c->stride[d] - c->pad[d] + t[d] * c->dilation[d];
      in = in && at[d] >= 0 && at[d] < c->in[d];
    }
    const int64_t from = ((at[0] * c->in[1] + at[1]) * c->in[2] + at[2]) * c->cin + first + ci;
    const int32_t code = in ? value_of(k->x.type, x[from]) : k->x.zero;
    const int32_t weight = value_of(k->w, w[(co * depth + ci) * taps + tap]) - k->w_zero;
    if (!raw) {
      sum += (code - k->x.zero) * weight;
      continue;
    }
    half += (code + shift) * weight;
    zeros += (k->x.zero + shift) * weight;
    if (e % 2 == 0) continue;
    sum += clamp16(half);
    half = 0;
  }
  return sum + clamp16(half) - zeros;
}

static void random_case(conv_case *k, uint32_t *seed) {
  qcc_conv *c = &k->c;
  const int64_t kind = among(seed, 0, 4);
  *c = (qcc_conv){.batch = among(seed, 1, 2), .group = 1, .kernel = {1, 1, 1}, .stride = {1, 1, 1}, .dilation = {1, 1, 1}};
  c->in[0] = c->out[0] = 1;
  if (kind == 0) c->group = among(seed, 2, 3);
  c->cin = c->group * among(seed, 1, 13), c->cout = c->group * among(seed, 1, 37);
  if (kind == 1) c->group = c->cin = c->cout = among(seed, 2, 70);
  c->depthwise = kind == 1;
  for (int d = among(seed, 0, 2) ? 1 : 0; d < 3; ++d) {
    c->kernel[d] = kind == 2 ? 1 : among(seed, 1, d ? 4 : 2);
    c->stride[d] = kind == 2 ? 1 : among(seed, 1, 3);
    c->dilation[d] = among(seed, 0, 3) ? 1 : 2;
    c->pad[d] = kind == 2 ? 0 : among(seed, 0, c->kernel[d] - 1);
    const int64_t span = (c->kernel[d] - 1) * c->dilation[d] + 1;
    c->in[d] = span + among(seed, 0, d ? 14 : 3);
    c->out[d] = (c->in[d] + c->pad[d] + among(seed, 0, c->pad[d]) - span) / c->stride[d] + 1;
  }
  k->x = (qcc_iform){.type = among(seed, 0, 2) ? QCC_U8 : QCC_S8};
  k->x.zero = (int32_t)(k->x.type == QCC_U8 ? among(seed, 0, 255) : among(seed, -128, 127));
  k->w = among(seed, 0, 3) ? QCC_S8 : QCC_U8;
  k->w_zero = k->w == QCC_U8 ? (int32_t)among(seed, 0, 255) : among(seed, 0, 3) ? 0 : (int32_t)among(seed, -128, 127);
  k->kind = (qcc_ikind)among(seed, QCC_TO_CODES, QCC_TO_SUMS);
  k->late = among(seed, 0, 1);
}

static void compare_conv(const conv_case *k, qcc_ipack *p, const uint8_t *x, const uint8_t *w, const int32_t *bias, const float *scale,
                         const uint8_t *y) {
  const qcc_conv *c = &k->c;
  const int64_t pixels = c->out[0] * c->out[1] * c->out[2];
  for (int64_t at = 0; at < c->batch * pixels * c->cout; ++at) {
    const int64_t co = at % c->cout, pixel = at / c->cout;
    const uint8_t *image = x + pixel / pixels * c->in[0] * c->in[1] * c->in[2] * c->cin;
    const int32_t sum = naive_sum(k, image, w, co, pixel % pixels) + bias[co];
    const float real = (float)sum * scale[co];
    if (k->kind == QCC_TO_CODES)
      assert_int_equal(y[at], code_of(sum, scale[co], &p->end));
    else
      assert_memory_equal(y + 4 * at, k->kind == QCC_TO_SUMS ? (const void *)&sum : &real, 4);
  }
}

static void check_conv(qcc_context *cx, const qcc_isimd *simd, const conv_case *k, uint32_t seed) {
  const qcc_conv *c = &k->c;
  const size_t taps = (size_t)(c->kernel[0] * c->kernel[1] * c->kernel[2]), depth = (size_t)(c->cin / c->group), columns = (size_t)c->cout,
               in = (size_t)(c->batch * c->in[0] * c->in[1] * c->in[2] * c->cin),
               out = (size_t)(c->batch * c->out[0] * c->out[1] * c->out[2] * c->cout) * (k->kind == QCC_TO_CODES ? 1 : 4);
  uint8_t *x = random_bytes(in, seed), *w = random_bytes(columns * depth * taps, seed + 1), *y = malloc(out + 1);
  int32_t *bias = malloc(columns * sizeof *bias);
  float *scale = malloc(columns * sizeof *scale);
  assert_true(y && bias && scale);
  for (size_t j = 0; j < columns; ++j) bias[j] = (int32_t)among(&seed, -5000, 5000), scale[j] = 1e-4f * (float)among(&seed, 1, 90);
  qcc_ipack p = {.x = k->x, .end = {.kind = k->kind, .lo = -100.0f, .hi = 155.0f, .zero = 100}};
  qcc_iweights weights = {.at = w, .type = k->w, .zero = k->w_zero, .by = {depth * taps, 1, taps}, .bias = bias, .scale = scale};
  const bool scaled = k->late && k->kind == QCC_TO_FLOATS;
  const qcc_ilate late = {.zero = k->late ? &k->x.zero : NULL, .scale = scaled ? scale : NULL, .scales = columns};
  weights.late = k->late;
  if (k->late) p.x.zero = 0;
  if (scaled) p.end.kind = QCC_TO_SUMS;
  assert_int_equal(qcc_ipack_new(&p, cx, simd, k->how, c, &weights), QCC_OK);
  qcc_worker worker = {.cx = cx, .simd = qcc_simd_choose(), .isimd = simd};
  y[out] = 0xa5;
  assert_int_equal(qcc_iconv_run(&worker, c, &p, x, &late, y), QCC_OK);
  assert_int_equal(y[out], 0xa5);
  compare_conv(k, &p, x, w, bias, scale, y);
  qcc_scratch_free(&worker);
  qcc_free(cx, p.at);
  free(x), free(w), free(y), free(bias), free(scale);
}

/* ---- products of matrices whose zero point and scales come late */
static void check_late(qcc_context *cx, const qcc_isimd *simd, qcc_arithmetic how, int64_t rows, int64_t depth, int64_t columns, bool one) {
  const conv_case k = {.c = {.batch = 1,
                             .in = {1, 1, rows},
                             .out = {1, 1, rows},
                             .kernel = {1, 1, 1},
                             .stride = {1, 1, 1},
                             .dilation = {1, 1, 1},
                             .cin = depth,
                             .cout = columns,
                             .group = 1},
                       .x = {QCC_U8, 77},
                       .w = QCC_S8,
                       .how = how};
  uint8_t *x = random_bytes((size_t)(rows * depth), 5), *w = random_bytes((size_t)(depth * columns), 6);
  float *scale = malloc((size_t)columns * sizeof *scale), *y = malloc((size_t)(rows * columns) * sizeof *y);
  assert_true(scale && y);
  for (int64_t j = 0; j < columns; ++j) scale[j] = 0.001f * (float)(j + 1);
  qcc_ipack p = {.x = {QCC_U8, 0}, .end = {.kind = QCC_TO_SUMS}};
  const qcc_iweights weights = {.at = w, .type = QCC_S8, .by = {(size_t)depth, 1, 1}, .scale = scale, .late = true};
  assert_int_equal(qcc_ipack_new(&p, cx, simd, how, &k.c, &weights), QCC_OK);
  const qcc_ilate late = {.zero = &k.x.zero, .scale = scale, .scales = one ? 1 : (size_t)columns};
  qcc_worker worker = {.cx = cx, .simd = qcc_simd_choose(), .isimd = simd};
  assert_int_equal(qcc_idense_run(&worker, &p, (size_t)rows, x, &late, (uint8_t *)y), QCC_OK);
  for (int64_t i = 0; i < rows * columns; ++i) {
    const float want = (float)naive_sum(&k, x, w, i % columns, i / columns) * scale[one ? 0 : i % columns];
    assert_memory_equal(&y[i], &want, sizeof want);
  }
  qcc_scratch_free(&worker);
  qcc_free(cx, p.at);
  free(x), free(w), free(scale), free(y);
}

static qcc_context *new_context(void) {
  qcc_context *cx = NULL;
  const qcc_host host = {.log = NULL};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  return cx;
}

static void test_convolution(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  for (unsigned isa = 0; qcc_isimd_at(isa); ++isa) {
    uint32_t seed = 7;
    for (int i = 0; i < 200; ++i) {
      conv_case k;
      random_case(&k, &seed);
      for (k.how = QCC_AS_EXACT; k.how <= QCC_AS_SATURATING; ++k.how) check_conv(cx, qcc_isimd_at(isa), &k, (uint32_t)i);
    }
  }
  qcc_context_free(cx);
}

static void test_late(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  for (unsigned isa = 0; qcc_isimd_at(isa); ++isa)
    for (int64_t n = 1; n < 60; n += 13)
      for (int how = QCC_AS_EXACT; how <= QCC_AS_SATURATING; ++how)
        check_late(cx, qcc_isimd_at(isa), (qcc_arithmetic)how, 60 / n, n, 61 - n, n % 2);
  qcc_context_free(cx);
}

/* Small weights cannot saturate: the quick loop serves exact sums, too. */
static void test_safe_weights(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  const uint8_t w[6] = {64, 64, 0xc0, 0xc0, 1, 0xff}, wild[6] = {65, 64, 0, 0, 0, 0};
  const float scale[1] = {1.0f};
  const qcc_conv c = {.cin = 6, .cout = 1, .group = 1, .kernel = {1, 1, 1}, .dilation = {1, 1, 1}};
  for (unsigned isa = 0; qcc_isimd_at(isa); ++isa) {
    const qcc_isimd *simd = qcc_isimd_at(isa);
    qcc_iweights weights = {.at = w, .type = QCC_S8, .by = {6, 1, 1}, .scale = scale};
    qcc_ipack p = {.x = {QCC_U8, 3}};
    assert_int_equal(qcc_ipack_new(&p, cx, simd, QCC_AS_EXACT, &c, &weights), QCC_OK);
    assert_int_equal(p.way, simd->dot ? QCC_BY_DOT : QCC_BY_QUADS);
    qcc_free(cx, p.at);
    weights.at = wild;
    assert_int_equal(qcc_ipack_new(&p, cx, simd, QCC_AS_EXACT, &c, &weights), QCC_OK);
    assert_int_equal(p.way, simd->dot ? QCC_BY_DOT : QCC_BY_PAIRS);
    qcc_free(cx, p.at);
  }
  qcc_context_free(cx);
}

/* ---- runs of codes */
enum { RUN = 131 };

static uint8_t sum_code(const qcc_iadd *p, uint8_t a, uint8_t b, bool product) {
  const qcc_dtype t = p->sign ? QCC_S8 : QCC_U8;
  const float lo = p->sign ? -128.0f : 0.0f, x = (float)value_of(t, a), y = (float)value_of(t, b);
  float v = fmaf(x, p->ra, fmaf(y, p->rb, p->fixed));
  if (product) v = (float)((value_of(t, a) - p->zero_a) * (value_of(t, b) - p->zero_b)) * p->ra + (float)p->zero;
  v = rintf(v);
  return (uint8_t)(int32_t)(v < lo ? lo : v > lo + 255.0f ? lo + 255.0f : v);
}

static void check_runs(const qcc_isimd *simd, const uint8_t *a, const uint8_t *b, size_t n, bool sign) {
  const qcc_dtype t = sign ? QCC_S8 : QCC_U8;
  const qcc_iadd add = {.ra = 0.731f, .rb = 0.5f, .fixed = -20.25f, .zero_a = 11, .zero_b = -7, .zero = 5, .sign = sign};
  uint8_t sum[RUN], product[RUN], most[RUN];
  int16_t wide[RUN];
  int32_t total[RUN];
  float real[RUN];
  qcc_iadd mul = add;
  mul.ra = 0.0123f;
  for (size_t i = 0; i < n; ++i) total[i] = (int32_t)i;
  simd->add(sum, a, b, n, &add);
  simd->mul(product, a, b, n, &mul);
  simd->most(most, a, b, n, sign);
  simd->widen(wide, a, n, sign, 17);
  simd->sum(total, a, n, sign);
  simd->dequantize(real, a, n, sign, 0.1f, 17);
  for (size_t i = 0; i < n; ++i) {
    const int32_t x = value_of(t, a[i]), y = value_of(t, b[i]);
    assert_int_equal(sum[i], sum_code(&add, a[i], b[i], false));
    assert_int_equal(product[i], sum_code(&mul, a[i], b[i], true));
    assert_int_equal(value_of(t, most[i]), x > y ? x : y);
    assert_int_equal(wide[i], x - 17);
    assert_int_equal(total[i], (int32_t)i + x);
    assert_true(real[i] == (float)(x - 17) * 0.1f);
  }
}

static void test_runs(void **state) {
  (void)state;
  uint8_t *a = random_bytes(RUN, 3), *b = random_bytes(RUN, 4), flipped[RUN];
  for (unsigned isa = 0; qcc_isimd_at(isa); ++isa) {
    for (size_t n = 0; n <= RUN; n += 1 + n / 3) {
      check_runs(qcc_isimd_at(isa), a, b, n, false);
      check_runs(qcc_isimd_at(isa), a, b, n, true);
    }
    qcc_isimd_at(isa)->flip(flipped, a, RUN);
    for (int i = 0; i < RUN; ++i) assert_int_equal(flipped[i], value_of(QCC_S8, a[i]) + 128);
  }
  free(a);
  free(b);
}

/* ---- whole graphs: every step of a plan gives the bytes of its node's kernel */
static const char graph_text[] =
    "graph @f(%x: f32[1,5,9,7]) -> (%y, %z, %s, %co, %ss) opset 13, com.microsoft 1 {\n"
    "  %sx = const f32[] [0.015625]\n  %zx = const u8[] [128]\n  %s1 = const f32[] [0.03125]\n  %z1 = const u8[] [120]\n"
    "  %s2 = const f32[] [0.00390625]\n  %z2 = const u8[] [0]\n  %w = const s8[6,5,3,3] rand(3)\n"
    "  %sw = const f32[6] [0.01,0.02,0.015,0.005,0.004,0.03]\n  %zw = const s8[6] [0,0,0,0,0,0]\n"
    "  %b = const s32[6] [100,-200,300,5,-7,0]\n  %d = const s8[6,1,3,3] rand(4)\n  %m = const s8[12,5] rand(5)\n  %sm = const f32[] "
    "[0.01]\n"
    "  %zm = const s8[] [3]\n  %sc = const f32[5] [0.01,0.02,0.03,0.04,0.05]\n"
    "  %q = QuantizeLinear(%x, %sx, %zx)\n"
    "  %c = QLinearConv(%q, %sx, %zx, %w, %sw, %zw, %s1, %z1, %b) {pads=[1,1,1,1]}\n"
    "  %l = com.microsoft.QLinearLeakyRelu(%c, %s1, %z1, %s1, %z1) {alpha=0.25}\n"
    "  %e = QLinearConv(%l, %s1, %z1, %d, %sw, %zw, %sx, %zx, %b) {group=6, pads=[1,1,1,1]}\n"
    "  %a = com.microsoft.QLinearAdd(%e, %sx, %zx, %c, %s1, %z1, %s1, %z1)\n"
    "  %g = com.microsoft.QLinearSigmoid(%a, %s1, %z1, %s2, %z2)\n"
    "  %t = com.microsoft.QLinearMul(%a, %s1, %z1, %g, %s2, %z2, %s1, %z1)\n"
    "  %p = MaxPool(%t) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]}\n"
    "  %o = MaxPool(%e) {kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]}\n"
    "  %j = com.microsoft.QLinearConcat(%s1, %z1, %p, %s1, %z1, %o, %sx, %zx) {axis=1}\n"
    "  %y = DequantizeLinear(%j, %s1, %z1)\n"
    "  %h = com.microsoft.QLinearGlobalAveragePool(%j, %s1, %z1, %s2, %z2)\n"
    "  %f = Flatten(%h)\n"
    "  %z = com.microsoft.QGemm(%f, %s2, %z2, %m, %sm, %zm)\n"
    "  %v, %vs, %vz = DynamicQuantizeLinear(%z)\n"
    "  %n = const s8[5,5] rand(6)\n  %zn = const s8[] [0]\n"
    "  %i = MatMulInteger(%v, %n, %vz, %zn)\n  %r = Cast(%i) {to=1}\n  %k = Mul(%vs, %sc)\n  %s = Mul(%r, %k)\n"
    "  %u, %us, %uz = DynamicQuantizeLinear(%x)\n  %wu = const u8[4,5,3,3] rand(7)\n  %zw8 = const u8[] [128]\n"
    "  %cs = const f32[4,1,1] [0.01,0.02,0.03,0.04]\n  %ci = ConvInteger(%u, %wu, %uz, %zw8) {pads=[1,0,1,2], strides=[1,2]}\n"
    "  %cf = Cast(%ci) {to=1}\n  %ck = Mul(%us, %cs)\n  %co = Mul(%ck, %cf)\n  %ss = ConvInteger(%u, %wu, %uz, %zw8)\n"
    "}\n";

typedef struct bench {
  qcc_context *cx;
  const qcc_graph *g;
  qcc_tensor value[64]; /* by value id: as the kernels make them */
  unsigned outputs;
} bench;

static qcc_status give(void *user, size_t index, qcc_tensor *inputs) {
  bench *t = user;
  (void)index;
  return qcc_tensor_copy(&inputs[0], t->cx, &t->g->inputs[0]->type, t->value[t->g->inputs[0]->id].data);
}

static qcc_status compare_outputs(void *user, size_t sample, const qcc_tensor *outputs) {
  bench *t = user;
  (void)sample;
  for (uint32_t i = 0; i < t->g->output_count; ++i, ++t->outputs) {
    const qcc_tensor *want = &t->value[t->g->outputs[i]->value->id];
    assert_int_equal(outputs[i].bytes, want->bytes);
    assert_memory_equal(outputs[i].data, want->data, want->bytes);
  }
  return QCC_OK;
}

static void by_kernels(bench *t) {
  QCC_FOR_NODES(n, t->g) {
    const qcc_tensor *in[16];
    qcc_tensor out[3];
    for (uint32_t i = 0; i < n->in_count; ++i) in[i] = n->in[i].value->data ? n->in[i].value->data : &t->value[n->in[i].value->id];
    assert_int_equal(qcc_ref_eval()->fold(t->cx, n, in, out), QCC_OK);
    for (uint32_t i = 0; i < n->out_count; ++i) t->value[n->out[i]->id] = out[i];
  }
}

static void test_steps_are_kernels(void **state) {
  (void)state;
  bench t = {.cx = new_context()};
  qcc_graph *g = NULL;
  uint32_t seed = 11;
  assert_int_equal(qcc_parse_graph(&g, t.cx, graph_text, sizeof graph_text - 1, NULL), QCC_OK);
  t.g = g;
  assert_true(g->next_value_id <= 64);
  qcc_tensor *x = &t.value[g->inputs[0]->id];
  assert_int_equal(qcc_tensor_new(x, t.cx, &g->inputs[0]->type), QCC_OK);
  for (int64_t i = 0; i < qcc_tensor_count(x); ++i) qcc_tensor_set(x, i, (double)among(&seed, -2000, 2000) / 1000);
  by_kernels(&t);
  const qcc_samples samples = {.count = 1, .get = give, .user = &t};
  const qcc_hooks hooks = {.output = compare_outputs, .user = &t};
  qcc_runner *r = NULL;
  assert_int_equal(qcc_ref_eval()->open(&r, t.cx, g, &(qcc_run_options){.arithmetic = QCC_AS_EXACT}), QCC_OK);
  assert_int_equal(qcc_ref_eval()->run(r, &samples, 0, 1, &hooks), QCC_OK);
  assert_int_equal(t.outputs, 5);
  qcc_ref_eval()->close(r);
  for (int i = 0; i < 64; ++i) qcc_tensor_release(&t.value[i]);
  qcc_graph_free(g);
  qcc_context_free(t.cx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tiles), cmocka_unit_test(test_saturation),
      cmocka_unit_test(test_ties),  cmocka_unit_test(test_convolution),
      cmocka_unit_test(test_late),  cmocka_unit_test(test_safe_weights),
      cmocka_unit_test(test_runs),  cmocka_unit_test(test_steps_are_kernels),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
