/* SPDX-License-Identifier: Apache-2.0
 * matmul-add-to-gemm: a matrix product with its bias becomes one Gemm, which has an int32 bias when quantized.
 *
 *   %m = MatMul(%x, %w)
 *   %y = Add(%m, %b)        ->   %y = Gemm(%x, %w, %b)
 *
 * Only when x is known to be a matrix and w, b are constants. Claim: rounds (the bias joins the sum elsewhere). */
#include "passes/linear.h"
#include "passes/rewrite.h"

enum { MATMUL, ADD, X, W, B };

static const char *when(const qcc_match *m) {
  qcc_linear l;
  const char *why = qcc_linear_of(&l, m->node[MATMUL]);
  if (!why) why = qcc_linear_bias_ok(&l);
  return why ? why : qcc_linear_operand(&l, m->value[B]->data, false);
}

/* Gemm's bias as [N], whatever shape broadcast from. */
static qcc_value *build(const qcc_match *m) {
  qcc_linear l;
  if (qcc_linear_of(&l, m->node[MATMUL])) return NULL;
  const qcc_tensor *c = m->value[B]->data;
  qcc_value *bias = m->value[B];
  if (c->type.rank != 1 || qcc_tensor_count(c) != l.out_n) {
    qcc_type type = qcc_type_of(QCC_F32, 1, &l.out_n);
    bool one = qcc_tensor_count(c) == 1;
    qcc_tensor t;
    if (qcc_tensor_new(&t, m->p->cx, &type) != QCC_OK) return NULL;
    for (int64_t k = 0; k < l.out_n; k++) qcc_tensor_set(&t, k, qcc_tensor_get(c, one ? 0 : k));
    bias = qcc_add_const(m->root->graph, m->value[B]->name, &t);
    qcc_take_name(bias, m->value[B]);
  }
  qcc_value *in[3] = {m->value[X], m->value[W], bias};
  return qcc_out(qcc_add_node(m->root->graph, m->root, QCC_OP_GEMM, NULL, in, 3, 1), 0);
}

static const qcc_rule rules[] = {
    {.name = "matmul-bias",
     .doc = "matmul(x, w) + b -> gemm(x, w, b)",
     .when = when,
     .build = build,
     .pattern = P_OP(ADD, OPS(QCC_OP_ADD), P_OP1(MATMUL, OPS(QCC_OP_MATMUL), P_ANY(X), P_CONST(W)), P_CONST(B))},
};

static qcc_status run(qcc_pass_cx *p) { return QCC_REWRITE(p, rules); }

const qcc_pass qcc_pass_matmul_add_to_gemm = {
    .name = "matmul-add-to-gemm",
    .doc = "MatMul of a matrix plus a constant bias becomes Gemm",
    .options = "",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_ROUNDS,
    .run = run,
};
