/* SPDX-License-Identifier: Apache-2.0
 * The targets that ship with qcc, as data (ir/target.h). */
#ifndef QCC_TARGETS_H
#define QCC_TARGETS_H

#include "ir/target.h"

/* Fill `out` for "ort-cpu", ...; QCC_ARG names the targets there are. qcc_target_fini gives it back. */
qcc_status qcc_target_find(qcc_target *out, qcc_context *cx, const char *name) QCC_MUST_USE;
/* Name and one-line description of target `index`; NULL past the end. */
const char *qcc_target_at(uint32_t index, const char **doc);

#endif
