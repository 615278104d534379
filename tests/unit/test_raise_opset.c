/* SPDX-License-Identifier: Apache-2.0
 * raise-opset refuses what has no equal, tells a wrong option, is idempotent, and leaves what it cannot know alone. What it rewrites is
 * in tests/golden/raise-opset, where results are executed and compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/ref.h"
#include "ir/text.h"
#include "passes/pass.h"

static void count_errors(void *user, qcc_severity severity, const char *line) {
  (void)line;
  *(int *)user += severity == QCC_ERROR;
}

static qcc_context *new_context(int *errors) {
  qcc_context *cx = NULL;
  const qcc_host host = {.log = count_errors, .log_user = errors};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  return cx;
}

static qcc_graph *parse(qcc_context *cx, const char *text) {
  qcc_graph *g = NULL;
  if (qcc_parse_graph(&g, cx, text, strlen(text), "case") != QCC_OK) fail_msg("%s\n%s", qcc_last_error(cx), text);
  return g;
}

static qcc_status raise_to(qcc_graph *g, const char *pipeline) {
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  return qcc_run_passes(g, pipeline, &options);
}

static void check_refused(const char *text, const char *pipeline, qcc_status want) {
  int errors = 0;
  qcc_context *cx = new_context(&errors);
  qcc_graph *g = parse(cx, text);
  qcc_status status = raise_to(g, pipeline);
  if (status != want) fail_msg("%s: status %d, expected %d: %s", text, status, want, qcc_last_error(cx));
  assert_int_equal(errors, 1);
  qcc_graph_free(g);
  qcc_context_free(cx);
}

#define BN "%s = const f32[3] splat(1)\n"

static void refused(void **state) {
  (void)state;
  static const char *const models[] = {
      "graph @f(%x: f32[1,3,2,2]) -> (%y) opset 8 {\n" BN "%y = BatchNormalization(%x, %s, %s, %s, %s) {spatial=0}\n}",
      "graph @f(%x: f32[1,3,2,2]) -> (%y, %m) opset 9 {\n" BN "%y, %m = BatchNormalization(%x, %s, %s, %s, %s)\n}",
      "graph @f(%x: f32[4]) -> (%y, %m) opset 7 {\n%y, %m = Dropout(%x)\n}",
      "graph @f(%x: f32, %k: f32[3]) -> (%y) opset 6 {\n%y = Add(%x, %k) {axis=1, broadcast=1}\n}",
      "graph @f(%x: f32, %k: f32[3]) -> (%y) opset 6 {\n%y = PRelu(%x, %k)\n}",
  };
  for (size_t i = 0; i < sizeof models / sizeof *models; i++) check_refused(models[i], "raise-opset{to=14}", QCC_UNSUPPORTED);
}

static void wrong_options(void **state) {
  (void)state;
  static const char *const pipelines[] = {"raise-opset{to=6}", "raise-opset{to=22}", "raise-opset{to=x}", "raise-opset{to=13x}",
                                          "raise-opset{from=3}"};
  for (size_t i = 0; i < sizeof pipelines / sizeof *pipelines; i++)
    check_refused("graph @f(%x: f32[4]) -> (%y) opset 9 {\n%y = Relu(%x)\n}", pipelines[i], QCC_ARG);
}

static char *print(qcc_text *to, const qcc_graph *g) {
  to->cx = g->cx;
  qcc_print_graph(to, g, NULL);
  assert_false(to->failed);
  return to->at;
}

/* In one step or two, and once more: the same text. */
static void steps_agree(void **state) {
  (void)state;
  static const char source[] =
      "graph @f(%x: f32[1,6,8]) -> (%a, %b, %c) opset 9 {\n"
      "%a = Slice(%x) {starts=[1], ends=[3], axes=[1]} \"slice\"\n"
      "%b = Squeeze(%a) {axes=[0]} \"squeeze\"\n%c = ReduceMean(%x) {axes=[1]} \"mean\"\n}";
  int errors = 0;
  qcc_context *cx = new_context(&errors);
  qcc_graph *direct = parse(cx, source), *stepped = parse(cx, source);
  assert_int_equal(raise_to(direct, "raise-opset{to=18}"), QCC_OK);
  assert_int_equal(raise_to(stepped, "raise-opset,raise-opset{to=18},raise-opset{to=18}"), QCC_OK);
  assert_int_equal(qcc_graph_opset(direct, ""), 18);
  qcc_text a = {0}, b = {0};
  assert_string_equal(print(&a, direct), print(&b, stepped));
  qcc_text_free(&a);
  qcc_text_free(&b);
  qcc_graph_free(direct);
  qcc_graph_free(stepped);
  qcc_context_free(cx);
}

/* Operators of other domains that share a name, and graphs without the default domain. */
static void left_alone(void **state) {
  (void)state;
  int errors = 0;
  qcc_context *cx = new_context(&errors);
  qcc_graph *g = parse(cx, "graph @f(%x: f32[4]) -> (%y) opset 9, com.foo 1 {\n%y = com.foo.Clip(%x) {min=0.5}\n}");
  assert_int_equal(raise_to(g, "raise-opset"), QCC_OK);
  assert_non_null(qcc_attr_find(g->first, "min"));
  assert_int_equal(g->first->in_count, 1);
  assert_int_equal(qcc_graph_opset(g, ""), 13);
  assert_int_equal(qcc_graph_opset(g, "com.foo"), 1);
  assert_int_equal(errors, 0);
  qcc_graph_free(g);
  qcc_context_free(cx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refused),
      cmocka_unit_test(wrong_options),
      cmocka_unit_test(steps_agree),
      cmocka_unit_test(left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
