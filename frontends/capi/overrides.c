/* SPDX-License-Identifier: Apache-2.0
 * The layout of ONNX Runtime's TensorQuantOverrides:
 *
 *   { "tensor": [ {"quant_type": "QUInt8", "scale": 0.02, "zero_point": 128} ],
 *     "weight": [ {"axis": 0, "quant_type": "QInt8", "scale": 0.01, "zero_point": 0}, {"scale": .., "zero_point": 0}, ... ] }
 *
 * One item without "axis": per tensor. One item with "axis": the same for every channel; else one item per channel. */
#include <math.h>
#include <string.h>

#include "frontends/capi/params.h"

static const char *const keys[] = {"quant_type",   "axis", "scale", "zero_point", "symmetric",
                                   "reduce_range", "rmin", "rmax",  "convert",    NULL};

/* In ONNX Runtime's words. */
static const struct {
  const char *name;
  qcc_dtype dtype;
} types[] = {{"QInt8", QCC_S8},
             {"QUInt8", QCC_U8},
             {"QInt16", QCC_S16},
             {"QUInt16", QCC_U16},
             {"QInt4", QCC_S4},
             {"QUInt4", QCC_U4},
             {"QFLOAT8E4M3FN", QCC_F8E4M3FN}};
enum { TYPES = sizeof types / sizeof *types };

typedef struct item { /* one dict */
  const char *place;
  const json_t *j;
  bool has_scale, has_range;
  qcc_dtype dtype; /* QCC_NONE: not given */
  double scale, lo, hi;
  int64_t zero, axis;
  int symmetric, reduced; /* -1: not given */
} item;

static bool has(const item *i, const char *key) { return json_object_get(i->j, key) != NULL; }

static qcc_status wrong(const qcc_params_reader *r, const item *i, const char *key, const char *what) {
  return qcc_params_wrong(r, i->place, key, what);
}

/* ---- single members */

static qcc_status read_real(const qcc_params_reader *r, const item *i, const char *key, double *to) {
  const json_t *j = json_object_get(i->j, key);
  if (!j) return QCC_OK;
  *to = json_number_value(j);
  return json_is_number(j) && isfinite(*to) ? QCC_OK : wrong(r, i, key, "must be a finite number");
}

static qcc_status read_integer(const qcc_params_reader *r, const item *i, const char *key, int64_t *to) {
  const json_t *j = json_object_get(i->j, key);
  if (!j) return QCC_OK;
  *to = json_integer_value(j);
  return json_is_integer(j) && *to >= INT32_MIN && *to <= INT32_MAX ? QCC_OK : wrong(r, i, key, "must be an integer");
}

static qcc_status read_bool(const qcc_params_reader *r, const item *i, const char *key, int *to) {
  const json_t *j = json_object_get(i->j, key);
  *to = -1;
  if (!j) return QCC_OK;
  *to = json_is_true(j);
  return json_is_boolean(j) ? QCC_OK : wrong(r, i, key, "must be true or false");
}

static qcc_status read_type(const qcc_params_reader *r, const item *i, qcc_dtype *to) {
  const json_t *j = json_object_get(i->j, "quant_type");
  const char *text = json_string_value(j);
  *to = QCC_NONE;
  if (!j) return QCC_OK;
  for (int k = 0; text && k < TYPES; k++)
    if (strcmp(text, types[k].name) == 0) return *to = types[k].dtype, QCC_OK;
  return wrong(r, i, "quant_type", "must be QInt8, QUInt8, QInt16, QUInt16, QInt4, QUInt4 or QFLOAT8E4M3FN");
}

/* ---- one dict */

static qcc_status check_together(const qcc_params_reader *r, const item *i) {
  static const char *const excluded[] = {"symmetric", "reduce_range", "rmin", "rmax"};
  if (has(i, "scale") != has(i, "zero_point"))
    return wrong(r, i, has(i, "scale") ? "scale" : "zero_point",
                 "stands alone: \"scale\" and \"zero_point\" are given together or not at all");
  for (size_t k = 0; k < sizeof excluded / sizeof *excluded && has(i, "scale"); k++)
    if (has(i, excluded[k])) return wrong(r, i, excluded[k], "has no meaning beside \"scale\" and \"zero_point\"");
  if (has(i, "rmin") != has(i, "rmax"))
    return wrong(r, i, has(i, "rmin") ? "rmin" : "rmax", "stands alone: \"rmin\" and \"rmax\" are given together or not at all");
  return QCC_OK;
}

static qcc_status read_values(const qcc_params_reader *r, item *i) {
  i->has_scale = has(i, "scale");
  i->has_range = has(i, "rmin");
  QCC_TRY(read_type(r, i, &i->dtype));
  QCC_TRY(read_integer(r, i, "axis", &i->axis));
  QCC_TRY(read_real(r, i, "scale", &i->scale));
  QCC_TRY(read_integer(r, i, "zero_point", &i->zero));
  QCC_TRY(read_bool(r, i, "symmetric", &i->symmetric));
  QCC_TRY(read_bool(r, i, "reduce_range", &i->reduced));
  QCC_TRY(read_real(r, i, "rmin", &i->lo));
  QCC_TRY(read_real(r, i, "rmax", &i->hi));
  float scale = (float)i->scale;
  if (i->has_scale && !(scale > 0 && isfinite(scale))) return wrong(r, i, "scale", "must be above 0");
  return i->has_range && !(i->lo <= i->hi) ? wrong(r, i, "rmin", "must not be above \"rmax\"") : QCC_OK;
}

/* The rules of "convert", although nothing here converts: the first mistake should be told first. */
static qcc_status check_convert(const qcc_params_reader *r, const item *i, const qcc_value *v) {
  static const char *const convert_keys[] = {"quant_type", "scale", "zero_point", "symmetric", "reduce_range",
                                             "rmin",       "rmax",  "recv_nodes", NULL};
  item inner = {.place = qcc_internf(r->given->cx, "%s, \"convert\"", i->place), .j = json_object_get(i->j, "convert")};
  if (!inner.j) return QCC_OK;
  if (!inner.place) return QCC_NOMEM;
  if (v->data) return wrong(r, i, "convert", "is for activations, not for initializers");
  if (!json_is_object(inner.j)) return wrong(r, i, "convert", "must be an object");
  QCC_TRY(qcc_params_keys(r, inner.j, inner.place, convert_keys));
  if (!has(&inner, "quant_type")) return wrong(r, &inner, NULL, "\"quant_type\" is missing");
  if (has(&inner, "reduce_range")) return wrong(r, &inner, "reduce_range", "is for initializers, not for activations");
  QCC_TRY(check_together(r, &inner));
  QCC_TRY(read_values(r, &inner));
  if (inner.dtype == i->dtype) return wrong(r, &inner, "quant_type", "must differ from the type of the tensor");
  return qcc_error(r->given->cx, QCC_UNSUPPORTED, "U-321", NULL,
                   "%s: \"convert\" is not supported: a tensor has one type for all its users; leave it out", i->place);
}

static qcc_status read_item(const qcc_params_reader *r, item *i, const qcc_value *v, const char *name, size_t index, const json_t *j) {
  *i = (item){.place = qcc_internf(r->given->cx, "%s: \"%s\"[%zu]", r->what, name, index), .j = j};
  if (!i->place) return QCC_NOMEM;
  if (!json_is_object(j)) return wrong(r, i, NULL, "expected an object");
  QCC_TRY(qcc_params_keys(r, j, i->place, keys));
  QCC_TRY(check_together(r, i));
  QCC_TRY(read_values(r, i));
  if (i->reduced >= 0 && !v->data) return wrong(r, i, "reduce_range", "is for initializers, not for activations");
  if (has(i, "axis") && !v->data) return wrong(r, i, "axis", "is for initializers, not for activations");
  return check_convert(r, i, v);
}

/* ---- the list of a tensor */

static qcc_status check_axis(const qcc_params_reader *r, item *first, const qcc_value *v, size_t count) {
  if (!has(first, "axis")) return count > 1 ? wrong(r, first, NULL, "several items need \"axis\" in the first") : QCC_OK;
  if (first->axis < 0) first->axis += v->type.rank;
  if (first->axis < 0 || first->axis >= v->type.rank) return wrong(r, first, "axis", "is not an axis of the tensor");
  if (count == 1 || (int64_t)count == v->type.dim[first->axis]) return QCC_OK;
  return qcc_error(r->given->cx, QCC_ARG, "A-324", NULL, "%s: %zu items, but the axis has %lld channels", first->place, count,
                   (long long)v->type.dim[first->axis]);
}

/* Later channels may repeat what the first says, and have scales or ranges exactly when it has them. */
static qcc_status check_channel(const qcc_params_reader *r, const item *first, item *i, const qcc_value *v) {
  if (has(i, "axis") && i->axis < 0) i->axis += v->type.rank;
  if (has(i, "quant_type") && i->dtype != first->dtype) return wrong(r, i, "quant_type", "differs from the first channel's");
  if (has(i, "axis") && i->axis != first->axis) return wrong(r, i, "axis", "differs from the first channel's");
  if (i->symmetric >= 0 && i->symmetric != first->symmetric) return wrong(r, i, "symmetric", "differs from the first channel's");
  if (i->reduced >= 0 && i->reduced != first->reduced) return wrong(r, i, "reduce_range", "differs from the first channel's");
  if (i->has_scale != first->has_scale) return wrong(r, i, NULL, "all channels have \"scale\" and \"zero_point\", or none");
  return i->has_range == first->has_range ? QCC_OK : wrong(r, i, NULL, "all channels have \"rmin\" and \"rmax\", or none");
}

static qcc_status fill(qcc_given *to, qcc_given_tensor *t, const item *first, bool per_channel, uint32_t count) {
  t->dtype = first->dtype;
  t->axis = per_channel ? (int32_t)first->axis : -1;
  t->symmetric = (int8_t)first->symmetric;
  t->reduced = (int8_t)first->reduced;
  if (!first->has_scale && !first->has_range) return QCC_OK;
  float *scale = qcc_arena_array(&to->arena, count, sizeof *scale);
  int32_t *zero = qcc_arena_array(&to->arena, count, sizeof *zero);
  double *lo = qcc_arena_array(&to->arena, 2 * (size_t)count, sizeof *lo);
  if (!scale || !zero || !lo) return QCC_NOMEM;
  t->count = count;
  if (first->has_scale) t->scale = scale, t->zero = zero;
  if (first->has_range) t->lo = lo, t->hi = lo + count;
  return QCC_OK;
}

static void set_channel(qcc_given_tensor *t, uint32_t k, const item *i) {
  if (t->scale) {
    t->scale[k] = (float)i->scale;
    t->zero[k] = (int32_t)i->zero;
  }
  if (t->lo) {
    t->lo[k] = i->lo;
    t->hi[k] = i->hi;
  }
}

static qcc_status read_tensor(const qcc_params_reader *r, const char *name, const json_t *list) {
  qcc_context *cx = r->given->cx;
  const char *place = qcc_internf(cx, "%s: \"%s\"", r->what, name);
  const qcc_value *v = qcc_params_tensor(r, name);
  if (!place) return QCC_NOMEM;
  if (!json_is_array(list) || json_array_size(list) > UINT32_MAX) return qcc_params_wrong(r, place, NULL, "expected a list of objects");
  size_t count = json_array_size(list);
  if (count == 0) return QCC_OK;
  qcc_given_tensor *t = qcc_given_add(r->given, name, place);
  item first, next;
  if (!t) return QCC_NOMEM;
  if (!v) return QCC_OK; /* told when names are looked up */
  if (!v->data && count > 1) return qcc_params_wrong(r, place, NULL, "several items are for initializers, not for activations");
  QCC_TRY(read_item(r, &first, v, name, 0, json_array_get(list, 0)));
  QCC_TRY(check_axis(r, &first, v, count));
  QCC_TRY(fill(r->given, t, &first, has(&first, "axis"), (uint32_t)count));
  set_channel(t, 0, &first);
  for (size_t k = 1; k < count; k++) {
    QCC_TRY(read_item(r, &next, v, name, k, json_array_get(list, k)));
    QCC_TRY(check_channel(r, &first, &next, v));
    set_channel(t, (uint32_t)k, &next);
  }
  return QCC_OK;
}

qcc_status qcc_overrides_read(qcc_given *out, const qcc_graph *source, const qcc_graph *prepared, const char *text, size_t n) {
  qcc_params_reader r = {out, source, prepared, "overrides"};
  json_t *root = NULL, *list;
  const char *name;
  QCC_TRY(qcc_params_parse(&root, &r, text, n));
  qcc_status st = QCC_OK;
  json_object_foreach(root, name, list) {
    if (st == QCC_OK) st = read_tensor(&r, name, list);
  }
  json_decref(root);
  return st;
}

/* ---- out */

static json_t *item_json(const qcc_qparams *q, uint32_t k, bool *failed) {
  json_t *j = json_object();
  for (int i = 0; i < TYPES && k == 0; i++)
    if (types[i].dtype == q->dtype) *failed |= json_object_set_new(j, "quant_type", json_string(types[i].name)) != 0;
  if (q->axis >= 0 && k == 0) *failed |= json_object_set_new(j, "axis", json_integer(q->axis)) != 0;
  *failed |= json_object_set_new(j, "scale", qcc_params_real(q->scale[k])) != 0;
  *failed |= json_object_set_new(j, "zero_point", json_integer(q->zero ? q->zero[k] : 0)) != 0;
  return j;
}

qcc_status qcc_overrides_json(const qcc_model *model, char **out, size_t *n) {
  if (!model || !out || !n) return QCC_ARG;
  *out = NULL, *n = 0;
  const qcc_plan *p = model->plan;
  if (!p) return qcc_params_no_plan(model->cx);
  json_t *root = json_object();
  bool failed = false;
  for (uint32_t k = 0; k < p->tensor_count && !failed; k++) {
    const qcc_plan_tensor *t = &p->tensors[k];
    if (!qcc_dtype_is_int(t->q.dtype) || t->q.block) continue; /* blocks and floats of 8 bits have no place in this layout */
    json_t *list = json_array();
    for (uint32_t i = 0; i < t->q.count && !failed; i++) failed = json_array_append_new(list, item_json(&t->q, i, &failed)) != 0 || failed;
    failed = json_object_set_new(root, t->tensor, list) != 0 || failed;
  }
  return qcc_params_dump(out, n, model->cx, root, failed);
}
