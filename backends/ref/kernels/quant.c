/* SPDX-License-Identifier: Apache-2.0
 * QuantizeLinear, DequantizeLinear, DynamicQuantizeLinear and FakeQuant: per tensor, per channel and in blocks.
 * Invariant: bit-equal to qcc_quantize1 and qcc_dequantize1 of ir/quant.h; the vector loops are used only where that holds. */
#include <float.h>

#include "backends/ref/kernels/kutil.h"
#include "backends/ref/run.h"
#include "ir/quant.h"

/* Where the scale of an element is: x is [outer][channels][inner], scales stand every `block` channels (block 1: per channel). */
typedef struct grains {
  int64_t outer, channels, inner, block, rows; /* rows: scales along the axis */
  bool whole;
} grains;

static qcc_status grains_of(qcc_kargs *k, const qcc_type *x, const qcc_type *s, grains *g) {
  const int64_t count = s->rank ? qcc_kx_product(s->dim, 0, s->rank) : 1;
  int64_t block = qcc_attr_int(k->node, "block_size", 0), total;
  int axis;
  if (!qcc_type_count(x, &total)) total = 0;
  *g = (grains){.outer = 1, .channels = 1, .inner = total, .block = 1, .rows = 1, .whole = true};
  if (count == 1 && block <= 0) return QCC_OK;
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 1), x->rank, &axis));
  *g = (grains){.outer = qcc_kx_product(x->dim, 0, axis), .channels = x->dim[axis], .inner = qcc_kx_product(x->dim, axis + 1, x->rank)};
  g->block = block > 0 ? block : 1;
  g->rows = (g->channels + g->block - 1) / g->block;
  if (count == (block > 0 ? g->outer * g->rows * g->inner : g->rows)) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-220", "%lld scales do not fit %lld channels", (long long)count, (long long)g->channels);
}

/* Index of the scale of channel c at outer o, inner i. */
static int64_t scale_at(const grains *g, bool blocked, int64_t o, int64_t c, int64_t i) {
  if (g->whole) return 0;
  return blocked ? (o * g->rows + c / g->block) * g->inner + i : c;
}

typedef struct params {
  const float *scale;
  const qcc_tensor *zero;
  bool blocked;
  grains g;
} params;

static int32_t zero_of(const params *p, int64_t i) {
  if (!p->zero || !qcc_dtype_is_int(p->zero->type.dtype)) return 0;
  return (int32_t)qcc_tensor_get_s64(p->zero, i);
}

static qcc_status params_of(qcc_kargs *k, params *p) {
  *p = (params){.scale = qcc_kx_f32(k, 1), .zero = qcc_kx_in(k, 2), .blocked = qcc_attr_int(k->node, "block_size", 0) > 0};
  if (!p->scale) return QCC_NOMEM;
  QCC_TRY(grains_of(k, &k->in[0]->type, &k->in[1]->type, &p->g));
  if (p->zero && qcc_tensor_count(p->zero) != qcc_tensor_count(k->in[1]))
    return qcc_kx_fail(k, QCC_DATA, "D-221", "scale and zero point have different sizes");
  return QCC_OK;
}

/* ---- QuantizeLinear */
static bool is_byte(qcc_dtype t) { return t == QCC_U8 || t == QCC_S8; }

static void quantize_run(qcc_kargs *k, qcc_tensor *to, const float *x, int64_t from, int64_t n, float scale, int32_t zero) {
  const qcc_dtype t = to->type.dtype;
  if (!qcc_dtype_is_int(t)) { /* float8: the division, then the conversion */
    for (int64_t i = from; i < from + n; ++i) qcc_tensor_set(to, i, (double)(x[i] / scale));
    return;
  }
  const int32_t lo = (int32_t)qcc_dtype_min(t), hi = (int32_t)qcc_dtype_max(t);
  if (is_byte(t)) {
    uint8_t *y = (uint8_t *)qcc_kout(k, 0) + from;
    k->worker->simd->codes(y, x + from, (size_t)n, scale, (float)(lo - zero), (float)(hi - zero), zero);
    return;
  }
  for (int64_t i = from; i < from + n; ++i) qcc_tensor_set(to, i, (double)qcc_quantize1(x[i], scale, zero, lo, hi));
}

static void quantize_all(qcc_kargs *k, const params *p, qcc_tensor *to, const float *x) {
  const grains *g = &p->g;
  for (int64_t o = 0; o < g->outer; ++o) {
    for (int64_t c = 0; c < g->channels; ++c) {
      const int64_t at = (o * g->channels + c) * g->inner;
      if (!p->blocked) {
        const int64_t s = scale_at(g, false, o, c, 0);
        quantize_run(k, to, x, at, g->inner, p->scale[s], zero_of(p, s));
        continue;
      }
      for (int64_t i = 0; i < g->inner; ++i) {
        const int64_t s = scale_at(g, true, o, c, i);
        quantize_run(k, to, x, at + i, 1, p->scale[s], zero_of(p, s));
      }
    }
  }
}

qcc_status qcc_kernel_quantize(qcc_kargs *k) {
  const qcc_tensor *zero = qcc_kx_in(k, 2);
  const int64_t named = qcc_attr_int(k->node, "output_dtype", 0);
  qcc_type t = k->in[0]->type;
  params p;
  void *to;
  t.dtype = zero ? zero->type.dtype : named > 0 && named < QCC_DTYPE_COUNT ? (qcc_dtype)named : QCC_U8;
  if (t.dtype == QCC_S32 || qcc_dtype_bits(t.dtype) > 16 || qcc_dtype_bits(t.dtype) == 0) return qcc_kx_no_type(k, t.dtype);
  QCC_TRY(params_of(k, &p));
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  const float *x = qcc_kx_f32(k, 0);
  if (!to || !x) return to ? QCC_NOMEM : QCC_OK;
  if (is_byte(t.dtype)) {
    quantize_all(k, &p, &k->out[0], x);
    return QCC_OK;
  }
  qcc_tensor own = {0}; /* single elements of any type are set in owned tensors only */
  QCC_TRY(qcc_tensor_new(&own, k->cx, &t));
  quantize_all(k, &p, &own, x);
  memcpy(to, own.data, own.bytes);
  qcc_tensor_release(&own);
  return QCC_OK;
}

/* ---- DequantizeLinear */
static void dequantize_run(const qcc_tensor *x, float *y, int64_t from, int64_t n, float scale, int32_t zero) {
  const qcc_dtype t = x->type.dtype;
  if (t == QCC_U8) {
    const uint8_t *q = x->data;
    for (int64_t i = from; i < from + n; ++i) y[i] = (float)(q[i] - zero) * scale;
  } else if (t == QCC_S8) {
    const int8_t *q = x->data;
    for (int64_t i = from; i < from + n; ++i) y[i] = (float)(q[i] - zero) * scale;
  } else if (t == QCC_S32) {
    const int32_t *q = x->data;
    for (int64_t i = from; i < from + n; ++i) y[i] = (float)((int64_t)q[i] - zero) * scale;
  } else if (qcc_dtype_is_int(t)) {
    for (int64_t i = from; i < from + n; ++i) y[i] = (float)(qcc_tensor_get_s64(x, i) - zero) * scale;
  } else {
    for (int64_t i = from; i < from + n; ++i) y[i] = (float)qcc_tensor_get(x, i) * scale;
  }
}

static void dequantize_all(const params *p, const qcc_tensor *x, float *y) {
  const grains *g = &p->g;
  for (int64_t o = 0; o < g->outer; ++o) {
    for (int64_t c = 0; c < g->channels; ++c) {
      const int64_t at = (o * g->channels + c) * g->inner;
      if (!p->blocked) {
        const int64_t s = scale_at(g, false, o, c, 0);
        dequantize_run(x, y, at, g->inner, p->scale[s], zero_of(p, s));
        continue;
      }
      for (int64_t i = 0; i < g->inner; ++i) {
        const int64_t s = scale_at(g, true, o, c, i);
        dequantize_run(x, y, at + i, 1, p->scale[s], zero_of(p, s));
      }
    }
  }
}

qcc_status qcc_kernel_dequantize(qcc_kargs *k) {
  qcc_type t = k->in[0]->type;
  params p;
  float *y;
  const int64_t named = qcc_attr_int(k->node, "output_dtype", 0);
  t.dtype = named > 0 && named < QCC_DTYPE_COUNT ? (qcc_dtype)named : k->in[1]->type.dtype;
  if (!qcc_kx_is_float(t.dtype)) return qcc_kx_no_type(k, t.dtype);
  QCC_TRY(params_of(k, &p));
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  if (!y) return QCC_OK;
  dequantize_all(&p, k->in[0], y);
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- ranges found while running */
void qcc_dynamic_params(const qcc_simd *simd, const float *x, size_t n, float *scale, int32_t *zero) {
  float lo = 0.0f, hi = 0.0f;
  simd->range(x, n, &lo, &hi);
  const float span = hi - lo;
  *scale = span > 0.0f && span <= FLT_MAX ? span / 255.0f : 1.0f;
  const int64_t z = qcc_round_even((double)(-lo / *scale));
  *zero = (int32_t)(z < 0 ? 0 : z > 255 ? 255 : z);
}

qcc_status qcc_kernel_dynamic_quantize(qcc_kargs *k) {
  const qcc_type t = qcc_kx_like(&k->in[0]->type, QCC_U8), st = {.dtype = QCC_F32}, zt = {.dtype = QCC_U8};
  void *to, *scale_to, *zero_to;
  int32_t zero;
  float scale;
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  QCC_TRY(qcc_kx_out(k, 1, &st, &scale_to));
  QCC_TRY(qcc_kx_out(k, 2, &zt, &zero_to));
  const float *x = qcc_kx_f32(k, 0);
  if (!x) return QCC_NOMEM;
  const size_t n = (size_t)qcc_tensor_count(k->in[0]);
  qcc_dynamic_params(k->worker->simd, x, n, &scale, &zero);
  if (to) k->worker->simd->codes(to, x, n, scale, (float)-zero, (float)(255 - zero), zero);
  if (scale_to) memcpy(scale_to, &scale, sizeof scale);
  if (zero_to) *(uint8_t *)zero_to = (uint8_t)zero;
  return QCC_OK;
}

/* ---- FakeQuant */
static const int64_t one_zero = 0;

/* The attributes; scale counts as one when it is not per channel. */
static qcc_status fake_attrs(qcc_kargs *k, const float **scale, const int64_t **zero, uint32_t *count, int32_t *lo, int32_t *hi) {
  uint32_t zeros;
  const qcc_dtype t = qcc_dtype_from_name(qcc_attr_str(k->node, "dtype", "u8"));
  *scale = qcc_attr_floats(k->node, "scale", count);
  *zero = qcc_attr_ints(k->node, "zero", &zeros);
  if (!*count || (zeros && zeros != *count) || !(qcc_dtype_is_int(t) || qcc_dtype_is_f8(t)))
    return qcc_kx_fail(k, QCC_INVALID, "M-220", "FakeQuant needs an integer or f8 dtype, scale, and as many zero points as scales");
  if (!zeros) *zero = *count == 1 ? &one_zero : NULL;
  *lo = (int32_t)qcc_attr_int(k->node, "lo", qcc_dtype_is_f8(t) ? 0 : qcc_dtype_min(t));
  *hi = (int32_t)qcc_attr_int(k->node, "hi", qcc_dtype_is_f8(t) ? 0 : qcc_dtype_max(t));
  return QCC_OK;
}

static void fake_run(const qcc_simd *simd, float *y, const float *x, int64_t n, float scale, int64_t zero, int32_t lo, int32_t hi) {
  const int64_t low = lo - zero, high = hi - zero;
  if (low > -(1 << 22) && high < 1 << 22)
    simd->fake_quant(y, x, (size_t)n, scale, (float)low, (float)high);
  else
    qcc_fake_quantize(y, x, (size_t)n, scale, (int32_t)zero, lo, hi);
}

/* Weights in blocks along the axis, or in f8: computed once, when the constants are folded. */
static qcc_status fake_weight(qcc_kargs *k, float *y, const float *x, int axis, const float *scale, const int64_t *zero, uint32_t count) {
  int32_t *zeros = qcc_kscratch(k, count * sizeof *zeros);
  if (!zeros) return QCC_NOMEM;
  for (uint32_t i = 0; i < count; ++i) zeros[i] = zero ? (int32_t)zero[i] : 0;
  const qcc_qparams q = {.dtype = qcc_dtype_from_name(qcc_attr_str(k->node, "dtype", "u8")),
                         .axis = axis,
                         .block = qcc_attr_int(k->node, "block", 0),
                         .count = count,
                         .scale = scale,
                         .zero = zeros};
  return qcc_fake_quantize_tensor(k->node->graph->cx, y, x, &k->in[0]->type, &q);
}

static void codes_run(float *y, const float *x, int64_t n, float scale, int64_t zero) {
  for (int64_t i = 0; i < n; ++i) y[i] = (x[i] - (float)zero) * scale;
}

static qcc_status fake_static(qcc_kargs *k, float *y, const float *x, bool codes) {
  const float *scale;
  const int64_t *zero;
  uint32_t count;
  int32_t lo = 0, hi = 0;
  int axis;
  QCC_TRY(fake_attrs(k, &scale, &zero, &count, &lo, &hi));
  const qcc_type *t = &k->in[0]->type;
  const int64_t named = qcc_attr_int(k->node, "axis", -1);
  const bool f8 = qcc_dtype_is_f8(qcc_dtype_from_name(qcc_attr_str(k->node, "dtype", "u8")));
  if (f8 && codes) return qcc_kx_fail(k, QCC_INVALID, "M-223", "codes are integers");
  if (f8 && named < 0) return fake_weight(k, y, x, -1, scale, zero, count);
  if (count == 1 && named < 0) {
    if (codes)
      codes_run(y, x, qcc_tensor_count(k->in[0]), scale[0], zero ? zero[0] : 0);
    else
      fake_run(k->worker->simd, y, x, qcc_tensor_count(k->in[0]), scale[0], zero ? zero[0] : 0, lo, hi);
    return QCC_OK;
  }
  QCC_TRY(qcc_kx_axis(k, named, t->rank, &axis));
  if (f8 || qcc_attr_int(k->node, "block", 0)) return fake_weight(k, y, x, axis, scale, zero, count);
  const int64_t outer = qcc_kx_product(t->dim, 0, axis), channels = t->dim[axis], inner = qcc_kx_product(t->dim, axis + 1, t->rank);
  if (channels != (int64_t)count) return qcc_kx_fail(k, QCC_INVALID, "M-221", "%u scales for %lld channels", count, (long long)channels);
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t c = 0; c < channels; ++c) {
      const int64_t at = (o * channels + c) * inner;
      if (codes)
        codes_run(y + at, x + at, inner, scale[c], zero ? zero[c] : 0);
      else
        fake_run(k->worker->simd, y + at, x + at, inner, scale[c], zero ? zero[c] : 0, lo, hi);
    }
  }
  return QCC_OK;
}

/* An input of codes is dequantized in place, behind its values as floats. */
static qcc_status fake_codes(qcc_kargs *k) {
  qcc_type t = k->in[0]->type;
  float *y;
  if (qcc_attr_int(k->node, "block", 0)) return qcc_kx_fail(k, QCC_INVALID, "M-223", "codes have one scale, or one for each channel");
  t.dtype = QCC_F32;
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  if (!y) return QCC_OK;
  qcc_tensor_read_f32(k->in[0], y);
  return fake_static(k, y, y, true);
}

qcc_status qcc_kernel_fake_quant(qcc_kargs *k) {
  const qcc_type t = k->in[0]->type;
  float *y;
  if (qcc_dtype_is_int(t.dtype) && !qcc_attr_int(k->node, "dynamic", 0)) return fake_codes(k);
  if (!qcc_kx_is_float(t.dtype)) return qcc_kx_no_type(k, t.dtype);
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  const float *x = qcc_kx_f32(k, 0);
  if (!y || !x) return y ? QCC_NOMEM : QCC_OK;
  if (qcc_attr_int(k->node, "dynamic", 0)) {
    const size_t n = (size_t)qcc_tensor_count(k->in[0]);
    float scale;
    int32_t zero;
    qcc_dynamic_params(k->worker->simd, x, n, &scale, &zero);
    k->worker->simd->fake_quant(y, x, n, scale, (float)-zero, (float)(255 - zero));
  } else {
    QCC_TRY(fake_static(k, y, x, false));
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}
