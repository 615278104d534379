/* SPDX-License-Identifier: Apache-2.0
 * One operator on random data, computed in every way there is: planned with data as inputs, planned with weights as constants, folded, and
 * by the kernel alone on every instruction set. What the grids of test_grid*.c share. */
#ifndef QCC_TEST_GRID_CASE_H
#define QCC_TEST_GRID_CASE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/kernel.h"
#include "backends/ref/ref.h"
#include "backends/ref/run.h"

enum { GRID_INPUTS = 12 };
typedef struct grid_case {
  qcc_context *cx;
  qcc_op op;
  uint32_t count;
  qcc_tensor in[GRID_INPUTS]; /* data NULL: left out */
  void (*attrs)(qcc_node *n, const void *user);
  void (*check)(const qcc_tensor *y, const char *way, const void *user);
  const void *user;
} grid_case;

static inline uint32_t grid_random(uint32_t *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}
static inline int64_t grid_pick(uint32_t *state, int64_t lo, int64_t hi) {
  return lo + (int64_t)(grid_random(state) % (uint32_t)(hi - lo + 1));
}
static inline bool grid_chance(uint32_t *state, int percent) { return grid_pick(state, 1, 100) <= percent; }

static inline void *grid_input(grid_case *c, qcc_dtype t, int rank, const int64_t *dims) {
  const qcc_type type = qcc_type_of(t, rank, dims);
  assert_int_equal(qcc_tensor_new(&c->in[c->count], c->cx, &type), QCC_OK);
  return qcc_tensor_mut(&c->in[c->count++]);
}
static inline float *grid_floats(grid_case *c, int rank, const int64_t *dims, uint32_t *seed) {
  float *x = grid_input(c, QCC_F32, rank, dims);
  for (int64_t i = 0, n = qcc_tensor_count(&c->in[c->count - 1]); i < n; ++i) x[i] = (float)grid_random(seed) / 8388608.0f - 1.0f;
  return x;
}

static qcc_status grid_get(void *user, size_t index, qcc_tensor *inputs) {
  const grid_case *c = user;
  uint32_t at = 0;
  (void)index;
  for (uint32_t i = 0; i < c->count; ++i)
    if (c->in[i].data) inputs[at++] = qcc_tensor_retain(&c->in[i]);
  return QCC_OK;
}
static qcc_status grid_get_first(void *user, size_t index, qcc_tensor *inputs) {
  (void)index;
  inputs[0] = qcc_tensor_retain(&((const grid_case *)user)->in[0]);
  return QCC_OK;
}

typedef struct grid_way {
  const grid_case *c;
  const char *name;
} grid_way;
static qcc_status grid_take(void *user, size_t sample, const qcc_tensor *outputs) {
  const grid_way *w = user;
  (void)sample;
  w->c->check(&outputs[0], w->name, w->c->user);
  return QCC_OK;
}

static inline qcc_graph *grid_graph(const grid_case *c, bool constants, qcc_node **node) {
  qcc_value *in[GRID_INPUTS] = {NULL};
  qcc_graph *g = NULL;
  assert_int_equal(qcc_graph_new(&g, c->cx), QCC_OK);
  assert_int_equal(qcc_graph_set_opset(g, "", 21), QCC_OK);
  assert_int_equal(qcc_graph_set_opset(g, "com.microsoft", 1), QCC_OK);
  for (uint32_t i = 0; i < c->count; ++i) {
    if (!c->in[i].data) continue;
    qcc_tensor own = qcc_tensor_retain(&c->in[i]);
    in[i] = constants && i > 0 ? qcc_add_const(g, NULL, &own) : qcc_add_input(g, NULL, &c->in[i].type);
    if (!constants || i == 0) qcc_tensor_release(&own);
  }
  *node = qcc_add_node(g, NULL, c->op, NULL, in, c->count, 1);
  c->attrs(*node, c->user);
  qcc_add_output(g, qcc_out(*node, 0));
  assert_int_equal(qcc_graph_status(g), QCC_OK);
  return g;
}

static inline void grid_planned(const grid_case *c, bool constants) {
  grid_way way = {c, constants ? "planned, constant weights" : "planned"};
  const qcc_samples samples = {.count = 1, .get = constants ? grid_get_first : grid_get, .user = (void *)(uintptr_t)c};
  const qcc_hooks hooks = {.output = grid_take, .user = &way};
  const qcc_eval *e = qcc_ref_eval();
  qcc_runner *r = NULL;
  qcc_node *n;
  qcc_graph *g = grid_graph(c, constants, &n);
  assert_int_equal(e->open(&r, c->cx, g, NULL), QCC_OK);
  assert_int_equal(e->run(r, &samples, 0, 1, &hooks), QCC_OK);
  e->close(r);
  qcc_graph_free(g);
}

static inline void grid_log(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity == QCC_ERROR) fprintf(stderr, "%s\n", line);
}
/* Of a group of tests: the context is its state. */
static inline int grid_start(void **state) {
  const qcc_host host = {.log = grid_log};
  qcc_context *cx = NULL;
  const qcc_status st = qcc_context_new(&cx, &host);
  *state = cx;
  return (int)st;
}
static inline int grid_stop(void **state) {
  qcc_context_free(*state);
  return 0;
}

/* Leaves the inputs of the case released. */
static inline void grid_run(grid_case *c) {
  const qcc_tensor *in[GRID_INPUTS];
  qcc_tensor y;
  qcc_node *n;
  grid_planned(c, false);
  grid_planned(c, true);
  qcc_graph *g = grid_graph(c, false, &n);
  for (uint32_t i = 0; i < c->count; ++i) in[i] = c->in[i].data ? &c->in[i] : NULL;
  assert_int_equal(qcc_ref_eval()->fold(c->cx, n, in, &y), QCC_OK);
  c->check(&y, "folded", c->user);
  qcc_tensor_release(&y);
  for (unsigned isa = 0; qcc_simd_at(isa); ++isa) {
    qcc_worker w = {.cx = c->cx, .simd = qcc_simd_at(isa)};
    assert_int_equal(qcc_node_run(&w, n, qcc_kernel_of(c->op), in, NULL, &y), QCC_OK);
    c->check(&y, w.simd->name, c->user);
    qcc_tensor_release(&y);
    qcc_scratch_free(&w);
  }
  qcc_graph_free(g);
  for (uint32_t i = 0; i < c->count; ++i) qcc_tensor_release(&c->in[i]);
  c->count = 0;
}

#endif
