/* SPDX-License-Identifier: Apache-2.0
 * One time step of LSTM, GRU and RNN for all batch rows: one GEMM with the recurrence weights, then element-wise work on contiguous rows. */
#include "backends/ref/kernels/rnn.h"
#include "backends/ref/run.h"
#include "backends/ref/simd/kmath.h"

static float apply1(const qcc_rnn_fn *f, float x) {
  switch (f->act) {
    case QCC_RNN_RELU: return x < 0 ? 0 : x;
    case QCC_RNN_TANH: return qcc_km_tanh(x);
    case QCC_RNN_SIGMOID: return qcc_km_sigmoid(x);
    case QCC_RNN_AFFINE: return f->alpha * x + f->beta;
    case QCC_RNN_LEAKY_RELU: return x < 0 ? f->alpha * x : x;
    case QCC_RNN_THRESHOLDED_RELU: return x >= f->alpha ? x : 0;
    case QCC_RNN_SCALED_TANH: return f->alpha * qcc_km_tanh(f->beta * x);
    case QCC_RNN_HARD_SIGMOID: {
      float y = f->alpha * x + f->beta;
      return y < 0 ? 0 : y > 1 ? 1 : y;
    }
    case QCC_RNN_ELU: return x < 0 ? f->alpha * expm1f(x) : x;
    case QCC_RNN_SOFTSIGN: return x / (1 + fabsf(x));
    default: return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x)));
  }
}

/* y = f(x); in place is fine. The usual functions have loops for the processor at hand. */
static void apply(const qcc_rnn_run *run, const qcc_rnn_fn *f, float *y, const float *x, int64_t n) {
  if (f->act == QCC_RNN_SIGMOID) {
    run->simd->act(QCC_ACT_SIGMOID, y, x, (size_t)n, 0, 0);
  } else if (f->act == QCC_RNN_TANH) {
    run->simd->act(QCC_ACT_TANH, y, x, (size_t)n, 0, 0);
  } else {
    for (int64_t i = 0; i < n; ++i) y[i] = apply1(f, x[i]);
  }
}

/* The clip bounds what goes into an activation. */
static void activate(const qcc_rnn_run *run, const qcc_rnn_fn *f, float *x, int64_t n) {
  float hi = run->rnn->clip, lo = -hi;
  if (!isinf(hi)) {
    for (int64_t i = 0; i < n; ++i) x[i] = x[i] < lo ? lo : x[i] > hi ? hi : x[i];
  }
  apply(run, f, x, x, n);
}

static void add_product(float *to, const float *a, const float *b, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] += a[i] * b[i];
}

void qcc_rnn_dynamic(const qcc_rnn_run *run, const qcc_rnn_codes *codes, int64_t rows, int64_t depth, int64_t width, const float *x,
                     float *to) {
  float scale;
  qcc_kx_dynamic_into(run->simd, x, rows * depth, &scale, run->bytes, run->centred);
  qcc_kx_int_gemm(rows, width, depth, run->centred, codes->at, run->acc);
  for (int64_t i = 0; i < rows * width; ++i) to[i] += (float)run->acc[i] * (scale * codes->scale[codes->scales > 1 ? i % width : 0]);
}

/* y[B, to - from] = (keep ? y : 0) + x[B, H] * R', rows [from, to) of R. */
static void recurrence(const qcc_rnn_run *run, int64_t from, int64_t to, const float *x, float *y, bool keep) {
  const qcc_rnn *l = run->rnn;
  const int64_t n = to - from;
  if (!run->pack) {
    qcc_kx_gemm(false, true, l->batch, n, l->hidden, x, run->r + from * l->hidden, y, keep);
    return;
  }
  if (!keep) memset(y, 0, (size_t)(l->batch * n) * sizeof *y);
  for (int64_t b = 0; b < l->batch; ++b)
    qcc_packed_row(run->simd, run->pack, run->panels, (size_t)from, (size_t)to, x + b * l->hidden, y + b * n);
}

/* gate rows: i o f c. Ct = f * Ct-1 + i * c; Ht = o * h(Ct). Peepholes: i, o, f. */
void qcc_rnn_cell_lstm(const qcc_rnn_run *run) {
  const qcc_rnn *l = run->rnn;
  const int64_t h = l->hidden;
  if (l->in_codes)
    qcc_rnn_dynamic(run, &run->codes, l->batch, h, 4 * h, run->h, run->gate);
  else
    recurrence(run, 0, 4 * h, run->h, run->gate, true);
  for (int64_t b = 0; b < l->batch; ++b) {
    float *i = run->gate + b * 4 * h, *o = i + h, *f = o + h, *g = f + h, *c = run->c + b * h, *next = run->next + b * h;
    if (run->peep) {
      add_product(i, run->peep, c, h);
      add_product(f, run->peep + 2 * h, c, h);
    }
    activate(run, &run->fn[0], i, h);
    activate(run, &run->fn[0], f, h);
    activate(run, &run->fn[1], g, h);
    if (l->input_forget) {
      for (int64_t j = 0; j < h; ++j) f[j] = 1 - i[j];
    }
    for (int64_t j = 0; j < h; ++j) c[j] = f[j] * c[j] + i[j] * g[j];
    if (run->peep) add_product(o, run->peep + h, c, h);
    activate(run, &run->fn[0], o, h);
    apply(run, &run->fn[2], next, c, h);
    for (int64_t j = 0; j < h; ++j) next[j] *= o[j];
  }
}

/* gate rows: z r h. Ht = (1 - z) * h~ + z * Ht-1. With linear_before_reset the reset gate scales the recurrence product of h, which then is
 * part of the one product; else it scales Ht-1, and the product of h comes second. */
void qcc_rnn_cell_gru(const qcc_rnn_run *run) {
  const qcc_rnn *l = run->rnn;
  const bool late = l->linear_before_reset;
  const int64_t h = l->hidden, width = late ? 3 * h : 2 * h;
  float *product = run->extra;
  recurrence(run, 0, width, run->h, product, false);
  for (int64_t b = 0; b < l->batch; ++b) {
    float *z = run->gate + b * 3 * h, *r = z + h;
    for (int64_t j = 0; j < 2 * h; ++j) z[j] += product[b * width + j];
    activate(run, &run->fn[0], z, 2 * h);
    for (int64_t j = 0; j < h && !late; ++j) run->next[b * h + j] = r[j] * run->h[b * h + j];
  }
  if (!late) recurrence(run, 2 * h, 3 * h, run->next, product, false);
  for (int64_t b = 0; b < l->batch; ++b) {
    float *z = run->gate + b * 3 * h, *r = z + h, *g = r + h, *next = run->next + b * h;
    const float *p = late ? product + b * width + 2 * h : product + b * h, *before = run->h + b * h,
                *bias = run->rb ? run->rb + 2 * h : NULL;
    if (!late) {
      for (int64_t j = 0; j < h; ++j) g[j] += p[j];
    } else if (bias) {
      for (int64_t j = 0; j < h; ++j) g[j] += r[j] * (p[j] + bias[j]);
    } else {
      add_product(g, r, p, h);
    }
    activate(run, &run->fn[1], g, h);
    for (int64_t j = 0; j < h; ++j) next[j] = (1 - z[j]) * g[j] + z[j] * before[j];
  }
}

void qcc_rnn_cell_plain(const qcc_rnn_run *run) {
  const qcc_rnn *l = run->rnn;
  recurrence(run, 0, l->hidden, run->h, run->gate, true);
  activate(run, &run->fn[0], run->gate, l->batch * l->hidden);
  memcpy(run->next, run->gate, (size_t)(l->batch * l->hidden) * sizeof(float));
}
