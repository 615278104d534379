/* SPDX-License-Identifier: Apache-2.0
 * The collector: one row of accumulators per worker, one column per watched value. Workers touch only their own row (Gram matrices lock),
 * so the hooks need no other synchronisation; finishing adds all rows into the first. */
#include "strategy/collect.h"

#include <math.h>
#include <string.h>

#include "ir/support/vec.h"

typedef struct watch {
  const qcc_value *value;
  unsigned what;
  int axis;
  QCC_VEC(qcc_gram *) grams;
} watch;

typedef struct worker {
  qcc_hist_scratch *scratch;
  qcc_gram_scratch *gram;
  qcc_hist *hist; /* one per watched value */
  qcc_hist_part *part;
  qcc_channels *channels;
  bool failed;
  size_t bad_sample;    /* first sample with a value that is not finite */
  const qcc_value *bad; /* the first such value; NULL: none */
} worker;

struct qcc_collector {
  qcc_context *cx;
  unsigned worker_count;
  size_t samples, base; /* expected in all; index of the first */
  uint64_t seed;
  QCC_VEC(watch) watches;
  worker *workers; /* made by the first run */
  qcc_status (*output)(void *user, size_t sample, const qcc_tensor *outputs);
  void *output_user;
};

qcc_status qcc_collector_new(qcc_collector **out, qcc_context *cx, unsigned workers, size_t samples, uint64_t seed) {
  *out = qcc_zalloc_array(cx, 1, sizeof **out);
  if (!*out) return QCC_NOMEM;
  (*out)->cx = cx;
  (*out)->worker_count = workers ? workers : 1;
  (*out)->samples = samples;
  (*out)->seed = seed;
  return QCC_OK;
}

static void free_worker(qcc_collector *c, worker *w) {
  for (size_t i = 0; i < c->watches.n; i++) {
    if (w->hist) qcc_hist_fini(&w->hist[i]);
    if (w->channels) qcc_channels_fini(&w->channels[i]);
  }
  qcc_free(c->cx, w->hist);
  qcc_free(c->cx, w->part);
  qcc_free(c->cx, w->channels);
  qcc_hist_scratch_free(w->scratch);
  qcc_free(c->cx, w->gram);
}

void qcc_collector_free(qcc_collector *c) {
  if (!c) return;
  for (unsigned k = 0; c->workers && k < c->worker_count; k++) free_worker(c, &c->workers[k]);
  for (size_t i = 0; i < c->watches.n; i++) qcc_vec_free(c->cx, &c->watches.at[i].grams);
  qcc_vec_free(c->cx, &c->watches);
  qcc_free(c->cx, c->workers);
  qcc_free(c->cx, c);
}

static size_t index_of(const qcc_collector *c, const qcc_value *v) {
  size_t i = 0;
  while (i < c->watches.n && c->watches.at[i].value != v) i++;
  return i;
}

static watch *watch_of(qcc_collector *c, const qcc_value *v) {
  size_t i = index_of(c, v);
  if (i == c->watches.n) {
    watch w = {.value = v, .axis = 1};
    if (!qcc_vec_push(c->cx, &c->watches, w)) return NULL;
  }
  return &c->watches.at[i];
}

qcc_status qcc_collector_watch(qcc_collector *c, const qcc_value *v, unsigned what, int axis) {
  if (c->workers) return qcc_error(c->cx, QCC_INTERNAL, "I-601", NULL, "a value is to be watched after the first run");
  watch *w = watch_of(c, v);
  if (!w) return QCC_NOMEM;
  w->what |= what;
  if (what & QCC_WATCH_CHANNELS) w->axis = axis;
  return QCC_OK;
}

qcc_status qcc_collector_gram(qcc_collector *c, const qcc_value *v, qcc_gram *gram) {
  if (c->workers) return qcc_error(c->cx, QCC_INTERNAL, "I-601", NULL, "a value is to be watched after the first run");
  watch *w = watch_of(c, v);
  return w && qcc_vec_push(c->cx, &w->grams, gram) ? QCC_OK : QCC_NOMEM;
}

void qcc_collector_outputs(qcc_collector *c, qcc_status (*output)(void *user, size_t sample, const qcc_tensor *outputs), void *user) {
  c->output = output;
  c->output_user = user;
}

/* ---- hooks */
static void end_hist(qcc_collector *c, worker *w, size_t sample, uint32_t k) {
  uint64_t before = w->hist[k].nonfinite;
  qcc_hist_part_end(&w->hist[k], &w->part[k], w->scratch, qcc_hist_moving_weight(sample - c->base, c->samples));
  const qcc_value *v = c->watches.at[k].value;
  if (w->hist[k].nonfinite == before || (w->bad && (w->bad_sample < sample || (w->bad_sample == sample && w->bad->id < v->id)))) return;
  w->bad = v;
  w->bad_sample = sample;
}

static void add_hist(qcc_collector *c, worker *w, size_t sample, uint32_t k, const float *x, size_t n) {
  qcc_hist_part_add(&w->hist[k], &w->part[k], w->scratch, x, n, 0, n);
  end_hist(c, w, sample, k);
}

static void observe(void *user, const qcc_piece *p) {
  const qcc_collector *c = user;
  worker *w = &c->workers[p->worker];
  qcc_hist_part_add(&w->hist[p->index], &w->part[p->index], w->scratch, p->data, p->count, p->offset, p->total);
}

static void observe_end(void *user, unsigned worker_index, size_t sample, uint32_t k, unsigned helper, unsigned helpers) {
  qcc_collector *c = user;
  worker *w = &c->workers[worker_index];
  for (unsigned i = helper; i < helper + helpers; i++)
    qcc_hist_part_join(&w->hist[k], &w->part[k], &c->workers[i].part[k], c->workers[i].scratch);
  end_hist(c, w, sample, k);
}

/* Other element types than f32 are converted for the histogram. */
static void add_converted(qcc_collector *c, worker *w, size_t sample, uint32_t k, const qcc_tensor *t) {
  size_t n = (size_t)qcc_tensor_count(t);
  float *x = qcc_alloc_array(c->cx, n ? n : 1, sizeof *x);
  if (!x) {
    w->failed = true;
    return;
  }
  qcc_tensor_read_f32(t, x);
  add_hist(c, w, sample, k, x, n);
  qcc_free(c->cx, x);
}

static void add_gram(const qcc_collector *c, worker *w, size_t sample, const qcc_tensor *t, bool last, qcc_gram *g) {
  size_t samples = c->samples ? c->samples : 1, target = qcc_gram_target(qcc_gram_dim(g));
  qcc_gram_add(g, w->gram, t, last, sample, (target + samples - 1) / samples, c->seed);
}

static void take(qcc_collector *c, unsigned worker_index, size_t sample, uint32_t k, const qcc_tensor *t, bool last) {
  worker *w = &c->workers[worker_index];
  const watch *what = &c->watches.at[k];
  if (what->what & QCC_WATCH_HIST) {
    if (t->type.dtype == QCC_F32)
      add_hist(c, w, sample, k, t->data, (size_t)qcc_tensor_count(t));
    else
      add_converted(c, w, sample, k, t);
  }
  if (what->what & QCC_WATCH_CHANNELS) {
    if (last)
      qcc_channels_add_last(&w->channels[k], t);
    else
      qcc_channels_add(&w->channels[k], t, what->axis);
  }
  for (size_t i = 0; i < what->grams.n; i++) add_gram(c, w, sample, t, last, what->grams.at[i]);
}

static void observe_typed(void *user, unsigned worker_index, size_t sample, uint32_t k, const qcc_tensor *t) {
  take(user, worker_index, sample, k, t, false);
}

static void observe_last(void *user, unsigned worker_index, size_t sample, uint32_t k, const qcc_tensor *t) {
  take(user, worker_index, sample, k, t, true);
}

/* The first look at inputs of Gram matrices without a scale: twice the largest magnitude of one sample on 255 codes. */
static void observe_size(void *user, unsigned worker_index, size_t sample, uint32_t k, const qcc_tensor *t) {
  (void)worker_index, (void)sample;
  qcc_collector *c = user;
  const float *data = t->type.dtype == QCC_F32 ? t->data : NULL;
  float most = 0;
  for (size_t i = 0; data && i < (size_t)qcc_tensor_count(t); i++)
    most = fabsf(data[i]) > most && isfinite(data[i]) ? fabsf(data[i]) : most;
  for (size_t i = 0; i < c->watches.at[k].grams.n; i++) {
    qcc_gram *g = c->watches.at[k].grams.at[i];
    if (!(qcc_gram_scale(g) > 0)) qcc_gram_set_scale(g, most > 0 ? 2 * (double)most / 255 : 1);
  }
}

static qcc_status output(void *user, size_t sample, const qcc_tensor *outputs) {
  qcc_collector *c = user;
  return c->output(c->output_user, sample, outputs);
}

/* ---- run */
static bool make_worker(qcc_collector *c, worker *w, size_t dim) {
  size_t n = c->watches.n ? c->watches.n : 1;
  w->scratch = qcc_hist_scratch_new(c->cx);
  w->hist = qcc_zalloc_array(c->cx, n, sizeof *w->hist);
  w->part = qcc_zalloc_array(c->cx, n, sizeof *w->part);
  w->channels = qcc_zalloc_array(c->cx, n, sizeof *w->channels);
  w->gram = dim ? qcc_gram_scratch_new(c->cx, dim) : NULL;
  for (size_t i = 0; i < c->watches.n; i++) {
    if (w->hist) qcc_hist_init(&w->hist[i], c->cx);
    if (w->channels) qcc_channels_init(&w->channels[i], c->cx);
  }
  return w->scratch && w->hist && w->part && w->channels && (w->gram || !dim);
}

static qcc_status make_workers(qcc_collector *c) {
  if (c->workers) return QCC_OK;
  size_t dim = 0;
  for (size_t i = 0; i < c->watches.n; i++)
    for (size_t k = 0; k < c->watches.at[i].grams.n; k++) {
      size_t d = qcc_gram_dim(c->watches.at[i].grams.at[k]);
      if (d > dim) dim = d;
    }
  c->workers = qcc_zalloc_array(c->cx, c->worker_count, sizeof *c->workers);
  for (unsigned k = 0; c->workers && k < c->worker_count; k++)
    if (!make_worker(c, &c->workers[k], dim)) return QCC_NOMEM; /* the caller frees the collector */
  return c->workers ? QCC_OK : QCC_NOMEM;
}

/* Add the accumulators of worker k to those of worker 0 and empty them. */
static qcc_status merge_worker(qcc_collector *c, unsigned k) {
  worker *to = &c->workers[0], *from = &c->workers[k];
  for (size_t i = 0; k && i < c->watches.n; i++) {
    qcc_hist_merge(&to->hist[i], &from->hist[i]);
    qcc_channels_merge(&to->channels[i], &from->channels[i]);
    qcc_hist_fini(&from->hist[i]);
    qcc_channels_fini(&from->channels[i]);
    qcc_hist_init(&from->hist[i], c->cx);
    qcc_channels_init(&from->channels[i], c->cx);
  }
  return from->failed ? QCC_NOMEM : QCC_OK;
}

static qcc_status finish(qcc_collector *c) {
  for (unsigned k = 0; k < c->worker_count; k++) QCC_TRY(merge_worker(c, k));
  for (size_t i = 0; i < c->watches.n; i++) {
    QCC_TRY(qcc_hist_status(&c->workers[0].hist[i]));
    QCC_TRY(qcc_channels_finish(&c->workers[0].channels[i]));
  }
  return QCC_OK;
}

/* A histogram alone takes pieces, which must be floats. */
static bool wants_layout(const watch *w) {
  return w->what & QCC_WATCH_CHANNELS || w->grams.n || !(w->what & QCC_WATCH_HIST) || w->value->type.dtype != QCC_F32;
}

/* NULL-terminated; NULL: no memory. */
static const qcc_value **watched(const qcc_collector *c) {
  const qcc_value **values = qcc_zalloc_array(c->cx, c->watches.n + 1, sizeof *values);
  for (size_t i = 0; values && i < c->watches.n; i++) values[i] = c->watches.at[i].value;
  return values;
}

/* Run one sample for the scales that Gram matrices lack. */
static qcc_status size_grams(qcc_collector *c, const qcc_eval *eval, qcc_runner *runner, const qcc_samples *samples, size_t first) {
  bool any = false;
  for (size_t i = 0; i < c->watches.n; i++)
    for (size_t k = 0; k < c->watches.at[i].grams.n; k++) any |= !(qcc_gram_scale(c->watches.at[i].grams.at[k]) > 0);
  if (!any) return QCC_OK;
  const qcc_value **values = watched(c);
  if (!values) return QCC_NOMEM;
  qcc_hooks hooks = {.observed = values, .observe_typed = observe_size, .observe_last = observe_size, .user = c};
  qcc_status status = eval->run(runner, samples, first, 1, &hooks);
  qcc_free(c->cx, values);
  return status;
}

qcc_status qcc_collector_run(qcc_collector *c, const qcc_eval *eval, qcc_runner *runner, const qcc_samples *samples, size_t first,
                             size_t count, const char *stage) {
  if (!c->workers) c->base = first;
  QCC_TRY(make_workers(c));
  if (count) QCC_TRY(size_grams(c, eval, runner, samples, first));
  const qcc_value **values = watched(c);
  bool *typed = qcc_zalloc_array(c->cx, c->watches.n + 1, sizeof *typed);
  for (size_t i = 0; typed && i < c->watches.n; i++) typed[i] = wants_layout(&c->watches.at[i]);
  qcc_hooks hooks = {.observed = c->watches.n ? values : NULL, .typed = typed, .stage = stage, .user = c};
  hooks.observe = observe, hooks.observe_end = observe_end;
  hooks.observe_typed = observe_typed, hooks.observe_last = observe_last;
  if (c->output) hooks.output = output;
  qcc_status status = values && typed ? eval->run(runner, samples, first, count, &hooks) : QCC_NOMEM;
  qcc_free(c->cx, values);
  qcc_free(c->cx, typed);
  return status == QCC_OK ? finish(c) : status;
}

const qcc_value *qcc_collector_not_finite(const qcc_collector *c, size_t *sample) {
  const worker *first = NULL; /* a sample is one worker's alone */
  for (unsigned k = 0; c->workers && k < c->worker_count; k++) {
    const worker *w = &c->workers[k];
    if (w->bad && (!first || w->bad_sample < first->bad_sample)) first = w;
  }
  if (first) *sample = first->bad_sample;
  return first ? first->bad : NULL;
}

const qcc_hist *qcc_collector_hist(const qcc_collector *c, const qcc_value *v) {
  size_t i = index_of(c, v);
  return c->workers && i < c->watches.n && c->watches.at[i].what & QCC_WATCH_HIST ? &c->workers[0].hist[i] : NULL;
}

const qcc_channels *qcc_collector_channels(const qcc_collector *c, const qcc_value *v) {
  size_t i = index_of(c, v);
  if (!c->workers || i >= c->watches.n || !(c->watches.at[i].what & QCC_WATCH_CHANNELS)) return NULL;
  const qcc_channels *channels = &c->workers[0].channels[i];
  return channels->failed ? NULL : channels; /* samples that disagree about the channels leave no statistics */
}
