/* SPDX-License-Identifier: Apache-2.0
 * simd_body.h for x86-64 with AVX2 and FMA (-mavx2 -mfma). */
#include <immintrin.h>

#include "backends/ref/simd/simd_square.h"
#include "backends/ref/simd/simd_tables.h"

#define LANES 8
#define ISA_NAME "avx2"
#define ISA_TABLE qcc_simd_avx2
typedef __m256 vec;
#define vec_load _mm256_loadu_ps
#define vec_store _mm256_storeu_ps
#define vec_set _mm256_set1_ps
#define vec_add _mm256_add_ps
#define vec_sub _mm256_sub_ps
#define vec_mul _mm256_mul_ps
#define vec_div _mm256_div_ps
#define vec_known(x) _mm256_and_ps((x), _mm256_cmp_ps((x), (x), _CMP_ORD_Q))
#define vec_fma _mm256_fmadd_ps
#define vec_max _mm256_max_ps
#define vec_min _mm256_min_ps
#define scalar_fma __builtin_fmaf

#include "backends/ref/simd/simd_body.h"
