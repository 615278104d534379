/* SPDX-License-Identifier: Apache-2.0
 * Weights to symmetric integer codes: scales by search, codes by rounding under the limits of the target's kernels.
 *
 * Pair limit. x86 kernels before VNNI multiply u8 inputs with s8 weights and clamp the sum of each PAIR of products to 16 bits. Pairs are
 * neighbours (2i, 2i+1) of a weight row flattened as [kernel position][input channel of the group], for some with the channels of a position
 * padded to whole pairs. A pair (w0, w1) is safe when
 * max(w0,0) x0 + max(w1,0) x1 <= 32767 and min(w0,0) x0 + min(w1,0) x1 >= -32768, x being the highest code that the input channel reaches.
 * All functions here return safe codes when `pairs` is set. Depthwise kernels accumulate exactly and have no limit.
 *
 * Typical use: qcc_weight_open, qcc_weight_scales (at once: scales and codes), then, with calibration, qcc_weight_reconstruct. */
#ifndef QCC_WEIGHTS_H
#define QCC_WEIGHTS_H

#include "ir/quant.h"
#include "ir/target.h"
#include "strategy/channels.h"
#include "strategy/gram.h"

/* A weight tensor as rows, one per output channel. Element (row, channel, position) of a row stands at
 * row * row_step + channel * channel_step + position * position_step of the tensor. */
typedef struct qcc_weight {
  qcc_context *cx;
  float *w;                           /* owned copy in tensor order */
  size_t count;                       /* elements */
  size_t rows, dim;                   /* dim = channels * positions */
  size_t channels, positions, groups; /* input channels of a group; kernel positions; row r is of group r / (rows / groups) */
  size_t row_step, channel_step, position_step;
  int32_t axis;   /* of the output channels in the tensor: qcc_qparams.axis */
  bool depthwise; /* one input channel per group: exact kernels */
} qcc_weight;

/* Input 1 of Conv, ConvTranspose, Gemm, MatMul or Attention. QCC_UNSUPPORTED (silent) when it is not a constant of floats with a channel axis. */
qcc_status qcc_weight_open(qcc_weight *out, qcc_context *cx, const qcc_node *n) QCC_MUST_USE;
/* Any tensor whose rows are contiguous in the order given by shape, e.g. [dirs, 4H, I] with axis 1: `rows` = product up to `axis`. */
qcc_status qcc_weight_open_rows(qcc_weight *out, qcc_context *cx, const qcc_tensor *t, int axis) QCC_MUST_USE;
void qcc_weight_fini(qcc_weight *w);

enum { QCC_PAIR_SAFE = 64 }; /* no pair of codes up to here can leave 16 bits */

typedef struct qcc_weight_options {
  qcc_grid grid;           /* signed with zero in the middle: qcc_grid_weight() */
  bool fixed;              /* scales are given: reconstruction keeps them */
  bool per_tensor;         /* one scale: all entries of `scale` become equal */
  qcc_pair_sums pairs;     /* of the target, when the input is in u8; ignored for depthwise */
  const double *meansq;    /* E[x^2] per input channel (groups * channels), or NULL: unweighted */
  const int32_t *code_max; /* highest u8 code per input channel (groups * channels), or NULL: 255 */
  const float *bias;       /* rows, or NULL; with x_scale: |bias / (x_scale scale)| stays below 2^30 */
  double x_scale;
} qcc_weight_options;
qcc_weight_options qcc_weight_defaults(void);

/* Highest codes to be expected in QCC_CODE_BEYOND times the data of calibration: channel maxima times 1 + ln(QCC_CODE_BEYOND) / ln(values
 * seen), as maxima grow where tails fall exponentially; at least the zero point (padding) and 32, at most 255. `c` may be NULL or empty: 255.
 * `count` entries. */
void qcc_code_max(int32_t *code_max, size_t count, const qcc_channels *c, float scale, int32_t zero);
enum { QCC_CODE_BEYOND = 1000 };

/* Search scales (rows entries) that minimise the (weighted) squared error of safe codes (count entries, tensor order). Dead rows get a floor
 * relative to the tensor; the bias guard may enlarge a scale. `error`: sum of h (w - scale q)^2, or NULL. */
qcc_status qcc_weight_scales(float *scale, int8_t *codes, double *error, const qcc_weight *w, const qcc_weight_options *o) QCC_MUST_USE;
/* Safe codes nearest to w / scale. Equal to qcc_quantize1 where no pair is at its limit. */
qcc_status qcc_weight_round(int8_t *codes, double *error, const qcc_weight *w, const float *scale,
                            const qcc_weight_options *o) QCC_MUST_USE;
/* Scales of weights that are stored as floats of 8 bits, rounded to nearest: `grid` gives their type, whether scales are powers of two. */
qcc_status qcc_float_scales(float *scale, double *error, const qcc_weight *w, const qcc_weight_options *o) QCC_MUST_USE;
/* Least scale that the bias guard and the floor of dead rows allow for a row; `most` is the tensor's largest magnitude. */
double qcc_weight_least_scale(size_t row, double most, const qcc_weight_options *o);
/* Number of pairs beyond the limit; 0: safe. */
size_t qcc_weight_unsafe_pairs(const qcc_weight *w, qcc_pair_sums pairs, const int8_t *codes, const int32_t *code_max);

/* Lower the layer's output error tr(E H E^T), E = W - scale q, by coordinate descent from `codes` (safe ones), keeping them safe. Small
 * rows (dim <= 32) also try other scales, so `scale` is in and out. `centred`: use the covariance (the bias will be corrected afterwards).
 * `before`, `after` (may be NULL): the error, in units of the output squared, summed over rows. Never raises it. Needs the groups, channels and
 * positions of the Gram to be those of the weight: else QCC_INTERNAL. */
qcc_status qcc_weight_reconstruct(int8_t *codes, float *scale, double *before, double *after, const qcc_weight *w,
                                  const qcc_weight_options *o, const qcc_gram *gram, bool centred) QCC_MUST_USE;

/* Move as few codes as it takes for each row's rounding errors to sum to nearly nothing (balance.c). Codes may leave the pair limits: only for
 * weights that are dequantized before use. */
void qcc_weight_balance(int8_t *codes, const float *scale, const qcc_weight *w, const qcc_grid *grid);

/* ---- helpers shared with the reconstruction */
/* For each column [channel][position] of a row the column that it is paired with, or SIZE_MAX. */
void qcc_weight_partners(size_t *partner, const qcc_weight *w, qcc_pair_sums pairs);
static inline size_t qcc_weight_at(const qcc_weight *w, size_t row, size_t column) {
  return row * w->row_step + column / w->positions * w->channel_step + column % w->positions * w->position_step;
}
/* Codes that column `x_max` may take next to a partner with code `q` and limit `x_partner`. */
void qcc_pair_interval(int32_t *lo, int32_t *hi, int32_t x_max, int32_t q, int32_t x_partner);

#endif
