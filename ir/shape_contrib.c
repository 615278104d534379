/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of com.microsoft operators that optimizers make from several standard ones. Those on codes are in shape_quant.c. */
#include "ir/shape.h"

/* ---- FusedMatMul: operands in the order of a plain product, then its rule */
static qcc_type arranged(const qcc_infer *f, uint32_t k, const char *swap, const char *from_batch) {
  const qcc_type *t = qcc_shape_in(f, k);
  qcc_type out = *t;
  const int r = t->rank;
  if (r < 2) return out;
  if (qcc_attr_int(f->node, from_batch, 0)) {
    for (int d = 0; d < r - 1; d++) out.dim[d] = t->dim[d < r - 2 ? d + 1 : 0];
  }
  if (qcc_attr_int(f->node, swap, 0)) {
    const int64_t last = out.dim[r - 1];
    out.dim[r - 1] = out.dim[r - 2];
    out.dim[r - 2] = last;
  }
  return out;
}

qcc_status qcc_shape_ms_fused_matmul(qcc_infer *f) {
  QCC_TRY(qcc_shape_same_dtype(f, 0, 1));
  const qcc_type a = arranged(f, 0, "transA", "transBatchA"), b = arranged(f, 1, "transB", "transBatchB"), *in[2] = {&a, &b};
  qcc_infer plain = *f;
  plain.in = in;
  return qcc_shape_matmul_of(&plain, 0, 1, qcc_shape_dtype(f, 0));
}

/* ---- MatMulNBits: [..., K] to [..., N] */
qcc_status qcc_shape_ms_nbits(qcc_infer *f) {
  const int64_t n = qcc_attr_int(f->node, "N", 0), k = qcc_attr_int(f->node, "K", 0);
  const qcc_type *a = qcc_shape_ranked(f, 0);
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (n < 1 || k < 1 || n > INT32_MAX || k > INT32_MAX)
    return qcc_shape_bad(f, QCC_M_ATTR, "N is %lld, K %lld; allowed is 1 to 2147483647", (long long)n, (long long)k);
  QCC_TRY(qcc_shape_rank(f, 0, 1, QCC_MAX_RANK));
  qcc_shape_set(f, 0, &t);
  if (!a) return QCC_OK;
  int64_t columns = k;
  QCC_TRY(qcc_shape_fit(f, &columns, a->dim[a->rank - 1], "K and columns of the input"));
  t = *a;
  t.dim[t.rank - 1] = n;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- normalizations */
/* Result, statistics of each row, and the sum that was normalized. */
qcc_status qcc_shape_ms_skip_norm(qcc_infer *f) {
  qcc_type t = *f->in[0], stats = qcc_shape_type(QCC_F32, -1);
  QCC_TRY(qcc_shape_rank(f, 0, 1, QCC_MAX_RANK));
  if (t.rank > 0) {
    stats = t;
    stats.dtype = QCC_F32;
    stats.dim[t.rank - 1] = 1;
  }
  qcc_shape_set(f, 0, &t);
  qcc_shape_set(f, 1, &stats);
  qcc_shape_set(f, 2, &stats);
  qcc_shape_set(f, 3, &t);
  return QCC_OK;
}

/* ONNX Runtime's older name of RMSNormalization, in the domain of ONNX: the result and one over the root of each row. */
qcc_status qcc_shape_simplified_norm(qcc_infer *f) {
  qcc_type t = *f->in[0], stats = qcc_shape_type(QCC_F32, -1);
  qcc_shape_set(f, 0, &t);
  if (t.rank >= 0) {
    int axis;
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", -1), t.rank, &axis));
    stats = t;
    stats.dtype = QCC_F32;
    for (int i = axis; i < t.rank; i++) stats.dim[i] = 1;
  }
  qcc_shape_set(f, 1, &stats);
  return QCC_OK;
}

qcc_status qcc_shape_ms_embed(qcc_infer *f) {
  const uint32_t must[] = {2, 3, 5, 6};
  for (size_t i = 0; i < sizeof must / sizeof *must; i++) QCC_TRY(qcc_shape_need(f, must[i]));
  QCC_TRY(qcc_shape_rank(f, 0, 2, 2));
  QCC_TRY(qcc_shape_rank(f, 2, 2, 2));
  const qcc_type *ids = qcc_shape_ranked(f, 0), *table = qcc_shape_ranked(f, 2);
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 2), 3), counts = qcc_shape_type(QCC_S32, 1);
  for (int i = 0; ids && i < 2; i++) t.dim[i] = ids->dim[i];
  if (table) t.dim[2] = table->dim[1];
  counts.dim[0] = t.dim[0];
  qcc_shape_set(f, 0, &t);
  qcc_shape_set(f, 1, &counts);
  qcc_shape_set(f, 2, &t);
  return QCC_OK;
}

/* ---- Attention, QAttention: the weight holds the columns of queries, keys and values */
qcc_status qcc_shape_ms_attention(qcc_infer *f) {
  const bool codes = f->node->op == QCC_OP_MS_QATTENTION;
  const uint32_t past_at = codes ? 8 : 4;
  const qcc_type *x = qcc_shape_ranked(f, 0), *w = qcc_shape_ranked(f, 1), *past = qcc_shape_ranked(f, past_at);
  const int64_t heads = qcc_attr_int(f->node, "num_heads", 0);
  uint32_t count;
  const int64_t *sizes = qcc_attr_ints(f->node, "qkv_hidden_sizes", &count);
  const qcc_dtype dtype = qcc_shape_dtype(f, codes ? 2 : 0);
  qcc_type t = qcc_shape_type(dtype, 3), present = qcc_shape_type(dtype, 5);
  if (heads < 1 || heads > INT32_MAX) return qcc_shape_bad(f, QCC_M_ATTR, "num_heads is %lld; allowed is 1 or more", (long long)heads);
  if (count && (count != 3 || sizes[0] < 1 || sizes[2] < 1))
    return qcc_shape_bad(f, QCC_M_ATTR, "qkv_hidden_sizes needs three sizes above 0");
  QCC_TRY(qcc_shape_rank(f, 0, 3, 3));
  QCC_TRY(qcc_shape_rank(f, 1, 2, 2));
  QCC_TRY(qcc_shape_rank(f, past_at, 5, 5));
  const int64_t columns = w ? w->dim[1] : QCC_DIM_UNKNOWN, each = columns >= 0 ? columns / 3 : QCC_DIM_UNKNOWN;
  const int64_t q = count ? sizes[0] : each;
  for (int i = 0; x && i < 2; i++) t.dim[i] = x->dim[i];
  t.dim[2] = count ? sizes[2] : each;
  present.dim[0] = 2;
  present.dim[1] = t.dim[0];
  present.dim[2] = heads;
  if (q >= 0) present.dim[4] = q / heads;
  if (!qcc_shape_in(f, past_at))
    present.dim[3] = t.dim[1];
  else if (past && past->dim[3] >= 0 && t.dim[1] >= 0 && !qcc_add_s64(past->dim[3], t.dim[1], &present.dim[3]))
    return qcc_shape_limit(f, "too many positions");
  qcc_shape_set(f, 0, &t);
  qcc_shape_set(f, 1, &present);
  return QCC_OK;
}

/* ---- MultiHeadAttention: keys and values as [batch, length, heads * size] or [batch, heads, length, size] */
static int64_t size_of_head(const qcc_type *t, int64_t heads) {
  if (!t || t->rank > 4) return QCC_DIM_UNKNOWN;
  return t->rank == 4 ? t->dim[3] : t->dim[2] >= 0 ? t->dim[2] / heads : QCC_DIM_UNKNOWN;
}

qcc_status qcc_shape_ms_heads(qcc_infer *f) {
  const int64_t heads = qcc_attr_int(f->node, "num_heads", 0);
  const qcc_dtype dtype = qcc_shape_dtype(f, 0);
  if (heads < 1 || heads > INT32_MAX) return qcc_shape_bad(f, QCC_M_ATTR, "num_heads is %lld; allowed is 1 or more", (long long)heads);
  QCC_TRY(qcc_shape_rank(f, 0, 3, 5));
  QCC_TRY(qcc_shape_rank(f, 1, 3, 5));
  QCC_TRY(qcc_shape_rank(f, 2, 3, 4));
  QCC_TRY(qcc_shape_rank(f, 6, 4, 4));
  const qcc_type *q = qcc_shape_ranked(f, 0), *k = qcc_shape_ranked(f, 1), *v = qcc_shape_ranked(f, 2), *past = qcc_shape_ranked(f, 6);
  qcc_type y = qcc_shape_type(dtype, 3), keys = qcc_shape_type(dtype, 4), scores = qcc_shape_type(dtype, 4);
  const int64_t v_head = size_of_head(v, heads), fresh = k && k->rank < 5 ? k->dim[k->rank == 4 ? 2 : 1] : QCC_DIM_UNKNOWN;
  if (q && q->rank == 3) y.dim[0] = q->dim[0], y.dim[1] = q->dim[1];
  if (v_head >= 0 && !qcc_mul_s64(v_head, heads, &y.dim[2])) return qcc_shape_limit(f, "too many columns");
  keys.dim[0] = scores.dim[0] = y.dim[0];
  keys.dim[1] = scores.dim[1] = heads;
  scores.dim[2] = y.dim[1];
  if (!qcc_shape_in(f, 6))
    keys.dim[2] = fresh;
  else if (past && past->dim[2] >= 0 && fresh >= 0 && !qcc_add_s64(past->dim[2], fresh, &keys.dim[2]))
    return qcc_shape_limit(f, "too many positions");
  scores.dim[3] = keys.dim[2];
  qcc_type values = keys;
  keys.dim[3] = q && q->rank == 3 && q->dim[2] >= 0 ? q->dim[2] / heads : QCC_DIM_UNKNOWN;
  values.dim[3] = v_head;
  qcc_shape_set(f, 0, &y);
  qcc_shape_set(f, 1, &keys);
  qcc_shape_set(f, 2, &values);
  qcc_shape_set(f, 3, &scores);
  return QCC_OK;
}

/* ---- DynamicQuantizeLSTM: as LSTM, but W [D,I,4*H] and R [D,H,4*H] */
static const char *const lstm_directions[] = {"forward", "reverse", "bidirectional", NULL};
qcc_status qcc_shape_ms_lstm(qcc_infer *f) {
  int direction;
  for (uint32_t k = 8; k < 12; k++) QCC_TRY(qcc_shape_need(f, k));
  QCC_TRY(qcc_shape_choice(f, "direction", lstm_directions, &direction));
  QCC_TRY(qcc_shape_rank(f, 0, 3, 3));
  QCC_TRY(qcc_shape_rank(f, 2, 3, 3));
  const qcc_type *x = qcc_shape_ranked(f, 0), *r = qcc_shape_ranked(f, 2);
  const int64_t directions = direction == 2 ? 2 : 1, steps = x ? x->dim[0] : QCC_DIM_UNKNOWN, batch = x ? x->dim[1] : QCC_DIM_UNKNOWN;
  int64_t hidden = qcc_attr_find(f->node, "hidden_size") ? qcc_attr_int(f->node, "hidden_size", 0) : QCC_DIM_UNKNOWN;
  if (r) QCC_TRY(qcc_shape_fit(f, &hidden, r->dim[1], "hidden size and recurrent weights"));
  const qcc_type y = qcc_type_of(QCC_F32, 4, (int64_t[]){steps, directions, batch, hidden});
  const qcc_type h = qcc_type_of(QCC_F32, 3, (int64_t[]){directions, batch, hidden});
  qcc_shape_set(f, 0, &y);
  qcc_shape_set(f, 1, &h);
  qcc_shape_set(f, 2, &h);
  return QCC_OK;
}
