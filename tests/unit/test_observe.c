/* SPDX-License-Identifier: Apache-2.0
 * Observation: what is shown in pieces by the loops that make a value gives the statistics of the whole value, bit for bit, on random
 * shapes, for any number of workers inside and beside samples; and it changes no output. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/ref.h"
#include "frontends/onnx/import.h"
#include "ir/check.h"
#include "ir/text.h"
#include "passes/pass.h"
#include "strategy/collect.h"

enum { SAMPLES = 5, MOST_VALUES = 200, OUTPUTS = 10, WORKERS = 4 };

/* First layers by rows, Winograd's way, depthwise, 1x1, groups, pools, chains of functions, what tables do
 * after a fake quantization, products of matrices, plain kernels. */
static const char source[] =
    "graph @net(%%x: f32[1,3,%d,%d]) -> (%%y) opset 17 {\n"
    "  %%w1 = const f32[%d,3,3,3] rand(1)\n  %%b1 = const f32[%d] rand(2)\n  %%w2 = const f32[%d,%d,3,3] rand(3)\n"
    "  %%w3 = const f32[%d,1,3,3] rand(4)\n  %%w4 = const f32[%d,%d,1,1] rand(5)\n  %%k = const f32[%d,1,1] rand(6)\n"
    "  %%w5 = const f32[%d,%d,3,3] rand(7)\n  %%w6 = const f32[%d,10] rand(8)\n  %%tenth = const f32[] [0.1]\n"
    "  %%c1 = Conv(%%x, %%w1, %%b1) {pads=[1,1,1,1], strides=[%d,%d]}\n  %%r1 = Relu(%%c1)\n"
    "  %%c2 = Conv(%%r1, %%w2) {pads=[1,1,1,1]}\n  %%f2 = qcc.FakeQuant(%%c2) {dtype=\"u8\", scale=[0.05], zero=[90]}\n"
    "  %%t2 = Mul(%%f2, %%tenth)\n  %%r2 = Relu(%%t2)\n"
    "  %%c3 = Conv(%%r2, %%w3) {group=%d, pads=[1,1,1,1]}\n  %%a3 = Relu(%%c3)\n"
    "  %%f3 = qcc.FakeQuant(%%a3) {dtype=\"s8\", scale=[0.003], zero=[-128]}\n  %%h3 = HardSwish(%%f3)\n"
    "  %%c4 = Conv(%%h3, %%w4)\n  %%k4 = Mul(%%c4, %%k)\n  %%a4 = Add(%%k4, %%r1)\n  %%r4 = Relu(%%a4)\n"
    "  %%f4 = qcc.FakeQuant(%%r4) {dtype=\"u8\", scale=[0.02]}\n  %%p5 = MaxPool(%%f4) {kernel_shape=[3,3], pads=[1,1,1,1], "
    "strides=[2,2]}\n"
    "  %%g5 = qcc.FakeQuant(%%p5) {dtype=\"u8\", scale=[0.02]}\n  %%s5 = Sigmoid(%%g5)\n  %%m5 = Mul(%%g5, %%s5)\n  %%q5 = "
    "AveragePool(%%r4) {kernel_shape=[3,3], pads=[1,1,1,1], strides=[2,2]}\n"
    "  %%e5 = Exp(%%q5)\n  %%l5 = Log(%%e5)\n  %%h5 = qcc.FakeQuant(%%m5) {dtype=\"u8\", scale=[0.03]}\n"
    "  %%i5 = qcc.FakeQuant(%%l5) {dtype=\"u8\", scale=[0.03]}\n  %%j5 = Concat(%%h5, %%i5) {axis=1}\n"
    "  %%k5 = qcc.FakeQuant(%%j5) {dtype=\"u8\", scale=[0.03]}\n  %%n5 = qcc.FakeQuant(%%k5) {dtype=\"u8\", scale=[0.05]}\n"
    "  %%c6 = Conv(%%n5, %%w5) {group=2, pads=[1,1,1,1]}\n"
    "  %%f6 = qcc.FakeQuant(%%c6) {dtype=\"u8\", scale=[0.02], zero=[100]}\n  %%s6 = Sigmoid(%%f6)\n"
    "  %%z6 = qcc.FakeQuant(%%s6) {dtype=\"s8\", scale=[0.004], zero=[-128]}\n  %%m6 = Mul(%%f6, %%z6)\n"
    "  %%v6 = qcc.FakeQuant(%%m6) {dtype=\"u8\", scale=[0.01], zero=[30]}\n  %%o6 = HardSigmoid(%%v6)\n  %%j6 = Mul(%%o6, %%v6)\n"
    "  %%u6 = qcc.FakeQuant(%%j6) {dtype=\"s16\", scale=[0.0001], zero=[0]}\n  %%i6 = Sigmoid(%%u6)\n  %%k6 = Mul(%%i6, %%u6)\n"
    "  %%t6 = Tanh(%%k6)\n  %%g = GlobalAveragePool(%%t6)\n"
    "  %%f = Flatten(%%g)\n  %%d = MatMul(%%f, %%w6)\n  %%fd = qcc.FakeQuant(%%d) {dtype=\"s8\", scale=[0.001]}\n  %%d2 = Sub(%%fd, "
    "%%tenth)\n  %%y = Softmax(%%d2)\n}\n";

typedef struct world {
  qcc_context *cx;
  qcc_graph *g;
  const qcc_value *value[MOST_VALUES + 1];
  size_t size[MOST_VALUES];
  size_t bytes_at_start;
  uint32_t count, seed;
  bool poisoned; /* sample 3 holds what is not finite */
  float out[SAMPLES][OUTPUTS];
} world;

static uint32_t draw(uint32_t *state, uint32_t below) {
  *state = *state * 1664525u + 1013904223u;
  return (*state >> 8) % below;
}

/* Samples have a batch of one where the graph leaves it open. */
static qcc_type of_one(const qcc_type *open) {
  qcc_type t = *open;
  for (int d = 0; d < t.rank; d++)
    if (t.dim[d] < 0) t.dim[d] = 1;
  return t;
}

static void list_values(world *w) {
  w->value[w->count++] = w->g->inputs[0];
  QCC_FOR_NODES(node, w->g) {
    assert_true(w->count < MOST_VALUES);
    if (node->out[0]->type.dtype == QCC_F32) w->value[w->count++] = node->out[0];
  }
  for (uint32_t i = 0; i < w->count; i++) {
    const qcc_type t = of_one(&w->value[i]->type);
    w->size[i] = 1;
    for (int d = 0; d < t.rank; d++) w->size[i] *= (size_t)t.dim[d];
  }
  w->bytes_at_start = qcc_context_live_bytes(w->cx);
}

static qcc_context *new_context(void) {
  qcc_context *cx = NULL;
  const qcc_host host = {.log = NULL};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  return cx;
}

static world new_world(uint32_t seed) {
  world w = {.cx = new_context(), .seed = seed};
  char text[4000];
  const int more = w.seed == 7 ? 50 : 0; /* one network has values that are too large to be counted whole */
  const int c = 8 + 2 * (int)draw(&seed, 20) + more, height = 9 + (int)draw(&seed, 60) + more, width = 9 + (int)draw(&seed, 60) + more,
            s = 1 + (int)draw(&seed, 2);
  const int n = snprintf(text, sizeof text, source, height, width, c, c, c, c, c, c, c, c, 2 * c, c, 2 * c, s, s,
                         c); /* NOLINT: a constant of this file */
  assert_in_range(n, 1, sizeof text - 1);
  assert_int_equal(qcc_parse_graph(&w.g, w.cx, text, (size_t)n, "net"), QCC_OK);
  assert_int_equal(qcc_infer_graph(w.g, qcc_ref_eval()), QCC_OK);
  list_values(&w);
  assert_true(w.count > 25);
  return w;
}

static void end_world(world *w) {
  assert_int_equal(qcc_context_live_bytes(w->cx), w->bytes_at_start);
  qcc_graph_free(w->g);
  qcc_context_free(w->cx);
}

static qcc_status get(void *user, size_t index, qcc_tensor *inputs) {
  const world *w = user;
  uint32_t seed = w->seed + 7 * (uint32_t)index;
  const qcc_type t = of_one(&w->g->inputs[0]->type);
  QCC_TRY(qcc_tensor_new(&inputs[0], w->cx, &t));
  float *x = qcc_tensor_mut(&inputs[0]);
  for (int64_t i = 0; i < qcc_tensor_count(&inputs[0]); i++) x[i] = (float)draw(&seed, 2000) / 1000.f - 1;
  if (w->poisoned && index == 3) x[5] = INFINITY;
  return QCC_OK;
}

static qcc_status take(void *user, size_t sample, const qcc_tensor *outputs) {
  world *w = user;
  assert_int_equal(outputs[0].bytes, sizeof w->out[sample]);
  memcpy(w->out[sample], outputs[0].data, sizeof w->out[sample]);
  return QCC_OK;
}

static void run(world *w, unsigned workers, size_t first, size_t count, const qcc_hooks *hooks) {
  const qcc_samples samples = {.count = SAMPLES, .get = get, .user = w};
  qcc_runner *r = NULL;
  assert_int_equal(qcc_ref_eval()->open(&r, w->cx, w->g, &(qcc_run_options){.workers = workers}), QCC_OK);
  assert_int_equal(qcc_ref_eval()->run(r, &samples, first, count, hooks), QCC_OK);
  qcc_ref_eval()->close(r);
}

/* ---- whole values */
typedef struct whole {
  qcc_hist hist[MOST_VALUES];
  qcc_hist_scratch *scratch;
  size_t first, count;
} whole;

static void see_whole(void *user, unsigned worker, size_t sample, uint32_t index, const qcc_tensor *t) {
  whole *h = user;
  assert_int_equal(worker, 0);
  qcc_hist_add(&h->hist[index], h->scratch, t->data, (size_t)qcc_tensor_count(t), qcc_hist_moving_weight(sample - h->first, h->count));
}

static void measure_whole(world *w, whole *h, size_t first, size_t count) {
  *h = (whole){.scratch = qcc_hist_scratch_new(w->cx), .first = first, .count = count};
  for (uint32_t i = 0; i < w->count; i++) qcc_hist_init(&h->hist[i], w->cx);
  /* in the order in which the runtime holds them: of large values a part is counted, which one depends on the place */
  run(w, 1, first, count, &(qcc_hooks){.observed = w->value, .observe_typed = see_whole, .observe_last = see_whole, .user = h});
}

static void end_whole(const world *w, whole *h) {
  for (uint32_t i = 0; i < w->count; i++) qcc_hist_fini(&h->hist[i]);
  qcc_hist_scratch_free(h->scratch);
}

static void assert_same(const qcc_hist *a, const qcc_hist *b) {
  qcc_bins x, y;
  assert_int_equal(qcc_bins_of(&x, a), QCC_OK);
  assert_int_equal(qcc_bins_of(&y, b), QCC_OK);
  assert_int_equal(x.count, y.count);
  assert_memory_equal(x.at, y.at, x.count * sizeof *x.at);
  const qcc_sum *p[] = {&a->sample_min, &a->sample_max, &a->moving_min, &a->moving_max, &a->moving_weight};
  const qcc_sum *q[] = {&b->sample_min, &b->sample_max, &b->moving_min, &b->moving_max, &b->moving_weight};
  for (size_t i = 0; i < 5; i++) assert_true(qcc_sum_value(p[i]) == qcc_sum_value(q[i]));
  assert_true(a->min == b->min && a->max == b->max);
  assert_true(a->count == b->count && a->zeros == b->zeros && a->samples == b->samples && a->nonfinite == b->nonfinite);
  qcc_bins_fini(a->cx, &x);
  qcc_bins_fini(b->cx, &y);
}

/* ---- in pieces */
static qcc_collector *collect(world *w, unsigned workers, size_t first, size_t count, uint32_t channels_of) {
  const qcc_samples samples = {.count = SAMPLES, .get = get, .user = w};
  qcc_collector *c = NULL;
  qcc_runner *r = NULL;
  assert_int_equal(qcc_collector_new(&c, w->cx, workers, count, 1), QCC_OK);
  for (uint32_t i = 0; i < w->count; i++) assert_int_equal(qcc_collector_watch(c, w->value[i], QCC_WATCH_HIST, 1), QCC_OK);
  if (channels_of) assert_int_equal(qcc_collector_watch(c, w->value[channels_of], QCC_WATCH_CHANNELS, 1), QCC_OK);
  qcc_collector_outputs(c, take, w);
  assert_int_equal(qcc_ref_eval()->open(&r, w->cx, w->g, &(qcc_run_options){.workers = workers}), QCC_OK);
  assert_int_equal(qcc_collector_run(c, qcc_ref_eval(), r, &samples, first, count, NULL), QCC_OK);
  qcc_ref_eval()->close(r);
  return c;
}

static void compare(world *w, size_t first, size_t count) {
  whole h;
  float out[SAMPLES][OUTPUTS];
  run(w, 1, first, count, &(qcc_hooks){.output = take, .user = w});
  memcpy(out, w->out, sizeof out);
  measure_whole(w, &h, first, count);
  for (unsigned workers = 1; workers <= WORKERS; workers++) {
    memset(w->out[first], 0, count * sizeof w->out[0]);
    qcc_collector *c = collect(w, workers, first, count, workers == 2 ? 2 : 0);
    for (uint32_t i = 0; i < w->count; i++) assert_same(qcc_collector_hist(c, w->value[i]), &h.hist[i]);
    assert_memory_equal(w->out, out, sizeof out);
    size_t sample = 0;
    const qcc_value *bad = qcc_collector_not_finite(c, &sample);
    const bool poison = w->poisoned && first <= 3 && first + count > 3;
    assert_true(poison ? bad == w->g->inputs[0] && sample == 3 : !bad);
    qcc_collector_free(c);
  }
  end_whole(w, &h);
}

static void pieces_give_the_statistics_of_the_whole(void **state) {
  (void)state;
  size_t thinned = 0;
  for (uint32_t seed = 0; seed < 8; seed++) {
    world w = new_world(seed);
    for (uint32_t i = 0; i < w.count; i++) thinned += qcc_hist_step(w.size[i]) > 1;
    compare(&w, 0, SAMPLES);
    compare(&w, 2, 1);
    end_world(&w);
  }
  assert_true(thinned >= 8);
}

static void values_that_are_not_finite(void **state) {
  (void)state;
  world w = new_world(100);
  w.poisoned = true;
  compare(&w, 0, SAMPLES);
  compare(&w, 3, 1);
  end_world(&w);
}

/* ---- the hook itself */
typedef struct seen {
  const world *w;
  atomic_size_t pieces[MOST_VALUES], floats[MOST_VALUES], ends[MOST_VALUES];
} seen;

static void see_piece(void *user, const qcc_piece *p) {
  seen *s = user;
  assert_true(p->worker < WORKERS && p->index < s->w->count && p->total == s->w->size[p->index]);
  assert_true(p->offset <= p->total && p->count <= p->total - p->offset);
  atomic_fetch_add(&s->pieces[p->index], 1);
  atomic_fetch_add(&s->floats[p->index], p->count);
}

static void see_end(void *user, unsigned worker, size_t sample, uint32_t index, unsigned helper, unsigned helpers) {
  seen *s = user;
  assert_true(sample < SAMPLES && worker < WORKERS && (worker < helper || !helpers) && helper + helpers <= WORKERS);
  assert_int_equal(atomic_fetch_add(&s->ends[index], 1) + 1, atomic_load(&s->floats[index]) / s->w->size[index]);
}

static void a_value_is_shown_once_and_while_it_is_made(void **state) {
  (void)state;
  world w = new_world(7);
  for (unsigned workers = 1; workers <= WORKERS; workers += WORKERS - 1) {
    seen s = {.w = &w};
    size_t in_pieces = 0;
    run(&w, workers, 2, 1, &(qcc_hooks){.observed = w.value, .observe = see_piece, .observe_end = see_end, .user = &s});
    for (uint32_t i = 0; i < w.count; i++) {
      assert_int_equal(atomic_load(&s.floats[i]), w.size[i]);
      assert_int_equal(atomic_load(&s.ends[i]), 1);
      in_pieces += atomic_load(&s.pieces[i]) > 1;
    }
    assert_true(in_pieces >= 12);
  }
  end_world(&w);
}

/* A network with real weights, folded and fused as the compiler does it. */
static void a_real_network(void **state) {
  (void)state;
  const char *shared = getenv("QCC_SHARED");
  char path[1000];
  snprintf(path, sizeof path, "%s/zoo/models/resnet20_cifar/resnet20.onnx", shared ? shared : "../shared");
  FILE *f = fopen(path, "rb");
  if (!f) skip();
  fclose(f);
  world w = {.cx = new_context(), .seed = 3};
  assert_int_equal(qcc_onnx_load(&w.g, w.cx, path), QCC_OK);
  assert_int_equal(qcc_run_passes(w.g, "@prepare", &(qcc_pass_run_options){.eval = qcc_ref_eval()}), QCC_OK);
  list_values(&w);
  compare(&w, 0, 2);
  compare(&w, 1, 1);
  end_world(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(pieces_give_the_statistics_of_the_whole),
      cmocka_unit_test(values_that_are_not_finite),
      cmocka_unit_test(a_value_is_shown_once_and_while_it_is_made),
      cmocka_unit_test(a_real_network),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
