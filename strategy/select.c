/* SPDX-License-Identifier: Apache-2.0
 * --only and --exclude: "type:Conv", "name:glob*", "re:regular expression". Names are those of the source model: a node also answers to
 * its origins, so a selector survives fusions. A selector that matches nothing is an error. */
#define _POSIX_C_SOURCE 200809L
#include <fnmatch.h>
#include <regex.h>
#include <string.h>

#include "strategy/placement.h"

typedef struct selector {
  enum { BY_TYPE, BY_NAME, BY_REGEX } kind;
  const char *text;
  regex_t regex;
} selector;

static qcc_status parse(selector *s, qcc_context *cx, const char *text) {
  static const char *const prefix[] = {"type:", "name:", "re:"};
  for (int k = BY_TYPE; k <= BY_REGEX; k++) {
    size_t n = strlen(prefix[k]);
    if (strncmp(text, prefix[k], n) != 0) continue;
    s->kind = k == BY_TYPE ? BY_TYPE : k == BY_NAME ? BY_NAME : BY_REGEX;
    s->text = text + n;
    if (k != BY_REGEX) return QCC_OK;
    if (regcomp(&s->regex, s->text, REG_EXTENDED | REG_NOSUB) == 0) return QCC_OK;
    return qcc_error(cx, QCC_ARG, "A-121", NULL, "selector \"%s\" is not a regular expression", text);
  }
  return qcc_error(cx, QCC_ARG, "A-120", NULL, "selector \"%s\": expected type:OPERATOR, name:GLOB or re:EXPRESSION", text);
}

static bool matches_name(const selector *s, const char *name) {
  return s->kind == BY_NAME ? fnmatch(s->text, name, 0) == 0 : regexec(&s->regex, name, 0, NULL, 0) == 0;
}

/* Each of the comma-separated origins in turn. */
static bool matches_origin(const selector *s, qcc_context *cx, const char *origin) {
  while (origin && *origin) {
    size_t n = strcspn(origin, ",");
    const char *one = qcc_intern_n(cx, origin, n);
    if (one && matches_name(s, one)) return true;
    origin += n + (origin[n] == ',');
  }
  return false;
}

static bool matches(const selector *s, const qcc_node *n) {
  if (s->kind == BY_TYPE) return strcmp(n->op_type, s->text) == 0;
  return matches_name(s, n->name) || matches_origin(s, n->graph->cx, n->origin);
}

typedef struct marking {
  selector s;
  bool *selected, value, any;
} marking;

static qcc_status mark_graph(qcc_graph *g, void *user) {
  marking *m = user;
  QCC_FOR_NODES(n, g) {
    if (!matches(&m->s, n)) continue;
    m->selected[n->id] = m->value;
    m->any = true;
  }
  return QCC_OK;
}

static qcc_status mark(bool *selected, bool value, const qcc_graph *g, const char *text) {
  marking m = {.selected = selected, .value = value};
  QCC_TRY(parse(&m.s, g->cx, text));
  qcc_status st = qcc_graph_walk((qcc_graph *)(uintptr_t)g, mark_graph, &m);
  if (m.s.kind == BY_REGEX) regfree(&m.s.regex);
  if (st == QCC_OK && !m.any) st = qcc_error(g->cx, QCC_ARG, "A-122", NULL, "selector \"%s\" matches no node", text);
  return st;
}

qcc_status qcc_select_mark(bool *selected, const qcc_graph *g, const qcc_select *select) {
  uint32_t only = select ? select->only_count : 0;
  for (uint32_t i = 0; i < g->next_node_id; i++) selected[i] = only == 0;
  for (uint32_t i = 0; i < only; i++) QCC_TRY(mark(selected, true, g, select->only[i]));
  for (uint32_t i = 0; select && i < select->exclude_count; i++) QCC_TRY(mark(selected, false, g, select->exclude[i]));
  return QCC_OK;
}
