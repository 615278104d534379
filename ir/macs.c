/* SPDX-License-Identifier: Apache-2.0
 * How much arithmetic a node is: multiply-accumulates from the shapes in the graph. */
#include "ir/check.h"

static double size_of(const qcc_type *t, int axis) { return axis < t->rank && t->dim[axis] > 0 ? (double)t->dim[axis] : 1; }

static double elements(const qcc_type *t, int from) {
  double n = 1;
  for (int i = from; i < t->rank; i++) n *= size_of(t, i);
  return n;
}

uint32_t qcc_weight_input(qcc_op op) { return op == QCC_OP_QLINEAR_CONV || op == QCC_OP_QLINEAR_MATMUL || op == QCC_OP_MS_QGEMM ? 3 : 1; }

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
