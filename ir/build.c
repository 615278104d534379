/* SPDX-License-Identifier: Apache-2.0
 * Builders. They are sticky: once an allocation has failed they do nothing and return NULL, so a rewrite can be written as
 * one expression and checked once. Names are made unique here; a number is appended that the name table has not tried yet,
 * so that 10^5 nodes of one name cost 10^5 steps. */
#include <string.h>

#include "ir/graph_internal.h"

/* ---- names */

static bool in_use(const qcc_name_table *t, const qcc_map *only, const char *name) {
  if (only) return qcc_map_ptr(only, name) != NULL;
  return qcc_map_ptr(&t->values, name) || qcc_map_ptr(&t->nodes, name);
}

/* base, base_1, base_2, ...: the first that is free in `only`, or in both spaces when it is NULL. */
static const char *unique(qcc_graph *g, const qcc_map *only, const char *base) {
  qcc_name_table *t = g->root->names;
  const char *name = base ? qcc_intern(g->cx, base) : NULL;
  if (name && !in_use(t, only, name)) return name;
  const char *stem = name;
  uintptr_t k = 0;
  qcc_map_get(&t->next, stem, &k);
  while (name && in_use(t, only, name)) name = qcc_internf(g->cx, "%s_%zu", stem, (size_t)++k);
  if (!name || !qcc_map_put(&t->next, stem, k - (only != NULL))) {
    qcc_graph_fail(g);
    return NULL;
  }
  return name;
}

const char *qcc_fresh_name(qcc_graph *g, const char *base) {
  return qcc_graph_ok(g) ? unique(g, NULL, base && base[0] ? base : "v") : NULL;
}

bool qcc_name_value(qcc_value *v, const char *name) {
  qcc_map *m = &v->graph->root->names->values;
  const char *n = unique(v->graph, m, name && name[0] ? name : "v");
  if (!n || !qcc_map_put(m, n, (uintptr_t)v)) {
    qcc_graph_fail(v->graph);
    return false;
  }
  v->name = n;
  return true;
}

bool qcc_name_node(qcc_node *n, const char *name) {
  qcc_map *m = &n->graph->root->names->nodes;
  const char *made = name[0] ? unique(n->graph, m, name) : qcc_intern(n->graph->cx, "");
  if (!made || (made[0] && !qcc_map_put(m, made, (uintptr_t)n))) {
    qcc_graph_fail(n->graph);
    return false;
  }
  n->name = made;
  return true;
}

/* ---- raw pieces */

qcc_value *qcc_new_value(qcc_graph *g) {
  qcc_value *v = qcc_graph_alloc(g, 1, sizeof *v);
  if (!v) return NULL;
  v->id = g->root->next_value_id++;
  v->graph = g;
  v->type = qcc_type_unknown();
  return v;
}

static uint32_t room(uint32_t n) {
  uint32_t cap = 1;
  while (cap < n && cap < (uint32_t)1 << 31) cap *= 2;
  return cap;
}

qcc_node *qcc_new_node(qcc_graph *g, uint32_t in_count, uint32_t out_count) {
  qcc_node *n = qcc_graph_alloc(g, 1, sizeof *n);
  qcc_use *in = n ? qcc_graph_alloc(g, room(in_count), sizeof *in) : NULL;
  qcc_value **out = in ? qcc_graph_alloc(g, out_count, sizeof *out) : NULL;
  if (!out) return NULL;
  n->id = g->root->next_node_id++;
  n->graph = g;
  n->in = in;
  n->in_count = in_count;
  n->out = out;
  n->out_count = out_count;
  for (uint32_t i = 0; i < in_count; i++) in[i] = (qcc_use){.node = n, .graph = g, .index = i};
  return n;
}

bool qcc_push_const(qcc_graph *g, qcc_value *v) {
  void *at = g->consts;
  if (!qcc_graph_grow(g, &at, g->const_count, &g->const_cap, sizeof g->consts[0])) return false;
  g->consts = at;
  g->consts[g->const_count++] = v;
  return true;
}

bool qcc_push_input(qcc_graph *g, qcc_value *v) {
  void *at = g->inputs;
  if (!qcc_graph_grow(g, &at, g->input_count, &g->input_cap, sizeof g->inputs[0])) return false;
  g->inputs = at;
  g->inputs[g->input_count++] = v;
  v->is_input = true;
  return true;
}

qcc_use *qcc_push_output(qcc_graph *g) {
  void *at = g->outputs;
  if (!qcc_graph_grow(g, &at, g->output_count, &g->output_cap, sizeof g->outputs[0])) return NULL;
  g->outputs = at;
  qcc_use *u = qcc_graph_alloc(g, 1, sizeof *u);
  if (!u) return NULL;
  u->graph = g;
  u->index = g->output_count;
  g->outputs[g->output_count++] = u;
  return u;
}

/* ---- values */

qcc_value *qcc_add_input(qcc_graph *g, const char *name, const qcc_type *type) {
  if (!qcc_graph_ok(g)) return NULL;
  qcc_value *v = qcc_new_value(g);
  if (!v || !qcc_name_value(v, name ? name : "input") || !qcc_push_input(g, v)) return NULL;
  if (type) v->type = *type;
  return v;
}

qcc_value *qcc_add_const(qcc_graph *g, const char *name, qcc_tensor *t) {
  if (!qcc_graph_ok(g)) {
    qcc_tensor_release(t);
    return NULL;
  }
  qcc_type type = t->type;
  qcc_tensor *kept = qcc_graph_own(g, t);
  qcc_value *v = kept ? qcc_new_value(g) : NULL;
  if (!v || !qcc_name_value(v, name ? name : "const") || !qcc_push_const(g, v)) return NULL;
  v->type = type;
  v->data = kept;
  return v;
}

static qcc_value *add_const_of(qcc_graph *g, const char *name, qcc_dtype dtype, int rank, const int64_t *dims, const void *x) {
  qcc_tensor t;
  qcc_type type = qcc_type_of(dtype, rank, dims);
  if (!qcc_graph_ok(g)) return NULL;
  if (qcc_tensor_copy(&t, g->cx, &type, x) != QCC_OK) {
    qcc_graph_fail(g);
    return NULL;
  }
  return qcc_add_const(g, name, &t);
}

qcc_value *qcc_add_const_f32(qcc_graph *g, const char *name, int rank, const int64_t *dims, const float *x) {
  return add_const_of(g, name, QCC_F32, rank, dims, x);
}

qcc_value *qcc_add_const_s64(qcc_graph *g, const char *name, int rank, const int64_t *dims, const int64_t *x) {
  return add_const_of(g, name, QCC_S64, rank, dims, x);
}

void qcc_add_output(qcc_graph *g, qcc_value *v) {
  if (!qcc_graph_ok(g) || !v) return;
  qcc_use *u = qcc_push_output(g);
  if (u) qcc_link_use(u, v);
}

/* ---- nodes */

/* The first output is named after the node, the others node_1, node_2, ... */
static bool add_outputs(qcc_node *n) {
  const char *base = n->name[0] ? n->name : n->op_type;
  for (uint32_t i = 0; i < n->out_count; i++) {
    qcc_value *v = qcc_new_value(n->graph);
    if (!v || !qcc_name_value(v, base)) return false;
    v->def = n;
    v->def_index = i;
    n->out[i] = v;
  }
  return true;
}

static qcc_node *add(qcc_graph *g, qcc_node *before, qcc_op op, const char *domain, const char *op_type, const char *name,
                     qcc_value *const *in, uint32_t in_count, uint32_t out_count) {
  if (!qcc_graph_ok(g)) return NULL;
  qcc_node *n = qcc_new_node(g, in_count, out_count);
  if (!n) return NULL;
  n->op = op;
  n->op_type = qcc_intern(g->cx, op_type);
  n->domain = qcc_intern(g->cx, domain && strcmp(domain, "ai.onnx") != 0 ? domain : "");
  n->overload = qcc_intern(g->cx, "");
  if (!n->op_type || !n->domain || !n->overload) {
    qcc_graph_fail(g);
    return NULL;
  }
  if (!qcc_name_node(n, name ? name : n->op_type) || !add_outputs(n)) return NULL;
  for (uint32_t i = 0; i < in_count; i++) qcc_link_use(&n->in[i], in[i]);
  qcc_link_node(g, n, before);
  return n;
}

qcc_node *qcc_add_node(qcc_graph *g, qcc_node *before, qcc_op op, const char *name, qcc_value *const *in, uint32_t in_count,
                       uint32_t out_count) {
  const qcc_op_info *info = qcc_op_get(op);
  return add(g, before, op, info->domain, info->name, name, in, in_count, out_count);
}

qcc_node *qcc_add_opaque(qcc_graph *g, qcc_node *before, const char *domain, const char *op_type, const char *name, qcc_value *const *in,
                         uint32_t in_count, uint32_t out_count) {
  return add(g, before, QCC_OP_OPAQUE, domain, op_type, name, in, in_count, out_count);
}
