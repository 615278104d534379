/* SPDX-License-Identifier: Apache-2.0
 * Which table of inner loops this processor can run. Asked anew each time: the answer is kept in the runner, not here. */
#include "backends/ref/ref.h"
#include "backends/ref/simd/simd_tables.h"

const qcc_simd *qcc_simd_at(unsigned index) {
  const qcc_simd *table[3];
  unsigned n = 0;
#if defined(__x86_64__)
  if (qcc_has_avx512()) table[n++] = &qcc_simd_avx512;
  if (qcc_has_avx2()) table[n++] = &qcc_simd_avx2;
#endif
  table[n++] = &qcc_simd_base;
  return index < n ? table[index] : NULL;
}

const qcc_simd *qcc_simd_choose(void) { return qcc_simd_at(0); }

const char *qcc_ref_isa(void) { return qcc_simd_choose()->name; }
