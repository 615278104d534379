/* SPDX-License-Identifier: Apache-2.0
 * Shared by the files that may write links: graph.c, build.c, edit.c, attr.c, clone.c. Nobody else includes it.
 *
 * Use lists are doubly linked; `prev` of the first use is the last one, so that appending is O(1) and a list stands in the
 * order in which its edges were made. An input array has room for the next power of two of its count. */
#ifndef QCC_GRAPH_INTERNAL_H
#define QCC_GRAPH_INTERNAL_H

#include "ir/ir.h"
#include "ir/support/map.h"

typedef struct qcc_name_table {
  qcc_map values, nodes; /* name -> value or node; 0 once the name is free again */
  qcc_map next;          /* name -> last number tried behind it */
  qcc_map opsets, meta;  /* interned domain or key -> index */
} qcc_name_table;

/* ---- links (edit.c) */
void qcc_link_use(qcc_use *u, qcc_value *v); /* u->value must be NULL; v may be NULL */
void qcc_unlink_use(qcc_use *u);
void qcc_link_node(qcc_graph *g, qcc_node *n, qcc_node *before);
void qcc_unlink_node(qcc_node *n);
/* Drops all links, names and weights inside the subgraphs of an attribute that is about to go. */
void qcc_forget_subgraphs(const qcc_attr *a);

/* ---- pieces (graph.c) */
bool qcc_graph_ok(const qcc_graph *g); /* not NULL and no builder has failed */
void qcc_graph_fail(qcc_graph *g);
void *qcc_graph_alloc(qcc_graph *g, size_t count, size_t size); /* arena; failure is remembered */
/* Room for one more element in an arena array; false: failed. */
bool qcc_graph_grow(qcc_graph *g, void **at, uint32_t n, uint32_t *cap, size_t size);
/* The graph after `g` in the walk of `top` (outermost first, in node order); NULL at the end. */
qcc_graph *qcc_graph_next(const qcc_graph *top, const qcc_graph *g);
/* First subgraph of the attributes from `a` on, and the one behind `g` in the same node; NULL: none. */
qcc_graph *qcc_first_subgraph(const qcc_attr *a);
qcc_graph *qcc_next_subgraph(const qcc_graph *g);
/* Subgraphs of one attribute. */
uint32_t qcc_attr_graph_count(const qcc_attr *a);
qcc_graph *qcc_attr_graph_at(const qcc_attr *a, uint32_t k);
/* A tensor that the graph keeps: takes over t->buf on success and on failure; copies borrowed bytes. */
qcc_tensor *qcc_graph_own(qcc_graph *g, qcc_tensor *t);

/* ---- raw pieces (build.c) */
qcc_value *qcc_new_value(qcc_graph *g);                                      /* nameless, unlinked */
qcc_node *qcc_new_node(qcc_graph *g, uint32_t in_count, uint32_t out_count); /* arrays made, outputs NULL, not in the list */
bool qcc_name_value(qcc_value *v, const char *name);                         /* interned and made unique; registers */
bool qcc_name_node(qcc_node *n, const char *name);                           /* "" is not registered */
bool qcc_push_const(qcc_graph *g, qcc_value *v);
bool qcc_push_input(qcc_graph *g, qcc_value *v);
qcc_use *qcc_push_output(qcc_graph *g); /* an edge without value */

/* ---- copies (attr.c, clone.c) */
void qcc_attr_copy_one(qcc_node *to, const qcc_attr *from, bool with_graphs);
/* Copies `from` (a subgraph of the same root) as a subgraph for node `owner`; NULL: failed. */
qcc_graph *qcc_subgraph_clone(qcc_graph *root, qcc_node *owner, const qcc_graph *from);

#endif
