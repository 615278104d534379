/* SPDX-License-Identifier: Apache-2.0
 * The steps of a plan that have loops of their own, channels last. `posts` are resolved for the worker that runs. */
#ifndef QCC_STEP_H
#define QCC_STEP_H

#include "backends/ref/plan.h"

/* The value as a step reads it; NULL: none. */
const qcc_tensor *qcc_step_value(const qcc_worker *w, uint32_t id);
void qcc_step_max_pool(const qcc_worker *w, const qcc_conv *c, const float *x, float *y, const qcc_posts *posts);
void qcc_step_average_pool(const qcc_worker *w, const qcc_conv *c, bool count_pads, const float *x, float *y, const qcc_posts *posts);
void qcc_step_mean(const qcc_worker *w, size_t batch, size_t spatial, size_t channels, const float *x, float *y, const qcc_posts *posts);
void qcc_step_elem(const qcc_worker *w, const float *x, float *y, size_t n, const qcc_posts *posts);
/* Pixels of x, `channels` wide, into columns [at, at + channels) of rows `width` wide. */
void qcc_step_concat(float *y, const float *x, size_t pixels, size_t channels, size_t width, size_t at);

#endif
