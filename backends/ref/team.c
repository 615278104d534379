/* SPDX-License-Identifier: Apache-2.0
 * Teams: when a run has fewer samples than workers, the workers left over help with the parts of a step. The leader and its members take
 * parts by number until none is left; a part writes its own piece of the output with the bits it would have alone.
 * A member waits awake for a moment, because steps follow each other quickly, and then sleeps. */
#include "backends/ref/team.h"

#include <stdatomic.h>

enum { AWAKE = 500 }; /* looks at the door before going to sleep: about 10 microseconds */
static const double least_work = 3e5;

typedef struct member {
  qcc_team *team;
  qcc_worker *w;
  pthread_t thread;
} member;

struct qcc_team {
  qcc_context *cx;
  pthread_mutex_t lock;
  pthread_cond_t wake, done;
  atomic_uint call; /* number of the current job */
  atomic_uint busy; /* members that still work on it */
  atomic_bool quit;
  atomic_size_t next;
  size_t parts, sample;
  qcc_part part;
  void *user;
  size_t failed; /* lowest part that failed; under lock */
  qcc_status status;
  unsigned count;
  member *members;
};

static void relax(void) {
#if defined(__x86_64__) && defined(__GNUC__)
  __builtin_ia32_pause();
#endif
}

static void take_parts(qcc_team *t, qcc_worker *w) {
  for (size_t i; (i = atomic_fetch_add(&t->next, 1)) < t->parts;) {
    const qcc_scratch_mark mark = qcc_scratch_here(w);
    const qcc_status st = t->part(w, i, t->user);
    qcc_scratch_back(w, mark);
    if (st == QCC_OK) continue;
    pthread_mutex_lock(&t->lock);
    if (i < t->failed) t->failed = i, t->status = st;
    pthread_mutex_unlock(&t->lock);
  }
}

/* Waits until the job number is another than `seen`. */
static unsigned wait_call(qcc_team *t, unsigned seen) {
  for (int i = 0; i < AWAKE; ++i) {
    if (atomic_load(&t->call) != seen) return atomic_load(&t->call);
    relax();
  }
  pthread_mutex_lock(&t->lock);
  while (atomic_load(&t->call) == seen) pthread_cond_wait(&t->wake, &t->lock);
  pthread_mutex_unlock(&t->lock);
  return atomic_load(&t->call);
}

static void *serve(void *user) {
  member *m = user;
  qcc_team *t = m->team;
  unsigned seen = 0;
  for (;;) {
    seen = wait_call(t, seen);
    if (atomic_load(&t->quit)) return NULL;
    m->w->sample = t->sample;
    take_parts(t, m->w);
    if (atomic_fetch_sub(&t->busy, 1) != 1) continue;
    pthread_mutex_lock(&t->lock);
    pthread_cond_signal(&t->done);
    pthread_mutex_unlock(&t->lock);
  }
}

static void announce(qcc_team *t) {
  pthread_mutex_lock(&t->lock);
  atomic_fetch_add(&t->call, 1);
  pthread_cond_broadcast(&t->wake);
  pthread_mutex_unlock(&t->lock);
}

static void wait_done(qcc_team *t) {
  for (int i = 0; i < AWAKE && atomic_load(&t->busy); ++i) relax();
  pthread_mutex_lock(&t->lock);
  while (atomic_load(&t->busy)) pthread_cond_wait(&t->done, &t->lock);
  pthread_mutex_unlock(&t->lock);
}

static qcc_status alone(qcc_worker *w, size_t parts, qcc_part part, void *user) {
  for (size_t i = 0; i < parts; ++i) {
    const qcc_scratch_mark mark = qcc_scratch_here(w);
    QCC_TRY(part(w, i, user));
    qcc_scratch_back(w, mark);
  }
  return QCC_OK;
}

qcc_status qcc_team_run(qcc_worker *w, double work, size_t parts, qcc_part part, void *user) {
  qcc_team *t = w->team;
  if (!t || !t->count || parts < 2 || work < least_work) return alone(w, parts, part, user);
  t->part = part, t->user = user, t->parts = parts, t->sample = w->sample;
  t->failed = SIZE_MAX, t->status = QCC_OK;
  atomic_store(&t->next, 0);
  atomic_store(&t->busy, t->count);
  announce(t);
  w->team = NULL; /* a part that has parts of its own runs them in order */
  take_parts(t, w);
  wait_done(t);
  w->team = t;
  return t->status;
}

unsigned qcc_team_size(const qcc_worker *w) { return w->team ? w->team->count + 1 : 1; }

void qcc_team_helpers(const qcc_worker *w, unsigned *first, unsigned *count) {
  *count = w->team ? w->team->count : 0;
  *first = *count ? w->team->members[0].w->index : 0;
}

static bool make_locks(qcc_team *t) {
  if (pthread_mutex_init(&t->lock, NULL) != 0) return false;
  if (pthread_cond_init(&t->wake, NULL) == 0) {
    if (pthread_cond_init(&t->done, NULL) == 0) return true;
    pthread_cond_destroy(&t->wake);
  }
  pthread_mutex_destroy(&t->lock);
  return false;
}

qcc_status qcc_team_open(qcc_team **out, qcc_worker *members, unsigned count) {
  *out = NULL;
  if (!count) return QCC_OK;
  qcc_context *cx = members[0].cx;
  qcc_team *t = qcc_zalloc_array(cx, 1, sizeof *t);
  member *m = t ? qcc_zalloc_array(cx, count, sizeof *m) : NULL;
  if (!m || !make_locks(t)) {
    qcc_free(cx, m);
    qcc_free(cx, t);
    return QCC_NOMEM;
  }
  t->cx = cx;
  t->members = m;
  for (; t->count < count; t->count++) {
    m[t->count] = (member){.team = t, .w = &members[t->count]};
    if (pthread_create(&m[t->count].thread, NULL, serve, &m[t->count]) != 0) break; /* a thread that cannot be made is a member fewer */
  }
  *out = t;
  return QCC_OK;
}

void qcc_team_close(qcc_team *t) {
  if (!t) return;
  qcc_context *cx = t->cx;
  atomic_store(&t->quit, true);
  announce(t);
  for (unsigned i = 0; i < t->count; ++i) pthread_join(t->members[i].thread, NULL);
  pthread_cond_destroy(&t->wake);
  pthread_cond_destroy(&t->done);
  pthread_mutex_destroy(&t->lock);
  qcc_free(cx, t->members);
  qcc_free(cx, t);
}
