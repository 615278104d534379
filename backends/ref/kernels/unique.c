/* SPDX-License-Identifier: Apache-2.0
 * Unique: equal slices along an axis (or equal elements) are found by a stable sort of their numbers; the first of each group stands for it. */
#include "backends/ref/kernels/kutil.h"

typedef struct slices { /* slice i holds the elements (o * count + i) * inner + j */
  const qcc_tensor *x;
  const qcc_bytes *text; /* elements of string tensors */
  int64_t count, outer, inner;
} slices;

static int compare(const slices *s, int64_t a, int64_t b) {
  for (int64_t o = 0; o < s->outer; ++o) {
    for (int64_t j = 0; j < s->inner; ++j) {
      const int64_t p = (o * s->count + a) * s->inner + j, q = (o * s->count + b) * s->inner + j;
      if (s->text) {
        const int c = qcc_kx_compare_text(s->text[p], s->text[q]);
        if (c) return c;
        continue;
      }
      const int64_t u = qcc_kx_key(s->x, p), v = qcc_kx_key(s->x, q);
      if (u != v) return u < v ? -1 : 1;
    }
  }
  return 0;
}

/* Merges runs of growing width; `spare` is as long as `order`. The result stands in `order`. */
static void sort(const slices *s, int64_t *order, int64_t *spare) {
  const int64_t n = s->count;
  for (int64_t width = 1; width < n; width *= 2) {
    for (int64_t lo = 0; lo < n; lo += 2 * width) {
      const int64_t mid = lo + width < n ? lo + width : n, hi = lo + 2 * width < n ? lo + 2 * width : n;
      for (int64_t i = lo, a = lo, b = mid; i < hi; ++i)
        spare[i] = a < mid && (b == hi || compare(s, order[a], order[b]) <= 0) ? order[a++] : order[b++];
    }
    memcpy(order, spare, (size_t)n * sizeof *order);
  }
}

typedef struct groups {
  int64_t n;
  int64_t *first, *members; /* of group i, in the order of the output */
  int64_t *of;              /* group of each slice */
} groups;

static qcc_status group(qcc_kargs *k, const slices *s, bool sorted, groups *g) {
  const size_t bytes = ((size_t)s->count + 1) * sizeof(int64_t);
  int64_t *order = qcc_kscratch(k, bytes), *spare = qcc_kscratch(k, bytes), *place = qcc_kscratch(k, bytes);
  *g = (groups){.first = qcc_kscratch(k, bytes), .members = qcc_kscratch(k, bytes), .of = qcc_kscratch(k, bytes)};
  if (!order || !spare || !place || !g->first || !g->members || !g->of) return QCC_NOMEM;
  for (int64_t i = 0; i < s->count; ++i) order[i] = i;
  sort(s, order, spare);
  for (int64_t i = 0; i < s->count; ++i) { /* the sort is stable: the first of a group comes first */
    if (i == 0 || compare(s, order[i - 1], order[i])) g->first[g->n++] = order[i];
    g->of[order[i]] = g->n - 1;
  }
  if (!sorted) { /* renumber by first occurrence */
    int64_t seen = 0;
    for (int64_t i = 0; i < g->n; ++i) place[i] = -1;
    for (int64_t i = 0; i < s->count; ++i) {
      int64_t *p = &place[g->of[i]];
      if (*p < 0) {
        g->first[seen] = i;
        *p = seen++;
      }
      g->of[i] = *p;
    }
  }
  memset(g->members, 0, bytes);
  for (int64_t i = 0; i < s->count; ++i) g->members[g->of[i]]++;
  return QCC_OK;
}

static qcc_status put_values(qcc_kargs *k, const slices *s, const groups *g, const qcc_type *t) {
  const size_t elem = qcc_dtype_bits(t->dtype) / 8;
  if (!k->want[0]) return QCC_OK;
  if (s->text) {
    qcc_bytes *to = qcc_kscratch(k, ((size_t)(s->outer * g->n * s->inner) + 1) * sizeof *to);
    if (!to) return QCC_NOMEM;
    for (int64_t i = 0; i < s->outer * g->n * s->inner; ++i)
      to[i] = s->text[(i / s->inner / g->n * s->count + g->first[i / s->inner % g->n]) * s->inner + i % s->inner];
    return qcc_kx_put_text(k, 0, t, to);
  }
  void *to;
  QCC_TRY(qcc_kx_out(k, 0, t, &to));
  const size_t run = (size_t)s->inner * elem;
  for (int64_t o = 0; o < s->outer; ++o) {
    for (int64_t i = 0; i < g->n; ++i)
      memcpy((char *)to + (size_t)(o * g->n + i) * run, (const char *)s->x->data + (size_t)(o * s->count + g->first[i]) * run, run);
  }
  return QCC_OK;
}

static qcc_status put_numbers(qcc_kargs *k, uint32_t i, const int64_t *from, int64_t n) {
  const qcc_type t = qcc_type_of(QCC_S64, 1, &n);
  void *to;
  QCC_TRY(qcc_kx_out(k, i, &t, &to));
  if (to && n) memcpy(to, from, (size_t)n * sizeof *from);
  return QCC_OK;
}

qcc_status qcc_kernel_unique(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  const bool whole = !qcc_attr_find(k->node, "axis");
  slices s = {.x = x, .count = qcc_tensor_count(x), .outer = 1, .inner = 1};
  qcc_type t = qcc_type_of(x->type.dtype, 1, &s.count);
  int axis = 0;
  size_t elem;
  groups g;
  if (x->type.dtype == QCC_STRING)
    QCC_TRY(qcc_kx_text(k, x, &s.text));
  else
    QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  if (qcc_dtype_kind(x->type.dtype) == QCC_KIND_COMPLEX) return qcc_kx_no_type(k, x->type.dtype);
  if (!whole) {
    QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), x->type.rank, &axis));
    t = x->type;
    s.count = t.dim[axis];
    s.outer = qcc_kx_product(t.dim, 0, axis);
    s.inner = qcc_kx_product(t.dim, axis + 1, t.rank);
  }
  QCC_TRY(group(k, &s, qcc_attr_int(k->node, "sorted", 1) != 0, &g));
  t.dim[axis] = g.n;
  QCC_TRY(put_values(k, &s, &g, &t));
  QCC_TRY(put_numbers(k, 1, g.first, g.n));
  QCC_TRY(put_numbers(k, 2, g.of, s.count));
  return put_numbers(k, 3, g.members, g.n);
}
