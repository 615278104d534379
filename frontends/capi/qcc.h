/* SPDX-License-Identifier: Apache-2.0
 *
 * qcc: a quantizing compiler for neural networks, as a library.
 *
 * It reads a float ONNX network, looks at some samples through its own runtime, and writes the same network with 8-bit arithmetic as
 * QuantizeLinear/DequantizeLinear pairs that the target's kernels really fuse. No Python, no framework. A complete program:
 *
 * example-begin
#include <qcc.h>
#include <stdio.h>

static void say(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity <= QCC_WARNING) fprintf(stderr, "%s\n", line);
}

int main(int argc, char **argv) {
  if (argc != 4) return QCC_ARG; // model.onnx calib.npy out.onnx
  qcc_host host = {.log = say};
  qcc_context *cx = NULL;
  qcc_model *model = NULL, *small = NULL;
  qcc_data *data = NULL;
  qcc_status st = qcc_open(&cx, &host);
  if (st == QCC_OK) st = qcc_load(&model, cx, argv[1]);
  if (st == QCC_OK) st = qcc_data_open(&data, model, (const char *const[]){argv[2]}, 1, NULL, 0);
  qcc_compile_options options = QCC_COMPILE_OPTIONS_INIT;
  options.calib = data;
  if (st == QCC_OK) st = qcc_compile(&small, model, &options);
  if (st == QCC_OK) st = qcc_save(small, argv[3]);
  qcc_data_free(data);
  qcc_model_free(small);
  qcc_model_free(model);
  qcc_close(cx);
  return (int)st;
}
 * example-end
 *
 * Rules that hold everywhere
 *   - Every call that can fail returns a qcc_status; the reason, with its place and the way out, went to the log callback and stays
 *     readable through qcc_message until the next failure. NULL where none is allowed is QCC_ARG without a message.
 *   - A pointer that comes through `**out` is yours and is given back with the _free or _close named beside it; on failure `*out` is NULL.
 *     A pointer that a call returns is borrowed and lives as long as the object it was asked from.
 *   - Nothing is global. A context, and everything made in it, is used by one thread at a time; different contexts never meet.
 *   - The library never prints, exits, aborts or touches locale, signals or environment. One exception outside its reach: OpenBLAS keeps its
 *     own thread pool, which qcc sets to one thread.
 *   - The same input, options and seed give the same bytes, for any number of threads.
 *   - Structs of options begin with their size and are made with their _INIT, so that old programs go on with new libraries. */
#ifndef QCC_H
#define QCC_H

#ifdef __cplusplus
extern "C" {
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* host-begin */
#ifndef QCC_HOST_DEFINED
#define QCC_HOST_DEFINED

/* Result of every call that can fail. The values are the exit codes of the command line. */
typedef enum qcc_status {
  QCC_OK = 0,          /* done */
  QCC_GOAL = 1,        /* done, but the accuracy or size goal was not met; the best result is there */
  QCC_ARG = 2,         /* the caller's argument, option, command line or config is wrong */
  QCC_INVALID = 3,     /* the model is malformed or unsafe */
  QCC_UNSUPPORTED = 4, /* the model is valid; qcc cannot do this with it */
  QCC_DATA = 5,        /* the calibration or evaluation data is unusable */
  QCC_IO = 6,          /* a file could not be read or written */
  QCC_LIMIT = 7,       /* a limit was exceeded; the message names the option that raises it */
  QCC_NOMEM = 8,       /* out of memory */
  QCC_INTERNAL = 9,    /* a self-check failed: always a bug of qcc */
  QCC_CANCELLED = 10   /* the progress callback asked to stop */
} qcc_status;

/* All memory of a context. `resize` gets the old and the new size in bytes: (NULL, 0, n) allocates,
 * (p, n, 0) frees and returns NULL, otherwise reallocates. May be called from worker threads at the
 * same time. Returns NULL when there is no memory, and then leaves `p` as it was. */
typedef struct qcc_allocator {
  void *(*resize)(void *user, void *p, size_t old_size, size_t new_size);
  void *user;
} qcc_allocator;

typedef enum qcc_severity { QCC_ERROR, QCC_WARNING, QCC_NOTE, QCC_INFO } qcc_severity;

/* One finished line of text (UTF-8, control bytes escaped, no newline). Never called concurrently. */
typedef void (*qcc_log_fn)(void *user, qcc_severity severity, const char *line);

/* Long work reports here: `done` of `total` units of `stage`. Returns false to cancel: the running call
 * then ends with QCC_CANCELLED and nothing is written. Never called concurrently. */
typedef bool (*qcc_progress_fn)(void *user, const char *stage, uint64_t done, uint64_t total);

/* File access. Every function returns 0 or an errno value. Paths are opaque UTF-8 strings. */
typedef struct qcc_io {
  void *user;
  /* Open `path` for reading; regular files only. With `beneath` not NULL, `path` is relative to that folder and
   * must not leave it: no "..", no absolute path, no symbolic link on the way. */
  int (*open)(void *user, const char *path, const char *beneath, void **file, uint64_t *size);
  /* Read up to `n` bytes at `offset`; `*got` < n only at the end of the file. */
  int (*read)(void *user, void *file, uint64_t offset, void *to, size_t n, size_t *got);
  /* Optional (may be NULL, may fail with ENOTSUP): map the whole file read-only. */
  int (*map)(void *user, void *file, const void **bytes, size_t *n);
  void (*unmap)(void *user, const void *bytes, size_t n); /* from any thread */
  /* Optional: this part of a mapping was read and will hardly be again; its memory may go, the bytes must stay readable. */
  void (*forget)(void *user, const void *bytes, size_t n);
  /* Optional, goes with `unmap`: put a copy of `n` bytes where it costs no memory while nobody reads it, such as an unlinked file, and map it
   * read-only at `*kept`, until `unmap`. After the first failure a context keeps all its bytes in memory and asks no more. */
  int (*spill)(void *user, const void *bytes, size_t n, const void **kept);
  void (*close)(void *user, void *file);
  /* Create a temporary file beside `path`, exclusively; nothing named `path` is touched before `commit`. */
  int (*create)(void *user, const char *path, void **file);
  int (*write)(void *user, void *file, const void *from, size_t n);
  /* Read back what was written (verification before commit). */
  int (*reread)(void *user, void *file, uint64_t offset, void *to, size_t n, size_t *got);
  /* fsync, rename over `path`, fsync the folder; closes the file also on failure. */
  int (*commit)(void *user, void *file);
  /* Close and remove the temporary. */
  void (*abandon)(void *user, void *file);
  /* Call `each` for every entry of the folder `path` ("." and ".." left out), in any order. */
  int (*list)(void *user, const char *path, int (*each)(void *to, const char *name, bool is_folder), void *to);
} qcc_io;

/* All of it. Members left zero take the defaults: malloc, silence, POSIX files. */
typedef struct qcc_host {
  qcc_allocator alloc;
  qcc_io io;
  qcc_log_fn log;
  void *log_user;
  qcc_progress_fn progress;
  void *progress_user;
  const char *spill_folder; /* of POSIX files: folder on a disk for `spill`, which there makes unlinked files; NULL: no spilling */
} qcc_host;

#endif /* QCC_HOST_DEFINED */
/* host-end */

#if defined(_WIN32)
#define QCC_API
#elif defined(__GNUC__)
#define QCC_API __attribute__((visibility("default")))
#else
#define QCC_API
#endif

typedef struct qcc_context qcc_context;
typedef struct qcc_model qcc_model; /* a network and what is known about it */
typedef struct qcc_data qcc_data;   /* samples for the inputs of one model */

/* ------------------------------------------------------------------ Context */

/* Version of the library, "MAJOR.MINOR.PATCH". */
QCC_API const char *qcc_version(void);
/* Make a context. `host` may be NULL: malloc, POSIX files, silence. QCC_ARG: half-filled callbacks; QCC_NOMEM. */
QCC_API qcc_status qcc_open(qcc_context **out, const qcc_host *host);
/* Free a context; every model and data set made in it must be free already. NULL is fine. */
QCC_API void qcc_close(qcc_context *cx);
/* Text of the newest error, "" when there was none; valid until the next one. */
QCC_API const char *qcc_message(const qcc_context *cx);
/* Set a limit against hostile input by its option name ("max-nodes", see qcc_list with "limits"). QCC_ARG: no such limit. */
QCC_API qcc_status qcc_set_limit(qcc_context *cx, const char *option, uint64_t value);
/* Most bytes that the context's allocator had handed out at one time. */
QCC_API size_t qcc_peak_bytes(const qcc_context *cx);
/* Call `each` for every row of a table: "passes", "ops", "targets", "capability", "formats", "weights", "floats", "estimators", "costs",
 * "levels", "limits", "tables". QCC_ARG: no such table. */
QCC_API qcc_status qcc_list(qcc_context *cx, const char *table, void (*each)(void *user, const char *name, const char *doc), void *user);

/* ------------------------------------------------------------------ Model */

enum { QCC_ARRAY_RANK = 8 };

/* A view of a tensor. `dtype` is the ONNX code (1 f32, 2 u8, 3 s8, 6 s32, 7 s64, 9 bool, 10 f16, 11 f64, ...); dims are row-major, -1 means
 * unknown or symbolic where a type is described rather than a tensor; `data` is little-endian and may be NULL in descriptions. */
typedef struct qcc_array {
  int dtype;
  int rank; /* -1: unknown */
  int64_t dim[QCC_ARRAY_RANK];
  const void *data;
  size_t bytes;
} qcc_array;

/* Load an ONNX file. External data is read beneath the model's folder only. QCC_IO, QCC_INVALID, QCC_UNSUPPORTED, QCC_LIMIT, QCC_NOMEM. */
QCC_API qcc_status qcc_load(qcc_model **out, qcc_context *cx, const char *path);
/* Load from memory; the bytes are copied. `folder` (for external data) may be NULL. */
QCC_API qcc_status qcc_load_memory(qcc_model **out, qcc_context *cx, const void *bytes, size_t n, const char *folder);
/* Read textual IR (.qir). QCC_INVALID with line and column. */
QCC_API qcc_status qcc_parse(qcc_model **out, qcc_context *cx, const char *text, size_t n, const char *file);
/* A deep copy that shares the weights. */
QCC_API qcc_status qcc_clone(qcc_model **out, const qcc_model *model);
QCC_API void qcc_model_free(qcc_model *model);

/* Write ONNX: temporary file, verify, fsync, rename; an existing file is never damaged. QCC_IO. */
QCC_API qcc_status qcc_save(const qcc_model *model, const char *path);
/* Into memory of the context; give back with qcc_bytes_free. */
QCC_API qcc_status qcc_save_memory(const qcc_model *model, void **out, size_t *n);
/* Textual IR; give back with qcc_bytes_free. `around` (a node or tensor name, or NULL for all) limits it to a neighbourhood. */
QCC_API qcc_status qcc_print(const qcc_model *model, const char *around, char **out, size_t *n);
QCC_API void qcc_bytes_free(qcc_context *cx, void *bytes);

typedef struct qcc_node_info {
  const char *name, *op, *domain;
  uint32_t inputs, outputs;
} qcc_node_info;

/* Iterate; strings are borrowed. The counts are those of the main graph. QCC_ARG: index past the end. */
QCC_API size_t qcc_node_count(const qcc_model *model);
QCC_API qcc_status qcc_node_at(const qcc_model *model, size_t index, qcc_node_info *out);
/* Name of input or output `k` of node `index`; NULL when left out or past the end. */
QCC_API const char *qcc_node_input(const qcc_model *model, size_t index, uint32_t k);
QCC_API const char *qcc_node_output(const qcc_model *model, size_t index, uint32_t k);
QCC_API size_t qcc_input_count(const qcc_model *model);
QCC_API size_t qcc_output_count(const qcc_model *model);
QCC_API const char *qcc_input_name(const qcc_model *model, size_t index);
QCC_API const char *qcc_output_name(const qcc_model *model, size_t index);
/* Type of a tensor by name; constants have `data` set. QCC_ARG: no such tensor. */
QCC_API qcc_status qcc_tensor_of(const qcc_model *model, const char *name, qcc_array *out);

/* Type of a tensor as text, "f32[1,3,N,?]", cut to `n` bytes with the terminator. QCC_ARG: no such tensor. */
QCC_API qcc_status qcc_type_text(const qcc_model *model, const char *name, char *to, size_t n);

typedef struct qcc_model_info {
  size_t size;
  int64_t ir_version;
  const char *producer, *producer_version; /* "" where the file says nothing */
  uint64_t nodes;                          /* bodies of If, Loop and Scan included */
  uint64_t parameters, parameter_bytes;    /* elements of constants */
  double macs;                             /* multiply-adds of one run; open sizes count as 1 */
} qcc_model_info;
/* Infers shapes on a copy for the multiply-adds. QCC_INVALID: shapes that contradict each other. */
QCC_API qcc_status qcc_describe(const qcc_model *model, qcc_model_info *out);
/* Call `each` with ("opset", domain, version) for each imported operator set and ("operator", name, nodes) for each operator, most frequent
 * first; names of operators outside the standard begin with their domain. */
QCC_API qcc_status qcc_describe_counts(const qcc_model *model, void (*each)(void *user, const char *kind, const char *name, int64_t count),
                                       void *user);

/* Build node by node. Start empty, add inputs and constants, add nodes in order, mark outputs; qcc_build_check verifies and infers shapes. */
QCC_API qcc_status qcc_build_new(qcc_model **out, qcc_context *cx, int64_t opset);
QCC_API qcc_status qcc_build_input(qcc_model *model, const char *name, const qcc_array *type);
QCC_API qcc_status qcc_build_const(qcc_model *model, const char *name, const qcc_array *value); /* bytes are copied */
/* Inputs are names of tensors ("" leaves one out); outputs are new names. `domain` "" for the standard operators. */
QCC_API qcc_status qcc_build_node(qcc_model *model, const char *domain, const char *op, const char *name, const char *const *inputs,
                                  uint32_t input_count, const char *const *outputs, uint32_t output_count);
/* Attributes of the node added last. */
QCC_API qcc_status qcc_build_int(qcc_model *model, const char *key, int64_t value);
QCC_API qcc_status qcc_build_ints(qcc_model *model, const char *key, const int64_t *values, uint32_t count);
QCC_API qcc_status qcc_build_float(qcc_model *model, const char *key, float value);
QCC_API qcc_status qcc_build_string(qcc_model *model, const char *key, const char *value);
QCC_API qcc_status qcc_build_output(qcc_model *model, const char *name);
QCC_API qcc_status qcc_build_check(qcc_model *model);
/* Replace the value of a constant (same shape and type; QCC_ARG otherwise). */
QCC_API qcc_status qcc_set_tensor(qcc_model *model, const char *name, const qcc_array *value);

/* ------------------------------------------------------------------ Passes */

typedef struct qcc_pass_options {
  size_t size;
  const char *print_after; /* a pass name, "all", or NULL */
  bool print_changed;      /* print after passes that changed something */
  bool time;               /* table of times through the log */
  uint64_t bisect;         /* stop after this many rewrites; 0: no limit */
  const char *explain;     /* tell why this rule declined */
  void (*print)(void *user, const char *text, size_t n);
  void *print_user;
  const char *reproducer; /* where a failing pass leaves IR and pipeline; NULL: nowhere */
} qcc_pass_options;
#define QCC_PASS_OPTIONS_INIT \
  { sizeof(qcc_pass_options), 0, 0, 0, 0, 0, 0, 0, 0 }

/* Run a textual pipeline on the model, in place: "canonicalize,fuse-conv-bn", "@prepare". `options` may be NULL. QCC_ARG with a caret at
 * what is wrong in the text; QCC_INTERNAL when a pass broke the graph (the model must then be freed). */
QCC_API qcc_status qcc_passes(qcc_model *model, const char *pipeline, const qcc_pass_options *options);

/* ------------------------------------------------------------------ Data */

/* Samples for the inputs of `model` from files: "PATH" or "INPUT=PATH", with PATH a .npy (first axis = samples), a .npz (one array per input),
 * a folder of .npy/.npz/.pb samples, or a folder of JPEG/PNG images with `transform` ("resize=256,crop=224,scale=1/255,mean=...,std=...,
 * channels=rgb,layout=nchw"; NULL: none). `limit` 0: all. Read when needed, never kept. QCC_DATA, QCC_IO, QCC_LIMIT, QCC_ARG. */
QCC_API qcc_status qcc_data_open(qcc_data **out, const qcc_model *model, const char *const *sources, uint32_t source_count,
                                 const char *transform, size_t limit);
/* Samples by callback: `get` fills one array per model input for sample `index`; the bytes must stay valid until the next `get` of the
 * same data set. Called in ascending order, never concurrently. Return a status other than QCC_OK to stop. */
QCC_API qcc_status qcc_data_pull(qcc_data **out, const qcc_model *model, size_t count,
                                 qcc_status (*get)(void *user, size_t index, qcc_array *inputs), void *user);
/* Random samples shaped by the model's inputs, seeded. */
QCC_API qcc_status qcc_data_synthetic(qcc_data **out, const qcc_model *model, size_t count, uint64_t seed);
/* The first sample of `data`, read once and kept, `count` times: for measurements of time. QCC_DATA: there is no sample. */
QCC_API qcc_status qcc_data_repeat(qcc_data **out, const qcc_data *data, size_t count);
QCC_API size_t qcc_data_count(const qcc_data *data);
QCC_API void qcc_data_free(qcc_data *data);
/* One array from or to a file: .npy, or an ONNX TensorProto .pb (reading). qcc_array_read: give back with qcc_bytes_free(cx, (void *)out->data). */
QCC_API qcc_status qcc_array_read(qcc_array *out, qcc_context *cx, const char *path);
QCC_API qcc_status qcc_array_write(qcc_context *cx, const qcc_array *array, const char *path);

/* ------------------------------------------------------------------ Targets */

/* What a target can do, as JSON; give back with qcc_bytes_free. `target` as in qcc_compile_options; `model` may be NULL. "optypewise" lists
 * for each operator the ways to quantize it, each with what activations and weights may be, how it may be written and what must be
 * quantized together; of each list the first is the default. With a model "opwise" lists its nodes, prepared as for compiling ("from" names
 * the nodes that each was made of): what happens to them by default, which ways are open, and why they stay float. QCC_ARG, located: what
 * is wrong with a capability file; QCC_IO, QCC_LIMIT, QCC_NOMEM, and what qcc_compile says of models that cannot be prepared. */
QCC_API qcc_status qcc_query_capability(qcc_context *cx, const qcc_model *model, const char *target, char **out, size_t *n);
/* Chains of operators that become one kernel, as JSON: "patterns" of the target and, with a model, "matches" among its prepared nodes. */
QCC_API qcc_status qcc_query_fused_patterns(qcc_context *cx, const qcc_model *model, const char *target, char **out, size_t *n);

/* ------------------------------------------------------------------ Compile */

typedef struct qcc_compile_options {
  size_t size;
  int level;             /* 0, 1, 2 (default) */
  const char *target;    /* NULL: "ort-cpu-avx2"; a name of the table "targets", NAME@VERSION of its runtime, or a capability file */
  const qcc_data *calib; /* NULL: none; -O2 then makes synthetic samples, and warns */
  const char *estimator; /* NULL: chosen by measured error; else a name of the table "estimators" */
  bool dynamic;          /* ranges at run time instead of calibrated ones */
  const char *format;    /* how quantized operators are written: a name of the table "formats"; NULL or "auto": each as suits it best */
  /* Types, from what the target takes; NULL: its first choice; QCC_ARG where it takes no such type. Operators that take others stay float.
   * Activations: "u8", "s8", "u16", "s16", with ":sym" or ":asym" behind it for where zero stands. Weights: a name of the table "weights". */
  const char *activations, *weights;
  bool per_tensor;    /* one scale for each weight tensor instead of one for each output channel */
  bool reduce_range;  /* weights of 7 bits: products of pairs fit 16 bits on any processor */
  bool pow2;          /* scales are powers of two */
  unsigned block;     /* weights that share a scale where they come in blocks, a power of two from 16; 0: 32 */
  bool nbits;         /* such products, also those of a model that is quantized already, as com.microsoft::MatMulNBits for older runtimes */
  const char *floats; /* what float parts compute in: a name of the table "floats"; NULL: "f32". Samples tell where that stays f32 */
  bool float_interface; /* inputs and outputs of the model in that type, too */
  unsigned threads;     /* 0: as many as the machine has processors; at most 64 */
  uint64_t seed;
  /* Selectors: a name or glob of nodes ("name:" before it is optional), "type:Conv", "re:regex", "first:N" and "last:N" (of the operators with
   * weights that could compute in 8 bit), "between:A..B" (nodes on all paths between two tensors). Names are those of `in`, also of what was
   * fused. `only` chooses among operators with weights, the others follow them; `exclude` is a word to all. NULL: everything. */
  const char *const *only;
  uint32_t only_count;
  const char *const *exclude;
  uint32_t exclude_count;
  const qcc_pass_options *passes; /* printing, bisecting; NULL: none */
  const char *options_text;       /* recorded in the model's metadata; NULL: none */
  /* Where the target's costs are known. "speed": 8 bit where it pays, elsewhere for weights only. "size": 8 bit wherever it is possible.
   * "accuracy": 8 bit where it pays, elsewhere not even for weights. NULL: "speed", but "size" for those who say what to quantize or how: with
   * only, overrides, encodings, code_interface, dynamic, or the integer format. */
  const char *prefer;
  /* Parameters of single tensors, as JSON text; NULL: none. They hold in every trial and in the result: scales are kept, weights get the best
   * codes on the given grid. `overrides` has the layout of ONNX Runtime's TensorQuantOverrides ("convert" is refused), `encodings` that of
   * AIMET (0.6.1 or 1.0.0). Names are those of `in`. QCC_ARG tells the place in the text. Not with qcc_compile_plan. */
  const char *overrides;
  size_t overrides_bytes;
  const char *encodings;
  size_t encodings_bytes;
  bool code_interface; /* inputs and outputs of the model in 8 or 16 bits where they are quantized anyway, see qcc_quantize_input */
  /* What is tried is judged by what integer kernels make of it, see qcc_run_settings, and not in floats with rounded values. */
  bool exact, saturating;
} qcc_compile_options;
#define QCC_COMPILE_OPTIONS_INIT \
  { sizeof(qcc_compile_options), 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Compile into a new model; `in` stays as it is. An already quantized model comes back unchanged, or in another format when one is given
 * (`format`, `nbits`), with a note.
 * QCC_ARG, QCC_DATA, QCC_UNSUPPORTED, QCC_LIMIT, QCC_NOMEM, QCC_CANCELLED, QCC_INTERNAL. */
QCC_API qcc_status qcc_compile(qcc_model **out, const qcc_model *in, const qcc_compile_options *options);

typedef struct qcc_summary { /* what a compiled model is made of */
  size_t size;
  uint32_t nodes, int8_nodes, dynamic_nodes, weight_only_nodes, float_nodes; /* of those that have weights or integer kernels */
  double int8_macs;                                                          /* share of multiply-accumulates in 8 bit, 0..1 */
  uint64_t bytes_before, bytes_after;                                        /* of the constants */
  double sqnr_db; /* at the outputs, held-out samples, worst output; NAN: not measured */
  double seconds;
  double speedup;     /* expected of the target's kernels, by its table of costs: float time over that of this model; NAN: no table */
  bool synthetic;     /* calibrated on random samples */
  bool was_quantized; /* the input model was already quantized and was left as it is, or took another format */
} qcc_summary;
/* Zero where a model was not made by qcc_compile. */
QCC_API qcc_status qcc_summary_of(const qcc_model *model, qcc_summary *out);
/* What was tried and why nodes stayed float: `each` gets kind ("step"; "float"; "weights": only these are in 8
 * bit; "codes" and "interface": inputs and outputs that became codes, or stayed as they were), subject, text. */
QCC_API void qcc_explain(const qcc_model *model, void (*each)(void *user, const char *kind, const char *subject, const char *text),
                         void *user);
/* The plan (tune config) a compiled model came from, as JSON; give back with qcc_bytes_free. QCC_ARG: not a compiled model. */
QCC_API qcc_status qcc_plan_json(const qcc_model *model, char **out, size_t *n);
/* The parameters of a compiled model's tensors: as TensorQuantOverrides of ONNX Runtime's quantize_static (for the prepared model, whose names
 * they are), or as AIMET's encodings. What is stored in blocks is left out. Give back with qcc_bytes_free. QCC_ARG: not a compiled model. */
QCC_API qcc_status qcc_overrides_json(const qcc_model *model, char **out, size_t *n);
QCC_API qcc_status qcc_encodings_json(const qcc_model *model, char **out, size_t *n);
/* Let the caller give codes: input `name` (NULL: the only one) of a quantized model, which so far only QuantizeLinear reads, takes what that
 * makes. `scale` and `zero_point` (NULL: not wanted) tell what they mean, x = scale * (code - zero_point); the metadata of the model keeps it
 * as "qcc.input.NAME.scale" and "qcc.input.NAME.zero_point", and samples from files that are floats are turned into codes by it. An input
 * that takes codes already stays as it is. QCC_UNSUPPORTED: why it cannot; QCC_ARG: no such input; QCC_NOMEM. */
QCC_API qcc_status qcc_quantize_input(qcc_model *model, const char *name, float *scale, int32_t *zero_point);
/* The same for an output that DequantizeLinear makes; keys begin with "qcc.output.". */
QCC_API qcc_status qcc_quantize_output(qcc_model *model, const char *name, float *scale, int32_t *zero_point);
/* What the codes of an input or output mean; false: it has none, or nothing is recorded. */
QCC_API bool qcc_codes_of(const qcc_model *model, const char *name, float *scale, int32_t *zero_point);
/* Compile by a plan instead of a strategy. */
QCC_API qcc_status qcc_compile_plan(qcc_model **out, const qcc_model *in, const char *plan_json, size_t n,
                                    const qcc_compile_options *options);

/* ------------------------------------------------------------------ Run */

/* Run every sample on the built-in runtime. `output` gets one array per model output, borrowed, in ascending order of samples. */
QCC_API qcc_status qcc_run(const qcc_model *model, const qcc_data *data, unsigned threads,
                           qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs), void *user);
/* Value of any float tensor for every sample, f32. QCC_ARG: no such tensor. */
QCC_API qcc_status qcc_inspect_tensor(const qcc_model *model, const qcc_data *data, const char *tensor,
                                      qcc_status (*each)(void *user, size_t sample, const qcc_array *value), void *user);

/* A model made ready to run, for more than one turn: constants are folded, weights packed and memory planned once. */
typedef struct qcc_session qcc_session;

typedef struct qcc_run_settings {
  size_t size;
  unsigned threads; /* 0: as many as the machine has processors; at most 64 */
  bool exact;       /* quantized parts as integer kernels compute them: sums in 32 bits, one rounding; else in floats, node by node */
  bool saturating;  /* the same as on x86 without VNNI, where pairs of u8*s8 products are summed in 16 bits and saturate */
  bool profile;     /* measure every step, see qcc_session_steps */
  bool trace;       /* and keep every execution of every step, see qcc_session_trace: memory that grows with the number of samples */
  /* NULL: the built-in runtime. "ort": ONNX Runtime, as the system's loader finds it; else the path of its library, libonnxruntime.so. It
   * computes by its own rules, on `threads` threads inside a sample; exact, saturating and trace are QCC_ARG with it. */
  const char *runtime;
  /* Instruction set of the built-in runtime: a name as in qcc_run_figures.isa. NULL: the best that this processor has. QCC_ARG: it has not. */
  const char *isa;
} qcc_run_settings;
#define QCC_RUN_SETTINGS_INIT \
  { sizeof(qcc_run_settings), 0, 0, 0, 0, 0, 0, 0 }
/* Like qcc_run, with all settings. */
QCC_API qcc_status qcc_run_as(const qcc_model *model, const qcc_data *data, const qcc_run_settings *settings,
                              qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs), void *user);

/* `model` must not change and must live longer than the session. `settings` may be NULL. QCC_UNSUPPORTED: an operator without code, or the
 * runtime refuses the model. QCC_ARG: no such runtime. */
QCC_API qcc_status qcc_session_open(qcc_session **out, const qcc_model *model, const qcc_run_settings *settings);
QCC_API void qcc_session_close(qcc_session *session);
/* Like qcc_run; `output` may be NULL. */
QCC_API qcc_status qcc_session_run(qcc_session *session, const qcc_data *data,
                                   qcc_status (*output)(void *user, size_t sample, const qcc_array *outputs), void *user);

typedef struct qcc_run_figures { /* of all turns since the session was opened or reset */
  size_t size;
  double seconds; /* running, data and output callbacks included */
  size_t samples;
  unsigned threads;
  size_t arena_bytes;  /* memory for activations, of one thread */
  size_t packed_bytes; /* weights in the order in which they are read */
  size_t plans;        /* one for each set of input shapes, since it was opened; 0, like the bytes: another runtime, which does not tell */
  const char *isa;     /* instruction set of the inner loops: "avx512", "avx2", "sse2", "neon", "c"; "onnxruntime VERSION" */
  double peak;         /* f32 operations per second that one processor can do at most, measured; 0 without `profile` */
} qcc_run_figures;
QCC_API qcc_status qcc_session_figures(const qcc_session *session, qcc_run_figures *out);
/* Forget what was measured so far: after warming up. */
QCC_API qcc_status qcc_session_reset(qcc_session *session);

typedef struct qcc_step_cost {   /* one step of the runtime; all figures are sums over `runs` executions */
  const char *op, *name;         /* of its node; a change of layout is ToChannelsLast or ToRowMajor, with the name of the tensor */
  const char *fused_ops, *fused; /* operators ("BatchNormalization+Relu") and names ("bn1, relu1") of nodes that run inside it; "" */
  uint64_t runs;
  double seconds, operations;       /* a multiply-add counts as two operations */
  double fastest;                   /* seconds of the fastest execution; of ONNX Runtime: of the fastest 16 in a row, their mean */
  double bytes_read, bytes_written; /* tensors and weights, each once per run */
} qcc_step_cost;
/* Call `each` for every step that ran, in the order of the model. QCC_ARG: the session has no profile. */
QCC_API qcc_status qcc_session_steps(const qcc_session *session, void (*each)(void *user, const qcc_step_cost *step), void *user);
/* Every execution as Chrome trace events (JSON, for chrome://tracing and Perfetto); give back with qcc_bytes_free. QCC_ARG: no trace. */
QCC_API qcc_status qcc_session_trace(const qcc_session *session, char **out, size_t *n);

/* Measure what the kernels of ONNX Runtime cost on this machine, in float and in 8 bit, one thread: about a minute during which nothing else
 * should run. `library`: as in qcc_run_settings.runtime. The result is the text of a capability file `name` that extends `target` (NULL:
 * the default) with the table by which 8 bit is placed; give back with qcc_bytes_free. QCC_ARG: no such library; QCC_CANCELLED. */
QCC_API qcc_status qcc_measure_costs(qcc_context *cx, const char *target, const char *name, const char *library, char **out, size_t *n);

typedef struct qcc_diff_row {
  const char *tensor; /* name in the first model */
  const char *op;     /* operator that makes it */
  double sqnr_db, cosine, max_abs;
  bool is_output;
} qcc_diff_row;
/* Compare tensors that both models have, on the same samples, in order of the first model. */
QCC_API qcc_status qcc_diff(const qcc_model *a, const qcc_model *b, const qcc_data *data, unsigned threads,
                            void (*each)(void *user, const qcc_diff_row *row), void *user);
/* The same with all settings. With `exact` or `saturating` a model that has quantized parts computes them in codes: a tensor of which only codes
 * are left is compared as what they mean; what is left of others in no form is counted in a note. runtime, profile and trace are QCC_ARG. */
QCC_API qcc_status qcc_diff_as(const qcc_model *a, const qcc_model *b, const qcc_data *data, const qcc_run_settings *settings,
                               void (*each)(void *user, const qcc_diff_row *row), void *user);

/* ------------------------------------------------------------------ Check */

/* What becomes of a node when ONNX Runtime's CPU provider loads the model. */
typedef enum qcc_fate {
  QCC_FATE_INT8,    /* an integer kernel */
  QCC_FATE_CODES,   /* moves or selects codes instead of floats */
  QCC_FATE_FUSED,   /* part of the kernel of another node */
  QCC_FATE_REMOVED, /* gone: it would change nothing */
  QCC_FATE_FOLDED,  /* computed once, when the model is loaded */
  QCC_FATE_BORDER,  /* a conversion between floats and codes that runs */
  QCC_FATE_FLOAT,   /* stays float */
  QCC_FATE_OTHER    /* neither: shapes, indices, conditions */
} qcc_fate;

typedef struct qcc_check_row { /* one node; strings are borrowed and valid during the call */
  const char *name, *op;
  qcc_fate fate;
  const char *fate_name;        /* "int8", "codes", ... */
  const char *kernel;           /* operator that runs for it; "": none */
  const char *into;             /* fused: the node whose kernel it is part of; "" */
  const char *reason;           /* float: a word of the table "reasons"; int8: what is amiss; "" */
  const char *what, *advice;    /* the reason as a sentence, and what to do about it */
  const char *input;            /* name of the tensor that the reason speaks of; "" */
  bool channels_last;           /* runs in the faster layout */
  uint64_t pairs, unsafe_pairs; /* of weights that x86 before VNNI adds in 16 bits; those that can saturate. 0 for other targets */
} qcc_check_row;

typedef struct qcc_check_options {
  size_t size;
  const char *target;      /* lends its types of activations and whether pairs saturate; NULL: the default */
  const char *ort_version; /* "1.20"; NULL: what the target names behind '@', or the newest that is known */
} qcc_check_options;
#define QCC_CHECK_OPTIONS_INIT \
  { sizeof(qcc_check_options), 0, 0 }

/* Predict the kernel of every node, in the order of the model, and then the nodes that run by operator (`on_codes`: an operator of floats that
 * works on codes). Either callback may be NULL, and so may `options`. The model is not changed. QCC_ARG: unknown target or version. */
QCC_API qcc_status qcc_check(const qcc_model *model, const qcc_check_options *options, void (*each)(void *user, const qcc_check_row *row),
                             void (*total)(void *user, const char *kernel, bool on_codes, uint64_t count), void *user);
/* The same as JSON; give back with qcc_bytes_free. */
QCC_API qcc_status qcc_check_json(const qcc_model *model, const qcc_check_options *options, char **out, size_t *n);

#ifdef __cplusplus
}
#endif
#endif
