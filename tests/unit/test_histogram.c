/* SPDX-License-Identifier: Apache-2.0
 * Histograms, exact sums, channel statistics and the collector: what they hold must be right, and must not depend on the order of samples,
 * on the number of workers, or on outliers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "strategy/collect.h"
#include "tests/unit/draws.h"

enum { SAMPLES = 7, SIZE = 3001 };

static int setup(void **state) { return draw_from(state, 1); }

static void fill(float *x, size_t n, int kind) {
  for (size_t i = 0; i < n; i++) {
    double g = gauss();
    x[i] = (float)(kind == 0 ? g : kind == 1 ? (g > 0 ? g : 0) : g * exp(4 * g));
  }
}

static void assert_same(const qcc_hist *a, const qcc_hist *b) {
  qcc_bins x, y;
  assert_int_equal(qcc_bins_of(&x, a), QCC_OK);
  assert_int_equal(qcc_bins_of(&y, b), QCC_OK);
  assert_int_equal(x.count, y.count);
  assert_memory_equal(x.at, y.at, x.count * sizeof *x.at);
  double p[] = {qcc_sum_value(&a->sample_min), qcc_sum_value(&a->moving_max), (double)a->min, (double)a->max};
  double q[] = {qcc_sum_value(&b->sample_min), qcc_sum_value(&b->moving_max), (double)b->min, (double)b->max};
  assert_memory_equal(p, q, sizeof p);
  assert_true(a->count == b->count && a->zeros == b->zeros && a->samples == b->samples && a->nonfinite == b->nonfinite);
  qcc_bins_fini(a->cx, &x);
  qcc_bins_fini(b->cx, &y);
}

static void sums_do_not_depend_on_order(void **state) {
  (void)state;
  enum { N = 1000 };
  static double x[N];
  for (int i = 0; i < N; i++) x[i] = gauss() * exp2(60 * gauss());
  qcc_sum a = {{0}}, b = {{0}}, c = {{0}};
  for (int i = 0; i < N; i++) qcc_sum_add(&a, x[i]);
  for (int i = N; i-- > 0;) qcc_sum_add(i % 3 ? &b : &c, x[i]);
  qcc_sum_merge(&b, &c);
  assert_true(qcc_sum_value(&a) == qcc_sum_value(&b));
  qcc_sum d = {{0}};
  const double terms[] = {1e30, 1, -1e30, 1e-30, -3};
  for (size_t i = 0; i < 5; i++) qcc_sum_add(&d, terms[i]);
  assert_true(fabs(qcc_sum_value(&d) - (-2 + 1e-30)) < 1e-15);
  qcc_sum_add(&d, (double)NAN);
  qcc_sum_add(&d, -0x1p-1074);
  assert_true(qcc_sum_value(&d) == -2);
}

static void counts_and_extremes(void **state) {
  static float x[SIZE];
  qcc_hist h;
  qcc_hist_scratch *s = qcc_hist_scratch_new(*state);
  for (int kind = 0; kind < 3; kind++) {
    qcc_hist_init(&h, *state);
    fill(x, SIZE, kind);
    x[17] = NAN, x[1500] = -INFINITY, x[2999] = INFINITY, x[3] = -0.f, x[5] = 1e-39f;
    qcc_hist_add(&h, s, x, SIZE, 1);
    float min = INFINITY, max = -INFINITY;
    uint64_t zeros = 0;
    for (size_t i = 0; i < SIZE; i++) {
      if (!isfinite(x[i])) continue;
      min = fminf(min, x[i]), max = fmaxf(max, x[i]), zeros += x[i] == 0;
    }
    assert_true(h.min == min && h.max == max && h.zeros == zeros && h.nonfinite == 3 && h.count == SIZE - 3);
    qcc_bins b;
    assert_int_equal(qcc_bins_of(&b, &h), QCC_OK);
    assert_true(b.total == (double)h.count && b.at[0].a >= (double)min && b.at[b.count - 1].b <= (double)max);
    for (size_t i = 0; i < b.count; i++) assert_true(b.at[i].n > 0 && b.at[i].a <= b.at[i].b && (!i || b.at[i - 1].b <= b.at[i].a));
    for (size_t i = 0; i < SIZE; i++) { /* every value lies in a bin */
      size_t k = 0;
      while (isfinite(x[i]) && k < b.count && !((double)x[i] >= b.at[k].a && (double)x[i] <= b.at[k].b)) k++;
      assert_true(k < b.count);
    }
    qcc_bins_fini(*state, &b);
    qcc_hist_fini(&h);
  }
  qcc_hist_scratch_free(s);
}

static void order_and_workers_do_not_matter(void **state) {
  static float x[SAMPLES][SIZE];
  static const size_t order[SAMPLES] = {4, 0, 6, 2, 5, 1, 3};
  qcc_hist a, b[3];
  qcc_hist_scratch *s = qcc_hist_scratch_new(*state);
  qcc_hist_init(&a, *state);
  for (int k = 0; k < 3; k++) qcc_hist_init(&b[k], *state);
  for (size_t i = 0; i < SAMPLES; i++) fill(x[i], SIZE, 2);
  for (size_t i = 0; i < SAMPLES; i++) qcc_hist_add(&a, s, x[i], SIZE - 300 * i, qcc_hist_moving_weight(i, SAMPLES));
  for (size_t k = 0; k < SAMPLES; k++) {
    size_t i = order[k];
    qcc_hist_add(&b[k % 3], s, x[i], SIZE - 300 * i, qcc_hist_moving_weight(i, SAMPLES));
  }
  qcc_hist_merge(&b[2], &b[0]);
  qcc_hist_merge(&b[2], &b[1]);
  assert_same(&a, &b[2]);
  qcc_hist_fini(&a);
  for (int k = 0; k < 3; k++) qcc_hist_fini(&b[k]);
  qcc_hist_scratch_free(s);
}

/* Extremes come from the order of the words, which differs between the signs. */
static void tensors_of_one_sign(void **state) {
  enum { N = 4099 };
  static float x[N];
  qcc_hist_scratch *s = qcc_hist_scratch_new(*state);
  static const float extremes[][2] = {{2, 7},   {-7, -2},           {0, 7}, {-7, 0}, {1e-42f, 1e-3f}, {-1e30f, -1e-42f}, {5, 5},
                                      {-5, -5}, {-1e-42f, 0x1p126f}};
  for (size_t k = 0; k < sizeof extremes / sizeof *extremes; k++) {
    const float lo = extremes[k][0], hi = extremes[k][1];
    for (size_t i = 0; i < N; i++) x[i] = i % 1000 == 17 ? lo : i % 1000 == 516 ? hi : lo + (hi - lo) * (float)uniform();
    for (size_t i = 0; hi == 0 && i < N; i++) x[i] = x[i] == 0 ? -0.0f : x[i];
    qcc_hist h;
    qcc_hist_init(&h, *state);
    qcc_hist_add(&h, s, x, N, 1);
    assert_true(h.min == lo && h.max == hi && h.count == N && h.nonfinite == 0);
    x[33] = k % 2 ? INFINITY : -NAN;
    qcc_hist_add(&h, s, x, N, 1);
    assert_true(h.min == lo && h.max == hi && h.count == 2 * N - 1 && h.nonfinite == 1);
    qcc_hist_fini(&h);
  }
  qcc_hist_scratch_free(s);
}

/* ---- large tensors, of which a part is counted */
enum { LARGE = 700037 };

static void add_pieces(qcc_hist *h, qcc_hist_scratch *const *s, const float *x) {
  qcc_hist_part p[3] = {{0}};
  size_t left = LARGE;
  for (size_t k = 0, n = 1; left; k++, n = n * 5 % 6007 + 1) {
    if (n > left) n = left;
    left -= n;
    qcc_hist_part_add(&h[k % 3], &p[k % 3], s[k % 3], x + left, n, left, LARGE);
  }
  for (int k = 1; k < 3; k++) qcc_hist_part_join(&h[k], &p[0], &p[k], s[k]);
  qcc_hist_part_end(&h[0], &p[0], s[0], 1);
  for (int k = 1; k < 3; k++) qcc_hist_merge(&h[0], &h[k]);
}

static void pieces_of_large_tensors(void **state) {
  float *x = malloc(LARGE * sizeof *x);
  assert_non_null(x);
  assert_true(qcc_hist_step(LARGE) == 16 && qcc_hist_step(65535) == 1 && qcc_hist_step(65536) == 2);
  qcc_hist_scratch *s[3];
  for (int k = 0; k < 3; k++) s[k] = qcc_hist_scratch_new(*state);
  for (int kind = 0; kind < 3; kind++) {
    qcc_hist whole, part[3];
    qcc_hist_init(&whole, *state);
    for (int k = 0; k < 3; k++) qcc_hist_init(&part[k], *state);
    fill(x, LARGE, kind);
    for (size_t i = 0; i < 9; i++)
      x[1000 + 16 * i] = -1e12f - (float)i * 1e9f, x[LARGE - 1 - i * 16] = 1e12f + (float)i * 1e9f; /* most are not counted */
    qcc_hist_add(&whole, s[0], x, LARGE, 1);
    add_pieces(part, s, x);
    assert_same(&whole, &part[0]);
    assert_true(whole.count == LARGE && whole.min == -1.008e12f && whole.max == 1.008e12f);
    qcc_bins b;
    assert_int_equal(qcc_bins_of(&b, &whole), QCC_OK);
    assert_true(b.total == LARGE);
    assert_true(fabs((double)whole.zeros / LARGE - (kind == 1 ? .5 : 0)) < .01);
    qcc_bins_fini(*state, &b);
    qcc_hist_fini(&whole);
    for (int k = 0; k < 3; k++) qcc_hist_fini(&part[k]);
  }
  for (int k = 0; k < 3; k++) qcc_hist_scratch_free(s[k]);
  free(x);
}

/* Rows of channels, or planes, however long they are: each channel is counted as often as the others. */
static void channels_are_counted_alike(void **state) {
  static const size_t channels[] = {24, 64, 96, 128, 192, 256, 512, 1024};
  float *x = malloc(LARGE * sizeof *x);
  assert_non_null(x);
  qcc_hist_scratch *s = qcc_hist_scratch_new(*state);
  for (size_t k = 0; k < 2 * sizeof channels / sizeof *channels; k++) {
    const size_t c = channels[k / 2], pixels = LARGE / c;
    for (size_t i = 0; i < c * pixels; i++) x[i] = (float)((k % 2 ? i % c : i / pixels) * 8 / c + 1); /* eight parts of the channels */
    qcc_hist h;
    qcc_hist_init(&h, *state);
    qcc_hist_add(&h, s, x, c * pixels, 1);
    qcc_bins b;
    assert_int_equal(qcc_bins_of(&b, &h), QCC_OK);
    assert_int_equal(b.count, 8);
    for (size_t i = 0; i < 8; i++) assert_true(fabs(b.at[i].n * 8 / (double)(c * pixels) - 1) < .15);
    qcc_bins_fini(*state, &b);
    qcc_hist_fini(&h);
  }
  qcc_hist_scratch_free(s);
  free(x);
}

static void moving_average_is_the_recurrence(void **state) {
  qcc_hist h;
  qcc_hist_init(&h, *state);
  qcc_hist_scratch *s = qcc_hist_scratch_new(*state);
  double m = 0;
  for (size_t i = 0; i < 50; i++) {
    float x[2] = {0, (float)(uniform() * 10)};
    m = i ? m + .01 * ((double)x[1] - m) : (double)x[1];
    qcc_hist_add(&h, s, x, 2, qcc_hist_moving_weight(i, 50));
  }
  assert_true(fabs(qcc_sum_value(&h.moving_max) / qcc_sum_value(&h.moving_weight) - m) < 1e-9);
  qcc_hist_fini(&h);
  qcc_hist_scratch_free(s);
}

static size_t pages(const qcc_hist *h) {
  size_t n = 0;
  for (size_t i = 0; i < QCC_HIST_PAGES; i++) n += h->page[i] != NULL;
  return n;
}

static void late_outlier_costs_nothing(void **state) {
  static float x[SIZE];
  qcc_hist h;
  qcc_hist_init(&h, *state);
  qcc_hist_scratch *s = qcc_hist_scratch_new(*state);
  fill(x, SIZE, 0);
  for (int i = 0; i < 20; i++) qcc_hist_add(&h, s, x, SIZE, 1);
  size_t before = pages(&h);
  x[0] *= 1000;
  x[1] = 3e38f;
  qcc_hist_add(&h, s, x, SIZE, 1);
  assert_true(pages(&h) <= before + 2 && h.max == 3e38f);
  qcc_bins b;
  assert_int_equal(qcc_bins_of(&b, &h), QCC_OK);
  assert_true(b.at[b.count - 1].b == (double)3e38f);
  qcc_bins_fini(*state, &b);
  qcc_hist_fini(&h);
  qcc_hist_scratch_free(s);
}

static void degenerate_tensors(void **state) {
  static float x[2000];
  static const float value[] = {0, 7.5f, -2, 1e-42f, NAN, INFINITY};
  qcc_hist_scratch *s = qcc_hist_scratch_new(*state);
  for (int k = 0; k < 6; k++) {
    qcc_hist h;
    qcc_hist_init(&h, *state);
    for (size_t i = 0; i < 2000; i++) x[i] = value[k];
    qcc_hist_add(&h, s, x, 2000, 1);
    qcc_hist_add(&h, s, x, 0, 1);
    qcc_bins b;
    assert_int_equal(qcc_bins_of(&b, &h), QCC_OK);
    assert_int_equal(b.count, k < 4);
    if (k < 4)
      assert_true(b.at[0].a == (double)value[k] && b.at[0].b == (double)value[k] && b.at[0].n == 2000);
    else
      assert_true(h.nonfinite == 2000 && h.count == 0 && h.min == 0 && h.max == 0);
    qcc_bins_fini(*state, &b);
    qcc_hist_fini(&h);
  }
  qcc_hist_scratch_free(s);
}

/* ---- the collector, on an evaluator that hands out tensors in a scrambled order to several workers */
typedef struct fake {
  const float *x;
  const size_t *order;
  unsigned workers;
} fake;

/* Several workers of a sample make pieces of every size, the last ones first; the end is told to worker `w`. */
static void show_pieces(const fake *f, const qcc_hooks *hooks, unsigned w, size_t sample, uint32_t index, const float *x) {
  size_t left = 3000;
  for (size_t k = 0, n = 1; left; k++, n = n * 3 % 257 + 1) {
    if (n > left) n = left;
    left -= n;
    const qcc_piece p = {.worker = w + (unsigned)k % (f->workers - w),
                         .sample = sample,
                         .index = index,
                         .data = x + left,
                         .count = n,
                         .total = 3000,
                         .offset = left};
    hooks->observe(hooks->user, &p);
  }
  hooks->observe_end(hooks->user, w, sample, index, w + 1, f->workers - w - 1);
}

static qcc_status fake_run(qcc_runner *r, const qcc_samples *samples, size_t first, size_t count, const qcc_hooks *hooks) {
  const fake *f = (const fake *)(const void *)r;
  const int64_t dims[] = {1, 3, 10, 100};
  for (size_t k = 0; k < count; k++) {
    size_t i = first + (count > 1 ? f->order[k] : 0);
    qcc_tensor t = {.type = qcc_type_of(QCC_F32, 4, dims), .data = f->x + i * 3000, .bytes = 12000};
    for (uint32_t v = 0; hooks->observed[v]; v++) {
      if (qcc_is_shown_typed(hooks, v))
        hooks->observe_typed(hooks->user, (unsigned)k % f->workers, i, v, &t);
      else
        show_pieces(f, hooks, (unsigned)k % f->workers, i, v, t.data);
    }
  }
  return samples ? QCC_OK : QCC_INTERNAL;
}

static void collector_does_not_depend_on_workers(void **state) {
  static const size_t straight[] = {0, 1, 2, 3, 4, 5, 6}, scrambled[] = {6, 3, 0, 5, 1, 4, 2};
  static float x[SAMPLES * 3000];
  qcc_value a = {.name = "a"}, b = {.name = "b"};
  qcc_eval eval = {.run = fake_run};
  qcc_samples samples = {.count = SAMPLES};
  fake f[2] = {{x, straight, 1}, {x, scrambled, 3}};
  qcc_collector *c[2];
  qcc_gram *g[2];
  float h[2][9];
  fill(x, SAMPLES * 3000, 0);
  x[100] = NAN;
  for (int k = 0; k < 2; k++) {
    assert_int_equal(qcc_collector_new(&c[k], *state, f[k].workers, SAMPLES, 1), QCC_OK);
    assert_int_equal(qcc_collector_watch(c[k], &a, QCC_WATCH_HIST, 1), QCC_OK);
    assert_int_equal(qcc_collector_watch(c[k], &b, QCC_WATCH_CHANNELS, -3), QCC_OK);
    assert_int_equal(qcc_collector_watch(c[k], &b, QCC_WATCH_HIST, 1), QCC_OK);
    qcc_window w = {.rank = 2, .group = 1, .kernel = {1, 1}, .stride = {1, 1}, .dilation = {1, 1}};
    assert_int_equal(qcc_gram_new(&g[k], *state, &w, 3, 0), QCC_OK); /* the collector finds the scale */
    assert_int_equal(qcc_collector_gram(c[k], &b, g[k]), QCC_OK);
    assert_int_equal(qcc_collector_run(c[k], &eval, (qcc_runner *)(void *)&f[k], &samples, 0, SAMPLES, NULL), QCC_OK);
  }
  assert_same(qcc_collector_hist(c[0], &a), qcc_collector_hist(c[1], &a));
  assert_same(qcc_collector_hist(c[0], &a), qcc_collector_hist(c[0], &b));
  assert_null(qcc_collector_channels(c[0], &a));
  const qcc_channels *p = qcc_collector_channels(c[0], &b), *q = qcc_collector_channels(c[1], &b);
  assert_int_equal(p->count, 3);
  assert_memory_equal(p->mean, q->mean, 3 * sizeof(double));
  assert_memory_equal(p->meansq, q->meansq, 3 * sizeof(double));
  assert_memory_equal(p->max, q->max, 3 * sizeof(float));
  double mean = 0;
  for (size_t i = 0; i < SAMPLES; i++)
    for (size_t k = 1000; k < 2000; k++) mean += (double)x[i * 3000 + k] / (1000 * SAMPLES);
  assert_true(fabs(mean - p->mean[1]) < 1e-12);
  for (int k = 0; k < 2; k++) qcc_gram_read(g[k], 0, h[k], NULL);
  assert_memory_equal(h[0], h[1], sizeof h[0]);
  double unit = qcc_gram_scale(g[0]);
  assert_true(unit == qcc_gram_scale(g[1]) && qcc_gram_rows(g[0]) == qcc_gram_rows(g[1]) && qcc_gram_rows(g[0]) >= 500);
  assert_true(fabs((double)h[0][4] * unit * unit / p->meansq[1] - 1) < .2);
  for (int k = 0; k < 2; k++) qcc_gram_free(g[k]), qcc_collector_free(c[k]);
}

static void channels_last_and_first_agree(void **state) {
  enum { C = 5, P = 13 };
  float x[C * P], y[C * P];
  fill(x, C * P, 2);
  for (size_t c = 0; c < C; c++)
    for (size_t p = 0; p < P; p++) y[p * C + c] = x[c * P + p];
  qcc_tensor first = {.type = qcc_type_of(QCC_F32, 3, (const int64_t[]){1, C, P}), .data = x};
  qcc_tensor last = {.type = qcc_type_of(QCC_F32, 2, (const int64_t[]){P, C}), .data = y};
  qcc_channels a, b;
  qcc_channels_init(&a, *state);
  qcc_channels_init(&b, *state);
  qcc_channels_add(&a, &first, 1);
  qcc_channels_add(&b, &last, -1);
  assert_int_equal(qcc_channels_finish(&a), QCC_OK);
  assert_int_equal(qcc_channels_finish(&b), QCC_OK);
  for (size_t c = 0; c < C; c++) {
    assert_true(a.min[c] == b.min[c] && a.max[c] == b.max[c]);
    assert_true(fabs(a.mean[c] - b.mean[c]) < 1e-9 * (1 + a.meansq[c]) && fabs(a.meansq[c] / b.meansq[c] - 1) < 1e-9);
  }
  qcc_channels_fini(&a);
  qcc_channels_fini(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(sums_do_not_depend_on_order),
      cmocka_unit_test(counts_and_extremes),
      cmocka_unit_test(order_and_workers_do_not_matter),
      cmocka_unit_test(moving_average_is_the_recurrence),
      cmocka_unit_test(late_outlier_costs_nothing),
      cmocka_unit_test(degenerate_tensors),
      cmocka_unit_test(collector_does_not_depend_on_workers),
      cmocka_unit_test(channels_last_and_first_agree),
      cmocka_unit_test(tensors_of_one_sign),
      cmocka_unit_test(pieces_of_large_tensors),
      cmocka_unit_test(channels_are_counted_alike),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
