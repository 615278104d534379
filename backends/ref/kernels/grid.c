/* SPDX-License-Identifier: Apache-2.0
 * GridSample on 2 or 3 spatial axes: nearest, linear, cubic; zeros, border, reflection. Per output point and axis a few source indices and
 * weights are made (index -1: a zero outside); their products serve all channels. */
#include "backends/ref/kernels/kutil.h"

typedef enum grid_mode { GRID_LINEAR, GRID_NEAREST, GRID_CUBIC } grid_mode;
typedef enum grid_pad { GRID_ZEROS, GRID_BORDER, GRID_REFLECTION } grid_pad;

typedef struct sampler {
  grid_mode mode;
  grid_pad pad;
  bool corners;
  int axes;
  int64_t size[3]; /* of the input */
} sampler;

typedef struct taps {
  int count;
  int64_t index[4]; /* -1: outside */
  double weight[4];
} taps;

static double reflect(double x, double lo, double hi) {
  double range = hi - lo, far = x < lo ? lo - x : x - hi;
  if (range <= 0) return lo;
  if (x >= lo && x <= hi) return x;
  double rest = fmod(far, range);
  bool even = fmod(floor(far / range), 2) == 0;
  return (x < lo) == even ? lo + rest : hi - rest;
}

static int64_t pixel(const sampler *s, int axis, double at) {
  int64_t n = s->size[axis];
  double last = (double)(n - 1);
  if (at >= 0 && at <= last) return (int64_t)at;
  if (s->pad == GRID_ZEROS) return -1;
  if (s->pad == GRID_REFLECTION) at = reflect(at, s->corners ? 0 : -0.5, s->corners ? last : last + 0.5);
  return at < 0 ? 0 : at > last ? n - 1 : (int64_t)at;
}

static double cubic(double x) {
  const double a = -0.75, d = fabs(x);
  return d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1 : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
}

/* Source of one axis for the normalized coordinate g. */
static void make_taps(const sampler *s, int axis, double g, taps *t) {
  double n = (double)s->size[axis], x = s->corners ? (g + 1) / 2 * (n - 1) : ((g + 1) * n - 1) / 2;
  double lo = s->corners ? 0 : -0.5, hi = s->corners ? n - 1 : n - 0.5;
  if (!(x > -1e9)) x = -1e9; /* NaN too: outside */
  if (x > 1e9) x = 1e9;
  if (s->mode == GRID_NEAREST) x = rint(x);
  if (x < lo || x > hi) {
    if (s->pad == GRID_BORDER) x = x < 0 ? 0 : x > n - 1 ? n - 1 : x;
    if (s->pad == GRID_REFLECTION) x = reflect(x, lo, hi);
  }
  if (s->mode == GRID_NEAREST) {
    *t = (taps){.count = 1, .index = {pixel(s, axis, x)}, .weight = {1}};
    return;
  }
  double low = floor(x), r = x - low;
  int reach = s->mode == GRID_CUBIC ? 2 : 1;
  t->count = 2 * reach;
  for (int i = 0; i < t->count; ++i) {
    double offset = i - reach + 1;
    t->index[i] = pixel(s, axis, low + offset);
    t->weight[i] = s->mode == GRID_CUBIC ? cubic(offset - r) : i == 0 ? 1 - r : r;
  }
}

/* Offsets and weights of all contributing elements of one channel; returns their number. */
static int combine(const sampler *s, const taps *t, int64_t *offset, double *weight) {
  int n = 1;
  offset[0] = 0;
  weight[0] = 1;
  for (int a = 0; a < s->axes; ++a) {
    int64_t old_offset[64];
    double old_weight[64];
    int old = n;
    memcpy(old_offset, offset, (size_t)old * sizeof *offset);
    memcpy(old_weight, weight, (size_t)old * sizeof *weight);
    n = 0;
    for (int i = 0; i < old; ++i) {
      for (int j = 0; j < t[a].count; ++j) {
        if (t[a].index[j] < 0) continue;
        offset[n] = old_offset[i] * s->size[a] + t[a].index[j];
        weight[n++] = old_weight[i] * t[a].weight[j];
      }
    }
  }
  return n;
}

static void sample_all(const sampler *s, float *y, const float *x, const float *grid, int64_t batch, int64_t channels, int64_t points,
                       int64_t plane) {
  int64_t offset[64];
  double weight[64];
  taps t[3];
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t p = 0; p < points; ++p) {
      const float *g = grid + (b * points + p) * s->axes; /* the innermost axis comes first */
      for (int a = 0; a < s->axes; ++a) make_taps(s, a, (double)g[s->axes - 1 - a], &t[a]);
      int n = combine(s, t, offset, weight);
      for (int64_t c = 0; c < channels; ++c) {
        const float *from = x + (b * channels + c) * plane;
        double sum = 0;
        for (int i = 0; i < n; ++i) sum += weight[i] * (double)from[offset[i]];
        y[(b * channels + c) * points + p] = (float)sum;
      }
    }
  }
}

static qcc_status read_node(qcc_kargs *k, sampler *s) {
  static const char *const modes[] = {"linear", "nearest", "cubic", "bilinear", "bicubic", NULL};
  static const char *const pads[] = {"zeros", "border", "reflection", NULL};
  int mode, pad;
  QCC_TRY(qcc_kx_choice(k, "mode", modes, 0, &mode));
  QCC_TRY(qcc_kx_choice(k, "padding_mode", pads, 0, &pad));
  s->mode = mode == 3 ? GRID_LINEAR : mode == 4 ? GRID_CUBIC : (grid_mode)mode;
  s->pad = (grid_pad)pad;
  s->corners = qcc_attr_int(k->node, "align_corners", 0) != 0;
  return QCC_OK;
}

qcc_status qcc_kernel_grid_sample(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type, *g = &k->in[1]->type;
  sampler s = {.axes = x->rank - 2};
  void *out;
  QCC_TRY(read_node(k, &s));
  bool fits = (x->rank == 4 || x->rank == 5) && g->rank == x->rank && g->dim[0] == x->dim[0] && g->dim[g->rank - 1] == s.axes;
  if (!fits)
    return qcc_kx_fail(k, QCC_DATA, "D-850", "data of rank %d and grid of rank %d do not fit; [N,C,...] and [N,...,%d] are needed", x->rank,
                       g->rank, s.axes);
  if (qcc_dtype_kind(x->dtype) == QCC_KIND_STRING || !qcc_kx_is_float(g->dtype))
    return qcc_kx_no_type(k, qcc_kx_is_float(g->dtype) ? x->dtype : g->dtype);
  qcc_type t = *x;
  for (int d = 2; d < t.rank; ++d) t.dim[d] = g->dim[d - 1];
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  if (!out || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  for (int a = 0; a < s.axes; ++a) s.size[a] = x->dim[a + 2];
  int64_t plane = qcc_kx_product(x->dim, 2, x->rank), points = qcc_kx_product(t.dim, 2, t.rank), n = qcc_tensor_count(&k->out[0]);
  if (plane == 0) return qcc_kx_fail(k, QCC_DATA, "D-812", "the input is empty, the output is not");
  const float *from = qcc_kx_f32(k, 0), *grid = qcc_kx_f32(k, 1);
  float *y = t.dtype == QCC_F32 ? out : qcc_kscratch(k, (size_t)n * sizeof *y);
  if (!from || !grid || !y) return QCC_NOMEM;
  sample_all(&s, y, from, grid, x->dim[0], x->dim[1], points, plane);
  for (int64_t i = 0; t.dtype != QCC_F32 && i < n; ++i) qcc_kx_put(t.dtype, out, i, (double)y[i]);
  return QCC_OK;
}
