/* SPDX-License-Identifier: Apache-2.0
 * Shape inference against stored results. Usage: shapes ROOT, where ROOT holds one folder per operator test (model.onnx,
 * test_data_set_0/input_N.pb, output_N.pb).
 *
 * Twice per model: with the types of the inputs only, where inference must not contradict the stored outputs, and, for models of one node,
 * with the values of the inputs too, where it must give exactly the stored type unless the data decides the size. Names of models and
 * their outcome go to standard output; the exit code is 1 when a model is refused or contradicted, 77 when ROOT is not there. */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/onnx/import.h"
#include "ir/check.h"
#include "ir/text.h"

enum { MAX_VALUES = 64 };

typedef struct tally {
  unsigned models, skipped, unknown, exact, partial, failed;
} tally;

typedef struct test_case {
  const char *name, *folder;
  qcc_context *cx;
  qcc_graph *g;
  qcc_tensor in[MAX_VALUES], out[MAX_VALUES];
  uint32_t in_count, out_count;
} test_case;

static void log_line(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity == QCC_ERROR && getenv("QCC_VERBOSE")) printf("    %s\n", line);
}

static uint32_t load_all(test_case *t, const char *stem, qcc_tensor *to) {
  uint32_t n = 0;
  for (; n < MAX_VALUES; n++) {
    char path[1024];
    const char *name;
    snprintf(path, sizeof path, "%s/test_data_set_0/%s_%u.pb", t->folder, stem, n);
    FILE *f = fopen(path, "rb");
    if (!f) break;
    fclose(f);
    if (qcc_onnx_load_tensor(&to[n], t->cx, path, &name) != QCC_OK) return UINT32_MAX;
  }
  return n;
}

static bool load(test_case *t) {
  char path[1024];
  snprintf(path, sizeof path, "%s/model.onnx", t->folder);
  if (qcc_onnx_load(&t->g, t->cx, path) != QCC_OK) return false;
  uint32_t in = load_all(t, "input", t->in), out = load_all(t, "output", t->out);
  if (in != UINT32_MAX) t->in_count = in;
  if (out != UINT32_MAX) t->out_count = out;
  uint32_t open = 0; // inputs without a value of their own
  for (uint32_t i = 0; i < t->g->input_count; i++) open += t->g->inputs[i]->data == NULL;
  return in != UINT32_MAX && out != UINT32_MAX && in == open && out == t->g->output_count;
}

static void unload(test_case *t) {
  for (uint32_t i = 0; i < MAX_VALUES; i++) {
    qcc_tensor_release(&t->in[i]);
    qcc_tensor_release(&t->out[i]);
  }
  qcc_graph_free(t->g);
  t->g = NULL;
}

static void tell(const test_case *t, const char *what, uint32_t k, const qcc_type *got) {
  qcc_text text = {.cx = t->cx};
  qcc_print_type(&text, t->cx, got);
  qcc_text_addf(&text, ", stored is ");
  qcc_print_type(&text, t->cx, &t->out[k].type);
  printf("%s: %s: output %u is %s\n", what, t->name, k, text.at ? text.at : "?");
  qcc_text_free(&text);
}

/* 2: exact, 1: unknown in part, 0: contradiction. */
static int compare(const test_case *t, const char *what, uint32_t k, const qcc_type *got) {
  qcc_type merged = *got;
  if (!qcc_type_merge(&merged, &t->out[k].type)) {
    tell(t, what, k, got);
    return 0;
  }
  for (int i = 0; i < got->rank; i++)
    if (got->dim[i] < 0) return 1;
  return got->rank >= 0 && got->dtype != QCC_NONE ? 2 : 1;
}

static bool is_data_dependent(const qcc_node *n) {
  static const qcc_op ops[] = {QCC_OP_NON_ZERO, QCC_OP_NON_MAX_SUPPRESSION,  QCC_OP_COMPRESS,
                               QCC_OP_UNIQUE,   QCC_OP_STRING_SPLIT,         QCC_OP_STRING_NORMALIZER,
                               QCC_OP_OPAQUE,   QCC_OP_OPTIONAL_GET_ELEMENT, QCC_OP_IMAGE_DECODER};
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
    if (n->op == ops[i]) return true;
  return false;
}

/* One node with all values known. */
static bool check_node(const test_case *t, const qcc_node *n, tally *sum) {
  const qcc_type *in[MAX_VALUES];
  const qcc_tensor *known[MAX_VALUES];
  qcc_type out[MAX_VALUES];
  for (uint32_t k = 0; k < n->in_count; k++) {
    const qcc_value *v = qcc_in(n, k);
    known[k] = qcc_is_const(v) ? v->data : NULL;
    for (uint32_t i = 0, j = 0; v && i < t->g->input_count; i++) {
      if (t->g->inputs[i] == v && !v->data) known[k] = &t->in[j];
      j += t->g->inputs[i]->data == NULL;
    }
    in[k] = known[k] ? &known[k]->type : NULL;
    if (v && !known[k]) return true;
  }
  qcc_infer f = {.cx = t->cx, .node = n, .opset = qcc_graph_opset(t->g, n->domain), .in = in, .known = known, .out = out};
  if (qcc_infer_node(&f) != QCC_OK) {
    printf("refused: %s: %s\n", t->name, qcc_last_error(t->cx));
    return false;
  }
  for (uint32_t k = 0; k < t->g->output_count; k++) {
    uint32_t from = t->g->outputs[k]->value->def_index;
    int result = compare(t, "wrong with values", k, &out[from]);
    if (result == 0) return false;
    if (result == 1 && !is_data_dependent(n) && n->op != QCC_OP_LOOP && n->op != QCC_OP_SCAN && n->op != QCC_OP_IF) {
      tell(t, "not found", k, &out[from]);
      sum->unknown++;
    }
  }
  return true;
}

static void forget_outputs(qcc_graph *g) {
  QCC_FOR_NODES(n, g)
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (!n->out[k]) continue;
    n->out[k]->type = qcc_type_unknown();
    n->out[k]->typed_by_file = false;
  }
}

static bool check_graph(const test_case *t, tally *sum) {
  forget_outputs(t->g);
  for (uint32_t i = 0, j = 0; i < t->g->input_count; i++)
    if (!t->g->inputs[i]->data) qcc_set_type(t->g->inputs[i], &t->in[j++].type);
  if (qcc_infer_graph(t->g, qcc_ref_eval()) != QCC_OK) {
    printf("refused: %s: %s\n", t->name, qcc_last_error(t->cx));
    return false;
  }
  int least = 2;
  for (uint32_t k = 0; k < t->out_count; k++) {
    int result = compare(t, "wrong", k, &t->g->outputs[k]->value->type);
    if (result < least) least = result;
  }
  sum->exact += least == 2;
  sum->partial += least == 1;
  return least > 0;
}

static void check(const char *root, const char *name, tally *sum) {
  char folder[900];
  snprintf(folder, sizeof folder, "%s/%s", root, name);
  test_case *t = calloc(1, sizeof *t);
  if (!t) exit(1);
  *t = (test_case){.name = name, .folder = folder};
  const qcc_host host = {.log = log_line};
  if (qcc_context_new(&t->cx, &host) != QCC_OK) exit(1);
  sum->models++;
  if (!load(t)) {
    sum->skipped++;
    if (getenv("QCC_VERBOSE")) printf("skipped: %s: %s\n", name, qcc_last_error(t->cx));
  } else {
    bool single = t->g->node_count == 1;
    bool good = (!single || check_node(t, t->g->first, sum)) && check_graph(t, sum);
    sum->failed += !good;
  }
  unload(t);
  qcc_context_free(t->cx);
  free(t);
}

static int by_name(const struct dirent **a, const struct dirent **b) { return strcmp((*a)->d_name, (*b)->d_name); }

int main(int argc, char **argv) {
  struct dirent **entries;
  int n = argc == 2 ? scandir(argv[1], &entries, NULL, by_name) : -1;
  if (n < 0) {
    printf("no folder with operator tests\n");
    return 77;
  }
  tally sum = {0};
  for (int i = 0; i < n; i++) {
    if (entries[i]->d_name[0] != '.') check(argv[1], entries[i]->d_name, &sum);
    free(entries[i]);
  }
  free(entries);
  printf(
      "%u models: %u exact, %u in part, %u failed, %u skipped (not tensors, or not readable); %u outputs not found although all is known\n",
      sum.models, sum.exact, sum.partial, sum.failed, sum.skipped, sum.unknown);
  return sum.failed || sum.unknown || sum.models == 0;
}
