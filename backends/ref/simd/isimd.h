/* SPDX-License-Identifier: Apache-2.0
 * The inner loops of integer arithmetic, per instruction set; isimd_body.h is their text, isimd_<isa>.c compiles it.
 * Invariant: every table gives the same bits. Sums are exact in 32 bits (they wrap), so their order does not matter; only `quad` loses bits,
 * where pairs of products saturate, and it loses the same ones everywhere.
 * Nothing here allocates, fails or knows tensors. */
#ifndef QCC_ISIMD_H
#define QCC_ISIMD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What becomes of sum + bias. */
typedef enum qcc_ikind {
  QCC_TO_CODES,  /* bytes clamp(round(x * scale), lo, hi) + zero */
  QCC_TO_FLOATS, /* x * scale */
  QCC_TO_SUMS    /* itself */
} qcc_ikind;
typedef struct qcc_iend {
  qcc_ikind kind;
  const int32_t *bias; /* one per column, and so of scale; both up to whole panels */
  const float *scale;
  float lo, hi; /* lowest and highest code minus zero */
  int32_t zero;
} qcc_iend;

/* Numbers come in groups of 4 bytes: two of s16, or four of 8 bits.
 * out[i][0..n) = end(sum over taps t and groups k of a[t][i][k] * b[t * depth + k][0..nr)), i < m <= QCC_MR. */
typedef struct qcc_itile {
  const void *const *a; /* [taps][QCC_MR] pointers to `depth` groups, at any address; entries past m are not read */
  size_t taps, depth;
  const void *b; /* rows of nr groups */
  qcc_iend end;
  uint8_t *out; /* rows `ldc` bytes apart */
  size_t ldc;
  unsigned m, n; /* rows; valid columns <= nr */
} qcc_itile;

/* A run of output pixels of a depthwise convolution, channels last. Channels come in blocks of `nr`; taps in pairs, the last one perhaps with
 * a weight of 0. */
typedef struct qcc_idwrun {
  const int16_t *const *a; /* by tap: the first pixel */
  const int16_t *w;        /* as qcc_idw_pack puts them */
  size_t pairs, channels, count;
  size_t step; /* numbers between pixels */
  qcc_iend end;
  uint8_t *out; /* pixels `channels` results apart */
} qcc_idwrun;

/* a * ra + (b * rb + fixed), fused; rounded, as codes of u8 or s8. */
typedef struct qcc_iadd {
  float ra, rb, fixed;
  int32_t zero_a, zero_b, zero; /* of a product: (a - zero_a) * (b - zero_b) * ra + zero */
  bool sign;                    /* codes are s8 */
} qcc_iadd;

typedef struct qcc_isimd {
  const char *name;
  uint32_t nr;                      /* columns of a packed panel */
  void (*pair)(const qcc_itile *t); /* s16 * s16 */
  void (*quad)(const qcc_itile *t); /* u8 * s8, each sum of two products saturates in 16 bits */
  void (*dot)(const qcc_itile *t);  /* u8 * s8, exact; NULL: this set has no such instruction */
  void (*depthwise)(const qcc_idwrun *d);
  void (*widen)(int16_t *y, const uint8_t *x, size_t n, bool sign, int32_t zero); /* code minus zero */
  void (*flip)(uint8_t *y, const uint8_t *x, size_t n);                           /* s8 to u8: plus 128 */
  void (*dequantize)(float *y, const uint8_t *x, size_t n, bool sign, float scale, int32_t zero);
  void (*add)(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, const qcc_iadd *p);
  void (*mul)(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, const qcc_iadd *p);
  void (*most)(uint8_t *y, const uint8_t *a, const uint8_t *b, size_t n, bool sign);           /* the larger code */
  void (*sum)(int32_t *y, const uint8_t *x, size_t n, bool sign);                              /* y += x */
  void (*finish)(uint8_t *y, const int32_t *sums, size_t n, float scale, const qcc_iend *end); /* codes of sums, one scale, no bias */
} qcc_isimd;

const qcc_isimd *qcc_isimd_choose(void);
const qcc_isimd *qcc_isimd_at(unsigned index); /* every table that runs here, best first; NULL past the end */

/* Channel whose sum stands at place `at` of the vectors of depthwise; bias and scale stand so, too. */
size_t qcc_idw_channel(const qcc_isimd *simd, size_t at);
/* Weights of `taps` x `channels` to the order of qcc_idwrun.w; `at` has room for qcc_idw_room numbers. */
size_t qcc_idw_room(const qcc_isimd *simd, size_t taps, size_t channels);
void qcc_idw_pack(const qcc_isimd *simd, int16_t *at, const int16_t *w, size_t taps, size_t channels);

#endif
