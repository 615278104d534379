/* SPDX-License-Identifier: Apache-2.0
 * Weights of matrix products in few bits, with a scale (and perhaps a zero point) for every block of neighbours along K. */
#ifndef QCC_BLOCKS_H
#define QCC_BLOCKS_H

#include "strategy/weights.h"

typedef struct qcc_block_options {
  qcc_dtype dtype;      /* signed: symmetric; unsigned: with zero points */
  size_t block;         /* elements along K */
  const double *meansq; /* E[x^2] per input channel, or NULL: unweighted */
} qcc_block_options;

/* Scales of `w`: rows times blocks. */
size_t qcc_block_count(const qcc_weight *w, size_t size);
/* Scales and zero points (qcc_block_count entries each, in the order of the ONNX scale tensor) that minimise the (weighted) squared error of
 * nearest codes; `error`: its sum, or NULL. */
qcc_status qcc_block_scales(float *scale, int32_t *zero, double *error, const qcc_weight *w, const qcc_block_options *o) QCC_MUST_USE;

#endif
