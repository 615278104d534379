/* SPDX-License-Identifier: Apache-2.0
 * Weighted operators as per-channel algebra. Only f32 weights: in 16 bits the folded weights would round too coarsely.
 * Nothing here changes a node; qcc_linear_build makes a new one. */
#include "passes/linear.h"

#include <math.h>
#include <string.h>

#include "passes/rewrite.h"

enum { CHANNEL_AXIS = 1 };

/* ---- reading */

static bool no_pads(const qcc_node *n) {
  const char *automatic = qcc_attr_str(n, "auto_pad", "NOTSET");
  if (!strcmp(automatic, "VALID")) return true;
  if (strcmp(automatic, "NOTSET") != 0 && *automatic) return false;
  uint32_t count;
  const int64_t *pads = qcc_attr_ints(n, "pads", &count);
  for (uint32_t k = 0; k < count; k++)
    if (pads[k]) return false;
  return true;
}

static const char *conv_of(qcc_linear *l, const qcc_node *n) {
  const qcc_type *w = &l->w->type;
  bool transposed = n->op == QCC_OP_CONV_TRANSPOSE;
  if (w->rank < 3) return "the weight has no spatial dimension";
  l->group = qcc_attr_int(n, "group", 1);
  l->d0 = w->dim[0];
  l->d1 = w->dim[1];
  if (l->group < 1 || l->d0 < 1 || l->d1 < 1 || l->d0 % l->group) return "the weight does not fit its groups";
  l->area = l->w->type.rank ? qcc_tensor_count(l->w) / l->d0 / l->d1 : 1;
  l->in_first = transposed;
  l->in_n = transposed ? l->d0 : l->d1 * l->group;
  l->out_n = transposed ? l->d1 * l->group : l->d0;
  l->rank = w->rank;
  l->axis = CHANNEL_AXIS;
  l->padded = transposed || !no_pads(n);
  return l->area ? NULL : "the weight is empty";
}

static const char *gemm_of(qcc_linear *l, const qcc_node *n) {
  const qcc_type *w = &l->w->type;
  bool gemm = n->op == QCC_OP_GEMM;
  const qcc_value *x = qcc_in(n, 0);
  if (w->rank != 2) return "the weight is not a matrix";
  if (gemm && qcc_attr_int(n, "transA", 0)) return "the data is transposed";
  if (w->dim[0] < 1 || w->dim[1] < 1) return "the weight is empty";
  l->d0 = w->dim[0];
  l->d1 = w->dim[1];
  l->area = l->group = 1;
  l->in_first = !gemm || !qcc_attr_int(n, "transB", 0);
  l->in_n = l->in_first ? l->d0 : l->d1;
  l->out_n = l->in_first ? l->d1 : l->d0;
  l->rank = gemm ? 2 : x->type.rank;
  l->axis = -1;
  l->alpha = gemm ? qcc_attr_float(n, "alpha", 1) : 1;
  l->beta = gemm ? qcc_attr_float(n, "beta", 1) : 1;
  return isfinite(l->alpha) && isfinite(l->beta) ? NULL : "alpha or beta is not finite";
}

static bool bias_fits(const qcc_linear *l) {
  const qcc_type *t = &l->b->type;
  int64_t count = qcc_tensor_count(l->b);
  for (int k = 0; k + 1 < t->rank; k++)
    if (t->dim[k] != 1) return false;
  return count == l->out_n || (count == 1 && l->n->op == QCC_OP_GEMM);
}

const char *qcc_linear_of(qcc_linear *l, const qcc_node *n) {
  *l = (qcc_linear){.n = n, .alpha = 1, .beta = 1};
  qcc_value *x = qcc_in(n, 0), *w = qcc_in(n, 1), *b = qcc_in(n, 2);
  if (!x || !qcc_is_const(w) || (b && !qcc_is_const(b))) return "a weight is not constant";
  l->w = w->data;
  l->b = b ? b->data : NULL;
  if (l->w->type.dtype != QCC_F32 || (b && l->b->type.dtype != QCC_F32)) return "the weights are not f32";
  const char *why = n->op == QCC_OP_CONV || n->op == QCC_OP_CONV_TRANSPOSE ? conv_of(l, n) : gemm_of(l, n);
  if (why) return why;
  return !b || bias_fits(l) ? NULL : "the bias is not one number per channel";
}

/* Does the shape of `c`, aligned at the right, vary along the channel axis only? */
static bool along_channels(const qcc_linear *l, const qcc_type *c, int64_t channels) {
  if (l->rank >= 0 ? c->rank > l->rank : c->rank > 1) return false;
  for (int k = 0; k < c->rank; k++) {
    bool here = l->axis < 0 ? k + 1 == c->rank : l->rank - c->rank + k == l->axis;
    if (c->dim[k] != 1 && (!here || c->dim[k] != channels)) return false;
  }
  return true;
}

const char *qcc_linear_operand(const qcc_linear *l, const qcc_tensor *c, bool of_input) {
  int64_t channels = of_input ? l->in_n : l->out_n;
  if (c->type.dtype != QCC_F32) return "the constant is not f32";
  if (!along_channels(l, &c->type, channels)) return "the constant is not one number per channel";
  int64_t count = qcc_tensor_count(c);
  for (int64_t k = 0; k < count; k++)
    if (!isfinite(qcc_tensor_get(c, k))) return "the constant is not finite";
  return NULL;
}

double *qcc_linear_spread(qcc_context *cx, const qcc_tensor *c, int64_t channels) {
  double *to = qcc_alloc_array(cx, (size_t)channels, sizeof *to);
  if (!to) return NULL;
  bool one = qcc_tensor_count(c) == 1;
  for (int64_t k = 0; k < channels; k++) to[k] = qcc_tensor_get(c, one ? 0 : k);
  return to;
}

const char *qcc_linear_bias_ok(const qcc_linear *l) {
  return l->n->op != QCC_OP_MATMUL || l->rank == 2 ? NULL : "a MatMul can take a bias only when its data is known to be a matrix";
}

/* ---- building */

/* Channels of weight row [i][j]. */
static void channels_at(const qcc_linear *l, int64_t i, int64_t j, int64_t *in, int64_t *out) {
  int64_t per_group = l->d0 / l->group, base = i / per_group * l->d1;
  *in = l->in_first ? i : base + j;
  *out = l->in_first ? base + j : i;
}

static double at(const double *x, int64_t k, double none) { return x ? x[k] : none; }

/* Adds what the shift of the inputs makes of each output, before its own scale. */
static void add_shifted(const qcc_linear *l, const float *w, const double *in_shift, double *sums) {
  for (int64_t i = 0; i < l->d0; i++)
    for (int64_t j = 0; j < l->d1; j++) {
      int64_t in, out;
      channels_at(l, i, j, &in, &out);
      double sum = 0;
      for (int64_t k = 0; k < l->area; k++) sum += (double)w[(i * l->d1 + j) * l->area + k];
      sums[out] += sum * in_shift[in];
    }
}

static void scale_rows(const qcc_linear *l, float *w, const qcc_affine *a) {
  for (int64_t i = 0; i < l->d0; i++)
    for (int64_t j = 0; j < l->d1; j++) {
      int64_t in, out;
      channels_at(l, i, j, &in, &out);
      double scale = (double)l->alpha * at(a->in_scale, in, 1) * at(a->out_scale, out, 1);
      float *row = w + (i * l->d1 + j) * l->area;
      for (int64_t k = 0; k < l->area; k++) row[k] = (float)((double)row[k] * scale);
    }
}

/* New bias in double: out_n entries. */
static void new_bias(const qcc_linear *l, const float *w, const qcc_affine *a, double *to) {
  bool one = l->b && qcc_tensor_count(l->b) == 1;
  memset(to, 0, (size_t)l->out_n * sizeof *to);
  if (a->in_shift) add_shifted(l, w, a->in_shift, to);
  for (int64_t k = 0; k < l->out_n; k++) {
    double b = l->b ? qcc_tensor_get(l->b, one ? 0 : k) : 0;
    double sum = (double)l->alpha * to[k] + (double)l->beta * b;
    to[k] = sum * at(a->out_scale, k, 1) + at(a->out_shift, k, 0);
  }
}

/* A new constant; it takes the name of `old` when that goes with the node that alone reads it. */
static qcc_value *succeed(qcc_graph *g, qcc_value *old, const char *name, qcc_tensor *t) {
  qcc_value *v = qcc_add_const(g, name, t);
  qcc_take_name(v, old);
  return v;
}

static qcc_value *bias_const(qcc_graph *g, const qcc_linear *l, const double *b, const char *name) {
  qcc_tensor t;
  qcc_type type = qcc_type_of(QCC_F32, 1, &l->out_n);
  if (qcc_tensor_new(&t, g->cx, &type) != QCC_OK) return NULL;
  float *to = qcc_tensor_mut(&t);
  for (int64_t k = 0; k < l->out_n; k++) to[k] = (float)b[k];
  return succeed(g, qcc_in(l->n, 2), name, &t);
}

static bool all_zero(const double *b, int64_t n) {
  for (int64_t k = 0; k < n; k++)
    if (b[k] != 0) return false;
  return true;
}

static qcc_node *new_node(const qcc_linear *l, qcc_node *before, qcc_value *x, qcc_value *w, qcc_value *b) {
  qcc_value *in[3] = {x, w, b};
  qcc_op op = l->n->op == QCC_OP_MATMUL && b ? QCC_OP_GEMM : l->n->op;
  qcc_node *n = qcc_add_node(before->graph, before, op, NULL, in, b ? 3 : 2, 1);
  if (!n) return NULL;
  qcc_attr_copy(n, l->n);
  if (op != QCC_OP_GEMM) return n;
  qcc_attr_remove(n, "alpha");
  qcc_attr_remove(n, "beta");
  return n;
}

/* The bias it needs, in `*out` (may stay NULL). */
static bool make_bias(const qcc_linear *l, qcc_graph *g, const float *w, const qcc_affine *a, qcc_value **out) {
  double *b = qcc_alloc_array(g->cx, (size_t)l->out_n, sizeof *b);
  if (!b) return false;
  new_bias(l, w, a, b);
  bool needed = l->b || !all_zero(b, l->out_n);
  const char *name = l->b ? qcc_in(l->n, 2)->name : qcc_in(l->n, 1)->name;
  *out = needed ? bias_const(g, l, b, qcc_internf(g->cx, l->b ? "%s" : "%s_bias", name)) : NULL;
  qcc_free(g->cx, b);
  return !needed || *out;
}

qcc_value *qcc_linear_build(const qcc_linear *l, qcc_node *before, qcc_value *x, const qcc_affine *a) {
  qcc_graph *g = before->graph;
  qcc_tensor t;
  qcc_value *bias;
  if (qcc_tensor_new(&t, g->cx, &l->w->type) != QCC_OK) return NULL;
  float *w = qcc_tensor_mut(&t);
  if (w) qcc_tensor_read_f32(l->w, w);
  if (!w || !make_bias(l, g, w, a, &bias)) {
    qcc_tensor_release(&t);
    return NULL;
  }
  scale_rows(l, w, a);
  qcc_value *weight = succeed(g, qcc_in(l->n, 1), qcc_in(l->n, 1)->name, &t);
  return qcc_out(new_node(l, before, x, weight, bias), 0);
}
