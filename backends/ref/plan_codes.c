/* SPDX-License-Identifier: Apache-2.0
 * Which nodes on codes have a fast step. Convolutions, pools and concatenations of channels work channels last; what takes one code at a
 * time keeps the layout of what it reads; a product of matrices is row-major. Parameters must be known; everything else is left to kernels. */
#include <math.h>
#include <string.h>

#include "backends/ref/qint.h"

static qcc_plan_value *at(const qcc_planner *b, uint32_t id) { return qcc_plan_at(b, id); }
static bool byte(qcc_dtype t) { return t == QCC_U8 || t == QCC_S8; }
static const qcc_type *type_of(const qcc_planner *b, const qcc_value *v) { return v ? &at(b, v->id)->type : NULL; }
static bool on_codes(const qcc_planner *b, const qcc_value *v) { return v && byte(type_of(b, v)->dtype) && !qcc_plan_known(b, v); }

/* One scale and one zero point (left out: 0), both known. */
static bool params(const qcc_planner *b, const qcc_node *n, uint32_t scale_at, uint32_t zero_at, float *scale, int32_t *zero) {
  const qcc_tensor *s = qcc_plan_known(b, qcc_in(n, scale_at)), *z = qcc_plan_known(b, qcc_in(n, zero_at));
  if (!s || s->type.dtype != QCC_F32 || qcc_tensor_count(s) != 1) return false;
  if (qcc_in(n, zero_at) && (!z || !qcc_dtype_is_int(z->type.dtype) || qcc_tensor_count(z) != 1)) return false;
  memcpy(scale, s->data, sizeof *scale);
  *zero = z ? (int32_t)qcc_tensor_get_s64(z, 0) : 0;
  return true;
}

static qcc_iend end_of(qcc_dtype t, int32_t zero) {
  return (qcc_iend){.kind = QCC_TO_CODES, .lo = (float)(qcc_dtype_min(t) - zero), .hi = (float)(qcc_dtype_max(t) - zero), .zero = zero};
}

/* ---- pushing */
/* The step with inputs `first`, `first + stride`, ... in one layout, and its result. */
static qcc_status push_to(qcc_planner *b, uint32_t i, const qcc_istep *how, const qcc_plan_step *like, uint32_t stride, uint32_t count,
                          bool last, const qcc_value *to, bool last_out) {
  const qcc_node *n = b->prog->step[i].node;
  const uint32_t first = how->kind == QCC_ISTEP_CONCAT ? 2 : 0;
  qcc_plan_step s;
  QCC_TRY(qcc_step_start(b, &s, QCC_STEP_CODES, i, count, 1));
  s.conv = like->conv;
  s.codes = qcc_arena_copy(&b->p->mem, how, sizeof *how);
  if (!s.codes) return QCC_NOMEM;
  for (uint32_t k = 0; k < count; ++k) QCC_TRY(qcc_step_need(b, i, n->in[first + k * stride].value->id, last, &s.in[k]));
  return qcc_step_finish(b, &s, to, last_out);
}

static qcc_status push(qcc_planner *b, uint32_t i, const qcc_istep *how, const qcc_plan_step *like, uint32_t stride, uint32_t count,
                       bool last, bool last_out) {
  return push_to(b, i, how, like, stride, count, last, b->prog->step[i].node->out[0], last_out);
}

static bool hidden(const qcc_planner *b, const qcc_value *v) {
  return v->use_count == 1 && !v->output_uses && !at(b, v->id)->pinned && !at(b, v->id)->observed && qcc_only_user(v);
}

/* ---- products */
static bool is_conv(const qcc_node *n) { return n->op == QCC_OP_QLINEAR_CONV || n->op == QCC_OP_CONV_INTEGER; }

static qcc_status conv_of(const qcc_planner *b, const qcc_node *n, qcc_conv *c) {
  const qcc_type *x = type_of(b, n->in[0].value), *w = &b->p->r->consts[n->in[n->op == QCC_OP_QLINEAR_CONV ? 3 : 1].value->id].type;
  qcc_window win;
  QCC_TRY(qcc_window_of(&win, b->w->cx, n, x, w));
  qcc_conv_of(c, &win, x->dim[0], x->dim[1], w->dim[0]);
  return QCC_OK;
}

/* One number, or one for each column of a product, each output channel of a convolution. */
static bool by_column(const qcc_planner *b, const qcc_node *n, const qcc_type *t) {
  const qcc_type *y = type_of(b, n->out[0]);
  const int axis = is_conv(n) ? t->rank - (y->rank - 1) : t->rank - 1;
  if (t->rank > y->rank) return false;
  for (int d = 0; d < t->rank; ++d)
    if (t->dim[d] != 1 && (d != axis || t->dim[d] != y->dim[is_conv(n) ? 1 : y->rank - 1])) return false;
  return true;
}

/* A sum that is nothing but cast to floats and multiplied by a scale, or by one per column, is made when the scales are there. */
static bool defer(qcc_planner *b, uint32_t i) {
  const qcc_node *n = b->prog->step[i].node;
  if ((n->op != QCC_OP_MATMUL_INTEGER && n->op != QCC_OP_CONV_INTEGER) || !hidden(b, n->out[0])) return false;
  const qcc_node *cast = qcc_only_user(n->out[0]), *mul = NULL;
  if (cast->op != QCC_OP_CAST || cast->graph != n->graph || type_of(b, cast->out[0])->dtype != QCC_F32 || !hidden(b, cast->out[0]))
    return false;
  mul = qcc_only_user(cast->out[0]);
  if (mul->op != QCC_OP_MUL || mul->graph != n->graph || mul->in_count != 2 || !b->fixed[b->position[mul->id]]) return false;
  const qcc_value *scale = mul->in[mul->in[0].value == cast->out[0]].value;
  const qcc_type *t = type_of(b, scale), *y = type_of(b, mul->out[0]);
  if (t->dtype != QCC_F32 || !by_column(b, n, t)) return false;
  if (!qcc_type_equal(y, type_of(b, cast->out[0]))) return false;
  b->done[b->position[cast->id]] = true;
  b->tail_of[b->position[mul->id]] = n;
  at(b, n->out[0]->id)->where = at(b, cast->out[0]->id)->where = QCC_AT_NOWHERE;
  return true;
}

qcc_status qcc_plan_scaled(qcc_planner *b, uint32_t i) {
  const qcc_node *mul = b->prog->step[i].node, *n = b->tail_of[i];
  const qcc_node *cast = qcc_only_user(n->out[0]);
  const qcc_value *scale = mul->in[mul->in[0].value == cast->out[0]].value;
  const qcc_ipack *pack = b->p->r->ipacks[n->id];
  const bool last = is_conv(n);
  const qcc_istep how = {.kind = last ? QCC_ISTEP_CONV : QCC_ISTEP_DENSE, .pack = pack, .late_zero = pack->sum != NULL, .late_scale = true};
  qcc_plan_step s;
  uint32_t k = 0;
  QCC_TRY(qcc_step_start(b, &s, QCC_STEP_CODES, i, how.late_zero ? 3 : 2, 1));
  if (last) QCC_TRY(conv_of(b, n, &s.conv));
  s.codes = qcc_arena_copy(&b->p->mem, &how, sizeof how);
  if (!s.codes) return QCC_NOMEM;
  QCC_TRY(qcc_step_need(b, i, n->in[0].value->id, last, &s.in[k++]));
  b->into[b->position[n->id]] = b->into[b->position[cast->id]] = (uint32_t)b->p->step.n;
  if (how.late_zero) s.in[k++] = n->in[2].value->id;
  s.in[k] = scale->id;
  return qcc_step_finish(b, &s, mul->out[0], last);
}

/* Rows of input are copied with their padding: sizes that only a strange stride can make are left to the kernel. */
static bool moderate(const qcc_conv *c) {
  const int64_t most = 1 << 20;
  int64_t span[3], far, near;
  for (int d = 0; d < 3; ++d) {
    if (!qcc_mul_s64(c->out[d] - 1, c->stride[d], &far) || !qcc_mul_s64(c->kernel[d] - 1, c->dilation[d], &near)) return false;
    if (far > most || near > most || c->pad[d] > most) return false;
    span[d] = far + near + 1;
  }
  return c->kernel[0] < 1 << 10 && span[2] < (1 << 28) / c->cin;
}

/* Does the pack write what the value has room for? */
static bool result_fits(const qcc_planner *b, const qcc_node *n, const qcc_ipack *pack, int64_t rows, int64_t columns) {
  const qcc_type *y = type_of(b, n->out[0]);
  const qcc_tensor t = {.type = *y};
  int64_t count;
  const bool kind = pack->end.kind == QCC_TO_CODES    ? byte(y->dtype)
                    : pack->end.kind == QCC_TO_FLOATS ? y->dtype == QCC_F32
                                                      : y->dtype == QCC_S32;
  return kind && qcc_mul_s64(rows, columns, &count) && qcc_tensor_count(&t) == count;
}

static qcc_status product(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  const qcc_ipack *pack = b->p->r->ipacks[n->id];
  const qcc_type *x = type_of(b, n->in[0].value);
  qcc_plan_step like = {.count_pads = false};
  qcc_istep how = {.kind = QCC_ISTEP_DENSE, .pack = pack};
  if (!pack || !on_codes(b, n->in[0].value) || x->dtype != pack->x.type) return QCC_OK;
  how.late_zero = pack->sum != NULL;
  if (!is_conv(n)) {
    const qcc_tensor rows = {.type = *x};
    *did = x->rank > 0 && x->dim[x->rank - 1] == (int64_t)pack->run &&
           result_fits(b, n, pack, qcc_tensor_count(&rows) / (int64_t)pack->run, (int64_t)pack->width);
    if (!*did || defer(b, i)) return QCC_OK;
    return push(b, i, &how, &like, 2, how.late_zero ? 2 : 1, false, false);
  }
  QCC_TRY(conv_of(b, n, &like.conv));
  const qcc_conv *c = &like.conv;
  how.kind = QCC_ISTEP_CONV;
  *did = moderate(c) && result_fits(b, n, pack, c->batch * c->out[0] * c->out[1] * c->out[2], c->cout);
  if (!*did || defer(b, i)) return QCC_OK;
  return push(b, i, &how, &like, 2, how.late_zero ? 2 : 1, true, true);
}

/* ---- two operands of one shape */
/* The step of QLinearAdd or QLinearMul, when parameters are known. */
static bool pair_step(const qcc_planner *b, const qcc_node *n, qcc_istep *how) {
  const qcc_value *x = n->in[0].value, *y = qcc_in(n, 3);
  const bool product = n->op == QCC_OP_MS_QLINEAR_MUL;
  float sa, sb, sc;
  int32_t za, zb, zc;
  if (!on_codes(b, x) || !on_codes(b, y) || !qcc_type_equal(type_of(b, x), type_of(b, y))) return false;
  if (!qcc_type_equal(type_of(b, x), type_of(b, n->out[0]))) return false;
  if (!params(b, n, 1, 2, &sa, &za) || !params(b, n, 4, 5, &sb, &zb) || !params(b, n, 6, 7, &sc, &zc)) return false;
  *how = (qcc_istep){.kind = product ? QCC_ISTEP_MUL : QCC_ISTEP_ADD};
  how->add = (qcc_iadd){.ra = sa / sc, .rb = sb / sc, .zero_a = za, .zero_b = zb, .zero = zc, .sign = type_of(b, x)->dtype == QCC_S8};
  if (product)
    how->add.ra = sa * sb / sc;
  else
    how->add.fixed = (float)zc - fmaf(how->add.ra, (float)za, how->add.rb * (float)zb);
  return true;
}

static qcc_status binary(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  qcc_istep how;
  *did = pair_step(b, n, &how);
  if (!*did) return QCC_OK;
  const bool last = at(b, n->in[0].value->id)->last || at(b, n->in[3].value->id)->last;
  return push(b, i, &how, &(qcc_plan_step){.count_pads = false}, 3, 2, last, last);
}

/* ---- functions of one code: the kernel itself fills the table */
static qcc_status fill_table(qcc_planner *b, const qcc_node *n, const qcc_tensor **in, uint32_t count, uint32_t x_at, uint8_t *to) {
  uint8_t codes[256];
  const bool want = true;
  qcc_type t = in[x_at]->type; /* all along axis 1, for the sake of those that look at axes */
  for (int d = 0; d < t.rank; ++d) t.dim[d] = d == 1 || t.rank == 1 ? 256 : 1;
  const qcc_tensor x = {.type = t, .data = codes, .bytes = sizeof codes};
  qcc_tensor out = {.type = t, .data = to, .bytes = sizeof codes};
  const qcc_scratch_mark mark = qcc_scratch_here(b->w);
  for (int k = 0; k < 256; ++k) codes[k] = (uint8_t)k;
  in[x_at] = &x;
  qcc_kargs k = {.cx = b->w->cx, .node = n, .opset = qcc_graph_opset(n->graph->root, n->domain), .in_count = count, .out_count = 1};
  k.in = in, k.out = &out, k.want = &want, k.worker = b->w;
  const qcc_status st = qcc_kernel_of(n->op)(&k);
  qcc_scratch_back(b->w, mark);
  return st;
}

/* x op f(x) is a function of one code, too: takes it into the table of f. */
static const qcc_value *with_itself(qcc_planner *b, const qcc_node *n, uint8_t *table) {
  const qcc_value *x = n->in[0].value, *f = n->out[0];
  const qcc_node *m = hidden(b, f) ? qcc_only_user(f) : NULL;
  uint8_t codes[256], of_f[256];
  qcc_istep how;
  if (!m || (m->op != QCC_OP_MS_QLINEAR_ADD && m->op != QCC_OP_MS_QLINEAR_MUL) || m->graph != n->graph || !pair_step(b, m, &how)) return f;
  const bool first = m->in[0].value == x, fits = first ? m->in[3].value == f : m->in[3].value == x;
  if (!fits || !b->fixed[b->position[m->id]]) return f;
  for (int k = 0; k < 256; ++k) codes[k] = (uint8_t)k;
  memcpy(of_f, table, sizeof of_f);
  (m->op == QCC_OP_MS_QLINEAR_ADD ? b->w->isimd->add : b->w->isimd->mul)(table, first ? codes : of_f, first ? of_f : codes, 256, &how.add);
  b->done[b->position[m->id]] = true;
  b->into[b->position[m->id]] = (uint32_t)b->p->step.n;
  at(b, f->id)->where = QCC_AT_NOWHERE;
  return m->out[0];
}

static qcc_status unary(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  const qcc_tensor *in[5] = {NULL}, shell = {.type = *type_of(b, n->in[0].value)};
  float scale;
  int32_t zero;
  if (!on_codes(b, n->in[0].value) || shell.type.rank < 1 || n->in_count > 5 || !qcc_type_equal(&shell.type, type_of(b, n->out[0])) ||
      !params(b, n, 1, 2, &scale, &zero) || !params(b, n, 3, 4, &scale, &zero))
    return QCC_OK;
  uint8_t *table = qcc_arena_array(&b->p->mem, 256, sizeof *table);
  if (!table) return QCC_NOMEM;
  for (uint32_t k = 1; k < n->in_count; ++k) in[k] = qcc_plan_known(b, n->in[k].value);
  in[0] = &shell;
  QCC_TRY(fill_table(b, n, in, n->in_count, 0, table));
  const qcc_istep how = {.kind = QCC_ISTEP_TABLE, .table = (const uint8_t(*)[256])(const void *)table};
  const bool last = at(b, n->in[0].value->id)->last;
  *did = true;
  return push_to(b, i, &how, &(qcc_plan_step){.count_pads = false}, 1, 1, last, with_itself(b, n, table), last);
}

static qcc_status concat(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  const uint32_t count = (n->in_count - 2) / 3;
  const int rank = n->in_count > 4 ? type_of(b, n->in[2].value)->rank : 0;
  bool any = false;
  int axis;
  if (rank < 3 || (n->in_count - 2) % 3 || !qcc_axis(qcc_attr_int(n, "axis", 0), rank, &axis) || axis != 1) return QCC_OK;
  float scale;
  int32_t zero;
  if (!params(b, n, 0, 1, &scale, &zero)) return QCC_OK;
  for (uint32_t k = 2; k < n->in_count; k += 3) {
    if (!on_codes(b, n->in[k].value) || !params(b, n, k + 1, k + 2, &scale, &zero)) return QCC_OK;
    any = any || at(b, n->in[k].value->id)->last;
  }
  if (!any) return QCC_OK;
  uint8_t *table = qcc_arena_array(&b->p->mem, count, 256);
  if (!table) return QCC_NOMEM;
  for (uint32_t k = 0; k < count; ++k) { /* a concatenation of this operand alone, along an axis of its own */
    const qcc_tensor shell = {.type = *type_of(b, n->in[2].value)};
    const qcc_tensor *in[5] = {qcc_plan_known(b, n->in[0].value), qcc_plan_known(b, n->in[1].value), &shell,
                               qcc_plan_known(b, n->in[3 * k + 3].value), qcc_plan_known(b, n->in[3 * k + 4].value)};
    QCC_TRY(fill_table(b, n, in, 5, 2, table + k * 256));
  }
  const qcc_istep how = {.kind = QCC_ISTEP_CONCAT, .table = (const uint8_t(*)[256])(const void *)table};
  *did = true;
  return push(b, i, &how, &(qcc_plan_step){.count_pads = false}, 3, count, true, true);
}

/* ---- pools */
static qcc_status max_pool(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  const qcc_type *x = type_of(b, n->in[0].value);
  qcc_plan_step like = {.count_pads = false};
  qcc_window win;
  if (!on_codes(b, n->in[0].value) || (x->rank != 3 && x->rank != 4)) return QCC_OK;
  QCC_TRY(qcc_window_of(&win, b->w->cx, n, x, NULL));
  win.group = 1;
  qcc_conv_of(&like.conv, &win, x->dim[0], x->dim[1], x->dim[1]);
  const qcc_istep how = {.kind = QCC_ISTEP_MAX_POOL, .sign = x->dtype == QCC_S8};
  *did = true;
  return push(b, i, &how, &like, 1, 1, true, true);
}

static bool whole(const qcc_window *w) {
  for (int d = 0; d < w->rank; ++d)
    if (w->kernel[d] != w->in[d] || w->pad_begin[d] || w->pad_end[d]) return false;
  return true;
}

static qcc_status mean(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  const qcc_type *x = type_of(b, n->in[0].value);
  float sx, sy;
  int32_t zx, zy;
  if (!on_codes(b, n->in[0].value) || !at(b, n->in[0].value->id)->last || qcc_attr_int(n, "channels_last", 0)) return QCC_OK;
  if (!params(b, n, 1, 2, &sx, &zx) || !params(b, n, 3, 4, &sy, &zy)) return QCC_OK;
  if (n->op == QCC_OP_MS_QLINEAR_AVERAGE_POOL) {
    qcc_window win;
    QCC_TRY(qcc_window_of(&win, b->w->cx, n, x, NULL));
    if (!whole(&win)) return QCC_OK;
  }
  int64_t plane = 1;
  for (int d = 2; d < x->rank; ++d) plane *= x->dim[d];
  const qcc_istep how = {
      .kind = QCC_ISTEP_MEAN, .sign = x->dtype == QCC_S8, .end = end_of(x->dtype, zy), .scale = sx / (sy * (float)plane), .zero = zx};
  *did = true;
  return push(b, i, &how, &(qcc_plan_step){.count_pads = false}, 1, 1, true, false);
}

/* ---- borders */
static qcc_status quantize(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  const qcc_value *x = n->in[0].value;
  const qcc_dtype t = type_of(b, n->out[0])->dtype;
  int32_t zero;
  qcc_istep how = {.kind = QCC_ISTEP_QUANTIZE};
  if (!byte(t) || type_of(b, x)->dtype != QCC_F32 || !params(b, n, 1, 2, &how.scale, &zero)) return QCC_OK;
  how.end = end_of(t, zero);
  *did = true;
  return push(b, i, &how, &(qcc_plan_step){.count_pads = false}, 1, 1, at(b, x->id)->last, at(b, x->id)->last);
}

static qcc_status dequantize(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  const qcc_value *x = n->in[0].value;
  qcc_istep how = {.kind = QCC_ISTEP_DEQUANTIZE, .sign = type_of(b, x)->dtype == QCC_S8};
  if (!on_codes(b, x) || type_of(b, n->out[0])->dtype != QCC_F32 || !params(b, n, 1, 2, &how.scale, &how.zero)) return QCC_OK;
  *did = true;
  return push(b, i, &how, &(qcc_plan_step){.count_pads = false}, 1, 1, at(b, x->id)->last, at(b, x->id)->last);
}

static const struct {
  qcc_op op;
  qcc_status (*plan)(qcc_planner *b, uint32_t i, bool *did);
} table[] = {
    {QCC_OP_QLINEAR_CONV, product},
    {QCC_OP_CONV_INTEGER, product},
    {QCC_OP_QLINEAR_MATMUL, product},
    {QCC_OP_MATMUL_INTEGER, product},
    {QCC_OP_MS_QGEMM, product},
    {QCC_OP_MS_MATMUL_INTEGER_TO_FLOAT, product},
    {QCC_OP_MS_QLINEAR_ADD, binary},
    {QCC_OP_MS_QLINEAR_MUL, binary},
    {QCC_OP_MS_QLINEAR_SIGMOID, unary},
    {QCC_OP_MS_QLINEAR_LEAKY_RELU, unary},
    {QCC_OP_MS_QLINEAR_CONCAT, concat},
    {QCC_OP_MAX_POOL, max_pool},
    {QCC_OP_MS_QLINEAR_AVERAGE_POOL, mean},
    {QCC_OP_MS_QLINEAR_GLOBAL_AVERAGE_POOL, mean},
    {QCC_OP_QUANTIZE_LINEAR, quantize},
    {QCC_OP_DEQUANTIZE_LINEAR, dequantize},
};

qcc_status qcc_plan_codes(qcc_planner *b, uint32_t i, bool *did) {
  const qcc_node *n = b->prog->step[i].node;
  *did = false;
  for (size_t k = 0; k < sizeof table / sizeof table[0]; ++k)
    if (n->op == table[k].op) return qcc_in(n, n->op == QCC_OP_MS_QLINEAR_CONCAT ? 2 : 0) ? table[k].plan(b, i, did) : QCC_OK;
  return QCC_OK;
}
