/* SPDX-License-Identifier: Apache-2.0
 * Attention, QAttention and MultiHeadAttention of com.microsoft: projection to queries, keys and values, scaled products under masks, softmax,
 * weighted sum. QAttention projects codes exactly, MultiHeadAttention is given what the others project; all that follows is the same. */
#include "backends/ref/kernels/integer.h"
#include "backends/ref/run.h"

typedef enum mask_kind { MASK_NONE, MASK_END, MASK_END_START, MASK_KEYS, MASK_PAIRS } mask_kind;

typedef struct part { /* queries, keys or values of this call; a row is contiguous */
  const float *at;
  int64_t batch, head, row; /* elements from one to the next */
} part;

typedef struct attention {
  int64_t batch, seq, past, fresh, total, heads, head, v_head; /* fresh: keys of this call; head: width of queries and keys */
  int64_t input, width;                                        /* columns of the input and of the projection */
  float scale, filter;
  bool causal;
  mask_kind kind;
  const int32_t *mask;
  const float *past_keys, *past_values; /* [batch][heads][past][head] */
  const float *bias;                    /* added to scores: [bias_batch][bias_heads][seq][total]; NULL: none */
  int64_t bias_batch, bias_heads;       /* 1 or the whole */
  part q_part, k_part, v_part;
  float *y, *present_keys, *present_values; /* like the past; NULL: not wanted */
  float *q, *keys, *values, *scores, *sum;  /* of one head */
} attention;

static qcc_status read_sizes(qcc_kargs *k, attention *a) {
  const qcc_type *x = &k->in[0]->type, *w = &k->in[1]->type;
  uint32_t count;
  const int64_t *sizes = qcc_attr_ints(k->node, "qkv_hidden_sizes", &count);
  a->heads = qcc_attr_int(k->node, "num_heads", 0);
  if (x->rank != 3 || w->rank != 2 || w->dim[0] != x->dim[2])
    return qcc_kx_fail(k, QCC_DATA, "D-791", "input and weights must be [batch, length, size] and [size, width]");
  a->batch = x->dim[0], a->seq = x->dim[1], a->input = x->dim[2], a->width = w->dim[1];
  const int64_t q = count == 3 ? sizes[0] : a->width / 3, v = count == 3 ? sizes[2] : a->width / 3;
  const bool fits = count == 3 ? sizes[0] == sizes[1] && q > 0 && v > 0 && q <= a->width && v <= a->width && 2 * q + v == a->width
                               : a->width % 3 == 0 && count == 0;
  if (!fits || a->heads < 1 || q % a->heads || v % a->heads)
    return qcc_kx_fail(k, QCC_DATA, "D-791", "%lld columns do not divide into %lld heads of queries, keys and values", (long long)a->width,
                       (long long)a->heads);
  a->head = q / a->heads, a->v_head = v / a->heads;
  a->causal = qcc_attr_int(k->node, "unidirectional", 0) != 0;
  a->filter = qcc_attr_float(k->node, "mask_filter_value", -10000.0f);
  a->scale = qcc_attr_float(k->node, "scale", 0.0f);
  if (a->scale == 0.0f) a->scale = (float)(1.0 / sqrt((double)(a->head ? a->head : 1)));
  if (qcc_attr_int(k->node, "do_rotary", 0) || qcc_attr_int(k->node, "past_present_share_buffer", 0))
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-791", "rotary positions and shared buffers have no kernel");
  return QCC_OK;
}

static qcc_status read_past(qcc_kargs *k, attention *a, uint32_t at) {
  const qcc_tensor *p = qcc_kx_in(k, at);
  a->total = a->fresh = a->seq;
  if (!p) return QCC_OK;
  const int64_t *d = p->type.dim;
  if (p->type.rank != 5 || d[0] != 2 || d[1] != a->batch || d[2] != a->heads || d[4] != a->head || a->head != a->v_head)
    return qcc_kx_fail(k, QCC_DATA, "D-791", "past must be [2, batch, heads, length, head size]");
  a->past = d[3];
  a->total = a->past + a->seq;
  a->past_keys = qcc_kx_f32(k, at);
  a->past_values = a->past_keys + a->batch * a->heads * a->past * a->head;
  return a->past_keys ? QCC_OK : QCC_NOMEM;
}

static qcc_status read_mask(qcc_kargs *k, attention *a, uint32_t at) {
  const qcc_tensor *m = qcc_kx_in(k, at);
  if (!m) return QCC_OK;
  const int64_t *d = m->type.dim;
  if (m->type.dtype != QCC_S32) return qcc_kx_no_type(k, m->type.dtype);
  a->mask = m->data;
  if (m->type.rank == 1 && d[0] == a->batch)
    a->kind = MASK_END;
  else if (m->type.rank == 1 && d[0] == 2 * a->batch)
    a->kind = MASK_END_START;
  else if (m->type.rank == 2 && d[0] == a->batch && d[1] == a->total)
    a->kind = MASK_KEYS;
  else if (m->type.rank == 3 && d[0] == a->batch && d[1] == a->seq && d[2] == a->total)
    a->kind = MASK_PAIRS;
  else
    return qcc_kx_fail(k, QCC_DATA, "D-791", "input %u is no mask for %lld x %lld x %lld scores", at, (long long)a->batch,
                       (long long)a->seq, (long long)a->total);
  return QCC_OK;
}

static qcc_status read_bias(qcc_kargs *k, attention *a, uint32_t at) {
  const qcc_tensor *t = qcc_kx_in(k, at);
  if (!t) return QCC_OK;
  const int64_t *d = t->type.dim;
  if (t->type.rank != 4 || (d[0] != 1 && d[0] != a->batch) || (d[1] != 1 && d[1] != a->heads) || d[2] != a->seq || d[3] != a->total)
    return qcc_kx_fail(k, QCC_DATA, "D-791", "input %u does not broadcast to the scores", at);
  a->bias_batch = d[0], a->bias_heads = d[1];
  a->bias = qcc_kx_f32(k, at);
  return a->bias ? QCC_OK : QCC_NOMEM;
}

static bool is_masked(const attention *a, int64_t b, int64_t s, int64_t t) {
  switch (a->kind) {
    case MASK_NONE: return false;
    case MASK_END: return t >= a->mask[b];
    case MASK_END_START: return t >= a->mask[b] || t < a->mask[a->batch + b];
    case MASK_KEYS: return a->mask[b * a->total + t] <= 0;
    case MASK_PAIRS: return a->mask[(b * a->seq + s) * a->total + t] <= 0;
  }
  return false;
}

/* Scores of one query to probabilities. */
static void softmax(const attention *a, const qcc_simd *simd, float *x, int64_t b, int64_t n, int64_t s) {
  const float *bias = NULL;
  if (a->bias) bias = a->bias + (((a->bias_batch > 1 ? b : 0) * a->bias_heads + (a->bias_heads > 1 ? n : 0)) * a->seq + s) * a->total;
  float top = -INFINITY;
  double sum = 0;
  for (int64_t t = 0; t < a->total; ++t) {
    x[t] = x[t] * a->scale + (is_masked(a, b, s, t) ? a->filter : 0.0f) + (bias ? bias[t] : 0.0f);
    if (a->causal && t > a->past + s) x[t] = -INFINITY;
    top = x[t] > top ? x[t] : top;
  }
  for (int64_t t = 0; t < a->total; ++t) x[t] -= top;
  simd->act(QCC_ACT_EXP, x, x, (size_t)a->total, 0, 0);
  for (int64_t t = 0; t < a->total; ++t) sum += (double)x[t];
  simd->scalar(QCC_ARITH_MUL, x, x, (float)(1 / sum), (size_t)a->total);
}

static void rows(float *to, const part *p, int64_t b, int64_t n, int64_t count, int64_t size) {
  for (int64_t s = 0; s < count; ++s) memcpy(to + s * size, p->at + b * p->batch + n * p->head + s * p->row, (size_t)size * sizeof *to);
}

/* Keys or values of one head: those of the past, then those of this call; and what the next call will be given. */
static void join_past(float *to, float *present, const float *past, const part *p, const attention *a, int64_t b, int64_t n, int64_t size) {
  const int64_t at = b * a->heads + n, before = a->past * size, all = a->total * size;
  if (before) memcpy(to, past + at * before, (size_t)before * sizeof *to);
  rows(to + before, p, b, n, a->fresh, size);
  if (present) memcpy(present + at * all, to, (size_t)all * sizeof *to);
}

static void one_head(const attention *a, const qcc_simd *simd, int64_t b, int64_t n) {
  rows(a->q, &a->q_part, b, n, a->seq, a->head);
  join_past(a->keys, a->present_keys, a->past_keys, &a->k_part, a, b, n, a->head);
  join_past(a->values, a->present_values, a->past_values, &a->v_part, a, b, n, a->v_head);
  qcc_kx_gemm(false, true, a->seq, a->total, a->head, a->q, a->keys, a->scores, false);
  for (int64_t s = 0; s < a->seq; ++s) softmax(a, simd, a->scores + s * a->total, b, n, s);
  qcc_kx_gemm(false, false, a->seq, a->v_head, a->total, a->scores, a->values, a->sum, false);
  for (int64_t s = 0; s < a->seq; ++s)
    memcpy(a->y + ((b * a->seq + s) * a->heads + n) * a->v_head, a->sum + s * a->v_head, (size_t)a->v_head * sizeof(float));
}

static qcc_status attend(qcc_kargs *k, attention *a) {
  const int64_t longest = a->seq > a->total ? a->seq : a->total;
  size_t floats, scores;
  if (!qcc_mul_size((size_t)a->seq, (size_t)a->total, &scores) ||
      !qcc_mul_size((size_t)longest, (size_t)(2 * a->head + 2 * a->v_head), &floats) || scores > SIZE_MAX / 8 || floats > SIZE_MAX / 8)
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the scores do not fit the memory");
  a->scores = qcc_kscratch(k, scores * sizeof(float) + 1);
  a->q = qcc_kscratch(k, floats * sizeof(float) + 1);
  if (!a->scores || !a->q) return QCC_NOMEM;
  a->keys = a->q + longest * a->head;
  a->values = a->keys + longest * a->head;
  a->sum = a->values + longest * a->v_head;
  for (int64_t b = 0; b < a->batch; ++b)
    for (int64_t n = 0; n < a->heads; ++n) one_head(a, k->worker->simd, b, n);
  return QCC_OK;
}

/* Output 0; *skip when nobody wants any output or all is empty. */
static qcc_status open_y(qcc_kargs *k, attention *a, qcc_dtype t, bool *skip) {
  const qcc_type y = qcc_type_of(t, 3, (int64_t[]){a->batch, a->seq, a->heads * a->v_head});
  QCC_TRY(qcc_kx_out_f32(k, 0, &y, &a->y));
  *skip = (!a->y && !a->present_keys && !a->present_values) || a->batch * a->seq * (a->head + a->v_head) == 0;
  if (*skip || a->y) return QCC_OK;
  a->y = qcc_kscratch(k, (size_t)(a->batch * a->seq * a->heads * a->v_head) * sizeof *a->y);
  return a->y ? QCC_OK : QCC_NOMEM;
}

/* Keys and values of the present are halves of one output. */
static qcc_status outputs(qcc_kargs *k, attention *a, qcc_dtype t, bool *skip) {
  const qcc_type present = qcc_type_of(t, 5, (int64_t[]){2, a->batch, a->heads, a->total, a->head});
  if (k->out_count > 1 && k->want[1] && a->head != a->v_head)
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-791", "present needs keys and values of one size");
  QCC_TRY(qcc_kx_out_f32(k, 1, &present, &a->present_keys));
  if (a->present_keys) a->present_values = a->present_keys + a->batch * a->heads * a->total * a->head;
  return open_y(k, a, t, skip);
}

static void store(qcc_kargs *k, const attention *a) {
  if (k->want[0]) qcc_kx_store_f32(k, 0, a->y);
  qcc_kx_store_f32(k, 1, a->present_keys);
}

/* Columns of one matrix [batch][seq][width]: queries of all heads, keys, values. */
static void take_projected(attention *a, const float *qkv) {
  const int64_t batch = a->seq * a->width, keys = a->heads * a->head;
  a->q_part = (part){qkv, batch, a->head, a->width};
  a->k_part = (part){qkv + keys, batch, a->head, a->width};
  a->v_part = (part){qkv + 2 * keys, batch, a->v_head, a->width};
}

qcc_status qcc_kernel_attention(qcc_kargs *k) {
  attention a = {.kind = MASK_NONE};
  qcc_pack pack = {.at = NULL};
  bool skip;
  if (!qcc_kx_is_float(k->in[0]->type.dtype)) return qcc_kx_no_type(k, k->in[0]->type.dtype);
  QCC_TRY(read_sizes(k, &a));
  QCC_TRY(read_past(k, &a, 4));
  QCC_TRY(read_mask(k, &a, 3));
  QCC_TRY(read_bias(k, &a, 5));
  QCC_TRY(outputs(k, &a, k->in[0]->type.dtype, &skip));
  if (skip) return QCC_OK;
  const bool has_bias = qcc_kx_in(k, 2) != NULL;
  if (has_bias && qcc_tensor_count(k->in[2]) != a.width) return qcc_kx_fail(k, QCC_DATA, "D-210", "bias has not one entry per column");
  const float *x = qcc_kx_f32(k, 0), *w = qcc_kx_f32(k, 1), *bias = has_bias ? qcc_kx_f32(k, 2) : NULL;
  float *qkv = qcc_kscratch(k, (size_t)(a.batch * a.seq * a.width) * sizeof *qkv);
  if (!x || !w || !qkv || (has_bias && !bias)) return QCC_NOMEM;
  QCC_TRY(qcc_dense_pack(&pack, k->cx, k->worker->simd, (size_t)a.input, (size_t)a.width, w, false, 1.0f, bias));
  qcc_status st = qcc_dense_run(k->worker, &pack, (size_t)(a.batch * a.seq), x, qkv, NULL);
  qcc_free(k->cx, pack.at);
  take_projected(&a, qkv);
  if (st == QCC_OK) st = attend(k, &a);
  if (st == QCC_OK) store(k, &a);
  return st;
}

qcc_status qcc_kernel_qattention(qcc_kargs *k) {
  attention a = {.kind = MASK_NONE};
  const float *sx = NULL, *sw = NULL;
  int64_t nx, nw;
  bool skip;
  qcc_status st;
  QCC_TRY(read_sizes(k, &a));
  QCC_TRY(read_past(k, &a, 8));
  QCC_TRY(read_mask(k, &a, 5));
  QCC_TRY(qcc_kx_scales(k, 3, 1, 1, &sx, &nx));
  QCC_TRY(qcc_kx_scales(k, 4, a.width, 1, &sw, &nw));
  QCC_TRY(outputs(k, &a, k->in[2]->type.dtype, &skip));
  if (skip) return QCC_OK;
  if (qcc_tensor_count(k->in[2]) != a.width) return qcc_kx_fail(k, QCC_DATA, "D-210", "bias has not one entry per column");
  const int64_t n = a.batch * a.seq * a.width;
  const float *bias = qcc_kx_f32(k, 2);
  const int16_t *x = qcc_kx_centred(k, 0, 6, (qcc_kx_share){1, 1, 1}, &st),
                *w = x ? qcc_kx_centred(k, 1, 7, (qcc_kx_share){a.width, 1, 1}, &st) : NULL;
  if (!x || !w) return st;
  int32_t *acc = qcc_kscratch(k, (size_t)n * sizeof *acc);
  float *qkv = qcc_kscratch(k, (size_t)n * sizeof *qkv);
  if (!acc || !qkv || !bias) return QCC_NOMEM;
  qcc_kx_int_gemm(a.batch * a.seq, a.width, a.input, x, w, acc);
  for (int64_t i = 0; i < n; ++i) qkv[i] = (float)acc[i] * (sx[0] * sw[nw > 1 ? i % a.width : 0]) + bias[i % a.width];
  take_projected(&a, qkv);
  QCC_TRY(attend(k, &a));
  store(k, &a);
  return QCC_OK;
}

/* ---- MultiHeadAttention */
/* Input `i` as [batch, length, heads * size] with its part of the bias, or without as [batch, heads, length, size]. */
static qcc_status read_part(qcc_kargs *k, const attention *a, uint32_t i, const float *bias, int64_t length, int64_t size, part *to) {
  const int64_t width = a->heads * size, n = a->batch * length * width;
  to->at = qcc_kx_f32(k, i);
  if (!to->at) return QCC_NOMEM;
  if (k->in[i]->type.rank == 4) return *to = (part){to->at, length * width, length * size, size}, QCC_OK;
  *to = (part){to->at, length * width, size, width};
  if (!bias) return QCC_OK;
  float *sum = qcc_kscratch(k, (size_t)n * sizeof *sum + 1);
  if (!sum) return QCC_NOMEM;
  for (int64_t j = 0; j < n; ++j) sum[j] = to->at[j] + bias[j % width];
  to->at = sum;
  return QCC_OK;
}

/* Length and size of a head of keys or values. */
static qcc_status read_lengths(qcc_kargs *k, const attention *a, uint32_t i, int64_t *length, int64_t *size) {
  const qcc_type *t = &k->in[i]->type;
  const bool turned = t->rank == 4;
  if ((t->rank != 3 && !turned) || t->dim[0] != a->batch || (turned ? t->dim[1] != a->heads : t->dim[2] % a->heads != 0))
    return qcc_kx_fail(k, QCC_DATA, "D-791", "input %u must be [batch, length, size] or [batch, heads, length, head size]", i);
  *length = t->dim[turned ? 2 : 1];
  *size = turned ? t->dim[3] : t->dim[2] / a->heads;
  return QCC_OK;
}

static qcc_status read_sides(qcc_kargs *k, attention *a) {
  const qcc_type *q = &k->in[0]->type;
  const bool packed = q->rank == 5 || !qcc_kx_in(k, 1) || !qcc_kx_in(k, 2) || k->in[1]->type.rank == 5;
  if (packed) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-791", "packed queries, keys and values have no kernel");
  if (qcc_kx_in(k, 8) || qcc_kx_in(k, 9) || (k->out_count > 3 && k->want[3]))
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-791", "shared buffers, beams and scores as an output have no kernel");
  a->heads = qcc_attr_int(k->node, "num_heads", 0);
  if (q->rank != 3 || a->heads < 1 || q->dim[2] % a->heads)
    return qcc_kx_fail(k, QCC_DATA, "D-791", "queries must be [batch, length, size] of %lld heads", (long long)a->heads);
  int64_t values = 0, size = 0;
  a->batch = q->dim[0], a->seq = q->dim[1], a->head = q->dim[2] / a->heads;
  QCC_TRY(read_lengths(k, a, 1, &a->fresh, &size));
  QCC_TRY(read_lengths(k, a, 2, &values, &a->v_head));
  if (size != a->head || values != a->fresh) return qcc_kx_fail(k, QCC_DATA, "D-791", "queries, keys and values do not fit each other");
  a->causal = qcc_attr_int(k->node, "unidirectional", 0) != 0;
  a->filter = qcc_attr_float(k->node, "mask_filter_value", -10000.0f);
  a->scale = qcc_attr_float(k->node, "scale", 0.0f);
  if (a->scale == 0.0f) a->scale = (float)(1.0 / sqrt((double)(a->head ? a->head : 1)));
  return QCC_OK;
}

static qcc_status read_cache(qcc_kargs *k, attention *a, uint32_t at, int64_t size, const float **to) {
  const qcc_tensor *p = qcc_kx_in(k, at);
  if (!p) return QCC_OK;
  const int64_t *d = p->type.dim;
  if (p->type.rank != 4 || d[0] != a->batch || d[1] != a->heads || d[3] != size || (at == 7 && d[2] != a->past))
    return qcc_kx_fail(k, QCC_DATA, "D-791", "input %u must be [batch, heads, length, head size]", at);
  a->past = d[2];
  *to = qcc_kx_f32(k, at);
  return *to ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_kernel_multi_head_attention(qcc_kargs *k) {
  const qcc_dtype t = k->in[0]->type.dtype;
  attention a = {.kind = MASK_NONE};
  bool skip;
  if (!qcc_kx_is_float(t)) return qcc_kx_no_type(k, t);
  QCC_TRY(read_sides(k, &a));
  QCC_TRY(read_cache(k, &a, 6, a.head, &a.past_keys));
  QCC_TRY(read_cache(k, &a, 7, a.v_head, &a.past_values));
  if (!a.past_keys != !a.past_values) return qcc_kx_fail(k, QCC_DATA, "D-791", "past keys and values come together");
  a.total = a.past + a.fresh;
  if (!a.total) return qcc_kx_fail(k, QCC_DATA, "D-791", "there are no keys");
  QCC_TRY(read_mask(k, &a, 4));
  QCC_TRY(read_bias(k, &a, 5));
  const qcc_type keys = qcc_type_of(t, 4, (int64_t[]){a.batch, a.heads, a.total, a.head});
  const qcc_type values = qcc_type_of(t, 4, (int64_t[]){a.batch, a.heads, a.total, a.v_head});
  QCC_TRY(qcc_kx_out_f32(k, 1, &keys, &a.present_keys));
  QCC_TRY(qcc_kx_out_f32(k, 2, &values, &a.present_values));
  QCC_TRY(open_y(k, &a, t, &skip));
  if (skip) return QCC_OK;
  const int64_t width = a.heads * a.head;
  const float *bias = NULL;
  if (qcc_kx_in(k, 3)) {
    if (qcc_tensor_count(k->in[3]) != 2 * width + a.heads * a.v_head)
      return qcc_kx_fail(k, QCC_DATA, "D-210", "bias has not one entry per column");
    bias = qcc_kx_f32(k, 3);
    if (!bias) return QCC_NOMEM;
  }
  QCC_TRY(read_part(k, &a, 0, bias, a.seq, a.head, &a.q_part));
  QCC_TRY(read_part(k, &a, 1, bias ? bias + width : NULL, a.fresh, a.head, &a.k_part));
  QCC_TRY(read_part(k, &a, 2, bias ? bias + 2 * width : NULL, a.fresh, a.v_head, &a.v_part));
  QCC_TRY(attend(k, &a));
  store(k, &a);
  qcc_kx_store_f32(k, 2, a.present_values);
  return QCC_OK;
}
