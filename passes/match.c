/* SPDX-License-Identifier: Apache-2.0
 * The matcher. Patterns are a few levels deep and written by us, so recursion follows their depth, never the graph's. */
#include "passes/match.h"

bool qcc_pattern_takes(const qcc_pattern *pattern, const qcc_node *n) {
  for (int k = 0; pattern->ops[k] != QCC_OP_OPAQUE; k++)
    if (pattern->ops[k] == n->op) return true;
  return false;
}

static bool fail(qcc_match *m, const char *reason) {
  if (!m->reason) m->reason = reason;
  return false;
}

static bool match_inputs(qcc_match *m, const qcc_pattern *pattern, qcc_node *n);

static bool match_value(qcc_match *m, const qcc_pattern *pattern, qcc_value *v) {
  bool maybe = pattern->kind == QCC_PAT_MAYBE || pattern->kind == QCC_PAT_MAYBE_CONST;
  m->value[pattern->slot] = v;
  if (!v) return maybe;
  if (pattern->kind == QCC_PAT_ANY || pattern->kind == QCC_PAT_MAYBE) return true;
  if (pattern->kind != QCC_PAT_OP) return qcc_is_const(v) || fail(m, "an operand is not constant");
  if (!v->def || v->def_index != 0 || v->def->graph != m->root->graph || !qcc_pattern_takes(pattern, v->def)) return false;
  if (pattern->once && v->use_count != 1)
    return fail(m, qcc_is_graph_output(v) ? "the inner result is a graph output" : "the inner result has other users");
  m->node[pattern->slot] = v->def;
  return match_inputs(m, pattern, v->def);
}

static bool match_inputs(qcc_match *m, const qcc_pattern *pattern, qcc_node *n) {
  uint32_t k = 0;
  for (; pattern->in[k]; k++)
    if (!match_value(m, pattern->in[k], qcc_in(n, k))) return false;
  for (; k < n->in_count; k++)
    if (qcc_in(n, k)) return false;
  return true;
}

bool qcc_match_node(qcc_match *m, const qcc_pattern *pattern, qcc_node *n) {
  qcc_pass_cx *p = m->p;
  *m = (qcc_match){.p = p, .root = n};
  if (!qcc_pattern_takes(pattern, n)) return false;
  m->node[pattern->slot] = n;
  m->value[pattern->slot] = qcc_out(n, 0);
  return m->value[pattern->slot] && match_inputs(m, pattern, n);
}
