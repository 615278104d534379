/* SPDX-License-Identifier: Apache-2.0
 * Pools, channels last: each output pixel is a fold over the channel vectors of its taps, in the order of the taps. */
#include <string.h>

#include "backends/ref/step.h"

/* Taps [from, to) of axis d inside the input for output `o`, and the coordinate of tap 0. */
static void inside(const qcc_conv *c, int d, int64_t o, int64_t *start, int64_t *from, int64_t *to) {
  const int64_t first = o * c->stride[d] - c->pad[d], dil = c->dilation[d];
  *start = first;
  *from = first >= 0 ? 0 : (-first + dil - 1) / dil;
  *to = first >= c->in[d] ? 0 : (c->in[d] - first + dil - 1) / dil;
  if (*to > c->kernel[d]) *to = c->kernel[d];
  if (*from > *to) *from = *to;
}

typedef struct taps {
  int64_t y0, y1, sy, x0, x1, sx;
} taps;

static const float *tap(const qcc_conv *c, const float *plane, const taps *t, int64_t ky, int64_t kx) {
  return plane + ((t->sy + ky * c->dilation[1]) * c->in[2] + t->sx + kx * c->dilation[2]) * c->cin;
}

static void max_pixel(const qcc_simd *simd, const qcc_conv *c, const float *plane, const taps *t, float *y) {
  const size_t n = (size_t)c->cin;
  bool first = true;
  for (int64_t ky = t->y0; ky < t->y1; ++ky) {
    for (int64_t kx = t->x0; kx < t->x1; ++kx, first = false) {
      const float *x = tap(c, plane, t, ky, kx);
      if (first)
        memcpy(y, x, n * sizeof *y);
      else
        simd->maximum(y, x, y, n);
    }
  }
  for (size_t i = 0; first && i < n; ++i) y[i] = -__builtin_inff();
}

/* Elements of the padded input under the window. */
static int64_t padded(const qcc_conv *c, int d, int64_t start) {
  const int64_t end = c->in[d] + c->pad_end[d], n = (end - start + c->dilation[d] - 1) / c->dilation[d];
  return n < c->kernel[d] ? n : c->kernel[d];
}

static void average_pixel(const qcc_simd *simd, const qcc_conv *c, bool count_pads, const float *plane, const taps *t, float *y) {
  const size_t n = (size_t)c->cin;
  const int64_t real = (t->y1 - t->y0) * (t->x1 - t->x0);
  memset(y, 0, n * sizeof *y);
  for (int64_t ky = t->y0; ky < t->y1; ++ky)
    for (int64_t kx = t->x0; kx < t->x1; ++kx) simd->arith(QCC_ARITH_ADD, y, y, tap(c, plane, t, ky, kx), n);
  const int64_t count = count_pads ? padded(c, 1, t->sy) * padded(c, 2, t->sx) : real ? real : 1;
  simd->scalar(QCC_ARITH_DIV, y, y, (float)count, n);
}

typedef struct pool {
  const qcc_worker *w;
  const qcc_conv *c;
  bool max, count_pads;
} pool;

static void line(const pool *p, const float *plane, int64_t oy, float *y) {
  const qcc_conv *c = p->c;
  taps t;
  inside(c, 1, oy, &t.sy, &t.y0, &t.y1);
  for (int64_t ox = 0; ox < c->out[2]; ++ox, y += c->cin) {
    inside(c, 2, ox, &t.sx, &t.x0, &t.x1);
    if (p->max)
      max_pixel(p->w->simd, c, plane, &t, y);
    else
      average_pixel(p->w->simd, c, p->count_pads, plane, &t, y);
  }
}

static void run(const pool *p, const float *x, float *y, const qcc_posts *posts) {
  const qcc_conv *c = p->c;
  const size_t n = (size_t)(c->out[2] * c->cin);
  for (int64_t image = 0; image < c->batch; ++image) {
    for (int64_t oy = 0; oy < c->out[1]; ++oy) {
      const size_t offset = (size_t)(image * c->out[1] + oy) * n;
      line(p, x + image * c->in[1] * c->in[2] * c->cin, oy, y + offset);
      qcc_posts_run(p->w, posts, y + offset, offset, n);
    }
  }
}

void qcc_step_max_pool(const qcc_worker *w, const qcc_conv *c, const float *x, float *y, const qcc_posts *posts) {
  run(&(pool){.w = w, .c = c, .max = true}, x, y, posts);
}

void qcc_step_average_pool(const qcc_worker *w, const qcc_conv *c, bool count_pads, const float *x, float *y, const qcc_posts *posts) {
  run(&(pool){.w = w, .c = c, .count_pads = count_pads}, x, y, posts);
}

/* Sums in double: maps can have many elements. */
void qcc_step_mean(const qcc_worker *w, size_t batch, size_t spatial, size_t channels, const float *x, float *y, const qcc_posts *posts) {
  enum { WIDE = 64 };
  for (size_t b = 0; b < batch; ++b) {
    for (size_t c = 0; c < channels; c += WIDE) {
      const size_t n = channels - c < WIDE ? channels - c : WIDE;
      double sum[WIDE] = {0};
      for (size_t i = 0; i < spatial; ++i)
        for (size_t j = 0; j < n; ++j) sum[j] += (double)x[(b * spatial + i) * channels + c + j];
      for (size_t j = 0; j < n; ++j) y[b * channels + c + j] = (float)(sum[j] / (double)spatial);
    }
  }
  qcc_posts_run(w, posts, y, 0, batch * channels);
}
