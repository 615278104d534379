/* SPDX-License-Identifier: Apache-2.0
 * One golden file: what its head says and what it expects. See README.md for the format. */
#ifndef QCC_TESTS_CASE_H
#define QCC_TESTS_CASE_H

#include "ir/support/vec.h"
#include "passes/pass.h"

typedef enum case_kind { CASE_PASS, CASE_ROUNDTRIP, CASE_REJECT, CASE_EVAL } case_kind;

typedef struct golden {
  const char *path;
  char *text; /* the whole file */
  size_t n;
  case_kind kind;
  char *pipeline;   /* of pass and reject; "" for none */
  char *plan;       /* JSON or NULL */
  char *target;     /* name or NULL */
  char *no_run;     /* why before and after are not executed; NULL: they are */
  double sqnr;      /* floor in dB for passes that quantize; 0: none given */
  double tolerance; /* of eval, relative to the range of the output */
  char *expect;     /* the expected block without its comment signs; NULL: there is none yet */
  size_t expect_at; /* offset of the line ";; expect"; n when there is none */
} golden;

/* Reads file and head; prints what is wrong and returns false. */
bool golden_read(golden *c, const char *path);
void golden_free(golden *c);
/* Replace the expected block by `text` and write the file. */
bool golden_bless(const golden *c, const char *text);
/* Value of "; key: value" lines: the `index`th one; new memory or NULL. */
char *golden_head(const golden *c, const char *key, unsigned index);
/* "; error: text" in the body: its line and text; false when there is none. */
bool golden_error(const golden *c, unsigned *line, char **text);

/* ---- execution (run.c) */
typedef struct outputs {
  qcc_tensor *at; /* sample-major */
  size_t n, cap;
} outputs;
/* Runs `g` on `count` seeded samples (or on the inputs that the head gives). */
qcc_status golden_run(outputs *to, const golden *c, qcc_context *cx, const qcc_graph *g, size_t count);
void outputs_free(outputs *o, qcc_context *cx);
/* NULL: they agree as the claim demands; else a static text, with the figure in *figure. */
const char *golden_compare(const outputs *before, const outputs *after, qcc_claim claim, double sqnr_floor, double *figure);

#endif
