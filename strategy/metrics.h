/* SPDX-License-Identifier: Apache-2.0
 * How close a quantized network's outputs are to the float ones. */
#ifndef QCC_METRICS_H
#define QCC_METRICS_H

#include "ir/tensor.h"

/* One pair of arrays. Values that are not finite in `got` but are in `want` count as an error as large as the signal. */
double qcc_sqnr_db(const float *want, const float *got, size_t n);
double qcc_nmse(const float *want, const float *got, size_t n);   /* |want - got|^2 / |want|^2; 0 when both are 0 */
double qcc_cosine(const float *want, const float *got, size_t n); /* 1 when both are 0 */
double qcc_median(double *x, size_t n);                           /* sorts x; mean of the middle two; NAN when n is 0 */

/* Over samples and outputs. */
typedef struct qcc_closeness {
  qcc_context *cx;
  uint32_t outputs;
  size_t samples, cap; /* rows filled */
  double *db;          /* [output][cap] */
  double nmse_sum, cosine_sum;
  size_t pairs, top1, top1_of; /* same place of the largest element, counted where there are at least two elements */
} qcc_closeness;

qcc_status qcc_closeness_init(qcc_closeness *m, qcc_context *cx, uint32_t outputs, size_t samples) QCC_MUST_USE;
void qcc_closeness_fini(qcc_closeness *m);
/* Add one sample: `outputs` tensors each; other types than f32 are converted, pairs of different size count as 0 dB. At most `samples` times. */
qcc_status qcc_closeness_add(qcc_closeness *m, const qcc_tensor *want, const qcc_tensor *got) QCC_MUST_USE;
double qcc_closeness_db(const qcc_closeness *m);   /* median over samples, of the output where it is worst; NAN without samples */
double qcc_closeness_nmse(const qcc_closeness *m); /* means over samples and outputs */
double qcc_closeness_cosine(const qcc_closeness *m);
double qcc_closeness_top1(const qcc_closeness *m); /* 0..1; NAN when not counted */

#endif
