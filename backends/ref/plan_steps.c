/* SPDX-License-Identifier: Apache-2.0
 * Second part of planning: from nodes to steps. Convolutions and pools work channels last; pointwise nodes keep the layout of what they
 * read; everything else is row-major. A change of layout is a step of its own, made once per value.
 * Invariant: a value that bodies or the caller read stands row-major under its own id. */
#include <string.h>

#include "backends/ref/plan.h"

static qcc_plan_value *at(const qcc_planner *b, uint32_t id) { return qcc_plan_at(b, id); }
static bool wanted(const qcc_node *n, uint32_t i) { return i < n->out_count && n->out[i] && n->out[i]->use_count; }

static bool only_first(const qcc_node *n) {
  for (uint32_t i = 1; i < n->out_count; ++i)
    if (wanted(n, i)) return false;
  return wanted(n, 0);
}

static bool is_f32(const qcc_planner *b, const qcc_value *v) { return v && at(b, v->id)->type.dtype == QCC_F32; }

/* ---- steps and layouts */
qcc_status qcc_step_start(qcc_planner *b, qcc_plan_step *s, qcc_step_kind kind, uint32_t i, uint32_t in, uint32_t out) {
  const qcc_prog_step *p = &b->prog->step[i];
  *s = (qcc_plan_step){.kind = kind, .at = i, .node = p->node, .kernel = p->kernel, .in_count = in, .out_count = out};
  s->in = qcc_arena_array(&b->p->mem, (size_t)in + 1, sizeof *s->in);
  s->out = qcc_arena_array(&b->p->mem, (size_t)out + 1, sizeof *s->out);
  if (!s->in || !s->out) return QCC_NOMEM;
  for (uint32_t j = 0; j < in; ++j) s->in[j] = QCC_NO_VALUE;
  for (uint32_t j = 0; j < out; ++j) s->out[j] = QCC_NO_VALUE;
  return QCC_OK;
}

static qcc_status push(qcc_planner *b, const qcc_plan_step *s) {
  for (uint32_t i = 0; i < s->out_count; ++i)
    if (s->out[i] != QCC_NO_VALUE) at(b, s->out[i])->made = true;
  return qcc_vec_push(b->w->cx, &b->p->step, *s) ? QCC_OK : QCC_NOMEM;
}

static qcc_status push_turn(qcc_planner *b, uint32_t i, uint32_t from, uint32_t to, bool last) {
  qcc_plan_step s;
  QCC_TRY(qcc_step_start(b, &s, last ? QCC_STEP_TO_LAST : QCC_STEP_TO_ROW, i, 1, 1));
  s.node = NULL;
  s.in[0] = from;
  s.out[0] = to;
  return push(b, &s);
}

/* A value like `id`, of the plan's own. */
static qcc_status twin(qcc_planner *b, uint32_t id, bool last, uint32_t *out) {
  const uint32_t fresh = (uint32_t)b->p->value.n;
  qcc_plan_value v = {.type = at(b, id)->type, .where = QCC_AT_ARENA, .last = last, .alias = fresh, .other = id};
  if (!qcc_type_bytes(&v.type, &v.bytes)) return QCC_NOMEM;
  if (!qcc_vec_push(b->w->cx, &b->p->value, v)) return QCC_NOMEM;
  *out = fresh;
  return QCC_OK;
}

qcc_status qcc_step_need(qcc_planner *b, uint32_t i, uint32_t id, bool last, uint32_t *out) {
  const qcc_plan_value *v = at(b, id);
  *out = id;
  if (v->last == last || !qcc_plan_turns(&v->type) || qcc_plan_free_layout(&v->type)) return QCC_OK;
  if (v->other == QCC_NO_VALUE) {
    QCC_TRY(twin(b, id, last, out));
    QCC_TRY(push_turn(b, i, id, *out, last));
    at(b, id)->other = *out;
  }
  *out = at(b, id)->other;
  return QCC_OK;
}

qcc_status qcc_step_finish(qcc_planner *b, qcc_plan_step *s, const qcc_value *v, bool last) {
  const bool turn = last && at(b, v->id)->pinned && !qcc_plan_free_layout(&at(b, v->id)->type);
  uint32_t id = v->id;
  if (turn) QCC_TRY(twin(b, v->id, true, &id));
  at(b, id)->last = last;
  s->out[0] = id;
  QCC_TRY(push(b, s));
  if (!turn) return QCC_OK;
  at(b, v->id)->other = id;
  return push_turn(b, s->at, id, v->id, false);
}

static qcc_status chain_and_finish(qcc_planner *b, qcc_plan_step *s, const qcc_value *from, bool last) {
  const qcc_value *out;
  QCC_TRY(qcc_plan_chain(b, s, from, last, &out));
  return qcc_step_finish(b, s, out, last);
}

/* One fast step with one input, its posts and its result. */
static qcc_status fast_step(qcc_planner *b, qcc_plan_step *s, qcc_step_kind kind, uint32_t i, bool last) {
  const qcc_node *n = b->prog->step[i].node;
  uint32_t in;
  QCC_TRY(qcc_step_need(b, i, n->in[0].value->id, last, &in));
  const qcc_plan_step old = *s;
  QCC_TRY(qcc_step_start(b, s, kind, i, 1, 1));
  s->conv = old.conv;
  s->count_pads = old.count_pads;
  s->in[0] = in;
  return chain_and_finish(b, s, n->out[0], last);
}

/* ---- which nodes have a fast step */
static bool conv_step(qcc_planner *b, const qcc_node *n, qcc_plan_step *s, qcc_status *st) {
  if (n->op != QCC_OP_CONV || !b->p->r->packs[n->id].at || !is_f32(b, n->in[0].value)) return false;
  const qcc_type *x = &at(b, n->in[0].value->id)->type, *w = &b->p->r->consts[n->in[1].value->id].type;
  qcc_window win;
  *st = qcc_window_of(&win, b->w->cx, n, x, w);
  if (*st == QCC_OK) qcc_conv_of(&s->conv, &win, x->dim[0], x->dim[1], w->dim[0]);
  return true;
}

static bool dense_step(const qcc_planner *b, const qcc_node *n) {
  const qcc_pack *pack = &b->p->r->packs[n->id];
  if ((n->op != QCC_OP_GEMM && n->op != QCC_OP_MATMUL) || !pack->at || !is_f32(b, n->in[0].value)) return false;
  const qcc_type *x = &at(b, n->in[0].value->id)->type;
  if (x->rank < 1 || x->dim[x->rank - 1] != (int64_t)pack->depth || pack->depth == 0) return false;
  if (n->op == QCC_OP_GEMM && (qcc_attr_int(n, "transA", 0) || (qcc_in(n, 2) && !pack->bias))) return false;
  return true;
}

static bool pool_step(qcc_planner *b, const qcc_node *n, qcc_plan_step *s, qcc_status *st) {
  if ((n->op != QCC_OP_MAX_POOL && n->op != QCC_OP_AVERAGE_POOL) || !is_f32(b, n->in[0].value)) return false;
  const qcc_type *x = &at(b, n->in[0].value->id)->type;
  qcc_window win;
  if (x->rank != 3 && x->rank != 4) return false;
  *st = qcc_window_of(&win, b->w->cx, n, x, NULL);
  if (*st != QCC_OK) return true;
  win.group = 1;
  qcc_conv_of(&s->conv, &win, x->dim[0], x->dim[1], x->dim[1]);
  for (int d = 0; d < 3; ++d) s->conv.pad_end[d] = d + win.rank - 3 >= 0 ? win.pad_end[d + win.rank - 3] : 0;
  s->count_pads = qcc_attr_int(n, "count_include_pad", 0) != 0;
  return true;
}

/* A mean over all spatial axes of something that stands channels last. */
static bool mean_step(const qcc_planner *b, const qcc_node *n) {
  const qcc_value *x = qcc_in(n, 0);
  if (!is_f32(b, x) || !at(b, x->id)->last) return false;
  const int rank = at(b, x->id)->type.rank;
  if (n->op == QCC_OP_GLOBAL_AVERAGE_POOL) return true;
  if (n->op != QCC_OP_REDUCE_MEAN) return false;
  uint32_t count;
  const int64_t *list = qcc_attr_ints(n, "axes", &count);
  const qcc_tensor *t = qcc_plan_known(b, qcc_in(n, 1));
  if (qcc_in(n, 1) && !t) return false;
  if (t) count = (uint32_t)qcc_tensor_count(t);
  if (count != (uint32_t)rank - 2) return false;
  unsigned seen = 0;
  for (uint32_t i = 0; i < count; ++i) {
    int axis;
    if (!qcc_axis(t ? qcc_tensor_get_s64(t, i) : list[i], rank, &axis)) return false;
    seen |= 1u << axis;
  }
  return seen == ((1u << rank) - 1u - 3u);
}

static bool is_view(const qcc_planner *b, const qcc_node *n) {
  switch (n->op) {
    case QCC_OP_RESHAPE:
    case QCC_OP_FLATTEN:
    case QCC_OP_SQUEEZE:
    case QCC_OP_UNSQUEEZE:
    case QCC_OP_IDENTITY: break;
    case QCC_OP_DROPOUT:
      if (qcc_in(n, 2)) {
        const qcc_tensor *t = qcc_plan_known(b, qcc_in(n, 2));
        if (!t || qcc_tensor_get(t, 0) != 0.0) return false;
      }
      break;
    default: return false;
  }
  const qcc_value *x = qcc_in(n, 0);
  return x && at(b, x->id)->type.dtype == at(b, n->out[0]->id)->type.dtype &&
         (at(b, x->id)->where == QCC_AT_ARENA || at(b, x->id)->where == QCC_AT_KNOWN ||
          (at(b, x->id)->where == QCC_AT_OUTSIDE && (x->is_input || b->p->r->consts[x->id].data)));
}

/* Transpose that only renames the layout: [N,H,W,C] to [N,C,H,W] of a row-major value, or back of one that stands channels last. */
static bool turn_view(const qcc_planner *b, const qcc_node *n, bool *last) {
  uint32_t count;
  const int64_t *perm = qcc_attr_ints(n, "perm", &count);
  const qcc_value *x = qcc_in(n, 0);
  if (n->op != QCC_OP_TRANSPOSE || !x || !qcc_plan_turns(&at(b, x->id)->type) || count < 3 || perm[0] != 0 ||
      at(b, x->id)->where != QCC_AT_ARENA)
    return false;
  bool to_first = perm[1] == (int64_t)count - 1, to_end = perm[count - 1] == 1;
  for (uint32_t i = 2; i < count; ++i) to_first = to_first && perm[i] == (int64_t)i - 1;
  for (uint32_t i = 1; i + 1 < count; ++i) to_end = to_end && perm[i] == (int64_t)i + 1;
  *last = to_first;
  return at(b, x->id)->last ? to_end : to_first;
}

static qcc_status view_from(qcc_planner *b, uint32_t i, uint32_t in, const qcc_value *out, bool last) {
  qcc_plan_step s;
  QCC_TRY(qcc_step_start(b, &s, QCC_STEP_VIEW, i, 1, 1));
  s.in[0] = in;
  return qcc_step_finish(b, &s, out, last);
}

static qcc_status view_step(qcc_planner *b, uint32_t i, bool keep, bool last) {
  const qcc_node *n = b->prog->step[i].node;
  uint32_t in = n->in[0].value->id;
  if (!keep) QCC_TRY(qcc_step_need(b, i, in, false, &in));
  return view_from(b, i, in, n->out[0], last);
}

static bool concat_step(const qcc_planner *b, const qcc_node *n) {
  if (n->op != QCC_OP_CONCAT || !is_f32(b, qcc_in(n, 0)) || n->in_count < 2) return false;
  const int rank = at(b, n->in[0].value->id)->type.rank;
  int axis;
  bool any = false;
  if (rank < 3 || !qcc_axis(qcc_attr_int(n, "axis", 1), rank, &axis) || axis != 1) return false;
  for (uint32_t i = 0; i < n->in_count; ++i) any = any || at(b, n->in[i].value->id)->last;
  return any;
}

static qcc_status push_concat(qcc_planner *b, uint32_t i) {
  const qcc_node *n = b->prog->step[i].node;
  qcc_plan_step s;
  QCC_TRY(qcc_step_start(b, &s, QCC_STEP_CONCAT, i, n->in_count, 1));
  for (uint32_t j = 0; j < n->in_count; ++j) QCC_TRY(qcc_step_need(b, i, n->in[j].value->id, true, &s.in[j]));
  return qcc_step_finish(b, &s, n->out[0], true);
}

/* ---- pointwise */
static qcc_status elem_from(qcc_planner *b, uint32_t i, uint32_t in, const qcc_step_post *first, const qcc_value *to, bool last) {
  qcc_plan_step s;
  QCC_TRY(qcc_step_start(b, &s, QCC_STEP_ELEM, i, 1, 1));
  s.in[0] = in;
  s.post = qcc_arena_copy(&b->p->mem, first, sizeof *first);
  s.post_count = 1;
  return s.post ? chain_and_finish(b, &s, to, last) : QCC_NOMEM;
}

/* Posts alone: a node that is one post on input 0 or 1, in the layout that most of it has already. */
static qcc_status elem_step(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  qcc_step_post post;
  const qcc_value *to;
  *did = true;
  if (n->in_count && is_f32(b, n->in[0].value) && qcc_plan_start(b, n, &post, &to)) {
    const uint32_t x = n->in[0].value->id;
    return post.post.kind == QCC_POST_NONE ? view_from(b, i, x, to, at(b, x)->last) : elem_from(b, i, x, &post, to, at(b, x)->last);
  }
  for (uint32_t k = 0; k < 2 && k < n->in_count; ++k) {
    const qcc_value *x = n->in[k].value, *y = qcc_in(n, 1 - k);
    if (!is_f32(b, x)) continue;
    const bool arith = n->op == QCC_OP_ADD || n->op == QCC_OP_SUB || n->op == QCC_OP_MUL || n->op == QCC_OP_DIV;
    bool last = at(b, x->id)->last;
    uint32_t in;
    if (arith && is_f32(b, y) && qcc_type_equal(&at(b, x->id)->type, &at(b, y->id)->type)) {
      last = last || at(b, y->id)->last;
      QCC_TRY(qcc_step_need(b, i, y->id, last, &in));
    }
    if (!qcc_plan_post(b, n, k, last, &post)) continue;
    QCC_TRY(qcc_step_need(b, i, x->id, last, &in));
    return elem_from(b, i, in, &post, n->out[0], last);
  }
  *did = false;
  return QCC_OK;
}

/* Operators of one operand that do not care where an element stands. */
static bool pointwise(const qcc_planner *b, const qcc_node *n) {
  static const qcc_op list[] = {QCC_OP_ELU,      QCC_OP_SELU,       QCC_OP_CELU,   QCC_OP_THRESHOLDED_RELU,
                                QCC_OP_SOFTPLUS, QCC_OP_SOFTSIGN,   QCC_OP_MISH,   QCC_OP_GELU,
                                QCC_OP_MS_GELU,  QCC_OP_SWISH,      QCC_OP_SHRINK, QCC_OP_LOG,
                                QCC_OP_SQRT,     QCC_OP_RECIPROCAL, QCC_OP_ERF,    QCC_OP_ABS,
                                QCC_OP_NEG,      QCC_OP_FLOOR,      QCC_OP_CEIL,   QCC_OP_ROUND,
                                QCC_OP_SIGN};
  if (!only_first(n) || !is_f32(b, qcc_in(n, 0)) || !is_f32(b, n->out[0])) return false;
  if (n->op == QCC_OP_FAKE_QUANT) return qcc_attr_int(n, "axis", -1) < 0;
  for (size_t i = 0; i < sizeof list / sizeof list[0]; ++i)
    if (n->op == list[i]) return true;
  return false;
}

static qcc_status kernel_step(qcc_planner *b, uint32_t i, qcc_step_kind kind) {
  const qcc_node *n = b->prog->step[i].node;
  const bool keep = kind == QCC_STEP_KERNEL && pointwise(b, n) && at(b, n->in[0].value->id)->last;
  qcc_plan_step s;
  QCC_TRY(qcc_step_start(b, &s, kind, i, n->in_count, n->out_count));
  for (uint32_t j = 0; j < n->in_count; ++j) {
    if (!n->in[j].value) continue;
    QCC_TRY(qcc_step_need(b, i, n->in[j].value->id, keep, &s.in[j]));
  }
  if (keep) return qcc_step_finish(b, &s, n->out[0], true);
  for (uint32_t j = 0; j < n->out_count; ++j)
    if (wanted(n, j)) s.out[j] = n->out[j]->id;
  return push(b, &s);
}

/* ---- all nodes */
static qcc_status plan_node(qcc_planner *b, uint32_t i) {
  const qcc_node *n = b->prog->step[i].node;
  qcc_plan_step s = {.kind = QCC_STEP_KERNEL};
  qcc_status st = QCC_OK;
  bool did = false, last;
  if (!b->fixed[i]) return kernel_step(b, i, QCC_STEP_DYNAMIC);
  if (b->tail_of[i]) return qcc_plan_scaled(b, i);
  if (!only_first(n) || at(b, n->out[0]->id)->bytes == 0) return kernel_step(b, i, QCC_STEP_KERNEL);
  if (conv_step(b, n, &s, &st)) return st == QCC_OK ? fast_step(b, &s, QCC_STEP_CONV, i, true) : st;
  if (dense_step(b, n)) return fast_step(b, &s, QCC_STEP_DENSE, i, false);
  if (pool_step(b, n, &s, &st))
    return st == QCC_OK ? fast_step(b, &s, n->op == QCC_OP_MAX_POOL ? QCC_STEP_MAX_POOL : QCC_STEP_AVERAGE_POOL, i, true) : st;
  if (mean_step(b, n)) {
    QCC_TRY(qcc_step_start(b, &s, QCC_STEP_MEAN, i, 1, 1));
    s.in[0] = n->in[0].value->id;
    return chain_and_finish(b, &s, n->out[0], false);
  }
  if (is_view(b, n)) return view_step(b, i, n->op == QCC_OP_IDENTITY, n->op == QCC_OP_IDENTITY && at(b, n->in[0].value->id)->last);
  if (turn_view(b, n, &last)) return view_step(b, i, true, last);
  if (concat_step(b, n)) return push_concat(b, i);
  QCC_TRY(elem_step(b, i, &did));
  if (!did) QCC_TRY(qcc_plan_codes(b, i, &did));
  return did ? QCC_OK : kernel_step(b, i, QCC_STEP_KERNEL);
}

qcc_status qcc_plan_steps(qcc_planner *b) {
  const qcc_graph *g = b->prog->g;
  for (uint32_t i = 0; i < b->prog->count; ++i)
    if (!b->done[i]) QCC_TRY(plan_node(b, i));
  b->p->output = qcc_arena_array(&b->p->mem, (size_t)g->output_count + 1, sizeof *b->p->output);
  if (!b->p->output) return QCC_NOMEM;
  const uint32_t end = b->prog->count ? b->prog->count - 1 : 0;
  for (uint32_t i = 0; i < g->output_count; ++i) QCC_TRY(qcc_step_need(b, end, g->outputs[i]->value->id, false, &b->p->output[i]));
  return QCC_OK;
}
