/* SPDX-License-Identifier: Apache-2.0
 * "did you mean": the known word that is least away from one that is not known. */
#ifndef QCC_NEAREST_H
#define QCC_NEAREST_H

#include "ir/support/context.h"

typedef struct qcc_nearest {
  const char *word; /* need not be terminated */
  size_t n;
  const char *best; /* NULL: nothing offered yet */
  size_t distance;
} qcc_nearest;

qcc_nearest qcc_nearest_to(const char *word, size_t n);
void qcc_nearest_offer(qcc_nearest *s, const char *known);
/* The best of what was offered, when it is near enough to be a slip of the hand; else NULL. */
const char *qcc_nearest_slip(const qcc_nearest *s);

#endif
