/* SPDX-License-Identifier: Apache-2.0
 * Pointwise chains and concatenation of channels. A chain runs over pieces that fit the first cache, all posts on one piece. */
#include <string.h>

#include "backends/ref/step.h"

enum { PIECE = 4096 };

void qcc_step_elem(const qcc_simd *simd, const float *x, float *y, size_t n, const qcc_posts *posts) {
  size_t row = 1;
  for (unsigned i = 0; i < posts->n; ++i) /* rows of channels stay whole; all posts of a chain agree on them */
    if (posts->at[i].kind == QCC_POST_CHANNEL || posts->at[i].kind == QCC_POST_AFFINE) row = posts->at[i].channels;
  const size_t piece = row < PIECE ? PIECE / row * row : row;
  for (size_t i = 0; i < n; i += piece) {
    const size_t m = n - i < piece ? n - i : piece;
    if (x != y) memcpy(y + i, x + i, m * sizeof *y);
    qcc_posts_run(simd, posts, y + i, i, m);
  }
}

void qcc_step_concat(float *y, const float *x, size_t pixels, size_t channels, size_t width, size_t at) {
  for (size_t i = 0; i < pixels; ++i) memcpy(y + i * width + at, x + i * channels, channels * sizeof *y);
}
