/* SPDX-License-Identifier: Apache-2.0
 * Trials: what a plan costs. The held-out samples run once through the float graph; every plan is then judged by the outputs of its
 * FakeQuant graph on the same samples, without rewriting or exporting anything. */
#ifndef QCC_TRIAL_H
#define QCC_TRIAL_H

#include "ir/eval.h"
#include "ir/plan.h"
#include "ir/target.h"

typedef struct qcc_trials {
  qcc_context *cx;
  const qcc_graph *g;
  const qcc_eval *eval;
  const qcc_target *target;
  unsigned workers;
  const qcc_samples *samples;
  size_t first, count; /* held-out samples */
  uint32_t output_count;
  qcc_tensor *reference;  /* [sample][output], float outputs of the float graph; others are left out (data NULL) */
  double *db;             /* [output][sample] of the plan on trial */
  double *signal, *noise; /* [output] sums of squares over its samples */
} qcc_trials;

/* Runs the float graph on samples first..first+count-1 through `runner` (opened for `g`). */
qcc_status qcc_trials_init(qcc_trials *t, const qcc_graph *g, const qcc_eval *eval, const qcc_target *target, qcc_runner *runner,
                           unsigned workers, const qcc_samples *samples, size_t first, size_t count) QCC_MUST_USE;
void qcc_trials_fini(qcc_trials *t);
/* Two figures in dB, each of the output where it is worst. `score`, for decisions: signal over noise of all samples together, which wavers
 * least on few of them. `median`, for people (may be NULL): median over samples of each sample's SQNR. 0 dB for outputs that are not finite. */
qcc_status qcc_trial(double *score, double *median, qcc_trials *t, const qcc_plan *plan) QCC_MUST_USE;
/* The FakeQuant graph of a plan; free with qcc_graph_free. */
qcc_status qcc_trial_graph(qcc_graph **out, const qcc_trials *t, const qcc_plan *plan) QCC_MUST_USE;

#endif
