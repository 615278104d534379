/* SPDX-License-Identifier: Apache-2.0
 * Open addressing with linear probing, at most three quarters full. Keys are never removed; a NULL key is not allowed. */
#include "ir/support/map.h"

#include <string.h>

void qcc_map_init(qcc_map *m, qcc_context *cx) { *m = (qcc_map){.cx = cx}; }

void qcc_map_fini(qcc_map *m) {
  qcc_free(m->cx, m->slots);
  m->slots = NULL;
  m->n = m->cap = 0;
}

/* The slot of `key` or the free slot where it belongs; `cap` is a power of two. */
static struct qcc_map_slot *probe(struct qcc_map_slot *slots, size_t cap, const void *key) {
  uint64_t h = (uint64_t)(uintptr_t)key * 0x9e3779b97f4a7c15u;
  size_t at = (size_t)(h ^ (h >> 32)) & (cap - 1);
  while (slots[at].key && slots[at].key != key) at = (at + 1) & (cap - 1);
  return &slots[at];
}

static bool grow(qcc_map *m) {
  size_t cap = m->cap ? m->cap * 2 : 16;
  struct qcc_map_slot *slots = qcc_zalloc_array(m->cx, cap, sizeof *slots);
  if (!slots) return false;
  for (size_t i = 0; i < m->cap; i++)
    if (m->slots[i].key) *probe(slots, cap, m->slots[i].key) = m->slots[i];
  qcc_free(m->cx, m->slots);
  m->slots = slots;
  m->cap = cap;
  return true;
}

bool qcc_map_put(qcc_map *m, const void *key, uintptr_t value) {
  struct qcc_map_slot *s = m->cap ? probe(m->slots, m->cap, key) : NULL;
  if (!s || !s->key) {
    if (m->n >= m->cap / 4 * 3) {
      if (!grow(m)) return false;
      s = probe(m->slots, m->cap, key);
    }
    s->key = key;
    m->n++;
  }
  s->value = value;
  return true;
}

bool qcc_map_get(const qcc_map *m, const void *key, uintptr_t *value) {
  if (!m->n || !key) return false;
  const struct qcc_map_slot *s = probe(m->slots, m->cap, key);
  if (!s->key) return false;
  if (value) *value = s->value;
  return true;
}

void *qcc_map_ptr(const qcc_map *m, const void *key) {
  uintptr_t value = 0;
  return qcc_map_get(m, key, &value) ? (void *)value : NULL;
}
