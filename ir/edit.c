/* SPDX-License-Identifier: Apache-2.0
 * Edits: the only writers of use lists, node lists and names besides the builders. Every edit keeps both directions of a
 * link equal; none allocates except where it says so, and then a failure is remembered by the graph. */
#include <string.h>

#include "ir/graph_internal.h"

/* ---- links */

void qcc_link_use(qcc_use *u, qcc_value *v) {
  u->value = v;
  u->next = NULL;
  u->prev = u;
  if (!v) return;
  if (!u->node) v->output_uses++;
  if (v->uses) {
    u->prev = v->uses->prev;
    u->prev->next = u;
    v->uses->prev = u;
  } else {
    v->uses = u;
  }
  v->use_count++;
}

void qcc_unlink_use(qcc_use *u) {
  qcc_value *v = u->value;
  if (!v) return;
  if (v->uses == u) {
    v->uses = u->next;
  } else {
    u->prev->next = u->next;
  }
  if (u->next) {
    u->next->prev = u->prev;
  } else if (v->uses) {
    v->uses->prev = u->prev;
  }
  v->use_count--;
  if (!u->node) v->output_uses--;
  u->value = NULL;
  u->next = u->prev = NULL;
}

void qcc_link_node(qcc_graph *g, qcc_node *n, qcc_node *before) {
  n->next = before;
  n->prev = before ? before->prev : g->last;
  if (n->prev) {
    n->prev->next = n;
  } else {
    g->first = n;
  }
  if (before) {
    before->prev = n;
  } else {
    g->last = n;
  }
  g->node_count++;
}

void qcc_unlink_node(qcc_node *n) {
  qcc_graph *g = n->graph;
  if (n->prev) {
    n->prev->next = n->next;
  } else {
    g->first = n->next;
  }
  if (n->next) {
    n->next->prev = n->prev;
  } else {
    g->last = n->prev;
  }
  n->prev = n->next = NULL;
  g->node_count--;
}

/* ---- edges */

void qcc_set_use(qcc_use *u, qcc_value *v) {
  if (!u || u->value == v) return;
  qcc_unlink_use(u);
  qcc_link_use(u, v);
}

/* Moves the edges into an array of twice the room; the lists see the new addresses in the old places. */
static bool grow_inputs(qcc_node *n) {
  uint32_t count = n->in_count;
  if (count == 0 || (count & (count - 1)) != 0) return true; /* room up to the next power of two */
  qcc_use *in = qcc_graph_alloc(n->graph, (size_t)count * 2, sizeof *in);
  if (!in) return false;
  for (uint32_t i = 0; i < count; i++) {
    qcc_use *old = &n->in[i], *u = &in[i];
    *u = *old;
    if (!u->value) continue;
    if (u->value->uses == old) u->value->uses = u;
    if (u->prev->next == old) u->prev->next = u;
    if (u->next) {
      u->next->prev = u;
    } else {
      u->value->uses->prev = u;
    }
  }
  n->in = in;
  return true;
}

void qcc_set_input(qcc_node *n, uint32_t index, qcc_value *v) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  while (index >= n->in_count) {
    if (!grow_inputs(n)) return;
    n->in[n->in_count] = (qcc_use){.node = n, .graph = n->graph, .index = n->in_count};
    n->in_count++;
  }
  qcc_set_use(&n->in[index], v);
}

void qcc_replace_uses(qcc_value *from, qcc_value *to) {
  if (!from || !to || from == to) return;
  while (from->uses) qcc_set_use(from->uses, to);
}

/* Whether the graph outputs that show `from` may show `to` under the old name. */
static bool can_take_over(const qcc_value *from, const qcc_value *to) {
  return !to->is_input && !qcc_is_graph_output(to) && to->graph == from->graph;
}

void qcc_replace_value(qcc_value *from, qcc_value *to) {
  if (!from || !to || from == to) return;
  bool output = qcc_is_graph_output(from), over = output && can_take_over(from, to);
  for (qcc_use *u = from->uses, *next; u; u = next) {
    next = u->next;
    if (u->node || over) qcc_set_use(u, to);
  }
  if (!over) return;
  qcc_swap_names(from, to);
  qcc_extra extra = to->extra;
  to->extra = from->extra;
  from->extra = extra;
}

/* ---- names and types */

void qcc_rename_value(qcc_value *v, const char *name) {
  if (!v || !qcc_graph_ok(v->graph) || (name && strcmp(v->name, name) == 0)) return;
  if (!qcc_map_put(&v->graph->root->names->values, v->name, 0)) return;
  qcc_name_value(v, name);
}

void qcc_rename_node(qcc_node *n, const char *name) {
  if (!n || !qcc_graph_ok(n->graph) || strcmp(n->name, name) == 0) return;
  if (n->name[0] && !qcc_map_put(&n->graph->root->names->nodes, n->name, 0)) return;
  qcc_name_node(n, name);
}

void qcc_swap_names(qcc_value *a, qcc_value *b) {
  if (!a || !b) return;
  const char *name = a->name;
  a->name = b->name;
  b->name = name;
  qcc_map *m = &a->graph->root->names->values; /* both keys are there: putting cannot fail */
  if (!qcc_map_put(m, a->name, (uintptr_t)a) || !qcc_map_put(m, b->name, (uintptr_t)b)) qcc_graph_fail(a->graph);
}

void qcc_set_type(qcc_value *v, const qcc_type *t) {
  if (v) v->type = *t;
}

/* ---- erasing */

static void forget_value(qcc_value *v) {
  qcc_map *m = &v->graph->root->names->values;
  if (qcc_map_ptr(m, v->name) == v && !qcc_map_put(m, v->name, 0)) qcc_graph_fail(v->graph);
}

static void forget_node(qcc_node *n) {
  qcc_map *m = &n->graph->root->names->nodes;
  for (uint32_t i = 0; i < n->in_count; i++) qcc_unlink_use(&n->in[i]);
  for (uint32_t i = 0; i < n->out_count; i++)
    if (n->out[i]) forget_value(n->out[i]);
  if (n->name[0] && qcc_map_ptr(m, n->name) == n && !qcc_map_put(m, n->name, 0)) qcc_graph_fail(n->graph);
}

static void drop_data(qcc_value *v) {
  qcc_tensor_release((qcc_tensor *)(uintptr_t)v->data); /* ours: qcc_graph_own made it */
  v->data = NULL;
}

/* All links from inside a graph to anywhere; it stays walkable until the caller lets go of it. */
static void forget_graph(qcc_graph *g) {
  for (uint32_t i = 0; i < g->output_count; i++) qcc_unlink_use(g->outputs[i]);
  QCC_FOR_NODES(n, g) forget_node(n);
  for (uint32_t i = 0; i < g->input_count; i++) forget_value(g->inputs[i]);
  for (uint32_t i = 0; i < g->const_count; i++) {
    forget_value(g->consts[i]);
    drop_data(g->consts[i]);
  }
}

void qcc_forget_subgraphs(const qcc_attr *a) {
  for (uint32_t k = 0; k < qcc_attr_graph_count(a); k++) {
    qcc_graph *top = qcc_attr_graph_at(a, k);
    for (qcc_graph *g = top; g; g = qcc_graph_next(top, g)) forget_graph(g);
  }
}

qcc_status qcc_erase_node(qcc_node *n) {
  if (!n) return QCC_OK;
  for (uint32_t i = 0; i < n->out_count; i++)
    if (n->out[i] && n->out[i]->use_count) {
      qcc_loc loc = qcc_node_loc(n);
      loc.tensor = n->out[i]->name;
      return qcc_error(n->graph->cx, QCC_INTERNAL, "I-002", &loc, "a node was erased while its output is used %u times",
                       n->out[i]->use_count);
    }
  for (const qcc_attr *a = n->attrs; a; a = a->next) qcc_forget_subgraphs(a);
  forget_node(n);
  qcc_unlink_node(n);
  return QCC_OK;
}

void qcc_erase_const(qcc_value *v) {
  if (!v || !v->data || v->use_count || v->is_input) return;
  qcc_graph *g = v->graph;
  uint32_t i = g->const_count; /* mostly a young one is erased */
  while (i > 0 && g->consts[i - 1] != v) i--;
  if (i == 0) return;
  memmove(&g->consts[i - 1], &g->consts[i], (size_t)(g->const_count - i) * sizeof g->consts[0]);
  g->const_count--;
  forget_value(v);
  drop_data(v);
}

void qcc_spend_const(qcc_value *v) {
  qcc_tensor *t = (qcc_tensor *)(uintptr_t)v->data; /* ours: qcc_graph_own made it */
  if (!t) return;
  const qcc_type type = t->type;
  qcc_tensor_release(t);
  t->type = type;
}

uint32_t qcc_erase_unused_consts(qcc_graph *g) {
  uint32_t kept = 0, count = g->const_count;
  for (uint32_t i = 0; i < count; i++) {
    qcc_value *v = g->consts[i];
    if (v->use_count || v->is_input) {
      g->consts[kept++] = v;
      continue;
    }
    forget_value(v);
    drop_data(v);
  }
  g->const_count = kept;
  return count - kept;
}

void qcc_set_const(qcc_value *v, qcc_tensor *t) {
  if (!v || !v->data || !qcc_graph_ok(v->graph)) {
    qcc_tensor_release(t);
    return;
  }
  qcc_type type = t->type;
  qcc_tensor *kept = qcc_graph_own(v->graph, t);
  if (!kept) return;
  drop_data(v);
  v->type = type;
  v->data = kept;
}

/* ---- order and origin */

enum { ORIGIN_BYTES = 4096 }; /* a node that stands for thousands need not list them all */

void qcc_move_node(qcc_node *n, qcc_node *before) {
  if (!n || n == before) return;
  qcc_unlink_node(n);
  qcc_link_node(n->graph, n, before);
}

/* True when the list `names` (comma separated) has `one` of n bytes. */
static bool lists(const char *names, const char *one, size_t n) {
  while (names && *names) {
    size_t k = strcspn(names, ",");
    if (k == n && memcmp(names, one, n) == 0) return true;
    names += k + (names[k] == ',');
  }
  return false;
}

static void add_one_origin(qcc_node *n, const char *one, size_t size) {
  if (size == 0 || (n->origin && strlen(n->origin) > ORIGIN_BYTES) || lists(n->origin, one, size)) return;
  const char *made =
      n->origin && n->origin[0] ? qcc_internf(n->graph->cx, "%s,%.*s", n->origin, (int)size, one) : qcc_intern_n(n->graph->cx, one, size);
  if (made) {
    n->origin = made;
  } else {
    qcc_graph_fail(n->graph);
  }
}

void qcc_add_origin(qcc_node *n, const qcc_node *from) {
  if (!n || !from || !qcc_graph_ok(n->graph)) return;
  const char *names = from->origin ? from->origin : from->name;
  while (names && *names) {
    size_t k = strcspn(names, ",");
    add_one_origin(n, names, k);
    names += k + (names[k] == ',');
  }
}
