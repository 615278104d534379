/* SPDX-License-Identifier: Apache-2.0
 * bias-correct: add the plan's bias corrections, one number per output channel.
 *
 *   %y = Conv(%x, %w, %b)   =>   %y = Conv(%x, %w, %b')      b'[c] = b[c] + delta[c]
 *
 * A missing bias is made (zeros + delta). The constant is always a new one: another user of the old bias keeps it.
 * Claim: quantizes (it exists to move results towards the float model's). */
#include "ir/check.h"
#include "passes/fakequant.h"
#include "passes/pass.h"

/* The plan's numbers are one per output channel; -1 channels: unknown. */
static bool fits(const qcc_node *n, int64_t count) {
  const qcc_value *w = qcc_in(n, 1);
  int axis = qcc_channel_axis(n);
  if (!w || w->type.rank <= axis || w->type.dim[axis] < 0) return false;
  int64_t groups = n->op == QCC_OP_CONV_TRANSPOSE ? qcc_attr_int(n, "group", 1) : 1;
  return groups > 0 && count % groups == 0 && w->type.dim[axis] == count / groups;
}

static qcc_status correct(qcc_pass_cx *p, qcc_node *n, const qcc_plan_op *op) {
  qcc_value *old = qcc_in(n, 2);
  int64_t count = op->bias_count;
  if (!fits(n, count)) {
    qcc_loc loc = qcc_node_loc(n);
    return qcc_error(p->cx, QCC_ARG, "A-064", &loc, "plan: \"bias_delta\" has %u numbers; one per output channel is needed",
                     op->bias_count);
  }
  if (old && (!old->data || old->type.dtype != QCC_F32 || (qcc_tensor_count(old->data) != count && qcc_tensor_count(old->data) != 1)))
    return QCC_OK;
  float *bias = qcc_arena_array(n->graph->arena, op->bias_count, sizeof *bias);
  if (!bias) return QCC_NOMEM;
  for (int64_t c = 0; c < count; c++) {
    double before = old ? qcc_tensor_get(old->data, qcc_tensor_count(old->data) == 1 ? 0 : c) : 0;
    bias[c] = (float)(before + (double)op->bias_delta[c]);
  }
  const char *name = old ? old->name : qcc_internf(p->cx, "%s_bias", n->name);
  qcc_set_input(n, 2, qcc_add_const_f32(n->graph, name, 1, &count, bias));
  return QCC_OK;
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  qcc_pass_cx *p = user;
  QCC_FOR_NODES(n, g) {
    const qcc_plan_op *op = qcc_plan_op_of(p->plan, n->name);
    bool has_bias = n->op == QCC_OP_CONV || n->op == QCC_OP_GEMM || n->op == QCC_OP_CONV_TRANSPOSE;
    if (op && op->bias_count && has_bias && qcc_rewrite_ok(p, n, "bias-correct")) QCC_TRY(correct(p, n, op));
  }
  return qcc_graph_status(g);
}

static qcc_status run(qcc_pass_cx *p) { return p->plan ? qcc_graph_walk(p->g, each_graph, p) : QCC_OK; }

const qcc_pass qcc_pass_bias_correct = {
    .name = "bias-correct",
    .doc = "add the plan's bias corrections to Conv, ConvTranspose and Gemm",
    .needs = QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13 | QCC_PROP_FAKEQUANT,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
