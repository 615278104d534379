/* SPDX-License-Identifier: Apache-2.0
 * Making and reading qcc.FakeQuant nodes; shared by the quantizing passes. */
#ifndef QCC_FAKEQUANT_H
#define QCC_FAKEQUANT_H

#include "ir/ir.h"
#include "ir/quant.h"

/* FakeQuant of `x`, floats or codes, inserted before `before` (NULL: at the end); `q` NULL makes the dynamic form. Returns its output, named after
 * `x`; NULL when out of memory (sticky). */
qcc_value *qcc_fakequant_add(qcc_graph *g, qcc_node *before, qcc_value *x, const qcc_qparams *q);
bool qcc_fakequant_is(const qcc_value *v); /* made by a static FakeQuant; NULL-safe */
bool qcc_fakequant_is_dynamic(const qcc_node *n);
/* Parameters of a static FakeQuant; scale and zero live in the graph's arena. False when the attributes do not fit together. */
bool qcc_fakequant_read(const qcc_node *n, qcc_qparams *q);
/* One scale, or one per output channel of `n`: what integer kernels ask of a weight. */
bool qcc_fakequant_by_output(const qcc_node *n, const qcc_qparams *w);
/* Replace the scales of `from`, the parameters that were read (same count); constant codes are rounded anew. */
qcc_status qcc_fakequant_rescale(qcc_node *n, const qcc_qparams *from, const float *scale) QCC_MUST_USE;

#endif
