/* SPDX-License-Identifier: Apache-2.0
 * One run over the samples with the extremes of every tensor. What reads a tensor with large values stays f32 as well as what makes it:
 * nothing else has a place for them. */
#include "strategy/float_range.h"

#include <math.h>

#include "strategy/collect.h"

static const double limit = 65504.0 / 2; /* other data may reach further */

static bool observed(const qcc_value *v) { return v && !v->data && v->type.dtype == QCC_F32; }

static qcc_status keep(qcc_plan *plan, const qcc_node *n, const char *reason) {
  qcc_plan_op *op = qcc_plan_set_op(plan, n->name);
  if (!op) return QCC_NOMEM;
  op->mode = QCC_MODE_FLOAT;
  op->reason = reason;
  return QCC_OK;
}

static qcc_status judge(qcc_plan *plan, const qcc_collector *c, const qcc_value *v) {
  const qcc_hist *h = observed(v) ? qcc_collector_hist(c, v) : NULL;
  const double most = h ? fmax(fabs((double)h->min), fabs((double)h->max)) : 0;
  if (!(most > limit)) return QCC_OK;
  const char *reason = qcc_internf(plan->cx, "values up to %g were seen", most);
  if (!reason) return QCC_NOMEM;
  if (v->def) QCC_TRY(keep(plan, v->def, reason));
  QCC_FOR_USES(u, v) {
    if (u->node) QCC_TRY(keep(plan, u->node, reason));
  }
  return QCC_OK;
}

static qcc_status each_value(const qcc_graph *g, qcc_plan *plan, qcc_collector *c, bool watch) {
  for (uint32_t i = 0; i < g->input_count; i++) {
    const qcc_value *v = g->inputs[i];
    if (observed(v)) QCC_TRY(watch ? qcc_collector_watch(c, v, QCC_WATCH_HIST, 0) : judge(plan, c, v));
  }
  QCC_FOR_NODES(n, g) {
    for (uint32_t k = 0; k < n->out_count; k++) {
      const qcc_value *v = n->out[k];
      if (observed(v)) QCC_TRY(watch ? qcc_collector_watch(c, v, QCC_WATCH_HIST, 0) : judge(plan, c, v));
    }
  }
  return QCC_OK;
}

qcc_status qcc_float_ranges(qcc_plan **out, const qcc_graph *g, const qcc_eval *eval, const qcc_samples *calib, unsigned workers) {
  qcc_collector *c = NULL;
  qcc_runner *runner = NULL;
  QCC_TRY(qcc_plan_new(out, g->cx));
  qcc_status st = eval->open(&runner, g->cx, g, &(qcc_run_options){.workers = workers});
  if (st == QCC_OK) st = qcc_collector_new(&c, g->cx, workers, calib->count, 0);
  if (st == QCC_OK) st = each_value(g, *out, c, true);
  if (st == QCC_OK) st = qcc_collector_run(c, eval, runner, calib, 0, calib->count, "float ranges");
  if (st == QCC_OK) st = each_value(g, *out, c, false);
  qcc_collector_free(c);
  if (runner) eval->close(runner);
  if (st == QCC_OK) return QCC_OK;
  qcc_plan_free(*out);
  *out = NULL;
  return st;
}
