/* SPDX-License-Identifier: Apache-2.0
 * The inside of the runtime: runner, workers, what a step does after its main loop.
 * Invariants: after open only `plans` of a runner changes (under its lock); a worker is used by one thread at a time; every float that a step
 * writes depends on shapes and inputs alone, never on which worker ran it or what it ran before. */
#ifndef QCC_RUN_H
#define QCC_RUN_H

#include <pthread.h>

#include "backends/ref/kernel.h"
#include "backends/ref/simd/isimd.h"
#include "backends/ref/simd/simd.h"
#include "ir/eval.h"
#include "ir/support/map.h"

/* One graph as a list of nodes with the values that end there; shapes are not known. */
typedef struct qcc_prog_step {
  const qcc_node *node;
  qcc_kernel kernel;    /* NULL: the outputs are constants of the runner */
  const uint32_t *dies; /* ids of values of this graph whose last use this is */
  uint32_t die_count;
} qcc_prog_step;
typedef struct qcc_prog {
  const qcc_graph *g;
  qcc_prog_step *step;
  uint32_t count;
  uint32_t *dies;
} qcc_prog;
typedef struct qcc_shape_plan qcc_shape_plan; /* plan.h */
typedef struct qcc_team qcc_team;             /* team.h */

/* Scratch: a stack of blocks. Blocks never move while a kernel runs; between kernels they become one block of the largest need. */
typedef struct qcc_scratch_block {
  struct qcc_scratch_block *next;
  size_t size, used;
} qcc_scratch_block;

#define QCC_WHOLE (1u << 31) /* shown with its type, not in pieces */

struct qcc_profiler; /* profile.h */
struct qcc_profile_log;

/* One sample of a group that runs in lock-step: what is its own. */
enum { QCC_GROUP_MAX = 8 };
typedef struct qcc_image {
  qcc_tensor *slot; /* by value id of the module, then the plan's own; data NULL: not there. buf set: owned here */
  uint32_t slot_count;
  size_t sample;
  uint64_t steps; /* nodes of this sample so far */
} qcc_image;

typedef struct qcc_worker {
  qcc_context *cx;
  struct qcc_runner *runner; /* NULL while folding */
  const qcc_simd *simd;
  const qcc_isimd *isimd;
  qcc_team *team; /* of the current run; NULL: alone */
  unsigned index;
  qcc_scratch_block *scratch; /* newest first */
  size_t scratch_want;        /* least size of the next block */
  qcc_tensor *slot;           /* this and the next three: of image `at` */
  uint32_t slot_count;
  size_t sample;
  uint64_t steps;
  qcc_image image[QCC_GROUP_MAX]; /* of the others; see qcc_image_enter */
  unsigned at, images;            /* images: in the current group; the ones after a failed sample have left it */
  qcc_status status;              /* of sample `images` of the group, when it failed */
  uint8_t *arena;
  size_t arena_bytes;
  qcc_shape_plan *plan;        /* of the current group */
  const qcc_hooks *hooks;      /* of the current run */
  const uint32_t *observed;    /* by value id: index for the hooks + 1 (and QCC_WHOLE), 0: not shown. NULL: nothing is */
  struct qcc_profile_log *log; /* NULL: no profile */
} qcc_worker;

/* Weights in the order in which the loops read them. */
typedef struct qcc_pack {
  float *at;                  /* depthwise: [taps][channels]; else [group][panel][depth][nr] */
  float *bias;                /* padded like the panels; NULL: none. Same allocation */
  size_t bytes, depth, width; /* width: columns of one group */
  size_t panels;              /* of one group */
  bool depthwise, winograd;   /* winograd: [36][panel][cin][nr] */
} qcc_pack;

typedef struct qcc_ipack qcc_ipack; /* qint.h */

typedef struct qcc_runner {
  qcc_context *cx;
  const qcc_graph *g;
  const qcc_simd *simd;
  const qcc_isimd *isimd;
  qcc_run_options how;
  unsigned worker_count;
  qcc_worker *workers;
  qcc_team *crew;       /* threads of the workers that take samples, of the last run; NULL: none */
  unsigned seats;       /* how many did; 0: no run yet */
  qcc_tensor *consts;   /* by value id: aligned constants and values folded at open. Type without data: only packed; no type: none */
  bool *folded;         /* by value id: computed at open (and perhaps only packed) */
  qcc_pack *packs;      /* by node id; at NULL: none */
  qcc_ipack **ipacks;   /* by node id, of nodes on codes; NULL: none */
  qcc_map progs;        /* graph to qcc_prog: the root and every body */
  pthread_mutex_t lock; /* shape inference while running */
  bool has_lock;
  pthread_mutex_t plan_lock;
  qcc_shape_plan *plans; /* newest use first; under plan_lock */
  qcc_run_stats stats;
  struct qcc_profiler *profiler; /* NULL: no profile */
} qcc_runner;

/* ---- scratch of kernels and steps */
void *qcc_scratch(qcc_worker *w, size_t bytes); /* NULL: no memory, told */
typedef struct qcc_scratch_mark {
  qcc_scratch_block *block;
  size_t used;
} qcc_scratch_mark;
qcc_scratch_mark qcc_scratch_here(const qcc_worker *w);
void qcc_scratch_back(qcc_worker *w, qcc_scratch_mark m); /* frees what was taken since */
void qcc_scratch_free(qcc_worker *w);

/* ---- what follows the main loop of a step, chunk by chunk while the chunk is in the cache */
typedef enum qcc_post_kind {
  QCC_POST_ACT,
  QCC_POST_FAKE_QUANT,
  QCC_POST_SAME,
  QCC_POST_CHANNEL,
  QCC_POST_SCALAR,
  QCC_POST_AFFINE,
  QCC_POST_GATE,  /* x times `act` of x, which may be fake-quantized before */
  QCC_POST_TABLE, /* FAKE_QUANT to at most QCC_TABLE_SIZE codes, and what followed on one operand */
  QCC_POST_SHOW,  /* computes nothing: the floats are a piece of an observed value */
  QCC_POST_NONE   /* while planning: the node changes nothing */
} qcc_post_kind;
typedef struct qcc_post {
  qcc_post_kind kind;
  qcc_act act;
  qcc_arith arith;
  bool swapped;         /* operand op value */
  float p, q;           /* of act; SCALAR: p */
  float scale, lo, hi;  /* FAKE_QUANT, GATE, TABLE: of the grid; bounds minus zero. Scale 0 in GATE: no grid */
  const float *operand; /* SAME: laid out like the output; CHANNEL: `channels` values; AFFINE: scale; TABLE: by code, the lowest first */
  const float *shift;   /* AFFINE */
  size_t channels;
  uint32_t shown; /* SHOW: id of the value, */
  size_t total;   /* its size */
} qcc_post;
enum { QCC_MAX_POST = 16, QCC_TABLE_SIZE = 256 };
typedef struct qcc_posts {
  qcc_post at[QCC_MAX_POST];
  unsigned n;
} qcc_posts;
/* Runs all posts on `count` floats that stand at `offset` of the output. Whole channel rows when a post is per channel. */
void qcc_posts_run(const qcc_worker *w, const qcc_posts *p, float *at, size_t offset, size_t count);
void qcc_post_alone(const qcc_simd *simd, const qcc_post *p, float *at, size_t count); /* one that reads nothing but x */
size_t qcc_posts_piece(const qcc_posts *p); /* into pieces of how many floats that is cut, to stay in the first cache */
/* Takes a leading Relu or Clip, and a fake quantization behind it, out of `p`, for loops that finish sums in registers. */
void qcc_posts_finish(qcc_posts *p, qcc_finish *end);

/* ---- convolution, channels last; one- and two-dimensional ones have leading dims of 1 */
typedef struct qcc_conv {
  int64_t batch, in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3]; /* pad_end: pools only */
  int64_t cin, cout, group;
  bool depthwise; /* one filter per channel: has loops of its own */
} qcc_conv;
struct qcc_window;
void qcc_conv_of(qcc_conv *c, const struct qcc_window *win, int64_t batch, int64_t cin, int64_t cout);
/* Is Winograd's way faster for this shape? c->in and c->out must be known. */
bool qcc_winograd_pays(const qcc_conv *c);
void qcc_winograd_pack(float *to, const float *w, size_t cin, size_t cout, size_t nr);
/* Packs for Winograd's way when it pays: c->in and c->out are -1 where the graph does not tell them.
 * `w` is [cout][cin / group][taps], bias cout floats or NULL. Memory from cx; free with qcc_free(cx, p->at). */
qcc_status qcc_conv_pack(qcc_pack *p, qcc_context *cx, const qcc_simd *simd, const qcc_conv *c, const float *w,
                         const float *bias) QCC_MUST_USE;
qcc_status qcc_conv_run(qcc_worker *w, const qcc_conv *c, const qcc_pack *p, const float *x, float *y, const qcc_posts *posts) QCC_MUST_USE;

/* ---- matrices */
/* B given as [depth][width], or [width][depth] when `transposed`. */
qcc_status qcc_dense_pack(qcc_pack *p, qcc_context *cx, const qcc_simd *simd, size_t depth, size_t width, const float *b, bool transposed,
                          float alpha, const float *bias) QCC_MUST_USE;
/* Recurrence weights r[directions][width][depth], the panels of one direction behind those of the other. */
qcc_status qcc_recurrence_pack(qcc_pack *p, qcc_context *cx, const qcc_simd *simd, size_t directions, size_t depth, size_t width,
                               const float *r) QCC_MUST_USE;
/* y[to - from] += x[depth] * columns [from, to) of packed panels. */
void qcc_packed_row(const qcc_simd *simd, const qcc_pack *p, const float *panels, size_t from, size_t to, const float *x, float *y);
/* y[rows][width] = x[rows][depth] * B + bias, then posts. */
qcc_status qcc_dense_run(qcc_worker *w, const qcc_pack *p, size_t rows, const float *x, float *y, const qcc_posts *posts) QCC_MUST_USE;
/* The same without a packed B: rows of B are `width` long. Bit-equal to the packed form. */
qcc_status qcc_dense_plain(qcc_worker *w, size_t rows, size_t depth, size_t width, const float *x, const float *b, float *y) QCC_MUST_USE;

/* The block loop under both: `rows` rows by pointers a[qcc_row_slot / MR][tap][qcc_row_slot % MR], all panels of one group. A single row
 * left over would leave the arithmetic units idle, so the last seven rows go as four and three. */
static inline size_t qcc_row_slot(size_t rows, size_t i) {
  return rows > QCC_MR && rows % QCC_MR == 1 && i + 3 >= rows ? rows - 1 + (i + 3 - rows) : i;
}
typedef struct qcc_block {
  const float *const *a;
  size_t rows, taps, depth;
  const float *b; /* panels, `panel_step` floats apart */
  size_t ldb, panel_step;
  const float *bias;
  float *out;
  float *const *outs; /* by row, instead of `out` and rows `ldc` apart; NULL: none */
  size_t ldc, width;
  qcc_finish end;
} qcc_block;
size_t qcc_block_rows(size_t rows, size_t depth, size_t width, size_t taps); /* good number of rows for the blocks of a product */
void qcc_block_run(const qcc_simd *simd, const qcc_block *b);

/* ---- several images at once, with the bits that each has alone: weights are read once for all of them. `lanes` at least 1; the posts of
 * `lane` are used up. */
typedef struct qcc_lane {
  const float *x;
  float *y;
  qcc_posts posts;
} qcc_lane;
qcc_status qcc_conv_lanes(qcc_worker *w, const qcc_conv *c, const qcc_pack *p, qcc_lane *lane, size_t lanes) QCC_MUST_USE;
qcc_status qcc_dense_lanes(qcc_worker *w, const qcc_pack *p, size_t rows, qcc_lane *lane, size_t lanes) QCC_MUST_USE; /* rows: of each */
qcc_status qcc_winograd_run(qcc_worker *w, const qcc_conv *c, const qcc_pack *p, const qcc_lane *lane, size_t lanes,
                            const qcc_finish *end) QCC_MUST_USE;

/* The arguments of a kernel for one node. */
static inline qcc_kargs qcc_kargs_of(qcc_worker *w, const qcc_node *n, const qcc_tensor *const *in, qcc_tensor *out, const bool *want) {
  return (qcc_kargs){.cx = w->cx,
                     .node = n,
                     .opset = qcc_graph_opset(n->graph->root, n->domain),
                     .in_count = n->in_count,
                     .out_count = n->out_count,
                     .in = in,
                     .out = out,
                     .want = want,
                     .worker = w};
}

/* ---- programs (prog.c) */
qcc_status qcc_prog_new(qcc_prog **out, qcc_runner *r, const qcc_graph *g) QCC_MUST_USE;
void qcc_prog_free(qcc_context *cx, qcc_prog *p);
/* Runs all steps; values come from and go to the slots of `w`. Shapes are inferred on the way, every value is an allocation of its own. */
qcc_status qcc_prog_run(qcc_worker *w, const qcc_prog *p) QCC_MUST_USE;
/* Runs `node` on tensors. Outputs are new owned tensors; `want` may be NULL: all. On failure nothing is left in `out`. */
qcc_status qcc_node_run(qcc_worker *w, const qcc_node *n, qcc_kernel kernel, const qcc_tensor *const *in, const bool *want,
                        qcc_tensor *out) QCC_MUST_USE;
/* QCC_LIMIT when one activation of this type is larger than the limits allow. */
qcc_status qcc_check_bytes(qcc_context *cx, const qcc_node *n, const qcc_type *t) QCC_MUST_USE;
/* Shows a value to the hooks when it is observed. `last`: the data stands channels last. */
qcc_status qcc_observe(qcc_worker *w, uint32_t id, const qcc_tensor *t, bool last) QCC_MUST_USE;
/* The same in pieces: any worker of a team shows them, the leader ends the value. */
void qcc_show_piece(const qcc_worker *w, const qcc_post *p, const float *at, size_t offset, size_t count);
void qcc_show_end(const qcc_worker *w, uint32_t id);
/* The value in this worker, constants included (one that is only packed has no data); NULL: not there. */
const qcc_tensor *qcc_worker_value(const qcc_worker *w, const qcc_value *v);
void qcc_slot_clear(qcc_worker *w, uint32_t id);

/* ---- constants and packed weights (prepare.c): fills consts and packs of a new runner */
qcc_status qcc_prepare(qcc_runner *r) QCC_MUST_USE;
const qcc_pack *qcc_pack_of(const qcc_kargs *k); /* of the node that runs; NULL: none */

/* ---- a group of samples on one worker (sample.c), all samples on all workers (workers.c) */
/* The first sample of a group; *most: how many the plan for its shapes wants. `inputs` stay the caller's and must live until
 * qcc_group_clear. */
qcc_status qcc_group_start(qcc_worker *w, size_t sample, qcc_tensor *inputs, unsigned *most) QCC_MUST_USE;
/* One more; false: its shapes are others, or it failed (then the group ends before it, and qcc_group_run says so). */
bool qcc_group_add(qcc_worker *w, size_t sample, qcc_tensor *inputs);
/* Afterwards w->images samples are done, and when one failed the next is the one that did, with this status. */
qcc_status qcc_group_run(qcc_worker *w) QCC_MUST_USE;
qcc_status qcc_group_outputs(qcc_worker *w, unsigned image, qcc_tensor *outputs) QCC_MUST_USE; /* borrowed until the group is cleared */
void qcc_group_clear(qcc_worker *w);
void qcc_image_enter(qcc_worker *w, unsigned i); /* makes image `i` the current one */
/* Slots of the current image for the values of the module; a plan's own are added when it runs. */
qcc_status qcc_image_slots(qcc_worker *w) QCC_MUST_USE;
qcc_status qcc_workers_run(qcc_runner *r, const qcc_samples *samples, size_t first, size_t count, const qcc_hooks *hooks) QCC_MUST_USE;
void qcc_teams_close(qcc_runner *r); /* ends the threads of past runs */

/* Scale and zero point of u8 codes over the range of x, as DynamicQuantizeLinear. */
void qcc_dynamic_params(const qcc_simd *simd, const float *x, size_t n, float *scale, int32_t *zero);

/* ---- layout */
/* [batch][channels][spatial] to [batch][spatial][channels] and back; f32. */
void qcc_to_last(const qcc_simd *simd, float *y, const float *x, size_t batch, size_t channels, size_t spatial);
void qcc_from_last(const qcc_simd *simd, float *y, const float *x, size_t batch, size_t channels, size_t spatial);
/* Of bytes: every [rows][columns] to [columns][rows]. */
void qcc_turn_bytes(uint8_t *y, const uint8_t *x, size_t batch, size_t rows, size_t columns);

#endif
