/* SPDX-License-Identifier: Apache-2.0
 * Graph -> text. Whatever is printed parses back to text that is byte for byte the same, but for weights left out as #hash.
 * The order is the graph's own everywhere (file order of constants and attributes, node list), never that of a table. */
#include <string.h>

#include "ir/lex.h"
#include "ir/text.h"

/* Models nest 33 graphs at most (limit of the reader); the parser allows as many. */
enum { DEEPEST = 40 };

typedef struct printer {
  qcc_text *to;
  const qcc_context *cx;
  bool all;
  int depth;
  const uint8_t *marks; /* by node id; NULL: everything */
} printer;

static void print_graph(printer *p, const qcc_graph *g);

static void put(printer *p, const char *text) { qcc_text_add(p->to, text, strlen(text)); }

static void newline(printer *p) {
  put(p, "\n");
  for (int k = 0; k < p->depth; k++) put(p, "  ");
}

static void put_string(printer *p, const char *before, const char *text) {
  put(p, before);
  qcc_print_quoted(p->to, text, strlen(text));
}

static void put_extra(printer *p, const char *word, const qcc_extra *extra) {
  if (!extra->n) return;
  put(p, word);
  qcc_print_hex(p->to, extra->bytes, extra->n);
}

static void put_value(printer *p, const qcc_value *v) {
  if (v) {
    qcc_print_name(p->to, '%', v->name);
  } else {
    put(p, "_");
  }
}

static bool has_type(const qcc_type *t) { return t->dtype != QCC_NONE || t->rank >= 0; }

/* %name: type, where a value is made. */
static void put_definition(printer *p, const qcc_value *v) {
  put_value(p, v);
  if (!v) return;
  bool by_file = v->typed_by_file && v->def;
  if (has_type(&v->type) || by_file) {
    put(p, by_file ? ": file " : ": ");
    qcc_print_type(p->to, p->cx, &v->type);
  }
  put_extra(p, " extra ", &v->extra);
}

/* ---- attributes */
static void put_list(printer *p, const qcc_attr *a, const char *empty, void (*each)(printer *p, const qcc_attr *a, uint32_t k)) {
  if (!a->count) put(p, empty);
  put(p, "[");
  for (uint32_t k = 0; k < a->count; k++) {
    if (k) put(p, ",");
    each(p, a, k);
  }
  put(p, "]");
}

static void put_tensor(printer *p, const qcc_tensor *t) {
  put(p, "const ");
  qcc_print_tensor(p->to, p->cx, t, p->all);
}

static void each_int(printer *p, const qcc_attr *a, uint32_t k) { qcc_text_addf(p->to, "%lld", (long long)a->ints[k]); }
static void each_float(printer *p, const qcc_attr *a, uint32_t k) { qcc_print_float_literal(p->to, a->floats[k], true); }
static void each_string(printer *p, const qcc_attr *a, uint32_t k) { qcc_print_quoted(p->to, a->strings[k].at, a->strings[k].n); }
static void each_tensor(printer *p, const qcc_attr *a, uint32_t k) { put_tensor(p, &a->tensors[k]); }
static void each_graph(printer *p, const qcc_attr *a, uint32_t k) { print_graph(p, a->graphs[k]); }

static void put_attr(printer *p, const qcc_attr *a) {
  qcc_print_name(p->to, 0, a->name);
  put(p, "=");
  switch (a->kind) {
    case QCC_ATTR_INT: qcc_text_addf(p->to, "%lld", (long long)a->i); break;
    case QCC_ATTR_FLOAT: qcc_print_float_literal(p->to, a->f, true); break;
    case QCC_ATTR_STRING: qcc_print_quoted(p->to, a->s.at, a->s.n); break;
    case QCC_ATTR_TENSOR: put_tensor(p, a->t); break;
    case QCC_ATTR_GRAPH: print_graph(p, a->g); break;
    case QCC_ATTR_INTS: put_list(p, a, "ints", each_int); break;
    case QCC_ATTR_FLOATS: put_list(p, a, "floats", each_float); break;
    case QCC_ATTR_STRINGS: put_list(p, a, "strings", each_string); break;
    case QCC_ATTR_TENSORS: put_list(p, a, "tensors", each_tensor); break;
    case QCC_ATTR_GRAPHS: put_list(p, a, "graphs", each_graph); break;
    case QCC_ATTR_OPAQUE:
      put(p, "opaque ");
      qcc_print_hex(p->to, a->extra.bytes, a->extra.n);
      return;
  }
  put_extra(p, " extra ", &a->extra);
}

static void put_attrs(printer *p, const qcc_node *n) {
  if (!n->attrs) return;
  put(p, " {");
  for (const qcc_attr *a = n->attrs; a; a = a->next) {
    put_attr(p, a);
    if (a->next) put(p, ", ");
  }
  put(p, "}");
}

/* ---- nodes */
static bool is_dotted(const char *domain) { /* words joined by single dots */
  size_t n = strlen(domain);
  return qcc_is_word(domain, true) && domain[n - 1] != '.' && !strstr(domain, "..");
}

static void put_op(printer *p, const qcc_node *n) {
  bool plain = qcc_is_word(n->op_type, false);
  if (plain && !*n->domain) {
    put(p, n->op_type);
  } else if (plain && is_dotted(n->domain)) {
    put(p, n->domain);
    put(p, ".");
    put(p, n->op_type);
  } else {
    put_string(p, "", n->domain);
    put_string(p, "::", n->op_type);
  }
}

static void put_node(printer *p, const qcc_node *n) {
  if (!n->out_count) put(p, "()");
  for (uint32_t k = 0; k < n->out_count; k++) {
    if (k) put(p, ", ");
    put_definition(p, n->out[k]);
  }
  put(p, " = ");
  put_op(p, n);
  put(p, "(");
  for (uint32_t k = 0; k < n->in_count; k++) {
    if (k) put(p, ", ");
    put_value(p, n->in[k].value);
  }
  put(p, ")");
  put_attrs(p, n);
  bool named = n->name && *n->name;
  if (named) put_string(p, " ", n->name);
  if (n->overload && *n->overload) put_string(p, " overload ", n->overload);
  if (n->origin && *n->origin && !(named && strcmp(n->origin, n->name) == 0)) put_string(p, " from ", n->origin);
  put_extra(p, " extra ", &n->extra);
}

static void put_const(printer *p, const qcc_value *v) {
  put_value(p, v);
  put(p, " = ");
  put_tensor(p, v->data);
  put_extra(p, " extra ", &v->extra);
  put_extra(p, " tensor_extra ", &v->tensor_extra);
}

/* ---- graphs */
static void put_opsets(printer *p, const qcc_graph *g) {
  for (uint32_t k = 0; k < g->opset_count; k++) {
    put(p, k ? ", " : " opset ");
    if (*g->opsets[k].domain) {
      qcc_print_name(p->to, 0, g->opsets[k].domain);
      put(p, " ");
    }
    qcc_text_addf(p->to, "%lld", (long long)g->opsets[k].version);
  }
}

static void put_field(printer *p, const char *word, const char *text) {
  if (!text || !*text) return;
  newline(p);
  put(p, word);
  put_string(p, " ", text);
}

static void put_header(printer *p, const qcc_graph *g) {
  if (g->ir_version != 8) {
    newline(p);
    qcc_text_addf(p->to, "ir_version %lld", (long long)g->ir_version);
  }
  if (g->model_version) {
    newline(p);
    qcc_text_addf(p->to, "model_version %lld", (long long)g->model_version);
  }
  put_field(p, "producer", g->producer);
  put_field(p, "producer_version", g->producer_version);
  put_field(p, "model_domain", g->model_domain);
  put_field(p, "file", g->file);
  for (uint32_t k = 0; k < g->meta_count; k++) {
    newline(p);
    put_string(p, "meta ", g->metadata[k].key);
    put_string(p, " ", g->metadata[k].value);
  }
  if (g->model_extra.n) newline(p);
  put_extra(p, "model_extra ", &g->model_extra);
}

/* An input may have a default: a constant that the file lists as an input too. */
static void put_inputs(printer *p, const qcc_graph *g) {
  for (uint32_t k = 0; k < g->input_count; k++) {
    if (k) put(p, ", ");
    if (g->inputs[k]->data) {
      put_const(p, g->inputs[k]);
    } else {
      put_definition(p, g->inputs[k]);
    }
  }
}

static bool marked_use(const printer *p, const qcc_value *v) {
  QCC_FOR_USES(u, v) {
    if (u->node && p->marks[u->node->id]) return true;
  }
  return false;
}

static void put_body(printer *p, const qcc_graph *g) {
  if (g->root == g && !p->marks) put_header(p, g);
  if (g->extra.n && !p->marks) newline(p);
  if (!p->marks) put_extra(p, "extra ", &g->extra);
  for (uint32_t k = 0; k < g->const_count; k++) {
    if (g->consts[k]->is_input || (p->marks && !marked_use(p, g->consts[k]))) continue;
    newline(p);
    put_const(p, g->consts[k]);
  }
  QCC_FOR_NODES(n, g) {
    if (p->marks && !p->marks[n->id]) continue;
    newline(p);
    put_node(p, n);
  }
}

static void print_graph(printer *p, const qcc_graph *g) {
  put(p, "graph ");
  qcc_print_name(p->to, '@', g->name ? g->name : "");
  put(p, "(");
  put_inputs(p, g);
  put(p, ") -> (");
  for (uint32_t k = 0; k < g->output_count; k++) {
    if (k) put(p, ", ");
    put_value(p, g->outputs[k]->value);
  }
  put(p, ")");
  if (g->root == g) put_opsets(p, g);
  put(p, " {");
  p->depth++;
  if (p->depth <= DEEPEST) put_body(p, g);
  p->depth--;
  newline(p);
  put(p, "}");
}

/* ---- neighbourhoods */
static void mark_value(uint8_t *next, const qcc_value *v) {
  if (!v) return;
  if (v->def) next[v->def->id] = 1;
  QCC_FOR_USES(u, v) {
    if (u->node) next[u->node->id] = 1;
  }
}

static void mark_neighbours(const qcc_graph *g, const uint8_t *marks, uint8_t *next) {
  QCC_FOR_NODES(n, g) {
    if (!marks[n->id]) continue;
    next[n->id] = 1;
    for (uint32_t k = 0; k < n->in_count; k++) {
      if (n->in[k].value && !n->in[k].value->data) mark_value(next, n->in[k].value);
    }
    for (uint32_t k = 0; k < n->out_count; k++) mark_value(next, n->out[k]);
  }
}

static void mark_start(const qcc_graph *g, const char *around, uint8_t *marks) {
  QCC_FOR_NODES(n, g) {
    if (n->name && strcmp(n->name, around) == 0) marks[n->id] = 1;
    for (uint32_t k = 0; k < n->in_count; k++) {
      if (n->in[k].value && strcmp(n->in[k].value->name, around) == 0) mark_value(marks, n->in[k].value);
    }
    for (uint32_t k = 0; k < n->out_count; k++) {
      if (n->out[k] && strcmp(n->out[k]->name, around) == 0) mark_value(marks, n->out[k]);
    }
  }
}

/* Two generations of marks, so that one round reaches one edge further. NULL: no memory. */
static uint8_t *neighbourhood(const qcc_graph *g, const qcc_print_options *options) {
  size_t count = (size_t)g->root->next_node_id + 1;
  uint8_t *marks = qcc_zalloc_array(g->cx, count, 2);
  if (!marks) return NULL;
  mark_start(g, options->around, marks);
  for (int k = 0; k < options->radius; k++) {
    mark_neighbours(g, marks, marks + count);
    memcpy(marks, marks + count, count);
  }
  return marks;
}

void qcc_print_graph(qcc_text *to, const qcc_graph *g, const qcc_print_options *options) {
  printer p = {.to = to, .cx = g->cx, .all = options && options->all_weights};
  uint8_t *marks = options && options->around ? neighbourhood(g, options) : NULL;
  if (options && options->around && !marks) to->failed = true;
  p.marks = marks;
  print_graph(&p, g);
  put(&p, "\n");
  qcc_free(g->cx, marks);
}

void qcc_print_node(qcc_text *to, const qcc_node *n) {
  printer p = {.to = to, .cx = n->graph->cx};
  put_node(&p, n);
}
