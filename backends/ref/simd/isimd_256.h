/* SPDX-License-Identifier: Apache-2.0
 * The vectors of isimd_body.h in 256 bits, for the sets with and without VNNI. */
#include <immintrin.h>
#include <string.h>

#include "backends/ref/simd/simd_tables.h"

#define LANES 8
typedef __m256i ivec;
typedef __m256 fvec;
#define ivec_load(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define ivec_store(p, x) _mm256_storeu_si256((__m256i *)(p), (x))
#define ivec_set _mm256_set1_epi32
#define ivec_add _mm256_add_epi32
#define ivec_low _mm256_unpacklo_epi16
#define ivec_high _mm256_unpackhi_epi16
#define ivec_pair(sum, a, b) _mm256_add_epi32((sum), _mm256_madd_epi16((a), (b)))
#define ivec_quad(sum, a, b) _mm256_add_epi32((sum), _mm256_madd_epi16(_mm256_maddubs_epi16((a), (b)), _mm256_set1_epi16(1)))
#define fvec_load _mm256_loadu_ps
#define fvec_store(p, x) _mm256_storeu_ps((float *)(p), (x))
#define fvec_set _mm256_set1_ps
#define fvec_mul _mm256_mul_ps
#define fvec_max _mm256_max_ps
#define fvec_min _mm256_min_ps
#define fvec_of _mm256_cvtepi32_ps
#define ivec_round _mm256_cvtps_epi32
#define scalar_fma __builtin_fmaf

static inline __m256i ivec_group(const void *p) {
  int32_t x;
  memcpy(&x, p, sizeof x);
  return _mm256_set1_epi32(x);
}

/* Sixteen s16 in order to bytes. */
static inline void put_words(uint8_t *to, __m256i w) {
  const __m256i low = _mm256_and_si256(w, _mm256_set1_epi16(255));
  _mm_storeu_si128((__m128i *)(void *)to, _mm_packus_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}
#define put_turned(to, a, b) put_words((to), _mm256_packs_epi32((a), (b)))
#define put_bytes(to, a, b) put_words((to), _mm256_permute4x64_epi64(_mm256_packs_epi32((a), (b)), 0xd8))
