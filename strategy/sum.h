/* SPDX-License-Identifier: Apache-2.0
 * A sum of doubles that does not depend on the order of its terms: a fixed-point number of 768 bits.
 *
 * Workers finish samples in any order, and rounded addition would let the last bit of a mean, and with it a scale, depend on that.
 * Bits of a term below 2^-320 are cut off, terms are finite and below 2^400 in magnitude (larger ones saturate). */
#ifndef QCC_SUM_H
#define QCC_SUM_H

#include "ir/support/host.h"

enum { QCC_SUM_LIMBS = 24 };

typedef struct qcc_sum {
  int64_t limb[QCC_SUM_LIMBS];
} qcc_sum; /* 32 bits each, carries pending; all zero: 0 */

void qcc_sum_add(qcc_sum *s, double x); /* up to 2^30 times; NaN adds nothing */
void qcc_sum_merge(qcc_sum *s, const qcc_sum *other);
double qcc_sum_value(const qcc_sum *s);

#endif
