/* SPDX-License-Identifier: Apache-2.0
 * Bias correction in closed form: rounding weights and inputs shifts the mean of every output channel; adding the difference to the bias
 * takes the shift away at no cost at run time. */
#ifndef QCC_BIAS_H
#define QCC_BIAS_H

#include "ir/check.h"
#include "strategy/weights.h"

/* The shift that the weights' rounding alone makes, delta[r] = sum_j (w - scale q)_rj share_j mean_j. `codes` NULL: the nearest floats of 8 bits
 * of type `dtype`. `mean`: of the operator's input per channel (groups * channels); `share` per kernel position (qcc_tap_shares), NULL: 1. */
void qcc_bias_from_weights(float *delta, const qcc_weight *w, const int8_t *codes, qcc_dtype dtype, const float *scale, const double *mean,
                           const double *share);
/* Share of the output positions at which each kernel position lies on the input rather than in the padding; for a transposed
 * convolution the share of outputs that it reaches. Unknown sizes count as no padding. One entry per kernel position. */
void qcc_tap_shares(double *share, const qcc_window *w, bool transposed);

#endif
