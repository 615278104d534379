/* SPDX-License-Identifier: Apache-2.0
 * Small questions that several passes ask about constants and types. */
#ifndef QCC_FACTS_H
#define QCC_FACTS_H

#include "passes/pass.h"

enum { QCC_MOST_INTS = 2 * QCC_MAX_RANK }; /* pads of the largest tensor */

typedef struct qcc_int_list {
  uint32_t count;
  int64_t at[QCC_MOST_INTS];
} qcc_int_list;

/* All elements of an integer constant; false: not one, or too long. */
bool qcc_const_ints(const qcc_value *v, qcc_int_list *out);
/* Same from attribute `name`, or from input `index` where newer operator versions have it. */
bool qcc_node_ints(const qcc_node *n, const char *name, uint32_t index, qcc_int_list *out);
/* Is attribute or input given at all? */
bool qcc_node_has(const qcc_node *n, const char *name, uint32_t index);
/* A numeric constant with one element. */
bool qcc_const_number(const qcc_value *v, double *out);
/* Does every element equal `x`? Also true for -0 and 0. */
bool qcc_const_splat(const qcc_value *v, double x);
/* Both known in every dim (numbers or symbols) and equal. */
bool qcc_same_shape(const qcc_value *a, const qcc_value *b);
bool qcc_same_type(const qcc_value *a, const qcc_value *b);
/* The shape as operand of Reshape, one unknown or symbolic dim as -1; false: more than one, or a dim that is 0. */
bool qcc_reshape_target(const qcc_type *t, int64_t *dims);
/* Between floats and codes, of either operator set; and the type of its codes, QCC_NONE: unknown. */
bool qcc_is_quantize(const qcc_node *n);
bool qcc_is_dequantize(const qcc_node *n);
qcc_dtype qcc_codes_type(const qcc_node *n);
/* Its one output holds elements of input 0, whatever they are; MaxPool has to compare them. */
bool qcc_moves_elements(const qcc_node *n);
/* A Cast of constant codes of 8 bits or fewer to floats, which products alone read: weights as they are stored where runtimes fold that. */
bool qcc_stores_codes(const qcc_node *n);
/* Window of a Relu or a Clip with constant bounds; false: another node, or bounds that are not constant. */
bool qcc_clamp_window(const qcc_node *n, double *lo, double *hi);

#endif
