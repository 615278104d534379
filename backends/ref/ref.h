/* SPDX-License-Identifier: Apache-2.0
 * The built-in runtime behind ir/eval.h. */
#ifndef QCC_REF_H
#define QCC_REF_H

#include "ir/eval.h"

const qcc_eval *qcc_ref_eval(void); /* a constant table */
bool qcc_ref_has_kernel(qcc_op op);
const char *qcc_ref_isa(void); /* the best of simd/isa.c that this machine has */

#endif
