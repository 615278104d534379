/* SPDX-License-Identifier: Apache-2.0
 * Exact integer products behind the quantized operators. Operands are 16-bit numbers with their zero points already taken off. */
#ifndef QCC_K_INTEGER_H
#define QCC_K_INTEGER_H

#include "backends/ref/kernels/kutil.h"
#include "backends/ref/simd/simd.h"

/* c[m,n] = a[m,k] * b[k,n], row-major, wrapping in 32 bits. */
void qcc_kx_int_gemm(int64_t m, int64_t n, int64_t k, const int16_t *a, const int16_t *b, int32_t *c);
/* How zero points and scales are shared: one for all, one per index of the dim of size `lines`, of which every `run` neighbours share one, or
 * the latter anew for each of `matrices` equal parts of the tensor. */
typedef struct qcc_kx_share {
  int64_t lines, run, matrices;
} qcc_kx_share;
/* Elements minus their zero point, input `zero_at` (absent: 0). NULL: no memory or a wrong size; *st says which. */
int16_t *qcc_kx_centred(qcc_kargs *k, uint32_t input, uint32_t zero_at, qcc_kx_share s, qcc_status *st);
/* Floats as u8 codes of their own range, minus the zero point. NULL: no memory, told. */
int16_t *qcc_kx_dynamic(qcc_kargs *k, const float *x, int64_t n, float *scale);
/* The same into given room: n bytes and n numbers. */
void qcc_kx_dynamic_into(const qcc_simd *simd, const float *x, int64_t n, float *scale, uint8_t *code, int16_t *to);
/* Scales of input `i`: one, `lines`, or lines * matrices of them. */
qcc_status qcc_kx_scales(qcc_kargs *k, uint32_t i, int64_t lines, int64_t matrices, const float **scale, int64_t *count) QCC_MUST_USE;
/* One scale (input `scale_at`) and one zero point (input `zero_at`; left out: 0). */
typedef struct qcc_kx_params {
  float scale;
  int32_t zero;
} qcc_kx_params;
qcc_status qcc_kx_params_of(qcc_kargs *k, uint32_t scale_at, uint32_t zero_at, qcc_kx_params *to) QCC_MUST_USE;
/* Quantized output element: round(acc * factor) + zero, saturated. */
static inline int64_t qcc_kx_requantize(int32_t acc, float factor, int64_t zero, int64_t lo, int64_t hi) {
  float x = rintf((float)acc * factor) + (float)zero;
  return !(x > (float)lo) ? lo : x >= (float)hi ? hi : (int64_t)x;
}

#endif
