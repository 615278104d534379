/* SPDX-License-Identifier: Apache-2.0
 * The order of the runtime's rewrites, and what the clone tells when they are done. */
#include "backends/target/ort_check.h"

#include "backends/target/ort_sim.h"
#include "ir/check.h"
#include "ir/support/map.h"

static const qcc_pred_reason_text texts[] = {
#define REASON(id, name, what, todo) {name, what, todo},
#include "backends/target/ort_reasons.def"
#undef REASON
};

const qcc_pred_reason_text *qcc_pred_reason_of(qcc_pred_reason r) { return &texts[r < QCC_PRED_REASON_COUNT ? r : QCC_PRED_NONE]; }

/* ---- the order */
enum { TURNS = 10 }; /* a level is repeated until nothing changes, at most so often */

static const qcc_pred_step before[] = {qcc_pred_unique_dq, NULL};
static const qcc_pred_step first[] = {qcc_pred_remove_idle,      qcc_pred_double_pairs,   qcc_pred_join_equal, qcc_pred_fold,
                                      qcc_pred_inline,           qcc_pred_products,       qcc_pred_unique_dq,  qcc_pred_propagate,
                                      qcc_pred_quantize_weights, qcc_pred_where_constant, qcc_pred_unique_dq,  NULL};
static const qcc_pred_step assign[] = {qcc_pred_expand, NULL};
static const qcc_pred_step second[] = {qcc_pred_remove_clamps,    qcc_pred_unsigned_codes,  qcc_pred_select,
                                       qcc_pred_integer_to_float, qcc_pred_dynamic_product, qcc_pred_activations,
                                       qcc_pred_blocks_bias,      qcc_pred_final_cleanup,   NULL};

typedef struct turn {
  qcc_pred_sim *s;
  const qcc_pred_step *steps;
} turn;

static qcc_status one_turn(qcc_graph *g, void *user) {
  const turn *t = user;
  for (const qcc_pred_step *step = t->steps; *step; step++) QCC_TRY((*step)(t->s, g));
  return QCC_OK;
}

static qcc_status level(qcc_pred_sim *s, const qcc_pred_step *steps, int turns) {
  turn t = {s, steps};
  for (int k = 0; k < turns; k++) {
    s->changed = false;
    QCC_TRY(qcc_graph_walk(s->root, one_turn, &t));
    if (!s->changed) break;
  }
  return qcc_graph_status(s->root);
}

/* ---- nodes of the model and of its clone, in the same order */
typedef struct listing {
  qcc_context *cx;
  QCC_VEC(qcc_node *) nodes;
} listing;

static qcc_status list_nodes(qcc_graph *g, void *user) {
  listing *l = user;
  QCC_FOR_NODES(n, g) {
    if (!qcc_vec_push(l->cx, &l->nodes, n)) return QCC_NOMEM;
  }
  return QCC_OK;
}

static qcc_status mark_sources(qcc_pred_sim *s) {
  listing l = {.cx = s->cx};
  qcc_status st = qcc_graph_walk(s->root, list_nodes, &l);
  for (size_t k = 0; k < l.nodes.n && st == QCC_OK; k++) {
    qcc_pred_mark *mark = qcc_pred_mark_of(s, l.nodes.at[k]);
    if (!mark) st = QCC_NOMEM;
    if (mark) mark->source = (uint32_t)k + 1;
  }
  s->sources = (uint32_t)l.nodes.n;
  s->facts = st == QCC_OK ? qcc_zalloc_array(s->cx, l.nodes.n + 1, sizeof *s->facts) : NULL;
  qcc_vec_free(s->cx, &l.nodes);
  if (st == QCC_OK && !s->facts) return QCC_NOMEM;
  for (uint32_t k = 0; k < s->sources && s->facts; k++) s->facts[k].fate = QCC_PRED_REMOVED;
  return st;
}

/* Constant nodes are initializers from the beginning. */
static qcc_status take_constants(qcc_graph *g, void *user) {
  qcc_pred_sim *s = user;
  QCC_FOR_NODES_SAFE(n, next, g) {
    const qcc_tensor *value = n->op == QCC_OP_CONSTANT ? qcc_attr_tensor(n, "value") : NULL;
    if (!value || qcc_pred_gives_output(n)) continue;
    qcc_tensor kept = {.data = NULL};
    QCC_TRY(qcc_tensor_share(&kept, s->cx, value));
    qcc_value *c = qcc_add_const(g, NULL, &kept);
    if (!c) return QCC_NOMEM;
    qcc_replace_uses(n->out[0], c);
    QCC_TRY(qcc_pred_drop(s, n, QCC_PRED_FOLDED, NULL));
  }
  return QCC_OK;
}

/* ---- what is left */
static bool is_codes(const qcc_value *v) {
  const qcc_dtype t = v ? v->type.dtype : QCC_NONE;
  return t == QCC_U8 || t == QCC_S8 || t == QCC_U16 || t == QCC_S16 || t == QCC_S4 || t == QCC_U4;
}

static bool is_float(const qcc_value *v) { return v && qcc_dtype_kind(v->type.dtype) == QCC_KIND_FLOAT; }

static bool touches_floats(const qcc_node *n) {
  for (uint32_t k = 0; k < n->in_count; k++)
    if (is_float(qcc_in(n, k))) return true;
  for (uint32_t k = 0; k < n->out_count; k++)
    if (n->out[k] && (is_float(n->out[k]) || n->out[k]->type.dtype == QCC_NONE)) return true;
  return false;
}

static qcc_pred_fate fate_of(const qcc_node *n) {
  if (qcc_pred_is_q(n) || qcc_pred_is_dq(n) || n->op == QCC_OP_DYNAMIC_QUANTIZE_LINEAR) return QCC_PRED_BORDER;
  if (qcc_op_get(n->op)->role == QCC_ROLE_QUANT) return QCC_PRED_INT8;
  if (is_codes(qcc_in(n, 0)) && n->op != QCC_OP_CAST) return QCC_PRED_CODES;
  return touches_floats(n) ? QCC_PRED_FLOAT : QCC_PRED_OTHER;
}

static bool is_conv(const qcc_node *n) { return n->op == QCC_OP_QLINEAR_CONV || n->op == QCC_OP_MS_QLINEAR_CONV; }

static bool zeros_differ(const qcc_value *z) {
  for (int64_t k = 1; qcc_is_const(z) && k < qcc_tensor_count(z->data); k++)
    if (qcc_tensor_get(z->data, k) != qcc_tensor_get(z->data, 0)) return true;
  return false;
}

static bool is_signed(const qcc_value *v) { return v && v->type.dtype == QCC_S8; }

static qcc_pred_reason warning_of(const qcc_pred_sim *s, const qcc_node *n, qcc_pred_reason told) {
  if (is_conv(n) && zeros_differ(qcc_in(n, 5))) return QCC_PRED_WEIGHT_ZP_NOT_UNIFORM;
  if (told != QCC_PRED_NONE) return told;
  if (n->op == QCC_OP_CONV_INTEGER && qcc_pred_holds(s, 0, 123) && (is_signed(qcc_in(n, 0)) || is_signed(qcc_in(n, 1))))
    return QCC_PRED_SIGNED_CONV_INTEGER;
  return is_conv(n) && qcc_in(n, 0)->type.rank < 0 ? QCC_PRED_RANK_UNKNOWN_NO_NHWC : QCC_PRED_NONE;
}

/* ---- telling */
typedef struct tally {
  const char *kernel;
  bool on_codes;
  uint64_t count;
} tally;

typedef struct telling {
  qcc_pred_sim *s;
  qcc_pred_node *nodes; /* by source - 1 */
  QCC_VEC(tally) totals;
  qcc_map index[2]; /* operator to place in `totals`: on floats, on codes */
} telling;

static qcc_status add_total(telling *t, const char *kernel, bool on_codes) {
  uintptr_t place;
  if (qcc_map_get(&t->index[on_codes], kernel, &place)) {
    t->totals.at[place].count++;
    return QCC_OK;
  }
  const tally fresh = {kernel, on_codes, 1};
  if (!qcc_map_put(&t->index[on_codes], kernel, t->totals.n)) return QCC_NOMEM;
  return qcc_vec_push(t->s->cx, &t->totals, fresh) ? QCC_OK : QCC_NOMEM;
}

static qcc_status tell_survivors(qcc_graph *g, void *user) {
  telling *t = user;
  QCC_FOR_NODES(n, g) {
    qcc_pred_mark *mark = qcc_pred_mark_of(t->s, n);
    if (!mark) return QCC_NOMEM;
    const qcc_pred_fate fate = fate_of(n);
    QCC_TRY(add_total(t, n->op_type, fate == QCC_PRED_CODES));
    if (mark->source == QCC_PRED_MADE) continue;
    qcc_pred_node *to = &t->nodes[mark->source - 1];
    to->fate = fate;
    to->kernel = n->op_type;
    to->into = NULL;
    if (fate == QCC_PRED_FLOAT) {
      to->reason = mark->reason != QCC_PRED_NONE ? mark->reason : QCC_PRED_NOT_QUANTIZED;
      to->input = mark->input;
    }
    if (fate != QCC_PRED_INT8) continue;
    to->warning = warning_of(t->s, n, mark->warning);
    to->channels_last = is_conv(n) && qcc_in(n, 0)->type.rank >= 0;
    if (t->s->o->pair_saturation) qcc_pred_count_pairs(n, &to->pairs, &to->unsafe);
  }
  return QCC_OK;
}

/* Fused nodes name the kernel that they ended in, through others if need be. */
static void follow(telling *t, uint32_t k) {
  const qcc_pred_fact *f = &t->s->facts[k];
  uint32_t into = f->into;
  for (uint32_t steps = 0; into != QCC_PRED_MADE && steps < t->s->sources; steps++) {
    const qcc_pred_node *n = &t->nodes[into - 1];
    if (n->fate != QCC_PRED_FUSED) {
      t->nodes[k].into = into - 1 == k ? NULL : n->node;
      t->nodes[k].kernel = n->kernel;
      return;
    }
    into = t->s->facts[into - 1].into;
  }
}

static qcc_status tell(telling *t, const qcc_graph *g, const qcc_pred_sink *to) {
  listing l = {.cx = t->s->cx};
  for (int k = 0; k < 2; k++) qcc_map_init(&t->index[k], t->s->cx);
  qcc_status st = qcc_graph_walk((qcc_graph *)(uintptr_t)g, list_nodes, &l); /* only reads */
  t->nodes = st == QCC_OK ? qcc_zalloc_array(t->s->cx, l.nodes.n + 1, sizeof *t->nodes) : NULL;
  if (st == QCC_OK && !t->nodes) st = QCC_NOMEM;
  for (uint32_t k = 0; k < l.nodes.n && st == QCC_OK; k++)
    t->nodes[k] = (qcc_pred_node){.node = l.nodes.at[k], .fate = t->s->facts[k].fate, .kernel = "", .input = -1};
  if (st == QCC_OK) st = qcc_graph_walk(t->s->root, tell_survivors, t);
  for (uint32_t k = 0; k < l.nodes.n && st == QCC_OK; k++) {
    if (t->nodes[k].fate == QCC_PRED_FUSED) follow(t, k);
    if (to->node) st = to->node(to->user, &t->nodes[k]);
  }
  for (size_t k = 0; k < t->totals.n && st == QCC_OK; k++)
    if (to->total) st = to->total(to->user, t->totals.at[k].kernel, t->totals.at[k].on_codes, t->totals.at[k].count);
  qcc_vec_free(t->s->cx, &l.nodes);
  qcc_vec_free(t->s->cx, &t->totals);
  qcc_free(t->s->cx, t->nodes);
  for (int k = 0; k < 2; k++) qcc_map_fini(&t->index[k]);
  return st;
}

qcc_status qcc_pred_check(const qcc_graph *g, const qcc_pred_options *o, const qcc_pred_sink *to) {
  qcc_pred_sim s = {.cx = g->cx, .o = o, .opset = qcc_graph_opset(g, "")};
  telling t = {.s = &s};
  QCC_TRY(qcc_graph_clone(&s.root, g));
  qcc_status st = mark_sources(&s);
  if (st == QCC_OK) st = qcc_graph_walk(s.root, take_constants, &s);
  if (st == QCC_OK) st = qcc_infer_graph(s.root, o->eval);
  if (st == QCC_OK) st = level(&s, before, 1);
  if (st == QCC_OK) st = level(&s, first, TURNS);
  if (st == QCC_OK) st = level(&s, assign, 1);
  if (st == QCC_OK) st = level(&s, second, TURNS);
  if (st == QCC_OK) st = tell(&t, g, to);
  qcc_vec_free(s.cx, &s.marks);
  qcc_free(s.cx, s.facts);
  qcc_graph_free(s.root);
  return st;
}
