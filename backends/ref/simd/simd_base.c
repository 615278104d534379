/* SPDX-License-Identifier: Apache-2.0
 * simd_body.h for what every processor of the target family has: SSE2 on x86-64, NEON on 64-bit ARM, plain C elsewhere. */
#include "backends/ref/simd/simd_tables.h"

#define ISA_TABLE qcc_simd_base
#if defined(__aarch64__)
#include <arm_neon.h>
#define LANES 4
#define ISA_NAME "neon"
typedef float32x4_t vec;
#define vec_load vld1q_f32
#define vec_store vst1q_f32
#define vec_set vdupq_n_f32
#define vec_add vaddq_f32
#define vec_sub vsubq_f32
#define vec_mul vmulq_f32
#define vec_div vdivq_f32
#define vec_known(x) vec_pick(vceqq_f32((x), (x)), (x), vdupq_n_f32(0.0f))
#define vec_fma(a, b, c) vfmaq_f32((c), (a), (b))
/* As x86 does: of equal zeros, and with a NaN, the second operand. */
#define vec_max(a, b) vec_pick(vcgtq_f32((a), (b)), (a), (b))
#define vec_min(a, b) vec_pick(vcltq_f32((a), (b)), (a), (b))
#define vec_pick(take, a, b) vbslq_f32((take), (a), (b))
#define scalar_fma __builtin_fmaf
#elif defined(__SSE2__)
#include <emmintrin.h>
#define LANES 4
#define ISA_NAME "sse2"
typedef __m128 vec;
#define vec_load _mm_loadu_ps
#define vec_store _mm_storeu_ps
#define vec_set _mm_set1_ps
#define vec_add _mm_add_ps
#define vec_sub _mm_sub_ps
#define vec_mul _mm_mul_ps
#define vec_div _mm_div_ps
#define vec_known(x) _mm_and_ps((x), _mm_cmpord_ps((x), (x)))
#define vec_fma(a, b, c) _mm_add_ps(_mm_mul_ps((a), (b)), (c))
#define vec_max _mm_max_ps
#define vec_min _mm_min_ps
#define scalar_fma(a, b, c) ((a) * (b) + (c))
#else
#define LANES 1
#define ISA_NAME "c"
typedef float vec;
#define vec_load(p) (*(p))
#define vec_store(p, x) (*(p) = (x))
#define vec_set(x) (x)
#define vec_add(a, b) ((a) + (b))
#define vec_sub(a, b) ((a) - (b))
#define vec_mul(a, b) ((a) * (b))
#define vec_div(a, b) ((a) / (b))
#define vec_known(x) ((x) != (x) ? 0.0f : (x))
#define vec_fma(a, b, c) ((a) * (b) + (c))
#define vec_max(a, b) ((a) > (b) ? (a) : (b))
#define vec_min(a, b) ((a) < (b) ? (a) : (b))
#define scalar_fma(a, b, c) ((a) * (b) + (c))
#endif

#define SQUARE 4
static inline void square(float *y, size_t ys, const float *x, size_t xs) {
  for (size_t j = 0; j < SQUARE; ++j)
    for (size_t i = 0; i < SQUARE; ++i) y[j * ys + i] = x[i * xs + j];
}

#include "backends/ref/simd/simd_body.h"
