/* SPDX-License-Identifier: Apache-2.0
 * isimd_body.h for what every processor of the target family has: SSE2 on x86-64, NEON on 64-bit ARM, plain C elsewhere. */
#include <math.h>
#include <string.h>

#include "backends/ref/simd/simd_tables.h"

#define ISA_TABLE qcc_isimd_base
#if defined(__aarch64__)
#include "backends/ref/simd/isimd_neon.h"
#define ISA_NAME "neon"
#elif defined(__SSE2__)
#include <emmintrin.h>
#define LANES 4
#define scalar_fma fmaf
#define ISA_NAME "sse2"
typedef __m128i ivec;
typedef __m128 fvec;
#define ivec_load(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define ivec_store(p, x) _mm_storeu_si128((__m128i *)(p), (x))
#define ivec_set _mm_set1_epi32
#define ivec_add _mm_add_epi32
#define ivec_low _mm_unpacklo_epi16
#define ivec_high _mm_unpackhi_epi16
#define ivec_pair(sum, a, b) _mm_add_epi32((sum), _mm_madd_epi16((a), (b)))
#define fvec_load _mm_loadu_ps
#define fvec_store(p, x) _mm_storeu_ps((float *)(p), (x))
#define fvec_set _mm_set1_ps
#define fvec_mul _mm_mul_ps
#define fvec_max _mm_max_ps
#define fvec_min _mm_min_ps
#define fvec_of _mm_cvtepi32_ps
#define ivec_round _mm_cvtps_epi32

static inline __m128i ivec_group(const void *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return _mm_set1_epi32(x);
}

/* Two products summed in 32 bits, then packed with saturation. */
static inline __m128i ivec_quad(__m128i sum, __m128i a, __m128i b) {
  const __m128i none = _mm_setzero_si128();
  const __m128i low = _mm_madd_epi16(_mm_unpacklo_epi8(a, none), _mm_srai_epi16(_mm_unpacklo_epi8(b, b), 8));
  const __m128i high = _mm_madd_epi16(_mm_unpackhi_epi8(a, none), _mm_srai_epi16(_mm_unpackhi_epi8(b, b), 8));
  return _mm_add_epi32(sum, _mm_madd_epi16(_mm_packs_epi32(low, high), _mm_set1_epi16(1)));
}

static inline void put_bytes(uint8_t *to, __m128i a, __m128i b) {
  const __m128i low = _mm_and_si128(_mm_packs_epi32(a, b), _mm_set1_epi16(255));
  _mm_storel_epi64((__m128i *)(void *)to, _mm_packus_epi16(low, low));
}
#define put_turned put_bytes
#else
#define LANES 4
#define scalar_fma fmaf
#define ISA_NAME "c"
typedef struct ivec {
  int32_t at[LANES];
} ivec;
typedef struct fvec {
  float at[LANES];
} fvec;
#define EACH_LANE for (int i = 0; i < LANES; ++i)

static inline ivec ivec_load(const void *p) {
  ivec x;
  memcpy(&x, p, sizeof x);
  return x;
}
static inline void ivec_store(void *p, ivec x) { memcpy(p, &x, sizeof x); }
static inline ivec ivec_set(int32_t x) {
  ivec y;
  EACH_LANE y.at[i] = x;
  return y;
}
static inline ivec ivec_add(ivec a, ivec b) {
  EACH_LANE a.at[i] = (int32_t)((uint32_t)a.at[i] + (uint32_t)b.at[i]);
  return a;
}
static inline ivec ivec_group(const void *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return ivec_set(x);
}
static inline ivec turned(ivec a, ivec b, int from) {
  int16_t x[2 * LANES], y[2 * LANES], z[2 * LANES];
  memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y);
  EACH_LANE z[2 * i] = x[from + i], z[2 * i + 1] = y[from + i];
  return ivec_load(z);
}
#define ivec_low(a, b) turned((a), (b), 0)
#define ivec_high(a, b) turned((a), (b), LANES)
static inline ivec ivec_pair(ivec sum, ivec a, ivec b) {
  int16_t x[2 * LANES], y[2 * LANES];
  memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y);
  EACH_LANE sum.at[i] = (int32_t)((uint32_t)sum.at[i] + (uint32_t)(x[2 * i] * y[2 * i]) + (uint32_t)(x[2 * i + 1] * y[2 * i + 1]));
  return sum;
}
static inline int32_t saturated(int32_t x) { return x < -32768 ? -32768 : x > 32767 ? 32767 : x; }
static inline ivec ivec_quad(ivec sum, ivec a, ivec b) {
  uint8_t x[4 * LANES];
  int8_t y[4 * LANES];
  memcpy(x, &a, sizeof x), memcpy(y, &b, sizeof y);
  EACH_LANE {
    const int32_t first = saturated(x[4 * i] * y[4 * i] + x[4 * i + 1] * y[4 * i + 1]);
    sum.at[i] = (int32_t)((uint32_t)sum.at[i] + (uint32_t)(first + saturated(x[4 * i + 2] * y[4 * i + 2] + x[4 * i + 3] * y[4 * i + 3])));
  }
  return sum;
}
static inline fvec fvec_load(const void *p) {
  fvec x;
  memcpy(&x, p, sizeof x);
  return x;
}
static inline void fvec_store(void *p, fvec x) { memcpy(p, &x, sizeof x); }
static inline fvec fvec_set(float x) {
  fvec y;
  EACH_LANE y.at[i] = x;
  return y;
}
static inline fvec fvec_mul(fvec a, fvec b) {
  EACH_LANE a.at[i] *= b.at[i];
  return a;
}
static inline fvec fvec_max(fvec a, fvec b) {
  EACH_LANE a.at[i] = a.at[i] > b.at[i] ? a.at[i] : b.at[i];
  return a;
}
static inline fvec fvec_min(fvec a, fvec b) {
  EACH_LANE a.at[i] = a.at[i] < b.at[i] ? a.at[i] : b.at[i];
  return a;
}
static inline fvec fvec_of(ivec a) {
  fvec y;
  EACH_LANE y.at[i] = (float)a.at[i];
  return y;
}
static inline ivec ivec_round(fvec a) {
  ivec y;
  EACH_LANE y.at[i] = (int32_t)rintf(a.at[i]);
  return y;
}
static inline void put_bytes(uint8_t *to, ivec a, ivec b) { EACH_LANE to[i] = (uint8_t)a.at[i], to[LANES + i] = (uint8_t)b.at[i]; }
#define put_turned put_bytes
#endif

#include "backends/ref/simd/isimd_body.h"
