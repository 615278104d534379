/* SPDX-License-Identifier: Apache-2.0
 * LSTM, GRU and RNN: all directions, layouts, sequence lengths, initial states. The input part of every time step is one GEMM; the cells
 * (rnn_cell.c) add the recurrence. A batch row stops at its own length: later outputs are 0 and the last state stays.
 * Invariant: rows of one batch never mix, so a row's result does not depend on the others' lengths. */
#include "backends/ref/kernels/rnn.h"
#include "backends/ref/run.h"

enum { PACKED_BATCH = 3 }; /* more rows share what they read of R in one product */

/* ---- reading the node */
typedef struct act_row {
  const char *name;
  float alpha, beta;
} act_row;
static const act_row acts[] = {
    /* order of qcc_rnn_act */
    {"relu", 0, 0},          {"tanh", 0, 0},
    {"sigmoid", 0, 0},       {"affine", 1, 0},
    {"leakyrelu", 0.01f, 0}, {"thresholdedrelu", 1, 0},
    {"scaledtanh", 1, 1},    {"hardsigmoid", 0.2f, 0.5f},
    {"elu", 1, 0},           {"softsign", 0, 0},
    {"softplus", 0, 0},
};
static const bool act_has[][2] = {
    /* takes alpha, beta from the lists */
    {false, false}, {false, false}, {false, false}, {true, true},   {true, false},  {true, false},
    {true, true},   {true, true},   {true, false},  {false, false}, {false, false},
};

static bool same_word(const qcc_bytes *s, const char *word) { /* models differ in the case of these names */
  size_t n = strlen(word);
  if (s->n != n) return false;
  for (size_t i = 0; i < n; ++i) {
    char c = s->at[i];
    if ((c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c) != word[i]) return false;
  }
  return true;
}

static qcc_status read_fns(qcc_kargs *k, qcc_rnn *l) {
  static const qcc_rnn_act usual[] = {QCC_RNN_SIGMOID, QCC_RNN_TANH, QCC_RNN_TANH};
  const qcc_attr *names = qcc_attr_find(k->node, "activations");
  uint32_t alphas, betas, a = 0, b = 0, total = (uint32_t)(l->fns * l->directions);
  const float *alpha = qcc_attr_floats(k->node, "activation_alpha", &alphas), *beta = qcc_attr_floats(k->node, "activation_beta", &betas);
  if (names && (names->kind != QCC_ATTR_STRINGS || names->count != total)) {
    return qcc_kx_fail(k, QCC_DATA, "D-780", "attribute activations needs %u names", total);
  }
  for (uint32_t i = 0; i < total; ++i) {
    uint32_t f = (uint32_t)(l->fns == 1 ? QCC_RNN_TANH : usual[i % (uint32_t)l->fns]);
    if (names) {
      for (f = 0; f < sizeof acts / sizeof *acts && !same_word(&names->strings[i], acts[f].name);) ++f;
      if (f == sizeof acts / sizeof *acts)
        return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-781", "unknown activation \"%.64s\"", names->strings[i].at);
    }
    qcc_rnn_fn *fn = &l->fn[i / (uint32_t)l->fns][i % (uint32_t)l->fns];
    *fn = (qcc_rnn_fn){(qcc_rnn_act)f, acts[f].alpha, acts[f].beta};
    if (act_has[f][0] && a < alphas) fn->alpha = alpha[a++];
    if (act_has[f][1] && b < betas) fn->beta = beta[b++];
  }
  return QCC_OK;
}

/* Input `i` as f32 with exactly this shape; *to stays NULL when it is left out. */
static qcc_status shaped(qcc_kargs *k, uint32_t i, int rank, int64_t d0, int64_t d1, int64_t d2, const float **to) {
  const qcc_tensor *t = qcc_kx_in(k, i);
  if (!t) return QCC_OK;
  const int64_t want[3] = {d0, d1, d2};
  bool fits = t->type.rank == rank && qcc_kx_is_float(t->type.dtype);
  for (int d = 0; fits && d < rank; ++d) fits = t->type.dim[d] == want[d];
  if (!fits) {
    return qcc_kx_fail(k, QCC_DATA, "D-782", "input %u must be a float tensor of %lld x %lld x %lld (rank %d)", i, (long long)d0,
                       (long long)d1, (long long)d2, rank);
  }
  *to = qcc_kx_f32(k, i);
  return *to ? QCC_OK : QCC_NOMEM;
}

static qcc_status read_sizes(qcc_kargs *k, qcc_rnn *l) {
  static const char *const names[] = {"forward", "reverse", "bidirectional", NULL};
  int direction;
  const qcc_type *x = &k->in[0]->type, *r = &k->in[2]->type;
  QCC_TRY(qcc_kx_choice(k, "direction", names, 0, &direction));
  l->directions = direction == 2 ? 2 : 1;
  l->reverse_first = direction == 1;
  l->batch_first = qcc_attr_int(k->node, "layout", 0) != 0;
  l->linear_before_reset = qcc_attr_int(k->node, "linear_before_reset", 0) != 0;
  l->input_forget = qcc_attr_int(k->node, "input_forget", 0) != 0;
  l->clip = qcc_attr_find(k->node, "clip") ? qcc_attr_float(k->node, "clip", 0) : INFINITY;
  if (!(l->clip > 0)) l->clip = INFINITY;
  if (x->rank != 3 || r->rank != 3)
    return qcc_kx_fail(k, QCC_DATA, "D-783", "X and R must have rank 3, they have %d and %d", x->rank, r->rank);
  l->steps = x->dim[l->batch_first ? 1 : 0];
  l->batch = x->dim[l->batch_first ? 0 : 1];
  l->input = x->dim[2];
  l->hidden = r->dim[l->in_codes ? 1 : 2];
  if (qcc_attr_int(k->node, "hidden_size", l->hidden) != l->hidden) {
    return qcc_kx_fail(k, QCC_DATA, "D-784", "hidden_size is %lld but R has %lld columns",
                       (long long)qcc_attr_int(k->node, "hidden_size", 0), (long long)l->hidden);
  }
  return QCC_OK;
}

/* Initial states are [directions, batch, hidden], or batch first with layout 1. */
static qcc_status read_state(qcc_kargs *k, const qcc_rnn *l, uint32_t i, const float **to) {
  return shaped(k, i, 3, l->batch_first ? l->batch : l->directions, l->batch_first ? l->directions : l->batch, l->hidden, to);
}

/* Weights `at` [directions, depth, G*H] with scale and zero points in the inputs `params` and `params` + 1: one or G*H per direction. */
static qcc_status read_codes(qcc_kargs *k, const qcc_rnn *l, uint32_t at, uint32_t params, int64_t depth, qcc_rnn_codes *to) {
  const qcc_tensor *w = k->in[at], *scale = qcc_kx_in(k, params), *zero = qcc_kx_in(k, params + 1);
  const int64_t width = l->gates * l->hidden, *d = w->type.dim, n = l->directions * depth * width;
  if (w->type.dtype != QCC_U8 && w->type.dtype != QCC_S8) return qcc_kx_no_type(k, w->type.dtype);
  if (w->type.rank != 3 || d[0] != l->directions || d[1] != depth || d[2] != width || !scale || !zero)
    return qcc_kx_fail(k, QCC_DATA, "D-782", "input %u must be %lld x %lld x %lld codes, with scale and zero point", at,
                       (long long)l->directions, (long long)depth, (long long)width);
  const int64_t scales = qcc_tensor_count(scale) / l->directions, zeros = qcc_tensor_count(zero) / l->directions;
  if ((scales != 1 && scales != width) || (zeros != 1 && zeros != width) || qcc_tensor_count(scale) % l->directions ||
      qcc_tensor_count(zero) % l->directions)
    return qcc_kx_fail(k, QCC_DATA, "D-871", "input %u needs 1 or %lld scales and zero points for each direction", at, (long long)width);
  int16_t *codes = qcc_kscratch(k, (size_t)(n + 1) * sizeof *codes);
  *to = (qcc_rnn_codes){.at = codes, .scale = qcc_kx_f32(k, params), .scales = scales};
  if (!codes || !to->scale) return QCC_NOMEM;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t dir = i / (depth * width), z = zeros == 1 ? dir : dir * width + i % width;
    const int32_t code = w->type.dtype == QCC_U8 ? ((const uint8_t *)w->data)[i] : ((const int8_t *)w->data)[i];
    codes[i] = (int16_t)(code - (int32_t)qcc_tensor_get_s64(zero, z));
  }
  return QCC_OK;
}

static qcc_status read_weights(qcc_kargs *k, qcc_rnn *l) {
  const int64_t rows = l->gates * l->hidden;
  if (l->in_codes) {
    QCC_TRY(read_codes(k, l, 1, 8, l->input, &l->qw));
    return read_codes(k, l, 2, 10, l->hidden, &l->qr);
  }
  QCC_TRY(shaped(k, 1, 3, l->directions, rows, l->input, &l->w));
  return shaped(k, 2, 3, l->directions, rows, l->hidden, &l->r);
}

static qcc_status read_inputs(qcc_kargs *k, qcc_rnn *l) {
  int64_t rows = l->gates * l->hidden;
  QCC_TRY(shaped(k, 0, 3, k->in[0]->type.dim[0], k->in[0]->type.dim[1], l->input, &l->x));
  QCC_TRY(read_weights(k, l));
  QCC_TRY(shaped(k, 3, 2, l->directions, 2 * rows, 0, &l->b));
  QCC_TRY(read_state(k, l, 5, &l->h0));
  if (l->gates == 4) QCC_TRY(read_state(k, l, 6, &l->c0));
  if (l->gates == 4) QCC_TRY(shaped(k, 7, 2, l->directions, 3 * l->hidden, 0, &l->peep));
  l->lens = qcc_kx_in(k, 4);
  if (!l->lens) return QCC_OK;
  if (qcc_tensor_count(l->lens) != l->batch)
    return qcc_kx_fail(k, QCC_DATA, "D-785", "sequence_lens needs one length per batch row (%lld)", (long long)l->batch);
  for (int64_t b = 0; b < l->batch; ++b) {
    int64_t n = qcc_tensor_get_s64(l->lens, b);
    if (n < 0 || n > l->steps)
      return qcc_kx_fail(k, QCC_DATA, "D-758", "sequence length %lld is outside [0, %lld]", (long long)n, (long long)l->steps);
  }
  return QCC_OK;
}

/* ---- running */
typedef struct outputs {
  float *y, *y_h, *y_c; /* NULL: not wanted */
} outputs;

static int64_t length_of(const qcc_rnn *l, int64_t b) { return l->lens ? qcc_tensor_get_s64(l->lens, b) : l->steps; }

/* Bias of the input part: both halves, but GRU with linear_before_reset keeps the recurrence bias of h for itself. */
static void add_bias(const qcc_rnn *l, const float *b, float *all) {
  int64_t rows = l->gates * l->hidden, n = l->steps * l->batch;
  int64_t both = l->gates == 3 && l->linear_before_reset ? 2 * l->hidden : rows;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < both; ++j) all[i * rows + j] = b[j] + b[rows + j];
    for (int64_t j = both; j < rows; ++j) all[i * rows + j] = b[j];
  }
}

/* Element (t, b) of X, or of the input part, in the order of X. */
static int64_t row_at(const qcc_rnn *l, int64_t t, int64_t b) { return l->batch_first ? b * l->steps + t : t * l->batch + b; }

static float *y_at(const qcc_rnn *l, const outputs *o, int64_t t, int dir, int64_t b) {
  int64_t row = l->batch_first ? (b * l->steps + t) * l->directions + dir : (t * l->directions + dir) * l->batch + b;
  return o->y + row * l->hidden;
}

static int64_t state_at(const qcc_rnn *l, int dir, int64_t b) {
  return (l->batch_first ? b * l->directions + dir : dir * l->batch + b) * l->hidden;
}

/* One step: rows whose sequence is over get their old state back. */
static void step(const qcc_rnn *l, qcc_rnn_run *run, qcc_rnn_cell cell, const outputs *o, const float *all, float *old_c, int dir,
                 int64_t s) {
  const int64_t rows = l->gates * l->hidden;
  const size_t state = (size_t)l->hidden * sizeof(float);
  bool reverse = dir == 1 || l->reverse_first;
  for (int64_t b = 0; b < l->batch; ++b) {
    int64_t n = length_of(l, b), t = s >= n ? 0 : reverse ? n - 1 - s : s;
    memcpy(run->gate + b * rows, all + row_at(l, t, b) * rows, (size_t)rows * sizeof(float));
  }
  if (l->lens && run->c) memcpy(old_c, run->c, (size_t)l->batch * state);
  cell(run);
  for (int64_t b = 0; b < l->batch; ++b) {
    int64_t n = length_of(l, b), t = reverse ? n - 1 - s : s;
    if (s >= n) {
      if (run->c) memcpy(run->c + b * l->hidden, old_c + b * l->hidden, state);
      continue;
    }
    memcpy(run->h + b * l->hidden, run->next + b * l->hidden, state);
    if (o->y) memcpy(y_at(l, o, t, dir, b), run->next + b * l->hidden, state);
  }
}

static void clear_tails(const qcc_rnn *l, const outputs *o, int dir) {
  for (int64_t b = 0; o->y && l->lens && b < l->batch; ++b) {
    for (int64_t t = length_of(l, b); t < l->steps; ++t) memset(y_at(l, o, t, dir, b), 0, (size_t)l->hidden * sizeof(float));
  }
}

static void load_state(const qcc_rnn *l, int dir, const float *from, float *to) {
  for (int64_t b = 0; b < l->batch; ++b) {
    if (from)
      memcpy(to + b * l->hidden, from + state_at(l, dir, b), (size_t)l->hidden * sizeof(float));
    else
      memset(to + b * l->hidden, 0, (size_t)l->hidden * sizeof(float));
  }
}

static void store_state(const qcc_rnn *l, int dir, float *to, const float *from) {
  for (int64_t b = 0; to && b < l->batch; ++b) memcpy(to + state_at(l, dir, b), from + b * l->hidden, (size_t)l->hidden * sizeof(float));
}

/* Codes of one direction. */
static qcc_rnn_codes part_of(const qcc_rnn_codes *all, int dir, int64_t depth, int64_t width) {
  return (qcc_rnn_codes){all->at + dir * depth * width, all->scale + dir * all->scales, all->scales};
}

/* Steps behind the longest sequence have no part in the range. */
static void input_codes(const qcc_rnn *l, qcc_rnn_run *run, int dir, float *all, bool keep) {
  const int64_t width = l->gates * l->hidden;
  const qcc_rnn_codes w = part_of(&l->qw, dir, l->input, width);
  int64_t steps = l->lens ? 0 : l->steps;
  for (int64_t b = 0; l->lens && b < l->batch; ++b) steps = length_of(l, b) > steps ? length_of(l, b) : steps;
  if (!keep) memset(all, 0, (size_t)(l->steps * l->batch * width) * sizeof *all);
  run->codes = part_of(&l->qr, dir, l->hidden, width);
  qcc_rnn_dynamic(run, &w, steps * l->batch, l->input, width, l->x, all);
}

/* Room for the largest product of codes. */
static qcc_status code_room(qcc_kargs *k, const qcc_rnn *l, qcc_rnn_run *run) {
  const int64_t rows = (l->steps > 1 ? l->steps : 1) * l->batch, depth = l->input > l->hidden ? l->input : l->hidden;
  run->bytes = qcc_kscratch(k, (size_t)(rows * depth + 1));
  run->centred = qcc_kscratch(k, (size_t)(rows * depth + 1) * sizeof *run->centred);
  run->acc = qcc_kscratch(k, (size_t)(rows * l->gates * l->hidden + 1) * sizeof *run->acc);
  return run->bytes && run->centred && run->acc ? QCC_OK : QCC_NOMEM;
}

static qcc_status run_directions(qcc_kargs *k, const qcc_rnn *l, qcc_rnn_cell cell, const outputs *o) {
  const int64_t rows = l->gates * l->hidden, state = l->batch * l->hidden;
  size_t all_size, gates = (size_t)(l->batch * rows), one = (size_t)state, total;
  if (!qcc_mul_size((size_t)l->steps * sizeof(float), gates, &all_size) || !qcc_mul_size(gates + 7 * one, sizeof(float), &total)) {
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the gates of all time steps do not fit the memory");
  }
  float *all = qcc_kscratch(k, all_size ? all_size : 1), *work = qcc_kscratch(k, total ? total : 1);
  if (!all || !work) return QCC_NOMEM;
  qcc_rnn_run run = {.rnn = l, .gate = work, .extra = work + gates, .h = work + gates + 3 * one, .next = work + gates + 4 * one};
  run.simd = qcc_ksimd(k);
  run.pack = l->in_codes || l->batch > PACKED_BATCH ? NULL : qcc_pack_of(k);
  if (l->in_codes) QCC_TRY(code_room(k, l, &run));
  run.c = l->gates == 4 ? work + gates + 5 * one : NULL;
  float *old_c = work + gates + 6 * one;
  for (int dir = 0; dir < l->directions; ++dir) {
    const float *b = l->b ? l->b + dir * 2 * rows : NULL;
    run.fn = l->fn[dir];
    if (!l->in_codes) run.r = l->r + dir * rows * l->hidden;
    if (run.pack) run.panels = run.pack->at + (size_t)dir * run.pack->panels * run.simd->nr * run.pack->depth;
    run.rb = b ? b + rows : NULL;
    run.peep = l->peep ? l->peep + dir * 3 * l->hidden : NULL;
    if (b) add_bias(l, b, all);
    if (l->in_codes)
      input_codes(l, &run, dir, all, b != NULL);
    else
      qcc_kx_gemm(false, true, l->steps * l->batch, rows, l->input, l->x, l->w + dir * rows * l->input, all, b != NULL);
    load_state(l, dir, l->h0, run.h);
    if (run.c) load_state(l, dir, l->c0, run.c);
    for (int64_t s = 0; s < l->steps; ++s) step(l, &run, cell, o, all, old_c, dir, s);
    clear_tails(l, o, dir);
    store_state(l, dir, o->y_h, run.h);
    if (run.c) store_state(l, dir, o->y_c, run.c);
  }
  return QCC_OK;
}

static qcc_status recurrent(qcc_kargs *k, int gates, int fns, bool in_codes, qcc_rnn_cell cell) {
  qcc_rnn l = {.gates = gates, .fns = fns, .in_codes = in_codes};
  outputs o = {NULL, NULL, NULL};
  qcc_dtype t = k->in[0]->type.dtype;
  QCC_TRY(read_sizes(k, &l));
  QCC_TRY(read_fns(k, &l));
  QCC_TRY(read_inputs(k, &l));
  int64_t h = l.hidden, dirs = l.directions, b = l.batch;
  qcc_type y = qcc_type_of(t, 4, (int64_t[]){l.steps, dirs, b, h}), state = qcc_type_of(t, 3, (int64_t[]){dirs, b, h});
  if (l.batch_first) {
    y = qcc_type_of(t, 4, (int64_t[]){b, l.steps, dirs, h});
    state = qcc_type_of(t, 3, (int64_t[]){b, dirs, h});
  }
  QCC_TRY(qcc_kx_out_f32(k, 0, &y, &o.y));
  QCC_TRY(qcc_kx_out_f32(k, 1, &state, &o.y_h));
  if (gates == 4) QCC_TRY(qcc_kx_out_f32(k, 2, &state, &o.y_c));
  QCC_TRY(run_directions(k, &l, cell, &o));
  qcc_kx_store_f32(k, 0, o.y);
  qcc_kx_store_f32(k, 1, o.y_h);
  qcc_kx_store_f32(k, 2, o.y_c);
  return QCC_OK;
}

qcc_status qcc_kernel_lstm(qcc_kargs *k) { return recurrent(k, 4, 3, false, qcc_rnn_cell_lstm); }
qcc_status qcc_kernel_gru(qcc_kargs *k) { return recurrent(k, 3, 2, false, qcc_rnn_cell_gru); }
qcc_status qcc_kernel_rnn(qcc_kargs *k) { return recurrent(k, 1, 1, false, qcc_rnn_cell_plain); }
qcc_status qcc_kernel_dynamic_quantize_lstm(qcc_kargs *k) { return recurrent(k, 4, 3, true, qcc_rnn_cell_lstm); }
