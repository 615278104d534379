/* SPDX-License-Identifier: Apache-2.0
 * Topological order of one graph. Depth first from the nodes in their present order, each after what it needs: a graph in
 * order comes back unchanged, others change as little as that allows. The stack is explicit and the work linear in the edges,
 * captures of inner graphs included: an inner edge counts for the node that owns the inner graph. */
#include <string.h>

#include "ir/graph_internal.h"

typedef struct sorter {
  qcc_graph *g;
  qcc_map index; /* node -> place in the present order */
  qcc_node **nodes;
  uint32_t *first; /* node -> its needs in `needs`; one more at the end */
  uint32_t *needs; /* places of nodes that must come before */
  uint8_t *state;  /* 0 new, 1 on the stack, 2 placed */
  uint32_t *stack, *cursor;
} sorter;

/* The node of graph g at or around an edge; NULL: an output of g itself. */
static const qcc_node *user_in(const qcc_graph *g, const qcc_use *u) {
  const qcc_graph *at = u->graph;
  const qcc_node *n = u->node;
  while (at && at != g) {
    n = at->owner;
    at = n ? n->graph : NULL;
  }
  return at ? n : NULL;
}

/* Calls for every edge node -> user: counts it (fill false) or writes it down. */
static void each_edge(sorter *s, bool fill) {
  for (uint32_t i = 0; i < s->g->node_count; i++) {
    const qcc_node *n = s->nodes[i];
    for (uint32_t k = 0; k < n->out_count; k++) {
      if (!n->out[k]) continue;
      QCC_FOR_USES(u, n->out[k]) {
        uintptr_t at = 0;
        const qcc_node *user = user_in(s->g, u);
        if (!user || !qcc_map_get(&s->index, user, &at)) continue;
        if (fill) {
          s->needs[s->cursor[at]++] = i;
        } else {
          s->first[at + 1]++;
        }
      }
    }
  }
}

static bool is_sorted(const sorter *s) {
  for (uint32_t i = 0; i < s->g->node_count; i++)
    for (uint32_t k = s->first[i]; k < s->first[i + 1]; k++)
      if (s->needs[k] >= i) return false;
  return true;
}

static qcc_status cycle(const sorter *s, uint32_t at) {
  qcc_loc loc = qcc_node_loc(s->nodes[at]);
  return qcc_error(s->g->cx, QCC_INVALID, "M-001", &loc, "the node needs its own result: the graph has a cycle");
}

/* Moves the nodes behind each other to the end of the list, needs first. */
static qcc_status place(sorter *s) {
  uint32_t n = s->g->node_count, depth = 0;
  memcpy(s->cursor, s->first, n * sizeof *s->cursor);
  for (uint32_t root = 0; root < n; root++) {
    if (s->state[root]) continue;
    s->stack[depth++] = root;
    s->state[root] = 1;
    while (depth) {
      uint32_t at = s->stack[depth - 1];
      if (s->cursor[at] == s->first[at + 1]) {
        s->state[at] = 2;
        depth--;
        qcc_move_node(s->nodes[at], NULL);
        continue;
      }
      uint32_t need = s->needs[s->cursor[at]++];
      if (s->state[need] == 1) return cycle(s, need);
      if (s->state[need] == 2) continue;
      s->state[need] = 1;
      s->stack[depth++] = need;
    }
  }
  return QCC_OK;
}

static qcc_status prepare(sorter *s) {
  qcc_context *cx = s->g->cx;
  uint32_t n = s->g->node_count, i = 0;
  s->nodes = qcc_alloc_array(cx, n, sizeof(qcc_node *));
  s->first = qcc_zalloc_array(cx, (size_t)n + 1, sizeof *s->first);
  s->cursor = qcc_alloc_array(cx, (size_t)n + 1, sizeof *s->cursor);
  s->stack = qcc_alloc_array(cx, (size_t)n + 1, sizeof *s->stack);
  s->state = qcc_zalloc_array(cx, n, 1);
  if (!s->nodes || !s->first || !s->cursor || !s->stack || !s->state) return QCC_NOMEM;
  QCC_FOR_NODES(node, s->g) {
    if (!qcc_map_put(&s->index, node, i)) return QCC_NOMEM;
    s->nodes[i++] = node;
  }
  each_edge(s, false);
  for (uint32_t k = 0; k < n; k++) s->first[k + 1] += s->first[k];
  s->needs = qcc_alloc_array(cx, s->first[n], sizeof *s->needs);
  if (!s->needs) return QCC_NOMEM;
  memcpy(s->cursor, s->first, n * sizeof *s->cursor);
  each_edge(s, true);
  return QCC_OK;
}

qcc_status qcc_sort_nodes(qcc_graph *g) {
  sorter s = {.g = g};
  qcc_context *cx = g->cx;
  qcc_map_init(&s.index, cx);
  qcc_status status = prepare(&s);
  if (status == QCC_OK && !is_sorted(&s)) status = place(&s);
  qcc_map_fini(&s.index);
  qcc_free(cx, s.nodes);
  qcc_free(cx, s.first);
  qcc_free(cx, s.cursor);
  qcc_free(cx, s.stack);
  qcc_free(cx, s.state);
  qcc_free(cx, s.needs);
  return status;
}
