/* SPDX-License-Identifier: Apache-2.0
 * io-codes: the caller gives and gets codes; what they mean is recorded in the metadata.
 *
 *   graph @f(%x: f32) -> (%y: f32)                graph @f(%x: u8) -> (%y: u8)
 *   %q = QuantizeLinear(%x, s, z)           =>    %d = DequantizeLinear(%x, s, z)
 *   %d = DequantizeLinear(%q, s, z)               ...
 *   ...                                           %y = QuantizeLinear(%c, t, u)
 *   %y = DequantizeLinear(QuantizeLinear(%c, t, u), t, u)
 *
 * What only moves elements may stand between the interface and the conversion, and then moves codes. Inputs that somebody reads in float, and
 * outputs that are not made from codes, stay as they are. With to=float the other way round, for what is recorded. Claim: exact, when the caller
 * does what the nodes did. */
#include "passes/io_codes.h"

#include <string.h>

#include "ir/recorded.h"
#include "passes/facts.h"

/* One scale and one zero point, both constant, of codes with at most 16 bits. */
static bool read_params(qcc_recorded *r, const qcc_node *n) {
  const qcc_value *scale = qcc_in(n, 1), *zero = qcc_in(n, 2);
  *r = (qcc_recorded){.dtype = qcc_codes_type(n)};
  if (!qcc_is_const(scale) || scale->data->type.dtype != QCC_F32 || qcc_tensor_count(scale->data) != 1) return false;
  if (zero && (!qcc_is_const(zero) || qcc_tensor_count(zero->data) != 1)) return false;
  if (!qcc_dtype_is_int(r->dtype) || qcc_dtype_bits(r->dtype) > 16) return false;
  r->scale = (float)qcc_tensor_get(scale->data, 0);
  r->zero = zero ? (int32_t)qcc_tensor_get_s64(zero->data, 0) : 0;
  return true;
}

static bool same_params(const qcc_recorded *a, const qcc_recorded *b) {
  return a->dtype == b->dtype && a->scale == b->scale && a->zero == b->zero;
}

static const char *const OTHER_PARAMS = "its codes have several scales, computed ones, or a type of their own";

/* ---- inputs */

/* Shape and Size do not care what the elements are. */
static bool ignores_elements(const qcc_use *u) { return u->node && (u->node->op == QCC_OP_SHAPE || u->node->op == QCC_OP_SIZE); }

/* Of the same elements in any type. */
static bool moves(const qcc_node *n) { return n && qcc_moves_elements(n) && n->op != QCC_OP_MAX_POOL; }

enum { MOST_MOVES = 8 }; /* in a row */

typedef struct reading {
  qcc_recorded r; /* what all the QuantizeLinear nodes say */
  bool any;
} reading;

static const char *read_uses(reading *to, const qcc_value *v, int depth);

static const char *read_use(reading *to, const qcc_use *u, int depth) {
  const qcc_node *n = u->node;
  qcc_recorded own;
  if (ignores_elements(u)) return NULL;
  if (!n) return "it is an output as well";
  if (n->graph != n->graph->root) return "the body of a loop or condition reads it";
  if (moves(n) && u->index == 0 && depth < MOST_MOVES) return read_uses(to, n->out[0], depth + 1);
  if (!qcc_is_quantize(n) || u->index != 0) return "it is read in float";
  if (qcc_is_graph_output(n->out[0])) return "its codes are an output";
  if (!read_params(&own, n)) return OTHER_PARAMS;
  if (to->any && !same_params(&own, &to->r)) return "its readers quantize it in different ways";
  to->r = own;
  to->any = true;
  return NULL;
}

static const char *read_uses(reading *to, const qcc_value *v, int depth) {
  QCC_FOR_USES(u, v) {
    const char *why = read_use(to, u, depth);
    if (why) return why;
  }
  return NULL;
}

static const char *read_input(qcc_recorded *r, const qcc_value *v) {
  reading to = {.any = false};
  if (v->data || v->type.dtype != QCC_F32) return "it is no f32 tensor that the caller gives";
  const char *why = read_uses(&to, v, 0);
  *r = to.r;
  return why || to.any ? why : "nobody reads it";
}

const char *qcc_input_obstacle(const qcc_value *input) {
  qcc_recorded r;
  return read_input(&r, input);
}

static qcc_status codes_from(qcc_value *v, qcc_dtype codes, int depth) {
  v->type.dtype = codes;
  for (qcc_use *u = v->uses, *next; u; u = next) {
    qcc_node *n = u->node;
    next = u->next;
    if (moves(n) && u->index == 0 && depth < MOST_MOVES) QCC_TRY(codes_from(n->out[0], codes, depth + 1));
    if (!qcc_is_quantize(n)) continue;
    qcc_replace_value(n->out[0], v);
    QCC_TRY(qcc_erase_node(n));
  }
  return qcc_graph_status(v->graph);
}

qcc_status qcc_input_to_codes(qcc_value *input) {
  qcc_recorded r;
  if (read_input(&r, input)) return QCC_INTERNAL;
  QCC_TRY(qcc_record(input, r.scale, r.zero));
  return codes_from(input, r.dtype, 0);
}

/* ---- outputs */

/* The DequantizeLinear behind which only elements were moved. */
static qcc_node *maker_of(const qcc_value *y) {
  qcc_node *n = y->def;
  for (int depth = 0; moves(n) && depth < MOST_MOVES && qcc_only_user(n->in[0].value); depth++) n = n->in[0].value->def;
  return qcc_is_dequantize(n) && n->graph == n->graph->root ? n : NULL;
}

static const char *read_output(qcc_recorded *r, const qcc_value *y) {
  const qcc_node *n = maker_of(y);
  if (!n) return "it is not made from codes";
  const qcc_value *codes = n->in[0].value;
  if (!codes->def || codes->def->graph != n->graph || qcc_is_graph_output(codes)) return "its codes are an input, a constant or an output";
  if (y->use_count != 1 || n->out[0]->use_count != 1) return "it is read in float as well";
  return read_params(r, n) ? NULL : OTHER_PARAMS;
}

const char *qcc_output_obstacle(const qcc_value *output) {
  qcc_recorded r;
  return read_output(&r, output);
}

qcc_status qcc_output_to_codes(qcc_value *output) {
  qcc_recorded r;
  if (read_output(&r, output)) return QCC_INTERNAL;
  qcc_graph *g = output->graph;
  qcc_node *n = maker_of(output);
  qcc_value *codes = n->in[0].value, *floats = n->out[0];
  const qcc_use *edge = output->uses;
  for (qcc_value *v = output; v != floats; v = v->def->in[0].value) v->type.dtype = r.dtype;
  floats->type.dtype = r.dtype;
  qcc_set_type(codes, &floats->type);
  qcc_replace_value(floats, codes);
  QCC_TRY(qcc_erase_node(n));
  QCC_TRY(qcc_graph_status(g));
  return qcc_record(edge->value, r.scale, r.zero);
}

/* ---- back to floats */

static qcc_node *add_conversion(const qcc_value *v, qcc_op op, const char *name, qcc_node *before, qcc_value *x, const qcc_recorded *r) {
  qcc_graph *g = v->graph;
  const qcc_type type = qcc_type_of(r->dtype, 0, NULL);
  qcc_tensor zero;
  if (qcc_tensor_new(&zero, g->cx, &type) != QCC_OK) return NULL;
  qcc_tensor_set(&zero, 0, r->zero);
  qcc_value *in[3] = {x, qcc_add_const_f32(g, qcc_internf(g->cx, "%s_scale", v->name), 0, NULL, &r->scale),
                      qcc_add_const(g, qcc_internf(g->cx, "%s_zero_point", v->name), &zero)};
  return qcc_add_node(g, before, op, qcc_internf(g->cx, "%s_%s", v->name, name), in, 3, 1);
}

static qcc_status input_to_floats(qcc_value *input, const qcc_recorded *r) {
  QCC_TRY(qcc_record_nothing(input));
  qcc_node *q = add_conversion(input, QCC_OP_QUANTIZE_LINEAR, "QuantizeLinear", input->graph->first, NULL, r);
  if (!q) return QCC_NOMEM;
  qcc_set_type(q->out[0], &input->type);
  qcc_replace_uses(input, q->out[0]);
  qcc_set_input(q, 0, input);
  input->type.dtype = QCC_F32;
  return qcc_graph_status(input->graph);
}

static qcc_status output_to_floats(qcc_use *edge, const qcc_recorded *r) {
  qcc_value *codes = edge->value;
  QCC_TRY(qcc_record_nothing(codes));
  qcc_node *dq = add_conversion(codes, QCC_OP_DEQUANTIZE_LINEAR, "DequantizeLinear", NULL, codes, r);
  if (!dq) return QCC_NOMEM;
  qcc_type type = codes->type;
  type.dtype = QCC_F32;
  qcc_set_type(dq->out[0], &type);
  qcc_set_use(edge, dq->out[0]);
  qcc_swap_names(codes, dq->out[0]);
  return qcc_graph_status(codes->graph);
}

static qcc_status to_floats(qcc_pass_cx *p) {
  qcc_graph *g = p->g;
  qcc_recorded r;
  for (uint32_t i = 0; i < g->input_count; i++) {
    qcc_value *v = g->inputs[i];
    if (qcc_is_graph_output(v) || !v->uses || !qcc_recorded_of(&r, v) || !qcc_rewrite_ok(p, v->uses->node, "input-floats")) continue;
    QCC_TRY(input_to_floats(v, &r));
  }
  for (uint32_t i = 0; i < g->output_count; i++) {
    const qcc_value *y = g->outputs[i]->value;
    if (!y->def || y->output_uses != 1 || !qcc_recorded_of(&r, y) || !qcc_rewrite_ok(p, y->def, "output-floats")) continue;
    QCC_TRY(output_to_floats(g->outputs[i], &r));
  }
  return QCC_OK;
}

/* ---- the pass */

static qcc_status to_codes(qcc_pass_cx *p) {
  qcc_graph *g = p->g;
  for (uint32_t i = 0; i < g->input_count; i++) {
    qcc_value *v = g->inputs[i];
    const qcc_node *reader = v->uses ? v->uses->node : NULL;
    const char *why = qcc_input_obstacle(v);
    if (why && reader) qcc_pass_decline(p, reader, "input-codes", why);
    if (!why && qcc_rewrite_ok(p, reader, "input-codes")) QCC_TRY(qcc_input_to_codes(v));
  }
  for (uint32_t i = 0; i < g->output_count; i++) {
    qcc_value *y = g->outputs[i]->value;
    const char *why = qcc_output_obstacle(y);
    if (why && y->def) qcc_pass_decline(p, y->def, "output-codes", why);
    if (!why && qcc_rewrite_ok(p, y->def, "output-codes")) QCC_TRY(qcc_output_to_codes(y));
  }
  return QCC_OK;
}

static qcc_status run(qcc_pass_cx *p) {
  const char *to = qcc_pass_option_get(p, "to", "codes");
  if (strcmp(to, "codes") == 0) return to_codes(p);
  if (strcmp(to, "float") == 0) return to_floats(p);
  return qcc_error(p->cx, QCC_ARG, "A-176", NULL, "io-codes{to=%s}: it is codes or float", to);
}

const qcc_pass qcc_pass_io_codes = {
    .name = "io-codes",
    .doc = "the caller gives and gets codes instead of floats; to=float turns that back",
    .options = "to",
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
