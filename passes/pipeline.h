/* SPDX-License-Identifier: Apache-2.0
 * A parsed pipeline: flat list of stages, fix(...) as a begin stage and an end stage. Shared by its parser and the manager. */
#ifndef QCC_PIPELINE_H
#define QCC_PIPELINE_H

#include "passes/pass.h"

typedef enum qcc_stage_kind { QCC_STAGE_PASS, QCC_STAGE_FIX, QCC_STAGE_END } qcc_stage_kind;

typedef struct qcc_stage {
  qcc_stage_kind kind;
  const qcc_pass *pass;
  uint32_t first_option, option_count; /* in the pipeline's options */
  uint32_t end;                        /* FIX: index of its END */
} qcc_stage;

struct qcc_pipeline {
  qcc_context *cx;
  QCC_VEC(qcc_stage) stages;
  QCC_VEC(qcc_pass_option) options;
};

enum { QCC_FIX_ROUNDS = 32 }; /* a fix(...) that still changes things then is cut off with a warning */

/* Prints stages from..end; an END whose FIX lies before `from` is left out. */
void qcc_pipeline_print_from(qcc_text *to, const qcc_pipeline *p, uint32_t from);

#endif
