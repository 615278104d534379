/* SPDX-License-Identifier: Apache-2.0
 * TensorProto -> qcc_tensor. Raw data stays where it is in the mapped file; typed fields become our raw form.
 * Invariant: every size is checked against the dims before anything is allocated, and exactly one field may hold the data. */
#include <string.h>

#include "frontends/onnx/pb.h"

enum { RANK_LIMIT = 32 };

typedef enum store { IN_NONE, IN_F32, IN_S32, IN_S64, IN_F64, IN_U64, IN_TEXT, STORES } store;

/* The typed field that holds a dtype, and what a number in it may be. */
typedef struct typed {
  store in;
  int64_t lo, hi;
} typed;

static const typed typed_as[QCC_DTYPE_COUNT] = {
    [QCC_F32] = {IN_F32, 0, 0},          [QCC_C64] = {IN_F32, 0, 0},          [QCC_F64] = {IN_F64, 0, 0},
    [QCC_C128] = {IN_F64, 0, 0},         [QCC_S64] = {IN_S64, 0, 0},          [QCC_U64] = {IN_U64, 0, 0},
    [QCC_U32] = {IN_U64, 0, UINT32_MAX}, [QCC_STRING] = {IN_TEXT, 0, 0},      [QCC_S32] = {IN_S32, INT32_MIN, INT32_MAX},
    [QCC_S16] = {IN_S32, -32768, 32767}, [QCC_U16] = {IN_S32, 0, 65535},      [QCC_F16] = {IN_S32, 0, 65535},
    [QCC_BF16] = {IN_S32, 0, 65535},     [QCC_S8] = {IN_S32, -128, 127},      [QCC_U8] = {IN_S32, 0, 255},
    [QCC_BOOL] = {IN_S32, 0, 1},         [QCC_F8E4M3FN] = {IN_S32, 0, 255},   [QCC_F8E4M3FNUZ] = {IN_S32, 0, 255},
    [QCC_F8E5M2] = {IN_S32, 0, 255},     [QCC_F8E5M2FNUZ] = {IN_S32, 0, 255}, [QCC_F8E8M0] = {IN_S32, 0, 255},
    [QCC_U4] = {IN_S32, 0, 255},         [QCC_S4] = {IN_S32, 0, 255},         [QCC_F4E2M1] = {IN_S32, 0, 255},
    [QCC_U2] = {IN_S32, 0, 255},         [QCC_S2] = {IN_S32, 0, 255},
};

static const char *const store_names[STORES] = {"", "float_data", "int32_data", "int64_data", "double_data", "uint64_data", "string_data"};

typedef struct reading { /* one tensor on its way in */
  qcc_import *im;
  const pb_tensor *p;
  const qcc_loc *where;
  qcc_type type;
  int64_t count;
  size_t bytes; /* of the raw form; 0 for text */
} reading;

static qcc_status invalid(const reading *r, const char *what) { return qcc_error(r->im->cx, QCC_INVALID, "M-320", r->where, "%s", what); }

/* ---- raw */
bool qcc_pb_raw(const qcc_pb_file *f, const pb_tensor *p, size_t *at, size_t *n) {
  qcc_pb_ref ref;
  if (!p->has_raw_data || p->raw_data.len != sizeof ref) return false;
  memcpy(&ref, p->raw_data.data, sizeof ref);
  if (ref.n == 0 || ref.at > qcc_buf_size(f->bytes) || ref.n > qcc_buf_size(f->bytes) - ref.at) return false;
  *at = (size_t)ref.at;
  *n = (size_t)ref.n;
  return true;
}

void qcc_pb_unstrip(const qcc_pb_file *f, pb_tensor *p) {
  size_t at = 0, n = 0;
  if (!p || !p->has_raw_data) return;
  p->raw_data.data = NULL;
  p->raw_data.len = 0;
  if (!qcc_pb_raw(f, p, &at, &n)) return;
  p->raw_data.data = (uint8_t *)(uintptr_t)qcc_buf_data(f->bytes) + at; /* packed from, never written */
  p->raw_data.len = n;
}

/* The unused bits behind the last sub-byte element are not part of the tensor: make them 0. */
static qcc_status clear_padding(qcc_context *cx, qcc_tensor *t, int64_t count) {
  unsigned bits = qcc_dtype_bits(t->type.dtype);
  unsigned used = bits < 8 ? (unsigned)((uint64_t)count % (8 / bits)) * bits : 0;
  if (used == 0 || t->bytes == 0) return QCC_OK;
  uint8_t last = ((const uint8_t *)t->data)[t->bytes - 1];
  if (!(last >> used)) return QCC_OK;
  qcc_buf *own = qcc_buf_copy(cx, t->data, t->bytes);
  uint8_t *at = own ? qcc_buf_unique(&own) : NULL;
  if (!at) return QCC_NOMEM;
  at[t->bytes - 1] = (uint8_t)(last & ((1u << used) - 1));
  qcc_buf_release(t->buf);
  t->buf = own;
  t->data = at;
  return QCC_OK;
}

static qcc_status take_buffer(reading *r, qcc_buf *b, qcc_tensor *out) {
  if (!b) return QCC_NOMEM;
  *out = (qcc_tensor){.type = r->type, .data = qcc_buf_data(b), .bytes = qcc_buf_size(b), .buf = b};
  qcc_status st = clear_padding(r->im->cx, out, r->count);
  if (st != QCC_OK) qcc_tensor_release(out);
  return st;
}

static qcc_status import_raw(reading *r, size_t at, size_t n, qcc_tensor *out) {
  if (r->type.dtype == QCC_STRING) return invalid(r, "a string tensor with raw_data; strings stand in string_data");
  if (n != r->bytes) {
    return qcc_error(r->im->cx, QCC_INVALID, "M-321", r->where, "raw_data has %zu bytes, type and dims need %zu", n, r->bytes);
  }
  return take_buffer(r, qcc_buf_slice(r->im->file->bytes, at, n), out);
}

/* ---- typed fields */
static size_t given(const pb_tensor *p, store in) {
  switch (in) {
    case IN_F32: return p->n_float_data;
    case IN_S32: return p->n_int32_data;
    case IN_S64: return p->n_int64_data;
    case IN_F64: return p->n_double_data;
    case IN_U64: return p->n_uint64_data;
    case IN_TEXT: return p->n_string_data;
    default: return 0;
  }
}

static qcc_status import_text(reading *r, qcc_tensor *out) {
  size_t total = 0;
  for (size_t k = 0; k < r->p->n_string_data; k++) {
    size_t n = r->p->string_data[k].len;
    if (n > UINT32_MAX || !qcc_add_size(total, n + 4, &total)) return invalid(r, "the strings are too long");
  }
  qcc_buf *b = qcc_buf_new(r->im->cx, total ? total : 1);
  uint8_t *to = b ? qcc_buf_unique(&b) : NULL;
  if (!to) return QCC_NOMEM;
  for (size_t k = 0; k < r->p->n_string_data; k++) {
    uint32_t n = (uint32_t)r->p->string_data[k].len;
    memcpy(to, &n, 4);
    if (n) memcpy(to + 4, r->p->string_data[k].data, n);
    to += 4 + n;
  }
  *out = (qcc_tensor){.type = r->type, .data = qcc_buf_data(b), .bytes = total, .buf = b};
  return QCC_OK;
}

static qcc_status narrow_s32(reading *r, uint8_t *to, size_t n) {
  typed as = typed_as[r->type.dtype];
  unsigned width = qcc_dtype_bits(r->type.dtype) <= 8 ? 1 : qcc_dtype_bits(r->type.dtype) / 8;
  for (size_t k = 0; k < n; k++) {
    int32_t x = r->p->int32_data[k];
    if (x < as.lo || x > as.hi) {
      return qcc_error(r->im->cx, QCC_INVALID, "M-322", r->where, "int32_data[%zu] is %d; %s allows %lld..%lld", k, x,
                       qcc_dtype_name(r->type.dtype), (long long)as.lo, (long long)as.hi);
    }
    for (unsigned b = 0; b < width; b++) to[k * width + b] = (uint8_t)((uint32_t)x >> (8 * b));
  }
  return QCC_OK;
}

static qcc_status narrow_u64(reading *r, uint8_t *to, size_t n) {
  for (size_t k = 0; k < n; k++) {
    uint64_t x = r->p->uint64_data[k];
    if (x > UINT32_MAX) return invalid(r, "a number in uint64_data does not fit in u32");
    uint32_t y = (uint32_t)x;
    memcpy(to + 4 * k, &y, 4);
  }
  return QCC_OK;
}

static qcc_status fill_typed(reading *r, store in, uint8_t *to, size_t n) {
  switch (in) {
    case IN_F32: memcpy(to, r->p->float_data, n * 4); return QCC_OK;
    case IN_F64: memcpy(to, r->p->double_data, n * 8); return QCC_OK;
    case IN_S64: memcpy(to, r->p->int64_data, n * 8); return QCC_OK;
    case IN_S32: return narrow_s32(r, to, n);
    default: break;
  }
  if (r->type.dtype == QCC_U32) return narrow_u64(r, to, n);
  memcpy(to, r->p->uint64_data, n * 8);
  return QCC_OK;
}

static uint64_t numbers_needed(const reading *r) {
  if (r->type.dtype == QCC_C64 || r->type.dtype == QCC_C128) return (uint64_t)r->count * 2;
  return qcc_dtype_bits(r->type.dtype) < 8 && r->type.dtype != QCC_STRING ? r->bytes : (uint64_t)r->count;
}

static qcc_status import_typed(reading *r, qcc_tensor *out) {
  store in = typed_as[r->type.dtype].in;
  size_t n = given(r->p, in);
  if (n != numbers_needed(r)) {
    return qcc_error(r->im->cx, QCC_INVALID, "M-323", r->where, "%s has %zu numbers, type %s and dims need %llu", store_names[in], n,
                     qcc_dtype_name(r->type.dtype), (unsigned long long)numbers_needed(r));
  }
  if (in == IN_TEXT) return import_text(r, out);
  qcc_buf *b = qcc_buf_new(r->im->cx, r->bytes);
  uint8_t *to = b ? qcc_buf_unique(&b) : NULL;
  if (!to) return QCC_NOMEM;
  qcc_status st = n ? fill_typed(r, in, to, n) : QCC_OK;
  if (st != QCC_OK) {
    qcc_buf_release(b);
    return st;
  }
  return take_buffer(r, b, out);
}

/* ---- the whole */
static qcc_status read_type(reading *r, const int64_t *dims, size_t rank) {
  qcc_context *cx = r->im->cx;
  int32_t code = r->p->data_type;
  if (code <= 0) return qcc_error(cx, QCC_INVALID, "M-324", r->where, "data_type %d; allowed: 1..%d", code, QCC_DTYPE_COUNT - 1);
  if (code >= QCC_DTYPE_COUNT)
    return qcc_error(cx, QCC_UNSUPPORTED, "U-301", r->where, "data_type %d is not known; the newest is %d", code, QCC_DTYPE_COUNT - 1);
  if (rank > RANK_LIMIT) return qcc_error(cx, QCC_LIMIT, "L-305", r->where, "%zu dims, at most %d are allowed", rank, RANK_LIMIT);
  if (rank > QCC_MAX_RANK)
    return qcc_error(cx, QCC_UNSUPPORTED, "U-302", r->where, "%zu dims, at most %d are supported", rank, QCC_MAX_RANK);
  for (size_t k = 0; k < rank; k++) {
    if (dims[k] < 0) return qcc_error(cx, QCC_INVALID, "M-325", r->where, "dim %zu is %lld; allowed: 0 and up", k, (long long)dims[k]);
  }
  r->type = qcc_type_of((qcc_dtype)code, (int)rank, dims);
  bool fits = qcc_type_count(&r->type, &r->count);
  if (fits && r->type.dtype != QCC_STRING) fits = qcc_type_bytes(&r->type, &r->bytes);
  if (!fits) return invalid(r, "the product of the dims overflows");
  uint64_t most = qcc_context_limits(cx)->tensor_bytes;
  if (r->bytes > most || (uint64_t)r->count > most) {
    return qcc_error(cx, QCC_LIMIT, "L-306", r->where, "a tensor of %zu bytes, at most %llu are allowed: raise --max-tensor-bytes",
                     r->bytes, (unsigned long long)most);
  }
  return QCC_OK;
}

/* How many fields hold data, and whether one of them is a typed field of another dtype. */
static unsigned count_fields(const reading *r, bool raw, bool *wrong) {
  unsigned n = raw ? 1 : 0;
  *wrong = false;
  for (store in = IN_F32; in < STORES; in++) {
    if (!given(r->p, in)) continue;
    n++;
    if (in != typed_as[r->type.dtype].in) *wrong = true;
  }
  return n;
}

static qcc_status import_external(reading *r, unsigned fields, qcc_tensor *out) {
  qcc_buf *b = NULL;
  if (fields) return invalid(r, "the data is both external and in the file");
  if (r->type.dtype == QCC_STRING) return invalid(r, "a string tensor cannot be external");
  QCC_TRY(qcc_import_external(r->im, r->p, r->where, r->bytes, &b));
  return take_buffer(r, b, out);
}

qcc_status qcc_import_tensor(qcc_import *im, const pb_tensor *p, const qcc_loc *where, qcc_tensor *out) {
  reading r = {.im = im, .p = p, .where = where};
  size_t at = 0, n = 0;
  bool wrong;
  QCC_TRY(read_type(&r, p->dims, p->n_dims));
  if (p->segment) return invalid(&r, "tensors in segments are not allowed in a model");
  int location = p->has_data_location ? (int)p->data_location : 0;
  if (location != 0 && location != 1) return qcc_error(im->cx, QCC_INVALID, "M-326", where, "data_location %d; allowed: 0 or 1", location);
  bool raw = qcc_pb_raw(im->file, p, &at, &n);
  unsigned fields = count_fields(&r, raw, &wrong);
  if (location == 1) return import_external(&r, fields, out);
  if (fields > 1) return invalid(&r, "more than one field holds data");
  if (wrong)
    return qcc_error(im->cx, QCC_INVALID, "M-327", where, "the data of a %s tensor stands in %s or raw_data", qcc_dtype_name(r.type.dtype),
                     store_names[typed_as[r.type.dtype].in]);
  return raw ? import_raw(&r, at, n, out) : import_typed(&r, out);
}

qcc_status qcc_import_tensor_rest(qcc_import *im, const pb_tensor *p, qcc_extra *out) {
  pb_tensor rest = *p;
  rest.n_dims = rest.n_float_data = rest.n_int32_data = rest.n_string_data = rest.n_int64_data = rest.n_double_data = rest.n_uint64_data =
      0;
  rest.n_external_data = 0;
  rest.has_data_type = rest.has_raw_data = rest.has_data_location = false;
  rest.name = NULL;
  return qcc_pb_keep(im, &rest.base, out);
}

/* ---- sparse: made dense, so that everything after the import sees a constant */
static qcc_status sparse_index(const reading *r, const qcc_tensor *indices, int64_t k, int64_t *out) {
  int rank = r->type.rank;
  bool linear = indices->type.rank == 1;
  int64_t at = linear ? qcc_tensor_get_s64(indices, k) : 0;
  for (int d = 0; d < rank && !linear; d++) {
    int64_t x = qcc_tensor_get_s64(indices, k * rank + d);
    if (x < 0 || x >= r->type.dim[d]) return invalid(r, "an index of a sparse tensor is outside its dims");
    at = at * r->type.dim[d] + x;
  }
  if (at < 0 || at >= r->count) return invalid(r, "an index of a sparse tensor is outside its dims");
  if (k > 0 && at <= *out) return invalid(r, "the indices of a sparse tensor are not sorted, or repeated");
  *out = at;
  return QCC_OK;
}

static qcc_status scatter(reading *r, const qcc_tensor *values, const qcc_tensor *indices, qcc_tensor *out) {
  int64_t n = values->type.dim[0], at = -1;
  size_t width = qcc_dtype_bits(r->type.dtype) / 8;
  qcc_buf *b = qcc_buf_new(r->im->cx, r->bytes);
  uint8_t *to = b ? qcc_buf_unique(&b) : NULL;
  if (!to) return QCC_NOMEM;
  memset(to, 0, r->bytes);
  for (int64_t k = 0; k < n; k++) {
    qcc_status st = sparse_index(r, indices, k, &at);
    if (st != QCC_OK) {
      qcc_buf_release(b);
      return st;
    }
    memcpy(to + (size_t)at * width, (const uint8_t *)values->data + (size_t)k * width, width);
  }
  return take_buffer(r, b, out);
}

static qcc_status check_sparse(reading *r, const pb_sparse *p, const qcc_tensor *values, const qcc_tensor *indices) {
  r->p = p->values;
  QCC_TRY(read_type(r, p->dims, p->n_dims));
  if (qcc_dtype_bits(r->type.dtype) < 8)
    return qcc_error(r->im->cx, QCC_UNSUPPORTED, "U-303", r->where, "a sparse tensor of %s", qcc_dtype_name(r->type.dtype));
  if (values->type.rank != 1 || indices->type.dtype != QCC_S64) return invalid(r, "a sparse tensor needs values of rank 1 and s64 indices");
  int64_t n = values->type.dim[0];
  bool fits = indices->type.rank == 1 ? indices->type.dim[0] == n
                                      : indices->type.rank == 2 && indices->type.dim[0] == n && indices->type.dim[1] == r->type.rank;
  if (!fits) return invalid(r, "the indices of a sparse tensor need the shape [count] or [count, rank]");
  uint64_t most = qcc_context_limits(r->im->cx)->parsed_factor * qcc_buf_size(r->im->file->bytes) + (64u << 20);
  if (r->bytes > most) {
    return qcc_error(r->im->cx, QCC_LIMIT, "L-307", r->where,
                     "a sparse tensor of %zu bytes when dense, at most %llu are allowed: raise --max-parsed-factor", r->bytes,
                     (unsigned long long)most);
  }
  return QCC_OK;
}

qcc_status qcc_import_sparse(qcc_import *im, const pb_sparse *p, const qcc_loc *where, qcc_tensor *out) {
  reading r = {.im = im, .where = where};
  qcc_tensor values = {0}, indices = {0};
  if (!p->values || !p->indices) return invalid(&r, "a sparse tensor without values or indices");
  qcc_status st = qcc_import_tensor(im, p->values, where, &values);
  if (st == QCC_OK) st = qcc_import_tensor(im, p->indices, where, &indices);
  if (st == QCC_OK) st = check_sparse(&r, p, &values, &indices);
  if (st == QCC_OK) st = scatter(&r, &values, &indices, out);
  qcc_tensor_release(&values);
  qcc_tensor_release(&indices);
  return st;
}
