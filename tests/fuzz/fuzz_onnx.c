/* SPDX-License-Identifier: Apache-2.0
 * The ONNX reader against hostile bytes. With -fsanitize=fuzzer (QCC_FUZZER defined) a libFuzzer target; otherwise a program that
 * makes mutants of real models (fuzz_onnx COUNT SEED FOLDER...) or all cuts of one (fuzz_onnx cuts FILE). Mutants are cut, flipped,
 * grown, or get whole fields doubled, dropped, moved or set to extreme values. Oracle: a known status; no output and nothing
 * allocated after a refusal; what is accepted can be typed, written, and read again, and writing that again gives the same bytes. */
#define _XOPEN_SOURCE 700
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backends/onnx/export.h"
#include "frontends/onnx/import.h"
#include "ir/check.h"

#define MUST(what) ((what) ? (void)0 : die(#what, __LINE__))

static void die(const char *what, int line) {
  fprintf(stderr, "fuzz_onnx: line %d: %s does not hold\n", line, what);
  abort();
}

static int is_refusal(qcc_status st) { return st == QCC_INVALID || st == QCC_UNSUPPORTED || st == QCC_LIMIT; }

/* ---- the oracle */
static void write_twice(qcc_context *cx, const qcc_graph *g) {
  void *first = NULL, *second = NULL;
  size_t n = 0, m = 0;
  qcc_graph *again = NULL;
  qcc_status st = qcc_onnx_save_memory(&first, &n, g);
  if (st == QCC_LIMIT) return; /* a name made longer than allowed */
  MUST(st == QCC_OK);
  MUST(qcc_onnx_load_memory(&again, cx, first, n, NULL, "again", false) == QCC_OK);
  MUST(qcc_onnx_save_memory(&second, &m, again) == QCC_OK);
  MUST(m == n && !memcmp(first, second, n));
  qcc_graph_free(again);
  qcc_free(cx, first);
  qcc_free(cx, second);
}

static qcc_status check_bytes(const uint8_t *bytes, size_t n) {
  qcc_context *cx = NULL;
  qcc_graph *g = NULL;
  MUST(qcc_context_new(&cx, NULL) == QCC_OK);
  qcc_limits *limits = qcc_context_limits(cx);
  limits->tensor_bytes = 1 << 26;
  qcc_status st = qcc_onnx_load_memory(&g, cx, bytes, n, NULL, "fuzz", false);
  MUST(st == QCC_OK ? g != NULL : is_refusal(st) && !g);
  MUST((st == QCC_OK) == (qcc_last_error(cx)[0] == 0));
  if (st == QCC_OK) {
    write_twice(cx, g);
    qcc_status typed = qcc_infer_graph(g, NULL);
    MUST(typed == QCC_OK || is_refusal(typed));
  }
  qcc_graph_free(g);
  qcc_context_free(cx);
  return st;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n) {
  (void)check_bytes(bytes, n);
  return 0;
}

#ifndef QCC_FUZZER

/* ---- mutants */
typedef struct bytes {
  uint8_t *at;
  size_t n;
} bytes;

static uint64_t next(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  uint64_t x = *seed ^ *seed >> 31;
  return (x * 0x9e3779b97f4a7c15u) >> 16;
}

static size_t below(uint64_t *seed, size_t n) { return n ? (size_t)(next(seed) % n) : 0; }

static const uint8_t *const extremes[] = {(const uint8_t *)"\x00",
                                          (const uint8_t *)"\x7f",
                                          (const uint8_t *)"\xff\xff\xff\xff\x07",
                                          (const uint8_t *)"\x80\x80\x80\x80\x08",
                                          (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
                                          (const uint8_t *)"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
                                          (const uint8_t *)"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"};

static bytes copy_of(const uint8_t *at, size_t n, size_t more) {
  bytes b = {.at = malloc(n + more + 1), .n = n};
  MUST(b.at != NULL);
  memcpy(b.at, at, n);
  return b;
}

/* Replace `drop` bytes at `from` by `n` bytes. */
static void splice(bytes *b, size_t from, size_t drop, const uint8_t *put, size_t n) {
  bytes out = {.at = malloc(b->n - drop + n + 1), .n = b->n - drop + n};
  MUST(out.at != NULL);
  memcpy(out.at, b->at, from);
  memcpy(out.at + from, put, n);
  memcpy(out.at + from + n, b->at + from + drop, b->n - from - drop);
  free(b->at);
  *b = out;
}

static size_t read_number(const bytes *b, size_t at, uint64_t *out) {
  *out = 0;
  for (size_t k = 0; k < 10 && at + k < b->n; k++) {
    *out |= (uint64_t)(b->at[at + k] & 0x7f) << (7 * k);
    if (b->at[at + k] < 0x80) return k + 1;
  }
  return 0;
}

/* The field at `at`: where its payload begins and ends; false when these are no fields. */
static int field_at(const bytes *b, size_t at, unsigned *wire, size_t *body, size_t *end) {
  uint64_t tag, n = 0;
  size_t k = read_number(b, at, &tag);
  if (!k || tag >> 3 == 0) return 0;
  *wire = (unsigned)(tag & 7);
  *body = at + k;
  if (*wire == 0 || *wire == 2) {
    size_t more = read_number(b, *body, &n);
    if (!more) return 0;
    *end = *body + more;
    if (*wire == 0) return 1;
    *body = *end;
  } else if (*wire == 1 || *wire == 5) {
    n = *wire == 1 ? 8 : 4;
  } else {
    return 0;
  }
  if (n > b->n - *body) return 0;
  *end = *body + (size_t)n;
  return 1;
}

static void put_length(bytes *b, size_t at, size_t body, size_t n) {
  uint8_t number[10];
  size_t k = 0;
  uint64_t tag;
  size_t from = at + read_number(b, at, &tag);
  for (uint64_t x = n;; x >>= 7) {
    number[k++] = (uint8_t)(x < 0x80 ? x : x | 0x80);
    if (x < 0x80) break;
  }
  splice(b, from, body - from, number, k);
}

static void mutate_field(bytes *b, uint64_t *seed, size_t at, unsigned wire, size_t body, size_t end) {
  const uint8_t *extreme = extremes[below(seed, sizeof extremes / sizeof extremes[0])];
  bytes field = copy_of(b->at + at, end - at, 0);
  switch (below(seed, 4)) {
    case 0: splice(b, at, end - at, field.at, 0); break;                                        /* drop */
    case 1: splice(b, end, 0, field.at, field.n); break;                                        /* double */
    case 2: splice(b, b->n, 0, field.at, field.n), splice(b, at, end - at, field.at, 0); break; /* move to the end */
    default:
      if (wire == 0)
        splice(b, body, end - body, extreme, strlen((const char *)extreme) ? strlen((const char *)extreme) : 1);
      else if (end > body)
        b->at[body + below(seed, end - body)] ^= (uint8_t)(1u << below(seed, 8));
  }
  free(field.at);
}

/* One random field, at a random depth; lengths around it stay right. */
static void mutate_message(bytes *b, uint64_t *seed, unsigned depth) {
  size_t starts[256], count = 0, body = 0, end = 0;
  unsigned wire = 0;
  for (size_t at = 0; at < b->n && field_at(b, at, &wire, &body, &end); at = end) {
    if (count < 256)
      starts[count++] = at;
    else
      starts[below(seed, 256)] = at;
  }
  if (!count) return;
  size_t at = starts[below(seed, count)];
  if (!field_at(b, at, &wire, &body, &end)) return;
  if (wire != 2 || depth > 7 || below(seed, 4) == 0 || end - body < 2) {
    mutate_field(b, seed, at, wire, body, end);
    return;
  }
  bytes inner = copy_of(b->at + body, end - body, 0);
  mutate_message(&inner, seed, depth + 1);
  splice(b, body, end - body, inner.at, inner.n);
  put_length(b, at, body, inner.n);
  free(inner.at);
}

static void mutate(bytes *b, uint64_t *seed) {
  const uint8_t *extreme = extremes[below(seed, sizeof extremes / sizeof extremes[0])];
  size_t at = below(seed, b->n), n = below(seed, 64) < b->n - at ? below(seed, b->n - at) % 64 : 0;
  switch (below(seed, 8)) {
    case 0: b->n = at; break; /* cut */
    case 1:
      for (size_t k = 1 + below(seed, 8); k > 0 && b->n; k--) b->at[below(seed, b->n)] ^= (uint8_t)(1u << below(seed, 8));
      break;
    case 2: splice(b, at, 0, extreme, 1 + strlen((const char *)extreme)); break; /* grown by a number */
    case 3: {                                                                    /* oversized tail */
      bytes tail = copy_of(b->at, b->n < 4096 ? b->n : 4096, 0);
      splice(b, b->n, 0, tail.at, tail.n);
      free(tail.at);
      break;
    }
    case 4: splice(b, at, n, b->at, 0); break; /* a hole */
    default:
      for (size_t k = 1 + below(seed, 3); k > 0; k--) mutate_message(b, seed, 0);
  }
}

/* ---- files */
typedef struct list {
  char **at;
  size_t n, cap;
} list;

static void find_models(list *l, const char *folder) {
  DIR *d = opendir(folder);
  for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
    char path[1024];
    struct stat st;
    size_t n = strlen(e->d_name);
    if (e->d_name[0] == '.') continue;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (stat(path, &st) != 0) continue;
    if (S_ISDIR(st.st_mode)) find_models(l, path);
    if (!S_ISREG(st.st_mode) || n < 5 || strcmp(e->d_name + n - 5, ".onnx") != 0 || st.st_size > 3 << 20) continue;
    if (l->n == l->cap) l->at = realloc(l->at, (l->cap = l->cap * 2 + 64) * sizeof *l->at);
    l->at[l->n++] = strdup(path);
  }
  if (d) closedir(d);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static bytes read_file(const char *path) {
  FILE *f = fopen(path, "rb");
  MUST(f != NULL);
  fseek(f, 0, SEEK_END);
  long n = ftell(f);
  rewind(f);
  bytes b = {.at = malloc((size_t)n + 1), .n = (size_t)n};
  MUST(fread(b.at, 1, b.n, f) == b.n);
  fclose(f);
  return b;
}

/* Through files, as the compiler does it: after a refusal the folder holds the input alone. */
static void check_file(const bytes *b, const char *folder) {
  char in[1100], out[1100];
  qcc_context *cx = NULL;
  qcc_graph *g = NULL;
  struct stat st;
  snprintf(in, sizeof in, "%s/in.onnx", folder);
  snprintf(out, sizeof out, "%s/out.onnx", folder);
  FILE *f = fopen(in, "wb");
  MUST(f && fwrite(b->at, 1, b->n, f) == b->n && fclose(f) == 0);
  MUST(qcc_context_new(&cx, NULL) == QCC_OK);
  qcc_status status = qcc_onnx_load(&g, cx, in);
  if (status == QCC_OK) status = qcc_onnx_save(g, out, NULL);
  MUST(status == QCC_OK || is_refusal(status) || status == QCC_IO);
  MUST((status == QCC_OK) == (stat(out, &st) == 0));
  qcc_graph_free(g);
  qcc_context_free(cx);
  unlink(out);
  unlink(in);
}

/* Every beginning of a file. */
static int run_cuts(const char *path) {
  bytes b = read_file(path);
  size_t accepted = 0;
  for (size_t n = 0; n < b.n; n++) {
    bytes cut = copy_of(b.at, n, 0);
    cut.at = realloc(cut.at, n ? n : 1);
    accepted += check_bytes(cut.at, n) == QCC_OK;
    free(cut.at);
  }
  printf("%zu cuts of %s: %zu accepted\n", b.n, path, accepted);
  free(b.at);
  return 0;
}

static bytes make_mutant(const list *models, uint64_t *seed) {
  bytes b = read_file(models->at[below(seed, models->n)]);
  mutate(&b, seed);
  b.at = realloc(b.at, b.n ? b.n : 1); /* a heap block of just this size, so that a read beyond it is seen */
  return b;
}

static int run_mutants(const list *models, long count, uint64_t seed) {
  char folder[] = "/tmp/qcc-fuzz-XXXXXX";
  long seen[16] = {0};
  MUST(mkdtemp(folder) != NULL);
  for (long k = 0; k < count; k++) {
    bytes b = make_mutant(models, &seed);
    seen[check_bytes(b.at, b.n)]++;
    if (k % 4 == 0) check_file(&b, folder);
    free(b.at);
  }
  MUST(rmdir(folder) == 0); /* nothing is left in it */
  printf("%ld mutants of %zu models: %ld accepted, %ld invalid, %ld unsupported, %ld over a limit\n", count, models->n, seen[QCC_OK],
         seen[QCC_INVALID], seen[QCC_UNSUPPORTED], seen[QCC_LIMIT]);
  return 0;
}

static int dump_mutants(const list *models, long count, uint64_t seed, const char *folder) {
  for (long k = 0; k < count; k++) {
    char path[1100];
    bytes b = make_mutant(models, &seed);
    snprintf(path, sizeof path, "%s/%06ld.onnx", folder, k);
    FILE *f = fopen(path, "wb");
    MUST(f && fwrite(b.at, 1, b.n, f) == b.n && fclose(f) == 0);
    free(b.at);
  }
  return 0;
}

int main(int argc, char **argv) {
  list models = {0};
  int dump = argc > 1 && !strcmp(argv[1], "dump"), first = dump ? 5 : 3, st = 77;
  if (argc == 3 && !strcmp(argv[1], "cuts")) return access(argv[2], R_OK) ? 77 : run_cuts(argv[2]);
  if (argc <= first) {
    fprintf(stderr, "usage: fuzz_onnx COUNT SEED FOLDER... | fuzz_onnx dump COUNT SEED TO FOLDER... | fuzz_onnx cuts FILE\n");
    return 2;
  }
  for (int k = first; k < argc; k++) find_models(&models, argv[k]);
  if (models.n) qsort(models.at, models.n, sizeof *models.at, by_name);
  long count = strtol(argv[1 + dump], NULL, 10);
  uint64_t seed = strtoull(argv[2 + dump], NULL, 10);
  if (models.n) st = dump ? dump_mutants(&models, count, seed, argv[4]) : run_mutants(&models, count, seed);
  if (!models.n) printf("skipped: no models\n");
  for (size_t k = 0; k < models.n; k++) free(models.at[k]);
  free(models.at);
  return st;
}

#endif
