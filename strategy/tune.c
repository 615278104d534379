/* SPDX-License-Identifier: Apache-2.0
 * qcc_tune: the levels. Place; measure once; make a plan; try changes on held-out samples and keep those that lower the error.
 *
 *   -O1            weights only, run-time ranges; with samples: static ranges, no search
 *   -O2            the same start, then: bias correction, a vote of estimators, weight reconstruction, float islands */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <string.h>
#include <time.h>

#include "strategy/cost.h"
#include "strategy/tuner.h"

static double now(void) {
  struct timespec t = {0};
  return clock_gettime(CLOCK_MONOTONIC, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec * 1e-9 : 0;
}

/* A vote must win by more than the held-out samples waver: squared error is the better guess where they cannot tell. */
static const double TRIAL_MACS = 3e9, RUINED_DB = 12, VOTE_MARGIN_DB = 1;

qcc_place_options qcc_tuner_placing(const qcc_tune_options *o, bool have_ranges) {
  return (qcc_place_options){.have_ranges = have_ranges,
                             .dynamic = o->dynamic,
                             .blocks = o->block_dtype != QCC_NONE,
                             .coded_interface = o->coded_interface,
                             .prefer = o->prefer,
                             .select = &o->select};
}

/* ---- bookkeeping */

static qcc_status add_step(qcc_tuner *t, const char *name, double before, double after, bool kept, double seconds) {
  qcc_tune_result *r = t->result;
  qcc_step *steps = qcc_realloc_array(t->cx, r->steps, r->step_count + 1u, sizeof *steps);
  if (!steps) return QCC_NOMEM;
  r->steps = steps;
  r->steps[r->step_count++] = (qcc_step){name, before, after, kept, seconds};
  qcc_info(t->cx, "%s: %.2f dB -> %.2f dB%s", name, before, after, kept ? "" : ", dropped");
  return QCC_OK;
}

qcc_status qcc_tuner_try(qcc_tuner *t, qcc_plan *plan, const char *name, double margin) {
  double start = now();
  qcc_verdict v = {NAN, NAN, NAN, 0}, before = t->score;
  qcc_status st = qcc_trial(&v, &t->trials, plan);
  bool better =
      st == QCC_OK && (!t->plan || isnan(before.mean) || qcc_is_better(&v, &before, margin > 0 ? fmax(margin, 2 * v.error) : margin));
  if (better) {
    qcc_plan_free(t->plan);
    t->plan = plan;
    t->score = v;
    qcc_trials_keep(&t->trials);
  } else {
    qcc_plan_free(plan);
  }
  return st == QCC_OK ? add_step(t, name, before.mean, v.mean, better, now() - start) : st;
}

static qcc_status index_values(qcc_tuner *t) {
  t->values = qcc_zalloc_array(t->cx, t->place.value_count + 1u, sizeof *t->values);
  if (!t->values) return QCC_NOMEM;
  for (uint32_t i = 0; i < t->g->input_count; i++) t->values[t->g->inputs[i]->id] = t->g->inputs[i];
  for (uint32_t i = 0; i < t->g->const_count; i++) t->values[t->g->consts[i]->id] = t->g->consts[i];
  QCC_FOR_NODES(n, t->g) {
    for (uint32_t k = 0; k < n->out_count; k++) {
      if (n->out[k]) t->values[n->out[k]->id] = n->out[k];
    }
  }
  return QCC_OK;
}

/* ---- plans */

typedef struct mode_walk {
  const qcc_tuner *t;
  qcc_plan *plan;
} mode_walk;

static qcc_status write_modes(qcc_graph *g, void *user) {
  mode_walk *w = user;
  QCC_FOR_NODES(n, g) {
    qcc_mode mode = w->t->place.mode[n->id];
    const char *reason = w->t->place.reason[n->id];
    if (mode == QCC_MODE_FLOAT && !reason) continue;
    qcc_plan_op *op = qcc_plan_set_op(w->plan, n->name);
    if (!op) return QCC_NOMEM;
    op->mode = mode;
    op->reason = reason;
  }
  return QCC_OK;
}

/* A whole plan for the placement of now. */
static qcc_status make_plan(qcc_plan **out, qcc_tuner *t, qcc_estimator how, qcc_layer_step step, bool correct) {
  QCC_TRY(qcc_plan_new(out, t->cx));
  (*out)->target = t->o->target->name;
  mode_walk w = {t, *out};
  qcc_status st = qcc_graph_walk((qcc_graph *)(uintptr_t)t->g, write_modes, &w);
  if (st == QCC_OK && t->stats) st = qcc_tuner_ranges(t, *out, how);
  if (st == QCC_OK) st = qcc_tuner_layers(t, *out, step, correct);
  if (st == QCC_OK) return QCC_OK;
  qcc_plan_free(*out);
  *out = NULL;
  return st;
}

/* ---- measuring */

static void close_runner(qcc_tuner *t) {
  if (t->runner) t->o->eval->close(t->runner);
  t->runner = NULL;
}

/* The last fifth (1..20 samples) is held out, fewer of them where one costs much: at most TRIAL_MACS per trial, but 8 samples. With fewer than 4
 * samples everything serves both ends. */
static void split(const qcc_tuner *t, size_t *stat, size_t *first, size_t *held) {
  const size_t count = t->o->calib->count;
  double affordable = TRIAL_MACS / (qcc_graph_macs(t->g) + 1);
  *held = count / 5 < 1 ? 1 : count / 5 > 20 ? 20 : count / 5;
  if ((double)*held > affordable && *held > 8) *held = affordable < 8 ? 8 : (size_t)affordable;
  *stat = count - *held;
  *first = *stat;
  if (count >= 4) return;
  *stat = *held = count;
  *first = 0;
}

/* Ranges of what is not finite would be made up. */
static qcc_status check_finite(const qcc_tuner *t) {
  size_t sample = 0;
  const qcc_value *v = qcc_collector_not_finite(t->stats, &sample);
  if (!v) return QCC_OK;
  qcc_loc loc = {.file = t->g->file, .node = v->def ? v->def->name : NULL, .op = v->def ? v->def->op_type : NULL, .tensor = v->name};
  return qcc_error(
      t->cx, QCC_DATA, "D-022", &loc,
      "the tensor has NaN or infinite values in calibration sample %zu; give finite samples or keep the node float with --exclude", sample);
}

static qcc_status measure(qcc_tuner *t) {
  const qcc_tune_options *o = t->o;
  size_t first, held;
  if (o->calib->count == 0) return qcc_error(t->cx, QCC_DATA, "D-020", NULL, "the calibration data has no samples");
  split(t, &t->stat_count, &first, &held);
  if (o->calib->count < 4) qcc_warn(t->cx, "D-021", NULL, "only %zu calibration samples: 100 are usual", o->calib->count);
  QCC_TRY(o->eval->open(&t->runner, t->cx, t->g, &(qcc_run_options){.workers = o->workers}));
  QCC_TRY(qcc_collector_new(&t->stats, t->cx, o->workers, t->stat_count, o->seed));
  QCC_TRY(qcc_tuner_watch(t));
  if (o->level >= 2) QCC_TRY(qcc_tuner_grams(t));
  QCC_TRY(qcc_collector_run(t->stats, o->eval, t->runner, o->calib, 0, t->stat_count, "calibrate"));
  QCC_TRY(check_finite(t));
  qcc_status st = qcc_trials_init(&t->trials, t->g, o->eval, o->target, t->runner, o->workers, o->calib, first, held);
  t->trials.arithmetic = o->arithmetic;
  close_runner(t); /* its packed weights are gone when trials pack theirs */
  return st;
}

/* ---- -O2 */

/* Two plans of one placement that differ by less than 1 % in every step need no trial. */
static bool same_ranges(const qcc_plan *a, const qcc_plan *b) {
  for (uint32_t i = 0; i < b->tensor_count; i++) {
    const qcc_plan_tensor *y = &b->tensors[i], *x = qcc_plan_tensor_of(a, y->tensor);
    if (y->codes || y->q.block || !qcc_dtype_is_int(y->q.dtype)) continue; /* weights, and what is not quantized */
    if (!x || x->q.count != 1 || fabs((double)x->q.scale[0] / (double)y->q.scale[0] - 1) > 0.01) return false;
  }
  return true;
}

static qcc_status vote(qcc_tuner *t, qcc_estimator *how) {
  static const struct {
    qcc_estimator how;
    const char *name;
  } candidates[] = {
      {QCC_EST_MINMAX, "ranges: minmax"}, {QCC_EST_MEAN_MINMAX, "ranges: mean-minmax"}, {QCC_EST_PERCENTILE, "ranges: percentile"}};
  for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
    qcc_plan *plan = NULL;
    qcc_verdict before = t->score;
    QCC_TRY(make_plan(&plan, t, candidates[i].how, QCC_LAYER_ROUND, true));
    if (same_ranges(t->plan, plan)) {
      qcc_plan_free(plan);
      continue;
    }
    QCC_TRY(qcc_tuner_try(t, plan, candidates[i].name, VOTE_MARGIN_DB));
    if (t->score.mean > before.mean) *how = candidates[i].how;
  }
  return QCC_OK;
}

static qcc_status reconstruct(qcc_tuner *t, qcc_estimator how) {
  qcc_plan *plan = NULL;
  QCC_TRY(make_plan(&plan, t, how, QCC_LAYER_RECONSTRUCT, true));
  return qcc_tuner_try(t, plan, "weights: reconstruct", 0);
}

/* A network that static ranges ruin gets what -O1 without samples would have given, when that is better. */
static qcc_status fall_back(qcc_tuner *t) {
  if (t->score.median >= RUINED_DB) return QCC_OK;
  qcc_placement p;
  qcc_plan *plan = NULL;
  qcc_place_options options = qcc_tuner_placing(t->o, false);
  options.dynamic = false;
  QCC_TRY(qcc_place(&p, t->g, t->o->target, &options));
  qcc_placement_fini(&t->place);
  t->place = p;
  QCC_TRY(make_plan(&plan, t, QCC_EST_MINMAX, QCC_LAYER_ROUND, false));
  return qcc_tuner_try(t, plan, "no static ranges", 0);
}

static qcc_status improve(qcc_tuner *t, qcc_estimator how) {
  qcc_plan *plan = NULL;
  QCC_TRY(make_plan(&plan, t, how, QCC_LAYER_ROUND, true));
  QCC_TRY(qcc_tuner_try(t, plan, "bias correction", 0));
  if (t->o->estimator == QCC_EST_AUTO) QCC_TRY(vote(t, &how));
  QCC_TRY(reconstruct(t, how));
  double before = t->score.mean, start = now();
  QCC_TRY(qcc_tuner_islands(t));
  QCC_TRY(add_step(t, "float islands", before, t->score.mean, t->score.mean > before, now() - start));
  return fall_back(t);
}

/* ---- all of it */

static qcc_status tune(qcc_tuner *t) {
  const qcc_tune_options *o = t->o;
  qcc_place_options place = qcc_tuner_placing(o, o->calib != NULL);
  QCC_TRY(qcc_place(&t->place, t->g, o->target, &place));
  QCC_TRY(index_values(t));
  QCC_TRY(qcc_tuner_check_weights(t));
  if (o->calib && o->level >= 2) QCC_TRY(qcc_tuner_remember(t));
  qcc_estimator how = o->estimator == QCC_EST_AUTO ? QCC_EST_MSE : o->estimator;
  if (o->calib) QCC_TRY(measure(t));
  qcc_plan *plan = NULL;
  QCC_TRY(make_plan(&plan, t, how, QCC_LAYER_ROUND, false));
  if (!o->calib) {
    t->plan = plan;
    return QCC_OK;
  }
  QCC_TRY(qcc_tuner_try(t, plan, "static ranges", 0));
  return o->level >= 2 ? improve(t, how) : QCC_OK;
}

static void fini(qcc_tuner *t) {
  close_runner(t);
  qcc_collector_free(t->stats);
  qcc_trials_fini(&t->trials);
  for (uint32_t i = 0; t->gram && i < t->place.node_count; i++) qcc_gram_free(t->gram[i]);
  qcc_free(t->cx, t->gram);
  qcc_tuner_forget(t);
  qcc_free(t->cx, t->values);
  qcc_placement_fini(&t->place);
  qcc_plan_free(t->plan);
}

static double expected_speedup(const qcc_tuner *t) {
  const qcc_cost cost = qcc_cost_of_placement(&t->place);
  return t->o->target->costs.count && cost.q8 > 0 ? cost.f32 / cost.q8 : NAN;
}

qcc_status qcc_tune(qcc_tune_result *out, const qcc_graph *g, const qcc_tune_options *options) {
  *out = (qcc_tune_result){.sqnr_db = NAN, .speedup = NAN};
  qcc_tuner t = {.cx = g->cx, .g = g, .o = options, .score = {NAN, NAN, NAN, 0}, .result = out};
  qcc_status st = tune(&t);
  if (st == QCC_OK) {
    out->plan = t.plan;
    out->sqnr_db = t.score.median;
    out->speedup = expected_speedup(&t);
    t.plan = NULL;
  }
  fini(&t);
  if (st != QCC_OK) qcc_tune_result_fini(g->cx, out);
  return st;
}

void qcc_tune_result_fini(qcc_context *cx, qcc_tune_result *r) {
  qcc_plan_free(r->plan);
  qcc_free(cx, r->steps);
  *r = (qcc_tune_result){.sqnr_db = NAN, .speedup = NAN};
}
