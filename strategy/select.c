/* SPDX-License-Identifier: Apache-2.0
 * Selectors: one row per form with the function that marks. */
#define _POSIX_C_SOURCE 200809L
#include "strategy/select.h"

#include <fnmatch.h>
#include <regex.h>
#include <string.h>

#include "ir/support/nearest.h"

typedef struct marking {
  qcc_context *cx;
  const qcc_graph *g, *source;
  const char *text, *word; /* the selector; what stands behind its prefix */
  const bool *able;
  bool *marked; /* by node id of g */
  bool any;
  bool (*matches)(const struct marking *m, const char *name);
  regex_t regex;
  qcc_nearest nearest;
} marking;

static void take(marking *m, const qcc_node *n) { m->marked[n->id] = m->any = true; }

static qcc_graph *writable(const qcc_graph *g) { return (qcc_graph *)(uintptr_t)g; }

/* " did you mean ..." for what was offered. */
static qcc_status matches_nothing(const marking *m) {
  const char *slip = qcc_nearest_slip(&m->nearest);
  if (slip) return qcc_error(m->cx, QCC_ARG, "A-122", NULL, "selector \"%s\" matches no node; did you mean %-s?", m->text, slip);
  return qcc_error(m->cx, QCC_ARG, "A-122", NULL, "selector \"%s\" matches no node", m->text);
}

/* ---- by type */

static qcc_status mark_type(qcc_graph *g, void *user) {
  marking *m = user;
  QCC_FOR_NODES(n, g) {
    if (strcmp(n->op_type, m->word) == 0) take(m, n);
    qcc_nearest_offer(&m->nearest, n->op_type);
  }
  return QCC_OK;
}

static qcc_status by_type(marking *m) { return qcc_graph_walk(writable(m->g), mark_type, m); }

/* ---- by name: that of the node and each of its comma-separated origins */

typedef bool each_name(void *user, const char *name);

static bool any_name(const qcc_node *n, each_name *ask, void *user) {
  if (*n->name && ask(user, n->name)) return true;
  for (const char *origin = n->origin; origin && *origin;) {
    size_t length = strcspn(origin, ",");
    const char *one = qcc_intern_n(n->graph->cx, origin, length);
    if (one && ask(user, one)) return true;
    origin += length + (origin[length] == ',');
  }
  return false;
}

static bool ask_name(void *user, const char *name) {
  marking *m = user;
  qcc_nearest_offer(&m->nearest, name);
  return m->matches(m, name);
}

static qcc_status mark_name(qcc_graph *g, void *user) {
  QCC_FOR_NODES(n, g) {
    if (any_name(n, ask_name, user)) take(user, n);
  }
  return QCC_OK;
}

/* A name may hold characters that mean something in a glob. */
static bool matches_glob(const marking *m, const char *name) { return strcmp(m->word, name) == 0 || fnmatch(m->word, name, 0) == 0; }

static qcc_status by_name(marking *m) {
  if (!*m->word) return qcc_error(m->cx, QCC_ARG, "A-120", NULL, "selector \"%s\": a name is missing", m->text);
  m->matches = matches_glob;
  return qcc_graph_walk(writable(m->g), mark_name, m);
}

static bool matches_regex(const marking *m, const char *name) { return regexec(&m->regex, name, 0, NULL, 0) == 0; }

static qcc_status by_regex(marking *m) {
  if (regcomp(&m->regex, m->word, REG_EXTENDED | REG_NOSUB) != 0)
    return qcc_error(m->cx, QCC_ARG, "A-121", NULL, "selector \"%s\" is not a regular expression", m->text);
  m->matches = matches_regex;
  qcc_status st = qcc_graph_walk(writable(m->g), mark_name, m);
  regfree(&m->regex);
  m->nearest = qcc_nearest_to("", 0); /* an expression is not a slip of a name */
  return st;
}

/* ---- by place */

static qcc_status read_count(const marking *m, uint64_t *count) {
  *count = 0;
  for (const char *c = m->word; *c; c++) {
    if (*c < '0' || *c > '9' || *count > UINT32_MAX)
      return qcc_error(m->cx, QCC_ARG, "A-123", NULL, "selector \"%s\": expected a number", m->text);
    *count = *count * 10 + (uint64_t)(*c - '0');
  }
  return *count ? QCC_OK : qcc_error(m->cx, QCC_ARG, "A-123", NULL, "selector \"%s\": expected a number above 0", m->text);
}

static qcc_status by_first(marking *m) {
  uint64_t left;
  QCC_TRY(read_count(m, &left));
  for (const qcc_node *n = m->g->first; n && left; n = n->next) {
    if (!m->able[n->id]) continue;
    take(m, n);
    left--;
  }
  return QCC_OK;
}

static qcc_status by_last(marking *m) {
  uint64_t left;
  QCC_TRY(read_count(m, &left));
  for (const qcc_node *n = m->g->last; n && left; n = n->prev) {
    if (!m->able[n->id]) continue;
    take(m, n);
    left--;
  }
  return QCC_OK;
}

/* ---- between tensors */

/* The node of `g` that an edge belongs to: what a body reads, its owner reads. NULL: a graph output. */
static const qcc_node *user_in(const qcc_graph *g, const qcc_use *u) {
  const qcc_node *n = u->node;
  for (const qcc_graph *inner = u->graph; inner && inner != g; inner = n ? n->graph : NULL) n = inner->owner;
  return n;
}

static bool feeds(const bool *marks, const qcc_value *v) {
  QCC_FOR_USES(u, v) {
    const qcc_node *n = user_in(v->graph, u);
    if (n && marks[n->id]) return true;
  }
  return false;
}

static void mark_users(bool *marks, const qcc_value *v) {
  QCC_FOR_USES(u, v) {
    const qcc_node *n = user_in(v->graph, u);
    if (n) marks[n->id] = true;
  }
}

/* Forward from `a` all users of users, then backward from `b` those of them that lead there. */
qcc_status qcc_select_paths(bool *on_path, const qcc_value *a, const qcc_value *b) {
  const qcc_graph *g = a->graph;
  if (b->graph != g) return QCC_OK;
  bool *after = qcc_zalloc_array(g->cx, g->root->next_node_id + 1u, sizeof *after);
  if (!after) return QCC_NOMEM;
  mark_users(after, a);
  QCC_FOR_NODES(n, g) {
    for (uint32_t k = 0; k < n->out_count && after[n->id]; k++)
      if (n->out[k]) mark_users(after, n->out[k]);
  }
  for (const qcc_node *n = g->last; n; n = n->prev) {
    bool leads = n == b->def;
    for (uint32_t k = 0; k < n->out_count && after[n->id] && !leads; k++) leads = n->out[k] && feeds(on_path, n->out[k]);
    on_path[n->id] = after[n->id] && leads;
  }
  qcc_free(g->cx, after);
  return QCC_OK;
}

typedef struct on_path {
  const qcc_graph *source;
  const bool *marks;
} on_path;

static bool ask_source(void *user, const char *name) {
  const on_path *p = user;
  const qcc_node *n = qcc_find_node(p->source, name);
  return n && p->marks[n->id];
}

/* By origins, or by a tensor that both graphs have: nodes of the source need not have names. */
static bool stands_for(const on_path *p, const qcc_node *n) {
  if (any_name(n, ask_source, (void *)(uintptr_t)p)) return true;
  for (uint32_t k = 0; k < n->out_count; k++) {
    const qcc_value *v = n->out[k] ? qcc_find_value(p->source, n->out[k]->name) : NULL;
    if (v && v->def && p->marks[v->def->id]) return true;
  }
  return false;
}

static const qcc_value *tensor_at(const marking *m, const char *name, size_t n) {
  name = qcc_intern_n(m->cx, name, n);
  return name ? qcc_find_value(m->source, name) : NULL;
}

static qcc_status unknown_tensor(const marking *m, const char *name, size_t n) {
  qcc_nearest near = qcc_nearest_to(name, n);
  QCC_FOR_NODES(other, m->source) {
    for (uint32_t k = 0; k < other->out_count; k++)
      if (other->out[k]) qcc_nearest_offer(&near, other->out[k]->name);
  }
  for (uint32_t k = 0; k < m->source->input_count; k++) qcc_nearest_offer(&near, m->source->inputs[k]->name);
  const char *slip = qcc_nearest_slip(&near), *word = qcc_intern_n(m->cx, name, n);
  if (!word) return QCC_NOMEM;
  if (!slip) return qcc_error(m->cx, QCC_ARG, "A-124", NULL, "selector \"%s\": the model has no tensor %-s", m->text, word);
  return qcc_error(m->cx, QCC_ARG, "A-124", NULL, "selector \"%s\": the model has no tensor %-s; did you mean %-s?", m->text, word, slip);
}

/* Names may hold dots: the first ".." between two tensors that exist counts. */
static qcc_status read_tensors(const marking *m, const qcc_value **a, const qcc_value **b) {
  const char *dots = strstr(m->word, "..");
  if (!dots) return qcc_error(m->cx, QCC_ARG, "A-120", NULL, "selector \"%s\": expected between:TENSOR..TENSOR", m->text);
  for (const char *at = dots; at; at = strstr(at + 1, "..")) {
    *a = tensor_at(m, m->word, (size_t)(at - m->word));
    *b = tensor_at(m, at + 2, strlen(at + 2));
    if (*a && *b) return QCC_OK;
  }
  *a = tensor_at(m, m->word, (size_t)(dots - m->word));
  return *a ? unknown_tensor(m, dots + 2, strlen(dots + 2)) : unknown_tensor(m, m->word, (size_t)(dots - m->word));
}

static qcc_status by_path(marking *m) {
  const qcc_value *a = NULL, *b = NULL;
  QCC_TRY(read_tensors(m, &a, &b));
  bool *marks = qcc_zalloc_array(m->cx, m->source->next_node_id + 1u, sizeof *marks);
  if (!marks) return QCC_NOMEM;
  on_path path = {m->source, marks};
  qcc_status st = qcc_select_paths(marks, a, b);
  QCC_FOR_NODES(n, m->g) {
    if (st == QCC_OK && stands_for(&path, n)) take(m, n);
  }
  qcc_free(m->cx, marks);
  return st;
}

/* ---- all of them */

static const struct {
  const char *prefix;
  qcc_status (*mark)(marking *m);
} forms[] = {{"type:", by_type}, {"name:", by_name},    {"re:", by_regex}, {"first:", by_first},
             {"last:", by_last}, {"between:", by_path}, {"", by_name}};

static qcc_status mark(bool *marked, const qcc_marks *marks, const qcc_graph *g, const qcc_select *select, const char *text) {
  marking m = {.cx = g->cx, .g = g, .source = select->source ? select->source : g, .text = text, .able = marks->able, .marked = marked};
  size_t k = 0, n = 0;
  for (; n = strlen(forms[k].prefix), strncmp(text, forms[k].prefix, n) != 0;) k++;
  m.word = text + n;
  m.nearest = qcc_nearest_to(m.word, strlen(m.word));
  QCC_TRY(forms[k].mark(&m));
  return m.any ? QCC_OK : matches_nothing(&m);
}

qcc_status qcc_select_mark(qcc_marks *m, const qcc_graph *g, const qcc_select *select) {
  uint32_t only = select ? select->only_count : 0;
  for (uint32_t i = 0; i < g->next_node_id; i++) m->selected[i] = only == 0;
  for (uint32_t i = 0; i < only; i++) QCC_TRY(mark(m->selected, m, g, select, select->only[i]));
  for (uint32_t i = 0; select && i < select->exclude_count; i++) QCC_TRY(mark(m->excluded, m, g, select, select->exclude[i]));
  for (uint32_t i = 0; i < g->next_node_id; i++) m->selected[i] = m->selected[i] && !m->excluded[i];
  return QCC_OK;
}
