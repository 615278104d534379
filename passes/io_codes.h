/* SPDX-License-Identifier: Apache-2.0
 * Inputs and outputs of the main graph as codes, one by one. */
#ifndef QCC_IO_CODES_H
#define QCC_IO_CODES_H

#include "passes/pass.h"

/* Why the caller cannot give or get codes instead of floats; NULL: it can. */
const char *qcc_input_obstacle(const qcc_value *input);
const char *qcc_output_obstacle(const qcc_value *output);
/* Only without an obstacle. The codes that QuantizeLinear makes of the input, or DequantizeLinear reads for the output, take its place and
 * name; what they mean is recorded (ir/recorded.h). */
qcc_status qcc_input_to_codes(qcc_value *input) QCC_MUST_USE;
qcc_status qcc_output_to_codes(qcc_value *output) QCC_MUST_USE;

#endif
