/* SPDX-License-Identifier: Apache-2.0
 * Inputs and outputs that are codes: what they mean is recorded in the model's metadata, as qcc.input.NAME.scale, qcc.input.NAME.zero_point
 * and the same with "output". x = scale * (code - zero point). */
#ifndef QCC_RECORDED_H
#define QCC_RECORDED_H

#include "ir/ir.h"

typedef struct qcc_recorded {
  float scale;
  int32_t zero;
  qcc_dtype dtype; /* of the codes */
} qcc_recorded;

/* Of an input or output of the main graph; every other value has none. False also when what is recorded is unusable. */
bool qcc_recorded_of(qcc_recorded *out, const qcc_value *v);
qcc_status qcc_record(const qcc_value *v, float scale, int32_t zero) QCC_MUST_USE;
qcc_status qcc_record_nothing(const qcc_value *v) QCC_MUST_USE;

/* Whole tensors, floats and codes; `out` is a new owned tensor. */
qcc_status qcc_recorded_quantize(qcc_tensor *out, qcc_context *cx, const qcc_tensor *x, const qcc_recorded *r) QCC_MUST_USE;
qcc_status qcc_recorded_dequantize(qcc_tensor *out, qcc_context *cx, const qcc_tensor *x, const qcc_recorded *r) QCC_MUST_USE;

#endif
