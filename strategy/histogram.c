/* SPDX-License-Identifier: Apache-2.0
 * Float-bit histograms. A block of values is first turned into bucket numbers with vector code, then counted in two alternating tables, so
 * that equal neighbours do not wait for each other's store; zeros rotate over dummy counters for the same reason. The vector code is
 * written once and compiled twice, for AVX2 and for the base ISA; both give the same bits. */
#include "strategy/histogram.h"

#include <math.h>
#include <string.h>

enum {
  BUCKETS = QCC_HIST_PAGES * QCC_HIST_PAGE,
  SIDE = BUCKETS / 2,
  SHIFT = 17,              /* float bits below the bucket number */
  FIRST = (127 - 32) * 64, /* bucket number of 2^-32 */
  SKIPPED = BUCKETS,       /* 8 dummy counters that zeros go to */
  BLOCK = 512,
  SMALL = 1024 /* fewer values than this are counted directly */
};

struct qcc_hist_scratch {
  uint32_t table[2][BUCKETS + 8];
  int32_t bucket[BLOCK];
};

typedef struct totals { /* of one call of qcc_hist_add */
  uint64_t count, zeros, nonfinite;
  float min, max;
  double sum, sumsq;
} totals;

typedef int32_t v8i __attribute__((vector_size(32)));
typedef float v4f __attribute__((vector_size(16)));
typedef double v4d __attribute__((vector_size(32)));

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

static uint32_t bucket_of(uint32_t bits) {
  uint32_t k = (bits & 0x7fffffffu) >> SHIFT;
  k = k < FIRST ? 0 : k - FIRST;
  return (k < SIDE ? k : SIDE - 1) + (bits >> 31 ? SIDE : 0);
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
    t->sum += (double)x[i];
    t->sumsq += (double)x[i] * (double)x[i];
    if (!(bits & 0x7fffffffu)) {
      t->zeros++;
      continue;
    }
    uint32_t k = bucket_of(bits);
    uint64_t *page = page_at(h, k / QCC_HIST_PAGE);
    if (page) page[k % QCC_HIST_PAGE]++;
  }
}

#define INLINE static inline __attribute__((always_inline))

#define SELECT(mask, a, b) (((a) & (mask)) | ((b) & ~(mask)))

/* A full block: bucket numbers and totals. False, with nothing done, when a value is not finite. */
INLINE bool scan_body(totals *t, int32_t *bucket, const float *x) {
  const v8i turn = {0, 1, 2, 3, 4, 5, 6, 7};
  v8i low = turn * 0 + INT32_MAX, high = turn * 0 + INT32_MIN, bad = turn * 0, zeros = turn * 0;
  v4d sum0 = {0}, sum1 = {0}, sumsq0 = {0}, sumsq1 = {0};
  for (size_t i = 0; i < BLOCK; i += 8) {
    v8i bits;
    v4f value0, value1;
    memcpy(&bits, x + i, sizeof bits);
    memcpy(&value0, x + i, sizeof value0);
    memcpy(&value1, x + i + 4, sizeof value1);
    v8i size = bits & 0x7fffffff, sign = bits >> 31, key = bits ^ (sign & 0x7fffffff); /* key orders as the floats do */
    low = SELECT(key < low, key, low);
    high = SELECT(key > high, key, high);
    bad |= size >= 0x7f800000;
    v8i zero = size == 0, k = (size >> SHIFT) - FIRST;
    zeros -= zero;
    k &= ~(k < 0);
    k = SELECT(k < SIDE, k, k * 0 + (SIDE - 1)) + (sign & SIDE);
    k = SELECT(zero, turn + SKIPPED, k);
    memcpy(bucket + i, &k, sizeof k);
    v4d wide0 = __builtin_convertvector(value0, v4d), wide1 = __builtin_convertvector(value1, v4d);
    sum0 += wide0, sum1 += wide1;
    sumsq0 += wide0 * wide0, sumsq1 += wide1 * wide1;
  }
  int32_t least = INT32_MAX, most = INT32_MIN, any = 0;
  for (size_t j = 0; j < 8; j++) {
    least = low[j] < least ? low[j] : least;
    most = high[j] > most ? high[j] : most;
    any |= bad[j];
  }
  if (any) return false;
  for (size_t j = 0; j < 8; j++) t->zeros += (uint64_t)zeros[j];
  for (size_t j = 0; j < 4; j++) t->sum += sum0[j] + sum1[j], t->sumsq += sumsq0[j] + sumsq1[j];
  float min = float_of((uint32_t)(least ^ (least >> 31 & 0x7fffffff))), max = float_of((uint32_t)(most ^ (most >> 31 & 0x7fffffff)));
  if (!t->count || min < t->min) t->min = min;
  if (!t->count || max > t->max) t->max = max;
  t->count += BLOCK;
  return true;
}

static bool scan_base(totals *t, int32_t *bucket, const float *x) { return scan_body(t, bucket, x); }
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static bool scan_avx2(totals *t, int32_t *bucket, const float *x) { return scan_body(t, bucket, x); }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }
#else
#define scan_avx2 scan_base
static bool has_avx2(void) { return false; }
#endif

static bool is_clear(const uint32_t *page) {
  v8i any = {0}, at;
  for (size_t i = 0; i < QCC_HIST_PAGE; i += 8) {
    memcpy(&at, page + i, sizeof at);
    any |= at;
  }
  uint64_t words[4];
  memcpy(words, &any, sizeof words);
  return !(words[0] | words[1] | words[2] | words[3]);
}

/* Move what the tables hold to the pages and clear them. */
static void flush(qcc_hist *h, qcc_hist_scratch *s, const totals *t) {
  size_t from = t->max > 0 ? 0 : QCC_HIST_OCTAVES, to = t->min < 0 ? QCC_HIST_PAGES : QCC_HIST_OCTAVES;
  for (size_t p = from; p < to; p++) {
    uint32_t *a = s->table[0] + p * QCC_HIST_PAGE, *b = s->table[1] + p * QCC_HIST_PAGE;
    if (is_clear(a) && is_clear(b)) continue;
    uint64_t *page = page_at(h, p);
    for (size_t i = 0; page && i < QCC_HIST_PAGE; i++) page[i] += (uint64_t)a[i] + b[i];
    memset(a, 0, QCC_HIST_PAGE * sizeof *a);
    memset(b, 0, QCC_HIST_PAGE * sizeof *b);
  }
}

static void add_blocks(qcc_hist *h, totals *t, qcc_hist_scratch *s, const float *x, size_t blocks) {
  bool (*scan)(totals *, int32_t *, const float *) = has_avx2() ? scan_avx2 : scan_base;
  for (size_t k = 0; k < blocks; k++, x += BLOCK) {
    if (!scan(t, s->bucket, x)) {
      add_slowly(h, t, x, BLOCK);
      continue;
    }
    for (size_t i = 0; i < BLOCK; i += 2) s->table[0][s->bucket[i]]++, s->table[1][s->bucket[i + 1]]++;
  }
  flush(h, s, t);
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
  qcc_sum_add(&h->sum, t->sum);
  qcc_sum_add(&h->sumsq, t->sumsq);
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
  qcc_sum_merge(&h->sum, &other->sum);
  qcc_sum_merge(&h->sumsq, &other->sumsq);
  qcc_sum_merge(&h->sample_min, &other->sample_min);
  qcc_sum_merge(&h->sample_max, &other->sample_max);
  qcc_sum_merge(&h->moving_min, &other->moving_min);
  qcc_sum_merge(&h->moving_max, &other->moving_max);
  qcc_sum_merge(&h->moving_weight, &other->moving_weight);
}

/* ---- as a list */
static double edge(size_t bucket) { /* lower magnitude of a bucket of one side */
  return (double)float_of((uint32_t)(bucket + FIRST) << SHIFT);
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
