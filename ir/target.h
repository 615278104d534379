/* SPDX-License-Identifier: Apache-2.0
 * What a target can do, as plain data. yaml/ fills it from a capability file; strategies and rewrite-qdq read it. */
#ifndef QCC_TARGET_H
#define QCC_TARGET_H

#include "ir/ir.h"

typedef struct qcc_target_op {
  qcc_op op;
  bool is_static;             /* runs in 8 bit with static ranges */
  bool dynamic;               /* runs in 8 bit with run-time ranges */
  bool weight_only;           /* weights may be stored in 8 bit */
  bool float_output;          /* integer kernel may end in float (Gemm, MatMul) */
  bool same_q;                /* input and output must share parameters bit for bit */
  bool needs_quantized_input; /* worth it only when the input is quantized already */
  int max_since;              /* newest operator version that matches; 0: any */
} qcc_target_op;

typedef struct qcc_target {
  const char *name;
  qcc_grid activation, weight;
  bool per_channel;     /* weights */
  bool pair_saturation; /* weights must be safe for u8*s8 pair sums in 16 bits (x86 before VNNI) */
  int64_t min_opset, max_opset, max_ir;
  qcc_target_op ops[QCC_OP_COUNT]; /* indexed by qcc_op; zero: float */
} qcc_target;

#endif
