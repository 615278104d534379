/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of If, Loop and Scan: outputs from the outputs of their subgraphs, which the walk over the graph has inferred before. And of
 * lists, which have no types in a graph.
 * Where branches or iterations may differ only what they have in common is known. */
#include "ir/shape.h"

/* What holds for both. */
static void join(qcc_type *into, const qcc_type *other) {
  if (into->dtype != other->dtype) into->dtype = QCC_NONE;
  if (into->rank != other->rank) into->rank = -1;
  for (int i = 0; i < into->rank; i++)
    if (into->dim[i] != other->dim[i]) into->dim[i] = QCC_DIM_UNKNOWN;
}

static const qcc_type *body_output(const qcc_graph *g, uint32_t k) {
  return k < g->output_count && g->outputs[k]->value ? &g->outputs[k]->value->type : NULL;
}

static qcc_status shape_if(qcc_infer *f) {
  const qcc_graph *branch[2] = {qcc_attr_graph(f->node, "else_branch"), qcc_attr_graph(f->node, "then_branch")};
  const qcc_tensor *condition = qcc_shape_known(f, 0);
  if (!branch[0] || !branch[1]) return qcc_shape_bad(f, QCC_M_ARITY, "a branch is missing");
  for (int i = 0; i < 2; i++)
    if (branch[i]->output_count != f->node->out_count)
      return qcc_shape_bad(f, QCC_M_ARITY, "a branch gives %u values, the node %u", branch[i]->output_count, f->node->out_count);
  if (condition && qcc_tensor_count(condition) != 1) return qcc_shape_bad(f, QCC_M_DIM, "the condition has more than one element");
  for (uint32_t k = 0; k < f->node->out_count; k++) {
    bool taken = condition && qcc_tensor_get(condition, 0) != 0;
    qcc_type t = *body_output(branch[taken], k);
    if (!condition) join(&t, body_output(branch[1], k));
    qcc_shape_set(f, k, &t);
  }
  return QCC_OK;
}

/* Stacked results of the iterations: the body's type with `length` put at `axis` of the result. */
static qcc_status stacked(qcc_infer *f, const qcc_type *each, int64_t length, int64_t at, qcc_type *t) {
  *t = qcc_shape_type(each->dtype, -1);
  if (each->rank < 0) return QCC_OK;
  int axis;
  QCC_TRY(qcc_shape_make(f, t, each->dtype, each->rank + 1));
  QCC_TRY(qcc_shape_axis(f, at, t->rank, &axis));
  for (int i = 0, from = 0; i < t->rank; i++) t->dim[i] = i == axis ? length : each->dim[from++];
  return QCC_OK;
}

/* Body: (iteration, condition, carried...) -> (condition, carried..., stacked...). */
static qcc_status shape_loop(qcc_infer *f) {
  const qcc_graph *body = qcc_attr_graph(f->node, "body");
  uint32_t carried = f->node->in_count - 2;
  if (!body) return qcc_shape_bad(f, QCC_M_ARITY, "the body is missing");
  if (body->input_count != carried + 2 || body->output_count < carried + 1 || body->output_count - 1 != f->node->out_count)
    return qcc_shape_bad(f, QCC_M_ARITY, "the body takes %u values and gives %u; a node with %u inputs and %u outputs needs %u and %u",
                         body->input_count, body->output_count, f->node->in_count, f->node->out_count, carried + 2, f->node->out_count + 1);
  for (uint32_t k = 0; k < f->node->out_count; k++) {
    qcc_type t = *body_output(body, k + 1);
    const qcc_type *start = k < carried ? qcc_shape_in(f, k + 2) : NULL;
    if (start) join(&t, start); // no iteration at all gives the start value
    if (k >= carried) QCC_TRY(stacked(f, body_output(body, k + 1), QCC_DIM_UNKNOWN, 0, &t));
    qcc_shape_set(f, k, &t);
  }
  return QCC_OK;
}

/* Body: (states..., elements of the scan inputs...) -> (states..., stacked...). Up to opset 8 a batch axis stands in front of all. */
static qcc_status shape_scan(qcc_infer *f) {
  const qcc_graph *body = qcc_attr_graph(f->node, "body");
  int64_t scans = qcc_attr_int(f->node, "num_scan_inputs", 0), length = QCC_DIM_UNKNOWN;
  if (!body) return qcc_shape_bad(f, QCC_M_ARITY, "the body is missing");
  uint32_t first = f->opset < 9 ? 1 : 0, inputs = f->node->in_count > first ? f->node->in_count - first : 0; // 8: lengths in front
  if (scans < 1 || scans > inputs)
    return qcc_shape_bad(f, QCC_M_ATTR, "num_scan_inputs is %lld; allowed is 1 to %u", (long long)scans, inputs);
  uint32_t states = inputs - (uint32_t)scans, count;
  if (body->input_count != inputs || body->output_count != f->node->out_count || body->output_count < states)
    return qcc_shape_bad(f, QCC_M_ARITY, "the body takes %u values and gives %u; the node needs %u and %u", body->input_count,
                         body->output_count, inputs, f->node->out_count);
  if (first) return QCC_OK;
  const int64_t *axes = qcc_attr_ints(f->node, "scan_input_axes", &count);
  for (uint32_t k = 0; k < scans; k++) {
    const qcc_type *x = qcc_shape_ranked(f, states + k);
    int axis;
    if (!x) continue;
    QCC_TRY(qcc_shape_axis(f, k < count ? axes[k] : 0, x->rank, &axis));
    QCC_TRY(qcc_shape_fit(f, &length, x->dim[axis], "lengths of the scan inputs"));
  }
  axes = qcc_attr_ints(f->node, "scan_output_axes", &count);
  for (uint32_t k = 0; k < f->node->out_count; k++) {
    qcc_type t = *body_output(body, k);
    if (k >= states) QCC_TRY(stacked(f, body_output(body, k), length, k - states < count ? axes[k - states] : 0, &t));
    qcc_shape_set(f, k, &t);
  }
  return QCC_OK;
}

qcc_status qcc_shape_subgraph(qcc_infer *f) {
  if (f->node->op == QCC_OP_IF) return shape_if(f);
  return f->node->op == QCC_OP_LOOP ? shape_loop(f) : shape_scan(f);
}

/* What is asked of a sequence or optional: its length, or whether it holds something. */
qcc_status qcc_shape_list_fact(qcc_infer *f) {
  const qcc_type t = qcc_shape_type(f->node->op == QCC_OP_SEQUENCE_LENGTH ? QCC_S64 : QCC_BOOL, 0);
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
