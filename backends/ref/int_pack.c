/* SPDX-License-Identifier: Apache-2.0
 * Which nodes on codes get packed weights when a model is opened: QLinearConv, ConvInteger, QLinearMatMul, QGemm, MatMulInteger and
 * MatMulIntegerToFloat whose weights and parameters are constant. */
#include <string.h>

#include "backends/ref/qint.h"

enum { MAX_INPUTS = 9, NONE = MAX_INPUTS };

/* Where a node has what; NONE: it has not. */
typedef struct places {
  qcc_op op;
  uint8_t x_scale, x_zero, w, w_scale, w_zero, bias, y_scale, y_zero;
} places;

static const places table[] = {
    {QCC_OP_QLINEAR_CONV, 1, 2, 3, 4, 5, 8, 6, 7},
    {QCC_OP_QLINEAR_MATMUL, 1, 2, 3, 4, 5, NONE, 6, 7},
    {QCC_OP_MS_QGEMM, 1, 2, 3, 4, 5, 6, 7, 8},
    {QCC_OP_CONV_INTEGER, NONE, 2, 1, NONE, 3, NONE, NONE, NONE},
    {QCC_OP_MATMUL_INTEGER, NONE, 2, 1, NONE, 3, NONE, NONE, NONE},
    {QCC_OP_MS_MATMUL_INTEGER_TO_FLOAT, 2, 4, 1, 3, 5, 6, NONE, NONE},
};

typedef struct reader {
  const qcc_node *n;
  const qcc_tensor *const *in;
  const places *at;
} reader;

static const qcc_tensor *input(const reader *r, uint8_t i) { return i < r->n->in_count ? r->in[i] : NULL; }
static bool given(const reader *r, uint8_t i) { return i < r->n->in_count && r->n->in[i].value; }
static bool is_byte(const qcc_tensor *t) { return t->type.dtype == QCC_U8 || t->type.dtype == QCC_S8; }

/* One number, or `count` equal ones; 0 when it is left out. */
static bool zero_of(const reader *r, uint8_t i, int64_t count, int32_t *to) {
  const qcc_tensor *t = input(r, i);
  *to = 0;
  if (!given(r, i)) return true;
  const int64_t n = t && is_byte(t) ? qcc_tensor_count(t) : 0;
  if (n != 1 && n != count) return false;
  *to = (int32_t)qcc_tensor_get_s64(t, 0);
  for (int64_t k = 1; k < n; ++k)
    if (qcc_tensor_get_s64(t, k) != *to) return false;
  return true;
}

static bool scale_of(const reader *r, uint8_t i, float *to) {
  const qcc_tensor *t = input(r, i);
  if (!t || t->type.dtype != QCC_F32 || qcc_tensor_count(t) != 1) return false;
  memcpy(to, t->data, sizeof *to);
  return true;
}

/* The factor of every column, in the order in which the kernels multiply; in `to`, which has room for all. */
static bool factors(const reader *r, int64_t count, float *to, qcc_ipack *p) {
  const qcc_tensor *w = input(r, r->at->w_scale), *z = input(r, r->at->y_zero);
  float x, y = 1.0f;
  p->end = (qcc_iend){.kind = given(r, r->at->y_zero) ? QCC_TO_CODES : given(r, r->at->w_scale) ? QCC_TO_FLOATS : QCC_TO_SUMS};
  if (p->end.kind == QCC_TO_SUMS) {
    for (int64_t i = 0; i < count; ++i) to[i] = 1.0f;
    return true;
  }
  const int64_t n = w ? qcc_tensor_count(w) : 0;
  if (!w || w->type.dtype != QCC_F32 || (n != 1 && n != count) || !scale_of(r, r->at->x_scale, &x)) return false;
  if (r->n->op == QCC_OP_MS_QGEMM) x = qcc_attr_float(r->n, "alpha", 1.0f) * x;
  for (int64_t i = 0; i < count; ++i) to[i] = x * ((const float *)w->data)[n > 1 ? i : 0];
  if (p->end.kind == QCC_TO_FLOATS) return true;
  if (!z || !is_byte(z) || !scale_of(r, r->at->y_scale, &y) || !zero_of(r, r->at->y_zero, 1, &p->end.zero)) return false;
  for (int64_t i = 0; i < count; ++i) to[i] = to[i] / y;
  p->end.lo = (float)(qcc_dtype_min(z->type.dtype) - p->end.zero);
  p->end.hi = (float)(qcc_dtype_max(z->type.dtype) - p->end.zero);
  return true;
}

static bool form_of(const reader *r, const qcc_type *t, qcc_conv *c, qcc_iweights *w) {
  const qcc_node *n = r->n;
  *c = (qcc_conv){.group = 1, .kernel = {1, 1, 1}, .dilation = {1, 1, 1}};
  if (n->op != QCC_OP_QLINEAR_CONV && n->op != QCC_OP_CONV_INTEGER) {
    const bool turned = n->op == QCC_OP_MS_QGEMM && qcc_attr_int(n, "transB", 0) != 0;
    if (t->rank != 2 || (n->op == QCC_OP_MS_QGEMM && qcc_attr_int(n, "transA", 0))) return false;
    c->cin = t->dim[turned], c->cout = t->dim[!turned];
    w->by[turned ? 0 : 2] = (size_t)t->dim[1], w->by[turned ? 2 : 0] = 1;
    return true;
  }
  const int64_t group = qcc_attr_int(n, "group", 1);
  uint32_t count;
  const int64_t *dilations = qcc_attr_ints(n, "dilations", &count);
  qcc_window win = {.rank = t->rank - 2, .group = group};
  if (t->rank < 3 || t->rank > 5 || group < 1 || group > t->dim[0] || t->dim[0] % group || (dilations && count != (uint32_t)win.rank))
    return false;
  for (int d = 0; d < win.rank; ++d) win.kernel[d] = t->dim[d + 2], win.dilation[d] = dilations ? dilations[d] : 1;
  if (!qcc_mul_s64(t->dim[1], group, &c->cin)) return false;
  qcc_conv_of(c, &win, 1, c->cin, t->dim[0]);
  c->cin = t->dim[1] * group;
  const size_t taps = (size_t)(c->kernel[0] * c->kernel[1] * c->kernel[2]);
  w->by[0] = (size_t)t->dim[1] * taps, w->by[1] = 1, w->by[2] = taps;
  return true;
}

/* s32, one per column. */
static bool bias_of(const reader *r, int64_t count, qcc_iweights *w) {
  const qcc_tensor *b = input(r, r->at->bias);
  w->bias = NULL;
  if (!given(r, r->at->bias)) return true;
  if (!b || b->type.dtype != QCC_S32 || qcc_tensor_count(b) != count || b->type.rank < 1 || b->type.dim[b->type.rank - 1] != count)
    return false;
  w->bias = b->data;
  return true;
}

/* Type and zero point of the data. Of MatMulInteger and ConvInteger the zero point may come while running, with the codes it is for. */
static bool data_of(const reader *r, qcc_iform *x, bool *late) {
  const qcc_tensor *z = input(r, r->at->x_zero);
  const qcc_value *from = r->n->in[0].value, *zero = qcc_in(r->n, r->at->x_zero);
  *late = (r->n->op == QCC_OP_MATMUL_INTEGER || r->n->op == QCC_OP_CONV_INTEGER) && !z && zero && zero->def &&
          zero->def->op == QCC_OP_DYNAMIC_QUANTIZE_LINEAR && from->def == zero->def && from->def_index == 0 && zero->def_index == 2;
  x->type = QCC_U8;
  if (*late) return true;
  if (!z || !is_byte(z)) return false;
  x->type = z->type.dtype;
  return zero_of(r, r->at->x_zero, 1, &x->zero);
}

static qcc_status pack(qcc_ipack *p, qcc_runner *r, const reader *at, const qcc_tensor *t) {
  qcc_iweights w = {.at = t->data, .type = t->type.dtype};
  qcc_conv c;
  if (!form_of(at, &t->type, &c, &w) || !zero_of(at, at->at->w_zero, c.cout, &w.zero)) return QCC_OK;
  if (!data_of(at, &p->x, &w.late) || !bias_of(at, c.cout, &w)) return QCC_OK;
  float *scale = qcc_alloc_array(r->cx, (size_t)c.cout + 1, sizeof *scale);
  if (!scale) return QCC_NOMEM;
  w.scale = scale;
  const bool ok = factors(at, c.cout, scale, p);
  const qcc_status st = ok ? qcc_ipack_new(p, r->cx, r->isimd, r->how.arithmetic, &c, &w) : QCC_OK;
  qcc_free(r->cx, scale);
  return st;
}

qcc_status qcc_ipack_node(qcc_ipack **out, qcc_runner *r, const qcc_node *n, const qcc_tensor *const *in) {
  reader at = {.n = n, .in = in};
  *out = NULL;
  for (size_t i = 0; i < sizeof table / sizeof table[0]; ++i)
    if (table[i].op == n->op) at.at = &table[i];
  const qcc_tensor *t = at.at ? input(&at, at.at->w) : NULL;
  if (!t || !is_byte(t) || qcc_tensor_count(t) < 1) return QCC_OK;
  qcc_ipack *p = qcc_zalloc_array(r->cx, 1, sizeof *p);
  if (!p) return QCC_NOMEM;
  const qcc_status st = pack(p, r, &at, t);
  if (st == QCC_OK && p->at) {
    r->stats.packed_bytes += p->bytes;
    *out = p;
  } else {
    qcc_ipack_free(r->cx, p);
  }
  return st;
}

void qcc_ipack_free(qcc_context *cx, qcc_ipack *p) {
  if (p) qcc_free(cx, p->at);
  qcc_free(cx, p);
}
