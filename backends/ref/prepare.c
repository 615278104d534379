/* SPDX-License-Identifier: Apache-2.0
 * What open does once for all samples: nodes that read only constants are computed (weights through FakeQuant or DequantizeLinear above
 * all), weights are packed in the order in which the loops read them, and a constant that is read only in packed form is not kept twice.
 * Invariant: packing is done when the reader is met, right after its weights were computed, so the float form of one layer lives at a time. */
#include <string.h>

#include "backends/ref/qint.h"
#include "ir/check.h"

typedef struct prep {
  qcc_runner *r;
  qcc_worker *w;
  uint32_t *readers; /* by value id: uses that still want the plain constant */
  bool *packed;      /* by value id: some use was packed */
} prep;

static const qcc_tensor *known(const prep *p, const qcc_value *v) {
  if (!v) return NULL;
  if (p->r->consts[v->id].data) return &p->r->consts[v->id];
  return v->data;
}

static void drop_reader(prep *p, const qcc_value *v) {
  if (!v || !p->readers[v->id] || --p->readers[v->id]) return;
  qcc_tensor *t = &p->r->consts[v->id];
  const qcc_type type = t->type;
  if (v->data) qcc_buf_cold(v->data->buf); /* read once, for packing or folding */
  if (v->data && p->r->how.spend && !v->is_input) qcc_spend_const((qcc_value *)(uintptr_t)v);
  if (t->buf) qcc_tensor_release(t);
  *t = (qcc_tensor){.type = type};
}

/* ---- folding */
static bool has_body(const qcc_node *n) {
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    if (a->kind == QCC_ATTR_GRAPH || a->kind == QCC_ATTR_GRAPHS) return true;
  return false;
}

static bool foldable(const prep *p, const qcc_node *n) {
  const qcc_op_info *op = qcc_op_get(n->op);
  if (!qcc_kernel_of(n->op) || op->exact == QCC_RANDOM || has_body(n)) return false;
  /* Inside a body a node may never run, so it may not fail here: only what quantization puts on weights. */
  if (n->graph != p->r->g && op->role != QCC_ROLE_QUANT && n->op != QCC_OP_CONSTANT) return false;
  for (uint32_t i = 0; i < n->in_count; ++i)
    if (n->in[i].value && !known(p, n->in[i].value)) return false;
  return true;
}

/* Constant inputs, aligned: copies of those that are not in `own`. NULL: left out or not constant. */
static qcc_status constants_of(prep *p, const qcc_node *n, const qcc_tensor ***in, qcc_tensor **own) {
  *in = qcc_scratch(p->w, (n->in_count + 1) * sizeof **in);
  *own = qcc_scratch(p->w, (n->in_count + 1) * sizeof **own);
  if (!*in || !*own) return QCC_NOMEM;
  memset(*own, 0, (n->in_count + 1) * sizeof **own);
  for (uint32_t i = 0; i < n->in_count; ++i) (*in)[i] = known(p, n->in[i].value);
  qcc_status st = QCC_OK;
  for (uint32_t i = 0; st == QCC_OK && i < n->in_count; ++i) {
    const qcc_tensor *t = (*in)[i];
    if (!t || (uintptr_t)t->data % 16 == 0 || !qcc_dtype_bits(t->type.dtype)) continue;
    st = qcc_tensor_copy(&(*own)[i], p->w->cx, &t->type, t->data);
    (*in)[i] = &(*own)[i];
  }
  for (uint32_t i = 0; st != QCC_OK && i < n->in_count; ++i) qcc_tensor_release(&(*own)[i]);
  return st;
}

static qcc_status fold_node(prep *p, const qcc_node *n) {
  const qcc_scratch_mark mark = qcc_scratch_here(p->w);
  const qcc_tensor **in;
  qcc_tensor *own, *out = qcc_scratch(p->w, (n->out_count + 1) * sizeof *out);
  if (!out) return QCC_NOMEM;
  QCC_TRY(constants_of(p, n, &in, &own));
  p->w->steps = 0;
  qcc_status st = qcc_node_run(p->w, n, qcc_kernel_of(n->op), in, NULL, out);
  for (uint32_t i = 0; i < n->in_count; ++i) {
    qcc_tensor_release(&own[i]);
    if (st == QCC_OK) drop_reader(p, n->in[i].value);
  }
  for (uint32_t i = 0; st == QCC_OK && i < n->out_count; ++i) {
    if (!n->out[i]) continue;
    p->r->folded[n->out[i]->id] = true;
    if (n->out[i]->use_count)
      p->r->consts[n->out[i]->id] = out[i];
    else
      qcc_tensor_release(&out[i]);
  }
  qcc_scratch_back(p->w, mark);
  return st;
}

/* ---- packing */
/* Floats of a constant: its own when they stand well, else a copy in *own. */
static const float *floats(prep *p, const qcc_tensor *t, qcc_tensor *own) {
  if (t->type.dtype == QCC_F32 && (uintptr_t)t->data % sizeof(float) == 0) return t->data;
  qcc_type type = t->type;
  type.dtype = QCC_F32;
  if (qcc_tensor_new(own, p->w->cx, &type) != QCC_OK) return NULL;
  float *to = qcc_tensor_mut(own);
  if (to) qcc_tensor_read_f32(t, to);
  return to;
}

static bool is_float(const qcc_tensor *t) {
  return t && (t->type.dtype == QCC_F32 || t->type.dtype == QCC_F16 || t->type.dtype == QCC_BF16);
}

/* The convolution as far as the graph tells it: sizes are -1 where it does not. */
static qcc_status pack_conv(prep *p, const qcc_node *n, const qcc_tensor *w, const qcc_tensor *b, const float *wf, const float *bf) {
  qcc_window win;
  qcc_conv c;
  int64_t cin;
  if (w->type.rank < 3 || w->type.rank > 5) return QCC_OK;
  QCC_TRY(qcc_window_of(&win, p->w->cx, n, &n->in[0].value->type, &w->type));
  if (win.group > w->type.dim[0] || w->type.dim[0] % win.group || !qcc_mul_s64(w->type.dim[1], win.group, &cin)) return QCC_OK;
  qcc_conv_of(&c, &win, 1, cin, w->type.dim[0]);
  if (b && (b->type.rank != 1 || b->type.dim[0] != c.cout)) return QCC_OK;
  return qcc_conv_pack(&p->r->packs[n->id], p->w->cx, p->w->simd, &c, wf, bf);
}

static qcc_status pack_dense(prep *p, const qcc_node *n, const qcc_tensor *w, const qcc_tensor *b, const float *wf, const float *bf) {
  const bool gemm = n->op == QCC_OP_GEMM, turned = gemm && qcc_attr_int(n, "transB", 0) != 0;
  if (w->type.rank != 2) return QCC_OK;
  const size_t depth = (size_t)w->type.dim[turned], width = (size_t)w->type.dim[!turned];
  if (b && (b->type.dim[b->type.rank - 1] != (int64_t)width || qcc_tensor_count(b) != (int64_t)width)) return QCC_OK;
  return qcc_dense_pack(&p->r->packs[n->id], p->w->cx, p->w->simd, depth, width, wf, turned, gemm ? qcc_attr_float(n, "alpha", 1.0f) : 1.0f,
                        bf);
}

/* Is this a node whose weights (and bias, when there is one) can be packed now? */
static bool packable(const prep *p, const qcc_node *n, const qcc_tensor **w, const qcc_tensor **b) {
  if (n->op != QCC_OP_CONV && n->op != QCC_OP_GEMM && n->op != QCC_OP_MATMUL) return false;
  if (n->in_count < 2) return false;
  const qcc_value *bias = n->op != QCC_OP_MATMUL ? qcc_in(n, 2) : NULL;
  *w = known(p, n->in[1].value);
  *b = known(p, bias);
  if (!is_float(*w) || qcc_tensor_count(*w) == 0 || (bias && !is_float(*b)) || (*b && (*b)->type.rank < 1)) return false;
  return n->op != QCC_OP_GEMM || !bias || qcc_attr_float(n, "beta", 1.0f) == 1.0f;
}

static qcc_status pack_node(prep *p, const qcc_node *n) {
  const qcc_tensor *w, *b;
  if (!packable(p, n, &w, &b)) return QCC_OK;
  qcc_tensor own[2] = {{.data = NULL}, {.data = NULL}};
  const float *wf = floats(p, w, &own[0]), *bf = b ? floats(p, b, &own[1]) : NULL;
  qcc_status st = !wf || (b && !bf) ? QCC_NOMEM : QCC_OK;
  if (st == QCC_OK) st = (n->op == QCC_OP_CONV ? pack_conv : pack_dense)(p, n, w, b, wf, bf);
  qcc_tensor_release(&own[0]);
  qcc_tensor_release(&own[1]);
  const qcc_pack *pack = &p->r->packs[n->id];
  if (st != QCC_OK || !pack->at) return st;
  p->r->stats.packed_bytes += pack->bytes;
  p->packed[n->in[1].value->id] = true;
  drop_reader(p, n->in[1].value);
  if (pack->bias) {
    p->packed[n->in[2].value->id] = true;
    drop_reader(p, n->in[2].value);
  }
  return QCC_OK;
}

/* LSTM, GRU and RNN: each step of a sequence reads all of R. The plain R stays, for batches. */
static qcc_status pack_recurrence(prep *p, const qcc_node *n) {
  if ((n->op != QCC_OP_LSTM && n->op != QCC_OP_GRU && n->op != QCC_OP_RNN) || n->in_count < 3) return QCC_OK;
  const qcc_tensor *r = known(p, n->in[2].value);
  if (!is_float(r) || r->type.rank != 3 || qcc_tensor_count(r) == 0) return QCC_OK;
  qcc_tensor own = {.data = NULL};
  const float *rf = floats(p, r, &own);
  if (!rf) return QCC_NOMEM;
  const int64_t *d = r->type.dim;
  const qcc_status st = qcc_recurrence_pack(&p->r->packs[n->id], p->w->cx, p->w->simd, (size_t)d[0], (size_t)d[2], (size_t)d[1], rf);
  qcc_tensor_release(&own);
  p->r->stats.packed_bytes += p->r->packs[n->id].bytes;
  return st;
}

/* Products on codes. The plain weights stay: a kernel reads them where shapes are not known beforehand. */
static qcc_status pack_codes(prep *p, const qcc_node *n) {
  if (n->graph != p->r->g || qcc_op_get(n->op)->role != QCC_ROLE_QUANT) return QCC_OK;
  const qcc_scratch_mark mark = qcc_scratch_here(p->w);
  const qcc_tensor **in;
  qcc_tensor *own;
  QCC_TRY(constants_of(p, n, &in, &own));
  qcc_status st = qcc_ipack_node(&p->r->ipacks[n->id], p->r, n, in);
  for (uint32_t i = 0; i < n->in_count; ++i) qcc_tensor_release(&own[i]);
  qcc_scratch_back(p->w, mark);
  return st;
}

/* ---- plain constants */
static qcc_status keep_const(prep *p, const qcc_value *v) {
  qcc_tensor *to = &p->r->consts[v->id];
  if (!v->data) return QCC_OK;
  to->type = v->data->type;
  if (p->packed[v->id] && !p->readers[v->id]) return QCC_OK;
  if (qcc_dtype_bits(v->data->type.dtype) && (uintptr_t)v->data->data % 16)
    return qcc_tensor_copy(to, p->w->cx, &v->data->type, v->data->data);
  *to = *v->data;
  to->buf = NULL; /* the graph owns it */
  return QCC_OK;
}

static qcc_status each_graph(qcc_graph *g, void *user) {
  prep *p = user;
  for (uint32_t i = 0; i < g->const_count; ++i) p->readers[g->consts[i]->id] = g->consts[i]->use_count;
  QCC_FOR_NODES(n, g) {
    for (uint32_t i = 0; i < n->out_count; ++i)
      if (n->out[i]) p->readers[n->out[i]->id] = n->out[i]->use_count;
    if (foldable(p, n)) {
      QCC_TRY(fold_node(p, n));
      continue;
    }
    QCC_TRY(pack_node(p, n));
    QCC_TRY(pack_recurrence(p, n));
    QCC_TRY(pack_codes(p, n));
  }
  for (uint32_t i = 0; i < g->const_count; ++i)
    if (!g->consts[i]->def) QCC_TRY(keep_const(p, g->consts[i]));
  return QCC_OK;
}

qcc_status qcc_prepare(qcc_runner *r) {
  const size_t values = (size_t)r->g->next_value_id + 1, nodes = (size_t)r->g->next_node_id + 1;
  prep p = {.r = r, .w = &r->workers[0]};
  r->consts = qcc_zalloc_array(r->cx, values, sizeof *r->consts);
  r->packs = qcc_zalloc_array(r->cx, nodes, sizeof *r->packs);
  r->ipacks = qcc_zalloc_array(r->cx, nodes, sizeof *r->ipacks);
  r->folded = qcc_zalloc_array(r->cx, values, sizeof *r->folded);
  p.readers = qcc_zalloc_array(r->cx, values, sizeof *p.readers);
  p.packed = qcc_zalloc_array(r->cx, values, sizeof *p.packed);
  qcc_status st = r->consts && r->packs && r->ipacks && r->folded && p.readers && p.packed ? QCC_OK : QCC_NOMEM;
  if (st == QCC_OK) st = qcc_graph_walk((qcc_graph *)(uintptr_t)r->g, each_graph, &p);
  qcc_free(r->cx, p.readers);
  qcc_free(r->cx, p.packed);
  return st;
}
