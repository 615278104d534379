/* SPDX-License-Identifier: Apache-2.0
 * Kernels: one function per operator on row-major tensors. The runner owns memory, order and threads; a kernel computes. */
#ifndef QCC_KERNEL_H
#define QCC_KERNEL_H

#include "ir/ir.h"

typedef struct qcc_kargs {
  qcc_context *cx;
  const qcc_node *node;
  int64_t opset; /* version of the node's domain */
  uint32_t in_count, out_count;
  const qcc_tensor *const *in; /* NULL: input left out; naturally aligned */
  qcc_tensor *out;             /* type static and data set: write there. data == NULL and type.dtype set or not: the size depends on values,
                                     call qcc_kout_alloc. type.dtype == QCC_NONE with want == false: nobody reads it, skip */
  const bool *want;            /* out_count: output is used */
  struct qcc_worker *worker;   /* the runner's */
} qcc_kargs;

/* Computes all wanted outputs. QCC_DATA for values that no model check can see (index out of range), QCC_UNSUPPORTED for dtypes or
 * attributes without code; both located by the runner when the kernel told nothing. */
typedef qcc_status (*qcc_kernel)(qcc_kargs *k);

#define OP(id, domain, name, since, in_min, in_max, out_max, shape, kern, role, exact) qcc_status qcc_kernel_##kern(qcc_kargs *k);
#include "ir/ops.def"
#undef OP
qcc_kernel qcc_kernel_of(qcc_op op); /* NULL: none */

/* Memory of output `i`, of this type (checked against limits). */
qcc_status qcc_kout_alloc(qcc_kargs *k, uint32_t i, const qcc_type *type) QCC_MUST_USE;
static inline void *qcc_kout(const qcc_kargs *k, uint32_t i) { return (void *)(uintptr_t)k->out[i].data; }
struct qcc_simd;
const struct qcc_simd *qcc_ksimd(const qcc_kargs *k); /* the loops that this worker runs */
/* Scratch of this worker, 64-byte aligned, valid until the kernel returns; several calls give disjoint blocks. NULL: no memory (told). */
void *qcc_kscratch(qcc_kargs *k, size_t bytes);
/* Run a body (If, Loop, Scan). `in`: body inputs in order; `out`: new owned tensors in order of the body's outputs. */
qcc_status qcc_krun(qcc_kargs *k, const qcc_graph *body, const qcc_tensor *in, qcc_tensor *out) QCC_MUST_USE;

#endif
