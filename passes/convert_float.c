/* SPDX-License-Identifier: Apache-2.0
 * convert-float{to=f16}: the network in f16 or bf16 where that is safe, f32 elsewhere, Cast only at the borders.
 *
 *                                            %w = const f16[4,3,3,3]
 *   %w = const f32[4,3,3,3]                  %h = Cast(%x){to=f16}
 *   %c = Conv(%x, %w)                   =>   %c = Conv(%h, %w)
 *   %e = Exp(%c)                             %f = Cast(%c){to=f32}
 *                                            %e = Exp(%f)
 *
 * float_rules.def says which operators may. Of those, an operator stays f32 when a constant of it leaves the range of the type (or is a small
 * number that would vanish), when the plan keeps it float (its values were seen beyond the range), and when no weights are multiplied in
 * the whole region around it, which would then only cast. Weights of operators that stay f32 are stored in the small type with a Cast behind.
 * The interface stays f32 unless io=convert. Quantized parts and bodies of If, Loop and Scan stay as they are. Claim: quantizes. */
#include <math.h>
#include <string.h>

#include "passes/facts.h"
#include "passes/raise_opset.h"

enum { LEAST_STORED = 64 }; /* elements of a weight worth a Cast */

typedef struct state {
  qcc_pass_cx *p;
  qcc_dtype to;
  bool io;            /* inputs and outputs of the graph, too */
  double most, least; /* largest finite and smallest normal magnitude */
  bool *small;        /* by node id: computes in `to` */
  uint32_t *region;   /* by node id: representative of the operators that are linked by values */
  bool *worth;        /* by node id of representatives: weights are multiplied there */
  qcc_value **other;  /* by value id: the same in the other type */
  uint32_t node_count, value_count;
} state;

typedef struct rule {
  int f16, bf16;
  unsigned kept;
} rule;

static const rule rules[QCC_OP_COUNT] = {
#define RULE(op, f16, bf16, kept) [QCC_OP_##op] = {f16, bf16, kept},
#include "passes/float_rules.def"
#undef RULE
};

static bool kept(const qcc_node *n, uint32_t k) { return k < 32 && rules[n->op].kept >> k & 1; }

static bool is_f32(const qcc_value *v) { return v && v->type.dtype == QCC_F32; }

/* ---- what may */
/* Every number of the constant has a place in the type; single numbers keep their digits, too. */
static bool fits(const state *s, const qcc_tensor *t) {
  const int64_t count = qcc_tensor_count(t);
  for (int64_t i = 0; i < count; i++) {
    const double x = fabs(qcc_tensor_get(t, i));
    if (isfinite(x) && x > s->most) return false;
    if (count == 1 && x != 0 && x < s->least) return false;
  }
  return true;
}

static bool is_quant(const qcc_node *n) { return n && qcc_op_get(n->op)->role == QCC_ROLE_QUANT; }

/* Part of what runtimes fuse into an integer kernel: it reads dequantized codes, or sums that it scales, or adds the bias to these. */
static bool is_integer(const qcc_node *n, int depth) {
  for (uint32_t k = 0; k < n->in_count; k++) {
    const qcc_node *d = n->in[k].value ? n->in[k].value->def : NULL;
    if (!d) continue;
    if (is_quant(d) || (d->op == QCC_OP_CAST && is_quant(d->in[0].value->def))) return true;
    if (depth && n->op == QCC_OP_ADD && d->op == QCC_OP_MUL && is_integer(d, depth - 1)) return true;
  }
  return false;
}

static const char *obstacle(const state *s, const qcc_node *n) {
  const int since = s->to == QCC_F16 ? rules[n->op].f16 : rules[n->op].bf16;
  const qcc_plan_op *planned = s->p->plan ? qcc_plan_op_of(s->p->plan, n->name) : NULL;
  if (n->domain[0] || !since) return "the operator stays f32";
  if (qcc_graph_opset(n->graph->root, "") < since) return "the opset has it in f32 only";
  if (planned && planned->mode == QCC_MODE_FLOAT && planned->reason) return planned->reason;
  if (is_integer(n, 1)) return "it is part of an integer kernel";
  bool floats = false;
  for (uint32_t k = 0; k < n->in_count; k++) {
    const qcc_value *v = n->in[k].value;
    if (!v || kept(n, k)) continue;
    if (qcc_dtype_kind(v->type.dtype) == QCC_KIND_NONE) return "the type of its data is not known";
    if (qcc_dtype_kind(v->type.dtype) == QCC_KIND_FLOAT && v->type.dtype != QCC_F32) return "its data is not f32";
    if (is_f32(v) && v->data && !fits(s, v->data)) return "a constant leaves the range of the type";
    floats |= is_f32(v);
  }
  return floats ? NULL : "it takes no floats";
}

static uint32_t find(const state *s, uint32_t id) {
  while (s->region[id] != id) id = s->region[id] = s->region[s->region[id]];
  return id;
}

static void join(const state *s, const qcc_node *n) {
  for (uint32_t k = 0; k < n->in_count; k++) {
    const qcc_value *v = n->in[k].value;
    if (!is_f32(v) || kept(n, k) || !v->def || !s->small[v->def->id]) continue;
    const uint32_t a = find(s, n->id), b = find(s, v->def->id);
    s->region[a < b ? b : a] = a < b ? a : b;
  }
}

/* Operators of one region compute in the small type together, or not at all. */
static void choose(const state *s, qcc_graph *g) {
  QCC_FOR_NODES(n, g) {
    const char *why = obstacle(s, n);
    s->region[n->id] = n->id;
    s->small[n->id] = !why;
    if (why) qcc_pass_decline(s->p, n, "convert-float", why);
  }
  QCC_FOR_NODES(n, g) if (s->small[n->id]) join(s, n);
  QCC_FOR_NODES(n, g) {
    const qcc_role role = qcc_op_get(n->op)->role;
    if (s->small[n->id] && (role == QCC_ROLE_WEIGHTED || role == QCC_ROLE_RECURRENT)) s->worth[find(s, n->id)] = true;
  }
  QCC_FOR_NODES(n, g) {
    if (!s->small[n->id] || s->worth[find(s, n->id)]) continue;
    s->small[n->id] = false;
    qcc_pass_decline(s->p, n, "convert-float", "no weights are multiplied around it");
  }
  QCC_FOR_NODES(n, g) if (s->small[n->id] && !qcc_rewrite_ok(s->p, n, "convert-float")) s->small[n->id] = false;
}

/* ---- values in both types */
static qcc_value *cast(qcc_graph *g, qcc_node *before, qcc_value *v, qcc_dtype to) {
  const char *name = qcc_internf(g->cx, "%s_%s", v->name, qcc_dtype_name(to));
  qcc_node *n = qcc_add_node(g, before, QCC_OP_CAST, name, &v, 1, 1);
  if (!n) return NULL;
  qcc_attr_set_int(n, "to", to);
  qcc_type t = v->type;
  t.dtype = to;
  qcc_set_type(n->out[0], &t);
  return n->out[0];
}

/* A constant takes the small type itself when everybody wants it so; else it gets a twin. */
static qcc_value *small_const(const state *s, qcc_value *v, bool all) {
  qcc_tensor t = {0};
  if (qcc_tensor_cast(&t, v->graph->cx, v->data, s->to) != QCC_OK) {
    v->graph->root->failed = true;
    return NULL;
  }
  if (!all) return qcc_add_const(v->graph, qcc_internf(v->graph->cx, "%s_%s", v->name, qcc_dtype_name(s->to)), &t);
  qcc_set_const(v, &t);
  return v;
}

static bool wants_small(const state *s, const qcc_use *u) {
  return u->node && u->node->id < s->node_count && s->small[u->node->id] && !kept(u->node, u->index);
}

static bool all_small(const state *s, const qcc_value *v) {
  QCC_FOR_USES(u, v) if (!wants_small(s, u)) return false;
  return !v->is_input;
}

/* `v`, which is f32, in the small type. */
static qcc_value *in_small(const state *s, qcc_value *v) {
  if (v->id < s->value_count && s->other[v->id]) return s->other[v->id];
  qcc_value *made = v->data ? small_const(s, v, all_small(s, v)) : cast(v->graph, v->def ? v->def->next : v->graph->first, v, s->to);
  if (v->id < s->value_count && made != v) s->other[v->id] = made;
  return made;
}

/* ---- rewriting */
static void set_dtype(qcc_value *v, qcc_dtype dtype) {
  qcc_type t = v->type;
  t.dtype = dtype;
  qcc_set_type(v, &t);
}

static void convert_node(const state *s, qcc_node *n) {
  for (uint32_t k = 0; k < n->in_count; k++) {
    qcc_value *v = n->in[k].value;
    if (is_f32(v) && !kept(n, k)) qcc_set_input(n, k, in_small(s, v));
  }
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (is_f32(n->out[k])) set_dtype(n->out[k], s->to);
  }
}

/* Readers that compute in f32, in inner graphs too, and outputs of the graph get the value back. */
static void widen(const state *s, qcc_value *v) {
  qcc_value *wide = NULL;
  for (qcc_use *u = v->uses, *next; u; u = next) {
    next = u->next;
    if (wants_small(s, u) || (!u->node && s->io) || (wide && u->node == wide->def)) continue;
    if (!wide) wide = cast(v->graph, v->def ? v->def->next : v->graph->first, v, QCC_F32);
    if (!wide) return;
    if (!u->node) qcc_swap_names(v, wide); /* the interface keeps its name */
    qcc_set_use(u, wide);
  }
}

/* Weights of operators in f32: one tensor in the small type, a Cast behind. */
static void store(const state *s, qcc_value *v) {
  if (!is_f32(v) || v->is_input || !v->use_count || qcc_tensor_count(v->data) < LEAST_STORED || !fits(s, v->data)) return;
  QCC_FOR_USES(u, v) {
    const qcc_role role = u->node ? qcc_op_get(u->node->op)->role : QCC_ROLE_FLOAT;
    const uint32_t most = role == QCC_ROLE_RECURRENT ? 2 : role == QCC_ROLE_WEIGHTED ? 1 : 0;
    if (!u->node || u->graph != v->graph || u->index < 1 || u->index > most || wants_small(s, u)) return;
  }
  qcc_value *wide = cast(v->graph, v->graph->first, v, QCC_F32);
  if (!wide) return;
  for (qcc_use *u = v->uses, *next; u; u = next) {
    next = u->next;
    if (u->node != wide->def) qcc_set_use(u, wide);
  }
  (void)small_const(s, v, true);
}

/* Outputs that are computed in f32. */
static void narrow_outputs(const state *s, qcc_graph *g) {
  for (uint32_t i = 0; i < g->output_count; i++) {
    qcc_value *v = g->outputs[i]->value, *y = is_f32(v) ? cast(g, NULL, v, s->to) : NULL;
    if (!y) continue;
    qcc_swap_names(v, y);
    qcc_set_use(g->outputs[i], y);
  }
}

static qcc_status convert(const state *s, qcc_graph *g) {
  choose(s, g);
  for (uint32_t i = 0; i < g->input_count && s->io; i++)
    if (is_f32(g->inputs[i]) && !g->inputs[i]->data) set_dtype(g->inputs[i], s->to);
  for (uint32_t i = 0, n = g->const_count; i < n; i++) store(s, g->consts[i]);
  QCC_FOR_NODES_SAFE(n, next, g) {
    if (n->id < s->node_count && s->small[n->id]) convert_node(s, n);
  }
  for (uint32_t i = 0; i < g->input_count && s->io; i++)
    if (g->inputs[i]->type.dtype == s->to) widen(s, g->inputs[i]);
  QCC_FOR_NODES_SAFE(m, after, g) {
    if (m->id >= s->node_count || !s->small[m->id]) continue;
    for (uint32_t k = 0; k < m->out_count; k++)
      if (m->out[k] && m->out[k]->type.dtype == s->to) widen(s, m->out[k]);
  }
  if (s->io) narrow_outputs(s, g);
  QCC_TRY(qcc_graph_status(g));
  return qcc_sort_nodes(g);
}

static qcc_status run(qcc_pass_cx *p) {
  const char *to = qcc_pass_option_get(p, "to", "f16");
  state s = {.p = p, .to = qcc_dtype_from_name(to)};
  if (s.to != QCC_F16 && s.to != QCC_BF16)
    return qcc_error(p->cx, QCC_ARG, "A-151", NULL, "convert-float{to=%.40s}: allowed are f16 and bf16", to);
  if (s.to == QCC_BF16) QCC_TRY(qcc_raise_to(p, 13)); /* no operator had the type before, not even Cast */
  s.node_count = p->g->next_node_id;
  s.value_count = p->g->next_value_id;
  s.io = strcmp(qcc_pass_option_get(p, "io", ""), "convert") == 0;
  s.most = s.to == QCC_F16 ? 65504 : 0x1.fep127;
  s.least = s.to == QCC_F16 ? 0x1p-14 : 0x1p-126;
  s.small = qcc_zalloc_array(p->cx, s.node_count + 1u, sizeof *s.small);
  s.region = qcc_zalloc_array(p->cx, s.node_count + 1u, sizeof *s.region);
  s.worth = qcc_zalloc_array(p->cx, s.node_count + 1u, sizeof *s.worth);
  s.other = qcc_zalloc_array(p->cx, s.value_count + 1u, sizeof *s.other);
  qcc_status st = s.small && s.region && s.worth && s.other ? convert(&s, p->g) : QCC_NOMEM;
  qcc_free(p->cx, s.small);
  qcc_free(p->cx, s.region);
  qcc_free(p->cx, s.worth);
  qcc_free(p->cx, s.other);
  return st;
}

const qcc_pass qcc_pass_convert_float = {
    .name = "convert-float",
    .doc = "f16 or bf16 where that is safe, casts at the borders, weights in the small type",
    .options = "to io",
    .needs = QCC_PROP_SHAPES,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};
