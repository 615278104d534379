/* SPDX-License-Identifier: Apache-2.0
 * What LSTM, GRU and RNN share: reading the node, the activations, and the walk over directions and time (rnn.c); the cells are in
 * rnn_cell.c. */
#ifndef QCC_K_RNN_H
#define QCC_K_RNN_H

#include "backends/ref/kernels/integer.h"
#include "backends/ref/simd/simd.h"

typedef enum qcc_rnn_act {
  QCC_RNN_RELU,
  QCC_RNN_TANH,
  QCC_RNN_SIGMOID,
  QCC_RNN_AFFINE,
  QCC_RNN_LEAKY_RELU,
  QCC_RNN_THRESHOLDED_RELU,
  QCC_RNN_SCALED_TANH,
  QCC_RNN_HARD_SIGMOID,
  QCC_RNN_ELU,
  QCC_RNN_SOFTSIGN,
  QCC_RNN_SOFTPLUS
} qcc_rnn_act;

typedef struct qcc_rnn_fn {
  qcc_rnn_act act;
  float alpha, beta;
} qcc_rnn_fn;

enum { QCC_RNN_MAX_GATES = 4, QCC_RNN_FNS = 3 };

/* Weights as codes, for products with data that is quantized on the way (DynamicQuantizeLSTM). */
typedef struct qcc_rnn_codes {
  const int16_t *at;  /* [directions][depth][G*H], zero points taken off */
  const float *scale; /* [directions] or [directions][G*H] */
  int64_t scales;     /* of one direction */
} qcc_rnn_codes;

typedef struct qcc_rnn {
  int64_t steps, batch, input, hidden; /* sizes T, B, I, H */
  int gates, fns, directions;          /* gates: 4 LSTM (i o f c), 3 GRU (z r h), 1 RNN */
  bool in_codes;                       /* weights are qw, qr instead of w, r */
  qcc_rnn_codes qw, qr;
  bool reverse_first, linear_before_reset, input_forget, batch_first;
  float clip;                    /* infinity: none */
  qcc_rnn_fn fn[2][QCC_RNN_FNS]; /* per direction */
  const float *x, *w, *r, *b, *h0, *c0, *peep;
  const qcc_tensor *lens;
} qcc_rnn;

/* One direction while it runs. */
typedef struct qcc_rnn_run {
  const qcc_rnn *rnn;
  const qcc_rnn_fn *fn;
  const float *r, *rb, *peep; /* recurrence weights [G*H, H], recurrence bias [G*H] or NULL, peepholes [3*H] or NULL */
  float *gate;                /* [B, G*H]: input part on entry of a cell */
  float *extra;               /* [B, 3*H] scratch of GRU */
  const qcc_simd *simd;
  const struct qcc_pack *pack; /* of the recurrence weights, NULL: r; */
  const float *panels;         /* those of this direction */
  qcc_rnn_codes codes;         /* recurrence weights of this direction when rnn->in_codes */
  uint8_t *bytes;              /* room for its products: [rows * depth], */
  int16_t *centred;            /* the same, */
  int32_t *acc;                /* [rows, G*H] */
  float *h, *c;                /* state [B, H] */
  float *next;                 /* [B, H]: new h */
} qcc_rnn_run;

/* Advances `next` (and c) of all batch rows by one step. Rows past their sequence are dropped by the caller. */
typedef void (*qcc_rnn_cell)(const qcc_rnn_run *run);
void qcc_rnn_cell_lstm(const qcc_rnn_run *run);
void qcc_rnn_cell_gru(const qcc_rnn_run *run);
void qcc_rnn_cell_plain(const qcc_rnn_run *run);
/* to[rows, width] += x[rows, depth] * codes, with x in u8 codes of its own range. */
void qcc_rnn_dynamic(const qcc_rnn_run *run, const qcc_rnn_codes *codes, int64_t rows, int64_t depth, int64_t width, const float *x,
                     float *to);

#endif
