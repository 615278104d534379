/* SPDX-License-Identifier: Apache-2.0
 * Words of capability files (yaml/words.def) and codes of targets (ir/target.h), both ways. */
#ifndef QCC_TARGET_WORDS_H
#define QCC_TARGET_WORDS_H

#include "ir/target.h"
#include "yaml/config.h"

/* The qcc_dtype, qcc_scheme, ... that a word stands for. */
unsigned qcc_target_code(qcc_word word);
/* The word for a code of a set; "?" when there is none. */
const char *qcc_target_word(qcc_word_set set, unsigned code);

#endif
