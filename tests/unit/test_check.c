/* SPDX-License-Identifier: Apache-2.0
 * The prediction of kernels: what becomes of each node, reasons, versions, pairs that can saturate, and every allocation failing in turn. */
#include <string.h>

#include "backends/ref/ref.h"
#include "backends/target/ort_check.h"
#include "ir/text.h"
#include "tests/oom.h"

/* A bit of everything: every step of the prediction has something to do. */
static const char everything[] =
    "graph @g(%x: f32[2,4,8,8], %t: f32[3,16]) -> (%y, %q3, %m2, %d6, %k, %ci) opset 20 {\n"
    "  %s = const f32[] [0.1]\n  %z = const u8[] [0]\n  %zw = const s8[] [0]\n  %one = const f32[] [1]\n"
    "  %w = const s8[4,4,1,1] [100,100,1,1,-70,-70,2,2,64,64,-64,-64,3,4,5,6]\n  %wf = const f32[4,4,1,1] splat(0.5)\n"
    "  %bf = const f32[4] [1,2,3,4]\n  %w2 = const s8[16,8] splat(3)\n  %b2 = const f32[8] splat(1)\n  %sc = const f32[8] splat(0.1)\n"
    "  %z8 = const s8[8] splat(0)\n"
    "  %xq = QuantizeLinear(%x, %s, %z) \"xq\"\n  %xd = DequantizeLinear(%xq, %s, %z) \"xd\"\n"
    "  %wd = DequantizeLinear(%w, %s, %zw) \"wd\"\n  %c = Conv(%xd, %wd, %bf) \"conv\"\n  %r = Relu(%c) \"relu\"\n"
    "  %q1 = QuantizeLinear(%r, %s, %z) \"q1\"\n  %d1 = DequantizeLinear(%q1, %s, %z) \"d1\"\n"
    "  %c2 = Conv(%d1, %wf, %bf) \"floatconv\"\n  %q2 = QuantizeLinear(%c2, %s, %z) \"q2\"\n  %d2 = DequantizeLinear(%q2, %s, %z) \"d2\"\n"
    "  %tr = Transpose(%d2) {perm=[0,2,3,1]} \"transpose\"\n  %h = HardSwish(%tr) \"swish\"\n  %i = Identity(%h) \"id\"\n"
    "  %y = Tanh(%i) \"tanh\"\n  %q3 = QuantizeLinear(%d1, %s, %z) \"q3\"\n"
    "  %dq, %ds, %dz = DynamicQuantizeLinear(%t) \"range\"\n  %mi = MatMulInteger(%dq, %w2, %dz) \"product\"\n"
    "  %mc = Cast(%mi) {to=1} \"cast\"\n  %ms = Mul(%ds, %sc) \"scales\"\n  %mm = Mul(%mc, %ms) \"rescale\"\n  %m2 = Add(%mm, %b2) "
    "\"bias\"\n"
    "  %w4 = DequantizeLinear(%w2, %sc, %z8) {axis=1} \"w4\"\n  %p = MatMul(%t, %w4) \"blocks\"\n  %d6 = Add(%p, %b2) \"blocks_bias\"\n"
    "  %ci = ConvInteger(%xq, %w, %z) \"convinteger\"\n"
    "  %wdd = DequantizeLinear(%w2, %s, %zw) \"wdd\"\n  %sum = Add(%wdd, %one) \"scaled\"\n  %k = Relu(%sum) \"last\"\n}\n";

typedef struct seen {
  const char *wanted;
  qcc_pred_node node;
  uint64_t total;
} seen;

static qcc_status each(void *user, const qcc_pred_node *n) {
  seen *s = user;
  if (s->wanted && strcmp(n->node->name, s->wanted) == 0) s->node = *n;
  return QCC_OK;
}

static qcc_status total(void *user, const char *kernel, bool on_codes, uint64_t count) {
  seen *s = user;
  if (strcmp(kernel, s->wanted) == 0 && !on_codes) s->total += count;
  return QCC_OK;
}

static qcc_context *cx;
static qcc_graph *graph;

static int set_up(void **state) {
  (void)state;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  assert_int_equal(qcc_parse_graph(&graph, cx, everything, sizeof everything - 1, "everything"), QCC_OK);
  return 0;
}

static int tear_down(void **state) {
  (void)state;
  qcc_graph_free(graph);
  qcc_context_free(cx);
  return 0;
}

static seen ask(const char *wanted, int version, bool pairs) {
  seen s = {.wanted = wanted};
  const qcc_pred_options o = {.version = version, .pair_saturation = pairs, .eval = qcc_ref_eval()};
  const qcc_pred_sink to = {each, total, &s};
  assert_int_equal(qcc_pred_check(graph, &o, &to), QCC_OK);
  return s;
}

static void is(const char *name, qcc_pred_fate fate, const char *kernel) {
  const seen s = ask(name, QCC_PRED_NEWEST, false);
  assert_non_null(s.node.node);
  assert_int_equal(s.node.fate, fate);
  assert_string_equal(s.node.kernel, kernel);
}

static void test_fates(void **state) {
  (void)state;
  is("conv", QCC_PRED_INT8, "QLinearConv");
  is("relu", QCC_PRED_REMOVED, "");
  is("floatconv", QCC_PRED_INT8, "QLinearConv");
  is("transpose", QCC_PRED_CODES, "Transpose");
  is("id", QCC_PRED_REMOVED, "");
  is("tanh", QCC_PRED_FLOAT, "Tanh");
  is("q3", QCC_PRED_REMOVED, "");
  is("product", QCC_PRED_INT8, "DynamicQuantizeMatMul");
  is("cast", QCC_PRED_FUSED, "DynamicQuantizeMatMul");
  is("bias", QCC_PRED_FUSED, "DynamicQuantizeMatMul");
  is("wdd", QCC_PRED_BORDER, "DequantizeLinear");
}

static void test_versions(void **state) {
  (void)state;
  assert_int_equal(ask("floatconv", 120, false).node.reason, QCC_PRED_MISSING_DQ_INPUT);
  assert_int_equal(ask("floatconv", 120, false).node.input, 1);
  assert_int_equal(ask("conv", 120, false).node.input, 2); /* the float bias */
  assert_int_equal(ask("HardSigmoid", QCC_PRED_NEWEST, false).total, 1);
  assert_int_equal(ask("HardSwish", QCC_PRED_NEWEST, false).total, 0);
  assert_int_equal(ask("convinteger", 123, false).node.warning, QCC_PRED_SIGNED_CONV_INTEGER);
  assert_int_equal(ask("convinteger", 124, false).node.warning, QCC_PRED_NONE);
}

static void test_pairs(void **state) {
  (void)state;
  const seen s = ask("conv", QCC_PRED_NEWEST, true);
  assert_int_equal(s.node.pairs, 8);
  assert_int_equal(s.node.unsafe, 2); /* 100 + 100, -70 - 70; 64 + 64 is at the limit */
  assert_int_equal(ask("conv", QCC_PRED_NEWEST, false).node.pairs, 0);
}

static void test_model_is_left_alone(void **state) {
  (void)state;
  qcc_text before = {.cx = cx}, after = {.cx = cx};
  qcc_print_graph(&before, graph, NULL);
  ask("conv", QCC_PRED_NEWEST, true);
  qcc_print_graph(&after, graph, NULL);
  assert_string_equal(before.at, after.at);
  qcc_text_free(&before);
  qcc_text_free(&after);
}

static void test_reasons_are_told(void **state) {
  (void)state;
  for (qcc_pred_reason r = (qcc_pred_reason)1; r < QCC_PRED_REASON_COUNT; r++) {
    const qcc_pred_reason_text *t = qcc_pred_reason_of(r);
    assert_true(*t->name && *t->what && *t->todo);
  }
}

static qcc_status run(qcc_context *fresh, void *user) {
  (void)user;
  qcc_graph *g = NULL;
  seen s = {.wanted = "conv"};
  const qcc_pred_options o = {.version = QCC_PRED_NEWEST, .pair_saturation = true, .eval = qcc_ref_eval()};
  const qcc_pred_sink to = {each, total, &s};
  qcc_status st = qcc_parse_graph(&g, fresh, everything, sizeof everything - 1, "everything");
  if (st == QCC_OK) st = qcc_pred_check(g, &o, &to);
  qcc_graph_free(g);
  return st;
}

static void test_no_memory(void **state) {
  (void)state;
  oom_sweep(run, NULL, 1, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(test_fates, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_versions, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_pairs, set_up, tear_down),
      cmocka_unit_test_setup_teardown(test_model_is_left_alone, set_up, tear_down),
      cmocka_unit_test(test_reasons_are_told),
      cmocka_unit_test(test_no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
