/* SPDX-License-Identifier: Apache-2.0
 * .npy: versions 1 to 3, any numeric element type, either byte order, either axis order. Invariant: the header is text that is compared,
 * never executed (object arrays are refused), and shape, element type and number of bytes agree. Format: numpy.lib.format. */
#include <errno.h>
#include <string.h>

#include "frontends/data/source.h"
#include "ir/support/vec.h"

static qcc_loc at(const char *name) { return (qcc_loc){.file = name}; }

qcc_status qcc_reader_open(qcc_bytes_reader *r, qcc_context *cx, const char *path) {
  *r = (qcc_bytes_reader){.cx = cx, .name = path};
  const qcc_io *io = &qcc_context_host(cx)->io;
  int e = io->open(io->user, path, NULL, &r->file, &r->size);
  qcc_loc loc = at(path);
  if (e == ENOMEM) return QCC_NOMEM;
  return e ? qcc_error(cx, QCC_IO, "F-020", &loc, "cannot open the file (error %d: %s)", e, e == ENOENT ? "there is none" : "not readable")
           : QCC_OK;
}

void qcc_reader_close(qcc_bytes_reader *r) {
  const qcc_io *io = r->cx ? &qcc_context_host(r->cx)->io : NULL;
  if (r->file) io->close(io->user, r->file);
  r->file = NULL;
}

qcc_status qcc_reader_read(const qcc_bytes_reader *r, uint64_t offset, void *to, size_t n) {
  qcc_loc loc = at(r->name);
  if (offset > r->size || n > r->size - offset)
    return qcc_error(r->cx, QCC_DATA, "D-030", &loc, "the file ends after %llu bytes, %llu are needed", (unsigned long long)r->size,
                     (unsigned long long)(offset + n));
  if (!r->file) return memcpy(to, r->bytes + offset, n), QCC_OK;
  const qcc_io *io = &qcc_context_host(r->cx)->io;
  size_t got = 0;
  int e = io->read(io->user, r->file, r->start + offset, to, n, &got);
  if (e) return qcc_error(r->cx, QCC_IO, "F-021", &loc, "cannot read (error %d)", e);
  return got == n ? QCC_OK : qcc_error(r->cx, QCC_DATA, "D-031", &loc, "the file became shorter while it was read");
}

/* ---- header: a Python dict of three keys, read as text */

static const char *skip(const char *p, const char *set) { return p + strspn(p, set); }

/* Text behind "'key':", or NULL. */
static const char *value_of(const char *header, const char *key) {
  for (const char *p = header; (p = strstr(p, key)); p++) {
    const char *q = p + strlen(key);
    if (p > header && (p[-1] == '\'' || p[-1] == '"') && *q == p[-1]) {
      q = skip(q + 1, " ");
      if (*q == ':') return skip(q + 1, " ");
    }
  }
  return NULL;
}

static const struct {
  char text[4];
  qcc_dtype dtype;
} dtypes[] = {{"f4", QCC_F32}, {"f8", QCC_F64}, {"f2", QCC_F16}, {"u1", QCC_U8},  {"i1", QCC_S8},  {"u2", QCC_U16},
              {"i2", QCC_S16}, {"u4", QCC_U32}, {"i4", QCC_S32}, {"u8", QCC_U64}, {"i8", QCC_S64}, {"b1", QCC_BOOL}};

static bool parse_dtype(qcc_npy *h, const char *p) {
  if (!p || (*p != '\'' && *p != '"')) return false;
  char order = p[1];
  if (!strchr("<>|=", order)) return false;
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    if (strncmp(p + 2, dtypes[i].text, 2) != 0 || p[4] != *p) continue;
    h->type.dtype = dtypes[i].dtype;
    h->swap = order == '>';
    return true;
  }
  return false;
}

static bool parse_shape(qcc_npy *h, const char *p) {
  if (!p || *p != '(') return false;
  h->type.rank = 0;
  for (p = skip(p + 1, " "); *p != ')';) {
    int64_t dim = -1;
    size_t n = qcc_read_s64(p, strcspn(p, " ,)"), &dim);
    if (!n || dim < 0 || h->type.rank == QCC_MAX_RANK) return false;
    h->type.dim[h->type.rank++] = dim;
    p = skip(p + n, " ");
    if (*p == ',')
      p = skip(p + 1, " ");
    else if (*p != ')')
      return false;
  }
  return true;
}

static bool is_dict(const char *text) {
  size_t n = strlen(text);
  while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\n')) n--;
  return text[0] == '{' && text[n ? n - 1 : 0] == '}';
}

static qcc_status parse_header(qcc_npy *h, const qcc_bytes_reader *r, const char *text) {
  qcc_loc loc = at(r->name);
  const char *order = value_of(text, "fortran_order");
  size_t bytes = 0;
  if (!is_dict(text)) return qcc_error(r->cx, QCC_DATA, "D-036", &loc, "the .npy header is not a whole {...}");
  h->fortran = order && strncmp(order, "True", 4) == 0;
  if (!order || (!h->fortran && strncmp(order, "False", 5) != 0))
    return qcc_error(r->cx, QCC_DATA, "D-037", &loc, "the .npy header does not say whether fortran_order is True or False");
  if (!parse_dtype(h, value_of(text, "descr")))
    return qcc_error(r->cx, QCC_DATA, "D-033", &loc, "element type not supported; allowed are bool, integers and floats of 1 to 8 bytes");
  if (!parse_shape(h, value_of(text, "shape")) || !qcc_type_bytes(&h->type, &bytes))
    return qcc_error(r->cx, QCC_DATA, "D-034", &loc, "the .npy header has no valid shape of at most %d axes", QCC_MAX_RANK);
  if (h->offset > r->size || bytes > r->size - h->offset)
    return qcc_error(r->cx, QCC_DATA, "D-030", &loc, "the file ends early: the shape needs %zu bytes of data", bytes);
  if (bytes != r->size - h->offset)
    return qcc_error(r->cx, QCC_DATA, "D-035", &loc, "%llu bytes follow the data that the shape needs",
                     (unsigned long long)(r->size - h->offset - bytes));
  return QCC_OK;
}

qcc_status qcc_npy_header(qcc_npy *h, const qcc_bytes_reader *r) {
  uint8_t head[12] = {0};
  qcc_loc loc = at(r->name);
  *h = (qcc_npy){0};
  QCC_TRY(qcc_reader_read(r, 0, head, 10));
  if (memcmp(head, "\x93NUMPY", 6) != 0 || head[6] < 1 || head[6] > 3)
    return qcc_error(r->cx, QCC_DATA, "D-032", &loc, "not a .npy file of version 1 to 3");
  size_t fixed = head[6] == 1 ? 10 : 12;
  QCC_TRY(qcc_reader_read(r, 0, head, fixed));
  uint64_t n = (uint64_t)head[8] | (uint64_t)head[9] << 8;
  if (fixed == 12) n |= (uint64_t)head[10] << 16 | (uint64_t)head[11] << 24;
  if (n > qcc_context_limits(r->cx)->npy_header)
    return qcc_error(r->cx, QCC_LIMIT, "L-010", &loc, "the .npy header has %llu bytes; --limit max-npy-header=N allows more",
                     (unsigned long long)n);
  char *text = qcc_alloc(r->cx, (size_t)n + 1);
  if (!text) return QCC_NOMEM;
  text[n] = 0;
  h->offset = fixed + n;
  qcc_status st = qcc_reader_read(r, fixed, text, (size_t)n);
  if (st == QCC_OK) st = parse_header(h, r, text);
  qcc_free(r->cx, text);
  return st;
}

/* ---- data */

static void swap_bytes(uint8_t *p, size_t count, size_t size) {
  for (size_t i = 0; i < count; i++, p += size) {
    for (size_t a = 0, b = size - 1; a < b; a++, b--) {
      uint8_t t = p[a];
      p[a] = p[b];
      p[b] = t;
    }
  }
}

/* Column-major whole array to row-major: walks the row-major index, adds the column-major strides. */
static void reorder(uint8_t *to, const uint8_t *from, const qcc_type *t, size_t size) {
  int64_t index[QCC_MAX_RANK] = {0}, count = 0, at_from = 0, stride[QCC_MAX_RANK];
  int64_t step = 1;
  for (int i = 0; i < t->rank; i++) {
    stride[i] = step;
    step *= t->dim[i];
  }
  if (!qcc_type_count(t, &count)) return;
  for (int64_t i = 0; i < count; i++) {
    memcpy(to + (size_t)i * size, from + (size_t)at_from * size, size);
    for (int k = t->rank - 1; k >= 0; k--) {
      at_from += stride[k];
      if (++index[k] < t->dim[k]) break;
      at_from -= stride[k] * t->dim[k];
      index[k] = 0;
    }
  }
}

static qcc_status read_whole(qcc_tensor *out, const qcc_bytes_reader *r, const qcc_npy *h) {
  QCC_TRY(qcc_tensor_new(out, r->cx, &h->type));
  uint8_t *to = qcc_tensor_mut(out);
  qcc_status st = qcc_reader_read(r, h->offset, to, out->bytes);
  size_t size = qcc_dtype_bits(h->type.dtype) / 8;
  if (st == QCC_OK && h->swap) swap_bytes(to, out->bytes / size, size);
  if (st == QCC_OK && h->fortran && h->type.rank > 1) {
    qcc_tensor rows = {0};
    st = qcc_tensor_new(&rows, r->cx, &h->type);
    if (st == QCC_OK) reorder(qcc_tensor_mut(&rows), to, &h->type, size);
    qcc_tensor_release(out);
    *out = rows;
  }
  if (st != QCC_OK) qcc_tensor_release(out);
  return st;
}

static qcc_type sample_type(const qcc_type *all) {
  qcc_type one = *all;
  one.rank--;
  memmove(one.dim, all->dim + 1, (size_t)one.rank * sizeof *one.dim);
  return one;
}

qcc_status qcc_npy_slice(qcc_tensor *out, const qcc_bytes_reader *r, const qcc_npy *h, size_t index) {
  if (index == SIZE_MAX) return read_whole(out, r, h);
  qcc_npy one = *h;
  size_t bytes = 0;
  one.type = sample_type(&h->type);
  if (!qcc_type_bytes(&one.type, &bytes)) return QCC_DATA;
  one.offset += (uint64_t)index * bytes;
  return read_whole(out, r, &one);
}

qcc_status qcc_npy_read(qcc_tensor *out, qcc_context *cx, const char *path) {
  qcc_bytes_reader r;
  qcc_npy h;
  QCC_TRY(qcc_reader_open(&r, cx, path));
  qcc_status st = qcc_npy_header(&h, &r);
  if (st == QCC_OK) st = qcc_npy_slice(out, &r, &h, SIZE_MAX);
  qcc_reader_close(&r);
  return st;
}

/* ---- writing */

static const char *descr_of(qcc_dtype t) {
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) {
    if (dtypes[i].dtype == t) return dtypes[i].text;
  }
  return NULL;
}

static void header_text(qcc_text *text, const qcc_tensor *t) {
  qcc_text_addf(text, "{'descr': '%s%s', 'fortran_order': False, 'shape': (", qcc_dtype_bits(t->type.dtype) == 8 ? "|" : "<",
                descr_of(t->type.dtype));
  for (int i = 0; i < t->type.rank; i++)
    qcc_text_addf(text, "%lld%s", (long long)t->type.dim[i], i + 1 < t->type.rank || i == 0 ? ", " : "");
  qcc_text_addf(text, "), }");
  while ((text->n + 11) % 64 != 0 && !text->failed) qcc_text_add(text, " ", 1);
  qcc_text_add(text, "\n", 1);
}

static int write_all(const qcc_io *io, void *file, const qcc_text *text, const qcc_tensor *t) {
  uint8_t head[10] = {0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0, (uint8_t)(text->n & 0xff), (uint8_t)(text->n >> 8)};
  int e = io->write(io->user, file, head, sizeof head);
  if (!e) e = io->write(io->user, file, text->at, text->n);
  return e ? e : io->write(io->user, file, t->data, t->bytes);
}

qcc_status qcc_npy_write(qcc_context *cx, const qcc_tensor *t, const char *path) {
  qcc_loc loc = at(path);
  if (!descr_of(t->type.dtype))
    return qcc_error(cx, QCC_UNSUPPORTED, "U-020", &loc, ".npy has no element type for %s", qcc_dtype_name(t->type.dtype));
  qcc_text text = {.cx = cx};
  header_text(&text, t);
  const qcc_io *io = &qcc_context_host(cx)->io;
  void *file = NULL;
  int e = text.failed ? ENOMEM : io->create(io->user, path, &file);
  if (!e && (e = write_all(io, file, &text, t)))
    io->abandon(io->user, file);
  else if (!e)
    e = io->commit(io->user, file);
  bool failed = text.failed || e == ENOMEM;
  qcc_text_free(&text);
  if (failed) return QCC_NOMEM;
  return e ? qcc_error(cx, QCC_IO, "F-022", &loc, "cannot write (error %d)", e) : QCC_OK;
}

/* ---- as a source */

/* An array with fewer axes than the input, or of exactly the fixed batch that the input wants, is one sample. */
static bool is_one_sample(const qcc_type *have, const qcc_type *want) {
  if (have->rank == 0 || have->rank < want->rank) return true;
  return have->rank == want->rank && want->dim[0] > 1 && want->dim[0] == have->dim[0];
}

static qcc_status read_sample(qcc_source *s, size_t index, qcc_tensor *out) {
  qcc_npy_array *a = s->state;
  if (a->single) return qcc_npy_slice(out, &a->r, &a->h, SIZE_MAX);
  if (!a->h.fortran || a->h.type.rank == 1) return qcc_npy_slice(out, &a->r, &a->h, index);
  if (!a->rows.data) QCC_TRY(read_whole(&a->rows, &a->r, &a->h)); /* samples are scattered over a column-major file */
  qcc_type one = sample_type(&a->h.type);
  size_t bytes = 0;
  if (!qcc_type_bytes(&one, &bytes)) return QCC_DATA;
  return qcc_tensor_copy(out, s->cx, &one, (const uint8_t *)a->rows.data + index * bytes);
}

void qcc_npy_close(qcc_npy_array *a) {
  qcc_reader_close(&a->r);
  if (a->unpacked) qcc_free(a->r.cx, a->unpacked);
  qcc_tensor_release(&a->rows);
  *a = (qcc_npy_array){0};
}

static void close_array(qcc_source *s) {
  qcc_npy_close(s->state);
  qcc_free(s->cx, s->state);
  s->state = NULL;
}

void qcc_source_array(qcc_source *s, qcc_npy_array *a) {
  s->state = a;
  s->read = read_sample;
  s->close = close_array;
  a->single = is_one_sample(&a->h.type, &s->want);
  s->count = a->single ? SIZE_MAX : (size_t)a->h.type.dim[0];
}

qcc_status qcc_source_npy(qcc_source *s) {
  qcc_npy_array *a = qcc_zalloc_array(s->cx, 1, sizeof *a);
  if (!a) return QCC_NOMEM;
  qcc_status st = qcc_reader_open(&a->r, s->cx, s->path);
  if (st == QCC_OK) st = qcc_npy_header(&a->h, &a->r);
  if (st == QCC_OK) return qcc_source_array(s, a), QCC_OK;
  qcc_npy_close(a);
  qcc_free(s->cx, a);
  return st;
}
