/* SPDX-License-Identifier: Apache-2.0
 * qcc_check: the prediction of backends/target in the words of the public header, and as JSON. */
#include <jansson.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "backends/target/ort_check.h"
#include "backends/target/target.h"
#include "frontends/capi/model.h"

typedef struct asking {
  void (*each)(void *user, const qcc_check_row *row);
  void (*total)(void *user, const char *kernel, bool on_codes, uint64_t count);
  void *user;
} asking;

static const char *const fates[] = {"int8", "codes", "fused", "removed", "folded", "border", "float", "other"};

static const char *name_of_input(const qcc_pred_node *n) {
  const qcc_value *v = n->input >= 0 ? qcc_in(n->node, (uint32_t)n->input) : NULL;
  return v ? v->name : "";
}

static qcc_status tell_node(void *user, const qcc_pred_node *n) {
  const asking *a = user;
  const qcc_pred_reason_text *why = qcc_pred_reason_of(n->fate == QCC_PRED_FLOAT ? n->reason : n->warning);
  const qcc_check_row row = {.name = n->node->name,
                             .op = n->node->op_type,
                             .fate = (qcc_fate)n->fate,
                             .fate_name = fates[n->fate],
                             .kernel = n->kernel ? n->kernel : "",
                             .into = n->into ? n->into->name : "",
                             .reason = why->name,
                             .what = why->what,
                             .advice = why->todo,
                             .input = name_of_input(n),
                             .channels_last = n->channels_last,
                             .pairs = n->pairs,
                             .unsafe_pairs = n->unsafe};
  if (a->each) a->each(a->user, &row);
  return QCC_OK;
}

static qcc_status tell_total(void *user, const char *kernel, bool on_codes, uint64_t count) {
  const asking *a = user;
  if (a->total) a->total(a->user, kernel, on_codes, count);
  return QCC_OK;
}

static qcc_status version_of(int *out, qcc_context *cx, const char *text) {
  int64_t minor = 0;
  *out = QCC_PRED_NEWEST;
  if (!text) return QCC_OK;
  const size_t n = strncmp(text, "1.", 2) == 0 ? qcc_read_s64(text + 2, strlen(text + 2), &minor) : 0;
  if (n && (!text[2 + n] || text[2 + n] == '.') && minor >= 15 && minor <= QCC_PRED_NEWEST - 100) return *out = 100 + (int)minor, QCC_OK;
  return qcc_error(cx, QCC_ARG, "A-190", NULL, "ONNX Runtime %-s: versions 1.15 to 1.%d are known", text, QCC_PRED_NEWEST - 100);
}

/* Signed activations come first where the kernels prefer them. */
static bool prefers_signed(const qcc_target *t) {
  return qcc_choices_first(&t->ops[QCC_OP_CONV].way[QCC_MODE_STATIC].activation.dtype, QCC_U8) == QCC_S8;
}

/* "ort-cpu@1.20" names a version, too. */
static const char *version_text(const qcc_check_options *o) {
  const char *at = o->target && !o->ort_version ? strchr(o->target, '@') : NULL;
  return at ? at + 1 : o->ort_version;
}

static qcc_status resolve(qcc_pred_options *how, qcc_context *cx, const qcc_check_options *o) {
  qcc_target t = {0};
  if (o->size != sizeof *o) return qcc_error(cx, QCC_ARG, "A-191", NULL, "check options of another version of the library");
  QCC_TRY(version_of(&how->version, cx, version_text(o)));
  QCC_TRY(qcc_target_find(&t, cx, o->target ? o->target : QCC_TARGET_DEFAULT));
  how->pair_saturation = t.pairs != QCC_SATURATION_NONE;
  how->s8_activations = prefers_signed(&t);
  how->eval = qcc_ref_eval();
  qcc_target_fini(&t);
  return QCC_OK;
}

static qcc_status ask(const qcc_model *model, const qcc_pred_options *how, const asking *a) {
  const qcc_pred_sink to = {.node = tell_node, .total = tell_total, .user = (void *)(uintptr_t)a}; /* only read */
  return qcc_pred_check(model->g, how, &to);
}

qcc_status qcc_check(const qcc_model *model, const qcc_check_options *options, void (*each)(void *user, const qcc_check_row *row),
                     void (*total)(void *user, const char *kernel, bool on_codes, uint64_t count), void *user) {
  const qcc_check_options o = options ? *options : (qcc_check_options)QCC_CHECK_OPTIONS_INIT;
  const asking a = {each, total, user};
  qcc_pred_options how = {0};
  if (!model) return QCC_ARG;
  QCC_TRY(resolve(&how, model->cx, &o));
  return ask(model, &how, &a);
}

/* ---- JSON */
typedef struct report {
  json_t *nodes, *totals;
  bool failed;
} report;

static void put(report *r, json_t *object, const char *key, json_t *value) {
  if (json_object_set_new(object, key, value) != 0) r->failed = true;
}

static void put_text(report *r, json_t *object, const char *key, const char *text) {
  if (*text) put(r, object, key, json_string(text));
}

static void node_to_json(void *user, const qcc_check_row *row) {
  report *r = user;
  json_t *j = json_object();
  put(r, j, "name", json_string(row->name));
  put(r, j, "op", json_string(row->op));
  put(r, j, "fate", json_string(row->fate_name));
  put_text(r, j, "kernel", row->kernel);
  put_text(r, j, "into", row->into);
  put_text(r, j, "reason", row->reason);
  put_text(r, j, "input", row->input);
  if (row->channels_last) put(r, j, "channels_last", json_true());
  if (row->pairs) put(r, j, "pairs", json_integer((json_int_t)row->pairs));
  if (row->pairs) put(r, j, "unsafe_pairs", json_integer((json_int_t)row->unsafe_pairs));
  if (json_array_append_new(r->nodes, j) != 0) r->failed = true;
}

static void total_to_json(void *user, const char *kernel, bool on_codes, uint64_t count) {
  report *r = user;
  json_t *j = json_object();
  put(r, j, "kernel", json_string(kernel));
  if (on_codes) put(r, j, "on_codes", json_true());
  put(r, j, "count", json_integer((json_int_t)count));
  if (json_array_append_new(r->totals, j) != 0) r->failed = true;
}

static int take_text(const char *bytes, size_t n, void *to) {
  qcc_text_add(to, bytes, n);
  return ((qcc_text *)to)->failed ? -1 : 0;
}

static qcc_status dump(report *r, qcc_context *cx, const char *version, char **out, size_t *n) {
  qcc_text text = {.cx = cx};
  json_t *j = json_object();
  put(r, j, "format", json_string("qcc-check"));
  put(r, j, "version", json_integer(1));
  put(r, j, "ort_version", json_string(version));
  put(r, j, "totals", json_incref(r->totals));
  put(r, j, "nodes", json_incref(r->nodes));
  if (!r->failed && json_dump_callback(j, take_text, &text, JSON_INDENT(1)) != 0) r->failed = true;
  json_decref(j);
  if (!r->failed) qcc_text_add(&text, "\n", 1);
  if (r->failed || text.failed) {
    qcc_text_free(&text);
    if (text.failed) return QCC_NOMEM;
    return qcc_error(cx, QCC_UNSUPPORTED, "U-112", NULL, "the result cannot be written as JSON: a name is not UTF-8, or no memory");
  }
  *out = text.at;
  *n = text.n;
  return QCC_OK;
}

qcc_status qcc_check_json(const qcc_model *model, const qcc_check_options *options, char **out, size_t *n) {
  if (!model || !out || !n) return QCC_ARG;
  *out = NULL;
  *n = 0;
  const qcc_check_options o = options ? *options : (qcc_check_options)QCC_CHECK_OPTIONS_INIT;
  qcc_pred_options how = {0};
  QCC_TRY(resolve(&how, model->cx, &o));
  char version[16];
  qcc_format(version, sizeof version, "1.%d", how.version - 100);
  report r = {.nodes = json_array(), .totals = json_array()};
  const asking a = {node_to_json, total_to_json, &r};
  qcc_status st = ask(model, &how, &a);
  if (st == QCC_OK) st = dump(&r, model->cx, version, out, n);
  json_decref(r.nodes);
  json_decref(r.totals);
  return st;
}
