/* SPDX-License-Identifier: Apache-2.0
 * Context: life, host functions, memory.
 * Every block is   [pad][size, pad][bytes...]   with the bytes on a 64-byte border, so that free knows the size
 * that the host's allocator wants back and vector code can load aligned. `live` counts requested bytes. */
#define _GNU_SOURCE
#include "ir/support/context.h"

#include <stdlib.h>
#include <string.h>

#include "ir/support/internal.h"
#include "ir/support/map.h"

enum { ALIGN = 64, EXTRA = 80 }; /* EXTRA: header of 16 bytes and up to 63 of padding */

typedef struct block {
  size_t size; /* requested */
  size_t pad;  /* from the host's pointer to the bytes */
} block;

static block *block_of(const void *p) { return (block *)((uintptr_t)p - sizeof(block)); }

static void *host_resize(void *user, void *p, size_t old_size, size_t new_size) {
  (void)user;
  (void)old_size;
  if (new_size == 0) {
    free(p);
    return NULL;
  }
  return realloc(p, new_size);
}

static void *resize(const qcc_context *cx, void *p, size_t old_size, size_t new_size) {
  return cx->host.alloc.resize(cx->host.alloc.user, p, old_size, new_size);
}

static void count_up(qcc_context *cx, size_t n) {
  size_t live = atomic_fetch_add_explicit(&cx->live, n, memory_order_relaxed) + n;
  size_t peak = atomic_load_explicit(&cx->peak, memory_order_relaxed);
  while (live > peak && !atomic_compare_exchange_weak_explicit(&cx->peak, &peak, live, memory_order_relaxed, memory_order_relaxed)) {}
}

static void count_down(qcc_context *cx, size_t n) { atomic_fetch_sub_explicit(&cx->live, n, memory_order_relaxed); }

static void *place(char *raw, size_t size) {
  uintptr_t at = ((uintptr_t)raw + sizeof(block) + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1);
  block *b = (block *)(at - sizeof(block));
  b->size = size;
  b->pad = (size_t)(at - (uintptr_t)raw);
  return raw + b->pad;
}

static void *alloc(qcc_context *cx, size_t size) {
  size_t total;
  char *raw = qcc_add_size(size, EXTRA, &total) ? resize(cx, NULL, 0, total) : NULL;
  if (!raw) {
    qcc_tell_nomem(cx, size);
    return NULL;
  }
  count_up(cx, size);
  return place(raw, size);
}

void *qcc_alloc(qcc_context *cx, size_t size) { return alloc(cx, size); }

void *qcc_alloc_array(qcc_context *cx, size_t count, size_t size) {
  size_t n;
  if (!qcc_mul_size(count, size, &n)) n = SIZE_MAX;
  return alloc(cx, n);
}

void *qcc_zalloc_array(qcc_context *cx, size_t count, size_t size) {
  void *p = qcc_alloc_array(cx, count, size);
  if (p) memset(p, 0, count * size);
  return p;
}

void *qcc_realloc_array(qcc_context *cx, void *p, size_t count, size_t size) {
  size_t n, total;
  if (!p) return qcc_alloc_array(cx, count, size);
  block old = *block_of(p);
  bool fits = qcc_mul_size(count, size, &n) && qcc_add_size(n, EXTRA, &total);
  char *raw = fits ? resize(cx, (char *)p - old.pad, old.size + EXTRA, total) : NULL;
  if (!raw) {
    qcc_tell_nomem(cx, fits ? n : SIZE_MAX);
    return NULL;
  }
  /* the host may have moved the block to another offset from the border */
  size_t pad = (size_t)((((uintptr_t)raw + sizeof(block) + ALIGN - 1) & ~(uintptr_t)(ALIGN - 1)) - (uintptr_t)raw);
  if (pad != old.pad) memmove(raw + pad, raw + old.pad, n < old.size ? n : old.size);
  count_down(cx, old.size);
  count_up(cx, n);
  return place(raw, n);
}

void qcc_free(qcc_context *cx, void *p) {
  if (!p) return;
  block b = *block_of(p);
  count_down(cx, b.size);
  resize(cx, (char *)p - b.pad, b.size + EXTRA, 0);
}

/* ---- spilling */

const void *qcc_spill(qcc_context *cx, const void *bytes, size_t n) {
  const qcc_io *io = &cx->host.io;
  const void *kept = NULL;
  if (!io->spill || cx->spill_failed) return NULL;
  int code = io->spill(io->user, bytes, n, &kept);
  if (!code) return kept;
  cx->spill_failed = true;
  qcc_info(cx, "large constants stay in memory: they cannot be spilled (error %d)", code);
  return NULL;
}

/* ---- life */

static bool io_is_whole(const qcc_io *io) {
  return io->open && io->read && io->close && io->create && io->write && io->reread && io->commit && io->abandon && io->list &&
         !io->unmap == !(io->map || io->spill);
}

static bool io_is_empty(const qcc_io *io) {
  return !io->open && !io->read && !io->close && !io->create && !io->write && !io->reread && !io->commit && !io->abandon && !io->list &&
         !io->map && !io->unmap && !io->spill;
}

static bool fill_host(qcc_host *h) {
  if (io_is_empty(&h->io)) h->io = qcc_posix_io(NULL);
  if (!h->alloc.resize) {
    if (h->alloc.user) return false;
    h->alloc.resize = host_resize;
  }
  return io_is_whole(&h->io);
}

static bool init_lock(pthread_mutex_t *lock) {
  pthread_mutexattr_t attr;
  if (pthread_mutexattr_init(&attr) != 0) return false;
  /* recursive: a log function that calls back gets an answer, not a hang */
  bool done = pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE) == 0 && pthread_mutex_init(lock, &attr) == 0;
  pthread_mutexattr_destroy(&attr);
  return done;
}

qcc_status qcc_context_new(qcc_context **out, const qcc_host *host) {
  if (!out) return QCC_ARG;
  *out = NULL;
  qcc_host h = host ? *host : (qcc_host){0};
  if (!fill_host(&h)) return QCC_ARG;
  qcc_context *cx = h.alloc.resize(h.alloc.user, NULL, 0, sizeof *cx);
  if (!cx) return QCC_NOMEM;
  memset(cx, 0, sizeof *cx);
  cx->host = h;
  if (!host || io_is_empty(&host->io)) cx->host.io.user = cx;
  if (cx->host.io.spill == qcc_posix_spill && !h.spill_folder) cx->host.io.spill = NULL;
#define LIMIT(name, value, option, doc) cx->limits.name = value;
#include "ir/support/limits.def"
#undef LIMIT
  atomic_init(&cx->live, 0);
  atomic_init(&cx->peak, 0);
  if (!init_lock(&cx->lock)) {
    h.alloc.resize(h.alloc.user, cx, sizeof *cx, 0);
    return QCC_NOMEM;
  }
  qcc_intern_init(cx);
  cx->host.spill_folder = qcc_intern(cx, h.spill_folder); /* the caller's text need not stay */
  if (h.spill_folder && !cx->host.spill_folder) {
    qcc_context_free(cx);
    return QCC_NOMEM;
  }
  *out = cx;
  return QCC_OK;
}

void qcc_context_free(qcc_context *cx) {
  if (!cx) return;
  qcc_intern_fini(cx);
  qcc_free(cx, cx->symbols);
  if (cx->symbol_index) qcc_map_fini(cx->symbol_index);
  qcc_free(cx, cx->symbol_index);
  pthread_mutex_destroy(&cx->lock);
  qcc_allocator a = cx->host.alloc;
  a.resize(a.user, cx, sizeof *cx, 0);
}

const qcc_host *qcc_context_host(const qcc_context *cx) { return &cx->host; }
qcc_limits *qcc_context_limits(qcc_context *cx) { return &cx->limits; }
size_t qcc_context_live_bytes(const qcc_context *cx) { return atomic_load_explicit(&cx->live, memory_order_relaxed); }
size_t qcc_context_peak_bytes(const qcc_context *cx) { return atomic_load_explicit(&cx->peak, memory_order_relaxed); }
