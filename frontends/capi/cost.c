/* SPDX-License-Identifier: Apache-2.0
 * qcc_measure_costs: networks of one operator, float and in 8 bit, run on ONNX Runtime; what its kernels took at their fastest becomes the
 * table of a capability file. Sizes go in coarse steps: times per unit change slowly between them (strategy/cost.h). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "backends/ort/ort.h"
#include "frontends/capi/model.h"
#include "frontends/data/data.h"
#include "ir/check.h"
#include "ir/support/vec.h"
#include "strategy/cost.h"

/* The table is gone through several times: whatever disturbs a machine is not there always. */
enum { LEAST_RUNS = 16, MOST_RUNS = 256, TURNS = 3 };
static const double seconds_of_a_point = 0.01, most_macs = 4e7, most_elements = 1e6;

typedef struct trial { /* one network */
  qcc_cost_kind kind;
  int64_t in, out, side, stride; /* channels; width and height, or rows of a matrix */
  bool q8;
} trial;

typedef struct point { /* of the table: the least of what was measured */
  qcc_cost_place place;
  double seconds[2];
} point;

typedef struct measuring {
  qcc_context *cx;
  const char *library;
  QCC_VEC(point) points;
  size_t next; /* to be measured in this turn */
  int turn;    /* 0: only list them */
} measuring;

/* ---- one network */

typedef struct net {
  qcc_graph *g;
  const trial *t;
} net;

static qcc_value *scalar(net *n, qcc_dtype dtype, double x) {
  qcc_type type = qcc_type_of(dtype, 0, NULL);
  qcc_tensor t;
  if (qcc_tensor_new(&t, n->g->cx, &type) != QCC_OK) return NULL;
  qcc_tensor_set(&t, 0, x);
  return qcc_add_const(n->g, NULL, &t);
}

/* Zero point 0: the activation of a convolution is part of it then. */
static qcc_value *quantize(net *n, qcc_value *x) {
  qcc_value *in[3] = {x, scalar(n, QCC_F32, 0.05), scalar(n, QCC_U8, 0)};
  return qcc_out(qcc_add_node(n->g, NULL, QCC_OP_QUANTIZE_LINEAR, NULL, in, 3, 1), 0);
}

static qcc_value *dequantize(net *n, qcc_value *x) {
  qcc_value *in[3] = {x, scalar(n, QCC_F32, 0.05), scalar(n, QCC_U8, 0)};
  return qcc_out(qcc_add_node(n->g, NULL, QCC_OP_DEQUANTIZE_LINEAR, NULL, in, 3, 1), 0);
}

static qcc_value *around(net *n, qcc_value *x) { return n->t->q8 ? dequantize(n, quantize(n, x)) : x; }

/* Values that are not all alike, the same on every machine. */
static qcc_value *weight_codes(net *n, int rank, const int64_t *dims) {
  qcc_type type = qcc_type_of(n->t->q8 ? QCC_S8 : QCC_F32, rank, dims);
  qcc_tensor t;
  if (qcc_tensor_new(&t, n->g->cx, &type) != QCC_OK) return NULL;
  for (int64_t i = 0, count = qcc_tensor_count(&t); i < count; i++) {
    const double code = (double)(i * 37 % 127 - 63);
    qcc_tensor_set(&t, i, n->t->q8 ? code : 0.002 * code);
  }
  return qcc_add_const(n->g, "w", &t);
}

static qcc_value *weight(net *n, int rank, const int64_t *dims) {
  qcc_value *w = weight_codes(n, rank, dims);
  if (!n->t->q8 || !w) return w;
  qcc_value *in[3] = {w, scalar(n, QCC_F32, 0.002), scalar(n, QCC_S8, 0)};
  return qcc_out(qcc_add_node(n->g, NULL, QCC_OP_DEQUANTIZE_LINEAR, NULL, in, 3, 1), 0);
}

static bool is_product(const trial *t) { return t->kind == QCC_COST_GEMM || t->kind == QCC_COST_DYNAMIC; }

static qcc_value *input(net *n, const char *name, int64_t channels) {
  const int64_t dims[4] = {1, channels, n->t->side, n->t->side}, matrix[2] = {n->t->side, channels};
  qcc_type type = is_product(n->t) ? qcc_type_of(QCC_F32, 2, matrix) : qcc_type_of(QCC_F32, 4, dims);
  if (n->t->kind == QCC_COST_DEQUANTIZE) type.dtype = QCC_U8;
  return qcc_add_input(n->g, name, &type);
}

static qcc_node *conv(net *n, const char *x, int64_t side, int64_t group) {
  const int64_t dims[4] = {n->t->out, n->t->in / group, side, side}, pads[4] = {side / 2, side / 2, side / 2, side / 2};
  const int64_t strides[2] = {n->t->stride, n->t->stride};
  qcc_value *in[2] = {around(n, input(n, x, n->t->in)), weight(n, 4, dims)};
  qcc_node *node = qcc_add_node(n->g, NULL, QCC_OP_CONV, NULL, in, 2, 1);
  if (!node) return NULL;
  qcc_attr_set_ints(node, "pads", pads, 4);
  qcc_attr_set_ints(node, "strides", strides, 2);
  qcc_attr_set_int(node, "group", group);
  return node;
}

static qcc_node *gemm(net *n) {
  const int64_t dims[2] = {n->t->in, n->t->out};
  qcc_value *in[2] = {around(n, input(n, "x", n->t->in)), weight(n, 2, dims)};
  return qcc_add_node(n->g, NULL, QCC_OP_MATMUL, NULL, in, 2, 1);
}

/* As rewrite-qdq writes products on run-time ranges. */
static qcc_node *dynamic(net *n) {
  if (!n->t->q8) return gemm(n);
  const int64_t dims[2] = {n->t->in, n->t->out};
  qcc_value *x = input(n, "x", n->t->in);
  qcc_node *codes = qcc_add_node(n->g, NULL, QCC_OP_DYNAMIC_QUANTIZE_LINEAR, NULL, &x, 1, 3);
  qcc_value *w = weight_codes(n, 2, dims);
  if (!codes || !w) return NULL;
  qcc_value *in[4] = {codes->out[0], w, codes->out[2], scalar(n, QCC_S8, 0)};
  qcc_node *product = qcc_add_node(n->g, NULL, QCC_OP_MATMUL_INTEGER, NULL, in, 4, 1);
  qcc_value *sum = qcc_out(product, 0);
  qcc_node *cast = qcc_add_node(n->g, NULL, QCC_OP_CAST, NULL, &sum, 1, 1);
  if (cast) qcc_attr_set_int(cast, "to", QCC_F32);
  qcc_value *scales[2] = {codes->out[1], scalar(n, QCC_F32, 0.002)};
  qcc_value *scaled[2] = {qcc_out(cast, 0), qcc_out(qcc_add_node(n->g, NULL, QCC_OP_MUL, NULL, scales, 2, 1), 0)};
  return qcc_add_node(n->g, NULL, QCC_OP_MUL, NULL, scaled, 2, 1);
}

/* What comes from a convolution is in the layout of the kernels that follow. */
static qcc_value *convolved(net *n, const char *x) { return around(n, qcc_out(conv(n, x, 1, 1), 0)); }

static qcc_node *binary(net *n, qcc_op op, bool behind_conv) {
  qcc_value *in[2];
  for (int k = 0; k < 2; k++) {
    const char *name = k ? "y" : "x";
    in[k] = behind_conv ? convolved(n, name) : around(n, input(n, name, n->t->in));
  }
  qcc_node *node = qcc_add_node(n->g, NULL, op, NULL, in, 2, 1);
  if (node && op == QCC_OP_CONCAT) qcc_attr_set_int(node, "axis", 1);
  return node;
}

static qcc_node *unary(net *n, qcc_op op) {
  qcc_value *x = convolved(n, "x");
  return qcc_add_node(n->g, NULL, op, NULL, &x, 1, 1);
}

static qcc_node *silu(net *n) {
  qcc_value *x = convolved(n, "x"), *gate = qcc_out(qcc_add_node(n->g, NULL, QCC_OP_SIGMOID, NULL, &x, 1, 1), 0);
  qcc_value *in[2] = {x, around(n, gate)};
  return qcc_add_node(n->g, NULL, QCC_OP_MUL, NULL, in, 2, 1);
}

static qcc_node *pool(net *n, qcc_op op) {
  const int64_t two[2] = {2, 2}, three[2] = {3, 3};
  qcc_node *node = unary(n, op);
  if (node) qcc_attr_set_ints(node, "kernel_shape", op == QCC_OP_MAX_POOL ? three : two, 2), qcc_attr_set_ints(node, "strides", two, 2);
  return node;
}

static qcc_node *resize(net *n) {
  const float scales[4] = {1, 1, 2, 2};
  qcc_value *in[3] = {convolved(n, "x"), NULL, qcc_add_const_f32(n->g, NULL, 1, (int64_t[]){4}, scales)};
  return qcc_add_node(n->g, NULL, QCC_OP_RESIZE, NULL, in, 3, 1);
}

static qcc_node *border(net *n) {
  qcc_value *x = input(n, "x", n->t->in), *y = n->t->kind == QCC_COST_QUANTIZE ? quantize(n, x) : dequantize(n, x);
  return y ? y->def : NULL;
}

static qcc_node *measured_node(net *n) {
  switch (n->t->kind) {
    case QCC_COST_CONV: return conv(n, "x", 3, 1);
    case QCC_COST_LAYOUT:
    case QCC_COST_POINTWISE: return conv(n, "x", 1, 1);
    case QCC_COST_DEPTHWISE: return conv(n, "x", 3, n->t->in);
    case QCC_COST_GEMM: return gemm(n);
    case QCC_COST_DYNAMIC: return dynamic(n);
    case QCC_COST_SKIP: return binary(n, QCC_OP_ADD, true);
    case QCC_COST_ADD: return binary(n, QCC_OP_ADD, false);
    case QCC_COST_MUL: return binary(n, QCC_OP_MUL, false);
    case QCC_COST_CONCAT: return binary(n, QCC_OP_CONCAT, true);
    case QCC_COST_AVERAGE_POOL: return pool(n, QCC_OP_AVERAGE_POOL);
    case QCC_COST_MAX_POOL: return pool(n, QCC_OP_MAX_POOL);
    case QCC_COST_GLOBAL_POOL: return unary(n, QCC_OP_GLOBAL_AVERAGE_POOL);
    case QCC_COST_SIGMOID: return unary(n, QCC_OP_SIGMOID);
    case QCC_COST_SILU: return silu(n);
    case QCC_COST_LEAKY_RELU: return unary(n, QCC_OP_LEAKY_RELU);
    case QCC_COST_RESIZE: return resize(n);
    case QCC_COST_QUANTIZE:
    case QCC_COST_DEQUANTIZE: return border(n);
    case QCC_COST_COUNT: break;
  }
  return NULL;
}

/* A convolution ends in the activation that networks have there. */
static qcc_status build(qcc_graph **out, const qcc_node **node, qcc_context *cx, const trial *t) {
  QCC_TRY(qcc_graph_new(out, cx));
  net n = {.g = *out, .t = t};
  QCC_TRY(qcc_graph_set_opset(n.g, "", 13));
  qcc_node *made = measured_node(&n);
  qcc_value *y = qcc_out(made, 0);
  if (y && (made->op == QCC_OP_CONV || t->kind == QCC_COST_SKIP)) y = qcc_out(qcc_add_node(n.g, NULL, QCC_OP_RELU, NULL, &y, 1, 1), 0);
  const bool is_border = t->kind == QCC_COST_QUANTIZE || t->kind == QCC_COST_DEQUANTIZE;
  if (y && !is_border && !is_product(t)) y = around(&n, y); /* a product may end in float */
  if (y) qcc_add_output(n.g, y);
  QCC_TRY(qcc_graph_status(n.g));
  *node = made;
  return qcc_infer_graph(n.g, NULL);
}

/* ---- its time */

/* What only stands at the borders of a small network. */
typedef enum role { KERNEL, CONVOLUTION, TO_CODES, FROM_CODES, LAYOUT } role;

static role role_of(const char *op) {
  static const struct {
    const char *op;
    role role;
  } rows[] = {{"QuantizeLinear", TO_CODES}, {"DequantizeLinear", FROM_CODES}, {"Conv", CONVOLUTION},    {"QLinearConv", CONVOLUTION},
              {"Transpose", LAYOUT},        {"ReorderInput", LAYOUT},         {"ReorderOutput", LAYOUT}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (strcmp(op, rows[i].op) == 0) return rows[i].role;
  return KERNEL;
}

static bool counts(role r, qcc_cost_kind kind) {
  switch (kind) {
    case QCC_COST_QUANTIZE: return r == TO_CODES;
    case QCC_COST_DEQUANTIZE: return r == FROM_CODES;
    case QCC_COST_LAYOUT: return r == LAYOUT;
    case QCC_COST_CONV:
    case QCC_COST_POINTWISE:
    case QCC_COST_DEPTHWISE: return r == CONVOLUTION;
    default: return r == KERNEL;
  }
}

/* A network of one image changes its layout twice. */
static double seconds_of(const qcc_profile *p, const trial *t) {
  double sum = 0;
  for (size_t i = 0; i < p->step_count; i++)
    if (counts(role_of(p->steps[i].op), t->kind)) sum += p->steps[i].fastest;
  return t->kind == QCC_COST_LAYOUT ? sum / 2 : sum;
}

typedef struct kept { /* one sample for all runs */
  uint32_t count;
  qcc_tensor in[2];
} kept;

static qcc_status get_kept(void *user, size_t index, qcc_tensor *inputs) {
  (void)index;
  const kept *k = user;
  for (uint32_t i = 0; i < k->count; i++) inputs[i] = qcc_tensor_retain(&k->in[i]);
  return QCC_OK;
}

static qcc_status keep(kept *k, const qcc_graph *g) {
  qcc_dataset *set = NULL;
  k->count = g->input_count;
  if (k->count > 2) return qcc_error(g->cx, QCC_INTERNAL, "I-214", NULL, "a network that is measured has %" PRIu32 " inputs", k->count);
  qcc_status st = qcc_dataset_synthetic(&set, g, 1, 1);
  if (st == QCC_OK) st = qcc_dataset_samples(set)->get(qcc_dataset_samples(set)->user, 0, k->in);
  qcc_dataset_free(set);
  return st;
}

/* As many runs as make a time that can be trusted. */
static qcc_status run(double *seconds, const measuring *m, const trial *t, const qcc_graph *g) {
  const qcc_eval *eval = qcc_ort_eval();
  qcc_runner *r = NULL;
  kept k = {0};
  const qcc_samples many = {.count = MOST_RUNS, .get = get_kept, .user = &k};
  qcc_status st = keep(&k, g);
  if (st == QCC_OK) st = eval->open(&r, m->cx, g, &(qcc_run_options){.workers = 1, .profile = true, .library = m->library});
  if (st == QCC_OK) st = eval->run(r, &many, 0, LEAST_RUNS, NULL);
  const double first = st == QCC_OK ? seconds_of(eval->stats(r).profile, t) : 0;
  const double runs = fmin(MOST_RUNS, seconds_of_a_point / (first + 1e-7));
  if (st == QCC_OK && runs > LEAST_RUNS) st = eval->run(r, &many, 0, (size_t)runs, NULL);
  if (st == QCC_OK) *seconds = seconds_of(eval->stats(r).profile, t);
  if (r) eval->close(r);
  for (uint32_t i = 0; i < k.count; i++) qcc_tensor_release(&k.in[i]);
  return st;
}

static qcc_status time_of(double *seconds, qcc_cost_place *place, const measuring *m, const trial *t) {
  qcc_graph *g = NULL;
  const qcc_node *node = NULL;
  *seconds = 0;
  qcc_status st = build(&g, &node, m->cx, t);
  if (st == QCC_OK) *place = qcc_cost_place_as(t->kind, node);
  if (st == QCC_OK) st = run(seconds, m, t, g);
  qcc_graph_free(g);
  return st;
}

/* ---- the table */

typedef struct kind_row {
  const char *name, *unit, *a, *b, *c;
} kind_row;

static const kind_row kinds[] = {
#define COST(id, name, unit, a, b, c) {name, unit, a, b, c},
#include "ir/costs.def"
};

/* 0 would mean that there is no such form: a border has one only. */
static void write_point(qcc_text *to, const point *x) {
  const qcc_cost_place *p = &x->place;
  const bool is_border = p->kind == QCC_COST_QUANTIZE || p->kind == QCC_COST_DEQUANTIZE;
  const double least = 1e-5, f32 = fmax(least, 1e9 * x->seconds[0] / p->units), q8 = fmax(least, 1e9 * x->seconds[1] / p->units);
  qcc_text_addf(to, "    - [%.0f, %.0f, %.0f, %.5f, %.5f]\n", p->at[0], p->at[1], p->at[2], is_border ? 0 : f32, q8);
}

static void write_points(qcc_text *to, const measuring *m) {
  for (size_t i = 0; i < m->points.n; i++) {
    const qcc_cost_kind kind = m->points.at[i].place.kind;
    const kind_row *k = &kinds[kind];
    if (!i || m->points.at[i - 1].place.kind != kind)
      qcc_text_addf(to, "  %s: # %s, %s%s%s; float and 8 bit: nanoseconds for each %s\n", k->name, k->a, k->b, *k->c ? ", " : "", k->c,
                    k->unit);
    write_point(to, &m->points.at[i]);
  }
}

/* Float last: its node tells the place. */
static qcc_status add_point(measuring *m, trial t) {
  if (!m->turn) return qcc_vec_push(m->cx, &m->points, ((point){.seconds = {INFINITY, INFINITY}})) ? QCC_OK : QCC_NOMEM;
  QCC_TRY(qcc_progress(m->cx, "measure", (size_t)(m->turn - 1) * m->points.n + m->next, TURNS * m->points.n));
  point *p = &m->points.at[m->next++];
  for (int q8 = 1; q8 >= 0; q8--) {
    double seconds = 0;
    t.q8 = q8;
    QCC_TRY(time_of(&seconds, &p->place, m, &t));
    p->seconds[q8] = fmin(p->seconds[q8], seconds);
  }
  return QCC_OK;
}

static qcc_status add_convs(measuring *m, qcc_cost_kind kind) {
  static const int64_t ins[] = {3, 8, 16, 32, 128, 320}, outs[] = {8, 16, 32, 128, 320}, sides[] = {7, 14, 28, 56, 112};
  for (size_t i = kind == QCC_COST_POINTWISE; i < sizeof ins / sizeof *ins; i++)
    for (size_t o = 0; o < sizeof outs / sizeof *outs; o++)
      for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
        const double macs = (double)(ins[i] * outs[o] * sides[s] * sides[s] * (kind == QCC_COST_CONV ? 9 : 1));
        if (macs <= most_macs && (double)(ins[i] * sides[s] * sides[s]) <= most_elements && (double)ins[i] / (double)outs[o] <= 16)
          QCC_TRY(add_point(m, (trial){.kind = kind, .in = ins[i], .out = outs[o], .side = sides[s], .stride = 1}));
      }
  return QCC_OK;
}

static qcc_status add_depthwise(measuring *m) {
  static const int64_t channels[] = {8, 32, 128, 512}, sides[] = {7, 14, 28, 56, 112};
  for (int64_t stride = 1; stride <= 2; stride++)
    for (size_t c = 0; c < sizeof channels / sizeof *channels; c++)
      for (size_t s = 0; s < sizeof sides / sizeof *sides; s++)
        if ((double)(channels[c] * sides[s] * sides[s]) <= most_elements)
          QCC_TRY(add_point(m, (trial){QCC_COST_DEPTHWISE, channels[c], channels[c], sides[s], stride, false}));
  return QCC_OK;
}

static qcc_status add_products(measuring *m, qcc_cost_kind kind) {
  static const int64_t sizes[] = {16, 64, 256, 1024}, rows[] = {1, 16, 128};
  for (size_t i = 0; i < 4; i++)
    for (size_t o = 0; o < 4; o++)
      for (size_t r = 0; r < 3; r++)
        if ((double)(sizes[i] * sizes[o] * rows[r]) <= most_macs)
          QCC_TRY(add_point(m, (trial){.kind = kind, .in = sizes[i], .out = sizes[o], .side = rows[r]}));
  return QCC_OK;
}

static qcc_status add_tensors(measuring *m) {
  static const int64_t channels[] = {16, 128}, sides[] = {7, 14, 28, 56, 112};
  for (qcc_cost_kind k = QCC_COST_ADD; k < QCC_COST_COUNT; k++)
    for (size_t c = 0; c < 2; c++)
      for (size_t s = 0; s < 5; s++)
        if ((double)(channels[c] * sides[s] * sides[s]) <= most_elements)
          QCC_TRY(add_point(m, (trial){k, channels[c], channels[c], sides[s] + (sides[s] & 1), 1, false}));
  return QCC_OK;
}

static qcc_status add_all(measuring *m) {
  QCC_TRY(add_convs(m, QCC_COST_CONV));
  QCC_TRY(add_convs(m, QCC_COST_POINTWISE));
  QCC_TRY(add_depthwise(m));
  QCC_TRY(add_products(m, QCC_COST_GEMM));
  QCC_TRY(add_products(m, QCC_COST_DYNAMIC));
  return add_tensors(m);
}

qcc_status qcc_measure_costs(qcc_context *cx, const char *target, const char *name, const char *library, char **out, size_t *n) {
  if (!cx || !name || !out || !n) return QCC_ARG;
  *out = NULL;
  *n = 0;
  qcc_status st = QCC_OK;
  qcc_text text = {.cx = cx};
  measuring m = {.cx = cx, .library = library};
  for (; m.turn <= TURNS && st == QCC_OK; m.turn++, m.next = 0) st = add_all(&m);
  qcc_text_addf(&text,
                "# Costs of kernels, measured with qcc cost.\ntarget: %s\nextends: %s\ncosts:\n  measured: onnxruntime, one thread\n", name,
                target ? target : "ort-cpu-avx2");
  if (st == QCC_OK) write_points(&text, &m);
  qcc_vec_free(cx, &m.points);
  if (st == QCC_OK && text.failed) st = QCC_NOMEM;
  if (st == QCC_OK) *out = text.at, *n = text.n;
  if (st != QCC_OK) qcc_text_free(&text);
  return st;
}
