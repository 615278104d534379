/* SPDX-License-Identifier: Apache-2.0
 * Text -> graph. Names must be defined above their use, so one walk builds the graph; only graph outputs wait for the closing brace.
 * Subgraphs nest at most DEEPEST levels; everything else is loops. The whole language, with `;` comments to the end of the line:
 *
 *   graph    = "graph" @name "(" [input {, input}] ")" "->" "(" [value {, value}] ")" [opset] "{" {header | const | node} "}"
 *   opset    = "opset" [domain] version {, [domain] version}                              root only, as are headers
 *   header   = ir_version N | model_version N | producer S | producer_version S | model_domain S | file S | meta S S
 *            | extra x".." | model_extra x".."
 *   input    = def | const                                                                a constant: an input with a default
 *   def      = %name [":" ["file"] type] ["extra" x".."]                                   file: the model itself gave the type
 *   const    = %name "=" "const" tensor ["extra" x".."] ["tensor_extra" x".."]
 *   node     = (def | _ {, def | _} | "()") "=" op "(" [value | _ {, value | _}] ")" [attrs] [S] ["overload" S] ["from" S] ["extra" x".."]
 *   op       = Name | domain.Name | "domain"::"name"
 *   attrs    = "{" name "=" attr ["extra" x".."] {, ...} "}"
 *   attr     = 1 | 1.0 | S | "const" tensor | graph | list | "opaque" x".."                1 is an INT, 1.0 a FLOAT
 *   list     = ["ints" | "floats" | "strings" | "tensors" | "graphs"] "[" [attr {, attr}] "]"   the word is needed when empty
 *   type     = dtype ["[" [dim {, dim}] "]"]      dtype or dim may be ?; a dim may be a symbol; without brackets: unknown rank
 *   tensor   = type ("[" elements "]" | splat(x) | rand(seed) | x"..")                     see literal.c */
#include <string.h>

#include "ir/check.h"
#include "ir/graph_internal.h"
#include "ir/parse.h"
#include "ir/text.h"

enum { DEEPEST = 40 };

typedef struct definition { /* one name before "=" */
  const char *name;         /* NULL: left out */
  qcc_type type;
  bool by_file;
  qcc_extra extra;
} definition;

typedef struct pending { /* a graph output, looked up at the closing brace */
  const char *name;
  qcc_lexer at;
} pending;

typedef QCC_VEC(definition) definitions;
typedef QCC_VEC(qcc_value *) values;
typedef QCC_VEC(pending) pendings;

static bool word(const qcc_parser *p, const char *text) { return qcc_lex_is_word(&p->l, text); }

static qcc_status built(const qcc_parser *p) { return qcc_graph_status(p->root); }

/* ---- pieces */
static qcc_status keep_bytes(qcc_parser *p, qcc_text *text, const uint8_t **bytes, size_t *n) {
  *bytes = text->n ? qcc_arena_copy(p->root->arena, text->at, text->n) : NULL;
  *n = text->n;
  return text->n && !*bytes ? QCC_NOMEM : QCC_OK;
}

static qcc_status parse_hex(qcc_parser *p, const uint8_t **bytes, size_t *n) {
  qcc_text text = {.cx = p->l.cx};
  qcc_status st = qcc_lex_hex(&p->l, &text);
  if (st == QCC_OK) st = keep_bytes(p, &text, bytes, n);
  qcc_text_free(&text);
  return st;
}

qcc_status qcc_parse_extra(qcc_parser *p, const char *name, qcc_extra *extra) {
  if (!word(p, name)) return QCC_OK;
  QCC_TRY(qcc_lex_next(&p->l));
  return parse_hex(p, &extra->bytes, &extra->n);
}

static qcc_status parse_string_name(qcc_parser *p, const char **to) {
  if (p->l.token.kind != QCC_TOKEN_STRING) return qcc_lex_expected(&p->l, "a string");
  return qcc_lex_name(&p->l, to);
}

static qcc_status parse_new_name(qcc_parser *p, const char **name) {
  if (p->l.token.kind != QCC_TOKEN_VALUE) return qcc_lex_expected(&p->l, "%name");
  qcc_lexer here = p->l;
  QCC_TRY(qcc_lex_name(&p->l, name));
  return qcc_find_value(p->root, *name) ? qcc_lex_error(&here, "M-080", "%%%s is defined twice", *name) : QCC_OK;
}

static qcc_status parse_definition(qcc_parser *p, definition *d) {
  *d = (definition){.type = qcc_type_unknown()};
  if (qcc_lex_is(&p->l, '_')) return qcc_lex_next(&p->l);
  QCC_TRY(parse_new_name(p, &d->name));
  if (qcc_lex_is(&p->l, ':')) {
    QCC_TRY(qcc_lex_next(&p->l));
    d->by_file = word(p, "file");
    if (d->by_file) QCC_TRY(qcc_lex_next(&p->l));
    QCC_TRY(qcc_parse_type(&p->l, &d->type));
  }
  return qcc_parse_extra(p, "extra", &d->extra);
}

static void apply_definition(qcc_value *v, const definition *d) {
  if (!v) return;
  qcc_set_type(v, &d->type);
  v->typed_by_file = d->by_file;
  v->extra = d->extra;
}

/* After "const": the value of that name, in the graph's list of constants. */
static qcc_status parse_const(qcc_parser *p, qcc_graph *g, const definition *d, qcc_value **out) {
  qcc_tensor t = {0};
  QCC_TRY(qcc_lex_take_word(&p->l, "const"));
  QCC_TRY(qcc_parse_tensor(&p->l, &t));
  *out = qcc_add_const(g, d->name, &t);
  QCC_TRY(built(p));
  QCC_TRY(qcc_parse_extra(p, "extra", &(*out)->extra));
  return qcc_parse_extra(p, "tensor_extra", &(*out)->tensor_extra);
}

/* ---- nodes */
typedef struct op_name {
  const char *domain, *type;
} op_name;

static qcc_status parse_op(qcc_parser *p, op_name *to) {
  const char *whole = NULL;
  if (p->l.token.kind == QCC_TOKEN_STRING) {
    QCC_TRY(qcc_lex_name(&p->l, &to->domain));
    if (p->l.token.kind != QCC_TOKEN_SCOPE) return qcc_lex_expected(&p->l, "::");
    QCC_TRY(qcc_lex_next(&p->l));
    return parse_string_name(p, &to->type);
  }
  if (p->l.token.kind != QCC_TOKEN_WORD) return qcc_lex_expected(&p->l, "an operator");
  QCC_TRY(qcc_lex_name(&p->l, &whole));
  const char *dot = strrchr(whole, '.');
  to->domain = qcc_intern_n(p->l.cx, whole, dot ? (size_t)(dot - whole) : 0);
  to->type = dot ? qcc_intern(p->l.cx, dot + 1) : whole;
  return to->domain && to->type ? QCC_OK : QCC_NOMEM;
}

static qcc_status parse_input_list(qcc_parser *p, values *in) {
  QCC_TRY(qcc_lex_take(&p->l, '('));
  while (!qcc_lex_is(&p->l, ')')) {
    qcc_value *v = NULL;
    if (qcc_lex_is(&p->l, '_')) {
      QCC_TRY(qcc_lex_next(&p->l));
    } else {
      qcc_lexer here = p->l;
      const char *name = NULL;
      if (p->l.token.kind != QCC_TOKEN_VALUE) return qcc_lex_expected(&p->l, "%name or _");
      QCC_TRY(qcc_lex_name(&p->l, &name));
      v = qcc_find_value(p->root, name);
      if (!v) return qcc_lex_error(&here, "M-084", "%%%s is not defined above", name);
    }
    if (!qcc_vec_push(p->l.cx, in, v)) return QCC_NOMEM;
    if (!qcc_lex_is(&p->l, ')')) QCC_TRY(qcc_lex_take(&p->l, ','));
  }
  return qcc_lex_next(&p->l);
}

/* The builder made a value for every output; this one is nobody's. */
static void leave_output(qcc_parser *p, qcc_node *n, uint32_t k) {
  if (!qcc_map_put(&p->root->names->values, n->out[k]->name, 0)) qcc_graph_fail(p->root);
  n->out[k] = NULL;
}

static qcc_status name_outputs(qcc_parser *p, qcc_node *n, const definitions *defs) {
  for (uint32_t k = 0; k < n->out_count; k++) {
    const definition *d = &defs->at[k];
    if (!d->name) {
      leave_output(p, n, k);
      continue;
    }
    qcc_rename_value(n->out[k], d->name);
    apply_definition(n->out[k], d);
  }
  return built(p);
}

/* What may follow the attributes. */
static qcc_status parse_node_tail(qcc_parser *p, qcc_node *n) {
  if (p->l.token.kind == QCC_TOKEN_STRING) {
    qcc_lexer here = p->l;
    const char *name = NULL;
    QCC_TRY(qcc_lex_name(&p->l, &name));
    if (qcc_find_node(p->root, name)) return qcc_lex_error(&here, "M-085", "node \"%s\" is defined twice", name);
    qcc_rename_node(n, name);
    n->origin = name;
  }
  if (word(p, "overload")) {
    QCC_TRY(qcc_lex_next(&p->l));
    QCC_TRY(parse_string_name(p, &n->overload));
  }
  if (word(p, "from")) {
    QCC_TRY(qcc_lex_next(&p->l));
    QCC_TRY(parse_string_name(p, &n->origin));
  }
  return qcc_parse_extra(p, "extra", &n->extra);
}

static qcc_status make_node(qcc_parser *p, qcc_graph *g, const op_name *name, const definitions *defs, const values *in) {
  qcc_op op = qcc_op_find(name->domain, name->type);
  uint32_t in_count = (uint32_t)in->n, out_count = (uint32_t)defs->n;
  qcc_node *n = op == QCC_OP_OPAQUE ? qcc_add_opaque(g, NULL, name->domain, name->type, "", in->at, in_count, out_count)
                                    : qcc_add_node(g, NULL, op, "", in->at, in_count, out_count);
  QCC_TRY(built(p));
  QCC_TRY(name_outputs(p, n, defs));
  QCC_TRY(qcc_parse_attrs(p, n));
  QCC_TRY(parse_node_tail(p, n));
  return built(p);
}

static qcc_status parse_node(qcc_parser *p, qcc_graph *g, const definitions *defs) {
  op_name op = {0};
  values in = {0};
  QCC_TRY(parse_op(p, &op));
  qcc_status st = parse_input_list(p, &in);
  if (st == QCC_OK) st = make_node(p, g, &op, defs, &in);
  qcc_vec_free(p->l.cx, &in);
  return st;
}

static qcc_status parse_definitions(qcc_parser *p, definitions *defs) {
  qcc_status st = QCC_OK;
  if (qcc_lex_accept(&p->l, '(', &st)) return qcc_lex_take(&p->l, ')');
  QCC_TRY(st);
  do {
    definition d;
    QCC_TRY(parse_definition(p, &d));
    for (size_t k = 0; k < defs->n && d.name; k++) {
      if (defs->at[k].name == d.name) return qcc_lex_error(&p->l, "M-080", "%%%s is defined twice", d.name);
    }
    if (!qcc_vec_push(p->l.cx, defs, d)) return QCC_NOMEM;
  } while (qcc_lex_accept(&p->l, ',', &st));
  return st;
}

static qcc_status parse_statement(qcc_parser *p, qcc_graph *g) {
  definitions defs = {0};
  qcc_status st = parse_definitions(p, &defs);
  if (st == QCC_OK) st = qcc_lex_take(&p->l, '=');
  if (st == QCC_OK && word(p, "const")) {
    qcc_value *v = NULL;
    st = defs.n == 1 && defs.at[0].name ? parse_const(p, g, &defs.at[0], &v) : qcc_lex_error(&p->l, "M-086", "a constant defines one name");
  } else if (st == QCC_OK) {
    st = parse_node(p, g, &defs);
  }
  qcc_vec_free(p->l.cx, &defs);
  return st;
}

/* ---- graphs */
static qcc_status parse_one_input(qcc_parser *p, qcc_graph *g) {
  definition d;
  qcc_value *v = NULL;
  QCC_TRY(parse_definition(p, &d));
  if (!d.name) return qcc_lex_expected(&p->l, "%name");
  qcc_status st = QCC_OK;
  if (qcc_lex_accept(&p->l, '=', &st)) {
    QCC_TRY(parse_const(p, g, &d, &v));
    return qcc_push_input(g, v) ? QCC_OK : QCC_NOMEM;
  }
  QCC_TRY(st);
  v = qcc_add_input(g, d.name, &d.type);
  apply_definition(v, &d);
  return built(p);
}

static qcc_status parse_inputs(qcc_parser *p, qcc_graph *g) {
  QCC_TRY(qcc_lex_take(&p->l, '('));
  while (!qcc_lex_is(&p->l, ')')) {
    QCC_TRY(parse_one_input(p, g));
    if (!qcc_lex_is(&p->l, ')')) QCC_TRY(qcc_lex_take(&p->l, ','));
  }
  return qcc_lex_next(&p->l);
}

static qcc_status parse_outputs(qcc_parser *p, pendings *outputs) {
  if (p->l.token.kind != QCC_TOKEN_ARROW) return qcc_lex_expected(&p->l, "->");
  QCC_TRY(qcc_lex_next(&p->l));
  QCC_TRY(qcc_lex_take(&p->l, '('));
  while (!qcc_lex_is(&p->l, ')')) {
    pending out = {.at = p->l};
    if (p->l.token.kind != QCC_TOKEN_VALUE) return qcc_lex_expected(&p->l, "%name");
    QCC_TRY(qcc_lex_name(&p->l, &out.name));
    if (!qcc_vec_push(p->l.cx, outputs, out)) return QCC_NOMEM;
    if (!qcc_lex_is(&p->l, ')')) QCC_TRY(qcc_lex_take(&p->l, ','));
  }
  return qcc_lex_next(&p->l);
}

static qcc_status parse_opsets(qcc_parser *p, qcc_graph *g) {
  if (!word(p, "opset")) return QCC_OK;
  qcc_status st = QCC_OK;
  /* the text lists them all: forget the default */
  g->opset_count = 0;
  qcc_map_fini(&g->names->opsets);
  qcc_map_init(&g->names->opsets, g->cx);
  QCC_TRY(qcc_lex_next(&p->l));
  do {
    const char *domain = "";
    int64_t version = 0;
    qcc_lexer here = p->l;
    if (p->l.token.kind != QCC_TOKEN_INT) QCC_TRY(qcc_lex_name(&p->l, &domain));
    QCC_TRY(qcc_lex_s64(&p->l, &version));
    if (qcc_graph_opset(g, domain) != 0) return qcc_lex_error(&here, "M-087", "two versions for one domain");
    QCC_TRY(qcc_graph_set_opset(g, domain, version));
  } while (qcc_lex_accept(&p->l, ',', &st));
  return st;
}

static qcc_status parse_meta(qcc_parser *p, qcc_graph *g) {
  const char *key = NULL, *value = NULL;
  QCC_TRY(parse_string_name(p, &key));
  QCC_TRY(parse_string_name(p, &value));
  return qcc_graph_set_metadata(g, key, value);
}

static qcc_status parse_header(qcc_parser *p, qcc_graph *g) {
  if (word(p, "extra")) return qcc_parse_extra(p, "extra", &g->extra);
  if (word(p, "model_extra")) return qcc_parse_extra(p, "model_extra", &g->model_extra);
  const struct {
    const char *word;
    int64_t *number;
    const char **text;
  } rows[] = {{"ir_version", &g->ir_version, NULL},
              {"model_version", &g->model_version, NULL},
              {"producer", NULL, &g->producer},
              {"producer_version", NULL, &g->producer_version},
              {"model_domain", NULL, &g->model_domain},
              {"file", NULL, &g->file},
              {"meta", NULL, NULL}};
  for (size_t k = 0; k < sizeof rows / sizeof *rows; k++) {
    if (!word(p, rows[k].word)) continue;
    QCC_TRY(qcc_lex_next(&p->l));
    if (rows[k].number) return qcc_lex_s64(&p->l, rows[k].number);
    return rows[k].text ? parse_string_name(p, rows[k].text) : parse_meta(p, g);
  }
  return qcc_lex_expected(&p->l, "%name, _, () or a header word such as meta");
}

static qcc_status parse_body(qcc_parser *p, qcc_graph *g) {
  QCC_TRY(qcc_lex_take(&p->l, '{'));
  while (!qcc_lex_is(&p->l, '}')) {
    bool header = p->l.token.kind == QCC_TOKEN_WORD && (g == p->root || word(p, "extra"));
    QCC_TRY(header ? parse_header(p, g) : parse_statement(p, g));
  }
  return qcc_lex_next(&p->l);
}

static qcc_status attach_outputs(qcc_parser *p, qcc_graph *g, pendings *outputs) {
  for (size_t k = 0; k < outputs->n; k++) {
    qcc_value *v = qcc_find_value(p->root, outputs->at[k].name);
    if (!v) return qcc_lex_error(&outputs->at[k].at, "M-088", "output %%%s is never defined", outputs->at[k].name);
    qcc_add_output(g, v);
  }
  return built(p);
}

qcc_status qcc_parse_subgraph(qcc_parser *p, qcc_graph *parent, qcc_graph **out) {
  if (++p->depth > DEEPEST) return qcc_lex_error(&p->l, "L-064", "graphs nest deeper than %d", (int)DEEPEST);
  QCC_TRY(qcc_lex_take_word(&p->l, "graph"));
  if (p->l.token.kind != QCC_TOKEN_LABEL) return qcc_lex_expected(&p->l, "@name");
  qcc_graph *g = parent ? qcc_subgraph_new(parent) : p->root;
  QCC_TRY(built(p));
  *out = g;
  QCC_TRY(qcc_lex_name(&p->l, &g->name));
  QCC_TRY(parse_inputs(p, g));
  pendings outputs = {0};
  qcc_status st = parse_outputs(p, &outputs);
  if (st == QCC_OK && !parent) st = parse_opsets(p, g);
  if (st == QCC_OK) st = parse_body(p, g);
  if (st == QCC_OK) st = attach_outputs(p, g, &outputs);
  qcc_vec_free(p->l.cx, &outputs);
  p->depth--;
  return st;
}

static qcc_status parse_module(qcc_parser *p) {
  qcc_graph *g = NULL;
  QCC_TRY(qcc_lex_next(&p->l));
  QCC_TRY(qcc_parse_subgraph(p, NULL, &g));
  if (p->l.token.kind != QCC_TOKEN_END) return qcc_lex_expected(&p->l, "the end of the text");
  return qcc_verify(p->root, QCC_INVALID);
}

qcc_status qcc_parse_graph(qcc_graph **out, qcc_context *cx, const char *text, size_t n, const char *file) {
  qcc_parser p = {0};
  *out = NULL;
  QCC_TRY(qcc_graph_new(&p.root, cx));
  qcc_lex_init(&p.l, cx, text, n, file);
  qcc_status st = parse_module(&p);
  if (st == QCC_OK) {
    *out = p.root;
  } else {
    qcc_graph_free(p.root);
  }
  return st;
}
