/* SPDX-License-Identifier: Apache-2.0
 * Chunked bump allocator: addresses never move, everything is freed in one call. Memory is zeroed.
 * Compiled with QCC_ARENA_DEBUG every object is its own allocation, so that sanitizers see each one. */
#ifndef QCC_ARENA_H
#define QCC_ARENA_H

#include "ir/support/context.h"

typedef struct qcc_arena {
  qcc_context *cx;
  struct qcc_arena_chunk *chunks; /* newest first */
  size_t used;                    /* of the newest chunk */
} qcc_arena;

void qcc_arena_init(qcc_arena *arena, qcc_context *cx);
void qcc_arena_fini(qcc_arena *arena);
/* Zeroed, aligned to 16 bytes; NULL (error told) when out of memory or on overflow. */
void *qcc_arena_alloc(qcc_arena *arena, size_t size);
void *qcc_arena_array(qcc_arena *arena, size_t count, size_t size);
void *qcc_arena_copy(qcc_arena *arena, const void *from, size_t size);

#endif
