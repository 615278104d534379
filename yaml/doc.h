/* SPDX-License-Identifier: Apache-2.0
 * A YAML document as a tree whose nodes know where they stand. Aliases are resolved to the node itself (so a node may be reached along
 * several ways, never along a circle) and merge keys ("<<") are carried out. */
#ifndef QCC_YAML_DOC_H
#define QCC_YAML_DOC_H

#include "ir/support/arena.h"

typedef enum qcc_doc_kind { QCC_DOC_SCALAR, QCC_DOC_LIST, QCC_DOC_MAP } qcc_doc_kind;

typedef struct qcc_doc_node qcc_doc_node;

struct qcc_doc_node {
  qcc_doc_kind kind;
  bool plain; /* scalar without quotes: null and numbers are meant as such */
  uint32_t line, column;
  const char *file;
  const char *text; /* of scalars; terminated, holds no zero byte */
  size_t n;
  const qcc_doc_node *const *item; /* of lists `count`; of maps 2 * `count`: key, value, key, value, ... */
  uint32_t count;
  uint32_t height; /* 1 for scalars and empty ones */
  uint64_t weight; /* nodes when aliases are written out, itself included */
};

typedef struct qcc_doc {
  qcc_arena arena;
  const qcc_doc_node *root; /* NULL: the document is empty */
} qcc_doc;

/* Read one document from memory; `name` stands before messages and must outlive the tree. QCC_ARG, located, for what is not YAML, for keys
 * given twice and for what is not read on purpose (tags, keys that are no scalars, several documents); QCC_LIMIT; QCC_NOMEM. */
qcc_status qcc_doc_parse(qcc_doc *out, qcc_context *cx, const char *name, const char *text, size_t n) QCC_MUST_USE;
void qcc_doc_fini(qcc_doc *d);
/* Where a node stands, for messages. */
qcc_loc qcc_doc_loc(const qcc_doc_node *node);
/* Value of a key; NULL: absent, or `map` is no map. */
const qcc_doc_node *qcc_doc_get(const qcc_doc_node *map, const char *key);
/* A plain "null", "~" or nothing at all. */
bool qcc_doc_is_null(const qcc_doc_node *node);

#endif
