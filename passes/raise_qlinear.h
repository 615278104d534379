/* SPDX-License-Identifier: Apache-2.0
 * What the parts of raise-qlinear share: parameters of codes, and the Q and DQ nodes made of them. */
#ifndef QCC_RAISE_QLINEAR_H
#define QCC_RAISE_QLINEAR_H

#include "passes/pass.h"

typedef struct qcc_raise_grid {
  qcc_value *codes, *scale, *zero; /* zero NULL: left out */
  int axis;                        /* -1: one scale */
  int64_t count;                   /* scales along `axis` */
} qcc_raise_grid;

/* Why scale and zero point are not one number each, or one per slice of `axis` (-1: not allowed); else `g` is complete. */
const char *qcc_raise_read(qcc_raise_grid *g, qcc_value *codes, qcc_value *scale, qcc_value *zero, int axis);
/* Gives both parameters the shape that Q and DQ want, and `g` a zero point. Creates constants. */
void qcc_raise_shape(qcc_raise_grid *g, qcc_graph *to);
/* Floats of these codes for `user`: the DequantizeLinear that is there already, or a new one. NULL: out of memory (sticky). */
qcc_value *qcc_raise_floats(const qcc_raise_grid *g, qcc_node *user);
/* The floats `v` quantized before `before`; only scale and zero of `g` are read. */
qcc_value *qcc_raise_codes(const qcc_raise_grid *g, qcc_value *v, qcc_node *before, qcc_dtype dtype);
/* Chains on run-time ranges (raise_integer.c): "" when `n` ends none, NULL when it was raised, else why not. */
const char *qcc_raise_integer(qcc_pass_cx *p, qcc_node *n, qcc_status *st);

#endif
