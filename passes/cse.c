/* SPDX-License-Identifier: Apache-2.0
 * cse: nodes that compute the same from the same become one, and so do small equal constants.
 *
 *   %a = Relu(%x)
 *   %b = Relu(%x)
 *   %y = Add(%a, %b)      ->      %y = Add(%a, %a)
 *
 * Within one graph each. Never joined: unknown and random operators, nodes with subgraphs, weights (they may be quantized apart), scales of
 * products on run-time ranges.
 * Claim: exact. The table is only looked up, never walked, so the result follows graph order alone. */
#include <string.h>

#include "passes/rewrite.h"

enum { MOST_CONST = 1024 }; /* bytes of a constant that is compared */

typedef struct table {
  void **at;  /* nodes or values; open addressing */
  size_t cap; /* power of two */
} table;

/* ---- hashes */

static uint64_t mix(uint64_t h, uint64_t x) {
  h = (h ^ x) * 0x9e3779b97f4a7c15u;
  return h ^ (h >> 29);
}

static uint64_t mix_bytes(uint64_t h, const void *bytes, size_t n) {
  const uint8_t *at = bytes;
  for (size_t k = 0; k < n; k++) h = mix(h, at[k]);
  return h;
}

/* Attributes enter by name only: equality looks at them closely. Names enter by text, addresses would differ from run to run. */
static uint64_t node_hash(const qcc_node *n) {
  uint64_t h = mix(n->op, n->out_count);
  for (uint32_t k = 0; k < n->in_count; k++) h = mix(h, n->in[k].value ? n->in[k].value->id + 1 : 0);
  for (const qcc_attr *a = n->attrs; a; a = a->next) h = mix_bytes(h, a->name, strlen(a->name));
  return h;
}

static uint64_t const_hash(const qcc_value *v) {
  return mix_bytes(mix(v->type.dtype, (uint64_t)v->type.rank), v->data->data, v->data->bytes);
}

/* ---- equality */

static bool same_tensor(const qcc_tensor *a, const qcc_tensor *b) {
  return qcc_type_equal(&a->type, &b->type) && a->bytes == b->bytes && !memcmp(a->data, b->data, a->bytes);
}

static bool same_bytes(const qcc_bytes *a, const qcc_bytes *b) { return a->n == b->n && !memcmp(a->at, b->at, a->n); }

static bool same_strings(const qcc_attr *a, const qcc_attr *b) {
  for (uint32_t k = 0; k < a->count; k++)
    if (!same_bytes(&a->strings[k], &b->strings[k])) return false;
  return true;
}

static bool same_attr(const qcc_attr *a, const qcc_attr *b) {
  if (a->name != b->name || a->kind != b->kind || a->count != b->count) return false;
  switch (a->kind) {
    case QCC_ATTR_INT: return a->i == b->i;
    case QCC_ATTR_FLOAT: return !memcmp(&a->f, &b->f, sizeof a->f);
    case QCC_ATTR_STRING: return same_bytes(&a->s, &b->s);
    case QCC_ATTR_TENSOR: return same_tensor(a->t, b->t);
    case QCC_ATTR_INTS: return !a->count || !memcmp(a->ints, b->ints, a->count * sizeof *a->ints);
    case QCC_ATTR_FLOATS: return !a->count || !memcmp(a->floats, b->floats, a->count * sizeof *a->floats);
    case QCC_ATTR_STRINGS: return same_strings(a, b);
    default: return false;
  }
}

static bool same_attrs(const qcc_node *a, const qcc_node *b) {
  const qcc_attr *x = a->attrs, *y = b->attrs;
  for (; x && y; x = x->next, y = y->next)
    if (!same_attr(x, y)) return false;
  return !x && !y;
}

static bool same_node(const void *left, const void *right) {
  const qcc_node *a = left, *b = right;
  if (a->op != b->op || a->in_count != b->in_count || a->out_count != b->out_count || a->overload != b->overload) return false;
  for (uint32_t k = 0; k < a->in_count; k++)
    if (a->in[k].value != b->in[k].value) return false;
  return same_attrs(a, b);
}

static bool same_const(const void *left, const void *right) {
  const qcc_value *a = left, *b = right;
  return same_tensor(a->data, b->data);
}

/* The equal entry that came first, or NULL after entering `item`. */
static void *look_up(table *t, uint64_t hash, void *item, bool (*same)(const void *, const void *)) {
  for (size_t k = hash & (t->cap - 1);; k = (k + 1) & (t->cap - 1)) {
    if (!t->at[k]) {
      t->at[k] = item;
      return NULL;
    }
    if (same(t->at[k], item)) return t->at[k];
  }
}

static bool table_new(table *t, qcc_context *cx, size_t items) {
  for (t->cap = 16; t->cap < 2 * items;) t->cap *= 2;
  t->at = qcc_zalloc_array(cx, t->cap, sizeof *t->at);
  return t->at != NULL;
}

/* ---- joining */

static bool fit(const qcc_node *n) {
  if (n->op == QCC_OP_OPAQUE || qcc_op_get(n->op)->exact == QCC_RANDOM || n->op == QCC_OP_FAKE_QUANT) return false;
  if (n->op == QCC_OP_DROPOUT) return false; /* its mask is random */
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    if (a->kind == QCC_ATTR_GRAPH || a->kind == QCC_ATTR_GRAPHS || a->kind == QCC_ATTR_OPAQUE) return false;
  return true;
}

static bool replaceable(const qcc_node *kept, const qcc_node *n) {
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (!n->out[k] || !n->out[k]->use_count) continue;
    if (!kept->out[k] || !qcc_can_stand_for(kept->out[k], n->out[k])) return false;
  }
  return true;
}

static qcc_status join_nodes(qcc_pass_cx *p, qcc_node *kept, qcc_node *n) {
  if (!replaceable(kept, n)) {
    qcc_pass_decline(p, n, "same-node", "both results are graph outputs");
    return QCC_OK;
  }
  if (!qcc_rewrite_ok(p, n, "same-node")) return QCC_OK;
  for (uint32_t k = 0; k < n->out_count; k++)
    if (n->out[k] && kept->out[k]) qcc_replace_value(n->out[k], kept->out[k]);
  qcc_add_origin(kept, n);
  return qcc_erase_node(n);
}

/* Kept nodes come first in the list, so what they give is there for the users of the later ones. */
static qcc_status nodes_of(qcc_graph *g, void *user) {
  qcc_pass_cx *p = user;
  table t;
  qcc_status status = QCC_OK;
  if (!table_new(&t, p->cx, g->node_count)) return QCC_NOMEM;
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (!fit(n)) continue;
    qcc_node *kept = look_up(&t, node_hash(n), n, same_node);
    if (kept && (status = join_nodes(p, kept, n)) != QCC_OK) break;
  }
  qcc_free(p->cx, t.at);
  return status;
}

/* Scales of a matrix product on run-time ranges, one for each column: runtimes find it only when nothing of its chain has other readers. */
static bool scales_product(const qcc_use *u) {
  if (!u->node || u->node->op != QCC_OP_MUL || u->value->type.rank != 1) return false;
  const qcc_value *other = qcc_in(u->node, 1 - u->index);
  return other && other->def && other->def->op == QCC_OP_DYNAMIC_QUANTIZE_LINEAR;
}

static bool weight(const qcc_value *v) {
  QCC_FOR_USES(u, v) {
    qcc_role role = u->node ? qcc_op_get(u->node->op)->role : QCC_ROLE_FLOAT;
    if (scales_product(u)) return true;
    if (role == QCC_ROLE_WEIGHTED || role == QCC_ROLE_RECURRENT) return true;
  }
  return false;
}

static bool fit_const(const qcc_value *v) {
  return v->data->bytes <= MOST_CONST && v->use_count && !v->is_input && !qcc_is_graph_output(v) && !weight(v);
}

static qcc_status consts_of(qcc_graph *g, void *user) {
  qcc_pass_cx *p = user;
  table t;
  if (!table_new(&t, p->cx, g->const_count)) return QCC_NOMEM;
  for (uint32_t k = 0; k < g->const_count; k++) {
    qcc_value *v = g->consts[k];
    if (!fit_const(v)) continue;
    qcc_value *kept = look_up(&t, const_hash(v), v, same_const);
    if (!kept || !qcc_rewrite_ok(p, NULL, "same-constant")) continue;
    qcc_replace_uses(v, kept);
  }
  qcc_free(p->cx, t.at);
  return QCC_OK;
}

static qcc_status run(qcc_pass_cx *p) {
  QCC_TRY(qcc_graph_walk(p->g, consts_of, p));
  QCC_TRY(qcc_graph_walk(p->g, nodes_of, p));
  return qcc_sweep_consts(p->g);
}

const qcc_pass qcc_pass_cse = {
    .name = "cse",
    .doc = "join nodes that compute the same from the same",
    .options = "",
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13 | QCC_PROP_FAKEQUANT,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
