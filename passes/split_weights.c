/* SPDX-License-Identifier: Apache-2.0
 * split-weights: a constant that several weighted operators read becomes one value for each, all sharing the bytes, so that each
 * operator can have its own quantization of it.
 *
 *   %a = MatMul(%x, %w)                %a = MatMul(%x, %w)
 *   %b = MatMul(%a, %w)       ->       %b = MatMul(%a, %w_1)
 *
 * Claim: exact. */
#include "passes/pass.h"

/* Inputs that quantization may rewrite: weights and biases, W and R of recurrent operators. */
static bool weight_use(const qcc_use *u) {
  if (!u->node || !u->index) return false;
  qcc_role role = qcc_op_get(u->node->op)->role;
  return role == QCC_ROLE_WEIGHTED || role == QCC_ROLE_RECURRENT;
}

static bool only_weight_uses(const qcc_value *v) {
  QCC_FOR_USES(u, v)
  if (!weight_use(u)) return false;
  return true;
}

static qcc_status split_off(qcc_use *u) {
  qcc_value *v = u->value;
  qcc_tensor t = qcc_tensor_retain(v->data);
  qcc_value *copy = qcc_add_const(v->graph, v->name, &t);
  if (!copy) return QCC_NOMEM;
  qcc_set_use(u, copy);
  return QCC_OK;
}

/* Marks of the walk: has the constant been seen, so that its first reader keeps it? */
typedef struct walk {
  qcc_pass_cx *p;
  qcc_value **kept; /* by value id: kept[id] once a reader has taken the original */
  uint32_t count;
} walk;

static qcc_status visit(walk *w, qcc_use *u) {
  qcc_value *v = u->value;
  if (!qcc_is_const(v) || v->id >= w->count || v->use_count < 2 || !weight_use(u)) return QCC_OK;
  if (!w->kept[v->id] && only_weight_uses(v)) {
    w->kept[v->id] = v;
    return QCC_OK;
  }
  return qcc_rewrite_ok(w->p, u->node, "split-weight") ? split_off(u) : QCC_OK;
}

static qcc_status nodes_of(qcc_graph *g, void *user) {
  QCC_FOR_NODES(n, g)
  for (uint32_t k = 0; k < n->in_count; k++) QCC_TRY(visit(user, &n->in[k]));
  return QCC_OK;
}

static qcc_status run(qcc_pass_cx *p) {
  walk w = {.p = p, .count = p->g->next_value_id};
  w.kept = qcc_zalloc_array(p->cx, (size_t)w.count + 1, sizeof(qcc_value *));
  if (!w.kept) return QCC_NOMEM;
  qcc_status status = qcc_graph_walk(p->g, nodes_of, &w);
  qcc_free(p->cx, w.kept);
  return status;
}

const qcc_pass qcc_pass_split_weights = {
    .name = "split-weights",
    .doc = "give each weighted operator its own copy of a shared weight (same bytes)",
    .options = "",
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
