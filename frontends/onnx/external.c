/* SPDX-License-Identifier: Apache-2.0
 * External data: bytes of tensors in files beneath the model's folder.
 * Invariant: a location is checked as text, then opened by the host "beneath" the folder (no links, no way out), then read into
 * memory of our own, never mapped: the file may change under us without harm. At most QCC_DATA_FILES files are open. */
#include <errno.h>
#include <string.h>

#include "frontends/onnx/pb.h"

enum { LOCATION_BYTES = 4096, OVERLAP_FACTOR = 4, OVERLAP_FIXED = 64 << 20, CHUNK = 1 << 16 };

typedef struct place {
  const char *location, *checksum;
  uint64_t offset, length;
  bool has_offset, has_length;
} place;

static qcc_status refuse(qcc_import *im, const qcc_loc *where, const char *key, const char *value, const char *what) {
  return qcc_error(im->cx, QCC_INVALID, "M-330", where, "external data: %s '%s' %s", key, value, what);
}

static bool read_number(const char *text, uint64_t *out) {
  int64_t x = 0;
  size_t n = strlen(text);
  if (*text < '0' || *text > '9' || qcc_read_s64(text, n, &x) != n) return false;
  *out = (uint64_t)x;
  return true;
}

static qcc_status read_entry(qcc_import *im, const pb_entry *e, const qcc_loc *where, place *out) {
  const char *key = qcc_pb_str(e->key), *value = qcc_pb_str(e->value);
  bool offset = !strcmp(key, "offset"), length = !strcmp(key, "length");
  if (offset || length) {
    bool *has = offset ? &out->has_offset : &out->has_length;
    if (*has) return refuse(im, where, "the key", key, "is given twice");
    if (!read_number(value, offset ? &out->offset : &out->length)) return refuse(im, where, key, value, "is not a number of bytes");
    *has = true;
    return QCC_OK;
  }
  const char **text = !strcmp(key, "location") ? &out->location : !strcmp(key, "checksum") ? &out->checksum : NULL;
  if (!text) {
    qcc_warn(im->cx, "M-331", where, "external data: the key '%s' is not known and ignored", key);
    return QCC_OK;
  }
  if (*text) return refuse(im, where, "the key", key, "is given twice");
  *text = value;
  return QCC_OK;
}

/* Relative, forward slashes, no empty, "." or ".." component. */
static bool is_safe_path(const char *s) {
  size_t n = strlen(s);
  if (n == 0 || n > LOCATION_BYTES || s[0] == '/' || strchr(s, '\\') || (n > 1 && s[1] == ':')) return false;
  for (const char *at = s; at;) {
    const char *slash = strchr(at, '/');
    size_t part = slash ? (size_t)(slash - at) : strlen(at);
    if (part == 0 || (part == 1 && at[0] == '.') || (part == 2 && at[0] == '.' && at[1] == '.')) return false;
    at = slash ? slash + 1 : NULL;
  }
  return true;
}

static qcc_status read_place(qcc_import *im, const pb_tensor *p, const qcc_loc *where, place *out) {
  memset(out, 0, sizeof *out);
  for (size_t k = 0; k < p->n_external_data; k++) QCC_TRY(read_entry(im, p->external_data[k], where, out));
  if (!out->location) return qcc_error(im->cx, QCC_INVALID, "M-332", where, "external data without a location");
  if (!strncmp(out->location, "./", 2)) out->location += 2;
  if (is_safe_path(out->location)) return QCC_OK;
  return refuse(im, where, "location", out->location, "is not a plain path beneath the model's folder");
}

/* ---- files */
static void close_slot(qcc_import *im, qcc_data_file *d) {
  const qcc_io *io = &qcc_context_host(im->cx)->io;
  if (d->handle) io->close(io->user, d->handle);
  memset(d, 0, sizeof *d);
}

void qcc_import_close_data(qcc_import *im) {
  for (unsigned k = 0; k < QCC_DATA_FILES; k++) close_slot(im, &im->data[k]);
}

static qcc_status tell_open(qcc_import *im, const qcc_loc *where, const char *location, int code) {
  if (code == ENOMEM && qcc_last_error(im->cx)[0]) return QCC_NOMEM;
  bool io = code == ENOENT || code == EIO || code == EMFILE || code == ENFILE || code == EACCES || code == ENOMEM;
  if (io) {
    return qcc_error(im->cx, QCC_IO, "F-303", where, "external data: cannot open '%s': %s (error %d)", location,
                     code == ENOENT ? "it does not exist" : "the system refuses", code);
  }
  return qcc_error(im->cx, QCC_INVALID, "M-333", where,
                   "external data: '%s' is not a regular file beneath the model's folder, free of links (error %d)", location, code);
}

static qcc_status open_data(qcc_import *im, const qcc_loc *where, const char *location, qcc_data_file **out) {
  const qcc_io *io = &qcc_context_host(im->cx)->io;
  const char *name = qcc_intern(im->cx, location);
  if (!name) return QCC_NOMEM;
  for (unsigned k = 0; k < QCC_DATA_FILES; k++) {
    if (im->data[k].handle && im->data[k].location == name) {
      *out = &im->data[k];
      return QCC_OK;
    }
  }
  qcc_data_file *d = &im->data[im->data_next++ % QCC_DATA_FILES];
  close_slot(im, d);
  int code = io->open(io->user, location, im->base, &d->handle, &d->size);
  if (code) {
    d->handle = NULL;
    return tell_open(im, where, location, code);
  }
  d->location = name;
  *out = d;
  return QCC_OK;
}

static qcc_status read_all(qcc_import *im, const qcc_data_file *d, const qcc_loc *where, uint64_t at, uint8_t *to, size_t n) {
  const qcc_io *io = &qcc_context_host(im->cx)->io;
  while (n > 0) {
    size_t got = 0;
    int code = io->read(io->user, d->handle, at, to, n, &got);
    if (code || got == 0 || got > n) {
      return qcc_error(im->cx, QCC_IO, "F-304", where, "external data: cannot read '%s' (error %d%s)", d->location, code,
                       code ? "" : ": it became shorter");
    }
    at += got;
    to += got;
    n -= got;
  }
  return QCC_OK;
}

/* ---- checksum */
static qcc_status hash_file(qcc_import *im, qcc_data_file *d, const qcc_loc *where) {
  uint8_t *chunk = qcc_alloc(im->cx, CHUNK);
  if (!chunk) return QCC_NOMEM;
  qcc_sha1 s;
  qcc_status st = QCC_OK;
  qcc_sha1_init(&s);
  for (uint64_t at = 0; at < d->size && st == QCC_OK; at += CHUNK) {
    size_t n = d->size - at < CHUNK ? (size_t)(d->size - at) : CHUNK;
    st = read_all(im, d, where, at, chunk, n);
    if (st == QCC_OK) qcc_sha1_add(&s, chunk, n);
  }
  qcc_free(im->cx, chunk);
  qcc_sha1_done(&s, d->digest);
  d->hashed = st == QCC_OK;
  return st;
}

static bool same_digest(const uint8_t digest[20], const char *text) {
  if (strlen(text) != 40) return false;
  for (unsigned k = 0; k < 40; k++) {
    char c = text[k];
    unsigned x = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                 : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                        : 16;
    if (x != (k % 2 ? digest[k / 2] & 15u : digest[k / 2] >> 4)) return false;
  }
  return true;
}

static qcc_status check_sum(qcc_import *im, qcc_data_file *d, const qcc_loc *where, const char *expected) {
  if (!d->hashed) QCC_TRY(hash_file(im, d, where));
  if (same_digest(d->digest, expected)) return QCC_OK;
  return refuse(im, where, "checksum", expected, "is not the SHA-1 of the file");
}

/* ---- one tensor */
static qcc_status check_range(qcc_import *im, qcc_data_file *d, const place *at, const qcc_loc *where, size_t bytes) {
  if (at->has_length && at->length != bytes) {
    return qcc_error(im->cx, QCC_INVALID, "M-334", where, "external data: length %llu, type and dims need %zu",
                     (unsigned long long)at->length, bytes);
  }
  if (at->offset > d->size || bytes > d->size - at->offset) {
    return qcc_error(im->cx, QCC_INVALID, "M-335", where, "external data: %zu bytes at offset %llu are outside '%s' with %llu bytes", bytes,
                     (unsigned long long)at->offset, d->location, (unsigned long long)d->size);
  }
  d->used += bytes;
  if (d->used / OVERLAP_FACTOR <= d->size + OVERLAP_FIXED) return QCC_OK;
  return qcc_error(im->cx, QCC_LIMIT, "L-308", where, "external data: the tensors together are more than four times as large as '%s'",
                   d->location);
}

qcc_status qcc_import_external(qcc_import *im, const pb_tensor *p, const qcc_loc *where, size_t bytes, qcc_buf **out) {
  place at;
  qcc_data_file *d = NULL;
  QCC_TRY(read_place(im, p, where, &at));
  if (!im->base) return qcc_error(im->cx, QCC_INVALID, "M-336", where, "external data, but the model has no folder");
  QCC_TRY(open_data(im, where, at.location, &d));
  QCC_TRY(check_range(im, d, &at, where, bytes));
  if (at.checksum) QCC_TRY(check_sum(im, d, where, at.checksum));
  qcc_buf *b = qcc_buf_new(im->cx, bytes);
  uint8_t *to = b ? qcc_buf_unique(&b) : NULL;
  if (!to) return QCC_NOMEM;
  qcc_status st = read_all(im, d, where, at.offset, to, bytes);
  if (st != QCC_OK) {
    qcc_buf_release(b);
    return st;
  }
  *out = b;
  return QCC_OK;
}
