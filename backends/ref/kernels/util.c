/* SPDX-License-Identifier: Apache-2.0
 * Helpers of the kernels: outputs, views, lists, messages, GEMM. Broadcasting and strided copies are in stride.c.
 * Nothing here keeps state; scratch memory belongs to the worker. */
#include <cblas.h>
#include <limits.h>

#include "backends/ref/kernels/kutil.h"
#include "backends/ref/run.h"

qcc_status qcc_kx_out(qcc_kargs *k, uint32_t i, const qcc_type *t, void **to) {
  *to = NULL;
  if (i >= k->out_count || !k->want[i]) return QCC_OK;
  if (!k->out[i].data) {
    QCC_TRY(qcc_kout_alloc(k, i, t));
  } else if (!qcc_type_equal(&k->out[i].type, t)) {
    return qcc_kx_fail(k, QCC_INTERNAL, "I-701", "output %u was planned with another type than the operator gives", i);
  }
  *to = qcc_kout(k, i);
  return QCC_OK;
}

qcc_status qcc_kx_out_f32(qcc_kargs *k, uint32_t i, const qcc_type *t, float **to) {
  void *p;
  *to = NULL;
  QCC_TRY(qcc_kx_out(k, i, t, &p));
  if (p && t->dtype != QCC_F32) {
    p = qcc_kscratch(k, (size_t)qcc_tensor_count(&k->out[i]) * sizeof(float));
    if (!p) return QCC_NOMEM;
  }
  *to = p;
  return QCC_OK;
}

void qcc_kx_from_f32(qcc_dtype t, void *to, const float *from, int64_t n) {
  if (t == QCC_F64) {
    double *p = to;
    for (int64_t i = 0; i < n; ++i) p[i] = (double)from[i];
  } else if (t == QCC_F16) {
    uint16_t *p = to;
    for (int64_t i = 0; i < n; ++i) p[i] = qcc_f32_to_f16(from[i]);
  } else if (t == QCC_BF16) {
    uint16_t *p = to;
    for (int64_t i = 0; i < n; ++i) p[i] = qcc_f32_to_bf16(from[i]);
  } else if (t == QCC_F32 && to != from) {
    memmove(to, from, (size_t)n * sizeof(float));
  }
}

void qcc_kx_store_f32(qcc_kargs *k, uint32_t i, const float *from) {
  if (from && k->out[i].type.dtype != QCC_F32) {
    qcc_kx_from_f32(k->out[i].type.dtype, qcc_kout(k, i), from, qcc_tensor_count(&k->out[i]));
  }
}

const float *qcc_kx_f32(qcc_kargs *k, uint32_t i) {
  const qcc_tensor *t = k->in[i];
  if (t->type.dtype == QCC_F32) return t->data;
  float *to = qcc_kscratch(k, (size_t)qcc_tensor_count(t) * sizeof(float));
  if (to) qcc_tensor_read_f32(t, to);
  return to;
}

qcc_status qcc_kx_need_all(qcc_kargs *k) {
  for (uint32_t i = 0; i < k->in_count; ++i) {
    if (!k->in[i]) return qcc_kx_fail(k, QCC_DATA, "D-706", "input %u is left out", i);
  }
  return QCC_OK;
}

bool qcc_kx_is_float(qcc_dtype t) { return t == QCC_F32 || t == QCC_F64 || t == QCC_F16 || t == QCC_BF16; }

qcc_status qcc_kx_elem(qcc_kargs *k, qcc_dtype t, size_t *bytes) {
  *bytes = qcc_dtype_bits(t) / 8;
  return *bytes ? QCC_OK : qcc_kx_no_type(k, t);
}

int64_t qcc_kx_product(const int64_t *dim, int from, int to) {
  int64_t n = 1;
  for (int i = from; i < to; ++i) n *= dim[i];
  return n;
}

bool qcc_kx_folding(const qcc_kargs *k) { return !k->worker->runner; }

qcc_status qcc_kx_no_type(qcc_kargs *k, qcc_dtype t) {
  return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-701", "the built-in runtime has no %s kernel for element type %s", k->node->op_type,
                     qcc_dtype_name(t));
}

qcc_status qcc_kx_ints(qcc_kargs *k, uint32_t input, const char *attr, int64_t *to, int max, int *n) {
  const qcc_tensor *t = qcc_kx_in(k, input);
  uint32_t count = 0;
  const int64_t *list = NULL;
  *n = -1;
  if (t) {
    int64_t have = qcc_tensor_count(t);
    if (have > max) return qcc_kx_fail(k, QCC_DATA, "D-702", "input %u has %lld entries, at most %d fit", input, (long long)have, max);
    for (int64_t i = 0; i < have; ++i) to[i] = qcc_tensor_get_s64(t, i);
    *n = (int)have;
    return QCC_OK;
  }
  if (!attr || !qcc_attr_find(k->node, attr)) return QCC_OK;
  list = qcc_attr_ints(k->node, attr, &count);
  if (count > (uint32_t)max) return qcc_kx_fail(k, QCC_DATA, "D-702", "attribute %s has %u entries, at most %d fit", attr, count, max);
  for (uint32_t i = 0; i < count; ++i) to[i] = list[i];
  *n = (int)count;
  return QCC_OK;
}

qcc_status qcc_kx_axis(qcc_kargs *k, int64_t axis, int rank, int *out) {
  if (qcc_axis(axis, rank, out)) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-703", "axis %lld is outside [-%d, %d)", (long long)axis, rank, rank);
}

qcc_status qcc_kx_choice(qcc_kargs *k, const char *attr, const char *const *names, int fallback, int *out) {
  const char *have = qcc_attr_str(k->node, attr, NULL);
  *out = fallback;
  if (!have) return QCC_OK;
  for (int i = 0; names[i]; ++i) {
    if (!strcmp(names[i], have)) {
      *out = i;
      return QCC_OK;
    }
  }
  return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-704", "attribute %s has the unknown value \"%.128s\"", attr, have);
}

/* Sizes that do not fit the BLAS integers, and empty sums, take the plain loops. */
static void plain_gemm(bool at, bool bt, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c, bool keep) {
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      float sum = keep ? c[i * n + j] : 0.0f;
      for (int64_t p = 0; p < k; ++p) sum += a[at ? p * m + i : i * k + p] * b[bt ? j * k + p : p * n + j];
      c[i * n + j] = sum;
    }
  }
}

void qcc_kx_gemm(bool at, bool bt, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c, bool keep) {
  if (m == 0 || n == 0) return;
  if (k == 0 || m > INT_MAX || n > INT_MAX || k > INT_MAX) {
    plain_gemm(at, bt, m, n, k, a, b, c, keep);
  } else if (m == 1 && !at) {
    cblas_sgemv(CblasRowMajor, bt ? CblasNoTrans : CblasTrans, (int)(bt ? n : k), (int)(bt ? k : n), 1.0f, b, (int)(bt ? k : n), a, 1,
                keep ? 1.0f : 0.0f, c, 1);
  } else {
    cblas_sgemm(CblasRowMajor, at ? CblasTrans : CblasNoTrans, bt ? CblasTrans : CblasNoTrans, (int)m, (int)n, (int)k, 1.0f, a,
                (int)(at ? m : k), b, (int)(bt ? k : n), keep ? 1.0f : 0.0f, c, (int)n);
  }
}
