/* SPDX-License-Identifier: Apache-2.0
 * The instruction sets that the inner loops are compiled for. Asked anew each time: the answer is kept in the runner, not here. */
#ifndef QCC_ISA_H
#define QCC_ISA_H

#include "backends/ref/simd/isimd.h"
#include "backends/ref/simd/simd.h"

typedef struct qcc_isa {
  const char *name;
  const qcc_simd *floats;
  const qcc_isimd *codes;
} qcc_isa;

const qcc_isa *qcc_isa_at(unsigned index);     /* every set that runs here, best first; NULL past the end */
const qcc_isa *qcc_isa_find(const char *name); /* NULL: the best; unknown, or not of this processor: NULL */

#endif
