/* SPDX-License-Identifier: Apache-2.0
 * Typed growable array. `QCC_VEC(int) v = {0};` then push, index v.at[i], free. */
#ifndef QCC_VEC_H
#define QCC_VEC_H

#include "ir/support/context.h"

#define QCC_VEC(T) \
  struct {         \
    T *at;         \
    size_t n, cap; \
  }

/* Append `item`; evaluates to true, or to false (error told) when out of memory. */
#define qcc_vec_push(cx, v, item) \
  (((v)->n < (v)->cap || qcc_vec_grow((cx), (void **)&(v)->at, &(v)->cap, sizeof *(v)->at)) && ((v)->at[(v)->n++] = (item), true))
#define qcc_vec_free(cx, v) (qcc_free((cx), (v)->at), (v)->at = NULL, (v)->n = (v)->cap = 0)

/* Doubles the capacity. Used by the macro only. */
bool qcc_vec_grow(qcc_context *cx, void **at, size_t *cap, size_t size);

/* Growable text for printers. Sticky on out-of-memory: append freely, check `failed` once. */
typedef struct qcc_text {
  qcc_context *cx;
  char *at; /* terminated; NULL while empty */
  size_t n, cap;
  bool failed;
} qcc_text;
void qcc_text_add(qcc_text *t, const char *bytes, size_t n);
void qcc_text_addf(qcc_text *t, const char *fmt, ...) QCC_PRINTF(2, 3);
void qcc_text_free(qcc_text *t);

#endif
