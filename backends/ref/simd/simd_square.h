/* SPDX-License-Identifier: Apache-2.0
 * The square of simd_body.h for x86-64 with AVX and more: eight by eight floats in registers. */
#ifndef QCC_SIMD_SQUARE_H
#define QCC_SIMD_SQUARE_H

#include <immintrin.h>
#include <stddef.h>

#define SQUARE 8
static inline void square(float *y, size_t ys, const float *x, size_t xs) {
  __m256 a[8], b[8];
  for (size_t i = 0; i < 4; ++i) { /* halves of rows i and i + 4 side by side */
    a[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x + i * xs)), _mm_loadu_ps(x + (i + 4) * xs), 1);
    a[i + 4] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(x + i * xs + 4)), _mm_loadu_ps(x + (i + 4) * xs + 4), 1);
  }
  for (size_t i = 0; i < 8; i += 4) {
    b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
    b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    b[i + 2] = _mm256_unpacklo_ps(a[i + 2], a[i + 3]);
    b[i + 3] = _mm256_unpackhi_ps(a[i + 2], a[i + 3]);
    _mm256_storeu_ps(y + i * ys, _mm256_shuffle_ps(b[i], b[i + 2], 0x44));
    _mm256_storeu_ps(y + (i + 1) * ys, _mm256_shuffle_ps(b[i], b[i + 2], 0xee));
    _mm256_storeu_ps(y + (i + 2) * ys, _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44));
    _mm256_storeu_ps(y + (i + 3) * ys, _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee));
  }
}

#endif
