/* SPDX-License-Identifier: Apache-2.0
 * What operators cost on a target, from its measured table (ir/target.h), and which of them are worth their 8-bit form. */
#ifndef QCC_COST_H
#define QCC_COST_H

#include "strategy/placement.h"

typedef struct qcc_cost { /* nanoseconds of one run, one thread */
  double f32, q8;
} qcc_cost;

typedef struct qcc_cost_place { /* what a node is to the table */
  qcc_cost_kind kind;           /* QCC_COST_COUNT: nothing */
  double at[3], units;
} qcc_cost_place;

/* Unknown sizes count as 1. */
qcc_cost_place qcc_cost_place_of(const qcc_node *n);
/* The same for a kind that the node alone does not tell: a product on run-time ranges, a change of layout of what it makes. */
qcc_cost_place qcc_cost_place_as(qcc_cost_kind kind, const qcc_node *n);
/* A node alone, without what changes tensors at its borders. A kind that the table lacks is taken to cost the same in both forms. */
qcc_cost qcc_cost_of(const qcc_target *t, const qcc_node *n);
/* What the node costs more in float when its input k comes from a kernel on codes: a float one would have done its work on the way. */
double qcc_cost_apart(const qcc_target *t, const qcc_node *n, uint32_t k);
/* A product on run-time ranges, with what finds them. */
qcc_cost qcc_cost_of_dynamic(const qcc_target *t, const qcc_node *n);
/* QuantizeLinear (or DequantizeLinear) of a whole tensor, and the changes of layout around it. */
double qcc_cost_of_border(const qcc_target *t, const qcc_value *v, bool quantize);
/* The table at one place: time per unit, float (or 8 bit), interpolated between the nearest points in logarithms; 0: not there. */
double qcc_cost_at(const qcc_costs *costs, qcc_cost_kind kind, const double at[3], bool q8);
/* A run of the graph as it is placed. */
qcc_cost qcc_cost_of_placement(const qcc_placement *p);

/* Leaves in float what computes faster so (its weights in 8 bit, unless accuracy is preferred): the cheapest division of what is placed in
 * 8 bit, exact, as a minimum cut. Each operator costs its time in the form that it gets, each tensor between the two forms costs its
 * QuantizeLinear or DequantizeLinear once. Without a table, or where size is preferred, nothing is left. */
qcc_status qcc_leave_slow(qcc_placement *p, qcc_prefer prefer) QCC_MUST_USE;

#endif
