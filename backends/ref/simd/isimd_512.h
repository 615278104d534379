/* SPDX-License-Identifier: Apache-2.0
 * The vectors of isimd_body.h in 512 bits, for the sets with and without VNNI. */
#include <immintrin.h>
#include <string.h>

#include "backends/ref/simd/simd_tables.h"

#define LANES 16
typedef __m512i ivec;
typedef __m512 fvec;
#define ivec_load(p) _mm512_loadu_si512((const void *)(p))
#define ivec_store(p, x) _mm512_storeu_si512((p), (x))
#define ivec_set _mm512_set1_epi32
#define ivec_add _mm512_add_epi32
#define ivec_low _mm512_unpacklo_epi16
#define ivec_high _mm512_unpackhi_epi16
#define ivec_pair(sum, a, b) _mm512_add_epi32((sum), _mm512_madd_epi16((a), (b)))
#define ivec_quad(sum, a, b) _mm512_add_epi32((sum), _mm512_madd_epi16(_mm512_maddubs_epi16((a), (b)), _mm512_set1_epi16(1)))
#define fvec_load _mm512_loadu_ps
#define fvec_store(p, x) _mm512_storeu_ps((p), (x))
#define fvec_set _mm512_set1_ps
#define fvec_mul _mm512_mul_ps
#define fvec_max _mm512_max_ps
#define fvec_min _mm512_min_ps
#define fvec_of _mm512_cvtepi32_ps
#define ivec_round _mm512_cvtps_epi32
#define scalar_fma __builtin_fmaf

static inline __m512i ivec_group(const void *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return _mm512_set1_epi32(x);
}

static inline void put_bytes(uint8_t *to, __m512i a, __m512i b) {
  _mm_storeu_si128((__m128i *)(void *)to, _mm512_cvtepi32_epi8(a));
  _mm_storeu_si128((__m128i *)(void *)(to + 16), _mm512_cvtepi32_epi8(b));
}
static inline void put_turned(uint8_t *to, __m512i a, __m512i b) {
  _mm256_storeu_si256((__m256i *)(void *)to, _mm512_cvtepi16_epi8(_mm512_packs_epi32(a, b)));
}
