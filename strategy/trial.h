/* SPDX-License-Identifier: Apache-2.0
 * Trials: what a plan costs. The held-out samples run once through the float graph; every plan is then judged by the outputs of its
 * FakeQuant graph on the same samples, without rewriting or exporting anything; or, where that is asked, by those of operators on codes. */
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
  qcc_arithmetic arithmetic; /* of trials */
  unsigned workers;
  const qcc_samples *samples;
  size_t first, count; /* held-out samples */
  uint32_t output_count;
  qcc_tensor *reference; /* [sample][output], float outputs of the float graph; others are left out (data NULL) */
  double *db;            /* [output][sample] of the plan on trial */
  double *kept, *sorted; /* the same of the plan kept last; scratch of one output */
  bool has_kept;
  double *signal, *noise; /* [output] sums of squares over its samples */
} qcc_trials;

/* Trials are in floats until t->arithmetic says otherwise. Runs the float graph on samples first..first+count-1 through `runner` (opened for `g`). */
qcc_status qcc_trials_init(qcc_trials *t, const qcc_graph *g, const qcc_eval *eval, const qcc_target *target, qcc_runner *runner,
                           unsigned workers, const qcc_samples *samples, size_t first, size_t count) QCC_MUST_USE;
void qcc_trials_fini(qcc_trials *t);
/* What a trial found, in dB, each of the output where it is worst; 0 for outputs that are not finite. Few samples waver, each figure in its own
 * way: a plan is better only when neither the mean nor the pooled figure speaks against it. */
typedef struct qcc_verdict {
  double mean;   /* over samples, of each sample's SQNR */
  double pooled; /* signal over noise of all samples together: led by the samples that suffer most */
  double median; /* over samples: for people */
  double error;  /* standard error of the mean's difference to the plan kept last (qcc_trials_keep); 0: none kept */
} qcc_verdict;
bool qcc_is_better(const qcc_verdict *a, const qcc_verdict *b, double margin); /* a better than b by `margin` dB */
qcc_status qcc_trial(qcc_verdict *v, qcc_trials *t, const qcc_plan *plan) QCC_MUST_USE;
void qcc_trials_keep(qcc_trials *t); /* the plan tried last is the best so far */
/* The FakeQuant graph of a plan; free with qcc_graph_free. */
qcc_status qcc_trial_graph(qcc_graph **out, const qcc_trials *t, const qcc_plan *plan) QCC_MUST_USE;

#endif
