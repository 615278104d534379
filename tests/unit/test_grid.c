/* SPDX-License-Identifier: Apache-2.0
 * Windows of floats over random kernels, strides, pads, dilations, groups and ranks, against the definition in double: Conv, ConvTranspose,
 * MaxPool, AveragePool, LpPool. */
#include "grid_window.h"

enum { CONVS = 1400, DECONVS = 800, POOLS = 300 };

typedef struct expected {
  grid_window w;
  int64_t n;
  double *y, *slack; /* sum of magnitudes */
} expected;

static void window_attrs(qcc_node *n, const void *user) {
  const grid_window *w = &((const expected *)user)->w;
  grid_window_attrs(n, w);
  if (n->op == QCC_OP_AVERAGE_POOL) qcc_attr_set_int(n, "count_include_pad", w->count_pads);
  if (n->op == QCC_OP_LP_POOL) qcc_attr_set_int(n, "p", w->p);
}

static void check(const qcc_tensor *y, const char *way, const void *user) {
  const expected *e = user;
  const float *have = y->data;
  int64_t dims[QCC_MAX_RANK];
  const int rank = grid_dims(&e->w, e->w.batch, e->w.kind == GRID_POOL ? e->w.cin : e->w.cout, e->w.out, dims);
  const qcc_type want = qcc_type_of(QCC_F32, rank, dims);
  if (!qcc_type_equal(&y->type, &want)) grid_tell(&e->w, way, -1, 0, 0);
  for (int64_t i = 0; i < e->n; ++i)
    if (!(fabs((double)have[i] - e->y[i]) <= 4e-6 * e->slack[i] + 1e-6)) grid_tell(&e->w, way, i, (double)have[i], e->y[i]);
}

static void expect(expected *e, int64_t channels) {
  e->n = e->w.batch * channels * grid_cells(e->w.out);
  e->y = calloc((size_t)e->n, sizeof *e->y);
  e->slack = calloc((size_t)e->n, sizeof *e->slack);
  assert_true(e->y && e->slack);
}

static void forget(expected *e) {
  free(e->y);
  free(e->slack);
}

/* Calls each(user, output index, input index, tap index) for all taps inside one plane. */
typedef void each_tap(void *user, int64_t out, int64_t in, int64_t tap);
static void walk(const grid_window *w, each_tap *each, void *user) {
  const bool back = w->kind == GRID_DECONV; /* the walk goes over the input, and lands in the output */
  const int64_t *from = back ? w->in : w->out, *to = back ? w->out : w->in, taps = grid_cells(w->kernel);
  for (int64_t i = 0; i < grid_cells(from) * taps; ++i) {
    const int64_t a = i / taps, t = i % taps;
    const int64_t at[3] = {a / (from[1] * from[2]), a / from[2] % from[1], a % from[2]};
    const int64_t tap[3] = {t / (w->kernel[1] * w->kernel[2]), t / w->kernel[2] % w->kernel[1], t % w->kernel[2]};
    int64_t p[3];
    bool inside = true;
    for (int d = 0; d < 3; ++d) {
      p[d] = at[d] * w->stride[d] - w->lo[d] + tap[d] * w->dilation[d];
      inside = inside && p[d] >= 0 && p[d] < to[d];
    }
    if (!inside) continue;
    const int64_t b = (p[0] * to[1] + p[1]) * to[2] + p[2];
    each(user, back ? b : a, back ? a : b, t);
  }
}

/* ---- Conv, ConvTranspose */
typedef struct filter { /* of one pair of channels */
  double *y, *slack;
  const float *x, *w;
} filter;

static void add_product(void *user, int64_t out, int64_t in, int64_t tap) {
  const filter *f = user;
  const double v = (double)f->x[in] * (double)f->w[tap];
  f->y[out] += v;
  f->slack[out] += fabs(v);
}

static void convolve(expected *e, const float *x, const float *w, const float *bias) {
  const grid_window *g = &e->w;
  const int64_t in = grid_cells(g->in), out = grid_cells(g->out), taps = grid_cells(g->kernel), ci = g->cin / g->group,
                co = g->cout / g->group;
  for (int64_t n = 0; n < g->batch; ++n) {
    for (int64_t o = 0; o < g->cout; ++o) {
      const int64_t first = o / co * ci, y = (n * g->cout + o) * out;
      for (int64_t i = 0; i < ci; ++i) {
        const int64_t at = g->kind == GRID_DECONV ? ((first + i) * co + o % co) * taps : (o * ci + i) * taps;
        filter f = {e->y + y, e->slack + y, x + (n * g->cin + first + i) * in, w + at};
        walk(g, add_product, &f);
      }
      for (int64_t i = 0; bias && i < out; ++i) e->y[y + i] += (double)bias[o], e->slack[y + i] += fabs((double)bias[o]);
    }
  }
}

static void one_convolution(qcc_context *cx, const grid_window *w, qcc_op op, uint32_t *seed) {
  expected e = {.w = *w};
  grid_case c = {.cx = cx, .op = op, .attrs = window_attrs, .check = check, .user = &e};
  int64_t dims[QCC_MAX_RANK];
  const bool back = w->kind == GRID_DECONV;
  int rank = grid_dims(w, w->batch, w->cin, w->in, dims);
  const float *x = grid_floats(&c, rank, dims, seed), *bias = NULL;
  rank = grid_dims(w, back ? w->cin : w->cout, (back ? w->cout : w->cin) / w->group, w->kernel, dims);
  const float *filters = grid_floats(&c, rank, dims, seed);
  if (w->has_bias) bias = grid_floats(&c, 1, &w->cout, seed);
  expect(&e, w->cout);
  convolve(&e, x, filters, bias);
  grid_run(&c);
  forget(&e);
}

static void convolutions(void **state) {
  uint32_t seed = 11;
  grid_window w;
  for (int i = 0; i < CONVS; ++i) {
    grid_window_pick(&w, GRID_CONV, &seed);
    one_convolution(*state, &w, QCC_OP_CONV, &seed);
  }
}

static void transposed(void **state) {
  uint32_t seed = 12;
  grid_window w;
  for (int i = 0; i < DECONVS; ++i) {
    grid_window_pick(&w, GRID_DECONV, &seed);
    one_convolution(*state, &w, QCC_OP_CONV_TRANSPOSE, &seed);
  }
}

/* Many channels and stride 1: shapes for which loops of another kind may be chosen. */
static void wide_convolutions(void **state) {
  uint32_t seed = 13;
  for (int i = 0; i < 12; ++i) {
    grid_window w = {.kind = GRID_CONV, .rank = 2, .batch = 1 + i % 2, .group = 1 + i % 3 / 2, .has_bias = i % 2};
    w.cin = w.group * grid_pick(&seed, 30, 40), w.cout = w.group * grid_pick(&seed, 30, 40);
    for (int d = 0; d < 3; ++d) {
      w.in[d] = d ? grid_pick(&seed, 9, 14) : 1;
      w.kernel[d] = d ? 3 : 1;
      w.stride[d] = w.dilation[d] = 1;
      w.lo[d] = d ? grid_pick(&seed, 0, 2) : 0;
      w.hi[d] = d ? grid_pick(&seed, 0, 2) : 0;
      w.out[d] = grid_size(&w, d);
    }
    one_convolution(*state, &w, QCC_OP_CONV, &seed);
  }
}

/* ---- pools */
typedef struct window_sum {
  const grid_window *w;
  qcc_op op;
  double *y, *count;
  const float *x;
} window_sum;

static void add_element(void *user, int64_t out, int64_t in, int64_t tap) {
  const window_sum *s = user;
  const double v = (double)s->x[in];
  (void)tap;
  if (s->op == QCC_OP_MAX_POOL) {
    if (s->count[out] == 0 || v > s->y[out]) s->y[out] = v;
  } else {
    s->y[out] += s->op == QCC_OP_LP_POOL ? pow(fabs(v), (double)s->w->p) : v;
  }
  s->count[out] += 1;
}

/* Taps of the window at output `i` that lie in the padded input. */
static double padded(const grid_window *w, int64_t i) {
  const int64_t at[3] = {i / (w->out[1] * w->out[2]), i / w->out[2] % w->out[1], i % w->out[2]};
  double n = 1;
  for (int d = 0; d < 3; ++d) {
    int inside = 0;
    for (int64_t k = 0; k < w->kernel[d]; ++k) inside += at[d] * w->stride[d] - w->lo[d] + k * w->dilation[d] < w->in[d] + w->hi[d];
    n *= inside;
  }
  return n;
}

static void one_pool(qcc_context *cx, const grid_window *w, qcc_op op, uint32_t *seed) {
  expected e = {.w = *w};
  grid_case c = {.cx = cx, .op = op, .attrs = window_attrs, .check = check, .user = &e};
  int64_t dims[QCC_MAX_RANK];
  const int64_t in = grid_cells(w->in), out = grid_cells(w->out);
  const int rank = grid_dims(w, w->batch, w->cin, w->in, dims);
  const float *x = grid_floats(&c, rank, dims, seed);
  expect(&e, w->cin);
  for (int64_t plane = 0; plane < w->batch * w->cin; ++plane) {
    window_sum s = {w, op, e.y + plane * out, e.slack + plane * out, x + plane * in};
    walk(w, add_element, &s);
    for (int64_t i = 0; i < out; ++i) {
      if (op == QCC_OP_AVERAGE_POOL) s.y[i] /= w->count_pads ? padded(w, i) : s.count[i];
      if (op == QCC_OP_LP_POOL) s.y[i] = pow(s.y[i], 1.0 / (double)w->p);
      s.count[i] = op == QCC_OP_MAX_POOL ? 0 : s.count[i];
    }
  }
  grid_run(&c);
  forget(&e);
}

static void pools(void **state) {
  static const qcc_op ops[] = {QCC_OP_MAX_POOL, QCC_OP_AVERAGE_POOL, QCC_OP_LP_POOL};
  uint32_t seed = 14;
  grid_window w;
  for (int i = 0; i < 3 * POOLS; ++i) {
    grid_window_pick(&w, GRID_POOL, &seed);
    one_pool(*state, &w, ops[i % 3], &seed);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions), cmocka_unit_test(wide_convolutions), cmocka_unit_test(transposed),
                                     cmocka_unit_test(pools)};
  return cmocka_run_group_tests(tests, grid_start, grid_stop);
}
