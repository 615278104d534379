/* SPDX-License-Identifier: Apache-2.0
 * Names of operators in capability files, alone and in chains. */
#ifndef QCC_TARGET_CHAINS_H
#define QCC_TARGET_CHAINS_H

#include "ir/target.h"
#include "yaml/config.h"

/* Operators called "Conv" or "com.microsoft::Gelu": one, or in files of the predecessor, which know no domains, maybe two. QCC_ARG at `at`
 * when there is none; in files of the predecessor a warning and none. */
qcc_status qcc_target_ops_named(qcc_op ops[2], uint32_t *count, const qcc_capability *c, const qcc_doc_node *at, const char *name,
                                size_t n) QCC_MUST_USE;
/* Fill the patterns of a target. */
qcc_status qcc_target_chains(qcc_target *t, const qcc_capability *c) QCC_MUST_USE;

#endif
