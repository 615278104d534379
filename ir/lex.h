/* SPDX-License-Identifier: Apache-2.0
 * Inside the text form: tokens of .qir, and the literals of strings, types and tensors, printed and parsed.
 * Printer and parser of one literal stand in one file, so that they agree. Nothing outside ir/ includes this. */
#ifndef QCC_LEX_H
#define QCC_LEX_H

#include "ir/ir.h"
#include "ir/support/vec.h"

typedef enum qcc_token_kind {
  QCC_TOKEN_END,
  QCC_TOKEN_PUNCT,  /* one of ( ) { } [ ] < > , = : ! ? * _ */
  QCC_TOKEN_ARROW,  /* -> */
  QCC_TOKEN_SCOPE,  /* :: */
  QCC_TOKEN_WORD,   /* letter, then letters, digits, _ and . */
  QCC_TOKEN_VALUE,  /* %name or %"name": the token's text is what follows the sign */
  QCC_TOKEN_LABEL,  /* @name or @"name" */
  QCC_TOKEN_STRING, /* "text" */
  QCC_TOKEN_HEX,    /* x"00ff" */
  QCC_TOKEN_HASH,   /* #0123: a tensor whose bytes were left out */
  QCC_TOKEN_INT,
  QCC_TOKEN_FLOAT /* has a point, an exponent, or is -inf */
} qcc_token_kind;

typedef struct qcc_token {
  qcc_token_kind kind;
  const char *at; /* slice of the text; quotes included */
  size_t n;
  uint32_t line, column;
} qcc_token;

typedef struct qcc_lexer {
  qcc_context *cx;
  const char *file;
  const char *begin, *at, *end;
  const char *line_start;
  uint32_t line;
  qcc_token token; /* the current one */
  uint64_t budget; /* bytes that tensors of this text may still take */
} qcc_lexer;

/* Starts before the first token: call qcc_lex_next once. */
void qcc_lex_init(qcc_lexer *l, qcc_context *cx, const char *text, size_t n, const char *file);
qcc_status qcc_lex_next(qcc_lexer *l) QCC_MUST_USE;

/* QCC_INVALID at the current token, with the line and a caret below as notes. */
qcc_status qcc_lex_error(qcc_lexer *l, const char *code, const char *fmt, ...) QCC_PRINTF(3, 4);
qcc_status qcc_lex_expected(qcc_lexer *l, const char *what); /* "expected WHAT, found TOKEN" */

static inline bool qcc_lex_is(const qcc_lexer *l, char punct) { return l->token.kind == QCC_TOKEN_PUNCT && *l->token.at == punct; }
bool qcc_lex_is_word(const qcc_lexer *l, const char *word);
/* Go past a sign or word that must be there. */
qcc_status qcc_lex_take(qcc_lexer *l, char punct) QCC_MUST_USE;
qcc_status qcc_lex_take_word(qcc_lexer *l, const char *word) QCC_MUST_USE;
/* Go past it when it is there; false: it is not, or the lexer failed (see *st). */
bool qcc_lex_accept(qcc_lexer *l, char punct, qcc_status *st);

/* Bytes of the current string token (also of quoted names), unescaped, then go on. Freed with qcc_text_free. */
qcc_status qcc_lex_string(qcc_lexer *l, qcc_text *to) QCC_MUST_USE;
/* The same, interned; bytes of value 0 are refused. Takes words, values, labels and strings. */
qcc_status qcc_lex_name(qcc_lexer *l, const char **name) QCC_MUST_USE;
qcc_status qcc_lex_hex(qcc_lexer *l, qcc_text *to) QCC_MUST_USE;
qcc_status qcc_lex_s64(qcc_lexer *l, int64_t *to) QCC_MUST_USE;
/* Any number, inf, -inf, nan, nan(bits in hex): both views of the same literal. */
typedef struct qcc_number {
  double x;
  int64_t i;
  bool is_int;
  bool has_bits; /* nan(...) */
  uint64_t bits;
} qcc_number;
qcc_status qcc_lex_number(qcc_lexer *l, qcc_number *to) QCC_MUST_USE;

/* "text" with escapes \" \\ \n \t \r \xHH. */
void qcc_print_quoted(qcc_text *to, const char *bytes, size_t n);
void qcc_print_hex(qcc_text *to, const void *bytes, size_t n);
/* A word as it is, anything else quoted. */
void qcc_print_name(qcc_text *to, char sign, const char *name);
bool qcc_is_word(const char *text, bool dots);

/* ---- types and tensors (literal.c) */
qcc_status qcc_parse_type(qcc_lexer *l, qcc_type *to) QCC_MUST_USE;
/* "f32[2,2] [1,2,3,4]", "f32[8] splat(1)", "f32[64] rand(7)", "u8[2] x\"00ff\"", "f32[64] #hash" (printed only). */
void qcc_print_tensor(qcc_text *to, const qcc_context *cx, const qcc_tensor *t, bool all);
qcc_status qcc_parse_tensor(qcc_lexer *l, qcc_tensor *to) QCC_MUST_USE; /* owned */
/* A float literal: nan with other than the usual bits as nan(bits). With `point`, never looks like an integer. */
void qcc_print_float_literal(qcc_text *to, float x, bool point);

#endif
