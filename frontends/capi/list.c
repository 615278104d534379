/* SPDX-License-Identifier: Apache-2.0
 * The tables of qcc, told row by row: "qcc list" and every generated text come from here. */
#include <string.h>

#include "backends/target/ort_check.h"
#include "backends/target/target.h"
#include "frontends/capi/format.h"
#include "ir/support/vec.h"
#include "yaml/config.h"

typedef void (*row_fn)(void *user, const char *name, const char *doc);

static void list_passes(row_fn each, void *user) {
  for (uint32_t i = 0; qcc_pass_at(i); i++) each(user, qcc_pass_at(i)->name, qcc_pass_at(i)->doc);
}

static void list_ops(row_fn each, void *user) {
  static const char *const role[] = {"float",      "weighted", "arithmetic", "table",    "shared scale",
                                     "moves data", "clamp",    "recurrent",  "quantized"};
  for (qcc_op op = (qcc_op)1; op < QCC_OP_COUNT; op++) {
    const qcc_op_info *info = qcc_op_get(op);
    char name[96], doc[96];
    qcc_format(name, sizeof name, "%s%s%s", info->domain, *info->domain ? "::" : "", info->name);
    qcc_format(doc, sizeof doc, "since opset %d; %s", info->since, role[info->role]);
    each(user, name, doc);
  }
}

/* What a target is stands in its file, so this one can fail. */
static qcc_status list_targets(qcc_context *cx, row_fn each, void *user) {
  const char *name;
  for (uint32_t i = 0; (name = qcc_capability_shipped(i, NULL, NULL)); i++) {
    qcc_target t;
    QCC_TRY(qcc_target_find(&t, cx, name));
    each(user, name, t.doc);
    qcc_target_fini(&t);
  }
  return QCC_OK;
}

static void list_estimators(row_fn each, void *user) {
#define ESTIMATOR(id, name, doc) each(user, name, doc);
#include "strategy/estimators.def"
#undef ESTIMATOR
}

static void list_formats(row_fn each, void *user) {
  each(user, "auto", "each operator in the form that suits it best: Q/DQ, or a product on run-time ranges");
  for (uint32_t i = 0; qcc_format_at(i); i++) each(user, qcc_format_at(i)->name, qcc_format_at(i)->doc);
}

static void list_weights(row_fn each, void *user) {
#define WEIGHTS(dtype, name, doc) each(user, name, doc);
#include "frontends/capi/weights.def"
#undef WEIGHTS
}

static void list_floats(row_fn each, void *user) {
#define FLOATS(dtype, name, doc) each(user, name, doc);
#include "frontends/capi/floats.def"
#undef FLOATS
}

static void list_costs(row_fn each, void *user) {
  char text[160];
#define COST(id, name, unit, a, b, c)                                                                       \
  qcc_format(text, sizeof text, "nanoseconds for each %s, by %s, %s%s%s", unit, a, b, *(c) ? ", " : "", c); \
  each(user, name, text);
#include "ir/costs.def"
}

static void list_limits(row_fn each, void *user) {
  char text[160];
#define LIMIT(name, value, option, doc)                                                 \
  qcc_format(text, sizeof text, "%s (default %llu)", doc, (unsigned long long)(value)); \
  each(user, option, text);
#include "ir/support/limits.def"
#undef LIMIT
}

static void list_reasons(row_fn each, void *user) {
  char text[256];
  for (qcc_pred_reason r = (qcc_pred_reason)1; r < QCC_PRED_REASON_COUNT; r++) {
    const qcc_pred_reason_text *t = qcc_pred_reason_of(r);
    qcc_format(text, sizeof text, "%s; %s", t->what, t->todo);
    each(user, t->name, text);
  }
}

static void list_levels(row_fn each, void *user) {
  each(user, "-O0", "canonical float model");
  each(user, "-O1", "needs no data: weights in 8 bit, matrix products on run-time ranges; static ranges when samples are given");
  each(user, "-O2", "static ranges from samples, bias correction, weight reconstruction; every step must lower the measured error");
  each(user, "-O3", "accuracy-driven tuning: not there yet");
}

static void list_tables(row_fn each, void *user);

static const struct {
  const char *name, *doc;
  void (*list)(row_fn each, void *user); /* NULL: list_targets */
} tables[] = {
    {"passes", "rewrites of the graph, for --passes", list_passes},
    {"ops", "operators that qcc knows", list_ops},
    {"targets", "what to compile for, for --target", NULL},
    {"capability", "what capability files may say, for --target FILE", qcc_capability_schema},
    {"formats", "how quantized operators are written, for --format", list_formats},
    {"weights", "what weights are stored as, for --weights", list_weights},
    {"floats", "what float parts compute in, for --float", list_floats},
    {"estimators", "from histograms to ranges, for --estimator", list_estimators},
    {"costs", "kinds of kernels in the table of costs of a capability file", list_costs},
    {"levels", "how much to try", list_levels},
    {"limits", "bounds against hostile input, for --limit NAME=VALUE", list_limits},
    {"reasons", "why a node gets no integer kernel, as \"qcc check\" tells it", list_reasons},
    {"tables", "this list", list_tables},
};

static void list_tables(row_fn each, void *user) {
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) each(user, tables[i].name, tables[i].doc);
}

qcc_status qcc_list(qcc_context *cx, const char *table, void (*each)(void *user, const char *name, const char *doc), void *user) {
  if (!cx || !table || !each) return QCC_ARG;
  for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
    if (strcmp(tables[i].name, table) != 0) continue;
    if (!tables[i].list) return list_targets(cx, each, user);
    tables[i].list(each, user);
    return QCC_OK;
  }
  return qcc_error(cx, QCC_ARG, "A-106", NULL, "no table is called \"%s\"; \"qcc list tables\" names them", table);
}
