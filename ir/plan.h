/* SPDX-License-Identifier: Apache-2.0
 * The plan: a tune config as data. Strategy decides, passes apply; they meet only here.
 * Keys are names of the prepared graph. Printable, diffable, JSON in and out.
 *
 * Meaning (insert-fakequant implements it):
 *   - an operator without an entry, or with QCC_MODE_FLOAT, stays float;
 *   - STATIC: each data input that has a tensor entry is quantized, and so is each output that has one. A tensor with an entry that a
 *     STATIC operator makes is quantized for all its users; one that a float operator or the graph's caller makes only for STATIC users;
 *     a fused activation (Conv -> Relu) is two STATIC operators and no entry for the tensor between them;
 *   - DYNAMIC (MatMul, Gemm, Conv, Attention, LSTM with constant weights): input 0 is quantized at run time (DynamicQuantizeLinear), the
 *     weight by its entry;
 *   - WEIGHT: only constant weights that have an entry are stored quantized. */
#ifndef QCC_PLAN_H
#define QCC_PLAN_H

#include "ir/ir.h"

typedef enum qcc_mode { QCC_MODE_FLOAT, QCC_MODE_STATIC, QCC_MODE_DYNAMIC, QCC_MODE_WEIGHT } qcc_mode;

typedef struct qcc_plan_op {
  const char *node; /* name of the node */
  qcc_mode mode;
  const char *reason;  /* why it stays float or leaves the default; NULL: none */
  float gain_db;       /* measured gain of keeping it float; 0: not measured */
  uint32_t bias_count; /* bias correction to add to input 2 (Conv, Gemm); 0: none */
  const float *bias_delta;
} qcc_plan_op;

typedef struct qcc_plan_tensor {
  const char *tensor; /* name of the value: activation or weight */
  qcc_qparams q;
  float lo, hi;          /* range the parameters came from (activations) */
  const char *algorithm; /* "minmax", "mse", ...; NULL: none */
  qcc_buf *codes;        /* weights rounded otherwise than to nearest: one byte per element; NULL: nearest. Clones and graphs share them */
} qcc_plan_tensor;

typedef struct qcc_plan {
  qcc_context *cx;
  qcc_arena arena;
  const char *target; /* "ort-cpu" */
  qcc_plan_op *ops;
  uint32_t op_count, op_cap; /* in order of first setting */
  qcc_plan_tensor *tensors;
  uint32_t tensor_count, tensor_cap;
  struct qcc_map *op_index, *tensor_index;
} qcc_plan;

qcc_status qcc_plan_new(qcc_plan **out, qcc_context *cx) QCC_MUST_USE;
void qcc_plan_free(qcc_plan *p);
qcc_status qcc_plan_clone(qcc_plan **out, const qcc_plan *p) QCC_MUST_USE;
/* Entry for a name, made when absent (mode FLOAT, empty). NULL: no memory. Pointers stay valid until the next _set of the same kind. */
qcc_plan_op *qcc_plan_set_op(qcc_plan *p, const char *node);
qcc_plan_tensor *qcc_plan_set_tensor(qcc_plan *p, const char *tensor);
void qcc_plan_drop_tensor(qcc_plan *p, const char *tensor);                       /* q.dtype becomes QCC_NONE */
const qcc_plan_op *qcc_plan_op_of(const qcc_plan *p, const char *node);           /* NULL: absent */
const qcc_plan_tensor *qcc_plan_tensor_of(const qcc_plan *p, const char *tensor); /* NULL: absent or dropped */
/* Takes over the reference. */
void qcc_plan_set_codes(qcc_plan_tensor *t, qcc_buf *codes);
/* Copy parameters into the plan's arena. */
qcc_status qcc_plan_set_qparams(qcc_plan *p, qcc_plan_tensor *t, const qcc_qparams *q) QCC_MUST_USE;

struct qcc_text;
void qcc_plan_print(const qcc_plan *p, void *text /* qcc_text */); /* one line per entry */
/* JSON text (jansson), stable order; codes as base64. */
qcc_status qcc_plan_to_json(const qcc_plan *p, char **out, size_t *n) QCC_MUST_USE; /* free with qcc_free */
qcc_status qcc_plan_from_json(qcc_plan **out, qcc_context *cx, const char *json, size_t n) QCC_MUST_USE;

#endif
