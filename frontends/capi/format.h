/* SPDX-License-Identifier: Apache-2.0
 * The forms in which a quantized model can be written. */
#ifndef QCC_CAPI_FORMAT_H
#define QCC_CAPI_FORMAT_H

#include "frontends/capi/model.h"

typedef struct qcc_format_row {
  const char *name, *pipeline, *doc;
  qcc_form form;
} qcc_format_row;

/* NULL past the end. */
const qcc_format_row *qcc_format_at(uint32_t index);
/* NULL for "auto" and NULL: each operator in the form that suits it best. QCC_ARG: no such format. */
qcc_status qcc_format_find(const qcc_format_row **out, qcc_context *cx, const char *name) QCC_MUST_USE;
/* QCC_ARG when the target takes no operator in this form. */
qcc_status qcc_format_check(const qcc_format_row *f, const qcc_target *target) QCC_MUST_USE;

/* Type of weights in blocks, QCC_NONE for other types. QCC_ARG: `block` is no power of two from 16. */
qcc_status qcc_weights_find(qcc_dtype *out, qcc_context *cx, const char *name, uint32_t block) QCC_MUST_USE;
/* QCC_NONE for NULL and "f32". QCC_ARG: no such type. */
qcc_status qcc_floats_find(qcc_dtype *out, qcc_context *cx, const char *name) QCC_MUST_USE;
/* QCC_ARG when the target stores no weights so. */
qcc_status qcc_weights_check(qcc_dtype dtype, const qcc_target *target) QCC_MUST_USE;

#endif
