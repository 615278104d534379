/* SPDX-License-Identifier: Apache-2.0
 * Clip, PRelu and Pow: two operands whose result has the type of the first. */
#include "backends/ref/kernels/kutil.h"

/* ---- Clip. NaN goes through; where the bounds cross, the upper one wins. */
#define CLIP(id, T)                                                                              \
  static void clip_##id(int64_t n, const void *px, const void *plo, const void *phi, void *po) { \
    const T *x = px, lo = *(const T *)plo, hi = *(const T *)phi;                                 \
    T *o = po;                                                                                   \
    for (int64_t i = 0; i < n; ++i) {                                                            \
      T v = x[i] < lo ? lo : x[i];                                                               \
      o[i] = v > hi ? hi : v;                                                                    \
    }                                                                                            \
  }
CLIP(f32, float)
CLIP(f64, double)
CLIP(s8, int8_t)
CLIP(s16, int16_t)
CLIP(s32, int32_t)
CLIP(s64, int64_t)
CLIP(u8, uint8_t)
CLIP(u16, uint16_t)
CLIP(u32, uint32_t)
CLIP(u64, uint64_t)

typedef void (*clip_loop)(int64_t n, const void *x, const void *lo, const void *hi, void *out);
static clip_loop clip_of(qcc_dtype t) {
  switch (t) {
    case QCC_F32:
    case QCC_F16:
    case QCC_BF16: return clip_f32;
    case QCC_F64: return clip_f64;
    case QCC_S8: return clip_s8;
    case QCC_S16: return clip_s16;
    case QCC_S32: return clip_s32;
    case QCC_S64: return clip_s64;
    case QCC_U8: return clip_u8;
    case QCC_U16: return clip_u16;
    case QCC_U32: return clip_u32;
    case QCC_U64: return clip_u64;
    default: return NULL;
  }
}

/* One bound as an element of type `t`; -inf/inf or the end of the integer range when it is left out. */
static qcc_status bound(qcc_kargs *k, uint32_t input, const char *attr, qcc_dtype t, bool upper, uint64_t *to) {
  const qcc_tensor *b = k->opset >= 11 ? qcc_kx_in(k, input) : NULL;
  if (b && qcc_tensor_count(b) > 0) {
    if (qcc_dtype_is_int(t))
      qcc_kx_put_s64(t, to, 0, qcc_tensor_get_s64(b, 0));
    else
      qcc_kx_put(t, to, 0, qcc_tensor_get(b, 0));
  } else if (k->opset < 11 && qcc_attr_find(k->node, attr)) {
    qcc_kx_put(t, to, 0, (double)qcc_attr_float(k->node, attr, 0));
  } else if (!qcc_dtype_is_int(t)) {
    qcc_kx_put(t, to, 0, upper ? (double)INFINITY : (double)-INFINITY);
  } else {
    qcc_kx_put_s64(t, to, 0, upper ? (t == QCC_U64 ? -1 : qcc_dtype_max(t)) : qcc_dtype_min(t));
  }
  return QCC_OK;
}

qcc_status qcc_kernel_clip(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  qcc_dtype t = x->type.dtype;
  clip_loop loop = clip_of(t);
  bool half = t == QCC_F16 || t == QCC_BF16;
  uint64_t lo = 0, hi = 0;
  void *out;
  if (!loop) return qcc_kx_no_type(k, t);
  QCC_TRY(bound(k, 1, "min", half ? QCC_F32 : t, false, &lo));
  QCC_TRY(bound(k, 2, "max", half ? QCC_F32 : t, true, &hi));
  if (!half) {
    QCC_TRY(qcc_kx_out(k, 0, &x->type, &out));
    if (out) loop(qcc_tensor_count(x), x->data, &lo, &hi, out);
    return QCC_OK;
  }
  const float *from = qcc_kx_f32(k, 0);
  float *to;
  if (!from) return QCC_NOMEM;
  QCC_TRY(qcc_kx_out_f32(k, 0, &x->type, &to));
  if (!to) return QCC_OK;
  loop(qcc_tensor_count(x), from, &lo, &hi, to);
  qcc_kx_store_f32(k, 0, to);
  return QCC_OK;
}

/* ---- the second operand broadcasts to the first */
static qcc_status second_fits(qcc_kargs *k, qcc_type *t, qcc_type *b) {
  *b = k->in[1]->type;
  return qcc_kx_bcast_type(k, t, &k->in[0]->type, b);
}

qcc_status qcc_kernel_prelu(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  qcc_type t, slope = k->in[1]->type;
  qcc_kx_bcast p;
  float *to;
  bool is_float = qcc_kx_is_float(x->type.dtype);
  if (!is_float && !qcc_dtype_is_int(x->type.dtype)) return qcc_kx_no_type(k, x->type.dtype);
  if (k->opset < 7 && slope.rank == 1 && x->type.rank > 1) { /* one slope per channel */
    for (int d = 1; d < x->type.rank - 1; ++d) slope.dim[slope.rank++] = 1;
  }
  if (!qcc_kx_bcast_init(&p, &x->type, (const qcc_type *const[]){&x->type, &slope}, 2)) {
    return qcc_kx_fail(k, QCC_DATA, "D-705", "the slope does not broadcast to the data");
  }
  const float *a = qcc_kx_f32(k, 0), *b = qcc_kx_f32(k, 1);
  t = x->type;
  if (!a || !b) return QCC_NOMEM;
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &to));
  if (!to || qcc_tensor_count(x) == 0) return QCC_OK;
  int last = p.rank - 1;
  do {
    const float *pa = a + p.offset[0], *pb = b + p.offset[1];
    int64_t step = p.stride[1][last];
    for (int64_t i = 0; i < p.dim[last]; ++i) to[p.done + i] = pa[i] < 0 ? pa[i] * pb[i * step] : pa[i];
  } while (qcc_kx_bcast_next(&p));
  if (is_float)
    qcc_kx_store_f32(k, 0, to);
  else
    for (int64_t i = 0, n = qcc_tensor_count(x); i < n; ++i) qcc_kx_put(t.dtype, qcc_kout(k, 0), i, (double)to[i]);
  return QCC_OK;
}

/* ---- Pow */
static void pow_run(int64_t n, const float *a, int64_t a_step, const float *b, int64_t b_step, float *o) {
  if (b_step == 0 && *b == 2.0f) {
    for (int64_t i = 0; i < n; ++i) o[i] = a[i * a_step] * a[i * a_step];
  } else if (b_step == 0 && *b == 0.5f) {
    for (int64_t i = 0; i < n; ++i) o[i] = sqrtf(a[i * a_step]);
  } else if (b_step == 0 && *b == 3.0f) {
    for (int64_t i = 0; i < n; ++i) o[i] = a[i * a_step] * a[i * a_step] * a[i * a_step];
  } else {
    for (int64_t i = 0; i < n; ++i) o[i] = powf(a[i * a_step], b[i * b_step]);
  }
}

static int64_t int_pow(int64_t base, int64_t e) {
  uint64_t r = 1, b = (uint64_t)base;
  if (e < 0) return base == 1 ? 1 : base == -1 ? (e % 2 ? -1 : 1) : 0;
  for (; e; e >>= 1, b *= b) {
    if (e & 1) r *= b;
  }
  return (int64_t)r;
}

static void pow_element(const qcc_tensor *a, int64_t i, const qcc_tensor *b, int64_t j, void *out, int64_t at) {
  if (qcc_dtype_is_int(a->type.dtype) && qcc_dtype_is_int(b->type.dtype)) {
    qcc_kx_put_s64(a->type.dtype, out, at, int_pow(qcc_tensor_get_s64(a, i), qcc_tensor_get_s64(b, j)));
  } else {
    qcc_kx_put(a->type.dtype, out, at, pow(qcc_tensor_get(a, i), qcc_tensor_get(b, j)));
  }
}

qcc_status qcc_kernel_pow(qcc_kargs *k) {
  const qcc_tensor *a = k->in[0], *b = k->in[1];
  qcc_type t, b_type;
  qcc_kx_bcast p;
  size_t elem;
  void *out;
  bool plain = a->type.dtype == QCC_F32 && (b->type.dtype == QCC_F32 || qcc_tensor_count(b) == 1);
  QCC_TRY(qcc_kx_elem(k, a->type.dtype, &elem));
  if (!qcc_kx_is_float(a->type.dtype) && !qcc_dtype_is_int(a->type.dtype)) return qcc_kx_no_type(k, a->type.dtype);
  QCC_TRY(second_fits(k, &t, &b_type));
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out || qcc_kx_product(t.dim, 0, t.rank) == 0) return QCC_OK;
  const float *exponent = plain ? qcc_kx_f32(k, 1) : NULL;
  if (plain && !exponent) return QCC_NOMEM;
  if (!qcc_kx_bcast_init(&p, &t, (const qcc_type *const[]){&a->type, &b_type}, 2))
    return qcc_kx_fail(k, QCC_DATA, "D-705", "shapes do not broadcast");
  int last = p.rank - 1;
  do {
    int64_t sa = p.stride[0][last], sb = p.stride[1][last];
    if (plain) {
      pow_run(p.dim[last], (const float *)a->data + p.offset[0], sa, exponent + p.offset[1], sb, (float *)out + p.done);
      continue;
    }
    for (int64_t i = 0; i < p.dim[last]; ++i) pow_element(a, p.offset[0] + i * sa, b, p.offset[1] + i * sb, out, p.done + i);
  } while (qcc_kx_bcast_next(&p));
  return QCC_OK;
}
