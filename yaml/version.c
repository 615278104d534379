/* SPDX-License-Identifier: Apache-2.0
 * Versions of runtimes: dotted numbers. Missing parts count as 0. */
#include "yaml/schema.h"

/* The number at *p, and *p behind it and its dot; 0 past the end. */
static uint64_t next(const char **p) {
  uint64_t x = 0;
  while (**p >= '0' && **p <= '9') {
    x = x * 10 + (uint64_t)(**p - '0');
    if (x > UINT32_MAX) x = UINT32_MAX;
    ++*p;
  }
  if (**p == '.' && (*p)[1] >= '0' && (*p)[1] <= '9') {
    ++*p;
  } else {
    *p = "";
  }
  return x;
}

bool qcc_version_valid(const char *text) { return *text >= '0' && *text <= '9'; }

int qcc_version_compare(const char *a, const char *b) {
  while (*a || *b) {
    uint64_t x = next(&a), y = next(&b);
    if (x != y) return x < y ? -1 : 1;
  }
  return 0;
}
