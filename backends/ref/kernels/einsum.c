/* SPDX-License-Identifier: Apache-2.0
 * Einsum. Every label becomes a loop with one stride per operand (repeated labels: the sum of strides, a diagonal). Two f32 operands whose
 * summed labels stand in both are brought to [batch, m, k] x [batch, k, n] and multiplied; all else is a plain loop in double. */
#include "backends/ref/kernels/kutil.h"

enum { MAX_OPERANDS = 8, MAX_LABELS = 32, ELLIPSIS = 256 /* label of the last broadcast axis; further ones count up */ };

typedef struct label {
  int name;
  int64_t size, stride[MAX_OPERANDS]; /* in elements; 0 where the operand lacks it */
  bool has[MAX_OPERANDS], in_out;
} label;

typedef struct einsum {
  label at[MAX_LABELS];
  int count, operands;
  int out[QCC_MAX_RANK], out_rank; /* labels of the output axes */
  int ellipsis;                    /* most axes that an ellipsis stands for */
} einsum;

static qcc_status bad(qcc_kargs *k, const char *what) {
  return qcc_kx_fail(k, QCC_DATA, "D-860", "equation \"%.100s\": %s", qcc_attr_str(k->node, "equation", ""), what);
}

static int find(const einsum *e, int name) {
  for (int i = 0; i < e->count; ++i) {
    if (e->at[i].name == name) return i;
  }
  return -1;
}

static qcc_status add_axis(qcc_kargs *k, einsum *e, int operand, int name, int64_t size, int64_t stride) {
  int i = find(e, name);
  if (i < 0) {
    if (e->count == MAX_LABELS) return bad(k, "too many labels");
    i = e->count++;
    e->at[i] = (label){.name = name, .size = 1};
  }
  label *l = &e->at[i];
  if (size != 1 && l->size != 1 && size != l->size) return bad(k, "a label has two sizes");
  if (size != 1) {
    l->size = size;
    l->stride[operand] += stride;
  }
  l->has[operand] = true;
  return QCC_OK;
}

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* One operand's term; *s moves to the comma, arrow or end. */
static qcc_status read_term(qcc_kargs *k, einsum *e, int operand, const char **s) {
  const qcc_type *t = &k->in[operand]->type;
  int64_t stride[QCC_MAX_RANK];
  int letters = 0, axis = 0;
  bool dots = false;
  for (const char *p = *s; *p && *p != ',' && *p != '-'; ++p) letters += is_letter(*p);
  qcc_kx_strides(stride, t->dim, t->rank, 1);
  for (; **s && **s != ',' && **s != '-'; ++*s) {
    if (**s == ' ') continue;
    if (is_letter(**s)) {
      if (axis >= t->rank) return bad(k, "a term has more labels than its operand axes");
      QCC_TRY(add_axis(k, e, operand, **s, t->dim[axis], stride[axis]));
      ++axis;
    } else if (!dots && strncmp(*s, "...", 3) == 0 && t->rank >= letters) {
      int n = t->rank - letters;
      for (int i = 0; i < n; ++i, ++axis) QCC_TRY(add_axis(k, e, operand, ELLIPSIS + n - 1 - i, t->dim[axis], stride[axis]));
      if (n > e->ellipsis) e->ellipsis = n;
      dots = true;
      *s += 2;
    } else {
      return bad(k, "only letters, one ellipsis per term, commas and -> are allowed");
    }
  }
  return axis == t->rank ? QCC_OK : bad(k, "a term has fewer labels than its operand axes");
}

static qcc_status add_out(qcc_kargs *k, einsum *e, int name) {
  int i = find(e, name);
  if (i < 0) return bad(k, "an output label stands in no operand");
  if (e->at[i].in_out) return bad(k, "an output label stands twice");
  if (e->out_rank == QCC_MAX_RANK) return bad(k, "the output has too many axes");
  e->at[i].in_out = true;
  e->out[e->out_rank++] = i;
  return QCC_OK;
}

static qcc_status add_ellipsis(qcc_kargs *k, einsum *e) {
  for (int i = e->ellipsis - 1; i >= 0; --i) QCC_TRY(add_out(k, e, ELLIPSIS + i));
  return QCC_OK;
}

/* Without an arrow: the ellipsis, then every label that stands once in all, in alphabetical order. */
static qcc_status implicit_out(qcc_kargs *k, einsum *e, const char *equation) {
  QCC_TRY(add_ellipsis(k, e));
  for (int c = 'A'; c <= 'z'; ++c) {
    int times = 0;
    for (const char *p = equation; *p; ++p) times += *p == c;
    if (times == 1 && is_letter((char)c)) QCC_TRY(add_out(k, e, c));
  }
  return QCC_OK;
}

static qcc_status parse(qcc_kargs *k, einsum *e) {
  const char *equation = qcc_attr_str(k->node, "equation", ""), *s = equation;
  if (k->in_count > MAX_OPERANDS)
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-861", "%u operands; at most %d have a kernel", k->in_count, MAX_OPERANDS);
  e->operands = (int)k->in_count;
  for (int i = 0; i < e->operands; ++i) {
    QCC_TRY(read_term(k, e, i, &s));
    if (i + 1 < e->operands && *s++ != ',') return bad(k, "there are fewer terms than operands");
  }
  if (!*s) return implicit_out(k, e, equation);
  if (s[0] != '-' || s[1] != '>') return bad(k, "there are more terms than operands");
  for (s += 2; *s; ++s) {
    if (*s == ' ') continue;
    if (is_letter(*s)) {
      QCC_TRY(add_out(k, e, *s));
    } else if (strncmp(s, "...", 3) == 0) {
      QCC_TRY(add_ellipsis(k, e));
      s += 2;
    } else {
      return bad(k, "only letters and one ellipsis may follow ->");
    }
  }
  return QCC_OK;
}

/* ---- plain loops: output labels outside, summed labels inside */
static double term(const einsum *e, const qcc_tensor *const *in, const int64_t *offset) {
  double p = 1;
  for (int o = 0; o < e->operands; ++o) {
    p *= in[o]->type.dtype == QCC_F32 ? (double)((const float *)in[o]->data)[offset[o]] : qcc_tensor_get(in[o], offset[o]);
  }
  return p;
}

/* Advances the counters of `order`, the last one fastest; false when all are through (and back at 0). */
static bool advance(const einsum *e, const int *order, int n, int64_t *at, int64_t *offset) {
  for (int i = n - 1; i >= 0; --i) {
    const label *l = &e->at[order[i]];
    bool more = ++at[i] < l->size;
    for (int o = 0; o < e->operands; ++o) offset[o] += more ? l->stride[o] : -l->stride[o] * (l->size - 1);
    if (more) return true;
    at[i] = 0;
  }
  return false;
}

static void plain(qcc_kargs *k, const einsum *e, qcc_dtype t, void *to, int64_t count) {
  int sums[MAX_LABELS], n = 0;
  int64_t out_at[QCC_MAX_RANK] = {0}, sum_at[MAX_LABELS] = {0}, offset[MAX_OPERANDS] = {0};
  bool empty = false;
  for (int i = 0; i < e->count; ++i) {
    if (!e->at[i].in_out) sums[n++] = i;
    empty |= !e->at[i].in_out && e->at[i].size == 0;
  }
  for (int64_t i = 0; i < count; ++i) {
    double sum = 0;
    if (!empty) {
      do { sum += term(e, k->in, offset); } while (advance(e, sums, n, sum_at, offset));
    }
    qcc_kx_put(t, to, i, sum);
    advance(e, e->out, e->out_rank, out_at, offset);
  }
}

/* ---- as matrix products */
typedef struct factors {
  int batch[MAX_LABELS], m[MAX_LABELS], n[MAX_LABELS], k[MAX_LABELS];
  int batches, ms, ns, ks;
  int64_t batch_size, m_size, n_size, k_size;
} factors;

static bool factor(const einsum *e, factors *f) {
  *f = (factors){.batch_size = 1, .m_size = 1, .n_size = 1, .k_size = 1};
  if (e->operands != 2) return false;
  for (int j = 0; j < e->out_rank; ++j) { /* in the order of the output, so that it needs no transposition when possible */
    const label *l = &e->at[e->out[j]];
    bool both = l->has[0] && l->has[1];
    if (both && (l->size != 1) && (l->stride[0] == 0 || l->stride[1] == 0)) return false;
    if (both)
      f->batch[f->batches++] = e->out[j], f->batch_size *= l->size;
    else if (l->has[0])
      f->m[f->ms++] = e->out[j], f->m_size *= l->size;
    else
      f->n[f->ns++] = e->out[j], f->n_size *= l->size;
  }
  for (int i = 0; i < e->count; ++i) {
    const label *l = &e->at[i];
    if (l->in_out) continue;
    if (l->size != 1 && (l->stride[0] == 0 || l->stride[1] == 0)) return false;
    f->k[f->ks++] = i;
    f->k_size *= l->size;
  }
  return f->batches + f->ms + f->ks <= QCC_MAX_RANK && f->batches + f->ns + f->ks <= QCC_MAX_RANK;
}

static void list_axes(const einsum *e, int operand, const int *labels, int n, qcc_kx_move *m) {
  for (int i = 0; i < n; ++i) {
    m->dim[m->rank] = e->at[labels[i]].size;
    m->from[m->rank++] = e->at[labels[i]].stride[operand] * (int64_t)sizeof(float);
  }
}

static qcc_status products(qcc_kargs *k, const einsum *e, const factors *f, float *to, const qcc_type *t) {
  qcc_kx_move a = {.rank = 0}, b = {.rank = 0}, c = {.rank = t->rank};
  int64_t stride[QCC_MAX_RANK], dim[QCC_MAX_RANK];
  int order[QCC_MAX_RANK], n = 0;
  list_axes(e, 0, f->batch, f->batches, &a);
  list_axes(e, 0, f->m, f->ms, &a);
  list_axes(e, 0, f->k, f->ks, &a);
  list_axes(e, 1, f->batch, f->batches, &b);
  list_axes(e, 1, f->k, f->ks, &b);
  list_axes(e, 1, f->n, f->ns, &b);
  qcc_kx_strides(a.to, a.dim, a.rank, sizeof(float));
  qcc_kx_strides(b.to, b.dim, b.rank, sizeof(float));
  int64_t m = f->m_size, w = f->n_size, depth = f->k_size;
  float *pa = qcc_kscratch(k, (size_t)(f->batch_size * m * depth + 1) * sizeof *pa);
  float *pb = qcc_kscratch(k, (size_t)(f->batch_size * depth * w + 1) * sizeof *pb);
  float *pc = qcc_kscratch(k, (size_t)(f->batch_size * m * w + 1) * sizeof *pc);
  if (!pa || !pb || !pc) return QCC_NOMEM;
  qcc_kx_copy(pa, k->in[0]->data, &a, sizeof(float));
  qcc_kx_copy(pb, k->in[1]->data, &b, sizeof(float));
  for (int64_t i = 0; i < f->batch_size; ++i)
    qcc_kx_gemm(false, false, m, w, depth, pa + i * m * depth, pb + i * depth * w, pc + i * m * w, false);
  for (int i = 0; i < f->batches; ++i) order[n++] = f->batch[i];
  for (int i = 0; i < f->ms; ++i) order[n++] = f->m[i];
  for (int i = 0; i < f->ns; ++i) order[n++] = f->n[i];
  for (int i = 0; i < n; ++i) dim[i] = e->at[order[i]].size;
  qcc_kx_strides(stride, dim, n, sizeof(float));
  for (int d = 0; d < t->rank; ++d) {
    c.dim[d] = t->dim[d];
    for (int i = 0; i < n; ++i) {
      if (order[i] == e->out[d]) c.from[d] = stride[i];
    }
  }
  qcc_kx_strides(c.to, c.dim, c.rank, sizeof(float));
  qcc_kx_copy(to, pc, &c, sizeof(float));
  return QCC_OK;
}

qcc_status qcc_kernel_einsum(qcc_kargs *k) {
  einsum e = {.count = 0};
  factors f;
  void *out;
  qcc_type t = {.dtype = k->in[0]->type.dtype};
  bool f32 = true;
  QCC_TRY(qcc_kx_need_all(k));
  QCC_TRY(parse(k, &e));
  for (uint32_t i = 0; i < k->in_count; ++i) {
    f32 &= k->in[i]->type.dtype == QCC_F32;
    if (!qcc_kx_is_float(k->in[i]->type.dtype) && !qcc_dtype_is_int(k->in[i]->type.dtype)) return qcc_kx_no_type(k, k->in[i]->type.dtype);
  }
  for (int d = 0; d < e.out_rank; ++d) t.dim[t.rank++] = e.at[e.out[d]].size;
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  if (f32 && factor(&e, &f)) return products(k, &e, &f, out, &t);
  plain(k, &e, t.dtype, out, qcc_tensor_count(&k->out[0]));
  return QCC_OK;
}
