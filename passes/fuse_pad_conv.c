/* SPDX-License-Identifier: Apache-2.0
 * fuse-pad-conv: padding with a constant into the window operator that follows.
 *
 *   %p = Pad(%x, [0,0,1,1,0,0,1,1])
 *   %y = Conv(%p, %w)                 ->      %y = Conv(%x, %w) {pads=[1,1,1,1]}
 *
 * Conv takes zeros. AveragePool takes zeros that count. MaxPool takes -inf always, and zeros when its input cannot be negative.
 * Claim: rounds (kernels may sum in another order). */
#include <math.h>
#include <string.h>

#include "passes/facts.h"
#include "passes/rewrite.h"

enum { WINDOW, PAD, X, PADS, VALUE, W, B, AXES };

/* Spatial pads of the sum of both, begins first; the rank is that of the data. */
typedef struct joint {
  int spatial;
  bool had;
  int64_t pads[2 * QCC_MAX_RANK];
} joint;

/* Pads of the Pad node over all axes: begins in [0, rank), ends in [rank, 2 rank). */
static const char *pad_read(const qcc_match *m, int rank, int64_t *pads) {
  qcc_int_list given, axes = {0};
  bool some = m->value[AXES] != NULL;
  if (!qcc_node_ints(m->node[PAD], "pads", 1, &given)) return "its pads are not constant";
  if (some && !qcc_const_ints(m->value[AXES], &axes)) return "its axes are not constant";
  uint32_t n = some ? axes.count : (uint32_t)rank;
  if (given.count != 2 * n) return "its pads do not fit the rank";
  memset(pads, 0, 2 * QCC_MAX_RANK * sizeof *pads);
  for (uint32_t k = 0; k < n; k++) {
    int64_t axis = some ? axes.at[k] : k;
    axis = axis < 0 ? axis + rank : axis;
    if (axis < 0 || axis >= rank) return "its axes are outside the rank";
    pads[axis] = given.at[k];
    pads[rank + axis] = given.at[n + k];
  }
  return NULL;
}

static const char *join(const qcc_match *m, joint *j) {
  int64_t pads[2 * QCC_MAX_RANK];
  const qcc_type *x = &m->value[X]->type;
  const char *automatic = qcc_attr_str(m->node[WINDOW], "auto_pad", "NOTSET");
  if (strcmp(automatic, "NOTSET") != 0 && strcmp(automatic, "VALID") != 0) return "the window operator pads by itself";
  if (x->rank < 3) return "the rank is not known";
  const char *why = pad_read(m, x->rank, pads);
  if (why) return why;
  if (pads[0] || pads[1] || pads[x->rank] || pads[x->rank + 1]) return "it pads batches or channels";
  uint32_t count;
  const int64_t *own = qcc_attr_ints(m->node[WINDOW], "pads", &count);
  j->spatial = x->rank - 2;
  j->had = false;
  if (count && count != 2 * (uint32_t)j->spatial) return "the window's pads do not fit the rank";
  for (int k = 0; k < 2 * j->spatial; k++) {
    int64_t more = k < j->spatial ? pads[2 + k] : pads[x->rank + 2 + k - j->spatial];
    int64_t mine = count && !strcmp(automatic, "NOTSET") ? own[k] : 0;
    if (more < 0) return "it cuts instead of padding";
    if (!qcc_add_s64(more, mine, &j->pads[k])) return "the pads are too large";
    j->had |= mine != 0;
  }
  return NULL;
}

/* What the Pad fills with. */
static bool fill_of(const qcc_match *m, double *fill) {
  *fill = (double)qcc_attr_float(m->node[PAD], "value", 0);
  return !m->value[VALUE] || qcc_const_number(m->value[VALUE], fill);
}

static const char *pad_ready(const qcc_match *m, joint *j, double *fill) {
  if (strcmp(qcc_attr_str(m->node[PAD], "mode", "constant"), "constant") != 0) return "it does not pad with a constant";
  if (!fill_of(m, fill)) return "what it pads with is not constant";
  return join(m, j);
}

static const char *conv_when(const qcc_match *m) {
  joint j;
  double fill;
  const char *why = pad_ready(m, &j, &fill);
  return why || fill == 0 ? why : "it does not pad with zero";
}

static const char *average_when(const qcc_match *m) {
  joint j;
  double fill;
  const char *why = pad_ready(m, &j, &fill);
  if (why) return why;
  if (fill != 0) return "it does not pad with zero";
  if (qcc_attr_int(m->root, "ceil_mode", 0)) return "windows over the edge would count other elements";
  if (j.had && !qcc_attr_int(m->root, "count_include_pad", 0)) return "the pool's own padding does not count, this one would";
  return NULL;
}

static bool never_negative(const qcc_value *v) {
  if (!v->def) return false;
  double lo;
  qcc_op op = v->def->op;
  if (op == QCC_OP_RELU || op == QCC_OP_SIGMOID || op == QCC_OP_ABS || op == QCC_OP_SOFTMAX || op == QCC_OP_HARD_SIGMOID) return true;
  return op == QCC_OP_CLIP && qcc_const_number(qcc_in(v->def, 1), &lo) && lo >= 0;
}

/* A pad as wide as the window would make windows of padding only. */
static const char *max_when(const qcc_match *m) {
  joint j;
  double fill;
  const char *why = pad_ready(m, &j, &fill);
  if (why) return why;
  if (m->value[X]->type.dtype != QCC_F32) return "the data is not f32";
  if (!(fill <= -(double)3.402823466e38F) && !(fill == 0 && never_negative(m->value[X]))) return "zeros could win over negative elements";
  if (qcc_attr_int(m->root, "ceil_mode", 0)) return "windows over the edge would see other elements";
  uint32_t count;
  const int64_t *kernel = qcc_attr_ints(m->root, "kernel_shape", &count);
  if (count != (uint32_t)j.spatial) return "the window does not fit the rank";
  for (int k = 0; k < 2 * j.spatial; k++)
    if (j.pads[k] >= kernel[k % j.spatial]) return "windows of padding only would come up";
  return NULL;
}

static qcc_value *build(const qcc_match *m) {
  joint j;
  if (join(m, &j)) return NULL;
  const qcc_node *old = m->node[WINDOW];
  qcc_value *in[3] = {m->value[X], qcc_in(old, 1), qcc_in(old, 2)};
  qcc_node *n = qcc_add_node(old->graph, m->root, old->op, NULL, in, old->in_count > 3 ? 3 : old->in_count, 1);
  if (!n) return NULL;
  qcc_attr_copy(n, old);
  qcc_attr_remove(n, "auto_pad");
  qcc_attr_set_ints(n, "pads", j.pads, 2 * (uint32_t)j.spatial);
  if (old->op == QCC_OP_AVERAGE_POOL) qcc_attr_set_int(n, "count_include_pad", 1);
  return qcc_out(n, 0);
}

#define PADDED P_OP1(PAD, OPS(QCC_OP_PAD), P_ANY(X), P_MAYBE_CONST(PADS), P_MAYBE_CONST(VALUE), P_MAYBE_CONST(AXES))

static const qcc_rule rules[] = {
    {.name = "pad-conv",
     .doc = "conv(pad(x, 0), w, b) -> conv(x, w, b)",
     .when = conv_when,
     .build = build,
     .pattern = P_OP(WINDOW, OPS(QCC_OP_CONV), PADDED, P_ANY(W), P_MAYBE(B))},
    {.name = "pad-average",
     .doc = "average_pool(pad(x, 0)) -> average_pool(x)",
     .when = average_when,
     .build = build,
     .pattern = P_OP(WINDOW, OPS(QCC_OP_AVERAGE_POOL), PADDED)},
    {.name = "pad-max",
     .doc = "max_pool(pad(x, -inf)) -> max_pool(x)",
     .when = max_when,
     .build = build,
     .pattern = P_OP(WINDOW, OPS(QCC_OP_MAX_POOL), PADDED)},
};

static qcc_status run(qcc_pass_cx *p) { return QCC_REWRITE(p, rules); }

const qcc_pass qcc_pass_fuse_pad_conv = {
    .name = "fuse-pad-conv",
    .doc = "fold constant padding into the Conv or pool that follows",
    .options = "",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_ROUNDS,
    .run = run,
};
