/* SPDX-License-Identifier: Apache-2.0
 * Operators around attention: LinearAttention and CausalConvWithState, which carry a state from call to call; RotaryEmbedding, SwiGLU and
 * TensorScatter. All compute in f32; the shape rules have checked all sizes. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/simd/kmath.h"

static qcc_status all_floats(qcc_kargs *k) {
  for (uint32_t i = 0; i < k->in_count; ++i)
    if (k->in[i] && !qcc_kx_is_float(k->in[i]->type.dtype)) return qcc_kx_no_type(k, k->in[i]->type.dtype);
  return QCC_OK;
}

/* Input as f32, NULL when it is left out. */
static qcc_status optional_f32(qcc_kargs *k, uint32_t i, const float **to) {
  *to = qcc_kx_in(k, i) ? qcc_kx_f32(k, i) : NULL;
  return qcc_kx_in(k, i) && !*to ? QCC_NOMEM : QCC_OK;
}

/* ---- LinearAttention: per head of key and value a state [size][v_size] */
typedef struct linear {
  int64_t batch, heads, kv_heads, group, length, size, v_size, decays, betas; /* last two: gates per head or per batch */
  const float *q, *k, *v, *decay, *beta;
  float *y, *state, *fresh; /* fresh: v_size floats of scratch */
  float scale;
} linear;

static void decay_state(const linear *a, float *s, int64_t t, int64_t h) {
  const bool per_key = a->decays == a->kv_heads * a->size && a->size != 1;
  for (int64_t d = 0; d < a->size; ++d) {
    const float g = expf(a->decay[t * a->decays + (per_key ? h * a->size + d : h)]);
    for (int64_t m = 0; m < a->v_size; ++m) s[d * a->v_size + m] *= g;
  }
}

/* The part of the value that the state does not hold yet. */
static void correct_value(const linear *a, const float *s, const float *key, int64_t t, int64_t h) {
  const float beta = a->beta[t * a->betas + (a->betas == 1 ? 0 : h)];
  for (int64_t d = 0; d < a->size; ++d)
    for (int64_t m = 0; m < a->v_size; ++m) a->fresh[m] -= s[d * a->v_size + m] * key[d];
  for (int64_t m = 0; m < a->v_size; ++m) a->fresh[m] *= beta;
}

/* One token (t counts over the batch too) of one head. */
static void linear_step(const linear *a, float *s, int64_t t, int64_t h) {
  const float *key = a->k + (t * a->kv_heads + h) * a->size;
  memcpy(a->fresh, a->v + (t * a->kv_heads + h) * a->v_size, (size_t)a->v_size * sizeof(float));
  if (a->decay) decay_state(a, s, t, h);
  if (a->beta) correct_value(a, s, key, t, h);
  for (int64_t d = 0; d < a->size; ++d)
    for (int64_t m = 0; m < a->v_size; ++m) s[d * a->v_size + m] += key[d] * a->fresh[m];
  for (int64_t g = 0; a->y && g < a->group; ++g) {
    const int64_t row = t * a->heads + h * a->group + g;
    float *y = a->y + row * a->v_size;
    memset(y, 0, (size_t)a->v_size * sizeof *y);
    for (int64_t d = 0; d < a->size; ++d) {
      const float q = a->q[row * a->size + d] * a->scale;
      for (int64_t m = 0; m < a->v_size; ++m) y[m] += q * s[d * a->v_size + m];
    }
  }
}

static qcc_status read_linear(qcc_kargs *k, linear *a) {
  const char *rule = qcc_attr_str(k->node, "update_rule", "gated_delta");
  const qcc_type *q = &k->in[0]->type, *v = &k->in[2]->type;
  *a = (linear){.batch = q->dim[0], .length = q->dim[1], .heads = qcc_attr_int(k->node, "q_num_heads", 1)};
  a->kv_heads = qcc_attr_int(k->node, "kv_num_heads", 1);
  a->group = a->heads / a->kv_heads;
  a->size = q->dim[2] / a->heads;
  a->v_size = v->dim[2] / a->kv_heads;
  a->scale = qcc_attr_float(k->node, "scale", 0);
  if (a->scale == 0) a->scale = (float)(1 / sqrt((double)a->size));
  QCC_TRY(all_floats(k));
  QCC_TRY(optional_f32(k, 0, &a->q));
  QCC_TRY(optional_f32(k, 1, &a->k));
  QCC_TRY(optional_f32(k, 2, &a->v));
  if (strstr(rule, "gated")) QCC_TRY(optional_f32(k, 4, &a->decay));
  if (strstr(rule, "delta")) QCC_TRY(optional_f32(k, 5, &a->beta));
  if (a->decay) a->decays = k->in[4]->type.dim[2];
  if (a->beta) a->betas = k->in[5]->type.dim[2];
  a->fresh = qcc_kscratch(k, ((size_t)a->v_size + 1) * sizeof(float));
  return a->fresh ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_kernel_linear_attention(qcc_kargs *k) {
  linear a;
  const float *past;
  QCC_TRY(read_linear(k, &a));
  QCC_TRY(optional_f32(k, 3, &past));
  qcc_type y = k->in[0]->type;
  y.dim[2] = a.heads * a.v_size;
  const qcc_dtype kept = past ? k->in[3]->type.dtype : y.dtype;
  const qcc_type state = qcc_type_of(kept, 4, (int64_t[]){a.batch, a.kv_heads, a.size, a.v_size});
  QCC_TRY(qcc_kx_out_f32(k, 0, &y, &a.y));
  QCC_TRY(qcc_kx_out_f32(k, 1, &state, &a.state));
  const int64_t each = a.size * a.v_size, all = a.batch * a.kv_heads * each;
  const bool wanted = a.state != NULL;
  if (!wanted) a.state = qcc_kscratch(k, (size_t)all * sizeof(float));
  if (!a.state) return QCC_NOMEM;
  if (past)
    memcpy(a.state, past, (size_t)all * sizeof(float));
  else
    memset(a.state, 0, (size_t)all * sizeof(float));
  for (int64_t p = 0; p < a.batch * a.kv_heads; ++p)
    for (int64_t t = 0; t < a.length; ++t) linear_step(&a, a.state + p * each, p / a.kv_heads * a.length + t, p % a.kv_heads);
  qcc_kx_store_f32(k, 0, a.y);
  if (wanted) qcc_kx_store_f32(k, 1, a.state);
  return QCC_OK;
}

/* ---- CausalConvWithState: each channel with its own kernel over [state, input] */
qcc_status qcc_kernel_causal_conv(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const int64_t taps = k->in[1]->type.dim[2], keep = taps - 1, length = x->dim[2], lines = x->dim[0] * x->dim[1];
  const bool swish = strcmp(qcc_attr_str(k->node, "activation", "none"), "none") != 0;
  const float *from, *w, *bias, *past;
  float *y, *state;
  qcc_type st = *x;
  st.dim[2] = keep;
  QCC_TRY(all_floats(k));
  QCC_TRY(optional_f32(k, 0, &from));
  QCC_TRY(optional_f32(k, 1, &w));
  QCC_TRY(optional_f32(k, 2, &bias));
  QCC_TRY(optional_f32(k, 3, &past));
  QCC_TRY(qcc_kx_out_f32(k, 0, x, &y));
  QCC_TRY(qcc_kx_out_f32(k, 1, &st, &state));
  float *line = qcc_kscratch(k, ((size_t)keep + (size_t)length + 1) * sizeof *line);
  if (!line) return QCC_NOMEM;
  for (int64_t l = 0; l < lines; ++l) {
    const int64_t c = l % x->dim[1];
    for (int64_t i = 0; i < keep; ++i) line[i] = past ? past[l * keep + i] : 0;
    if (length) memcpy(line + keep, from + l * length, (size_t)length * sizeof *line);
    for (int64_t i = 0; y && i < length; ++i) {
      float sum = bias ? bias[c] : 0;
      for (int64_t t = 0; t < taps; ++t) sum += line[i + t] * w[c * taps + t];
      y[l * length + i] = swish ? sum * qcc_km_sigmoid(sum) : sum;
    }
    if (state && keep) memcpy(state + l * keep, line + length, (size_t)keep * sizeof *line);
  }
  qcc_kx_store_f32(k, 0, y);
  qcc_kx_store_f32(k, 1, state);
  return QCC_OK;
}

/* ---- RotaryEmbedding */
typedef struct rotary {
  int64_t half, size;
  bool interleaved;
} rotary;

static void rotate(const rotary *r, float *y, const float *x, const float *cosines, const float *sines) {
  const int64_t step = r->interleaved ? 2 : 1, second = r->interleaved ? 1 : r->half;
  for (int64_t i = 0; i < r->half; ++i) {
    const float a = x[i * step], b = x[i * step + second];
    y[i * step] = cosines[i] * a - sines[i] * b;
    y[i * step + second] = sines[i] * a + cosines[i] * b;
  }
  for (int64_t i = 2 * r->half; i < r->size; ++i) y[i] = x[i];
}

qcc_status qcc_kernel_rotary(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const qcc_tensor *ids = qcc_kx_in(k, 3);
  const bool packed = x->rank == 3;
  const int64_t heads = packed ? qcc_attr_int(k->node, "num_heads", 1) : x->dim[1], length = x->dim[packed ? 1 : 2];
  const int64_t rotated = qcc_attr_int(k->node, "rotary_embedding_dim", 0), places = k->in[1]->type.dim[0];
  rotary r = {.size = packed ? x->dim[2] / heads : x->dim[3], .interleaved = qcc_attr_int(k->node, "interleaved", 0) != 0};
  const float *from, *cosines, *sines;
  float *y;
  r.half = (rotated ? rotated : r.size) / 2;
  for (uint32_t i = 0; i < 3; ++i)
    if (!qcc_kx_is_float(k->in[i]->type.dtype)) return qcc_kx_no_type(k, k->in[i]->type.dtype);
  if (ids && k->in[2]->type.dim[0] != places) return qcc_kx_fail(k, QCC_DATA, "D-241", "the caches hold different numbers of positions");
  QCC_TRY(optional_f32(k, 0, &from));
  QCC_TRY(optional_f32(k, 1, &cosines));
  QCC_TRY(optional_f32(k, 2, &sines));
  QCC_TRY(qcc_kx_out_f32(k, 0, x, &y));
  for (int64_t p = 0; y && p < x->dim[0] * length; ++p) {
    const int64_t at = ids ? qcc_tensor_get_s64(ids, p) : p;
    if (ids && (at < 0 || at >= places))
      return qcc_kx_fail(k, QCC_DATA, "D-242", "position %lld is outside [0, %lld)", (long long)at, (long long)places);
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t row = packed ? p * heads + h : (p / length * heads + h) * length + p % length;
      rotate(&r, y + row * r.size, from + row * r.size, cosines + at * r.half, sines + at * r.half);
    }
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- SwiGLU */
qcc_status qcc_kernel_swiglu(qcc_kargs *k) {
  const float alpha = qcc_attr_float(k->node, "alpha", 1.0f);
  const float *gate, *value;
  float *y;
  QCC_TRY(all_floats(k));
  QCC_TRY(optional_f32(k, 0, &gate));
  QCC_TRY(optional_f32(k, 1, &value));
  QCC_TRY(qcc_kx_out_f32(k, 0, &k->in[0]->type, &y));
  for (int64_t i = 0, n = qcc_tensor_count(k->in[0]); y && i < n; ++i) y[i] = gate[i] * qcc_km_sigmoid(alpha * gate[i]) * value[i];
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- TensorScatter: rows of the update over rows of the cache */
qcc_status qcc_kernel_tensor_scatter(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type, *u = &k->in[1]->type;
  const qcc_tensor *starts = qcc_kx_in(k, 2);
  const bool circular = strcmp(qcc_attr_str(k->node, "mode", "linear"), "circular") == 0;
  size_t elem;
  void *to;
  int axis;
  QCC_TRY(qcc_kx_elem(k, x->dtype, &elem));
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", -2), x->rank, &axis));
  QCC_TRY(qcc_kx_out(k, 0, x, &to));
  if (!to) return QCC_OK;
  const int64_t most = x->dim[axis], rows = u->dim[axis], row = qcc_kx_product(x->dim, axis + 1, x->rank) * (int64_t)elem;
  const int64_t outer = qcc_kx_product(x->dim, 0, axis), per_batch = qcc_kx_product(x->dim, 1, axis);
  memmove(to, k->in[0]->data, k->in[0]->bytes);
  for (int64_t o = 0; o < outer; ++o) {
    const int64_t start = starts ? qcc_tensor_get_s64(starts, o / per_batch) : 0;
    if (start < 0 || start > INT64_MAX - rows || (!circular && start + rows > most))
      return qcc_kx_fail(k, QCC_DATA, "D-243", "%lld rows from row %lld on do not fit a cache of %lld", (long long)rows, (long long)start,
                         (long long)most);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t at = circular ? (start + i) % most : start + i;
      memcpy((char *)to + (o * most + at) * row, (const char *)k->in[1]->data + (o * rows + i) * row, (size_t)row);
    }
  }
  return QCC_OK;
}
