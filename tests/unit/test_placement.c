/* SPDX-License-Identifier: Apache-2.0
 * Placement on small graphs: what computes in 8 bit, which tensors carry parameters and share them, what selectors leave out. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/ref.h"
#include "backends/target/target.h"
#include "ir/text.h"
#include "passes/pass.h"
#include "strategy/placement.h"

typedef struct world {
  qcc_context *cx;
  qcc_graph *g;
  qcc_target target;
  qcc_placement p;
} world;

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  assert_int_equal(qcc_context_new(&w->cx, NULL), QCC_OK);
  assert_int_equal(qcc_target_find(&w->target, w->cx, QCC_TARGET_DEFAULT), QCC_OK);
  w->target.costs.count = 0; /* test_cost.c is about what pays */
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  qcc_placement_fini(&w->p);
  qcc_graph_free(w->g);
  qcc_target_fini(&w->target);
  qcc_context_free(w->cx);
  free(w);
  return 0;
}

static void parse(world *w, const char *text) {
  assert_int_equal(qcc_parse_graph(&w->g, w->cx, text, strlen(text), "test.qir"), QCC_OK);
  qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  assert_int_equal(qcc_run_passes(w->g, "canonicalize,infer-shapes", &options), QCC_OK);
}

static qcc_status place_with(world *w, const qcc_select *select) {
  qcc_placement_fini(&w->p);
  return qcc_place(&w->p, w->g, &w->target, &(qcc_place_options){.have_ranges = true, .select = select});
}

static void place(world *w, const char *text) {
  parse(w, text);
  assert_int_equal(place_with(w, NULL), QCC_OK);
}

static const qcc_node *node_of(const world *w, const char *name) {
  const qcc_node *n = qcc_find_node(w->g, qcc_intern(w->cx, name));
  if (!n) fail_msg("no node %s", name);
  return n;
}

static qcc_mode mode(const world *w, const char *node) { return w->p.mode[node_of(w, node)->id]; }

static const qcc_value *value(const world *w, const char *name) {
  for (uint32_t i = 0; i < w->g->input_count; i++) {
    if (strcmp(w->g->inputs[i]->name, name) == 0) return w->g->inputs[i];
  }
  QCC_FOR_NODES(n, w->g) {
    for (uint32_t k = 0; k < n->out_count; k++) {
      if (n->out[k] && strcmp(n->out[k]->name, name) == 0) return n->out[k];
    }
  }
  fail_msg("no value %s", name);
  return NULL;
}

static bool quantized(const world *w, const char *name) { return w->p.quantized[value(w, name)->id]; }
static uint32_t group(const world *w, const char *name) { return qcc_group_of(&w->p, value(w, name)); }

#define WEIGHTS                         \
  "  %w = const f32[4,4,1,1] rand(1)\n" \
  "  %v = const f32[4,4,1,1] rand(2)\n"

/* ---- rules */

static void tail_stays_float(void **state) {
  world *w = *state;
  place(w, "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
           "  %a = Conv(%x, %w) \"conv\"\n"
           "  %p = MaxPool(%a) {kernel_shape=[2,2]} \"pool\"\n"
           "  %s = Sigmoid(%p) \"sigmoid\"\n"
           "  %y = Flatten(%s) \"flat\"\n}\n");
  assert_int_equal(mode(w, "conv"), QCC_MODE_STATIC);
  assert_int_equal(mode(w, "pool"), QCC_MODE_FLOAT);
  assert_int_equal(mode(w, "sigmoid"), QCC_MODE_FLOAT);
  assert_int_equal(mode(w, "flat"), QCC_MODE_FLOAT);
  assert_true(quantized(w, "x") && quantized(w, "a"));
  assert_false(quantized(w, "p") || quantized(w, "s") || quantized(w, "y"));
}

static void middle_joins(void **state) {
  world *w = *state;
  place(w, "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
           "  %a = Conv(%x, %w) \"conv\"\n"
           "  %p = MaxPool(%a) {kernel_shape=[2,2]} \"pool\"\n"
           "  %y = Conv(%p, %v) \"last\"\n}\n");
  assert_int_equal(mode(w, "pool"), QCC_MODE_STATIC);
  assert_true(quantized(w, "p"));
  assert_int_equal(group(w, "a"), group(w, "p")); /* the pool moves codes */
  assert_true(group(w, "a") != group(w, "x") && group(w, "a") != group(w, "y"));
  assert_true(qcc_is_range_source(&w->p, value(w, "a")));
  assert_false(qcc_is_range_source(&w->p, value(w, "p")));
}

static void concat_shares(void **state) {
  world *w = *state;
  place(w, "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
           "  %u = const f32[4,8,1,1] rand(3)\n"
           "  %a = Conv(%x, %w) \"a\"\n"
           "  %b = Conv(%x, %v) \"b\"\n"
           "  %c = Concat(%a, %b) {axis=1} \"cat\"\n"
           "  %y = Conv(%c, %u) \"last\"\n}\n");
  assert_int_equal(mode(w, "cat"), QCC_MODE_STATIC);
  assert_int_equal(group(w, "a"), group(w, "c"));
  assert_int_equal(group(w, "b"), group(w, "c"));
  assert_true(group(w, "x") != group(w, "c"));
}

/* Whether input and output share is for the target to say, not for the operator. */
static void concat_shares_where_the_target_wants_it(void **state) {
  world *w = *state;
  w->target.ops[QCC_OP_CONCAT].same_q = false;
  place(w, "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
           "  %u = const f32[4,8,1,1] rand(3)\n"
           "  %a = Conv(%x, %w) \"a\"\n"
           "  %b = Conv(%x, %v) \"b\"\n"
           "  %c = Concat(%a, %b) {axis=1} \"cat\"\n"
           "  %y = Conv(%c, %u) \"last\"\n}\n");
  assert_int_equal(mode(w, "cat"), QCC_MODE_STATIC);
  assert_true(group(w, "a") != group(w, "c") && group(w, "b") != group(w, "c"));
  assert_true(quantized(w, "a") && quantized(w, "b") && quantized(w, "c"));
  assert_true(qcc_is_range_source(&w->p, value(w, "c")));
}

static void relu_fuses_where_the_target_has_the_kernel(void **state) {
  world *w = *state;
  w->target.pattern_count = 0;
  place(w, "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
           "  %a = Conv(%x, %w) \"conv\"\n"
           "  %r = Relu(%a) \"relu\"\n"
           "  %y = Conv(%r, %v) \"last\"\n}\n");
  assert_int_equal(mode(w, "relu"), QCC_MODE_FLOAT);
}

static void channels_by_operator(void **state) {
  world *w = *state;
  qcc_target_fini(&w->target);
  assert_int_equal(qcc_target_find(&w->target, w->cx, "qnn"), QCC_OK);
  place(w, "graph @f(%x: f32[1,4,1,1]) -> (%y) opset 13 {\n" WEIGHTS
           "  %m = const f32[4,3] rand(3)\n"
           "  %a = Conv(%x, %w) \"conv\"\n"
           "  %f = Flatten(%a) \"flat\"\n"
           "  %y = Gemm(%f, %m) \"gemm\"\n}\n");
  int axis = 7;
  assert_non_null(qcc_weight_of(&w->p, node_of(w, "conv"), 1, &axis));
  assert_int_equal(axis, 0);
  assert_non_null(qcc_weight_of(&w->p, node_of(w, "gemm"), 1, &axis));
  assert_int_equal(axis, -1);
  assert_true(quantized(w, "y")); /* no kernel of this target ends in float */
}

/* Kernels that take a sum in add before they round: no parameters between the product and the sum. */
static void sums_join_products(void **state) {
  static const char *const text = "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
                                  "  %a = Conv(%x, %w) \"first\"\n"
                                  "  %r = Relu(%a) \"relu\"\n"
                                  "  %b = Conv(%r, %v) \"product\"\n"
                                  "  %s = Add(%b, %r) \"sum\"\n"
                                  "  %c = Conv(%s, %v) \"again\"\n"
                                  "  %d = Add(%c, %c) \"twice\"\n"
                                  "  %y = Conv(%d, %v) \"last\"\n}\n";
  static const char *const name[] = {"tensorrt", "openvino", QCC_TARGET_DEFAULT};
  world *w = *state;
  for (int i = 0; i < 3; i++) {
    qcc_target_fini(&w->target);
    assert_int_equal(qcc_target_find(&w->target, w->cx, name[i]), QCC_OK);
    w->target.costs.count = 0;
    qcc_graph_free(w->g);
    place(w, text);
    assert_int_equal(mode(w, "sum"), QCC_MODE_STATIC);
    assert_int_equal(quantized(w, "b"), i == 2);
    assert_true(quantized(w, "r") && quantized(w, "s"));
    assert_true(quantized(w, "c") && quantized(w, "d")); /* read twice */
  }
}

/* An activation at the end stays in a kernel that gives codes only, and leaves one that may end in float. */
static void activations_at_the_end(void **state) {
  static const char *const text = "graph @f(%x: f32[1,4,1,1]) -> (%y) opset 13 {\n" WEIGHTS
                                  "  %m = const f32[4,3] rand(3)\n"
                                  "  %a = Conv(%x, %w) \"conv\"\n"
                                  "  %f = Flatten(%a) \"flat\"\n"
                                  "  %g = Gemm(%f, %m) \"gemm\"\n"
                                  "  %y = Relu(%g) \"relu\"\n}\n";
  world *w = *state;
  place(w, text);
  assert_int_equal(mode(w, "relu"), QCC_MODE_FLOAT);
  assert_false(quantized(w, "g") || quantized(w, "y"));
  qcc_target_fini(&w->target);
  assert_int_equal(qcc_target_find(&w->target, w->cx, "qnn"), QCC_OK);
  assert_int_equal(place_with(w, NULL), QCC_OK);
  assert_int_equal(mode(w, "relu"), QCC_MODE_STATIC);
  assert_true(quantized(w, "y") && !quantized(w, "g"));
}

static void relu_fuses(void **state) {
  world *w = *state;
  place(w, "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
           "  %a = Conv(%x, %w) \"conv\"\n"
           "  %r = Relu(%a) \"relu\"\n"
           "  %y = Conv(%r, %v) \"last\"\n}\n");
  assert_int_equal(mode(w, "relu"), QCC_MODE_STATIC);
  assert_true(w->p.fused[node_of(w, "relu")->id]);
  assert_false(quantized(w, "a")); /* no parameters inside a fused pair */
  assert_true(quantized(w, "r"));
  double lo, hi;
  qcc_known_range(value(w, "r"), &lo, &hi);
  assert_true(lo == 0 && isinf(hi));
}

static void relu_with_company_does_not_fuse(void **state) {
  world *w = *state;
  place(w, "graph @f(%x: f32[1,4,8,8]) -> (%y, %t) opset 13 {\n" WEIGHTS
           "  %a = Conv(%x, %w) \"conv\"\n"
           "  %r = Relu(%a) \"relu\"\n"
           "  %t = Tanh(%a) \"tanh\"\n"
           "  %y = Conv(%r, %v) \"last\"\n}\n");
  assert_int_equal(mode(w, "relu"), QCC_MODE_FLOAT);
  assert_true(quantized(w, "a"));
  assert_true(quantized(w, "r")); /* an island: quantized again for the last convolution */
}

static void silu_has_a_useful_range(void **state) {
  world *w = *state;
  double lo, hi;
  place(w, "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
           "  %a = Conv(%x, %w) \"conv\"\n"
           "  %s = Sigmoid(%a) \"gate\"\n"
           "  %m = Mul(%a, %s) \"mul\"\n"
           "  %y = Conv(%m, %v) \"last\"\n}\n");
  assert_int_equal(mode(w, "gate"), QCC_MODE_STATIC);
  assert_int_equal(mode(w, "mul"), QCC_MODE_STATIC);
  qcc_useful_range(&w->p, value(w, "a"), &lo, &hi);
  assert_true(lo < -6 && lo > -6.5 && isinf(hi)); /* large x passes through the product */
  qcc_useful_range(&w->p, value(w, "m"), &lo, &hi);
  assert_true(isinf(lo) && isinf(hi));
  qcc_known_range(value(w, "s"), &lo, &hi);
  assert_true(lo == 0 && hi == 1);
}

static void gemm_ends_in_float(void **state) {
  world *w = *state;
  place(w,
        "graph @f(%x: f32[2,4]) -> (%y) opset 13 {\n"
        "  %w = const f32[4,4] rand(1)\n"
        "  %v = const f32[4,3] rand(2)\n"
        "  %a = Gemm(%x, %w) \"one\"\n"
        "  %y = Gemm(%a, %v) \"two\"\n}\n");
  assert_true(quantized(w, "a")); /* its user computes in 8 bit */
  assert_false(quantized(w, "y"));
}

static void outputs_on_request(void **state) {
  world *w = *state;
  const qcc_place_options coded = {.have_ranges = true, .coded_interface = true};
  place(w,
        "graph @f(%x: f32[4,4]) -> (%y, %z, %r) opset 13 {\n"
        "  %w = const f32[4,4] rand(1)\n"
        "  %v = const f32[4,3] rand(2)\n"
        "  %y = Gemm(%x, %w) \"one\"\n"
        "  %a = Gemm(%y, %v) \"two\"\n"
        "  %z = Sigmoid(%a) \"sigmoid\"\n"
        "  %b = Gemm(%x, %v) \"three\"\n"
        "  %r = Relu(%b) \"relu\"\n}\n");
  assert_false(quantized(w, "a") || quantized(w, "z") || quantized(w, "r")); /* y is read in 8 bit */
  qcc_placement_fini(&w->p);
  assert_int_equal(qcc_place(&w->p, w->g, &w->target, &coded), QCC_OK);
  assert_true(quantized(w, "y") && quantized(w, "a") && quantized(w, "z") && quantized(w, "r"));
  assert_int_equal(mode(w, "sigmoid"), QCC_MODE_STATIC);
}

static void obstacles_are_named(void **state) {
  world *w = *state;
  place(w,
        "graph @f(%x: f32[4,4], %u: f32[4,4]) -> (%a, %b, %c) opset 13 {\n"
        "  %w = const f32[4,4] rand(1)\n"
        "  %a = Gemm(%x, %u) \"computed\"\n"
        "  %b = Gemm(%x, %w) {transA=1} \"turned\"\n"
        "  %c = Gemm(%x, %w, %u) \"bias\"\n}\n");
  assert_string_equal(w->p.reason[node_of(w, "computed")->id], "its weight is computed");
  assert_string_equal(w->p.reason[node_of(w, "turned")->id], "transA is set");
  assert_string_equal(w->p.reason[node_of(w, "bias")->id], "its bias is computed");
  assert_int_equal(mode(w, "bias"), QCC_MODE_FLOAT);
}

static void without_ranges(void **state) {
  world *w = *state;
  parse(w, "graph @f(%x: f32[1,4,2,2]) -> (%y) opset 13 {\n" WEIGHTS
           "  %u = const f32[16,3] rand(3)\n"
           "  %a = Conv(%x, %w) \"conv\"\n"
           "  %f = Flatten(%a) \"flat\"\n"
           "  %y = MatMul(%f, %u) \"matmul\"\n}\n");
  assert_int_equal(qcc_place(&w->p, w->g, &w->target, &(qcc_place_options){0}), QCC_OK);
  assert_int_equal(mode(w, "conv"), QCC_MODE_WEIGHT);
  assert_int_equal(mode(w, "matmul"), QCC_MODE_DYNAMIC);
  assert_int_equal(mode(w, "flat"), QCC_MODE_FLOAT);
  assert_false(quantized(w, "x") || quantized(w, "a"));
}

/* Ranges being known changes nothing for operators that have no form for them. */
static void attention_on_run_time_ranges(void **state) {
  world *w = *state;
  place(w,
        "graph @f(%x: f32[1,3,4], %s: f32[1,2,3,3]) -> (%y, %z, %t) opset 13, com.microsoft 1 {\n"
        "  %w = const f32[4,6] rand(1)\n"
        "  %b = const f32[6] rand(2)\n"
        "  %y = com.microsoft.Attention(%x, %w, %b) {num_heads=2} \"plain\"\n"
        "  %z = com.microsoft.Attention(%x, %w, %b, _, _, %s) {num_heads=2} \"scores\"\n"
        "  %t = com.microsoft.Attention(%x, %w, %b) {num_heads=1, qkv_hidden_sizes=[1,1,4]} \"sizes\"\n}\n");
  assert_int_equal(mode(w, "plain"), QCC_MODE_DYNAMIC);
  assert_int_equal(mode(w, "scores"), QCC_MODE_FLOAT);
  assert_string_equal(w->p.reason[node_of(w, "scores")->id], "its scores have a bias");
  assert_string_equal(w->p.reason[node_of(w, "sizes")->id], "its queries and values have different sizes");
  int axis;
  assert_ptr_equal(qcc_weight_of(&w->p, node_of(w, "plain"), 1, &axis), node_of(w, "plain")->in[1].value);
  assert_int_equal(axis, 1);
}

/* ---- selectors */

static const char three[] = "graph @f(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n" WEIGHTS
                            "  %u = const f32[4,4,1,1] rand(3)\n"
                            "  %a = Conv(%x, %w) \"stem/conv\" from \"stem/conv,stem/bn\"\n"
                            "  %r = Relu(%a) \"stem/relu\"\n"
                            "  %b = Conv(%r, %v) \"body/conv_1\"\n"
                            "  %y = Conv(%b, %u) \"head/conv\"\n}\n";

static void expect_modes(const world *w, bool stem, bool body, bool head) {
  assert_int_equal(mode(w, "stem/conv"), stem ? QCC_MODE_STATIC : QCC_MODE_FLOAT);
  assert_int_equal(mode(w, "body/conv_1"), body ? QCC_MODE_STATIC : QCC_MODE_FLOAT);
  assert_int_equal(mode(w, "head/conv"), head ? QCC_MODE_STATIC : QCC_MODE_FLOAT);
}

static void select(world *w, const char *only, const char *exclude, bool stem, bool body, bool head) {
  qcc_select s = {&only, only ? 1 : 0, &exclude, exclude ? 1 : 0, NULL};
  assert_int_equal(place_with(w, &s), QCC_OK);
  expect_modes(w, stem, body, head);
}

static void selectors_choose(void **state) {
  world *w = *state;
  parse(w, three);
  select(w, NULL, NULL, true, true, true);
  select(w, "type:Conv", NULL, true, true, true);
  select(w, "name:stem*", NULL, true, false, false);
  select(w, "name:stem/bn", NULL, true, false, false); /* the node that fusion took in */
  select(w, "re:^(body|head)/conv(_[0-9]+)?$", NULL, false, true, true);
  select(w, NULL, "name:*/conv", false, true, false);
  select(w, NULL, "re:/bn$", false, true, true);
  select(w, "type:Conv", "name:head/*", true, true, false);
  select(w, "body/*", NULL, false, true, false);
  select(w, "head/conv", NULL, false, false, true);
  select(w, "first:1", NULL, true, false, false);
  select(w, "last:2", NULL, false, true, true);
  select(w, NULL, "first:9", false, false, false);
  select(w, "between:x..b", NULL, true, true, false);
  select(w, "between:r..y", "between:b..y", false, true, false);
  select(w, NULL, "type:Conv", false, false, false);
  assert_string_equal(w->p.reason[node_of(w, "head/conv")->id], "excluded by a selector");
  assert_int_equal(mode(w, "stem/relu"), QCC_MODE_FLOAT); /* nothing in 8 bit before it */
}

static void refused(world *w, const char *text, const char *message) {
  qcc_select only = {&text, 1, NULL, 0, NULL}, exclude = {NULL, 0, &text, 1, NULL};
  assert_int_equal(place_with(w, &only), QCC_ARG);
  if (!strstr(qcc_last_error(w->cx), message)) fail_msg("%s: %s", text, qcc_last_error(w->cx));
  qcc_clear_errors(w->cx);
  assert_int_equal(place_with(w, &exclude), QCC_ARG);
  assert_non_null(strstr(qcc_last_error(w->cx), message));
}

static void selectors_are_checked(void **state) {
  world *w = *state;
  parse(w, three);
  refused(w, "type:Gemm", "matches no node");
  refused(w, "name:stem", "matches no node"); /* a glob matches whole names */
  refused(w, "re:^nothing$", "matches no node");
  refused(w, "re:(", "not a regular expression");
  refused(w, "conv", "matches no node");
  refused(w, "", "a name is missing");
  refused(w, "type:Convv", "did you mean \"Conv\"?");
  refused(w, "body/conv1", "did you mean \"body/conv_1\"?");
  refused(w, "stem/bm", "did you mean \"stem/bn\"?");
  refused(w, "first:0", "expected a number above 0");
  refused(w, "last:two", "expected a number");
  refused(w, "first:", "expected a number");
  refused(w, "between:x", "expected between:TENSOR..TENSOR");
  refused(w, "between:x..bee", "the model has no tensor \"bee\"; did you mean");
  refused(w, "between:nothing alike..b", "the model has no tensor \"nothing alike\"");
  refused(w, "between:b..x", "matches no node");
}

/* A diamond with a tail: what is beside the paths stays out. */
static void paths_between_tensors(void **state) {
  world *w = *state;
  parse(w,
        "graph @g(%in..put: f32[1,4,8,8]) -> (%y, %z) opset 13 {\n"
        "  %w = const f32[4,4,1,1] rand(1)\n"
        "  %a = Conv(%in..put, %w) \"a\"\n"
        "  %b = Conv(%a, %w) \"b\"\n"
        "  %c = Conv(%a, %w) \"c\"\n"
        "  %side = Conv(%a, %w) \"side\"\n"
        "  %d = Add(%b, %c) \"d\"\n"
        "  %y = Conv(%d, %w) \"y\"\n"
        "  %z = Conv(%side, %w) \"z\"\n}\n");
  const char *text = "between:a..d";
  assert_int_equal(place_with(w, &(qcc_select){.only = &text, .only_count = 1}), QCC_OK);
  for (const char *const *n = (const char *const[]){"b", "c", NULL}; *n; n++) assert_int_equal(mode(w, *n), QCC_MODE_STATIC);
  for (const char *const *n = (const char *const[]){"a", "side", "y", "z", NULL}; *n; n++) assert_int_equal(mode(w, *n), QCC_MODE_FLOAT);
  text = "between:in..put..y"; /* dots in a name */
  assert_int_equal(place_with(w, &(qcc_select){.exclude = &text, .exclude_count = 1}), QCC_OK);
  for (const char *const *n = (const char *const[]){"a", "b", "c", "d", "y", NULL}; *n; n++) assert_int_equal(mode(w, *n), QCC_MODE_FLOAT);
  assert_int_equal(mode(w, "side"), QCC_MODE_STATIC);
}

/* --exclude is a word to every operator, --only one to those with weights. */
static void excluding_without_weights(void **state) {
  world *w = *state;
  parse(w, three);
  const char *text = "type:Relu";
  assert_int_equal(place_with(w, &(qcc_select){.exclude = &text, .exclude_count = 1}), QCC_OK);
  expect_modes(w, true, true, true);
  assert_int_equal(mode(w, "stem/relu"), QCC_MODE_FLOAT);
  assert_string_equal(w->p.reason[node_of(w, "stem/relu")->id], "excluded by a selector");
  text = "type:Conv";
  assert_int_equal(place_with(w, &(qcc_select){.only = &text, .only_count = 1}), QCC_OK);
  assert_int_equal(mode(w, "stem/relu"), QCC_MODE_STATIC);
}

/* Tensors and nodes of the source that preparing took in. */
static void names_of_the_source(void **state) {
  world *w = *state;
  qcc_graph *source = NULL;
  const char *text =
      "graph @g(%x: f32[1,4,8,8]) -> (%y) opset 13 {\n"
      "  %w = const f32[4,4,1,1] rand(1)\n"
      "  %k = const f32[4] splat(1.5)\n"
      "  %c = Conv(%x, %w) \"conv\"\n"
      "  %n = BatchNormalization(%c, %k, %k, %k, %k) \"bn\"\n"
      "  %r = Relu(%n) \"relu\"\n"
      "  %y = Conv(%r, %w) \"head\"\n}\n";
  assert_int_equal(qcc_parse_graph(&source, w->cx, text, strlen(text), "source.qir"), QCC_OK);
  parse(w, text);
  assert_int_equal(qcc_run_passes(w->g, "@prepare", &(qcc_pass_run_options){.eval = qcc_ref_eval()}), QCC_OK);
  assert_null(qcc_find_value(w->g, qcc_intern(w->cx, "c"))); /* inside the fusion */
  const char *forms[] = {"between:c..n", "between:x..c", "bn", "re:^bn$", "between:x..r"};
  for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
    assert_int_equal(place_with(w, &(qcc_select){.exclude = &forms[i], .exclude_count = 1, .source = source}), QCC_OK);
    assert_int_equal(mode(w, "conv"), QCC_MODE_FLOAT);
    assert_int_equal(mode(w, "head"), QCC_MODE_STATIC);
  }
  qcc_graph_free(source);
}

static void keeping_one_float_moves_its_neighbours(void **state) {
  world *w = *state;
  place(w, three);
  assert_int_equal(mode(w, "stem/relu"), QCC_MODE_STATIC);
  assert_int_equal(qcc_place_keep_float(&w->p, node_of(w, "stem/conv"), "why"), QCC_OK);
  expect_modes(w, false, true, true);
  assert_int_equal(mode(w, "stem/relu"), QCC_MODE_FLOAT);
  assert_false(quantized(w, "x") || quantized(w, "a"));
  assert_true(quantized(w, "r"));
}

/* The codes of %r are there for c2: the sum can take them, although a float operator made %r. */
static void sum_of_what_is_quantized_anyway(void **state) {
  world *w = *state;
  place(w,
        "graph @net(%x: f32[1,8,16,16]) -> (%y) opset 13 {\n"
        "  %w = const f32[8,8,3,3] rand(1)\n"
        "  %a = Conv(%x, %w) {pads=[1,1,1,1]} \"c1\"\n"
        "  %r = Softsign(%a) \"r\"\n"
        "  %b = Conv(%r, %w) {pads=[1,1,1,1]} \"c2\"\n"
        "  %s = Add(%b, %r) \"s\"\n"
        "  %t = Softsign(%b) \"t\"\n"
        "  %u = Add(%s, %t) \"u\"\n"
        "  %y = Conv(%u, %w) {pads=[1,1,1,1]} \"c3\"\n"
        "}\n");
  assert_int_equal(mode(w, "s"), QCC_MODE_FLOAT); /* it feeds no 8 bit: %t has no codes, so %u is float */
  assert_int_equal(mode(w, "u"), QCC_MODE_FLOAT);
  qcc_graph_free(w->g);
  w->g = NULL;
  qcc_placement_fini(&w->p);
  place(w,
        "graph @net(%x: f32[1,8,16,16]) -> (%y) opset 13 {\n"
        "  %w = const f32[8,8,3,3] rand(1)\n"
        "  %a = Conv(%x, %w) {pads=[1,1,1,1]} \"c1\"\n"
        "  %r = Softsign(%a) \"r\"\n"
        "  %b = Conv(%r, %w) {pads=[1,1,1,1]} \"c2\"\n"
        "  %s = Add(%b, %r) \"s\"\n"
        "  %y = Conv(%s, %w) {pads=[1,1,1,1]} \"c3\"\n"
        "}\n");
  assert_int_equal(mode(w, "s"), QCC_MODE_STATIC);
  assert_int_equal(mode(w, "r"), QCC_MODE_FLOAT);
}

/* A float Add takes a MatMul in as its Gemm, unless codes stand between them. */
static void product_before_a_sum(void **state) {
  world *w = *state;
  place(w,
        "graph @net(%x: f32[1,16], %z: f32[1,8]) -> (%y, %k) opset 13 {\n"
        "  %w = const f32[16,8] rand(1)\n"
        "  %m = MatMul(%x, %w) \"m\"\n"
        "  %y = Add(%m, %z) \"s\"\n"
        "  %l = MatMul(%x, %w) \"l\"\n"
        "  %k = Softsign(%l) \"k\"\n"
        "}\n");
  assert_int_equal(mode(w, "m"), QCC_MODE_STATIC);
  assert_true(w->p.quantized[value(w, "m")->id]);
  assert_int_equal(mode(w, "l"), QCC_MODE_STATIC);
  assert_false(w->p.quantized[value(w, "l")->id]);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(sum_of_what_is_quantized_anyway),
      TEST(product_before_a_sum),
      TEST(tail_stays_float),
      TEST(middle_joins),
      TEST(concat_shares),
      TEST(concat_shares_where_the_target_wants_it),
      TEST(relu_fuses_where_the_target_has_the_kernel),
      TEST(channels_by_operator),
      TEST(sums_join_products),
      TEST(activations_at_the_end),
      TEST(relu_fuses),
      TEST(relu_with_company_does_not_fuse),
      TEST(silu_has_a_useful_range),
      TEST(gemm_ends_in_float),
      TEST(outputs_on_request),
      TEST(obstacles_are_named),
      TEST(without_ranges),
      TEST(attention_on_run_time_ranges),
      TEST(selectors_choose),
      TEST(selectors_are_checked),
      TEST(paths_between_tensors),
      TEST(excluding_without_weights),
      TEST(names_of_the_source),
      TEST(keeping_one_float_moves_its_neighbours),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
