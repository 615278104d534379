/* SPDX-License-Identifier: Apache-2.0
 * Element types, tensor types, weight buffers and tensors. */
#ifndef QCC_TENSOR_H
#define QCC_TENSOR_H

#include "ir/support/context.h"

typedef enum qcc_dtype {
#define DTYPE(id, name, onnx, bits, kind) QCC_##id,
#include "ir/dtypes.def"
#undef DTYPE
  QCC_DTYPE_COUNT,
  QCC_SEQUENCE, /* lists of tensors: values of a run only, no element types; see qcc_tensor_list */
  QCC_OPTIONAL
} qcc_dtype; /* the values up to QCC_DTYPE_COUNT equal the ONNX codes (TensorProto.DataType) */

typedef enum qcc_kind {
  QCC_KIND_NONE,
  QCC_KIND_FLOAT,
  QCC_KIND_UINT,
  QCC_KIND_SINT,
  QCC_KIND_BOOL,
  QCC_KIND_STRING,
  QCC_KIND_COMPLEX
} qcc_kind;

const char *qcc_dtype_name(qcc_dtype t);      /* "f32"; "?" out of range */
qcc_dtype qcc_dtype_from_name(const char *s); /* QCC_NONE when unknown */
unsigned qcc_dtype_bits(qcc_dtype t);         /* 0: none, string, lists */
qcc_kind qcc_dtype_kind(qcc_dtype t);
bool qcc_dtype_is_int(qcc_dtype t); /* UINT or SINT */
bool qcc_dtype_is_f8(qcc_dtype t);  /* a number in 8 bits with an exponent and a mantissa */
int64_t qcc_dtype_min(qcc_dtype t); /* integer types; u64 saturates to INT64_MAX */
int64_t qcc_dtype_max(qcc_dtype t);

/* ---- types */
enum { QCC_MAX_RANK = 8 };
/* A dim is >= 0, or QCC_DIM_UNKNOWN, or a symbol (qcc_symbol), equal symbols meaning equal sizes. */
#define QCC_DIM_UNKNOWN ((int64_t)-1)

typedef struct qcc_type {
  qcc_dtype dtype; /* QCC_NONE: unknown */
  int8_t rank;     /* -1: unknown */
  int64_t dim[QCC_MAX_RANK];
} qcc_type;

int64_t qcc_symbol(qcc_context *cx, const char *name);              /* <= -2; the same name gives the same symbol; -1 when out of memory */
const char *qcc_symbol_name(const qcc_context *cx, int64_t symbol); /* NULL when `symbol` is not one */
qcc_type qcc_type_of(qcc_dtype t, int rank, const int64_t *dims);   /* rank 0..8 */
qcc_type qcc_type_unknown(void);
bool qcc_type_is_static(const qcc_type *t); /* dtype, rank and every dim known */
bool qcc_type_equal(const qcc_type *a, const qcc_type *b);
/* Elements and bytes; false when not static or when the product overflows int64/size_t. */
bool qcc_type_count(const qcc_type *t, int64_t *count);
bool qcc_type_bytes(const qcc_type *t, size_t *bytes);
bool qcc_dtype_bytes(qcc_dtype t, int64_t count, size_t *bytes); /* packed size of `count` elements */

/* ---- buffers: refcounted bytes, immutable once shared. Clones of a graph share them. */
typedef struct qcc_buf qcc_buf;
qcc_buf *qcc_buf_new(qcc_context *cx, size_t n); /* uninitialised, owned; NULL: no memory */
qcc_buf *qcc_buf_copy(qcc_context *cx, const void *bytes, size_t n);
/* Bytes owned by somebody else until `release(user)`, which runs when the last reference goes. Read-only. */
qcc_buf *qcc_buf_wrap(qcc_context *cx, const void *bytes, size_t n, void (*release)(void *user), void *user);
/* For wrapped bytes that can be had again, like a mapped file: told which part nobody holds or needs for now. */
void qcc_buf_on_cold(qcc_buf *b, void (*cold)(void *user, const void *bytes, size_t n));
void qcc_buf_cold(qcc_buf *b); /* the bytes of this buffer or window will hardly be read again */
/* Large owned bytes that only *b refers to move out of memory, when the host can do that. False: no memory, *b is as before. */
bool qcc_buf_spill(qcc_buf **b) QCC_MUST_USE;
qcc_buf *qcc_buf_slice(qcc_buf *parent, size_t offset, size_t n); /* keeps the parent alive */
qcc_buf *qcc_buf_retain(qcc_buf *b);
void qcc_buf_release(qcc_buf *b); /* NULL is fine; atomic */
const void *qcc_buf_data(const qcc_buf *b);
size_t qcc_buf_size(const qcc_buf *b);
/* Writable bytes: copies when shared or read-only, replacing *b. NULL: no memory. */
void *qcc_buf_unique(qcc_buf **b);

/* ---- tensors: a static type and its bytes (row-major, little-endian, sub-byte packed, any alignment when mapped:
 * read mapped weights through qcc_tensor_f32/s64 or memcpy). `buf` is NULL for borrowed memory.
 * String tensors: each element as u32 length then bytes. */
typedef struct qcc_tensor {
  qcc_type type;
  const void *data;
  size_t bytes;
  qcc_buf *buf;
} qcc_tensor;

qcc_status qcc_tensor_new(qcc_tensor *t, qcc_context *cx, const qcc_type *type) QCC_MUST_USE; /* owned, uninitialised, >= 1 byte */
qcc_status qcc_tensor_copy(qcc_tensor *t, qcc_context *cx, const qcc_type *type, const void *bytes) QCC_MUST_USE;
/* Owned with `n` bytes, for types whose size does not follow from the shape (strings). */
qcc_status qcc_tensor_new_bytes(qcc_tensor *t, qcc_context *cx, const qcc_type *type, size_t n) QCC_MUST_USE;
void *qcc_tensor_mut(qcc_tensor *t);    /* writable bytes of an owned tensor (copy on write); NULL: no memory */
void qcc_tensor_release(qcc_tensor *t); /* drops the buffer and zeroes the struct */
qcc_tensor qcc_tensor_retain(const qcc_tensor *t);
/* An own reference: retains what is owned, copies what is borrowed (strings and lists too). */
qcc_status qcc_tensor_share(qcc_tensor *to, qcc_context *cx, const qcc_tensor *from) QCC_MUST_USE;
int64_t qcc_tensor_count(const qcc_tensor *t);
/* Element `i` as a number, any numeric dtype (f16, bf16, f8, 4 bit included). */
double qcc_tensor_get(const qcc_tensor *t, int64_t i);
int64_t qcc_tensor_get_s64(const qcc_tensor *t, int64_t i);
void qcc_tensor_set(qcc_tensor *t, int64_t i, double x); /* owned tensors; rounds half to even, saturates integers */
/* All elements as f32 into `to` (count elements); vector speed for f32, f16, bf16, s8, u8. */
void qcc_tensor_read_f32(const qcc_tensor *t, float *to);
/* New owned tensor with the elements converted to `dtype` (ONNX Cast semantics, saturating for float8). */
qcc_status qcc_tensor_cast(qcc_tensor *out, qcc_context *cx, const qcc_tensor *t, qcc_dtype dtype) QCC_MUST_USE;

/* ---- sequences and optionals: type [n], data an array of n owned tensors that the buffer releases with its last reference; never
 * written, so sharing is free. An optional holds 0 or 1. */
bool qcc_tensor_is_list(const qcc_tensor *t);
/* Takes over the references in items[0..n) on success and on failure. */
qcc_status qcc_tensor_list(qcc_tensor *t, qcc_context *cx, qcc_dtype kind, qcc_tensor *items, size_t n) QCC_MUST_USE;
const qcc_tensor *qcc_tensor_items(const qcc_tensor *t); /* qcc_tensor_count of them */

/* Scalar conversions (IEEE round half to even). */
float qcc_f16_to_f32(uint16_t h);
uint16_t qcc_f32_to_f16(float x);
float qcc_bf16_to_f32(uint16_t h);
uint16_t qcc_f32_to_bf16(float x);

#endif
