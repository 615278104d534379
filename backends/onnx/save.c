/* SPDX-License-Identifier: Apache-2.0
 * The output protocol: temporaries beside the target, everything written, read back and compared, the message scanned, then committed:
 * first the data file, then the model. The data file's name carries a digest of its bytes, so that a stop between the two
 * leaves the old pair usable. Invariant: nothing named by the caller is touched before the last step. */
#define _DEFAULT_SOURCE /* EDQUOT */
#include <errno.h>
#include <string.h>

#include "backends/onnx/export.h"
#include "backends/onnx/write.h"

enum { CHUNK = 1 << 16, THRESHOLD = 1024 };
#define FILE_MAX ((uint64_t)0x7fffffff)
#define INSIDE_MAX ((uint64_t)1800 << 20)

typedef struct target { /* one file being written */
  qcc_context *cx;
  const char *path;
  void *file;
  uint64_t at;
  uint8_t *chunk; /* for reading back */
} target;

static const qcc_io *io_of(const qcc_context *cx) { return &qcc_context_host(cx)->io; }

static const struct {
  int code;
  qcc_status status;
  const char *text;
} causes[] = {
    {ENOENT, QCC_IO, "its folder does not exist"},
    {ENOTDIR, QCC_IO, "its folder does not exist"},
    {EACCES, QCC_IO, "permission denied"},
    {EPERM, QCC_IO, "permission denied"},
    {EROFS, QCC_IO, "the file system is read-only"},
    {ENOSPC, QCC_IO, "the disk is full"},
    {EDQUOT, QCC_IO, "the disk quota is used up"},
    {EFBIG, QCC_IO, "the limit of file sizes"},
    {EISDIR, QCC_ARG, "it is a folder"},
    {ELOOP, QCC_ARG, "it is a symbolic link"},
    {EINVAL, QCC_ARG, "it is not a regular file"},
    {ENAMETOOLONG, QCC_ARG, "the name is too long"},
};

static qcc_status io_error(const target *t, const char *doing, int code) {
  qcc_loc loc = {.file = t->path};
  if (code == ENOMEM) return qcc_last_error(t->cx)[0] ? QCC_NOMEM : qcc_error(t->cx, QCC_NOMEM, "N-201", &loc, "out of memory");
  for (size_t k = 0; k < sizeof causes / sizeof causes[0]; k++) {
    if (causes[k].code == code) return qcc_error(t->cx, causes[k].status, "F-201", &loc, "cannot %s the output: %s", doing, causes[k].text);
  }
  return qcc_error(t->cx, QCC_IO, "F-201", &loc, "cannot %s the output: system error %d", doing, code);
}

static qcc_status differs(const target *t) {
  qcc_loc loc = {.file = t->path};
  return qcc_error(t->cx, QCC_IO, "F-202", &loc, "the output differs from what was written, near byte %llu", (unsigned long long)t->at);
}

/* ---- bytes */
static qcc_status write_bytes(void *user, const void *bytes, size_t n) {
  target *t = user;
  const qcc_io *io = io_of(t->cx);
  int code = io->write(io->user, t->file, bytes, n);
  return code ? io_error(t, "write", code) : QCC_OK;
}

static qcc_status read_back(target *t, void *to, size_t n) {
  const qcc_io *io = io_of(t->cx);
  for (size_t done = 0; done < n;) {
    size_t got = 0;
    int code = io->reread(io->user, t->file, t->at, (uint8_t *)to + done, n - done, &got);
    if (code) return io_error(t, "read back", code);
    if (got == 0 || got > n - done) return differs(t);
    done += got;
    t->at += got;
  }
  return QCC_OK;
}

/* A sink: the next bytes of the file must be these. */
static qcc_status compare_bytes(void *user, const void *bytes, size_t n) {
  target *t = user;
  for (size_t done = 0; done < n;) {
    size_t part = n - done < CHUNK ? n - done : CHUNK;
    QCC_TRY(read_back(t, t->chunk, part));
    if (memcmp(t->chunk, (const uint8_t *)bytes + done, part) != 0) return differs(t);
    done += part;
  }
  return QCC_OK;
}

/* The data file: tensors at their offsets, zeros between. */
static qcc_status emit_pieces(const qcc_onnx_writer *w, qcc_wire_sink sink, void *user) {
  static const uint8_t zeros[4096] = {0};
  uint64_t at = 0;
  for (size_t k = 0; k < w->pieces.n; k++) {
    const qcc_onnx_piece *p = &w->pieces.at[k];
    QCC_TRY(sink(user, zeros, (size_t)(p->offset - at)));
    QCC_TRY(sink(user, p->at, p->n));
    at = p->offset + p->n;
  }
  return QCC_OK;
}

/* ---- verification: what stands in the file, weights compared in passing, must pass the scan that guards the reader */
static void find_holes(const qcc_onnx_writer *w, qcc_pb_hole *to) {
  const qcc_wire *wire = &w->wire;
  size_t from = 0, offset = 0;
  for (size_t k = 0, next = 0; next < w->raws.n; k++) {
    const qcc_wire_slot *s = &wire->slots.at[k];
    offset += s->at - from;
    from = s->at;
    if (w->raws.at[next] == k) to[next++] = (qcc_pb_hole){.at = offset, .n = s->n};
    offset += s->blob ? s->n : qcc_wire_varint_size(s->n);
  }
}

static qcc_status read_message(const qcc_onnx_writer *w, target *t, const qcc_pb_hole *holes, uint8_t *to) {
  size_t at = 0;
  for (size_t k = 0; k < w->raws.n; k++) {
    QCC_TRY(read_back(t, to, holes[k].at - at));
    to += holes[k].at - at;
    QCC_TRY(compare_bytes(t, w->wire.slots.at[w->raws.at[k]].blob, holes[k].n));
    at = holes[k].at + holes[k].n;
  }
  return read_back(t, to, w->wire.total - at);
}

static qcc_status verify_with(const qcc_onnx_writer *w, target *t, qcc_pb_hole *holes, uint8_t *bytes) {
  find_holes(w, holes);
  QCC_TRY(read_message(w, t, holes, bytes));
  qcc_pb_scan scan = {.cx = w->cx, .file = t->path, .bytes = bytes, .n = w->wire.total, .holes = holes, .hole_count = w->raws.n};
  qcc_status st = qcc_pb_run_scan(&scan);
  return st == QCC_INVALID ? QCC_INTERNAL : st;
}

static qcc_status verify_message(const qcc_onnx_writer *w, target *t) {
  size_t n = w->wire.total;
  for (size_t k = 0; k < w->raws.n; k++) n -= w->wire.slots.at[w->raws.at[k]].n;
  qcc_pb_hole *holes = qcc_alloc_array(w->cx, w->raws.n + 1, sizeof *holes);
  uint8_t *bytes = qcc_alloc(w->cx, n + 1);
  qcc_status st = holes && bytes ? verify_with(w, t, holes, bytes) : QCC_NOMEM;
  qcc_free(w->cx, holes);
  qcc_free(w->cx, bytes);
  return st;
}

/* ---- one file */
static void abandon(target *t) {
  const qcc_io *io = io_of(t->cx);
  if (t->file) io->abandon(io->user, t->file);
  t->file = NULL;
}

static qcc_status write_file(target *t, const qcc_onnx_writer *w, bool data) {
  const qcc_io *io = io_of(t->cx);
  int code = io->create(io->user, t->path, &t->file);
  if (code) {
    t->file = NULL;
    return io_error(t, "create", code);
  }
  QCC_TRY(data ? emit_pieces(w, write_bytes, t) : qcc_wire_emit(&w->wire, write_bytes, t));
  t->chunk = qcc_alloc(t->cx, CHUNK);
  if (!t->chunk) return QCC_NOMEM;
  qcc_status st = data ? emit_pieces(w, compare_bytes, t) : verify_message(w, t);
  qcc_free(t->cx, t->chunk);
  t->chunk = NULL;
  return st;
}

static qcc_status commit(target *t) {
  const qcc_io *io = io_of(t->cx);
  int code = io->commit(io->user, t->file);
  t->file = NULL; /* closed also on failure */
  return code ? io_error(t, "finish", code) : QCC_OK;
}

/* ---- where tensors go */
static qcc_status add_weights(qcc_graph *g, void *user) {
  uint64_t *total = user;
  for (uint32_t k = 0; k < g->const_count; k++) *total += g->consts[k]->data->bytes;
  return QCC_OK;
}

static bool goes_outside(const qcc_graph *g, const qcc_onnx_write_options *o) {
  uint64_t total = 0;
  int external = o ? o->external : -1;
  if (external >= 0) return external > 0;
  return qcc_graph_walk((qcc_graph *)(uintptr_t)g, add_weights, &total) == QCC_OK && total > INSIDE_MAX;
}

static qcc_status hash_bytes(void *user, const void *bytes, size_t n) {
  qcc_sha1_add(user, bytes, n);
  return QCC_OK;
}

/* "<file name>.<digest>.data": a first build finds the pieces, their digest gives the name. */
static qcc_status name_data(qcc_onnx_writer *w, const char *path) {
  qcc_sha1 s;
  uint8_t digest[20];
  char hex[13];
  const char *slash = strrchr(path, '/');
  w->data_name = ".";
  QCC_TRY(qcc_onnx_build(w));
  qcc_sha1_init(&s);
  QCC_TRY(emit_pieces(w, hash_bytes, &s));
  qcc_sha1_done(&s, digest);
  bool any = w->pieces.n > 0;
  for (unsigned k = 0; k < 6; k++) qcc_format(hex + 2 * k, 3, "%02x", digest[k]);
  qcc_onnx_reset(w);
  w->data_name = any ? qcc_internf(w->cx, "%s.%s.data", slash ? slash + 1 : path, hex) : NULL;
  return any && !w->data_name ? QCC_NOMEM : QCC_OK;
}

static const char *beside(qcc_context *cx, const char *path, const char *name) {
  const char *slash = strrchr(path, '/');
  return slash ? qcc_internf(cx, "%.*s/%s", (int)(slash - path), path, name) : name;
}

/* ---- both files */
static qcc_status check_size(const qcc_onnx_writer *w, const char *path) {
  qcc_loc loc = {.file = path};
  if (w->wire.total <= FILE_MAX) return QCC_OK;
  return qcc_error(w->cx, QCC_LIMIT, "L-202", &loc, "the model would have %zu bytes, a file may have %llu: write external data",
                   w->wire.total, (unsigned long long)FILE_MAX);
}

static qcc_status write_both(qcc_onnx_writer *w, target *model, target *data) {
  QCC_TRY(check_size(w, model->path));
  if (data->path) QCC_TRY(write_file(data, w, true));
  QCC_TRY(write_file(model, w, false));
  if (data->path) QCC_TRY(commit(data));
  return commit(model);
}

static qcc_status save(qcc_onnx_writer *w, const char *path, const qcc_onnx_write_options *o) {
  target model = {.cx = w->cx, .path = path}, data = {.cx = w->cx};
  if (goes_outside(w->root, o)) {
    w->threshold = o && o->external_threshold ? o->external_threshold : THRESHOLD;
    QCC_TRY(name_data(w, path));
  }
  QCC_TRY(qcc_onnx_build(w));
  if (w->data_name) {
    data.path = beside(w->cx, path, w->data_name);
    if (!data.path) return QCC_NOMEM;
  }
  qcc_status st = write_both(w, &model, &data);
  abandon(&model);
  abandon(&data);
  return st;
}

/* ---- the doors */
qcc_status qcc_onnx_save(const qcc_graph *g, const char *path, const qcc_onnx_write_options *options) {
  qcc_onnx_writer w = {.cx = g->cx, .root = g};
  qcc_wire_init(&w.wire, g->cx);
  qcc_status st = save(&w, path, options);
  qcc_onnx_reset(&w);
  return st;
}

qcc_status qcc_onnx_save_memory(void **out, size_t *n, const qcc_graph *g) {
  qcc_onnx_writer w = {.cx = g->cx, .root = g};
  uint8_t *bytes = NULL;
  *out = NULL;
  *n = 0;
  qcc_wire_init(&w.wire, g->cx);
  qcc_status st = qcc_onnx_build(&w);
  if (st == QCC_OK) st = check_size(&w, g->file);
  if (st == QCC_OK) st = qcc_wire_flatten(&w.wire, &bytes, n);
  qcc_onnx_reset(&w);
  *out = bytes;
  return st;
}
