/* SPDX-License-Identifier: Apache-2.0
 * Shared by the two halves of the parser of the text form; nobody else includes it. */
#ifndef QCC_PARSE_H
#define QCC_PARSE_H

#include "ir/lex.h"

typedef struct qcc_parser {
  qcc_lexer l;
  qcc_graph *root;
  int depth; /* of nested graphs */
} qcc_parser;

/* "graph @name..." at the current token: the root when `parent` is NULL. The caller sets the owner of a subgraph. */
qcc_status qcc_parse_subgraph(qcc_parser *p, qcc_graph *parent, qcc_graph **out) QCC_MUST_USE;
/* `word` and bytes in hex, when the word is there; kept in the graph's arena. */
qcc_status qcc_parse_extra(qcc_parser *p, const char *word, qcc_extra *extra) QCC_MUST_USE;
/* "{...}", when it is there. */
qcc_status qcc_parse_attrs(qcc_parser *p, qcc_node *n) QCC_MUST_USE;

#endif
