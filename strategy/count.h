/* SPDX-License-Identifier: Apache-2.0
 * The loop of the histograms: floats are counted by the top bits of their words, and their extremes are kept. */
#ifndef QCC_COUNT_H
#define QCC_COUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
  QCC_COUNT_SHIFT = 17, /* float bits below the bucket number */
  QCC_COUNT_BUCKETS = 1 << (32 - QCC_COUNT_SHIFT),
  QCC_COUNT_TABLES = 2,
  QCC_COUNT_PAD = 16, /* counters of one value do not share a place in the cache */
  QCC_COUNT_LANES = 16,
  QCC_COUNT_GROUP = 16 /* floats that are counted or left out together */
};

typedef struct qcc_count {
  uint32_t table[QCC_COUNT_TABLES][QCC_COUNT_BUCKETS + QCC_COUNT_PAD]; /* of finite values; all tables are summed */
  int32_t high[QCC_COUNT_LANES];                                       /* the highest word of a finite value, read as a signed integer */
  uint32_t most[QCC_COUNT_LANES], least[QCC_COUNT_LANES];              /* the highest and the lowest, read as unsigned ones */
  uint64_t zeros;                                                      /* that were counted and are in no table */
  uint64_t count, nonfinite;                                           /* count: finite ones that were counted */
  uint8_t order[256][8];                                               /* by mask: the lanes that are set come first */
} qcc_count;

void qcc_count_init(qcc_count *c);
/* False: no finite value was seen. */
bool qcc_count_extremes(const qcc_count *c, float *min, float *max);
/* Extremes and totals as after init. The tables are the caller's to clear. */
void qcc_count_reset(qcc_count *c);
/* No more than 2^32 - 1 values between two resets, or a counter overflows. The extremes are those of all values. Of every `step` groups that
 * follow each other in the tensor one is counted, which one depends on their place alone: `offset` is that of x. `step`: a power of two. */
void qcc_count_add(qcc_count *c, const float *x, size_t n, size_t offset, unsigned step);

#endif
