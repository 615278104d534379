/* SPDX-License-Identifier: Apache-2.0
 * Small float formats as data: one row, one encoder and one decoder for all of them. Internal to ir/. */
#ifndef QCC_HALF_H
#define QCC_HALF_H

#include "ir/tensor.h"

/* Bits of a code of type `t` (f16, bf16, f8*, f4e2m1, f8e8m0) to its exact value. */
double qcc_small_decode(qcc_dtype t, uint32_t code);
/* Nearest code, ties to even; f16 and bf16 overflow to infinity, the others saturate to their largest number. */
uint32_t qcc_small_encode(qcc_dtype t, double x);
bool qcc_is_small_float(qcc_dtype t);

#endif
