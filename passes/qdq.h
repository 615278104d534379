/* SPDX-License-Identifier: Apache-2.0
 * Emission of QuantizeLinear/DequantizeLinear pairs; shared by the parts of rewrite-qdq. */
#ifndef QCC_QDQ_H
#define QCC_QDQ_H

#include "ir/support/map.h"
#include "ir/support/vec.h"
#include "passes/pass.h"

typedef struct qcc_qdq { /* state of one run of rewrite-qdq */
  qcc_pass_cx *p;
  qcc_map scales, zeros;    /* text of the parameters -> shared constant */
  bool nbits;               /* products with 4-bit weights become MatMulNBits */
  QCC_VEC(qcc_node *) late; /* LSTM and Attention on run-time ranges: they take the form on codes when their weights are codes */
} qcc_qdq;

/* Constants of scale and zero point in `g`. Per tensor: rank 0, one constant for equal parameters, so that "same parameters" holds bit for
 * bit; per channel: rank 1, named after `base`. `scale_name`... NULL on allocation failure (sticky). */
qcc_value *qcc_qdq_scale(qcc_qdq *s, qcc_graph *g, const qcc_qparams *q, const char *base);
qcc_value *qcc_qdq_zero(qcc_qdq *s, qcc_graph *g, const qcc_qparams *q, const char *base);
/* DequantizeLinear of the value `codes` before `before`. */
qcc_value *qcc_qdq_dequantize(qcc_qdq *s, qcc_graph *g, qcc_node *before, qcc_value *codes, const qcc_qparams *q, const char *base);
/* Codes of a symmetric weight as floats without a DequantizeLinear: Cast, then Mul with the scales. */
qcc_value *qcc_qdq_cast(qcc_graph *g, qcc_node *before, qcc_value *codes, const qcc_qparams *q, const char *base);
/* Constant of the codes of `w`; `last`: its reader is about to go, so when it is the only one, `w` itself takes the codes and the floats
 * leave memory. */
qcc_status qcc_qdq_codes(qcc_value **out, qcc_graph *g, qcc_value *w, bool last, const qcc_qparams *q) QCC_MUST_USE;
/* `n` takes over attributes, outputs, origin and name of `old`, which goes. `n` NULL: no memory. */
qcc_status qcc_qdq_replace(qcc_node *old, qcc_node *n) QCC_MUST_USE;
/* A DequantizeLinear that nobody reads any more goes, with the codes when they are a constant of its own. */
qcc_status qcc_qdq_drop(qcc_node *dq) QCC_MUST_USE;
/* Why a weight of that rank is no constant of 8-bit codes with one scale, or one for each index of axis 1; NULL: it is. */
const char *qcc_qdq_weight_obstacle(const qcc_value *v, int rank);
typedef struct
    qcc_qdq_operands { /* of an integer product: codes with scale and zero point; the weight is [K, N], its scale a number or [N] */
  qcc_value *x, *x_scale, *x_zero, *w, *w_scale, *w_zero;
  qcc_value *bias; /* floats; NULL: none */
} qcc_qdq_operands;
/* The chain MatMulInteger (of a Conv: ConvInteger), Cast, Mul, perhaps Add before `n` and named after it; takes over what `n` gives. NULL: no
 * memory (sticky). */
qcc_value *qcc_qdq_product(qcc_node *n, const qcc_qdq_operands *o);
/* Operands of a Conv (qdq_conv.c): a weight of 8-bit codes whose zero points are all `zero`, scales and bias as vectors or numbers, all
 * constant, become what ConvInteger and the nodes behind it take. */
qcc_status qcc_qdq_conv_operands(qcc_qdq_operands *o, int32_t zero, qcc_graph *g) QCC_MUST_USE;
bool qcc_qdq_one_zero(const qcc_qparams *q); /* are all zero points equal? */
/* Can MatMul or Gemm `n` become such a chain? Its attributes alone. */
bool qcc_qdq_plain(const qcc_node *n);
/* A matrix of bytes the other way round. */
qcc_status qcc_qdq_transpose(qcc_value *codes) QCC_MUST_USE;
/* A FakeQuant in blocks, whose DequantizeLinear needs opset 21; could it and the one product behind it be MatMulNBits? */
bool qcc_qdq_in_blocks(const qcc_node *n);
bool qcc_qdq_nbits_fits(const qcc_node *fq);
/* Weights in blocks along K and the one product that reads them, as MatMulNBits has it (qdq_nbits.c). */
typedef struct qcc_nbits {
  qcc_node *user;          /* MatMul, Gemm */
  const qcc_tensor *codes; /* K runs along q.axis */
  qcc_qparams q;           /* count along both axes, in the order of `codes` */
  qcc_dtype scale_type;
  int64_t k, n, count; /* blocks along K */
  const char *base;    /* of names */
} qcc_nbits;
qcc_status qcc_nbits_replace(const qcc_nbits *b) QCC_MUST_USE;
/* The product whose weight `w` is, with K along `axis` of it; NULL: there is none, or `w` has other readers. */
qcc_node *qcc_nbits_product(const qcc_value *w, int axis);
bool qcc_nbits_has_zeros(const qcc_qparams *q);
/* Back: why not; the product and its DequantizeLinear, which is of opset 21. */
const char *qcc_nbits_coded_obstacle(const qcc_node *n);
qcc_status qcc_nbits_to_floats(qcc_node *n) QCC_MUST_USE;
/* Replaces it, perhaps together with the product that reads it. */
qcc_status qcc_qdq_blocks(qcc_qdq *s, qcc_node *fq, const qcc_qparams *q) QCC_MUST_USE;
/* LSTM with weights in codes (qdq_lstm.c): why `n` cannot take the other form, NULL: it can; and there and back. */
const char *qcc_lstm_obstacle(const qcc_node *n);
const char *qcc_lstm_coded_obstacle(const qcc_node *n);
qcc_status qcc_lstm_to_codes(qcc_node *n) QCC_MUST_USE;
qcc_status qcc_lstm_to_floats(qcc_node *n) QCC_MUST_USE;
/* Attention of com.microsoft (qdq_attention.c): why its weights cannot be taken as codes; to QAttention on data `o->x`, of whose fields those of
 * the weight are not read; and back. */
const char *qcc_attention_weight_obstacle(const qcc_node *n);
qcc_status qcc_attention_to_codes(qcc_node *n, const qcc_qdq_operands *o) QCC_MUST_USE;
const char *qcc_attention_coded_obstacle(const qcc_node *n);
qcc_status qcc_attention_to_floats(qcc_node *n) QCC_MUST_USE;
/* MatMul, Gemm, Conv and Attention on run-time ranges; removes the dynamic FakeQuant nodes. */
qcc_status qcc_qdq_dynamic(qcc_qdq *s, qcc_graph *g) QCC_MUST_USE;

#endif
