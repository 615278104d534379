/* SPDX-License-Identifier: Apache-2.0
 * Growth of typed arrays, and growable text. Capacities double, so appending is linear. */
#include "ir/support/vec.h"

#include <string.h>

bool qcc_vec_grow(qcc_context *cx, void **at, size_t *cap, size_t size) {
  size_t grown;
  if (!qcc_mul_size(*cap ? *cap : 4, 2, &grown)) grown = SIZE_MAX;
  void *p = qcc_realloc_array(cx, *at, grown, size);
  if (!p) return false;
  *at = p;
  *cap = grown;
  return true;
}

/* Room for n more bytes and the terminator. */
static bool reserve(qcc_text *t, size_t n) {
  size_t need, cap = t->cap ? t->cap : 128;
  if (t->failed) return false;
  if (!qcc_add_size(t->n, n, &need) || !qcc_add_size(need, 1, &need)) need = SIZE_MAX;
  if (need <= t->cap) return true;
  while (cap < need && cap <= SIZE_MAX / 2) cap *= 2;
  char *p = qcc_realloc_array(t->cx, t->at, cap < need ? need : cap, 1);
  if (!p) {
    t->failed = true;
    return false;
  }
  t->at = p;
  t->cap = cap < need ? need : cap;
  return true;
}

void qcc_text_add(qcc_text *t, const char *bytes, size_t n) {
  if (!reserve(t, n)) return;
  if (n) memcpy(t->at + t->n, bytes, n);
  t->n += n;
  t->at[t->n] = 0;
}

void qcc_text_addf(qcc_text *t, const char *fmt, ...) {
  char small[256];
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  size_t n = qcc_vformat(small, sizeof small, fmt, args);
  if (n < sizeof small) {
    qcc_text_add(t, small, n);
  } else if (reserve(t, n)) {
    qcc_vformat(t->at + t->n, n + 1, fmt, again);
    t->n += n;
  }
  va_end(again);
  va_end(args);
}

void qcc_text_free(qcc_text *t) {
  qcc_free(t->cx, t->at);
  t->at = NULL;
  t->n = t->cap = 0;
  t->failed = false;
}
