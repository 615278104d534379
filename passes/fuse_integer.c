/* SPDX-License-Identifier: Apache-2.0
 * fuse-integer: products of dequantized codes become integer products on ranges found at run time.
 *
 *   %q, %s, %z = DynamicQuantizeLinear(%x)                           %q, %s, %z = DynamicQuantizeLinear(%x)
 *   %xd = DequantizeLinear(%q, %s, %z)                          =>   %i = MatMulInteger(%q, %w, %z, %zw)
 *   %wd = DequantizeLinear(%w, %sw, %zw){axis=1}                     %f = Cast(%i){to=1}     %t = Mul(%s, %sw)
 *   %y  = MatMul(%xd, %wd)                                           %y = Mul(%f, %t)
 *
 * MatMul, and Gemm with alpha = beta = 1 and transA = 0, with a constant matrix of 8-bit weights; Conv with weights of one zero point becomes
 * ConvInteger. With the option ranges=runtime also where the data is quantized with constant parameters: these are measured again in every
 * run, behind a Clip to the window that they stood for (a Relu may have gone into it), of a Conv where the target wants run-time ranges for
 * it; and LSTM with 8-bit weights becomes DynamicQuantizeLSTM. Attention of com.microsoft becomes QAttention, which takes static ranges, too.
 * Claim: quantizes. */
#include <string.h>

#include "ir/check.h"
#include "passes/facts.h"
#include "passes/qdq.h"
#include "passes/raise_qlinear.h"
#include "passes/rewrite.h"

typedef struct unit {
  qcc_node *n;
  qcc_qdq_operands o;
  qcc_node *anew; /* static ranges: the QuantizeLinear */
  qcc_node *w;    /* DequantizeLinear of the weight */
} unit;

static qcc_node *dequantize_of(const qcc_value *v) {
  return v && v->def && v->def->op == QCC_OP_DEQUANTIZE_LINEAR && !qcc_attr_int(v->def, "block_size", 0) ? v->def : NULL;
}

static bool is_byte(qcc_dtype t) { return t == QCC_U8 || t == QCC_S8; }

static const char *read_data(unit *u, bool anew) {
  const qcc_node *dq = dequantize_of(qcc_in(u->n, 0));
  if (!dq) return "its data is not dequantized";
  qcc_value *x = dq->in[0].value;
  qcc_node *q = x->def;
  if (q && q->op == QCC_OP_DYNAMIC_QUANTIZE_LINEAR && qcc_in(dq, 1) == q->out[1] && qcc_in(dq, 2) == q->out[2]) {
    u->o.x = x, u->o.x_scale = q->out[1], u->o.x_zero = q->out[2];
    return NULL;
  }
  if (!anew || !q || q->op != QCC_OP_QUANTIZE_LINEAR) return "its data has no ranges found at run time";
  const qcc_value *scale = qcc_in(q, 1), *zero = qcc_in(q, 2);
  if (q->in[0].value->type.dtype != QCC_F32 || !is_byte(x->type.dtype)) return "its data is not f32 quantized to bytes";
  if (!qcc_is_const(scale) || qcc_tensor_count(scale->data) != 1 || (zero && !qcc_is_const(zero)))
    return "the scale of its data is computed";
  u->anew = q;
  return NULL;
}

static double zero_of(const qcc_node *dq) { return qcc_in(dq, 2) ? qcc_tensor_get(dq->in[2].value->data, 0) : 0; }

/* One scale, or one per column or channel of the result. */
static const char *read_weight(unit *u) {
  const bool conv = u->n->op == QCC_OP_CONV;
  u->w = dequantize_of(qcc_in(u->n, 1));
  const qcc_value *w = u->w ? u->w->in[0].value : NULL;
  if (!qcc_is_const(w) || !is_byte(w->data->type.dtype)) return "its weights are not constant 8-bit codes";
  if (!conv && w->data->type.rank != 2) return "its weights are not a matrix";
  const qcc_value *scale = qcc_in(u->w, 1), *zero = qcc_in(u->w, 2);
  if (!qcc_is_const(scale) || scale->data->type.dtype != QCC_F32 || (zero && !qcc_is_const(zero)))
    return "the scale of its weights is computed";
  if (conv && zero && !qcc_const_splat(zero, zero_of(u->w))) return "the zero points of its weights differ";
  if (qcc_tensor_count(scale->data) == 1) return NULL;
  const int columns = conv || (u->n->op == QCC_OP_GEMM && qcc_attr_int(u->n, "transB", 0)) ? 0 : 1;
  int axis;
  if (!qcc_axis(qcc_attr_int(u->w, "axis", 1), w->data->type.rank, &axis) || axis != columns) return "its scales lie along another axis";
  return NULL;
}

/* Do constants alone say which floats the codes of a bias stand for? */
static bool stands_for_floats(const qcc_node *dq) {
  if (!dq || !qcc_is_const(dq->in[0].value) || !qcc_is_const(qcc_in(dq, 1)) || !qcc_is_const(qcc_in(dq, 2))) return false;
  const qcc_tensor *codes = dq->in[0].value->data, *scale = dq->in[1].value->data;
  return scale->type.dtype == QCC_F32 && qcc_const_splat(dq->in[2].value, 0) && (qcc_tensor_count(scale) == 1 || codes->type.rank == 1);
}

/* Data of static ranges measured anew mean something else: the target must want that. */
static const char *unwanted(const qcc_pass_cx *p, const unit *u) {
  const bool wanted = !u->anew || (p->target && p->target->ops[u->n->op].dynamic);
  return wanted ? NULL : "the target does not want run-time ranges for it";
}

static const char *read_product(const qcc_pass_cx *p, const unit *u) {
  const qcc_node *n = u->n;
  const qcc_value *bias = qcc_in(n, 2);
  if (n->op != QCC_OP_CONV) return qcc_qdq_plain(n) ? NULL : "alpha, beta or transA is set";
  if (bias && !qcc_is_const(bias) && !stands_for_floats(dequantize_of(bias))) return "its bias is computed";
  return unwanted(p, u);
}

/* A bias in codes as the floats that it stands for. */
static qcc_status read_bias(unit *u) {
  qcc_value *bias = u->n->op == QCC_OP_MATMUL ? NULL : qcc_in(u->n, 2);
  const qcc_node *dq = dequantize_of(bias);
  u->o.bias = bias;
  if (!stands_for_floats(dq)) return QCC_OK;
  const qcc_tensor *codes = dq->in[0].value->data, *scale = dq->in[1].value->data;
  const int64_t scales = qcc_tensor_count(scale);
  float *plain = qcc_arena_array(bias->graph->arena, (size_t)scales, sizeof *plain); /* those of a mapped file stand anywhere */
  if (!plain) return QCC_NOMEM;
  qcc_tensor_read_f32(scale, plain);
  const qcc_qparams q = {.dtype = codes->type.dtype, .axis = scales > 1 ? 0 : -1, .count = (uint32_t)scales, .scale = plain};
  qcc_tensor floats = {0};
  QCC_TRY(qcc_dequantize(&floats, bias->graph->cx, codes, &q));
  u->o.bias = qcc_add_const(bias->graph, qcc_internf(bias->graph->cx, "%s_float", dq->in[0].value->name), &floats);
  return qcc_graph_status(bias->graph);
}

/* The codes as [K, N]; those of a transposed Gemm are copied. */
static qcc_status take_weight(unit *u) {
  qcc_value *w = u->w->in[0].value;
  u->o.w = w, u->o.w_scale = u->w->in[1].value, u->o.w_zero = qcc_in(u->w, 2);
  if (u->n->op != QCC_OP_GEMM || !qcc_attr_int(u->n, "transB", 0)) return QCC_OK;
  qcc_tensor same = qcc_tensor_retain(w->data);
  u->o.w = qcc_add_const(w->graph, qcc_internf(w->graph->cx, "%s_transposed", w->name), &same);
  QCC_TRY(qcc_graph_status(w->graph));
  return qcc_qdq_transpose(u->o.w);
}

/* The first reader of `v` in the graph of `like` that is such an operator. */
static qcc_node *reader(const qcc_value *v, const qcc_node *like, qcc_op op) {
  QCC_FOR_USES(use, v) {
    if (use->node && use->node->op == op && use->graph == like->graph && !use->index) return use->node;
  }
  return NULL;
}

static qcc_value *limit(qcc_graph *g, const qcc_node *q, double code, const char *what) {
  const qcc_value *zero = qcc_in(q, 2);
  const double z = zero ? qcc_tensor_get(zero->data, 0) : 0;
  const float at = (float)(qcc_tensor_get(q->in[1].value->data, 0) * (code - z));
  return qcc_add_const_f32(g, qcc_internf(g->cx, "%s_%s", q->in[0].value->name, what), 0, NULL, &at);
}

/* Data of static ranges: clipped where these ended, then measured. All readers of one QuantizeLinear share the nodes behind it. */
static qcc_status take_data(unit *u) {
  qcc_node *q = u->anew, *n = u->n;
  if (!q) return QCC_OK;
  qcc_graph *g = n->graph;
  qcc_value *x = q->in[0].value;
  const qcc_dtype t = q->out[0]->type.dtype;
  const char *name = qcc_internf(g->cx, "%s_window", q->name);
  qcc_node *clip = qcc_find_node(g, name), *dql = clip ? reader(qcc_out(clip, 0), n, QCC_OP_DYNAMIC_QUANTIZE_LINEAR) : NULL;
  if (!dql) {
    qcc_value *in[3] = {x, limit(g, q, (double)qcc_dtype_min(t), "least"), limit(g, q, (double)qcc_dtype_max(t), "most")};
    clip = qcc_add_node(g, n, QCC_OP_CLIP, name, in, 3, 1);
    qcc_value *y = qcc_out(clip, 0);
    if (y) qcc_set_type(y, &x->type);
    dql = qcc_add_node(g, n, QCC_OP_DYNAMIC_QUANTIZE_LINEAR, qcc_internf(g->cx, "%s_DynamicQuantizeLinear", x->name), &y, 1, 3);
  }
  if (!dql) return QCC_NOMEM;
  u->o.x = dql->out[0], u->o.x_scale = dql->out[1], u->o.x_zero = dql->out[2];
  return QCC_OK;
}

static qcc_status fuse(unit *u) {
  QCC_TRY(take_data(u));
  QCC_TRY(take_weight(u));
  QCC_TRY(read_bias(u));
  if (u->n->op == QCC_OP_CONV) QCC_TRY(qcc_qdq_conv_operands(&u->o, (int32_t)zero_of(u->w), u->n->graph));
  if (!qcc_qdq_product(u->n, &u->o)) return QCC_NOMEM;
  return qcc_erase_node(u->n);
}

static qcc_status fuse_lstm(qcc_pass_cx *p, qcc_node *n) {
  const char *why = qcc_lstm_obstacle(n);
  if (why) qcc_pass_decline(p, n, "fuse-integer", why);
  return !why && qcc_rewrite_ok(p, n, "fuse-integer") ? qcc_lstm_to_codes(n) : QCC_OK;
}

static const char *read_attention(const qcc_pass_cx *p, unit *u, bool anew) {
  const qcc_node *n = u->n, *dq = dequantize_of(qcc_in(n, 0));
  const char *why = qcc_attention_obstacle(n);
  if (!why) why = qcc_attention_weight_obstacle(n);
  if (!why && anew) why = read_data(u, true);
  if (why || anew) return why ? why : unwanted(p, u);
  if (!dq || dq->in[0].value->type.dtype != QCC_U8) return "its data are not dequantized u8 codes";
  qcc_raise_grid x;
  why = qcc_raise_read(&x, dq->in[0].value, qcc_in(dq, 1), qcc_in(dq, 2), -1);
  u->o.x = x.codes, u->o.x_scale = x.scale, u->o.x_zero = x.zero;
  return why;
}

static qcc_status fuse_attention(qcc_pass_cx *p, qcc_node *n, bool anew) {
  unit u = {.n = n};
  const char *why = read_attention(p, &u, anew);
  if (why) qcc_pass_decline(p, n, "fuse-integer", why);
  if (why || !qcc_rewrite_ok(p, n, "fuse-integer")) return QCC_OK;
  QCC_TRY(take_data(&u));
  return qcc_attention_to_codes(n, &u.o);
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  qcc_pass_cx *p = user;
  const bool anew = strcmp(qcc_pass_option_get(p, "ranges", ""), "runtime") == 0;
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->op == QCC_OP_LSTM && anew) QCC_TRY(fuse_lstm(p, n));
    if (n->op == QCC_OP_MS_ATTENTION && dequantize_of(qcc_in(n, 1))) QCC_TRY(fuse_attention(p, n, anew));
    if ((n->op != QCC_OP_MATMUL && n->op != QCC_OP_GEMM && n->op != QCC_OP_CONV) || !dequantize_of(qcc_in(n, 1))) continue;
    unit u = {.n = n};
    const char *why = read_weight(&u);
    if (!why) why = read_data(&u, anew);
    if (!why) why = read_product(p, &u);
    if (why) qcc_pass_decline(p, n, "fuse-integer", why);
    if (!why && qcc_rewrite_ok(p, n, "fuse-integer")) QCC_TRY(fuse(&u));
  }
  QCC_TRY(qcc_graph_status(g));
  return qcc_sort_nodes(g); /* a DynamicQuantizeLinear may have got an earlier reader */
}

static qcc_status run(qcc_pass_cx *p) { return qcc_graph_walk(p->g, each_graph, p); }

const qcc_pass qcc_pass_fuse_integer = {
    .name = "fuse-integer",
    .doc = "products of codes with run-time ranges become MatMulInteger chains",
    .options = "ranges",
    .needs = QCC_PROP_SHAPES | QCC_PROP_OPSET13,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
