/* SPDX-License-Identifier: Apache-2.0
 * What the kernels share: outputs, messages, views as f32, integer lists, broadcasting and strided copies.
 * Invariant: a kernel states the type of every output itself; qcc_kx_out compares it with the planner's, so a wrong shape rule is an
 * error and never a write out of bounds. */
#ifndef QCC_KUTIL_H
#define QCC_KUTIL_H

#include <math.h>
#include <string.h>

#include "backends/ref/kernel.h"
#include "ir/check.h"

enum { QCC_KX_NO_INPUT = 0xffff };

/* Output `i` with this type: allocated when the planner left it open, compared else. *to is NULL when nobody wants it. */
qcc_status qcc_kx_out(qcc_kargs *k, uint32_t i, const qcc_type *t, void **to) QCC_MUST_USE;
/* Same, for kernels that compute in f32: a scratch block when the output has another float type; finish with qcc_kx_store_f32. */
qcc_status qcc_kx_out_f32(qcc_kargs *k, uint32_t i, const qcc_type *t, float **to) QCC_MUST_USE;
void qcc_kx_store_f32(qcc_kargs *k, uint32_t i, const float *from);
void qcc_kx_from_f32(qcc_dtype t, void *to, const float *from, int64_t n); /* f32 f64 f16 bf16; others go through doubles */

/* Input `i` as f32 (its own bytes when it is f32). NULL: no memory, told. */
const float *qcc_kx_f32(qcc_kargs *k, uint32_t i);
static inline const qcc_tensor *qcc_kx_in(const qcc_kargs *k, uint32_t i) { return i < k->in_count ? k->in[i] : NULL; }
static inline qcc_type qcc_kx_like(const qcc_type *t, qcc_dtype d) {
  qcc_type out = *t;
  out.dtype = d;
  return out;
}
/* For operators whose inputs all must be there: told when one is left out. */
qcc_status qcc_kx_need_all(qcc_kargs *k) QCC_MUST_USE;
bool qcc_kx_is_float(qcc_dtype t); /* f32 f64 f16 bf16 */
/* Bytes of one element; QCC_UNSUPPORTED (told) for strings and packed types. */
qcc_status qcc_kx_elem(qcc_kargs *k, qcc_dtype t, size_t *bytes) QCC_MUST_USE;
int64_t qcc_kx_product(const int64_t *dim, int from, int to); /* of dims [from, to); the dims of one tensor, so it cannot overflow */

/* Messages at this node. */
qcc_status qcc_kx_no_type(qcc_kargs *k, qcc_dtype t);
bool qcc_kx_folding(const qcc_kargs *k);
/* "Unsupported" is silent while folding: then the node simply stays. */
#define qcc_kx_fail(k, status, code, ...)           \
  ((status) == QCC_UNSUPPORTED && qcc_kx_folding(k) \
       ? (status)                                   \
       : qcc_error((k)->cx, (status), (code), &(qcc_loc[1]){qcc_node_loc((k)->node)}[0], __VA_ARGS__))

/* Integers of input `input` when it is there, else of the attribute. *n is -1 when both are absent. More than `max`: QCC_DATA. */
qcc_status qcc_kx_ints(qcc_kargs *k, uint32_t input, const char *attr, int64_t *to, int max, int *n) QCC_MUST_USE;
qcc_status qcc_kx_axis(qcc_kargs *k, int64_t axis, int rank, int *out) QCC_MUST_USE; /* told when outside */
/* Attribute value of a string option: index in `names` (NULL-terminated); told when unknown. */
qcc_status qcc_kx_choice(qcc_kargs *k, const char *attr, const char *const *names, int fallback, int *out) QCC_MUST_USE;

/* Dropout while training: random zeros with this probability, the others scaled up; output 1 is the mask. */
qcc_status qcc_kx_drop(qcc_kargs *k, double rate) QCC_MUST_USE;

/* ---- strings: elements as views, valid until the kernel returns */
qcc_status qcc_kx_text(qcc_kargs *k, const qcc_tensor *t, const qcc_bytes **to) QCC_MUST_USE;
qcc_status qcc_kx_put_text(qcc_kargs *k, uint32_t i, const qcc_type *t,
                           const qcc_bytes *from) QCC_MUST_USE; /* nothing when nobody wants it */
/* For operators that move elements whatever they are: numbers as they lie, strings as views of `elem` bytes each. What is put together for
 * output `i` (*to NULL: nobody wants it) goes where it belongs in qcc_kx_moved. */
qcc_status qcc_kx_movable(qcc_kargs *k, const qcc_tensor *x, const void **from, size_t *elem) QCC_MUST_USE;
qcc_status qcc_kx_move_to(qcc_kargs *k, uint32_t i, const qcc_type *t, void **to) QCC_MUST_USE;
qcc_status qcc_kx_moved(qcc_kargs *k, uint32_t i, const qcc_type *t, const void *to) QCC_MUST_USE;
int qcc_kx_compare_text(qcc_bytes a, qcc_bytes b);
/* Output `i` becomes a reference to `t`: no copy where it can be avoided. For values without a planned place (bodies, lists). */
qcc_status qcc_kx_pass_on(qcc_kargs *k, uint32_t i, const qcc_tensor *t) QCC_MUST_USE;

/* ---- broadcasting: up to 3 operands against one output; adjacent dims that move alike are merged, so that the
 * innermost stride of each operand is 0 or 1. */
enum { QCC_KX_OPERANDS = 3 };
typedef struct qcc_kx_bcast {
  int rank, operands; /* rank >= 1 */
  int64_t dim[QCC_MAX_RANK], stride[QCC_KX_OPERANDS][QCC_MAX_RANK];
  int64_t at[QCC_MAX_RANK], offset[QCC_KX_OPERANDS], done;
} qcc_kx_bcast;
/* False when an operand does not fit `out`. */
bool qcc_kx_bcast_init(qcc_kx_bcast *p, const qcc_type *out, const qcc_type *const *in, int operands);
/* Moves to the next run of dim[rank - 1] elements; false after the last. */
bool qcc_kx_bcast_next(qcc_kx_bcast *p);
/* Shape of two operands together, told when they do not fit. Before opset 7: the attributes broadcast and axis, which pad *b with ones. */
qcc_status qcc_kx_bcast_type(qcc_kargs *k, qcc_type *out, const qcc_type *a, qcc_type *b) QCC_MUST_USE;

/* Runs n elements; a step is 0 (one value for all) or 1. */
typedef void (*qcc_kx_pair_loop)(const struct qcc_simd *simd, int64_t n, const void *a, int64_t a_step, const void *b, int64_t b_step,
                                 void *out);
/* The loops of one operation by element type; f16 and bf16 go through f32. */
typedef struct qcc_kx_pair_loops {
  qcc_kx_pair_loop f32, f64, s8, s16, s32, s64, u8, u16, u32, u64;
} qcc_kx_pair_loops;
qcc_kx_pair_loop qcc_kx_loop_of(const qcc_kx_pair_loops *loops, qcc_dtype t); /* NULL: no arithmetic of this type */
typedef struct qcc_kx_operand {
  const qcc_type *type;
  const void *data;
} qcc_kx_operand;
/* `loop` over all runs of two operands with elements of `elem` bytes, into `out` of type *t, elements of `out_elem` bytes. */
qcc_status qcc_kx_pairs(qcc_kargs *k, qcc_kx_pair_loop loop, qcc_kx_operand a, qcc_kx_operand b, size_t elem, const qcc_type *t, void *out,
                        size_t out_elem) QCC_MUST_USE;

/* ---- strided copy of elements, any strides in bytes (0 and negative too), merged and blocked for transposition. */
typedef struct qcc_kx_move {
  int rank;
  int64_t dim[QCC_MAX_RANK], to[QCC_MAX_RANK], from[QCC_MAX_RANK]; /* strides in bytes */
} qcc_kx_move;
void qcc_kx_copy(void *to, const void *from, const qcc_kx_move *m, size_t elem);
void qcc_kx_strides(int64_t *stride, const int64_t *dim, int rank, size_t elem); /* row-major, in bytes */
/* Each of `batch` matrices transposed: [rows, columns] becomes [columns, rows]. */
void qcc_kx_turn(void *to, const void *from, int64_t batch, int64_t rows, int64_t columns, size_t elem);
/* Output [i, j, ...] is the element at the sum of offset[0][i], offset[1][j], ... (bytes): crops, mirrors, nearest neighbours. */
void qcc_kx_pick(void *to, const void *from, int rank, const int64_t *dim, const int64_t *const *offset, size_t elem);
void qcc_kx_fill(void *to, const void *value, size_t elem, int64_t n);

/* ---- single elements of any numeric type that fills bytes */
typedef enum qcc_kx_combine { QCC_KX_SET, QCC_KX_ADD, QCC_KX_MUL, QCC_KX_MAX, QCC_KX_MIN } qcc_kx_combine;
/* slot = slot (op) value; false when the type has no arithmetic. SET works for every type of whole bytes. */
bool qcc_kx_combine_at(qcc_dtype t, void *slot, const void *value, qcc_kx_combine op);
void qcc_kx_put_s64(qcc_dtype t, void *to, int64_t i, int64_t v); /* integers: low bits; bool: v != 0; floats: rounded */
void qcc_kx_put(qcc_dtype t, void *to, int64_t i, double v);      /* integers: truncated and saturated */

/* Element `i` of any numeric type as a number in the same order; NaN is above all. */
int64_t qcc_kx_key(const qcc_tensor *x, int64_t i);
/* Softmax of one row, in place too; the sum in double. */
void qcc_kx_softmax_row(const struct qcc_simd *simd, float *y, const float *x, int64_t n);

/* C[m,n] = (keep ? C : 0) + A[m,k] * B, row-major; B is [k,n], or [n,k] when `bt`; A is [k,m] when `at`. */
void qcc_kx_gemm(bool at, bool bt, int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c, bool keep);

#endif
