/* SPDX-License-Identifier: Apache-2.0
 * .npz: a zip archive of .npy arrays, one per input. Stored arrays are read in place; deflated ones are unpacked once.
 * Invariant: an array is unpacked only after its header has said how large it is, and to not a byte more. */
#include <string.h>

#include "frontends/data/source.h"

/* The name of an array: of its entry without ".npy". */
static bool is_array(const qcc_zip_entry *e, const char *name) {
  size_t n = strlen(name);
  return strncmp(e->name, name, n) == 0 && (strcmp(e->name + n, ".npy") == 0 || e->name[n] == 0);
}

static const qcc_zip_entry *find(const qcc_zip *z, const char *name) {
  for (size_t i = 0; i < z->n; i++) {
    if (is_array(&z->at[i], name)) return &z->at[i];
  }
  return NULL;
}

/* By name of the input; else the only one for the only input; else arr_K for the K-th when there are as many arrays as inputs. */
static const qcc_zip_entry *choose(const qcc_zip *z, const qcc_source *s) {
  char name[32];
  const qcc_zip_entry *e = find(z, s->input);
  if (e || z->n != s->places) return e;
  if (z->n == 1) return &z->at[0];
  qcc_format(name, sizeof name, "arr_%u", s->place);
  return find(z, name);
}

qcc_status qcc_npz_feeds(bool *feeds, const qcc_source *s, const char *path) {
  qcc_zip z;
  QCC_TRY(qcc_zip_open(&z, s->cx, path));
  *feeds = choose(&z, s) != NULL;
  qcc_zip_close(&z);
  return QCC_OK;
}

/* Parse the header from the first bytes of a deflated entry. */
static qcc_status peek_header(qcc_npy *h, const qcc_zip *z, const qcc_zip_entry *e) {
  qcc_context *cx = z->r.cx;
  uint64_t most = qcc_context_limits(cx)->npy_header;
  size_t n = (size_t)e->size;
  if (e->size > 12 && e->size - 12 > most) n = (size_t)most + 12;
  uint8_t *head = qcc_alloc(cx, n + 1);
  if (!head) return QCC_NOMEM;
  qcc_status st = qcc_zip_unpack(z, e, head, n);
  /* The size is that of the whole array: the header is compared with it. Only the bytes that are here will be read. */
  qcc_bytes_reader r = {.cx = cx, .name = z->r.name, .bytes = head, .size = e->size};
  if (st == QCC_OK) st = qcc_npy_header(h, &r);
  qcc_free(cx, head);
  return st;
}

static qcc_status open_deflated(qcc_npy_array *a, qcc_zip *z, const qcc_zip_entry *e) {
  qcc_context *cx = z->r.cx;
  qcc_loc loc = {.file = z->r.name};
  QCC_TRY(peek_header(&a->h, z, e));
  if (e->size > qcc_context_limits(cx)->tensor_bytes || e->size > SIZE_MAX)
    return qcc_error(cx, QCC_LIMIT, "L-014", &loc, "array %-s unpacks to %llu bytes; --limit max-tensor-bytes=N allows more", e->name,
                     (unsigned long long)e->size);
  a->unpacked = qcc_alloc(cx, (size_t)e->size);
  if (!a->unpacked) return QCC_NOMEM;
  a->r = (qcc_bytes_reader){.cx = cx, .name = z->r.name, .bytes = a->unpacked, .size = e->size};
  return qcc_zip_unpack(z, e, a->unpacked, (size_t)e->size);
}

/* The file goes over from the archive to the array. */
static qcc_status open_stored(qcc_npy_array *a, qcc_zip *z, const qcc_zip_entry *e) {
  uint64_t offset = 0;
  QCC_TRY(qcc_zip_find(z, e, &offset));
  QCC_TRY(qcc_zip_check(z, e));
  a->r = z->r;
  a->r.start = offset;
  a->r.size = e->size;
  z->r.file = NULL;
  return qcc_npy_header(&a->h, &a->r);
}

qcc_status qcc_npz_open(qcc_npy_array *a, const qcc_source *s, const char *path) {
  qcc_zip z;
  *a = (qcc_npy_array){0};
  QCC_TRY(qcc_zip_open(&z, s->cx, path));
  const qcc_zip_entry *e = choose(&z, s);
  qcc_loc loc = {.file = path};
  qcc_status st = QCC_OK;
  if (!e)
    st = qcc_error(s->cx, QCC_DATA, "D-044", &loc, "none of its %zu arrays (first: %-s) is named like input \"%s\"", z.n,
                   z.n ? z.at[0].name : "", s->input);
  else
    st = e->method == 0 ? open_stored(a, &z, e) : open_deflated(a, &z, e);
  qcc_zip_close(&z);
  if (st != QCC_OK) qcc_npy_close(a);
  return st;
}

qcc_status qcc_source_npz(qcc_source *s) {
  qcc_npy_array *a = qcc_zalloc_array(s->cx, 1, sizeof *a);
  if (!a) return QCC_NOMEM;
  qcc_status st = qcc_npz_open(a, s, s->path);
  if (st == QCC_OK)
    qcc_source_array(s, a);
  else
    qcc_free(s->cx, a);
  return st;
}
