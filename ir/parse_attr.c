/* SPDX-License-Identifier: Apache-2.0
 * Attributes of the text form. Whatever list is read goes through growing arrays, then to the graph's arena in one piece;
 * tensors of attributes stand in the arena too, so nobody has to release them. Order and kinds are the text's. */
#include <string.h>

#include "ir/parse.h"

static bool word(const qcc_parser *p, const char *text) { return qcc_lex_is_word(&p->l, text); }

typedef struct items {
  qcc_attr_kind kind; /* of one item */
  QCC_VEC(int64_t) ints;
  QCC_VEC(float) floats;
  QCC_VEC(qcc_bytes) strings;
  QCC_VEC(qcc_tensor) tensors;
  QCC_VEC(qcc_graph *) graphs;
} items;

static qcc_status parse_int_or_float(qcc_parser *p, items *to) {
  qcc_number x;
  bool is_int = p->l.token.kind == QCC_TOKEN_INT;
  qcc_lexer here = p->l;
  QCC_TRY(qcc_lex_number(&p->l, &x));
  if (is_int && !x.is_int) return qcc_lex_error(&here, "M-068", "integer outside 64 bits");
  to->kind = is_int ? QCC_ATTR_INT : QCC_ATTR_FLOAT;
  if (is_int) return qcc_vec_push(p->l.cx, &to->ints, x.i) ? QCC_OK : QCC_NOMEM;
  float f = (float)x.x;
  uint32_t bits = (uint32_t)x.bits;
  if (x.has_bits) memcpy(&f, &bits, sizeof f);
  return qcc_vec_push(p->l.cx, &to->floats, f) ? QCC_OK : QCC_NOMEM;
}

static qcc_status parse_string_item(qcc_parser *p, items *to) {
  qcc_text text = {.cx = p->l.cx};
  qcc_bytes s = {"", 0};
  qcc_status st = qcc_lex_string(&p->l, &text);
  qcc_text_add(&text, "", 1); /* the bytes stay terminated */
  if (st == QCC_OK) {
    s = (qcc_bytes){text.failed ? NULL : qcc_arena_copy(p->root->arena, text.at, text.n), text.n - 1};
    if (!s.at) st = QCC_NOMEM;
  }
  qcc_text_free(&text);
  to->kind = QCC_ATTR_STRING;
  if (st == QCC_OK && !qcc_vec_push(p->l.cx, &to->strings, s)) st = QCC_NOMEM;
  return st;
}

static qcc_status parse_tensor_item(qcc_parser *p, items *to) {
  qcc_tensor t = {0};
  QCC_TRY(qcc_lex_take_word(&p->l, "const"));
  QCC_TRY(qcc_parse_tensor(&p->l, &t));
  qcc_tensor kept = {.type = t.type, .bytes = t.bytes};
  kept.data = t.bytes ? qcc_arena_copy(p->root->arena, t.data, t.bytes) : "";
  qcc_tensor_release(&t);
  to->kind = QCC_ATTR_TENSOR;
  return kept.data && qcc_vec_push(p->l.cx, &to->tensors, kept) ? QCC_OK : QCC_NOMEM;
}

static qcc_status parse_graph_item(qcc_parser *p, qcc_node *n, items *to) {
  qcc_graph *g = NULL;
  QCC_TRY(qcc_parse_subgraph(p, n->graph, &g));
  g->owner = n;
  to->kind = QCC_ATTR_GRAPH;
  return qcc_vec_push(p->l.cx, &to->graphs, g) ? QCC_OK : QCC_NOMEM;
}

static qcc_status parse_item(qcc_parser *p, qcc_node *n, items *to) {
  qcc_token_kind kind = p->l.token.kind;
  if (kind == QCC_TOKEN_STRING) return parse_string_item(p, to);
  if (kind == QCC_TOKEN_INT || kind == QCC_TOKEN_FLOAT || word(p, "nan") || word(p, "inf")) return parse_int_or_float(p, to);
  if (word(p, "const")) return parse_tensor_item(p, to);
  if (word(p, "graph")) return parse_graph_item(p, n, to);
  return qcc_lex_expected(&p->l, "an integer, a float, a string, [a list], const, graph or opaque");
}

static const struct {
  const char *word;
  qcc_attr_kind kind;
} list_words[] = {{"ints", QCC_ATTR_INT},
                  {"floats", QCC_ATTR_FLOAT},
                  {"strings", QCC_ATTR_STRING},
                  {"tensors", QCC_ATTR_TENSOR},
                  {"graphs", QCC_ATTR_GRAPH}};

static qcc_status parse_list(qcc_parser *p, qcc_node *n, items *to, bool *is_list) {
  bool typed = false;
  for (size_t k = 0; k < sizeof list_words / sizeof *list_words && !typed; k++) {
    typed = word(p, list_words[k].word);
    if (typed) to->kind = list_words[k].kind;
  }
  if (typed) QCC_TRY(qcc_lex_next(&p->l));
  *is_list = typed || qcc_lex_is(&p->l, '[');
  if (!*is_list) return parse_item(p, n, to);
  qcc_attr_kind kind = to->kind;
  QCC_TRY(qcc_lex_take(&p->l, '['));
  if (!typed && qcc_lex_is(&p->l, ']'))
    return qcc_lex_error(&p->l, "M-081", "an empty list needs its kind: ints[], floats[], strings[], tensors[] or graphs[]");
  for (bool first = true; !qcc_lex_is(&p->l, ']'); first = false) {
    if (!first) QCC_TRY(qcc_lex_take(&p->l, ','));
    qcc_lexer here = p->l;
    QCC_TRY(parse_item(p, n, to));
    if ((!first || typed) && to->kind != kind)
      return qcc_lex_error(&here, "M-082", "the items of a list must be of one kind; floats have a point");
    kind = to->kind;
  }
  return qcc_lex_next(&p->l);
}

static qcc_attr *new_attr(qcc_parser *p, qcc_node *n, const char *name, qcc_attr_kind kind) {
  qcc_attr *a = qcc_arena_alloc(p->root->arena, sizeof *a);
  if (!a) return NULL;
  *a = (qcc_attr){.name = name, .kind = kind};
  qcc_attr **end = &n->attrs;
  while (*end) end = &(*end)->next;
  return *end = a;
}

/* `count` items in the arena. */
static const void *keep_list(qcc_parser *p, const void *at, size_t count, size_t size) {
  return count ? qcc_arena_copy(p->root->arena, at, count * size) : qcc_arena_alloc(p->root->arena, 1);
}

static qcc_status fill_list(qcc_parser *p, qcc_attr *a, const items *from) {
  switch (from->kind) {
    case QCC_ATTR_INT: a->ints = keep_list(p, from->ints.at, from->ints.n, sizeof *a->ints); break;
    case QCC_ATTR_FLOAT: a->floats = keep_list(p, from->floats.at, from->floats.n, sizeof *a->floats); break;
    case QCC_ATTR_STRING: a->strings = keep_list(p, from->strings.at, from->strings.n, sizeof *a->strings); break;
    case QCC_ATTR_TENSOR: a->tensors = keep_list(p, from->tensors.at, from->tensors.n, sizeof *a->tensors); break;
    default: a->graphs = keep_list(p, from->graphs.at, from->graphs.n, sizeof *a->graphs); break;
  }
  /* exactly one of the arrays was filled */
  a->count = (uint32_t)(from->ints.n + from->floats.n + from->strings.n + from->tensors.n + from->graphs.n);
  return a->ints ? QCC_OK : QCC_NOMEM;
}

static qcc_status fill_single(qcc_parser *p, qcc_attr *a, const items *from) {
  switch (from->kind) {
    case QCC_ATTR_INT: a->i = from->ints.at[0]; break;
    case QCC_ATTR_FLOAT: a->f = from->floats.at[0]; break;
    case QCC_ATTR_STRING: a->s = from->strings.at[0]; break;
    case QCC_ATTR_TENSOR: a->t = keep_list(p, from->tensors.at, 1, sizeof *a->t); return a->t ? QCC_OK : QCC_NOMEM;
    default: a->g = from->graphs.at[0]; break;
  }
  return QCC_OK;
}

static qcc_status parse_attr_value(qcc_parser *p, qcc_node *n, const char *name, qcc_attr **out) {
  if (word(p, "opaque")) { /* its wire bytes are what other attributes keep besides their value */
    *out = new_attr(p, n, name, QCC_ATTR_OPAQUE);
    return *out ? qcc_parse_extra(p, "opaque", &(*out)->extra) : QCC_NOMEM;
  }
  items found = {.kind = QCC_ATTR_INT};
  bool is_list = false;
  qcc_status st = parse_list(p, n, &found, &is_list);
  if (st == QCC_OK) {
    *out = new_attr(p, n, name, is_list ? (qcc_attr_kind)(found.kind + QCC_ATTR_INTS - QCC_ATTR_INT) : found.kind);
    st = !*out ? QCC_NOMEM : is_list ? fill_list(p, *out, &found) : fill_single(p, *out, &found);
  }
  qcc_vec_free(p->l.cx, &found.ints);
  qcc_vec_free(p->l.cx, &found.floats);
  qcc_vec_free(p->l.cx, &found.strings);
  qcc_vec_free(p->l.cx, &found.tensors);
  qcc_vec_free(p->l.cx, &found.graphs);
  return st;
}

static qcc_status parse_attr(qcc_parser *p, qcc_node *n) {
  const char *name = NULL;
  qcc_attr *a = NULL;
  if (p->l.token.kind != QCC_TOKEN_WORD && p->l.token.kind != QCC_TOKEN_STRING) return qcc_lex_expected(&p->l, "the name of an attribute");
  qcc_lexer here = p->l;
  QCC_TRY(qcc_lex_name(&p->l, &name));
  if (qcc_attr_find(n, name)) return qcc_lex_error(&here, "M-083", "attribute %s is given twice", name);
  QCC_TRY(qcc_lex_take(&p->l, '='));
  QCC_TRY(parse_attr_value(p, n, name, &a));
  return a->kind == QCC_ATTR_OPAQUE ? QCC_OK : qcc_parse_extra(p, "extra", &a->extra);
}

qcc_status qcc_parse_attrs(qcc_parser *p, qcc_node *n) {
  qcc_status st = QCC_OK;
  if (!qcc_lex_accept(&p->l, '{', &st)) return st;
  while (!qcc_lex_is(&p->l, '}')) {
    QCC_TRY(parse_attr(p, n));
    if (!qcc_lex_is(&p->l, '}')) QCC_TRY(qcc_lex_take(&p->l, ','));
  }
  return qcc_lex_next(&p->l);
}
