/* SPDX-License-Identifier: Apache-2.0
 * Steps behind the units: integer products join the arithmetic around them, activations their float operator.
 *
 *   DynamicQuantizeLinear -> MatMulInteger -> Cast -> Mul(with Mul of the scales) [-> Add]
 *     => MatMulIntegerToFloat => DynamicQuantizeMatMul */
#include "backends/target/ort_sim.h"

static qcc_node *parent(const qcc_node *n, qcc_op op) {
  for (uint32_t k = 0; k < n->in_count; k++) {
    const qcc_value *v = qcc_in(n, k);
    if (v && v->def && v->def->op == op && v->def->graph == n->graph) return v->def;
  }
  return NULL;
}

/* The operand of a commutative node that `other` does not give. */
static qcc_value *beside(const qcc_node *n, const qcc_node *other) {
  return qcc_in(n, 0) && qcc_in(n, 0)->def == other ? qcc_in(n, 1) : qcc_in(n, 0);
}

/* [N] or [1, ..., 1, N], N above 1. */
static bool is_bias(const qcc_value *v) {
  if (!qcc_is_const(v) || v->type.rank < 1) return false;
  for (int k = 0; k + 1 < v->type.rank; k++)
    if (v->type.dim[k] != 1) return false;
  return v->type.dim[v->type.rank - 1] > 1;
}

static qcc_node *bias_behind(const qcc_pred_sim *s, const qcc_node *n) {
  qcc_node *add = qcc_pred_feeds(n, 1) ? qcc_pred_only_reader(n) : NULL;
  if (!add || add->op != QCC_OP_ADD || !is_bias(beside(add, n))) return NULL;
  return qcc_in(add, 0) == n->out[0] || qcc_pred_holds(s, 123, 0) ? add : NULL;
}

static qcc_status join_product(qcc_pred_sim *s, qcc_node *mul, qcc_node *cast, qcc_node *product, qcc_node *scales) {
  qcc_node *add = bias_behind(s, mul), *last = add ? add : mul;
  qcc_value *in[] = {qcc_in(product, 0), qcc_in(product, 1),           qcc_in(scales, 0), qcc_in(scales, 1), qcc_in(product, 2),
                     qcc_in(product, 3), add ? beside(add, mul) : NULL};
  qcc_node *kernel = qcc_pred_add(s, product, last, QCC_OP_MS_MATMUL_INTEGER_TO_FLOAT, in, 7, 1);
  if (!kernel) return QCC_NOMEM;
  qcc_set_type(kernel->out[0], &last->out[0]->type);
  qcc_replace_value(last->out[0], kernel->out[0]);
  if (add) QCC_TRY(qcc_pred_drop(s, add, QCC_PRED_FUSED, kernel));
  QCC_TRY(qcc_pred_drop(s, mul, QCC_PRED_FUSED, kernel));
  QCC_TRY(qcc_pred_drop(s, cast, QCC_PRED_FUSED, kernel));
  QCC_TRY(qcc_pred_drop(s, product, QCC_PRED_FUSED, kernel));
  return qcc_pred_drop(s, scales, QCC_PRED_FUSED, kernel);
}

qcc_status qcc_pred_integer_to_float(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(mul, next, g) {
    qcc_node *cast = mul->op == QCC_OP_MUL ? parent(mul, QCC_OP_CAST) : NULL;
    qcc_node *product = cast ? parent(cast, QCC_OP_MATMUL_INTEGER) : NULL;
    qcc_node *scales = product ? parent(mul, QCC_OP_MUL) : NULL;
    if (!scales || beside(mul, cast) != scales->out[0]) continue;
    if (!qcc_pred_feeds(cast, 1) || !qcc_pred_feeds(product, 1) || !qcc_pred_feeds(scales, 1)) continue;
    while (next && next->op == QCC_OP_ADD && parent(next, QCC_OP_MUL) == mul) next = next->next;
    QCC_TRY(join_product(s, mul, cast, product, scales));
  }
  return qcc_graph_status(g);
}

qcc_status qcc_pred_dynamic_product(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->op != QCC_OP_MS_MATMUL_INTEGER_TO_FLOAT) continue;
    const qcc_value *zero = qcc_in(n, 5), *bias = qcc_in(n, 6);
    qcc_node *range = parent(n, QCC_OP_DYNAMIC_QUANTIZE_LINEAR);
    if (!range || !qcc_is_const(qcc_in(n, 3))) continue;
    if ((zero && !qcc_is_const(zero)) || (bias && !qcc_is_const(bias)) || !qcc_pred_feeds(range, 3)) continue;
    qcc_value *in[] = {qcc_in(range, 0), qcc_in(n, 1), qcc_in(n, 3), qcc_in(n, 5), qcc_in(n, 6)};
    qcc_node *kernel = qcc_pred_add(s, n, n, QCC_OP_MS_DYNAMIC_QUANTIZE_MATMUL, in, 5, 1);
    if (!kernel) return QCC_NOMEM;
    qcc_set_type(kernel->out[0], &n->out[0]->type);
    qcc_replace_value(n->out[0], kernel->out[0]);
    QCC_TRY(qcc_pred_drop(s, n, QCC_PRED_FUSED, kernel));
    QCC_TRY(qcc_pred_drop(s, range, QCC_PRED_FUSED, kernel));
  }
  return qcc_graph_status(g);
}

/* ---- float operators take what follows them */
static bool joins_conv(const qcc_node *n) {
  if (n->op == QCC_OP_CLIP) return (!qcc_in(n, 1) || qcc_is_const(qcc_in(n, 1))) && (!qcc_in(n, 2) || qcc_is_const(qcc_in(n, 2)));
  return n->op == QCC_OP_RELU || n->op == QCC_OP_SIGMOID || n->op == QCC_OP_TANH || n->op == QCC_OP_LEAKY_RELU ||
         n->op == QCC_OP_HARD_SIGMOID;
}

static bool joins_gemm(const qcc_node *n) {
  static const qcc_op known[] = {QCC_OP_ELU,     QCC_OP_HARD_SIGMOID, QCC_OP_LEAKY_RELU, QCC_OP_RELU, QCC_OP_SELU,
                                 QCC_OP_SIGMOID, QCC_OP_SOFTPLUS,     QCC_OP_SOFTSIGN,   QCC_OP_TANH, QCC_OP_THRESHOLDED_RELU};
  for (size_t k = 0; k < sizeof known / sizeof *known; k++)
    if (n->op == known[k]) return true;
  return false;
}

qcc_status qcc_pred_activations(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->op != QCC_OP_CONV && n->op != QCC_OP_GEMM) continue;
    qcc_node *act = qcc_pred_feeds(n, 1) ? qcc_pred_only_reader(n) : NULL;
    if (!act || act->in[0].value != n->out[0] || !(n->op == QCC_OP_CONV ? joins_conv(act) : joins_gemm(act))) continue;
    if (n->out[0]->type.dtype != QCC_F32) continue;
    qcc_node *fused = qcc_pred_add(s, n, act, n->op == QCC_OP_CONV ? QCC_OP_MS_FUSED_CONV : QCC_OP_MS_FUSED_GEMM,
                                   (qcc_value *[]){qcc_in(n, 0), qcc_in(n, 1), qcc_in(n, 2)}, qcc_in(n, 2) ? 3 : 2, 1);
    if (!fused || !qcc_pred_mark_of(s, fused) || !qcc_pred_mark_of(s, n)) return QCC_NOMEM;
    qcc_pred_mark *mark = qcc_pred_mark_of(s, fused);
    mark->reason = qcc_pred_mark_of(s, n)->reason;
    mark->input = qcc_pred_mark_of(s, n)->input;
    qcc_set_type(fused->out[0], &act->out[0]->type);
    qcc_replace_value(act->out[0], fused->out[0]);
    if (next == act) next = act->next;
    QCC_TRY(qcc_pred_drop(s, act, QCC_PRED_FUSED, fused));
    QCC_TRY(qcc_pred_drop(s, n, QCC_PRED_FUSED, fused));
  }
  return qcc_graph_status(g);
}

qcc_status qcc_pred_blocks_bias(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES(n, g) {
    qcc_node *add = n->op == QCC_OP_MS_MATMUL_NBITS && !qcc_in(n, 5) && qcc_pred_feeds(n, 1) ? qcc_pred_only_reader(n) : NULL;
    if (!add || add->op != QCC_OP_ADD) continue;
    qcc_value *bias = beside(add, n);
    if (!qcc_is_const(bias) || bias->type.rank != 1) continue;
    while (n->in_count < 5) qcc_set_input(n, n->in_count, NULL);
    qcc_set_input(n, 5, bias);
    qcc_replace_value(add->out[0], n->out[0]);
    QCC_TRY(qcc_pred_drop(s, add, QCC_PRED_FUSED, n));
  }
  return qcc_graph_status(g);
}
