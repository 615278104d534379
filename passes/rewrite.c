/* SPDX-License-Identifier: Apache-2.0
 * The rule driver: one work list over the whole module, in graph order at first, then whatever a rewrite touched. States per node id
 * say whether a node waits in the list or is gone, so no pointer to an erased node is followed. */
#include "passes/rewrite.h"

#include "ir/check.h"

enum { WAITS = 1, GONE = 2, TOLD = 4 }; /* TOLD: why rules left it alone was said, once is enough */

typedef struct driver {
  qcc_pass_cx *p;
  const qcc_rule *rules;
  uint32_t rule_count;
  QCC_VEC(qcc_node *) queue;
  QCC_VEC(uint8_t) state; /* by node id */
  size_t head;
  uint64_t left; /* rewrites until we call it endless */
} driver;

static bool state_at(driver *d, const qcc_node *n) {
  while (d->state.n <= n->id)
    if (!qcc_vec_push(d->p->cx, &d->state, 0)) return false;
  return true;
}

static qcc_status push(driver *d, qcc_node *n) {
  if (!n) return QCC_OK;
  if (!state_at(d, n)) return QCC_NOMEM;
  if (d->state.at[n->id] & (WAITS | GONE)) return QCC_OK;
  d->state.at[n->id] |= WAITS;
  return qcc_vec_push(d->p->cx, &d->queue, n) ? QCC_OK : QCC_NOMEM;
}

static qcc_status push_graph(qcc_graph *g, void *user) {
  QCC_FOR_NODES(n, g) QCC_TRY(push(user, n));
  return QCC_OK;
}

static qcc_status push_around(driver *d, qcc_value *v) {
  if (!v) return QCC_OK;
  QCC_TRY(push(d, v->def));
  QCC_FOR_USES(u, v) QCC_TRY(push(d, u->node));
  return QCC_OK;
}

/* ---- pieces shared with hand-written passes */

bool qcc_can_stand_for(const qcc_value *to, const qcc_value *from) {
  if (!qcc_is_graph_output(from)) return true;
  return to->def && to->graph == from->graph && !qcc_is_graph_output(to);
}

static bool node_unused(const qcc_node *n) {
  for (uint32_t k = 0; k < n->out_count; k++)
    if (n->out[k] && n->out[k]->use_count) return false;
  return true;
}

static qcc_status sweep_graph(qcc_graph *g, void *user) {
  (void)user;
  qcc_erase_unused_consts(g);
  return QCC_OK;
}

qcc_status qcc_sweep_consts(qcc_graph *root) { return qcc_graph_walk(root, sweep_graph, NULL); }

void qcc_take_name(qcc_value *c, qcc_value *old) {
  if (c && old && old->use_count == 1 && !old->is_input) qcc_swap_names(c, old);
}

qcc_status qcc_replace_by_const(qcc_value *old, qcc_value *c) {
  if (!c) return QCC_NOMEM;
  qcc_swap_names(old, c);
  qcc_replace_uses(old, c);
  return node_unused(old->def) ? qcc_erase_node(old->def) : QCC_OK;
}

/* ---- one rewrite */

static const char *others_used(const qcc_node *root) {
  for (uint32_t k = 1; k < root->out_count; k++)
    if (root->out[k] && root->out[k]->use_count) return "another output of the node is used";
  return NULL;
}

static const char *declined(const qcc_rule *r, const qcc_match *m) {
  const char *why = others_used(m->root);
  if (why) return why;
  why = r->when ? r->when(m) : NULL;
  if (why) return why;
  if (!r->build && !qcc_can_stand_for(m->value[r->to], m->root->out[0])) return "the graph's interface needs the node";
  return NULL;
}

/* Types of one new node from its inputs; what inference does not know stays unknown. */
static qcc_status infer_new(qcc_pass_cx *p, qcc_node *n) {
  enum { MOST = 8 };
  const qcc_type *in[MOST];
  const qcc_tensor *known[MOST];
  qcc_type out[1] = {qcc_type_unknown()};
  if (n->in_count > MOST || n->out_count != 1 || !n->out[0]) return QCC_OK;
  for (uint32_t k = 0; k < n->in_count; k++) {
    qcc_value *v = qcc_in(n, k);
    in[k] = v ? &v->type : NULL;
    known[k] = qcc_is_const(v) ? v->data : NULL;
  }
  qcc_infer f = {.cx = p->cx, .node = n, .opset = qcc_graph_opset(p->g, n->domain), .in = in, .known = known, .out = out};
  QCC_TRY(qcc_infer_node(&f));
  qcc_type merged = n->out[0]->type;
  if (qcc_type_merge(&merged, &out[0])) qcc_set_type(n->out[0], &merged);
  return QCC_OK;
}

/* New nodes stand directly before the root, newest last. */
static qcc_status settle_new(driver *d, const qcc_match *m, uint32_t first_id) {
  qcc_node *n = m->root;
  while (n->prev && n->prev->id >= first_id) n = n->prev;
  for (; n != m->root; n = n->next) {
    for (int k = 0; k < QCC_SLOTS; k++)
      if (m->node[k]) qcc_add_origin(n, m->node[k]);
    QCC_TRY(infer_new(d->p, n));
    QCC_TRY(push(d, n));
  }
  return QCC_OK;
}

/* Erase a matched node when it became dead; its inputs lost a user, so look around them. */
static qcc_status drop(driver *d, qcc_node *n) {
  if (!node_unused(n)) return QCC_OK;
  for (uint32_t k = 0; k < n->in_count; k++) {
    qcc_value *v = qcc_in(n, k);
    if (!v) continue;
    qcc_set_input(n, k, NULL);
    if (!qcc_is_const(v)) QCC_TRY(push_around(d, v));
  }
  if (!state_at(d, n)) return QCC_NOMEM;
  d->state.at[n->id] = GONE;
  return qcc_erase_node(n);
}

static qcc_status drop_matched(driver *d, const qcc_match *m) {
  QCC_TRY(drop(d, m->root));
  /* A pattern is a few levels deep: users go before what they use after as many sweeps. */
  for (int sweep = 0; sweep < QCC_SLOTS; sweep++)
    for (int k = 0; k < QCC_SLOTS; k++) {
      qcc_node *n = m->node[k];
      if (n && !(state_at(d, n) && (d->state.at[n->id] & GONE))) QCC_TRY(drop(d, n));
    }
  return QCC_OK;
}

static qcc_status apply(driver *d, const qcc_rule *r, const qcc_match *m) {
  qcc_graph *g = d->p->g;
  qcc_value *old = m->root->out[0];
  uint32_t first_id = g->next_node_id;
  const char *name = m->node[0] ? m->node[0]->name : m->root->name;
  qcc_value *to = r->build ? r->build(m) : m->value[r->to];
  QCC_TRY(qcc_graph_status(g));
  if (!to) return QCC_NOMEM;
  bool made = to->def && to->def->id >= first_id;
  if (made) {
    qcc_type merged = to->type;
    if (qcc_type_merge(&merged, &old->type)) qcc_set_type(to, &merged);
    QCC_TRY(settle_new(d, m, first_id));
    qcc_swap_names(to, old);
    qcc_replace_uses(old, to);
  } else if (qcc_is_const(to) && !to->use_count) {
    qcc_swap_names(to, old);
    qcc_replace_uses(old, to);
  } else {
    qcc_replace_value(old, to);
  }
  QCC_TRY(push_around(d, to));
  QCC_TRY(drop_matched(d, m));
  if (made) qcc_rename_node(to->def, name);
  return qcc_graph_status(g);
}

static void tell(driver *d, const qcc_node *n, const char *rule, const char *why) {
  if (!(d->state.at[n->id] & TOLD)) qcc_pass_decline(d->p, n, rule, why);
}

/* One node against all rules: the first that applies is enough, the driver comes back to what it made. */
static qcc_status visit(driver *d, qcc_node *n) {
  for (uint32_t k = 0; k < d->rule_count; k++) {
    const qcc_rule *r = &d->rules[k];
    qcc_match m = {.p = d->p};
    if (!qcc_pattern_takes(r->pattern, n)) continue;
    if (!qcc_match_node(&m, r->pattern, n)) {
      if (m.reason) tell(d, n, r->name, m.reason);
      continue;
    }
    const char *why = declined(r, &m);
    if (why) {
      tell(d, n, r->name, why);
      continue;
    }
    if (!qcc_rewrite_ok(d->p, n, r->name)) return QCC_OK;
    if (!d->left--) {
      qcc_loc loc = qcc_node_loc(n);
      return qcc_error(d->p->cx, QCC_INTERNAL, "I-171", &loc, "rule '%s' of pass '%s' does not come to an end", r->name, d->p->pass);
    }
    return apply(d, r, &m);
  }
  return QCC_OK;
}

static qcc_status drain(driver *d) {
  QCC_TRY(qcc_graph_walk(d->p->g, push_graph, d));
  d->left = 8 * (uint64_t)d->queue.n + 1024;
  while (d->head < d->queue.n) {
    qcc_node *n = d->queue.at[d->head++];
    if (d->state.at[n->id] & GONE) continue;
    d->state.at[n->id] &= (uint8_t)~WAITS;
    QCC_TRY(visit(d, n));
    d->state.at[n->id] |= TOLD;
  }
  return QCC_OK;
}

qcc_status qcc_rewrite(qcc_pass_cx *p, const qcc_rule *rules, uint32_t count) {
  driver d = {.p = p, .rules = rules, .rule_count = count};
  uint64_t before = p->rewrites;
  qcc_status status = drain(&d);
  if (status == QCC_OK && p->rewrites != before) status = qcc_sweep_consts(p->g);
  qcc_vec_free(p->cx, &d.queue);
  qcc_vec_free(p->cx, &d.state);
  return status;
}
