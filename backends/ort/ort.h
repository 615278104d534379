/* SPDX-License-Identifier: Apache-2.0
 * ONNX Runtime behind ir/eval.h: the same questions as to the built-in runtime, answered by the library that will run the model. It is found
 * at run time (qcc_run_options.library) and is nothing that qcc needs. */
#ifndef QCC_ORT_H
#define QCC_ORT_H

#include "ir/eval.h"

/* A constant table. Differences to the built-in runtime: `fold` never folds; samples run one by one, `workers` are the library's threads
 * inside a sample; observed values become outputs of the model, so watching can undo fusions; arithmetic is always the library's own. A
 * step of a profile is a node of the graph as the library optimized it, its op the kernel that ran; operations are not known (0), and there
 * is no trace. Results are not promised to be the same bytes everywhere. QCC_ARG: the library cannot be loaded. QCC_UNSUPPORTED: it
 * refuses the model or a run, in its own words. */
const qcc_eval *qcc_ort_eval(void);

#endif
