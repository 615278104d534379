/* SPDX-License-Identifier: Apache-2.0
 * qcc run: one call, inputs from files, outputs to files; repeated and measured when asked. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frontends/cli/cli.h"

enum { MOST_TURNS = 1000000 };

typedef struct call {
  qcc_context *cx;
  const args *a;
  const qcc_model *model;
  bool random;       /* nothing was given and nothing is written: only time matters */
  qcc_array *inputs; /* one per model input; data owned */
  qcc_array *outputs;
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
  if (c->random) return QCC_OK;
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
static qcc_status write_outputs(const call *c) {
  if (mkdir(c->a->out, 0777) != 0 && errno != EEXIST) return file_error(c->a->out, "cannot make the folder");
  for (size_t i = 0; i < qcc_output_count(c->model); i++) {
    char path[4096];
    qcc_status st = path_of(path, c, i);
    if (st == QCC_OK) st = qcc_array_write(c->cx, &c->outputs[i], path);
    if (st != QCC_OK) return st;
  }
  return QCC_OK;
}

/* Outputs are kept until everything else has gone well; repetitions give the same ones. */
static qcc_status keep_outputs(void *user, size_t sample, const qcc_array *outputs) {
  call *c = user;
  for (size_t i = 0; sample == 0 && i < qcc_output_count(c->model); i++) {
    void *copy = malloc(outputs[i].bytes + 1);
    if (!copy) return no_memory();
    memcpy(copy, outputs[i].data, outputs[i].bytes);
    c->outputs[i] = outputs[i];
    c->outputs[i].data = copy;
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
  to->profile = a->profile;
  to->trace = a->trace != NULL;
  to->runtime = a->runtime;
  to->isa = a->isa;
  return exact_of(&to->exact, &to->saturating, a);
}

/* ---- running: warm up, measure, tell */

static bool is_measured(const args *a) { return a->profile || a->trace || a->stats || a->repeat.given; }

static qcc_status open_data(qcc_data **out, call *c, size_t count) {
  if (!c->random) return qcc_data_pull(out, c->model, count, give, c);
  qcc_data *one = NULL;
  qcc_status st = qcc_data_synthetic(&one, c->model, 1, 0);
  if (st == QCC_OK) st = qcc_data_repeat(out, one, count);
  qcc_data_free(one);
  return st;
}

static qcc_status turn(qcc_session *s, call *c, size_t count, bool keep) {
  qcc_data *data = NULL;
  qcc_status st = count ? open_data(&data, c, count) : QCC_OK;
  if (st == QCC_OK && count) st = qcc_session_run(s, data, keep ? keep_outputs : NULL, c);
  qcc_data_free(data);
  return st;
}

static qcc_status prepare_trace(text_out *to, qcc_session *s, call *c) {
  char *text = NULL;
  size_t n = 0;
  qcc_status st = qcc_session_trace(s, &text, &n);
  if (st == QCC_OK) st = text_prepare(to, c->a->trace, text, n);
  qcc_bytes_free(c->cx, text);
  return st;
}

/* Trace and outputs, or neither. */
static qcc_status save(qcc_session *s, call *c) {
  text_out trace = {0};
  qcc_status st = c->a->trace ? prepare_trace(&trace, s, c) : QCC_OK;
  if (st == QCC_OK && c->a->out) st = write_outputs(c);
  return text_finish(&trace, st);
}

static qcc_status run(call *c) {
  const args *a = c->a;
  const bool measured = is_measured(a);
  qcc_session *s = NULL;
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  qcc_status st = settings_of(&settings, a);
  if (st == QCC_OK) st = qcc_session_open(&s, c->model, &settings);
  if (st == QCC_OK) st = read_inputs(c);
  if (st == QCC_OK) st = turn(s, c, a->warmup.given ? a->warmup.value : measured, false);
  if (st == QCC_OK) st = qcc_session_reset(s);
  if (st == QCC_OK) st = turn(s, c, a->repeat.given ? a->repeat.value : 1, a->out != NULL);
  if (st == QCC_OK) st = save(s, c);
  if (st == QCC_OK && a->out && !a->quiet) print_paths(c);
  if (st == QCC_OK && a->profile) st = print_profile(s);
  if (st == QCC_OK && a->stats) st = print_stats(s);
  qcc_session_close(s);
  return st;
}

static void free_arrays(call *c) {
  for (size_t i = 0; c->inputs && i < qcc_input_count(c->model); i++) qcc_bytes_free(c->cx, (void *)(uintptr_t)c->inputs[i].data);
  for (size_t i = 0; c->outputs && i < qcc_output_count(c->model); i++) free((void *)(uintptr_t)c->outputs[i].data);
  free(c->inputs);
  free(c->outputs);
}

qcc_status cmd_run(qcc_context *cx, const args *a) {
  if (!a->out && !is_measured(a)) return usage_error("where to? give --out FOLDER%s", "");
  if (a->repeat.given && (a->repeat.value == 0 || a->repeat.value > MOST_TURNS))
    return usage_error("--repeat is a number from 1 to a million%s", "");
  if (a->warmup.value > MOST_TURNS) return usage_error("--warmup is at most a million%s", "");
  qcc_model *m = NULL;
  qcc_status st = load_model(&m, cx, a->pos[0]);
  call c = {.cx = cx, .a = a, .model = m, .random = !a->out && a->in.count == 0};
  if (st == QCC_OK) {
    c.inputs = calloc(qcc_input_count(m) + 1, sizeof *c.inputs);
    c.outputs = calloc(qcc_output_count(m) + 1, sizeof *c.outputs);
    st = c.inputs && c.outputs ? run(&c) : no_memory();
  }
  free_arrays(&c);
  qcc_model_free(m);
  return st;
}
