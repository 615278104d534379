/* SPDX-License-Identifier: Apache-2.0
 * isimd_body.h for x86-64 with AVX2 and FMA. */
#include "backends/ref/simd/isimd_256.h"

#define ISA_NAME "avx2"
#define ISA_TABLE qcc_isimd_avx2

#include "backends/ref/simd/isimd_body.h"
