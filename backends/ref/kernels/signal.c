/* SPDX-License-Identifier: Apache-2.0
 * DFT, STFT, windows and the mel filter bank. Transforms run in double: powers of two by halving, every other length as a convolution with a
 * chirp over the next power of two, so that no length costs more than n log n. */
#include "backends/ref/kernels/kutil.h"

static const double pi = 3.14159265358979323846;

typedef struct complex_t {
  double re, im;
} complex_t;

static complex_t times(complex_t a, complex_t b) { return (complex_t){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

/* Everything that one length needs, in scratch. */
typedef struct transform {
  int64_t n, m;     /* m: power of two, n itself or at least 2n - 1 */
  complex_t *roots; /* m / 2: exp(-2 pi i j / m) */
  complex_t *chirp; /* n: exp(-pi i j^2 / n); NULL when n is a power of two */
  complex_t *bank;  /* m: transform of the conjugate chirp */
  complex_t *work;  /* m */
} transform;

/* In place, m a power of two; decimation in time. */
static void fft(const complex_t *roots, complex_t *x, int64_t m) {
  for (int64_t i = 1, j = 0; i < m; ++i) {
    int64_t bit = m >> 1;
    for (; j & bit; bit >>= 1) j ^= bit;
    j |= bit;
    if (i >= j) continue;
    const complex_t t = x[i];
    x[i] = x[j];
    x[j] = t;
  }
  for (int64_t len = 2; len <= m; len <<= 1) {
    const int64_t step = m / len;
    for (int64_t start = 0; start < m; start += len) {
      for (int64_t i = 0; i < len / 2; ++i) {
        complex_t *a = &x[start + i], *b = &x[start + i + len / 2];
        const complex_t u = *a, v = times(*b, roots[i * step]);
        *a = (complex_t){u.re + v.re, u.im + v.im};
        *b = (complex_t){u.re - v.re, u.im - v.im};
      }
    }
  }
}

static complex_t *numbers(qcc_kargs *k, int64_t n) {
  size_t bytes;
  if (!qcc_mul_size((size_t)n + 1, sizeof(complex_t), &bytes)) bytes = SIZE_MAX;
  return qcc_kscratch(k, bytes);
}

static qcc_status transform_new(qcc_kargs *k, transform *t, int64_t n) {
  *t = (transform){.n = n, .m = 1};
  if (n > ((int64_t)1 << 40)) return qcc_kx_fail(k, QCC_LIMIT, "L-244", "a transform of %lld numbers", (long long)n);
  while (t->m < n) t->m <<= 1;
  const bool direct = t->m == n;
  if (!direct)
    while (t->m < 2 * n - 1) t->m <<= 1;
  t->roots = numbers(k, t->m / 2);
  t->work = numbers(k, t->m);
  if (!t->roots || !t->work) return QCC_NOMEM;
  for (int64_t i = 0; i < t->m / 2; ++i) {
    const double at = -2 * pi * (double)i / (double)t->m;
    t->roots[i] = (complex_t){cos(at), sin(at)};
  }
  if (direct) return QCC_OK;
  t->chirp = numbers(k, n);
  t->bank = numbers(k, t->m);
  if (!t->chirp || !t->bank) return QCC_NOMEM;
  memset(t->bank, 0, (size_t)t->m * sizeof *t->bank);
  for (int64_t i = 0, square = 0; i < n; ++i) { /* i^2 modulo 2n keeps the angle exact */
    const double at = -pi * (double)square / (double)n;
    t->chirp[i] = (complex_t){cos(at), sin(at)};
    t->bank[i] = t->bank[i ? t->m - i : 0] = (complex_t){t->chirp[i].re, -t->chirp[i].im};
    square = (square + 2 * i + 1) % (2 * n);
  }
  fft(t->roots, t->bank, t->m);
  return QCC_OK;
}

/* x becomes its forward transform; x holds n numbers. */
static void forward(const transform *t, complex_t *x) {
  if (!t->chirp) {
    fft(t->roots, x, t->n);
    return;
  }
  memset(t->work, 0, (size_t)t->m * sizeof *t->work);
  for (int64_t i = 0; i < t->n; ++i) t->work[i] = times(x[i], t->chirp[i]);
  fft(t->roots, t->work, t->m);
  for (int64_t i = 0; i < t->m; ++i) { /* conjugated: the way back is the way there */
    const complex_t p = times(t->work[i], t->bank[i]);
    t->work[i] = (complex_t){p.re, -p.im};
  }
  fft(t->roots, t->work, t->m);
  for (int64_t i = 0; i < t->n; ++i) x[i] = times((complex_t){t->work[i].re / (double)t->m, -t->work[i].im / (double)t->m}, t->chirp[i]);
}

static void backward(const transform *t, complex_t *x) {
  for (int64_t i = 0; i < t->n; ++i) x[i].im = -x[i].im;
  forward(t, x);
  for (int64_t i = 0; i < t->n; ++i) x[i] = (complex_t){x[i].re / (double)t->n, -x[i].im / (double)t->n};
}

/* ---- DFT */
typedef struct line { /* one line along the axis: elements `step` apart, `parts` floats each */
  int64_t have, step, parts;
} line;

static void read_line(complex_t *to, const float *from, const line *l, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const float *at = from + i * l->step;
    to[i] = i < l->have ? (complex_t){(double)at[0], l->parts == 2 ? (double)at[1] : 0} : (complex_t){0, 0};
  }
}

/* The second half of a one-sided spectrum is the conjugate of the first. */
static void mirror(complex_t *x, int64_t n) {
  if (n) x[0].im = 0;
  if (n % 2 == 0) x[n / 2].im = 0;
  for (int64_t i = n / 2 + 1; i < n; ++i) x[i] = (complex_t){x[n - i].re, -x[n - i].im};
}

static void write_line(float *to, const complex_t *from, int64_t step, int64_t n, bool real) {
  for (int64_t i = 0; i < n; ++i) {
    to[i * step] = (float)from[i].re;
    if (!real) to[i * step + 1] = (float)from[i].im;
  }
}

typedef struct dft {
  bool inverse, half;
  int axis;
  int64_t n, out; /* numbers of the transform, of a line of the result */
} dft;

static qcc_status run_dft(qcc_kargs *k, const dft *d, const qcc_type *xt, const qcc_type *yt, const float *x, float *y) {
  const int last = xt->rank - 1;
  const int64_t outer = qcc_kx_product(xt->dim, 0, d->axis), inner = qcc_kx_product(xt->dim, d->axis + 1, last);
  const int64_t parts = xt->dim[last], made = yt->dim[last];
  const line l = {.have = d->half && d->inverse && xt->dim[d->axis] > d->n / 2 + 1 ? d->n / 2 + 1 : xt->dim[d->axis], inner * parts, parts};
  transform t;
  QCC_TRY(transform_new(k, &t, d->n));
  complex_t *row = numbers(k, d->n);
  if (!row) return QCC_NOMEM;
  for (int64_t i = 0; i < outer * inner; ++i) {
    const int64_t o = i / inner, j = i % inner;
    read_line(row, x + (o * xt->dim[d->axis] * inner + j) * parts, &l, d->n);
    if (d->half && d->inverse) mirror(row, d->n);
    if (d->inverse)
      backward(&t, row);
    else
      forward(&t, row);
    write_line(y + (o * d->out * inner + j) * made, row, inner * made, d->out, made == 1);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_dft(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const qcc_tensor *length = qcc_kx_in(k, 1), *at = k->opset < 20 ? NULL : qcc_kx_in(k, 2);
  dft d = {.inverse = qcc_attr_int(k->node, "inverse", 0) != 0, .half = qcc_attr_int(k->node, "onesided", 0) != 0};
  qcc_type t = *x;
  float *y;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(qcc_kx_axis(k, at ? qcc_tensor_get_s64(at, 0) : k->opset < 20 ? qcc_attr_int(k->node, "axis", 1) : -2, x->rank, &d.axis));
  d.n = length ? qcc_tensor_get_s64(length, 0) : d.inverse && d.half ? 2 * (x->dim[d.axis] - 1) : x->dim[d.axis];
  d.out = d.half && !d.inverse ? d.n / 2 + 1 : d.n;
  t.dim[d.axis] = d.out;
  t.dim[t.rank - 1] = d.half && d.inverse ? 1 : 2;
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  const float *from = qcc_kx_f32(k, 0);
  if (!y || !from) return y ? QCC_NOMEM : QCC_OK;
  QCC_TRY(run_dft(k, &d, x, &t, from, y));
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- STFT */
qcc_status qcc_kernel_stft(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const qcc_tensor *window = qcc_kx_in(k, 2), *given = qcc_kx_in(k, 3);
  const bool half = qcc_attr_int(k->node, "onesided", 1) != 0;
  const int64_t step = qcc_tensor_get_s64(k->in[1], 0), parts = x->dim[2];
  const int64_t n = given ? qcc_tensor_get_s64(given, 0) : window ? window->type.dim[0] : x->dim[1];
  const int64_t frames = (x->dim[1] - n) / step + 1, bins = half ? n / 2 + 1 : n;
  const qcc_type t = qcc_type_of(x->dtype, 4, (int64_t[]){x->dim[0], frames, bins, 2});
  transform f;
  float *y;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  const float *from = qcc_kx_f32(k, 0), *w = window ? qcc_kx_f32(k, 2) : NULL;
  if (!y || !from || (window && !w)) return y ? QCC_NOMEM : QCC_OK;
  QCC_TRY(transform_new(k, &f, n));
  complex_t *row = numbers(k, n);
  if (!row) return QCC_NOMEM;
  const line l = {.have = n, .step = parts, .parts = parts};
  for (int64_t i = 0; i < x->dim[0] * frames; ++i) {
    read_line(row, from + (i / frames * x->dim[1] + i % frames * step) * parts, &l, n);
    for (int64_t j = 0; w && j < n; ++j) row[j] = (complex_t){row[j].re * (double)w[j], row[j].im * (double)w[j]};
    forward(&f, row);
    write_line(y + i * bins * 2, row, 2, bins, false);
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- windows: a + b cos + c cos of twice the angle */
static qcc_status window(qcc_kargs *k, double a, double b, double c) {
  const qcc_dtype dtype = (qcc_dtype)qcc_attr_int(k->node, "output_datatype", QCC_F32);
  const int64_t n = qcc_tensor_get_s64(k->in[0], 0);
  const qcc_type t = qcc_type_of(dtype, 1, &n);
  const double period = (double)(qcc_attr_int(k->node, "periodic", 1) ? n : n - 1);
  size_t elem;
  void *to;
  QCC_TRY(qcc_kx_elem(k, dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  for (int64_t i = 0; to && i < n; ++i) {
    const double at = period > 0 ? 2 * pi * (double)i / period : pi; /* a window of one sample lets it through */
    qcc_kx_put(dtype, to, i, a + b * cos(at) + c * cos(2 * at));
  }
  return QCC_OK;
}

qcc_status qcc_kernel_hann_window(qcc_kargs *k) { return window(k, 0.5, -0.5, 0); }
qcc_status qcc_kernel_hamming_window(qcc_kargs *k) { return window(k, 25.0 / 46, -21.0 / 46, 0); }
qcc_status qcc_kernel_blackman_window(qcc_kargs *k) { return window(k, 0.42, -0.5, 0.08); }

/* ---- MelWeightMatrix: triangles between neighbouring bins of the spectrum */
static double mel_of(double hertz) { return 2595 * log10(1 + hertz / 700); }
static double hertz_of(double mel) { return 700 * (pow(10, mel / 2595) - 1); }

typedef struct mel {
  int64_t bands, length, rate, bins;
  double low, step;
} mel;

/* Bin of the spectrum where band edge `i` lies. */
static int64_t edge_bin(const mel *m, int64_t i) {
  const double at = floor(((double)m->length + 1) * hertz_of(m->low + m->step * (double)i) / (double)m->rate);
  return at >= 0 && at < (double)m->bins ? (int64_t)at : -1;
}

static qcc_status fill_band(qcc_kargs *k, const mel *m, qcc_dtype dtype, void *to, int64_t band) {
  const int64_t left = edge_bin(m, band), top = edge_bin(m, band + 1), right = edge_bin(m, band + 2);
  if (left < 0 || top < left || right < top)
    return qcc_kx_fail(k, QCC_DATA, "D-245", "band %lld is not within the %lld bins of the spectrum", (long long)band, (long long)m->bins);
  if (left == top) qcc_kx_put(dtype, to, top * m->bands + band, 1);
  for (int64_t i = left; left < top && i <= top; ++i) qcc_kx_put(dtype, to, i * m->bands + band, (double)(i - left) / (double)(top - left));
  for (int64_t i = top; i < right; ++i) qcc_kx_put(dtype, to, i * m->bands + band, (double)(right - i) / (double)(right - top));
  return QCC_OK;
}

qcc_status qcc_kernel_mel_weight_matrix(qcc_kargs *k) {
  const qcc_dtype dtype = (qcc_dtype)qcc_attr_int(k->node, "output_datatype", QCC_F32);
  for (uint32_t i = 0; i < 5; ++i)
    if (qcc_tensor_count(k->in[i]) != 1) return qcc_kx_fail(k, QCC_DATA, "D-246", "input %u must be one number", i);
  mel m = {.bands = qcc_tensor_get_s64(k->in[0], 0), .length = qcc_tensor_get_s64(k->in[1], 0), .rate = qcc_tensor_get_s64(k->in[2], 0)};
  m.bins = m.length / 2 + 1;
  m.low = mel_of(qcc_tensor_get(k->in[3], 0));
  m.step = (mel_of(qcc_tensor_get(k->in[4], 0)) - m.low) / ((double)m.bands + 2);
  const qcc_type t = qcc_type_of(dtype, 2, (int64_t[]){m.bins, m.bands});
  size_t elem;
  void *to;
  QCC_TRY(qcc_kx_elem(k, dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  if (!to) return QCC_OK;
  memset(to, 0, (size_t)(m.bins * m.bands) * elem);
  for (int64_t i = 0; i < m.bands; ++i) QCC_TRY(fill_band(k, &m, dtype, to, i));
  return QCC_OK;
}
