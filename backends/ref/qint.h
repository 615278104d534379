/* SPDX-License-Identifier: Apache-2.0
 * Fast steps on codes: products of quantized weights and data, packed once, in blocks like the float ones; and what stands around them.
 * Invariant: a step gives the bytes of the row-major kernel of its node, but for pairs of products that saturate when that was asked for. */
#ifndef QCC_QINT_H
#define QCC_QINT_H

#include "backends/ref/plan.h"
#include "backends/ref/simd/isimd.h"

/* How a pack multiplies. */
typedef enum qcc_iway {
  QCC_BY_PAIRS, /* s16, zero points taken off */
  QCC_BY_QUADS, /* codes as u8, weights s8; the zero point of the data is in the bias, padding has its code */
  QCC_BY_DOT,   /* the same with an instruction that cannot saturate */
  QCC_DEPTHWISE /* s16, zero points taken off */
} qcc_iway;

typedef struct qcc_iform { /* of the data that a pack reads */
  qcc_dtype type;          /* u8, s8 */
  int32_t zero;
} qcc_iform;

struct qcc_ipack {
  qcc_iway way;
  void *at;      /* weights, then bias and scale; one allocation */
  int32_t *bias; /* by group, padded to panels */
  float *scale;
  int32_t *sum;                /* of the weights of a column, when the zero point of the data is known while running; else NULL */
  size_t bytes, width, panels; /* of one group */
  size_t taps, depth;          /* of a tile; depth: groups of 4 bytes */
  size_t positions, run;       /* of one tap: positions of the kernel, numbers */
  qcc_iform x;
  qcc_iend end; /* but for bias and scale */
};

/* Weights: code of output column o, kernel position p, input channel i at o * by[0] + p * by[1] + i * by[2]. */
typedef struct qcc_iweights {
  const uint8_t *at;
  qcc_dtype type;
  int32_t zero;
  size_t by[3];
  const int32_t *bias; /* NULL: none */
  const float *scale;  /* by column */
  bool late;           /* the zero point of the data comes while running */
} qcc_iweights;

/* `c` needs kernel, dilation, cin, cout, group. Free with qcc_free(cx, p->at). */
qcc_status qcc_ipack_new(qcc_ipack *p, qcc_context *cx, const qcc_isimd *simd, qcc_arithmetic how, const qcc_conv *c,
                         const qcc_iweights *w) QCC_MUST_USE;
/* What may come while running: the zero point of the data, and scales that make floats of the sums (NULL: the pack's own). */
typedef struct qcc_ilate {
  const int32_t *zero;
  const float *scale;
  size_t scales; /* one, or one per column */
} qcc_ilate;
qcc_status qcc_iconv_run(qcc_worker *w, const qcc_conv *c, const qcc_ipack *p, const uint8_t *x, const qcc_ilate *late,
                         uint8_t *y) QCC_MUST_USE;
qcc_status qcc_idense_run(qcc_worker *w, const qcc_ipack *p, size_t rows, const uint8_t *x, const qcc_ilate *late, uint8_t *y) QCC_MUST_USE;

/* Packs a node with constant weights and parameters (inputs as far as they are constant); other nodes stay without: NULL. */
qcc_status qcc_ipack_node(qcc_ipack **out, qcc_runner *r, const qcc_node *n, const qcc_tensor *const *in) QCC_MUST_USE;
void qcc_ipack_free(qcc_context *cx, qcc_ipack *p); /* NULL is fine */

/* ---- steps */
typedef enum qcc_istep_kind {
  QCC_ISTEP_CONV,
  QCC_ISTEP_DENSE,
  QCC_ISTEP_ADD,
  QCC_ISTEP_MUL,
  QCC_ISTEP_TABLE, /* any function of one code */
  QCC_ISTEP_MAX_POOL,
  QCC_ISTEP_MEAN,   /* over all spatial axes */
  QCC_ISTEP_CONCAT, /* along channels, channels last; one table for each input */
  QCC_ISTEP_QUANTIZE,
  QCC_ISTEP_DEQUANTIZE
} qcc_istep_kind;
typedef struct qcc_istep {
  qcc_istep_kind kind;
  const qcc_ipack *pack;
  bool late_zero, late_scale; /* CONV, DENSE: inputs behind the data */
  bool sign;                  /* codes that are read are s8 */
  qcc_iadd add;
  qcc_iend end; /* QUANTIZE, MEAN */
  float scale;  /* MEAN: factor of the sum; QUANTIZE, DEQUANTIZE */
  int32_t zero; /* of what is read */
  const uint8_t (*table)[256];
} qcc_istep;
qcc_status qcc_istep_run(qcc_worker *w, const qcc_plan_step *s) QCC_MUST_USE; /* step_codes.c */

#endif
