/* SPDX-License-Identifier: Apache-2.0
 * What the readers and writers of parameters share. */
#include "frontends/capi/params.h"

#include <string.h>

#include "ir/support/nearest.h"
#include "ir/support/vec.h"

qcc_status qcc_params_parse(json_t **out, const qcc_params_reader *r, const char *text, size_t n) {
  json_error_t e;
  *out = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
  if (!*out) {
    qcc_loc loc = {.line = e.line > 0 ? (uint32_t)e.line : 0, .column = e.column > 0 ? (uint32_t)e.column : 0};
    return qcc_error(r->given->cx, QCC_ARG, "A-320", &loc, "%s: not valid JSON: %s", r->what, e.text);
  }
  if (json_is_object(*out)) return QCC_OK;
  json_decref(*out);
  *out = NULL;
  return qcc_error(r->given->cx, QCC_ARG, "A-321", NULL, "%s: expected an object", r->what);
}

qcc_status qcc_params_wrong(const qcc_params_reader *r, const char *place, const char *key, const char *what) {
  if (!key) return qcc_error(r->given->cx, QCC_ARG, "A-322", NULL, "%s: %s", place, what);
  return qcc_error(r->given->cx, QCC_ARG, "A-322", NULL, "%s: \"%s\" %s", place, key, what);
}

qcc_status qcc_params_keys(const qcc_params_reader *r, const json_t *object, const char *place, const char *const *keys) {
  const char *key;
  json_t *value;
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    qcc_nearest near = qcc_nearest_to(key, strlen(key));
    const char *const *k = keys;
    for (; *k && strcmp(*k, key) != 0; k++) qcc_nearest_offer(&near, *k);
    if (*k) continue;
    const char *slip = qcc_nearest_slip(&near);
    if (!slip) return qcc_error(r->given->cx, QCC_ARG, "A-323", NULL, "%s: unknown member %-s", place, key);
    return qcc_error(r->given->cx, QCC_ARG, "A-323", NULL, "%s: unknown member %-s; did you mean \"%s\"?", place, key, slip);
  }
  return QCC_OK;
}

const qcc_value *qcc_params_tensor(const qcc_params_reader *r, const char *name) {
  name = qcc_intern(r->given->cx, name);
  const qcc_value *v = name ? qcc_find_value(r->prepared, name) : NULL;
  return v || !name ? v : qcc_find_value(r->source, name);
}

qcc_status qcc_params_no_plan(qcc_context *cx) {
  return qcc_error(cx, QCC_ARG, "A-325", NULL, "the model was not quantized by qcc_compile: it has no parameters to write");
}

json_t *qcc_params_real(float x) {
  char text[64];
  double shortest = 0;
  return qcc_read_f64(text, qcc_print_f32(text, x), &shortest) ? json_real(shortest) : NULL;
}

qcc_status qcc_params_given(qcc_given *out, const qcc_compile_options *o, const qcc_graph *source, const qcc_graph *prepared,
                            bool planned) {
  if (!o->overrides && !o->encodings) return QCC_OK;
  if (planned)
    return qcc_error(out->cx, QCC_ARG, "A-326", NULL, "a plan has its own parameters: overrides or encodings cannot be given with it");
  if (o->level == 0) return qcc_error(out->cx, QCC_ARG, "A-327", NULL, "-O0 quantizes nothing: overrides or encodings need -O1 or -O2");
  if (o->overrides) QCC_TRY(qcc_overrides_read(out, source, prepared, o->overrides, o->overrides_bytes));
  if (o->encodings) QCC_TRY(qcc_encodings_read(out, source, prepared, o->encodings, o->encodings_bytes));
  for (uint32_t i = 0; i < out->count && o->overrides && o->encodings; i++)
    for (uint32_t k = 0; k < i; k++)
      if (out->list[i]->tensor == out->list[k]->tensor)
        return qcc_error(out->cx, QCC_ARG, "A-328", NULL, "%s is also in %s", out->list[i]->place, out->list[k]->place);
  return qcc_given_resolve(out, source, prepared);
}

static int take_text(const char *bytes, size_t n, void *to) {
  qcc_text_add(to, bytes, n);
  return ((qcc_text *)to)->failed ? -1 : 0;
}

qcc_status qcc_params_dump(char **out, size_t *n, qcc_context *cx, json_t *j, bool failed) {
  qcc_text text = {.cx = cx};
  failed = failed || !j || json_dump_callback(j, take_text, &text, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0;
  json_decref(j);
  if (!failed) qcc_text_add(&text, "\n", 1);
  if (failed || text.failed) {
    bool told = text.failed;
    qcc_text_free(&text);
    return told ? QCC_NOMEM
                : qcc_error(cx, QCC_UNSUPPORTED, "U-320", NULL,
                            "the parameters cannot be written as JSON: a name is not UTF-8, or no memory");
  }
  *out = text.at;
  *n = text.n;
  return QCC_OK;
}
