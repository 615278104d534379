/* SPDX-License-Identifier: Apache-2.0
 * qcc.FakeQuant as nodes: the attributes are documented at the end of ir/ops.def. */
#include "passes/fakequant.h"

#include <string.h>

#include "ir/check.h"

static void set_params(qcc_node *n, const qcc_qparams *q) {
  qcc_arena *arena = n->graph->arena;
  int64_t *zero = qcc_arena_array(arena, q->count, sizeof *zero);
  if (!zero) {
    n->graph->root->failed = true;
    return;
  }
  for (uint32_t i = 0; i < q->count; i++) zero[i] = q->zero ? q->zero[i] : 0;
  const char *name = qcc_dtype_name(q->dtype);
  qcc_attr_set_str(n, "dtype", name, strlen(name));
  qcc_attr_set_floats(n, "scale", q->scale, q->count);
  qcc_attr_set_ints(n, "zero", zero, q->count);
  qcc_attr_set_int(n, "axis", q->axis);
  if (q->block) qcc_attr_set_int(n, "block", q->block);
  if (!qcc_dtype_is_int(q->dtype)) return;
  qcc_attr_set_int(n, "lo", qcc_dtype_min(q->dtype));
  qcc_attr_set_int(n, "hi", qcc_dtype_max(q->dtype));
}

qcc_value *qcc_fakequant_add(qcc_graph *g, qcc_node *before, qcc_value *x, const qcc_qparams *q) {
  if (!x) return NULL;
  const char *name = qcc_internf(g->cx, "%s_fq", x->name);
  qcc_node *n = qcc_add_node(g, before, QCC_OP_FAKE_QUANT, name, &x, 1, 1);
  if (!n) return NULL;
  if (q) {
    set_params(n, q);
  } else {
    qcc_attr_set_int(n, "dynamic", 1);
  }
  if (x->def) qcc_add_origin(n, x->def);
  qcc_type type = x->type;
  if (qcc_dtype_is_int(type.dtype)) type.dtype = QCC_F32;
  qcc_set_type(n->out[0], &type);
  return n->out[0];
}

bool qcc_fakequant_is_dynamic(const qcc_node *n) { return n->op == QCC_OP_FAKE_QUANT && qcc_attr_int(n, "dynamic", 0) != 0; }

bool qcc_fakequant_is(const qcc_value *v) { return v && v->def && v->def->op == QCC_OP_FAKE_QUANT && !qcc_fakequant_is_dynamic(v->def); }

bool qcc_fakequant_read(const qcc_node *n, qcc_qparams *q) {
  uint32_t scales = 0, zeros = 0;
  const float *scale = qcc_attr_floats(n, "scale", &scales);
  const int64_t *wide = qcc_attr_ints(n, "zero", &zeros);
  *q = (qcc_qparams){.dtype = qcc_dtype_from_name(qcc_attr_str(n, "dtype", "")),
                     .axis = (int32_t)qcc_attr_int(n, "axis", -1),
                     .block = qcc_attr_int(n, "block", 0),
                     .count = scales,
                     .scale = scale};
  if (!scales || (zeros && zeros != scales) || !(qcc_dtype_is_int(q->dtype) || qcc_dtype_is_f8(q->dtype))) return false;
  int32_t *zero = qcc_arena_array(n->graph->arena, scales, sizeof *zero);
  if (!zero) {
    n->graph->root->failed = true;
    return false;
  }
  for (uint32_t i = 0; i < zeros; i++) zero[i] = (int32_t)wide[i];
  q->zero = zero;
  return true;
}

bool qcc_fakequant_by_output(const qcc_node *n, const qcc_qparams *w) {
  return !w->block && (w->count == 1 || w->axis == qcc_channel_axis(n));
}

/* The same values as codes of other parameters. */
static qcc_status requantize(qcc_tensor *to, qcc_context *cx, const qcc_tensor *codes, const qcc_qparams *from, const qcc_qparams *q) {
  qcc_tensor values;
  QCC_TRY(qcc_dequantize(&values, cx, codes, from));
  qcc_status st = qcc_quantize(to, cx, &values, q);
  qcc_tensor_release(&values);
  return st;
}

qcc_status qcc_fakequant_rescale(qcc_node *n, const qcc_qparams *from, const float *scale) {
  qcc_value *x = n->in[0].value;
  qcc_attr_set_floats(n, "scale", scale, from->count);
  if (!x->data || !qcc_dtype_is_int(x->type.dtype)) return QCC_OK;
  qcc_qparams q = *from;
  q.scale = scale;
  qcc_tensor codes;
  QCC_TRY(requantize(&codes, n->graph->cx, x->data, from, &q));
  if (x->use_count > 1)
    qcc_set_input(n, 0, qcc_add_const(n->graph, x->name, &codes));
  else
    qcc_set_const(x, &codes);
  return QCC_OK;
}
