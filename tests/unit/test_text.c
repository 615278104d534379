/* SPDX-License-Identifier: Apache-2.0
 * The text form beyond what golden files show: numbers found again by the printer, neighbourhoods, every prefix of a text refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* cmocka needs the first four */
#include <cmocka.h>

#include "ir/lex.h"
#include "ir/text.h"

static int setup(void **state) { return (int)qcc_context_new((qcc_context **)state, NULL); }

static int teardown(void **state) {
  qcc_context_free(*state);
  return 0;
}

static qcc_graph *parse(qcc_context *cx, const char *text) {
  qcc_graph *g = NULL;
  qcc_status st = qcc_parse_graph(&g, cx, text, strlen(text), "test");
  if (st != QCC_OK) print_message("%s\n", qcc_last_error(cx));
  assert_int_equal(st, QCC_OK);
  return g;
}

static void print_all(qcc_text *to, const qcc_graph *g, const char *around, int radius) {
  qcc_print_graph(to, g, &(qcc_print_options){.all_weights = true, .around = around, .radius = radius});
  assert_false(to->failed);
}

static void test_every_seed_is_found_again(void **state) {
  static const char *const types[] = {"f32[9]", "f64[9]", "f16[9]", "bf16[9]", "s8[9]", "u8[9]", "s64[9]", "u16[9]", "s4[20]", "bool[64]"};
  char text[128], expected[64];
  for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
    for (int seed = 0; seed < 1000; seed += 111) {
      qcc_format(text, sizeof text, "graph @g() -> (%%k) opset 13 { %%k = const %s rand(%d) }", types[k], seed);
      qcc_format(expected, sizeof expected, "const %s rand(%d)", types[k], seed);
      qcc_graph *g = parse(*state, text);
      qcc_text out = {.cx = *state};
      print_all(&out, g, NULL, 0);
      assert_non_null(strstr(out.at, expected));
      qcc_text_free(&out);
      qcc_graph_free(g);
    }
  }
}

static void test_random_numbers_are_spread(void **state) {
  qcc_graph *g = parse(*state, "graph @g() -> (%k) opset 13 { %k = const f32[10000] rand(5) }");
  double sum = 0, square = 0;
  for (int64_t i = 0; i < 10000; i++) {
    double x = qcc_tensor_get(g->consts[0]->data, i);
    assert_true(x >= -1 && x < 1);
    sum += x;
    square += x * x;
  }
  assert_true(sum / 10000 > -0.03 && sum / 10000 < 0.03);
  assert_true(square / 10000 > 0.31 && square / 10000 < 0.36); /* 1/3 */
  qcc_graph_free(g);
}

static void test_changed_weights_print_otherwise(void **state) {
  qcc_graph *g = parse(*state, "graph @g() -> (%k) opset 13 { %k = const f32[100] rand(5) }");
  qcc_tensor t = qcc_tensor_retain(g->consts[0]->data);
  float *x = qcc_tensor_mut(&t);
  x[99] = 7;
  qcc_set_const(g->consts[0], &t);
  qcc_text out = {.cx = *state};
  qcc_print_graph(&out, g, NULL);
  assert_null(strstr(out.at, "rand"));
  assert_non_null(strstr(out.at, "const f32[100] #"));
  qcc_text_free(&out);
  qcc_graph_free(g);
}

static const char chain[] =
    "graph @g(%x: f32[2]) -> (%e) opset 13 {\n"
    "  %k = const f32[2] [1,2]\n"
    "  %a = Relu(%x) \"na\"\n"
    "  %b = Neg(%a) \"nb\"\n"
    "  %c = Abs(%b) \"nc\"\n"
    "  %d = Add(%c, %k) \"nd\"\n"
    "  %e = Relu(%d) \"ne\"\n"
    "}\n";

static void expect_around(qcc_context *cx, const qcc_graph *g, const char *around, int radius, const char *nodes) {
  qcc_text out = {.cx = cx};
  char quoted[8];
  print_all(&out, g, around, radius);
  for (const char *n = "abcde"; *n; n++) {
    qcc_format(quoted, sizeof quoted, "\"n%c\"", *n);
    assert_int_equal(strstr(out.at, quoted) != NULL, strchr(nodes, *n) != NULL);
  }
  assert_int_equal(strstr(out.at, "const") != NULL, strchr(nodes, 'd') != NULL);
  qcc_text_free(&out);
}

static void test_neighbourhoods(void **state) {
  qcc_graph *g = parse(*state, chain);
  expect_around(*state, g, "nb", 0, "b");
  expect_around(*state, g, "nb", 1, "abc");
  expect_around(*state, g, "c", 0, "cd");
  expect_around(*state, g, "e", 1, "de");
  expect_around(*state, g, "nobody", 3, "");
  qcc_graph_free(g);
}

static void test_prefixes_are_refused(void **state) {
  for (size_t n = 0; n + 2 < sizeof chain; n++) {
    qcc_graph *g = NULL;
    assert_int_equal(qcc_parse_graph(&g, *state, chain, n, NULL), QCC_INVALID);
    assert_null(g);
  }
}

/* Every byte of a text that has everything, replaced: accepted or refused, never worse; what is accepted prints and parses again. */
static void test_changed_bytes(void **state) {
  static char text[1 << 14];
  FILE *f = fopen("tests/golden/text/everything.qir", "rb");
  assert_non_null(f);
  size_t n = fread(text, 1, sizeof text, f);
  fclose(f);
  char *stop = strstr(text, ";; expect");
  if (stop) n = (size_t)(stop - text);
  uint32_t random = 1;
  for (size_t i = 0; i < n; i++) {
    char kept = text[i];
    random = random * 1664525u + 1013904223u;
    text[i] = "\"%@[](){}=,:;#x_-0129.\\\n\0~"[(random >> 16) % 27];
    qcc_graph *g = NULL;
    qcc_status st = qcc_parse_graph(&g, *state, text, n, NULL);
    assert_true(st == QCC_OK || st == QCC_INVALID);
    if (st == QCC_OK) {
      qcc_text once = {.cx = *state}, twice = {.cx = *state};
      print_all(&once, g, NULL, 0);
      qcc_graph_free(g);
      g = parse(*state, once.at);
      print_all(&twice, g, NULL, 0);
      assert_string_equal(once.at, twice.at);
      qcc_text_free(&once);
      qcc_text_free(&twice);
    }
    qcc_graph_free(g);
    text[i] = kept;
  }
}

static void test_error_shows_the_place(void **state) {
  qcc_graph *g = NULL;
  const char *text = "graph @g(%x: f32[2]) -> (%y) opset 13 {\n  %y = Relu(%z)\n}\n";
  assert_int_equal(qcc_parse_graph(&g, *state, text, strlen(text), "some.qir"), QCC_INVALID);
  assert_string_equal(qcc_last_error(*state), "some.qir:2:13: error[M-084]: %z is not defined above");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_every_seed_is_found_again, setup, teardown),
      cmocka_unit_test_setup_teardown(test_random_numbers_are_spread, setup, teardown),
      cmocka_unit_test_setup_teardown(test_changed_weights_print_otherwise, setup, teardown),
      cmocka_unit_test_setup_teardown(test_neighbourhoods, setup, teardown),
      cmocka_unit_test_setup_teardown(test_prefixes_are_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(test_changed_bytes, setup, teardown),
      cmocka_unit_test_setup_teardown(test_error_shows_the_place, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
