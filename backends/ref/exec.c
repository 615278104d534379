/* SPDX-License-Identifier: Apache-2.0
 * Runs a plan on one worker: values of known shape stand in the arena, everything else in tensors of its own. */
#include <string.h>

#include "backends/ref/profile.h"
#include "backends/ref/qint.h"
#include "backends/ref/step.h"

/* ---- values */
const qcc_tensor *qcc_step_value(const qcc_worker *w, uint32_t id) {
  if (id == QCC_NO_VALUE) return NULL;
  if (w->slot[id].data) return &w->slot[id];
  const qcc_tensor *c = id < w->runner->g->next_value_id ? &w->runner->consts[id] : NULL;
  return c && c->type.dtype != QCC_NONE ? c : NULL;
}

static qcc_status grow_slots(qcc_worker *w, const qcc_shape_plan *p) {
  if (w->slot_count >= p->value.n) return QCC_OK;
  qcc_tensor *slot = qcc_realloc_array(w->cx, w->slot, p->value.n, sizeof *slot);
  if (!slot) return QCC_NOMEM;
  memset(slot + w->slot_count, 0, (p->value.n - w->slot_count) * sizeof *slot);
  w->slot = slot;
  w->slot_count = (uint32_t)p->value.n;
  return QCC_OK;
}

static qcc_status grow_arena(qcc_worker *w, size_t bytes) {
  if (w->arena_bytes >= bytes) return QCC_OK;
  qcc_free(w->cx, w->arena);
  w->arena_bytes = 0;
  w->arena = qcc_alloc(w->cx, bytes);
  if (!w->arena) return QCC_NOMEM;
  w->arena_bytes = bytes;
  return QCC_OK;
}

static qcc_status bind(qcc_worker *w, const qcc_shape_plan *p) {
  uint8_t *own = w->arena + p->shared_bytes + w->at * p->image_bytes;
  QCC_TRY(grow_slots(w, p));
  for (uint32_t i = 0; i < p->value.n; ++i) {
    const qcc_plan_value *v = &p->value.at[i];
    if (v->where == QCC_AT_ARENA && v->made)
      w->slot[i] = (qcc_tensor){.type = v->type, .data = (v->each ? own : w->arena) + v->offset, .bytes = v->bytes};
    if (v->where != QCC_AT_KNOWN) continue;
    w->slot[i] = *v->known;
    w->slot[i].buf = NULL;
    if (v->observed) QCC_TRY(qcc_observe(w, i, &w->slot[i], false));
  }
  return QCC_OK;
}

static void resolve(const qcc_worker *w, const qcc_plan_step *s, qcc_posts *to) {
  to->n = s->post_count;
  for (uint32_t i = 0; i < s->post_count; ++i) {
    to->at[i] = s->post[i].post;
    if (s->post[i].operand != QCC_NO_VALUE) to->at[i].operand = qcc_step_value(w, s->post[i].operand)->data;
  }
}

/* ---- steps */
static size_t spatial_of(const qcc_type *t) {
  size_t n = 1;
  for (int d = 2; d < t->rank; ++d) n *= (size_t)t->dim[d];
  return n;
}

static qcc_status run_kernel(qcc_worker *w, const qcc_plan_step *s) {
  const qcc_node *n = s->node;
  const qcc_tensor **in = qcc_scratch(w, (n->in_count + 1) * sizeof *in);
  qcc_tensor *out = qcc_scratch(w, (n->out_count + 1) * sizeof *out);
  bool *want = qcc_scratch(w, n->out_count + 1);
  if (!in || !out || !want) return QCC_NOMEM;
  for (uint32_t i = 0; i < n->in_count; ++i) in[i] = qcc_step_value(w, s->in[i]);
  for (uint32_t i = 0; i < n->out_count; ++i) {
    want[i] = s->out[i] != QCC_NO_VALUE;
    out[i] = want[i] ? w->slot[s->out[i]] : (qcc_tensor){.type = qcc_type_unknown()};
  }
  qcc_kargs k = qcc_kargs_of(w, n, in, out, want);
  return s->kernel(&k);
}

static qcc_status run_dynamic(qcc_worker *w, const qcc_plan_step *s) {
  const qcc_node *n = s->node;
  const qcc_tensor **in = qcc_scratch(w, (n->in_count + 1) * sizeof *in);
  qcc_tensor *out = qcc_scratch(w, (n->out_count + 1) * sizeof *out);
  bool *want = qcc_scratch(w, n->out_count + 1);
  if (!in || !out || !want) return QCC_NOMEM;
  for (uint32_t i = 0; i < n->in_count; ++i) {
    in[i] = qcc_step_value(w, s->in[i]);
    if (in[i] || !n->in[i].value) continue;
    qcc_loc loc = qcc_node_loc(n);
    return qcc_error(w->cx, QCC_INTERNAL, "I-202", &loc, "input %u has no value when the node runs", i);
  }
  for (uint32_t i = 0; i < n->out_count; ++i) want[i] = s->out[i] != QCC_NO_VALUE;
  QCC_TRY(qcc_node_run(w, n, s->kernel, in, want, out));
  for (uint32_t i = 0; i < n->out_count; ++i)
    if (want[i]) w->slot[s->out[i]] = out[i];
  return QCC_OK;
}

static void run_view(qcc_worker *w, const qcc_shape_plan *p, const qcc_plan_step *s) {
  const qcc_tensor *in = qcc_step_value(w, s->in[0]);
  qcc_tensor *out = &w->slot[s->out[0]];
  *out = qcc_tensor_retain(in); /* an owned source may end before its view */
  out->type = p->value.at[s->out[0]].type;
}

static void run_concat(qcc_worker *w, const qcc_plan_step *s) {
  qcc_tensor *y = &w->slot[s->out[0]];
  const size_t width = (size_t)y->type.dim[1], pixels = (size_t)y->type.dim[0] * spatial_of(&y->type);
  size_t at = 0;
  for (uint32_t i = 0; i < s->in_count; ++i) {
    const qcc_tensor *x = qcc_step_value(w, s->in[i]);
    const size_t channels = (size_t)x->type.dim[1];
    qcc_step_concat((float *)(uintptr_t)y->data, x->data, pixels, channels, width, at);
    at += channels;
  }
}

/* Between the two layouts. */
static void run_turn(qcc_worker *w, const qcc_plan_step *s) {
  const qcc_tensor *in = qcc_step_value(w, s->in[0]);
  const qcc_type *t = &in->type;
  void *y = (void *)(uintptr_t)w->slot[s->out[0]].data;
  const size_t batch = (size_t)t->dim[0], channels = (size_t)t->dim[1], spatial = spatial_of(t);
  if (qcc_dtype_bits(t->dtype) == 8)
    qcc_turn_bytes(y, in->data, batch, s->kind == QCC_STEP_TO_LAST ? channels : spatial, s->kind == QCC_STEP_TO_LAST ? spatial : channels);
  else if (s->kind == QCC_STEP_TO_LAST)
    qcc_to_last(w->simd, y, in->data, batch, channels, spatial);
  else
    qcc_from_last(w->simd, y, in->data, batch, channels, spatial);
}

/* The kinds that read one tensor of floats and write one. */
static void lane_of(const qcc_worker *w, const qcc_plan_step *s, qcc_lane *to) {
  to->x = qcc_step_value(w, s->in[0])->data;
  to->y = (float *)(uintptr_t)w->slot[s->out[0]].data;
  resolve(w, s, &to->posts);
}

static qcc_status run_lanes(qcc_worker *w, const qcc_plan_step *s, qcc_lane *lane, size_t lanes) {
  const qcc_pack *pack = &w->runner->packs[s->node->id];
  if (s->kind == QCC_STEP_CONV) return qcc_conv_lanes(w, &s->conv, pack, lane, lanes);
  return qcc_dense_lanes(w, pack, (size_t)qcc_tensor_count(qcc_step_value(w, s->in[0])) / pack->depth, lane, lanes);
}

static qcc_status run_floats(qcc_worker *w, const qcc_plan_step *s) {
  const qcc_tensor *in = qcc_step_value(w, s->in[0]);
  const qcc_type *t = &in->type;
  qcc_lane l;
  lane_of(w, s, &l);
  switch (s->kind) {
    case QCC_STEP_CONV:
    case QCC_STEP_DENSE: return run_lanes(w, s, &l, 1);
    case QCC_STEP_MAX_POOL: qcc_step_max_pool(w, &s->conv, l.x, l.y, &l.posts); break;
    case QCC_STEP_AVERAGE_POOL: qcc_step_average_pool(w, &s->conv, s->count_pads, l.x, l.y, &l.posts); break;
    case QCC_STEP_MEAN: qcc_step_mean(w, (size_t)t->dim[0], spatial_of(t), (size_t)t->dim[1], l.x, l.y, &l.posts); break;
    default: qcc_step_elem(w, l.x, l.y, (size_t)qcc_tensor_count(in), &l.posts); break;
  }
  return QCC_OK;
}

static qcc_status run_step(qcc_worker *w, const qcc_shape_plan *p, const qcc_plan_step *s) {
  switch (s->kind) {
    case QCC_STEP_KERNEL: return run_kernel(w, s);
    case QCC_STEP_DYNAMIC: return run_dynamic(w, s);
    case QCC_STEP_VIEW: run_view(w, p, s); return QCC_OK;
    case QCC_STEP_CONCAT: run_concat(w, s); return QCC_OK;
    case QCC_STEP_CODES: return qcc_istep_run(w, s);
    case QCC_STEP_TO_LAST:
    case QCC_STEP_TO_ROW: run_turn(w, s); return QCC_OK;
    default: return run_floats(w, s);
  }
}

static qcc_status observe(qcc_worker *w, const qcc_shape_plan *p, const qcc_plan_step *s) {
  for (uint32_t i = 0; i < s->post_count; ++i)
    if (s->post[i].post.kind == QCC_POST_SHOW) qcc_show_end(w, s->post[i].post.shown);
  for (uint32_t i = 0; i < s->out_count; ++i) {
    const uint32_t id = s->out[i];
    if (id == QCC_NO_VALUE || id > w->runner->g->next_value_id || !p->value.at[id].observed || p->value.at[id].shown) continue;
    QCC_TRY(qcc_observe(w, id, &w->slot[id], p->value.at[id].last));
  }
  return QCC_OK;
}

/* Frees what ended before step `i`. */
static void end_values(qcc_worker *w, const qcc_shape_plan *p, size_t i) {
  const qcc_prog *prog = qcc_map_ptr(&w->runner->progs, w->runner->g);
  for (uint32_t at = i ? p->step.at[i - 1].at : 0; at < p->step.at[i].at; ++at)
    for (uint32_t j = 0; j < prog->step[at].die_count; ++j)
      if (w->slot[prog->step[at].dies[j]].buf) qcc_slot_clear(w, prog->step[at].dies[j]);
}

/* Step `i` has been run on the current image. */
static qcc_status done(qcc_worker *w, const qcc_shape_plan *p, size_t i, double start, double seconds) {
  if (w->log) QCC_TRY(qcc_profile_took(w, p, i, start, seconds));
  return w->observed ? observe(w, p, &p->step.at[i]) : QCC_OK;
}

/* ---- groups */
static qcc_status run_image(qcc_worker *w, const qcc_shape_plan *p, size_t from, size_t to) {
  for (size_t i = from; i < to; ++i) {
    const qcc_scratch_mark mark = qcc_scratch_here(w);
    end_values(w, p, i);
    const double start = w->log ? qcc_profile_now() : 0;
    QCC_TRY(run_step(w, p, &p->step.at[i]));
    QCC_TRY(done(w, p, i, start, w->log ? qcc_profile_now() - start : 0));
    qcc_scratch_back(w, mark);
  }
  return QCC_OK;
}

static bool shows(const qcc_plan_step *s) {
  for (uint32_t i = 0; i < s->post_count; ++i)
    if (s->post[i].post.kind == QCC_POST_SHOW) return true;
  return false;
}

/* What is shown in pieces is shown image by image, so there the posts follow when the sums of all images are done. */
static qcc_status run_together(qcc_worker *w, const qcc_shape_plan *p, size_t i) {
  const qcc_scratch_mark mark = qcc_scratch_here(w);
  const qcc_plan_step *s = &p->step.at[i];
  const bool later = shows(s);
  qcc_lane *lane = qcc_scratch(w, w->images * sizeof *lane);
  if (!lane) return QCC_NOMEM;
  for (unsigned k = 0; k < w->images; ++k) {
    qcc_image_enter(w, k);
    end_values(w, p, i);
    lane_of(w, s, &lane[k]);
    if (later) lane[k].posts.n = 0;
  }
  const double start = w->log ? qcc_profile_now() : 0;
  QCC_TRY(run_lanes(w, s, lane, w->images));
  const double each = w->log ? (qcc_profile_now() - start) / w->images : 0;
  for (unsigned k = 0; k < w->images; ++k) {
    qcc_image_enter(w, k);
    if (later) lane_of(w, s, &lane[k]);
    if (later) qcc_posts_run(w, &lane[k].posts, lane[k].y, 0, (size_t)qcc_tensor_count(&w->slot[s->out[0]]));
    QCC_TRY(done(w, p, i, start + k * each, each));
  }
  qcc_scratch_back(w, mark);
  return QCC_OK;
}

/* The current image failed: it and those behind it leave the group. */
static qcc_status leave(qcc_worker *w, qcc_status st) {
  w->images = w->at;
  w->status = st;
  return w->at ? QCC_OK : st;
}

static qcc_status run_images(qcc_worker *w, const qcc_shape_plan *p, size_t from, size_t to) {
  for (unsigned k = 0; k < w->images; ++k) {
    qcc_image_enter(w, k);
    const qcc_status st = run_image(w, p, from, to);
    if (st != QCC_OK) return leave(w, st);
  }
  return QCC_OK;
}

static qcc_status bind_all(qcc_worker *w, const qcc_shape_plan *p) {
  QCC_TRY(grow_arena(w, qcc_plan_arena(p, w->images)));
  for (unsigned k = 0; k < w->images; ++k) {
    qcc_image_enter(w, k);
    QCC_TRY(bind(w, p));
  }
  return QCC_OK;
}

qcc_status qcc_plan_exec(qcc_worker *w, const qcc_shape_plan *p) {
  QCC_TRY(bind_all(w, p));
  for (size_t i = 0, end; i < p->step.n; i = end) {
    end = i + 1;
    if (p->step.at[i].together && w->images > 1) {
      QCC_TRY(run_together(w, p, i));
      continue;
    }
    while (end < p->step.n && !(p->step.at[end].together && w->images > 1)) ++end;
    QCC_TRY(run_images(w, p, i, end));
  }
  return QCC_OK;
}
