/* SPDX-License-Identifier: Apache-2.0
 * Textual IR (.qir): prints and parses, print(parse(t)) == t. The grammar stands at the top of parse.c.
 *
 *   graph @f(%x: f32[N,3,8,8]) -> (%y) opset 13 {
 *     %w = const f32[4,3,3,3] rand(7)
 *     %c: f32[N,4,8,8] = Conv(%x, %w) {pads=[1,1,1,1]} "conv_1"
 *     %y: f32[N,4,8,8] = Relu(%c)
 *   } */
#ifndef QCC_TEXT_H
#define QCC_TEXT_H

#include "ir/ir.h"
#include "ir/support/vec.h"

typedef struct qcc_print_options {
  bool all_weights;   /* print every weight inline; default: up to 16 elements inline, larger as #hash (not parseable back) */
  const char *around; /* node or value name: print only its neighbourhood; NULL: all */
  int radius;
} qcc_print_options;

/* Appends to `to`; check to->failed. `options` may be NULL. */
void qcc_print_graph(qcc_text *to, const qcc_graph *g, const qcc_print_options *options);
void qcc_print_node(qcc_text *to, const qcc_node *n);
void qcc_print_type(qcc_text *to, const qcc_context *cx, const qcc_type *t); /* "f32[1,N,?]" */
/* Parse one graph. Errors carry line and column. `file` is for messages and may be NULL. The result is verified. */
qcc_status qcc_parse_graph(qcc_graph **out, qcc_context *cx, const char *text, size_t n, const char *file) QCC_MUST_USE;

#endif
