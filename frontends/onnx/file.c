/* SPDX-License-Identifier: Apache-2.0
 * From a path to a parsed message: map (or read) the file, scan, and let protobuf-c parse what the scan has written.
 * Invariant: protobuf-c sees canonical bytes without weights only, and allocates from one arena; nothing of it is freed singly. */
#include <errno.h>
#include <string.h>

#include "frontends/onnx/pb.h"

typedef struct mapping { /* what the buffer's release needs */
  qcc_context *cx;
  const void *at;
  size_t n;
} mapping;

static void unmap(void *user) {
  mapping *m = user;
  const qcc_io *io = &qcc_context_host(m->cx)->io;
  io->unmap(io->user, m->at, m->n);
  qcc_free(m->cx, m);
}

static void forget(void *user, const void *bytes, size_t n) {
  const mapping *m = user;
  const qcc_io *io = &qcc_context_host(m->cx)->io;
  if (io->forget) io->forget(io->user, bytes, n);
}

static qcc_buf *map_file(qcc_context *cx, void *handle, int *code) {
  const qcc_io *io = &qcc_context_host(cx)->io;
  mapping *m = qcc_alloc(cx, sizeof *m);
  if (!m) return NULL;
  m->cx = cx;
  *code = io->map && io->unmap ? io->map(io->user, handle, &m->at, &m->n) : ENOTSUP;
  if (*code) {
    qcc_free(cx, m);
    return NULL;
  }
  qcc_buf *b = qcc_buf_wrap(cx, m->at, m->n, unmap, m);
  if (b)
    qcc_buf_on_cold(b, forget);
  else
    unmap(m);
  return b;
}

static qcc_status read_file(qcc_buf **out, qcc_context *cx, void *handle, size_t n, const qcc_loc *loc) {
  const qcc_io *io = &qcc_context_host(cx)->io;
  qcc_buf *b = qcc_buf_new(cx, n);
  if (!b) return QCC_NOMEM;
  uint8_t *to = qcc_buf_unique(&b);
  for (size_t at = 0; at < n;) {
    size_t got = 0;
    int code = io->read(io->user, handle, at, to + at, n - at, &got);
    if (code || got == 0 || got > n - at) {
      qcc_buf_release(b);
      return qcc_error(cx, QCC_IO, "F-302", loc, code ? "cannot read the file: error %d" : "the file became shorter while it was read",
                       code);
    }
    at += got;
  }
  *out = b;
  return QCC_OK;
}

static qcc_status load_bytes(qcc_pb_file *f, void *handle, uint64_t size) {
  qcc_loc loc = {.file = f->name};
  uint64_t most = qcc_context_limits(f->cx)->model_bytes;
  int code = ENOTSUP;
  if (size > most || size > SIZE_MAX / 2) {
    return qcc_error(f->cx, QCC_LIMIT, "L-304", &loc, "the file has %llu bytes, at most %llu are allowed: raise --max-model-bytes",
                     (unsigned long long)size, (unsigned long long)most);
  }
  if (size > 0) f->bytes = map_file(f->cx, handle, &code);
  if (f->bytes) return QCC_OK;
  if (!code) return QCC_NOMEM;
  return read_file(&f->bytes, f->cx, handle, (size_t)size, &loc);
}

static const char *why(int code) {
  return code == ENOENT                     ? "it does not exist"
         : code == EACCES || code == EPERM  ? "permission denied"
         : code == EISDIR                   ? "it is a folder"
         : code == EMFILE || code == ENFILE ? "too many open files"
                                            : "it is not a readable regular file";
}

qcc_status qcc_pb_open(qcc_pb_file *f, qcc_context *cx, const char *path) {
  const qcc_io *io = &qcc_context_host(cx)->io;
  memset(f, 0, sizeof *f);
  f->cx = cx;
  f->name = path;
  qcc_arena_init(&f->arena, cx);
  void *handle = NULL;
  uint64_t size = 0;
  qcc_loc loc = {.file = path};
  int code = io->open(io->user, path, NULL, &handle, &size);
  if (code == ENOMEM && qcc_last_error(cx)[0]) return QCC_NOMEM;
  if (code) return qcc_error(cx, QCC_IO, "F-301", &loc, "cannot open the file: %s (error %d)", why(code), code);
  qcc_status st = load_bytes(f, handle, size);
  io->close(io->user, handle);
  return st;
}

void qcc_pb_close(qcc_pb_file *f) {
  qcc_buf_release(f->bytes);
  f->bytes = NULL;
  qcc_arena_fini(&f->arena);
}

/* ---- parse */
static void *pb_alloc(void *user, size_t n) {
  qcc_pb_file *f = user;
  void *p = qcc_arena_alloc(&f->arena, n);
  if (!p) f->failed = true;
  return p;
}

static void pb_free(void *user, void *p) {
  (void)user;
  (void)p;
}

static qcc_status unpack(qcc_pb_file *f, qcc_pb_root root, const uint8_t *bytes, size_t n, ProtobufCMessage **out) {
  ProtobufCAllocator allocator = {.alloc = pb_alloc, .free = pb_free, .allocator_data = f};
  const ProtobufCMessageDescriptor *type =
      root == QCC_PB_ROOT_MODEL ? &qcc__onnx__model_proto__descriptor : &qcc__onnx__tensor_proto__descriptor;
  qcc_loc loc = {.file = f->name};
  *out = protobuf_c_message_unpack(type, &allocator, n, bytes);
  if (*out) return QCC_OK;
  return f->failed ? QCC_NOMEM : qcc_error(f->cx, QCC_INVALID, "M-304", &loc, "the file is not a valid protobuf message");
}

qcc_status qcc_pb_parse(qcc_pb_file *f, qcc_pb_root root, ProtobufCMessage **out) {
  qcc_wire wire;
  qcc_wire_init(&wire, f->cx);
  qcc_pb_scan scan = {
      .cx = f->cx, .file = f->name, .bytes = qcc_buf_data(f->bytes), .n = qcc_buf_size(f->bytes), .root = root, .out = &wire};
  uint8_t *bytes = NULL;
  size_t n = 0;
  qcc_status st = qcc_pb_run_scan(&scan);
  if (st == QCC_OK) st = qcc_wire_flatten(&wire, &bytes, &n);
  qcc_wire_free(&wire);
  if (st == QCC_OK) st = unpack(f, root, bytes, n, out);
  qcc_free(f->cx, bytes);
  return st;
}

/* ---- other formats, by their first bytes */
typedef struct magic {
  size_t at, n;
  const char *bytes, *name;
} magic;

static const magic magics[] = {
    {0, 4, "\x89PNG", "a PNG image"},      {0, 3, "\xff\xd8\xff", "a JPEG image"}, {0, 4, "PK\003\004", "a zip archive"},
    {0, 4, "GGUF", "a GGUF model"},        {0, 4, "\177ELF", "a program (ELF)"},   {4, 4, "ORTM", "an ONNX Runtime flatbuffer"},
    {4, 4, "TFL3", "a TFLite model"},      {0, 4, "\x89HDF", "an HDF5 file"},      {0, 6, "\x93NUMPY", "a NumPy array"},
    {8, 2, "{\"", "a safetensors file"},   {0, 2, "\x80\002", "a Python pickle"},  {0, 2, "\x80\003", "a Python pickle"},
    {0, 2, "\x80\004", "a Python pickle"}, {0, 2, "\x80\005", "a Python pickle"},  {0, 2, "\037\213", "a gzip file"},
};

static bool is_plain_text(const uint8_t *bytes, size_t n) {
  size_t most = n < 256 ? n : 256;
  for (size_t k = 0; k < most; k++) {
    if ((bytes[k] < 32 || bytes[k] > 126) && bytes[k] != '\n' && bytes[k] != '\r' && bytes[k] != '\t') return false;
  }
  return n >= 4;
}

const char *qcc_pb_sniff(const uint8_t *bytes, size_t n) {
  for (size_t k = 0; k < sizeof magics / sizeof magics[0]; k++) {
    const magic *m = &magics[k];
    if (n >= m->at + m->n && !memcmp(bytes + m->at, m->bytes, m->n)) return m->name;
  }
  return n && is_plain_text(bytes, n) ? "a text file" : NULL;
}

/* ---- what the graph keeps unparsed */
qcc_status qcc_pb_keep(qcc_import *im, const ProtobufCMessage *m, qcc_extra *out) {
  size_t n = protobuf_c_message_get_packed_size(m);
  *out = (qcc_extra){0};
  if (n == 0) return QCC_OK;
  uint8_t *to = qcc_arena_alloc(im->root->arena, n);
  if (!to) return QCC_NOMEM;
  protobuf_c_message_pack(m, to);
  *out = (qcc_extra){.bytes = to, .n = n};
  return QCC_OK;
}
