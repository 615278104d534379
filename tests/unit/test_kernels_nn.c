/* SPDX-License-Identifier: Apache-2.0
 * Kernels with weights or interpolation, against plain loops in double: LSTM, GRU, RNN with every option, ConvTranspose, the exact integer
 * products, Resize (a constant stays constant in every mode), and the elementary functions against libm over their whole range. */
#include "backends/ref/simd/kmath.h"
#include "kernel_case.h"

/* ---- elementary functions */
static double ulps(float have, double want) {
  float near = (float)want, step = nextafterf(fabsf(near), INFINITY) - fabsf(near);
  return fabs((double)have - want) / (double)step;
}

static void elementary_functions(void **state) {
  (void)state;
  double worst[4] = {0};
  for (uint32_t i = 0; i < 0xffffffffu - 4099; i += 4099) {
    float x;
    memcpy(&x, &i, sizeof x);
    if (isnan(x) || isinf(x)) continue;
    double d = (double)x, e = exp(d),
           u[4] = {e < 3.4e38 ? ulps(qcc_km_exp(x), e) : 0, d < -86 ? 0 : ulps(qcc_km_sigmoid(x), d < 0 ? e / (1 + e) : 1 / (1 + exp(-d))),
                   ulps(qcc_km_tanh(x), tanh(d)), ulps(qcc_km_erf(x), erf(d))};
    assert_true(qcc_km_sigmoid(x) <= 1 && (d >= -86 || qcc_km_sigmoid(x) < 1e-37f));
    for (int f = 0; f < 4; ++f) worst[f] = u[f] > worst[f] ? u[f] : worst[f];
  }
  assert_true(worst[0] < 1.5 && worst[1] < 3 && worst[2] < 3.4 && worst[3] < 3.4);
  assert_true(isinf(qcc_km_exp(INFINITY)) && qcc_km_exp(-INFINITY) == 0 && isnan(qcc_km_exp(NAN)));
  assert_true(qcc_km_tanh(INFINITY) == 1 && qcc_km_tanh(-INFINITY) == -1 && isnan(qcc_km_tanh(NAN)) && isnan(qcc_km_sigmoid(NAN)));
}

/* ---- recurrent nets */
typedef struct rnn_case {
  int gates; /* 4 LSTM, 3 GRU, 1 RNN */
  int64_t steps, batch, input, hidden;
  int dirs;
  bool reverse, late, peep, lens, bias, start, batch_first;
  float clip;
} rnn_case;

static double squash(double x) { return 1 / (1 + exp(-x)); }
static double clipped(const rnn_case *r, double x) {
  return x > (double)r->clip ? (double)r->clip : x < -(double)r->clip ? -(double)r->clip : x;
}

typedef struct rnn_data {
  const float *x, *w, *r, *b, *h0, *c0, *peep;
  const int32_t *lens;
} rnn_data;

/* Pre-activation of gate g, unit j without the recurrence (part 0) or of the recurrence alone on `h` (part 1), biases included. */
static double part(const rnn_case *r, const rnn_data *d, int dir, int g, int64_t j, const float *x, const double *h, int which) {
  int64_t rows = r->gates * r->hidden, row = g * r->hidden + j;
  double sum = d->b ? (double)d->b[dir * 2 * rows + which * rows + row] : 0;
  int64_t n = which ? r->hidden : r->input;
  const float *w = which ? d->r + (dir * rows + row) * n : d->w + (dir * rows + row) * n;
  for (int64_t i = 0; i < n; ++i) sum += (double)w[i] * (which ? h[i] : (double)x[i]);
  return sum;
}

static void cell(const rnn_case *r, const rnn_data *d, int dir, const float *x, double *h, double *c) {
  double next[8], gate[4], scaled[8];
  const float *p = d->peep ? d->peep + dir * 3 * r->hidden : NULL;
  for (int64_t j = 0; j < r->hidden; ++j) {
    if (r->gates == 1) {
      next[j] = tanh(clipped(r, part(r, d, dir, 0, j, x, h, 0) + part(r, d, dir, 0, j, x, h, 1)));
    } else if (r->gates == 4) {
      for (int g = 0; g < 4; ++g) gate[g] = part(r, d, dir, g, j, x, h, 0) + part(r, d, dir, g, j, x, h, 1);
      if (p) gate[0] += (double)p[j] * c[j], gate[2] += (double)p[2 * r->hidden + j] * c[j];
      c[j] = squash(clipped(r, gate[2])) * c[j] + squash(clipped(r, gate[0])) * tanh(clipped(r, gate[3]));
      if (p) gate[1] += (double)p[r->hidden + j] * c[j];
      next[j] = squash(clipped(r, gate[1])) * tanh(c[j]);
    } else {
      for (int64_t i = 0; i < r->hidden; ++i) {
        scaled[i] = h[i] * squash(clipped(r, part(r, d, dir, 1, i, x, h, 0) + part(r, d, dir, 1, i, x, h, 1)));
      }
      double z = squash(clipped(r, part(r, d, dir, 0, j, x, h, 0) + part(r, d, dir, 0, j, x, h, 1)));
      double reset = squash(clipped(r, part(r, d, dir, 1, j, x, h, 0) + part(r, d, dir, 1, j, x, h, 1)));
      double again = r->late ? reset * part(r, d, dir, 2, j, x, h, 1) : part(r, d, dir, 2, j, x, scaled, 1);
      next[j] = (1 - z) * tanh(clipped(r, part(r, d, dir, 2, j, x, h, 0) + again)) + z * h[j];
    }
  }
  memcpy(h, next, (size_t)r->hidden * sizeof *h);
}

static int64_t x_row(const rnn_case *r, int64_t t, int64_t b) { return r->batch_first ? b * r->steps + t : t * r->batch + b; }

static void check_row(const rnn_case *r, const rnn_data *d, const kernel_case *k, int dir, int64_t b) {
  double h[8] = {0}, c[8] = {0};
  const float *y = k->out[0].data, *y_h = k->out[1].data, *y_c = r->gates == 4 ? k->out[2].data : NULL;
  int64_t n = d->lens ? d->lens[b] : r->steps, state = (r->batch_first ? b * r->dirs + dir : dir * r->batch + b) * r->hidden;
  for (int64_t j = 0; j < r->hidden; ++j) {
    if (d->h0) h[j] = (double)d->h0[state + j];
    if (d->c0) c[j] = (double)d->c0[state + j];
  }
  for (int64_t s = 0; s < r->steps; ++s) {
    bool back = dir == 1 || r->reverse;
    int64_t t = s >= n ? s : back ? n - 1 - s : s;
    if (s < n) cell(r, d, dir, d->x + x_row(r, t, b) * r->input, h, c);
    int64_t row = r->batch_first ? (b * r->steps + t) * r->dirs + dir : (t * r->dirs + dir) * r->batch + b;
    for (int64_t j = 0; j < r->hidden; ++j) assert_close((double)y[row * r->hidden + j], s < n ? h[j] : 0, 2e-6);
  }
  for (int64_t j = 0; j < r->hidden; ++j) {
    assert_close((double)y_h[state + j], h[j], 2e-6);
    if (y_c) assert_close((double)y_c[state + j], c[j], 2e-6);
  }
}

static void rnn_inputs(kernel_case *k, const rnn_case *r, rnn_data *d, uint32_t *seed) {
  int64_t rows = r->gates * r->hidden, dirs = r->dirs, lead = r->batch_first ? r->batch : dirs, next = r->batch_first ? dirs : r->batch;
  d->x = input_random(k, 3, (int64_t[]){r->batch_first ? r->batch : r->steps, r->batch_first ? r->steps : r->batch, r->input}, seed);
  d->w = input_random(k, 3, (int64_t[]){dirs, rows, r->input}, seed);
  d->r = input_random(k, 3, (int64_t[]){dirs, rows, r->hidden}, seed);
  if (r->bias)
    d->b = input_random(k, 2, (int64_t[]){dirs, 2 * rows}, seed);
  else
    input_none(k);
  if (r->lens) {
    int32_t *lens = input(k, QCC_S32, 1, &r->batch);
    for (int64_t b = 0; b < r->batch; ++b) lens[b] = (int32_t)pick(seed, 0, r->steps);
    d->lens = lens;
  } else {
    input_none(k);
  }
  if (r->start)
    d->h0 = input_random(k, 3, (int64_t[]){lead, next, r->hidden}, seed);
  else
    input_none(k);
  if (r->gates != 4) return;
  if (r->start)
    d->c0 = input_random(k, 3, (int64_t[]){lead, next, r->hidden}, seed);
  else
    input_none(k);
  if (r->peep) d->peep = input_random(k, 2, (int64_t[]){dirs, 3 * r->hidden}, seed);
}

static void recurrent_nets(void **state) {
  (void)state;
  static const char *const names[] = {"forward", "reverse", "bidirectional"};
  uint32_t seed = 21;
  for (int round = 0; round < 240; ++round) {
    static const int gates[] = {4, 3, 1};
    static const qcc_op ops[] = {QCC_OP_LSTM, QCC_OP_GRU, QCC_OP_RNN};
    int which = round % 3, direction = (int)pick(&seed, 0, 2);
    rnn_case r = {.gates = gates[which], .steps = pick(&seed, 1, 5), .batch = pick(&seed, 1, 4), .input = pick(&seed, 1, 6)};
    r.hidden = pick(&seed, 1, 8);
    r.dirs = direction == 2 ? 2 : 1;
    r.reverse = direction == 1;
    r.late = pick(&seed, 0, 1), r.peep = pick(&seed, 0, 1), r.lens = pick(&seed, 0, 1), r.bias = pick(&seed, 0, 1),
    r.start = pick(&seed, 0, 1);
    r.batch_first = pick(&seed, 0, 3) == 0;
    r.clip = pick(&seed, 0, 1) ? 0.4f : 1e9f;
    kernel_case k;
    rnn_data d = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
    start(&k, 14);
    rnn_inputs(&k, &r, &d, &seed);
    node(&k, ops[which], which == 0 ? 3 : 2);
    qcc_attr_set_int(k.node, "hidden_size", r.hidden);
    qcc_attr_set_str(k.node, "direction", names[direction], strlen(names[direction]));
    if (r.batch_first) qcc_attr_set_int(k.node, "layout", 1);
    if (r.late && which == 1) qcc_attr_set_int(k.node, "linear_before_reset", 1);
    if (r.clip < 1) qcc_attr_set_float(k.node, "clip", r.clip);
    if (fold_it(&k) != QCC_OK) fail_msg("%s", k.error);
    for (int dir = 0; dir < r.dirs; ++dir)
      for (int64_t b = 0; b < r.batch; ++b) check_row(&r, &d, &k, dir, b);
    done(&k);
  }
}

/* ---- ConvTranspose: every input element is spread over the output */
static void deconvolution(void **state) {
  (void)state;
  uint32_t seed = 12;
  for (int round = 0; round < 200; ++round) {
    kernel_case k;
    int64_t n = pick(&seed, 1, 2), group = pick(&seed, 1, 2), c = group * pick(&seed, 1, 3), m = pick(&seed, 1, 3), h = pick(&seed, 1, 6),
            w = pick(&seed, 1, 6);
    int64_t kernel[2] = {pick(&seed, 1, 4), pick(&seed, 1, 4)}, stride[2] = {pick(&seed, 1, 3), pick(&seed, 1, 3)};
    int64_t dil[2] = {pick(&seed, 1, 2), pick(&seed, 1, 2)},
            pad[4] = {pick(&seed, 0, 1), pick(&seed, 0, 1), pick(&seed, 0, 1), pick(&seed, 0, 1)};
    int64_t out[2] = {(h - 1) * stride[0] + (kernel[0] - 1) * dil[0] + 1 - pad[0] - pad[2],
                      (w - 1) * stride[1] + (kernel[1] - 1) * dil[1] + 1 - pad[1] - pad[3]};
    if (out[0] < 1 || out[1] < 1) continue;
    start(&k, 11);
    const float *x = input_random(&k, 4, (int64_t[]){n, c, h, w}, &seed);
    const float *f = input_random(&k, 4, (int64_t[]){c, m, kernel[0], kernel[1]}, &seed);
    const float *bias = input_random(&k, 1, (int64_t[]){group * m}, &seed);
    node(&k, QCC_OP_CONV_TRANSPOSE, 1);
    qcc_attr_set_int(k.node, "group", group);
    qcc_attr_set_ints(k.node, "strides", stride, 2);
    qcc_attr_set_ints(k.node, "dilations", dil, 2);
    qcc_attr_set_ints(k.node, "pads", pad, 4);
    if (fold_it(&k) != QCC_OK) fail_msg("%s", k.error);
    size_t total = (size_t)(n * group * m * out[0] * out[1]);
    double *want = calloc(total, sizeof *want);
    assert_non_null(want);
    for (size_t i = 0; i < total; ++i) want[i] = (double)bias[(int64_t)i / (out[0] * out[1]) % (group * m)];
    for (int64_t i = 0; i < n * c * h * w * m * kernel[0] * kernel[1]; ++i) {
      int64_t kx = i % kernel[1], ky = i / kernel[1] % kernel[0], rest = i / (kernel[0] * kernel[1]), o = rest % m, at = rest / m;
      int64_t px = at % w, py = at / w % h, ci = at / (w * h) % c, b = at / (w * h * c);
      int64_t y = py * stride[0] + ky * dil[0] - pad[0], xx = px * stride[1] + kx * dil[1] - pad[1];
      if (y < 0 || y >= out[0] || xx < 0 || xx >= out[1]) continue;
      int64_t channel = ci / (c / group) * m + o;
      want[((b * group * m + channel) * out[0] + y) * out[1] + xx] +=
          (double)x[at] * (double)f[((ci * m + o) * kernel[0] + ky) * kernel[1] + kx];
    }
    assert_int_equal(qcc_tensor_count(&k.out[0]), total);
    for (size_t i = 0; i < total; ++i) assert_close((double)((const float *)k.out[0].data)[i], want[i], 1e-5);
    free(want);
    done(&k);
  }
}

/* ---- exact integers */
static void integer_convolution(void **state) {
  (void)state;
  uint32_t seed = 4;
  for (int round = 0; round < 150; ++round) {
    kernel_case k;
    bool is_signed = round & 1, per_channel = round & 2;
    int64_t group = pick(&seed, 1, 2), depth = pick(&seed, 1, 3), m = group * pick(&seed, 1, 3), h = pick(&seed, 3, 7),
            w = pick(&seed, 3, 7);
    int64_t kh = pick(&seed, 1, 3), kw = pick(&seed, 1, 3), stride = pick(&seed, 1, 2), pad = pick(&seed, 0, 1), c = group * depth;
    int64_t oh = (h + 2 * pad - kh) / stride + 1, ow = (w + 2 * pad - kw) / stride + 1;
    start(&k, 10);
    uint8_t *x = input(&k, QCC_U8, 4, (int64_t[]){1, c, h, w});
    uint8_t *f = input(&k, is_signed ? QCC_S8 : QCC_U8, 4, (int64_t[]){m, depth, kh, kw});
    for (size_t i = 0; i < k.in[0].bytes; ++i) x[i] = (uint8_t)next_random(&seed);
    for (size_t i = 0; i < k.in[1].bytes; ++i) f[i] = (uint8_t)next_random(&seed);
    uint8_t *xz = input(&k, QCC_U8, 0, NULL), *wz = input(&k, is_signed ? QCC_S8 : QCC_U8, per_channel ? 1 : 0, &m);
    *xz = (uint8_t)next_random(&seed);
    for (size_t i = 0; i < k.in[3].bytes; ++i) wz[i] = (uint8_t)next_random(&seed);
    node(&k, QCC_OP_CONV_INTEGER, 1);
    qcc_attr_set_int(k.node, "group", group);
    qcc_attr_set_ints(k.node, "strides", (int64_t[]){stride, stride}, 2);
    qcc_attr_set_ints(k.node, "pads", (int64_t[]){pad, pad, pad, pad}, 4);
    if (fold_it(&k) != QCC_OK) fail_msg("%s", k.error);
    for (int64_t i = 0; i < m * oh * ow; ++i) {
      int64_t o = i / (oh * ow), y = i / ow % oh, z = i % ow, sum = 0, zero = qcc_tensor_get_s64(&k.in[3], per_channel ? o : 0);
      for (int64_t t = 0; t < depth * kh * kw; ++t) {
        int64_t sy = y * stride - pad + t / kw % kh, sx = z * stride - pad + t % kw, ci = o / (m / group) * depth + t / (kh * kw);
        if (sy < 0 || sy >= h || sx < 0 || sx >= w) continue;
        sum += (x[(ci * h + sy) * w + sx] - *xz) * (qcc_tensor_get_s64(&k.in[1], o * depth * kh * kw + t) - zero);
      }
      assert_int_equal(((const int32_t *)k.out[0].data)[i], sum);
    }
    done(&k);
  }
}

/* ---- Resize */
static void a_constant_stays_constant(void **state) {
  (void)state;
  static const char *const modes[] = {"nearest", "linear", "cubic"};
  static const char *const coordinates[] = {"half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric"};
  uint32_t seed = 6;
  for (int round = 0; round < 300; ++round) {
    kernel_case k;
    int64_t dim[4] = {1, 2, pick(&seed, 1, 9), pick(&seed, 1, 9)}, size[4] = {1, 2, pick(&seed, 1, 20), pick(&seed, 1, 20)};
    const char *mode = modes[round % 3], *coordinate = coordinates[round % 5];
    start(&k, 18);
    float *x = input(&k, QCC_F32, 4, dim);
    for (int64_t i = 0; i < qcc_tensor_count(&k.in[0]); ++i) x[i] = 3;
    input_none(&k);
    input_none(&k);
    input_s64(&k, 4, size);
    node(&k, QCC_OP_RESIZE, 1);
    qcc_attr_set_str(k.node, "mode", mode, strlen(mode));
    qcc_attr_set_str(k.node, "coordinate_transformation_mode", coordinate, strlen(coordinate));
    qcc_attr_set_int(k.node, "antialias", round & 1);
    qcc_attr_set_int(k.node, "exclude_outside", round >> 1 & 1);
    if (fold_it(&k) != QCC_OK) fail_msg("%s", k.error);
    assert_int_equal(qcc_tensor_count(&k.out[0]), 2 * size[2] * size[3]);
    for (int64_t i = 0; i < qcc_tensor_count(&k.out[0]); ++i) assert_close((double)((const float *)k.out[0].data)[i], 3, 1e-6);
    done(&k);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elementary_functions),
      cmocka_unit_test(recurrent_nets),
      cmocka_unit_test(deconvolution),
      cmocka_unit_test(integer_convolution),
      cmocka_unit_test(a_constant_stays_constant),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
