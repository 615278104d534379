/* SPDX-License-Identifier: Apache-2.0
 * What the loader shares with the reader of older files. */
#ifndef QCC_YAML_LOAD_H
#define QCC_YAML_LOAD_H

#include "yaml/schema.h"

/* The predecessor's first generation ("ops" and "capabilities") as rows of int8; other files stay as they are. Whether ranges come
 * before or at run time is told by the name of such a file, as it was there: "integer" in it means at run time. */
qcc_status qcc_legacy_convert(qcc_yaml_CAPABILITY *say, qcc_arena *arena, const char *file) QCC_MUST_USE;

#endif
