/* SPDX-License-Identifier: Apache-2.0
 * The text of the integer loops (see isimd.h). The including file defines ISA_NAME, ISA_TABLE, LANES and the vectors
 *   ivec: LANES s32; fvec: LANES floats
 *   ivec_load, ivec_store, ivec_set, ivec_add; ivec_group(p): the 4 bytes at p in every lane
 *   ivec_pair(sum, a, b), ivec_quad(sum, a, b), perhaps ivec_dot(sum, a, b): sum + products of the groups of a lane
 *   perhaps ivec_dot_column(sum, b): what ivec_dot leaves out, because it is the same in every row
 *   ivec_low(a, b), ivec_high(a, b): s16 of a and b in turn, from the lower and the upper half of every 128 bits
 *   fvec_load, fvec_store, fvec_set, fvec_mul, fvec_max(x, lo) (lo when x is NaN), fvec_min; fvec_of(ivec), ivec_round(fvec)
 *   put_bytes(p, a, b): the low bytes of a, then of b; put_turned(p, a, b): of ivec_low and ivec_high order. Numbers are within a byte.
 * All else is plain C that the compiler vectorises. */
#include <math.h>
#include <string.h>

#include "backends/ref/simd/isimd.h"
#include "backends/ref/simd/simd.h" /* QCC_MR */

/* Stops the compiler from moving sums about, which costs it their registers. */
#if defined(__GNUC__) && defined(__x86_64__)
#define IN_PLACE(x) __asm__("" : "+v"(x))
#elif defined(__GNUC__) && defined(__aarch64__)
#define IN_PLACE(x) __asm__("" : "+w"(x))
#else
#define IN_PLACE(x)
#endif

#define INLINE static inline __attribute__((always_inline))
enum { NR = 2 * LANES };
enum { PAIR, QUAD, DOT };

INLINE ivec step(const int kind, ivec sum, ivec a, ivec b) {
#ifdef ivec_dot
  if (kind == DOT) return ivec_dot(sum, a, b);
#endif
  return kind == PAIR ? ivec_pair(sum, a, b) : ivec_quad(sum, a, b);
}

INLINE ivec column(const int kind, ivec sum, ivec b) {
#ifdef ivec_dot_column
  if (kind == DOT) return ivec_dot_column(sum, b);
#endif
  (void)kind, (void)b;
  return sum;
}

INLINE ivec to_codes(const qcc_iend *e, ivec sum, fvec scale) {
  const fvec x = fvec_mul(fvec_of(sum), scale);
  return ivec_add(ivec_round(fvec_min(fvec_max(x, fvec_set(e->lo)), fvec_set(e->hi))), ivec_set(e->zero));
}

/* ---- tile */
INLINE void end_row(const qcc_itile *t, size_t row, ivec x, ivec y) {
  const qcc_iend *e = &t->end;
  const bool whole = t->n == NR;
  uint8_t part[NR * 4], *to = t->out + row * t->ldc, *at = whole ? to : part;
  x = ivec_add(x, ivec_load(e->bias));
  y = ivec_add(y, ivec_load(e->bias + LANES));
  if (e->kind == QCC_TO_CODES) {
    put_bytes(at, to_codes(e, x, fvec_load(e->scale)), to_codes(e, y, fvec_load(e->scale + LANES)));
  } else if (e->kind == QCC_TO_FLOATS) {
    fvec_store((void *)at, fvec_mul(fvec_of(x), fvec_load(e->scale)));
    fvec_store((void *)(at + LANES * 4), fvec_mul(fvec_of(y), fvec_load(e->scale + LANES)));
  } else {
    ivec_store((void *)at, x);
    ivec_store((void *)(at + LANES * 4), y);
  }
  if (!whole) memcpy(to, part, t->n * (e->kind == QCC_TO_CODES ? 1 : 4));
}

#define EACH_ROW(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define ROW_START(i) ivec x##i = ivec_set(0), y##i = x##i;
#define ROW_POINTER(i) const uint8_t *p##i = i < m ? t->a[tap * QCC_MR + i] : NULL;
#define ROW_STEP(i)                          \
  if (i < m) {                               \
    const ivec f = ivec_group(p##i + 4 * k); \
    x##i = step(kind, x##i, f, b0);          \
    y##i = step(kind, y##i, f, b1);          \
    IN_PLACE(x##i);                          \
    IN_PLACE(y##i);                          \
  }
#define ROW_END(i) \
  if (i < m) end_row(t, i, ivec_add(x##i, below0), ivec_add(y##i, below1));

INLINE void tile_rows(const qcc_itile *t, const int kind, const unsigned m) {
  const uint8_t *b = t->b;
  ivec below0 = ivec_set(0), below1 = below0;
  EACH_ROW(ROW_START)
  for (size_t tap = 0; tap < t->taps; ++tap) {
    EACH_ROW(ROW_POINTER)
    for (size_t k = 0; k < t->depth; ++k, b += NR * 4) {
      const ivec b0 = ivec_load((const void *)b), b1 = ivec_load((const void *)(b + LANES * 4));
      below0 = column(kind, below0, b0);
      below1 = column(kind, below1, b1);
      EACH_ROW(ROW_STEP)
    }
  }
  EACH_ROW(ROW_END)
}

INLINE void tile(const qcc_itile *t, const int kind) {
  switch (t->m) {
    case 1: tile_rows(t, kind, 1); break;
    case 2: tile_rows(t, kind, 2); break;
    case 3: tile_rows(t, kind, 3); break;
    case 4: tile_rows(t, kind, 4); break;
    case 5: tile_rows(t, kind, 5); break;
    default: tile_rows(t, kind, 6); break;
  }
}

static void tile_pair(const qcc_itile *t) { tile(t, PAIR); }
static void tile_quad(const qcc_itile *t) { tile(t, QUAD); }
#ifdef ivec_dot
static void tile_dot(const qcc_itile *t) { tile(t, DOT); }
#else
#define tile_dot NULL
#endif

/* ---- depthwise: four pixels x one block of channels in registers */
#define DW_START(i) ivec x##i = ivec_set(0), y##i = x##i;
#define DW_STEP(i)                                                                                             \
  if (i < pixels) {                                                                                            \
    const ivec u = ivec_load((const void *)(a + i * d->step)), v = ivec_load((const void *)(b + i * d->step)); \
    x##i = ivec_pair(x##i, ivec_low(u, v), w0);                                                                \
    y##i = ivec_pair(y##i, ivec_high(u, v), w1);                                                               \
    IN_PLACE(x##i);                                                                                            \
    IN_PLACE(y##i);                                                                                            \
  }
#define DW_END(i) \
  if (i < pixels) dw_end(d, pixel + i, c, x##i, y##i);
#define EACH_PIXEL(DO) DO(0) DO(1) DO(2) DO(3)

/* Sums or floats: from the order of ivec_low and ivec_high to that of the channels. */
static void dw_words(const qcc_idwrun *d, size_t pixel, size_t c, ivec x, ivec y) {
  const qcc_iend *e = &d->end;
  uint32_t sum[NR];
  uint8_t *to = d->out + (pixel * d->channels + c) * sizeof *sum;
  if (e->kind == QCC_TO_FLOATS) {
    fvec_store((void *)sum, fvec_mul(fvec_of(x), fvec_load(e->scale + c)));
    fvec_store((void *)(sum + LANES), fvec_mul(fvec_of(y), fvec_load(e->scale + c + LANES)));
  } else {
    ivec_store((void *)sum, x);
    ivec_store((void *)(sum + LANES), y);
  }
  for (size_t i = 0; i < NR; i += 8) {
    const size_t left = d->channels - c > i ? d->channels - c - i : 0;
    uint32_t eight[8];
    memcpy(eight, sum + i / 2, sizeof eight / 2);
    memcpy(eight + 4, sum + LANES + i / 2, sizeof eight / 2);
    memcpy(to + i * sizeof *sum, eight, (left < 8 ? left : 8) * sizeof *sum);
  }
}

INLINE void dw_end(const qcc_idwrun *d, size_t pixel, size_t c, ivec x, ivec y) {
  uint8_t part[NR], *to = d->out + pixel * d->channels + c;
  const bool whole = c + NR <= d->channels;
  const qcc_iend *e = &d->end;
  x = ivec_add(x, ivec_load(e->bias + c));
  y = ivec_add(y, ivec_load(e->bias + c + LANES));
  if (e->kind != QCC_TO_CODES) {
    dw_words(d, pixel, c, x, y);
    return;
  }
  x = to_codes(e, x, fvec_load(e->scale + c));
  y = to_codes(e, y, fvec_load(e->scale + c + LANES));
  put_turned(whole ? to : part, x, y);
  if (!whole) memcpy(to, part, d->channels - c);
}

INLINE void dw_block(const qcc_idwrun *d, size_t pixel, size_t c, const unsigned pixels) {
  const int16_t *w = d->w + c * 2 * d->pairs;
  const size_t at = pixel * d->step + c;
  EACH_PIXEL(DW_START)
  for (size_t k = 0; k < d->pairs; ++k, w += 2 * NR) {
    const int16_t *a = d->a[2 * k] + at, *b = d->a[2 * k + 1] + at;
    const ivec w0 = ivec_load((const void *)w), w1 = ivec_load((const void *)(w + NR));
    EACH_PIXEL(DW_STEP)
  }
  EACH_PIXEL(DW_END)
}

static void depthwise(const qcc_idwrun *d) {
  for (size_t c = 0; c < d->channels; c += NR) {
    size_t i = 0;
    for (; i + 4 <= d->count; i += 4) dw_block(d, i, c, 4);
    for (; i < d->count; ++i) dw_block(d, i, c, 1);
  }
}

/* ---- runs of codes */
static void widen(int16_t *y, const uint8_t *x, size_t n, bool sign, int32_t zero) {
  const int16_t z = (int16_t)zero;
  if (sign)
    for (size_t i = 0; i < n; ++i) y[i] = (int16_t)((int8_t)x[i] - z);
  else
    for (size_t i = 0; i < n; ++i) y[i] = (int16_t)(x[i] - z);
}

static void flip(uint8_t *y, const uint8_t *x, size_t n) {
  for (size_t i = 0; i < n; ++i) y[i] = x[i] ^ 0x80;
}

static void dequantize(float *y, const uint8_t *x, size_t n, bool sign, float scale, int32_t zero) {
  if (sign)
    for (size_t i = 0; i < n; ++i) y[i] = (float)((int8_t)x[i] - zero) * scale;
  else
    for (size_t i = 0; i < n; ++i) y[i] = (float)(x[i] - zero) * scale;
}

/* The addend moves the fraction out of the float: rounds to even, below 2^22. NaN gives lo. */
INLINE uint8_t code_of(float x, float lo) {
  int32_t bits;
  x = x > lo ? x : lo;
  x = (x < lo + 255.0f ? x : lo + 255.0f) + 12582912.0f;
  memcpy(&bits, &x, sizeof bits);
  return (uint8_t)(uint32_t)(bits - 0x4B400000);
}

INLINE int32_t value_of(uint8_t x, const bool sign) { return sign ? (int8_t)x : x; }

INLINE void add_codes(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, const qcc_iadd *p, const bool sign) {
  const float ra = p->ra, rb = p->rb, fixed = p->fixed, lo = sign ? -128.0f : 0.0f;
  for (size_t i = 0; i < n; ++i)
    y[i] = code_of(scalar_fma((float)value_of(a[i], sign), ra, scalar_fma((float)value_of(b[i], sign), rb, fixed)), lo);
}

static void add(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, const qcc_iadd *p) {
  if (p->sign)
    add_codes(y, a, b, n, p, true);
  else
    add_codes(y, a, b, n, p, false);
}

INLINE void mul_codes(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, const qcc_iadd *p, const bool sign) {
  const float ra = p->ra, zero = (float)p->zero, lo = sign ? -128.0f : 0.0f;
  const int32_t za = p->zero_a, zb = p->zero_b;
  for (size_t i = 0; i < n; ++i) {
    const float x = (float)((value_of(a[i], sign) - za) * (value_of(b[i], sign) - zb)) * ra;
    y[i] = code_of(x + zero, lo);
  }
}

static void mul(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, const qcc_iadd *p) {
  if (p->sign)
    mul_codes(y, a, b, n, p, true);
  else
    mul_codes(y, a, b, n, p, false);
}

static void most(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, bool sign) {
  if (sign)
    for (size_t i = 0; i < n; ++i) y[i] = (int8_t)a[i] > (int8_t)b[i] ? a[i] : b[i];
  else
    for (size_t i = 0; i < n; ++i) y[i] = a[i] > b[i] ? a[i] : b[i];
}

static void sum(int32_t *y, const uint8_t *x, size_t n, bool sign) {
  if (sign)
    for (size_t i = 0; i < n; ++i) y[i] += (int8_t)x[i];
  else
    for (size_t i = 0; i < n; ++i) y[i] += x[i];
}

static void finish(uint8_t *y, const int32_t *sums, size_t n, float scale, const qcc_iend *e) {
  const float lo = e->lo, hi = e->hi;
  for (size_t i = 0; i < n; ++i) {
    float x = (float)sums[i] * scale;
    int32_t bits;
    x = x > lo ? x : lo;
    x = (x < hi ? x : hi) + 12582912.0f;
    memcpy(&bits, &x, sizeof bits);
    y[i] = (uint8_t)(uint32_t)(bits - 0x4B400000 + e->zero);
  }
}

const qcc_isimd ISA_TABLE = {ISA_NAME, NR, tile_pair, tile_quad, tile_dot, depthwise, widen, flip, dequantize, add, mul, most, sum, finish};
