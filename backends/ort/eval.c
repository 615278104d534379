/* SPDX-License-Identifier: Apache-2.0
 * The eval table over sessions of the library. One is made at open. A run that observes values makes its own, from a copy of the graph with
 * these values among its outputs; so does one with a profile, which ends with its session. */
#define _POSIX_C_SOURCE 200809L /* the monotonic clock */
#include <string.h>
#include <time.h>

#include "backends/onnx/export.h"
#include "backends/ort/library.h"
#include "backends/ort/ort.h"

enum { ALL_OPTIMIZATIONS = 99, SAY_ERRORS = 3 };

typedef struct session {
  const qcc_runner *r;
  const qcc_hooks *hooks;
  qcc_ort_profile *profile; /* NULL: none */
  void *at;
  const char **input_names, **output_names; /* constants among the inputs have no name here */
  void **values;                            /* inputs, then outputs */
  qcc_tensor *in, *out;
  uint32_t *from; /* of the inputs that are passed, in those of the graph */
  uint32_t input_count, output_count;
} session;

struct qcc_runner {
  qcc_context *cx;
  const qcc_graph *g;
  qcc_ort_library lib;
  int threads;
  session plain; /* nothing is observed, nothing profiled */
  bool profiled;
  qcc_ort_profile profile;
  qcc_run_stats stats;
};

static double now(void) {
  struct timespec t = {0};
  return clock_gettime(CLOCK_MONOTONIC, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec * 1e-9 : 0;
}

/* ---- making a session */

/* The graph with what is observed among its outputs; *own is NULL when there is nothing to add. */
static qcc_status with_outputs(qcc_graph **own, const qcc_runner *r, const qcc_hooks *hooks) {
  *own = NULL;
  if (!hooks || !hooks->observed || !hooks->observed[0]) return QCC_OK;
  QCC_TRY(qcc_graph_clone(own, r->g));
  for (uint32_t i = 0; hooks->observed[i]; i++) {
    qcc_value *v = qcc_find_value(*own, hooks->observed[i]->name);
    if (!v || v->graph != *own)
      return qcc_error(r->cx, QCC_UNSUPPORTED, "U-151", NULL, "a value inside a body cannot be observed in ONNX Runtime");
    if (!qcc_is_graph_output(v)) qcc_add_output(*own, v);
  }
  return qcc_graph_status(*own);
}

static qcc_status start(session *s, const void *model, size_t n) {
  const qcc_ort_library *l = &s->r->lib;
  void *options = NULL;
  QCC_TRY(qcc_ort_check(l, l->CreateSessionOptions(&options), QCC_INTERNAL, "start"));
  qcc_status st = qcc_ort_check(l, l->SetIntraOpNumThreads(options, s->r->threads), QCC_INTERNAL, "take the number of threads");
  if (st == QCC_OK) st = qcc_ort_check(l, l->SetSessionLogSeverityLevel(options, SAY_ERRORS), QCC_INTERNAL, "be quiet");
  if (st == QCC_OK) st = qcc_ort_check(l, l->SetSessionGraphOptimizationLevel(options, ALL_OPTIMIZATIONS), QCC_INTERNAL, "optimize");
  if (st == QCC_OK && s->profile) st = qcc_ort_profile_begin(s->profile, l, options);
  if (st == QCC_OK) st = qcc_ort_check(l, l->CreateSessionFromArray(l->env, model, n, options, &s->at), QCC_UNSUPPORTED, "load the model");
  l->ReleaseSessionOptions(options);
  return st;
}

static qcc_status make_lists(session *s, const qcc_graph *g) {
  qcc_context *cx = s->r->cx;
  s->output_count = g->output_count;
  s->from = qcc_zalloc_array(cx, g->input_count + 1u, sizeof *s->from);
  s->input_names = qcc_zalloc_array(cx, g->input_count + 1u, sizeof *s->input_names);
  s->output_names = qcc_zalloc_array(cx, g->output_count + 1u, sizeof *s->output_names);
  s->values = qcc_zalloc_array(cx, (size_t)g->input_count + g->output_count + 1, sizeof *s->values);
  s->in = qcc_zalloc_array(cx, g->input_count + 1u, sizeof *s->in);
  s->out = qcc_zalloc_array(cx, g->output_count + 1u, sizeof *s->out);
  if (!s->from || !s->input_names || !s->output_names || !s->values || !s->in || !s->out) return QCC_NOMEM;
  for (uint32_t i = 0; i < g->input_count; i++) {
    if (g->inputs[i]->data) continue;
    s->from[s->input_count] = i;
    s->input_names[s->input_count++] = g->inputs[i]->name;
  }
  for (uint32_t i = 0; i < g->output_count; i++) s->output_names[i] = g->outputs[i]->value->name;
  return QCC_OK;
}

static qcc_status open_session(session *s) {
  qcc_graph *own = NULL;
  void *model = NULL;
  size_t n = 0;
  qcc_status st = with_outputs(&own, s->r, s->hooks);
  const qcc_graph *g = own ? own : s->r->g;
  if (st == QCC_OK) st = qcc_onnx_save_memory(&model, &n, g);
  if (st == QCC_OK) st = start(s, model, n);
  if (st == QCC_OK) st = make_lists(s, g);
  qcc_free(s->r->cx, model);
  qcc_graph_free(own); /* names live in the context */
  return st;
}

static void close_session(session *s) {
  qcc_context *cx = s->r->cx;
  if (s->at) s->r->lib.ReleaseSession(s->at);
  qcc_free(cx, s->from);
  qcc_free(cx, s->input_names);
  qcc_free(cx, s->output_names);
  qcc_free(cx, s->values);
  qcc_free(cx, s->in);
  qcc_free(cx, s->out);
}

/* ---- one sample */

static qcc_status pass_input(session *s, uint32_t k, size_t sample) {
  const qcc_ort_library *l = &s->r->lib;
  const qcc_tensor *t = &s->in[s->from[k]];
  const qcc_loc loc = {.tensor = s->input_names[k]};
  if (!t->data || qcc_tensor_is_list(t) || !qcc_dtype_bits(t->type.dtype))
    return qcc_error(s->r->cx, QCC_DATA, "D-230", &loc, "sample %zu gives no tensor of numbers for this input", sample);
  return qcc_ort_check(l,
                       l->CreateTensorWithDataAsOrtValue(l->memory, (void *)(uintptr_t)t->data, t->bytes, t->type.dim, (size_t)t->type.rank,
                                                         (int)t->type.dtype, &s->values[k]),
                       QCC_UNSUPPORTED, "take an input");
}

static qcc_status type_of(const session *s, const void *value, qcc_type *out) {
  const qcc_ort_library *l = &s->r->lib;
  void *type = NULL;
  int dtype = 0;
  size_t rank = 0;
  QCC_TRY(qcc_ort_check(l, l->GetTensorTypeAndShape(value, &type), QCC_UNSUPPORTED, "tell a shape"));
  qcc_status st = qcc_ort_check(l, l->GetTensorElementType(type, &dtype), QCC_UNSUPPORTED, "tell a type");
  if (st == QCC_OK) st = qcc_ort_check(l, l->GetDimensionsCount(type, &rank), QCC_UNSUPPORTED, "tell a shape");
  if (st == QCC_OK && rank > QCC_MAX_RANK)
    st = qcc_error(s->r->cx, QCC_UNSUPPORTED, "U-152", NULL, "an output has rank %zu, at most %d can be handed on", rank, QCC_MAX_RANK);
  *out = (qcc_type){.dtype = (qcc_dtype)dtype, .rank = (int8_t)rank};
  if (st == QCC_OK) st = qcc_ort_check(l, l->GetDimensions(type, out->dim, rank), QCC_UNSUPPORTED, "tell a shape");
  l->ReleaseTensorTypeAndShapeInfo(type);
  return st;
}

/* Borrowed: it lives as long as the library's value. */
static qcc_status take_output(session *s, uint32_t k) {
  const qcc_ort_library *l = &s->r->lib;
  void *value = s->values[s->input_count + k], *data = NULL;
  const qcc_loc loc = {.tensor = s->output_names[k]};
  int is_tensor = 0;
  qcc_tensor *t = &s->out[k];
  QCC_TRY(qcc_ort_check(l, l->IsTensor(value, &is_tensor), QCC_UNSUPPORTED, "tell a type"));
  if (is_tensor) QCC_TRY(type_of(s, value, &t->type));
  if (!is_tensor || !qcc_dtype_bits(t->type.dtype) || !qcc_type_bytes(&t->type, &t->bytes))
    return qcc_error(s->r->cx, QCC_UNSUPPORTED, "U-153", &loc, "this output is no tensor of numbers");
  QCC_TRY(qcc_ort_check(l, l->GetTensorMutableData(value, &data), QCC_UNSUPPORTED, "give an output"));
  t->data = data;
  return QCC_OK;
}

static uint32_t output_index(const session *s, const char *name) {
  uint32_t k = 0;
  while (k < s->output_count && s->output_names[k] != name) k++;
  return k;
}

static qcc_status show(session *s, size_t sample) {
  const qcc_hooks *h = s->hooks;
  for (uint32_t i = 0; h && h->observed && h->observed[i]; i++) {
    const qcc_tensor *t = &s->out[output_index(s, h->observed[i]->name)];
    const size_t count = (size_t)qcc_tensor_count(t);
    if (qcc_is_shown_typed(h, i)) {
      h->observe_typed(h->user, 0, sample, i, t);
    } else if (h->observe && t->type.dtype == QCC_F32) {
      h->observe(h->user, &(qcc_piece){.sample = sample, .index = i, .data = t->data, .count = count, .total = count});
      if (h->observe_end) h->observe_end(h->user, 0, sample, i, 0, 0);
    }
  }
  return h && h->output ? h->output(h->user, sample, s->out) : QCC_OK;
}

static qcc_status call(session *s, size_t sample, double *seconds) {
  const qcc_ort_library *l = &s->r->lib;
  void **outputs = s->values + s->input_count;
  for (uint32_t k = 0; k < s->input_count; k++) QCC_TRY(pass_input(s, k, sample));
  const double begin = now();
  void *failed =
      l->Run(s->at, NULL, s->input_names, (const void *const *)s->values, s->input_count, s->output_names, s->output_count, outputs);
  *seconds += now() - begin;
  return qcc_ort_check(l, failed, QCC_UNSUPPORTED, "run the model");
}

static qcc_status run_sample(session *s, size_t sample, qcc_run_stats *stats) {
  QCC_TRY(call(s, sample, &stats->seconds));
  stats->samples++;
  for (uint32_t k = 0; k < s->output_count; k++) QCC_TRY(take_output(s, k));
  return show(s, sample);
}

static void clear_sample(session *s) {
  for (uint32_t k = 0; k < s->input_count + s->output_count; k++) {
    if (s->values[k]) s->r->lib.ReleaseValue(s->values[k]);
    s->values[k] = NULL;
  }
  for (uint32_t i = 0; i < s->r->g->input_count; i++) qcc_tensor_release(&s->in[i]);
}

/* ---- the table */

static qcc_status fold(qcc_context *cx, const qcc_node *n, const qcc_tensor *const *in, qcc_tensor *out) {
  (void)cx, (void)n, (void)in, (void)out;
  return QCC_UNSUPPORTED;
}

static void close_runner(qcc_runner *r) {
  close_session(&r->plain);
  qcc_ort_profile_free(&r->profile);
  qcc_ort_unload(&r->lib);
  qcc_free(r->cx, r);
}

static qcc_status open_runner(qcc_runner **out, qcc_context *cx, const qcc_graph *g, const qcc_run_options *how) {
  *out = NULL;
  qcc_runner *r = qcc_zalloc_array(cx, 1, sizeof *r);
  if (!r) return QCC_NOMEM;
  *r = (qcc_runner){.cx = cx,
                    .g = g,
                    .threads = how && how->workers ? (int)how->workers : 1,
                    .plain = {.r = r},
                    .profiled = how && how->profile,
                    .profile = {.cx = cx}};
  qcc_status st = qcc_ort_load(&r->lib, cx, how ? how->library : NULL);
  if (st == QCC_OK) r->stats.isa = qcc_internf(cx, "onnxruntime %s", r->lib.version);
  if (st == QCC_OK && !r->stats.isa) st = QCC_NOMEM;
  if (st == QCC_OK && !r->profiled) st = open_session(&r->plain);
  if (st == QCC_OK)
    *out = r;
  else
    close_runner(r);
  return st;
}

static qcc_status run_samples(qcc_runner *r, session *s, const qcc_samples *samples, size_t first, size_t count) {
  const qcc_hooks *h = s->hooks;
  qcc_status st = QCC_OK;
  for (size_t i = first; st == QCC_OK && i < first + count; i++) {
    st = samples->get(samples->user, i, s->in);
    if (st == QCC_OK) st = run_sample(s, i, &r->stats);
    clear_sample(s);
    if (st == QCC_OK && h && h->stage) st = qcc_progress(r->cx, h->stage, i + 1 - first, count);
  }
  return st;
}

/* The first run of a session is slower and not part of its profile. */
static qcc_status warm_up(session *s, const qcc_samples *samples, size_t first) {
  double seconds = 0;
  qcc_status st = samples->get(samples->user, first, s->in);
  if (st == QCC_OK) st = call(s, first, &seconds);
  clear_sample(s);
  return st;
}

static qcc_status run(qcc_runner *r, const qcc_samples *samples, size_t first, size_t count, const qcc_hooks *hooks) {
  if (first > samples->count || count > samples->count - first)
    return qcc_error(r->cx, QCC_ARG, "A-201", NULL, "samples %zu to %zu were asked, there are %zu", first, first + count, samples->count);
  if (!r->profiled && (!hooks || !hooks->observed || !hooks->observed[0])) {
    r->plain.hooks = hooks;
    qcc_status st = run_samples(r, &r->plain, samples, first, count);
    r->plain.hooks = NULL;
    return st;
  }
  session s = {.r = r, .hooks = hooks, .profile = r->profiled ? &r->profile : NULL};
  qcc_status st = open_session(&s);
  if (st == QCC_OK && s.profile && count) st = warm_up(&s, samples, first);
  if (st == QCC_OK) st = run_samples(r, &s, samples, first, count);
  qcc_status told = s.profile ? qcc_ort_profile_end(s.profile, &r->lib, s.at) : QCC_OK;
  close_session(&s);
  return st == QCC_OK ? told : st;
}

static qcc_run_stats stats(const qcc_runner *r) {
  qcc_run_stats stats = r->stats;
  stats.profile = r->profiled ? &r->profile.shown : NULL;
  return stats;
}

static void reset(qcc_runner *r) {
  r->stats.seconds = 0;
  r->stats.samples = 0;
  qcc_ort_profile_reset(&r->profile);
}

static const qcc_eval eval = {.fold = fold, .open = open_runner, .run = run, .stats = stats, .reset = reset, .close = close_runner};

const qcc_eval *qcc_ort_eval(void) { return &eval; }
