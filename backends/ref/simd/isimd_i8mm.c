/* SPDX-License-Identifier: Apache-2.0
 * isimd_body.h for 64-bit ARM that sums products u8 * s8 (i8mm). */
#include "backends/ref/simd/isimd_neon.h"

#define ISA_NAME "i8mm"
#define ISA_TABLE qcc_isimd_i8mm
#define ivec_dot(sum, a, b) vusdotq_s32((sum), vreinterpretq_u8_s32(a), vreinterpretq_s8_s32(b))

#include "backends/ref/simd/isimd_body.h"
