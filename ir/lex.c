/* SPDX-License-Identifier: Apache-2.0
 * Tokens of the text form, and its string and number literals.
 * Tokens are slices of the text; nothing is copied until a literal is read. Locale-free. Bytes below space, other than
 * newline and tab, are refused everywhere, so a located error can show its line. */
#include "ir/lex.h"

#include <math.h>
#include <string.h>

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static bool is_word_byte(char c) { return is_letter(c) || is_digit(c) || c == '.'; }
/* Names of values and graphs may also hold what exporters like, when it is no sign of ours. */
static bool is_name_byte(char c) { return is_word_byte(c) || c == '/' || c == '$'; }

static int hex_digit(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

void qcc_lex_init(qcc_lexer *l, qcc_context *cx, const char *text, size_t n, const char *file) {
  *l = (qcc_lexer){.cx = cx, .file = file, .begin = text, .at = text, .end = text + n, .line_start = text, .line = 1};
  uint64_t factor = qcc_context_limits(cx)->parsed_factor;
  l->budget = (uint64_t)n > (UINT64_MAX >> 2) / (factor + 1) ? UINT64_MAX : n * factor + ((uint64_t)64 << 20);
}

/* ---- errors */
static void show_line(qcc_lexer *l) {
  const char *from = l->token.at ? l->token.at : l->at;
  const char *start = from;
  while (start > l->begin && start[-1] != '\n') start--;
  const char *stop = start;
  while (stop < l->end && *stop != '\n') stop++;
  size_t before = (size_t)(from - start), n = (size_t)(stop - start);
  if (before > 100 || n == 0) return;
  char line[136], caret[136];
  if (n > 132) n = 132;
  size_t out = 0;
  for (size_t i = 0; i < n; i++) line[out++] = start[i] == '\t' ? ' ' : start[i];
  line[out] = 0;
  memset(caret, ' ', before);
  caret[before] = '^';
  caret[before + 1] = 0;
  qcc_note(l->cx, NULL, "  %s", line);
  qcc_note(l->cx, NULL, "  %s", caret);
}

qcc_status qcc_lex_error(qcc_lexer *l, const char *code, const char *fmt, ...) {
  char text[512];
  va_list args;
  va_start(args, fmt);
  qcc_vformat(text, sizeof text, fmt, args);
  va_end(args);
  qcc_loc loc = {.file = l->file, .line = l->token.line, .column = l->token.column};
  qcc_status st = qcc_error(l->cx, QCC_INVALID, code, &loc, "%s", text);
  show_line(l);
  return st;
}

qcc_status qcc_lex_expected(qcc_lexer *l, const char *what) {
  if (l->token.kind == QCC_TOKEN_END) return qcc_lex_error(l, "M-061", "expected %s, found the end of the text", what);
  char found[65];
  size_t n = l->token.n < sizeof found - 1 ? l->token.n : sizeof found - 1;
  memcpy(found, l->token.at, n);
  found[n] = 0;
  return qcc_lex_error(l, "M-061", "expected %s, found '%s'", what, found);
}

/* ---- scanning */
static void skip_blank(qcc_lexer *l) {
  while (l->at < l->end) {
    if (*l->at == '\n') {
      l->line++;
      l->line_start = l->at + 1;
    } else if (*l->at == ';') {
      while (l->at + 1 < l->end && l->at[1] != '\n') l->at++;
    } else if (*l->at != ' ' && *l->at != '\t' && *l->at != '\r') {
      return;
    }
    l->at++;
  }
}

/* From the opening quote to behind the closing one. */
static qcc_status scan_quoted(qcc_lexer *l) {
  for (l->at++; l->at < l->end && *l->at != '"'; l->at++) {
    if (*l->at == '\\' && l->at + 1 < l->end && l->at[1] != '\n') l->at++;
    if ((unsigned char)*l->at < 32) break;
  }
  if (l->at >= l->end || *l->at != '"') return qcc_lex_error(l, "M-062", "string without a closing quote on its line");
  l->at++;
  return QCC_OK;
}

static void scan_while(qcc_lexer *l, bool (*is)(char c)) {
  while (l->at < l->end && is(*l->at)) l->at++;
}

static void scan_number(qcc_lexer *l) {
  l->token.kind = QCC_TOKEN_INT;
  if (*l->at == '-') l->at++;
  if (l->end - l->at >= 3 && memcmp(l->at, "inf", 3) == 0) {
    l->token.kind = QCC_TOKEN_FLOAT;
    l->at += 3;
    return;
  }
  scan_while(l, is_digit);
  if (l->at < l->end && *l->at == '.') {
    l->token.kind = QCC_TOKEN_FLOAT;
    l->at++;
    scan_while(l, is_digit);
  }
  if (l->at < l->end && (*l->at == 'e' || *l->at == 'E')) {
    l->token.kind = QCC_TOKEN_FLOAT;
    l->at++;
    if (l->at < l->end && (*l->at == '-' || *l->at == '+')) l->at++;
    scan_while(l, is_digit);
  }
}

static qcc_status scan_name(qcc_lexer *l, qcc_token_kind kind) {
  l->token.kind = kind;
  l->at++;
  if (l->at < l->end && *l->at == '"') return scan_quoted(l);
  const char *start = l->at;
  scan_while(l, is_name_byte);
  return l->at > start ? QCC_OK : qcc_lex_error(l, "M-063", "a name must follow this sign");
}

static bool next_is(const qcc_lexer *l, char c) { return l->at + 1 < l->end && l->at[1] == c; }

static qcc_status scan_sign(qcc_lexer *l) {
  l->token.kind = QCC_TOKEN_PUNCT;
  if (*l->at == '-' && next_is(l, '>')) {
    l->token.kind = QCC_TOKEN_ARROW;
    l->at++;
  } else if (*l->at == ':' && next_is(l, ':')) {
    l->token.kind = QCC_TOKEN_SCOPE;
    l->at++;
  } else if (!strchr("(){}[]<>,=:!?*", *l->at)) {
    return qcc_lex_error(l, "M-064", "stray byte 0x%02x", (unsigned)(unsigned char)*l->at);
  }
  l->at++;
  return QCC_OK;
}

static qcc_status scan_token(qcc_lexer *l) {
  char c = *l->at;
  if (c == '%') return scan_name(l, QCC_TOKEN_VALUE);
  if (c == '@') return scan_name(l, QCC_TOKEN_LABEL);
  if (c == '"') {
    l->token.kind = QCC_TOKEN_STRING;
    return scan_quoted(l);
  }
  if (c == 'x' && next_is(l, '"')) {
    l->token.kind = QCC_TOKEN_HEX;
    l->at++;
    return scan_quoted(l);
  }
  if (c == '#') {
    l->token.kind = QCC_TOKEN_HASH;
    l->at++;
    scan_while(l, is_word_byte);
    return QCC_OK;
  }
  if (is_digit(c) || (c == '-' && l->at + 1 < l->end && (is_digit(l->at[1]) || l->at[1] == 'i'))) {
    scan_number(l);
    return QCC_OK;
  }
  if (c == 0 || !is_letter(c)) return c ? scan_sign(l) : qcc_lex_error(l, "M-064", "stray byte 0x00");
  l->token.kind = QCC_TOKEN_WORD;
  scan_while(l, is_word_byte);
  /* a lone underscore is the sign for "left out" */
  if (l->at - l->token.at == 1 && c == '_') l->token.kind = QCC_TOKEN_PUNCT;
  return QCC_OK;
}

qcc_status qcc_lex_next(qcc_lexer *l) {
  skip_blank(l);
  l->token = (qcc_token){.kind = QCC_TOKEN_END, .at = l->at, .line = l->line, .column = (uint32_t)(l->at - l->line_start) + 1};
  if (l->at == l->end) return QCC_OK;
  QCC_TRY(scan_token(l));
  l->token.n = (size_t)(l->at - l->token.at);
  return QCC_OK;
}

bool qcc_lex_is_word(const qcc_lexer *l, const char *word) {
  return l->token.kind == QCC_TOKEN_WORD && l->token.n == strlen(word) && memcmp(l->token.at, word, l->token.n) == 0;
}

qcc_status qcc_lex_take(qcc_lexer *l, char punct) {
  char what[4] = {'\'', punct, '\'', 0};
  return qcc_lex_is(l, punct) ? qcc_lex_next(l) : qcc_lex_expected(l, what);
}

qcc_status qcc_lex_take_word(qcc_lexer *l, const char *word) {
  return qcc_lex_is_word(l, word) ? qcc_lex_next(l) : qcc_lex_expected(l, word);
}

bool qcc_lex_accept(qcc_lexer *l, char punct, qcc_status *st) {
  if (*st != QCC_OK || !qcc_lex_is(l, punct)) return false;
  *st = qcc_lex_next(l);
  return *st == QCC_OK;
}

/* ---- literals */
static const char escapes[][2] = {{'n', '\n'}, {'t', '\t'}, {'r', '\r'}, {'"', '"'}, {'\\', '\\'}};

static qcc_status unescape(qcc_lexer *l, const char *at, const char *end, qcc_text *to) {
  while (at < end) {
    const char *run = at;
    while (at < end && *at != '\\') at++;
    qcc_text_add(to, run, (size_t)(at - run));
    if (at == end) break;
    char c = at + 1 < end ? at[1] : 0, byte = 0;
    at += 2;
    if (c == 'x' && end - at >= 2 && hex_digit(at[0]) >= 0 && hex_digit(at[1]) >= 0) {
      byte = (char)(unsigned char)(hex_digit(at[0]) * 16 + hex_digit(at[1]));
      at += 2;
    } else {
      size_t k = 0;
      while (k < sizeof escapes / sizeof *escapes && escapes[k][0] != c) k++;
      if (k == sizeof escapes / sizeof *escapes)
        return qcc_lex_error(l, "M-065", "unknown escape in a string; known: \\\" \\\\ \\n \\t \\r \\xHH");
      byte = escapes[k][1];
    }
    qcc_text_add(to, &byte, 1);
  }
  return to->failed ? QCC_NOMEM : QCC_OK;
}

qcc_status qcc_lex_string(qcc_lexer *l, qcc_text *to) {
  const char *at = l->token.at, *end = at + l->token.n;
  if (l->token.kind == QCC_TOKEN_VALUE || l->token.kind == QCC_TOKEN_LABEL) at++;
  if (at < end && *at == '"') {
    QCC_TRY(unescape(l, at + 1, end - 1, to));
  } else {
    qcc_text_add(to, at, (size_t)(end - at));
  }
  if (to->failed) return QCC_NOMEM;
  return qcc_lex_next(l);
}

qcc_status qcc_lex_name(qcc_lexer *l, const char **name) {
  qcc_token_kind kind = l->token.kind;
  if (kind != QCC_TOKEN_WORD && kind != QCC_TOKEN_VALUE && kind != QCC_TOKEN_LABEL && kind != QCC_TOKEN_STRING)
    return qcc_lex_expected(l, "a name");
  qcc_lexer here = *l;
  qcc_text text = {.cx = l->cx};
  qcc_status st = qcc_lex_string(l, &text);
  uint64_t limit = qcc_context_limits(l->cx)->name_bytes;
  if (st == QCC_OK && text.n && memchr(text.at, 0, text.n)) st = qcc_lex_error(&here, "M-066", "a name may not hold the byte 0x00");
  if (st == QCC_OK && text.n > limit)
    st = qcc_lex_error(&here, "L-061", "name of %zu bytes, at most %llu; see --max-name-bytes", text.n, (unsigned long long)limit);
  if (st == QCC_OK) {
    *name = qcc_intern_n(l->cx, text.n ? text.at : "", text.n);
    if (!*name) st = QCC_NOMEM;
  }
  qcc_text_free(&text);
  return st;
}

qcc_status qcc_lex_hex(qcc_lexer *l, qcc_text *to) {
  if (l->token.kind != QCC_TOKEN_HEX) return qcc_lex_expected(l, "bytes as x\"...\"");
  const char *at = l->token.at + 2, *end = l->token.at + l->token.n - 1;
  if ((end - at) % 2) return qcc_lex_error(l, "M-067", "bytes in hex need two digits each");
  for (; at < end; at += 2) {
    if (hex_digit(at[0]) < 0 || hex_digit(at[1]) < 0) return qcc_lex_error(l, "M-067", "bytes in hex need two digits each");
    char byte = (char)(unsigned char)(hex_digit(at[0]) * 16 + hex_digit(at[1]));
    qcc_text_add(to, &byte, 1);
  }
  if (to->failed) return QCC_NOMEM;
  return qcc_lex_next(l);
}

qcc_status qcc_lex_s64(qcc_lexer *l, int64_t *to) {
  if (l->token.kind != QCC_TOKEN_INT) return qcc_lex_expected(l, "an integer");
  if (qcc_read_s64(l->token.at, l->token.n, to) != l->token.n) return qcc_lex_error(l, "M-068", "integer outside 64 bits");
  return qcc_lex_next(l);
}

/* nan, nan(7fc00001), inf */
static qcc_status special_number(qcc_lexer *l, qcc_number *to) {
  if (!qcc_lex_is_word(l, "nan")) {
    to->x = (double)INFINITY;
    return qcc_lex_take_word(l, "inf");
  }
  to->x = (double)NAN;
  QCC_TRY(qcc_lex_next(l));
  if (!qcc_lex_is(l, '(')) return QCC_OK;
  /* the digits may begin with either a letter or a digit: read them from the text */
  const char *at = l->at;
  int n = 0;
  for (; at < l->end && hex_digit(*at) >= 0 && n < 16; at++, n++) to->bits = to->bits * 16 + (uint64_t)hex_digit(*at);
  if (n == 0 || at == l->end || *at != ')') return qcc_lex_error(l, "M-069", "nan(...) holds 1 to 16 hex digits");
  to->has_bits = true;
  l->at = at + 1;
  return qcc_lex_next(l);
}

qcc_status qcc_lex_number(qcc_lexer *l, qcc_number *to) {
  *to = (qcc_number){0};
  if (l->token.kind == QCC_TOKEN_WORD) {
    if (qcc_lex_is_word(l, "nan") || qcc_lex_is_word(l, "inf")) return special_number(l, to);
    return qcc_lex_expected(l, "a number");
  }
  if (l->token.kind != QCC_TOKEN_INT && l->token.kind != QCC_TOKEN_FLOAT) return qcc_lex_expected(l, "a number");
  if (l->token.kind == QCC_TOKEN_INT) to->is_int = qcc_read_s64(l->token.at, l->token.n, &to->i) == l->token.n;
  if (qcc_read_f64(l->token.at, l->token.n, &to->x) != l->token.n) return qcc_lex_error(l, "M-068", "malformed number");
  return qcc_lex_next(l);
}

/* ---- printing */
void qcc_print_quoted(qcc_text *to, const char *bytes, size_t n) {
  qcc_text_add(to, "\"", 1);
  for (size_t i = 0, run = 0; i <= n; i++) {
    unsigned char c = i < n ? (unsigned char)bytes[i] : 0;
    if (i < n && c >= 32 && c < 127 && c != '"' && c != '\\') continue;
    qcc_text_add(to, bytes + run, i - run);
    run = i + 1;
    if (i == n) break;
    if (c == '"' || c == '\\') {
      qcc_text_addf(to, "\\%c", c);
    } else if (c == '\n' || c == '\t' || c == '\r') {
      qcc_text_addf(to, "\\%c", c == '\n' ? 'n' : c == '\t' ? 't' : 'r');
    } else {
      qcc_text_addf(to, "\\x%02x", (unsigned)c);
    }
  }
  qcc_text_add(to, "\"", 1);
}

void qcc_print_hex(qcc_text *to, const void *bytes, size_t n) {
  const char *digits = "0123456789abcdef";
  const unsigned char *at = bytes;
  qcc_text_add(to, "x\"", 2);
  for (size_t i = 0; i < n; i++) {
    char pair[2] = {digits[at[i] >> 4], digits[at[i] & 15]};
    qcc_text_add(to, pair, 2);
  }
  qcc_text_add(to, "\"", 1);
}

bool qcc_is_word(const char *text, bool dots) {
  if (!is_letter(*text)) return false;
  for (const char *at = text; *at; at++) {
    if (!is_word_byte(*at) || (*at == '.' && !dots)) return false;
  }
  return strcmp(text, "_") != 0;
}

void qcc_print_name(qcc_text *to, char sign, const char *name) {
  bool plain = sign ? *name != 0 : qcc_is_word(name, true);
  for (const char *at = name; *at && sign; at++) plain = plain && is_name_byte(*at);
  if (sign) qcc_text_add(to, &sign, 1);
  if (plain) {
    qcc_text_add(to, name, strlen(name));
  } else {
    qcc_print_quoted(to, name, strlen(name));
  }
}
