/* SPDX-License-Identifier: Apache-2.0
 * First part of planning: the concrete type of every value of the root graph for these input shapes. Small integer arithmetic on shapes is
 * computed on the way, so that a Reshape to a computed shape is as static as any other node. Also the cache of plans.
 * Invariant: a value behind anything whose shape depends on data is AT_HEAP, and so is all that follows it. */
#include <string.h>

#include "backends/ref/profile.h"

enum { KNOWN_BYTES = 64 * 1024, MAX_PLANS = 8 };

const qcc_tensor *qcc_plan_known(const qcc_planner *b, const qcc_value *v) {
  if (!v) return NULL;
  const qcc_plan_value *p = qcc_plan_at(b, v->id);
  if (p->known) return p->known;
  const qcc_tensor *c = &b->p->r->consts[v->id];
  return c->data ? c : NULL;
}

/* ---- one node */
typedef struct guess {
  const qcc_type **in;
  const qcc_tensor **known;
  qcc_type *out;
} guess;

static bool read_types(qcc_planner *b, const qcc_node *n, guess *g) {
  bool all = true;
  for (uint32_t i = 0; i < n->in_count; ++i) {
    const qcc_value *v = n->in[i].value;
    g->in[i] = NULL, g->known[i] = NULL;
    if (!v) continue;
    const qcc_tensor *c = &b->p->r->consts[v->id];
    const qcc_plan_value *p = qcc_plan_at(b, v->id);
    g->in[i] = c->type.dtype != QCC_NONE ? &c->type : &p->type;
    g->known[i] = qcc_plan_known(b, v);
    all = all && p->where != QCC_AT_HEAP && g->in[i]->dtype < QCC_DTYPE_COUNT; /* lists are found on the way */
  }
  return all;
}

static qcc_status infer(qcc_planner *b, const qcc_node *n, guess *g) {
  qcc_infer f = {
      .cx = b->w->cx, .node = n, .opset = qcc_graph_opset(n->graph->root, n->domain), .in = g->in, .known = g->known, .out = g->out};
  for (uint32_t i = 0; i < n->out_count; ++i) g->out[i] = qcc_type_unknown();
  pthread_mutex_lock(&b->p->r->lock);
  qcc_status st = qcc_infer_node(&f);
  pthread_mutex_unlock(&b->p->r->lock);
  return st;
}

static bool wanted(const qcc_node *n, uint32_t i) { return n->out[i] && n->out[i]->use_count; }

static bool all_static(const qcc_node *n, const guess *g) {
  for (uint32_t i = 0; i < n->out_count; ++i)
    if (wanted(n, i) && (!qcc_type_is_static(&g->out[i]) || !qcc_dtype_bits(g->out[i].dtype))) return false;
  return true;
}

static bool has_body(const qcc_node *n) {
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    if (a->kind == QCC_ATTR_GRAPH || a->kind == QCC_ATTR_GRAPHS) return true;
  return false;
}

static bool computable(const qcc_node *n, const guess *g) {
  const bool of_type = n->op == QCC_OP_SHAPE || n->op == QCC_OP_SIZE;
  if (has_body(n) || qcc_op_get(n->op)->exact == QCC_RANDOM || !qcc_kernel_of(n->op)) return false;
  for (uint32_t i = 0; i < n->in_count; ++i)
    if (n->in[i].value && !g->known[i] && !of_type) return false;
  for (uint32_t i = 0; i < n->out_count; ++i) {
    size_t bytes;
    if (wanted(n, i) && (!qcc_type_bytes(&g->out[i], &bytes) || bytes > KNOWN_BYTES)) return false;
  }
  return true;
}

static qcc_status keep_known(qcc_planner *b, const qcc_value *v, qcc_tensor *t) {
  qcc_plan_value *p = qcc_plan_at(b, v->id);
  qcc_tensor *own = qcc_arena_copy(&b->p->mem, t, sizeof *t);
  if (!own || !qcc_vec_push(b->w->cx, &b->p->known, own)) {
    qcc_tensor_release(t);
    return QCC_NOMEM;
  }
  p->known = own;
  p->type = t->type;
  p->where = QCC_AT_KNOWN;
  return QCC_OK;
}

static qcc_status compute(qcc_planner *b, const qcc_node *n, const guess *g) {
  qcc_worker *w = b->w;
  const qcc_tensor **in = qcc_scratch(w, (n->in_count + 1) * sizeof *in);
  qcc_tensor *out = qcc_scratch(w, (n->out_count + 1) * sizeof *out), *shell = qcc_scratch(w, (n->in_count + 1) * sizeof *shell);
  if (!in || !out || !shell) return QCC_NOMEM;
  for (uint32_t i = 0; i < n->in_count; ++i) {
    in[i] = g->known[i];
    if (in[i] || !g->in[i]) continue;
    shell[i] = (qcc_tensor){.type = *g->in[i]}; /* Shape and Size read the type alone */
    in[i] = &shell[i];
  }
  QCC_TRY(qcc_node_run(w, n, qcc_kernel_of(n->op), in, NULL, out));
  qcc_status st = QCC_OK;
  for (uint32_t i = 0; i < n->out_count; ++i) {
    if (st == QCC_OK && wanted(n, i))
      st = keep_known(b, n->out[i], &out[i]);
    else
      qcc_tensor_release(&out[i]);
  }
  return st;
}

static qcc_status plan_node(qcc_planner *b, uint32_t at, guess *g) {
  const qcc_node *n = b->prog->step[at].node;
  bool fixed = read_types(b, n, g) && !has_body(n);
  if (fixed) QCC_TRY(infer(b, n, g));
  fixed = fixed && all_static(n, g);
  if (fixed && computable(n, g)) {
    b->done[at] = true;
    return compute(b, n, g);
  }
  b->fixed[at] = fixed;
  for (uint32_t i = 0; i < n->out_count; ++i) {
    if (!wanted(n, i)) continue;
    qcc_plan_value *v = qcc_plan_at(b, n->out[i]->id);
    v->where = fixed ? QCC_AT_ARENA : QCC_AT_HEAP;
    if (!fixed) continue;
    v->type = g->out[i];
    QCC_TRY(qcc_check_bytes(b->w->cx, n, &v->type));
    if (!qcc_type_bytes(&v->type, &v->bytes)) return QCC_NOMEM;
  }
  return QCC_OK;
}

static qcc_status plan_step(qcc_planner *b, uint32_t at) {
  const qcc_node *n = b->prog->step[at].node;
  b->done[at] = b->prog->step[at].kernel == NULL;
  if (b->done[at]) return QCC_OK;
  const qcc_scratch_mark mark = qcc_scratch_here(b->w);
  guess g = {.in = qcc_scratch(b->w, (n->in_count + 1) * sizeof *g.in)};
  g.known = qcc_scratch(b->w, (n->in_count + 1) * sizeof *g.known);
  g.out = qcc_scratch(b->w, (n->out_count + 1) * sizeof *g.out);
  qcc_status st = g.in && g.known && g.out ? plan_node(b, at, &g) : QCC_NOMEM;
  qcc_scratch_back(b->w, mark);
  return st;
}

/* ---- all values */
static bool read_by_body(const qcc_value *v) {
  QCC_FOR_USES(u, v)
  if (u->graph != v->graph) return true;
  return false;
}

static void mark(qcc_planner *b, const qcc_value *v) {
  qcc_plan_value *p = qcc_plan_at(b, v->id);
  p->pinned = read_by_body(v);
  p->observed = b->p->observed && b->p->observed[v->id];
  p->whole = p->observed && (b->p->observed[v->id] & QCC_WHOLE);
}

static qcc_status start_values(qcc_planner *b, const qcc_tensor *inputs) {
  const qcc_graph *g = b->prog->g;
  for (uint32_t i = 0; i <= g->next_value_id; ++i) {
    const qcc_plan_value fresh = {.type = qcc_type_unknown(), .alias = i, .other = QCC_NO_VALUE};
    if (!qcc_vec_push(b->w->cx, &b->p->value, fresh)) return QCC_NOMEM;
    if (b->p->r->consts[i].type.dtype == QCC_NONE) continue;
    b->p->value.at[i].where = QCC_AT_OUTSIDE;
    b->p->value.at[i].type = b->p->r->consts[i].type;
  }
  for (uint32_t i = 0; i < g->input_count; ++i) {
    qcc_plan_value *v = qcc_plan_at(b, g->inputs[i]->id);
    if (g->inputs[i]->data) continue;
    v->where = QCC_AT_OUTSIDE;
    v->type = inputs[i].type;
    mark(b, g->inputs[i]);
  }
  QCC_FOR_NODES(n, g)
  for (uint32_t i = 0; i < n->out_count; ++i)
    if (n->out[i]) mark(b, n->out[i]);
  return QCC_OK;
}

qcc_status qcc_plan_types(qcc_planner *b, const qcc_tensor *inputs) {
  QCC_TRY(start_values(b, inputs));
  for (uint32_t i = 0; i < b->prog->count; ++i) QCC_TRY(plan_step(b, i));
  return QCC_OK;
}

/* ---- the cache */
static void free_plan(qcc_shape_plan *p) {
  qcc_context *cx = p->r->cx;
  for (size_t i = 0; i < p->known.n; ++i) qcc_tensor_release(p->known.at[i]);
  qcc_vec_free(cx, &p->known);
  qcc_vec_free(cx, &p->value);
  qcc_vec_free(cx, &p->step);
  qcc_free(cx, p->observed_copy);
  qcc_arena_fini(&p->mem);
  qcc_free(cx, p);
}

void qcc_plans_free(qcc_runner *r) {
  while (r->plans) {
    qcc_shape_plan *p = r->plans;
    r->plans = p->next;
    free_plan(p);
  }
}

static bool same_observed(const qcc_runner *r, const uint32_t *a, const uint32_t *b) {
  for (uint32_t i = 0; i <= r->g->next_value_id; ++i)
    if ((a ? a[i] != 0 : false) != (b ? b[i] != 0 : false) || ((a ? a[i] : 0) & QCC_WHOLE) != ((b ? b[i] : 0) & QCC_WHOLE)) return false;
  return true;
}

bool qcc_plan_fits(const qcc_shape_plan *p, const qcc_tensor *inputs) {
  for (uint32_t i = 0; i < p->r->g->input_count; ++i)
    if (!p->r->g->inputs[i]->data && !qcc_type_equal(&p->in_type[i], &inputs[i].type)) return false;
  return true;
}

static qcc_status start_plan(qcc_shape_plan *p, qcc_worker *w, const qcc_tensor *inputs) {
  const qcc_graph *g = p->r->g;
  p->in_type = qcc_arena_array(&p->mem, (size_t)g->input_count + 1, sizeof *p->in_type);
  if (!p->in_type) return QCC_NOMEM;
  for (uint32_t i = 0; i < g->input_count; ++i) p->in_type[i] = inputs[i].type;
  if (!w->observed) return QCC_OK;
  p->observed_copy = qcc_alloc_array(w->cx, (size_t)g->next_value_id + 1, sizeof *p->observed_copy);
  if (!p->observed_copy) return QCC_NOMEM;
  memcpy(p->observed_copy, w->observed, ((size_t)g->next_value_id + 1) * sizeof *p->observed_copy);
  p->observed = p->observed_copy;
  return QCC_OK;
}

static qcc_status build(qcc_shape_plan *p, qcc_worker *w, const qcc_tensor *inputs) {
  qcc_planner b = {.p = p, .w = w, .prog = qcc_map_ptr(&p->r->progs, p->r->g)};
  QCC_TRY(start_plan(p, w, inputs));
  b.done = qcc_arena_array(&p->mem, (size_t)b.prog->count + 1, sizeof *b.done);
  b.fixed = qcc_arena_array(&p->mem, (size_t)b.prog->count + 1, sizeof *b.fixed);
  b.position = qcc_arena_array(&p->mem, (size_t)p->r->g->next_node_id + 1, sizeof *b.position);
  b.into = qcc_arena_array(&p->mem, (size_t)b.prog->count + 1, sizeof *b.into);
  b.tail_of = qcc_arena_array(&p->mem, (size_t)b.prog->count + 1, sizeof *b.tail_of);
  if (!b.done || !b.fixed || !b.position || !b.into || !b.tail_of) return QCC_NOMEM;
  for (uint32_t i = 0; i < b.prog->count; ++i) {
    b.position[b.prog->step[i].node->id] = i;
    b.into[i] = QCC_NO_STEP;
  }
  QCC_TRY(qcc_plan_types(&b, inputs));
  QCC_TRY(qcc_plan_steps(&b));
  QCC_TRY(qcc_plan_place(&b));
  return w->log ? qcc_profile_plan(&b) : QCC_OK;
}

/* The oldest plan that nobody runs goes when there are many. */
static void trim(qcc_runner *r) {
  uint32_t n = 0;
  qcc_shape_plan **oldest = NULL;
  for (qcc_shape_plan **p = &r->plans; *p; p = &(*p)->next, ++n)
    if (!(*p)->users) oldest = p;
  if (n < MAX_PLANS || !oldest) return;
  qcc_shape_plan *gone = *oldest;
  *oldest = gone->next;
  free_plan(gone);
}

static qcc_status find_or_build(qcc_shape_plan **out, qcc_worker *w, const qcc_tensor *inputs) {
  qcc_runner *r = w->runner;
  qcc_shape_plan **at = &r->plans;
  while (*at && !(qcc_plan_fits(*at, inputs) && same_observed(r, (*at)->observed, w->observed))) at = &(*at)->next;
  qcc_shape_plan *p = *at;
  if (p) {
    *at = p->next;
  } else {
    trim(r);
    p = qcc_zalloc_array(w->cx, 1, sizeof *p);
    if (!p) return QCC_NOMEM;
    p->r = r;
    qcc_arena_init(&p->mem, w->cx);
    qcc_status st = build(p, w, inputs);
    if (st != QCC_OK) {
      free_plan(p);
      return st;
    }
    r->stats.plans++;
    const size_t bytes = qcc_plan_arena(p, p->group);
    if (bytes > r->stats.arena_bytes) r->stats.arena_bytes = bytes;
  }
  p->next = r->plans;
  r->plans = p;
  p->users++;
  *out = p;
  return QCC_OK;
}

qcc_status qcc_plan_get(qcc_shape_plan **out, qcc_worker *w, const qcc_tensor *inputs) {
  pthread_mutex_lock(&w->runner->plan_lock);
  qcc_status st = find_or_build(out, w, inputs);
  pthread_mutex_unlock(&w->runner->plan_lock);
  return st;
}

void qcc_plan_leave(qcc_shape_plan *p) {
  pthread_mutex_lock(&p->r->plan_lock);
  p->users--;
  pthread_mutex_unlock(&p->r->plan_lock);
}
