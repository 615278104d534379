/* SPDX-License-Identifier: Apache-2.0
 * Times from the table of a target. Time per unit changes smoothly with the sizes of an operator: it is read from the nearest measured points,
 * weighted by the inverse fourth power of their distance in logarithms. Beyond the measured sizes it is that of the border. */
#include "strategy/cost.h"

#include <math.h>

#include "ir/check.h"

enum { NEAREST = 4 };

typedef struct neighbour {
  double distance, value;
} neighbour;

/* Nearest first; the first of equals stays. */
static int insert(neighbour *list, int count, neighbour x) {
  if (count == NEAREST && x.distance >= list[NEAREST - 1].distance) return count;
  int at = count < NEAREST ? count : NEAREST - 1;
  for (; at > 0 && list[at - 1].distance > x.distance; at--) list[at] = list[at - 1];
  list[at] = x;
  return count < NEAREST ? count + 1 : NEAREST;
}

/* The place within the box of what was measured. */
static void clamp_place(double to[3], const qcc_costs *costs, qcc_cost_kind kind, const double at[3]) {
  double lo[3] = {INFINITY, INFINITY, INFINITY}, hi[3] = {1, 1, 1};
  for (uint32_t i = 0; i < costs->count; i++) {
    const qcc_cost_point *p = &costs->points[i];
    for (int k = 0; k < 3 && p->kind == kind; k++) lo[k] = fmin(lo[k], p->at[k]), hi[k] = fmax(hi[k], p->at[k]);
  }
  for (int k = 0; k < 3; k++) to[k] = fmin(fmax(at[k], lo[k]), hi[k]);
}

double qcc_cost_at(const qcc_costs *costs, qcc_cost_kind kind, const double place[3], bool q8) {
  double at[3];
  clamp_place(at, costs, kind, place);
  neighbour near[NEAREST];
  double sum = 0, weights = 0;
  int n = 0;
  for (uint32_t i = 0; i < costs->count; i++) {
    const qcc_cost_point *p = &costs->points[i];
    const double value = q8 ? p->q8 : p->f32;
    double distance = 1e-6; /* squared */
    if (p->kind != kind || !(value > 0)) continue;
    for (int k = 0; k < 3; k++) distance += pow(log2(at[k] / p->at[k]), 2);
    n = insert(near, n, (neighbour){distance, value});
  }
  for (int i = 0; i < n; i++) {
    const double weight = 1 / (near[i].distance * near[i].distance);
    sum += log(near[i].value) * weight;
    weights += weight;
  }
  return n ? exp(sum / weights) : 0;
}

/* ---- what a node is to the table */

static double size_of(int64_t n) { return n > 0 ? (double)n : 1; }

/* Elements, channels and pixels of a tensor [N, C, ...]; matrices and vectors have one pixel a row. */
static double elements(const qcc_value *v, double *channels, double *pixels) {
  const qcc_type *t = &v->type;
  double total = 1;
  for (int i = 0; i < t->rank; i++) total *= size_of(t->dim[i]);
  *channels = t->rank == 4 || t->rank == 5 ? size_of(t->dim[1]) : t->rank > 0 ? size_of(t->dim[t->rank - 1]) : 1;
  *pixels = total / *channels;
  return total;
}

static qcc_cost_place place_of_tensor(qcc_cost_kind kind, const qcc_value *v) {
  qcc_cost_place p = {.kind = kind, .at = {1, 1, 1}};
  p.units = elements(v, &p.at[0], &p.at[1]);
  return p;
}

static qcc_cost_place place_of_conv(const qcc_node *n) {
  const qcc_type *w = &n->in[1].value->type;
  qcc_cost_place p = {.kind = QCC_COST_CONV, .at = {1, 1, 1}, .units = qcc_node_macs(n)};
  double channels, pixels, taps = 1;
  const double group = size_of(qcc_attr_int(n, "group", 1));
  elements(n->out[0], &channels, &pixels);
  for (int i = 2; i < w->rank; i++) taps *= size_of(w->dim[i]);
  if (w->rank > 1 && group > 1 && size_of(w->dim[1]) == 1) {
    uint32_t count = 0;
    const int64_t *stride = qcc_attr_ints(n, "strides", &count);
    p.kind = QCC_COST_DEPTHWISE;
    p.at[0] = channels, p.at[1] = pixels, p.at[2] = count ? size_of(stride[0]) : 1;
    return p;
  }
  if (taps < 2) p.kind = QCC_COST_POINTWISE;
  p.at[0] = w->rank > 1 ? taps * size_of(w->dim[1]) : taps;
  p.at[1] = channels / group, p.at[2] = pixels;
  return p;
}

static qcc_cost_place place_of_product(const qcc_node *n) {
  const qcc_type *w = &n->in[1].value->type;
  const bool turned = n->op == QCC_OP_GEMM && qcc_attr_int(n, "transB", 0);
  qcc_cost_place p = {.kind = QCC_COST_GEMM, .at = {1, 1, 1}, .units = qcc_node_macs(n)};
  if (w->rank < 2) return (qcc_cost_place){.kind = QCC_COST_COUNT};
  p.at[0] = size_of(w->dim[w->rank - (turned ? 1 : 2)]), p.at[1] = size_of(w->dim[w->rank - (turned ? 2 : 1)]);
  p.at[2] = p.units / (p.at[0] * p.at[1]);
  return p;
}

/* Operators that are told by the size of one tensor. */
static const struct {
  qcc_op op;
  qcc_cost_kind kind;
  bool input;
} by_tensor[] = {
#define COST_BY(op, kind, input) {QCC_OP_##op, QCC_COST_##kind, input},
#include "ir/costs.def"
};

qcc_cost_place qcc_cost_place_of(const qcc_node *n) {
  if (n->op == QCC_OP_CONV) return place_of_conv(n);
  if (n->op == QCC_OP_GEMM || n->op == QCC_OP_MATMUL || n->op == QCC_OP_MS_ATTENTION) return place_of_product(n);
  for (size_t i = 0; i < sizeof by_tensor / sizeof *by_tensor; i++)
    if (by_tensor[i].op == n->op) return place_of_tensor(by_tensor[i].kind, by_tensor[i].input ? n->in[0].value : n->out[0]);
  return (qcc_cost_place){.kind = QCC_COST_COUNT};
}

qcc_cost_place qcc_cost_place_as(qcc_cost_kind kind, const qcc_node *n) {
  qcc_cost_place p = kind == QCC_COST_LAYOUT ? place_of_tensor(kind, n->out[0]) : qcc_cost_place_of(n);
  p.kind = kind;
  return p;
}

static bool is_image(const qcc_value *v) { return v->type.rank == 4 || v->type.rank == 5; }

/* Does a convolution make the input for the sum alone? Float kernels add the other one on the way. */
static bool takes_in(const qcc_node *n, uint32_t k) {
  const qcc_value *v = n->in[k].value;
  return n->op == QCC_OP_ADD && v->def && v->def->op == QCC_OP_CONV && v->use_count == 1;
}

static bool is_skip(const qcc_node *n) {
  for (uint32_t k = 0; n->op == QCC_OP_ADD && k < n->in_count; k++)
    if (takes_in(n, k)) return true;
  return false;
}

/* x * Sigmoid(x): the product stands for both. */
static bool is_silu(const qcc_node *n) {
  for (uint32_t k = 0; n->op == QCC_OP_MUL && k < n->in_count; k++) {
    const qcc_node *s = n->in[k].value->def;
    if (s && s->op == QCC_OP_SIGMOID && s->in[0].value == n->in[1 - k].value && s->out[0]->use_count == 1) return true;
  }
  return false;
}

static bool is_gate(const qcc_node *n) {
  const qcc_node *user = n->op == QCC_OP_SIGMOID ? qcc_only_user(n->out[0]) : NULL;
  return user && is_silu(user);
}

static bool has_kind(const qcc_target *t, qcc_cost_kind kind) {
  for (uint32_t i = 0; i < t->costs.count; i++)
    if (t->costs.points[i].kind == kind) return true;
  return false;
}

static qcc_cost cost_at(const qcc_target *t, qcc_cost_place p) {
  if (p.kind == QCC_COST_COUNT) return (qcc_cost){0, 0};
  const double f32 = qcc_cost_at(&t->costs, p.kind, p.at, false), q8 = qcc_cost_at(&t->costs, p.kind, p.at, true);
  return (qcc_cost){p.units * f32, p.units * (q8 > 0 ? q8 : f32)};
}

qcc_cost qcc_cost_of(const qcc_target *t, const qcc_node *n) {
  if (is_skip(n) && has_kind(t, QCC_COST_SKIP)) return cost_at(t, qcc_cost_place_as(QCC_COST_SKIP, n));
  if (!has_kind(t, QCC_COST_SILU)) return cost_at(t, qcc_cost_place_of(n));
  if (is_gate(n)) return (qcc_cost){0, 0};
  return cost_at(t, is_silu(n) ? qcc_cost_place_as(QCC_COST_SILU, n) : qcc_cost_place_of(n));
}

double qcc_cost_apart(const qcc_target *t, const qcc_node *n, uint32_t k) {
  if (!takes_in(n, k) || !has_kind(t, QCC_COST_SKIP)) return 0;
  return fmax(0, cost_at(t, qcc_cost_place_as(QCC_COST_ADD, n)).f32 - qcc_cost_of(t, n).f32);
}

qcc_cost qcc_cost_of_dynamic(const qcc_target *t, const qcc_node *n) {
  if (n->op == QCC_OP_CONV) { /* of that kernel nothing was measured: who asks for it has a reason */
    const double f32 = qcc_cost_of(t, n).f32;
    return (qcc_cost){f32, f32};
  }
  if (has_kind(t, QCC_COST_DYNAMIC)) return cost_at(t, qcc_cost_place_as(QCC_COST_DYNAMIC, n));
  qcc_cost c = cost_at(t, qcc_cost_place_of(n));
  c.q8 += 2 * qcc_cost_of_border(t, n->in[0].value, true);
  return c;
}

/* Does anybody read the tensor where float kernels keep images in blocks? What the caller gives or takes is in no such order. */
static bool has_float_kernel(const qcc_value *v, bool quantize) { return quantize ? v->def != NULL : !qcc_is_graph_output(v); }

double qcc_cost_of_border(const qcc_target *t, const qcc_value *v, bool quantize) {
  const qcc_cost change = cost_at(t, place_of_tensor(quantize ? QCC_COST_QUANTIZE : QCC_COST_DEQUANTIZE, v));
  const qcc_cost layout = is_image(v) ? cost_at(t, place_of_tensor(QCC_COST_LAYOUT, v)) : (qcc_cost){0, 0};
  return change.q8 + layout.q8 + (has_float_kernel(v, quantize) ? layout.f32 : 0);
}

/* ---- a whole placement */

/* Is the tensor read in 8 bit, in float? */
static void readers(const qcc_placement *p, const qcc_value *v, bool *q8, bool *f32) {
  *q8 = *f32 = false;
  QCC_FOR_USES(u, v) {
    if (!u->node && p->coded_interface) continue; /* the caller takes what there is */
    const bool is_static = u->node && p->mode[u->node->id] == QCC_MODE_STATIC;
    *q8 |= is_static, *f32 |= !is_static;
  }
}

/* Float sums behind kernels on codes. */
static double apart_of(const qcc_placement *p, const qcc_node *n) {
  double most = 0;
  for (uint32_t k = 0; n->op == QCC_OP_ADD && k < n->in_count; k++) {
    const qcc_node *maker = n->in[k].value->def;
    if (maker && p->mode[maker->id] == QCC_MODE_STATIC) most = fmax(most, qcc_cost_apart(p->target, n, k));
  }
  return most;
}

static double border_of(const qcc_placement *p, const qcc_value *v) {
  if (!v || v->data || !p->quantized[v->id]) return 0;
  bool q8, f32, made = v->def && p->mode[v->def->id] == QCC_MODE_STATIC;
  readers(p, v, &q8, &f32);
  return (made && f32 ? qcc_cost_of_border(p->target, v, false) : 0) + (!made && q8 ? qcc_cost_of_border(p->target, v, true) : 0);
}

qcc_cost qcc_cost_of_placement(const qcc_placement *p) {
  qcc_cost sum = {0, 0};
  for (uint32_t i = 0; i < p->g->input_count && !p->coded_interface; i++) sum.q8 += border_of(p, p->g->inputs[i]);
  QCC_FOR_NODES(n, p->g) {
    const qcc_mode mode = p->mode[n->id];
    const qcc_cost c = mode == QCC_MODE_DYNAMIC ? qcc_cost_of_dynamic(p->target, n) : qcc_cost_of(p->target, n);
    sum.f32 += c.f32;
    sum.q8 += mode == QCC_MODE_STATIC || mode == QCC_MODE_DYNAMIC ? c.q8 : c.f32 + apart_of(p, n);
    for (uint32_t k = 0; k < n->out_count; k++) sum.q8 += border_of(p, n->out[k]);
  }
  return sum;
}
