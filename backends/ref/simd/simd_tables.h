/* SPDX-License-Identifier: Apache-2.0
 * The tables of inner loops that this build has; only simd.c and isimd.c may pick one, because calling a foreign one is an illegal instruction. */
#ifndef QCC_SIMD_TABLES_H
#define QCC_SIMD_TABLES_H

#include "backends/ref/simd/isimd.h"
#include "backends/ref/simd/simd.h"

extern const qcc_simd qcc_simd_base;
extern const qcc_isimd qcc_isimd_base;
#if defined(__x86_64__)
extern const qcc_simd qcc_simd_avx2, qcc_simd_avx512;
extern const qcc_isimd qcc_isimd_avx2, qcc_isimd_avx512, qcc_isimd_vnni;

/* What the files for AVX2 and AVX-512 were compiled with. */
static inline bool qcc_has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

static inline bool qcc_has_avx512(void) {
  return qcc_has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}
#endif

#endif
