/* SPDX-License-Identifier: Apache-2.0
 * How much arithmetic a node is: multiply-accumulates from the shapes in the graph. */
#include "ir/check.h"

double qcc_node_macs(const qcc_node *n) {
  const qcc_value *x = qcc_in(n, 0), *w = qcc_in(n, 1), *y = qcc_out(n, 0);
  if (qcc_op_get(n->op)->role != QCC_ROLE_WEIGHTED || !x || !w || !y || w->type.rank < 2) return 0;
  bool is_conv = n->op == QCC_OP_CONV || n->op == QCC_OP_CONV_TRANSPOSE;
  const qcc_type *t = n->op == QCC_OP_CONV_TRANSPOSE ? &x->type : &y->type;
  double macs = 1;
  for (int i = 0; i < w->type.rank; i++) macs *= w->type.dim[i] > 0 ? (double)w->type.dim[i] : 1;
  for (int i = is_conv ? 2 : 0; i < t->rank - (is_conv ? 0 : 1); i++) macs *= t->dim[i] > 0 ? (double)t->dim[i] : 1;
  return macs;
}

double qcc_graph_macs(const qcc_graph *g) {
  double macs = 0;
  QCC_FOR_NODES(n, g) macs += qcc_node_macs(n);
  return macs;
}
