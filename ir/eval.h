/* SPDX-License-Identifier: Apache-2.0
 * "Run this": the interface through which passes and strategies execute graphs without knowing a runtime.
 * The facade injects backends/ref. */
#ifndef QCC_EVAL_H
#define QCC_EVAL_H

#include "ir/ir.h"

/* Where samples come from. `get` fills one tensor per graph input (order of g->inputs); tensors it allocated are released by the runtime.
 * The runtime serialises calls of `get`, in ascending index order per pass. Samples may differ in shape. */
typedef struct qcc_samples {
  size_t count;
  qcc_status (*get)(void *user, size_t index, qcc_tensor *inputs);
  void *user;
} qcc_samples;

/* Some floats of an observed value, as they are made, in whatever order the runtime holds them (NHWC or NCHW); the same one in every run on
 * samples of these shapes. How many floats a piece has is not said. All pieces of a value are each of its elements once. */
typedef struct qcc_piece {
  unsigned worker; /* that shows it */
  size_t sample;
  uint32_t index;      /* in `observed` */
  const float *data;   /* valid during the call */
  size_t count, total; /* of this piece, of the whole value */
  size_t offset;       /* of the piece in the value */
} qcc_piece;

/* What the caller sees of a run. All members optional. Observers are called on worker threads, possibly at the same time for different
 * workers, never for the same. A worker may have several samples in hand: it shows a value of one, then that of the next. */
typedef struct qcc_hooks {
  const qcc_value *const *observed; /* values of the graph to show; NULL-terminated; NULL: none */
  /* f32 values in pieces. Workers may share a sample: when `observe_end` is called, all pieces of the value in this sample have been shown by
   * `worker` or by one of the `helpers` from `helper` on, and none of these is in a call. */
  void (*observe)(void *user, const qcc_piece *piece);
  void (*observe_end)(void *user, unsigned worker, size_t sample, uint32_t index, unsigned helper, unsigned helpers);
  /* Whole values in row-major ONNX order with their type (channel statistics, captures), instead: those with `typed` set by index; all when
   * `typed` is NULL. */
  void (*observe_typed)(void *user, unsigned worker, size_t sample, uint32_t observed_index, const qcc_tensor *t);
  const bool *typed;
  /* Optional, with observe_typed: called instead when the runtime holds the value channels last, which saves a copy.
   * `t` has the ONNX type [N, C, spatial..], its data lies as [N, spatial.., C]. */
  void (*observe_last)(void *user, unsigned worker, size_t sample, uint32_t observed_index, const qcc_tensor *t);
  /* Outputs of one sample (order of g->outputs), borrowed; serialised, in ascending sample order. */
  qcc_status (*output)(void *user, size_t sample, const qcc_tensor *outputs);
  const char *stage; /* progress label; NULL: silent */
  void *user;
} qcc_hooks;
static inline bool qcc_is_shown_typed(const qcc_hooks *h, uint32_t index) { return h->observe_typed && (!h->typed || h->typed[index]); }

typedef struct qcc_runner qcc_runner;

/* How quantized parts of a graph are computed. */
typedef enum qcc_arithmetic {
  QCC_AS_FLOAT,      /* as the graph says, node by node: codes are dequantized and computed in f32 */
  QCC_AS_EXACT,      /* as integer kernels do: QDQ regions become QLinear operators first, products are summed in s32 */
  QCC_AS_SATURATING, /* as x86 without VNNI does: pairs of u8*s8 products are summed in s16 with saturation, else like QCC_AS_EXACT */
} qcc_arithmetic;

/* Decodes an image file in memory: a new owned tensor u8 [height, width, 3], RGB. QCC_UNSUPPORTED (silent): not a format it knows. */
typedef qcc_status (*qcc_image_fn)(qcc_context *cx, const void *bytes, size_t n, qcc_tensor *out);

typedef struct qcc_run_options {
  unsigned workers; /* 0: one */
  qcc_arithmetic arithmetic;
  bool profile;              /* measure every step, for the profile in the statistics */
  bool trace;                /* with `profile`: keep every execution. The one thing here whose memory grows with the number of samples */
  qcc_image_fn decode_image; /* for ImageDecoder; NULL: only formats without compression are read */
  const char *library;       /* for backends that load one: its path; NULL: what the system finds */
  const char *isa;           /* of the built-in runtime, one of those that this processor has; NULL: the best */
  bool spend;                /* the graph is for this run only: constants that are read but once, to be packed or folded, leave it then */
} qcc_run_options;

/* One step of the runtime, summed over its executions. Several nodes may be one step. */
typedef struct qcc_profile_step {
  const char *op, *name;            /* of the node; a change of layout has an op of its own and the name of the tensor */
  const char *fused_ops, *fused;    /* operators and names of the nodes that run inside it; "": none */
  uint64_t runs;                    /* the other figures are sums over all of them */
  double seconds, operations;       /* a multiply-add is two operations, what else makes an element is one */
  double fastest;                   /* seconds of the fastest execution; where clocks are coarse, the least mean of several in a row */
  double bytes_read, bytes_written; /* of tensors and weights, each counted once per run */
} qcc_profile_step;

typedef struct qcc_profile_event { /* one execution of a step */
  uint32_t step;
  unsigned worker;
  size_t sample;
  double start, seconds; /* start: since the runner was opened */
} qcc_profile_event;

typedef struct qcc_profile {
  const qcc_profile_step *steps; /* in the order of the model */
  size_t step_count;
  const qcc_profile_event *events; /* by worker and time; only with `trace` */
  size_t event_count;
  bool traced;
  double peak; /* f32 operations per second that one processor can do with nothing but registers, measured at open */
} qcc_profile;

typedef struct qcc_run_stats {
  double seconds;
  size_t samples;
  size_t arena_bytes, packed_bytes;
  size_t plans;               /* made so far: one for each set of input shapes */
  const char *isa;            /* instruction set of the inner loops */
  const qcc_profile *profile; /* of all runs so far; NULL: not asked for */
} qcc_run_stats;

typedef struct qcc_eval {
  /* Evaluate one node on constants; out: node->out_count new owned tensors. QCC_UNSUPPORTED (silent, no diagnostic) when there is no kernel. */
  qcc_status (*fold)(qcc_context *cx, const qcc_node *n, const qcc_tensor *const *in, qcc_tensor *out);
  /* Prepare a root graph (not modified, unless it is spent; must outlive the runner). `how` NULL: all zero. QCC_UNSUPPORTED lists all
   * unsupported operators with counts. */
  qcc_status (*open)(qcc_runner **out, qcc_context *cx, const qcc_graph *g, const qcc_run_options *how);
  /* Run samples first..first+count-1. Results do not depend on the number of workers. */
  qcc_status (*run)(qcc_runner *r, const qcc_samples *samples, size_t first, size_t count, const qcc_hooks *hooks);
  qcc_run_stats (*stats)(const qcc_runner *r);
  void (*reset)(qcc_runner *r); /* time, samples and profile begin anew */
  void (*close)(qcc_runner *r);
} qcc_eval;

#endif
