/* SPDX-License-Identifier: Apache-2.0
 * The verifier. One walk in execution order - a node's inputs, its subgraphs, then its outputs become visible - checks that
 * every edge stands in the list of its value and every list holds only edges of the graph, that values are used after they are
 * made and only inside of their graph, and what the op table and the types promise. The first violation is told. */
#include <string.h>

#include "ir/check.h"
#include "ir/graph_internal.h"

typedef struct verifier {
  const qcc_graph *root;
  qcc_status status;
  uint8_t *seen;          /* by value id: made before this point of the walk */
  uint64_t edges, listed; /* edges with a value; members of use lists: equal at the end */
} verifier;

/* Text for a location; INVALID: the file is wrong, else we are. */
#define BAD(v, loc, ...) qcc_error((v)->root->cx, (v)->status, (v)->status == QCC_INTERNAL ? "I-010" : "M-010", loc, __VA_ARGS__)

static qcc_loc value_loc(const verifier *v, const qcc_value *x) {
  qcc_loc loc = x && x->def ? qcc_node_loc(x->def) : (qcc_loc){.file = v->root->file};
  loc.tensor = x ? x->name : NULL;
  return loc;
}

static bool is_around(const qcc_graph *outer, const qcc_graph *inner) {
  while (inner && inner != outer) inner = inner->owner ? inner->owner->graph : NULL;
  return inner != NULL;
}

/* ---- values */

static qcc_status check_uses(verifier *v, const qcc_value *x) {
  qcc_loc loc = value_loc(v, x);
  const qcc_use *last = x->uses ? x->uses->prev : NULL;
  uint32_t n = 0, outputs = 0;
  QCC_FOR_USES(u, x) {
    const qcc_use *home = u->node ? (u->index < u->node->in_count ? &u->node->in[u->index] : NULL)
                                  : (u->index < u->graph->output_count ? u->graph->outputs[u->index] : NULL);
    if (u->value != x || home != u) return BAD(v, &loc, "a use list holds an edge that belongs elsewhere");
    if (u->next ? u->next->prev != u : last != u) return BAD(v, &loc, "a use list is broken");
    outputs += !u->node;
    if (++n > x->use_count) break;
  }
  v->listed += n;
  if (outputs != x->output_uses) return BAD(v, &loc, "%u graph outputs show the value, its count says %u", outputs, x->output_uses);
  return n == x->use_count ? QCC_OK : BAD(v, &loc, "a use list has %u members, its count says %u", n, x->use_count);
}

static qcc_status check_data(const verifier *v, const qcc_value *x) {
  qcc_loc loc = value_loc(v, x);
  const qcc_tensor *t = x->data;
  size_t need;
  if (!qcc_type_equal(&t->type, &x->type)) return BAD(v, &loc, "the type of a constant differs from its data");
  if (!qcc_type_is_static(&t->type)) return BAD(v, &loc, "a constant has no fixed shape or no type");
  if (t->type.dtype == QCC_STRING) return QCC_OK;
  if (!qcc_type_bytes(&t->type, &need) || need != t->bytes)
    return BAD(v, &loc, "a constant has %zu bytes, its type needs another number", t->bytes);
  return !need || t->data ? QCC_OK : BAD(v, &loc, "a constant has no bytes");
}

static qcc_status check_type(const verifier *v, const qcc_value *x) {
  const qcc_type *t = &x->type;
  bool good = (unsigned)t->dtype < QCC_DTYPE_COUNT && t->rank >= -1 && t->rank <= QCC_MAX_RANK;
  for (int i = 0; good && i < t->rank; i++) good = t->dim[i] >= -1 || qcc_symbol_name(v->root->cx, t->dim[i]);
  if (good) return QCC_OK;
  qcc_loc loc = value_loc(v, x);
  return BAD(v, &loc, "a value has an impossible type");
}

static qcc_status check_value(verifier *v, const qcc_graph *g, const qcc_value *x) {
  qcc_loc loc = value_loc(v, x);
  if (x->graph != g) return BAD(v, &loc, "a value is listed by a graph that does not own it");
  if (x->id >= v->root->next_value_id || v->seen[x->id]) return BAD(v, &loc, "a value is made twice, or its number is used twice");
  if (!x->name || qcc_find_value(v->root, x->name) != x) return BAD(v, &loc, "the name of a value is missing or belongs to another one");
  v->seen[x->id] = 1;
  QCC_TRY(check_type(v, x));
  if (x->data) QCC_TRY(check_data(v, x));
  return check_uses(v, x);
}

static qcc_status enter(verifier *v, const qcc_graph *g) {
  for (uint32_t i = 0; i < g->input_count; i++) {
    const qcc_value *x = g->inputs[i];
    qcc_loc loc = value_loc(v, x);
    if (!x->is_input || x->def) return BAD(v, &loc, "a graph input is the output of a node");
    QCC_TRY(check_value(v, g, x));
  }
  for (uint32_t i = 0; i < g->const_count; i++) {
    const qcc_value *x = g->consts[i];
    qcc_loc loc = value_loc(v, x);
    if (!x->data || x->def) return BAD(v, &loc, "a constant has no data, or a node makes it");
    if (!x->is_input) QCC_TRY(check_value(v, g, x));
  }
  return QCC_OK;
}

/* ---- edges and nodes */

static qcc_status check_edge(verifier *v, const qcc_graph *g, const qcc_use *u, qcc_loc *loc) {
  const qcc_value *x = u->value;
  if (!x) return QCC_OK;
  v->edges++;
  loc->tensor = x->name;
  if (x->id >= v->root->next_value_id || !v->seen[x->id]) return BAD(v, loc, "the value is used before it is made, or nothing makes it");
  return is_around(x->graph, g) ? QCC_OK : BAD(v, loc, "the value belongs to a graph that is not visible here");
}

static qcc_status check_arity(const verifier *v, const qcc_node *n, const qcc_loc *loc) {
  const qcc_op_info *info = qcc_op_get(n->op);
  if (n->op == QCC_OP_OPAQUE) return QCC_OK;
  if (strcmp(n->op_type, info->name) != 0) return BAD(v, loc, "the operator type differs from its row in the table");
  if (n->in_count > (uint32_t)info->in_max)
    return BAD(v, loc, "the node has %u inputs; the operator takes at most %d", n->in_count, info->in_max);
  if (n->out_count > (uint32_t)info->out_max)
    return BAD(v, loc, "the node has %u outputs; the operator gives at most %d", n->out_count, info->out_max);
  for (uint32_t i = 0; i < (uint32_t)info->in_min; i++)
    if (!qcc_in(n, i)) return BAD(v, loc, "input %u is missing; the operator needs at least %d", i, info->in_min);
  return QCC_OK;
}

static qcc_status check_node(verifier *v, const qcc_graph *g, const qcc_node *n) {
  qcc_loc loc = qcc_node_loc(n);
  if (n->graph != g || n->id >= v->root->next_node_id) return BAD(v, &loc, "a node is listed by a graph that does not own it");
  if ((n->prev ? n->prev->next : g->first) != n || (n->next ? n->next->prev : g->last) != n)
    return BAD(v, &loc, "the list of nodes is broken");
  if (n->name[0] && qcc_find_node(v->root, n->name) != n) return BAD(v, &loc, "the name of a node belongs to another one");
  for (uint32_t i = 0; i < n->in_count; i++) {
    const qcc_use *u = &n->in[i];
    if (u->node != n || u->index != i || u->graph != g) return BAD(v, &loc, "input %u does not know its node", i);
    QCC_TRY(check_edge(v, g, u, &loc));
    loc.tensor = NULL;
  }
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    for (uint32_t k = 0; k < qcc_attr_graph_count(a); k++) {
      const qcc_graph *inner = qcc_attr_graph_at(a, k);
      if (inner->owner != n || inner->root != v->root) return BAD(v, &loc, "a subgraph does not know its node");
    }
  return check_arity(v, n, &loc);
}

/* After the inputs and subgraphs of n: its outputs become visible. */
static qcc_status leave_node(verifier *v, const qcc_graph *g, const qcc_node *n) {
  for (uint32_t i = 0; i < n->out_count; i++) {
    const qcc_value *x = n->out[i];
    if (!x) continue;
    qcc_loc loc = value_loc(v, x);
    if (x->def != n || x->def_index != i || x->data || x->is_input) return BAD(v, &loc, "an output does not know its node");
    QCC_TRY(check_value(v, g, x));
  }
  return QCC_OK;
}

static qcc_status leave_graph(verifier *v, const qcc_graph *g) {
  uint32_t count = 0;
  QCC_FOR_NODES(n, g) count++;
  qcc_loc loc = g->owner ? qcc_node_loc(g->owner) : (qcc_loc){.file = v->root->file};
  if (count != g->node_count) return BAD(v, &loc, "a graph has %u nodes, its count says %u", count, g->node_count);
  for (uint32_t i = 0; i < g->output_count; i++) {
    const qcc_use *u = g->outputs[i];
    if (!u->value || u->node || u->graph != g || u->index != i) return BAD(v, &loc, "graph output %u has no value", i);
    QCC_TRY(check_edge(v, g, u, &loc));
    loc.tensor = NULL;
  }
  return QCC_OK;
}

/* The subgraphs are entered between a node's inputs and its outputs; owner links lead back. */
static qcc_status walk(verifier *v) {
  const qcc_graph *g = v->root;
  QCC_TRY(enter(v, g));
  for (const qcc_node *n = g->first;;) {
    const qcc_graph *inner = NULL;
    if (n) {
      QCC_TRY(check_node(v, g, n));
      inner = qcc_first_subgraph(n->attrs);
    } else {
      QCC_TRY(leave_graph(v, g));
      if (g == v->root) return QCC_OK;
      n = g->owner;
      inner = qcc_next_subgraph(g);
      g = n->graph;
    }
    if (inner) {
      g = inner;
      QCC_TRY(enter(v, g));
      n = g->first;
    } else {
      QCC_TRY(leave_node(v, g, n));
      n = n->next;
    }
  }
}

qcc_status qcc_verify(const qcc_graph *g, qcc_status status) {
  verifier v = {.root = g->root, .status = status};
  QCC_TRY(qcc_graph_status(g));
  v.seen = qcc_zalloc_array(g->cx, v.root->next_value_id, 1);
  if (!v.seen) return QCC_NOMEM;
  status = walk(&v);
  qcc_loc loc = {.file = v.root->file};
  if (status == QCC_OK && v.edges != v.listed)
    status = BAD(&v, &loc, "use lists hold %llu edges, the graph has %llu", (unsigned long long)v.listed, (unsigned long long)v.edges);
  qcc_free(g->cx, v.seen);
  return status;
}
