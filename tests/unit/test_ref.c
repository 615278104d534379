/* SPDX-License-Identifier: Apache-2.0
 * The runtime: convolution against the definition over kernel x stride x pad x dilation x group x rank on every instruction set of this
 * machine, bit-identity over workers, FakeQuant against ir/quant, observation, errors without leaks. */
#include <math.h>
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

static uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static void fill_random(float *x, size_t n, uint32_t seed) {
  for (size_t i = 0; i < n; ++i) x[i] = (float)next_random(&seed) / 8388608.0f - 1.0f;
}

static float *random_floats(size_t n, uint32_t seed) {
  float *x = malloc((n + 1) * sizeof *x);
  assert_non_null(x);
  fill_random(x, n, seed);
  return x;
}

/* ---- convolution by the definition: x [cin][in], w [cout][cin/group][kernel], y [cout][out], all row-major */
static double tap_sum(const qcc_conv *c, const float *x, const float *w, int64_t co, const int64_t o[3]) {
  const int64_t depth = c->cin / c->group, first = co / (c->cout / c->group) * depth;
  double sum = 0;
  for (int64_t ci = 0; ci < depth; ++ci)
    for (int64_t kz = 0; kz < c->kernel[0]; ++kz)
      for (int64_t ky = 0; ky < c->kernel[1]; ++ky)
        for (int64_t kx = 0; kx < c->kernel[2]; ++kx) {
          const int64_t z = o[0] * c->stride[0] - c->pad[0] + kz * c->dilation[0],
                        y = o[1] * c->stride[1] - c->pad[1] + ky * c->dilation[1],
                        xx = o[2] * c->stride[2] - c->pad[2] + kx * c->dilation[2];
          if (z < 0 || z >= c->in[0] || y < 0 || y >= c->in[1] || xx < 0 || xx >= c->in[2]) continue;
          sum += (double)x[((first + ci) * c->in[0] + z) * c->in[1] * c->in[2] + y * c->in[2] + xx] *
                 (double)w[(((co * depth + ci) * c->kernel[0] + kz) * c->kernel[1] + ky) * c->kernel[2] + kx];
        }
  return sum;
}

static void naive_conv(const qcc_conv *c, const float *x, const float *w, const float *bias, float *y) {
  const int64_t in = c->in[0] * c->in[1] * c->in[2];
  size_t at = 0;
  for (int64_t n = 0; n < c->batch; ++n)
    for (int64_t co = 0; co < c->cout; ++co)
      for (int64_t oz = 0; oz < c->out[0]; ++oz)
        for (int64_t oy = 0; oy < c->out[1]; ++oy)
          for (int64_t ox = 0; ox < c->out[2]; ++ox)
            y[at++] = (float)(tap_sum(c, x + n * c->cin * in, w, co, (int64_t[]){oz, oy, ox}) + (double)bias[co]);
}

typedef struct conv_case {
  qcc_conv conv;
  size_t in, out, nx, ny, nw;
  float *x, *w, *b, *want;
} conv_case;

static void check_table(qcc_context *cx, const qcc_simd *simd, const conv_case *k) {
  const qcc_conv *c = &k->conv;
  float *xl = random_floats(k->nx, 5), *yl = random_floats(k->ny, 6), *got = random_floats(k->ny, 7);
  qcc_worker worker = {.cx = cx, .simd = simd};
  qcc_pack p;
  assert_int_equal(qcc_conv_pack(&p, cx, simd, c, k->w, k->b), QCC_OK);
  qcc_to_last(simd, xl, k->x, (size_t)c->batch, (size_t)c->cin, k->in);
  assert_int_equal(qcc_conv_run(&worker, c, &p, xl, yl, NULL), QCC_OK);
  qcc_from_last(simd, got, yl, (size_t)c->batch, (size_t)c->cout, k->out);
  for (size_t i = 0; i < k->ny; ++i) {
    if (fabsf(got[i] - k->want[i]) <= 1e-5f * (float)(1 + k->nw / (size_t)c->cout)) continue;
    fail_msg("%s conv k%lldx%lld s%lld d%lld p%lld g%lld c%lld>%lld: element %zu is %g, not %g", simd->name, (long long)c->kernel[1],
             (long long)c->kernel[2], (long long)c->stride[2], (long long)c->dilation[2], (long long)c->pad[2], (long long)c->group,
             (long long)c->cin, (long long)c->cout, i, (double)got[i], (double)k->want[i]);
  }
  qcc_worker members[2] = {{.cx = cx, .simd = simd}, {.cx = cx, .simd = simd}};
  assert_int_equal(qcc_team_open(&worker.team, members, 2), QCC_OK);
  memset(got, 0, k->ny * sizeof *got);
  assert_int_equal(qcc_conv_run(&worker, c, &p, xl, got, NULL), QCC_OK);
  assert_memory_equal(got, yl, k->ny * sizeof *got);
  qcc_team_close(worker.team);
  qcc_free(cx, p.at);
  qcc_scratch_free(&worker), qcc_scratch_free(&members[0]), qcc_scratch_free(&members[1]);
  free(xl), free(yl), free(got);
}

/* A convolution with every table; what it is by the definition costs most. */
static void check_conv(qcc_context *cx, const qcc_conv *c) {
  conv_case k = {.conv = *c, .in = (size_t)(c->in[0] * c->in[1] * c->in[2]), .out = (size_t)(c->out[0] * c->out[1] * c->out[2])};
  k.nx = (size_t)(c->batch * c->cin) * k.in, k.ny = (size_t)(c->batch * c->cout) * k.out;
  k.nw = (size_t)(c->cout * (c->cin / c->group) * c->kernel[0] * c->kernel[1] * c->kernel[2]);
  k.x = random_floats(k.nx, 1), k.w = random_floats(k.nw, 2), k.b = random_floats((size_t)c->cout, 3), k.want = random_floats(k.ny, 4);
  naive_conv(c, k.x, k.w, k.b, k.want);
  for (unsigned isa = 0; qcc_simd_at(isa); ++isa) check_table(cx, qcc_simd_at(isa), &k);
  free(k.x), free(k.w), free(k.b), free(k.want);
}

/* in, kernel, stride, dilation, pad per axis: the same on all real axes. */
static bool geometry(qcc_conv *c, int rank, int64_t size, int64_t k, int64_t s, int64_t d, int64_t p) {
  qcc_window win = {.rank = rank, .group = c->group};
  for (int i = 0; i < rank; ++i) {
    win.in[i] = size + i;
    win.kernel[i] = k, win.stride[i] = s, win.dilation[i] = d, win.pad_begin[i] = p;
    win.out[i] = (win.in[i] + 2 * p - ((k - 1) * d + 1)) / s + 1;
    if (win.in[i] + 2 * p < (k - 1) * d + 1) return false;
  }
  qcc_conv_of(c, &win, c->batch, c->cin, c->cout);
  return true;
}

/* Winograd's way, with and without edges, at sizes that leave part of a tile. */
static void test_winograd(void **state) {
  (void)state;
  static const int64_t channels[][2] = {{16, 16}, {24, 40}, {33, 17}, {64, 32}};
  qcc_context *cx = new_context();
  size_t ran = 0;
  for (size_t i = 0; i < sizeof channels / sizeof channels[0]; ++i)
    for (int64_t size = 12; size <= 33; size += 7)
      for (int64_t pad = 0; pad <= 2; ++pad) {
        qcc_conv c = {.batch = 2, .cin = channels[i][0], .cout = channels[i][1], .group = 1};
        assert_true(geometry(&c, 2, size, 3, 1, 1, pad));
        ran += qcc_winograd_pays(&c);
        check_conv(cx, &c);
      }
  assert_true(ran > 30);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

static void test_conv_grid(void **state) {
  (void)state;
  static const int64_t channels[][3] = {{3, 17, 1}, {8, 8, 8}, {37, 37, 37}, {12, 20, 4}, {16, 33, 1}, {6, 12, 6}, {1, 1, 1}, {40, 5, 1}};
  static const int64_t shape[][4] = {{1, 1, 1, 0}, {1, 2, 1, 0}, {3, 1, 1, 1}, {3, 2, 1, 1}, {3, 1, 2, 2},
                                     {5, 1, 1, 2}, {5, 2, 1, 2}, {3, 1, 1, 0}, {2, 2, 1, 1}, {7, 2, 1, 3}};
  qcc_context *cx = new_context();
  size_t ran = 0;
  for (size_t i = 0; i < sizeof channels / sizeof channels[0]; ++i)
    for (size_t j = 0; j < sizeof shape / sizeof shape[0]; ++j)
      for (int rank = 1; rank <= 3; ++rank) {
        qcc_conv c = {.batch = 2, .cin = channels[i][0], .cout = channels[i][1], .group = channels[i][2]};
        if (!geometry(&c, rank, rank == 3 ? 5 : 11, shape[j][0], shape[j][1], shape[j][2], shape[j][3])) continue;
        check_conv(cx, &c);
        ++ran;
      }
  assert_true(ran > 200);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

/* A team cuts rows and columns, and runs what follows as if alone. */
static void test_dense_team(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  const size_t depth = 200, width = 150;
  float *x = random_floats(400 * depth, 8), *b = random_floats(depth * width, 9), *same = random_floats(400 * width, 4);
  float *y = random_floats(400 * width, 1), *z = random_floats(400 * width, 2);
  qcc_posts posts = {.n = 3};
  posts.at[0] = (qcc_post){.kind = QCC_POST_ACT, .act = QCC_ACT_RELU};
  posts.at[1] = (qcc_post){.kind = QCC_POST_CHANNEL, .arith = QCC_ARITH_MUL, .operand = same, .channels = width};
  posts.at[2] = (qcc_post){.kind = QCC_POST_SAME, .arith = QCC_ARITH_ADD, .operand = same};
  qcc_worker w = {.cx = cx, .simd = qcc_simd_choose()}, members[2] = {{.cx = cx, .simd = w.simd}, {.cx = cx, .simd = w.simd}};
  qcc_pack p;
  assert_int_equal(qcc_dense_pack(&p, cx, w.simd, depth, width, b, false, 1.0f, same), QCC_OK);
  for (size_t rows = 11; rows <= 400; rows += 43) {
    assert_int_equal(qcc_dense_run(&w, &p, rows, x, y, &posts), QCC_OK);
    assert_int_equal(qcc_team_open(&w.team, members, 2), QCC_OK);
    assert_int_equal(qcc_team_size(&w), 3);
    for (int again = 0; again < 20; ++again) {
      memset(z, 0, rows * width * sizeof *z);
      assert_int_equal(qcc_dense_run(&w, &p, rows, x, z, &posts), QCC_OK);
      assert_memory_equal(y, z, rows * width * sizeof *y);
    }
    qcc_team_close(w.team);
    w.team = NULL;
  }
  qcc_free(cx, p.at);
  qcc_scratch_free(&w), qcc_scratch_free(&members[0]), qcc_scratch_free(&members[1]);
  float *all[] = {x, b, same, y, z};
  for (size_t i = 0; i < 5; ++i) free(all[i]);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

static qcc_status fail_odd(qcc_worker *w, size_t index, void *user) {
  (void)w;
  ((char *)user)[index]++;
  return index % 2 ? (index == 7 ? QCC_DATA : QCC_NOMEM) : QCC_OK;
}

static void test_team_failure(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  qcc_worker w = {.cx = cx, .simd = qcc_simd_choose()}, members[2] = {{.cx = cx, .simd = w.simd}, {.cx = cx, .simd = w.simd}};
  char seen[64] = {0};
  assert_int_equal(qcc_team_open(&w.team, members, 2), QCC_OK);
  assert_int_equal(qcc_team_run(&w, INFINITY, 64, fail_odd, seen), QCC_NOMEM); /* of part 1, the lowest */
  for (size_t i = 0; i < 64; ++i) assert_int_equal(seen[i], 1);
  qcc_team_close(w.team);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

/* ---- matrices: packed, plain, whole and row by row give the same bits */
static void test_dense_bits(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  for (unsigned isa = 0; qcc_simd_at(isa); ++isa) {
    const qcc_simd *simd = qcc_simd_at(isa);
    for (size_t width = 1; width < 70; width += 11) {
      const size_t rows = 131, depth = 57;
      float *x = random_floats(rows * depth, 8), *b = random_floats(depth * width, 9);
      float *y = random_floats(rows * width, 1), *z = random_floats(rows * width, 2), *one = random_floats(width, 3);
      qcc_worker w = {.cx = cx, .simd = simd};
      qcc_pack p;
      assert_int_equal(qcc_dense_pack(&p, cx, simd, depth, width, b, false, 1.0f, NULL), QCC_OK);
      assert_int_equal(qcc_dense_run(&w, &p, rows, x, y, NULL), QCC_OK);
      assert_int_equal(qcc_dense_plain(&w, rows, depth, width, x, b, z), QCC_OK);
      assert_memory_equal(y, z, rows * width * sizeof *y);
      assert_int_equal(qcc_dense_run(&w, &p, 1, x + 77 * depth, one, NULL), QCC_OK);
      assert_memory_equal(y + 77 * width, one, width * sizeof *one);
      double sum = 0;
      for (size_t k = 0; k < depth; ++k) sum += (double)x[77 * depth + k] * (double)b[k * width];
      assert_true(fabs(sum - (double)one[0]) < 1e-4);
      qcc_free(cx, p.at);
      qcc_scratch_free(&w);
      float *all[] = {x, b, y, z, one};
      for (size_t i = 0; i < 5; ++i) free(all[i]);
    }
  }
  qcc_context_free(cx);
}

/* ---- graphs */
static qcc_value *const_f32(qcc_graph *g, int rank, const int64_t *dims, uint32_t seed) {
  size_t n = 1;
  for (int i = 0; i < rank; ++i) n *= (size_t)dims[i];
  float *x = random_floats(n, seed);
  qcc_value *v = qcc_add_const_f32(g, NULL, rank, dims, x);
  free(x);
  return v;
}

static qcc_value *unary(qcc_graph *g, qcc_op op, qcc_value *x) { return qcc_out(qcc_add_node(g, NULL, op, NULL, &x, 1, 1), 0); }

static qcc_value *conv(qcc_graph *g, qcc_value *x, int64_t cin, int64_t cout, int64_t k, int64_t stride, int64_t group, uint32_t seed) {
  qcc_value *in[3] = {x, const_f32(g, 4, (int64_t[]){cout, cin / group, k, k}, seed), const_f32(g, 1, &cout, seed + 1)};
  qcc_node *n = qcc_add_node(g, NULL, QCC_OP_CONV, NULL, in, 3, 1);
  qcc_attr_set_ints(n, "strides", (int64_t[]){stride, stride}, 2);
  qcc_attr_set_ints(n, "pads", (int64_t[]){k / 2, k / 2, k / 2, k / 2}, 4);
  qcc_attr_set_int(n, "group", group);
  return qcc_out(n, 0);
}

typedef struct net {
  qcc_graph *g;
  qcc_value *relu, *quant, *sum;
} net;

/* Stem, depthwise, residual, fake quantization, pooling, classifier. */
static net small_net(qcc_context *cx) {
  net t = {.g = NULL};
  const qcc_type in = qcc_type_of(QCC_F32, 4, (int64_t[]){-1, 3, -1, -1});
  assert_int_equal(qcc_graph_new(&t.g, cx), QCC_OK);
  qcc_graph *g = t.g;
  qcc_value *x = qcc_add_input(g, "x", &in);
  qcc_value *a = t.relu = unary(g, QCC_OP_RELU, conv(g, x, 3, 20, 3, 2, 1, 10));
  qcc_value *d = unary(g, QCC_OP_RELU, conv(g, a, 20, 20, 3, 1, 20, 20));
  qcc_value *e = conv(g, d, 20, 20, 1, 1, 1, 30);
  qcc_value *pair[2] = {e, a};
  qcc_value *s = t.sum = qcc_out(qcc_add_node(g, NULL, QCC_OP_ADD, NULL, pair, 2, 1), 0);
  qcc_node *q = qcc_add_node(g, NULL, QCC_OP_FAKE_QUANT, NULL, &s, 1, 1);
  qcc_attr_set_str(q, "dtype", "u8", 2);
  qcc_attr_set_floats(q, "scale", (float[]){0.03f}, 1);
  qcc_attr_set_ints(q, "zero", (int64_t[]){100}, 1);
  qcc_attr_set_int(q, "lo", 0);
  qcc_attr_set_int(q, "hi", 255);
  t.quant = qcc_out(q, 0);
  qcc_value *f = unary(g, QCC_OP_FLATTEN, unary(g, QCC_OP_GLOBAL_AVERAGE_POOL, t.quant));
  qcc_value *dense[2] = {f, const_f32(g, 2, (int64_t[]){20, 10}, 40)};
  qcc_add_output(g, qcc_out(qcc_add_node(g, NULL, QCC_OP_GEMM, NULL, dense, 2, 1), 0));
  assert_int_equal(qcc_graph_status(g), QCC_OK);
  return t;
}

/* ---- memory that runs out: everything is given back, whatever fails */
static qcc_status oom_get(void *user, size_t index, qcc_tensor *inputs) {
  const qcc_type t = qcc_type_of(QCC_F32, 4, (int64_t[]){1, 3, 8 + (int64_t)index, 8});
  qcc_status st = qcc_tensor_new(&inputs[0], user, &t);
  if (st == QCC_OK) fill_random(qcc_tensor_mut(&inputs[0]), (size_t)qcc_tensor_count(&inputs[0]), 1);
  return st;
}

static qcc_status oom_net(qcc_context *cx, qcc_graph **g) {
  const qcc_type in = qcc_type_of(QCC_F32, 4, (int64_t[]){1, 3, -1, 8});
  const float w[8 * 27] = {0.5f}, k[8] = {0};
  const int64_t wd[] = {8, 3, 3, 3}, kd[] = {8}, sd[] = {2}, shape[] = {1, -1};
  QCC_TRY(qcc_graph_new(g, cx));
  qcc_value *x[3] = {qcc_add_input(*g, "x", &in), qcc_add_const_f32(*g, NULL, 4, wd, w), qcc_add_const_f32(*g, NULL, 1, kd, k)};
  qcc_value *c = qcc_out(qcc_add_node(*g, NULL, QCC_OP_CONV, NULL, x, 3, 1), 0);
  qcc_value *r = qcc_out(qcc_add_node(*g, NULL, QCC_OP_RELU, NULL, &c, 1, 1), 0), *pair[2] = {r, c};
  qcc_value *a = qcc_out(qcc_add_node(*g, NULL, QCC_OP_ADD, NULL, pair, 2, 1), 0);
  qcc_value *f[2] = {a, qcc_add_const_s64(*g, NULL, 1, sd, shape)};
  qcc_value *y = qcc_out(qcc_add_node(*g, NULL, QCC_OP_RESHAPE, NULL, f, 2, 1), 0);
  qcc_add_output(*g, qcc_out(qcc_add_node(*g, NULL, QCC_OP_SOFTMAX, NULL, &y, 1, 1), 0));
  /* and a part whose size depends on values */
  qcc_add_output(*g, qcc_out(qcc_add_node(*g, NULL, QCC_OP_NON_ZERO, NULL, &r, 1, 1), 0));
  return qcc_graph_status(*g);
}

static qcc_status oom_body(qcc_context *cx, void *user) {
  const qcc_eval *e = qcc_ref_eval();
  const qcc_samples samples = {.count = 3, .get = oom_get, .user = cx};
  const qcc_hooks hooks = {.stage = NULL};
  const unsigned workers = *(unsigned *)user;
  qcc_graph *g = NULL;
  qcc_runner *r = NULL;
  qcc_status st = oom_net(cx, &g);
  if (st == QCC_OK) st = e->open(&r, cx, g, &(qcc_run_options){.workers = workers});
  if (st == QCC_OK) st = e->run(r, &samples, 0, 3, &hooks);
  e->close(r);
  qcc_graph_free(g);
  return st;
}

static void test_out_of_memory(void **state) {
  (void)state;
  for (unsigned workers = 1; workers <= 2; ++workers) assert_true(oom_sweep(oom_body, &workers, 1, 0) > 50);
}

/* Samples of differing size; outputs and observations collected by sample. */
enum { SAMPLES = 9, SHOWN = 3 };
typedef struct capture {
  qcc_context *cx;
  float out[SAMPLES][10];
  float *seen[SAMPLES][SHOWN];
  size_t seen_count[SAMPLES][SHOWN];
  size_t next;
  qcc_status give; /* status of sample 4 */
} capture;

static qcc_status get(void *user, size_t index, qcc_tensor *inputs) {
  capture *c = user;
  const int64_t size = 16 + (int64_t)(index % 3) * 5;
  const qcc_type t = qcc_type_of(QCC_F32, 4, (int64_t[]){1, 3, size, size});
  if (index == 4 && c->give != QCC_OK) return c->give;
  qcc_status st = qcc_tensor_new(&inputs[0], c->cx, &t);
  if (st != QCC_OK) return st;
  fill_random(qcc_tensor_mut(&inputs[0]), (size_t)(3 * size * size), (uint32_t)index + 100);
  return QCC_OK;
}

static qcc_status take(void *user, size_t sample, const qcc_tensor *outputs) {
  capture *c = user;
  assert_int_equal(sample, c->next);
  c->next++;
  assert_int_equal(outputs[0].bytes, sizeof c->out[0]);
  memcpy(c->out[sample], outputs[0].data, sizeof c->out[0]);
  return QCC_OK;
}

static void see(void *user, unsigned worker, size_t sample, uint32_t index, const qcc_tensor *t) {
  capture *c = user;
  (void)worker;
  assert_true(index < SHOWN && sample < SAMPLES && !c->seen[sample][index]);
  c->seen_count[sample][index] = (size_t)qcc_tensor_count(t);
  c->seen[sample][index] = malloc(t->bytes);
  assert_non_null(c->seen[sample][index]);
  memcpy(c->seen[sample][index], t->data, t->bytes);
}

static void drop(capture *c) {
  for (size_t i = 0; i < SAMPLES; ++i)
    for (size_t j = 0; j < SHOWN; ++j) free(c->seen[i][j]);
}

static qcc_status run_net_as(const net *t, capture *c, const qcc_run_options *how, bool observe) {
  const qcc_eval *e = qcc_ref_eval();
  const qcc_samples samples = {.count = SAMPLES, .get = get, .user = c};
  const qcc_value *shown[SHOWN + 1] = {t->relu, t->sum, t->quant, NULL};
  qcc_hooks hooks = {.output = take, .user = c};
  if (observe) hooks.observed = shown, hooks.observe_typed = see;
  qcc_runner *r = NULL;
  assert_int_equal(e->open(&r, c->cx, t->g, how), QCC_OK);
  qcc_status st = e->run(r, &samples, 0, SAMPLES, &hooks);
  e->close(r);
  return st;
}

static qcc_status run_net(const net *t, capture *c, unsigned workers, bool observe) {
  return run_net_as(t, c, &(qcc_run_options){.workers = workers}, observe);
}

/* A graph that is spent gives its weights away as they are packed. */
static void test_spent(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  net t = small_net(cx);
  capture kept = {.cx = cx}, spent = {.cx = cx};
  uint32_t gone = 0;
  assert_int_equal(run_net(&t, &kept, 1, false), QCC_OK);
  for (uint32_t i = 0; i < t.g->const_count; ++i) assert_non_null(t.g->consts[i]->data->data);
  assert_int_equal(run_net_as(&t, &spent, &(qcc_run_options){.spend = true}, false), QCC_OK);
  for (uint32_t i = 0; i < t.g->const_count; ++i) gone += !t.g->consts[i]->data->data;
  assert_true(gone > 0);
  assert_memory_equal(spent.out, kept.out, sizeof kept.out);
  qcc_graph_free(t.g);
  qcc_context_free(cx);
}

static void test_workers(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  net t = small_net(cx);
  capture first = {.cx = cx};
  assert_int_equal(run_net(&t, &first, 1, false), QCC_OK);
  assert_int_equal(first.next, SAMPLES);
  for (unsigned workers = 1; workers <= 3; ++workers) {
    for (int observe = 0; observe < 2; ++observe) {
      capture c = {.cx = cx};
      assert_int_equal(run_net(&t, &c, workers, observe), QCC_OK);
      assert_memory_equal(c.out, first.out, sizeof c.out);
      drop(&c);
    }
  }
  assert_memory_not_equal(first.out[0], first.out[3], sizeof first.out[0]);
  qcc_graph_free(t.g);
  qcc_context_free(cx);
}

/* Runs of few and of many samples in turns: the threads of one serve the next, or make room for others. */
static void test_runs(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  const qcc_eval *e = qcc_ref_eval();
  net t = small_net(cx);
  capture all = {.cx = cx};
  qcc_runner *r = NULL;
  assert_int_equal(run_net(&t, &all, 1, false), QCC_OK);
  assert_int_equal(e->open(&r, cx, t.g, &(qcc_run_options){.workers = 4}), QCC_OK);
  for (size_t i = 0; i < 12; ++i) {
    static const size_t count[] = {1, 1, SAMPLES, 2, 2, 3};
    const size_t n = count[i % 6];
    capture c = {.cx = cx};
    const qcc_samples samples = {.count = n, .get = get, .user = &c};
    const qcc_hooks hooks = {.output = take, .user = &c};
    assert_int_equal(e->run(r, &samples, 0, n, &hooks), QCC_OK);
    assert_int_equal(c.next, n);
    assert_memory_equal(c.out, all.out, n * sizeof c.out[0]);
  }
  e->close(r);
  qcc_graph_free(t.g);
  qcc_context_free(cx);
}

static void test_observed(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  net t = small_net(cx);
  capture c = {.cx = cx};
  assert_int_equal(run_net(&t, &c, 2, true), QCC_OK);
  for (size_t i = 0; i < SAMPLES; ++i) {
    const size_t size = (16 + (i % 3) * 5 + 1) / 2, n = 20 * size * size;
    float *want = malloc(n * sizeof *want);
    for (size_t j = 0; j < SHOWN; ++j) assert_int_equal(c.seen_count[i][j], n);
    for (size_t j = 0; j < n; ++j) assert_true(c.seen[i][0][j] >= 0.0f);
    qcc_fake_quantize(want, c.seen[i][1], n, 0.03f, 100, 0, 255);
    assert_memory_equal(want, c.seen[i][2], n * sizeof *want);
    free(want);
  }
  drop(&c);
  qcc_graph_free(t.g);
  qcc_context_free(cx);
}

static void test_failed_sample(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  net t = small_net(cx);
  for (unsigned workers = 1; workers <= 3; ++workers) {
    capture c = {.cx = cx, .give = QCC_DATA};
    assert_int_equal(run_net(&t, &c, workers, false), QCC_DATA);
    assert_int_equal(c.next, 4);
  }
  qcc_graph_free(t.g);
  qcc_context_free(cx);
}

static void test_unsupported(void **state) {
  (void)state;
  qcc_context *cx = new_context();
  qcc_graph *g;
  qcc_runner *r = NULL;
  assert_int_equal(qcc_graph_new(&g, cx), QCC_OK);
  const qcc_type in = qcc_type_of(QCC_F32, 1, (int64_t[]){4});
  qcc_value *x = qcc_add_input(g, "x", &in);
  for (int i = 0; i < 2; ++i) x = qcc_out(qcc_add_opaque(g, NULL, "my.domain", "Strange", NULL, &x, 1, 1), 0);
  qcc_add_output(g, x);
  assert_int_equal(qcc_ref_eval()->open(&r, cx, g, NULL), QCC_UNSUPPORTED);
  assert_null(r);
  assert_non_null(strstr(qcc_last_error(cx), "U-001"));
  assert_non_null(strstr(qcc_last_error(cx), "my.domain.Strange (2)"));
  qcc_graph_free(g);
  qcc_context_free(cx);
}

/* ---- inner loops against scalar arithmetic of ir/quant */
static void test_fake_quant_bits(void **state) {
  (void)state;
  enum { N = 4099 };
  float *x = random_floats(N, 77), *y = random_floats(N, 1), *want = random_floats(N, 2);
  const float special[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e-40f, -1e-40f, 3e38f, 0.05f, -0.05f, 0.15f, 2.5f, -2.5f};
  memcpy(x, special, sizeof special);
  for (unsigned isa = 0; qcc_simd_at(isa); ++isa) {
    static const int32_t form[][3] = {{0, 0, 255},       {128, 0, 255}, {255, 0, 255},    {0, -127, 127},
                                      {-128, -128, 127}, {3, 0, 15},    {32768, 0, 65535}};
    for (size_t f = 0; f < sizeof form / sizeof form[0]; ++f) {
      for (float scale = 1e-3f; scale < 10.0f; scale *= 3.7f) {
        const int32_t zero = form[f][0], lo = form[f][1], hi = form[f][2];
        qcc_fake_quantize(want, x, N, scale, zero, lo, hi);
        qcc_simd_at(isa)->fake_quant(y, x, N, scale, (float)(lo - zero), (float)(hi - zero));
        assert_memory_equal(y, want, N * sizeof *y);
        if (hi - lo >= QCC_TABLE_SIZE) continue;
        float table[QCC_TABLE_SIZE];
        for (int32_t c = lo; c <= hi; ++c) table[c - lo] = (float)(c - zero) * scale;
        memset(y, 0, N * sizeof *y);
        qcc_simd_at(isa)->lookup(y, x, N, scale, (float)(lo - zero), (float)(hi - zero), table);
        assert_memory_equal(y, want, N * sizeof *y);
      }
    }
  }
  free(x), free(y), free(want);
}

static bool fused(const qcc_simd *simd) { return strcmp(simd->name, "sse2") != 0 && strcmp(simd->name, "c") != 0; }

static void near_libm(const qcc_simd *simd, qcc_act f, double (*of)(double), const float *x, float *y, size_t n, double ulps) {
  simd->act(f, y, x, n, 0, 0);
  for (size_t i = 0; i < n; ++i)
    if (fabs((double)y[i] / of((double)x[i]) - 1.0) > ulps * 1.2e-7)
      fail_msg("%s act %d of %g is %g", simd->name, f, (double)x[i], (double)y[i]);
}

static double sigmoid(double x) { return 1.0 / (1.0 + exp(-x)); }
static double gelu(double x) { return 0.5 * x * (1.0 + erf(x / sqrt(2.0))); }

static void test_act_bits(void **state) {
  (void)state;
  enum { N = 1025 };
  const qcc_simd *best = qcc_simd_at(0);
  float *x = random_floats(N, 5), *y = random_floats(N, 1), *z = random_floats(N, 2);
  for (size_t i = 0; i < N; ++i) x[i] *= 30.0f;
  for (int f = 0; f < QCC_ACT_COUNT; ++f) {
    best->act((qcc_act)f, y, x, N, -1.0f, 2.0f);
    for (unsigned isa = 1; qcc_simd_at(isa); ++isa) {
      qcc_simd_at(isa)->act((qcc_act)f, z, x, N, -1.0f, 2.0f);
      if (fused(best) == fused(qcc_simd_at(isa))) assert_memory_equal(y, z, N * sizeof *y);
      for (size_t i = 0; i < N; ++i) assert_true(fabsf(y[i] - z[i]) <= 1e-6f * (1.0f + fabsf(y[i])));
    }
    for (size_t i = 0; i < N; i += 64) { /* alone or in a row: the same */
      best->act((qcc_act)f, z, x + i, 1, -1.0f, 2.0f);
      assert_memory_equal(y + i, z, sizeof *y);
    }
  }
  for (unsigned isa = 0; qcc_simd_at(isa); ++isa) {
    const qcc_simd *simd = qcc_simd_at(isa);
    const float odd[] = {NAN, -NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 200.0f, -200.0f};
    near_libm(simd, QCC_ACT_EXP, exp, x, y, N, 2);
    near_libm(simd, QCC_ACT_TANH, tanh, x, y, N, 3.4);
    near_libm(simd, QCC_ACT_ERF, erf, x, y, N, 3);
    near_libm(simd, QCC_ACT_SIGMOID, sigmoid, x, y, N, 3);
    for (size_t i = 0; i < N; ++i) z[i] = fabsf(x[i]); /* 1 + erf cancels below zero */
    near_libm(simd, QCC_ACT_GELU, gelu, z, y, N, 4);
    simd->act(QCC_ACT_SIGMOID, y, odd, 8, 0, 0);
    assert_true(isnan(y[0]) && isnan(y[1]) && y[2] == 1.0f && y[3] < 1e-36f && y[4] == 0.5f && y[6] == 1.0f && y[7] >= 0.0f);
    simd->act(QCC_ACT_ERF, y, odd, 8, 0, 0);
    assert_true(isnan(y[0]) && isnan(y[1]) && y[2] == 1.0f && y[3] == -1.0f && y[4] == 0.0f && y[6] == 1.0f);
    simd->act(QCC_ACT_EXP, y, odd, 8, 0, 0);
    assert_true(isnan(y[0]) && isnan(y[1]) && isinf(y[2]) && y[3] == 0.0f && y[4] == 1.0f && isinf(y[6]) && y[7] == 0.0f);
  }
  free(x), free(y), free(z);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_conv_grid),    cmocka_unit_test(test_winograd),      cmocka_unit_test(test_dense_team),
      cmocka_unit_test(test_team_failure), cmocka_unit_test(test_dense_bits),    cmocka_unit_test(test_workers),
      cmocka_unit_test(test_spent),        cmocka_unit_test(test_observed),      cmocka_unit_test(test_failed_sample),
      cmocka_unit_test(test_unsupported),  cmocka_unit_test(test_out_of_memory), cmocka_unit_test(test_fake_quant_bits),
      cmocka_unit_test(test_runs),         cmocka_unit_test(test_act_bits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
