/* SPDX-License-Identifier: Apache-2.0
 * words.def next to the enums that it names: a word without an enumerator does not compile. */
#include "backends/target/words.h"

#define CODE_DTYPE(id) QCC_##id
#define CODE_SCHEME(id) QCC_SCHEME_##id
#define CODE_GRANULARITY(id) QCC_GRANULARITY_##id
#define CODE_ALGORITHM(id) QCC_ALGORITHM_##id
#define CODE_FORMAT(id) QCC_FORMAT_##id
#define CODE_SATURATION(id) QCC_SATURATION_##id
/* members of qcc_target that are no enums */
#define CODE_UNIT(id) 0
#define CODE_BIAS(id) 0
#define CODE_ZERO(id) 0
#define CODE_LEVEL(id) 0
#define CODE_STORE(id) 0

static const struct {
  qcc_word_set set;
  unsigned code;
} meaning[QCC_WORD_COUNT] = {
#define WORD(set, id, text, doc) [QCC_WORD_##set##_##id] = {QCC_WORDS_##set, CODE_##set(id)},
#include "yaml/words.def"
};

unsigned qcc_target_code(qcc_word word) { return word < QCC_WORD_COUNT ? meaning[word].code : 0; }

const char *qcc_target_word(qcc_word_set set, unsigned code) {
  for (qcc_word w = (qcc_word)0; w < QCC_WORD_COUNT; w++) {
    if (meaning[w].set == set && meaning[w].code == code) return qcc_word_text(w);
  }
  return "?";
}
