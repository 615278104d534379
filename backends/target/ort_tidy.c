/* SPDX-License-Identifier: Apache-2.0
 * Steps that clean: one DequantizeLinear per reader, pairs of pairs, equal nodes, constants, nodes without effect. */
#include <math.h>
#include <string.h>

#include "backends/target/ort_sim.h"

/* ---- every reader of a DequantizeLinear gets its own */
static qcc_status split_dq(qcc_pred_sim *s, qcc_graph *g, qcc_node *dq) {
  qcc_value *v = dq->out[0];
  uint32_t inner = 0, outer = 0;
  QCC_FOR_USES(u, v) {
    inner += u->node && u->graph == g;
    outer += !u->node || u->graph != g;
  }
  if (inner == 0 || (inner == 1 && !outer)) return QCC_OK;
  bool keeps_first = !outer;
  for (qcc_use *u = v->uses, *next; u; u = next) {
    next = u->next;
    if (!u->node || u->graph != g) continue;
    if (keeps_first) {
      keeps_first = false;
      continue;
    }
    qcc_value *in[3] = {qcc_in(dq, 0), qcc_in(dq, 1), qcc_in(dq, 2)};
    qcc_node *twin = qcc_pred_add(s, dq, dq, dq->op, in, in[2] ? 3 : 2, 1);
    if (!twin) return QCC_NOMEM;
    qcc_attr_copy(twin, dq);
    qcc_set_type(twin->out[0], &v->type);
    qcc_set_use(u, twin->out[0]);
    s->changed = true;
  }
  return qcc_graph_status(g);
}

qcc_status qcc_pred_unique_dq(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (qcc_pred_is_dq(n)) QCC_TRY(split_dq(s, g, n));
  }
  return QCC_OK;
}

/* ---- nodes that hand their input on */
static bool is_idle(const qcc_node *n) {
  if (n->op == QCC_OP_IDENTITY) return true;
  if (n->op == QCC_OP_DROPOUT) return n->in_count < 3 && (n->out_count < 2 || !n->out[1] || !n->out[1]->use_count);
  return n->op == QCC_OP_CAST && n->in[0].value && n->in[0].value->type.dtype != QCC_NONE &&
         n->in[0].value->type.dtype == (qcc_dtype)qcc_attr_int(n, "to", 0);
}

qcc_status qcc_pred_remove_idle(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    qcc_value *from = qcc_in(n, 0);
    if (!is_idle(n) || !from || from->graph != g) continue;
    if (qcc_pred_gives_output(n) && (!from->def || from->use_count > 1 || from->output_uses)) continue;
    qcc_replace_value(n->out[0], from);
    if (n->out[0]->use_count == 0) QCC_TRY(qcc_pred_drop(s, n, QCC_PRED_REMOVED, NULL));
  }
  return QCC_OK;
}

/* ---- Q, DQ, Q, DQ: one pair with the overlap of both ranges */
typedef struct range {
  double scale, zero, lo, hi;
} range;

static range range_of(const qcc_node *q) {
  const qcc_dtype t = qcc_in(q, 2)->type.dtype;
  const double scale = qcc_tensor_get(qcc_in(q, 1)->data, 0), zero = qcc_tensor_get(qcc_in(q, 2)->data, 0);
  return (range){scale, zero, (double)(float)(((double)qcc_dtype_min(t) - zero) * scale),
                 (double)(float)(((double)qcc_dtype_max(t) - zero) * scale)};
}

static qcc_value *scalar(qcc_graph *g, qcc_dtype t, double x) {
  const qcc_type type = qcc_type_of(t, 0, NULL);
  qcc_tensor fresh = {.data = NULL};
  if (qcc_tensor_new(&fresh, g->cx, &type) != QCC_OK) return NULL;
  qcc_tensor_set(&fresh, 0, x);
  return qcc_add_const(g, NULL, &fresh);
}

/* The first QuantizeLinear and all that dequantize behind the second take the overlap. */
static void merge_ranges(qcc_graph *g, qcc_node *first, const qcc_node *second) {
  const range a = range_of(first), b = range_of(second);
  const qcc_dtype t = qcc_in(first, 2)->type.dtype;
  if (a.zero == b.zero && a.scale == b.scale) return;
  const double lo = fmax(a.lo, b.lo), hi = fmin(a.hi, b.hi);
  const double scale = (double)(float)((hi - lo) / (double)(qcc_dtype_max(t) - qcc_dtype_min(t)));
  qcc_value *s = scalar(g, QCC_F32, scale), *z = scalar(g, t, round((double)qcc_dtype_min(t) - lo / scale));
  qcc_set_input(first, 1, s);
  qcc_set_input(first, 2, z);
  QCC_FOR_USES(u, second->out[0]) {
    qcc_set_input(u->node, 1, s);
    qcc_set_input(u->node, 2, z);
  }
}

/* Does every reader dequantize with the parameters of `q`? */
static bool all_dequantize(const qcc_pred_sim *s, const qcc_node *q) {
  const qcc_value *v = q->out[0];
  if (v->output_uses || !v->use_count) return false;
  QCC_FOR_USES(u, v) {
    if (u->graph != q->graph || u->index || !qcc_pred_is_dq(u->node) || qcc_pred_pair(s, q, u->node) != QCC_PRED_NONE) return false;
  }
  return true;
}

qcc_status qcc_pred_double_pairs(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(dq, next, g) {
    qcc_node *q = qcc_pred_is_dq(dq) ? qcc_in(dq, 0)->def : NULL;
    if (!qcc_pred_is_q(q) || !qcc_pred_feeds(q, 1) || !qcc_pred_feeds(dq, 1)) continue;
    qcc_node *q2 = qcc_pred_only_reader(dq);
    if (!qcc_pred_is_q(q2) || !all_dequantize(s, q2) || qcc_pred_pair(s, q, dq) != QCC_PRED_NONE) continue;
    const qcc_dtype t = qcc_pred_q_type(q);
    if ((t != QCC_U8 && t != QCC_S8) || qcc_pred_q_type(q2) != t || qcc_in(q, 1)->type.dtype != QCC_F32) continue;
    merge_ranges(g, q, q2);
    qcc_replace_uses(q2->out[0], q->out[0]);
    if (next == q2) next = q2->next;
    QCC_TRY(qcc_pred_drop(s, q2, QCC_PRED_REMOVED, NULL));
    QCC_TRY(qcc_pred_drop(s, dq, QCC_PRED_REMOVED, NULL));
  }
  return qcc_graph_status(g);
}

/* ---- equal nodes become one */
static bool same_attr(const qcc_attr *a, const qcc_attr *b) {
  if (a->name != b->name || a->kind != b->kind || a->count != b->count) return false;
  switch (a->kind) {
    case QCC_ATTR_INT: return a->i == b->i;
    case QCC_ATTR_FLOAT: return a->f == b->f;
    case QCC_ATTR_STRING: return a->s.n == b->s.n && !memcmp(a->s.at, b->s.at, a->s.n);
    case QCC_ATTR_INTS: return !a->count || !memcmp(a->ints, b->ints, a->count * sizeof *a->ints);
    case QCC_ATTR_FLOATS: return !a->count || !memcmp(a->floats, b->floats, a->count * sizeof *a->floats);
    default: return false;
  }
}

static bool same_attrs(const qcc_node *a, const qcc_node *b) {
  const qcc_attr *x = a->attrs, *y = b->attrs;
  for (; x && y; x = x->next, y = y->next)
    if (!same_attr(x, y)) return false;
  return !x && !y;
}

/* Small constants of floats and indices are shared by the runtime; those of codes are not. */
static bool same_input(const qcc_value *a, const qcc_value *b) {
  if (a == b) return true;
  if (!a || !b || !qcc_is_const(a) || !qcc_is_const(b) || !qcc_type_equal(&a->type, &b->type)) return false;
  const qcc_dtype t = a->type.dtype;
  const bool shared = t == QCC_F32 || t == QCC_F16 || t == QCC_F64 || t == QCC_S32 || t == QCC_S64;
  return shared && qcc_tensor_count(a->data) <= 8 && qcc_pred_same_const(a, b);
}

static bool same_node(const qcc_node *a, const qcc_node *b) {
  if (a->op != b->op || a->in_count != b->in_count || a->out_count != b->out_count) return false;
  for (uint32_t k = 0; k < a->in_count; k++)
    if (!same_input(qcc_in(a, k), qcc_in(b, k))) return false;
  return same_attrs(a, b);
}

enum { MOST_READERS = 1024 }; /* of a value whose readers are compared with each other */

static bool can_join(const qcc_node *n) {
  if (n->in_count && qcc_in(n, 0) && qcc_in(n, 0)->use_count > MOST_READERS) return false;
  return n->op != QCC_OP_OPAQUE && n->in_count && qcc_in(n, 0) && qcc_op_get(n->op)->exact != QCC_RANDOM && !qcc_pred_gives_output(n);
}

/* The first reader of the same data that computes the same; readers stand in the order in which they were linked, not of the graph. */
static qcc_node *twin_before(qcc_graph *g, const qcc_node *n, const uint32_t *place) {
  qcc_node *best = NULL;
  QCC_FOR_USES(u, qcc_in(n, 0)) {
    qcc_node *other = u->node;
    if (!other || other == n || u->graph != g || u->index || place[other->id] >= place[n->id]) continue;
    if (can_join(other) && same_node(other, n) && (!best || place[other->id] < place[best->id])) best = other;
  }
  return best;
}

qcc_status qcc_pred_join_equal(qcc_pred_sim *s, qcc_graph *g) {
  uint32_t *place = qcc_zalloc_array(s->cx, g->root->next_node_id + 1u, sizeof *place), at = 1;
  if (!place) return QCC_NOMEM;
  QCC_FOR_NODES(n, g) place[n->id] = at++;
  qcc_status st = QCC_OK;
  QCC_FOR_NODES_SAFE(n, next, g) {
    qcc_node *twin = can_join(n) ? twin_before(g, n, place) : NULL;
    if (!twin) continue;
    for (uint32_t k = 0; k < n->out_count; k++)
      if (n->out[k] && twin->out[k]) qcc_replace_uses(n->out[k], twin->out[k]);
    st = qcc_pred_drop(s, n, QCC_PRED_FUSED, twin);
    if (st != QCC_OK) break;
  }
  qcc_free(s->cx, place);
  return st;
}

/* ---- constants */
enum { MOST_IN = 16 };

static bool has_body(const qcc_node *n) {
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    if (a->kind == QCC_ATTR_GRAPH || a->kind == QCC_ATTR_GRAPHS) return true;
  return false;
}

/* A DequantizeLinear of a constant stays, unless it stands in DQ -> X -> Q where all of it can be computed. */
static bool whole_unit_folds(const qcc_node *dq) {
  const qcc_node *x = qcc_pred_feeds(dq, 1) ? qcc_pred_only_reader(dq) : NULL;
  if (!x || x->in_count != 1 || x->out_count != 1 || has_body(x) || qcc_op_get(x->op)->exact == QCC_RANDOM || !qcc_pred_feeds(x, 1))
    return false;
  const qcc_node *q = qcc_pred_only_reader(x);
  return qcc_pred_is_q(q);
}

static bool can_fold(const qcc_node *n) {
  if (n->op == QCC_OP_OPAQUE || !n->in_count || n->in_count > MOST_IN || n->out_count > MOST_IN || has_body(n)) return false;
  if (qcc_op_get(n->op)->exact == QCC_RANDOM || qcc_pred_gives_output(n)) return false;
  for (uint32_t k = 0; k < n->in_count; k++)
    if (qcc_in(n, k) && !qcc_is_const(qcc_in(n, k))) return false;
  return !qcc_pred_is_dq(n) || whole_unit_folds(n);
}

static qcc_status take_results(qcc_pred_sim *s, qcc_node *n, qcc_tensor *out) {
  qcc_status st = QCC_OK;
  for (uint32_t k = 0; k < n->out_count; k++) {
    qcc_value *v = qcc_out(n, k);
    if (!v || !v->use_count || st != QCC_OK) {
      qcc_tensor_release(&out[k]);
      continue;
    }
    qcc_value *c = qcc_add_const(n->graph, NULL, &out[k]);
    if (!c) st = QCC_NOMEM;
    if (c) qcc_replace_uses(v, c);
  }
  return st == QCC_OK ? qcc_pred_drop(s, n, QCC_PRED_FOLDED, NULL) : st;
}

static qcc_status fold_shape(qcc_pred_sim *s, qcc_node *n) {
  const qcc_type *t = n->in[0].value ? &n->in[0].value->type : NULL;
  if (!t || !qcc_type_is_static(t) || qcc_pred_gives_output(n)) return QCC_OK;
  int64_t from = qcc_attr_int(n, "start", 0), to = qcc_attr_int(n, "end", t->rank);
  if (from < 0) from += t->rank;
  if (to < 0) to += t->rank;
  if (to > t->rank) to = t->rank;
  if (from < 0 || from > to) return QCC_OK;
  qcc_value *c = qcc_add_const_s64(n->graph, NULL, 1, (int64_t[]){to - from}, t->dim + from);
  if (!c) return QCC_NOMEM;
  qcc_replace_uses(n->out[0], c);
  return qcc_pred_drop(s, n, QCC_PRED_FOLDED, NULL);
}

static qcc_status fold_node(qcc_pred_sim *s, qcc_node *n) {
  const qcc_tensor *in[MOST_IN];
  qcc_tensor out[MOST_IN] = {{{0}, 0, 0, 0}};
  if (n->op == QCC_OP_SHAPE) return fold_shape(s, n);
  if (!s->o->eval || !can_fold(n)) return QCC_OK;
  for (uint32_t k = 0; k < n->in_count; k++) in[k] = qcc_in(n, k) ? qcc_in(n, k)->data : NULL;
  qcc_status st = s->o->eval->fold(s->cx, n, in, out);
  if (st == QCC_UNSUPPORTED) return QCC_OK;
  QCC_TRY(st);
  return take_results(s, n, out);
}

qcc_status qcc_pred_fold(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) QCC_TRY(fold_node(s, n));
  return QCC_OK;
}

/* ---- what is left of DQ -> Q with equal parameters */
qcc_status qcc_pred_final_cleanup(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(dq, next, g) {
    qcc_node *q = qcc_pred_is_dq(dq) && qcc_pred_feeds(dq, 1) ? qcc_pred_only_reader(dq) : NULL;
    if (!qcc_pred_is_q(q) || qcc_pred_pair(s, q, dq) != QCC_PRED_NONE) continue;
    qcc_value *codes = qcc_in(dq, 0);
    if (qcc_pred_gives_output(q) && qcc_pred_edges(q)) continue;
    if (next == q) next = q->next;
    const bool needs_identity = qcc_pred_gives_output(q) && !codes->def;
    if (needs_identity) {
      qcc_node *id = qcc_pred_add(s, NULL, q, QCC_OP_IDENTITY, &codes, 1, 1);
      if (!id) return QCC_NOMEM;
      codes = id->out[0];
    }
    qcc_replace_value(q->out[0], codes);
    if (q->out[0]->use_count) continue;
    QCC_TRY(qcc_pred_drop(s, q, QCC_PRED_REMOVED, NULL));
    QCC_TRY(qcc_pred_drop(s, dq, QCC_PRED_REMOVED, NULL));
  }
  return qcc_graph_status(g);
}
