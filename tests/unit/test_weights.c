/* SPDX-License-Identifier: Apache-2.0
 * Weight quantization: safe pairs over random layers of every layout, the nearest codes where nothing limits them, the guard of int32 biases,
 * reconstruction that never raises the true error, exact Gram matrices, bias correction, blocks of few bits, floats of 8 bits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "strategy/bias.h"
#include "strategy/blocks.h"
#include "tests/unit/draws.h"

static size_t below(size_t n) { return (size_t)(uniform() * (double)n); }

static int setup(void **state) { return draw_from(state, 11); }

/* A weight of random numbers with unequal rows: conv-like or, with `steps` swapped, a product stored [channels, rows]. */
static void make(qcc_weight *w, qcc_context *cx, size_t rows, size_t channels, size_t positions, size_t groups, bool swapped) {
  *w = (qcc_weight){.cx = cx, .rows = rows, .channels = channels, .positions = positions, .groups = groups, .position_step = 1};
  w->dim = channels * positions;
  w->count = rows * w->dim;
  w->row_step = swapped ? 1 : w->dim;
  w->channel_step = swapped ? rows : positions;
  w->depthwise = channels == 1 && groups > 1 && rows == groups;
  w->w = qcc_alloc_array(cx, w->count, sizeof *w->w);
  for (size_t r = 0; r < rows; r++) {
    double size = exp(gauss());
    for (size_t j = 0; j < w->dim; j++) w->w[qcc_weight_at(w, r, j)] = (float)(size * (uniform() < .5 ? gauss() : 2 * uniform() - 1));
  }
}

static void codes_of_nearest(int8_t *codes, const qcc_weight *w, const float *scale) {
  for (size_t r = 0; r < w->rows; r++)
    for (size_t j = 0; j < w->dim; j++) {
      size_t at = qcc_weight_at(w, r, j);
      codes[at] = (int8_t)qcc_quantize1(w->w[at], scale[r], 0, -127, 127);
    }
}

static double error_of(const qcc_weight *w, const int8_t *codes, const float *scale, const double *meansq) {
  double sum = 0;
  for (size_t r = 0; r < w->rows; r++)
    for (size_t j = 0; j < w->dim; j++) {
      size_t at = qcc_weight_at(w, r, j), c = r / (w->rows / w->groups) * w->channels + j / w->positions;
      double e = (double)w->w[at] - (double)scale[r] * codes[at];
      sum += e * e * (meansq ? meansq[c] : 1);
    }
  return sum;
}

typedef struct shape {
  size_t rows, channels, positions, groups;
  bool swapped;
} shape;
static const shape shapes[] = {{8, 3, 9, 1, false},   {16, 16, 9, 1, false}, {12, 5, 9, 3, false},
                               {10, 64, 1, 1, false}, {10, 65, 1, 1, true},  {7, 1, 9, 7, false},
                               {8, 1, 9, 4, false},   {5, 1, 1, 1, false},   {33, 300, 1, 1, true}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void one_layer(qcc_context *cx, const shape *s, bool with_data, qcc_pair_sums pairs) {
  qcc_weight w;
  make(&w, cx, s->rows, s->channels, s->positions, s->groups, s->swapped);
  float *scale = qcc_alloc_array(cx, w.rows, sizeof *scale), *seven = qcc_alloc_array(cx, w.rows, sizeof *seven);
  int8_t *codes = qcc_alloc_array(cx, w.count, 1), *other = qcc_alloc_array(cx, w.count, 1);
  int32_t code_max[512];
  double meansq[512], error, direct;
  for (size_t i = 0; i < 512; i++) code_max[i] = 1 + (int32_t)below(255), meansq[i] = uniform() * 3;
  qcc_weight_options o = qcc_weight_defaults();
  o.pairs = pairs;
  if (with_data) o.code_max = code_max, o.meansq = meansq;
  assert_int_equal(qcc_weight_scales(scale, codes, &error, &w, &o), QCC_OK);
  if (!w.depthwise) assert_int_equal(qcc_weight_unsafe_pairs(&w, pairs, codes, o.code_max), 0);
  direct = error_of(&w, codes, scale, o.meansq);
  double power = 0;
  for (size_t i = 0; i < w.count; i++) power += (double)w.w[i] * (double)w.w[i];
  assert_true(fabs(error - direct) <= 1e-4 * direct + 1e-9 * power);
  /* no worse than seven bits, no better than eight without limits */
  for (size_t r = 0; r < w.rows; r++) {
    seven[r] = 0;
    for (size_t j = 0; j < w.dim; j++) seven[r] = fmaxf(seven[r], fabsf(w.w[qcc_weight_at(&w, r, j)]) / 63.5f);
  }
  codes_of_nearest(other, &w, seven);
  assert_true(direct <= error_of(&w, other, seven, o.meansq) * 1.001);
  codes_of_nearest(other, &w, scale);
  assert_true(error_of(&w, other, scale, o.meansq) <= direct * (1 + 1e-6));
  /* rounding again at these scales gives these codes; without limits, the nearest */
  int8_t *again = qcc_alloc_array(cx, w.count, 1);
  assert_int_equal(qcc_weight_round(again, NULL, &w, scale, &o), QCC_OK);
  assert_memory_equal(again, codes, w.count);
  o.pairs = QCC_SATURATION_NONE;
  assert_int_equal(qcc_weight_round(again, NULL, &w, scale, &o), QCC_OK);
  assert_memory_equal(again, other, w.count);
  qcc_free(cx, again);
  qcc_free(cx, scale);
  qcc_free(cx, seven);
  qcc_free(cx, codes);
  qcc_free(cx, other);
  qcc_weight_fini(&w);
}

static void pairs_are_safe_in_random_layers(void **state) {
  for (int turn = 0; turn < 20; turn++)
    for (size_t k = 0; k < SHAPES; k++)
      one_layer(*state, &shapes[k], turn & 1, turn & 2 ? QCC_SATURATION_PAIRS16 : QCC_SATURATION_PAIRS16_PADDED);
}

/* Three channels: the last one of a kernel position meets the first of the next, or padding. */
static void partners_of_odd_channels(void **state) {
  qcc_weight w;
  size_t flat[12], padded[12];
  make(&w, *state, 1, 3, 4, 1, false);
  qcc_weight_partners(flat, &w, QCC_SATURATION_PAIRS16);
  qcc_weight_partners(padded, &w, QCC_SATURATION_PAIRS16_PADDED);
  for (size_t position = 0; position < 4; position++) {
    assert_int_equal(padded[position], 4 + position); /* columns are [channel][position] */
    assert_int_equal(padded[4 + position], position);
    assert_int_equal(padded[8 + position], SIZE_MAX);
    assert_int_equal(flat[8 + position], position % 2 ? 4 + position : position + 1);
  }
  int8_t codes[12] = {0};
  codes[8] = codes[1] = 127; /* channel 2 of position 0, channel 0 of position 1 */
  assert_int_equal(qcc_weight_unsafe_pairs(&w, QCC_SATURATION_PAIRS16, codes, NULL), 1);
  assert_int_equal(qcc_weight_unsafe_pairs(&w, QCC_SATURATION_PAIRS16_PADDED, codes, NULL), 0);
  codes[5] = 2;
  assert_int_equal(qcc_weight_unsafe_pairs(&w, QCC_SATURATION_PAIRS16, codes, NULL), 1);
  assert_int_equal(qcc_weight_unsafe_pairs(&w, QCC_SATURATION_PAIRS16_PADDED, codes, NULL), 1);
  qcc_weight_fini(&w);
}

/* The best integer point under a limit, by trying all. */
static void projection_is_optimal(void **state) {
  for (int turn = 0; turn < 3000; turn++) {
    qcc_weight w;
    make(&w, *state, 1, 2, 1, 1, false);
    int32_t x[2] = {128 + (int32_t)below(128), 128 + (int32_t)below(128)};
    double h[2] = {.1 + uniform(), .1 + uniform()};
    float sign = turn & 1 ? -1.f : 1.f, scale = 1;
    for (int m = 0; m < 2; m++) w.w[m] = sign * (float)(uniform() * 127);
    qcc_weight_options o = qcc_weight_defaults();
    o.pairs = QCC_SATURATION_PAIRS16, o.code_max = x, o.meansq = h;
    int8_t codes[2];
    assert_int_equal(qcc_weight_round(codes, NULL, &w, &scale, &o), QCC_OK);
    double best = HUGE_VAL, got = error_of(&w, codes, &scale, h);
    for (int a = 0; a <= 127; a++)
      for (int b = 0; b <= 127; b++) {
        int8_t q[2] = {(int8_t)(sign > 0 ? a : -a), (int8_t)(sign > 0 ? b : -b)};
        if (!qcc_weight_unsafe_pairs(&w, o.pairs, q, x)) best = fmin(best, error_of(&w, q, &scale, h));
      }
    assert_true(!qcc_weight_unsafe_pairs(&w, o.pairs, codes, x) && got <= best * (1 + 1e-6) + 1e-9);
    qcc_weight_fini(&w);
  }
}

static void biases_fit_and_dead_rows_live(void **state) {
  qcc_weight w;
  make(&w, *state, 6, 8, 1, 1, false);
  for (size_t j = 0; j < 8; j++) w.w[j] = 0, w.w[8 + j] = 1e-12f, w.w[16 + j] *= 1e-20f;
  float bias[6] = {3, -2, 1e9f, 5, 0, -1e6f}, scale[6];
  int8_t codes[48];
  qcc_weight_options o = qcc_weight_defaults();
  o.bias = bias, o.x_scale = 1e-4;
  for (int per_tensor = 0; per_tensor < 2; per_tensor++) {
    o.per_tensor = per_tensor;
    assert_int_equal(qcc_weight_scales(scale, codes, NULL, &w, &o), QCC_OK);
    for (size_t r = 0; r < 6; r++) {
      assert_true(isfinite(scale[r]) && scale[r] > 0 && fabs((double)bias[r] / (o.x_scale * (double)scale[r])) <= 0x1.0001p30);
      if (per_tensor) assert_true(scale[r] == scale[0]);
    }
  }
  qcc_weight_fini(&w);
  make(&w, *state, 3, 4, 1, 1, false);
  memset(w.w, 0, w.count * sizeof *w.w);
  o = qcc_weight_defaults();
  assert_int_equal(qcc_weight_scales(scale, codes, NULL, &w, &o), QCC_OK);
  for (size_t i = 0; i < 12; i++) assert_true(codes[i] == 0 && scale[0] > 0);
  qcc_weight_fini(&w);
}

static void highest_codes(void **state) {
  float max[4] = {-1, 1, 1.5f, 100}, min[4] = {0};
  qcc_channels c = {.cx = *state, .count = 4, .n = 1000, .max = max, .min = min};
  int32_t x[4];
  qcc_code_max(x, 4, &c, .01f, 10); /* a thousand values: twice what they reach */
  assert_true(x[0] == 32 && x[1] >= 210 && x[1] <= 211 && x[2] == 255 && x[3] == 255);
  c.n = 1000000;
  qcc_code_max(x, 4, &c, .01f, 10);
  assert_true(x[0] == 32 && x[1] >= 160 && x[1] <= 161 && x[2] >= 235 && x[2] <= 236 && x[3] == 255);
  qcc_code_max(x, 4, &c, .01f, 100);
  assert_int_equal(x[0], 100); /* padding holds the zero point */
  c.n = 1;                     /* tells nothing */
  qcc_code_max(x, 4, &c, .01f, 0);
  assert_true(x[0] == 32 && x[1] == 255);
  qcc_code_max(x, 4, NULL, .01f, 0);
  assert_true(x[0] == 255 && x[3] == 255);
}

/* ---- Gram */
typedef struct input {
  qcc_tensor t;
  float *x;
} input;

static qcc_window window3x3(int64_t channels, int64_t groups, int64_t size) {
  qcc_window v = {.rank = 2, .group = groups};
  (void)channels;
  for (int i = 0; i < 2; i++)
    v.in[i] = size, v.out[i] = size, v.kernel[i] = 3, v.stride[i] = 1, v.dilation[i] = 1, v.pad_begin[i] = 1, v.pad_end[i] = 1;
  return v;
}

/* Correlated inputs on the grid of step 0.02. */
static void make_input(input *in, qcc_context *cx, int64_t channels, int64_t size) {
  const int64_t dims[] = {1, channels, size, size};
  size_t plane = (size_t)(size * size), n = plane * (size_t)channels;
  in->x = qcc_alloc_array(cx, n, sizeof *in->x);
  for (size_t p = 0; p < plane; p++) {
    double common = gauss();
    for (size_t c = 0; c < (size_t)channels; c++) {
      double v = common + .5 * gauss() + .3 * (double)(c % 3);
      in->x[c * plane + p] = (float)rint(fmin(fmax(v, 0), 5) / .02) * .02f;
    }
  }
  in->t = (qcc_tensor){.type = qcc_type_of(QCC_F32, 4, dims), .data = in->x};
}

/* Patch element of the input, by the definition. */
static double element(const input *in, size_t channel, int64_t y, int64_t x, int64_t size) {
  if (y < 0 || x < 0 || y >= size || x >= size) return 0;
  return (double)in->x[(channel * (size_t)size + (size_t)y) * (size_t)size + (size_t)x];
}

static double direct_gram(const input *in, int64_t size, size_t first, size_t a, size_t b) {
  double sum = 0;
  for (int64_t y = 0; y < size; y++)
    for (int64_t x = 0; x < size; x++) {
      int64_t ka = (int64_t)(a % 9), kb = (int64_t)(b % 9);
      sum += element(in, first + a / 9, y + ka / 3 - 1, x + ka % 3 - 1, size) *
             element(in, first + b / 9, y + kb / 3 - 1, x + kb % 3 - 1, size);
    }
  return sum / (double)(size * size);
}

static void gram_is_exact(void **state) {
  enum { SIZE = 6 };
  for (size_t groups = 1; groups <= 4; groups += 3) {
    input in;
    qcc_gram *g;
    qcc_window v = window3x3(4, (int64_t)groups, SIZE);
    make_input(&in, *state, 4, SIZE);
    assert_int_equal(qcc_gram_new(&g, *state, &v, 4, .02), QCC_OK);
    qcc_gram_scratch *s = qcc_gram_scratch_new(*state, qcc_gram_dim(g));
    qcc_gram_add(g, s, &in.t, false, 0, 1000, 1);
    size_t dim = qcc_gram_dim(g);
    assert_true(dim == 36 / groups && qcc_gram_rows(g) == SIZE * SIZE);
    float h[36 * 36];
    double mean[36];
    for (size_t k = 0; k < groups; k++) {
      qcc_gram_read(g, k, h, mean);
      for (size_t a = 0; a < dim; a++) {
        double sum = 0;
        for (int64_t p = 0; p < SIZE * SIZE; p++)
          sum += element(&in, k * 4 / groups + a / 9, p / SIZE + (int64_t)(a % 9) / 3 - 1, p % SIZE + (int64_t)(a % 9) % 3 - 1, SIZE);
        assert_true(fabs(mean[a] * qcc_gram_scale(g) - sum / (SIZE * SIZE)) < 1e-6);
      }
      for (size_t a = 0; a < dim; a++)
        for (size_t b = 0; b < dim; b++) {
          double want = direct_gram(&in, SIZE, k * 4 / groups, a, b);
          assert_true(fabs((double)h[a * dim + b] * .02 * .02 - want) < 1e-5 * (1 + want));
        }
    }
    qcc_gram_free(g);
    qcc_free(*state, s);
    qcc_free(*state, in.x);
  }
}

static void gram_does_not_depend_on_order(void **state) {
  input in[4];
  qcc_gram *g[2];
  static const size_t order[] = {2, 0, 3, 1};
  qcc_window v = window3x3(5, 1, 9);
  for (int i = 0; i < 4; i++) make_input(&in[i], *state, 5, 9);
  qcc_gram_scratch *s = qcc_gram_scratch_new(*state, 45);
  static float h[2][45 * 45];
  for (int k = 0; k < 2; k++) {
    assert_int_equal(qcc_gram_new(&g[k], *state, &v, 5, .013), QCC_OK);
    for (size_t i = 0; i < 4; i++) qcc_gram_add(g[k], s, &in[k ? order[i] : i].t, false, k ? order[i] : i, 20, 7);
    qcc_gram_read(g[k], 0, h[k], NULL);
    assert_int_equal(qcc_gram_rows(g[k]), 80);
    qcc_gram_free(g[k]);
  }
  assert_memory_equal(h[0], h[1], sizeof h[0]);
  for (int i = 0; i < 4; i++) qcc_free(*state, in[i].x);
  qcc_free(*state, s);
}

static void layouts_give_the_same(void **state) {
  enum { C = 11, SIZE = 9, P = SIZE * SIZE };
  qcc_context *cx = *state;
  input in;
  qcc_window v = window3x3(C, 1, SIZE);
  make_input(&in, cx, C, SIZE);
  in.x[5] = NAN;
  float *last = qcc_alloc_array(cx, C * P, sizeof *last);
  for (size_t c = 0; c < C; c++)
    for (size_t p = 0; p < P; p++) last[p * C + c] = in.x[c * P + p];
  qcc_tensor t = in.t;
  t.data = last;
  qcc_gram *g[2];
  qcc_channels c[2];
  static float h[2][99 * 99];
  qcc_gram_scratch *s = qcc_gram_scratch_new(cx, 99);
  for (int k = 0; k < 2; k++) {
    assert_int_equal(qcc_gram_new(&g[k], cx, &v, C, .02), QCC_OK);
    qcc_gram_add(g[k], s, k ? &t : &in.t, k, 3, 30, 5);
    qcc_gram_read(g[k], 0, h[k], NULL);
    qcc_channels_init(&c[k], cx);
    if (k)
      qcc_channels_add_last(&c[k], &t);
    else
      qcc_channels_add(&c[k], &in.t, 1);
    assert_int_equal(qcc_channels_finish(&c[k]), QCC_OK);
    qcc_gram_free(g[k]);
  }
  assert_memory_equal(h[0], h[1], sizeof h[0]);
  assert_int_equal(c[1].count, C);
  for (size_t i = 0; i < C; i++) {
    assert_true(fabs(c[0].mean[i] - c[1].mean[i]) < 1e-12 && fabs(c[0].meansq[i] - c[1].meansq[i]) < 1e-12);
    assert_true(c[0].min[i] == c[1].min[i] && c[0].max[i] == c[1].max[i]);
  }
  for (int k = 0; k < 2; k++) qcc_channels_fini(&c[k]);
  qcc_free(cx, s);
  qcc_free(cx, last);
  qcc_free(cx, in.x);
}

static double true_error(const qcc_weight *w, const qcc_gram *g, const int8_t *codes, const float *scale) {
  double sum = 0, unit = qcc_gram_scale(g);
  float *h = qcc_alloc_array(w->cx, w->dim * w->dim, sizeof *h);
  for (size_t r = 0; r < w->rows; r++) {
    qcc_gram_read(g, r / (w->rows / w->groups), h, NULL);
    for (size_t a = 0; a < w->dim; a++)
      for (size_t b = 0; b < w->dim; b++) {
        size_t i = qcc_weight_at(w, r, a), j = qcc_weight_at(w, r, b);
        double ea = (double)w->w[i] - (double)scale[r] * codes[i], eb = (double)w->w[j] - (double)scale[r] * codes[j];
        sum += ea * eb * (double)h[a * w->dim + b] * unit * unit;
      }
  }
  qcc_free(w->cx, h);
  return sum;
}

static void reconstruction_lowers_the_error(void **state) {
  static const shape layers[] = {{16, 6, 9, 1, false}, {16, 3, 9, 1, false}, {8, 1, 9, 8, false}, {12, 2, 9, 4, false}};
  qcc_context *cx = *state;
  for (size_t k = 0; k < 4; k++) {
    const shape *l = &layers[k];
    size_t channels = l->channels * l->groups;
    for (int pairs = QCC_SATURATION_NONE; pairs <= QCC_SATURATION_PAIRS16_PADDED; pairs++) {
      qcc_weight w;
      qcc_gram *g;
      qcc_window v = window3x3((int64_t)channels, (int64_t)l->groups, 16);
      make(&w, cx, l->rows, l->channels, l->positions, l->groups, false);
      assert_int_equal(qcc_gram_new(&g, cx, &v, channels, .02), QCC_OK);
      qcc_gram_scratch *s = qcc_gram_scratch_new(cx, qcc_gram_dim(g));
      for (size_t i = 0; i < 4; i++) {
        input in;
        make_input(&in, cx, (int64_t)channels, 16);
        qcc_gram_add(g, s, &in.t, false, i, 1000, 3);
        qcc_free(cx, in.x);
      }
      float scale[16];
      int8_t codes[16 * 54];
      qcc_weight_options o = qcc_weight_defaults();
      o.pairs = (qcc_pair_sums)pairs;
      assert_int_equal(qcc_weight_scales(scale, codes, NULL, &w, &o), QCC_OK);
      double start = true_error(&w, g, codes, scale), before, after;
      assert_int_equal(qcc_weight_reconstruct(codes, scale, &before, &after, &w, &o, g, false), QCC_OK);
      double end = true_error(&w, g, codes, scale);
      assert_true(after <= before && end < .97 * start && fabs(before / start - 1) < .05);
      if (pairs && !w.depthwise) assert_int_equal(qcc_weight_unsafe_pairs(&w, o.pairs, codes, NULL), 0);
      qcc_gram_free(g);
      qcc_free(cx, s);
      qcc_weight_fini(&w);
    }
  }
}

static void identity_gram_keeps_the_nearest(void **state) {
  enum { D = 40, R = 9 };
  qcc_context *cx = *state;
  float x[D * D] = {0}, scale[R];
  int8_t codes[R * D], nearest[R * D];
  const int64_t dims[] = {D, D};
  for (size_t i = 0; i < D; i++) x[i * D + i] = 2;
  qcc_tensor t = {.type = qcc_type_of(QCC_F32, 2, dims), .data = x};
  qcc_weight w;
  qcc_gram *g;
  make(&w, cx, R, D, 1, 1, false);
  assert_int_equal(qcc_gram_new(&g, cx, NULL, D, .01), QCC_OK);
  qcc_gram_scratch *s = qcc_gram_scratch_new(cx, D);
  qcc_gram_add(g, s, &t, false, 0, D, 1);
  qcc_weight_options o = qcc_weight_defaults();
  assert_int_equal(qcc_weight_scales(scale, codes, NULL, &w, &o), QCC_OK);
  codes_of_nearest(nearest, &w, scale);
  for (size_t i = 0; i < R * D; i++) codes[i] = (int8_t)(nearest[i] / 2); /* from a bad start, too */
  assert_int_equal(qcc_weight_reconstruct(codes, scale, NULL, NULL, &w, &o, g, false), QCC_OK);
  assert_memory_equal(codes, nearest, sizeof codes);
  qcc_gram_free(g);
  qcc_free(cx, s);
  qcc_weight_fini(&w);
}

/* ---- bias */
static void bias_correction_centres_channels(void **state) {
  enum { SIZE = 12, C = 3, R = 4 };
  qcc_context *cx = *state;
  qcc_weight w;
  qcc_window v = window3x3(C, 1, SIZE);
  input in;
  float scale[R], delta[R];
  int8_t codes[R * C * 9];
  double share[9], mean[C] = {0}, plane[C][SIZE * SIZE];
  make(&w, cx, R, C, 9, 1, false);
  make_input(&in, cx, C, SIZE);
  for (size_t r = 0; r < R; r++) scale[r] = .1f;
  qcc_weight_options o = qcc_weight_defaults();
  assert_int_equal(qcc_weight_round(codes, NULL, &w, scale, &o), QCC_OK);
  for (size_t c = 0; c < C; c++) { /* constant planes: shares are exact */
    for (size_t p = 0; p < SIZE * SIZE; p++) plane[c][p] = mean[c] = 1 + (double)c, in.x[c * SIZE * SIZE + p] = (float)plane[c][p];
  }
  qcc_tap_shares(share, &v, false);
  assert_true(fabs(share[4] - 1) < 1e-12 && fabs(share[0] - 121. / 144) < 1e-12);
  qcc_bias_from_weights(delta, &w, codes, QCC_S8, scale, mean, share);
  for (size_t r = 0; r < R; r++) {
    double shift = 0;
    for (int64_t p = 0; p < SIZE * SIZE; p++)
      for (size_t j = 0; j < w.dim; j++) {
        double e = (double)w.w[r * w.dim + j] - (double)scale[r] * codes[r * w.dim + j];
        int64_t k = (int64_t)(j % 9);
        shift += e * element(&in, j / 9, p / SIZE + k / 3 - 1, p % SIZE + k % 3 - 1, SIZE) / (SIZE * SIZE);
      }
    assert_true(fabs(shift - (double)delta[r]) < 1e-5);
  }
  qcc_free(cx, in.x);
  qcc_weight_fini(&w);
}

/* ---- blocks */
/* The weighted error of what the scales stand for, by the arithmetic of whole tensors. */
static double block_error(const qcc_weight *w, const qcc_block_options *o, const float *scale, const int32_t *zero) {
  const bool rows_last = w->axis == 1;
  const int64_t dims[2] = {(int64_t)(rows_last ? w->dim : w->rows), (int64_t)(rows_last ? w->rows : w->dim)};
  const qcc_type type = qcc_type_of(QCC_F32, 2, dims);
  const qcc_qparams q = {.dtype = o->dtype,
                         .axis = 1 - w->axis,
                         .block = (int64_t)o->block,
                         .count = (uint32_t)qcc_block_count(w, o->block),
                         .scale = scale,
                         .zero = zero};
  float *y = malloc(w->count * sizeof *y);
  double sum = 0;
  assert_int_equal(qcc_fake_quantize_tensor(w->cx, y, w->w, &type, &q), QCC_OK);
  for (size_t r = 0; r < w->rows; r++)
    for (size_t j = 0; j < w->dim; j++) {
      const size_t at = qcc_weight_at(w, r, j);
      const double e = (double)w->w[at] - (double)y[at];
      sum += (o->meansq ? o->meansq[j] : 1) * e * e;
    }
  free(y);
  return sum;
}

/* Scales of the extremes, as without any search. */
static void plain_scales(float *scale, int32_t *zero, const qcc_weight *w, const qcc_block_options *o) {
  const size_t blocks = (w->dim + o->block - 1) / o->block;
  const bool is_signed = o->dtype == QCC_S4;
  for (size_t r = 0; r < w->rows; r++)
    for (size_t k = 0; k < blocks; k++) {
      double lo = 0, hi = 0;
      for (size_t j = k * o->block; j < w->dim && j < (k + 1) * o->block; j++) {
        lo = fmin(lo, (double)w->w[qcc_weight_at(w, r, j)]);
        hi = fmax(hi, (double)w->w[qcc_weight_at(w, r, j)]);
      }
      const size_t at = w->axis == 1 ? k * w->rows + r : r * blocks + k;
      scale[at] = (float)(is_signed ? fmax(hi, -lo) / 7 : (hi - lo) / 15);
      zero[at] = is_signed ? 0 : (int32_t)nearbyint(-lo / (double)scale[at]);
    }
}

static void blocks_beat_the_extremes(void **state) {
  for (int turn = 0; turn < 12; turn++) {
    qcc_weight w;
    const bool swapped = turn % 2;
    make(&w, *state, 3 + below(20), 20 + below(150), 1, 1, swapped);
    w.axis = swapped;
    double *meansq = malloc(w.dim * sizeof *meansq), error;
    for (size_t j = 0; j < w.dim; j++) meansq[j] = exp(2 * gauss());
    const qcc_block_options flat = {.dtype = turn % 4 < 2 ? QCC_S4 : QCC_U4, .block = turn < 6 ? 16 : 32};
    qcc_block_options weighted = flat;
    weighted.meansq = meansq;
    const size_t n = qcc_block_count(&w, flat.block);
    float *found = malloc(n * sizeof *found), *other = malloc(n * sizeof *other);
    int32_t *zeros = malloc(n * sizeof *zeros), *other_zeros = malloc(n * sizeof *other_zeros);
    assert_int_equal(qcc_block_scales(found, zeros, &error, &w, &flat), QCC_OK);
    const double flat_error = block_error(&w, &flat, found, zeros);
    assert_true(fabs(flat_error - error) <= 1e-4 * error);
    plain_scales(other, other_zeros, &w, &flat);
    assert_true(flat_error < (flat.dtype == QCC_S4 ? .9 : .98) * block_error(&w, &flat, other, other_zeros));
    assert_int_equal(qcc_block_scales(other, other_zeros, NULL, &w, &weighted), QCC_OK);
    assert_true(block_error(&w, &weighted, other, other_zeros) < block_error(&w, &weighted, found, zeros));
    free(meansq), free(found), free(other), free(zeros), free(other_zeros);
    qcc_weight_fini(&w);
  }
}

/* Nothing is lost where the values lie on a grid, and nothing breaks where there is nothing. */
static void blocks_keep_what_fits(void **state) {
  qcc_weight w;
  make(&w, *state, 2, 32, 1, 1, false);
  for (size_t j = 0; j < 32; j++) w.w[j] = (float)(j % 16) * .25f, w.w[32 + j] = 0;
  float scale[4];
  int32_t zero[4];
  double error;
  const qcc_block_options o = {.dtype = QCC_U4, .block = 16};
  assert_int_equal(qcc_block_scales(scale, zero, &error, &w, &o), QCC_OK);
  assert_true(error < 1e-10 && scale[0] == .25f && zero[0] == 0 && scale[2] > 0 && isfinite(scale[2]));
  qcc_weight_fini(&w);
}

/* ---- floats of 8 bits */
static double float_error(const qcc_weight *w, qcc_dtype t, const float *scale, const double *meansq) {
  double sum = 0;
  for (size_t r = 0; r < w->rows; r++)
    for (size_t j = 0; j < w->dim; j++) {
      const float x = w->w[qcc_weight_at(w, r, j)];
      float y;
      qcc_fake_quantize_f8(t, &y, &x, 1, scale[r]);
      sum += ((double)x - (double)y) * ((double)x - (double)y) *
             (meansq ? meansq[r / (w->rows / w->groups) * w->channels + j / w->positions] : 1);
    }
  return sum;
}

static void float_scales_beat_the_extremes(void **state) {
  for (int turn = 0; turn < 12; turn++) {
    qcc_weight w;
    const size_t rows = 2 * (1 + below(10)), groups = turn % 3 ? 1 : 2, channels = 2 + below(20);
    make(&w, *state, rows, channels, groups == 1 ? 1 : 9, groups, turn % 2 && groups == 1);
    double *meansq = malloc(groups * channels * sizeof *meansq), error;
    float *found = malloc(rows * sizeof *found), *other = malloc(rows * sizeof *other);
    for (size_t j = 0; j < groups * channels; j++) meansq[j] = exp(2 * gauss());
    qcc_weight_options o = qcc_weight_defaults();
    o.grid.dtype = turn < 6 ? QCC_F8E4M3FN : QCC_F8E5M2;
    o.per_tensor = turn % 4 == 3;
    for (size_t r = 0; r < rows; r++) {
      float most = 0;
      for (size_t k = 0; k < (o.per_tensor ? w.count : w.dim); k++)
        most = fmaxf(most, fabsf(o.per_tensor ? w.w[k] : w.w[qcc_weight_at(&w, r, k)]));
      other[r] = most / (turn < 6 ? 448 : 57344);
    }
    assert_int_equal(qcc_float_scales(found, &error, &w, &o), QCC_OK);
    const double flat = float_error(&w, o.grid.dtype, found, NULL);
    assert_true(fabs(flat - error) <= 1e-4 * error);
    assert_true(flat < float_error(&w, o.grid.dtype, other, NULL));
    for (size_t r = 1; r < rows && o.per_tensor; r++) assert_true(found[r] == found[0]);
    o.meansq = meansq;
    assert_int_equal(qcc_float_scales(other, NULL, &w, &o), QCC_OK);
    assert_true(float_error(&w, o.grid.dtype, other, meansq) <= float_error(&w, o.grid.dtype, found, meansq));
    o.grid.pow2 = true;
    assert_int_equal(qcc_float_scales(other, NULL, &w, &o), QCC_OK);
    for (size_t r = 0; r < rows; r++) assert_true(exp2(nearbyint(log2((double)other[r]))) == (double)other[r]);
    free(meansq), free(found), free(other);
    qcc_weight_fini(&w);
  }
}

/* Dead rows have a scale, and the shift of the mean is that of the nearest floats. */
static void float_rows_live(void **state) {
  qcc_weight w;
  make(&w, *state, 2, 8, 1, 1, false);
  for (size_t j = 0; j < 8; j++) w.w[j] = 0;
  float scale[2], delta[2], y;
  const double mean[8] = {1, 2, 3, 4, 5, 6, 7, 8};
  double shift = 0, error;
  qcc_weight_options o = qcc_weight_defaults();
  o.grid.dtype = QCC_F8E4M3FN;
  assert_int_equal(qcc_float_scales(scale, &error, &w, &o), QCC_OK);
  assert_true(scale[0] == 1 && scale[1] > 0 && isfinite(error));
  qcc_bias_from_weights(delta, &w, NULL, QCC_F8E4M3FN, scale, mean, NULL);
  for (size_t j = 0; j < 8; j++) {
    qcc_fake_quantize_f8(QCC_F8E4M3FN, &y, &w.w[8 + j], 1, scale[1]);
    shift += ((double)w.w[8 + j] - (double)y) * mean[j];
  }
  assert_true(delta[0] == 0 && fabs(shift - (double)delta[1]) < 1e-6);
  qcc_weight_fini(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(partners_of_odd_channels),
      cmocka_unit_test(pairs_are_safe_in_random_layers),
      cmocka_unit_test(projection_is_optimal),
      cmocka_unit_test(biases_fit_and_dead_rows_live),
      cmocka_unit_test(highest_codes),
      cmocka_unit_test(gram_is_exact),
      cmocka_unit_test(gram_does_not_depend_on_order),
      cmocka_unit_test(layouts_give_the_same),
      cmocka_unit_test(reconstruction_lowers_the_error),
      cmocka_unit_test(identity_gram_keeps_the_nearest),
      cmocka_unit_test(blocks_beat_the_extremes),
      cmocka_unit_test(blocks_keep_what_fits),
      cmocka_unit_test(bias_correction_centres_channels),
      cmocka_unit_test(float_scales_beat_the_extremes),
      cmocka_unit_test(float_rows_live),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
