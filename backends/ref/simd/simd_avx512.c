/* SPDX-License-Identifier: Apache-2.0
 * simd_body.h for x86-64 with AVX-512 F, BW, DQ and VL. */
#include <immintrin.h>

#include "backends/ref/simd/simd_square.h"
#include "backends/ref/simd/simd_tables.h"

#define LANES 16
#define ISA_NAME "avx512"
#define ISA_TABLE qcc_simd_avx512
typedef __m512 vec;
#define vec_load _mm512_loadu_ps
#define vec_store _mm512_storeu_ps
#define vec_set _mm512_set1_ps
#define vec_add _mm512_add_ps
#define vec_sub _mm512_sub_ps
#define vec_mul _mm512_mul_ps
#define vec_div _mm512_div_ps
#define vec_known(x) _mm512_maskz_mov_ps(_mm512_cmp_ps_mask((x), (x), _CMP_ORD_Q), (x))
#define vec_fma _mm512_fmadd_ps
#define vec_max _mm512_max_ps
#define vec_min _mm512_min_ps
#define scalar_fma __builtin_fmaf

#include "backends/ref/simd/simd_body.h"
