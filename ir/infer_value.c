/* SPDX-License-Identifier: Apache-2.0
 * Values behind shape arithmetic. Shape gives the sizes of its input, numbers and symbols alike; Gather, Slice, Concat and the reshapes of
 * vectors carry single entries on; everything small whose inputs are known as a whole goes through the folder. So a chain from Shape to
 * Reshape resolves although one of the sizes is a symbol. */
#include "ir/infer.h"

#include "ir/shape.h"

enum { MAX_FOLD_IN = 4096, MAX_FOLD_INTS = 1024, MAX_FOLD_FLOATS = 16 };

/* ---- the table */
qcc_status qcc_facts_init(qcc_facts *facts, const qcc_graph *g, const qcc_eval *fold) {
  *facts = (qcc_facts){.cx = g->cx, .fold = fold, .count = g->root->next_value_id};
  qcc_arena_init(&facts->arena, g->cx);
  facts->at = qcc_zalloc_array(g->cx, (size_t)facts->count + 1, sizeof *facts->at);
  return facts->at ? QCC_OK : QCC_NOMEM;
}

void qcc_facts_fini(qcc_facts *facts) {
  for (uint32_t i = 0; facts->at && i < facts->count; i++)
    if (facts->at[i] && facts->at[i]->known) qcc_tensor_release(&facts->at[i]->value);
  qcc_free(facts->cx, facts->at);
  qcc_arena_fini(&facts->arena);
}

static const qcc_fact *find(const qcc_facts *facts, const qcc_value *v) { return v && v->id < facts->count ? facts->at[v->id] : NULL; }

const qcc_tensor *qcc_fact_known(const qcc_facts *facts, const qcc_value *v) {
  if (qcc_is_const(v)) return v->data;
  const qcc_fact *fact = find(facts, v);
  return fact && fact->known ? &fact->value : NULL;
}

const qcc_entries *qcc_fact_partial(const qcc_facts *facts, const qcc_value *v) {
  const qcc_fact *fact = find(facts, v);
  return fact && fact->entries.n > 0 ? &fact->entries : NULL;
}

static qcc_fact *fresh(qcc_facts *facts, const qcc_value *v) {
  if (!v || v->id >= facts->count) return NULL;
  if (facts->at[v->id] && facts->at[v->id]->known) qcc_tensor_release(&facts->at[v->id]->value);
  if (!facts->at[v->id]) facts->at[v->id] = qcc_arena_alloc(&facts->arena, sizeof(qcc_fact));
  if (facts->at[v->id]) *facts->at[v->id] = (qcc_fact){0};
  return facts->at[v->id];
}

/* Takes the tensor over. */
static qcc_status put_known(qcc_facts *facts, const qcc_value *v, qcc_tensor *t) {
  qcc_fact *fact = v ? fresh(facts, v) : NULL;
  if (!fact) {
    qcc_tensor_release(t);
    return v && v->id < facts->count ? QCC_NOMEM : QCC_OK;
  }
  fact->value = *t;
  fact->known = true;
  return QCC_OK;
}

static bool is_number(int64_t entry) { return entry >= -1; }

/* Entries as a fact; as a known tensor when all are numbers. */
static qcc_status put_entries(qcc_facts *facts, const qcc_value *v, const qcc_type *type, const qcc_entries *e) {
  int64_t count;
  int numbers = 0, told = 0;
  if (!v || !qcc_dtype_is_int(type->dtype) || !qcc_type_count(type, &count) || count != e->n) return QCC_OK;
  for (int i = 0; i < e->n; i++) {
    numbers += is_number(e->at[i]);
    told += e->at[i] != QCC_ENTRY_UNKNOWN;
  }
  if (numbers == e->n) {
    qcc_tensor t;
    QCC_TRY(qcc_tensor_new(&t, facts->cx, type));
    for (int i = 0; i < e->n; i++) qcc_tensor_set(&t, i, (double)e->at[i]);
    return put_known(facts, v, &t);
  }
  qcc_fact *fact = told ? fresh(facts, v) : NULL;
  if (fact) fact->entries = *e;
  return told && !fact ? QCC_NOMEM : QCC_OK;
}

/* ---- entries of inputs: from a known tensor, a partial fact, or only their number */
static bool entries_of(const qcc_infer *f, uint32_t k, qcc_entries *e) {
  const qcc_type *t = qcc_shape_in(f, k);
  const qcc_tensor *known = qcc_shape_known(f, k);
  int64_t count;
  if (!t || t->rank < 0 || t->rank > 1 || !qcc_dtype_is_int(t->dtype)) return false;
  if (!qcc_type_count(t, &count) || count > QCC_MAX_RANK) return false;
  e->n = (int)count;
  for (int i = 0; i < e->n; i++) {
    e->at[i] = QCC_ENTRY_UNKNOWN;
    if (known)
      e->at[i] = qcc_tensor_get_s64(known, i);
    else if (f->partial && f->partial[k])
      e->at[i] = f->partial[k]->at[i];
    if (known && !is_number(e->at[i])) e->at[i] = QCC_ENTRY_UNKNOWN; // such numbers would read as symbols
  }
  return true;
}

static bool learn_shape(const qcc_infer *f, qcc_entries *e) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  if (!x || f->out[0].dim[0] < 0 || f->out[0].dim[0] > QCC_MAX_RANK) return false;
  int64_t start = qcc_attr_int(f->node, "start", 0);
  start = start < -x->rank ? 0 : start < 0 ? start + x->rank : start;
  e->n = (int)f->out[0].dim[0];
  for (int i = 0; i < e->n; i++) e->at[i] = x->dim[start + i] == QCC_DIM_UNKNOWN ? QCC_ENTRY_UNKNOWN : x->dim[start + i];
  return true;
}

static bool learn_gather(const qcc_infer *f, qcc_entries *e) {
  qcc_entries x;
  const qcc_tensor *index = qcc_shape_known(f, 1);
  if (!index || !entries_of(f, 0, &x) || f->in[0]->rank != 1 || qcc_tensor_count(index) > QCC_MAX_RANK) return false;
  e->n = (int)qcc_tensor_count(index);
  for (int i = 0; i < e->n; i++) {
    int64_t at = qcc_tensor_get_s64(index, i);
    at = at < 0 ? at + x.n : at;
    if (at < 0 || at >= x.n) return false;
    e->at[i] = x.at[at];
  }
  return true;
}

static bool learn_slice(const qcc_infer *f, qcc_entries *e) {
  qcc_entries x;
  int64_t start, step = 1;
  uint32_t count;
  if (!entries_of(f, 0, &x) || f->in[0]->rank != 1 || f->out[0].rank != 1 || f->out[0].dim[0] < 0) return false;
  const int64_t *attr = qcc_attr_ints(f->node, "starts", &count);
  if (f->opset < 10 && count == 1)
    start = attr[0];
  else if (!qcc_shape_scalar(f, 1, &start))
    return false;
  if (qcc_shape_in(f, 4) && !qcc_shape_scalar(f, 4, &step)) return false;
  if (step < -QCC_MAX_RANK || step > QCC_MAX_RANK) return false;
  start = start < -x.n ? 0 : start < 0 ? start + x.n : start;
  if (start > x.n - 1) start = step < 0 ? x.n - 1 : x.n;
  e->n = (int)f->out[0].dim[0];
  for (int i = 0; i < e->n; i++) {
    int64_t at = start + i * step;
    if (at < 0 || at >= x.n) return false;
    e->at[i] = x.at[at];
  }
  return true;
}

static bool learn_concat(const qcc_infer *f, qcc_entries *e) {
  e->n = 0;
  for (uint32_t k = 0; k < f->node->in_count; k++) {
    qcc_entries x;
    if (!entries_of(f, k, &x) || e->n + x.n > QCC_MAX_RANK) return false;
    for (int i = 0; i < x.n; i++) e->at[e->n++] = x.at[i];
  }
  return true;
}

static bool learn_entries(const qcc_infer *f, qcc_entries *e) {
  switch (f->node->op) {
    case QCC_OP_SHAPE: return learn_shape(f, e);
    case QCC_OP_GATHER: return learn_gather(f, e);
    case QCC_OP_SLICE: return learn_slice(f, e);
    case QCC_OP_CONCAT: return learn_concat(f, e);
    case QCC_OP_SQUEEZE:
    case QCC_OP_UNSQUEEZE:
    case QCC_OP_RESHAPE:
    case QCC_OP_FLATTEN:
    case QCC_OP_IDENTITY:
    case QCC_OP_CAST: return f->out[0].rank >= 0 && f->out[0].rank <= 1 && entries_of(f, 0, e);
    default: return false;
  }
}

/* ---- whole tensors */
static qcc_status learn_constant(qcc_facts *facts, const qcc_infer *f) {
  const qcc_tensor *value = qcc_attr_tensor(f->node, "value");
  qcc_tensor t;
  if (value) {
    t = qcc_tensor_retain(value);
    return put_known(facts, f->node->out[0], &t);
  }
  if (f->out[0].dtype != QCC_F32 && f->out[0].dtype != QCC_S64) return QCC_OK;
  uint32_t n, m;
  const int64_t *ints = qcc_attr_ints(f->node, "value_ints", &n);
  const float *floats = qcc_attr_floats(f->node, "value_floats", &m);
  const int64_t one = qcc_attr_int(f->node, "value_int", 0);
  const float single = qcc_attr_float(f->node, "value_float", 0);
  bool is_int = f->out[0].dtype == QCC_S64, is_list = f->out[0].rank == 1;
  const void *from = is_int ? (is_list ? (const void *)ints : &one) : is_list ? (const void *)floats : &single;
  QCC_TRY(qcc_tensor_copy(&t, facts->cx, &f->out[0], from ? from : &one)); // an empty list has no bytes
  return put_known(facts, f->node->out[0], &t);
}

static bool may_fold(const qcc_facts *facts, const qcc_infer *f) {
  const qcc_node *n = f->node;
  if (!facts->fold || !facts->fold->fold || n->op == QCC_OP_OPAQUE || n->in_count == 0 || qcc_op_get(n->op)->exact == QCC_RANDOM)
    return false;
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    if (a->kind == QCC_ATTR_GRAPH || a->kind == QCC_ATTR_GRAPHS || a->kind == QCC_ATTR_OPAQUE) return false;
  for (uint32_t k = 0; k < n->in_count; k++)
    if (f->in[k] && (!f->known[k] || qcc_tensor_count(f->known[k]) > MAX_FOLD_IN)) return false;
  for (uint32_t k = 0; k < n->out_count; k++) {
    int64_t count;
    qcc_kind kind = qcc_dtype_kind(f->out[k].dtype);
    if (!qcc_type_count(&f->out[k], &count) || kind == QCC_KIND_STRING || kind == QCC_KIND_NONE || kind == QCC_KIND_COMPLEX) return false;
    if (count > (kind == QCC_KIND_FLOAT ? MAX_FOLD_FLOATS : MAX_FOLD_INTS)) return false;
  }
  return true;
}

static qcc_status learn_folded(qcc_facts *facts, const qcc_infer *f) {
  uint32_t n = f->node->out_count;
  qcc_tensor *out = qcc_zalloc_array(facts->cx, n + 1, sizeof *out);
  if (!out) return QCC_NOMEM;
  qcc_status status = facts->fold->fold(facts->cx, f->node, f->known, out);
  bool done = status == QCC_OK;
  if (status == QCC_UNSUPPORTED) status = QCC_OK; // no kernel: the value stays unknown
  for (uint32_t k = 0; done && k < n; k++) {
    qcc_status put = put_known(facts, f->node->out[k], &out[k]);
    if (put != QCC_OK) status = put;
  }
  qcc_free(facts->cx, out);
  return status;
}

/* The branch that a known condition takes hands over what is known of its outputs. */
static qcc_status learn_if(qcc_facts *facts, const qcc_infer *f) {
  const qcc_tensor *condition = qcc_shape_known(f, 0);
  if (!condition) return QCC_OK;
  const qcc_graph *g = qcc_attr_graph(f->node, qcc_tensor_get(condition, 0) != 0 ? "then_branch" : "else_branch");
  for (uint32_t k = 0; k < f->node->out_count; k++) {
    const qcc_value *from = g->outputs[k]->value;
    const qcc_tensor *known = qcc_fact_known(facts, from);
    const qcc_entries *partial = qcc_fact_partial(facts, from);
    if (known && qcc_tensor_count(known) <= MAX_FOLD_INTS) {
      qcc_tensor t = qcc_tensor_retain(known);
      QCC_TRY(put_known(facts, f->node->out[k], &t));
    } else if (partial) {
      qcc_entries copy = *partial;
      QCC_TRY(put_entries(facts, f->node->out[k], &f->out[k], &copy));
    }
  }
  return QCC_OK;
}

qcc_status qcc_facts_learn(qcc_facts *facts, const qcc_infer *f) {
  const qcc_node *n = f->node;
  qcc_entries e;
  int64_t count;
  if (n->out_count == 0 || n->op == QCC_OP_OPAQUE) return QCC_OK;
  if (n->op == QCC_OP_IF) return learn_if(facts, f);
  if (n->op == QCC_OP_CONSTANT) return learn_constant(facts, f);
  if (n->op == QCC_OP_SIZE && qcc_type_count(f->in[0], &count) && count <= (int64_t)1 << 53) {
    e = (qcc_entries){.n = 1, .at = {count}};
    return put_entries(facts, n->out[0], &f->out[0], &e);
  }
  if (n->op != QCC_OP_SHAPE && may_fold(facts, f)) return learn_folded(facts, f);
  if (learn_entries(f, &e)) return put_entries(facts, n->out[0], &f->out[0], &e);
  return QCC_OK;
}
