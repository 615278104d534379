/* SPDX-License-Identifier: Apache-2.0
 * Functions of one element: activations, elementary functions, rounding, tests for NaN and infinity.
 * A row of loops per function: f32 (vector code where kmath.h has the function, libm else) and f64; f16 and bf16 go through f32.
 * `p` holds up to two attribute values. NaN goes through. An output may share memory with the input. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/simd/kmath.h"
#include "backends/ref/simd/simd.h"

typedef void (*loop32)(const qcc_simd *simd, int64_t n, const float *a, float *o, const float *p);
typedef void (*loop64)(int64_t n, const double *a, double *o, const float *p);

#define UNARY_F64(name, EXPR64)                                                   \
  static void name##_f64(int64_t n, const double *a, double *o, const float *p) { \
    const double p0 = (double)p[0], p1 = (double)p[1];                            \
    (void)p0, (void)p1;                                                           \
    for (int64_t i = 0; i < n; ++i) {                                             \
      double x = a[i];                                                            \
      o[i] = (EXPR64);                                                            \
    }                                                                             \
  }

#define UNARY(name, EXPR32, EXPR64)                                                                   \
  static void name##_f32(const qcc_simd *simd, int64_t n, const float *a, float *o, const float *p) { \
    const float p0 = p[0], p1 = p[1];                                                                 \
    (void)simd, (void)p0, (void)p1;                                                                   \
    for (int64_t i = 0; i < n; ++i) {                                                                 \
      float x = a[i];                                                                                 \
      o[i] = (EXPR32);                                                                                \
    }                                                                                                 \
  }                                                                                                   \
  UNARY_F64(name, EXPR64)

static inline float softplus_f(float x) { return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x))); }
static inline double softplus_d(double x) { return (x > 0 ? x : 0) + log1p(exp(-fabs(x))); }
static inline double sigmoid_d(double x) { return 1 / (1 + exp(-x)); }
static inline double unit_d(double x) { return x < 0 ? 0 : x > 1 ? 1 : x; }
static inline float gelu_tanh_f(float x) { return 0.5f * x * (1 + qcc_km_tanh(0.7978845608f * (x + 0.044715f * x * x * x))); }
static inline double gelu_tanh_d(double x) { return 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x))); }

/* Functions with loops for the processor at hand. */
#define UNARY_SIMD(name, ACT, EXPR64)                                                                 \
  static void name##_f32(const qcc_simd *simd, int64_t n, const float *a, float *o, const float *p) { \
    simd->act(ACT, o, a, (size_t)n, p[0], p[1]);                                                      \
  }                                                                                                   \
  UNARY_F64(name, EXPR64)

UNARY_SIMD(relu, QCC_ACT_RELU, x < 0 ? 0 : x)
UNARY_SIMD(sigmoid, QCC_ACT_SIGMOID, sigmoid_d(x))
UNARY_SIMD(tanh, QCC_ACT_TANH, tanh(x))
UNARY_SIMD(exp, QCC_ACT_EXP, exp(x))
UNARY_SIMD(leaky_relu, QCC_ACT_LEAKY_RELU, x < 0 ? p0 * x : x)
UNARY(elu, x < 0 ? p0 * expm1f(x) : x, x < 0 ? p0 * expm1(x) : x)
UNARY(selu, p1 *(x > 0 ? x : p0 * expm1f(x)), p1 *(x > 0 ? x : p0 * expm1(x)))
UNARY(celu, x > 0 ? x : p0 * expm1f(x / p0), x > 0 ? x : p0 * expm1(x / p0))
UNARY_SIMD(hard_sigmoid, QCC_ACT_HARD_SIGMOID, unit_d(p0 *x + p1))
UNARY_SIMD(hard_swish, QCC_ACT_HARD_SWISH, x *unit_d(x / 6 + 0.5))
UNARY(thresholded_relu, x > p0 ? x : x != x ? x : 0, x > p0 ? x : x != x ? x : 0)
UNARY(softplus, softplus_f(x), softplus_d(x))
UNARY(softsign, x / (1 + fabsf(x)), x / (1 + fabs(x)))
UNARY(mish, x *qcc_km_tanh(softplus_f(x)), x *tanh(softplus_d(x)))
UNARY(swish, x *qcc_km_sigmoid(p0 *x), x *sigmoid_d(p0 *x))
UNARY_SIMD(gelu_erf, QCC_ACT_GELU, 0.5 * x * (1 + erf(x * 0.70710678118654752)))
UNARY(gelu_tanh, gelu_tanh_f(x), gelu_tanh_d(x))
UNARY(shrink, x<-p0 ? x + p1 : x> p0 ? x - p1 : x != x ? x : 0, x<-p0 ? x + p1 : x> p0 ? x - p1 : x != x ? x : 0)
UNARY(log, logf(x), log(x))
UNARY(sqrt, sqrtf(x), sqrt(x))
UNARY(reciprocal, 1 / x, 1 / x)
UNARY_SIMD(erf, QCC_ACT_ERF, erf(x))
UNARY(sin, sinf(x), sin(x))
UNARY(cos, cosf(x), cos(x))
UNARY(tan, tanf(x), tan(x))
UNARY(asin, asinf(x), asin(x))
UNARY(acos, acosf(x), acos(x))
UNARY(atan, atanf(x), atan(x))
UNARY(sinh, sinhf(x), sinh(x))
UNARY(cosh, coshf(x), cosh(x))
UNARY(asinh, asinhf(x), asinh(x))
UNARY(acosh, acoshf(x), acosh(x))
UNARY(atanh, atanhf(x), atanh(x))
UNARY(abs, fabsf(x), fabs(x))
UNARY(neg, -x, -x)
UNARY(floor, floorf(x), floor(x))
UNARY(ceil, ceilf(x), ceil(x))
UNARY(round, rintf(x), rint(x))
UNARY(sign, x > 0 ? 1 : x < 0 ? -1 : x, x > 0 ? 1 : x < 0 ? -1 : x)

static qcc_status unary(qcc_kargs *k, loop32 f32, loop64 f64, float p0, float p1) {
  const qcc_tensor *x = k->in[0];
  const float p[2] = {p0, p1};
  int64_t n = qcc_tensor_count(x);
  if (!qcc_kx_is_float(x->type.dtype)) return qcc_kx_no_type(k, x->type.dtype);
  if (x->type.dtype == QCC_F64) {
    void *to;
    QCC_TRY(qcc_kx_out(k, 0, &x->type, &to));
    if (to) f64(n, x->data, to, p);
    return QCC_OK;
  }
  const float *from = qcc_kx_f32(k, 0);
  float *to;
  if (!from) return QCC_NOMEM;
  QCC_TRY(qcc_kx_out_f32(k, 0, &x->type, &to));
  if (!to) return QCC_OK;
  f32(qcc_ksimd(k), n, from, to, p);
  qcc_kx_store_f32(k, 0, to);
  return QCC_OK;
}

#define KERNEL(name) \
  qcc_status qcc_kernel_##name(qcc_kargs *k) { return unary(k, name##_f32, name##_f64, 0, 0); }
#define KERNEL_P(name, a0, d0, a1, d1)                                                                         \
  qcc_status qcc_kernel_##name(qcc_kargs *k) {                                                                 \
    return unary(k, name##_f32, name##_f64, qcc_attr_float(k->node, a0, d0), qcc_attr_float(k->node, a1, d1)); \
  }

KERNEL(sigmoid)
KERNEL(tanh)
KERNEL(exp)
KERNEL(hard_swish)
KERNEL(softplus)
KERNEL(softsign)
KERNEL(mish)
KERNEL(log)
KERNEL(sqrt)
KERNEL(reciprocal)
KERNEL(erf)
KERNEL(sin)
KERNEL(cos)
KERNEL(tan)
KERNEL(asin)
KERNEL(acos)
KERNEL(atan)
KERNEL(sinh)
KERNEL(cosh)
KERNEL(asinh)
KERNEL(acosh)
KERNEL(atanh)
KERNEL(floor)
KERNEL(ceil)
KERNEL(round)
KERNEL_P(leaky_relu, "alpha", 0.01f, "", 0)
KERNEL_P(elu, "alpha", 1, "", 0)
KERNEL_P(selu, "alpha", 1.67326319f, "gamma", 1.05070102f)
KERNEL_P(celu, "alpha", 1, "", 0)
KERNEL_P(hard_sigmoid, "alpha", 0.2f, "beta", 0.5f)
KERNEL_P(thresholded_relu, "alpha", 1, "", 0)
KERNEL_P(swish, "alpha", 1, "", 0)

qcc_status qcc_kernel_gelu(qcc_kargs *k) {
  bool is_tanh = !strcmp(qcc_attr_str(k->node, "approximate", "none"), "tanh");
  return unary(k, is_tanh ? gelu_tanh_f32 : gelu_erf_f32, is_tanh ? gelu_tanh_f64 : gelu_erf_f64, 0, 0);
}

/* ---- functions that integers have too */
typedef int64_t (*int_fn)(int64_t x, const float *p);
static int64_t int_relu(int64_t x, const float *p) { return (void)p, x < 0 ? 0 : x; }
static int64_t int_abs(int64_t x, const float *p) { return (void)p, x < 0 ? (int64_t)(0 - (uint64_t)x) : x; }
static int64_t int_neg(int64_t x, const float *p) { return (void)p, (int64_t)(0 - (uint64_t)x); }
static int64_t int_sign(int64_t x, const float *p) { return (void)p, (x > 0) - (x < 0); }
static int64_t int_shrink(int64_t x, const float *p) {
  double v = (double)x, y = v < -(double)p[0] ? v + (double)p[1] : v > (double)p[0] ? v - (double)p[1] : 0;
  return (int64_t)y;
}

/* Low bytes of v: wraps, as two's complement does. */
static void put_int(void *to, size_t elem, int64_t i, int64_t v) { memcpy((char *)to + (size_t)i * elem, &v, elem); }

static qcc_status on_ints(qcc_kargs *k, int_fn fn, float p0, float p1) {
  const qcc_tensor *x = k->in[0];
  const float p[2] = {p0, p1};
  size_t elem;
  void *to;
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, &x->type, &to));
  if (!to) return QCC_OK;
  if (qcc_dtype_kind(x->type.dtype) == QCC_KIND_UINT && fn != int_neg && fn != int_sign && fn != int_shrink) {
    memmove(to, x->data, x->bytes);
    return QCC_OK;
  }
  for (int64_t i = 0, n = qcc_tensor_count(x); i < n; ++i) put_int(to, elem, i, fn(qcc_tensor_get_s64(x, i), p));
  return QCC_OK;
}

static qcc_status float_or_int(qcc_kargs *k, loop32 f32, loop64 f64, int_fn fn, float p0, float p1) {
  if (qcc_dtype_is_int(k->in[0]->type.dtype)) return on_ints(k, fn, p0, p1);
  return unary(k, f32, f64, p0, p1);
}

qcc_status qcc_kernel_relu(qcc_kargs *k) { return float_or_int(k, relu_f32, relu_f64, int_relu, 0, 0); }
qcc_status qcc_kernel_abs(qcc_kargs *k) { return float_or_int(k, abs_f32, abs_f64, int_abs, 0, 0); }
qcc_status qcc_kernel_neg(qcc_kargs *k) { return float_or_int(k, neg_f32, neg_f64, int_neg, 0, 0); }
qcc_status qcc_kernel_sign(qcc_kargs *k) { return float_or_int(k, sign_f32, sign_f64, int_sign, 0, 0); }
qcc_status qcc_kernel_shrink(qcc_kargs *k) {
  return float_or_int(k, shrink_f32, shrink_f64, int_shrink, qcc_attr_float(k->node, "lambd", 0.5f), qcc_attr_float(k->node, "bias", 0));
}

/* ---- to and from truth values */
qcc_status qcc_kernel_not(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  const uint8_t *from = x->data;
  void *out;
  if (x->type.dtype != QCC_BOOL) return qcc_kx_no_type(k, x->type.dtype);
  QCC_TRY(qcc_kx_out(k, 0, &x->type, &out));
  uint8_t *to = out;
  for (int64_t i = 0, n = to ? qcc_tensor_count(x) : 0; i < n; ++i) to[i] = !from[i];
  return QCC_OK;
}

qcc_status qcc_kernel_bitwise_not(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  const uint8_t *from = x->data;
  void *out;
  size_t elem;
  if (!qcc_dtype_is_int(x->type.dtype)) return qcc_kx_no_type(k, x->type.dtype);
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, &x->type, &out));
  uint8_t *to = out;
  for (int64_t i = 0, n = to ? qcc_tensor_count(x) * (int64_t)elem : 0; i < n; ++i) to[i] = (uint8_t)~from[i];
  return QCC_OK;
}

static qcc_status float_test(qcc_kargs *k, bool nan, bool plus, bool minus) {
  const qcc_tensor *x = k->in[0];
  qcc_type t = qcc_kx_like(&x->type, QCC_BOOL);
  void *out;
  if (qcc_dtype_kind(x->type.dtype) != QCC_KIND_FLOAT) return qcc_kx_no_type(k, x->type.dtype);
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  uint8_t *to = out;
  for (int64_t i = 0, n = to ? qcc_tensor_count(x) : 0; i < n; ++i) {
    double v = qcc_tensor_get(x, i);
    bool hit = nan ? isnan(v) != 0 : isinf(v) && (v > 0 ? plus : minus);
    to[i] = hit;
  }
  return QCC_OK;
}

qcc_status qcc_kernel_is_nan(qcc_kargs *k) { return float_test(k, true, false, false); }
qcc_status qcc_kernel_is_inf(qcc_kargs *k) {
  return float_test(k, false, qcc_attr_int(k->node, "detect_positive", 1) != 0, qcc_attr_int(k->node, "detect_negative", 1) != 0);
}
