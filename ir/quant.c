/* SPDX-License-Identifier: Apache-2.0
 * Whole tensors through the grid: per tensor, per channel, in blocks along an axis. A tensor is seen as [outer, axis, inner];
 * every run of `inner` elements shares its parameters, but in blocks, where each has its own. Work goes through short strips of
 * codes, so that any storage type meets the same arithmetic. */
#include "ir/quant.h"

#include <string.h>

#include "ir/fake_quant.h"
#include "ir/half.h"

enum { STRIP = 512 };

typedef struct grain {
  int64_t outer, axis, inner; /* sizes */
  int64_t block, blocks;      /* block 0: one parameter per channel */
  const qcc_qparams *q;
  int32_t lo, hi;
} grain;

static bool whole_dtype(qcc_dtype t) { return qcc_dtype_is_int(t) && qcc_dtype_bits(t) <= 32 && t != QCC_U32; }

static bool split(grain *g, const qcc_type *type, const qcc_qparams *q) {
  int64_t count = 0, want = 1;
  if (!(whole_dtype(q->dtype) || qcc_dtype_is_f8(q->dtype)) || !q->scale || !qcc_type_count(type, &count)) return false;
  *g = (grain){.outer = 1, .axis = 1, .inner = count, .q = q};
  if (whole_dtype(q->dtype)) {
    g->lo = (int32_t)qcc_dtype_min(q->dtype);
    g->hi = (int32_t)qcc_dtype_max(q->dtype);
  }
  if (q->axis >= 0) {
    if (q->axis >= type->rank) return false;
    g->inner = 1;
    g->axis = want = type->dim[q->axis];
    for (int i = 0; i < q->axis; i++) g->outer *= type->dim[i];
    for (int i = q->axis + 1; i < type->rank; i++) g->inner *= type->dim[i];
    if (q->block > 0) {
      g->block = q->block;
      g->blocks = g->axis / q->block + (g->axis % q->block != 0);
      want = g->outer * g->blocks * g->inner;
    }
  } else if (q->block > 0) {
    return false;
  }
  return want == (int64_t)q->count;
}

static qcc_status misfit(qcc_context *cx, const qcc_qparams *q) {
  return qcc_error(cx, QCC_INTERNAL, "I-004", NULL, "%u quantization parameters of type %s along axis %d do not fit a tensor", q->count,
                   qcc_dtype_name(q->dtype), q->axis);
}

/* ---- strips: n elements at `at`, parameters k .. (fixed: k for all) */

typedef void strip_fn(void *user, int64_t at, size_t n, float scale, int32_t zero);

static void one_run(const grain *g, int64_t at, int64_t n, uint32_t k, strip_fn *each, void *user) {
  int32_t zero = g->q->zero ? g->q->zero[k] : 0;
  for (int64_t i = 0; i < n; i += STRIP) each(user, at + i, (size_t)(n - i < STRIP ? n - i : STRIP), g->q->scale[k], zero);
}

static void all_runs(const grain *g, strip_fn *each, void *user) {
  for (int64_t o = 0; o < g->outer; o++)
    for (int64_t a = 0; a < g->axis; a++) {
      int64_t at = (o * g->axis + a) * g->inner;
      if (!g->block) {
        one_run(g, at, g->inner, (uint32_t)a, each, user);
        continue;
      }
      int64_t k = (o * g->blocks + a / g->block) * g->inner;
      for (int64_t i = 0; i < g->inner; i++) one_run(g, at + i, 1, (uint32_t)(k + i), each, user);
    }
}

/* ---- codes in storage */

static void put_codes(qcc_dtype t, void *data, int64_t at, const int32_t *codes, size_t n) {
  unsigned bits = qcc_dtype_bits(t);
  for (size_t i = 0; i < n; i++) {
    int64_t k = at + (int64_t)i;
    if (bits == 8) {
      ((uint8_t *)data)[k] = (uint8_t)codes[i];
    } else if (bits == 16) {
      ((uint16_t *)data)[k] = (uint16_t)codes[i];
    } else if (bits == 32) {
      ((int32_t *)data)[k] = codes[i];
    } else { /* the bytes were zero */
      ((uint8_t *)data)[k * bits / 8] |= (uint8_t)(((unsigned)codes[i] & ((1u << bits) - 1)) << (k * bits % 8));
    }
  }
}

typedef struct job {
  const grain *g;
  const qcc_tensor *from;
  void *to;
} job;

static void get_floats(float *x, const qcc_tensor *t, int64_t at, size_t n) {
  if (t->type.dtype == QCC_F32) {
    memcpy(x, (const char *)t->data + (size_t)at * sizeof *x, n * sizeof *x);
  } else {
    for (size_t i = 0; i < n; i++) x[i] = (float)qcc_tensor_get(t, at + (int64_t)i);
  }
}

static void quantize_strip(void *user, int64_t at, size_t n, float scale, int32_t zero) {
  const job *j = user;
  float x[STRIP] = {0};
  int32_t codes[STRIP];
  get_floats(x, j->from, at, n);
  if (qcc_dtype_is_f8(j->g->q->dtype)) {
    for (size_t i = 0; i < n; i++) ((uint8_t *)j->to)[at + (int64_t)i] = (uint8_t)qcc_small_encode(j->g->q->dtype, (double)(x[i] / scale));
    return;
  }
  qcc_quantize_codes(codes, x, n, scale, zero, j->g->lo, j->g->hi);
  put_codes(j->g->q->dtype, j->to, at, codes, n);
}

static void dequantize_strip(void *user, int64_t at, size_t n, float scale, int32_t zero) {
  const job *j = user;
  int32_t codes[STRIP];
  if (qcc_dtype_is_f8(j->g->q->dtype)) {
    for (size_t i = 0; i < n; i++) ((float *)j->to)[at + (int64_t)i] = (float)qcc_tensor_get(j->from, at + (int64_t)i) * scale;
    return;
  }
  if (j->from->type.dtype == QCC_S8) {
    for (size_t i = 0; i < n; i++) codes[i] = ((const int8_t *)j->from->data)[at + (int64_t)i];
  } else if (j->from->type.dtype == QCC_U8) {
    for (size_t i = 0; i < n; i++) codes[i] = ((const uint8_t *)j->from->data)[at + (int64_t)i];
  } else {
    for (size_t i = 0; i < n; i++) codes[i] = (int32_t)qcc_tensor_get_s64(j->from, at + (int64_t)i);
  }
  qcc_dequantize_codes((float *)j->to + at, codes, n, scale, zero, qcc_dtype_bits(j->g->q->dtype) <= 16);
}

typedef struct fake_job {
  const grain *g;
  const float *from;
  float *to;
} fake_job;

static void fake_strip(void *user, int64_t at, size_t n, float scale, int32_t zero) {
  const fake_job *j = user;
  if (qcc_dtype_is_f8(j->g->q->dtype))
    qcc_fake_quantize_f8(j->g->q->dtype, j->to + at, j->from + at, n, scale);
  else
    qcc_fake_quantize(j->to + at, j->from + at, n, scale, zero, j->g->lo, j->g->hi);
}

/* ---- whole tensors */

qcc_status qcc_quantize(qcc_tensor *out, qcc_context *cx, const qcc_tensor *x, const qcc_qparams *q) {
  grain g;
  qcc_type type = x->type;
  *out = (qcc_tensor){0};
  if (!split(&g, &type, q) || qcc_dtype_kind(type.dtype) != QCC_KIND_FLOAT) return misfit(cx, q);
  type.dtype = q->dtype;
  QCC_TRY(qcc_tensor_new(out, cx, &type));
  job j = {.g = &g, .from = x, .to = qcc_tensor_mut(out)};
  if (qcc_dtype_bits(q->dtype) < 8) memset(j.to, 0, out->bytes);
  all_runs(&g, quantize_strip, &j);
  return QCC_OK;
}

qcc_status qcc_dequantize(qcc_tensor *out, qcc_context *cx, const qcc_tensor *x, const qcc_qparams *q) {
  grain g;
  qcc_type type = x->type;
  *out = (qcc_tensor){0};
  if (type.dtype != q->dtype || !split(&g, &type, q)) return misfit(cx, q);
  type.dtype = QCC_F32;
  QCC_TRY(qcc_tensor_new(out, cx, &type));
  job j = {.g = &g, .from = x, .to = qcc_tensor_mut(out)};
  all_runs(&g, dequantize_strip, &j);
  return QCC_OK;
}

qcc_status qcc_fake_quantize_tensor(qcc_context *cx, float *y, const float *x, const qcc_type *type, const qcc_qparams *q) {
  grain g;
  if (!split(&g, type, q)) return misfit(cx, q);
  fake_job j = {.g = &g, .from = x, .to = y};
  all_runs(&g, fake_strip, &j);
  return QCC_OK;
}

bool qcc_qparams_equal(const qcc_qparams *a, const qcc_qparams *b) {
  if (a->dtype != b->dtype) return false;
  if (a->dtype == QCC_NONE) return true;
  if (a->axis != b->axis || a->block != b->block || a->count != b->count) return false;
  if (a->count && memcmp(a->scale, b->scale, a->count * sizeof a->scale[0]) != 0) return false;
  for (uint32_t i = 0; i < a->count; i++)
    if ((a->zero ? a->zero[i] : 0) != (b->zero ? b->zero[i] : 0)) return false;
  return true;
}
