/* SPDX-License-Identifier: Apache-2.0
 * An If whose condition is known when the model is loaded: the branch that is taken moves into the graph around it. */
#include "backends/target/ort_sim.h"

static qcc_status forget(qcc_graph *g, void *user) {
  qcc_pred_sim *s = user;
  QCC_FOR_NODES(n, g) {
    const qcc_pred_mark *mark = qcc_pred_mark_of(s, n);
    if (!mark) return QCC_NOMEM;
    if (mark->source != QCC_PRED_MADE) s->facts[mark->source - 1] = (qcc_pred_fact){QCC_PRED_REMOVED, QCC_PRED_MADE};
  }
  return QCC_OK;
}

static qcc_status move_consts(qcc_graph *branch, qcc_graph *to) {
  for (uint32_t k = 0; k < branch->const_count; k++) {
    qcc_value *old = branch->consts[k];
    qcc_tensor kept = {.data = NULL};
    QCC_TRY(qcc_tensor_share(&kept, to->cx, old->data));
    qcc_value *c = qcc_add_const(to, NULL, &kept);
    if (!c) return QCC_NOMEM;
    qcc_replace_uses(old, c);
  }
  return QCC_OK;
}

/* The same node in front of `before`; its readers read the new one. */
static qcc_status move_node(qcc_pred_sim *s, qcc_node *n, qcc_node *before) {
  qcc_value **in = qcc_zalloc_array(s->cx, n->in_count + 1u, sizeof *in);
  if (!in) return QCC_NOMEM;
  for (uint32_t k = 0; k < n->in_count; k++) in[k] = qcc_in(n, k);
  qcc_node *moved = n->op == QCC_OP_OPAQUE
                        ? qcc_add_opaque(before->graph, before, n->domain, n->op_type, NULL, in, n->in_count, n->out_count)
                        : qcc_add_node(before->graph, before, n->op, NULL, in, n->in_count, n->out_count);
  qcc_free(s->cx, in);
  if (!moved || !qcc_pred_mark_of(s, moved) || !qcc_pred_mark_of(s, n)) return QCC_NOMEM;
  qcc_pred_mark_of(s, moved)->source = qcc_pred_mark_of(s, n)->source;
  qcc_attr_copy(moved, n);
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (!n->out[k]) continue;
    qcc_set_type(moved->out[k], &n->out[k]->type);
    qcc_replace_uses(n->out[k], moved->out[k]);
  }
  return qcc_graph_status(before->graph);
}

static qcc_status take_branch(qcc_pred_sim *s, qcc_node *n, qcc_graph *branch) {
  QCC_TRY(move_consts(branch, n->graph));
  QCC_FOR_NODES(inner, branch) QCC_TRY(move_node(s, inner, n));
  for (uint32_t k = 0; k < n->out_count && k < branch->output_count; k++) {
    if (n->out[k]) qcc_replace_value(n->out[k], branch->outputs[k]->value);
  }
  return qcc_pred_drop(s, n, QCC_PRED_FOLDED, NULL);
}

qcc_status qcc_pred_inline(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    const qcc_value *condition = n->op == QCC_OP_IF ? qcc_in(n, 0) : NULL;
    if (!qcc_is_const(condition) || qcc_tensor_count(condition->data) != 1 || qcc_pred_gives_output(n)) continue;
    const bool yes = qcc_tensor_get(condition->data, 0) != 0;
    qcc_graph *taken = qcc_attr_graph(n, yes ? "then_branch" : "else_branch"),
              *other = qcc_attr_graph(n, yes ? "else_branch" : "then_branch");
    if (!taken || !other) continue;
    QCC_TRY(qcc_graph_walk(other, forget, s));
    QCC_TRY(take_branch(s, n, taken));
  }
  return QCC_OK;
}
