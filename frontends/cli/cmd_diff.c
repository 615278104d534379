/* SPDX-License-Identifier: Apache-2.0
 * qcc diff: two models on the same samples; rows in order of the graph, then the worst ones. */
#include <stdlib.h>
#include <string.h>

#include "frontends/cli/cli.h"

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
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  settings.threads = (unsigned)a->threads.value;
  qcc_status st = exact_of(&settings.exact, &settings.saturating, a);
  if (st == QCC_OK) st = load_model(&first, cx, a->pos[0]);
  if (st == QCC_OK) st = load_model(&second, cx, a->pos[1]);
  if (st == QCC_OK) st = qcc_data_open(&data, first, a->calib.at, a->calib.count, a->transform, a->samples.value);
  if (st == QCC_OK) st = qcc_diff_as(first, second, data, &settings, add_row, &t);
  if (st == QCC_OK && t.failed) st = no_memory();
  if (st == QCC_OK) print_table(&t);
  free(t.rows);
  qcc_data_free(data);
  qcc_model_free(second);
  qcc_model_free(first);
  return st;
}
