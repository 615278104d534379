/* SPDX-License-Identifier: Apache-2.0
 * Fusion: which nodes may run on a chunk of their producer's output, and how. A chain
 *   Conv -> BatchNormalization -> Relu -> FakeQuant -> Add(%shortcut) -> Relu -> FakeQuant
 * is one step. A value between two members must have one reader and must not be captured by a body or an output. When it is observed, it is
 * shown chunk by chunk between the two.
 * Invariant: a post computes the bits that the node would compute alone. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "backends/ref/plan.h"

bool qcc_plan_free_layout(const qcc_type *t) {
  if (t->rank < 3 || t->dim[1] == 1) return true;
  for (int d = 2; d < t->rank; ++d)
    if (t->dim[d] != 1) return false;
  return true;
}

/* Only output 0 is wanted. */
static bool single(const qcc_node *n) {
  for (uint32_t i = 1; i < n->out_count; ++i)
    if (n->out[i] && n->out[i]->use_count) return false;
  return n->out_count > 0 && n->out[0];
}

/* ---- one operand */
bool qcc_plan_scalar(const qcc_planner *b, const qcc_value *v, float *to) {
  const qcc_tensor *t = qcc_plan_known(b, v);
  if (!t || t->type.dtype != QCC_F32 || qcc_tensor_count(t) != 1) return false;
  memcpy(to, t->data, sizeof *to);
  return true;
}

static bool clip_post(const qcc_planner *b, const qcc_node *n, qcc_post *p) {
  p->act = QCC_ACT_CLIP;
  p->p = qcc_attr_float(n, "min", -FLT_MAX);
  p->q = qcc_attr_float(n, "max", FLT_MAX);
  if (qcc_in(n, 1) && !qcc_plan_scalar(b, qcc_in(n, 1), &p->p)) return false;
  if (qcc_in(n, 2) && !qcc_plan_scalar(b, qcc_in(n, 2), &p->q)) return false;
  return p->p <= p->q;
}

static bool act_post(const qcc_planner *b, const qcc_node *n, qcc_post *p) {
  p->kind = QCC_POST_ACT;
  switch (n->op) {
    case QCC_OP_RELU: p->act = QCC_ACT_RELU; return true;
    case QCC_OP_CLIP: return clip_post(b, n, p);
    case QCC_OP_SIGMOID: p->act = QCC_ACT_SIGMOID; return true;
    case QCC_OP_TANH: p->act = QCC_ACT_TANH; return true;
    case QCC_OP_EXP: p->act = QCC_ACT_EXP; return true;
    case QCC_OP_ERF: p->act = QCC_ACT_ERF; return true;
    case QCC_OP_GELU: p->act = QCC_ACT_GELU; return strcmp(qcc_attr_str(n, "approximate", "none"), "none") == 0;
    case QCC_OP_MS_GELU: p->act = QCC_ACT_GELU; return true;
    case QCC_OP_HARD_SWISH: p->act = QCC_ACT_HARD_SWISH; return true;
    case QCC_OP_LEAKY_RELU:
      p->act = QCC_ACT_LEAKY_RELU;
      p->p = qcc_attr_float(n, "alpha", 0.01f);
      return true;
    case QCC_OP_HARD_SIGMOID:
      p->act = QCC_ACT_HARD_SIGMOID;
      p->p = qcc_attr_float(n, "alpha", 0.2f);
      p->q = qcc_attr_float(n, "beta", 0.5f);
      return true;
    default: return false;
  }
}

/* Per channel factor and summand of BatchNormalization, in the memory of the plan. */
static bool norm_post(qcc_planner *b, const qcc_node *n, const qcc_type *t, bool last, qcc_post *p) {
  const qcc_tensor *in[5];
  const int64_t c = t->rank > 1 ? t->dim[1] : 0;
  if (n->in_count != 5 || c < 1 || qcc_attr_int(n, "training_mode", 0) || (t->rank > 2 && !last && !qcc_plan_free_layout(t))) return false;
  if (t->rank > 2 && !last && t->dim[1] == 1) return false;
  for (uint32_t i = 1; i < 5; ++i) {
    in[i] = qcc_plan_known(b, qcc_in(n, i));
    if (!in[i] || in[i]->type.dtype != QCC_F32 || qcc_tensor_count(in[i]) != c) return false;
  }
  float *f = qcc_arena_array(&b->p->mem, 2 * (size_t)c, sizeof *f);
  if (!f) return false;
  const float eps = qcc_attr_float(n, "epsilon", 1e-5f), *gain = in[1]->data, *shift = in[2]->data, *mean = in[3]->data, *var = in[4]->data;
  for (int64_t i = 0; i < c; ++i) {
    const double a = (double)gain[i] / sqrt((double)var[i] + (double)eps);
    f[i] = (float)a;
    f[c + i] = (float)((double)shift[i] - (double)mean[i] * a);
  }
  *p = (qcc_post){.kind = QCC_POST_AFFINE, .operand = f, .shift = f + c, .channels = (size_t)c};
  return true;
}

/* ---- two operands */
static bool arith_of(qcc_op op, qcc_arith *to) {
  switch (op) {
    case QCC_OP_ADD: *to = QCC_ARITH_ADD; return true;
    case QCC_OP_SUB: *to = QCC_ARITH_SUB; return true;
    case QCC_OP_MUL: *to = QCC_ARITH_MUL; return true;
    case QCC_OP_DIV: *to = QCC_ARITH_DIV; return true;
    default: return false;
  }
}

/* The id under which a value stands in this layout; QCC_NO_VALUE: not yet. */
static uint32_t standing(const qcc_planner *b, uint32_t id, bool last) {
  const qcc_plan_value *v = qcc_plan_at(b, id);
  if (v->where != QCC_AT_OUTSIDE && v->where != QCC_AT_KNOWN && !v->made) return QCC_NO_VALUE;
  if (v->last == last || qcc_plan_free_layout(&v->type)) return id;
  return v->other;
}

/* All dims of `o` are 1 but the one that meets axis `axis` of `t`, and that one is whole. */
static bool along(const qcc_type *o, const qcc_type *t, int axis) {
  const int at = axis - (t->rank - o->rank);
  if (at < 0 || o->rank > t->rank) return false;
  for (int d = 0; d < o->rank; ++d)
    if (o->dim[d] != (d == at ? t->dim[axis] : 1)) return false;
  return true;
}

static bool channel_post(const qcc_planner *b, const qcc_type *o, const qcc_type *t, bool last, uint32_t id, qcc_step_post *to) {
  const bool free = qcc_plan_free_layout(t);
  int axis = -1;
  if (!last && along(o, t, t->rank - 1))
    axis = t->rank - 1;
  else if (t->rank >= 3 && (last || (free && t->dim[1] != 1)) && along(o, t, 1))
    axis = 1;
  if (axis < 0 || standing(b, id, false) == QCC_NO_VALUE) return false;
  to->post.kind = QCC_POST_CHANNEL;
  to->post.channels = (size_t)t->dim[axis];
  to->operand = standing(b, id, false);
  return true;
}

static bool binary_post(const qcc_planner *b, const qcc_node *n, uint32_t index, const qcc_type *t, bool last, qcc_step_post *to) {
  qcc_post *p = &to->post;
  const qcc_value *v = qcc_in(n, 1 - index);
  if (n->in_count != 2 || !qcc_plan_is_f32(b, v) || v == qcc_in(n, index) || !arith_of(n->op, &p->arith)) return false;
  if (qcc_graph_opset(n->graph->root, "") < 7) return false;
  const qcc_type *o = &qcc_plan_at(b, v->id)->type;
  p->swapped = index == 1;
  if (o->rank <= t->rank && qcc_plan_scalar(b, v, &p->p)) {
    p->kind = QCC_POST_SCALAR;
    return true;
  }
  if (qcc_type_equal(o, t)) {
    p->kind = QCC_POST_SAME;
    to->operand = standing(b, v->id, last);
    const bool plain =
        qcc_plan_at(b, v->id)->where != QCC_AT_OUTSIDE || b->p->r->consts[v->id].type.dtype == QCC_NONE || b->p->r->consts[v->id].data;
    return to->operand != QCC_NO_VALUE && plain;
  }
  return channel_post(b, o, t, last, v->id, to);
}

bool qcc_plan_post(qcc_planner *b, const qcc_node *n, uint32_t index, bool last, qcc_step_post *to) {
  *to = (qcc_step_post){.operand = QCC_NO_VALUE};
  const qcc_value *v = qcc_in(n, index);
  if (!single(n) || !qcc_plan_is_f32(b, v) || !qcc_plan_is_f32(b, n->out[0])) return false;
  const qcc_type *t = &qcc_plan_at(b, v->id)->type;
  if (!qcc_type_equal(t, &qcc_plan_at(b, n->out[0]->id)->type)) return false;
  if (n->op == QCC_OP_ADD || n->op == QCC_OP_SUB || n->op == QCC_OP_MUL || n->op == QCC_OP_DIV)
    return binary_post(b, n, index, t, last, to);
  if (index != 0) return false;
  if (n->op == QCC_OP_FAKE_QUANT) return qcc_plan_grid(n, &to->post);
  if (n->op == QCC_OP_BATCH_NORMALIZATION) return norm_post(b, n, t, last, &to->post);
  return act_post(b, n, &to->post);
}

/* ---- patterns of several nodes */
static uint32_t position(const qcc_planner *b, const qcc_node *n) { return b->position[n->id]; }

/* The next step that is pushed takes the node in. */
static void absorb(qcc_planner *b, const qcc_node *n) {
  b->done[position(b, n)] = true;
  b->into[position(b, n)] = (uint32_t)b->p->step.n;
}

static bool pair_post(qcc_planner *b, const qcc_node *q, qcc_step_post *to, const qcc_value **out) {
  *to = (qcc_step_post){.operand = QCC_NO_VALUE};
  const qcc_node *d = qcc_plan_pair(b, q, &to->post);
  if (!d) return false;
  qcc_plan_drop_idle(b, q->in[0].value, &to->post);
  absorb(b, q);
  absorb(b, d);
  *out = d->out[0];
  return true;
}

/* The only reader of v, when nobody else can see v. */
static const qcc_node *only_reader(const qcc_planner *b, const qcc_value *v) {
  const qcc_node *n = qcc_plan_inner(b, v) ? qcc_only_user(v) : NULL;
  return n && n->graph == v->graph ? n : NULL;
}

/* x * Sigmoid(x), x * HardSigmoid(x) and the like, the factor fake-quantized or not, when nothing else reads either. */
static bool gate_post(qcc_planner *b, const qcc_value *x, qcc_step_post *to, const qcc_value **out) {
  const qcc_node *f = NULL, *m = NULL, *q[2] = {NULL, NULL};
  qcc_post grid = {.scale = 0};
  if (x->use_count != 2 || !qcc_plan_is_f32(b, x)) return false;
  QCC_FOR_USES(u, x) {
    if (!u->node || u->graph != x->graph) return false;
    if (u->node->op == QCC_OP_MUL)
      m = u->node;
    else
      f = u->node;
  }
  *to = (qcc_step_post){.post.kind = QCC_POST_GATE, .operand = QCC_NO_VALUE};
  if (!f || !m || qcc_in(f, 0) != x || !single(f) || !qcc_plan_is_f32(b, f->out[0]) || !act_post(b, f, &to->post)) return false;
  const qcc_node *n = only_reader(b, f->out[0]);
  if (n && n != m && n->op == QCC_OP_FAKE_QUANT && qcc_plan_grid(n, &grid))
    q[0] = n, n = only_reader(b, n->out[0]);
  else if (n && n != m && (q[1] = qcc_plan_pair(b, n, &grid)))
    q[0] = n, n = only_reader(b, q[1]->out[0]);
  if (n != m || !qcc_plan_is_f32(b, m->out[0])) return false;
  to->post.kind = QCC_POST_GATE;
  to->post.scale = grid.scale, to->post.lo = grid.lo, to->post.hi = grid.hi;
  if (to->post.act == QCC_ACT_SIGMOID && !q[0]) to->post.kind = QCC_POST_ACT, to->post.act = QCC_ACT_SILU;
  absorb(b, f);
  for (unsigned i = 0; i < 2 && q[i]; ++i) absorb(b, q[i]);
  absorb(b, m);
  *out = m->out[0];
  return true;
}

bool qcc_plan_start(qcc_planner *b, const qcc_node *n, qcc_step_post *to, const qcc_value **out) {
  if (n->in_count && n->in[0].value && gate_post(b, n->in[0].value, to, out)) return true;
  if (pair_post(b, n, to, out)) return true;
  if (n->op != QCC_OP_FAKE_QUANT || !qcc_plan_post(b, n, 0, false, to)) return false;
  qcc_plan_drop_idle(b, n->in[0].value, &to->post);
  *out = n->out[0];
  return true;
}

/* ---- the chain */
static bool in_pieces(const qcc_planner *b, const qcc_value *v) {
  const qcc_plan_value *p = qcc_plan_at(b, v->id);
  return p->observed && !p->whole;
}

static qcc_step_post show_post(const qcc_planner *b, const qcc_value *v) {
  qcc_plan_value *p = qcc_plan_at(b, v->id);
  p->shown = true;
  return (qcc_step_post){.post = {.kind = QCC_POST_SHOW, .shown = v->id, .total = p->bytes / sizeof(float)}, .operand = QCC_NO_VALUE};
}

static bool next_post(qcc_planner *b, const qcc_value *v, bool last, qcc_step_post *to, const qcc_value **out) {
  const qcc_plan_value *p = qcc_plan_at(b, v->id);
  if (p->pinned || p->whole || qcc_is_graph_output(v)) return false;
  if (gate_post(b, v, to, out)) return true;
  const qcc_node *n = qcc_only_user(v);
  if (!n || n->graph != v->graph || b->done[position(b, n)] || !b->fixed[position(b, n)]) return false;
  if (pair_post(b, n, to, out)) return true;
  if (!qcc_plan_post(b, n, qcc_in(n, 0) == v ? 0 : 1, last, to)) return false;
  qcc_plan_drop_idle(b, v, &to->post);
  absorb(b, n);
  *out = n->out[0];
  return true;
}

qcc_status qcc_plan_chain(qcc_planner *b, qcc_plan_step *step, const qcc_value *from, bool last, const qcc_value **out) {
  qcc_step_post post[QCC_MAX_POST];
  uint32_t n = 0;
  for (; n < step->post_count; ++n) post[n] = step->post[n];
  while (n + 2 < QCC_MAX_POST) { /* each may need to be shown, the last one too */
    const qcc_value *to = NULL;
    const bool show = in_pieces(b, from);
    if (!next_post(b, from, last, &post[n + show], &to)) break;
    if (show) post[n] = show_post(b, from);
    qcc_plan_at(b, from->id)->where = QCC_AT_NOWHERE;
    from = to;
    n += show;
    if (post[n].post.kind != QCC_POST_NONE) n++;
  }
  if (in_pieces(b, from)) post[n++] = show_post(b, from);
  *out = from;
  if (!qcc_plan_tables(b, post, &n)) return QCC_NOMEM;
  step->post = qcc_arena_copy(&b->p->mem, post, (n + 1) * sizeof *post);
  step->post_count = n;
  return step->post ? QCC_OK : QCC_NOMEM;
}
