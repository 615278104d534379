/* SPDX-License-Identifier: Apache-2.0
 * ArgMax, ArgMin and TopK. Elements of every numeric type become 64-bit keys in the same order (NaN above all), so one loop serves all;
 * ties are decided by the index, so results do not depend on the algorithm. */
#include "backends/ref/kernels/kutil.h"

static int64_t float_key(double x) {
  uint64_t bits;
  if (x == 0) x = 0; /* -0 equals 0 */
  if (x != x) return INT64_MAX;
  memcpy(&bits, &x, sizeof bits);
  return bits >> 63 ? (int64_t)(~bits ^ 0x8000000000000000u) : (int64_t)bits;
}

int64_t qcc_kx_key(const qcc_tensor *x, int64_t i) {
  qcc_dtype t = x->type.dtype;
  if (t == QCC_F32) return float_key((double)((const float *)x->data)[i]);
  if (!qcc_dtype_is_int(t)) return float_key(qcc_tensor_get(x, i));
  int64_t v = qcc_tensor_get_s64(x, i);
  return t != QCC_U64 ? v : (int64_t)(((const uint64_t *)x->data)[i] ^ 0x8000000000000000u);
}

typedef struct lines {
  int64_t outer, n, inner; /* element (o, i, j) is at (o * n + i) * inner + j */
  int axis;
} lines;

static qcc_status lines_of(qcc_kargs *k, int64_t axis, lines *l) {
  const qcc_type *x = &k->in[0]->type;
  if (!qcc_kx_is_float(x->dtype) && !qcc_dtype_is_int(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(qcc_kx_axis(k, axis, x->rank, &l->axis));
  l->outer = qcc_kx_product(x->dim, 0, l->axis);
  l->n = x->dim[l->axis];
  l->inner = qcc_kx_product(x->dim, l->axis + 1, x->rank);
  return QCC_OK;
}

static int64_t best_index(const qcc_tensor *x, int64_t base, int64_t n, int64_t step, bool lowest, bool last) {
  int64_t at = 0, best = qcc_kx_key(x, base);
  bool float_nan = best == INT64_MAX && !qcc_dtype_is_int(x->type.dtype);
  for (int64_t i = 1; i < n && !float_nan; ++i) {
    int64_t v = qcc_kx_key(x, base + i * step);
    float_nan = v == INT64_MAX && !qcc_dtype_is_int(x->type.dtype); /* the first NaN wins */
    if (float_nan || (lowest ? v < best : v > best) || (last && v == best)) {
      best = v;
      at = i;
    }
  }
  return at;
}

static qcc_status arg_reduce(qcc_kargs *k, bool lowest) {
  const qcc_tensor *x = k->in[0];
  bool keep = qcc_attr_int(k->node, "keepdims", 1) != 0, last = qcc_attr_int(k->node, "select_last_index", 0) != 0;
  lines l;
  void *out;
  QCC_TRY(lines_of(k, qcc_attr_int(k->node, "axis", 0), &l));
  qcc_type t = {.dtype = QCC_S64};
  for (int d = 0; d < x->type.rank; ++d) {
    if (d != l.axis || keep) t.dim[t.rank++] = d == l.axis ? 1 : x->type.dim[d];
  }
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (l.n == 0 && l.outer * l.inner > 0) return qcc_kx_fail(k, QCC_DATA, "D-820", "axis %d is empty", l.axis);
  int64_t *to = out;
  for (int64_t i = 0; to && i < l.outer * l.inner; ++i) {
    to[i] = best_index(x, i / l.inner * l.n * l.inner + i % l.inner, l.n, l.inner, lowest, last);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_arg_max(qcc_kargs *k) { return arg_reduce(k, false); }
qcc_status qcc_kernel_arg_min(qcc_kargs *k) { return arg_reduce(k, true); }

/* ---- TopK */
typedef struct entry {
  int64_t key, index;
} entry;

static bool before(const entry *a, const entry *b, bool largest) {
  if (a->key != b->key) return largest ? a->key > b->key : a->key < b->key;
  return a->index < b->index;
}

static void sift_down(entry *heap, int64_t n, int64_t i, bool largest) {
  for (int64_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && before(&heap[child], &heap[child + 1], largest)) ++child;
    if (!before(&heap[i], &heap[child], largest)) return;
    entry swap = heap[i];
    heap[i] = heap[child];
    heap[child] = swap;
  }
}

/* A heap of the best `count` so far with the worst of them on top; sorted at the end, best first. */
static void select_best(const qcc_tensor *x, int64_t base, const lines *l, int64_t count, bool largest, entry *heap) {
  for (int64_t i = 0; i < l->n; ++i) {
    entry e = {qcc_kx_key(x, base + i * l->inner), i};
    if (i < count) {
      heap[i] = e;
      for (int64_t j = count / 2; i == count - 1 && j-- > 0;) sift_down(heap, count, j, largest);
    } else if (before(&e, &heap[0], largest)) {
      heap[0] = e;
      sift_down(heap, count, 0, largest);
    }
  }
  for (int64_t n = count - 1; n > 0; --n) {
    entry swap = heap[0];
    heap[0] = heap[n];
    heap[n] = swap;
    sift_down(heap, n, 0, largest);
  }
}

static qcc_status top_count(qcc_kargs *k, int64_t n, int64_t *count) {
  const qcc_tensor *given = k->opset >= 10 ? qcc_kx_in(k, 1) : NULL;
  *count = given && qcc_tensor_count(given) == 1 ? qcc_tensor_get_s64(given, 0) : qcc_attr_int(k->node, "k", -1);
  if (*count >= 0 && *count <= n) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-821", "k is %lld for an axis of %lld elements", (long long)*count, (long long)n);
}

qcc_status qcc_kernel_topk(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  bool largest = qcc_attr_int(k->node, "largest", 1) != 0;
  lines l;
  int64_t count;
  size_t elem;
  void *values, *indices;
  QCC_TRY(lines_of(k, qcc_attr_int(k->node, "axis", -1), &l));
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  QCC_TRY(top_count(k, l.n, &count));
  qcc_type t = x->type, it = qcc_kx_like(&x->type, QCC_S64);
  t.dim[l.axis] = it.dim[l.axis] = count;
  QCC_TRY(qcc_kx_out(k, 0, &t, &values));
  QCC_TRY(qcc_kx_out(k, 1, &it, &indices));
  entry *heap = qcc_kscratch(k, (size_t)(count + 1) * sizeof *heap);
  if (!heap) return QCC_NOMEM;
  for (int64_t i = 0; count && i < l.outer * l.inner; ++i) {
    int64_t base = i / l.inner * l.n * l.inner + i % l.inner, to = i / l.inner * count * l.inner + i % l.inner;
    select_best(x, base, &l, count, largest, heap);
    for (int64_t j = 0; j < count; ++j) {
      int64_t at = to + j * l.inner;
      if (indices) ((int64_t *)indices)[at] = heap[j].index;
      if (values)
        memcpy((char *)values + at * (int64_t)elem, (const char *)x->data + (base + heap[j].index * l.inner) * (int64_t)elem, elem);
    }
  }
  return QCC_OK;
}
