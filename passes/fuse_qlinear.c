/* SPDX-License-Identifier: Apache-2.0
 * fuse-qlinear: from Q/DQ form to operators that take and give codes, as ONNX Runtime selects them on x86.
 *
 *   %xd = DequantizeLinear(%x, sx, zx)
 *   %wd = DequantizeLinear(%w, sw[], zw[]){axis=0}          %y = QLinearConv(%x, sx, zx, %w, sw[], zw[], sy, zy, %b)
 *   %bd = DequantizeLinear(%b, sx*sw[], 0){axis=0}     =>
 *   %c  = Conv(%xd, %wd, %bd)
 *   %y  = QuantizeLinear(%c, sy, zy)
 *
 * Every data input must come from a DequantizeLinear, the result must go to one QuantizeLinear and nowhere else, parameters are constant. A
 * product that ends in floats becomes QGemm or MatMulIntegerToFloat. Operators that move codes lose the pair when parameters
 * stay the same. Relu and Clip directly before a QuantizeLinear go when its codes cannot leave their window. Claim: quantizes (sums are
 * exact instead of in f32, so a result may lie one code away). */
#include <float.h>
#include <string.h>

#include "ir/check.h"
#include "passes/facts.h"
#include "passes/rewrite.h"

/* Where a tensor is quantized or dequantized, and how. */
typedef struct grid {
  qcc_node *node;
  qcc_value *codes, *scale, *zero; /* zero NULL: left out */
  qcc_dtype type;
  bool one; /* one scale for the tensor */
} grid;

typedef struct unit { /* one node that may be fused */
  qcc_pass_cx *p;
  qcc_graph *g;
  qcc_node *n;
  grid y;         /* node NULL: floats go on */
  bool any_q;     /* some reader quantizes */
  qcc_op op;      /* what it becomes; QCC_OP_OPAQUE: it stays and reads codes */
  qcc_value **in; /* inputs of the new node */
  uint32_t in_count;
} unit;

static bool is_byte(qcc_dtype t) { return t == QCC_U8 || t == QCC_S8; }

static bool read_grid(qcc_node *n, qcc_value *codes, grid *g) {
  *g = (grid){.node = n, .codes = codes, .scale = qcc_in(n, 1), .zero = qcc_in(n, 2)};
  if (!qcc_is_const(g->scale) || g->scale->data->type.dtype != QCC_F32 || (g->zero && !qcc_is_const(g->zero))) return false;
  if (qcc_attr_int(n, "block_size", 0)) return false;
  g->type = g->zero ? g->zero->data->type.dtype : codes->type.dtype;
  g->one = qcc_tensor_count(g->scale->data) == 1;
  return true;
}

/* A value that is nothing but dequantized codes. */
static bool dequantized(const qcc_value *v, grid *g) {
  if (!v || !v->def || v->def->op != QCC_OP_DEQUANTIZE_LINEAR || v->output_uses) return false;
  return read_grid(v->def, v->def->in[0].value, g);
}

/* A value that is quantized by its one reader. */
static bool quantized(const qcc_value *v, grid *g) {
  qcc_node *n = v && !v->output_uses ? qcc_only_user(v) : NULL;
  if (!n || n->op != QCC_OP_QUANTIZE_LINEAR || n->in[0].value != v || n->graph != v->graph) return false;
  return read_grid(n, n->out[0], g) && g->one;
}

static bool same_constant(const qcc_value *a, const qcc_value *b) {
  if (a == b) return true;
  return a && b && a->data->type.dtype == b->data->type.dtype && a->data->bytes == b->data->bytes &&
         !memcmp(a->data->data, b->data->data, a->data->bytes);
}

static bool same_grid(const grid *a, const grid *b) {
  return a->one && b->one && a->type == b->type && same_constant(a->scale, b->scale) && same_constant(a->zero, b->zero);
}

/* ---- inputs of the new node */
static void put(unit *u, qcc_value *v) { u->in[u->in_count++] = v; }

/* Scale and zero point; a zero point that is left out is made, like the scale in shape. */
static void put_params(unit *u, const grid *g) {
  qcc_value *zero = g->zero;
  if (!zero) {
    qcc_type t = g->scale->data->type;
    qcc_tensor fresh = {.data = NULL};
    t.dtype = g->type;
    if (qcc_tensor_new(&fresh, u->g->cx, &t) == QCC_OK) {
      memset(qcc_tensor_mut(&fresh), 0, fresh.bytes);
      zero = qcc_add_const(u->g, qcc_internf(u->g->cx, "%s_zero", g->codes->name), &fresh);
    } else {
      u->g->root->failed = true;
    }
  }
  put(u, g->scale);
  put(u, zero);
}

static void put_grid(unit *u, const grid *g) {
  put(u, g->codes);
  put_params(u, g);
}

/* ---- weights times data */
static const char *operands(const unit *u, grid *x, grid *w) {
  if (!dequantized(qcc_in(u->n, 0), x) || !x->one || !is_byte(x->type)) return "its data is not 8-bit codes with one scale";
  if (!dequantized(qcc_in(u->n, 1), w) || !is_byte(w->type)) return "its weights are not 8-bit codes";
  if (x->type == QCC_S8 && w->type != QCC_S8) return "signed data with unsigned weights";
  if (u->y.node && u->y.type != x->type) return "data and result are codes of different types";
  return NULL;
}

/* Per channel: as many scales as channels, zero points all alike. */
static const char *channels(const grid *w, int axis, int64_t count) {
  if (w->one) return NULL;
  const int rank = w->codes->type.rank;
  int named;
  if (rank < 1 || !qcc_axis(qcc_attr_int(w->node, "axis", 1), rank, &named) || named != axis) return "its scales lie along another axis";
  if (qcc_tensor_count(w->scale->data) != count) return "it has another number of scales than channels";
  if (w->zero && !qcc_const_splat(w->zero, qcc_tensor_get(w->zero->data, 0))) return "the zero points of its weights differ";
  return NULL;
}

static const char *bias_codes(const unit *u, int64_t count, qcc_value **to) {
  qcc_value *b = qcc_in(u->n, 2);
  grid g;
  *to = NULL;
  if (!b) return NULL;
  if (!dequantized(b, &g) || !qcc_is_const(g.codes) || g.codes->data->type.dtype != QCC_S32) return "its bias is not s32 codes";
  if (g.codes->data->type.rank != 1 || qcc_tensor_count(g.codes->data) != count) return "its bias is not one number per channel";
  *to = g.codes;
  return NULL;
}

static const char *fuse_conv(unit *u) {
  grid x, w;
  qcc_value *bias = NULL;
  const char *why = operands(u, &x, &w);
  if (!u->y.node) return "its result is not quantized";
  if (!why && w.codes->type.rank < 3) why = "the shape of its weights is not known";
  if (!why) why = channels(&w, 0, w.codes->type.dim[0]);
  if (!why) why = bias_codes(u, w.codes->type.dim[0], &bias);
  if (why) return why;
  put_grid(u, &x);
  put_grid(u, &w);
  put_params(u, &u->y);
  if (bias) put(u, bias);
  u->op = QCC_OP_QLINEAR_CONV;
  return NULL;
}

static const char *fuse_gemm(unit *u) {
  grid x, w;
  qcc_value *bias = NULL;
  const char *why = operands(u, &x, &w);
  if (!u->y.node && u->any_q) return "some of its readers quantize, some do not";
  if (!why && w.codes->type.rank != 2) why = "the shape of its weights is not known";
  const int columns = !qcc_attr_int(u->n, "transB", 0);
  if (!why) why = channels(&w, columns, w.codes->type.dim[columns]);
  if (!why) why = bias_codes(u, w.codes->type.dim[columns], &bias);
  if (!why && bias && qcc_attr_float(u->n, "beta", 1.0f) != 1.0f) why = "its bias has a factor";
  if (why) return why;
  put_grid(u, &x);
  put_grid(u, &w);
  if (bias || u->y.node) put(u, bias);
  if (u->y.node) put_params(u, &u->y);
  u->op = QCC_OP_MS_QGEMM;
  return NULL;
}

static const char *fuse_matmul(unit *u) {
  grid x, w;
  const char *why = operands(u, &x, &w);
  const int rank = why ? -1 : w.codes->type.rank;
  if (!u->y.node && u->any_q) return "some of its readers quantize, some do not";
  if (!why && !w.one) why = rank != 2 ? "several scales and no matrix" : channels(&w, 1, w.codes->type.dim[1]);
  if (why) return why;
  if (u->y.node) {
    put_grid(u, &x);
    put_grid(u, &w);
    put_params(u, &u->y);
    u->op = QCC_OP_QLINEAR_MATMUL;
    return NULL;
  }
  put_params(u, &x);
  put_params(u, &w);
  qcc_value *sx = u->in[0], *zx = u->in[1], *sw = u->in[2], *zw = u->in[3];
  u->in_count = 0;
  put(u, x.codes);
  put(u, w.codes);
  put(u, sx);
  put(u, sw);
  put(u, zx);
  put(u, zw);
  u->op = QCC_OP_MS_MATMUL_INTEGER_TO_FLOAT;
  return NULL;
}

/* ---- codes in, codes out */
static const char *fuse_binary(unit *u) {
  grid a, b;
  if (!u->y.node) return "its result is not quantized";
  if (!dequantized(qcc_in(u->n, 0), &a) || !dequantized(qcc_in(u->n, 1), &b) || !a.one || !b.one)
    return "an operand is not codes with one scale";
  if (!is_byte(a.type) || a.type != b.type || a.type != u->y.type) return "operands and result are codes of different types";
  put_grid(u, &a);
  put_grid(u, &b);
  put_params(u, &u->y);
  u->op = u->n->op == QCC_OP_ADD ? QCC_OP_MS_QLINEAR_ADD : QCC_OP_MS_QLINEAR_MUL;
  return NULL;
}

static const char *fuse_where(unit *u) {
  grid x, y;
  if (!u->y.node) return "its result is not quantized";
  if (!dequantized(qcc_in(u->n, 1), &x) || !dequantized(qcc_in(u->n, 2), &y) || !x.one || !y.one)
    return "an operand is not codes with one scale";
  if (!is_byte(x.type) || x.type != y.type || x.type != u->y.type) return "operands and result are codes of different types";
  put(u, u->n->in[0].value);
  put_grid(u, &x);
  put_grid(u, &y);
  put_params(u, &u->y);
  u->op = QCC_OP_MS_QLINEAR_WHERE;
  return NULL;
}

static const char *fuse_unary(unit *u, qcc_op op) {
  grid x;
  if (!u->y.node) return "its result is not quantized";
  if (!dequantized(qcc_in(u->n, 0), &x) || !x.one) return "its data is not codes with one scale";
  if (!is_byte(x.type) || x.type != u->y.type) return "data and result are codes of different types";
  put_grid(u, &x);
  put_params(u, &u->y);
  u->op = op;
  return NULL;
}

static const char *fuse_sigmoid(unit *u) { return fuse_unary(u, QCC_OP_MS_QLINEAR_SIGMOID); }
static const char *fuse_leaky_relu(unit *u) { return fuse_unary(u, QCC_OP_MS_QLINEAR_LEAKY_RELU); }
static const char *fuse_softmax(unit *u) { return fuse_unary(u, QCC_OP_MS_QLINEAR_SOFTMAX); }

static const char *fuse_pool(unit *u) {
  const qcc_type *t = &u->n->in[0].value->type;
  qcc_int_list dilations;
  if (t->rank >= 0 && t->rank < 3) return "it has fewer than three dims";
  if (qcc_node_ints(u->n, "dilations", QCC_MOST_INTS, &dilations))
    for (uint32_t i = 0; i < dilations.count; i++)
      if (dilations.at[i] != 1) return "its window is dilated";
  return fuse_unary(u, u->n->op == QCC_OP_AVERAGE_POOL ? QCC_OP_MS_QLINEAR_AVERAGE_POOL : QCC_OP_MS_QLINEAR_GLOBAL_AVERAGE_POOL);
}

static const char *fuse_concat(unit *u) {
  grid x;
  if (!u->y.node || !is_byte(u->y.type)) return "its result is not quantized to bytes";
  for (uint32_t i = 0; i < u->n->in_count; i++)
    if (!dequantized(u->n->in[i].value, &x) || !x.one || x.type != u->y.type) return "an operand is not codes of the result's type";
  put_params(u, &u->y);
  for (uint32_t i = 0; i < u->n->in_count && dequantized(u->n->in[i].value, &x); i++) put_grid(u, &x);
  u->op = QCC_OP_MS_QLINEAR_CONCAT;
  return NULL;
}

/* ---- operators that stay and take codes */
static const char *keep_moves(unit *u) {
  grid x, y;
  if (!dequantized(qcc_in(u->n, 0), &x) || !x.one) return "its data is not codes with one scale";
  for (uint32_t i = 0; i < u->n->out_count; i++)
    if (u->n->out[i] && (!quantized(u->n->out[i], &y) || !same_grid(&x, &y))) return "its result is not quantized like its data";
  return NULL;
}

static const char *keep_bytes(unit *u) {
  const char *why = keep_moves(u);
  grid x;
  if (!why && (!dequantized(u->n->in[0].value, &x) || !is_byte(x.type))) why = "its data is not 8-bit codes";
  if (!why && !(qcc_tensor_get(x.scale->data, 0) > 0)) why = "its scale is not positive";
  return why;
}

static const char *keep_max_pool(unit *u) {
  const int64_t opset = qcc_graph_opset(u->g->root, "");
  if (opset < 12 || opset > 21) return "only the MaxPool of opset 12 to 21 takes codes";
  if (u->n->out_count > 1 && u->n->out[1]) return "it gives indices";
  return keep_bytes(u);
}

static const char *keep_arg_max(unit *u) {
  grid x;
  if (!dequantized(qcc_in(u->n, 0), &x) || !x.one || !is_byte(x.type) || !x.zero) return "its data is not codes with one scale";
  return qcc_tensor_get(x.scale->data, 0) > 0 ? NULL : "its scale is not positive";
}

static const struct {
  qcc_op op;
  const char *(*fuse)(unit *u); /* NULL: done, u->op and u->in are set; else why not */
} table[] = {
    {QCC_OP_CONV, fuse_conv},
    {QCC_OP_GEMM, fuse_gemm},
    {QCC_OP_MATMUL, fuse_matmul},
    {QCC_OP_ADD, fuse_binary},
    {QCC_OP_MUL, fuse_binary},
    {QCC_OP_WHERE, fuse_where},
    {QCC_OP_SIGMOID, fuse_sigmoid},
    {QCC_OP_LEAKY_RELU, fuse_leaky_relu},
    {QCC_OP_SOFTMAX, fuse_softmax},
    {QCC_OP_AVERAGE_POOL, fuse_pool},
    {QCC_OP_GLOBAL_AVERAGE_POOL, fuse_pool},
    {QCC_OP_CONCAT, fuse_concat},
    {QCC_OP_RESHAPE, keep_moves},
    {QCC_OP_TRANSPOSE, keep_moves},
    {QCC_OP_SQUEEZE, keep_moves},
    {QCC_OP_UNSQUEEZE, keep_moves},
    {QCC_OP_FLATTEN, keep_moves},
    {QCC_OP_EXPAND, keep_moves},
    {QCC_OP_SLICE, keep_moves},
    {QCC_OP_TILE, keep_moves},
    {QCC_OP_GATHER, keep_moves},
    {QCC_OP_GATHER_ELEMENTS, keep_moves},
    {QCC_OP_SPLIT, keep_moves},
    {QCC_OP_MAX_POOL, keep_max_pool},
    {QCC_OP_REDUCE_MAX, keep_bytes},
    {QCC_OP_REDUCE_MIN, keep_bytes},
    {QCC_OP_RESIZE, keep_bytes},
    {QCC_OP_ARG_MAX, keep_arg_max},
};

/* ---- carrying out */
/* `v` takes the place of `old` and its name, by which codes are found again. */
static void stand_for(qcc_value *old, qcc_value *v) {
  const bool output = qcc_is_graph_output(old); /* their names are kept in any case */
  qcc_replace_value(old, v);
  if (!output) qcc_swap_names(old, v);
}

/* The node reads the codes themselves; what quantized its results goes. */
static qcc_status keep(unit *u) {
  grid x, y;
  if (!dequantized(u->n->in[0].value, &x)) return QCC_OK;
  qcc_set_input(u->n, 0, x.codes);
  for (uint32_t i = 0; i < u->n->out_count; i++) {
    qcc_value *v = u->n->out[i];
    if (!v || !quantized(v, &y)) continue;
    qcc_type t = v->type;
    t.dtype = x.type;
    qcc_set_type(v, &t);
    stand_for(y.node->out[0], v);
    QCC_TRY(qcc_erase_node(y.node));
  }
  return QCC_OK;
}

static void set_attrs(unit *u, qcc_node *to) {
  qcc_attr_copy(to, u->n);
  qcc_attr_remove(to, "beta");
  if (u->op == QCC_OP_MS_QLINEAR_AVERAGE_POOL) qcc_attr_remove(to, "dilations");
  if (u->op == QCC_OP_MS_QLINEAR_SOFTMAX) qcc_attr_set_int(to, "opset", qcc_graph_opset(u->g->root, "") < 13 ? 1 : 13);
}

static qcc_status replace(unit *u) {
  const char *name = u->n->name;
  qcc_node *end = u->y.node ? u->y.node : u->n, *n = qcc_add_node(u->g, u->n, u->op, name, u->in, u->in_count, 1);
  qcc_value *y = qcc_out(n, 0);
  if (n) set_attrs(u, n);
  QCC_TRY(qcc_graph_status(u->g));
  qcc_type t = u->n->out[0]->type;
  if (u->y.node) t.dtype = u->y.type;
  qcc_set_type(y, &t);
  qcc_add_origin(n, u->n);
  stand_for(end->out[0], y);
  if (u->y.node) QCC_TRY(qcc_erase_node(end));
  QCC_TRY(qcc_erase_node(u->n));
  qcc_rename_node(n, name);
  return qcc_graph_status(u->g);
}

static qcc_status fuse(qcc_pass_cx *p, qcc_node *n, const char *(*rule)(unit *u)) {
  unit u = {.p = p, .g = n->graph, .n = n};
  if (!n->out_count || !n->out[0] || !qcc_in(n, 0)) return QCC_OK;
  if (!quantized(n->out[0], &u.y)) u.y.node = NULL;
  QCC_FOR_USES(use, n->out[0]) u.any_q = u.any_q || (use->node && use->node->op == QCC_OP_QUANTIZE_LINEAR);
  u.in = qcc_arena_array(n->graph->arena, 3 * (size_t)n->in_count + 9, sizeof *u.in);
  if (!u.in) return QCC_NOMEM;
  const char *why = rule(&u);
  if (why) qcc_pass_decline(p, n, "fuse-qlinear", why);
  if (why || !qcc_rewrite_ok(p, n, "fuse-qlinear")) return QCC_OK;
  if (u.op == QCC_OP_OPAQUE) return keep(&u);
  if (qcc_op_get(u.op)->domain[0] && !qcc_graph_opset(u.g->root, qcc_op_get(u.op)->domain))
    QCC_TRY(qcc_graph_set_opset(u.g->root, qcc_op_get(u.op)->domain, 1));
  return replace(&u);
}

/* ---- around the units */
/* An activation whose window no code can leave. */
static qcc_status drop_activation(qcc_pass_cx *p, qcc_node *n) {
  grid y;
  double lo, hi;
  if (!qcc_clamp_window(n, &lo, &hi) || !quantized(n->out[0], &y) || !y.zero || !qcc_dtype_is_int(y.type)) return QCC_OK;
  const double scale = qcc_tensor_get(y.scale->data, 0), zero = qcc_tensor_get(y.zero->data, 0);
  if (scale * ((double)qcc_dtype_min(y.type) - zero) < lo - (double)FLT_EPSILON) return QCC_OK;
  if (scale * ((double)qcc_dtype_max(y.type) - zero) > hi + (double)FLT_EPSILON) return QCC_OK;
  if (!qcc_rewrite_ok(p, n, "fuse-qlinear")) return QCC_OK;
  qcc_set_input(y.node, 0, n->in[0].value);
  if (n->in[0].value->def) qcc_add_origin(n->in[0].value->def, n);
  return qcc_erase_node(n);
}

/* Dequantized and quantized again on the same grid. */
static qcc_status drop_pair(qcc_pass_cx *p, qcc_node *q) {
  grid x, y;
  if (q->op != QCC_OP_QUANTIZE_LINEAR || !dequantized(q->in[0].value, &x) || !read_grid(q, q->out[0], &y) || !same_grid(&x, &y))
    return QCC_OK;
  if (!qcc_can_stand_for(x.codes, q->out[0]) || !qcc_rewrite_ok(p, q, "fuse-qlinear")) return QCC_OK;
  qcc_replace_value(q->out[0], x.codes);
  return q->out[0]->use_count ? QCC_OK : qcc_erase_node(q);
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  qcc_pass_cx *p = user;
  QCC_FOR_NODES_SAFE(a, after_a, g) QCC_TRY(drop_activation(p, a));
  for (qcc_node *n = g->first, *next; n; n = next) {
    next = n->next;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
      if (n->op != table[i].op || n->domain[0]) continue;
      while (next && next->op == QCC_OP_QUANTIZE_LINEAR) next = next->next; /* it may go with this node */
      QCC_TRY(fuse(p, n, table[i].fuse));
      break;
    }
  }
  QCC_FOR_NODES_SAFE(q, after_q, g) QCC_TRY(drop_pair(p, q));
  for (qcc_node *n = g->last, *before; n; n = before) {
    before = n->prev;
    if (n->op == QCC_OP_DEQUANTIZE_LINEAR && !n->out[0]->use_count) QCC_TRY(qcc_erase_node(n));
  }
  return qcc_graph_status(g);
}

static qcc_status run(qcc_pass_cx *p) {
  QCC_TRY(qcc_graph_walk(p->g, each_graph, p));
  return qcc_sweep_consts(p->g);
}

const qcc_pass qcc_pass_fuse_qlinear = {
    .name = "fuse-qlinear",
    .doc = "replace Q/DQ units by operators on codes: QLinearConv, QGemm, QLinearAdd, ...",
    .options = "",
    .needs = QCC_PROP_SHAPES,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
