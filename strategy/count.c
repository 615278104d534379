/* SPDX-License-Identifier: Apache-2.0
 * Values are looked at in blocks that stay in the first cache: once for extremes, once to be counted in two tables in turn, so that equal
 * neighbours do not wait for each other's store. What an activation has cut to zero is many times the same value: where zeros are frequent,
 * they are counted by their lanes and only the others go to the tables.
 * Invariant: every set of instructions gives the same extremes and sums of tables and zeros. */
#include "strategy/count.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum {
  BLOCK = 512,
  LANES = QCC_COUNT_LANES,
  LINE = 16,
  INFINITE = 0x7f800000
}; /* LINE: floats of a cache line; the next block is fetched */

static uint32_t bits_of(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

void qcc_count_reset(qcc_count *c) {
  for (size_t j = 0; j < LANES; j++) c->low[j] = INFINITY, c->high[j] = -INFINITY;
  c->zeros = c->count = c->nonfinite = 0;
}

void qcc_count_init(qcc_count *c) {
  memset(c, 0, sizeof *c);
  qcc_count_reset(c);
  for (unsigned mask = 0; mask < 256; mask++)
    for (unsigned j = 0, n = 0; j < 8; j++)
      if (mask >> j & 1) c->order[mask][n++] = (uint8_t)j;
}

/* One value after the other: ends of pieces, blocks that hold non-finite values. */
static void add_slowly(qcc_count *c, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) {
    const uint32_t bits = bits_of(x[i]);
    if ((bits & 0x7fffffffu) >= INFINITE) {
      c->nonfinite++;
      continue;
    }
    c->low[0] = x[i] < c->low[0] ? x[i] : c->low[0];
    c->high[0] = x[i] > c->high[0] ? x[i] : c->high[0];
    c->table[0][bits >> QCC_COUNT_SHIFT]++;
    c->count++;
  }
}

/* A multiple of LANES values. False, with nothing done, when one is not finite. */
static bool plain_block(qcc_count *c, const float *x, size_t n) {
  uint32_t most = 0;
  for (size_t i = 0; i < n; i++) {
    const uint32_t size = bits_of(x[i]) & 0x7fffffffu;
    most = size > most ? size : most;
  }
  if (most >= INFINITE) return false;
  for (size_t i = 0; i < n; i += LANES) {
    for (size_t j = 0; j < LANES; j++) {
      c->low[j] = x[i + j] < c->low[j] ? x[i + j] : c->low[j];
      c->high[j] = x[i + j] > c->high[j] ? x[i + j] : c->high[j];
    }
  }
  for (size_t i = 0; i < n; i++) c->table[i % QCC_COUNT_TABLES][bits_of(x[i]) >> QCC_COUNT_SHIFT]++;
  c->count += n;
  return true;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2,popcnt")))

/* Extremes and number of zeros; as plain_block. */
AVX2 static bool scan(qcc_count *c, const float *x, size_t n, size_t *zeros) {
  enum { WIDE = LANES / 8 };
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff), none = _mm256_setzero_si256();
  __m256i most = none, zero = none;
  __m256 low[WIDE], high[WIDE];
  for (int j = 0; j < WIDE; j++) low[j] = _mm256_loadu_ps(c->low + 8 * j), high[j] = _mm256_loadu_ps(c->high + 8 * j);
  for (size_t i = 0; i < n; i += LANES) {
    for (int j = 0; j < WIDE; j++) {
      const __m256 v = _mm256_loadu_ps(x + i + 8 * j);
      const __m256i bits = _mm256_castps_si256(v);
      low[j] = _mm256_min_ps(low[j], v);
      high[j] = _mm256_max_ps(high[j], v);
      most = _mm256_max_epi32(most, _mm256_and_si256(bits, magnitude));
      zero = _mm256_sub_epi32(zero, _mm256_cmpeq_epi32(bits, none));
    }
  }
  if (_mm256_movemask_epi8(_mm256_cmpgt_epi32(most, _mm256_set1_epi32(INFINITE - 1)))) return false;
  for (int j = 0; j < WIDE; j++) _mm256_storeu_ps(c->low + 8 * j, low[j]), _mm256_storeu_ps(c->high + 8 * j, high[j]);
  uint32_t lane[8];
  _mm256_storeu_si256((__m256i *)(void *)lane, zero);
  *zeros = 0;
  for (int j = 0; j < 8; j++) *zeros += lane[j];
  return true;
}

AVX2 static void add_others(qcc_count *c, const float *x, size_t n) {
  uint32_t bucket[BLOCK + 8];
  size_t k = 0, i = 0;
  for (; i < n; i += 8) {
    const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + i));
    __builtin_prefetch(x + BLOCK + i);
    const int zero = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(bits, _mm256_setzero_si256())));
    const unsigned mask = 0xffu & ~(unsigned)zero;
    const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)c->order[mask]));
    _mm256_storeu_si256((__m256i *)(void *)(bucket + k), _mm256_permutevar8x32_epi32(_mm256_srli_epi32(bits, QCC_COUNT_SHIFT), order));
    k += (unsigned)__builtin_popcount(mask);
  }
  for (i = 0; i + 8 <= k; i += 8)
    for (size_t j = 0; j < 8; j++) c->table[j % QCC_COUNT_TABLES][bucket[i + j]]++;
  for (; i < k; i++) c->table[0][bucket[i]]++;
}

static void add_all(qcc_count *c, const float *x, size_t n) { /* two values by one load */
  for (size_t i = 0; i < n; i += LINE) {
    __builtin_prefetch(x + BLOCK + i);
    for (size_t j = i; j < i + LINE; j += 2) {
      uint64_t pair;
      memcpy(&pair, x + j, sizeof pair);
      c->table[0][(uint32_t)pair >> QCC_COUNT_SHIFT]++;
      c->table[1][pair >> (32 + QCC_COUNT_SHIFT)]++;
    }
  }
}

static bool wide_block(qcc_count *c, const float *x, size_t n) {
  size_t zeros;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("popcnt")) return plain_block(c, x, n);
  if (!scan(c, x, n, &zeros)) return false;
  if (4 * zeros > n) {
    c->zeros += zeros;
    add_others(c, x, n);
  } else {
    add_all(c, x, n);
  }
  c->count += n;
  return true;
}
#else
static bool wide_block(qcc_count *c, const float *x, size_t n) { return plain_block(c, x, n); }
#endif

void qcc_count_add(qcc_count *c, const float *x, size_t n) {
  for (size_t m; n >= LANES; x += m, n -= m) {
    m = n < BLOCK ? n / LANES * LANES : BLOCK;
    if (!wide_block(c, x, m)) add_slowly(c, x, m);
  }
  add_slowly(c, x, n);
}
