/* SPDX-License-Identifier: Apache-2.0
 * Policy -> plan. Strategies never edit the caller's graph; they try plans on clones through the eval interface. */
#ifndef QCC_STRATEGY_H
#define QCC_STRATEGY_H

#include "ir/eval.h"
#include "ir/plan.h"
#include "ir/target.h"
#include "strategy/given.h"

typedef enum qcc_estimator {
  QCC_EST_AUTO, /* -O2: vote by measured error */
#define ESTIMATOR(id, name, doc) QCC_EST_##id,
#include "strategy/estimators.def"
#undef ESTIMATOR
  QCC_EST_COUNT
} qcc_estimator;

typedef enum qcc_prefer {
  QCC_PREFER_SPEED,   /* 8 bit where the target's table of costs says that it pays, elsewhere for weights only */
  QCC_PREFER_SIZE,    /* 8 bit wherever it is possible */
  QCC_PREFER_ACCURACY /* 8 bit where it pays, elsewhere not even for weights */
} qcc_prefer;

typedef struct qcc_select { /* --only / --exclude: see select.h */
  const char *const *only;
  uint32_t only_count;
  const char *const *exclude;
  uint32_t exclude_count;
  const qcc_graph *source; /* the model before it was prepared: whose tensors "between:" names; NULL: the graph itself */
} qcc_select;

typedef struct qcc_tune_options {
  int level; /* 0..2 */
  qcc_estimator estimator;
  bool dynamic;          /* prefer run-time ranges */
  qcc_dtype block_dtype; /* weights of matrix products in blocks of this type, nothing else of these quantized; QCC_NONE: no blocks */
  uint32_t block;        /* elements of a block along K */
  bool coded_interface;  /* the caller gives and gets codes */
  qcc_prefer prefer;
  unsigned workers;
  uint64_t seed;
  qcc_arithmetic arithmetic; /* candidates are judged by what they compute in this; QCC_AS_FLOAT: with rounded values in floats, fastest */
  const qcc_samples *calib;  /* NULL: none */
  qcc_select select;
  const qcc_given *given; /* NULL: none */
  const qcc_target *target;
  const qcc_eval *eval;
} qcc_tune_options;

typedef struct qcc_step {
  const char *name;
  double sqnr_before, sqnr_after;
  bool kept;
  double seconds;
} qcc_step;

typedef struct qcc_tune_result {
  qcc_plan *plan; /* owned by the caller */
  qcc_step *steps;
  uint32_t step_count; /* what was tried; owned */
  double sqnr_db;      /* on held-out samples, of the worst output (median over samples); NAN: not measured */
  double speedup;      /* expected, by the target's table of costs; NAN: it has none */
  bool synthetic_data;
} qcc_tune_result;

/* The plan for a prepared graph (@prepare ran). QCC_DATA when the samples are unusable (located), QCC_ARG when a selector
 * matches nothing. */
qcc_status qcc_tune(qcc_tune_result *out, const qcc_graph *g, const qcc_tune_options *options) QCC_MUST_USE;
void qcc_tune_result_fini(qcc_context *cx, qcc_tune_result *r);

#endif
