/* SPDX-License-Identifier: Apache-2.0
 * Reading and rewriting golden files. */
#include "tests/golden/case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *copy(const char *at, size_t n) {
  char *s = malloc(n + 1);
  if (!s) return NULL;
  memcpy(s, at, n);
  s[n] = 0;
  return s;
}

static char *read_all(const char *path, size_t *n) {
  FILE *f = fopen(path, "rb");
  if (!f) return NULL;
  size_t cap = 1 << 16;
  char *text = malloc(cap + 1);
  *n = 0;
  for (size_t got; text && (got = fread(text + *n, 1, cap - *n, f)) > 0;) {
    *n += got;
    if (*n < cap) continue;
    cap *= 2;
    char *more = realloc(text, cap + 1);
    if (!more) free(text);
    text = more;
  }
  fclose(f);
  if (text) text[*n] = 0;
  return text;
}

static size_t line_length(const char *at) { return strcspn(at, "\n"); }

static const char *next_line(const char *at) {
  at += line_length(at);
  return *at ? at + 1 : at;
}

char *golden_head(const golden *c, const char *key, unsigned index) {
  size_t n = strlen(key);
  for (const char *at = c->text; *at == ';' && at[1] != ';'; at = next_line(at)) {
    const char *text = at + 1 + strspn(at + 1, " ");
    if (strncmp(text, key, n) != 0 || (text[n] != ':' && text[n] != '\n' && text[n] != 0)) continue;
    if (index--) continue;
    text += n + (text[n] == ':');
    while (*text == ' ') text++;
    return copy(text, line_length(text));
  }
  return NULL;
}

bool golden_error(const golden *c, unsigned *line, char **text) {
  const char *at = strstr(c->text, "; error: ");
  if (!at) return false;
  *line = 1;
  for (const char *p = c->text; p < at; p++) *line += *p == '\n';
  at += strlen("; error: ");
  *text = copy(at, line_length(at));
  return *text != NULL;
}

static bool is_expect(const char *at) { return strncmp(at, ";; expect", 9) == 0 && (at[9] == '\n' || at[9] == 0); }

static bool read_expect(golden *c) {
  const char *at = c->text;
  while (*at && !is_expect(at)) at = next_line(at);
  c->expect_at = (size_t)(at - c->text);
  if (!*at) return true;
  char *to = c->expect = malloc(c->n + 1);
  if (!to) return false;
  for (at = next_line(at); *at; at = next_line(at)) {
    const char *line = at + strspn(at, ";");
    if (line == at) {
      fprintf(stderr, "%s: only comments may follow ';; expect'\n", c->path);
      return false;
    }
    line += *line == ' ';
    size_t n = line_length(line);
    memcpy(to, line, n);
    to += n;
    *to++ = '\n';
  }
  *to = 0;
  return true;
}

static bool read_kind(golden *c) {
  static const struct {
    const char *word;
    case_kind kind;
  } kinds[] = {{"pass", CASE_PASS}, {"roundtrip", CASE_ROUNDTRIP}, {"reject", CASE_REJECT}, {"eval", CASE_EVAL}};
  const char *first = c->text + (*c->text == ';') + strspn(c->text + (*c->text == ';'), " ");
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    size_t n = strlen(kinds[k].word);
    if (strncmp(first, kinds[k].word, n) != 0 || !strchr(": \n", first[n])) continue;
    c->kind = kinds[k].kind;
    c->pipeline = golden_head(c, kinds[k].word, 0);
    return c->pipeline != NULL;
  }
  fprintf(stderr, "%s: the first line must be '; pass: pipeline', '; roundtrip', '; reject' or '; eval'\n", c->path);
  return false;
}

static double head_number(const golden *c, const char *key, double fallback) {
  char *text = golden_head(c, key, 0);
  double x = text ? strtod(text, NULL) : fallback;
  free(text);
  return x;
}

bool golden_read(golden *c, const char *path) {
  *c = (golden){.path = path};
  c->text = read_all(path, &c->n);
  if (!c->text) {
    fprintf(stderr, "%s: cannot be read\n", path);
    return false;
  }
  if (!read_kind(c) || !read_expect(c)) return false;
  c->plan = golden_head(c, "plan", 0);
  c->target = golden_head(c, "target", 0);
  c->no_run = golden_head(c, "no-run", 0);
  c->sqnr = head_number(c, "sqnr", 0);
  c->tolerance = head_number(c, "tolerance", 1e-6);
  return true;
}

void golden_free(golden *c) {
  free(c->text);
  free(c->pipeline);
  free(c->plan);
  free(c->target);
  free(c->no_run);
  free(c->expect);
  *c = (golden){0};
}

bool golden_bless(const golden *c, const char *text) {
  FILE *f = fopen(c->path, "wb");
  if (!f) return false;
  fwrite(c->text, 1, c->expect_at, f);
  if (c->expect_at && c->text[c->expect_at - 1] != '\n') fputc('\n', f);
  fputs(";; expect\n", f);
  for (const char *at = text; *at; at = next_line(at)) {
    size_t n = line_length(at);
    fprintf(f, n ? ";; %.*s\n" : ";;\n", (int)n, at);
  }
  return fclose(f) == 0;
}
