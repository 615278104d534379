/* SPDX-License-Identifier: Apache-2.0
 * What a model is made of: header, operators, parameters, arithmetic. */
#include <stdlib.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/capi/model.h"
#include "ir/check.h"
#include "ir/support/map.h"
#include "ir/support/vec.h"
#include "ir/text.h"

qcc_status qcc_type_text(const qcc_model *model, const char *name, char *to, size_t n) {
  if (!model || !name || !to || !n) return QCC_ARG;
  const qcc_value *v = qcc_find_value(model->g, qcc_intern(model->cx, name));
  if (!v) return qcc_error(model->cx, QCC_ARG, "A-102", NULL, "the model has no tensor \"%s\"", name);
  qcc_text t = {.cx = model->cx};
  qcc_print_type(&t, model->cx, &v->type);
  if (t.failed) {
    qcc_text_free(&t);
    return QCC_NOMEM;
  }
  qcc_format(to, n, "%s", t.n ? t.at : "");
  qcc_text_free(&t);
  return QCC_OK;
}

/* ---- figures */
static qcc_status add_figures(qcc_graph *g, void *user) {
  qcc_model_info *info = user;
  info->nodes += g->node_count;
  for (uint32_t i = 0; i < g->const_count; i++) {
    const qcc_tensor *t = g->consts[i]->data;
    if (!t) continue;
    info->parameters += (uint64_t)qcc_tensor_count(t);
    info->parameter_bytes += t->bytes;
  }
  return QCC_OK;
}

static qcc_status add_macs(qcc_graph *g, void *user) {
  double *macs = user;
  QCC_FOR_NODES(n, g) {
    const qcc_value *x = qcc_in(n, 0), *w = qcc_in(n, qcc_weight_input(n->op)), *y = qcc_out(n, 0);
    if (x && w && y) *macs += qcc_macs_of(n, &x->type, &w->type, &y->type);
  }
  return QCC_OK;
}

qcc_status qcc_describe(const qcc_model *model, qcc_model_info *out) {
  if (!model || !out) return QCC_ARG;
  const qcc_graph *g = model->g;
  *out = (qcc_model_info){.size = sizeof *out,
                          .ir_version = g->ir_version,
                          .producer = g->producer ? g->producer : "",
                          .producer_version = g->producer_version ? g->producer_version : ""};
  QCC_TRY(qcc_graph_walk(model->g, add_figures, out));
  qcc_graph *copy = NULL;
  QCC_TRY(qcc_graph_clone(&copy, g));
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  qcc_status st = qcc_run_passes(copy, "infer-shapes", &options);
  if (st == QCC_OK) st = qcc_graph_walk(copy, add_macs, &out->macs);
  qcc_graph_free(copy);
  return st;
}

/* ---- operators */
typedef struct tally {
  const char *name;
  int64_t count;
} tally;

typedef struct counting {
  qcc_context *cx;
  qcc_map index; /* name to place in `at` */
  QCC_VEC(tally) at;
} counting;

static qcc_status count_nodes(qcc_graph *g, void *user) {
  counting *c = user;
  QCC_FOR_NODES(n, g) {
    uintptr_t i;
    const char *name = n->domain && n->domain[0] ? qcc_internf(c->cx, "%s.%s", n->domain, n->op_type) : n->op_type;
    if (!name) return QCC_NOMEM;
    if (!qcc_map_get(&c->index, name, &i)) {
      const tally fresh = {name, 0};
      i = c->at.n;
      if (!qcc_vec_push(c->cx, &c->at, fresh) || !qcc_map_put(&c->index, name, i)) return QCC_NOMEM;
    }
    c->at.at[i].count++;
  }
  return QCC_OK;
}

static int more_first(const void *a, const void *b) {
  const tally *x = a, *y = b;
  if (x->count != y->count) return x->count < y->count ? 1 : -1;
  return strcmp(x->name, y->name);
}

qcc_status qcc_describe_counts(const qcc_model *model, void (*each)(void *user, const char *kind, const char *name, int64_t count),
                               void *user) {
  if (!model || !each) return QCC_ARG;
  counting c = {.cx = model->cx};
  qcc_map_init(&c.index, c.cx);
  qcc_status st = qcc_graph_walk(model->g, count_nodes, &c);
  if (st == QCC_OK) {
    for (uint32_t i = 0; i < model->g->opset_count; i++)
      each(user, "opset", *model->g->opsets[i].domain ? model->g->opsets[i].domain : "ai.onnx", model->g->opsets[i].version);
    if (c.at.n) qsort(c.at.at, c.at.n, sizeof *c.at.at, more_first);
    for (size_t i = 0; i < c.at.n; i++) each(user, "operator", c.at.at[i].name, c.at.at[i].count);
  }
  qcc_map_fini(&c.index);
  qcc_vec_free(c.cx, &c.at);
  return st;
}
