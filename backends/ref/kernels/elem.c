/* SPDX-License-Identifier: Apache-2.0
 * Arithmetic on two operands with broadcasting: Add Sub Mul Div Mod Max Min, and the variadic Sum Mean Max Min.
 * One loop per operation and element type; f16 and bf16 are computed in f32. Integers wrap; integer division by zero is QCC_DATA.
 * An output may share memory with an operand of the same shape. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/simd/simd.h"

/* The four forms are written out so that each one becomes vector code. */
#define BINARY(name, T, EXPR)                                                                                                   \
  static void name(const qcc_simd *simd, int64_t n, const void *pa, int64_t a_step, const void *pb, int64_t b_step, void *po) { \
    (void)simd;                                                                                                                 \
    const T *a = pa, *b = pb;                                                                                                   \
    T *o = po, x = *a, y = *b;                                                                                                  \
    if (a_step && b_step) {                                                                                                     \
      for (int64_t i = 0; i < n; ++i) {                                                                                         \
        x = a[i];                                                                                                               \
        y = b[i];                                                                                                               \
        o[i] = (T)(EXPR);                                                                                                       \
      }                                                                                                                         \
    } else if (a_step) {                                                                                                        \
      for (int64_t i = 0; i < n; ++i) {                                                                                         \
        x = a[i];                                                                                                               \
        o[i] = (T)(EXPR);                                                                                                       \
      }                                                                                                                         \
    } else if (b_step) {                                                                                                        \
      for (int64_t i = 0; i < n; ++i) {                                                                                         \
        y = b[i];                                                                                                               \
        o[i] = (T)(EXPR);                                                                                                       \
      }                                                                                                                         \
    } else {                                                                                                                    \
      for (int64_t i = 0; i < n; ++i) o[i] = (T)(EXPR);                                                                         \
    }                                                                                                                           \
  }

/* W: the unsigned type in which wrapping arithmetic is defined. */
#define FLOAT_OPS(id, T, MOD)                    \
  BINARY(add_##id, T, x + y)                     \
  BINARY(sub_##id, T, x - y)                     \
  BINARY(mul_##id, T, x *y)                      \
  BINARY(div_##id, T, x / y)                     \
  BINARY(max_##id, T, (x > y || x != x) ? x : y) \
  BINARY(min_##id, T, (x < y || x != x) ? x : y) \
  BINARY(mod_##id, T, MOD(x, y))                 \
  BINARY(fmod_##id, T, MOD(x, y))
#define INT_OPS(id, T, W, DIV, MOD, REM) \
  BINARY(add_##id, T, (W)x + (W)y)       \
  BINARY(sub_##id, T, (W)x - (W)y)       \
  BINARY(mul_##id, T, (W)x *(W)y)        \
  BINARY(div_##id, T, DIV(x, y))         \
  BINARY(max_##id, T, x > y ? x : y)     \
  BINARY(min_##id, T, x < y ? x : y)     \
  BINARY(mod_##id, T, MOD(x, y))         \
  BINARY(fmod_##id, T, REM(x, y))

static inline int64_t div_signed(int64_t x, int64_t y) { return y == -1 ? (int64_t)(0 - (uint64_t)x) : x / y; }
static inline int64_t rem_signed(int64_t x, int64_t y) { return y == -1 ? 0 : x % y; }
static inline int64_t mod_signed(int64_t x, int64_t y) { /* the sign of the divisor */
  int64_t r = rem_signed(x, y);
  return r != 0 && (r < 0) != (y < 0) ? r + y : r;
}
#define UDIV(x, y) ((x) / (y))
#define UMOD(x, y) ((x) % (y))

FLOAT_OPS(f32, float, fmodf)
FLOAT_OPS(f64, double, fmod)
INT_OPS(s8, int8_t, uint32_t, div_signed, mod_signed, rem_signed)
INT_OPS(s16, int16_t, uint32_t, div_signed, mod_signed, rem_signed)
INT_OPS(s32, int32_t, uint32_t, div_signed, mod_signed, rem_signed)
INT_OPS(s64, int64_t, uint64_t, div_signed, mod_signed, rem_signed)
INT_OPS(u8, uint8_t, uint32_t, UDIV, UMOD, UMOD)
INT_OPS(u16, uint16_t, uint32_t, UDIV, UMOD, UMOD)
INT_OPS(u32, uint32_t, uint32_t, UDIV, UMOD, UMOD)
INT_OPS(u64, uint64_t, uint64_t, UDIV, UMOD, UMOD)

/* Loops for the processor at hand. The first operand may be the single one only where the order does not matter. */
#define SIMD_LOOP(name, ARITH, COMMUTES)                                                                                            \
  static void simd_##name(const qcc_simd *simd, int64_t n, const void *a, int64_t a_step, const void *b, int64_t b_step, void *o) { \
    if (a_step && b_step)                                                                                                           \
      simd->arith(ARITH, o, a, b, (size_t)n);                                                                                       \
    else if (a_step)                                                                                                                \
      simd->scalar(ARITH, o, a, *(const float *)b, (size_t)n);                                                                      \
    else if (COMMUTES && b_step)                                                                                                    \
      simd->scalar(ARITH, o, b, *(const float *)a, (size_t)n);                                                                      \
    else                                                                                                                            \
      name##_f32(simd, n, a, a_step, b, b_step, o);                                                                                 \
  }
SIMD_LOOP(add, QCC_ARITH_ADD, true)
SIMD_LOOP(sub, QCC_ARITH_SUB, false)
SIMD_LOOP(mul, QCC_ARITH_MUL, true)
SIMD_LOOP(div, QCC_ARITH_DIV, false)
#define simd_mod mod_f32
#define simd_fmod fmod_f32
#define simd_max max_f32
#define simd_min min_f32

typedef struct binary_op {
  bool divides;
  qcc_kx_pair_loops loops;
} binary_op;
#define ROW(op, divides)                                                                                           \
  {                                                                                                                \
    divides, { simd_##op, op##_f64, op##_s8, op##_s16, op##_s32, op##_s64, op##_u8, op##_u16, op##_u32, op##_u64 } \
  }
static const binary_op add_op = ROW(add, false), sub_op = ROW(sub, false), mul_op = ROW(mul, false), div_op = ROW(div, true),
                       mod_op = ROW(mod, true), fmod_op = ROW(fmod, true), max_op = ROW(max, false), min_op = ROW(min, false);

static bool is_half(qcc_dtype t) { return t == QCC_F16 || t == QCC_BF16; }

static qcc_status check_divisor(qcc_kargs *k, const qcc_tensor *b) {
  if (!qcc_dtype_is_int(b->type.dtype)) return QCC_OK;
  for (int64_t i = 0, n = qcc_tensor_count(b); i < n; ++i) {
    if (qcc_tensor_get_s64(b, i) == 0) return qcc_kx_fail(k, QCC_DATA, "D-710", "integer division by zero at element %lld", (long long)i);
  }
  return QCC_OK;
}

static qcc_status binary(qcc_kargs *k, const binary_op *op) {
  const qcc_tensor *a = k->in[0], *b = k->in[1];
  qcc_dtype dtype = a->type.dtype;
  qcc_kx_pair_loop loop = qcc_kx_loop_of(&op->loops, dtype);
  qcc_type t, b_type = b->type;
  void *out;
  if (!loop || b->type.dtype != dtype) return qcc_kx_no_type(k, loop ? b->type.dtype : dtype);
  if (op->divides) QCC_TRY(check_divisor(k, b));
  QCC_TRY(qcc_kx_bcast_type(k, &t, &a->type, &b_type));
  if (!is_half(dtype)) {
    QCC_TRY(qcc_kx_out(k, 0, &t, &out));
    const size_t elem = qcc_dtype_bits(dtype) / 8;
    if (!out) return QCC_OK;
    return qcc_kx_pairs(k, loop, (qcc_kx_operand){&a->type, a->data}, (qcc_kx_operand){&b_type, b->data}, elem, &t, out, elem);
  }
  const float *x = qcc_kx_f32(k, 0), *y = qcc_kx_f32(k, 1);
  float *o;
  if (!x || !y) return QCC_NOMEM;
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &o));
  if (!o) return QCC_OK;
  QCC_TRY(qcc_kx_pairs(k, loop, (qcc_kx_operand){&a->type, x}, (qcc_kx_operand){&b_type, y}, sizeof *o, &t, o, sizeof *o));
  qcc_kx_store_f32(k, 0, o);
  return QCC_OK;
}

qcc_status qcc_kernel_add(qcc_kargs *k) { return binary(k, &add_op); }
qcc_status qcc_kernel_sub(qcc_kargs *k) { return binary(k, &sub_op); }
qcc_status qcc_kernel_mul(qcc_kargs *k) { return binary(k, &mul_op); }
qcc_status qcc_kernel_div(qcc_kargs *k) { return binary(k, &div_op); }
qcc_status qcc_kernel_mod(qcc_kargs *k) {
  bool is_float = qcc_dtype_kind(k->in[0]->type.dtype) == QCC_KIND_FLOAT;
  return binary(k, qcc_attr_int(k->node, "fmod", 0) || is_float ? &fmod_op : &mod_op);
}

/* ---- variadic: the output is the running result */
static qcc_status variadic_type(qcc_kargs *k, qcc_type *t) {
  QCC_TRY(qcc_kx_need_all(k));
  *t = k->in[0]->type;
  for (uint32_t i = 1; i < k->in_count; ++i) {
    qcc_type so_far = *t, next = k->in[i]->type;
    if (next.dtype != t->dtype) return qcc_kx_no_type(k, next.dtype);
    QCC_TRY(qcc_kx_bcast_type(k, t, &so_far, &next));
  }
  return QCC_OK;
}

static qcc_status load(qcc_kargs *k, uint32_t i, bool half, const void **data) {
  *data = half ? (const void *)qcc_kx_f32(k, i) : k->in[i]->data;
  return *data ? QCC_OK : QCC_NOMEM;
}

static qcc_status fold_inputs(qcc_kargs *k, qcc_kx_pair_loop loop, const qcc_type *t, void *out, bool half, size_t elem) {
  const void *first, *next;
  QCC_TRY(load(k, 0, half, &first));
  if (k->in_count == 1) {
    memcpy(out, first, (size_t)qcc_kx_product(t->dim, 0, t->rank) * elem);
    return QCC_OK;
  }
  for (uint32_t i = 1; i < k->in_count; ++i) {
    QCC_TRY(load(k, i, half, &next));
    const qcc_kx_operand so_far = {i == 1 ? &k->in[0]->type : t, i == 1 ? first : out};
    QCC_TRY(qcc_kx_pairs(k, loop, so_far, (qcc_kx_operand){&k->in[i]->type, next}, elem, t, out, elem));
  }
  return QCC_OK;
}

static qcc_status variadic(qcc_kargs *k, const binary_op *op, bool mean) {
  qcc_dtype dtype = k->in[0]->type.dtype;
  qcc_kx_pair_loop loop = qcc_kx_loop_of(&op->loops, dtype);
  bool half = is_half(dtype);
  qcc_type t;
  void *out;
  float *wide = NULL;
  if (!loop || (mean && !qcc_kx_is_float(dtype))) return qcc_kx_no_type(k, dtype);
  QCC_TRY(variadic_type(k, &t));
  if (half) {
    QCC_TRY(qcc_kx_out_f32(k, 0, &t, &wide));
    out = wide;
  } else {
    QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  }
  if (!out) return QCC_OK;
  QCC_TRY(fold_inputs(k, loop, &t, out, half, half ? sizeof(float) : qcc_dtype_bits(dtype) / 8));
  if (mean) {
    int64_t n = qcc_kx_product(t.dim, 0, t.rank);
    float count = (float)k->in_count;
    double count64 = (double)k->in_count;
    if (n == 0) return QCC_OK;
    if (dtype == QCC_F64)
      div_f64(NULL, n, out, 1, &count64, 0, out);
    else
      div_f32(NULL, n, out, 1, &count, 0, out);
  }
  if (half) qcc_kx_store_f32(k, 0, wide);
  return QCC_OK;
}

qcc_status qcc_kernel_max(qcc_kargs *k) { return variadic(k, &max_op, false); }
qcc_status qcc_kernel_min(qcc_kargs *k) { return variadic(k, &min_op, false); }
qcc_status qcc_kernel_sum(qcc_kargs *k) { return variadic(k, &add_op, false); }
qcc_status qcc_kernel_mean(qcc_kargs *k) { return variadic(k, &add_op, true); }
