/* SPDX-License-Identifier: Apache-2.0
 * An allocator for tests that counts, checks sizes and fails on demand, and a loop that fails every allocation in turn:
 *
 *   static qcc_status run(qcc_context *cx, void *user) { ... }     // must free everything it made, on every path
 *   oom_sweep(run, user, 1, 0);                                     // k = 1, 2, 3, ... until a run needs fewer than k
 *
 * Each round makes a fresh context whose k-th allocation fails (then also with all later ones failing); the run must end with
 * QCC_NOMEM or succeed, and give every byte back. Failures of the test are reported through cmocka. */
#ifndef QCC_TESTS_OOM_H
#define QCC_TESTS_OOM_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "ir/support/context.h"

typedef struct oom {
  size_t calls;   /* allocations and growths so far */
  size_t fail_at; /* 1-based; 0: never */
  bool forever;   /* all later ones fail too */
  size_t live;    /* bytes */
  size_t failed;  /* how many were refused */
  bool wrong;     /* a block came back with another size than it was asked with */
} oom;

static inline void *oom_resize(void *user, void *p, size_t old_size, size_t new_size) {
  oom *o = (oom *)user;
  char *raw = p ? (char *)p - 16 : NULL;
  if (raw && *(size_t *)(void *)raw != old_size) __atomic_store_n(&o->wrong, true, __ATOMIC_RELAXED);
  if (new_size == 0) {
    __atomic_fetch_sub(&o->live, old_size, __ATOMIC_RELAXED);
    free(raw);
    return NULL;
  }
  size_t call = __atomic_add_fetch(&o->calls, 1, __ATOMIC_RELAXED);
  if (o->fail_at && (call == o->fail_at || (o->forever && call > o->fail_at))) {
    __atomic_fetch_add(&o->failed, 1, __ATOMIC_RELAXED);
    return NULL;
  }
  char *fresh = (char *)realloc(raw, new_size + 16);
  if (!fresh) return NULL;
  *(size_t *)(void *)fresh = new_size;
  __atomic_fetch_add(&o->live, new_size - old_size, __ATOMIC_RELAXED);
  return fresh + 16;
}

typedef qcc_status oom_run(qcc_context *cx, void *user);

/* One run with the k-th allocation failing; returns whether a failure was met. */
static inline bool oom_once(oom_run *run, void *user, size_t k, bool forever) {
  oom o = {.fail_at = k, .forever = forever};
  qcc_host host = {.alloc = {.resize = oom_resize, .user = &o}};
  qcc_context *cx = NULL;
  qcc_status status = qcc_context_new(&cx, &host);
  if (status == QCC_OK) {
    status = run(cx, user);
    if (status != QCC_OK) assert_true(qcc_last_error(cx)[0] != 0);
    qcc_context_free(cx);
  }
  if (!o.failed) assert_int_equal(status, QCC_OK);
  if (o.failed && status != QCC_OK && status != QCC_NOMEM)
    fail_msg("allocation %zu failed and the run ended with status %d", k, (int)status);
  if (o.live) fail_msg("allocation %zu failed and %zu bytes were lost", k, o.live);
  assert_false(o.wrong);
  return o.failed != 0;
}

/* Every `stride`-th allocation from the first on; at most `most` rounds, 0: to the end. Returns the rounds. */
static inline size_t oom_sweep(oom_run *run, void *user, size_t stride, size_t most) {
  size_t rounds = 0;
  for (size_t k = 1; most == 0 || rounds < most; k += stride, rounds++) {
    bool met = oom_once(run, user, k, true);
    if (!oom_once(run, user, k, false) && !met) break;
  }
  return rounds;
}

#endif
