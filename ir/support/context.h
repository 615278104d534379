/* SPDX-License-Identifier: Apache-2.0
 * The context: allocator, file access, log, limits, interned names, diagnostics. It replaces every global.
 * One thread at a time may use a context, except: qcc_alloc/qcc_free, qcc_error and qcc_warn may be called by
 * worker threads that the runtime has started. */
#ifndef QCC_CONTEXT_H
#define QCC_CONTEXT_H

#include <stdarg.h>

#include "ir/support/host.h"

#define QCC_MUST_USE __attribute__((warn_unused_result))
#define QCC_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* Return early with the status of a failing call: the only control-flow macro of the tree. */
#define QCC_TRY(expr)                                    \
  do {                                                   \
    qcc_status qcc_try_status = (expr);                  \
    if (qcc_try_status != QCC_OK) return qcc_try_status; \
  } while (0)

typedef struct qcc_context qcc_context;

/* Limits against hostile input; defaults in limits.def (name, default, option, unit). */
typedef struct qcc_limits {
#define LIMIT(name, value, option, doc) uint64_t name;
#include "ir/support/limits.def"
#undef LIMIT
} qcc_limits;

/* Make a context. Zero members of `host` take the defaults (malloc, POSIX files, silence).
 * Returns QCC_NOMEM, or QCC_ARG when `host` is half filled. */
qcc_status qcc_context_new(qcc_context **out, const qcc_host *host) QCC_MUST_USE;
void qcc_context_free(qcc_context *cx); /* everything made in it must have been freed before */

const qcc_host *qcc_context_host(const qcc_context *cx);
qcc_limits *qcc_context_limits(qcc_context *cx);
size_t qcc_context_live_bytes(const qcc_context *cx); /* bytes now allocated through it */
size_t qcc_context_peak_bytes(const qcc_context *cx);

/* ---- memory. All return NULL after telling QCC_NOMEM once through the diagnostics. Sizes are remembered by
 * the block, so free needs no size. Blocks are aligned to 64 bytes and not zeroed unless said. */
void *qcc_alloc(qcc_context *cx, size_t size);
void *qcc_alloc_array(qcc_context *cx, size_t count, size_t size);  /* overflow-checked */
void *qcc_zalloc_array(qcc_context *cx, size_t count, size_t size); /* zeroed */
void *qcc_realloc_array(qcc_context *cx, void *p, size_t count, size_t size);
void qcc_free(qcc_context *cx, void *p);
/* A copy of the bytes outside memory, given back with the host's `unmap`; NULL when the host cannot: nothing has failed then. */
const void *qcc_spill(qcc_context *cx, const void *bytes, size_t n);

/* ---- names. Equal text gives the same pointer, so names compare with ==; they live as long as the context.
 * qcc_intern(NULL) is NULL. Returns NULL when out of memory. */
const char *qcc_intern(qcc_context *cx, const char *text);
const char *qcc_intern_n(qcc_context *cx, const char *text, size_t n);
/* Interned result of qcc_format. */
const char *qcc_internf(qcc_context *cx, const char *fmt, ...) QCC_PRINTF(2, 3);

/* ---- diagnostics. Whoever detects a failure says it, once, with its place; everyone above forwards the status. */
typedef struct qcc_loc {
  const char *file; /* path or NULL */
  uint32_t line;    /* 1-based, 0: none */
  uint32_t column;
  const char *node; /* node name or NULL */
  const char *op;   /* operator type or NULL */
  const char *tensor;
} qcc_loc;

/* Emits one error and returns `status`, so that a failing function can `return qcc_error(...)`.
 * `code` is the stable message number, e.g. "M-042" (letter: A argument, M model, U unsupported, D data, F file,
 * L limit, N memory, I internal; see docs in diag.c). Text: lower case, what was found, what is allowed,
 * which option changes it; one line. `loc` may be NULL. Formats: see qcc_format. Thread-safe. */
qcc_status qcc_error(qcc_context *cx, qcc_status status, const char *code, const qcc_loc *loc, const char *fmt, ...) QCC_PRINTF(5, 6);
void qcc_warn(qcc_context *cx, const char *code, const qcc_loc *loc, const char *fmt, ...) QCC_PRINTF(4, 5);
void qcc_note(qcc_context *cx, const qcc_loc *loc, const char *fmt, ...) QCC_PRINTF(3, 4);
void qcc_info(qcc_context *cx, const char *fmt, ...) QCC_PRINTF(2, 3); /* progress prose for -v */
const char *qcc_last_error(const qcc_context *cx);                     /* text of the newest error, "" if none; valid until the next */
void qcc_clear_errors(qcc_context *cx);

/* Tell progress. QCC_CANCELLED when the host says stop. */
qcc_status qcc_progress(qcc_context *cx, const char *stage, uint64_t done, uint64_t total) QCC_MUST_USE;

/* ---- text. Locale-free formatting, no stdio: %s %d %i %u %x %X %c %p %% %g %e %f, sizes hh h l ll z j, with width, '-', '0', '+', precision
 * and '*'. A string quoted, escaped and cut at 128 bytes is "%-s" ('-' without a width, which printf checkers accept): use it for every
 * name that comes from outside. `%g` without precision prints the fewest digits that read back as the same double; give floats as
 * (double). Returns the length that the full text needs, like snprintf; always terminates when n > 0. */
size_t qcc_format(char *to, size_t n, const char *fmt, ...) QCC_PRINTF(3, 4);
size_t qcc_vformat(char *to, size_t n, const char *fmt, va_list args);
/* Shortest text that reads back as the same float ("0.1", "1", "1e-07", "inf", "nan"); returns its length; to >= 32 bytes. */
size_t qcc_print_f32(char *to, float x);
size_t qcc_print_f64(char *to, double x);
/* Exact decimal reading, independent of the locale. Returns the number of bytes read, 0 when there is no number. */
size_t qcc_read_f64(const char *text, size_t n, double *out);
size_t qcc_read_s64(const char *text, size_t n, int64_t *out); /* 0 also on overflow */

/* ---- checked arithmetic. Return false on overflow, and then leave *out alone. */
static inline bool qcc_mul_size(size_t a, size_t b, size_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool qcc_add_size(size_t a, size_t b, size_t *out) { return !__builtin_add_overflow(a, b, out); }
static inline bool qcc_mul_s64(int64_t a, int64_t b, int64_t *out) { return !__builtin_mul_overflow(a, b, out); }
static inline bool qcc_add_s64(int64_t a, int64_t b, int64_t *out) { return !__builtin_add_overflow(a, b, out); }

#endif
