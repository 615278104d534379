/* SPDX-License-Identifier: Apache-2.0
 * For tests of statistics: random numbers that are the same everywhere, and a context that gives back what it was asked for. */
#ifndef QCC_TESTS_DRAWS_H
#define QCC_TESTS_DRAWS_H

#include <math.h>

#include "ir/support/context.h"

static uint64_t seed_state;
static size_t bytes_at_start;

static inline double uniform(void) {
  seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
  return ((double)(seed_state >> 11) + .5) * 0x1p-53;
}
static inline double gauss(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

static inline int draw_from(void **state, uint64_t seed) {
  qcc_context *cx = NULL;
  seed_state = seed;
  if (qcc_context_new(&cx, NULL) != QCC_OK) return -1;
  bytes_at_start = qcc_context_live_bytes(cx);
  *state = cx;
  return 0;
}

/* Fails when memory is still held. */
static inline int teardown(void **state) {
  qcc_context *cx = *state;
  int leaked = qcc_context_live_bytes(cx) != bytes_at_start;
  qcc_context_free(cx);
  return leaked;
}

#endif
