/* SPDX-License-Identifier: Apache-2.0
 * qcc_diff: the same samples through two models; error of every tensor that both have. Memory: the tensors of one sample. */
#include <math.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/capi/model.h"
#include "ir/recorded.h"

typedef struct pair {
  const qcc_value *a, *b;
  float *value; /* of the current sample in the first model */
  size_t count;
  double signal, noise, power_b, dot, max_abs;
} pair;

typedef struct comparison {
  qcc_context *cx;
  pair *pairs;
  size_t count;
  qcc_status status;
} comparison;

static void keep(void *user, unsigned worker, size_t sample, uint32_t index, const qcc_tensor *t) {
  (void)worker, (void)sample;
  comparison *c = user;
  pair *p = &c->pairs[index];
  size_t count = (size_t)qcc_tensor_count(t);
  float *to = qcc_realloc_array(c->cx, p->value, count + 1, sizeof *to);
  if (!to) {
    c->status = QCC_NOMEM;
    return;
  }
  p->value = to;
  p->count = count;
  qcc_tensor_read_f32(t, to);
}

static void compare(void *user, unsigned worker, size_t sample, uint32_t index, const qcc_tensor *t) {
  (void)worker, (void)sample;
  comparison *c = user;
  pair *p = &c->pairs[index];
  if ((size_t)qcc_tensor_count(t) != p->count) return;
  for (size_t i = 0; i < p->count; i++) {
    double x = (double)p->value[i], y = qcc_tensor_get(t, (int64_t)i), e = x - y;
    p->signal += x * x;
    p->power_b += y * y;
    p->noise += e * e;
    p->dot += x * y;
    if (fabs(e) > p->max_abs) p->max_abs = fabs(e);
  }
}

static bool comparable(const qcc_value *a, const qcc_value *b) {
  return a && b && !a->data && !b->data && a->type.dtype == QCC_F32 && b->type.dtype == QCC_F32;
}

static qcc_status find_pairs(comparison *c, const qcc_graph *a, const qcc_graph *b) {
  size_t room = 0;
  QCC_FOR_NODES(n, a) room += n->out_count;
  c->pairs = qcc_zalloc_array(c->cx, room + 1, sizeof *c->pairs);
  if (!c->pairs) return QCC_NOMEM;
  QCC_FOR_NODES(n, a) {
    for (uint32_t k = 0; k < n->out_count; k++) {
      const qcc_value *v = n->out[k], *w = v ? qcc_find_value(b, v->name) : NULL;
      if (comparable(v, w)) c->pairs[c->count++] = (pair){.a = v, .b = w};
    }
  }
  return QCC_OK;
}

static qcc_status run_pair(comparison *c, qcc_runner *const runner[2], const qcc_samples *samples,
                           const qcc_value *const *const observed[2]) {
  const qcc_eval *eval = qcc_ref_eval();
  for (size_t i = 0; i < samples->count; i++) {
    qcc_hooks first = {.observed = observed[0], .observe_typed = keep, .user = c};
    qcc_hooks second = {.observed = observed[1], .observe_typed = compare, .user = c};
    QCC_TRY(eval->run(runner[0], samples, i, 1, &first));
    QCC_TRY(c->status);
    QCC_TRY(eval->run(runner[1], samples, i, 1, &second));
    QCC_TRY(qcc_progress(c->cx, "diff", i + 1, samples->count));
  }
  return QCC_OK;
}

static qcc_status run_both(comparison *c, const qcc_graph *a, const qcc_graph *b, const qcc_samples *samples) {
  const qcc_eval *eval = qcc_ref_eval();
  const qcc_value **list = qcc_zalloc_array(c->cx, 2 * (c->count + 1), sizeof *list);
  if (!list) return QCC_NOMEM;
  for (size_t i = 0; i < c->count; i++) {
    list[i] = c->pairs[i].a;
    list[c->count + 1 + i] = c->pairs[i].b;
  }
  qcc_runner *runner[2] = {NULL, NULL};
  qcc_status st = eval->open(&runner[0], c->cx, a, NULL);
  if (st == QCC_OK) st = eval->open(&runner[1], c->cx, b, NULL);
  if (st == QCC_OK) st = run_pair(c, runner, samples, (const qcc_value *const *const[2]){list, list + c->count + 1});
  for (int k = 0; k < 2; k++) {
    if (runner[k]) eval->close(runner[k]);
  }
  qcc_free(c->cx, list);
  return st;
}

static qcc_diff_row row_of(const pair *p) {
  qcc_diff_row r = {.tensor = p->a->name, .op = p->a->def->op_type, .max_abs = p->max_abs, .is_output = qcc_is_graph_output(p->a)};
  r.sqnr_db = p->noise > 0 ? 10 * log10((p->signal + 1e-30) / p->noise) : INFINITY;
  double norm = sqrt(p->signal * p->power_b);
  r.cosine = norm > 0 ? p->dot / norm : p->signal == p->power_b ? 1 : 0;
  return r;
}

/* Files seldom say the types of inner tensors: a copy that shares the weights, with all of them inferred. Inputs and outputs are floats. */
static qcc_status typed(qcc_graph **out, const qcc_graph *g) {
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  QCC_TRY(qcc_graph_clone(out, g));
  return qcc_run_passes(*out, "infer-shapes,io-codes{to=float}", &options);
}

/* Samples for the copies: what was opened for a model that takes codes comes as codes. */
typedef struct as_floats {
  const qcc_samples *from;
  const qcc_graph *model[2];
} as_floats;

static bool meaning(qcc_recorded *r, const as_floats *s, uint32_t input, qcc_dtype dtype) {
  for (int k = 0; k < 2; k++)
    if (qcc_recorded_of(r, s->model[k]->inputs[input]) && r->dtype == dtype) return true;
  return false;
}

static qcc_status to_floats(const as_floats *s, qcc_tensor *inputs) {
  for (uint32_t i = 0; i < s->model[0]->input_count; i++) {
    qcc_recorded r;
    qcc_tensor x;
    if (!inputs[i].data || !meaning(&r, s, i, inputs[i].type.dtype)) continue;
    QCC_TRY(qcc_recorded_dequantize(&x, s->model[0]->cx, &inputs[i], &r));
    qcc_tensor_release(&inputs[i]);
    inputs[i] = x;
  }
  return QCC_OK;
}

static qcc_status get_floats(void *user, size_t index, qcc_tensor *inputs) {
  const as_floats *s = user;
  QCC_TRY(s->from->get(s->from->user, index, inputs));
  qcc_status st = to_floats(s, inputs);
  for (uint32_t i = 0; st != QCC_OK && i < s->model[0]->input_count; i++) qcc_tensor_release(&inputs[i]);
  return st;
}

static qcc_status diff(comparison *c, const qcc_graph *a, const qcc_graph *b, const qcc_samples *samples) {
  QCC_TRY(find_pairs(c, a, b));
  if (c->count == 0) return qcc_error(c->cx, QCC_ARG, "A-140", NULL, "the two models have no float tensor of the same name");
  return run_both(c, a, b, samples);
}

qcc_status qcc_diff(const qcc_model *a, const qcc_model *b, const qcc_data *data, unsigned threads,
                    void (*each)(void *user, const qcc_diff_row *row), void *user) {
  if (!a || !b || !data || !each || a->cx != b->cx) return QCC_ARG;
  (void)threads; /* one sample at a time through both models: the tensors of two samples would not fit the memory promise */
  QCC_TRY(qcc_data_fits(data, a));
  QCC_TRY(qcc_data_fits(data, b));
  comparison c = {.cx = a->cx};
  qcc_graph *first = NULL, *second = NULL;
  qcc_status st = typed(&first, a->g);
  if (st == QCC_OK) st = typed(&second, b->g);
  as_floats floats = {.from = &data->samples, .model = {a->g, b->g}};
  const qcc_samples samples = {.count = data->samples.count, .get = get_floats, .user = &floats};
  if (st == QCC_OK) st = diff(&c, first, second, &samples);
  for (size_t i = 0; i < c.count; i++) {
    qcc_diff_row r = row_of(&c.pairs[i]);
    if (st == QCC_OK) each(user, &r);
    qcc_free(a->cx, c.pairs[i].value);
  }
  qcc_free(a->cx, c.pairs);
  qcc_graph_free(second);
  qcc_graph_free(first);
  return st;
}
