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
static void product(const qcc_simd *s, float *y, const float *a, const float *b, float lo) {
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
                        .bias = bias,
                        .out = y + first,
                        .ldc = COLUMNS,
                        .m = ROWS,
                        .n = (unsigned)n,
                        .lo = lo,
                        .hi = 3.0f};
    s->tile(&t);
  }
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
  s->codes((uint8_t *)y, x, N, 0.07f, -100.0f, 155.0f, 100);
  tell("floats", "codes", 0, s->name, y, N);
  s->range(x, N, &lo, &hi);
  tell("floats", "range", 0, s->name, (const float[]){lo, hi}, 8);
  fill(x, N, 1, 1.0f);
  for (int i = 0; i < 2; ++i) {
    product(s, y, x, x + 100, i ? 0.0f : -3.0f);
    tell("floats", "tile", i, s->name, y, ROWS * COLUMNS * sizeof *y);
  }
}

static void codes_product(const qcc_isimd *s, void (*loop)(const qcc_itile *t), int32_t *y, const uint8_t *a, const uint8_t *b) {
  uint8_t panel[DEPTH * QCC_NR_MAX * 4];
  int32_t bias[QCC_NR_MAX] = {0};
  const void *row[QCC_MR] = {0};
  for (size_t i = 0; i < ROWS; ++i) row[i] = a + i * DEPTH * 4;
  for (size_t first = 0; first < COLUMNS; first += s->nr) {
    const size_t n = COLUMNS - first < s->nr ? COLUMNS - first : s->nr;
    memset(panel, 0, sizeof panel);
    for (size_t k = 0; k < DEPTH; ++k) memcpy(panel + k * s->nr * 4, b + (k * COLUMNS + first) * 4, n * 4);
    const qcc_itile t = {.a = row,
                         .taps = 1,
                         .depth = DEPTH,
                         .b = panel,
                         .end = {.kind = QCC_TO_SUMS, .bias = bias},
                         .out = (uint8_t *)(y + first),
                         .ldc = COLUMNS * sizeof *y,
                         .m = ROWS,
                         .n = (unsigned)n};
    loop(&t);
  }
}

static void codes(const char *set, const qcc_isimd *s, uint8_t *x, int32_t *y) {
  const qcc_iadd add = {.ra = 0.731f, .rb = 0.5f, .fixed = 20.25f, .zero_a = 11, .zero_b = 7, .zero = 5};
  const uint8_t *b = x + N;
  uint32_t seed = 9;
  for (size_t i = 0; i < ROOM * 2; ++i) x[i] = next_byte(&seed);
  codes_product(s, s->pair, y, x, b);
  tell("codes", "pair", 0, set, y, ROWS * COLUMNS * sizeof *y);
  codes_product(s, s->quad, y, x, b);
  tell("codes", "quad", 0, set, y, ROWS * COLUMNS * sizeof *y);
  if (s->dot) {
    codes_product(s, s->dot, y, x, b);
    tell("codes", "dot", 0, set, y, ROWS * COLUMNS * sizeof *y);
  }
  s->add((uint8_t *)y, x, b, N, &add);
  tell("codes", "add", 0, set, y, N);
  s->mul((uint8_t *)y, x, b, N, &add);
  tell("codes", "mul", 0, set, y, N);
  s->widen((int16_t *)(void *)y, x, N, true, 17);
  tell("codes", "widen", 0, set, y, 2 * N);
  s->dequantize((float *)(void *)y, x, N, true, 0.1f, 17);
  tell("codes", "dequantize", 0, set, y, 4 * N);
}

int main(void) {
  float *x = malloc(ROOM * sizeof *x), *y = malloc(ROOM * sizeof *y);
  const qcc_isa *isa;
  if (!x || !y) return 1;
  for (unsigned i = 0; (isa = qcc_isa_at(i)) != NULL; ++i) codes(isa->name, isa->codes, (uint8_t *)x, (int32_t *)(void *)y);
  for (unsigned i = 0; qcc_simd_at(i); ++i) floats(qcc_simd_at(i), x, y);
  free(x), free(y);
  return 0;
}
