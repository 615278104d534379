/* SPDX-License-Identifier: Apache-2.0
 * Normalizations: batch, instance, layer, group, RMS, LRN, Lp, mean-variance. Computed in f32, sums in double.
 * All but LRN and batch reduce contiguous runs: a run is normalized, then scaled and shifted by its channel or position. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/simd/simd.h"

typedef struct moments {
  double mean, variance;
} moments;

/* Two passes: the variance of large means does not cancel. */
static moments moments_of(const float *x, int64_t n) {
  double lane[8] = {0}, sum = 0, square = 0;
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int j = 0; j < 8; ++j) lane[j] += (double)x[i + j];
  }
  for (; i < n; ++i) sum += (double)x[i];
  for (int j = 0; j < 8; ++j) {
    sum += lane[j];
    lane[j] = 0;
  }
  double mean = sum / (double)n;
  for (i = 0; i + 8 <= n; i += 8) {
    for (int j = 0; j < 8; ++j) lane[j] += ((double)x[i + j] - mean) * ((double)x[i + j] - mean);
  }
  for (; i < n; ++i) square += ((double)x[i] - mean) * ((double)x[i] - mean);
  for (int j = 0; j < 8; ++j) square += lane[j];
  return (moments){mean, square / (double)n};
}

static void affine(float *y, const float *x, int64_t n, float scale, float shift) {
  for (int64_t i = 0; i < n; ++i) y[i] = x[i] * scale + shift;
}

/* Common opening: input 0 in f32, output 0 in f32. *y is NULL when there is nothing to do. */
static qcc_status begin(qcc_kargs *k, const float **x, float **y) {
  const qcc_type *t = &k->in[0]->type;
  *y = NULL;
  if (!qcc_kx_is_float(t->dtype)) return qcc_kx_no_type(k, t->dtype);
  *x = qcc_kx_f32(k, 0);
  return *x ? qcc_kx_out_f32(k, 0, t, y) : QCC_NOMEM;
}

/* Input `i` in f32 with exactly n elements; NULL when it is left out. */
static qcc_status vector(qcc_kargs *k, uint32_t i, int64_t n, const float **to) {
  *to = NULL;
  if (!qcc_kx_in(k, i)) return QCC_OK;
  if (qcc_tensor_count(k->in[i]) != n) {
    return qcc_kx_fail(k, QCC_DATA, "D-770", "input %u has %lld elements, %lld are needed", i, (long long)qcc_tensor_count(k->in[i]),
                       (long long)n);
  }
  *to = qcc_kx_f32(k, i);
  return *to ? QCC_OK : QCC_NOMEM;
}

static qcc_status need_rank(qcc_kargs *k, int rank) {
  if (k->in[0]->type.rank >= rank) return QCC_OK;
  return qcc_kx_fail(k, QCC_DATA, "D-771", "rank %d is below the %d that the operator needs", k->in[0]->type.rank, rank);
}

/* Statistics of this batch; the running ones move towards them. */
static qcc_status batch_norm_training(qcc_kargs *k) {
  const qcc_type *t = &k->in[0]->type, stats = k->in[3]->type;
  const int64_t channels = t->rank > 1 ? t->dim[1] : 1, run = t->rank > 1 ? qcc_kx_product(t->dim, 2, t->rank) : 1;
  const int64_t batch = t->dim[0], each = batch * run;
  const double keep = (double)qcc_attr_float(k->node, "momentum", 0.9f), epsilon = (double)qcc_attr_float(k->node, "epsilon", 1e-5f);
  const float *x = NULL, *v[5] = {NULL};
  float *y, *mean, *variance;
  QCC_TRY(begin(k, &x, &y));
  for (uint32_t i = 1; i < 5; ++i) QCC_TRY(vector(k, i, channels, &v[i]));
  QCC_TRY(qcc_kx_out_f32(k, 1, &stats, &mean));
  QCC_TRY(qcc_kx_out_f32(k, 2, &k->in[4]->type, &variance));
  for (int64_t c = 0; c < channels; ++c) {
    double sum = 0, square = 0;
    for (int64_t i = 0; i < each; ++i) sum += (double)x[(i / run * channels + c) * run + i % run];
    const double m = each ? sum / (double)each : 0;
    for (int64_t i = 0; i < each; ++i) {
      const double d = (double)x[(i / run * channels + c) * run + i % run] - m;
      square += d * d;
    }
    const double var = each ? square / (double)each : 0, scale = (double)v[1][c] / sqrt(var + epsilon);
    for (int64_t b = 0; y && b < batch; ++b)
      affine(y + (b * channels + c) * run, x + (b * channels + c) * run, run, (float)scale, (float)((double)v[2][c] - m * scale));
    if (mean) mean[c] = (float)((double)v[3][c] * keep + m * (1 - keep));
    if (variance) variance[c] = (float)((double)v[4][c] * keep + var * (1 - keep));
  }
  for (uint32_t i = 0; i < 3 && i < k->out_count; ++i) qcc_kx_store_f32(k, i, i == 0 ? y : i == 1 ? mean : variance);
  return QCC_OK;
}

qcc_status qcc_kernel_batch_norm(qcc_kargs *k) {
  const qcc_type *t = &k->in[0]->type;
  const float *x = NULL, *v[5] = {NULL};
  float *y, epsilon = qcc_attr_float(k->node, "epsilon", 1e-5f);
  QCC_TRY(need_rank(k, 1));
  if (k->opset >= 14 && qcc_attr_int(k->node, "training_mode", 0)) return batch_norm_training(k);
  for (uint32_t i = 1; i < k->out_count; ++i) {
    if (k->want[i]) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-772", "output %u exists in training only", i);
  }
  int64_t channels = t->rank > 1 ? t->dim[1] : 1, run = t->rank > 1 ? qcc_kx_product(t->dim, 2, t->rank) : 1;
  bool per_element = k->opset < 9 && !qcc_attr_int(k->node, "spatial", 1);
  if (per_element) {
    channels *= run;
    run = 1;
  }
  QCC_TRY(begin(k, &x, &y));
  for (uint32_t i = 1; i < 5; ++i) QCC_TRY(vector(k, i, channels, &v[i]));
  if (!y) return QCC_OK;
  for (int64_t i = 0, n = qcc_tensor_count(k->in[0]); i < n; i += run) {
    int64_t c = i / run % channels;
    double scale = (double)v[1][c] / sqrt((double)v[4][c] + (double)epsilon);
    affine(y + i, x + i, run, (float)scale, (float)((double)v[2][c] - (double)v[3][c] * scale));
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* Groups of channels, each with moments of its own; scale and bias are per group or per channel, as `params` tells. */
static qcc_status norm_groups(qcc_kargs *k, int64_t groups, int64_t params) {
  const qcc_type *t = &k->in[0]->type;
  const float *x = NULL, *scale = NULL, *bias = NULL;
  float *y, epsilon = qcc_attr_float(k->node, "epsilon", 1e-5f);
  const int64_t channels = t->dim[1], plane = qcc_kx_product(t->dim, 2, t->rank), n = qcc_tensor_count(k->in[0]);
  const int64_t per_group = groups ? channels / groups : 0, run = per_group * plane;
  moments m = {0, 0};
  QCC_TRY(vector(k, 1, params, &scale));
  QCC_TRY(vector(k, 2, params, &bias));
  QCC_TRY(begin(k, &x, &y));
  for (int64_t i = 0; y && i < n; i += plane) {
    const int64_t c = i / plane % channels, at = params == groups ? c / per_group : c;
    if (i % run == 0) m = moments_of(x + i, run);
    const double s = (double)scale[at] / sqrt(m.variance + (double)epsilon);
    affine(y + i, x + i, plane, (float)s, (float)((double)bias[at] - m.mean * s));
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

qcc_status qcc_kernel_instance_norm(qcc_kargs *k) {
  QCC_TRY(need_rank(k, 2));
  const int64_t channels = k->in[0]->type.dim[1];
  return norm_groups(k, channels, channels);
}

/* Before opset 21 scale and bias are per group, then per channel. */
qcc_status qcc_kernel_group_norm(qcc_kargs *k) {
  const int64_t groups = qcc_attr_int(k->node, "num_groups", 0);
  QCC_TRY(need_rank(k, 2));
  const int64_t channels = k->in[0]->type.dim[1];
  if (groups <= 0 || channels % groups)
    return qcc_kx_fail(k, QCC_DATA, "D-773", "%lld channels do not divide into %lld groups", (long long)channels, (long long)groups);
  return norm_groups(k, groups, k->opset < 21 ? groups : channels);
}

/* ---- LayerNormalization, RMSNormalization */
/* Element of a parameter for position `j` of row `r`, by broadcasting; precomputed as strides over the whole shape. */
static qcc_status spread(qcc_kargs *k, uint32_t i, const float **to) {
  const qcc_tensor *p = qcc_kx_in(k, i);
  const qcc_type *t = &k->in[0]->type;
  qcc_kx_bcast b;
  *to = NULL;
  if (!p) return QCC_OK;
  if (!qcc_kx_bcast_init(&b, t, (const qcc_type *const[]){&p->type}, 1))
    return qcc_kx_fail(k, QCC_DATA, "D-705", "input %u does not broadcast to the data", i);
  const float *from = qcc_kx_f32(k, i);
  float *all = qcc_kscratch(k, (size_t)qcc_tensor_count(k->in[0]) * sizeof *all);
  if (!from || !all) return QCC_NOMEM;
  *to = all;
  if (qcc_tensor_count(k->in[0]) == 0) return QCC_OK;
  do {
    for (int64_t j = 0, n = b.dim[b.rank - 1]; j < n; ++j) all[b.done + j] = from[b.offset[0] + j * b.stride[0][b.rank - 1]];
  } while (qcc_kx_bcast_next(&b));
  return QCC_OK;
}

/* A parameter that covers exactly the normalized axes repeats with every row: *period is its length, else the whole tensor. */
static qcc_status parameter(qcc_kargs *k, uint32_t i, int axis, const float **to, int64_t *period) {
  const qcc_tensor *p = qcc_kx_in(k, i);
  const qcc_type *t = &k->in[0]->type;
  bool rows = p && p->type.rank <= t->rank - axis && qcc_tensor_count(p) == qcc_kx_product(t->dim, axis, t->rank);
  *period = qcc_kx_product(t->dim, rows ? axis : 0, t->rank);
  return rows ? vector(k, i, *period, to) : spread(k, i, to);
}

typedef struct layer {
  const float *x, *scale, *bias;
  float *y, *mean, *inverse;
  int64_t run, scale_period, bias_period, n;
  double epsilon;
  bool centre;
} layer;

static void normalize_rows(const qcc_simd *simd, const layer *l) {
  for (int64_t i = 0, row = 0; i < l->n; i += l->run, ++row) {
    moments m = moments_of(l->x + i, l->run);
    double mean = l->centre ? m.mean : 0, square = l->centre ? m.variance : m.variance + m.mean * m.mean;
    double inverse = 1 / sqrt(square + l->epsilon);
    if (l->mean) l->mean[row] = (float)mean;
    if (l->inverse) l->inverse[row] = (float)inverse;
    if (!l->y) continue;
    const float *scale = l->scale ? l->scale + i % l->scale_period : NULL, *bias = l->bias ? l->bias + i % l->bias_period : NULL;
    float *y = l->y + i;
    for (int64_t j = 0; j < l->run; ++j) y[j] = (float)(((double)l->x[i + j] - mean) * inverse);
    if (scale) simd->arith(QCC_ARITH_MUL, y, y, scale, (size_t)l->run);
    if (bias) simd->arith(QCC_ARITH_ADD, y, y, bias, (size_t)l->run);
  }
}

/* Statistics, f32 unless stash_type says otherwise: the mean goes to output `mean_at`, one over the deviation to `inverse_at`. */
enum { NO_OUTPUT = 0xffff };
static qcc_status layer_like(qcc_kargs *k, bool centre, uint32_t mean_at, uint32_t inverse_at) {
  const qcc_type *t = &k->in[0]->type;
  layer l = {.centre = centre, .epsilon = (double)qcc_attr_float(k->node, "epsilon", 1e-5f), .n = qcc_tensor_count(k->in[0])};
  int axis;
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", -1), t->rank, &axis));
  l.run = qcc_kx_product(t->dim, axis, t->rank);
  QCC_TRY(parameter(k, 1, axis, &l.scale, &l.scale_period));
  QCC_TRY(parameter(k, 2, axis, &l.bias, &l.bias_period));
  QCC_TRY(begin(k, &l.x, &l.y));
  qcc_type s = *t;
  s.dtype = centre && (qcc_dtype)qcc_attr_int(k->node, "stash_type", 1) == QCC_BF16 ? QCC_BF16 : QCC_F32;
  for (int d = axis; d < s.rank; ++d) s.dim[d] = 1;
  QCC_TRY(qcc_kx_out_f32(k, mean_at, &s, &l.mean));
  QCC_TRY(qcc_kx_out_f32(k, inverse_at, &s, &l.inverse));
  normalize_rows(qcc_ksimd(k), &l);
  qcc_kx_store_f32(k, 0, l.y);
  qcc_kx_store_f32(k, mean_at, l.mean);
  qcc_kx_store_f32(k, inverse_at, l.inverse);
  return QCC_OK;
}

qcc_status qcc_kernel_layer_norm(qcc_kargs *k) { return layer_like(k, true, 1, 2); }
qcc_status qcc_kernel_rms_norm(qcc_kargs *k) { return layer_like(k, false, NO_OUTPUT, NO_OUTPUT); }
qcc_status qcc_kernel_simplified_layer_norm(qcc_kargs *k) { return layer_like(k, false, NO_OUTPUT, 1); }

/* ---- SkipLayerNormalization, EmbedLayerNormalization of com.microsoft */
/* What is normalized is a sum first: output `at` where somebody wants it, else scratch. */
static qcc_status open_sum(qcc_kargs *k, uint32_t at, const qcc_type *t, int64_t n, float **shown, float **sum) {
  QCC_TRY(qcc_kx_out_f32(k, at, t, shown));
  *sum = *shown ? *shown : qcc_kscratch(k, (size_t)(n + 1) * sizeof **sum);
  return *sum ? QCC_OK : QCC_NOMEM;
}

static void close_sum(qcc_kargs *k, layer *l, const float *sum, uint32_t at, const float *shown) {
  l->x = sum;
  if (l->run) normalize_rows(qcc_ksimd(k), l);
  qcc_kx_store_f32(k, 0, l->y);
  if (k->out_count > at) qcc_kx_store_f32(k, at, shown);
}

/* The rows of input `i`, repeated over leading axes that it does not have or has with size 1. */
static qcc_status repeated(qcc_kargs *k, uint32_t i, int64_t width, int64_t n, const float **to, int64_t *period) {
  *to = NULL;
  *period = qcc_kx_in(k, i) ? qcc_tensor_count(k->in[i]) : 0;
  if (!*period) return QCC_OK;
  if (!width || n % *period || *period % width) return qcc_kx_fail(k, QCC_DATA, "D-705", "input %u does not broadcast to the data", i);
  *to = qcc_kx_f32(k, i);
  return *to ? QCC_OK : QCC_NOMEM;
}

/* Rows of `width` in `l->x` normalized; statistics, when wanted, are outputs 1 and 2. */
static qcc_status skip_like(qcc_kargs *k, bool centre, uint32_t beta_at, uint32_t bias_at) {
  const qcc_type *t = &k->in[0]->type;
  layer l = {.centre = centre, .epsilon = (double)qcc_attr_float(k->node, "epsilon", 1e-12f), .n = qcc_tensor_count(k->in[0])};
  const float *x = NULL, *skip, *bias;
  int64_t skip_period, bias_period;
  float *shown, *sum;
  QCC_TRY(need_rank(k, 1));
  l.run = l.scale_period = l.bias_period = t->dim[t->rank - 1];
  QCC_TRY(repeated(k, 1, l.run, l.n, &skip, &skip_period));
  QCC_TRY(repeated(k, bias_at, l.run, l.n, &bias, &bias_period));
  QCC_TRY(vector(k, 2, l.run, &l.scale));
  QCC_TRY(vector(k, beta_at, l.run, &l.bias));
  QCC_TRY(begin(k, &x, &l.y));
  qcc_type s = qcc_kx_like(t, QCC_F32);
  s.dim[s.rank - 1] = 1;
  QCC_TRY(qcc_kx_out_f32(k, 1, &s, &l.mean));
  QCC_TRY(qcc_kx_out_f32(k, 2, &s, &l.inverse));
  QCC_TRY(open_sum(k, 3, t, l.n, &shown, &sum));
  for (int64_t i = 0; i < l.n; ++i) sum[i] = x[i] + (skip ? skip[i % skip_period] : 0.0f) + (bias ? bias[i % bias_period] : 0.0f);
  close_sum(k, &l, sum, 3, shown);
  return QCC_OK;
}

qcc_status qcc_kernel_skip_layer_norm(qcc_kargs *k) { return skip_like(k, true, 3, 4); }
qcc_status qcc_kernel_skip_rms_norm(qcc_kargs *k) { return skip_like(k, false, QCC_KX_NO_INPUT, 3); }

typedef struct table {
  const float *rows;
  int64_t count;
  const qcc_tensor *ids; /* NULL: the position */
  int64_t period;        /* of ids */
} table;

static qcc_status read_table(qcc_kargs *k, uint32_t at, uint32_t ids_at, int64_t width, table *t) {
  const qcc_tensor *e = qcc_kx_in(k, at);
  *t = (table){.ids = qcc_kx_in(k, ids_at)};
  if (!e) return QCC_OK;
  if (e->type.rank != 2 || e->type.dim[1] != width)
    return qcc_kx_fail(k, QCC_DATA, "D-792", "input %u is no table of %lld columns", at, (long long)width);
  t->count = e->type.dim[0];
  t->period = t->ids ? qcc_tensor_count(t->ids) : 0;
  t->rows = qcc_kx_f32(k, at);
  return t->rows ? QCC_OK : QCC_NOMEM;
}

static qcc_status add_embedding(qcc_kargs *k, const table *t, int64_t n, int64_t seq, int64_t width, float *to) {
  if (!t->rows) return QCC_OK;
  if (t->ids && (!t->period || n % t->period)) return qcc_kx_fail(k, QCC_DATA, "D-792", "ids do not fit %lld positions", (long long)n);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t id = t->ids ? qcc_tensor_get_s64(t->ids, i % t->period) : i % seq;
    if (id < 0 || id >= t->count)
      return qcc_kx_fail(k, QCC_DATA, "D-792", "id %lld is outside a table of %lld rows", (long long)id, (long long)t->count);
    for (int64_t j = 0; j < width; ++j) to[i * width + j] += t->rows[id * width + j];
  }
  return QCC_OK;
}

/* Sum of three embeddings, normalized; output 1 counts the ones of each row of the mask. */
qcc_status qcc_kernel_embed_layer_norm(qcc_kargs *k) {
  const qcc_type *ids = &k->in[0]->type, *e = &k->in[2]->type;
  const qcc_tensor *mask = qcc_kx_in(k, 7);
  layer l = {.centre = true, .epsilon = (double)qcc_attr_float(k->node, "epsilon", 1e-12f)};
  table word, position, segment;
  void *count;
  float *shown, *sum;
  if (ids->rank != 2 || e->rank != 2) return qcc_kx_fail(k, QCC_DATA, "D-792", "ids must be [batch, length], embeddings tables");
  if (!qcc_kx_is_float(e->dtype)) return qcc_kx_no_type(k, e->dtype);
  const int64_t n = ids->dim[0] * ids->dim[1], width = e->dim[1];
  const qcc_type out = qcc_type_of(e->dtype, 3, (int64_t[]){ids->dim[0], ids->dim[1], width}), counts = qcc_type_of(QCC_S32, 1, ids->dim);
  l.n = n * width, l.run = l.scale_period = l.bias_period = width;
  QCC_TRY(read_table(k, 2, 0, width, &word));
  QCC_TRY(read_table(k, 3, 8, width, &position));
  QCC_TRY(read_table(k, 4, 1, width, &segment));
  QCC_TRY(vector(k, 5, width, &l.scale));
  QCC_TRY(vector(k, 6, width, &l.bias));
  QCC_TRY(qcc_kx_out_f32(k, 0, &out, &l.y));
  QCC_TRY(qcc_kx_out(k, 1, &counts, &count));
  QCC_TRY(open_sum(k, 2, &out, l.n, &shown, &sum));
  memset(sum, 0, (size_t)l.n * sizeof *sum);
  QCC_TRY(add_embedding(k, &word, n, ids->dim[1], width, sum));
  QCC_TRY(add_embedding(k, &position, n, ids->dim[1], width, sum));
  if (segment.ids) QCC_TRY(add_embedding(k, &segment, n, ids->dim[1], width, sum));
  if (mask && qcc_tensor_count(mask) != n) return qcc_kx_fail(k, QCC_DATA, "D-792", "the mask does not fit the ids");
  for (int64_t i = 0; count && i < ids->dim[0]; ++i) ((int32_t *)count)[i] = 0;
  for (int64_t i = 0; count && mask && i < n; ++i) ((int32_t *)count)[i / ids->dim[1]] += qcc_tensor_get_s64(mask, i) == 1;
  close_sum(k, &l, sum, 2, shown);
  return QCC_OK;
}

/* ---- LRN */
qcc_status qcc_kernel_lrn(qcc_kargs *k) {
  const qcc_type *t = &k->in[0]->type;
  const float *x = NULL;
  float *y;
  int64_t size = qcc_attr_int(k->node, "size", 1);
  double alpha = (double)qcc_attr_float(k->node, "alpha", 1e-4f), beta = (double)qcc_attr_float(k->node, "beta", 0.75f);
  double bias = (double)qcc_attr_float(k->node, "bias", 1);
  QCC_TRY(need_rank(k, 2));
  if (size < 1) return qcc_kx_fail(k, QCC_DATA, "D-774", "size is %lld, it must be positive", (long long)size);
  QCC_TRY(begin(k, &x, &y));
  int64_t channels = t->dim[1], plane = qcc_kx_product(t->dim, 2, t->rank), n = qcc_tensor_count(k->in[0]);
  double *square = qcc_kscratch(k, (size_t)plane * sizeof *square);
  if (!square) return QCC_NOMEM;
  for (int64_t i = 0; y && i < n; i += plane) {
    int64_t c = i / plane % channels, first = c - (size - 1) / 2, last = c + size / 2;
    if (first < 0) first = 0;
    if (last >= channels) last = channels - 1;
    for (int64_t j = 0; j < plane; ++j) square[j] = 0;
    for (int64_t other = first; other <= last; ++other) {
      const float *from = x + i + (other - c) * plane;
      for (int64_t j = 0; j < plane; ++j) square[j] += (double)from[j] * (double)from[j];
    }
    for (int64_t j = 0; j < plane; ++j) y[i + j] = (float)((double)x[i + j] / pow(bias + alpha / (double)size * square[j], beta));
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- LpNormalization */
qcc_status qcc_kernel_lp_norm(qcc_kargs *k) {
  const qcc_type *t = &k->in[0]->type;
  const float *x = NULL;
  float *y;
  int axis;
  int64_t p = qcc_attr_int(k->node, "p", 2);
  QCC_TRY(qcc_kx_axis(k, qcc_attr_int(k->node, "axis", -1), t->rank, &axis));
  QCC_TRY(begin(k, &x, &y));
  int64_t n = t->dim[axis], inner = qcc_kx_product(t->dim, axis + 1, t->rank), outer = qcc_kx_product(t->dim, 0, axis);
  for (int64_t o = 0; y && o < outer * inner; ++o) {
    int64_t base = o / inner * n * inner + o % inner;
    double sum = 0;
    for (int64_t i = 0; i < n; ++i) {
      double v = (double)x[base + i * inner];
      sum += p == 1 ? fabs(v) : v * v;
    }
    double norm = p == 1 ? sum : sqrt(sum);
    for (int64_t i = 0; i < n; ++i) y[base + i * inner] = norm != 0 ? (float)((double)x[base + i * inner] / norm) : 0;
  }
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

/* ---- MeanVarianceNormalization: brought into the order [kept, reduced], normalized in rows, brought back */
qcc_status qcc_kernel_mean_variance_norm(qcc_kargs *k) {
  const qcc_type *t = &k->in[0]->type;
  const float *x = NULL;
  float *y;
  int64_t axes[QCC_MAX_RANK], stride[QCC_MAX_RANK], run = 1, n = qcc_tensor_count(k->in[0]);
  int count, a = 0;
  uint32_t set = 0;
  qcc_kx_move m = {.rank = 0}, back;
  QCC_TRY(qcc_kx_ints(k, QCC_KX_NO_INPUT, "axes", axes, QCC_MAX_RANK, &count));
  if (count < 0) set = 1u | 1u << 2 | 1u << 3;
  for (int i = 0; i < count; ++i) {
    QCC_TRY(qcc_kx_axis(k, axes[i], t->rank, &a));
    set |= 1u << a;
  }
  QCC_TRY(begin(k, &x, &y));
  if (!y || n == 0) return QCC_OK;
  qcc_kx_strides(stride, t->dim, t->rank, sizeof *x);
  for (int d = 0; d < 2 * t->rank; ++d) {
    int at = d % t->rank;
    if ((d >= t->rank) != (set >> at & 1)) continue;
    m.dim[m.rank] = t->dim[at];
    m.from[m.rank++] = stride[at];
    if (d >= t->rank) run *= t->dim[at];
  }
  qcc_kx_strides(m.to, m.dim, m.rank, sizeof *x);
  back = m;
  memcpy(back.to, m.from, sizeof back.to);
  memcpy(back.from, m.to, sizeof back.from);
  float *work = qcc_kscratch(k, (size_t)n * sizeof *work);
  if (!work) return QCC_NOMEM;
  qcc_kx_copy(work, x, &m, sizeof *x);
  for (int64_t i = 0; i < n; i += run) {
    moments v = moments_of(work + i, run);
    double s = 1 / (sqrt(v.variance) + 1e-9);
    affine(work + i, work + i, run, (float)s, (float)(-v.mean * s));
  }
  qcc_kx_copy(y, work, &back, sizeof *x);
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}
