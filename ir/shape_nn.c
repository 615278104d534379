/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of layers: convolutions, matrix products, recurrent cells, pools, normalizations. */
#include "ir/shape.h"

/* ---- convolutions */
qcc_status qcc_shape_conv_of(qcc_infer *f, uint32_t x, uint32_t w, qcc_dtype dtype) {
  const qcc_type *weight = qcc_shape_ranked(f, w), *data = qcc_shape_ranked(f, x);
  qcc_window window;
  QCC_TRY(qcc_window_of(&window, f->cx, f->node, data, weight));
  if (window.rank == 0) {
    qcc_type unknown = qcc_shape_type(dtype, -1);
    qcc_shape_set(f, 0, &unknown);
    return QCC_OK;
  }
  qcc_type t = qcc_shape_type(dtype, window.rank + 2);
  t.dim[0] = data ? data->dim[0] : QCC_DIM_UNKNOWN;
  if (weight && f->node->op == QCC_OP_CONV_TRANSPOSE && weight->dim[1] >= 0) {
    if (!qcc_mul_s64(weight->dim[1], window.group, &t.dim[1])) return qcc_shape_limit(f, "too many output channels");
  } else if (weight && f->node->op != QCC_OP_CONV_TRANSPOSE) {
    t.dim[1] = weight->dim[0];
  }
  for (int i = 0; i < window.rank; i++) t.dim[i + 2] = window.out[i];
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* Bias: one value per output channel. */
static qcc_status check_bias(const qcc_infer *f, uint32_t k, int64_t channels) {
  const qcc_type *b = qcc_shape_ranked(f, k);
  if (!b) return QCC_OK;
  QCC_TRY(qcc_shape_rank(f, k, 1, 1));
  return qcc_shape_fit(f, &channels, b->dim[0], "output channels and bias");
}

qcc_status qcc_shape_conv(qcc_infer *f) {
  QCC_TRY(qcc_shape_same_dtype(f, 0, 2));
  QCC_TRY(qcc_shape_conv_of(f, 0, 1, qcc_shape_dtype(f, 0)));
  return f->out[0].rank > 0 ? check_bias(f, 2, f->out[0].dim[1]) : QCC_OK;
}

qcc_status qcc_shape_conv_transpose(qcc_infer *f) { return qcc_shape_conv(f); }

/* ---- matrix products */
qcc_status qcc_shape_gemm(qcc_infer *f) {
  bool ta, tb;
  QCC_TRY(qcc_shape_same_dtype(f, 0, 2));
  QCC_TRY(qcc_shape_flag(f, "transA", false, &ta));
  QCC_TRY(qcc_shape_flag(f, "transB", false, &tb));
  QCC_TRY(qcc_shape_rank(f, 0, 2, 2));
  QCC_TRY(qcc_shape_rank(f, 1, 2, 2));
  const qcc_type *a = qcc_shape_ranked(f, 0), *b = qcc_shape_ranked(f, 1), *c = qcc_shape_ranked(f, 2);
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), 2);
  if (a) t.dim[0] = a->dim[ta ? 1 : 0];
  if (b) t.dim[1] = b->dim[tb ? 0 : 1];
  int64_t k = a ? a->dim[ta ? 0 : 1] : QCC_DIM_UNKNOWN;
  if (b) QCC_TRY(qcc_shape_fit(f, &k, b->dim[tb ? 1 : 0], "inner sizes of the product"));
  qcc_type sum;
  if (c && (c->rank > 2 || !qcc_broadcast(&sum, &t, c) || (t.dim[0] == 1 && sum.dim[0] > 1) || (t.dim[1] == 1 && sum.dim[1] > 1)))
    return qcc_shape_bad(f, QCC_M_DIM, "input 2 does not broadcast to the product");
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_matmul_of(qcc_infer *f, uint32_t ia, uint32_t ib, qcc_dtype dtype) {
  QCC_TRY(qcc_shape_rank(f, ia, 1, QCC_MAX_RANK));
  QCC_TRY(qcc_shape_rank(f, ib, 1, QCC_MAX_RANK));
  const qcc_type *pa = qcc_shape_ranked(f, ia), *pb = qcc_shape_ranked(f, ib);
  qcc_type t = qcc_shape_type(dtype, -1);
  qcc_shape_set(f, 0, &t);
  if (!pa || !pb) return QCC_OK;
  qcc_type a = *pa, b = *pb;
  int64_t k = a.dim[a.rank - 1], m = a.rank > 1 ? a.dim[a.rank - 2] : 0, n = b.dim[b.rank - 1];
  QCC_TRY(qcc_shape_fit(f, &k, b.dim[b.rank > 1 ? b.rank - 2 : 0], "inner sizes of the product"));
  bool has_m = a.rank > 1, has_n = b.rank > 1;
  a.rank = (int8_t)(has_m ? a.rank - 2 : 0);
  b.rank = (int8_t)(has_n ? b.rank - 2 : 0);
  if (!qcc_broadcast(&t, &a, &b)) return qcc_shape_bad(f, QCC_M_DIM, "the batch axes of the two matrices do not broadcast");
  t.dtype = dtype;
  if (has_m) t.dim[t.rank++] = m;
  if (has_n) t.dim[t.rank++] = n;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_matmul(qcc_infer *f) {
  QCC_TRY(qcc_shape_same_dtype(f, 0, 1));
  return qcc_shape_matmul_of(f, 0, 1, qcc_shape_dtype(f, 0));
}

/* ---- recurrent: X [T,N,I], W [D,g*H,I], R [D,g*H,H], B [D,2*g*H], initial states [D,N,H]; `layout` 1 puts N in front */
typedef struct cell {
  int64_t steps, batch, input, hidden, directions, gates;
  bool batch_first;
} cell;

static const char *const cell_directions[] = {"forward", "reverse", "bidirectional", NULL};
static qcc_status read_cell(const qcc_infer *f, cell *c) {
  int direction;
  QCC_TRY(qcc_shape_choice(f, "direction", cell_directions, &direction));
  QCC_TRY(qcc_shape_flag(f, "layout", false, &c->batch_first));
  c->directions = direction == 2 ? 2 : 1;
  c->gates = f->node->op == QCC_OP_LSTM ? 4 : f->node->op == QCC_OP_GRU ? 3 : 1;
  c->steps = c->batch = c->input = QCC_DIM_UNKNOWN;
  c->hidden = qcc_attr_int(f->node, "hidden_size", QCC_DIM_UNKNOWN);
  if (qcc_attr_find(f->node, "hidden_size") && (c->hidden < 1 || c->hidden > INT32_MAX))
    return qcc_shape_bad(f, QCC_M_ATTR, "hidden_size is %lld; allowed is 1 to 2147483647", (long long)c->hidden);
  QCC_TRY(qcc_shape_rank(f, 0, 3, 3));
  const qcc_type *x = qcc_shape_ranked(f, 0);
  if (!x) return QCC_OK;
  c->steps = x->dim[c->batch_first ? 1 : 0];
  c->batch = x->dim[c->batch_first ? 0 : 1];
  c->input = x->dim[2];
  return QCC_OK;
}

static qcc_status check_weights(const qcc_infer *f, cell *c) {
  for (uint32_t k = 1; k < 4; k++) {
    const qcc_type *w = qcc_shape_ranked(f, k);
    if (!w) continue;
    QCC_TRY(qcc_shape_rank(f, k, k == 3 ? 2 : 3, k == 3 ? 2 : 3));
    int64_t directions = c->directions, rows = c->hidden >= 0 ? c->hidden * c->gates * (k == 3 ? 2 : 1) : QCC_DIM_UNKNOWN;
    QCC_TRY(qcc_shape_fit(f, &directions, w->dim[0], "directions and weights"));
    if (k == 2) QCC_TRY(qcc_shape_fit(f, &c->hidden, w->dim[2], "hidden size and recurrent weights"));
    QCC_TRY(qcc_shape_fit(f, &rows, w->dim[1], "rows of the weights (gates times hidden size)"));
    if (k == 1) QCC_TRY(qcc_shape_fit(f, &c->input, w->dim[2], "input size and weights"));
  }
  return QCC_OK;
}

static qcc_status check_states(const qcc_infer *f, cell *c) {
  uint32_t last = f->node->op == QCC_OP_LSTM ? 6 : 5;
  if (qcc_shape_ranked(f, 4)) {
    QCC_TRY(qcc_shape_rank(f, 4, 1, 1));
    QCC_TRY(qcc_shape_fit(f, &c->batch, f->in[4]->dim[0], "batch and sequence lengths"));
  }
  for (uint32_t k = 5; k <= last; k++) {
    const qcc_type *s = qcc_shape_ranked(f, k);
    if (!s) continue;
    QCC_TRY(qcc_shape_rank(f, k, 3, 3));
    int64_t directions = c->directions;
    QCC_TRY(qcc_shape_fit(f, &directions, s->dim[c->batch_first ? 1 : 0], "directions and initial state"));
    QCC_TRY(qcc_shape_fit(f, &c->batch, s->dim[c->batch_first ? 0 : 1], "batch and initial state"));
    QCC_TRY(qcc_shape_fit(f, &c->hidden, s->dim[2], "hidden size and initial state"));
  }
  const qcc_type *p = f->node->op == QCC_OP_LSTM ? qcc_shape_ranked(f, 7) : NULL;
  if (!p) return QCC_OK;
  QCC_TRY(qcc_shape_rank(f, 7, 2, 2));
  int64_t rows = c->hidden >= 0 ? 3 * c->hidden : QCC_DIM_UNKNOWN;
  return qcc_shape_fit(f, &rows, p->dim[1], "peephole weights and hidden size");
}

qcc_status qcc_shape_rnn(qcc_infer *f) {
  cell c;
  QCC_TRY(qcc_shape_same_dtype(f, 0, 3));
  QCC_TRY(read_cell(f, &c));
  QCC_TRY(check_weights(f, &c));
  QCC_TRY(check_states(f, &c));
  qcc_dtype dtype = qcc_shape_dtype(f, 0);
  qcc_type y = c.batch_first ? qcc_type_of(dtype, 4, (int64_t[]){c.batch, c.steps, c.directions, c.hidden})
                             : qcc_type_of(dtype, 4, (int64_t[]){c.steps, c.directions, c.batch, c.hidden});
  qcc_type h = c.batch_first ? qcc_type_of(dtype, 3, (int64_t[]){c.batch, c.directions, c.hidden})
                             : qcc_type_of(dtype, 3, (int64_t[]){c.directions, c.batch, c.hidden});
  qcc_shape_set(f, 0, &y);
  qcc_shape_set(f, 1, &h);
  qcc_shape_set(f, 2, &h);
  return QCC_OK;
}

/* ---- pools */
qcc_status qcc_shape_pool(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_window window;
  if (!qcc_attr_find(f->node, "kernel_shape")) return qcc_shape_bad(f, QCC_M_ARITY, "attribute kernel_shape is missing");
  QCC_TRY(qcc_window_of(&window, f->cx, f->node, x, NULL));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), window.rank ? window.rank + 2 : -1);
  for (int i = 0; i < t.rank; i++) t.dim[i] = i < 2 ? (x ? x->dim[i] : QCC_DIM_UNKNOWN) : window.out[i - 2];
  qcc_shape_set(f, 0, &t);
  t.dtype = QCC_S64; // indices of the maxima
  qcc_shape_set(f, 1, &t);
  return QCC_OK;
}

qcc_status qcc_shape_global_pool(qcc_infer *f) {
  qcc_type t = *f->in[0];
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  for (int i = 2; i < t.rank; i++) t.dim[i] = 1;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- normalizations */
/* Parameter vectors first..last have one entry per channel. */
static qcc_status check_channels(const qcc_infer *f, uint32_t first, uint32_t last, int64_t channels) {
  for (uint32_t k = first; k <= last; k++) {
    const qcc_type *p = qcc_shape_ranked(f, k);
    if (!p) continue;
    QCC_TRY(qcc_shape_rank(f, k, 1, 1));
    QCC_TRY(qcc_shape_fit(f, &channels, p->dim[0], "channels and parameters"));
  }
  return QCC_OK;
}

qcc_status qcc_shape_batch_norm(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  QCC_TRY(qcc_shape_rank(f, 0, 1, QCC_MAX_RANK));
  bool per_activation = f->opset < 9 && qcc_attr_int(f->node, "spatial", 1) == 0;
  if (x && !per_activation) QCC_TRY(check_channels(f, 1, 4, x->rank > 1 ? x->dim[1] : 1));
  qcc_shape_set(f, 0, f->in[0]);
  for (uint32_t k = 1; k < f->node->out_count; k++) qcc_shape_set(f, k, f->in[k < 3 ? k + 2 : k]);
  return QCC_OK;
}

qcc_status qcc_shape_instance_norm(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  if (x) QCC_TRY(check_channels(f, 1, 2, x->dim[1]));
  return qcc_shape_same(f);
}

/* Scale and bias: one per group at 18, one per channel from 21 on. */
qcc_status qcc_shape_group_norm(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  int64_t groups = qcc_attr_int(f->node, "num_groups", 0);
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  if (groups < 1) return qcc_shape_bad(f, QCC_M_ATTR, "num_groups is %lld; allowed is 1 or more", (long long)groups);
  if (x && x->dim[1] >= 0 && x->dim[1] % groups)
    return qcc_shape_bad(f, QCC_M_DIM, "num_groups %lld does not divide the %lld channels", (long long)groups, (long long)x->dim[1]);
  if (x) QCC_TRY(check_channels(f, 1, 2, f->opset >= 21 ? x->dim[1] : groups));
  return qcc_shape_same(f);
}

qcc_status qcc_shape_layer_norm(qcc_infer *f) {
  qcc_type t = *f->in[0];
  qcc_shape_set(f, 0, &t);
  qcc_type stats = qcc_shape_type(QCC_F32, -1);
  if (t.rank >= 0) {
    int axis;
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", -1), t.rank, &axis));
    stats = t;
    for (int i = axis; i < t.rank; i++) stats.dim[i] = 1;
  }
  QCC_TRY(qcc_shape_dtype_attr(f, "stash_type", QCC_F32, &stats.dtype));
  qcc_shape_set(f, 1, &stats);
  qcc_shape_set(f, 2, &stats);
  return QCC_OK;
}

qcc_status qcc_shape_lrn(qcc_infer *f) {
  int64_t size = qcc_attr_int(f->node, "size", 0);
  if (size < 1 || size > INT32_MAX) return qcc_shape_bad(f, QCC_M_ATTR, "size is %lld; allowed is 1 to 2147483647", (long long)size);
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  return qcc_shape_same(f);
}
