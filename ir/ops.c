/* SPDX-License-Identifier: Apache-2.0
 * The op table as data: one qcc_op_info per row of ops.def, row 0 standing for operators that the table does not know.
 *
 * Look-up by name visits only the rows whose names are as long as the wanted one: their lengths are bytes in one array, so
 * memchr finds the candidates. ops.def therefore stays in reading order, and nobody keeps a sorted copy of it. */
#include <string.h>

#include "ir/ir.h"

static const qcc_op_info table[QCC_OP_COUNT] = {
    {"", "?", 1, 0, QCC_MANY, QCC_MANY, QCC_ROLE_FLOAT, QCC_ROUNDS},
#define OP(id, domain, name, since, in_min, in_max, out_max, shape, kern, role, exact) \
  {domain, name, since, in_min, in_max, out_max, QCC_ROLE_##role, QCC_##exact},
#include "ir/ops.def"
#undef OP
};

static const uint8_t lengths[QCC_OP_COUNT] = {
    0,
#define OP(id, domain, name, since, in_min, in_max, out_max, shape, kern, role, exact) sizeof(name) - 1,
#include "ir/ops.def"
#undef OP
};

const qcc_op_info *qcc_op_get(qcc_op op) { return &table[(unsigned)op < QCC_OP_COUNT ? op : QCC_OP_OPAQUE]; }

qcc_op qcc_op_find(const char *domain, const char *name) {
  size_t length = name ? strlen(name) : 0;
  if (length == 0 || length > UINT8_MAX) return QCC_OP_OPAQUE;
  if (!domain || strcmp(domain, "ai.onnx") == 0) domain = "";
  const uint8_t *at = lengths, *end = lengths + QCC_OP_COUNT;
  while ((at = memchr(at, (int)length, (size_t)(end - at)))) {
    const qcc_op_info *row = &table[at - lengths];
    if (memcmp(row->name, name, length) == 0 && strcmp(row->domain, domain) == 0) return (qcc_op)(at - lengths);
    at++;
  }
  return QCC_OP_OPAQUE;
}
