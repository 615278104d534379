/* SPDX-License-Identifier: Apache-2.0
 * fold-constants: what is known before the model runs is computed now.
 *
 *   %s = Shape(%x)                             (x: f32[1,3,N,M])
 *   %c = Gather(%s, %one)              ->      %c = const s64[] inline(3)
 *   %r = Reshape(%x, %computed)                %r = Reshape(%x, const [1,3,-1])   when its shape is known but for one dim
 *
 * Nodes run on the injected evaluator; without one only shapes fold. Not folded: random and unknown operators, Q/DQ (they carry the
 * quantization of weights), nodes with subgraphs, results that would bloat the model; with codes=keep neither weights in 8 bit behind Cast and
 * Mul. Claim: rounds (a kernel of the reference runtime computes now what another one would later). */
#include <string.h>

#include "ir/check.h"
#include "passes/facts.h"
#include "passes/rewrite.h"

enum {
  MOST_BYTES = 64 << 20, /* of one result */
  FREE_BYTES = 64 << 10, /* results up to here may grow as they like */
  MOST_GROWTH = 4,       /* larger ones: times their inputs */
  MOST_IN = 16
};

/* ---- nodes whose inputs are all constant */

static bool has_graph(const qcc_node *n) {
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    if (a->kind == QCC_ATTR_GRAPH || a->kind == QCC_ATTR_GRAPHS) return true;
  return false;
}

static bool all_const(const qcc_node *n) {
  uint32_t given = 0;
  for (uint32_t k = 0; k < n->in_count; k++) {
    if (qcc_in(n, k) && !qcc_is_const(qcc_in(n, k))) return false;
    given += qcc_in(n, k) != NULL;
  }
  return given > 0;
}

/* Bytes of the results from their inferred types; SIZE_MAX: not known beforehand. */
static qcc_status result_bytes(qcc_pass_cx *p, const qcc_node *n, size_t *sum) {
  const qcc_type *in[MOST_IN];
  const qcc_tensor *known[MOST_IN];
  qcc_type types[MOST_IN];
  for (uint32_t k = 0; k < n->in_count; k++) {
    in[k] = qcc_in(n, k) ? &qcc_in(n, k)->type : NULL;
    known[k] = qcc_in(n, k) ? qcc_in(n, k)->data : NULL;
  }
  for (uint32_t k = 0; k < n->out_count; k++) types[k] = qcc_type_unknown();
  qcc_infer f = {.cx = p->cx, .node = n, .opset = qcc_graph_opset(p->g, n->domain), .in = in, .known = known, .out = types};
  QCC_TRY(qcc_infer_node(&f));
  *sum = 0;
  for (uint32_t k = 0; k < n->out_count; k++) {
    size_t bytes;
    if (!n->out[k]) continue;
    if (!qcc_type_bytes(&types[k], &bytes) || !qcc_add_size(*sum, bytes, sum)) *sum = SIZE_MAX;
    if (*sum == SIZE_MAX) break;
  }
  return QCC_OK;
}

static const char *too_big(const qcc_node *n, size_t out) {
  size_t in = 0;
  for (uint32_t k = 0; k < n->in_count; k++)
    if (qcc_in(n, k)) in += qcc_in(n, k)->data->bytes;
  if (out == SIZE_MAX) return in <= FREE_BYTES && n->op == QCC_OP_NON_ZERO ? NULL : "the size of the result is not known";
  if (out > MOST_BYTES) return "the result is larger than 64 MiB";
  return out <= FREE_BYTES || out / MOST_GROWTH <= in ? NULL : "the result is more than four times as large as what it is made from";
}

static const char *unfit(const qcc_node *n) {
  const qcc_op_info *info = qcc_op_get(n->op);
  if (n->op == QCC_OP_OPAQUE) return "the operator is unknown";
  if (info->exact == QCC_RANDOM) return "the operator is random";
  if (info->role == QCC_ROLE_QUANT) return "it carries a quantization";
  if (has_graph(n)) return "it has a subgraph";
  if (n->in_count > MOST_IN || n->out_count > MOST_IN) return "it has too many inputs or outputs";
  for (uint32_t k = 0; k < n->out_count; k++)
    if (n->out[k] && qcc_is_graph_output(n->out[k])) return "its result is a graph output";
  return NULL;
}

/* Results become constants with the names of the values; consumes `out`. */
static qcc_status take_results(qcc_node *n, qcc_tensor *out) {
  qcc_graph *g = n->graph;
  uint32_t count = n->out_count;
  qcc_status status = QCC_OK;
  for (uint32_t k = 0; k < count; k++) {
    qcc_value *v = qcc_out(n, k);
    if (status != QCC_OK || !v || !v->use_count) {
      qcc_tensor_release(&out[k]);
      continue;
    }
    qcc_value *c = qcc_add_const(g, NULL, &out[k]);
    if (!c)
      status = QCC_NOMEM;
    else
      qcc_swap_names(v, c), qcc_replace_uses(v, c);
  }
  return status == QCC_OK ? qcc_erase_node(n) : status;
}

static qcc_status fold_node(qcc_pass_cx *p, qcc_node *n) {
  const qcc_tensor *in[MOST_IN];
  qcc_tensor out[MOST_IN] = {{{0}, 0, 0, 0}};
  size_t bytes = 0;
  if (!p->eval || !all_const(n)) return QCC_OK;
  const char *why = unfit(n);
  if (!why && qcc_stores_codes(n) && strcmp(qcc_pass_option_get(p, "codes", ""), "keep") == 0) why = "it stores weights in few bits";
  if (!why) QCC_TRY(result_bytes(p, n, &bytes));
  if (!why) why = too_big(n, bytes);
  if (why) {
    qcc_pass_decline(p, n, "fold-node", why);
    return QCC_OK;
  }
  for (uint32_t k = 0; k < n->in_count; k++) in[k] = qcc_in(n, k) ? qcc_in(n, k)->data : NULL;
  qcc_status status = p->eval->fold(p->cx, n, in, out);
  if (status == QCC_UNSUPPORTED) qcc_pass_decline(p, n, "fold-node", "the runtime cannot compute it");
  if (status == QCC_UNSUPPORTED) return QCC_OK;
  QCC_TRY(status);
  if (qcc_rewrite_ok(p, n, "fold-node")) return take_results(n, out);
  for (uint32_t k = 0; k < n->out_count; k++) qcc_tensor_release(&out[k]);
  return QCC_OK;
}

/* ---- shapes */

/* Shape and Size of a tensor whose dims are all known. */
static bool shape_known(const qcc_node *n, int64_t *dims, int *count) {
  const qcc_value *x = qcc_in(n, 0);
  if (!x || x->type.rank < 0) return false;
  int64_t rank = x->type.rank, start = qcc_attr_int(n, "start", 0), end = qcc_attr_int(n, "end", rank), size = 1;
  start = start < 0 ? start + rank : start;
  end = end < 0 ? end + rank : end;
  start = start < 0 ? 0 : start;
  end = end > rank ? rank : end;
  *count = 0;
  for (int64_t k = start; k < end; k++) {
    if (x->type.dim[k] < 0 || !qcc_mul_s64(size, x->type.dim[k], &size)) return false;
    dims[(*count)++] = x->type.dim[k];
  }
  if (n->op != QCC_OP_SIZE) return true;
  dims[0] = size;
  return true;
}

static qcc_status fold_shape(qcc_pass_cx *p, qcc_node *n) {
  int64_t dims[QCC_MAX_RANK + 1];
  int count;
  qcc_value *out = qcc_out(n, 0);
  if ((n->op != QCC_OP_SHAPE && n->op != QCC_OP_SIZE) || !out || qcc_is_graph_output(out) || !shape_known(n, dims, &count)) return QCC_OK;
  if (!qcc_rewrite_ok(p, n, "fold-shape")) return QCC_OK;
  int64_t length = count;
  return qcc_replace_by_const(out, qcc_add_const_s64(n->graph, NULL, n->op == QCC_OP_SHAPE ? 1 : 0, &length, dims));
}

static qcc_status nodes_of(qcc_graph *g, void *user) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->op == QCC_OP_SHAPE || n->op == QCC_OP_SIZE)
      QCC_TRY(fold_shape(user, n));
    else
      QCC_TRY(fold_node(user, n));
  }
  return QCC_OK;
}

/* ---- parts of shapes, where other parts stay unknown */

enum { ROOT, SHAPE, X, INDEX, ENDS, AXES, STEPS };

/* Dims `at` of the shape that slot SHAPE gives; false when one is not a number. */
static bool dims_at(const qcc_match *m, const qcc_int_list *at, int64_t *to) {
  const qcc_type *t = &m->value[X]->type;
  if (t->rank < 0 || qcc_attr_find(m->node[SHAPE], "start") || qcc_attr_find(m->node[SHAPE], "end")) return false;
  for (uint32_t k = 0; k < at->count; k++) {
    int64_t i = at->at[k] < 0 ? at->at[k] + t->rank : at->at[k];
    if (i < 0 || i >= t->rank || t->dim[i] < 0) return false;
    to[k] = t->dim[i];
  }
  return true;
}

static const char *gather_when(const qcc_match *m) {
  qcc_int_list at;
  int64_t dims[QCC_MOST_INTS];
  const qcc_value *index = m->value[INDEX];
  if (qcc_is_graph_output(m->root->out[0])) return "its result is a graph output";
  if (!qcc_const_ints(index, &at) || index->type.rank > 1 || qcc_attr_int(m->node[ROOT], "axis", 0))
    return "the index is not a number or a list";
  return dims_at(m, &at, dims) ? NULL : "a dim it asks for is not known";
}

static qcc_value *gather_build(const qcc_match *m) {
  qcc_int_list at;
  int64_t dims[QCC_MOST_INTS] = {0}, length;
  if (!qcc_const_ints(m->value[INDEX], &at) || !dims_at(m, &at, dims)) return NULL;
  length = at.count;
  return qcc_add_const_s64(m->root->graph, NULL, m->value[INDEX]->type.rank, &length, dims);
}

/* Indices that a Slice of a shape takes. */
static bool slice_indices(const qcc_match *m, qcc_int_list *at) {
  qcc_int_list start, end, axes, steps;
  int64_t rank = m->value[X]->type.rank;
  if (rank < 0 || !qcc_const_ints(m->value[INDEX], &start) || !qcc_const_ints(m->value[ENDS], &end) || start.count != 1 || end.count != 1)
    return false;
  if (m->value[AXES] && (!qcc_const_ints(m->value[AXES], &axes) || axes.count != 1 || axes.at[0])) return false;
  if (m->value[STEPS] && (!qcc_const_ints(m->value[STEPS], &steps) || steps.count != 1 || steps.at[0] != 1)) return false;
  int64_t from = start.at[0] < 0 ? start.at[0] + rank : start.at[0], to = end.at[0] < 0 ? end.at[0] + rank : end.at[0];
  at->count = 0;
  for (int64_t k = from < 0 ? 0 : from; k < to && k < rank; k++) at->at[at->count++] = k;
  return true;
}

static const char *slice_when(const qcc_match *m) {
  qcc_int_list at;
  int64_t dims[QCC_MOST_INTS];
  if (qcc_is_graph_output(m->root->out[0])) return "its result is a graph output";
  if (!slice_indices(m, &at)) return "its bounds are not constant with step 1";
  return dims_at(m, &at, dims) ? NULL : "a dim it asks for is not known";
}

static qcc_value *slice_build(const qcc_match *m) {
  qcc_int_list at;
  int64_t dims[QCC_MOST_INTS] = {0}, length;
  if (!slice_indices(m, &at) || !dims_at(m, &at, dims)) return NULL;
  length = at.count;
  return qcc_add_const_s64(m->root->graph, NULL, 1, &length, dims);
}

/* A file may claim a shape that holds for one sample only; then only inputs with fixed shapes prove it. */
static const char *reshape_when(const qcc_match *m) {
  int64_t dims[QCC_MAX_RANK];
  const qcc_value *y = m->root->out[0], *x = m->value[X];
  if (qcc_is_const(m->value[INDEX])) return "its shape is constant already";
  if (qcc_attr_int(m->root, "allowzero", 0)) return "it allows empty tensors";
  if (y->typed_by_file && !qcc_type_is_static(&x->type)) return "its shape is only claimed by the file";
  return qcc_reshape_target(&y->type, dims) ? NULL : "more than one dim of its shape is unknown";
}

static qcc_value *reshape_build(const qcc_match *m) {
  int64_t dims[QCC_MAX_RANK], rank = m->root->out[0]->type.rank;
  if (!qcc_reshape_target(&m->root->out[0]->type, dims)) return NULL;
  qcc_value *in[2] = {m->value[X], qcc_add_const_s64(m->root->graph, qcc_internf(m->p->cx, "%s_shape", m->root->name), 1, &rank, dims)};
  return qcc_out(qcc_add_node(m->root->graph, m->root, QCC_OP_RESHAPE, NULL, in, 2, 1), 0);
}

#define SHAPE_OF P_OP(SHAPE, OPS(QCC_OP_SHAPE), P_ANY(X))

static const qcc_rule rules[] = {
    {.name = "shape-gather",
     .doc = "gather(shape(x), i) -> the dims, when they are known",
     .when = gather_when,
     .build = gather_build,
     .pattern = P_OP(ROOT, OPS(QCC_OP_GATHER), SHAPE_OF, P_CONST(INDEX))},
    {.name = "shape-slice",
     .doc = "slice(shape(x), a, b) -> the dims, when they are known",
     .when = slice_when,
     .build = slice_build,
     .pattern = P_OP(ROOT, OPS(QCC_OP_SLICE), SHAPE_OF, P_CONST(INDEX), P_CONST(ENDS), P_MAYBE_CONST(AXES), P_MAYBE_CONST(STEPS))},
    {.name = "reshape-known",
     .doc = "reshape(x, computed) -> reshape(x, constant with one -1)",
     .when = reshape_when,
     .build = reshape_build,
     .pattern = P_OP(ROOT, OPS(QCC_OP_RESHAPE), P_ANY(X), P_ANY(INDEX))},
};

static qcc_status run(qcc_pass_cx *p) {
  QCC_TRY(qcc_graph_walk(p->g, nodes_of, p));
  QCC_TRY(qcc_sweep_consts(p->g));
  return QCC_REWRITE(p, rules);
}

const qcc_pass qcc_pass_fold_constants = {
    .name = "fold-constants",
    .doc = "compute what is known before the model runs, parts of shapes included",
    .options = "codes",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_ROUNDS,
    .run = run,
};
