/* SPDX-License-Identifier: Apache-2.0
 * tidy-qdq: give Q/DQ nodes of any origin the form that integer kernels match; what costs nothing.
 *
 *   %q = QuantizeLinear(%x, %s)                        %q = QuantizeLinear(%x, %s, 0)            a zero point
 *   %d = DequantizeLinear(%q, [%s], [0])               %d = DequantizeLinear(%q, %s, 0)          one number is a scalar
 *   %w = DequantizeLinear(%c, %sw[])              =>   %w = DequantizeLinear(%c, %sw[]) {axis=0} the axis that has as many slices as scales
 *   %f = Flatten(%d)                                   %f = DequantizeLinear(QuantizeLinear(Flatten(%d)))  pairs behind what moves codes
 *   %b = DequantizeLinear(%bq, %sb)                    %b = DequantizeLinear(%bq', sx * sw)      biases at the scale that kernels assume
 *
 * Equal parameters become one constant. Claim: exact but for biases, which are rounded to their new scale. */
#include <math.h>
#include <string.h>

#include "passes/facts.h"
#include "passes/rewrite.h"

/* Of the same operator set. */
static qcc_op other_half(const qcc_node *n) {
  if (n->domain[0]) return qcc_is_quantize(n) ? QCC_OP_MS_DEQUANTIZE_LINEAR : QCC_OP_MS_QUANTIZE_LINEAR;
  return qcc_is_quantize(n) ? QCC_OP_DEQUANTIZE_LINEAR : QCC_OP_QUANTIZE_LINEAR;
}

/* ---- zero points */
static qcc_status add_zero(qcc_pass_cx *p, qcc_node *n) {
  const qcc_value *scale = qcc_in(n, 1);
  const qcc_dtype t = qcc_codes_type(n);
  if (qcc_in(n, 2) || !qcc_is_const(scale) || !qcc_dtype_is_int(t) || t == QCC_S32 || !qcc_rewrite_ok(p, n, "add-zero")) return QCC_OK;
  qcc_type type = scale->data->type;
  qcc_tensor zero = {.data = NULL};
  type.dtype = t;
  QCC_TRY(qcc_tensor_new(&zero, p->cx, &type));
  for (int64_t k = 0; k < qcc_tensor_count(&zero); k++) qcc_tensor_set(&zero, k, 0);
  qcc_set_input(n, 2, qcc_add_const(n->graph, qcc_internf(p->cx, "%s_zero", scale->name), &zero));
  return qcc_graph_status(n->graph);
}

/* ---- ranks */
static qcc_status make_scalar(qcc_pass_cx *p, qcc_node *n, uint32_t k) {
  const qcc_value *v = qcc_in(n, k);
  if (!qcc_is_const(v) || v->type.rank != 1 || v->type.dim[0] != 1 || !qcc_rewrite_ok(p, n, "make-scalar")) return QCC_OK;
  const qcc_type type = qcc_type_of(v->type.dtype, 0, NULL);
  qcc_tensor one = {.data = NULL};
  QCC_TRY(qcc_tensor_copy(&one, p->cx, &type, v->data->data));
  qcc_set_input(n, k, qcc_add_const(n->graph, v->name, &one));
  return qcc_graph_status(n->graph);
}

/* ---- axes */
static qcc_status name_axis(qcc_pass_cx *p, qcc_node *n) {
  const qcc_value *x = qcc_in(n, 0), *scale = qcc_in(n, 1);
  if (!x || !scale || x->type.rank < 1 || scale->type.rank != 1 || scale->type.dim[0] <= 1) return QCC_OK;
  const qcc_attr *given = qcc_attr_find(n, "axis");
  const int rank = x->type.rank;
  int64_t axis = qcc_attr_int(n, "axis", 1);
  if (axis < 0) axis += rank;
  int fitting = 0, found = 0;
  for (int k = 0; k < rank; k++) {
    if (x->type.dim[k] != scale->type.dim[0]) continue;
    fitting++;
    found = k;
  }
  const bool fits = axis >= 0 && axis < rank && (x->type.dim[axis] == scale->type.dim[0] || x->type.dim[axis] < 0);
  if (!fits && fitting != 1) return QCC_OK;
  if (!fits) axis = found;
  if (given && given->i == axis) return QCC_OK;
  if (qcc_rewrite_ok(p, n, "name-axis")) qcc_attr_set_int(n, "axis", axis);
  return qcc_graph_status(n->graph);
}

/* ---- parameters */
static bool same_constant(const qcc_value *a, const qcc_value *b) {
  return qcc_type_equal(&a->data->type, &b->data->type) && a->data->bytes == b->data->bytes &&
         !memcmp(a->data->data, b->data->data, a->data->bytes);
}

typedef struct shared {
  qcc_graph *g;
  QCC_VEC(qcc_value *) seen; /* scalars that stand for their equals */
} shared;

static qcc_status share(qcc_pass_cx *p, shared *s, qcc_node *n, uint32_t k) {
  qcc_value *v = qcc_in(n, k);
  if (!qcc_is_const(v) || v->graph != n->graph || v->is_input || v->type.rank != 0) return QCC_OK;
  for (size_t i = 0; i < s->seen.n; i++) {
    if (s->seen.at[i] == v) return QCC_OK;
    if (!same_constant(s->seen.at[i], v)) continue;
    if (qcc_rewrite_ok(p, n, "share-parameters")) qcc_set_input(n, k, s->seen.at[i]);
    return QCC_OK;
  }
  return qcc_vec_push(p->cx, &s->seen, v) ? QCC_OK : QCC_NOMEM;
}

/* ---- biases */
static const double SAME = 1e-5; /* scales that differ by less come from another order of rounding */

static bool same_scale(const qcc_value *scale, const float *wanted, int64_t count) {
  if (qcc_tensor_count(scale->data) != count) return false;
  for (int64_t k = 0; k < count; k++)
    if (fabs(qcc_tensor_get(scale->data, k) - (double)wanted[k]) > SAME * (double)wanted[k]) return false;
  return true;
}

static qcc_status new_bias(qcc_node *dq, const float *scale, int64_t count) {
  qcc_graph *g = dq->graph;
  const qcc_value *codes = dq->in[0].value, *old = dq->in[1].value;
  const bool one = qcc_tensor_count(old->data) == 1;
  qcc_tensor fresh = {.data = NULL};
  QCC_TRY(qcc_tensor_new(&fresh, g->cx, &codes->data->type));
  for (int64_t k = 0; k < qcc_tensor_count(&fresh); k++) {
    const double x = qcc_tensor_get(codes->data, k) * qcc_tensor_get(old->data, one ? 0 : k);
    qcc_tensor_set(&fresh, k, x / (double)scale[count == 1 ? 0 : k]);
  }
  qcc_set_input(dq, 0, qcc_add_const(g, codes->name, &fresh));
  qcc_set_input(dq, 1, qcc_add_const_f32(g, old->name, count == 1 ? 0 : 1, &count, scale));
  if (dq->in_count > 2) qcc_set_input(dq, 2, NULL);
  if (count > 1) qcc_attr_set_int(dq, "axis", 0);
  return qcc_graph_status(g);
}

static bool is_bias(const qcc_node *dq, int64_t count) {
  if (!qcc_is_dequantize(dq) || dq->domain[0] || !qcc_only_user(dq->out[0])) return false;
  const qcc_value *codes = qcc_in(dq, 0), *scale = qcc_in(dq, 1), *zero = qcc_in(dq, 2);
  if (!qcc_is_const(codes) || codes->data->type.dtype != QCC_S32 || codes->data->type.rank != 1 || !qcc_is_const(scale)) return false;
  const int64_t codes_count = qcc_tensor_count(codes->data), scales = qcc_tensor_count(scale->data);
  if (scales != 1 && scales != codes_count) return false;
  return (count == 1 || codes_count == count) && (!zero || qcc_const_splat(zero, 0));
}

/* The scale that an integer kernel gives to its bias: of the data times those of the weights. */
static qcc_status scale_bias(qcc_pass_cx *p, qcc_node *n) {
  const qcc_role role = qcc_op_get(n->op)->role;
  const qcc_value *x = qcc_in(n, 0), *w = qcc_in(n, 1), *b = qcc_in(n, 2);
  if (role != QCC_ROLE_WEIGHTED || !x || !w || !b || !qcc_is_dequantize(x->def) || !qcc_is_dequantize(w->def) || !b->def) return QCC_OK;
  const qcc_value *sx = qcc_in(x->def, 1), *sw = qcc_in(w->def, 1);
  if (!qcc_is_const(sx) || !qcc_is_const(sw) || qcc_tensor_count(sx->data) != 1 || sw->type.rank > 1) return QCC_OK;
  const int64_t count = qcc_tensor_count(sw->data);
  if (!is_bias(b->def, count)) return QCC_OK;
  float *scale = qcc_alloc_array(p->cx, (size_t)count, sizeof *scale);
  if (!scale) return QCC_NOMEM;
  for (int64_t k = 0; k < count; k++) scale[k] = (float)qcc_tensor_get(sx->data, 0) * (float)qcc_tensor_get(sw->data, k);
  qcc_status st = QCC_OK;
  bool fits = !same_scale(qcc_in(b->def, 1), scale, count);
  for (int64_t k = 0; k < count; k++) fits &= scale[k] > 0 && isfinite(scale[k]);
  if (fits && qcc_rewrite_ok(p, n, "scale-bias")) st = new_bias(b->def, scale, count);
  qcc_free(p->cx, scale);
  return st;
}

/* ---- pairs behind operators that move codes */
static bool per_tensor(const qcc_node *dq) {
  const qcc_value *scale = qcc_in(dq, 1), *zero = qcc_in(dq, 2);
  return qcc_is_const(scale) && scale->type.rank == 0 && qcc_is_const(zero) && zero->type.rank == 0 &&
         qcc_dtype_bits(zero->type.dtype) == 8;
}

static qcc_status pair_behind(qcc_pass_cx *p, qcc_node *n) {
  const qcc_value *x = qcc_moves_elements(n) ? qcc_in(n, 0) : NULL;
  if (!x || !qcc_is_dequantize(x->def) || x->def->graph != n->graph || !per_tensor(x->def) || n->out[0]->output_uses) return QCC_OK;
  QCC_FOR_USES(u, n->out[0]) {
    if (qcc_is_quantize(u->node) || u->graph != n->graph) return QCC_OK;
  }
  if (!n->out[0]->use_count || !qcc_rewrite_ok(p, n, "pair-behind")) return QCC_OK;
  qcc_node *like = x->def, *before = n->next;
  qcc_value *y = n->out[0], *params[2] = {qcc_in(like, 1), qcc_in(like, 2)};
  qcc_node *q = qcc_add_node(n->graph, before, other_half(like), qcc_internf(p->cx, "%s_QuantizeLinear", y->name),
                             (qcc_value *[]){NULL, params[0], params[1]}, 3, 1);
  qcc_node *dq = qcc_add_node(n->graph, before, like->op, qcc_internf(p->cx, "%s_DequantizeLinear", y->name),
                              (qcc_value *[]){qcc_out(q, 0), params[0], params[1]}, 3, 1);
  QCC_TRY(qcc_graph_status(n->graph));
  qcc_replace_uses(y, dq->out[0]);
  qcc_set_input(q, 0, y);
  qcc_type t = y->type;
  qcc_set_type(dq->out[0], &t);
  t.dtype = params[1]->type.dtype;
  qcc_set_type(q->out[0], &t);
  return qcc_graph_status(n->graph);
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  qcc_pass_cx *p = user;
  shared s = {.g = g};
  qcc_status st = QCC_OK;
  QCC_FOR_NODES(n, g) {
    if (!qcc_is_quantize(n) && !qcc_is_dequantize(n)) continue;
    for (uint32_t k = 1; k < 3 && st == QCC_OK; k++) st = make_scalar(p, n, k);
    if (st == QCC_OK) st = name_axis(p, n);
    if (st == QCC_OK) st = add_zero(p, n);
    for (uint32_t k = 1; k < 3 && st == QCC_OK; k++) st = share(p, &s, n, k);
    if (st != QCC_OK) break;
  }
  qcc_vec_free(p->cx, &s.seen);
  QCC_TRY(st);
  QCC_FOR_NODES(m, g) QCC_TRY(scale_bias(p, m));
  QCC_FOR_NODES_SAFE(k, next, g) QCC_TRY(pair_behind(p, k));
  return qcc_graph_status(g);
}

static qcc_status run(qcc_pass_cx *p) {
  QCC_TRY(qcc_graph_walk(p->g, each_graph, p));
  return qcc_sweep_consts(p->g);
}

const qcc_pass qcc_pass_tidy_qdq = {
    .name = "tidy-qdq",
    .doc = "zero points, scalars, axes, shared parameters, bias scales and pairs in the form that integer kernels match",
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
