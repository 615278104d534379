/* SPDX-License-Identifier: Apache-2.0
 * Graphs: life, walking, opsets, metadata, and the questions that need no edit. The root owns the arena, the name table
 * and the references to weight buffers; freeing it is one pass over these, whatever the number of nodes. */
#include "ir/graph_internal.h"

#include <string.h>

bool qcc_graph_ok(const qcc_graph *g) { return g && !g->root->failed; }
void qcc_graph_fail(qcc_graph *g) { g->root->failed = true; }
bool qcc_graph_failed(const qcc_graph *g) { return !g || g->root->failed; }
qcc_status qcc_graph_status(const qcc_graph *g) { return qcc_graph_failed(g) ? QCC_NOMEM : QCC_OK; }

void *qcc_graph_alloc(qcc_graph *g, size_t count, size_t size) {
  void *p = qcc_arena_array(g->arena, count ? count : 1, size);
  if (!p) qcc_graph_fail(g);
  return p;
}

bool qcc_graph_grow(qcc_graph *g, void **at, uint32_t n, uint32_t *cap, size_t size) {
  if (n < *cap) return true;
  uint32_t grown = *cap ? *cap * 2 : 4;
  if (grown <= *cap) {
    qcc_graph_fail(g);
    return false;
  }
  void *p = qcc_graph_alloc(g, grown, size);
  if (!p) return false;
  if (n) memcpy(p, *at, (size_t)n * size);
  *at = p;
  *cap = grown;
  return true;
}

/* ---- life */

static bool init_root(qcc_graph *g) {
  g->root = g;
  qcc_arena_init(g->arena, g->cx);
  qcc_map_init(&g->names->values, g->cx);
  qcc_map_init(&g->names->nodes, g->cx);
  qcc_map_init(&g->names->next, g->cx);
  qcc_map_init(&g->names->opsets, g->cx);
  qcc_map_init(&g->names->meta, g->cx);
  g->name = qcc_intern(g->cx, "graph");
  g->producer = g->producer_version = g->model_domain = qcc_intern(g->cx, "");
  g->ir_version = 8;
  return g->name && g->producer && qcc_graph_set_opset(g, "", 13) == QCC_OK;
}

qcc_status qcc_graph_new(qcc_graph **out, qcc_context *cx) {
  *out = NULL;
  qcc_graph *g = qcc_zalloc_array(cx, 1, sizeof *g);
  if (!g) return QCC_NOMEM;
  g->cx = cx;
  g->arena = qcc_zalloc_array(cx, 1, sizeof *g->arena);
  g->names = qcc_zalloc_array(cx, 1, sizeof *g->names);
  if (!g->arena || !g->names) {
    qcc_free(cx, g->arena);
    qcc_free(cx, g->names);
    qcc_free(cx, g);
    return QCC_NOMEM;
  }
  if (!init_root(g)) {
    qcc_graph_free(g);
    return QCC_NOMEM;
  }
  *out = g;
  return QCC_OK;
}

void qcc_graph_free(qcc_graph *g) {
  if (!g || g->root != g) return;
  qcc_context *cx = g->cx;
  for (uint32_t i = 0; i < g->owned_count; i++) qcc_buf_release(g->owned[i]->buf);
  qcc_arena_fini(g->arena);
  qcc_map_fini(&g->names->values);
  qcc_map_fini(&g->names->nodes);
  qcc_map_fini(&g->names->next);
  qcc_map_fini(&g->names->opsets);
  qcc_map_fini(&g->names->meta);
  qcc_free(cx, g->arena);
  qcc_free(cx, g->names);
  qcc_free(cx, g);
}

qcc_graph *qcc_subgraph_new(qcc_graph *parent) {
  if (!qcc_graph_ok(parent)) return NULL;
  qcc_graph *g = qcc_graph_alloc(parent, 1, sizeof *g);
  if (!g) return NULL;
  g->cx = parent->cx;
  g->arena = parent->arena;
  g->root = parent->root;
  g->name = qcc_intern(g->cx, "");
  if (!g->name) qcc_graph_fail(parent);
  return g->name ? g : NULL;
}

qcc_tensor *qcc_graph_own(qcc_graph *g, qcc_tensor *t) {
  qcc_graph *root = g->root;
  if (!t->buf) {
    t->buf = qcc_buf_copy(g->cx, t->data, t->bytes);
    t->data = qcc_buf_data(t->buf);
    if (!t->buf) qcc_graph_fail(g);
  }
  if (t->buf && t->data == qcc_buf_data(t->buf)) {
    if (!qcc_buf_spill(&t->buf)) qcc_graph_fail(g);
    t->data = qcc_buf_data(t->buf);
  }
  void *owned = (void *)root->owned;
  qcc_tensor *kept = NULL;
  if (t->buf && qcc_graph_grow(root, &owned, root->owned_count, &root->owned_cap, sizeof root->owned[0])) {
    root->owned = owned;
    kept = qcc_graph_alloc(root, 1, sizeof *kept);
  }
  if (kept) {
    *kept = *t;
    root->owned[root->owned_count++] = kept;
  } else {
    qcc_buf_release(t->buf);
  }
  *t = (qcc_tensor){0};
  return kept;
}

/* ---- walking subgraphs, without recursion: the owner links are the stack */

uint32_t qcc_attr_graph_count(const qcc_attr *a) {
  return a->kind == QCC_ATTR_GRAPH ? (a->g != NULL) : a->kind == QCC_ATTR_GRAPHS ? a->count : 0;
}

qcc_graph *qcc_attr_graph_at(const qcc_attr *a, uint32_t k) { return a->kind == QCC_ATTR_GRAPH ? a->g : a->graphs[k]; }

qcc_graph *qcc_first_subgraph(const qcc_attr *a) {
  for (; a; a = a->next)
    if (qcc_attr_graph_count(a)) return qcc_attr_graph_at(a, 0);
  return NULL;
}

static qcc_graph *first_of_nodes(const qcc_node *n) {
  for (; n; n = n->next) {
    qcc_graph *g = qcc_first_subgraph(n->attrs);
    if (g) return g;
  }
  return NULL;
}

qcc_graph *qcc_next_subgraph(const qcc_graph *g) {
  for (const qcc_attr *a = g->owner->attrs; a; a = a->next)
    for (uint32_t k = 0, count = qcc_attr_graph_count(a); k < count; k++)
      if (qcc_attr_graph_at(a, k) == g) return k + 1 < count ? qcc_attr_graph_at(a, k + 1) : qcc_first_subgraph(a->next);
  return NULL;
}

qcc_graph *qcc_graph_next(const qcc_graph *top, const qcc_graph *g) {
  qcc_graph *next = first_of_nodes(g->first);
  while (!next && g != top && g->owner) {
    next = qcc_next_subgraph(g);
    if (!next) next = first_of_nodes(g->owner->next);
    g = g->owner->graph;
  }
  return next;
}

qcc_status qcc_graph_walk(qcc_graph *g, qcc_status (*each)(qcc_graph *g, void *user), void *user) {
  for (qcc_graph *at = g; at; at = qcc_graph_next(g, at)) QCC_TRY(each(at, user));
  return QCC_OK;
}

/* ---- opsets, metadata */

static const char *plain_domain(const char *domain) { return strcmp(domain, "ai.onnx") == 0 ? "" : domain; }

int64_t qcc_graph_opset(const qcc_graph *g, const char *domain) {
  const qcc_graph *root = g->root;
  uintptr_t at = 0;
  if (qcc_map_get(&root->names->opsets, domain, &at)) return root->opsets[at].version; /* an interned one: the usual case */
  for (uint32_t i = 0; i < root->opset_count; i++)
    if (strcmp(root->opsets[i].domain, plain_domain(domain)) == 0) return root->opsets[i].version;
  return 0;
}

qcc_status qcc_graph_set_opset(qcc_graph *g, const char *domain, int64_t version) {
  qcc_graph *root = g->root;
  uintptr_t at = root->opset_count;
  void *list = root->opsets;
  const char *name = qcc_intern(g->cx, plain_domain(domain));
  if (!name) return QCC_NOMEM;
  if (qcc_map_get(&root->names->opsets, name, &at)) {
    root->opsets[at].version = version;
    return QCC_OK;
  }
  if (!qcc_graph_grow(root, &list, root->opset_count, &root->opset_cap, sizeof root->opsets[0])) return QCC_NOMEM;
  root->opsets = list;
  if (!qcc_map_put(&root->names->opsets, name, at)) return QCC_NOMEM;
  root->opsets[root->opset_count++] = (qcc_opset){.domain = name, .version = version};
  return QCC_OK;
}

/* The key stays in the table, with a place that none has. */
static qcc_status remove_metadata(qcc_graph *root, const char *key) {
  uintptr_t at = UINTPTR_MAX;
  if (!qcc_map_get(&root->names->meta, key, &at) || at >= root->meta_count) return QCC_OK;
  root->meta_count--;
  for (uint32_t i = (uint32_t)at; i < root->meta_count; i++) {
    root->metadata[i] = root->metadata[i + 1];
    if (!qcc_map_put(&root->names->meta, root->metadata[i].key, i)) return QCC_NOMEM;
  }
  return qcc_map_put(&root->names->meta, key, UINTPTR_MAX) ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_graph_set_metadata(qcc_graph *g, const char *key, const char *value) {
  qcc_graph *root = g->root;
  uintptr_t at = root->meta_count;
  void *list = root->metadata;
  const char *k = qcc_intern(g->cx, key), *v = value ? qcc_intern(g->cx, value) : NULL;
  if (!k || (value && !v)) return QCC_NOMEM;
  if (!value) return remove_metadata(root, k);
  if (qcc_map_get(&root->names->meta, k, &at) && at < root->meta_count) {
    root->metadata[at].value = v;
    return QCC_OK;
  }
  if (!qcc_graph_grow(root, &list, root->meta_count, &root->meta_cap, sizeof root->metadata[0])) return QCC_NOMEM;
  root->metadata = list;
  if (!qcc_map_put(&root->names->meta, k, root->meta_count)) return QCC_NOMEM;
  root->metadata[root->meta_count++] = (qcc_meta){.key = k, .value = v};
  return QCC_OK;
}

const char *qcc_graph_metadata(const qcc_graph *g, const char *key) {
  const qcc_graph *root = g->root;
  for (uint32_t i = 0; i < root->meta_count; i++)
    if (strcmp(root->metadata[i].key, key) == 0) return root->metadata[i].value;
  return NULL;
}

/* ---- questions */

qcc_value *qcc_find_value(const qcc_graph *g, const char *interned_name) { return qcc_map_ptr(&g->root->names->values, interned_name); }

qcc_node *qcc_find_node(const qcc_graph *g, const char *interned_name) { return qcc_map_ptr(&g->root->names->nodes, interned_name); }

qcc_loc qcc_node_loc(const qcc_node *n) {
  if (!n) return (qcc_loc){0};
  return (qcc_loc){.file = n->graph->root->file, .node = n->name, .op = n->op_type};
}

bool qcc_is_const(const qcc_value *v) { return v && v->data; }

bool qcc_is_graph_output(const qcc_value *v) { return v && v->output_uses; }
qcc_node *qcc_only_user(const qcc_value *v) { return v && v->use_count == 1 ? v->uses->node : NULL; }
qcc_value *qcc_in(const qcc_node *n, uint32_t k) { return n && k < n->in_count ? n->in[k].value : NULL; }
qcc_value *qcc_out(const qcc_node *n, uint32_t k) { return n && k < n->out_count ? n->out[k] : NULL; }
