/* SPDX-License-Identifier: Apache-2.0
 * libyaml's events to a tree, without recursion. libyaml bounds neither depth nor aliases, so this file does: depth, size and the number
 * of values when aliases are written out. An anchor is known from its first byte on but usable only when its value is complete. */
#include "yaml/doc.h"

#include <string.h>
#include <yaml.h>

#include "ir/support/map.h"
#include "ir/support/vec.h"

typedef struct frame {
  qcc_doc_node *node;
  size_t first;  /* its children in `pending` begin here */
  size_t anchor; /* index + 1 in `anchors`; 0: none */
} frame;

typedef struct reader {
  qcc_context *cx;
  const char *name;
  qcc_doc *doc;
  yaml_parser_t parser;
  QCC_VEC(frame) stack;
  QCC_VEC(const qcc_doc_node *) pending;
  QCC_VEC(const qcc_doc_node *) anchors; /* NULL: not complete */
  qcc_map anchor_index;                  /* interned name -> index + 1 in `anchors`, the newest */
  uint32_t documents;
} reader;

qcc_loc qcc_doc_loc(const qcc_doc_node *node) { return (qcc_loc){.file = node->file, .line = node->line, .column = node->column}; }

static qcc_loc mark_loc(const reader *r, const yaml_mark_t *m) {
  return (qcc_loc){.file = r->name, .line = (uint32_t)m->line + 1, .column = (uint32_t)m->column + 1};
}

static qcc_doc_node *new_node(reader *r, qcc_doc_kind kind, const yaml_mark_t *m) {
  qcc_doc_node *node = qcc_arena_alloc(&r->doc->arena, sizeof *node);
  if (!node) return NULL;
  *node = (qcc_doc_node){.kind = kind, .file = r->name, .line = (uint32_t)m->line + 1, .column = (uint32_t)m->column + 1, .text = ""};
  node->height = 1;
  node->weight = 1;
  return node;
}

/* ---- anchors and aliases */

static qcc_status add_anchor(reader *r, const yaml_char_t *anchor, const qcc_doc_node *node, size_t *index) {
  *index = 0;
  if (!anchor) return QCC_OK;
  const char *name = qcc_intern(r->cx, (const char *)anchor);
  if (!name || !qcc_vec_push(r->cx, &r->anchors, node)) return QCC_NOMEM;
  *index = r->anchors.n;
  return qcc_map_put(&r->anchor_index, name, r->anchors.n) ? QCC_OK : QCC_NOMEM;
}

static qcc_status find_alias(reader *r, const yaml_event_t *e, const qcc_doc_node **out) {
  qcc_loc loc = mark_loc(r, &e->start_mark);
  const char *name = qcc_intern(r->cx, (const char *)e->data.alias.anchor);
  uintptr_t index = 0;
  if (!name) return QCC_NOMEM;
  if (!qcc_map_get(&r->anchor_index, name, &index))
    return qcc_error(r->cx, QCC_ARG, "A-501", &loc, "alias *%-s: there is no such anchor above", name);
  *out = r->anchors.at[index - 1];
  return *out ? QCC_OK : qcc_error(r->cx, QCC_ARG, "A-502", &loc, "alias *%-s stands inside the value that it names", name);
}

/* ---- nodes */

static qcc_status check_tag(reader *r, const yaml_char_t *tag, const yaml_mark_t *m) {
  static const char core[] = "tag:yaml.org,2002:";
  qcc_loc loc = mark_loc(r, m);
  if (!tag || strcmp((const char *)tag, "!") == 0 || strncmp((const char *)tag, core, sizeof core - 1) == 0) return QCC_OK;
  return qcc_error(r->cx, QCC_ARG, "A-503", &loc, "tag %-s: tags are not read", (const char *)tag);
}

/* One finished value into what is around it. */
static qcc_status take(reader *r, const qcc_doc_node *node) {
  qcc_loc loc = qcc_doc_loc(node);
  const qcc_limits *limits = qcc_context_limits(r->cx);
  if (r->stack.n + node->height > limits->config_depth)
    return qcc_error(r->cx, QCC_LIMIT, "L-501", &loc, "nested deeper than %llu; --limit max-config-depth=N raises it",
                     (unsigned long long)limits->config_depth);
  if (r->stack.n == 0) return r->doc->root = node, QCC_OK;
  qcc_doc_node *parent = r->stack.at[r->stack.n - 1].node;
  bool is_key = parent->kind == QCC_DOC_MAP && (r->pending.n - r->stack.at[r->stack.n - 1].first) % 2 == 0;
  if (is_key && node->kind != QCC_DOC_SCALAR) return qcc_error(r->cx, QCC_ARG, "A-504", &loc, "a key must be a word");
  parent->weight += node->weight;
  if (node->height >= parent->height) parent->height = node->height + 1;
  if (parent->weight > limits->config_nodes)
    return qcc_error(r->cx, QCC_LIMIT, "L-502", &loc, "more than %llu values, aliases written out; --limit max-config-nodes=N raises it",
                     (unsigned long long)limits->config_nodes);
  return qcc_vec_push(r->cx, &r->pending, node) ? QCC_OK : QCC_NOMEM;
}

static qcc_status take_scalar(reader *r, const yaml_event_t *e) {
  QCC_TRY(check_tag(r, e->data.scalar.tag, &e->start_mark));
  qcc_doc_node *node = new_node(r, QCC_DOC_SCALAR, &e->start_mark);
  if (!node) return QCC_NOMEM;
  qcc_loc loc = qcc_doc_loc(node);
  size_t n = e->data.scalar.length, anchor;
  if (memchr(e->data.scalar.value, 0, n)) return qcc_error(r->cx, QCC_ARG, "A-505", &loc, "a zero byte stands in the text");
  char *text = qcc_arena_alloc(&r->doc->arena, n + 1);
  if (!text) return QCC_NOMEM;
  memcpy(text, e->data.scalar.value, n);
  node->text = text;
  node->n = n;
  node->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
  QCC_TRY(add_anchor(r, e->data.scalar.anchor, node, &anchor));
  return take(r, node);
}

static qcc_status begin(reader *r, qcc_doc_kind kind, const yaml_char_t *anchor, const yaml_char_t *tag, const yaml_mark_t *m) {
  QCC_TRY(check_tag(r, tag, m));
  frame f = {.node = new_node(r, kind, m), .first = r->pending.n};
  if (!f.node) return QCC_NOMEM;
  const qcc_limits *limits = qcc_context_limits(r->cx);
  qcc_loc loc = qcc_doc_loc(f.node);
  if (r->stack.n + 1 > limits->config_depth)
    return qcc_error(r->cx, QCC_LIMIT, "L-501", &loc, "nested deeper than %llu; --limit max-config-depth=N raises it",
                     (unsigned long long)limits->config_depth);
  QCC_TRY(add_anchor(r, anchor, NULL, &f.anchor));
  return qcc_vec_push(r->cx, &r->stack, f) ? QCC_OK : QCC_NOMEM;
}

/* ---- the end of a map: no key twice, "<<" carried out */

typedef QCC_VEC(const qcc_doc_node *) pairs;

static bool is_merge(const qcc_doc_node *key) { return key->plain && strcmp(key->text, "<<") == 0; }

static qcc_status add_pair(reader *r, pairs *to, qcc_map *seen, const qcc_doc_node *key, const qcc_doc_node *value, bool merged) {
  uintptr_t line = 0;
  const char *name = qcc_intern(r->cx, key->text);
  if (!name) return QCC_NOMEM;
  if (qcc_map_get(seen, name, &line)) {
    qcc_loc loc = qcc_doc_loc(key);
    return merged ? QCC_OK : qcc_error(r->cx, QCC_ARG, "A-506", &loc, "%-s is given twice, first in line %u", name, (unsigned)line);
  }
  if (!qcc_map_put(seen, name, key->line)) return QCC_NOMEM;
  return qcc_vec_push(r->cx, to, key) && qcc_vec_push(r->cx, to, value) ? QCC_OK : QCC_NOMEM;
}

static qcc_status merge(reader *r, pairs *to, qcc_map *seen, const qcc_doc_node *from) {
  bool is_list = from->kind == QCC_DOC_LIST;
  for (uint32_t i = 0; i < (is_list ? from->count : 1); i++) {
    const qcc_doc_node *map = is_list ? from->item[i] : from;
    qcc_loc loc = qcc_doc_loc(map);
    if (map->kind != QCC_DOC_MAP) return qcc_error(r->cx, QCC_ARG, "A-507", &loc, "\"<<\" takes a map or a list of maps");
    for (uint32_t k = 0; k < map->count; k++) QCC_TRY(add_pair(r, to, seen, map->item[2 * k], map->item[2 * k + 1], true));
  }
  return QCC_OK;
}

static qcc_status collect_pairs(reader *r, pairs *to, qcc_map *seen, const qcc_doc_node *const *at, size_t n) {
  for (size_t k = 0; k + 1 < n; k += 2) {
    if (!is_merge(at[k])) QCC_TRY(add_pair(r, to, seen, at[k], at[k + 1], false));
  }
  for (size_t k = 0; k + 1 < n; k += 2) {
    if (is_merge(at[k])) QCC_TRY(merge(r, to, seen, at[k + 1]));
  }
  return QCC_OK;
}

static qcc_status keep_items(reader *r, qcc_doc_node *node, const qcc_doc_node *const *at, size_t n) {
  node->count = (uint32_t)(node->kind == QCC_DOC_MAP ? n / 2 : n);
  if (!n) return QCC_OK;
  node->item = qcc_arena_copy(&r->doc->arena, at, n * sizeof *at);
  return node->item ? QCC_OK : QCC_NOMEM;
}

static qcc_status finish_map(reader *r, qcc_doc_node *node, const qcc_doc_node *const *at, size_t n) {
  pairs all = {0};
  qcc_map seen;
  qcc_map_init(&seen, r->cx);
  qcc_status st = collect_pairs(r, &all, &seen, at, n);
  if (st == QCC_OK) st = keep_items(r, node, all.at, all.n);
  qcc_map_fini(&seen);
  qcc_vec_free(r->cx, &all);
  return st;
}

static qcc_status end(reader *r) {
  frame f = r->stack.at[--r->stack.n];
  const qcc_doc_node *const *at = r->pending.at + f.first;
  size_t n = r->pending.n - f.first;
  QCC_TRY(f.node->kind == QCC_DOC_MAP ? finish_map(r, f.node, at, n) : keep_items(r, f.node, at, n));
  r->pending.n = f.first;
  if (f.anchor) r->anchors.at[f.anchor - 1] = f.node;
  return take(r, f.node);
}

/* ---- events */

static qcc_status take_event(reader *r, const yaml_event_t *e) {
  const qcc_doc_node *named = NULL;
  qcc_loc loc = mark_loc(r, &e->start_mark);
  switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
      return r->documents++ ? qcc_error(r->cx, QCC_ARG, "A-508", &loc, "a second document begins; one is read") : QCC_OK;
    case YAML_ALIAS_EVENT: QCC_TRY(find_alias(r, e, &named)); return take(r, named);
    case YAML_SCALAR_EVENT: return take_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
      return begin(r, QCC_DOC_LIST, e->data.sequence_start.anchor, e->data.sequence_start.tag, &e->start_mark);
    case YAML_MAPPING_START_EVENT: return begin(r, QCC_DOC_MAP, e->data.mapping_start.anchor, e->data.mapping_start.tag, &e->start_mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return end(r);
    default: return QCC_OK;
  }
}

static qcc_status not_yaml(const reader *r) {
  const yaml_parser_t *p = &r->parser;
  if (p->error == YAML_MEMORY_ERROR) return qcc_error(r->cx, QCC_NOMEM, "N-501", NULL, "out of memory while YAML was read");
  qcc_loc loc = mark_loc(r, &p->problem_mark);
  if (p->error == YAML_READER_ERROR) loc.line = loc.column = 0;
  const char *problem = p->problem ? p->problem : "it cannot be read", *context = p->context ? p->context : "";
  if (p->error == YAML_READER_ERROR)
    return qcc_error(r->cx, QCC_ARG, "A-509", &loc, "not YAML: %s at byte %zu", problem, p->problem_offset);
  return qcc_error(r->cx, QCC_ARG, "A-509", &loc, "not YAML: %s%s%s", context, *context ? ", " : "", problem);
}

static qcc_status read_events(reader *r) {
  for (bool more = true; more;) {
    yaml_event_t e;
    if (!yaml_parser_parse(&r->parser, &e)) return not_yaml(r);
    more = e.type != YAML_STREAM_END_EVENT && e.type != YAML_NO_EVENT;
    qcc_status st = take_event(r, &e);
    yaml_event_delete(&e);
    if (st != QCC_OK) return st;
  }
  return QCC_OK;
}

qcc_status qcc_doc_parse(qcc_doc *out, qcc_context *cx, const char *name, const char *text, size_t n) {
  *out = (qcc_doc){0};
  qcc_loc loc = {.file = name};
  uint64_t most = qcc_context_limits(cx)->config_bytes;
  if (n > most)
    return qcc_error(cx, QCC_LIMIT, "L-503", &loc, "%zu bytes, at most %llu; --limit max-config-bytes=N raises it", n,
                     (unsigned long long)most);
  reader r = {.cx = cx, .name = name, .doc = out};
  if (!yaml_parser_initialize(&r.parser)) return qcc_error(cx, QCC_NOMEM, "N-501", NULL, "out of memory while YAML was read");
  qcc_arena_init(&out->arena, cx);
  qcc_map_init(&r.anchor_index, cx);
  yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
  qcc_status st = read_events(&r);
  yaml_parser_delete(&r.parser);
  qcc_map_fini(&r.anchor_index);
  qcc_vec_free(cx, &r.stack);
  qcc_vec_free(cx, &r.pending);
  qcc_vec_free(cx, &r.anchors);
  if (st != QCC_OK) qcc_doc_fini(out);
  return st;
}

void qcc_doc_fini(qcc_doc *d) {
  if (d->arena.cx) qcc_arena_fini(&d->arena);
  *d = (qcc_doc){0};
}

const qcc_doc_node *qcc_doc_get(const qcc_doc_node *map, const char *key) {
  for (uint32_t k = 0; map && map->kind == QCC_DOC_MAP && k < map->count; k++) {
    if (strcmp(map->item[2 * k]->text, key) == 0) return map->item[2 * k + 1];
  }
  return NULL;
}

bool qcc_doc_is_null(const qcc_doc_node *node) {
  return node->kind == QCC_DOC_SCALAR && node->plain && (node->n == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}
