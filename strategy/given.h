/* SPDX-License-Identifier: Apache-2.0
 * Parameters that a user gives for single tensors. They stand in every plan of a tune, trials included: ranges, scales and zero points are
 * taken as they are, weights get the best codes on the grid that was given. */
#ifndef QCC_GIVEN_H
#define QCC_GIVEN_H

#include "ir/plan.h"
#include "ir/target.h"

typedef struct qcc_given_tensor {
  const char *tensor; /* interned name in the source model */
  const char *place;  /* where it stands, for messages: overrides: "conv1.weight" */
  qcc_dtype dtype;    /* QCC_NONE: that of the target */
  int32_t axis;       /* -1: per tensor */
  uint32_t count;     /* of what follows: 1, or the size of the axis; NULL: not given */
  float *scale;
  int32_t *zero;
  double *lo, *hi;           /* a range instead of scale and zero */
  int8_t symmetric, reduced; /* 0, 1; -1: as the target has it. `reduced`: 7 bits */
  const qcc_value *value;    /* in the graph that is tuned; NULL: not there any more */
} qcc_given_tensor;

typedef struct qcc_given {
  qcc_context *cx;
  qcc_arena arena;
  qcc_given_tensor **list;
  uint32_t count, cap;
} qcc_given;

void qcc_given_init(qcc_given *g, qcc_context *cx);
void qcc_given_fini(qcc_given *g);
/* A new entry, empty but for the name; NULL: no memory. */
qcc_given_tensor *qcc_given_add(qcc_given *g, const char *tensor, const char *place);
const qcc_given_tensor *qcc_given_of(const qcc_given *g, const qcc_value *v); /* NULL: none; `g` may be NULL */

/* Find the tensors in `prepared`, and tell of those that preparing changed. QCC_ARG: `source` has no such tensor either. */
qcc_status qcc_given_resolve(qcc_given *g, const qcc_graph *source, const qcc_graph *prepared) QCC_MUST_USE;
/* Parameters of an activation as a plan needs them; `r` is the range where only the grid is given. QCC_ARG: the target has no such grid. */
qcc_status qcc_given_activation(float *scale, int32_t *zero, qcc_grid *grid, double *lo, double *hi, qcc_context *cx,
                                const qcc_given_tensor *t, const qcc_target *target) QCC_MUST_USE;
bool qcc_given_fixed(const qcc_given_tensor *t); /* scales follow from it alone */
/* Grid of a weight; its scales, when they are given, into `scale` (rows of them). `axis`: along which the operator takes scales, -1: one. */
qcc_status qcc_given_weight(float *scale, qcc_grid *grid, size_t rows, int axis, qcc_context *cx, const qcc_given_tensor *t) QCC_MUST_USE;
/* Warn of what no tensor of `plan` uses. */
void qcc_given_unused(const qcc_given *g, const qcc_plan *plan);

#endif
