/* SPDX-License-Identifier: Apache-2.0
 * The steps of a plan that work on codes. */
#include <string.h>

#include "backends/ref/qint.h"
#include "backends/ref/step.h"

typedef struct call {
  qcc_worker *w;
  const qcc_plan_step *s;
  const qcc_istep *how;
  const qcc_tensor *in;
  const uint8_t *x;
  uint8_t *y;
  size_t count; /* of x */
} call;

/* ---- pools, channels last */
/* Taps [from, to) of axis d inside the input for output `o`; returns the coordinate of tap 0. */
static int64_t taps(const qcc_conv *c, int d, int64_t o, int64_t *from, int64_t *to) {
  const int64_t start = o * c->stride[d] - c->pad[d], dil = c->dilation[d];
  *from = start >= 0 ? 0 : (-start + dil - 1) / dil;
  *to = start >= c->in[d] ? 0 : (c->in[d] - start + dil - 1) / dil;
  if (*to > c->kernel[d]) *to = c->kernel[d];
  return start;
}

static void max_pixel(const call *k, const qcc_conv *c, const uint8_t *image, int64_t oy, int64_t ox, uint8_t *to) {
  const size_t n = (size_t)c->cin;
  int64_t from[2], end[2];
  const int64_t y0 = taps(c, 1, oy, &from[0], &end[0]), x0 = taps(c, 2, ox, &from[1], &end[1]);
  memset(to, k->how->sign ? 0x80 : 0, n);
  for (int64_t ky = from[0]; ky < end[0]; ++ky) {
    for (int64_t kx = from[1]; kx < end[1]; ++kx) {
      const int64_t row = y0 + ky * c->dilation[1], column = x0 + kx * c->dilation[2];
      k->w->isimd->most(to, to, image + (size_t)(row * c->in[2] + column) * n, n, k->how->sign);
    }
  }
}

static void max_pool(const call *k) {
  const qcc_conv *c = &k->s->conv;
  const size_t channels = (size_t)c->cin, plane = (size_t)(c->in[1] * c->in[2]) * channels;
  uint8_t *to = k->y;
  for (int64_t image = 0; image < c->batch; ++image)
    for (int64_t oy = 0; oy < c->out[1]; ++oy)
      for (int64_t ox = 0; ox < c->out[2]; ++ox, to += channels) max_pixel(k, c, k->x + (size_t)image * plane, oy, ox, to);
}

static qcc_status mean(const call *k) {
  const qcc_type *t = &k->in->type;
  const size_t batch = (size_t)t->dim[0], channels = (size_t)t->dim[1], pixels = k->count / (batch * channels);
  int32_t *sums = qcc_scratch(k->w, channels * sizeof *sums);
  if (!sums) return QCC_NOMEM;
  for (size_t b = 0; b < batch; ++b) {
    for (size_t c = 0; c < channels; ++c) sums[c] = (int32_t)((uint32_t)-k->how->zero * (uint32_t)pixels);
    for (size_t i = 0; i < pixels; ++i) k->w->isimd->sum(sums, k->x + (b * pixels + i) * channels, channels, k->how->sign);
    k->w->isimd->finish(k->y + b * channels, sums, channels, k->how->scale, &k->how->end);
  }
  return QCC_OK;
}

/* ---- code by code */
static void look_up(uint8_t *y, const uint8_t *x, size_t n, const uint8_t *table) {
  size_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const uint8_t a = table[x[i]], b = table[x[i + 1]], c = table[x[i + 2]], d = table[x[i + 3]];
    y[i] = a, y[i + 1] = b, y[i + 2] = c, y[i + 3] = d;
  }
  for (; i < n; ++i) y[i] = table[x[i]];
}

static bool is_identity(const uint8_t *table) {
  for (int i = 0; i < 256; ++i)
    if (table[i] != i) return false;
  return true;
}

static void concat(const call *k) {
  const qcc_tensor *y = &k->w->slot[k->s->out[0]];
  const size_t width = (size_t)y->type.dim[1], pixels = (size_t)qcc_tensor_count(y) / width;
  size_t at = 0;
  for (uint32_t j = 0; j < k->s->in_count; ++j) {
    const qcc_tensor *t = qcc_step_value(k->w, k->s->in[j]);
    const uint8_t *x = t->data, *table = k->how->table[j];
    const size_t channels = (size_t)t->type.dim[1];
    const bool same = is_identity(table);
    for (size_t i = 0; i < pixels; ++i) {
      if (same)
        memcpy(k->y + i * width + at, x + i * channels, channels);
      else
        look_up(k->y + i * width + at, x + i * channels, channels, table);
    }
    at += channels;
  }
}

static void quantize(const call *k) {
  const qcc_iend *e = &k->how->end;
  k->w->simd->codes(k->y, k->in->data, k->count, k->how->scale, e->lo, e->hi, e->zero);
}

static void combine(const call *k) {
  const uint8_t *b = qcc_step_value(k->w, k->s->in[1])->data;
  (k->how->kind == QCC_ISTEP_ADD ? k->w->isimd->add : k->w->isimd->mul)(k->y, k->x, b, k->count, &k->how->add);
}

static qcc_status product(const call *k) {
  uint32_t at = 1;
  int32_t zero;
  qcc_ilate late = {.zero = NULL};
  if (k->how->late_zero) {
    zero = (int32_t)qcc_tensor_get_s64(qcc_step_value(k->w, k->s->in[at++]), 0);
    late.zero = &zero;
  }
  if (k->how->late_scale) {
    const qcc_tensor *t = qcc_step_value(k->w, k->s->in[at]);
    late.scale = t->data, late.scales = (size_t)qcc_tensor_count(t);
  }
  if (k->how->kind == QCC_ISTEP_CONV) return qcc_iconv_run(k->w, &k->s->conv, k->how->pack, k->x, &late, k->y);
  return qcc_idense_run(k->w, k->how->pack, k->count / k->how->pack->run, k->x, &late, k->y);
}

qcc_status qcc_istep_run(qcc_worker *w, const qcc_plan_step *s) {
  call k = {.w = w, .s = s, .how = s->codes, .in = qcc_step_value(w, s->in[0])};
  k.x = k.in->data, k.y = (uint8_t *)(uintptr_t)w->slot[s->out[0]].data;
  k.count = (size_t)qcc_tensor_count(k.in);
  switch (k.how->kind) {
    case QCC_ISTEP_CONV:
    case QCC_ISTEP_DENSE: return product(&k);
    case QCC_ISTEP_MEAN: return mean(&k);
    case QCC_ISTEP_ADD:
    case QCC_ISTEP_MUL: combine(&k); break;
    case QCC_ISTEP_TABLE: look_up(k.y, k.x, k.count, k.how->table[0]); break;
    case QCC_ISTEP_MAX_POOL: max_pool(&k); break;
    case QCC_ISTEP_CONCAT: concat(&k); break;
    case QCC_ISTEP_QUANTIZE: quantize(&k); break;
    default: w->isimd->dequantize((float *)(void *)k.y, k.x, k.count, k.how->sign, k.how->scale, k.how->zero); break;
  }
  return QCC_OK;
}
