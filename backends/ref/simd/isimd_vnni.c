/* SPDX-License-Identifier: Apache-2.0
 * isimd_body.h for x86-64 with AVX-512 F, BW, DQ, VL and VNNI: one instruction sums four products exactly. */
#include "backends/ref/simd/isimd_512.h"

#define ISA_NAME "avx512vnni"
#define ISA_TABLE qcc_isimd_vnni
#define ivec_dot(sum, a, b) _mm512_dpbusd_epi32((sum), (a), (b))

#include "backends/ref/simd/isimd_body.h"
