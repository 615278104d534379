/* SPDX-License-Identifier: Apache-2.0
 * isimd_body.h for x86-64 with AVX2, FMA and AVX-VNNI: one instruction sums four products exactly, without AVX-512. */
#include "backends/ref/simd/isimd_256.h"

#define ISA_NAME "avxvnni"
#define ISA_TABLE qcc_isimd_avxvnni
#define ivec_dot(sum, a, b) _mm256_dpbusd_avx_epi32((sum), (a), (b))

#include "backends/ref/simd/isimd_body.h"
