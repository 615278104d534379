/* SPDX-License-Identifier: Apache-2.0
 * Graph -> ONNX. */
#ifndef QCC_ONNX_EXPORT_H
#define QCC_ONNX_EXPORT_H

#include "ir/ir.h"

typedef struct qcc_onnx_write_options {
  int external;              /* -1: only when needed (> ~1.8 GB), 0: never, 1: always: one file <name>.<digest>.data beside the model */
  size_t external_threshold; /* bytes from which a tensor goes outside; 0: 1024 */
} qcc_onnx_write_options;

/* Write with the output protocol: temporary in the target's folder, re-read and verified, fsync, atomic rename; on failure an existing
 * file is untouched. `options` may be NULL. Graphs with qcc.* operators are QCC_INTERNAL. */
qcc_status qcc_onnx_save(const qcc_graph *g, const char *path, const qcc_onnx_write_options *options) QCC_MUST_USE;
/* Into memory; free with qcc_free. */
qcc_status qcc_onnx_save_memory(void **out, size_t *n, const qcc_graph *g) QCC_MUST_USE;

#endif
