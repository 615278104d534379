/* SPDX-License-Identifier: Apache-2.0
 * Sessions of the public header: turns, figures, what steps cost, traces that are JSON whatever names are in the model, no memory. Also the
 * multiply-adds behind the operations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "frontends/capi/qcc.h"
#include "ir/check.h"
#include "ir/text.h"
#include "tests/oom.h"

static const char net[] =
    "graph @net(%x: f32[1,3,8,8]) -> (%y) opset 13 {\n"
    "  %w = const f32[16,3,3,3] rand(1)\n"
    "  %v = const f32[5,16] rand(2)\n"
    "  %c = Conv(%x, %w) {pads=[1,1,1,1]} \"conv\"\n"
    "  %r = Relu(%c) \"relu\"\n"
    "  %p = GlobalAveragePool(%r) \"pool\"\n"
    "  %f = Flatten(%p) \"flat\"\n"
    "  %g = Gemm(%f, %v) {transB=1} \"gemm \\\"\\\\ \\x01\\xc3\\xa4\\xff\"\n"
    "  %y = Softmax(%g) \"soft\"\n}\n";
enum { CONV = 2 * 16 * 8 * 8 * 27, RELU = 16 * 8 * 8, GEMM = 2 * 5 * 16 };

typedef struct world {
  qcc_context *cx;
  qcc_model *model;
  qcc_data *one, *data;
} world;

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  assert_int_equal(qcc_open(&w->cx, NULL), QCC_OK);
  assert_int_equal(qcc_parse(&w->model, w->cx, net, strlen(net), "net.qir"), QCC_OK);
  assert_int_equal(qcc_data_synthetic(&w->one, w->model, 2, 7), QCC_OK);
  assert_int_equal(qcc_data_repeat(&w->data, w->one, 5), QCC_OK);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  qcc_data_free(w->data);
  qcc_data_free(w->one);
  qcc_model_free(w->model);
  qcc_close(w->cx);
  free(w);
  return 0;
}

static qcc_session *open_session(world *w, unsigned threads, bool profile, bool trace) {
  qcc_session *s = NULL;
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  settings.threads = threads;
  settings.profile = profile;
  settings.trace = trace;
  assert_int_equal(qcc_session_open(&s, w->model, &settings), QCC_OK);
  return s;
}

/* ---- turns */
typedef struct results {
  size_t next;
  float y[5][5];
} results;

static qcc_status keep(void *user, size_t sample, const qcc_array *outputs) {
  results *r = user;
  assert_int_equal(sample, r->next++);
  assert_int_equal(outputs[0].bytes, sizeof r->y[0]);
  memcpy(r->y[sample], outputs[0].data, sizeof r->y[0]);
  return QCC_OK;
}

static void turns(void **state) {
  world *w = *state;
  results plain = {0}, measured = {0}, two = {0};
  assert_int_equal(qcc_data_count(w->data), 5);
  assert_int_equal(qcc_run(w->model, w->data, 1, keep, &plain), QCC_OK);
  assert_int_equal(plain.next, 5);
  for (int i = 1; i < 5; i++) assert_memory_equal(plain.y[0], plain.y[i], sizeof plain.y[0]); /* the same sample */
  qcc_session *s = open_session(w, 2, true, true);
  assert_int_equal(qcc_session_run(s, w->data, keep, &measured), QCC_OK);
  assert_memory_equal(plain.y, measured.y, sizeof plain.y);
  assert_int_equal(qcc_session_run(s, w->one, keep, &two), QCC_OK);
  assert_int_equal(two.next, 2);
  assert_memory_equal(two.y[0], plain.y[0], sizeof plain.y[0]);
  assert_memory_not_equal(two.y[1], plain.y[0], sizeof plain.y[0]);
  assert_int_equal(qcc_session_run(s, w->data, NULL, NULL), QCC_OK);
  qcc_run_figures f;
  assert_int_equal(qcc_session_figures(s, &f), QCC_OK);
  assert_int_equal(f.samples, 12);
  assert_int_equal(f.threads, 2);
  assert_int_equal(f.plans, 1);
  assert_true(f.seconds > 0 && f.peak > 1e8 && f.arena_bytes >= 16 * 64 * 4 && f.packed_bytes >= 16 * 27 * 4 && *f.isa);
  assert_int_equal(qcc_session_reset(s), QCC_OK);
  assert_int_equal(qcc_session_figures(s, &f), QCC_OK);
  assert_true(f.samples == 0 && f.seconds == 0 && f.plans == 1);
  qcc_session_close(s);
}

/* Each set that this processor has can be asked for; they differ in the last bits at most. */
static void instruction_sets(void **state) {
  static const char *const name[] = {"avx512vnni", "avx512", "avxvnni", "avx2", "sse2", "i8mm", "dotprod", "neon", "c"};
  world *w = *state;
  unsigned here = 0;
  results plain = {0};
  assert_int_equal(qcc_run(w->model, w->one, 1, keep, &plain), QCC_OK);
  for (size_t i = 0; i < sizeof name / sizeof *name; i++) {
    qcc_session *s = NULL;
    results r = {0};
    qcc_run_figures f;
    qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
    settings.threads = 1;
    settings.isa = name[i];
    if (qcc_session_open(&s, w->model, &settings) != QCC_OK) continue;
    here++;
    assert_int_equal(qcc_session_run(s, w->one, keep, &r), QCC_OK);
    assert_int_equal(qcc_session_figures(s, &f), QCC_OK);
    assert_string_equal(f.isa, name[i]);
    for (size_t k = 0; k < 5; k++) assert_true(fabsf(r.y[0][k] - plain.y[0][k]) <= 1e-4f * (1 + fabsf(plain.y[0][k])));
    qcc_session_close(s);
  }
  assert_true(here >= 1);
}

/* ---- recurrence: one sequence runs on packed weights, four at once as a product of matrices */
enum { STEPS = 4, ROWS = 4, HIDDEN = 21 };

static qcc_status compare_sequences(void *user, size_t sample, const qcc_array *outputs) {
  size_t *seen = user;
  (void)sample;
  assert_int_equal(outputs[0].bytes, STEPS * 2 * HIDDEN * sizeof(float));
  assert_int_equal(outputs[1].bytes, ROWS * outputs[0].bytes);
  const float *one = outputs[0].data, *all = outputs[1].data;
  for (size_t i = 0; i < STEPS * 2; i++)
    for (size_t row = 0; row < ROWS; row++)
      for (size_t j = 0; j < HIDDEN; j++) assert_true(fabsf(all[(i * ROWS + row) * HIDDEN + j] - one[i * HIDDEN + j]) < 2e-5f);
  float most = 0;
  for (size_t i = 0; i < STEPS * 2 * HIDDEN; i++) most = fmaxf(most, fabsf(one[i]));
  assert_true(most > .05f);
  ++*seen;
  return QCC_OK;
}

static void sequences(void **state) {
  static const char text[] =
      "graph @g(%%x: f32[4,1,7]) -> (%%a, %%b) opset 14 {\n  %%w = const f32[2,%d,7] rand(1)\n"
      "  %%r = const f32[2,%d,21] rand(2)\n  %%xx = Concat(%%x, %%x, %%x, %%x) {axis=1}\n"
      "  %%a = %s(%%x, %%w, %%r) {hidden_size=21, direction=\"bidirectional\"%s}\n"
      "  %%b = %s(%%xx, %%w, %%r) {hidden_size=21, direction=\"bidirectional\"%s}\n}\n";
  static const struct {
    const char *op, *more;
    int gates;
  } cells[] = {{"LSTM", "", 4}, {"GRU", "", 3}, {"GRU", ", linear_before_reset=1", 3}, {"RNN", "", 1}};
  world *w = *state;
  for (size_t i = 0; i < sizeof cells / sizeof *cells; i++) {
    char net_text[1000];
    const int rows = cells[i].gates * HIDDEN;
    const int n = snprintf(net_text, sizeof net_text, text, rows, rows, cells[i].op, cells[i].more, cells[i].op,
                           cells[i].more); /* NOLINT: a constant of this file */
    qcc_model *m = NULL;
    qcc_data *one = NULL;
    size_t seen = 0;
    assert_int_equal(qcc_parse(&m, w->cx, net_text, (size_t)n, NULL), QCC_OK);
    assert_int_equal(qcc_data_synthetic(&one, m, 1, 7), QCC_OK);
    assert_int_equal(qcc_run(m, one, 1, compare_sequences, &seen), QCC_OK);
    assert_int_equal(seen, 1);
    qcc_data_free(one);
    qcc_model_free(m);
  }
}

/* ---- what steps cost */
typedef struct found {
  unsigned steps;
  uint64_t runs;
  qcc_step_cost conv, gemm;
  double seconds;
} found;

static void find(void *user, const qcc_step_cost *c) {
  found *f = user;
  f->steps++;
  f->runs += c->runs;
  f->seconds += c->seconds;
  assert_true(c->runs > 0 && c->seconds >= 0 && c->name && c->op && c->fused && c->fused_ops);
  if (strcmp(c->op, "Conv") == 0) f->conv = *c;
  if (strcmp(c->op, "Gemm") == 0) f->gemm = *c;
}

static void costs(void **state) {
  world *w = *state;
  for (unsigned threads = 1; threads <= 2; threads++) {
    found f = {0};
    qcc_run_figures all;
    qcc_session *s = open_session(w, threads, true, false);
    assert_int_equal(qcc_session_steps(s, find, &f), QCC_OK);
    assert_int_equal(f.steps, 0);
    assert_int_equal(qcc_session_run(s, w->data, NULL, NULL), QCC_OK);
    assert_int_equal(qcc_session_steps(s, find, &f), QCC_OK);
    assert_int_equal(f.runs, 5 * f.steps);
    assert_string_equal(f.conv.name, "conv");
    assert_string_equal(f.conv.fused_ops, "Relu");
    assert_string_equal(f.conv.fused, "relu");
    assert_true(f.conv.operations == 5.0 * (CONV + RELU));
    assert_true(f.conv.bytes_written == 5.0 * 16 * 64 * 4);
    assert_true(f.conv.bytes_read >= 5.0 * 4 * (3 * 64 + 16 * 27)); /* packed weights may be padded */
    assert_true(f.gemm.operations == 5.0 * GEMM);
    assert_int_equal(qcc_session_figures(s, &all), QCC_OK);
    assert_true(f.seconds <= all.seconds * threads);
    assert_int_equal(qcc_session_reset(s), QCC_OK);
    f = (found){0};
    assert_int_equal(qcc_session_steps(s, find, &f), QCC_OK);
    assert_int_equal(f.steps, 0);
    qcc_session_close(s);
  }
}

/* ---- traces */
static void traces(void **state) {
  world *w = *state;
  char *text = NULL;
  size_t n = 0, conv = 0, gemm = 0;
  qcc_session *s = open_session(w, 2, false, true);
  assert_int_equal(qcc_session_run(s, w->data, NULL, NULL), QCC_OK);
  assert_int_equal(qcc_session_trace(s, &text, &n), QCC_OK);
  json_error_t why;
  json_t *root = json_loadb(text, n, JSON_REJECT_DUPLICATES, &why);
  if (!root) fail_msg("%d:%d: %s", why.line, why.column, why.text);
  size_t i;
  json_t *e;
  json_array_foreach(json_object_get(root, "traceEvents"), i, e) {
    if (strcmp(json_string_value(json_object_get(e, "ph")), "X") != 0) continue;
    const char *name = json_string_value(json_object_get(e, "name"));
    assert_true(json_number_value(json_object_get(e, "ts")) > 0 && json_number_value(json_object_get(e, "dur")) >= 0);
    assert_true(json_integer_value(json_object_get(json_object_get(e, "args"), "sample")) < 5);
    conv += strcmp(name, "conv") == 0;
    gemm += strncmp(name, "gemm \"\\ \x01\xc3\xa4", 10) == 0;
  }
  assert_int_equal(conv, 5);
  assert_int_equal(gemm, 5);
  json_decref(root);
  qcc_bytes_free(w->cx, text);
  qcc_session_close(s);
}

/* ---- misuse */
static void misuse(void **state) {
  world *w = *state;
  qcc_session *s = NULL;
  qcc_data *d = NULL;
  char *text = NULL;
  size_t n;
  qcc_run_figures f;
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  assert_int_equal(qcc_session_open(NULL, w->model, NULL), QCC_ARG);
  assert_int_equal(qcc_session_open(&s, NULL, NULL), QCC_ARG);
  settings.size--;
  assert_int_equal(qcc_session_open(&s, w->model, &settings), QCC_ARG);
  assert_null(s);
  settings.size++;
  settings.isa = "abacus";
  assert_int_equal(qcc_session_open(&s, w->model, &settings), QCC_ARG);
  assert_null(s);
  assert_non_null(strstr(qcc_message(w->cx), "no instruction set abacus"));
  qcc_session_close(NULL);
  assert_int_equal(qcc_data_repeat(&d, NULL, 1), QCC_ARG);
  assert_int_equal(qcc_data_repeat(NULL, w->one, 1), QCC_ARG);
  assert_int_equal(qcc_session_open(&s, w->model, NULL), QCC_OK);
  assert_int_equal(qcc_session_run(s, NULL, NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_session_run(NULL, w->data, NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_session_figures(s, NULL), QCC_ARG);
  assert_int_equal(qcc_session_figures(NULL, &f), QCC_ARG);
  assert_int_equal(qcc_session_reset(NULL), QCC_ARG);
  assert_int_equal(qcc_session_steps(s, NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_session_steps(s, find, NULL), QCC_ARG);
  assert_non_null(strstr(qcc_message(w->cx), "without a profile"));
  assert_int_equal(qcc_session_trace(s, &text, &n), QCC_ARG);
  qcc_session_close(s);
  s = open_session(w, 1, true, false);
  assert_int_equal(qcc_session_trace(s, &text, &n), QCC_ARG);
  assert_non_null(strstr(qcc_message(w->cx), "without a trace"));
  assert_null(text);
  qcc_session_close(s);
}

static qcc_status all_of_it(qcc_context *cx, void *user) {
  qcc_model *m = NULL;
  qcc_data *one = NULL, *d = NULL;
  qcc_session *s = NULL;
  char *text = NULL;
  size_t n;
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  settings.threads = *(unsigned *)user;
  settings.trace = true;
  qcc_status st = qcc_parse(&m, cx, net, strlen(net), NULL);
  if (st == QCC_OK) st = qcc_data_synthetic(&one, m, 1, 7);
  if (st == QCC_OK) st = qcc_data_repeat(&d, one, 3);
  if (st == QCC_OK) st = qcc_session_open(&s, m, &settings);
  if (st == QCC_OK) st = qcc_session_run(s, d, NULL, NULL);
  if (st == QCC_OK) st = qcc_session_trace(s, &text, &n);
  qcc_bytes_free(cx, text);
  qcc_session_close(s);
  qcc_data_free(d);
  qcc_data_free(one);
  qcc_model_free(m);
  return st;
}

static void no_memory(void **state) {
  (void)state;
  for (unsigned threads = 1; threads <= 2; ++threads) assert_true(oom_sweep(all_of_it, &threads, 1, 0) > 50);
}

/* ---- multiply-adds */
static double macs_of(const char *text) {
  qcc_context *cx = NULL;
  qcc_graph *g = NULL;
  const qcc_host host = {.log = NULL};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  assert_int_equal(qcc_parse_graph(&g, cx, text, strlen(text), NULL), QCC_OK);
  const double macs = qcc_graph_macs(g);
  qcc_graph_free(g);
  qcc_context_free(cx);
  return macs;
}

static void multiply_adds(void **state) {
  (void)state;
  assert_true(macs_of("graph @g(%x: f32[2,4,5,6], %w: f32[8,2,3,3]) -> (%y) opset 13 {\n"
                      "  %y: f32[2,8,5,6] = Conv(%x, %w) {group=2, pads=[1,1,1,1]} \"n\"\n}\n") == 2 * 8 * 5 * 6 * 2 * 9);
  assert_true(macs_of("graph @g(%x: f32[1,4,5,6], %w: f32[4,3,2,2]) -> (%y) opset 13 {\n"
                      "  %y: f32[1,3,6,7] = ConvTranspose(%x, %w) \"n\"\n}\n") == 4 * 5 * 6 * 3 * 4);
  assert_true(macs_of("graph @g(%x: f32[7,3], %w: f32[7,5]) -> (%y) opset 13 {\n"
                      "  %y: f32[3,5] = Gemm(%x, %w) {transA=1} \"n\"\n}\n") == 3 * 5 * 7);
  assert_true(macs_of("graph @g(%x: f32[1,6,9], %w: f32[9,4]) -> (%y) opset 13 {\n"
                      "  %y: f32[1,6,4] = MatMul(%x, %w) \"n\"\n}\n") == 6 * 4 * 9);
  assert_true(macs_of("graph @g(%x: f32[1,12,6,9], %w: f32[1,12,9,4]) -> (%y) opset 13 {\n"
                      "  %y: f32[1,12,6,4] = MatMul(%x, %w) \"n\"\n}\n") == 12 * 6 * 4 * 9); /* each head its own matrix */
  assert_int_equal(qcc_weight_input(QCC_OP_QLINEAR_CONV), 3);
  assert_int_equal(qcc_weight_input(QCC_OP_CONV), 1);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {CASE(turns),
                                     CASE(instruction_sets),
                                     CASE(sequences),
                                     CASE(costs),
                                     CASE(traces),
                                     CASE(misuse),
                                     cmocka_unit_test(no_memory),
                                     cmocka_unit_test(multiply_adds)};
  return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
