/* SPDX-License-Identifier: Apache-2.0
 * The tables of inner loops that this build has; only isa.c may pick one, because calling a foreign one is an illegal
 * instruction. */
#ifndef QCC_SIMD_TABLES_H
#define QCC_SIMD_TABLES_H

#include "backends/ref/simd/isimd.h"
#include "backends/ref/simd/simd.h"

extern const qcc_simd qcc_simd_base;
extern const qcc_isimd qcc_isimd_base;
#if defined(__x86_64__)
extern const qcc_simd qcc_simd_avx2, qcc_simd_avx512;
extern const qcc_isimd qcc_isimd_avx2, qcc_isimd_avxvnni, qcc_isimd_avx512, qcc_isimd_vnni;
#elif defined(__aarch64__)
extern const qcc_isimd qcc_isimd_dotprod, qcc_isimd_i8mm;
#endif

#endif
