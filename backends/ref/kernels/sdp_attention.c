/* SPDX-License-Identifier: Apache-2.0
 * Attention and FlexAttention. Per batch and head of key and value all queries of its group are the rows of one matrix: two products around
 * a softmax, block by block, so that the scores of a block stay in the cache. The shape rule has checked all sizes. */
#include "backends/ref/kernels/kutil.h"

typedef struct attention {
  int64_t batch, heads, kv_heads, group, rows, past, fresh, total, size, v_size; /* rows: queries of one head */
  bool packed;                                                                   /* inputs are [batch, length, heads * size] */
  float scale, cap;
  bool causal;
  int64_t left, right; /* window, -1: open */
  int mode;
  const float *q, *k, *v, *past_k, *past_v;
  const qcc_tensor *mask, *valid;
  int64_t mask_step[4];
  float *y, *present_k, *present_v, *scores; /* outputs; NULL: not wanted */
  const struct qcc_simd *simd;
} attention;

enum { BLOCK_SCORES = 64 * 1024, LEAST_ROWS = 16 };

static int64_t block_rows(const attention *a) {
  const int64_t all = a->group * a->rows, n = a->total ? BLOCK_SCORES / a->total : all;
  return n < LEAST_ROWS ? (all < LEAST_ROWS ? all : LEAST_ROWS) : n < all ? n : all;
}

/* Rows [0, rows) of one head into `to`, times `factor`. */
static void take_head(float *to, const float *x, bool packed, int64_t heads, int64_t b, int64_t h, int64_t rows, int64_t size,
                      float factor) {
  const float *from = packed ? x + (b * rows * heads + h) * size : x + (b * heads + h) * rows * size;
  const int64_t step = packed ? heads * size : size;
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < size; ++d) to[i * size + d] = from[i * step + d] * factor;
  }
}

/* Cache and new rows of one head, in `present` when that is an output. */
static const float *join_head(const attention *a, float *present, float *scratch, const float *past, const float *fresh, int64_t b,
                              int64_t h, int64_t size) {
  float *to = present ? present + (b * a->kv_heads + h) * a->total * size : scratch;
  if (past) take_head(to, past, false, a->kv_heads, b, h, a->past, size, 1.0f);
  take_head(to + a->past * size, fresh, a->packed, a->kv_heads, b, h, a->fresh, size, 1.0f);
  return to;
}

/* ---- one row of scores */
typedef struct place {
  int64_t b, head, i; /* of the query */
} place;

/* Keys that position rules allow: [*lo, *hi). */
static void allowed(const attention *a, const place *p, int64_t *lo, int64_t *hi) {
  const int64_t told = a->valid ? qcc_tensor_get_s64(a->valid, p->b) : a->total;
  const int64_t valid = told < 0 ? 0 : told < a->total ? told : a->total;
  const int64_t at = p->i + (a->past_k ? a->past : a->valid ? valid - a->rows : 0);
  *lo = a->left >= 0 && at - a->left > 0 ? at - a->left : 0;
  *hi = valid;
  if (a->causal && at + 1 < *hi) *hi = at + 1;
  if (a->right >= 0 && at + a->right + 1 < *hi) *hi = at + a->right + 1;
  if (*hi < *lo) *hi = *lo;
}

/* Adds the mask and closes what is not allowed; false when nothing is left. */
static bool add_bias(const attention *a, const place *p, float *s) {
  int64_t lo, hi;
  bool any = false;
  allowed(a, p, &lo, &hi);
  for (int64_t j = 0; j < lo && j < a->total; ++j) s[j] = -INFINITY;
  for (int64_t j = hi; j < a->total; ++j) s[j] = -INFINITY;
  if (!a->mask) return hi > lo;
  const int64_t width = a->mask->type.dim[a->mask->type.rank - 1];
  const int64_t from = p->b * a->mask_step[0] + p->head * a->mask_step[1] + p->i * a->mask_step[2];
  const bool is_bool = a->mask->type.dtype == QCC_BOOL;
  for (int64_t j = lo; j < hi; ++j) {
    const float m = j >= width ? -INFINITY
                    : is_bool  ? (((const uint8_t *)a->mask->data)[from + j] ? 0.0f : -INFINITY)
                               : ((const float *)a->mask->data)[from + j];
    s[j] = m == -INFINITY ? m : s[j] + m; /* also where the score is infinite */
    any |= m != -INFINITY;
  }
  return any;
}

static void show(const attention *a, int mode, const float *s, int64_t row, int64_t n) {
  if (a->scores && a->mode == mode) memcpy(a->scores + row * a->total, s, (size_t)(n * a->total) * sizeof *s);
}

/* Rows [first, first + n) of the group of head h: scores to probabilities. */
static void finish_scores(const attention *a, float *s, int64_t b, int64_t h, int64_t first, int64_t n) {
  const int64_t row = (b * a->heads + h * a->group) * a->rows + first;
  show(a, 0, s, row, n);
  for (int64_t i = 0; a->cap > 0 && i < n * a->total; ++i) s[i] = a->cap * tanhf(s[i] / a->cap);
  show(a, 1, s, row, n);
  for (int64_t r = 0; r < n; ++r) {
    const place p = {b, h * a->group + (first + r) / a->rows, (first + r) % a->rows};
    float *at = s + r * a->total;
    const bool any = add_bias(a, &p, at);
    show(a, 2, at, row + r, 1);
    if (any)
      qcc_kx_softmax_row(a->simd, at, at, a->total);
    else
      memset(at, 0, (size_t)a->total * sizeof *at);
  }
  show(a, 3, s, row, n);
}

static void put_rows(const attention *a, const float *from, int64_t b, int64_t h, int64_t first, int64_t n) {
  for (int64_t r = first; r < first + n; ++r, from += a->v_size) {
    const int64_t head = h * a->group + r / a->rows, i = r % a->rows;
    float *to =
        a->packed ? a->y + ((b * a->rows + i) * a->heads + head) * a->v_size : a->y + ((b * a->heads + head) * a->rows + i) * a->v_size;
    memcpy(to, from, (size_t)a->v_size * sizeof *to);
  }
}

/* ---- all heads */
static void *scratch_floats(qcc_kargs *k, int64_t a, int64_t b) {
  size_t n, bytes;
  if (!qcc_mul_size((size_t)a, (size_t)b, &n) || !qcc_mul_size(n, sizeof(float), &bytes)) bytes = SIZE_MAX;
  return qcc_kscratch(k, bytes);
}

static qcc_status attend(qcc_kargs *k, const attention *a) {
  const int64_t block = block_rows(a), rows = a->group * a->rows;
  float *q = scratch_floats(k, rows, a->size), *s = scratch_floats(k, block, a->total), *y = scratch_floats(k, block, a->v_size);
  float *kh = scratch_floats(k, a->present_k ? 0 : a->total, a->size), *vh = scratch_floats(k, a->present_v ? 0 : a->total, a->v_size);
  if (!q || !s || !y || !kh || !vh) return QCC_NOMEM;
  for (int64_t b = 0; b < a->batch; ++b) {
    for (int64_t h = 0; h < a->kv_heads; ++h) {
      const float *keys = join_head(a, a->present_k, kh, a->past_k, a->k, b, h, a->size);
      const float *values = join_head(a, a->present_v, vh, a->past_v, a->v, b, h, a->v_size);
      for (int64_t g = 0; g < a->group; ++g)
        take_head(q + g * a->rows * a->size, a->q, a->packed, a->heads, b, h * a->group + g, a->rows, a->size, a->scale);
      for (int64_t first = 0; first < rows; first += block) {
        const int64_t n = rows - first < block ? rows - first : block;
        qcc_kx_gemm(false, true, n, a->total, a->size, q + first * a->size, keys, s, false);
        finish_scores(a, s, b, h, first, n);
        if (!a->y) continue;
        qcc_kx_gemm(false, false, n, a->v_size, a->total, s, values, y, false);
        put_rows(a, y, b, h, first, n);
      }
    }
  }
  return QCC_OK;
}

static int64_t head_count(const qcc_kargs *k, uint32_t input, const char *attr) {
  const qcc_type *t = &k->in[input]->type;
  return t->rank == 4 ? t->dim[1] : qcc_attr_int(k->node, attr, 1);
}

static qcc_status read_sizes(qcc_kargs *k, attention *a) {
  const qcc_type *q = &k->in[0]->type, *v = &k->in[2]->type;
  const qcc_tensor *past = qcc_kx_in(k, 4);
  a->packed = q->rank == 3;
  a->batch = q->dim[0];
  a->heads = head_count(k, 0, "q_num_heads");
  a->kv_heads = head_count(k, 1, "kv_num_heads");
  a->group = a->kv_heads ? a->heads / a->kv_heads : 0;
  a->rows = q->dim[a->packed ? 1 : 2];
  a->fresh = v->dim[a->packed ? 1 : 2];
  a->size = a->packed ? q->dim[2] / a->heads : q->dim[3];
  a->v_size = a->packed ? v->dim[2] / a->kv_heads : v->dim[3];
  a->past = past ? past->type.dim[2] : 0;
  a->total = a->past + a->fresh;
  a->scale = qcc_attr_float(k->node, "scale", (float)(1.0 / sqrt((double)a->size)));
  for (uint32_t i = 0; i < 3; ++i)
    if (!qcc_kx_is_float(k->in[i]->type.dtype)) return qcc_kx_no_type(k, k->in[i]->type.dtype);
  a->q = qcc_kx_f32(k, 0);
  a->k = qcc_kx_f32(k, 1);
  a->v = qcc_kx_f32(k, 2);
  return a->q && a->k && a->v ? QCC_OK : QCC_NOMEM;
}

/* Steps of the mask over batch, heads and queries; a float mask of another type is converted into `own`. */
static qcc_status read_mask(qcc_kargs *k, attention *a, qcc_tensor *own) {
  const qcc_tensor *m = qcc_kx_in(k, 3);
  int64_t step = 1;
  if (!m) return QCC_OK;
  if (m->type.dtype != QCC_BOOL && !qcc_kx_is_float(m->type.dtype)) return qcc_kx_no_type(k, m->type.dtype);
  *own = *m;
  if (m->type.dtype != QCC_BOOL) {
    own->type.dtype = QCC_F32;
    own->data = qcc_kx_f32(k, 3);
    if (!own->data) return QCC_NOMEM;
  }
  for (int d = 1; d <= m->type.rank; ++d) {
    const int64_t n = m->type.dim[m->type.rank - d];
    if (d > 1 && n > 1) a->mask_step[4 - d] = step;
    step *= n;
  }
  a->mask = own;
  return QCC_OK;
}

qcc_status qcc_kernel_sdp_attention(qcc_kargs *k) {
  attention a = {.simd = qcc_ksimd(k),
                 .causal = qcc_attr_int(k->node, "is_causal", 0) != 0,
                 .cap = qcc_attr_float(k->node, "softcap", 0),
                 .mode = (int)qcc_attr_int(k->node, "qk_matmul_output_mode", 0),
                 .left = qcc_attr_int(k->node, "left_window_size", -1),
                 .right = qcc_attr_int(k->node, "right_window_size", -1),
                 .valid = qcc_kx_in(k, 6)};
  qcc_tensor mask = {0};
  QCC_TRY(read_sizes(k, &a));
  QCC_TRY(read_mask(k, &a, &mask));
  const int64_t widest = a.rows + a.total; /* keeps sums with the bounds small */
  if (a.left > widest) a.left = widest;
  if (a.right > widest) a.right = widest;
  if (qcc_kx_in(k, 4)) {
    a.past_k = qcc_kx_f32(k, 4);
    a.past_v = qcc_kx_f32(k, 5);
    if (!a.past_k || !a.past_v) return QCC_NOMEM;
  }
  qcc_type y = k->in[0]->type;
  y.dim[y.rank - 1] = a.packed ? a.heads * a.v_size : a.v_size;
  const qcc_type pk = qcc_type_of(k->in[1]->type.dtype, 4, (int64_t[]){a.batch, a.kv_heads, a.total, a.size});
  const qcc_type pv = qcc_type_of(k->in[2]->type.dtype, 4, (int64_t[]){a.batch, a.kv_heads, a.total, a.v_size});
  const qcc_type s = qcc_type_of(y.dtype, 4, (int64_t[]){a.batch, a.heads, a.rows, a.total});
  float **to[] = {&a.y, &a.present_k, &a.present_v, &a.scores};
  const qcc_type *type[] = {&y, &pk, &pv, &s};
  for (uint32_t i = 0; i < 4; ++i) QCC_TRY(qcc_kx_out_f32(k, i, type[i], to[i]));
  QCC_TRY(attend(k, &a));
  for (uint32_t i = 0; i < 4; ++i)
    if (*to[i]) qcc_kx_store_f32(k, i, *to[i]);
  return QCC_OK;
}

/* ---- FlexAttention: bodies may change scores and probabilities as whole tensors */
static qcc_status apply_body(qcc_kargs *k, const char *attr, const qcc_type *t, float *s) {
  const qcc_graph *body = qcc_attr_graph(k->node, attr);
  qcc_tensor in, out = {0};
  if (!body) return QCC_OK;
  if (body->input_count != 1 || body->output_count != 1)
    return qcc_kx_fail(k, QCC_DATA, "D-792", "%s takes %u values and gives %u; 1 and 1 are needed", attr, body->input_count,
                       body->output_count);
  QCC_TRY(qcc_tensor_new(&in, k->cx, t));
  qcc_kx_from_f32(t->dtype, qcc_tensor_mut(&in), s, qcc_tensor_count(&in));
  qcc_status st = qcc_krun(k, body, &in, &out);
  if (st == QCC_OK && !qcc_type_equal(&out.type, t)) st = qcc_kx_fail(k, QCC_DATA, "D-240", "%s changes the type of its input", attr);
  if (st == QCC_OK) qcc_tensor_read_f32(&out, s);
  qcc_tensor_release(&out);
  qcc_tensor_release(&in);
  return st;
}

static qcc_status flex(qcc_kargs *k, attention *a, const qcc_type *scores) {
  const int64_t rows = a->group * a->rows, pairs = a->batch * a->kv_heads;
  float *s = scratch_floats(k, pairs * rows, a->total), *q = scratch_floats(k, pairs * rows, a->size);
  if (!s || !q) return QCC_NOMEM;
  for (int64_t i = 0; i < pairs * rows * a->size; ++i) q[i] = a->q[i] * a->scale;
  for (int64_t p = 0; p < pairs; ++p)
    qcc_kx_gemm(false, true, rows, a->total, a->size, q + p * rows * a->size, a->k + p * a->total * a->size, s + p * rows * a->total,
                false);
  QCC_TRY(apply_body(k, "score_mod", scores, s));
  for (int64_t r = 0; r < pairs * rows; ++r) qcc_kx_softmax_row(a->simd, s + r * a->total, s + r * a->total, a->total);
  QCC_TRY(apply_body(k, "prob_mod", scores, s));
  for (int64_t p = 0; a->y && p < pairs; ++p) {
    qcc_kx_gemm(false, false, rows, a->v_size, a->total, s + p * rows * a->total, a->v + p * a->total * a->v_size,
                a->y + p * rows * a->v_size, false);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_flex_attention(qcc_kargs *k) {
  attention a = {.simd = qcc_ksimd(k)};
  QCC_TRY(read_sizes(k, &a));
  qcc_type y = k->in[0]->type;
  y.dim[3] = a.v_size;
  const qcc_dtype precise = (qcc_dtype)qcc_attr_int(k->node, "softmax_precision", y.dtype == QCC_F64 ? QCC_F64 : QCC_F32);
  if (!qcc_kx_is_float(precise)) return qcc_kx_no_type(k, precise);
  const qcc_type scores = qcc_type_of(precise, 4, (int64_t[]){a.batch, a.heads, a.rows, a.total});
  QCC_TRY(qcc_kx_out_f32(k, 0, &y, &a.y));
  QCC_TRY(flex(k, &a, &scores));
  if (a.y) qcc_kx_store_f32(k, 0, a.y);
  return QCC_OK;
}
