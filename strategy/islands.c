/* SPDX-License-Identifier: Apache-2.0
 * Float islands: operators whose 8-bit form costs the outputs more than it is worth stay float, with the measured gain.
 *
 * Small networks try every weighted operator, large ones the first and the last ones, which is where whole networks hang on one tensor. A
 * candidate must gain more the more of the arithmetic it takes out of 8 bit. Everything else of the plan stays as it was. */
#include <math.h>
#include <string.h>

#include "strategy/tuner.h"

enum { TRY_ALL = 12, TRY_ENDS = 2 };

typedef struct islands {
  qcc_tuner *t;
  const qcc_node **accepted;
  size_t count;
} islands;

/* Multiply-accumulates of a Conv, Gemm or MatMul; unknown sizes count as 1. */
static double macs_of(const qcc_node *n) {
  const qcc_type *w = &n->in[1].value->type, *y = &n->out[0]->type;
  double macs = 1;
  for (int i = 0; i < w->rank; i++) macs *= w->dim[i] > 0 ? (double)w->dim[i] : 1;
  bool is_conv = n->op == QCC_OP_CONV;
  for (int i = is_conv ? 2 : 0; i < y->rank - (is_conv ? 0 : 1); i++) macs *= y->dim[i] > 0 ? (double)y->dim[i] : 1;
  return macs;
}

static bool is_candidate(const qcc_tuner *t, const qcc_node *n) {
  return qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED && t->place.mode[n->id] == QCC_MODE_STATIC;
}

/* The placement with the accepted nodes, and `extra` when not NULL, kept float. */
static qcc_status place(qcc_placement *out, const islands *s, const qcc_node *extra) {
  const qcc_tune_options *o = s->t->o;
  qcc_place_options options = {.have_ranges = true, .dynamic = o->dynamic, .select = &o->select};
  QCC_TRY(qcc_place(out, s->t->g, o->target, &options));
  for (size_t i = 0; i < s->count; i++) QCC_TRY(qcc_place_keep_float(out, s->accepted[i], NULL));
  return extra ? qcc_place_keep_float(out, extra, NULL) : QCC_OK;
}

/* The best plan so far, reduced to a placement that quantizes less. */
static qcc_status reduce(qcc_plan **out, const islands *s, const qcc_placement *p) {
  QCC_TRY(qcc_plan_clone(out, s->t->plan));
  qcc_plan *plan = *out;
  for (uint32_t i = 0; i < plan->op_count; i++) {
    qcc_plan_op *op = &plan->ops[i];
    const qcc_node *n = qcc_find_node(s->t->g, op->node);
    if (!n || op->mode == p->mode[n->id]) continue;
    op->mode = p->mode[n->id];
    op->bias_count = 0;
  }
  for (uint32_t i = 0; i < p->value_count; i++) {
    const qcc_value *v = s->t->values[i];
    if (v && !v->data && !p->quantized[v->id]) qcc_plan_drop_tensor(plan, v->name);
  }
  return QCC_OK;
}

static qcc_status accept(islands *s, const qcc_node *n, qcc_plan *plan, qcc_placement *p, double db) {
  qcc_tuner *t = s->t;
  double gain = db - t->score;
  qcc_plan_op *op = qcc_plan_set_op(plan, n->name);
  if (!op) return QCC_NOMEM;
  op->reason = qcc_internf(t->cx, "its 8-bit form costs the outputs %.1f dB", gain);
  op->gain_db = (float)gain;
  s->accepted[s->count++] = n;
  qcc_plan_free(t->plan);
  t->plan = plan;
  t->score = db;
  qcc_placement_fini(&t->place);
  t->place = *p;
  return QCC_OK;
}

static qcc_status try_node(islands *s, const qcc_node *n, double least_gain) {
  qcc_placement p = {0};
  qcc_plan *plan = NULL;
  double db = NAN;
  qcc_status st = place(&p, s, n);
  if (st == QCC_OK) st = reduce(&plan, s, &p);
  if (st == QCC_OK) st = qcc_trial(&db, &s->t->trials, plan);
  if (st == QCC_OK && db >= s->t->score + least_gain) {
    qcc_info(s->t->cx, "%s stays float: %.2f dB -> %.2f dB", n->name, s->t->score, db);
    return accept(s, n, plan, &p, db);
  }
  qcc_plan_free(plan);
  qcc_placement_fini(&p);
  return st;
}

qcc_status qcc_tuner_islands(qcc_tuner *t) {
  islands s = {.t = t};
  double total = 0;
  size_t count = 0, index = 0;
  QCC_FOR_NODES(n, t->g) {
    if (!is_candidate(t, n)) continue;
    total += macs_of(n);
    count++;
  }
  s.accepted = qcc_zalloc_array(t->cx, count + 1, sizeof *s.accepted);
  qcc_status st = s.accepted ? QCC_OK : QCC_NOMEM;
  for (const qcc_node *n = t->g->first; n && st == QCC_OK; n = n->next) {
    if (!is_candidate(t, n)) continue;
    bool at_end = index < TRY_ENDS || index + TRY_ENDS >= count;
    index++;
    if (count <= TRY_ALL || at_end) st = try_node(&s, n, 2.0 + 6.0 * macs_of(n) / total);
  }
  qcc_free(t->cx, s.accepted);
  return st;
}
