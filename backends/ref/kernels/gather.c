/* SPDX-License-Identifier: Apache-2.0
 * Gather, GatherElements, GatherND, ScatterElements, ScatterND, OneHot, Compress, ReverseSequence: movement by indices that are data.
 * Every index is checked before it is used; outside the axis it is QCC_DATA. */
#include "backends/ref/kernels/kutil.h"

static qcc_status checked_index(qcc_kargs *k, int64_t i, int64_t size, int64_t *out) {
  *out = i < 0 ? i + size : i;
  if (*out >= 0 && *out < size) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-750", "index %lld is outside [-%lld, %lld)", (long long)i, (long long)size, (long long)size);
}

static qcc_status index_tensor(qcc_kargs *k, uint32_t i) {
  qcc_dtype t = k->in[i]->type.dtype;
  if (t == QCC_S32 || t == QCC_S64) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-751", "indices have type %s; s32 or s64 is needed", qcc_dtype_name(t));
}

qcc_status qcc_kernel_gather(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0], *index = k->in[1];
  int axis;
  size_t elem;
  const void *from;
  void *out;
  int64_t n = qcc_tensor_count(index), at;
  QCC_TRY(index_tensor(k, 1));
  QCC_TRY(qcc_kx_movable(k, x, &from, &elem));
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), x->type.rank, &axis));
  int rank = x->type.rank - 1 + index->type.rank;
  if (rank > QCC_MAX_RANK) return qcc_kx_fail(k, QCC_LIMIT, "L-726", "rank %d is above the limit of %d", rank, QCC_MAX_RANK);
  qcc_type t = {.dtype = x->type.dtype, .rank = (int8_t)rank};
  for (int d = 0; d < axis; ++d) t.dim[d] = x->type.dim[d];
  for (int d = 0; d < index->type.rank; ++d) t.dim[axis + d] = index->type.dim[d];
  for (int d = axis + 1; d < x->type.rank; ++d) t.dim[d - 1 + index->type.rank] = x->type.dim[d];
  QCC_TRY(qcc_kx_move_to(k, 0, &t, &out));
  int64_t outer = qcc_kx_product(x->type.dim, 0, axis), size = x->type.dim[axis];
  int64_t inner = qcc_kx_product(x->type.dim, axis + 1, x->type.rank) * (int64_t)elem;
  char *to = out;
  for (int64_t i = 0; i < n; ++i) { /* indices are checked even when there is nothing to copy */
    QCC_TRY(checked_index(k, qcc_tensor_get_s64(index, i), size, &at));
    for (int64_t o = 0; to && o < outer; ++o) {
      memcpy(to + (o * n + i) * inner, (const char *)from + (o * size + at) * inner, (size_t)inner);
    }
  }
  return qcc_kx_moved(k, 0, &t, out);
}

/* Position of element `i` of `shape` in a tensor with these strides, the axis `skip` left out; *along gets the coordinate there. */
static int64_t offset_without(const qcc_type *shape, int64_t i, const int64_t *stride, int skip, int64_t *along) {
  int64_t offset = 0;
  for (int d = shape->rank - 1; d >= 0; --d) {
    int64_t c = i % shape->dim[d];
    i /= shape->dim[d];
    if (d == skip)
      *along = c;
    else
      offset += c * stride[d];
  }
  return offset;
}

/* Indices may be smaller than the data along the other axes, never larger. */
static qcc_status elements_fit(qcc_kargs *k, const qcc_type *x, const qcc_type *index, int axis) {
  bool fits = x->rank == index->rank;
  for (int d = 0; fits && d < x->rank; ++d) fits = d == axis || index->dim[d] <= x->dim[d];
  return fits ? QCC_OK : qcc_kx_fail(k, QCC_DATA, "D-752", "the indices have another rank or more elements than the data");
}

qcc_status qcc_kernel_gather_elements(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0], *index = k->in[1];
  int axis;
  size_t elem;
  void *out;
  int64_t stride[QCC_MAX_RANK], at, along = 0;
  QCC_TRY(index_tensor(k, 1));
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), x->type.rank, &axis));
  QCC_TRY(elements_fit(k, &x->type, &index->type, axis));
  qcc_type t = qcc_kx_like(&index->type, x->type.dtype);
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  qcc_kx_strides(stride, x->type.dim, x->type.rank, elem);
  for (int64_t i = 0, n = out ? qcc_tensor_count(index) : 0; i < n; ++i) {
    int64_t base = offset_without(&index->type, i, stride, axis, &along);
    QCC_TRY(checked_index(k, qcc_tensor_get_s64(index, i), x->type.dim[axis], &at));
    memcpy((char *)out + i * (int64_t)elem, (const char *)x->data + base + at * stride[axis], elem);
  }
  return QCC_OK;
}

/* Byte offset that `count` indices, starting at element `from` of the index tensor, name along the axes [first, first + count) of x. */
static qcc_status tuple_offset(qcc_kargs *k, const qcc_type *x, const int64_t *stride, const qcc_tensor *index, int64_t from, int first,
                               int count, int64_t *offset) {
  int64_t at;
  *offset = 0;
  for (int d = 0; d < count; ++d) {
    QCC_TRY(checked_index(k, qcc_tensor_get_s64(index, from + d), x->dim[first + d], &at));
    *offset += at * stride[first + d];
  }
  return QCC_OK;
}

qcc_status qcc_kernel_gather_nd(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0], *index = k->in[1];
  const qcc_type *xt = &x->type, *it = &index->type;
  int64_t batch = qcc_attr_int(k->node, "batch_dims", 0), stride[QCC_MAX_RANK], offset;
  size_t elem;
  void *out;
  QCC_TRY(index_tensor(k, 1));
  QCC_TRY(qcc_kx_elem(k, xt->dtype, &elem));
  bool fits = it->rank >= 1 && batch >= 0 && batch < it->rank && batch < xt->rank && it->dim[it->rank - 1] <= xt->rank - batch;
  for (int d = 0; fits && d < batch; ++d) fits = it->dim[d] == xt->dim[d];
  if (!fits) return qcc_kx_fail(k, QCC_DATA, "D-753", "indices of rank %d do not address data of rank %d", it->rank, xt->rank);
  int b = (int)batch, tuple = (int)it->dim[it->rank - 1], rank = it->rank - 1 + xt->rank - tuple - b;
  if (rank > QCC_MAX_RANK) return qcc_kx_fail(k, QCC_LIMIT, "L-726", "rank %d is above the limit of %d", rank, QCC_MAX_RANK);
  qcc_type t = {.dtype = xt->dtype, .rank = (int8_t)rank};
  for (int d = 0; d < it->rank - 1; ++d) t.dim[d] = it->dim[d];
  for (int d = b + tuple; d < xt->rank; ++d) t.dim[it->rank - 1 + d - b - tuple] = xt->dim[d];
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  qcc_kx_strides(stride, xt->dim, xt->rank, elem);
  int64_t per_batch = qcc_kx_product(it->dim, b, it->rank - 1), block = qcc_kx_product(xt->dim, b + tuple, xt->rank) * (int64_t)elem;
  int64_t n = qcc_kx_product(it->dim, 0, it->rank - 1), batch_step = qcc_kx_product(xt->dim, b, xt->rank) * (int64_t)elem;
  for (int64_t i = 0; out && i < n; ++i) {
    QCC_TRY(tuple_offset(k, xt, stride, index, i * tuple, b, tuple, &offset));
    memcpy((char *)out + i * block, (const char *)x->data + i / per_batch * batch_step + offset, (size_t)block);
  }
  return QCC_OK;
}

/* ---- scatter */
static qcc_status scatter_begin(qcc_kargs *k, size_t *elem, qcc_kx_combine *op, void **out) {
  static const char *const names[] = {"none", "add", "mul", "max", "min", NULL};
  const qcc_tensor *x = k->in[0];
  int choice;
  uint64_t probe[2] = {0}, other[2] = {0};
  QCC_TRY(index_tensor(k, 1));
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, elem));
  QCC_TRY(qcc_kx_choice(k, "reduction", names, 0, &choice));
  *op = (qcc_kx_combine)choice;
  if (k->in[2]->type.dtype != x->type.dtype) return qcc_kx_no_type(k, k->in[2]->type.dtype);
  if (!qcc_kx_combine_at(x->type.dtype, probe, other, *op)) return qcc_kx_no_type(k, x->type.dtype);
  QCC_TRY(qcc_kx_out(k, 0, &x->type, out));
  if (*out && *out != x->data) memcpy(*out, x->data, x->bytes);
  return QCC_OK;
}

qcc_status qcc_kernel_scatter_elements(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0], *index = k->in[1], *update = k->in[2];
  int axis;
  size_t elem;
  qcc_kx_combine op;
  void *out;
  int64_t stride[QCC_MAX_RANK], at, along = 0;
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), x->type.rank, &axis));
  QCC_TRY(elements_fit(k, &x->type, &index->type, axis));
  if (qcc_tensor_count(update) != qcc_tensor_count(index)) return qcc_kx_fail(k, QCC_DATA, "D-754", "updates and indices differ in size");
  QCC_TRY(scatter_begin(k, &elem, &op, &out));
  qcc_kx_strides(stride, x->type.dim, x->type.rank, elem);
  for (int64_t i = 0, n = out ? qcc_tensor_count(index) : 0; i < n; ++i) {
    int64_t base = offset_without(&index->type, i, stride, axis, &along);
    QCC_TRY(checked_index(k, qcc_tensor_get_s64(index, i), x->type.dim[axis], &at));
    qcc_kx_combine_at(x->type.dtype, (char *)out + base + at * stride[axis], (const char *)update->data + i * (int64_t)elem, op);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_scatter_nd(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0], *index = k->in[1], *update = k->in[2];
  const qcc_type *xt = &x->type, *it = &index->type;
  size_t elem;
  qcc_kx_combine op;
  void *out;
  int64_t stride[QCC_MAX_RANK], offset, last = it->rank ? it->dim[it->rank - 1] : -1;
  if (last < 0 || last > xt->rank)
    return qcc_kx_fail(k, QCC_DATA, "D-753", "indices of rank %d do not address data of rank %d", it->rank, xt->rank);
  int tuple = (int)last;
  int64_t n = qcc_kx_product(it->dim, 0, it->rank - 1), block = qcc_kx_product(xt->dim, tuple, xt->rank);
  if (qcc_tensor_count(update) != n * block) return qcc_kx_fail(k, QCC_DATA, "D-754", "updates do not have one slice per index");
  QCC_TRY(scatter_begin(k, &elem, &op, &out));
  qcc_kx_strides(stride, xt->dim, xt->rank, elem);
  for (int64_t i = 0; out && i < n; ++i) {
    QCC_TRY(tuple_offset(k, xt, stride, index, i * tuple, 0, tuple, &offset));
    char *to = (char *)out + offset;
    const char *from = (const char *)update->data + i * block * (int64_t)elem;
    for (int64_t j = 0; j < block; ++j) qcc_kx_combine_at(xt->dtype, to + j * (int64_t)elem, from + j * (int64_t)elem, op);
  }
  return QCC_OK;
}

/* ---- OneHot */
qcc_status qcc_kernel_one_hot(qcc_kargs *k) {
  const qcc_tensor *index = k->in[0], *depth = k->in[1], *values = k->in[2];
  int axis;
  size_t elem;
  void *out;
  QCC_TRY(qcc_kx_elem(k, values->type.dtype, &elem));
  if (qcc_tensor_count(depth) < 1 || qcc_tensor_count(values) != 2)
    return qcc_kx_fail(k, QCC_DATA, "D-755", "depth must be one number, values two");
  int64_t n = qcc_tensor_get_s64(depth, 0), count = qcc_tensor_count(index);
  if (n <= 0) return qcc_kx_fail(k, QCC_DATA, "D-755", "depth is %lld, it must be positive", (long long)n);
  if (index->type.rank >= QCC_MAX_RANK) return qcc_kx_fail(k, QCC_LIMIT, "L-726", "rank %d is above the limit", index->type.rank + 1);
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", -1), index->type.rank + 1, &axis));
  qcc_type t = {.dtype = values->type.dtype, .rank = (int8_t)(index->type.rank + 1)};
  for (int d = 0; d < t.rank; ++d) t.dim[d] = d == axis ? n : index->type.dim[d < axis ? d : d - 1];
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out) return QCC_OK;
  const char *off = values->data, *on = off + elem;
  int64_t inner = qcc_kx_product(t.dim, axis + 1, t.rank);
  qcc_kx_fill(out, off, elem, qcc_tensor_count(&k->out[0]));
  for (int64_t i = 0; i < count; ++i) {
    double raw = qcc_tensor_get(index, i);
    int64_t at = raw >= -(double)n && raw < (double)n ? qcc_tensor_get_s64(index, i) : -n - 1;
    if (at < 0) at += n;
    if (at >= 0 && at < n) memcpy((char *)out + ((i / inner * n + at) * inner + i % inner) * (int64_t)elem, on, elem);
  }
  return QCC_OK;
}

/* ---- Compress */
qcc_status qcc_kernel_compress(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0], *keep = k->in[1];
  const uint8_t *flag = keep->data;
  bool flat = !qcc_attr_find(k->node, "axis");
  int axis = 0;
  size_t elem;
  void *out;
  if (keep->type.dtype != QCC_BOOL) return qcc_kx_no_type(k, keep->type.dtype);
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  if (!flat) QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), x->type.rank, &axis));
  int64_t size = flat ? qcc_tensor_count(x) : x->type.dim[axis], count = qcc_tensor_count(keep), kept = 0;
  int64_t outer = flat ? 1 : qcc_kx_product(x->type.dim, 0, axis);
  int64_t block = (flat ? 1 : qcc_kx_product(x->type.dim, axis + 1, x->type.rank)) * (int64_t)elem;
  if (count > size) return qcc_kx_fail(k, QCC_DATA, "D-756", "%lld conditions for %lld elements", (long long)count, (long long)size);
  for (int64_t i = 0; i < count; ++i) kept += flag[i] != 0;
  qcc_type t = flat ? qcc_type_of(x->type.dtype, 1, &kept) : x->type;
  t.dim[axis] = kept;
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  char *to = out;
  for (int64_t o = 0; to && o < outer; ++o) {
    for (int64_t i = 0; i < count; ++i) {
      if (!flag[i]) continue;
      memcpy(to, (const char *)x->data + (o * size + i) * block, (size_t)block);
      to += block;
    }
  }
  return QCC_OK;
}

/* ---- ReverseSequence */
qcc_status qcc_kernel_reverse_sequence(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0], *lens = k->in[1];
  int64_t batch = qcc_attr_int(k->node, "batch_axis", 1), time = qcc_attr_int(k->node, "time_axis", 0);
  size_t elem;
  void *out;
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  if (x->type.rank < 2 || batch < 0 || batch > 1 || time != 1 - batch || qcc_tensor_count(lens) != x->type.dim[batch]) {
    return qcc_kx_fail(k, QCC_DATA, "D-757", "batch_axis and time_axis must be 0 and 1, with one length per batch entry");
  }
  QCC_TRY(qcc_kx_out(k, 0, &x->type, &out));
  int64_t nb = x->type.dim[batch], nt = x->type.dim[time], block = qcc_kx_product(x->type.dim, 2, x->type.rank) * (int64_t)elem;
  int64_t b_step = batch == 0 ? nt * block : block, t_step = batch == 0 ? block : nb * block;
  for (int64_t b = 0; out && b < nb; ++b) {
    int64_t len = qcc_tensor_get_s64(lens, b);
    if (len < 0 || len > nt)
      return qcc_kx_fail(k, QCC_DATA, "D-758", "sequence length %lld is outside [0, %lld]", (long long)len, (long long)nt);
    for (int64_t t = 0; t < nt; ++t) {
      int64_t from = t < len ? len - 1 - t : t;
      memcpy((char *)out + b * b_step + t * t_step, (const char *)x->data + b * b_step + from * t_step, (size_t)block);
    }
  }
  return QCC_OK;
}
