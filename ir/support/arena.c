/* SPDX-License-Identifier: Apache-2.0
 * Chunked bump allocator. Chunks double from 4 KiB to 1 MiB, so that a clone of a small graph stays small; an object
 * larger than a quarter of a chunk gets a chunk of its own, which is linked behind the current one to keep its free tail in use. */
#include "ir/support/arena.h"

#include <string.h>

enum { UNIT = 16, CHUNK_MIN = 4096, CHUNK_MAX = 1 << 20 };

struct qcc_arena_chunk {
  struct qcc_arena_chunk *next; /* older */
  size_t size;                  /* usable bytes */
  size_t pad[6];                /* the bytes begin on a 64-byte border */
};

typedef struct qcc_arena_chunk chunk;

void qcc_arena_init(qcc_arena *arena, qcc_context *cx) { *arena = (qcc_arena){.cx = cx}; }

void qcc_arena_fini(qcc_arena *arena) {
  for (chunk *c = arena->chunks, *next; c; c = next) {
    next = c->next;
    qcc_free(arena->cx, c);
  }
  arena->chunks = NULL;
  arena->used = 0;
}

static chunk *new_chunk(qcc_arena *arena, size_t size) {
  size_t total;
  if (!qcc_add_size(size, sizeof(chunk), &total)) total = SIZE_MAX;
  chunk *c = qcc_alloc(arena->cx, total);
  if (!c) return NULL;
  c->next = NULL;
  c->size = size;
  return c;
}

/* An object alone in its chunk; the newest chunk stays the newest. */
static void *alloc_alone(qcc_arena *arena, size_t size) {
  chunk *c = new_chunk(arena, size);
  if (!c) return NULL;
  if (arena->chunks) {
    c->next = arena->chunks->next;
    arena->chunks->next = c;
  } else {
    arena->chunks = c;
    arena->used = size;
  }
  return memset(c + 1, 0, size);
}

void *qcc_arena_alloc(qcc_arena *arena, size_t size) {
  size_t n;
  if (!qcc_add_size(size ? size : 1, UNIT - 1, &n)) n = SIZE_MAX;
  n &= ~(size_t)(UNIT - 1);
#ifdef QCC_ARENA_DEBUG
  return alloc_alone(arena, size ? size : 1);
#else
  chunk *top = arena->chunks;
  if (!top || top->size - arena->used < n) {
    size_t grown = top && top->size >= CHUNK_MIN ? top->size * 2 : CHUNK_MIN;
    if (grown > CHUNK_MAX) grown = CHUNK_MAX;
    if (n > grown / 4) return alloc_alone(arena, n);
    chunk *c = new_chunk(arena, grown);
    if (!c) return NULL;
    c->next = top;
    arena->chunks = top = c;
    arena->used = 0;
  }
  void *p = (char *)(top + 1) + arena->used;
  arena->used += n;
  return memset(p, 0, n);
#endif
}

void *qcc_arena_array(qcc_arena *arena, size_t count, size_t size) {
  size_t n;
  return qcc_arena_alloc(arena, qcc_mul_size(count, size, &n) ? n : SIZE_MAX - UNIT);
}

void *qcc_arena_copy(qcc_arena *arena, const void *from, size_t size) {
  void *p = qcc_arena_alloc(arena, size);
  if (p && size) memcpy(p, from, size);
  return p;
}
