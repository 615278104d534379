/* SPDX-License-Identifier: Apache-2.0
 * Steps that add: MatMul and Add to Gemm, pairs passed on through operators that move data, codes for weights and constants left in float. */
#include <math.h>

#include "backends/target/ort_sim.h"

/* ---- MatMul + Add -> Gemm */
static bool is_float(const qcc_value *v) {
  return v && (v->type.dtype == QCC_F32 || v->type.dtype == QCC_F16 || v->type.dtype == QCC_BF16);
}

static bool equal_dims(int64_t a, int64_t b) { return a == b && a != QCC_DIM_UNKNOWN; }

/* [N], and where A is a matrix also [1, N], [M, 1], [M, N]. */
static bool fits_gemm(const qcc_type *bias, const qcc_type *a, int64_t n) {
  if (bias->rank == 1) return equal_dims(bias->dim[0], n);
  if (bias->rank != 2 || a->rank != 2) return false;
  if (bias->dim[0] == 1 && equal_dims(bias->dim[1], n)) return true;
  return equal_dims(bias->dim[0], a->dim[0]) && (bias->dim[1] == 1 || equal_dims(bias->dim[1], n));
}

/* The projection behind softmax(QK)V is left for the fusion of attention. */
static bool follows_attention(const qcc_node *n) {
  static const qcc_op chain[] = {QCC_OP_RESHAPE, QCC_OP_TRANSPOSE, QCC_OP_MATMUL, QCC_OP_SOFTMAX};
  for (size_t k = 0; k < sizeof chain / sizeof *chain; k++) {
    n = qcc_in(n, 0) ? qcc_in(n, 0)->def : NULL;
    if (!n || n->op != chain[k]) return false;
  }
  return true;
}

static qcc_value *reshape(qcc_pred_sim *s, qcc_node *before, qcc_value *v, const qcc_type *to) {
  qcc_value *shape = qcc_add_const_s64(before->graph, NULL, 1, (int64_t[]){to->rank}, to->dim);
  qcc_node *n = qcc_pred_add(s, NULL, before, QCC_OP_RESHAPE, (qcc_value *[]){v, shape}, 2, 1);
  if (!n) return NULL;
  qcc_set_type(n->out[0], to);
  return n->out[0];
}

static qcc_status to_gemm(qcc_pred_sim *s, qcc_node *matmul, qcc_node *add, qcc_value *bias) {
  const qcc_type *a = &qcc_in(matmul, 0)->type, *b = &qcc_in(matmul, 1)->type;
  const bool flat = a->rank == 2;
  int64_t rows = 1;
  for (int k = 0; k + 1 < a->rank; k++) rows *= flat ? 1 : a->dim[k];
  const qcc_type matrix = qcc_type_of(a->dtype, 2, (int64_t[]){rows, b->dim[0]});
  qcc_type product = qcc_type_of(a->dtype, 2, (int64_t[]){flat ? a->dim[0] : rows, b->dim[1]}), whole = add->out[0]->type;
  qcc_value *x = flat ? qcc_in(matmul, 0) : reshape(s, add, qcc_in(matmul, 0), &matrix);
  qcc_node *gemm = x ? qcc_pred_add(s, matmul, add, QCC_OP_GEMM, (qcc_value *[]){x, qcc_in(matmul, 1), bias}, 3, 1) : NULL;
  if (!gemm) return QCC_NOMEM;
  qcc_set_type(gemm->out[0], &product);
  qcc_value *y = flat || whole.rank < 0 ? gemm->out[0] : reshape(s, add, gemm->out[0], &whole);
  if (!y) return QCC_NOMEM;
  qcc_replace_value(add->out[0], y);
  QCC_TRY(qcc_pred_drop(s, add, QCC_PRED_FUSED, gemm));
  return qcc_pred_drop(s, matmul, QCC_PRED_FUSED, gemm);
}

qcc_status qcc_pred_products(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    qcc_node *add = n->op == QCC_OP_MATMUL && qcc_pred_feeds(n, 1) ? qcc_pred_only_reader(n) : NULL;
    if (!add || add->op != QCC_OP_ADD || s->opset < 7) continue;
    const qcc_value *a = qcc_in(n, 0), *b = qcc_in(n, 1);
    qcc_value *bias = qcc_in(add, qcc_in(add, 0) == n->out[0] ? 1 : 0);
    if (!is_float(a) || !bias || a->type.dtype != bias->type.dtype || a->type.rank < 1 || b->type.rank != 2) continue;
    if (a->type.rank != 2) {
      if (!qcc_pred_holds(s, 121, 0) || !qcc_type_is_static(&a->type) || !qcc_type_is_static(&b->type)) continue;
      if (follows_attention(n)) continue;
    }
    if (!fits_gemm(&bias->type, &a->type, b->type.dim[1])) continue;
    if (next == add) next = add->next;
    QCC_TRY(to_gemm(s, n, add, bias));
  }
  return qcc_graph_status(g);
}

/* ---- pairs passed on */
typedef struct mover {
  qcc_op op;
  int opset_from, opset_to, from, to;
} mover;

static const mover movers[] = {
#define MOVER(op, opset_from, opset_to, from, to) {QCC_OP_##op, opset_from, opset_to, from, to},
#include "backends/target/ort_movers.def"
#undef MOVER
};

static bool passes_on(const qcc_pred_sim *s, const qcc_node *n) {
  for (size_t k = 0; k < sizeof movers / sizeof *movers; k++) {
    const mover *m = &movers[k];
    if (m->op == n->op && qcc_pred_opset_in(s, m->opset_from, m->opset_to) && qcc_pred_holds(s, m->from, m->to)) return true;
  }
  return false;
}

static qcc_node *add_q(qcc_pred_sim *s, qcc_node *before, qcc_value *x, const qcc_node *like) {
  qcc_value *in[3] = {x, qcc_in(like, 1), qcc_in(like, 2)};
  qcc_node *q = qcc_pred_add(s, NULL, before, like->domain[0] ? QCC_OP_MS_QUANTIZE_LINEAR : QCC_OP_QUANTIZE_LINEAR, in, in[2] ? 3 : 2, 1);
  if (!q) return NULL;
  qcc_type t = x->type;
  t.dtype = qcc_pred_q_type(like);
  qcc_set_type(q->out[0], &t);
  return q;
}

static qcc_node *add_dq(qcc_pred_sim *s, qcc_node *before, qcc_value *codes, const qcc_node *like, qcc_dtype dtype) {
  qcc_value *in[3] = {codes, qcc_in(like, 1), qcc_in(like, 2)};
  qcc_node *dq =
      qcc_pred_add(s, NULL, before, like->domain[0] ? QCC_OP_MS_DEQUANTIZE_LINEAR : QCC_OP_DEQUANTIZE_LINEAR, in, in[2] ? 3 : 2, 1);
  if (!dq) return NULL;
  qcc_type t = codes->type;
  t.dtype = dtype;
  qcc_set_type(dq->out[0], &t);
  return dq;
}

/* A pair on the edge into `n` at `index`, in front of it. */
static bool pair_before(qcc_pred_sim *s, qcc_node *n, uint32_t index, const qcc_node *like) {
  qcc_value *v = qcc_in(n, index);
  qcc_node *q = add_q(s, n, v, like);
  qcc_node *dq = q ? add_dq(s, n, q->out[0], like, v->type.dtype) : NULL;
  if (!dq) return false;
  qcc_set_input(n, index, dq->out[0]);
  return s->changed = true;
}

static bool is_quantized_again(const qcc_value *v) {
  QCC_FOR_USES(u, v) {
    if (u->graph == v->graph && qcc_pred_is_q(u->node)) return true;
  }
  return false;
}

/* All readers of `v` but graph outputs read through a pair, unless a QuantizeLinear is among them; returns how many do. */
static qcc_status pairs_behind(qcc_pred_sim *s, qcc_value *v, const qcc_node *like, uint32_t *made) {
  qcc_node *q = NULL;
  *made = 0;
  if (is_quantized_again(v)) return QCC_OK;
  for (qcc_use *u = v->uses, *next; u; u = next) {
    next = u->next;
    const bool lone_output = !u->node && v->use_count == 1;
    if (!lone_output && (!u->node || u->graph != v->graph || u->node == q)) continue;
    qcc_node *place = v->def->next;
    if (!q) q = place ? add_q(s, place, v, like) : NULL;
    if (!q) { /* at the end of the graph: nodes are inserted before others only */
      q = add_q(s, v->def, v, like);
      if (q) qcc_move_node(q, NULL);
    }
    if (!q) return QCC_NOMEM;
    qcc_node *dq = add_dq(s, q, q->out[0], like, v->type.dtype);
    if (!dq) return QCC_NOMEM;
    qcc_move_node(dq, q->next);
    if (lone_output) {
      qcc_set_input(q, 0, NULL);
      qcc_replace_value(v, dq->out[0]);
      qcc_set_input(q, 0, v);
      next = NULL;
    } else {
      qcc_set_use(u, dq->out[0]);
    }
    s->changed = true;
    ++*made;
  }
  return qcc_graph_status(v->graph);
}

enum { DEPTH = 64 }; /* operators in a row through which a pair is passed on */

static qcc_status forward(qcc_pred_sim *s, qcc_node *dq) {
  qcc_node *todo[DEPTH];
  size_t n = 0;
  if (!qcc_pred_feeds(dq, 1) || qcc_pred_params(dq, false) != QCC_PRED_NONE || !qcc_pred_only_reader(dq)) return QCC_OK;
  todo[n++] = qcc_pred_only_reader(dq);
  while (n) {
    qcc_node *at = todo[--n];
    uint32_t made;
    if (!passes_on(s, at) || at->out_count < 1 || !at->out[0]) continue;
    qcc_value *v = at->out[0];
    if (v->output_uses && v->use_count > 1) continue;
    QCC_TRY(pairs_behind(s, v, dq, &made));
    if (!made) continue;
    QCC_FOR_USES(u, v) { /* behind each new DequantizeLinear */
      if (!qcc_pred_is_q(u->node) || u->graph != dq->graph) continue;
      QCC_FOR_USES(w, u->node->out[0]) {
        qcc_node *reader = qcc_pred_is_dq(w->node) ? qcc_pred_only_reader(w->node) : NULL;
        if (reader && n < DEPTH && qcc_pred_mark_of(s, w->node)->source == QCC_PRED_MADE) todo[n++] = reader;
      }
    }
  }
  return QCC_OK;
}

/* The node before `n` on input 0, when `n` is its only reader. */
static qcc_node *lone_source(const qcc_node *n) {
  const qcc_value *v = qcc_in(n, 0);
  return v && v->def && v->def->graph == n->graph && !v->output_uses && v->use_count == 1 ? v->def : NULL;
}

static qcc_status backward(qcc_pred_sim *s, qcc_node *q) {
  if (qcc_pred_params(q, false) != QCC_PRED_NONE) return QCC_OK;
  for (qcc_node *at = lone_source(q); at && passes_on(s, at) && at->out[0] == qcc_in(at->out[0]->uses->node, 0);) {
    qcc_node *source = lone_source(at);
    const qcc_value *v = qcc_in(at, 0);
    if (!source && (!v || v->def || v->graph != at->graph)) break; /* neither one source nor an input */
    if (source && qcc_pred_is_dq(source)) break;
    if (!pair_before(s, at, 0, q)) return QCC_NOMEM;
    at = source;
  }
  return qcc_graph_status(q->graph);
}

qcc_status qcc_pred_propagate(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (qcc_pred_is_q(n) && qcc_pred_version_known(s, n)) QCC_TRY(backward(s, n));
  }
  QCC_FOR_NODES_SAFE(m, next, g) {
    if (qcc_pred_is_dq(m) && qcc_pred_version_known(s, m)) QCC_TRY(forward(s, m));
  }
  return qcc_graph_status(g);
}

/* ---- float weights and biases between quantized tensors */
static bool leads_to_q(const qcc_node *n) {
  for (;;) {
    if (n->out_count != 1 || qcc_pred_edges(n) != 1) return false;
    const qcc_node *reader = qcc_pred_only_reader(n);
    if (!reader) return false;
    if (qcc_pred_is_q(reader)) return true;
    if (!qcc_pred_is_clamp(reader)) return false;
    n = reader;
  }
}

static qcc_value *zeros(qcc_graph *g, const qcc_type *like, qcc_dtype dtype) {
  qcc_type t = *like;
  qcc_tensor fresh = {.data = NULL};
  t.dtype = dtype;
  if (qcc_tensor_new(&fresh, g->cx, &t) != QCC_OK) return NULL;
  for (int64_t k = 0; k < qcc_tensor_count(&fresh); k++) qcc_tensor_set(&fresh, k, 0);
  return qcc_add_const(g, NULL, &fresh);
}

static float scale_of(const qcc_tensor *w) {
  double most = 0;
  for (int64_t k = 0; k < qcc_tensor_count(w); k++) most = fmax(most, fabs(qcc_tensor_get(w, k)));
  return most > 0 ? (float)(most / 127) : 1;
}

static bool weight_axis_fits(const qcc_pred_sim *s, const qcc_node *n, const qcc_node *dq, int64_t bias) {
  const qcc_value *scale = qcc_in(dq, 1);
  if (qcc_pred_is_scalar(scale)) return true;
  if (scale->type.rank != 1 || scale->type.dim[0] != bias || qcc_attr_int(dq, "block_size", 0)) return false;
  int64_t axis = qcc_attr_int(dq, "axis", 1);
  if (axis < 0) axis += qcc_in(dq, 0)->type.rank;
  const bool second =
      (n->op == QCC_OP_CONV_TRANSPOSE && qcc_pred_holds(s, 124, 0)) || (n->op == QCC_OP_GEMM && !qcc_attr_int(n, "transB", 0));
  return axis == second;
}

/* Codes stand in for the constant at input `index`; their values do not matter for a bias. */
static qcc_status give_codes(qcc_pred_sim *s, qcc_node *n, uint32_t index, qcc_value *codes, qcc_value *scale, qcc_value *zero) {
  qcc_value *in[3] = {codes, scale, zero};
  qcc_node *dq = codes && scale ? qcc_pred_add(s, NULL, n, QCC_OP_DEQUANTIZE_LINEAR, in, zero ? 3 : 2, 1) : NULL;
  if (!dq) return QCC_NOMEM;
  if (qcc_type_count(&scale->type, &(int64_t){0}) && scale->type.rank == 1) qcc_attr_set_int(dq, "axis", 0);
  qcc_set_type(dq->out[0], &qcc_in(n, index)->type);
  qcc_set_input(n, index, dq->out[0]);
  s->changed = true;
  return qcc_graph_status(n->graph);
}

static qcc_status quantize_weight(qcc_pred_sim *s, qcc_node *n) {
  const qcc_value *w = qcc_in(n, 1);
  const float step = scale_of(w->data);
  const qcc_type one = qcc_type_of(QCC_S8, 0, NULL);
  qcc_qparams q = {.dtype = QCC_S8, .axis = -1, .count = 1, .scale = &step};
  qcc_tensor codes = {.data = NULL};
  QCC_TRY(qcc_quantize(&codes, s->cx, w->data, &q));
  qcc_value *c = qcc_add_const(n->graph, NULL, &codes);
  return give_codes(s, n, 1, c, qcc_add_const_f32(n->graph, NULL, 0, NULL, &step), zeros(n->graph, &one, QCC_S8));
}

static qcc_value *made(qcc_pred_sim *s, qcc_node *before, qcc_op op, qcc_value *a, qcc_value *b, const qcc_type *like, qcc_dtype dtype) {
  qcc_node *n = qcc_pred_add(s, NULL, before, op, (qcc_value *[]){a, b}, b ? 2 : 1, 1);
  qcc_type t = *like;
  if (!n) return NULL;
  t.dtype = dtype;
  qcc_set_type(n->out[0], &t);
  return n->out[0];
}

/* Codes of a float bias, as nodes that fold when all scales are constants: Cast(Round(b / (sx * sw))). */
static qcc_status quantize_bias(qcc_pred_sim *s, qcc_node *n, const qcc_node *x, const qcc_node *w) {
  qcc_value *sx = qcc_in(x, 1), *sw = qcc_in(w, 1), *b = qcc_in(n, 2);
  qcc_value *scale = made(s, n, QCC_OP_MUL, sx, sw, &sw->type, QCC_F32);
  qcc_value *quotient = scale ? made(s, n, QCC_OP_DIV, b, scale, &b->type, QCC_F32) : NULL;
  qcc_value *rounded = quotient ? made(s, n, QCC_OP_ROUND, quotient, NULL, &b->type, QCC_F32) : NULL;
  qcc_value *codes = rounded ? made(s, n, QCC_OP_CAST, rounded, NULL, &b->type, QCC_S32) : NULL;
  if (!codes) return QCC_NOMEM;
  qcc_attr_set_int(codes->def, "to", QCC_S32);
  return give_codes(s, n, 2, codes, scale, NULL);
}

static qcc_status quantize_node(qcc_pred_sim *s, qcc_node *n) {
  const qcc_node *x = qcc_pred_dq_input(n, 0);
  qcc_node *w = qcc_pred_dq_input(n, 1);
  const qcc_value *b = qcc_in(n, 2), *weight = qcc_in(n, 1);
  if (!x || !weight || !qcc_pred_is_scalar(qcc_in(x, 1))) return QCC_OK;
  if (qcc_pred_holds(s, 122, 0) && !leads_to_q(n)) return QCC_OK;
  if (!w && (!qcc_is_const(weight) || weight->type.dtype != QCC_F32)) return QCC_OK;
  if (b && (!qcc_is_const(b) || b->type.rank != 1)) return QCC_OK;
  if ((w && !b) || (w && !weight_axis_fits(s, n, w, b->type.dim[0]))) return QCC_OK;
  if (!w) QCC_TRY(quantize_weight(s, n));
  if (!b) return QCC_OK;
  return quantize_bias(s, n, x, qcc_pred_dq_input(n, 1));
}

qcc_status qcc_pred_quantize_weights(qcc_pred_sim *s, qcc_graph *g) {
  if (!qcc_pred_holds(s, 121, 0)) return QCC_OK;
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->op == QCC_OP_CONV || n->op == QCC_OP_CONV_TRANSPOSE || n->op == QCC_OP_GEMM) QCC_TRY(quantize_node(s, n));
  }
  return QCC_OK;
}

/* ---- the scalar branch of a Where between codes */
qcc_status qcc_pred_where_constant(qcc_pred_sim *s, qcc_graph *g) {
  if (!qcc_pred_holds(s, 124, 0)) return QCC_OK;
  QCC_FOR_NODES_SAFE(n, next, g) {
    const qcc_node *q = n->op == QCC_OP_WHERE && qcc_pred_feeds(n, 1) ? qcc_pred_only_reader(n) : NULL;
    if (!qcc_pred_is_q(q)) continue;
    for (uint32_t k = 1; k < 3; k++) {
      const qcc_value *v = qcc_in(n, k);
      const qcc_node *dq = qcc_pred_dq_input(n, 3 - k);
      if (!dq || !qcc_in(dq, 2) || !qcc_is_const(v) || v->type.rank != 0 || v->type.dtype != QCC_F32) continue;
      if (qcc_pred_q_type(dq) != qcc_pred_q_type(q) || !qcc_is_const(qcc_in(dq, 1)) || !qcc_is_const(qcc_in(dq, 2))) continue;
      const qcc_type one = qcc_type_of(qcc_pred_q_type(dq), 0, NULL);
      const float step = 1;
      qcc_value *scale = qcc_add_const_f32(g, NULL, 0, NULL, &step);
      QCC_TRY(give_codes(s, n, k, zeros(g, &one, one.dtype), scale, zeros(g, &one, one.dtype)));
    }
  }
  return QCC_OK;
}

/* ---- operators that are functions: their parts are assigned instead */
qcc_status qcc_pred_expand(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->op != QCC_OP_HARD_SWISH) continue;
    qcc_value *x = qcc_in(n, 0);
    qcc_node *gate = qcc_pred_add(s, n, n, QCC_OP_HARD_SIGMOID, &x, 1, 1);
    qcc_node *y = gate ? qcc_pred_add(s, NULL, n, QCC_OP_MUL, (qcc_value *[]){x, gate->out[0]}, 2, 1) : NULL;
    if (!y) return QCC_NOMEM;
    qcc_set_type(gate->out[0], &x->type);
    qcc_set_type(y->out[0], &n->out[0]->type);
    qcc_replace_value(n->out[0], y->out[0]);
    QCC_TRY(qcc_pred_drop(s, n, QCC_PRED_FUSED, gate));
  }
  return qcc_graph_status(g);
}
