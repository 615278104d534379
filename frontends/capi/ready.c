/* SPDX-License-Identifier: Apache-2.0
 * What a model goes through before a run. Inputs that have a default may become constants on the way, so samples may hold more tensors than
 * the copy takes. */
#include "frontends/capi/ready.h"

#include <string.h>

#include "backends/ref/ref.h"
#include "passes/pass.h"

static qcc_status get(void *user, size_t sample, qcc_tensor *inputs) {
  qcc_ready *c = user;
  memset(c->inputs, 0, c->from_count * sizeof *c->inputs);
  qcc_status st = c->from->get(c->from->user, sample, c->inputs);
  for (uint32_t i = 0; i < c->g->input_count; i++) {
    inputs[i] = c->inputs[c->index[i]];
    c->inputs[c->index[i]] = (qcc_tensor){0};
  }
  for (uint32_t i = 0; i < c->from_count; i++) qcc_tensor_release(&c->inputs[i]);
  return st;
}

static qcc_status match_inputs(qcc_ready *c, const qcc_graph *g) {
  c->from_count = g->input_count;
  c->index = qcc_zalloc_array(c->cx, c->g->input_count + 1u, sizeof *c->index);
  c->inputs = qcc_zalloc_array(c->cx, g->input_count + 1u, sizeof *c->inputs);
  if (!c->index || !c->inputs) return QCC_NOMEM;
  for (uint32_t i = 0, at = 0; i < c->g->input_count; i++, at++) {
    while (at < g->input_count && g->inputs[at]->name != c->g->inputs[i]->name) at++;
    if (at == g->input_count) return qcc_error(c->cx, QCC_INTERNAL, "I-141", NULL, "an input of the model was lost");
    c->index[i] = at;
  }
  return QCC_OK;
}

qcc_status qcc_ready_open(qcc_ready *c, qcc_context *cx, const qcc_graph *g, const char *passes) {
  *c = (qcc_ready){.cx = cx};
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  QCC_TRY(qcc_graph_clone(&c->g, g));
  QCC_TRY(qcc_run_passes(c->g, passes, &options));
  return match_inputs(c, g);
}

const qcc_samples *qcc_ready_samples(qcc_ready *c, const qcc_samples *samples) {
  c->from = samples;
  c->samples = (qcc_samples){.count = samples->count, .get = get, .user = c};
  return &c->samples;
}

void qcc_ready_close(qcc_ready *c) {
  qcc_graph_free(c->g);
  qcc_free(c->cx, c->index);
  qcc_free(c->cx, c->inputs);
}
