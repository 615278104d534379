/* SPDX-License-Identifier: Apache-2.0
 * Weights and biases of the operators that the placement chose: codes, scales, and the closed-form bias correction
 * delta = (W - W^) mu, mu = mean input patch, W^ = scale * codes (Nagel et al., "Data-Free Quantization Through Weight Equalization and Bias
 * Correction", equation 17). */
#include <math.h>
#include <string.h>

#include "ir/grid.h"
#include "strategy/bias.h"
#include "strategy/blocks.h"
#include "strategy/tuner.h"

typedef struct layer {
  const qcc_node *n;
  qcc_weight w;
  qcc_weight_options options;
  float *scale, *bias;
  qcc_buf *codes; /* s8 */
  int32_t middle; /* code of zero in the target's type; `codes` and the grid of `options` are seen from there */
  int32_t *code_max;
  const qcc_channels *input; /* statistics of the input channels; NULL: none */
} layer;

static void layer_fini(qcc_tuner *t, layer *l) {
  qcc_weight_fini(&l->w);
  qcc_free(t->cx, l->scale);
  qcc_free(t->cx, l->bias);
  qcc_buf_release(l->codes);
  qcc_free(t->cx, l->code_max);
}

static qcc_status read_bias(qcc_tuner *t, layer *l) {
  const qcc_value *b = qcc_in(l->n, 2);
  if (!qcc_is_const(b)) return QCC_OK;
  int64_t count = qcc_tensor_count(b->data);
  if (count != (int64_t)l->w.rows && count != 1) return QCC_OK;
  l->bias = qcc_zalloc_array(t->cx, l->w.rows, sizeof *l->bias);
  if (!l->bias) return QCC_NOMEM;
  for (size_t r = 0; r < l->w.rows; r++) l->bias[r] = (float)qcc_tensor_get(b->data, count == 1 ? 0 : (int64_t)r);
  return QCC_OK;
}

/* What the input looks like: its channels' means and mean squares and, on codes, its step and the highest code of each channel. */
static qcc_status read_input(qcc_tuner *t, const qcc_plan *plan, layer *l) {
  const qcc_value *x = l->n->in[0].value;
  const qcc_mode mode = t->place.mode[l->n->id];
  const qcc_plan_tensor *e = mode == QCC_MODE_STATIC ? qcc_plan_tensor_of(plan, x->name) : NULL;
  size_t channels = l->w.groups * l->w.channels;
  if (!e && mode != QCC_MODE_WEIGHT) return QCC_OK;
  l->input = t->stats ? qcc_collector_channels(t->stats, x) : NULL;
  if (l->input && (l->input->count != channels || l->input->n == 0)) l->input = NULL;
  if (l->input) l->options.meansq = l->input->meansq;
  if (!e) return QCC_OK;
  l->options.x_scale = (double)e->q.scale[0];
  l->options.bias = l->bias;
  l->code_max = qcc_zalloc_array(t->cx, channels, sizeof *l->code_max);
  if (!l->code_max) return QCC_NOMEM;
  int32_t zero = (e->q.zero ? e->q.zero[0] : 0) + (e->q.dtype == QCC_S8 ? 128 : 0); /* pairs are summed over unsigned codes */
  qcc_code_max(l->code_max, channels, l->input, e->q.scale[0], zero);
  l->options.code_max = l->code_max;
  return QCC_OK;
}

/* The target's grid; where the operator takes only other types, as wide a grid of its first one. */
static qcc_grid grid_of(const qcc_target *t, const qcc_target_way *way) {
  qcc_grid g = t->weight;
  const qcc_dtype first = (qcc_dtype)qcc_choices_first(&way->weight.dtype, g.dtype);
  if (qcc_choices_have(&way->weight.dtype, g.dtype) || qcc_dtype_bits(first) != qcc_dtype_bits(g.dtype)) return g;
  const int32_t shift = (int32_t)(qcc_dtype_min(first) - qcc_dtype_min(g.dtype));
  g.dtype = first;
  g.lo += shift;
  g.hi += shift;
  return g;
}

/* Weighted operators have rows by channel; recurrent ones a matrix per direction that shares scales between directions. */
static qcc_status layer_open(qcc_tuner *t, layer *l, const qcc_plan *plan, const qcc_node *n, uint32_t slot, int axis) {
  *l = (layer){.n = n, .options = qcc_weight_defaults()};
  bool weighted = qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED;
  const qcc_tensor *data = n->in[slot].value->data;
  QCC_TRY(weighted ? qcc_weight_open(&l->w, t->cx, n) : qcc_weight_open_rows(&l->w, t->cx, data, axis));
  qcc_grid *grid = &l->options.grid;
  *grid = grid_of(t->o->target, &t->o->target->ops[n->op].way[t->place.mode[n->id]]);
  l->middle = qcc_grid_middle(grid);
  grid->lo -= l->middle;
  grid->hi -= l->middle;
  l->options.per_tensor = axis < 0 || (!weighted && data->type.dim[0] > 1);
  if (grid->dtype == QCC_S8 && t->place.mode[n->id] != QCC_MODE_WEIGHT) l->options.pairs = t->o->target->pairs;
  l->scale = qcc_zalloc_array(t->cx, l->w.rows, sizeof *l->scale);
  if (!l->scale) return QCC_NOMEM;
  if (weighted) QCC_TRY(read_bias(t, l));
  return weighted ? read_input(t, plan, l) : QCC_OK;
}

static const int32_t *zeros_of(qcc_plan *plan, const layer *l) {
  int32_t *zero = qcc_arena_array(&plan->arena, l->w.rows, sizeof *zero);
  for (size_t r = 0; zero && r < l->w.rows; r++) zero[r] = l->middle;
  return zero;
}

static qcc_status shift_codes(layer *l) {
  int8_t *codes = qcc_buf_unique(&l->codes);
  if (!codes) return QCC_NOMEM;
  for (size_t i = 0; i < l->w.count; i++) codes[i] = (int8_t)(uint8_t)(codes[i] + l->middle);
  return QCC_OK;
}

/* Ends the layer's hold on its codes: they may leave memory. */
static qcc_status store_weight(qcc_plan *plan, layer *l, uint32_t slot, const char *algorithm) {
  const qcc_value *v = l->n->in[slot].value;
  qcc_plan_tensor *e = qcc_plan_set_tensor(plan, v->name);
  const int32_t *zero = l->middle ? zeros_of(plan, l) : NULL;
  if (l->middle) QCC_TRY(shift_codes(l));
  if (!e || (l->middle && !zero) || !qcc_buf_spill(&l->codes)) return QCC_NOMEM;
  bool per_tensor = l->options.per_tensor;
  qcc_qparams q = {.dtype = l->options.grid.dtype,
                   .axis = per_tensor ? -1 : l->w.axis,
                   .count = per_tensor ? 1 : (uint32_t)l->w.rows,
                   .scale = l->scale,
                   .zero = zero};
  qcc_plan_set_codes(e, l->codes);
  l->codes = NULL;
  e->algorithm = algorithm;
  return qcc_plan_set_qparams(plan, e, &q);
}

/* Share of the input that each kernel position really sees; 1 without a window. */
static qcc_status tap_shares(qcc_tuner *t, const layer *l, double *share) {
  for (size_t k = 0; k < l->w.positions; k++) share[k] = 1;
  if (l->n->op != QCC_OP_CONV) return QCC_OK;
  qcc_window window;
  QCC_TRY(qcc_window_of(&window, t->cx, l->n, &l->n->in[0].value->type, &l->n->in[1].value->type));
  qcc_tap_shares(share, &window, false);
  return QCC_OK;
}

static qcc_status correct_bias(qcc_tuner *t, qcc_plan *plan, const layer *l) {
  bool has_slot = l->n->op == QCC_OP_CONV || l->n->op == QCC_OP_GEMM;
  if (!l->input || !has_slot || (qcc_in(l->n, 2) && !l->bias)) return QCC_OK;
  double *share = qcc_zalloc_array(t->cx, l->w.positions, sizeof *share);
  float *delta = qcc_arena_array(&plan->arena, l->w.rows, sizeof *delta);
  qcc_plan_op *op = qcc_plan_set_op(plan, l->n->name);
  qcc_status st = share && delta && op ? tap_shares(t, l, share) : QCC_NOMEM;
  if (st == QCC_OK) {
    const qcc_dtype dtype = l->options.grid.dtype;
    const int8_t *codes = l->codes ? qcc_buf_data(l->codes) : NULL;
    qcc_bias_from_weights(delta, &l->w, codes, dtype, l->scale, l->input->mean, share);
    op->bias_count = (uint32_t)l->w.rows;
    op->bias_delta = delta;
  }
  qcc_free(t->cx, share);
  return st;
}

/* All values of `v` are known to be >= 0: it comes from a Relu, Clip or Sigmoid, through operators that keep the sign. */
static bool is_positive(const qcc_value *v) {
  double lo = -INFINITY, hi;
  for (int depth = 0; depth < 8 && v && v->def; depth++) {
    const qcc_node *n = v->def;
    qcc_known_range(v, &lo, &hi);
    bool keeps_sign = qcc_op_get(n->op)->role == QCC_ROLE_PASS || n->op == QCC_OP_GLOBAL_AVERAGE_POOL || n->op == QCC_OP_AVERAGE_POOL;
    if (lo >= 0 || !keeps_sign) break;
    v = qcc_in(n, 0);
  }
  return lo >= 0;
}

/* Grid and scales that the user gave. A bias that does not fit int32 at a given scale cannot be helped. */
static qcc_status take_given(qcc_tuner *t, layer *l, const qcc_given_tensor *given, int axis) {
  qcc_weight_options *o = &l->options;
  QCC_TRY(qcc_given_weight(l->scale, &o->grid, l->w.rows, o->per_tensor ? -1 : axis, t->cx, given));
  o->per_tensor = o->per_tensor || given->axis < 0;
  o->fixed = qcc_given_fixed(given);
  for (size_t r = 0; r < l->w.rows && o->fixed && o->bias && o->x_scale > 0; r++) {
    if ((double)l->scale[r] < fabs((double)o->bias[r]) / (o->x_scale * 0x1p30))
      return qcc_error(t->cx, QCC_ARG, "A-154", NULL, "%s: the scale of channel %zu is too small for its bias to fit 32 bits", given->place,
                       r);
  }
  return QCC_OK;
}

static qcc_status new_codes(qcc_tuner *t, layer *l) {
  l->codes = qcc_buf_new(t->cx, l->w.count);
  if (l->codes) memset(qcc_buf_unique(&l->codes), 0, l->w.count);
  return l->codes ? QCC_OK : QCC_NOMEM;
}

/* ---- plans of one placement differ in ranges, most weights do not see that: what was searched once is found again */

/* Least scales: the bias guard asks for more than the tensor itself in no row, at either step of the data. */
static bool same_guards(const layer *l, double other_scale) {
  const qcc_weight_options *o = &l->options;
  float most = 0;
  if (!o->bias || o->x_scale == other_scale) return true;
  for (size_t i = 0; i < l->w.count; i++) most = fmaxf(most, fabsf(l->w.w[i]));
  qcc_weight_options free = *o, other = *o;
  free.bias = NULL;
  other.x_scale = other_scale;
  for (size_t r = 0; r < l->w.rows; r++) {
    const double least = qcc_weight_least_scale(r, (double)most, &free);
    if (qcc_weight_least_scale(r, (double)most, o) > least || qcc_weight_least_scale(r, (double)most, &other) > least) return false;
  }
  return true;
}

static bool same_search(const qcc_tuner *t, const layer *l, const qcc_searched *s) {
  const size_t limits = l->code_max ? l->w.groups * l->w.channels : 0;
  if (!s->codes || s->mode != t->place.mode[l->n->id] || !s->code_max != !l->code_max) return false;
  const bool paired = l->options.pairs && !l->w.depthwise;
  if (paired && limits && memcmp(s->code_max, l->code_max, limits * sizeof *l->code_max) != 0) return false;
  return same_guards(l, s->x_scale);
}

static qcc_status keep_search(qcc_tuner *t, layer *l, qcc_searched *s) {
  const size_t limits = l->w.groups * l->w.channels;
  *s = (qcc_searched){.mode = t->place.mode[l->n->id], .x_scale = l->options.x_scale};
  s->scale = qcc_zalloc_array(t->cx, l->w.rows, sizeof *s->scale);
  s->code_max = l->code_max ? qcc_zalloc_array(t->cx, limits, sizeof *s->code_max) : NULL;
  if (!s->scale || (l->code_max && !s->code_max) || !qcc_buf_spill(&l->codes)) return QCC_NOMEM;
  memcpy(s->scale, l->scale, l->w.rows * sizeof *s->scale);
  if (l->code_max) memcpy(s->code_max, l->code_max, limits * sizeof *s->code_max);
  s->codes = qcc_buf_retain(l->codes);
  return QCC_OK;
}

static qcc_status search(qcc_tuner *t, layer *l, uint32_t slot) {
  qcc_searched *s = t->searched ? &t->searched[2 * l->n->id + slot - 1] : NULL;
  if (s && same_search(t, l, s)) {
    memcpy(l->scale, s->scale, l->w.rows * sizeof *l->scale);
    l->codes = qcc_buf_retain(s->codes);
    return QCC_OK;
  }
  QCC_TRY(new_codes(t, l));
  QCC_TRY(qcc_weight_scales(l->scale, qcc_buf_unique(&l->codes), NULL, &l->w, &l->options));
  return s && !s->codes ? keep_search(t, l, s) : QCC_OK;
}

qcc_status qcc_tuner_remember(qcc_tuner *t) {
  t->searched = qcc_zalloc_array(t->cx, 2 * ((size_t)t->place.node_count + 1), sizeof *t->searched);
  return t->searched ? QCC_OK : QCC_NOMEM;
}

void qcc_tuner_forget(qcc_tuner *t) {
  for (size_t i = 0; t->searched && i < 2 * (size_t)t->place.node_count; i++) {
    qcc_buf_release(t->searched[i].codes);
    qcc_free(t->cx, t->searched[i].scale);
    qcc_free(t->cx, t->searched[i].code_max);
  }
  qcc_free(t->cx, t->searched);
  t->searched = NULL;
}

/* Scales and nearest safe codes. */
static qcc_status first_codes(qcc_tuner *t, layer *l, uint32_t slot, int axis) {
  const qcc_given_tensor *given = qcc_given_of(t->o->given, l->n->in[slot].value);
  if (given) QCC_TRY(take_given(t, l, given, axis));
  if (!l->options.fixed) return search(t, l, slot);
  QCC_TRY(new_codes(t, l));
  return qcc_weight_round(qcc_buf_unique(&l->codes), NULL, &l->w, l->scale, &l->options);
}

static qcc_status one_weight(qcc_tuner *t, qcc_plan *plan, const qcc_node *n, uint32_t slot, qcc_layer_step step, bool correct) {
  int axis;
  if (!qcc_weight_of(&t->place, n, slot, &axis)) return QCC_OK;
  layer l;
  qcc_status st = layer_open(t, &l, plan, n, slot, axis);
  if (st == QCC_OK) st = first_codes(t, &l, slot, axis);
  bool balance = st == QCC_OK && t->place.mode[n->id] == QCC_MODE_WEIGHT && qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED &&
                 !(correct && l.input) && is_positive(n->in[0].value);
  const qcc_gram *gram = t->gram ? t->gram[n->id] : NULL;
  bool reconstruct = step == QCC_LAYER_RECONSTRUCT && gram && qcc_gram_rows(gram) > 0;
  int8_t *codes = st == QCC_OK && (balance || reconstruct) ? qcc_buf_unique(&l.codes) : NULL;
  if (st == QCC_OK && (balance || reconstruct) && !codes) st = QCC_NOMEM;
  if (st == QCC_OK && balance) qcc_weight_balance(codes, l.scale, &l.w, &l.options.grid);
  if (st == QCC_OK && reconstruct) st = qcc_weight_reconstruct(codes, l.scale, NULL, NULL, &l.w, &l.options, gram, correct);
  if (st == QCC_OK && correct) st = correct_bias(t, plan, &l);
  if (st == QCC_OK) st = store_weight(plan, &l, slot, l.options.fixed ? "given" : reconstruct ? "reconstructed" : "searched");
  layer_fini(t, &l);
  qcc_buf_cold(n->in[slot].value->data->buf);
  return st;
}

/* Floats of 8 bits, rounded to nearest when the plan is applied; what the input looks like weights the search for scales. */
static qcc_status float_weight(qcc_tuner *t, qcc_plan *plan, const qcc_node *n, uint32_t slot, bool correct) {
  int axis;
  const qcc_value *v = qcc_weight_of(&t->place, n, slot, &axis);
  if (!v) return QCC_OK;
  const qcc_given_tensor *given = qcc_given_of(t->o->given, v);
  if (given)
    return qcc_error(t->cx, QCC_ARG, "A-137", NULL, "%s: the weight is stored in floats, whose scales cannot be given", given->place);
  layer l;
  qcc_status st = layer_open(t, &l, plan, n, slot, axis);
  if (st == QCC_OK) st = qcc_float_scales(l.scale, NULL, &l.w, &l.options);
  if (st == QCC_OK && correct) st = correct_bias(t, plan, &l);
  qcc_plan_tensor *e = st == QCC_OK ? qcc_plan_set_tensor(plan, v->name) : NULL;
  if (st == QCC_OK && !e) st = QCC_NOMEM;
  if (st == QCC_OK) {
    const bool one = l.options.per_tensor;
    const qcc_qparams q = {
        .dtype = l.options.grid.dtype, .axis = one ? -1 : l.w.axis, .count = one ? 1 : (uint32_t)l.w.rows, .scale = l.scale};
    e->algorithm = "searched";
    st = qcc_plan_set_qparams(plan, e, &q);
  }
  layer_fini(t, &l);
  qcc_buf_cold(v->data->buf);
  return st;
}

/* Nearest codes in blocks; what the input looks like weights the search. */
static qcc_status block_weight(qcc_tuner *t, qcc_plan *plan, const qcc_node *n) {
  int axis;
  const qcc_value *v = qcc_weight_of(&t->place, n, 1, &axis);
  qcc_weight w;
  if (!v) return QCC_OK;
  const qcc_given_tensor *given = qcc_given_of(t->o->given, v);
  if (given)
    return qcc_error(t->cx, QCC_ARG, "A-137", NULL, "%s: the weight is stored in blocks, whose scales cannot be given", given->place);
  QCC_TRY(qcc_weight_open(&w, t->cx, n));
  const qcc_channels *x = t->stats ? qcc_collector_channels(t->stats, n->in[0].value) : NULL;
  const qcc_block_options o = {
      .dtype = t->o->block_dtype, .block = t->o->block, .meansq = x && x->n && x->count == w.channels ? x->meansq : NULL};
  const size_t count = qcc_block_count(&w, o.block);
  float *scale = qcc_zalloc_array(t->cx, count, sizeof *scale);
  int32_t *zero = qcc_zalloc_array(t->cx, count, sizeof *zero);
  qcc_status st = scale && zero ? qcc_block_scales(scale, zero, NULL, &w, &o) : QCC_NOMEM;
  qcc_plan_tensor *e = st == QCC_OK ? qcc_plan_set_tensor(plan, v->name) : NULL;
  if (st == QCC_OK && !e) st = QCC_NOMEM;
  if (st == QCC_OK) {
    e->algorithm = "searched";
    st = qcc_plan_set_qparams(plan, e,
                              &(qcc_qparams){.dtype = o.dtype,
                                             .axis = 1 - w.axis,
                                             .block = (int64_t)o.block,
                                             .count = (uint32_t)count,
                                             .scale = scale,
                                             .zero = qcc_dtype_kind(o.dtype) == QCC_KIND_SINT ? NULL : zero});
  }
  qcc_free(t->cx, scale);
  qcc_free(t->cx, zero);
  qcc_weight_fini(&w);
  return st;
}

typedef struct layer_walk {
  qcc_tuner *t;
  qcc_plan *plan;
  qcc_layer_step step;
  bool correct;
} layer_walk;

static qcc_status weight_of(const layer_walk *w, const qcc_node *n, uint32_t slot, bool correct) {
  if (qcc_dtype_is_f8(w->t->o->target->weight.dtype)) return float_weight(w->t, w->plan, n, slot, correct);
  return one_weight(w->t, w->plan, n, slot, w->step, correct);
}

static qcc_status walk_layers(qcc_graph *g, void *user) {
  layer_walk *w = user;
  QCC_FOR_NODES(n, g) {
    qcc_role role = qcc_op_get(n->op)->role;
    if (w->t->o->block_dtype != QCC_NONE && qcc_is_product(n)) {
      QCC_TRY(block_weight(w->t, w->plan, n));
      continue;
    }
    if (role == QCC_ROLE_WEIGHTED) QCC_TRY(weight_of(w, n, 1, w->correct));
    if (role != QCC_ROLE_RECURRENT) continue;
    QCC_TRY(weight_of(w, n, 1, false));
    QCC_TRY(weight_of(w, n, 2, false));
  }
  return QCC_OK;
}

qcc_status qcc_tuner_layers(qcc_tuner *t, qcc_plan *plan, qcc_layer_step step, bool correct) {
  layer_walk w = {t, plan, step, correct};
  return qcc_graph_walk((qcc_graph *)(uintptr_t)t->g, walk_layers, &w);
}

/* ---- what cannot be quantized */

static qcc_status check_finite(const qcc_node *n, const qcc_value *v) {
  if (!qcc_is_const(v) || v->type.dtype != QCC_F32) return QCC_OK;
  const char *bytes = v->data->data; /* of any alignment */
  size_t count = v->data->bytes / sizeof(float), i = 0;
  float x = 0;
  for (; i < count && isfinite(x); i++) memcpy(&x, bytes + i * sizeof x, sizeof x);
  if (isfinite(x)) return QCC_OK;
  qcc_loc loc = {.file = n->graph->root->file, .node = n->name, .op = n->op_type, .tensor = v->name};
  return qcc_error(n->graph->cx, QCC_INVALID, "M-150", &loc,
                   "element %zu is %s; only finite numbers can be quantized: mend the model or keep the node float with --exclude", i - 1,
                   isnan(x) ? "NaN" : "infinite");
}

static qcc_status check_weights(qcc_graph *g, void *user) {
  const qcc_tuner *t = user;
  QCC_FOR_NODES(n, g) {
    int axis;
    for (uint32_t slot = 1; slot <= 2; slot++) {
      const qcc_value *w = qcc_weight_of(&t->place, n, slot, &axis);
      if (w) QCC_TRY(check_finite(n, w));
    }
    if (qcc_op_get(n->op)->role == QCC_ROLE_WEIGHTED && qcc_weight_of(&t->place, n, 1, &axis)) QCC_TRY(check_finite(n, qcc_in(n, 2)));
  }
  return QCC_OK;
}

qcc_status qcc_tuner_check_weights(const qcc_tuner *t) {
  return qcc_graph_walk((qcc_graph *)(uintptr_t)t->g, check_weights, (void *)(uintptr_t)t);
}

/* ---- Gram matrices */

static qcc_status add_gram(qcc_tuner *t, const qcc_node *n) {
  const qcc_value *x = n->in[0].value;
  const qcc_mode mode = t->place.mode[n->id];
  if (qcc_op_get(n->op)->role != QCC_ROLE_WEIGHTED || (mode != QCC_MODE_STATIC && mode != QCC_MODE_WEIGHT)) return QCC_OK;
  if (qcc_dtype_is_f8(t->o->target->weight.dtype)) return QCC_OK; /* rounded to nearest */
  qcc_weight w;
  QCC_TRY(qcc_weight_open(&w, t->cx, n));
  size_t channels = w.groups * w.channels;
  qcc_weight_fini(&w);
  qcc_window window;
  bool is_conv = n->op == QCC_OP_CONV;
  if (is_conv) QCC_TRY(qcc_window_of(&window, t->cx, n, &x->type, &n->in[1].value->type));
  qcc_status st = qcc_gram_new(&t->gram[n->id], t->cx, is_conv ? &window : NULL, channels, 0);
  if (st == QCC_LIMIT) return QCC_OK; /* too large: the layer keeps nearest codes */
  return st == QCC_OK ? qcc_collector_gram(t->stats, x, t->gram[n->id]) : st;
}

qcc_status qcc_tuner_grams(qcc_tuner *t) {
  t->gram = qcc_zalloc_array(t->cx, t->place.node_count + 1u, sizeof(qcc_gram *));
  qcc_status st = t->gram ? QCC_OK : QCC_NOMEM;
  for (const qcc_node *n = t->g->first; n && st == QCC_OK; n = n->next) st = add_gram(t, n);
  return st;
}
