/* SPDX-License-Identifier: Apache-2.0
 * The part of raise-qlinear for products on run-time ranges; the inverse of the chain that rewrite-qdq writes.
 *
 *   %q, %s, %z = DynamicQuantizeLinear(%x)
 *   %i = MatMulInteger(%q, %w, %z, %zw)                               %xd = DequantizeLinear(%q, %s, %z)
 *   %f = Cast(%i){to=1}     %t = Mul(%s, %sw)                    =>   %wd = DequantizeLinear(%w, %sw, %zw){axis=1}
 *   %y = Mul(%f, %t)                                                  %y  = MatMul(%xd, %wd)
 *
 * ConvInteger in the same way, a bias behind which becomes that of the Conv, and DynamicQuantizeMatMul, which is all of it in one operator. */
#include "passes/raise_qlinear.h"

typedef struct chain {
  qcc_node *end;     /* makes the floats */
  qcc_node *scaled;  /* the Mul with the scales: `end`, unless that adds a bias */
  qcc_node *product; /* MatMulInteger, ConvInteger */
  qcc_value *bias;   /* of a Conv, [1,M,1,..] or without the leading 1; NULL: none */
  qcc_raise_grid a, b;
} chain;

static const char none[] = "";

static bool is_mul(const qcc_value *v) { return v && v->def && v->def->op == QCC_OP_MUL && v->def->in_count == 2; }

/* The integer product behind the Cast that one operand of `n` is; its scales are the other one. */
static qcc_node *product_of(const qcc_node *n, qcc_value **scales) {
  for (uint32_t k = 0; k < 2 && n->op == QCC_OP_MUL; k++) {
    const qcc_value *v = qcc_in(n, k);
    const qcc_node *cast = v && v->use_count == 1 ? v->def : NULL;
    if (!cast || cast->op != QCC_OP_CAST || qcc_attr_int(cast, "to", 0) != QCC_F32) continue;
    qcc_node *p = cast->in[0].value->use_count == 1 ? cast->in[0].value->def : NULL;
    if (!p || (p->op != QCC_OP_MATMUL_INTEGER && p->op != QCC_OP_CONV_INTEGER)) continue;
    *scales = qcc_in(n, 1 - k);
    return p;
  }
  return NULL;
}

/* Scale of the codes that the product reads; NULL: not found. */
static qcc_value *scale_of(const qcc_node *product) {
  const qcc_value *x = product->in[0].value, *zero = qcc_in(product, 2);
  const qcc_node *q = x->def;
  if (!q) return NULL;
  if (q->op == QCC_OP_DYNAMIC_QUANTIZE_LINEAR) return q->out[0] == x && zero == q->out[2] ? q->out[1] : NULL;
  return q->op == QCC_OP_QUANTIZE_LINEAR && zero == qcc_in(q, 2) ? qcc_in(q, 1) : NULL;
}

/* One scale, or one per output channel where these lie in the result. */
static bool along_channels(const qcc_value *scale, const qcc_node *product) {
  if (!qcc_is_const(scale) || scale->data->type.dtype != QCC_F32) return false;
  const qcc_type *t = &scale->data->type, *w = &product->in[1].value->type;
  if (qcc_tensor_count(scale->data) == 1) return true;
  if (product->op == QCC_OP_MATMUL_INTEGER) return w->rank == 2 && t->dim[t->rank - 1] == w->dim[1];
  const int at = t->rank - (w->rank - 1);
  return w->rank > 2 && at >= 0 && t->dim[at] == qcc_tensor_count(scale->data);
}

static const char *read_chain(chain *c, qcc_value *scales) {
  const qcc_node *p = c->product;
  qcc_value *sx = scale_of(p), *sw = NULL;
  if (!sx) return "its data is not quantized just before";
  if (!is_mul(scales)) return "its result is not multiplied by the scales of data and weights";
  for (uint32_t k = 0; k < 2; k++)
    if (scales->def->in[k].value == sx) sw = scales->def->in[1 - k].value;
  if (!sw || !along_channels(sw, p)) return "the scale of its weights is not constant";
  const int rank = p->in[1].value->type.rank, axis = p->op == QCC_OP_CONV_INTEGER ? 0 : rank == 2 ? 1 : -1;
  const char *why = qcc_raise_read(&c->a, p->in[0].value, sx, qcc_in(p, 2), -1);
  return why ? why : qcc_raise_read(&c->b, p->in[1].value, sw, qcc_in(p, 3), axis);
}

/* Nodes that nobody reads any more, from `v` upwards. */
static qcc_status erase_unused(qcc_value *v) {
  while (v && v->def && !v->use_count && v->def->out_count == 1) {
    qcc_node *n = v->def;
    v = qcc_in(n, 0);
    QCC_TRY(qcc_erase_node(n));
  }
  return QCC_OK;
}

/* The Add with one constant number per channel behind the result of a ConvInteger: its bias. */
static qcc_node *bias_behind(const qcc_node *scaled, const qcc_node *product) {
  const qcc_value *y = scaled->out[0];
  qcc_node *add = qcc_only_user(y);
  if (!add || add->op != QCC_OP_ADD || add->graph != scaled->graph || product->op != QCC_OP_CONV_INTEGER) return NULL;
  const qcc_value *v = qcc_in(add, qcc_in(add, 0) == y);
  const qcc_type *w = &product->in[1].value->type;
  if (!qcc_is_const(v) || v->data->type.dtype != QCC_F32 || w->rank < 3 || w->dim[0] < 1) return NULL;
  const int at = v->data->type.rank - (w->rank - 1);
  return at >= 0 && at < 2 && v->data->type.dim[at] == w->dim[0] && qcc_tensor_count(v->data) == w->dim[0] ? add : NULL;
}

/* Finds the chain that ends with `n`. */
static bool find_chain(chain *c, qcc_node *n, qcc_value **scales) {
  *c = (chain){.end = n, .scaled = n};
  for (uint32_t k = 0; k < 2 && n->op == QCC_OP_ADD; k++)
    if (is_mul(qcc_in(n, k))) c->scaled = n->in[k].value->def, c->bias = qcc_in(n, 1 - k);
  c->product = product_of(c->scaled, scales);
  return c->product && bias_behind(c->scaled, c->product) == (c->bias ? n : NULL);
}

static qcc_value *bias_of(const chain *c) {
  if (!c->bias) return NULL;
  qcc_tensor t = qcc_tensor_retain(c->bias->data);
  t.type = qcc_type_of(QCC_F32, 1, (int64_t[]){qcc_tensor_count(c->bias->data)});
  return qcc_add_const(c->bias->graph, qcc_internf(c->bias->graph->cx, "%s_bias", c->product->name), &t);
}

static qcc_value *product_in_floats(chain *c, qcc_op op) {
  qcc_graph *g = c->end->graph;
  qcc_raise_shape(&c->a, g);
  qcc_raise_shape(&c->b, g);
  if (qcc_graph_failed(g)) return NULL;
  qcc_value *in[3] = {qcc_raise_floats(&c->a, c->end), qcc_raise_floats(&c->b, c->end), bias_of(c)};
  return qcc_out(qcc_add_node(g, c->end, op, NULL, in, in[2] ? 3 : 2, 1), 0);
}

static qcc_status replace(chain *c, qcc_value *y) {
  qcc_node *end = c->end;
  if (!y) return qcc_graph_failed(end->graph) ? QCC_NOMEM : QCC_INTERNAL;
  const char *name = c->product->name;
  qcc_node *scaled = c->scaled;
  qcc_value *inputs[2] = {qcc_in(scaled, 0), qcc_in(scaled, 1)};
  qcc_set_type(y, &end->out[0]->type);
  qcc_replace_value(end->out[0], y);
  qcc_add_origin(y->def, c->product);
  if (c->product == end) return qcc_erase_node(end);
  qcc_attr_copy(y->def, c->product);
  QCC_TRY(qcc_erase_node(end));
  if (scaled != end) QCC_TRY(qcc_erase_node(scaled));
  for (int k = 0; k < 2; k++) QCC_TRY(erase_unused(inputs[k]));
  qcc_rename_node(y->def, name);
  return qcc_graph_status(y->graph);
}

/* Data f32, codes of weights, scale, zero point, bias. */
static const char *raise_dynamic_matmul(qcc_pass_cx *p, qcc_node *n, qcc_status *st) {
  chain c = {.end = n, .scaled = n, .product = n};
  const qcc_value *w = qcc_in(n, 1);
  const char *why = qcc_raise_read(&c.b, qcc_in(n, 1), qcc_in(n, 2), qcc_in(n, 3), w && w->type.rank == 2 ? 1 : -1);
  if (why || !qcc_rewrite_ok(p, n, "raise-qlinear")) return why;
  qcc_graph *g = n->graph;
  qcc_value *x = n->in[0].value, *bias = qcc_in(n, 4);
  qcc_node *q = qcc_add_node(g, n, QCC_OP_DYNAMIC_QUANTIZE_LINEAR, qcc_internf(g->cx, "%s_DynamicQuantizeLinear", x->name), &x, 1, 3);
  if (!q) return *st = QCC_NOMEM, NULL;
  qcc_type t = x->type;
  t.dtype = QCC_U8;
  qcc_set_type(q->out[0], &t);
  qcc_set_type(q->out[1], &(qcc_type){.dtype = QCC_F32});
  qcc_set_type(q->out[2], &(qcc_type){.dtype = QCC_U8});
  c.a = (qcc_raise_grid){.codes = q->out[0], .scale = q->out[1], .zero = q->out[2], .axis = -1, .count = 1};
  qcc_value *y = product_in_floats(&c, QCC_OP_MATMUL);
  if (y && bias) {
    qcc_set_type(y, &n->out[0]->type);
    y = qcc_out(qcc_add_node(g, n, QCC_OP_ADD, NULL, (qcc_value *[]){y, bias}, 2, 1), 0);
  }
  *st = replace(&c, y);
  return NULL;
}

const char *qcc_raise_integer(qcc_pass_cx *p, qcc_node *n, qcc_status *st) {
  if (n->op == QCC_OP_MS_DYNAMIC_QUANTIZE_MATMUL) return raise_dynamic_matmul(p, n, st);
  qcc_value *scales;
  chain c;
  if (!find_chain(&c, n, &scales)) return none;
  const char *why = read_chain(&c, scales);
  if (why || !qcc_rewrite_ok(p, n, "raise-qlinear")) return why;
  *st = replace(&c, product_in_floats(&c, c.product->op == QCC_OP_MATMUL_INTEGER ? QCC_OP_MATMUL : QCC_OP_CONV));
  return NULL;
}
