/* SPDX-License-Identifier: Apache-2.0
 * What must stay f32 when a network is converted to f16: operators around tensors whose values come near the end of its range. */
#ifndef QCC_FLOAT_RANGE_H
#define QCC_FLOAT_RANGE_H

#include "ir/eval.h"
#include "ir/plan.h"

/* A plan that keeps them float, with reasons, for the pass convert-float. Runs all samples once. */
qcc_status qcc_float_ranges(qcc_plan **out, const qcc_graph *g, const qcc_eval *eval, const qcc_samples *calib,
                            unsigned workers) QCC_MUST_USE;

#endif
