/* SPDX-License-Identifier: Apache-2.0
 * Float islands: operators whose 8-bit form costs the outputs more than it is worth stay float, with the measured gain.
 *
 * Small networks that are not fine yet (below FINE_DB at the outputs) try every weighted operator: one tensor can spoil them. A candidate must
 * gain more the more of the arithmetic it takes out of 8 bit. Everything else of the plan stays as it was. Large networks do not: every island
 * costs them speed, and few decibels hang on one operator.
 *
 * A network that is still badly damaged (below GOOD_DB) is rescued: the shortest prefix of an order of its operators that restores GOOD_DB
 * stays float; a handful of trials. Two orders are tried: that of the graph, since early noise passes through everything, and the noise that 8
 * bits add to what an operator's users see, read from the histograms. */
#include <math.h>
#include <string.h>

#include "strategy/tuner.h"

enum { TRY_ALL = 12, GOOD_DB = 18, FINE_DB = 40 };

typedef struct islands {
  qcc_tuner *t;
  const qcc_node **accepted;
  size_t count;
} islands;

/* Weights of float kernels count, too: without 8-bit codes they are exact. */
static bool is_candidate(const qcc_tuner *t, const qcc_node *n) {
  const qcc_mode mode = t->place.mode[n->id];
  return qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED && (mode == QCC_MODE_STATIC || mode == QCC_MODE_WEIGHT);
}

/* The placement with the accepted nodes, and `extra_count` further ones, kept float. */
static qcc_status place(qcc_placement *out, const islands *s, const qcc_node *const *extra, size_t extra_count) {
  const qcc_tune_options *o = s->t->o;
  qcc_place_options options = qcc_tuner_placing(o, true);
  QCC_TRY(qcc_place(out, s->t->g, o->target, &options));
  for (size_t i = 0; i < s->count; i++) QCC_TRY(qcc_place_keep_float(out, s->accepted[i], NULL));
  for (size_t i = 0; i < extra_count; i++) QCC_TRY(qcc_place_keep_float(out, extra[i], NULL));
  return QCC_OK;
}

static bool is_weight_of_some(const qcc_placement *p, const qcc_value *v) {
  QCC_FOR_USES(u, v) {
    if (v->data && u->node && p->mode[u->node->id] != QCC_MODE_FLOAT) return true;
  }
  return false;
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
    if (v && !p->quantized[v->id] && !is_weight_of_some(p, v)) qcc_plan_drop_tensor(plan, v->name);
  }
  return QCC_OK;
}

/* Takes `plan` and `p` over, unless it fails. */
static qcc_status accept(islands *s, const qcc_node *const *nodes, size_t count, qcc_plan *plan, qcc_placement *p, const qcc_verdict *v) {
  qcc_tuner *t = s->t;
  double gain = v->mean - t->score.mean;
  const char *together = count > 1 ? qcc_internf(t->cx, " (%zu operators together)", count) : "";
  for (size_t i = 0; i < count; i++) {
    qcc_plan_op *op = qcc_plan_set_op(plan, nodes[i]->name);
    const char *reason = qcc_internf(t->cx, "8 bits here cost the outputs %.1f dB%s", gain, together ? together : "");
    if (!op || !reason) return QCC_NOMEM;
    op->reason = reason;
    op->gain_db = (float)gain;
    s->accepted[s->count++] = nodes[i];
  }
  qcc_plan_free(t->plan);
  t->plan = plan;
  t->score = *v;
  qcc_trials_keep(&t->trials);
  qcc_placement_fini(&t->place);
  t->place = *p;
  return QCC_OK;
}

/* Judge the plan with `nodes` kept float; take it when it gains `least` dB. `*db`: the median over samples. */
static qcc_status try_nodes(islands *s, const qcc_node *const *nodes, size_t count, double least, double *db) {
  qcc_placement p = {0};
  qcc_plan *plan = NULL;
  qcc_verdict v = {NAN, NAN, NAN, 0};
  qcc_status st = place(&p, s, nodes, count);
  if (st == QCC_OK) st = reduce(&plan, s, &p);
  if (st == QCC_OK) st = qcc_trial(&v, &s->t->trials, plan);
  *db = v.median;
  if (st == QCC_OK && qcc_is_better(&v, &s->t->score, least)) {
    qcc_info(s->t->cx, "%s%s stays float: %.2f dB -> %.2f dB", nodes[0]->name, count > 1 ? " and others" : "", s->t->score.mean, v.mean);
    st = accept(s, nodes, count, plan, &p, &v);
    if (st == QCC_OK) return st;
  }
  qcc_plan_free(plan);
  qcc_placement_fini(&p);
  return st;
}

/* ---- rescue: rank by the noise that users see, keep the shortest sufficient prefix float */

typedef struct ranked {
  const qcc_node *n;
  double noise;
} ranked;

/* Mean noise behind x * sigmoid(x), for x of step `s`: the slope carries the step of x, x carries the step of the sigmoid. */
static double silu_noise(const qcc_bins *b, double s) {
  double noise = 0;
  for (size_t i = 0; i < b->count; i++) {
    double x = (b->at[i].a + b->at[i].b) / 2, g = 1 / (1 + exp(-x)), slope = g + x * g * (1 - g);
    noise += b->at[i].n * (slope * slope * s * s + x * x / (255.0 * 255.0)) / 12;
  }
  return b->total > 0 ? noise / b->total : 0;
}

/* The value behind a weighted operator that the next ones read: past its fused activation, or past its SiLU. */
static const qcc_value *seen_value(const qcc_tuner *t, const qcc_value *v, bool *is_silu) {
  double lo, hi;
  qcc_node *user = qcc_only_user(v);
  if (user && t->place.fused[user->id]) v = user->out[0];
  qcc_useful_range(&t->place, v, &lo, &hi);
  *is_silu = isfinite(lo) && !isfinite(hi);
  for (const qcc_use *u = v->uses; u && *is_silu; u = u->next) {
    if (u->node && u->node->op == QCC_OP_MUL) return u->node->out[0];
  }
  return v;
}

/* Noise over power, channel by channel: weak channels drown in the step of strong ones, and the next operator may live from them. */
static double relative(const qcc_tuner *t, const qcc_value *seen, const qcc_bins *bins, double noise) {
  const qcc_channels *c = qcc_collector_channels(t->stats, seen);
  double power = qcc_bins_power(bins), sum = 0;
  if (!c || c->count == 0) return power > 0 ? noise / power : 0;
  for (uint32_t i = 0; i < c->count; i++) sum += c->meansq[i] > 0 ? fmin(1, noise / c->meansq[i]) : 0;
  return sum / c->count;
}

static double step_noise(const qcc_tuner *t, const qcc_value *v, const qcc_bins *bins) {
  const qcc_plan_tensor *e = qcc_plan_tensor_of(t->plan, v->name);
  return e ? qcc_bins_noise(bins, e->q.scale[0], e->q.zero ? e->q.zero[0] : 0, &t->o->target->activation) : 0;
}

static qcc_status output_noise(double *noise, const qcc_tuner *t, const qcc_node *n) {
  bool is_silu;
  const qcc_value *v = n->out[0], *seen = seen_value(t, v, &is_silu);
  const qcc_hist *made = qcc_collector_hist(t->stats, is_silu ? v : seen), *read = qcc_collector_hist(t->stats, seen);
  const qcc_plan_tensor *e = qcc_plan_tensor_of(t->plan, v->name);
  *noise = 0;
  if (!made || !read) return QCC_OK;
  qcc_bins before = {0}, after = {0};
  qcc_status st = qcc_bins_of(&before, made);
  if (st == QCC_OK) st = qcc_bins_of(&after, read);
  if (st == QCC_OK)
    *noise = relative(t, seen, &after, step_noise(t, seen, &after) + (is_silu && e ? silu_noise(&before, (double)e->q.scale[0]) : 0));
  qcc_bins_fini(t->cx, &before);
  qcc_bins_fini(t->cx, &after);
  return st;
}

/* Noisiest first; graph order among equals. */
static void insert_ranked(ranked *list, size_t count, ranked r) {
  for (; count > 0 && list[count - 1].noise < r.noise; count--) list[count] = list[count - 1];
  list[count] = r;
}

/* Doubles the prefix until it is good enough or half of the network, then halves back to the shortest good one. `best`, `best_db`: the prefix
 * to take and what it reaches. */
static qcc_status search_prefix(islands *s, const qcc_node **order, size_t count, size_t *best, double *best_db) {
  size_t good = 0, bad = 0;
  double db = 0;
  *best = 0, *best_db = s->t->score.median + 1;
  for (size_t k = 2; k <= count / 2 && !good; k *= 2) {
    QCC_TRY(try_nodes(s, order, k, INFINITY, &db));
    if (db > *best_db + 0.5) *best = k, *best_db = db;
    if (db >= GOOD_DB)
      good = k;
    else
      bad = k;
  }
  while (good > bad + 1 && good - bad > good / 8) {
    size_t k = (good + bad) / 2;
    QCC_TRY(try_nodes(s, order, k, INFINITY, &db));
    if (db >= GOOD_DB)
      good = *best = k, *best_db = db;
    else
      bad = k;
  }
  return QCC_OK;
}

static qcc_status search_orders(islands *s, const qcc_node **by_place, const qcc_node **by_noise, size_t count) {
  size_t first, second = 0;
  double first_db, second_db = -INFINITY, db;
  QCC_TRY(search_prefix(s, by_place, count, &first, &first_db));
  if (first_db < GOOD_DB) QCC_TRY(search_prefix(s, by_noise, count, &second, &second_db));
  bool place = first_db >= second_db;
  size_t k = place ? first : second;
  return k ? try_nodes(s, place ? by_place : by_noise, k, 1, &db) : QCC_OK;
}

static qcc_status rescue(islands *s, size_t most) {
  qcc_tuner *t = s->t;
  ranked *list = qcc_zalloc_array(t->cx, most + 1, sizeof *list);
  const qcc_node **order = qcc_zalloc_array(t->cx, 2 * most + 2, sizeof *order);
  qcc_status st = list && order ? QCC_OK : QCC_NOMEM;
  size_t count = 0;
  for (const qcc_node *n = t->g->first; n && st == QCC_OK; n = n->next) {
    if (!is_candidate(t, n)) continue;
    ranked r = {.n = n};
    order[most + 1 + count] = n;
    st = output_noise(&r.noise, t, n);
    insert_ranked(list, count++, r);
  }
  for (size_t i = 0; i < count; i++) order[i] = list[i].n;
  if (st == QCC_OK) st = search_orders(s, order + most + 1, order, count);
  qcc_free(t->cx, list);
  qcc_free(t->cx, order);
  return st;
}

qcc_status qcc_tuner_islands(qcc_tuner *t) {
  islands s = {.t = t};
  double total = 0;
  size_t count = 0;
  QCC_FOR_NODES(n, t->g) {
    if (!is_candidate(t, n)) continue;
    total += qcc_node_macs(n);
    count++;
  }
  s.accepted = qcc_zalloc_array(t->cx, count + 1, sizeof *s.accepted);
  qcc_status st = s.accepted ? QCC_OK : QCC_NOMEM;
  for (const qcc_node *n = t->g->first; n && st == QCC_OK && count <= TRY_ALL; n = n->next) {
    if (!is_candidate(t, n)) continue;
    if (t->score.median >= FINE_DB || s.count + 1 == count) break; /* fine already; or the last operator: an island needs a sea */
    double db;
    st = try_nodes(&s, &n, 1, 2.0 + 6.0 * qcc_node_macs(n) / total, &db);
  }
  if (st == QCC_OK && t->score.median < GOOD_DB && count > TRY_ALL) st = rescue(&s, count);
  qcc_free(t->cx, s.accepted);
  return st;
}
