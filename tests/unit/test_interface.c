/* SPDX-License-Identifier: Apache-2.0
 * Inputs and outputs as codes through the public API: what they mean, samples for them, comparing with a model of floats, what is refused. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontends/capi/qcc.h"
#include "tests/oom.h"

/* z is read in float; v is not read by anybody; the scale of %y is one of a power of two, so its codes are exact. */
static const char net[] =
    "graph @net(%x: f32[1,4], %z: f32[1,4], %v: f32[1]) -> (%y, %r) opset 13 {\n"
    "  %s = const f32[] [0.5]\n"
    "  %t = const f32[] [0.25]\n"
    "  %k = const u8[] [100]\n"
    "  %l = const s8[] [-3]\n"
    "  %q: u8[1,4] = QuantizeLinear(%x, %s, %k) \"q\"\n"
    "  %d: f32[1,4] = DequantizeLinear(%q, %s, %k) \"d\"\n"
    "  %n: f32[1,4] = Neg(%d) \"neg\"\n"
    "  %o: s8[1,4] = QuantizeLinear(%n, %t, %l) \"o\"\n"
    "  %y: f32[1,4] = DequantizeLinear(%o, %t, %l) \"yd\"\n"
    "  %r: f32[1,4] = Relu(%z) \"relu\"\n}\n";

enum { F32 = 1, U8 = 2, S8 = 3 };

typedef struct world {
  qcc_context *cx;
  qcc_model *model, *floats;
  float values[9]; /* of x, z and v */
  int8_t codes[4]; /* of y */
  unsigned rows;
} world;

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  const float values[9] = {1, -2, 0.5f, 60, 1, 2, 3, 4, 5};
  memcpy(w->values, values, sizeof values);
  assert_int_equal(qcc_open(&w->cx, NULL), QCC_OK);
  assert_int_equal(qcc_parse(&w->model, w->cx, net, strlen(net), "net.qir"), QCC_OK);
  assert_int_equal(qcc_parse(&w->floats, w->cx, net, strlen(net), "net.qir"), QCC_OK);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  qcc_model_free(w->floats);
  qcc_model_free(w->model);
  qcc_close(w->cx);
  free(w);
  return 0;
}

static void to_codes(world *w) {
  float scale = 0;
  int32_t zero = 0;
  assert_false(qcc_codes_of(w->model, "x", &scale, &zero));
  assert_int_equal(qcc_quantize_input(w->model, "x", &scale, &zero), QCC_OK);
  assert_true(scale == 0.5f && zero == 100);
  assert_int_equal(qcc_quantize_output(w->model, "y", &scale, &zero), QCC_OK);
  assert_true(scale == 0.25f && zero == -3);
}

static void codes_have_a_meaning(void **state) {
  world *w = *state;
  qcc_array type;
  float scale = 0;
  int32_t zero = 0;
  to_codes(w);
  assert_int_equal(qcc_tensor_of(w->model, "x", &type), QCC_OK);
  assert_int_equal(type.dtype, U8);
  assert_int_equal(qcc_tensor_of(w->model, "y", &type), QCC_OK);
  assert_int_equal(type.dtype, S8);
  assert_true(qcc_codes_of(w->model, "x", &scale, &zero) && scale == 0.5f && zero == 100);
  assert_true(qcc_codes_of(w->model, "y", NULL, &zero) && zero == -3);
  assert_false(qcc_codes_of(w->model, "r", &scale, &zero));
  assert_false(qcc_codes_of(w->model, "nobody", &scale, &zero));
  /* again: nothing happens, the answer is the same */
  scale = 0;
  assert_int_equal(qcc_quantize_input(w->model, "x", &scale, NULL), QCC_OK);
  assert_true(scale == 0.5f);
  assert_int_equal(qcc_quantize_output(w->model, "y", NULL, NULL), QCC_OK);
}

static void a_file_keeps_it(void **state) {
  world *w = *state;
  qcc_model *again = NULL;
  void *bytes = NULL;
  size_t n = 0;
  float scale = 0;
  int32_t zero = 0;
  to_codes(w);
  assert_int_equal(qcc_save_memory(w->model, &bytes, &n), QCC_OK);
  assert_int_equal(qcc_load_memory(&again, w->cx, bytes, n, NULL), QCC_OK);
  assert_true(qcc_codes_of(again, "x", &scale, &zero) && scale == 0.5f && zero == 100);
  assert_true(qcc_codes_of(again, "y", &scale, &zero) && scale == 0.25f && zero == -3);
  qcc_bytes_free(w->cx, bytes);
  qcc_model_free(again);
}

static void what_is_refused(void **state) {
  world *w = *state;
  assert_int_equal(qcc_quantize_input(w->model, "z", NULL, NULL), QCC_UNSUPPORTED);
  assert_non_null(strstr(qcc_message(w->cx), "it is read in float"));
  assert_int_equal(qcc_quantize_input(w->model, "v", NULL, NULL), QCC_UNSUPPORTED);
  assert_non_null(strstr(qcc_message(w->cx), "nobody reads it"));
  assert_int_equal(qcc_quantize_output(w->model, "r", NULL, NULL), QCC_UNSUPPORTED);
  assert_non_null(strstr(qcc_message(w->cx), "it is not made from codes"));
  assert_int_equal(qcc_quantize_input(w->model, "y", NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_quantize_output(w->model, "x", NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_quantize_input(w->model, NULL, NULL, NULL), QCC_ARG);
  assert_non_null(strstr(qcc_message(w->cx), "not just one input"));
  assert_int_equal(qcc_quantize_output(w->model, NULL, NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_quantize_input(NULL, "x", NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_quantize_output(NULL, "x", NULL, NULL), QCC_ARG);
  assert_false(qcc_codes_of(NULL, "x", NULL, NULL) || qcc_codes_of(w->model, NULL, NULL, NULL));
}

/* ---- samples */

static qcc_status get(void *user, size_t index, qcc_array *inputs) {
  world *w = user;
  (void)index;
  inputs[0] = (qcc_array){.dtype = F32, .rank = 2, .dim = {1, 4}, .data = w->values, .bytes = 16};
  inputs[1] = (qcc_array){.dtype = F32, .rank = 2, .dim = {1, 4}, .data = w->values + 4, .bytes = 16};
  inputs[2] = (qcc_array){.dtype = F32, .rank = 1, .dim = {1}, .data = w->values + 8, .bytes = 4};
  return QCC_OK;
}

static const uint8_t x_codes[4] = {102, 96, 101, 220};

static qcc_status get_coded(void *user, size_t index, qcc_array *inputs) {
  get(user, index, inputs);
  inputs[0].dtype = U8, inputs[0].data = x_codes, inputs[0].bytes = 4;
  return QCC_OK;
}

static qcc_status keep_codes(void *user, size_t sample, const qcc_array *outputs) {
  world *w = user;
  (void)sample;
  assert_int_equal(outputs[0].dtype, S8);
  assert_int_equal(outputs[0].bytes, 4);
  memcpy(w->codes, outputs[0].data, 4);
  return QCC_OK;
}

static void codes_are_computed(void **state) {
  world *w = *state;
  qcc_data *data = NULL;
  const int8_t wanted[4] = {-7, 5, -5, -128}; /* -x / 0.25 - 3 */
  to_codes(w);
  assert_int_equal(qcc_data_pull(&data, w->model, 1, get_coded, w), QCC_OK);
  assert_int_equal(qcc_run(w->model, data, 1, keep_codes, w), QCC_OK);
  assert_memory_equal(w->codes, wanted, sizeof wanted);
  qcc_data_free(data);
}

static void count_equal(void *user, const qcc_diff_row *row) {
  world *w = user;
  if (row->is_output) assert_true(isinf(row->sqnr_db) && row->max_abs == 0);
  w->rows += row->is_output;
}

static void models_are_compared(void **state) {
  world *w = *state;
  qcc_data *floats = NULL, *codes = NULL, *random = NULL;
  to_codes(w);
  assert_int_equal(qcc_data_pull(&floats, w->floats, 3, get, w), QCC_OK);
  assert_int_equal(qcc_data_pull(&codes, w->model, 3, get_coded, w), QCC_OK);
  assert_int_equal(qcc_data_synthetic(&random, w->model, 3, 1), QCC_OK);
  assert_int_equal(qcc_diff(w->floats, w->model, floats, 1, count_equal, w), QCC_OK);
  assert_int_equal(qcc_diff(w->model, w->floats, codes, 1, count_equal, w), QCC_OK);
  assert_int_equal(qcc_diff(w->model, w->floats, random, 1, count_equal, w), QCC_OK);
  assert_int_equal(qcc_diff(w->model, w->model, codes, 1, count_equal, w), QCC_OK);
  assert_int_equal(w->rows, 8);
  qcc_data_free(random);
  qcc_data_free(codes);
  qcc_data_free(floats);
}

static qcc_status keep_input(void *user, size_t sample, const qcc_array *value) {
  world *w = user;
  (void)sample;
  assert_int_equal(value->dtype, F32);
  memcpy(w->values, value->data, 16);
  return QCC_OK;
}

/* Random floats are spread over the codes, not cut to 0. */
static void random_samples_become_codes(void **state) {
  world *w = *state;
  qcc_data *data = NULL;
  to_codes(w);
  assert_int_equal(qcc_data_synthetic(&data, w->model, 1, 7), QCC_OK);
  assert_int_equal(qcc_inspect_tensor(w->model, data, "d", keep_input, w), QCC_OK);
  assert_true(fabsf(w->values[0]) + fabsf(w->values[1]) + fabsf(w->values[2]) > 0.4f && fabsf(w->values[0]) < 20);
  qcc_data_free(data);
}

/* ---- no memory */

static qcc_status all_of_it(qcc_context *cx, void *user) {
  qcc_model *m = NULL, *f = NULL;
  qcc_data *data = NULL;
  qcc_status st = qcc_parse(&m, cx, net, strlen(net), NULL);
  if (st == QCC_OK) st = qcc_parse(&f, cx, net, strlen(net), NULL);
  if (st == QCC_OK) st = qcc_quantize_input(m, "x", NULL, NULL);
  if (st == QCC_OK) st = qcc_quantize_output(m, "y", NULL, NULL);
  if (st == QCC_OK) st = qcc_data_pull(&data, m, 1, get_coded, user);
  if (st == QCC_OK) st = qcc_diff(m, f, data, 1, count_equal, user);
  qcc_data_free(data);
  qcc_model_free(f);
  qcc_model_free(m);
  return st;
}

static void without_memory(void **state) { assert_true(oom_sweep(all_of_it, *state, 3, 0) > 10); }

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(codes_have_a_meaning),        TEST(a_file_keeps_it), TEST(what_is_refused), TEST(codes_are_computed), TEST(models_are_compared),
      TEST(random_samples_become_codes), TEST(without_memory),
  };
  return cmocka_run_group_tests_name("interface", tests, NULL, NULL);
}
