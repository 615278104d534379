/* SPDX-License-Identifier: Apache-2.0
 * Teams: threads that share the parts of a job with their leader. They live as long as the runner; between jobs they wait awake for a
 * moment, because steps follow each other quickly, and then sleep.
 * Invariant: a part is taken by lowering `ticket`, which holds the number of the job and the parts left. Whoever took one keeps the job alive,
 * so its fields may be read; whoever comes late finds no part and touches nothing. The leader waits for parts, never for threads. */
#include "backends/ref/team.h"

#include <stdatomic.h>

enum { AWAKE = 500 }; /* looks before going to sleep: about 10 microseconds */
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
  atomic_ullong ticket; /* job number << 32 | parts not taken yet */
  atomic_size_t open;   /* parts not done yet */
  atomic_uint asleep;   /* members that must be woken */
  atomic_bool waits;    /* the leader sleeps */
  atomic_bool quit;
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

static uint32_t job_of(qcc_team *t) { return (uint32_t)(atomic_load(&t->ticket) >> 32); }

static bool take(qcc_team *t, size_t *index) {
  unsigned long long v = atomic_load(&t->ticket);
  do {
    if ((uint32_t)v == 0) return false;
  } while (!atomic_compare_exchange_weak(&t->ticket, &v, v - 1));
  *index = t->parts - (uint32_t)v;
  return true;
}

static void part_done(qcc_team *t) {
  if (atomic_fetch_sub(&t->open, 1) != 1 || !atomic_load(&t->waits)) return;
  pthread_mutex_lock(&t->lock);
  pthread_cond_signal(&t->done);
  pthread_mutex_unlock(&t->lock);
}

static void take_parts(qcc_team *t, qcc_worker *w) {
  for (size_t i; take(t, &i);) {
    const qcc_scratch_mark mark = qcc_scratch_here(w);
    w->sample = t->sample;
    const qcc_status st = t->part(w, i, t->user);
    qcc_scratch_back(w, mark);
    if (st != QCC_OK) {
      pthread_mutex_lock(&t->lock);
      if (i < t->failed) t->failed = i, t->status = st;
      pthread_mutex_unlock(&t->lock);
    }
    part_done(t);
  }
}

/* Waits until the job number is another than `seen`. */
static uint32_t wait_job(qcc_team *t, uint32_t seen) {
  for (int i = 0; i < AWAKE; ++i) {
    if (job_of(t) != seen) return job_of(t);
    relax();
  }
  pthread_mutex_lock(&t->lock);
  atomic_fetch_add(&t->asleep, 1);
  while (job_of(t) == seen) pthread_cond_wait(&t->wake, &t->lock);
  atomic_fetch_sub(&t->asleep, 1);
  pthread_mutex_unlock(&t->lock);
  return job_of(t);
}

static void *serve(void *user) {
  member *m = user;
  for (uint32_t seen = 0;;) {
    seen = wait_job(m->team, seen);
    if (atomic_load(&m->team->quit)) return NULL;
    take_parts(m->team, m->w);
  }
}

/* A member that goes to sleep says so before it looks at the job number for the last time. */
static void announce(qcc_team *t, size_t parts) {
  atomic_store(&t->ticket, ((unsigned long long)(job_of(t) + 1) << 32) | parts);
  if (!atomic_load(&t->asleep)) return;
  pthread_mutex_lock(&t->lock);
  pthread_cond_broadcast(&t->wake);
  pthread_mutex_unlock(&t->lock);
}

static void wait_done(qcc_team *t) {
  for (int i = 0; i < AWAKE && atomic_load(&t->open); ++i) relax();
  if (!atomic_load(&t->open)) return;
  pthread_mutex_lock(&t->lock);
  atomic_store(&t->waits, true);
  while (atomic_load(&t->open)) pthread_cond_wait(&t->done, &t->lock);
  atomic_store(&t->waits, false);
  pthread_mutex_unlock(&t->lock);
}

qcc_status qcc_team_share(qcc_team *t, qcc_worker *w, size_t parts, qcc_part part, void *user) {
  t->part = part, t->user = user, t->parts = parts, t->sample = w->sample;
  t->failed = SIZE_MAX, t->status = QCC_OK;
  atomic_store(&t->open, parts);
  announce(t, parts);
  take_parts(t, w);
  wait_done(t);
  pthread_mutex_lock(&t->lock); /* what the last part wrote under it */
  const qcc_status st = t->status;
  pthread_mutex_unlock(&t->lock);
  return st;
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
  if (!t || !t->count || parts < 2 || parts > UINT32_MAX || work < least_work) return alone(w, parts, part, user);
  w->team = NULL; /* a part that has parts of its own runs them in order */
  const qcc_status st = qcc_team_share(t, w, parts, part, user);
  w->team = t;
  return st;
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
  announce(t, 0);
  for (unsigned i = 0; i < t->count; ++i) pthread_join(t->members[i].thread, NULL);
  pthread_cond_destroy(&t->wake);
  pthread_cond_destroy(&t->done);
  pthread_mutex_destroy(&t->lock);
  qcc_free(cx, t->members);
  qcc_free(cx, t);
}
