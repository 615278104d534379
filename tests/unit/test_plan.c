/* SPDX-License-Identifier: Apache-2.0
 * The plan: entries, copies, JSON in and out without loss, refusals. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
/* cmocka needs the four above */
#include <cmocka.h>

#include "ir/plan.h"
#include "ir/support/vec.h"

static int setup(void **state) { return (int)qcc_context_new((qcc_context **)state, NULL); }

static int teardown(void **state) {
  qcc_context_free(*state);
  return 0;
}

static qcc_plan *sample(qcc_context *cx) {
  qcc_plan *p = NULL;
  assert_int_equal(qcc_plan_new(&p, cx), QCC_OK);
  p->target = qcc_intern(cx, "ort-cpu");
  qcc_plan_op *op = qcc_plan_set_op(p, "conv \"1\"");
  static const float delta[] = {0.1f, -1e-38f, 3};
  op->mode = QCC_MODE_STATIC;
  op->gain_db = 1.5f;
  op->bias_count = 3;
  op->bias_delta = delta;
  op = qcc_plan_set_op(p, "tail");
  op->reason = "detector tail";
  qcc_plan_tensor *t = qcc_plan_set_tensor(p, "x");
  static const float scale[] = {0.0235f, 1.17549435e-38f, 3.4028235e38f};
  static const int32_t zero[] = {0, 255, 12};
  assert_int_equal(qcc_plan_set_qparams(p, t, &(qcc_qparams){.dtype = QCC_U8, .axis = 1, .count = 3, .scale = scale, .zero = zero}),
                   QCC_OK);
  t->lo = -0.1f;
  t->hi = INFINITY;
  t->algorithm = "mse";
  t = qcc_plan_set_tensor(p, "w");
  static const int8_t codes[] = {-128, 127, 0, 5};
  assert_int_equal(qcc_plan_set_qparams(p, t, &(qcc_qparams){.dtype = QCC_S8, .axis = -1, .block = 32, .count = 1, .scale = scale}),
                   QCC_OK);
  qcc_plan_set_codes(t, qcc_buf_copy(cx, codes, sizeof codes));
  assert_non_null(t->codes);
  qcc_plan_set_tensor(p, "gone")->q.dtype = QCC_U8;
  qcc_plan_drop_tensor(p, "gone");
  return p;
}

static void same_entries(const qcc_plan *a, const qcc_plan *b) {
  assert_string_equal(a->target, b->target);
  assert_int_equal(a->op_count, b->op_count);
  for (uint32_t k = 0; k < a->op_count; k++) {
    const qcc_plan_op *x = &a->ops[k], *y = &b->ops[k];
    assert_ptr_equal(x->node, y->node); /* interned */
    assert_int_equal(x->mode, y->mode);
    assert_memory_equal(&x->gain_db, &y->gain_db, sizeof x->gain_db);
    assert_int_equal(x->bias_count, y->bias_count);
    if (x->bias_count) assert_memory_equal(x->bias_delta, y->bias_delta, x->bias_count * sizeof(float));
    assert_true(x->reason ? strcmp(x->reason, y->reason) == 0 : !y->reason);
  }
  for (uint32_t k = 0; k < a->tensor_count; k++) {
    const qcc_plan_tensor *x = &a->tensors[k], *y = qcc_plan_tensor_of(b, x->tensor);
    if (x->q.dtype == QCC_NONE) {
      assert_null(y);
      continue;
    }
    assert_non_null(y);
    assert_true(qcc_qparams_equal(&x->q, &y->q));
    assert_memory_equal(&x->lo, &y->lo, sizeof x->lo);
    assert_memory_equal(&x->hi, &y->hi, sizeof x->hi);
    assert_int_equal(qcc_buf_size(x->codes), qcc_buf_size(y->codes));
    assert_true(!x->codes == !y->codes);
    if (x->codes) assert_memory_equal(qcc_buf_data(x->codes), qcc_buf_data(y->codes), qcc_buf_size(x->codes));
  }
}

static void test_json_round_trip(void **state) {
  qcc_context *cx = *state;
  qcc_plan *p = sample(cx), *again = NULL;
  char *json = NULL, *json2 = NULL;
  size_t n = 0, n2 = 0;
  assert_int_equal(qcc_plan_to_json(p, &json, &n), QCC_OK);
  assert_non_null(strstr(json, "0.0235"));
  assert_null(strstr(json, "0.02350000"));
  assert_int_equal(qcc_plan_from_json(&again, cx, json, n), QCC_OK);
  same_entries(p, again);
  assert_int_equal(qcc_plan_to_json(again, &json2, &n2), QCC_OK);
  assert_int_equal(n, n2);
  assert_memory_equal(json, json2, n);
  qcc_free(cx, json);
  qcc_free(cx, json2);
  qcc_plan_free(p);
  qcc_plan_free(again);
}

static void test_floats_are_exact(void **state) {
  qcc_context *cx = *state;
  qcc_plan *p = NULL, *again = NULL;
  enum { COUNT = 2000 };
  float x[COUNT];
  uint32_t bits = 1;
  for (int k = 0; k < COUNT; k++) {
    bits = bits * 1664525u + 1013904223u;
    uint32_t finite = bits % 0x7f800000u;
    memcpy(&x[k], &finite, sizeof finite);
    if (!(x[k] > 0)) x[k] = 1;
  }
  assert_int_equal(qcc_plan_new(&p, cx), QCC_OK);
  qcc_plan_tensor *t = qcc_plan_set_tensor(p, "t");
  assert_int_equal(qcc_plan_set_qparams(p, t, &(qcc_qparams){.dtype = QCC_S8, .axis = 0, .count = COUNT, .scale = x}), QCC_OK);
  char *json = NULL;
  size_t n = 0;
  assert_int_equal(qcc_plan_to_json(p, &json, &n), QCC_OK);
  assert_int_equal(qcc_plan_from_json(&again, cx, json, n), QCC_OK);
  assert_memory_equal(qcc_plan_tensor_of(again, "t")->q.scale, x, sizeof x);
  qcc_free(cx, json);
  qcc_plan_free(p);
  qcc_plan_free(again);
}

static void test_clone_stands_alone(void **state) {
  qcc_plan *p = sample(*state), *copy = NULL;
  assert_int_equal(qcc_plan_clone(&copy, p), QCC_OK);
  same_entries(p, copy);
  const float *scale = qcc_plan_tensor_of(p, "x")->q.scale;
  assert_ptr_not_equal(scale, qcc_plan_tensor_of(copy, "x")->q.scale);
  qcc_plan_set_op(copy, "tail")->mode = QCC_MODE_WEIGHT;
  assert_int_equal(qcc_plan_op_of(p, "tail")->mode, QCC_MODE_FLOAT);
  qcc_plan_free(p);
  assert_int_equal(qcc_plan_op_of(copy, "tail")->mode, QCC_MODE_WEIGHT);
  qcc_plan_free(copy);
}

static void test_many_entries(void **state) {
  qcc_plan *p = NULL;
  char name[32];
  assert_int_equal(qcc_plan_new(&p, *state), QCC_OK);
  for (int k = 0; k < 1000; k++) {
    qcc_format(name, sizeof name, "n%d", k);
    qcc_plan_set_op(p, name)->gain_db = (float)k;
    assert_int_equal(qcc_plan_set_op(p, name)->gain_db, k); /* set again finds it */
  }
  assert_int_equal(p->op_count, 1000);
  assert_int_equal(qcc_plan_op_of(p, "n700")->gain_db, 700);
  assert_null(qcc_plan_op_of(p, "n1000"));
  qcc_plan_free(p);
}

static void test_print(void **state) {
  qcc_plan *p = sample(*state);
  qcc_text text = {.cx = *state};
  qcc_plan_print(p, &text);
  assert_non_null(strstr(text.at, "op tail: float, detector tail\n"));
  assert_non_null(strstr(text.at, "tensor x: u8 axis 1 x 3 scale 1.1754944e-38..3.4028235e+38 range -0.1..inf mse\n"));
  assert_null(strstr(text.at, "gone"));
  qcc_text_free(&text);
  qcc_plan_free(p);
}

static void test_refusals(void **state) {
  static const struct {
    const char *json, *message;
  } rows[] = {
      {"{", "not valid JSON"},
      {"[]", "must be an object"},
      {"{\"format\":\"other\",\"version\":1}", "'format' must be"},
      {"{\"format\":\"qcc-plan\"}", "'format' must be"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"what\":1}", "unknown member 'what'"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"ops\":[{\"node\":\"a\",\"mode\":\"fast\"}]}", "ops[0]: 'mode' must be float, static"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"ops\":[{\"node\":\"a\",\"mode\":\"float\"},{\"node\":\"a\",\"mode\":\"float\"}]}",
       "ops[1]: 'node' must be given once"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"tensors\":[{\"tensor\":\"a\",\"dtype\":\"f32\",\"scale\":[1]}]}", "'dtype' must be u8"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"tensors\":[{\"tensor\":\"a\",\"dtype\":\"u8\",\"scale\":[0]}]}", "'scale' must be finite"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"tensors\":[{\"tensor\":\"a\",\"dtype\":\"u8\",\"scale\":[\"inf\"]}]}",
       "'scale' must be finite"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"tensors\":[{\"tensor\":\"a\",\"dtype\":\"u8\",\"scale\":[]}]}", "at least one number"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"tensors\":[{\"tensor\":\"a\",\"dtype\":\"u8\",\"scale\":[1],\"zero\":[256]}]}",
       "'zero' must be codes"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"tensors\":[{\"tensor\":\"a\",\"dtype\":\"u8\",\"scale\":[1],\"zero\":[1,2]}]}",
       "as long as 'scale'"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"tensors\":[{\"tensor\":\"a\",\"dtype\":\"u8\",\"scale\":[1],\"axis\":8}]}",
       "'axis' must be"},
      {"{\"format\":\"qcc-plan\",\"version\":1,\"tensors\":[{\"tensor\":\"a\",\"dtype\":\"s8\",\"scale\":[1],\"codes\":\"a?==\"}]}",
       "'codes' must be base64"},
  };
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    qcc_plan *p = NULL;
    assert_int_equal(qcc_plan_from_json(&p, *state, rows[k].json, strlen(rows[k].json)), QCC_ARG);
    assert_null(p);
    if (!strstr(qcc_last_error(*state), rows[k].message)) print_message("row %zu: %s\n", k, qcc_last_error(*state));
    assert_non_null(strstr(qcc_last_error(*state), rows[k].message));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_json_round_trip, setup, teardown),
      cmocka_unit_test_setup_teardown(test_floats_are_exact, setup, teardown),
      cmocka_unit_test_setup_teardown(test_clone_stands_alone, setup, teardown),
      cmocka_unit_test_setup_teardown(test_many_entries, setup, teardown),
      cmocka_unit_test_setup_teardown(test_print, setup, teardown),
      cmocka_unit_test_setup_teardown(test_refusals, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
