/* SPDX-License-Identifier: Apache-2.0
 * From a histogram to a range, and what a quantization costs on it. Pure functions; nothing here decides. */
#ifndef QCC_ESTIMATE_H
#define QCC_ESTIMATE_H

#include <math.h>

#include "ir/quant.h"
#include "strategy/histogram.h"
#include "strategy/strategy.h"

typedef struct qcc_range {
  double lo, hi;
} qcc_range;

/* "No bound": pass it, or what is known of the tensor (the interval of a Clip, of Sigmoid, of Softmax). */
static inline qcc_range qcc_range_any(void) { return (qcc_range){-HUGE_VAL, HUGE_VAL}; }
bool qcc_range_is_bounded(const qcc_range *r);
const char *qcc_estimator_name(qcc_estimator e);               /* "mse"; AUTO: "auto" */
bool qcc_estimator_find(qcc_estimator *out, const char *name); /* false: no such estimator */

/* The range that `how` takes for the histogram: holds 0 and lies within `bounds` (with 0 always allowed). AUTO means MSE.
 * `b` is the same histogram as a list. An empty histogram gives the bounds when they are finite, else [0, 0]. Cannot fail. */
qcc_range qcc_estimate(qcc_estimator how, const qcc_hist *h, const qcc_bins *b, const qcc_grid *grid, qcc_range bounds);

/* Mean squared error of quantizing the histogram's values, integrated exactly over the buckets. Zero for an empty one. */
double qcc_bins_noise(const qcc_bins *b, float scale, int32_t zero, const qcc_grid *grid);
/* The same for a range, through qcc_range_to_qparams. */
double qcc_range_noise(const qcc_bins *b, qcc_range r, const qcc_grid *grid);
double qcc_bins_power(const qcc_bins *b);        /* mean square */
double qcc_noise_db(double power, double noise); /* 10 log10(power / noise); 300 when there is no noise */

/* How many thresholds the KL search would compare; for tests and -v. */
size_t qcc_kl_candidates(const qcc_bins *b);

/* ---- several tensors with one range (Concat, MaxPool chains) */
typedef struct qcc_unified {
  qcc_range range;
  double worst_loss_db; /* the most that a tensor's SQNR falls against a range of its own */
  double disparity;     /* widest range / narrowest range; 1: equal */
} qcc_unified;
/* Estimates over the merged histogram, which equals the histogram of all values together. */
qcc_status qcc_unify(qcc_unified *out, qcc_context *cx, qcc_estimator how, const qcc_hist *const *h, size_t count, const qcc_grid *grid,
                     qcc_range bounds) QCC_MUST_USE;

#endif
