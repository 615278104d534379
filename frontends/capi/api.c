/* SPDX-License-Identifier: Apache-2.0
 * The facade: contexts and models. It checks arguments and joins modules; it decides nothing. */
#define _POSIX_C_SOURCE 200809L
#include <string.h>
#include <unistd.h>

#include "backends/onnx/export.h"
#include "backends/ref/ref.h"
#include "frontends/capi/model.h"
#include "frontends/onnx/import.h"
#include "ir/check.h"
#include "ir/text.h"

#ifndef QCC_VERSION
#define QCC_VERSION "0.1.0"
#endif

enum { MOST_THREADS = 64 }; /* each holds the tensors of a sample */

const char *qcc_version(void) { return QCC_VERSION; }

qcc_status qcc_open(qcc_context **out, const qcc_host *host) { return out ? qcc_context_new(out, host) : QCC_ARG; }

void qcc_close(qcc_context *cx) {
  if (cx) qcc_context_free(cx);
}

const char *qcc_message(const qcc_context *cx) { return cx ? qcc_last_error(cx) : ""; }

size_t qcc_peak_bytes(const qcc_context *cx) { return cx ? qcc_context_peak_bytes(cx) : 0; }

qcc_status qcc_set_limit(qcc_context *cx, const char *option, uint64_t value) {
  if (!cx || !option) return QCC_ARG;
  qcc_limits *limits = qcc_context_limits(cx);
#define LIMIT(name, fallback, text, doc) \
  if (strcmp(option, text) == 0) return limits->name = value, QCC_OK;
#include "ir/support/limits.def"
#undef LIMIT
  return qcc_error(cx, QCC_ARG, "A-101", NULL, "no limit is called \"%s\"; \"qcc list limits\" names them", option);
}

unsigned qcc_threads_of(unsigned asked) {
  long n = asked > 0 ? (long)asked : sysconf(_SC_NPROCESSORS_ONLN);
  return n < 1 ? 1u : n > MOST_THREADS ? MOST_THREADS : (unsigned)n;
}

/* ---- models */

qcc_status qcc_model_wrap(qcc_model **out, qcc_graph *g) {
  qcc_model *m = qcc_zalloc_array(g->cx, 1, sizeof *m);
  *out = m;
  if (!m) {
    qcc_graph_free(g);
    return QCC_NOMEM;
  }
  m->cx = g->cx;
  m->g = g;
  return QCC_OK;
}

qcc_status qcc_load(qcc_model **out, qcc_context *cx, const char *path) {
  if (!out || !cx || !path) return QCC_ARG;
  *out = NULL;
  qcc_graph *g = NULL;
  QCC_TRY(qcc_onnx_load(&g, cx, path));
  return qcc_model_wrap(out, g);
}

qcc_status qcc_load_memory(qcc_model **out, qcc_context *cx, const void *bytes, size_t n, const char *folder) {
  if (!out || !cx || (!bytes && n)) return QCC_ARG;
  *out = NULL;
  qcc_graph *g = NULL;
  QCC_TRY(qcc_onnx_load_memory(&g, cx, bytes, n, folder, NULL, true));
  return qcc_model_wrap(out, g);
}

qcc_status qcc_parse(qcc_model **out, qcc_context *cx, const char *text, size_t n, const char *file) {
  if (!out || !cx || (!text && n)) return QCC_ARG;
  *out = NULL;
  qcc_graph *g = NULL;
  QCC_TRY(qcc_parse_graph(&g, cx, text, n, file));
  return qcc_model_wrap(out, g);
}

qcc_status qcc_clone(qcc_model **out, const qcc_model *model) {
  if (!out || !model) return QCC_ARG;
  *out = NULL;
  qcc_graph *g = NULL;
  QCC_TRY(qcc_graph_clone(&g, model->g));
  return qcc_model_wrap(out, g);
}

void qcc_model_free(qcc_model *model) {
  if (!model) return;
  for (size_t i = 0; i < model->row_count; i++) qcc_free(model->cx, model->rows[i].kind);
  qcc_free(model->cx, model->rows);
  qcc_plan_free(model->plan);
  qcc_graph_free(model->g);
  qcc_free(model->cx, model);
}

qcc_status qcc_save(const qcc_model *model, const char *path) { return model && path ? qcc_onnx_save(model->g, path, NULL) : QCC_ARG; }

qcc_status qcc_save_memory(const qcc_model *model, void **out, size_t *n) {
  return model && out && n ? qcc_onnx_save_memory(out, n, model->g) : QCC_ARG;
}

qcc_status qcc_print(const qcc_model *model, const char *around, char **out, size_t *n) {
  if (!model || !out || !n) return QCC_ARG;
  *out = NULL;
  *n = 0;
  qcc_text text = {.cx = model->cx};
  qcc_print_options options = {.around = around ? qcc_intern(model->cx, around) : NULL, .radius = 2};
  if (around && !options.around) return QCC_NOMEM;
  if (around && !qcc_find_value(model->g, options.around) && !qcc_find_node(model->g, options.around))
    return qcc_error(model->cx, QCC_ARG, "A-141", NULL, "the model has no node or tensor \"%-s\"", around);
  qcc_print_graph(&text, model->g, &options);
  if (text.failed) {
    qcc_text_free(&text);
    return QCC_NOMEM;
  }
  *out = text.at;
  *n = text.n;
  return QCC_OK;
}

void qcc_bytes_free(qcc_context *cx, void *bytes) {
  if (cx) qcc_free(cx, bytes);
}

/* ---- looking at models */

size_t qcc_node_count(const qcc_model *model) { return model ? model->g->node_count : 0; }

static const qcc_node *node_at(const qcc_model *model, size_t index) {
  if (!model || index >= model->g->node_count) return NULL;
  const qcc_node *n = model->g->first;
  while (n && index--) n = n->next;
  return n;
}

qcc_status qcc_node_at(const qcc_model *model, size_t index, qcc_node_info *out) {
  const qcc_node *n = node_at(model, index);
  if (!n || !out) return QCC_ARG;
  *out = (qcc_node_info){.name = n->name, .op = n->op_type, .domain = n->domain, .inputs = n->in_count, .outputs = n->out_count};
  return QCC_OK;
}

const char *qcc_node_input(const qcc_model *model, size_t index, uint32_t k) {
  const qcc_node *n = node_at(model, index);
  const qcc_value *v = n ? qcc_in(n, k) : NULL;
  return v ? v->name : NULL;
}

const char *qcc_node_output(const qcc_model *model, size_t index, uint32_t k) {
  const qcc_node *n = node_at(model, index);
  const qcc_value *v = n && k < n->out_count ? n->out[k] : NULL;
  return v ? v->name : NULL;
}

size_t qcc_input_count(const qcc_model *model) { return model ? model->g->input_count : 0; }

size_t qcc_output_count(const qcc_model *model) { return model ? model->g->output_count : 0; }

const char *qcc_input_name(const qcc_model *model, size_t index) {
  return model && index < model->g->input_count ? model->g->inputs[index]->name : NULL;
}

const char *qcc_output_name(const qcc_model *model, size_t index) {
  return model && index < model->g->output_count ? model->g->outputs[index]->value->name : NULL;
}

static qcc_array describe(const qcc_type *t) {
  qcc_array a = {.dtype = (int)t->dtype, .rank = t->rank};
  for (int i = 0; i < t->rank; i++) a.dim[i] = t->dim[i] < 0 ? -1 : t->dim[i];
  return a;
}

qcc_array qcc_array_of(const qcc_tensor *t) {
  qcc_array a = describe(&t->type);
  a.data = t->data;
  a.bytes = t->bytes;
  return a;
}

qcc_status qcc_tensor_of(const qcc_model *model, const char *name, qcc_array *out) {
  if (!model || !name || !out) return QCC_ARG;
  const qcc_value *v = qcc_find_value(model->g, qcc_intern(model->cx, name));
  if (!v) return qcc_error(model->cx, QCC_ARG, "A-102", NULL, "the model has no tensor \"%s\"", name);
  *out = v->data ? qcc_array_of(v->data) : describe(&v->type);
  return QCC_OK;
}

qcc_status qcc_array_tensor(qcc_tensor *out, qcc_context *cx, const qcc_array *a, const char *what) {
  bool fits = a->rank >= 0 && a->rank <= QCC_MAX_RANK && a->dtype > 0 && a->dtype < QCC_DTYPE_COUNT;
  *out = (qcc_tensor){.data = a->data};
  if (fits) out->type = qcc_type_of((qcc_dtype)a->dtype, a->rank, a->dim);
  if (!fits || !qcc_type_bytes(&out->type, &out->bytes) || out->bytes != a->bytes || (!a->data && a->bytes))
    return qcc_error(cx, QCC_ARG, "A-103", NULL, "%s: %zu bytes do not fit the type and shape given", what, a->bytes);
  return QCC_OK;
}

qcc_status qcc_set_tensor(qcc_model *model, const char *name, const qcc_array *value) {
  if (!model || !name || !value) return QCC_ARG;
  qcc_value *v = qcc_find_value(model->g, qcc_intern(model->cx, name));
  if (!v || !v->data) return qcc_error(model->cx, QCC_ARG, "A-104", NULL, "the model has no constant \"%s\"", name);
  qcc_tensor t, copy;
  QCC_TRY(qcc_array_tensor(&t, model->cx, value, name));
  if (!qcc_type_equal(&t.type, &v->data->type))
    return qcc_error(model->cx, QCC_ARG, "A-105", NULL, "\"%s\" has another type or shape", name);
  QCC_TRY(qcc_tensor_copy(&copy, model->cx, &t.type, t.data));
  qcc_set_const(v, &copy);
  return qcc_graph_status(model->g);
}

/* ---- passes */

qcc_status qcc_pass_run_options_of(qcc_pass_run_options *out, qcc_context *cx, const qcc_pass_options *o) {
  *out = (qcc_pass_run_options){0};
  if (!o) return QCC_OK;
  if (o->size != sizeof *o) return qcc_error(cx, QCC_ARG, "A-144", NULL, "pass options of another version of the library");
  out->print_after = o->print_after;
  out->print_changed = o->print_changed;
  out->time = o->time;
  out->bisect = o->bisect;
  out->explain = o->explain;
  out->print = o->print;
  out->print_user = o->print_user;
  out->reproducer = o->reproducer;
  return QCC_OK;
}

qcc_status qcc_passes(qcc_model *model, const char *pipeline, const qcc_pass_options *options) {
  if (!model || !pipeline) return QCC_ARG;
  qcc_pass_run_options run;
  QCC_TRY(qcc_pass_run_options_of(&run, model->cx, options));
  run.eval = qcc_ref_eval();
  return qcc_run_passes(model->g, pipeline, &run);
}
