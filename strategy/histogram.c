/* SPDX-License-Identifier: Apache-2.0
 * Float-bit histograms. A block of values is looked at once for its extremes, by vector code, and then counted by the top bits of its words
 * in two tables in turn, so that equal neighbours do not wait for each other's store. The vector code is written once and compiled twice,
 * for AVX2 and for the base ISA; both give the same bits. */
#include "strategy/histogram.h"

#include <math.h>
#include <string.h>

enum {
  BUCKETS = QCC_HIST_PAGES * QCC_HIST_PAGE,
  SIDE = BUCKETS / 2,
  SHIFT = 17,                          /* float bits below the bucket number */
  EXPONENTS = 256,                     /* pages of one sign in the tables */
  RAW = 2 * EXPONENTS * QCC_HIST_PAGE, /* buckets of the tables: no octave is left out */
  FIRST = 127 - 32,                    /* exponent of 2^-32 */
  TABLES = 2,
  PAD = 16, /* counters of one value do not share a place in the cache */
  BLOCK = 2048,
  LANES = 32,
  LINE = 16,   /* floats of a cache line: counting fetches the next block */
  SMALL = 2048 /* fewer values than this are counted directly */
};

struct qcc_hist_scratch {
  uint32_t table[TABLES][RAW + PAD];
};

typedef struct totals { /* of one call of qcc_hist_add */
  uint64_t count, zeros, nonfinite;
  float min, max;
} totals;

void qcc_hist_init(qcc_hist *h, qcc_context *cx) {
  memset(h, 0, sizeof *h);
  h->cx = cx;
}

void qcc_hist_fini(qcc_hist *h) {
  if (!h->cx) return;
  for (size_t i = 0; i < QCC_HIST_PAGES; i++) qcc_free(h->cx, h->page[i]);
  memset(h, 0, sizeof *h);
}

qcc_hist_scratch *qcc_hist_scratch_new(qcc_context *cx) { return qcc_zalloc_array(cx, 1, sizeof(qcc_hist_scratch)); }

qcc_status qcc_hist_status(const qcc_hist *h) { return h->failed ? QCC_NOMEM : QCC_OK; }

static uint64_t *page_at(qcc_hist *h, size_t page) {
  if (!h->page[page]) h->page[page] = qcc_zalloc_array(h->cx, QCC_HIST_PAGE, sizeof(uint64_t));
  if (!h->page[page]) h->failed = true;
  return h->page[page];
}

static uint32_t bits_of(float x) {
  uint32_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

static float float_of(uint32_t b) {
  float x;
  memcpy(&x, &b, sizeof x);
  return x;
}

/* Number of a bucket of the tables among the pages: octaves past the ends go to the end buckets. */
static uint32_t bucket_of(uint32_t raw) {
  const uint32_t k = raw % (RAW / 2), side = raw >= RAW / 2 ? SIDE : 0;
  if (k < FIRST * QCC_HIST_PAGE) return side;
  return side + (k - FIRST * QCC_HIST_PAGE < SIDE ? k - FIRST * QCC_HIST_PAGE : SIDE - 1);
}

static void count_in(qcc_hist *h, totals *t, uint32_t raw, uint64_t n) {
  if (raw % (RAW / 2) == 0) {
    t->zeros += n;
    return;
  }
  const uint32_t k = bucket_of(raw);
  uint64_t *page = page_at(h, k / QCC_HIST_PAGE);
  if (page) page[k % QCC_HIST_PAGE] += n;
}

/* One value after the other: small tensors, ends of blocks, blocks that hold non-finite values. */
static void add_slowly(qcc_hist *h, totals *t, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits = bits_of(x[i]);
    if ((bits & 0x7fffffffu) >= 0x7f800000u) {
      t->nonfinite++;
      continue;
    }
    if (!t->count++) t->min = t->max = x[i];
    if (x[i] < t->min) t->min = x[i];
    if (x[i] > t->max) t->max = x[i];
    count_in(h, t, bits >> SHIFT, 1);
  }
}

#define INLINE static inline __attribute__((always_inline))

/* Extremes of a full block. False, with nothing done, when a value is not finite. */
INLINE bool scan_body(totals *t, const float *x) {
  float low[LANES], high[LANES];
  uint32_t most = 0;
  for (size_t i = 0; i < BLOCK; i++) {
    const uint32_t size = bits_of(x[i]) & 0x7fffffffu;
    most = size > most ? size : most;
  }
  if (most >= 0x7f800000u) return false;
  for (size_t j = 0; j < LANES; j++) low[j] = high[j] = x[j];
  for (size_t i = LANES; i < BLOCK; i += LANES) {
    for (size_t j = 0; j < LANES; j++) {
      low[j] = x[i + j] < low[j] ? x[i + j] : low[j];
      high[j] = x[i + j] > high[j] ? x[i + j] : high[j];
    }
  }
  for (size_t j = 1; j < LANES; j++) {
    low[0] = low[j] < low[0] ? low[j] : low[0];
    high[0] = high[j] > high[0] ? high[j] : high[0];
  }
  if (!t->count || low[0] < t->min) t->min = low[0];
  if (!t->count || high[0] > t->max) t->max = high[0];
  t->count += BLOCK;
  return true;
}

static bool scan_base(totals *t, const float *x) { return scan_body(t, x); }
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static bool scan_avx2(totals *t, const float *x) { return scan_body(t, x); }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }
#else
#define scan_avx2 scan_base
static bool has_avx2(void) { return false; }
#endif

static bool is_clear(const uint32_t *page) {
  uint32_t any = 0;
  for (size_t i = 0; i < QCC_HIST_PAGE; i++) any |= page[i];
  return !any;
}

/* Moves one octave of the tables to the pages and clears it. */
static void flush_octave(qcc_hist *h, qcc_hist_scratch *s, totals *t, uint32_t raw) {
  bool clear = true;
  for (size_t k = 0; k < TABLES; k++) clear = is_clear(s->table[k] + raw) && clear;
  for (uint32_t i = raw; !clear && i < raw + QCC_HIST_PAGE; i++) {
    uint64_t n = 0;
    for (size_t k = 0; k < TABLES; k++) n += s->table[k][i], s->table[k][i] = 0;
    if (n) count_in(h, t, i, n);
  }
}

/* Tables are empty past the exponents of the extremes; zeros of both signs may be there in any case. */
static void flush(qcc_hist *h, qcc_hist_scratch *s, totals *t) {
  const uint32_t up = t->max > 0 ? bits_of(t->max) >> 23 : 0, down = t->min < 0 ? (bits_of(t->min) & 0x7fffffffu) >> 23 : 0;
  for (uint32_t e = 0; e <= up; e++) flush_octave(h, s, t, e * QCC_HIST_PAGE);
  for (uint32_t e = 0; e <= down; e++) flush_octave(h, s, t, (EXPONENTS + e) * QCC_HIST_PAGE);
}

static void add_blocks(qcc_hist *h, totals *t, qcc_hist_scratch *s, const float *x, size_t blocks) {
  bool (*scan)(totals *, const float *) = has_avx2() ? scan_avx2 : scan_base;
  for (size_t k = 0; k < blocks; k++, x += BLOCK) {
    if (!scan(t, x)) {
      add_slowly(h, t, x, BLOCK);
      continue;
    }
    for (size_t i = 0; i < BLOCK; i += LINE) {
      __builtin_prefetch(x + BLOCK + i);
      for (size_t j = 0; j < LINE; j++) s->table[j % TABLES][bits_of(x[i + j]) >> SHIFT]++;
    }
  }
  if (t->count) flush(h, s, t);
}

static void take_totals(qcc_hist *h, const totals *t, double weight) {
  h->nonfinite += t->nonfinite;
  if (!t->count) return;
  float min = t->min == 0 ? 0 : t->min, max = t->max == 0 ? 0 : t->max; /* no -0 */
  if (!h->count || min < h->min) h->min = min;
  if (!h->count || max > h->max) h->max = max;
  h->count += t->count;
  h->zeros += t->zeros;
  h->samples++;
  qcc_sum_add(&h->sample_min, (double)min);
  qcc_sum_add(&h->sample_max, (double)max);
  qcc_sum_add(&h->moving_min, weight * (double)min);
  qcc_sum_add(&h->moving_max, weight * (double)max);
  qcc_sum_add(&h->moving_weight, weight);
}

void qcc_hist_add(qcc_hist *h, qcc_hist_scratch *scratch, const float *x, size_t n, double weight) {
  const size_t most = (size_t)1 << 30; /* so that 32-bit counters do not overflow */
  totals t = {0};
  while (n >= SMALL) {
    size_t blocks = (n < most ? n : most) / BLOCK;
    add_blocks(h, &t, scratch, x, blocks);
    x += blocks * BLOCK;
    n -= blocks * BLOCK;
  }
  add_slowly(h, &t, x, n);
  take_totals(h, &t, weight);
}

double qcc_hist_moving_weight(size_t index, size_t total) {
  const double c = 0.01;
  if (index >= total) return 0;
  return pow(1 - c, (double)(total - 1 - index)) * (index ? c : 1);
}

void qcc_hist_merge(qcc_hist *h, const qcc_hist *other) {
  for (size_t p = 0; p < QCC_HIST_PAGES; p++) {
    uint64_t *page = other->page[p] ? page_at(h, p) : NULL;
    for (size_t i = 0; page && i < QCC_HIST_PAGE; i++) page[i] += other->page[p][i];
  }
  h->failed |= other->failed;
  h->nonfinite += other->nonfinite;
  if (!other->count) return;
  if (!h->count || other->min < h->min) h->min = other->min;
  if (!h->count || other->max > h->max) h->max = other->max;
  h->count += other->count;
  h->zeros += other->zeros;
  h->samples += other->samples;
  qcc_sum_merge(&h->sample_min, &other->sample_min);
  qcc_sum_merge(&h->sample_max, &other->sample_max);
  qcc_sum_merge(&h->moving_min, &other->moving_min);
  qcc_sum_merge(&h->moving_max, &other->moving_max);
  qcc_sum_merge(&h->moving_weight, &other->moving_weight);
}

/* ---- as a list */
static double edge(size_t bucket) { /* lower magnitude of a bucket of one side */
  return (double)float_of((uint32_t)(bucket + FIRST * QCC_HIST_PAGE) << SHIFT);
}

static void push_bin(qcc_bins *out, double a, double b, uint64_t n) {
  if (!n) return;
  qcc_bin *bin = &out->at[out->count++];
  a = a < out->min ? out->min : a > out->max ? out->max : a;
  b = b > out->max ? out->max : b < a ? a : b;
  *bin = (qcc_bin){a, b, (double)n};
}

static void push_side(qcc_bins *out, const qcc_hist *h, bool negative) {
  for (size_t k = 0; k < SIDE; k++) {
    size_t i = negative ? SIDE - 1 - k : k;
    const uint64_t *page = h->page[i / QCC_HIST_PAGE + (negative ? QCC_HIST_OCTAVES : 0)];
    if (!page) {
      k += negative ? i % QCC_HIST_PAGE : QCC_HIST_PAGE - 1 - i % QCC_HIST_PAGE;
      continue;
    }
    double a = i ? edge(i) : 0, b = i == SIDE - 1 ? INFINITY : edge(i + 1);
    uint64_t n = page[i % QCC_HIST_PAGE];
    if (negative)
      push_bin(out, -b, -a, n);
    else
      push_bin(out, a, b, n);
  }
}

static void sum_up(qcc_bins *out) {
  out->c0[0] = out->c1[0] = out->c2[0] = 0;
  for (size_t i = 0; i < out->count; i++) {
    const qcc_bin *q = &out->at[i];
    out->c0[i + 1] = out->c0[i] + q->n;
    out->c1[i + 1] = out->c1[i] + q->n * (q->a + q->b) / 2;
    out->c2[i + 1] = out->c2[i] + q->n * (q->a * q->a + q->a * q->b + q->b * q->b) / 3;
  }
  out->total = out->c0[out->count];
}

qcc_status qcc_bins_of(qcc_bins *out, const qcc_hist *h) {
  *out = (qcc_bins){.min = (double)h->min, .max = (double)h->max};
  size_t most = 1; /* the zeros */
  for (size_t p = 0; p < QCC_HIST_PAGES; p++) most += h->page[p] ? QCC_HIST_PAGE : 0;
  out->at = qcc_alloc_array(h->cx, most, sizeof *out->at);
  double *sums = qcc_alloc_array(h->cx, 3 * (most + 1), sizeof *sums);
  if (!out->at || !sums) {
    qcc_free(h->cx, out->at);
    qcc_free(h->cx, sums);
    *out = (qcc_bins){0};
    return QCC_NOMEM;
  }
  out->c0 = sums, out->c1 = sums + most + 1, out->c2 = sums + 2 * (most + 1);
  push_side(out, h, true);
  push_bin(out, 0, 0, h->zeros);
  push_side(out, h, false);
  sum_up(out);
  return QCC_OK;
}

void qcc_bins_fini(qcc_context *cx, qcc_bins *b) {
  qcc_free(cx, b->at);
  qcc_free(cx, b->c0);
  *b = (qcc_bins){0};
}
