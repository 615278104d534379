/* SPDX-License-Identifier: Apache-2.0
 * Operators against stored results. Usage: onnx_node ROOT [PART-OF-NAME], where ROOT holds one folder per test (model.onnx,
 * test_data_set_N/input_K.pb, output_K.pb).
 *
 * Every model goes through the reader and the built-in runtime; integers must be equal, floats within 1e-3 relative plus 1e-7. A model that
 * qcc refuses with "unsupported" is counted, never hidden; any other failure makes the exit code 1. 77 when ROOT is not there.
 * Output: one line per test that did not pass (all with a PART-OF-NAME), then the counts per operator. */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/onnx/import.h"

enum { MAX_VALUES = 64, MAX_OPS = 512, MAX_TESTS = 8192, PATH = 4096 };

typedef enum verdict { PASSED, UNSUPPORTED, FAILED } verdict;

typedef struct tally {
  char op[64];
  unsigned count[3];
} tally;

typedef struct test_case {
  char folder[PATH], error[1024], op[64], detail[512];
  qcc_context *cx;
  qcc_graph *g;
  qcc_tensor in[MAX_VALUES], want[MAX_VALUES];
  uint32_t in_count, want_count;
  bool wrong;
} test_case;

static void log_line(void *user, qcc_severity severity, const char *line) {
  test_case *t = user;
  if (severity == QCC_ERROR && !t->error[0]) snprintf(t->error, sizeof t->error, "%s", line);
}

/* ---- comparing */
static bool close_enough(double have, double want) {
  if (isnan(want)) return isnan(have) != 0;
  if (isinf(want) || isinf(have)) return have == want;
  return fabs(have - want) <= 1e-7 + 1e-3 * fabs(want);
}

static void type_text(const qcc_type *t, char *to, size_t n) {
  int at = snprintf(to, n, "%s[", qcc_dtype_name(t->dtype));
  for (int d = 0; d < t->rank; ++d) at += snprintf(to + at, n - (size_t)at, d ? ",%lld" : "%lld", (long long)t->dim[d]);
  snprintf(to + at, n - (size_t)at, "]");
}

static bool same(test_case *t, uint32_t i, const qcc_tensor *have, const qcc_tensor *want) {
  char a[128], b[128];
  if (!qcc_type_equal(&have->type, &want->type)) {
    type_text(&have->type, a, sizeof a);
    type_text(&want->type, b, sizeof b);
    snprintf(t->detail, sizeof t->detail, "output %u is %s, expected %s", i, a, b);
    return false;
  }
  if (want->type.dtype == QCC_STRING) return have->bytes == want->bytes && !memcmp(have->data, want->data, have->bytes);
  bool is_float = qcc_dtype_kind(want->type.dtype) == QCC_KIND_FLOAT;
  for (int64_t j = 0, n = qcc_tensor_count(want); j < n; ++j) {
    double x = qcc_tensor_get(have, j), y = qcc_tensor_get(want, j);
    bool ok = is_float ? close_enough(x, y) : qcc_tensor_get_s64(have, j) == qcc_tensor_get_s64(want, j);
    if (ok) continue;
    snprintf(t->detail, sizeof t->detail, "output %u element %lld of %lld is %.9g, expected %.9g", i, (long long)j, (long long)n, x, y);
    return false;
  }
  return true;
}

/* ---- running */
static qcc_status get_inputs(void *user, size_t index, qcc_tensor *inputs) {
  test_case *t = user;
  (void)index;
  uint32_t next = 0;
  for (uint32_t i = 0; i < t->g->input_count; ++i) {
    const qcc_tensor *given = t->g->inputs[i]->data; /* an input with a default, when the test stores fewer */
    bool use_default = given && t->in_count < t->g->input_count;
    if (use_default)
      inputs[i] = qcc_tensor_retain(given);
    else if (next < t->in_count)
      inputs[i] = qcc_tensor_retain(&t->in[next++]);
  }
  return QCC_OK;
}

static qcc_status check_outputs(void *user, size_t sample, const qcc_tensor *outputs) {
  test_case *t = user;
  (void)sample;
  for (uint32_t i = 0; i < t->want_count && !t->wrong; ++i) t->wrong = !same(t, i, &outputs[i], &t->want[i]);
  return QCC_OK;
}

static qcc_status load_values(test_case *t, const char *stem, qcc_tensor *to, uint32_t *n) {
  char path[PATH + 64];
  const char *name;
  for (*n = 0; *n < MAX_VALUES; ++*n) {
    snprintf(path, sizeof path, "%s/test_data_set_0/%s_%u.pb", t->folder, stem, *n);
    FILE *f = fopen(path, "rb");
    if (!f) return QCC_OK;
    fclose(f);
    QCC_TRY(qcc_onnx_load_tensor(&to[*n], t->cx, path, &name));
  }
  return QCC_OK;
}

static uint32_t needed_inputs(const qcc_graph *g) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < g->input_count; ++i) n += !g->inputs[i]->data;
  return n;
}

static qcc_status execute(test_case *t) {
  qcc_runner *r = NULL;
  const qcc_eval *eval = qcc_ref_eval();
  qcc_samples samples = {1, get_inputs, t};
  qcc_hooks hooks = {.output = check_outputs, .user = t};
  QCC_TRY(eval->open(&r, t->cx, t->g, NULL));
  qcc_status st = eval->run(r, &samples, 0, 1, &hooks);
  eval->close(r);
  return st;
}

static verdict run_case(test_case *t) {
  char path[PATH + 32];
  snprintf(path, sizeof path, "%s/model.onnx", t->folder);
  qcc_host host = {.log = log_line, .log_user = t};
  if (qcc_context_new(&t->cx, &host) != QCC_OK) return FAILED;
  qcc_status st = qcc_onnx_load(&t->g, t->cx, path);
  if (st == QCC_OK) {
    snprintf(t->op, sizeof t->op, "%s", t->g->node_count == 1 ? t->g->first->op_type : "(several)");
    if (load_values(t, "input", t->in, &t->in_count) != QCC_OK || load_values(t, "output", t->want, &t->want_count) != QCC_OK) {
      st = QCC_UNSUPPORTED; /* sequences, optionals, complex numbers: the files hold no plain tensor */
    } else if (t->in_count < needed_inputs(t->g)) {
      st = QCC_UNSUPPORTED;
      snprintf(t->detail, sizeof t->detail, "%u inputs stored for %u of the model", t->in_count, t->g->input_count);
    } else {
      st = execute(t);
    }
  }
  if (st == QCC_OK && t->want_count != t->g->output_count) t->wrong = t->want_count > t->g->output_count;
  verdict v = st == QCC_UNSUPPORTED ? UNSUPPORTED : st != QCC_OK || t->wrong ? FAILED : PASSED;
  for (uint32_t i = 0; i < MAX_VALUES; ++i) {
    qcc_tensor_release(&t->in[i]);
    qcc_tensor_release(&t->want[i]);
  }
  qcc_graph_free(t->g);
  if (v == PASSED && qcc_context_live_bytes(t->cx) > ((size_t)1 << 22)) { /* names and tables stay; tensors must not */
    snprintf(t->detail, sizeof t->detail, "memory is still held after the run");
    v = FAILED;
  }
  qcc_context_free(t->cx);
  return v;
}

/* ---- all of them */
static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static size_t list(const char *root, const char *part, char **names) {
  DIR *d = opendir(root);
  size_t n = 0;
  if (!d) return 0;
  for (struct dirent *e; (e = readdir(d)) && n < MAX_TESTS;) {
    if (e->d_name[0] != '.' && (!part || strstr(e->d_name, part))) names[n++] = strdup(e->d_name);
  }
  closedir(d);
  qsort(names, n, sizeof *names, by_name);
  return n;
}

static void count(tally *ops, size_t *op_count, const char *op, verdict v) {
  size_t i = 0;
  while (i < *op_count && strcmp(ops[i].op, op)) ++i;
  if (i == MAX_OPS) return;
  if (i == *op_count) snprintf(ops[(*op_count)++].op, sizeof ops[i].op, "%s", op);
  ++ops[i].count[v];
}

static int by_op(const void *a, const void *b) { return strcmp(((const tally *)a)->op, ((const tally *)b)->op); }

int main(int argc, char **argv) {
  static const char *const words[] = {"passed", "unsupported", "FAILED"};
  static char *names[MAX_TESTS];
  static tally ops[MAX_OPS];
  static test_case t;
  size_t op_count = 0, n = argc > 1 ? list(argv[1], argc > 2 ? argv[2] : NULL, names) : 0;
  unsigned total[3] = {0};
  if (n == 0) {
    printf("no tests at %s\n", argc > 1 ? argv[1] : "(no folder given)");
    return 77;
  }
  for (size_t i = 0; i < n; ++i) {
    memset(&t, 0, sizeof t);
    snprintf(t.folder, sizeof t.folder, "%s/%s", argv[1], names[i]);
    snprintf(t.op, sizeof t.op, "(unread)");
    verdict v = run_case(&t);
    ++total[v];
    count(ops, &op_count, t.op, v);
    if (v != PASSED || argc > 2) printf("%-11s %s (%s): %s %s\n", words[v], names[i], t.op, t.detail, t.error);
    fflush(stdout);
    free(names[i]);
  }
  qsort(ops, op_count, sizeof *ops, by_op);
  printf("\n%-28s %6s %11s %6s\n", "operator", "passed", "unsupported", "failed");
  for (size_t i = 0; i < op_count; ++i) printf("%-28s %6u %11u %6u\n", ops[i].op, ops[i].count[0], ops[i].count[1], ops[i].count[2]);
  printf("%-28s %6u %11u %6u of %zu\n", "all", total[0], total[1], total[2], n);
  return total[FAILED] ? 1 : 0;
}
