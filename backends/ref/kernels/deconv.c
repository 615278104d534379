/* SPDX-License-Identifier: Apache-2.0
 * ConvTranspose: one GEMM per image and group makes the contribution of every input position to every kernel position; these are then
 * added into the output, kernel position by kernel position, so that the order of the sum is fixed. */
#include "backends/ref/kernels/kutil.h"

typedef struct deconv {
  qcc_window w;                                    /* three axes always */
  int64_t batch, group, in_channels, out_channels; /* channels per group */
  int64_t in_plane, out_plane, taps;
} deconv;

static void geometry(deconv *g, const qcc_window *w, const qcc_type *x, const qcc_type *weight) {
  g->w = qcc_window_widen(w);
  g->batch = x->dim[0];
  g->group = w->group;
  g->in_channels = x->dim[1] / w->group;
  g->out_channels = weight->dim[1];
  g->in_plane = qcc_kx_product(g->w.in, 0, 3);
  g->out_plane = qcc_kx_product(g->w.out, 0, 3);
  g->taps = qcc_kx_product(g->w.kernel, 0, 3);
}

/* Input positions i in [*from, *to) whose output i * stride + shift lies in [0, out). */
static void valid_range(int64_t in, int64_t out, int64_t stride, int64_t shift, int64_t *from, int64_t *to) {
  *from = shift >= 0 ? 0 : (-shift + stride - 1) / stride;
  *to = shift >= out ? 0 : (out - 1 - shift) / stride + 1;
  if (*to > in) *to = in;
}

/* Adds one plane of contributions of kernel position (a, b, c). */
static void add_tap(const deconv *g, float *y, const float *part, const int64_t *tap) {
  int64_t from[3], to[3], shift[3];
  for (int d = 0; d < 3; ++d) {
    shift[d] = tap[d] * g->w.dilation[d] - g->w.pad_begin[d];
    valid_range(g->w.in[d], g->w.out[d], g->w.stride[d], shift[d], &from[d], &to[d]);
  }
  for (int64_t i = from[0]; i < to[0]; ++i) {
    for (int64_t j = from[1]; j < to[1]; ++j) {
      float *row = y + ((i * g->w.stride[0] + shift[0]) * g->w.out[1] + j * g->w.stride[1] + shift[1]) * g->w.out[2] + shift[2];
      const float *add = part + (i * g->w.in[1] + j) * g->w.in[2];
      for (int64_t c = from[2]; c < to[2]; ++c) row[c * g->w.stride[2]] += add[c];
    }
  }
}

static void add_all(const deconv *g, float *y, const float *parts) {
  for (int64_t m = 0; m < g->out_channels; ++m, y += g->out_plane) {
    for (int64_t t = 0; t < g->taps; ++t, parts += g->in_plane) {
      int64_t tap[3] = {t / (g->w.kernel[1] * g->w.kernel[2]), t / g->w.kernel[2] % g->w.kernel[1], t % g->w.kernel[2]};
      add_tap(g, y, parts, tap);
    }
  }
}

static void start_with_bias(const deconv *g, float *y, const float *bias) {
  int64_t channels = g->group * g->out_channels;
  for (int64_t i = 0; i < g->batch * channels; ++i) {
    float v = bias ? bias[i % channels] : 0;
    for (int64_t j = 0; j < g->out_plane; ++j) y[i * g->out_plane + j] = v;
  }
}

static qcc_status run(qcc_kargs *k, const deconv *g, float *y, const float *x, const float *w, const float *bias) {
  size_t size;
  int64_t rows = g->out_channels * g->taps;
  if (!qcc_mul_size((size_t)rows * sizeof(float), (size_t)g->in_plane, &size))
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the products do not fit the memory");
  float *parts = qcc_kscratch(k, size ? size : 1);
  if (!parts) return QCC_NOMEM;
  start_with_bias(g, y, bias);
  for (int64_t n = 0; n < g->batch; ++n) {
    for (int64_t i = 0; i < g->group; ++i) {
      const float *xi = x + (n * g->group + i) * g->in_channels * g->in_plane, *wi = w + i * g->in_channels * rows;
      qcc_kx_gemm(true, false, rows, g->in_plane, g->in_channels, wi, xi, parts, false);
      add_all(g, y + (n * g->group + i) * g->out_channels * g->out_plane, parts);
    }
  }
  return QCC_OK;
}

qcc_status qcc_kernel_conv_transpose(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type, *w = &k->in[1]->type;
  qcc_window win;
  deconv g;
  float *y;
  int64_t taps_total = 0, rows;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(qcc_window_of(&win, k->cx, k->node, x, w));
  geometry(&g, &win, x, w);
  if (!qcc_mul_s64(g.taps, g.out_channels, &taps_total) || !qcc_mul_s64(taps_total, (int64_t)sizeof(float), &rows)) {
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the products do not fit the memory");
  }
  if (qcc_kx_in(k, 2) && qcc_tensor_count(k->in[2]) != g.group * g.out_channels) {
    return qcc_kx_fail(k, QCC_DATA, "D-770", "the bias has %lld elements for %lld channels", (long long)qcc_tensor_count(k->in[2]),
                       (long long)(g.group * g.out_channels));
  }
  qcc_type t = qcc_type_of(x->dtype, x->rank, x->dim);
  t.dim[1] = g.group * g.out_channels;
  for (int d = 0; d < win.rank; ++d) t.dim[d + 2] = win.out[d];
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  if (!y) return QCC_OK;
  const float *xf = qcc_kx_f32(k, 0), *wf = qcc_kx_f32(k, 1), *bf = qcc_kx_in(k, 2) ? qcc_kx_f32(k, 2) : NULL;
  if (!xf || !wf || (qcc_kx_in(k, 2) && !bf)) return QCC_NOMEM;
  QCC_TRY(run(k, &g, y, xf, wf, bf));
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}
