/* SPDX-License-Identifier: Apache-2.0
 * Operators of com.microsoft that transformer and convolution optimizers make from several standard ones: FusedConv, FusedGemm, FusedMatMul,
 * MatMulNBits, BiasGelu, FastGelu, QuickGelu. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/run.h"
#include "backends/ref/simd/kmath.h"

/* ---- activations by name */
typedef struct act_args {
  float p, q;
} act_args;
typedef struct act_row {
  const char *name;
  float (*f)(float x, const act_args *a);
  act_args usual;
} act_row;

#define ACT(NAME, EXPR)                                 \
  static float act_##NAME(float x, const act_args *a) { \
    (void)a;                                            \
    return EXPR;                                        \
  }
ACT(relu, x < 0 ? 0 : x)
ACT(tanh, qcc_km_tanh(x))
ACT(sigmoid, qcc_km_sigmoid(x))
ACT(leaky, x < 0 ? a->p * x : x)
ACT(clip, x<a->p ? a->p : x> a->q ? a->q : x)
ACT(hard_sigmoid, fminf(fmaxf(a->p *x + a->q, 0), 1))
ACT(elu, x < 0 ? a->p * expm1f(x) : x)
ACT(softplus, x > 0 ? x + log1pf(expf(-x)) : log1pf(expf(x)))
ACT(softsign, x / (1 + fabsf(x)))
ACT(thresholded, x > a->p ? x : 0)

static const act_row acts[] = {
    {"Relu", act_relu, {0, 0}},
    {"Tanh", act_tanh, {0, 0}},
    {"Sigmoid", act_sigmoid, {0, 0}},
    {"LeakyRelu", act_leaky, {0.01f, 0}},
    {"Clip", act_clip, {-INFINITY, INFINITY}},
    {"HardSigmoid", act_hard_sigmoid, {0.2f, 0.5f}},
    {"Elu", act_elu, {1, 0}},
    {"Softplus", act_softplus, {0, 0}},
    {"Softsign", act_softsign, {0, 0}},
    {"ThresholdedRelu", act_thresholded, {1, 0}},
};

/* Row of the attribute `activation`; NULL: none is asked for. */
static qcc_status find_act(qcc_kargs *k, const act_row **row, act_args *args) {
  const char *name = qcc_attr_str(k->node, "activation", "");
  uint32_t count;
  const float *list = qcc_attr_floats(k->node, "activation_params", &count);
  *row = NULL;
  if (!name[0]) return QCC_OK;
  for (size_t i = 0; i < sizeof acts / sizeof *acts; ++i)
    if (!strcmp(acts[i].name, name)) *row = &acts[i];
  if (!*row) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-781", "unknown activation \"%.64s\"", name);
  *args = (*row)->usual;
  args->p = count > 0 ? list[0] : qcc_attr_float(k->node, "activation_alpha", args->p);
  args->q = count > 1 ? list[1] : qcc_attr_float(k->node, "activation_beta", args->q);
  return QCC_OK;
}

/* After the kernel of the plain operator: adds input `z_at` when it is there, then the activation. */
static qcc_status finish(qcc_kargs *k, uint32_t z_at) {
  const qcc_tensor *z = qcc_kx_in(k, z_at);
  const act_row *row;
  act_args args;
  QCC_TRY(find_act(k, &row, &args));
  if (!k->want[0]) return QCC_OK;
  float *y = qcc_kout(k, 0);
  const int64_t n = qcc_tensor_count(&k->out[0]);
  if (z && (z->type.dtype != QCC_F32 || qcc_tensor_count(z) != n))
    return qcc_kx_fail(k, QCC_DATA, "D-770", "input %u has %lld elements, %lld are needed", z_at, (long long)qcc_tensor_count(z),
                       (long long)n);
  for (int64_t i = 0; z && i < n; ++i) y[i] += ((const float *)z->data)[i];
  for (int64_t i = 0; row && i < n; ++i) y[i] = row->f(y[i], &args);
  return QCC_OK;
}

static qcc_status need_f32(qcc_kargs *k) { return k->in[0]->type.dtype == QCC_F32 ? QCC_OK : qcc_kx_no_type(k, k->in[0]->type.dtype); }

qcc_status qcc_kernel_fused_conv(qcc_kargs *k) {
  QCC_TRY(need_f32(k));
  QCC_TRY(qcc_kernel_conv(k));
  return finish(k, 3);
}

qcc_status qcc_kernel_fused_gemm(qcc_kargs *k) {
  QCC_TRY(need_f32(k));
  QCC_TRY(qcc_kernel_gemm(k));
  return finish(k, QCC_KX_NO_INPUT);
}

/* ---- FusedMatMul */
/* Operand `i` in the order of a product: first its leading axis moves behind the batch axes, then the last two change places. */
static qcc_status arrange(qcc_kargs *k, uint32_t i, bool swap, bool from_batch, qcc_tensor *to) {
  int64_t stride[QCC_MAX_RANK];
  int order[QCC_MAX_RANK], r = k->in[i]->type.rank;
  *to = *k->in[i];
  if (r < 2 || (!swap && !from_batch)) return QCC_OK;
  for (int d = 0; d < r; ++d) order[d] = d;
  for (int d = 0; from_batch && d < r - 1; ++d) order[d] = d < r - 2 ? d + 1 : 0;
  if (swap) {
    const int last = order[r - 1];
    order[r - 1] = order[r - 2];
    order[r - 2] = last;
  }
  qcc_kx_move m = {.rank = r};
  qcc_kx_strides(stride, k->in[i]->type.dim, r, sizeof(float));
  for (int d = 0; d < r; ++d) {
    m.dim[d] = to->type.dim[d] = k->in[i]->type.dim[order[d]];
    m.from[d] = stride[order[d]];
  }
  qcc_kx_strides(m.to, m.dim, r, sizeof(float));
  float *at = qcc_kscratch(k, to->bytes + 1);
  if (!at) return QCC_NOMEM;
  if (to->bytes) qcc_kx_copy(at, k->in[i]->data, &m, sizeof(float));
  to->data = at;
  return QCC_OK;
}

qcc_status qcc_kernel_fused_matmul(qcc_kargs *k) {
  const float alpha = qcc_attr_float(k->node, "alpha", 1.0f);
  qcc_tensor a, b;
  QCC_TRY(need_f32(k));
  QCC_TRY(arrange(k, 0, qcc_attr_int(k->node, "transA", 0) != 0, qcc_attr_int(k->node, "transBatchA", 0) != 0, &a));
  QCC_TRY(arrange(k, 1, qcc_attr_int(k->node, "transB", 0) != 0, qcc_attr_int(k->node, "transBatchB", 0) != 0, &b));
  const qcc_tensor *in[2] = {&a, &b};
  qcc_kargs plain = *k;
  plain.in = in;
  QCC_TRY(qcc_kernel_matmul(&plain));
  float *y = k->want[0] ? qcc_kout(k, 0) : NULL;
  for (int64_t i = 0, n = y ? qcc_tensor_count(&k->out[0]) : 0; alpha != 1.0f && i < n; ++i) y[i] *= alpha;
  return QCC_OK;
}

/* ---- MatMulNBits: B[n][blocks][block * bits / 8], the low bits of a byte first */
typedef struct nbits {
  int64_t n, k, bits, block, blocks, per_byte;
  const uint8_t *b, *zero; /* zero points packed like codes, each row from a new byte; NULL: float or none */
  const float *scale, *float_zero, *bias;
  const int32_t *group; /* block of every column; NULL: in order */
} nbits;

static int32_t packed_at(const nbits *q, const uint8_t *row, int64_t i) {
  return row[i / q->per_byte] >> (i % q->per_byte * q->bits) & ((1 << q->bits) - 1);
}

static qcc_status nbits_count(qcc_kargs *k, uint32_t i, int64_t want) {
  const int64_t have = qcc_tensor_count(k->in[i]);
  if (have == want) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-770", "input %u has %lld elements, %lld are needed", i, (long long)have, (long long)want);
}

static qcc_status nbits_optional(qcc_kargs *k, nbits *q) {
  const qcc_tensor *zero = qcc_kx_in(k, 3), *group = qcc_kx_in(k, 4), *bias = qcc_kx_in(k, 5);
  if (zero && zero->type.dtype == QCC_U8) {
    QCC_TRY(nbits_count(k, 3, q->n * ((q->blocks + q->per_byte - 1) / q->per_byte)));
    q->zero = zero->data;
  } else if (zero) {
    QCC_TRY(nbits_count(k, 3, q->n * q->blocks));
    q->float_zero = qcc_kx_f32(k, 3);
    if (!q->float_zero) return QCC_NOMEM;
  }
  if (group) {
    if (group->type.dtype != QCC_S32 || qcc_tensor_count(group) < q->k) return qcc_kx_fail(k, QCC_DATA, "D-770", "g_idx is too short");
    q->group = group->data;
    for (int64_t i = 0; i < q->k; ++i)
      if (q->group[i] < 0 || q->group[i] >= q->blocks) return qcc_kx_fail(k, QCC_DATA, "D-703", "g_idx names block %d", (int)q->group[i]);
  }
  if (!bias) return QCC_OK;
  QCC_TRY(nbits_count(k, 5, q->n));
  q->bias = qcc_kx_f32(k, 5);
  return q->bias ? QCC_OK : QCC_NOMEM;
}

static qcc_status nbits_form(qcc_kargs *k, nbits *q) {
  const qcc_type *a = &k->in[0]->type;
  *q = (nbits){.n = qcc_attr_int(k->node, "N", 0), .k = qcc_attr_int(k->node, "K", 0), .bits = qcc_attr_int(k->node, "bits", 4)};
  q->block = qcc_attr_int(k->node, "block_size", 0);
  if (q->bits != 2 && q->bits != 4 && q->bits != 8)
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-790", "bits is %lld; 2, 4 and 8 have a kernel", (long long)q->bits);
  if (qcc_attr_int(k->node, "weight_prepacked", 0))
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-790", "the weight is packed for another processor");
  if (q->n < 1 || q->n > INT32_MAX || q->k < 1 || q->k > INT32_MAX || q->block < 8 || q->block > 1 << 16 || q->block % 8 || a->rank < 1 ||
      a->dim[a->rank - 1] != q->k)
    return qcc_kx_fail(k, QCC_DATA, "D-790", "N %lld, K %lld and block_size %lld do not fit the input", (long long)q->n, (long long)q->k,
                       (long long)q->block);
  q->blocks = (q->k + q->block - 1) / q->block;
  q->per_byte = 8 / q->bits;
  if (k->in[1]->type.dtype != QCC_U8) return qcc_kx_no_type(k, k->in[1]->type.dtype);
  QCC_TRY(nbits_count(k, 1, q->n * q->blocks * (q->block / q->per_byte)));
  QCC_TRY(nbits_count(k, 2, q->n * q->blocks));
  q->b = k->in[1]->data;
  q->scale = qcc_kx_f32(k, 2);
  return q->scale ? nbits_optional(k, q) : QCC_NOMEM;
}

static void nbits_row(const nbits *q, int64_t n, float *to) {
  const int64_t row_bytes = q->blocks * (q->block / q->per_byte), zero_bytes = (q->blocks + q->per_byte - 1) / q->per_byte;
  for (int64_t i = 0; i < q->k; ++i) {
    const int64_t g = q->group ? q->group[i] : i / q->block;
    float zero = (float)(1 << (q->bits - 1));
    if (q->zero) zero = (float)packed_at(q, q->zero + n * zero_bytes, g);
    if (q->float_zero) zero = q->float_zero[n * q->blocks + g];
    to[i] = ((float)packed_at(q, q->b + n * row_bytes, i) - zero) * q->scale[n * q->blocks + g];
  }
}

qcc_status qcc_kernel_matmul_nbits(qcc_kargs *k) {
  qcc_type out = k->in[0]->type;
  qcc_pack pack = {.at = NULL};
  size_t bytes;
  nbits q;
  float *y;
  if (!qcc_kx_is_float(out.dtype)) return qcc_kx_no_type(k, out.dtype);
  QCC_TRY(nbits_form(k, &q));
  out.dim[out.rank - 1] = q.n;
  QCC_TRY(qcc_kx_out_f32(k, 0, &out, &y));
  if (!y || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  const float *a = qcc_kx_f32(k, 0);
  if (!qcc_mul_size((size_t)(q.n * q.k), sizeof(float), &bytes))
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the weight does not fit the memory");
  float *b = qcc_kscratch(k, bytes);
  if (!a || !b) return QCC_NOMEM;
  for (int64_t n = 0; n < q.n; ++n) nbits_row(&q, n, b + n * q.k);
  QCC_TRY(qcc_dense_pack(&pack, k->cx, k->worker->simd, (size_t)q.k, (size_t)q.n, b, true, 1.0f, q.bias));
  const qcc_status st = qcc_dense_run(k->worker, &pack, (size_t)(qcc_tensor_count(k->in[0]) / q.k), a, y, NULL);
  qcc_free(k->cx, pack.at);
  if (st == QCC_OK) qcc_kx_store_f32(k, 0, y);
  return st;
}

/* ---- BiasGelu, FastGelu, QuickGelu */
static float gelu_exact(float x, float p) {
  (void)p;
  return 0.5f * x * (1.0f + erff(x * 0.70710678f));
}
static float gelu_fast(float x, float p) {
  (void)p;
  return 0.5f * x * (1.0f + qcc_km_tanh(0.7978845608f * (x + 0.044715f * x * x * x)));
}
static float gelu_quick(float x, float p) { return x * qcc_km_sigmoid(p * x); }

/* Input 1, when it is there, is added along the last axis. */
static qcc_status gelu_like(qcc_kargs *k, float (*f)(float x, float p), float p) {
  const qcc_type *t = &k->in[0]->type;
  const bool has = qcc_kx_in(k, 1) != NULL;
  const int64_t width = t->rank ? t->dim[t->rank - 1] : 1;
  float *y;
  if (!qcc_kx_is_float(t->dtype)) return qcc_kx_no_type(k, t->dtype);
  if (has && qcc_tensor_count(k->in[1]) != width)
    return qcc_kx_fail(k, QCC_DATA, "D-770", "input 1 has %lld elements, %lld are needed", (long long)qcc_tensor_count(k->in[1]),
                       (long long)width);
  QCC_TRY(qcc_kx_out_f32(k, 0, t, &y));
  if (!y) return QCC_OK;
  const float *x = qcc_kx_f32(k, 0), *bias = has ? qcc_kx_f32(k, 1) : NULL;
  if (!x || (has && !bias)) return QCC_NOMEM;
  for (int64_t i = 0, n = qcc_tensor_count(k->in[0]); i < n; ++i) y[i] = f(bias ? x[i] + bias[i % width] : x[i], p);
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

qcc_status qcc_kernel_bias_gelu(qcc_kargs *k) { return gelu_like(k, gelu_exact, 0); }
qcc_status qcc_kernel_fast_gelu(qcc_kargs *k) { return gelu_like(k, gelu_fast, 0); }
qcc_status qcc_kernel_quick_gelu(qcc_kargs *k) { return gelu_like(k, gelu_quick, qcc_attr_float(k->node, "alpha", 1.702f)); }
