/* SPDX-License-Identifier: Apache-2.0
 * Random tensors. The generator is keyed by the seed attribute (or the name of the output), the number of
 * the sample and the nodes that ran before, so that a run gives the same bytes on any number of workers; two nodes without a seed differ. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/run.h"

typedef struct source {
  uint64_t at;
} source;

/* A counter through a mixing function: every 64-bit state is good. */
static uint64_t next(source *s) {
  uint64_t z = s->at += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static double uniform(source *s) { return (double)(next(s) >> 11) * 0x1p-53; } /* [0, 1) */

static double normal(source *s) {
  const double r = sqrt(-2 * log(1 - uniform(s)));
  return r * cos(6.283185307179586 * uniform(s));
}

static source start(const qcc_kargs *k) {
  const qcc_attr *seed = qcc_attr_find(k->node, "seed");
  const char *name = k->node->out_count && k->node->out[0] ? k->node->out[0]->name : "";
  source s = {.at = 0x2545f4914f6cdd1du};
  uint32_t bits = 0;
  if (seed && seed->kind == QCC_ATTR_INT) bits = (uint32_t)seed->i;
  if (seed && seed->kind == QCC_ATTR_FLOAT) memcpy(&bits, &seed->f, sizeof bits);
  s.at ^= bits;
  for (; !seed && *name; ++name) s.at = (s.at ^ (uint8_t)*name) * 0x100000001b3u;
  s.at ^= next(&s) + (uint64_t)k->worker->sample * 0xd1342543de82ef95u + k->worker->steps * 0xaf251af3b0f025b5u;
  return s;
}

static qcc_status fill(qcc_kargs *k, const qcc_type *t, bool is_normal) {
  const double a = (double)qcc_attr_float(k->node, is_normal ? "mean" : "low", 0),
               b = (double)qcc_attr_float(k->node, is_normal ? "scale" : "high", 1);
  source s = start(k);
  void *to;
  if (!qcc_kx_is_float(t->dtype)) return qcc_kx_no_type(k, t->dtype);
  QCC_TRY(qcc_kx_out(k, 0, t, &to));
  for (int64_t i = 0, n = to ? qcc_tensor_count(&k->out[0]) : 0; i < n; ++i)
    qcc_kx_put(t->dtype, to, i, is_normal ? a + b * normal(&s) : a + (b - a) * uniform(&s));
  return QCC_OK;
}

static qcc_status fill_new(qcc_kargs *k, bool is_normal) {
  qcc_type t = {.dtype = (qcc_dtype)qcc_attr_int(k->node, "dtype", QCC_F32)};
  int64_t size[QCC_MAX_RANK];
  int n;
  QCC_TRY(qcc_kx_ints(k, QCC_KX_NO_INPUT, "shape", size, QCC_MAX_RANK, &n));
  t.rank = (int8_t)(n < 0 ? 0 : n);
  for (int i = 0; i < n; ++i) t.dim[i] = size[i];
  return fill(k, &t, is_normal);
}

static qcc_type like_input(const qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  return qcc_kx_like(x, (qcc_dtype)qcc_attr_int(k->node, "dtype", x->dtype));
}

qcc_status qcc_kernel_random_uniform(qcc_kargs *k) { return fill_new(k, false); }
qcc_status qcc_kernel_random_normal(qcc_kargs *k) { return fill_new(k, true); }

qcc_status qcc_kernel_random_uniform_like(qcc_kargs *k) {
  const qcc_type t = like_input(k);
  return fill(k, &t, false);
}

qcc_status qcc_kernel_random_normal_like(qcc_kargs *k) {
  const qcc_type t = like_input(k);
  return fill(k, &t, true);
}

qcc_status qcc_kernel_bernoulli(qcc_kargs *k) {
  const qcc_type t = like_input(k);
  source s = start(k);
  size_t elem;
  void *to;
  QCC_TRY(qcc_kx_elem(k, t.dtype, &elem));
  if (qcc_dtype_kind(t.dtype) == QCC_KIND_COMPLEX || !qcc_kx_is_float(k->in[0]->type.dtype)) return qcc_kx_no_type(k, t.dtype);
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  for (int64_t i = 0, n = to ? qcc_tensor_count(k->in[0]) : 0; i < n; ++i) {
    const bool one = uniform(&s) < qcc_tensor_get(k->in[0], i);
    if (t.dtype == QCC_BOOL)
      ((uint8_t *)to)[i] = one;
    else
      qcc_kx_put(t.dtype, to, i, one ? 1 : 0);
  }
  return QCC_OK;
}

/* The inputs are logarithms of weights. */
qcc_status qcc_kernel_multinomial(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const int64_t classes = x->dim[1], n = qcc_attr_int(k->node, "sample_size", 1);
  const qcc_type t = qcc_type_of((qcc_dtype)qcc_attr_int(k->node, "dtype", QCC_S32), 2, (int64_t[]){x->dim[0], n});
  source s = start(k);
  void *to;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  double *sum = qcc_kscratch(k, ((size_t)classes + 1) * sizeof *sum);
  if (!sum) return QCC_NOMEM;
  if (classes == 0 && x->dim[0] * n > 0) return qcc_kx_fail(k, QCC_DATA, "D-253", "there are no classes to draw from");
  for (int64_t b = 0; to && b < x->dim[0]; ++b) {
    double top = -INFINITY, total = 0;
    for (int64_t c = 0; c < classes; ++c) top = fmax(top, qcc_tensor_get(k->in[0], b * classes + c));
    for (int64_t c = 0; c < classes; ++c) sum[c] = total += exp(qcc_tensor_get(k->in[0], b * classes + c) - top);
    for (int64_t i = 0; i < n; ++i) {
      const double at = uniform(&s) * total;
      int64_t c = 0;
      while (c + 1 < classes && !(at < sum[c])) ++c;
      qcc_kx_put_s64(t.dtype, to, b * n + i, c);
    }
  }
  return QCC_OK;
}

qcc_status qcc_kx_drop(qcc_kargs *k, double rate) {
  const qcc_type *t = &k->in[0]->type, mask = qcc_kx_like(t, QCC_BOOL);
  source s = start(k);
  void *to, *kept;
  if (!qcc_kx_is_float(t->dtype)) return qcc_kx_no_type(k, t->dtype);
  QCC_TRY(qcc_kx_out(k, 0, t, &to));
  QCC_TRY(qcc_kx_out(k, 1, &mask, &kept));
  for (int64_t i = 0, n = qcc_tensor_count(k->in[0]); i < n; ++i) {
    const bool keep = uniform(&s) >= rate;
    if (to) qcc_kx_put(t->dtype, to, i, keep ? qcc_tensor_get(k->in[0], i) / (1 - rate) : 0);
    if (kept) ((uint8_t *)kept)[i] = keep;
  }
  return QCC_OK;
}
