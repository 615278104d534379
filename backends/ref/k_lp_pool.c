/* SPDX-License-Identifier: Apache-2.0
 * LpPool: the p-norm of each window. Padding adds nothing. Sums in double, in the order of the window. */
#include "backends/ref/kutil.h"

/* Three spatial axes always; leading ones have size 1. */
typedef struct lp_pool {
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
  double p;
} lp_pool;

static void geometry(lp_pool *g, const qcc_window *w) {
  int lead = 3 - w->rank;
  for (int d = 0; d < 3; ++d) {
    int s = d - lead;
    g->in[d] = s < 0 ? 1 : w->in[s];
    g->out[d] = s < 0 ? 1 : w->out[s];
    g->kernel[d] = s < 0 ? 1 : w->kernel[s];
    g->stride[d] = s < 0 ? 1 : w->stride[s];
    g->dilation[d] = s < 0 ? 1 : w->dilation[s];
    g->pad[d] = s < 0 ? 0 : w->pad_begin[s];
  }
}

/* Kernel positions [*from, *to) that see the input from output position o. */
static void valid_taps(const lp_pool *g, int d, int64_t o, int64_t *from, int64_t *to) {
  int64_t start = o * g->stride[d] - g->pad[d], step = g->dilation[d];
  *from = start >= 0 ? 0 : (-start + step - 1) / step;
  *to = start >= g->in[d] ? 0 : (g->in[d] - 1 - start) / step + 1;
  if (*to > g->kernel[d]) *to = g->kernel[d];
}

static double window_norm(const lp_pool *g, const float *plane, const int64_t *o) {
  int64_t from[3], to[3];
  double sum = 0;
  for (int d = 0; d < 3; ++d) valid_taps(g, d, o[d], &from[d], &to[d]);
  for (int64_t i = from[0]; i < to[0]; ++i) {
    for (int64_t j = from[1]; j < to[1]; ++j) {
      int64_t z = o[0] * g->stride[0] - g->pad[0] + i * g->dilation[0], y = o[1] * g->stride[1] - g->pad[1] + j * g->dilation[1];
      const float *row = plane + (z * g->in[1] + y) * g->in[2] + o[2] * g->stride[2] - g->pad[2];
      for (int64_t c = from[2]; c < to[2]; ++c) {
        double v = fabs((double)row[c * g->dilation[2]]);
        sum += g->p == 2 ? v * v : g->p == 1 ? v : pow(v, g->p);
      }
    }
  }
  return g->p == 2 ? sqrt(sum) : g->p == 1 ? sum : pow(sum, 1 / g->p);
}

qcc_status qcc_kernel_lp_pool(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const qcc_attr *p = qcc_attr_find(k->node, "p");
  lp_pool g = {.p = !p ? 2 : p->kind == QCC_ATTR_FLOAT ? (double)p->f : (double)qcc_attr_int(k->node, "p", 2)};
  qcc_window w;
  float *y;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  if (!(g.p > 0)) return qcc_kx_fail(k, QCC_DATA, "D-880", "p is %g, it must be positive", g.p);
  QCC_TRY(qcc_window_of(&w, k->cx, k->node, x, NULL));
  geometry(&g, &w);
  qcc_type t = *x;
  for (int d = 0; d < w.rank; ++d) t.dim[d + 2] = w.out[d];
  const float *from = qcc_kx_f32(k, 0);
  if (!from) return QCC_NOMEM;
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  int64_t planes = x->dim[0] * x->dim[1], in_plane = qcc_kx_product(g.in, 0, 3), o[3], at = 0;
  for (int64_t n = 0; y && n < planes; ++n, from += in_plane) {
    for (o[0] = 0; o[0] < g.out[0]; ++o[0]) {
      for (o[1] = 0; o[1] < g.out[1]; ++o[1]) {
        for (o[2] = 0; o[2] < g.out[2]; ++o[2]) y[at++] = (float)window_norm(&g, from, o);
      }
    }
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}
