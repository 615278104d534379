/* SPDX-License-Identifier: Apache-2.0
 * ConvInteger and QLinearConv: the patches of one image and group become a matrix, the product is exact in 32 bits.
 * Padding counts as the zero point, that is 0 after centring. */
#include "backends/ref/kernels/integer.h"

typedef struct qconv {
  qcc_window w;                                    /* three axes always */
  int64_t batch, group, in_channels, out_channels; /* channels per group */
  int64_t in_plane, out_plane, depth;
  bool last; /* data stand channels last */
  qcc_type type;
} qconv;

static qcc_status geometry(qcc_kargs *k, uint32_t w_at, bool last, qconv *g) {
  const qcc_type turned = last ? qcc_channels_first(&k->in[0]->type) : k->in[0]->type, *x = &turned, *w = &k->in[w_at]->type;
  qcc_window win;
  g->last = last;
  QCC_TRY(qcc_window_of(&win, k->cx, k->node, x, w));
  g->w = qcc_window_widen(&win);
  g->batch = x->dim[0];
  g->group = win.group;
  g->in_channels = w->dim[1];
  g->out_channels = w->dim[0] / win.group;
  g->in_plane = qcc_kx_product(g->w.in, 0, 3);
  g->out_plane = qcc_kx_product(g->w.out, 0, 3);
  g->depth = g->in_channels * qcc_kx_product(g->w.kernel, 0, 3);
  g->type = *x;
  g->type.dim[1] = w->dim[0];
  for (int d = 0; d < win.rank; ++d) g->type.dim[d + 2] = win.out[d];
  return QCC_OK;
}

/* One row of the patch matrix: the input as kernel position `tap` sees it, for every output position. */
static void patch_row(const qconv *g, int16_t *to, const int16_t *plane, const int64_t *tap) {
  int64_t shift[3];
  for (int d = 0; d < 3; ++d) shift[d] = tap[d] * g->w.dilation[d] - g->w.pad_begin[d];
  for (int64_t i = 0; i < g->w.out[0]; ++i) {
    int64_t z = i * g->w.stride[0] + shift[0];
    for (int64_t j = 0; j < g->w.out[1]; ++j, to += g->w.out[2]) {
      int64_t y = j * g->w.stride[1] + shift[1];
      bool inside = z >= 0 && z < g->w.in[0] && y >= 0 && y < g->w.in[1];
      const int16_t *row = plane + (inside ? (z * g->w.in[1] + y) * g->w.in[2] : 0);
      for (int64_t c = 0; c < g->w.out[2]; ++c) {
        int64_t x = c * g->w.stride[2] + shift[2];
        to[c] = inside && x >= 0 && x < g->w.in[2] ? row[x] : 0;
      }
    }
  }
}

static void patches(const qconv *g, int16_t *to, const int16_t *x) {
  for (int64_t c = 0; c < g->in_channels; ++c, x += g->in_plane) {
    int64_t tap[3];
    for (tap[0] = 0; tap[0] < g->w.kernel[0]; ++tap[0]) {
      for (tap[1] = 0; tap[1] < g->w.kernel[1]; ++tap[1]) {
        for (tap[2] = 0; tap[2] < g->w.kernel[2]; ++tap[2], to += g->out_plane) patch_row(g, to, x, tap);
      }
    }
  }
}

static qcc_status turn(qcc_kargs *k, const qconv *g, const int16_t **x) {
  const int64_t channels = g->group * g->in_channels;
  int16_t *to = qcc_kscratch(k, (size_t)(g->batch * channels * g->in_plane + 1) * sizeof *to);
  if (!to) return QCC_NOMEM;
  qcc_kx_turn(to, *x, g->batch, g->in_plane, channels, sizeof *to);
  *x = to;
  return QCC_OK;
}

static qcc_status convolve(qcc_kargs *k, const qconv *g, uint32_t x_zero, uint32_t w_at, uint32_t w_zero, int32_t *acc) {
  qcc_status st;
  size_t cells;
  if (!qcc_mul_size((size_t)g->depth, (size_t)g->out_plane, &cells) || cells > SIZE_MAX / 4) {
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the patch matrix does not fit the memory");
  }
  if (qcc_kx_in(k, x_zero) && qcc_tensor_count(k->in[x_zero]) != 1)
    return qcc_kx_fail(k, QCC_DATA, "D-870", "the input needs one zero point");
  const int16_t *x = qcc_kx_centred(k, 0, x_zero, (qcc_kx_share){1, 1, 1}, &st);
  if (!x) return st;
  const int16_t *w = qcc_kx_centred(k, w_at, w_zero, (qcc_kx_share){g->group * g->out_channels, g->depth, 1}, &st);
  if (!w) return st;
  int16_t *patch = qcc_kscratch(k, (cells + 1) * sizeof *patch);
  if (!patch) return QCC_NOMEM;
  if (g->last) QCC_TRY(turn(k, g, &x));
  for (int64_t i = 0; i < g->batch * g->group; ++i) {
    patches(g, patch, x + i * g->in_channels * g->in_plane);
    qcc_kx_int_gemm(g->out_channels, g->out_plane, g->depth, w + i % g->group * g->out_channels * g->depth, patch,
                    acc + i * g->out_channels * g->out_plane);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_conv_integer(qcc_kargs *k) {
  qconv g;
  void *out;
  QCC_TRY(geometry(k, 1, false, &g));
  g.type.dtype = QCC_S32;
  QCC_TRY(qcc_kx_out(k, 0, &g.type, &out));
  return out ? convolve(k, &g, 2, 1, 3, out) : QCC_OK;
}

qcc_status qcc_kernel_qlinear_conv(qcc_kargs *k) {
  qconv g;
  const float *sx = NULL, *sw = NULL, *sy = NULL;
  int64_t nx, nw, ny;
  void *out;
  const qcc_tensor *bias = qcc_kx_in(k, 8);
  qcc_dtype t = k->in[7]->type.dtype;
  const bool last = k->node->op == QCC_OP_MS_QLINEAR_CONV && qcc_attr_int(k->node, "channels_last", 0) != 0;
  QCC_TRY(geometry(k, 3, last, &g));
  int64_t channels = g.group * g.out_channels;
  if (t != QCC_U8 && t != QCC_S8) return qcc_kx_no_type(k, t);
  if (qcc_tensor_count(k->in[7]) != 1) return qcc_kx_fail(k, QCC_DATA, "D-870", "the output needs one zero point");
  if (bias && (bias->type.dtype != QCC_S32 || qcc_tensor_count(bias) != channels)) {
    return qcc_kx_fail(k, QCC_DATA, "D-770", "the bias must be %lld numbers of type s32", (long long)channels);
  }
  QCC_TRY(qcc_kx_scales(k, 1, 1, 1, &sx, &nx));
  QCC_TRY(qcc_kx_scales(k, 4, channels, 1, &sw, &nw));
  QCC_TRY(qcc_kx_scales(k, 6, 1, 1, &sy, &ny));
  g.type.dtype = t;
  if (last) g.type = qcc_channels_last(&g.type);
  QCC_TRY(qcc_kx_out(k, 0, &g.type, &out));
  if (!out) return QCC_OK;
  int64_t n = qcc_tensor_count(&k->out[0]), zero = qcc_tensor_get_s64(k->in[7], 0), lo = qcc_dtype_min(t), hi = qcc_dtype_max(t);
  int32_t *acc = qcc_kscratch(k, (size_t)(n + 1) * sizeof *acc);
  if (!acc) return QCC_NOMEM;
  QCC_TRY(convolve(k, &g, 2, 3, 5, acc));
  for (int64_t i = 0; i < n; ++i) {
    int64_t c = i / g.out_plane % channels;
    uint32_t sum = (uint32_t)acc[i] + (bias ? (uint32_t)((const int32_t *)bias->data)[c] : 0);
    int64_t at = last ? (i / (g.out_plane * channels) * g.out_plane + i % g.out_plane) * channels + c : i;
    ((uint8_t *)out)[at] = (uint8_t)qcc_kx_requantize((int32_t)sum, sx[0] * sw[nw > 1 ? c : 0] / sy[0], zero, lo, hi);
  }
  return QCC_OK;
}
