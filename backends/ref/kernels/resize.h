/* SPDX-License-Identifier: Apache-2.0
 * One axis of Resize: where an output position lies in the input, and what it takes from there. */
#ifndef QCC_K_RESIZE_H
#define QCC_K_RESIZE_H

#include "backends/ref/kernels/kutil.h"

typedef enum qcc_resize_mode { QCC_RESIZE_NEAREST, QCC_RESIZE_LINEAR, QCC_RESIZE_CUBIC } qcc_resize_mode;
typedef enum qcc_resize_coordinate {
  QCC_RESIZE_HALF_PIXEL,
  QCC_RESIZE_SYMMETRIC,
  QCC_RESIZE_PYTORCH,
  QCC_RESIZE_ALIGN,
  QCC_RESIZE_ASYMMETRIC,
  QCC_RESIZE_CROP,
  QCC_RESIZE_TF_NEAREST
} qcc_resize_coordinate;
typedef enum qcc_resize_round {
  QCC_RESIZE_PREFER_FLOOR,
  QCC_RESIZE_PREFER_CEIL,
  QCC_RESIZE_FLOOR,
  QCC_RESIZE_CEIL,
  QCC_RESIZE_SIMPLE /* before opset 11: up when shrinking, else down */
} qcc_resize_round;

typedef struct qcc_resize_rule {
  qcc_resize_mode mode;
  qcc_resize_coordinate coordinate;
  qcc_resize_round round;
  double cubic;
  bool exclude_outside, antialias;
} qcc_resize_rule;

typedef struct qcc_resize_axis {
  bool active;
  int64_t in, out;
  double scale, start, end; /* start, end: roi of tf_crop_and_resize */
  int64_t taps;             /* set by qcc_resize_weights */
  int64_t *source;          /* [out][taps], within the input */
  float *weight;            /* [out][taps] */
} qcc_resize_axis;

double qcc_resize_position(const qcc_resize_axis *a, qcc_resize_coordinate c, int64_t i);
int64_t qcc_resize_nearest(const qcc_resize_axis *a, const qcc_resize_rule *rule, int64_t i);
/* Fills source and weight in scratch memory. */
qcc_status qcc_resize_weights(qcc_kargs *k, qcc_resize_axis *a, const qcc_resize_rule *rule) QCC_MUST_USE;

#endif
