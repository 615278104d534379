/* SPDX-License-Identifier: Apache-2.0
 * Programs: the nodes of one graph in order, run one by one with shapes found on the way. This is how bodies of If, Loop and Scan run, and
 * everything whose shapes depend on values; the fast form for static shapes stands in plan.c.
 * Invariant: a value is freed after the last step that reads it, reads from inside bodies counted at the node that owns the body. */
#include <stdlib.h>
#include <string.h>

#include "backends/ref/run.h"
#include "ir/check.h"
#include "ir/support/vec.h"

/* ---- building */

/* Where a use happens, seen from graph `g`: the node of g that holds it. NULL: it is an output of g. */
static const qcc_node *user_in(const qcc_use *u, const qcc_graph *g) {
  const qcc_node *n = u->node;
  const qcc_graph *at = u->graph;
  while (at != g && at) {
    n = at->owner;
    at = n ? n->graph : NULL;
  }
  return at ? n : NULL;
}

typedef struct lives {
  uint32_t *position;
  QCC_VEC(uint64_t) end;
} lives;

static int by_end(const void *a, const void *b) {
  const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* Last use of a value of this graph as position << 32 | id; values that leave the graph have none. */
static bool add_life(qcc_runner *r, const qcc_graph *g, lives *l, const qcc_value *v, uint32_t born) {
  uint32_t last = born;
  if (!v) return true;
  QCC_FOR_USES(u, v) {
    const qcc_node *n = user_in(u, g);
    if (!n) return true;
    if (l->position[n->id] > last) last = l->position[n->id];
  }
  const uint64_t key = (uint64_t)last << 32 | v->id;
  return qcc_vec_push(r->cx, &l->end, key);
}

static bool all_lives(qcc_runner *r, const qcc_graph *g, lives *l) {
  bool ok = true;
  for (uint32_t i = 0; i < g->input_count; ++i) ok = ok && add_life(r, g, l, g->inputs[i], 0);
  QCC_FOR_NODES(n, g)
  for (uint32_t i = 0; i < n->out_count; ++i) ok = ok && add_life(r, g, l, n->out[i], l->position[n->id]);
  return ok;
}

static void share_out(qcc_prog *p, const lives *l) {
  size_t at = 0;
  for (uint32_t i = 0; i < p->count; ++i) {
    p->step[i].dies = p->dies + at;
    for (; at < l->end.n && l->end.at[at] >> 32 == i; ++at) {
      p->dies[at] = (uint32_t)l->end.at[at];
      p->step[i].die_count++;
    }
  }
}

static qcc_status fill(qcc_prog *p, qcc_runner *r, lives *l) {
  const qcc_graph *g = p->g;
  uint32_t i = 0;
  l->position = qcc_alloc_array(r->cx, (size_t)g->root->next_node_id + 1, sizeof *l->position);
  p->step = qcc_zalloc_array(r->cx, (size_t)g->node_count + 1, sizeof *p->step);
  if (!l->position || !p->step) return QCC_NOMEM;
  QCC_FOR_NODES(n, g) {
    l->position[n->id] = i;
    p->step[i].node = n;
    p->step[i++].kernel = qcc_kernel_of(n->op);
  }
  p->count = i;
  if (!all_lives(r, g, l)) return QCC_NOMEM;
  if (l->end.n) qsort(l->end.at, l->end.n, sizeof *l->end.at, by_end);
  p->dies = qcc_alloc_array(r->cx, l->end.n + 1, sizeof *p->dies);
  if (!p->dies) return QCC_NOMEM;
  share_out(p, l);
  return QCC_OK;
}

qcc_status qcc_prog_new(qcc_prog **out, qcc_runner *r, const qcc_graph *g) {
  lives l = {0};
  qcc_prog *p = qcc_zalloc_array(r->cx, 1, sizeof *p);
  *out = NULL;
  if (!p) return QCC_NOMEM;
  p->g = g;
  qcc_status st = fill(p, r, &l);
  qcc_free(r->cx, l.position);
  qcc_vec_free(r->cx, &l.end);
  if (st == QCC_OK)
    *out = p;
  else
    qcc_prog_free(r->cx, p);
  return st;
}

void qcc_prog_free(qcc_context *cx, qcc_prog *p) {
  if (!p) return;
  qcc_free(cx, p->step);
  qcc_free(cx, p->dies);
  qcc_free(cx, p);
}

/* ---- one node */
typedef struct call { /* arrays of one call, in scratch */
  const qcc_type **in_type;
  const qcc_tensor **known;
  qcc_type *out_type;
  bool *want;
} call;

static qcc_status infer(qcc_worker *w, const qcc_node *n, const qcc_tensor *const *in, call *c) {
  for (uint32_t i = 0; i < n->in_count; ++i) {
    c->in_type[i] = in[i] ? &in[i]->type : NULL;
    c->known[i] = in[i] && in[i]->data ? in[i] : NULL;
  }
  for (uint32_t i = 0; i < n->out_count; ++i) c->out_type[i] = qcc_type_unknown();
  qcc_infer f = {
      .cx = w->cx, .node = n, .opset = qcc_graph_opset(n->graph->root, n->domain), .in = c->in_type, .known = c->known, .out = c->out_type};
  if (w->runner) pthread_mutex_lock(&w->runner->lock);
  qcc_status st = qcc_infer_node(&f);
  if (w->runner) pthread_mutex_unlock(&w->runner->lock);
  return st;
}

static qcc_status make_outputs(qcc_worker *w, const qcc_node *n, const call *c, qcc_tensor *out) {
  for (uint32_t i = 0; i < n->out_count; ++i) {
    out[i].type = c->want[i] ? c->out_type[i] : qcc_type_unknown();
    if (!c->want[i] || !qcc_type_is_static(&c->out_type[i]) || !qcc_dtype_bits(c->out_type[i].dtype)) continue;
    QCC_TRY(qcc_check_bytes(w->cx, n, &c->out_type[i]));
    QCC_TRY(qcc_tensor_new(&out[i], w->cx, &c->out_type[i]));
  }
  return QCC_OK;
}

/* Sequences and optionals reach only operators that know them. */
static qcc_status check_lists(qcc_worker *w, const qcc_node *n, const qcc_tensor *const *in) {
  static const qcc_op takers[] = {QCC_OP_SEQUENCE_AT,
                                  QCC_OP_SEQUENCE_INSERT,
                                  QCC_OP_SEQUENCE_ERASE,
                                  QCC_OP_SEQUENCE_LENGTH,
                                  QCC_OP_SEQUENCE_MAP,
                                  QCC_OP_CONCAT_FROM_SEQUENCE,
                                  QCC_OP_OPTIONAL,
                                  QCC_OP_IDENTITY,
                                  QCC_OP_OPTIONAL_HAS_ELEMENT,
                                  QCC_OP_OPTIONAL_GET_ELEMENT,
                                  QCC_OP_LOOP};
  for (uint32_t i = 0; i < n->in_count; ++i) {
    bool takes = !in[i] || !qcc_tensor_is_list(in[i]);
    for (size_t j = 0; !takes && j < sizeof takers / sizeof takers[0]; ++j) takes = takers[j] == n->op;
    if (takes) continue;
    qcc_loc loc = qcc_node_loc(n);
    return qcc_error(w->cx, QCC_DATA, "D-293", &loc, "input %u is a %s, a tensor is needed", i, qcc_dtype_name(in[i]->type.dtype));
  }
  return QCC_OK;
}

static qcc_status call_kernel(qcc_worker *w, const qcc_node *n, qcc_kernel kernel, const qcc_tensor *const *in, const call *c,
                              qcc_tensor *out) {
  qcc_kargs k = qcc_kargs_of(w, n, in, out, c->want);
  QCC_TRY(kernel(&k));
  for (uint32_t i = 0; i < n->out_count; ++i) {
    if (c->want[i] && !out[i].data) {
      qcc_loc loc = qcc_node_loc(n);
      return qcc_error(w->cx, QCC_INTERNAL, "I-201", &loc, "the kernel left output %u empty", i);
    }
  }
  return QCC_OK;
}

static qcc_status count_step(qcc_worker *w, const qcc_node *n) {
  const uint64_t limit = qcc_context_limits(w->cx)->run_steps;
  if (++w->steps <= limit) return QCC_OK;
  qcc_loc loc = qcc_node_loc(n);
  return qcc_error(w->cx, QCC_LIMIT, "L-202", &loc, "the model ran more than %llu nodes for one sample; --max-steps raises the limit",
                   (unsigned long long)limit);
}

qcc_status qcc_node_run(qcc_worker *w, const qcc_node *n, qcc_kernel kernel, const qcc_tensor *const *in, const bool *want,
                        qcc_tensor *out) {
  const qcc_scratch_mark mark = qcc_scratch_here(w);
  call c = {.in_type = qcc_scratch(w, (n->in_count + 1) * sizeof *c.in_type)};
  c.known = qcc_scratch(w, (n->in_count + 1) * sizeof *c.known);
  c.out_type = qcc_scratch(w, (n->out_count + 1) * sizeof *c.out_type);
  c.want = qcc_scratch(w, n->out_count + 1);
  memset(out, 0, n->out_count * sizeof *out);
  qcc_status st = c.in_type && c.known && c.out_type && c.want ? count_step(w, n) : QCC_NOMEM;
  if (st == QCC_OK) st = check_lists(w, n, in);
  if (st == QCC_OK) {
    for (uint32_t i = 0; i < n->out_count; ++i) c.want[i] = want ? want[i] : n->out[i] != NULL;
    st = infer(w, n, in, &c);
  }
  if (st == QCC_OK) st = make_outputs(w, n, &c, out);
  if (st == QCC_OK) st = call_kernel(w, n, kernel, in, &c, out);
  if (st != QCC_OK)
    for (uint32_t i = 0; i < n->out_count; ++i) qcc_tensor_release(&out[i]);
  qcc_scratch_back(w, mark);
  return st;
}

/* ---- all nodes */
const qcc_tensor *qcc_worker_value(const qcc_worker *w, const qcc_value *v) {
  if (!v) return NULL;
  if (w->slot[v->id].data) return &w->slot[v->id];
  const qcc_tensor *c = w->runner ? &w->runner->consts[v->id] : NULL;
  return c && c->type.dtype != QCC_NONE ? c : NULL;
}

void qcc_slot_clear(qcc_worker *w, uint32_t id) {
  if (w->slot[id].buf) qcc_tensor_release(&w->slot[id]);
  memset(&w->slot[id], 0, sizeof w->slot[id]);
}

static qcc_status run_step(qcc_worker *w, const qcc_prog_step *s) {
  const qcc_node *n = s->node;
  const qcc_scratch_mark mark = qcc_scratch_here(w);
  const qcc_tensor **in = qcc_scratch(w, (n->in_count + 1) * sizeof *in);
  qcc_tensor *out = qcc_scratch(w, (n->out_count + 1) * sizeof *out);
  bool *want = qcc_scratch(w, n->out_count + 1);
  if (!in || !out || !want) return QCC_NOMEM;
  for (uint32_t i = 0; i < n->in_count; ++i) {
    in[i] = qcc_worker_value(w, n->in[i].value);
    if (in[i] || !n->in[i].value) continue;
    qcc_loc loc = qcc_node_loc(n);
    return qcc_error(w->cx, QCC_INTERNAL, "I-202", &loc, "input %u has no value when the node runs", i);
  }
  for (uint32_t i = 0; i < n->out_count; ++i) want[i] = n->out[i] && n->out[i]->use_count;
  QCC_TRY(qcc_node_run(w, n, s->kernel, in, want, out));
  for (uint32_t i = 0; i < n->out_count; ++i)
    if (want[i]) w->slot[n->out[i]->id] = out[i];
  for (uint32_t i = 0; i < n->out_count; ++i)
    if (want[i]) QCC_TRY(qcc_observe(w, n->out[i]->id, &w->slot[n->out[i]->id], false));
  qcc_scratch_back(w, mark);
  return QCC_OK;
}

qcc_status qcc_prog_run(qcc_worker *w, const qcc_prog *p) {
  for (uint32_t i = 0; i < p->count; ++i) {
    const qcc_prog_step *s = &p->step[i];
    if (s->kernel) QCC_TRY(run_step(w, s));
    for (uint32_t j = 0; j < s->die_count; ++j) qcc_slot_clear(w, s->dies[j]);
  }
  return QCC_OK;
}
