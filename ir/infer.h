/* SPDX-License-Identifier: Apache-2.0
 * What inference over a graph knows of values beside their types: whole tensors, or entries of small integer vectors. Private to ir/.
 * Facts live in a side table by value id for the time of one walk; the graph is not touched. */
#ifndef QCC_INFER_H
#define QCC_INFER_H

#include "ir/check.h"
#include "ir/eval.h"

typedef struct qcc_fact {
  qcc_tensor value; /* when known */
  bool known;
  qcc_entries entries; /* when n > 0: partly known */
} qcc_fact;

typedef struct qcc_facts {
  qcc_context *cx;
  const qcc_eval *fold; /* may be NULL */
  qcc_arena arena;
  qcc_fact **at; /* by value id; NULL: nothing known */
  uint32_t count;
} qcc_facts;

qcc_status qcc_facts_init(qcc_facts *facts, const qcc_graph *g, const qcc_eval *fold) QCC_MUST_USE;
void qcc_facts_fini(qcc_facts *facts);
const qcc_tensor *qcc_fact_known(const qcc_facts *facts, const qcc_value *v);    /* NULL: not known; v may be NULL */
const qcc_entries *qcc_fact_partial(const qcc_facts *facts, const qcc_value *v); /* NULL: nothing beyond the type */
/* After inference of a node: learn what its outputs hold. */
qcc_status qcc_facts_learn(qcc_facts *facts, const qcc_infer *f) QCC_MUST_USE;

#endif
