/* SPDX-License-Identifier: Apache-2.0
 * Zip archives, as far as .npz needs them: the central directory with zip64, entries stored or deflated. Local headers are only used to
 * find the bytes. Invariant: offsets and sizes are compared with the file before use, and no more is unpacked than was asked for.
 * Format: PKWARE APPNOTE 6.3. */
#include <string.h>

#include <zlib.h>

#include "frontends/data/source.h"

enum {
  END_BYTES = 22,
  END64_LOCATOR_BYTES = 20,
  END64_BYTES = 56,
  ENTRY_BYTES = 46,
  LOCAL_BYTES = 30,
  COMMENT_MOST = 65535,
  DIRECTORY_MOST = 1 << 24,
  CHUNK = 1 << 15,
  STORED = 0,
  DEFLATED = 8,
  ENCRYPTED = 1
};

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t get32(const uint8_t *p) { return get16(p) | (uint32_t)get16(p + 2) << 16; }
static uint64_t get64(const uint8_t *p) { return get32(p) | (uint64_t)get32(p + 4) << 32; }

static qcc_status broken(const qcc_bytes_reader *r, const char *what) {
  qcc_loc loc = {.file = r->name};
  return qcc_error(r->cx, QCC_DATA, "D-070", &loc, "not a whole zip archive: %s", what);
}

/* ---- directory */

typedef struct extent {
  uint64_t at, n;
} extent;

/* The end record stands before a comment of unknown length; the comment must reach to the end of the file. */
static bool find_end(const uint8_t *tail, size_t n, size_t *at) {
  for (size_t i = n - END_BYTES + 1; i-- > 0;) {
    if (get32(tail + i) == 0x06054b50 && get16(tail + i + 20) == n - i - END_BYTES) return *at = i, true;
  }
  return false;
}

static qcc_status read_end64(const qcc_bytes_reader *r, uint64_t end, extent *directory) {
  uint8_t locator[END64_LOCATOR_BYTES], record[END64_BYTES];
  if (end < END64_LOCATOR_BYTES) return broken(r, "its zip64 record is missing");
  QCC_TRY(qcc_reader_read(r, end - END64_LOCATOR_BYTES, locator, sizeof locator));
  if (get32(locator) != 0x07064b50) return broken(r, "its zip64 record is missing");
  QCC_TRY(qcc_reader_read(r, get64(locator + 8), record, sizeof record));
  if (get32(record) != 0x06064b50) return broken(r, "its zip64 record is not where it should be");
  *directory = (extent){.at = get64(record + 48), .n = get64(record + 40)};
  return QCC_OK;
}

static qcc_status find_directory(const qcc_bytes_reader *r, extent *directory) {
  size_t n = r->size < COMMENT_MOST + END_BYTES ? (size_t)r->size : COMMENT_MOST + END_BYTES, i = 0;
  if (n < END_BYTES) return broken(r, "it is too short");
  uint8_t *tail = qcc_alloc(r->cx, n);
  if (!tail) return QCC_NOMEM;
  qcc_status st = qcc_reader_read(r, r->size - n, tail, n);
  bool found = st == QCC_OK && find_end(tail, n, &i);
  uint64_t end = r->size - n + i;
  if (found) *directory = (extent){.at = get32(tail + i + 16), .n = get32(tail + i + 12)};
  bool large = found && (directory->at == 0xffffffff || directory->n == 0xffffffff || get16(tail + i + 10) == 0xffff);
  qcc_free(r->cx, tail);
  if (st != QCC_OK) return st;
  if (!found) return broken(r, "its directory is missing (was it cut?)");
  if (large) QCC_TRY(read_end64(r, end, directory));
  if (directory->at > end || directory->n > end - directory->at) return broken(r, "its directory is outside of the file");
  return directory->n <= DIRECTORY_MOST ? QCC_OK : broken(r, "its directory is larger than 16 MiB");
}

/* The zip64 field holds those of the three numbers that did not fit, in this order. */
static bool widen(qcc_zip_entry *e, const uint8_t *extra, size_t n) {
  uint64_t *const fields[] = {&e->size, &e->packed, &e->header};
  for (size_t at = 0; at + 4 <= n;) {
    size_t id = get16(extra + at), length = get16(extra + at + 2), from = at + 4;
    at = from + length;
    if (at > n) return false;
    if (id != 1) continue;
    for (int i = 0; i < 3; i++) {
      if (*fields[i] != 0xffffffff) continue;
      if (from + 8 > at) return false;
      *fields[i] = get64(extra + from);
      from += 8;
    }
    return true;
  }
  return true;
}

/* One entry at `p` of `n` bytes; returns its length, 0: damaged. Moves the name to where a terminator has room. */
static size_t parse_entry(qcc_zip_entry *e, uint8_t *p, size_t n) {
  if (n < ENTRY_BYTES || get32(p) != 0x02014b50) return 0;
  size_t name = get16(p + 28), extra = get16(p + 30), all = ENTRY_BYTES + name + extra + get16(p + 32);
  if (all > n) return 0;
  *e =
      (qcc_zip_entry){.flags = get16(p + 8), .method = get16(p + 10), .crc = get32(p + 16), .packed = get32(p + 20), .size = get32(p + 24)};
  e->header = get32(p + 42);
  if (!widen(e, p + ENTRY_BYTES + name, extra)) return 0;
  memmove(p, p + ENTRY_BYTES, name);
  p[name] = 0;
  e->name = (const char *)p;
  return all;
}

static qcc_status read_directory(qcc_zip *z) {
  extent d = {0};
  QCC_TRY(find_directory(&z->r, &d));
  z->directory = qcc_alloc(z->r.cx, (size_t)d.n + 1);
  z->at = qcc_alloc_array(z->r.cx, (size_t)d.n / ENTRY_BYTES + 1, sizeof *z->at);
  if (!z->directory || !z->at) return QCC_NOMEM;
  QCC_TRY(qcc_reader_read(&z->r, d.at, z->directory, (size_t)d.n));
  for (size_t at = 0, length; at < d.n; at += length) {
    length = parse_entry(&z->at[z->n], z->directory + at, (size_t)d.n - at);
    if (!length) return broken(&z->r, "its directory is damaged");
    z->n++;
  }
  return QCC_OK;
}

qcc_status qcc_zip_open(qcc_zip *z, qcc_context *cx, const char *path) {
  *z = (qcc_zip){0};
  QCC_TRY(qcc_reader_open(&z->r, cx, path));
  qcc_status st = read_directory(z);
  if (st != QCC_OK) qcc_zip_close(z);
  return st;
}

void qcc_zip_close(qcc_zip *z) {
  if (!z->r.cx) return;
  qcc_free(z->r.cx, z->directory);
  qcc_free(z->r.cx, z->at);
  qcc_reader_close(&z->r);
  *z = (qcc_zip){0};
}

/* ---- entries */

static qcc_status bad_entry(const qcc_zip *z, const qcc_zip_entry *e, const char *what) {
  qcc_loc loc = {.file = z->r.name};
  return qcc_error(z->r.cx, QCC_DATA, "D-071", &loc, "entry %-s of the archive %s", e->name, what);
}

qcc_status qcc_zip_find(const qcc_zip *z, const qcc_zip_entry *e, uint64_t *offset) {
  uint8_t local[LOCAL_BYTES];
  if (e->flags & ENCRYPTED) return bad_entry(z, e, "is encrypted");
  if (e->method != STORED && e->method != DEFLATED) return bad_entry(z, e, "is compressed by a method other than deflate");
  QCC_TRY(qcc_reader_read(&z->r, e->header, local, sizeof local));
  if (get32(local) != 0x04034b50) return bad_entry(z, e, "is not where the directory says");
  *offset = e->header + LOCAL_BYTES + get16(local + 26) + get16(local + 28);
  if (*offset > z->r.size || e->packed > z->r.size - *offset) return bad_entry(z, e, "reaches over the end of the file");
  if (e->method == STORED && e->packed != e->size) return bad_entry(z, e, "has two different sizes");
  return QCC_OK;
}

static voidpf take(voidpf cx, uInt count, uInt size) { return qcc_alloc_array(cx, count, size); }
static void give_back(voidpf cx, voidpf p) { qcc_free(cx, p); }

static uInt at_most(size_t n) { return n < CHUNK ? (uInt)n : (uInt)CHUNK; }

/* Inflate until `n` bytes are there or the stream ends. With `whole` the stream must end exactly there. */
static qcc_status inflate_to(const qcc_zip *z, const qcc_zip_entry *e, z_stream *s, uint64_t from, uint8_t *to, size_t n, bool whole) {
  uint8_t in[4096];
  uint8_t spare = 0;
  uint64_t packed = e->packed;
  size_t done = 0;
  for (int state = Z_OK; state != Z_STREAM_END;) {
    if (s->avail_in == 0 && packed > 0) {
      size_t k = packed < sizeof in ? (size_t)packed : sizeof in;
      QCC_TRY(qcc_reader_read(&z->r, from, in, k));
      from += k;
      packed -= k;
      s->next_in = in;
      s->avail_in = (uInt)k;
    }
    bool full = done == n;
    if (full && !whole) return QCC_OK;
    uInt room = full ? 1 : at_most(n - done);
    s->next_out = full ? &spare : to + done;
    s->avail_out = room;
    state = inflate(s, Z_NO_FLUSH);
    if (state == Z_MEM_ERROR) return QCC_NOMEM;
    if (state != Z_OK && state != Z_STREAM_END) return bad_entry(z, e, packed || s->avail_in ? "is damaged" : "ends early");
    if (full && s->avail_out == 0) return bad_entry(z, e, "unpacks to more than its size");
    if (!full) done += room - s->avail_out;
  }
  return done == n ? QCC_OK : bad_entry(z, e, "unpacks to less than its size");
}

qcc_status qcc_zip_unpack(const qcc_zip *z, const qcc_zip_entry *e, void *to, size_t n) {
  uint64_t offset = 0;
  QCC_TRY(qcc_zip_find(z, e, &offset));
  if (n > e->size) return bad_entry(z, e, "is shorter than its header says");
  if (e->method == STORED) {
    QCC_TRY(qcc_reader_read(&z->r, offset, to, n));
  } else {
    z_stream s = {.zalloc = take, .zfree = give_back, .opaque = z->r.cx};
    if (inflateInit2(&s, -MAX_WBITS) != Z_OK) return QCC_NOMEM;
    qcc_status st = inflate_to(z, e, &s, offset, to, n, n == e->size);
    inflateEnd(&s);
    QCC_TRY(st);
  }
  if (n == e->size && (uint32_t)crc32_z(crc32_z(0, NULL, 0), to, n) != e->crc) return bad_entry(z, e, "has a wrong checksum");
  return QCC_OK;
}

qcc_status qcc_zip_check(const qcc_zip *z, const qcc_zip_entry *e) {
  uint64_t offset = 0;
  QCC_TRY(qcc_zip_find(z, e, &offset));
  uint8_t *chunk = qcc_alloc(z->r.cx, CHUNK);
  if (!chunk) return QCC_NOMEM;
  qcc_status st = QCC_OK;
  uLong crc = crc32_z(0, NULL, 0);
  for (uint64_t done = 0; st == QCC_OK && done < e->size; done += CHUNK) {
    uint64_t n = e->size - done < CHUNK ? e->size - done : CHUNK;
    st = qcc_reader_read(&z->r, offset + done, chunk, (size_t)n);
    if (st == QCC_OK) crc = crc32_z(crc, chunk, (size_t)n);
  }
  qcc_free(z->r.cx, chunk);
  if (st == QCC_OK && (uint32_t)crc != e->crc) return bad_entry(z, e, "has a wrong checksum");
  return st;
}
