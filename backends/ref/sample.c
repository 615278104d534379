/* SPDX-License-Identifier: Apache-2.0
 * A group of samples on one worker: inputs are checked and bound to slots, the root program runs, observed values and outputs are shown.
 * Invariant: after a group, failed or not, every slot is empty. */
#include <string.h>

#include "backends/ref/plan.h"
#include "backends/ref/team.h"

/* ---- observation */
static qcc_status show_typed(qcc_worker *w, uint32_t index, const qcc_tensor *t, bool last) {
  const qcc_hooks *h = w->hooks;
  if (last && h->observe_last) return h->observe_last(h->user, w->index, w->sample, index, t), QCC_OK;
  const qcc_scratch_mark mark = qcc_scratch_here(w);
  qcc_tensor plain = *t;
  if (last) {
    void *to = qcc_scratch(w, t->bytes);
    if (!to) return QCC_NOMEM;
    size_t spatial = 1;
    for (int d = 2; d < t->type.rank; ++d) spatial *= (size_t)t->type.dim[d];
    if (qcc_dtype_bits(t->type.dtype) == 32)
      qcc_from_last(w->simd, to, t->data, (size_t)t->type.dim[0], (size_t)t->type.dim[1], spatial);
    else
      qcc_turn_bytes(to, t->data, (size_t)t->type.dim[0], spatial, (size_t)t->type.dim[1]);
    plain.data = to;
    plain.buf = NULL;
  }
  h->observe_typed(h->user, w->index, w->sample, index, &plain);
  qcc_scratch_back(w, mark);
  return QCC_OK;
}

static uint32_t index_of(const qcc_worker *w, uint32_t id) { return (w->observed[id] & ~QCC_WHOLE) - 1; }

void qcc_show_piece(const qcc_worker *w, const qcc_post *p, const float *at, size_t offset, size_t count) {
  const qcc_piece piece = {.worker = w->index,
                           .sample = w->sample,
                           .index = index_of(w, p->shown),
                           .data = at,
                           .count = count,
                           .total = p->total,
                           .offset = offset};
  if (w->hooks->observe) w->hooks->observe(w->hooks->user, &piece);
}

void qcc_show_end(const qcc_worker *w, uint32_t id) {
  unsigned first, count;
  qcc_team_helpers(w, &first, &count);
  if (w->hooks->observe_end) w->hooks->observe_end(w->hooks->user, w->index, w->sample, index_of(w, id), first, count);
}

qcc_status qcc_observe(qcc_worker *w, uint32_t id, const qcc_tensor *t, bool last) {
  if (!w->observed || !w->observed[id] || !t->data || qcc_tensor_is_list(t)) return QCC_OK;
  if (w->observed[id] & QCC_WHOLE) return show_typed(w, index_of(w, id), t, last);
  if (t->type.dtype != QCC_F32) return QCC_OK;
  const size_t count = (size_t)qcc_tensor_count(t);
  qcc_show_piece(w, &(qcc_post){.shown = id, .total = count}, t->data, 0, count);
  qcc_show_end(w, id);
  return QCC_OK;
}

/* Values that no step makes: inputs and constants. */
static qcc_status show_given(qcc_worker *w) {
  const qcc_hooks *h = w->hooks;
  if (!w->observed) return QCC_OK;
  for (uint32_t i = 0; h->observed[i]; ++i) {
    const qcc_value *v = h->observed[i];
    const qcc_tensor *t = qcc_worker_value(w, v);
    if (t) QCC_TRY(qcc_observe(w, v->id, t, false));
  }
  return QCC_OK;
}

/* ---- inputs */
static bool fits(const qcc_type *want, const qcc_type *got) {
  if (want->dtype != QCC_NONE && want->dtype != got->dtype) return false;
  if (want->rank < 0) return true;
  if (want->rank != got->rank) return false;
  for (int d = 0; d < want->rank; ++d)
    if (want->dim[d] >= 0 && want->dim[d] != got->dim[d]) return false;
  return true;
}

static void type_text(char *to, size_t n, const qcc_type *t) {
  size_t at = qcc_format(to, n, "%s[", qcc_dtype_name(t->dtype));
  for (int d = 0; d < t->rank && at < n; ++d) {
    if (t->dim[d] < 0)
      at += qcc_format(to + at, n - at, d ? ",?" : "?");
    else
      at += qcc_format(to + at, n - at, d ? ",%lld" : "%lld", (long long)t->dim[d]);
  }
  if (at < n) qcc_format(to + at, n - at, "]");
}

static qcc_status bad_input(qcc_worker *w, const qcc_value *v, const qcc_tensor *t) {
  char want[160], got[160];
  qcc_loc loc = {.tensor = v->name};
  if (!t->data) return qcc_error(w->cx, QCC_DATA, "D-201", &loc, "sample %zu gives nothing for this input", w->sample);
  type_text(want, sizeof want, &v->type);
  type_text(got, sizeof got, &t->type);
  return qcc_error(w->cx, QCC_DATA, "D-202", &loc, "sample %zu is %s, the model takes %s", w->sample, got, want);
}

static qcc_status bind_input(qcc_worker *w, const qcc_value *v, qcc_tensor *t) {
  size_t bytes;
  if (!t->data || !qcc_type_is_static(&t->type) || !fits(&v->type, &t->type)) return bad_input(w, v, t);
  if (qcc_dtype_bits(t->type.dtype) && (!qcc_type_bytes(&t->type, &bytes) || bytes > t->bytes)) return bad_input(w, v, t);
  qcc_tensor *slot = &w->slot[v->id];
  if (qcc_dtype_bits(t->type.dtype) && (uintptr_t)t->data % 16) return qcc_tensor_copy(slot, w->cx, &t->type, t->data);
  *slot = *t;
  slot->buf = NULL; /* the caller of this function owns it until the sample is done */
  return QCC_OK;
}

/* ---- outputs */
qcc_status qcc_group_outputs(qcc_worker *w, unsigned image, qcc_tensor *outputs) {
  const qcc_graph *g = w->runner->g;
  qcc_image_enter(w, image);
  for (uint32_t i = 0; i < g->output_count; ++i) {
    const qcc_value *v = g->outputs[i]->value;
    const uint32_t id = w->plan->output[i];
    const qcc_tensor *t = w->slot[id].data ? &w->slot[id] : qcc_worker_value(w, v);
    qcc_loc loc = {.tensor = v->name};
    if (!t || !t->data) return qcc_error(w->cx, QCC_INTERNAL, "I-206", &loc, "this output has no value after a run");
    outputs[i] = *t;
    outputs[i].buf = NULL;
  }
  return QCC_OK;
}

/* ---- the group */
void qcc_image_enter(qcc_worker *w, unsigned i) {
  if (w->at == i) return;
  w->image[w->at] = (qcc_image){.slot = w->slot, .slot_count = w->slot_count, .sample = w->sample, .steps = w->steps};
  const qcc_image *to = &w->image[i];
  w->slot = to->slot, w->slot_count = to->slot_count, w->sample = to->sample, w->steps = to->steps;
  w->at = i;
}

qcc_status qcc_image_slots(qcc_worker *w) {
  if (w->slot) return QCC_OK;
  const uint32_t count = w->runner->g->next_value_id + 1;
  w->slot = qcc_zalloc_array(w->cx, count, sizeof *w->slot);
  if (!w->slot) return QCC_NOMEM;
  w->slot_count = count;
  return QCC_OK;
}

static qcc_status join(qcc_worker *w, size_t sample, qcc_tensor *inputs) {
  const qcc_graph *g = w->runner->g;
  qcc_image_enter(w, w->images);
  w->sample = sample;
  w->steps = 0;
  QCC_TRY(qcc_image_slots(w));
  for (uint32_t i = 0; i < g->input_count; ++i) /* a constant may stand in the list of inputs: it stays what it is */
    if (!g->inputs[i]->data) QCC_TRY(bind_input(w, g->inputs[i], &inputs[i]));
  return show_given(w);
}

qcc_status qcc_group_start(qcc_worker *w, size_t sample, qcc_tensor *inputs, unsigned *most) {
  w->images = 0;
  w->status = QCC_OK;
  QCC_TRY(join(w, sample, inputs));
  QCC_TRY(qcc_plan_get(&w->plan, w, inputs)); /* its constants may be outputs: it is left when the group is done */
  w->steps = w->plan->step.n;
  w->images = 1;
  *most = w->plan->group;
  return QCC_OK;
}

bool qcc_group_add(qcc_worker *w, size_t sample, qcc_tensor *inputs) {
  if (!qcc_plan_fits(w->plan, inputs)) return false;
  w->status = join(w, sample, inputs);
  if (w->status != QCC_OK) return false;
  w->steps = w->plan->step.n;
  w->images++;
  return true;
}

qcc_status qcc_group_run(qcc_worker *w) { return qcc_plan_exec(w, w->plan); }

void qcc_group_clear(qcc_worker *w) {
  for (unsigned k = 0; k < QCC_GROUP_MAX; ++k) {
    qcc_image_enter(w, k);
    for (uint32_t i = 0; i < w->slot_count; ++i) qcc_slot_clear(w, i);
  }
  qcc_image_enter(w, 0);
  qcc_scratch_back(w, (qcc_scratch_mark){NULL, 0});
  if (w->plan) qcc_plan_leave(w->plan);
  w->plan = NULL;
}
