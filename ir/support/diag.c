/* SPDX-License-Identifier: Apache-2.0
 * Diagnostics: one finished line per message,
 *   file: node "name" (Op): error[M-042]: text        file:7:11: error[A-007]: text
 * built on the stack, so that "out of memory" can be told without memory. Control bytes are escaped, names cut.
 *
 * Message numbers: a letter for the class - A argument, M model, U unsupported, D data, F file, L limit, N memory,
 * I internal - and three digits. The numbers 000-099 of a class belong to ir/, 100-199 to passes and strategies,
 * 200-299 to backends, 300-499 to frontends, 500-599 to yaml/. A number is never given a second meaning. */
#include <string.h>

#include "ir/support/internal.h"

enum { TEXT_BYTES = 1400 };

static const char *const word[] = {"error", "warning", "note", NULL}; /* by severity */

typedef struct line {
  char at[QCC_LINE_BYTES];
  size_t n;
} line;

static void put(line *l, const char *text) {
  while (*text && l->n + 1 < sizeof l->at) l->at[l->n++] = *text++;
  l->at[l->n] = 0;
}

static void put_escaped(line *l, const char *text, size_t cut, bool quote) {
  size_t room = sizeof l->at - l->n;
  size_t need = qcc_escape(l->at + l->n, room, text, strlen(text), cut, quote);
  l->n += need < room ? need : room - 1;
}

static void put_name(line *l, const char *kind, const char *name) {
  put(l, kind);
  put(l, " \"");
  put_escaped(l, name, QCC_NAME_CUT, true);
  put(l, "\"");
}

static void put_loc(line *l, const qcc_loc *loc) {
  char number[64];
  if (loc->file) put_escaped(l, loc->file, 512, false);
  if (loc->line) {
    qcc_format(number, sizeof number, loc->column ? ":%u:%u" : ":%u", loc->line, loc->column);
    put(l, loc->file ? number : number + 1);
  }
  if (loc->file || loc->line) put(l, ": ");
  bool named = loc->node && loc->node[0];
  if (named) put_name(l, "node", loc->node);
  if (loc->op) {
    put(l, named ? " (" : "operator ");
    put_escaped(l, loc->op, QCC_NAME_CUT, false);
    if (named) put(l, ")");
  }
  if (named || loc->op) put(l, ": ");
  if (loc->tensor) {
    put_name(l, "tensor", loc->tensor);
    put(l, ": ");
  }
}

static void show(qcc_context *cx, qcc_severity severity, const char *text) {
  if (!cx->host.log || cx->in_log) return;
  cx->in_log = true;
  cx->host.log(cx->host.log_user, severity, text);
  cx->in_log = false;
}

static void tell(qcc_context *cx, qcc_severity severity, const char *code, const qcc_loc *loc, const char *text) {
  line l = {.n = 0};
  l.at[0] = 0;
  if (loc) put_loc(&l, loc);
  if (word[severity]) {
    put(&l, word[severity]);
    if (code) {
      put(&l, "[");
      put(&l, code);
      put(&l, "]");
    }
    put(&l, ": ");
  }
  put_escaped(&l, text, TEXT_BYTES, false);
  pthread_mutex_lock(&cx->lock);
  if (severity == QCC_ERROR) {
    memcpy(cx->last, l.at, l.n + 1);
    cx->nomem_told = false;
  }
  show(cx, severity, l.at);
  pthread_mutex_unlock(&cx->lock);
}

qcc_status qcc_error(qcc_context *cx, qcc_status status, const char *code, const qcc_loc *loc, const char *fmt, ...) {
  char text[TEXT_BYTES];
  va_list args;
  va_start(args, fmt);
  qcc_vformat(text, sizeof text, fmt, args);
  va_end(args);
  tell(cx, QCC_ERROR, code, loc, text);
  return status;
}

void qcc_warn(qcc_context *cx, const char *code, const qcc_loc *loc, const char *fmt, ...) {
  char text[TEXT_BYTES];
  va_list args;
  va_start(args, fmt);
  qcc_vformat(text, sizeof text, fmt, args);
  va_end(args);
  tell(cx, QCC_WARNING, code, loc, text);
}

void qcc_note(qcc_context *cx, const qcc_loc *loc, const char *fmt, ...) {
  char text[TEXT_BYTES];
  va_list args;
  va_start(args, fmt);
  qcc_vformat(text, sizeof text, fmt, args);
  va_end(args);
  tell(cx, QCC_NOTE, NULL, loc, text);
}

void qcc_info(qcc_context *cx, const char *fmt, ...) {
  char text[TEXT_BYTES];
  va_list args;
  va_start(args, fmt);
  qcc_vformat(text, sizeof text, fmt, args);
  va_end(args);
  tell(cx, QCC_INFO, NULL, NULL, text);
}

void qcc_tell_nomem(qcc_context *cx, size_t size) {
  char text[64];
  pthread_mutex_lock(&cx->lock);
  bool told = cx->nomem_told;
  pthread_mutex_unlock(&cx->lock);
  if (told) return;
  if (size > SIZE_MAX / 2) {
    tell(cx, QCC_ERROR, "N-001", NULL, "out of memory: a size does not fit the address space");
  } else {
    qcc_format(text, sizeof text, "out of memory: %zu bytes wanted", size);
    tell(cx, QCC_ERROR, "N-001", NULL, text);
  }
  pthread_mutex_lock(&cx->lock);
  cx->nomem_told = true;
  pthread_mutex_unlock(&cx->lock);
}

const char *qcc_last_error(const qcc_context *cx) { return cx->last; }

void qcc_clear_errors(qcc_context *cx) {
  pthread_mutex_lock(&cx->lock);
  cx->last[0] = 0;
  cx->nomem_told = false;
  pthread_mutex_unlock(&cx->lock);
}

qcc_status qcc_progress(qcc_context *cx, const char *stage, uint64_t done, uint64_t total) {
  if (!cx->host.progress) return QCC_OK;
  pthread_mutex_lock(&cx->lock);
  bool go = cx->host.progress(cx->host.progress_user, stage, done, total);
  pthread_mutex_unlock(&cx->lock);
  return go ? QCC_OK : qcc_error(cx, QCC_CANCELLED, "A-001", NULL, "stopped on request while in stage '%s'", stage);
}
