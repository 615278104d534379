/* SPDX-License-Identifier: Apache-2.0
 * Local functions: every call is replaced by the nodes of the body while the graph is made, so nothing after the import knows them.
 * Names of the body live in a scope of their own; its inputs are aliases of the caller's names, the caller's outputs aliases of its.
 * Invariant: recursion and the number of nodes are known before the first call is inlined. */
#include <string.h>

#include "frontends/onnx/pb.h"

enum { DEPTH_MAX = 1000 };

static const char *key_of(qcc_context *cx, const char *domain, const char *name, const char *overload) {
  const char *d = qcc_pb_str(domain);
  if (!strcmp(d, "ai.onnx")) d = "";
  return qcc_internf(cx, "%s\n%s\n%s", d, qcc_pb_str(name), qcc_pb_str(overload));
}

qcc_status qcc_import_callee(const qcc_import *im, const pb_node *n, qcc_function **out) {
  *out = NULL;
  if (im->function_count == 0) return QCC_OK;
  const char *key = key_of(im->cx, n->domain, n->op_type, n->overload);
  if (!key) return QCC_NOMEM;
  *out = qcc_map_ptr(&im->function_index, key);
  return QCC_OK;
}

static qcc_loc function_loc(const qcc_import *im, const qcc_function *f) {
  return (qcc_loc){.file = im->file->name, .op = qcc_pb_str(f->pb->name)};
}

/* ---- the table */
static qcc_status check_opsets(qcc_import *im, const qcc_function *f) {
  qcc_loc where = function_loc(im, f);
  for (size_t k = 0; k < f->pb->n_opset_import; k++) {
    const pb_opset *o = f->pb->opset_import[k];
    int64_t ours = qcc_graph_opset(im->root, qcc_pb_str(o->domain));
    if (o->version < 1)
      return qcc_error(im->cx, QCC_INVALID, "M-350", &where, "opset version %lld; allowed: 1 and up", (long long)o->version);
    if (ours == 0) QCC_TRY(qcc_graph_set_opset(im->root, qcc_pb_str(o->domain), o->version));
    if (ours != 0 && ours != o->version) {
      return qcc_error(im->cx, QCC_UNSUPPORTED, "U-305", &where,
                       "the function imports opset %lld of '%s', the model %lld; convert the model to one version", (long long)o->version,
                       qcc_pb_str(o->domain), (long long)ours);
    }
  }
  return QCC_OK;
}

static qcc_status add_function(qcc_import *im, qcc_function *f, const pb_function *p) {
  f->pb = p;
  f->key = key_of(im->cx, p->domain, p->name, p->overload);
  if (!f->key) return QCC_NOMEM;
  qcc_loc where = function_loc(im, f);
  if (!qcc_pb_given(p->name)) return qcc_error(im->cx, QCC_INVALID, "M-351", &where, "a function without a name");
  if (qcc_map_ptr(&im->function_index, f->key)) return qcc_error(im->cx, QCC_INVALID, "M-352", &where, "the function is defined twice");
  if (!qcc_map_put(&im->function_index, f->key, (uintptr_t)f)) return QCC_NOMEM;
  return check_opsets(im, f);
}

/* ---- counting */
typedef struct counting {
  qcc_import *im;
  uint64_t most;
  unsigned depth;
} counting;

static qcc_status count_nodes(counting *c, pb_node *const *nodes, size_t n, uint64_t *total);

static qcc_status count_function(counting *c, qcc_function *f) {
  qcc_loc where = function_loc(c->im, f);
  uint64_t most = qcc_context_limits(c->im->cx)->call_depth, total = 1;
  if (f->expanded) return QCC_OK;
  if (f->open) return qcc_error(c->im->cx, QCC_INVALID, "M-353", &where, "the function calls itself");
  if (c->depth >= most || c->depth >= DEPTH_MAX) {
    return qcc_error(c->im->cx, QCC_LIMIT, "L-310", &where, "calls are nested deeper than %llu: raise --max-call-depth (up to 1000)",
                     (unsigned long long)most);
  }
  f->open = true;
  c->depth++;
  qcc_status st = count_nodes(c, f->pb->node, f->pb->n_node, &total);
  c->depth--;
  f->open = false;
  f->expanded = total;
  return st;
}

static qcc_status count_graphs(counting *c, const pb_node *n, uint64_t *total) {
  for (size_t k = 0; k < n->n_attribute; k++) {
    const pb_attr *a = n->attribute[k];
    if (a->g) QCC_TRY(count_nodes(c, a->g->node, a->g->n_node, total));
    for (size_t j = 0; j < a->n_graphs; j++) QCC_TRY(count_nodes(c, a->graphs[j]->node, a->graphs[j]->n_node, total));
  }
  return QCC_OK;
}

/* Recursion: graphs as deep as the scan allows, times the depth of calls. */
static qcc_status count_nodes(counting *c, pb_node *const *nodes, size_t n, uint64_t *total) {
  for (size_t k = 0; k < n; k++) {
    qcc_function *f;
    QCC_TRY(qcc_import_callee(c->im, nodes[k], &f));
    if (f) QCC_TRY(count_function(c, f));
    QCC_TRY(count_graphs(c, nodes[k], total));
    uint64_t more = f ? f->expanded : 1;
    *total = *total + more < *total ? UINT64_MAX : *total + more;
    if (*total <= c->most) continue;
    qcc_loc where = {.file = c->im->file->name};
    return qcc_error(c->im->cx, QCC_LIMIT, "L-311", &where,
                     "the model has more than %llu nodes after inlining its functions: raise --max-nodes", (unsigned long long)c->most);
  }
  return QCC_OK;
}

qcc_status qcc_import_functions(qcc_import *im) {
  uint64_t most = qcc_context_limits(im->cx)->functions, total = 0;
  qcc_loc where = {.file = im->file->name};
  im->function_count = im->model->n_functions;
  if (im->function_count > most) {
    return qcc_error(im->cx, QCC_LIMIT, "L-312", &where, "%zu local functions, at most %llu are allowed: raise --max-functions",
                     im->function_count, (unsigned long long)most);
  }
  im->functions = qcc_arena_array(&im->file->arena, im->function_count, sizeof *im->functions);
  if (!im->functions) return QCC_NOMEM;
  for (size_t k = 0; k < im->function_count; k++) QCC_TRY(add_function(im, &im->functions[k], im->model->functions[k]));
  counting c = {.im = im, .most = qcc_context_limits(im->cx)->nodes};
  for (size_t k = 0; k < im->function_count; k++) QCC_TRY(count_function(&c, &im->functions[k]));
  return count_nodes(&c, im->model->graph->node, im->model->graph->n_node, &total);
}

/* ---- attributes of the call */
static const pb_attr *attr_named(pb_attr *const *attrs, size_t n, const char *name) {
  for (size_t k = 0; k < n; k++) {
    if (!strcmp(qcc_pb_str(attrs[k]->name), name)) return attrs[k];
  }
  return NULL;
}

qcc_status qcc_import_ref(qcc_import *im, const pb_attr **attr, qcc_scope **scope, const qcc_loc *where) {
  int32_t type = (*attr)->has_type ? (int32_t)(*attr)->type : 0;
  while (*attr && qcc_pb_given((*attr)->ref_attr_name)) {
    const qcc_call *call = (*scope)->call;
    const char *name = (*attr)->ref_attr_name;
    if (!call)
      return qcc_error(im->cx, QCC_INVALID, "M-354", where, "attribute '%s' refers to '%s' outside a function", qcc_pb_str((*attr)->name),
                       name);
    *attr = attr_named(call->node->attribute, call->node->n_attribute, name);
    *scope = call->caller;
    if (*attr) continue;
    *attr = attr_named(call->function->pb->attribute_proto, call->function->pb->n_attribute_proto, name);
    break;
  }
  bool wrong = *attr && type && (*attr)->has_type && (*attr)->type && (int32_t)(*attr)->type != type;
  if (wrong)
    return qcc_error(im->cx, QCC_INVALID, "M-355", where, "attribute '%s' is not of the type that the function's body expects",
                     qcc_pb_str((*attr)->name));
  return QCC_OK;
}

/* ---- inlining */
static qcc_status bind_inputs(qcc_import *im, qcc_call *call) {
  const pb_function *p = call->function->pb;
  qcc_loc where = qcc_import_loc(im, call->node);
  if (call->node->n_input > p->n_input || call->node->n_output > p->n_output) {
    return qcc_error(im->cx, QCC_INVALID, "M-356", &where, "the call has %zu inputs and %zu outputs, the function %zu and %zu",
                     call->node->n_input, call->node->n_output, p->n_input, p->n_output);
  }
  for (size_t k = 0; k < p->n_input; k++) {
    qcc_binding b = {0};
    if (k < call->node->n_input && qcc_pb_given(call->node->input[k])) {
      b.scope = call->caller;
      b.name = qcc_intern(im->cx, call->node->input[k]);
      if (!b.name) return QCC_NOMEM;
    }
    QCC_TRY(qcc_import_bind(im, call->scope, p->input[k], b));
  }
  return QCC_OK;
}

/* The body's output gets the name that the caller wants; the caller's name becomes an alias of it. */
static qcc_status bind_output(qcc_import *im, qcc_call *call, const char *inner, const char *outer) {
  const char *in = qcc_intern(im->cx, inner), *out = qcc_intern(im->cx, outer);
  if (!in || !out) return QCC_NOMEM;
  qcc_binding *waiting = qcc_map_ptr(&call->caller->names, out);
  bool expected = waiting && !waiting->value && !waiting->scope && waiting->name;
  const char *name = expected ? waiting->name : call->caller->call ? qcc_internf(im->cx, "%s%s", call->caller->call->prefix, out) : out;
  if (!name) return QCC_NOMEM;
  if (!qcc_map_ptr(&call->scope->names, in)) QCC_TRY(qcc_import_bind(im, call->scope, in, (qcc_binding){.name = name}));
  if (!expected) return qcc_import_bind(im, call->caller, out, (qcc_binding){.scope = call->scope, .name = in});
  *waiting = (qcc_binding){.scope = call->scope, .name = in};
  return QCC_OK;
}

qcc_status qcc_import_call(qcc_import *im, qcc_scope *s, const qcc_function *f, const pb_node *n) {
  qcc_call *call = qcc_arena_alloc(&im->file->arena, sizeof *call);
  if (!call) return QCC_NOMEM;
  const char *name = qcc_pb_given(n->name) ? n->name : qcc_pb_str(n->op_type);
  *call = (qcc_call){.up = s->call, .function = f, .node = n, .caller = s};
  call->prefix = qcc_internf(im->cx, "%s%s/", s->call ? s->call->prefix : "", name);
  call->scope = qcc_import_scope(im, NULL, call, s->graph);
  if (!call->prefix || !call->scope) return QCC_NOMEM;
  QCC_TRY(bind_inputs(im, call));
  for (size_t k = 0; k < n->n_output; k++) {
    if (qcc_pb_given(n->output[k])) QCC_TRY(bind_output(im, call, f->pb->output[k], n->output[k]));
  }
  return qcc_import_nodes(im, call->scope, f->pb->node, f->pb->n_node);
}
