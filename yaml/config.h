/* SPDX-License-Identifier: Apache-2.0
 * A capability file as plain structs; the members are the rows of schema.def. Every value points at the place that it was read from, so
 * that whoever finds fault with it later can say where; a value without a place was not given. */
#ifndef QCC_YAML_CONFIG_H
#define QCC_YAML_CONFIG_H

#include "yaml/doc.h"

/* ---- words: QCC_WORD_<set>_<id>, counted from 0 in each set */
typedef enum qcc_word_set {
  QCC_WORDS_NONE,
  QCC_WORDS_DTYPE,
  QCC_WORDS_SCHEME,
  QCC_WORDS_GRANULARITY,
  QCC_WORDS_ALGORITHM,
  QCC_WORDS_FORMAT,
  QCC_WORDS_UNIT,
  QCC_WORDS_SATURATION,
  QCC_WORDS_BIAS,
  QCC_WORDS_ZERO,
  QCC_WORDS_LEVEL,
  QCC_WORDS_STORE,
  QCC_WORDS_COUNT
} qcc_word_set;

typedef enum qcc_word {
#define WORD(set, id, text, doc) QCC_WORD_##set##_##id,
#include "yaml/words.def"
  QCC_WORD_COUNT
} qcc_word;

const char *qcc_word_text(qcc_word word);

/* ---- values */
enum { QCC_YAML_LIST = 11 };

typedef struct qcc_yaml_text {
  const qcc_doc_node *at; /* NULL: not given */
  const char *text;
} qcc_yaml_text;

typedef struct qcc_yaml_words {
  const qcc_doc_node *at;
  uint8_t count, word[QCC_YAML_LIST];
} qcc_yaml_words;

typedef struct qcc_yaml_int {
  const qcc_doc_node *at;
  int64_t value;
} qcc_yaml_int;

typedef struct qcc_yaml_float {
  const qcc_doc_node *at;
  double value;
} qcc_yaml_float;

typedef struct qcc_yaml_ints {
  const qcc_doc_node *at;
  uint32_t count;
  int64_t value[QCC_YAML_LIST];
} qcc_yaml_ints;

typedef struct qcc_yaml_list { /* scalars, checked to be such */
  const qcc_doc_node *at;
  uint32_t count;
  const qcc_doc_node *const *item;
} qcc_yaml_list;

typedef struct qcc_yaml_any {
  const qcc_doc_node *at;
} qcc_yaml_any;

typedef struct qcc_yaml_op qcc_yaml_op;

typedef struct qcc_yaml_ops {
  const qcc_doc_node *at;
  uint32_t count;
  qcc_yaml_op *op;
} qcc_yaml_ops;

#define QCC_YAML_TEXT(set) qcc_yaml_text
#define QCC_YAML_VERSION(set) qcc_yaml_text
#define QCC_YAML_WORD(set) qcc_yaml_words
#define QCC_YAML_WORDS(set) qcc_yaml_words
#define QCC_YAML_INT(set) qcc_yaml_int
#define QCC_YAML_FLOAT(set) qcc_yaml_float
#define QCC_YAML_INTS(set) qcc_yaml_ints
#define QCC_YAML_NAMES(set) qcc_yaml_list
#define QCC_YAML_CHAINS(set) qcc_yaml_list
#define QCC_YAML_VERSIONS(set) qcc_yaml_list
#define QCC_YAML_ITEMS(set) qcc_yaml_any
#define QCC_YAML_ANY(set) qcc_yaml_any
#define QCC_YAML_OPS(set) qcc_yaml_ops
#define QCC_YAML_MAP(set) qcc_yaml_##set
#define QCC_YAML_MEMBER(field, kind, set, key, fallback, doc) QCC_YAML_##kind(set) field;

/* ---- blocks, innermost first */
typedef struct qcc_yaml_SIDE {
  const qcc_doc_node *at;
#define SIDE QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_SIDE;

typedef struct qcc_yaml_WAY {
  const qcc_doc_node *at;
#define WAY QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_WAY;

struct qcc_yaml_op {
  const qcc_doc_node *name;
  bool off; /* null was given: the operator is taken away */
  qcc_yaml_WAY way;
};

typedef struct qcc_yaml_PRECISION {
  const qcc_doc_node *at;
#define PRECISION QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_PRECISION;

typedef struct qcc_yaml_RANGE {
  const qcc_doc_node *at;
#define RANGE QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_RANGE;

typedef struct qcc_yaml_RELEASE {
  const qcc_doc_node *at;
#define RELEASE QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_RELEASE;

typedef struct qcc_yaml_CHAIN {
  const qcc_doc_node *at;
#define CHAIN QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_CHAIN;

typedef struct qcc_yaml_OPTIMIZATION {
  const qcc_doc_node *at;
#define OPTIMIZATION QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_OPTIMIZATION;

typedef struct qcc_yaml_RECIPE {
  const qcc_doc_node *at;
#define RECIPE QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_RECIPE;

typedef struct qcc_yaml_MEMBERS {
  const qcc_doc_node *at;
#define MEMBERS QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_MEMBERS;

typedef struct qcc_yaml_ABILITY {
  const qcc_doc_node *at;
#define ABILITY QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_ABILITY;

typedef struct qcc_yaml_CAPABILITY {
  const qcc_doc_node *at;
#define CAPABILITY QCC_YAML_MEMBER
#include "yaml/schema.def"
} qcc_yaml_CAPABILITY;

/* What a target can do, from its file and from what that extends, for one version of the runtime; owns the documents it points into. */
typedef struct qcc_capability {
  qcc_context *cx;
  const char *name;    /* interned */
  const char *runtime; /* version that was chosen, interned; "": the file does not speak of versions */
  bool foreign;        /* a file of the predecessor: operators may be unknown */
  qcc_yaml_CAPABILITY say;
  qcc_arena arena;
  qcc_doc *doc;
  uint32_t doc_count;
} qcc_capability;

/* Load "NAME", "NAME@VERSION", or the same with the path of a file (that ends in .yaml or .yml, or has a '/' in it). QCC_ARG, located, for
 * everything that is wrong with it; QCC_IO; QCC_LIMIT; QCC_NOMEM. */
qcc_status qcc_capability_load(qcc_capability *out, qcc_context *cx, const char *name) QCC_MUST_USE;
void qcc_capability_fini(qcc_capability *c);

/* A row of `ops` with what the row "default" beside it says of the rest; "mode" is told as "format". */
qcc_status qcc_capability_way(qcc_yaml_WAY *out, qcc_capability *c, const qcc_yaml_ops *ops, const qcc_yaml_op *op) QCC_MUST_USE;

/* Files that ship with qcc, in alphabetical order; NULL past the end. */
const char *qcc_capability_shipped(uint32_t index, const char **text, size_t *n);

/* Every row of the schema: where it stands ("int8.static.OPERATOR.weight.dtype") and what it takes; then every word ("dtype uint8"). */
void qcc_capability_schema(void (*each)(void *user, const char *path, const char *doc), void *user);

#endif
