/* SPDX-License-Identifier: Apache-2.0
 * Patterns as static const data, and the matcher. A pattern is a tree that is read from the last node (the root of the match)
 * against the edges. It binds values and nodes to slots; slot 0 is the node whose name the result keeps.
 *
 *   P_OP(1, OPS(QCC_OP_RELU), P_OP1(0, OPS(QCC_OP_CLIP), P_ANY(2), P_MAYBE_CONST(3), P_MAYBE_CONST(4)))
 *
 * Inputs that a pattern does not list must be left out by the node. Optional ones are listed with a MAYBE form. */
#ifndef QCC_MATCH_H
#define QCC_MATCH_H

#include "passes/pass.h"

enum { QCC_SLOTS = 10, QCC_PATTERN_INPUTS = 6, QCC_PATTERN_OPS = 6 };

typedef enum qcc_pattern_kind {
  QCC_PAT_ANY,         /* a value */
  QCC_PAT_MAYBE,       /* a value or nothing */
  QCC_PAT_CONST,       /* a constant */
  QCC_PAT_MAYBE_CONST, /* a constant or nothing */
  QCC_PAT_OP           /* output 0 of a node in the graph of the root */
} qcc_pattern_kind;

typedef struct qcc_pattern {
  qcc_pattern_kind kind;
  uint8_t slot;
  bool once;                                            /* the value has no other use */
  qcc_op ops[QCC_PATTERN_OPS + 1];                      /* any of these; ends with QCC_OP_OPAQUE */
  const struct qcc_pattern *in[QCC_PATTERN_INPUTS + 1]; /* ends with NULL */
} qcc_pattern;

#define OPS(...) \
  { __VA_ARGS__ }
#define P_ANY(s) \
  &(const qcc_pattern) { .kind = QCC_PAT_ANY, .slot = (s) }
#define P_MAYBE(s) \
  &(const qcc_pattern) { .kind = QCC_PAT_MAYBE, .slot = (s) }
#define P_CONST(s) \
  &(const qcc_pattern) { .kind = QCC_PAT_CONST, .slot = (s) }
#define P_MAYBE_CONST(s) \
  &(const qcc_pattern) { .kind = QCC_PAT_MAYBE_CONST, .slot = (s) }
#define P_OP(s, any_of, ...)                                              \
  &(const qcc_pattern) {                                                  \
    .kind = QCC_PAT_OP, .slot = (s), .ops = any_of, .in = { __VA_ARGS__ } \
  }
#define P_OP1(s, any_of, ...)                                                           \
  &(const qcc_pattern) {                                                                \
    .kind = QCC_PAT_OP, .slot = (s), .once = true, .ops = any_of, .in = { __VA_ARGS__ } \
  }

typedef struct qcc_match {
  qcc_pass_cx *p;
  qcc_node *root;
  qcc_node *node[QCC_SLOTS];   /* of P_OP slots */
  qcc_value *value[QCC_SLOTS]; /* NULL: a MAYBE that is left out */
  const char *reason;          /* when operators matched and a condition on them did not */
} qcc_match;

/* Fills `m`; false: no match, perhaps with m->reason. */
bool qcc_match_node(qcc_match *m, const qcc_pattern *pattern, qcc_node *n);
/* Is `n` one of the pattern's operators? */
bool qcc_pattern_takes(const qcc_pattern *pattern, const qcc_node *n);

#endif
