/* SPDX-License-Identifier: Apache-2.0
 * Order-independent sums. Invariant: the value is sum(limb[i] * 2^(32 i - 320)), whatever the carries. */
#include "strategy/sum.h"

#include <math.h>
#include <string.h>

enum { LOW = -320 }; /* exponent of the lowest bit */

static uint64_t bits_of(double x) {
  uint64_t b;
  memcpy(&b, &x, sizeof b);
  return b;
}

void qcc_sum_add(qcc_sum *s, double x) {
  if (!(x == x) || x == 0) return;
  const double most = 0x1p400;
  if (x > most) x = most;
  if (x < -most) x = -most;
  uint64_t b = bits_of(x), m = b & 0xfffffffffffffu;
  int exponent = (int)(b >> 52 & 0x7ff);
  if (exponent) m |= (uint64_t)1 << 52;
  int at = (exponent ? exponent : 1) - 1075 - LOW; /* position of m's lowest bit */
  if (at <= -53) return;
  if (at < 0) m >>= -at, at = 0;
  int64_t sign = b >> 63 ? -1 : 1;
  unsigned shift = (unsigned)at & 31;
  size_t k = (size_t)at >> 5;
  uint64_t low = (m & 0xffffffffu) << shift, high = (m >> 32) << shift;
  s->limb[k] += sign * (int64_t)(low & 0xffffffffu);
  s->limb[k + 1] += sign * (int64_t)((low >> 32) + (high & 0xffffffffu));
  s->limb[k + 2] += sign * (int64_t)(high >> 32);
}

void qcc_sum_merge(qcc_sum *s, const qcc_sum *other) {
  for (size_t i = 0; i < QCC_SUM_LIMBS; i++) s->limb[i] += other->limb[i];
}

double qcc_sum_value(const qcc_sum *s) {
  int64_t limb[QCC_SUM_LIMBS], carry = 0;
  for (size_t i = 0; i < QCC_SUM_LIMBS; i++) { /* unique form: all but the last in [0, 2^32) */
    int64_t v = s->limb[i] + carry;
    limb[i] = v & 0xffffffff;
    carry = (v - limb[i]) / 0x100000000;
  }
  double value = (double)carry * 0x1p448, unit = 0x1p416;
  bool negative = carry < 0;
  if (negative) { /* negate, so that no digits cancel */
    qcc_sum n = {{0}};
    for (size_t i = 0; i < QCC_SUM_LIMBS; i++) n.limb[i] = -s->limb[i];
    return -qcc_sum_value(&n); /* recursion depth 1: the negation is not negative */
  }
  for (size_t i = QCC_SUM_LIMBS; i-- > 0; unit *= 0x1p-32) value += (double)limb[i] * unit;
  return value;
}
