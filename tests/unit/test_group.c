/* SPDX-License-Identifier: Apache-2.0
 * Images in lock-step: every loop that serves several of them, and whole graphs, give the bits that each image has alone, whatever the
 * number of images, their order, the workers, what is observed and what fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/ref.h"
#include "backends/ref/team.h"
#include "ir/check.h"
#include "tests/oom.h"

/* ---- helpers */
static qcc_context *new_context(void) {
  qcc_context *cx = NULL;
  const qcc_host host = {.log = NULL};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  return cx;
}

static void fill_random(float *x, size_t n, uint32_t seed) {
  for (size_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
  }
}

static float *random_floats(size_t n, uint32_t seed) {
  float *x = malloc((n + 1) * sizeof *x);
  assert_non_null(x);
  fill_random(x, n, seed);
  return x;
}

/* ---- block loops */
typedef struct lanes { /* of one step: what goes in, what the images give alone and together */
  size_t nx, ny;
  float *x, *same, *alone, *got;
  qcc_lane lane[QCC_GROUP_MAX];
} lanes;

static lanes new_lanes(size_t nx, size_t ny) {
  lanes t = {.nx = nx, .ny = ny, .x = random_floats(QCC_GROUP_MAX * nx, 1), .same = random_floats(QCC_GROUP_MAX * ny, 2)};
  t.alone = random_floats(QCC_GROUP_MAX * ny, 3);
  t.got = random_floats(QCC_GROUP_MAX * ny, 4);
  return t;
}

/* Images stand in any order. */
static void aim(lanes *t, float *y, const float *factor, size_t channels) {
  for (size_t i = 0; i < QCC_GROUP_MAX; ++i) {
    const size_t at = (i * 5 + 3) % QCC_GROUP_MAX;
    t->lane[i] = (qcc_lane){.x = t->x + at * t->nx, .y = y + at * t->ny, .posts.n = 3};
    t->lane[i].posts.at[0] = (qcc_post){.kind = QCC_POST_ACT, .act = QCC_ACT_RELU};
    t->lane[i].posts.at[1] = (qcc_post){.kind = QCC_POST_CHANNEL, .arith = QCC_ARITH_MUL, .operand = factor, .channels = channels};
    t->lane[i].posts.at[2] = (qcc_post){.kind = QCC_POST_SAME, .arith = QCC_ARITH_ADD, .operand = t->same + at * t->ny};
  }
}

static void check_lanes(lanes *t) {
  assert_memory_equal(t->got, t->alone, QCC_GROUP_MAX * t->ny * sizeof *t->got);
  memset(t->got, 0, QCC_GROUP_MAX * t->ny * sizeof *t->got);
}

static void free_lanes(lanes *t) { free(t->x), free(t->same), free(t->alone), free(t->got); }

/* Groups of n until all images are done, the last one smaller. */
static void conv_groups(qcc_worker *w, const qcc_conv *c, const qcc_pack *p, lanes *t, size_t n) {
  for (size_t i = 0; i < QCC_GROUP_MAX; i += n)
    assert_int_equal(qcc_conv_lanes(w, c, p, t->lane + i, QCC_GROUP_MAX - i < n ? QCC_GROUP_MAX - i : n), QCC_OK);
}

static void check_conv(qcc_context *cx, const qcc_simd *simd, const qcc_conv *c) {
  const size_t cout = (size_t)c->cout, nx = (size_t)(c->batch * c->cin * c->in[1] * c->in[2]);
  const size_t nw = cout * (size_t)(c->cin / c->group * c->kernel[1] * c->kernel[2]);
  lanes t = new_lanes(nx, (size_t)(c->batch * c->out[1] * c->out[2]) * cout);
  float *wf = random_floats(nw, 5), *bias = random_floats(cout, 6), *factor = random_floats(cout, 7);
  qcc_worker w = {.cx = cx, .simd = simd}, members[2] = {{.cx = cx, .simd = simd}, {.cx = cx, .simd = simd}};
  qcc_pack p;
  assert_int_equal(qcc_conv_pack(&p, cx, simd, c, wf, bias), QCC_OK);
  aim(&t, t.alone, factor, cout);
  for (size_t i = 0; i < QCC_GROUP_MAX; ++i) assert_int_equal(qcc_conv_run(&w, c, &p, t.lane[i].x, t.lane[i].y, &t.lane[i].posts), QCC_OK);
  for (size_t n = 1; n <= QCC_GROUP_MAX; ++n) {
    aim(&t, t.got, factor, cout);
    conv_groups(&w, c, &p, &t, n);
    check_lanes(&t);
  }
  assert_int_equal(qcc_team_open(&w.team, members, 2), QCC_OK);
  aim(&t, t.got, factor, cout);
  conv_groups(&w, c, &p, &t, 5);
  check_lanes(&t);
  qcc_team_close(w.team);
  qcc_free(cx, p.at);
  qcc_scratch_free(&w), qcc_scratch_free(&members[0]), qcc_scratch_free(&members[1]);
  free(wf), free(bias), free(factor);
  free_lanes(&t);
}

static void test_conv_lanes(void **state) {
  (void)state;
  static const struct {
    int64_t cin, cout, group, size, kernel, stride, batch;
  } of[] = {{37, 50, 1, 7, 1, 1, 1},  {24, 40, 1, 7, 3, 1, 1},  {24, 40, 1, 7, 3, 2, 2},  {3, 17, 1, 9, 3, 2, 1},  {12, 20, 4, 5, 3, 1, 1},
            {20, 20, 20, 6, 3, 1, 1}, {33, 24, 1, 14, 3, 1, 1}, {16, 16, 1, 21, 3, 1, 2}, {64, 70, 1, 1, 1, 1, 1}, {5, 40, 1, 2, 1, 1, 3}};
  qcc_context *cx = new_context();
  unsigned winograd = 0;
  for (unsigned isa = 0; qcc_simd_at(isa); ++isa)
    for (size_t i = 0; i < sizeof of / sizeof of[0]; ++i) {
      qcc_window win = {.rank = 2, .group = of[i].group};
      qcc_conv c;
      for (int d = 0; d < 2; ++d) {
        win.in[d] = of[i].size, win.kernel[d] = of[i].kernel, win.stride[d] = of[i].stride, win.dilation[d] = 1;
        win.pad_begin[d] = of[i].kernel / 2;
        win.out[d] = (of[i].size + 2 * win.pad_begin[d] - of[i].kernel) / of[i].stride + 1;
      }
      qcc_conv_of(&c, &win, of[i].batch, of[i].cin, of[i].cout);
      winograd += qcc_winograd_pays(&c);
      check_conv(cx, qcc_simd_at(isa), &c);
    }
  assert_true(winograd > 0);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

static void test_dense_lanes(void **state) {
  (void)state;
  enum { DEPTH = 70, WIDTH = 75 };
  qcc_context *cx = new_context();
  float *b = random_floats(DEPTH * WIDTH, 9), *factor = random_floats(WIDTH, 7);
  for (unsigned isa = 0; qcc_simd_at(isa); ++isa) {
    qcc_worker w = {.cx = cx, .simd = qcc_simd_at(isa)};
    qcc_pack p;
    assert_int_equal(qcc_dense_pack(&p, cx, w.simd, DEPTH, WIDTH, b, false, 1.0f, factor), QCC_OK);
    for (size_t rows = 1; rows <= 150; rows += rows < 8 ? 1 : 47) {
      lanes t = new_lanes(rows * DEPTH, rows * WIDTH);
      aim(&t, t.alone, factor, WIDTH);
      for (size_t i = 0; i < QCC_GROUP_MAX; ++i)
        assert_int_equal(qcc_dense_run(&w, &p, rows, t.lane[i].x, t.lane[i].y, &t.lane[i].posts), QCC_OK);
      for (size_t n = 1; n <= QCC_GROUP_MAX; ++n) {
        aim(&t, t.got, factor, WIDTH);
        for (size_t i = 0; i < QCC_GROUP_MAX; i += n)
          assert_int_equal(qcc_dense_lanes(&w, &p, rows, t.lane + i, QCC_GROUP_MAX - i < n ? QCC_GROUP_MAX - i : n), QCC_OK);
        check_lanes(&t);
      }
      free_lanes(&t);
    }
    qcc_free(cx, p.at);
    qcc_scratch_free(&w);
  }
  free(b), free(factor);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

/* ---- graphs */
enum { SAMPLES = 21, SHOWN = 4, OUTPUTS = 2, WORKERS = 3, WIDTH = 1000 };

static qcc_value *node(qcc_graph *g, qcc_op op, qcc_value *a, qcc_value *b) {
  return qcc_out(qcc_add_node(g, NULL, op, NULL, (qcc_value *[]){a, b}, b ? 2 : 1, 1), 0);
}

static qcc_value *weights(qcc_graph *g, int rank, const int64_t *dims, uint32_t seed) {
  size_t n = 1;
  for (int i = 0; i < rank; ++i) n *= (size_t)dims[i];
  float *x = random_floats(n, seed);
  for (size_t i = 0; i < n; ++i) x[i] *= 0.1f;
  qcc_value *v = qcc_add_const_f32(g, NULL, rank, dims, x);
  free(x);
  return v;
}

static qcc_value *conv(qcc_graph *g, qcc_value *x, int64_t cin, int64_t cout, int64_t k, int64_t group, uint32_t seed) {
  qcc_value *in[3] = {x, weights(g, 4, (int64_t[]){cout, cin / group, k, k}, seed), weights(g, 1, &cout, seed + 1)};
  qcc_node *n = qcc_add_node(g, NULL, QCC_OP_CONV, NULL, in, 3, 1);
  qcc_attr_set_ints(n, "pads", (int64_t[]){k / 2, k / 2, k / 2, k / 2}, 4);
  qcc_attr_set_int(n, "group", group);
  return qcc_out(n, 0);
}

static qcc_value *fake_quant(qcc_graph *g, qcc_value *x) {
  qcc_node *q = qcc_add_node(g, NULL, QCC_OP_FAKE_QUANT, NULL, &x, 1, 1);
  qcc_attr_set_str(q, "dtype", "u8", 2);
  qcc_attr_set_floats(q, "scale", (float[]){0.03f}, 1);
  qcc_attr_set_ints(q, "zero", (int64_t[]){100}, 1);
  qcc_attr_set_int(q, "lo", 0);
  qcc_attr_set_int(q, "hi", 255);
  return qcc_out(q, 0);
}

typedef struct net {
  qcc_graph *g;
  const qcc_value *shown[SHOWN + 1];
} net;

/* Convolutions and products with more weights than data between steps that run image by image: a residual, pooling, one filter per channel,
 * fake quantization, random numbers, an element whose number may be wrong. Size -1: known with the sample, so without Winograd's way. */
static net new_net(qcc_context *cx, int64_t size) {
  net t = {.g = NULL};
  const qcc_type in = qcc_type_of(QCC_F32, 4, (int64_t[]){1, 16, size, size}), number = qcc_type_of(QCC_S64, 1, (int64_t[]){1});
  assert_int_equal(qcc_graph_new(&t.g, cx), QCC_OK);
  qcc_graph *g = t.g;
  qcc_value *x = qcc_add_input(g, "x", &in), *which = qcc_add_input(g, "which", &number);
  qcc_value *a = node(g, QCC_OP_RELU, conv(g, x, 16, 128, 3, 1, 10), NULL);
  qcc_value *b = node(g, QCC_OP_RELU, node(g, QCC_OP_ADD, conv(g, a, 128, 128, 3, 1, 20), a), NULL);
  qcc_value *c = fake_quant(g, conv(g, b, 128, 128, 3, 128, 30));
  qcc_node *pool = qcc_add_node(g, NULL, QCC_OP_MAX_POOL, NULL, &c, 1, 1);
  qcc_attr_set_ints(pool, "kernel_shape", (int64_t[]){2, 2}, 2);
  qcc_attr_set_ints(pool, "strides", (int64_t[]){2, 2}, 2);
  qcc_value *d = conv(g, qcc_out(pool, 0), 128, 512, 1, 1, 40);
  qcc_value *flat = node(g, QCC_OP_FLATTEN, node(g, QCC_OP_GLOBAL_AVERAGE_POOL, d, NULL), NULL);
  qcc_value *e = node(g, QCC_OP_SIGMOID, node(g, QCC_OP_GEMM, flat, weights(g, 2, (int64_t[]){512, WIDTH}, 50)), NULL);
  qcc_value *f = node(g, QCC_OP_ADD, e, node(g, QCC_OP_RANDOM_UNIFORM_LIKE, e, NULL));
  qcc_add_output(g, f);
  qcc_node *pick = qcc_add_node(g, NULL, QCC_OP_GATHER, NULL, (qcc_value *[]){f, which}, 2, 1);
  qcc_attr_set_int(pick, "axis", 1);
  qcc_add_output(g, node(g, QCC_OP_SOFTMAX, node(g, QCC_OP_MATMUL, f, weights(g, 2, (int64_t[]){WIDTH, WIDTH}, 60)), NULL));
  qcc_add_output(g, qcc_out(pick, 0));
  assert_int_equal(qcc_graph_status(g), QCC_OK);
  t.shown[0] = x, t.shown[1] = a, t.shown[2] = b, t.shown[3] = e;
  return t;
}

typedef struct capture {
  qcc_context *cx;
  bool mixed;        /* two sizes */
  size_t bad;        /* this sample asks for an element that is not there */
  size_t next, late; /* late: how often an earlier sample was shown after a later one */
  float out[SAMPLES][OUTPUTS][WIDTH];
  uint64_t seen[SAMPLES][SHOWN];
  size_t shown, last, open[WORKERS][SHOWN];
} capture;

static qcc_status get(void *user, size_t index, qcc_tensor *inputs) {
  const capture *c = user;
  const int64_t size = c->mixed && index % 7 > 3 ? 10 : 14;
  const qcc_type t = qcc_type_of(QCC_F32, 4, (int64_t[]){1, 16, size, size}), n = qcc_type_of(QCC_S64, 1, (int64_t[]){1});
  QCC_TRY(qcc_tensor_new(&inputs[0], c->cx, &t));
  fill_random(qcc_tensor_mut(&inputs[0]), (size_t)(16 * size * size), (uint32_t)index + 100);
  QCC_TRY(qcc_tensor_new(&inputs[1], c->cx, &n));
  *(int64_t *)qcc_tensor_mut(&inputs[1]) = index == c->bad ? WIDTH : (int64_t)index;
  return QCC_OK;
}

static qcc_status take(void *user, size_t sample, const qcc_tensor *outputs) {
  capture *c = user;
  assert_int_equal(sample, c->next);
  c->next++;
  for (int i = 0; i < OUTPUTS; ++i) {
    assert_int_equal(outputs[i].bytes, sizeof c->out[sample][i]);
    memcpy(c->out[sample][i], outputs[i].data, sizeof c->out[sample][i]);
  }
  assert_true(*(const float *)outputs[2].data == c->out[sample][0][sample]);
  return QCC_OK;
}

/* In any order. */
static uint64_t sum_bits(const float *x, size_t n) {
  uint64_t sum = 0;
  for (size_t i = 0; i < n; ++i) {
    uint32_t bits;
    memcpy(&bits, x + i, sizeof bits);
    sum += (uint64_t)bits * bits;
  }
  return sum;
}

static void count_value(capture *c, size_t sample) {
  __atomic_fetch_add(&c->shown, 1, __ATOMIC_RELAXED);
  if (__atomic_exchange_n(&c->last, sample, __ATOMIC_RELAXED) > sample) __atomic_fetch_add(&c->late, 1, __ATOMIC_RELAXED);
}

static void see(void *user, unsigned worker, size_t sample, uint32_t index, const qcc_tensor *t) {
  (void)worker;
  count_value(user, sample);
  ((capture *)user)->seen[sample][index] = sum_bits(t->data, (size_t)qcc_tensor_count(t));
}

/* A worker ends a value of one sample before it begins that of another. */
static void see_piece(void *user, const qcc_piece *p) {
  capture *c = user;
  size_t *open = &c->open[p->worker][p->index];
  assert_true(*open == 0 || *open == p->sample + 1);
  *open = p->sample + 1;
  c->seen[p->sample][p->index] += sum_bits(p->data, p->count);
}

static void see_end(void *user, unsigned worker, size_t sample, uint32_t index, unsigned helper, unsigned helpers) {
  capture *c = user;
  (void)helper;
  assert_int_equal(helpers, 0);
  assert_int_equal(c->open[worker][index], sample + 1);
  c->open[worker][index] = 0;
  count_value(c, sample);
}

typedef enum how { SILENT, WHOLE, PIECES, HOWS } how;

static qcc_status run_net(const net *t, capture *c, unsigned workers, how observe, bool alone) {
  const qcc_eval *e = qcc_ref_eval();
  const qcc_samples samples = {.count = SAMPLES, .get = get, .user = c};
  qcc_hooks hooks = {.output = take, .user = c};
  if (observe) hooks.observed = t->shown;
  if (observe == WHOLE) hooks.observe_typed = see;
  if (observe == PIECES) hooks.observe = see_piece, hooks.observe_end = see_end;
  qcc_runner *r = NULL;
  assert_int_equal(e->open(&r, c->cx, t->g, &(qcc_run_options){.workers = workers}), QCC_OK);
  qcc_status st = QCC_OK;
  for (size_t i = 0; alone && st == QCC_OK && i < SAMPLES; ++i) st = e->run(r, &samples, i, 1, &hooks);
  if (!alone) st = e->run(r, &samples, 0, SAMPLES, &hooks);
  e->close(r);
  return st;
}

static capture *new_capture(qcc_context *cx, bool mixed) {
  capture *c = calloc(1, sizeof *c);
  assert_non_null(c);
  c->cx = cx, c->mixed = mixed, c->bad = SIZE_MAX;
  return c;
}

static void test_graph(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  for (int mixed = 0; mixed < 2; ++mixed) {
    const net t = new_net(cx, mixed ? -1 : 14);
    capture *first = new_capture(cx, mixed);
    assert_int_equal(run_net(&t, first, 1, WHOLE, true), QCC_OK);
    assert_int_equal(first->next, SAMPLES);
    assert_int_equal(first->late, 0);
    for (unsigned workers = 1; workers <= WORKERS; ++workers) {
      for (how observe = SILENT; observe < HOWS; ++observe) {
        capture *c = new_capture(cx, mixed);
        assert_int_equal(run_net(&t, c, workers, observe, false), QCC_OK);
        assert_memory_equal(c->out, first->out, sizeof c->out);
        if (observe) assert_memory_equal(c->seen, first->seen, sizeof c->seen);
        if (observe) assert_int_equal(c->shown, SAMPLES * SHOWN);
        if (observe) assert_true(c->late >= 3); /* samples did run in lock-step */
        free(c);
      }
    }
    free(first);
    qcc_graph_free(t.g);
  }
  qcc_context_free(cx);
}

/* A sample that fails inside a group takes none of the earlier ones with it. */
static void test_failed_image(void **state) {
  (void)state;
  static const size_t bad[] = {0, 1, 5, 7, 8, 20};
  qcc_context *cx = new_context();
  const net t = new_net(cx, 14);
  for (unsigned workers = 1; workers <= WORKERS; ++workers)
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
      capture *c = new_capture(cx, false);
      c->bad = bad[i];
      assert_int_not_equal(run_net(&t, c, workers, SILENT, false), QCC_OK);
      assert_int_equal(c->next, bad[i]);
      free(c);
    }
  qcc_graph_free(t.g);
  qcc_context_free(cx);
}

/* ---- memory that runs out */
static qcc_status oom_get(void *user, size_t index, qcc_tensor *inputs) {
  const qcc_type t = qcc_type_of(QCC_F32, 2, (int64_t[]){1, 256});
  QCC_TRY(qcc_tensor_new(&inputs[0], user, &t));
  fill_random(qcc_tensor_mut(&inputs[0]), (size_t)qcc_tensor_count(&inputs[0]), (uint32_t)index);
  return QCC_OK;
}

static qcc_status oom_body(qcc_context *cx, void *user) {
  const qcc_eval *e = qcc_ref_eval();
  const qcc_samples samples = {.count = 3, .get = oom_get, .user = cx};
  const qcc_type in = qcc_type_of(QCC_F32, 2, (int64_t[]){1, 256});
  const int64_t wd[] = {256, 257}, sd[] = {2}, shape[] = {1, -1};
  static const float w[256 * 257] = {0.5f};
  qcc_graph *g = NULL;
  qcc_runner *r = NULL;
  qcc_status st = qcc_graph_new(&g, cx);
  if (st == QCC_OK) {
    qcc_value *x = qcc_add_input(g, "x", &in);
    qcc_value *y = node(g, QCC_OP_MATMUL, x, qcc_add_const_f32(g, NULL, 2, wd, w));
    qcc_add_output(g, node(g, QCC_OP_RESHAPE, node(g, QCC_OP_SOFTMAX, y, NULL), qcc_add_const_s64(g, NULL, 1, sd, shape)));
    st = qcc_graph_status(g);
  }
  if (st == QCC_OK) st = e->open(&r, cx, g, &(qcc_run_options){.workers = *(unsigned *)user});
  if (st == QCC_OK) st = e->run(r, &samples, 0, 3, NULL);
  e->close(r);
  qcc_graph_free(g);
  return st;
}

static void test_out_of_memory(void **state) {
  (void)state;
  for (unsigned workers = 1; workers <= 2; ++workers) assert_true(oom_sweep(oom_body, &workers, 1, 0) > 30);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_conv_lanes), cmocka_unit_test(test_dense_lanes), cmocka_unit_test(test_graph),
                                     cmocka_unit_test(test_failed_image), cmocka_unit_test(test_out_of_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
