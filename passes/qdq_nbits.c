/* SPDX-License-Identifier: Apache-2.0
 * Products with weights in blocks of few bits: the standard form, and MatMulNBits of com.microsoft.
 *
 *   %wd = DequantizeLinear(%codes[K,N], %s[K/32,N], %z[K/32,N]){axis=0, block_size=32}
 *   %y  = MatMul(%x, %wd)
 *     <=>
 *   %y  = MatMulNBits(%x, %packed[N,K/32,16], %s[N*K/32], %z[N,K/64]){K, N, bits=4, block_size=32}
 *
 * Codes of 4 and 8 bits. On the right they are unsigned; without zero points zero stands in their middle, so these are signed codes on the left.
 * K is filled up to whole blocks. */
#include <string.h>

#include "passes/qdq.h"
#include "passes/raise_qlinear.h"
#include "passes/rewrite.h"

enum { A, B, SCALES, ZEROS, GROUPS, BIAS };

static int64_t at(const qcc_nbits *b, int64_t block, int64_t n) { return b->q.axis == 0 ? block * b->n + n : n * b->count + block; }

static bool make(qcc_tensor *t, qcc_graph *g, qcc_dtype dtype, int rank, const int64_t *dims) {
  const qcc_type type = qcc_type_of(dtype, rank, dims);
  if (qcc_tensor_new(t, g->cx, &type) == QCC_OK) return true;
  g->root->failed = true;
  return false;
}

static qcc_value *add(qcc_graph *g, const char *base, const char *what, qcc_tensor *t) {
  return qcc_add_const(g, qcc_internf(g->cx, "%s_%s", base, what), t);
}

/* ---- to MatMulNBits */
static int64_t middle(int bits) { return (int64_t)1 << (bits - 1); }

static bool is_signed(qcc_dtype t) { return qcc_dtype_kind(t) == QCC_KIND_SINT; }

/* Two codes of 4 bits to a byte, the first in the low bits. */
static void pack(uint8_t *row, int bits, int64_t i, int64_t code) {
  if (bits == 8)
    row[i] = (uint8_t)code;
  else
    row[i / 2] |= (uint8_t)((code & 15) << (i % 2 * 4));
}

static qcc_value *packed_codes(const qcc_nbits *b) {
  qcc_graph *g = b->user->graph;
  const int bits = (int)qcc_dtype_bits(b->q.dtype);
  const int64_t bytes = b->q.block * bits / 8, up = is_signed(b->q.dtype) ? middle(bits) : 0;
  qcc_tensor t;
  if (!make(&t, g, QCC_U8, 3, (int64_t[]){b->n, b->count, bytes})) return NULL;
  uint8_t *to = qcc_tensor_mut(&t);
  if (to) memset(to, 0, t.bytes);
  for (int64_t n = 0; to && n < b->n; n++)
    for (int64_t k = 0; k < b->count * b->q.block; k++) {
      const int64_t from = b->q.axis == 0 ? k * b->n + n : n * b->k + k;
      pack(to + n * b->count * bytes, bits, k, k < b->k ? qcc_tensor_get_s64(b->codes, from) + up : middle(bits));
    }
  return add(g, b->base, "packed", &t);
}

static qcc_value *flat_scales(const qcc_nbits *b) {
  qcc_graph *g = b->user->graph;
  qcc_tensor t;
  if (!make(&t, g, b->scale_type, 1, (int64_t[]){b->n * b->count})) return NULL;
  for (int64_t n = 0; n < b->n; n++)
    for (int64_t k = 0; k < b->count; k++) qcc_tensor_set(&t, n * b->count + k, (double)b->q.scale[at(b, k, n)]);
  return add(g, b->base, "scales", &t);
}

bool qcc_nbits_has_zeros(const qcc_qparams *q) {
  for (uint32_t i = 0; q->zero && i < q->count; i++)
    if (q->zero[i]) return true;
  return false;
}

/* Left out where they are the middle of the codes. */
static qcc_value *packed_zeros(const qcc_nbits *b) {
  qcc_graph *g = b->user->graph;
  const int bits = (int)qcc_dtype_bits(b->q.dtype);
  const int64_t row = (b->count * bits + 7) / 8, up = is_signed(b->q.dtype) ? middle(bits) : 0;
  qcc_tensor t;
  if (up && !qcc_nbits_has_zeros(&b->q)) return NULL;
  if (!make(&t, g, QCC_U8, 1, (int64_t[]){b->n * row})) return NULL;
  uint8_t *to = qcc_tensor_mut(&t);
  if (to) memset(to, 0, t.bytes);
  for (int64_t n = 0; to && n < b->n; n++)
    for (int64_t k = 0; k < b->count; k++) pack(to + n * row, bits, k, (b->q.zero ? b->q.zero[at(b, k, n)] : 0) + up);
  return add(g, b->base, "zeros", &t);
}

/* The new product, and a sum with the bias behind it, stand for the old one. */
static qcc_status take_place(qcc_node *product, qcc_node *old, qcc_value *bias) {
  qcc_graph *g = old->graph;
  qcc_value *y = product->out[0];
  const char *name = old->name;
  qcc_set_type(y, &old->out[0]->type);
  if (bias) y = qcc_out(qcc_add_node(g, old, QCC_OP_ADD, NULL, (qcc_value *[]){y, bias}, 2, 1), 0);
  QCC_TRY(qcc_graph_status(g));
  qcc_set_type(y, &old->out[0]->type);
  qcc_replace_value(old->out[0], y);
  qcc_add_origin(product, old);
  QCC_TRY(qcc_erase_node(old));
  qcc_rename_node(product, name);
  return qcc_graph_status(g);
}

qcc_status qcc_nbits_replace(const qcc_nbits *b) {
  qcc_node *old = b->user;
  qcc_graph *g = old->graph;
  qcc_value *in[4] = {qcc_in(old, 0), packed_codes(b), flat_scales(b), packed_zeros(b)};
  QCC_TRY(qcc_graph_status(g));
  qcc_node *n = qcc_add_node(g, old, QCC_OP_MS_MATMUL_NBITS, NULL, in, in[ZEROS] ? 4 : 3, 1);
  if (!n) return QCC_NOMEM;
  qcc_attr_set_int(n, "K", b->k);
  qcc_attr_set_int(n, "N", b->n);
  qcc_attr_set_int(n, "bits", qcc_dtype_bits(b->q.dtype));
  qcc_attr_set_int(n, "block_size", b->q.block);
  qcc_attr_set_int(n, "accuracy_level", 4); /* what the standard form gets by default */
  return take_place(n, old, old->op == QCC_OP_GEMM ? qcc_in(old, 2) : NULL);
}

/* ---- from the standard form */
qcc_node *qcc_nbits_product(const qcc_value *w, int axis) {
  qcc_node *n = qcc_only_user(w);
  if (!n || n->graph != w->graph || qcc_in(n, 1) != w || qcc_in(n, 0) == w || !qcc_qdq_plain(n)) return NULL;
  return axis == (n->op == QCC_OP_GEMM && qcc_attr_int(n, "transB", 0)) ? n : NULL;
}

static const char *read_blocks(qcc_nbits *b, const qcc_node *dq) {
  const qcc_value *codes = dq->in[0].value, *scale = qcc_in(dq, 1), *zero = qcc_in(dq, 2);
  const int64_t axis = qcc_attr_int(dq, "axis", 1), block = qcc_attr_int(dq, "block_size", 0);
  if (!qcc_is_const(codes) || !qcc_is_const(scale) || (zero && !qcc_is_const(zero))) return "codes or parameters are computed";
  const qcc_dtype t = codes->data->type.dtype;
  if (codes->data->type.rank != 2 || (qcc_dtype_bits(t) != 4 && qcc_dtype_bits(t) != 8)) return "its weights are no matrix of 4 or 8 bits";
  if (block < 16 || block > INT32_MAX || (block & (block - 1))) return "its blocks are no power of two from 16 on";
  b->user = qcc_nbits_product(dq->out[0], (int)(axis < 0 ? axis + 2 : axis));
  if (!b->user) return "its only reader is no product with blocks along K";
  b->q = (qcc_qparams){.dtype = t, .axis = axis != 0 && axis != -2, .block = block, .count = (uint32_t)qcc_tensor_count(scale->data)};
  b->scale_type = scale->data->type.dtype;
  b->codes = codes->data;
  b->base = codes->name;
  b->k = codes->data->type.dim[b->q.axis], b->n = codes->data->type.dim[1 - b->q.axis];
  b->count = (b->k + block - 1) / block;
  if (b->k < 1 || b->n < 1 || b->k > INT32_MAX || b->n > INT32_MAX) return "its weights are empty or too large";
  if (b->count * b->n != qcc_tensor_count(scale->data)) return "its scales are not one per block";
  return !zero || qcc_tensor_count(zero->data) == qcc_tensor_count(scale->data) ? NULL : "its zero points are not one per block";
}

static qcc_status read_params(qcc_nbits *b, const qcc_node *dq) {
  qcc_arena *arena = dq->graph->arena;
  const qcc_value *zero = qcc_in(dq, 2);
  float *scale = qcc_arena_array(arena, b->q.count, sizeof *scale);
  int32_t *codes = zero ? qcc_arena_array(arena, b->q.count, sizeof *codes) : NULL;
  if (!scale || (zero && !codes)) return QCC_NOMEM;
  qcc_tensor_read_f32(dq->in[1].value->data, scale);
  for (uint32_t i = 0; zero && i < b->q.count; i++) codes[i] = (int32_t)qcc_tensor_get_s64(zero->data, i);
  b->q.scale = scale, b->q.zero = codes;
  return QCC_OK;
}

static bool fits(qcc_nbits *b, qcc_pass_cx *p, const qcc_node *n) {
  if (n->op != QCC_OP_DEQUANTIZE_LINEAR || !qcc_attr_int(n, "block_size", 0)) return false;
  const char *why = read_blocks(b, n);
  if (why) qcc_pass_decline(p, n, "fuse-nbits", why);
  return !why && qcc_rewrite_ok(p, n, "fuse-nbits");
}

static qcc_status fuse(qcc_pass_cx *p, qcc_nbits *b, qcc_node *dq) {
  QCC_TRY(read_params(b, dq));
  QCC_TRY(qcc_nbits_replace(b));
  QCC_TRY(qcc_qdq_drop(dq));
  return qcc_graph_opset(p->g, "com.microsoft") ? QCC_OK : qcc_graph_set_opset(p->g, "com.microsoft", 1);
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  for (qcc_node *n = g->first, *before; n; n = before ? before->next : g->first) { /* the product behind goes, too */
    qcc_nbits b = {.user = NULL};
    before = n;
    if (!fits(&b, user, n)) continue;
    before = n->prev;
    QCC_TRY(fuse(user, &b, n));
  }
  return qcc_graph_status(g);
}

static qcc_status run(qcc_pass_cx *p) { return qcc_graph_walk(p->g, each_graph, p); }

const qcc_pass qcc_pass_fuse_nbits = {
    .name = "fuse-nbits",
    .doc = "products with weights dequantized in blocks become MatMulNBits",
    .options = "",
    .needs = QCC_PROP_SHAPES,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_QUANTIZES,
    .run = run,
};

/* ---- back to the standard form */
typedef struct packed {
  int bits;
  int64_t k, n, block, count;
} packed;

static bool holds(const qcc_value *v, qcc_dtype dtype, int64_t count) {
  return qcc_is_const(v) && v->data->type.dtype == dtype && qcc_tensor_count(v->data) == count;
}

static const char *read_packed(packed *p, const qcc_node *n) {
  *p = (packed){(int)qcc_attr_int(n, "bits", 4), qcc_attr_int(n, "K", 0), qcc_attr_int(n, "N", 0), qcc_attr_int(n, "block_size", 0), 0};
  if (p->bits != 4 && p->bits != 8) return "its codes are not of 4 or 8 bits";
  if (p->block < 16 || p->block > INT32_MAX || (p->block & (p->block - 1)) || p->k < 1 || p->n < 1) return "its sizes are wrong";
  p->count = (p->k + p->block - 1) / p->block;
  const qcc_value *scale = qcc_in(n, SCALES);
  int64_t scales, codes, zeros;
  if (!qcc_mul_s64(p->n, p->count, &scales) || !qcc_mul_s64(scales, p->block * p->bits / 8, &codes) ||
      !qcc_mul_s64(p->n, (p->count * p->bits + 7) / 8, &zeros))
    return "its sizes are wrong";
  if (!holds(qcc_in(n, B), QCC_U8, codes)) return "its weights are computed, or of another size";
  if (!scale || !holds(scale, n->in[A].value->type.dtype, scales)) return "its scales are computed, or of another type or size";
  if (qcc_in(n, ZEROS) && !holds(qcc_in(n, ZEROS), QCC_U8, zeros)) return "its zero points are floats or computed";
  return qcc_in(n, GROUPS) ? "its rows are in groups" : NULL;
}

const char *qcc_nbits_coded_obstacle(const qcc_node *n) {
  packed p;
  return read_packed(&p, n);
}

static int64_t unpack(const uint8_t *row, int bits, int64_t i) { return bits == 8 ? row[i] : row[i / 2] >> (i % 2 * 4) & 15; }

/* [rows, N] from columns of `stride` bytes. */
static qcc_value *turned(const packed *p, const qcc_value *from, qcc_graph *g, const char *what, int64_t rows, int64_t stride,
                         qcc_dtype dtype) {
  qcc_tensor t;
  const int64_t down = is_signed(dtype) ? middle(p->bits) : 0;
  const uint8_t *at = from->data->data;
  if (!make(&t, g, dtype, 2, (int64_t[]){rows, p->n})) return NULL;
  for (int64_t k = 0; k < rows; k++)
    for (int64_t n = 0; n < p->n; n++) qcc_tensor_set(&t, k * p->n + n, (double)(unpack(at + n * stride, p->bits, k) - down));
  return add(g, from->name, what, &t);
}

static qcc_value *turned_scales(const packed *p, const qcc_value *from, qcc_graph *g) {
  qcc_tensor t;
  if (!make(&t, g, from->data->type.dtype, 2, (int64_t[]){p->count, p->n})) return NULL;
  for (int64_t k = 0; k < p->count; k++)
    for (int64_t n = 0; n < p->n; n++) qcc_tensor_set(&t, k * p->n + n, qcc_tensor_get(from->data, n * p->count + k));
  return add(g, from->name, "by_block", &t);
}

static qcc_value *dequantized(const packed *p, qcc_node *n) {
  qcc_graph *g = n->graph;
  const qcc_value *zeros = qcc_in(n, ZEROS);
  const qcc_dtype dtype = p->bits == 4 ? zeros ? QCC_U4 : QCC_S4 : zeros ? QCC_U8 : QCC_S8;
  qcc_value *in[3] = {turned(p, n->in[B].value, g, "codes", p->k, p->count * p->block * p->bits / 8, dtype),
                      turned_scales(p, n->in[SCALES].value, g)};
  if (zeros) in[2] = turned(p, zeros, g, "by_block", p->count, (p->count * p->bits + 7) / 8, dtype);
  if (qcc_graph_failed(g)) return NULL;
  qcc_node *dq = qcc_add_node(g, n, QCC_OP_DEQUANTIZE_LINEAR, qcc_internf(g->cx, "%s_DequantizeLinear", in[0]->name), in, zeros ? 3 : 2, 1);
  if (!dq) return NULL;
  qcc_attr_set_int(dq, "axis", 0);
  qcc_attr_set_int(dq, "block_size", p->block);
  qcc_set_type(dq->out[0], &(qcc_type){.dtype = in[1]->data->type.dtype, .rank = 2, .dim = {p->k, p->n}});
  return dq->out[0];
}

qcc_status qcc_nbits_to_floats(qcc_node *n) {
  qcc_graph *g = n->graph;
  packed p;
  (void)read_packed(&p, n);
  qcc_value *in[2] = {n->in[A].value, dequantized(&p, n)};
  QCC_TRY(qcc_graph_status(g));
  qcc_node *product = qcc_add_node(g, n, QCC_OP_MATMUL, NULL, in, 2, 1);
  return product ? take_place(product, n, qcc_in(n, BIAS)) : QCC_NOMEM;
}
