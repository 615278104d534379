/* SPDX-License-Identifier: Apache-2.0
 * Data sets and looking at tensors through the public API. */
#include <math.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/capi/model.h"
#include "frontends/onnx/import.h"

/* ---- data */

static qcc_status wrap(qcc_data **out, qcc_context *cx, size_t input_count, qcc_dataset *set) {
  qcc_data *d = qcc_zalloc_array(cx, 1, sizeof *d);
  if (!d) {
    qcc_dataset_free(set);
    return QCC_NOMEM;
  }
  d->cx = cx;
  d->set = set;
  d->input_count = input_count;
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
  return wrap(out, model->cx, model->g->input_count, set);
}

qcc_status qcc_data_synthetic(qcc_data **out, const qcc_model *model, size_t count, uint64_t seed) {
  if (!out || !model) return QCC_ARG;
  *out = NULL;
  qcc_dataset *set = NULL;
  QCC_TRY(qcc_dataset_synthetic(&set, model->g, count, seed));
  return wrap(out, model->cx, model->g->input_count, set);
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
  QCC_TRY(wrap(&d, model->cx, model->g->input_count, NULL));
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

static qcc_status lend_kept(void *user, size_t index, qcc_tensor *inputs) {
  (void)index;
  const qcc_data *d = user;
  for (size_t i = 0; i < d->input_count; i++) inputs[i] = qcc_tensor_retain(&d->kept[i]);
  return QCC_OK;
}

qcc_status qcc_data_repeat(qcc_data **out, const qcc_data *data, size_t count) {
  if (!out || !data) return QCC_ARG;
  *out = NULL;
  if (data->samples.count == 0) return qcc_error(data->cx, QCC_DATA, "D-011", NULL, "there is no sample to repeat");
  qcc_data *d = NULL;
  QCC_TRY(wrap(&d, data->cx, data->input_count, NULL));
  d->kept = qcc_zalloc_array(d->cx, d->input_count + 1, sizeof *d->kept);
  d->samples = (qcc_samples){.count = count, .get = lend_kept, .user = d};
  qcc_status st = d->kept ? data->samples.get(data->samples.user, 0, d->kept) : QCC_NOMEM;
  for (size_t i = 0; st == QCC_OK && i < d->input_count; i++) {
    qcc_tensor *t = &d->kept[i], own;
    if (!t->data || t->buf) continue;
    st = qcc_tensor_copy(&own, d->cx, &t->type, t->data); /* it was only borrowed */
    if (st == QCC_OK) *t = own;
  }
  if (st == QCC_OK) return *out = d, QCC_OK;
  qcc_data_free(d);
  return st;
}

size_t qcc_data_count(const qcc_data *data) { return data ? data->samples.count : 0; }

void qcc_data_free(qcc_data *data) {
  if (!data) return;
  for (size_t i = 0; data->kept && i < data->input_count; i++) qcc_tensor_release(&data->kept[i]);
  qcc_free(data->cx, data->kept);
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

/* Opens a graph, runs every sample on one worker and so in order, closes. */
static qcc_status run_graph(qcc_context *cx, const qcc_graph *g, const qcc_data *data, const qcc_hooks *hooks) {
  const qcc_eval *eval = qcc_ref_eval();
  qcc_runner *runner = NULL;
  QCC_TRY(eval->open(&runner, cx, g, NULL));
  qcc_status st = eval->run(runner, &data->samples, 0, data->samples.count, hooks);
  eval->close(runner);
  return st;
}

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
  qcc_hooks hooks = {.observed = (const qcc_value *[]){v, NULL}, .observe_typed = inspect, .user = &in};
  QCC_TRY(run_graph(model->cx, model->g, data, &hooks));
  return in.status;
}
