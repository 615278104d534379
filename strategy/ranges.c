/* SPDX-License-Identifier: Apache-2.0
 * Activation ranges: one set of parameters per group of tensors that must share them, from the merged histograms of the tensors whose
 * values are new (outputs of operators that only move codes add nothing). */
#include <math.h>
#include <string.h>

#include "strategy/tuner.h"

/* Channel axis of a weighted node's input. */
static int input_axis(const qcc_node *n) { return n->op == QCC_OP_CONV || n->op == QCC_OP_CONV_TRANSPOSE ? 1 : -1; }

qcc_status qcc_tuner_watch(qcc_tuner *t) {
  for (uint32_t i = 0; i < t->place.value_count; i++) {
    const qcc_value *v = t->values[i];
    if (v && !v->data && qcc_is_range_source(&t->place, v)) QCC_TRY(qcc_collector_watch(t->stats, v, QCC_WATCH_HIST, 0));
  }
  QCC_FOR_NODES(n, t->g) {
    const qcc_mode mode = t->place.mode[n->id];
    if (qcc_op_get(n->op)->role != QCC_ROLE_WEIGHTED || (mode != QCC_MODE_STATIC && mode != QCC_MODE_WEIGHT)) continue;
    QCC_TRY(qcc_collector_watch(t->stats, n->in[0].value, QCC_WATCH_CHANNELS, input_axis(n)));
  }
  return QCC_OK;
}

/* Members of a group that define its range. */
typedef struct group {
  const qcc_hist **hist;
  size_t count;
  qcc_range bounds, constants; /* what the producers guarantee (union); extremes of constant members */
} group;

static void widen(qcc_range *r, double lo, double hi) {
  r->lo = fmin(r->lo, lo);
  r->hi = fmax(r->hi, hi);
}

static void add_constant(group *gr, const qcc_tensor *data) {
  for (int64_t i = 0; i < qcc_tensor_count(data); i++) {
    double x = qcc_tensor_get(data, i);
    if (isfinite(x)) widen(&gr->constants, x, x);
  }
}

static void add_member(const qcc_tuner *t, group *gr, const qcc_value *v) {
  if (v->data) {
    add_constant(gr, v->data);
    return;
  }
  const qcc_hist *h = qcc_is_range_source(&t->place, v) ? qcc_collector_hist(t->stats, v) : NULL;
  if (!h) return;
  double lo, hi, useful_lo, useful_hi;
  qcc_known_range(v, &lo, &hi);
  qcc_useful_range(&t->place, v, &useful_lo, &useful_hi);
  lo = fmax(lo, useful_lo);
  hi = fmin(hi, useful_hi);
  if (gr->count == 0) gr->bounds = (qcc_range){lo, hi};
  widen(&gr->bounds, lo, hi);
  gr->hist[gr->count++] = h;
}

static qcc_status group_range(const qcc_tuner *t, qcc_range *out, const group *gr, qcc_estimator how, const qcc_grid *grid) {
  *out = (qcc_range){0, 0};
  if (gr->count == 1) {
    qcc_bins bins = {0};
    QCC_TRY(qcc_bins_of(&bins, gr->hist[0]));
    *out = qcc_estimate(how, gr->hist[0], &bins, grid, gr->bounds);
    qcc_bins_fini(t->cx, &bins);
  } else if (gr->count > 1) {
    qcc_unified u;
    QCC_TRY(qcc_unify(&u, t->cx, how, gr->hist, gr->count, grid, gr->bounds));
    *out = u.range;
  }
  widen(out, gr->constants.lo, gr->constants.hi);
  return QCC_OK;
}

typedef struct entry {
  qcc_range r;
  qcc_grid grid;
  float scale;
  int32_t zero;
  const char *how;
} entry;

static qcc_status set_entry(qcc_plan *plan, const qcc_value *v, const entry *from) {
  qcc_plan_tensor *e = qcc_plan_set_tensor(plan, v->name);
  if (!e) return QCC_NOMEM;
  e->lo = (float)from->r.lo;
  e->hi = (float)from->r.hi;
  e->algorithm = from->how;
  return qcc_plan_set_qparams(
      plan, e, &(qcc_qparams){.dtype = from->grid.dtype, .axis = -1, .count = 1, .scale = &from->scale, .zero = &from->zero});
}

/* What a user gave for one tensor holds for all that share its parameters; two different words contradict each other. */
static qcc_status given_entry(const qcc_tuner *t, entry *e, const qcc_given_tensor **given, const qcc_value *const *members, size_t count) {
  for (size_t i = 0; i < count; i++) {
    const qcc_given_tensor *next = qcc_given_of(t->o->given, members[i]);
    if (!next) continue;
    entry other = *e;
    QCC_TRY(qcc_given_activation(&other.scale, &other.zero, &other.grid, &other.r.lo, &other.r.hi, t->cx, next, t->o->target));
    bool differs = *given && (other.scale != e->scale || other.zero != e->zero);
    if (differs)
      return qcc_error(t->cx, QCC_ARG, "A-155", NULL, "%s: differs from %s, and both tensors must share their parameters", next->place,
                       (*given)->place);
    *e = other;
    *given = next;
  }
  return QCC_OK;
}

/* The target may want ranges, zero included, to have some width. */
static void keep_width(qcc_range *r, double width) {
  double lo = fmin(r->lo, 0), hi = fmax(r->hi, 0);
  if (hi - lo < width) *r = (qcc_range){lo, lo + width};
}

/* Ids of quantized values ordered by group: heads[] starts per representative. */
static qcc_status one_group(const qcc_tuner *t, qcc_plan *plan, const qcc_value *const *members, size_t count, qcc_estimator how,
                            const qcc_hist **room) {
  group gr = {.hist = room, .bounds = qcc_range_any()};
  for (size_t i = 0; i < count; i++) add_member(t, &gr, members[i]);
  entry e = {.grid = t->o->target->activation, .how = qcc_estimator_name(how)};
  const qcc_given_tensor *given = NULL;
  QCC_TRY(given_entry(t, &e, &given, members, count));
  if (given && qcc_given_fixed(given)) {
    e.how = "given";
  } else {
    QCC_TRY(group_range(t, &e.r, &gr, how, &e.grid));
    keep_width(&e.r, t->o->target->min_range);
    qcc_range_to_qparams(&e.scale, &e.zero, e.r.lo, e.r.hi, &e.grid);
  }
  for (size_t i = 0; i < count; i++) QCC_TRY(set_entry(plan, members[i], &e));
  return QCC_OK;
}

/* Values of one group stand together in `order`, groups in the order of their representatives. */
static size_t sort_by_group(const qcc_tuner *t, const qcc_value **order, uint32_t *start) {
  uint32_t n = t->place.value_count;
  memset(start, 0, (n + 1u) * sizeof *start);
  for (uint32_t i = 0; i < n; i++) {
    if (t->values[i] && t->place.quantized[i]) start[qcc_group_of(&t->place, t->values[i]) + 1]++;
  }
  for (uint32_t i = 0; i < n; i++) start[i + 1] += start[i];
  size_t total = start[n];
  for (uint32_t i = n; i-- > 0;) { /* backwards, so that start[] ends at each group's first entry */
    if (t->values[i] && t->place.quantized[i]) order[--start[qcc_group_of(&t->place, t->values[i]) + 1]] = t->values[i];
  }
  return total;
}

qcc_status qcc_tuner_ranges(const qcc_tuner *t, qcc_plan *plan, qcc_estimator how) {
  uint32_t n = t->place.value_count;
  const qcc_value **order = qcc_zalloc_array(t->cx, n + 1u, sizeof *order);
  const qcc_hist **room = qcc_zalloc_array(t->cx, n + 1u, sizeof *room);
  uint32_t *start = qcc_zalloc_array(t->cx, n + 2u, sizeof *start);
  qcc_status st = order && room && start ? QCC_OK : QCC_NOMEM;
  size_t total = st == QCC_OK ? sort_by_group(t, order, start) : 0;
  for (size_t i = 0, end; st == QCC_OK && i < total; i = end) {
    uint32_t rep = qcc_group_of(&t->place, order[i]);
    for (end = i + 1; end < total && qcc_group_of(&t->place, order[end]) == rep;) end++;
    st = one_group(t, plan, order + i, end - i, how, room);
  }
  qcc_free(t->cx, order);
  qcc_free(t->cx, room);
  qcc_free(t->cx, start);
  return st;
}
