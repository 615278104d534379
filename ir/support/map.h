/* SPDX-License-Identifier: Apache-2.0
 * Open-addressing table from pointers (interned names, nodes, values) to pointers or integers.
 * Look-up only: there is no iteration on purpose, so no result can depend on hash order. */
#ifndef QCC_MAP_H
#define QCC_MAP_H

#include "ir/support/context.h"

typedef struct qcc_map {
  qcc_context *cx;
  struct qcc_map_slot {
    const void *key;
    uintptr_t value;
  } * slots;
  size_t n, cap;
} qcc_map;

void qcc_map_init(qcc_map *m, qcc_context *cx);
void qcc_map_fini(qcc_map *m);
bool qcc_map_put(qcc_map *m, const void *key, uintptr_t value);        /* replaces; false: out of memory */
bool qcc_map_get(const qcc_map *m, const void *key, uintptr_t *value); /* false: absent; value may be NULL */
void *qcc_map_ptr(const qcc_map *m, const void *key);                  /* NULL: absent */

#endif
