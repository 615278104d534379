/* SPDX-License-Identifier: Apache-2.0
 * Given parameters: from names to tensors, from ranges to scales, and what of it the target can take. */
#include "strategy/given.h"

#include <math.h>
#include <string.h>

#include "ir/support/nearest.h"
#include "ir/support/vec.h"

void qcc_given_init(qcc_given *g, qcc_context *cx) {
  *g = (qcc_given){.cx = cx};
  qcc_arena_init(&g->arena, cx);
}

void qcc_given_fini(qcc_given *g) {
  if (!g->cx) return;
  qcc_arena_fini(&g->arena);
  qcc_free(g->cx, g->list);
  *g = (qcc_given){0};
}

qcc_given_tensor *qcc_given_add(qcc_given *g, const char *tensor, const char *place) {
  qcc_given_tensor *t = qcc_arena_alloc(&g->arena, sizeof *t);
  if (!t || g->count == UINT32_MAX) return NULL;
  if (g->count == g->cap) {
    uint32_t cap = g->cap ? g->cap * 2 : 16;
    qcc_given_tensor **list = cap > g->cap ? qcc_realloc_array(g->cx, g->list, cap, sizeof *list) : NULL;
    if (!list) return NULL;
    g->list = list;
    g->cap = cap;
  }
  *t = (qcc_given_tensor){
      .tensor = qcc_intern(g->cx, tensor), .place = qcc_intern(g->cx, place), .axis = -1, .symmetric = -1, .reduced = -1};
  return t->tensor && t->place ? g->list[g->count++] = t : NULL;
}

const qcc_given_tensor *qcc_given_of(const qcc_given *g, const qcc_value *v) {
  for (uint32_t i = 0; g && i < g->count; i++)
    if (g->list[i]->value == v) return g->list[i];
  return NULL;
}

/* ---- from names to tensors */

static qcc_status unknown(const qcc_graph *source, const qcc_given_tensor *t) {
  qcc_nearest near = qcc_nearest_to(t->tensor, strlen(t->tensor));
  for (uint32_t k = 0; k < source->input_count; k++) qcc_nearest_offer(&near, source->inputs[k]->name);
  for (uint32_t k = 0; k < source->const_count; k++) qcc_nearest_offer(&near, source->consts[k]->name);
  QCC_FOR_NODES(n, source) {
    for (uint32_t k = 0; k < n->out_count; k++)
      if (n->out[k]) qcc_nearest_offer(&near, n->out[k]->name);
  }
  const char *slip = qcc_nearest_slip(&near);
  if (!slip) return qcc_error(source->cx, QCC_ARG, "A-134", NULL, "%s: the model has no such tensor", t->place);
  return qcc_error(source->cx, QCC_ARG, "A-134", NULL, "%s: the model has no such tensor; did you mean %-s?", t->place, slip);
}

static bool same_values(const qcc_value *a, const qcc_value *b) {
  return a->data && b->data && a->data->bytes == b->data->bytes && memcmp(a->data->data, b->data->data, a->data->bytes) == 0;
}

/* One warning for all tensors of a kind: the first is named, the others are counted. */
typedef struct tally {
  const char *first;
  uint32_t count;
} tally;

static void add(tally *c, const qcc_given_tensor *t) {
  if (c->count++ == 0) c->first = t->place;
}

static void warn(qcc_context *cx, const tally *c, const char *number, const char *what) {
  if (c->count == 1) qcc_warn(cx, number, NULL, "%s: %s", c->first, what);
  if (c->count > 1) qcc_warn(cx, number, NULL, "%s and %u more: %s", c->first, c->count - 1, what);
}

qcc_status qcc_given_resolve(qcc_given *g, const qcc_graph *source, const qcc_graph *prepared) {
  tally gone = {0}, changed = {0};
  for (uint32_t i = 0; i < g->count; i++) {
    qcc_given_tensor *t = g->list[i];
    const qcc_value *before = qcc_find_value(source, t->tensor);
    t->value = qcc_find_value(prepared, t->tensor);
    if (!before && !t->value) return unknown(source, t);
    if (!t->value) add(&gone, t);
    if (t->value && t->count && before && before->data && !same_values(before, t->value)) add(&changed, t);
  }
  warn(g->cx, &gone, "A-135", "inside an operator that was fused; the parameters are not used");
  warn(g->cx, &changed, "A-136", "fusions changed the values of the weight; the parameters are taken as those of the fused one");
  return QCC_OK;
}

/* ---- grids */

bool qcc_given_fixed(const qcc_given_tensor *t) { return t->scale || t->lo; }

static qcc_status other_type(qcc_context *cx, const qcc_given_tensor *t, qcc_dtype has) {
  return qcc_error(cx, QCC_ARG, "A-137", NULL, "%s: the type %s cannot be given here; the target computes in %s", t->place,
                   qcc_dtype_name(t->dtype), qcc_dtype_name(has));
}

qcc_status qcc_given_activation(float *scale, int32_t *zero, qcc_grid *grid, double *lo, double *hi, qcc_context *cx,
                                const qcc_given_tensor *t, const qcc_target *target) {
  *grid = target->activation;
  if (t->dtype != QCC_NONE && t->dtype != grid->dtype) return other_type(cx, t, grid->dtype);
  if (t->symmetric >= 0) grid->symmetric = t->symmetric;
  if (t->axis >= 0) return qcc_error(cx, QCC_ARG, "A-138", NULL, "%s: an activation has one scale and no axis", t->place);
  if (t->scale) {
    *scale = t->scale[0], *zero = t->zero[0];
    *lo = (double)*scale * (grid->lo - *zero), *hi = (double)*scale * (grid->hi - *zero);
    return *zero >= grid->lo && *zero <= grid->hi ? QCC_OK
                                                  : qcc_error(cx, QCC_ARG, "A-139", NULL, "%s: zero point %d is not a code of %s", t->place,
                                                              (int)*zero, qcc_dtype_name(grid->dtype));
  }
  if (t->lo) *lo = t->lo[0], *hi = t->hi[0];
  qcc_range_to_qparams(scale, zero, *lo, *hi, grid);
  return QCC_OK;
}

static qcc_status weight_grid(qcc_grid *grid, qcc_context *cx, const qcc_given_tensor *t) {
  if (t->dtype != QCC_NONE && t->dtype != grid->dtype) return other_type(cx, t, grid->dtype);
  bool zeros = true;
  for (uint32_t i = 0; i < t->count && t->zero; i++) zeros = zeros && t->zero[i] == 0;
  if (t->symmetric == 0 || !zeros)
    return qcc_error(cx, QCC_ARG, "A-139", NULL, "%s: weights are symmetric, their zero point is 0", t->place);
  if (t->reduced == 1 && grid->hi > 64) grid->lo = -64, grid->hi = 64;
  return QCC_OK;
}

qcc_status qcc_given_weight(float *scale, qcc_grid *grid, size_t rows, int axis, qcc_context *cx, const qcc_given_tensor *t) {
  QCC_TRY(weight_grid(grid, cx, t));
  if (t->axis >= 0 && t->axis != axis) {
    if (axis < 0) return qcc_error(cx, QCC_ARG, "A-138", NULL, "%s: this weight has one scale and no axis", t->place);
    return qcc_error(cx, QCC_ARG, "A-138", NULL, "%s: axis %d, but the channels of this weight are on axis %d", t->place, (int)t->axis,
                     axis);
  }
  if (!qcc_given_fixed(t)) return QCC_OK;
  if (t->count != 1 && t->count != rows)
    return qcc_error(cx, QCC_ARG, "A-138", NULL, "%s: %u scales for %zu channels", t->place, t->count, rows);
  for (size_t r = 0; r < rows; r++) {
    int32_t zero;
    size_t k = t->count == 1 ? 0 : r;
    if (t->scale)
      scale[r] = t->scale[k];
    else
      qcc_range_to_qparams(&scale[r], &zero, t->lo[k], t->hi[k], grid);
  }
  return QCC_OK;
}

void qcc_given_unused(const qcc_given *g, const qcc_plan *plan) {
  tally unused = {0};
  for (uint32_t i = 0; i < g->count; i++)
    if (g->list[i]->value && !qcc_plan_tensor_of(plan, g->list[i]->value->name)) add(&unused, g->list[i]);
  warn(g->cx, &unused, "A-156", "stays float, or follows from other tensors; the parameters are not used");
}
