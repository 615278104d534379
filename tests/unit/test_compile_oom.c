/* SPDX-License-Identifier: Apache-2.0
 * qcc_compile, as a program uses it, with one allocation failing: the k-th for each k of the first few hundred, evenly spaced ones above. Each run
 * must end in QCC_NOMEM (or succeed where the failure is harmless), tell why, leave `*out` NULL and give every byte back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "frontends/capi/qcc.h"
#include "tests/oom.h"

static const char network[] =
    "graph @net(%x: f32[1,3,6,6]) -> (%y) opset 13 {\n"
    "  %w1 = const f32[4,3,3,3] rand(1)\n"
    "  %b1 = const f32[4] rand(2)\n"
    "  %w2 = const f32[4,4,3,3] rand(3)\n"
    "  %w4 = const f32[5,8] rand(5)\n"
    "  %c1 = Conv(%x, %w1, %b1) {pads=[1,1,1,1]} \"conv1\"\n"
    "  %r1 = Relu(%c1) \"relu1\"\n"
    "  %c2 = Conv(%r1, %w2) {pads=[1,1,1,1]} \"conv2\"\n"
    "  %s = Sigmoid(%c2) \"gate\"\n"
    "  %m = Mul(%c2, %s) \"silu\"\n"
    "  %k = Concat(%r1, %m) {axis=1} \"cat\"\n"
    "  %g = GlobalAveragePool(%k) \"pool\"\n"
    "  %f = Flatten(%g) \"flat\"\n"
    "  %y = Gemm(%f, %w4) {transB=1} \"gemm\"\n}\n";

enum { INPUT = 3 * 6 * 6, ALL = 300, SPREAD = 200 };

typedef struct job {
  int level;
  bool data, by_plan;
  float values[INPUT];
} job;

static qcc_status get(void *user, size_t index, qcc_array *inputs) {
  job *j = user;
  for (size_t i = 0; i < INPUT; i++) j->values[i] = (float)((i * 7 + index * 13) % 31) / 15.0f - 1.0f;
  inputs[0] = (qcc_array){.dtype = 1, .rank = 4, .dim = {1, 3, 6, 6}, .data = j->values, .bytes = sizeof j->values};
  return QCC_OK;
}

static qcc_status compile(qcc_context *cx, qcc_model **out, const qcc_model *m, const qcc_data *data, const job *j) {
  qcc_compile_options o = QCC_COMPILE_OPTIONS_INIT;
  o.level = j->level;
  o.calib = data;
  o.threads = 1;
  qcc_status st = qcc_compile(out, m, &o);
  if (st != QCC_OK || !j->by_plan) return st;
  char *json = NULL;
  size_t n = 0;
  st = qcc_plan_json(*out, &json, &n);
  qcc_model *again = NULL;
  if (st == QCC_OK) st = qcc_compile_plan(&again, m, json, n, &o);
  if (st != QCC_OK) assert_null(again);
  qcc_bytes_free(cx, json);
  qcc_model_free(again);
  return st;
}

static qcc_status run(qcc_context *cx, void *user) {
  job *j = user;
  qcc_model *m = NULL, *small = NULL;
  qcc_data *data = NULL;
  qcc_status st = qcc_parse(&m, cx, network, strlen(network), "net.qir");
  if (st == QCC_OK && j->data) st = qcc_data_pull(&data, m, 5, get, j);
  if (st == QCC_OK) {
    st = compile(cx, &small, m, data, j);
    if (st != QCC_OK && !j->by_plan) assert_null(small);
  }
  void *bytes = NULL;
  size_t n = 0;
  if (st == QCC_OK) st = qcc_save_memory(small, &bytes, &n);
  qcc_bytes_free(cx, bytes);
  qcc_data_free(data);
  qcc_model_free(small);
  qcc_model_free(m);
  return st;
}

static size_t count_allocations(job *j) {
  oom o = {0};
  qcc_host host = {.alloc = {.resize = oom_resize, .user = &o}};
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  assert_int_equal(run(cx, j), QCC_OK);
  qcc_context_free(cx);
  assert_int_equal(o.live, 0);
  return o.calls;
}

static void sweep(job j) {
  size_t total = count_allocations(&j), step = total > ALL + SPREAD ? (total - ALL) / SPREAD : 1;
  assert_true(total > 100);
  for (size_t k = 1; k <= total; k += k < ALL ? 1 : step) {
    assert_true(oom_once(run, &j, k, false));
    if (k % 3 == 0) assert_true(oom_once(run, &j, k, true));
  }
}

static void weights_only(void **state) {
  (void)state;
  sweep((job){.level = 1});
}
static void static_ranges(void **state) {
  (void)state;
  sweep((job){.level = 1, .data = true});
}
static void search(void **state) {
  (void)state;
  sweep((job){.level = 2, .data = true});
}
static void made_up_samples(void **state) {
  (void)state;
  sweep((job){.level = 2});
}
static void by_plan(void **state) {
  (void)state;
  sweep((job){.level = 1, .data = true, .by_plan = true});
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(weights_only),    cmocka_unit_test(static_ranges), cmocka_unit_test(search),
      cmocka_unit_test(made_up_samples), cmocka_unit_test(by_plan),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
