/* SPDX-License-Identifier: Apache-2.0
 * fuse-conv-scale: Mul, Div, Add and Sub by constants, one per channel or one for all, into the weights beside them.
 *
 *   %c = Conv(%x, %w, %b)                                   %s = Mul(%x, %k)
 *   %y = Mul(%c, %k)          ->  %y = Conv(%x, kw, kb)     %y = Conv(%s, %w)     ->  %y = Conv(%x, %wk)
 *
 * Before a Conv with padding only factors fold: the zeros it pads with would have to be shifted as well. The same for ConvTranspose,
 * Gemm, MatMul; a Gemm's own alpha and beta go into its weights too. Claim: rounds. */
#include <math.h>

#include "passes/linear.h"
#include "passes/rewrite.h"

enum { LINEAR, ARITH, X, W, B, C };

#define ARITH_OPS QCC_OP_MUL, QCC_OP_DIV, QCC_OP_ADD, QCC_OP_SUB

/* The operation with its constant as z -> scale z + shift per channel. `left`: the constant is the left operand of Sub. */
typedef struct affine {
  double *scale, *shift;
} affine;

static const char *has_zero(const qcc_tensor *c) {
  for (int64_t k = 0; k < qcc_tensor_count(c); k++)
    if (qcc_tensor_get(c, k) == 0) return "it divides by zero";
  return NULL;
}

static const char *operand_ready(const qcc_match *m, const qcc_linear *l, bool of_input) {
  const qcc_tensor *c = m->value[C]->data;
  const char *why = qcc_linear_operand(l, c, of_input);
  return why || m->node[ARITH]->op != QCC_OP_DIV ? why : has_zero(c);
}

static bool shifts(const qcc_match *m) { return m->node[ARITH]->op == QCC_OP_ADD || m->node[ARITH]->op == QCC_OP_SUB; }

static bool read_affine(const qcc_match *m, int64_t channels, affine *out) {
  double *c = qcc_linear_spread(m->p->cx, m->value[C]->data, channels);
  if (!c) return false;
  if (!shifts(m)) {
    out->scale = c;
    for (int64_t k = 0; m->node[ARITH]->op == QCC_OP_DIV && k < channels; k++) c[k] = 1 / c[k];
    return true;
  }
  out->shift = c;
  if (m->node[ARITH]->op == QCC_OP_ADD) return true;
  bool left = qcc_in(m->node[ARITH], 0) == m->value[C];
  if (!left) {
    for (int64_t k = 0; k < channels; k++) c[k] = -c[k];
    return true;
  }
  out->scale = qcc_alloc_array(m->p->cx, (size_t)channels, sizeof *c);
  for (int64_t k = 0; out->scale && k < channels; k++) out->scale[k] = -1;
  return out->scale != NULL;
}

static void free_affine(const qcc_match *m, affine *a) {
  qcc_free(m->p->cx, a->scale);
  qcc_free(m->p->cx, a->shift);
}

static const char *after_when(const qcc_match *m) {
  qcc_linear l;
  const char *why = qcc_linear_of(&l, m->node[LINEAR]);
  if (!why) why = operand_ready(m, &l, false);
  return why || !shifts(m) ? why : qcc_linear_bias_ok(&l);
}

static qcc_value *after_build(const qcc_match *m) {
  qcc_linear l;
  affine a = {0};
  qcc_value *y = NULL;
  if (!qcc_linear_of(&l, m->node[LINEAR]) && read_affine(m, l.out_n, &a))
    y = qcc_linear_build(&l, m->root, m->value[X], &(qcc_affine){.out_scale = a.scale, .out_shift = a.shift});
  free_affine(m, &a);
  return y;
}

static const char *before_when(const qcc_match *m) {
  qcc_linear l;
  const char *why = qcc_linear_of(&l, m->node[LINEAR]);
  if (!why) why = operand_ready(m, &l, true);
  if (why || !shifts(m)) return why;
  return l.padded ? "zeros that the Conv pads with would have to be shifted as well" : qcc_linear_bias_ok(&l);
}

static qcc_value *before_build(const qcc_match *m) {
  qcc_linear l;
  affine a = {0};
  qcc_value *y = NULL;
  if (!qcc_linear_of(&l, m->node[LINEAR]) && read_affine(m, l.in_n, &a))
    y = qcc_linear_build(&l, m->root, m->value[X], &(qcc_affine){.in_scale = a.scale, .in_shift = a.shift});
  free_affine(m, &a);
  return y;
}

static const char *gemm_when(const qcc_match *m) {
  qcc_linear l;
  const char *why = qcc_linear_of(&l, m->node[LINEAR]);
  if (why) return why;
  return l.alpha != 1 || (l.b && l.beta != 1) ? NULL : "alpha and beta are 1 already";
}

static qcc_value *gemm_build(const qcc_match *m) {
  qcc_linear l;
  return qcc_linear_of(&l, m->node[LINEAR]) ? NULL : qcc_linear_build(&l, m->root, m->value[X], &(qcc_affine){0});
}

#define LINEAR1 P_OP1(LINEAR, OPS(QCC_LINEAR_OPS), P_ANY(X), P_CONST(W), P_MAYBE_CONST(B))

static const qcc_rule rules[] = {
    {.name = "scale-after",
     .doc = "conv(x, w, b) * k -> conv(x, kw, kb), also / + -",
     .when = after_when,
     .build = after_build,
     .pattern = P_OP(ARITH, OPS(ARITH_OPS), LINEAR1, P_CONST(C))},
    {.name = "negate-after",
     .doc = "k - conv(x, w, b) -> conv(x, -w, k - b)",
     .when = after_when,
     .build = after_build,
     .pattern = P_OP(ARITH, OPS(QCC_OP_SUB), P_CONST(C), LINEAR1)},
    {.name = "scale-before",
     .doc = "conv(x * k, w, b) -> conv(x, wk, b), also / + -",
     .when = before_when,
     .build = before_build,
     .pattern = P_OP(LINEAR, OPS(QCC_LINEAR_OPS), P_OP1(ARITH, OPS(ARITH_OPS), P_ANY(X), P_CONST(C)), P_CONST(W), P_MAYBE_CONST(B))},
    {.name = "negate-before",
     .doc = "conv(k - x, w, b) -> conv(x, -w, b + wk)",
     .when = before_when,
     .build = before_build,
     .pattern = P_OP(LINEAR, OPS(QCC_LINEAR_OPS), P_OP1(ARITH, OPS(QCC_OP_SUB), P_CONST(C), P_ANY(X)), P_CONST(W), P_MAYBE_CONST(B))},
    {.name = "gemm-alpha",
     .doc = "a gemm(x, w) + b c -> gemm(x, aw) + (bc)",
     .when = gemm_when,
     .build = gemm_build,
     .pattern = P_OP(LINEAR, OPS(QCC_OP_GEMM), P_ANY(X), P_CONST(W), P_MAYBE_CONST(B))},
};

static qcc_status run(qcc_pass_cx *p) { return QCC_REWRITE(p, rules); }

const qcc_pass qcc_pass_fuse_conv_scale = {
    .name = "fuse-conv-scale",
    .doc = "fold constant factors and summands beside Conv, ConvTranspose, Gemm and MatMul into them",
    .options = "",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_ROUNDS,
    .run = run,
};
