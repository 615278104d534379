/* SPDX-License-Identifier: Apache-2.0
 * The loaded library: its functions by name, its words as diagnostics. */
#ifndef QCC_ORT_LIBRARY_H
#define QCC_ORT_LIBRARY_H

#include "ir/eval.h"
#include "ir/support/vec.h"

typedef struct qcc_ort_library {
  qcc_context *cx;
  void *handle;
  const char *version;
  void *env, *memory, *allocator;
#define ORT(place, name, result, arguments) result(*name) arguments;
#include "backends/ort/functions.def"
#undef ORT
} qcc_ort_library;

/* `path`: a file, or "ort" or NULL for what the system's loader finds. Close it in any case. */
qcc_status qcc_ort_load(qcc_ort_library *l, qcc_context *cx, const char *path) QCC_MUST_USE;
void qcc_ort_unload(qcc_ort_library *l);
/* Turns what a function returned into a status; `doing` completes "ONNX Runtime cannot ...". */
qcc_status qcc_ort_check(const qcc_ort_library *l, void *returned, qcc_status status, const char *doing) QCC_MUST_USE;

/* ---- profile.c: what the kernels cost, from the file of events that the library writes */
typedef struct qcc_ort_profile {
  qcc_context *cx;
  char folder[32]; /* of the file, while a session is profiled; "" */
  QCC_VEC(qcc_profile_step) steps;
  QCC_VEC(double) rows; /* by step: seconds of the executions since the last whole row */
  qcc_profile shown;
} qcc_ort_profile;

qcc_status qcc_ort_profile_begin(qcc_ort_profile *p, const qcc_ort_library *l, void *options) QCC_MUST_USE;
/* Ends the profile of a session and adds what its runs cost, the first one left out. */
qcc_status qcc_ort_profile_end(qcc_ort_profile *p, const qcc_ort_library *l, void *session) QCC_MUST_USE;
void qcc_ort_profile_reset(qcc_ort_profile *p);
void qcc_ort_profile_free(qcc_ort_profile *p);

#endif
