/* SPDX-License-Identifier: Apache-2.0
 * Adapters of raise-opset: one per name in raise_opset.def. An adapter turns one node into what the newer version of its operator
 * means by the same; what it adds beside the node is already in the form of the target version. */
#ifndef QCC_RAISE_OPSET_H
#define QCC_RAISE_OPSET_H

#include "passes/pass.h"

typedef struct qcc_raise {
  qcc_context *cx;
  int64_t to;     /* target version */
  qcc_node *node; /* an adapter that replaces the node puts the new one here */
} qcc_raise;

#define RAISE(op, version, adapter) qcc_status qcc_raise_##adapter(qcc_raise *r);
#include "passes/raise_opset.def"
#undef RAISE

/* ---- shared by the adapters */
/* Refuse: the node has no equal in the newer version. */
qcc_status qcc_raise_refuse(const qcc_raise *r, const char *why) QCC_MUST_USE;
/* New node before the current one, named after it, with the element type `dtype` and unknown shape; its first output. */
qcc_value *qcc_raise_emit(const qcc_raise *r, qcc_op op, qcc_value *const *in, uint32_t in_count, qcc_dtype dtype);
/* Integer list constant, named after the node and `what`. */
qcc_value *qcc_raise_ints(const qcc_raise *r, const char *what, const int64_t *at, uint32_t n);
/* Number with the element type of input 0 (f32 when that is unknown), rank 0. */
qcc_value *qcc_raise_number(const qcc_raise *r, const char *what, float x);
/* The list attribute `name` becomes input `index`; nothing when it is absent. */
qcc_status qcc_raise_move_ints(qcc_raise *r, const char *name, uint32_t index) QCC_MUST_USE;
/* Give the node another operator or fewer outputs: a new node with the same attributes takes its name and its outputs' names and uses. */
qcc_status qcc_raise_become(qcc_raise *r, qcc_op op, qcc_value *const *in, uint32_t in_count, uint32_t out_count) QCC_MUST_USE;
/* Input `index` with `ones` axes of size 1 appended. */
qcc_value *qcc_raise_append_axes(const qcc_raise *r, uint32_t index, int ones);
/* The pass itself, for passes whose result needs a newer opset. */
qcc_status qcc_raise_to(qcc_pass_cx *p, int64_t to) QCC_MUST_USE;
/* Leave out an input; a constant that nobody else reads goes. */
void qcc_raise_drop_input(qcc_raise *r, uint32_t index);

#endif
