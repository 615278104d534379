/* SPDX-License-Identifier: Apache-2.0
 * eliminate: nodes that compute nothing go, chains of moves become one.
 *
 *   %d = Dropout(%x)                     %t = Transpose(%x) {perm=[0,2,3,1]}
 *   %r = Reshape(%d, %same)              %y = Transpose(%t) {perm=[0,3,1,2]}
 *   %y = Relu(%r)                        %z = Abs(%y)
 *   ->  %y = Relu(%x)                    ->  %z = Abs(%x)
 *
 * Claim: exact; only the sign of a zero may differ where 0 was added. Outputs of graphs keep their names and their nodes. */
#include <string.h>

#include "passes/facts.h"
#include "passes/rewrite.h"

enum { ROOT, X, C, D, E, F, INNER };

/* ---- no-ops, one by one */

static const char *dropout_when(const qcc_match *m) {
  if (qcc_attr_int(m->root, "is_test", 1) == 0) return "it is in training mode";
  return !m->value[D] || qcc_const_splat(m->value[D], 0) || (m->value[D]->data->bytes == 1 && !*(const uint8_t *)m->value[D]->data->data)
             ? NULL
             : "it is in training mode";
}

static const char *same_type_when(const qcc_match *m) {
  return qcc_same_type(m->value[X], m->root->out[0]) ? NULL : "the shape changes or is not known";
}

static const char *flat_when(const qcc_match *m) {
  if (m->root->op == QCC_OP_CAST && m->value[X]->type.dtype != QCC_NONE &&
      m->value[X]->type.dtype == (qcc_dtype)qcc_attr_int(m->root, "to", 0))
    return NULL;
  return m->root->op == QCC_OP_CAST ? "the element type changes or is not known" : same_type_when(m);
}

static const char *transpose_when(const qcc_match *m) {
  uint32_t count;
  const int64_t *perm = qcc_attr_ints(m->root, "perm", &count);
  if (!perm) return m->value[X]->type.rank >= 0 && m->value[X]->type.rank <= 1 ? NULL : "the order of the dims changes";
  for (uint32_t k = 0; k < count; k++)
    if (perm[k] != k) return "the order of the dims changes";
  return NULL;
}

static const char *pad_when(const qcc_match *m) {
  qcc_int_list pads;
  if (!qcc_node_ints(m->root, "pads", 1, &pads)) return "its pads are not constant";
  for (uint32_t k = 0; k < pads.count; k++)
    if (pads.at[k]) return "it pads";
  return NULL;
}

/* With positive steps an unchanged shape means that all was taken. */
static const char *slice_when(const qcc_match *m) {
  qcc_int_list steps;
  if (m->value[F] && !qcc_const_ints(m->value[F], &steps)) return "its steps are not constant";
  for (uint32_t k = 0; m->value[F] && k < steps.count; k++)
    if (steps.at[k] < 1) return "it runs backwards";
  return same_type_when(m);
}

static const char *resize_when(const qcc_match *m) {
  if (!strcmp(qcc_attr_str(m->root, "coordinate_transformation_mode", "half_pixel"), "tf_crop_and_resize")) return "it crops";
  if (m->value[D] && qcc_tensor_count(m->value[D]->data) && !qcc_const_splat(m->value[D], 1)) return "its scales are not 1";
  return same_type_when(m);
}

static const char *pool_when(const qcc_match *m) {
  uint32_t count;
  const int64_t *kernel = qcc_attr_ints(m->root, "kernel_shape", &count);
  for (uint32_t k = 0; k < count; k++)
    if (kernel[k] != 1) return "its window is larger than one element";
  qcc_int_list pads;
  if (qcc_node_ints(m->root, "pads", 1, &pads))
    for (uint32_t k = 0; k < pads.count; k++)
      if (pads.at[k]) return "it pads";
  return same_type_when(m);
}

/* ---- neutral constants */

static const char *neutral_when(const qcc_match *m) {
  bool sum = m->root->op == QCC_OP_ADD || m->root->op == QCC_OP_SUB;
  if (!qcc_const_splat(m->value[C], sum ? 0 : 1)) return "the constant is not neutral";
  return same_type_when(m);
}

/* ---- two moves in a row */

static bool perm_of(const qcc_node *n, int rank, int64_t *perm) {
  uint32_t count;
  const int64_t *given = qcc_attr_ints(n, "perm", &count);
  if (given && count != (uint32_t)rank) return false;
  for (int k = 0; k < rank; k++) {
    perm[k] = given ? given[k] : rank - 1 - k;
    if (perm[k] < 0 || perm[k] >= rank) return false;
  }
  return true;
}

static bool joint_perm(const qcc_match *m, int *rank, int64_t *perm) {
  int64_t first[QCC_MAX_RANK], second[QCC_MAX_RANK];
  uint32_t count;
  const int64_t *given = qcc_attr_ints(m->root, "perm", &count);
  *rank = given ? (int)count : m->value[X]->type.rank;
  if (*rank < 0 || *rank > QCC_MAX_RANK || !perm_of(m->node[INNER], *rank, first) || !perm_of(m->root, *rank, second)) return false;
  for (int k = 0; k < *rank; k++) perm[k] = first[second[k]];
  return true;
}

static const char *transposes_when(const qcc_match *m) {
  int rank;
  int64_t perm[QCC_MAX_RANK];
  return joint_perm(m, &rank, perm) ? NULL : "the rank is not known";
}

static qcc_value *transposes_build(const qcc_match *m) {
  int rank;
  int64_t perm[QCC_MAX_RANK];
  qcc_value *in[1] = {m->value[X]};
  if (!joint_perm(m, &rank, perm)) return NULL;
  qcc_node *n = qcc_add_node(m->root->graph, m->root, QCC_OP_TRANSPOSE, NULL, in, 1, 1);
  if (n) qcc_attr_set_ints(n, "perm", perm, (uint32_t)rank);
  return qcc_out(n, 0);
}

/* Squeeze after Unsqueeze of the same axes, or the other way round: nothing, even when dims are not known. */
static const char *squeezes_when(const qcc_match *m) {
  qcc_int_list a, b;
  if (m->root->op == m->node[INNER]->op) return "both do the same";
  if (!qcc_node_ints(m->node[INNER], "axes", 1, &a) || !qcc_node_ints(m->root, "axes", 1, &b)) return "the axes are not constant";
  if (a.count != b.count) return "the axes differ";
  for (uint32_t k = 0; k < a.count; k++)
    if (a.at[k] != b.at[k]) return "the axes differ";
  return NULL;
}

static const char *reshapes_when(const qcc_match *m) {
  int64_t dims[QCC_MAX_RANK];
  if (qcc_attr_int(m->root, "allowzero", 0) || qcc_attr_int(m->node[INNER], "allowzero", 0)) return "it allows empty tensors";
  if (m->root->out[0]->typed_by_file && !qcc_type_is_static(&m->value[X]->type)) return "its shape is only claimed by the file";
  return qcc_reshape_target(&m->root->out[0]->type, dims) ? NULL : "more than one dim of its shape is unknown";
}

static qcc_value *reshapes_build(const qcc_match *m) {
  int64_t dims[QCC_MAX_RANK], rank = m->root->out[0]->type.rank;
  if (!qcc_reshape_target(&m->root->out[0]->type, dims)) return NULL;
  qcc_value *in[2] = {m->value[X], qcc_add_const_s64(m->root->graph, qcc_internf(m->p->cx, "%s_shape", m->root->name), 1, &rank, dims)};
  return qcc_out(qcc_add_node(m->root->graph, m->root, QCC_OP_RESHAPE, NULL, in, 2, 1), 0);
}

/* Of two operands both are the same; Add has an 8-bit kernel. */
static qcc_value *sum_build(const qcc_match *m) {
  qcc_value *in[2] = {m->value[X], m->value[C]};
  return qcc_out(qcc_add_node(m->root->graph, m->root, QCC_OP_ADD, NULL, in, 2, 1), 0);
}

#define RESHAPES QCC_OP_RESHAPE, QCC_OP_FLATTEN, QCC_OP_SQUEEZE, QCC_OP_UNSQUEEZE
#define SQUEEZES QCC_OP_SQUEEZE, QCC_OP_UNSQUEEZE

static const qcc_rule rules[] = {
    {.name = "identity", .doc = "identity(x) -> x", .to = X, .pattern = P_OP(ROOT, OPS(QCC_OP_IDENTITY), P_ANY(X))},
    {.name = "dropout",
     .doc = "dropout(x) -> x, when it does not train",
     .to = X,
     .when = dropout_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_DROPOUT), P_ANY(X), P_MAYBE(C), P_MAYBE_CONST(D))},
    {.name = "same-shape",
     .doc = "reshape, flatten, squeeze, unsqueeze, expand, cast that change nothing",
     .to = X,
     .when = flat_when,
     .pattern = P_OP(ROOT, OPS(RESHAPES, QCC_OP_EXPAND, QCC_OP_CAST), P_ANY(X), P_MAYBE(C))},
    {.name = "same-order",
     .doc = "transpose(x) in order -> x",
     .to = X,
     .when = transpose_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_TRANSPOSE), P_ANY(X))},
    {.name = "pad-nothing",
     .doc = "pad(x, 0) -> x",
     .to = X,
     .when = pad_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_PAD), P_ANY(X), P_MAYBE_CONST(C), P_MAYBE(D), P_MAYBE(E))},
    {.name = "slice-all",
     .doc = "slice(x) that takes everything -> x",
     .to = X,
     .when = slice_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_SLICE), P_ANY(X), P_MAYBE(C), P_MAYBE(D), P_MAYBE(E), P_MAYBE(F))},
    {.name = "resize-none",
     .doc = "resize(x) by 1 -> x",
     .to = X,
     .when = resize_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_RESIZE), P_ANY(X), P_MAYBE(C), P_MAYBE_CONST(D), P_MAYBE(E))},
    {.name = "upsample-none",
     .doc = "upsample(x) by 1 -> x",
     .to = X,
     .when = resize_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_UPSAMPLE), P_ANY(X), P_CONST(D))},
    {.name = "one-operand",
     .doc = "concat, sum, max, min, mean of one tensor -> it",
     .to = X,
     .pattern = P_OP(ROOT, OPS(QCC_OP_CONCAT, QCC_OP_SUM, QCC_OP_MAX, QCC_OP_MIN, QCC_OP_MEAN), P_ANY(X))},
    {.name = "sum-add", .doc = "sum(x, y) -> x + y", .build = sum_build, .pattern = P_OP(ROOT, OPS(QCC_OP_SUM), P_ANY(X), P_ANY(C))},
    {.name = "pool-one",
     .doc = "pool(x) over one element -> x",
     .to = X,
     .when = pool_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_MAX_POOL, QCC_OP_AVERAGE_POOL), P_ANY(X))},
    {.name = "neutral",
     .doc = "x + 0, x - 0, x * 1, x / 1, x ^ 1 -> x",
     .to = X,
     .when = neutral_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_ADD, QCC_OP_SUB, QCC_OP_MUL, QCC_OP_DIV, QCC_OP_POW), P_ANY(X), P_CONST(C))},
    {.name = "transposes",
     .doc = "transpose(transpose(x)) -> transpose(x)",
     .when = transposes_when,
     .build = transposes_build,
     .pattern = P_OP(ROOT, OPS(QCC_OP_TRANSPOSE), P_OP1(INNER, OPS(QCC_OP_TRANSPOSE), P_ANY(X)))},
    {.name = "squeezes",
     .doc = "squeeze(unsqueeze(x)) -> x",
     .to = X,
     .when = squeezes_when,
     .pattern = P_OP(ROOT, OPS(SQUEEZES), P_OP(INNER, OPS(SQUEEZES), P_ANY(X), P_MAYBE_CONST(D)), P_MAYBE_CONST(C))},
    {.name = "reshapes",
     .doc = "reshape(reshape(x)) -> reshape(x), also flatten, squeeze, unsqueeze",
     .when = reshapes_when,
     .build = reshapes_build,
     .pattern = P_OP(ROOT, OPS(RESHAPES), P_OP1(INNER, OPS(RESHAPES), P_ANY(X), P_MAYBE(D)), P_MAYBE_CONST(C))},
};

static qcc_status run(qcc_pass_cx *p) { return QCC_REWRITE(p, rules); }

const qcc_pass qcc_pass_eliminate = {
    .name = "eliminate",
    .doc = "remove nodes that compute nothing, join chains of Reshape and Transpose",
    .options = "",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
