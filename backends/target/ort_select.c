/* SPDX-License-Identifier: Apache-2.0
 * Units of DequantizeLinear, operator, QuantizeLinear become integer kernels: the rows of ort_units.def. A row that does not match gives the
 * reason; nothing else in the tree decides it. */
#include <math.h>
#include <string.h>

#include "backends/target/ort_sim.h"

typedef enum unit_kind {
  CONV,
  PRODUCT,
  PRODUCT_FLOAT,
  BLOCKS,
  GEMM,
  BINARY,
  WHERE,
  VARIADIC,
  UNARY,
  DROP,
  DROP_NEAREST,
  SPLIT,
  DROP_DQ
} unit_kind;
typedef enum unit_codes { BYTES, SHORTS } unit_codes;

typedef struct unit_row {
  qcc_op op;
  unit_kind kind;
  qcc_op kernel;
  int opset_from, opset_to, from, to;
  unit_codes codes;
} unit_row;

static const unit_row rows[] = {
#define UNIT(op, kind, kernel, opset_from, opset_to, from, to, codes) \
  {QCC_OP_##op, kind, QCC_OP_##kernel, opset_from, opset_to, from, to, codes},
#include "backends/target/ort_units.def"
#undef UNIT
};
enum { ROWS = sizeof rows / sizeof *rows };

typedef struct unit { /* a node and what stands around it */
  qcc_pred_sim *s;
  qcc_node *n;
  const unit_row *row;
  uint32_t inputs, dqs; /* inputs that are given; those of them that are dequantized */
  int32_t plain;        /* the first one that is not; -1 */
  qcc_node *clamp;      /* Relu or Clip between the node and its QuantizeLinear */
  uint32_t qs;          /* edges to QuantizeLinear nodes */
  qcc_node *q;          /* the first of them */
} unit;

static qcc_dtype codes_of(const unit *u, uint32_t k) {
  const qcc_node *dq = qcc_pred_dq_input(u->n, k);
  return dq ? qcc_pred_q_type(dq) : QCC_NONE;
}

/* The k-th dequantized input. */
static uint32_t nth_dq(const unit *u, uint32_t k) {
  for (uint32_t i = 0; i < u->n->in_count; i++)
    if (qcc_pred_dq_input(u->n, i) && k-- == 0) return i;
  return 0;
}

static bool wide(const unit *u, qcc_dtype t) {
  const unsigned bits = qcc_dtype_bits(t);
  return bits < 8 || (bits == 16 && u->row->codes == BYTES);
}

/* ---- conditions that all rows share */
static qcc_pred_reason inputs_dequantized(unit *u, uint32_t wanted) {
  if (u->dqs == 0 && u->qs == 0) return QCC_PRED_NOT_QUANTIZED;
  if (u->dqs != wanted) return QCC_PRED_MISSING_DQ_INPUT;
  for (uint32_t k = 0; k < u->n->in_count; k++) {
    const qcc_node *dq = qcc_pred_dq_input(u->n, k);
    if (dq && !qcc_pred_feeds(dq, 1)) return QCC_PRED_DQ_SHARED;
  }
  return QCC_PRED_NONE;
}

static uint32_t outputs(const qcc_node *n) {
  uint32_t count = 0;
  for (uint32_t k = 0; k < n->out_count; k++) count += n->out[k] != NULL;
  return count;
}

static qcc_pred_reason result_quantized(const unit *u) {
  const qcc_node *last = u->clamp ? u->clamp : u->n;
  if (u->qs == 0) return qcc_pred_gives_output(last) ? QCC_PRED_OUTPUT_IS_GRAPH_OUTPUT : QCC_PRED_OUTPUT_NOT_QUANTIZED;
  if (qcc_pred_gives_output(u->n)) return QCC_PRED_OUTPUT_IS_GRAPH_OUTPUT;
  return outputs(u->n) == u->qs && qcc_pred_edges(u->n) == u->qs ? QCC_PRED_NONE : QCC_PRED_OUTPUT_MIXED_CONSUMERS;
}

static qcc_pred_reason data_allowed(const unit *u, qcc_dtype data, qcc_dtype weight) {
  if (wide(u, data) || wide(u, weight)) return QCC_PRED_WIDE_TYPE;
  if (data != QCC_S8) return QCC_PRED_NONE;
  if (weight != QCC_S8) return QCC_PRED_DTYPE_MISMATCH;
  return u->s->o->s8_activations || u->row->kind == GEMM ? QCC_PRED_NONE : QCC_PRED_S8_ON_X86;
}

static qcc_pred_reason bias_is_codes(const unit *u, uint32_t k) {
  return qcc_in(u->n, k) && codes_of(u, k) != QCC_S32 ? QCC_PRED_BIAS_NOT_INT32 : QCC_PRED_NONE;
}

/* The kernel takes its bias at the scale x * w; false: the model says something else, beyond these tolerances, or has a zero point. */
static bool bias_scale_fits(const unit *u, double absolute, double relative) {
  const qcc_node *x = qcc_pred_dq_input(u->n, 0), *w = qcc_pred_dq_input(u->n, 1), *b = qcc_pred_dq_input(u->n, 2);
  if (!x || !w || !b) return true;
  if (!qcc_is_const(qcc_in(x, 1)) || !qcc_is_const(qcc_in(w, 1)) || !qcc_is_const(qcc_in(b, 1))) return false;
  const qcc_tensor *sw = qcc_in(w, 1)->data, *sb = qcc_in(b, 1)->data;
  const qcc_value *zero = qcc_in(b, 2);
  const int64_t weights = qcc_tensor_count(sw), biases = qcc_tensor_count(sb);
  const double sx = qcc_tensor_get(qcc_in(x, 1)->data, 0);
  for (int64_t k = 0; k < weights || k < biases; k++) {
    if ((k >= weights && weights != 1) || (k >= biases && biases != 1)) return false;
    const double wanted = sx * qcc_tensor_get(sw, weights == 1 ? 0 : k), found = qcc_tensor_get(sb, biases == 1 ? 0 : k);
    if (fabs(found - wanted) > absolute + relative * fabs(wanted)) return false;
  }
  for (int64_t k = 0; qcc_is_const(zero) && k < qcc_tensor_count(zero->data); k++)
    if (qcc_tensor_get(zero->data, k) != 0) return false;
  return true;
}

/* ---- one function per kind */
static qcc_pred_reason fits_conv(unit *u) {
  qcc_pred_reason why = inputs_dequantized(u, u->inputs);
  if (why == QCC_PRED_NONE) why = result_quantized(u);
  if (why == QCC_PRED_NONE && codes_of(u, 0) != qcc_pred_q_type(u->q)) why = QCC_PRED_DTYPE_MISMATCH;
  if (why == QCC_PRED_NONE) why = data_allowed(u, codes_of(u, 0), codes_of(u, 1));
  if (why == QCC_PRED_NONE) why = bias_is_codes(u, 2);
  if (why != QCC_PRED_NONE || !qcc_pred_holds(u->s, 127, 0)) return why;
  return bias_scale_fits(u, 1e-6, 1e-2) ? QCC_PRED_NONE : QCC_PRED_BIAS_SCALE_MISMATCH;
}

static qcc_pred_reason fits_product(unit *u) {
  qcc_pred_reason why = inputs_dequantized(u, 2);
  if (why == QCC_PRED_NONE) why = data_allowed(u, codes_of(u, 0), codes_of(u, 1));
  if (why == QCC_PRED_NONE) why = result_quantized(u);
  return why == QCC_PRED_NONE && codes_of(u, 0) != qcc_pred_q_type(u->q) ? QCC_PRED_DTYPE_MISMATCH : why;
}

static qcc_pred_reason fits_product_float(unit *u) {
  if (u->dqs == 0) return QCC_PRED_NOT_QUANTIZED;
  if (u->dqs != 2) return QCC_PRED_MISSING_DQ_INPUT;
  qcc_pred_reason why = data_allowed(u, codes_of(u, 0), codes_of(u, 1));
  if (why != QCC_PRED_NONE) return why;
  return u->qs ? QCC_PRED_OUTPUT_MIXED_CONSUMERS : QCC_PRED_NONE;
}

static qcc_pred_reason fits_gemm(unit *u) {
  qcc_pred_reason why = inputs_dequantized(u, u->inputs);
  if (why == QCC_PRED_NONE && u->qs) why = result_quantized(u);
  if (why == QCC_PRED_NONE) why = data_allowed(u, codes_of(u, 0), codes_of(u, 1));
  if (why == QCC_PRED_NONE && u->qs && codes_of(u, 0) != qcc_pred_q_type(u->q)) why = QCC_PRED_DTYPE_MISMATCH;
  if (why != QCC_PRED_NONE || u->inputs < 3) return why;
  if (qcc_attr_float(u->n, "alpha", 1) != 1 && qcc_pred_holds(u->s, 128, 0)) return QCC_PRED_ALPHA_NOT_ONE;
  return qcc_attr_float(u->n, "beta", 1) == 1 ? bias_is_codes(u, 2) : QCC_PRED_BETA_NOT_ONE;
}

static qcc_pred_reason same_types(unit *u, uint32_t wanted) {
  qcc_pred_reason why = inputs_dequantized(u, wanted);
  if (why == QCC_PRED_NONE) why = result_quantized(u);
  if (why != QCC_PRED_NONE) return why;
  const qcc_dtype t = qcc_pred_q_type(u->q);
  for (uint32_t k = 0; k < u->dqs; k++)
    if (codes_of(u, nth_dq(u, k)) != t) return QCC_PRED_DTYPE_MISMATCH;
  return wide(u, t) ? QCC_PRED_WIDE_TYPE : QCC_PRED_NONE;
}

static qcc_pred_reason fits_all(unit *u) { return same_types(u, u->inputs); }

static qcc_pred_reason fits_where(unit *u) { return same_types(u, 2); }

static qcc_pred_reason fits_unary(unit *u) { return same_types(u, 1); }

static qcc_pred_reason fits_drop(unit *u) {
  if (u->clamp) return QCC_PRED_ACTIVATION_BETWEEN;
  qcc_pred_reason why = same_types(u, 1);
  const qcc_node *dq = why == QCC_PRED_NONE ? qcc_pred_dq_input(u->n, nth_dq(u, 0)) : NULL;
  if (!dq) return why;
  if (u->row->kind == DROP_NEAREST && strcmp(qcc_attr_str(u->n, "mode", "nearest"), "nearest") != 0) return QCC_PRED_RESIZE_MODE;
  return qcc_pred_pair(u->s, u->q, dq);
}

static qcc_pred_reason fits_split(unit *u) {
  if (u->clamp) return QCC_PRED_ACTIVATION_BETWEEN;
  qcc_pred_reason why = inputs_dequantized(u, 1);
  if (why == QCC_PRED_NONE) why = result_quantized(u);
  const qcc_node *dq = why == QCC_PRED_NONE ? qcc_pred_dq_input(u->n, nth_dq(u, 0)) : NULL;
  if (!dq) return why;
  if (wide(u, qcc_pred_q_type(dq))) return QCC_PRED_WIDE_TYPE;
  for (uint32_t k = 0; k < u->n->out_count && why == QCC_PRED_NONE; k++) {
    if (!u->n->out[k]) continue;
    const qcc_node *q = qcc_only_user(u->n->out[k]);
    why = q && qcc_pred_is_q(q) ? qcc_pred_pair(u->s, q, dq) : QCC_PRED_OUTPUT_MIXED_CONSUMERS;
    if (why == QCC_PRED_NONE && qcc_pred_q_type(q) != qcc_pred_q_type(dq)) why = QCC_PRED_DTYPE_MISMATCH;
  }
  return why;
}

static qcc_pred_reason fits_drop_dq(unit *u) {
  if (u->clamp) return QCC_PRED_ACTIVATION_BETWEEN;
  qcc_pred_reason why = inputs_dequantized(u, 1);
  if (why != QCC_PRED_NONE) return why;
  const qcc_node *dq = qcc_pred_dq_input(u->n, nth_dq(u, 0));
  return wide(u, qcc_pred_q_type(dq)) ? QCC_PRED_WIDE_TYPE : qcc_pred_params(dq, true);
}

/* Weights in blocks along K, per tensor, or per column. */
static qcc_pred_reason block_weights(const unit *u, const qcc_node *dq) {
  const qcc_value *w = qcc_in(dq, 0), *scale = qcc_in(dq, 1), *zero = qcc_in(dq, 2);
  if (!qcc_is_const(w) || !qcc_is_const(scale) || (zero && !qcc_is_const(zero))) return QCC_PRED_NOT_CONSTANT;
  const qcc_dtype t = w->type.dtype;
  const bool four = t == QCC_S4 || t == QCC_U4, newer = qcc_pred_holds(u->s, 125, 0);
  const int64_t block = qcc_attr_int(dq, "block_size", 0);
  if (!four && !(newer && (t == QCC_S8 || t == QCC_U8 || qcc_dtype_bits(t) == 2))) return QCC_PRED_WIDE_TYPE;
  if ((scale->type.dtype != QCC_F32 && scale->type.dtype != QCC_F16) || w->type.rank != 2) return QCC_PRED_BLOCK_FORM;
  if (block > 0) {
    if (qcc_attr_int(dq, "axis", 1) != 0 || block < 16 || (block & (block - 1)) || scale->type.rank != 2) return QCC_PRED_BLOCK_FORM;
    if (scale->type.dim[0] != (w->type.dim[0] + block - 1) / block || scale->type.dim[1] != w->type.dim[1]) return QCC_PRED_BLOCK_FORM;
    return zero && !qcc_type_equal(&(qcc_type){QCC_NONE, zero->type.rank, {zero->type.dim[0], zero->type.dim[1]}},
                                   &(qcc_type){QCC_NONE, 2, {scale->type.dim[0], scale->type.dim[1]}})
               ? QCC_PRED_BLOCK_FORM
               : QCC_PRED_NONE;
  }
  if (!newer) return QCC_PRED_RUNTIME_TOO_OLD;
  if (zero && zero->type.rank != scale->type.rank) return QCC_PRED_BLOCK_FORM;
  if (scale->type.rank == 0) return QCC_PRED_NONE;
  const bool columns = scale->type.rank == 1 && scale->type.dim[0] == w->type.dim[1] && qcc_attr_int(dq, "axis", 1) == 1;
  return columns ? QCC_PRED_NONE : QCC_PRED_BLOCK_FORM;
}

/* As a product of matrices, with a bias of one number per column. */
static bool is_plain_gemm(const unit *u, const qcc_node *dq) {
  const qcc_value *bias = qcc_in(u->n, 2);
  if (qcc_attr_int(u->n, "transA", 0) || qcc_attr_int(u->n, "transB", 0) || qcc_attr_float(u->n, "alpha", 1) != 1) return false;
  if (!bias) return true;
  return qcc_attr_float(u->n, "beta", 1) == 1 && bias->type.rank == 1 && bias->type.dim[0] == qcc_in(dq, 0)->type.dim[1];
}

static qcc_pred_reason fits_blocks(unit *u) {
  const qcc_node *dq = qcc_pred_dq_input(u->n, 1);
  const bool gemm = u->n->op == QCC_OP_GEMM;
  if (u->clamp && !gemm) return QCC_PRED_ACTIVATION_BETWEEN;
  if (u->dqs == 0) return QCC_PRED_NOT_QUANTIZED;
  if (!dq || u->dqs > (gemm && qcc_pred_dq_input(u->n, 2) ? 2 : 1) || u->qs) return QCC_PRED_MISSING_DQ_INPUT;
  if (!qcc_pred_feeds(dq, 1)) return QCC_PRED_DQ_SHARED;
  const qcc_pred_reason why = block_weights(u, dq);
  if (why != QCC_PRED_NONE) return why;
  if (gemm && !is_plain_gemm(u, dq)) return QCC_PRED_BLOCK_FORM;
  return qcc_in(dq, 0)->use_count > 1 && qcc_pred_holds(u->s, 127, 0) ? QCC_PRED_WEIGHT_SHARED : QCC_PRED_NONE;
}

static qcc_pred_reason fits(unit *u) {
  static qcc_pred_reason (*const by_kind[])(unit *) = {
      [CONV] = fits_conv,      [PRODUCT] = fits_product,   [PRODUCT_FLOAT] = fits_product_float,
      [BLOCKS] = fits_blocks,  [GEMM] = fits_gemm,         [BINARY] = fits_all,
      [WHERE] = fits_where,    [VARIADIC] = fits_all,      [UNARY] = fits_unary,
      [DROP] = fits_drop,      [DROP_NEAREST] = fits_drop, [SPLIT] = fits_split,
      [DROP_DQ] = fits_drop_dq};
  if (!qcc_pred_opset_in(u->s, u->row->opset_from, u->row->opset_to)) return QCC_PRED_OPSET_NOT_LISTED;
  if (!qcc_pred_holds(u->s, u->row->from, u->row->to)) return QCC_PRED_RUNTIME_TOO_OLD;
  return by_kind[u->row->kind](u);
}

/* ---- replacing */
typedef struct operands {
  qcc_value **at;
  uint32_t n;
} operands;

static void put(operands *o, qcc_value *v) { o->at[o->n++] = v; }

static void put_params(operands *o, const qcc_node *q) {
  put(o, qcc_in(q, 1));
  put(o, qcc_in(q, 2));
}

static void put_codes(operands *o, const qcc_node *dq) {
  put(o, qcc_in(dq, 0));
  put_params(o, dq);
}

static void put_operands(operands *o, const unit *u) {
  const unit_kind kind = u->row->kind;
  if (kind == VARIADIC) put_params(o, u->q);
  if (kind == WHERE) put(o, qcc_in(u->n, 0));
  if (kind == PRODUCT_FLOAT) {
    for (uint32_t p = 0; p < 3; p++)
      for (uint32_t k = 0; k < 2; k++) put(o, qcc_in(qcc_pred_dq_input(u->n, k), p));
    return;
  }
  for (uint32_t k = 0; k < u->n->in_count; k++) {
    const qcc_node *dq = qcc_pred_dq_input(u->n, k);
    if (!dq) continue;
    if (k < 2 || (kind != CONV && kind != GEMM)) put_codes(o, dq);
    if (k == 2 && kind == GEMM) put(o, qcc_in(dq, 0));
  }
  if (kind == GEMM && u->inputs < 3) put(o, NULL);
  if (kind != VARIADIC && u->q) put_params(o, u->q);
  if (kind == CONV && u->inputs > 2) put(o, qcc_in(qcc_pred_dq_input(u->n, 2), 0));
}

static qcc_status drop_pairs(qcc_pred_sim *s, qcc_node *n, const qcc_node *into) {
  for (uint32_t k = 0; k < n->in_count; k++) {
    qcc_node *dq = qcc_pred_dq_input(n, k);
    if (!dq) continue;
    qcc_set_input(n, k, NULL);
    if (!dq->out[0]->use_count) QCC_TRY(qcc_pred_drop(s, dq, QCC_PRED_FUSED, into));
  }
  return QCC_OK;
}

/* The kernel takes the place of the QuantizeLinear, or of the node when there is none. */
static qcc_status replace(unit *u) {
  qcc_pred_sim *s = u->s;
  qcc_node *n = u->n;
  operands o = {.at = qcc_zalloc_array(s->cx, 3u * n->in_count + 4u, sizeof *o.at)};
  if (!o.at) return QCC_NOMEM;
  put_operands(&o, u);
  qcc_node *kernel = qcc_pred_add(s, n, n, u->row->kernel, o.at, o.n, 1);
  qcc_free(s->cx, o.at);
  if (!kernel) return QCC_NOMEM;
  qcc_attr_copy(kernel, n);
  const bool amiss = (u->row->kind == CONV || u->row->kind == GEMM) && !bias_scale_fits(u, 0, 1e-5);
  if (amiss && qcc_pred_mark_of(s, kernel)) qcc_pred_mark_of(s, kernel)->warning = QCC_PRED_BIAS_SCALE_MISMATCH;
  qcc_value *y = u->q ? u->q->out[0] : n->out[0];
  qcc_set_type(kernel->out[0], &y->type);
  qcc_replace_value(y, kernel->out[0]);
  if (u->q) QCC_TRY(qcc_pred_drop(s, u->q, QCC_PRED_FUSED, kernel));
  if (u->clamp) QCC_TRY(qcc_pred_drop(s, u->clamp, QCC_PRED_REMOVED, NULL));
  QCC_TRY(drop_pairs(s, n, kernel));
  return qcc_pred_drop(s, n, QCC_PRED_FUSED, kernel);
}

/* The operator itself goes on with codes. */
static qcc_status work_on_codes(unit *u) {
  qcc_pred_sim *s = u->s;
  qcc_node *n = u->n;
  for (uint32_t k = 0; k < n->in_count; k++) {
    qcc_node *dq = qcc_pred_dq_input(n, k);
    if (!dq) continue;
    qcc_set_input(n, k, qcc_in(dq, 0));
    QCC_TRY(qcc_pred_drop(s, dq, QCC_PRED_FUSED, n));
  }
  for (uint32_t k = 0; k < n->out_count && u->q; k++) {
    qcc_node *q = n->out[k] ? qcc_only_user(n->out[k]) : NULL;
    if (!q) continue;
    qcc_set_input(q, 0, NULL);
    qcc_set_type(n->out[k], &q->out[0]->type);
    qcc_replace_value(q->out[0], n->out[k]);
    QCC_TRY(qcc_pred_drop(s, q, QCC_PRED_FUSED, n));
  }
  s->changed = true;
  return qcc_graph_status(n->graph);
}

/* Only the weights are codes: they are packed in blocks. */
static qcc_status take_blocks(unit *u) {
  qcc_node *n = u->n, *dq = qcc_pred_dq_input(n, 1);
  qcc_value *in[] = {qcc_in(n, 0), qcc_in(dq, 0), qcc_in(dq, 1), qcc_in(dq, 2), NULL, qcc_in(n, 2)};
  qcc_node *kernel = qcc_pred_add(u->s, n, n, u->row->kernel, in, 6, 1);
  if (!kernel) return QCC_NOMEM;
  qcc_set_type(kernel->out[0], &n->out[0]->type);
  qcc_replace_value(n->out[0], kernel->out[0]);
  qcc_set_input(n, 1, NULL);
  QCC_TRY(qcc_pred_drop(u->s, dq, QCC_PRED_FUSED, kernel));
  return qcc_pred_drop(u->s, n, QCC_PRED_FUSED, kernel);
}

static qcc_status apply(unit *u) {
  if (u->row->kind == BLOCKS) return take_blocks(u);
  return u->row->kernel == u->row->op ? work_on_codes(u) : replace(u);
}

/* ---- looking at a node */
static void look_behind(unit *u) {
  const qcc_node *last = u->n;
  if (qcc_pred_edges(u->n) == 1 && qcc_pred_holds(u->s, 121, 0)) {
    qcc_node *reader = qcc_pred_only_reader(u->n);
    if (qcc_pred_is_clamp(reader) && qcc_pred_feeds(reader, 1)) last = u->clamp = reader;
  }
  for (uint32_t k = 0; k < last->out_count; k++) {
    if (!last->out[k]) continue;
    QCC_FOR_USES(use, last->out[k]) {
      if (!qcc_pred_is_q(use->node) || use->index || use->graph != u->n->graph) continue;
      if (!u->qs++) u->q = use->node;
    }
  }
}

static void look_around(unit *u) {
  u->plain = -1;
  for (uint32_t k = 0; k < u->n->in_count; k++) {
    const bool dequantized = qcc_pred_dq_input(u->n, k) != NULL;
    u->inputs += qcc_in(u->n, k) != NULL;
    u->dqs += dequantized;
    if (u->plain < 0 && qcc_in(u->n, k) && !dequantized) u->plain = (int32_t)k;
  }
  look_behind(u);
}

/* The row that a reader would expect to match tells why it did not. */
static bool speaks_for(const unit *u, unit_kind kind) {
  const bool weight_only = qcc_pred_dq_input(u->n, 1) && !qcc_pred_dq_input(u->n, 0) && !u->qs;
  if (u->n->op == QCC_OP_GEMM) return kind == (weight_only ? BLOCKS : GEMM);
  if (u->n->op != QCC_OP_MATMUL) return true;
  return kind == (weight_only ? BLOCKS : u->qs ? PRODUCT : PRODUCT_FLOAT);
}

static qcc_status select_node(qcc_pred_sim *s, qcc_node *n) {
  unit u = {.s = s, .n = n};
  bool known = false;
  qcc_pred_reason told = QCC_PRED_NO_KERNEL;
  if (n->op == QCC_OP_OPAQUE) return QCC_OK;
  look_around(&u);
  for (int k = 0; k < ROWS; k++) {
    if (rows[k].op != n->op) continue;
    u.row = &rows[k];
    qcc_pred_reason why = fits(&u);
    if (why == QCC_PRED_NONE && u.clamp && (u.qs != 1 || !qcc_pred_clamp_is_idle(u.clamp, u.q))) why = QCC_PRED_ACTIVATION_BETWEEN;
    if (why == QCC_PRED_NONE) return apply(&u);
    if (!known || (speaks_for(&u, rows[k].kind) && why != QCC_PRED_OPSET_NOT_LISTED && why != QCC_PRED_RUNTIME_TOO_OLD)) told = why;
    known = true;
  }
  qcc_pred_mark *mark = qcc_pred_mark_of(s, n);
  if (!mark) return QCC_NOMEM;
  mark->reason = !u.dqs && !u.qs ? QCC_PRED_NOT_QUANTIZED : told;
  mark->input = mark->reason == QCC_PRED_MISSING_DQ_INPUT ? u.plain : -1;
  return QCC_OK;
}

/* Nodes are listed first: a unit takes others away that stand before or behind it. */
qcc_status qcc_pred_select(qcc_pred_sim *s, qcc_graph *g) {
  qcc_node **list = qcc_alloc_array(s->cx, g->node_count + 1u, sizeof *list);
  uint32_t count = 0;
  if (!list) return QCC_NOMEM;
  QCC_FOR_NODES(n, g) list[count++] = n;
  qcc_status st = QCC_OK;
  for (uint32_t k = 0; k < count && st == QCC_OK; k++) {
    const qcc_pred_mark *mark = qcc_pred_mark_of(s, list[k]);
    if (!mark) st = QCC_NOMEM;
    if (mark && !mark->gone && !qcc_pred_is_q(list[k]) && !qcc_pred_is_dq(list[k])) st = select_node(s, list[k]);
  }
  qcc_free(s->cx, list);
  return st == QCC_OK ? qcc_graph_status(g) : st;
}
