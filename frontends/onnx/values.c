/* SPDX-License-Identifier: Apache-2.0
 * Stored values: a file holds a TensorProto, SequenceProto or OptionalProto, and does not say which; the type of the value it is for does.
 * Invariant: lists are taken apart here without recursion beyond MAX_NESTING; every tensor in them goes through the scan like a file. */
#include <string.h>

#include "frontends/onnx/import.h"
#include "frontends/onnx/pb.h"

enum { MAX_NESTING = 4, MAX_ITEMS = 1 << 20 };

typedef struct span {
  const uint8_t *at;
  size_t n;
} span;

typedef struct field {
  uint32_t number, wire;
  uint64_t value; /* of varints */
  span bytes;     /* of length-delimited fields */
} field;

static bool varint(span *s, uint64_t *to) {
  *to = 0;
  for (unsigned shift = 0; shift < 64 && s->n; shift += 7) {
    const uint8_t b = *s->at++;
    s->n--;
    *to |= (uint64_t)(b & 0x7f) << shift;
    if (b < 0x80) return true;
  }
  return false;
}

/* Next field of a message; false at its end and when it is broken (`ok`). Fixed-width fields do not occur in these messages. */
static bool next(span *s, field *f, bool *ok) {
  uint64_t key;
  *f = (field){.number = 0};
  if (!s->n) return false;
  *ok = *ok && varint(s, &key) && key >> 3 && key >> 3 < 1u << 29;
  if (*ok) *f = (field){.number = (uint32_t)(key >> 3), .wire = (uint32_t)(key & 7)};
  *ok = *ok && (f->wire == 0 || f->wire == 2) && varint(s, &f->value);
  if (*ok && f->wire == 2) {
    *ok = f->value <= s->n;
    if (*ok) f->bytes = (span){s->at, (size_t)f->value};
    if (*ok) s->at += f->value, s->n -= (size_t)f->value;
  }
  return *ok;
}

/* ---- the type that the model gives */
enum { TYPE_TENSOR = 1, TYPE_SEQUENCE = 4, TYPE_OPTIONAL = 9 }; /* fields of TypeProto */

static span field_of(span message, uint32_t number, uint32_t *found) {
  field f;
  bool ok = true;
  *found = 0;
  while (next(&message, &f, &ok))
    if (f.wire == 2 && (!number || f.number == number)) {
      *found = f.number;
      return f.bytes;
    }
  return (span){NULL, 0};
}

/* ---- values */
typedef struct reader {
  qcc_context *cx;
  const char *file;
  qcc_buf *bytes;
} reader;

static qcc_status bad(const reader *r, const char *what) {
  const qcc_loc loc = {.file = r->file};
  return qcc_error(r->cx, QCC_DATA, "D-330", &loc, "%s", what);
}

static qcc_status read_tensor(const reader *r, span s, qcc_tensor *out) {
  qcc_tensor t;
  *out = (qcc_tensor){0};
  QCC_TRY(qcc_onnx_load_tensor_memory(&t, r->cx, s.at, s.n, r->file));
  qcc_status st = qcc_tensor_new_bytes(out, r->cx, &t.type, t.bytes); /* aligned, and independent of the file */
  if (st == QCC_OK && t.bytes) memcpy(qcc_tensor_mut(out), t.data, t.bytes);
  qcc_tensor_release(&t);
  return st;
}

static qcc_status read_value(const reader *r, span s, span type, int depth, qcc_tensor *out);

/* Items of the list `s` whose values stand in field `number`. */
static qcc_status read_items(const reader *r, span s, uint32_t number, span type, int depth, qcc_tensor *item, size_t most, size_t *n) {
  field f;
  bool ok = true;
  while (next(&s, &f, &ok)) {
    if (f.number != number || f.wire != 2) continue;
    if (*n == most) return bad(r, "more items than were counted");
    QCC_TRY(read_value(r, f.bytes, type, depth + 1, &item[*n]));
    ++*n;
  }
  return ok ? QCC_OK : bad(r, "the file is not a valid list of tensors");
}

static size_t count_items(span s, uint32_t number) {
  field f;
  bool ok = true;
  size_t n = 0;
  while (next(&s, &f, &ok)) n += f.number == number && f.wire == 2;
  return n;
}

static qcc_status read_list(const reader *r, span s, qcc_dtype kind, span type, int depth, qcc_tensor *out) {
  uint32_t of;
  const span inner = field_of(type, 1, &of); /* elem_type of both kinds */
  uint32_t elem;
  field_of(inner, 0, &elem);
  const uint32_t number = elem == TYPE_TENSOR ? 3 : elem == TYPE_SEQUENCE ? 5 : kind == QCC_SEQUENCE ? 7 : 8;
  size_t n = count_items(s, number), made = 0;
  if (depth > MAX_NESTING || n > MAX_ITEMS) return bad(r, "a list that is nested too deep or too long");
  if (kind == QCC_OPTIONAL && n > 1) return bad(r, "an optional with more than one value");
  qcc_tensor *item = qcc_zalloc_array(r->cx, n + 1, sizeof *item);
  if (!item) return QCC_NOMEM;
  qcc_status st = read_items(r, s, number, inner, depth, item, n, &made);
  if (st == QCC_OK) {
    st = qcc_tensor_list(out, r->cx, kind, item, made);
  } else {
    for (size_t i = 0; i < made; i++) qcc_tensor_release(&item[i]);
  }
  qcc_free(r->cx, item);
  return st;
}

static qcc_status read_value(const reader *r, span s, span type, int depth, qcc_tensor *out) {
  uint32_t kind;
  const span inner = field_of(type, 0, &kind);
  if (kind == TYPE_SEQUENCE) return read_list(r, s, QCC_SEQUENCE, inner, depth, out);
  if (kind == TYPE_OPTIONAL) return read_list(r, s, QCC_OPTIONAL, inner, depth, out);
  return read_tensor(r, s, out);
}

qcc_status qcc_onnx_load_value(qcc_tensor *out, qcc_context *cx, const char *path, const qcc_value *v) {
  qcc_pb_file f;
  uint32_t found;
  *out = (qcc_tensor){0};
  qcc_status st = qcc_pb_open(&f, cx, path);
  if (st == QCC_OK) {
    const reader r = {.cx = cx, .file = path, .bytes = f.bytes};
    const span type = field_of((span){v->extra.bytes, v->extra.n}, QCC_PB_VALUE_TYPE, &found);
    st = read_value(&r, (span){qcc_buf_data(f.bytes), qcc_buf_size(f.bytes)}, type, 0, out);
  }
  qcc_pb_close(&f);
  return st;
}
