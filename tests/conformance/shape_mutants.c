/* SPDX-License-Identifier: Apache-2.0
 * Shape inference on damaged models. Usage: shape_mutants ROOT [ROUNDS], where ROOT holds one folder per operator test.
 *
 * Every model is inferred ROUNDS times with random changes that a file could hold: sizes, ranks and element types of inputs, integers in
 * constants and attributes, list lengths, inputs left out, another opset; then raised to opset 21. Whatever happens, an error status comes with
 * exactly one message, success with none, nothing is our own fault (INTERNAL), and the graph still verifies. 77 when ROOT is not there. */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/onnx/import.h"
#include "ir/check.h"
#include "passes/pass.h"

enum { MAX_BYTES = 60000, MAX_LIST = 40 };

static const int64_t numbers[] = {0,
                                  1,
                                  -1,
                                  2,
                                  -2,
                                  3,
                                  -3,
                                  4,
                                  -4,
                                  5,
                                  7,
                                  8,
                                  -8,
                                  9,
                                  31,
                                  32,
                                  33,
                                  64,
                                  100,
                                  255,
                                  256,
                                  65535,
                                  65536,
                                  INT32_MAX,
                                  (int64_t)INT32_MAX + 1,
                                  INT32_MIN,
                                  (int64_t)1 << 32,
                                  (int64_t)1 << 40,
                                  INT64_MAX,
                                  INT64_MIN,
                                  INT64_MAX - 1,
                                  INT64_MIN + 1};

typedef struct run {
  uint64_t seed;
  int errors;
  unsigned long tried, inferred, wrong;
} run;

static uint32_t pick(run *r, uint32_t n) { /* 0..n-1 */
  r->seed = r->seed * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(r->seed >> 33) % n;
}

static int64_t number(run *r) { return numbers[pick(r, sizeof numbers / sizeof *numbers)]; }

static void log_line(void *user, qcc_severity severity, const char *line) {
  (void)line;
  ((run *)user)->errors += severity == QCC_ERROR;
}

static void change_input(run *r, qcc_value *v) {
  qcc_type t = v->type;
  uint32_t what = pick(r, 6);
  if (t.rank < 0 || v->data) return;
  if (what == 0) t = qcc_type_of(t.dtype, (int)pick(r, QCC_MAX_RANK + 1), numbers);
  if (what == 1) t.dtype = (qcc_dtype)(1 + pick(r, QCC_DTYPE_COUNT - 1));
  if (what == 2) t.rank = -1;
  if (what == 3) t.dtype = QCC_NONE;
  for (int i = 0; i < t.rank; i++)
    if (what == 0 || pick(r, 4) == 0) {
      t.dim[i] = number(r);
      if (t.dim[i] < 0) t.dim[i] = pick(r, 2) ? QCC_DIM_UNKNOWN : qcc_symbol(v->graph->cx, pick(r, 2) ? "N" : "M");
    }
  qcc_set_type(v, &t);
}

/* One integer of a tensor; takes the reference over and gives a changed one. */
static void change_tensor(run *r, qcc_tensor *t) {
  int64_t n = qcc_tensor_count(t), x = number(r);
  void *bytes = n > 0 && qcc_dtype_is_int(t->type.dtype) ? qcc_tensor_mut(t) : NULL;
  if (!bytes) return;
  size_t at = pick(r, (uint32_t)n);
  if (t->type.dtype == QCC_S64)
    memcpy((char *)bytes + 8 * at, &x, 8);
  else
    qcc_tensor_set(t, (int64_t)at, (double)x);
}

static void change_attr(run *r, qcc_node *n, qcc_attr *a) {
  if (a->kind == QCC_ATTR_INT) a->i = number(r);
  if (a->kind == QCC_ATTR_FLOAT) a->f = (float)number(r);
  if (a->kind == QCC_ATTR_TENSOR) {
    qcc_tensor t = qcc_tensor_retain(a->t);
    change_tensor(r, &t);
    qcc_attr_set_tensor(n, a->name, &t);
    qcc_tensor_release(&t);
  }
  if (a->kind == QCC_ATTR_INTS) {
    int64_t list[MAX_LIST];
    uint32_t count = pick(r, 3) || a->count > MAX_LIST ? a->count : pick(r, MAX_LIST);
    if (count > MAX_LIST) return;
    for (uint32_t i = 0; i < count; i++) list[i] = i < a->count && pick(r, 3) ? a->ints[i] : number(r);
    qcc_attr_set_ints(n, a->name, list, count);
  }
}

static qcc_status change_graph(qcc_graph *g, void *user) {
  run *r = user;
  for (uint32_t i = 0; i < g->input_count; i++)
    if (pick(r, 4) == 0) change_input(r, g->inputs[i]);
  for (uint32_t i = 0; i < g->const_count; i++)
    if (pick(r, 3) == 0) {
      qcc_tensor t = qcc_tensor_retain(g->consts[i]->data);
      change_tensor(r, &t);
      qcc_set_const(g->consts[i], &t);
    }
  QCC_FOR_NODES(n, g) {
    for (qcc_attr *a = n->attrs; a; a = a->next)
      if (pick(r, 3) == 0) change_attr(r, n, a);
    if (n->in_count && pick(r, 8) == 0) qcc_set_input(n, pick(r, n->in_count), NULL);
    for (uint32_t k = 0; k < n->out_count; k++)
      if (n->out[k] && pick(r, 2)) {
        n->out[k]->type = qcc_type_unknown();
        n->out[k]->typed_by_file = false;
      }
  }
  if (g->root == g && pick(r, 4) == 0) return qcc_graph_set_opset(g, "", 1 + pick(r, 21));
  return QCC_OK;
}

static void expect(run *r, qcc_context *cx, const char *name, const char *what, qcc_status status) {
  bool fine = status == QCC_OK ? r->errors == 0 : r->errors == 1 && status != QCC_INTERNAL;
  if (!fine) printf("%s: %s: status %d, %d errors, the last: %s\n", name, what, status, r->errors, qcc_last_error(cx));
  r->wrong += !fine;
}

static void try_one(run *r, const char *name, const void *bytes, size_t n) {
  qcc_context *cx;
  qcc_graph *g = NULL;
  const qcc_host host = {.log = log_line, .log_user = r};
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  if (qcc_context_new(&cx, &host) != QCC_OK) exit(1);
  if (qcc_onnx_load_memory(&g, cx, bytes, n, NULL, name, false) == QCC_OK && qcc_graph_walk(g, change_graph, r) == QCC_OK) {
    r->errors = 0;
    r->tried++;
    qcc_status status = qcc_infer_graph(g, qcc_ref_eval());
    expect(r, cx, name, "inference", status);
    if (status == QCC_OK) {
      r->inferred++;
      expect(r, cx, name, "verifier", qcc_verify(g, QCC_INVALID));
      r->errors = 0;
      expect(r, cx, name, "raise-opset", qcc_run_passes(g, "raise-opset{to=21}", &options));
    }
  }
  qcc_graph_free(g);
  qcc_context_free(cx);
}

static void try_model(run *r, const char *root, const char *name, unsigned long rounds) {
  char path[1024];
  snprintf(path, sizeof path, "%s/%s/model.onnx", root, name);
  FILE *f = fopen(path, "rb");
  if (!f) return;
  char *bytes = malloc(MAX_BYTES);
  size_t n = bytes ? fread(bytes, 1, MAX_BYTES, f) : 0;
  fclose(f);
  for (unsigned long i = 0; i < rounds && n > 0 && n < MAX_BYTES; i++) {
    r->seed = 0x9e3779b97f4a7c15u * (i + 1);
    for (const char *c = name; *c; c++) r->seed = r->seed * 31 + (unsigned char)*c;
    r->errors = 0;
    try_one(r, name, bytes, n);
  }
  free(bytes);
}

int main(int argc, char **argv) {
  struct dirent **entries;
  int n = argc >= 2 ? scandir(argv[1], &entries, NULL, alphasort) : -1;
  if (n < 0) {
    printf("no folder with operator tests\n");
    return 77;
  }
  run r = {0};
  for (int i = 0; i < n; i++) {
    if (entries[i]->d_name[0] != '.') try_model(&r, argv[1], entries[i]->d_name, argc > 2 ? strtoul(argv[2], NULL, 10) : 5);
    free(entries[i]);
  }
  free(entries);
  printf("%lu damaged models: %lu inferred, %lu refused, %lu wrong\n", r.tried, r.inferred, r.tried - r.inferred, r.wrong);
  return r.wrong != 0 || r.tried == 0;
}
