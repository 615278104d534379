/* SPDX-License-Identifier: Apache-2.0
 * The public header misused: NULL everywhere, calls out of order, callbacks that fail or lie, data of another model. Nothing may crash;
 * every failure has the right status, leaves `*out` NULL, and says why whenever there was a context to say it through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "frontends/capi/qcc.h"
#include "tests/oom.h"

static const char two_layers[] =
    "graph @net(%x: f32[1,3,4,4]) -> (%y) opset 13 {\n"
    "  %w = const f32[4,3,3,3] rand(1)\n"
    "  %v = const f32[5,64] rand(2)\n"
    "  %c = Conv(%x, %w) {pads=[1,1,1,1]} \"conv\"\n"
    "  %r = Relu(%c) \"relu\"\n"
    "  %f = Flatten(%r) \"flat\"\n"
    "  %y = Gemm(%f, %v) {transB=1} \"gemm\"\n}\n";
static const char two_inputs[] =
    "graph @sum(%x: f32[1,3,4,4], %z: f32[1,3,4,4]) -> (%y) opset 13 {\n"
    "  %y = Add(%x, %z) \"add\"\n}\n";

typedef struct world {
  qcc_context *cx;
  qcc_model *model, *pair;
  qcc_data *data, *pair_data;
  unsigned lines;        /* logged errors */
  size_t cancel_after;   /* progress calls until "stop"; 0: never */
  size_t asked, failing; /* samples asked for; index that fails, plus 1 */
  qcc_array sample[2];
  float values[48];
} world;

static void count_lines(void *user, qcc_severity severity, const char *line) {
  world *w = user;
  assert_non_null(line);
  assert_null(strchr(line, '\n'));
  w->lines += severity == QCC_ERROR;
}

static bool may_go_on(void *user, const char *stage, uint64_t done, uint64_t total) {
  world *w = user;
  assert_non_null(stage);
  assert_true(done <= total);
  return w->cancel_after == 0 || --w->cancel_after > 0;
}

static qcc_status get(void *user, size_t index, qcc_array *inputs) {
  world *w = user;
  w->asked++;
  if (w->failing && index + 1 >= w->failing) return QCC_DATA;
  inputs[0] = w->sample[0];
  return QCC_OK;
}

static qcc_status get_two(void *user, size_t index, qcc_array *inputs) {
  world *w = user;
  (void)index;
  inputs[0] = w->sample[0], inputs[1] = w->sample[1];
  return QCC_OK;
}

static qcc_array image(const world *w) {
  return (qcc_array){.dtype = 1, .rank = 4, .dim = {1, 3, 4, 4}, .data = w->values, .bytes = sizeof w->values};
}

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  qcc_host host = {.log = count_lines, .log_user = w, .progress = may_go_on, .progress_user = w};
  for (int i = 0; i < 48; i++) w->values[i] = (float)(i % 11) / 5.0f - 1.0f;
  w->sample[0] = w->sample[1] = image(w);
  assert_int_equal(qcc_open(&w->cx, &host), QCC_OK);
  assert_int_equal(qcc_parse(&w->model, w->cx, two_layers, strlen(two_layers), "two.qir"), QCC_OK);
  assert_int_equal(qcc_parse(&w->pair, w->cx, two_inputs, strlen(two_inputs), NULL), QCC_OK);
  assert_int_equal(qcc_data_pull(&w->data, w->model, 8, get, w), QCC_OK);
  assert_int_equal(qcc_data_pull(&w->pair_data, w->pair, 8, get_two, w), QCC_OK);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  qcc_data_free(w->pair_data);
  qcc_data_free(w->data);
  qcc_model_free(w->pair);
  qcc_model_free(w->model);
  qcc_close(w->cx);
  free(w);
  return 0;
}

static qcc_status ignore_output(void *user, size_t sample, const qcc_array *outputs) {
  (void)user, (void)sample, (void)outputs;
  return QCC_OK;
}
static qcc_status refuse_output(void *user, size_t sample, const qcc_array *outputs) {
  (void)user, (void)outputs;
  return sample == 2 ? QCC_GOAL : QCC_OK;
}
static void ignore_row(void *user, const qcc_diff_row *row) { (void)user, (void)row; }
static void count_row(void *user, const qcc_diff_row *row) { *(unsigned *)user += row->sqnr_db > 100; }
static void ignore_text(void *user, const char *a, const char *b) { (void)user, (void)a, (void)b; }
static void ignore_why(void *user, const char *a, const char *b, const char *c) { (void)user, (void)a, (void)b, (void)c; }

/* A failure of `call` with `status`, told through the log and readable afterwards. */
#define FAILS(w, status, call)                 \
  do {                                         \
    unsigned before = (w)->lines;              \
    assert_int_equal(call, status);            \
    assert_int_equal((w)->lines, before + 1);  \
    assert_true(qcc_message((w)->cx)[0] != 0); \
  } while (0)

/* ---- NULL */

static void null_context(void **state) {
  world *w = *state;
  qcc_status (*const open)(qcc_context **, const qcc_host *) = qcc_open;
  assert_int_equal(open(NULL, NULL), QCC_ARG);
  qcc_close(NULL);
  assert_string_equal(qcc_message(NULL), "");
  assert_int_equal(qcc_set_limit(NULL, "max-nodes", 1), QCC_ARG);
  assert_int_equal(qcc_set_limit(w->cx, NULL, 1), QCC_ARG);
  assert_int_equal(qcc_peak_bytes(NULL), 0);
  assert_int_equal(qcc_list(NULL, "ops", ignore_text, NULL), QCC_ARG);
  assert_int_equal(qcc_list(w->cx, NULL, ignore_text, NULL), QCC_ARG);
  assert_int_equal(qcc_list(w->cx, "ops", NULL, NULL), QCC_ARG);
  FAILS(w, QCC_ARG, qcc_list(w->cx, "no table", ignore_text, NULL));
  FAILS(w, QCC_ARG, qcc_set_limit(w->cx, "no limit", 1));
}

static void null_model(void **state) {
  world *w = *state;
  qcc_model *m = NULL;
  qcc_array a;
  void *bytes = NULL;
  char *text = NULL;
  size_t n = 0;
  qcc_node_info info;
  qcc_model_free(NULL);
  qcc_bytes_free(NULL, NULL);
  qcc_bytes_free(w->cx, NULL);
  assert_int_equal(qcc_load(NULL, w->cx, "x"), QCC_ARG);
  assert_int_equal(qcc_load(&m, NULL, "x"), QCC_ARG);
  assert_int_equal(qcc_load(&m, w->cx, NULL), QCC_ARG);
  assert_int_equal(qcc_load_memory(&m, w->cx, NULL, 4, NULL), QCC_ARG);
  assert_int_equal(qcc_load_memory(NULL, w->cx, "", 0, NULL), QCC_ARG);
  assert_int_equal(qcc_parse(&m, w->cx, NULL, 4, NULL), QCC_ARG);
  assert_int_equal(qcc_parse(NULL, w->cx, "", 0, NULL), QCC_ARG);
  assert_int_equal(qcc_clone(&m, NULL), QCC_ARG);
  assert_int_equal(qcc_clone(NULL, w->model), QCC_ARG);
  assert_int_equal(qcc_save(NULL, "x"), QCC_ARG);
  assert_int_equal(qcc_save(w->model, NULL), QCC_ARG);
  assert_int_equal(qcc_save_memory(NULL, &bytes, &n), QCC_ARG);
  assert_int_equal(qcc_save_memory(w->model, NULL, &n), QCC_ARG);
  assert_int_equal(qcc_save_memory(w->model, &bytes, NULL), QCC_ARG);
  assert_int_equal(qcc_print(NULL, NULL, &text, &n), QCC_ARG);
  assert_int_equal(qcc_print(w->model, NULL, NULL, &n), QCC_ARG);
  assert_int_equal(qcc_node_count(NULL) + qcc_input_count(NULL) + qcc_output_count(NULL), 0);
  assert_int_equal(qcc_node_at(NULL, 0, &info), QCC_ARG);
  assert_int_equal(qcc_node_at(w->model, 0, NULL), QCC_ARG);
  assert_null(qcc_node_input(NULL, 0, 0));
  assert_null(qcc_input_name(NULL, 0));
  assert_null(qcc_output_name(NULL, 0));
  assert_int_equal(qcc_tensor_of(NULL, "x", &a), QCC_ARG);
  assert_int_equal(qcc_tensor_of(w->model, NULL, &a), QCC_ARG);
  assert_int_equal(qcc_tensor_of(w->model, "x", NULL), QCC_ARG);
  assert_int_equal(qcc_set_tensor(w->model, "w", NULL), QCC_ARG);
  assert_int_equal(qcc_passes(NULL, "dce", NULL), QCC_ARG);
  assert_int_equal(qcc_passes(w->model, NULL, NULL), QCC_ARG);
  assert_null(m);
  assert_null(text);
  assert_null(bytes);
}

static void null_work(void **state) {
  world *w = *state;
  qcc_model *m = NULL;
  qcc_data *d = NULL;
  qcc_array a;
  qcc_summary s;
  char *text = NULL;
  size_t n = 0;
  qcc_data_free(NULL);
  assert_int_equal(qcc_data_count(NULL), 0);
  assert_int_equal(qcc_data_open(&d, NULL, NULL, 0, NULL, 0), QCC_ARG);
  assert_int_equal(qcc_data_open(&d, w->model, NULL, 2, NULL, 0), QCC_ARG);
  assert_int_equal(qcc_data_open(&d, w->model, (const char *const[]){NULL}, 1, NULL, 0), QCC_ARG);
  assert_int_equal(qcc_data_pull(&d, w->model, 1, NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_data_pull(NULL, w->model, 1, get, w), QCC_ARG);
  assert_int_equal(qcc_data_synthetic(&d, NULL, 1, 0), QCC_ARG);
  assert_int_equal(qcc_array_read(NULL, w->cx, "x"), QCC_ARG);
  assert_int_equal(qcc_array_read(&a, w->cx, NULL), QCC_ARG);
  assert_int_equal(qcc_array_write(w->cx, NULL, "x"), QCC_ARG);
  assert_int_equal(qcc_compile(NULL, w->model, NULL), QCC_ARG);
  assert_int_equal(qcc_compile(&m, NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_summary_of(NULL, &s), QCC_ARG);
  assert_int_equal(qcc_summary_of(w->model, NULL), QCC_ARG);
  qcc_explain(NULL, ignore_why, NULL);
  qcc_explain(w->model, NULL, NULL);
  assert_int_equal(qcc_plan_json(NULL, &text, &n), QCC_ARG);
  assert_int_equal(qcc_compile_plan(&m, w->model, NULL, 0, NULL), QCC_ARG);
  assert_int_equal(qcc_run(w->model, NULL, 1, ignore_output, NULL), QCC_ARG);
  assert_int_equal(qcc_run(w->model, w->data, 1, NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_inspect_tensor(w->model, w->data, NULL, ignore_output, NULL), QCC_ARG);
  assert_int_equal(qcc_inspect_tensor(w->model, w->data, "c", NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_diff(w->model, NULL, w->data, 1, ignore_row, NULL), QCC_ARG);
  assert_int_equal(qcc_diff(w->model, w->model, w->data, 1, NULL, NULL), QCC_ARG);
  assert_null(d);
  assert_null(m);
  assert_null(text);
}

/* ---- contexts */

static void *no_memory(void *user, void *p, size_t old_size, size_t new_size) {
  (void)user, (void)p, (void)old_size, (void)new_size;
  return NULL;
}

static int never_opens(void *user, const char *path, const char *beneath, void **file, uint64_t *size) {
  (void)user, (void)path, (void)beneath, (void)file, (void)size;
  return 2;
}

static void bad_hosts(void **state) {
  (void)state;
  qcc_context *cx = (qcc_context *)(void *)&cx;
  assert_int_equal(qcc_open(&cx, &(qcc_host){.alloc.resize = no_memory}), QCC_NOMEM);
  assert_null(cx);
  assert_int_equal(qcc_open(&cx, &(qcc_host){.io.open = never_opens}), QCC_ARG);
  assert_null(cx);
  assert_int_equal(qcc_open(&cx, NULL), QCC_OK);
  qcc_model *m = NULL;
  assert_int_equal(qcc_load(&m, cx, "/nowhere/at all.onnx"), QCC_IO);
  assert_non_null(strstr(qcc_message(cx), "/nowhere/at all.onnx"));
  qcc_close(cx);
}

/* ---- models */

static void garbage_models(void **state) {
  world *w = *state;
  qcc_model *m = w->model;
  FAILS(w, QCC_INVALID, qcc_load_memory(&m, w->cx, "garbage", 7, NULL));
  assert_null(m);
  FAILS(w, QCC_INVALID, qcc_load_memory(&m, w->cx, "", 0, NULL));
  FAILS(w, QCC_INVALID, qcc_parse(&m, w->cx, "", 0, "empty.qir"));
  FAILS(w, QCC_INVALID, qcc_parse(&m, w->cx, "graph @f(", 9, NULL));
  FAILS(w, QCC_IO, qcc_load(&m, w->cx, "/"));
  assert_int_equal(qcc_set_limit(w->cx, "max-nodes", 2), QCC_OK);
  void *bytes = NULL;
  size_t n = 0;
  assert_int_equal(qcc_save_memory(w->model, &bytes, &n), QCC_OK);
  FAILS(w, QCC_LIMIT, qcc_load_memory(&m, w->cx, bytes, n, NULL));
  assert_int_equal(qcc_set_limit(w->cx, "max-nodes", 4), QCC_OK);
  assert_int_equal(qcc_load_memory(&m, w->cx, bytes, n, NULL), QCC_OK);
  qcc_bytes_free(w->cx, bytes);
  assert_int_equal(qcc_node_count(m), 4);
  qcc_model_free(m);
}

static void past_the_end(void **state) {
  world *w = *state;
  qcc_node_info info;
  qcc_array a;
  assert_int_equal(qcc_node_at(w->model, 4, &info), QCC_ARG);
  assert_int_equal(qcc_node_at(w->model, SIZE_MAX, &info), QCC_ARG);
  assert_null(qcc_node_input(w->model, 0, 2));
  assert_null(qcc_node_input(w->model, 0, UINT32_MAX));
  assert_null(qcc_node_output(w->model, 0, UINT32_MAX));
  assert_null(qcc_node_output(w->model, SIZE_MAX, 0));
  assert_null(qcc_input_name(w->model, 1));
  assert_null(qcc_output_name(w->model, SIZE_MAX));
  FAILS(w, QCC_ARG, qcc_tensor_of(w->model, "nobody", &a));
  assert_int_equal(qcc_tensor_of(w->model, "w", &a), QCC_OK);
  assert_int_equal(a.bytes, 4 * 3 * 3 * 3 * 4);
}

static void wrong_tensors(void **state) {
  world *w = *state;
  float one = 1;
  qcc_array a = {.dtype = 1, .rank = 1, .dim = {1}, .data = &one, .bytes = 4};
  FAILS(w, QCC_ARG, qcc_set_tensor(w->model, "w", &a));
  FAILS(w, QCC_ARG, qcc_set_tensor(w->model, "x", &a));
  const qcc_array lies[] = {
      {.dtype = 1, .rank = 1, .dim = {2}, .data = &one, .bytes = 4},
      {.dtype = 0, .rank = 1, .dim = {1}, .data = &one, .bytes = 4},
      {.dtype = 99, .rank = 1, .dim = {1}, .data = &one, .bytes = 4},
      {.dtype = -1, .rank = 1, .dim = {1}, .data = &one, .bytes = 4},
      {.dtype = 1, .rank = -1, .data = &one, .bytes = 4},
      {.dtype = 1, .rank = 9, .data = &one, .bytes = 4},
      {.dtype = 1, .rank = 1, .dim = {-1}, .data = &one, .bytes = 4},
      {.dtype = 1, .rank = 1, .dim = {1}, .data = NULL, .bytes = 4},
      {.dtype = 1, .rank = 2, .dim = {INT64_MAX, INT64_MAX}, .data = &one, .bytes = 4},
      {.dtype = 8, .rank = 1, .dim = {1}, .data = &one, .bytes = 4},
  };
  for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
    FAILS(w, QCC_ARG, qcc_set_tensor(w->model, "w", &lies[i]));
    FAILS(w, QCC_ARG, qcc_build_const(w->model, "fresh", &lies[i]));
    FAILS(w, QCC_ARG, qcc_array_write(w->cx, &lies[i], "/nowhere/x.npy"));
  }
  a.rank = 8;
  for (int i = 0; i < 8; i++) a.dim[i] = 1;
  assert_int_equal(qcc_build_const(w->model, "eight", &a), QCC_OK);
}

static void building_out_of_order(void **state) {
  world *w = *state;
  qcc_model *m = NULL;
  const qcc_array x = {.dtype = 1, .rank = 1, .dim = {4}};
  const char *in[] = {"x"}, *out[] = {"y"}, *twice[] = {"a", "a"}, *hole[] = {NULL};
  assert_int_equal(qcc_build_new(NULL, w->cx, 13), QCC_ARG);
  assert_int_equal(qcc_build_new(&m, NULL, 13), QCC_ARG);
  assert_int_equal(qcc_build_new(&m, w->cx, 13), QCC_OK);
  FAILS(w, QCC_ARG, qcc_build_int(m, "axis", 1));
  FAILS(w, QCC_ARG, qcc_build_output(m, "y"));
  FAILS(w, QCC_ARG, qcc_build_node(m, "", "Relu", "r", in, 1, out, 1));
  FAILS(w, QCC_ARG, qcc_build_int(m, "axis", 1));
  assert_int_equal(qcc_build_input(m, "x", NULL), QCC_ARG);
  assert_int_equal(qcc_build_input(NULL, "x", &x), QCC_ARG);
  assert_int_equal(qcc_build_input(m, "x", &x), QCC_OK);
  FAILS(w, QCC_ARG, qcc_build_input(m, "x", &x));
  assert_int_equal(qcc_build_node(m, "", NULL, "r", in, 1, out, 1), QCC_ARG);
  assert_int_equal(qcc_build_node(m, "", "Relu", "r", NULL, 1, out, 1), QCC_ARG);
  assert_int_equal(qcc_build_node(m, "", "Relu", "r", hole, 1, out, 1), QCC_ARG);
  assert_int_equal(qcc_build_node(m, "", "Relu", "r", in, 1, hole, 1), QCC_ARG);
  FAILS(w, QCC_ARG, qcc_build_node(m, "", "Split", "s", in, 1, twice, 2));
  assert_int_equal(qcc_build_node(m, "", "Relu", NULL, in, 1, out, 1), QCC_OK);
  FAILS(w, QCC_ARG, qcc_build_node(m, "", "Relu", "r2", in, 1, out, 1));
  FAILS(w, QCC_ARG, qcc_build_int(m, "axis", 1)); /* the failed node takes no attributes, nor does the one before it */
  assert_int_equal(qcc_build_output(m, "y"), QCC_OK);
  assert_int_equal(qcc_build_check(m), QCC_OK);
  qcc_model_free(m);
}

/* Whatever was built, the check says no or the model works; it does not crash. */
static void building_nonsense(void **state) {
  world *w = *state;
  qcc_model *m = NULL;
  const qcc_array x = {.dtype = 1, .rank = 1, .dim = {4}};
  const char *none[] = {"", "", ""}, *out[] = {"y"}, *in[] = {"x", "x", "x", "x"};
  assert_int_equal(qcc_build_new(&m, w->cx, 13), QCC_OK);
  assert_int_equal(qcc_build_input(m, "x", &x), QCC_OK);
  assert_int_equal(qcc_build_node(m, "", "Conv", "c", none, 3, out, 1), QCC_OK);
  FAILS(w, QCC_INVALID, qcc_build_check(m));
  qcc_model_free(m);
  assert_int_equal(qcc_build_new(&m, w->cx, 13), QCC_OK);
  assert_int_equal(qcc_build_input(m, "x", &x), QCC_OK);
  assert_int_equal(qcc_build_node(m, "", "Relu", "r", in, 4, out, 1), QCC_OK);
  FAILS(w, QCC_INVALID, qcc_build_check(m));
  qcc_model_free(m);
}

/* ---- passes */

static void pass_misuse(void **state) {
  world *w = *state;
  qcc_pass_options o = QCC_PASS_OPTIONS_INIT;
  FAILS(w, QCC_ARG, qcc_passes(w->model, "dce,", NULL));
  FAILS(w, QCC_ARG, qcc_passes(w->model, "no-such-pass", NULL));
  FAILS(w, QCC_ARG, qcc_passes(w->model, "(((((", NULL));
  o.print_after = "all", o.print_changed = true, o.time = true, o.explain = "no-such-rule"; /* and no `print` */
  qcc_status st = qcc_passes(w->model, "dce", &o);
  assert_true(st == QCC_OK || st == QCC_ARG);
  o = (qcc_pass_options){0};
  FAILS(w, QCC_ARG, qcc_passes(w->model, "dce", &o));
}

/* ---- compiling */

static void compile_options(void **state) {
  world *w = *state;
  qcc_model *m = w->model;
  qcc_compile_options o = QCC_COMPILE_OPTIONS_INIT;
  const char *const hole[] = {NULL};
  o.calib = w->data, o.size = 0;
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  assert_null(m);
  for (int level = -2; level < 9; level++) {
    if (level >= 0 && level <= 2) continue;
    o = (qcc_compile_options)QCC_COMPILE_OPTIONS_INIT, o.level = level;
    FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  }
  o = (qcc_compile_options)QCC_COMPILE_OPTIONS_INIT, o.calib = w->data, o.only_count = 3;
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  o.only_count = 0, o.exclude = hole, o.exclude_count = 1;
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  o.exclude_count = 0, o.target = "no such target";
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  o.target = NULL, o.estimator = "";
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  o.estimator = NULL, o.format = "pairs";
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  o.format = NULL, o.weights = "int3";
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  o.weights = "int4", o.block = 48;
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  o.weights = NULL, o.block = 0, o.floats = "f64";
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
  char *text = (char *)&o;
  size_t n = 0;
  FAILS(w, QCC_ARG, qcc_plan_json(w->model, &text, &n));
  assert_null(text);
  FAILS(w, QCC_ARG, qcc_compile_plan(&m, w->model, "{", 1, NULL));
  FAILS(w, QCC_ARG, qcc_compile_plan(&m, w->model, "", 0, NULL));
}

static void compile_with_bad_data(void **state) {
  world *w = *state;
  qcc_model *m = w->model;
  qcc_compile_options o = QCC_COMPILE_OPTIONS_INIT;
  o.calib = w->data;
  w->failing = 3;
  assert_int_equal(qcc_compile(&m, w->model, &o), QCC_DATA);
  assert_null(m);
  w->failing = 0;
  w->sample[0].dim[2] = 8;
  w->sample[0].dim[3] = 2;
  FAILS(w, QCC_DATA, qcc_compile(&m, w->model, &o));
  w->sample[0].dtype = 6;
  assert_int_not_equal(qcc_compile(&m, w->model, &o), QCC_OK);
  w->sample[0] = (qcc_array){0};
  assert_int_not_equal(qcc_compile(&m, w->model, &o), QCC_OK);
  assert_null(m);
  qcc_data *empty = NULL;
  assert_int_equal(qcc_data_pull(&empty, w->model, 0, get, w), QCC_OK);
  o.calib = empty;
  FAILS(w, QCC_DATA, qcc_compile(&m, w->model, &o));
  qcc_data_free(empty);
  o.calib = w->pair_data;
  FAILS(w, QCC_ARG, qcc_compile(&m, w->model, &o));
}

static void cancelled(void **state) {
  world *w = *state;
  qcc_compile_options o = QCC_COMPILE_OPTIONS_INIT;
  o.calib = w->data;
  o.threads = 2;
  size_t stops = 0;
  for (size_t k = 1; k < 400; k++) {
    qcc_model *m = w->model;
    w->cancel_after = k;
    qcc_status st = qcc_compile(&m, w->model, &o);
    bool went_through = w->cancel_after > 0;
    if (went_through) assert_int_equal(st, QCC_OK);
    qcc_model_free(st == QCC_OK ? m : NULL);
    if (went_through) break;
    assert_int_equal(st, QCC_CANCELLED);
    assert_null(m);
    stops++;
  }
  assert_true(stops > 3);
}

/* From text to bytes, with every 11th allocation failing, and all behind it failing. */
static qcc_status compile_all(qcc_context *cx, void *user) {
  qcc_model *m = NULL, *small = NULL;
  qcc_data *data = NULL;
  void *bytes = NULL;
  size_t n = 0;
  qcc_compile_options o = QCC_COMPILE_OPTIONS_INIT;
  o.threads = 1;
  qcc_status st = qcc_parse(&m, cx, two_layers, strlen(two_layers), NULL);
  if (st == QCC_OK) st = qcc_data_pull(&data, m, 8, get, user);
  o.calib = data;
  if (st == QCC_OK) st = qcc_compile(&small, m, &o);
  if (st == QCC_OK) st = qcc_save_memory(small, &bytes, &n);
  qcc_bytes_free(cx, bytes);
  qcc_data_free(data);
  qcc_model_free(small);
  qcc_model_free(m);
  return st;
}

static void compile_without_memory(void **state) { assert_true(oom_sweep(compile_all, *state, 11, 0) > 10); }

/* ---- running */

static void run_misuse(void **state) {
  world *w = *state;
  assert_int_equal(qcc_run(w->model, w->data, 3, refuse_output, NULL), QCC_GOAL);
  w->failing = 5;
  assert_int_equal(qcc_run(w->model, w->data, 2, ignore_output, NULL), QCC_DATA);
  w->failing = 0;
  assert_int_equal(qcc_run(w->model, w->data, UINT32_MAX, ignore_output, NULL), QCC_OK);
  FAILS(w, QCC_ARG, qcc_run(w->model, w->pair_data, 1, ignore_output, NULL));
  FAILS(w, QCC_ARG, qcc_run(w->pair, w->data, 1, ignore_output, NULL));
  FAILS(w, QCC_ARG, qcc_inspect_tensor(w->pair, w->data, "y", ignore_output, NULL));
  FAILS(w, QCC_ARG, qcc_inspect_tensor(w->model, w->data, "nobody", ignore_output, NULL));
  assert_int_equal(qcc_inspect_tensor(w->model, w->data, "c", refuse_output, NULL), QCC_GOAL);
  FAILS(w, QCC_ARG, qcc_diff(w->model, w->pair, w->data, 1, ignore_row, NULL));
  unsigned same = 0;
  assert_int_equal(qcc_diff(w->model, w->model, w->data, 1, count_row, &same), QCC_OK);
  assert_int_equal(same, 4);
}

static void two_contexts_never_meet(void **state) {
  world *w = *state;
  qcc_context *cx = NULL;
  qcc_model *m = NULL, *small = NULL;
  assert_int_equal(qcc_open(&cx, NULL), QCC_OK);
  assert_int_equal(qcc_parse(&m, cx, two_layers, strlen(two_layers), NULL), QCC_OK);
  qcc_compile_options o = QCC_COMPILE_OPTIONS_INIT;
  o.calib = w->data;
  assert_int_equal(qcc_run(m, w->data, 1, ignore_output, NULL), QCC_ARG);
  assert_int_equal(qcc_compile(&small, m, &o), QCC_ARG);
  assert_int_equal(qcc_diff(w->model, m, w->data, 1, ignore_row, NULL), QCC_ARG);
  assert_null(small);
  qcc_model_free(m);
  qcc_close(cx);
}

/* ---- what targets can do */

static json_t *query(world *w, qcc_status (*ask)(qcc_context *, const qcc_model *, const char *, char **, size_t *), const qcc_model *m,
                     const char *target) {
  char *text = NULL;
  size_t n = 0;
  assert_int_equal(ask(w->cx, m, target, &text, &n), QCC_OK);
  json_t *j = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
  assert_non_null(j);
  qcc_bytes_free(w->cx, text);
  return j;
}

static const char *text_of(const json_t *object, const char *key) { return json_string_value(json_object_get(object, key)); }

static void capability_by_type(void **state) {
  world *w = *state;
  json_t *j = query(w, qcc_query_capability, NULL, "tensorrt");
  assert_string_equal(text_of(j, "target"), "tensorrt");
  assert_string_equal(text_of(j, "bias"), "float");
  assert_null(json_object_get(j, "opwise"));
  const json_t *conv = json_object_get(json_object_get(j, "optypewise"), "Conv"), *first = json_array_get(conv, 0);
  assert_int_equal(json_array_size(conv), 3); /* static, weights only, float */
  assert_string_equal(text_of(first, "quant_mode"), "static");
  const json_t *a = json_object_get(first, "activation");
  assert_string_equal(json_string_value(json_array_get(json_object_get(a, "dtype"), 0)), "int8");
  assert_string_equal(json_string_value(json_array_get(json_object_get(a, "scheme"), 0)), "sym");
  assert_string_equal(text_of(a, "zero_point"), "zero");
  assert_string_equal(json_string_value(json_array_get(json_object_get(json_array_get(conv, 2), "dtype"), 1)), "fp16");
  json_decref(j);
}

static void capability_by_node(void **state) {
  world *w = *state;
  static const char *const type[] = {"Conv", "Relu", "Flatten", "Gemm"}, *const by_default[] = {"static", "static", "static", "static"};
  static const size_t open_ways[] = {4, 2, 2, 4}; /* float among them */
  json_t *j = query(w, qcc_query_capability, w->model, "ort-cpu"), *nodes = json_object_get(j, "opwise");
  assert_string_equal(text_of(j, "target"), "ort-cpu");
  assert_int_equal(json_array_size(nodes), 4);
  for (size_t i = 0; i < 4; i++) {
    const json_t *n = json_array_get(nodes, i);
    assert_string_equal(text_of(n, "type"), type[i]);
    assert_string_equal(text_of(n, "default"), by_default[i]);
    assert_int_equal(json_array_size(json_object_get(n, "ways")), open_ways[i]);
  }
  assert_true(json_is_true(json_object_get(json_array_get(nodes, 1), "fused")));
  json_decref(j);
  j = query(w, qcc_query_capability, w->pair, "generic"); /* nothing in 8 bit comes before the sum */
  assert_string_equal(text_of(json_array_get(json_object_get(j, "opwise"), 0), "default"), "float");
  json_decref(j);
}

static void fused_patterns(void **state) {
  world *w = *state;
  json_t *j = query(w, qcc_query_fused_patterns, w->model, "generic"), *matches = json_object_get(j, "matches");
  assert_int_equal(json_array_size(json_object_get(j, "patterns")), 14);
  assert_int_equal(json_array_size(matches), 1);
  const json_t *nodes = json_object_get(json_array_get(matches, 0), "nodes");
  assert_string_equal(json_string_value(json_array_get(nodes, 0)), "conv");
  assert_string_equal(json_string_value(json_array_get(nodes, 1)), "relu");
  json_decref(j);
}

static void capability_misuse(void **state) {
  world *w = *state;
  char *text = NULL;
  size_t n = 0;
  FAILS(w, QCC_ARG, qcc_query_capability(w->cx, w->model, "abacus", &text, &n));
  FAILS(w, QCC_IO, qcc_query_fused_patterns(w->cx, NULL, "/nowhere/x.yaml", &text, &n));
  assert_null(text);
  assert_int_equal(qcc_query_capability(NULL, NULL, NULL, &text, &n), QCC_ARG);
  assert_int_equal(qcc_query_capability(w->cx, NULL, NULL, NULL, &n), QCC_ARG);
  assert_int_equal(qcc_query_fused_patterns(w->cx, NULL, NULL, &text, NULL), QCC_ARG);
}

static qcc_status query_all(qcc_context *cx, void *user) {
  (void)user;
  qcc_model *m = NULL;
  char *text = NULL;
  size_t n = 0;
  qcc_status st = qcc_parse(&m, cx, two_layers, strlen(two_layers), NULL);
  if (st == QCC_OK) st = qcc_query_capability(cx, m, "ort-dnnl", &text, &n);
  qcc_bytes_free(cx, text);
  qcc_model_free(m);
  return st;
}

static void query_without_memory(void **state) { assert_true(oom_sweep(query_all, *state, 7, 0) > 10); }

static void reading_arrays(void **state) {
  world *w = *state;
  qcc_array a = {.data = w, .bytes = 9};
  FAILS(w, QCC_IO, qcc_array_read(&a, w->cx, "/nowhere/x.npy"));
  assert_null(a.data);
  FAILS(w, QCC_IO, qcc_array_read(&a, w->cx, "/nowhere/x.pb"));
  a = image(w);
  FAILS(w, QCC_IO, qcc_array_write(w->cx, &a, "/nowhere/x.npy"));
}

static void look_at_row(void *user, const qcc_check_row *row) {
  unsigned *rows = user;
  assert_non_null(row->name);
  if (row->fate == QCC_FATE_FUSED) return;
  assert_string_equal(row->fate_name, "float");
  assert_string_equal(row->reason, "not-quantized");
  assert_true(*row->what && *row->advice);
  ++*rows;
}

static void check_misuse(void **state) {
  world *w = *state;
  unsigned rows = 0;
  char *text = NULL;
  size_t n = 0;
  qcc_check_options o = QCC_CHECK_OPTIONS_INIT;
  assert_int_equal(qcc_check(NULL, NULL, NULL, NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_check_json(w->model, NULL, NULL, &n), QCC_ARG);
  assert_int_equal(qcc_check(w->model, NULL, NULL, NULL, NULL), QCC_OK);
  assert_int_equal(qcc_check(w->model, &o, look_at_row, NULL, &rows), QCC_OK);
  assert_int_equal(rows, 3); /* Relu is part of Conv */
  o.ort_version = "1.9";
  FAILS(w, QCC_ARG, qcc_check_json(w->model, &o, &text, &n));
  assert_null(text);
  o = (qcc_check_options){.size = 1};
  FAILS(w, QCC_ARG, qcc_check(w->model, &o, NULL, NULL, NULL));
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      CASE(null_context),       CASE(null_model),
      CASE(null_work),          CASE(bad_hosts),
      CASE(garbage_models),     CASE(past_the_end),
      CASE(wrong_tensors),      CASE(building_out_of_order),
      CASE(building_nonsense),  CASE(pass_misuse),
      CASE(compile_options),    CASE(compile_with_bad_data),
      CASE(cancelled),          CASE(compile_without_memory),
      CASE(run_misuse),         CASE(two_contexts_never_meet),
      CASE(reading_arrays),     CASE(capability_by_type),
      CASE(capability_by_node), CASE(fused_patterns),
      CASE(capability_misuse),  CASE(query_without_memory),
      CASE(check_misuse),
  };
  return cmocka_run_group_tests_name("api", tests, NULL, NULL);
}
