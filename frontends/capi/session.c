/* SPDX-License-Identifier: Apache-2.0
 * Sessions: a model that stays open on the runtime, and what its steps cost. */
#include <math.h>
#include <string.h>

#include "backends/ort/ort.h"
#include "backends/ref/ref.h"
#include "frontends/capi/model.h"
#include "frontends/capi/ready.h"
#include "ir/support/vec.h"

struct qcc_session {
  const qcc_model *model;
  const qcc_eval *eval;
  qcc_ready ready; /* what runs */
  qcc_runner *runner;
  unsigned threads;
  qcc_array *arrays; /* outputs of one sample */
};

qcc_arithmetic qcc_arithmetic_of(bool exact, bool saturating) {
  return saturating ? QCC_AS_SATURATING : exact ? QCC_AS_EXACT : QCC_AS_FLOAT;
}

static qcc_status open_runner(qcc_session *s, const qcc_run_settings *settings) {
  const qcc_model *m = s->model;
  const qcc_run_options how = {.workers = s->threads,
                               .arithmetic = qcc_arithmetic_of(settings->exact, settings->saturating),
                               .profile = settings->profile || settings->trace,
                               .trace = settings->trace,
                               .library = settings->runtime,
                               .isa = settings->isa,
                               .decode_image = qcc_image_decode};
  QCC_TRY(qcc_ready_open(&s->ready, m->cx, m->g, how.arithmetic == QCC_AS_FLOAT ? "infer-shapes" : "@qlinear"));
  s->arrays = qcc_zalloc_array(m->cx, m->g->output_count + 1u, sizeof *s->arrays);
  return s->arrays ? s->eval->open(&s->runner, m->cx, s->ready.g, &how) : QCC_NOMEM;
}

qcc_status qcc_settings_check(qcc_context *cx, const qcc_run_settings *settings) {
  if (settings->size == sizeof *settings) return QCC_OK;
  return qcc_error(cx, QCC_ARG, "A-146", NULL, "run settings of another version of the library");
}

static qcc_status check_settings(const qcc_model *m, const qcc_run_settings *settings) {
  QCC_TRY(qcc_settings_check(m->cx, settings));
  if (!settings->runtime || !(settings->exact || settings->saturating || settings->trace || settings->isa)) return QCC_OK;
  return qcc_error(m->cx, QCC_ARG, "A-147", NULL,
                   "exact arithmetic, traces and instruction sets are those of the built-in runtime; leave out the other");
}

/* Arrays hold numbers: models that take or give anything else cannot be run through them. */
static qcc_status check_interface(const qcc_model *m) {
  for (uint32_t i = 0; i < m->g->input_count + m->g->output_count; i++) {
    const bool in = i < m->g->input_count;
    const qcc_value *v = in ? m->g->inputs[i] : m->g->outputs[i - m->g->input_count]->value;
    const qcc_loc loc = {.tensor = v->name};
    const bool list = v->type.dtype == QCC_NONE && v->extra.n; /* the file gives a type that is no tensor */
    if (list || v->type.dtype == QCC_STRING)
      return qcc_error(m->cx, QCC_UNSUPPORTED, "U-111", &loc, "this %s is %s; arrays of numbers can be passed", in ? "input" : "output",
                       list ? "a sequence, optional or map" : "a tensor of strings");
  }
  return QCC_OK;
}

qcc_status qcc_session_open(qcc_session **out, const qcc_model *model, const qcc_run_settings *settings) {
  const qcc_run_settings defaults = QCC_RUN_SETTINGS_INIT;
  if (!out || !model) return QCC_ARG;
  *out = NULL;
  if (!settings) settings = &defaults;
  QCC_TRY(check_settings(model, settings));
  qcc_session *s = qcc_zalloc_array(model->cx, 1, sizeof *s);
  if (!s) return QCC_NOMEM;
  const qcc_eval *eval = settings->runtime ? qcc_ort_eval() : qcc_ref_eval();
  *s = (qcc_session){.model = model, .eval = eval, .threads = qcc_threads_of(settings->threads)};
  qcc_status st = check_interface(model);
  if (st == QCC_OK) st = open_runner(s, settings);
  if (st == QCC_OK)
    *out = s;
  else
    qcc_session_close(s);
  return st;
}

void qcc_session_close(qcc_session *session) {
  if (!session) return;
  if (session->runner) session->eval->close(session->runner);
  qcc_ready_close(&session->ready);
  qcc_free(session->model->cx, session->arrays);
  qcc_free(session->model->cx, session);
}

/* ---- running */
typedef struct sink {
  qcc_session *session;
  qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs);
  void *user;
} sink;

static qcc_status deliver(void *user, size_t sample, const qcc_tensor *outputs) {
  sink *s = user;
  for (uint32_t i = 0; i < s->session->model->g->output_count; i++) s->session->arrays[i] = qcc_array_of(&outputs[i]);
  return s->output(s->user, sample, s->session->arrays);
}

qcc_status qcc_session_run(qcc_session *session, const qcc_data *data,
                           qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs), void *user) {
  if (!session || !data) return QCC_ARG;
  QCC_TRY(qcc_data_fits(data, session->model));
  sink s = {.session = session, .output = output, .user = user};
  const qcc_hooks hooks = {.output = output ? deliver : NULL, .user = &s, .stage = "run"};
  const qcc_samples *samples = qcc_ready_samples(&session->ready, &data->samples);
  return session->eval->run(session->runner, samples, 0, samples->count, &hooks);
}

qcc_status qcc_run_as(const qcc_model *model, const qcc_data *data, const qcc_run_settings *settings,
                      qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs), void *user) {
  if (!model || !data || !settings || !output) return QCC_ARG;
  qcc_session *s = NULL;
  QCC_TRY(qcc_data_fits(data, model));
  QCC_TRY(qcc_session_open(&s, model, settings));
  qcc_status st = qcc_session_run(s, data, output, user);
  qcc_session_close(s);
  return st;
}

qcc_status qcc_run(const qcc_model *model, const qcc_data *data, unsigned threads,
                   qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs), void *user) {
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  settings.threads = threads;
  return qcc_run_as(model, data, &settings, output, user);
}

/* ---- figures */
qcc_status qcc_session_figures(const qcc_session *session, qcc_run_figures *out) {
  if (!session || !out) return QCC_ARG;
  const qcc_run_stats stats = session->eval->stats(session->runner);
  *out = (qcc_run_figures){.size = sizeof *out,
                           .seconds = stats.seconds,
                           .samples = stats.samples,
                           .threads = session->threads,
                           .arena_bytes = stats.arena_bytes,
                           .packed_bytes = stats.packed_bytes,
                           .plans = stats.plans,
                           .isa = stats.isa,
                           .peak = stats.profile ? stats.profile->peak : 0};
  return QCC_OK;
}

qcc_status qcc_session_reset(qcc_session *session) {
  if (!session) return QCC_ARG;
  session->eval->reset(session->runner);
  return QCC_OK;
}

static qcc_status profile_of(const qcc_session *session, const qcc_profile **out) {
  *out = session->eval->stats(session->runner).profile;
  if (*out) return QCC_OK;
  return qcc_error(session->model->cx, QCC_ARG, "A-147", NULL, "the session was opened without a profile");
}

qcc_status qcc_session_steps(const qcc_session *session, void (*each)(void *user, const qcc_step_cost *step), void *user) {
  if (!session || !each) return QCC_ARG;
  const qcc_profile *p;
  QCC_TRY(profile_of(session, &p));
  for (size_t i = 0; i < p->step_count; i++) {
    const qcc_profile_step *s = &p->steps[i];
    const qcc_step_cost step = {.op = s->op,
                                .name = s->name,
                                .fused_ops = s->fused_ops,
                                .fused = s->fused,
                                .runs = s->runs,
                                .seconds = s->seconds,
                                .fastest = s->fastest,
                                .operations = s->operations,
                                .bytes_read = s->bytes_read,
                                .bytes_written = s->bytes_written};
    if (s->runs) each(user, &step);
  }
  return QCC_OK;
}

/* ---- trace */

/* JSON text: names come from models and may hold anything. Bytes that are not UTF-8 become U+FFFD. */
static size_t utf8_length(const unsigned char *s) {
  const size_t n = *s < 0x80 ? 1 : *s >= 0xC2 && *s < 0xE0 ? 2 : *s >= 0xE0 && *s < 0xF0 ? 3 : *s >= 0xF0 && *s < 0xF5 ? 4 : 0;
  for (size_t i = 1; i < n; i++)
    if ((s[i] & 0xC0) != 0x80) return 0;
  if ((*s == 0xE0 && s[1] < 0xA0) || (*s == 0xED && s[1] >= 0xA0) || (*s == 0xF0 && s[1] < 0x90) || (*s == 0xF4 && s[1] >= 0x90)) return 0;
  return n;
}

static void add_string(qcc_text *t, const char *text) {
  qcc_text_add(t, "\"", 1);
  for (const unsigned char *s = (const unsigned char *)text; *s;) {
    const size_t n = utf8_length(s);
    if (n == 0)
      qcc_text_addf(t, "\\ufffd");
    else if (*s == '"' || *s == '\\')
      qcc_text_addf(t, "\\%c", *s);
    else if (*s < 32 || *s == 127)
      qcc_text_addf(t, "\\u%04x", (unsigned)*s);
    else
      qcc_text_add(t, (const char *)s, n);
    s += n ? n : 1;
  }
  qcc_text_add(t, "\"", 1);
}

static void add_event(qcc_text *t, const qcc_profile *p, const qcc_profile_event *e) {
  const qcc_profile_step *s = &p->steps[e->step];
  const double runs = s->runs ? (double)s->runs : 1;
  qcc_text_addf(t, ",\n{\"ph\": \"X\", \"pid\": 1, \"tid\": %u, \"ts\": %.3f, \"dur\": %.3f, \"cat\": ", e->worker, 1e6 * e->start,
                1e6 * e->seconds);
  add_string(t, s->op);
  qcc_text_addf(t, ", \"name\": ");
  add_string(t, *s->name ? s->name : s->op);
  qcc_text_addf(t, ", \"args\": {\"operator\": ");
  add_string(t, s->op);
  qcc_text_addf(t, ", \"fused operators\": ");
  add_string(t, s->fused_ops);
  qcc_text_addf(t, ", \"fused nodes\": ");
  add_string(t, s->fused);
  qcc_text_addf(t, ", \"sample\": %zu, \"operations\": %.0f, \"bytes read\": %.0f, \"bytes written\": %.0f}}", e->sample,
                s->operations / runs, s->bytes_read / runs, s->bytes_written / runs);
}

qcc_status qcc_session_trace(const qcc_session *session, char **out, size_t *n) {
  if (!session || !out || !n) return QCC_ARG;
  *out = NULL;
  const qcc_profile *p;
  QCC_TRY(profile_of(session, &p));
  if (!p->traced) return qcc_error(session->model->cx, QCC_ARG, "A-148", NULL, "the session was opened without a trace");
  qcc_text t = {.cx = session->model->cx};
  qcc_text_addf(&t,
                "{\"displayTimeUnit\": \"ms\", \"traceEvents\": [\n{\"ph\": \"M\", \"pid\": 1, \"name\": \"process_name\", "
                "\"args\": {\"name\": \"qcc\"}}");
  for (unsigned i = 0; i < session->threads; i++)
    qcc_text_addf(&t, ",\n{\"ph\": \"M\", \"pid\": 1, \"tid\": %u, \"name\": \"thread_name\", \"args\": {\"name\": \"worker %u\"}}", i, i);
  for (size_t i = 0; i < p->event_count && !t.failed; i++) add_event(&t, p, &p->events[i]);
  qcc_text_addf(&t, "\n]}\n");
  if (t.failed) {
    qcc_text_free(&t);
    return QCC_NOMEM;
  }
  *out = t.at;
  *n = t.n;
  return QCC_OK;
}
