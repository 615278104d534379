/* SPDX-License-Identifier: Apache-2.0
 * fuse-activation: every clamp as Relu or Clip, one for a chain of them, so that quantization sees one range.
 *
 *   %a = Max(%x, %zero)
 *   %y = Min(%a, %six)        ->      %y = Clip(%x, const 0, const 6)
 *
 * Also Clip(x, 0) -> Relu, Relu(Clip) and Clip(Clip) -> Clip, PRelu with one slope -> LeakyRelu. x * Sigmoid(x) and the long form of
 * HardSwish stay: joining them would round otherwise and gains nothing. f32 only. Claim: exact. */
#include <math.h>

#include "passes/facts.h"
#include "passes/rewrite.h"

enum { ROOT, INNER, X, LO, HI, LO2, HI2 };

static const double biggest = 3.402823466385288598e38; /* FLT_MAX: as good as no bound */

typedef struct range {
  double lo, hi;
} range;

static bool is_f32(const qcc_match *m) { return m->value[X]->type.dtype == QCC_F32 || m->root->out[0]->type.dtype == QCC_F32; }

static bool bound(const qcc_node *n, const char *name, uint32_t index, double *to) {
  const qcc_attr *a = qcc_attr_find(n, name);
  if (a)
    *to = (double)qcc_attr_float(n, name, 0);
  else if (qcc_in(n, index) && !qcc_const_number(qcc_in(n, index), to))
    return false;
  return !isnan(*to);
}

/* The interval of a Relu, Clip, Min or Max node; false: not constant, or empty. */
static bool range_of(const qcc_node *n, range *r) {
  *r = (range){-INFINITY, INFINITY};
  if (n->op == QCC_OP_RELU)
    r->lo = 0;
  else if (n->op == QCC_OP_MAX)
    return bound(n, "", 1, &r->lo);
  else if (n->op == QCC_OP_MIN)
    return bound(n, "", 1, &r->hi);
  else if (!bound(n, "min", 1, &r->lo) || !bound(n, "max", 2, &r->hi))
    return false;
  if (r->lo <= -biggest) r->lo = -INFINITY;
  if (r->hi >= biggest) r->hi = INFINITY;
  return r->lo <= r->hi;
}

static double clamp(double x, const range *r) { return x < r->lo ? r->lo : x > r->hi ? r->hi : x; }

/* A constant that is there already and has the value, or a new one; NULL: no bound. */
static qcc_value *bound_const(const qcc_match *m, double x, const char *what) {
  float f = (float)x;
  double found;
  if (isinf(x)) return NULL;
  for (int k = LO; k <= HI2; k++) {
    qcc_value *v = m->value[k];
    if (v && qcc_const_number(v, &found) && found == x && v->type.rank == 0 && v->type.dtype == QCC_F32) return v;
  }
  return qcc_add_const_f32(m->root->graph, qcc_internf(m->p->cx, "%s_%s", m->root->name, what), 0, NULL, &f);
}

/* Relu or Clip of x; before opset 11 Clip has its bounds as attributes. */
static qcc_value *make(const qcc_match *m, const range *r) {
  qcc_graph *g = m->root->graph;
  qcc_value *in[3] = {m->value[X], NULL, NULL};
  if (r->lo == 0 && isinf(r->hi)) return qcc_out(qcc_add_node(g, m->root, QCC_OP_RELU, NULL, in, 1, 1), 0);
  if (qcc_graph_opset(m->p->g, "") >= 11) {
    in[1] = bound_const(m, r->lo, "min");
    in[2] = bound_const(m, r->hi, "max");
    return qcc_out(qcc_add_node(g, m->root, QCC_OP_CLIP, NULL, in, in[2] ? 3 : 2, 1), 0);
  }
  qcc_node *n = qcc_add_node(g, m->root, QCC_OP_CLIP, NULL, in, 1, 1);
  if (n && !isinf(r->lo)) qcc_attr_set_float(n, "min", (float)r->lo);
  if (n && !isinf(r->hi)) qcc_attr_set_float(n, "max", (float)r->hi);
  return qcc_out(n, 0);
}

/* ---- rules */

static const char *nothing_when(const qcc_match *m) {
  range r;
  return range_of(m->root, &r) && isinf(r.lo) && isinf(r.hi) ? NULL : "it has a bound";
}

static const char *relu_when(const qcc_match *m) {
  range r;
  if (!is_f32(m)) return "the data is not f32";
  return range_of(m->root, &r) && r.lo == 0 && isinf(r.hi) ? NULL : "the bounds are not 0 and none";
}

/* A constant of more dims than x would widen the result. */
static const char *extreme_when(const qcc_match *m) {
  range r;
  if (!is_f32(m)) return "the data is not f32";
  if (m->value[LO]->type.rank > (m->value[X]->type.rank < 0 ? 0 : m->value[X]->type.rank))
    return "the constant has more dims than the data";
  if (!range_of(m->root, &r)) return "the other operand is not one number";
  return isinf(r.lo) && isinf(r.hi) ? "it has no bound" : NULL;
}

static qcc_value *single_build(const qcc_match *m) {
  range r;
  return range_of(m->root, &r) ? make(m, &r) : NULL;
}

static bool joint(const qcc_match *m, range *r) {
  range first, second;
  if (!range_of(m->node[INNER], &first) || !range_of(m->root, &second)) return false;
  *r = (range){clamp(first.lo, &second), clamp(first.hi, &second)};
  return true;
}

static const char *chain_when(const qcc_match *m) {
  range r;
  if (!is_f32(m)) return "the data is not f32";
  return joint(m, &r) ? NULL : "the bounds are not constant or cross";
}

static qcc_value *chain_build(const qcc_match *m) {
  range r;
  return joint(m, &r) ? make(m, &r) : NULL;
}

static const char *slope_when(const qcc_match *m) {
  if (!is_f32(m)) return "the data is not f32";
  const qcc_value *s = m->value[LO];
  if (qcc_tensor_count(s->data) < 1 || !qcc_const_splat(s, qcc_tensor_get(s->data, 0))) return "the slopes differ";
  return NULL;
}

static qcc_value *slope_build(const qcc_match *m) {
  qcc_value *in[1] = {m->value[X]};
  qcc_node *n = qcc_add_node(m->root->graph, m->root, QCC_OP_LEAKY_RELU, NULL, in, 1, 1);
  if (n) qcc_attr_set_float(n, "alpha", (float)qcc_tensor_get(m->value[LO]->data, 0));
  return qcc_out(n, 0);
}

#define CLAMP_OPS QCC_OP_RELU, QCC_OP_CLIP

static const qcc_rule rules[] = {
    {.name = "clip-nothing",
     .doc = "clip(x) without bounds -> x",
     .to = X,
     .when = nothing_when,
     .pattern = P_OP(ROOT, OPS(QCC_OP_CLIP), P_ANY(X), P_MAYBE_CONST(LO), P_MAYBE_CONST(HI))},
    {.name = "clip-relu",
     .doc = "clip(x, 0) -> relu(x)",
     .when = relu_when,
     .build = single_build,
     .pattern = P_OP(ROOT, OPS(QCC_OP_CLIP), P_ANY(X), P_MAYBE_CONST(LO), P_MAYBE_CONST(HI))},
    {.name = "extreme-clip",
     .doc = "max(x, a) -> clip(x, a), min(x, b) -> clip(x, , b)",
     .when = extreme_when,
     .build = single_build,
     .pattern = P_OP(ROOT, OPS(QCC_OP_MAX, QCC_OP_MIN), P_ANY(X), P_CONST(LO))},
    {.name = "clamp-chain",
     .doc = "clip(clip(x, a, b), c, d) -> clip(x, clip(a, c, d), clip(b, c, d))",
     .when = chain_when,
     .build = chain_build,
     .pattern = P_OP(ROOT, OPS(CLAMP_OPS), P_OP1(INNER, OPS(CLAMP_OPS), P_ANY(X), P_MAYBE_CONST(LO2), P_MAYBE_CONST(HI2)),
                     P_MAYBE_CONST(LO), P_MAYBE_CONST(HI))},
    {.name = "prelu-leaky",
     .doc = "prelu(x, one slope) -> leaky_relu(x)",
     .when = slope_when,
     .build = slope_build,
     .pattern = P_OP(ROOT, OPS(QCC_OP_PRELU), P_ANY(X), P_CONST(LO))},
};

static qcc_status run(qcc_pass_cx *p) { return QCC_REWRITE(p, rules); }

const qcc_pass qcc_pass_fuse_activation = {
    .name = "fuse-activation",
    .doc = "every clamp as one Relu or Clip, PRelu with one slope as LeakyRelu",
    .options = "",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
