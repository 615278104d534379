/* SPDX-License-Identifier: Apache-2.0
 * Plans: the root program for one set of input shapes. A plan knows every static type, the layout and place of every value, and which
 * nodes run together as one step. Built once per signature (shapes and observed values), shared by the workers, never changed after.
 * Invariant: a plan decides where and in which order things are computed, never what: dropping any fusion gives the same bits. */
#ifndef QCC_PLAN_RUN_H
#define QCC_PLAN_RUN_H

#include "backends/ref/run.h"
#include "ir/check.h"
#include "ir/support/arena.h"
#include "ir/support/vec.h"

#define QCC_NO_VALUE UINT32_MAX
#define QCC_NO_STEP UINT32_MAX

typedef enum qcc_where {
  QCC_AT_NOWHERE, /* not made: folded away, absorbed by a step, or not wanted */
  QCC_AT_OUTSIDE, /* graph input or constant */
  QCC_AT_KNOWN,   /* computed with the plan */
  QCC_AT_ARENA,
  QCC_AT_HEAP /* shape known only while running */
} qcc_where;

typedef struct qcc_plan_value {
  qcc_type type; /* static unless AT_HEAP */
  qcc_where where;
  bool last;            /* channels last */
  bool pinned;          /* read by a body or by the caller: row-major, its own memory */
  bool observed, whole; /* whole: with its type */
  bool shown;           /* by a post */
  bool made;            /* while planning: some earlier step makes it */
  bool each;            /* in the arena: every image of a group has its own */
  uint32_t alias;       /* shares the memory of this value; itself: none */
  uint32_t other;       /* the same value in the other layout; QCC_NO_VALUE: none yet */
  size_t offset, bytes; /* in the arena */
  const qcc_tensor *known;
} qcc_plan_value;

typedef enum qcc_step_kind {
  QCC_STEP_KERNEL,  /* row-major, planned outputs */
  QCC_STEP_DYNAMIC, /* row-major, types while running */
  QCC_STEP_VIEW,    /* same bytes, other shape */
  QCC_STEP_TO_LAST,
  QCC_STEP_TO_ROW,
  QCC_STEP_CONV,
  QCC_STEP_DENSE,
  QCC_STEP_MAX_POOL,
  QCC_STEP_AVERAGE_POOL,
  QCC_STEP_MEAN,
  QCC_STEP_ELEM,   /* posts alone */
  QCC_STEP_CONCAT, /* along channels, channels last */
  QCC_STEP_CODES   /* on codes: see `codes` */
} qcc_step_kind;

typedef struct qcc_step_post {
  qcc_post post;
  uint32_t operand;
} qcc_step_post; /* operand: value of QCC_POST_SAME */

typedef struct qcc_plan_step {
  qcc_step_kind kind;
  uint32_t at;          /* index in the program */
  const qcc_node *node; /* NULL: change of layout */
  qcc_kernel kernel;
  uint32_t in_count, out_count;
  uint32_t *in, *out; /* value ids; QCC_NO_VALUE: left out or not wanted */
  qcc_step_post *post;
  uint32_t post_count;
  qcc_conv conv; /* CONV and pools */
  bool count_pads;
  bool together;                 /* all images of a group at once; the others run image by image */
  const struct qcc_istep *codes; /* qint.h */
} qcc_plan_step;

struct qcc_shape_plan {
  qcc_shape_plan *next;
  uint32_t users; /* workers that run it */
  qcc_runner *r;
  qcc_arena mem;            /* everything below */
  qcc_type *in_type;        /* of the graph inputs */
  const uint32_t *observed; /* compared, see run.h */
  uint32_t *observed_copy;
  QCC_VEC(qcc_plan_value) value;
  QCC_VEC(qcc_plan_step) step;
  uint32_t *row;    /* by step: its line of the profile; NULL: no profile */
  uint32_t *output; /* ids of the graph outputs, row-major */
  QCC_VEC(qcc_tensor *) known;
  unsigned group;                   /* most images in lock-step */
  size_t shared_bytes, image_bytes; /* of the arena: used by one image after the other, then one part for each image */
};

static inline size_t qcc_plan_arena(const qcc_shape_plan *p, unsigned images) { return p->shared_bytes + images * p->image_bytes; }

/* The plan for these inputs, from the cache or new; give it back with qcc_plan_leave. */
qcc_status qcc_plan_get(qcc_shape_plan **out, qcc_worker *w, const qcc_tensor *inputs) QCC_MUST_USE;
bool qcc_plan_fits(const qcc_shape_plan *p, const qcc_tensor *inputs); /* these have the types that it was made for */
void qcc_plan_leave(qcc_shape_plan *p);
void qcc_plans_free(qcc_runner *r);
/* Runs a plan on the images of a group, whose inputs are bound. The outputs stand in the slots plan->output. A sample that fails leaves the
 * group, and so do those behind it; the result is the status of the first sample. */
qcc_status qcc_plan_exec(qcc_worker *w, const qcc_shape_plan *p) QCC_MUST_USE;

/* ---- building, in this order */
typedef struct qcc_planner {
  qcc_shape_plan *p;
  qcc_worker *w; /* runs what can be known now */
  const qcc_prog *prog;
  bool *done;               /* by program index: known, folded or absorbed */
  bool *fixed;              /* by program index: all types are static */
  uint32_t *position;       /* program index by node id */
  uint32_t *into;           /* by program index: the step that absorbed the node; QCC_NO_STEP: none */
  const qcc_node **tail_of; /* by program index of a Mul: the integer product that it ends; NULL: it is alone */
} qcc_planner;
qcc_status qcc_plan_types(qcc_planner *b, const qcc_tensor *inputs) QCC_MUST_USE; /* plan_types.c: types, known values */
qcc_status qcc_plan_steps(qcc_planner *b) QCC_MUST_USE;                           /* plan_steps.c: steps, fusion, layout */
qcc_status qcc_plan_place(qcc_planner *b) QCC_MUST_USE;                           /* plan_mem.c: arena, size of groups */

static inline qcc_plan_value *qcc_plan_at(const qcc_planner *b, uint32_t id) { return &b->p->value.at[id]; }
static inline bool qcc_plan_is_f32(const qcc_planner *b, const qcc_value *v) { /* and its place is planned */
  const qcc_plan_value *p = v ? qcc_plan_at(b, v->id) : NULL;
  return p && p->where != QCC_AT_HEAP && p->type.dtype == QCC_F32;
}
static inline bool qcc_plan_inner(const qcc_planner *b, const qcc_value *v) { /* nobody sees it but its readers */
  const qcc_plan_value *p = qcc_plan_at(b, v->id);
  return !p->observed && !p->pinned && !qcc_is_graph_output(v);
}
/* Constant or known tensor of a value, NULL: none. */
const qcc_tensor *qcc_plan_known(const qcc_planner *b, const qcc_value *v);
/* Lengthens the posts of `step`, whose last value is `from`, while nobody else needs the values between. `out`: the last value. */
qcc_status qcc_plan_chain(qcc_planner *b, qcc_plan_step *step, const qcc_value *from, bool last, const qcc_value **out) QCC_MUST_USE;
/* Patterns that begin at `n`: x * act(x), QuantizeLinear with its inverse, FakeQuant. Their nodes are marked done. QCC_POST_NONE: x itself. */
bool qcc_plan_start(qcc_planner *b, const qcc_node *n, qcc_step_post *to, const qcc_value **out);
/* The node as one post on input `index`, when its result has that input's shape; false: no post. */
bool qcc_plan_post(qcc_planner *b, const qcc_node *n, uint32_t index, bool last, qcc_step_post *to);
bool qcc_plan_scalar(const qcc_planner *b, const qcc_value *v, float *to); /* the one float of a known value */
/* ---- fake quantization (plan_grid.c) */
bool qcc_plan_grid(const qcc_node *n, qcc_post *p); /* FakeQuant per tensor, as a post */
/* QuantizeLinear whose only reader is the DequantizeLinear with the same parameters, per tensor; that one. NULL: not so. */
const qcc_node *qcc_plan_pair(const qcc_planner *b, const qcc_node *q, qcc_post *to);
/* A fake quantization of x that changes nothing, because x came off the same grid, becomes QCC_POST_NONE. */
void qcc_plan_drop_idle(const qcc_planner *b, const qcc_value *x, qcc_post *p);
/* Joins posts behind a fake quantization in tables, where that pays; false: no memory. */
bool qcc_plan_tables(qcc_planner *b, qcc_step_post *post, uint32_t *n);
/* ---- pieces of steps (plan_steps.c), for plan_codes.c too */
qcc_status qcc_step_start(qcc_planner *b, qcc_plan_step *s, qcc_step_kind kind, uint32_t i, uint32_t in, uint32_t out) QCC_MUST_USE;
/* `id` in this layout, changed by a step before node `i` when it stands in the other. */
qcc_status qcc_step_need(qcc_planner *b, uint32_t i, uint32_t id, bool last, uint32_t *out) QCC_MUST_USE;
/* The one result of a step in this layout; a pinned one is written to a twin first and then turned. */
qcc_status qcc_step_finish(qcc_planner *b, qcc_plan_step *s, const qcc_value *v, bool last) QCC_MUST_USE;
/* The multiplication at the end of b->tail_of[i], together with it. */
qcc_status qcc_plan_scaled(qcc_planner *b, uint32_t i) QCC_MUST_USE;
/* Node `i` as a step on codes, when it has one. */
qcc_status qcc_plan_codes(qcc_planner *b, uint32_t i, bool *did) QCC_MUST_USE;
/* Values of this type may stand channels last. */
static inline bool qcc_plan_turns(const qcc_type *t) {
  return t->dtype == QCC_F32 || t->dtype == QCC_S32 || t->dtype == QCC_U8 || t->dtype == QCC_S8;
}
/* Both layouts are the same bytes. */
bool qcc_plan_free_layout(const qcc_type *t);

#endif
