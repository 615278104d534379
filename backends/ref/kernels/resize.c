/* SPDX-License-Identifier: Apache-2.0
 * Resize and Upsample: nearest, linear and cubic, every coordinate transformation, antialiasing, axes and aspect policies.
 * Every mode is separable: resize_axis.c turns one axis into a table of source positions (and weights), this file reads the node and
 * applies the tables axis by axis. Nearest moves bytes of any type; the others compute in f32. */
#include "backends/ref/kernels/resize.h"

typedef struct resize {
  qcc_type out;
  int count; /* axes in the lists */
  qcc_resize_rule rule;
  qcc_resize_axis axis[QCC_MAX_RANK]; /* of every dim of the input; untouched ones have active == false */
  float extrapolation;
} resize;

/* ---- reading the node */
static qcc_status read_numbers(qcc_kargs *k, uint32_t input, const char *attr, double *to, int max, int *n) {
  const qcc_tensor *t = qcc_kx_in(k, input);
  uint32_t count = 0;
  const float *list = attr ? qcc_attr_floats(k->node, attr, &count) : NULL;
  int64_t have = t ? qcc_tensor_count(t) : list ? (int64_t)count : 0;
  *n = 0;
  if (have > max) return qcc_kx_fail(k, QCC_DATA, "D-702", "%lld entries, at most %d fit", (long long)have, max);
  for (int64_t i = 0; i < have; ++i) to[i] = t ? qcc_tensor_get(t, i) : (double)list[i];
  *n = (int)have;
  return QCC_OK;
}

static qcc_status read_axes(qcc_kargs *k, resize *r, int *dim) {
  int64_t axes[QCC_MAX_RANK];
  uint32_t seen = 0;
  int n;
  QCC_TRY(qcc_kx_ints(k, QCC_KX_NO_INPUT, "axes", axes, QCC_MAX_RANK, &n));
  r->count = n < 0 ? r->out.rank : n;
  for (int i = 0; i < r->count; ++i) {
    dim[i] = i;
    if (n >= 0) QCC_TRY(qcc_kx_axis(k, axes[i], r->out.rank, &dim[i]));
    if (seen & 1u << dim[i]) return qcc_kx_fail(k, QCC_DATA, "D-724", "axis %d is listed twice", dim[i]);
    seen |= 1u << dim[i];
  }
  return QCC_OK;
}

static qcc_status by_scales(qcc_kargs *k, resize *r, const int *dim, const double *scale, int n) {
  if (n != r->count) return qcc_kx_fail(k, QCC_DATA, "D-810", "%d scales for %d axes", n, r->count);
  for (int i = 0; i < n; ++i) {
    qcc_resize_axis *a = &r->axis[dim[i]];
    bool crop = r->rule.coordinate == QCC_RESIZE_CROP;
    /* Single precision as in the shape rule, so that both cut at the same size. */
    double size = crop ? (double)a->in * (a->end - a->start) * scale[i] : (double)((float)a->in * (float)scale[i]);
    if (!(scale[i] > 0) || !(size >= 0) || size > 1e15)
      return qcc_kx_fail(k, QCC_DATA, "D-811", "scale %g of axis %d cannot be", scale[i], dim[i]);
    a->scale = scale[i];
    a->out = (int64_t)floor(size);
  }
  return QCC_OK;
}

static qcc_status by_sizes(qcc_kargs *k, resize *r, const int *dim, const double *size, int n) {
  static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
  int policy;
  double common = 0;
  QCC_TRY(qcc_kx_choice(k, "keep_aspect_ratio_policy", policies, 0, &policy));
  if (n != r->count) return qcc_kx_fail(k, QCC_DATA, "D-810", "%d sizes for %d axes", n, r->count);
  for (int i = 0; i < n; ++i) {
    qcc_resize_axis *a = &r->axis[dim[i]];
    if (!(size[i] >= 0) || size[i] > 1e15 || (a->in == 0 && size[i] > 0))
      return qcc_kx_fail(k, QCC_DATA, "D-811", "size %g of axis %d cannot be", size[i], dim[i]);
    a->out = (int64_t)size[i];
    a->scale = a->in ? size[i] / (double)a->in : 1;
    if (i == 0 || (policy == 1 ? a->scale < common : a->scale > common)) common = a->scale;
  }
  for (int i = 0; policy && i < n; ++i) {
    qcc_resize_axis *a = &r->axis[dim[i]];
    if (!(common * (double)a->in < 1e15)) return qcc_kx_fail(k, QCC_DATA, "D-811", "scale %g of axis %d cannot be", common, dim[i]);
    a->scale = common;
    a->out = (int64_t)floor(common * (double)a->in + 0.5);
  }
  return QCC_OK;
}

static qcc_status read_rule(qcc_kargs *k, resize *r, bool old) {
  static const char *const modes[] = {"nearest", "linear", "cubic", "bilinear", NULL};
  static const char *const coordinates[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel",   "align_corners",
                                            "asymmetric", "tf_crop_and_resize",   "tf_half_pixel_for_nn", NULL};
  static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil", NULL};
  int mode, coordinate, round;
  QCC_TRY(qcc_kx_choice(k, "mode", modes, 0, &mode));
  QCC_TRY(qcc_kx_choice(k, "coordinate_transformation_mode", coordinates, old ? QCC_RESIZE_ASYMMETRIC : 0, &coordinate));
  QCC_TRY(qcc_kx_choice(k, "nearest_mode", nearest, old ? QCC_RESIZE_SIMPLE : 0, &round));
  r->rule = (qcc_resize_rule){.mode = mode == 3 ? QCC_RESIZE_LINEAR : (qcc_resize_mode)mode,
                              .coordinate = (qcc_resize_coordinate)coordinate,
                              .round = (qcc_resize_round)round,
                              .cubic = (double)qcc_attr_float(k->node, "cubic_coeff_a", -0.75f),
                              .exclude_outside = qcc_attr_int(k->node, "exclude_outside", 0) != 0,
                              .antialias = qcc_attr_int(k->node, "antialias", 0) != 0};
  r->extrapolation = qcc_attr_float(k->node, "extrapolation_value", 0);
  return QCC_OK;
}

static qcc_status read_node(qcc_kargs *k, resize *r, uint32_t scales_at, const char *scales_attr, bool old) {
  double list[2 * QCC_MAX_RANK];
  int dim[QCC_MAX_RANK], n;
  r->out = k->in[0]->type;
  QCC_TRY(read_rule(k, r, old));
  QCC_TRY(read_axes(k, r, dim));
  for (int d = 0; d < r->out.rank; ++d) r->axis[d] = (qcc_resize_axis){.in = r->out.dim[d], .out = r->out.dim[d], .scale = 1, .end = 1};
  if (r->rule.coordinate == QCC_RESIZE_CROP) {
    QCC_TRY(read_numbers(k, 1, NULL, list, 2 * QCC_MAX_RANK, &n));
    if (n != 2 * r->count) return qcc_kx_fail(k, QCC_DATA, "D-810", "roi has %d entries for %d axes", n, r->count);
    for (int i = 0; i < r->count; ++i) {
      r->axis[dim[i]].start = list[i];
      r->axis[dim[i]].end = list[r->count + i];
    }
  }
  QCC_TRY(read_numbers(k, scales_at, scales_attr, list, QCC_MAX_RANK, &n));
  if (n > 0 || r->count == 0) {
    QCC_TRY(by_scales(k, r, dim, list, n));
  } else {
    QCC_TRY(read_numbers(k, 3, NULL, list, QCC_MAX_RANK, &n));
    QCC_TRY(by_sizes(k, r, dim, list, n));
  }
  for (int i = 0; i < r->count; ++i) {
    qcc_resize_axis *a = &r->axis[dim[i]];
    a->active = a->in != a->out || a->scale != 1 || r->rule.coordinate == QCC_RESIZE_CROP;
    r->out.dim[dim[i]] = a->out;
  }
  return QCC_OK;
}

/* ---- applying the tables */
static qcc_status nearest(qcc_kargs *k, resize *r, void *to, size_t elem) {
  const qcc_type *x = &k->in[0]->type;
  int64_t stride[QCC_MAX_RANK];
  const int64_t *offset[QCC_MAX_RANK] = {NULL};
  qcc_kx_strides(stride, x->dim, x->rank, elem);
  for (int d = 0; d < x->rank; ++d) {
    qcc_resize_axis *a = &r->axis[d];
    int64_t *list = qcc_kscratch(k, (size_t)a->out * sizeof *list);
    if (!list) return QCC_NOMEM;
    for (int64_t i = 0; i < a->out; ++i) list[i] = (a->active ? qcc_resize_nearest(a, &r->rule, i) : i) * stride[d];
    offset[d] = list;
  }
  qcc_kx_pick(to, k->in[0]->data, x->rank, r->out.dim, offset, elem);
  return QCC_OK;
}

/* One axis: y[o][i][j] = sum of weight[i][t] * x[o][source[i][t]][j]. */
static void weigh_axis(float *y, const float *x, const qcc_resize_axis *a, int64_t outer, int64_t inner) {
  for (int64_t o = 0; o < outer; ++o, x += a->in * inner) {
    for (int64_t i = 0; i < a->out; ++i, y += inner) {
      const int64_t *source = a->source + i * a->taps;
      const float *weight = a->weight + i * a->taps;
      if (inner == 1) {
        float sum = 0;
        for (int64_t t = 0; t < a->taps; ++t) sum += weight[t] * x[source[t]];
        *y = sum;
        continue;
      }
      for (int64_t j = 0; j < inner; ++j) y[j] = weight[0] * x[source[0] * inner + j];
      for (int64_t t = 1; t < a->taps; ++t) {
        const float *from = x + source[t] * inner;
        for (int64_t j = 0; j < inner; ++j) y[j] += weight[t] * from[j];
      }
    }
  }
}

/* Result in f32; the last axis pass writes to `to`. */
static qcc_status weighted(qcc_kargs *k, resize *r, float *to) {
  const float *from = qcc_kx_f32(k, 0);
  int64_t dim[QCC_MAX_RANK];
  int rank = r->out.rank, left = 0;
  if (!from) return QCC_NOMEM;
  memcpy(dim, k->in[0]->type.dim, sizeof dim);
  for (int d = 0; d < rank; ++d) left += r->axis[d].active;
  if (left == 0) memcpy(to, from, (size_t)qcc_kx_product(dim, 0, rank) * sizeof *to);
  for (int d = rank - 1; d >= 0; --d) {
    qcc_resize_axis *a = &r->axis[d];
    if (!a->active) continue;
    QCC_TRY(qcc_resize_weights(k, a, &r->rule));
    dim[d] = a->out;
    float *y = --left == 0 ? to : qcc_kscratch(k, (size_t)qcc_kx_product(dim, 0, rank) * sizeof *y);
    if (!y) return QCC_NOMEM;
    weigh_axis(y, from, a, qcc_kx_product(dim, 0, d), qcc_kx_product(dim, d + 1, rank));
    from = y;
  }
  return QCC_OK;
}

/* tf_crop_and_resize: positions outside the image take a constant. */
static void extrapolate(const resize *r, qcc_dtype t, void *to, size_t elem) {
  uint64_t value[2] = {0};
  qcc_kx_put(t, value, 0, (double)r->extrapolation);
  for (int d = 0; d < r->out.rank; ++d) {
    const qcc_resize_axis *a = &r->axis[d];
    int64_t outer = qcc_kx_product(r->out.dim, 0, d), inner = qcc_kx_product(r->out.dim, d + 1, r->out.rank);
    for (int64_t i = 0; a->active && i < a->out; ++i) {
      double at = qcc_resize_position(a, r->rule.coordinate, i);
      if (at >= 0 && at <= (double)(a->in - 1)) continue;
      for (int64_t o = 0; o < outer; ++o) qcc_kx_fill((char *)to + (o * a->out + i) * inner * (int64_t)elem, value, elem, inner);
    }
  }
}

static qcc_status resize_like(qcc_kargs *k, uint32_t scales_at, const char *scales_attr, bool old) {
  const qcc_tensor *x = k->in[0];
  resize r = {.count = 0};
  size_t elem;
  void *to;
  bool is_f32 = x->type.dtype == QCC_F32;
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  QCC_TRY(read_node(k, &r, scales_at, scales_attr, old));
  QCC_TRY(qcc_kx_out(k, 0, &r.out, &to));
  if (!to || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  if (qcc_tensor_count(x) == 0) return qcc_kx_fail(k, QCC_DATA, "D-812", "the input is empty, the output is not");
  int64_t n = qcc_tensor_count(&k->out[0]);
  if (r.rule.mode == QCC_RESIZE_NEAREST) {
    QCC_TRY(nearest(k, &r, to, elem));
  } else {
    float *y = is_f32 ? to : qcc_kscratch(k, (size_t)n * sizeof *y);
    if (!y) return QCC_NOMEM;
    QCC_TRY(weighted(k, &r, y));
    for (int64_t i = 0; !is_f32 && i < n; ++i) qcc_kx_put(x->type.dtype, to, i, (double)y[i]);
  }
  if (r.rule.coordinate == QCC_RESIZE_CROP) extrapolate(&r, x->type.dtype, to, elem);
  return QCC_OK;
}

qcc_status qcc_kernel_resize(qcc_kargs *k) { return resize_like(k, k->opset >= 11 ? 2 : 1, NULL, k->opset < 11); }
qcc_status qcc_kernel_upsample(qcc_kargs *k) { return resize_like(k, k->opset >= 9 ? 1 : QCC_KX_NO_INPUT, "scales", true); }
