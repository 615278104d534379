/* SPDX-License-Identifier: Apache-2.0
 * Float-bit histograms. The values of one sample are counted in a table (count.h), which is borrowed until the sample ends and then moves
 * to the pages. */
#include "strategy/histogram.h"

#include <math.h>
#include <string.h>

#include "strategy/count.h"

enum {
  BUCKETS = QCC_HIST_PAGES * QCC_HIST_PAGE,
  SIDE = BUCKETS / 2,
  SHIFT = QCC_COUNT_SHIFT,
  EXPONENTS = 256, /* pages of one sign in the tables: no octave is left out */
  RAW = QCC_COUNT_BUCKETS,
  FIRST = 127 - 32, /* exponent of 2^-32 */
  SMALL = 2048,     /* fewer values than this are counted directly */
  ENOUGH = 1 << 15, /* as many of the values of a large tensor say what all of them say */
  MOST_STEP = 16,
  MOST = 1 << 30 /* in a table, so that 32-bit counters do not overflow */
};

struct qcc_hist_table {
  struct qcc_hist_table *next, *next_free;
  qcc_count count;
};

struct qcc_hist_scratch {
  qcc_context *cx;
  qcc_hist_table *all, *free;
};

void qcc_hist_init(qcc_hist *h, qcc_context *cx) {
  memset(h, 0, sizeof *h);
  h->cx = cx;
}

void qcc_hist_fini(qcc_hist *h) {
  if (!h->cx) return;
  for (size_t i = 0; i < QCC_HIST_PAGES; i++) qcc_free(h->cx, h->page[i]);
  memset(h, 0, sizeof *h);
}

qcc_hist_scratch *qcc_hist_scratch_new(qcc_context *cx) {
  qcc_hist_scratch *s = qcc_zalloc_array(cx, 1, sizeof *s);
  if (s) s->cx = cx;
  return s;
}

void qcc_hist_scratch_free(qcc_hist_scratch *s) {
  if (!s) return;
  for (qcc_hist_table *t = s->all, *next; t; t = next) {
    next = t->next;
    qcc_free(s->cx, t);
  }
  qcc_free(s->cx, s);
}

static qcc_hist_table *take_table(qcc_hist_scratch *s) {
  qcc_hist_table *t = s->free;
  if (t) {
    s->free = t->next_free;
    return t;
  }
  t = qcc_alloc_array(s->cx, 1, sizeof *t);
  if (!t) return NULL;
  qcc_count_init(&t->count);
  t->next = s->all;
  return s->all = t;
}

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

static void count_in(qcc_hist *h, qcc_hist_part *p, uint32_t raw, uint64_t n) {
  if (raw % (RAW / 2) == 0) {
    p->zeros += n;
    return;
  }
  const uint32_t k = bucket_of(raw);
  uint64_t *page = page_at(h, k / QCC_HIST_PAGE);
  if (page) page[k % QCC_HIST_PAGE] += n;
}

static void widen(qcc_hist_part *p, float min, float max) {
  if (!p->seen || min < p->min) p->min = min;
  if (!p->seen || max > p->max) p->max = max;
  p->seen = true;
}

/* Small tensors: one value after the other, without a table. */
static void add_slowly(qcc_hist *h, qcc_hist_part *p, const float *x, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint32_t bits = bits_of(x[i]);
    if ((bits & 0x7fffffffu) >= 0x7f800000u) {
      p->nonfinite++;
      continue;
    }
    widen(p, x[i], x[i]);
    p->count++;
    count_in(h, p, bits >> SHIFT, 1);
  }
}

static bool is_clear(const uint32_t *page) {
  uint32_t any = 0;
  for (size_t i = 0; i < QCC_HIST_PAGE; i++) any |= page[i];
  return !any;
}

/* Moves one octave of the tables to the pages and clears it. Returns what was counted there. */
static uint64_t flush_octave(qcc_hist *h, qcc_hist_part *p, uint32_t raw) {
  qcc_count *c = &p->table->count;
  bool clear = true;
  for (size_t k = 0; k < QCC_COUNT_TABLES; k++) clear = is_clear(c->table[k] + raw) && clear;
  if (clear) return 0;
  const uint32_t octave = raw % (RAW / 2) / QCC_HIST_PAGE;
  uint64_t *page = octave >= FIRST && octave - FIRST < QCC_HIST_OCTAVES ? page_at(h, bucket_of(raw) / QCC_HIST_PAGE) : NULL;
  uint64_t sum = 0;
  for (uint32_t i = 0; i < QCC_HIST_PAGE; i++) {
    uint64_t n = 0;
    for (size_t k = 0; k < QCC_COUNT_TABLES; k++) n += c->table[k][raw + i], c->table[k][raw + i] = 0;
    sum += n;
    if (page)
      page[i] += n * p->step;
    else if (n)
      count_in(h, p, raw + i, n * p->step);
  }
  return sum;
}

/* Empties the table of a part: the octave where zeros are, then from the highest down until everything is found. */
static void flush(qcc_hist *h, qcc_hist_part *p) {
  qcc_count *c = &p->table->count;
  uint64_t left = c->count - c->zeros;
  float min, max;
  if (qcc_count_extremes(c, &min, &max)) {
    widen(p, min, max);
    left -= flush_octave(h, p, 0) + flush_octave(h, p, EXPONENTS * QCC_HIST_PAGE);
    for (uint32_t e = bits_of(-min > max ? -min : max) >> 23; left && e; e--)
      left -= flush_octave(h, p, e * QCC_HIST_PAGE) + flush_octave(h, p, (EXPONENTS + e) * QCC_HIST_PAGE);
  }
  p->count += c->count * p->step;
  p->zeros += c->zeros * p->step;
  p->nonfinite += c->nonfinite;
  qcc_count_reset(c);
}

unsigned qcc_hist_step(size_t total) {
  unsigned step = 1;
  while (step < MOST_STEP && total / (2 * step) >= ENOUGH) step *= 2;
  return step;
}

static void add_to_table(qcc_hist *h, qcc_hist_part *p, qcc_hist_scratch *s, const float *x, size_t n, size_t offset) {
  if (!p->table && !(p->table = take_table(s))) {
    h->failed = true;
    return;
  }
  qcc_count *c = &p->table->count;
  for (size_t m; n; x += m, n -= m, offset += m) {
    if (c->count >= MOST) flush(h, p);
    m = n < MOST ? n : MOST;
    qcc_count_add(c, x, m, offset, p->step);
  }
}

void qcc_hist_part_add(qcc_hist *h, qcc_hist_part *p, qcc_hist_scratch *s, const float *x, size_t n, size_t offset, size_t total) {
  p->step = qcc_hist_step(total);
  const size_t stratum = (size_t)p->step * QCC_COUNT_GROUP, whole = total < SMALL ? 0 : p->step > 1 ? total / stratum * stratum : total;
  const size_t most = offset < whole ? whole - offset : 0, m = n < most ? n : most;
  if (m) add_to_table(h, p, s, x, m, offset);
  add_slowly(h, p, x + m, n - m); /* behind the last group that stands for others, each stands for itself */
}

/* The table goes back to where it came from. */
static void give_back(qcc_hist *h, qcc_hist_part *p, qcc_hist_scratch *s) {
  if (!p->table) return;
  flush(h, p);
  p->table->next_free = s->free;
  s->free = p->table;
  p->table = NULL;
}

void qcc_hist_part_join(qcc_hist *h, qcc_hist_part *p, qcc_hist_part *other, qcc_hist_scratch *others) {
  give_back(h, other, others);
  if (other->seen) widen(p, other->min, other->max);
  p->count += other->count;
  p->zeros += other->zeros;
  p->nonfinite += other->nonfinite;
  *other = (qcc_hist_part){0};
}

void qcc_hist_part_end(qcc_hist *h, qcc_hist_part *p, qcc_hist_scratch *s, double weight) {
  give_back(h, p, s);
  h->nonfinite += p->nonfinite;
  if (p->count) {
    float min = p->min == 0 ? 0 : p->min, max = p->max == 0 ? 0 : p->max; /* no -0 */
    if (!h->count || min < h->min) h->min = min;
    if (!h->count || max > h->max) h->max = max;
    h->count += p->count;
    h->zeros += p->zeros;
    h->samples++;
    qcc_sum_add(&h->sample_min, (double)min);
    qcc_sum_add(&h->sample_max, (double)max);
    qcc_sum_add(&h->moving_min, weight * (double)min);
    qcc_sum_add(&h->moving_max, weight * (double)max);
    qcc_sum_add(&h->moving_weight, weight);
  }
  *p = (qcc_hist_part){0};
}

void qcc_hist_add(qcc_hist *h, qcc_hist_scratch *scratch, const float *x, size_t n, double weight) {
  qcc_hist_part p = {0};
  qcc_hist_part_add(h, &p, scratch, x, n, 0, n);
  qcc_hist_part_end(h, &p, scratch, weight);
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
