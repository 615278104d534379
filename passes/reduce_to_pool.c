/* SPDX-License-Identifier: Apache-2.0
 * reduce-to-pool: a mean over all spatial dims is a GlobalAveragePool, which has an 8-bit kernel where ReduceMean has none.
 *
 *   %y = ReduceMean(%x) {axes=[2,3]}      ->      %y = GlobalAveragePool(%x)
 *
 * Without keepdims a Reshape to [N, C] follows. Not with one spatial dim: a mean over the last of three is that of a LayerNormalization.
 * Claim: rounds (kernels may sum in another order). */
#include "passes/facts.h"
#include "passes/rewrite.h"

enum { ROOT, X, AXES };

/* Every axis from 2 on, each once, in any order. */
static bool spatial(const qcc_int_list *axes, int rank) {
  unsigned seen = 0;
  for (uint32_t k = 0; k < axes->count; k++) {
    int64_t axis = axes->at[k] < 0 ? axes->at[k] + rank : axes->at[k];
    if (axis < 2 || axis >= rank) return false;
    seen |= 1u << axis;
  }
  return axes->count == (uint32_t)rank - 2 && seen == (1u << rank) - 4;
}

static const char *when(const qcc_match *m) {
  qcc_int_list axes;
  const qcc_type *x = &m->value[X]->type;
  if (x->dtype != QCC_F32 || x->rank < 4) return "the data is not known to be f32 with two spatial dims or more";
  if (!qcc_node_ints(m->root, "axes", 1, &axes)) return "its axes are not constant";
  if (!spatial(&axes, x->rank)) return "it does not run over the spatial dims";
  if (qcc_attr_int(m->root, "keepdims", 1)) return NULL;
  return x->dim[1] > 0 ? NULL : "the number of channels is not known";
}

static qcc_value *build(const qcc_match *m) {
  qcc_graph *g = m->root->graph;
  qcc_value *in[2] = {m->value[X]};
  qcc_node *pool = qcc_add_node(g, m->root, QCC_OP_GLOBAL_AVERAGE_POOL, m->root->name, in, 1, 1);
  if (qcc_attr_int(m->root, "keepdims", 1)) return qcc_out(pool, 0);
  const int64_t two = 2, dims[2] = {-1, m->value[X]->type.dim[1]};
  in[0] = qcc_out(pool, 0);
  in[1] = qcc_add_const_s64(g, qcc_internf(m->p->cx, "%s_shape", m->root->name), 1, &two, dims);
  return qcc_out(qcc_add_node(g, m->root, QCC_OP_RESHAPE, NULL, in, 2, 1), 0);
}

static const qcc_rule rules[] = {
    {.name = "mean-pool",
     .doc = "reduce_mean(x) over the spatial dims -> global_average_pool(x)",
     .when = when,
     .build = build,
     .pattern = P_OP(ROOT, OPS(QCC_OP_REDUCE_MEAN), P_ANY(X), P_MAYBE_CONST(AXES))},
};

static qcc_status run(qcc_pass_cx *p) { return QCC_REWRITE(p, rules); }

const qcc_pass qcc_pass_reduce_to_pool = {
    .name = "reduce-to-pool",
    .doc = "a mean over all spatial dims becomes GlobalAveragePool",
    .options = "",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_ROUNDS,
    .run = run,
};
