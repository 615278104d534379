/* SPDX-License-Identifier: Apache-2.0
 * Tables to structs. Nothing here decides anything. */
#include "backends/target/target.h"

#include <string.h>

#define CAN(id, st, dy, we, fo, sq, nq, since)  \
  [QCC_OP_##id] = {.op = QCC_OP_##id,           \
                   .is_static = st,             \
                   .dynamic = dy,               \
                   .weight_only = we,           \
                   .float_output = fo,          \
                   .same_q = sq,                \
                   .needs_quantized_input = nq, \
                   .max_since = since},
static const qcc_target_op ort_cpu_ops[QCC_OP_COUNT] = {
#include "backends/target/ort_cpu.def"
};
#undef CAN

typedef struct row {
  const char *name, *doc;
  bool per_channel, pair_saturation;
  int64_t min_opset, max_opset, max_ir;
} row;

static const row rows[] = {
#define TARGET(id, name, per_channel, pairs, opset_min, opset_max, ir_max, doc) \
  {name, doc, per_channel, pairs, opset_min, opset_max, ir_max},
#include "backends/target/targets.def"
#undef TARGET
};

const char *qcc_target_at(uint32_t index, const char **doc) {
  if (index >= sizeof rows / sizeof *rows) return NULL;
  if (doc) *doc = rows[index].doc;
  return rows[index].name;
}

static void fill_ways(qcc_target_op *op, bool per_channel) {
  for (qcc_mode m = QCC_MODE_STATIC; m <= QCC_MODE_WEIGHT; m++) {
    qcc_target_way *way = &op->way[m];
    if (m != QCC_MODE_WEIGHT) {
      qcc_choices_add(&way->activation.dtype, QCC_U8);
      qcc_choices_add(&way->activation.scheme, QCC_SCHEME_ASYM);
      qcc_choices_add(&way->activation.granularity, QCC_GRANULARITY_PER_TENSOR);
    }
    qcc_choices_add(&way->weight.dtype, QCC_S8);
    qcc_choices_add(&way->weight.scheme, QCC_SCHEME_SYM);
    qcc_choices_add(&way->weight.granularity, per_channel ? QCC_GRANULARITY_PER_CHANNEL : QCC_GRANULARITY_PER_TENSOR);
    qcc_choices_add(&way->format, m == QCC_MODE_DYNAMIC ? QCC_FORMAT_INTEGER : QCC_FORMAT_QDQ);
  }
}

qcc_status qcc_target_find(qcc_target *out, qcc_context *cx, const char *name) {
  for (uint32_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const row *r = &rows[i];
    if (strcmp(r->name, name) != 0) continue;
    QCC_TRY(qcc_target_init(out, cx));
    out->name = r->name;
    out->doc = r->doc;
    out->activation = qcc_grid_u8();
    out->weight = qcc_grid_weight();
    out->per_channel = r->per_channel;
    out->pair_saturation = r->pair_saturation;
    out->min_opset = r->min_opset;
    out->max_opset = r->max_opset;
    out->max_ir = r->max_ir;
    memcpy(out->ops, ort_cpu_ops, sizeof ort_cpu_ops);
    for (qcc_op op = QCC_OP_OPAQUE; op < QCC_OP_COUNT; op++) fill_ways(&out->ops[op], r->per_channel);
    return QCC_OK;
  }
  return qcc_error(cx, QCC_ARG, "A-110", NULL, "unknown target \"%s\"; \"qcc list targets\" names them", name);
}
