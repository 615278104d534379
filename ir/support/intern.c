/* SPDX-License-Identifier: Apache-2.0
 * Interned text: one address per distinct string, for the life of the context. Names come from models, so the hash is
 * keyed: nobody can prepare names that all fall into one slot. The key decides speed only, never a result. */
#include <string.h>
#include <time.h>

#include "ir/support/internal.h"
#include "ir/support/vec.h"

static uint64_t rotate(uint64_t x, int by) { return (x << by) | (x >> (64 - by)); }

/* One round of the SipHash network. */
static void stir(uint64_t v[4]) {
  v[0] += v[1];
  v[1] = rotate(v[1], 13) ^ v[0];
  v[0] = rotate(v[0], 32);
  v[2] += v[3];
  v[3] = rotate(v[3], 16) ^ v[2];
  v[0] += v[3];
  v[3] = rotate(v[3], 21) ^ v[0];
  v[2] += v[1];
  v[1] = rotate(v[1], 17) ^ v[2];
  v[2] = rotate(v[2], 32);
}

static void absorb(uint64_t v[4], uint64_t word) {
  v[3] ^= word;
  stir(v);
  v[0] ^= word;
}

static uint64_t hash_text(const qcc_context *cx, const char *text, size_t n) {
  uint64_t k0 = cx->key[0], k1 = cx->key[1], word;
  uint64_t v[4] = {k0 ^ 0x736f6d6570736575u, k1 ^ 0x646f72616e646f6du, k0 ^ 0x6c7967656e657261u, k1 ^ 0x7465646279746573u};
  size_t i = 0;
  for (; i + 8 <= n; i += 8) {
    memcpy(&word, text + i, 8);
    absorb(v, word);
  }
  word = (uint64_t)n << 56;
  if (i < n) memcpy(&word, text + i, n - i);
  absorb(v, word ^ (uint64_t)n << 56);
  v[2] ^= 0xff;
  for (int k = 0; k < 3; k++) stir(v);
  return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void qcc_intern_init(qcc_context *cx) {
  qcc_arena_init(&cx->names, cx);
  cx->key[0] = (uint64_t)(uintptr_t)cx * 0x9e3779b97f4a7c15u;
  cx->key[1] = (uint64_t)time(NULL) * 0xc2b2ae3d27d4eb4fu ^ (uint64_t)clock();
}

void qcc_intern_fini(qcc_context *cx) {
  qcc_arena_fini(&cx->names);
  qcc_free(cx, cx->slots);
}

static qcc_intern_slot *probe(qcc_intern_slot *slots, size_t cap, uint64_t hash, const char *text, size_t n) {
  size_t at = (size_t)hash & (cap - 1);
  for (;; at = (at + 1) & (cap - 1)) {
    qcc_intern_slot *s = &slots[at];
    if (!s->text || (s->hash == hash && s->n == n && memcmp(s->text, text, n) == 0)) return s;
  }
}

static bool grow(qcc_context *cx) {
  size_t cap = cx->name_cap ? cx->name_cap * 2 : 64;
  qcc_intern_slot *slots = qcc_zalloc_array(cx, cap, sizeof *slots);
  if (!slots) return false;
  for (size_t i = 0; i < cx->name_cap; i++) {
    const qcc_intern_slot *s = &cx->slots[i];
    if (s->text) *probe(slots, cap, s->hash, s->text, s->n) = *s;
  }
  qcc_free(cx, cx->slots);
  cx->slots = slots;
  cx->name_cap = cap;
  return true;
}

const char *qcc_intern_n(qcc_context *cx, const char *text, size_t n) {
  if (!text) return NULL;
  if (cx->name_count >= cx->name_cap / 4 * 3 && !grow(cx)) return NULL;
  uint64_t hash = hash_text(cx, text, n);
  qcc_intern_slot *s = probe(cx->slots, cx->name_cap, hash, text, n);
  if (s->text) return s->text;
  size_t total;
  char *copy = qcc_arena_alloc(&cx->names, qcc_add_size(n, 1, &total) ? total : SIZE_MAX);
  if (!copy) return NULL;
  if (n) memcpy(copy, text, n);
  *s = (qcc_intern_slot){.text = copy, .hash = hash, .n = n};
  cx->name_count++;
  return copy;
}

const char *qcc_intern(qcc_context *cx, const char *text) { return text ? qcc_intern_n(cx, text, strlen(text)) : NULL; }

const char *qcc_internf(qcc_context *cx, const char *fmt, ...) {
  char small[256];
  const char *name = NULL;
  va_list args, again;
  va_start(args, fmt);
  va_copy(again, args);
  size_t n = qcc_vformat(small, sizeof small, fmt, args);
  if (n < sizeof small) {
    name = qcc_intern_n(cx, small, n);
  } else {
    char *big = qcc_alloc(cx, n + 1);
    if (big) {
      qcc_vformat(big, n + 1, fmt, again);
      name = qcc_intern_n(cx, big, n);
      qcc_free(cx, big);
    }
  }
  va_end(again);
  va_end(args);
  return name;
}
