/* SPDX-License-Identifier: Apache-2.0
 * MaxPool, AveragePool, LpPool and the global pools on row-major tensors, one to three spatial dims, and the averages of com.microsoft on codes.
 * The fast form, channels last, is in step_pool.c. */
#include "backends/ref/kernels/integer.h"
#include "ir/quant.h"

typedef struct pool {
  qcc_window win; /* three axes always */
  int64_t planes;
  bool count_pads, column_major;
} pool;

static qcc_status form(qcc_kargs *k, const qcc_type *x, pool *p, qcc_type *out) {
  qcc_window w;
  QCC_TRY(qcc_window_of(&w, k->cx, k->node, x, NULL));
  *out = *x;
  for (int d = 0; d < w.rank; ++d) out->dim[d + 2] = w.out[d];
  p->win = qcc_window_widen(&w);
  p->planes = x->dim[0] * x->dim[1];
  p->count_pads = qcc_attr_int(k->node, "count_include_pad", 0) != 0;
  p->column_major = qcc_attr_int(k->node, "storage_order", 0) != 0;
  return QCC_OK;
}

/* Taps [from, to) of axis d that lie inside for output `o`; *first is the coordinate of tap 0. */
static void taps(const qcc_window *w, int d, int64_t o, int64_t *first, int64_t *from, int64_t *to) {
  const int64_t start = o * w->stride[d] - w->pad_begin[d], dil = w->dilation[d];
  *first = start;
  *from = start >= 0 ? 0 : (-start + dil - 1) / dil;
  *to = start >= w->in[d] ? 0 : (w->in[d] - start + dil - 1) / dil;
  if (*to > w->kernel[d]) *to = w->kernel[d];
  if (*from > *to) *from = *to;
}

/* Elements of the window at `o` that count for an average with padding: those within the padded input. */
static int64_t padded_count(const qcc_window *w, const int64_t o[3]) {
  int64_t n = 1;
  for (int d = 0; d < 3; ++d) {
    const int64_t start = o[d] * w->stride[d] - w->pad_begin[d], end = w->in[d] + w->pad_end[d], dil = w->dilation[d];
    int64_t in = (end - start + dil - 1) / dil;
    n *= in < w->kernel[d] ? in : w->kernel[d];
  }
  return n;
}

typedef struct spot {
  int64_t o[3], first[3], from[3], to[3];
} spot; /* one output element */

static void find(const qcc_window *w, int64_t i, spot *s) {
  s->o[0] = i / (w->out[1] * w->out[2]), s->o[1] = i / w->out[2] % w->out[1], s->o[2] = i % w->out[2];
  for (int d = 0; d < 3; ++d) taps(w, d, s->o[d], &s->first[d], &s->from[d], &s->to[d]);
}

#define EACH_TAP(s, w)                                                                                             \
  for (int64_t kz = (s)->from[0], z; kz < (s)->to[0] && (z = (s)->first[0] + kz * (w)->dilation[0], true); ++kz)   \
    for (int64_t ky = (s)->from[1], y; ky < (s)->to[1] && (y = (s)->first[1] + ky * (w)->dilation[1], true); ++ky) \
      for (int64_t kx = (s)->from[2], x; kx < (s)->to[2] && (x = (s)->first[2] + kx * (w)->dilation[2], true); ++kx)

static int64_t position(const pool *p, int64_t z, int64_t y, int64_t x) {
  const int64_t *in = p->win.in;
  return p->column_major ? (x * in[1] + y) * in[0] + z : (z * in[1] + y) * in[2] + x;
}

/* ---- MaxPool */
#define MAX_PLANE(NAME, T, LOWEST)                                                              \
  static void NAME(const pool *p, const void *from, void *to, int64_t *index, int64_t plane) {  \
    const qcc_window *w = &p->win;                                                              \
    const int64_t in = w->in[0] * w->in[1] * w->in[2], out = w->out[0] * w->out[1] * w->out[2]; \
    const T *a = (const T *)from + plane * in;                                                  \
    T *b = (T *)to + plane * out;                                                               \
    for (int64_t i = 0; i < out; ++i) {                                                         \
      spot s;                                                                                   \
      T best = LOWEST;                                                                          \
      int64_t at = 0;                                                                           \
      bool any = false;                                                                         \
      find(w, i, &s);                                                                           \
      EACH_TAP(&s, w) {                                                                         \
        const T v = a[(z * w->in[1] + y) * w->in[2] + x];                                       \
        if (any && !(v > best)) continue;                                                       \
        best = v, any = true, at = position(p, z, y, x);                                        \
      }                                                                                         \
      b[i] = best;                                                                              \
      if (index) index[plane * out + i] = plane * in + at;                                      \
    }                                                                                           \
  }
MAX_PLANE(max_f32, float, -INFINITY)
MAX_PLANE(max_f64, double, -(double)INFINITY)
MAX_PLANE(max_u8, uint8_t, 0)
MAX_PLANE(max_s8, int8_t, INT8_MIN)

typedef void (*max_plane)(const pool *p, const void *from, void *to, int64_t *index, int64_t plane);

static max_plane max_of(qcc_dtype t) {
  switch (t) {
    case QCC_F64: return max_f64;
    case QCC_U8: return max_u8;
    case QCC_S8: return max_s8;
    default: return qcc_kx_is_float(t) ? max_f32 : NULL;
  }
}

qcc_status qcc_kernel_max_pool(qcc_kargs *k) {
  const qcc_dtype t = k->in[0]->type.dtype;
  const max_plane run = max_of(t);
  const bool half = run == max_f32;
  const void *from = k->in[0]->data;
  void *to = NULL, *index = NULL;
  float *f = NULL;
  qcc_type out, at;
  pool p;
  if (!run) return qcc_kx_no_type(k, t);
  QCC_TRY(form(k, &k->in[0]->type, &p, &out));
  at = qcc_kx_like(&out, QCC_S64);
  if (k->out_count > 1) QCC_TRY(qcc_kx_out(k, 1, &at, &index));
  if (half) {
    QCC_TRY(qcc_kx_out_f32(k, 0, &out, &f));
    from = qcc_kx_f32(k, 0);
    to = f;
    if (!from) return QCC_NOMEM;
  } else {
    QCC_TRY(qcc_kx_out(k, 0, &out, &to));
  }
  if (!to) { /* only the positions are wanted */
    int64_t count;
    if (!index || !qcc_type_count(&out, &count)) return QCC_OK;
    to = qcc_kscratch(k, (size_t)count * sizeof(double));
    if (!to) return QCC_NOMEM;
  }
  for (int64_t i = 0; i < p.planes; ++i) run(&p, from, to, index, i);
  if (half) qcc_kx_store_f32(k, 0, f);
  return QCC_OK;
}

/* ---- averages */
static void average_plane(const pool *p, double unused, const float *a, float *b) {
  const qcc_window *w = &p->win;
  const int64_t out = w->out[0] * w->out[1] * w->out[2];
  (void)unused;
  for (int64_t i = 0; i < out; ++i) {
    spot s;
    float sum = 0.0f;
    find(w, i, &s);
    EACH_TAP(&s, w) sum += a[(z * w->in[1] + y) * w->in[2] + x];
    const int64_t real = (s.to[0] - s.from[0]) * (s.to[1] - s.from[1]) * (s.to[2] - s.from[2]);
    b[i] = sum / (float)(p->count_pads ? padded_count(w, s.o) : real ? real : 1);
  }
}

static qcc_status float_pool(qcc_kargs *k, void (*plane)(const pool *p, double power, const float *a, float *b), double power) {
  qcc_type out;
  pool p;
  float *y;
  if (!qcc_kx_is_float(k->in[0]->type.dtype)) return qcc_kx_no_type(k, k->in[0]->type.dtype);
  QCC_TRY(form(k, &k->in[0]->type, &p, &out));
  QCC_TRY(qcc_kx_out_f32(k, 0, &out, &y));
  const float *x = qcc_kx_f32(k, 0);
  if (!y || !x) return y ? QCC_NOMEM : QCC_OK;
  const int64_t in = qcc_kx_product(p.win.in, 0, 3), n = qcc_kx_product(p.win.out, 0, 3);
  for (int64_t i = 0; i < p.planes; ++i) plane(&p, power, x + i * in, y + i * n);
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

qcc_status qcc_kernel_average_pool(qcc_kargs *k) { return float_pool(k, average_plane, 0); }

/* ---- LpPool: the p-norm of each window. Padding adds nothing. Sums in double, in the order of the window. */
static void norm_plane(const pool *p, double power, const float *a, float *b) {
  const qcc_window *w = &p->win;
  for (int64_t i = 0; i < w->out[0] * w->out[1] * w->out[2]; ++i) {
    spot s;
    double sum = 0;
    find(w, i, &s);
    EACH_TAP(&s, w) {
      const double v = fabs((double)a[(z * w->in[1] + y) * w->in[2] + x]);
      sum += power == 2 ? v * v : power == 1 ? v : pow(v, power);
    }
    b[i] = (float)(power == 2 ? sqrt(sum) : power == 1 ? sum : pow(sum, 1 / power));
  }
}

qcc_status qcc_kernel_lp_pool(qcc_kargs *k) {
  const qcc_attr *power = qcc_attr_find(k->node, "p");
  const double exponent = !power ? 2 : power->kind == QCC_ATTR_FLOAT ? (double)power->f : (double)qcc_attr_int(k->node, "p", 2);
  if (!(exponent > 0)) return qcc_kx_fail(k, QCC_DATA, "D-880", "p is %g, it must be positive", exponent);
  return float_pool(k, norm_plane, exponent);
}

/* Sums in double: maps can have many elements. */
static float mean(const float *x, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += (double)x[i];
  return (float)(sum / (double)n);
}

static float largest(const float *x, int64_t n) {
  float best = -INFINITY;
  for (int64_t i = 0; i < n; ++i) best = x[i] > best || x[i] != x[i] ? x[i] : best;
  return best;
}

static qcc_status global(qcc_kargs *k, float (*reduce)(const float *x, int64_t n)) {
  const qcc_type *x = &k->in[0]->type;
  qcc_type out = *x;
  float *y;
  if (!qcc_kx_is_float(x->dtype)) return qcc_kx_no_type(k, x->dtype);
  if (x->rank < 2) return qcc_kx_fail(k, QCC_DATA, "D-216", "input has rank %d, a global pool takes 2 or more", x->rank);
  for (int d = 2; d < x->rank; ++d) out.dim[d] = 1;
  QCC_TRY(qcc_kx_out_f32(k, 0, &out, &y));
  const float *from = qcc_kx_f32(k, 0);
  if (!y || !from) return y ? QCC_NOMEM : QCC_OK;
  const int64_t n = qcc_kx_product(x->dim, 2, x->rank), planes = x->dim[0] * x->dim[1];
  for (int64_t i = 0; n > 0 && i < planes; ++i) y[i] = reduce(from + i * n, n);
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

qcc_status qcc_kernel_global_average_pool(qcc_kargs *k) { return global(k, mean); }
qcc_status qcc_kernel_global_max_pool(qcc_kargs *k) { return global(k, largest); }

/* ---- QLinearAveragePool, QLinearGlobalAveragePool: the bits of ONNX Runtime on x86-64 */
typedef struct coded {
  qcc_kx_params x, y;
  qcc_dtype type;
  const uint8_t *from; /* channels first */
  uint8_t *to;
  int64_t batch, channels, in, out; /* elements of a plane */
} coded;

static int32_t code(const coded *c, const uint8_t *at) { return c->type == QCC_U8 ? *at : (int8_t)*at; }

static void coded_average(const coded *c, const pool *p) {
  const qcc_window *w = &p->win;
  const int64_t size = qcc_kx_product(w->kernel, 0, 3);
  const float lo = (float)qcc_dtype_min(c->type), hi = (float)qcc_dtype_max(c->type);
  for (int64_t i = 0; i < p->planes * c->out; ++i) {
    const uint8_t *plane = c->from + i / c->out * c->in;
    spot s;
    float sum = 0.0f;
    find(w, i % c->out, &s);
    EACH_TAP(&s, w) sum += c->x.scale * (float)(code(c, plane + (z * w->in[1] + y) * w->in[2] + x) - c->x.zero);
    const int64_t real = (s.to[0] - s.from[0]) * (s.to[1] - s.from[1]) * (s.to[2] - s.from[2]);
    const float mean = sum / (float)(p->count_pads ? size : real), r = rintf(mean / c->y.scale + (float)c->y.zero);
    c->to[i] = (uint8_t)(int32_t)(!(r > lo) ? lo : r > hi ? hi : r);
  }
}

/* Whole planes: one exact sum, one multiplication. */
static void coded_mean(const coded *c) {
  const float factor = c->x.scale / (c->y.scale * (float)c->in);
  for (int64_t i = 0; i < c->batch * c->channels; ++i) {
    int64_t sum = 0;
    for (int64_t j = 0; j < c->in; ++j) sum += code(c, c->from + i * c->in + j) - c->x.zero;
    c->to[i] = (uint8_t)qcc_kx_requantize((int32_t)sum, factor, c->y.zero, qcc_dtype_min(c->type), qcc_dtype_max(c->type));
  }
}

/* x as the operator sees it, channels first, and the place for the result, which stands in scratch when it must be turned. */
static qcc_status coded_start(qcc_kargs *k, coded *c, const qcc_type *x, const qcc_type *out, bool last, void *y) {
  c->type = x->dtype;
  c->batch = x->dim[0], c->channels = x->dim[1];
  c->in = qcc_kx_product(x->dim, 2, x->rank), c->out = qcc_kx_product(out->dim, 2, out->rank);
  c->from = k->in[0]->data, c->to = y;
  QCC_TRY(qcc_kx_params_of(k, 1, 2, &c->x));
  QCC_TRY(qcc_kx_params_of(k, 3, 4, &c->y));
  if (!last) return QCC_OK;
  uint8_t *turned = qcc_kscratch(k, (size_t)(c->batch * c->channels * c->in));
  c->to = qcc_kscratch(k, (size_t)(c->batch * c->channels * c->out));
  if (!turned || !c->to) return QCC_NOMEM;
  qcc_kx_turn(turned, k->in[0]->data, c->batch, c->in, c->channels, 1);
  c->from = turned;
  return QCC_OK;
}

static bool whole_planes(const pool *p) {
  for (int d = 0; d < 3; ++d)
    if (p->win.kernel[d] != p->win.in[d] || p->win.pad_begin[d] || p->win.pad_end[d]) return false;
  return true;
}

static qcc_status coded_pool(qcc_kargs *k, bool global_pool) {
  const bool last = qcc_attr_int(k->node, "channels_last", 0) != 0;
  qcc_type x = k->in[0]->type, out, turned;
  coded c;
  pool p;
  void *y;
  if (x.dtype != QCC_U8 && x.dtype != QCC_S8) return qcc_kx_no_type(k, x.dtype);
  if (x.rank < 3) return qcc_kx_fail(k, QCC_DATA, "D-216", "input has rank %d, a pool takes 3 or more", x.rank);
  if (last) x = qcc_channels_first(&x);
  out = x;
  for (int d = 2; d < x.rank; ++d) out.dim[d] = 1;
  if (!global_pool) QCC_TRY(form(k, &x, &p, &out));
  turned = last ? qcc_channels_last(&out) : out;
  QCC_TRY(qcc_kx_out(k, 0, &turned, &y));
  if (!y || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  QCC_TRY(coded_start(k, &c, &x, &out, last, y));
  if (global_pool || whole_planes(&p))
    coded_mean(&c);
  else
    coded_average(&c, &p);
  if (last) qcc_kx_turn(y, c.to, c.batch, c.channels, c.out, 1);
  return QCC_OK;
}

qcc_status qcc_kernel_qlinear_average_pool(qcc_kargs *k) { return coded_pool(k, false); }
qcc_status qcc_kernel_qlinear_global_average_pool(qcc_kargs *k) { return coded_pool(k, true); }
