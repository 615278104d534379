/* SPDX-License-Identifier: Apache-2.0
 * Relu and Clip whose work a QuantizeLinear does by itself; signed codes between QuantizeLinear and DequantizeLinear to unsigned ones. */
#include <float.h>
#include <math.h>

#include "backends/target/ort_sim.h"

bool qcc_pred_is_clamp(const qcc_node *n) { return n && (n->op == QCC_OP_RELU || n->op == QCC_OP_CLIP); }

static bool bound(const qcc_node *clip, const char *name, uint32_t index, float fallback, float *out) {
  const qcc_value *v = qcc_in(clip, index);
  *out = qcc_attr_float(clip, name, fallback);
  if (!v) return true;
  if (!qcc_is_const(v) || qcc_tensor_count(v->data) != 1) return false;
  *out = (float)qcc_tensor_get(v->data, 0);
  return true;
}

static bool bounds(const qcc_node *clip, float *lo, float *hi) {
  return bound(clip, "min", 1, -FLT_MAX, lo) && bound(clip, "max", 2, FLT_MAX, hi);
}

/* Scale, zero point and type of a QuantizeLinear whose parameters are constants of rank 0. */
static bool plain_grid(const qcc_node *q, float *scale, int64_t *zero, qcc_dtype *t) {
  const qcc_value *s = qcc_in(q, 1), *z = qcc_in(q, 2);
  if (!qcc_is_const(s) || s->type.rank != 0 || s->type.dtype != QCC_F32) return false;
  if (z && (!qcc_is_const(z) || z->type.rank != 0)) return false;
  *scale = (float)qcc_tensor_get(s->data, 0);
  *zero = z ? qcc_tensor_get_s64(z->data, 0) : 0;
  *t = qcc_pred_q_type(q);
  return *t == QCC_U8 || *t == QCC_S8 || *t == QCC_U16 || *t == QCC_S16;
}

bool qcc_pred_clamp_is_idle(const qcc_node *clamp, const qcc_node *q) {
  float scale, lo, hi;
  int64_t zero;
  qcc_dtype t;
  if (!plain_grid(q, &scale, &zero, &t)) return false;
  if (clamp->op == QCC_OP_RELU) return zero == qcc_dtype_min(t);
  if (!bounds(clamp, &lo, &hi)) return false;
  const double most = 2147483520; /* infinite bounds stay representable */
  const double a = fmax(rint((double)(lo / scale)), -most) + (double)zero, b = fmin(rint((double)(hi / scale)), most) + (double)zero;
  return a <= (double)qcc_dtype_min(t) && b >= (double)qcc_dtype_max(t);
}

static bool relu_goes(const qcc_node *q) {
  const qcc_value *z = qcc_in(q, 2);
  if (!z || !qcc_is_const(z) || qcc_tensor_count(z->data) != 1) return false;
  return qcc_tensor_get_s64(z->data, 0) == qcc_dtype_min(z->type.dtype);
}

static bool clip_goes(const qcc_node *clip, const qcc_node *q) {
  float scale, lo, hi;
  int64_t zero;
  qcc_dtype t;
  if (!qcc_in(q, 2)) return false;
  if (!bounds(clip, &lo, &hi) || !plain_grid(q, &scale, &zero, &t)) return false;
  const float least = scale * (float)(qcc_dtype_min(t) - zero), most = scale * (float)(qcc_dtype_max(t) - zero);
  return lo - least <= FLT_EPSILON && most - hi <= FLT_EPSILON;
}

qcc_status qcc_pred_remove_clamps(qcc_pred_sim *s, qcc_graph *g) {
  QCC_FOR_NODES_SAFE(n, next, g) {
    const qcc_node *q = qcc_pred_is_clamp(n) && qcc_pred_feeds(n, 1) ? qcc_pred_only_reader(n) : NULL;
    if (!qcc_pred_is_q(q) || qcc_in(q, 0) != n->out[0]) continue;
    if (n->op == QCC_OP_RELU ? !relu_goes(q) : !clip_goes(n, q)) continue;
    qcc_replace_uses(n->out[0], qcc_in(n, 0));
    QCC_TRY(qcc_pred_drop(s, n, QCC_PRED_REMOVED, NULL));
  }
  return QCC_OK;
}

/* ---- s8 -> u8 */
static bool signed_zero(const qcc_node *n) {
  const qcc_value *z = qcc_in(n, 2);
  return z && qcc_is_const(z) && z->type.dtype == QCC_S8 && qcc_tensor_count(z->data) == 1;
}

qcc_status qcc_pred_unsigned_codes(qcc_pred_sim *s, qcc_graph *g) {
  if (s->o->s8_activations) return QCC_OK;
  QCC_FOR_NODES(q, g) {
    qcc_node *dq = qcc_pred_is_q(q) && qcc_pred_feeds(q, 1) ? qcc_pred_only_reader(q) : NULL;
    if (!qcc_pred_is_dq(dq) || !signed_zero(q) || !signed_zero(dq)) continue;
    const int64_t zero = qcc_tensor_get_s64(qcc_in(q, 2)->data, 0);
    if (zero != qcc_tensor_get_s64(qcc_in(dq, 2)->data, 0)) continue;
    qcc_type t = qcc_type_of(QCC_U8, 0, NULL);
    qcc_tensor fresh = {.data = NULL};
    QCC_TRY(qcc_tensor_new(&fresh, s->cx, &t));
    qcc_tensor_set(&fresh, 0, (double)(zero + 128));
    qcc_value *z = qcc_add_const(g, NULL, &fresh);
    qcc_set_input(q, 2, z);
    qcc_set_input(dq, 2, z);
    t = q->out[0]->type;
    t.dtype = QCC_U8;
    qcc_set_type(q->out[0], &t);
    s->changed = true;
  }
  return qcc_graph_status(g);
}
