/* SPDX-License-Identifier: Apache-2.0
 * Parsed model -> graph. Per graph: constants, inputs, all nodes with named outputs, then inputs and attributes of the nodes, then outputs.
 * Subgraphs wait in a queue until the graph around them is complete, so no recursion follows the file's nesting and outer names win
 * when names must be made unique. Names are resolved through scopes; the graph knows edges only.
 * Invariant: on failure everything made so far is freed and exactly one error has been told. */
#include <string.h>

#include "frontends/onnx/import.h"
#include "frontends/onnx/pb.h"
#include "ir/check.h"
#include "ir/graph_internal.h"

enum { IR_NEWEST = 13, OPSET_NEWEST = 28, IR_NO_OPSETS = 3, ALIAS_HOPS = 10000 };

qcc_loc qcc_import_loc(const qcc_import *im, const pb_node *n) {
  return (qcc_loc){.file = im->file->name, .node = qcc_pb_str(n->name), .op = qcc_pb_str(n->op_type)};
}

static qcc_status invalid(const qcc_import *im, const char *code, const char *tensor, const char *what) {
  qcc_loc where = {.file = im->file->name, .tensor = tensor};
  return qcc_error(im->cx, QCC_INVALID, code, &where, "%s", what);
}

/* ---- scopes */
qcc_scope *qcc_import_scope(qcc_import *im, qcc_scope *outer, qcc_call *call, qcc_graph *g) {
  qcc_scope *s = qcc_arena_alloc(&im->file->arena, sizeof *s);
  if (!s) return NULL;
  *s = (qcc_scope){.outer = outer, .call = call, .graph = g, .next = im->scopes};
  qcc_map_init(&s->names, im->cx);
  im->scopes = s;
  return s;
}

qcc_status qcc_import_bind(qcc_import *im, qcc_scope *s, const char *name, qcc_binding b) {
  const char *key = qcc_intern(im->cx, name);
  if (!key) return QCC_NOMEM;
  qcc_binding *old = qcc_map_ptr(&s->names, key);
  bool expected = old && !old->value && !old->scope && old->name;
  if (old && !expected) return invalid(im, "M-360", name, "the name is defined twice");
  if (!old) {
    old = qcc_arena_alloc(&im->file->arena, sizeof *old);
    if (!old || !qcc_map_put(&s->names, key, (uintptr_t)old)) return QCC_NOMEM;
  }
  *old = b;
  return QCC_OK;
}

/* The name that a value defined as `name` in `s` shall have in the graph. */
static const char *wanted_name(const qcc_import *im, const qcc_scope *s, const char *name) {
  const char *key = qcc_intern(im->cx, name);
  if (!key || !s->call || s->outer) return key;
  const qcc_binding *b = qcc_map_ptr(&s->names, key);
  if (b && !b->value && !b->scope && b->name) return b->name;
  return qcc_internf(im->cx, "%s%s", s->call->prefix, name);
}

static qcc_binding *look_up(qcc_scope *s, const char *name) {
  for (; s; s = s->outer) {
    qcc_binding *b = qcc_map_ptr(&s->names, name);
    if (b) return b;
  }
  return NULL;
}

/* `*out` NULL: an argument that the call left out. */
static qcc_status resolve(qcc_import *im, qcc_scope *s, const char *name, const qcc_loc *where, qcc_value **out) {
  const char *key = qcc_intern(im->cx, name);
  if (!key) return QCC_NOMEM;
  qcc_binding *first = look_up(s, key), *b = first;
  for (unsigned hops = 0; b && !b->value && b->scope; hops++) {
    if (hops > ALIAS_HOPS)
      return qcc_error(im->cx, QCC_INVALID, "M-361", where, "input '%s' depends on itself through calls of functions", name);
    b = look_up(b->scope, b->name);
  }
  bool left_out = b && !b->value && !b->name;
  if (!b || (!b->value && !left_out))
    return qcc_error(im->cx, QCC_INVALID, "M-362", where, "'%s' is not defined: no input, constant or node gives it", name);
  *out = b->value;
  if (b != first) *first = *b;
  return QCC_OK;
}

/* ---- constants and inputs */
static qcc_status add_const(qcc_import *im, qcc_scope *s, const char *name, qcc_tensor *t, qcc_value **out) {
  *out = qcc_add_const(s->graph, name, t);
  return *out ? qcc_import_bind(im, s, name, (qcc_binding){.value = *out}) : QCC_NOMEM;
}

static qcc_status import_initializer(qcc_import *im, qcc_scope *s, const pb_tensor *p) {
  qcc_loc where = {.file = im->file->name, .tensor = qcc_pb_str(p->name)};
  qcc_tensor t = {0};
  qcc_value *v;
  if (!qcc_pb_given(p->name)) return invalid(im, "M-363", NULL, "an initializer without a name");
  QCC_TRY(qcc_import_tensor(im, p, &where, &t));
  QCC_TRY(add_const(im, s, p->name, &t, &v));
  return qcc_import_tensor_rest(im, p, &v->tensor_extra);
}

static qcc_status import_sparse(qcc_import *im, qcc_scope *s, const pb_sparse *p) {
  const char *name = p->values ? qcc_pb_str(p->values->name) : "";
  qcc_loc where = {.file = im->file->name, .tensor = name};
  qcc_tensor t = {0};
  qcc_value *v;
  if (!*name) return invalid(im, "M-363", NULL, "an initializer without a name");
  QCC_TRY(qcc_import_sparse(im, p, &where, &t));
  return add_const(im, s, name, &t, &v);
}

static qcc_status import_consts(qcc_import *im, qcc_scope *s, const pb_graph *p) {
  for (size_t k = 0; k < p->n_initializer; k++) QCC_TRY(import_initializer(im, s, p->initializer[k]));
  for (size_t k = 0; k < p->n_sparse_initializer; k++) QCC_TRY(import_sparse(im, s, p->sparse_initializer[k]));
  return QCC_OK;
}

/* An input with an initializer has a default: a constant for us that stays listed. */
static qcc_status import_input(qcc_import *im, qcc_scope *s, const pb_value *p) {
  const char *name = qcc_intern(im->cx, qcc_pb_str(p->name));
  if (!name) return QCC_NOMEM;
  if (!*name) return invalid(im, "M-364", NULL, "an input without a name");
  qcc_binding *b = qcc_map_ptr(&s->names, name);
  qcc_value *v = b ? b->value : NULL;
  if (v && v->data && !v->is_input) { return qcc_push_input(s->graph, v) ? qcc_import_value_info(im, v, p) : QCC_NOMEM; }
  v = qcc_add_input(s->graph, name, NULL);
  if (!v) return QCC_NOMEM;
  QCC_TRY(qcc_import_bind(im, s, name, (qcc_binding){.value = v}));
  return qcc_import_value_info(im, v, p);
}

/* ---- nodes */
static qcc_status check_node(qcc_import *im, const pb_node *p, const char *domain) {
  qcc_loc where = qcc_import_loc(im, p);
  uint64_t most = qcc_context_limits(im->cx)->nodes;
  if (!qcc_pb_given(p->op_type)) return qcc_error(im->cx, QCC_INVALID, "M-365", &where, "a node without an operator type");
  if (!qcc_graph_opset(im->root, domain)) {
    return qcc_error(im->cx, QCC_INVALID, "M-366", &where, "the operator is of domain '%s', which opset_import does not list", domain);
  }
  if (++im->node_count > most) {
    return qcc_error(im->cx, QCC_LIMIT, "L-313", &where, "more than %llu nodes: raise --max-nodes", (unsigned long long)most);
  }
  return QCC_OK;
}

static qcc_status warn_unknown(qcc_import *im, const qcc_node *n, const pb_node *p) {
  const char *key = qcc_internf(im->cx, "%s\n%s", n->domain, n->op_type);
  if (!key) return QCC_NOMEM;
  if (qcc_map_ptr(&im->warned, key)) return QCC_OK;
  qcc_loc where = qcc_import_loc(im, p);
  qcc_warn(im->cx, "U-306", &where, "the operator '%s' of domain '%s' is not known: it is kept as it is, in float", n->op_type, n->domain);
  return qcc_map_put(&im->warned, key, 1) ? QCC_OK : QCC_NOMEM;
}

static qcc_status name_node(qcc_import *im, qcc_scope *s, qcc_node *n, const pb_node *p) {
  const char *domain = qcc_pb_str(p->domain), *prefix = s->call ? s->call->prefix : "";
  const char *name = qcc_internf(im->cx, "%s%s", qcc_pb_given(p->name) ? prefix : "", qcc_pb_str(p->name));
  n->op_type = qcc_intern(im->cx, p->op_type);
  n->domain = qcc_intern(im->cx, !strcmp(domain, "ai.onnx") ? "" : domain);
  n->overload = qcc_intern(im->cx, qcc_pb_str(p->overload));
  if (!name || !n->op_type || !n->domain || !n->overload || !qcc_name_node(n, name)) return QCC_NOMEM;
  n->op = qcc_op_find(n->domain, n->op_type);
  return n->op == QCC_OP_OPAQUE ? warn_unknown(im, n, p) : QCC_OK;
}

static qcc_status add_output_value(qcc_import *im, qcc_scope *s, qcc_node *n, uint32_t k, const char *name) {
  const char *wanted = wanted_name(im, s, name);
  qcc_value *v = wanted ? qcc_new_value(s->graph) : NULL;
  if (!v || !qcc_name_value(v, wanted)) return QCC_NOMEM;
  v->def = n;
  v->def_index = k;
  n->out[k] = v;
  return qcc_import_bind(im, s, name, (qcc_binding){.value = v});
}

static qcc_status keep_node(qcc_import *im, qcc_node *n, const pb_node *p) {
  pb_node rest = *p;
  rest.n_input = rest.n_output = rest.n_attribute = 0;
  rest.name = rest.op_type = rest.domain = rest.overload = NULL;
  return qcc_pb_keep(im, &rest.base, &n->extra);
}

static qcc_status import_node(qcc_import *im, qcc_scope *s, const pb_node *p) {
  QCC_TRY(check_node(im, p, qcc_pb_str(p->domain)));
  qcc_node *n = qcc_new_node(s->graph, (uint32_t)p->n_input, (uint32_t)p->n_output);
  if (!n) return QCC_NOMEM;
  QCC_TRY(name_node(im, s, n, p));
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (qcc_pb_given(p->output[k])) QCC_TRY(add_output_value(im, s, n, k, p->output[k]));
  }
  qcc_link_node(s->graph, n, NULL);
  if (s->call && qcc_pb_given(s->call->node->name)) n->origin = qcc_intern(im->cx, s->call->node->name);
  QCC_TRY(keep_node(im, n, p));
  qcc_made made = {.node = n, .pb = p, .scope = s};
  return qcc_vec_push(im->cx, &im->made, made) ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_import_nodes(qcc_import *im, qcc_scope *s, pb_node *const *nodes, size_t n) {
  for (size_t k = 0; k < n; k++) {
    qcc_function *f;
    QCC_TRY(qcc_import_callee(im, nodes[k], &f));
    QCC_TRY(f ? qcc_import_call(im, s, f, nodes[k]) : import_node(im, s, nodes[k]));
  }
  return QCC_OK;
}

/* ---- edges */
static qcc_status note_unsorted(qcc_import *im, qcc_graph *g) {
  for (size_t k = im->unsorted.n; k-- > 0;) {
    if (im->unsorted.at[k] == g) return QCC_OK;
  }
  return qcc_vec_push(im->cx, &im->unsorted, g) ? QCC_OK : QCC_NOMEM;
}

/* Does the node (or the one around it, in the graph of the value) stand before what it uses? Ids grow in file order. */
static qcc_status check_order(qcc_import *im, const qcc_node *user, const qcc_value *v) {
  if (!v->def) return QCC_OK;
  while (user && user->graph != v->graph) user = user->graph->owner;
  return user && user->id <= v->def->id ? note_unsorted(im, v->graph) : QCC_OK;
}

static qcc_status link_inputs(qcc_import *im, const qcc_made *m) {
  qcc_loc where = qcc_import_loc(im, m->pb);
  for (uint32_t k = 0; k < m->node->in_count; k++) {
    qcc_value *v = NULL;
    if (!qcc_pb_given(m->pb->input[k])) continue;
    QCC_TRY(resolve(im, m->scope, m->pb->input[k], &where, &v));
    if (!v) continue;
    qcc_link_use(&m->node->in[k], v);
    QCC_TRY(check_order(im, m->node, v));
  }
  return QCC_OK;
}

static qcc_status finish_nodes(qcc_import *im) {
  for (size_t k = 0; k < im->made.n; k++) {
    qcc_made m = im->made.at[k];
    QCC_TRY(link_inputs(im, &m));
    QCC_TRY(qcc_import_attrs(im, &m));
  }
  im->made.n = 0;
  return QCC_OK;
}

/* ---- outputs */
/* The interface keeps its names: give the value the name, or put an Identity when it stands for something else already. */
static qcc_value *with_name(qcc_graph *g, qcc_value *v, const char *name) {
  if (v->name == name) return v;
  qcc_value *holder = qcc_find_value(g, name);
  bool free_to_rename = v->def && v->graph == g && !qcc_is_graph_output(v);
  if (!free_to_rename) {
    qcc_value *in[1] = {v};
    v = qcc_out(qcc_add_node(g, NULL, QCC_OP_IDENTITY, NULL, in, 1, 1), 0);
    if (!v) return NULL;
  }
  if (holder)
    qcc_swap_names(v, holder);
  else
    qcc_rename_value(v, name);
  return v;
}

static qcc_status import_output(qcc_import *im, qcc_scope *s, const pb_value *p, qcc_map *seen) {
  qcc_loc where = {.file = im->file->name};
  qcc_graph *g = s->graph;
  qcc_value *v = NULL;
  const char *name = qcc_intern(im->cx, qcc_pb_str(p->name));
  if (!name) return QCC_NOMEM;
  if (!*name) return invalid(im, "M-367", NULL, "an output without a name");
  if (qcc_map_ptr(seen, name)) return invalid(im, "M-368", name, "the output is listed twice");
  if (!qcc_map_put(seen, name, 1)) return QCC_NOMEM;
  QCC_TRY(resolve(im, s, name, &where, &v));
  if (!v) return invalid(im, "M-369", name, "the output is an argument that a call leaves out");
  if (g == im->root) v = with_name(g, v, name);
  qcc_use *u = v ? qcc_push_output(g) : NULL;
  if (!u) return QCC_NOMEM;
  qcc_link_use(u, v);
  bool told = v->is_input || v->data || v->typed_by_file;
  return told ? QCC_OK : qcc_import_value_info(im, v, p);
}

static qcc_status import_outputs(qcc_import *im, qcc_scope *s, const pb_graph *p) {
  qcc_map seen;
  qcc_status st = QCC_OK;
  qcc_map_init(&seen, im->cx);
  for (size_t k = 0; k < p->n_output && st == QCC_OK; k++) st = import_output(im, s, p->output[k], &seen);
  qcc_map_fini(&seen);
  return st;
}

/* Types of inner values; entries for names that are not there are kept unparsed. `rest` keeps those. */
static qcc_status import_value_infos(qcc_import *im, qcc_scope *s, pb_graph *rest) {
  size_t kept = 0;
  pb_value **all = rest->value_info;
  for (size_t k = 0; k < rest->n_value_info; k++) {
    const char *name = qcc_intern(im->cx, qcc_pb_str(all[k]->name));
    if (!name) return QCC_NOMEM;
    qcc_binding *b = qcc_map_ptr(&s->names, name);
    qcc_value *v = b ? b->value : NULL;
    if (!v || v->is_input || v->typed_by_file) {
      if (!v) all[kept++] = all[k];
      continue;
    }
    QCC_TRY(qcc_import_value_info(im, v, all[k]));
  }
  rest->n_value_info = kept;
  return QCC_OK;
}

/* ---- graphs */
static qcc_status import_graph(qcc_import *im, qcc_scope *s, const pb_graph *p) {
  pb_graph rest = *p;
  s->graph->name = qcc_intern(im->cx, qcc_pb_str(p->name));
  if (!s->graph->name) return QCC_NOMEM;
  QCC_TRY(import_consts(im, s, p));
  for (size_t k = 0; k < p->n_input; k++) QCC_TRY(import_input(im, s, p->input[k]));
  QCC_TRY(qcc_import_nodes(im, s, p->node, p->n_node));
  QCC_TRY(finish_nodes(im));
  QCC_TRY(import_outputs(im, s, p));
  QCC_TRY(import_value_infos(im, s, &rest));
  rest.n_node = rest.n_initializer = rest.n_sparse_initializer = rest.n_input = rest.n_output = 0;
  rest.name = NULL;
  return qcc_pb_keep(im, &rest.base, &s->graph->extra);
}

static qcc_status import_graphs(qcc_import *im) {
  qcc_scope *root = qcc_import_scope(im, NULL, NULL, im->root);
  if (!root) return QCC_NOMEM;
  QCC_TRY(import_graph(im, root, im->model->graph));
  for (size_t k = 0; k < im->later.n; k++) { /* grows while it runs */
    qcc_later l = im->later.at[k];
    qcc_scope *s = qcc_import_scope(im, l.outer, l.outer->call, l.graph);
    if (!s) return QCC_NOMEM;
    QCC_TRY(import_graph(im, s, l.pb));
  }
  return qcc_graph_status(im->root);
}

static qcc_status sort_graphs(qcc_import *im) {
  qcc_loc where = {.file = im->file->name};
  if (im->unsorted.n) qcc_warn(im->cx, "M-370", &where, "the nodes are not in topological order: sorted");
  for (size_t k = 0; k < im->unsorted.n; k++) QCC_TRY(qcc_sort_nodes(im->unsorted.at[k]));
  return QCC_OK;
}

/* ---- model */
static qcc_status import_opset(qcc_import *im, const pb_opset *o) {
  qcc_loc where = {.file = im->file->name};
  const char *domain = qcc_intern(im->cx, strcmp(qcc_pb_str(o->domain), "ai.onnx") ? qcc_pb_str(o->domain) : "");
  if (!domain) return QCC_NOMEM;
  bool standard = !*domain;
  if (qcc_map_get(&im->root->names->opsets, domain, NULL))
    return qcc_error(im->cx, QCC_INVALID, "M-371", &where, "the opset of domain '%s' is imported twice", domain);
  if (o->version < 1)
    return qcc_error(im->cx, QCC_INVALID, "M-372", &where, "opset %lld of domain '%s'; allowed: 1 and up", (long long)o->version, domain);
  if (standard && o->version > OPSET_NEWEST) {
    return qcc_error(im->cx, QCC_UNSUPPORTED, "U-307", &where, "opset %lld; the newest that is known is %d", (long long)o->version,
                     OPSET_NEWEST);
  }
  return qcc_graph_set_opset(im->root, domain, o->version);
}

static qcc_status import_opsets(qcc_import *im) {
  im->root->opset_count = 0; /* those of a fresh graph */
  qcc_map_fini(&im->root->names->opsets);
  qcc_map_init(&im->root->names->opsets, im->cx);
  for (size_t k = 0; k < im->model->n_opset_import; k++) QCC_TRY(import_opset(im, im->model->opset_import[k]));
  if (im->root->opset_count) return QCC_OK;
  if (im->model->ir_version < IR_NO_OPSETS) return qcc_graph_set_opset(im->root, "", 1);
  return invalid(im, "M-373", NULL, "the model imports no opset");
}

static qcc_status import_metadata(qcc_import *im) {
  for (size_t k = 0; k < im->model->n_metadata_props; k++) {
    const pb_entry *e = im->model->metadata_props[k];
    const char *key = qcc_intern(im->cx, qcc_pb_str(e->key));
    if (!key) return QCC_NOMEM;
    if (qcc_map_get(&im->root->names->meta, key, NULL)) return invalid(im, "M-374", NULL, "a key of metadata_props is given twice");
    QCC_TRY(qcc_graph_set_metadata(im->root, key, qcc_pb_str(e->value)));
  }
  return QCC_OK;
}

static qcc_status check_model(qcc_import *im) {
  const pb_model *m = im->model;
  qcc_loc where = {.file = im->file->name};
  if (!m->graph) return invalid(im, "M-375", NULL, "no graph: the file is empty or not an ONNX model");
  if (m->ir_version < 1)
    return qcc_error(im->cx, QCC_INVALID, "M-376", &where, "ir_version %lld; allowed: 1 and up", (long long)m->ir_version);
  if (m->ir_version > IR_NEWEST) {
    return qcc_error(im->cx, QCC_UNSUPPORTED, "U-308", &where, "ir_version %lld; the newest that is known is %d", (long long)m->ir_version,
                     IR_NEWEST);
  }
  if (m->n_training_info)
    return qcc_error(im->cx, QCC_UNSUPPORTED, "U-309", &where, "training_info: only models for inference are supported");
  if (m->graph->n_output == 0) return invalid(im, "M-377", NULL, "the graph has no outputs");
  return QCC_OK;
}

static qcc_status import_header(qcc_import *im) {
  const pb_model *m = im->model;
  qcc_graph *g = im->root;
  pb_model rest = *m;
  g->ir_version = m->ir_version;
  g->model_version = m->model_version;
  g->file = im->file->name ? qcc_intern(im->cx, im->file->name) : NULL;
  g->producer = qcc_intern(im->cx, qcc_pb_str(m->producer_name));
  g->producer_version = qcc_intern(im->cx, qcc_pb_str(m->producer_version));
  g->model_domain = qcc_intern(im->cx, qcc_pb_str(m->domain));
  if (!g->producer || !g->producer_version || !g->model_domain) return QCC_NOMEM;
  QCC_TRY(import_opsets(im));
  QCC_TRY(import_metadata(im));
  rest.has_ir_version = rest.has_model_version = false;
  rest.producer_name = rest.producer_version = rest.domain = NULL;
  rest.graph = NULL;
  rest.n_opset_import = rest.n_metadata_props = rest.n_functions = 0;
  return qcc_pb_keep(im, &rest.base, &g->model_extra);
}

static qcc_status run_import(qcc_import *im) {
  QCC_TRY(check_model(im));
  QCC_TRY(import_header(im));
  QCC_TRY(qcc_import_functions(im));
  QCC_TRY(import_graphs(im));
  QCC_TRY(sort_graphs(im));
  return qcc_verify(im->root, QCC_INVALID);
}

static void free_import(qcc_import *im) {
  for (qcc_scope *s = im->scopes; s; s = s->next) qcc_map_fini(&s->names);
  qcc_map_fini(&im->function_index);
  qcc_map_fini(&im->warned);
  qcc_vec_free(im->cx, &im->made);
  qcc_vec_free(im->cx, &im->later);
  qcc_vec_free(im->cx, &im->unsorted);
  qcc_import_close_data(im);
}

static qcc_status load(qcc_graph **out, qcc_pb_file *f, const char *base) {
  ProtobufCMessage *message = NULL;
  qcc_import im = {.cx = f->cx, .file = f, .base = base};
  QCC_TRY(qcc_pb_parse(f, QCC_PB_ROOT_MODEL, &message));
  im.model = (const pb_model *)message;
  QCC_TRY(qcc_graph_new(&im.root, f->cx));
  qcc_map_init(&im.function_index, f->cx);
  qcc_map_init(&im.warned, f->cx);
  qcc_status st = run_import(&im);
  free_import(&im);
  if (st == QCC_OK)
    *out = im.root;
  else
    qcc_graph_free(im.root);
  return st;
}

/* ---- the doors */
static const char *folder_of(qcc_context *cx, const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return ".";
  return slash == path ? "/" : qcc_intern_n(cx, path, (size_t)(slash - path));
}

qcc_status qcc_onnx_load(qcc_graph **out, qcc_context *cx, const char *path) {
  qcc_pb_file f;
  *out = NULL;
  qcc_status st = qcc_pb_open(&f, cx, path);
  const char *base = st == QCC_OK ? folder_of(cx, path) : NULL;
  if (st == QCC_OK) st = base ? load(out, &f, base) : QCC_NOMEM;
  qcc_pb_close(&f);
  return st;
}

qcc_status qcc_onnx_load_memory(qcc_graph **out, qcc_context *cx, const void *bytes, size_t n, const char *base, const char *file,
                                bool copy) {
  qcc_pb_file f = {.cx = cx, .name = file};
  *out = NULL;
  qcc_arena_init(&f.arena, cx);
  qcc_loc where = {.file = file};
  uint64_t most = qcc_context_limits(cx)->model_bytes;
  if (n > most)
    return qcc_error(cx, QCC_LIMIT, "L-304", &where, "the model has %zu bytes, at most %llu are allowed: raise --max-model-bytes", n,
                     (unsigned long long)most);
  f.bytes = copy ? qcc_buf_copy(cx, bytes, n) : qcc_buf_wrap(cx, bytes, n, NULL, NULL);
  qcc_status st = f.bytes ? load(out, &f, base) : QCC_NOMEM;
  qcc_pb_close(&f);
  return st;
}

static qcc_status load_tensor(qcc_tensor *out, qcc_pb_file *f, const char **name) {
  ProtobufCMessage *message = NULL;
  qcc_import im = {.cx = f->cx, .file = f};
  QCC_TRY(qcc_pb_parse(f, QCC_PB_ROOT_TENSOR, &message));
  const pb_tensor *p = (const pb_tensor *)message;
  qcc_loc where = {.file = f->name, .tensor = p->name};
  QCC_TRY(qcc_import_tensor(&im, p, &where, out));
  if (!name) return QCC_OK;
  *name = qcc_intern(f->cx, qcc_pb_str(p->name));
  if (*name) return QCC_OK;
  qcc_tensor_release(out);
  return QCC_NOMEM;
}

qcc_status qcc_onnx_load_tensor(qcc_tensor *out, qcc_context *cx, const char *path, const char **name) {
  qcc_pb_file f;
  *out = (qcc_tensor){0};
  qcc_status st = qcc_pb_open(&f, cx, path);
  if (st == QCC_OK) st = load_tensor(out, &f, name);
  qcc_pb_close(&f);
  return st == QCC_INVALID || st == QCC_UNSUPPORTED ? QCC_DATA : st;
}

qcc_status qcc_onnx_load_tensor_memory(qcc_tensor *out, qcc_context *cx, const void *bytes, size_t n, const char *file) {
  qcc_pb_file f = {.cx = cx, .name = file};
  *out = (qcc_tensor){0};
  qcc_arena_init(&f.arena, cx);
  f.bytes = qcc_buf_copy(cx, bytes, n);
  qcc_status st = f.bytes ? load_tensor(out, &f, NULL) : QCC_NOMEM;
  qcc_pb_close(&f);
  return st == QCC_INVALID || st == QCC_UNSUPPORTED ? QCC_DATA : st;
}
