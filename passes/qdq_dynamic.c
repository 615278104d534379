/* SPDX-License-Identifier: Apache-2.0
 * The dynamic part of rewrite-qdq: integer products on ranges found at run time.
 *
 *   %a = qcc.FakeQuant(%x){dynamic=1}   %wq = qcc.FakeQuant(%w)
 *   %y = MatMul(%a, %wq)
 *     =>
 *   %q, %s, %z = DynamicQuantizeLinear(%x)
 *   %i = MatMulInteger(%q, %codes, %z, %wz)
 *   %f = Cast(%i){to=1}     %t = Mul(%s, %ws)     %y = Mul(%f, %t)
 *
 * Gemm (alpha = beta = 1, transA = 0) adds its bias behind. This is the chain that ONNX Runtime fuses into DynamicQuantizeMatMul or
 * MatMulIntegerToFloat. Conv becomes ConvInteger in the same way (qdq_conv.c). One DynamicQuantizeLinear serves all users of a tensor. LSTM
 * and Attention follow when their weights are codes (qdq_lstm.c, qdq_attention.c). */
#include <string.h>

#include "ir/check.h"
#include "passes/fakequant.h"
#include "passes/qdq.h"

static qcc_value *add_mul(qcc_graph *g, qcc_node *before, qcc_op op, const char *name, qcc_value *a, qcc_value *b) {
  return qcc_out(qcc_add_node(g, before, op, name, (qcc_value *[]){a, b}, 2, 1), 0);
}

bool qcc_qdq_plain(const qcc_node *n) {
  if (n->op == QCC_OP_MATMUL) return true;
  if (n->op != QCC_OP_GEMM || qcc_attr_int(n, "transA", 0)) return false;
  return qcc_attr_float(n, "alpha", 1.0f) == 1.0f && qcc_attr_float(n, "beta", 1.0f) == 1.0f;
}

static bool can_rewrite(const qcc_node *n) {
  qcc_qparams w;
  if (!qcc_fakequant_is(qcc_in(n, 1)) || !qcc_is_const(qcc_in(n->in[1].value->def, 0))) return false;
  if (!qcc_fakequant_read(n->in[1].value->def, &w) || !qcc_fakequant_by_output(n, &w)) return false;
  if (n->op == QCC_OP_MS_ATTENTION) return !qcc_attention_obstacle(n);
  if (n->op == QCC_OP_CONV) return qcc_dtype_bits(w.dtype) == 8 && qcc_qdq_one_zero(&w) && (!qcc_in(n, 2) || qcc_is_const(qcc_in(n, 2)));
  return n->in[1].value->type.rank == 2 && qcc_qdq_plain(n);
}

qcc_status qcc_qdq_transpose(qcc_value *codes) {
  const qcc_tensor *from = codes->data;
  int64_t rows = from->type.dim[0], cols = from->type.dim[1];
  qcc_type type = qcc_type_of(from->type.dtype, 2, (int64_t[]){cols, rows});
  qcc_tensor to;
  QCC_TRY(qcc_tensor_new(&to, codes->graph->cx, &type));
  int8_t *out = qcc_tensor_mut(&to);
  const int8_t *in = from->data;
  for (int64_t r = 0; out && r < rows; r++) {
    for (int64_t c = 0; c < cols; c++) out[c * rows + r] = in[r * cols + c];
  }
  qcc_set_const(codes, &to);
  return QCC_OK;
}

static qcc_status weight_codes(qcc_value **out, qcc_node *n, qcc_qparams *q) {
  qcc_node *fq = n->in[1].value->def;
  if (!qcc_fakequant_read(fq, q)) {
    QCC_TRY(qcc_graph_status(n->graph));
    return qcc_error(n->graph->cx, QCC_INTERNAL, "I-202", NULL, "FakeQuant of a weight has wrong attributes");
  }
  QCC_TRY(qcc_qdq_codes(out, n->graph, fq->in[0].value, fq->out[0]->use_count == 1, q));
  if (n->op == QCC_OP_GEMM && qcc_attr_int(n, "transB", 0)) {
    QCC_TRY(qcc_qdq_transpose(*out)); /* of a Gemm weight stored [N, K] */
    q->axis = q->axis >= 0 ? 1 - q->axis : -1;
  }
  return QCC_OK;
}

static bool is_taken(const qcc_qdq_operands *o) {
  QCC_FOR_USES(u, o->x_scale) {
    const qcc_value *other = u->node && u->node->op == QCC_OP_MUL ? qcc_in(u->node, 1 - u->index) : NULL;
    if (qcc_is_const(other) && qcc_tensor_count(other->data) == 1 && qcc_tensor_get(other->data, 0) == qcc_tensor_get(o->w_scale->data, 0))
      return true;
  }
  return false;
}

/* Where two products on the same codes have the same scale, runtimes join the nodes that multiply both scales and then find neither chain: as
 * one number for each column it is a constant of its own. */
static qcc_value *own_scale(const qcc_node *n, const qcc_qdq_operands *o) {
  qcc_graph *g = n->graph;
  const qcc_tensor *scale = o->w_scale->data;
  if (n->op == QCC_OP_CONV || !qcc_is_const(o->w_scale) || qcc_tensor_count(scale) != 1 || !is_taken(o)) return o->w_scale;
  const int64_t columns = o->w->type.dim[1];
  qcc_tensor each;
  const qcc_type type = qcc_type_of(QCC_F32, 1, &columns);
  if (qcc_tensor_new(&each, g->cx, &type) != QCC_OK) {
    g->root->failed = true;
    return NULL;
  }
  for (int64_t i = 0; i < columns; i++) qcc_tensor_set(&each, i, qcc_tensor_get(scale, 0));
  return qcc_add_const(g, qcc_internf(g->cx, "%s_scale", o->w->name), &each);
}

qcc_value *qcc_qdq_product(qcc_node *n, const qcc_qdq_operands *o) {
  qcc_graph *g = n->graph;
  qcc_value *in[4] = {o->x, o->w, o->x_zero, o->w_zero};
  const qcc_op op = n->op == QCC_OP_CONV ? QCC_OP_CONV_INTEGER : QCC_OP_MATMUL_INTEGER;
  qcc_node *product = qcc_add_node(g, n, op, qcc_internf(g->cx, "%s_integer", n->name), in, 4, 1);
  if (product && n->op == QCC_OP_CONV) qcc_attr_copy(product, n);
  qcc_value *sum = qcc_out(product, 0);
  qcc_node *cast = qcc_add_node(g, n, QCC_OP_CAST, qcc_internf(g->cx, "%s_cast", n->name), &sum, 1, 1);
  if (cast) qcc_attr_set_int(cast, "to", QCC_F32);
  qcc_value *scale = add_mul(g, n, QCC_OP_MUL, qcc_internf(g->cx, "%s_scale", n->name), o->x_scale, own_scale(n, o));
  qcc_value *y = add_mul(g, n, QCC_OP_MUL, qcc_internf(g->cx, "%s_scaled", n->name), qcc_out(cast, 0), scale);
  if (o->bias) y = add_mul(g, n, QCC_OP_ADD, qcc_internf(g->cx, "%s_biased", n->name), y, o->bias);
  if (qcc_graph_failed(g)) return NULL;
  qcc_set_type(y, &n->out[0]->type);
  qcc_replace_value(n->out[0], y);
  qcc_add_origin(y->def, n);
  return y;
}

static qcc_status rewrite(qcc_qdq *s, qcc_node *n, qcc_node *dql) {
  qcc_graph *g = n->graph;
  qcc_qparams q;
  qcc_value *codes = NULL;
  QCC_TRY(weight_codes(&codes, n, &q));
  if (q.axis >= 0) q.axis = 0; /* the scale is a vector over the columns, or channels */
  const bool conv = n->op == QCC_OP_CONV;
  qcc_value *zero = conv ? NULL : qcc_qdq_zero(s, g, &q, codes->name), *scale = qcc_qdq_scale(s, g, &q, codes->name);
  qcc_qdq_operands o = {.x = dql->out[0],
                        .x_scale = dql->out[1],
                        .x_zero = dql->out[2],
                        .w = codes,
                        .w_zero = zero,
                        .w_scale = scale,
                        .bias = n->op == QCC_OP_MATMUL ? NULL : qcc_in(n, 2)};
  QCC_TRY(qcc_graph_status(g));
  if (conv) QCC_TRY(qcc_qdq_conv_operands(&o, q.zero ? q.zero[0] : 0, g));
  if (!qcc_qdq_product(n, &o)) return QCC_NOMEM;
  qcc_node *fq = n->in[1].value->def;
  QCC_TRY(qcc_erase_node(n));
  return fq->out[0]->use_count ? QCC_OK : qcc_erase_node(fq);
}

/* The data of an Attention as dequantized codes; it takes these when its weights are codes as well. */
static qcc_status postpone(qcc_qdq *s, qcc_use *u, qcc_node *dql) {
  qcc_node *n = u->node;
  const char *name = qcc_internf(n->graph->cx, "%s_DequantizeLinear", u->value->def->in[0].value->name);
  qcc_node *dq = qcc_add_node(n->graph, n, QCC_OP_DEQUANTIZE_LINEAR, name, dql->out, 3, 1);
  if (!dq || !qcc_vec_push(n->graph->cx, &s->late, n)) return QCC_NOMEM;
  qcc_set_type(dq->out[0], &u->value->type);
  qcc_set_use(u, dq->out[0]);
  return qcc_graph_status(n->graph);
}

/* All users of one dynamic FakeQuant; those that have no integer form read the float tensor. */
static qcc_status rewrite_users(qcc_qdq *s, qcc_node *fq) {
  qcc_value *x = fq->in[0].value, *y = fq->out[0];
  qcc_node *dql = NULL;
  for (qcc_use *u = y->uses; u; u = y->uses) { /* each turn takes away at least this use */
    qcc_node *n = u->node;
    if (!n || u->index != 0 || !can_rewrite(n)) {
      if (n && n->op == QCC_OP_LSTM && !u->index && !qcc_vec_push(x->graph->cx, &s->late, n)) return QCC_NOMEM;
      qcc_set_use(u, x);
      continue;
    }
    if (!dql)
      dql = qcc_add_node(x->graph, fq, QCC_OP_DYNAMIC_QUANTIZE_LINEAR, qcc_internf(x->graph->cx, "%s_DynamicQuantizeLinear", x->name), &x,
                         1, 3);
    if (!dql) return QCC_NOMEM;
    QCC_TRY(n->op == QCC_OP_MS_ATTENTION ? postpone(s, u, dql) : rewrite(s, n, dql));
  }
  return qcc_erase_node(fq);
}

qcc_status qcc_qdq_dynamic(qcc_qdq *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (!qcc_fakequant_is_dynamic(n)) continue;
    qcc_node *before = n->prev; /* users, which may include the node kept as `next`, come behind */
    QCC_TRY(rewrite_users(s, n));
    next = before ? before->next : g->first;
  }
  return QCC_OK;
}
