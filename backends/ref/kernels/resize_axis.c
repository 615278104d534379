/* SPDX-License-Identifier: Apache-2.0
 * Coordinates and interpolation weights of one axis of Resize, in double. Neighbours outside the input repeat the border, unless
 * exclude_outside drops them and scales the others up. */
#include "backends/ref/kernels/resize.h"

double qcc_resize_position(const qcc_resize_axis *a, qcc_resize_coordinate c, int64_t i) {
  double x = (double)i, in = (double)a->in, length = a->scale * in; /* the exact, not the rounded size */
  switch (c) {
    case QCC_RESIZE_SYMMETRIC: {
      double adjust = (double)a->out / length;
      return in / 2 * (1 - adjust) + (x + 0.5) / a->scale - 0.5;
    }
    case QCC_RESIZE_PYTORCH: return a->out > 1 ? (x + 0.5) / a->scale - 0.5 : 0;
    case QCC_RESIZE_ALIGN: return a->out > 1 ? x * (in - 1) / (length - 1) : 0;
    case QCC_RESIZE_ASYMMETRIC: return x / a->scale;
    case QCC_RESIZE_CROP:
      return a->out > 1 ? a->start * (in - 1) + x * (a->end - a->start) * (in - 1) / (double)(a->out - 1)
                        : 0.5 * (a->start + a->end) * (in - 1);
    case QCC_RESIZE_TF_NEAREST: return (x + 0.5) / a->scale;
    default: return (x + 0.5) / a->scale - 0.5;
  }
}

static int64_t within(double x, int64_t n) { return !(x > 0) ? 0 : x >= (double)(n - 1) ? n - 1 : (int64_t)x; }

int64_t qcc_resize_nearest(const qcc_resize_axis *a, const qcc_resize_rule *rule, int64_t i) {
  double x = qcc_resize_position(a, rule->coordinate, i), low = floor(x);
  switch (rule->round) {
    case QCC_RESIZE_PREFER_CEIL: x = floor(x + 0.5); break;
    case QCC_RESIZE_FLOOR: x = low; break;
    case QCC_RESIZE_CEIL: x = ceil(x); break;
    case QCC_RESIZE_SIMPLE: x = a->scale < 1 ? ceil(x) : low; break;
    default: x = ceil(x - 0.5); break;
  }
  return within(x, a->in);
}

static double cubic_weight(double x, double c) {
  double d = fabs(x);
  if (d <= 1) return ((c + 2) * d - (c + 3)) * d * d + 1;
  if (d < 2) return ((c * d - 5 * c) * d + 8 * c) * d - 4 * c;
  return 0;
}

static double weight_of(const qcc_resize_rule *rule, double distance) {
  if (rule->mode == QCC_RESIZE_CUBIC) return cubic_weight(distance, rule->cubic);
  double w = 1 - fabs(distance);
  return w > 0 ? w : 0;
}

/* Output i: `taps` neighbours around its position; `squeeze` (<= 1) widens the filter when shrinking with antialiasing. */
static void weigh(const qcc_resize_axis *a, const qcc_resize_rule *rule, int64_t i, int64_t reach, double squeeze) {
  double x = qcc_resize_position(a, rule->coordinate, i), sum = 0;
  if (!(x > -1e15)) x = -1e15;
  if (x > 1e15) x = 1e15;
  double low = floor(x), ratio = x - low;
  int64_t first = (int64_t)low - reach + 1;
  int64_t *source = a->source + i * a->taps;
  float *weight = a->weight + i * a->taps;
  for (int pass = 0; pass < 2; ++pass) {
    for (int64_t t = 0; t < a->taps; ++t) {
      double w = weight_of(rule, ((double)(t - reach + 1) - ratio) * squeeze);
      if (rule->exclude_outside && (first + t < 0 || first + t >= a->in)) w = 0;
      if (pass == 0)
        sum += w;
      else
        weight[t] = (float)(sum != 0 ? w / sum : w);
      source[t] = first + t < 0 ? 0 : first + t >= a->in ? a->in - 1 : first + t;
    }
  }
}

qcc_status qcc_resize_weights(qcc_kargs *k, qcc_resize_axis *a, const qcc_resize_rule *rule) {
  int64_t reach = rule->mode == QCC_RESIZE_CUBIC ? 2 : 1, cells;
  double squeeze = 1;
  if (rule->antialias && a->scale < 1) {
    double wide = ceil((double)reach / a->scale);
    if (!(wide < 1e9)) return qcc_kx_fail(k, QCC_DATA, "D-811", "scale %g cannot be", a->scale);
    squeeze = a->scale;
    reach = (int64_t)wide;
  }
  a->taps = 2 * reach;
  if (!qcc_mul_s64(a->out, a->taps, &cells) || cells > INT64_MAX / 16)
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the weights do not fit the memory");
  a->source = qcc_kscratch(k, (size_t)cells * sizeof *a->source);
  a->weight = qcc_kscratch(k, (size_t)cells * sizeof *a->weight);
  if (!a->source || !a->weight) return QCC_NOMEM;
  for (int64_t i = 0; i < a->out; ++i) weigh(a, rule, i, reach, squeeze);
  return QCC_OK;
}
