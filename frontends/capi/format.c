/* SPDX-License-Identifier: Apache-2.0
 * Names of forms and of types of weights, and whether a target takes them. */
#include "frontends/capi/format.h"

#include <string.h>

static const qcc_format_row rows[] = {
#define FORMAT(id, name, pipeline, doc) {name, pipeline, doc, QCC_FORMAT_##id},
#include "frontends/capi/formats.def"
#undef FORMAT
};
enum { ROWS = sizeof rows / sizeof *rows };

const qcc_format_row *qcc_format_at(uint32_t index) { return index < ROWS ? &rows[index] : NULL; }

qcc_status qcc_format_find(const qcc_format_row **out, qcc_context *cx, const char *name) {
  *out = NULL;
  if (!name || strcmp(name, "auto") == 0) return QCC_OK;
  for (uint32_t i = 0; i < ROWS; i++)
    if (strcmp(rows[i].name, name) == 0) return *out = &rows[i], QCC_OK;
  return qcc_error(cx, QCC_ARG, "A-113", NULL, "unknown format \"%s\"; \"qcc list formats\" names them", name);
}

static bool takes(const qcc_target *t, qcc_form form) {
  for (qcc_op op = QCC_OP_OPAQUE; op < QCC_OP_COUNT; op++) {
    const qcc_target_op *o = &t->ops[op];
    if (o->is_static && qcc_choices_have(&o->way[QCC_MODE_STATIC].format, form)) return true;
    if (o->dynamic && qcc_choices_have(&o->way[QCC_MODE_DYNAMIC].format, form)) return true;
  }
  return false;
}

qcc_status qcc_format_check(const qcc_format_row *f, const qcc_target *target) {
  if (takes(target, f->form)) return QCC_OK;
  return qcc_error(target->cx, QCC_ARG, "A-114", NULL, "target \"%s\" takes no operator in the format \"%s\"", target->name, f->name);
}

qcc_status qcc_weights_find(qcc_dtype *out, qcc_context *cx, const char *name, uint32_t block) {
  *out = QCC_NONE;
  if (block && (block < 16 || block > 1024 || block & (block - 1)))
    return qcc_error(cx, QCC_ARG, "A-115", NULL, "blocks of %u weights: allowed are powers of two from 16 to 1024", block);
  if (!name) return QCC_OK;
#define WEIGHTS(dtype, text, doc) \
  if (qcc_dtype_bits(QCC_##dtype) < 8 && (!strcmp(name, text) || !strcmp(name, qcc_dtype_name(QCC_##dtype)))) *out = QCC_##dtype;
#include "frontends/capi/weights.def"
#undef WEIGHTS
  return QCC_OK;
}

qcc_status qcc_floats_find(qcc_dtype *out, qcc_context *cx, const char *name) {
  *out = QCC_NONE;
  if (!name) return QCC_OK;
#define FLOATS(dtype, text, doc) \
  if (strcmp(name, text) == 0) return *out = QCC_##dtype == QCC_F32 ? QCC_NONE : QCC_##dtype, QCC_OK;
#include "frontends/capi/floats.def"
#undef FLOATS
  return qcc_error(cx, QCC_ARG, "A-118", NULL, "unknown type of floats \"%s\"; \"qcc list floats\" names them", name);
}

qcc_status qcc_weights_check(qcc_dtype dtype, const qcc_target *target) {
  for (qcc_op op = QCC_OP_OPAQUE; op < QCC_OP_COUNT; op++) {
    const qcc_target_side *w = &target->ops[op].way[QCC_MODE_WEIGHT].weight;
    const bool fits = qcc_choices_have(&w->dtype, dtype) && qcc_choices_have(&w->granularity, QCC_GRANULARITY_PER_BLOCK);
    if (target->ops[op].weight_only && fits) return QCC_OK;
  }
  return qcc_error(target->cx, QCC_ARG, "A-117", NULL, "target \"%s\" stores no weights as %s in blocks", target->name,
                   qcc_dtype_name(dtype));
}
