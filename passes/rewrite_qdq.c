/* SPDX-License-Identifier: Apache-2.0
 * rewrite-qdq: replace every qcc.FakeQuant by ONNX operators that runtimes fuse into integer kernels.
 *
 *   %xq = qcc.FakeQuant(%x)                 %q = QuantizeLinear(%x, s, z)   %xd = DequantizeLinear(%q, s, z)
 *   %wq = qcc.FakeQuant(%w)            =>   %wd = DequantizeLinear(%codes, sw[], 0){axis=0}
 *   %c  = Conv(%xq, %wq, %b)                %bd = DequantizeLinear(%b32, s*sw[], 0){axis=0}
 *   %r  = Relu(%c)                          %c  = Conv(%xd, %wd, %bd)
 *   %y  = qcc.FakeQuant(%r)                 %y  = DequantizeLinear(QuantizeLinear(%c))
 *
 * A weight whose readers compute in float becomes %wd = Mul(Cast(%codes), sw[]) where the target folds that when it loads the model.
 *
 * Relu and Clip directly before a QuantizeLinear go when its codes cannot leave their window. Pairs are always explicit, a tensor has one
 * QuantizeLinear, a graph output has a DequantizeLinear of its own, and a bias is int32 at the product of the scales unless the target
 * wants it in float (see the placement rules of ONNX Runtime's QDQ fusion). Dynamic forms are in qdq_dynamic.c, weights in blocks in
 * qdq_blocks.c. Claim: exact but for the rounding of the int32 bias. */
#include <float.h>
#include <string.h>

#include "passes/facts.h"
#include "passes/fakequant.h"
#include "passes/qdq.h"
#include "passes/raise_opset.h"

/* Does an integer kernel read the value as its weight? */
static bool read_by_integers(const qcc_value *w) {
  QCC_FOR_USES(u, w) {
    const qcc_value *x = u->node ? qcc_in(u->node, 0) : NULL;
    if (x && x->def && (x->def->op == QCC_OP_FAKE_QUANT || x->def->op == QCC_OP_DEQUANTIZE_LINEAR)) return true;
  }
  return false;
}

static bool is_symmetric(const qcc_qparams *q) {
  for (uint32_t i = 0; q->zero && i < q->count; i++)
    if (q->zero[i]) return false;
  return true;
}

/* Is it a weight of an operator that becomes one on codes? */
static bool read_late(const qcc_qdq *s, const qcc_value *v) {
  for (size_t i = 0; i < s->late.n; i++) {
    QCC_FOR_USES(u, v) {
      if (u->node == s->late.at[i]) return true;
    }
  }
  return false;
}

static bool stored_as_cast(const qcc_qdq *s, const qcc_node *fq, const qcc_qparams *q) {
  const qcc_target *t = s->p->target;
  return t && t->folds_casts && !q->block && is_symmetric(q) && !qcc_is_graph_output(fq->out[0]) && !read_by_integers(fq->out[0]) &&
         !read_late(s, fq->out[0]);
}

static qcc_status rewrite_const(qcc_qdq *s, qcc_node *n, const qcc_qparams *q) {
  qcc_value *w = n->in[0].value, *codes = NULL;
  const char *name = w->name;
  QCC_TRY(qcc_qdq_codes(&codes, n->graph, w, true, q));
  qcc_value *y = stored_as_cast(s, n, q) ? qcc_qdq_cast(n->graph, n, codes, q, name) : qcc_qdq_dequantize(s, n->graph, n, codes, q, name);
  QCC_TRY(qcc_graph_status(n->graph));
  qcc_replace_value(n->out[0], y);
  return qcc_erase_node(n);
}

/* The activation before a quantizer does nothing when every code already lies inside its window. */
static qcc_status drop_activation(qcc_node *fq, const qcc_qparams *q) {
  qcc_value *x = fq->in[0].value;
  double lo, hi;
  if (!x->def || x->use_count != 1 || !qcc_clamp_window(x->def, &lo, &hi)) return QCC_OK;
  double zero = q->zero ? q->zero[0] : 0, scale = (double)q->scale[0];
  double least = scale * ((double)qcc_dtype_min(q->dtype) - zero), most = scale * ((double)qcc_dtype_max(q->dtype) - zero);
  if (least < lo - (double)FLT_EPSILON || most > hi + (double)FLT_EPSILON) return QCC_OK;
  qcc_node *activation = x->def;
  qcc_set_input(fq, 0, activation->in[0].value);
  if (activation->in[0].value->def) qcc_add_origin(activation->in[0].value->def, activation);
  return qcc_erase_node(activation);
}

/* Graph outputs get a DequantizeLinear of their own: one inside an integer unit must not be an output. */
static void output_dequantize(qcc_qdq *s, qcc_node *fq, qcc_value *q8, qcc_value *dq, const qcc_qparams *q) {
  if (!qcc_is_graph_output(dq) || dq->use_count == 1) return;
  qcc_value *own = qcc_qdq_dequantize(s, fq->graph, fq, q8, q, dq->name);
  if (!own) return;
  for (qcc_use *u = dq->uses, *next; u; u = next) {
    next = u->next;
    if (u->node) qcc_set_use(u, own);
  }
}

static qcc_status rewrite_activation(qcc_qdq *s, qcc_node *n, const qcc_qparams *q) {
  QCC_TRY(drop_activation(n, q));
  qcc_graph *g = n->graph;
  qcc_value *x = n->in[0].value;
  qcc_value *in[3] = {x, qcc_qdq_scale(s, g, q, x->name), qcc_qdq_zero(s, g, q, x->name)};
  qcc_node *quantize = qcc_add_node(g, n, QCC_OP_QUANTIZE_LINEAR, qcc_internf(g->cx, "%s_QuantizeLinear", x->name), in, 3, 1);
  qcc_value *q8 = qcc_out(quantize, 0);
  if (q8) {
    qcc_type type = x->type;
    type.dtype = q->dtype;
    qcc_set_type(q8, &type);
  }
  qcc_value *y = qcc_qdq_dequantize(s, g, n, q8, q, x->name);
  QCC_TRY(qcc_graph_status(g));
  qcc_replace_value(n->out[0], y);
  output_dequantize(s, n, q8, y, q);
  return qcc_erase_node(n);
}

/* int32 codes of a bias at scale sx * sw[c]; `out` gets one code and one scale per output channel. */
static qcc_status bias_codes(qcc_tensor *codes, float *scale, const qcc_value *bias, const qcc_qparams *x, const qcc_qparams *w,
                             int64_t count) {
  qcc_type type = qcc_type_of(QCC_S32, 1, &count);
  QCC_TRY(qcc_tensor_new(codes, bias->graph->cx, &type));
  int32_t *to = qcc_tensor_mut(codes);
  bool one = qcc_tensor_count(bias->data) == 1;
  for (int64_t c = 0; c < count; c++) {
    scale[c] = x->scale[0] * w->scale[w->count == 1 ? 0 : c];
    to[c] = qcc_quantize1((float)qcc_tensor_get(bias->data, one ? 0 : c), scale[c], 0, INT32_MIN, INT32_MAX);
  }
  return QCC_OK;
}

/* Does the target want biases in int32? Nobody having said, yes. */
static bool int32_bias(const qcc_pass_cx *p) { return !p->target || !p->target->float_bias; }

static bool integer_unit(const qcc_node *n, qcc_qparams *x, qcc_qparams *w) {
  const qcc_value *bias = qcc_in(n, 2);
  if ((n->op != QCC_OP_CONV && n->op != QCC_OP_GEMM) || !bias || !bias->data || bias->type.dtype != QCC_F32) return false;
  if (!qcc_fakequant_is(qcc_in(n, 0)) || !qcc_fakequant_is(qcc_in(n, 1))) return false;
  if (!qcc_fakequant_read(n->in[0].value->def, x) || !qcc_fakequant_read(n->in[1].value->def, w)) return false;
  return x->count == 1 && qcc_fakequant_by_output(n, w);
}

static qcc_status rewrite_bias(qcc_qdq *s, qcc_node *n) {
  qcc_qparams x, w;
  if (!integer_unit(n, &x, &w)) return QCC_OK;
  qcc_value *bias = n->in[2].value;
  const qcc_type *wt = &n->in[1].value->type;
  int64_t count = n->op == QCC_OP_GEMM && !qcc_attr_int(n, "transB", 0) ? wt->dim[1] : wt->dim[0];
  if (qcc_tensor_count(bias->data) != count && qcc_tensor_count(bias->data) != 1) return QCC_OK;
  float *scale = qcc_arena_array(n->graph->arena, (size_t)count, sizeof *scale);
  if (!scale) return QCC_NOMEM;
  qcc_tensor codes = {0};
  QCC_TRY(bias_codes(&codes, scale, bias, &x, &w, count));
  qcc_value *b32 = qcc_add_const(n->graph, qcc_internf(s->p->cx, "%s_quantized", bias->name), &codes);
  qcc_qparams q = {.dtype = QCC_S32, .axis = w.count > 1 ? 0 : -1, .count = w.count > 1 ? (uint32_t)count : 1, .scale = scale};
  qcc_set_input(n, 2, qcc_qdq_dequantize(s, n->graph, n, b32, &q, bias->name));
  return qcc_graph_status(n->graph);
}

static qcc_status read_params(const qcc_qdq *s, qcc_node *n, qcc_qparams *q) {
  if (qcc_fakequant_read(n, q)) return QCC_OK;
  QCC_TRY(qcc_graph_status(n->graph)); /* out of memory looks the same */
  qcc_loc loc = qcc_node_loc(n);
  return qcc_error(s->p->cx, QCC_INTERNAL, "I-203", &loc, "FakeQuant has wrong attributes");
}

static qcc_status rewrite_static(qcc_qdq *s, qcc_node *n) {
  qcc_qparams q;
  QCC_TRY(read_params(s, n, &q));
  return n->in[0].value->data ? rewrite_const(s, n, &q) : rewrite_activation(s, n, &q);
}

/* The products behind them may go as well. */
static qcc_status rewrite_blocks(qcc_qdq *s, qcc_graph *g) {
  for (qcc_node *n = g->first, *before; n; n = before ? before->next : g->first) {
    before = n;
    if (!qcc_qdq_in_blocks(n)) continue;
    qcc_qparams q;
    before = n->prev;
    (void)qcc_rewrite_ok(s->p, n, "rewrite-qdq");
    QCC_TRY(read_params(s, n, &q));
    QCC_TRY(qcc_qdq_blocks(s, n, &q));
  }
  return QCC_OK;
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  qcc_qdq *s = user;
  QCC_TRY(qcc_qdq_dynamic(s, g));
  QCC_TRY(rewrite_blocks(s, g));
  for (qcc_node *n = int32_bias(s->p) ? g->first : NULL; n; n = n->next) QCC_TRY(rewrite_bias(s, n));
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->op != QCC_OP_FAKE_QUANT) continue;
    (void)qcc_rewrite_ok(s->p, n, "rewrite-qdq"); /* all or nothing: half a rewrite cannot be exported */
    QCC_TRY(rewrite_static(s, n));
  }
  return qcc_graph_status(g);
}

/* Blocks and codes of 16 bits are of opset 21, floats of 8 bits of 19. */
static int64_t opset_for(const qcc_qdq *s, const qcc_node *n) {
  if (n->op != QCC_OP_FAKE_QUANT || qcc_fakequant_is_dynamic(n)) return 0;
  const qcc_dtype t = qcc_dtype_from_name(qcc_attr_str(n, "dtype", "u8"));
  if (qcc_dtype_bits(t) == 16 || (qcc_qdq_in_blocks(n) && !(s->nbits && qcc_qdq_nbits_fits(n)))) return 21;
  return qcc_dtype_is_f8(t) ? 19 : 0;
}

static qcc_status raise_for_codes(qcc_graph *g, void *user) {
  const qcc_qdq *s = user;
  int64_t needed = 0;
  QCC_FOR_NODES(n, g) {
    const int64_t opset = opset_for(s, n);
    needed = opset > needed ? opset : needed;
  }
  return needed ? qcc_raise_to(s->p, needed) : QCC_OK;
}

/* Operators whose weights were to become codes first. */
static qcc_status rewrite_late(qcc_node *n) {
  if (n->op == QCC_OP_LSTM) return qcc_lstm_obstacle(n) ? QCC_OK : qcc_lstm_to_codes(n);
  const qcc_node *dq = n->in[0].value->def;
  const qcc_qdq_operands o = {.x = dq->in[0].value, .x_scale = qcc_in(dq, 1), .x_zero = qcc_in(dq, 2)};
  return qcc_attention_weight_obstacle(n) ? QCC_OK : qcc_attention_to_codes(n, &o);
}

static qcc_status run(qcc_pass_cx *p) {
  qcc_qdq s = {.p = p, .nbits = strcmp(qcc_pass_option_get(p, "nbits", ""), "contrib") == 0};
  QCC_TRY(qcc_graph_walk(p->g, raise_for_codes, &s));
  qcc_map_init(&s.scales, p->cx);
  qcc_map_init(&s.zeros, p->cx);
  qcc_status st = qcc_graph_walk(p->g, each_graph, &s);
  for (size_t i = 0; i < s.late.n && st == QCC_OK; i++) st = rewrite_late(s.late.at[i]);
  qcc_vec_free(p->cx, &s.late);
  qcc_map_fini(&s.scales);
  qcc_map_fini(&s.zeros);
  return st;
}

const qcc_pass qcc_pass_rewrite_qdq = {
    .name = "rewrite-qdq",
    .doc = "replace FakeQuant by QuantizeLinear/DequantizeLinear pairs or integer chains",
    .options = "nbits",
    .needs = QCC_PROP_FAKEQUANT | QCC_PROP_OPSET13,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
