/* SPDX-License-Identifier: Apache-2.0
 * Data sets, running, and comparing through the public API. */
#include <math.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/capi/codes.h"
#include "frontends/capi/model.h"
#include "frontends/onnx/import.h"

/* ---- data */

static qcc_status wrap(qcc_data **out, const qcc_model *model, qcc_dataset *set) {
  qcc_context *cx = model->cx;
  qcc_data *d = qcc_zalloc_array(cx, 1, sizeof *d);
  if (!d) {
    qcc_dataset_free(set);
    return QCC_NOMEM;
  }
  d->cx = cx;
  d->set = set;
  d->input_count = model->g->input_count;
  if (set) d->samples = *qcc_dataset_samples(set);
  *out = d;
  return QCC_OK;
}

qcc_status qcc_data_open(qcc_data **out, const qcc_model *model, const char *const *sources, uint32_t source_count, const char *transform,
                         size_t limit) {
  if (!out || !model || (!sources && source_count)) return QCC_ARG;
  *out = NULL;
  for (uint32_t i = 0; i < source_count; i++) {
    if (!sources[i]) return QCC_ARG;
  }
  qcc_dataset *set = NULL;
  QCC_TRY(qcc_dataset_open(&set, model->g, sources, source_count, transform, limit));
  return wrap(out, model, set);
}

qcc_status qcc_data_synthetic(qcc_data **out, const qcc_model *model, size_t count, uint64_t seed) {
  if (!out || !model) return QCC_ARG;
  *out = NULL;
  qcc_dataset *set = NULL;
  QCC_TRY(qcc_dataset_synthetic(&set, model->g, count, seed));
  return wrap(out, model, set);
}

static qcc_status pull(void *user, size_t index, qcc_tensor *inputs) {
  qcc_data *d = user;
  memset(d->arrays, 0, d->input_count * sizeof *d->arrays);
  QCC_TRY(d->get(d->user, index, d->arrays));
  for (size_t i = 0; i < d->input_count; i++) {
    if (!d->arrays[i].dtype) continue; /* a constant that the model also lists as an input */
    QCC_TRY(qcc_array_tensor(&inputs[i], d->cx, &d->arrays[i], "sample"));
    if (inputs[i].type.dtype != d->types[i].dtype)
      return qcc_error(d->cx, QCC_DATA, "D-010", NULL, "sample %zu: input %zu has another element type than the model", index, i);
  }
  return QCC_OK;
}

qcc_status qcc_data_pull(qcc_data **out, const qcc_model *model, size_t count,
                         qcc_status (*get)(void *user, size_t index, qcc_array *inputs), void *user) {
  if (!out || !model || !get) return QCC_ARG;
  *out = NULL;
  qcc_data *d = NULL;
  QCC_TRY(wrap(&d, model, NULL));
  d->get = get;
  d->user = user;
  d->samples = (qcc_samples){.count = count, .get = pull, .user = d};
  d->arrays = qcc_zalloc_array(d->cx, d->input_count + 1, sizeof *d->arrays);
  d->types = qcc_zalloc_array(d->cx, d->input_count + 1, sizeof *d->types);
  if (!d->arrays || !d->types) {
    qcc_data_free(d);
    return QCC_NOMEM;
  }
  for (size_t i = 0; i < d->input_count; i++) d->types[i] = model->g->inputs[i]->type;
  *out = d;
  return QCC_OK;
}

qcc_status qcc_data_fits(const qcc_data *data, const qcc_model *model) {
  if (data->cx != model->cx) return qcc_error(model->cx, QCC_ARG, "A-142", NULL, "the samples were opened in another context");
  if (data->input_count == model->g->input_count) return QCC_OK;
  return qcc_error(model->cx, QCC_ARG, "A-143", NULL, "the samples are for %zu inputs, the model has %zu", data->input_count,
                   (size_t)model->g->input_count);
}

size_t qcc_data_count(const qcc_data *data) { return data ? data->samples.count : 0; }

void qcc_data_free(qcc_data *data) {
  if (!data) return;
  qcc_dataset_free(data->set);
  qcc_free(data->cx, data->arrays);
  qcc_free(data->cx, data->types);
  qcc_free(data->cx, data);
}

static bool ends_with(const char *s, const char *end) {
  size_t n = strlen(s), m = strlen(end);
  return n >= m && strcmp(s + n - m, end) == 0;
}

qcc_status qcc_array_read(qcc_array *out, qcc_context *cx, const char *path) {
  if (!out || !cx || !path) return QCC_ARG;
  *out = (qcc_array){0};
  qcc_tensor t = {0};
  const char *name = NULL;
  QCC_TRY(ends_with(path, ".pb") ? qcc_onnx_load_tensor(&t, cx, path, &name) : qcc_npy_read(&t, cx, path));
  void *copy = qcc_alloc(cx, t.bytes + 1);
  if (copy) {
    memcpy(copy, t.data, t.bytes);
    *out = qcc_array_of(&t);
    out->data = copy;
  }
  qcc_tensor_release(&t);
  return copy ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_array_write(qcc_context *cx, const qcc_array *array, const char *path) {
  if (!cx || !array || !path) return QCC_ARG;
  qcc_tensor t;
  QCC_TRY(qcc_array_tensor(&t, cx, array, path));
  return qcc_npy_write(cx, &t, path);
}

/* ---- run */

typedef struct sink {
  qcc_context *cx;
  qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs);
  void *user;
  uint32_t count;
  qcc_array *arrays;
} sink;

static qcc_status deliver(void *user, size_t sample, const qcc_tensor *outputs) {
  sink *s = user;
  for (uint32_t i = 0; i < s->count; i++) s->arrays[i] = qcc_array_of(&outputs[i]);
  return s->output(s->user, sample, s->arrays);
}

/* Opens a graph, runs every sample, closes. */
static qcc_status run_graph(qcc_context *cx, const qcc_graph *g, const qcc_samples *samples, const qcc_run_options *how,
                            const qcc_hooks *hooks) {
  const qcc_eval *eval = qcc_ref_eval();
  qcc_runner *runner = NULL;
  QCC_TRY(eval->open(&runner, cx, g, how));
  qcc_status st = eval->run(runner, samples, 0, samples->count, hooks);
  eval->close(runner);
  return st;
}

/* The same on a copy whose quantized parts are operators on codes. */
static qcc_status run_codes(qcc_context *cx, const qcc_graph *g, const qcc_samples *samples, const qcc_run_options *how,
                            const qcc_hooks *hooks) {
  qcc_codes codes;
  qcc_status st = qcc_codes_open(&codes, cx, g, samples);
  if (st == QCC_OK) st = run_graph(cx, codes.g, &codes.samples, how, hooks);
  qcc_codes_close(&codes);
  return st;
}

qcc_status qcc_run(const qcc_model *model, const qcc_data *data, unsigned threads,
                   qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs), void *user) {
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  settings.threads = threads;
  return qcc_run_as(model, data, &settings, output, user);
}

qcc_status qcc_run_as(const qcc_model *model, const qcc_data *data, const qcc_run_settings *settings,
                      qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs), void *user) {
  if (!model || !data || !settings || !output) return QCC_ARG;
  if (settings->size != sizeof *settings)
    return qcc_error(model->cx, QCC_ARG, "A-146", NULL, "run settings of another version of the library");
  QCC_TRY(qcc_data_fits(data, model));
  const qcc_run_options options = {.workers = qcc_threads_of(settings->threads),
                                   .arithmetic = settings->saturating ? QCC_AS_SATURATING
                                                 : settings->exact    ? QCC_AS_EXACT
                                                                      : QCC_AS_FLOAT};
  sink s = {.cx = model->cx, .output = output, .user = user, .count = model->g->output_count};
  s.arrays = qcc_zalloc_array(model->cx, s.count + 1u, sizeof *s.arrays);
  if (!s.arrays) return QCC_NOMEM;
  qcc_hooks hooks = {.output = deliver, .user = &s, .stage = "run"};
  qcc_status st = (options.arithmetic == QCC_AS_FLOAT ? run_graph : run_codes)(model->cx, model->g, &data->samples, &options, &hooks);
  qcc_free(model->cx, s.arrays);
  return st;
}

/* ---- inspect */

typedef struct inspection {
  qcc_status (*each)(void *user, size_t sample, const qcc_array *value);
  void *user;
  qcc_status status;
} inspection;

static void inspect(void *user, unsigned worker, size_t sample, uint32_t index, const qcc_tensor *t) {
  (void)worker, (void)index;
  inspection *in = user;
  qcc_array a = qcc_array_of(t);
  if (in->status == QCC_OK) in->status = in->each(in->user, sample, &a);
}

qcc_status qcc_inspect_tensor(const qcc_model *model, const qcc_data *data, const char *tensor,
                              qcc_status (*each)(void *user, size_t sample, const qcc_array *value), void *user) {
  if (!model || !data || !tensor || !each) return QCC_ARG;
  QCC_TRY(qcc_data_fits(data, model));
  const qcc_value *v = qcc_find_value(model->g, qcc_intern(model->cx, tensor));
  if (!v) return qcc_error(model->cx, QCC_ARG, "A-102", NULL, "the model has no tensor \"%s\"", tensor);
  inspection in = {.each = each, .user = user};
  qcc_hooks hooks = {.observed = (const qcc_value *[]){v, NULL}, .want_layout = true, .observe_typed = inspect, .user = &in};
  QCC_TRY(run_graph(model->cx, model->g, &data->samples, NULL, &hooks)); /* one worker: `each` sees samples in order */
  return in.status;
}
