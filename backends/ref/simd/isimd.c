/* SPDX-License-Identifier: Apache-2.0
 * The order of depthwise weights, which follows from the vectors of a table. */
#include "backends/ref/simd/isimd.h"

/* The lower, then the upper halves of every 8 channels. */
size_t qcc_idw_channel(const qcc_isimd *simd, size_t at) {
  const size_t lanes = simd->nr / 2, half = at / lanes % 2, i = at % lanes;
  return at / simd->nr * simd->nr + i / 4 * 8 + half * 4 + i % 4;
}

/* [block of nr channels][pair of taps][nr][2] */
size_t qcc_idw_room(const qcc_isimd *simd, size_t taps, size_t channels) {
  return (channels + simd->nr - 1) / simd->nr * simd->nr * (taps + taps % 2);
}

void qcc_idw_pack(const qcc_isimd *simd, int16_t *at, const int16_t *w, size_t taps, size_t channels) {
  for (size_t first = 0; first < channels; first += simd->nr) {
    for (size_t t = 0; t < taps; t += 2) {
      for (size_t i = first; i < first + simd->nr; ++i, at += 2) {
        const size_t c = qcc_idw_channel(simd, i);
        at[0] = c < channels ? w[t * channels + c] : 0;
        at[1] = c < channels && t + 1 < taps ? w[(t + 1) * channels + c] : 0;
      }
    }
  }
}
