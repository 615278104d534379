/* SPDX-License-Identifier: Apache-2.0
 * Placement: which operators compute in 8 bit on a target, which tensors carry parameters, and which of them must share these.
 * Needs no data. The rules are those of the target's table plus what makes a quantized region worth it. */
#ifndef QCC_PLACEMENT_H
#define QCC_PLACEMENT_H

#include "ir/plan.h"
#include "ir/target.h"
#include "strategy/strategy.h"

typedef struct qcc_placement {
  qcc_context *cx;
  const qcc_graph *g;
  const qcc_target *target;
  qcc_arena arena;
  qcc_mode *mode;      /* by node id */
  const char **reason; /* by node id: why a node that could compute in 8 bit does not; NULL: none */
  bool *fused;         /* by node id: a Relu or Clip that became part of its producer */
  bool *quantized;     /* by value id: activation with parameters (entry of the plan) */
  uint32_t *group;     /* by value id: representative of the values that share parameters */
  uint32_t value_count, node_count;
  bool coded_interface; /* see qcc_place_options */
} qcc_placement;

/* A product of data and a constant matrix: its weights can be stored in blocks. */
static inline bool qcc_is_product(const qcc_node *n) { return n->op == QCC_OP_MATMUL || n->op == QCC_OP_GEMM; }

typedef struct qcc_place_options {
  bool have_ranges;     /* calibration data is there: static ranges can be known */
  bool dynamic;         /* prefer run-time ranges */
  bool blocks;          /* of matrix products only the weights, in blocks */
  bool coded_interface; /* the caller gives and gets codes: outputs are 8 bit where an operator in 8 bit makes them, conversions are free */
  qcc_prefer prefer;    /* counts when the target has a table of costs */
  const qcc_select *select; /* may be NULL */
} qcc_place_options;

/* QCC_ARG when a selector matches nothing. */
qcc_status qcc_place(qcc_placement *out, const qcc_graph *g, const qcc_target *target, const qcc_place_options *options) QCC_MUST_USE;
/* Decide again with some nodes kept float (by node id, mode already set to FLOAT through this call). */
qcc_status qcc_place_keep_float(qcc_placement *p, const qcc_node *n, const char *reason) QCC_MUST_USE;
/* Decide again about operators without weights and about parameters, after modes of others were changed. */
void qcc_place_again(qcc_placement *p);
void qcc_placement_fini(qcc_placement *p);

/* Representative of the group of `v`. */
uint32_t qcc_group_of(const qcc_placement *p, const qcc_value *v);
/* A quantized activation whose own values define the range of its group: not the output of an operator that only moves codes. */
bool qcc_is_range_source(const qcc_placement *p, const qcc_value *v);
/* Range that the producer guarantees, whatever the data: Sigmoid [0,1], Clip(0,6), Relu [0,inf). */
void qcc_known_range(const qcc_value *v, double *lo, double *hi);
/* Range beyond which the 8-bit users of a tensor cannot tell values apart: what only feeds Sigmoid, or Sigmoid and the product with it (SiLU). */
void qcc_useful_range(const qcc_placement *p, const qcc_value *v, double *lo, double *hi);
/* Constant weight of a node in 8-bit mode (slot 1; slots 1 and 2 of recurrent operators); its channel axis in `axis` (-1: per tensor). NULL: none. */
qcc_value *qcc_weight_of(const qcc_placement *p, const qcc_node *n, uint32_t slot, int *axis);

#endif
