/* SPDX-License-Identifier: Apache-2.0
 * Ranges to parameters: scale and zero point of a grid. Computed in double and rounded once to f32; zero is always a code. */
#include <float.h>
#include <string.h>

#include "ir/grid.h"

qcc_grid qcc_grid_u8(void) { return (qcc_grid){.dtype = QCC_U8, .lo = 0, .hi = 255}; }
qcc_grid qcc_grid_weight(void) { return (qcc_grid){.dtype = QCC_S8, .lo = -127, .hi = 127, .symmetric = true}; }

/* The least power of two >= x, x a normal positive float. */
static float power_above(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (bits & 0x7fffff) bits = (bits & 0x7f800000) + 0x800000;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static float below(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits--;
  memcpy(&x, &bits, sizeof x);
  return x < FLT_MIN ? FLT_MIN : x;
}

static float keep_in_range(double scale, bool pow2) {
  float s = scale < (double)FLT_MIN ? FLT_MIN : scale > (double)FLT_MAX ? FLT_MAX : (float)scale;
  if (!pow2) return s;
  return s > 0x1p127f ? 0x1p127f : power_above(s);
}

static int32_t clamp(int64_t x, const qcc_grid *grid) { return (int32_t)(x < grid->lo ? grid->lo : x > grid->hi ? grid->hi : x); }

/* A one-sided range must not grow by rounding: its clip would not be redundant any more. */
static float shrink(float s, int32_t zero, double lo, double hi, const qcc_grid *grid) {
  if (lo == 0 && (double)((float)((int64_t)grid->hi - zero) * s) > hi) return below(s);
  if (hi == 0 && (double)((float)((int64_t)grid->lo - zero) * s) < lo) return below(s);
  return s;
}

static double positive(double x) { return x > 0 ? x : 0; }

void qcc_range_to_qparams(float *scale, int32_t *zero, double lo, double hi, const qcc_grid *grid) {
  double big = (double)FLT_MAX;
  bool usable = lo <= hi && lo >= -big && hi <= big; /* false for NaN too */
  *scale = 1;
  *zero = grid->symmetric ? qcc_grid_middle(grid) : clamp(0, grid);
  if (!usable) return;
  if (lo > 0) lo = 0;
  if (hi < 0) hi = 0;
  if (lo == hi || grid->lo >= grid->hi) return;
  double codes = (double)grid->hi - (double)grid->lo;
  if (grid->symmetric) {
    double up = positive((double)grid->hi - *zero), down = positive(*zero - (double)grid->lo);
    double above = up > 0 ? hi / up : 0, under = down > 0 ? -lo / down : 0;
    double s = above > under ? above : under;
    if (s > 0) *scale = keep_in_range(s, grid->pow2);
    return;
  }
  *scale = keep_in_range((hi - lo) / codes, grid->pow2);
  *zero = clamp(qcc_round_even((double)grid->lo - lo / (double)*scale), grid);
  if (!grid->pow2) *scale = shrink(*scale, *zero, lo, hi, grid);
}
