/* SPDX-License-Identifier: Apache-2.0
 * Parameters of tensors in the JSON of other tools, in (strategy/given.h) and out (a compiled model's plan). */
#ifndef QCC_CAPI_PARAMS_H
#define QCC_CAPI_PARAMS_H

#include <jansson.h>

#include "frontends/capi/model.h"

/* The layout of ONNX Runtime's TensorQuantOverrides. The graphs tell initializers from activations. QCC_ARG tells the place in the text. */
qcc_status qcc_overrides_read(qcc_given *out, const qcc_graph *source, const qcc_graph *prepared, const char *text, size_t n) QCC_MUST_USE;
/* AIMET's encodings: tensors by name in "activation_encodings" and "param_encodings". */
qcc_status qcc_encodings_read(qcc_given *out, const qcc_graph *source, const qcc_graph *prepared, const char *text, size_t n) QCC_MUST_USE;

/* What the options give, found in `prepared`. QCC_ARG: `planned` (the parameters come from a plan), or nothing is quantized. */
qcc_status qcc_params_given(qcc_given *out, const qcc_compile_options *o, const qcc_graph *source, const qcc_graph *prepared,
                            bool planned) QCC_MUST_USE;

/* ---- what both need */
typedef struct qcc_params_reader {
  qcc_given *given;
  const qcc_graph *source, *prepared;
  const char *what; /* "overrides": first word of every message */
} qcc_params_reader;

/* Parse; the root must be an object. */
qcc_status qcc_params_parse(json_t **out, const qcc_params_reader *r, const char *text, size_t n) QCC_MUST_USE;
qcc_status qcc_params_wrong(const qcc_params_reader *r, const char *place, const char *key, const char *what);
/* QCC_ARG with a suggestion: a member that is not one of `keys` (NULL at the end). */
qcc_status qcc_params_keys(const qcc_params_reader *r, const json_t *object, const char *place, const char *const *keys) QCC_MUST_USE;
const qcc_value *qcc_params_tensor(const qcc_params_reader *r, const char *name); /* as prepared, else in the source; NULL: none */
qcc_status qcc_params_no_plan(qcc_context *cx);
json_t *qcc_params_real(float x); /* the shortest number that reads back; NULL: no memory */
/* Dump and release `j`; `failed`: it is not whole. Free the text with qcc_free. */
qcc_status qcc_params_dump(char **out, size_t *n, qcc_context *cx, json_t *j, bool failed) QCC_MUST_USE;

#endif
