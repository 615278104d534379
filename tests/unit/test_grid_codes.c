/* SPDX-License-Identifier: Apache-2.0
 * Products of codes over random shapes, types and zero points, against plain loops in 64 bits: ConvInteger, QLinearConv, MatMulInteger,
 * QLinearMatMul, QGemm. Results must be equal. */
#include "grid_window.h"

enum { CONVS = 300, PRODUCTS = 300 };

typedef struct codes { /* one operand */
  qcc_dtype type;
  int64_t n, per; /* per: 1, or one zero point and scale for each slice */
  int32_t *at;    /* values */
  int32_t zero[64];
  float scale[64];
} codes;

typedef struct expected {
  grid_window w;
  qcc_type type;
  int64_t *y;
  int64_t n;
  bool trans_a, trans_b;
  float alpha;
  qcc_op op;
} expected;

static void check(const qcc_tensor *y, const char *way, const void *user) {
  const expected *e = user;
  if (!qcc_type_equal(&y->type, &e->type)) fail_msg("%s: type of operator %d", way, (int)e->op);
  for (int64_t i = 0; i < e->n; ++i) {
    const bool same = y->type.dtype == QCC_F32 ? ((const float *)y->data)[i] == ((const float *)(const void *)e->y)[i]
                                               : qcc_tensor_get_s64(y, i) == e->y[i];
    if (!same) grid_tell(&e->w, way, i, qcc_tensor_get(y, i), y->type.dtype == QCC_F32 ? 0 : (double)e->y[i]);
  }
}

static void attrs(qcc_node *n, const void *user) {
  const expected *e = user;
  if (n->op == QCC_OP_CONV_INTEGER || n->op == QCC_OP_QLINEAR_CONV) grid_window_attrs(n, &e->w);
  if (n->op != QCC_OP_MS_QGEMM) return;
  qcc_attr_set_int(n, "transA", e->trans_a);
  qcc_attr_set_int(n, "transB", e->trans_b);
  qcc_attr_set_float(n, "alpha", e->alpha);
}

/* ---- operands */
static void draw(codes *c, qcc_dtype t, int64_t n, int64_t per, uint32_t *seed) {
  const int32_t lo = t == QCC_U8 ? 0 : -128;
  *c = (codes){.type = t, .n = n, .per = per, .at = malloc((size_t)(n + 1) * sizeof *c->at)};
  assert_non_null(c->at);
  for (int64_t i = 0; i < n; ++i) c->at[i] = lo + (int32_t)grid_pick(seed, 0, 255);
  for (int64_t i = 0; i < per; ++i) {
    c->zero[i] = lo + (int32_t)grid_pick(seed, 0, 255);
    c->scale[i] = (float)grid_pick(seed, 1, 5000) / 100000.0f;
  }
}

static void put(grid_case *g, const codes *c, int rank, const int64_t *dims) {
  uint8_t *to = grid_input(g, c->type, rank, dims);
  for (int64_t i = 0; i < c->n; ++i) to[i] = (uint8_t)c->at[i];
}

static void put_zero(grid_case *g, const codes *c) {
  uint8_t *to = grid_input(g, c->type, c->per > 1, &c->per);
  for (int64_t i = 0; i < c->per; ++i) to[i] = (uint8_t)c->zero[i];
}

static void put_scale(grid_case *g, const codes *c) {
  memcpy(grid_input(g, QCC_F32, c->per > 1, &c->per), c->scale, (size_t)c->per * sizeof *c->scale);
}

static int32_t value(const codes *c, int64_t i, int64_t slice) { return c->at[i] - c->zero[c->per > 1 ? slice : 0]; }

static int64_t requantize(int64_t sum, float factor, const codes *y) {
  const int64_t lo = y->type == QCC_U8 ? 0 : -128, q = (int64_t)rintf((float)(int32_t)sum * factor) + y->zero[0];
  return q < lo ? lo : q > lo + 255 ? lo + 255 : q;
}

static void prepare(expected *e, const qcc_type *t) {
  e->type = *t;
  assert_true(qcc_type_count(t, &e->n));
  e->y = calloc((size_t)e->n + 1, sizeof *e->y);
  assert_non_null(e->y);
}

/* ---- convolutions */
static void convolve(expected *e, const codes *x, const codes *w, const int32_t *bias) {
  const grid_window *g = &e->w;
  const int64_t in = grid_cells(g->in), taps = grid_cells(g->kernel), ci = g->cin / g->group, co = g->cout / g->group;
  const int64_t out = grid_cells(g->out);
  for (int64_t i = 0; i < e->n; ++i) {
    const int64_t n = i / (g->cout * out), o = i / out % g->cout, at = i % out;
    int64_t sum = bias ? bias[o] : 0;
    for (int64_t j = 0; j < ci * taps; ++j) {
      const int64_t c = j / taps, t = j % taps,
                    tap[3] = {t / (g->kernel[1] * g->kernel[2]), t / g->kernel[2] % g->kernel[1], t % g->kernel[2]};
      const int64_t first[3] = {at / (g->out[1] * g->out[2]), at / g->out[2] % g->out[1], at % g->out[2]};
      int64_t p[3];
      bool inside = true;
      for (int d = 0; d < 3; ++d) {
        p[d] = first[d] * g->stride[d] - g->lo[d] + tap[d] * g->dilation[d];
        inside = inside && p[d] >= 0 && p[d] < g->in[d];
      }
      if (!inside) continue;
      const int64_t from = (n * g->cin + o / co * ci + c) * in + (p[0] * g->in[1] + p[1]) * g->in[2] + p[2];
      sum += (int64_t)value(x, from, 0) * value(w, (o * ci + c) * taps + t, o);
    }
    e->y[i] = sum;
  }
}

static void one_convolution(qcc_context *cx, bool quantized, uint32_t *seed) {
  static const qcc_dtype types[] = {QCC_U8, QCC_S8};
  expected e = {.op = quantized ? QCC_OP_QLINEAR_CONV : QCC_OP_CONV_INTEGER};
  grid_case c = {.cx = cx, .op = e.op, .attrs = attrs, .check = check, .user = &e};
  int64_t dx[QCC_MAX_RANK], dw[QCC_MAX_RANK], dy[QCC_MAX_RANK];
  codes x, w, y;
  do grid_window_pick(&e.w, GRID_CONV, seed);
  while (e.w.cout > 64);
  const grid_window *g = &e.w;
  const int rank = grid_dims(g, g->batch, g->cin, g->in, dx);
  grid_dims(g, g->cout, g->cin / g->group, g->kernel, dw);
  grid_dims(g, g->batch, g->cout, g->out, dy);
  draw(&x, types[grid_pick(seed, 0, 1)], g->batch * g->cin * grid_cells(g->in), 1, seed);
  draw(&w, types[grid_pick(seed, 0, 1)], g->cout * g->cin / g->group * grid_cells(g->kernel), grid_chance(seed, 50) ? g->cout : 1, seed);
  draw(&y, types[grid_pick(seed, 0, 1)], 0, 1, seed);
  int32_t bias[64];
  for (int i = 0; i < 64; ++i) bias[i] = (int32_t)grid_pick(seed, -99999, 99999);
  const qcc_type t = qcc_type_of(quantized ? y.type : QCC_S32, rank, dy);
  prepare(&e, &t);
  put(&c, &x, rank, dx);
  if (!quantized) {
    put(&c, &w, rank, dw);
    if (grid_chance(seed, 80))
      put_zero(&c, &x);
    else
      x.zero[0] = 0, c.count++;
    if (grid_chance(seed, 80))
      put_zero(&c, &w);
    else
      memset(w.zero, 0, sizeof w.zero);
    convolve(&e, &x, &w, NULL);
  } else {
    put_scale(&c, &x), put_zero(&c, &x);
    put(&c, &w, rank, dw);
    put_scale(&c, &w), put_zero(&c, &w);
    y.scale[0] *= 40;
    put_scale(&c, &y), put_zero(&c, &y);
    if (g->has_bias) memcpy(grid_input(&c, QCC_S32, 1, &g->cout), bias, (size_t)g->cout * sizeof *bias);
    convolve(&e, &x, &w, g->has_bias ? bias : NULL);
    const int64_t out = grid_cells(g->out);
    for (int64_t i = 0; i < e.n; ++i) e.y[i] = requantize(e.y[i], x.scale[0] * w.scale[w.per > 1 ? i / out % g->cout : 0] / y.scale[0], &y);
  }
  grid_run(&c);
  free(x.at), free(w.at), free(y.at), free(e.y);
}

static void convolutions(void **state) {
  uint32_t seed = 21;
  for (int i = 0; i < CONVS; ++i) one_convolution(*state, i % 2, &seed);
}

/* ---- products of matrices */
typedef struct sizes {
  int64_t batch, m, n, k;
} sizes;

static int64_t dot(const codes *a, const codes *b, const sizes *s, int64_t batch_b, int64_t row, int64_t column, const expected *e) {
  const int64_t batch = row / s->m, i = row % s->m;
  int64_t sum = 0;
  for (int64_t p = 0; p < s->k; ++p) {
    const int64_t at_a = e->trans_a ? p * s->m + i : (batch * s->m + i) * s->k + p;
    const int64_t at_b = e->trans_b ? column * s->k + p : (batch % batch_b * s->k + p) * s->n + column;
    sum += (int64_t)value(a, at_a, i) * value(b, at_b, column);
  }
  return sum;
}

static void one_matmul(qcc_context *cx, bool quantized, uint32_t *seed) {
  static const qcc_dtype types[] = {QCC_U8, QCC_S8};
  const sizes s = {grid_pick(seed, 1, 3), grid_pick(seed, 1, 20), grid_pick(seed, 1, 40), grid_pick(seed, 1, 70)};
  expected e = {.op = quantized ? QCC_OP_QLINEAR_MATMUL : QCC_OP_MATMUL_INTEGER};
  grid_case c = {.cx = cx, .op = e.op, .attrs = attrs, .check = check, .user = &e};
  const bool deep = grid_chance(seed, 50), shared = grid_chance(seed, 50);
  const int64_t batch = deep ? s.batch : 1, batch_b = deep && !shared ? batch : 1;
  codes a, b, y;
  draw(&a, types[grid_pick(seed, 0, 1)], batch * s.m * s.k, grid_chance(seed, 20) ? s.m : 1, seed);
  draw(&b, types[grid_pick(seed, 0, 1)], batch_b * s.k * s.n, grid_chance(seed, 50) ? s.n : 1, seed);
  draw(&y, types[grid_pick(seed, 0, 1)], 0, 1, seed);
  const int64_t da[] = {batch, s.m, s.k}, db[] = {batch_b, s.k, s.n}, dy[] = {batch, s.m, s.n};
  const qcc_type t = qcc_type_of(quantized ? y.type : QCC_S32, deep ? 3 : 2, deep ? dy : dy + 1);
  prepare(&e, &t);
  put(&c, &a, deep ? 3 : 2, deep ? da : da + 1);
  if (quantized) {
    put_scale(&c, &a), put_zero(&c, &a);
    put(&c, &b, deep && !shared ? 3 : 2, deep && !shared ? db : db + 1);
    put_scale(&c, &b), put_zero(&c, &b);
    y.scale[0] *= 40;
    put_scale(&c, &y), put_zero(&c, &y);
  } else {
    put(&c, &b, deep && !shared ? 3 : 2, deep && !shared ? db : db + 1);
    if (grid_chance(seed, 80))
      put_zero(&c, &a);
    else
      memset(a.zero, 0, sizeof a.zero), c.count++;
    if (grid_chance(seed, 80))
      put_zero(&c, &b);
    else
      memset(b.zero, 0, sizeof b.zero);
  }
  for (int64_t i = 0; i < e.n; ++i) {
    const int64_t row = i / s.n, column = i % s.n, sum = dot(&a, &b, &s, batch_b, row, column, &e);
    const float factor = a.scale[a.per > 1 ? row % s.m : 0] * b.scale[b.per > 1 ? column : 0] / y.scale[0];
    e.y[i] = quantized ? requantize(sum, factor, &y) : sum;
  }
  grid_run(&c);
  free(a.at), free(b.at), free(y.at), free(e.y);
}

static void matmuls(void **state) {
  uint32_t seed = 22;
  for (int i = 0; i < PRODUCTS; ++i) one_matmul(*state, i % 2, &seed);
}

static void put_bias(grid_case *c, int kind, const sizes *s, int32_t *bias, uint32_t *seed) {
  const int64_t dims[] = {kind == 2 ? 1 : s->m, kind == 3 ? 1 : s->n};
  if (kind == 0) {
    c->count++;
    return;
  }
  int32_t *to = grid_input(c, QCC_S32, kind == 1 ? 1 : 2, kind == 1 ? &s->n : dims);
  for (int64_t i = 0, n = qcc_tensor_count(&c->in[c->count - 1]); i < n; ++i) bias[i] = to[i] = (int32_t)grid_pick(seed, -99999, 99999);
}

static void one_qgemm(qcc_context *cx, uint32_t *seed) {
  static const qcc_dtype types[] = {QCC_U8, QCC_S8};
  const sizes s = {1, grid_pick(seed, 1, 20), grid_pick(seed, 1, 40), grid_pick(seed, 1, 70)};
  const bool coded = grid_chance(seed, 60);
  const int kind = (int)grid_pick(seed, 0, 4);
  expected e = {.op = QCC_OP_MS_QGEMM, .trans_a = grid_chance(seed, 50), .trans_b = grid_chance(seed, 50)};
  grid_case c = {.cx = cx, .op = e.op, .attrs = attrs, .check = check, .user = &e};
  int32_t bias[20 * 40];
  codes a, b, y;
  e.alpha = grid_chance(seed, 70) ? 1.0f : 0.3f;
  draw(&a, types[grid_pick(seed, 0, 1)], s.m * s.k, 1, seed);
  draw(&b, types[grid_pick(seed, 0, 1)], s.k * s.n, grid_chance(seed, 50) ? s.n : 1, seed);
  draw(&y, types[grid_pick(seed, 0, 1)], 0, 1, seed);
  y.scale[0] *= 40;
  const int64_t da[] = {e.trans_a ? s.k : s.m, e.trans_a ? s.m : s.k}, db[] = {e.trans_b ? s.n : s.k, e.trans_b ? s.k : s.n};
  const qcc_type t = qcc_type_of(coded ? y.type : QCC_F32, 2, (const int64_t[]){s.m, s.n});
  prepare(&e, &t);
  put(&c, &a, 2, da), put_scale(&c, &a), put_zero(&c, &a);
  put(&c, &b, 2, db), put_scale(&c, &b), put_zero(&c, &b);
  put_bias(&c, kind, &s, bias, seed);
  if (coded) put_scale(&c, &y), put_zero(&c, &y);
  for (int64_t i = 0; i < e.n; ++i) {
    const int64_t row = i / s.n, column = i % s.n;
    const int64_t at = kind == 1 || kind == 2 ? column : kind == 3 ? row : i;
    const int64_t sum = dot(&a, &b, &s, 1, row, column, &e) + (kind ? bias[at] : 0);
    const float factor = e.alpha * a.scale[0] * b.scale[b.per > 1 ? column : 0], floats = (float)(int32_t)sum * factor;
    if (coded)
      e.y[i] = requantize(sum, factor / y.scale[0], &y);
    else
      ((float *)(void *)e.y)[i] = floats;
  }
  grid_run(&c);
  free(a.at), free(b.at), free(y.at), free(e.y);
}

static void qgemms(void **state) {
  uint32_t seed = 23;
  for (int i = 0; i < PRODUCTS; ++i) one_qgemm(*state, &seed);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(convolutions), cmocka_unit_test(matmuls), cmocka_unit_test(qgemms)};
  return cmocka_run_group_tests(tests, grid_start, grid_stop);
}
