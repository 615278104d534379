/* SPDX-License-Identifier: Apache-2.0
 * canonicalize: one way to say each thing, so that later passes match one form.
 *
 *   %k = Constant() {value=...}              %k = const f32[] inline(2)
 *   %i = Identity(%k)                 ->
 *   %y = Mul(%i, %x)                         %y = Mul(%x, %k) "y"
 *
 * Constant nodes become initializers, inputs with a default are constants only, identities of constants go, constants stand at the right of
 * commutative operators, inputs left out at the end are cut, every node has a name, the domain "ai.onnx" is "". Subgraphs too.
 * Claim: exact. */
#include <string.h>

#include "passes/rewrite.h"

/* Operators with two operands that may change places. */
static const qcc_op commutative[] = {
    QCC_OP_ADD, QCC_OP_MUL, QCC_OP_SUM,   QCC_OP_MEAN,        QCC_OP_MAX,        QCC_OP_MIN,         QCC_OP_AND,
    QCC_OP_OR,  QCC_OP_XOR, QCC_OP_EQUAL, QCC_OP_BITWISE_AND, QCC_OP_BITWISE_OR, QCC_OP_BITWISE_XOR,
};

/* ---- Constant nodes */

static qcc_status numbers(qcc_tensor *t, qcc_context *cx, qcc_dtype dtype, bool scalar, uint32_t count, const void *at) {
  int64_t dim = count;
  qcc_type type = qcc_type_of(dtype, scalar ? 0 : 1, &dim);
  return qcc_tensor_copy(t, cx, &type, count ? at : "");
}

/* Strings outside tensors and sparse tensors stay nodes. */
static bool liftable(const qcc_attr *a) {
  return a && !a->next &&
         (a->kind == QCC_ATTR_TENSOR || a->kind == QCC_ATTR_INT || a->kind == QCC_ATTR_FLOAT || a->kind == QCC_ATTR_INTS ||
          a->kind == QCC_ATTR_FLOATS);
}

/* The attribute of a Constant as an owned tensor. */
static qcc_status constant_of(qcc_tensor *t, qcc_context *cx, const qcc_attr *a) {
  *t = (qcc_tensor){0};
  if (a->kind == QCC_ATTR_TENSOR)
    *t = qcc_tensor_retain(a->t);
  else if (a->kind == QCC_ATTR_INT)
    return numbers(t, cx, QCC_S64, true, 1, &a->i);
  else if (a->kind == QCC_ATTR_FLOAT)
    return numbers(t, cx, QCC_F32, true, 1, &a->f);
  else if (a->kind == QCC_ATTR_INTS)
    return numbers(t, cx, QCC_S64, false, a->count, a->ints);
  else if (a->kind == QCC_ATTR_FLOATS)
    return numbers(t, cx, QCC_F32, false, a->count, a->floats);
  return QCC_OK;
}

static qcc_status lift_constant(qcc_pass_cx *p, qcc_node *n) {
  qcc_value *out = qcc_out(n, 0);
  if (!out || !liftable(n->attrs) || !qcc_rewrite_ok(p, n, "lift-constant")) return QCC_OK;
  qcc_tensor t;
  QCC_TRY(constant_of(&t, p->cx, n->attrs));
  return qcc_replace_by_const(out, qcc_add_const(n->graph, NULL, &t));
}

/* ---- one node */

static bool commutes(const qcc_node *n) {
  if (n->in_count != 2) return false;
  for (size_t k = 0; k < sizeof commutative / sizeof *commutative; k++)
    if (commutative[k] == n->op) return true;
  return false;
}

static void constant_right(qcc_pass_cx *p, qcc_node *n) {
  qcc_value *a = qcc_in(n, 0), *b = qcc_in(n, 1);
  if (!commutes(n) || !qcc_is_const(a) || !b || qcc_is_const(b) || !qcc_rewrite_ok(p, n, "constant-right")) return;
  qcc_set_input(n, 0, b);
  qcc_set_input(n, 1, a);
}

static void fix_domain(qcc_node *n) {
  if (!strcmp(n->domain, "ai.onnx")) n->domain = qcc_intern(n->graph->cx, "");
}

/* Named after the first output, as the model's author knows it. */
static void give_name(qcc_node *n) {
  if (*n->name) return;
  const char *name = n->op_type;
  for (uint32_t k = n->out_count; k-- > 0;)
    if (n->out[k]) name = n->out[k]->name;
  qcc_rename_node(n, name);
}

static void cut_inputs(qcc_node *n) {
  if (n->op == QCC_OP_OPAQUE) return;
  while (n->in_count && !n->in[n->in_count - 1].value) n->in_count--;
}

static qcc_status node(qcc_pass_cx *p, qcc_node *n) {
  fix_domain(n);
  cut_inputs(n);
  bool output = qcc_out(n, 0) && qcc_is_graph_output(n->out[0]);
  if (n->op == QCC_OP_CONSTANT && !output) {
    const qcc_graph *g = n->graph;
    uint32_t nodes = g->node_count;
    QCC_TRY(lift_constant(p, n));
    if (g->node_count != nodes) return QCC_OK;
  }
  if (n->op == QCC_OP_IDENTITY && qcc_is_const(qcc_in(n, 0)) && !output && qcc_rewrite_ok(p, n, "constant-identity")) {
    qcc_replace_uses(n->out[0], qcc_in(n, 0));
    return qcc_erase_node(n);
  }
  constant_right(p, n);
  give_name(n);
  return QCC_OK;
}

/* An input with a default (old files list every weight so) is a constant: what is folded or quantized cannot be overridden any more. */
static void freeze_inputs(qcc_pass_cx *p, qcc_graph *g) {
  uint32_t kept = 0;
  for (uint32_t k = 0; k < g->input_count; k++) {
    qcc_value *v = g->inputs[k];
    bool freeze = v->data && qcc_rewrite_ok(p, NULL, "freeze-input");
    if (freeze)
      v->is_input = false;
    else
      g->inputs[kept++] = v;
  }
  g->input_count = kept;
}

static qcc_status nodes_of(qcc_graph *g, void *user) {
  freeze_inputs(user, g);
  QCC_FOR_NODES_SAFE(n, next, g) QCC_TRY(node(user, n));
  return QCC_OK;
}

static qcc_status run(qcc_pass_cx *p) {
  for (uint32_t k = 0; k < p->g->opset_count; k++)
    if (!strcmp(p->g->opsets[k].domain, "ai.onnx")) p->g->opsets[k].domain = qcc_intern(p->cx, "");
  return qcc_graph_walk(p->g, nodes_of, p);
}

const qcc_pass qcc_pass_canonicalize = {
    .name = "canonicalize",
    .doc = "one form for each thing: constants as initializers and at the right, nodes named",
    .options = "",
    .keeps = QCC_PROP_SHAPES | QCC_PROP_OPSET13 | QCC_PROP_FAKEQUANT,
    .gives = QCC_PROP_CANONICAL,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
