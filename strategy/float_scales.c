/* SPDX-License-Identifier: Apache-2.0
 * Scales of weights in floats of 8 bits. Their steps grow with the number, so a scale decides little: doubling it changes nothing but what falls
 * out of the range. Tried are the ratios within one octave, and some that clip. */
#include <float.h>
#include <math.h>

#include "ir/quant.h"
#include "strategy/weights.h"

enum { CLIPS = 3, STEPS = 16 };
static const double clip_step = .04;

typedef struct row {
  float *x, *h, *y; /* values, their weights, the nearest numbers */
  size_t n;
} row;

static void load(row *r, const qcc_weight *w, const qcc_weight_options *o, size_t index) {
  const size_t group = index / (w->rows / w->groups);
  for (size_t i = 0; i < r->n; i++) {
    r->x[i] = w->w[qcc_weight_at(w, index, i)];
    r->h[i] = o->meansq ? (float)o->meansq[group * w->channels + i / w->positions] : 1;
  }
}

static double error_at(const row *r, qcc_dtype t, float scale) {
  double sum = 0;
  qcc_fake_quantize_f8(t, r->y, r->x, r->n, scale);
  for (size_t i = 0; i < r->n; i++) {
    const float e = r->x[i] - r->y[i];
    sum += (double)(r->h[i] * e * e);
  }
  return sum;
}

/* Candidate `i` for numbers up to `most`; the first one is neither clipped nor wasted. */
static float candidate(int i, double most, const qcc_grid *grid) {
  const double full = most / qcc_f8_most(grid->dtype);
  double scale = i < STEPS ? full * exp2((double)i / STEPS) : full * (1 - clip_step * (i - STEPS + 1));
  if (grid->pow2) scale = exp2(ceil(log2(full)));
  return scale < (double)FLT_MIN || !isfinite(scale) ? 1 : (float)scale;
}

static int candidates(const qcc_grid *grid) { return grid->pow2 ? 1 : STEPS + CLIPS; }

static double most_of(const row *r) {
  float most = 0;
  for (size_t i = 0; i < r->n; i++) most = fabsf(r->x[i]) > most ? fabsf(r->x[i]) : most;
  return (double)most;
}

static float search_row(const row *r, const qcc_grid *grid) {
  const double most = most_of(r);
  double least = HUGE_VAL;
  float best = 1;
  for (int i = 0; i < candidates(grid) && most > 0; i++) {
    const float scale = candidate(i, most, grid);
    const double e = error_at(r, grid->dtype, scale);
    if (e < least) least = e, best = scale;
  }
  return best;
}

static float search_tensor(row *r, const qcc_weight *w, const qcc_weight_options *o) {
  double sum[STEPS + CLIPS] = {0}, most = 0;
  int best = 0;
  for (size_t k = 0; k < w->rows; k++) {
    load(r, w, o, k);
    most = fmax(most, most_of(r));
  }
  if (!(most > 0)) return 1;
  for (size_t k = 0; k < w->rows; k++) {
    load(r, w, o, k);
    for (int i = 0; i < candidates(&o->grid); i++) sum[i] += error_at(r, o->grid.dtype, candidate(i, most, &o->grid));
  }
  for (int i = 1; i < candidates(&o->grid); i++) best = sum[i] < sum[best] ? i : best;
  return candidate(best, most, &o->grid);
}

qcc_status qcc_float_scales(float *scale, double *error, const qcc_weight *w, const qcc_weight_options *o) {
  row r = {.n = w->dim};
  r.x = qcc_alloc_array(w->cx, w->dim, 3 * sizeof *r.x);
  if (!r.x) return QCC_NOMEM;
  r.h = r.x + w->dim;
  r.y = r.h + w->dim;
  const float shared = o->per_tensor ? search_tensor(&r, w, o) : 0;
  double sum = 0;
  for (size_t k = 0; k < w->rows; k++) {
    load(&r, w, o, k);
    scale[k] = o->per_tensor ? shared : search_row(&r, &o->grid);
    if (error) sum += error_at(&r, o->grid.dtype, scale[k]);
  }
  qcc_free(w->cx, r.x);
  if (error) *error = sum;
  return QCC_OK;
}
