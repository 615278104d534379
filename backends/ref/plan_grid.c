/* SPDX-License-Identifier: Apache-2.0
 * Fake quantization in chains: what is one (a node, or QuantizeLinear with its inverse), which changes nothing, and what may become a table
 * behind it:
 *   FakeQuant -> MaxPool -> FakeQuant (the same grid)             ->  FakeQuant -> MaxPool
 *   FakeQuant -> x * Sigmoid(x) -> FakeQuant                      ->  one table, by the code that the first one finds */
#include <string.h>

#include "backends/ref/plan.h"

/* ---- what is one */
static bool grid_post(qcc_post *p, float scale, int64_t zero, int64_t lo, int64_t hi) {
  const int64_t limit = (int64_t)1 << 22;
  *p = (qcc_post){.kind = QCC_POST_FAKE_QUANT, .scale = scale, .lo = (float)(lo - zero), .hi = (float)(hi - zero)};
  return lo - zero > -limit && hi - zero < limit;
}

bool qcc_plan_grid(const qcc_node *n, qcc_post *p) {
  uint32_t count, zeros;
  const float *scale = qcc_attr_floats(n, "scale", &count);
  const int64_t *zero = qcc_attr_ints(n, "zero", &zeros);
  const qcc_dtype t = qcc_dtype_from_name(qcc_attr_str(n, "dtype", "u8"));
  if (qcc_attr_int(n, "dynamic", 0) || qcc_attr_int(n, "axis", -1) >= 0 || count != 1 || zeros > 1 || !qcc_dtype_is_int(t)) return false;
  return grid_post(p, scale[0], zeros ? zero[0] : 0, qcc_attr_int(n, "lo", qcc_dtype_min(t)), qcc_attr_int(n, "hi", qcc_dtype_max(t)));
}

/* Of QuantizeLinear or DequantizeLinear with codes of type t: per tensor, parameters known. */
static bool coded_grid(const qcc_planner *b, const qcc_node *n, qcc_dtype t, qcc_post *to) {
  const qcc_tensor *zero = qcc_plan_known(b, qcc_in(n, 2));
  float scale;
  if ((qcc_in(n, 2) && !zero) || (zero && qcc_tensor_count(zero) != 1) || !qcc_plan_scalar(b, qcc_in(n, 1), &scale)) return false;
  if (!qcc_dtype_is_int(t) || qcc_dtype_bits(t) > 16) return false;
  return grid_post(to, scale, zero ? qcc_tensor_get_s64(zero, 0) : 0, qcc_dtype_min(t), qcc_dtype_max(t));
}

static bool same_bytes(const qcc_tensor *a, const qcc_tensor *b) {
  if (!a || !b) return a == b;
  return a->type.dtype == b->type.dtype && a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

static bool inverse(const qcc_planner *b, const qcc_node *q, const qcc_node *d) {
  if (d->op != QCC_OP_DEQUANTIZE_LINEAR || !qcc_plan_is_f32(b, d->out[0])) return false;
  return same_bytes(qcc_plan_known(b, qcc_in(q, 1)), qcc_plan_known(b, qcc_in(d, 1))) &&
         same_bytes(qcc_plan_known(b, qcc_in(q, 2)), qcc_plan_known(b, qcc_in(d, 2)));
}

const qcc_node *qcc_plan_pair(const qcc_planner *b, const qcc_node *q, qcc_post *to) {
  const qcc_node *d = q->op == QCC_OP_QUANTIZE_LINEAR && qcc_plan_inner(b, q->out[0]) ? qcc_only_user(q->out[0]) : NULL;
  if (!d || d->graph != q->graph || !qcc_plan_is_f32(b, q->in[0].value) || !inverse(b, q, d) || qcc_attr_find(q, "output_dtype"))
    return NULL;
  const qcc_tensor *zero = qcc_plan_known(b, qcc_in(q, 2));
  return coded_grid(b, q, zero ? zero->type.dtype : QCC_U8, to) ? d : NULL;
}

/* ---- values that came off a grid: to put them on it again changes nothing */
static bool same_grid(const qcc_post *a, const qcc_post *b) { return a->scale == b->scale && a->lo == b->lo && a->hi == b->hi; }

/* Every window of a pool sees the data: what is all padding has a result of its own. */
static bool sees_data(const qcc_node *n) {
  uint32_t pads, sizes;
  const int64_t *pad = qcc_attr_ints(n, "pads", &pads), *size = qcc_attr_ints(n, "kernel_shape", &sizes);
  for (uint32_t i = 0; i < pads; ++i)
    if (!sizes || pad[i] >= size[i % sizes]) return false;
  return qcc_attr_int(n, "ceil_mode", 0) == 0 && qcc_attr_ints(n, "dilations", &pads) == NULL;
}

static bool on_grid(const qcc_planner *b, const qcc_value *v, const qcc_post *grid, unsigned depth) {
  const qcc_node *n = v->def;
  qcc_post made;
  if (!n || v != n->out[0] || !depth || !qcc_plan_is_f32(b, v)) return false;
  switch (n->op) {
    case QCC_OP_DEQUANTIZE_LINEAR: return coded_grid(b, n, n->in[0].value->type.dtype, &made) && same_grid(&made, grid);
    case QCC_OP_FAKE_QUANT: return qcc_plan_grid(n, &made) && same_grid(&made, grid);
    case QCC_OP_MAX_POOL: return sees_data(n) && on_grid(b, n->in[0].value, grid, depth - 1);
    case QCC_OP_RESHAPE:
    case QCC_OP_FLATTEN:
    case QCC_OP_TRANSPOSE:
    case QCC_OP_SLICE: return on_grid(b, n->in[0].value, grid, depth - 1);
    case QCC_OP_CONCAT:
      for (uint32_t i = 0; i < n->in_count; ++i)
        if (!on_grid(b, n->in[i].value, grid, depth - 1)) return false;
      return true;
    default: return false;
  }
}

enum { GRID_DEPTH = 4 };
void qcc_plan_drop_idle(const qcc_planner *b, const qcc_value *x, qcc_post *p) {
  if (p->kind == QCC_POST_FAKE_QUANT && on_grid(b, x, p, GRID_DEPTH)) p->kind = QCC_POST_NONE;
}

/* ---- tables */
/* What reads x alone, in units of a fake quantization; 0: it reads more. */
static unsigned effort(const qcc_post *p) {
  switch (p->kind) {
    case QCC_POST_GATE: return 2 + effort(&(qcc_post){.kind = QCC_POST_ACT, .act = p->act});
    case QCC_POST_ACT: return p->act == QCC_ACT_RELU || p->act == QCC_ACT_CLIP || p->act == QCC_ACT_LEAKY_RELU ? 1 : 3;
    case QCC_POST_FAKE_QUANT:
    case QCC_POST_SCALAR: return 1;
    default: return 0;
  }
}

/* After a fake quantization there are few values, so what follows is computed here for each, by the same loops. */
static bool fill_table(qcc_planner *b, qcc_step_post *post, uint32_t n) {
  qcc_post *p = &post->post;
  const size_t count = (size_t)(p->hi - p->lo) + 1;
  float *x = qcc_arena_array(&b->p->mem, QCC_TABLE_SIZE, sizeof *x);
  if (!x) return false;
  for (size_t i = 0; i < count; ++i) x[i] = (p->lo + (float)i) * p->scale;
  for (uint32_t i = 1; i <= n; ++i) qcc_post_alone(b->w->simd, &post[i].post, x, count);
  p->kind = QCC_POST_TABLE;
  p->operand = x;
  return true;
}

bool qcc_plan_tables(qcc_planner *b, qcc_step_post *post, uint32_t *n) {
  enum { WORTH = 3 };
  for (uint32_t i = 0; i < *n; ++i) {
    const qcc_post *p = &post[i].post;
    uint32_t k = 0;
    unsigned sum = 0;
    if (p->kind != QCC_POST_FAKE_QUANT || p->hi - p->lo >= QCC_TABLE_SIZE) continue;
    for (unsigned e; i + 1 + k < *n && (e = effort(&post[i + 1 + k].post)) > 0; ++k) sum += e;
    if (sum < WORTH) continue;
    if (!fill_table(b, &post[i], k)) return false;
    memmove(&post[i + 1], &post[i + 1 + k], (*n - i - 1 - k) * sizeof *post);
    *n -= k;
  }
  return true;
}
