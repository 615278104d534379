/* SPDX-License-Identifier: Apache-2.0
 * insert-fakequant: put qcc.FakeQuant where the plan says so.
 *
 *   %c = Conv(%x, %w, %b)            %xq = qcc.FakeQuant(%x)  %wq = qcc.FakeQuant(%w)
 *   %y = Relu(%c)              =>    %c = Conv(%xq, %wq, %b)  %y0 = Relu(%c)
 *                                    %y = qcc.FakeQuant(%y0)
 *
 * The rules are those of ir/plan.h: a tensor that a STATIC operator makes is quantized for everybody, another tensor only for its STATIC
 * users; the interface of the graph keeps its names. Weights that the plan rounds otherwise than to nearest become its codes, which
 * FakeQuant dequantizes:
 *
 *   %c = Conv(%x, %w)          =>    %wq = qcc.FakeQuant(%codes)
 *
 * Claim: quantizes. */
#include <string.h>

#include "passes/fakequant.h"
#include "passes/pass.h"

typedef struct state {
  qcc_pass_cx *p;
  uint32_t value_count;             /* values that existed before the pass */
  const qcc_plan_tensor **entry;    /* by value id; NULL: none */
  qcc_value **made, **made_dynamic; /* by value id: the FakeQuant output that users share */
} state;

static qcc_mode mode_of(const state *s, const qcc_node *n) {
  const qcc_plan_op *op = qcc_plan_op_of(s->p->plan, n->name);
  return op ? op->mode : QCC_MODE_FLOAT;
}

static const qcc_plan_tensor *entry_of(const state *s, const qcc_value *v) { return v && v->id < s->value_count ? s->entry[v->id] : NULL; }

static qcc_node *first_after(const qcc_value *v) { return v->def ? v->def->next : v->graph->first; }

static qcc_status misfit(const state *s, const qcc_value *v, const char *what) {
  return qcc_error(s->p->cx, QCC_ARG, "A-063", &(qcc_loc){.tensor = v->name}, "plan: the entry of this tensor does not fit it: %s", what);
}

static qcc_status check_blocks(const state *s, const qcc_value *v, const qcc_plan_tensor *t) {
  const qcc_type *type = &v->type;
  int64_t count = 1;
  if (!v->data || t->codes) return misfit(s, v, "scales in blocks are for weights without codes");
  if (t->q.axis < 0 || t->q.axis >= type->rank || t->q.block < 1) return misfit(s, v, "blocks need an axis and a size");
  for (int i = 0; i < type->rank; i++)
    count *= i == t->q.axis ? type->dim[i] / t->q.block + (type->dim[i] % t->q.block != 0) : type->dim[i];
  return count == (int64_t)t->q.count ? QCC_OK : misfit(s, v, "one scale for each block is needed");
}

/* A plan may come from a file that was made for another model. */
static qcc_status check_entry(const state *s, const qcc_value *v, const qcc_plan_tensor *t) {
  const qcc_type *type = &v->type;
  int64_t count = 0;
  if (type->dtype != QCC_F32 && type->dtype != QCC_NONE) return misfit(s, v, "only f32 tensors are quantized");
  if (t->q.block) return check_blocks(s, v, t);
  if (qcc_dtype_is_f8(t->q.dtype) && !v->data) return misfit(s, v, "floats of 8 bits are for weights");
  if (t->q.axis < 0 && t->q.count != 1) return misfit(s, v, "several scales need an axis");
  if (t->q.axis >= 0 && !v->data) return misfit(s, v, "an activation has one scale and no axis");
  if (t->q.axis >= 0 && (t->q.axis >= type->rank || type->dim[t->q.axis] != (int64_t)t->q.count))
    return misfit(s, v, "the number of scales must be the size of the axis");
  if (!t->codes) return QCC_OK;
  if (t->q.dtype != QCC_S8 && t->q.dtype != QCC_U8) return misfit(s, v, "codes are s8 or u8");
  if (!v->data || !qcc_type_count(type, &count) || (size_t)count != qcc_buf_size(t->codes))
    return misfit(s, v, "one code per element is needed");
  return QCC_OK;
}

/* The plan's codes in place of the weight; other users keep the floats. */
static qcc_value *take_codes(const qcc_use *u, const qcc_plan_tensor *t) {
  qcc_value *w = u->value;
  qcc_tensor codes = {.type = w->type, .data = qcc_buf_data(t->codes), .bytes = qcc_buf_size(t->codes), .buf = qcc_buf_retain(t->codes)};
  codes.type.dtype = t->q.dtype;
  if (w->use_count > 1 || w->is_input) return qcc_add_const(w->graph, w->name, &codes);
  qcc_set_const(w, &codes);
  return w;
}

static void quantize_const(qcc_use *u, const qcc_plan_tensor *t) {
  qcc_value *w = t->codes ? take_codes(u, t) : u->value;
  qcc_value *fq = qcc_fakequant_add(u->graph, u->node, w, &t->q);
  if (fq) qcc_set_use(u, fq);
}

static void quantize_for(qcc_use *u, const qcc_plan_tensor *t, qcc_value **made) {
  qcc_value *v = u->value;
  if (!made[v->id]) made[v->id] = qcc_fakequant_add(v->graph, first_after(v), v, t ? &t->q : NULL);
  if (made[v->id]) qcc_set_use(u, made[v->id]);
}

/* Every user of a STATIC operator's output reads the quantized tensor. */
static void quantize_output(state *s, qcc_value *v, const qcc_plan_tensor *t) {
  qcc_value *fq = s->made[v->id];
  if (!fq) fq = s->made[v->id] = qcc_fakequant_add(v->graph, first_after(v), v, &t->q);
  if (!fq) return;
  qcc_node *n = fq->def;
  qcc_replace_value(v, fq);
  qcc_set_input(n, 0, v); /* replace_value moved this edge as well */
}

static void quantize_inputs(state *s, qcc_node *n, qcc_mode mode) {
  for (uint32_t k = 0; k < n->in_count; k++) {
    qcc_value *v = n->in[k].value;
    const qcc_plan_tensor *t = entry_of(s, v);
    if (mode == QCC_MODE_DYNAMIC && k == 0 && v && !v->data) {
      quantize_for(&n->in[k], NULL, s->made_dynamic);
    } else if (t && v->data) {
      quantize_const(&n->in[k], t);
    } else if (t && mode == QCC_MODE_STATIC) {
      quantize_for(&n->in[k], t, s->made);
    }
  }
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  state *s = user;
  QCC_FOR_NODES_SAFE(n, next, g) {
    qcc_mode mode = n->op == QCC_OP_FAKE_QUANT ? QCC_MODE_FLOAT : mode_of(s, n);
    if (mode == QCC_MODE_FLOAT || !qcc_rewrite_ok(s->p, n, "insert-fakequant")) continue;
    quantize_inputs(s, n, mode);
    for (uint32_t k = 0; k < n->out_count && mode == QCC_MODE_STATIC; k++) {
      const qcc_plan_tensor *t = entry_of(s, n->out[k]);
      if (t) quantize_output(s, n->out[k], t);
    }
  }
  return qcc_graph_status(g);
}

static qcc_status find_entry(state *s, qcc_value *v) {
  if (!v || v->id >= s->value_count) return QCC_OK;
  const qcc_plan_tensor *t = s->entry[v->id] = qcc_plan_tensor_of(s->p->plan, v->name);
  return t ? check_entry(s, v, t) : QCC_OK;
}

static qcc_status find_entries(qcc_graph *g, void *user) {
  for (uint32_t i = 0; i < g->input_count; i++) QCC_TRY(find_entry(user, g->inputs[i]));
  for (uint32_t i = 0; i < g->const_count; i++) QCC_TRY(find_entry(user, g->consts[i]));
  QCC_FOR_NODES(n, g) {
    for (uint32_t k = 0; k < n->out_count; k++) QCC_TRY(find_entry(user, n->out[k]));
  }
  return QCC_OK;
}

static qcc_status run(qcc_pass_cx *p) {
  if (!p->plan) return QCC_OK;
  state s = {.p = p, .value_count = p->g->next_value_id};
  s.entry = qcc_zalloc_array(p->cx, s.value_count + 1u, sizeof *s.entry);
  s.made = qcc_zalloc_array(p->cx, s.value_count + 1u, sizeof *s.made);
  s.made_dynamic = qcc_zalloc_array(p->cx, s.value_count + 1u, sizeof *s.made_dynamic);
  qcc_status st = s.entry && s.made && s.made_dynamic ? QCC_OK : QCC_NOMEM;
  if (st == QCC_OK) st = qcc_graph_walk(p->g, find_entries, &s);
  if (st == QCC_OK) st = qcc_graph_walk(p->g, each_graph, &s);
  qcc_free(p->cx, s.entry);
  qcc_free(p->cx, s.made);
  qcc_free(p->cx, s.made_dynamic);
  return st;
}

const qcc_pass qcc_pass_insert_fakequant = {
    .name = "insert-fakequant",
    .doc = "put FakeQuant where the plan quantizes a tensor",
    .needs = QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .gives = QCC_PROP_FAKEQUANT,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
