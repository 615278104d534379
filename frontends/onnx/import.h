/* SPDX-License-Identifier: Apache-2.0
 * ONNX -> graph. A non-recursive wire scan with limits runs before protobuf-c; raw_data becomes slices of the mapped file. */
#ifndef QCC_ONNX_IMPORT_H
#define QCC_ONNX_IMPORT_H

#include "ir/ir.h"

/* Load a model file. Local functions are inlined, external data is read beneath the model's folder only, IR 3 initializers that
 * are inputs become constants (warning when the caller could override them: they stay listed in the file's inputs), unknown operators
 * and fields survive. Statuses: INVALID, UNSUPPORTED, IO, LIMIT, NOMEM. */
qcc_status qcc_onnx_load(qcc_graph **out, qcc_context *cx, const char *path) QCC_MUST_USE;
/* From memory. `base` (may be NULL) is the folder for external data, `file` the name for messages. The bytes must outlive the graph
 * unless `copy`. */
qcc_status qcc_onnx_load_memory(qcc_graph **out, qcc_context *cx, const void *bytes, size_t n, const char *base, const char *file,
                                bool copy) QCC_MUST_USE;
/* One TensorProto file (.pb of the ONNX test sets). QCC_DATA. */
qcc_status qcc_onnx_load_tensor(qcc_tensor *out, qcc_context *cx, const char *path, const char **name) QCC_MUST_USE;
qcc_status qcc_onnx_load_tensor_memory(qcc_tensor *out, qcc_context *cx, const void *bytes, size_t n, const char *file) QCC_MUST_USE;
/* A value for `v`, which the model declares: a tensor, or a sequence or optional of such. QCC_DATA. */
qcc_status qcc_onnx_load_value(qcc_tensor *out, qcc_context *cx, const char *path, const qcc_value *v) QCC_MUST_USE;

#endif
