/* SPDX-License-Identifier: Apache-2.0
 * Minimum cut of a directed graph with integer capacities: which vertices stay with the source when the cheapest set of edges goes. */
#ifndef QCC_CUT_H
#define QCC_CUT_H

#include "ir/support/context.h"
#include "ir/support/vec.h"

enum { QCC_CUT_SOURCE, QCC_CUT_SINK, QCC_CUT_FIRST }; /* vertices; the others are numbered from QCC_CUT_FIRST */
#define QCC_CUT_NEVER (INT64_MAX / 4)                 /* capacity of an edge that must not be cut */

typedef struct qcc_cut_edge { /* edge e runs from the target of e ^ 1 to `to`; the odd one of a pair is what flows back */
  uint32_t to, next;
  int64_t room;
} qcc_cut_edge;

typedef struct qcc_cut {
  qcc_context *cx;
  QCC_VEC(qcc_cut_edge) edges;
  QCC_VEC(uint32_t) head; /* by vertex: its first edge */
  bool failed;            /* out of memory */
} qcc_cut;

void qcc_cut_init(qcc_cut *c, qcc_context *cx);
void qcc_cut_fini(qcc_cut *c);
uint32_t qcc_cut_vertex(qcc_cut *c);
/* Costs `price` when `from` stays with the source and `to` does not; a price of 0 or less adds nothing. */
void qcc_cut_add(qcc_cut *c, uint32_t from, uint32_t to, int64_t price);
/* `with_source`: one for each vertex, the smallest such set. Dinic's algorithm (E. A. Dinic, Soviet Math. Doklady 11, 1970). */
qcc_status qcc_cut_solve(qcc_cut *c, bool *with_source) QCC_MUST_USE;

#endif
