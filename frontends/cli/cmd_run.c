/* SPDX-License-Identifier: Apache-2.0
 * qcc run and qcc diff: models on the built-in runtime. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frontends/cli/cli.h"

/* ---- run: one call, inputs from files, outputs to files */

typedef struct call {
  qcc_context *cx;
  const args *a;
  const qcc_model *model;
  qcc_array *inputs; /* one per model input; data owned */
} call;

static qcc_status give(void *user, size_t index, qcc_array *inputs) {
  (void)index;
  call *c = user;
  memcpy(inputs, c->inputs, qcc_input_count(c->model) * sizeof *inputs);
  return QCC_OK;
}

static size_t input_index(const qcc_model *m, const char *name, size_t n) {
  size_t i = 0;
  while (i < qcc_input_count(m) && (strlen(qcc_input_name(m, i)) != n || strncmp(qcc_input_name(m, i), name, n) != 0)) i++;
  return i;
}

static qcc_status read_inputs(call *c) {
  for (uint32_t k = 0; k < c->a->in.count; k++) {
    const char *text = c->a->in.at[k], *eq = strrchr(text, '=');
    if (!eq) return usage_error("--in %s: expected NAME=FILE", text);
    size_t i = input_index(c->model, text, (size_t)(eq - text));
    if (i == qcc_input_count(c->model)) return usage_error("--in %s: the model has no such input", text);
    if (c->inputs[i].data) return usage_error("--in %s: the input is given twice", text);
    qcc_status st = qcc_array_read(&c->inputs[i], c->cx, eq + 1);
    if (st != QCC_OK) return st;
  }
  for (size_t i = 0; i < qcc_input_count(c->model); i++) {
    qcc_array type;
    bool has_value = qcc_tensor_of(c->model, qcc_input_name(c->model, i), &type) == QCC_OK && type.data;
    if (!c->inputs[i].data && !has_value)
      return usage_error("input %s is missing; give it with --in NAME=FILE", qcc_input_name(c->model, i));
  }
  return QCC_OK;
}

/* Where output `i` goes: '/' would leave the folder, control bytes make names that nobody can type. */
static qcc_status path_of(char path[4096], const call *c, size_t i) {
  const char *name = qcc_output_name(c->model, i);
  int n = snprintf(path, 4096, "%s/%s.npy", c->a->out, name);
  if (n < 0 || n >= 4096) return usage_error("the path of output %s is too long", name);
  for (char *p = path + strlen(c->a->out) + 1; *p; p++) {
    if (*p == '/' || (unsigned char)*p < 32 || *p == 127) *p = '_';
  }
  return QCC_OK;
}

/* The folder is made when there is something to put into it. */
static qcc_status write_outputs(void *user, size_t sample, const qcc_array *outputs) {
  (void)sample;
  call *c = user;
  if (mkdir(c->a->out, 0777) != 0 && errno != EEXIST) return file_error(c->a->out, "cannot make the folder");
  for (size_t i = 0; i < qcc_output_count(c->model); i++) {
    char path[4096];
    qcc_status st = path_of(path, c, i);
    if (st == QCC_OK) st = qcc_array_write(c->cx, &outputs[i], path);
    if (st != QCC_OK) return st;
  }
  return QCC_OK;
}

static void print_paths(const call *c) {
  for (size_t i = 0; i < qcc_output_count(c->model); i++) {
    char path[4096];
    if (path_of(path, c, i) != QCC_OK) return;
    print_safe(stdout, path);
    printf("\n");
  }
}

static qcc_status settings_of(qcc_run_settings *to, const args *a) {
  to->threads = (unsigned)a->threads.value;
  to->exact = a->exact != NULL;
  to->saturating = a->exact && strcmp(a->exact, "saturating") == 0;
  if (a->exact && *a->exact && !to->saturating) return usage_error("--exact=%s: it is --exact or --exact=saturating", a->exact);
  return QCC_OK;
}

static qcc_status run(call *c) {
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  qcc_status st = settings_of(&settings, c->a);
  if (st == QCC_OK) st = read_inputs(c);
  qcc_data *data = NULL;
  if (st == QCC_OK) st = qcc_data_pull(&data, c->model, 1, give, c);
  if (st == QCC_OK) st = qcc_run_as(c->model, data, &settings, write_outputs, c);
  if (st == QCC_OK && !c->a->quiet) print_paths(c);
  qcc_data_free(data);
  return st;
}

qcc_status cmd_run(qcc_context *cx, const args *a) {
  if (!a->out) return usage_error("where to? give --out FOLDER%s", "");
  qcc_model *m = NULL;
  qcc_status st = load_model(&m, cx, a->pos[0]);
  call c = {.cx = cx, .a = a, .model = m};
  if (st == QCC_OK && !(c.inputs = calloc(qcc_input_count(m) + 1, sizeof *c.inputs))) st = no_memory();
  if (st == QCC_OK) st = run(&c);
  for (size_t i = 0; c.inputs && i < qcc_input_count(m); i++) qcc_bytes_free(cx, (void *)(uintptr_t)c.inputs[i].data);
  free(c.inputs);
  qcc_model_free(m);
  return st;
}

/* ---- diff: rows in order of the graph, then the worst ones */

typedef struct table {
  qcc_diff_row *rows;
  size_t count, cap;
  bool failed;
} table;

static void add_row(void *user, const qcc_diff_row *row) {
  table *t = user;
  if (t->count == t->cap) {
    size_t cap = t->cap ? 2 * t->cap : 64;
    qcc_diff_row *rows = realloc(t->rows, cap * sizeof *rows);
    t->failed |= !rows;
    if (!rows) return;
    t->rows = rows;
    t->cap = cap;
  }
  t->rows[t->count++] = *row;
}

static int worse(const void *a, const void *b) {
  double x = ((const qcc_diff_row *)a)->sqnr_db, y = ((const qcc_diff_row *)b)->sqnr_db;
  return (x > y) - (x < y);
}

static void print_row(const qcc_diff_row *r) {
  size_t n = strlen(r->op);
  printf("%8.2f  %8.5f  %10.4g  ", r->sqnr_db, r->cosine, r->max_abs);
  print_safe(stdout, r->op);
  printf("%*s", n < 18 ? 19 - (int)n : 1, "");
  print_safe(stdout, r->tensor);
  printf("%s\n", r->is_output ? "  (output)" : "");
}

static void print_table(table *t) {
  printf("%8s  %8s  %10s  %-18s %s\n", "SQNR dB", "cosine", "max error", "made by", "tensor");
  for (size_t i = 0; i < t->count; i++) print_row(&t->rows[i]);
  qsort(t->rows, t->count, sizeof *t->rows, worse);
  printf("\nworst tensors\n");
  for (size_t i = 0; i < t->count && i < 10; i++) print_row(&t->rows[i]);
}

qcc_status cmd_diff(qcc_context *cx, const args *a) {
  if (a->calib.count == 0) return usage_error("which samples? give --calib SOURCE%s", "");
  qcc_model *first = NULL, *second = NULL;
  qcc_data *data = NULL;
  table t = {0};
  qcc_status st = load_model(&first, cx, a->pos[0]);
  if (st == QCC_OK) st = load_model(&second, cx, a->pos[1]);
  if (st == QCC_OK) st = qcc_data_open(&data, first, a->calib.at, a->calib.count, a->transform, a->samples.value);
  if (st == QCC_OK) st = qcc_diff(first, second, data, (unsigned)a->threads.value, add_row, &t);
  if (st == QCC_OK && t.failed) st = no_memory();
  if (st == QCC_OK) print_table(&t);
  free(t.rows);
  qcc_data_free(data);
  qcc_model_free(second);
  qcc_model_free(first);
  return st;
}
