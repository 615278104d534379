/* SPDX-License-Identifier: Apache-2.0
 * Sequences and optionals. A list is an immutable array of tensors (ir/tensor.h): every operator makes a new array whose items are shared, so
 * nothing is copied but what is split or joined. The shape rules know nothing of lists; here everything is checked. */
#include "backends/ref/kernels/kutil.h"

/* ---- lists in the making */
typedef struct maker {
  qcc_tensor *item;
  size_t n, cap;
} maker;

static qcc_status maker_new(qcc_kargs *k, maker *m, size_t cap) {
  *m = (maker){.item = qcc_zalloc_array(k->cx, cap + 1, sizeof *m->item), .cap = cap};
  return m->item ? QCC_OK : QCC_NOMEM;
}

static qcc_status add(qcc_kargs *k, maker *m, const qcc_tensor *t) {
  QCC_TRY(qcc_tensor_share(&m->item[m->n], k->cx, t));
  ++m->n;
  return QCC_OK;
}

/* The list becomes output `i` when `st` is QCC_OK; the maker is empty afterwards. */
static qcc_status finish(qcc_kargs *k, uint32_t i, qcc_dtype kind, maker *m, qcc_status st) {
  if (st == QCC_OK && k->want[i]) {
    st = qcc_tensor_list(&k->out[i], k->cx, kind, m->item, m->n);
  } else {
    for (size_t j = 0; m->item && j < m->n; ++j) qcc_tensor_release(&m->item[j]);
  }
  qcc_free(k->cx, m->item);
  return st;
}

static qcc_status need_list(qcc_kargs *k, uint32_t i, qcc_dtype kind) {
  if (qcc_kx_in(k, i) && k->in[i]->type.dtype == kind) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-256", "input %u is no %s", i, qcc_dtype_name(kind));
}

static qcc_status need_tensor(qcc_kargs *k, uint32_t i) {
  if (k->in[i] && !qcc_tensor_is_list(k->in[i])) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-257", "input %u is no tensor", i);
}

/* Position in [-n, n + more); absent: n + more - 1. */
static qcc_status position(qcc_kargs *k, uint32_t input, int64_t n, int more, int64_t *at) {
  const qcc_tensor *t = qcc_kx_in(k, input);
  *at = n + more - 1;
  if (t && (!qcc_dtype_is_int(t->type.dtype) || qcc_tensor_count(t) != 1))
    return qcc_kx_fail(k, QCC_DATA, "D-258", "the position must be one whole number");
  if (t) *at = qcc_tensor_get_s64(t, 0);
  if (*at >= -n && *at < 0) *at += n;
  if (*at >= 0 && *at < n + more) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-259", "position %lld in a sequence of %lld", (long long)*at, (long long)n);
}

/* ---- sequences */
qcc_status qcc_kernel_sequence_construct(qcc_kargs *k) {
  maker m;
  QCC_TRY(qcc_kx_need_all(k));
  for (uint32_t i = 0; i < k->in_count; ++i) QCC_TRY(need_tensor(k, i));
  qcc_status st = maker_new(k, &m, k->in_count);
  for (uint32_t i = 0; st == QCC_OK && i < k->in_count; ++i) st = add(k, &m, k->in[i]);
  return finish(k, 0, QCC_SEQUENCE, &m, st);
}

qcc_status qcc_kernel_sequence_empty(qcc_kargs *k) {
  maker m;
  return finish(k, 0, QCC_SEQUENCE, &m, maker_new(k, &m, 0));
}

qcc_status qcc_kernel_sequence_length(qcc_kargs *k) {
  void *to;
  QCC_TRY(need_list(k, 0, QCC_SEQUENCE));
  QCC_TRY(qcc_kx_out(k, 0, &(qcc_type){.dtype = QCC_S64}, &to));
  if (to) *(int64_t *)to = qcc_tensor_count(k->in[0]);
  return QCC_OK;
}

qcc_status qcc_kernel_sequence_at(qcc_kargs *k) {
  int64_t at;
  QCC_TRY(need_list(k, 0, QCC_SEQUENCE));
  QCC_TRY(position(k, 1, qcc_tensor_count(k->in[0]), 0, &at));
  return qcc_kx_pass_on(k, 0, &qcc_tensor_items(k->in[0])[at]);
}

qcc_status qcc_kernel_sequence_insert(qcc_kargs *k) {
  maker m;
  int64_t at, n;
  QCC_TRY(need_list(k, 0, QCC_SEQUENCE));
  QCC_TRY(need_tensor(k, 1));
  n = qcc_tensor_count(k->in[0]);
  QCC_TRY(position(k, 2, n, 1, &at));
  const qcc_tensor *item = qcc_tensor_items(k->in[0]);
  if (n && item->type.dtype != k->in[1]->type.dtype)
    return qcc_kx_fail(k, QCC_DATA, "D-260", "a tensor of type %s in a sequence of %s", qcc_dtype_name(k->in[1]->type.dtype),
                       qcc_dtype_name(item->type.dtype));
  qcc_status st = maker_new(k, &m, (size_t)n + 1);
  for (int64_t i = 0; st == QCC_OK && i <= n; ++i) st = add(k, &m, i == at ? k->in[1] : &item[i > at ? i - 1 : i]);
  return finish(k, 0, QCC_SEQUENCE, &m, st);
}

qcc_status qcc_kernel_sequence_erase(qcc_kargs *k) {
  maker m;
  int64_t at, n;
  QCC_TRY(need_list(k, 0, QCC_SEQUENCE));
  n = qcc_tensor_count(k->in[0]);
  QCC_TRY(position(k, 1, n, 0, &at));
  qcc_status st = maker_new(k, &m, (size_t)n);
  for (int64_t i = 0; st == QCC_OK && i < n; ++i)
    if (i != at) st = add(k, &m, &qcc_tensor_items(k->in[0])[i]);
  return finish(k, 0, QCC_SEQUENCE, &m, st);
}

/* ---- between tensors and sequences */
typedef struct split {
  int axis;
  bool drop; /* the axis goes */
  int64_t outer, inner, n;
  const qcc_bytes *text;
} split;

/* Rows [from, from + n) along the axis as a tensor of its own. */
static qcc_status cut(qcc_kargs *k, const split *s, int64_t from, int64_t n, qcc_tensor *to) {
  const qcc_tensor *x = k->in[0];
  qcc_type t = x->type;
  t.dim[s->axis] = n;
  if (s->drop) {
    memmove(t.dim + s->axis, t.dim + s->axis + 1, (size_t)(t.rank - s->axis - 1) * sizeof *t.dim);
    t.rank--;
  }
  size_t elem;
  QCC_TRY(qcc_kx_elem(k, t.dtype, &elem));
  QCC_TRY(qcc_tensor_new(to, k->cx, &t));
  const size_t row = (size_t)s->inner * elem;
  char *at = qcc_tensor_mut(to);
  for (int64_t o = 0; o < s->outer; ++o)
    memcpy(at + (size_t)(o * n) * row, (const char *)x->data + (size_t)(o * s->n + from) * row, (size_t)n * row);
  return QCC_OK;
}

static qcc_status split_all(qcc_kargs *k, const split *s, maker *m) {
  const qcc_tensor *sizes = qcc_kx_in(k, 1);
  const bool list = sizes && sizes->type.rank == 1;
  int64_t each = sizes && !list ? qcc_tensor_get_s64(sizes, 0) : 1, at = 0;
  for (size_t i = 0; i < m->cap; ++i) {
    if (list) each = qcc_tensor_get_s64(sizes, (int64_t)i);
    const int64_t n = list || each < s->n - at ? each : s->n - at;
    if (n < 0 || n > s->n - at)
      return qcc_kx_fail(k, QCC_DATA, "D-261", "part %zu of %lld rows does not fit %lld rows", i, (long long)n, (long long)s->n);
    QCC_TRY(cut(k, s, at, n, &m->item[m->n]));
    ++m->n;
    at += n;
  }
  return at == s->n
             ? QCC_OK
             : qcc_kx_fail(k, QCC_DATA, "D-261", "the parts have %lld rows together, the input %lld", (long long)at, (long long)s->n);
}

qcc_status qcc_kernel_split_to_sequence(qcc_kargs *k) {
  const qcc_tensor *sizes = qcc_kx_in(k, 1);
  maker m;
  split s = {.drop = !sizes && qcc_attr_int(k->node, "keepdims", 1) == 0};
  QCC_TRY(need_tensor(k, 0));
  const qcc_type *x = &k->in[0]->type;
  if (sizes && (!qcc_dtype_is_int(sizes->type.dtype) || sizes->type.rank > 1))
    return qcc_kx_fail(k, QCC_DATA, "D-262", "split must be a whole number or a list of them");
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), x->rank, &s.axis));
  s.n = x->dim[s.axis];
  s.outer = qcc_kx_product(x->dim, 0, s.axis);
  s.inner = qcc_kx_product(x->dim, s.axis + 1, x->rank);
  int64_t parts = s.n;
  if (sizes && sizes->type.rank == 1) {
    parts = sizes->type.dim[0];
  } else if (sizes) {
    const int64_t each = qcc_tensor_get_s64(sizes, 0);
    if (each < 1) return qcc_kx_fail(k, QCC_DATA, "D-262", "split is %lld; the least is 1", (long long)each);
    parts = s.n / each + (s.n % each != 0);
  }
  qcc_status st = maker_new(k, &m, (size_t)parts);
  if (st == QCC_OK) st = split_all(k, &s, &m);
  return finish(k, 0, QCC_SEQUENCE, &m, st);
}

static qcc_status joined_type(qcc_kargs *k, const qcc_tensor *item, int64_t n, bool stack, qcc_type *t, int *axis) {
  *t = item->type;
  if (stack && t->rank == QCC_MAX_RANK) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-263", "a result of rank %d", t->rank + 1);
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), t->rank + stack, axis));
  if (stack) {
    memmove(t->dim + *axis + 1, t->dim + *axis, (size_t)(t->rank - *axis) * sizeof *t->dim);
    t->rank++;
    t->dim[*axis] = n;
  } else {
    t->dim[*axis] = 0;
  }
  for (int64_t i = 0; i < n; ++i) {
    bool same = item[i].type.rank == item->type.rank && item[i].type.dtype == item->type.dtype;
    for (int d = 0; same && d < item->type.rank; ++d) same = (!stack && d == *axis) || item[i].type.dim[d] == item->type.dim[d];
    if (!same || (!stack && !qcc_add_s64(t->dim[*axis], item[i].type.dim[*axis], &t->dim[*axis])))
      return qcc_kx_fail(k, QCC_DATA, "D-264", "item %lld does not fit the others", (long long)i);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_concat_from_sequence(qcc_kargs *k) {
  const bool stack = qcc_attr_int(k->node, "new_axis", 0) != 0;
  qcc_type t;
  int axis;
  size_t elem;
  void *to;
  QCC_TRY(need_list(k, 0, QCC_SEQUENCE));
  const qcc_tensor *item = qcc_tensor_items(k->in[0]);
  const int64_t n = qcc_tensor_count(k->in[0]);
  if (!n) return qcc_kx_fail(k, QCC_DATA, "D-265", "the sequence is empty");
  QCC_TRY(joined_type(k, item, n, stack, &t, &axis));
  QCC_TRY(qcc_kx_elem(k, t.dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  if (!to) return QCC_OK;
  const int64_t outer = qcc_kx_product(t.dim, 0, axis), inner = qcc_kx_product(t.dim, axis + 1, t.rank) * (int64_t)elem;
  int64_t at = 0;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t rows = stack ? 1 : item[i].type.dim[axis];
    for (int64_t o = 0; o < outer; ++o)
      memcpy((char *)to + (o * t.dim[axis] + at) * inner, (const char *)item[i].data + o * rows * inner, (size_t)(rows * inner));
    at += rows;
  }
  return QCC_OK;
}

/* ---- SequenceMap: the body once per item of the first input */
static qcc_status map_item(qcc_kargs *k, const qcc_graph *body, int64_t i, qcc_tensor *in, qcc_tensor *out, maker *m) {
  for (uint32_t j = 0; j < k->in_count; ++j) {
    in[j] = *k->in[j];
    if (k->in[j]->type.dtype == QCC_SEQUENCE) in[j] = qcc_tensor_items(k->in[j])[i];
  }
  QCC_TRY(qcc_krun(k, body, in, out));
  for (uint32_t j = 0; j < k->out_count; ++j) {
    m[j].item[m[j].n++] = out[j];
    out[j] = (qcc_tensor){0};
  }
  for (uint32_t j = k->out_count; j < body->output_count; ++j) qcc_tensor_release(&out[j]);
  return QCC_OK;
}

static qcc_status map_all(qcc_kargs *k, const qcc_graph *body, qcc_tensor *in, qcc_tensor *out, maker *m) {
  const int64_t n = qcc_tensor_count(k->in[0]);
  for (uint32_t j = 1; j < k->in_count; ++j)
    if (k->in[j]->type.dtype == QCC_SEQUENCE && qcc_tensor_count(k->in[j]) != n)
      return qcc_kx_fail(k, QCC_DATA, "D-266", "input %u has %lld items, the first input %lld", j, (long long)qcc_tensor_count(k->in[j]),
                         (long long)n);
  for (uint32_t j = 0; j < k->out_count; ++j) QCC_TRY(maker_new(k, &m[j], (size_t)n));
  for (int64_t i = 0; i < n; ++i) QCC_TRY(map_item(k, body, i, in, out, m));
  return QCC_OK;
}

qcc_status qcc_kernel_sequence_map(qcc_kargs *k) {
  const qcc_graph *body = qcc_attr_graph(k->node, "body");
  if (!body || body->input_count != k->in_count || body->output_count < k->out_count)
    return qcc_kx_fail(k, QCC_DATA, "D-267", "the body does not have the inputs and outputs of the operator");
  QCC_TRY(qcc_kx_need_all(k));
  QCC_TRY(need_list(k, 0, QCC_SEQUENCE));
  qcc_tensor *in = qcc_zalloc_array(k->cx, k->in_count + 1, sizeof *in),
             *out = qcc_zalloc_array(k->cx, body->output_count + 1, sizeof *out);
  maker *m = qcc_zalloc_array(k->cx, k->out_count + 1, sizeof *m);
  qcc_status st = in && out && m ? map_all(k, body, in, out, m) : QCC_NOMEM;
  for (uint32_t j = 0; m && j < k->out_count; ++j) st = finish(k, j, QCC_SEQUENCE, &m[j], st);
  qcc_free(k->cx, m);
  qcc_free(k->cx, out);
  qcc_free(k->cx, in);
  return st;
}

/* ---- optionals */
qcc_status qcc_kernel_optional(qcc_kargs *k) {
  const qcc_tensor *x = qcc_kx_in(k, 0);
  maker m;
  qcc_status st = maker_new(k, &m, 1);
  if (st == QCC_OK && x) st = add(k, &m, x);
  return finish(k, 0, QCC_OPTIONAL, &m, st);
}

qcc_status qcc_kernel_optional_has_element(qcc_kargs *k) {
  const qcc_tensor *x = qcc_kx_in(k, 0);
  void *to;
  QCC_TRY(qcc_kx_out(k, 0, &(qcc_type){.dtype = QCC_BOOL}, &to));
  if (to) *(uint8_t *)to = x && (x->type.dtype != QCC_OPTIONAL || qcc_tensor_count(x) > 0);
  return QCC_OK;
}

qcc_status qcc_kernel_optional_get_element(qcc_kargs *k) {
  const qcc_tensor *x = qcc_kx_in(k, 0);
  if (!x || (x->type.dtype == QCC_OPTIONAL && qcc_tensor_count(x) == 0)) return qcc_kx_fail(k, QCC_DATA, "D-268", "the optional is empty");
  return qcc_kx_pass_on(k, 0, x->type.dtype == QCC_OPTIONAL ? qcc_tensor_items(x) : x);
}
