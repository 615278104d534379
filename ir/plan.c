/* SPDX-License-Identifier: Apache-2.0
 * The plan: entries in order of first setting, found by interned name.
 * Entries stand in arrays that grow; what they point at is in the plan's arena or interned, but for codes, which are references. */
#include "ir/plan.h"

#include <string.h>

#include "ir/support/map.h"
#include "ir/support/vec.h"

static struct qcc_map *new_index(qcc_context *cx) {
  struct qcc_map *m = qcc_alloc(cx, sizeof *m);
  if (m) qcc_map_init(m, cx);
  return m;
}

static void free_index(qcc_context *cx, struct qcc_map *m) {
  if (m) qcc_map_fini(m);
  qcc_free(cx, m);
}

qcc_status qcc_plan_new(qcc_plan **out, qcc_context *cx) {
  qcc_plan *p = qcc_zalloc_array(cx, 1, sizeof *p);
  *out = NULL;
  if (!p) return QCC_NOMEM;
  p->cx = cx;
  qcc_arena_init(&p->arena, cx);
  p->op_index = new_index(cx);
  p->tensor_index = new_index(cx);
  if (!p->op_index || !p->tensor_index) {
    qcc_plan_free(p);
    return QCC_NOMEM;
  }
  *out = p;
  return QCC_OK;
}

void qcc_plan_free(qcc_plan *p) {
  if (!p) return;
  free_index(p->cx, p->op_index);
  free_index(p->cx, p->tensor_index);
  qcc_arena_fini(&p->arena);
  for (uint32_t k = 0; k < p->tensor_count; k++) qcc_buf_release(p->tensors[k].codes);
  qcc_free(p->cx, p->ops);
  qcc_free(p->cx, p->tensors);
  qcc_free(p->cx, p);
}

/* Index of the entry of `name`, or `count` when there is none; `name` becomes the interned one, NULL without memory. */
static uint32_t find(const qcc_plan *p, const struct qcc_map *index, uint32_t count, const char **name) {
  uintptr_t at = 0;
  *name = qcc_intern(p->cx, *name);
  return *name && qcc_map_get(index, *name, &at) ? (uint32_t)at : count;
}

/* Room for one more; remembers where. */
static bool add(qcc_plan *p, struct qcc_map *index, const char *name, void **at, uint32_t count, uint32_t *cap, size_t size) {
  if (count == UINT32_MAX) return false;
  if (count == *cap) {
    uint32_t more = *cap > UINT32_MAX / 2 ? UINT32_MAX : *cap ? *cap * 2 : 16;
    void *grown = qcc_realloc_array(p->cx, *at, more, size);
    if (!grown) return false;
    *at = grown;
    *cap = more;
  }
  return qcc_map_put(index, name, count);
}

qcc_plan_op *qcc_plan_set_op(qcc_plan *p, const char *node) {
  uint32_t k = find(p, p->op_index, p->op_count, &node);
  if (!node) return NULL;
  if (k == p->op_count) {
    void *at = p->ops;
    bool ok = add(p, p->op_index, node, &at, p->op_count, &p->op_cap, sizeof *p->ops);
    p->ops = at;
    if (!ok) return NULL;
    p->ops[p->op_count++] = (qcc_plan_op){.node = node, .mode = QCC_MODE_FLOAT};
  }
  return &p->ops[k];
}

qcc_plan_tensor *qcc_plan_set_tensor(qcc_plan *p, const char *tensor) {
  uint32_t k = find(p, p->tensor_index, p->tensor_count, &tensor);
  if (!tensor) return NULL;
  if (k == p->tensor_count) {
    void *at = p->tensors;
    bool ok = add(p, p->tensor_index, tensor, &at, p->tensor_count, &p->tensor_cap, sizeof *p->tensors);
    p->tensors = at;
    if (!ok) return NULL;
    p->tensors[p->tensor_count++] = (qcc_plan_tensor){.tensor = tensor, .q = {.dtype = QCC_NONE, .axis = -1}};
  }
  return &p->tensors[k];
}

void qcc_plan_drop_tensor(qcc_plan *p, const char *tensor) {
  uint32_t k = find(p, p->tensor_index, p->tensor_count, &tensor);
  if (tensor && k < p->tensor_count) p->tensors[k].q.dtype = QCC_NONE;
}

const qcc_plan_op *qcc_plan_op_of(const qcc_plan *p, const char *node) {
  uint32_t k = find(p, p->op_index, p->op_count, &node);
  return node && k < p->op_count ? &p->ops[k] : NULL;
}

const qcc_plan_tensor *qcc_plan_tensor_of(const qcc_plan *p, const char *tensor) {
  uint32_t k = find(p, p->tensor_index, p->tensor_count, &tensor);
  return tensor && k < p->tensor_count && p->tensors[k].q.dtype != QCC_NONE ? &p->tensors[k] : NULL;
}

/* Copy of `count` items in the arena; NULL stays NULL. */
static qcc_status keep(qcc_plan *p, void *out_ptr, const void *from, size_t count, size_t size) {
  size_t bytes = 0;
  const void *copy = NULL;
  if (from && count) {
    copy = qcc_mul_size(count, size, &bytes) ? qcc_arena_copy(&p->arena, from, bytes) : NULL;
    if (!copy) return QCC_NOMEM;
  }
  memcpy(out_ptr, &copy, sizeof copy);
  return QCC_OK;
}

qcc_status qcc_plan_set_qparams(qcc_plan *p, qcc_plan_tensor *t, const qcc_qparams *q) {
  qcc_qparams copy = *q;
  QCC_TRY(keep(p, &copy.scale, q->scale, q->count, sizeof *q->scale));
  QCC_TRY(keep(p, &copy.zero, q->zero, q->count, sizeof *q->zero));
  t->q = copy;
  return QCC_OK;
}

void qcc_plan_set_codes(qcc_plan_tensor *t, qcc_buf *codes) {
  qcc_buf_release(t->codes);
  t->codes = codes;
}

/* ---- clone */
static qcc_status clone_op(qcc_plan *to, const qcc_plan_op *from) {
  qcc_plan_op *op = qcc_plan_set_op(to, from->node);
  if (!op) return QCC_NOMEM;
  *op = *from;
  return keep(to, &op->bias_delta, from->bias_delta, from->bias_count, sizeof *from->bias_delta);
}

static qcc_status clone_tensor(qcc_plan *to, const qcc_plan_tensor *from) {
  qcc_plan_tensor *t = qcc_plan_set_tensor(to, from->tensor);
  if (!t) return QCC_NOMEM;
  *t = *from;
  qcc_buf_retain(t->codes);
  return qcc_plan_set_qparams(to, t, &from->q);
}

static qcc_status clone_entries(qcc_plan *to, const qcc_plan *from) {
  for (uint32_t k = 0; k < from->op_count; k++) QCC_TRY(clone_op(to, &from->ops[k]));
  for (uint32_t k = 0; k < from->tensor_count; k++) QCC_TRY(clone_tensor(to, &from->tensors[k]));
  /* texts that the caller did not intern must not outlive their plan */
  to->target = qcc_intern(to->cx, from->target);
  for (uint32_t k = 0; k < to->op_count; k++) to->ops[k].reason = qcc_intern(to->cx, to->ops[k].reason);
  for (uint32_t k = 0; k < to->tensor_count; k++) to->tensors[k].algorithm = qcc_intern(to->cx, to->tensors[k].algorithm);
  return from->target && !to->target ? QCC_NOMEM : QCC_OK;
}

qcc_status qcc_plan_clone(qcc_plan **out, const qcc_plan *p) {
  QCC_TRY(qcc_plan_new(out, p->cx));
  qcc_status st = clone_entries(*out, p);
  if (st != QCC_OK) {
    qcc_plan_free(*out);
    *out = NULL;
  }
  return st;
}

/* ---- print */
static void print_f32(qcc_text *to, float x) {
  char text[64];
  qcc_text_add(to, text, qcc_print_f32(text, x));
}

static const char *const modes[] = {"float", "static", "dynamic", "weight"};

static void print_op(qcc_text *to, const qcc_plan_op *op) {
  qcc_text_addf(to, "op %s: %s", op->node, modes[op->mode]);
  if (op->reason) qcc_text_addf(to, ", %s", op->reason);
  if (op->gain_db != 0) {
    qcc_text_addf(to, ", gain ");
    print_f32(to, op->gain_db);
    qcc_text_addf(to, " dB");
  }
  if (op->bias_count) qcc_text_addf(to, ", bias correction of %u", op->bias_count);
  qcc_text_add(to, "\n", 1);
}

static void print_scales(qcc_text *to, const qcc_qparams *q) {
  float lo = q->scale[0], hi = q->scale[0];
  for (uint32_t k = 1; k < q->count; k++) {
    lo = q->scale[k] < lo ? q->scale[k] : lo;
    hi = q->scale[k] > hi ? q->scale[k] : hi;
  }
  qcc_text_addf(to, " scale ");
  print_f32(to, lo);
  if (q->count > 1) {
    qcc_text_addf(to, "..");
    print_f32(to, hi);
  }
  if (q->zero && q->count == 1) qcc_text_addf(to, " zero %d", (int)q->zero[0]);
}

static void print_tensor(qcc_text *to, const qcc_plan_tensor *t) {
  const qcc_qparams *q = &t->q;
  qcc_text_addf(to, "tensor %s: %s", t->tensor, qcc_dtype_name(q->dtype));
  if (q->axis >= 0) qcc_text_addf(to, " axis %d x %u", (int)q->axis, q->count);
  if (q->block) qcc_text_addf(to, " blocks of %lld", (long long)q->block);
  if (q->count && q->scale) print_scales(to, q);
  if (t->lo != 0 || t->hi != 0) {
    qcc_text_addf(to, " range ");
    print_f32(to, t->lo);
    qcc_text_addf(to, "..");
    print_f32(to, t->hi);
  }
  if (t->algorithm) qcc_text_addf(to, " %s", t->algorithm);
  if (t->codes) qcc_text_addf(to, " with codes");
  qcc_text_add(to, "\n", 1);
}

void qcc_plan_print(const qcc_plan *p, void *text) {
  qcc_text *to = text;
  if (p->target) qcc_text_addf(to, "target %s\n", p->target);
  for (uint32_t k = 0; k < p->op_count; k++) print_op(to, &p->ops[k]);
  for (uint32_t k = 0; k < p->tensor_count; k++) {
    if (p->tensors[k].q.dtype != QCC_NONE) print_tensor(to, &p->tensors[k]);
  }
}
