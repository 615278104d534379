/* SPDX-License-Identifier: Apache-2.0
 * Estimators. All of them read the list form of one histogram; candidates of the MSE search go through the same function that makes the final
 * parameters, so that rounding of the zero point and power-of-two scales are part of what is compared. */
#include "strategy/estimate.h"

#include <string.h>

typedef struct task { /* one MSE search */
  const qcc_bins *bins;
  const qcc_grid *grid;
  qcc_range best;
  double least;
} task;

bool qcc_range_is_bounded(const qcc_range *r) { return isfinite(r->lo) && isfinite(r->hi); }

const char *qcc_estimator_name(qcc_estimator e) {
  static const char *const names[] = {
#define ESTIMATOR(id, name, doc) name,
#include "strategy/estimators.def"
#undef ESTIMATOR
  };
  return e <= QCC_EST_AUTO || e >= QCC_EST_COUNT ? "auto" : names[e - 1];
}

bool qcc_estimator_find(qcc_estimator *out, const char *name) {
  for (int e = QCC_EST_AUTO; e < QCC_EST_COUNT; e++)
    if (!strcmp(name, qcc_estimator_name((qcc_estimator)e))) return *out = (qcc_estimator)e, true;
  return false;
}

/* ---- error of a grid */
static double cube(double x) { return x * x * x; }
/* integral of (t - m)^2 over [p, q] */
static double around(double p, double q, double m) { return (cube(q - m) - cube(p - m)) / 3; }

/* Mean of (t - nearest level)^2 over [a, b] for levels k*s within [low, high]. */
static double mean_error(double a, double b, double s, double low, double high) {
  double width = b - a, e = 0;
  if (!(width > 0)) {
    double x = a < low ? low : a > high ? high : floor(a / s + .5) * s;
    return (a - x) * (a - x);
  }
  if (a < low) {
    double to = b < low ? b : low;
    e += around(a, to, low);
    a = to;
  }
  if (b > high) {
    double from = a > high ? a : high;
    e += around(from, b, high);
    b = from;
  }
  if (b > a) {
    double i = floor(a / s + .5), j = floor(b / s + .5);
    if (i == j)
      e += around(a, b, i * s);
    else
      e += around(a, (i + .5) * s, i * s) + (j - i - 1) * cube(s) / 12 + around((j - .5) * s, b, j * s);
  }
  return e / width;
}

/* First bin that reaches beyond x (b > x), or that starts at x or later when `starts`. */
static size_t find(const qcc_bins *q, double x, bool starts) {
  size_t lo = 0, hi = q->count;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (starts ? q->at[mid].a >= x : q->at[mid].b > x)
      hi = mid;
    else
      lo = mid + 1;
  }
  return lo;
}

/* Sum over bins [from, to) of n (x - m)^2, from the running moments. */
static double moment(const qcc_bins *q, size_t from, size_t to, double m) {
  if (from >= to) return 0;
  double e = (q->c2[to] - q->c2[from]) - 2 * m * (q->c1[to] - q->c1[from]) + m * m * (q->c0[to] - q->c0[from]);
  return e > 0 ? e : 0;
}

static double loop(const qcc_bins *q, size_t from, size_t to, double s, double low, double high) {
  double e = 0;
  for (size_t i = from; i < to; i++) e += q->at[i].n * mean_error(q->at[i].a, q->at[i].b, s, low, high);
  return e;
}

double qcc_bins_noise(const qcc_bins *q, float scale, int32_t zero, const qcc_grid *grid) {
  if (!(q->total > 0)) return 0;
  double s = (double)scale, low = ((double)grid->lo - zero) * s, high = ((double)grid->hi - zero) * s;
  size_t from = find(q, low, false), to = find(q, high, true);
  if (from > to) from = to;
  double e = moment(q, 0, from, low) + moment(q, to, q->count, high);
  size_t mid0 = to, mid1 = to; /* bins that lie in the cell of zero */
  if (low <= 0 && high >= 0) mid0 = find(q, -s / 2, true), mid1 = find(q, s / 2, false);
  if (mid1 <= mid0 || mid0 < from || mid1 > to) return (e + loop(q, from, to, s, low, high)) / q->total;
  e += loop(q, from, mid0, s, low, high) + moment(q, mid0, mid1, 0) + loop(q, mid1, to, s, low, high);
  return e / q->total;
}

double qcc_range_noise(const qcc_bins *b, qcc_range r, const qcc_grid *grid) {
  float scale;
  int32_t zero;
  qcc_range_to_qparams(&scale, &zero, r.lo, r.hi, grid);
  return qcc_bins_noise(b, scale, zero, grid);
}

double qcc_bins_power(const qcc_bins *b) { return b->total > 0 ? b->c2[b->count] / b->total : 0; }

double qcc_noise_db(double power, double noise) {
  if (!(noise > 0)) return 300;
  double db = 10 * log10(power / noise);
  return db > 300 ? 300 : db < -300 ? -300 : db;
}

/* ---- MSE */
static bool try_range(task *t, qcc_range r) {
  double e = qcc_range_noise(t->bins, r, t->grid);
  if (!(e < t->least)) return false;
  t->least = e;
  t->best = r;
  return true;
}

/* Error of clipping alone: grows as the range shrinks, so it ends a search early. */
static double clip_noise(const qcc_bins *q, qcc_range r) {
  return (moment(q, 0, find(q, r.lo, false), r.lo) + moment(q, find(q, r.hi, true), q->count, r.hi)) / q->total;
}

/* Shrink one end (or both, `both`) of `from` geometrically; keeps the best in t. */
static void shrink(task *t, qcc_range from, bool low, bool both) {
  double f = 1;
  for (int i = 0; i < 60; i++, f *= .93) {
    qcc_range r = {low || both ? from.lo * f : from.lo, !low || both ? from.hi * f : from.hi};
    if (i && clip_noise(t->bins, r) * .999 > t->least) return;
    try_range(t, r);
  }
}

static qcc_range mse(const qcc_bins *b, const qcc_grid *grid, qcc_range full) {
  task t = {b, grid, full, HUGE_VAL};
  try_range(&t, full);
  if (grid->symmetric) {
    double most = fmax(-full.lo, full.hi);
    shrink(&t, (qcc_range){-most, most}, false, true);
    return (qcc_range){fmax(t.best.lo, full.lo), fmin(t.best.hi, full.hi)}; /* the wider end decides: the same grid */
  }
  for (int turn = 0; turn < 3; turn++) {
    bool low = turn == 1;
    if (low ? full.lo < 0 : full.hi > 0) shrink(&t, (qcc_range){low ? full.lo : t.best.lo, low ? t.best.hi : full.hi}, low, false);
    if (turn == 0 && !(full.lo < 0)) break;
  }
  return t.best;
}

/* ---- percentile */
/* The outer edge of the bin in which the mass outside falls to `tail` or less, seen from one end. */
static double quantile(const qcc_bins *b, double tail, bool low) {
  double mass = 0;
  for (size_t k = 0; k < b->count; k++) {
    const qcc_bin *q = &b->at[low ? k : b->count - 1 - k];
    mass += q->n;
    if (mass > tail) return low ? q->a : q->b;
  }
  return 0;
}

static qcc_range percentile(const qcc_bins *b, qcc_range full) {
  bool both = full.lo < 0 && full.hi > 0;
  double tail = b->total * 1e-5 / (both ? 2 : 1);
  qcc_range r = {full.lo < 0 ? quantile(b, tail, true) : 0, full.hi > 0 ? quantile(b, tail, false) : 0};
  r.lo = fmin(r.lo, 0), r.hi = fmax(r.hi, 0);
  return r.lo == 0 && r.hi == 0 ? full : r; /* nearly all zeros */
}

/* ---- Kullback-Leibler */
enum { KL_BINS = 2048, KL_LEVELS = 128 };

typedef struct kl {
  double n[KL_BINS];        /* mass of |x| in uniform bins, zeros left out */
  double mass[KL_BINS + 1]; /* running sums of n, of n log n and of filled bins */
  double plogp[KL_BINS + 1];
  int filled[KL_BINS + 1];
  double total;
} kl;

static double xlogx(double x) { return x > 0 ? x * log(x) : 0; }

/* Spread a bin's mass over the uniform bins it covers. */
static void spread(kl *k, double a, double b, double n, double width) {
  size_t i = (size_t)fmin(a / width, KL_BINS - 1), j = (size_t)fmin(b / width, KL_BINS - 1);
  if (i == j || !(b > a)) {
    k->n[i] += n;
    return;
  }
  for (size_t m = i; m <= j; m++) {
    double from = m == i ? a : (double)m * width, to = m == j ? b : (double)(m + 1) * width;
    if (to > from) k->n[m] += n * (to - from) / (b - a);
  }
}

static void kl_fill(kl *k, const qcc_bins *b, double most) {
  memset(k, 0, sizeof *k);
  for (size_t i = 0; i < b->count; i++) {
    const qcc_bin *q = &b->at[i];
    if (q->a == 0 && q->b == 0) continue;
    if (q->b <= 0)
      spread(k, -q->b, fmin(-q->a, most), q->n, most / KL_BINS);
    else
      spread(k, q->a, fmin(q->b, most), q->n, most / KL_BINS);
  }
  for (size_t i = 0; i < KL_BINS; i++) {
    k->mass[i + 1] = k->mass[i] + k->n[i];
    k->plogp[i + 1] = k->plogp[i] + xlogx(k->n[i]);
    k->filled[i + 1] = k->filled[i] + (k->n[i] > 0);
  }
  k->total = k->mass[KL_BINS];
}

/* Divergence of the first i bins, the tail put into the last of them, from their 128-level version. The sum of P log Q needs only the mass and
 * the number of filled bins of each level, since Q is constant over a level's filled bins. */
static double kl_divergence(const kl *k, size_t i) {
  double tail = k->total - k->mass[i], last = k->n[i - 1], plogq = 0;
  double plogp = k->plogp[i] - xlogx(last) + xlogx(last + tail);
  for (size_t g = 0; g < KL_LEVELS; g++) {
    size_t from = g * i / KL_LEVELS, to = (g + 1) * i / KL_LEVELS;
    double mass = k->mass[to] - k->mass[from];
    int filled = k->filled[to] - k->filled[from];
    if (filled && mass > 0) plogq += (mass + (g == KL_LEVELS - 1 ? tail : 0)) * log(mass / filled);
  }
  return (plogp - plogq) / k->total - log(k->total) + log(k->mass[i]); /* both sides normalized by their own mass */
}

static bool kl_allows(const kl *k, size_t i) { return k->n[i - 1] > 0 && k->mass[i] > 0; }

static double kl_threshold(const kl *k, double most) {
  size_t best = KL_BINS;
  double least = HUGE_VAL;
  for (size_t i = KL_LEVELS; i <= KL_BINS; i++) {
    if (!kl_allows(k, i)) continue; /* Q would be 0 where P is not */
    double d = kl_divergence(k, i);
    if (d < least) least = d, best = i;
  }
  return best == KL_BINS ? most : ((double)best + .5) * most / KL_BINS;
}

size_t qcc_kl_candidates(const qcc_bins *b) {
  kl k;
  double most = fmax(-b->min, b->max);
  size_t n = 0;
  if (!(most > 0)) return 0;
  kl_fill(&k, b, most);
  for (size_t i = KL_LEVELS; i <= KL_BINS; i++) n += kl_allows(&k, i);
  return n;
}

static qcc_range entropy(const qcc_bins *b, qcc_range full) {
  kl k;
  double most = fmax(-full.lo, full.hi);
  if (!(most > 0)) return full;
  kl_fill(&k, b, most);
  double t = k.total > 0 ? kl_threshold(&k, most) : most;
  return (qcc_range){fmax(full.lo, -t), fmin(full.hi, t)};
}

/* ---- all */
static qcc_range within(qcc_range r, qcc_range bounds) {
  double lo = fmin(fmax(r.lo, bounds.lo), 0), hi = fmax(fmin(r.hi, bounds.hi), 0);
  return (qcc_range){lo, hi};
}

qcc_range qcc_estimate(qcc_estimator how, const qcc_hist *h, const qcc_bins *b, const qcc_grid *grid, qcc_range bounds) {
  if (!h->count) return qcc_range_is_bounded(&bounds) ? within(bounds, bounds) : (qcc_range){0, 0};
  qcc_range full = within((qcc_range){(double)h->min, (double)h->max}, bounds), r = full;
  double samples = (double)h->samples, weight = qcc_sum_value(&h->moving_weight);
  if (how == QCC_EST_MEAN_MINMAX)
    r = (qcc_range){qcc_sum_value(&h->sample_min) / samples, qcc_sum_value(&h->sample_max) / samples};
  else if (how == QCC_EST_MOVING && weight > 0)
    r = (qcc_range){qcc_sum_value(&h->moving_min) / weight, qcc_sum_value(&h->moving_max) / weight};
  else if (how == QCC_EST_PERCENTILE)
    r = percentile(b, full);
  else if (how == QCC_EST_KL)
    r = entropy(b, full);
  else if (how == QCC_EST_MSE || how == QCC_EST_AUTO)
    r = mse(b, grid, full);
  return within(r, bounds);
}

/* ---- several tensors */
static qcc_status one_loss(qcc_unified *out, qcc_estimator how, const qcc_hist *h, const qcc_grid *grid, qcc_range bounds,
                           double width[2]) {
  qcc_bins b;
  if (!h->count) return QCC_OK;
  QCC_TRY(qcc_bins_of(&b, h));
  qcc_range r = qcc_estimate(how, h, &b, grid, bounds);
  double power = qcc_bins_power(&b), own_db = qcc_noise_db(power, qcc_range_noise(&b, r, grid));
  double loss = own_db - qcc_noise_db(power, qcc_range_noise(&b, out->range, grid)), w = r.hi - r.lo;
  if (loss > out->worst_loss_db) out->worst_loss_db = loss;
  if (w > 0) width[0] = fmin(width[0], w), width[1] = fmax(width[1], w);
  qcc_bins_fini(h->cx, &b);
  return QCC_OK;
}

qcc_status qcc_unify(qcc_unified *out, qcc_context *cx, qcc_estimator how, const qcc_hist *const *h, size_t count, const qcc_grid *grid,
                     qcc_range bounds) {
  *out = (qcc_unified){.disparity = 1};
  qcc_hist all;
  qcc_bins b = {0};
  qcc_hist_init(&all, cx);
  for (size_t i = 0; i < count; i++) qcc_hist_merge(&all, h[i]);
  qcc_status status = qcc_hist_status(&all);
  if (status == QCC_OK) status = qcc_bins_of(&b, &all);
  double width[2] = {HUGE_VAL, 0};
  if (status == QCC_OK) out->range = qcc_estimate(how, &all, &b, grid, bounds);
  for (size_t i = 0; i < count && status == QCC_OK; i++) status = one_loss(out, how, h[i], grid, bounds, width);
  if (width[1] > 0) out->disparity = width[1] / width[0];
  qcc_bins_fini(cx, &b);
  qcc_hist_fini(&all);
  return status;
}
