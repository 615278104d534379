/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of operators whose result size comes from values: Expand, Tile, Pad, Resize, and the makers of tensors: Constant,
 * ConstantOfShape, Range, Shape. Sizes are checked for overflow here and against the limits by the caller. */
#include <math.h>

#include "ir/shape.h"

qcc_status qcc_shape_expand(qcc_infer *f) {
  qcc_list to;
  QCC_TRY(qcc_shape_target(f, 1, &to));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1), shape;
  if (to.n >= 0) QCC_TRY(qcc_shape_make(f, &shape, t.dtype, to.n));
  if (to.state == QCC_LIST_KNOWN) {
    bool partial = !qcc_shape_known(f, 1);
    for (int i = 0; i < to.n; i++) {
      shape.dim[i] = to.at[i] == QCC_ENTRY_UNKNOWN ? QCC_DIM_UNKNOWN : to.at[i];
      if (to.at[i] == -1 || (to.at[i] < 0 && !partial))
        return qcc_shape_bad(f, QCC_M_ATTR, "shape[%d] is %lld; allowed is 0 or more", i, (long long)to.at[i]);
    }
    if (!qcc_broadcast(&t, f->in[0], &shape)) return qcc_shape_bad(f, QCC_M_DIM, "the input does not broadcast to the shape asked for");
  } else if (to.n >= 0 && f->in[0]->rank >= 0) {
    t = qcc_shape_type(t.dtype, to.n > f->in[0]->rank ? to.n : f->in[0]->rank);
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* Up to opset 5: one axis, repeated `tiles` times. */
static qcc_status tile_axis(qcc_infer *f) {
  qcc_type t = *f->in[0];
  int64_t tiles, at;
  bool known = qcc_shape_scalar(f, 1, &tiles) && qcc_shape_scalar(f, 2, &at);
  for (int i = 0; i < t.rank && !known; i++) t.dim[i] = QCC_DIM_UNKNOWN;
  if (known && t.rank >= 0) {
    int axis;
    QCC_TRY(qcc_shape_axis(f, at, t.rank, &axis));
    if (tiles < 0) return qcc_shape_bad(f, QCC_M_ATTR, "tiles is %lld; allowed is 0 or more", (long long)tiles);
    if (t.dim[axis] < 0)
      t.dim[axis] = tiles == 1 ? t.dim[axis] : QCC_DIM_UNKNOWN;
    else if (!qcc_mul_s64(t.dim[axis], tiles, &t.dim[axis]))
      return qcc_shape_limit(f, "tiles is %lld: too large", (long long)tiles);
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_tile(qcc_infer *f) {
  qcc_list times;
  if (f->opset < 6) return tile_axis(f);
  QCC_TRY(qcc_shape_list(f, NULL, 1, &times));
  qcc_type t = *f->in[0];
  if (t.rank >= 0 && times.n >= 0 && times.n != t.rank)
    return qcc_shape_bad(f, QCC_M_ATTR, "repeats has %d entries, the input has rank %d", times.n, t.rank);
  for (int i = 0; i < t.rank; i++) {
    int64_t n = times.state == QCC_LIST_KNOWN ? times.at[i] : -1;
    if (times.state == QCC_LIST_KNOWN && n < 0)
      return qcc_shape_bad(f, QCC_M_ATTR, "repeats[%d] is %lld; allowed is 0 or more", i, (long long)n);
    if (n == 1) continue;
    if (n >= 0 && t.dim[i] >= 0) {
      if (!qcc_mul_s64(t.dim[i], n, &t.dim[i])) return qcc_shape_limit(f, "repeats[%d] is %lld: too large", i, (long long)n);
    } else {
      t.dim[i] = QCC_DIM_UNKNOWN;
    }
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- Pad */
static qcc_status pad_axes(qcc_infer *f, const qcc_list *pads, qcc_type *t) {
  qcc_list axes;
  uint32_t set;
  QCC_TRY(qcc_shape_list(f, NULL, f->opset >= 18 ? 3 : QCC_NO_INPUT, &axes));
  int count = axes.state == QCC_LIST_ABSENT ? t->rank : axes.n;
  if (count >= 0 && pads->n >= 0 && pads->n != 2 * count)
    return qcc_shape_bad(f, QCC_M_ATTR, "pads has %d entries, expected %d", pads->n, 2 * count);
  if (axes.state == QCC_LIST_KNOWN) QCC_TRY(qcc_shape_axes(f, &axes, t->rank, &set));
  for (int i = 0; i < t->rank; i++)
    if (axes.state == QCC_LIST_UNKNOWN || (axes.state == QCC_LIST_ABSENT && pads->state != QCC_LIST_KNOWN)) t->dim[i] = QCC_DIM_UNKNOWN;
  if (axes.state == QCC_LIST_UNKNOWN) return QCC_OK;
  for (int i = 0; i < count; i++) {
    int axis = i;
    if (axes.state == QCC_LIST_KNOWN) QCC_TRY(qcc_shape_axis(f, axes.at[i], t->rank, &axis));
    int64_t before = pads->at[i], after = pads->at[count + i], *dim = &t->dim[axis], more;
    if (pads->state != QCC_LIST_KNOWN)
      *dim = QCC_DIM_UNKNOWN;
    else if (before == 0 && after == 0)
      continue;
    else if (*dim < 0)
      *dim = QCC_DIM_UNKNOWN;
    else if (!qcc_add_s64(before, after, &more) || !qcc_add_s64(*dim, more, dim))
      return qcc_shape_limit(f, "padding of axis %d is too large", axis);
    else if (*dim < 0)
      return qcc_shape_bad(f, QCC_M_DIM, "padding %lld takes more from axis %d than it has", (long long)more, axis);
  }
  return QCC_OK;
}

static const char *const modes[] = {"constant", "reflect", "edge", "wrap", NULL};
qcc_status qcc_shape_pad(qcc_infer *f) {
  int mode;
  qcc_list pads;
  QCC_TRY(qcc_shape_choice(f, "mode", modes, &mode));
  if (f->opset >= 11)
    QCC_TRY(qcc_shape_list(f, NULL, 1, &pads));
  else
    QCC_TRY(qcc_shape_list(f, qcc_attr_find(f->node, "paddings") ? "paddings" : "pads", QCC_NO_INPUT, &pads));
  if (pads.state == QCC_LIST_ABSENT) return qcc_shape_bad(f, QCC_M_ARITY, "pads are missing");
  qcc_type t = *f->in[0];
  if (t.rank >= 0) QCC_TRY(pad_axes(f, &pads, &t));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- Resize and Upsample */
static qcc_status scaled(const qcc_infer *f, int64_t size, double scale, int64_t *out) {
  if (!(scale > 0) || isinf(scale)) return qcc_shape_bad(f, QCC_M_ATTR, "scale %g; allowed is any positive number", scale);
  if (scale == 1.0) return QCC_OK;
  *out = QCC_DIM_UNKNOWN;
  if (size < 0) return QCC_OK;
  float product = (float)size * (float)scale; // single precision, as other runtimes compute it
  if (!(product < 9e18f)) return qcc_shape_limit(f, "scale %g of size %lld is too large", scale, (long long)size);
  *out = (int64_t)product;
  return QCC_OK;
}

/* Numbers of an input list of floats with as many entries as there are axes; n -1: not known. */
static qcc_status read_scales(const qcc_infer *f, uint32_t input, int expected, double *to, int *n) {
  const qcc_type *type = qcc_shape_ranked(f, input);
  const qcc_tensor *known = qcc_shape_known(f, input);
  *n = -1;
  QCC_TRY(qcc_shape_rank(f, input, 1, 1));
  if (type && type->dim[0] >= 0 && expected >= 0 && type->dim[0] != expected && type->dim[0] != 0)
    return qcc_shape_bad(f, QCC_M_ATTR, "input %u has %lld entries, expected %d", input, (long long)type->dim[0], expected);
  if (!known || qcc_tensor_count(known) > QCC_LIST_MAX) return QCC_OK;
  *n = (int)qcc_tensor_count(known);
  for (int i = 0; i < *n; i++) to[i] = qcc_tensor_get(known, i);
  return QCC_OK;
}

static bool is_empty(const qcc_infer *f, uint32_t input) {
  const qcc_type *t = qcc_shape_in(f, input);
  return !t || (t->rank == 1 && t->dim[0] == 0);
}

/* The axes that scales or sizes are for (opset 18), in their order. */
static qcc_status resize_axes(qcc_infer *f, int rank, int *axis, int *n) {
  qcc_list axes;
  uint32_t set;
  QCC_TRY(qcc_shape_list(f, f->opset >= 18 ? "axes" : NULL, QCC_NO_INPUT, &axes));
  *n = rank;
  for (int i = 0; i < rank; i++) axis[i] = i;
  if (axes.state != QCC_LIST_KNOWN) return QCC_OK;
  QCC_TRY(qcc_shape_axes(f, &axes, rank, &set));
  *n = axes.n;
  for (int i = 0; i < axes.n; i++) QCC_TRY(qcc_shape_axis(f, axes.at[i], rank, &axis[i]));
  return QCC_OK;
}

static qcc_status resize_by_scales(qcc_infer *f, uint32_t input, const int *axis, int n, qcc_type *t) {
  double scale[QCC_LIST_MAX], roi[QCC_LIST_MAX];
  int known, roi_known = 0;
  bool crops = input == 2 && qcc_attr_str(f->node, "coordinate_transformation_mode", "")[0] == 't'; // tf_crop_and_resize
  QCC_TRY(read_scales(f, input, n, scale, &known));
  if (crops && !is_empty(f, 1)) QCC_TRY(read_scales(f, 1, 2 * n, roi, &roi_known));
  for (int i = 0; i < n; i++) {
    int64_t *dim = &t->dim[axis[i]];
    if (known != n || (crops && roi_known != 2 * n))
      *dim = QCC_DIM_UNKNOWN;
    else if (crops) {
      double size = (double)*dim * (roi[n + i] - roi[i]) * scale[i];
      if (!(size < 9e18)) return qcc_shape_limit(f, "scale %g is too large", scale[i]);
      *dim = *dim < 0 || !(size >= 0) ? QCC_DIM_UNKNOWN : (int64_t)floor(size);
    } else {
      QCC_TRY(scaled(f, *dim, scale[i], dim));
    }
  }
  return QCC_OK;
}

static const char *const policies[] = {"stretch", "not_larger", "not_smaller", NULL};
static qcc_status resize_by_sizes(qcc_infer *f, const qcc_list *sizes, const int *axis, int n, qcc_type *t) {
  int policy;
  double scale = 0;
  QCC_TRY(qcc_shape_choice(f, "keep_aspect_ratio_policy", policies, &policy));
  if (sizes->n >= 0 && sizes->n != n) return qcc_shape_bad(f, QCC_M_ATTR, "sizes has %d entries, expected %d", sizes->n, n);
  bool known = sizes->state == QCC_LIST_KNOWN;
  for (int i = 0; i < n && known; i++) {
    int64_t size = sizes->at[i], dim = t->dim[axis[i]];
    if (size == -1 || (size < 0 && qcc_shape_known(f, 3)) || (size == 0 && dim != 0))
      return qcc_shape_bad(f, QCC_M_ATTR, "sizes[%d] is %lld; allowed is 1 or more", i, (long long)size);
    if (policy && (size < 0 || dim <= 0))
      known = false;
    else if (policy) {
      double s = (double)size / (double)dim;
      if (i == 0 || (policy == 1 ? s < scale : s > scale)) scale = s;
    }
  }
  for (int i = 0; i < n; i++) {
    int64_t *dim = &t->dim[axis[i]];
    if (known && policy && !(scale * (double)*dim < 9e18))
      return qcc_shape_limit(f, "scale %g of size %lld is too large", scale, (long long)*dim);
    if (!known)
      *dim = QCC_DIM_UNKNOWN;
    else if (policy)
      *dim = (int64_t)floor(scale * (double)*dim + 0.5);
    else
      *dim = sizes->at[i] == QCC_ENTRY_UNKNOWN ? QCC_DIM_UNKNOWN : sizes->at[i];
  }
  return QCC_OK;
}

qcc_status qcc_shape_resize(qcc_infer *f) {
  qcc_type t = *f->in[0];
  qcc_shape_set(f, 0, &t);
  if (t.rank < 0) return QCC_OK;
  int axis[QCC_MAX_RANK], n;
  QCC_TRY(resize_axes(f, t.rank, axis, &n));
  if (f->opset == 10) {
    if (!qcc_shape_in(f, 1)) return qcc_shape_bad(f, QCC_M_ARITY, "input 1 (scales) is missing");
    QCC_TRY(resize_by_scales(f, 1, axis, n, &t));
  } else if (!is_empty(f, 3)) {
    qcc_list sizes;
    if (!is_empty(f, 2) && f->opset >= 13) return qcc_shape_bad(f, QCC_M_ARITY, "both scales and sizes are given; one is allowed");
    QCC_TRY(qcc_shape_target(f, 3, &sizes));
    QCC_TRY(resize_by_sizes(f, &sizes, axis, n, &t));
  } else if (!is_empty(f, 2)) {
    QCC_TRY(resize_by_scales(f, 2, axis, n, &t));
  } else {
    return qcc_shape_bad(f, QCC_M_ARITY, "neither scales nor sizes are given");
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_upsample(qcc_infer *f) {
  qcc_type t = *f->in[0];
  uint32_t count;
  const float *attr = qcc_attr_floats(f->node, "scales", &count);
  double scale[QCC_LIST_MAX];
  int n = -1;
  if (f->opset >= 9 && qcc_shape_in(f, 1)) {
    QCC_TRY(read_scales(f, 1, t.rank, scale, &n));
  } else if (f->opset < 7 && t.rank == 4) {
    for (n = 0; n < 4; n++) scale[n] = n < 2 ? 1.0 : (double)qcc_attr_float(f->node, n == 2 ? "height_scale" : "width_scale", 1);
  } else {
    if (!attr || (t.rank >= 0 && count != (uint32_t)t.rank) || count > QCC_MAX_RANK)
      return qcc_shape_bad(f, QCC_M_ATTR, "scales has %u entries, expected %d", count, t.rank);
    for (n = 0; n < (int)count; n++) scale[n] = (double)attr[n];
  }
  for (int i = 0; i < t.rank; i++) {
    if (n != t.rank)
      t.dim[i] = QCC_DIM_UNKNOWN;
    else
      QCC_TRY(scaled(f, t.dim[i], scale[i], &t.dim[i]));
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

static const struct {
  const char *name;
  qcc_dtype dtype;
  int rank;
} forms[] = {{"value_float", QCC_F32, 0},  {"value_int", QCC_S64, 0},  {"value_string", QCC_STRING, 0},
             {"value_floats", QCC_F32, 1}, {"value_ints", QCC_S64, 1}, {"value_strings", QCC_STRING, 1}};
/* ---- makers */
qcc_status qcc_shape_constant(qcc_infer *f) {
  const qcc_tensor *value = qcc_attr_tensor(f->node, "value");
  if (value) {
    qcc_shape_set(f, 0, &value->type);
    return QCC_OK;
  }
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    const qcc_attr *a = qcc_attr_find(f->node, forms[i].name);
    if (!a) continue;
    qcc_type t = qcc_shape_type(forms[i].dtype, forms[i].rank);
    if (t.rank == 1) t.dim[0] = a->count;
    qcc_shape_set(f, 0, &t);
    return QCC_OK;
  }
  if (f->node->attrs) return QCC_OK; // sparse_value and later forms
  return qcc_shape_bad(f, QCC_M_ARITY, "a value is missing");
}

qcc_status qcc_shape_constant_of_shape(qcc_infer *f) {
  const qcc_tensor *value = qcc_attr_tensor(f->node, "value");
  qcc_list to;
  if (value && qcc_tensor_count(value) != 1)
    return qcc_shape_bad(f, QCC_M_ATTR, "value has %lld elements, expected 1", (long long)qcc_tensor_count(value));
  QCC_TRY(qcc_shape_target(f, 0, &to));
  qcc_type t = qcc_shape_type(value ? value->type.dtype : QCC_F32, -1);
  if (to.n >= 0) QCC_TRY(qcc_shape_make(f, &t, t.dtype, to.n));
  if (to.state == QCC_LIST_KNOWN)
    for (int i = 0; i < to.n; i++) {
      t.dim[i] = to.at[i] == QCC_ENTRY_UNKNOWN ? QCC_DIM_UNKNOWN : to.at[i];
      if (to.at[i] == -1 || (to.at[i] < 0 && qcc_shape_known(f, 0)))
        return qcc_shape_bad(f, QCC_M_ATTR, "shape[%d] is %lld; allowed is 0 or more", i, (long long)to.at[i]);
    }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_shape(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_type t = qcc_shape_type(QCC_S64, 1);
  if (x) {
    int64_t start = qcc_attr_int(f->node, "start", 0), end = qcc_attr_int(f->node, "end", x->rank);
    start = start < -x->rank ? 0 : start < 0 ? start + x->rank : start > x->rank ? x->rank : start;
    end = end < -x->rank ? 0 : end < 0 ? end + x->rank : end > x->rank ? x->rank : end;
    t.dim[0] = end > start ? end - start : 0;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_size(qcc_infer *f) {
  qcc_type t = qcc_shape_type(QCC_S64, 0);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_range(qcc_infer *f) {
  QCC_TRY(qcc_shape_same_dtype(f, 0, 2));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), 1);
  double at[3];
  bool known = true;
  for (uint32_t k = 0; k < 3; k++) {
    const qcc_tensor *x = qcc_shape_known(f, k);
    if (x && qcc_tensor_count(x) != 1) return qcc_shape_bad(f, QCC_M_DIM, "input %u has more than one element", k);
    if (x)
      at[k] = qcc_tensor_get(x, 0);
    else
      known = false;
  }
  if (known) {
    double count = ceil((at[1] - at[0]) / at[2]);
    if (at[2] == 0 || isnan(count)) return qcc_shape_bad(f, QCC_M_ATTR, "a range from %g to %g in steps of %g", at[0], at[1], at[2]);
    if (count > 9e18) return qcc_shape_limit(f, "a range from %g to %g in steps of %g", at[0], at[1], at[2]);
    t.dim[0] = count > 0 ? (int64_t)count : 0;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_eye_like(qcc_infer *f) {
  QCC_TRY(qcc_shape_rank(f, 0, 2, 2));
  qcc_type t = *f->in[0];
  QCC_TRY(qcc_shape_dtype_attr(f, "dtype", t.dtype, &t.dtype));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
