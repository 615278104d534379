/* SPDX-License-Identifier: Apache-2.0
 * Types and tensors in the text form, printed and parsed side by side.
 *
 * A tensor is its type and one of: a list of elements; splat(x), all elements equal; rand(seed), reproducible numbers, so that small
 * files still execute; x"..", its bytes, where decimal text could not be exact; #hash, left out (printed only).
 * The printer finds splat and rand again by looking at the bytes, so what a pass does not touch prints as it was written. */
#include <math.h>
#include <string.h>

#include "ir/lex.h"
#include "ir/text.h"

enum { FEW = 4, MANY = 16, SEEDS = 1000 };

/* ---- types */
void qcc_print_type(qcc_text *to, const qcc_context *cx, const qcc_type *t) {
  qcc_text_addf(to, "%s", t->dtype == QCC_NONE ? "?" : qcc_dtype_name(t->dtype));
  if (t->rank < 0) return;
  qcc_text_add(to, "[", 1);
  for (int k = 0; k < t->rank; k++) {
    if (k) qcc_text_add(to, ",", 1);
    const char *symbol = t->dim[k] < QCC_DIM_UNKNOWN ? qcc_symbol_name(cx, t->dim[k]) : NULL;
    if (t->dim[k] >= 0) {
      qcc_text_addf(to, "%lld", (long long)t->dim[k]);
    } else if (symbol && qcc_is_word(symbol, false)) {
      qcc_text_add(to, symbol, strlen(symbol));
    } else if (symbol) {
      qcc_print_quoted(to, symbol, strlen(symbol));
    } else {
      qcc_text_add(to, "?", 1);
    }
  }
  qcc_text_add(to, "]", 1);
}

static qcc_status parse_dim(qcc_lexer *l, int64_t *dim) {
  if (qcc_lex_is(l, '?')) {
    *dim = QCC_DIM_UNKNOWN;
    return qcc_lex_next(l);
  }
  if (l->token.kind == QCC_TOKEN_INT) {
    qcc_lexer here = *l;
    QCC_TRY(qcc_lex_s64(l, dim));
    return *dim >= 0 ? QCC_OK : qcc_lex_error(&here, "M-071", "negative size in a shape");
  }
  if (l->token.kind != QCC_TOKEN_WORD && l->token.kind != QCC_TOKEN_STRING) return qcc_lex_expected(l, "a size, a symbol or ?");
  const char *name = NULL;
  QCC_TRY(qcc_lex_name(l, &name));
  *dim = qcc_symbol(l->cx, name);
  return *dim < QCC_DIM_UNKNOWN ? QCC_OK : QCC_NOMEM;
}

static qcc_status parse_dtype(qcc_lexer *l, qcc_dtype *to) {
  *to = QCC_NONE;
  if (qcc_lex_is(l, '?')) return qcc_lex_next(l);
  if (l->token.kind != QCC_TOKEN_WORD) return qcc_lex_expected(l, "an element type such as f32");
  qcc_lexer here = *l;
  const char *name = NULL;
  QCC_TRY(qcc_lex_name(l, &name));
  *to = qcc_dtype_from_name(name);
  return *to == QCC_NONE ? qcc_lex_error(&here, "M-070", "unknown element type; known: f32, f16, bf16, s8, u8, s64, bool ...") : QCC_OK;
}

qcc_status qcc_parse_type(qcc_lexer *l, qcc_type *to) {
  *to = qcc_type_unknown();
  QCC_TRY(parse_dtype(l, &to->dtype));
  qcc_status st = QCC_OK;
  if (!qcc_lex_accept(l, '[', &st)) return st;
  int rank = 0;
  while (!qcc_lex_is(l, ']')) {
    if (rank == QCC_MAX_RANK) return qcc_lex_error(l, "L-063", "more than %d dimensions", (int)QCC_MAX_RANK);
    QCC_TRY(parse_dim(l, &to->dim[rank++]));
    if (!qcc_lex_is(l, ']')) QCC_TRY(qcc_lex_take(l, ','));
  }
  to->rank = (int8_t)rank;
  return qcc_lex_next(l);
}

/* ---- elements */
static bool is_decimal(qcc_dtype t) { /* decimal text is exact for these */
  return t == QCC_F32 || t == QCC_F64 || t == QCC_F16 || t == QCC_BF16 || t == QCC_BOOL || qcc_dtype_is_int(t);
}

static bool is_whole(qcc_dtype t) { return t == QCC_BOOL || qcc_dtype_is_int(t); }

/* Some bit patterns have no exact decimal text: then the whole tensor prints as bytes. */
static bool needs_bytes(const qcc_tensor *t, int64_t count) {
  qcc_dtype dtype = t->type.dtype;
  if (!is_decimal(dtype)) return true;
  for (int64_t i = 0; i < count; i++) {
    if (dtype == QCC_F32) return false;
    if (!is_whole(dtype)) {
      if (isnan(qcc_tensor_get(t, i))) return true;
    } else if (dtype == QCC_U64 || dtype == QCC_BOOL) {
      uint64_t x = dtype == QCC_BOOL ? ((const uint8_t *)t->data)[i] : 0;
      if (dtype == QCC_U64) memcpy(&x, (const char *)t->data + i * 8, 8);
      if (x > (dtype == QCC_BOOL ? 1u : (uint64_t)INT64_MAX)) return true;
    }
  }
  return false;
}

void qcc_print_float_literal(qcc_text *to, float x, bool point) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (isnan(x)) {
    qcc_text_addf(to, bits == 0x7fc00000u ? "nan" : "nan(%08x)", bits);
    return;
  }
  char text[64];
  size_t n = qcc_print_f32(text, x);
  qcc_text_add(to, text, n);
  bool plain = true;
  for (size_t i = 0; i < n; i++) plain = plain && ((text[i] >= '0' && text[i] <= '9') || text[i] == '-');
  if (point && plain) qcc_text_add(to, ".0", 2);
}

static void print_element(qcc_text *to, const qcc_tensor *t, int64_t i) {
  if (is_whole(t->type.dtype)) {
    qcc_text_addf(to, "%lld", (long long)qcc_tensor_get_s64(t, i));
  } else if (t->type.dtype == QCC_F64) {
    char text[64];
    qcc_text_add(to, text, qcc_print_f64(text, qcc_tensor_get(t, i)));
  } else if (t->type.dtype == QCC_F32) {
    float x;
    memcpy(&x, (const char *)t->data + i * 4, sizeof x);
    qcc_print_float_literal(to, x, false);
  } else {
    qcc_print_float_literal(to, (float)qcc_tensor_get(t, i), false);
  }
}

static bool fits(qcc_dtype dtype, const qcc_number *x) {
  if (!is_whole(dtype)) return true;
  if (!x->is_int) return false;
  if (dtype == QCC_BOOL) return x->i == 0 || x->i == 1;
  return x->i >= qcc_dtype_min(dtype) && x->i <= qcc_dtype_max(dtype);
}

static void set_element(qcc_tensor *t, void *bytes, int64_t i, const qcc_number *x) {
  if (t->type.dtype == QCC_F32) {
    float f = (float)x->x;
    uint32_t bits = (uint32_t)x->bits;
    memcpy((char *)bytes + i * 4, x->has_bits ? (const void *)&bits : (const void *)&f, 4);
  } else if (t->type.dtype == QCC_S64 || t->type.dtype == QCC_U64) {
    memcpy((char *)bytes + i * 8, &x->i, 8);
  } else if (t->type.dtype == QCC_F64) {
    memcpy((char *)bytes + i * 8, &x->x, 8);
  } else {
    qcc_tensor_set(t, i, is_whole(t->type.dtype) ? (double)x->i : x->x);
  }
}

/* ---- reproducible numbers: floats uniform in [-1, 1) with 24 bits, integers over their range or 8 bits of it */
static uint64_t mix(uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

static double rand_at(qcc_dtype dtype, uint64_t seed, int64_t i) {
  uint64_t z = mix(mix(seed + 0x9e3779b97f4a7c15u) + (uint64_t)i * 0xd1342543de82ef95u);
  if (dtype == QCC_BOOL) return (double)(z >> 63);
  unsigned bits = qcc_dtype_bits(dtype) < 8 ? qcc_dtype_bits(dtype) : 8;
  if (qcc_dtype_kind(dtype) == QCC_KIND_UINT) return (double)(z >> (64 - bits));
  if (qcc_dtype_kind(dtype) == QCC_KIND_SINT) return (double)((int64_t)(z >> (64 - bits)) - (1 << (bits - 1)));
  float x = (float)((int64_t)(z >> 40) - (1 << 23)) * 0x1p-23f;
  if (dtype == QCC_F16) return (double)qcc_f16_to_f32(qcc_f32_to_f16(x));
  if (dtype == QCC_BF16) return (double)qcc_bf16_to_f32(qcc_f32_to_bf16(x));
  return (double)x;
}

static bool is_rand(const qcc_tensor *t, int64_t count, uint64_t seed) {
  for (int64_t i = 0; i < count; i++) {
    if (qcc_tensor_get(t, i) != rand_at(t->type.dtype, seed, i)) return false;
  }
  return true;
}

/* The seed, or -1. Short tensors could match by chance and are never tried. */
static int find_seed(const qcc_tensor *t, int64_t count) {
  if (count <= FEW || (uint64_t)count * qcc_dtype_bits(t->type.dtype) < 40) return -1;
  for (int seed = 0; seed < SEEDS; seed++) {
    if (is_rand(t, count, (uint64_t)seed)) return seed;
  }
  return -1;
}

static bool is_splat(const qcc_tensor *t, int64_t count) {
  if (count <= FEW) return false;
  size_t size = qcc_dtype_bits(t->type.dtype) / 8;
  if (size) return memcmp(t->data, (const char *)t->data + size, ((size_t)count - 1) * size) == 0;
  for (int64_t i = 1; i < count; i++) {
    if (qcc_tensor_get_s64(t, i) != qcc_tensor_get_s64(t, 0)) return false;
  }
  return true;
}

/* ---- printing */
static void print_hash(qcc_text *to, const qcc_tensor *t) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (size_t i = 0; i < t->bytes; i++) hash = (hash ^ ((const uint8_t *)t->data)[i]) * 0x100000001b3u;
  qcc_text_addf(to, "#%08x%08x", (unsigned)(hash >> 32), (unsigned)hash);
}

static void print_strings(qcc_text *to, const qcc_tensor *t, int64_t count) {
  const char *at = t->data;
  size_t left = t->bytes;
  for (int64_t i = 0; i < count; i++) {
    uint32_t n = 0;
    if (left >= sizeof n) memcpy(&n, at, sizeof n);
    if (left < sizeof n || left - sizeof n < n) return;
    if (i) qcc_text_add(to, ",", 1);
    qcc_print_quoted(to, at + sizeof n, n);
    at += sizeof n + n;
    left -= sizeof n + n;
  }
}

static void print_list(qcc_text *to, const qcc_tensor *t, int64_t count) {
  qcc_text_add(to, "[", 1);
  if (t->type.dtype == QCC_STRING) print_strings(to, t, count);
  for (int64_t i = 0; i < count && t->type.dtype != QCC_STRING; i++) {
    if (i) qcc_text_add(to, ",", 1);
    print_element(to, t, i);
  }
  qcc_text_add(to, "]", 1);
}

void qcc_print_tensor(qcc_text *to, const qcc_context *cx, const qcc_tensor *t, bool all) {
  int64_t count = qcc_tensor_count(t);
  bool text = t->type.dtype == QCC_STRING;
  qcc_print_type(to, cx, &t->type);
  qcc_text_add(to, " ", 1);
  int seed = text || !is_decimal(t->type.dtype) ? -1 : find_seed(t, count);
  if (seed >= 0) {
    qcc_text_addf(to, "rand(%d)", seed);
  } else if (!text && is_decimal(t->type.dtype) && is_splat(t, count) && !needs_bytes(t, 1)) {
    qcc_text_add(to, "splat(", 6);
    print_element(to, t, 0);
    qcc_text_add(to, ")", 1);
  } else if (count > MANY && !all) {
    print_hash(to, t);
  } else if (text || !needs_bytes(t, count)) {
    print_list(to, t, count);
  } else {
    qcc_print_hex(to, t->data, t->bytes);
  }
}

/* ---- parsing */
static qcc_status parse_element(qcc_lexer *l, qcc_dtype dtype, qcc_number *x) {
  qcc_lexer here = *l;
  QCC_TRY(qcc_lex_number(l, x));
  return fits(dtype, x) ? QCC_OK : qcc_lex_error(&here, "M-072", "number does not fit the element type %s", qcc_dtype_name(dtype));
}

static qcc_status count_error(qcc_lexer *l, int64_t found, int64_t count) {
  return qcc_lex_error(l, "M-073", "%s than the %lld elements that the shape asks for", found < count ? "fewer" : "more", (long long)count);
}

static qcc_status parse_list(qcc_lexer *l, qcc_tensor *t, void *bytes, int64_t count) {
  QCC_TRY(qcc_lex_take(l, '['));
  int64_t i = 0;
  while (!qcc_lex_is(l, ']')) {
    if (i == count) return count_error(l, i + 1, count);
    qcc_number x;
    QCC_TRY(parse_element(l, t->type.dtype, &x));
    set_element(t, bytes, i++, &x);
    if (!qcc_lex_is(l, ']')) QCC_TRY(qcc_lex_take(l, ','));
  }
  return i < count ? count_error(l, i, count) : qcc_lex_next(l);
}

static qcc_status parse_splat(qcc_lexer *l, qcc_tensor *t, void *bytes, int64_t count) {
  qcc_number x;
  QCC_TRY(qcc_lex_take_word(l, "splat"));
  QCC_TRY(qcc_lex_take(l, '('));
  QCC_TRY(parse_element(l, t->type.dtype, &x));
  for (int64_t i = 0; i < count; i++) set_element(t, bytes, i, &x);
  return qcc_lex_take(l, ')');
}

static qcc_status parse_rand(qcc_lexer *l, qcc_tensor *t, void *bytes, int64_t count) {
  int64_t seed = 0;
  QCC_TRY(qcc_lex_take_word(l, "rand"));
  QCC_TRY(qcc_lex_take(l, '('));
  qcc_lexer here = *l;
  QCC_TRY(qcc_lex_s64(l, &seed));
  if (seed < 0 || seed >= SEEDS) return qcc_lex_error(&here, "M-074", "seed %lld outside 0..%d", (long long)seed, SEEDS - 1);
  for (int64_t i = 0; i < count; i++) {
    double x = rand_at(t->type.dtype, (uint64_t)seed, i);
    set_element(t, bytes, i, &(qcc_number){.x = x, .i = (int64_t)x});
  }
  return qcc_lex_take(l, ')');
}

static qcc_status parse_bytes(qcc_lexer *l, qcc_tensor *t, void *bytes) {
  qcc_lexer here = *l;
  qcc_text raw = {.cx = l->cx};
  qcc_status st = qcc_lex_hex(l, &raw);
  if (st == QCC_OK && raw.n != t->bytes) st = qcc_lex_error(&here, "M-075", "%zu bytes for a tensor of %zu", raw.n, t->bytes);
  if (st == QCC_OK && raw.n) memcpy(bytes, raw.at, raw.n);
  qcc_text_free(&raw);
  return st;
}

static qcc_status collect_strings(qcc_lexer *l, int64_t count, qcc_text *to) {
  QCC_TRY(qcc_lex_take(l, '['));
  int64_t i = 0;
  for (; !qcc_lex_is(l, ']'); i++) {
    if (l->token.kind != QCC_TOKEN_STRING) return qcc_lex_expected(l, "a string");
    if (i == count) return count_error(l, i + 1, count);
    size_t at = to->n;
    uint32_t n = 0;
    qcc_text_add(to, (const char *)&n, sizeof n);
    QCC_TRY(qcc_lex_string(l, to));
    n = (uint32_t)(to->n - at - sizeof n);
    memcpy(to->at + at, &n, sizeof n);
    if (!qcc_lex_is(l, ']')) QCC_TRY(qcc_lex_take(l, ','));
  }
  return i < count ? count_error(l, i, count) : qcc_lex_next(l);
}

static qcc_status parse_strings(qcc_lexer *l, qcc_tensor *to, const qcc_type *type, int64_t count) {
  qcc_text all = {.cx = l->cx};
  qcc_status st = collect_strings(l, count, &all);
  if (st == QCC_OK) {
    qcc_buf *buf = qcc_buf_copy(l->cx, all.n ? all.at : "", all.n);
    if (buf) *to = (qcc_tensor){.type = *type, .data = qcc_buf_data(buf), .bytes = all.n, .buf = buf};
    if (!buf) st = QCC_NOMEM;
  }
  qcc_text_free(&all);
  return st;
}

static qcc_status parse_data(qcc_lexer *l, qcc_tensor *t, int64_t count) {
  void *bytes = qcc_tensor_mut(t);
  if (!bytes) return QCC_NOMEM;
  memset(bytes, 0, t->bytes);
  if (l->token.kind == QCC_TOKEN_HASH)
    return qcc_lex_error(l, "M-076", "the bytes of this tensor were left out when the text was printed; print all weights");
  if (l->token.kind == QCC_TOKEN_HEX) return parse_bytes(l, t, bytes);
  if (!is_decimal(t->type.dtype)) return qcc_lex_expected(l, "bytes as x\"...\"");
  if (qcc_lex_is_word(l, "splat")) return parse_splat(l, t, bytes, count);
  if (qcc_lex_is_word(l, "rand")) return parse_rand(l, t, bytes, count);
  return qcc_lex_is(l, '[') ? parse_list(l, t, bytes, count) : qcc_lex_expected(l, "[elements], splat(x), rand(seed) or x\"bytes\"");
}

qcc_status qcc_parse_tensor(qcc_lexer *l, qcc_tensor *to) {
  qcc_lexer here = *l;
  qcc_type type;
  int64_t count = 0;
  size_t bytes = 0;
  *to = (qcc_tensor){0};
  QCC_TRY(qcc_parse_type(l, &type));
  if (!qcc_type_is_static(&type)) return qcc_lex_error(&here, "M-077", "a tensor needs an element type and known sizes");
  bool text = type.dtype == QCC_STRING;
  if (!qcc_type_count(&type, &count) || (!text && !qcc_type_bytes(&type, &bytes)) || bytes > l->budget)
    return qcc_lex_error(&here, "L-062", "tensor too large for a text of this size; see --max-parsed-factor");
  if (text) return parse_strings(l, to, &type, count);
  l->budget -= bytes;
  QCC_TRY(qcc_tensor_new(to, l->cx, &type));
  qcc_status st = parse_data(l, to, count);
  if (st != QCC_OK) qcc_tensor_release(to);
  return st;
}
