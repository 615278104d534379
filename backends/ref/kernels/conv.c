/* SPDX-License-Identifier: Apache-2.0
 * Conv on row-major tensors: the form for bodies, for folding and for shapes that are only known while running. Input and output change
 * layout around the loops of conv_core.c. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/run.h"

static int64_t spatial(const int64_t d[3]) { return d[0] * d[1] * d[2]; }

/* x with channels last: itself when that is the same. NULL: no memory, told. */
static const float *last(qcc_kargs *k, const qcc_conv *c, const float *x) {
  const int64_t n = spatial(c->in);
  if (n == 1 || c->cin == 1) return x;
  float *to = qcc_kscratch(k, (size_t)(c->batch * c->cin * n) * sizeof *to);
  if (to) qcc_to_last(k->worker->simd, to, x, (size_t)c->batch, (size_t)c->cin, (size_t)n);
  return to;
}

static qcc_status compute(qcc_kargs *k, const qcc_conv *c, const qcc_pack *pack, const float *x, float *y) {
  const int64_t n = spatial(c->out);
  const bool same = n == 1 || c->cout == 1;
  float *to = same ? y : qcc_kscratch(k, (size_t)(c->batch * c->cout * n) * sizeof *to);
  const float *from = last(k, c, x);
  if (!to || !from) return QCC_NOMEM;
  QCC_TRY(qcc_conv_run(k->worker, c, pack, from, to, NULL));
  if (!same) qcc_from_last(k->worker->simd, y, to, (size_t)c->batch, (size_t)c->cout, (size_t)n);
  return QCC_OK;
}

static qcc_status pack_now(qcc_kargs *k, const qcc_conv *c, qcc_pack *pack) {
  const bool bias = k->in_count > 2 && k->in[2];
  const float *w = qcc_kx_f32(k, 1), *b = bias ? qcc_kx_f32(k, 2) : NULL;
  if (!w || (bias && !b)) return QCC_NOMEM;
  if (bias && qcc_tensor_count(k->in[2]) != c->cout) return qcc_kx_fail(k, QCC_DATA, "D-210", "bias has not one entry per output channel");
  return qcc_conv_pack(pack, k->cx, k->worker->simd, c, w, b);
}

qcc_status qcc_kernel_conv(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type, *w = &k->in[1]->type;
  const qcc_pack *ready = qcc_pack_of(k);
  qcc_pack pack = {.at = NULL};
  qcc_window win;
  qcc_conv c;
  float *y;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(qcc_window_of(&win, k->cx, k->node, x, w));
  qcc_conv_of(&c, &win, x->dim[0], x->dim[1], w->dim[0]);
  qcc_type t = {.dtype = x->dtype, .rank = x->rank, .dim = {x->dim[0], w->dim[0]}};
  for (int d = 0; d < win.rank; ++d) t.dim[d + 2] = win.out[d];
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  const float *from = qcc_kx_f32(k, 0);
  if (!from) return QCC_NOMEM;
  if (!y || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  if (!ready) QCC_TRY(pack_now(k, &c, &pack));
  qcc_status st = compute(k, &c, ready ? ready : &pack, from, y);
  qcc_free(k->cx, pack.at);
  if (st == QCC_OK) qcc_kx_store_f32(k, 0, y);
  return st;
}
