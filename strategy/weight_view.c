/* SPDX-License-Identifier: Apache-2.0
 * Weight tensors as rows: where an output channel's elements stand in the layouts of the weighted operators. Sizes come from a verified
 * graph, but an operator whose shapes do not fit together is refused rather than trusted. Non-finite weights become 0. */
#include <math.h>
#include <string.h>

#include "strategy/weights.h"

static qcc_status take(qcc_weight *out, qcc_context *cx, const qcc_tensor *t) {
  qcc_kind kind = qcc_dtype_kind(t->type.dtype);
  int64_t count;
  if (kind != QCC_KIND_FLOAT || !qcc_type_count(&t->type, &count) || count <= 0) return QCC_UNSUPPORTED;
  *out = (qcc_weight){.cx = cx, .count = (size_t)count, .groups = 1, .positions = 1, .position_step = 1};
  out->w = qcc_alloc_array(cx, out->count, sizeof *out->w);
  if (!out->w) return QCC_NOMEM;
  qcc_tensor_read_f32(t, out->w);
  for (size_t i = 0; i < out->count; i++)
    if (!isfinite(out->w[i])) out->w[i] = 0;
  return QCC_OK;
}

static bool fits(const qcc_weight *w) { return w->groups > 0 && w->rows % w->groups == 0 && w->rows * w->dim == w->count; }

static size_t kernel_positions(const qcc_type *t) {
  size_t n = 1;
  for (int i = 2; i < t->rank; i++) n *= (size_t)t->dim[i];
  return n;
}

static void conv_layout(qcc_weight *w, const qcc_node *n, const qcc_type *t) {
  int64_t groups = qcc_attr_int(n, "group", 1);
  w->positions = kernel_positions(t);
  w->groups = groups > 0 && groups <= t->dim[0] ? (size_t)groups : 0;
  w->rows = (size_t)t->dim[0];
  w->channels = (size_t)t->dim[1];
  w->channel_step = w->positions;
  w->row_step = w->channels * w->positions;
  w->depthwise = w->channels == 1 && w->groups > 1 && w->rows == w->groups;
}

static void transpose_layout(qcc_weight *w, const qcc_type *t) {
  w->positions = kernel_positions(t);
  w->rows = (size_t)t->dim[1];
  w->channels = (size_t)t->dim[0]; /* of all groups: a scale serves one output channel of each */
  w->row_step = w->positions;
  w->channel_step = w->rows * w->positions;
  w->axis = 1;
}

static void product_layout(qcc_weight *w, const qcc_type *t, bool transposed) {
  w->rows = (size_t)t->dim[transposed ? 0 : 1];
  w->channels = (size_t)t->dim[transposed ? 1 : 0];
  w->row_step = transposed ? w->channels : 1;
  w->channel_step = transposed ? 1 : w->rows;
  w->axis = transposed ? 0 : 1;
}

qcc_status qcc_weight_open(qcc_weight *out, qcc_context *cx, const qcc_node *n) {
  memset(out, 0, sizeof *out);
  const qcc_value *v = qcc_in(n, 1);
  if (!qcc_is_const(v)) return QCC_UNSUPPORTED;
  const qcc_type *t = &v->data->type;
  bool conv = n->op == QCC_OP_CONV || n->op == QCC_OP_CONV_TRANSPOSE,
       product = n->op == QCC_OP_GEMM || n->op == QCC_OP_MATMUL || n->op == QCC_OP_MS_ATTENTION;
  if (!(conv && t->rank >= 3) && !(product && t->rank == 2)) return QCC_UNSUPPORTED;
  QCC_TRY(take(out, cx, v->data));
  if (n->op == QCC_OP_CONV)
    conv_layout(out, n, t);
  else if (conv)
    transpose_layout(out, t);
  else
    product_layout(out, t, n->op == QCC_OP_GEMM && qcc_attr_int(n, "transB", 0) != 0);
  out->dim = out->channels * out->positions;
  if (fits(out)) return QCC_OK;
  qcc_weight_fini(out);
  return QCC_UNSUPPORTED;
}

qcc_status qcc_weight_open_rows(qcc_weight *out, qcc_context *cx, const qcc_tensor *t, int axis) {
  memset(out, 0, sizeof *out);
  if (axis < 0 || axis >= t->type.rank) return QCC_UNSUPPORTED;
  QCC_TRY(take(out, cx, t));
  out->rows = 1;
  for (int i = 0; i <= axis; i++) out->rows *= (size_t)t->type.dim[i];
  out->dim = out->channels = out->row_step = out->count / out->rows;
  out->channel_step = 1;
  out->axis = axis;
  return QCC_OK;
}

void qcc_weight_fini(qcc_weight *w) {
  if (w->cx) qcc_free(w->cx, w->w);
  memset(w, 0, sizeof *w);
}
