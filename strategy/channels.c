/* SPDX-License-Identifier: Apache-2.0
 * Per-channel sums. A plane (the values of one channel in one image) is reduced with vector code in a fixed order, so that its sums are the same
 * whoever computes them; totals of planes are integers, so that their order does not matter. */
#include "strategy/channels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

struct qcc_channel_sum {
  wide sum, sumsq;
  float min, max;
};

typedef struct plane {
  double sum, sumsq;
  float min, max;
} plane;
typedef float v4f __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
typedef double v4d __attribute__((vector_size(32)));

void qcc_channels_init(qcc_channels *c, qcc_context *cx) {
  memset(c, 0, sizeof *c);
  c->cx = cx;
}

void qcc_channels_fini(qcc_channels *c) {
  if (!c->cx) return;
  qcc_free(c->cx, c->total);
  qcc_free(c->cx, c->mean);
  qcc_free(c->cx, c->min);
  memset(c, 0, sizeof *c);
}

static wide fixed(double x) {
  const double most = 0x1p120;
  x *= 0x1p60;
  return (wide)(x > most ? most : x < -most ? -most : x);
}

static void put(qcc_channel_sum *s, const plane *p) {
  s->sum += fixed(p->sum);
  s->sumsq += fixed(p->sumsq);
  if (p->min < s->min) s->min = p->min;
  if (p->max > s->max) s->max = p->max;
}

static bool make(qcc_channels *c, uint32_t count) {
  if (c->count) return c->count == count;
  c->total = qcc_zalloc_array(c->cx, count, sizeof *c->total);
  if (!c->total) return false;
  c->count = count;
  for (uint32_t i = 0; i < count; i++) c->total[i].min = INFINITY, c->total[i].max = -INFINITY;
  return true;
}

static void value_slowly(plane *p, float x) {
  if (!isfinite(x)) x = 0;
  p->sum += (double)x;
  p->sumsq += (double)x * (double)x;
  if (x < p->min) p->min = x;
  if (x > p->max) p->max = x;
}

static plane reduce_slowly(const float *x, size_t n) {
  plane p = {0, 0, INFINITY, -INFINITY};
  for (size_t i = 0; i < n; i++) value_slowly(&p, x[i]);
  return p;
}

#define INLINE static inline __attribute__((always_inline))
#define SELECT(mask, a, b) (((v4i)(a) & (mask)) | ((v4i)(b) & ~(mask)))

INLINE plane reduce_body(const float *x, size_t n) {
  v4d sum = {0}, sumsq = {0};
  v4f low = {INFINITY, INFINITY, INFINITY, INFINITY}, high = -low;
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    v4f v;
    memcpy(&v, x + i, sizeof v);
    v4d w = __builtin_convertvector(v, v4d);
    sum += w;
    sumsq += w * w;
    low = (v4f)SELECT(v < low, v, low);
    high = (v4f)SELECT(v > high, v, high);
  }
  plane p = {sum[0] + sum[1] + (sum[2] + sum[3]), sumsq[0] + sumsq[1] + (sumsq[2] + sumsq[3]), low[0], high[0]};
  for (size_t k = 1; k < 4; k++) p.min = low[k] < p.min ? low[k] : p.min, p.max = high[k] > p.max ? high[k] : p.max;
  for (; i < n; i++) value_slowly(&p, x[i]);
  return isfinite(p.sumsq) ? p : reduce_slowly(x, n); /* a NaN or infinity shows in the sum of squares */
}

static plane reduce_base(const float *x, size_t n) { return reduce_body(x, n); }
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static plane reduce_avx2(const float *x, size_t n) { return reduce_body(x, n); }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }
#else
#define reduce_avx2 reduce_base
static bool has_avx2(void) { return false; }
#endif

static void add_planes(qcc_channels *c, const float *x, size_t outer, size_t inner) {
  plane (*reduce)(const float *, size_t) = has_avx2() ? reduce_avx2 : reduce_base;
  for (size_t o = 0; o < outer; o++)
    for (uint32_t k = 0; k < c->count; k++, x += inner) {
      plane p = reduce(x, inner);
      put(&c->total[k], &p);
    }
}

/* Channels last: every row holds one value of each. Eight channels at a time over a strip of rows, so that their totals stay in registers
 * and the strip in the cache. */
INLINE void strip_body(plane *to, const float *x, size_t rows, size_t count) {
  v4d sum0 = {0}, sum1 = {0}, sumsq0 = {0}, sumsq1 = {0};
  v4f low0 = {INFINITY, INFINITY, INFINITY, INFINITY}, low1 = low0, high0 = -low0, high1 = -low0;
  for (size_t r = 0; r < rows; r++, x += count) {
    v4f a, b;
    memcpy(&a, x, sizeof a);
    memcpy(&b, x + 4, sizeof b);
    v4d p = __builtin_convertvector(a, v4d), q = __builtin_convertvector(b, v4d);
    sum0 += p, sum1 += q;
    sumsq0 += p * p, sumsq1 += q * q;
    low0 = (v4f)SELECT(a < low0, a, low0), low1 = (v4f)SELECT(b < low1, b, low1);
    high0 = (v4f)SELECT(a > high0, a, high0), high1 = (v4f)SELECT(b > high1, b, high1);
  }
  for (size_t k = 0; k < 4; k++) {
    to[k] = (plane){to[k].sum + sum0[k], to[k].sumsq + sumsq0[k], fminf(to[k].min, low0[k]), fmaxf(to[k].max, high0[k])};
    to[k + 4] =
        (plane){to[k + 4].sum + sum1[k], to[k + 4].sumsq + sumsq1[k], fminf(to[k + 4].min, low1[k]), fmaxf(to[k + 4].max, high1[k])};
  }
}

static void strip_base(plane *to, const float *x, size_t rows, size_t count) { strip_body(to, x, rows, count); }
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static void strip_avx2(plane *to, const float *x, size_t rows, size_t count) {
  strip_body(to, x, rows, count);
}
#else
#define strip_avx2 strip_base
#endif

static void add_strip(plane *p, const float *x, size_t rows, size_t count) {
  size_t k = 0;
  for (; k + 8 <= count; k += 8) (has_avx2() ? strip_avx2 : strip_base)(p + k, x + k, rows, count);
  for (; k < count; k++)
    for (size_t r = 0; r < rows; r++) value_slowly(&p[k], x[r * count + k]);
}

/* Channels that met a NaN or an infinity are done again. */
static plane column_slowly(const float *x, size_t rows, size_t count) {
  plane p = {0, 0, INFINITY, -INFINITY};
  for (size_t r = 0; r < rows; r++) value_slowly(&p, x[r * count]);
  return p;
}

static void add_rows(qcc_channels *c, const float *x, size_t rows) {
  enum { STRIP = 64 };
  plane *p = qcc_alloc_array(c->cx, c->count, sizeof *p);
  if (!p) {
    c->failed = true;
    return;
  }
  for (uint32_t k = 0; k < c->count; k++) p[k] = (plane){0, 0, INFINITY, -INFINITY};
  for (size_t r = 0; r < rows; r += STRIP) add_strip(p, x + r * c->count, rows - r < STRIP ? rows - r : STRIP, c->count);
  for (uint32_t k = 0; k < c->count; k++) {
    if (!isfinite(p[k].sumsq)) p[k] = column_slowly(x + k, rows, c->count);
    put(&c->total[k], &p[k]);
  }
  qcc_free(c->cx, p);
}

void qcc_channels_add(qcc_channels *c, const qcc_tensor *t, int axis) {
  int64_t outer = 1, inner = 1;
  int rank = t->type.rank;
  if (axis < 0) axis += rank;
  if (c->failed || t->type.dtype != QCC_F32 || axis < 0 || axis >= rank) return;
  for (int d = 0; d < rank; d++)
    if (d != axis) *(d < axis ? &outer : &inner) *= t->type.dim[d];
  int64_t count = t->type.dim[axis];
  if (outer * inner * count <= 0) return;
  if (count > INT32_MAX || !make(c, (uint32_t)count)) {
    c->failed = true;
    return;
  }
  c->n += (uint64_t)(outer * inner);
  if (inner == 1)
    add_rows(c, t->data, (size_t)outer);
  else
    add_planes(c, t->data, (size_t)outer, (size_t)inner);
}

void qcc_channels_add_last(qcc_channels *c, const qcc_tensor *t) {
  int64_t rows = t->type.rank >= 2 ? t->type.dim[0] : 0;
  for (int d = 2; d < t->type.rank; d++) rows *= t->type.dim[d];
  if (c->failed || t->type.dtype != QCC_F32 || rows <= 0 || t->type.dim[1] <= 0) return;
  if (t->type.dim[1] > INT32_MAX || !make(c, (uint32_t)t->type.dim[1])) {
    c->failed = true;
    return;
  }
  c->n += (uint64_t)rows;
  add_rows(c, t->data, (size_t)rows);
}

void qcc_channels_merge(qcc_channels *c, const qcc_channels *other) {
  c->failed |= other->failed;
  if (!other->count) return;
  if (!make(c, other->count)) {
    c->failed = true;
    return;
  }
  c->n += other->n;
  for (uint32_t i = 0; i < c->count; i++) {
    qcc_channel_sum *a = &c->total[i];
    const qcc_channel_sum *b = &other->total[i];
    a->sum += b->sum;
    a->sumsq += b->sumsq;
    if (b->min < a->min) a->min = b->min;
    if (b->max > a->max) a->max = b->max;
  }
}

qcc_status qcc_channels_finish(qcc_channels *c) {
  if (!c->count || c->failed) return QCC_OK;
  qcc_free(c->cx, c->mean);
  qcc_free(c->cx, c->min);
  c->mean = qcc_zalloc_array(c->cx, c->count, 2 * sizeof *c->mean);
  c->min = qcc_zalloc_array(c->cx, c->count, 2 * sizeof *c->min);
  if (!c->mean || !c->min) return QCC_NOMEM;
  c->meansq = c->mean + c->count;
  c->max = c->min + c->count;
  for (uint32_t i = 0; i < c->count; i++) {
    c->mean[i] = (double)c->total[i].sum * 0x1p-60 / (double)c->n;
    c->meansq[i] = (double)c->total[i].sumsq * 0x1p-60 / (double)c->n;
    c->min[i] = c->total[i].min;
    c->max[i] = c->total[i].max;
  }
  return QCC_OK;
}

static int by_size(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

double qcc_channels_disparity(const qcc_channels *c) {
  if (!c->count || !c->min) return 1;
  float *size = qcc_alloc_array(c->cx, c->count, sizeof *size);
  if (!size) return 1;
  for (uint32_t i = 0; i < c->count; i++) size[i] = fmaxf(-c->min[i], c->max[i]);
  qsort(size, c->count, sizeof *size, by_size);
  double most = (double)size[c->count - 1], median = (double)size[c->count / 2];
  qcc_free(c->cx, size);
  return median > 0 ? most / median : most > 0 ? HUGE_VAL : 1;
}
