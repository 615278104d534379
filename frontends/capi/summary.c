/* SPDX-License-Identifier: Apache-2.0
 * What a compiled model is made of: counts by mode, share of multiply-accumulates in 8 bit, bytes of constants, reasons. */
#include <math.h>
#include <string.h>

#include "frontends/capi/model.h"
#include "ir/check.h"

static char *copy_text(char **at, const char *text) {
  size_t n = strlen(text) + 1;
  char *to = *at;
  memcpy(to, text, n);
  *at += n;
  return to;
}

qcc_status qcc_model_note(qcc_model *m, const char *kind, const char *subject, const char *text) {
  if (m->row_count == m->row_cap) {
    size_t cap = m->row_cap ? 2 * m->row_cap : 16;
    qcc_row *rows = qcc_realloc_array(m->cx, m->rows, cap, sizeof *rows);
    if (!rows) return QCC_NOMEM;
    m->rows = rows;
    m->row_cap = cap;
  }
  char *block = qcc_alloc(m->cx, strlen(kind) + strlen(subject) + strlen(text) + 3);
  if (!block) return QCC_NOMEM;
  qcc_row *row = &m->rows[m->row_count++];
  row->kind = copy_text(&block, kind);
  row->subject = copy_text(&block, subject);
  row->text = copy_text(&block, text);
  return QCC_OK;
}

void qcc_explain(const qcc_model *model, void (*each)(void *user, const char *kind, const char *subject, const char *text), void *user) {
  if (!model || !each) return;
  for (size_t i = 0; i < model->row_count; i++) each(user, model->rows[i].kind, model->rows[i].subject, model->rows[i].text);
}

qcc_status qcc_summary_of(const qcc_model *model, qcc_summary *out) {
  if (!model || !out) return QCC_ARG;
  *out = model->summary;
  out->size = sizeof *out;
  return QCC_OK;
}

typedef struct counting {
  qcc_model *m;
  double macs, int8_macs;
  qcc_status status;
} counting;

static qcc_mode mode_of(const qcc_model *m, const qcc_node *n, const char **reason) {
  const qcc_plan_op *op = m->plan ? qcc_plan_op_of(m->plan, n->name) : NULL;
  *reason = op ? op->reason : NULL;
  return op ? op->mode : QCC_MODE_FLOAT;
}

static qcc_status count_node(counting *c, const qcc_node *n) {
  qcc_summary *s = &c->m->summary;
  qcc_role role = qcc_op_get(n->op)->role;
  const char *reason = NULL;
  qcc_mode mode = mode_of(c->m, n, &reason);
  bool weighted = role == QCC_ROLE_WEIGHTED || role == QCC_ROLE_RECURRENT;
  s->nodes++;
  s->int8_nodes += mode == QCC_MODE_STATIC;
  s->dynamic_nodes += mode == QCC_MODE_DYNAMIC;
  s->weight_only_nodes += mode == QCC_MODE_WEIGHT;
  s->float_nodes += weighted && mode == QCC_MODE_FLOAT;
  double macs = qcc_node_macs(n);
  c->macs += macs;
  if (mode == QCC_MODE_STATIC || mode == QCC_MODE_DYNAMIC) c->int8_macs += macs;
  if (weighted && mode == QCC_MODE_WEIGHT && reason) return qcc_model_note(c->m, "weights", n->name, reason);
  if (!weighted || mode != QCC_MODE_FLOAT || !c->m->plan) return QCC_OK;
  return qcc_model_note(c->m, "float", n->name, reason ? reason : "not chosen");
}

static qcc_status count_graph(qcc_graph *g, void *user) {
  QCC_FOR_NODES(n, g) QCC_TRY(count_node(user, n));
  return QCC_OK;
}

static qcc_status add_bytes(qcc_graph *g, void *user) {
  uint64_t *bytes = user;
  for (uint32_t i = 0; i < g->const_count; i++) *bytes += g->consts[i]->data->bytes;
  QCC_FOR_NODES(n, g) {
    const qcc_tensor *t = qcc_attr_tensor(n, "value");
    if (t) *bytes += t->bytes;
  }
  return QCC_OK;
}

qcc_status qcc_summarize_nodes(qcc_model *m) {
  counting c = {.m = m};
  m->summary.size = sizeof m->summary;
  QCC_TRY(qcc_graph_walk(m->g, count_graph, &c));
  m->summary.int8_macs = c.macs > 0 ? c.int8_macs / c.macs : 0;
  return QCC_OK;
}

qcc_status qcc_summarize_bytes(qcc_model *m, const qcc_graph *original) {
  QCC_TRY(qcc_graph_walk((qcc_graph *)(uintptr_t)original, add_bytes, &m->summary.bytes_before)); /* only reads */
  return qcc_graph_walk(m->g, add_bytes, &m->summary.bytes_after);
}
