/* SPDX-License-Identifier: Apache-2.0
 * What must hold: the verifier, and shape and type inference. */
#ifndef QCC_CHECK_H
#define QCC_CHECK_H

#include "ir/ir.h"

/* Structural and typed invariants: links both ways, order, unique names, arity by the op table, constants match their types,
 * no capture of later values. Emits one error at the guilty node and returns `status` (QCC_INVALID after import, QCC_INTERNAL after a pass). */
qcc_status qcc_verify(const qcc_graph *g, qcc_status status) QCC_MUST_USE;

/* A small integer vector (a shape in the making) of which not every entry is known: an entry is a number >= -1, a symbol, or unknown. */
#define QCC_ENTRY_UNKNOWN INT64_MIN
typedef struct qcc_entries {
  int n;
  int64_t at[QCC_MAX_RANK];
} qcc_entries;

/* One node: output types from input types and known constant inputs. Used on graphs and by the runtime with concrete shapes. */
typedef struct qcc_infer {
  qcc_context *cx;
  const qcc_node *node;
  int64_t opset;                     /* of the node's domain */
  const qcc_type *const *in;         /* in_count entries; NULL: input left out */
  const qcc_tensor *const *known;    /* in_count entries; not NULL: the value is known */
  qcc_type *out;                     /* out_count entries, preset to unknown */
  const qcc_entries *const *partial; /* NULL, or in_count entries: what is known of values that are not known as a whole */
} qcc_infer;
typedef qcc_status (*qcc_shape_fn)(qcc_infer *f);
/* Unknown results stay unknown. QCC_INVALID with a located message when the model is wrong; opaque operators give unknown. */
qcc_status qcc_infer_node(qcc_infer *f) QCC_MUST_USE;

/* Whole graph, subgraphs included: refines value types. `fold` evaluates small integer shape arithmetic; may be NULL.
 * A value_info that contradicts inference is QCC_INVALID. */
struct qcc_eval;
qcc_status qcc_infer_graph(qcc_graph *g, const struct qcc_eval *fold) QCC_MUST_USE;

/* Join of two types: unknowns are filled, symbols give way to numbers; false on contradiction. */
bool qcc_type_merge(qcc_type *into, const qcc_type *other);
/* NumPy broadcasting of two shapes, symbols included; false when they do not fit. */
bool qcc_broadcast(qcc_type *out, const qcc_type *a, const qcc_type *b);
/* Axis in [-rank, rank) to [0, rank); false when outside. */
bool qcc_axis(int64_t axis, int rank, int *out);

/* Spatial geometry of Conv, ConvTranspose and pools, shared by shape rules, kernels and passes.
 * `extra` is for ConvTranspose output_padding. Fills all arrays for the spatial rank (1..3); resolves auto_pad. */
typedef struct qcc_window {
  int rank; /* spatial */
  int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad_begin[3], pad_end[3], out_pad[3];
  int64_t group;
} qcc_window;
/* x is [N,C,spatial...]; w is the weight type of Conv/ConvTranspose or NULL for pools. Unknown sizes stay -1 in `in`/`out`.
 * QCC_INVALID on wrong lengths, zero or negative strides, kernels that do not fit, group or channel mismatch. */
qcc_status qcc_window_of(qcc_window *out, qcc_context *cx, const qcc_node *n, const qcc_type *x, const qcc_type *w) QCC_MUST_USE;

/* The same window over three axes: leading ones of size 1. */
qcc_window qcc_window_widen(const qcc_window *w);
/* [N,spatial...,C] as [N,C,spatial...] and back; for the attribute channels_last. Rank 3 or more. */
qcc_type qcc_channels_first(const qcc_type *t);
qcc_type qcc_channels_last(const qcc_type *t);

/* Multiply-accumulates of one weighted node (Conv, ConvTranspose, Gemm, MatMul) for one sample; unknown sizes count as 1; 0 for other nodes. */
double qcc_node_macs(const qcc_node *n);
uint32_t qcc_weight_input(qcc_op op);                  /* which input multiplies input 0, in operators that have one */
const char *qcc_attention_obstacle(const qcc_node *n); /* why an Attention of com.microsoft has no form on codes; NULL: it has one */
int qcc_channel_axis(const qcc_node *n);               /* of the output channels in the weights of a weighted or recurrent operator */
/* The same from types that are known elsewhere, also of recurrent and integer operators; `w` is what multiplies. */
double qcc_macs_of(const qcc_node *n, const qcc_type *x, const qcc_type *w, const qcc_type *y);
double qcc_graph_macs(const qcc_graph *g); /* of the main graph */

#endif
