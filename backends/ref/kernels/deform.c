/* SPDX-License-Identifier: Apache-2.0
 * DeformConv on 1 to 3 spatial axes: samples at moved places become columns, one matrix product per image and group follows. */
#include "backends/ref/kernels/kutil.h"

typedef struct deform {
  qcc_window win;
  int64_t channels, outs, offset_groups, taps, places, pixels;
  const float *x, *w, *offset, *bias, *mask;
} deform;

/* Linear interpolation between the 2^axes neighbours; outside of the image stand zeros. */
static float sample(const deform *d, const float *plane, const double *at) {
  int64_t low[3];
  double part[3];
  float sum = 0;
  for (int a = 0; a < d->win.rank; ++a) {
    if (!(at[a] > -1) || !(at[a] < (double)d->win.in[a])) return 0;
    low[a] = (int64_t)floor(at[a]);
    part[a] = at[a] - (double)low[a];
  }
  for (int corner = 0; corner < 1 << d->win.rank; ++corner) {
    int64_t index = 0;
    double weight = 1;
    for (int a = 0; a < d->win.rank && weight != 0; ++a) {
      const int up = corner >> a & 1;
      const int64_t p = low[a] + up;
      weight *= p < 0 || p >= d->win.in[a] ? 0 : up ? part[a] : 1 - part[a];
      index = index * d->win.in[a] + p;
    }
    if (weight != 0) sum += (float)weight * plane[index];
  }
  return sum;
}

/* Row of the columns: one channel and tap, all places. */
static void sample_row(const deform *d, float *to, int64_t image, int64_t channel, int64_t tap) {
  const int n = d->win.rank;
  const int64_t group = channel / (d->channels / d->offset_groups), slot = (image * d->offset_groups + group) * d->taps + tap;
  const float *plane = d->x + (image * d->channels + channel) * d->pixels;
  for (int64_t p = 0; p < d->places; ++p) {
    double at[3];
    int64_t place = p, t = tap;
    for (int a = n - 1; a >= 0; --a) {
      at[a] = (double)(place % d->win.out[a] * d->win.stride[a] - d->win.pad_begin[a] + t % d->win.kernel[a] * d->win.dilation[a]) +
              (double)d->offset[(slot * n + a) * d->places + p];
      place /= d->win.out[a];
      t /= d->win.kernel[a];
    }
    const float v = sample(d, plane, at);
    to[p] = d->mask ? v * d->mask[slot * d->places + p] : v;
  }
}

static qcc_status convolve(qcc_kargs *k, const deform *d, float *y) {
  const int64_t groups = d->win.group, depth = d->channels / groups * d->taps, outs = d->outs / groups;
  size_t n;
  if (!qcc_mul_size((size_t)depth, (size_t)d->places * sizeof(float), &n)) n = SIZE_MAX;
  float *columns = qcc_kscratch(k, n);
  if (!columns) return QCC_NOMEM;
  for (int64_t i = 0; i < k->in[0]->type.dim[0] * groups; ++i) {
    const int64_t image = i / groups, g = i % groups;
    for (int64_t r = 0; r < depth; ++r) sample_row(d, columns + r * d->places, image, g * (depth / d->taps) + r / d->taps, r % d->taps);
    float *to = y + (image * d->outs + g * outs) * d->places;
    qcc_kx_gemm(false, false, outs, d->places, depth, d->w + g * outs * depth, columns, to, false);
    for (int64_t o = 0; d->bias && o < outs; ++o)
      for (int64_t p = 0; p < d->places; ++p) to[o * d->places + p] += d->bias[g * outs + o];
  }
  return QCC_OK;
}

qcc_status qcc_kernel_deform_conv(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type, *w = &k->in[1]->type;
  deform d = {.channels = x->dim[1], .outs = w->dim[0], .offset_groups = qcc_attr_int(k->node, "offset_group", 1)};
  qcc_type t = {.dtype = x->dtype, .rank = x->rank, .dim = {x->dim[0], w->dim[0]}};
  float *y;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(qcc_window_of(&d.win, k->cx, k->node, x, w));
  for (int a = 0; a < d.win.rank; ++a) t.dim[a + 2] = d.win.out[a];
  d.taps = qcc_kx_product(d.win.kernel, 0, d.win.rank);
  d.places = qcc_kx_product(d.win.out, 0, d.win.rank);
  d.pixels = qcc_kx_product(d.win.in, 0, d.win.rank);
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  if (!y) return QCC_OK;
  const float **to[] = {&d.x, &d.w, &d.offset, &d.bias, &d.mask};
  for (uint32_t i = 0; i < 5; ++i) {
    if (!qcc_kx_in(k, i)) continue;
    *to[i] = qcc_kx_f32(k, i);
    if (!*to[i]) return QCC_NOMEM;
  }
  QCC_TRY(convolve(k, &d, y));
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}
