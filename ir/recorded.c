/* SPDX-License-Identifier: Apache-2.0
 * Parameters as text in the metadata. A file may come from anywhere: what does not read as a scale and a code is not there. */
#include "ir/recorded.h"

#include <float.h>
#include <string.h>

static const char *key_of(const qcc_value *v, const char *what) {
  return qcc_internf(v->graph->cx, "qcc.%s.%s.%s", v->is_input ? "input" : "output", v->name, what);
}

static qcc_status put(const qcc_value *v, const char *what, const char *text) {
  const char *key = key_of(v, what);
  return key ? qcc_graph_set_metadata(v->graph, key, text) : QCC_NOMEM;
}

static const char *get(const qcc_value *v, const char *what) {
  const char *key = key_of(v, what);
  return key ? qcc_graph_metadata(v->graph, key) : NULL;
}

qcc_status qcc_record(const qcc_value *v, float scale, int32_t zero) {
  char text[32];
  text[qcc_print_f32(text, scale)] = 0;
  QCC_TRY(put(v, "scale", text));
  qcc_format(text, sizeof text, "%d", (int)zero);
  return put(v, "zero_point", text);
}

qcc_status qcc_record_nothing(const qcc_value *v) {
  QCC_TRY(put(v, "scale", NULL));
  return put(v, "zero_point", NULL);
}

bool qcc_recorded_of(qcc_recorded *out, const qcc_value *v) {
  const qcc_dtype t = v->type.dtype;
  if (v->graph != v->graph->root || !(v->is_input || qcc_is_graph_output(v)) || v->data) return false;
  if (!qcc_dtype_is_int(t) || qcc_dtype_bits(t) > 16) return false;
  const char *scale = get(v, "scale"), *zero = get(v, "zero_point");
  double x = 0;
  int64_t z = 0;
  if (!scale || !zero || !*scale || !*zero) return false;
  if (qcc_read_f64(scale, strlen(scale), &x) != strlen(scale) || qcc_read_s64(zero, strlen(zero), &z) != strlen(zero)) return false;
  if (!(x >= (double)FLT_MIN && x <= (double)FLT_MAX) || z < qcc_dtype_min(t) || z > qcc_dtype_max(t)) return false;
  *out = (qcc_recorded){.scale = (float)x, .zero = (int32_t)z, .dtype = t};
  return true;
}

static qcc_qparams params_of(const qcc_recorded *r) {
  return (qcc_qparams){.dtype = r->dtype, .axis = -1, .count = 1, .scale = &r->scale, .zero = &r->zero};
}

qcc_status qcc_recorded_quantize(qcc_tensor *out, qcc_context *cx, const qcc_tensor *x, const qcc_recorded *r) {
  const qcc_qparams q = params_of(r);
  return qcc_quantize(out, cx, x, &q);
}

qcc_status qcc_recorded_dequantize(qcc_tensor *out, qcc_context *cx, const qcc_tensor *x, const qcc_recorded *r) {
  const qcc_qparams q = params_of(r);
  return qcc_dequantize(out, cx, x, &q);
}
