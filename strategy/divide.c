/* SPDX-License-Identifier: Apache-2.0
 * Where 8 bit pays, as a minimum cut. A vertex for each operator that is placed in 8 bit, with its fused activation: it stays with the source
 * when it computes in 8 bit. A tensor that one form makes and the other reads costs its change of form once, however many read it: a vertex
 * of its own for each direction. Float operators, inputs and outputs of the graph are the sink; where the caller takes and gives codes, the
 * latter cost nothing in either form.
 *
 *      source --float time--> operator --8-bit time--> sink            convolution --sum of its own--> Add
 *      maker --DequantizeLinear--> [tensor] --never--> reader          reader --never--> [tensor] --QuantizeLinear--> maker
 *
 * Of two divisions that cost the same the one with less in 8 bit is taken. Products on run-time ranges stand alone: each is compared with itself. */
#include <math.h>
#include <string.h>

#include "strategy/cost.h"
#include "strategy/cut.h"

typedef struct division {
  const qcc_placement *p;
  qcc_cut cut;
  uint32_t *vertex; /* by node id; 0: QCC_CUT_SOURCE, not there */
} division;

static bool in_codes(const division *d, const qcc_node *n) { return n && d->p->mode[n->id] == QCC_MODE_STATIC; }

/* Capacities are picoseconds. */
static int64_t price(double ns) { return ns > 0 ? (int64_t)fmin(ns * 1000, 1e15) : 0; }

static uint32_t vertex_of(const division *d, const qcc_node *n) { return in_codes(d, n) ? d->vertex[n->id] : (uint32_t)QCC_CUT_SINK; }

static void add_operator(division *d, const qcc_node *n) {
  if (!in_codes(d, n)) return;
  if (d->p->fused[n->id]) {
    d->vertex[n->id] = vertex_of(d, n->in[0].value->def);
    return;
  }
  const qcc_cost c = qcc_cost_of(d->p->target, n);
  const uint32_t v = d->vertex[n->id] = qcc_cut_vertex(&d->cut);
  qcc_cut_add(&d->cut, QCC_CUT_SOURCE, v, price(c.f32));
  qcc_cut_add(&d->cut, v, QCC_CUT_SINK, price(c.q8));
}

static void add_reader(division *d, const qcc_use *u, uint32_t to_float, uint32_t to_codes) {
  if (!u->node && d->p->coded_interface) return;
  const uint32_t reader = u->node ? vertex_of(d, u->node) : (uint32_t)QCC_CUT_SINK;
  qcc_cut_add(&d->cut, to_float, reader, QCC_CUT_NEVER);
  if (reader != QCC_CUT_SINK) qcc_cut_add(&d->cut, reader, to_codes, QCC_CUT_NEVER);
}

/* A kernel that may end in float needs no DequantizeLinear. */
static void add_tensor(division *d, const qcc_value *v) {
  const qcc_placement *p = d->p;
  if (v->data || !p->quantized[v->id]) return;
  const uint32_t maker = vertex_of(d, v->def), to_float = qcc_cut_vertex(&d->cut), to_codes = qcc_cut_vertex(&d->cut);
  const bool ends_in_float = v->def && p->target->ops[v->def->op].float_output;
  if (maker != QCC_CUT_SINK) qcc_cut_add(&d->cut, maker, to_float, ends_in_float ? 0 : price(qcc_cost_of_border(p->target, v, false)));
  qcc_cut_add(&d->cut, to_codes, maker, price(qcc_cost_of_border(p->target, v, true)));
  QCC_FOR_USES(u, v) add_reader(d, u, to_float, to_codes);
}

/* A sum that stays float while the convolution before it does not is a kernel of its own. */
static void add_sum(division *d, const qcc_node *n) {
  for (uint32_t k = 0; n->op == QCC_OP_ADD && k < n->in_count; k++) {
    const uint32_t maker = vertex_of(d, n->in[k].value->def);
    if (maker != QCC_CUT_SINK) qcc_cut_add(&d->cut, maker, vertex_of(d, n), price(qcc_cost_apart(d->p->target, n, k)));
  }
}

static void build(division *d) {
  const qcc_graph *g = d->p->g;
  QCC_FOR_NODES(n, g) add_operator(d, n);
  QCC_FOR_NODES(n, g) add_sum(d, n);
  for (uint32_t i = 0; i < g->input_count && !d->p->coded_interface; i++) add_tensor(d, g->inputs[i]);
  QCC_FOR_NODES(n, g) {
    for (uint32_t k = 0; k < n->out_count; k++)
      if (n->out[k]) add_tensor(d, n->out[k]);
  }
}

static qcc_status solve(division *d, bool *slow) {
  bool *with_source = qcc_zalloc_array(d->p->cx, d->cut.head.n + 1, sizeof *with_source);
  if (!with_source) return QCC_NOMEM;
  qcc_status st = qcc_cut_solve(&d->cut, with_source);
  QCC_FOR_NODES(n, d->p->g) {
    if (in_codes(d, n)) slow[n->id] = !with_source[d->vertex[n->id]];
  }
  qcc_free(d->p->cx, with_source);
  return st;
}

/* `slow`, by node id: which to keep float. */
static qcc_status divide(bool *slow, const qcc_placement *p) {
  division d = {.p = p};
  qcc_cut_init(&d.cut, p->cx);
  d.vertex = qcc_zalloc_array(p->cx, p->node_count + 1u, sizeof *d.vertex);
  qcc_status st = d.vertex && !d.cut.failed ? QCC_OK : QCC_NOMEM;
  if (st == QCC_OK) build(&d);
  if (st == QCC_OK) st = solve(&d, slow);
  qcc_free(p->cx, d.vertex);
  qcc_cut_fini(&d.cut);
  return st;
}

/* ---- what does not pay */

static void leave(qcc_placement *p, const qcc_node *n, qcc_cost cost, qcc_prefer prefer) {
  const bool weights = p->target->ops[n->op].weight_only && prefer == QCC_PREFER_SPEED && qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED;
  p->mode[n->id] = weights ? QCC_MODE_WEIGHT : QCC_MODE_FLOAT;
  p->reason[n->id] =
      qcc_internf(p->cx, "float is faster here: %.1f us, in 8 bit %.1f us and what changes tensors", cost.f32 / 1e3, cost.q8 / 1e3);
}

static bool dynamic_pays(const qcc_placement *p, const qcc_node *n) {
  const qcc_cost c = qcc_cost_of_dynamic(p->target, n);
  return c.q8 <= c.f32;
}

/* One division. `any`: it took something out of 8 bit. */
static qcc_status leave_slowest(qcc_placement *p, qcc_prefer prefer, bool *slow, bool *any) {
  *any = false;
  memset(slow, 0, p->node_count * sizeof *slow);
  QCC_TRY(divide(slow, p));
  QCC_FOR_NODES(n, p->g) {
    if (p->mode[n->id] == QCC_MODE_DYNAMIC) slow[n->id] = !dynamic_pays(p, n);
    if (!slow[n->id] || p->fused[n->id]) continue;
    leave(p, n, qcc_cost_of(p->target, n), prefer);
    *any = true;
  }
  qcc_place_again(p);
  return QCC_OK;
}

/* The walks may take more out of 8 bit than the division did, so it is asked again. */
static qcc_status leave_all_slow(qcc_placement *p, qcc_prefer prefer, bool *slow) {
  bool any = true;
  while (any) QCC_TRY(leave_slowest(p, prefer, slow, &any));
  QCC_FOR_NODES(n, p->g) {
    if (prefer == QCC_PREFER_ACCURACY && p->mode[n->id] == QCC_MODE_WEIGHT) p->mode[n->id] = QCC_MODE_FLOAT;
  }
  return QCC_OK;
}

/* Division and walks do not know of each other: together they must save more than the table can tell, or everything stays in 8 bit where
 * that pays. */
qcc_status qcc_leave_slow(qcc_placement *p, qcc_prefer prefer) {
  static const double WORTH = 0.98, PAYS = 0.95;
  if (!p->target->costs.count || prefer == QCC_PREFER_SIZE) return QCC_OK;
  bool *slow = qcc_arena_array(&p->arena, p->node_count + 1u, sizeof *slow);
  qcc_mode *mode = qcc_arena_array(&p->arena, p->node_count + 1u, sizeof *mode);
  const char **reason = qcc_arena_array(&p->arena, p->node_count + 1u, sizeof *reason);
  if (!slow || !mode || !reason) return QCC_NOMEM;
  memcpy(mode, p->mode, p->node_count * sizeof *mode);
  memcpy(reason, p->reason, p->node_count * sizeof *reason);
  const qcc_cost everywhere = qcc_cost_of_placement(p);
  QCC_TRY(leave_all_slow(p, prefer, slow));
  if (everywhere.q8 > PAYS * everywhere.f32 || qcc_cost_of_placement(p).q8 <= WORTH * everywhere.q8) return QCC_OK;
  memcpy(p->mode, mode, p->node_count * sizeof *mode);
  memcpy(p->reason, reason, p->node_count * sizeof *reason);
  qcc_place_again(p);
  return QCC_OK;
}
