/* SPDX-License-Identifier: Apache-2.0
 * Emission of QuantizeLinear/DequantizeLinear pairs; shared by the parts of rewrite-qdq. */
#ifndef QCC_QDQ_H
#define QCC_QDQ_H

#include "ir/support/map.h"
#include "passes/pass.h"

typedef struct qcc_qdq { /* state of one run of rewrite-qdq */
  qcc_pass_cx *p;
  qcc_map scales, zeros; /* text of the parameters -> shared constant */
} qcc_qdq;

/* Constants of scale and zero point in `g`. Per tensor: rank 0, one constant for equal parameters, so that "same parameters" holds bit for
 * bit; per channel: rank 1, named after `base`. `scale_name`... NULL on allocation failure (sticky). */
qcc_value *qcc_qdq_scale(qcc_qdq *s, qcc_graph *g, const qcc_qparams *q, const char *base);
qcc_value *qcc_qdq_zero(qcc_qdq *s, qcc_graph *g, const qcc_qparams *q, const char *base);
/* DequantizeLinear of the value `codes` before `before`. */
qcc_value *qcc_qdq_dequantize(qcc_qdq *s, qcc_graph *g, qcc_node *before, qcc_value *codes, const qcc_qparams *q, const char *base);
/* Constant of the codes of `w`; `last`: its reader is about to go, so when it is the only one, `w` itself takes the codes and the floats
 * leave memory. */
qcc_status qcc_qdq_codes(qcc_value **out, qcc_graph *g, qcc_value *w, bool last, const qcc_qparams *q) QCC_MUST_USE;
/* MatMul and Gemm on run-time ranges; removes the dynamic FakeQuant nodes. */
qcc_status qcc_qdq_dynamic(qcc_qdq *s, qcc_graph *g) QCC_MUST_USE;

#endif
