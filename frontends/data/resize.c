/* SPDX-License-Identifier: Apache-2.0
 * Bilinear resize with anti-aliasing, in the fixed-point arithmetic of Pillow: a horizontal, then a vertical pass, each rounding to
 * 8 bits. Invariant: bit for bit what Pillow gives, because a model's accuracy was measured on those bytes. (Pillow 13 turns the passes
 * round for some tall images, which moves a few bytes by one; the order here is the one that all versions had before.) */
#include <math.h>
#include <string.h>

#include "frontends/data/source.h"

enum { FRACTION_BITS = 32 - 8 - 2, ROUND = 1 << (FRACTION_BITS - 1) };

/* Weights of one output coordinate: `n` input coordinates from `first` on. */
typedef struct taps {
  size_t first, n;
} taps;

typedef struct filter {
  taps *taps;
  int32_t *weight; /* `width` per output coordinate */
  size_t width;
} filter;

static double triangle(double x) {
  x = x < 0 ? -x : x;
  return x < 1 ? 1 - x : 0;
}

static int32_t fixed(double w) { return (int32_t)(w * (1 << FRACTION_BITS) + 0.5); }

/* One output coordinate; `raw` has room for `width` numbers. */
static void fill_taps(filter *f, double *raw, size_t to, size_t in, double scale, double support) {
  double center = ((double)to + 0.5) * scale, sum = 0, step = 1.0 / (scale < 1 ? 1 : scale);
  double low = center - support + 0.5, high = center + support + 0.5;
  size_t first = low < 0 ? 0 : (size_t)low;
  size_t end = high > (double)in ? in : (size_t)high;
  size_t n = end - first;
  for (size_t k = 0; k < n; k++) {
    raw[k] = triangle(((double)k + (double)first - center + 0.5) * step);
    sum += raw[k];
  }
  for (size_t k = 0; k < n; k++) f->weight[to * f->width + k] = fixed(sum != 0 ? raw[k] / sum : raw[k]);
  f->taps[to] = (taps){first, n};
}

static void free_filter(qcc_context *cx, filter *f) {
  qcc_free(cx, f->taps);
  qcc_free(cx, f->weight);
}

static qcc_status make_filter(filter *f, qcc_context *cx, size_t in, size_t out) {
  double scale = (double)in / (double)out, support = scale < 1 ? 1 : scale;
  size_t count = 0;
  *f = (filter){.width = (size_t)ceil(support) * 2 + 1};
  if (!qcc_mul_size(out, f->width, &count)) return qcc_error(cx, QCC_LIMIT, "L-012", NULL, "the image is too large to be resized");
  f->taps = qcc_alloc_array(cx, out, sizeof *f->taps);
  f->weight = qcc_zalloc_array(cx, count, sizeof *f->weight);
  double *raw = qcc_alloc_array(cx, f->width, sizeof *raw);
  bool ok = f->taps && f->weight && raw;
  for (size_t i = 0; ok && i < out; i++) fill_taps(f, raw, i, in, scale, support);
  qcc_free(cx, raw);
  if (ok) return QCC_OK;
  free_filter(cx, f);
  return QCC_NOMEM;
}

static uint8_t to_byte(int32_t sum) {
  int32_t x = sum >> FRACTION_BITS;
  return (uint8_t)(x < 0 ? 0 : x > 255 ? 255 : x);
}

static void resize_row(uint8_t *to, size_t w, const uint8_t *from, const filter *f) {
  for (size_t x = 0; x < w; x++) {
    const int32_t *weight = f->weight + x * f->width;
    const uint8_t *p = from + 3 * f->taps[x].first;
    int32_t r = ROUND, g = ROUND, b = ROUND;
    for (size_t k = 0; k < f->taps[x].n; k++, p += 3) {
      r += p[0] * weight[k];
      g += p[1] * weight[k];
      b += p[2] * weight[k];
    }
    to[3 * x] = to_byte(r);
    to[3 * x + 1] = to_byte(g);
    to[3 * x + 2] = to_byte(b);
  }
}

/* Output row y: a weighted sum of whole input rows; `sum` has room for a row. */
static void resize_column(uint8_t *to, int32_t *sum, const qcc_image *i, size_t y, const filter *f) {
  size_t n = i->w * 3;
  const int32_t *weight = f->weight + y * f->width;
  for (size_t x = 0; x < n; x++) sum[x] = ROUND;
  for (size_t k = 0; k < f->taps[y].n; k++) {
    const uint8_t *from = i->rgb + (f->taps[y].first + k) * n;
    for (size_t x = 0; x < n; x++) sum[x] += from[x] * weight[k];
  }
  for (size_t x = 0; x < n; x++) to[x] = to_byte(sum[x]);
}

static void replace(qcc_image *i, qcc_image *by) {
  qcc_image_free(i);
  *i = *by;
}

static qcc_status resize_width(qcc_image *i, size_t w) {
  filter f;
  qcc_image to;
  QCC_TRY(make_filter(&f, i->cx, i->w, w));
  qcc_status st = qcc_image_new(&to, i->cx, i->name, w, i->h);
  for (size_t y = 0; st == QCC_OK && y < i->h; y++) resize_row(to.rgb + y * w * 3, w, i->rgb + y * i->w * 3, &f);
  if (st == QCC_OK) replace(i, &to);
  free_filter(i->cx, &f);
  return st;
}

static qcc_status resize_height(qcc_image *i, size_t h) {
  filter f;
  qcc_image to;
  QCC_TRY(make_filter(&f, i->cx, i->h, h));
  int32_t *sum = qcc_alloc_array(i->cx, i->w * 3, sizeof *sum);
  qcc_status st = sum ? qcc_image_new(&to, i->cx, i->name, i->w, h) : QCC_NOMEM;
  for (size_t y = 0; st == QCC_OK && y < h; y++) resize_column(to.rgb + y * i->w * 3, sum, i, y, &f);
  if (st == QCC_OK) replace(i, &to);
  qcc_free(i->cx, sum);
  free_filter(i->cx, &f);
  return st;
}

qcc_status qcc_image_resize(qcc_image *i, size_t w, size_t h) {
  if (w != i->w) QCC_TRY(resize_width(i, w));
  return h != i->h ? resize_height(i, h) : QCC_OK;
}
