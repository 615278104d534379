/* SPDX-License-Identifier: Apache-2.0
 * Gemm and MatMul on row-major tensors, over the block loop of gemm_core.c. Float types are computed in f32; integers in 64 bits. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/team.h"

/* ---- Gemm */
typedef struct gemm {
  bool ta, tb;
  int64_t m, n, k;
  float alpha, beta;
} gemm;

static qcc_status gemm_form(qcc_kargs *k, gemm *g) {
  const qcc_type *a = &k->in[0]->type, *b = &k->in[1]->type;
  *g = (gemm){.ta = qcc_attr_int(k->node, "transA", 0) != 0, .tb = qcc_attr_int(k->node, "transB", 0) != 0};
  g->alpha = qcc_attr_float(k->node, "alpha", 1.0f);
  g->beta = qcc_attr_float(k->node, "beta", 1.0f);
  if (a->rank != 2 || b->rank != 2)
    return qcc_kx_fail(k, QCC_DATA, "D-211", "operands have rank %d and %d, Gemm takes matrices", a->rank, b->rank);
  g->m = a->dim[g->ta], g->k = a->dim[!g->ta], g->n = b->dim[!g->tb];
  if (b->dim[g->tb] != g->k)
    return qcc_kx_fail(k, QCC_DATA, "D-212", "inner sizes %lld and %lld differ", (long long)g->k, (long long)b->dim[g->tb]);
  return QCC_OK;
}

/* y += beta * C, broadcast. */
static qcc_status add_c(qcc_kargs *k, const gemm *g, float *y) {
  const float *c = qcc_kx_f32(k, 2);
  const qcc_type out = {.dtype = QCC_F32, .rank = 2, .dim = {g->m, g->n}}, *in[1] = {&k->in[2]->type};
  qcc_kx_bcast p;
  if (!c) return QCC_NOMEM;
  if (!qcc_kx_bcast_init(&p, &out, in, 1))
    return qcc_kx_fail(k, QCC_DATA, "D-213", "C does not broadcast to [%lld,%lld]", (long long)g->m, (long long)g->n);
  if (g->m == 0 || g->n == 0) return QCC_OK;
  do {
    const int64_t run = p.dim[p.rank - 1], step = p.stride[0][p.rank - 1];
    for (int64_t i = 0; i < run; ++i) y[p.done + i] += g->beta * c[p.offset[0] + i * step];
  } while (qcc_kx_bcast_next(&p));
  return QCC_OK;
}

static const float *turned(qcc_kargs *k, const float *x, int64_t rows, int64_t columns) {
  float *to = qcc_kscratch(k, (size_t)(rows * columns) * sizeof *to);
  if (to) qcc_to_last(k->worker->simd, to, x, 1, (size_t)rows, (size_t)columns);
  return to;
}

static qcc_status gemm_f32(qcc_kargs *k, const gemm *g, float *y) {
  const qcc_pack *ready = qcc_pack_of(k);
  const bool has_c = k->in_count > 2 && k->in[2], bias_done = ready && ready->bias;
  qcc_pack pack = {.at = NULL};
  const float *a = qcc_kx_f32(k, 0), *b = ready ? NULL : qcc_kx_f32(k, 1);
  if (a && g->ta) a = turned(k, a, g->k, g->m);
  if (!a || (!ready && !b)) return QCC_NOMEM;
  if (!ready) QCC_TRY(qcc_dense_pack(&pack, k->cx, k->worker->simd, (size_t)g->k, (size_t)g->n, b, g->tb, g->alpha, NULL));
  qcc_status st = qcc_dense_run(k->worker, ready ? ready : &pack, (size_t)g->m, a, y, NULL);
  qcc_free(k->cx, pack.at);
  if (st == QCC_OK && has_c && !bias_done) st = add_c(k, g, y);
  return st;
}

/* Integer Gemm (int32, int64, unsigned): exact in 64 bits, wrapping like the type. */
static qcc_status gemm_int(qcc_kargs *k, const gemm *g) {
  const bool has_c = k->in_count > 2 && k->in[2];
  const qcc_type out = {.dtype = k->in[0]->type.dtype, .rank = 2, .dim = {g->m, g->n}};
  void *to;
  QCC_TRY(qcc_kx_out(k, 0, &out, &to));
  if (!to) return QCC_OK;
  for (int64_t i = 0; i < g->m; ++i) {
    for (int64_t j = 0; j < g->n; ++j) {
      uint64_t sum = 0;
      for (int64_t p = 0; p < g->k; ++p) {
        sum += (uint64_t)qcc_tensor_get_s64(k->in[0], g->ta ? p * g->m + i : i * g->k + p) *
               (uint64_t)qcc_tensor_get_s64(k->in[1], g->tb ? j * g->k + p : p * g->n + j);
      }
      double x = (double)g->alpha * (double)(int64_t)sum;
      if (has_c) {
        const qcc_type *c = &k->in[2]->type;
        const int64_t cols = c->rank > 0 ? c->dim[c->rank - 1] : 1, rows = c->rank > 1 ? c->dim[c->rank - 2] : 1;
        x += (double)g->beta * qcc_tensor_get(k->in[2], (rows > 1 ? i * cols : 0) + (cols > 1 ? j : 0));
      }
      qcc_tensor_set(&k->out[0], i * g->n + j, x);
    }
  }
  return QCC_OK;
}

qcc_status qcc_kernel_gemm(qcc_kargs *k) {
  gemm g;
  float *y;
  QCC_TRY(gemm_form(k, &g));
  if (qcc_dtype_is_int(k->in[0]->type.dtype)) return gemm_int(k, &g);
  if (!qcc_kx_is_float(k->in[0]->type.dtype)) return qcc_kx_no_type(k, k->in[0]->type.dtype);
  const qcc_type out = {.dtype = k->in[0]->type.dtype, .rank = 2, .dim = {g.m, g.n}};
  QCC_TRY(qcc_kx_out_f32(k, 0, &out, &y));
  if (!y) return QCC_OK;
  QCC_TRY(gemm_f32(k, &g, y));
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- MatMul */
typedef struct product { /* batch of [m,k] x [k,n]; a one-dimensional operand stands as a row or a column */
  int64_t m, n, k;
  qcc_type a, b, batch, out;
} product;

static qcc_status split(qcc_kargs *k, product *p) {
  qcc_type a = k->in[0]->type, b = k->in[1]->type;
  const bool row = a.rank == 1, column = b.rank == 1;
  if (a.rank < 1 || b.rank < 1) return qcc_kx_fail(k, QCC_DATA, "D-214", "MatMul takes no scalars");
  if (row) a.rank = 2, a.dim[1] = a.dim[0], a.dim[0] = 1;
  if (column) b.rank = 2, b.dim[1] = 1;
  p->m = a.dim[a.rank - 2], p->k = a.dim[a.rank - 1], p->n = b.dim[b.rank - 1];
  if (b.dim[b.rank - 2] != p->k)
    return qcc_kx_fail(k, QCC_DATA, "D-212", "inner sizes %lld and %lld differ", (long long)p->k, (long long)b.dim[b.rank - 2]);
  p->a = a, p->b = b;
  p->a.rank = (int8_t)(a.rank - 2), p->b.rank = (int8_t)(b.rank - 2);
  p->batch = qcc_type_unknown();
  if (!qcc_broadcast(&p->batch, &p->a, &p->b)) return qcc_kx_fail(k, QCC_DATA, "D-215", "the leading dimensions do not broadcast");
  p->batch.dtype = a.dtype;
  p->out = p->batch;
  if (!row) p->out.dim[p->out.rank++] = p->m;
  if (!column) p->out.dim[p->out.rank++] = p->n;
  return QCC_OK;
}

static qcc_status one(qcc_worker *w, const product *p, const float *a, const float *b, float *y) {
  if (p->n >= 8 || p->m < 16) {
    if (p->m * 4 <= p->n || p->n % 32 == 0) return qcc_dense_plain(w, (size_t)p->m, (size_t)p->k, (size_t)p->n, a, b, y);
  }
  qcc_pack pack;
  QCC_TRY(qcc_dense_pack(&pack, w->cx, w->simd, (size_t)p->k, (size_t)p->n, b, false, 1.0f, NULL));
  qcc_status st = qcc_dense_run(w, &pack, (size_t)p->m, a, y, NULL);
  qcc_free(w->cx, pack.at);
  return st;
}

typedef struct products {
  const product *p;
  const float *a, *b;
  float *y;
  int64_t *from; /* offsets of both operands, by matrix */
} products;

static qcc_status batch_part(qcc_worker *w, size_t i, void *user) {
  const products *t = user;
  const product *p = t->p;
  return one(w, p, t->a + t->from[2 * i] * p->m * p->k, t->b + t->from[2 * i + 1] * p->k * p->n, t->y + (int64_t)i * p->m * p->n);
}

static qcc_status batches(qcc_kargs *k, const product *p, const float *a, const float *b, float *y) {
  const qcc_type *in[2] = {&p->a, &p->b};
  const size_t count = (size_t)(qcc_tensor_count(&k->out[0]) / (p->m * p->n));
  products t = {.p = p, .a = a, .b = b, .y = y, .from = qcc_kscratch(k, 2 * count * sizeof *t.from)};
  qcc_kx_bcast walk;
  if (!t.from) return QCC_NOMEM;
  if (!qcc_kx_bcast_init(&walk, &p->batch, in, 2)) return qcc_kx_fail(k, QCC_DATA, "D-215", "the leading dimensions do not broadcast");
  do {
    const int last = walk.rank - 1;
    for (int64_t i = 0; i < walk.dim[last]; ++i)
      for (int j = 0; j < 2; ++j) t.from[2 * (walk.done + i) + j] = walk.offset[j] + i * walk.stride[j][last];
  } while (qcc_kx_bcast_next(&walk));
  return qcc_team_run(k->worker, (double)count * (double)p->m * (double)p->n * (double)p->k, count, batch_part, &t);
}

static qcc_status matmul_int(qcc_kargs *k, const product *p) {
  const qcc_type *in[2] = {&p->a, &p->b};
  qcc_kx_bcast walk;
  void *to;
  QCC_TRY(qcc_kx_out(k, 0, &p->out, &to));
  if (!to || !qcc_tensor_count(&k->out[0])) return QCC_OK;
  if (!qcc_kx_bcast_init(&walk, &p->batch, in, 2)) return qcc_kx_fail(k, QCC_DATA, "D-215", "the leading dimensions do not broadcast");
  do {
    const int last = walk.rank - 1;
    for (int64_t i = 0; i < walk.dim[last] * p->m * p->n; ++i) {
      const int64_t batch = i / (p->m * p->n), r = i / p->n % p->m, c = i % p->n;
      const int64_t a = (walk.offset[0] + batch * walk.stride[0][last]) * p->m * p->k + r * p->k;
      const int64_t b = (walk.offset[1] + batch * walk.stride[1][last]) * p->k * p->n + c;
      uint64_t sum = 0;
      for (int64_t j = 0; j < p->k; ++j)
        sum += (uint64_t)qcc_tensor_get_s64(k->in[0], a + j) * (uint64_t)qcc_tensor_get_s64(k->in[1], b + j * p->n);
      qcc_tensor_set(&k->out[0], walk.done * p->m * p->n + i, (double)(int64_t)sum);
    }
  } while (qcc_kx_bcast_next(&walk));
  return QCC_OK;
}

qcc_status qcc_kernel_matmul(qcc_kargs *k) {
  const qcc_pack *ready = qcc_pack_of(k);
  product p;
  float *y;
  QCC_TRY(split(k, &p));
  if (qcc_dtype_is_int(p.out.dtype)) return matmul_int(k, &p);
  if (!qcc_kx_is_float(p.out.dtype)) return qcc_kx_no_type(k, p.out.dtype);
  QCC_TRY(qcc_kx_out_f32(k, 0, &p.out, &y));
  if (!y || !qcc_tensor_count(&k->out[0])) return QCC_OK;
  const float *a = qcc_kx_f32(k, 0), *b = ready ? NULL : qcc_kx_f32(k, 1);
  if (!a || (!ready && !b)) return QCC_NOMEM;
  if (ready)
    QCC_TRY(qcc_dense_run(k->worker, ready, (size_t)(qcc_tensor_count(k->in[0]) / p.k), a, y, NULL));
  else
    QCC_TRY(batches(k, &p, a, b, y));
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}
