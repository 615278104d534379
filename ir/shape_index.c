/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of operators that select by index: Slice, Gather, Scatter, OneHot, NonZero and others. Indices that are known are
 * checked here; all others are checked by the kernels. */
#include "ir/shape.h"

/* ---- Slice */
typedef struct slice_lists {
  qcc_list start, end, axis, step;
} slice_lists;

static qcc_status slice_read(qcc_infer *f, slice_lists *l) {
  bool old = f->opset < 10;
  QCC_TRY(qcc_shape_list(f, old ? "starts" : NULL, old ? QCC_NO_INPUT : 1, &l->start));
  QCC_TRY(qcc_shape_list(f, old ? "ends" : NULL, old ? QCC_NO_INPUT : 2, &l->end));
  QCC_TRY(qcc_shape_list(f, old ? "axes" : NULL, old ? QCC_NO_INPUT : 3, &l->axis));
  QCC_TRY(qcc_shape_list(f, NULL, old ? QCC_NO_INPUT : 4, &l->step));
  if (l->start.state == QCC_LIST_ABSENT || l->end.state == QCC_LIST_ABSENT)
    return qcc_shape_bad(f, QCC_M_ARITY, "starts or ends are missing");
  const qcc_list *all[] = {&l->end, &l->axis, &l->step};
  for (int i = 0; i < 3; i++)
    if (all[i]->state != QCC_LIST_ABSENT && all[i]->n >= 0 && l->start.n >= 0 && all[i]->n != l->start.n)
      return qcc_shape_bad(f, QCC_M_ATTR, "starts has %d entries, another list of the slice has %d", l->start.n, all[i]->n);
  if (l->axis.state == QCC_LIST_ABSENT && l->start.n >= 0) { // axes default to the first ones
    l->axis = (qcc_list){.state = QCC_LIST_KNOWN, .n = l->start.n};
    for (int i = 0; i < l->axis.n; i++) l->axis.at[i] = i;
  }
  return QCC_OK;
}

static int64_t clamp(int64_t i, int64_t lo, int64_t hi) { return i < lo ? lo : i > hi ? hi : i; }

static int64_t slice_count(int64_t size, int64_t start, int64_t end, int64_t step) {
  if (start < 0) start = start < -size ? -1 : start + size; // -1 stands for "before the first"
  if (end < 0) end = end < -size ? -1 : end + size;
  if (step > 0) {
    start = clamp(start, 0, size);
    end = clamp(end, 0, size);
    return end > start ? (end - start - 1) / step + 1 : 0;
  }
  start = clamp(start, -1, size - 1);
  end = clamp(end, -1, size - 1);
  if (start <= end) return 0;
  return step == INT64_MIN ? 1 : (start - end - 1) / -step + 1;
}

static qcc_status slice_axis(qcc_infer *f, const slice_lists *l, int i, int64_t *dim) {
  int64_t step = 1;
  bool step_known = l->step.state != QCC_LIST_UNKNOWN;
  if (l->step.state == QCC_LIST_KNOWN) step = l->step.at[i];
  if (step == 0) return qcc_shape_bad(f, QCC_M_ATTR, "step 0; allowed is any other number");
  bool known = step_known && l->start.state == QCC_LIST_KNOWN && l->end.state == QCC_LIST_KNOWN;
  if (known && *dim >= 0)
    *dim = slice_count(*dim, l->start.at[i], l->end.at[i], step);
  else if (!known || l->start.at[i] != 0 || l->end.at[i] < INT32_MAX || step != 1)
    *dim = QCC_DIM_UNKNOWN;
  return QCC_OK;
}

qcc_status qcc_shape_slice(qcc_infer *f) {
  slice_lists l;
  QCC_TRY(slice_read(f, &l));
  qcc_type t = *f->in[0];
  if (t.rank >= 0 && l.axis.state == QCC_LIST_KNOWN) {
    uint32_t set;
    if (l.axis.n > t.rank) return qcc_shape_bad(f, QCC_M_ATTR, "%d axes to slice, but the input has rank %d", l.axis.n, t.rank);
    QCC_TRY(qcc_shape_axes(f, &l.axis, t.rank, &set));
    for (int i = 0; i < l.axis.n; i++) {
      int axis;
      QCC_TRY(qcc_shape_axis(f, l.axis.at[i], t.rank, &axis));
      QCC_TRY(slice_axis(f, &l, i, &t.dim[axis]));
    }
  } else {
    for (int i = 0; i < t.rank; i++) t.dim[i] = QCC_DIM_UNKNOWN;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- Gather */
static qcc_status check_index_type(const qcc_infer *f, uint32_t k) {
  qcc_dtype t = qcc_shape_dtype(f, k);
  if (t == QCC_NONE || t == QCC_S32 || t == QCC_S64) return QCC_OK;
  return qcc_shape_bad(f, QCC_M_DTYPE, "indices are %s, expected s32 or s64", qcc_dtype_name(t));
}

/* Known indices into an axis of `size`. */
static qcc_status check_indices(const qcc_infer *f, uint32_t k, int64_t size) {
  const qcc_tensor *t = qcc_shape_known(f, k);
  if (!t || size < 0) return QCC_OK;
  for (int64_t i = 0, n = qcc_tensor_count(t); i < n; i++) {
    int64_t at = qcc_tensor_get_s64(t, i);
    if (at < -size || at >= size)
      return qcc_shape_bad(f, QCC_M_INDEX, "index %lld; allowed is %lld to %lld", (long long)at, (long long)-size, (long long)size - 1);
  }
  return QCC_OK;
}

qcc_status qcc_shape_gather(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *index = qcc_shape_ranked(f, 1);
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  int axis = 0;
  QCC_TRY(check_index_type(f, 1));
  if (x) {
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 0), x->rank, &axis));
    QCC_TRY(check_indices(f, 1, x->dim[axis]));
  }
  if (x && index) {
    QCC_TRY(qcc_shape_make(f, &t, t.dtype, x->rank + index->rank - 1));
    for (int i = 0; i < axis; i++) t.dim[i] = x->dim[i];
    for (int i = 0; i < index->rank; i++) t.dim[axis + i] = index->dim[i];
    for (int i = axis + 1; i < x->rank; i++) t.dim[index->rank + i - 1] = x->dim[i];
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_gather_elements(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *index = qcc_shape_ranked(f, 1);
  int axis;
  QCC_TRY(check_index_type(f, 1));
  if (x) {
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 0), x->rank, &axis));
    QCC_TRY(qcc_shape_rank(f, 1, x->rank, x->rank));
    QCC_TRY(check_indices(f, 1, x->dim[axis]));
    for (int i = 0; index && i < x->rank; i++)
      if (i != axis && x->dim[i] >= 0 && index->dim[i] > x->dim[i])
        return qcc_shape_bad(f, QCC_M_DIM, "indices have size %lld on axis %d, the data %lld", (long long)index->dim[i], i,
                             (long long)x->dim[i]);
  }
  qcc_type t = *f->in[1];
  t.dtype = qcc_shape_dtype(f, 0);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_gather_nd(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *index = qcc_shape_ranked(f, 1);
  int64_t batch = qcc_attr_int(f->node, "batch_dims", 0);
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  QCC_TRY(qcc_shape_rank(f, 0, 1, QCC_MAX_RANK));
  QCC_TRY(qcc_shape_rank(f, 1, 1, QCC_MAX_RANK));
  int64_t depth = index ? index->dim[index->rank - 1] : QCC_DIM_UNKNOWN;
  if (batch < 0 || (x && batch >= x->rank) || (index && batch >= index->rank))
    return qcc_shape_bad(f, QCC_M_ATTR, "batch_dims is %lld; it must be below the rank of both inputs", (long long)batch);
  if (x && depth >= 0 && (depth == 0 || depth > x->rank - batch))
    return qcc_shape_bad(f, QCC_M_DIM, "an index of %lld numbers into rank %d with batch_dims %lld", (long long)depth, x->rank,
                         (long long)batch);
  if (x && index && depth >= 0) {
    int tail = x->rank - (int)(batch + depth);
    QCC_TRY(qcc_shape_make(f, &t, t.dtype, index->rank - 1 + tail));
    for (int i = 0; i < index->rank - 1; i++) t.dim[i] = index->dim[i];
    for (int i = 0; i < tail; i++) t.dim[index->rank - 1 + i] = x->dim[x->rank - tail + i];
    for (int i = 0; i < batch; i++) QCC_TRY(qcc_shape_fit(f, &t.dim[i], x->dim[i], "batch axes of data and indices"));
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- Scatter */
qcc_status qcc_shape_scatter_elements(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *index = qcc_shape_ranked(f, 1), *updates = qcc_shape_ranked(f, 2);
  int axis;
  QCC_TRY(check_index_type(f, 1));
  if (x) {
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 0), x->rank, &axis));
    QCC_TRY(qcc_shape_rank(f, 1, x->rank, x->rank));
    QCC_TRY(check_indices(f, 1, x->dim[axis]));
  }
  if (index) QCC_TRY(qcc_shape_rank(f, 2, index->rank, index->rank));
  for (int i = 0; index && updates && i < index->rank; i++) {
    int64_t d = index->dim[i];
    QCC_TRY(qcc_shape_fit(f, &d, updates->dim[i], "sizes of indices and updates"));
  }
  return qcc_shape_same(f);
}

qcc_status qcc_shape_scatter_nd(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *index = qcc_shape_ranked(f, 1);
  QCC_TRY(check_index_type(f, 1));
  QCC_TRY(qcc_shape_rank(f, 0, 1, QCC_MAX_RANK));
  QCC_TRY(qcc_shape_rank(f, 1, 1, QCC_MAX_RANK));
  int64_t depth = index ? index->dim[index->rank - 1] : QCC_DIM_UNKNOWN;
  if (x && depth > x->rank) return qcc_shape_bad(f, QCC_M_DIM, "an index of %lld numbers into rank %d", (long long)depth, x->rank);
  if (x && depth >= 0) {
    int rank = index->rank - 1 + x->rank - (int)depth;
    if (rank <= QCC_MAX_RANK) QCC_TRY(qcc_shape_rank(f, 2, rank, rank));
  }
  return qcc_shape_same(f);
}

qcc_status qcc_shape_reverse_sequence(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *lengths = qcc_shape_ranked(f, 1);
  int64_t batch = qcc_attr_int(f->node, "batch_axis", 1), time = qcc_attr_int(f->node, "time_axis", 0);
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  QCC_TRY(qcc_shape_rank(f, 1, 1, 1));
  if ((batch != 0 && batch != 1) || time != 1 - batch)
    return qcc_shape_bad(f, QCC_M_ATTR, "batch_axis %lld and time_axis %lld; one must be 0, the other 1", (long long)batch,
                         (long long)time);
  int64_t n = x ? x->dim[batch] : QCC_DIM_UNKNOWN;
  if (lengths) QCC_TRY(qcc_shape_fit(f, &n, lengths->dim[0], "batch and sequence lengths"));
  return qcc_shape_same(f);
}

/* ---- results whose size the data decides */
qcc_status qcc_shape_one_hot(qcc_infer *f) {
  const qcc_type *index = qcc_shape_ranked(f, 0);
  const qcc_tensor *depth = qcc_shape_known(f, 1);
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 2), -1);
  int64_t n = QCC_DIM_UNKNOWN;
  if (depth) {
    if (qcc_tensor_count(depth) != 1) return qcc_shape_bad(f, QCC_M_DIM, "depth has more than one element");
    n = qcc_tensor_get_s64(depth, 0);
    if (n < 1) return qcc_shape_bad(f, QCC_M_ATTR, "depth is %lld; allowed is 1 or more", (long long)n);
  }
  if (index) {
    int axis;
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", -1), index->rank + 1, &axis));
    QCC_TRY(qcc_shape_make(f, &t, t.dtype, index->rank + 1));
    for (int i = 0, from = 0; i < t.rank; i++) t.dim[i] = i == axis ? n : index->dim[from++];
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_non_zero(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_type t = qcc_shape_type(QCC_S64, 2);
  if (x) t.dim[0] = x->rank ? x->rank : 1;
  if (x && x->rank == 0) t.dim[0] = QCC_DIM_UNKNOWN; // NumPy and ONNX Runtime differ on scalars
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_compress(qcc_infer *f) {
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), 1);
  QCC_TRY(qcc_shape_rank(f, 1, 1, 1));
  if (qcc_attr_find(f->node, "axis")) {
    t = *f->in[0];
    int axis;
    if (t.rank >= 0) {
      QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 0), t.rank, &axis));
      t.dim[axis] = QCC_DIM_UNKNOWN;
    }
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_nms(qcc_infer *f) {
  QCC_TRY(qcc_shape_rank(f, 0, 3, 3));
  QCC_TRY(qcc_shape_rank(f, 1, 3, 3));
  qcc_type t = qcc_type_of(QCC_S64, 2, (int64_t[]){QCC_DIM_UNKNOWN, 3});
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_grid_sample(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *grid = qcc_shape_ranked(f, 1);
  QCC_TRY(qcc_shape_rank(f, 0, 3, 5));
  QCC_TRY(qcc_shape_rank(f, 1, 3, 5));
  if (x) QCC_TRY(qcc_shape_rank(f, 1, x->rank, x->rank));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), x ? x->rank : grid ? grid->rank : -1);
  if (x) {
    t.dim[0] = x->dim[0];
    t.dim[1] = x->dim[1];
  }
  if (grid) {
    int64_t coordinates = grid->rank - 2;
    QCC_TRY(qcc_shape_fit(f, &coordinates, grid->dim[grid->rank - 1], "coordinates and spatial axes"));
    QCC_TRY(qcc_shape_fit(f, &t.dim[0], grid->dim[0], "batch of input and grid"));
    for (int i = 2; i < t.rank; i++) t.dim[i] = grid->dim[i - 1];
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_unique(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  const bool whole = !qcc_attr_find(f->node, "axis");
  bool sorted;
  int axis = 0;
  QCC_TRY(qcc_shape_flag(f, "sorted", true, &sorted));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), whole ? 1 : x ? x->rank : -1);
  if (x && !whole) {
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 0), x->rank, &axis));
    for (int d = 0; d < x->rank; d++) t.dim[d] = d == axis ? QCC_DIM_UNKNOWN : x->dim[d];
  }
  qcc_shape_set(f, 0, &t);
  t = qcc_shape_type(QCC_S64, 1);
  qcc_shape_set(f, 1, &t);
  qcc_shape_set(f, 3, &t);
  int64_t n;
  if (x && whole && qcc_type_count(x, &n)) t.dim[0] = n;
  if (x && !whole) t.dim[0] = x->dim[axis];
  qcc_shape_set(f, 2, &t);
  return QCC_OK;
}
