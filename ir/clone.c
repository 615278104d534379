/* SPDX-License-Identifier: Apache-2.0
 * Copies of graphs. First every piece is made without links, then the links are drawn, so the order of the source does not
 * matter and captures need no special case: a value that was not copied stands for itself. A whole-module copy keeps the order
 * of every use list, so that passes do the same to a clone as to its source. Weight bytes are shared. */
#include <string.h>

#include "ir/graph_internal.h"

typedef struct copier {
  qcc_graph *root; /* of the copy */
  qcc_map made;    /* graph, node or value of the source -> of the copy */
} copier;

static bool note(copier *c, const void *from, void *to) {
  if (to && qcc_map_put(&c->made, from, (uintptr_t)to)) return true;
  qcc_graph_fail(c->root);
  return false;
}

static qcc_extra copy_extra(copier *c, qcc_extra from) {
  if (!from.n) return (qcc_extra){0};
  uint8_t *bytes = qcc_graph_alloc(c->root, from.n, 1);
  if (bytes) memcpy(bytes, from.bytes, from.n);
  return (qcc_extra){.bytes = bytes, .n = bytes ? from.n : 0};
}

static qcc_value *copy_value(copier *c, qcc_graph *to, const qcc_value *from) {
  qcc_value *v = qcc_new_value(to);
  if (!v || !qcc_name_value(v, from->name) || !note(c, from, v)) return NULL;
  v->type = from->type;
  v->typed_by_file = from->typed_by_file;
  v->extra = copy_extra(c, from->extra);
  v->tensor_extra = copy_extra(c, from->tensor_extra);
  return v;
}

static bool copy_const(copier *c, qcc_graph *to, const qcc_value *from) {
  qcc_value *v = qcc_map_ptr(&c->made, from); /* an input may have a default value */
  if (!v) v = copy_value(c, to, from);
  if (!v) return false;
  qcc_tensor t = qcc_tensor_retain(from->data);
  v->data = qcc_graph_own(to, &t);
  return v->data && qcc_push_const(to, v);
}

/* Empty graphs in place of the subgraphs of an attribute; the walk fills them when it gets there. */
static bool copy_graph_attr(copier *c, qcc_node *n, const qcc_attr *from) {
  uint32_t count = qcc_attr_graph_count(from);
  qcc_graph **list = qcc_graph_alloc(c->root, count, sizeof(qcc_graph *));
  for (uint32_t k = 0; list && k < count; k++) {
    list[k] = qcc_subgraph_new(c->root);
    if (!note(c, qcc_attr_graph_at(from, k), list[k])) return false;
  }
  if (!list) return false;
  if (from->kind == QCC_ATTR_GRAPHS) {
    qcc_attr_set_graphs(n, from->name, list, count);
  } else {
    qcc_attr_set_graph(n, from->name, list[0]);
  }
  return qcc_graph_ok(c->root);
}

static bool copy_attrs(copier *c, qcc_node *n, const qcc_node *from) {
  for (const qcc_attr *a = from->attrs; a; a = a->next) {
    if (a->kind == QCC_ATTR_GRAPH || a->kind == QCC_ATTR_GRAPHS) {
      if (!copy_graph_attr(c, n, a)) return false;
    } else {
      qcc_attr_copy_one(n, a, false);
    }
  }
  return qcc_graph_ok(c->root);
}

static bool copy_node(copier *c, qcc_graph *to, const qcc_node *from) {
  qcc_node *n = qcc_new_node(to, from->in_count, from->out_count);
  if (!n) return false;
  n->op = from->op;
  n->op_type = from->op_type;
  n->domain = from->domain;
  n->overload = from->overload;
  n->origin = from->origin;
  n->extra = copy_extra(c, from->extra);
  if (!qcc_name_node(n, from->name) || !note(c, from, n) || !copy_attrs(c, n, from)) return false;
  for (uint32_t i = 0; i < from->out_count; i++) {
    if (!from->out[i]) continue;
    qcc_value *v = copy_value(c, to, from->out[i]);
    if (!v) return false;
    v->def = n;
    v->def_index = i;
    n->out[i] = v;
  }
  qcc_link_node(to, n, NULL);
  return true;
}

static bool copy_pieces(copier *c, const qcc_graph *from) {
  qcc_graph *to = qcc_map_ptr(&c->made, from);
  if (!to) return false;
  to->name = from->name;
  to->extra = copy_extra(c, from->extra);
  for (uint32_t i = 0; i < from->input_count; i++) {
    qcc_value *v = copy_value(c, to, from->inputs[i]);
    if (!v || !qcc_push_input(to, v)) return false;
  }
  for (uint32_t i = 0; i < from->const_count; i++)
    if (!copy_const(c, to, from->consts[i])) return false;
  QCC_FOR_NODES(n, from)
  if (!copy_node(c, to, n)) return false;
  for (uint32_t i = 0; i < from->output_count; i++)
    if (!qcc_push_output(to)) return false;
  return qcc_graph_ok(to);
}

/* ---- links */

static qcc_use *edge_of(const copier *c, const qcc_use *u) {
  qcc_node *n = u->node ? qcc_map_ptr(&c->made, u->node) : NULL;
  if (n) return &n->in[u->index];
  qcc_graph *g = u->node ? NULL : qcc_map_ptr(&c->made, u->graph);
  return g ? g->outputs[u->index] : NULL;
}

/* All edges of one value of the source, in the order of its list. */
static void link_value(copier *c, const qcc_value *from) {
  qcc_value *v = from ? qcc_map_ptr(&c->made, from) : NULL;
  if (!v) return;
  QCC_FOR_USES(u, from) {
    qcc_use *edge = edge_of(c, u);
    if (edge && !edge->value) qcc_link_use(edge, v);
  }
}

static void link_graph(copier *c, const qcc_graph *from) {
  for (uint32_t i = 0; i < from->input_count; i++) link_value(c, from->inputs[i]);
  for (uint32_t i = 0; i < from->const_count; i++)
    if (!from->consts[i]->is_input) link_value(c, from->consts[i]);
  QCC_FOR_NODES(n, from)
  for (uint32_t i = 0; i < n->out_count; i++) link_value(c, n->out[i]);
}

/* Edges to values outside of what was copied: the copy uses the same ones. */
static void link_captures(copier *c, const qcc_graph *from) {
  const qcc_graph *to = qcc_map_ptr(&c->made, from);
  QCC_FOR_NODES(n, from) {
    qcc_node *copy = qcc_map_ptr(&c->made, n);
    for (uint32_t i = 0; copy && i < n->in_count; i++)
      if (n->in[i].value && !copy->in[i].value) qcc_link_use(&copy->in[i], n->in[i].value);
  }
  for (uint32_t i = 0; to && i < from->output_count; i++)
    if (from->outputs[i]->value && !to->outputs[i]->value) qcc_link_use(to->outputs[i], from->outputs[i]->value);
}

static bool copy_all(copier *c, const qcc_graph *top, bool captures) {
  for (const qcc_graph *g = top; g; g = qcc_graph_next(top, g))
    if (!copy_pieces(c, g)) return false;
  for (const qcc_graph *g = top; g; g = qcc_graph_next(top, g)) link_graph(c, g);
  for (const qcc_graph *g = captures ? top : NULL; g; g = qcc_graph_next(top, g)) link_captures(c, g);
  return true;
}

qcc_graph *qcc_subgraph_clone(qcc_graph *root, qcc_node *owner, const qcc_graph *from) {
  copier c = {.root = root->root};
  qcc_graph *to = qcc_subgraph_new(root);
  if (!to) return NULL;
  to->owner = owner;
  qcc_map_init(&c.made, root->cx);
  bool done = note(&c, from, to) && copy_all(&c, from, true);
  qcc_map_fini(&c.made);
  return done ? to : NULL;
}

static bool copy_model(copier *c, const qcc_graph *from) {
  qcc_graph *to = c->root;
  to->file = from->file;
  to->ir_version = from->ir_version;
  to->model_version = from->model_version;
  to->producer = from->producer;
  to->producer_version = from->producer_version;
  to->model_domain = from->model_domain;
  to->model_extra = copy_extra(c, from->model_extra);
  for (uint32_t i = 0; i < from->opset_count; i++)
    if (qcc_graph_set_opset(to, from->opsets[i].domain, from->opsets[i].version) != QCC_OK) return false;
  for (uint32_t i = 0; i < from->meta_count; i++)
    if (qcc_graph_set_metadata(to, from->metadata[i].key, from->metadata[i].value) != QCC_OK) return false;
  return qcc_graph_ok(to);
}

qcc_status qcc_graph_clone(qcc_graph **out, const qcc_graph *g) {
  copier c;
  *out = NULL;
  if (g->root != g) return qcc_error(g->cx, QCC_INTERNAL, "I-003", NULL, "only whole models are cloned, not subgraphs");
  QCC_TRY(qcc_graph_status(g));
  QCC_TRY(qcc_graph_new(&c.root, g->cx));
  qcc_map_init(&c.made, g->cx);
  bool done = note(&c, g, c.root) && copy_model(&c, g) && copy_all(&c, g, false);
  qcc_map_fini(&c.made);
  if (!done) {
    qcc_graph_free(c.root);
    return QCC_NOMEM;
  }
  *out = c.root;
  return QCC_OK;
}
