/* SPDX-License-Identifier: Apache-2.0
 * Statistics per channel of one tensor: mean, mean square and extremes, for bias correction, weight scales and pair limits.
 * Order-independent like the histograms: each sample's sums enter a fixed-point total (unit 2^-60, saturating near 2^60). */
#ifndef QCC_CHANNELS_H
#define QCC_CHANNELS_H

#include "ir/tensor.h"

typedef struct qcc_channel_sum qcc_channel_sum;

typedef struct qcc_channels {
  qcc_context *cx;
  uint32_t count; /* channels; 0: nothing seen yet */
  uint64_t n;     /* values per channel; non-finite ones count as 0 */
  qcc_channel_sum *total;
  bool failed;           /* no memory (told), or samples disagree about the number of channels */
  double *mean, *meansq; /* count; set by qcc_channels_finish */
  float *min, *max;
} qcc_channels;

void qcc_channels_init(qcc_channels *c, qcc_context *cx);
void qcc_channels_fini(qcc_channels *c);
/* Add one sample: `t` is f32 in row-major order, channels along `axis` (negative: from the end). Other tensors are skipped. */
void qcc_channels_add(qcc_channels *c, const qcc_tensor *t, int axis);
/* The same for data that lies as [N, spatial.., C] under the type [N, C, spatial..]. */
void qcc_channels_add_last(qcc_channels *c, const qcc_tensor *t);
void qcc_channels_merge(qcc_channels *c, const qcc_channels *other);
/* Fill mean, meansq, min and max. QCC_NOMEM. */
qcc_status qcc_channels_finish(qcc_channels *c) QCC_MUST_USE;
/* Widest channel's largest magnitude over the median one's: how unequal the channels are; 1 when there are none. */
double qcc_channels_disparity(const qcc_channels *c);

#endif
