/* SPDX-License-Identifier: Apache-2.0
 * One histogram per observed tensor, made in one pass, from which every estimator reads.
 *
 * The bucket of a value is the top 15 bits of its float word: sign, octave, 6 bits of mantissa, that is 64 log-linear buckets per octave,
 * 1.6 % wide. Octaves 2^-32 .. 2^31; smaller and larger magnitudes go to the end buckets. Zero, and what is
 * smaller than 2^-132, is a mass of its own. Extremes are exact. Counts are, too, up to 2^16 values in a sample; of more, one in two or four
 * groups of 16 is counted and stands for its neighbours: 2^15 values say the same, and counting is what calibration costs.
 * Memory does not grow with samples or outliers: one page of 64 counters per octave that occurs. Adding and merging commute bit for bit,
 * except for the moving average, which has an order by definition (the caller gives each sample's weight). */
#ifndef QCC_HISTOGRAM_H
#define QCC_HISTOGRAM_H

#include "ir/support/context.h"
#include "strategy/sum.h"

enum { QCC_HIST_PAGE = 64, QCC_HIST_OCTAVES = 64, QCC_HIST_PAGES = 2 * QCC_HIST_OCTAVES };

typedef struct qcc_hist {
  qcc_context *cx;
  uint64_t *page[QCC_HIST_PAGES];                /* [negative][octave]; NULL: empty */
  uint64_t count;                                /* finite values that the pages and `zeros` stand for */
  uint64_t zeros, nonfinite;                     /* non-finite values are counted here and nowhere else */
  uint64_t samples;                              /* calls of qcc_hist_add with at least one finite value */
  float min, max;                                /* 0 while count is 0 */
  qcc_sum sample_min, sample_max;                /* sums of each sample's extremes */
  qcc_sum moving_min, moving_max, moving_weight; /* the same, weighted */
  bool failed;                                   /* an allocation failed (told); counts are incomplete */
} qcc_hist;

/* Counters that a worker fills before they go to the pages; one per worker, for any number of histograms. */
typedef struct qcc_hist_scratch qcc_hist_scratch;
typedef struct qcc_hist_table qcc_hist_table;

/* The values of one sample that one worker has seen so far; all zero: none. */
typedef struct qcc_hist_part {
  qcc_hist_table *table; /* NULL: not needed yet */
  uint64_t count, zeros, nonfinite;
  float min, max;
  bool seen; /* a finite value */
  unsigned step;
} qcc_hist_part;

void qcc_hist_init(qcc_hist *h, qcc_context *cx);
void qcc_hist_fini(qcc_hist *h);
qcc_hist_scratch *qcc_hist_scratch_new(qcc_context *cx); /* NULL: no memory */
void qcc_hist_scratch_free(qcc_hist_scratch *s);         /* with the tables of parts that never ended */
/* Add the n values of one sample. `weight` is the sample's part in the moving average (see qcc_hist_moving_weight). */
void qcc_hist_add(qcc_hist *h, qcc_hist_scratch *scratch, const float *x, size_t n, double weight);
/* The same in pieces, in any order: n values from `offset` on out of the sample's `total`, some by other workers into parts of their own.
 * Counts go to `h`, the worker's row of the histogram, at once or later. Then the parts of others are joined, each worker's scratch with its
 * part, and the sample ends. */
void qcc_hist_part_add(qcc_hist *h, qcc_hist_part *p, qcc_hist_scratch *s, const float *x, size_t n, size_t offset, size_t total);
void qcc_hist_part_join(qcc_hist *h, qcc_hist_part *p, qcc_hist_part *other, qcc_hist_scratch *others);
void qcc_hist_part_end(qcc_hist *h, qcc_hist_part *p, qcc_hist_scratch *s, double weight);
unsigned qcc_hist_step(size_t total); /* each value that is counted stands for so many */
/* The factor of sample `index` out of `total` after total steps of m += 0.01 (x - m), started at the first sample. */
double qcc_hist_moving_weight(size_t index, size_t total);
void qcc_hist_merge(qcc_hist *h, const qcc_hist *other);
qcc_status qcc_hist_status(const qcc_hist *h) QCC_MUST_USE; /* QCC_NOMEM when `failed` */

/* ---- the histogram as a list, for estimators */
typedef struct qcc_bin {
  double a, b, n;
} qcc_bin; /* n values spread evenly over [a, b]; a == b: a point mass */

typedef struct qcc_bins {
  qcc_bin *at;          /* ascending, disjoint, n > 0, cut to the exact extremes */
  double *c0, *c1, *c2; /* count + 1: sums of n, n x, n x^2 over the bins before */
  size_t count;
  double total, min, max;
} qcc_bins;

qcc_status qcc_bins_of(qcc_bins *out, const qcc_hist *h) QCC_MUST_USE;
void qcc_bins_fini(qcc_context *cx, qcc_bins *b);

#endif
