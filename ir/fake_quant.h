/* SPDX-License-Identifier: Apache-2.0
 * Inner loops of the quantization arithmetic; the rest of the tree calls ir/quant.h. Internal to ir/. */
#ifndef QCC_FAKE_QUANT_H
#define QCC_FAKE_QUANT_H

#include "ir/quant.h"

/* codes[i] = qcc_quantize1(x[i], ...) */
void qcc_quantize_codes(int32_t *codes, const float *x, size_t n, float scale, int32_t zero, int32_t lo, int32_t hi);
/* y[i] = qcc_dequantize1(codes[i], ...); is_narrow: codes and zero have 16 bits or fewer */
void qcc_dequantize_codes(float *y, const int32_t *codes, size_t n, float scale, int32_t zero, bool is_narrow);

#endif
