/* SPDX-License-Identifier: Apache-2.0
 * One trial: clone (weights are shared), apply the plan, run the held-out samples, compare with what the float graph gave. */
#include "strategy/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "passes/pass.h"

/* Against NaN every plan is as bad as any other. */
static qcc_status refuse_nan(const qcc_trials *t, size_t sample, uint32_t k, const qcc_tensor *x) {
  const float *data = x->data;
  size_t n = x->bytes / sizeof *data, i = 0;
  while (i < n && !isnan(data[i])) i++;
  if (i == n) return QCC_OK;
  qcc_loc loc = {.file = t->g->file, .tensor = t->g->outputs[k]->value->name};
  return qcc_error(t->cx, QCC_DATA, "D-023", &loc, "the float model makes NaN of calibration sample %zu; give another sample", sample);
}

static qcc_status keep_reference(void *user, size_t sample, const qcc_tensor *outputs) {
  qcc_trials *t = user;
  for (uint32_t k = 0; k < t->output_count; k++) {
    if (outputs[k].type.dtype != QCC_F32) continue;
    QCC_TRY(refuse_nan(t, sample, k, &outputs[k]));
    qcc_tensor *to = &t->reference[(sample - t->first) * t->output_count + k];
    QCC_TRY(qcc_tensor_copy(to, t->cx, &outputs[k].type, outputs[k].data));
  }
  return QCC_OK;
}

qcc_status qcc_trials_init(qcc_trials *t, const qcc_graph *g, const qcc_eval *eval, const qcc_target *target, qcc_runner *runner,
                           unsigned workers, const qcc_samples *samples, size_t first, size_t count) {
  *t = (qcc_trials){.cx = g->cx,
                    .g = g,
                    .eval = eval,
                    .target = target,
                    .workers = workers,
                    .samples = samples,
                    .first = first,
                    .count = count,
                    .output_count = g->output_count};
  t->reference = qcc_zalloc_array(t->cx, count * t->output_count + 1, sizeof *t->reference);
  t->db = qcc_zalloc_array(t->cx, count * t->output_count + 1, sizeof *t->db);
  t->kept = qcc_zalloc_array(t->cx, count * t->output_count + 1, sizeof *t->kept);
  t->sorted = qcc_zalloc_array(t->cx, count + 1, sizeof *t->sorted);
  t->signal = qcc_zalloc_array(t->cx, t->output_count + 1u, sizeof *t->signal);
  t->noise = qcc_zalloc_array(t->cx, t->output_count + 1u, sizeof *t->noise);
  qcc_hooks hooks = {.output = keep_reference, .stage = "reference", .user = t};
  qcc_status st =
      t->reference && t->db && t->kept && t->sorted && t->signal && t->noise ? eval->run(runner, samples, first, count, &hooks) : QCC_NOMEM;
  if (st != QCC_OK) qcc_trials_fini(t);
  return st;
}

void qcc_trials_fini(qcc_trials *t) {
  if (!t->cx) return;
  for (size_t i = 0; t->reference && i < t->count * t->output_count; i++) qcc_tensor_release(&t->reference[i]);
  qcc_free(t->cx, t->reference);
  qcc_free(t->cx, t->db);
  qcc_free(t->cx, t->kept);
  qcc_free(t->cx, t->sorted);
  qcc_free(t->cx, t->signal);
  qcc_free(t->cx, t->noise);
  *t = (qcc_trials){0};
}

static double decibels(double signal, double noise) {
  double db = 10 * log10((signal + 1e-30) / (noise + 1e-30));
  return isfinite(db) ? db : 0;
}

/* Signal and noise of one output of one sample, added to the sums. */
static double sqnr(double *signal_sum, double *noise_sum, const float *want, const float *got, size_t n) {
  double signal = 0, noise = 0;
  for (size_t i = 0; i < n; i++) {
    double x = (double)want[i], e = x - (double)got[i];
    signal += x * x;
    noise += e * e;
  }
  *signal_sum += signal;
  *noise_sum += noise;
  return decibels(signal, noise);
}

static qcc_status compare(void *user, size_t sample, const qcc_tensor *outputs) {
  qcc_trials *t = user;
  size_t at = sample - t->first;
  for (uint32_t k = 0; k < t->output_count; k++) {
    const qcc_tensor *want = &t->reference[at * t->output_count + k];
    double db = 300;
    if (want->data && qcc_type_equal(&want->type, &outputs[k].type))
      db = sqnr(&t->signal[k], &t->noise[k], want->data, outputs[k].data, want->bytes / sizeof(float));
    else if (want->data)
      db = 0;
    t->db[k * t->count + at] = db;
  }
  return QCC_OK;
}

qcc_status qcc_trial_graph(qcc_graph **out, const qcc_trials *t, const qcc_plan *plan) {
  QCC_TRY(qcc_graph_clone(out, t->g));
  qcc_pass_run_options options = {.eval = t->eval,
                                  .plan = plan,
                                  .target = t->target,
                                  .given = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
                                  .no_verify = true};
  const bool codes = t->arithmetic != QCC_AS_FLOAT;
  qcc_status st = qcc_run_passes(*out, codes ? "@quantize" : "@fakequant", &options);
  if (st == QCC_OK && codes) st = qcc_run_passes(*out, "@qlinear", &options);
  if (st == QCC_OK) return QCC_OK;
  qcc_graph_free(*out);
  *out = NULL;
  return st;
}

static double mean(const double *x, size_t n) {
  double sum = 0;
  for (size_t i = 0; i < n; i++) sum += x[i];
  return n ? sum / (double)n : 300;
}

/* Standard error of the mean difference of paired samples. */
static double paired_error(const double *a, const double *b, size_t n) {
  double shift = mean(a, n) - mean(b, n), squares = 0;
  for (size_t i = 0; i < n; i++) squares += (a[i] - b[i] - shift) * (a[i] - b[i] - shift);
  return n > 1 ? sqrt(squares / (double)(n - 1) / (double)n) : 0;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Sorts x; the mean of the middle two. */
static double median(double *x, size_t n) {
  qsort(x, n, sizeof *x, ascending);
  return n ? (x[(n - 1) / 2] + x[n / 2]) / 2 : 300;
}

static void judge(qcc_verdict *v, qcc_trials *t) {
  *v = (qcc_verdict){300, 300, 300, 0};
  for (uint32_t k = 0; k < t->output_count; k++) {
    const double *db = t->db + k * t->count;
    memcpy(t->sorted, db, t->count * sizeof *db);
    v->mean = fmin(v->mean, mean(db, t->count));
    v->median = fmin(v->median, median(t->sorted, t->count));
    if (t->has_kept) v->error = fmax(v->error, paired_error(db, t->kept + k * t->count, t->count));
    if (t->count && t->reference[k].data) v->pooled = fmin(v->pooled, decibels(t->signal[k], t->noise[k]));
  }
}

void qcc_trials_keep(qcc_trials *t) {
  memcpy(t->kept, t->db, t->count * t->output_count * sizeof *t->db);
  t->has_kept = true;
}

bool qcc_is_better(const qcc_verdict *a, const qcc_verdict *b, double margin) {
  return a->mean > b->mean + margin && a->pooled >= b->pooled + fmin(margin, 0);
}

qcc_status qcc_trial(qcc_verdict *v, qcc_trials *t, const qcc_plan *plan) {
  qcc_graph *g = NULL;
  QCC_TRY(qcc_trial_graph(&g, t, plan));
  qcc_runner *runner = NULL;
  const qcc_run_options how = {.workers = t->workers, .arithmetic = t->arithmetic, .spend = true};
  memset(t->signal, 0, t->output_count * sizeof *t->signal);
  memset(t->noise, 0, t->output_count * sizeof *t->noise);
  qcc_status st = t->eval->open(&runner, t->cx, g, &how);
  qcc_hooks hooks = {.output = compare, .user = t};
  if (st == QCC_OK) st = t->eval->run(runner, t->samples, t->first, t->count, &hooks);
  if (runner) t->eval->close(runner);
  qcc_graph_free(g);
  if (st == QCC_OK) judge(v, t);
  return st;
}
