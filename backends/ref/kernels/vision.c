/* SPDX-License-Identifier: Apache-2.0
 * AffineGrid, Col2Im, CenterCropPad, RoiAlign, MaxUnpool and Det. Sizes are checked by the shape rules; indices that come as data here. */
#include "backends/ref/kernels/kutil.h"

static int64_t attr_at(const qcc_kargs *k, const char *attr, int i, int64_t fallback) {
  uint32_t n;
  const int64_t *at = qcc_attr_ints(k->node, attr, &n);
  return (uint32_t)i < n ? at[i] : fallback;
}

/* ---- AffineGrid */
static double grid_place(int64_t i, int64_t n, bool corners) {
  if (corners) return n > 1 ? -1 + 2 * (double)i / (double)(n - 1) : 0;
  return -1 + (2 * (double)i + 1) / (double)n;
}

qcc_status qcc_kernel_affine_grid(qcc_kargs *k) {
  const qcc_type *theta = &k->in[0]->type;
  const bool corners = qcc_attr_int(k->node, "align_corners", 0) != 0;
  int64_t size[5];
  int n;
  float *y;
  QCC_TRY(qcc_kx_ints(k, 1, NULL, size, 5, &n));
  const int axes = n - 2;
  qcc_type t = {.dtype = theta->dtype, .rank = (int8_t)n};
  t.dim[0] = theta->dim[0];
  for (int i = 0; i < axes; ++i) t.dim[i + 1] = size[i + 2];
  t.dim[n - 1] = axes;
  if (!qcc_kx_is_float(t.dtype)) return qcc_kx_no_type(k, t.dtype);
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  const float *m = qcc_kx_f32(k, 0);
  if (!y || !m) return y ? QCC_NOMEM : QCC_OK;
  const int64_t points = qcc_kx_product(size, 2, n);
  for (int64_t p = 0; p < t.dim[0] * points; ++p) {
    double at[3];
    const float *row = m + p / points * axes * (axes + 1);
    int64_t rest = p % points;
    for (int a = 0; a < axes; ++a) { /* x runs fastest and stands first */
      const int64_t len = size[n - 1 - a];
      at[a] = grid_place(rest % len, len, corners);
      rest /= len;
    }
    for (int a = 0; a < axes; ++a, row += axes + 1) {
      double sum = (double)row[axes];
      for (int b = 0; b < axes; ++b) sum += (double)row[b] * at[b];
      y[p * axes + a] = (float)sum;
    }
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- Col2Im */
typedef struct columns {
  int n;
  int64_t image[QCC_MAX_RANK], block[QCC_MAX_RANK], places[QCC_MAX_RANK], stride[QCC_MAX_RANK], dilation[QCC_MAX_RANK], pad[QCC_MAX_RANK];
} columns;

/* Pixel of tap `tap` at place `place`; -1: in the padding. */
static int64_t pixel_of(const columns *c, int64_t tap, int64_t place) {
  int64_t at = 0, step = 1;
  for (int i = c->n - 1; i >= 0; --i) {
    const int64_t x = place % c->places[i] * c->stride[i] + tap % c->block[i] * c->dilation[i] - c->pad[i];
    if (x < 0 || x >= c->image[i]) return -1;
    at += x * step;
    step *= c->image[i];
    tap /= c->block[i];
    place /= c->places[i];
  }
  return at;
}

static qcc_status read_columns(qcc_kargs *k, columns *c) {
  int blocks;
  QCC_TRY(qcc_kx_ints(k, 1, NULL, c->image, QCC_MAX_RANK - 2, &c->n));
  QCC_TRY(qcc_kx_ints(k, 2, NULL, c->block, QCC_MAX_RANK - 2, &blocks));
  for (int i = 0; i < c->n; ++i) {
    c->stride[i] = attr_at(k, "strides", i, 1);
    c->dilation[i] = attr_at(k, "dilations", i, 1);
    c->pad[i] = attr_at(k, "pads", i, 0);
    const int64_t room = c->image[i] + c->pad[i] + attr_at(k, "pads", c->n + i, 0) - c->dilation[i] * (c->block[i] - 1) - 1;
    c->places[i] = room < 0 ? 0 : room / c->stride[i] + 1;
  }
  return QCC_OK;
}

qcc_status qcc_kernel_col2im(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  columns c = {0};
  float *y;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(read_columns(k, &c));
  const int64_t taps = qcc_kx_product(c.block, 0, c.n), places = qcc_kx_product(c.places, 0, c.n), pixels = qcc_kx_product(c.image, 0, c.n);
  qcc_type t = {.dtype = x->dtype, .rank = (int8_t)(c.n + 2), .dim = {x->dim[0], x->dim[1] / taps}};
  memcpy(t.dim + 2, c.image, (size_t)c.n * sizeof *t.dim);
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  const float *from = qcc_kx_f32(k, 0);
  if (!y || !from) return y ? QCC_NOMEM : QCC_OK;
  memset(y, 0, (size_t)(t.dim[0] * t.dim[1] * pixels) * sizeof *y);
  for (int64_t tap = 0; tap < taps; ++tap) {
    for (int64_t p = 0; p < places; ++p) {
      const int64_t at = pixel_of(&c, tap, p);
      for (int64_t i = 0; at >= 0 && i < t.dim[0] * t.dim[1]; ++i) y[i * pixels + at] += from[(i * taps + tap) * places + p];
    }
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- CenterCropPad */
qcc_status qcc_kernel_center_crop_pad(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t axes[QCC_MAX_RANK], size[QCC_MAX_RANK], from_at = 0, to_at = 0;
  int n, given;
  size_t elem;
  void *to;
  qcc_type t = *x;
  qcc_kx_move m = {.rank = x->rank};
  QCC_TRY(qcc_kx_elem(k, x->dtype, &elem));
  QCC_TRY(qcc_kx_ints(k, QCC_KX_NO_INPUT, "axes", axes, QCC_MAX_RANK, &given));
  QCC_TRY(qcc_kx_ints(k, 1, NULL, size, QCC_MAX_RANK, &n));
  for (int i = 0; i < n; ++i) {
    int axis;
    QCC_TRY(qcc_kx_axis(k, given < 0 ? i : axes[i], x->rank, &axis));
    t.dim[axis] = size[i];
  }
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  if (!to) return QCC_OK;
  qcc_kx_strides(m.from, x->dim, x->rank, elem);
  qcc_kx_strides(m.to, t.dim, t.rank, elem);
  for (int d = 0; d < x->rank; ++d) {
    const int64_t have = x->dim[d], want = t.dim[d];
    m.dim[d] = have < want ? have : want;
    from_at += (have > want ? (have - want) / 2 : 0) * m.from[d];
    to_at += (want > have ? (want - have) / 2 : 0) * m.to[d];
  }
  memset(to, 0, k->out[0].bytes);
  qcc_kx_copy((char *)to + to_at, (const char *)k->in[0]->data + from_at, &m, elem);
  return QCC_OK;
}

/* ---- RoiAlign */
enum { MOST_SAMPLES = 1 << 22 };
typedef struct region {
  double y, x, bin_h, bin_w; /* start and size of one bin */
  int64_t grid_h, grid_w;    /* samples per bin */
} region;

typedef struct corners {
  int64_t at[4];
  float weight[4];
} corners;

/* Neighbours of one coordinate; false when it is outside of the map. */
static bool neighbours(double v, int64_t n, int64_t *low, int64_t *high, double *part) {
  if (!(v >= -1) || v > (double)n) return false;
  v = v > 0 ? v : 0;
  *low = (int64_t)v;
  if (*low >= n - 1) {
    *low = *high = n - 1;
    *part = 0;
  } else {
    *high = *low + 1;
    *part = v - (double)*low;
  }
  return true;
}

static void find_corners(corners *c, double y, double x, int64_t height, int64_t width) {
  int64_t y0, y1, x0, x1;
  double fy, fx;
  *c = (corners){{0}, {0}};
  if (!neighbours(y, height, &y0, &y1, &fy) || !neighbours(x, width, &x0, &x1, &fx)) return;
  *c = (corners){{y0 * width + x0, y0 * width + x1, y1 * width + x0, y1 * width + x1},
                 {(float)((1 - fy) * (1 - fx)), (float)((1 - fy) * fx), (float)(fy * (1 - fx)), (float)(fy * fx)}};
}

typedef struct roi_align {
  int64_t height, width, out_h, out_w, ratio;
  double scale, shift;
  bool take_max;
} roi_align;

static void read_region(const roi_align *r, const float *roi, region *to) {
  const double x = (double)roi[0] * r->scale - r->shift, y = (double)roi[1] * r->scale - r->shift;
  double w = (double)roi[2] * r->scale - r->shift - x, h = (double)roi[3] * r->scale - r->shift - y;
  if (r->shift == 0) { /* the old form makes malformed regions one pixel large */
    w = w > 1 ? w : 1;
    h = h > 1 ? h : 1;
  }
  *to = (region){.y = y, .x = x, .bin_h = h / (double)r->out_h, .bin_w = w / (double)r->out_w};
  to->grid_h = r->ratio > 0 ? r->ratio : (int64_t)ceil(fmin(fmax(to->bin_h, 0), 1e6));
  to->grid_w = r->ratio > 0 ? r->ratio : (int64_t)ceil(fmin(fmax(to->bin_w, 0), 1e6));
}

static float pool_bin(const roi_align *r, const region *g, const float *plane, int64_t i, int64_t j) {
  const int64_t count = g->grid_h * g->grid_w;
  float sum = 0;
  for (int64_t s = 0; s < count; ++s) {
    corners c;
    const double y = g->y + (double)i * g->bin_h + ((double)(s / g->grid_w) + 0.5) * g->bin_h / (double)g->grid_h;
    const double x = g->x + (double)j * g->bin_w + ((double)(s % g->grid_w) + 0.5) * g->bin_w / (double)g->grid_w;
    find_corners(&c, y, x, r->height, r->width);
    float most = -INFINITY;
    for (int a = 0; a < 4; ++a) {
      const float v = c.weight[a] * plane[c.at[a]];
      most = v > most ? v : most;
      sum += r->take_max ? 0 : v;
    }
    if (r->take_max && (s == 0 || most > sum)) sum = most;
  }
  return r->take_max ? sum : sum / (float)(count > 0 ? count : 1);
}

qcc_status qcc_kernel_roi_align(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const bool shifts = strcmp(qcc_attr_str(k->node, "coordinate_transformation_mode", k->opset < 16 ? "output_half_pixel" : "half_pixel"),
                             "half_pixel") == 0;
  const roi_align r = {.height = x->dim[2],
                       .width = x->dim[3],
                       .out_h = qcc_attr_int(k->node, "output_height", 1),
                       .out_w = qcc_attr_int(k->node, "output_width", 1),
                       .ratio = qcc_attr_int(k->node, "sampling_ratio", 0),
                       .scale = (double)qcc_attr_float(k->node, "spatial_scale", 1),
                       .shift = shifts ? 0.5 : 0,
                       .take_max = strcmp(qcc_attr_str(k->node, "mode", "avg"), "max") == 0};
  const int64_t n = k->in[1]->type.dim[0], channels = x->dim[1], plane = r.height * r.width;
  const qcc_type t = qcc_type_of(x->dtype, 4, (int64_t[]){n, channels, r.out_h, r.out_w});
  float *y;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  const float *from = qcc_kx_f32(k, 0), *rois = qcc_kx_f32(k, 1);
  if (!y || !from || !rois) return y ? QCC_NOMEM : QCC_OK;
  if (plane == 0 && n * channels > 0) return qcc_kx_fail(k, QCC_DATA, "D-247", "the feature map is empty");
  for (int64_t i = 0; i < n * channels; ++i) {
    const int64_t b = qcc_tensor_get_s64(k->in[2], i / channels);
    region g;
    if (b < 0 || b >= x->dim[0])
      return qcc_kx_fail(k, QCC_DATA, "D-248", "batch index %lld is outside [0, %lld)", (long long)b, (long long)x->dim[0]);
    read_region(&r, rois + i / channels * 4, &g);
    if (g.grid_h * g.grid_w > MOST_SAMPLES)
      return qcc_kx_fail(k, QCC_DATA, "D-250", "region %lld is too large: %lld samples per bin", (long long)(i / channels),
                         (long long)(g.grid_h * g.grid_w));
    for (int64_t p = 0; p < r.out_h * r.out_w; ++p)
      y[i * r.out_h * r.out_w + p] = pool_bin(&r, &g, from + (b * channels + i % channels) * plane, p / r.out_w, p % r.out_w);
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- MaxUnpool: the indices count in the size that follows from the attributes; a larger output_shape is filled up at the end. */
qcc_status qcc_kernel_max_unpool(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const int n = x->rank - 2;
  int64_t given[QCC_MAX_RANK], own[QCC_MAX_RANK] = {x->dim[0], x->dim[1]}, steps[QCC_MAX_RANK];
  int count;
  size_t elem;
  void *to;
  qcc_type t = *x;
  QCC_TRY(qcc_kx_elem(k, x->dtype, &elem));
  QCC_TRY(qcc_kx_ints(k, 2, NULL, given, QCC_MAX_RANK, &count));
  for (int d = 2; d < x->rank; ++d) {
    own[d] = (x->dim[d] - 1) * attr_at(k, "strides", d - 2, 1) - attr_at(k, "pads", d - 2, 0) - attr_at(k, "pads", n + d - 2, 0) +
             attr_at(k, "kernel_shape", d - 2, 1);
    if (own[d] < 0) own[d] = 0;
  }
  memcpy(t.dim, count < 0 ? own : given, (size_t)t.rank * sizeof *t.dim);
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  if (!to) return QCC_OK;
  memset(to, 0, k->out[0].bytes);
  qcc_kx_strides(steps, t.dim, t.rank, elem);
  for (int64_t i = 0, all = qcc_tensor_count(k->in[0]); i < all; ++i) {
    int64_t rest = qcc_tensor_get_s64(k->in[1], i), at = 0;
    bool inside = rest >= 0;
    for (int d = t.rank - 1; inside && d >= 0; --d) {
      inside = own[d] > 0 && rest % own[d] < t.dim[d];
      if (!inside) break;
      at += rest % own[d] * steps[d];
      rest /= own[d];
    }
    if (!inside || rest)
      return qcc_kx_fail(k, QCC_DATA, "D-249", "index %lld is outside of the output", (long long)qcc_tensor_get_s64(k->in[1], i));
    memcpy((char *)to + at, (const char *)k->in[0]->data + (size_t)i * elem, elem);
  }
  return QCC_OK;
}

/* ---- Det: elimination with pivots, in double */
static double determinant(double *a, int64_t n) {
  double det = 1;
  for (int64_t c = 0; c < n; ++c) {
    int64_t p = c;
    for (int64_t r = c + 1; r < n; ++r) p = fabs(a[r * n + c]) > fabs(a[p * n + c]) ? r : p;
    if (a[p * n + c] == 0) return 0;
    for (int64_t j = 0; p != c && j < n; ++j) {
      const double swap = a[c * n + j];
      a[c * n + j] = a[p * n + j];
      a[p * n + j] = swap;
    }
    det *= p == c ? a[c * n + c] : -a[c * n + c];
    for (int64_t r = c + 1; r < n; ++r) {
      const double f = a[r * n + c] / a[c * n + c];
      for (int64_t j = c; j < n; ++j) a[r * n + j] -= f * a[c * n + j];
    }
  }
  return det;
}

qcc_status qcc_kernel_det(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const int64_t n = x->dim[x->rank - 1];
  qcc_type t = *x;
  void *to;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  t.rank = (int8_t)(x->rank - 2);
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  double *a = qcc_kscratch(k, ((size_t)(n * n) + 1) * sizeof *a);
  if (!a) return QCC_NOMEM;
  for (int64_t i = 0, all = qcc_kx_product(t.dim, 0, t.rank); to && i < all; ++i) {
    for (int64_t j = 0; j < n * n; ++j) a[j] = qcc_tensor_get(k->in[0], i * n * n + j);
    qcc_kx_put(t.dtype, to, i, determinant(a, n));
  }
  return QCC_OK;
}
