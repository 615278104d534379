/* SPDX-License-Identifier: Apache-2.0
 * The text of the inner loops (see simd.h). The including file defines the vector type `vec`, LANES and vec_load, vec_store, vec_set,
 * square(y, ystep, x, xstep) to transpose SQUARE x SQUARE floats, vec_add, vec_sub, vec_mul, vec_div, vec_fma(a, b, c) = a * b + c,
 * vec_max and vec_min (NaN in the second operand passes), vec_known (0 for NaN), scalar_fma, ISA_NAME and ISA_TABLE. Sums of products and
 * Winograd's transforms use vec_fma, functions scalar_fma; all else is plain C that the compiler vectorises without changing a bit. */
#include <math.h>
#include <string.h>

#define qcc_km_fma scalar_fma
#include "backends/ref/simd/kmath.h"
#include "backends/ref/simd/simd.h"

#define INLINE static inline __attribute__((always_inline))
enum { NR = 2 * LANES, AHEAD = 48, ROW_AHEAD = 16 }; /* rows of b: the hardware's own prefetch ends with every page */

/* ---- what becomes of a sum. Clamping codes first is the same as rounding first, because the bounds are whole; adding and subtracting
 * 1.5 * 2^23 rounds half to even and turns -0 into +0. */
#define ROUNDER 12582912.0f
enum { ROUNDER_BITS = 0x4B400000 };
INLINE float clip1(float x, float lo, float hi) {
  const float up = x < lo ? lo : x;
  return up > hi ? hi : up;
}

INLINE float code_of(float x, float scale, float lowest, float highest) { /* plus ROUNDER */
  const float v = x / scale;
  return clip1(v != v ? 0.0f : v, lowest, highest) + ROUNDER;
}

INLINE float finish1(const qcc_finish *f, float x) {
  x = f->lo > x ? f->lo : x;
  x = f->hi < x ? f->hi : x;
  return f->scale > 0.0f ? (code_of(x, f->scale, f->lowest, f->highest) - ROUNDER) * f->scale : x;
}

INLINE vec finish(const qcc_finish *f, vec x) {
  x = vec_min(vec_set(f->hi), vec_max(vec_set(f->lo), x));
  if (!(f->scale > 0.0f)) return x;
  const vec scale = vec_set(f->scale), rounder = vec_set(ROUNDER);
  x = vec_min(vec_set(f->highest), vec_max(vec_set(f->lowest), vec_known(vec_div(x, scale))));
  return vec_mul(vec_sub(vec_add(x, rounder), rounder), scale);
}

/* ---- matrix tile: QCC_MR x 2 vectors of sums in registers */
#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)

INLINE void tile_store(const qcc_tile *t, size_t row, vec x, vec y) {
  float *to = t->out + row * t->ldc;
  x = finish(&t->end, x);
  y = finish(&t->end, y);
  if (t->n == NR) {
    vec_store(to, x);
    vec_store(to + LANES, y);
  } else {
    float part[NR];
    vec_store(part, x);
    vec_store(part + LANES, y);
    memcpy(to, part, t->n * sizeof *to);
  }
}

INLINE void tile_rows(const qcc_tile *t, const unsigned m) {
  const float *b = t->b;
  const float *const *a = t->a;
  const size_t ldb = t->ldb, depth = t->depth;
  const float *next = t->next;
  const vec zero = vec_set(0.0f);
  const vec x = t->bias ? vec_load(t->bias) : zero, y = t->bias ? vec_load(t->bias + LANES) : zero;
#define ROW_START(i) vec x##i = x, y##i = y;
  EACH_ROW(ROW_START)
  for (size_t tap = 0; tap < t->taps; ++tap, a += QCC_MR) {
#define ROW_POINTER(i) const float *p##i = i < m ? a[i] : NULL;
    EACH_ROW(ROW_POINTER)
#define ROW_STEP(i, j)                  \
  if (i < m) {                          \
    const vec f = vec_set(p##i[k + j]); \
    x##i = vec_fma(f, b0, x##i);        \
    y##i = vec_fma(f, b1, y##i);        \
  }
#define DEPTH_STEP(j)                                                                         \
  {                                                                                           \
    const vec b0 = vec_load(b), b1 = vec_load(b + LANES);                                     \
    __builtin_prefetch(b + AHEAD * ldb);                                                      \
    b += ldb;                                                                                 \
    ROW_STEP(0, j) ROW_STEP(1, j) ROW_STEP(2, j) ROW_STEP(3, j) ROW_STEP(4, j) ROW_STEP(5, j) \
  }
    size_t k = 0; /* fewer, predictable branches: many depths are short */
    for (; k + 4 <= depth; k += 4, next += ldb) {
      __builtin_prefetch(next, 0, 2); /* into the second cache */
      DEPTH_STEP(0) DEPTH_STEP(1) DEPTH_STEP(2) DEPTH_STEP(3)
    }
    for (; k < depth; ++k) DEPTH_STEP(0)
  }
#define ROW_STORE(i) \
  if (i < m) tile_store(t, i, x##i, y##i);
  EACH_ROW(ROW_STORE)
}

/* The same for a last panel of at most one vector. */
INLINE void tile_half(const qcc_tile *t, const unsigned m) {
  const float *b = t->b;
  const float *const *a = t->a;
  const size_t ldb = t->ldb, depth = t->depth;
  const vec x = t->bias ? vec_load(t->bias) : vec_set(0.0f);
#define HALF_START(i) vec x##i = x;
  EACH_ROW(HALF_START)
  for (size_t tap = 0; tap < t->taps; ++tap, a += QCC_MR) {
    EACH_ROW(ROW_POINTER)
    for (size_t k = 0; k < depth; ++k, b += ldb) {
      const vec b0 = vec_load(b);
#define HALF_STEP(i) \
  if (i < m) x##i = vec_fma(vec_set(p##i[k]), b0, x##i);
      EACH_ROW(HALF_STEP)
    }
  }
#define HALF_STORE(i)                                         \
  if (i < m) {                                                \
    float part[LANES];                                        \
    vec_store(part, finish(&t->end, x##i));                   \
    memcpy(t->out + i * t->ldc, part, t->n * sizeof *t->out); \
  }
  EACH_ROW(HALF_STORE)
}

static void tile(const qcc_tile *t) {
  if (t->n <= LANES) {
    if (t->m == 6)
      tile_half(t, 6);
    else
      tile_half(t, t->m);
    return;
  }
  switch (t->m) {
    case 1: tile_rows(t, 1); break;
    case 2: tile_rows(t, 2); break;
    case 3: tile_rows(t, 3); break;
    case 4: tile_rows(t, 4); break;
    case 5: tile_rows(t, 5); break;
    default: tile_rows(t, 6); break;
  }
}

#define EACH_PANEL(DO) DO(0) DO(1) DO(2) DO(3)

INLINE void row_panels(const qcc_row *r, const unsigned n) {
  const size_t ldb = r->ldb;
#define PANEL_START(i)                            \
  const float *b##i = r->b + i * r->panel_step;   \
  float *to##i = r->y + i * NR;                   \
  vec x##i = vec_set(0.0f), y##i = vec_set(0.0f); \
  if (i < n) x##i = vec_load(to##i), y##i = vec_load(to##i + LANES);
  EACH_PANEL(PANEL_START)
  for (size_t k = 0; k < r->depth; ++k) {
    const vec f = vec_set(r->a[k]);
#define PANEL_STEP(i)                                \
  if (i < n) {                                       \
    x##i = vec_fma(f, vec_load(b##i), x##i);         \
    y##i = vec_fma(f, vec_load(b##i + LANES), y##i); \
    __builtin_prefetch(b##i + ROW_AHEAD * ldb);      \
    b##i += ldb;                                     \
  }
    EACH_PANEL(PANEL_STEP)
  }
#define PANEL_STORE(i)                               \
  if (i < n) {                                       \
    vec_store(to##i, finish(&r->end, x##i));         \
    vec_store(to##i + LANES, finish(&r->end, y##i)); \
  }
  EACH_PANEL(PANEL_STORE)
}

static void row(const qcc_row *r) {
  switch (r->panels) {
    case 1: row_panels(r, 1); break;
    case 2: row_panels(r, 2); break;
    case 3: row_panels(r, 3); break;
    default: row_panels(r, 4); break;
  }
}

/* ---- depthwise: `pixels` neighbouring outputs x `vecs` vectors of channels in registers; `taps` of a row, 0: d->taps */
INLINE void dw_block(const qcc_dwrun *d, size_t pixel, size_t c, const unsigned pixels, const unsigned vecs, const unsigned taps) {
  vec sum[3][4];
  const size_t step = d->step, dilation = d->dilation, channels = d->channels, count = taps ? taps : d->taps;
  for (unsigned j = 0; j < vecs; ++j) {
    const vec start = d->bias ? vec_load(d->bias + c + j * LANES) : vec_set(0.0f);
    for (unsigned i = 0; i < pixels; ++i) sum[i][j] = start;
  }
  for (size_t r = 0; r < d->rows; ++r) {
    const float *x = d->row[r] + pixel * step + c, *w = d->w[r] + c;
    for (size_t t = 0; t < count; ++t, x += dilation, w += channels) {
      vec f[4];
      for (unsigned j = 0; j < vecs; ++j) f[j] = vec_load(w + j * LANES);
      for (unsigned i = 0; i < pixels; ++i)
        for (unsigned j = 0; j < vecs; ++j) sum[i][j] = vec_fma(vec_load(x + i * step + j * LANES), f[j], sum[i][j]);
    }
  }
  float *to = d->out + pixel * channels + c;
  for (unsigned i = 0; i < pixels; ++i, to += channels)
    for (unsigned j = 0; j < vecs; ++j) vec_store(to + j * LANES, finish(&d->end, sum[i][j]));
}

/* Four pixels, three taps per row, neighbours one tap apart: every input is loaded once. */
INLINE void dw_near(const qcc_dwrun *d, size_t pixel, size_t c, const unsigned vecs) {
  vec sum[4][2];
  const size_t step = d->step, channels = d->channels;
  for (unsigned j = 0; j < vecs; ++j) {
    const vec start = d->bias ? vec_load(d->bias + c + j * LANES) : vec_set(0.0f);
    for (unsigned i = 0; i < 4; ++i) sum[i][j] = start;
  }
  for (size_t r = 0; r < d->rows; ++r) {
    const float *x = d->row[r] + pixel * step + c, *w = d->w[r] + c;
    vec f[3][2];
    for (unsigned t = 0; t < 3; ++t)
      for (unsigned j = 0; j < vecs; ++j) f[t][j] = vec_load(w + t * channels + j * LANES);
    for (unsigned at = 0; at < 6; ++at, x += step) {
      for (unsigned j = 0; j < vecs; ++j) {
        const vec v = vec_load(x + j * LANES);
        for (unsigned i = 0; i < 4; ++i)
          if (at >= i && at < i + 3) sum[i][j] = vec_fma(v, f[at - i][j], sum[i][j]);
      }
    }
  }
  float *to = d->out + pixel * channels + c;
  for (unsigned i = 0; i < 4; ++i, to += channels)
    for (unsigned j = 0; j < vecs; ++j) vec_store(to + j * LANES, finish(&d->end, sum[i][j]));
}

INLINE void dw_piece(const qcc_dwrun *d, size_t pixel, size_t c, const unsigned pixels, const unsigned vecs, const unsigned taps) {
  if (pixels == 4)
    dw_near(d, pixel, c, vecs);
  else
    dw_block(d, pixel, c, pixels, vecs, taps);
}

static void dw_tail(const qcc_dwrun *d, size_t pixel, size_t c) {
  float sum = d->bias ? d->bias[c] : 0.0f;
  for (size_t r = 0; r < d->rows; ++r)
    for (size_t t = 0; t < d->taps; ++t)
      sum = scalar_fma(d->row[r][pixel * d->step + t * d->dilation + c], d->w[r][t * d->channels + c], sum);
  d->out[pixel * d->channels + c] = finish1(&d->end, sum);
}

/* All channels of `pixels` pixels, `vecs` vectors at a time. */
INLINE void dw_pixels(const qcc_dwrun *d, size_t pixel, const unsigned pixels, const unsigned vecs, const unsigned taps) {
  const size_t whole = d->channels - d->channels % LANES;
  size_t c = 0;
  for (; c + vecs * LANES <= whole; c += vecs * LANES) dw_piece(d, pixel, c, pixels, vecs, taps);
  for (; vecs > 2 && c + NR <= whole; c += NR) dw_piece(d, pixel, c, pixels, 2, taps);
  for (; c < whole; c += LANES) dw_piece(d, pixel, c, pixels, 1, taps);
  for (; c < d->channels; ++c)
    for (size_t i = 0; i < pixels; ++i) dw_tail(d, pixel + i, c);
}

/* `pixels` at a time, when there are as many; the last ones are computed again, which costs less than one by one. */
INLINE bool dw_run(const qcc_dwrun *d, const unsigned pixels, const unsigned vecs, const unsigned taps) {
  if (d->count < pixels) return false;
  size_t i = 0;
  for (; i + pixels <= d->count; i += pixels) dw_pixels(d, i, pixels, vecs, taps);
  if (i < d->count) dw_pixels(d, d->count - pixels, pixels, vecs, taps);
  return true;
}

/* Where neighbours share no inputs, few pixels and many channels: the processor fetches ahead for few streams only. */
static void depthwise(const qcc_dwrun *d) {
  if (d->taps == 3 && d->step == d->dilation && dw_run(d, 4, 2, 3)) return;
  if (d->taps == 3 && dw_run(d, 3, 4, 3)) return;
  if (!dw_run(d, 3, 4, 0)) dw_run(d, 1, 4, 0);
}

/* ---- Winograd's transforms along one axis, of values `S` apart */
INLINE vec load_part(const float *p, size_t n) {
  if (n >= LANES) return vec_load(p);
  float part[LANES] = {0};
  memcpy(part, p, n * sizeof *p);
  return vec_load(part);
}

INLINE void store_part(float *p, vec x, size_t n) {
  if (n >= LANES) {
    vec_store(p, x);
    return;
  }
  float part[LANES];
  vec_store(part, x);
  memcpy(p, part, n * sizeof *p);
}

INLINE void wino_in_axis(vec *d, const size_t s) {
  const vec four = vec_set(4.0f), five = vec_set(-5.0f), minus = vec_set(-4.0f), two = vec_set(2.0f);
  const vec d0 = d[0], d1 = d[s], d2 = d[2 * s], d3 = d[3 * s], d4 = d[4 * s], d5 = d[5 * s];
  const vec a = vec_fma(minus, d2, d4), b = vec_fma(minus, d1, d3), c = vec_sub(d4, d2), e = vec_sub(d3, d1);
  d[0] = vec_fma(four, d0, vec_fma(five, d2, d4));
  d[s] = vec_add(a, b);
  d[2 * s] = vec_sub(a, b);
  d[3 * s] = vec_fma(two, e, c);
  d[4 * s] = vec_fma(vec_set(-2.0f), e, c);
  d[5 * s] = vec_fma(four, d1, vec_fma(five, d3, d5));
}

static void wino_in(float *v, size_t step, const float *const *x, size_t channels) {
  for (size_t c = 0; c < channels; c += LANES) {
    const size_t n = channels - c;
    vec d[QCC_WINO_IN * QCC_WINO_IN];
    for (size_t j = 0; j < QCC_WINO_IN; ++j) {
      for (size_t i = 0; i < QCC_WINO_IN; ++i) d[i * QCC_WINO_IN + j] = load_part(x[i * QCC_WINO_IN + j] + c, n);
      wino_in_axis(d + j, QCC_WINO_IN);
    }
    for (size_t i = 0; i < QCC_WINO_IN; ++i) {
      wino_in_axis(d + i * QCC_WINO_IN, 1);
      for (size_t j = 0; j < QCC_WINO_IN; ++j) store_part(v + (i * QCC_WINO_IN + j) * step + c, d[i * QCC_WINO_IN + j], n);
    }
  }
}

INLINE void wino_out_axis(vec *to, const vec *m, const size_t s) {
  const vec p = vec_add(m[s], m[2 * s]), q = vec_sub(m[s], m[2 * s]), r = vec_add(m[3 * s], m[4 * s]), t = vec_sub(m[3 * s], m[4 * s]);
  to[0] = vec_add(vec_add(m[0], p), r);
  to[1] = vec_fma(vec_set(2.0f), t, q);
  to[2] = vec_fma(vec_set(4.0f), r, p);
  to[3] = vec_add(vec_fma(vec_set(8.0f), t, q), m[5 * s]);
}

static void wino_out(const qcc_wino_out *o) {
  for (size_t c = 0; c < o->channels; c += LANES) {
    const size_t n = o->channels - c;
    const vec bias = o->bias ? load_part(o->bias + c, n) : vec_set(0.0f);
    vec half[QCC_WINO_IN * QCC_WINO_OUT], y[QCC_WINO_OUT];
    for (size_t i = 0; i < QCC_WINO_IN; ++i) {
      vec m[QCC_WINO_IN];
      for (size_t j = 0; j < QCC_WINO_IN; ++j) m[j] = load_part(o->m + (i * QCC_WINO_IN + j) * o->step + c, n);
      wino_out_axis(half + i * QCC_WINO_OUT, m, 1);
    }
    for (size_t j = 0; j < QCC_WINO_OUT; ++j) {
      wino_out_axis(y, half + j, QCC_WINO_OUT);
      for (size_t i = 0; i < QCC_WINO_OUT; ++i)
        if (o->y[i * QCC_WINO_OUT + j]) store_part(o->y[i * QCC_WINO_OUT + j] + c, finish(&o->end, vec_add(y[i], bias)), n);
    }
  }
}

/* ---- one operand */
#define ACT(NAME, EXPR)                                                             \
  static void act_##NAME(float *y, const float *from, size_t n, float p, float q) { \
    (void)p, (void)q;                                                               \
    for (size_t i = 0; i < n; ++i) {                                                \
      const float x = from[i];                                                      \
      y[i] = (EXPR);                                                                \
    }                                                                               \
  }
ACT(relu, x < 0.0f ? 0.0f : x)
ACT(clip, clip1(x, p, q))
ACT(leaky, x < 0.0f ? p * x : x)
ACT(sigmoid, qcc_km_sigmoid(x))
ACT(silu, x *qcc_km_sigmoid(x))
ACT(tanh, qcc_km_tanh(x))
ACT(hard_sigmoid, clip1(p *x + q, 0.0f, 1.0f))
ACT(hard_swish, x *clip1(x / 6.0f + 0.5f, 0.0f, 1.0f))
ACT(exp, qcc_km_exp(x))
ACT(erf, qcc_km_erf(x))
ACT(gelu, qcc_km_gelu(x))

static void act(qcc_act f, float *y, const float *x, size_t n, float p, float q) {
  switch (f) {
    case QCC_ACT_RELU: act_relu(y, x, n, p, q); break;
    case QCC_ACT_CLIP: act_clip(y, x, n, p, q); break;
    case QCC_ACT_LEAKY_RELU: act_leaky(y, x, n, p, q); break;
    case QCC_ACT_SIGMOID: act_sigmoid(y, x, n, p, q); break;
    case QCC_ACT_SILU: act_silu(y, x, n, p, q); break;
    case QCC_ACT_TANH: act_tanh(y, x, n, p, q); break;
    case QCC_ACT_HARD_SIGMOID: act_hard_sigmoid(y, x, n, p, q); break;
    case QCC_ACT_HARD_SWISH: act_hard_swish(y, x, n, p, q); break;
    case QCC_ACT_ERF: act_erf(y, x, n, p, q); break;
    case QCC_ACT_GELU: act_gelu(y, x, n, p, q); break;
    default: act_exp(y, x, n, p, q); break;
  }
}

/* ---- two operands */
#define ARITH_LOOPS(B)                                  \
  switch (f) {                                          \
    case QCC_ARITH_ADD:                                 \
      for (size_t i = 0; i < n; ++i) y[i] = a[i] + (B); \
      break;                                            \
    case QCC_ARITH_SUB:                                 \
      for (size_t i = 0; i < n; ++i) y[i] = a[i] - (B); \
      break;                                            \
    case QCC_ARITH_MUL:                                 \
      for (size_t i = 0; i < n; ++i) y[i] = a[i] * (B); \
      break;                                            \
    default:                                            \
      for (size_t i = 0; i < n; ++i) y[i] = a[i] / (B); \
      break;                                            \
  }

static void arith(qcc_arith f, float *y, const float *a, const float *b, size_t n) { ARITH_LOOPS(b[i]) }

static void scalar(qcc_arith f, float *y, const float *a, float b, size_t n) { ARITH_LOOPS(b) }

static void affine(float *y, const float *x, const float *scale, const float *shift, size_t n) {
  if (scale && shift) {
    for (size_t i = 0; i < n; ++i) y[i] = x[i] * scale[i] + shift[i];
  } else if (scale) {
    for (size_t i = 0; i < n; ++i) y[i] = x[i] * scale[i];
  } else {
    for (size_t i = 0; i < n; ++i) y[i] = x[i] + shift[i];
  }
}

static void maximum(float *y, const float *a, const float *b, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] = a[i] > b[i] ? a[i] : b[i];
}

/* ---- quantization */
static void fake_quant(float *y, const float *x, size_t n, float scale, float lo, float hi) {
  for (size_t i = 0; i < n; ++i) y[i] = (code_of(x[i], scale, lo, hi) - ROUNDER) * scale;
}

/* Eight values of the table: numbers come in pairs by one load, and all values are read before one is stored. */
INLINE void look_up8(float *y, const int32_t *at, const float *table) {
  uint64_t pair[4];
  memcpy(pair, at, sizeof pair);
  const float a = table[(uint32_t)pair[0]], b = table[pair[0] >> 32], c = table[(uint32_t)pair[1]], d = table[pair[1] >> 32];
  const float e = table[(uint32_t)pair[2]], f = table[pair[2] >> 32], g = table[(uint32_t)pair[3]], h = table[pair[3] >> 32];
  y[0] = a, y[1] = b, y[2] = c, y[3] = d, y[4] = e, y[5] = f, y[6] = g, y[7] = h;
}

static void lookup(float *y, const float *x, size_t n, float scale, float lo, float hi, const float *table) {
  enum { SOME = 256 };
  const int32_t first = ROUNDER_BITS + (int32_t)lo;
  int32_t at[SOME];
  for (size_t m; n; x += m, y += m, n -= m) {
    m = n < SOME ? n : SOME;
    for (size_t j = 0; j < m; ++j) {
      const float code = code_of(x[j], scale, lo, hi);
      memcpy(&at[j], &code, sizeof *at);
      at[j] -= first;
    }
    size_t j = 0;
    for (; j + 8 <= m; j += 8) look_up8(y + j, at + j, table);
    for (; j < m; ++j) y[j] = table[at[j]];
  }
}

static void codes(uint8_t *y, const float *x, size_t n, float scale, float lo, float hi, int32_t zero) {
  for (size_t i = 0; i < n; ++i) {
    const float code = code_of(x[i], scale, lo, hi);
    int32_t bits;
    memcpy(&bits, &code, sizeof bits);
    y[i] = (uint8_t)(uint32_t)(bits - ROUNDER_BITS + zero);
  }
}

static void range(const float *x, size_t n, float *lo, float *hi) {
  float low[32], high[32];
  size_t i = 0;
  for (int j = 0; j < 32; ++j) low[j] = *lo, high[j] = *hi;
  for (; i + 32 <= n; i += 32) {
    for (int j = 0; j < 32; ++j) {
      low[j] = x[i + (size_t)j] < low[j] ? x[i + (size_t)j] : low[j];
      high[j] = x[i + (size_t)j] > high[j] ? x[i + (size_t)j] : high[j];
    }
  }
  for (; i < n; ++i) {
    low[0] = x[i] < low[0] ? x[i] : low[0];
    high[0] = x[i] > high[0] ? x[i] : high[0];
  }
  for (int half = 16; half; half /= 2) {
    for (int j = 0; j < half; ++j) {
      low[j] = low[j + half] < low[j] ? low[j + half] : low[j];
      high[j] = high[j + half] > high[j] ? high[j + half] : high[j];
    }
  }
  *lo = low[0];
  *hi = high[0];
}

/* ---- what the arithmetic units can do at most: more sums than any processor needs to hide its latency */
#define EACH_CHAIN(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11)

static double peak(size_t rounds, float *to) {
  const vec half = vec_set(0.5f), one = vec_set(1.0f);
#define CHAIN_START(i) vec x##i = vec_set((float)i);
#define CHAIN_STEP(i) x##i = vec_fma(x##i, half, one);
#define CHAIN_STORE(i) vec_store(to, vec_max(vec_load(to), x##i));
  EACH_CHAIN(CHAIN_START)
  for (size_t k = 0; k < rounds; ++k) { EACH_CHAIN(CHAIN_STEP) }
  EACH_CHAIN(CHAIN_STORE)
  return (double)rounds * 2 * LANES * 12;
}

/* ---- transposition: squares of SQUARE, two side by side so that whole cache lines are read */
static void transpose_edge(float *y, const float *x, size_t rows, size_t columns, size_t i, size_t j0, size_t j1) {
  for (; i < rows; ++i)
    for (size_t j = j0; j < j1; ++j) y[j * rows + i] = x[i * columns + j];
}

static void transpose(float *y, const float *x, size_t rows, size_t columns) {
  for (size_t j0 = 0; j0 < columns; j0 += 2 * SQUARE) {
    const size_t j1 = columns - j0 < 2 * SQUARE ? columns : j0 + 2 * SQUARE;
    size_t i = 0;
    for (; i + SQUARE <= rows; i += SQUARE) {
      size_t j = j0;
      for (; j + SQUARE <= j1; j += SQUARE) square(y + j * rows + i, rows, x + i * columns + j, columns);
      for (; j < j1; ++j)
        for (size_t k = i; k < i + SQUARE; ++k) y[j * rows + k] = x[k * columns + j];
    }
    transpose_edge(y, x, rows, columns, i, j0, j1);
  }
}

const qcc_simd ISA_TABLE = {
    .name = ISA_NAME,
    .nr = NR,
    .tile = tile,
    .row = row,
    .depthwise = depthwise,
    .wino_in = wino_in,
    .wino_out = wino_out,
    .act = act,
    .arith = arith,
    .scalar = scalar,
    .affine = affine,
    .maximum = maximum,
    .fake_quant = fake_quant,
    .lookup = lookup,
    .codes = codes,
    .transpose = transpose,
    .range = range,
    .peak = peak,
};
