/* SPDX-License-Identifier: Apache-2.0
 * qcc_diff: the same samples through two models; error of every tensor that both have. Memory: the tensors of one sample.
 *
 * Computed in codes, a quantized part has no floats between its operators: what the model calls a float tensor is there as the codes that it
 * becomes, or comes from, and these are compared as what they mean. */
#include <math.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/capi/model.h"
#include "frontends/capi/ready.h"
#include "ir/recorded.h"
#include "passes/facts.h"

/* Where a float tensor of a model is found when it runs. */
typedef struct seen {
  const qcc_value *value;
  bool coded;
  qcc_recorded means; /* of codes */
} seen;

typedef struct pair {
  const qcc_value *named; /* the tensor of the first model, as it is called there */
  seen a, b;
  float *value; /* of the current sample in the first model */
  size_t count;
  double signal, noise, power_b, dot, max_abs;
} pair;

/* A model on its way: with all types told and floats at its borders, then as what runs. */
typedef struct side {
  qcc_graph *typed;
  qcc_ready ready;
  qcc_arithmetic how;
  const qcc_value **observed;
  qcc_runner *runner;
} side;

typedef struct comparison {
  qcc_context *cx;
  const qcc_run_settings *settings;
  side a, b;
  pair *pairs;
  size_t count, lost; /* of tensors that both models have, those that run in neither form */
  qcc_status status;
} comparison;

static float meant(const seen *s, float x) { return s->coded ? (x - (float)s->means.zero) * s->means.scale : x; }

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
  for (size_t i = 0; p->a.coded && i < count; i++) to[i] = meant(&p->a, to[i]);
}

static void compare(void *user, unsigned worker, size_t sample, uint32_t index, const qcc_tensor *t) {
  (void)worker, (void)sample;
  comparison *c = user;
  pair *p = &c->pairs[index];
  if ((size_t)qcc_tensor_count(t) != p->count) return;
  for (size_t i = 0; i < p->count; i++) {
    double x = (double)p->value[i], y = (double)meant(&p->b, (float)qcc_tensor_get(t, (int64_t)i)), e = x - y;
    p->signal += x * x;
    p->power_b += y * y;
    p->noise += e * e;
    p->dot += x * y;
    if (fabs(e) > p->max_abs) p->max_abs = fabs(e);
  }
}

/* ---- which tensors */
static bool comparable(const qcc_value *v) { return v && !v->data && v->type.dtype == QCC_F32; }

/* The codes on one side of a QuantizeLinear or DequantizeLinear, where they are left under their name. */
static bool find_codes(seen *out, const qcc_node *n, const qcc_value *codes, const qcc_graph *runs) {
  const qcc_value *scale = qcc_in(n, 1), *zero = qcc_in(n, 2), *v = qcc_find_value(runs, codes->name);
  const qcc_dtype t = codes->type.dtype;
  if (!v || v->data || v->type.dtype != t || !qcc_dtype_is_int(t) || qcc_dtype_bits(t) > 16) return false;
  if (!qcc_is_const(scale) || scale->data->type.dtype != QCC_F32 || qcc_tensor_count(scale->data) != 1) return false;
  if (zero && (!qcc_is_const(zero) || qcc_tensor_count(zero->data) != 1)) return false;
  const int32_t at = zero ? (int32_t)qcc_tensor_get(zero->data, 0) : 0;
  *out = (seen){.value = v, .coded = true, .means = {.scale = (float)qcc_tensor_get(scale->data, 0), .zero = at, .dtype = t}};
  return true;
}

static bool find_seen(seen *out, const qcc_value *v, const qcc_graph *runs) {
  const qcc_value *same = qcc_find_value(runs, v->name);
  *out = (seen){.value = same};
  if (comparable(same)) return true;
  if (v->def && v->def->op == QCC_OP_DEQUANTIZE_LINEAR && find_codes(out, v->def, v->def->in[0].value, runs)) return true;
  QCC_FOR_USES(u, v) {
    if (u->node && u->node->op == QCC_OP_QUANTIZE_LINEAR && u->node->in[0].value == v && find_codes(out, u->node, u->node->out[0], runs))
      return true;
  }
  return false;
}

/* What the codes of `v` in another model mean: the activations behind it that are not there have become the ends of its grid. */
static const qcc_value *clamped(const qcc_value *v, const qcc_graph *other) {
  double lo, hi;
  for (const qcc_node *n; (n = qcc_only_user(v)) != NULL && qcc_clamp_window(n, &lo, &hi) && !qcc_find_value(other, n->out[0]->name);)
    v = n->out[0];
  return v;
}

static bool find_pair(pair *p, const comparison *c, const qcc_value *v, const qcc_value *w) {
  const qcc_value *v_end = clamped(v, c->b.typed), *w_end = clamped(w, c->a.typed);
  const bool a = find_seen(&p->a, v, c->a.ready.g), b = find_seen(&p->b, w, c->b.ready.g);
  p->named = v;
  if (b && p->b.coded && v_end != v) return p->named = v_end, find_seen(&p->a, v_end, c->a.ready.g);
  if (a && p->a.coded && w_end != w) return find_seen(&p->b, w_end, c->b.ready.g);
  return a && b;
}

static qcc_status find_pairs(comparison *c) {
  size_t room = 0;
  QCC_FOR_NODES(n, c->a.typed) room += n->out_count;
  c->pairs = qcc_zalloc_array(c->cx, room + 1, sizeof *c->pairs);
  if (!c->pairs) return QCC_NOMEM;
  QCC_FOR_NODES(n, c->a.typed) {
    for (uint32_t k = 0; k < n->out_count; k++) {
      const qcc_value *v = n->out[k], *w = v ? qcc_find_value(c->b.typed, v->name) : NULL;
      pair p = {.named = v};
      if (!comparable(v) || !comparable(w)) continue;
      if (find_pair(&p, c, v, w))
        c->pairs[c->count++] = p;
      else
        c->lost++;
    }
  }
  return QCC_OK;
}

/* ---- running */
/* Files seldom say the types of inner tensors: a copy that shares the weights, with all of them inferred. Inputs and outputs are floats. */
static qcc_status prepare_side(comparison *c, side *s, const qcc_graph *g) {
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  QCC_TRY(qcc_graph_clone(&s->typed, g));
  QCC_TRY(qcc_run_passes(s->typed, "infer-shapes,io-codes{to=float}", &options));
  if (qcc_is_quantized(g)) s->how = qcc_arithmetic_of(c->settings->exact, c->settings->saturating);
  return qcc_ready_open(&s->ready, c->cx, s->typed, s->how == QCC_AS_FLOAT ? "infer-shapes" : "@qlinear");
}

static qcc_status open_side(comparison *c, side *s) {
  return qcc_ref_eval()->open(&s->runner, c->cx, s->ready.g, &(qcc_run_options){.arithmetic = s->how, .isa = c->settings->isa});
}

static void close_side(comparison *c, side *s) {
  if (s->runner) qcc_ref_eval()->close(s->runner);
  qcc_ready_close(&s->ready);
  qcc_graph_free(s->typed);
  qcc_free(c->cx, s->observed);
}

static qcc_status observe(comparison *c) {
  c->a.observed = qcc_zalloc_array(c->cx, c->count + 1, sizeof *c->a.observed);
  c->b.observed = qcc_zalloc_array(c->cx, c->count + 1, sizeof *c->b.observed);
  if (!c->a.observed || !c->b.observed) return QCC_NOMEM;
  for (size_t i = 0; i < c->count; i++) {
    c->a.observed[i] = c->pairs[i].a.value;
    c->b.observed[i] = c->pairs[i].b.value;
  }
  return QCC_OK;
}

static qcc_status run_both(comparison *c, const qcc_samples *samples) {
  const qcc_eval *eval = qcc_ref_eval();
  const qcc_samples *first = qcc_ready_samples(&c->a.ready, samples), *second = qcc_ready_samples(&c->b.ready, samples);
  const qcc_hooks keeping = {.observed = c->a.observed, .observe_typed = keep, .user = c};
  const qcc_hooks comparing = {.observed = c->b.observed, .observe_typed = compare, .user = c};
  for (size_t i = 0; i < samples->count; i++) {
    QCC_TRY(eval->run(c->a.runner, first, i, 1, &keeping));
    QCC_TRY(c->status);
    QCC_TRY(eval->run(c->b.runner, second, i, 1, &comparing));
    QCC_TRY(qcc_progress(c->cx, "diff", i + 1, samples->count));
  }
  return QCC_OK;
}

static qcc_diff_row row_of(const pair *p) {
  qcc_diff_row r = {
      .tensor = p->named->name, .op = p->named->def->op_type, .max_abs = p->max_abs, .is_output = qcc_is_graph_output(p->named)};
  r.sqnr_db = p->noise > 0 ? 10 * log10((p->signal + 1e-30) / p->noise) : INFINITY;
  double norm = sqrt(p->signal * p->power_b);
  r.cosine = norm > 0 ? p->dot / norm : p->signal == p->power_b ? 1 : 0;
  return r;
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
  QCC_TRY(prepare_side(c, &c->a, a));
  QCC_TRY(prepare_side(c, &c->b, b));
  QCC_TRY(find_pairs(c));
  if (c->count == 0) return qcc_error(c->cx, QCC_ARG, "A-140", NULL, "the two models have no float tensor of the same name");
  if (c->lost) qcc_note(c->cx, NULL, "%zu tensors of both models are inside of operators on codes, where nothing is left of them", c->lost);
  QCC_TRY(observe(c));
  QCC_TRY(open_side(c, &c->a));
  QCC_TRY(open_side(c, &c->b));
  return run_both(c, samples);
}

static qcc_status check_settings(qcc_context *cx, const qcc_run_settings *settings) {
  QCC_TRY(qcc_settings_check(cx, settings));
  if (!settings->runtime && !settings->profile && !settings->trace) return QCC_OK;
  return qcc_error(cx, QCC_ARG, "A-147", NULL, "models are compared on the built-in runtime, and not measured");
}

qcc_status qcc_diff_as(const qcc_model *a, const qcc_model *b, const qcc_data *data, const qcc_run_settings *settings,
                       void (*each)(void *user, const qcc_diff_row *row), void *user) {
  if (!a || !b || !data || !settings || !each || a->cx != b->cx) return QCC_ARG;
  QCC_TRY(check_settings(a->cx, settings));
  QCC_TRY(qcc_data_fits(data, a));
  QCC_TRY(qcc_data_fits(data, b));
  comparison c = {.cx = a->cx, .settings = settings};
  as_floats floats = {.from = &data->samples, .model = {a->g, b->g}};
  const qcc_samples samples = {.count = data->samples.count, .get = get_floats, .user = &floats};
  qcc_status st = diff(&c, a->g, b->g, &samples);
  for (size_t i = 0; i < c.count; i++) {
    qcc_diff_row r = row_of(&c.pairs[i]);
    if (st == QCC_OK) each(user, &r);
    qcc_free(a->cx, c.pairs[i].value);
  }
  qcc_free(a->cx, c.pairs);
  close_side(&c, &c.a);
  close_side(&c, &c.b);
  return st;
}

/* One sample at a time through both models, whatever `threads` says: the tensors of two samples would not fit the memory promise. */
qcc_status qcc_diff(const qcc_model *a, const qcc_model *b, const qcc_data *data, unsigned threads,
                    void (*each)(void *user, const qcc_diff_row *row), void *user) {
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  settings.threads = threads;
  return qcc_diff_as(a, b, data, &settings, each, user);
}
