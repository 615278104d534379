/* SPDX-License-Identifier: Apache-2.0
 * Attention and QAttention of com.microsoft: projection to queries, keys and values, scaled products under masks, softmax, weighted sum.
 * QAttention projects codes exactly; all that follows is the same. */
#include "backends/ref/kernels/integer.h"
#include "backends/ref/run.h"

typedef enum mask_kind { MASK_NONE, MASK_END, MASK_END_START, MASK_KEYS, MASK_PAIRS } mask_kind;

typedef struct attention {
  int64_t batch, seq, past, total, heads, head, v_head; /* head: width of queries and keys */
  int64_t input, width;                                 /* columns of the input and of the projection */
  float scale, filter;
  bool causal;
  mask_kind kind;
  const int32_t *mask;
  const float *before;                     /* past: [2][batch][heads][past][head] */
  const float *bias;                       /* added to scores: [bias_batch][bias_heads][seq][total]; NULL: none */
  int64_t bias_batch, bias_heads;          /* 1 or the whole */
  const float *qkv;                        /* [batch][seq][width] */
  float *y, *present;                      /* present NULL: not wanted */
  float *q, *keys, *values, *scores, *sum; /* of one head */
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
  a->total = a->seq;
  if (!p) return QCC_OK;
  const int64_t *d = p->type.dim;
  if (p->type.rank != 5 || d[0] != 2 || d[1] != a->batch || d[2] != a->heads || d[4] != a->head || a->head != a->v_head)
    return qcc_kx_fail(k, QCC_DATA, "D-791", "past must be [2, batch, heads, length, head size]");
  a->past = d[3];
  a->total = a->past + a->seq;
  a->before = qcc_kx_f32(k, at);
  return a->before ? QCC_OK : QCC_NOMEM;
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

static void rows(float *to, const attention *a, int64_t b, int64_t first, int64_t size) {
  for (int64_t s = 0; s < a->seq; ++s) memcpy(to + s * size, a->qkv + (b * a->seq + s) * a->width + first, (size_t)size * sizeof *to);
}

static void one_head(const attention *a, const qcc_simd *simd, int64_t b, int64_t n) {
  const int64_t at = b * a->heads + n, past = a->past * a->head, part = a->batch * a->heads * past, all = a->total * a->head;
  rows(a->q, a, b, n * a->head, a->head);
  rows(a->keys + past, a, b, (a->heads + n) * a->head, a->head);
  rows(a->values + a->past * a->v_head, a, b, 2 * a->heads * a->head + n * a->v_head, a->v_head);
  if (past) {
    memcpy(a->keys, a->before + at * past, (size_t)past * sizeof(float));
    memcpy(a->values, a->before + part + at * past, (size_t)past * sizeof(float));
  }
  if (a->present) {
    memcpy(a->present + at * all, a->keys, (size_t)all * sizeof(float));
    memcpy(a->present + (a->batch * a->heads + at) * all, a->values, (size_t)all * sizeof(float));
  }
  qcc_kx_gemm(false, true, a->seq, a->total, a->head, a->q, a->keys, a->scores, false);
  for (int64_t s = 0; s < a->seq; ++s) softmax(a, simd, a->scores + s * a->total, b, n, s);
  qcc_kx_gemm(false, false, a->seq, a->v_head, a->total, a->scores, a->values, a->sum, false);
  for (int64_t s = 0; s < a->seq; ++s)
    memcpy(a->y + ((b * a->seq + s) * a->heads + n) * a->v_head, a->sum + s * a->v_head, (size_t)a->v_head * sizeof(float));
}

static qcc_status attend(qcc_kargs *k, attention *a) {
  size_t floats, scores;
  if (!qcc_mul_size((size_t)a->seq, (size_t)a->total, &scores) ||
      !qcc_mul_size((size_t)a->total, (size_t)(3 * a->head + 3 * a->v_head), &floats) || scores > SIZE_MAX / 8 || floats > SIZE_MAX / 8)
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the scores do not fit the memory");
  a->scores = qcc_kscratch(k, scores * sizeof(float) + 1);
  a->q = qcc_kscratch(k, floats * sizeof(float) + 1);
  if (!a->scores || !a->q) return QCC_NOMEM;
  a->keys = a->q + a->total * a->head;
  a->values = a->keys + a->total * a->head;
  a->sum = a->values + a->total * a->v_head;
  for (int64_t b = 0; b < a->batch; ++b)
    for (int64_t n = 0; n < a->heads; ++n) one_head(a, k->worker->simd, b, n);
  return QCC_OK;
}

/* Outputs; *skip when nobody wants any or all is empty. */
static qcc_status outputs(qcc_kargs *k, attention *a, qcc_dtype t, bool *skip) {
  const qcc_type y = qcc_type_of(t, 3, (int64_t[]){a->batch, a->seq, a->heads * a->v_head});
  const qcc_type present = qcc_type_of(t, 5, (int64_t[]){2, a->batch, a->heads, a->total, a->head});
  if (k->out_count > 1 && k->want[1] && a->head != a->v_head)
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-791", "present needs keys and values of one size");
  QCC_TRY(qcc_kx_out_f32(k, 0, &y, &a->y));
  QCC_TRY(qcc_kx_out_f32(k, 1, &present, &a->present));
  *skip = (!a->y && !a->present) || a->batch * a->seq * a->width == 0;
  if (*skip || a->y) return QCC_OK;
  a->y = qcc_kscratch(k, (size_t)(a->batch * a->seq * a->heads * a->v_head) * sizeof *a->y);
  return a->y ? QCC_OK : QCC_NOMEM;
}

static void store(qcc_kargs *k, const attention *a) {
  if (k->want[0]) qcc_kx_store_f32(k, 0, a->y);
  qcc_kx_store_f32(k, 1, a->present);
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
  a.qkv = qkv;
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
  a.qkv = qkv;
  QCC_TRY(attend(k, &a));
  store(k, &a);
  return QCC_OK;
}
