/* SPDX-License-Identifier: Apache-2.0
 * From capability files (yaml/) to targets (ir/target.h). */
#ifndef QCC_TARGETS_H
#define QCC_TARGETS_H

#include "ir/target.h"

/* What is compiled for when nobody says: the shipped target whose files are right on every processor. */
#define QCC_TARGET_DEFAULT "ort-cpu-avx2"

/* Fill `out` for a shipped target ("ort-cpu"), a version of its runtime ("ort-cpu@1.20"), or a file (a path, or a name that ends in .yaml).
 * qcc_target_fini gives it back. QCC_ARG, located; QCC_IO, QCC_LIMIT, QCC_NOMEM. */
qcc_status qcc_target_find(qcc_target *out, qcc_context *cx, const char *name) QCC_MUST_USE;

/* A choice among what a target takes. Types are "u8", "s8", "u16", "s16" ("uint8", ...), with ":sym" or ":asym" behind them to choose where
 * zero stands as well; NULL: the target's first choice. */
typedef struct qcc_target_choice {
  const char *activations, *weights;
  bool per_tensor;   /* one scale for each weight tensor */
  bool reduce_range; /* weights use half of their codes */
  bool pow2;         /* scales are powers of two */
} qcc_target_choice;
/* Narrow the target to the choice: operators that do not take it are not quantized. QCC_ARG when no operator with weights takes it. */
qcc_status qcc_target_choose(qcc_target *t, const qcc_target_choice *choice) QCC_MUST_USE;

#endif
