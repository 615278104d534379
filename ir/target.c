/* SPDX-License-Identifier: Apache-2.0
 * Questions to a target; see target.h. */
#include "ir/target.h"

qcc_status qcc_target_init(qcc_target *t, qcc_context *cx) {
  *t = (qcc_target){.cx = cx, .name = "", .doc = "", .runtime = "", .optimization = ""};
  t->ops = qcc_zalloc_array(cx, QCC_OP_COUNT, sizeof *t->ops);
  return t->ops ? QCC_OK : QCC_NOMEM;
}

void qcc_target_fini(qcc_target *t) {
  if (!t->cx) return;
  qcc_free(t->cx, t->ops);
  qcc_free(t->cx, t->patterns);
  qcc_free(t->cx, t->costs.points);
  *t = (qcc_target){0};
}

bool qcc_choices_have(const qcc_choices *c, unsigned code) {
  for (unsigned i = 0; i < c->count; i++) {
    if (c->at[i] == code) return true;
  }
  return false;
}

bool qcc_choices_add(qcc_choices *c, unsigned code) {
  if (qcc_choices_have(c, code)) return true;
  if (c->count == QCC_CHOICES) return false;
  c->at[c->count++] = (uint8_t)code;
  return true;
}

unsigned qcc_choices_first(const qcc_choices *c, unsigned fallback) { return c->count ? c->at[0] : fallback; }

bool qcc_target_op_fits(const qcc_target_op *t, int64_t opset) {
  return (!t->min_since || opset >= t->min_since) && (!t->max_since || opset <= t->max_since);
}

bool qcc_target_fuses(const qcc_target *t, qcc_op first, qcc_op next) {
  for (uint32_t i = 0; i < t->pattern_count; i++) {
    const qcc_target_pattern *p = &t->patterns[i];
    for (unsigned k = 0; k + 1u < p->count && !p->is_float; k++) {
      if (p->op[k] == first && p->op[k + 1] == next) return true;
    }
  }
  return false;
}
