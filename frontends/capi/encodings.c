/* SPDX-License-Identifier: Apache-2.0
 * AIMET's encodings, version 0.6.1: tensors by name, one encoding per tensor or per channel. The real value of code q, which counts from 0
 * whatever the type, is scale * (q + offset): min = scale * offset, max = scale * (offset + 2^bitwidth - 1).
 *
 *   { "version": "0.6.1",
 *     "activation_encodings": { "x": [ {"bitwidth": 8, "dtype": "int", "is_symmetric": "False", "min": -1.28, "max": 1.27, "offset": -128,
 *                                       "scale": 0.01} ] },
 *     "param_encodings": { "w": [ {...}, ... ] } }
 *
 * Read is version 1.0.0 as well: lists of {"name", "dtype": "INT", "bw", "is_sym", "scale": [..], "offset": [..]}. An encoding without
 * scale and offset gives its range. The channel axis is not in the file: it is where the list is as long as an axis that can be one. */
#include <math.h>
#include <string.h>

#include "frontends/capi/params.h"
#include "ir/check.h"

static const char *const keys[] = {"name", "bitwidth", "bw",     "dtype", "is_symmetric", "is_sym",
                                   "min",  "max",      "offset", "scale", "enc_type",     NULL};

typedef struct encoding {
  int64_t bits, offset;
  int symmetric; /* -1: not given */
  bool has_scale;
  double scale, lo, hi;
} encoding;

static const json_t *either(const json_t *j, const char *a, const char *b) {
  const json_t *x = json_object_get(j, a);
  return x ? x : json_object_get(j, b);
}

/* Member `key`, item `k` of it when it is a list. */
static const json_t *member(const json_t *j, const char *key, size_t k) {
  const json_t *x = json_object_get(j, key);
  return json_is_array(x) ? json_array_get(x, k) : x;
}

static bool is_integer(const json_t *j, int64_t lo, int64_t hi, int64_t *to) {
  double x = json_number_value(j);
  if (!json_is_number(j) || !(x >= (double)lo && x <= (double)hi) || x != floor(x)) return false;
  *to = (int64_t)x;
  return true;
}

static qcc_status read_flags(const qcc_params_reader *r, const json_t *j, const char *place, encoding *e) {
  const char *dtype = json_string_value(json_object_get(j, "dtype"));
  const json_t *bits = either(j, "bitwidth", "bw"), *symmetric = either(j, "is_symmetric", "is_sym");
  const char *word = json_string_value(symmetric);
  QCC_TRY(qcc_params_keys(r, j, place, keys));
  if (dtype && strcmp(dtype, "int") != 0 && strcmp(dtype, "INT") != 0) return qcc_params_wrong(r, place, "dtype", "must be \"int\"");
  if (!is_integer(bits, 1, 32, &e->bits)) return qcc_params_wrong(r, place, "bitwidth", "must be an integer of 1 to 32");
  e->symmetric = !symmetric ? -1 : json_is_true(symmetric) || (word && (word[0] == 'T' || word[0] == 't'));
  bool known =
      !symmetric || json_is_boolean(symmetric) ||
      (word && (strcmp(word, "True") == 0 || strcmp(word, "true") == 0 || strcmp(word, "False") == 0 || strcmp(word, "false") == 0));
  return known ? QCC_OK : qcc_params_wrong(r, place, "is_symmetric", "must be \"True\" or \"False\"");
}

static qcc_status read_encoding(const qcc_params_reader *r, const json_t *j, const char *place, size_t k, encoding *e) {
  *e = (encoding){0};
  if (!json_is_object(j)) return qcc_params_wrong(r, place, NULL, "expected an object");
  QCC_TRY(read_flags(r, j, place, e));
  const json_t *scale = member(j, "scale", k), *offset = member(j, "offset", k), *lo = member(j, "min", k), *hi = member(j, "max", k);
  e->has_scale = scale && offset;
  if (!e->has_scale && (scale || offset)) return qcc_params_wrong(r, place, scale ? "scale" : "offset", "stands alone");
  e->scale = json_number_value(scale);
  e->lo = json_number_value(lo), e->hi = json_number_value(hi);
  float f = (float)e->scale;
  if (scale && !(json_is_number(scale) && f > 0 && isfinite(f))) return qcc_params_wrong(r, place, "scale", "must be above 0");
  if (offset && !is_integer(offset, INT32_MIN, 0, &e->offset))
    return qcc_params_wrong(r, place, "offset", "must be an integer not above 0");
  bool range = json_is_number(lo) && json_is_number(hi) && isfinite(e->lo) && isfinite(e->hi) && e->lo <= e->hi;
  return e->has_scale || range ? QCC_OK : qcc_params_wrong(r, place, NULL, "\"scale\" and \"offset\", or \"min\" and \"max\", are missing");
}

/* ---- one tensor */

static qcc_dtype type_of(int64_t bits, bool is_signed) {
  if (bits == 4) return is_signed ? QCC_S4 : QCC_U4;
  if (bits == 16) return is_signed ? QCC_S16 : QCC_U16;
  return is_signed ? QCC_S8 : QCC_U8;
}

static qcc_status set_channel(const qcc_params_reader *r, qcc_given_tensor *t, uint32_t k, const encoding *e, const char *place) {
  if (k && e->has_scale != (t->scale != NULL)) return qcc_params_wrong(r, place, NULL, "all channels have \"scale\", or none");
  int64_t zero = -e->offset + (qcc_dtype_min(t->dtype) < 0 ? qcc_dtype_min(t->dtype) : 0);
  if (t->scale) {
    t->scale[k] = (float)e->scale;
    t->zero[k] = (int32_t)zero;
  } else {
    t->lo[k] = e->lo;
    t->hi[k] = e->hi;
  }
  return QCC_OK;
}

static qcc_status make_room(qcc_given *g, qcc_given_tensor *t, uint32_t count, bool has_scale) {
  t->count = count;
  t->scale = has_scale ? qcc_arena_array(&g->arena, count, sizeof *t->scale) : NULL;
  t->zero = has_scale ? qcc_arena_array(&g->arena, count, sizeof *t->zero) : NULL;
  t->lo = has_scale ? NULL : qcc_arena_array(&g->arena, 2 * (size_t)count, sizeof *t->lo);
  t->hi = t->lo ? t->lo + count : NULL;
  return t->lo || (t->scale && t->zero) ? QCC_OK : QCC_NOMEM;
}

/* The operator that reads a weight says where its channels are. */
static int32_t channel_axis(const qcc_value *v, size_t count) {
  const qcc_node *n = v && v->uses ? v->uses->node : NULL;
  int32_t axis = n ? qcc_channel_axis(n) : 0;
  return v && axis < v->type.rank && v->type.dim[axis] == (int64_t)count ? axis : -1;
}

/* `list`: encodings by channel, or, version 1.0.0, an object of lists. */
static qcc_status read_tensor(const qcc_params_reader *r, const char *section, const char *name, const json_t *list, bool is_weight) {
  qcc_context *cx = r->given->cx;
  const char *place = qcc_internf(cx, "%s: \"%s\".\"%s\"", r->what, section, name);
  const qcc_value *v = qcc_params_tensor(r, name);
  size_t count = json_is_array(list)                             ? json_array_size(list)
                 : json_is_array(json_object_get(list, "scale")) ? json_array_size(json_object_get(list, "scale"))
                                                                 : 1;
  qcc_given_tensor *t = place && count < UINT32_MAX ? qcc_given_add(r->given, name, place) : NULL;
  if (!t) return QCC_NOMEM;
  if (count == 0) return qcc_params_wrong(r, place, NULL, "expected at least one encoding");
  if (count > 1 && !is_weight) return qcc_params_wrong(r, place, NULL, "an activation has one encoding");
  if (count > 1) t->axis = channel_axis(v, count);
  if (count > 1 && v && t->axis < 0) return qcc_params_wrong(r, place, NULL, "the tensor has another number of channels");
  for (size_t k = 0; k < count; k++) {
    encoding e;
    QCC_TRY(read_encoding(r, json_is_array(list) ? json_array_get(list, k) : list, place, k, &e));
    if (k == 0) {
      if (e.bits != 4 && e.bits != 8 && e.bits != 16) return qcc_params_wrong(r, place, "bitwidth", "must be 4, 8 or 16");
      t->dtype = type_of(e.bits, is_weight);
      t->symmetric = e.has_scale || is_weight ? -1 : (int8_t)e.symmetric;
      QCC_TRY(make_room(r->given, t, (uint32_t)count, e.has_scale));
    }
    QCC_TRY(set_channel(r, t, (uint32_t)k, &e, place));
  }
  return QCC_OK;
}

static qcc_status read_section(const qcc_params_reader *r, const json_t *root, const char *section, bool is_weight) {
  json_t *tensors = json_object_get(root, section), *item;
  const char *name;
  size_t k;
  qcc_status st = QCC_OK;
  if (!tensors) return QCC_OK;
  if (!json_is_object(tensors) && !json_is_array(tensors))
    return qcc_params_wrong(r, qcc_internf(r->given->cx, "%s: \"%s\"", r->what, section), NULL, "expected an object or a list");
  json_object_foreach(tensors, name, item) {
    if (st == QCC_OK) st = read_tensor(r, section, name, item, is_weight);
  }
  json_array_foreach(tensors, k, item) {
    name = json_string_value(json_object_get(item, "name"));
    if (st == QCC_OK && !name)
      st = qcc_params_wrong(r, qcc_internf(r->given->cx, "%s: \"%s\"[%zu]", r->what, section, k), "name", "must be a text");
    if (st == QCC_OK) st = read_tensor(r, section, name, item, is_weight);
  }
  return st;
}

qcc_status qcc_encodings_read(qcc_given *out, const qcc_graph *source, const qcc_graph *prepared, const char *text, size_t n) {
  qcc_params_reader r = {out, source, prepared, "encodings"};
  json_t *root = NULL;
  QCC_TRY(qcc_params_parse(&root, &r, text, n));
  qcc_status st = QCC_OK;
  if (!json_object_get(root, "activation_encodings") && !json_object_get(root, "param_encodings"))
    st = qcc_params_wrong(&r, r.what, NULL, "neither \"activation_encodings\" nor \"param_encodings\" is there");
  if (st == QCC_OK) st = read_section(&r, root, "activation_encodings", false);
  if (st == QCC_OK) st = read_section(&r, root, "param_encodings", true);
  json_decref(root);
  return st;
}

/* ---- out */

static bool put(json_t *to, const char *key, json_t *value) { return json_object_set_new(to, key, value) == 0; }

static json_t *encoding_json(const qcc_qparams *q, uint32_t k, bool *failed) {
  json_t *j = json_object();
  int64_t least = qcc_dtype_min(q->dtype), most = qcc_dtype_max(q->dtype), zero = q->zero ? q->zero[k] : 0;
  float s = q->scale[k];
  bool symmetric = zero == (least < 0 ? 0 : (most + 1) / 2);
  bool ok = put(j, "bitwidth", json_integer(qcc_dtype_bits(q->dtype))) && put(j, "dtype", json_string("int")) &&
            put(j, "is_symmetric", json_string(symmetric ? "True" : "False")) &&
            put(j, "min", qcc_params_real((float)(least - zero) * s)) && put(j, "max", qcc_params_real((float)(most - zero) * s)) &&
            put(j, "offset", json_integer(least - zero)) && put(j, "scale", qcc_params_real(s));
  *failed = *failed || !ok;
  return j;
}

qcc_status qcc_encodings_json(const qcc_model *model, char **out, size_t *n) {
  if (!model || !out || !n) return QCC_ARG;
  *out = NULL, *n = 0;
  const qcc_plan *p = model->plan;
  if (!p) return qcc_params_no_plan(model->cx);
  json_t *root = json_object(), *sections[2] = {json_object(), json_object()};
  bool failed = !put(root, "version", json_string("0.6.1"));
  if (!put(root, "activation_encodings", sections[0])) failed = true;
  if (!put(root, "param_encodings", sections[1])) failed = true;
  for (uint32_t k = 0; k < p->tensor_count && !failed; k++) {
    const qcc_plan_tensor *t = &p->tensors[k];
    if (!qcc_dtype_is_int(t->q.dtype) || t->q.block) continue; /* blocks and floats of 8 bits have no place in this layout */
    json_t *list = json_array();
    for (uint32_t i = 0; i < t->q.count && !failed; i++)
      failed = json_array_append_new(list, encoding_json(&t->q, i, &failed)) != 0 || failed;
    failed |= !put(sections[t->codes != NULL], t->tensor, list);
  }
  return qcc_params_dump(out, n, model->cx, root, failed);
}
