/* SPDX-License-Identifier: Apache-2.0
 * Operators that put elements elsewhere by a rule of strides: Transpose Slice Expand Tile Concat Split DepthToSpace SpaceToDepth.
 * Each one computes output type and strides and leaves the walk to qcc_kx_copy; the element type does not matter. */
#include "backends/ref/kernels/kutil.h"

qcc_status qcc_kernel_transpose(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t perm[QCC_MAX_RANK], stride[QCC_MAX_RANK];
  int n;
  size_t elem;
  uint32_t seen = 0;
  const void *data;
  void *to;
  qcc_type t = {.dtype = x->dtype, .rank = x->rank};
  qcc_kx_move m = {.rank = x->rank};
  QCC_TRY(qcc_kx_movable(k, k->in[0], &data, &elem));
  QCC_TRY(qcc_kx_ints(k, QCC_KX_NO_INPUT, "perm", perm, QCC_MAX_RANK, &n));
  if (n >= 0 && n != x->rank) return qcc_kx_fail(k, QCC_DATA, "D-730", "perm has %d entries for rank %d", n, x->rank);
  qcc_kx_strides(stride, x->dim, x->rank, elem);
  for (int d = 0; d < x->rank; ++d) {
    int from = 0;
    QCC_TRY(qcc_kx_axis(k, n < 0 ? x->rank - 1 - d : perm[d], x->rank, &from));
    if (seen & 1u << from) return qcc_kx_fail(k, QCC_DATA, "D-724", "axis %d is listed twice", from);
    seen |= 1u << from;
    t.dim[d] = m.dim[d] = x->dim[from];
    m.from[d] = stride[from];
  }
  qcc_kx_strides(m.to, t.dim, t.rank, elem);
  QCC_TRY(qcc_kx_move_to(k, 0, &t, &to));
  if (to) qcc_kx_copy(to, data, &m, elem);
  return qcc_kx_moved(k, 0, &t, to);
}

/* ---- Slice */
typedef struct slice_list {
  int64_t start[QCC_MAX_RANK], end[QCC_MAX_RANK], axis[QCC_MAX_RANK], step[QCC_MAX_RANK];
  int n;
} slice_list;

static qcc_status slice_lists(qcc_kargs *k, slice_list *s) {
  int ends, axes, steps;
  bool by_input = k->opset >= 10;
  QCC_TRY(qcc_kx_ints(k, by_input ? 1 : QCC_KX_NO_INPUT, "starts", s->start, QCC_MAX_RANK, &s->n));
  QCC_TRY(qcc_kx_ints(k, by_input ? 2 : QCC_KX_NO_INPUT, "ends", s->end, QCC_MAX_RANK, &ends));
  QCC_TRY(qcc_kx_ints(k, by_input ? 3 : QCC_KX_NO_INPUT, "axes", s->axis, QCC_MAX_RANK, &axes));
  QCC_TRY(qcc_kx_ints(k, by_input ? 4 : QCC_KX_NO_INPUT, NULL, s->step, QCC_MAX_RANK, &steps));
  if (s->n < 0 || ends != s->n || (axes >= 0 && axes != s->n) || (steps >= 0 && steps != s->n)) {
    return qcc_kx_fail(k, QCC_DATA, "D-731", "starts, ends, axes and steps must have the same length");
  }
  if (axes < 0 && s->n > k->in[0]->type.rank) return qcc_kx_fail(k, QCC_DATA, "D-731", "%d starts for rank %d", s->n, k->in[0]->type.rank);
  for (int i = 0; i < s->n; ++i) {
    if (axes < 0) s->axis[i] = i;
    if (steps < 0) s->step[i] = 1;
  }
  return QCC_OK;
}

static int64_t clamp(int64_t x, int64_t lo, int64_t hi) { return x < lo ? lo : x > hi ? hi : x; }

/* Start and number of elements of one axis of size n; the step may be negative. */
static void slice_axis(int64_t n, int64_t start, int64_t end, int64_t step, int64_t *first, int64_t *count) {
  if (start < 0) start = start < -n ? -1 : start + n;
  if (end < 0) end = end < -n ? -1 : end + n;
  if (step > 0) {
    start = clamp(start, 0, n);
    end = clamp(end, 0, n);
    *count = end > start ? (end - start - 1) / step + 1 : 0;
  } else {
    start = clamp(start, -1, n - 1);
    end = clamp(end, -1, n - 1);
    *count = start > end ? (int64_t)((uint64_t)(start - end - 1) / (0 - (uint64_t)step)) + 1 : 0;
  }
  *first = start;
}

qcc_status qcc_kernel_slice(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const void *data;
  slice_list s;
  size_t elem;
  uint32_t seen = 0;
  void *to;
  qcc_type t = *x;
  qcc_kx_move m = {.rank = x->rank};
  QCC_TRY(qcc_kx_movable(k, k->in[0], &data, &elem));
  const char *from = data;
  QCC_TRY(slice_lists(k, &s));
  qcc_kx_strides(m.from, x->dim, x->rank, elem);
  for (int i = 0; i < s.n; ++i) {
    int a = 0;
    int64_t first;
    QCC_TRY(qcc_kx_axis(k, s.axis[i], x->rank, &a));
    if (s.step[i] == 0) return qcc_kx_fail(k, QCC_DATA, "D-732", "the step of axis %d is 0", a);
    if (seen & 1u << a) return qcc_kx_fail(k, QCC_DATA, "D-724", "axis %d is listed twice", a);
    seen |= 1u << a;
    slice_axis(x->dim[a], s.start[i], s.end[i], s.step[i], &first, &t.dim[a]);
    if (t.dim[a] > 0) from += first * m.from[a];
    m.from[a] *= t.dim[a] > 1 ? s.step[i] : 1;
  }
  memcpy(m.dim, t.dim, sizeof m.dim);
  qcc_kx_strides(m.to, t.dim, t.rank, elem);
  QCC_TRY(qcc_kx_move_to(k, 0, &t, &to));
  if (to) qcc_kx_copy(to, from, &m, elem);
  return qcc_kx_moved(k, 0, &t, to);
}

/* ---- Expand, Tile */
static qcc_status expand_to(qcc_kargs *k, const qcc_type *t) {
  const qcc_type *x = &k->in[0]->type;
  size_t elem;
  const void *data;
  void *to;
  qcc_kx_move m = {.rank = t->rank};
  int shift = t->rank - x->rank;
  QCC_TRY(qcc_kx_movable(k, k->in[0], &data, &elem));
  memcpy(m.dim, t->dim, sizeof m.dim);
  qcc_kx_strides(m.to, t->dim, t->rank, elem);
  qcc_kx_strides(m.from + shift, x->dim, x->rank, elem);
  for (int d = 0; d < t->rank; ++d) {
    if (d < shift || x->dim[d - shift] == 1) m.from[d] = 0;
  }
  QCC_TRY(qcc_kx_move_to(k, 0, t, &to));
  if (to) qcc_kx_copy(to, data, &m, elem);
  return qcc_kx_moved(k, 0, t, to);
}

static bool overflows(const qcc_type *t) {
  int64_t all = 1;
  for (int d = 0; d < t->rank; ++d) {
    if (t->dim[d] != 0 && !qcc_mul_s64(all, t->dim[d], &all)) return true;
  }
  return false;
}

qcc_status qcc_kernel_expand(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t dim[QCC_MAX_RANK];
  int rank;
  QCC_TRY(qcc_kx_ints(k, 1, NULL, dim, QCC_MAX_RANK, &rank));
  qcc_type shape = qcc_type_of(x->dtype, rank < 0 ? 0 : rank, dim), t;
  for (int d = 0; d < shape.rank; ++d) {
    if (dim[d] < 0) return qcc_kx_fail(k, QCC_DATA, "D-729", "size %lld of axis %d cannot be", (long long)dim[d], d);
  }
  QCC_TRY(qcc_kx_bcast_type(k, &t, x, &shape));
  if (overflows(&t)) return qcc_kx_fail(k, QCC_DATA, "D-723", "the shape has more elements than 64 bits count");
  return expand_to(k, &t);
}

/* Copies the innermost axes first, then repeats whole blocks of the output: sequential from end to end. */
static void tile_axis(char *to, const char *from, const qcc_type *x, const int64_t *repeat, int axis, size_t elem, const int64_t *in_run,
                      const int64_t *out_run) {
  if (axis == x->rank) {
    memcpy(to, from, elem);
    return;
  }
  if (axis == x->rank - 1) {
    memcpy(to, from, (size_t)in_run[axis]);
  } else {
    int64_t step = out_run[axis + 1] * repeat[axis + 1];
    for (int64_t i = 0; i < x->dim[axis]; ++i)
      tile_axis(to + i * step, from + i * in_run[axis + 1], x, repeat, axis + 1, elem, in_run, out_run);
  }
  qcc_kx_fill(to, to, (size_t)out_run[axis], repeat[axis]);
}

qcc_status qcc_kernel_tile(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t repeat[QCC_MAX_RANK], in_run[QCC_MAX_RANK], out_run[QCC_MAX_RANK];
  int n;
  size_t elem;
  void *to;
  qcc_type t = *x;
  QCC_TRY(qcc_kx_elem(k, x->dtype, &elem));
  QCC_TRY(qcc_kx_ints(k, 1, NULL, repeat, QCC_MAX_RANK, &n));
  if (n != x->rank) return qcc_kx_fail(k, QCC_DATA, "D-733", "%d repeats for rank %d", n, x->rank);
  for (int d = 0; d < n; ++d) {
    if (repeat[d] < 0 || !qcc_mul_s64(t.dim[d], repeat[d], &t.dim[d])) {
      return qcc_kx_fail(k, QCC_DATA, "D-733", "axis %d cannot repeat %lld times", d, (long long)repeat[d]);
    }
  }
  if (overflows(&t)) return qcc_kx_fail(k, QCC_DATA, "D-723", "the shape has more elements than 64 bits count");
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  if (!to || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  for (int d = n - 1; d >= 0; --d) { /* bytes below one axis: of the input, and of the output before its own repetition */
    in_run[d] = (d == n - 1 ? (int64_t)elem : in_run[d + 1]) * x->dim[d];
    out_run[d] = d == n - 1 ? in_run[d] : out_run[d + 1] * repeat[d + 1] * x->dim[d];
  }
  tile_axis(to, k->in[0]->data, x, repeat, 0, elem, in_run, out_run);
  return QCC_OK;
}

/* ---- Concat, Split: both are copies of [outer][axis * inner] blocks */
static void copy_blocks(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t block, int64_t outer) {
  for (int64_t i = 0; i < outer; ++i) memcpy(to + i * to_step, from + i * from_step, (size_t)block);
}

static qcc_status concat_type(qcc_kargs *k, qcc_type *t, int *axis) {
  *t = k->in[0]->type;
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", k->opset < 4 ? 1 : 0), t->rank, axis));
  for (uint32_t i = 1; i < k->in_count; ++i) {
    const qcc_type *x = &k->in[i]->type;
    bool fits = x->rank == t->rank && x->dtype == t->dtype;
    for (int d = 0; fits && d < t->rank; ++d) fits = d == *axis || x->dim[d] == t->dim[d];
    if (!fits || !qcc_add_s64(t->dim[*axis], x->dim[*axis], &t->dim[*axis])) {
      return qcc_kx_fail(k, QCC_DATA, "D-734", "input %u does not fit the others along every axis but %d", i, *axis);
    }
  }
  return QCC_OK;
}

qcc_status qcc_kernel_concat(qcc_kargs *k) {
  qcc_type t;
  int axis;
  int64_t n;
  size_t elem;
  const void *from;
  void *to;
  QCC_TRY(qcc_kx_need_all(k));
  QCC_TRY(concat_type(k, &t, &axis));
  QCC_TRY(qcc_kx_move_to(k, 0, &t, &to));
  char *at = to;
  for (uint32_t i = 0; to && i < k->in_count; ++i) {
    QCC_TRY(qcc_kx_movable(k, k->in[i], &from, &elem));
    const int64_t inner = qcc_kx_product(t.dim, axis + 1, t.rank) * (int64_t)elem, block = k->in[i]->type.dim[axis] * inner;
    if (!qcc_type_count(&t, &n) || n == 0) break;
    copy_blocks(at, t.dim[axis] * inner, from, block, block, qcc_kx_product(t.dim, 0, axis));
    at += block;
  }
  return qcc_kx_moved(k, 0, &t, to);
}

static qcc_status part_size(qcc_kargs *k, uint32_t i, int64_t size, int64_t *part) {
  const qcc_tensor *sizes = k->opset >= 13 || k->opset == 1 ? qcc_kx_in(k, 1) : NULL;
  uint32_t count;
  const int64_t *list = qcc_attr_ints(k->node, "split", &count);
  int64_t n = (int64_t)k->out_count, chunk = (size + n - 1) / n;
  if (sizes && qcc_tensor_count(sizes) == n) {
    *part = qcc_tensor_get_s64(sizes, (int64_t)i);
  } else if (!sizes && list && count == k->out_count) {
    *part = list[i];
  } else if (sizes || list) {
    return qcc_kx_fail(k, QCC_DATA, "D-735", "there are %u outputs but another number of sizes", k->out_count);
  } else { /* equal parts, the last one smaller */
    int64_t before = (int64_t)i * chunk;
    *part = size - before < chunk ? size - before : chunk;
    if (*part < 0) *part = 0;
  }
  return *part >= 0 ? QCC_OK : qcc_kx_fail(k, QCC_DATA, "D-736", "part %u has the size %lld", i, (long long)*part);
}

qcc_status qcc_kernel_split(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int axis;
  size_t elem;
  QCC_TRY(qcc_kx_elem(k, x->dtype, &elem));
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), x->rank, &axis));
  int64_t outer = qcc_kx_product(x->dim, 0, axis), inner = qcc_kx_product(x->dim, axis + 1, x->rank) * (int64_t)elem, begin = 0;
  for (uint32_t i = 0; i < k->out_count; ++i) {
    qcc_type t = *x;
    void *to;
    QCC_TRY(part_size(k, i, x->dim[axis], &t.dim[axis]));
    if (t.dim[axis] > x->dim[axis] - begin) {
      return qcc_kx_fail(k, QCC_DATA, "D-736", "the parts are larger than the %lld elements of axis %d", (long long)x->dim[axis], axis);
    }
    QCC_TRY(qcc_kx_out(k, i, &t, &to));
    if (to)
      copy_blocks(to, t.dim[axis] * inner, (const char *)k->in[0]->data + begin * inner, x->dim[axis] * inner, t.dim[axis] * inner, outer);
    begin += t.dim[axis];
  }
  if (begin != x->dim[axis])
    return qcc_kx_fail(k, QCC_DATA, "D-736", "the parts do not fill the %lld elements of axis %d", (long long)x->dim[axis], axis);
  return QCC_OK;
}

/* ---- DepthToSpace, SpaceToDepth: transpositions of a rank 6 view */
static qcc_status block_of(qcc_kargs *k, int64_t *block) {
  *block = qcc_attr_int(k->node, "blocksize", 0);
  if (k->in[0]->type.rank == 4 && *block > 0 && *block <= INT32_MAX) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-737", "blocksize %lld with rank %d; a positive one and rank 4 are needed", (long long)*block,
                     k->in[0]->type.rank);
}

/* Output axes in order: `perm` of the view `dim`. */
static qcc_status permute6(qcc_kargs *k, const qcc_type *t, const int64_t *dim, const int *perm) {
  qcc_kx_move m = {.rank = 6};
  int64_t stride[6];
  size_t elem;
  void *to;
  QCC_TRY(qcc_kx_elem(k, t->dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, t, &to));
  qcc_kx_strides(stride, dim, 6, elem);
  for (int d = 0; d < 6; ++d) {
    m.dim[d] = dim[perm[d]];
    m.from[d] = stride[perm[d]];
  }
  qcc_kx_strides(m.to, m.dim, 6, elem);
  if (to) qcc_kx_copy(to, k->in[0]->data, &m, elem);
  return QCC_OK;
}

qcc_status qcc_kernel_depth_to_space(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t b;
  bool crd = !strcmp(qcc_attr_str(k->node, "mode", "DCR"), "CRD");
  QCC_TRY(block_of(k, &b));
  int64_t c = x->dim[1] / (b * b);
  if (c * b * b != x->dim[1])
    return qcc_kx_fail(k, QCC_DATA, "D-738", "%lld channels do not divide by the squared block size", (long long)x->dim[1]);
  qcc_type t = qcc_type_of(x->dtype, 4, (int64_t[]){x->dim[0], c, x->dim[2] * b, x->dim[3] * b});
  if (crd) return permute6(k, &t, (int64_t[]){x->dim[0], c, b, b, x->dim[2], x->dim[3]}, (int[]){0, 1, 4, 2, 5, 3});
  return permute6(k, &t, (int64_t[]){x->dim[0], b, b, c, x->dim[2], x->dim[3]}, (int[]){0, 3, 4, 1, 5, 2});
}

qcc_status qcc_kernel_space_to_depth(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  int64_t b;
  QCC_TRY(block_of(k, &b));
  int64_t h = x->dim[2] / b, w = x->dim[3] / b;
  if (h * b != x->dim[2] || w * b != x->dim[3]) return qcc_kx_fail(k, QCC_DATA, "D-738", "height and width must divide by the block size");
  qcc_type t = qcc_type_of(x->dtype, 4, (int64_t[]){x->dim[0], x->dim[1] * b * b, h, w});
  return permute6(k, &t, (int64_t[]){x->dim[0], x->dim[1], h, b, w, b}, (int[]){0, 3, 5, 1, 2, 4});
}
