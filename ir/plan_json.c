/* SPDX-License-Identifier: Apache-2.0
 * The plan as JSON and back, without loss: floats are written with the fewest digits that read back (never more than nine),
 * infinities as text, codes as base64. The order is the plan's, so equal plans give equal bytes.
 *
 * { "format": "qcc-plan", "version": 1, "target": "ort-cpu",
 *   "ops":     [ {"node": "conv", "mode": "static", "reason": "..", "gain_db": 1.5, "bias_delta": [..]} ],
 *   "tensors": [ {"tensor": "x", "dtype": "u8", "axis": -1, "block": 0, "scale": [..], "zero": [..], "lo": 0, "hi": 1,
 *                 "algorithm": "minmax", "codes": ".."} ] }
 * Only node/mode and tensor/dtype/scale are required. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "ir/plan.h"
#include "ir/support/vec.h"

static const char *const modes[] = {"float", "static", "dynamic", "weight"};
static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* ---- writing: a member whose value is NULL is a name that is not UTF-8, unless memory ran out (told) */
static void put(json_t *object, const char *key, json_t *value, qcc_status *st) {
  if (json_object_set_new(object, key, value) != 0 && *st == QCC_OK) *st = QCC_UNSUPPORTED;
}

/* Nine digits (the writer's setting) of the number that the shortest text means are that text. */
static json_t *number(float x) {
  char text[64];
  size_t n = qcc_print_f32(text, x);
  double shortest = (double)x;
  if (!isfinite(x)) return json_stringn(text, n);
  if (qcc_read_f64(text, n, &shortest) == 0) return NULL;
  return json_real(shortest);
}

static json_t *numbers(const float *x, size_t count) {
  json_t *list = json_array();
  for (size_t k = 0; k < count && list; k++) {
    if (json_array_append_new(list, number(x[k])) != 0) {
      json_decref(list);
      list = NULL;
    }
  }
  return list;
}

static json_t *integers(const int32_t *x, size_t count) {
  json_t *list = json_array();
  for (size_t k = 0; k < count && list; k++) {
    if (json_array_append_new(list, json_integer(x[k])) != 0) {
      json_decref(list);
      list = NULL;
    }
  }
  return list;
}

static json_t *encode(qcc_context *cx, const qcc_buf *buf, qcc_status *st) {
  const uint8_t *codes = qcc_buf_data(buf);
  const size_t n = qcc_buf_size(buf);
  qcc_text text = {.cx = cx};
  for (size_t i = 0; i < n; i += 3) {
    uint32_t bits = 0;
    size_t left = n - i < 3 ? n - i : 3;
    for (size_t k = 0; k < 3; k++) bits = bits << 8 | (k < left ? codes[i + k] : 0);
    char quad[4];
    for (int k = 0; k < 4; k++) quad[k] = base64[bits >> (18 - 6 * k) & 63];
    if (left < 3) quad[3] = '=';
    if (left < 2) quad[2] = '=';
    qcc_text_add(&text, quad, 4);
  }
  if (text.failed) *st = QCC_NOMEM;
  json_t *j = text.failed ? NULL : json_stringn(text.n ? text.at : "", text.n);
  qcc_text_free(&text);
  return j;
}

static json_t *op_to_json(const qcc_plan_op *op, qcc_status *st) {
  json_t *j = json_object();
  put(j, "node", json_string(op->node), st);
  put(j, "mode", json_string(modes[op->mode]), st);
  if (op->reason) put(j, "reason", json_string(op->reason), st);
  if (op->gain_db != 0) put(j, "gain_db", number(op->gain_db), st);
  if (op->bias_count) put(j, "bias_delta", numbers(op->bias_delta, op->bias_count), st);
  return j;
}

static json_t *tensor_to_json(qcc_context *cx, const qcc_plan_tensor *t, qcc_status *st) {
  json_t *j = json_object();
  put(j, "tensor", json_string(t->tensor), st);
  put(j, "dtype", json_string(qcc_dtype_name(t->q.dtype)), st);
  if (t->q.axis >= 0) put(j, "axis", json_integer(t->q.axis), st);
  if (t->q.block) put(j, "block", json_integer(t->q.block), st);
  put(j, "scale", numbers(t->q.scale, t->q.count), st);
  if (t->q.zero) put(j, "zero", integers(t->q.zero, t->q.count), st);
  if (t->lo != 0 || t->hi != 0) {
    put(j, "lo", number(t->lo), st);
    put(j, "hi", number(t->hi), st);
  }
  if (t->algorithm) put(j, "algorithm", json_string(t->algorithm), st);
  if (t->codes) put(j, "codes", encode(cx, t->codes, st), st);
  return j;
}

static json_t *plan_to_json(const qcc_plan *p, qcc_status *st) {
  json_t *j = json_object(), *ops = json_array(), *tensors = json_array();
  for (uint32_t k = 0; k < p->op_count; k++) {
    if (json_array_append_new(ops, op_to_json(&p->ops[k], st)) != 0 && *st == QCC_OK) *st = QCC_UNSUPPORTED;
  }
  for (uint32_t k = 0; k < p->tensor_count; k++) {
    const qcc_plan_tensor *t = &p->tensors[k];
    if (t->q.dtype != QCC_NONE && json_array_append_new(tensors, tensor_to_json(p->cx, t, st)) != 0 && *st == QCC_OK) *st = QCC_UNSUPPORTED;
  }
  put(j, "format", json_string("qcc-plan"), st);
  put(j, "version", json_integer(1), st);
  if (p->target) put(j, "target", json_string(p->target), st);
  put(j, "ops", ops, st);
  put(j, "tensors", tensors, st);
  return j;
}

static int take_text(const char *bytes, size_t n, void *to) {
  qcc_text_add(to, bytes, n);
  return ((qcc_text *)to)->failed ? -1 : 0;
}

qcc_status qcc_plan_to_json(const qcc_plan *p, char **out, size_t *n) {
  qcc_text text = {.cx = p->cx};
  qcc_status st = QCC_OK;
  *out = NULL;
  *n = 0;
  json_t *j = plan_to_json(p, &st);
  if (st == QCC_OK && json_dump_callback(j, take_text, &text, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) != 0) st = QCC_UNSUPPORTED;
  json_decref(j);
  if (st == QCC_OK) qcc_text_add(&text, "\n", 1);
  if (text.failed) st = QCC_NOMEM;
  if (st != QCC_OK) qcc_text_free(&text);
  if (st == QCC_UNSUPPORTED)
    return qcc_error(p->cx, st, "U-061", NULL, "the plan cannot be written as JSON: a name is not UTF-8, or no memory");
  if (st != QCC_OK) return st;
  *out = text.at;
  *n = text.n;
  return QCC_OK;
}

/* ---- reading */
typedef struct reader {
  qcc_context *cx;
  qcc_plan *p;
  const char *where; /* "ops", "tensors" */
  size_t index;
} reader;

static qcc_status wrong(reader *r, const char *key, const char *allowed) {
  return qcc_error(r->cx, QCC_ARG, "A-061", NULL, "plan: %s[%zu]: '%s' must be %s", r->where, r->index, key, allowed);
}

static qcc_status read_float(reader *r, const json_t *j, const char *key, float *to) {
  if (!j) return QCC_OK;
  const char *text = json_string_value(j);
  if (text && strcmp(text, "nan") == 0) {
    *to = NAN;
  } else if (text && (strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0)) {
    *to = *text == '-' ? -INFINITY : INFINITY;
  } else if (json_is_number(j)) {
    *to = (float)json_number_value(j);
  } else {
    return wrong(r, key, "a number");
  }
  return QCC_OK;
}

static qcc_status read_text(reader *r, const json_t *object, const char *key, const char **to, bool required) {
  const json_t *j = json_object_get(object, key);
  *to = NULL;
  if (!j && !required) return QCC_OK;
  if (!json_is_string(j)) return wrong(r, key, "a text");
  *to = qcc_intern_n(r->cx, json_string_value(j), json_string_length(j));
  return *to ? QCC_OK : QCC_NOMEM;
}

static qcc_status read_integer(reader *r, const json_t *object, const char *key, int64_t lo, int64_t hi, int64_t *to) {
  const json_t *j = json_object_get(object, key);
  if (!j) return QCC_OK;
  if (!json_is_integer(j) || json_integer_value(j) < lo || json_integer_value(j) > hi) return wrong(r, key, "an integer in range");
  *to = json_integer_value(j);
  return QCC_OK;
}

static qcc_status read_floats(reader *r, const json_t *object, const char *key, const float **to, uint32_t *count) {
  const json_t *j = json_object_get(object, key);
  *count = 0;
  if (!j) return QCC_OK;
  size_t n = json_array_size(j);
  if (!json_is_array(j) || n > UINT32_MAX) return wrong(r, key, "a list of numbers");
  float *x = qcc_arena_array(&r->p->arena, n ? n : 1, sizeof *x);
  if (!x) return QCC_NOMEM;
  for (size_t k = 0; k < n; k++) QCC_TRY(read_float(r, json_array_get(j, k), key, &x[k]));
  *to = x;
  *count = (uint32_t)n;
  return QCC_OK;
}

static qcc_status read_zeros(reader *r, const json_t *object, qcc_qparams *q) {
  const json_t *j = json_object_get(object, "zero");
  if (!j) return QCC_OK;
  if (!json_is_array(j) || json_array_size(j) != q->count) return wrong(r, "zero", "a list as long as 'scale'");
  int32_t *x = qcc_arena_array(&r->p->arena, q->count, sizeof *x);
  if (!x) return QCC_NOMEM;
  for (uint32_t k = 0; k < q->count; k++) {
    const json_t *item = json_array_get(j, k);
    json_int_t i = json_integer_value(item);
    const bool coded = qcc_dtype_is_int(q->dtype);
    if (!json_is_integer(item) || i < (coded ? qcc_dtype_min(q->dtype) : 0) || i > (coded ? qcc_dtype_max(q->dtype) : 0))
      return wrong(r, "zero", "codes of the element type");
    x[k] = (int32_t)i;
  }
  q->zero = x;
  return QCC_OK;
}

static int digit64(char c) {
  const char *at = c ? strchr(base64, c) : NULL;
  return at ? (int)(at - base64) : -1;
}

/* Base64 to the bytes that it stands for; false: it is something else. */
static bool decode(uint8_t *to, const char *text, size_t n, size_t count) {
  for (size_t i = 0, at = 0; i < n; i += 4) {
    uint32_t bits = 0;
    for (size_t k = 0; k < 4; k++) {
      int d = i + k >= n - (n / 4 * 3 - count) ? 0 : digit64(text[i + k]);
      if (d < 0) return false;
      bits = bits << 6 | (uint32_t)d;
    }
    for (size_t k = 0; k < 3 && at < count; k++) to[at++] = (uint8_t)(bits >> (16 - 8 * k) & 255);
  }
  return true;
}

static qcc_status read_codes(reader *r, const json_t *object, qcc_plan_tensor *t) {
  const json_t *j = json_object_get(object, "codes");
  if (!j) return QCC_OK;
  const char *text = json_string_value(j);
  size_t n = json_string_length(j);
  if (!text || n % 4) return wrong(r, "codes", "base64");
  size_t pad = n && text[n - 1] == '=' ? (text[n - 2] == '=' ? 2 : 1) : 0;
  qcc_buf *codes = qcc_buf_new(r->cx, n / 4 * 3 - pad);
  if (!codes) return QCC_NOMEM;
  qcc_plan_set_codes(t, codes);
  if (!decode(qcc_buf_unique(&t->codes), text, n, n / 4 * 3 - pad)) return wrong(r, "codes", "base64");
  return qcc_buf_spill(&t->codes) ? QCC_OK : QCC_NOMEM;
}

static const char *const op_keys[] = {"node", "mode", "reason", "gain_db", "bias_delta", NULL};
static const char *const tensor_keys[] = {"tensor", "dtype", "axis", "block", "scale", "zero", "lo", "hi", "algorithm", "codes", NULL};
static const char *const plan_keys[] = {"format", "version", "target", "ops", "tensors", NULL};

static qcc_status known_keys(reader *r, const json_t *object, const char *const *keys) {
  const char *key;
  json_t *value;
  if (!json_is_object(object)) return wrong(r, "entry", "an object");
  json_object_foreach((json_t *)(uintptr_t)object, key, value) {
    const char *const *k = keys;
    while (*k && strcmp(*k, key) != 0) k++;
    if (!*k) return qcc_error(r->cx, QCC_ARG, "A-062", NULL, "plan: %s[%zu]: unknown member '%s'", r->where, r->index, key);
  }
  return QCC_OK;
}

static qcc_status read_op(reader *r, const json_t *j) {
  const char *node = NULL, *mode = NULL;
  QCC_TRY(known_keys(r, j, op_keys));
  QCC_TRY(read_text(r, j, "node", &node, true));
  QCC_TRY(read_text(r, j, "mode", &mode, true));
  if (qcc_plan_op_of(r->p, node)) return wrong(r, "node", "given once");
  qcc_plan_op *op = qcc_plan_set_op(r->p, node);
  if (!op) return QCC_NOMEM;
  unsigned k = 0;
  while (k < sizeof modes / sizeof *modes && strcmp(modes[k], mode) != 0) k++;
  if (k == sizeof modes / sizeof *modes) return wrong(r, "mode", "float, static, dynamic or weight");
  op->mode = (qcc_mode)k;
  QCC_TRY(read_text(r, j, "reason", &op->reason, false));
  QCC_TRY(read_float(r, json_object_get(j, "gain_db"), "gain_db", &op->gain_db));
  return read_floats(r, j, "bias_delta", &op->bias_delta, &op->bias_count);
}

static bool is_code_type(qcc_dtype t) {
  return t == QCC_U8 || t == QCC_S8 || t == QCC_U16 || t == QCC_S16 || t == QCC_S32 || t == QCC_U4 || t == QCC_S4 || qcc_dtype_is_f8(t);
}

static qcc_status read_qparams(reader *r, const json_t *j, qcc_qparams *q) {
  int64_t axis = -1;
  const char *dtype = NULL;
  QCC_TRY(read_text(r, j, "dtype", &dtype, true));
  q->dtype = qcc_dtype_from_name(dtype);
  if (!is_code_type(q->dtype)) return wrong(r, "dtype", "u8, s8, u16, s16, s32, u4, s4, or a float of 8 bits");
  QCC_TRY(read_integer(r, j, "axis", -1, QCC_MAX_RANK - 1, &axis));
  q->axis = (int32_t)axis;
  QCC_TRY(read_integer(r, j, "block", 0, INT64_MAX, &q->block));
  QCC_TRY(read_floats(r, j, "scale", &q->scale, &q->count));
  if (!q->count) return wrong(r, "scale", "a list of at least one number");
  for (uint32_t k = 0; k < q->count; k++) {
    if (!(q->scale[k] > 0) || !isfinite(q->scale[k])) return wrong(r, "scale", "finite and above 0");
  }
  return read_zeros(r, j, q);
}

static qcc_status read_tensor(reader *r, const json_t *j) {
  const char *name = NULL;
  QCC_TRY(known_keys(r, j, tensor_keys));
  QCC_TRY(read_text(r, j, "tensor", &name, true));
  if (qcc_plan_tensor_of(r->p, name)) return wrong(r, "tensor", "given once");
  qcc_plan_tensor *t = qcc_plan_set_tensor(r->p, name);
  if (!t) return QCC_NOMEM;
  QCC_TRY(read_qparams(r, j, &t->q));
  QCC_TRY(read_float(r, json_object_get(j, "lo"), "lo", &t->lo));
  QCC_TRY(read_float(r, json_object_get(j, "hi"), "hi", &t->hi));
  QCC_TRY(read_text(r, j, "algorithm", &t->algorithm, false));
  return read_codes(r, j, t);
}

static qcc_status read_list(reader *r, const json_t *root, const char *key, qcc_status (*each)(reader *r, const json_t *j)) {
  const json_t *list = json_object_get(root, key);
  r->where = key;
  r->index = 0;
  if (!list) return QCC_OK;
  if (!json_is_array(list)) return wrong(r, key, "a list");
  for (; r->index < json_array_size(list); r->index++) QCC_TRY(each(r, json_array_get(list, r->index)));
  return QCC_OK;
}

static qcc_status read_plan(reader *r, const json_t *root) {
  const char *format = NULL;
  int64_t version = 0;
  r->where = "document";
  QCC_TRY(known_keys(r, root, plan_keys));
  QCC_TRY(read_text(r, root, "format", &format, true));
  QCC_TRY(read_integer(r, root, "version", 1, 1, &version));
  if (strcmp(format, "qcc-plan") != 0 || version != 1) return wrong(r, "format", "\"qcc-plan\" with \"version\": 1");
  QCC_TRY(read_text(r, root, "target", &r->p->target, false));
  QCC_TRY(read_list(r, root, "ops", read_op));
  return read_list(r, root, "tensors", read_tensor);
}

qcc_status qcc_plan_from_json(qcc_plan **out, qcc_context *cx, const char *json, size_t n) {
  json_error_t e;
  *out = NULL;
  json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &e);
  if (!root) {
    qcc_loc loc = {.line = e.line > 0 ? (uint32_t)e.line : 0, .column = e.column > 0 ? (uint32_t)e.column : 0};
    return qcc_error(cx, QCC_ARG, "A-060", &loc, "plan: not valid JSON: %s", e.text);
  }
  reader r = {.cx = cx};
  qcc_status st = qcc_plan_new(&r.p, cx);
  if (st == QCC_OK) st = read_plan(&r, root);
  json_decref(root);
  if (st == QCC_OK) {
    *out = r.p;
  } else {
    qcc_plan_free(r.p);
  }
  return st;
}
