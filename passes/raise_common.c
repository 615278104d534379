/* SPDX-License-Identifier: Apache-2.0
 * What the adapters of raise-opset share: constants and helper nodes beside the node, and a node that becomes another. New values are
 * named after the node, so that a reader of the result knows where they come from. */
#include "passes/raise_opset.h"

qcc_status qcc_raise_refuse(const qcc_raise *r, const char *why) {
  return qcc_error(r->cx, QCC_UNSUPPORTED, "U-150", (qcc_loc[]){qcc_node_loc(r->node)}, "cannot be raised to opset %lld: %s",
                   (long long)r->to, why);
}

static const char *name_of(const qcc_raise *r, const char *what) {
  const qcc_node *n = r->node;
  const char *base = n->name[0] ? n->name : qcc_out(n, 0) ? qcc_out(n, 0)->name : n->op_type;
  return qcc_internf(r->cx, "%s_%s", base, what);
}

qcc_value *qcc_raise_emit(const qcc_raise *r, qcc_op op, qcc_value *const *in, uint32_t in_count, qcc_dtype dtype) {
  qcc_node *n = qcc_add_node(r->node->graph, r->node, op, name_of(r, qcc_op_get(op)->name), in, in_count, 1);
  if (!n) return NULL;
  qcc_add_origin(n, r->node);
  qcc_type t = qcc_type_unknown();
  t.dtype = dtype;
  qcc_set_type(qcc_out(n, 0), &t);
  return qcc_out(n, 0);
}

qcc_value *qcc_raise_ints(const qcc_raise *r, const char *what, const int64_t *at, uint32_t n) {
  int64_t dim = n, none = 0;
  return qcc_add_const_s64(r->node->graph, name_of(r, what), 1, &dim, n ? at : &none);
}

qcc_value *qcc_raise_number(const qcc_raise *r, const char *what, float x) {
  const qcc_value *data = qcc_in(r->node, 0);
  qcc_dtype dtype = data && data->type.dtype != QCC_NONE ? data->type.dtype : QCC_F32;
  qcc_type t = qcc_type_of(dtype, 0, NULL);
  qcc_tensor tensor;
  if (qcc_tensor_new(&tensor, r->cx, &t) != QCC_OK) return NULL;
  qcc_tensor_set(&tensor, 0, (double)x);
  return qcc_add_const(r->node->graph, name_of(r, what), &tensor);
}

qcc_status qcc_raise_move_ints(qcc_raise *r, const char *name, uint32_t index) {
  uint32_t n;
  const int64_t *at = qcc_attr_ints(r->node, name, &n);
  if (!qcc_attr_find(r->node, name)) return QCC_OK;
  qcc_value *list = qcc_raise_ints(r, name, at, n);
  if (!list) return QCC_NOMEM;
  for (uint32_t k = r->node->in_count; k < index; k++) qcc_set_input(r->node, k, NULL);
  qcc_set_input(r->node, index, list);
  qcc_attr_remove(r->node, name);
  return QCC_OK;
}

qcc_status qcc_raise_become(qcc_raise *r, qcc_op op, qcc_value *const *in, uint32_t in_count, uint32_t out_count) {
  qcc_node *old = r->node;
  qcc_graph *g = old->graph;
  const char *name = old->name;
  qcc_node *n = qcc_add_node(g, old, op, NULL, in, in_count, out_count);
  if (!n) return QCC_NOMEM;
  qcc_attr_copy(n, old);
  qcc_add_origin(n, old);
  for (uint32_t k = 0; k < out_count && k < old->out_count; k++) {
    if (!old->out[k]) continue;
    n->out[k]->typed_by_file = old->out[k]->typed_by_file;
    qcc_set_type(n->out[k], &old->out[k]->type);
    qcc_swap_names(n->out[k], old->out[k]);
    qcc_replace_uses(old->out[k], n->out[k]);
  }
  n->extra = old->extra;
  QCC_TRY(qcc_graph_status(g));
  QCC_TRY(qcc_erase_node(old));
  qcc_rename_node(n, name);
  r->node = n;
  return qcc_graph_status(g);
}

/* A constant gets a reshaped twin that shares its bytes; anything else goes through a Reshape or Unsqueeze. */
static qcc_value *reshaped_const(const qcc_raise *r, const qcc_value *v, int ones) {
  qcc_tensor t = qcc_tensor_retain(v->data);
  for (int i = 0; i < ones; i++) t.type.dim[t.type.rank++] = 1;
  return qcc_add_const(r->node->graph, name_of(r, "operand"), &t);
}

qcc_value *qcc_raise_append_axes(const qcc_raise *r, uint32_t index, int ones) {
  qcc_value *v = qcc_in(r->node, index);
  int64_t axes[QCC_MAX_RANK];
  if (qcc_is_const(v)) return reshaped_const(r, v, ones);
  for (int i = 0; i < ones; i++) axes[i] = v->type.rank + i;
  if (r->to >= 13) {
    qcc_value *list = qcc_raise_ints(r, "axes", axes, (uint32_t)ones);
    return qcc_raise_emit(r, QCC_OP_UNSQUEEZE, (qcc_value *const[]){v, list}, 2, v->type.dtype);
  }
  qcc_value *wide = qcc_raise_emit(r, QCC_OP_UNSQUEEZE, &v, 1, v->type.dtype);
  if (wide) qcc_attr_set_ints(wide->def, "axes", axes, (uint32_t)ones);
  return wide;
}

void qcc_raise_drop_input(qcc_raise *r, uint32_t index) {
  qcc_value *v = qcc_in(r->node, index);
  if (!v) return;
  qcc_set_input(r->node, index, NULL);
  if (qcc_is_const(v) && v->use_count == 0) qcc_erase_const(v);
}
