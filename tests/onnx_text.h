/* SPDX-License-Identifier: Apache-2.0
 * Protobuf bytes from text, so that a bad model is one line of a table. Tokens are separated by blanks:
 *   3:-1      varint field 3            3f1.5   float field 3           3=text  string field 3 (%hh: a byte)
 *   3#00ff    bytes field 3             3@70    string field 3 of 70 'a'
 *   3{ .. }   message field 3           ~0bff   bytes as they stand     *9( .. ) the tokens 9 times; may open or close messages
 * Texts and byte strings are short (< 200 bytes); messages may be nested 8,000 deep. */
#ifndef QCC_TESTS_ONNX_TEXT_H
#define QCC_TESTS_ONNX_TEXT_H

#include <stdlib.h>
#include <string.h>

#include "frontends/onnx/proto.h"

/* Frequent pieces: model head, float input x and output y of 2 elements, a node between. */
#define HEAD "1:8 8{ 1= 2:13 } "
#define F32_2 "2{ 1{ 1:1 2{ 1{ 1:2 } } } } "
#define IN_X "11{ 1=x " F32_2 "} "
#define OUT_Y "12{ 1=y " F32_2 "} "
#define RELU "1{ 1=x 2=y 4=Relu } "
#define MODEL(more) HEAD "7{ 2=g " IN_X OUT_Y more "} "

enum { TEXT_DEPTH = 8192, TEXT_LONG = 1 << 17 };

typedef struct onnx_text {
  qcc_wire wire;
  char *many; /* TEXT_LONG times 'a' */
  size_t open[TEXT_DEPTH], depth;
} onnx_text;

static unsigned text_hex(char c) { return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10; }

static size_t text_bytes(const char *from, size_t n, char *to, bool hex) {
  size_t used = 0;
  for (size_t k = 0; k < n && used < 200;) {
    bool coded = hex || from[k] == '%';
    size_t at = hex ? k : k + 1;
    to[used++] = coded ? (char)(text_hex(from[at]) << 4 | text_hex(from[at + 1])) : from[k];
    k = coded ? at + 2 : k + 1;
  }
  return used;
}

static void text_token(onnx_text *t, const char *at, size_t n) {
  char *rest = NULL, bytes[256];
  if (*at == '}') {
    qcc_wire_close(&t->wire, t->open[--t->depth]);
    return;
  }
  if (*at == '~') {
    qcc_wire_fields(&t->wire, bytes, text_bytes(at + 1, n - 1, bytes, true));
    return;
  }
  uint32_t field = (uint32_t)strtoul(at, &rest, 10);
  const char *value = rest + 1;
  size_t left = n - (size_t)(value - at);
  switch (*rest) {
    case ':': qcc_wire_s64(&t->wire, field, (int64_t)strtoll(value, NULL, 10)); break;
    case 'f': qcc_wire_f32(&t->wire, field, strtof(value, NULL)); break;
    case '{': t->open[t->depth++] = qcc_wire_open(&t->wire, field); break;
    case '@': qcc_wire_bytes(&t->wire, field, t->many, (size_t)strtoul(value, NULL, 10)); break;
    default: qcc_wire_bytes(&t->wire, field, bytes, text_bytes(value, left, bytes, *rest == '#')); break;
  }
}

/* From `at` to `end`, or to the ')' that closes a repetition; returns where it stopped. */
static const char *text_run(onnx_text *t, const char *at) {
  while (*at) {
    size_t n = strcspn(at, " ");
    if (*at == ')') return at;
    if (*at == '*') {
      unsigned long count = strtoul(at + 1, NULL, 10);
      const char *body = strchr(at, '(') + 1, *stop = body;
      for (unsigned long k = 0; k < count; k++) stop = text_run(t, body);
      at = stop;
      n = 1;
    } else if (n > 0 && *at != '(') {
      text_token(t, at, n);
    }
    at += n;
    while (*at == ' ') at++;
  }
  return at;
}

/* The bytes of `text`; free with free(). */
static uint8_t *text_model(qcc_context *cx, const char *text, size_t *n) {
  onnx_text *t = calloc(1, sizeof *t);
  uint8_t *flat = NULL, *out;
  t->many = malloc(TEXT_LONG);
  memset(t->many, 'a', TEXT_LONG);
  qcc_wire_init(&t->wire, cx);
  text_run(t, text);
  *n = 0;
  if (qcc_wire_flatten(&t->wire, &flat, n) != QCC_OK) abort();
  out = malloc(*n ? *n : 1);
  memcpy(out, flat, *n);
  qcc_free(cx, flat);
  qcc_wire_free(&t->wire);
  free(t->many);
  free(t);
  return out;
}

#endif
