/* SPDX-License-Identifier: Apache-2.0
 * schema.def as data, for the three walks over it: reading (bind.c), laying one file over another (overlay.c), telling (reference.c). */
#ifndef QCC_YAML_SCHEMA_H
#define QCC_YAML_SCHEMA_H

#include "ir/support/nearest.h"
#include "yaml/config.h"

typedef enum qcc_key_kind {
  QCC_KEY_TEXT,
  QCC_KEY_VERSION,
  QCC_KEY_VERSIONS,
  QCC_KEY_WORD,
  QCC_KEY_WORDS,
  QCC_KEY_INT,
  QCC_KEY_FLOAT,
  QCC_KEY_INTS,
  QCC_KEY_NAMES,
  QCC_KEY_CHAINS,
  QCC_KEY_ITEMS,
  QCC_KEY_ANY,
  QCC_KEY_OPS,
  QCC_KEY_MAP
} qcc_key_kind;

typedef struct qcc_schema_block qcc_schema_block;

typedef struct qcc_schema_key {
  const char *name; /* "*": every key that has no row of its own */
  qcc_key_kind kind;
  qcc_word_set words;
  const qcc_schema_block *block; /* of MAP and OPS */
  size_t offset, size;
  const char *fallback, *doc;
} qcc_schema_key;

struct qcc_schema_block {
  const char *name; /* for messages: "activation or weight" */
  const qcc_schema_key *key;
  uint32_t count;
};

const qcc_schema_block *qcc_schema_root(void);

/* A word of a set; QCC_WORD_COUNT when it is none, and then `near` has seen all that there are. */
qcc_word qcc_word_find(qcc_word_set set, const char *text, qcc_nearest *near);
/* Its words as "a, b, c", cut to `n` bytes. */
void qcc_words_of(qcc_word_set set, char *to, size_t n);

/* Word `index` of a set and what it means, synonyms left out; NULL past the end. */
const char *qcc_word_at(qcc_word_set set, uint32_t index, const char **doc);

/* Fill the struct of `block` at `to` (zeroed) from a map. QCC_ARG, located. */
qcc_status qcc_schema_bind(const qcc_schema_block *block, void *to, qcc_arena *arena, const qcc_doc_node *map) QCC_MUST_USE;
/* Lay what `over` says over `base`: single values replace, blocks and operators are laid over one by one. */
qcc_status qcc_schema_overlay(const qcc_schema_block *block, void *base, const void *over, qcc_arena *arena) QCC_MUST_USE;
const qcc_schema_block *qcc_schema_way(void);

/* versions.c: dotted numbers; what follows them ("+cu118", "rc1") does not count. */
bool qcc_version_valid(const char *text);
int qcc_version_compare(const char *a, const char *b);

#endif
