/* SPDX-License-Identifier: Apache-2.0
 * Softmax, LogSoftmax, Hardmax. From opset 13 on along one axis (default the last); before, the input is seen as a matrix split at `axis`
 * (default 1). Computed in f32 with the sum in double; the maximum is subtracted first. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/simd/simd.h"

typedef struct rows {
  int64_t outer, n, inner; /* element (o, i, j) is at (o * n + i) * inner + j */
} rows;

static qcc_status rows_of(qcc_kargs *k, rows *r) {
  const qcc_type *x = &k->in[0]->type;
  int axis = 0;
  bool matrix = k->opset < 13;
  int64_t wanted = qcc_attr_int(k->node, "axis", matrix ? 1 : -1);
  if (matrix && wanted == x->rank)
    axis = x->rank; /* a column of single elements */
  else if (x->rank > 0 || wanted < -1 || wanted > 0)
    QCC_TRY(qcc_kx_axis(k, wanted, x->rank, &axis));
  r->outer = qcc_kx_product(x->dim, 0, axis);
  r->n = matrix ? qcc_kx_product(x->dim, axis, x->rank) : x->rank ? x->dim[axis] : 1;
  r->inner = matrix || x->rank == 0 ? 1 : qcc_kx_product(x->dim, axis + 1, x->rank);
  return QCC_OK;
}

/* Lanes, because one maximum or sum would wait for the one before it. */
enum { LANES = 8 };

static float highest(const float *x, int64_t n) {
  float lane[LANES], m = -INFINITY;
  int64_t i = 0;
  for (int j = 0; j < LANES; ++j) lane[j] = m;
  for (; i + LANES <= n; i += LANES)
    for (int j = 0; j < LANES; ++j) lane[j] = x[i + j] > lane[j] ? x[i + j] : lane[j];
  for (; i < n; ++i) m = x[i] > m ? x[i] : m;
  for (int j = 0; j < LANES; ++j) m = lane[j] > m ? lane[j] : m;
  return m;
}

static double sum_of(const float *x, int64_t n) {
  double lane[LANES] = {0}, sum = 0;
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int j = 0; j < LANES; ++j) lane[j] += (double)x[i + j];
  for (; i < n; ++i) sum += (double)x[i];
  for (int j = 0; j < LANES; ++j) sum += lane[j];
  return sum;
}

void qcc_kx_softmax_row(const qcc_simd *simd, float *y, const float *x, int64_t n) {
  const float top = highest(x, n);
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] - top;
  simd->act(QCC_ACT_EXP, y, y, (size_t)n, 0, 0);
  simd->scalar(QCC_ARITH_MUL, y, y, (float)(1 / sum_of(y, n)), (size_t)n);
}

static void log_softmax_row(const qcc_simd *simd, float *y, const float *x, int64_t n) {
  (void)simd;
  float top = highest(x, n);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += exp((double)x[i] - (double)top);
  double shift = (double)top + log(sum);
  for (int64_t i = 0; i < n; ++i) y[i] = (float)((double)x[i] - shift);
}

static void hardmax_row(const qcc_simd *simd, float *y, const float *x, int64_t n) {
  (void)simd;
  float top = highest(x, n);
  bool found = false;
  for (int64_t i = 0; i < n; ++i) {
    y[i] = !found && x[i] == top;
    found |= x[i] == top;
  }
}

typedef void (*row_fn)(const qcc_simd *simd, float *y, const float *x, int64_t n);

/* Along an inner axis the columns of one plane are brought into rows, in scratch, and back. */
static qcc_status along_axis(qcc_kargs *k, const rows *r, float *y, const float *x, row_fn row) {
  const qcc_simd *simd = qcc_ksimd(k);
  int64_t plane = r->n * r->inner, row_bytes = r->inner * 4, column_bytes = r->n * 4;
  qcc_kx_move in = {.rank = 2, .dim = {r->inner, r->n}, .to = {column_bytes, 4}, .from = {4, row_bytes}};
  qcc_kx_move back = {.rank = 2, .dim = {r->n, r->inner}, .to = {row_bytes, 4}, .from = {4, column_bytes}};
  float *work = r->inner > 1 ? qcc_kscratch(k, (size_t)plane * sizeof *work) : NULL;
  if (r->inner > 1 && !work) return QCC_NOMEM;
  for (int64_t o = 0; o < r->outer; ++o, x += plane, y += plane) {
    if (r->inner == 1) {
      row(simd, y, x, r->n);
      continue;
    }
    qcc_kx_copy(work, x, &in, sizeof *work);
    for (int64_t j = 0; j < r->inner; ++j) row(simd, work + j * r->n, work + j * r->n, r->n);
    qcc_kx_copy(y, work, &back, sizeof *work);
  }
  return QCC_OK;
}

static qcc_status softmax_like(qcc_kargs *k, row_fn row) {
  const qcc_tensor *x = k->in[0];
  rows r;
  float *y;
  if (!qcc_kx_is_float(x->type.dtype)) return qcc_kx_no_type(k, x->type.dtype);
  QCC_TRY(rows_of(k, &r));
  const float *from = qcc_kx_f32(k, 0);
  if (!from) return QCC_NOMEM;
  QCC_TRY(qcc_kx_out_f32(k, 0, &x->type, &y));
  if (!y || r.outer * r.n * r.inner == 0) return QCC_OK;
  QCC_TRY(along_axis(k, &r, y, from, row));
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

qcc_status qcc_kernel_softmax(qcc_kargs *k) { return softmax_like(k, qcc_kx_softmax_row); }
qcc_status qcc_kernel_log_softmax(qcc_kargs *k) { return softmax_like(k, log_softmax_row); }
qcc_status qcc_kernel_hardmax(qcc_kargs *k) { return softmax_like(k, hardmax_row); }
