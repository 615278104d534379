/* SPDX-License-Identifier: Apache-2.0
 * Workers over samples. The calling thread is worker 0. One lock guards reading (ascending), another delivery (ascending: a worker waits for
 * its turn). A worker takes as many samples at a time as the plan for their shapes runs in lock-step. When there are fewer samples than
 * workers, the rest help inside the samples (team.h). When a sample fails, the ones before it are still delivered and the first failure is
 * the result.
 * Invariant: which worker runs a sample, and with which others, cannot be seen in any result. */
#define _POSIX_C_SOURCE 200809L /* the monotonic clock */
#include <string.h>
#include <time.h>

#include "backends/ref/team.h"

typedef struct job {
  qcc_runner *r;
  const qcc_samples *samples;
  const qcc_hooks *hooks;
  size_t first, end;
  unsigned seats; /* workers that run samples */
  pthread_mutex_t read_lock, out_lock;
  pthread_cond_t turn;
  size_t next;      /* to read; under read_lock */
  size_t delivered; /* all below are; under out_lock */
  size_t failed;    /* lowest failed sample, or SIZE_MAX; under out_lock */
  qcc_status status;
} job;

static void fail(job *j, size_t sample, qcc_status st) {
  pthread_mutex_lock(&j->out_lock);
  if (sample < j->failed) j->failed = sample, j->status = st;
  pthread_cond_broadcast(&j->turn);
  pthread_mutex_unlock(&j->out_lock);
}

static bool has_failed(job *j) {
  pthread_mutex_lock(&j->out_lock);
  bool yes = j->failed != SIZE_MAX;
  pthread_mutex_unlock(&j->out_lock);
  return yes;
}

static void release(qcc_tensor *t, uint32_t n) {
  for (uint32_t i = 0; i < n; ++i) qcc_tensor_release(&t[i]);
}

/* Reads the next sample; false: no more, or failed. */
static bool read_next(job *j, size_t *sample, qcc_tensor *inputs) {
  const uint32_t n = j->r->g->input_count;
  memset(inputs, 0, n * sizeof *inputs);
  if (has_failed(j)) return false;
  pthread_mutex_lock(&j->read_lock);
  bool more = j->next < j->end;
  qcc_status st = QCC_OK;
  if (more) {
    *sample = j->next++;
    st = j->samples->get(j->samples->user, *sample, inputs);
    if (st != QCC_OK) j->next = j->end;
  }
  pthread_mutex_unlock(&j->read_lock);
  if (st == QCC_OK) return more;
  release(inputs, n);
  fail(j, *sample, st);
  return false;
}

static qcc_status hand_over(job *j, size_t sample, const qcc_tensor *outputs) {
  if (j->hooks && j->hooks->output) QCC_TRY(j->hooks->output(j->hooks->user, sample, outputs));
  if (j->hooks && j->hooks->stage) return qcc_progress(j->r->cx, j->hooks->stage, sample + 1 - j->first, j->end - j->first);
  return QCC_OK;
}

/* Waits until all earlier samples are out; false when one of them failed. */
static bool deliver(job *j, size_t sample, const qcc_tensor *outputs) {
  qcc_status st = QCC_OK;
  pthread_mutex_lock(&j->out_lock);
  while (j->delivered < sample && j->failed > sample) pthread_cond_wait(&j->turn, &j->out_lock);
  bool ok = j->failed > sample;
  if (ok) {
    st = hand_over(j, sample, outputs);
    if (st == QCC_OK)
      j->delivered = sample + 1;
    else
      j->failed = sample, j->status = st;
  }
  pthread_cond_broadcast(&j->turn);
  pthread_mutex_unlock(&j->out_lock);
  return ok && st == QCC_OK;
}

/* ---- groups */
typedef struct batch { /* samples that were read; the first `taken` of them are the current group */
  qcc_tensor *in[QCC_GROUP_MAX];
  size_t sample[QCC_GROUP_MAX];
  unsigned read, taken;
} batch;

static bool read_more(job *j, batch *b) {
  if (!read_next(j, &b->sample[b->read], b->in[b->read])) return false;
  b->read++;
  return true;
}

/* At the end the samples left are shared evenly. */
static unsigned fair(job *j, unsigned most) {
  pthread_mutex_lock(&j->read_lock);
  const size_t share = (j->end - j->next + j->seats) / j->seats;
  pthread_mutex_unlock(&j->read_lock);
  return share < most ? (unsigned)share : most;
}

/* Samples as they come, while their shapes are those of the first. */
static qcc_status gather(job *j, qcc_worker *w, batch *b) {
  unsigned most;
  b->taken = 1;
  QCC_TRY(qcc_group_start(w, b->sample[0], b->in[0], &most));
  most = fair(j, most);
  for (; b->taken < most; b->taken++) {
    if (b->taken == b->read && !read_more(j, b)) break;
    if (!qcc_group_add(w, b->sample[b->taken], b->in[b->taken])) break;
  }
  return qcc_group_run(w);
}

/* A sample that was read and does not belong to the group begins the next one. */
static void drop_taken(job *j, batch *b) {
  for (unsigned i = 0; i < b->taken; ++i) release(b->in[i], j->r->g->input_count);
  for (unsigned i = b->taken; i < b->read; ++i) {
    qcc_tensor *room = b->in[i - b->taken];
    b->in[i - b->taken] = b->in[i];
    b->in[i] = room;
    b->sample[i - b->taken] = b->sample[i];
  }
  b->read -= b->taken;
}

static bool run_group(job *j, qcc_worker *w, batch *b, qcc_tensor *outputs) {
  qcc_status st = gather(j, w, b);
  bool more = true;
  if (st != QCC_OK) w->images = 0;
  for (unsigned i = 0; more && i < w->images; ++i) {
    const qcc_status shown = qcc_group_outputs(w, i, outputs);
    if (shown != QCC_OK) fail(j, b->sample[i], shown);
    more = shown == QCC_OK && deliver(j, b->sample[i], outputs);
  }
  if (st == QCC_OK) st = w->status;
  if (more && st != QCC_OK) fail(j, b->sample[w->images], st);
  qcc_group_clear(w);
  return more && st == QCC_OK;
}

static void work(job *j, qcc_worker *w, qcc_tensor *inputs, qcc_tensor *outputs) {
  const uint32_t n = j->r->g->input_count;
  batch b = {.read = 0};
  for (unsigned i = 0; i < QCC_GROUP_MAX; ++i) b.in[i] = inputs + i * (n + 1);
  for (bool more = true; more && (b.read || read_more(j, &b));) {
    more = run_group(j, w, &b, outputs);
    drop_taken(j, &b);
  }
  for (unsigned i = 0; i < b.read; ++i) release(b.in[i], n);
}

/* One worker reads and runs samples until there are no more. */
static qcc_status sit(qcc_worker *w, size_t index, void *user) {
  job *j = user;
  const qcc_graph *g = j->r->g;
  qcc_context *cx = j->r->cx;
  (void)index;
  qcc_tensor *in = qcc_zalloc_array(cx, QCC_GROUP_MAX * ((size_t)g->input_count + 1), sizeof *in);
  qcc_tensor *out = qcc_zalloc_array(cx, (size_t)g->output_count + 1, sizeof *out);
  if (in && out)
    work(j, w, in, out);
  else
    fail(j, j->first, QCC_NOMEM);
  qcc_free(cx, in);
  qcc_free(cx, out);
  return QCC_OK;
}

void qcc_teams_close(qcc_runner *r) {
  qcc_team_close(r->crew);
  for (unsigned i = 0; i < r->seats; ++i) {
    qcc_team_close(r->workers[i].team);
    r->workers[i].team = NULL;
  }
  r->crew = NULL;
  r->seats = 0;
}

/* `seats` workers take samples, the others help inside these. The threads stay for the next run that is like this one. */
static qcc_status make_teams(qcc_runner *r, unsigned seats) {
  const unsigned share = (r->worker_count - seats) / seats;
  if (r->seats == seats) return QCC_OK;
  qcc_teams_close(r);
  r->seats = seats;
  qcc_status st = qcc_team_open(&r->crew, r->workers + 1, seats - 1);
  for (unsigned i = 0; st == QCC_OK && i < seats; ++i) st = qcc_team_open(&r->workers[i].team, r->workers + seats + i * share, share);
  if (st != QCC_OK) qcc_teams_close(r);
  return st;
}

static qcc_status run_seats(job *j, unsigned seats) {
  j->seats = seats;
  QCC_TRY(make_teams(j->r, seats));
  qcc_status st = j->r->crew ? qcc_team_share(j->r->crew, &j->r->workers[0], seats, sit, j) : sit(&j->r->workers[0], 0, j);
  return st == QCC_OK ? j->status : st;
}

static qcc_status start(job *j, unsigned seats) {
  qcc_status st = QCC_NOMEM;
  if (pthread_mutex_init(&j->read_lock, NULL) == 0) {
    if (pthread_mutex_init(&j->out_lock, NULL) == 0) {
      if (pthread_cond_init(&j->turn, NULL) == 0) {
        st = run_seats(j, seats);
        pthread_cond_destroy(&j->turn);
      }
      pthread_mutex_destroy(&j->out_lock);
    }
    pthread_mutex_destroy(&j->read_lock);
  }
  return st;
}

qcc_status qcc_workers_run(qcc_runner *r, const qcc_samples *samples, size_t first, size_t count, const qcc_hooks *hooks) {
  job j = {.r = r,
           .samples = samples,
           .hooks = hooks,
           .first = first,
           .end = first + count,
           .next = first,
           .delivered = first,
           .failed = SIZE_MAX};
  struct timespec a, b;
  clock_gettime(CLOCK_MONOTONIC, &a);
  qcc_status st = start(&j, count < r->worker_count ? (count ? (unsigned)count : 1) : r->worker_count);
  clock_gettime(CLOCK_MONOTONIC, &b);
  r->stats.seconds += (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec);
  r->stats.samples += j.delivered - first;
  return st;
}
