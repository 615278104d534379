/* SPDX-License-Identifier: Apache-2.0
 * Costs: the cut against all subsets, interpolation of the table, and where 8 bit is left because float is faster. */
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
#include "strategy/cost.h"
#include "strategy/cut.h"

enum { VERTICES = 9, EDGES = 24, POINTS = 8 };

static uint32_t next(uint32_t *seed) { return (*seed = *seed * 1664525u + 1013904223u) >> 8; }

/* ---- cut */

typedef struct plain_edge {
  uint32_t from, to;
  int64_t price;
} plain_edge;

static int64_t price_of(const plain_edge *e, unsigned with_source) {
  int64_t sum = 0;
  for (int i = 0; i < EDGES; i++)
    if (with_source >> e[i].from & 1 && !(with_source >> e[i].to & 1)) sum += e[i].price;
  return sum;
}

static void cut_is_the_cheapest(void **state) {
  (void)state;
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  for (uint32_t seed = 1; seed <= 300; seed++) {
    uint32_t random = seed;
    plain_edge e[EDGES];
    qcc_cut c;
    bool side[VERTICES];
    int64_t best = INT64_MAX;
    unsigned found = 0;
    qcc_cut_init(&c, cx);
    for (int i = QCC_CUT_FIRST; i < VERTICES; i++) qcc_cut_vertex(&c);
    for (int i = 0; i < EDGES; i++) {
      e[i] = (plain_edge){next(&random) % VERTICES, next(&random) % VERTICES, next(&random) % 20};
      qcc_cut_add(&c, e[i].from, e[i].to, e[i].price);
    }
    assert_int_equal(qcc_cut_solve(&c, side), QCC_OK);
    for (int v = 0; v < VERTICES; v++) found |= (unsigned)side[v] << v;
    for (unsigned s = 0; s < 1u << VERTICES; s++)
      if (s & 1u << QCC_CUT_SOURCE && !(s & 1u << QCC_CUT_SINK) && price_of(e, s) < best) best = price_of(e, s);
    assert_true(found & 1u << QCC_CUT_SOURCE && !(found & 1u << QCC_CUT_SINK));
    assert_int_equal(price_of(e, found), best);
    qcc_cut_fini(&c);
  }
  qcc_context_free(cx);
}

/* ---- table */

static void table_is_met_and_joined(void **state) {
  (void)state;
  qcc_cost_point points[] = {{QCC_COST_ADD, {16, 64, 1}, 1, 2}, {QCC_COST_ADD, {16, 1024, 1}, 4, 2}, {QCC_COST_MUL, {16, 64, 1}, 7, 0}};
  const qcc_costs costs = {.points = points, .count = 3};
  assert_true(fabs(qcc_cost_at(&costs, QCC_COST_ADD, (double[]){16, 64, 1}, false) - 1) < 1e-3);
  assert_true(fabs(qcc_cost_at(&costs, QCC_COST_ADD, (double[]){16, 1024, 1}, false) - 4) < 1e-3);
  assert_true(fabs(qcc_cost_at(&costs, QCC_COST_ADD, (double[]){16, 256, 1}, false) - 2) < 1e-3); /* half way in logarithms */
  assert_true(fabs(qcc_cost_at(&costs, QCC_COST_ADD, (double[]){5, 9999, 1}, true) - 2) < 1e-9);
  assert_true(fabs(qcc_cost_at(&costs, QCC_COST_ADD, (double[]){16, 99999, 1}, false) - 4) < 1e-3); /* beyond: that of the border */
  assert_true(qcc_cost_at(&costs, QCC_COST_MUL, (double[]){16, 64, 1}, true) == 0);                 /* not there */
  assert_true(qcc_cost_at(&costs, QCC_COST_CONV, (double[]){1, 1, 1}, false) == 0);
}

/* ---- placement */

static const char net[] =
    "graph @net(%x: f32[1,8,16,16]) -> (%d) opset 13 {\n"
    "  %w = const f32[8,8,3,3] rand(1)\n"
    "  %p = const f32[8,8,1,1] rand(2)\n"
    "  %a = Conv(%x, %w) {pads=[1,1,1,1]}\n"
    "  %r = Relu(%a)\n"
    "  %b = Conv(%r, %p)\n"
    "  %s = Add(%b, %r)\n"
    "  %c = Conv(%s, %w) {pads=[1,1,1,1]}\n"
    "  %d = Conv(%c, %p)\n"
    "}\n";

typedef struct world {
  qcc_context *cx;
  qcc_graph *g;
  qcc_target target;
  qcc_cost_point points[POINTS];
  bool coded; /* inputs and outputs */
} world;

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  assert_int_equal(qcc_context_new(&w->cx, NULL), QCC_OK);
  assert_int_equal(qcc_target_find(&w->target, w->cx, "ort-cpu"), QCC_OK);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  w->target.costs = (qcc_costs){0};
  qcc_graph_free(w->g);
  qcc_target_fini(&w->target);
  qcc_context_free(w->cx);
  free(w);
  return 0;
}

static const qcc_node *node_at(const world *w, int k) {
  static const char *const outputs[] = {"a", "b", "s", "c", "d"};
  const qcc_value *v = qcc_find_value(w->g, qcc_intern(w->cx, outputs[k]));
  assert_non_null(v);
  return v->def;
}

/* Costs per unit: conv, pointwise, add, quantize and dequantize, from float and from 8 bit. */
static void set_costs(world *w, const double f32[3], const double q8[3], double border) {
  static const qcc_cost_kind kinds[] = {QCC_COST_CONV, QCC_COST_POINTWISE, QCC_COST_ADD};
  for (int i = 0; i < 3; i++) w->points[i] = (qcc_cost_point){kinds[i], {64, 8, 256}, f32[i], q8[i]};
  w->points[3] = (qcc_cost_point){QCC_COST_QUANTIZE, {8, 256, 1}, 0, border};
  w->points[4] = (qcc_cost_point){QCC_COST_DEQUANTIZE, {8, 256, 1}, 0, border};
  w->target.costs = (qcc_costs){.points = w->points, .count = 5};
}

static void place(qcc_placement *p, const world *w, qcc_prefer prefer) {
  const qcc_place_options options = {.have_ranges = true, .prefer = prefer, .coded_interface = w->coded};
  assert_int_equal(qcc_place(p, w->g, &w->target, &options), QCC_OK);
}

static void parse(world *w) {
  assert_int_equal(qcc_parse_graph(&w->g, w->cx, net, strlen(net), "test.qir"), QCC_OK);
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  assert_int_equal(qcc_run_passes(w->g, "canonicalize,infer-shapes", &options), QCC_OK);
}

/* The cheapest of all placements that keep some operators float. */
static double cheapest(const world *w) {
  double best = INFINITY;
  for (unsigned set = 0; set < 32; set++) {
    qcc_placement p;
    place(&p, w, QCC_PREFER_SIZE);
    for (int k = 0; k < 5; k++)
      if (set >> k & 1) assert_int_equal(qcc_place_keep_float(&p, node_at(w, k), "test"), QCC_OK);
    best = fmin(best, qcc_cost_of_placement(&p).q8);
    qcc_placement_fini(&p);
  }
  return best;
}

static void division_is_the_cheapest(void **state) {
  world *w = *state;
  parse(w);
  for (uint32_t seed = 1; seed <= 60; seed++) {
    uint32_t random = seed;
    double f32[3], q8[3];
    qcc_placement p;
    for (int i = 0; i < 3; i++) f32[i] = 1 + next(&random) % 50, q8[i] = 1 + next(&random) % 50;
    set_costs(w, f32, q8, 1 + next(&random) % 900);
    w->coded = seed % 3 == 0;
    place(&p, w, QCC_PREFER_SPEED);
    /* the walks have rules of their own: an addition that feeds no 8 bit is float */
    assert_true(qcc_cost_of_placement(&p).q8 <= cheapest(w) * 1.02);
    qcc_placement_fini(&p);
  }
}

static void preferences_differ(void **state) {
  world *w = *state;
  qcc_placement p;
  parse(w);
  set_costs(w, (double[]){1, 1, 1}, (double[]){2, 2, 2}, 1); /* 8 bit never pays */
  place(&p, w, QCC_PREFER_SPEED);
  for (int k = 0; k < 5; k++) assert_int_equal(p.mode[node_at(w, k)->id], k == 2 ? QCC_MODE_FLOAT : QCC_MODE_WEIGHT);
  assert_non_null(strstr(p.reason[node_at(w, 0)->id], "float is faster here"));
  qcc_placement_fini(&p);
  place(&p, w, QCC_PREFER_ACCURACY);
  for (int k = 0; k < 5; k++) assert_int_equal(p.mode[node_at(w, k)->id], QCC_MODE_FLOAT);
  qcc_placement_fini(&p);
  place(&p, w, QCC_PREFER_SIZE);
  for (int k = 0; k < 5; k++) assert_int_equal(p.mode[node_at(w, k)->id], QCC_MODE_STATIC);
  qcc_placement_fini(&p);
}

/* What float would compute faster, with the conversions counted, 8 bit does when the caller gives and gets codes. */
static void codes_outside_cost_nothing(void **state) {
  world *w = *state;
  qcc_placement p;
  parse(w);
  set_costs(w, (double[]){2, 2, 2}, (double[]){1, 1, 1}, 1e6);
  place(&p, w, QCC_PREFER_SPEED);
  assert_int_equal(p.mode[node_at(w, 0)->id], QCC_MODE_WEIGHT);
  qcc_placement_fini(&p);
  w->coded = true;
  place(&p, w, QCC_PREFER_SPEED);
  for (int k = 0; k < 5; k++) assert_int_equal(p.mode[node_at(w, k)->id], QCC_MODE_STATIC);
  qcc_placement_fini(&p);
}

/* ---- what a node is to the table */

static const char blocks[] =
    "graph @net(%x: f32[1,8,16,16], %m: f32[16,64]) -> (%o, %k) opset 13 {\n"
    "  %w = const f32[8,8,3,3] rand(1)\n"
    "  %v = const f32[64,32] rand(2)\n"
    "  %c = Conv(%x, %w) {pads=[1,1,1,1]}\n"
    "  %g = Sigmoid(%c)\n"
    "  %s = Mul(%c, %g)\n"
    "  %d = Conv(%s, %w) {pads=[1,1,1,1]}\n"
    "  %e = Add(%d, %s)\n"
    "  %h = Add(%e, %s)\n"
    "  %t = Sigmoid(%h)\n"
    "  %o = Mul(%t, %e)\n"
    "  %k = MatMul(%m, %v)\n"
    "}\n";

static qcc_cost cost_of(const world *w, const char *value) {
  const qcc_value *v = qcc_find_value(w->g, qcc_intern(w->cx, value));
  assert_non_null(v);
  return qcc_cost_of(&w->target, v->def);
}

static void expect_cost(const qcc_cost c, double f32, double q8) {
  if (fabs(c.f32 - f32) > 1e-6 * f32 || fabs(c.q8 - q8) > 1e-6 * q8) fail_msg("%g %g instead of %g %g", c.f32, c.q8, f32, q8);
}

/* A Sigmoid and the product with what it reads are one thing, and so is an Add with the convolution before it. */
static void kernels_of_several_operators(void **state) {
  world *w = *state;
  assert_int_equal(qcc_parse_graph(&w->g, w->cx, blocks, strlen(blocks), "test.qir"), QCC_OK);
  assert_int_equal(qcc_run_passes(w->g, "canonicalize,infer-shapes", &(qcc_pass_run_options){.eval = qcc_ref_eval()}), QCC_OK);
  static const qcc_cost_kind kinds[] = {QCC_COST_ADD, QCC_COST_SKIP, QCC_COST_MUL, QCC_COST_SILU, QCC_COST_SIGMOID};
  for (int i = 0; i < 5; i++) w->points[i] = (qcc_cost_point){kinds[i], {8, 256, 1}, 1 + i, 10 + i};
  w->target.costs = (qcc_costs){.points = w->points, .count = 5};
  const double n = 8 * 256;
  expect_cost(cost_of(w, "g"), 0, 0);
  expect_cost(cost_of(w, "s"), 4 * n, 13 * n);
  expect_cost(cost_of(w, "e"), 2 * n, 11 * n);
  expect_cost(cost_of(w, "h"), 1 * n, 10 * n);
  expect_cost(cost_of(w, "t"), 5 * n, 14 * n); /* of another tensor than it is multiplied with */
  expect_cost(cost_of(w, "o"), 3 * n, 12 * n);
  const qcc_node *e = qcc_find_value(w->g, qcc_intern(w->cx, "e"))->def;
  assert_true(qcc_cost_apart(&w->target, e, 0) == 0); /* the table says that it is cheaper apart */
  w->points[0].f32 = 7;                               /* a sum of its own is dearer than one that a convolution takes in */
  assert_true(fabs(qcc_cost_apart(&w->target, e, 0) - 5 * n) < 1e-6 * n);
  assert_true(qcc_cost_apart(&w->target, e, 1) == 0);
  w->points[0].f32 = 1;
  w->points[1].kind = QCC_COST_MUL, w->target.costs.count = 2; /* a table without these kinds */
  expect_cost(cost_of(w, "e"), 1 * n, 10 * n);
  expect_cost(cost_of(w, "s"), 2 * n, 11 * n);
}

static void borders_change_the_layout(void **state) {
  world *w = *state;
  assert_int_equal(qcc_parse_graph(&w->g, w->cx, blocks, strlen(blocks), "test.qir"), QCC_OK);
  assert_int_equal(qcc_run_passes(w->g, "canonicalize,infer-shapes", &(qcc_pass_run_options){.eval = qcc_ref_eval()}), QCC_OK);
  w->points[0] = (qcc_cost_point){QCC_COST_QUANTIZE, {8, 256, 1}, 0, 1};
  w->points[1] = (qcc_cost_point){QCC_COST_DEQUANTIZE, {8, 256, 1}, 0, 2};
  w->points[2] = (qcc_cost_point){QCC_COST_LAYOUT, {8, 256, 1}, 10, 100};
  w->target.costs = (qcc_costs){.points = w->points, .count = 3};
  const qcc_value *x = w->g->inputs[0], *m = w->g->inputs[1], *s = qcc_find_value(w->g, qcc_intern(w->cx, "s"));
  const qcc_value *o = qcc_find_value(w->g, qcc_intern(w->cx, "o"));
  assert_true(fabs(qcc_cost_of_border(&w->target, s, true) / (8 * 256) - 111) < 1e-6);
  assert_true(fabs(qcc_cost_of_border(&w->target, s, false) / (8 * 256) - 112) < 1e-6);
  assert_true(fabs(qcc_cost_of_border(&w->target, x, true) / (8 * 256) - 101) < 1e-6);  /* no float kernel made it */
  assert_true(fabs(qcc_cost_of_border(&w->target, o, false) / (8 * 256) - 102) < 1e-6); /* none reads it */
  assert_true(fabs(qcc_cost_of_border(&w->target, m, true) / (16 * 64) - 1) < 1e-6);    /* a matrix has one layout */
}

static void products_on_run_time_ranges(void **state) {
  world *w = *state;
  assert_int_equal(qcc_parse_graph(&w->g, w->cx, blocks, strlen(blocks), "test.qir"), QCC_OK);
  assert_int_equal(qcc_run_passes(w->g, "canonicalize,infer-shapes", &(qcc_pass_run_options){.eval = qcc_ref_eval()}), QCC_OK);
  const qcc_node *k = qcc_find_value(w->g, qcc_intern(w->cx, "k"))->def;
  w->points[0] = (qcc_cost_point){QCC_COST_GEMM, {64, 32, 16}, 3, 1};
  w->points[1] = (qcc_cost_point){QCC_COST_QUANTIZE, {64, 16, 1}, 0, 5};
  w->target.costs = (qcc_costs){.points = w->points, .count = 2};
  expect_cost(qcc_cost_of_dynamic(&w->target, k), 3 * 32768, 32768 + 2 * 5 * 1024); /* its input is looked at twice */
  w->points[2] = (qcc_cost_point){QCC_COST_DYNAMIC, {64, 32, 16}, 4, 2};
  w->target.costs.count = 3;
  expect_cost(qcc_cost_of_dynamic(&w->target, k), 4 * 32768, 2 * 32768);
  const qcc_node *conv = w->g->first; /* nothing is known of its form on run-time ranges */
  while (conv->op != QCC_OP_CONV) conv = conv->next;
  const qcc_cost_place place = qcc_cost_place_of(conv);
  w->points[0] = (qcc_cost_point){place.kind, {place.at[0], place.at[1], place.at[2]}, 3, 1};
  w->target.costs.count = 1;
  expect_cost(qcc_cost_of_dynamic(&w->target, conv), qcc_cost_of(&w->target, conv).f32, qcc_cost_of(&w->target, conv).f32);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(kernels_of_several_operators, setup, teardown),
                                     cmocka_unit_test_setup_teardown(borders_change_the_layout, setup, teardown),
                                     cmocka_unit_test_setup_teardown(products_on_run_time_ranges, setup, teardown),
                                     cmocka_unit_test(cut_is_the_cheapest),
                                     cmocka_unit_test(table_is_met_and_joined),
                                     cmocka_unit_test_setup_teardown(division_is_the_cheapest, setup, teardown),
                                     cmocka_unit_test_setup_teardown(codes_outside_cost_nothing, setup, teardown),
                                     cmocka_unit_test_setup_teardown(preferences_differ, setup, teardown)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
