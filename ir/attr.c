/* SPDX-License-Identifier: Apache-2.0
 * Attributes: a short list per node, in file order. Setters replace in place, so that the order of a model survives; what they
 * are given is copied into the graph. */
#include <string.h>

#include "ir/graph_internal.h"

const qcc_attr *qcc_attr_find(const qcc_node *n, const char *name) {
  if (!n) return NULL;
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    if (a->name == name || strcmp(a->name, name) == 0) return a;
  return NULL;
}

static const qcc_attr *find_kind(const qcc_node *n, const char *name, qcc_attr_kind kind) {
  const qcc_attr *a = qcc_attr_find(n, name);
  return a && a->kind == kind ? a : NULL;
}

int64_t qcc_attr_int(const qcc_node *n, const char *name, int64_t fallback) {
  const qcc_attr *a = find_kind(n, name, QCC_ATTR_INT);
  return a ? a->i : fallback;
}

float qcc_attr_float(const qcc_node *n, const char *name, float fallback) {
  const qcc_attr *a = find_kind(n, name, QCC_ATTR_FLOAT);
  return a ? a->f : fallback;
}

const char *qcc_attr_str(const qcc_node *n, const char *name, const char *fallback) {
  const qcc_attr *a = find_kind(n, name, QCC_ATTR_STRING);
  return a ? a->s.at : fallback;
}

const int64_t *qcc_attr_ints(const qcc_node *n, const char *name, uint32_t *count) {
  const qcc_attr *a = find_kind(n, name, QCC_ATTR_INTS);
  if (count) *count = a ? a->count : 0;
  return a ? a->ints : NULL;
}

const float *qcc_attr_floats(const qcc_node *n, const char *name, uint32_t *count) {
  const qcc_attr *a = find_kind(n, name, QCC_ATTR_FLOATS);
  if (count) *count = a ? a->count : 0;
  return a ? a->floats : NULL;
}

const qcc_tensor *qcc_attr_tensor(const qcc_node *n, const char *name) {
  const qcc_attr *a = find_kind(n, name, QCC_ATTR_TENSOR);
  return a ? a->t : NULL;
}

qcc_graph *qcc_attr_graph(const qcc_node *n, const char *name) {
  const qcc_attr *a = find_kind(n, name, QCC_ATTR_GRAPH);
  return a ? a->g : NULL;
}

/* ---- setters */

/* What an attribute holds besides the arena: references to weights and links of inner graphs. */
static void drop_content(qcc_attr *a) {
  qcc_forget_subgraphs(a);
  if (a->kind == QCC_ATTR_TENSOR) qcc_tensor_release((qcc_tensor *)(uintptr_t)a->t);
}

/* The attribute `name` emptied, or a new one at the end; NULL: the graph has failed. */
static qcc_attr *slot(qcc_node *n, const char *name, qcc_attr_kind kind) {
  if (!n || !qcc_graph_ok(n->graph)) return NULL;
  qcc_attr **at = &n->attrs;
  while (*at && strcmp((*at)->name, name) != 0) at = &(*at)->next;
  qcc_attr *a = *at;
  if (a) {
    drop_content(a);
    *a = (qcc_attr){.name = a->name, .next = a->next, .kind = kind};
    return a;
  }
  const char *key = qcc_intern(n->graph->cx, name);
  a = key ? qcc_graph_alloc(n->graph, 1, sizeof *a) : NULL;
  if (!a) {
    qcc_graph_fail(n->graph);
    return NULL;
  }
  a->name = key;
  a->kind = kind;
  *at = a;
  return a;
}

static void *copy(qcc_node *n, const void *from, size_t count, size_t size) {
  void *p = qcc_graph_alloc(n->graph, count, size);
  if (p && count) memcpy(p, from, count * size);
  return p;
}

static qcc_bytes copy_bytes(qcc_node *n, const char *s, size_t len) {
  char *p = len < SIZE_MAX ? qcc_graph_alloc(n->graph, len + 1, 1) : NULL;
  if (p && len) memcpy(p, s, len);
  return (qcc_bytes){.at = p ? p : "", .n = p ? len : 0};
}

void qcc_attr_set_int(qcc_node *n, const char *name, int64_t i) {
  qcc_attr *a = slot(n, name, QCC_ATTR_INT);
  if (a) a->i = i;
}

void qcc_attr_set_float(qcc_node *n, const char *name, float f) {
  qcc_attr *a = slot(n, name, QCC_ATTR_FLOAT);
  if (a) a->f = f;
}

/* The copies are made before the old content goes: the caller may hand in a part of it. */
void qcc_attr_set_str(qcc_node *n, const char *name, const char *s, size_t len) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  qcc_bytes made = copy_bytes(n, s, len);
  qcc_attr *a = slot(n, name, QCC_ATTR_STRING);
  if (a) a->s = made;
}

void qcc_attr_set_strs(qcc_node *n, const char *name, const qcc_bytes *s, uint32_t count) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  qcc_bytes *made = qcc_graph_alloc(n->graph, count, sizeof *made);
  for (uint32_t i = 0; made && i < count; i++) made[i] = copy_bytes(n, s[i].at, s[i].n);
  qcc_attr *a = slot(n, name, QCC_ATTR_STRINGS);
  if (!a) return;
  a->strings = made;
  a->count = count;
}

void qcc_attr_set_ints(qcc_node *n, const char *name, const int64_t *i, uint32_t count) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  int64_t *made = copy(n, i, count, sizeof *made);
  qcc_attr *a = slot(n, name, QCC_ATTR_INTS);
  if (!a) return;
  a->ints = made;
  a->count = count;
}

void qcc_attr_set_floats(qcc_node *n, const char *name, const float *f, uint32_t count) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  float *made = copy(n, f, count, sizeof *made);
  qcc_attr *a = slot(n, name, QCC_ATTR_FLOATS);
  if (!a) return;
  a->floats = made;
  a->count = count;
}

void qcc_attr_set_tensor(qcc_node *n, const char *name, const qcc_tensor *t) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  qcc_tensor shared = qcc_tensor_retain(t);
  qcc_tensor *kept = qcc_graph_own(n->graph, &shared);
  qcc_attr *a = kept ? slot(n, name, QCC_ATTR_TENSOR) : NULL;
  if (a) a->t = kept;
}

void qcc_attr_set_graph(qcc_node *n, const char *name, qcc_graph *g) {
  if (!g) return;
  qcc_attr *a = slot(n, name, QCC_ATTR_GRAPH);
  if (!a) return;
  a->g = g;
  g->owner = n;
}

static const qcc_tensor *share_list(qcc_graph *g, const qcc_tensor *from, uint32_t count) {
  qcc_tensor *list = qcc_graph_alloc(g, count, sizeof *list);
  for (uint32_t i = 0; list && i < count; i++) {
    qcc_tensor t = qcc_tensor_retain(&from[i]);
    const qcc_tensor *kept = qcc_graph_own(g, &t);
    if (!kept) return NULL;
    list[i] = *kept; /* the reference is the graph's */
  }
  return list;
}

void qcc_attr_set_tensors(qcc_node *n, const char *name, const qcc_tensor *t, uint32_t count) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  const qcc_tensor *made = share_list(n->graph, t, count);
  qcc_attr *a = slot(n, name, QCC_ATTR_TENSORS);
  if (!a) return;
  a->tensors = made;
  a->count = count;
}

void qcc_attr_set_graphs(qcc_node *n, const char *name, qcc_graph *const *g, uint32_t count) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  qcc_graph **made = copy(n, g, count, sizeof(qcc_graph *));
  qcc_attr *a = slot(n, name, QCC_ATTR_GRAPHS);
  if (!a) return;
  a->graphs = made;
  a->count = count;
  for (uint32_t i = 0; i < count; i++) g[i]->owner = n;
}

void qcc_attr_set_opaque(qcc_node *n, const char *name, const void *bytes, size_t size) {
  if (!n || !qcc_graph_ok(n->graph)) return;
  void *made = copy(n, bytes, size, 1);
  qcc_attr *a = slot(n, name, QCC_ATTR_OPAQUE);
  if (a) a->extra = (qcc_extra){.bytes = made, .n = size};
}

void qcc_attr_remove(qcc_node *n, const char *name) {
  if (!n) return;
  for (qcc_attr **at = &n->attrs; *at; at = &(*at)->next) {
    if (strcmp((*at)->name, name) != 0) continue;
    drop_content(*at);
    *at = (*at)->next;
    return;
  }
}

/* ---- copying */

static qcc_extra copy_extra(qcc_node *n, qcc_extra from) {
  return (qcc_extra){.bytes = from.n ? copy(n, from.bytes, from.n, 1) : NULL, .n = from.n};
}

static void copy_graphs(qcc_node *to, const qcc_attr *from) {
  uint32_t count = qcc_attr_graph_count(from);
  qcc_graph **list = qcc_graph_alloc(to->graph, count, sizeof(qcc_graph *));
  if (!list) return;
  for (uint32_t k = 0; k < count; k++) {
    list[k] = qcc_subgraph_clone(to->graph->root, to, qcc_attr_graph_at(from, k));
    if (!list[k]) return;
  }
  if (from->kind == QCC_ATTR_GRAPHS) {
    qcc_attr_set_graphs(to, from->name, list, count);
  } else {
    qcc_attr_set_graph(to, from->name, list[0]);
  }
}

void qcc_attr_copy_one(qcc_node *to, const qcc_attr *from, bool with_graphs) {
  switch (from->kind) {
    case QCC_ATTR_INT: qcc_attr_set_int(to, from->name, from->i); break;
    case QCC_ATTR_FLOAT: qcc_attr_set_float(to, from->name, from->f); break;
    case QCC_ATTR_STRING: qcc_attr_set_str(to, from->name, from->s.at, from->s.n); break;
    case QCC_ATTR_TENSOR: qcc_attr_set_tensor(to, from->name, from->t); break;
    case QCC_ATTR_INTS: qcc_attr_set_ints(to, from->name, from->ints, from->count); break;
    case QCC_ATTR_FLOATS: qcc_attr_set_floats(to, from->name, from->floats, from->count); break;
    case QCC_ATTR_STRINGS: qcc_attr_set_strs(to, from->name, from->strings, from->count); break;
    case QCC_ATTR_TENSORS: qcc_attr_set_tensors(to, from->name, from->tensors, from->count); break;
    case QCC_ATTR_OPAQUE: qcc_attr_set_opaque(to, from->name, from->extra.bytes, from->extra.n); return;
    case QCC_ATTR_GRAPH:
    case QCC_ATTR_GRAPHS:
      if (with_graphs) copy_graphs(to, from);
      break;
  }
  qcc_attr *a = from->extra.n ? (qcc_attr *)(uintptr_t)qcc_attr_find(to, from->name) : NULL;
  if (a) a->extra = copy_extra(to, from->extra);
}

void qcc_attr_copy(qcc_node *to, const qcc_node *from) {
  if (!to || !from || to == from) return;
  for (const qcc_attr *a = from->attrs; a && qcc_graph_ok(to->graph); a = a->next) qcc_attr_copy_one(to, a, true);
}
