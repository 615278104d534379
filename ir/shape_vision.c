/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of operators on images and regions: grids, columns, crops, regions of interest, unpooling, deformable convolution. */
#include "ir/shape.h"

qcc_status qcc_shape_affine_grid(qcc_infer *f) {
  const qcc_type *theta = qcc_shape_ranked(f, 0);
  qcc_list size;
  bool corners;
  QCC_TRY(qcc_shape_flag(f, "align_corners", false, &corners));
  QCC_TRY(qcc_shape_rank(f, 0, 3, 3));
  QCC_TRY(qcc_shape_list(f, NULL, 1, &size));
  if (size.n >= 0 && size.n != 4 && size.n != 5) return qcc_shape_bad(f, QCC_M_ATTR, "size has %d entries; allowed is 4 or 5", size.n);
  const int spatial = size.n - 2;
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), size.n >= 0 ? size.n : -1);
  int64_t batch = theta ? theta->dim[0] : QCC_DIM_UNKNOWN;
  for (int i = 0; size.state == QCC_LIST_KNOWN && i < size.n; i++) {
    if (size.at[i] < 0) return qcc_shape_bad(f, QCC_M_ATTR, "size[%d] is %lld; allowed is 0 or more", i, (long long)size.at[i]);
    if (i == 0) QCC_TRY(qcc_shape_fit(f, &batch, size.at[0], "batch of theta and size"));
    if (i >= 2) t.dim[i - 1] = size.at[i];
  }
  if (size.n >= 0) {
    int64_t rows = spatial, columns = spatial + 1;
    if (theta) QCC_TRY(qcc_shape_fit(f, &rows, theta->dim[1], "rows of theta and spatial axes"));
    if (theta) QCC_TRY(qcc_shape_fit(f, &columns, theta->dim[2], "columns of theta and spatial axes"));
    t.dim[0] = batch;
    t.dim[t.rank - 1] = spatial;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* One entry per spatial axis (or `each` of them): attribute within [least, 2^31). */
static qcc_status spatial_list(const qcc_infer *f, const char *attr, int n, int each, int64_t least) {
  qcc_list l;
  QCC_TRY(qcc_shape_list(f, attr, QCC_NO_INPUT, &l));
  if (l.state == QCC_LIST_ABSENT) return QCC_OK;
  if (l.n != n * each) return qcc_shape_bad(f, QCC_M_ATTR, "%s has %d entries, expected %d", attr, l.n, n * each);
  for (int i = 0; i < l.n; i++)
    if (l.at[i] < least || l.at[i] > INT32_MAX) return qcc_shape_bad(f, QCC_M_ATTR, "%s[%d] is %lld", attr, i, (long long)l.at[i]);
  return QCC_OK;
}

static int64_t attr_at(const qcc_infer *f, const char *attr, int i, int64_t fallback) {
  uint32_t n;
  const int64_t *at = qcc_attr_ints(f->node, attr, &n);
  return (uint32_t)i < n ? at[i] : fallback;
}

/* Positions of the block along one axis; the sizes are below 2^31. */
static int64_t block_places(const qcc_infer *f, int i, int n, int64_t image, int64_t block) {
  const int64_t room = image + attr_at(f, "pads", i, 0) + attr_at(f, "pads", n + i, 0) - attr_at(f, "dilations", i, 1) * (block - 1) - 1;
  return room < 0 ? 0 : room / attr_at(f, "strides", i, 1) + 1;
}

qcc_status qcc_shape_col2im(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_list image, block;
  QCC_TRY(qcc_shape_rank(f, 0, 3, 3));
  QCC_TRY(qcc_shape_list(f, NULL, 1, &image));
  QCC_TRY(qcc_shape_list(f, NULL, 2, &block));
  const int n = image.n >= 0 ? image.n : block.n;
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (n >= 0) QCC_TRY(qcc_shape_make(f, &t, t.dtype, (int64_t)n + 2));
  if (image.n >= 0 && block.n >= 0 && image.n != block.n)
    return qcc_shape_bad(f, QCC_M_DIM, "image and block have %d and %d axes", image.n, block.n);
  if (n >= 0) {
    QCC_TRY(spatial_list(f, "strides", n, 1, 1));
    QCC_TRY(spatial_list(f, "dilations", n, 1, 1));
    QCC_TRY(spatial_list(f, "pads", n, 2, 0));
    if (x) t.dim[0] = x->dim[0];
  }
  if (image.state == QCC_LIST_KNOWN && block.state == QCC_LIST_KNOWN) {
    int64_t places = 1, taps = 1;
    for (int i = 0; i < n; i++) {
      if (image.at[i] < 0 || image.at[i] > INT32_MAX || block.at[i] < 1 || block.at[i] > INT32_MAX)
        return qcc_shape_bad(f, QCC_M_ATTR, "axis %d: image size %lld, block size %lld", i, (long long)image.at[i], (long long)block.at[i]);
      t.dim[i + 2] = image.at[i];
      if (!qcc_mul_s64(places, block_places(f, i, n, image.at[i], block.at[i]), &places) || !qcc_mul_s64(taps, block.at[i], &taps))
        return qcc_shape_limit(f, "too many blocks");
    }
    if (x) QCC_TRY(qcc_shape_fit(f, &places, x->dim[2], "blocks of the image and columns"));
    if (x && x->dim[1] >= 0 && x->dim[1] % taps)
      return qcc_shape_bad(f, QCC_M_DIM, "%lld rows are no multiple of the block size %lld", (long long)x->dim[1], (long long)taps);
    if (x && x->dim[1] >= 0) t.dim[1] = x->dim[1] / taps;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_center_crop_pad(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_list axes, size;
  uint32_t set;
  QCC_TRY(qcc_shape_list(f, "axes", QCC_NO_INPUT, &axes));
  QCC_TRY(qcc_shape_list(f, NULL, 1, &size));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (x) {
    const int n = axes.state == QCC_LIST_KNOWN ? axes.n : x->rank;
    t = *x;
    QCC_TRY(qcc_shape_axes(f, &axes, x->rank, &set));
    if (size.n >= 0 && size.n != n) return qcc_shape_bad(f, QCC_M_ATTR, "%d sizes for %d axes", size.n, n);
    for (int i = 0; i < n; i++) {
      int axis = i;
      if (axes.state == QCC_LIST_KNOWN) QCC_TRY(qcc_shape_axis(f, axes.at[i], x->rank, &axis));
      t.dim[axis] = size.state == QCC_LIST_KNOWN ? size.at[i] : QCC_DIM_UNKNOWN;
      if (size.state == QCC_LIST_KNOWN && size.at[i] < 0)
        return qcc_shape_bad(f, QCC_M_ATTR, "shape[%d] is %lld; allowed is 0 or more", i, (long long)size.at[i]);
    }
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

static const char *const roi_modes[] = {"avg", "max", NULL};
static const char *const roi_coordinates[] = {"half_pixel", "output_half_pixel", NULL};
qcc_status qcc_shape_roi_align(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *rois = qcc_shape_ranked(f, 1), *batch = qcc_shape_ranked(f, 2);
  const int64_t h = qcc_attr_int(f->node, "output_height", 1), w = qcc_attr_int(f->node, "output_width", 1);
  int mode;
  QCC_TRY(qcc_shape_choice(f, "mode", roi_modes, &mode));
  QCC_TRY(qcc_shape_choice(f, "coordinate_transformation_mode", roi_coordinates, &mode));
  QCC_TRY(qcc_shape_rank(f, 0, 4, 4));
  QCC_TRY(qcc_shape_rank(f, 1, 2, 2));
  QCC_TRY(qcc_shape_rank(f, 2, 1, 1));
  if (h < 1 || w < 1 || h > INT32_MAX || w > INT32_MAX)
    return qcc_shape_bad(f, QCC_M_ATTR, "output of %lld x %lld", (long long)h, (long long)w);
  const int64_t samples = qcc_attr_int(f->node, "sampling_ratio", 0);
  if (samples < 0 || samples > 1 << 15) return qcc_shape_bad(f, QCC_M_ATTR, "sampling_ratio is %lld", (long long)samples);
  qcc_type t =
      qcc_type_of(qcc_shape_dtype(f, 0), 4, (int64_t[]){rois ? rois->dim[0] : QCC_DIM_UNKNOWN, x ? x->dim[1] : QCC_DIM_UNKNOWN, h, w});
  int64_t four = 4;
  if (rois) QCC_TRY(qcc_shape_fit(f, &four, rois->dim[1], "coordinates of a region"));
  if (batch) QCC_TRY(qcc_shape_fit(f, &t.dim[0], batch->dim[0], "regions and batch indices"));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_max_unpool(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *at = qcc_shape_ranked(f, 1);
  qcc_list kernel, given;
  const bool told = qcc_shape_in(f, 2) != NULL;
  QCC_TRY(qcc_shape_list(f, "kernel_shape", QCC_NO_INPUT, &kernel));
  QCC_TRY(qcc_shape_list(f, NULL, 2, &given));
  if (kernel.state != QCC_LIST_KNOWN) return qcc_shape_bad(f, QCC_M_ARITY, "attribute kernel_shape is missing");
  const int n = kernel.n;
  QCC_TRY(spatial_list(f, "kernel_shape", n, 1, 1));
  QCC_TRY(spatial_list(f, "strides", n, 1, 1));
  QCC_TRY(spatial_list(f, "pads", n, 2, 0));
  QCC_TRY(qcc_shape_rank(f, 0, n + 2, n + 2));
  QCC_TRY(qcc_shape_rank(f, 1, n + 2, n + 2));
  qcc_type t;
  QCC_TRY(qcc_shape_make(f, &t, qcc_shape_dtype(f, 0), (int64_t)n + 2));
  for (int d = 0; x && d < t.rank; d++) {
    int64_t size = x->dim[d];
    if (at) QCC_TRY(qcc_shape_fit(f, &size, at->dim[d], "values and indices"));
    if (d < 2) t.dim[d] = size;
    if (d < 2 || size < 0 || told) continue;
    if (size > INT32_MAX) return qcc_shape_limit(f, "size %lld", (long long)size);
    t.dim[d] =
        (size - 1) * attr_at(f, "strides", d - 2, 1) - attr_at(f, "pads", d - 2, 0) - attr_at(f, "pads", n + d - 2, 0) + kernel.at[d - 2];
    if (t.dim[d] < 0) return qcc_shape_bad(f, QCC_M_DIM, "axis %d of the output has size %lld", d, (long long)t.dim[d]);
  }
  if (told && given.n >= 0 && given.n != t.rank)
    return qcc_shape_bad(f, QCC_M_ATTR, "output_shape has %d entries, expected %d", given.n, t.rank);
  for (int d = 0; given.state == QCC_LIST_KNOWN && d < t.rank; d++) {
    if (given.at[d] < 0) return qcc_shape_bad(f, QCC_M_ATTR, "output_shape[%d] is %lld", d, (long long)given.at[d]);
    t.dim[d] = given.at[d];
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_deform_conv(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *w = qcc_shape_ranked(f, 1), *b = qcc_shape_ranked(f, 3);
  const int64_t groups = qcc_attr_int(f->node, "offset_group", 1);
  QCC_TRY(qcc_shape_same_dtype(f, 0, 4));
  QCC_TRY(qcc_shape_conv_of(f, 0, 1, qcc_shape_dtype(f, 0)));
  const qcc_type *y = &f->out[0];
  if (groups < 1 || groups > INT32_MAX || (x && x->dim[1] >= 0 && x->dim[1] % groups))
    return qcc_shape_bad(f, QCC_M_ATTR, "offset_group is %lld", (long long)groups);
  QCC_TRY(qcc_shape_rank(f, 3, 1, 1));
  if (!w || y->rank < 0) return QCC_OK;
  int64_t taps = groups, channels = w->dim[0];
  if (b) QCC_TRY(qcc_shape_fit(f, &channels, b->dim[0], "output channels and bias"));
  for (int i = 2; i < w->rank; i++)
    if (w->dim[i] < 0 || !qcc_mul_s64(taps, w->dim[i], &taps)) return QCC_OK;
  for (uint32_t k = 2; k < 5; k += 2) {
    const qcc_type *t = qcc_shape_ranked(f, k);
    if (!t) continue;
    QCC_TRY(qcc_shape_rank(f, k, y->rank, y->rank));
    for (int d = 0; d < y->rank; d++) {
      int64_t want = d == 1 ? (k == 2 ? taps * (y->rank - 2) : taps) : y->dim[d];
      QCC_TRY(qcc_shape_fit(f, &want, t->dim[d], "sizes of offsets or mask"));
    }
  }
  return QCC_OK;
}

qcc_status qcc_shape_det(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), x ? x->rank - 2 : -1);
  for (int d = 0; x && d < t.rank; d++) t.dim[d] = x->dim[d];
  if (x) {
    int64_t n = x->dim[x->rank - 2];
    QCC_TRY(qcc_shape_fit(f, &n, x->dim[x->rank - 1], "rows and columns"));
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
