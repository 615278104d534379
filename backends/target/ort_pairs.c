/* SPDX-License-Identifier: Apache-2.0
 * Pairs of weights that x86 kernels before VNNI add in 16 bits: neighbours along K, which for Conv is [kernel position][input channel of the
 * group]. Data codes are 0..255; a pair can saturate when its positive or its negative parts sum to more than 128. */
#include "backends/target/ort_sim.h"

typedef enum layout { WINDOW, ROWS_ARE_K, BY_TRANS_B } layout;

static const struct {
  qcc_op op;
  int data, weight; /* inputs; data -1: floats that become u8 on the way */
  layout layout;
} products[] = {{QCC_OP_QLINEAR_CONV, 0, 3, WINDOW},
                {QCC_OP_MS_QLINEAR_CONV, 0, 3, WINDOW},
                {QCC_OP_QLINEAR_MATMUL, 0, 3, ROWS_ARE_K},
                {QCC_OP_MS_QGEMM, 0, 3, BY_TRANS_B},
                {QCC_OP_MATMUL_INTEGER, 0, 1, ROWS_ARE_K},
                {QCC_OP_MS_MATMUL_INTEGER_TO_FLOAT, 0, 1, ROWS_ARE_K},
                {QCC_OP_MS_DYNAMIC_QUANTIZE_MATMUL, -1, 1, ROWS_ARE_K},
                {QCC_OP_MS_QATTENTION, 0, 1, ROWS_ARE_K},
                {QCC_OP_MS_DYNAMIC_QUANTIZE_LSTM, -1, 1, ROWS_ARE_K},
                {QCC_OP_MS_DYNAMIC_QUANTIZE_LSTM, -1, 2, ROWS_ARE_K}};

typedef struct rows { /* element (b, r, outer, inner) of a weight, K = outer * inners + inner */
  int64_t blocks, count, outers, inners;
  int64_t block_step, row_step, outer_step, inner_step;
} rows;

static bool shape_rows(rows *r, const qcc_node *n, const qcc_type *t, layout how) {
  if (how == WINDOW) {
    if (t->rank < 3) return false;
    int64_t positions = 1;
    for (int k = 2; k < t->rank; k++) positions *= t->dim[k];
    if (t->dim[1] == 1 && t->dim[0] == qcc_attr_int(n, "group", 1)) return false; /* depthwise: exact */
    *r = (rows){1, t->dim[0], positions, t->dim[1], 0, t->dim[1] * positions, 1, positions};
    return true;
  }
  if (t->rank < 2) return false;
  const int64_t a = t->dim[t->rank - 2], b = t->dim[t->rank - 1];
  int64_t blocks = 1;
  for (int k = 0; k + 2 < t->rank; k++) blocks *= t->dim[k];
  const bool transposed = how == BY_TRANS_B && qcc_attr_int(n, "transB", 0);
  *r = transposed ? (rows){blocks, a, 1, b, a * b, b, 0, 1} : (rows){blocks, b, 1, a, a * b, 1, 0, b};
  return true;
}

static int above(int x, int y) { return (x > 0 ? x : 0) + (y > 0 ? y : 0); }

static void count_row(const int8_t *w, const rows *r, uint64_t *pairs, uint64_t *unsafe) {
  const int64_t depth = r->outers * r->inners;
  for (int64_t k = 0; k < depth; k += 2) {
    const int a = w[k / r->inners * r->outer_step + k % r->inners * r->inner_step];
    const int b = k + 1 < depth ? w[(k + 1) / r->inners * r->outer_step + (k + 1) % r->inners * r->inner_step] : 0;
    ++*pairs;
    *unsafe += above(a, b) > 128 || above(-a, -b) > 128;
  }
}

void qcc_pred_count_pairs(const qcc_node *n, uint64_t *pairs, uint64_t *unsafe) {
  *pairs = *unsafe = 0;
  for (size_t k = 0; k < sizeof products / sizeof *products; k++) {
    if (products[k].op != n->op) continue;
    const qcc_value *w = qcc_in(n, (uint32_t)products[k].weight);
    const qcc_value *x = products[k].data < 0 ? NULL : qcc_in(n, (uint32_t)products[k].data);
    rows r;
    if (!qcc_is_const(w) || w->type.dtype != QCC_S8 || (x && x->type.dtype != QCC_U8)) continue;
    if (!shape_rows(&r, n, &w->type, products[k].layout)) continue;
    const int8_t *codes = w->data->data;
    for (int64_t i = 0; i < r.blocks * r.count; i++)
      count_row(codes + i / r.count * r.block_step + i % r.count * r.row_step, &r, pairs, unsafe);
  }
}
