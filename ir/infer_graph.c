/* SPDX-License-Identifier: Apache-2.0
 * Inference over a module: one walk forward in list order, subgraphs before the node that owns them. Types only become narrower;
 * a type that the model gives and that contradicts what follows from its inputs is an error.
 *
 * A branch that a known condition never takes is left alone: exporters guard operators that would be wrong there. */
#include "ir/infer.h"
#include "ir/support/vec.h"
#include "ir/text.h"

enum { MAX_DEPTH = 64 };

typedef struct walker {
  qcc_facts facts;
  /* scratch for one node, grown as needed */
  const qcc_type **in;
  const qcc_tensor **known;
  const qcc_entries **partial;
  qcc_type *out;
  size_t in_cap, out_cap;
} walker;

static qcc_status walk(walker *w, qcc_graph *g, int depth);

/* ---- types */
static qcc_status contradiction(qcc_context *cx, const qcc_node *n, const qcc_value *v, const qcc_type *found) {
  qcc_text text = {.cx = cx};
  qcc_print_type(&text, cx, found);
  qcc_text_add(&text, ", but the model says ", 21);
  qcc_print_type(&text, cx, &v->type);
  qcc_loc loc = n ? qcc_node_loc(n) : (qcc_loc){0};
  loc.tensor = v->name;
  qcc_status status = text.failed ? QCC_NOMEM : qcc_error(cx, QCC_INVALID, "M-030", &loc, "its inputs make this %s", text.at);
  qcc_text_free(&text);
  return status;
}

/* Narrow the type of `v` by what was found. Symbols of the model stay on its outputs only, where they are interface. */
static qcc_status refine(qcc_context *cx, const qcc_node *n, qcc_value *v, const qcc_type *found) {
  qcc_type t = *found;
  bool fits;
  if (qcc_is_graph_output(v) && v->typed_by_file) {
    t = v->type;
    fits = qcc_type_merge(&t, found);
  } else {
    fits = qcc_type_merge(&t, &v->type);
  }
  if (!fits && v->typed_by_file) return contradiction(cx, n, v, found);
  if (!fits) t = *found;
  if (!qcc_type_equal(&t, &v->type)) qcc_set_type(v, &t);
  return QCC_OK;
}

/* ---- inputs of bodies */
static qcc_status seed(qcc_context *cx, const qcc_node *n, const qcc_graph *body, uint32_t k, const qcc_type *t) {
  if (k >= body->input_count || t->dtype == QCC_NONE) return QCC_OK;
  return refine(cx, n, body->inputs[k], t);
}

/* A carried value may change its shape from one iteration to the next: only its element type is sure. */
static qcc_status seed_loop(qcc_context *cx, const qcc_node *n, const qcc_graph *body) {
  qcc_type t = qcc_type_unknown();
  t.dtype = QCC_S64;
  QCC_TRY(seed(cx, n, body, 0, &t));
  t.dtype = QCC_BOOL;
  QCC_TRY(seed(cx, n, body, 1, &t));
  for (uint32_t k = 2; k < n->in_count; k++) {
    if (!n->in[k].value) continue;
    t.dtype = n->in[k].value->type.dtype;
    QCC_TRY(seed(cx, n, body, k, &t));
  }
  return QCC_OK;
}

/* States keep their shape; scan inputs lose the axis that is walked along. */
static qcc_status seed_scan(qcc_context *cx, const qcc_node *n, const qcc_graph *body) {
  uint32_t count;
  int64_t scans = qcc_attr_int(n, "num_scan_inputs", 0);
  const int64_t *axes = qcc_attr_ints(n, "scan_input_axes", &count);
  if (qcc_graph_opset(n->graph, "") < 9 || scans < 0 || scans > n->in_count) return QCC_OK;
  uint32_t states = n->in_count - (uint32_t)scans;
  for (uint32_t k = 0; k < n->in_count; k++) {
    if (!n->in[k].value) continue;
    qcc_type t = n->in[k].value->type;
    int axis;
    if (k >= states && t.rank >= 0) {
      if (!qcc_axis(k - states < count ? axes[k - states] : 0, t.rank, &axis)) continue; // the rule of Scan tells it
      for (int i = axis; i + 1 < t.rank; i++) t.dim[i] = t.dim[i + 1];
      t.dim[--t.rank] = 0;
    }
    QCC_TRY(seed(cx, n, body, k, &t));
  }
  return QCC_OK;
}

static bool is_dead_branch(const walker *w, const qcc_node *n, const qcc_graph *branch) {
  const qcc_tensor *condition = n->op == QCC_OP_IF && n->in_count ? qcc_fact_known(&w->facts, n->in[0].value) : NULL;
  if (!condition || qcc_tensor_count(condition) != 1) return false;
  return branch == qcc_attr_graph(n, qcc_tensor_get(condition, 0) != 0 ? "else_branch" : "then_branch");
}

static qcc_status walk_body(walker *w, const qcc_node *n, qcc_graph *body, int depth) {
  if (is_dead_branch(w, n, body)) return QCC_OK;
  if (n->op == QCC_OP_LOOP) QCC_TRY(seed_loop(w->facts.cx, n, body));
  if (n->op == QCC_OP_SCAN) QCC_TRY(seed_scan(w->facts.cx, n, body));
  return walk(w, body, depth + 1);
}

static qcc_status walk_bodies(walker *w, const qcc_node *n, int depth) {
  for (const qcc_attr *a = n->attrs; a; a = a->next) {
    if (a->kind == QCC_ATTR_GRAPH) QCC_TRY(walk_body(w, n, a->g, depth));
    for (uint32_t i = 0; a->kind == QCC_ATTR_GRAPHS && i < a->count; i++) QCC_TRY(walk_body(w, n, a->graphs[i], depth));
  }
  return QCC_OK;
}

/* ---- nodes */
static qcc_status grow(walker *w, const qcc_node *n) {
  qcc_context *cx = w->facts.cx;
  if (n->in_count > w->in_cap) {
    size_t cap = (size_t)n->in_count * 2;
    const qcc_type **in = qcc_realloc_array(cx, w->in, cap, sizeof *in);
    if (in) w->in = in;
    const qcc_tensor **known = qcc_realloc_array(cx, w->known, cap, sizeof *known);
    if (known) w->known = known;
    const qcc_entries **partial = qcc_realloc_array(cx, w->partial, cap, sizeof *partial);
    if (partial) w->partial = partial;
    if (!in || !known || !partial) return QCC_NOMEM;
    w->in_cap = cap;
  }
  if (n->out_count > w->out_cap) {
    size_t cap = (size_t)n->out_count * 2;
    qcc_type *out = qcc_realloc_array(cx, w->out, cap, sizeof *out);
    if (!out) return QCC_NOMEM;
    w->out = out;
    w->out_cap = cap;
  }
  return QCC_OK;
}

static qcc_status visit(walker *w, qcc_node *n, int depth) {
  QCC_TRY(walk_bodies(w, n, depth));
  QCC_TRY(grow(w, n));
  for (uint32_t k = 0; k < n->in_count; k++) {
    const qcc_value *v = n->in[k].value;
    w->in[k] = v ? &v->type : NULL;
    w->known[k] = qcc_fact_known(&w->facts, v);
    w->partial[k] = qcc_fact_partial(&w->facts, v);
  }
  qcc_infer f = {.cx = w->facts.cx,
                 .node = n,
                 .opset = qcc_graph_opset(n->graph, n->domain),
                 .in = w->in,
                 .known = w->known,
                 .out = w->out,
                 .partial = w->partial};
  QCC_TRY(qcc_infer_node(&f));
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (!n->out[k]) continue;
    QCC_TRY(refine(f.cx, n, n->out[k], &f.out[k]));
    f.out[k] = n->out[k]->type;
  }
  return qcc_facts_learn(&w->facts, &f);
}

static qcc_status walk(walker *w, qcc_graph *g, int depth) {
  if (depth > MAX_DEPTH) return qcc_error(g->cx, QCC_LIMIT, "L-021", NULL, "subgraphs are nested deeper than %d", MAX_DEPTH);
  QCC_FOR_NODES(n, g) QCC_TRY(visit(w, n, depth));
  return QCC_OK;
}

qcc_status qcc_infer_graph(qcc_graph *g, const struct qcc_eval *fold) {
  walker w = {0};
  qcc_status status = qcc_facts_init(&w.facts, g, fold);
  if (status == QCC_OK) status = walk(&w, g, 0);
  qcc_free(g->cx, w.in);
  qcc_free(g->cx, w.known);
  qcc_free(g->cx, w.partial);
  qcc_free(g->cx, w.out);
  qcc_facts_fini(&w.facts);
  return status;
}
