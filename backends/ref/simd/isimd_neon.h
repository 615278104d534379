/* SPDX-License-Identifier: Apache-2.0
 * The vectors of isimd_body.h for 64-bit ARM, with and without products of bytes. */
#ifndef QCC_ISIMD_NEON_H
#define QCC_ISIMD_NEON_H

#if defined(__aarch64__)
#include <arm_neon.h>
#include <string.h>

#include "backends/ref/simd/simd_tables.h"

#define LANES 4
typedef int32x4_t ivec;
typedef float32x4_t fvec;
#define ivec_load(p) vreinterpretq_s32_u8(vld1q_u8((const uint8_t *)(p)))
#define ivec_store(p, x) vst1q_u8((uint8_t *)(p), vreinterpretq_u8_s32(x))
#define ivec_set vdupq_n_s32
#define ivec_add vaddq_s32
#define ivec_low(a, b) vreinterpretq_s32_s16(vzip1q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)))
#define ivec_high(a, b) vreinterpretq_s32_s16(vzip2q_s16(vreinterpretq_s16_s32(a), vreinterpretq_s16_s32(b)))
#define fvec_load(p) vreinterpretq_f32_u8(vld1q_u8((const uint8_t *)(p)))
#define fvec_store(p, x) vst1q_u8((uint8_t *)(p), vreinterpretq_u8_f32(x))
#define fvec_set vdupq_n_f32
#define fvec_mul vmulq_f32
#define fvec_max vmaxnmq_f32
#define fvec_min vminq_f32
#define fvec_of vcvtq_f32_s32
#define ivec_round vcvtnq_s32_f32
#define scalar_fma __builtin_fmaf

static inline int32x4_t ivec_group(const void *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return vdupq_n_s32(x);
}

static inline int32x4_t ivec_pair(int32x4_t sum, int32x4_t a, int32x4_t b) {
  const int16x8_t x = vreinterpretq_s16_s32(a), y = vreinterpretq_s16_s32(b);
  return vaddq_s32(sum, vpaddq_s32(vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y)));
}

/* One product fits 16 bits, the sum of two saturates. */
static inline int32x4_t ivec_quad(int32x4_t sum, int32x4_t a, int32x4_t b) {
  const uint8x16_t x = vreinterpretq_u8_s32(a);
  const int8x16_t y = vreinterpretq_s8_s32(b);
  const int16x8_t low = vmulq_s16(vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(x))), vmovl_s8(vget_low_s8(y)));
  const int16x8_t high = vmulq_s16(vreinterpretq_s16_u16(vmovl_high_u8(x)), vmovl_high_s8(y));
  return vpadalq_s16(sum, vqaddq_s16(vuzp1q_s16(low, high), vuzp2q_s16(low, high)));
}

static inline void put_bytes(uint8_t *to, int32x4_t a, int32x4_t b) {
  vst1_s8((int8_t *)to, vmovn_s16(vcombine_s16(vmovn_s32(a), vmovn_s32(b))));
}
#define put_turned put_bytes

#endif /* __aarch64__ */
#endif
