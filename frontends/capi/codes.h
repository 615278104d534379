/* SPDX-License-Identifier: Apache-2.0
 * A copy of a graph whose Q/DQ parts are operators on codes, for evaluation as integers; samples that were made for the graph fit the copy. */
#ifndef QCC_CAPI_CODES_H
#define QCC_CAPI_CODES_H

#include "ir/eval.h"

typedef struct qcc_codes {
  qcc_context *cx;
  qcc_graph *g;        /* the copy */
  qcc_samples samples; /* for its inputs */
  const qcc_samples *from;
  uint32_t from_count, *index; /* of the inputs of the copy in those of the graph */
  qcc_tensor *inputs;
} qcc_codes;

/* Close it in any case. */
qcc_status qcc_codes_open(qcc_codes *c, qcc_context *cx, const qcc_graph *g) QCC_MUST_USE;
/* Samples of the graph as those of the copy; valid until the next call. */
const qcc_samples *qcc_codes_samples(qcc_codes *c, const qcc_samples *samples);
void qcc_codes_close(qcc_codes *c);

#endif
