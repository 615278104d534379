/* SPDX-License-Identifier: Apache-2.0
 * Which kernel ONNX Runtime's CPU provider will run for each node of a model.
 *
 * The model is cloned and the clone goes through what the runtime does to it before the first run, in its order: pairs are cleaned and
 * propagated, constants folded, Relu and Clip removed, units of Q/DQ replaced by integer kernels, integer chains joined. The facts about each
 * step are rows (ort_units.def, ort_reasons.def); what is left of the clone is the prediction. */
#ifndef QCC_PRED_CHECK_H
#define QCC_PRED_CHECK_H

#include "ir/eval.h"

enum { QCC_PRED_NEWEST = 131 }; /* the version that the tables were compared with */

typedef enum qcc_pred_reason {
#define REASON(id, name, what, todo) QCC_PRED_##id,
#include "backends/target/ort_reasons.def"
#undef REASON
  QCC_PRED_REASON_COUNT
} qcc_pred_reason;

typedef struct qcc_pred_reason_text {
  const char *name, *what, *todo;
} qcc_pred_reason_text;
const qcc_pred_reason_text *qcc_pred_reason_of(qcc_pred_reason r); /* never NULL */

/* What becomes of a node of the model. */
typedef enum qcc_pred_fate {
  QCC_PRED_INT8,    /* an integer kernel */
  QCC_PRED_CODES,   /* it moves or selects codes instead of floats */
  QCC_PRED_FUSED,   /* part of the kernel of another node */
  QCC_PRED_REMOVED, /* gone: it would change nothing */
  QCC_PRED_FOLDED,  /* computed once, when the model is loaded */
  QCC_PRED_BORDER,  /* a conversion between floats and codes that runs */
  QCC_PRED_FLOAT,   /* stays float */
  QCC_PRED_OTHER    /* neither: shapes, indices, conditions */
} qcc_pred_fate;

typedef struct qcc_pred_node {
  const qcc_node *node; /* of the model */
  qcc_pred_fate fate;
  const char *kernel;      /* operator that runs for it; of the node that it is part of when fused; "" when nothing runs */
  const qcc_node *into;    /* fused: the node that it is part of, when that is one */
  qcc_pred_reason reason;  /* of FLOAT */
  int32_t input;           /* the input that the reason speaks of; -1: none */
  qcc_pred_reason warning; /* of INT8: what is amiss */
  bool channels_last;      /* runs in the fast layout */
  uint64_t pairs, unsafe;  /* pairs of weights that meet in one 16-bit sum, and those that can saturate */
} qcc_pred_node;

typedef struct qcc_pred_options {
  int version;          /* 131 is 1.31 */
  bool s8_activations;  /* signed data is allowed (ARM), not rewritten to unsigned (x86) */
  bool pair_saturation; /* u8*s8 products are summed in pairs in 16 bits */
  const qcc_eval *eval; /* folds constants; may be NULL */
} qcc_pred_options;

typedef struct qcc_pred_sink {
  qcc_status (*node)(void *user, const qcc_pred_node *n); /* in the order of the model, bodies last */
  qcc_status (*total)(void *user, const char *kernel, bool on_codes,
                      uint64_t count); /* nodes that run, by operator, in order of first use */
  void *user;
} qcc_pred_sink;

/* The model is not changed. */
qcc_status qcc_pred_check(const qcc_graph *g, const qcc_pred_options *o, const qcc_pred_sink *to) QCC_MUST_USE;

#endif
