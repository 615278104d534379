/* SPDX-License-Identifier: Apache-2.0
 * Graph -> ModelProto on the wire. Weights are borrowed from their buffers; numbers are always written as raw_data.
 * Invariant: reads the graph only; the same graph gives the same bytes. */
#include <string.h>

#include "backends/onnx/write.h"

enum { ALIGNMENT = 4096, DEPTH_MAX = 330, IR_LISTS_CONSTS = 4 };

typedef qcc_onnx_writer writer;

static void put_extra(writer *w, const qcc_extra *e) {
  if (e->n) qcc_wire_fields(&w->wire, e->bytes, e->n);
}

static void put_given(writer *w, uint32_t field, const char *s) {
  if (s && *s) qcc_wire_str(&w->wire, field, s);
}

/* ---- tensors */
static void put_strings(writer *w, const qcc_tensor *t) {
  const uint8_t *at = t->data;
  for (size_t left = t->bytes; left >= 4;) {
    uint32_t n;
    memcpy(&n, at, 4);
    if (n > left - 4) return; /* cannot be: tensors are made by us */
    qcc_wire_bytes(&w->wire, QCC_PB_TENSOR_STRING_DATA, at + 4, n);
    at += 4 + (size_t)n;
    left -= 4 + (size_t)n;
  }
}

static void put_raw(writer *w, const qcc_tensor *t) {
  size_t slots = w->wire.slots.n;
  qcc_wire_bytes(&w->wire, QCC_PB_TENSOR_RAW_DATA, t->data, t->bytes);
  if (w->wire.slots.n > slots && !qcc_vec_push(w->cx, &w->raws, slots)) w->wire.failed = true;
}

static void put_entry(writer *w, uint32_t field, const char *key, const char *value) {
  size_t m = qcc_wire_open(&w->wire, field);
  qcc_wire_str(&w->wire, QCC_PB_ENTRY_KEY, key);
  qcc_wire_str(&w->wire, QCC_PB_ENTRY_VALUE, value);
  qcc_wire_close(&w->wire, m);
}

static void put_external(writer *w, const qcc_tensor *t) {
  char number[24];
  qcc_onnx_piece p = {.at = t->data, .n = t->bytes, .offset = (w->data_size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT};
  w->data_size = p.offset + p.n;
  if (!qcc_vec_push(w->cx, &w->pieces, p)) w->wire.failed = true;
  put_entry(w, QCC_PB_TENSOR_EXTERNAL_DATA, "location", w->data_name);
  qcc_format(number, sizeof number, "%llu", (unsigned long long)p.offset);
  put_entry(w, QCC_PB_TENSOR_EXTERNAL_DATA, "offset", number);
  qcc_format(number, sizeof number, "%zu", p.n);
  put_entry(w, QCC_PB_TENSOR_EXTERNAL_DATA, "length", number);
  qcc_wire_s64(&w->wire, QCC_PB_TENSOR_DATA_LOCATION, 1);
}

static void put_tensor(writer *w, uint32_t field, const qcc_tensor *t, const char *name, const qcc_extra *extra, bool may_leave) {
  size_t m = qcc_wire_open(&w->wire, field);
  for (int k = 0; k < t->type.rank; k++) qcc_wire_s64(&w->wire, QCC_PB_TENSOR_DIMS, t->type.dim[k]);
  qcc_wire_s64(&w->wire, QCC_PB_TENSOR_DATA_TYPE, (int64_t)t->type.dtype);
  qcc_wire_str(&w->wire, QCC_PB_TENSOR_NAME, name);
  if (t->type.dtype == QCC_STRING)
    put_strings(w, t);
  else if (may_leave && w->data_name && t->bytes >= w->threshold)
    put_external(w, t);
  else
    put_raw(w, t);
  if (extra) put_extra(w, extra);
  qcc_wire_close(&w->wire, m);
}

/* ---- types */
static void put_shape(writer *w, const qcc_type *t) {
  size_t shape = qcc_wire_open(&w->wire, QCC_PB_TENSOR_TYPE_SHAPE);
  for (int k = 0; k < t->rank; k++) {
    size_t dim = qcc_wire_open(&w->wire, QCC_PB_SHAPE_DIM);
    if (t->dim[k] >= 0)
      qcc_wire_s64(&w->wire, QCC_PB_DIM_VALUE, t->dim[k]);
    else
      qcc_wire_str(&w->wire, QCC_PB_DIM_PARAM, qcc_symbol_name(w->cx, t->dim[k]));
    qcc_wire_close(&w->wire, dim);
  }
  qcc_wire_close(&w->wire, shape);
}

static void put_type(writer *w, const qcc_type *t) {
  size_t type = qcc_wire_open(&w->wire, QCC_PB_VALUE_TYPE);
  size_t tensor = qcc_wire_open(&w->wire, QCC_PB_TYPE_TENSOR);
  qcc_wire_s64(&w->wire, QCC_PB_TENSOR_TYPE_ELEM, (int64_t)t->dtype);
  if (t->rank >= 0) put_shape(w, t);
  qcc_wire_close(&w->wire, tensor);
  qcc_wire_close(&w->wire, type);
}

/* Does the kept ValueInfoProto hold the type itself (sequences, maps, denotations)? It comes first then: field 2 is the lowest left. */
static bool keeps_type(const qcc_extra *e) { return e->n && e->bytes[0] == (QCC_PB_VALUE_TYPE << 3 | 2); }

static void put_value(writer *w, uint32_t field, const qcc_value *v) {
  size_t m = qcc_wire_open(&w->wire, field);
  qcc_wire_str(&w->wire, QCC_PB_VALUE_NAME, v->name);
  if (v->type.dtype != QCC_NONE && !keeps_type(&v->extra)) put_type(w, &v->type);
  put_extra(w, &v->extra);
  qcc_wire_close(&w->wire, m);
}

/* ---- attributes */
static qcc_status put_graph(writer *w, uint32_t field, const qcc_graph *g, unsigned depth);

static void put_list(writer *w, const qcc_attr *a) {
  for (uint32_t k = 0; k < a->count; k++) {
    if (a->kind == QCC_ATTR_FLOATS) qcc_wire_f32(&w->wire, QCC_PB_ATTR_FLOATS, a->floats[k]);
    if (a->kind == QCC_ATTR_INTS) qcc_wire_s64(&w->wire, QCC_PB_ATTR_INTS, a->ints[k]);
    if (a->kind == QCC_ATTR_STRINGS) qcc_wire_bytes(&w->wire, QCC_PB_ATTR_STRINGS, a->strings[k].at, a->strings[k].n);
    if (a->kind == QCC_ATTR_TENSORS) put_tensor(w, QCC_PB_ATTR_TENSORS, &a->tensors[k], NULL, NULL, false);
  }
}

static qcc_status put_attr_value(writer *w, const qcc_attr *a, unsigned depth) {
  static const uint8_t types[] = {
      [QCC_ATTR_INT] = QCC_PB_INT,       [QCC_ATTR_FLOAT] = QCC_PB_FLOAT,     [QCC_ATTR_STRING] = QCC_PB_STRING,
      [QCC_ATTR_TENSOR] = QCC_PB_TENSOR, [QCC_ATTR_GRAPH] = QCC_PB_GRAPH,     [QCC_ATTR_INTS] = QCC_PB_INTS,
      [QCC_ATTR_FLOATS] = QCC_PB_FLOATS, [QCC_ATTR_STRINGS] = QCC_PB_STRINGS, [QCC_ATTR_TENSORS] = QCC_PB_TENSORS,
      [QCC_ATTR_GRAPHS] = QCC_PB_GRAPHS};
  switch (a->kind) {
    case QCC_ATTR_INT: qcc_wire_s64(&w->wire, QCC_PB_ATTR_I, a->i); break;
    case QCC_ATTR_FLOAT: qcc_wire_f32(&w->wire, QCC_PB_ATTR_F, a->f); break;
    case QCC_ATTR_STRING: qcc_wire_bytes(&w->wire, QCC_PB_ATTR_S, a->s.at, a->s.n); break;
    case QCC_ATTR_TENSOR: put_tensor(w, QCC_PB_ATTR_T, a->t, NULL, NULL, false); break;
    case QCC_ATTR_GRAPH: QCC_TRY(put_graph(w, QCC_PB_ATTR_G, a->g, depth)); break;
    case QCC_ATTR_GRAPHS:
      for (uint32_t k = 0; k < a->count; k++) QCC_TRY(put_graph(w, QCC_PB_ATTR_GRAPHS, a->graphs[k], depth));
      break;
    default: put_list(w, a); break;
  }
  qcc_wire_s64(&w->wire, QCC_PB_ATTR_TYPE, types[a->kind]);
  return QCC_OK;
}

static qcc_status put_attr(writer *w, const qcc_attr *a, unsigned depth) {
  size_t m = qcc_wire_open(&w->wire, QCC_PB_NODE_ATTRIBUTE);
  if (a->kind != QCC_ATTR_OPAQUE) {
    qcc_wire_str(&w->wire, QCC_PB_ATTR_NAME, a->name);
    QCC_TRY(put_attr_value(w, a, depth));
  }
  put_extra(w, &a->extra);
  qcc_wire_close(&w->wire, m);
  return QCC_OK;
}

/* ---- nodes and graphs */
static qcc_status put_node(writer *w, const qcc_node *n, unsigned depth) {
  qcc_loc loc = qcc_node_loc(n);
  if (!strcmp(n->domain, "qcc")) {
    return qcc_error(w->cx, QCC_INTERNAL, "I-201", &loc, "an operator of qcc's own domain cannot be written to an ONNX file");
  }
  size_t m = qcc_wire_open(&w->wire, QCC_PB_GRAPH_NODE);
  for (uint32_t k = 0; k < n->in_count; k++) qcc_wire_str(&w->wire, QCC_PB_NODE_INPUT, n->in[k].value ? n->in[k].value->name : "");
  for (uint32_t k = 0; k < n->out_count; k++) qcc_wire_str(&w->wire, QCC_PB_NODE_OUTPUT, n->out[k] ? n->out[k]->name : "");
  put_given(w, QCC_PB_NODE_NAME, n->name);
  qcc_wire_str(&w->wire, QCC_PB_NODE_OP_TYPE, n->op_type);
  for (const qcc_attr *a = n->attrs; a; a = a->next) QCC_TRY(put_attr(w, a, depth));
  put_given(w, QCC_PB_NODE_DOMAIN, n->domain);
  put_given(w, QCC_PB_NODE_OVERLOAD, n->overload);
  put_extra(w, &n->extra);
  qcc_wire_close(&w->wire, m);
  return QCC_OK;
}

static void put_inputs(writer *w, const qcc_graph *g) {
  for (uint32_t k = 0; k < g->input_count; k++) put_value(w, QCC_PB_GRAPH_INPUT, g->inputs[k]);
  if (g->root->ir_version >= IR_LISTS_CONSTS) return;
  for (uint32_t k = 0; k < g->const_count; k++) { /* old files list every initializer */
    if (!g->consts[k]->is_input) put_value(w, QCC_PB_GRAPH_INPUT, g->consts[k]);
  }
}

static bool wants_info(const qcc_value *v) {
  return v && v->typed_by_file && !v->is_input && (v->type.dtype != QCC_NONE || v->extra.n) && !qcc_is_graph_output(v);
}

static void put_value_infos(writer *w, const qcc_graph *g) {
  bool listed = g->root->ir_version < IR_LISTS_CONSTS;
  for (uint32_t k = 0; k < g->const_count && !listed; k++) {
    if (wants_info(g->consts[k])) put_value(w, QCC_PB_GRAPH_VALUE_INFO, g->consts[k]);
  }
  QCC_FOR_NODES(n, g) {
    for (uint32_t k = 0; k < n->out_count; k++) {
      if (wants_info(n->out[k])) put_value(w, QCC_PB_GRAPH_VALUE_INFO, n->out[k]);
    }
  }
}

static qcc_status put_graph(writer *w, uint32_t field, const qcc_graph *g, unsigned depth) {
  qcc_loc loc = {.file = g->root->file};
  if (depth > DEPTH_MAX) return qcc_error(w->cx, QCC_LIMIT, "L-201", &loc, "subgraphs are nested deeper than %d", DEPTH_MAX);
  size_t m = qcc_wire_open(&w->wire, field);
  QCC_FOR_NODES(n, g) QCC_TRY(put_node(w, n, depth + 1));
  qcc_wire_str(&w->wire, QCC_PB_GRAPH_NAME, g->name);
  for (uint32_t k = 0; k < g->const_count; k++) {
    const qcc_value *v = g->consts[k];
    put_tensor(w, QCC_PB_GRAPH_INITIALIZER, v->data, v->name, &v->tensor_extra, true);
  }
  put_inputs(w, g);
  for (uint32_t k = 0; k < g->output_count; k++) put_value(w, QCC_PB_GRAPH_OUTPUT, g->outputs[k]->value);
  put_value_infos(w, g);
  put_extra(w, &g->extra);
  qcc_wire_close(&w->wire, m);
  return QCC_OK;
}

/* ---- model */
static void put_opsets(writer *w) {
  for (uint32_t k = 0; k < w->root->opset_count; k++) {
    size_t m = qcc_wire_open(&w->wire, QCC_PB_MODEL_OPSET_IMPORT);
    qcc_wire_str(&w->wire, QCC_PB_OPSET_DOMAIN, w->root->opsets[k].domain);
    qcc_wire_s64(&w->wire, QCC_PB_OPSET_VERSION, w->root->opsets[k].version);
    qcc_wire_close(&w->wire, m);
  }
}

qcc_status qcc_onnx_build(qcc_onnx_writer *w) {
  const qcc_graph *g = w->root;
  qcc_wire_s64(&w->wire, QCC_PB_MODEL_IR_VERSION, g->ir_version);
  put_given(w, QCC_PB_MODEL_PRODUCER_NAME, g->producer);
  put_given(w, QCC_PB_MODEL_PRODUCER_VERSION, g->producer_version);
  put_given(w, QCC_PB_MODEL_DOMAIN, g->model_domain);
  if (g->model_version) qcc_wire_s64(&w->wire, QCC_PB_MODEL_MODEL_VERSION, g->model_version);
  QCC_TRY(put_graph(w, QCC_PB_MODEL_GRAPH, g, 0));
  put_opsets(w);
  for (uint32_t k = 0; k < g->meta_count; k++) put_entry(w, QCC_PB_MODEL_METADATA_PROPS, g->metadata[k].key, g->metadata[k].value);
  put_extra(w, &g->model_extra);
  return w->wire.failed ? QCC_NOMEM : QCC_OK;
}

void qcc_onnx_reset(qcc_onnx_writer *w) {
  qcc_wire_free(&w->wire);
  qcc_vec_free(w->cx, &w->raws);
  qcc_vec_free(w->cx, &w->pieces);
  w->data_size = 0;
}
