/* SPDX-License-Identifier: Apache-2.0
 * Element types, symbolic dims, tensor types, and the life of tensors. Sizes are computed here and nowhere else: packed
 * sub-byte types, overflow and empty tensors have one meaning. */
#include "ir/tensor.h"

#include <string.h>

#include "ir/support/internal.h"
#include "ir/support/map.h"
#include "ir/support/vec.h"

typedef struct dtype_row {
  const char *name;
  unsigned bits;
  qcc_kind kind;
} dtype_row;

static const dtype_row rows[QCC_DTYPE_COUNT] = {
#define DTYPE(id, name, onnx, bits, kind) {name, bits, QCC_KIND_##kind},
#include "ir/dtypes.def"
#undef DTYPE
};

#define DTYPE(id, name, onnx, bits, kind) _Static_assert((int)QCC_##id == (onnx), "rows stand in the order of their codes");
#include "ir/dtypes.def"
#undef DTYPE

static const dtype_row *row(qcc_dtype t) { return &rows[(unsigned)t < QCC_DTYPE_COUNT ? (unsigned)t : 0]; }

const char *qcc_dtype_name(qcc_dtype t) {
  if (t == QCC_SEQUENCE) return "sequence";
  if (t == QCC_OPTIONAL) return "optional";
  return (unsigned)t < QCC_DTYPE_COUNT ? rows[t].name : "?";
}
unsigned qcc_dtype_bits(qcc_dtype t) { return row(t)->bits; }
qcc_kind qcc_dtype_kind(qcc_dtype t) { return row(t)->kind; }
bool qcc_dtype_is_int(qcc_dtype t) { return row(t)->kind == QCC_KIND_UINT || row(t)->kind == QCC_KIND_SINT; }

bool qcc_dtype_is_f8(qcc_dtype t) { return t == QCC_F8E4M3FN || t == QCC_F8E4M3FNUZ || t == QCC_F8E5M2 || t == QCC_F8E5M2FNUZ; }

qcc_dtype qcc_dtype_from_name(const char *s) {
  for (unsigned i = 1; s && i < QCC_DTYPE_COUNT; i++)
    if (strcmp(rows[i].name, s) == 0) return (qcc_dtype)i;
  return QCC_NONE;
}

int64_t qcc_dtype_min(qcc_dtype t) {
  const dtype_row *r = row(t);
  return r->kind == QCC_KIND_SINT ? (int64_t)((uint64_t)INT64_MAX >> (64 - r->bits)) * -1 - 1 : 0;
}

int64_t qcc_dtype_max(qcc_dtype t) {
  const dtype_row *r = row(t);
  if (r->kind == QCC_KIND_BOOL) return 1;
  if (r->kind == QCC_KIND_SINT) return (int64_t)((uint64_t)INT64_MAX >> (64 - r->bits));
  if (r->kind != QCC_KIND_UINT) return 0;
  return r->bits == 64 ? INT64_MAX : (int64_t)(((uint64_t)1 << r->bits) - 1);
}

bool qcc_dtype_bytes(qcc_dtype t, int64_t count, size_t *bytes) {
  size_t bits;
  if (count < 0 || row(t)->bits == 0) return false;
  if (!qcc_mul_size((size_t)count, row(t)->bits, &bits)) {
    if (row(t)->bits < 8) return false;
    return qcc_mul_size((size_t)count, row(t)->bits / 8, bytes);
  }
  *bytes = bits / 8 + (bits % 8 != 0);
  return true;
}

/* ---- symbols: -2 is the first name, -3 the second, ... */

static bool add_symbol(qcc_context *cx, const char *name) {
  if (!cx->symbol_index) {
    qcc_map *m = qcc_alloc(cx, sizeof *m);
    if (!m) return false;
    qcc_map_init(m, cx);
    cx->symbol_index = m;
  }
  if (cx->symbol_count == cx->symbol_cap) {
    void *at = (void *)cx->symbols;
    if (!qcc_vec_grow(cx, &at, &cx->symbol_cap, sizeof cx->symbols[0])) return false;
    cx->symbols = at;
  }
  if (!qcc_map_put(cx->symbol_index, name, cx->symbol_count)) return false;
  cx->symbols[cx->symbol_count++] = name;
  return true;
}

int64_t qcc_symbol(qcc_context *cx, const char *name) {
  uintptr_t index = 0;
  const char *key = qcc_intern(cx, name);
  if (!key) return QCC_DIM_UNKNOWN;
  if (cx->symbol_index && qcc_map_get(cx->symbol_index, key, &index)) return -2 - (int64_t)index;
  return add_symbol(cx, key) ? -1 - (int64_t)cx->symbol_count : QCC_DIM_UNKNOWN;
}

const char *qcc_symbol_name(const qcc_context *cx, int64_t symbol) {
  if (symbol > -2 || symbol < -1 - (int64_t)cx->symbol_count) return NULL;
  return cx->symbols[-2 - symbol];
}

/* ---- types */

qcc_type qcc_type_unknown(void) { return (qcc_type){.dtype = QCC_NONE, .rank = -1}; }

qcc_type qcc_type_of(qcc_dtype t, int rank, const int64_t *dims) {
  qcc_type type = {.dtype = t, .rank = -1};
  if (rank < 0 || rank > QCC_MAX_RANK) return type;
  type.rank = (int8_t)rank;
  for (int i = 0; i < rank; i++) type.dim[i] = dims[i];
  return type;
}

bool qcc_type_is_static(const qcc_type *t) {
  if (t->dtype == QCC_NONE || t->rank < 0) return false;
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i] < 0) return false;
  return true;
}

bool qcc_type_equal(const qcc_type *a, const qcc_type *b) {
  if (a->dtype != b->dtype || a->rank != b->rank) return false;
  for (int i = 0; i < a->rank; i++)
    if (a->dim[i] != b->dim[i]) return false;
  return true;
}

bool qcc_type_count(const qcc_type *t, int64_t *count) {
  int64_t n = 1;
  if (!qcc_type_is_static(t)) return false;
  for (int i = 0; i < t->rank; i++)
    if (t->dim[i] == 0) {
      *count = 0;
      return true;
    }
  for (int i = 0; i < t->rank; i++)
    if (!qcc_mul_s64(n, t->dim[i], &n)) return false;
  *count = n;
  return true;
}

bool qcc_type_bytes(const qcc_type *t, size_t *bytes) {
  int64_t count = 0;
  return qcc_type_count(t, &count) && qcc_dtype_bytes(t->dtype, count, bytes);
}

/* ---- tensors */

qcc_status qcc_tensor_new(qcc_tensor *t, qcc_context *cx, const qcc_type *type) {
  size_t n;
  *t = (qcc_tensor){0};
  if (!qcc_type_is_static(type) || qcc_dtype_bits(type->dtype) == 0)
    return qcc_error(cx, QCC_INTERNAL, "I-001", NULL, "a tensor of type %s without a fixed shape was asked for",
                     qcc_dtype_name(type->dtype));
  if (!qcc_type_bytes(type, &n) || n > qcc_context_limits(cx)->tensor_bytes)
    return qcc_error(cx, QCC_LIMIT, "L-001", NULL, "a tensor is larger than %llu bytes; --max-tensor-bytes raises the limit",
                     (unsigned long long)qcc_context_limits(cx)->tensor_bytes);
  qcc_buf *b = qcc_buf_new(cx, n ? n : 1);
  if (!b) return QCC_NOMEM;
  *t = (qcc_tensor){.type = *type, .data = qcc_buf_data(b), .bytes = n, .buf = b};
  return QCC_OK;
}

qcc_status qcc_tensor_copy(qcc_tensor *t, qcc_context *cx, const qcc_type *type, const void *bytes) {
  QCC_TRY(qcc_tensor_new(t, cx, type));
  if (t->bytes) memcpy(qcc_tensor_mut(t), bytes, t->bytes);
  return QCC_OK;
}

qcc_status qcc_tensor_new_bytes(qcc_tensor *t, qcc_context *cx, const qcc_type *type, size_t n) {
  *t = (qcc_tensor){0};
  if (n > qcc_context_limits(cx)->tensor_bytes)
    return qcc_error(cx, QCC_LIMIT, "L-001", NULL, "a tensor is larger than %llu bytes; --max-tensor-bytes raises the limit",
                     (unsigned long long)qcc_context_limits(cx)->tensor_bytes);
  qcc_buf *b = qcc_buf_new(cx, n ? n : 1);
  if (!b) return QCC_NOMEM;
  *t = (qcc_tensor){.type = *type, .data = qcc_buf_data(b), .bytes = n, .buf = b};
  return QCC_OK;
}

void *qcc_tensor_mut(qcc_tensor *t) {
  if (!t->buf || qcc_tensor_is_list(t)) return NULL;
  /* a tensor may show a part of its buffer: keep the place */
  size_t offset = (size_t)((const char *)t->data - (const char *)qcc_buf_data(t->buf));
  char *p = qcc_buf_unique(&t->buf);
  if (!p) return NULL;
  t->data = p + offset;
  return p + offset;
}

void qcc_tensor_release(qcc_tensor *t) {
  if (!t) return;
  qcc_buf_release(t->buf);
  *t = (qcc_tensor){0};
}

qcc_tensor qcc_tensor_retain(const qcc_tensor *t) {
  qcc_buf_retain(t->buf);
  return *t;
}

int64_t qcc_tensor_count(const qcc_tensor *t) {
  int64_t n = 0;
  return qcc_type_count(&t->type, &n) ? n : 0;
}

/* ---- lists */
typedef struct list {
  qcc_context *cx;
  size_t n;
  qcc_tensor item[];
} list;

static void release_list(void *user) {
  list *l = user;
  for (size_t i = 0; i < l->n; i++) qcc_tensor_release(&l->item[i]);
  qcc_free(l->cx, l);
}

bool qcc_tensor_is_list(const qcc_tensor *t) { return t->type.dtype == QCC_SEQUENCE || t->type.dtype == QCC_OPTIONAL; }

const qcc_tensor *qcc_tensor_items(const qcc_tensor *t) { return t->data; }

static list *new_list(qcc_context *cx, size_t n) {
  size_t bytes;
  if (!qcc_mul_size(n, sizeof(qcc_tensor), &bytes) || !qcc_add_size(bytes, sizeof(list), &bytes)) bytes = SIZE_MAX;
  list *l = qcc_alloc(cx, bytes);
  if (l) *l = (list){.cx = cx, .n = n};
  return l;
}

qcc_status qcc_tensor_list(qcc_tensor *t, qcc_context *cx, qcc_dtype kind, qcc_tensor *items, size_t n) {
  list *l = new_list(cx, n);
  *t = (qcc_tensor){0};
  qcc_buf *b = l ? qcc_buf_wrap(cx, l->item, n * sizeof *items, release_list, l) : NULL;
  if (!b) {
    qcc_free(cx, l);
    for (size_t i = 0; i < n; i++) qcc_tensor_release(&items[i]);
    return QCC_NOMEM;
  }
  if (n) memcpy(l->item, items, n * sizeof *items);
  *t = (qcc_tensor){.type = {.dtype = kind, .rank = 1, .dim = {(int64_t)n}}, .data = l->item, .bytes = n * sizeof *items, .buf = b};
  return QCC_OK;
}

/* A borrowed list: its items are owned, only the array is new. */
static qcc_status share_list(qcc_tensor *to, qcc_context *cx, const qcc_tensor *from) {
  const size_t n = (size_t)qcc_tensor_count(from);
  qcc_tensor *items = qcc_alloc_array(cx, n + 1, sizeof *items);
  if (!items) return QCC_NOMEM;
  for (size_t i = 0; i < n; i++) items[i] = qcc_tensor_retain(&qcc_tensor_items(from)[i]);
  qcc_status st = qcc_tensor_list(to, cx, from->type.dtype, items, n);
  qcc_free(cx, items);
  return st;
}

qcc_status qcc_tensor_share(qcc_tensor *to, qcc_context *cx, const qcc_tensor *from) {
  *to = (qcc_tensor){0};
  if (from->buf) {
    *to = qcc_tensor_retain(from);
    return QCC_OK;
  }
  if (qcc_tensor_is_list(from)) return share_list(to, cx, from);
  QCC_TRY(qcc_tensor_new_bytes(to, cx, &from->type, from->bytes));
  if (from->bytes) memcpy(qcc_tensor_mut(to), from->data, from->bytes);
  return QCC_OK;
}
