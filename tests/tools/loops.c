/* SPDX-License-Identifier: Apache-2.0
 * Digests of what the inner loops compute, one line per loop and instruction set of this processor: "floats|codes LOOP SET DIGEST".
 * Equal digests are equal bits; loops.sh compares those of one processor with those of another. Needs nothing but the C library. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/simd/isa.h"

enum { N = 4099, ROWS = 5, DEPTH = 61, COLUMNS = 75, ROOM = 4 * N };

static uint64_t digest(const void *at, size_t n) {
  const uint8_t *x = at;
  uint64_t h = 1469598103934665603u;
  for (size_t i = 0; i < n; ++i) h = (h ^ x[i]) * 1099511628211u;
  return h;
}

static void tell(const char *kind, const char *loop, int variant, const char *set, const void *at, size_t n) {
  printf("%s %s%d %s %016llx\n", kind, loop, variant, set, (unsigned long long)digest(at, n));
}

static uint8_t next_byte(uint32_t *seed) { return (uint8_t)((*seed = *seed * 1664525u + 1013904223u) >> 24); }

static void fill(float *x, size_t n, uint32_t seed, float span) {
  for (size_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = ((float)(seed >> 8) / 8388608.0f - 1.0f) * span;
  }
}

/* A product of matrices, panel by panel, cut as this table likes it. */
static void product(const qcc_simd *s, float *y, const float *a, const float *b, float lo, float grid) {
  float panel[DEPTH * QCC_NR_MAX], bias[QCC_NR_MAX];
  const float *row[QCC_MR] = {0};
  for (size_t i = 0; i < ROWS; ++i) row[i] = a + i * DEPTH;
  for (size_t first = 0; first < COLUMNS; first += s->nr) {
    const size_t n = COLUMNS - first < s->nr ? COLUMNS - first : s->nr;
    memset(panel, 0, sizeof panel), memset(bias, 0, sizeof bias);
    memcpy(bias, b + first, n * sizeof *b);
    for (size_t k = 0; k < DEPTH; ++k) memcpy(panel + k * s->nr, b + k * COLUMNS + first, n * sizeof *b);
    const qcc_tile t = {.a = row,
                        .taps = 1,
                        .depth = DEPTH,
                        .b = panel,
                        .ldb = s->nr,
                        .next = panel,
                        .bias = bias,
                        .out = y + first,
                        .ldc = COLUMNS,
                        .m = ROWS,
                        .n = (unsigned)n,
                        .end = {.lo = lo, .hi = 3.0f, .scale = grid, .lowest = -30, .highest = 97}};
    s->tile(&t);
  }
}

/* One row times panels that lie one behind the other. */
static void row(const qcc_simd *s, float *y, const float *a, const float *b) {
  float panels[QCC_ROW_PANELS * DEPTH * QCC_NR_MAX], sums[QCC_ROW_PANELS * QCC_NR_MAX];
  const size_t wide = s->nr, most = QCC_ROW_PANELS * wide;
  for (size_t first = 0; first < COLUMNS; first += most) {
    const size_t n = COLUMNS - first < most ? COLUMNS - first : most, count = (n + wide - 1) / wide;
    memset(panels, 0, sizeof panels), memset(sums, 0, sizeof sums);
    memcpy(sums, b + first, n * sizeof *b);
    for (size_t j = 0; j < n; ++j)
      for (size_t k = 0; k < DEPTH; ++k) panels[(j / wide * DEPTH + k) * wide + j % wide] = b[k * COLUMNS + first + j];
    const qcc_row r = {.a = a,
                       .b = panels,
                       .depth = DEPTH,
                       .ldb = wide,
                       .panel_step = DEPTH * wide,
                       .panels = (unsigned)count,
                       .y = sums,
                       .end = {.lo = -2.0f, .hi = 3.0f}};
    s->row(&r);
    memcpy(y + first, sums, n * sizeof *y);
  }
}

/* Three taps have loops of their own, with neighbouring inputs and without. */
static void depthwise(const qcc_simd *s, float *y, const float *x, int variant) {
  const size_t taps = variant < 2 ? 3 : 5, dilation = variant ? 3 * COLUMNS : COLUMNS;
  const float *const rows[] = {x, x + 1000}, *const w[] = {x + 2000, x + 2000 + taps * COLUMNS};
  const qcc_dwrun d = {.row = rows,
                       .w = w,
                       .rows = 2,
                       .taps = taps,
                       .step = COLUMNS,
                       .dilation = dilation,
                       .channels = COLUMNS,
                       .count = 7,
                       .bias = x + 3000,
                       .out = y,
                       .end = {.lo = -1.5f, .hi = 1.5f, .scale = variant % 2 ? 0.01f : 0.0f, .lowest = -90, .highest = 165}};
  s->depthwise(&d);
  tell("floats", "depthwise", variant, s->name, y, 7 * COLUMNS * sizeof *y);
}

static void winograd(const qcc_simd *s, float *y, const float *x) {
  const float *in[QCC_WINO_IN * QCC_WINO_IN];
  qcc_wino_out o = {.m = y,
                    .step = COLUMNS,
                    .channels = COLUMNS,
                    .bias = x,
                    .end = {.lo = -40.0f, .hi = 40.0f, .scale = 0.3f, .lowest = -128, .highest = 127}};
  for (size_t i = 0; i < QCC_WINO_IN * QCC_WINO_IN; ++i) in[i] = x + i * COLUMNS;
  s->wino_in(y, COLUMNS, in, COLUMNS);
  tell("floats", "wino_in", 0, s->name, y, QCC_WINO_IN * QCC_WINO_IN * COLUMNS * sizeof *y);
  float *out = y + QCC_WINO_IN * QCC_WINO_IN * COLUMNS;
  for (size_t i = 0; i < QCC_WINO_OUT * QCC_WINO_OUT; ++i) o.y[i] = out + i * COLUMNS;
  s->wino_out(&o);
  tell("floats", "wino_out", 0, s->name, out, QCC_WINO_OUT * QCC_WINO_OUT * COLUMNS * sizeof *out);
}

static void floats(const qcc_simd *s, float *x, float *y) {
  static const float special[] = {0.0f, -0.0f, 1e-40f, -1e-40f, 3e38f, -3e38f, 0.5f, -0.5f, 88.0f, -104.0f};
  float *z = x + N, lo = 0, hi = 0;
  fill(x, N, 1, 20.0f), fill(z, N, 2, 1.0f);
  memcpy(x, special, sizeof special);
  for (int f = 0; f < QCC_ACT_COUNT; ++f) {
    s->act((qcc_act)f, y, x, N, -1.0f, 2.0f);
    tell("floats", "act", f, s->name, y, N * sizeof *y);
  }
  for (int f = 0; f < QCC_ARITH_COUNT; ++f) {
    s->arith((qcc_arith)f, y, x, z, N);
    s->scalar((qcc_arith)f, y + N, x, 0.3f, N);
    tell("floats", "arith", f, s->name, y, 2 * N * sizeof *y);
  }
  s->affine(y, x, z, x, N);
  tell("floats", "affine", 0, s->name, y, N * sizeof *y);
  s->fake_quant(y, x, N, 0.07f, -100.0f, 155.0f);
  tell("floats", "fake_quant", 0, s->name, y, N * sizeof *y);
  s->lookup(y, x, N, 0.07f, -100.0f, 155.0f, z);
  tell("floats", "lookup", 0, s->name, y, N * sizeof *y);
  s->codes((uint8_t *)y, x, N, 0.07f, -100.0f, 155.0f, 100);
  tell("floats", "codes", 0, s->name, y, N);
  s->maximum(y, x, z, N);
  tell("floats", "maximum", 0, s->name, y, N * sizeof *y);
  s->transpose(y, x, DEPTH, N / DEPTH);
  tell("floats", "transpose", 0, s->name, y, N / DEPTH * DEPTH * sizeof *y);
  s->range(x, N, &lo, &hi);
  tell("floats", "range", 0, s->name, (const float[]){lo, hi}, 8);
  fill(x, N, 1, 1.0f);
  row(s, y, x, x + 100);
  tell("floats", "row", 0, s->name, y, COLUMNS * sizeof *y);
  for (int i = 0; i < 3; ++i) depthwise(s, y, x, i);
  winograd(s, y, x);
  for (int i = 0; i < 2; ++i) {
    product(s, y, x, x + 100, i ? 0.0f : -3.0f, i ? 0.03f : 0.0f);
    tell("floats", "tile", i, s->name, y, ROWS * COLUMNS * sizeof *y);
  }
}

/* A product of matrices of codes as sums, floats and codes. */
static void codes_product(const char *set, const char *loop, void (*tile)(const qcc_itile *t), uint32_t nr, float unit, uint8_t *y,
                          const uint8_t *a) {
  const uint8_t *b = a + N;
  const void *row[QCC_MR] = {0};
  for (size_t i = 0; i < ROWS; ++i) row[i] = a + i * DEPTH * 4;
  for (qcc_ikind kind = QCC_TO_CODES; kind <= QCC_TO_SUMS; ++kind) {
    const size_t wide = kind == QCC_TO_CODES ? 1 : 4;
    for (size_t first = 0; first < COLUMNS; first += nr) {
      const size_t n = COLUMNS - first < nr ? COLUMNS - first : nr;
      uint8_t panel[DEPTH * QCC_NR_MAX * 4] = {0};
      int32_t bias[QCC_NR_MAX] = {0};
      float scale[QCC_NR_MAX] = {0};
      for (size_t k = 0; k < DEPTH; ++k) memcpy(panel + k * nr * 4, b + (k * COLUMNS + first) * 4, n * 4);
      for (size_t j = 0; j < n; ++j) bias[j] = (int32_t)(first + j) * 100 - 3000, scale[j] = unit * (float)(first + j + 1);
      const qcc_itile t = {.a = row,
                           .taps = 1,
                           .depth = DEPTH,
                           .b = panel,
                           .end = {.kind = kind, .bias = bias, .scale = scale, .lo = -100.0f, .hi = 155.0f, .zero = 100},
                           .out = y + first * wide,
                           .ldc = COLUMNS * wide,
                           .m = ROWS,
                           .n = (unsigned)n};
      tile(&t);
    }
    tell("codes", loop, (int)kind, set, y, ROWS * COLUMNS * wide);
  }
}

static void codes_depthwise(const char *set, const qcc_isimd *s, uint8_t *y, const int16_t *x) {
  enum { TAPS = 9, COUNT = 7, ROUND = COLUMNS + QCC_NR_MAX };
  const int16_t *at[TAPS + 1];
  int16_t weights[ROUND * (TAPS + 1)];
  int32_t bias[ROUND];
  float scale[ROUND];
  qcc_idw_pack(s, weights, x + 2000, TAPS, COLUMNS);
  for (size_t i = 0; i <= TAPS; ++i) at[i] = x + i % TAPS * 31;
  for (size_t i = 0; i < ROUND; ++i) {
    const size_t c = qcc_idw_channel(s, i);
    bias[i] = (int32_t)c * 100 - 3000, scale[i] = 1e-9f * (float)(c + 1);
  }
  const qcc_idwrun d = {.a = at,
                        .w = weights,
                        .pairs = (TAPS + 1) / 2,
                        .channels = COLUMNS,
                        .count = COUNT,
                        .step = COLUMNS,
                        .end = {.bias = bias, .scale = scale, .lo = -100.0f, .hi = 155.0f, .zero = 100},
                        .out = y};
  s->depthwise(&d);
  tell("codes", "depthwise", 0, set, y, COUNT * COLUMNS);
}

/* x: codes; y: room for the results, in vectors of any kind. */
static void codes(const char *set, const qcc_isimd *s, uint8_t *x, void *y) {
  const qcc_iend end = {.lo = -100.0f, .hi = 155.0f, .zero = 100};
  const uint8_t *b = x + N;
  uint32_t seed = 9;
  for (size_t i = 0; i < ROOM * 2; ++i) x[i] = next_byte(&seed);
  codes_product(set, "pair", s->pair, s->nr, 1e-9f, y, x);
  codes_product(set, "quad", s->quad, s->nr, 1e-6f, y, x);
  if (s->dot) codes_product(set, "dot", s->dot, s->nr, 1e-6f, y, x);
  codes_depthwise(set, s, y, (const int16_t *)(void *)x);
  s->flip(y, x, N);
  tell("codes", "flip", 0, set, y, N);
  for (int sign = 0; sign < 2; ++sign) {
    const qcc_iadd add = {
        .ra = 0.731f, .rb = 0.5f, .fixed = 20.25f - 128.0f * (float)sign, .zero_a = 11, .zero_b = 7, .zero = 5, .sign = sign};
    s->add(y, x, b, N, &add);
    tell("codes", "add", sign, set, y, N);
    s->mul(y, x, b, N, &add);
    tell("codes", "mul", sign, set, y, N);
    s->most(y, x, b, N, sign);
    tell("codes", "most", sign, set, y, N);
    s->widen(y, x, N, sign, 17);
    tell("codes", "widen", sign, set, y, 2 * N);
    s->dequantize(y, x, N, sign, 0.1f, 17);
    tell("codes", "dequantize", sign, set, y, 4 * N);
    memset(y, 0, 4 * N);
    s->sum(y, x, N, sign), s->sum(y, b, N, sign);
    tell("codes", "sum", sign, set, y, 4 * N);
    s->finish(x + ROOM * 2, y, N, 0.3f, &end);
    tell("codes", "finish", sign, set, x + ROOM * 2, N);
  }
}

int main(void) {
  float *x = malloc(ROOM * sizeof *x), *y = malloc(ROOM * sizeof *y);
  const qcc_isa *isa;
  if (!x || !y) return 1;
  for (unsigned i = 0; (isa = qcc_isa_at(i)) != NULL; ++i) codes(isa->name, isa->codes, (uint8_t *)x, y);
  for (unsigned i = 0; qcc_simd_at(i); ++i) floats(qcc_simd_at(i), x, y);
  free(x), free(y);
  return 0;
}
