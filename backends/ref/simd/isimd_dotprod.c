/* SPDX-License-Identifier: Apache-2.0
 * isimd_body.h for 64-bit ARM that sums products of bytes of one sign (ARMv8.2 dotprod): u8 * s8 = (u8 - 128) * s8 + 128 * s8, whose second
 * part belongs to the column. */
#include "backends/ref/simd/isimd_neon.h"

#define ISA_NAME "dotprod"
#define ISA_TABLE qcc_isimd_dotprod
#define ivec_dot(sum, a, b) \
  vdotq_s32((sum), vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_s32(a), vdupq_n_u8(0x80))), vreinterpretq_s8_s32(b))

static inline int32x4_t ivec_dot_column(int32x4_t sum, int32x4_t b) {
  const int8x16_t half = vdupq_n_s8(64);
  return vdotq_s32(vdotq_s32(sum, half, vreinterpretq_s8_s32(b)), half, vreinterpretq_s8_s32(b));
}
#define ivec_dot_column ivec_dot_column

#include "backends/ref/simd/isimd_body.h"
