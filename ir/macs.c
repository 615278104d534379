/* SPDX-License-Identifier: Apache-2.0
 * Questions about operators with weights: multiply-accumulates from the shapes in the graph, where channels lie, forms on codes. */
#include "ir/check.h"

static double size_of(const qcc_type *t, int axis) { return axis < t->rank && t->dim[axis] > 0 ? (double)t->dim[axis] : 1; }

static double elements(const qcc_type *t, int from) {
  double n = 1;
  for (int i = from; i < t->rank; i++) n *= size_of(t, i);
  return n;
}

uint32_t qcc_weight_input(qcc_op op) { return op == QCC_OP_QLINEAR_CONV || op == QCC_OP_QLINEAR_MATMUL || op == QCC_OP_MS_QGEMM ? 3 : 1; }

int qcc_channel_axis(const qcc_node *n) {
  if (n->op == QCC_OP_GEMM) return !qcc_attr_int(n, "transB", 0);
  const bool second = n->op == QCC_OP_MATMUL || n->op == QCC_OP_CONV_TRANSPOSE || n->op == QCC_OP_MS_ATTENTION;
  return second || qcc_op_get(n->op)->role == QCC_ROLE_RECURRENT;
}

static bool same_sizes(const qcc_node *n) {
  uint32_t count;
  const int64_t *sizes = qcc_attr_ints(n, "qkv_hidden_sizes", &count);
  return !count || (count == 3 && sizes[0] == sizes[1] && sizes[1] == sizes[2]);
}

const char *qcc_attention_obstacle(const qcc_node *n) {
  enum { X, SCORE_BIAS = 5 };
  if (!same_sizes(n)) return "its queries and values have different sizes";
  if (qcc_attr_int(n, "do_rotary", 0)) return "its positions are rotary";
  if (qcc_attr_int(n, "past_present_share_buffer", 0)) return "its past and present share memory";
  for (uint32_t k = SCORE_BIAS; k < n->in_count; k++)
    if (qcc_in(n, k)) return "its scores have a bias";
  const qcc_dtype t = n->in[X].value->type.dtype;
  return t == QCC_F32 || t == QCC_NONE ? NULL : "its data are not f32";
}

double qcc_macs_of(const qcc_node *n, const qcc_type *x, const qcc_type *w, const qcc_type *y) {
  if (x->rank < 1 || w->rank < 1) return 0;
  switch (n->op) {
    case QCC_OP_CONV:
    case QCC_OP_CONV_INTEGER:
    case QCC_OP_QLINEAR_CONV: return elements(y, 0) * elements(w, 1);
    case QCC_OP_CONV_TRANSPOSE: return elements(x, 0) * elements(w, 1);
    case QCC_OP_GEMM:
    case QCC_OP_MS_QGEMM: return elements(y, 0) * size_of(x, qcc_attr_int(n, "transA", 0) ? 0 : 1);
    case QCC_OP_MATMUL:
    case QCC_OP_MATMUL_INTEGER:
    case QCC_OP_QLINEAR_MATMUL: return elements(y, 0) * size_of(x, x->rank - 1);
    case QCC_OP_MS_ATTENTION: /* the projection */
    case QCC_OP_MS_QATTENTION: return elements(x, 0) * size_of(w, 1);
    case QCC_OP_LSTM:
    case QCC_OP_GRU:
    case QCC_OP_RNN: /* w is [directions, gates * hidden, inputs]; the state comes in through as many products per hidden unit */
      return elements(x, 0) / size_of(x, x->rank - 1) * elements(w, 0) * (1 + (double)qcc_attr_int(n, "hidden_size", 0) / size_of(w, 2));
    default: return 0;
  }
}

double qcc_node_macs(const qcc_node *n) {
  const qcc_value *x = qcc_in(n, 0), *w = qcc_in(n, 1), *y = qcc_out(n, 0);
  if (qcc_op_get(n->op)->role != QCC_ROLE_WEIGHTED || !x || !w || !y || w->type.rank < 2) return 0;
  return qcc_macs_of(n, &x->type, &w->type, &y->type);
}

double qcc_graph_macs(const qcc_graph *g) {
  double macs = 0;
  QCC_FOR_NODES(n, g) macs += qcc_node_macs(n);
  return macs;
}
