/* SPDX-License-Identifier: Apache-2.0
 * qcc_diff_as: which tensors of two models are compared when quantized parts run as integers, and as what; misuse; no memory. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontends/capi/qcc.h"
#include "tests/oom.h"

/* Weights that codes express exactly; the loud ones fill 16 bits with two products. */
#define WEIGHTS "[0.5,-0.25,0.75,0.125,-0.5,0.625,0.25,-0.75]"
#define CODES "[64,-32,96,16,-64,80,32,-96]"
#define LOUD_WEIGHTS "[0.9921875,0.9921875,0.25,0.125,-0.5,0.625,0.25,-0.75]"
#define LOUD_CODES "[127,127,32,16,-64,80,32,-96]"
#define FLOATS(weights)                               \
  "graph @net(%x: f32[1,4,5,5]) -> (%y) opset 13 {\n" \
  "  %w = const f32[2,4,1,1] " weights                \
  "\n"                                                \
  "  %c = Conv(%x, %w) \"conv\"\n"                    \
  "  %r = Relu(%c) \"relu\"\n"                        \
  "  %p = GlobalAveragePool(%r) \"pool\"\n"           \
  "  %y = Flatten(%p) \"flat\"\n}\n"
#define QUANTIZED(codes, activation, result)                                     \
  "graph @net(%x: f32[1,4,5,5]) -> (%y) opset 13 {\n"                            \
  "  %w = const s8[2,4,1,1] " codes                                              \
  "\n"                                                                           \
  "  %sx = const f32[] [0.03125]\n"                                              \
  "  %zx = const u8[] [128]\n"                                                   \
  "  %sw = const f32[] [0.0078125]\n"                                            \
  "  %zw = const s8[] [0]\n"                                                     \
  "  %sy = const f32[] [0.0625]\n"                                               \
  "  %zy = const u8[] [0]\n"                                                     \
  "  %xq = QuantizeLinear(%x, %sx, %zx) \"xq\"\n"                                \
  "  %xd = DequantizeLinear(%xq, %sx, %zx) \"xd\"\n"                             \
  "  %wd = DequantizeLinear(%w, %sw, %zw) \"wd\"\n"                              \
  "  %c = Conv(%xd, %wd) \"conv\"\n" activation "  %q = QuantizeLinear(%" result \
  ", %sy, %zy) \"q\"\n"                                                          \
  "  %d = DequantizeLinear(%q, %sy, %zy) \"d\"\n"                                \
  "  %p = GlobalAveragePool(%d) \"pool\"\n"                                      \
  "  %y = Flatten(%p) \"flat\"\n}\n"
static const char floats[] = FLOATS(WEIGHTS), without_relu[] = QUANTIZED(CODES, "", "c"),
                  with_relu[] = QUANTIZED(CODES, "  %r = Relu(%c) \"relu\"\n", "r");
enum { MOST = 12 };

typedef struct world {
  qcc_context *cx;
  qcc_model *a, *b, *c; /* floats; Q/DQ, its Relu in the grid alone; Q/DQ with Relu */
  qcc_data *data;
  qcc_run_settings settings;
  qcc_diff_row rows[MOST];
  char names[MOST][8], ops[MOST][24];
  size_t count;
  char note[256];
} world;

static void listen(void *user, qcc_severity severity, const char *line) {
  world *w = user;
  if (severity == QCC_NOTE) snprintf(w->note, sizeof w->note, "%s", line);
}

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  const qcc_host host = {.log = listen, .log_user = w};
  assert_int_equal(qcc_open(&w->cx, &host), QCC_OK);
  assert_int_equal(qcc_parse(&w->a, w->cx, floats, strlen(floats), "a.qir"), QCC_OK);
  assert_int_equal(qcc_parse(&w->b, w->cx, without_relu, strlen(without_relu), "b.qir"), QCC_OK);
  assert_int_equal(qcc_parse(&w->c, w->cx, with_relu, strlen(with_relu), "c.qir"), QCC_OK);
  assert_int_equal(qcc_data_synthetic(&w->data, w->a, 3, 5), QCC_OK);
  w->settings = (qcc_run_settings)QCC_RUN_SETTINGS_INIT;
  w->settings.exact = true;
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  qcc_data_free(w->data);
  qcc_model_free(w->a);
  qcc_model_free(w->b);
  qcc_model_free(w->c);
  qcc_close(w->cx);
  free(w);
  return 0;
}

/* Names are those of graphs that are gone when the call is over. */
static void add_row(void *user, const qcc_diff_row *row) {
  world *w = user;
  assert_true(w->count < MOST);
  snprintf(w->names[w->count], sizeof w->names[0], "%s", row->tensor);
  snprintf(w->ops[w->count], sizeof w->ops[0], "%s", row->op);
  w->rows[w->count++] = *row;
}

static void diff(world *w, const qcc_model *a, const qcc_model *b) {
  w->count = 0;
  w->note[0] = 0;
  assert_int_equal(qcc_diff_as(a, b, w->data, &w->settings, add_row, w), QCC_OK);
}

static const qcc_diff_row *row_of(const world *w, const char *name, const char *op) {
  for (size_t i = 0; i < w->count; i++)
    if (strcmp(w->names[i], name) == 0) return assert_string_equal(w->ops[i], op), &w->rows[i];
  return NULL;
}

static void in_floats(void **state) {
  world *w = *state;
  w->settings.exact = false;
  diff(w, w->a, w->b);
  assert_non_null(row_of(w, "c", "Conv"));
  assert_non_null(row_of(w, "p", "GlobalAveragePool"));
  assert_int_equal(w->count, 3);
  assert_string_equal(w->note, "");
}

/* Half a step of the data in every product, half a step of the result. */
static void codes_are_what_they_mean(void **state) {
  world *w = *state;
  const double most = (0.5 + 0.25 + 0.75 + 0.125) * 0.03125 / 2 + 0.0625 / 2 + 1e-5;
  diff(w, w->a, w->b);
  assert_int_equal(w->count, 3);
  assert_null(row_of(w, "c", "")); /* no code tells what is below zero */
  const qcc_diff_row *r = row_of(w, "r", "Relu");
  assert_non_null(r);
  assert_true(r->max_abs > 0.01 && r->max_abs <= most && !r->is_output);
  assert_true(row_of(w, "y", "Flatten")->is_output);
  const double max_abs = r->max_abs, db = r->sqnr_db;
  diff(w, w->b, w->a);
  r = row_of(w, "c", "Conv"); /* so it is called in the model that comes first */
  assert_non_null(r);
  assert_true(r->max_abs == max_abs && fabs(r->sqnr_db - db) < 1);
}

static void both_in_codes(void **state) {
  world *w = *state;
  diff(w, w->b, w->b);
  static const char *const named[][2] = {{"xd", "DequantizeLinear"}, {"c", "Conv"}, {"d", "DequantizeLinear"}, {"p", "GlobalAveragePool"}};
  for (size_t i = 0; i < sizeof named / sizeof *named; i++) assert_non_null(row_of(w, named[i][0], named[i][1]));
  for (size_t i = 0; i < w->count; i++) assert_true(isinf(w->rows[i].sqnr_db) && w->rows[i].max_abs == 0);
  diff(w, w->b, w->c);
  for (size_t i = 0; i < w->count; i++) assert_true(isinf(w->rows[i].sqnr_db));
}

static void lost_inside(void **state) {
  world *w = *state;
  diff(w, w->a, w->c);
  assert_null(row_of(w, "c", ""));
  assert_non_null(row_of(w, "r", "Relu"));
  assert_non_null(strstr(w->note, "1 tensors of both models are inside of operators on codes"));
}

static qcc_status loudest(void *user, size_t index, qcc_array *inputs) {
  (void)index;
  inputs[0] = (qcc_array){1, 4, {1, 4, 5, 5}, user, 100 * sizeof(float)};
  return QCC_OK;
}

/* 255 * 127 * 2 is more than 16 bits hold. */
static void saturating(void **state) {
  world *w = *state;
  static const char plain[] = FLOATS(LOUD_WEIGHTS), coded[] = QUANTIZED(LOUD_CODES, "", "c");
  float x[100];
  for (size_t i = 0; i < 100; i++) x[i] = 127 * 0.03125f;
  qcc_model *a = NULL, *b = NULL;
  qcc_data *loud = NULL;
  assert_int_equal(qcc_parse(&a, w->cx, plain, strlen(plain), "a.qir"), QCC_OK);
  assert_int_equal(qcc_parse(&b, w->cx, coded, strlen(coded), "b.qir"), QCC_OK);
  assert_int_equal(qcc_data_pull(&loud, a, 1, loudest, x), QCC_OK);
  double max_abs[2];
  for (int k = 0; k < 2; k++) {
    w->count = 0;
    w->settings.saturating = k == 1;
    assert_int_equal(qcc_diff_as(a, b, loud, &w->settings, add_row, w), QCC_OK);
    max_abs[k] = row_of(w, "r", "Relu")->max_abs;
  }
  assert_true(max_abs[0] < 0.04 && max_abs[1] > 7);
  qcc_data_free(loud);
  qcc_model_free(a);
  qcc_model_free(b);
}

static void misuse(void **state) {
  world *w = *state;
  assert_int_equal(qcc_diff_as(w->a, w->b, w->data, NULL, add_row, w), QCC_ARG);
  assert_int_equal(qcc_diff_as(w->a, w->b, w->data, &w->settings, NULL, w), QCC_ARG);
  assert_int_equal(qcc_diff_as(NULL, w->b, w->data, &w->settings, add_row, w), QCC_ARG);
  w->settings.runtime = "ort";
  assert_int_equal(qcc_diff_as(w->a, w->b, w->data, &w->settings, add_row, w), QCC_ARG);
  assert_non_null(strstr(qcc_message(w->cx), "built-in runtime"));
  w->settings.runtime = NULL;
  w->settings.isa = "abacus";
  assert_int_equal(qcc_diff_as(w->a, w->b, w->data, &w->settings, add_row, w), QCC_ARG);
  w->settings.size--;
  assert_int_equal(qcc_diff_as(w->a, w->b, w->data, &w->settings, add_row, w), QCC_ARG);
  assert_int_equal(w->count, 0);
}

static void ignore(void *user, const qcc_diff_row *row) { (void)user, (void)row; }

static qcc_status all_of_it(qcc_context *cx, void *user) {
  (void)user;
  qcc_model *a = NULL, *b = NULL;
  qcc_data *d = NULL;
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  settings.exact = true;
  qcc_status st = qcc_parse(&a, cx, floats, strlen(floats), NULL);
  if (st == QCC_OK) st = qcc_parse(&b, cx, without_relu, strlen(without_relu), NULL);
  if (st == QCC_OK) st = qcc_data_synthetic(&d, a, 2, 7);
  if (st == QCC_OK) st = qcc_diff_as(a, b, d, &settings, ignore, NULL);
  qcc_data_free(d);
  qcc_model_free(b);
  qcc_model_free(a);
  return st;
}

static void no_memory(void **state) {
  (void)state;
  assert_true(oom_sweep(all_of_it, NULL, 1, 0) > 50);
}

int main(void) {
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      CASE(in_floats), CASE(codes_are_what_they_mean), CASE(both_in_codes), CASE(lost_inside), CASE(saturating),
      CASE(misuse),    cmocka_unit_test(no_memory)};
  return cmocka_run_group_tests_name("diff", tests, NULL, NULL);
}
