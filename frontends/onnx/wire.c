/* SPDX-License-Identifier: Apache-2.0
 * The wire writer: bytes, and slots for lengths and borrowed payloads.
 * Invariant: slots are sorted by position; `total` counts what the file will have, and the length of a message once it is closed. */
#include <string.h>

#include "frontends/onnx/proto.h"

enum { BORROW = 256, STAGE = 1 << 16 };
enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };

void qcc_wire_init(qcc_wire *w, qcc_context *cx) {
  memset(w, 0, sizeof *w);
  w->cx = cx;
}

void qcc_wire_free(qcc_wire *w) {
  qcc_free(w->cx, w->bytes);
  qcc_vec_free(w->cx, &w->slots);
  qcc_wire_init(w, w->cx);
}

unsigned qcc_wire_varint_size(uint64_t x) {
  unsigned n = 1;
  while (x >>= 7) n++;
  return n;
}

unsigned qcc_wire_put_varint(uint8_t *to, uint64_t x) {
  unsigned n = 0;
  for (; x >= 0x80; x >>= 7) to[n++] = (uint8_t)(x | 0x80);
  to[n++] = (uint8_t)x;
  return n;
}

static void put(qcc_wire *w, const void *bytes, size_t n) {
  if (w->failed || n == 0) return;
  size_t need;
  if (!qcc_add_size(w->n, n, &need)) {
    w->failed = true;
    return;
  }
  if (need > w->cap) {
    size_t cap = need + need / 2 + 256;
    uint8_t *more = qcc_realloc_array(w->cx, w->bytes, cap, 1);
    if (!more) {
      w->failed = true;
      return;
    }
    w->bytes = more;
    w->cap = cap;
  }
  memcpy(w->bytes + w->n, bytes, n);
  w->n = need;
  w->total += n;
}

static void put_varint(qcc_wire *w, uint64_t x) {
  uint8_t to[10];
  put(w, to, qcc_wire_put_varint(to, x));
}

static void put_tag(qcc_wire *w, uint32_t field, unsigned type) { put_varint(w, (uint64_t)field << 3 | type); }

static void put_slot(qcc_wire *w, const void *blob, size_t n) {
  qcc_wire_slot slot = {.at = w->n, .blob = blob, .n = n};
  if (w->failed || qcc_vec_push(w->cx, &w->slots, slot)) return;
  w->failed = true;
}

static void put_payload(qcc_wire *w, const void *bytes, size_t n) {
  if (n < BORROW) {
    put(w, bytes, n);
    return;
  }
  put_slot(w, bytes, n);
  w->total += n;
}

void qcc_wire_s64(qcc_wire *w, uint32_t field, int64_t x) {
  put_tag(w, field, VARINT);
  put_varint(w, (uint64_t)x);
}

void qcc_wire_fixed32(qcc_wire *w, uint32_t field, uint32_t bits) {
  uint8_t to[4];
  for (unsigned k = 0; k < 4; k++) to[k] = (uint8_t)(bits >> (8 * k));
  put_tag(w, field, FIXED32);
  put(w, to, sizeof to);
}

void qcc_wire_fixed64(qcc_wire *w, uint32_t field, uint64_t bits) {
  uint8_t to[8];
  for (unsigned k = 0; k < 8; k++) to[k] = (uint8_t)(bits >> (8 * k));
  put_tag(w, field, FIXED64);
  put(w, to, sizeof to);
}

void qcc_wire_f32(qcc_wire *w, uint32_t field, float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  qcc_wire_fixed32(w, field, bits);
}

void qcc_wire_bytes(qcc_wire *w, uint32_t field, const void *bytes, size_t n) {
  put_tag(w, field, LENGTH);
  put_varint(w, n);
  put_payload(w, bytes, n);
}

void qcc_wire_str(qcc_wire *w, uint32_t field, const char *s) {
  if (s) qcc_wire_bytes(w, field, s, strlen(s));
}

void qcc_wire_fields(qcc_wire *w, const void *bytes, size_t n) { put_payload(w, bytes, n); }

size_t qcc_wire_open(qcc_wire *w, uint32_t field) {
  put_tag(w, field, LENGTH);
  put_slot(w, NULL, w->total);
  return w->slots.n - 1;
}

void qcc_wire_close(qcc_wire *w, size_t token) {
  if (w->failed) return;
  qcc_wire_slot *slot = &w->slots.at[token];
  slot->n = w->total - slot->n;
  w->total += qcc_wire_varint_size(slot->n);
}

/* ---- reading it out */
typedef struct stage { /* gathers small pieces */
  qcc_wire_sink sink;
  void *user;
  uint8_t *at;
  size_t n;
} stage;

static qcc_status flush(stage *s) {
  size_t n = s->n;
  s->n = 0;
  return n ? s->sink(s->user, s->at, n) : QCC_OK;
}

static qcc_status gather(stage *s, const void *bytes, size_t n) {
  if (n > STAGE - s->n || n > STAGE / 2) QCC_TRY(flush(s)); /* large pieces pass by the stage, in order */
  if (n > STAGE / 2) return s->sink(s->user, bytes, n);
  if (n) memcpy(s->at + s->n, bytes, n);
  s->n += n;
  return QCC_OK;
}

static qcc_status emit_slot(stage *s, const qcc_wire_slot *slot) {
  uint8_t length[10];
  if (slot->blob) return gather(s, slot->blob, slot->n);
  return gather(s, length, qcc_wire_put_varint(length, slot->n));
}

static qcc_status emit_all(const qcc_wire *w, stage *s) {
  size_t at = 0;
  for (size_t k = 0; k < w->slots.n; k++) {
    const qcc_wire_slot *slot = &w->slots.at[k];
    if (slot->at > at) QCC_TRY(gather(s, w->bytes + at, slot->at - at));
    at = slot->at;
    QCC_TRY(emit_slot(s, slot));
  }
  if (w->n > at) QCC_TRY(gather(s, w->bytes + at, w->n - at));
  return flush(s);
}

qcc_status qcc_wire_emit(const qcc_wire *w, qcc_wire_sink sink, void *user) {
  if (w->failed) return QCC_NOMEM;
  stage s = {.sink = sink, .user = user, .at = qcc_alloc(w->cx, STAGE)};
  if (!s.at) return QCC_NOMEM;
  qcc_status st = emit_all(w, &s);
  qcc_free(w->cx, s.at);
  return st;
}

typedef struct flat {
  uint8_t *at;
  size_t n;
} flat;

static qcc_status append(void *user, const void *bytes, size_t n) {
  flat *f = user;
  memcpy(f->at + f->n, bytes, n);
  f->n += n;
  return QCC_OK;
}

qcc_status qcc_wire_flatten(const qcc_wire *w, uint8_t **out, size_t *n) {
  if (w->failed) return QCC_NOMEM;
  flat f = {.at = qcc_alloc(w->cx, w->total ? w->total : 1)};
  if (!f.at) return QCC_NOMEM;
  qcc_status st = qcc_wire_emit(w, append, &f);
  if (st != QCC_OK) {
    qcc_free(w->cx, f.at);
    return st;
  }
  *out = f.at;
  *n = f.n;
  return QCC_OK;
}
