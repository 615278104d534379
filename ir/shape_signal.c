/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of Fourier transforms, windows and filter banks. Lengths are scalar inputs; where they are not known, sizes are not. */
#include "ir/shape.h"

/* Scalar input: false when it is left out or not known. A known one must be at least `least`. */
static qcc_status read_length(const qcc_infer *f, uint32_t k, int64_t least, int64_t *to, bool *known) {
  const qcc_tensor *t = qcc_shape_known(f, k);
  *known = qcc_shape_scalar(f, k, to);
  if (t && !*known) return qcc_shape_bad(f, QCC_M_DIM, "input %u must be one whole number", k);
  if (*known && *to < least)
    return qcc_shape_bad(f, QCC_M_ATTR, "input %u is %lld; the least is %lld", k, (long long)*to, (long long)least);
  return QCC_OK;
}

static int64_t half_of(int64_t n) { return n < 0 ? QCC_DIM_UNKNOWN : n / 2 + 1; }

static qcc_status dft_axis(const qcc_infer *f, int rank, int *axis, bool *known) {
  int64_t at = f->opset < 20 ? qcc_attr_int(f->node, "axis", 1) : -2;
  *known = true;
  if (f->opset >= 20 && qcc_shape_in(f, 2)) QCC_TRY(read_length(f, 2, -rank, &at, known));
  if (!*known) return QCC_OK;
  QCC_TRY(qcc_shape_axis(f, at, rank, axis));
  if (*axis == rank - 1) return qcc_shape_bad(f, QCC_M_INDEX, "the last axis holds the parts of complex numbers");
  return QCC_OK;
}

qcc_status qcc_shape_dft(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  bool inverse, half, at_known, known;
  int64_t length = QCC_DIM_UNKNOWN;
  int axis = 0;
  QCC_TRY(qcc_shape_flag(f, "inverse", false, &inverse));
  QCC_TRY(qcc_shape_flag(f, "onesided", false, &half));
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  QCC_TRY(read_length(f, 1, 1, &length, &known));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (x) {
    const int64_t parts = x->dim[x->rank - 1];
    if (parts >= 0 && parts != 1 && parts != 2)
      return qcc_shape_bad(f, QCC_M_DIM, "the last size is %lld; allowed is 1 (real) or 2 (complex)", (long long)parts);
    if (half && parts >= 0 && parts != (inverse ? 2 : 1))
      return qcc_shape_bad(f, QCC_M_DIM, "a one-sided transform %s", inverse ? "back needs complex numbers" : "needs real numbers");
    QCC_TRY(dft_axis(f, x->rank, &axis, &at_known));
    t = qcc_shape_type(t.dtype, x->rank);
    for (int d = 0; at_known && d < x->rank; d++) t.dim[d] = x->dim[d];
    if (at_known && !qcc_shape_in(f, 1))
      length = x->dim[axis] < 0 ? QCC_DIM_UNKNOWN : inverse && half ? 2 * (x->dim[axis] - 1) : x->dim[axis];
    if (at_known && !qcc_shape_in(f, 1) && length >= 0 && length < 1) return qcc_shape_bad(f, QCC_M_DIM, "there is nothing to transform");
    if (at_known) t.dim[axis] = half && !inverse ? half_of(length) : length;
    t.dim[t.rank - 1] = half && inverse ? 1 : 2;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* Length of the frames: given, or that of the window, or all. */
static qcc_status frame_length(const qcc_infer *f, int64_t *length) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *w = qcc_shape_ranked(f, 2);
  bool known;
  *length = QCC_DIM_UNKNOWN;
  QCC_TRY(qcc_shape_rank(f, 2, 1, 1));
  if (qcc_shape_in(f, 3)) {
    QCC_TRY(read_length(f, 3, 1, length, &known));
    if (known && w && w->dim[0] >= 0) QCC_TRY(qcc_shape_fit(f, length, w->dim[0], "lengths of frame and window"));
  } else if (qcc_shape_in(f, 2)) {
    if (w) *length = w->dim[0];
  } else if (x) {
    *length = x->dim[1];
  }
  if (*length == 0) return qcc_shape_bad(f, QCC_M_DIM, "frames are empty");
  return QCC_OK;
}

qcc_status qcc_shape_stft(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  int64_t step, length;
  bool half, known;
  QCC_TRY(qcc_shape_flag(f, "onesided", true, &half));
  QCC_TRY(qcc_shape_rank(f, 0, 3, 3));
  QCC_TRY(read_length(f, 1, 1, &step, &known));
  QCC_TRY(frame_length(f, &length));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), 4);
  if (x) {
    const int64_t parts = x->dim[2];
    if (parts >= 0 && parts != 1 && parts != 2)
      return qcc_shape_bad(f, QCC_M_DIM, "the last size is %lld; allowed is 1 (real) or 2 (complex)", (long long)parts);
    if (half && parts == 2) return qcc_shape_bad(f, QCC_M_DIM, "a one-sided transform needs real numbers");
    t.dim[0] = x->dim[0];
    if (length >= 0 && x->dim[1] >= 0 && length > x->dim[1])
      return qcc_shape_bad(f, QCC_M_DIM, "frames of %lld samples in a signal of %lld", (long long)length, (long long)x->dim[1]);
    if (known && length >= 0 && x->dim[1] >= 0) t.dim[1] = (x->dim[1] - length) / step + 1;
  }
  t.dim[2] = half ? half_of(length) : length;
  t.dim[3] = 2;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

static qcc_status float_output(const qcc_infer *f, qcc_dtype *dtype) {
  QCC_TRY(qcc_shape_dtype_attr(f, "output_datatype", QCC_F32, dtype));
  const qcc_kind kind = qcc_dtype_kind(*dtype);
  if (kind == QCC_KIND_FLOAT || kind == QCC_KIND_UINT || kind == QCC_KIND_SINT) return QCC_OK;
  return qcc_shape_bad(f, QCC_M_ATTR, "output_datatype is %s; numbers are expected", qcc_dtype_name(*dtype));
}

qcc_status qcc_shape_window(qcc_infer *f) {
  int64_t n = QCC_DIM_UNKNOWN;
  qcc_dtype dtype;
  bool known;
  QCC_TRY(float_output(f, &dtype));
  QCC_TRY(read_length(f, 0, 0, &n, &known));
  const qcc_type t = qcc_type_of(dtype, 1, &n);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_mel(qcc_infer *f) {
  int64_t bins = QCC_DIM_UNKNOWN, length = QCC_DIM_UNKNOWN, rate;
  qcc_dtype dtype;
  bool known;
  QCC_TRY(float_output(f, &dtype));
  QCC_TRY(read_length(f, 0, 1, &bins, &known));
  QCC_TRY(read_length(f, 1, 1, &length, &known));
  QCC_TRY(read_length(f, 2, 1, &rate, &known));
  const qcc_type t = qcc_type_of(dtype, 2, (int64_t[]){half_of(length), bins});
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
