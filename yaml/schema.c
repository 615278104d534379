/* SPDX-License-Identifier: Apache-2.0
 * schema.def and words.def as tables. */
#include "yaml/schema.h"

#include <string.h>

/* ---- words */

static const struct {
  qcc_word_set set;
  qcc_word word;
  const char *text, *doc; /* doc NULL: a synonym */
} words[] = {
#define WORD(set, id, text, doc) {QCC_WORDS_##set, QCC_WORD_##set##_##id, text, doc},
#define SYNONYM(set, id, text) {QCC_WORDS_##set, QCC_WORD_##set##_##id, text, NULL},
#include "yaml/words.def"
};

static char plain(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c == '-' ? '_' : c; }

static bool same_word(const char *a, const char *b) {
  while (*a && plain(*a) == plain(*b)) a++, b++;
  return plain(*a) == plain(*b);
}

qcc_word qcc_word_find(qcc_word_set set, const char *text, qcc_nearest *near) {
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (words[i].set != set) continue;
    if (same_word(words[i].text, text)) return words[i].word;
    if (near) qcc_nearest_offer(near, words[i].text);
  }
  return QCC_WORD_COUNT;
}

const char *qcc_word_text(qcc_word word) {
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (words[i].word == word && words[i].doc) return words[i].text;
  }
  return "";
}

void qcc_words_of(qcc_word_set set, char *to, size_t n) {
  size_t at = 0;
  *to = 0;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (words[i].set != set || !words[i].doc || at >= n) continue;
    at += qcc_format(to + at, n - at, "%s%s", at ? ", " : "", words[i].text);
  }
}

const char *qcc_word_at(qcc_word_set set, uint32_t index, const char **doc) {
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (words[i].set != set || !words[i].doc || index--) continue;
    *doc = words[i].doc;
    return words[i].text;
  }
  return NULL;
}

/* ---- blocks */

#define BLOCK_NONE NULL
#define BLOCK_SIDE &side_block
#define BLOCK_WAY &way_block
#define BLOCK_PRECISION &precision_block
#define BLOCK_RANGE &range_block
#define BLOCK_RELEASE &release_block
#define BLOCK_CHAIN &chain_block
#define BLOCK_OPTIMIZATION &optimization_block
#define BLOCK_RECIPE &recipe_block
#define BLOCK_MEMBERS &members_block
#define BLOCK_ABILITY &ability_block
/* sets of words are no blocks */
#define BLOCK_DTYPE NULL
#define BLOCK_SCHEME NULL
#define BLOCK_GRANULARITY NULL
#define BLOCK_ALGORITHM NULL
#define BLOCK_FORMAT NULL
#define BLOCK_UNIT NULL
#define BLOCK_SATURATION NULL
#define BLOCK_BIAS NULL
#define BLOCK_ZERO NULL
#define BLOCK_LEVEL NULL
#define BLOCK_STORE NULL
/* and blocks no sets of words */
#define QCC_WORDS_SIDE QCC_WORDS_NONE
#define QCC_WORDS_WAY QCC_WORDS_NONE
#define QCC_WORDS_PRECISION QCC_WORDS_NONE
#define QCC_WORDS_RANGE QCC_WORDS_NONE
#define QCC_WORDS_RELEASE QCC_WORDS_NONE
#define QCC_WORDS_CHAIN QCC_WORDS_NONE
#define QCC_WORDS_OPTIMIZATION QCC_WORDS_NONE
#define QCC_WORDS_RECIPE QCC_WORDS_NONE
#define QCC_WORDS_MEMBERS QCC_WORDS_NONE
#define QCC_WORDS_ABILITY QCC_WORDS_NONE

#define ROW(owner, field, kind, set, key, fallback, doc) \
  {key, QCC_KEY_##kind, QCC_WORDS_##set, BLOCK_##set, offsetof(owner, field), sizeof(((owner *)0)->field), fallback, doc},
#define BLOCK(name, text) static const qcc_schema_block name##_block = {text, name##_keys, sizeof name##_keys / sizeof *name##_keys}

static const qcc_schema_key side_keys[] = {
#define SIDE(...) ROW(qcc_yaml_SIDE, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(side, "activation or weight");
static const qcc_schema_key way_keys[] = {
#define WAY(...) ROW(qcc_yaml_WAY, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(way, "operator");
static const qcc_schema_key precision_keys[] = {
#define PRECISION(...) ROW(qcc_yaml_PRECISION, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(precision, "precision");
static const qcc_schema_key range_keys[] = {
#define RANGE(...) ROW(qcc_yaml_RANGE, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(range, "range");
static const qcc_schema_key release_keys[] = {
#define RELEASE(...) ROW(qcc_yaml_RELEASE, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(release, "version");
static const qcc_schema_key chain_keys[] = {
#define CHAIN(...) ROW(qcc_yaml_CHAIN, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(chain, "patterns");
static const qcc_schema_key optimization_keys[] = {
#define OPTIMIZATION(...) ROW(qcc_yaml_OPTIMIZATION, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(optimization, "graph_optimization");
static const qcc_schema_key recipe_keys[] = {
#define RECIPE(...) ROW(qcc_yaml_RECIPE, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(recipe, "recipes");
static const qcc_schema_key members_keys[] = {
#define MEMBERS(...) ROW(qcc_yaml_MEMBERS, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(members, "ops");
static const qcc_schema_key ability_keys[] = {
#define ABILITY(...) ROW(qcc_yaml_ABILITY, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(ability, "capabilities");
static const qcc_schema_key capability_keys[] = {
#define CAPABILITY(...) ROW(qcc_yaml_CAPABILITY, __VA_ARGS__)
#include "yaml/schema.def"
};
BLOCK(capability, "capability file");

const qcc_schema_block *qcc_schema_root(void) { return &capability_block; }

const qcc_schema_block *qcc_schema_way(void) { return &way_block; }
