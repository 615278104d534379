/* SPDX-License-Identifier: Apache-2.0
 * The inner loops that exist once per instruction set. simd_body.h is their only text; simd_<isa>.c compiles it with that set's flags.
 * Invariant: every element is computed by the same operations in the same order in every table, wherever it stands in the array; tables
 * with fused multiply-add (avx512, avx2, neon) give the same bits, "sse2" and "c" round products first.
 * Nothing here allocates, fails or knows tensors. */
#ifndef QCC_SIMD_H
#define QCC_SIMD_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { QCC_MR = 6, QCC_NR_MAX = 32 };

/* What a loop does to a sum before it stores it: a clamp, then perhaps a fake quantization as fake_quant() below does. */
typedef struct qcc_finish {
  float lo, hi;                 /* infinities: no clamp. NaN passes */
  float scale, lowest, highest; /* scale 0: no fake quantization */
} qcc_finish;
#define QCC_NO_FINISH ((qcc_finish){.lo = -INFINITY, .hi = INFINITY})

/* out[i][0..n) = finish(bias + sum over taps t and channels k of a[t][i][k] * b[t * depth + k][0..nr)), i < m <= QCC_MR. */
typedef struct qcc_tile {
  const float *const *a; /* [taps][QCC_MR] pointers to `depth` floats; entries past m are not read */
  size_t taps, depth;
  const float *b; /* rows of nr floats, `ldb` apart */
  size_t ldb;
  const float *next; /* rows of another b that is wanted soon: every fourth step fetches one. Not NULL: that costs */
  const float *bias; /* nr floats, or NULL: 0 */
  float *out;        /* rows `ldc` apart */
  size_t ldc;
  unsigned m, n; /* rows; valid columns <= nr */
  qcc_finish end;
} qcc_tile;

/* One row times up to QCC_ROW_PANELS packed panels at once: a single one has too few sums to keep the units busy. The bits of the tile. */
enum { QCC_ROW_PANELS = 4 };
typedef struct qcc_row {
  const float *a; /* `depth` floats */
  const float *b; /* panels, `panel_step` floats apart */
  size_t depth, ldb, panel_step;
  unsigned panels;
  float *y; /* nr floats for each panel: what the sums begin with, then the sums */
  qcc_finish end;
} qcc_row;

/* One run of output pixels of a depthwise convolution, channels last. */
typedef struct qcc_dwrun {
  const float *const *row; /* `rows` input rows at the first tap of the first pixel */
  const float *const *w;   /* `rows` weight rows [taps][channels] */
  size_t rows, taps;
  size_t step, dilation; /* floats between pixels, between taps */
  size_t channels, count;
  const float *bias; /* channels, or NULL */
  float *out;
  qcc_finish end;
} qcc_dwrun;

/* Winograd's F(4x4, 3x3), see winograd.c: a tile of 6x6 inputs gives 4x4 outputs. */
enum { QCC_WINO_IN = 6, QCC_WINO_OUT = 4 };
typedef struct qcc_wino_out {
  const float *m; /* [6][6] rows of `channels` products, `step` floats apart */
  size_t step, channels;
  float *y[QCC_WINO_OUT * QCC_WINO_OUT]; /* pixels, `channels` each; NULL: outside */
  const float *bias;                     /* channels, or NULL */
  qcc_finish end;
} qcc_wino_out;

/* Functions of one operand, y may equal x. p and q are the parameters named. */
typedef enum qcc_act {
  QCC_ACT_RELU,
  QCC_ACT_CLIP,       /* p lowest, q highest */
  QCC_ACT_LEAKY_RELU, /* p slope */
  QCC_ACT_SIGMOID,
  QCC_ACT_SILU, /* x * sigmoid(x) */
  QCC_ACT_TANH,
  QCC_ACT_HARD_SIGMOID, /* p slope, q offset */
  QCC_ACT_HARD_SWISH,
  QCC_ACT_EXP,
  QCC_ACT_ERF,
  QCC_ACT_GELU, /* x / 2 * (1 + erf(x / sqrt 2)) */
  QCC_ACT_COUNT
} qcc_act;

typedef enum qcc_arith { QCC_ARITH_ADD, QCC_ARITH_SUB, QCC_ARITH_MUL, QCC_ARITH_DIV, QCC_ARITH_COUNT } qcc_arith;

typedef struct qcc_simd {
  const char *name;
  uint32_t nr; /* columns of a packed panel */
  void (*tile)(const qcc_tile *t);
  void (*row)(const qcc_row *r);
  void (*depthwise)(const qcc_dwrun *d);
  void (*wino_in)(float *v, size_t step, const float *const *x, size_t channels); /* 36 pixels to 36 rows of v, `step` floats apart */
  void (*wino_out)(const qcc_wino_out *o);
  void (*act)(qcc_act f, float *y, const float *x, size_t n, float p, float q);
  void (*arith)(qcc_arith f, float *y, const float *a, const float *b, size_t n); /* y may equal a or b */
  void (*scalar)(qcc_arith f, float *y, const float *a, float b, size_t n);
  void (*affine)(float *y, const float *x, const float *scale, const float *shift, size_t n); /* x * scale + shift; either may be NULL */
  void (*maximum)(float *y, const float *a, const float *b, size_t n);
  /* y = (clamp(round(x / scale), lo, hi)) * scale: lo and hi are codes minus the zero point, exact in f32. NaN gives 0. */
  void (*fake_quant)(float *y, const float *x, size_t n, float scale, float lo, float hi);
  /* y = table[clamp(round(x / scale), lo, hi) - lo]. */
  void (*lookup)(float *y, const float *x, size_t n, float scale, float lo, float hi, const float *table);
  /* Codes clamp(round(x / scale), lo, hi) + zero as bytes, of u8 or s8; lo and hi as above. */
  void (*codes)(uint8_t *y, const float *x, size_t n, float scale, float lo, float hi, int32_t zero);
  void (*transpose)(float *y, const float *x, size_t rows, size_t columns); /* y[j][i] = x[i][j] */
  void (*range)(const float *x, size_t n, float *lo, float *hi);            /* widens [*lo, *hi]; NaN is skipped */
  double (*peak)(size_t rounds, float *to); /* multiply-adds in registers; returns their operations, writes a vector to `to` (QCC_NR_MAX) */
} qcc_simd;

const qcc_simd *qcc_simd_choose(void);       /* the best table for this processor */
const qcc_simd *qcc_simd_at(unsigned index); /* every table that runs here, best first; NULL past the end */

#endif
