/* SPDX-License-Identifier: Apache-2.0
 * Conv, ConvTranspose, Gemm and MatMul with constant weights seen as one thing: y = W x + b per channel, and the algebra that folds
 * per-channel scale and shift of x or y into W and b (sums in double, results in f32). Read by the fusing passes. */
#ifndef QCC_LINEAR_H
#define QCC_LINEAR_H

#include "passes/pass.h"

#define QCC_LINEAR_OPS QCC_OP_CONV, QCC_OP_CONV_TRANSPOSE, QCC_OP_GEMM, QCC_OP_MATMUL

typedef struct qcc_linear {
  const qcc_node *n;
  const qcc_tensor *w, *b; /* b NULL: none */
  int64_t in_n, out_n;     /* channels of x and y */
  int64_t group;
  int64_t d0, d1, area; /* the weight as [d0][d1][area] */
  bool in_first;        /* d0 runs over input channels (ConvTranspose, Gemm, MatMul) */
  int rank;             /* of x and y; -1: unknown (MatMul) */
  int axis;             /* channel axis, -1: the last */
  bool padded;          /* border outputs see fewer inputs than W has */
  float alpha, beta;    /* Gemm */
} qcc_linear;

/* y = W(in_scale * x + in_shift) * out_scale + out_shift; NULL members: 1 or 0. in_*: in_n entries, out_*: out_n. */
typedef struct qcc_affine {
  const double *in_scale, *in_shift, *out_scale, *out_shift;
} qcc_affine;

/* NULL, or why the node cannot be seen so. */
const char *qcc_linear_of(qcc_linear *l, const qcc_node *n);
/* Why `c` is not one finite f32 per channel (or one for all) of x (`of_input`) or y; NULL: it is. */
const char *qcc_linear_operand(const qcc_linear *l, const qcc_tensor *c, bool of_input);
/* `c` as one double per channel, to be freed with qcc_free; NULL: no memory. */
double *qcc_linear_spread(qcc_context *cx, const qcc_tensor *c, int64_t channels);
/* Can a MatMul become a Gemm, which a bias needs? NULL: yes, or `l` has a bias input anyway. */
const char *qcc_linear_bias_ok(const qcc_linear *l);
/* New node before `before` that reads `x` and has the affine maps in its weights; its output, NULL: no memory.
 * MatMul stays one unless a bias comes up; Gemm loses alpha and beta. */
qcc_value *qcc_linear_build(const qcc_linear *l, qcc_node *before, qcc_value *x, const qcc_affine *a);

#endif
