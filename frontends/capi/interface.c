/* SPDX-License-Identifier: Apache-2.0
 * Inputs and outputs as codes: all of them when a model is compiled so, or one by one. */
#include <string.h>

#include "frontends/capi/model.h"
#include "ir/recorded.h"
#include "passes/io_codes.h"

/* ---- all of them */

static qcc_status note(qcc_model *m, const qcc_value *v, const char *side, const char *why) {
  char text[160];
  qcc_recorded r;
  if (qcc_recorded_of(&r, v)) {
    char scale[32];
    scale[qcc_print_f32(scale, r.scale)] = 0;
    qcc_format(text, sizeof text, "%s %s, scale %s, zero point %d", qcc_dtype_name(r.dtype), side, scale, (int)r.zero);
    return qcc_model_note(m, "codes", v->name, text);
  }
  return why ? qcc_model_note(m, "interface", v->name, why) : QCC_OK;
}

qcc_status qcc_interface_to_codes(qcc_model *m, const qcc_pass_run_options *options) {
  QCC_TRY(qcc_run_passes(m->g, "infer-shapes,io-codes,dce", options));
  const qcc_graph *g = m->g;
  for (uint32_t i = 0; i < g->input_count; i++)
    if (!g->inputs[i]->data) QCC_TRY(note(m, g->inputs[i], "input", qcc_input_obstacle(g->inputs[i])));
  for (uint32_t i = 0; i < g->output_count; i++)
    QCC_TRY(note(m, g->outputs[i]->value, "output", qcc_output_obstacle(g->outputs[i]->value)));
  return QCC_OK;
}

/* ---- one of them */

static qcc_value *input_of(const qcc_model *m, const char *name) {
  const qcc_graph *g = m->g;
  for (uint32_t i = 0; i < g->input_count; i++)
    if (!g->inputs[i]->data && (name ? strcmp(g->inputs[i]->name, name) == 0 : g->input_count == 1)) return g->inputs[i];
  return NULL;
}

static qcc_value *output_of(const qcc_model *m, const char *name) {
  const qcc_graph *g = m->g;
  for (uint32_t i = 0; i < g->output_count; i++)
    if (name ? strcmp(g->outputs[i]->value->name, name) == 0 : g->output_count == 1) return g->outputs[i]->value;
  return NULL;
}

static qcc_status missing(const qcc_model *m, const char *side, const char *name) {
  if (name) return qcc_error(m->cx, QCC_ARG, "A-119", NULL, "the model has no %s \"%s\"", side, name);
  return qcc_error(m->cx, QCC_ARG, "A-119", NULL, "the model has not just one %s: name it", side);
}

static qcc_status refuse(const qcc_model *m, const qcc_value *v, const char *side, const char *why) {
  const qcc_loc loc = {.file = m->g->file, .tensor = v->name};
  return qcc_error(m->cx, QCC_UNSUPPORTED, "U-113", &loc, "this %s cannot take the form of codes: %s", side, why);
}

static void tell(float *scale, int32_t *zero_point, const qcc_value *v) {
  qcc_recorded r = {0};
  if (!qcc_recorded_of(&r, v)) return;
  if (scale) *scale = r.scale;
  if (zero_point) *zero_point = r.zero;
}

qcc_status qcc_quantize_input(qcc_model *model, const char *name, float *scale, int32_t *zero_point) {
  if (!model) return QCC_ARG;
  qcc_recorded r;
  qcc_value *v = input_of(model, name);
  if (!v) return missing(model, "input", name);
  const char *why = qcc_recorded_of(&r, v) ? NULL : qcc_input_obstacle(v);
  if (why) return refuse(model, v, "input", why);
  if (!qcc_recorded_of(&r, v)) QCC_TRY(qcc_input_to_codes(v));
  tell(scale, zero_point, v);
  return QCC_OK;
}

qcc_status qcc_quantize_output(qcc_model *model, const char *name, float *scale, int32_t *zero_point) {
  if (!model) return QCC_ARG;
  qcc_recorded r;
  qcc_value *v = output_of(model, name);
  if (!v) return missing(model, "output", name);
  name = v->name;
  const char *why = qcc_recorded_of(&r, v) ? NULL : qcc_output_obstacle(v);
  if (why) return refuse(model, v, "output", why);
  if (!qcc_recorded_of(&r, v)) QCC_TRY(qcc_output_to_codes(v));
  tell(scale, zero_point, output_of(model, name));
  return QCC_OK;
}

bool qcc_codes_of(const qcc_model *model, const char *name, float *scale, int32_t *zero_point) {
  qcc_recorded r;
  if (!model || !name) return false;
  const qcc_value *v = input_of(model, name);
  if (!v) v = output_of(model, name);
  if (!v || !qcc_recorded_of(&r, v)) return false;
  tell(scale, zero_point, v);
  return true;
}
