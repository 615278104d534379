/* SPDX-License-Identifier: Apache-2.0
 * Estimators: the error read from a histogram against the true one, the MSE search against a full search, the KL search really searching,
 * merged ranges against the range of all values together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "strategy/estimate.h"

enum { N = 200000, PART = 50000, KINDS = 7 };
static uint64_t seed_state;
static double uniform(void) {
  seed_state = seed_state * 6364136223846793005u + 1442695040888963407u;
  return ((double)(seed_state >> 11) + .5) * 0x1p-53;
}
static double gauss(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

typedef struct fixture {
  qcc_context *cx;
  qcc_hist_scratch *s;
  float *x;
} fixture;

static int setup(void **state) {
  static fixture f;
  qcc_host host;
  memset(&host, 0, sizeof host);
  if (qcc_context_new(&f.cx, &host) != QCC_OK) return -1;
  f.s = qcc_hist_scratch_new(f.cx);
  f.x = qcc_alloc_array(f.cx, N, sizeof(float));
  seed_state = 5;
  *state = &f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  qcc_hist_scratch_free(f->s);
  qcc_free(f->cx, f->x);
  qcc_context_free(f->cx);
  return 0;
}

static void fill(float *x, int kind) {
  for (size_t i = 0; i < N; i++) {
    double g = gauss(), u = uniform();
    double v[KINDS] = {g,
                       (u < .5 ? -1 : 1) * log(uniform()),
                       g - .5 > 0 ? g - .5 : 0,
                       2 * g / (1 + exp(-2 * g)),
                       g + 3,
                       fmin(fmax(3 * g, 0), 6),
                       g * (u < .01 ? 20 : 1)};
    x[i] = (float)v[kind];
  }
}

/* In samples so small that every value is counted. */
static void add(qcc_hist *h, const fixture *f) {
  for (size_t i = 0; i < N; i += PART) qcc_hist_add(h, f->s, f->x + i, PART, 1);
}

typedef struct data {
  qcc_hist h;
  qcc_bins b;
} data;
static void open_data(data *d, fixture *f, int kind) {
  fill(f->x, kind);
  qcc_hist_init(&d->h, f->cx);
  add(&d->h, f);
  assert_int_equal(qcc_bins_of(&d->b, &d->h), QCC_OK);
}
static void close_data(data *d) {
  qcc_context *cx = d->h.cx;
  qcc_bins_fini(cx, &d->b);
  qcc_hist_fini(&d->h);
}

static double true_noise(const float *x, float scale, int32_t zero, const qcc_grid *g) {
  double e = 0;
  for (size_t i = 0; i < N; i++) {
    double d = (double)x[i] - (double)qcc_dequantize1(qcc_quantize1(x[i], scale, zero, g->lo, g->hi), scale, zero);
    e += d * d;
  }
  return e / N;
}

static qcc_grid symmetric(void) {
  qcc_grid g = qcc_grid_u8();
  g.symmetric = true;
  return g;
}

static void noise_from_histogram_is_true(void **state) {
  fixture *f = *state;
  const qcc_grid grids[] = {qcc_grid_u8(), symmetric(), qcc_grid_weight()};
  for (int kind = 0; kind < KINDS; kind++) {
    data d;
    open_data(&d, f, kind);
    for (int k = 0; k < 3; k++)
      for (double cut = 1; cut > .05; cut *= .6) {
        float scale;
        int32_t zero;
        qcc_range_to_qparams(&scale, &zero, (double)d.h.min * cut, (double)d.h.max * cut, &grids[k]);
        double want = true_noise(f->x, scale, zero, &grids[k]), got = qcc_bins_noise(&d.b, scale, zero, &grids[k]);
        assert_true(fabs(got / want - 1) < .02);
      }
    double power = 0;
    for (size_t i = 0; i < N; i++) power += (double)f->x[i] * (double)f->x[i] / N;
    assert_true(fabs(qcc_bins_power(&d.b) / power - 1) < 1e-3);
    close_data(&d);
  }
}

static void mse_is_the_best_of_a_full_search(void **state) {
  fixture *f = *state;
  const qcc_grid grids[] = {qcc_grid_u8(), symmetric()};
  for (int kind = 0; kind < KINDS; kind++) {
    data d;
    open_data(&d, f, kind);
    for (int k = 0; k < 2; k++) {
      qcc_range full = qcc_estimate(QCC_EST_MINMAX, &d.h, &d.b, &grids[k], qcc_range_any());
      qcc_range r = qcc_estimate(QCC_EST_MSE, &d.h, &d.b, &grids[k], qcc_range_any());
      double got = qcc_range_noise(&d.b, r, &grids[k]), best = qcc_range_noise(&d.b, full, &grids[k]);
      assert_true(got <= best);
      for (double lo = full.lo; lo <= 0; lo = lo < full.lo / 60 ? lo * .93 : lo < 0 ? 0 : 1)
        for (double hi = full.hi; hi > full.hi / 60; hi *= .93) best = fmin(best, qcc_range_noise(&d.b, (qcc_range){lo, hi}, &grids[k]));
      assert_true(10 * log10(got / best) < .1);
      assert_true(r.lo <= 0 && r.hi >= 0 && r.lo >= full.lo && r.hi <= full.hi);
    }
    close_data(&d);
  }
}

static void kl_searches(void **state) {
  fixture *f = *state;
  for (int kind = 0; kind < KINDS; kind++) {
    data d;
    qcc_grid u8 = qcc_grid_u8();
    open_data(&d, f, kind);
    assert_true(qcc_kl_candidates(&d.b) > 100);
    qcc_range r = qcc_estimate(QCC_EST_KL, &d.h, &d.b, &u8, qcc_range_any());
    assert_true(r.hi <= (double)d.h.max && r.lo >= fmin((double)d.h.min, 0) && r.hi > 0);
    if (kind == 1 || kind == 6) assert_true(r.hi < .97 * (double)d.h.max); /* long tails are cut */
    if (kind == 2) assert_true(r.hi > .3 * (double)d.h.max);               /* the zeros of a ReLU do not decide */
    close_data(&d);
  }
}

static void other_estimators(void **state) {
  fixture *f = *state;
  data d;
  qcc_grid u8 = qcc_grid_u8();
  open_data(&d, f, 0);
  qcc_range p = qcc_estimate(QCC_EST_PERCENTILE, &d.h, &d.b, &u8, qcc_range_any());
  size_t outside = 0;
  for (size_t i = 0; i < N; i++) outside += (double)f->x[i] < p.lo || (double)f->x[i] > p.hi;
  assert_true(outside <= 2 && p.hi <= (double)d.h.max);
  qcc_range m = qcc_estimate(QCC_EST_MEAN_MINMAX, &d.h, &d.b, &u8, qcc_range_any());
  double lo = 0, hi = 0; /* of the samples */
  for (size_t k = 0; k < N; k += PART) {
    float low = f->x[k], high = f->x[k];
    for (size_t i = k; i < k + PART; i++) low = fminf(low, f->x[i]), high = fmaxf(high, f->x[i]);
    lo += (double)low * PART / N, hi += (double)high * PART / N;
  }
  assert_true(fabs(m.lo - lo) < 1e-9 && fabs(m.hi - hi) < 1e-9);
  qcc_range b = qcc_estimate(QCC_EST_MINMAX, &d.h, &d.b, &u8, (qcc_range){0, 1});
  assert_true(b.lo == 0 && b.hi == 1);
  close_data(&d);
  fill(f->x, 5);
  memset(f->x + 1, 0, (N - 1) * sizeof(float));
  f->x[0] = 3;
  qcc_hist_init(&d.h, f->cx);
  add(&d.h, f);
  assert_int_equal(qcc_bins_of(&d.b, &d.h), QCC_OK);
  p = qcc_estimate(QCC_EST_PERCENTILE, &d.h, &d.b, &u8, qcc_range_any());
  assert_true(p.hi == 3); /* nearly all zeros: the extremes */
  close_data(&d);
}

static void degenerate_histograms(void **state) {
  fixture *f = *state;
  static const float value[] = {0, 5, -5, 1e-42f, NAN};
  qcc_grid u8 = qcc_grid_u8();
  for (size_t k = 0; k < 5; k++)
    for (int e = QCC_EST_AUTO; e < QCC_EST_COUNT; e++) {
      data d;
      qcc_hist_init(&d.h, f->cx);
      qcc_hist_add(&d.h, f->s, &value[k], 1, 1);
      assert_int_equal(qcc_bins_of(&d.b, &d.h), QCC_OK);
      qcc_range r = qcc_estimate((qcc_estimator)e, &d.h, &d.b, &u8, qcc_range_any());
      assert_true(isfinite(r.lo) && isfinite(r.hi) && r.lo <= 0 && r.hi >= 0);
      if (k == 1) assert_true(r.hi > 4.5 && r.hi <= 5 + 1e-9);
      if (k == 2) assert_true(r.lo < -4.5 && r.hi == 0);
      close_data(&d);
    }
}

static void unified_range_is_that_of_all_values(void **state) {
  fixture *f = *state;
  qcc_hist h[3];
  qcc_grid u8 = qcc_grid_u8();
  for (int k = 0; k < 3; k++) qcc_hist_init(&h[k], f->cx);
  for (int k = 0; k < 2; k++) {
    fill(f->x, k ? 0 : 3);
    for (size_t i = 0; k && i < N; i++) f->x[i] *= 40;
    add(&h[k], f);
    add(&h[2], f);
  }
  const qcc_hist *both[] = {&h[0], &h[1]};
  for (int e = QCC_EST_MINMAX; e < QCC_EST_COUNT; e++) {
    if (e == QCC_EST_MOVING) continue; /* has an order */
    qcc_bins b;
    qcc_unified u;
    assert_int_equal(qcc_unify(&u, f->cx, (qcc_estimator)e, both, 2, &u8, qcc_range_any()), QCC_OK);
    assert_int_equal(qcc_bins_of(&b, &h[2]), QCC_OK);
    qcc_range r = qcc_estimate((qcc_estimator)e, &h[2], &b, &u8, qcc_range_any());
    assert_memory_equal(&r, &u.range, sizeof r);
    assert_true(u.disparity > 10 && u.disparity < 200);
    if (e == QCC_EST_MINMAX) assert_true(u.worst_loss_db > 15);
    qcc_bins_fini(f->cx, &b);
  }
  for (int k = 0; k < 3; k++) qcc_hist_fini(&h[k]);
}

static void names_are_found(void **state) {
  (void)state;
  qcc_estimator e;
  assert_true(qcc_estimator_find(&e, "kl") && e == QCC_EST_KL && !strcmp(qcc_estimator_name(e), "kl"));
  assert_true(qcc_estimator_find(&e, "auto") && e == QCC_EST_AUTO && !qcc_estimator_find(&e, "entorpy"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(noise_from_histogram_is_true),
      cmocka_unit_test(mse_is_the_best_of_a_full_search),
      cmocka_unit_test(kl_searches),
      cmocka_unit_test(other_estimators),
      cmocka_unit_test(degenerate_histograms),
      cmocka_unit_test(unified_range_is_that_of_all_values),
      cmocka_unit_test(names_are_found),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
