/* SPDX-License-Identifier: Apache-2.0
 * raise-opset{to=13}: rewrites a model for a newer version of the default operator set.
 *
 *   opset 11                                   opset 13
 *   %y = Squeeze(%x) {axes=[0]}       ->       %a = const s64[1] inline(0)
 *                                              %y = Squeeze(%x, %a)
 *
 * Each node runs through the rows of raise_opset.def between the two versions; subgraphs too. A model that is new enough already is left
 * alone. All or nothing: it counts as one rewrite. Claim: exact. */
#include <string.h>

#include "ir/check.h"
#include "passes/raise_opset.h"

typedef struct row {
  const char *op;
  int64_t version;
  qcc_status (*adapt)(qcc_raise *r);
} row;

static const row rows[] = {
#define RAISE(op, version, adapter) {op, version, qcc_raise_##adapter},
#include "passes/raise_opset.def"
#undef RAISE
};

enum { ROW_COUNT = sizeof rows / sizeof *rows, MAX_TARGET = 21, DEFAULT_TARGET = 13 };

/* The oldest IR version that may carry an opset; below 4 every initializer had to be an input as well. */
static int64_t ir_version_for(int64_t opset) {
  if (opset >= 21) return 10;
  return opset >= 19 ? 9 : opset >= 15 ? 8 : 7;
}

typedef struct job {
  qcc_pass_cx *p;
  int64_t from, to;
} job;

static qcc_status raise_node(const job *j, qcc_node *n) {
  qcc_raise r = {.cx = j->p->cx, .to = j->to, .node = n};
  if (j->from < 6) qcc_attr_remove(n, "consumed_inputs");
  for (int i = 0; i < ROW_COUNT; i++) {
    if (rows[i].version <= j->from || rows[i].version > j->to || strcmp(rows[i].op, r.node->op_type) != 0) continue;
    QCC_TRY(rows[i].adapt(&r));
    QCC_TRY(qcc_graph_status(j->p->g));
  }
  return QCC_OK;
}

static qcc_status raise_graph(qcc_graph *g, void *user) {
  const job *j = user;
  QCC_FOR_NODES_SAFE(n, next, g)
  if (n->domain[0] == 0) QCC_TRY(raise_node(j, n));
  return QCC_OK;
}

static qcc_status read_target(const qcc_pass_cx *p, int64_t *to) {
  const char *text = qcc_pass_option_get(p, "to", NULL);
  *to = DEFAULT_TARGET;
  if (!text) return QCC_OK;
  size_t n = strlen(text);
  if (qcc_read_s64(text, n, to) == n && n > 0 && *to >= 7 && *to <= MAX_TARGET) return QCC_OK;
  return qcc_error(p->cx, QCC_ARG, "A-150", NULL, "raise-opset{to=%.40s}: allowed is 7 to %d", text, MAX_TARGET);
}

qcc_status qcc_raise_to(qcc_pass_cx *p, int64_t to) {
  job j = {.p = p, .from = qcc_graph_opset(p->g, ""), .to = to};
  if (j.from >= j.to || !p->g->first) return QCC_OK;
  if (j.from < 1) return QCC_OK; // no operator of the default domain is imported
  if (!qcc_rewrite_ok(p, p->g->first, "raise-opset")) return QCC_OK;
  QCC_TRY(qcc_infer_graph(p->g, p->eval)); // adapters ask for ranks
  QCC_TRY(qcc_graph_walk(p->g, raise_graph, &j));
  QCC_TRY(qcc_graph_set_opset(p->g, "", j.to));
  if (p->g->ir_version < ir_version_for(j.to)) p->g->ir_version = ir_version_for(j.to);
  return qcc_infer_graph(p->g, p->eval);
}

static qcc_status run(qcc_pass_cx *p) {
  int64_t to;
  QCC_TRY(read_target(p, &to));
  return qcc_raise_to(p, to);
}

const qcc_pass qcc_pass_raise_opset = {
    .name = "raise-opset",
    .doc = "rewrite for a newer version of the default operator set",
    .options = "to",
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .gives = QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
