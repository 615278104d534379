/* SPDX-License-Identifier: Apache-2.0
 * Third part of planning: where values stand in the arena of a worker. A value lives from the step that makes it to the last step that
 * reads it; values whose lives do not meet share bytes. Views share their source; a pointwise step writes over its input when that ends there.
 * Larger values are placed first, each at the lowest offset that is free during its whole life.
 * Also which steps run all images of a group at once: only what lives across them stands once for each image, so a group costs little. */
#include <stdlib.h>
#include <string.h>

#include "backends/ref/plan.h"

enum { MANY = 4096, LEAST_WEIGHTS = 1024 * 1024, WEIGHTS_PER_ROOM = 16, FEW_USES = 16 };

typedef struct life {
  uint32_t id, from, to;
  size_t bytes, offset;
} life;

typedef struct lives {
  uint32_t *from, *to; /* by value id, of the root of its aliases */
} lives;

static uint32_t root(const qcc_planner *b, uint32_t id) {
  while (qcc_plan_at(b, id)->alias != id) id = qcc_plan_at(b, id)->alias;
  return id;
}

static void reads(const qcc_planner *b, const lives *l, uint32_t id, uint32_t step) {
  if (id == QCC_NO_VALUE) return;
  id = root(b, id);
  if (l->to[id] < step) l->to[id] = step;
}

static void step_reads(const qcc_planner *b, const lives *l, const qcc_plan_step *s, uint32_t i) {
  for (uint32_t j = 0; j < s->in_count; ++j) reads(b, l, s->in[j], i);
  for (uint32_t j = 0; j < s->post_count; ++j) reads(b, l, s->post[j].operand, i);
}

/* Values that bodies read end with the node that owns the body; the program knows where. */
static void pinned_reads(const qcc_planner *b, const lives *l) {
  const qcc_shape_plan *p = b->p;
  uint32_t at = 0;
  for (uint32_t i = 0; i < p->step.n; ++i) {
    for (; at <= p->step.at[i].at; ++at) {
      const qcc_prog_step *s = &b->prog->step[at];
      for (uint32_t j = 0; j < s->die_count; ++j)
        if (qcc_plan_at(b, s->dies[j])->pinned) reads(b, l, s->dies[j], i);
    }
  }
}

/* May the result of step i stand where its input stands? */
static bool over(const qcc_planner *b, const lives *l, const qcc_plan_step *s, uint32_t i) {
  if (s->kind != QCC_STEP_ELEM || s->in[0] == s->out[0]) return false;
  const uint32_t in = root(b, s->in[0]);
  if (qcc_plan_at(b, in)->where != QCC_AT_ARENA || l->to[in] != i || l->from[in] >= i) return false;
  for (uint32_t j = 0; j < s->post_count; ++j)
    if (s->post[j].operand != QCC_NO_VALUE && root(b, s->post[j].operand) == in) return false;
  return qcc_plan_at(b, in)->bytes == qcc_plan_at(b, s->out[0])->bytes;
}

static void find_lives(const qcc_planner *b, const lives *l) {
  const qcc_shape_plan *p = b->p;
  const uint32_t end = (uint32_t)p->step.n;
  for (uint32_t i = 0; i < end; ++i) { /* views first, so that reads go to their source */
    const qcc_plan_step *s = &p->step.at[i];
    if (s->kind == QCC_STEP_VIEW) qcc_plan_at(b, s->out[0])->alias = s->in[0];
  }
  for (uint32_t i = 0; i < end; ++i) {
    for (uint32_t j = 0; j < p->step.at[i].out_count; ++j) {
      const uint32_t id = p->step.at[i].out[j];
      if (id != QCC_NO_VALUE && root(b, id) == id) l->from[id] = l->to[id] = i;
    }
  }
  for (uint32_t i = 0; i < end; ++i) step_reads(b, l, &p->step.at[i], i);
  pinned_reads(b, l);
  for (uint32_t i = 0; i < b->prog->g->output_count; ++i) reads(b, l, p->output[i], end);
  for (uint32_t i = 0; i < end; ++i) { /* in order: the source of an alias has its final life */
    const qcc_plan_step *s = &p->step.at[i];
    if (!over(b, l, s, i)) continue;
    const uint32_t in = root(b, s->in[0]), out = s->out[0];
    if (root(b, out) != out) continue;
    qcc_plan_at(b, out)->alias = in;
    if (l->to[out] > l->to[in]) l->to[in] = l->to[out];
  }
}

static int larger_first(const void *a, const void *b) {
  const life *x = a, *y = b;
  if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

static int earlier_first(const void *a, const void *b) {
  const life *x = a, *y = b;
  if (x->from != y->from) return x->from < y->from ? -1 : 1;
  return x->id < y->id ? -1 : x->id > y->id;
}

static int lower_first(const void *a, const void *b) {
  const life *x = *(const life *const *)a, *y = *(const life *const *)b;
  return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Lowest gap among the `m` lives that meet this one. */
static void fit(life *v, const life **meet, size_t m) {
  size_t end = 0;
  if (m) qsort(meet, m, sizeof *meet, lower_first);
  for (size_t i = 0; i < m; ++i) {
    if (meet[i]->offset >= end + v->bytes) break;
    if (meet[i]->offset + meet[i]->bytes > end) end = meet[i]->offset + meet[i]->bytes;
  }
  v->offset = end;
}

static void place_by_size(life *all, size_t n, const life **meet) {
  if (n) qsort(all, n, sizeof *all, larger_first);
  for (size_t k = 0; k < n; ++k) {
    size_t m = 0;
    for (size_t i = 0; i < k; ++i)
      if (all[i].from <= all[k].to && all[k].from <= all[i].to) meet[m++] = &all[i];
    fit(&all[k], meet, m);
  }
}

/* For very large graphs: in the order of birth, against those that are alive; beyond MANY of them without a search. */
static void place_by_birth(life *all, size_t n, const life **alive) {
  size_t m = 0, end = 0;
  if (n) qsort(all, n, sizeof *all, earlier_first);
  for (size_t k = 0; k < n; ++k) {
    life *v = &all[k];
    size_t kept = 0;
    for (size_t i = 0; m <= MANY && i < m; ++i)
      if (alive[i]->to >= v->from) alive[kept++] = alive[i];
    if (m <= MANY) m = kept;
    if (m <= MANY)
      fit(v, alive, m);
    else
      v->offset = end;
    if (v->offset + v->bytes > end) end = v->offset + v->bytes;
    alive[m++] = v;
  }
}

/* ---- groups */
static size_t pack_bytes(const qcc_planner *b, const qcc_plan_step *s) {
  return s->kind == QCC_STEP_CONV || s->kind == QCC_STEP_DENSE ? b->p->r->packs[s->node->id].bytes : 0;
}

/* How often one image uses each weight: rows of the product. */
static size_t uses(const qcc_planner *b, const qcc_plan_step *s) {
  if (s->kind == QCC_STEP_CONV) return (size_t)(s->conv.out[0] * s->conv.out[1] * s->conv.out[2]);
  return qcc_plan_at(b, s->out[0])->bytes / sizeof(float) / b->p->r->packs[s->node->id].width;
}

/* Steps that read much more weights than data and use each but a few times, so that reading is what they wait for: several images share what is
 * read. Returns the bytes of these weights. */
static size_t mark_together(const qcc_planner *b) {
  size_t sum = 0;
  for (size_t i = 0; i < b->p->step.n; ++i) {
    qcc_plan_step *s = &b->p->step.at[i];
    if (s->kind == QCC_STEP_DYNAMIC) return 0; /* nobody knows how large their values are */
  }
  for (size_t i = 0; i < b->p->step.n; ++i) {
    qcc_plan_step *s = &b->p->step.at[i];
    const size_t weights = pack_bytes(b, s);
    s->together = weights >= LEAST_WEIGHTS && weights > 2 * (qcc_plan_at(b, s->in[0])->bytes + qcc_plan_at(b, s->out[0])->bytes);
    s->together = s->together && uses(b, s) <= FEW_USES;
    if (s->together) sum += weights;
  }
  return sum;
}

static void unmark(const qcc_planner *b) {
  for (size_t i = 0; i < b->p->step.n; ++i) b->p->step.at[i].together = false;
}

/* Values that live and end within steps that run image by image share their place with those of the other images. */
static void mark_each(const qcc_planner *b, const lives *l, uint32_t *run) {
  const qcc_shape_plan *p = b->p;
  for (uint32_t i = 0; i < p->step.n; ++i) run[i] = !i || p->step.at[i].together || p->step.at[i - 1].together ? i : run[i - 1];
  for (uint32_t i = 0; i < p->value.n; ++i) {
    qcc_plan_value *v = qcc_plan_at(b, i);
    if (v->where != QCC_AT_ARENA || !v->made || v->alias != i) continue;
    const uint32_t from = l->from[i], to = l->to[i];
    v->each = p->group > 1 && (to >= p->step.n || run[from] != run[to] || p->step.at[from].together);
  }
}

/* ---- all values */
typedef struct placer {
  qcc_planner *b;
  lives l;
  life *all;
  const life **meet;
  uint32_t *run; /* by step: the first of the steps that run one after the other on one image */
} placer;

static size_t collect(const placer *q, bool each) {
  size_t n = 0;
  for (uint32_t i = 0; i < q->b->p->value.n; ++i) {
    const qcc_plan_value *v = qcc_plan_at(q->b, i);
    if (v->where != QCC_AT_ARENA || !v->made || v->alias != i || v->each != each) continue;
    q->all[n++] = (life){.id = i, .from = q->l.from[i], .to = q->l.to[i], .bytes = (v->bytes + 127) & ~(size_t)63};
  }
  return n;
}

/* Returns the bytes of this part of the arena. */
static size_t place_part(const placer *q, bool each) {
  const size_t n = collect(q, each);
  size_t end = 0;
  if (n <= MANY)
    place_by_size(q->all, n, q->meet);
  else
    place_by_birth(q->all, n, q->meet);
  for (size_t i = 0; i < n; ++i) {
    qcc_plan_at(q->b, q->all[i].id)->offset = q->all[i].offset;
    if (q->all[i].offset + q->all[i].bytes > end) end = q->all[i].offset + q->all[i].bytes;
  }
  return end;
}

static void place_parts(const placer *q) {
  mark_each(q->b, &q->l, q->run);
  q->b->p->shared_bytes = place_part(q, false);
  q->b->p->image_bytes = place_part(q, true);
}

/* As many images as the weights that they share allow memory for. */
static void place(const placer *q) {
  qcc_shape_plan *p = q->b->p;
  const size_t room = mark_together(q->b) / WEIGHTS_PER_ROOM;
  p->group = room ? QCC_GROUP_MAX : 1;
  find_lives(q->b, &q->l);
  place_parts(q);
  if (p->group == 1) return;
  const size_t most = p->image_bytes ? 1 + room / p->image_bytes : 1;
  if (most < p->group) p->group = (unsigned)most;
  if (p->group > 1) return;
  unmark(q->b);
  place_parts(q);
}

qcc_status qcc_plan_place(qcc_planner *b) {
  qcc_context *cx = b->w->cx;
  const size_t values = b->p->value.n + 1;
  placer q = {.b = b, .all = qcc_alloc_array(cx, values, sizeof *q.all), .meet = qcc_alloc_array(cx, values, sizeof *q.meet)};
  q.l = (lives){.from = qcc_zalloc_array(cx, values, sizeof *q.l.from), .to = qcc_zalloc_array(cx, values, sizeof *q.l.to)};
  q.run = qcc_zalloc_array(cx, b->p->step.n + 1, sizeof *q.run);
  const bool ok = q.l.from && q.l.to && q.all && q.meet && q.run;
  if (ok) place(&q);
  qcc_free(cx, q.l.from);
  qcc_free(cx, q.l.to);
  qcc_free(cx, q.all);
  qcc_free(cx, q.meet);
  qcc_free(cx, q.run);
  if (!ok) return QCC_NOMEM;
  for (uint32_t i = 0; i < b->p->value.n; ++i) { /* aliases of arena values */
    qcc_plan_value *v = qcc_plan_at(b, i);
    const qcc_plan_value *source = qcc_plan_at(b, root(b, i));
    if (v->where == QCC_AT_ARENA && v->made && source->where == QCC_AT_ARENA) v->offset = source->offset, v->each = source->each;
  }
  return QCC_OK;
}
