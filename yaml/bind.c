/* SPDX-License-Identifier: Apache-2.0
 * From a document to structs, by the rows of schema.def. Says of everything that does not fit what was found, what is allowed and which
 * word was probably meant. */
#include <string.h>

#include "yaml/schema.h"

typedef struct binder {
  qcc_context *cx;
  qcc_arena *arena;
} binder;

static const char *kind_name(const qcc_doc_node *node) {
  return node->kind == QCC_DOC_MAP ? "a map" : node->kind == QCC_DOC_LIST ? "a list" : "a word";
}

static qcc_status want(const binder *b, const qcc_doc_node *at, const char *key, const char *wanted) {
  qcc_loc loc = qcc_doc_loc(at);
  return qcc_error(b->cx, QCC_ARG, "A-520", &loc, "%-s is %s; it takes %s", key, kind_name(at), wanted);
}

static qcc_status want_scalar(const binder *b, const qcc_doc_node *at, const char *key, const char *wanted) {
  return at->kind == QCC_DOC_SCALAR ? QCC_OK : want(b, at, key, wanted);
}

/* ---- values */

static qcc_status not_a_word(const binder *b, const qcc_doc_node *at, const char *key, qcc_word_set set, const qcc_nearest *near) {
  char all[320];
  qcc_loc loc = qcc_doc_loc(at);
  const char *slip = qcc_nearest_slip(near);
  qcc_words_of(set, all, sizeof all);
  return qcc_error(b->cx, QCC_ARG, "A-521", &loc, "%s: %-s is not known%s%s%s; allowed: %s", key, at->text, slip ? "; did you mean \"" : "",
                   slip ? slip : "", slip ? "\"?" : "", all);
}

static qcc_status add_word(const binder *b, qcc_yaml_words *to, const qcc_doc_node *at, const char *key, qcc_word_set set) {
  qcc_loc loc = qcc_doc_loc(at);
  QCC_TRY(want_scalar(b, at, key, "a word or a list of words"));
  qcc_nearest near = qcc_nearest_to(at->text, at->n);
  qcc_word word = qcc_word_find(set, at->text, &near);
  if (word == QCC_WORD_COUNT) return not_a_word(b, at, key, set, &near);
  for (uint8_t i = 0; i < to->count; i++) {
    if (to->word[i] == word) return qcc_error(b->cx, QCC_ARG, "A-522", &loc, "%s: %-s is given twice", key, at->text);
  }
  if (to->count == QCC_YAML_LIST) return qcc_error(b->cx, QCC_LIMIT, "L-520", &loc, "%s: more than %d words", key, QCC_YAML_LIST);
  to->word[to->count++] = (uint8_t)word;
  return QCC_OK;
}

static qcc_status bind_words(const binder *b, qcc_yaml_words *to, const qcc_doc_node *at, const qcc_schema_key *key) {
  to->at = at;
  bool many = at->kind == QCC_DOC_LIST;
  if (key->kind == QCC_KEY_WORD) QCC_TRY(want_scalar(b, at, key->name, "one word"));
  for (uint32_t i = 0; i < (many ? at->count : 1); i++) QCC_TRY(add_word(b, to, many ? at->item[i] : at, key->name, key->words));
  return QCC_OK;
}

static qcc_status read_int(const binder *b, int64_t *to, const qcc_doc_node *at, const char *key) {
  qcc_loc loc = qcc_doc_loc(at);
  QCC_TRY(want_scalar(b, at, key, "a whole number"));
  if (at->n && qcc_read_s64(at->text, at->n, to) == at->n) return QCC_OK;
  return qcc_error(b->cx, QCC_ARG, "A-523", &loc, "%s: %-s is not a whole number", key, at->text);
}

static qcc_status bind_ints(const binder *b, qcc_yaml_ints *to, const qcc_doc_node *at, const char *key) {
  qcc_loc loc = qcc_doc_loc(at);
  bool many = at->kind == QCC_DOC_LIST;
  uint32_t count = many ? at->count : 1;
  to->at = at;
  if (count > QCC_YAML_LIST) return qcc_error(b->cx, QCC_LIMIT, "L-520", &loc, "%s: more than %d numbers", key, QCC_YAML_LIST);
  for (; to->count < count; to->count++) QCC_TRY(read_int(b, &to->value[to->count], many ? at->item[to->count] : at, key));
  return QCC_OK;
}

static qcc_status bind_float(const binder *b, qcc_yaml_float *to, const qcc_doc_node *at, const char *key) {
  qcc_loc loc = qcc_doc_loc(at);
  QCC_TRY(want_scalar(b, at, key, "a number"));
  to->at = at;
  bool fits = at->n && qcc_read_f64(at->text, at->n, &to->value) == at->n && to->value >= 0 && to->value < 1e30;
  return fits ? QCC_OK : qcc_error(b->cx, QCC_ARG, "A-524", &loc, "%s: %-s is not a number from 0 on", key, at->text);
}

static qcc_status bind_text(const binder *b, qcc_yaml_text *to, const qcc_doc_node *at, const qcc_schema_key *key) {
  qcc_loc loc = qcc_doc_loc(at);
  QCC_TRY(want_scalar(b, at, key->name, "one text"));
  *to = (qcc_yaml_text){at, at->text};
  if (at->n == 0) return qcc_error(b->cx, QCC_ARG, "A-525", &loc, "%s is empty", key->name);
  if (key->kind == QCC_KEY_VERSION && !qcc_version_valid(at->text))
    return qcc_error(b->cx, QCC_ARG, "A-526", &loc, "%s: %-s is not a version such as 1.20.1", key->name, at->text);
  return QCC_OK;
}

/* A scalar, or a list of scalars. */
static qcc_status bind_list(const binder *b, qcc_yaml_list *to, const qcc_doc_node *at, const qcc_schema_key *key) {
  const qcc_doc_node **one = qcc_arena_copy(b->arena, &at, sizeof at);
  if (!one) return QCC_NOMEM;
  bool many = at->kind == QCC_DOC_LIST;
  *to = (qcc_yaml_list){at, many ? at->count : 1, many ? at->item : one};
  for (uint32_t i = 0; i < to->count; i++) {
    qcc_loc loc = qcc_doc_loc(to->item[i]);
    QCC_TRY(want_scalar(b, to->item[i], key->name, "a word or a list of words"));
    bool version = qcc_version_valid(to->item[i]->text) || strcmp(to->item[i]->text, "default") == 0;
    if (key->kind == QCC_KEY_VERSIONS && !version)
      return qcc_error(b->cx, QCC_ARG, "A-526", &loc, "%s: %-s is neither a version such as 1.20.1 nor \"default\"", key->name,
                       to->item[i]->text);
  }
  return QCC_OK;
}

/* ---- blocks */

static qcc_status bind_map(const binder *b, const qcc_schema_block *block, void *to, const qcc_doc_node *map, const char *what);

static qcc_status bind_ops(const binder *b, qcc_yaml_ops *to, const qcc_doc_node *at, const qcc_schema_key *key) {
  if (at->kind != QCC_DOC_MAP) return want(b, at, key->name, "a map of operators");
  *to = (qcc_yaml_ops){.at = at, .op = qcc_arena_array(b->arena, at->count, sizeof *to->op)};
  if (at->count && !to->op) return QCC_NOMEM;
  for (; to->count < at->count; to->count++) {
    qcc_yaml_op *op = &to->op[to->count];
    const qcc_doc_node *value = at->item[2 * to->count + 1];
    op->name = at->item[2 * to->count];
    op->off = qcc_doc_is_null(value);
    if (!op->off) QCC_TRY(bind_map(b, key->block, &op->way, value, op->name->text));
  }
  return QCC_OK;
}

static qcc_status bind_key(const binder *b, const qcc_schema_key *key, void *to, const qcc_doc_node *at) {
  switch (key->kind) {
    case QCC_KEY_TEXT:
    case QCC_KEY_VERSION: return bind_text(b, to, at, key);
    case QCC_KEY_WORD:
    case QCC_KEY_WORDS: return bind_words(b, to, at, key);
    case QCC_KEY_INT: return ((qcc_yaml_int *)to)->at = at, read_int(b, &((qcc_yaml_int *)to)->value, at, key->name);
    case QCC_KEY_FLOAT: return bind_float(b, to, at, key->name);
    case QCC_KEY_INTS: return bind_ints(b, to, at, key->name);
    case QCC_KEY_NAMES:
    case QCC_KEY_VERSIONS:
    case QCC_KEY_CHAINS: return bind_list(b, to, at, key);
    case QCC_KEY_OPS: return bind_ops(b, to, at, key);
    case QCC_KEY_MAP: return bind_map(b, key->block, to, at, key->name);
    case QCC_KEY_ITEMS:
    case QCC_KEY_ANY: break;
  }
  ((qcc_yaml_any *)to)->at = at;
  return QCC_OK;
}

static qcc_status unknown_key(const binder *b, const qcc_schema_block *block, const qcc_doc_node *key) {
  char all[400] = "";
  qcc_loc loc = qcc_doc_loc(key);
  qcc_nearest near = qcc_nearest_to(key->text, key->n);
  size_t at = 0;
  for (uint32_t i = 0; i < block->count; i++) {
    qcc_nearest_offer(&near, block->key[i].name);
    if (at < sizeof all) at += qcc_format(all + at, sizeof all - at, "%s%s", i ? ", " : "", block->key[i].name);
  }
  const char *slip = qcc_nearest_slip(&near);
  return qcc_error(b->cx, QCC_ARG, "A-527", &loc, "%s: unknown key %-s%s%s%s; allowed: %s", block->name, key->text,
                   slip ? "; did you mean \"" : "", slip ? slip : "", slip ? "\"?" : "", all);
}

static const qcc_schema_key *find_key(const qcc_schema_block *block, const char *name) {
  const qcc_schema_key *rest = NULL;
  for (uint32_t i = 0; i < block->count; i++) {
    if (strcmp(block->key[i].name, "*") == 0) rest = &block->key[i];
    if (strcmp(block->key[i].name, name) == 0) return &block->key[i];
  }
  return rest;
}

static qcc_status bind_map(const binder *b, const qcc_schema_block *block, void *to, const qcc_doc_node *map, const char *what) {
  if (map->kind != QCC_DOC_MAP) return want(b, map, what, "a map");
  *(const qcc_doc_node **)to = map; /* every block begins with its place */
  for (uint32_t k = 0; k < map->count; k++) {
    const qcc_doc_node *name = map->item[2 * k];
    const qcc_schema_key *key = find_key(block, name->text);
    if (!key) return unknown_key(b, block, name);
    QCC_TRY(bind_key(b, key, (char *)to + key->offset, map->item[2 * k + 1]));
  }
  return QCC_OK;
}

qcc_status qcc_schema_bind(const qcc_schema_block *block, void *to, qcc_arena *arena, const qcc_doc_node *map) {
  binder b = {.cx = arena->cx, .arena = arena};
  return bind_map(&b, block, to, map, block->name);
}
