/* SPDX-License-Identifier: Apache-2.0
 * Nodes of the clone: whom they stand for, who reads them, how they quantize. */
#include "backends/target/ort_sim.h"

#include <string.h>

qcc_pred_mark *qcc_pred_mark_of(qcc_pred_sim *s, const qcc_node *n) {
  while (s->marks.n <= n->id) {
    const qcc_pred_mark fresh = {.source = QCC_PRED_MADE, .input = -1};
    if (!qcc_vec_push(s->cx, &s->marks, fresh)) return NULL;
  }
  return &s->marks.at[n->id];
}

qcc_node *qcc_pred_add(qcc_pred_sim *s, const qcc_node *like, qcc_node *before, qcc_op op, qcc_value *const *in, uint32_t in_count,
                       uint32_t out_count) {
  qcc_node *n = qcc_add_node(before->graph, before, op, NULL, in, in_count, out_count);
  const uint32_t source = like && qcc_pred_mark_of(s, like) ? qcc_pred_mark_of(s, like)->source : QCC_PRED_MADE;
  qcc_pred_mark *mark = n ? qcc_pred_mark_of(s, n) : NULL;
  if (!mark) {
    s->root->failed = true;
    return NULL;
  }
  mark->source = source;
  return n;
}

qcc_status qcc_pred_drop(qcc_pred_sim *s, qcc_node *n, qcc_pred_fate fate, const qcc_node *into) {
  qcc_pred_mark *mark = qcc_pred_mark_of(s, n), *other = into ? qcc_pred_mark_of(s, into) : NULL;
  if (!mark || (into && !other)) return QCC_NOMEM;
  mark = qcc_pred_mark_of(s, n); /* the second look-up may have moved it */
  if (mark->source != QCC_PRED_MADE) s->facts[mark->source - 1] = (qcc_pred_fact){fate, other ? other->source : QCC_PRED_MADE};
  mark->gone = s->changed = true;
  return qcc_erase_node(n);
}

static bool within(int64_t x, int from, int to) { return (!from || x >= from) && (!to || x <= to); }

bool qcc_pred_holds(const qcc_pred_sim *s, int from, int to) { return within(s->o->version, from, to); }

bool qcc_pred_opset_in(const qcc_pred_sim *s, int from, int to) { return within(s->opset, from, to); }

bool qcc_pred_is_q(const qcc_node *n) { return n && (n->op == QCC_OP_QUANTIZE_LINEAR || n->op == QCC_OP_MS_QUANTIZE_LINEAR); }

bool qcc_pred_is_dq(const qcc_node *n) { return n && (n->op == QCC_OP_DEQUANTIZE_LINEAR || n->op == QCC_OP_MS_DEQUANTIZE_LINEAR); }

qcc_node *qcc_pred_dq_input(const qcc_node *n, uint32_t k) {
  const qcc_value *v = qcc_in(n, k);
  return v && qcc_pred_is_dq(v->def) && v->def->graph == n->graph ? v->def : NULL;
}

uint32_t qcc_pred_edges(const qcc_node *n) {
  uint32_t edges = 0;
  for (uint32_t k = 0; k < n->out_count; k++) edges += n->out[k] ? n->out[k]->use_count - n->out[k]->output_uses : 0;
  return edges;
}

bool qcc_pred_gives_output(const qcc_node *n) {
  for (uint32_t k = 0; k < n->out_count; k++)
    if (n->out[k] && n->out[k]->output_uses) return true;
  return false;
}

bool qcc_pred_feeds(const qcc_node *n, uint32_t edges) { return qcc_pred_edges(n) == edges && !qcc_pred_gives_output(n); }

qcc_node *qcc_pred_only_reader(const qcc_node *n) {
  if (qcc_pred_edges(n) != 1) return NULL;
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (!n->out[k]) continue;
    QCC_FOR_USES(u, n->out[k]) {
      if (u->node) return u->graph == n->graph ? u->node : NULL;
    }
  }
  return NULL;
}

bool qcc_pred_is_scalar(const qcc_value *v) { return v && (v->type.rank == 0 || (v->type.rank == 1 && v->type.dim[0] == 1)); }

qcc_dtype qcc_pred_q_type(const qcc_node *n) {
  const qcc_value *zero = qcc_in(n, 2), *codes = qcc_pred_is_q(n) ? qcc_out(n, 0) : qcc_in(n, 0);
  if (codes && codes->type.dtype != QCC_NONE) return codes->type.dtype;
  if (zero && zero->type.dtype != QCC_NONE) return zero->type.dtype;
  const qcc_dtype named = (qcc_dtype)qcc_attr_int(n, "output_dtype", 0);
  return named != QCC_NONE ? named : QCC_U8;
}

bool qcc_pred_same_const(const qcc_value *a, const qcc_value *b) {
  if (a == b) return true;
  if (!qcc_is_const(a) || !qcc_is_const(b)) return false;
  return a->data->type.dtype == b->data->type.dtype && a->data->bytes == b->data->bytes &&
         !memcmp(a->data->data, b->data->data, a->data->bytes);
}

qcc_pred_reason qcc_pred_params(const qcc_node *q, bool needs_zero) {
  const qcc_value *scale = qcc_in(q, 1), *zero = qcc_in(q, 2);
  if (needs_zero && !zero) return QCC_PRED_ZP_MISSING;
  if (!qcc_pred_is_scalar(scale) || (zero && !qcc_pred_is_scalar(zero))) return QCC_PRED_NOT_SCALAR;
  if (!qcc_is_const(scale) || (zero && !qcc_is_const(zero))) return QCC_PRED_NOT_CONSTANT;
  return QCC_PRED_NONE;
}

bool qcc_pred_version_known(const qcc_pred_sim *s, const qcc_node *q) {
  return q->domain[0] || s->opset <= 22 || qcc_pred_holds(s, 121, 0);
}

qcc_pred_reason qcc_pred_pair(const qcc_pred_sim *s, const qcc_node *q, const qcc_node *dq) {
  if (!qcc_pred_version_known(s, q) || !qcc_pred_version_known(s, dq)) return QCC_PRED_OPSET_NOT_LISTED;
  qcc_pred_reason why = qcc_pred_params(q, true);
  if (why == QCC_PRED_NONE) why = qcc_pred_params(dq, true);
  if (why != QCC_PRED_NONE) return why;
  if (qcc_in(q, 2)->type.dtype != qcc_in(dq, 2)->type.dtype) return QCC_PRED_DTYPE_MISMATCH;
  const bool equal =
      qcc_pred_same_const(qcc_in(q, 2), qcc_in(dq, 2)) && qcc_tensor_get(qcc_in(q, 1)->data, 0) == qcc_tensor_get(qcc_in(dq, 1)->data, 0);
  return equal ? QCC_PRED_NONE : QCC_PRED_PARAMS_NOT_EQUAL;
}
