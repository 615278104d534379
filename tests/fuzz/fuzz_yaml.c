/* SPDX-License-Identifier: Apache-2.0
 * The reader of capability files against hostile bytes. With -fsanitize=fuzzer (QCC_FUZZER defined) a libFuzzer target; otherwise a
 * program that makes mutants of the files it is given (fuzz_yaml COUNT SEED FILE...): cut, flipped, lines moved and doubled, words of the
 * language put in. Oracle: a known status, one error exactly when refused, no memory left, and the same target from the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/target/target.h"
#include "tests/memory_files.h"

#define MUST(what) ((what) ? (void)0 : die(#what, __LINE__))

static void die(const char *what, int line) {
  fprintf(stderr, "fuzz_yaml: line %d: %s does not hold\n", line, what);
  abort();
}

typedef struct bytes {
  char *at;
  size_t n;
} bytes;

static bool same(const qcc_target *a, const qcc_target *b) {
  return a->name == b->name && a->runtime == b->runtime && a->pattern_count == b->pattern_count && a->max_opset == b->max_opset &&
         memcmp(a->ops, b->ops, QCC_OP_COUNT * sizeof *a->ops) == 0;
}

static qcc_status check_bytes(const bytes *b) {
  memory_files files = {.file = {{"fuzz.yaml", b->at, b->n}}}; /* it may extend itself; nothing else is there */
  qcc_host host = memory_host(&files);
  qcc_context *cx = NULL;
  qcc_target t, again;
  MUST(qcc_context_new(&cx, &host) == QCC_OK);
  qcc_status st = qcc_target_find(&t, cx, "fuzz.yaml");
  MUST(st == QCC_OK || st == QCC_ARG || st == QCC_LIMIT || st == QCC_IO);
  MUST((st == QCC_OK) == (qcc_last_error(cx)[0] == 0));
  MUST(qcc_target_find(&again, cx, "fuzz.yaml") == st);
  if (st == QCC_OK) MUST(same(&t, &again));
  qcc_target_fini(&again);
  size_t live = qcc_context_live_bytes(cx); /* names stay, so the first time does not count */
  MUST(qcc_target_find(&again, cx, "fuzz.yaml") == st);
  qcc_target_fini(&again);
  MUST(qcc_context_live_bytes(cx) == live);
  qcc_target_fini(&t);
  qcc_context_free(cx);
  return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *at, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *at, size_t n) {
  bytes b = {.at = (char *)(uintptr_t)at, .n = n};
  (void)check_bytes(&b);
  return 0;
}

#ifndef QCC_FUZZER

/* ---- mutants */

static uint64_t next(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  uint64_t x = *seed ^ *seed >> 31;
  return (x * 0x9e3779b97f4a7c15u) >> 16;
}

static size_t below(uint64_t *seed, size_t n) { return n ? (size_t)(next(seed) % n) : 0; }

static void splice(bytes *b, size_t from, size_t drop, const char *put, size_t n) {
  char *out = malloc(b->n - drop + n + 1);
  MUST(out != NULL);
  memcpy(out, b->at, from);
  memcpy(out + from, put, n);
  memcpy(out + from + n, b->at + from + drop, b->n - from - drop);
  b->n = b->n - drop + n;
  free(b->at);
  b->at = out;
}

static const char *const tokens[] = {"{",
                                     "}",
                                     "[",
                                     "]",
                                     ", ",
                                     ": ",
                                     "- ",
                                     "\n",
                                     "\n    ",
                                     "&a ",
                                     "*a",
                                     "<<: *a",
                                     "!!str ",
                                     "!x ",
                                     "~",
                                     "null",
                                     "'",
                                     "\"",
                                     "\\0",
                                     "|\n ",
                                     ">\n ",
                                     "# ",
                                     "\t",
                                     "---\n",
                                     "...\n",
                                     "? ",
                                     "%YAML",
                                     "\xef\xbb\xbf",
                                     "\x00\x01",
                                     "\xf0\x9f\x8c\x8d",
                                     "default:",
                                     "static:",
                                     "extends: ",
                                     "versions:",
                                     "1e999",
                                     "-1",
                                     "99999999999999999999",
                                     "int",
                                     "fp32",
                                     "per_block",
                                     "Conv",
                                     "Conv + ",
                                     "| Relu",
                                     "fuzz.yaml",
                                     "ort-cpu",
                                     "bits: [4]",
                                     "group_size: [-1]",
                                     "zero_point: zero",
                                     "unit: ",
                                     "name: "};

static size_t line_at(const bytes *b, size_t at, size_t *n) {
  while (at > 0 && b->at[at - 1] != '\n') at--;
  const char *end = memchr(b->at + at, '\n', b->n - at);
  *n = end ? (size_t)(end - b->at) - at + 1 : b->n - at;
  return at;
}

static void mutate(bytes *b, uint64_t *seed) {
  size_t at = below(seed, b->n), n = 0, from = line_at(b, at, &n);
  const char *token = tokens[below(seed, sizeof tokens / sizeof *tokens)];
  bytes line = {malloc(n + 1), n};
  MUST(line.at != NULL);
  memcpy(line.at, b->at + from, n);
  switch (below(seed, 8)) {
    case 0: b->n = at; break;
    case 1:
      if (b->n) b->at[at] = (char)((unsigned char)b->at[at] ^ 1u << below(seed, 8));
      break;
    case 2: splice(b, from, n, "", 0); break;
    case 3: splice(b, from, 0, line.at, n); break;
    case 4: {
      size_t other = 0, to = line_at(b, below(seed, b->n), &other);
      splice(b, to, 0, line.at, n);
      break;
    }
    case 5: splice(b, at, below(seed, 8) < b->n - at ? 1 : 0, "", 0); break;
    default: splice(b, at, 0, token, strlen(token));
  }
  free(line.at);
}

static bytes read_file(const char *path) {
  FILE *f = fopen(path, "rb");
  MUST(f != NULL);
  fseek(f, 0, SEEK_END);
  long n = ftell(f);
  rewind(f);
  bytes b = {.at = malloc((size_t)n + 1), .n = (size_t)n};
  MUST(b.at && fread(b.at, 1, b.n, f) == b.n);
  fclose(f);
  return b;
}

int main(int argc, char **argv) {
  long seen[16] = {0};
  if (argc < 4) {
    fprintf(stderr, "usage: fuzz_yaml COUNT SEED FILE...\n");
    return 2;
  }
  long count = strtol(argv[1], NULL, 10);
  uint64_t seed = strtoull(argv[2], NULL, 10);
  for (int k = 3; k < argc; k++) {
    bytes b = read_file(argv[k]);
    MUST(check_bytes(&b) == QCC_OK);
    free(b.at);
  }
  for (long k = 0; k < count; k++) {
    bytes b = read_file(argv[3 + below(&seed, (size_t)argc - 3)]);
    for (size_t times = 1 + below(&seed, 4); times > 0; times--) mutate(&b, &seed);
    b.at = realloc(b.at, b.n ? b.n : 1); /* a heap block of just this size, so that a read beyond it is seen */
    seen[check_bytes(&b)]++;
    free(b.at);
  }
  printf("%ld mutants of %d files: %ld accepted, %ld refused, %ld over a limit\n", count, argc - 3, seen[QCC_OK],
         seen[QCC_ARG] + seen[QCC_IO], seen[QCC_LIMIT]);
  return 0;
}

#endif
