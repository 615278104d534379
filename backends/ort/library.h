/* SPDX-License-Identifier: Apache-2.0
 * The loaded library: its functions by name, its words as diagnostics. */
#ifndef QCC_ORT_LIBRARY_H
#define QCC_ORT_LIBRARY_H

#include "ir/ir.h"

typedef struct qcc_ort_library {
  qcc_context *cx;
  void *handle;
  const char *version;
  void *env, *memory;
#define ORT(place, name, result, arguments) result(*name) arguments;
#include "backends/ort/functions.def"
#undef ORT
} qcc_ort_library;

/* `path`: a file, or "ort" or NULL for what the system's loader finds. Close it in any case. */
qcc_status qcc_ort_load(qcc_ort_library *l, qcc_context *cx, const char *path) QCC_MUST_USE;
void qcc_ort_unload(qcc_ort_library *l);
/* Turns what a function returned into a status; `doing` completes "ONNX Runtime cannot ...". */
qcc_status qcc_ort_check(const qcc_ort_library *l, void *returned, qcc_status status, const char *doing) QCC_MUST_USE;

#endif
