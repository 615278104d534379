/* SPDX-License-Identifier: Apache-2.0
 * Element-wise operators of com.microsoft on codes: QLinearAdd, QLinearMul, QLinearWhere, QLinearConcat, QLinearSigmoid, QLinearLeakyRelu and
 * QLinearSoftmax. The same bits as ONNX Runtime on x86-64 with AVX2: every operation in f32, in its order, with its fused steps. */
#include <float.h>

#include "backends/ref/kernels/integer.h"
#include "ir/quant.h"

static qcc_status need_bytes(qcc_kargs *k, const qcc_tensor *x) {
  return x->type.dtype == QCC_U8 || x->type.dtype == QCC_S8 ? QCC_OK : qcc_kx_no_type(k, x->type.dtype);
}

static int32_t code_at(qcc_dtype t, const uint8_t *x, int64_t i) { return t == QCC_U8 ? x[i] : (int8_t)x[i]; }

/* Rounded to even, saturated; the zero point is part of x already. */
static uint8_t to_code(qcc_dtype t, float x) {
  const float lo = t == QCC_U8 ? 0.0f : -128.0f, r = rintf(x);
  return (uint8_t)(int32_t)(!(r > lo) ? lo : r > lo + 255.0f ? lo + 255.0f : r);
}

/* ---- QLinearAdd, QLinearMul */
typedef struct binary {
  qcc_dtype type;
  qcc_kx_params a, b, c;
} binary;

/* a + (b + the zero points), each step fused. Along a run where one operand stands still, its part is rounded beforehand. */
static void add_run(const binary *p, uint8_t *to, const uint8_t *a, const uint8_t *b, int64_t n, int64_t step_a, int64_t step_b) {
  const float ra = p->a.scale / p->c.scale, rb = p->b.scale / p->c.scale;
  const bool swapped = step_a == 0 && step_b != 0;
  const qcc_dtype t = p->type;
  const float first = swapped ? ra * (float)p->a.zero : rb * (float)p->b.zero;
  const float zeros = swapped ? fmaf(rb, (float)p->b.zero, first) : fmaf(ra, (float)p->a.zero, first);
  const float fixed = (float)p->c.zero - zeros;
  for (int64_t i = 0; i < n; ++i) {
    const float x = (float)code_at(t, a, i * step_a), y = (float)code_at(t, b, i * step_b);
    to[i] = to_code(t, swapped ? fmaf(y, rb, fmaf(x, ra, fixed)) : fmaf(x, ra, fmaf(y, rb, fixed)));
  }
}

static void mul_run(const binary *p, uint8_t *to, const uint8_t *a, const uint8_t *b, int64_t n, int64_t step_a, int64_t step_b) {
  const bool swapped = step_a == 0 && step_b != 0;
  const float ratio = (swapped ? p->b.scale * p->a.scale : p->a.scale * p->b.scale) / p->c.scale;
  for (int64_t i = 0; i < n; ++i) {
    const int32_t product =
        (code_at(p->type, a, i * step_a) - p->a.zero) * (code_at(p->type, b, i * step_b) - p->b.zero); /* below 2^17: exact */
    const float scaled = (float)product * ratio;
    to[i] = to_code(p->type, scaled + (float)p->c.zero);
  }
}

static qcc_status binary_op(qcc_kargs *k,
                            void (*run)(const binary *, uint8_t *, const uint8_t *, const uint8_t *, int64_t, int64_t, int64_t)) {
  const qcc_tensor *a = k->in[0], *b = qcc_kx_in(k, 3);
  binary p = {.type = a->type.dtype};
  qcc_kx_bcast w;
  qcc_type out, tb = b->type;
  void *to;
  QCC_TRY(need_bytes(k, a));
  if (!b) return qcc_kx_fail(k, QCC_DATA, "D-706", "input 3 is left out");
  if (b->type.dtype != p.type) return qcc_kx_no_type(k, b->type.dtype);
  QCC_TRY(qcc_kx_params_of(k, 1, 2, &p.a));
  QCC_TRY(qcc_kx_params_of(k, 4, 5, &p.b));
  QCC_TRY(qcc_kx_params_of(k, 6, 7, &p.c));
  QCC_TRY(qcc_kx_bcast_type(k, &out, &a->type, &tb));
  QCC_TRY(qcc_kx_out(k, 0, &out, &to));
  if (!to || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  if (!qcc_kx_bcast_init(&w, &out, (const qcc_type *const[]){&a->type, &b->type}, 2))
    return qcc_kx_fail(k, QCC_DATA, "D-705", "shapes do not broadcast");
  const int last = w.rank - 1;
  do {
    run(&p, (uint8_t *)to + w.done, (const uint8_t *)a->data + w.offset[0], (const uint8_t *)b->data + w.offset[1], w.dim[last],
        w.stride[0][last], w.stride[1][last]);
  } while (qcc_kx_bcast_next(&w));
  return QCC_OK;
}

qcc_status qcc_kernel_qlinear_add(qcc_kargs *k) { return binary_op(k, add_run); }
qcc_status qcc_kernel_qlinear_mul(qcc_kargs *k) { return binary_op(k, mul_run); }

/* ---- tables of 256 codes, by the bits of the code */
typedef float (*map_fn)(float x, float p);
static float keep(float x, float p) {
  (void)p;
  return x;
}
static float leaky(float x, float p) { return x >= 0.0f ? x : p * x; }
static float sigmoid(float x, float p) {
  (void)p;
  return (float)(1.0 / (1.0 + exp(-(double)x)));
}

static void build_table(uint8_t *table, qcc_dtype t, const qcc_kx_params *x, const qcc_kx_params *y, map_fn map, float p) {
  const int32_t lo = (int32_t)qcc_dtype_min(t), hi = (int32_t)qcc_dtype_max(t);
  for (int32_t i = lo; i <= hi; ++i) {
    const float v = map(x->scale * (float)(i - x->zero), p);
    table[(uint8_t)i] = (uint8_t)qcc_quantize1(v, y->scale, y->zero, lo, hi);
  }
}

static void look_up(uint8_t *to, const uint8_t *from, int64_t n, const uint8_t *table) {
  for (int64_t i = 0; i < n; ++i) to[i] = table[from[i]];
}

static qcc_status unary_op(qcc_kargs *k, map_fn map, float p) {
  const qcc_tensor *x = k->in[0];
  qcc_kx_params gx, gy;
  uint8_t table[256];
  void *to;
  QCC_TRY(need_bytes(k, x));
  QCC_TRY(qcc_kx_params_of(k, 1, 2, &gx));
  QCC_TRY(qcc_kx_params_of(k, 3, 4, &gy));
  QCC_TRY(qcc_kx_out(k, 0, &x->type, &to));
  if (!to) return QCC_OK;
  build_table(table, x->type.dtype, &gx, &gy, map, p);
  look_up(to, x->data, qcc_tensor_count(x), table);
  return QCC_OK;
}

qcc_status qcc_kernel_qlinear_sigmoid(qcc_kargs *k) { return unary_op(k, sigmoid, 0); }
qcc_status qcc_kernel_qlinear_leaky_relu(qcc_kargs *k) { return unary_op(k, leaky, qcc_attr_float(k->node, "alpha", 0.01f)); }

/* ---- QLinearWhere */
qcc_status qcc_kernel_qlinear_where(qcc_kargs *k) {
  const qcc_tensor *cond = k->in[0], *x = k->in[1], *y = k->in[4];
  const qcc_dtype t = x->type.dtype;
  uint8_t of_x[256], of_y[256];
  qcc_kx_params gx, gy, gz;
  qcc_kx_bcast w;
  qcc_type both, out, ty = y->type, tc = cond->type;
  void *to;
  QCC_TRY(need_bytes(k, x));
  if (y->type.dtype != t || cond->type.dtype != QCC_BOOL) return qcc_kx_no_type(k, y->type.dtype != t ? y->type.dtype : cond->type.dtype);
  QCC_TRY(qcc_kx_params_of(k, 2, 3, &gx));
  QCC_TRY(qcc_kx_params_of(k, 5, 6, &gy));
  QCC_TRY(qcc_kx_params_of(k, 7, 8, &gz));
  QCC_TRY(qcc_kx_bcast_type(k, &both, &x->type, &ty));
  QCC_TRY(qcc_kx_bcast_type(k, &out, &both, &tc));
  QCC_TRY(qcc_kx_out(k, 0, &out, &to));
  if (!to || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  build_table(of_x, t, &gx, &gz, keep, 0);
  build_table(of_y, t, &gy, &gz, keep, 0);
  if (!qcc_kx_bcast_init(&w, &out, (const qcc_type *const[]){&cond->type, &x->type, &y->type}, 3))
    return qcc_kx_fail(k, QCC_DATA, "D-705", "shapes do not broadcast");
  const int last = w.rank - 1;
  do {
    const uint8_t *c = (const uint8_t *)cond->data + w.offset[0], *a = (const uint8_t *)x->data + w.offset[1];
    const uint8_t *b = (const uint8_t *)y->data + w.offset[2];
    uint8_t *z = (uint8_t *)to + w.done;
    for (int64_t i = 0; i < w.dim[last]; ++i)
      z[i] = c[i * w.stride[0][last]] ? of_x[a[i * w.stride[1][last]]] : of_y[b[i * w.stride[2][last]]];
  } while (qcc_kx_bcast_next(&w));
  return QCC_OK;
}

/* ---- QLinearConcat: scale and zero point of the result, then three inputs for each operand */
qcc_status qcc_kernel_qlinear_concat(qcc_kargs *k) {
  const qcc_tensor *first = k->in_count > 4 ? k->in[2] : NULL;
  qcc_kx_params gx, gy;
  uint8_t table[256];
  qcc_type out;
  void *to;
  int axis;
  QCC_TRY(qcc_kx_need_all(k));
  if (!first || (k->in_count - 2) % 3) return qcc_kx_fail(k, QCC_DATA, "D-873", "each operand needs data, scale and zero point");
  QCC_TRY(need_bytes(k, first));
  if (k->in[1]->type.dtype != first->type.dtype) return qcc_kx_no_type(k, k->in[1]->type.dtype);
  QCC_TRY(qcc_kx_params_of(k, 0, 1, &gy));
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", 0), first->type.rank, &axis));
  out = first->type;
  out.dim[axis] = 0;
  for (uint32_t i = 2; i < k->in_count; i += 3) {
    const qcc_type *t = &k->in[i]->type;
    bool fits = t->rank == out.rank && t->dtype == out.dtype;
    for (int d = 0; fits && d < out.rank; ++d) fits = d == axis || t->dim[d] == out.dim[d];
    if (!fits) return qcc_kx_fail(k, QCC_DATA, "D-873", "input %u differs in type or shape from the first operand", i);
    out.dim[axis] += t->dim[axis];
  }
  QCC_TRY(qcc_kx_out(k, 0, &out, &to));
  if (!to || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  const int64_t outer = qcc_kx_product(out.dim, 0, axis), row = qcc_kx_product(out.dim, axis, out.rank);
  int64_t at = 0;
  for (uint32_t i = 2; i < k->in_count; i += 3) {
    const int64_t run = qcc_kx_product(k->in[i]->type.dim, axis, out.rank);
    QCC_TRY(qcc_kx_params_of(k, i + 1, i + 2, &gx));
    build_table(table, out.dtype, &gx, &gy, keep, 0);
    for (int64_t o = 0; o < outer; ++o) look_up((uint8_t *)to + o * row + at, (const uint8_t *)k->in[i]->data + o * run, run, table);
    at += run;
  }
  return QCC_OK;
}

/* ---- QLinearSoftmax: exponentials of code differences from a table, sums and quotients in f32 */
/* Entry 255 stands for the largest code of a row; the exponents are shifted up as far as a sum of `n` of them stays finite. */
static void exponentials(float *table, float scale, int64_t n) {
  const double room = (double)logf(FLT_MAX / (float)n) - 5.0, shift = (room > 0 ? room : 0.0) / (double)scale;
  for (int i = 0; i < 256; ++i) table[i] = (float)exp(((double)i - 255.0 + shift) * (double)scale);
}

static void softmax_row(qcc_dtype t, uint8_t *y, const uint8_t *x, int64_t n, const float *table, float codes, int32_t zero) {
  const uint32_t overflow = t == QCC_U8 ? 0 : 0x80000000u; /* a row of one code overflows: what x86 makes of infinity */
  const int32_t lo = (int32_t)qcc_dtype_min(t), hi = (int32_t)qcc_dtype_max(t);
  int32_t top = -128;
  float sum = 0;
  for (int64_t i = 0; i < n; ++i) top = code_at(t, x, i) > top ? code_at(t, x, i) : top;
  for (int64_t i = 0; i < n; ++i) sum += table[255 - top + code_at(t, x, i)];
  for (int64_t i = 0; i < n; ++i) {
    const float v = rintf(table[255 - top + code_at(t, x, i)] * codes / sum);
    const uint32_t code = v < 65536.0f ? (uint32_t)(int32_t)v : overflow;
    const int32_t q = (int32_t)(code + (uint32_t)zero);
    y[i] = (uint8_t)(q < lo ? lo : q > hi ? hi : q);
  }
}

qcc_status qcc_kernel_qlinear_softmax(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const bool flat = qcc_attr_int(k->node, "opset", 13) < 13;
  qcc_kx_params gx, gy;
  float table[256];
  void *to;
  int axis;
  QCC_TRY(need_bytes(k, k->in[0]));
  QCC_TRY(qcc_kx_params_of(k, 1, 2, &gx));
  QCC_TRY(qcc_kx_params_of(k, 3, 4, &gy));
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", -1), x->rank, &axis));
  QCC_TRY(qcc_kx_out(k, 0, x, &to));
  if (!to || qcc_tensor_count(k->in[0]) == 0) return QCC_OK;
  const int64_t n = flat ? qcc_kx_product(x->dim, axis, x->rank) : x->dim[axis],
                inner = flat ? 1 : qcc_kx_product(x->dim, axis + 1, x->rank);
  const int64_t outer = qcc_kx_product(x->dim, 0, axis);
  uint8_t *row = qcc_kscratch(k, (size_t)n);
  if (!row) return QCC_NOMEM;
  exponentials(table, gx.scale, n);
  for (int64_t i = 0; i < outer * inner; ++i) {
    const int64_t base = i / inner * n * inner + i % inner;
    for (int64_t j = 0; j < n; ++j) row[j] = ((const uint8_t *)k->in[0]->data)[base + j * inner];
    softmax_row(x->dtype, row, row, n, table, floorf(1.0f / gy.scale), gy.zero);
    for (int64_t j = 0; j < n; ++j) ((uint8_t *)to)[base + j * inner] = row[j];
  }
  return QCC_OK;
}
