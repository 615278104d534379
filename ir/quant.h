/* SPDX-License-Identifier: Apache-2.0
 * Quantization arithmetic: the one rounding function, saturation, ranges to parameters. Everybody uses this.
 * Semantics: ONNX QuantizeLinear / DequantizeLinear. Saturates after rounding, rounds half to even, divides by the scale. */
#ifndef QCC_QUANT_H
#define QCC_QUANT_H

#include "ir/tensor.h"

/* Parameters of one quantized tensor. x^ = scale * (q - zero). */
typedef struct qcc_qparams {
  qcc_dtype dtype;     /* u8 s8 u16 s16 s32 u4 s4; f8, whose zero points are 0; QCC_NONE: not quantized */
  int32_t axis;        /* -1: per tensor; else per channel along this axis */
  int64_t block;       /* 0; else blocks of this many elements along `axis` (DequantizeLinear-21) */
  uint32_t count;      /* scales: 1, channels, or rows * blocks (row-major, the shape of the ONNX scale) */
  const float *scale;  /* `count`, finite and > 0 */
  const int32_t *zero; /* `count`, or NULL: all 0 */
} qcc_qparams;

/* Round half to even; NaN gives 0, saturates to int64. */
int64_t qcc_round_even(double x);
int32_t qcc_quantize1(float x, float scale, int32_t zero, int32_t lo, int32_t hi);
float qcc_dequantize1(int32_t q, float scale, int32_t zero);

typedef struct qcc_grid { /* how a range becomes parameters */
  qcc_dtype dtype;
  int32_t lo, hi; /* usable codes, e.g. -127..127 for weights */
  bool symmetric; /* zero in the middle: s8 0, u8 128 */
  bool pow2;      /* scale is a power of two */
} qcc_grid;
qcc_grid qcc_grid_u8(void);     /* u8 asymmetric 0..255: activations */
qcc_grid qcc_grid_weight(void); /* s8 symmetric -127..127 */

/* Scale and zero point of the range [lo, hi], widened to hold 0; computed in double. Never fails: empty, equal-zero and
 * non-finite ranges give scale 1, zero = code of 0; the scale is kept within [FLT_MIN, FLT_MAX].
 * When a border equals the range's end after ReLU6-like clips, 255*scale never exceeds `hi` by rounding (2.5 of ONNX Runtime's Clip rule). */
void qcc_range_to_qparams(float *scale, int32_t *zero, double lo, double hi, const qcc_grid *grid);

/* Whole tensors. `q->count` must fit the type: else QCC_INTERNAL. `out` is a new owned tensor. */
qcc_status qcc_quantize(qcc_tensor *out, qcc_context *cx, const qcc_tensor *x, const qcc_qparams *q) QCC_MUST_USE;
qcc_status qcc_dequantize(qcc_tensor *out, qcc_context *cx, const qcc_tensor *x, const qcc_qparams *q) QCC_MUST_USE;
/* y = dequantize(quantize(x)), f32, may be in place. n elements, per tensor; vectorisable, bit-equal to quantize1/dequantize1. */
void qcc_fake_quantize(float *y, const float *x, size_t n, float scale, int32_t zero, int32_t lo, int32_t hi);
/* The same for floats of 8 bits, saturating: the nearest number to x / scale, times scale. */
void qcc_fake_quantize_f8(qcc_dtype t, float *y, const float *x, size_t n, float scale);
double qcc_f8_most(qcc_dtype t); /* the largest number of the type */
/* Same for any granularity; `type` is the shape of x. */
qcc_status qcc_fake_quantize_tensor(qcc_context *cx, float *y, const float *x, const qcc_type *type, const qcc_qparams *q) QCC_MUST_USE;
bool qcc_qparams_equal(const qcc_qparams *a, const qcc_qparams *b); /* bit-exact */

/* 16-bit saturation of u8*s8 pair sums on x86 before VNNI (vpmaddubsw): pairs are neighbours in K, laid out [kernel position][input channel].
 * See strategy/weights. */

#endif
