/* SPDX-License-Identifier: Apache-2.0
 * Building a model node by node through the public API: names in, names out. */
#include <string.h>

#include "frontends/capi/model.h"
#include "ir/check.h"

qcc_status qcc_build_new(qcc_model **out, qcc_context *cx, int64_t opset) {
  if (!out || !cx) return QCC_ARG;
  *out = NULL;
  qcc_graph *g = NULL;
  QCC_TRY(qcc_graph_new(&g, cx));
  qcc_status st = qcc_graph_set_opset(g, "", opset);
  if (st != QCC_OK) {
    qcc_graph_free(g);
    return st;
  }
  return qcc_model_wrap(out, g);
}

static qcc_status taken(const qcc_model *m, const char *name) {
  if (!qcc_find_value(m->g, qcc_intern(m->cx, name))) return QCC_OK;
  return qcc_error(m->cx, QCC_ARG, "A-130", NULL, "tensor \"%s\" is there already", name);
}

qcc_status qcc_build_input(qcc_model *m, const char *name, const qcc_array *type) {
  if (!m || !name || !type || type->rank < 0 || type->rank > QCC_MAX_RANK || type->dtype <= 0 || type->dtype >= QCC_DTYPE_COUNT)
    return QCC_ARG;
  QCC_TRY(taken(m, name));
  qcc_type t = qcc_type_of((qcc_dtype)type->dtype, type->rank, type->dim);
  for (int i = 0; i < t.rank; i++) {
    if (t.dim[i] < 0) t.dim[i] = QCC_DIM_UNKNOWN;
  }
  qcc_add_input(m->g, name, &t);
  return qcc_graph_status(m->g);
}

qcc_status qcc_build_const(qcc_model *m, const char *name, const qcc_array *value) {
  if (!m || !name || !value) return QCC_ARG;
  QCC_TRY(taken(m, name));
  qcc_tensor t, copy;
  QCC_TRY(qcc_array_tensor(&t, m->cx, value, name));
  QCC_TRY(qcc_tensor_copy(&copy, m->cx, &t.type, t.data));
  qcc_add_const(m->g, name, &copy);
  return qcc_graph_status(m->g);
}

static qcc_status find_inputs(qcc_model *m, qcc_value **to, const char *const *names, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    if (!names[i]) return QCC_ARG;
    to[i] = *names[i] ? qcc_find_value(m->g, qcc_intern(m->cx, names[i])) : NULL;
    if (*names[i] && !to[i]) return qcc_error(m->cx, QCC_ARG, "A-131", NULL, "input \"%s\" is not there yet; add nodes in order", names[i]);
  }
  return QCC_OK;
}

static qcc_status check_outputs(const qcc_model *m, const char *const *names, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    if (!names[i]) return QCC_ARG;
    QCC_TRY(taken(m, names[i]));
    for (uint32_t k = 0; k < i; k++) {
      if (*names[i] && strcmp(names[i], names[k]) == 0)
        return qcc_error(m->cx, QCC_ARG, "A-130", NULL, "tensor \"%-s\" is there already", names[i]);
    }
  }
  return QCC_OK;
}

qcc_status qcc_build_node(qcc_model *m, const char *domain, const char *op, const char *name, const char *const *inputs,
                          uint32_t input_count, const char *const *outputs, uint32_t output_count) {
  if (!m) return QCC_ARG;
  m->last_built = NULL;
  if (!domain || !op || (!inputs && input_count) || (!outputs && output_count)) return QCC_ARG;
  QCC_TRY(check_outputs(m, outputs, output_count));
  qcc_value **in = qcc_zalloc_array(m->cx, input_count + (size_t)1, sizeof(qcc_value *));
  if (!in) return QCC_NOMEM;
  qcc_status st = find_inputs(m, in, inputs, input_count);
  qcc_op known = qcc_op_find(domain, op);
  qcc_node *n = NULL;
  if (st == QCC_OK && known != QCC_OP_OPAQUE) n = qcc_add_node(m->g, NULL, known, name, in, input_count, output_count);
  if (st == QCC_OK && known == QCC_OP_OPAQUE) n = qcc_add_opaque(m->g, NULL, domain, op, name, in, input_count, output_count);
  for (uint32_t i = 0; n && i < output_count; i++) qcc_rename_value(n->out[i], outputs[i]);
  qcc_free(m->cx, in);
  m->last_built = n;
  return st != QCC_OK ? st : qcc_graph_status(m->g);
}

static qcc_status built(const qcc_model *m, const char *key) {
  if (!m || !key) return QCC_ARG;
  return m->last_built ? QCC_OK : qcc_error(m->cx, QCC_ARG, "A-132", NULL, "attribute \"%s\" needs a node before it", key);
}

qcc_status qcc_build_int(qcc_model *m, const char *key, int64_t value) {
  QCC_TRY(built(m, key));
  qcc_attr_set_int(m->last_built, key, value);
  return qcc_graph_status(m->g);
}

qcc_status qcc_build_ints(qcc_model *m, const char *key, const int64_t *values, uint32_t count) {
  QCC_TRY(built(m, key));
  if (!values && count) return QCC_ARG;
  qcc_attr_set_ints(m->last_built, key, values, count);
  return qcc_graph_status(m->g);
}

qcc_status qcc_build_float(qcc_model *m, const char *key, float value) {
  QCC_TRY(built(m, key));
  qcc_attr_set_float(m->last_built, key, value);
  return qcc_graph_status(m->g);
}

qcc_status qcc_build_string(qcc_model *m, const char *key, const char *value) {
  QCC_TRY(built(m, key));
  if (!value) return QCC_ARG;
  qcc_attr_set_str(m->last_built, key, value, strlen(value));
  return qcc_graph_status(m->g);
}

qcc_status qcc_build_output(qcc_model *m, const char *name) {
  if (!m || !name) return QCC_ARG;
  qcc_value *v = qcc_find_value(m->g, qcc_intern(m->cx, name));
  if (!v) return qcc_error(m->cx, QCC_ARG, "A-133", NULL, "the model has no tensor \"%s\"", name);
  qcc_add_output(m->g, v);
  return qcc_graph_status(m->g);
}

qcc_status qcc_build_check(qcc_model *m) {
  if (!m) return QCC_ARG;
  QCC_TRY(qcc_verify(m->g, QCC_INVALID));
  return qcc_infer_graph(m->g, NULL);
}
