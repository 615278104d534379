/* SPDX-License-Identifier: Apache-2.0
 * Pointwise chains and concatenation of channels. A chain runs over pieces that fit the first cache, all posts on one piece. */
#include <string.h>

#include "backends/ref/step.h"

void qcc_step_elem(const qcc_worker *w, const float *x, float *y, size_t n, const qcc_posts *posts) {
  const size_t piece = qcc_posts_piece(posts);
  for (size_t i = 0; i < n; i += piece) {
    const size_t m = n - i < piece ? n - i : piece;
    if (x != y) memcpy(y + i, x + i, m * sizeof *y);
    qcc_posts_run(w, posts, y + i, i, m);
  }
}

void qcc_step_concat(float *y, const float *x, size_t pixels, size_t channels, size_t width, size_t at) {
  for (size_t i = 0; i < pixels; ++i) memcpy(y + i * width + at, x + i * channels, channels * sizeof *y);
}
