/* SPDX-License-Identifier: Apache-2.0
 * What a target can do, as plain data. backends/target fills it from a capability file (yaml/); strategies, passes and writers read it
 * and ask nothing else. Where there is a choice it is a list in order of preference: the first is the default, the others are what a
 * search may try. */
#ifndef QCC_TARGET_H
#define QCC_TARGET_H

#include "ir/ir.h"
#include "ir/plan.h"

typedef enum qcc_scheme { QCC_SCHEME_SYM, QCC_SCHEME_ASYM } qcc_scheme;
typedef enum qcc_granularity { QCC_GRANULARITY_PER_TENSOR, QCC_GRANULARITY_PER_CHANNEL, QCC_GRANULARITY_PER_BLOCK } qcc_granularity;
/* From values to parameters and codes. */
typedef enum qcc_algorithm {
  QCC_ALGORITHM_MINMAX,
  QCC_ALGORITHM_MSE,
  QCC_ALGORITHM_PERCENTILE,
  QCC_ALGORITHM_KL,
  QCC_ALGORITHM_MEAN_MINMAX,
  QCC_ALGORITHM_MOVING_AVERAGE,
  QCC_ALGORITHM_RTN,
  QCC_ALGORITHM_GPTQ,
  QCC_ALGORITHM_AWQ
} qcc_algorithm;

/* How kernels add products of u8 data and s8 weights. */
typedef enum qcc_pair_sums {
  QCC_SATURATION_NONE,          /* exactly */
  QCC_SATURATION_PAIRS16,       /* in pairs, in 16 bits that saturate: neighbours of a weight row [position][channel] */
  QCC_SATURATION_PAIRS16_PADDED /* the same, but with an odd number of channels the last one of each position is alone */
} qcc_pair_sums;

/* How arithmetic in few bits is written. */
typedef enum qcc_form {
  QCC_FORMAT_QDQ,       /* QuantizeLinear/DequantizeLinear pairs around float operators */
  QCC_FORMAT_QOPERATOR, /* QLinearConv, QLinearMatMul, com.microsoft::QLinearAdd, ... */
  QCC_FORMAT_INTEGER,   /* DynamicQuantizeLinear, MatMulInteger, ... */
  QCC_FORMAT_NBITS      /* com.microsoft::MatMulNBits */
} qcc_form;

enum { QCC_CHOICES = 11 };

typedef struct qcc_choices { /* codes of one of the enums above, or of qcc_dtype */
  uint8_t count, at[QCC_CHOICES];
} qcc_choices;

typedef struct qcc_target_side { /* activations or weights */
  qcc_choices dtype, scheme, granularity, algorithm;
  bool zero_only; /* zero points other than 0 are refused */
} qcc_target_side;

/* One of the ways to quantize an operator. Where the runtime could but nothing is gained by default, the types begin with f32. */
typedef struct qcc_target_way {
  qcc_target_side activation, weight;
  qcc_choices format;
  int16_t block[QCC_CHOICES]; /* sizes of blocks where a granularity is PER_BLOCK; -1: whole channels */
  uint8_t block_count;
} qcc_target_way;

typedef struct qcc_target_op {
  qcc_op op;
  bool is_static;             /* quantized with static ranges unless told otherwise, see way[QCC_MODE_STATIC] */
  bool dynamic;               /* the same with run-time ranges, see way[QCC_MODE_DYNAMIC] */
  bool weight_only;           /* weights are stored in few bits unless told otherwise, see way[QCC_MODE_WEIGHT] */
  bool float_output;          /* integer kernel may end in float (Gemm, MatMul); otherwise a QuantizeLinear must read the output */
  bool same_q;                /* input and output must share parameters bit for bit */
  bool needs_quantized_input; /* worth it only when the input is quantized already */
  bool f16, bf16;             /* runs in these, too */
  int min_since, max_since;   /* operator versions that match; 0: any */
  qcc_target_way way[QCC_MODE_WEIGHT + 1];
} qcc_target_op;

enum { QCC_FUSED_OPS = 6 };

typedef struct qcc_target_pattern { /* operators that become one kernel: each the only user of the one before it */
  bool is_float;                    /* of float kernels only */
  uint8_t count;
  qcc_op op[QCC_FUSED_OPS];
} qcc_target_pattern;

/* What kernels cost on one processor, measured (qcc cost). */
typedef enum qcc_cost_kind {
#define COST(id, name, unit, a, b, c) QCC_COST_##id,
#include "ir/costs.def"
  QCC_COST_COUNT
} qcc_cost_kind;

typedef struct qcc_cost_point {
  qcc_cost_kind kind;
  double at[3];   /* coordinates by the kind; 1 where there are fewer */
  double f32, q8; /* nanoseconds per unit; 0: there is no such form */
} qcc_cost_point;

typedef struct qcc_costs {
  const char *measured; /* on what; "" when unknown */
  qcc_cost_point *points;
  uint32_t count;
} qcc_costs;

typedef struct qcc_target {
  qcc_context *cx;
  const char *name, *doc;
  const char *runtime;         /* version of the runtime that it speaks of; "": any */
  qcc_grid activation, weight; /* where nothing else is chosen */
  qcc_pair_sums pairs;         /* weights must be safe for these sums (x86 before VNNI) */
  bool float_bias;             /* biases stay float; otherwise int32 at the product of the scales */
  double min_range;            /* ranges of activations are at least this wide */
  int64_t min_opset, max_opset, min_ir, max_ir;
  const char *optimization; /* level of graph optimization for the runtime; "": its own default */
  qcc_target_op *ops;       /* indexed by qcc_op; zero: float */
  qcc_target_pattern *patterns;
  uint32_t pattern_count;
  bool
      folds_casts; /* weights of float kernels are stored as Cast and Mul, folded when the runtime loads them; it runs DequantizeLinear each time */
  qcc_costs costs; /* count 0: not measured */
} qcc_target;

/* Memory for the tables of an empty target; qcc_target_fini gives it back. */
qcc_status qcc_target_init(qcc_target *t, qcc_context *cx) QCC_MUST_USE;
void qcc_target_fini(qcc_target *t);
/* Is `code` among the choices? */
bool qcc_choices_have(const qcc_choices *c, unsigned code);
/* Appends what is not there yet; false when there is no room. */
bool qcc_choices_add(qcc_choices *c, unsigned code);
/* The first choice; `fallback` when there is none. */
unsigned qcc_choices_first(const qcc_choices *c, unsigned fallback);
/* Does the version of the operator that `opset` stands for match? */
bool qcc_target_op_fits(const qcc_target_op *t, int64_t opset);
/* May `next` run inside the integer kernel of `first`, whose only user it is? */
bool qcc_target_fuses(const qcc_target *t, qcc_op first, qcc_op next);

#endif
