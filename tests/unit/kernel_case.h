/* SPDX-License-Identifier: Apache-2.0
 * One node, folded: what the kernel tests share. Everything a case makes is freed by done(), which also asserts that nothing leaks. */
#ifndef QCC_TEST_KERNEL_CASE_H
#define QCC_TEST_KERNEL_CASE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/ref.h"

enum { CASE_MAX = 16 };
typedef struct kernel_case {
  qcc_context *cx;
  qcc_graph *g;
  qcc_node *node;
  qcc_tensor in[CASE_MAX], out[CASE_MAX];
  bool has[CASE_MAX];
  uint32_t in_count, out_count;
  char error[256];
} kernel_case;

static inline uint32_t next_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}
static inline int64_t pick(uint32_t *state, int64_t lo, int64_t hi) { return lo + (int64_t)(next_random(state) % (uint32_t)(hi - lo + 1)); }
static inline float pick_float(uint32_t *state) { return (float)next_random(state) / 8388608.0f - 1.0f; }

static inline void case_log(void *user, qcc_severity severity, const char *line) {
  kernel_case *c = user;
  if (severity == QCC_ERROR) {
    strncpy(c->error, line, sizeof c->error - 1);
    c->error[sizeof c->error - 1] = 0;
  }
}

static inline void start(kernel_case *c, int64_t opset) {
  memset(c, 0, sizeof *c);
  const qcc_host host = {.log = case_log, .log_user = c};
  assert_int_equal(qcc_context_new(&c->cx, &host), QCC_OK);
  assert_int_equal(qcc_graph_new(&c->g, c->cx), QCC_OK);
  assert_int_equal(qcc_graph_set_opset(c->g, "", opset), QCC_OK);
}

/* Next input; the bytes may be filled through the returned pointer. */
static inline void *input(kernel_case *c, qcc_dtype t, int rank, const int64_t *dims) {
  qcc_type type = qcc_type_of(t, rank, dims);
  assert_int_equal(qcc_tensor_new(&c->in[c->in_count], c->cx, &type), QCC_OK);
  c->has[c->in_count] = true;
  return qcc_tensor_mut(&c->in[c->in_count++]);
}
static inline float *input_random(kernel_case *c, int rank, const int64_t *dims, uint32_t *seed) {
  float *x = input(c, QCC_F32, rank, dims);
  for (int64_t i = 0, n = qcc_tensor_count(&c->in[c->in_count - 1]); i < n; ++i) x[i] = pick_float(seed);
  return x;
}
static inline void input_s64(kernel_case *c, int64_t n, const int64_t *list) {
  memcpy(input(c, QCC_S64, 1, &n), list, (size_t)n * sizeof *list);
}
static inline void input_none(kernel_case *c) { c->has[c->in_count++] = false; }

/* After all inputs; attributes are set between this and fold_it(). */
static inline void node(kernel_case *c, qcc_op op, uint32_t outs) {
  qcc_value *in[CASE_MAX];
  const qcc_type unknown = qcc_type_unknown();
  for (uint32_t i = 0; i < c->in_count; ++i) in[i] = c->has[i] ? qcc_add_input(c->g, NULL, &unknown) : NULL;
  c->node = qcc_add_node(c->g, NULL, op, NULL, in, c->in_count, outs);
  c->out_count = outs;
  for (uint32_t i = 0; i < outs; ++i) qcc_add_output(c->g, qcc_out(c->node, i));
  assert_int_equal(qcc_graph_status(c->g), QCC_OK);
}

static inline qcc_status fold_it(kernel_case *c) {
  const qcc_tensor *in[CASE_MAX];
  for (uint32_t i = 0; i < c->in_count; ++i) in[i] = c->has[i] ? &c->in[i] : NULL;
  return qcc_ref_eval()->fold(c->cx, c->node, in, c->out);
}

static inline void done(kernel_case *c) {
  for (uint32_t i = 0; i < CASE_MAX; ++i) {
    qcc_tensor_release(&c->in[i]);
    qcc_tensor_release(&c->out[i]);
  }
  qcc_graph_free(c->g);
  qcc_context_free(c->cx);
}

static inline void assert_close(double have, double want, double tolerance) {
  if (!(fabs(have - want) <= tolerance * (1 + fabs(want)))) fail_msg("%.9g, expected %.9g", have, want);
}

#endif
