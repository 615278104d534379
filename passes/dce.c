/* SPDX-License-Identifier: Apache-2.0
 * dce: nodes whose results nobody reads, and constants that nobody reads, go. Inputs and outputs of graphs stay.
 *
 *   %a = Relu(%x)
 *   %y = Abs(%x)      ->      %y = Abs(%x)
 *
 * Claim: exact. */
#include "passes/rewrite.h"

static bool dead(const qcc_node *n) {
  for (uint32_t k = 0; k < n->out_count; k++)
    if (n->out[k] && n->out[k]->use_count) return false;
  return true;
}

/* Users come after what they use, so one walk from the end is enough. */
static qcc_status sweep_nodes(qcc_pass_cx *p, qcc_graph *g) {
  for (qcc_node *n = g->last, *before; n; n = before) {
    before = n->prev;
    if (!dead(n)) continue;
    if (!qcc_rewrite_ok(p, n, "dead-node")) return QCC_OK;
    QCC_TRY(qcc_erase_node(n));
  }
  return QCC_OK;
}

static qcc_status nodes_of(qcc_graph *g, void *user) { return sweep_nodes(user, g); }

static qcc_status run(qcc_pass_cx *p) {
  /* Again while it changes: a dead node of an inner graph may have been the reader of a node outside. Constants last. */
  uint64_t before;
  do {
    before = p->rewrites;
    QCC_TRY(qcc_graph_walk(p->g, nodes_of, p));
  } while (p->rewrites != before);
  return qcc_sweep_consts(p->g);
}

const qcc_pass qcc_pass_dce = {
    .name = "dce",
    .doc = "remove nodes and constants that nobody reads",
    .options = "",
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13 | QCC_PROP_FAKEQUANT,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
