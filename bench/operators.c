/* SPDX-License-Identifier: Apache-2.0
 * operators [FILTER]: single operators on one thread, ours next to those of oneDNN, in GFLOP/s (a multiply-add is two operations).
 * Both compute the same numbers, which is checked; layouts, packing and allocation are outside the measurement; each figure is the best of
 * turns that alternate. The shapes are those of well-known networks. */
#define _POSIX_C_SOURCE 200809L
#include <dnnl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backends/ref/run.h"

enum { TURNS = 60 };
static const double TURN_SECONDS = 0.01;

typedef struct shape {
  const char *name;
  int64_t cin, size, cout, kernel, stride, group; /* of a convolution, "same" padding; size 0: a product of matrices */
  int64_t rows, depth, width;
} shape;

#define CONV(name, cin, size, cout, kernel, stride, group) \
  { name, cin, size, cout, kernel, stride, group, 0, 0, 0 }
#define GEMM(name, rows, depth, width) \
  { name, 0, 0, 0, 0, 0, 0, rows, depth, width }
static const shape shapes[] = {
    CONV("7x7 stem, 224", 3, 224, 64, 7, 2, 1),
    CONV("3x3 64, 56", 64, 56, 64, 3, 1, 1),
    CONV("3x3 128, 28", 128, 28, 128, 3, 1, 1),
    CONV("3x3 256, 14", 256, 14, 256, 3, 1, 1),
    CONV("3x3 512, 7", 512, 7, 512, 3, 1, 1),
    CONV("3x3 128 stride 2, 56", 128, 56, 128, 3, 2, 1),
    CONV("1x1 64 to 256, 56", 64, 56, 256, 1, 1, 1),
    CONV("1x1 256 to 64, 56", 256, 56, 64, 1, 1, 1),
    CONV("1x1 256 to 1024, 14", 256, 14, 1024, 1, 1, 1),
    CONV("1x1 2048 to 512, 7", 2048, 7, 512, 1, 1, 1),
    CONV("1x1 512 to 2048, 7", 512, 7, 2048, 1, 1, 1),
    CONV("1x1 16 to 96, 112", 16, 112, 96, 1, 1, 1),
    CONV("1x1 320 to 1280, 7", 320, 7, 1280, 1, 1, 1),
    CONV("depthwise 32, 112", 32, 112, 32, 3, 1, 32),
    CONV("depthwise 96 stride 2, 112", 96, 112, 96, 3, 2, 96),
    CONV("depthwise 144 stride 2, 56", 144, 56, 144, 3, 2, 144),
    CONV("depthwise 192 stride 2, 28", 192, 28, 192, 3, 2, 192),
    CONV("depthwise 144, 56", 144, 56, 144, 3, 1, 144),
    CONV("depthwise 192, 28", 192, 28, 192, 3, 1, 192),
    CONV("depthwise 384, 14", 384, 14, 384, 3, 1, 384),
    CONV("depthwise 960, 7", 960, 7, 960, 3, 1, 960),
    GEMM("matrix 1024 x 1024 x 1024", 1024, 1024, 1024),
    GEMM("matrix 128 x 768 x 768", 128, 768, 768),
    GEMM("matrix 128 x 768 x 3072", 128, 768, 3072),
    GEMM("matrix 128 x 3072 x 768", 128, 3072, 768),
    GEMM("matrix 128 x 64 x 128", 128, 64, 128),
    GEMM("vector 2048 to 1000", 1, 2048, 1000),
    GEMM("vector 25088 to 4096", 1, 25088, 4096),
};

typedef struct work {
  const shape *s;
  size_t inputs, weights, outputs, biases;
  double operations;
  float *x, *w, *b, *mine, *theirs; /* channels last; weights as ONNX has them */
  qcc_worker worker;
  qcc_conv conv;
  qcc_pack pack;
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_t primitive;
  dnnl_memory_t src, wei, bias, dst;
} work;

static void check(bool ok, const char *what) {
  if (ok) return;
  fprintf(stderr, "operators: %s failed\n", what);
  exit(1);
}

static float *floats(size_t n, uint32_t seed) {
  float *x = aligned_alloc(64, (n / 16 + 1) * 64);
  check(x != NULL, "allocation");
  for (size_t i = 0; i < n; ++i) {
    seed = seed * 1664525u + 1013904223u;
    x[i] = (float)(seed >> 8) / 8388608.0f - 1.0f;
  }
  return x;
}

static int64_t out_size(const shape *s) { return (s->size + s->stride - 1) / s->stride; }

static void make(work *k) {
  const shape *s = k->s;
  if (s->size) {
    const size_t in = (size_t)(s->size * s->size), out = (size_t)(out_size(s) * out_size(s));
    k->inputs = in * (size_t)s->cin;
    k->outputs = out * (size_t)s->cout;
    k->weights = (size_t)(s->cout * s->cin / s->group * s->kernel * s->kernel);
    k->biases = (size_t)s->cout;
    k->operations = 2 * (double)out * (double)k->weights;
  } else {
    k->inputs = (size_t)(s->rows * s->depth);
    k->outputs = (size_t)(s->rows * s->width);
    k->weights = (size_t)(s->depth * s->width);
    k->biases = (size_t)s->width;
    k->operations = 2 * (double)k->inputs * (double)s->width;
  }
  k->x = floats(k->inputs, 1), k->w = floats(k->weights, 2), k->b = floats(k->biases, 3);
  k->mine = floats(k->outputs, 4), k->theirs = floats(k->outputs, 5);
}

/* ---- ours */
static void make_ours(work *k) {
  const shape *s = k->s;
  if (s->size) {
    const int64_t pad = s->kernel / 2, out = out_size(s);
    k->conv = (qcc_conv){.batch = 1,
                         .in = {1, s->size, s->size},
                         .out = {1, out, out},
                         .kernel = {1, s->kernel, s->kernel},
                         .stride = {1, s->stride, s->stride},
                         .dilation = {1, 1, 1},
                         .pad = {0, pad, pad},
                         .cin = s->cin,
                         .cout = s->cout,
                         .group = s->group,
                         .depthwise = s->group > 1};
    check(qcc_conv_pack(&k->pack, k->worker.cx, k->worker.simd, &k->conv, k->w, k->b) == QCC_OK, "packing");
  } else {
    check(qcc_dense_pack(&k->pack, k->worker.cx, k->worker.simd, (size_t)s->depth, (size_t)s->width, k->w, false, 1, k->b) == QCC_OK,
          "packing");
  }
}

static void run_ours(work *k) {
  const qcc_scratch_mark mark = qcc_scratch_here(&k->worker);
  const qcc_status st = k->s->size ? qcc_conv_run(&k->worker, &k->conv, &k->pack, k->x, k->mine, NULL)
                                   : qcc_dense_run(&k->worker, &k->pack, (size_t)k->s->rows, k->x, k->mine, NULL);
  check(st == QCC_OK, "our operator");
  qcc_scratch_back(&k->worker, mark);
}

/* ---- oneDNN */
static void reorder(work *k, dnnl_memory_t from, dnnl_memory_t to) {
  const dnnl_memory_desc_t *a = NULL, *b = NULL;
  dnnl_primitive_desc_t pd = NULL;
  dnnl_primitive_t p = NULL;
  dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
  bool ok = dnnl_memory_get_memory_desc(from, &a) == dnnl_success && dnnl_memory_get_memory_desc(to, &b) == dnnl_success;
  ok = ok && dnnl_reorder_primitive_desc_create(&pd, a, k->engine, b, k->engine, NULL) == dnnl_success;
  ok = ok && dnnl_primitive_create(&p, pd) == dnnl_success;
  check(ok && dnnl_primitive_execute(p, k->stream, 2, args) == dnnl_success && dnnl_stream_wait(k->stream) == dnnl_success, "reorder");
  dnnl_primitive_destroy(p);
  dnnl_primitive_desc_destroy(pd);
}

/* Memory as the primitive wants it, filled from `data` in layout `plain`. */
static dnnl_memory_t filled(work *k, const_dnnl_primitive_desc_t pd, dnnl_query_t what, const dnnl_memory_desc_t *plain, float *data) {
  dnnl_memory_t from, to;
  check(dnnl_memory_create(&from, plain, k->engine, data) == dnnl_success, "memory");
  check(dnnl_memory_create(&to, dnnl_primitive_desc_query_md(pd, what, 0), k->engine, DNNL_MEMORY_ALLOCATE) == dnnl_success, "memory");
  reorder(k, from, to);
  dnnl_memory_destroy(from);
  return to;
}

typedef struct layouts {
  int rank, weight_rank;
  dnnl_dims_t src, weights, bias, dst;
  dnnl_format_tag_t data, weight;
} layouts;

static void describe(layouts *l, const shape *s) {
  if (s->size) {
    const int64_t out = out_size(s);
    *l = (layouts){.rank = 4, .weight_rank = 4, .src = {1, s->cin, s->size, s->size}, .dst = {1, s->cout, out, out}, .data = dnnl_nhwc};
    const dnnl_dims_t plain = {s->cout, s->cin, s->kernel, s->kernel};
    const dnnl_dims_t grouped = {s->group, s->cout / s->group, s->cin / s->group, s->kernel, s->kernel};
    l->weight = s->group > 1 ? dnnl_goihw : dnnl_oihw;
    l->weight_rank = s->group > 1 ? 5 : 4;
    memcpy(l->weights, s->group > 1 ? grouped : plain, sizeof l->weights);
    l->bias[0] = s->cout;
  } else {
    *l = (layouts){.rank = 2, .weight_rank = 2, .src = {s->rows, s->depth}, .weights = {s->depth, s->width}, .dst = {s->rows, s->width}};
    l->data = l->weight = dnnl_ab;
    l->bias[0] = 1, l->bias[1] = s->width;
  }
}

static dnnl_status_t primitive_desc(dnnl_primitive_desc_t *pd, work *k, const layouts *l) {
  const shape *s = k->s;
  dnnl_memory_desc_t src, weights, bias, dst;
  dnnl_memory_desc_init_by_tag(&src, l->rank, l->src, dnnl_f32, dnnl_format_tag_any);
  dnnl_memory_desc_init_by_tag(&weights, l->weight_rank, l->weights, dnnl_f32, dnnl_format_tag_any);
  dnnl_memory_desc_init_by_tag(&bias, s->size ? 1 : 2, l->bias, dnnl_f32, s->size ? dnnl_a : dnnl_ab);
  dnnl_memory_desc_init_by_tag(&dst, l->rank, l->dst, dnnl_f32, dnnl_format_tag_any);
  if (!s->size) {
    dnnl_matmul_desc_t desc;
    dnnl_matmul_desc_init(&desc, &src, &weights, &bias, &dst);
    return dnnl_primitive_desc_create(pd, &desc, NULL, k->engine, NULL);
  }
  const int64_t pad = s->kernel / 2, end = (out_size(s) - 1) * s->stride + s->kernel - s->size - pad;
  const dnnl_dims_t strides = {s->stride, s->stride}, before = {pad, pad}, behind = {end, end};
  dnnl_convolution_desc_t desc;
  dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_auto, &src, &weights, &bias, &dst, strides, before,
                                     behind);
  return dnnl_primitive_desc_create(pd, &desc, NULL, k->engine, NULL);
}

static void make_theirs(work *k) {
  layouts l;
  dnnl_primitive_desc_t pd;
  dnnl_memory_desc_t src, weights, bias;
  describe(&l, k->s);
  check(primitive_desc(&pd, k, &l) == dnnl_success && dnnl_primitive_create(&k->primitive, pd) == dnnl_success, "oneDNN's operator");
  dnnl_memory_desc_init_by_tag(&src, l.rank, l.src, dnnl_f32, l.data);
  dnnl_memory_desc_init_by_tag(&weights, l.weight_rank, l.weights, dnnl_f32, l.weight);
  dnnl_memory_desc_init_by_tag(&bias, k->s->size ? 1 : 2, l.bias, dnnl_f32, k->s->size ? dnnl_a : dnnl_ab);
  k->src = filled(k, pd, dnnl_query_src_md, &src, k->x);
  k->wei = filled(k, pd, dnnl_query_weights_md, &weights, k->w);
  check(dnnl_memory_create(&k->bias, &bias, k->engine, k->b) == dnnl_success, "memory");
  check(
      dnnl_memory_create(&k->dst, dnnl_primitive_desc_query_md(pd, dnnl_query_dst_md, 0), k->engine, DNNL_MEMORY_ALLOCATE) == dnnl_success,
      "memory");
  dnnl_primitive_desc_destroy(pd);
}

static void run_theirs(work *k) {
  const dnnl_exec_arg_t args[] = {{DNNL_ARG_SRC, k->src}, {DNNL_ARG_WEIGHTS, k->wei}, {DNNL_ARG_BIAS, k->bias}, {DNNL_ARG_DST, k->dst}};
  check(dnnl_primitive_execute(k->primitive, k->stream, 4, args) == dnnl_success && dnnl_stream_wait(k->stream) == dnnl_success,
        "oneDNN's operator");
}

static void fetch_theirs(work *k) {
  layouts l;
  dnnl_memory_desc_t plain;
  dnnl_memory_t to;
  describe(&l, k->s);
  dnnl_memory_desc_init_by_tag(&plain, l.rank, l.dst, dnnl_f32, l.data);
  check(dnnl_memory_create(&to, &plain, k->engine, k->theirs) == dnnl_success, "memory");
  reorder(k, k->dst, to);
  dnnl_memory_destroy(to);
}

/* ---- measuring */
static double processor(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds per call over one turn. */
static double turn(work *k, void (*run)(work *k)) {
  const double start = processor();
  double passed = 0;
  size_t calls = 0;
  for (; passed < TURN_SECONDS; ++calls) {
    run(k);
    passed = processor() - start;
  }
  return passed / (double)calls;
}

/* Relative distance of the results, by energy. */
static double distance(const work *k) {
  double error = 0, energy = 1e-30;
  for (size_t i = 0; i < k->outputs; ++i) {
    const double d = (double)k->mine[i] - (double)k->theirs[i];
    error += d * d;
    energy += (double)k->theirs[i] * (double)k->theirs[i];
  }
  return sqrt(error / energy);
}

static bool measure(work *k) {
  double ours = INFINITY, theirs = INFINITY;
  for (int i = 0; i < TURNS; ++i) {
    ours = fmin(ours, turn(k, run_ours));
    theirs = fmin(theirs, turn(k, run_theirs));
  }
  fetch_theirs(k);
  const bool same = distance(k) < 1e-4;
  printf("%-28s %8.1f %8.1f %6.2f  %.1e%s\n", k->s->name, 1e-9 * k->operations / ours, 1e-9 * k->operations / theirs, theirs / ours,
         distance(k), same ? "" : "  DIFFERENT");
  fflush(stdout);
  return same;
}

static bool one_shape(const shape *s, work *common) {
  work k = *common;
  k.s = s;
  make(&k);
  make_ours(&k);
  make_theirs(&k);
  const bool same = measure(&k);
  dnnl_primitive_destroy(k.primitive);
  dnnl_memory_destroy(k.src), dnnl_memory_destroy(k.wei), dnnl_memory_destroy(k.bias), dnnl_memory_destroy(k.dst);
  qcc_free(k.worker.cx, k.pack.at);
  free(k.x), free(k.w), free(k.b), free(k.mine), free(k.theirs);
  qcc_scratch_free(&k.worker);
  return same;
}

int main(int argc, char **argv) {
  if (!getenv("OMP_NUM_THREADS")) { /* read when the library is loaded */
    setenv("OMP_NUM_THREADS", "1", 1);
    execv("/proc/self/exe", argv);
  }
  work k = {.worker = {.simd = qcc_simd_choose()}};
  float to[QCC_NR_MAX] = {0};
  bool same = true;
  check(qcc_context_new(&k.worker.cx, &(qcc_host){.log = NULL}) == QCC_OK, "start");
  check(dnnl_engine_create(&k.engine, dnnl_cpu, 0) == dnnl_success, "oneDNN's engine");
  check(dnnl_stream_create(&k.stream, k.engine, dnnl_stream_default_flags) == dnnl_success, "oneDNN's stream");
  double best = 0;
  for (int i = 0; i < 100; ++i) {
    const double start = processor(), operations = k.worker.simd->peak(1 << 14, to);
    best = fmax(best, operations / (processor() - start));
  }
  printf("registers alone: %.1f GFLOP/s (%s)\n%-28s %8s %8s %6s  %s\n", 1e-9 * best, k.worker.simd->name, "GFLOP/s", "qcc", "oneDNN",
         "ratio", "distance");
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; ++i)
    if (argc < 2 || strstr(shapes[i].name, argv[1])) same &= one_shape(&shapes[i], &k);
  dnnl_stream_destroy(k.stream);
  dnnl_engine_destroy(k.engine);
  qcc_context_free(k.worker.cx);
  return same ? 0 : 1;
}
