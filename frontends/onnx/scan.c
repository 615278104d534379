/* SPDX-License-Identifier: Apache-2.0
 * The wire scan: what a file must be before the parser may see it.
 * One walk with an explicit stack, driven by the descriptors of the generated schema. It refuses what the parser would take silently
 * (doubled fields, cut names) or die of (depth, amplification), and writes the canonical message without the weights' bytes.
 * Invariant: never reads outside the innermost open message; `gap` bytes of holes lie before `pos`. */
#include <string.h>

#include "frontends/onnx/pb.h"

enum { VARINT = 0, FIXED64 = 1, LENGTH = 2, FIXED32 = 5 };
enum { PATH_BYTES = 160, DEPTH_MAX = 1000, FEW_FIELDS = 16, SLAB = 80, FIXED_PARSED = 64 << 20 };

typedef struct frame {
  const ProtobufCMessageDescriptor *type;
  const char *name; /* of the field that holds the message */
  size_t end;       /* file offset */
  size_t token;     /* of the writer */
  uint64_t seen;    /* fields given, by index in the descriptor */
  uint64_t fields;  /* how many in all */
} frame;

typedef struct walk {
  qcc_pb_scan *s;
  size_t pos, gap, limit; /* no byte at or after `limit` is there: end of file or next hole */
  size_t hole;
  QCC_VEC(frame) stack;
  uint64_t parsed_max;
} walk;

static frame *top(walk *w) { return &w->stack.at[w->stack.n - 1]; }
static const uint8_t *here(const walk *w) { return w->s->bytes + (w->pos - w->gap); }

/* ---- messages */
static void path_of(const walk *w, char *to, size_t n) {
  size_t used = 0;
  to[0] = 0;
  for (size_t k = 1; k < w->stack.n && used < n; k++) {
    used += qcc_format(to + used, n - used, k > 1 ? ".%s" : "%s", w->stack.at[k].name);
  }
}

static qcc_status fail(walk *w, qcc_status st, const char *code, const char *what) {
  char path[PATH_BYTES];
  qcc_loc loc = {.file = w->s->file};
  const char *other = w->s->holes || st != QCC_INVALID ? NULL : qcc_pb_sniff(w->s->bytes, w->s->n);
  if (other) return qcc_error(w->s->cx, st, "M-301", &loc, "not an ONNX file: it looks like %s", other);
  path_of(w, path, sizeof path);
  return qcc_error(w->s->cx, st, code, &loc, path[0] ? "byte %zu, in '%s': %s" : "byte %zu%s: %s", w->pos, path, what);
}

static qcc_status invalid(walk *w, const char *what) { return fail(w, QCC_INVALID, "M-302", what); }

static qcc_status invalid_field(walk *w, const ProtobufCFieldDescriptor *f, const char *what) {
  char text[PATH_BYTES];
  qcc_format(text, sizeof text, "field '%s' %s", f->name, what);
  return fail(w, QCC_INVALID, "M-303", text);
}

/* ---- reading */
static qcc_status read_varint(walk *w, size_t end, uint64_t *out) {
  uint64_t x = 0;
  if (end > w->limit) end = w->limit;
  for (unsigned shift = 0; shift < 70; shift += 7) {
    if (w->pos >= end) return invalid(w, "the file ends inside a number");
    uint8_t byte = *here(w);
    if (shift == 63 && byte > 1) return invalid(w, "a number does not fit in 64 bits");
    w->pos++;
    x |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *out = x;
      return QCC_OK;
    }
  }
  return invalid(w, "a number is longer than 10 bytes");
}

static bool has_bytes(const walk *w, size_t n) {
  size_t end = w->stack.at[w->stack.n - 1].end;
  if (end > w->limit) end = w->limit;
  return w->pos <= end && n <= end - w->pos;
}

static qcc_status charge(walk *w, uint64_t bytes) {
  qcc_pb_scan *s = w->s;
  uint64_t whole = (bytes + 15) & ~(uint64_t)15;
  s->parsed = s->parsed + whole < s->parsed ? UINT64_MAX : s->parsed + whole;
  if (s->parsed <= w->parsed_max) return QCC_OK;
  qcc_loc loc = {.file = s->file};
  return qcc_error(s->cx, QCC_LIMIT, "L-301", &loc, "parsing would take more than %llu bytes for a file of %zu: raise --max-parsed-factor",
                   (unsigned long long)w->parsed_max, s->n);
}

/* Strict UTF-8 without NUL. */
static bool is_text(const uint8_t *at, size_t n) {
  for (size_t k = 0; k < n;) {
    uint8_t c = at[k];
    if (c == 0) return false;
    if (c < 0x80) {
      k++;
      continue;
    }
    unsigned more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;
    if (c < 0xc2 || c > 0xf4 || n - k <= more) return false;
    uint32_t x = c & (0x3fu >> more);
    for (unsigned j = 1; j <= more; j++) {
      if ((at[k + j] & 0xc0) != 0x80) return false;
      x = x << 6 | (at[k + j] & 0x3f);
    }
    if (more == 2 && (x < 0x800 || (x >= 0xd800 && x < 0xe000))) return false;
    if (more == 3 && (x < 0x10000 || x > 0x10ffff)) return false;
    k += more + 1;
  }
  return true;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, uint32_t id) {
  unsigned lo = 0, hi = type->n_fields; /* sorted by number */
  while (lo < hi) {
    unsigned mid = (lo + hi) / 2;
    if (type->fields[mid].id == id) return &type->fields[mid];
    if (type->fields[mid].id < id)
      lo = mid + 1;
    else
      hi = mid;
  }
  return NULL;
}

static unsigned wire_type_of(ProtobufCType type) {
  switch (type) {
    case PROTOBUF_C_TYPE_FLOAT: return FIXED32;
    case PROTOBUF_C_TYPE_DOUBLE: return FIXED64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE: return LENGTH;
    default: return VARINT; /* the schema has no other fixed-width types; a test looks */
  }
}

static size_t element_bytes(const ProtobufCFieldDescriptor *f) {
  return f->type == PROTOBUF_C_TYPE_INT64 || f->type == PROTOBUF_C_TYPE_UINT64 || f->type == PROTOBUF_C_TYPE_DOUBLE ? 8 : 4;
}

/* ---- one field */
static qcc_status note_seen(walk *w, const ProtobufCFieldDescriptor *f) {
  frame *t = top(w);
  uint64_t bit = (uint64_t)1 << (f - t->type->fields);
  if (f->label == PROTOBUF_C_LABEL_REPEATED) {
    bool first = !(t->seen & bit);
    t->seen |= bit;
    return first ? charge(w, 1) : QCC_OK; /* the array's own block */
  }
  for (unsigned k = 0; k < t->type->n_fields; k++) {
    const ProtobufCFieldDescriptor *other = &t->type->fields[k];
    if (!(t->seen >> k & 1)) continue;
    if (other == f) return invalid_field(w, f, "is given twice");
    bool one_of = (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && (other->flags & PROTOBUF_C_FIELD_FLAG_ONEOF);
    if (one_of && other->quantifier_offset == f->quantifier_offset) return invalid_field(w, f, "excludes another one that is given");
  }
  t->seen |= bit;
  return QCC_OK;
}

static qcc_status scan_number(walk *w, const ProtobufCFieldDescriptor *f) {
  uint64_t x;
  QCC_TRY(charge(w, f->label == PROTOBUF_C_LABEL_REPEATED ? element_bytes(f) : 0));
  QCC_TRY(read_varint(w, top(w)->end, &x));
  int64_t value = (int64_t)x;
  if (element_bytes(f) == 4 && (value < INT32_MIN || value > INT32_MAX)) return invalid_field(w, f, "does not fit in 32 bits");
  if (w->s->out) qcc_wire_s64(w->s->out, f->id, value);
  return QCC_OK;
}

static uint64_t little(const uint8_t *at, unsigned n) {
  uint64_t x = 0;
  for (unsigned k = n; k-- > 0;) x = x << 8 | at[k];
  return x;
}

static qcc_status scan_fixed(walk *w, uint32_t id, unsigned n, bool repeated) {
  QCC_TRY(charge(w, repeated ? n : 0));
  if (!has_bytes(w, n)) return invalid(w, "the file ends inside a number");
  if (w->s->out && n == 4) qcc_wire_fixed32(w->s->out, id, (uint32_t)little(here(w), 4));
  if (w->s->out && n == 8) qcc_wire_fixed64(w->s->out, id, little(here(w), 8));
  w->pos += n;
  return QCC_OK;
}

static qcc_status scan_packed(walk *w, const ProtobufCFieldDescriptor *f, size_t n) {
  unsigned wire = wire_type_of(f->type);
  size_t start = w->pos, end = start + n, count = 0;
  if (!has_bytes(w, n)) return invalid(w, "a packed field ends outside its message");
  if (wire == VARINT) {
    for (; w->pos < end; count++) {
      uint64_t x;
      QCC_TRY(read_varint(w, end, &x));
      int64_t value = (int64_t)x;
      if (element_bytes(f) == 4 && (value < INT32_MIN || value > INT32_MAX)) return invalid_field(w, f, "does not fit in 32 bits");
    }
  } else {
    size_t each = wire == FIXED32 ? 4 : 8;
    if (n % each) return invalid_field(w, f, "has a broken length");
    count = n / each;
  }
  w->pos = end;
  if (w->s->out) qcc_wire_bytes(w->s->out, f->id, w->s->bytes + (start - w->gap), n);
  return charge(w, (uint64_t)count * element_bytes(f));
}

/* Free text may be long; names may not. */
static bool is_prose(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *f) {
  return !strcmp(f->name, "doc_string") || (type == &qcc__onnx__string_string_entry_proto__descriptor && !strcmp(f->name, "value"));
}

static qcc_status scan_text(walk *w, const ProtobufCFieldDescriptor *f, size_t n) {
  if (!has_bytes(w, n)) return invalid_field(w, f, "ends outside its message");
  uint64_t most = qcc_context_limits(w->s->cx)->name_bytes;
  if (n > most && !is_prose(top(w)->type, f)) {
    qcc_loc loc = {.file = w->s->file};
    return qcc_error(w->s->cx, QCC_LIMIT, "L-302", &loc, "byte %zu: a name of %zu bytes, at most %llu are allowed: raise --max-name-bytes",
                     w->pos, n, (unsigned long long)most);
  }
  if (!is_text(here(w), n)) return invalid_field(w, f, "is not UTF-8 text or holds a zero byte");
  if (w->s->out) qcc_wire_bytes(w->s->out, f->id, here(w), n);
  w->pos += n;
  return charge(w, (uint64_t)n + 1 + sizeof(char *));
}

/* A raw_data becomes a reference; its bytes may be a hole. */
static qcc_status scan_raw(walk *w, const ProtobufCFieldDescriptor *f, size_t n) {
  qcc_pb_scan *s = w->s;
  qcc_pb_ref ref = {.at = w->pos, .n = n};
  bool hole = w->hole < s->hole_count && s->holes[w->hole].at == w->pos && s->holes[w->hole].n == n && n > 0;
  if (hole ? n > top(w)->end - w->pos : !has_bytes(w, n)) return invalid_field(w, f, "ends outside its message");
  w->pos += n;
  if (hole) {
    w->gap += n;
    w->hole++;
    w->limit = w->hole < s->hole_count ? s->holes[w->hole].at : s->n;
  }
  if (s->out) qcc_wire_bytes(s->out, f->id, &ref, sizeof ref);
  return charge(w, sizeof ref);
}

static qcc_status scan_bytes(walk *w, const ProtobufCFieldDescriptor *f, size_t n) {
  if (top(w)->type == &qcc__onnx__tensor_proto__descriptor && f->id == QCC_PB_TENSOR_RAW_DATA) return scan_raw(w, f, n);
  if (!has_bytes(w, n)) return invalid_field(w, f, "ends outside its message");
  if (w->s->out) qcc_wire_bytes(w->s->out, f->id, here(w), n);
  w->pos += n;
  return charge(w, (uint64_t)n + 1 + sizeof(ProtobufCBinaryData));
}

static qcc_status push(walk *w, const ProtobufCMessageDescriptor *type, const char *name, size_t end, size_t token) {
  uint64_t most = qcc_context_limits(w->s->cx)->wire_depth;
  if (w->stack.n > (most < DEPTH_MAX ? most : DEPTH_MAX)) {
    qcc_loc loc = {.file = w->s->file};
    return qcc_error(w->s->cx, QCC_LIMIT, "L-303", &loc, "byte %zu: messages are nested deeper than %llu: raise --max-depth (up to 1000)",
                     w->pos, (unsigned long long)most);
  }
  frame f = {.type = type, .name = name, .end = end, .token = token};
  if (!qcc_vec_push(w->s->cx, &w->stack, f)) return QCC_NOMEM;
  return charge(w, type->sizeof_message + sizeof(void *));
}

static qcc_status scan_message(walk *w, const ProtobufCFieldDescriptor *f, size_t n) {
  if (n > top(w)->end - w->pos) return invalid_field(w, f, "ends outside its message");
  size_t token = w->s->out ? qcc_wire_open(w->s->out, f->id) : 0;
  return push(w, f->descriptor, f->name, w->pos + n, token);
}

static qcc_status scan_known(walk *w, const ProtobufCFieldDescriptor *f, unsigned wire) {
  unsigned own = wire_type_of(f->type);
  bool repeated = f->label == PROTOBUF_C_LABEL_REPEATED;
  bool packed = repeated && own != LENGTH && wire == LENGTH;
  if (wire != own && !packed) return invalid_field(w, f, "has the wrong wire type");
  QCC_TRY(note_seen(w, f));
  if (wire == VARINT) return scan_number(w, f);
  if (wire != LENGTH) return scan_fixed(w, f->id, wire == FIXED32 ? 4 : 8, repeated);
  uint64_t n;
  QCC_TRY(read_varint(w, top(w)->end, &n));
  if (n > w->s->n) return invalid_field(w, f, "is longer than the file");
  if (packed) return scan_packed(w, f, (size_t)n);
  if (f->type == PROTOBUF_C_TYPE_MESSAGE) return scan_message(w, f, (size_t)n);
  return f->type == PROTOBUF_C_TYPE_STRING ? scan_text(w, f, (size_t)n) : scan_bytes(w, f, (size_t)n);
}

static qcc_status scan_unknown(walk *w, uint32_t id, unsigned wire) {
  uint64_t x;
  QCC_TRY(charge(w, sizeof(ProtobufCMessageUnknownField)));
  if (wire == FIXED32 || wire == FIXED64) return scan_fixed(w, id, wire == FIXED32 ? 4 : 8, true);
  QCC_TRY(read_varint(w, top(w)->end, &x));
  if (wire == VARINT) {
    if (w->s->out) qcc_wire_s64(w->s->out, id, (int64_t)x);
    return charge(w, 10);
  }
  if (x > w->s->n || !has_bytes(w, (size_t)x)) return invalid(w, "an unknown field ends outside its message");
  if (w->s->out) qcc_wire_bytes(w->s->out, id, here(w), (size_t)x);
  w->pos += (size_t)x;
  return charge(w, x + 10);
}

static qcc_status scan_field(walk *w) {
  uint64_t tag;
  QCC_TRY(read_varint(w, top(w)->end, &tag));
  unsigned wire = (unsigned)(tag & 7);
  if (tag >> 32 || tag >> 3 == 0) return invalid(w, "a field number is outside 1..536870911");
  if (wire != VARINT && wire != FIXED64 && wire != LENGTH && wire != FIXED32)
    return invalid(w, "a field has an unknown wire type or is a group");
  uint32_t id = (uint32_t)(tag >> 3);
  const ProtobufCFieldDescriptor *f = find_field(top(w)->type, id);
  top(w)->fields++;
  return f ? scan_known(w, f, wire) : scan_unknown(w, id, wire);
}

static qcc_status leave(walk *w) {
  frame *t = top(w);
  /* The parser lists the fields of a message before it reads them; many of them cost memory. */
  if (t->fields > FEW_FIELDS) QCC_TRY(charge(w, t->fields > UINT64_MAX / SLAB ? UINT64_MAX : t->fields * SLAB));
  if (w->s->out && w->stack.n > 1) qcc_wire_close(w->s->out, t->token);
  w->stack.n--;
  return QCC_OK;
}

static qcc_status run(walk *w) {
  bool model = w->s->root == QCC_PB_ROOT_MODEL;
  const ProtobufCMessageDescriptor *type = model ? &qcc__onnx__model_proto__descriptor : &qcc__onnx__tensor_proto__descriptor;
  QCC_TRY(push(w, type, "", w->s->n, 0));
  while (w->stack.n > 0) {
    if (w->pos == top(w)->end)
      QCC_TRY(leave(w));
    else
      QCC_TRY(scan_field(w));
  }
  return w->s->out && w->s->out->failed ? QCC_NOMEM : QCC_OK;
}

qcc_status qcc_pb_run_scan(qcc_pb_scan *s) {
  walk w = {.s = s, .limit = s->hole_count ? s->holes[0].at : s->n};
  uint64_t factor = qcc_context_limits(s->cx)->parsed_factor;
  s->parsed = 0;
  w.parsed_max = factor > (UINT64_MAX - FIXED_PARSED) / (s->n + 1) ? UINT64_MAX : factor * s->n + FIXED_PARSED;
  qcc_status st = run(&w);
  qcc_vec_free(s->cx, &w.stack);
  return st;
}
