/* SPDX-License-Identifier: Apache-2.0
 * The table of costs in a capability file: kinds of kernels (ir/costs.def), each with rows of five numbers.
 *
 *   costs:
 *     measured: on what
 *     conv:                                   # depth, width, pixels; float and 8 bit: nanoseconds for each multiply-add
 *       - [27, 8, 12544, 0.0612, 0.1231] */
#include "backends/target/costs.h"

#include <string.h>

#include "ir/support/nearest.h"

enum { NUMBERS = 5, MOST_POINTS = 100000 };

static const char *const names[] = {
#define COST(id, name, unit, a, b, c) name,
#include "ir/costs.def"
};

static qcc_status unknown_kind(qcc_context *cx, const qcc_doc_node *key) {
  const qcc_loc loc = qcc_doc_loc(key);
  qcc_nearest near = qcc_nearest_to(key->text, key->n);
  for (size_t k = 0; k < QCC_COST_COUNT; k++) qcc_nearest_offer(&near, names[k]);
  const char *slip = qcc_nearest_slip(&near);
  return qcc_error(cx, QCC_ARG, "A-210", &loc, "costs: %-s is no kind of kernel%s%s%s; \"qcc list costs\" names them", key->text,
                   slip ? "; did you mean \"" : "", slip ? slip : "", slip ? "\"?" : "");
}

static qcc_status bad_row(qcc_context *cx, const qcc_doc_node *at, const char *kind) {
  const qcc_loc loc = qcc_doc_loc(at);
  return qcc_error(
      cx, QCC_ARG, "A-211", &loc,
      "costs: a row of %-s is a list of five numbers: three sizes from 1 on, then nanoseconds in float and in 8 bit, 0 where there "
      "is no such kernel",
      kind);
}

static qcc_status add_row(qcc_costs *to, qcc_context *cx, const qcc_doc_node *row, qcc_cost_kind kind) {
  double x[NUMBERS];
  if (row->kind != QCC_DOC_LIST || row->count != NUMBERS) return bad_row(cx, row, names[kind]);
  for (uint32_t i = 0; i < NUMBERS; i++) {
    const qcc_doc_node *n = row->item[i];
    const bool is_number = n->kind == QCC_DOC_SCALAR && n->n && qcc_read_f64(n->text, n->n, &x[i]) == n->n;
    if (!is_number || !(x[i] >= (i < 3 ? 1 : 0)) || x[i] > 1e15) return bad_row(cx, n, names[kind]);
  }
  to->points[to->count++] = (qcc_cost_point){.kind = kind, .at = {x[0], x[1], x[2]}, .f32 = x[3], .q8 = x[4]};
  return QCC_OK;
}

static qcc_status add_kind(qcc_costs *to, qcc_context *cx, const qcc_doc_node *key, const qcc_doc_node *rows) {
  size_t kind = 0;
  while (kind < QCC_COST_COUNT && strcmp(names[kind], key->text) != 0) kind++;
  if (kind == QCC_COST_COUNT) return unknown_kind(cx, key);
  if (rows->kind != QCC_DOC_LIST) return bad_row(cx, rows, names[kind]);
  for (uint32_t i = 0; i < rows->count; i++) QCC_TRY(add_row(to, cx, rows->item[i], (qcc_cost_kind)kind));
  return QCC_OK;
}

qcc_status qcc_target_costs(qcc_target *t, const qcc_doc_node *costs) {
  size_t count = 0;
  if (!costs || qcc_doc_is_null(costs)) return QCC_OK;
  const qcc_loc loc = qcc_doc_loc(costs);
  if (costs->kind != QCC_DOC_MAP) return qcc_error(t->cx, QCC_ARG, "A-212", &loc, "costs is a map: kind of kernel, rows");
  for (uint32_t i = 0; i < costs->count; i++) count += costs->item[2 * i + 1]->count;
  if (count > MOST_POINTS) return qcc_error(t->cx, QCC_LIMIT, "L-210", &loc, "costs: more than %d rows", MOST_POINTS);
  t->costs = (qcc_costs){.measured = "", .points = qcc_zalloc_array(t->cx, count + 1, sizeof *t->costs.points)};
  if (!t->costs.points) return QCC_NOMEM;
  for (uint32_t i = 0; i < costs->count; i++) {
    const qcc_doc_node *key = costs->item[2 * i], *value = costs->item[2 * i + 1];
    if (strcmp(key->text, "measured") != 0)
      QCC_TRY(add_kind(&t->costs, t->cx, key, value));
    else if (value->kind == QCC_DOC_SCALAR)
      t->costs.measured = qcc_intern(t->cx, value->text);
  }
  return t->costs.measured ? QCC_OK : QCC_NOMEM;
}
