/* SPDX-License-Identifier: Apache-2.0
 * Dinic: levels from the source by breadth first search, then paths that climb one level a step until none is left; no recursion. What the
 * last search reaches is the source's side. */
#include "strategy/cut.h"

#include <string.h>

static const uint32_t NONE = UINT32_MAX; /* too large for an enumerator */

typedef struct search {
  uint32_t *level, *queue, *at, *path; /* by vertex: level, order of visits, next edge to try; edges of the path */
} search;

void qcc_cut_init(qcc_cut *c, qcc_context *cx) {
  *c = (qcc_cut){.cx = cx};
  for (int i = 0; i < QCC_CUT_FIRST; i++) (void)qcc_cut_vertex(c);
}

void qcc_cut_fini(qcc_cut *c) {
  qcc_vec_free(c->cx, &c->edges);
  qcc_vec_free(c->cx, &c->head);
}

uint32_t qcc_cut_vertex(qcc_cut *c) {
  const uint32_t none = NONE;
  if (!qcc_vec_push(c->cx, &c->head, none)) c->failed = true;
  return (uint32_t)c->head.n - 1;
}

static void add_half(qcc_cut *c, uint32_t from, uint32_t to, int64_t room) {
  if (c->failed) return;
  const qcc_cut_edge e = {.to = to, .next = c->head.at[from], .room = room};
  if (!qcc_vec_push(c->cx, &c->edges, e))
    c->failed = true;
  else
    c->head.at[from] = (uint32_t)c->edges.n - 1;
}

void qcc_cut_add(qcc_cut *c, uint32_t from, uint32_t to, int64_t price) {
  if (price <= 0) return;
  add_half(c, from, to, price);
  add_half(c, to, from, 0);
}

/* Levels of what the source reaches over edges with room; is the sink among it? */
static bool find_levels(const qcc_cut *c, search *s) {
  size_t first = 0, count = 1;
  for (size_t v = 0; v < c->head.n; v++) s->level[v] = NONE;
  s->level[QCC_CUT_SOURCE] = 0;
  s->queue[0] = QCC_CUT_SOURCE;
  while (first < count) {
    const uint32_t v = s->queue[first++];
    for (uint32_t e = c->head.at[v]; e != NONE; e = c->edges.at[e].next) {
      const uint32_t to = c->edges.at[e].to;
      if (c->edges.at[e].room <= 0 || s->level[to] != NONE) continue;
      s->level[to] = s->level[v] + 1;
      s->queue[count++] = to;
    }
  }
  return s->level[QCC_CUT_SINK] != NONE;
}

static void push_path(qcc_cut *c, const search *s, size_t length) {
  int64_t room = QCC_CUT_NEVER;
  for (size_t i = 0; i < length; i++) room = c->edges.at[s->path[i]].room < room ? c->edges.at[s->path[i]].room : room;
  for (size_t i = 0; i < length; i++) {
    c->edges.at[s->path[i]].room -= room;
    c->edges.at[s->path[i] ^ 1].room += room;
  }
}

/* One path of climbing levels to the sink; false when there is none. */
static bool find_path(const qcc_cut *c, search *s, size_t *length) {
  uint32_t v = QCC_CUT_SOURCE;
  *length = 0;
  while (v != QCC_CUT_SINK) {
    uint32_t e = s->at[v];
    while (e != NONE && (c->edges.at[e].room <= 0 || s->level[c->edges.at[e].to] != s->level[v] + 1)) e = c->edges.at[e].next;
    s->at[v] = e;
    if (e != NONE) {
      s->path[(*length)++] = e;
      v = c->edges.at[e].to;
    } else if (*length) { /* a dead end: one step back, past the edge that led here */
      const uint32_t back = s->path[--*length];
      v = c->edges.at[back ^ 1].to;
      s->at[v] = c->edges.at[back].next;
    } else {
      return false;
    }
  }
  return true;
}

qcc_status qcc_cut_solve(qcc_cut *c, bool *with_source) {
  const size_t n = c->head.n;
  uint32_t *memory = c->failed ? NULL : qcc_alloc_array(c->cx, 4 * n + 4, sizeof *memory);
  if (!memory) return QCC_NOMEM;
  search s = {memory, memory + n, memory + 2 * n, memory + 3 * n};
  while (find_levels(c, &s)) {
    memcpy(s.at, c->head.at, n * sizeof *s.at);
    for (size_t length; find_path(c, &s, &length);) push_path(c, &s, length);
  }
  for (size_t v = 0; v < n; v++) with_source[v] = s.level[v] != NONE;
  qcc_free(c->cx, memory);
  return QCC_OK;
}
