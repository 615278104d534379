/* SPDX-License-Identifier: Apache-2.0
 * Rules and their driver. A rule decides first (`when`), then creates (`build`); the driver asks the bisect counter, splices the result in,
 * passes names and origins on, infers the types of new nodes, removes what became dead and looks at the neighbours again. A rule
 * cannot leave the graph half edited.
 *
 * Law of rules: the right side is cheaper or canonical, never merely different; two plain rules beat a clever one. */
#ifndef QCC_REWRITE_H
#define QCC_REWRITE_H

#include "passes/match.h"

typedef struct qcc_rule {
  const char *name, *doc;
  const qcc_pattern *pattern;
  /* NULL: go ahead; else why not, a phrase. May be NULL. Must not change anything. */
  const char *(*when)(const qcc_match *m);
  /* Creates nodes before m->root and constants, nothing else; the value that replaces output 0 of the root, NULL: out of memory.
   * May be NULL: then the value of slot `to` replaces it. */
  qcc_value *(*build)(const qcc_match *m);
  uint8_t to;
} qcc_rule;

/* Applies the rules to the whole module until none matches; earlier rows win. */
qcc_status qcc_rewrite(qcc_pass_cx *p, const qcc_rule *rules, uint32_t count) QCC_MUST_USE;

#define QCC_REWRITE(p, rules) qcc_rewrite((p), (rules), (uint32_t)(sizeof(rules) / sizeof *(rules)))

/* May `to` stand wherever `from` stands? Graph outputs must be made by a node of their own graph, one name each. */
bool qcc_can_stand_for(const qcc_value *to, const qcc_value *from);
/* The new constant `c` takes the name and the uses of `old`; node `old->def` is erased when nothing else of it is used. */
qcc_status qcc_replace_by_const(qcc_value *old, qcc_value *c) QCC_MUST_USE;
/* The new constant `c` takes the name of the constant `old` when that goes with the one node that reads it. NULL-safe. */
void qcc_take_name(qcc_value *c, qcc_value *old);
/* Erases the constants of the whole module that nobody reads; once per pass, for it walks all of them. */
qcc_status qcc_sweep_consts(qcc_graph *root) QCC_MUST_USE;

#endif
