/* SPDX-License-Identifier: Apache-2.0
 * isimd_body.h for x86-64 with AVX-512 F, BW, DQ and VL. */
#include "backends/ref/simd/isimd_512.h"

#define ISA_NAME "avx512"
#define ISA_TABLE qcc_isimd_avx512

#include "backends/ref/simd/isimd_body.h"
