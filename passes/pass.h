/* SPDX-License-Identifier: Apache-2.0
 * What a pass is, and how pipelines run. A pass is one file, one row in passes.def, one folder of golden tests.
 * A pass file opens with its rewrite in textual IR and its numerics claim. */
#ifndef QCC_PASS_H
#define QCC_PASS_H

#include "ir/eval.h"
#include "ir/ir.h"
#include "ir/plan.h"
#include "ir/support/vec.h"
#include "ir/target.h"

/* Properties of a graph that passes need and keep; checked when a pipeline is parsed. */
enum {
  QCC_PROP_SHAPES = 1,    /* infer-shapes ran and still holds */
  QCC_PROP_CANONICAL = 2, /* constants right, nodes named, Constant nodes are initializers */
  QCC_PROP_OPSET13 = 4,   /* default opset >= 13 */
  QCC_PROP_FAKEQUANT = 8  /* FakeQuant nodes stand */
};

typedef enum qcc_claim {                     /* how a pass may change results; tests execute before and after and compare so */
                         QCC_CLAIM_EXACT,    /* bit-equal */
                         QCC_CLAIM_ROUNDS,   /* same real function, other rounding: relative error of 1e-5 of the output's range */
                         QCC_CLAIM_QUANTIZES /* changes values: SQNR floor given by the test */
} qcc_claim;

typedef struct qcc_pass_option {
  const char *key, *value;
} qcc_pass_option;

typedef struct qcc_pass_cx {
  qcc_context *cx;
  qcc_graph *g;
  const qcc_eval *eval;     /* may be NULL: passes that need it do nothing */
  const qcc_plan *plan;     /* may be NULL */
  const qcc_target *target; /* may be NULL: biases are int32 */
  const qcc_pass_option *options;
  uint32_t option_count;
  uint64_t rewrites;      /* counted by qcc_rewrite_ok */
  uint64_t rewrite_limit; /* --bisect */
  const char *explain;    /* rule, pass or "all" whose declined matches are told; NULL: none */
  const char *pass;       /* name of the running pass */
} qcc_pass_cx;

/* Every rewrite asks first; false: the bisect limit is reached, leave the graph alone. Counts. */
bool qcc_rewrite_ok(qcc_pass_cx *p, const qcc_node *at, const char *rule);
/* Tells why `rule` left `at` alone, when the caller asked for it. */
void qcc_pass_decline(const qcc_pass_cx *p, const qcc_node *at, const char *rule, const char *reason);
const char *qcc_pass_option_get(const qcc_pass_cx *p, const char *key, const char *fallback);

typedef struct qcc_pass {
  const char *name;      /* kebab-case */
  const char *doc;       /* one line */
  uint32_t needs, keeps; /* QCC_PROP_ */
  uint32_t gives;
  qcc_claim claim;
  const char *options; /* keys it takes, space separated; NULL: not checked; "": none */
  qcc_status (*run)(qcc_pass_cx *p);
} qcc_pass;

/* passes.def lists them: PASS(c_identifier) declares qcc_pass_<c_identifier>. */
#define PASS(id) extern const qcc_pass qcc_pass_##id;
#include "passes/passes.def"
#undef PASS
const qcc_pass *qcc_pass_find(const char *name); /* NULL: unknown */
const qcc_pass *qcc_pass_at(uint32_t index);     /* NULL past the end */

/* ---- pipelines: "canonicalize,fuse-conv-bn,fix(a,b),pass{key=value,key=value},@prepare" */
typedef struct qcc_pipeline qcc_pipeline;
/* QCC_ARG with a caret at the unknown pass, the bad option, or the pass whose needs are not met (checked from `given` on). */
qcc_status qcc_pipeline_parse(qcc_pipeline **out, qcc_context *cx, const char *text, uint32_t given) QCC_MUST_USE;
void qcc_pipeline_free(qcc_pipeline *p);
void qcc_pipeline_print(qcc_text *to, const qcc_pipeline *p);     /* prints back identically; @names expanded */
const char *qcc_pipeline_stored(const char *name);                /* text of "@prepare", "@quantize"; NULL: unknown */
bool qcc_pipeline_names(const qcc_pipeline *p, const char *pass); /* does it run `pass`? */

typedef struct qcc_pass_run_options {
  const qcc_eval *eval;
  const qcc_plan *plan;
  const qcc_target *target;
  uint32_t given;          /* QCC_PROP_ that the graph has already (qcc_run_passes) */
  bool no_verify;          /* default: verify after every pass */
  const char *print_after; /* pass name, "all" or NULL */
  bool print_changed;
  bool time;       /* a table of pass, seconds, rewrites through qcc_info */
  uint64_t bisect; /* 0: no limit */
  const char *explain;
  void (*print)(void *user, const char *text, size_t n); /* where printing goes */
  void *print_user;
  const char *reproducer; /* path: IR before a failing pass + the rest of the pipeline; NULL: none */
} qcc_pass_run_options;

/* Runs; on failure the graph is in the state of the failing pass and must only be freed. `rewrites` may be NULL. */
qcc_status qcc_pipeline_run(const qcc_pipeline *p, qcc_graph *g, const qcc_pass_run_options *options, uint64_t *rewrites) QCC_MUST_USE;
/* Parse, run, free. */
qcc_status qcc_run_passes(qcc_graph *g, const char *pipeline, const qcc_pass_run_options *options) QCC_MUST_USE;

#endif
