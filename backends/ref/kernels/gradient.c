/* SPDX-License-Identifier: Apache-2.0
 * Gradient: the nodes between the named inputs and y run once forward on the given values, then the chain rule runs over them backward, in
 * double. Tables say which operators have a derivative; any other on the way is refused. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/run.h"

typedef struct unary_rule {
  qcc_op op;
  double (*slope)(double x, double y);
} unary_rule;

typedef struct binary_rule {
  qcc_op op;
  double (*left)(double a, double b), (*right)(double a, double b);
} binary_rule;

static double one(double x, double y) { return (void)x, (void)y, 1; }
static double minus_one(double x, double y) { return (void)x, (void)y, -1; }
static double first(double x, double y) { return (void)y, x; }
static double second(double x, double y) { return (void)x, y; }
static double inverse(double x, double y) { return (void)x, 1 / y; }
static double inverse_first(double x, double y) { return (void)y, 1 / x; }
static double div_right(double x, double y) { return -x / (y * y); }
static double sqrt_slope(double x, double y) { return (void)x, 0.5 / y; }
static double tanh_slope(double x, double y) { return (void)x, 1 - y * y; }
static double sigmoid_slope(double x, double y) { return (void)x, y * (1 - y); }
static double relu_slope(double x, double y) { return (void)y, x > 0; }

static const unary_rule unary_rules[] = {{QCC_OP_IDENTITY, one},          {QCC_OP_NEG, minus_one},   {QCC_OP_EXP, second},
                                         {QCC_OP_LOG, inverse_first},     {QCC_OP_SQRT, sqrt_slope}, {QCC_OP_TANH, tanh_slope},
                                         {QCC_OP_SIGMOID, sigmoid_slope}, {QCC_OP_RELU, relu_slope}};
static const binary_rule binary_rules[] = {
    {QCC_OP_ADD, one, one}, {QCC_OP_SUB, one, minus_one}, {QCC_OP_MUL, second, first}, {QCC_OP_DIV, inverse, div_right}};

typedef struct tape {
  qcc_kargs *k;
  const qcc_graph *g;
  qcc_tensor *value; /* by value id; buf set: made here */
  double **slope;    /* by value id: derivative of y; NULL: none yet */
  bool *needed, *bound;
} tape;

static const qcc_value *find_value(const qcc_graph *g, const char *name) {
  QCC_FOR_NODES(n, g)
  for (uint32_t i = 0; i < n->out_count; ++i)
    if (n->out[i] && !strcmp(n->out[i]->name, name)) return n->out[i];
  for (uint32_t i = 0; i < g->input_count; ++i)
    if (!strcmp(g->inputs[i]->name, name)) return g->inputs[i];
  for (uint32_t i = 0; i < g->const_count; ++i)
    if (!strcmp(g->consts[i]->name, name)) return g->consts[i];
  return NULL;
}

/* The names in attribute `attr` stand for inputs from `at` on. */
static qcc_status bind(tape *t, const char *attr, uint32_t *at) {
  const qcc_attr *a = qcc_attr_find(t->k->node, attr);
  for (uint32_t i = 0; a && a->kind == QCC_ATTR_STRINGS && i < a->count; ++i, ++*at) {
    const qcc_value *v = find_value(t->g, a->strings[i].at);
    if (!v || *at >= t->k->in_count || !t->k->in[*at])
      return qcc_kx_fail(t->k, QCC_DATA, "D-284", "%s names \"%.128s\", which is no tensor of the graph with an input", attr,
                         a->strings[i].at);
    t->value[v->id] = *t->k->in[*at];
    t->value[v->id].buf = NULL;
    t->bound[v->id] = true;
  }
  return QCC_OK;
}

static qcc_status read_given(tape *t, const qcc_value *v) {
  if (!v || t->bound[v->id] || v->def) return QCC_OK;
  const qcc_tensor *c = v->data ? v->data : NULL;
  if (!c) return qcc_kx_fail(t->k, QCC_DATA, "D-285", "y depends on \"%.128s\", which is neither in xs nor in zs", v->name);
  t->value[v->id] = *c;
  t->value[v->id].buf = NULL;
  t->bound[v->id] = true;
  return QCC_OK;
}

/* Which nodes lead from the bound values to y. */
static qcc_status mark(tape *t, const qcc_value *y) {
  t->needed[y->id] = true;
  for (const qcc_node *n = t->g->last; n; n = n->prev) {
    bool wanted = false;
    for (uint32_t i = 0; i < n->out_count; ++i) wanted |= n->out[i] && t->needed[n->out[i]->id] && !t->bound[n->out[i]->id];
    for (uint32_t i = 0; wanted && i < n->in_count; ++i) {
      if (!n->in[i].value) continue;
      t->needed[n->in[i].value->id] = true;
      QCC_TRY(read_given(t, n->in[i].value));
    }
  }
  return QCC_OK;
}

static bool runs(const tape *t, const qcc_node *n) {
  return n->out_count == 1 && n->out[0] && t->needed[n->out[0]->id] && !t->bound[n->out[0]->id];
}

static const unary_rule *unary_of(const qcc_node *n) {
  for (size_t i = 0; i < sizeof unary_rules / sizeof unary_rules[0]; ++i)
    if (unary_rules[i].op == n->op) return &unary_rules[i];
  return NULL;
}

static const binary_rule *binary_of(const qcc_node *n) {
  for (size_t i = 0; i < sizeof binary_rules / sizeof binary_rules[0]; ++i)
    if (binary_rules[i].op == n->op) return &binary_rules[i];
  return NULL;
}

static qcc_status forward(tape *t) {
  QCC_FOR_NODES(n, t->g) {
    const qcc_tensor *in[2] = {NULL};
    if (!runs(t, n)) continue;
    if ((!unary_of(n) && !binary_of(n)) || n->in_count > 2)
      return qcc_kx_fail(t->k, QCC_UNSUPPORTED, "U-286", "the runtime has no derivative of %s", n->op_type);
    for (uint32_t i = 0; i < n->in_count; ++i) in[i] = n->in[i].value ? &t->value[n->in[i].value->id] : NULL;
    QCC_TRY(qcc_node_run(t->k->worker, n, qcc_kernel_of(n->op), in, NULL, &t->value[n->out[0]->id]));
  }
  return QCC_OK;
}

/* ---- backward */
static double *slope_of(tape *t, const qcc_value *v) {
  double **s = &t->slope[v->id];
  const size_t n = (size_t)qcc_tensor_count(&t->value[v->id]);
  if (*s) return *s;
  *s = qcc_kscratch(t->k, (n + 1) * sizeof **s);
  if (*s) memset(*s, 0, (n + 1) * sizeof **s);
  return *s;
}

/* Element of an operand that element `i` of the broadcast result comes from. */
static int64_t source_of(const qcc_type *out, const qcc_type *in, int64_t i) {
  int64_t at = 0, step = 1;
  for (int d = 1; d <= in->rank; ++d) {
    const int64_t n = in->dim[in->rank - d], p = i % out->dim[out->rank - d];
    if (n > 1) at += p * step;
    i /= out->dim[out->rank - d];
    step *= n;
  }
  return at;
}

static qcc_status backward_node(tape *t, const qcc_node *n) {
  const double *from = t->slope[n->out[0]->id];
  const qcc_tensor *y = &t->value[n->out[0]->id], *a = &t->value[n->in[0].value->id];
  const qcc_tensor *b = n->in_count > 1 ? &t->value[n->in[1].value->id] : NULL;
  double *to = slope_of(t, n->in[0].value), *also = b ? slope_of(t, n->in[1].value) : NULL;
  const unary_rule *u = unary_of(n);
  const binary_rule *r = binary_of(n);
  if (!to || (b && !also)) return QCC_NOMEM;
  for (int64_t i = 0, all = qcc_tensor_count(y); i < all; ++i) {
    if (u) {
      to[i] += from[i] * u->slope(qcc_tensor_get(a, i), qcc_tensor_get(y, i));
      continue;
    }
    const int64_t p = source_of(&y->type, &a->type, i), q = source_of(&y->type, &b->type, i);
    const double v = qcc_tensor_get(a, p), w = qcc_tensor_get(b, q);
    to[p] += from[i] * r->left(v, w);
    also[q] += from[i] * r->right(v, w);
  }
  return QCC_OK;
}

static qcc_status backward(tape *t, const qcc_value *y) {
  double *start = slope_of(t, y);
  if (!start) return QCC_NOMEM;
  for (int64_t i = 0, n = qcc_tensor_count(&t->value[y->id]); i < n; ++i) start[i] = 1;
  for (const qcc_node *n = t->g->last; n; n = n->prev)
    if (runs(t, n) && t->slope[n->out[0]->id]) QCC_TRY(backward_node(t, n));
  return QCC_OK;
}

static qcc_status differentiate(tape *t) {
  qcc_kargs *k = t->k;
  const char *name = qcc_attr_str(k->node, "y", "");
  const qcc_attr *xs = qcc_attr_find(k->node, "xs");
  const qcc_value *y = find_value(t->g, name);
  uint32_t at = 0;
  if (!y || !xs || xs->kind != QCC_ATTR_STRINGS || xs->count < k->out_count)
    return qcc_kx_fail(k, QCC_DATA, "D-287", "y \"%.128s\" is no tensor of the graph, or xs has fewer names than there are outputs", name);
  QCC_TRY(bind(t, "xs", &at));
  QCC_TRY(bind(t, "zs", &at));
  QCC_TRY(read_given(t, y));
  QCC_TRY(mark(t, y));
  QCC_TRY(forward(t));
  QCC_TRY(backward(t, y));
  for (uint32_t i = 0; i < k->out_count; ++i) {
    const qcc_tensor *x = k->in[i];
    const double *s = t->slope[find_value(t->g, xs->strings[i].at)->id];
    void *to;
    if (!qcc_kx_is_float(x->type.dtype)) return qcc_kx_no_type(k, x->type.dtype);
    QCC_TRY(qcc_kx_out(k, i, &x->type, &to));
    for (int64_t j = 0, n = to ? qcc_tensor_count(x) : 0; j < n; ++j) qcc_kx_put(x->type.dtype, to, j, s ? s[j] : 0);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_gradient(qcc_kargs *k) {
  const size_t n = (size_t)k->node->graph->root->next_value_id + 1;
  tape t = {.k = k, .g = k->node->graph};
  t.value = qcc_kscratch(k, n * sizeof *t.value);
  t.slope = qcc_kscratch(k, n * sizeof *t.slope);
  t.needed = qcc_kscratch(k, n);
  t.bound = qcc_kscratch(k, n);
  if (!t.value || !t.slope || !t.needed || !t.bound) return QCC_NOMEM;
  memset(t.value, 0, n * sizeof *t.value);
  memset(t.slope, 0, n * sizeof *t.slope);
  memset(t.needed, 0, n);
  memset(t.bound, 0, n);
  qcc_status st = differentiate(&t);
  for (size_t i = 0; i < n; ++i)
    if (t.value[i].buf) qcc_tensor_release(&t.value[i]);
  return st;
}
