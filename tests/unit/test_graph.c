/* SPDX-License-Identifier: Apache-2.0
 * Graphs: building, names, edges, edits, order, subgraphs and captures, clones, the verifier, failing allocations, speed at 10^5 nodes. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "ir/check.h"
#include "tests/oom.h"

static qcc_context *make(qcc_graph **g) {
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  assert_int_equal(qcc_graph_new(g, cx), QCC_OK);
  return cx;
}

static void done(qcc_context *cx, qcc_graph *g) {
  qcc_graph_free(g);
  qcc_context_free(cx);
}

static void good(const qcc_graph *g) {
  if (qcc_verify(g, QCC_INTERNAL) != QCC_OK) fail_msg("%s", qcc_last_error(g->cx));
}

static qcc_value *unary(qcc_graph *g, qcc_op op, const char *name, qcc_value *x) {
  return qcc_out(qcc_add_node(g, NULL, op, name, &x, 1, 1), 0);
}

static qcc_value *binary(qcc_graph *g, qcc_op op, const char *name, qcc_value *x, qcc_value *y) {
  qcc_value *in[2] = {x, y};
  return qcc_out(qcc_add_node(g, NULL, op, name, in, 2, 1), 0);
}

/* The users of v as "name:index ", outputs as "@index ". */
static const char *users(const qcc_value *v, char *to) {
  size_t n = 0;
  to[0] = 0;
  QCC_FOR_USES(u, v)
  n += (size_t)snprintf(to + n, 200 - n, u->node ? "%s:%u " : "%s@%u ", u->node ? u->node->name : "", u->index);
  return to;
}

static const char *order(const qcc_graph *g, char *to) {
  size_t n = 0;
  to[0] = 0;
  QCC_FOR_NODES(x, g) n += (size_t)snprintf(to + n, 200 - n, "%s ", x->name);
  return to;
}

static void building(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  char text[256];
  qcc_type t = qcc_type_of(QCC_F32, 2, (int64_t[]){2, 3});
  qcc_value *x = qcc_add_input(g, "x", &t), *w = qcc_add_const_f32(g, "w", 1, (int64_t[]){3}, (float[]){1, 2, 3});
  qcc_value *a = binary(g, QCC_OP_ADD, "a", x, w), *r = unary(g, QCC_OP_RELU, "r", a), *m = binary(g, QCC_OP_MUL, "m", a, a);
  qcc_add_output(g, r);
  qcc_add_output(g, m);
  good(g);
  assert_int_equal(qcc_graph_status(g), QCC_OK);
  assert_string_equal(users(a, text), "r:0 m:0 m:1 ");
  assert_string_equal(users(r, text), "@0 ");
  assert_string_equal(order(g, text), "a r m ");
  assert_string_equal(a->name, "a");
  assert_true(qcc_is_graph_output(r) && !qcc_is_graph_output(a) && qcc_is_const(w) && !qcc_is_const(x));
  assert_ptr_equal(qcc_only_user(x), a->def);
  assert_null(qcc_only_user(a));
  assert_null(qcc_only_user(r)); /* the one use is a graph output */
  assert_ptr_equal(qcc_find_value(g, qcc_intern(cx, "m")), m);
  assert_ptr_equal(qcc_find_node(g, qcc_intern(cx, "m")), m->def);
  assert_null(qcc_find_value(g, qcc_intern(cx, "absent")));
  assert_int_equal(qcc_graph_opset(g, "ai.onnx"), 13);
  assert_int_equal(qcc_graph_set_opset(g, "ai.onnx", 17), QCC_OK);
  assert_int_equal(qcc_graph_set_opset(g, "com.microsoft", 1), QCC_OK);
  assert_int_equal(qcc_graph_opset(g, ""), 17);
  assert_int_equal(qcc_graph_opset(g, "other"), 0);
  assert_int_equal(g->opset_count, 2);
  for (int i = 0; i < 20; i++) assert_int_equal(qcc_graph_set_metadata(g, qcc_internf(cx, "k%d", i % 7), i < 10 ? "old" : "new"), QCC_OK);
  assert_string_equal(qcc_graph_metadata(g, "k6"), "new");
  assert_null(qcc_graph_metadata(g, "k7"));
  assert_int_equal(g->meta_count, 7);
  qcc_loc loc = qcc_node_loc(a->def);
  assert_string_equal(loc.op, "Add");
  done(cx, g);
}

static void naming(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  qcc_value *x = qcc_add_input(g, "x", NULL), *y = qcc_add_input(g, "x", NULL);
  assert_string_equal(y->name, "x_1");
  qcc_value *a = unary(g, QCC_OP_RELU, NULL, x), *b = unary(g, QCC_OP_RELU, NULL, a), *c = unary(g, QCC_OP_RELU, "", b);
  assert_string_equal(a->def->name, "Relu");
  assert_string_equal(b->def->name, "Relu_1");
  assert_string_equal(c->def->name, "");
  assert_string_equal(qcc_fresh_name(g, "Relu"), "Relu_3"); /* Relu_2 is the value behind the nameless node */
  assert_string_equal(qcc_fresh_name(g, "free"), "free");
  qcc_rename_value(a, "x");
  assert_string_equal(a->name, "x_2");
  assert_ptr_equal(qcc_find_value(g, a->name), a);
  assert_null(qcc_find_value(g, qcc_intern(cx, "Relu")));
  qcc_rename_value(a, "x_2");
  assert_string_equal(a->name, "x_2");
  qcc_swap_names(x, b);
  assert_string_equal(b->name, "x");
  assert_ptr_equal(qcc_find_value(g, qcc_intern(cx, "x")), b);
  qcc_rename_node(c->def, "named");
  assert_ptr_equal(qcc_find_node(g, qcc_intern(cx, "named")), c->def);
  qcc_rename_node(c->def, "");
  assert_null(qcc_find_node(g, qcc_intern(cx, "named")));
  good(g);
  qcc_node *s = qcc_add_opaque(g, NULL, "my.domain", "Thing", "s", (qcc_value *[]){x, NULL, y}, 3, 3);
  assert_string_equal(qcc_out(s, 2)->name, "s_2");
  assert_null(qcc_out(s, 3));
  assert_null(qcc_in(s, 1));
  assert_null(qcc_in(s, 9));
  good(g);
  done(cx, g);
}

static void edges(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  char text[256];
  qcc_value *x = qcc_add_input(g, "x", NULL), *y = qcc_add_input(g, "y", NULL);
  qcc_value *in[3] = {x, y, x};
  qcc_node *n = qcc_add_node(g, NULL, QCC_OP_CONCAT, "n", in, 3, 1);
  qcc_add_output(g, qcc_out(n, 0));
  for (uint32_t i = 3; i < 40; i++) { /* the edge array moves while it grows */
    qcc_set_input(n, i, i % 3 == 1 ? y : x);
    good(g);
  }
  assert_int_equal(n->in_count, 40);
  assert_int_equal(x->use_count, 27);
  qcc_set_input(n, 0, y);
  qcc_set_input(n, 5, NULL);
  assert_null(qcc_in(n, 5));
  good(g);
  qcc_replace_uses(y, x);
  assert_int_equal(y->use_count, 0);
  assert_int_equal(x->use_count, 39);
  good(g);
  qcc_value *r = unary(g, QCC_OP_RELU, "r", x), *z = qcc_out(n, 0);
  qcc_replace_value(z, r); /* an output: the name stays with the interface */
  assert_string_equal(g->outputs[0]->value->name, "n");
  assert_ptr_equal(g->outputs[0]->value, r);
  assert_string_equal(z->name, "r");
  good(g);
  qcc_replace_value(r, x); /* an input cannot be renamed: the output stays */
  assert_ptr_equal(g->outputs[0]->value, r);
  assert_int_equal(r->use_count, 1);
  assert_string_equal(users(r, text), "@0 ");
  qcc_add_output(g, x);
  assert_int_equal(qcc_erase_node(n), QCC_OK);
  assert_string_equal(users(x, text), "r:0 @1 ");
  assert_int_equal(qcc_erase_node(r->def), QCC_INTERNAL);
  assert_non_null(strstr(qcc_last_error(cx), "node \"r\""));
  good(g);
  done(cx, g);
}

static void constants(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  float data[300] = {1};
  qcc_value *c[10];
  for (int i = 0; i < 10; i++) c[i] = qcc_add_const_f32(g, "c", 1, (int64_t[]){300}, data);
  size_t full = qcc_context_live_bytes(cx);
  qcc_erase_const(c[3]);
  assert_int_equal(g->const_count, 9);
  assert_true(qcc_context_live_bytes(cx) + 1200 <= full); /* the bytes go at once */
  qcc_add_output(g, c[5]);
  qcc_erase_const(c[5]); /* used: stays */
  assert_int_equal(g->const_count, 9);
  assert_int_equal(qcc_erase_unused_consts(g), 8);
  assert_ptr_equal(g->consts[0], c[5]);
  assert_null(qcc_find_value(g, qcc_intern(cx, "c")));
  qcc_tensor t;
  qcc_type type = qcc_type_of(QCC_S8, 1, (int64_t[]){2});
  assert_int_equal(qcc_tensor_copy(&t, cx, &type, "ab"), QCC_OK);
  qcc_set_const(c[5], &t);
  assert_null(t.buf);
  assert_int_equal(c[5]->type.dtype, QCC_S8);
  assert_memory_equal(c[5]->data->data, "ab", 2);
  good(g);
  qcc_tensor borrowed = {.type = type, .data = "cd", .bytes = 2};
  qcc_value *v = qcc_add_const(g, "b", &borrowed);
  assert_true(v->data->buf != NULL);
  assert_memory_equal(v->data->data, "cd", 2);
  good(g);
  done(cx, g);
}

static void attributes(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  uint32_t count = 9;
  qcc_value *x = qcc_add_input(g, "x", NULL);
  qcc_node *n = qcc_add_node(g, NULL, QCC_OP_RELU, "n", &x, 1, 1), *m = qcc_add_node(g, NULL, QCC_OP_RELU, "m", &x, 1, 1);
  int64_t pads[] = {1, 2, 3};
  float alpha[] = {0.5f};
  qcc_bytes words[] = {{"a", 1}, {"b\0c", 3}};
  qcc_tensor t = {.type = qcc_type_of(QCC_U8, 1, (int64_t[]){2}), .data = "xy", .bytes = 2};
  qcc_attr_set_int(n, "axis", -1);
  qcc_attr_set_float(n, "alpha", 0.25f);
  qcc_attr_set_str(n, "mode", "linear!", 6);
  qcc_attr_set_ints(n, "pads", pads, 3);
  qcc_attr_set_floats(n, "scales", alpha, 1);
  qcc_attr_set_strs(n, "words", words, 2);
  qcc_attr_set_tensor(n, "value", &t);
  qcc_attr_set_tensors(n, "values", &t, 1);
  qcc_attr_set_opaque(n, "odd", "\1\2", 2);
  pads[0] = 99;
  qcc_attr_set_int(n, "axis", 2); /* replaces in place */
  assert_string_equal(n->attrs->name, "axis");
  qcc_attr_copy(m, n);
  for (int k = 0; k < 2; k++, n = m) {
    assert_int_equal(qcc_attr_int(n, "axis", 0), 2);
    assert_true(qcc_attr_float(n, "alpha", 0) == 0.25f);
    assert_string_equal(qcc_attr_str(n, "mode", ""), "linear");
    assert_int_equal(qcc_attr_ints(n, "pads", &count)[0], 1);
    assert_int_equal(count, 3);
    assert_true(qcc_attr_floats(n, "scales", &count)[0] == 0.5f && count == 1);
    assert_memory_equal(qcc_attr_find(n, "words")->strings[1].at, "b\0c", 4);
    assert_memory_equal(qcc_attr_tensor(n, "value")->data, "xy", 2);
    assert_memory_equal(qcc_attr_find(n, "values")->tensors[0].data, "xy", 2);
    assert_memory_equal(qcc_attr_find(n, "odd")->extra.bytes, "\1\2", 2);
  }
  assert_ptr_equal(qcc_attr_tensor(m, "value")->buf, qcc_attr_tensor(g->first, "value")->buf);
  assert_int_equal(qcc_attr_int(m, "mode", 7), 7); /* another kind */
  assert_null(qcc_attr_ints(m, "none", &count));
  assert_int_equal(count, 0);
  qcc_attr_remove(m, "axis");
  qcc_attr_remove(m, "none");
  assert_null(qcc_attr_find(m, "axis"));
  qcc_attr_set_str(m, "mode", qcc_attr_str(m, "mode", ""), 3); /* from its own old text */
  assert_string_equal(qcc_attr_str(m, "mode", ""), "lin");
  done(cx, g);
}

static void sorting(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  char text[256];
  qcc_value *x = qcc_add_input(g, "x", NULL), *none = NULL;
  qcc_node *d = qcc_add_node(g, NULL, QCC_OP_RELU, "d", &none, 1, 1), *c = qcc_add_node(g, NULL, QCC_OP_RELU, "c", &none, 1, 1);
  qcc_node *a = qcc_add_node(g, NULL, QCC_OP_RELU, "a", &x, 1, 1), *b = qcc_add_node(g, NULL, QCC_OP_RELU, "b", &x, 1, 1);
  assert_int_equal(qcc_sort_nodes(g), QCC_OK);
  assert_string_equal(order(g, text), "d c a b ");
  qcc_set_input(d, 0, qcc_out(b, 0));
  qcc_set_input(c, 0, qcc_out(d, 0));
  assert_int_not_equal(qcc_verify(g, QCC_INVALID), QCC_OK);
  assert_int_equal(qcc_sort_nodes(g), QCC_OK);
  assert_string_equal(order(g, text), "b d c a ");
  good(g);
  qcc_move_node(a, d);
  assert_string_equal(order(g, text), "b a d c ");
  good(g);
  qcc_set_input(b, 0, qcc_out(c, 0));
  assert_int_equal(qcc_sort_nodes(g), QCC_INVALID);
  assert_non_null(strstr(qcc_last_error(cx), "cycle"));
  done(cx, g);
}

/* if (c) { t = Relu(x); u = Add(t, k) } else { Identity(x) }, then Relu */
static qcc_node *add_if(qcc_graph *g, qcc_value *cond, qcc_value *x) {
  qcc_node *n = qcc_add_node(g, NULL, QCC_OP_IF, "branch", &cond, 1, 1);
  qcc_graph *yes = qcc_subgraph_new(g), *no = qcc_subgraph_new(g);
  qcc_value *k = yes ? qcc_add_const_f32(yes, "k", 0, NULL, (float[]){3}) : NULL;
  if (yes) qcc_add_output(yes, binary(yes, QCC_OP_ADD, "u", unary(yes, QCC_OP_RELU, "t", x), k));
  if (no) qcc_add_output(no, unary(no, QCC_OP_IDENTITY, "i", x));
  qcc_attr_set_int(n, "mark", 1);
  qcc_attr_set_graph(n, "then_branch", yes);
  qcc_attr_set_graph(n, "else_branch", no);
  return n;
}

/* A capture two graphs deep counts for the outermost node. */
static void sorting_captures(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  char text[256];
  qcc_type bit = qcc_type_of(QCC_BOOL, 0, NULL);
  qcc_value *c = qcc_add_input(g, "c", &bit), *x = qcc_add_input(g, "x", NULL);
  qcc_node *outer = add_if(g, c, x), *inner = add_if(qcc_attr_graph(outer, "else_branch"), c, x);
  qcc_value *late = unary(g, QCC_OP_RELU, "late", x);
  qcc_graph *deep = qcc_attr_graph(inner, "then_branch");
  qcc_set_input(deep->first, 0, late);
  assert_int_equal(qcc_verify(g, QCC_INVALID), QCC_INVALID);
  assert_int_equal(qcc_sort_nodes(g), QCC_OK);
  assert_string_equal(order(g, text), "late branch ");
  good(g);
  qcc_set_use(deep->outputs[0], late); /* an edge of a list of outputs counts too */
  qcc_move_node(late->def, NULL);
  qcc_set_input(deep->first, 0, x);
  assert_int_equal(qcc_sort_nodes(g), QCC_OK);
  assert_string_equal(order(g, text), "late branch ");
  good(g);
  done(cx, g);
}

static qcc_graph *module(qcc_context *cx) {
  qcc_graph *g = NULL;
  if (qcc_graph_new(&g, cx) != QCC_OK) return NULL;
  qcc_type bit = qcc_type_of(QCC_BOOL, 0, NULL);
  qcc_value *c = qcc_add_input(g, "c", &bit), *x = unary(g, QCC_OP_RELU, "x", qcc_add_input(g, "in", NULL));
  qcc_node *n = add_if(g, c, x);
  qcc_add_output(g, unary(g, QCC_OP_RELU, "last", qcc_out(n, 0)));
  qcc_add_output(g, x);
  return g;
}

static qcc_status count_graphs(qcc_graph *g, void *user) {
  int *n = user;
  *n += 1;
  return g->owner && *n == 3 ? QCC_GOAL : QCC_OK;
}

static void subgraphs(void **state) {
  (void)state;
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  qcc_graph *g = module(cx);
  char text[256];
  good(g);
  qcc_value *x = qcc_find_value(g, qcc_intern(cx, "x"));
  assert_string_equal(users(x, text), "t:0 i:0 @1 ");
  int n = 0;
  assert_int_equal(qcc_graph_walk(g, count_graphs, &n), QCC_GOAL);
  assert_int_equal(n, 3);
  qcc_node *branch = qcc_find_node(g, qcc_intern(cx, "branch"));
  /* moved in front of what its branches use: the sorter sees captures, the verifier too */
  qcc_move_node(branch, g->first);
  assert_int_equal(qcc_verify(g, QCC_INVALID), QCC_INVALID);
  assert_non_null(strstr(qcc_last_error(cx), "before it is made"));
  assert_int_equal(qcc_sort_nodes(g), QCC_OK);
  assert_string_equal(order(g, text), "x branch last ");
  good(g);
  /* a value of one branch is not visible in the other */
  qcc_node *i = qcc_find_node(g, qcc_intern(cx, "i"));
  qcc_set_input(i, 0, qcc_find_value(g, qcc_intern(cx, "t")));
  assert_int_equal(qcc_verify(g, QCC_INTERNAL), QCC_INTERNAL);
  assert_non_null(strstr(qcc_last_error(cx), "not visible"));
  qcc_set_input(i, 0, x);
  good(g);
  /* copying the attributes copies the graphs, with the same captures and new names */
  qcc_value *c = qcc_find_value(g, qcc_intern(cx, "c"));
  qcc_node *again = qcc_add_node(g, branch->next, QCC_OP_IF, "again", &c, 1, 1);
  qcc_attr_copy(again, branch);
  good(g);
  assert_string_equal(users(x, text), "t:0 @1 i:0 t_1:0 i_1:0 ");
  assert_string_equal(again->attrs->next->name, "then_branch");
  assert_ptr_equal(qcc_attr_graph(again, "then_branch")->consts[0]->data->buf, qcc_attr_graph(branch, "then_branch")->consts[0]->data->buf);
  /* erasing the node takes all that away */
  assert_int_equal(qcc_erase_node(again), QCC_OK);
  assert_string_equal(users(x, text), "t:0 @1 i:0 ");
  assert_null(qcc_find_value(g, qcc_intern(cx, "t_1")));
  good(g);
  qcc_node *second = add_if(g, qcc_find_value(g, qcc_intern(cx, "c")), x);
  qcc_value *cond = second->in[0].value;
  assert_int_equal(qcc_erase_node(add_if(qcc_attr_graph(second, "then_branch"), cond, x)), QCC_OK);
  add_if(qcc_attr_graph(second, "then_branch"), cond, x);
  good(g);
  n = 4; /* past the stop: all graphs of both nodes, and of the one inside */
  assert_int_equal(qcc_graph_walk(g, count_graphs, &n), QCC_OK);
  assert_int_equal(n, 4 + 7);
  assert_int_equal(qcc_erase_node(second), QCC_OK);
  qcc_attr_remove(branch, "then_branch");
  assert_string_equal(users(x, text), "@1 i:0 ");
  qcc_graph_free(g);
  qcc_context_free(cx);
}

static void compare(const qcc_graph *a, const qcc_graph *b) {
  const qcc_node *n = b->first;
  assert_int_equal(a->node_count, b->node_count);
  QCC_FOR_NODES(m, a) {
    assert_ptr_not_equal(m, n);
    assert_ptr_equal(m->name, n->name);
    assert_int_equal(m->op, n->op);
    for (uint32_t i = 0; i < m->in_count; i++) assert_ptr_equal(m->in[i].value->name, n->in[i].value->name);
    for (uint32_t i = 0; i < m->out_count; i++) {
      char left[256], right[256];
      assert_ptr_equal(m->out[i]->name, n->out[i]->name);
      assert_string_equal(users(m->out[i], left), users(n->out[i], right));
    }
    const qcc_attr *q = n->attrs;
    for (const qcc_attr *p = m->attrs; p; p = p->next, q = q->next) {
      assert_ptr_equal(p->name, q->name);
      if (p->kind == QCC_ATTR_GRAPH) compare(p->g, q->g);
    }
    assert_null(q);
    n = n->next;
  }
}

static void clones(void **state) {
  (void)state;
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  qcc_graph *g = module(cx), *h = NULL, *k = NULL;
  g->file = qcc_intern(cx, "m.onnx");
  g->model_extra = (qcc_extra){(const uint8_t *)"zz", 2};
  assert_int_equal(qcc_graph_set_metadata(g, "k", "v"), QCC_OK);
  assert_int_equal(qcc_graph_set_opset(g, "com.microsoft", 1), QCC_OK);
  qcc_value *x = qcc_find_value(g, qcc_intern(cx, "x"));
  x->type = qcc_type_of(QCC_F32, 1, (int64_t[]){4});
  for (int i = 0; i < 5; i++) { /* holes in the numbers */
    qcc_value *v = qcc_add_const_f32(g, "gone", 0, NULL, (float[]){1});
    qcc_node *n = qcc_add_node(g, NULL, QCC_OP_RELU, "gone", &v, 1, 1);
    assert_int_equal(qcc_erase_node(n), QCC_OK);
    qcc_erase_const(v);
  }
  assert_int_equal(qcc_graph_clone(&h, g), QCC_OK);
  good(h);
  compare(g, h);
  assert_int_equal(h->next_node_id, 6);
  assert_int_equal(h->next_value_id, 9);
  assert_string_equal(h->file, "m.onnx");
  assert_memory_equal(h->model_extra.bytes, "zz", 2);
  assert_string_equal(qcc_graph_metadata(h, "k"), "v");
  assert_int_equal(qcc_graph_opset(h, "com.microsoft"), 1);
  assert_true(qcc_type_equal(&qcc_find_value(h, x->name)->type, &x->type));
  qcc_graph_free(g); /* the clone stands alone */
  good(h);
  assert_int_equal(qcc_graph_clone(&k, h), QCC_OK);
  compare(h, k);
  assert_int_equal(qcc_graph_clone(&g, qcc_attr_graph(qcc_find_node(h, qcc_intern(cx, "branch")), "then_branch")), QCC_INTERNAL);
  qcc_graph_free(h);
  qcc_graph_free(k);
  qcc_graph_free(NULL);
  qcc_context_free(cx);
}

static void clones_share_weights(void **state) {
  (void)state;
  qcc_graph *g = NULL, *h = NULL;
  qcc_context *cx = make(&g);
  qcc_tensor t;
  qcc_type type = qcc_type_of(QCC_F32, 1, (int64_t[]){1000000});
  assert_int_equal(qcc_tensor_new(&t, cx, &type), QCC_OK);
  memset(qcc_tensor_mut(&t), 0, t.bytes);
  qcc_add_output(g, qcc_add_const(g, "w", &t));
  size_t before = qcc_context_live_bytes(cx);
  assert_int_equal(qcc_graph_clone(&h, g), QCC_OK);
  assert_true(qcc_context_live_bytes(cx) - before < 50000);
  qcc_graph_free(h);
  assert_int_equal(qcc_context_live_bytes(cx), before);
  done(cx, g);
}

static void origins(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  qcc_value *x = qcc_add_input(g, "x", NULL);
  qcc_node *a = unary(g, QCC_OP_RELU, "a", x)->def, *b = unary(g, QCC_OP_RELU, "b", x)->def, *c = unary(g, QCC_OP_RELU, "c", x)->def;
  qcc_add_origin(c, a);
  qcc_add_origin(c, b);
  qcc_add_origin(c, a);
  assert_string_equal(c->origin, "a,b");
  qcc_node *d = unary(g, QCC_OP_RELU, "d", x)->def;
  qcc_add_origin(d, b);
  qcc_add_origin(d, c);
  assert_string_equal(d->origin, "b,a");
  done(cx, g);
}

/* Damage that only the verifier can see. */
static void verifying(void **state) {
  (void)state;
  qcc_graph *g = NULL;
  qcc_context *cx = make(&g);
  qcc_value *x = qcc_add_input(g, "x", NULL), *w = qcc_add_const_f32(g, "w", 1, (int64_t[]){3}, (float[]){1, 2, 3});
  qcc_value *a = binary(g, QCC_OP_ADD, "a", x, w), *b = binary(g, QCC_OP_ADD, "b", a, w);
  qcc_add_output(g, b);
  good(g);
#define DAMAGE(lhs, value, text)                                               \
  do {                                                                         \
    __typeof__(lhs) kept_ = lhs;                                               \
    lhs = value;                                                               \
    assert_int_equal(qcc_verify(g, QCC_INVALID), QCC_INVALID);                 \
    if (!strstr(qcc_last_error(cx), text)) fail_msg("%s", qcc_last_error(cx)); \
    lhs = kept_;                                                               \
    good(g);                                                                   \
  } while (0)
  DAMAGE(a->use_count, 2, "its count says 2");
  DAMAGE(b->output_uses, 0, "1 graph outputs show");
  DAMAGE(a->def_index, 1, "does not know its node");
  DAMAGE(a->def->in[0].value, NULL, "belongs elsewhere");
  DAMAGE(a->def->in[1].index, 0, "belongs elsewhere");
  DAMAGE(w->uses->next->prev, NULL, "broken");
  DAMAGE(w->type.dim[0], 4, "differs from its data");
  DAMAGE(x->type.dtype, (qcc_dtype)77, "impossible type");
  DAMAGE(b->name, a->name, "name of a value");
  DAMAGE(b->id, a->id, "number is used twice");
  DAMAGE(b->graph, NULL, "does not own it");
  DAMAGE(g->node_count, 3, "its count says 3");
  DAMAGE(g->outputs[0]->index, 4, "belongs elsewhere");
  DAMAGE(g->last->in_count, 1, "belongs elsewhere");
  DAMAGE(g->first->op_type, "Sub", "differs from its row");
  DAMAGE(g->last->name, g->first->name, "name of a node");
  qcc_set_input(a->def, 2, w);
  assert_int_equal(qcc_verify(g, QCC_INVALID), QCC_INVALID);
  assert_non_null(strstr(qcc_last_error(cx), "3 inputs; the operator takes at most 2"));
  qcc_set_input(a->def, 2, NULL);
  qcc_set_input(a->def, 1, NULL);
  assert_int_equal(qcc_verify(g, QCC_INVALID), QCC_INVALID);
  done(cx, g);
}

static qcc_status build_and_clone(qcc_context *cx, void *user) {
  (void)user;
  qcc_graph *g = module(cx), *h = NULL;
  if (!g) return QCC_NOMEM;
  qcc_status status = qcc_graph_status(g);
  qcc_node *branch = status == QCC_OK ? qcc_find_node(g, qcc_intern(cx, "branch")) : NULL;
  if (branch) {
    qcc_node *again = qcc_add_node(g, branch, QCC_OP_IF, NULL, &branch->in[0].value, 1, 1);
    if (again) qcc_attr_copy(again, branch);
    for (uint32_t i = 1; i < 9; i++) qcc_set_input(again, i, branch->in[0].value);
    qcc_add_origin(again, branch);
    qcc_rename_value(branch->out[0], "renamed");
    status = qcc_graph_status(g);
    if (status == QCC_OK) status = qcc_erase_node(again);
  }
  if (status == QCC_OK) status = qcc_sort_nodes(g);
  if (status == QCC_OK) status = qcc_graph_clone(&h, g);
  if (status == QCC_OK) status = qcc_verify(h, QCC_INTERNAL);
  qcc_graph_free(h);
  qcc_graph_free(g);
  return status;
}

static void failures(void **state) {
  (void)state;
  assert_true(oom_sweep(build_and_clone, NULL, 1, 0) > 30);
}

static void after_failure(void **state) {
  (void)state;
  oom o = {0};
  qcc_host host = {.alloc = {oom_resize, &o}};
  qcc_context *cx = NULL;
  qcc_graph *g = NULL;
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  assert_int_equal(qcc_graph_new(&g, cx), QCC_OK);
  o.fail_at = o.calls + 1;
  o.forever = true;
  qcc_value *x = qcc_add_input(g, "x", NULL);
  for (int i = 0; i < 2000 && !qcc_graph_failed(g); i++) x = unary(g, QCC_OP_RELU, "r", x);
  assert_int_equal(qcc_graph_status(g), QCC_NOMEM);
  o.fail_at = 0; /* memory is back: the graph stays failed, and nothing touches it */
  assert_null(unary(g, QCC_OP_RELU, "r", x));
  assert_null(qcc_add_input(g, "y", NULL));
  assert_null(qcc_subgraph_new(g));
  qcc_tensor t;
  qcc_type type = qcc_type_of(QCC_F32, 0, NULL);
  assert_int_equal(qcc_tensor_new(&t, cx, &type), QCC_OK);
  assert_null(qcc_add_const(g, "c", &t)); /* the buffer is taken over */
  qcc_attr_set_int(NULL, "a", 1);
  qcc_add_output(g, NULL);
  qcc_set_input(NULL, 0, NULL);
  qcc_replace_value(NULL, NULL);
  assert_int_equal(qcc_erase_node(NULL), QCC_OK);
  qcc_graph *h = NULL;
  assert_int_equal(qcc_graph_clone(&h, g), QCC_NOMEM);
  qcc_graph_free(g);
  qcc_context_free(cx);
  assert_int_equal(o.live, 0);
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* Linear in nodes: names, use lists of 10^5 members, sorting a reversed chain, cloning, freeing. */
static void size(void **state) {
  (void)state;
  enum { N = 100000 };
  qcc_graph *g = NULL, *h = NULL;
  qcc_context *cx = make(&g);
  double start = seconds();
  qcc_value *x = qcc_add_input(g, "x", NULL), *v = x;
  for (int i = 0; i < N; i++) v = unary(g, QCC_OP_IDENTITY, NULL, v);
  qcc_add_output(g, v);
  double built = seconds();
  for (qcc_node *n = g->last, *prev; n; n = prev) {
    prev = n->prev;
    qcc_move_node(n, NULL);
  }
  assert_int_equal(qcc_sort_nodes(g), QCC_OK);
  good(g);
  double sorted = seconds();
  QCC_FOR_NODES(n, g) qcc_set_input(n, 0, x);
  qcc_value *y = qcc_add_input(g, "y", NULL);
  qcc_replace_uses(x, y);
  assert_int_equal(y->use_count, N);
  assert_int_equal(qcc_graph_clone(&h, g), QCC_OK);
  good(h);
  double cloned = seconds();
  qcc_graph_free(h);
  done(cx, g);
  double end = seconds();
  print_message("10^5 nodes: build %.3f, sort and verify %.3f, rewire and clone %.3f, free %.3f s\n", built - start, sorted - built,
                cloned - sorted, end - cloned);
  assert_true(end - start < 10); /* quadratic would be minutes, sanitizers included */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(building),
      cmocka_unit_test(naming),
      cmocka_unit_test(edges),
      cmocka_unit_test(constants),
      cmocka_unit_test(attributes),
      cmocka_unit_test(sorting),
      cmocka_unit_test(sorting_captures),
      cmocka_unit_test(subgraphs),
      cmocka_unit_test(clones),
      cmocka_unit_test(clones_share_weights),
      cmocka_unit_test(origins),
      cmocka_unit_test(verifying),
      cmocka_unit_test(failures),
      cmocka_unit_test(after_failure),
      cmocka_unit_test(size),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
