/* SPDX-License-Identifier: Apache-2.0
 * MatMulInteger and QLinearMatMul: exact sums in 32 bits, then (QLinear) one multiplication by the combined scale and one rounding. */
#include "backends/ref/k_integer.h"

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

int16_t *qcc_kx_centred(qcc_kargs *k, uint32_t input, uint32_t zero_at, int64_t lines, int64_t run, qcc_status *st) {
  const qcc_tensor *x = k->in[input], *zero = qcc_kx_in(k, zero_at);
  int64_t n = qcc_tensor_count(x), zeros = zero ? qcc_tensor_count(zero) : 0;
  const uint8_t *from = x->data;
  *st = is_byte(x->type.dtype) ? QCC_OK : qcc_kx_no_type(k, x->type.dtype);
  if (*st == QCC_OK && zero && zeros != 1 && zeros != lines) {
    *st = qcc_kx_fail(k, QCC_DATA, "D-870", "input %u has %lld zero points; 1 or %lld are needed", zero_at, (long long)zeros,
                      (long long)lines);
  }
  int16_t *to = *st == QCC_OK ? qcc_kscratch(k, (size_t)(n + 1) * sizeof *to) : NULL;
  if (!to) {
    if (*st == QCC_OK) *st = QCC_NOMEM;
    return NULL;
  }
  for (int64_t i = 0; i < n;) {
    int64_t line = lines ? i / run % lines : 0, end = zeros > 1 ? i + run : n;
    int32_t z = zeros ? (int32_t)qcc_tensor_get_s64(zero, zeros > 1 ? line : 0) : 0;
    if (x->type.dtype == QCC_U8)
      for (; i < end; ++i) to[i] = (int16_t)(from[i] - z);
    else
      for (; i < end; ++i) to[i] = (int16_t)((int8_t)from[i] - z);
  }
  return to;
}

qcc_status qcc_kx_scales(qcc_kargs *k, uint32_t i, int64_t lines, const float **scale, int64_t *count) {
  *count = qcc_tensor_count(k->in[i]);
  if (*count != 1 && *count != lines)
    return qcc_kx_fail(k, QCC_DATA, "D-871", "input %u has %lld scales; 1 or %lld are needed", i, (long long)*count, (long long)lines);
  *scale = qcc_kx_f32(k, i);
  return *scale ? QCC_OK : QCC_NOMEM;
}

/* ---- batched product of the last two axes, as NumPy does it */
typedef struct product {
  qcc_type out;
  int64_t m, n, k;
  qcc_kx_bcast batch; /* operand strides in matrices */
} product;

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
  if (!qcc_kx_bcast_init(&p->batch, &p->out, (const qcc_type *const[]){&a, &b}, 2))
    return qcc_kx_fail(k, QCC_DATA, "D-705", "shapes do not broadcast");
  if (ra > 1) p->out.dim[p->out.rank++] = p->m;
  if (rb > 1) p->out.dim[p->out.rank++] = p->n;
  return QCC_OK;
}

static qcc_status multiply(qcc_kargs *k, product *p, uint32_t a_at, uint32_t a_zero, uint32_t b_at, uint32_t b_zero, int32_t *to) {
  qcc_status st;
  const int16_t *a = qcc_kx_centred(k, a_at, a_zero, p->m, p->k, &st);
  if (!a) return st;
  const int16_t *b = qcc_kx_centred(k, b_at, b_zero, p->n, 1, &st);
  if (!b) return st;
  if (qcc_kx_product(p->out.dim, 0, p->out.rank) == 0) return QCC_OK;
  int last = p->batch.rank - 1;
  do {
    for (int64_t i = 0; i < p->batch.dim[last]; ++i) {
      int64_t at_a = p->batch.offset[0] + i * p->batch.stride[0][last], at_b = p->batch.offset[1] + i * p->batch.stride[1][last];
      qcc_kx_int_gemm(p->m, p->n, p->k, a + at_a * p->m * p->k, b + at_b * p->k * p->n, to + (p->batch.done + i) * p->m * p->n);
    }
  } while (qcc_kx_bcast_next(&p->batch));
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
  QCC_TRY(qcc_kx_scales(k, 1, p.m, &sa, &na));
  QCC_TRY(qcc_kx_scales(k, 4, p.n, &sb, &nb));
  QCC_TRY(qcc_kx_scales(k, 6, 1, &sy, &ny));
  p.out.dtype = t;
  QCC_TRY(qcc_kx_out(k, 0, &p.out, &out));
  if (!out) return QCC_OK;
  int64_t n = qcc_kx_product(p.out.dim, 0, p.out.rank), zero = qcc_tensor_get_s64(k->in[7], 0), lo = qcc_dtype_min(t),
          hi = qcc_dtype_max(t);
  int32_t *acc = qcc_kscratch(k, (size_t)(n + 1) * sizeof *acc);
  if (!acc) return QCC_NOMEM;
  QCC_TRY(multiply(k, &p, 0, 2, 3, 5, acc));
  for (int64_t i = 0; i < n; ++i) {
    float factor = sa[na > 1 ? i / p.n % p.m : 0] * sb[nb > 1 ? i % p.n : 0] / sy[0];
    ((uint8_t *)out)[i] = (uint8_t)qcc_kx_requantize(acc[i], factor, zero, lo, hi);
  }
  return QCC_OK;
}
