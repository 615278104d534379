/* SPDX-License-Identifier: Apache-2.0
 * guard-bias: make every bias fit the int32 that integer kernels add.
 *
 *   %y = Conv(FakeQuant(%x){scale=sx}, FakeQuant(%w){scale=sw[]}, %b)
 *     =>  sw[c] raised to |b[c]| / (sx * 2^30) where the bias would overflow int32 at scale sx * sw[c]
 *
 * Half of int32 stays free for the accumulator. Channels whose weights vanish after BatchNormalization was folded need this.
 * Claim: quantizes. */
#include <math.h>
#include <string.h>

#include "passes/fakequant.h"
#include "passes/pass.h"

static const double bias_limit = 1073741824.0; /* 2^30 */

static qcc_status guard(qcc_pass_cx *p, qcc_node *n, const qcc_value *bias) {
  qcc_qparams x, w;
  qcc_node *weight = n->in[1].value->def;
  if (!qcc_fakequant_read(n->in[0].value->def, &x) || !qcc_fakequant_read(weight, &w) || x.count != 1) return QCC_OK;
  if (!qcc_fakequant_by_output(n, &w)) return QCC_OK;
  int64_t biases = qcc_tensor_count(bias->data);
  if (biases != (int64_t)w.count && w.count != 1) return QCC_OK;
  float *scale = qcc_arena_copy(n->graph->arena, w.scale, w.count * sizeof *scale);
  if (!scale) return QCC_NOMEM;
  bool changed = false, pow2 = p->target && p->target->weight.pow2;
  for (int64_t c = 0; c < biases; c++) {
    float *s = &scale[w.count == 1 ? 0 : c];
    double least = fabs(qcc_tensor_get(bias->data, c)) / ((double)x.scale[0] * bias_limit);
    if (least <= (double)*s) continue;
    *s = pow2 ? (float)exp2(ceil(log2(least))) : nextafterf((float)least, INFINITY);
    changed = true;
  }
  return changed && qcc_rewrite_ok(p, n, "guard-bias") ? qcc_fakequant_rescale(weight, &w, scale) : QCC_OK;
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  QCC_FOR_NODES(n, g) {
    if (qcc_op_get(n->op)->role != QCC_ROLE_WEIGHTED || !qcc_is_const(qcc_in(n, 2))) continue;
    if (!qcc_fakequant_is(qcc_in(n, 0)) || !qcc_fakequant_is(qcc_in(n, 1))) continue;
    QCC_TRY(guard(user, n, n->in[2].value));
  }
  return qcc_graph_status(g);
}

static qcc_status run(qcc_pass_cx *p) {
  bool int32 = !p->target || !p->target->float_bias;
  return int32 ? qcc_graph_walk(p->g, each_graph, p) : QCC_OK;
}

const qcc_pass qcc_pass_guard_bias = {
    .name = "guard-bias",
    .doc = "raise weight scales until every bias fits int32",
    .needs = QCC_PROP_FAKEQUANT,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13 | QCC_PROP_FAKEQUANT,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
