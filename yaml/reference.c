/* SPDX-License-Identifier: Apache-2.0
 * The schema as text: every key, then every word that values are made of. The reference of capability files. */
#include <string.h>

#include "yaml/schema.h"

enum { PATH = 160, MOST_BLOCKS = 16 };

typedef struct teller {
  void (*each)(void *user, const char *path, const char *doc);
  void *user;
  const qcc_schema_block *told[MOST_BLOCKS];
  uint32_t count;
  bool words_told[QCC_WORDS_COUNT];
} teller;

static const char *const kind[] = {
    [QCC_KEY_TEXT] = "text",           [QCC_KEY_VERSION] = "version", [QCC_KEY_VERSIONS] = "versions",  [QCC_KEY_WORD] = "one of",
    [QCC_KEY_WORDS] = "list of",       [QCC_KEY_INT] = "number",      [QCC_KEY_FLOAT] = "number",       [QCC_KEY_INTS] = "numbers",
    [QCC_KEY_NAMES] = "operators",     [QCC_KEY_CHAINS] = "chains",   [QCC_KEY_ITEMS] = "list of maps", [QCC_KEY_ANY] = "anything",
    [QCC_KEY_OPS] = "operators' rows", [QCC_KEY_MAP] = "map"};

static void tell_key(teller *t, const qcc_schema_key *key, const char *path) {
  char all[320] = "", doc[640];
  if (key->words) qcc_words_of(key->words, all, sizeof all);
  qcc_format(doc, sizeof doc, "%s%s%s: %s%s%s%s", kind[key->kind], *all ? " " : "", all, key->doc, *key->fallback ? " (default " : "",
             key->fallback, *key->fallback ? ")" : "");
  t->each(t->user, path, doc);
}

/* A block whose rows were told already is not told again. */
static bool is_news(teller *t, const qcc_schema_block *block) {
  for (uint32_t i = 0; i < t->count; i++) {
    if (t->told[i] == block) return false;
  }
  if (t->count < MOST_BLOCKS) t->told[t->count++] = block;
  return true;
}

/* "algorithm kl": what a word means, for the first key that takes it. */
static void tell_words(teller *t, const qcc_schema_key *key) {
  const char *word, *doc = NULL;
  if (!key->words || t->words_told[key->words]) return;
  t->words_told[key->words] = true;
  for (uint32_t i = 0; (word = qcc_word_at(key->words, i, &doc)); i++) {
    char path[PATH];
    qcc_format(path, sizeof path, "%s %s", key->name, word);
    t->each(t->user, path, doc);
  }
}

static void tell_meanings(teller *t, const qcc_schema_block *block) {
  t->count = 0;
  const qcc_schema_block *waiting[MOST_BLOCKS] = {block};
  uint32_t count = 1;
  for (uint32_t at = 0; at < count; at++) {
    for (uint32_t i = 0; i < waiting[at]->count; i++) {
      const qcc_schema_key *key = &waiting[at]->key[i];
      tell_words(t, key);
      if (key->block && count < MOST_BLOCKS && is_news(t, key->block)) waiting[count++] = key->block;
    }
  }
}

static void tell_block(teller *t, const qcc_schema_block *block, const char *prefix) {
  for (uint32_t i = 0; i < block->count; i++) {
    const qcc_schema_key *key = &block->key[i];
    char path[PATH];
    qcc_format(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", key->name);
    tell_key(t, key, path);
    if (!key->block || !is_news(t, key->block)) continue;
    if (key->kind == QCC_KEY_OPS) qcc_format(path, sizeof path, "%s%s%s.OPERATOR", prefix, *prefix ? "." : "", key->name);
    tell_block(t, key->block, path);
  }
}

void qcc_capability_schema(void (*each)(void *user, const char *path, const char *doc), void *user) {
  teller t = {.each = each, .user = user};
  tell_block(&t, qcc_schema_root(), "");
  tell_meanings(&t, qcc_schema_root());
}
