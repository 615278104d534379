/* SPDX-License-Identifier: Apache-2.0
 * Clip search for blocks. Few codes make the border of the range matter: a grid of ranges around the extremes is tried, most of them narrower,
 * then the scale is fitted to the codes it gave by least squares for as long as that helps. */
#include "strategy/blocks.h"

#include <math.h>
#include <string.h>

enum { REFITS = 4, SYMMETRIC_STEPS = 36, SHRINKS = 10 };
static const double shrink_step = .05;

typedef struct block {
  size_t n;
  float *x, *h, *q; /* values, their weights, the codes of the last attempt (zero point taken off) */
  float lo, hi;     /* codes */
} block;

typedef struct found {
  double error;
  float scale;
  int32_t zero;
} found;

/* Weighted squared error of nearest codes; leaves these in q. */
static double attempt(const block *b, float scale, int32_t zero) {
  const float magic = 12582912.0f, low = b->lo - (float)zero, high = b->hi - (float)zero;
  double sum = 0;
  for (size_t i = 0; i < b->n; i++) {
    float v = b->x[i] / scale;
    v = v < low ? low : v > high ? high : v;
    v = (v + magic) - magic;
    b->q[i] = v;
    const float e = b->x[i] - v * scale;
    sum += (double)(b->h[i] * e * e);
  }
  return sum;
}

static bool try_scale(const block *b, found *best, double scale, int32_t zero) {
  const float s = (float)scale;
  if (!(s >= 1e-30f) || !isfinite(s)) return false;
  const double e = attempt(b, s, zero);
  if (!(e < best->error)) return false;
  *best = (found){e, s, zero};
  return true;
}

/* The scale that suits the codes best. */
static void refit(const block *b, found *best) {
  for (int i = 0; i < REFITS; i++) {
    double xq = 0, qq = 0;
    attempt(b, best->scale, best->zero);
    for (size_t k = 0; k < b->n; k++) {
      xq += (double)(b->h[k] * b->x[k] * b->q[k]);
      qq += (double)(b->h[k] * b->q[k] * b->q[k]);
    }
    if (!(qq > 0) || !try_scale(b, best, xq / qq, best->zero)) return;
  }
}

static found search_symmetric(const block *b, double most) {
  found best = {HUGE_VAL, 1, 0};
  for (int i = 0; i < SYMMETRIC_STEPS; i++) try_scale(b, &best, most / ((double)b->hi * (.9 + .025 * i)), 0);
  return best;
}

static found search_asymmetric(const block *b, double least, double most) {
  found best = {HUGE_VAL, 1, 0};
  const double codes = (double)b->hi - (double)b->lo;
  for (int i = 0; i < SHRINKS; i++)
    for (int j = 0; j < SHRINKS; j++) {
      const double lo = least * (1 - shrink_step * i), hi = most * (1 - shrink_step * j), scale = (hi - lo) / codes;
      if (!(scale > 0) || (i && least >= 0) || (j && most <= 0)) continue;
      try_scale(b, &best, scale, (int32_t)(qcc_round_even(-lo / scale) + (int64_t)b->lo));
    }
  return best;
}

static found search(const block *b, bool symmetric) {
  double least = 0, most = 0;
  for (size_t i = 0; i < b->n; i++) {
    least = fmin(least, (double)b->x[i]);
    most = fmax(most, (double)b->x[i]);
  }
  const int32_t middle = symmetric ? 0 : (int32_t)b->lo;
  if (least == 0 && most == 0) return (found){0, 1, middle};
  found best = symmetric ? search_symmetric(b, fmax(most, -least)) : search_asymmetric(b, least, most);
  if (best.error < HUGE_VAL) refit(b, &best);
  return best;
}

static void load(block *b, const qcc_weight *w, const qcc_block_options *o, size_t row, size_t from) {
  b->n = w->dim - from < o->block ? w->dim - from : o->block;
  for (size_t i = 0; i < b->n; i++) {
    b->x[i] = w->w[qcc_weight_at(w, row, from + i)];
    b->h[i] = o->meansq ? (float)o->meansq[from + i] : 1;
  }
}

size_t qcc_block_count(const qcc_weight *w, size_t size) { return w->rows * ((w->dim + size - 1) / size); }

qcc_status qcc_block_scales(float *scale, int32_t *zero, double *error, const qcc_weight *w, const qcc_block_options *o) {
  const size_t blocks = (w->dim + o->block - 1) / o->block;
  const bool symmetric = qcc_dtype_kind(o->dtype) == QCC_KIND_SINT;
  float *room = qcc_alloc_array(w->cx, o->block, 3 * sizeof *room);
  if (!room) return QCC_NOMEM;
  block b = {.x = room, .h = room + o->block, .q = room + 2 * o->block};
  b.lo = (float)qcc_dtype_min(o->dtype), b.hi = (float)qcc_dtype_max(o->dtype);
  double sum = 0;
  for (size_t r = 0; r < w->rows; r++)
    for (size_t k = 0; k < blocks; k++) {
      load(&b, w, o, r, k * o->block);
      const found best = search(&b, symmetric);
      const size_t at = w->axis == 1 ? k * w->rows + r : r * blocks + k;
      scale[at] = best.scale;
      zero[at] = best.zero;
      sum += best.error < HUGE_VAL ? best.error : 0;
    }
  qcc_free(w->cx, room);
  if (error) *error = sum;
  return QCC_OK;
}
