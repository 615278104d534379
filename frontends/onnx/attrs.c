/* SPDX-License-Identifier: Apache-2.0
 * AttributeProto -> qcc_attr, one row per kind. Attributes keep the order of the file.
 * Invariant: an attribute holds exactly the field that its type names; references to attributes of a function are resolved before. */
#include <string.h>

#include "frontends/onnx/pb.h"
#include "ir/graph_internal.h"

enum { ATTRS_MAX = 4096 };

typedef struct taking { /* one attribute on its way in */
  qcc_import *im;
  const qcc_made *made;
  const pb_attr *p; /* after resolving */
  qcc_scope *scope; /* where it was written */
  const qcc_loc *where;
  qcc_attr *out;
} taking;

static qcc_status invalid(const taking *t, const char *what) {
  return qcc_error(t->im->cx, QCC_INVALID, "M-340", t->where, "attribute '%s' %s", t->out->name, what);
}

static void *room(const taking *t, size_t count, size_t size) { return qcc_graph_alloc(t->made->node->graph, count, size); }

/* ---- scalars and lists */
static qcc_status take_float(taking *t) {
  t->out->f = t->p->f;
  return QCC_OK;
}

static qcc_status take_int(taking *t) {
  t->out->i = t->p->i;
  return QCC_OK;
}

static qcc_status copy_bytes(const taking *t, const ProtobufCBinaryData *from, qcc_bytes *to) {
  char *at = room(t, from->len + 1, 1); /* zeroed */
  if (!at) return QCC_NOMEM;
  if (from->len) memcpy(at, from->data, from->len);
  *to = (qcc_bytes){.at = at, .n = from->len};
  return QCC_OK;
}

static qcc_status take_string(taking *t) {
  ProtobufCBinaryData none = {0};
  return copy_bytes(t, t->p->has_s ? &t->p->s : &none, &t->out->s);
}

static qcc_status set_count(taking *t, size_t n) {
  t->out->count = (uint32_t)n;
  return n <= UINT32_MAX ? QCC_OK : invalid(t, "has too many elements");
}

static qcc_status take_floats(taking *t) {
  float *to = room(t, t->p->n_floats, sizeof *to);
  if (!to) return QCC_NOMEM;
  if (t->p->n_floats) memcpy(to, t->p->floats, t->p->n_floats * sizeof *to);
  t->out->floats = to;
  return set_count(t, t->p->n_floats);
}

static qcc_status take_ints(taking *t) {
  int64_t *to = room(t, t->p->n_ints, sizeof *to);
  if (!to) return QCC_NOMEM;
  if (t->p->n_ints) memcpy(to, t->p->ints, t->p->n_ints * sizeof *to);
  t->out->ints = to;
  return set_count(t, t->p->n_ints);
}

static qcc_status take_strings(taking *t) {
  qcc_bytes *to = room(t, t->p->n_strings, sizeof *to);
  if (!to) return QCC_NOMEM;
  for (size_t k = 0; k < t->p->n_strings; k++) QCC_TRY(copy_bytes(t, &t->p->strings[k], &to[k]));
  t->out->strings = to;
  return set_count(t, t->p->n_strings);
}

/* ---- tensors and graphs */
static qcc_status own_tensor(taking *t, const pb_tensor *p, const qcc_tensor **out) {
  qcc_tensor tensor = {0};
  QCC_TRY(qcc_import_tensor(t->im, p, t->where, &tensor));
  *out = qcc_graph_own(t->made->node->graph, &tensor);
  return *out ? QCC_OK : QCC_NOMEM;
}

/* What the IR drops of a tensor (name, doc_string) stays in the attribute only if the whole attribute is opaque; a name is no meaning. */
static qcc_status take_tensor(taking *t) {
  if (!t->p->t) return invalid(t, "is a tensor without value");
  return own_tensor(t, t->p->t, &t->out->t);
}

static qcc_status take_tensors(taking *t) {
  qcc_tensor *to = room(t, t->p->n_tensors, sizeof *to);
  if (!to) return QCC_NOMEM;
  for (size_t k = 0; k < t->p->n_tensors; k++) {
    const qcc_tensor *kept = NULL;
    QCC_TRY(own_tensor(t, t->p->tensors[k], &kept));
    to[k] = *kept;
  }
  t->out->tensors = to;
  return set_count(t, t->p->n_tensors);
}

static qcc_status queue_graph(taking *t, const pb_graph *p, qcc_graph **out) {
  qcc_graph *g = qcc_subgraph_new(t->made->node->graph);
  if (!g) return QCC_NOMEM;
  g->owner = t->made->node;
  qcc_later later = {.graph = g, .pb = p, .outer = t->scope};
  *out = g;
  return qcc_vec_push(t->im->cx, &t->im->later, later) ? QCC_OK : QCC_NOMEM;
}

static qcc_status take_graph(taking *t) { return t->p->g ? queue_graph(t, t->p->g, &t->out->g) : invalid(t, "is a graph without value"); }

static qcc_status take_graphs(taking *t) {
  qcc_graph **to = room(t, t->p->n_graphs, sizeof *to);
  if (!to) return QCC_NOMEM;
  for (size_t k = 0; k < t->p->n_graphs; k++) QCC_TRY(queue_graph(t, t->p->graphs[k], &to[k]));
  t->out->graphs = to;
  return set_count(t, t->p->n_graphs);
}

/* Kinds outside the IR: sparse tensors, types, and what newer versions bring. */
static qcc_status take_opaque(taking *t) {
  qcc_pb_file *f = t->im->file;
  pb_attr copy = *t->p;
  if (copy.g || copy.n_graphs || copy.t || copy.n_tensors) {
    return qcc_error(t->im->cx, QCC_UNSUPPORTED, "U-304", t->where, "attribute '%s' has the unknown type %d", t->out->name, (int)copy.type);
  }
  if (copy.sparse_tensor) {
    qcc_pb_unstrip(f, copy.sparse_tensor->values);
    qcc_pb_unstrip(f, copy.sparse_tensor->indices);
  }
  for (size_t k = 0; k < copy.n_sparse_tensors; k++) {
    qcc_pb_unstrip(f, copy.sparse_tensors[k]->values);
    qcc_pb_unstrip(f, copy.sparse_tensors[k]->indices);
  }
  return qcc_pb_keep(t->im, &copy.base, &t->out->extra);
}

/* ---- kinds */
typedef struct kind {
  qcc_attr_kind kind;
  qcc_status (*take)(taking *t);
} kind;

static const kind kinds[] = {
    /* by AttributeProto.type */
    [QCC_PB_FLOAT] = {QCC_ATTR_FLOAT, take_float},       [QCC_PB_INT] = {QCC_ATTR_INT, take_int},
    [QCC_PB_STRING] = {QCC_ATTR_STRING, take_string},    [QCC_PB_TENSOR] = {QCC_ATTR_TENSOR, take_tensor},
    [QCC_PB_GRAPH] = {QCC_ATTR_GRAPH, take_graph},       [QCC_PB_FLOATS] = {QCC_ATTR_FLOATS, take_floats},
    [QCC_PB_INTS] = {QCC_ATTR_INTS, take_ints},          [QCC_PB_STRINGS] = {QCC_ATTR_STRINGS, take_strings},
    [QCC_PB_TENSORS] = {QCC_ATTR_TENSORS, take_tensors}, [QCC_PB_GRAPHS] = {QCC_ATTR_GRAPHS, take_graphs},
};

/* Bit k: the field of type k holds something. Scalars that stand at 0 beside another value are what some writers leave behind. */
static uint32_t fields_of(const pb_attr *p) {
  const bool has[15] = {[QCC_PB_FLOAT] = p->has_f && !(p->f >= 0 && p->f <= 0),
                        [QCC_PB_INT] = p->has_i && p->i != 0,
                        [QCC_PB_STRING] = p->has_s && p->s.len > 0,
                        [QCC_PB_TENSOR] = p->t != NULL,
                        [QCC_PB_GRAPH] = p->g != NULL,
                        [QCC_PB_FLOATS] = p->n_floats > 0,
                        [QCC_PB_INTS] = p->n_ints > 0,
                        [QCC_PB_STRINGS] = p->n_strings > 0,
                        [QCC_PB_TENSORS] = p->n_tensors > 0,
                        [QCC_PB_GRAPHS] = p->n_graphs > 0,
                        [QCC_PB_SPARSE_TENSOR] = p->sparse_tensor != NULL,
                        [QCC_PB_SPARSE_TENSORS] = p->n_sparse_tensors > 0,
                        [QCC_PB_TYPE_PROTO] = p->tp != NULL,
                        [QCC_PB_TYPE_PROTOS] = p->n_type_protos > 0};
  uint32_t bits = 0;
  for (unsigned k = 0; k < 15; k++) bits |= has[k] ? 1u << k : 0;
  return bits;
}

/* The type of an attribute without one (old files): that of its only field. */
static int guess_type(const pb_attr *p) {
  uint32_t bits = fields_of(p);
  if (!bits) return p->has_i ? QCC_PB_INT : p->has_f ? QCC_PB_FLOAT : p->has_s ? QCC_PB_STRING : 0;
  int type = __builtin_ctz(bits);
  return bits == 1u << type ? type : 0;
}

static qcc_status take(taking *t) {
  int type = t->p->has_type && t->p->type ? (int)t->p->type : guess_type(t->p);
  if (type <= 0) return invalid(t, "has no type");
  if (type <= QCC_PB_TYPE_PROTOS && (fields_of(t->p) & ~(1u << type))) return invalid(t, "holds a field that its type does not name");
  bool modeled = type <= QCC_PB_GRAPHS;
  t->out->kind = modeled ? kinds[type].kind : QCC_ATTR_OPAQUE;
  return modeled ? kinds[type].take(t) : take_opaque(t);
}

static qcc_status keep_rest(taking *t) {
  pb_attr rest = QCC__ONNX__ATTRIBUTE_PROTO__INIT;
  if (t->out->kind == QCC_ATTR_OPAQUE) return QCC_OK;
  rest.doc_string = t->p->doc_string;
  rest.base.n_unknown_fields = t->p->base.n_unknown_fields;
  rest.base.unknown_fields = t->p->base.unknown_fields;
  return qcc_pb_keep(t->im, &rest.base, &t->out->extra);
}

static qcc_status import_attr(qcc_import *im, const qcc_made *made, const pb_attr *p, const qcc_loc *where, qcc_attr **out) {
  *out = NULL;
  if (!qcc_pb_given(p->name)) return qcc_error(im->cx, QCC_INVALID, "M-341", where, "an attribute without a name");
  taking t = {.im = im, .made = made, .p = p, .scope = made->scope, .where = where};
  if (qcc_pb_given(p->ref_attr_name)) {
    QCC_TRY(qcc_import_ref(im, &t.p, &t.scope, where));
    if (!t.p) return QCC_OK; /* the call does not give it */
  }
  qcc_attr *a = room(&t, 1, sizeof *a);
  if (!a) return QCC_NOMEM;
  a->name = qcc_intern(im->cx, p->name);
  if (!a->name) return QCC_NOMEM;
  t.out = a;
  QCC_TRY(take(&t));
  QCC_TRY(keep_rest(&t));
  *out = a;
  return QCC_OK;
}

static bool is_there(const qcc_node *n, const char *name) {
  for (const qcc_attr *a = n->attrs; a; a = a->next) {
    if (a->name == name) return true;
  }
  return false;
}

qcc_status qcc_import_attrs(qcc_import *im, const qcc_made *made) {
  qcc_loc where = qcc_import_loc(im, made->pb);
  qcc_attr **tail = &made->node->attrs;
  if (made->pb->n_attribute > ATTRS_MAX) {
    return qcc_error(im->cx, QCC_LIMIT, "L-309", &where, "%zu attributes, at most %d are allowed", made->pb->n_attribute, ATTRS_MAX);
  }
  for (size_t k = 0; k < made->pb->n_attribute; k++) {
    qcc_attr *a = NULL;
    QCC_TRY(import_attr(im, made, made->pb->attribute[k], &where, &a));
    if (!a) continue;
    if (is_there(made->node, a->name)) return qcc_error(im->cx, QCC_INVALID, "M-342", &where, "attribute '%s' is given twice", a->name);
    *tail = a;
    tail = &a->next;
  }
  return QCC_OK;
}
