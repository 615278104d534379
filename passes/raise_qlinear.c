/* SPDX-License-Identifier: Apache-2.0
 * raise-qlinear: from operators that take and give codes back to float operators between Q/DQ; the inverse of fuse-qlinear.
 *
 *                                                                   %xd = DequantizeLinear(%x, sx, zx)
 *                                                                   %wd = DequantizeLinear(%w, sw[], zw[]){axis=0}
 *   %y = QLinearConv(%x, sx, zx, %w, sw[], zw[], sy, zy, %b)   =>   %bd = DequantizeLinear(%b, sx*sw[], 0){axis=0}
 *                                                                   %c  = Conv(%xd, %wd, %bd)
 *                                                                   %y  = QuantizeLinear(%c, sy, zy)
 *
 * One DequantizeLinear serves all readers of a tensor. Operators that only move codes get a pair around them, so that every operator of the
 * result computes in floats. MatMulNBits becomes a MatMul behind a DequantizeLinear in blocks, in opset 21; with nbits=keep it stays.
 * Claim: quantizes (sums are in f32 instead of exact, so a result may lie one code away). */
#include "passes/raise_qlinear.h"

#include <string.h>

#include "passes/facts.h"
#include "passes/qdq.h"
#include "passes/raise_opset.h"
#include "passes/rewrite.h"

/* ---- parameters */
const char *qcc_raise_read(qcc_raise_grid *g, qcc_value *codes, qcc_value *scale, qcc_value *zero, int axis) {
  *g = (qcc_raise_grid){.codes = codes, .scale = scale, .zero = zero, .axis = -1, .count = 1};
  if (!codes || !scale) return "an operand is missing";
  const bool known = scale->data && (!zero || zero->data);
  if (!known) return scale->data || scale->type.rank == 0 ? NULL : "the number of its scales is not known";
  const int64_t scales = qcc_tensor_count(scale->data), zeros = zero ? qcc_tensor_count(zero->data) : 1;
  const bool along = axis >= 0 && axis < codes->type.rank, single = along && codes->type.dim[axis] == 1 && scale->data->type.rank == 1;
  if (scales == 1 && zeros == 1 && !single) return NULL;
  if (!along) return "it has several scales";
  g->axis = axis;
  g->count = codes->type.dim[axis];
  if (scales != 1 && scales != g->count) return "the number of its scales is not that of its channels";
  return zeros == 1 || zeros == g->count ? NULL : "the number of its zero points is not that of its channels";
}

/* Rank 0, or `count` numbers along an axis; one number is repeated. `like` NULL: zeros. */
static qcc_value *reshaped(qcc_graph *to, qcc_value *v, const char *name, qcc_dtype dtype, int axis, int64_t count) {
  if (v && (!v->data || (v->data->type.rank == (axis >= 0) && qcc_tensor_count(v->data) == count))) return v;
  qcc_type type = qcc_type_of(dtype, axis >= 0, &count);
  qcc_tensor t;
  if (qcc_tensor_new(&t, to->cx, &type) != QCC_OK) {
    to->root->failed = true;
    return NULL;
  }
  const bool one = v && qcc_tensor_count(v->data) == 1;
  for (int64_t i = 0; i < count; i++) qcc_tensor_set(&t, i, v ? qcc_tensor_get(v->data, one ? 0 : i) : 0);
  return qcc_add_const(to, name, &t);
}

void qcc_raise_shape(qcc_raise_grid *g, qcc_graph *to) {
  const char *base = g->codes->name;
  g->scale = reshaped(to, g->scale, qcc_internf(to->cx, "%s_scale", base), QCC_F32, g->axis, g->count);
  g->zero = reshaped(to, g->zero, qcc_internf(to->cx, "%s_zero_point", base), g->codes->type.dtype, g->axis, g->count);
}

static bool same_axis(const qcc_node *n, int axis) { return axis < 0 || qcc_attr_int(n, "axis", 1) == axis; }

qcc_value *qcc_raise_floats(const qcc_raise_grid *g, qcc_node *user) {
  qcc_value *codes = g->codes;
  QCC_FOR_USES(u, codes) {
    qcc_node *n = u->node;
    if (!n || u->index || n->op != QCC_OP_DEQUANTIZE_LINEAR || n->graph != user->graph || qcc_is_graph_output(n->out[0])) continue;
    if (qcc_in(n, 1) == g->scale && qcc_in(n, 2) == g->zero && same_axis(n, g->axis)) return n->out[0];
  }
  const bool behind = codes->def && codes->graph == user->graph && qcc_is_const(g->scale) && qcc_is_const(g->zero);
  qcc_value *in[3] = {codes, g->scale, g->zero};
  qcc_node *n = qcc_add_node(user->graph, behind ? codes->def->next : user, QCC_OP_DEQUANTIZE_LINEAR,
                             qcc_internf(user->graph->cx, "%s_DequantizeLinear", codes->name), in, 3, 1);
  if (!n) return NULL;
  if (g->axis >= 0) qcc_attr_set_int(n, "axis", g->axis);
  qcc_type type = codes->type;
  type.dtype = QCC_F32;
  qcc_set_type(n->out[0], &type);
  return n->out[0];
}

qcc_value *qcc_raise_codes(const qcc_raise_grid *g, qcc_value *v, qcc_node *before, qcc_dtype dtype) {
  if (!v) return NULL;
  qcc_value *in[3] = {v, g->scale, g->zero};
  qcc_node *n = qcc_add_node(v->graph, before, QCC_OP_QUANTIZE_LINEAR, qcc_internf(v->graph->cx, "%s_QuantizeLinear", v->name), in, 3, 1);
  if (!n) return NULL;
  qcc_type type = v->type;
  type.dtype = dtype;
  qcc_set_type(n->out[0], &type);
  return n->out[0];
}

/* ---- units: operands, perhaps a bias, a result */
typedef struct unit unit;
typedef struct operand {
  int8_t codes, scale, zero; /* inputs; codes -1: there is no such operand */
} operand;

typedef struct form {
  qcc_op from, to;
  uint8_t lead; /* inputs in front that stay as they are */
  operand a, b;
  int8_t bias;  /* s32, or floats where the result is; -1: none */
  int8_t scale; /* of the result, its zero point behind; -1: the result is floats */
  const char *(*fits)(unit *u);
} form;

struct unit {
  qcc_node *n;
  const form *f;
  int axis; /* of the channels of operand b; -1: one scale */
  qcc_raise_grid a, b, y;
  bool coded; /* the result is codes */
};

static const char *by_first(unit *u) {
  u->axis = 0;
  return qcc_attr_int(u->n, "channels_last", 0) ? "its channels are last" : NULL;
}

static const char *by_column(unit *u) {
  const qcc_value *b = qcc_in(u->n, (uint32_t)u->f->b.codes);
  u->axis = b && b->type.rank == 2 ? 1 : -1;
  return NULL;
}

static const char *by_transposed(unit *u) {
  u->axis = qcc_attr_int(u->n, "transB", 0) ? 0 : 1;
  return NULL;
}

static const char *channels_first(unit *u) { return qcc_attr_int(u->n, "channels_last", 0) ? "its channels are last" : NULL; }

/* Softmax before opset 13 runs over all dims from its axis on. */
static const char *last_axis(unit *u) {
  const int rank = u->n->in[0].value->type.rank;
  const int64_t opset = qcc_attr_int(u->n, "opset", 13), axis = qcc_attr_int(u->n, "axis", opset < 13 ? 1 : -1);
  if (opset >= 13 || axis == -1 || (rank >= 0 && axis == rank - 1)) return NULL;
  return "it is a Softmax of before opset 13";
}

#define NONE \
  { -1, -1, -1 }
static const form forms[] = {
    {QCC_OP_QLINEAR_CONV, QCC_OP_CONV, 0, {0, 1, 2}, {3, 4, 5}, 8, 6, by_first},
    {QCC_OP_MS_QLINEAR_CONV, QCC_OP_CONV, 0, {0, 1, 2}, {3, 4, 5}, 8, 6, by_first},
    {QCC_OP_QLINEAR_MATMUL, QCC_OP_MATMUL, 0, {0, 1, 2}, {3, 4, 5}, -1, 6, by_column},
    {QCC_OP_MS_MATMUL_INTEGER_TO_FLOAT, QCC_OP_MATMUL, 0, {0, 2, 4}, {1, 3, 5}, 6, -1, by_column},
    {QCC_OP_MS_QGEMM, QCC_OP_GEMM, 0, {0, 1, 2}, {3, 4, 5}, 6, 7, by_transposed},
    {QCC_OP_MS_QLINEAR_ADD, QCC_OP_ADD, 0, {0, 1, 2}, {3, 4, 5}, -1, 6, NULL},
    {QCC_OP_MS_QLINEAR_MUL, QCC_OP_MUL, 0, {0, 1, 2}, {3, 4, 5}, -1, 6, NULL},
    {QCC_OP_MS_QLINEAR_WHERE, QCC_OP_WHERE, 1, {1, 2, 3}, {4, 5, 6}, -1, 7, NULL},
    {QCC_OP_MS_QLINEAR_SIGMOID, QCC_OP_SIGMOID, 0, {0, 1, 2}, NONE, -1, 3, NULL},
    {QCC_OP_MS_QLINEAR_LEAKY_RELU, QCC_OP_LEAKY_RELU, 0, {0, 1, 2}, NONE, -1, 3, NULL},
    {QCC_OP_MS_QLINEAR_SOFTMAX, QCC_OP_SOFTMAX, 0, {0, 1, 2}, NONE, -1, 3, last_axis},
    {QCC_OP_MS_QLINEAR_AVERAGE_POOL, QCC_OP_AVERAGE_POOL, 0, {0, 1, 2}, NONE, -1, 3, channels_first},
    {QCC_OP_MS_QLINEAR_GLOBAL_AVERAGE_POOL, QCC_OP_GLOBAL_AVERAGE_POOL, 0, {0, 1, 2}, NONE, -1, 3, channels_first},
};

static qcc_value *at(const qcc_node *n, int index) { return index < 0 ? NULL : qcc_in(n, (uint32_t)index); }

static const char *read_operand(const unit *u, qcc_raise_grid *g, operand o, int axis) {
  return qcc_raise_read(g, at(u->n, o.codes), at(u->n, o.scale), at(u->n, o.zero), axis);
}

/* A bias in codes has the scales of both operands. */
static const char *check_bias(const unit *u) {
  const qcc_value *bias = at(u->n, u->f->bias);
  if (!bias || u->f->scale < 0) return NULL;
  if (!qcc_is_const(bias) || bias->data->type.dtype != QCC_S32) return "its bias is not a constant";
  if (!qcc_is_const(u->a.scale) || !qcc_is_const(u->b.scale)) return "its scales are computed";
  if (u->b.axis >= 0 && (bias->type.rank != 1 || bias->type.dim[0] != u->b.count)) return "its bias is not one number per channel";
  return NULL;
}

static const char *read_unit(unit *u) {
  const form *f = u->f;
  u->axis = -1;
  const char *why = f->fits ? f->fits(u) : NULL;
  if (!why) why = read_operand(u, &u->a, f->a, -1);
  if (!why && f->b.codes >= 0) why = read_operand(u, &u->b, f->b, u->axis);
  if (!why) why = check_bias(u);
  u->coded = f->scale >= 0 && at(u->n, f->scale);
  if (why || !u->coded) return why;
  return qcc_raise_read(&u->y, u->n->out[0], at(u->n, f->scale), at(u->n, f->scale + 1), -1);
}

/* s32 codes of a bias at the product of the scales. */
static qcc_value *bias_floats(const unit *u, qcc_value *bias) {
  qcc_graph *g = u->n->graph;
  qcc_raise_grid b = {.codes = bias, .axis = u->b.count > 1 ? 0 : -1, .count = u->b.count};
  if (!u->a.scale || !u->b.scale) return NULL;
  float *scale = qcc_arena_array(g->arena, (size_t)b.count, sizeof *scale);
  if (!scale) return NULL;
  const float x = (float)qcc_tensor_get(u->a.scale->data, 0), alpha = qcc_attr_float(u->n, "alpha", 1.0f);
  for (int64_t c = 0; c < b.count; c++) scale[c] = x * (float)qcc_tensor_get(u->b.scale->data, c) * alpha;
  b.scale = qcc_add_const_f32(g, qcc_internf(g->cx, "%s_scale", bias->name), b.axis >= 0, &b.count, scale);
  if (!b.scale) return NULL;
  qcc_raise_shape(&b, g);
  return qcc_raise_floats(&b, u->n);
}

static qcc_value *operand_floats(const unit *u, qcc_raise_grid *g) {
  qcc_raise_shape(g, u->n->graph);
  return g->scale && g->zero ? qcc_raise_floats(g, u->n) : NULL;
}

/* The result takes the place of `old`, as codes where that was codes. */
static qcc_status finish(unit *u, qcc_value *y) {
  qcc_value *old = u->n->out[0];
  qcc_type type = old->type;
  type.dtype = QCC_F32;
  qcc_set_type(y, &type);
  qcc_value *to = y;
  if (u->coded) {
    qcc_raise_shape(&u->y, u->n->graph);
    to = qcc_raise_codes(&u->y, y, u->n, old->type.dtype);
  }
  QCC_TRY(qcc_graph_status(u->n->graph));
  qcc_replace_value(old, to);
  qcc_add_origin(y->def, u->n);
  const char *name = u->n->name;
  qcc_node *n = y->def;
  QCC_TRY(qcc_erase_node(u->n));
  qcc_rename_node(n, name);
  return qcc_graph_status(n->graph);
}

static qcc_status raise(unit *u) {
  const form *f = u->f;
  qcc_graph *g = u->n->graph;
  qcc_value *in[4], *bias = at(u->n, f->bias);
  uint32_t count = 0;
  for (uint32_t i = 0; i < f->lead; i++) in[count++] = qcc_in(u->n, i);
  in[count++] = operand_floats(u, &u->a);
  if (f->b.codes >= 0) in[count++] = operand_floats(u, &u->b);
  if (bias && f->scale >= 0) in[count++] = bias_floats(u, bias);
  QCC_TRY(qcc_graph_status(g));
  qcc_node *n = qcc_add_node(g, u->n, f->to, NULL, in, count, 1);
  if (!n) return QCC_NOMEM;
  qcc_attr_copy(n, u->n);
  qcc_attr_remove(n, "channels_last");
  if (f->to == QCC_OP_SOFTMAX) qcc_attr_remove(n, "opset");
  qcc_value *y = n->out[0];
  if (bias && f->scale < 0) {
    qcc_set_type(y, &u->n->out[0]->type);
    y = qcc_out(qcc_add_node(g, u->n, QCC_OP_ADD, NULL, (qcc_value *[]){y, bias}, 2, 1), 0);
  }
  return y ? finish(u, y) : QCC_NOMEM;
}

/* ---- Concat: scale and zero point of the result, then triples */
static const char *read_concat(unit *u, qcc_raise_grid *parts) {
  const qcc_node *n = u->n;
  u->coded = true;
  if (n->in_count < 5 || (n->in_count - 2) % 3) return "it has incomplete operands";
  for (uint32_t i = 0; i < (n->in_count - 2) / 3; i++) {
    const char *why = qcc_raise_read(&parts[i], qcc_in(n, 3 * i + 2), qcc_in(n, 3 * i + 3), qcc_in(n, 3 * i + 4), -1);
    if (why) return why;
  }
  return qcc_raise_read(&u->y, n->out[0], n->in[0].value, n->in[1].value, -1);
}

static qcc_status raise_concat(qcc_pass_cx *p, qcc_node *n) {
  unit u = {.n = n};
  qcc_raise_grid *parts = qcc_arena_array(n->graph->arena, n->in_count, sizeof *parts);
  qcc_value **in = qcc_arena_array(n->graph->arena, n->in_count, sizeof *in);
  if (!parts || !in) return QCC_NOMEM;
  const char *why = read_concat(&u, parts);
  if (why) qcc_pass_decline(p, n, "raise-qlinear", why);
  if (why || !qcc_rewrite_ok(p, n, "raise-qlinear")) return QCC_OK;
  const uint32_t count = (n->in_count - 2) / 3;
  for (uint32_t i = 0; i < count; i++) in[i] = operand_floats(&u, &parts[i]);
  QCC_TRY(qcc_graph_status(n->graph));
  qcc_node *concat = qcc_add_node(n->graph, n, QCC_OP_CONCAT, NULL, in, count, 1);
  if (!concat) return QCC_NOMEM;
  qcc_attr_copy(concat, n);
  return finish(&u, concat->out[0]);
}

/* ---- operators that move codes */
static bool moves(const qcc_node *n) {
  if (n->op == QCC_OP_ARG_MAX) return true;
  return qcc_op_get(n->op)->role == QCC_ROLE_PASS && n->op != QCC_OP_IDENTITY && n->op != QCC_OP_DROPOUT;
}

/* The pair goes around the node; results of another type (indices) stay. */
static qcc_status surround(qcc_pass_cx *p, qcc_node *n) {
  qcc_value *x = qcc_in(n, 0);
  if (!x || !x->def || x->def->op != QCC_OP_QUANTIZE_LINEAR || qcc_attr_find(x->def, "axis")) return QCC_OK;
  qcc_raise_grid g;
  const char *why = qcc_raise_read(&g, x, qcc_in(x->def, 1), qcc_in(x->def, 2), -1);
  if (why) qcc_pass_decline(p, n, "raise-qlinear", why);
  if (why || !qcc_rewrite_ok(p, n, "raise-qlinear")) return QCC_OK;
  const qcc_dtype coded = x->type.dtype;
  qcc_raise_shape(&g, n->graph);
  if (g.scale && g.zero) qcc_set_input(n, 0, qcc_raise_floats(&g, n));
  QCC_TRY(qcc_graph_status(n->graph));
  for (uint32_t k = 0; k < n->out_count; k++) {
    qcc_value *v = n->out[k];
    if (!v || v->type.dtype != coded || n->op == QCC_OP_ARG_MAX) continue;
    qcc_type type = v->type;
    type.dtype = QCC_F32;
    qcc_set_type(v, &type);
    qcc_value *q = qcc_raise_codes(&g, v, n->next, coded);
    if (!q) return QCC_NOMEM;
    qcc_replace_value(v, q);
    qcc_set_input(q->def, 0, v); /* replace_value moved this edge as well */
  }
  return qcc_graph_status(n->graph);
}

/* Operators of a file of their own. */
static const struct {
  qcc_op op;
  const char *(*obstacle)(const qcc_node *n);
  qcc_status (*to_floats)(qcc_node *n);
} wholes[] = {{QCC_OP_MS_DYNAMIC_QUANTIZE_LSTM, qcc_lstm_coded_obstacle, qcc_lstm_to_floats},
              {QCC_OP_MS_QATTENTION, qcc_attention_coded_obstacle, qcc_attention_to_floats},
              {QCC_OP_MS_MATMUL_NBITS, qcc_nbits_coded_obstacle, qcc_nbits_to_floats}};

static bool is_kept(const qcc_pass_cx *p, const qcc_node *n) {
  return n->op == QCC_OP_MS_MATMUL_NBITS && strcmp(qcc_pass_option_get(p, "nbits", ""), "keep") == 0;
}

static qcc_status raise_whole(qcc_pass_cx *p, qcc_node *n, size_t at) {
  const char *why = wholes[at].obstacle(n);
  if (why) qcc_pass_decline(p, n, "raise-qlinear", why);
  return !why && qcc_rewrite_ok(p, n, "raise-qlinear") ? wholes[at].to_floats(n) : QCC_OK;
}

/* ---- all of it */
static const form *form_of(const qcc_node *n) {
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
    if (n->op == forms[i].from) return &forms[i];
  return NULL;
}

static qcc_status each_node(qcc_pass_cx *p, qcc_node *n) {
  if (!n->out_count || !n->out[0]) return QCC_OK;
  if (n->op == QCC_OP_MS_QLINEAR_CONCAT) return raise_concat(p, n);
  for (size_t i = 0; i < sizeof wholes / sizeof *wholes; i++)
    if (n->op == wholes[i].op && !is_kept(p, n)) return raise_whole(p, n, i);
  if (moves(n)) return surround(p, n);
  unit u = {.n = n, .f = form_of(n)};
  qcc_status st = QCC_OK;
  const char *why = u.f ? read_unit(&u) : qcc_raise_integer(p, n, &st);
  if (why && *why) qcc_pass_decline(p, n, "raise-qlinear", why);
  if (!u.f || why || !qcc_rewrite_ok(p, n, "raise-qlinear")) return st;
  return raise(&u);
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  QCC_FOR_NODES_SAFE(n, next, g) QCC_TRY(each_node(user, n));
  for (qcc_node *n = g->last, *before; n; n = before) {
    before = n->prev;
    if (n->op == QCC_OP_DEQUANTIZE_LINEAR && !n->out[0]->use_count) QCC_TRY(qcc_erase_node(n));
  }
  QCC_TRY(qcc_graph_status(g));
  return qcc_sort_nodes(g); /* a DequantizeLinear that was there may have got an earlier reader */
}

/* Blocks are of opset 21. */
static qcc_status raise_for_blocks(qcc_graph *g, void *user) {
  qcc_pass_cx *p = user;
  QCC_FOR_NODES(n, g)
  if (n->op == QCC_OP_MS_MATMUL_NBITS && !is_kept(p, n) && !qcc_nbits_coded_obstacle(n)) return qcc_raise_to(p, 21);
  return QCC_OK;
}

static qcc_status run(qcc_pass_cx *p) {
  QCC_TRY(qcc_graph_walk(p->g, raise_for_blocks, p));
  QCC_TRY(qcc_graph_walk(p->g, each_graph, p));
  return qcc_sweep_consts(p->g);
}

const qcc_pass qcc_pass_raise_qlinear = {
    .name = "raise-qlinear",
    .doc = "replace QLinearConv, QGemm, QLinearAdd, MatMulInteger, ... by float operators between Q/DQ",
    .options = "nbits",
    .needs = QCC_PROP_SHAPES | QCC_PROP_OPSET13,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
