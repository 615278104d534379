/* SPDX-License-Identifier: Apache-2.0
 * qcc_tune on a small network: levels with and without samples, the same plan for any number of workers, kept steps never lower the score,
 * and samples or weights that cannot be used are refused by name. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/ref.h"
#include "backends/target/target.h"
#include "ir/text.h"
#include "passes/pass.h"
#include "strategy/strategy.h"

static const char network[] =
    "graph @net(%x: f32[1,3,8,8]) -> (%y) opset 13 {\n"
    "  %w1 = const f32[8,3,3,3] rand(1)\n"
    "  %b1 = const f32[8] rand(2)\n"
    "  %w2 = const f32[8,8,3,3] rand(3)\n"
    "  %w3 = const f32[8,1,3,3] rand(4)\n"
    "  %w4 = const f32[10,8] rand(5)\n"
    "  %b4 = const f32[10] rand(6)\n"
    "  %c1 = Conv(%x, %w1, %b1) {pads=[1,1,1,1]} \"conv1\"\n"
    "  %r1 = Relu(%c1) \"relu1\"\n"
    "  %c2 = Conv(%r1, %w2) {pads=[1,1,1,1]} \"conv2\"\n"
    "  %a = Add(%r1, %c2) \"add\"\n"
    "  %r2 = Relu(%a) \"relu2\"\n"
    "  %c3 = Conv(%r2, %w3) {group=8} \"conv3\"\n"
    "  %g = GlobalAveragePool(%c3) \"pool\"\n"
    "  %f = Flatten(%g) \"flat\"\n"
    "  %y = Gemm(%f, %w4, %b4) {transB=1} \"gemm\"\n}\n";

enum { INPUT = 3 * 8 * 8 };

typedef struct feed {
  qcc_context *cx;
  size_t bad; /* this sample has one element `poison`; SIZE_MAX: none */
  float poison;
  bool zeros;
} feed;

static qcc_status get(void *user, size_t index, qcc_tensor *inputs) {
  const feed *f = user;
  float x[INPUT];
  uint32_t state = (uint32_t)index * 2654435761u + 12345u;
  for (size_t i = 0; i < INPUT; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = f->zeros ? 0 : (float)(state >> 8) / 8388608.0f - 1.0f;
  }
  if (index == f->bad) x[17] = f->poison;
  qcc_type type = qcc_type_of(QCC_F32, 4, (int64_t[]){1, 3, 8, 8});
  return qcc_tensor_copy(&inputs[0], f->cx, &type, x);
}

typedef struct world {
  qcc_context *cx;
  qcc_graph *g;
  qcc_target target;
  feed f;
  qcc_samples samples;
  qcc_tune_options o;
  qcc_tune_result r;
  char *json;
  size_t json_size;
} world;

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  assert_int_equal(qcc_context_new(&w->cx, NULL), QCC_OK);
  assert_int_equal(qcc_target_find(&w->target, w->cx, QCC_TARGET_DEFAULT), QCC_OK);
  w->target.costs.count = 0; /* so small a network is faster in float */
  w->f = (feed){.cx = w->cx, .bad = SIZE_MAX};
  w->samples = (qcc_samples){.count = 20, .get = get, .user = &w->f};
  w->o = (qcc_tune_options){.level = 2, .workers = 1, .calib = &w->samples, .target = &w->target, .eval = qcc_ref_eval()};
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  qcc_free(w->cx, w->json);
  qcc_tune_result_fini(w->cx, &w->r);
  qcc_graph_free(w->g);
  qcc_target_fini(&w->target);
  qcc_context_free(w->cx);
  free(w);
  return 0;
}

static void parse(world *w, const char *text) {
  assert_int_equal(qcc_parse_graph(&w->g, w->cx, text, strlen(text), "net.qir"), QCC_OK);
  qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  assert_int_equal(qcc_run_passes(w->g, "@prepare", &options), QCC_OK);
}

static qcc_status tune(world *w) {
  qcc_tune_result_fini(w->cx, &w->r);
  qcc_free(w->cx, w->json);
  w->json = NULL;
  QCC_TRY(qcc_tune(&w->r, w->g, &w->o));
  assert_non_null(w->r.plan);
  return qcc_plan_to_json(w->r.plan, &w->json, &w->json_size);
}

static qcc_mode mode(const world *w, const char *node) {
  const qcc_plan_op *op = qcc_plan_op_of(w->r.plan, node);
  return op ? op->mode : QCC_MODE_FLOAT;
}

/* dB of the plan that was taken in the end. */
static double score(const world *w) {
  double db = NAN;
  for (uint32_t i = 0; i < w->r.step_count; i++) {
    if (w->r.steps[i].kept) db = w->r.steps[i].sqnr_after;
  }
  return db;
}

/* Every parameter is usable; each step starts from what was kept before it, and what was kept raised the score. */
static void check_result(const world *w) {
  for (uint32_t i = 0; i < w->r.plan->tensor_count; i++) {
    const qcc_plan_tensor *t = &w->r.plan->tensors[i];
    for (uint32_t k = 0; t->q.dtype != QCC_NONE && k < t->q.count; k++) assert_true(t->q.scale[k] > 0 && isfinite(t->q.scale[k]));
  }
  double last = NAN;
  for (uint32_t i = 0; i < w->r.step_count; i++) {
    const qcc_step *s = &w->r.steps[i];
    if (i) assert_true(s->sqnr_before == last);
    if (s->kept && i) assert_true(s->sqnr_after > s->sqnr_before);
    if (s->kept) last = s->sqnr_after;
  }
  if (w->r.step_count) assert_true(w->r.steps[0].kept && isfinite(w->r.sqnr_db));
}

static void refused(world *w, qcc_status status, const char *what, const char *where) {
  assert_int_equal(tune(w), status);
  assert_null(w->r.plan);
  assert_null(w->r.steps);
  if (!strstr(qcc_last_error(w->cx), what) || !strstr(qcc_last_error(w->cx), where)) fail_msg("message: %s", qcc_last_error(w->cx));
}

/* ---- levels */

static void level1_without_data(void **state) {
  world *w = *state;
  parse(w, network);
  w->o.level = 1;
  w->o.calib = NULL;
  assert_int_equal(tune(w), QCC_OK);
  assert_int_equal(mode(w, "conv1"), QCC_MODE_WEIGHT);
  assert_int_equal(mode(w, "gemm"), QCC_MODE_DYNAMIC);
  assert_true(isnan(w->r.sqnr_db));
  assert_int_equal(w->r.step_count, 0);
  assert_null(qcc_plan_tensor_of(w->r.plan, "x"));
  assert_non_null(qcc_plan_tensor_of(w->r.plan, "w2"));
  check_result(w);
}

/* Integer kernels round once where floats round at every node; pairs that saturate are seen by no other judgement. */
static void judged_in_codes(void **state) {
  world *w = *state;
  parse(w, network);
  double db[3];
  w->target.pairs = QCC_SATURATION_NONE;
  for (int how = QCC_AS_FLOAT; how <= QCC_AS_SATURATING; how++) {
    w->o.arithmetic = (qcc_arithmetic)how;
    assert_int_equal(tune(w), QCC_OK);
    check_result(w);
    db[how] = w->r.steps[0].sqnr_after; /* of the same plan */
  }
  assert_true(db[QCC_AS_FLOAT] != db[QCC_AS_EXACT] && fabs(db[QCC_AS_FLOAT] - db[QCC_AS_EXACT]) < 3);
  assert_true(db[QCC_AS_SATURATING] < db[QCC_AS_EXACT] - 3);
}

static void ranges_have_the_width_of_the_target(void **state) {
  world *w = *state;
  parse(w, network);
  w->o.level = 1;
  w->target.min_range = 1000;
  assert_int_equal(tune(w), QCC_OK);
  const qcc_plan_tensor *x = qcc_plan_tensor_of(w->r.plan, "x");
  assert_non_null(x);
  assert_true(x->hi - x->lo >= 999.9f);
  assert_true(fabsf(x->q.scale[0] - 1000.0f / 255) < 1e-3f);
}

static void level1_with_data(void **state) {
  world *w = *state;
  parse(w, network);
  w->o.level = 1;
  assert_int_equal(tune(w), QCC_OK);
  assert_int_equal(mode(w, "conv1"), QCC_MODE_STATIC);
  assert_int_equal(mode(w, "gemm"), QCC_MODE_STATIC);
  assert_int_equal(w->r.step_count, 1);
  assert_true(w->r.sqnr_db > 20);
  const qcc_plan_tensor *x = qcc_plan_tensor_of(w->r.plan, "x"), *r = qcc_plan_tensor_of(w->r.plan, "r1");
  assert_true(x && x->lo < -0.9f && x->lo >= -1 && x->hi > 0.9f && x->hi <= 1);
  assert_true(r && r->lo == 0 && (!r->q.zero || r->q.zero[0] == 0));
  assert_null(qcc_plan_tensor_of(w->r.plan, "c1"));
  check_result(w);
}

static void level2_is_no_worse(void **state) {
  world *w = *state;
  parse(w, network);
  w->o.level = 1;
  assert_int_equal(tune(w), QCC_OK);
  double before = score(w);
  w->o.level = 2;
  assert_int_equal(tune(w), QCC_OK);
  assert_true(score(w) >= before);
  assert_true(w->r.step_count > 4);
  check_result(w);
}

static void estimators_are_obeyed(void **state) {
  world *w = *state;
  parse(w, network);
  w->o.level = 1;
  w->o.estimator = QCC_EST_MINMAX;
  assert_int_equal(tune(w), QCC_OK);
  assert_string_equal(qcc_plan_tensor_of(w->r.plan, "x")->algorithm, "minmax");
}

static bool same_weights(const qcc_plan *a, const qcc_plan *b) {
  size_t weights = 0;
  for (uint32_t i = 0; i < a->tensor_count; i++) {
    const qcc_plan_tensor *x = &a->tensors[i], *y = qcc_plan_tensor_of(b, x->tensor);
    if (!y || y->q.count != x->q.count || memcmp(x->q.scale, y->q.scale, x->q.count * sizeof(float)) != 0) return false;
    if (!x->codes) continue;
    weights++;
    if (memcmp(qcc_buf_data(x->codes), qcc_buf_data(y->codes), qcc_buf_size(x->codes)) != 0) return false;
  }
  return weights == 4;
}

/* A vote keeps what it searched: its winner's plan is the one that is made when no other estimator is tried. */
static void searches_are_found_again(void **state) {
  static const struct {
    const char *step;
    qcc_estimator how;
  } voters[] = {
      {"ranges: minmax", QCC_EST_MINMAX}, {"ranges: mean-minmax", QCC_EST_MEAN_MINMAX}, {"ranges: percentile", QCC_EST_PERCENTILE}};
  world *w = *state;
  parse(w, network);
  unsigned others = 0;
  for (int round = 0; round < 2; round++) {
    w->f.bad = round ? 3 : SIZE_MAX;
    w->f.poison = 300;
    w->o.estimator = QCC_EST_AUTO;
    assert_int_equal(tune(w), QCC_OK);
    qcc_estimator winner = QCC_EST_MSE;
    for (uint32_t i = 0; i < w->r.step_count; i++)
      for (size_t k = 0; k < sizeof voters / sizeof *voters; k++)
        if (w->r.steps[i].kept && strcmp(w->r.steps[i].name, voters[k].step) == 0) winner = voters[k].how;
    others += winner != QCC_EST_MSE;
    qcc_plan *voted = w->r.plan;
    w->r.plan = NULL;
    w->o.estimator = winner;
    assert_int_equal(tune(w), QCC_OK);
    assert_true(same_weights(voted, w->r.plan));
    qcc_plan_free(voted);
  }
  assert_true(others >= 1);
}

static void workers_make_no_difference(void **state) {
  world *w = *state;
  parse(w, network);
  for (int level = 1; level <= 2; level++) {
    w->o.level = level;
    w->o.workers = 1;
    assert_int_equal(tune(w), QCC_OK);
    char *one = w->json;
    double db = w->r.sqnr_db;
    w->json = NULL;
    w->o.workers = 2;
    assert_int_equal(tune(w), QCC_OK);
    assert_string_equal(w->json, one);
    assert_true(w->r.sqnr_db == db);
    qcc_free(w->cx, one);
  }
}

/* ---- samples */

static void no_samples(void **state) {
  world *w = *state;
  parse(w, network);
  w->samples.count = 0;
  refused(w, QCC_DATA, "no samples", "");
}

static void one_sample(void **state) {
  world *w = *state;
  parse(w, network);
  w->samples.count = 1;
  assert_int_equal(tune(w), QCC_OK);
  assert_true(w->r.sqnr_db > 15);
  check_result(w);
}

static void zero_samples_everywhere(void **state) {
  world *w = *state;
  parse(w, network);
  w->f.zeros = true;
  assert_int_equal(tune(w), QCC_OK);
  const qcc_plan_tensor *x = qcc_plan_tensor_of(w->r.plan, "x");
  if (x) assert_true(x->q.scale[0] > 0 && isfinite(x->q.scale[0]));
  check_result(w);
}

static void not_finite(void **state) {
  world *w = *state;
  static const float poisons[] = {NAN, INFINITY, -INFINITY};
  parse(w, network);
  w->f.bad = 3;
  for (int level = 1; level <= 2; level++) {
    for (size_t k = 0; k < 3; k++) {
      for (unsigned workers = 1; workers <= 2; workers++) {
        w->o.level = level;
        w->o.workers = workers;
        w->f.poison = poisons[k];
        refused(w, QCC_DATA, "sample 3", "tensor \"x\"");
      }
    }
  }
}

static void not_finite_held_out(void **state) {
  world *w = *state;
  parse(w, network);
  w->f.bad = 19;
  w->f.poison = NAN;
  refused(w, QCC_DATA, "sample 19", "");
}

/* ---- weights */

static const char poisoned[] =
    "graph @net(%%x: f32[1,3,8,8]) -> (%%y) opset 13 {\n"
    "  %%w = const f32[2,3,1,1] [1,2,%s,-1,0,1]\n"
    "  %%b = const f32[2] [%s,1]\n"
    "  %%y = Conv(%%x, %%w, %%b) \"conv\"\n}\n";

static void weights_not_finite(void **state) {
  static const char *const bad[][4] = {{"nan", "0", "tensor \"w\"", "element 2 is NaN"},
                                       {"inf", "0", "tensor \"w\"", "element 2 is inf"},
                                       {"0", "-inf", "tensor \"b\"", "element 0 is inf"}};
  for (size_t k = 0; k < 3; k++) {
    world *w = *state;
    char text[512];
    snprintf(text, sizeof text, poisoned, bad[k][0], bad[k][1]);
    parse(w, text);
    for (int level = 1; level <= 2; level++) {
      w->o.level = level;
      refused(w, QCC_INVALID, bad[k][2], bad[k][3]);
    }
    w->o.level = 1;
    w->o.calib = NULL;
    refused(w, QCC_INVALID, bad[k][2], bad[k][3]);
    const char *conv = "name:conv"; /* the way out that the message names */
    w->o.select = (qcc_select){.exclude = &conv, .exclude_count = 1};
    assert_int_equal(tune(w), QCC_OK);
    w->o.select = (qcc_select){0};
    w->o.calib = &w->samples;
    qcc_tune_result_fini(w->cx, &w->r);
    qcc_graph_free(w->g);
    w->g = NULL;
  }
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(level1_without_data),
      TEST(level1_with_data),
      TEST(ranges_have_the_width_of_the_target),
      TEST(judged_in_codes),
      TEST(level2_is_no_worse),
      TEST(estimators_are_obeyed),
      TEST(searches_are_found_again),
      TEST(workers_make_no_difference),
      TEST(no_samples),
      TEST(one_sample),
      TEST(zero_samples_everywhere),
      TEST(not_finite),
      TEST(not_finite_held_out),
      TEST(weights_not_finite),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
