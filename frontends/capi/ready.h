/* SPDX-License-Identifier: Apache-2.0
 * A copy of a graph made ready to run: its types are inferred, which tells the runtime the sizes, or its Q/DQ parts became operators on codes,
 * for evaluation as integers. Samples that were made for the graph fit the copy. */
#ifndef QCC_CAPI_READY_H
#define QCC_CAPI_READY_H

#include "ir/eval.h"

typedef struct qcc_ready {
  qcc_context *cx;
  qcc_graph *g;        /* the copy */
  qcc_samples samples; /* for its inputs */
  const qcc_samples *from;
  uint32_t from_count, *index; /* of the inputs of the copy in those of the graph */
  qcc_tensor *inputs;
} qcc_ready;

/* `passes`: the pipeline that it goes through. Close it in any case. */
qcc_status qcc_ready_open(qcc_ready *c, qcc_context *cx, const qcc_graph *g, const char *passes) QCC_MUST_USE;
/* Samples of the graph as those of the copy; valid until the next call. */
const qcc_samples *qcc_ready_samples(qcc_ready *c, const qcc_samples *samples);
void qcc_ready_close(qcc_ready *c);

#endif
