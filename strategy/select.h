/* SPDX-License-Identifier: Apache-2.0
 * --only and --exclude, from text to marks on nodes. The forms of a selector:
 *
 *   type:Conv          operators of this type
 *   name:GLOB, NAME    nodes of this name, or whose name the glob matches
 *   re:EXPRESSION      nodes whose name holds a match of the extended regular expression
 *   first:N, last:N    the first or last N operators with weights that could compute in 8 bit, in the order of the graph
 *   between:A..B       the nodes on all paths from tensor A to tensor B
 *
 * Names are those of the source model: a node also answers to its origins, and paths are those of the source, so a selector survives fusions.
 * A selector that matches nothing is an error. */
#ifndef QCC_SELECT_H
#define QCC_SELECT_H

#include "strategy/strategy.h"

typedef struct qcc_marks { /* by node id */
  bool *selected;          /* what --only and --exclude leave */
  bool *excluded;          /* named by --exclude */
  const bool *able;        /* could compute in 8 bit: what first: and last: count */
} qcc_marks;

qcc_status qcc_select_mark(qcc_marks *m, const qcc_graph *g, const qcc_select *select) QCC_MUST_USE;
/* Nodes of `g` (by id) on paths from `a` to `b`, of the same graph. */
qcc_status qcc_select_paths(bool *on_path, const qcc_value *a, const qcc_value *b) QCC_MUST_USE;

#endif
