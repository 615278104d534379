/* SPDX-License-Identifier: Apache-2.0
 * Closed-form bias correction. Sums run in double and in index order. */
#include "strategy/bias.h"

#include <math.h>

void qcc_bias_from_weights(float *delta, const qcc_weight *w, const int8_t *codes, qcc_dtype dtype, const float *scale, const double *mean,
                           const double *share) {
  for (size_t r = 0; r < w->rows; r++) {
    const double *m = mean + r / (w->rows / w->groups) * w->channels;
    double sum = 0;
    for (size_t j = 0; j < w->dim; j++) {
      size_t at = qcc_weight_at(w, r, j);
      float nearest;
      if (!codes) qcc_fake_quantize_f8(dtype, &nearest, &w->w[at], 1, scale[r]);
      double e = (double)w->w[at] - (codes ? (double)scale[r] * codes[at] : (double)nearest);
      sum += e * m[j / w->positions] * (share ? share[j % w->positions] : 1);
    }
    delta[r] = (float)sum;
  }
}

/* Along one axis: share of outputs for which kernel position k meets an input element. */
static double axis_share(const qcc_window *w, int axis, int64_t k, bool transposed) {
  int64_t in = w->in[axis], out = w->out[axis], inside = 0;
  if (in <= 0 || out <= 0) return transposed ? 1 / (double)w->stride[axis] : 1;
  if (transposed) return fmin(1, (double)in / (double)out);
  for (int64_t o = 0; o < out; o++) {
    int64_t at = o * w->stride[axis] - w->pad_begin[axis] + k * w->dilation[axis];
    inside += at >= 0 && at < in;
  }
  return (double)inside / (double)out;
}

void qcc_tap_shares(double *share, const qcc_window *w, bool transposed) {
  int64_t n[3] = {1, 1, 1};
  for (int i = 0; i < w->rank; i++) n[i] = w->kernel[i];
  for (int64_t a = 0; a < n[0]; a++)
    for (int64_t b = 0; b < n[1]; b++)
      for (int64_t c = 0; c < n[2]; c++) {
        const int64_t k[3] = {a, b, c};
        double s = 1;
        for (int i = 0; i < w->rank; i++) s *= axis_share(w, i, k[i], transposed);
        *share++ = s;
      }
}
