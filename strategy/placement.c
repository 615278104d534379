/* SPDX-License-Identifier: Apache-2.0
 * Placement in four walks over the graph:
 *   1. weighted operators with constant weights: static, dynamic or weights only;
 *   2. forward: operators without weights join where all their inputs are in 8 bit already, one of them from an 8-bit operator;
 *   3. backward: those that feed no 8-bit operator leave again, so that tails (box decoding, final pools) stay float;
 *   4. parameters: which tensors carry them, which share them.
 * Where the target's costs are known, what float computes faster then stays float (divide.c), and the walks are made again.
 * A float operator in the middle is an island: its inputs are dequantized, its output is quantized again where an 8-bit operator reads it. */
#include "strategy/placement.h"

#include <math.h>
#include <string.h>

#include "ir/check.h"
#include "ir/grid.h"
#include "strategy/cost.h"
#include "strategy/select.h"

static bool is_f32(const qcc_value *v) { return v && v->type.dtype == QCC_F32; }

static bool is_activation(const qcc_value *v) { return v && !v->data; }

static const qcc_target_op *can(const qcc_placement *p, const qcc_node *n) { return &p->target->ops[n->op]; }

static bool is_static(const qcc_placement *p, const qcc_node *n) { return n && p->mode[n->id] == QCC_MODE_STATIC; }

/* ---- walk 1: weights */

static const char *gemm_obstacle(const qcc_node *n) {
  if (qcc_attr_int(n, "transA", 0)) return "transA is set";
  if (qcc_attr_float(n, "alpha", 1.0f) != 1.0f || qcc_attr_float(n, "beta", 1.0f) != 1.0f) return "alpha or beta is not 1";
  return NULL;
}

/* Why a weighted node cannot be quantized at all; NULL: it can. */
static const char *weight_obstacle(const qcc_node *n) {
  const qcc_value *x = qcc_in(n, 0), *w = qcc_in(n, 1), *b = qcc_in(n, 2);
  if (!is_activation(x)) return "its input is a constant";
  if (!qcc_is_const(w)) return "its weight is computed";
  if (!is_f32(w) || (x->type.dtype != QCC_F32 && x->type.dtype != QCC_NONE)) return "it does not compute in f32";
  if (b && !b->data) return "its bias is computed";
  if ((qcc_is_product(n) || n->op == QCC_OP_MS_ATTENTION) && w->type.rank != 2) return "its weight is not a matrix";
  if (n->op == QCC_OP_MS_ATTENTION) return qcc_attention_obstacle(n);
  return n->op == QCC_OP_GEMM ? gemm_obstacle(n) : NULL;
}

static qcc_mode weighted_mode(const qcc_placement *p, const qcc_node *n, const qcc_place_options *o) {
  const qcc_target_op *t = can(p, n);
  if (qcc_op_get(n->op)->role == QCC_ROLE_RECURRENT)
    return o->dynamic && t->dynamic ? QCC_MODE_DYNAMIC : t->weight_only ? QCC_MODE_WEIGHT : QCC_MODE_FLOAT;
  if (o->blocks && qcc_is_product(n)) return QCC_MODE_WEIGHT;
  bool at_run_time = o->dynamic || !o->have_ranges || !t->is_static || (n->op == QCC_OP_MATMUL && n->in[0].value->type.rank != 2);
  if (t->is_static && !(t->dynamic && at_run_time) && o->have_ranges && !o->dynamic) return QCC_MODE_STATIC;
  if (t->dynamic && at_run_time) return QCC_MODE_DYNAMIC;
  return t->weight_only ? QCC_MODE_WEIGHT : QCC_MODE_FLOAT;
}

static const char by_selector[] = "excluded by a selector";

static void place_weighted(qcc_placement *p, const qcc_node *n, const qcc_marks *marks, const qcc_place_options *o) {
  qcc_role role = qcc_op_get(n->op)->role;
  if (role != QCC_ROLE_WEIGHTED && role != QCC_ROLE_RECURRENT) {
    /* --only chooses among weights, the others follow them; --exclude is a word to all */
    p->reason[n->id] = marks->excluded[n->id] && can(p, n)->is_static ? by_selector : NULL;
    return;
  }
  const char *why = role == QCC_ROLE_WEIGHTED ? weight_obstacle(n) : qcc_is_const(qcc_in(n, 1)) ? NULL : "its weight is computed";
  if (!why && !marks->selected[n->id]) why = by_selector;
  p->reason[n->id] = why;
  p->mode[n->id] = why ? QCC_MODE_FLOAT : weighted_mode(p, n, o);
  if (!why && p->mode[n->id] == QCC_MODE_FLOAT) p->reason[n->id] = "the target has no 8-bit kernel for it";
}

/* ---- walk 2: forward */

static bool has_entry_from(const qcc_placement *p, const qcc_value *v) { return is_activation(v) && is_static(p, v->def); }

/* A weighted operator reads it in 8 bit, so its codes are there whoever makes it. */
static bool has_codes(const qcc_placement *p, const qcc_value *v) {
  QCC_FOR_USES(u, v) {
    if (u->index == 0 && is_static(p, u->node) && qcc_op_get(u->node->op)->role == QCC_ROLE_WEIGHTED) return true;
  }
  return false;
}

static bool constant_clip(const qcc_node *n) {
  for (uint32_t k = 1; k < n->in_count; k++) {
    if (n->in[k].value && !n->in[k].value->data) return false;
  }
  return true;
}

/* A Relu or Clip becomes part of the integer kernel whose only user it is, where the target has such kernels. */
static bool can_fuse(const qcc_placement *p, const qcc_node *n) {
  const qcc_value *x = qcc_in(n, 0);
  if (!has_entry_from(p, x) || x->use_count != 1 || p->fused[x->def->id] || !constant_clip(n)) return false;
  return qcc_target_fuses(p->target, x->def->op, n->op);
}

static bool resize_moves_codes(const qcc_node *n) {
  return n->op != QCC_OP_RESIZE || strcmp(qcc_attr_str(n, "mode", "nearest"), "nearest") == 0 ||
         strcmp(qcc_attr_str(n, "mode", ""), "linear") == 0;
}

static bool is_scalar_const(const qcc_value *v) { return v->data && qcc_tensor_count(v->data) == 1; }

static bool joins(const qcc_placement *p, const qcc_node *n) {
  const qcc_target_op *t = can(p, n);
  qcc_role role = qcc_op_get(n->op)->role;
  if (!t->is_static || role == QCC_ROLE_WEIGHTED || !qcc_target_op_fits(t, qcc_graph_opset(p->g, n->domain))) return false;
  if (role == QCC_ROLE_CLAMP) return can_fuse(p, n);
  if (!resize_moves_codes(n) || (n->out_count > 1 && role == QCC_ROLE_PASS && n->op != QCC_OP_SPLIT && n->out[1])) return false;
  const bool one = role == QCC_ROLE_PASS || role == QCC_ROLE_TABLE;
  bool entered = false;
  for (uint32_t k = 0; k < (one ? 1 : n->in_count); k++) {
    const qcc_value *v = n->in[k].value;
    if (!v || (v->data && (is_scalar_const(v) || !is_f32(v)))) return false; /* scalars: part of a float formula such as hard swish */
    if (!v->data && !has_entry_from(p, v) && (one || !has_codes(p, v))) return false;
    entered |= has_entry_from(p, v);
  }
  return entered;
}

/* ---- walk 3: backward */

/* Does anybody read its codes? */
static bool feeds_static(const qcc_placement *p, const qcc_node *n) {
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (!n->out[k]) continue;
    if (p->coded_interface && qcc_is_graph_output(n->out[k])) return true;
    QCC_FOR_USES(u, n->out[k]) {
      if (is_static(p, u->node)) return true;
    }
  }
  return false;
}

/* Does the kernel of a product want its activation inside, because it cannot end in float? */
static bool must_end_in_codes(const qcc_placement *p, const qcc_node *n) {
  return qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED && !can(p, n)->float_output;
}

static void leave_where_useless(qcc_placement *p, const qcc_node *n) {
  qcc_role role = qcc_op_get(n->op)->role;
  if (!is_static(p, n) || role == QCC_ROLE_WEIGHTED) return;
  if (feeds_static(p, n) || (p->fused[n->id] && must_end_in_codes(p, n->in[0].value->def))) return;
  p->mode[n->id] = QCC_MODE_FLOAT;
  p->fused[n->id] = false;
}

/* ---- walk 4: parameters */

static uint32_t find(const qcc_placement *p, uint32_t id) {
  while (p->group[id] != id) id = p->group[id];
  return id;
}

static void join_groups(qcc_placement *p, const qcc_value *a, const qcc_value *b) {
  uint32_t x = find(p, a->id), y = find(p, b->id);
  if (x < y) p->group[y] = x;
  if (y < x) p->group[x] = y;
}

/* Would runtimes make one float Gemm of the product and the sum with another tensor, before they look for integer kernels? */
static bool adds_another(const qcc_placement *p, const qcc_node *n, const qcc_value *v) {
  const qcc_node *user = n->op == QCC_OP_MATMUL ? qcc_only_user(v) : NULL;
  return user && user->op == QCC_OP_ADD && !is_static(p, user) && is_activation(qcc_in(user, 0)) && is_activation(qcc_in(user, 1));
}

/* The integer kernel may end in float (Gemm, MatMul): no parameters unless every user computes in 8 bit. */
static bool output_quantized(const qcc_placement *p, const qcc_node *n, const qcc_value *v) {
  if (!can(p, n)->float_output || adds_another(p, n, v)) return true;
  if (v->use_count == 0) return false;
  QCC_FOR_USES(u, v) {
    if (u->node ? !is_static(p, u->node) : !p->coded_interface) return false;
  }
  return true;
}

static bool feeds_fused(const qcc_placement *p, const qcc_value *v) {
  qcc_node *user = qcc_only_user(v);
  return user && p->fused[user->id];
}

static void mark_parameters(qcc_placement *p, const qcc_node *n) {
  qcc_role role = qcc_op_get(n->op)->role;
  bool shares = can(p, n)->same_q;
  uint32_t data_inputs = role == QCC_ROLE_ARITH || role == QCC_ROLE_SAME_SCALE ? n->in_count : 1;
  for (uint32_t k = 0; k < data_inputs && !p->fused[n->id]; k++) p->quantized[n->in[k].value->id] = true;
  for (uint32_t k = 0; k < n->out_count; k++) {
    qcc_value *v = n->out[k];
    if (!v || feeds_fused(p, v)) continue;
    if (p->fused[n->id] ? output_quantized(p, n->in[0].value->def, v) : output_quantized(p, n, v)) p->quantized[v->id] = true;
    for (uint32_t i = 0; i < data_inputs && shares; i++) join_groups(p, n->in[i].value, v);
  }
}

/* Where kernels take a sum in, they add before they round: one product among the operands of a sum carries no parameters. */
static void join_sum(qcc_placement *p, const qcc_node *n) {
  if (n->in_count != 2 || !is_static(p, n) || qcc_op_get(n->op)->role != QCC_ROLE_ARITH) return;
  if (!p->quantized[n->in[0].value->id] || !p->quantized[n->in[1].value->id]) return;
  for (uint32_t k = 0; k < 2; k++) {
    const qcc_value *v = n->in[k].value;
    if (!is_static(p, v->def) || qcc_only_user(v) != n || !qcc_target_fuses(p->target, v->def->op, n->op)) continue;
    p->quantized[v->id] = false;
    return;
  }
}

/* ---- all of it */

static void walk_static(qcc_placement *p) {
  QCC_FOR_NODES(n, p->g) {
    if (qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED || p->reason[n->id] || !joins(p, n)) continue;
    p->mode[n->id] = QCC_MODE_STATIC;
    p->fused[n->id] = qcc_op_get(n->op)->role == QCC_ROLE_CLAMP;
  }
  for (const qcc_node *n = p->g->last; n; n = n->prev) leave_where_useless(p, n);
  memset(p->quantized, 0, p->value_count * sizeof *p->quantized);
  for (uint32_t i = 0; i < p->value_count; i++) p->group[i] = i;
  QCC_FOR_NODES(n, p->g) {
    if (is_static(p, n)) mark_parameters(p, n);
  }
  QCC_FOR_NODES(n, p->g) join_sum(p, n);
}

typedef struct weighted_walk {
  qcc_placement *p;
  const qcc_marks *marks;
  const qcc_place_options *options;
} weighted_walk;

static qcc_status walk_weighted(qcc_graph *g, void *user) {
  weighted_walk *w = user;
  qcc_place_options inner = *w->options;
  if (g != g->root) inner.have_ranges = inner.dynamic = false; /* bodies: weights only, or run-time ranges */
  QCC_FOR_NODES(n, g) place_weighted(w->p, n, w->marks, &inner);
  return QCC_OK;
}

/* Once with everything selected, to learn which operators selectors can count, then with what they leave. */
static qcc_status place_selected(qcc_placement *p, const qcc_place_options *options) {
  bool *room = qcc_arena_array(&p->arena, 3 * ((size_t)p->node_count + 1), sizeof *room);
  if (!room) return QCC_NOMEM;
  bool *able = room + 2 * ((size_t)p->node_count + 1);
  qcc_marks marks = {.selected = room, .excluded = room + p->node_count + 1, .able = able};
  weighted_walk walk = {p, &marks, options};
  QCC_TRY(qcc_select_mark(&marks, p->g, NULL));
  QCC_TRY(qcc_graph_walk((qcc_graph *)(uintptr_t)p->g, walk_weighted, &walk));
  for (uint32_t i = 0; i < p->node_count; i++) able[i] = p->mode[i] != QCC_MODE_FLOAT;
  QCC_TRY(qcc_select_mark(&marks, p->g, options->select));
  return qcc_graph_walk((qcc_graph *)(uintptr_t)p->g, walk_weighted, &walk);
}

qcc_status qcc_place(qcc_placement *p, const qcc_graph *g, const qcc_target *target, const qcc_place_options *options) {
  *p = (qcc_placement){.cx = g->cx,
                       .g = g,
                       .target = target,
                       .value_count = g->next_value_id,
                       .node_count = g->next_node_id,
                       .coded_interface = options->coded_interface};
  qcc_arena_init(&p->arena, g->cx);
  p->mode = qcc_arena_array(&p->arena, p->node_count + 1u, sizeof *p->mode);
  p->reason = qcc_arena_array(&p->arena, p->node_count + 1u, sizeof *p->reason);
  p->fused = qcc_arena_array(&p->arena, p->node_count + 1u, sizeof *p->fused);
  p->quantized = qcc_arena_array(&p->arena, p->value_count + 1u, sizeof *p->quantized);
  p->group = qcc_arena_array(&p->arena, p->value_count + 1u, sizeof *p->group);
  qcc_status st = p->mode && p->reason && p->fused && p->quantized && p->group ? QCC_OK : QCC_NOMEM;
  if (st == QCC_OK) st = place_selected(p, options);
  if (st == QCC_OK) walk_static(p);
  if (st == QCC_OK) st = qcc_leave_slow(p, options->prefer);
  if (st != QCC_OK) qcc_placement_fini(p);
  return st;
}

void qcc_place_again(qcc_placement *p) {
  QCC_FOR_NODES(n, p->g) {
    if (qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED || p->mode[n->id] != QCC_MODE_STATIC) continue;
    p->mode[n->id] = QCC_MODE_FLOAT;
    p->fused[n->id] = false;
  }
  walk_static(p);
}

qcc_status qcc_place_keep_float(qcc_placement *p, const qcc_node *n, const char *reason) {
  p->mode[n->id] = QCC_MODE_FLOAT;
  p->reason[n->id] = reason;
  qcc_place_again(p);
  return QCC_OK;
}

void qcc_placement_fini(qcc_placement *p) {
  if (p->cx) qcc_arena_fini(&p->arena);
  *p = (qcc_placement){0};
}

uint32_t qcc_group_of(const qcc_placement *p, const qcc_value *v) { return find(p, v->id); }

bool qcc_is_range_source(const qcc_placement *p, const qcc_value *v) {
  if (!p->quantized[v->id]) return false;
  if (!v->def || !is_static(p, v->def)) return true;
  return !can(p, v->def)->same_q;
}

void qcc_known_range(const qcc_value *v, double *lo, double *hi) {
  *lo = -INFINITY, *hi = INFINITY;
  const qcc_node *n = v->def;
  if (!n) return;
  if (n->op == QCC_OP_SIGMOID || n->op == QCC_OP_SOFTMAX) *lo = 0, *hi = 1;
  if (n->op == QCC_OP_RELU) *lo = 0;
  if (n->op != QCC_OP_CLIP || !constant_clip(n)) return;
  if (qcc_in(n, 1)) *lo = qcc_tensor_get(n->in[1].value->data, 0);
  if (qcc_in(n, 2)) *hi = qcc_tensor_get(n->in[2].value->data, 0);
}

/* Where Sigmoid, whose codes are `codes` steps from 0 to 1, reaches its first and last one. Beyond, the code does not change any more. */
static double sigmoid_reach(const qcc_grid *grid) {
  double codes = (double)grid->hi - (double)(grid->symmetric ? qcc_grid_middle(grid) : grid->lo);
  return log((codes - .5) / .5);
}

static bool is_sigmoid_of(const qcc_value *s, const qcc_value *v) {
  return s && s->def && s->def->op == QCC_OP_SIGMOID && s->def->in[0].value == v;
}

void qcc_useful_range(const qcc_placement *p, const qcc_value *v, double *lo, double *hi) {
  const double reach = sigmoid_reach(&p->target->activation);
  *lo = INFINITY, *hi = -INFINITY;
  QCC_FOR_USES(u, v) {
    const qcc_node *n = u->node;
    bool is_gate = n && n->op == QCC_OP_SIGMOID && is_static(p, n);
    bool is_gated = n && n->op == QCC_OP_MUL && is_static(p, n) && n->in_count == 2 && is_sigmoid_of(n->in[1 - u->index].value, v);
    *lo = fmin(*lo, is_gate || is_gated ? -reach : -INFINITY);
    *hi = fmax(*hi, is_gate ? reach : INFINITY);
  }
  if (v->use_count == 0) *lo = -INFINITY, *hi = INFINITY;
}

qcc_value *qcc_weight_of(const qcc_placement *p, const qcc_node *n, uint32_t slot, int *axis) {
  qcc_value *w = qcc_in(n, slot);
  qcc_role role = qcc_op_get(n->op)->role;
  bool recurrent = role == QCC_ROLE_RECURRENT;
  if (p->mode[n->id] == QCC_MODE_FLOAT || !qcc_is_const(w) || !is_f32(w)) return NULL;
  if (slot == 0 || slot > (recurrent ? 2u : 1u) || (!recurrent && role != QCC_ROLE_WEIGHTED)) return NULL;
  *axis = n->op == QCC_OP_CONV_TRANSPOSE && qcc_attr_int(n, "group", 1) != 1 ? -1 : qcc_channel_axis(n);
  if (qcc_choices_first(&can(p, n)->way[p->mode[n->id]].weight.granularity, QCC_GRANULARITY_PER_TENSOR) != QCC_GRANULARITY_PER_CHANNEL)
    *axis = -1;
  return w;
}
