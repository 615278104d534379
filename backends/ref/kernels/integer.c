/* SPDX-License-Identifier: Apache-2.0
 * Integer products of matrices: MatMulInteger, QLinearMatMul, and of com.microsoft QGemm, MatMulIntegerToFloat, DynamicQuantizeMatMul.
 * Exact sums in 32 bits, then one multiplication by the combined scale and, for codes, one rounding. */
#include "backends/ref/kernels/integer.h"
#include "backends/ref/run.h"

void qcc_kx_int_gemm(int64_t m, int64_t n, int64_t k, const int16_t *a, const int16_t *b, int32_t *c) {
  for (int64_t i = 0; i < m; ++i, c += n) {
    memset(c, 0, (size_t)n * sizeof *c);
    for (int64_t p = 0; p < k; ++p) {
      const int32_t factor = a[i * k + p];
      const int16_t *row = b + p * n;
      if (factor == 0) continue;
      for (int64_t j = 0; j < n; ++j) c[j] = (int32_t)((uint32_t)c[j] + (uint32_t)(factor * row[j]));
    }
  }
}

static bool is_byte(qcc_dtype t) { return t == QCC_U8 || t == QCC_S8; }

static qcc_status check_share(qcc_kargs *k, uint32_t i, const char *what, int64_t have, int64_t lines, int64_t matrices) {
  if (have == 1 || have == lines || (matrices > 0 && have % matrices == 0 && have / matrices == lines)) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-870", "input %u has %lld %s; 1 or %lld are needed", i, (long long)have, what, (long long)lines);
}

int16_t *qcc_kx_centred(qcc_kargs *k, uint32_t input, uint32_t zero_at, qcc_kx_share s, qcc_status *st) {
  const qcc_tensor *x = k->in[input], *zero = qcc_kx_in(k, zero_at);
  const int64_t n = qcc_tensor_count(x), zeros = zero ? qcc_tensor_count(zero) : 0;
  const uint8_t *from = x->data;
  *st = is_byte(x->type.dtype) ? QCC_OK : qcc_kx_no_type(k, x->type.dtype);
  if (*st == QCC_OK && zero) *st = check_share(k, zero_at, "zero points", zeros, s.lines, s.matrices);
  int16_t *to = *st == QCC_OK ? qcc_kscratch(k, (size_t)(n + 1) * sizeof *to) : NULL;
  if (!to) {
    if (*st == QCC_OK) *st = QCC_NOMEM;
    return NULL;
  }
  const int64_t part = zeros > s.lines ? n / s.matrices : n; /* elements of one matrix */
  for (int64_t i = 0; i < n;) {
    const int64_t line = zeros > 1 ? i / part * s.lines + i / s.run % s.lines : 0, end = zeros > 1 ? i + s.run : n;
    const int32_t z = zeros ? (int32_t)qcc_tensor_get_s64(zero, line) : 0;
    if (x->type.dtype == QCC_U8)
      for (; i < end; ++i) to[i] = (int16_t)(from[i] - z);
    else
      for (; i < end; ++i) to[i] = (int16_t)((int8_t)from[i] - z);
  }
  return to;
}

qcc_status qcc_kx_scales(qcc_kargs *k, uint32_t i, int64_t lines, int64_t matrices, const float **scale, int64_t *count) {
  *count = qcc_tensor_count(k->in[i]);
  QCC_TRY(check_share(k, i, "scales", *count, lines, matrices));
  *scale = qcc_kx_f32(k, i);
  return *scale ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_kx_params_of(qcc_kargs *k, uint32_t scale_at, uint32_t zero_at, qcc_kx_params *to) {
  const qcc_tensor *zero = qcc_kx_in(k, zero_at);
  const float *scale = NULL;
  int64_t n;
  if (!qcc_kx_in(k, scale_at)) return qcc_kx_fail(k, QCC_DATA, "D-706", "input %u is left out", scale_at);
  QCC_TRY(qcc_kx_scales(k, scale_at, 1, 1, &scale, &n));
  if (zero && qcc_tensor_count(zero) != 1) return qcc_kx_fail(k, QCC_DATA, "D-870", "input %u must be one zero point", zero_at);
  *to = (qcc_kx_params){scale[0], zero ? (int32_t)qcc_tensor_get_s64(zero, 0) : 0};
  return QCC_OK;
}

/* ---- batched product of the last two axes, as NumPy does it */
typedef struct product {
  qcc_type out;
  int64_t m, n, k;
  int64_t batch, of_a, of_b; /* matrices of the result and of the operands */
  int64_t *at_a, *at_b;      /* which ones meet, for each of the result */
} product;

static qcc_status pair_up(qcc_kargs *k, product *p, const qcc_type *a, const qcc_type *b) {
  qcc_kx_bcast w;
  p->batch = qcc_kx_product(p->out.dim, 0, p->out.rank);
  p->of_a = qcc_kx_product(a->dim, 0, a->rank), p->of_b = qcc_kx_product(b->dim, 0, b->rank);
  p->at_a = qcc_kscratch(k, (size_t)(p->batch + 1) * sizeof *p->at_a);
  p->at_b = qcc_kscratch(k, (size_t)(p->batch + 1) * sizeof *p->at_b);
  if (!p->at_a || !p->at_b) return QCC_NOMEM;
  if (!qcc_kx_bcast_init(&w, &p->out, (const qcc_type *const[]){a, b}, 2))
    return qcc_kx_fail(k, QCC_DATA, "D-705", "shapes do not broadcast");
  const int last = w.rank - 1;
  if (p->batch == 0) return QCC_OK;
  do {
    for (int64_t i = 0; i < w.dim[last]; ++i) {
      p->at_a[w.done + i] = w.offset[0] + i * w.stride[0][last];
      p->at_b[w.done + i] = w.offset[1] + i * w.stride[1][last];
    }
  } while (qcc_kx_bcast_next(&w));
  return QCC_OK;
}

static qcc_status plan(qcc_kargs *k, uint32_t a_at, uint32_t b_at, product *p) {
  const qcc_type *ta = &k->in[a_at]->type, *tb = &k->in[b_at]->type;
  int ra = ta->rank, rb = tb->rank;
  if (ra < 1 || rb < 1) return qcc_kx_fail(k, QCC_DATA, "D-872", "a product needs operands of rank 1 or more");
  p->m = ra > 1 ? ta->dim[ra - 2] : 1;
  p->k = ta->dim[ra - 1];
  p->n = rb > 1 ? tb->dim[rb - 1] : 1;
  if (p->k != tb->dim[rb > 1 ? rb - 2 : 0])
    return qcc_kx_fail(k, QCC_DATA, "D-872", "inner sizes differ: %lld and %lld", (long long)p->k, (long long)tb->dim[rb > 1 ? rb - 2 : 0]);
  qcc_type a = qcc_type_of(QCC_S32, ra > 2 ? ra - 2 : 0, ta->dim), b = qcc_type_of(QCC_S32, rb > 2 ? rb - 2 : 0, tb->dim);
  QCC_TRY(qcc_kx_bcast_type(k, &p->out, &a, &b));
  QCC_TRY(pair_up(k, p, &a, &b));
  if (ra > 1) p->out.dim[p->out.rank++] = p->m;
  if (rb > 1) p->out.dim[p->out.rank++] = p->n;
  return QCC_OK;
}

static void multiply_batches(const product *p, const int16_t *a, const int16_t *b, int32_t *to) {
  for (int64_t i = 0; i < p->batch; ++i)
    qcc_kx_int_gemm(p->m, p->n, p->k, a + p->at_a[i] * p->m * p->k, b + p->at_b[i] * p->k * p->n, to + i * p->m * p->n);
}

/* Scale of A for element i of the result, out of `count`; the same for B. */
static float row_scale(const product *p, const float *scale, int64_t count, int64_t i) {
  const int64_t row = i / p->n % p->m;
  return scale[count == 1 ? 0 : count == p->m ? row : p->at_a[i / (p->m * p->n)] * p->m + row];
}
static float column_scale(const product *p, const float *scale, int64_t count, int64_t i) {
  return scale[count == 1 ? 0 : count == p->n ? i % p->n : p->at_b[i / (p->m * p->n)] * p->n + i % p->n];
}

static qcc_status multiply(qcc_kargs *k, product *p, uint32_t a_at, uint32_t a_zero, uint32_t b_at, uint32_t b_zero, int32_t *to) {
  qcc_status st;
  const int16_t *a = qcc_kx_centred(k, a_at, a_zero, (qcc_kx_share){p->m, p->k, p->of_a}, &st);
  if (!a) return st;
  const int16_t *b = qcc_kx_centred(k, b_at, b_zero, (qcc_kx_share){p->n, 1, p->of_b}, &st);
  if (!b) return st;
  multiply_batches(p, a, b, to);
  return QCC_OK;
}

qcc_status qcc_kernel_matmul_integer(qcc_kargs *k) {
  product p;
  void *out;
  QCC_TRY(plan(k, 0, 1, &p));
  QCC_TRY(qcc_kx_out(k, 0, &p.out, &out));
  return out ? multiply(k, &p, 0, 2, 1, 3, out) : QCC_OK;
}

qcc_status qcc_kernel_qlinear_matmul(qcc_kargs *k) {
  product p;
  const float *sa = NULL, *sb = NULL, *sy = NULL;
  int64_t na, nb, ny;
  void *out;
  qcc_dtype t = k->in[7]->type.dtype;
  if (!is_byte(t)) return qcc_kx_no_type(k, t);
  if (qcc_tensor_count(k->in[7]) != 1) return qcc_kx_fail(k, QCC_DATA, "D-870", "the output needs one zero point");
  QCC_TRY(plan(k, 0, 3, &p));
  QCC_TRY(qcc_kx_scales(k, 1, p.m, p.of_a, &sa, &na));
  QCC_TRY(qcc_kx_scales(k, 4, p.n, p.of_b, &sb, &nb));
  QCC_TRY(qcc_kx_scales(k, 6, 1, 1, &sy, &ny));
  p.out.dtype = t;
  QCC_TRY(qcc_kx_out(k, 0, &p.out, &out));
  if (!out) return QCC_OK;
  int64_t n = qcc_kx_product(p.out.dim, 0, p.out.rank), zero = qcc_tensor_get_s64(k->in[7], 0), lo = qcc_dtype_min(t),
          hi = qcc_dtype_max(t);
  int32_t *acc = qcc_kscratch(k, (size_t)(n + 1) * sizeof *acc);
  if (!acc) return QCC_NOMEM;
  QCC_TRY(multiply(k, &p, 0, 2, 3, 5, acc));
  for (int64_t i = 0; i < n; ++i) {
    const float factor = row_scale(&p, sa, na, i) * column_scale(&p, sb, nb, i) / sy[0];
    ((uint8_t *)out)[i] = (uint8_t)qcc_kx_requantize(acc[i], factor, zero, lo, hi);
  }
  return QCC_OK;
}

/* ---- to floats */
/* y = acc * scale[column] + bias[column]; input `bias_at` may be left out. */
static qcc_status to_floats(qcc_kargs *k, const product *p, const int32_t *acc, float scale, uint32_t scales_at, uint32_t bias_at,
                            float *y) {
  const float *scales = NULL, *bias = NULL;
  int64_t n, count = qcc_kx_product(p->out.dim, 0, p->out.rank);
  QCC_TRY(qcc_kx_scales(k, scales_at, p->n, p->of_b, &scales, &n));
  if (qcc_kx_in(k, bias_at)) {
    if (qcc_tensor_count(k->in[bias_at]) != p->n) return qcc_kx_fail(k, QCC_DATA, "D-210", "bias has not one entry per column");
    bias = qcc_kx_f32(k, bias_at);
    if (!bias) return QCC_NOMEM;
  }
  for (int64_t i = 0; i < count; ++i) y[i] = (float)acc[i] * (scale * column_scale(p, scales, n, i)) + (bias ? bias[i % p->n] : 0.0f);
  return QCC_OK;
}

qcc_status qcc_kernel_matmul_integer_to_float(qcc_kargs *k) {
  product p;
  const float *scale = NULL;
  int64_t one;
  float *y;
  QCC_TRY(plan(k, 0, 1, &p));
  p.out.dtype = k->in[2]->type.dtype;
  if (!qcc_kx_is_float(p.out.dtype)) return qcc_kx_no_type(k, p.out.dtype);
  QCC_TRY(qcc_kx_scales(k, 2, 1, 1, &scale, &one));
  QCC_TRY(qcc_kx_out_f32(k, 0, &p.out, &y));
  if (!y) return QCC_OK;
  int32_t *acc = qcc_kscratch(k, (size_t)(qcc_kx_product(p.out.dim, 0, p.out.rank) + 1) * sizeof *acc);
  if (!acc) return QCC_NOMEM;
  QCC_TRY(multiply(k, &p, 0, 4, 1, 5, acc));
  QCC_TRY(to_floats(k, &p, acc, scale[0], 3, 6, y));
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

void qcc_kx_dynamic_into(const qcc_simd *simd, const float *x, int64_t n, float *scale, uint8_t *code, int16_t *to) {
  int32_t zero;
  qcc_dynamic_params(simd, x, (size_t)n, scale, &zero);
  simd->codes(code, x, (size_t)n, *scale, (float)-zero, (float)(255 - zero), zero);
  for (int64_t i = 0; i < n; ++i) to[i] = (int16_t)(code[i] - zero);
}

int16_t *qcc_kx_dynamic(qcc_kargs *k, const float *x, int64_t n, float *scale) {
  uint8_t *code = qcc_kscratch(k, (size_t)n + 1);
  int16_t *to = qcc_kscratch(k, (size_t)(n + 1) * sizeof *to);
  if (!code || !to) return NULL;
  qcc_kx_dynamic_into(k->worker->simd, x, n, scale, code, to);
  return to;
}

qcc_status qcc_kernel_dynamic_quantize_matmul(qcc_kargs *k) {
  product p;
  float scale, *y;
  qcc_status st;
  QCC_TRY(plan(k, 0, 1, &p));
  p.out.dtype = QCC_F32;
  if (k->in[0]->type.dtype != QCC_F32) return qcc_kx_no_type(k, k->in[0]->type.dtype);
  QCC_TRY(qcc_kx_out_f32(k, 0, &p.out, &y));
  if (!y) return QCC_OK;
  const int16_t *a = qcc_kx_dynamic(k, k->in[0]->data, qcc_tensor_count(k->in[0]), &scale);
  if (!a) return QCC_NOMEM;
  const int16_t *b = qcc_kx_centred(k, 1, 3, (qcc_kx_share){p.n, 1, p.of_b}, &st);
  if (!b) return st;
  int32_t *acc = qcc_kscratch(k, (size_t)(qcc_kx_product(p.out.dim, 0, p.out.rank) + 1) * sizeof *acc);
  if (!acc) return QCC_NOMEM;
  multiply_batches(&p, a, b, acc);
  return to_floats(k, &p, acc, scale, 2, 4, y);
}

/* ---- QGemm */
typedef struct qgemm {
  bool ta, tb;
  int64_t m, n, k;
} qgemm;

static qcc_status qgemm_form(qcc_kargs *k, qgemm *g) {
  const qcc_type *a = &k->in[0]->type, *b = &k->in[3]->type;
  *g = (qgemm){.ta = qcc_attr_int(k->node, "transA", 0) != 0, .tb = qcc_attr_int(k->node, "transB", 0) != 0};
  if (a->rank != 2 || b->rank != 2)
    return qcc_kx_fail(k, QCC_DATA, "D-211", "operands have rank %d and %d, a product of matrices is needed", a->rank, b->rank);
  g->m = a->dim[g->ta], g->k = a->dim[!g->ta], g->n = b->dim[!g->tb];
  if (b->dim[g->tb] != g->k)
    return qcc_kx_fail(k, QCC_DATA, "D-212", "inner sizes %lld and %lld differ", (long long)g->k, (long long)b->dim[g->tb]);
  return QCC_OK;
}

static qcc_status qgemm_sums(qcc_kargs *k, const qgemm *g, int32_t *acc) {
  const qcc_tensor *c = qcc_kx_in(k, 6);
  qcc_status st;
  const int16_t *a = qcc_kx_centred(k, 0, 2, (qcc_kx_share){1, 1, 1}, &st),
                *b = a ? qcc_kx_centred(k, 3, 5, (qcc_kx_share){g->n, g->tb ? g->k : 1, 1}, &st) : NULL;
  int16_t *at = g->ta ? qcc_kscratch(k, (size_t)(g->m * g->k + 1) * sizeof *at) : NULL;
  int16_t *bt = g->tb ? qcc_kscratch(k, (size_t)(g->n * g->k + 1) * sizeof *bt) : NULL;
  if (!a || !b) return st;
  if ((g->ta && !at) || (g->tb && !bt)) return QCC_NOMEM;
  if (g->ta) qcc_kx_turn(at, a, 1, g->k, g->m, sizeof *a);
  if (g->tb) qcc_kx_turn(bt, b, 1, g->n, g->k, sizeof *b);
  qcc_kx_int_gemm(g->m, g->n, g->k, g->ta ? at : a, g->tb ? bt : b, acc);
  if (!c) return QCC_OK;
  const qcc_type out = {.dtype = QCC_S32, .rank = 2, .dim = {g->m, g->n}};
  qcc_kx_bcast p;
  if (c->type.dtype != QCC_S32 || !qcc_kx_bcast_init(&p, &out, (const qcc_type *const[]){&c->type}, 1))
    return qcc_kx_fail(k, QCC_DATA, "D-213", "C is not of type s32 or does not broadcast to [%lld,%lld]", (long long)g->m, (long long)g->n);
  const int last = p.rank - 1;
  if (g->m && g->n) do {
      for (int64_t i = 0; i < p.dim[last]; ++i)
        acc[p.done + i] = (int32_t)((uint32_t)acc[p.done + i] + (uint32_t)((const int32_t *)c->data)[p.offset[0] + i * p.stride[0][last]]);
    } while (qcc_kx_bcast_next(&p));
  return QCC_OK;
}

qcc_status qcc_kernel_qgemm(qcc_kargs *k) {
  const qcc_tensor *zero = qcc_kx_in(k, 8);
  const float alpha = qcc_attr_float(k->node, "alpha", 1.0f), *sa = NULL, *sb = NULL;
  const qcc_dtype t = zero ? zero->type.dtype : QCC_F32;
  int64_t na, nb;
  qcc_kx_params y = {1.0f, 0};
  qgemm g;
  void *to;
  QCC_TRY(qgemm_form(k, &g));
  if (zero && t != QCC_U8 && t != QCC_S8) return qcc_kx_no_type(k, t);
  if (zero && !qcc_kx_in(k, 7)) return qcc_kx_fail(k, QCC_DATA, "D-706", "input 7 is left out");
  QCC_TRY(qcc_kx_scales(k, 1, 1, 1, &sa, &na));
  QCC_TRY(qcc_kx_scales(k, 4, g.n, 1, &sb, &nb));
  if (zero) QCC_TRY(qcc_kx_params_of(k, 7, 8, &y));
  const qcc_type out = {.dtype = t, .rank = 2, .dim = {g.m, g.n}};
  QCC_TRY(qcc_kx_out(k, 0, &out, &to));
  if (!to) return QCC_OK;
  int32_t *acc = qcc_kscratch(k, (size_t)(g.m * g.n + 1) * sizeof *acc);
  if (!acc) return QCC_NOMEM;
  QCC_TRY(qgemm_sums(k, &g, acc));
  for (int64_t i = 0; i < g.m * g.n; ++i) {
    const float factor = alpha * sa[0] * sb[nb > 1 ? i % g.n : 0];
    if (zero)
      ((uint8_t *)to)[i] = (uint8_t)qcc_kx_requantize(acc[i], factor / y.scale, y.zero, qcc_dtype_min(t), qcc_dtype_max(t));
    else
      ((float *)to)[i] = (float)acc[i] * factor;
  }
  return QCC_OK;
}
