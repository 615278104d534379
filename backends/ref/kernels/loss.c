/* SPDX-License-Identifier: Apache-2.0
 * Losses (NegativeLogLikelihoodLoss, SoftmaxCrossEntropyLoss) and single steps of optimizers (Adagrad, Adam, Momentum). */
#include "backends/ref/kernels/kutil.h"

/* ---- losses: x is [N, C, inner], labels are [N, inner] */
typedef struct loss {
  int64_t batch, classes, inner;
  const qcc_tensor *label;
  const float *weight; /* NULL: ones */
  bool ignores;
  int64_t ignored;
  double sum, weights;
} loss;

static qcc_status add_losses(qcc_kargs *k, loss *l, const float *x, float *each) {
  for (int64_t i = 0; i < l->batch * l->inner; ++i) {
    const int64_t c = qcc_tensor_get_s64(l->label, i);
    const bool skip = l->ignores && c == l->ignored;
    if (!skip && (c < 0 || c >= l->classes))
      return qcc_kx_fail(k, QCC_DATA, "D-251", "label %lld is outside [0, %lld)", (long long)c, (long long)l->classes);
    const float w = skip ? 0 : l->weight ? l->weight[c] : 1;
    const float v = skip ? 0 : -x[(i / l->inner * l->classes + c) * l->inner + i % l->inner] * w;
    if (each) each[i] = v;
    l->sum += (double)v;
    l->weights += (double)w;
  }
  return QCC_OK;
}

static qcc_status finish_loss(qcc_kargs *k, loss *l, const float *x) {
  const char *reduction = qcc_attr_str(k->node, "reduction", "mean");
  const bool none = strcmp(reduction, "none") == 0;
  qcc_type t = {.dtype = k->in[0]->type.dtype};
  float *y;
  if (none) t = qcc_kx_like(&k->in[1]->type, t.dtype);
  QCC_TRY(qcc_kx_out_f32(k, 0, &t, &y));
  QCC_TRY(add_losses(k, l, x, none ? y : NULL));
  if (y && !none) *y = (float)(strcmp(reduction, "sum") == 0 ? l->sum : l->sum / l->weights);
  qcc_kx_store_f32(k, 0, y);
  return QCC_OK;
}

static qcc_status read_loss(qcc_kargs *k, loss *l, const float **x) {
  const qcc_type *t = &k->in[0]->type;
  const bool weighs = qcc_kx_in(k, 2) != NULL;
  *l = (loss){.batch = t->dim[0], .classes = t->dim[1], .inner = qcc_kx_product(t->dim, 2, t->rank), .label = k->in[1]};
  l->ignores = qcc_attr_find(k->node, "ignore_index") != NULL;
  l->ignored = qcc_attr_int(k->node, "ignore_index", 0);
  if (!qcc_kx_is_float(t->dtype)) return qcc_kx_no_type(k, t->dtype);
  *x = qcc_kx_f32(k, 0);
  l->weight = weighs ? qcc_kx_f32(k, 2) : NULL;
  return *x && (l->weight || !weighs) ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_kernel_nll_loss(qcc_kargs *k) {
  loss l;
  const float *x;
  QCC_TRY(read_loss(k, &l, &x));
  return finish_loss(k, &l, x);
}

static void log_softmax(const loss *l, float *y, const float *x) {
  for (int64_t i = 0; i < l->batch * l->inner; ++i) {
    const int64_t from = i / l->inner * l->classes * l->inner + i % l->inner;
    float top = -INFINITY;
    double sum = 0;
    for (int64_t c = 0; c < l->classes; ++c) top = x[from + c * l->inner] > top ? x[from + c * l->inner] : top;
    for (int64_t c = 0; c < l->classes; ++c) sum += exp((double)x[from + c * l->inner] - (double)top);
    for (int64_t c = 0; c < l->classes; ++c) y[from + c * l->inner] = (float)((double)x[from + c * l->inner] - (double)top - log(sum));
  }
}

qcc_status qcc_kernel_softmax_loss(qcc_kargs *k) {
  loss l;
  const float *x;
  float *p;
  QCC_TRY(read_loss(k, &l, &x));
  QCC_TRY(qcc_kx_out_f32(k, 1, &k->in[0]->type, &p));
  const bool shown = p != NULL;
  if (!p) p = qcc_kscratch(k, ((size_t)qcc_tensor_count(k->in[0]) + 1) * sizeof *p);
  if (!p) return QCC_NOMEM;
  log_softmax(&l, p, x);
  if (shown) qcc_kx_store_f32(k, 1, p);
  return finish_loss(k, &l, p);
}

/* ---- optimizers: tensor by tensor over value x, gradient g, and one or two running averages */
typedef struct step {
  double rate, count, decay, alpha, beta, epsilon, post;
  bool nesterov;
} step;

static void adagrad(const step *s, double x, double g, const double *state, double *out) {
  const double r = s->rate / (1 + s->count * s->decay);
  out[1] = state[0] + g * g;
  out[0] = x - r * g / (sqrt(out[1]) + s->epsilon);
}

static void momentum(const step *s, double x, double g, const double *state, double *out) {
  out[1] = s->alpha * state[0] + (s->count > 0 ? s->beta : 1) * g;
  out[0] = x - s->rate * (s->nesterov ? g + s->alpha * out[1] : out[1]);
}

static void adam(const step *s, double x, double g, const double *state, double *out) {
  const double r = s->count > 0 ? s->rate * sqrt(1 - pow(s->beta, s->count)) / (1 - pow(s->alpha, s->count)) : s->rate;
  out[1] = s->alpha * state[0] + (1 - s->alpha) * g;
  out[2] = s->beta * state[1] + (1 - s->beta) * g * g;
  out[0] = (1 - s->post) * (x - r * out[1] / (sqrt(out[2]) + s->epsilon));
}

/* The shape rule has checked the number of tensors. `states`: running averages per tensor. */
static qcc_status optimize(qcc_kargs *k, step *s, uint32_t states, void (*rule)(const step *, double, double, const double *, double *)) {
  const uint32_t each = (k->in_count - 2) / (states + 2);
  const double norm = (double)qcc_attr_float(k->node, "norm_coefficient", 0);
  if (qcc_tensor_count(k->in[0]) != 1 || qcc_tensor_count(k->in[1]) != 1)
    return qcc_kx_fail(k, QCC_DATA, "D-252", "learning rate and update count must be one number each");
  s->rate = qcc_tensor_get(k->in[0], 0);
  s->count = qcc_tensor_get(k->in[1], 0);
  for (uint32_t t = 0; t < each; ++t) {
    const qcc_tensor *x = k->in[2 + t], *g = k->in[2 + each + t];
    void *to[3] = {NULL};
    if (!qcc_kx_is_float(x->type.dtype)) return qcc_kx_no_type(k, x->type.dtype);
    for (uint32_t o = 0; o <= states; ++o) QCC_TRY(qcc_kx_out(k, o * each + t, &x->type, &to[o]));
    for (int64_t i = 0, n = qcc_tensor_count(x); i < n; ++i) {
      double state[2] = {0}, out[3];
      const double v = qcc_tensor_get(x, i);
      for (uint32_t o = 0; o < states; ++o) state[o] = qcc_tensor_get(k->in[2 + (2 + o) * each + t], i);
      rule(s, v, norm * v + qcc_tensor_get(g, i), state, out);
      for (uint32_t o = 0; o <= states; ++o)
        if (to[o]) qcc_kx_put(x->type.dtype, to[o], i, out[o]);
    }
  }
  return QCC_OK;
}

static double number(const qcc_kargs *k, const char *attr, float fallback) { return (double)qcc_attr_float(k->node, attr, fallback); }

qcc_status qcc_kernel_adagrad(qcc_kargs *k) {
  step s = {.decay = number(k, "decay_factor", 0), .epsilon = number(k, "epsilon", 1e-6f)};
  return optimize(k, &s, 1, adagrad);
}

qcc_status qcc_kernel_momentum(qcc_kargs *k) {
  step s = {.alpha = number(k, "alpha", 0), .beta = number(k, "beta", 0)};
  s.nesterov = strcmp(qcc_attr_str(k->node, "mode", "standard"), "nesterov") == 0;
  return optimize(k, &s, 1, momentum);
}

qcc_status qcc_kernel_adam(qcc_kargs *k) {
  step s = {.alpha = number(k, "alpha", 0.9f),
            .beta = number(k, "beta", 0.999f),
            .epsilon = number(k, "epsilon", 1e-6f),
            .post = number(k, "norm_coefficient_post", 0)};
  return optimize(k, &s, 2, adam);
}
