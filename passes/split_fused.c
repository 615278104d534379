/* SPDX-License-Identifier: Apache-2.0
 * split-fused: operators that an optimizer made of several become these again, so that the rules for the plain ones reach them.
 *
 *                                                            %c = Conv(%x, %w, %b)
 *   %y = FusedConv(%x, %w, %b, %z){activation="Relu"}   =>   %s = Add(%c, %z)
 *                                                            %y = Relu(%s)
 *
 * FusedConv and FusedGemm of com.microsoft, with the activations that have a standard operator. Claim: exact. */
#include <math.h>
#include <string.h>

#include "passes/pass.h"

static const struct {
  const char *name, *alpha, *beta; /* attributes of the standard operator; NULL: none */
  float usual[2];
  qcc_op op;
} activations[] = {
    {"Relu", NULL, NULL, {0, 0}, QCC_OP_RELU},
    {"Tanh", NULL, NULL, {0, 0}, QCC_OP_TANH},
    {"Sigmoid", NULL, NULL, {0, 0}, QCC_OP_SIGMOID},
    {"LeakyRelu", "alpha", NULL, {0.01f, 0}, QCC_OP_LEAKY_RELU},
    {"HardSigmoid", "alpha", "beta", {0.2f, 0.5f}, QCC_OP_HARD_SIGMOID},
    {"Elu", "alpha", NULL, {1, 0}, QCC_OP_ELU},
    {"Clip", NULL, NULL, {-INFINITY, INFINITY}, QCC_OP_CLIP},
};
enum { ACTIVATIONS = sizeof activations / sizeof *activations };

static int activation_of(const qcc_node *n) {
  int i = 0;
  while (i < ACTIVATIONS && strcmp(qcc_attr_str(n, "activation", ""), activations[i].name) != 0) i++;
  return i;
}

static float parameter(const qcc_node *n, int which, int activation) {
  static const char *const single[] = {"activation_alpha", "activation_beta"};
  uint32_t count;
  const float *list = qcc_attr_floats(n, "activation_params", &count), usual = activations[activation].usual[which];
  return count > (uint32_t)which ? list[which] : qcc_attr_float(n, single[which], usual);
}

static qcc_value *limit(const qcc_node *n, float x, const char *what) {
  return isfinite(x) ? qcc_add_const_f32(n->graph, qcc_internf(n->graph->cx, "%s_%s", n->name, what), 0, NULL, &x) : NULL;
}

static qcc_value *activate(qcc_node *n, qcc_value *x, int i) {
  qcc_value *in[3] = {x};
  if (activations[i].op == QCC_OP_CLIP) in[1] = limit(n, parameter(n, 0, i), "least"), in[2] = limit(n, parameter(n, 1, i), "most");
  qcc_node *to = qcc_add_node(n->graph, n, activations[i].op, NULL, in, in[2] ? 3 : in[1] ? 2 : 1, 1);
  if (to && activations[i].alpha) qcc_attr_set_float(to, activations[i].alpha, parameter(n, 0, i));
  if (to && activations[i].beta) qcc_attr_set_float(to, activations[i].beta, parameter(n, 1, i));
  return qcc_out(to, 0);
}

static const char *obstacle(const qcc_node *n) {
  if (!*qcc_attr_str(n, "activation", "")) return NULL;
  return activation_of(n) < ACTIVATIONS ? NULL : "its activation has no standard operator";
}

static qcc_status split(qcc_node *n) {
  qcc_graph *g = n->graph;
  const bool conv = n->op == QCC_OP_MS_FUSED_CONV, active = *qcc_attr_str(n, "activation", "") != 0;
  qcc_value *in[3] = {qcc_in(n, 0), qcc_in(n, 1), qcc_in(n, 2)}, *z = conv ? qcc_in(n, 3) : NULL;
  qcc_node *plain = qcc_add_node(g, n, conv ? QCC_OP_CONV : QCC_OP_GEMM, NULL, in, in[2] ? 3 : 2, 1);
  if (!plain) return QCC_NOMEM;
  qcc_attr_copy(plain, n);
  static const char *const gone[] = {"activation", "activation_params", "activation_alpha", "activation_beta"};
  for (size_t i = 0; i < sizeof gone / sizeof *gone; i++) qcc_attr_remove(plain, gone[i]);
  qcc_value *y = plain->out[0];
  qcc_set_type(y, &n->out[0]->type);
  if (z) y = qcc_out(qcc_add_node(g, n, QCC_OP_ADD, NULL, (qcc_value *[]){y, z}, 2, 1), 0);
  if (z && y) qcc_set_type(y, &n->out[0]->type);
  if (active) y = activate(n, y, activation_of(n));
  QCC_TRY(qcc_graph_status(g));
  qcc_set_type(y, &n->out[0]->type);
  qcc_replace_value(n->out[0], y);
  qcc_add_origin(plain, n);
  const char *name = n->name;
  QCC_TRY(qcc_erase_node(n));
  qcc_rename_node(plain, name);
  return qcc_graph_status(g);
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->op != QCC_OP_MS_FUSED_CONV && n->op != QCC_OP_MS_FUSED_GEMM) continue;
    const char *why = obstacle(n);
    if (why) qcc_pass_decline(user, n, "split-fused", why);
    if (!why && qcc_rewrite_ok(user, n, "split-fused")) QCC_TRY(split(n));
  }
  return qcc_graph_status(g);
}

static qcc_status run(qcc_pass_cx *p) { return qcc_graph_walk(p->g, each_graph, p); }

const qcc_pass qcc_pass_split_fused = {
    .name = "split-fused",
    .doc = "FusedConv and FusedGemm become the standard operators that they stand for",
    .options = "",
    .needs = QCC_PROP_OPSET13,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
