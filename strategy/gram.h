/* SPDX-License-Identifier: Apache-2.0
 * Gram matrices H = X^T X of what enters a weighted operator: all that the layer's squared output error depends on, besides the weights.
 *
 * Rows of X are the im2col patches at output positions, drawn by a seeded generator that depends on the sample only; a patch stands in the
 * order of one row of the weight: [input channel of the group][kernel position]. Elements are integer codes x / scale, at most 255 in
 * magnitude, so all sums are exact integers: the same bits in any order of samples and workers. H is in units of scale^2. */
#ifndef QCC_GRAM_H
#define QCC_GRAM_H

#include "ir/check.h"

enum { QCC_GRAM_MAX_DIM = 2048, QCC_GRAM_MAX_ROWS = 33000 }; /* larger operators do without */

typedef struct qcc_gram qcc_gram;
typedef struct qcc_gram_scratch qcc_gram_scratch;

/* For Conv (`w` its geometry; input [N, groups * channels, spatial...]) or, with w NULL, for a product with [.., channels] x [channels, R].
 * `scale` is the input's quantization step; 0: not known yet, the collector derives one from the first sample. QCC_LIMIT, silently, when
 * dim is too large. */
qcc_status qcc_gram_new(qcc_gram **out, qcc_context *cx, const qcc_window *w, size_t channels, double scale) QCC_MUST_USE;
void qcc_gram_free(qcc_gram *g);
size_t qcc_gram_dim(const qcc_gram *g); /* channels of a group * kernel positions */
size_t qcc_gram_groups(const qcc_gram *g);
double qcc_gram_scale(const qcc_gram *g);
void qcc_gram_set_scale(qcc_gram *g, double scale); /* before the first patch */
size_t qcc_gram_rows(const qcc_gram *g);            /* patches seen so far */
size_t qcc_gram_target(size_t dim);                 /* how many are enough */

/* One per worker; serves every Gram up to `dim`. */
qcc_gram_scratch *qcc_gram_scratch_new(qcc_context *cx, size_t dim);
/* Add patches of one sample (f32, row-major or, with `last`, channels last in memory); `quota`: at most this many. Thread-safe with separate
 * scratches. */
void qcc_gram_add(qcc_gram *g, qcc_gram_scratch *scratch, const qcc_tensor *x, bool last, size_t sample, size_t quota, uint64_t seed);
/* H of one group as a full symmetric dim x dim matrix, divided by the number of rows; the mean patch, in units of
 * scale, into `mean` (dim) unless NULL. */
void qcc_gram_read(const qcc_gram *g, size_t group, float *h, double *mean);

#endif
