/* SPDX-License-Identifier: Apache-2.0
 * Comparison, logic, bits and choice with broadcasting: Equal Greater Less (OrEqual), And Or Xor, Bitwise*, BitShift, Where, Pow, Clip, PRelu.
 * Comparisons of f16 and bf16 go through f32; truth values are bytes of 0 or 1. */
#include "backends/ref/kernels/kutil.h"

#define PAIR(name, T, R, EXPR)                                                                                                         \
  static void name(const struct qcc_simd *simd, int64_t n, const void *pa, int64_t a_step, const void *pb, int64_t b_step, void *po) { \
    (void)simd;                                                                                                                        \
    const T *a = pa, *b = pb;                                                                                                          \
    R *o = po;                                                                                                                         \
    for (int64_t i = 0; i < n; ++i) {                                                                                                  \
      T x = a[i * a_step], y = b[i * b_step];                                                                                          \
      o[i] = (R)(EXPR);                                                                                                                \
    }                                                                                                                                  \
  }
#define COMPARE(id, T)              \
  PAIR(eq_##id, T, uint8_t, x == y) \
  PAIR(gt_##id, T, uint8_t, x > y) PAIR(lt_##id, T, uint8_t, x < y) PAIR(ge_##id, T, uint8_t, x >= y) PAIR(le_##id, T, uint8_t, x <= y)
#define BITS(id, T) PAIR(and_##id, T, T, x &y) PAIR(or_##id, T, T, x | y) PAIR(xor_##id, T, T, x ^ y)
#define SHIFTS(id, T, BITS_)                             \
  PAIR(shl_##id, T, T, y < BITS_ ? (uint64_t)x << y : 0) \
  PAIR(shr_##id, T, T, y < BITS_ ? (uint64_t)x >> y : 0)

COMPARE(f32, float)
COMPARE(f64, double)
COMPARE(s8, int8_t)
COMPARE(s16, int16_t)
COMPARE(s32, int32_t)
COMPARE(s64, int64_t)
COMPARE(u8, uint8_t)
COMPARE(u16, uint16_t)
COMPARE(u32, uint32_t)
COMPARE(u64, uint64_t)
BITS(1, uint8_t)
BITS(2, uint16_t)
BITS(4, uint32_t)
BITS(8, uint64_t)
SHIFTS(1, uint8_t, 8)
SHIFTS(2, uint16_t, 16)
SHIFTS(4, uint32_t, 32)
SHIFTS(8, uint64_t, 64)
PAIR(both, uint8_t, uint8_t, x != 0 && y != 0)
PAIR(either, uint8_t, uint8_t, x != 0 || y != 0)
PAIR(differ, uint8_t, uint8_t, (x != 0) != (y != 0))

#define ROW(op) \
  { op##_f32, op##_f64, op##_s8, op##_s16, op##_s32, op##_s64, op##_u8, op##_u16, op##_u32, op##_u64 }
static const qcc_kx_pair_loops eq_op = ROW(eq), gt_op = ROW(gt), lt_op = ROW(lt), ge_op = ROW(ge), le_op = ROW(le);
static const qcc_kx_pair_loop and_bits[] = {and_1, and_2, and_4, and_8}, or_bits[] = {or_1, or_2, or_4, or_8},
                              xor_bits[] = {xor_1, xor_2, xor_4, xor_8}, shl_bits[] = {shl_1, shl_2, shl_4, shl_8},
                              shr_bits[] = {shr_1, shr_2, shr_4, shr_8};

/* Both inputs have elements of `elem` bytes, at `a` and `b`; the output has type `dtype`. */
static qcc_status run_pairs(qcc_kargs *k, qcc_kx_pair_loop loop, const void *a, const void *b, size_t elem, qcc_dtype dtype) {
  qcc_type t, b_type = k->in[1]->type;
  void *out;
  QCC_TRY(qcc_kx_bcast_type(k, &t, &k->in[0]->type, &b_type));
  t.dtype = dtype;
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out) return QCC_OK;
  return qcc_kx_pairs(k, loop, (qcc_kx_operand){&k->in[0]->type, a}, (qcc_kx_operand){&b_type, b}, elem, &t, out,
                      qcc_dtype_bits(dtype) / 8);
}

static void equal_text(const struct qcc_simd *simd, int64_t n, const void *a, int64_t sa, const void *b, int64_t sb, void *out) {
  (void)simd;
  const qcc_bytes *x = a, *y = b;
  for (int64_t i = 0; i < n; ++i) ((uint8_t *)out)[i] = qcc_kx_compare_text(x[i * sa], y[i * sb]) == 0;
}

static qcc_status compare(qcc_kargs *k, const qcc_kx_pair_loops *op) {
  qcc_dtype t = k->in[0]->type.dtype;
  qcc_kx_pair_loop loop = qcc_kx_loop_of(op, t == QCC_BOOL ? QCC_U8 : t);
  if (!loop || k->in[1]->type.dtype != t) return qcc_kx_no_type(k, loop ? k->in[1]->type.dtype : t);
  if (t != QCC_F16 && t != QCC_BF16) return run_pairs(k, loop, k->in[0]->data, k->in[1]->data, qcc_dtype_bits(t) / 8, QCC_BOOL);
  const float *a = qcc_kx_f32(k, 0), *b = qcc_kx_f32(k, 1);
  return a && b ? run_pairs(k, loop, a, b, sizeof *a, QCC_BOOL) : QCC_NOMEM;
}

qcc_status qcc_kernel_equal(qcc_kargs *k) {
  const qcc_bytes *a, *b;
  if (k->in[0]->type.dtype != QCC_STRING) return compare(k, &eq_op);
  QCC_TRY(qcc_kx_text(k, k->in[0], &a));
  QCC_TRY(qcc_kx_text(k, k->in[1], &b));
  return run_pairs(k, equal_text, a, b, sizeof *a, QCC_BOOL);
}
qcc_status qcc_kernel_greater(qcc_kargs *k) { return compare(k, &gt_op); }
qcc_status qcc_kernel_less(qcc_kargs *k) { return compare(k, &lt_op); }
qcc_status qcc_kernel_greater_or_equal(qcc_kargs *k) { return compare(k, &ge_op); }
qcc_status qcc_kernel_less_or_equal(qcc_kargs *k) { return compare(k, &le_op); }

static qcc_status logic(qcc_kargs *k, qcc_kx_pair_loop loop) {
  for (uint32_t i = 0; i < 2; ++i) {
    if (k->in[i]->type.dtype != QCC_BOOL) return qcc_kx_no_type(k, k->in[i]->type.dtype);
  }
  return run_pairs(k, loop, k->in[0]->data, k->in[1]->data, 1, QCC_BOOL);
}
qcc_status qcc_kernel_and(qcc_kargs *k) { return logic(k, both); }
qcc_status qcc_kernel_or(qcc_kargs *k) { return logic(k, either); }
qcc_status qcc_kernel_xor(qcc_kargs *k) { return logic(k, differ); }

static qcc_status bits(qcc_kargs *k, const qcc_kx_pair_loop *loops, bool is_unsigned) {
  qcc_dtype t = k->in[0]->type.dtype;
  size_t elem;
  bool fits = is_unsigned ? qcc_dtype_kind(t) == QCC_KIND_UINT : qcc_dtype_is_int(t);
  if (!fits || k->in[1]->type.dtype != t) return qcc_kx_no_type(k, fits ? k->in[1]->type.dtype : t);
  QCC_TRY(qcc_kx_elem(k, t, &elem));
  return run_pairs(k, loops[elem == 1 ? 0 : elem == 2 ? 1 : elem == 4 ? 2 : 3], k->in[0]->data, k->in[1]->data, elem, t);
}
qcc_status qcc_kernel_bitwise_and(qcc_kargs *k) { return bits(k, and_bits, false); }
qcc_status qcc_kernel_bitwise_or(qcc_kargs *k) { return bits(k, or_bits, false); }
qcc_status qcc_kernel_bitwise_xor(qcc_kargs *k) { return bits(k, xor_bits, false); }
qcc_status qcc_kernel_bit_shift(qcc_kargs *k) {
  static const char *const names[] = {"LEFT", "RIGHT", NULL};
  int right;
  QCC_TRY(qcc_kx_choice(k, "direction", names, 0, &right));
  return bits(k, right ? shr_bits : shl_bits, true);
}

/* ---- Where */
#define CHOOSE(T)                                                                            \
  {                                                                                          \
    const T *x = xp, *y = yp;                                                                \
    T *o = out;                                                                              \
    for (int64_t i = 0; i < n; ++i) o[i] = c[i * step[0]] ? x[i * step[1]] : y[i * step[2]]; \
    break;                                                                                   \
  }

static void choose(int64_t n, const uint8_t *c, const void *xp, const void *yp, void *out, const int64_t *step, size_t elem) {
  switch (elem) {
    case 1: CHOOSE(uint8_t)
    case 2: CHOOSE(uint16_t)
    case 4: CHOOSE(uint32_t)
    case 8: CHOOSE(uint64_t)
    default:
      for (int64_t i = 0; i < n; ++i) {
        const char *from = c[i * step[0]] ? (const char *)xp + i * step[1] * (int64_t)elem : (const char *)yp + i * step[2] * (int64_t)elem;
        memcpy((char *)out + i * (int64_t)elem, from, elem);
      }
  }
}

qcc_status qcc_kernel_where(qcc_kargs *k) {
  qcc_type first, t, condition = k->in[0]->type, x = k->in[1]->type, y = k->in[2]->type;
  size_t size;
  qcc_kx_bcast p;
  void *out;
  if (k->in[0]->type.dtype != QCC_BOOL || x.dtype != y.dtype)
    return qcc_kx_no_type(k, k->in[0]->type.dtype != QCC_BOOL ? k->in[0]->type.dtype : y.dtype);
  QCC_TRY(qcc_kx_elem(k, x.dtype, &size));
  QCC_TRY(qcc_kx_bcast_type(k, &first, &x, &y));
  QCC_TRY(qcc_kx_bcast_type(k, &t, &first, &condition));
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out || qcc_kx_product(t.dim, 0, t.rank) == 0) return QCC_OK;
  if (!qcc_kx_bcast_init(&p, &t, (const qcc_type *const[]){&k->in[0]->type, &x, &y}, 3))
    return qcc_kx_fail(k, QCC_DATA, "D-705", "shapes do not broadcast");
  int last = p.rank - 1;
  int64_t step[3] = {p.stride[0][last], p.stride[1][last], p.stride[2][last]}, elem = (int64_t)size;
  do {
    choose(p.dim[last], (const uint8_t *)k->in[0]->data + p.offset[0], (const char *)k->in[1]->data + p.offset[1] * elem,
           (const char *)k->in[2]->data + p.offset[2] * elem, (char *)out + p.done * elem, step, size);
  } while (qcc_kx_bcast_next(&p));
  return QCC_OK;
}
