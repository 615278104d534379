/* SPDX-License-Identifier: Apache-2.0
 * Values are looked at in blocks that stay in the first cache: once for extremes, once to be counted in two tables in turn, so that equal
 * neighbours do not wait for each other's store. What an activation has cut to zero is many times the same value: where zeros are frequent,
 * they are counted by their lanes and only the others go to the tables. A counter costs ten times as much as an extreme, hence `step`.
 * Invariant: every set of instructions gives the same extremes and sums of tables and zeros, however a tensor is cut into pieces. */
#include "strategy/count.h"

#include <string.h>

enum { BLOCK = 512, LANES = QCC_COUNT_LANES, GROUP = QCC_COUNT_GROUP, INFINITE = 0x7f800000 };
#define SIGN 0x80000000u

static uint32_t bits_of(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

void qcc_count_reset(qcc_count *c) {
  for (size_t j = 0; j < LANES; j++) c->high[j] = INT32_MIN, c->most[j] = 0, c->least[j] = UINT32_MAX;
  c->zeros = c->count = c->nonfinite = 0;
}

void qcc_count_init(qcc_count *c) {
  memset(c, 0, sizeof *c);
  qcc_count_reset(c);
  for (unsigned mask = 0; mask < 256; mask++)
    for (unsigned j = 0, n = 0; j < 8; j++)
      if (mask >> j & 1) c->order[mask][n++] = (uint8_t)j;
}

static float float_of(uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}

/* Words order floats of one sign: those without rise with their values, those with it fall and stand above as unsigned integers, below as
 * signed ones. */
bool qcc_count_extremes(const qcc_count *c, float *min, float *max) {
  int32_t high = INT32_MIN;
  uint32_t most = 0, least = UINT32_MAX;
  for (size_t j = 0; j < LANES; j++) {
    high = c->high[j] > high ? c->high[j] : high;
    most = c->most[j] > most ? c->most[j] : most;
    least = c->least[j] < least ? c->least[j] : least;
  }
  *min = float_of(most & SIGN ? most : least);
  *max = float_of(high >= 0 ? (uint32_t)high : least);
  return least <= most;
}

static bool is_finite(float x) { return (bits_of(x) & ~SIGN) < INFINITE; }

static void take(qcc_count *c, size_t lane, uint32_t bits) {
  c->high[lane] = (int32_t)bits > c->high[lane] ? (int32_t)bits : c->high[lane];
  c->most[lane] = bits > c->most[lane] ? bits : c->most[lane];
  c->least[lane] = bits < c->least[lane] ? bits : c->least[lane];
}

static void look_slowly(qcc_count *c, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (is_finite(x[i]))
      take(c, 0, bits_of(x[i]));
    else
      c->nonfinite++;
  }
}

static void add_slowly(qcc_count *c, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!is_finite(x[i])) continue;
    c->table[0][bits_of(x[i]) >> QCC_COUNT_SHIFT]++;
    c->count++;
  }
}

/* Extremes of a multiple of LANES values. False, with nothing done, when one is not finite. */
static bool look_plain(qcc_count *c, const float *x, size_t n) {
  uint32_t most = 0;
  for (size_t i = 0; i < n; i++) {
    const uint32_t size = bits_of(x[i]) & ~SIGN;
    most = size > most ? size : most;
  }
  if (most >= INFINITE) return false;
  for (size_t i = 0; i < n; i += LANES)
    for (size_t j = 0; j < LANES; j++) take(c, j, bits_of(x[i + j]));
  return true;
}

/* Groups of finite values. */
static void add_plain(qcc_count *c, const float *const *group, size_t n) {
  for (size_t k = 0; k < n; k++)
    for (size_t i = 0; i < GROUP; i++) c->table[i % QCC_COUNT_TABLES][bits_of(group[k][i]) >> QCC_COUNT_SHIFT]++;
}

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2,popcnt")))

static bool has_wide(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt"); }

/* As look_plain; each lane in a variable of its own, or they would live in memory. */
AVX2 static bool look_wide(qcc_count *c, const float *x, size_t n) {
  __m256i high0 = _mm256_loadu_si256((const void *)c->high), high1 = _mm256_loadu_si256((const void *)(c->high + 8));
  __m256i most0 = _mm256_loadu_si256((const void *)c->most), most1 = _mm256_loadu_si256((const void *)(c->most + 8));
  __m256i least0 = _mm256_loadu_si256((const void *)c->least), least1 = _mm256_loadu_si256((const void *)(c->least + 8));
  for (size_t i = 0; i < n; i += LANES) {
    const __m256i v0 = _mm256_loadu_si256((const void *)(x + i)), v1 = _mm256_loadu_si256((const void *)(x + i + 8));
    __builtin_prefetch(x + BLOCK + i);
    high0 = _mm256_max_epi32(high0, v0), high1 = _mm256_max_epi32(high1, v1);
    most0 = _mm256_max_epu32(most0, v0), most1 = _mm256_max_epu32(most1, v1);
    least0 = _mm256_min_epu32(least0, v0), least1 = _mm256_min_epu32(least1, v1);
  }
  const __m256i high = _mm256_max_epi32(high0, high1), most = _mm256_max_epu32(most0, most1);
  const __m256i plus = _mm256_cmpgt_epi32(high, _mm256_set1_epi32(INFINITE - 1)); /* infinities and NaN of either sign */
  const __m256i minus = _mm256_cmpeq_epi32(_mm256_max_epu32(most, _mm256_set1_epi32((int)(SIGN | INFINITE))), most);
  if (_mm256_movemask_epi8(_mm256_or_si256(plus, minus))) return false;
  _mm256_storeu_si256((void *)c->high, high0), _mm256_storeu_si256((void *)(c->high + 8), high1);
  _mm256_storeu_si256((void *)c->most, most0), _mm256_storeu_si256((void *)(c->most + 8), most1);
  _mm256_storeu_si256((void *)c->least, least0), _mm256_storeu_si256((void *)(c->least + 8), least1);
  return true;
}

AVX2 static unsigned zeros_at(const float *x) { /* one bit for each of eight */
  const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x));
  return (unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(bits, _mm256_setzero_si256())));
}

/* The numbers of buckets of all but zeros. */
AVX2 static size_t pack_others(const qcc_count *c, uint32_t *to, const float *x) {
  size_t n = 0;
  for (size_t i = 0; i < GROUP; i += 8) {
    const __m256i bits = _mm256_castps_si256(_mm256_loadu_ps(x + i));
    const unsigned mask = 0xffu & ~zeros_at(x + i);
    const __m256i order = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)c->order[mask]));
    _mm256_storeu_si256((__m256i *)(void *)(to + n), _mm256_permutevar8x32_epi32(_mm256_srli_epi32(bits, QCC_COUNT_SHIFT), order));
    n += (unsigned)__builtin_popcount(mask);
  }
  return n;
}

AVX2 static void add_others(qcc_count *c, const float *const *group, size_t n) {
  uint32_t bucket[BLOCK + 8];
  size_t k = 0, i = 0;
  for (size_t j = 0; j < n; j++) k += pack_others(c, bucket + k, group[j]);
  for (; i + 2 <= k; i += 2) {
    uint64_t pair;
    memcpy(&pair, bucket + i, sizeof pair);
    c->table[0][(uint32_t)pair]++;
    c->table[1][pair >> 32]++;
  }
  if (i < k) c->table[0][bucket[i]]++;
  c->zeros += n * GROUP - k;
}

static void add_all(qcc_count *c, const float *x) { /* two values by one load */
  for (size_t i = 0; i < GROUP; i += 2) {
    uint64_t pair;
    memcpy(&pair, x + i, sizeof pair);
    c->table[0][(uint32_t)pair >> QCC_COUNT_SHIFT]++;
    c->table[1][pair >> (32 + QCC_COUNT_SHIFT)]++;
  }
}

AVX2 static bool has_many_zeros(const float *const *group, size_t n) { /* some speak for all: either way gives the same sums */
  unsigned zeros = 0;
  for (size_t k = 0; k < 4; k++) zeros += (unsigned)__builtin_popcount(zeros_at(group[k * n / 4]));
  return zeros > 8;
}

/* As add_plain. */
static void add_wide(qcc_count *c, const float *const *group, size_t n) {
  if (n && has_many_zeros(group, n))
    add_others(c, group, n);
  else
    for (size_t k = 0; k < n; k++) add_all(c, group[k]);
}
#else
static bool has_wide(void) { return false; }
static bool look_wide(qcc_count *c, const float *x, size_t n) { return look_plain(c, x, n); }
static void add_wide(qcc_count *c, const float *const *group, size_t n) { add_plain(c, group, n); }
#endif

static bool look(qcc_count *c, const float *x, size_t n) {
  const size_t m = n / LANES * LANES;
  for (size_t i = m; i < n; i++)
    if (!is_finite(x[i])) return false;
  if (!(has_wide() ? look_wide(c, x, m) : look_plain(c, x, m))) return false;
  look_slowly(c, x + m, n - m);
  return true;
}

/* Which group out of `step`: with the bits of a number scrambled, so that no period of rows or channels meets the same ones each time. */
static size_t pick(size_t stratum, unsigned step) {
  uint32_t h = (uint32_t)stratum * 0x9e3779b1u;
  h = (h ^ h >> 15) * 0x85ebca77u;
  return (h ^ h >> 13) & (step - 1);
}

/* Whole groups are gathered first. Parts of one at the ends of a piece, and groups of a block that is not all finite, go one by one. */
static void block(qcc_count *c, const float *x, size_t n, size_t offset, unsigned step) {
  const float *group[BLOCK / GROUP];
  const bool finite = look(c, x, n);
  if (!finite) look_slowly(c, x, n);
  const size_t stratum = (size_t)step * GROUP, end = offset + n;
  size_t count = 0;
  for (size_t s = offset / stratum; s * stratum < end; s++) {
    const size_t first = s * stratum + pick(s, step) * GROUP, from = first > offset ? first : offset;
    const size_t to = first + GROUP < end ? first + GROUP : end;
    if (from >= to) continue;
    if (finite && to - from == GROUP)
      group[count++] = x + (from - offset);
    else
      add_slowly(c, x + (from - offset), to - from);
  }
  if (has_wide())
    add_wide(c, group, count);
  else
    add_plain(c, group, count);
  c->count += count * GROUP;
}

void qcc_count_add(qcc_count *c, const float *x, size_t n, size_t offset, unsigned step) {
  for (size_t m; n; x += m, n -= m, offset += m) {
    m = BLOCK - offset % BLOCK < n ? BLOCK - offset % BLOCK : n; /* whole groups wherever a piece begins */
    block(c, x, m, offset, step);
  }
}
