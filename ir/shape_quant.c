/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of quantized operators, with the checks on scales and zero points that everything after them relies on:
 * known scales are finite and above 0, lengths fit the axis or the blocks, and zero points have the type and shape of their data. */
#include <math.h>

#include "ir/shape.h"

static qcc_status check_scale_values(const qcc_infer *f, uint32_t k) {
  const qcc_tensor *t = qcc_shape_known(f, k);
  if (!t) return QCC_OK;
  for (int64_t i = 0, n = qcc_tensor_count(t); i < n; i++) {
    double s = qcc_tensor_get(t, i);
    if (!(s > 0) || isinf(s)) return qcc_shape_bad(f, QCC_M_QUANT, "scale[%lld] is %g; allowed is any positive number", (long long)i, s);
  }
  return QCC_OK;
}

static bool is_one(const qcc_type *t) { return t->rank == 0 || (t->rank == 1 && t->dim[0] == 1); }

/* Scales of blocks along `axis`: shape of x with that axis divided, rounded up. */
static qcc_status check_blocks(const qcc_infer *f, const qcc_type *x, const qcc_type *s, int64_t block) {
  int axis;
  if (s->rank != x->rank) return qcc_shape_bad(f, QCC_M_QUANT, "blocked scale has rank %d, expected %d", s->rank, x->rank);
  QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 1), x->rank, &axis));
  for (int i = 0; i < x->rank; i++) {
    int64_t d = x->dim[i];
    if (i == axis && d >= 0) d = d / block + (d % block != 0);
    if (i == axis && d < 0) continue;
    QCC_TRY(qcc_shape_fit(f, &d, s->dim[i], "blocks and scales"));
  }
  return QCC_OK;
}

/* The forms of com.microsoft have scales per axis and in half precision, but no blocks. */
static int64_t level(const qcc_infer *f) { return f->node->domain[0] ? 19 : f->opset; }

static qcc_status check_scale_shape(const qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *s = qcc_shape_ranked(f, 1), *z = qcc_shape_ranked(f, 2);
  int64_t block = level(f) >= 21 ? qcc_attr_int(f->node, "block_size", 0) : 0;
  if (block < 0) return qcc_shape_bad(f, QCC_M_QUANT, "block_size is %lld; allowed is 0 or more", (long long)block);
  if (s && z && !(is_one(s) && is_one(z))) {
    if (s->rank != z->rank) return qcc_shape_bad(f, QCC_M_QUANT, "scale has rank %d, zero point %d", s->rank, z->rank);
    for (int i = 0; i < s->rank; i++) {
      int64_t d = s->dim[i];
      QCC_TRY(qcc_shape_fit(f, &d, z->dim[i], "sizes of scale and zero point"));
    }
  }
  if (!x || !s || is_one(s)) return QCC_OK;
  if (block > 0) return check_blocks(f, x, s, block);
  if (s->rank != 1 || level(f) < 13)
    return qcc_shape_bad(f, QCC_M_QUANT, "scale has rank %d; one scale or, from opset 13, one per slice of an axis is allowed", s->rank);
  int axis;
  QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 1), x->rank, &axis));
  int64_t d = x->dim[axis];
  return qcc_shape_fit(f, &d, s->dim[0], "axis and scales");
}

qcc_status qcc_shape_quantize(qcc_infer *f) {
  qcc_type t = *f->in[0];
  qcc_dtype asked;
  QCC_TRY(check_scale_shape(f));
  QCC_TRY(check_scale_values(f, 1));
  QCC_TRY(qcc_shape_dtype_attr(f, "output_dtype", QCC_NONE, &asked));
  t.dtype = qcc_shape_dtype(f, 2);
  if (asked != QCC_NONE && t.dtype != QCC_NONE && asked != t.dtype)
    return qcc_shape_bad(f, QCC_M_QUANT, "output_dtype is %s, the zero point %s", qcc_dtype_name(asked), qcc_dtype_name(t.dtype));
  if (t.dtype == QCC_NONE && !qcc_shape_in(f, 2)) t.dtype = asked != QCC_NONE ? asked : QCC_U8;
  if (qcc_dtype_kind(t.dtype) == QCC_KIND_BOOL || qcc_dtype_kind(t.dtype) == QCC_KIND_STRING || qcc_dtype_bits(t.dtype) > 32)
    return qcc_shape_bad(f, QCC_M_QUANT, "cannot quantize to %s", qcc_dtype_name(t.dtype));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_dequantize(qcc_infer *f) {
  qcc_type t = *f->in[0];
  qcc_dtype zero = qcc_shape_dtype(f, 2), scale = qcc_shape_dtype(f, 1);
  QCC_TRY(check_scale_shape(f));
  QCC_TRY(check_scale_values(f, 1));
  if (zero != QCC_NONE && t.dtype != QCC_NONE && zero != t.dtype)
    return qcc_shape_bad(f, QCC_M_QUANT, "zero point is %s, the data %s", qcc_dtype_name(zero), qcc_dtype_name(t.dtype));
  if (level(f) < 19) scale = QCC_F32;
  QCC_TRY(qcc_shape_dtype_attr(f, "output_dtype", scale, &t.dtype));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* Codes become floats. */
qcc_status qcc_shape_fake_quant(qcc_infer *f) {
  qcc_type t = *f->in[0];
  if (qcc_dtype_is_int(t.dtype)) t.dtype = QCC_F32;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_dynamic_quantize(qcc_infer *f) {
  qcc_type t = *f->in[0], scalar = qcc_shape_type(QCC_F32, 0);
  t.dtype = QCC_U8;
  qcc_shape_set(f, 0, &t);
  qcc_shape_set(f, 1, &scalar);
  scalar.dtype = QCC_U8;
  qcc_shape_set(f, 2, &scalar);
  return QCC_OK;
}

/* ---- operators on codes: data, scale, zero point stand side by side */
/* Data at k, scale k+1, zero point k+2; `slices` >= 0 also allows one scale for each of them. */
static qcc_status check_triple(const qcc_infer *f, uint32_t k, int64_t slices) {
  qcc_dtype data = qcc_shape_dtype(f, k), zero = qcc_shape_dtype(f, k + 2);
  const qcc_type *s = qcc_shape_ranked(f, k + 1), *z = qcc_shape_ranked(f, k + 2);
  QCC_TRY(check_scale_values(f, k + 1));
  if (data != QCC_NONE && zero != QCC_NONE && data != zero)
    return qcc_shape_bad(f, QCC_M_QUANT, "zero point of input %u is %s, the data %s", k, qcc_dtype_name(zero), qcc_dtype_name(data));
  for (int i = 0; i < 2; i++) {
    const qcc_type *t = i ? z : s;
    if (t && t->rank == 1 && t->dim[0] > 1 && slices >= 0 && t->dim[0] != slices)
      return qcc_shape_bad(f, QCC_M_QUANT, "%lld scales or zero points for %lld channels", (long long)t->dim[0], (long long)slices);
  }
  return QCC_OK;
}

/* Data may stand channels last in the form of com.microsoft; the weight never does. */
static qcc_status conv_layout(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *in[9];
  if (f->node->op != QCC_OP_MS_QLINEAR_CONV || !qcc_attr_int(f->node, "channels_last", 0))
    return qcc_shape_conv_of(f, 0, 3, qcc_shape_dtype(f, 7));
  if (!x || x->rank < 3) return x ? qcc_shape_rank(f, 0, 3, 5) : QCC_OK;
  const qcc_type first = qcc_channels_first(x);
  qcc_infer turned = *f;
  for (uint32_t i = 0; i < 9; i++) in[i] = i == 0 ? &first : qcc_shape_in(f, i);
  turned.in = in;
  QCC_TRY(qcc_shape_conv_of(&turned, 0, 3, qcc_shape_dtype(f, 7)));
  if (f->node->out_count && f->out[0].rank > 2) f->out[0] = qcc_channels_last(&f->out[0]);
  return QCC_OK;
}

qcc_status qcc_shape_qlinear_conv(qcc_infer *f) {
  const qcc_type *w = qcc_shape_ranked(f, 3), *b = qcc_shape_ranked(f, 8);
  QCC_TRY(check_triple(f, 0, 1));
  QCC_TRY(check_triple(f, 3, w && w->rank > 0 ? w->dim[0] : QCC_DIM_UNKNOWN));
  QCC_TRY(check_scale_values(f, 6));
  QCC_TRY(conv_layout(f));
  if (!b || !w) return QCC_OK;
  QCC_TRY(qcc_shape_rank(f, 8, 1, 1));
  int64_t channels = w->dim[0];
  return qcc_shape_fit(f, &channels, b->dim[0], "output channels and bias");
}

qcc_status qcc_shape_qlinear_matmul(qcc_infer *f) {
  QCC_TRY(check_triple(f, 0, QCC_DIM_UNKNOWN));
  QCC_TRY(check_triple(f, 3, QCC_DIM_UNKNOWN));
  QCC_TRY(check_scale_values(f, 6));
  return qcc_shape_matmul_of(f, 0, 3, qcc_shape_dtype(f, 7));
}

static qcc_status check_zero(const qcc_infer *f, uint32_t data, uint32_t zero) {
  qcc_dtype a = qcc_shape_dtype(f, data), b = qcc_shape_dtype(f, zero);
  if (a == QCC_NONE || b == QCC_NONE || a == b) return QCC_OK;
  return qcc_shape_bad(f, QCC_M_QUANT, "zero point is %s, the data %s", qcc_dtype_name(b), qcc_dtype_name(a));
}

qcc_status qcc_shape_conv_integer(qcc_infer *f) {
  QCC_TRY(check_zero(f, 0, 2));
  QCC_TRY(check_zero(f, 1, 3));
  return qcc_shape_conv_of(f, 0, 1, QCC_S32);
}

qcc_status qcc_shape_matmul_integer(qcc_infer *f) {
  QCC_TRY(check_zero(f, 0, 2));
  QCC_TRY(check_zero(f, 1, 3));
  return qcc_shape_matmul_of(f, 0, 1, QCC_S32);
}

/* ---- com.microsoft: integer forms of float operators; the result has the type of the zero point or the data */
qcc_status qcc_shape_ms_binary(qcc_infer *f) {
  const qcc_type *b = qcc_shape_in(f, 3);
  QCC_TRY(qcc_shape_need(f, 3));
  QCC_TRY(qcc_shape_need(f, 4));
  QCC_TRY(qcc_shape_need(f, 6));
  QCC_TRY(check_triple(f, 0, 1));
  QCC_TRY(check_triple(f, 3, 1));
  qcc_type t;
  if (!qcc_broadcast(&t, f->in[0], b)) return qcc_shape_bad(f, QCC_M_DIM, "the two operands do not broadcast");
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_ms_unary(qcc_infer *f) {
  QCC_TRY(qcc_shape_need(f, 3));
  QCC_TRY(check_triple(f, 0, 1));
  qcc_shape_set(f, 0, f->in[0]);
  return QCC_OK;
}

/* Condition, two triples, scale and zero point of the result. */
qcc_status qcc_shape_ms_where(qcc_infer *f) {
  qcc_type both, t;
  QCC_TRY(check_triple(f, 1, 1));
  QCC_TRY(check_triple(f, 4, 1));
  QCC_TRY(check_scale_values(f, 7));
  if (!qcc_broadcast(&both, f->in[1], f->in[4]) || !qcc_broadcast(&t, &both, f->in[0]))
    return qcc_shape_bad(f, QCC_M_DIM, "condition and operands do not broadcast");
  t.dtype = qcc_shape_dtype(f, 1);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_ms_pool(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  const bool last = qcc_attr_int(f->node, "channels_last", 0) != 0;
  qcc_window window;
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  QCC_TRY(qcc_shape_need(f, 3));
  QCC_TRY(check_triple(f, 0, 1));
  QCC_TRY(check_scale_values(f, 3));
  QCC_TRY(qcc_shape_rank(f, 0, 3, QCC_MAX_RANK));
  qcc_shape_set(f, 0, &t);
  if (!x) return QCC_OK;
  t = last ? qcc_channels_first(x) : *x;
  if (f->node->op == QCC_OP_MS_QLINEAR_AVERAGE_POOL) {
    const qcc_type first = t;
    if (!qcc_attr_find(f->node, "kernel_shape")) return qcc_shape_bad(f, QCC_M_ARITY, "attribute kernel_shape is missing");
    QCC_TRY(qcc_window_of(&window, f->cx, f->node, &first, NULL));
    for (int i = 0; i < window.rank; i++) t.dim[i + 2] = window.out[i];
  } else {
    for (int i = 2; i < t.rank; i++) t.dim[i] = 1;
  }
  if (last) t = qcc_channels_last(&t);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* Codes times codes, or floats times codes, to floats. */
qcc_status qcc_shape_ms_matmul_float(qcc_infer *f) {
  return qcc_shape_matmul_of(f, 0, 1, f->node->op == QCC_OP_MS_DYNAMIC_QUANTIZE_MATMUL ? QCC_F32 : qcc_shape_dtype(f, 2));
}

qcc_status qcc_shape_ms_gemm(qcc_infer *f) {
  bool ta, tb;
  QCC_TRY(qcc_shape_flag(f, "transA", false, &ta));
  QCC_TRY(qcc_shape_flag(f, "transB", false, &tb));
  QCC_TRY(qcc_shape_rank(f, 0, 2, 2));
  QCC_TRY(qcc_shape_rank(f, 3, 2, 2));
  const qcc_type *a = qcc_shape_ranked(f, 0), *b = qcc_shape_ranked(f, 3);
  qcc_type t = qcc_shape_type(qcc_shape_in(f, 8) ? qcc_shape_dtype(f, 8) : QCC_F32, 2);
  if (a) t.dim[0] = a->dim[ta ? 1 : 0];
  if (b) t.dim[1] = b->dim[tb ? 0 : 1];
  int64_t k = a ? a->dim[ta ? 0 : 1] : QCC_DIM_UNKNOWN;
  if (b) QCC_TRY(qcc_shape_fit(f, &k, b->dim[tb ? 1 : 0], "inner sizes of the product"));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* y_scale, y_zero, then (data, scale, zero) for each operand. */
qcc_status qcc_shape_ms_concat(qcc_infer *f) {
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 1), -1);
  int axis = 0;
  for (uint32_t k = 2; k < f->node->in_count; k += 3) {
    const qcc_type *x = qcc_shape_ranked(f, k);
    if (!x) {
      t.rank = -1;
      break;
    }
    if (k == 2) {
      QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 0), x->rank, &axis));
      t = qcc_shape_type(t.dtype, x->rank);
      t.dim[axis] = 0;
    }
    QCC_TRY(qcc_shape_rank(f, k, t.rank, t.rank));
    for (int i = 0; i < x->rank; i++)
      if (i != axis) QCC_TRY(qcc_shape_fit(f, &t.dim[i], x->dim[i], "sizes beside the axis of concatenation"));
    if (t.dim[axis] < 0 || x->dim[axis] < 0 || !qcc_add_s64(t.dim[axis], x->dim[axis], &t.dim[axis])) t.dim[axis] = QCC_DIM_UNKNOWN;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
