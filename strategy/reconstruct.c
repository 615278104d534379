/* SPDX-License-Identifier: Apache-2.0
 * Rounding by coordinate descent in Gram space. With e = w/scale - q and g = H e, moving one code by d changes the row's loss e' H e by
 * d^2 H_jj - 2 d g_j, so the best d is g_j / H_jj, rounded and cut to what grid and pair limits allow; a pair at its limit may also trade:
 * one code grows while its partner gives way. Only moves that lower the loss are made, so it can only fall. */
#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "strategy/weights.h"

enum { SWEEPS = 10, SMALL_DIM = 32, BATCH = 64 };

#define INLINE static inline __attribute__((always_inline))
typedef float v8f __attribute__((vector_size(32)));

/* g -= d h: where nearly all the time goes. The same bits with and without AVX2. */
INLINE void axpy_body(float *g, const float *h, float d, size_t n) {
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    v8f a, b;
    memcpy(&a, g + i, sizeof a);
    memcpy(&b, h + i, sizeof b);
    a -= d * b;
    memcpy(g + i, &a, sizeof a);
  }
  for (; i < n; i++) g[i] -= d * h[i];
}

static void axpy_base(float *g, const float *h, float d, size_t n) { axpy_body(g, h, d, n); }
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static void axpy_avx2(float *g, const float *h, float d, size_t n) { axpy_body(g, h, d, n); }
static bool has_avx2(void) { return __builtin_cpu_supports("avx2"); }
#else
#define axpy_avx2 axpy_base
static bool has_avx2(void) { return false; }
#endif

typedef struct solver { /* one group at a time */
  const qcc_weight *w;
  const qcc_weight_options *o;
  size_t dim;
  bool pairs;
  float *h;     /* dim x dim */
  float *e, *g; /* BATCH rows of w/scale - q and of e H */
  double *mean;
  void (*axpy)(float *g, const float *h, float d, size_t n);
  size_t *partner;
  int32_t *x; /* code limits per column */
} solver;

/* Codes that column j may take now. */
static void interval(const solver *s, const int32_t *q, size_t j, int32_t *lo, int32_t *hi) {
  *lo = s->o->grid.lo, *hi = s->o->grid.hi;
  size_t p = s->partner[j];
  if (!s->pairs || p == SIZE_MAX) return;
  int32_t a, b;
  qcc_pair_interval(&a, &b, s->x[j], q[p], s->x[p]);
  if (a > *lo) *lo = a;
  if (b < *hi) *hi = b;
}

static void move(const solver *s, float *e, float *g, int32_t *q, size_t j, int32_t d) {
  q[j] += d;
  e[j] -= (float)d;
  s->axpy(g, s->h + j * s->dim, (float)d, s->dim);
}

/* Column j wants to go one step beyond its limit: let the partner give way, when both together gain. */
static bool trade(const solver *s, float *e, float *g, int32_t *q, size_t j, int32_t d) {
  size_t p = s->partner[j];
  if (!s->pairs || p == SIZE_MAX || !q[p] || (q[p] > 0) != (d > 0) || s->x[p] <= 0) return false;
  int32_t wanted = q[j] + d;
  if (wanted < s->o->grid.lo || wanted > s->o->grid.hi) return false;
  int32_t lo, hi;
  qcc_pair_interval(&lo, &hi, s->x[p], wanted, s->x[j]);
  int32_t c = q[p] > hi ? hi - q[p] : q[p] < lo ? lo - q[p] : 0;
  double gj = (double)g[j], gp = (double)g[p], hjj = (double)s->h[j * s->dim + j], hpp = (double)s->h[p * s->dim + p];
  double gain = 2 * (d * gj + c * gp) - ((double)d * d * hjj + 2.0 * d * c * (double)s->h[j * s->dim + p] + (double)c * c * hpp);
  if (!c || q[p] + c < s->o->grid.lo || q[p] + c > s->o->grid.hi || !(gain > 1e-6 * hjj)) return false;
  move(s, e, g, q, p, c);
  move(s, e, g, q, j, d);
  return true;
}

static bool improve(const solver *s, float *e, float *g, int32_t *q, size_t j) {
  float hjj = s->h[j * s->dim + j];
  if (!(hjj > 0)) return false;
  float step = g[j] / hjj;
  if (!(fabsf(step) > .5f)) return false;
  int32_t lo, hi, wanted = (int32_t)rintf(fmaxf(-1000, fminf(1000, (float)q[j] + step))), to;
  interval(s, q, j, &lo, &hi);
  to = wanted < lo ? lo : wanted > hi ? hi : wanted;
  int32_t d = to - q[j];
  double gain = d * (2 * (double)g[j] - d * (double)hjj);
  if (d && gain > 1e-6 * (double)hjj) return move(s, e, g, q, j, d), true;
  return to != wanted && trade(s, e, g, q, j, step > 0 ? 1 : -1);
}

static void descend(const solver *s, float *e, float *g, int32_t *q) {
  for (int sweep = 0; sweep < SWEEPS; sweep++) {
    bool any = false;
    for (size_t j = 0; j < s->dim; j++) any |= improve(s, e, g, q, j);
    if (!any) return;
  }
}

static double dot(const float *a, const float *b, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
  return sum;
}

static void times_h(const solver *s, size_t rows) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (blasint)rows, (blasint)s->dim, (blasint)s->dim, 1, s->e, (blasint)s->dim, s->h,
              (blasint)s->dim, 0, s->g, (blasint)s->dim);
}

static void small_times_h(const solver *s, const float *e, float *g) {
  memset(g, 0, s->dim * sizeof *g);
  for (size_t j = 0; j < s->dim; j++) s->axpy(g, s->h + j * s->dim, -e[j], s->dim);
}

/* ---- small rows: try scales */
static double round_small(const solver *s, const float *w, double scale, float *e, float *g, int32_t *q) {
  for (size_t j = 0; j < s->dim; j++) {
    q[j] = qcc_quantize1(w[j], (float)scale, 0, s->o->grid.lo, s->o->grid.hi);
    size_t p = s->partner[j];
    int32_t lo, hi;
    if (p < j) interval(s, q, j, &lo, &hi), q[j] = q[j] < lo ? lo : q[j] > hi ? hi : q[j]; /* safe, if not the best: descent trades */
    e[j] = w[j] / (float)scale - (float)q[j];
  }
  small_times_h(s, e, g);
  descend(s, e, g, q);
  small_times_h(s, e, g); /* afresh: no drift */
  return dot(e, g, s->dim) * scale * scale;
}

/* The row's codes and scale after trying scales around the present one; returns its error, at most `error`. */
static double small_row(const solver *s, size_t row, int8_t *codes, float *scale, double error, double least) {
  float w[SMALL_DIM], e[SMALL_DIM], g[SMALL_DIM];
  int32_t q[SMALL_DIM];
  double from = (double)*scale;
  for (size_t j = 0; j < s->dim; j++) w[j] = s->w->w[qcc_weight_at(s->w, row, j)];
  for (int i = -12; i <= 12 && !s->o->per_tensor && !s->o->grid.pow2; i++) {
    if (s->o->fixed && i) continue;
    float next = (float)(from * (1 - .01 * i));
    if (!s->o->fixed && (double)next < least) break;
    double at = round_small(s, w, (double)next, e, g, q);
    if (!(at < error)) continue;
    error = at;
    *scale = next;
    for (size_t j = 0; j < s->dim; j++) codes[qcc_weight_at(s->w, row, j)] = (int8_t)q[j];
  }
  return error;
}

/* ---- groups */
static void centre(solver *s, const qcc_gram *gram, size_t group, bool centred) {
  size_t d = s->dim;
  qcc_gram_read(gram, group, s->h, s->mean);
  double trace = 0;
  for (size_t i = 0; i < d; i++) {
    for (size_t j = 0; centred && j < d; j++) s->h[i * d + j] -= (float)(s->mean[i] * s->mean[j]);
    trace += (double)s->h[i * d + i];
  }
  /* Damped: few rows and dead columns do no harm, and errors in directions that calibration hardly saw still cost something. Measured on
   * MobileNets: the output gains most near 0.2 of the covariance, nothing from 0.01. */
  for (size_t i = 0; i < d; i++) s->h[i * d + i] += (float)((centred ? .2 : .02) * trace / (double)d);
}

static void load_rows(solver *s, size_t first, size_t n, const int8_t *codes, const float *scale) {
  for (size_t r = 0; r < n; r++)
    for (size_t j = 0; j < s->dim; j++) {
      size_t at = qcc_weight_at(s->w, first + r, j);
      s->e[r * s->dim + j] = s->w->w[at] / scale[first + r] - (float)codes[at];
    }
}

static void descend_row(solver *s, size_t row, size_t r, int8_t *codes, int32_t *q) {
  for (size_t j = 0; j < s->dim; j++) q[j] = codes[qcc_weight_at(s->w, row, j)];
  descend(s, s->e + r * s->dim, s->g + r * s->dim, q);
  for (size_t j = 0; j < s->dim; j++) codes[qcc_weight_at(s->w, row, j)] = (int8_t)q[j];
}

static void one_batch(solver *s, size_t first, size_t n, int8_t *codes, float *scale, int32_t *q, double unit, double most,
                      double sums[2]) {
  bool small = s->dim <= SMALL_DIM;
  load_rows(s, first, n, codes, scale);
  times_h(s, n);
  for (size_t r = 0; r < n; r++) {
    float *e = s->e + r * s->dim, *g = s->g + r * s->dim;
    double step = (double)scale[first + r], before = dot(e, g, s->dim) * step * step;
    sums[0] += before * unit * unit;
    if (small) {
      double least = qcc_weight_least_scale(first + r, most, s->o);
      sums[1] += small_row(s, first + r, codes, &scale[first + r], before, least) * unit * unit;
      continue;
    }
    descend_row(s, first + r, r, codes, q);
    sums[1] += dot(e, g, s->dim) * step * step * unit * unit;
  }
}

static double largest(const qcc_weight *w) {
  float most = 0;
  for (size_t i = 0; i < w->count; i++) most = fmaxf(most, fabsf(w->w[i]));
  return (double)most;
}

static qcc_status open_solver(solver *s, const qcc_weight *w, const qcc_weight_options *o, int32_t **q) {
  *s = (solver){.w = w, .o = o, .dim = w->dim, .pairs = o->pairs && !w->depthwise && o->grid.hi > QCC_PAIR_SAFE};
  s->axpy = has_avx2() ? axpy_avx2 : axpy_base;
  s->h = qcc_alloc_array(w->cx, w->dim * w->dim, sizeof *s->h);
  s->e = qcc_alloc_array(w->cx, 2 * BATCH * w->dim, sizeof *s->e);
  s->mean = qcc_alloc_array(w->cx, w->dim, sizeof *s->mean);
  s->partner = qcc_alloc_array(w->cx, w->dim, sizeof *s->partner);
  s->x = qcc_alloc_array(w->cx, 2 * w->dim, sizeof *s->x);
  if (!s->h || !s->e || !s->mean || !s->partner || !s->x) return QCC_NOMEM;
  s->g = s->e + BATCH * w->dim;
  *q = s->x + w->dim;
  qcc_weight_partners(s->partner, w, o->pairs);
  return QCC_OK;
}

static void close_solver(solver *s) {
  qcc_context *cx = s->w->cx;
  qcc_free(cx, s->h);
  qcc_free(cx, s->e);
  qcc_free(cx, s->mean);
  qcc_free(cx, s->partner);
  qcc_free(cx, s->x);
}

static void all_groups(solver *s, const qcc_gram *gram, bool centred, int8_t *codes, float *scale, int32_t *q, double sums[2]) {
  const qcc_weight *w = s->w;
  size_t rows = w->rows / w->groups;
  double unit = qcc_gram_scale(gram), most = largest(w);
  for (size_t g = 0; g < w->groups; g++) {
    centre(s, gram, g, centred);
    for (size_t j = 0; j < s->dim; j++) s->x[j] = s->o->code_max ? s->o->code_max[g * w->channels + j / w->positions] : 255;
    for (size_t r = 0; r < rows; r += BATCH)
      one_batch(s, g * rows + r, rows - r < BATCH ? rows - r : BATCH, codes, scale, q, unit, most, sums);
  }
}

qcc_status qcc_weight_reconstruct(int8_t *codes, float *scale, double *before, double *after, const qcc_weight *w,
                                  const qcc_weight_options *o, const qcc_gram *gram, bool centred) {
  if (qcc_gram_dim(gram) != w->dim || qcc_gram_groups(gram) != w->groups)
    return qcc_error(w->cx, QCC_INTERNAL, "I-602", NULL, "gram matrix of %zu x %zu for a weight of %zu x %zu", qcc_gram_groups(gram),
                     qcc_gram_dim(gram), w->groups, w->dim);
  solver s;
  int32_t *q = NULL;
  double sums[2] = {0, 0};
  qcc_status status = open_solver(&s, w, o, &q);
  if (status == QCC_OK && qcc_gram_rows(gram)) all_groups(&s, gram, centred, codes, scale, q, sums);
  close_solver(&s);
  if (before) *before = sums[0];
  if (after) *after = sums[1];
  return status;
}
