/* SPDX-License-Identifier: Apache-2.0
 * Shape rules: one function per name in the shape column of ops.def, and what they share. Private to ir/.
 *
 * A rule reads input types and known values, and writes f->out (preset to unknown). It checks what it reads: a wrong model gives one
 * located QCC_INVALID. What is not known stays unknown; a rule never guesses and never makes symbols, so it may run on any thread. */
#ifndef QCC_SHAPE_H
#define QCC_SHAPE_H

#include "ir/check.h"

#define OP(id, domain, name, since, in_min, in_max, out_max, shape, kern, role, exact) qcc_status qcc_shape_##shape(qcc_infer *f);
#include "ir/ops.def"
#undef OP
qcc_status qcc_shape_opaque(qcc_infer *f); /* operators without a row */

/* Message numbers of the rules. */
#define QCC_M_ARITY "M-020" /* number of inputs, outputs, attributes that must be there */
#define QCC_M_RANK "M-021"  /* rank of an input */
#define QCC_M_ATTR "M-022"  /* value or length of an attribute or of a list input */
#define QCC_M_DIM "M-023"   /* sizes that do not fit each other */
#define QCC_M_DTYPE "M-024" /* element types that do not fit each other */
#define QCC_M_INDEX "M-025" /* axis or index out of range */
#define QCC_M_QUANT "M-026" /* scales and zero points */

/* One located error; evaluates to QCC_INVALID. */
#define qcc_shape_bad(f, code, ...) qcc_error((f)->cx, QCC_INVALID, code, (qcc_loc[]){qcc_node_loc((f)->node)}, __VA_ARGS__)
#define qcc_shape_limit(f, ...) qcc_error((f)->cx, QCC_LIMIT, "L-020", (qcc_loc[]){qcc_node_loc((f)->node)}, __VA_ARGS__)

/* Input type; NULL when it is left out. */
const qcc_type *qcc_shape_in(const qcc_infer *f, uint32_t k);
const qcc_tensor *qcc_shape_known(const qcc_infer *f, uint32_t k);
/* Input type when it is there and its rank is known, else NULL. */
const qcc_type *qcc_shape_ranked(const qcc_infer *f, uint32_t k);
qcc_dtype qcc_shape_dtype(const qcc_infer *f, uint32_t k); /* QCC_NONE: unknown or left out */
/* For inputs behind optional ones that must be there all the same. */
qcc_status qcc_shape_need(const qcc_infer *f, uint32_t k) QCC_MUST_USE;
/* Set output k; nothing happens when the node does not have it. */
void qcc_shape_set(qcc_infer *f, uint32_t k, const qcc_type *t);
/* Unknown type of the given element type and rank (-1: unknown). Rank is at most QCC_MAX_RANK. */
qcc_type qcc_shape_type(qcc_dtype dtype, int rank);
/* Element type and rank, refusing ranks that the IR does not hold. */
qcc_status qcc_shape_make(qcc_infer *f, qcc_type *t, qcc_dtype dtype, int64_t rank) QCC_MUST_USE;

/* qcc_axis with an error that tells the range. */
qcc_status qcc_shape_axis(const qcc_infer *f, int64_t axis, int rank, int *out) QCC_MUST_USE;
/* Error unless the input's rank is unknown or within [lo, hi]. */
qcc_status qcc_shape_rank(const qcc_infer *f, uint32_t k, int lo, int hi) QCC_MUST_USE;
/* Two sizes that must agree; fills *into when the other one knows more. `what` names them in the error. */
qcc_status qcc_shape_fit(const qcc_infer *f, int64_t *into, int64_t other, const char *what) QCC_MUST_USE;
/* Element types of all inputs first..last that are there must agree. */
qcc_status qcc_shape_same_dtype(const qcc_infer *f, uint32_t first, uint32_t last) QCC_MUST_USE;
/* Attribute that must be 0 or 1. */
qcc_status qcc_shape_flag(const qcc_infer *f, const char *name, bool fallback, bool *out) QCC_MUST_USE;
/* Attribute that must be one of `allowed` (NULL-terminated); returns its index. Absent: 0. */
qcc_status qcc_shape_choice(const qcc_infer *f, const char *name, const char *const *allowed, int *out) QCC_MUST_USE;
/* Attribute that holds an ONNX element type. Absent: `fallback`. */
qcc_status qcc_shape_dtype_attr(const qcc_infer *f, const char *name, qcc_dtype fallback, qcc_dtype *out) QCC_MUST_USE;

/* A list that an attribute or an input gives: axes, pads, starts, target shapes. */
enum { QCC_LIST_MAX = 32, QCC_NO_INPUT = -1 };
typedef enum qcc_list_state { QCC_LIST_ABSENT, QCC_LIST_UNKNOWN, QCC_LIST_KNOWN } qcc_list_state;
typedef struct qcc_list {
  qcc_list_state state;
  int n; /* entries; -1 when unknown */
  int64_t at[QCC_LIST_MAX];
} qcc_list;
/* From attribute `attr` when it is not NULL, else from input `input`. */
qcc_status qcc_shape_list(const qcc_infer *f, const char *attr, int input, qcc_list *out) QCC_MUST_USE;
/* A list input that is a shape: a known one, or entries of which some are symbols or QCC_ENTRY_UNKNOWN (state KNOWN too). */
qcc_status qcc_shape_target(const qcc_infer *f, int input, qcc_list *out) QCC_MUST_USE;
/* Axes to a set of bits; errors on range and repetition. */
qcc_status qcc_shape_axes(const qcc_infer *f, const qcc_list *axes, int rank, uint32_t *set) QCC_MUST_USE;
/* Known scalar integer input; false when it is not known. */
bool qcc_shape_scalar(const qcc_infer *f, uint32_t input, int64_t *out);

/* Shapes shared by float and quantized forms; `x`, `w` are input numbers. */
qcc_status qcc_shape_conv_of(qcc_infer *f, uint32_t x, uint32_t w, qcc_dtype dtype) QCC_MUST_USE;
qcc_status qcc_shape_matmul_of(qcc_infer *f, uint32_t a, uint32_t b, qcc_dtype dtype) QCC_MUST_USE;

#endif
