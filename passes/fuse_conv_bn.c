/* SPDX-License-Identifier: Apache-2.0
 * fuse-conv-bn: BatchNormalization into the weights beside it.
 *
 *   %c = Conv(%x, %w, %b)                                      %y = Conv(%x, %w', %b')
 *   %y = BatchNormalization(%c, %s, %t, %mean, %var)    ->       w' = k w, b' = k (b - mean) + t, k = s / sqrt(var + eps)
 *
 * and the same for ConvTranspose, Gemm and MatMul (which becomes Gemm), and for one that stands before a Conv without padding, a Gemm or
 * a MatMul. One that stays takes constant factors and summands behind it. Claim: rounds. Sums are taken in double, so only the folded
 * weights round. */
#include <math.h>

#include "passes/linear.h"
#include "passes/rewrite.h"

enum { LINEAR, BN, X, W, B, SCALE, SHIFT, MEAN, VAR, C };

#define BN_OF(inner) P_OP(BN, OPS(QCC_OP_BATCH_NORMALIZATION), inner, P_CONST(SCALE), P_CONST(SHIFT), P_CONST(MEAN), P_CONST(VAR))
#define BN1_OF(inner) P_OP1(BN, OPS(QCC_OP_BATCH_NORMALIZATION), inner, P_CONST(SCALE), P_CONST(SHIFT), P_CONST(MEAN), P_CONST(VAR))

/* y = k x + shift of a BatchNormalization. */
typedef struct affine {
  double *k, *shift;
} affine;

static const char *bn_ready(const qcc_match *m, int64_t channels) {
  const qcc_node *n = m->node[BN];
  if (qcc_attr_int(n, "training_mode", 0)) return "the BatchNormalization is in training mode";
  if (!qcc_attr_int(n, "spatial", 1)) return "the BatchNormalization is not per channel";
  for (int s = SCALE; s <= VAR; s++) {
    const qcc_tensor *t = m->value[s]->data;
    if (t->type.dtype != QCC_F32) return "a BatchNormalization parameter is not f32";
    if (t->type.rank != 1 || t->type.dim[0] != channels) return "a BatchNormalization parameter is not one number per channel";
  }
  double eps = (double)qcc_attr_float(n, "epsilon", 1e-5f);
  for (int64_t k = 0; k < channels; k++) {
    double deviation = sqrt(qcc_tensor_get(m->value[VAR]->data, k) + eps), scale = qcc_tensor_get(m->value[SCALE]->data, k) / deviation;
    double shift = qcc_tensor_get(m->value[SHIFT]->data, k) - scale * qcc_tensor_get(m->value[MEAN]->data, k);
    if (!isfinite(scale) || !isfinite(shift)) return "a channel's variance or parameters do not give a finite scale";
  }
  return NULL;
}

static bool bn_read(const qcc_match *m, int64_t channels, affine *out) {
  qcc_context *cx = m->p->cx;
  double eps = (double)qcc_attr_float(m->node[BN], "epsilon", 1e-5f);
  out->k = qcc_alloc_array(cx, (size_t)channels, sizeof *out->k);
  out->shift = out->k ? qcc_alloc_array(cx, (size_t)channels, sizeof *out->shift) : NULL;
  if (!out->shift) return false;
  for (int64_t c = 0; c < channels; c++) {
    out->k[c] = qcc_tensor_get(m->value[SCALE]->data, c) / sqrt(qcc_tensor_get(m->value[VAR]->data, c) + eps);
    out->shift[c] = qcc_tensor_get(m->value[SHIFT]->data, c) - out->k[c] * qcc_tensor_get(m->value[MEAN]->data, c);
  }
  return true;
}

static void bn_free(const qcc_match *m, affine *a) {
  qcc_free(m->p->cx, a->shift);
  qcc_free(m->p->cx, a->k);
}

/* BatchNormalization counts channels on axis 1; a matrix product has them last. */
static const char *axis_agrees(const qcc_linear *l) { return l->axis == 1 || l->rank == 2 ? NULL : "the data is not known to be a matrix"; }

static const char *after_when(const qcc_match *m) {
  qcc_linear l;
  const char *why = qcc_linear_of(&l, m->node[LINEAR]);
  if (!why) why = axis_agrees(&l);
  return why ? why : bn_ready(m, l.out_n);
}

static qcc_value *after_build(const qcc_match *m) {
  qcc_linear l;
  affine bn = {0};
  qcc_value *y = NULL;
  if (!qcc_linear_of(&l, m->node[LINEAR]) && bn_read(m, l.out_n, &bn))
    y = qcc_linear_build(&l, m->root, m->value[X], &(qcc_affine){.out_scale = bn.k, .out_shift = bn.shift});
  bn_free(m, &bn);
  return y;
}

static bool shifts(const qcc_match *m, int64_t channels) {
  double eps = (double)qcc_attr_float(m->node[BN], "epsilon", 1e-5f);
  for (int64_t c = 0; c < channels; c++) {
    double k = qcc_tensor_get(m->value[SCALE]->data, c) / sqrt(qcc_tensor_get(m->value[VAR]->data, c) + eps);
    if (qcc_tensor_get(m->value[SHIFT]->data, c) != k * qcc_tensor_get(m->value[MEAN]->data, c)) return true;
  }
  return false;
}

static const char *before_when(const qcc_match *m) {
  qcc_linear l;
  const char *why = qcc_linear_of(&l, m->node[LINEAR]);
  if (!why) why = axis_agrees(&l);
  if (!why) why = bn_ready(m, l.in_n);
  if (why || !shifts(m, l.in_n)) return why;
  return l.padded ? "zeros that the Conv pads with would have to become the BatchNormalization's shift" : qcc_linear_bias_ok(&l);
}

static qcc_value *before_build(const qcc_match *m) {
  qcc_linear l;
  affine bn = {0};
  qcc_value *y = NULL;
  if (!qcc_linear_of(&l, m->node[LINEAR]) && bn_read(m, l.in_n, &bn))
    y = qcc_linear_build(&l, m->root, m->value[X], &(qcc_affine){.in_scale = bn.k, .in_shift = shifts(m, l.in_n) ? bn.shift : NULL});
  bn_free(m, &bn);
  return y;
}

/* ---- one that stays takes the factors and summands behind it */

/* The node as a map per channel, for the questions of linear.h. */
static qcc_linear bn_channels(const qcc_match *m) {
  int64_t channels = qcc_tensor_count(m->value[SCALE]->data);
  return (qcc_linear){.n = m->node[BN], .in_n = channels, .out_n = channels, .rank = m->value[X]->type.rank, .axis = 1};
}

static const char *scale_when(const qcc_match *m) {
  qcc_linear l = bn_channels(m);
  const char *why = bn_ready(m, l.out_n);
  if (!why) why = qcc_linear_operand(&l, m->value[C]->data, false);
  if (why || m->root->op != QCC_OP_DIV) return why;
  for (int64_t k = 0; k < qcc_tensor_count(m->value[C]->data); k++)
    if (qcc_tensor_get(m->value[C]->data, k) == 0) return "it divides by zero";
  return NULL;
}

static double applied(qcc_op op, double x, double c, bool shift) {
  if (op == QCC_OP_MUL) return x * c;
  if (op == QCC_OP_DIV) return x / c;
  return !shift ? x : op == QCC_OP_ADD ? x + c : x - c;
}

/* Scale or shift after the operation. */
static qcc_value *new_parameter(const qcc_match *m, const double *c, bool shift) {
  qcc_value *old = m->value[shift ? SHIFT : SCALE];
  int64_t channels = qcc_tensor_count(old->data);
  float *to = qcc_alloc_array(m->p->cx, (size_t)channels, sizeof *to);
  if (!to) return NULL;
  for (int64_t k = 0; k < channels; k++) to[k] = (float)applied(m->root->op, qcc_tensor_get(old->data, k), c[k], shift);
  qcc_value *v = qcc_add_const_f32(m->root->graph, old->name, 1, &channels, to);
  qcc_free(m->p->cx, to);
  qcc_take_name(v, old);
  return v;
}

static qcc_value *scale_build(const qcc_match *m) {
  double *c = qcc_linear_spread(m->p->cx, m->value[C]->data, qcc_tensor_count(m->value[SCALE]->data));
  if (!c) return NULL;
  qcc_value *scale = new_parameter(m, c, false), *shift = new_parameter(m, c, true);
  qcc_free(m->p->cx, c);
  if (!scale || !shift) return NULL;
  qcc_value *in[5] = {m->value[X], scale, shift, m->value[MEAN], m->value[VAR]};
  qcc_node *n = qcc_add_node(m->root->graph, m->root, QCC_OP_BATCH_NORMALIZATION, NULL, in, 5, 1);
  if (n) qcc_attr_copy(n, m->node[BN]);
  return qcc_out(n, 0);
}

static const qcc_rule rules[] = {
    {.name = "bn-after",
     .doc = "BN(conv(x, w, b)) -> conv(x, w', b')",
     .when = after_when,
     .build = after_build,
     .pattern = BN_OF(P_OP1(LINEAR, OPS(QCC_LINEAR_OPS), P_ANY(X), P_CONST(W), P_MAYBE_CONST(B)))},
    {.name = "bn-before",
     .doc = "conv(BN(x), w, b) -> conv(x, w', b')",
     .when = before_when,
     .build = before_build,
     .pattern = P_OP(LINEAR, OPS(QCC_LINEAR_OPS), BN1_OF(P_ANY(X)), P_CONST(W), P_MAYBE_CONST(B))},
    {.name = "bn-scale",
     .doc = "BN(x) * c -> BN'(x), also / + -",
     .when = scale_when,
     .build = scale_build,
     .pattern = P_OP(LINEAR, OPS(QCC_OP_MUL, QCC_OP_DIV, QCC_OP_ADD, QCC_OP_SUB), BN1_OF(P_ANY(X)), P_CONST(C))},
};

static qcc_status run(qcc_pass_cx *p) { return QCC_REWRITE(p, rules); }

const qcc_pass qcc_pass_fuse_conv_bn = {
    .name = "fuse-conv-bn",
    .doc = "fold BatchNormalization into the Conv, ConvTranspose, Gemm or MatMul beside it",
    .options = "",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_ROUNDS,
    .run = run,
};
