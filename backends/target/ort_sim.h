/* SPDX-License-Identifier: Apache-2.0
 * The clone of a model on its way through the runtime's rewrites, and what its parts share. */
#ifndef QCC_PRED_SIM_H
#define QCC_PRED_SIM_H

#include "backends/target/ort_check.h"
#include "ir/support/vec.h"

enum { QCC_PRED_MADE = 0 }; /* source of nodes that the runtime adds */

typedef struct qcc_pred_mark { /* about a node of the clone */
  uint32_t source;             /* 1 + index of the node of the model that it stands for; QCC_PRED_MADE: none */
  qcc_pred_reason reason, warning;
  int32_t input;
  bool gone;
} qcc_pred_mark;

typedef struct qcc_pred_fact { /* about a node of the model that is gone */
  qcc_pred_fate fate;
  uint32_t into; /* source of the node that it became part of */
} qcc_pred_fact;

typedef struct qcc_pred_sim {
  qcc_context *cx;
  qcc_graph *root;
  const qcc_pred_options *o;
  int64_t opset;
  QCC_VEC(qcc_pred_mark) marks; /* by node id of the clone */
  qcc_pred_fact *facts;         /* by source - 1 */
  uint32_t sources;
  bool changed;
} qcc_pred_sim;

/* A rewrite of one graph of the module; sets `changed`. */
typedef qcc_status (*qcc_pred_step)(qcc_pred_sim *s, qcc_graph *g);

/* ---- nodes of the clone (ort_sim.c) */
qcc_pred_mark *qcc_pred_mark_of(qcc_pred_sim *s, const qcc_node *n); /* NULL: out of memory */
/* A new node that stands for what `like` stands for; NULL: for nothing in the model. Sticky as all builders. */
qcc_node *qcc_pred_add(qcc_pred_sim *s, const qcc_node *like, qcc_node *before, qcc_op op, qcc_value *const *in, uint32_t in_count,
                       uint32_t out_count);
/* Take a node away whose outputs nobody reads any more; `into` may be NULL. */
qcc_status qcc_pred_drop(qcc_pred_sim *s, qcc_node *n, qcc_pred_fate fate, const qcc_node *into) QCC_MUST_USE;
bool qcc_pred_holds(const qcc_pred_sim *s, int from, int to);    /* versions of the runtime; 0: open */
bool qcc_pred_opset_in(const qcc_pred_sim *s, int from, int to); /* opset of the model; 0: open */

/* ---- questions */
bool qcc_pred_is_q(const qcc_node *n);
bool qcc_pred_is_dq(const qcc_node *n);
qcc_node *qcc_pred_dq_input(const qcc_node *n, uint32_t k); /* the DequantizeLinear behind input k; NULL */
uint32_t qcc_pred_edges(const qcc_node *n);                 /* readers of all outputs, graph outputs left out */
bool qcc_pred_gives_output(const qcc_node *n);              /* an output is one of the graph */
bool qcc_pred_feeds(const qcc_node *n, uint32_t edges);     /* exactly so many readers, and no graph output */
qcc_node *qcc_pred_only_reader(const qcc_node *n);          /* of its one edge, in the same graph; NULL */
bool qcc_pred_is_scalar(const qcc_value *v);                /* rank 0, or one element of rank 1 */
qcc_dtype qcc_pred_q_type(const qcc_node *q);               /* of the codes of a QuantizeLinear or DequantizeLinear */
bool qcc_pred_same_const(const qcc_value *a, const qcc_value *b);
bool qcc_pred_version_known(const qcc_pred_sim *s, const qcc_node *q); /* this QuantizeLinear or DequantizeLinear is recognised */
/* Scalar constants with a zero point; else the reason. `pair`: and equal ones. */
qcc_pred_reason qcc_pred_pair(const qcc_pred_sim *s, const qcc_node *q, const qcc_node *dq);
qcc_pred_reason qcc_pred_params(const qcc_node *q, bool needs_zero); /* NONE: constant scalars */

/* Is a Relu or Clip in front of this QuantizeLinear without effect? (ort_clamp.c) */
bool qcc_pred_clamp_is_idle(const qcc_node *clamp, const qcc_node *q);
bool qcc_pred_is_clamp(const qcc_node *n);

/* ---- steps, in the order of the runtime */
qcc_status qcc_pred_unique_dq(qcc_pred_sim *s, qcc_graph *g);   /* ort_tidy.c */
qcc_status qcc_pred_remove_idle(qcc_pred_sim *s, qcc_graph *g); /* Identity, Dropout */
qcc_status qcc_pred_double_pairs(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_join_equal(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_fold(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_inline(qcc_pred_sim *s, qcc_graph *g); /* ort_inline.c: a known If */
qcc_status qcc_pred_final_cleanup(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_products(qcc_pred_sim *s, qcc_graph *g); /* ort_spread.c: MatMul + Add to Gemm */
qcc_status qcc_pred_propagate(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_quantize_weights(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_where_constant(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_expand(qcc_pred_sim *s, qcc_graph *g);        /* operators without a kernel of their own */
qcc_status qcc_pred_remove_clamps(qcc_pred_sim *s, qcc_graph *g); /* ort_clamp.c */
qcc_status qcc_pred_unsigned_codes(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_select(qcc_pred_sim *s, qcc_graph *g);           /* ort_select.c */
qcc_status qcc_pred_integer_to_float(qcc_pred_sim *s, qcc_graph *g); /* ort_chains.c */
qcc_status qcc_pred_dynamic_product(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_activations(qcc_pred_sim *s, qcc_graph *g);
qcc_status qcc_pred_blocks_bias(qcc_pred_sim *s, qcc_graph *g);

/* Pairs of neighbouring weights of an integer kernel of the clone (ort_pairs.c). */
void qcc_pred_count_pairs(const qcc_node *n, uint64_t *pairs, uint64_t *unsafe);

#endif
