/* SPDX-License-Identifier: Apache-2.0
 * Weights without data: round so that the errors of a row cancel. Behind a Relu all inputs are positive and of similar mean, so the sum of a
 * row's rounding errors is, up to that mean, the shift of the output's mean; it is the part of the noise that does not average out later.
 * Of all codes the one nearest to its rounding border is moved first, until the sum is below half a step. */
#include <math.h>

#include "strategy/weights.h"

/* Error w / scale - code of column `j`. */
static double error_of(const qcc_weight *w, const int8_t *codes, size_t row, size_t j, double scale) {
  size_t at = qcc_weight_at(w, row, j);
  return (double)w->w[at] / scale - codes[at];
}

static void balance_row(int8_t *codes, double scale, const qcc_weight *w, size_t row, const qcc_grid *grid) {
  double sum = 0;
  for (size_t j = 0; j < w->dim; j++) sum += error_of(w, codes, row, j, scale);
  for (size_t moves = 0; fabs(sum) > 0.5 && moves < w->dim; moves++) {
    int step = sum > 0 ? 1 : -1;
    size_t best = w->dim;
    double best_error = 0;
    for (size_t j = 0; j < w->dim; j++) {
      double e = step * error_of(w, codes, row, j, scale);
      int code = codes[qcc_weight_at(w, row, j)] + step;
      if (e > best_error && code >= grid->lo && code <= grid->hi) best = j, best_error = e;
    }
    if (best == w->dim) return;
    codes[qcc_weight_at(w, row, best)] = (int8_t)(codes[qcc_weight_at(w, row, best)] + step);
    sum -= step;
  }
}

void qcc_weight_balance(int8_t *codes, const float *scale, const qcc_weight *w, const qcc_grid *grid) {
  for (size_t row = 0; row < w->rows; row++) balance_row(codes, (double)scale[row], w, row, grid);
}
