/* SPDX-License-Identifier: Apache-2.0
 * State that the parts of qcc_tune share: the placement, what was measured, the best plan so far. */
#ifndef QCC_TUNER_H
#define QCC_TUNER_H

#include "strategy/collect.h"
#include "strategy/estimate.h"
#include "strategy/placement.h"
#include "strategy/trial.h"
#include "strategy/weights.h"

typedef struct qcc_searched { /* what the search for a weight gave, and what it depends on beside the placement */
  qcc_mode mode;
  qcc_buf *codes; /* NULL: not searched yet */
  float *scale;
  int32_t *code_max;
  double x_scale;
} qcc_searched;

typedef struct qcc_tuner {
  qcc_context *cx;
  const qcc_graph *g;
  const qcc_tune_options *o;
  qcc_placement place;
  const qcc_value **values; /* by id; NULL where no value of the main graph has the id */
  size_t stat_count;        /* samples 0..stat_count-1 give statistics */
  qcc_collector *stats;     /* NULL: no data */
  qcc_runner *runner;       /* float */
  qcc_trials trials;        /* held-out samples */
  qcc_gram **gram;          /* by node id; NULL: none */
  qcc_searched *searched;   /* by node id and slot, twice as many as nodes; NULL: one plan is made */
  qcc_plan *plan;           /* best so far */
  qcc_verdict score;        /* of `plan`; NAN: not measured */
  qcc_tune_result *result;
} qcc_tuner;

/* ---- ranges.c: activation ranges into a plan */
qcc_status qcc_tuner_watch(qcc_tuner *t) QCC_MUST_USE; /* before the first run */
/* Parameters of every quantized activation by one estimator. */
qcc_status qcc_tuner_ranges(const qcc_tuner *t, qcc_plan *plan, qcc_estimator how) QCC_MUST_USE;

/* ---- layers.c: weights and biases into a plan */
typedef enum qcc_layer_step {
  QCC_LAYER_ROUND,      /* scales by search, nearest safe codes */
  QCC_LAYER_RECONSTRUCT /* codes by coordinate descent on the layer's Gram matrix */
} qcc_layer_step;
/* Weights of every operator in 8-bit mode; `correct`: closed-form bias corrections too (needs statistics). Ranges must be in the plan. */
qcc_status qcc_tuner_layers(qcc_tuner *t, qcc_plan *plan, qcc_layer_step step, bool correct) QCC_MUST_USE;
/* Let searches for weights be kept for later plans; and free what was kept. */
qcc_status qcc_tuner_remember(qcc_tuner *t) QCC_MUST_USE;
void qcc_tuner_forget(qcc_tuner *t);
/* NaN and infinities have no code: QCC_INVALID names the weight or bias. */
qcc_status qcc_tuner_check_weights(const qcc_tuner *t) QCC_MUST_USE;
/* Gram matrices of the inputs of STATIC operators join the statistics; before the first run. */
qcc_status qcc_tuner_grams(qcc_tuner *t) QCC_MUST_USE;

/* ---- islands.c */
/* Keep operators float where that gains enough at the outputs; changes placement and plan. */
qcc_status qcc_tuner_islands(qcc_tuner *t) QCC_MUST_USE;

/* ---- tune.c */
/* What the options say about placement. */
qcc_place_options qcc_tuner_placing(const qcc_tune_options *o, bool have_ranges);
/* Judge `plan`; keep it (and take it over) when it is better by `margin` dB - and, where a margin is asked, by two standard errors of the paired
 * difference -, else free it. */
qcc_status qcc_tuner_try(qcc_tuner *t, qcc_plan *plan, const char *name, double margin) QCC_MUST_USE;

#endif
