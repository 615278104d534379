/* SPDX-License-Identifier: Apache-2.0
 * Capability files: the three layouts, versions, what extends what, and what is said of files that are wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/target/target.h"
#include "tests/memory_files.h"
#include "tests/oom.h"
#include "yaml/config.h"

typedef struct world {
  qcc_context *cx;
  qcc_target t;
  memory_files files; /* what the context can open */
} world;

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  qcc_host host = memory_host(&w->files);
  assert_int_equal(qcc_context_new(&w->cx, &host), QCC_OK);
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  qcc_target_fini(&w->t);
  qcc_context_free(w->cx);
  free(w);
  return 0;
}

static void add_file(world *w, const char *path, const char *text) {
  memory_file *f = w->files.file;
  while (f->path && strcmp(f->path, path) != 0) f++;
  *f = (memory_file){path, text, strlen(text)};
}

static void load(world *w, const char *name) {
  qcc_target_fini(&w->t);
  qcc_status st = qcc_target_find(&w->t, w->cx, name);
  if (st != QCC_OK) fail_msg("%s: %s", name, qcc_last_error(w->cx));
}

static void fails(world *w, const char *name, qcc_status status, const char *message) {
  qcc_target_fini(&w->t);
  qcc_clear_errors(w->cx);
  assert_int_equal(qcc_target_find(&w->t, w->cx, name), status);
  assert_string_equal(qcc_last_error(w->cx), message);
}

static char *corpus(const char *name) {
  char path[256];
  snprintf(path, sizeof path, "tests/fuzz/yaml/%s", name);
  FILE *f = fopen(path, "rb");
  char *text = calloc(1, 65536);
  if (!f || !text) fail_msg("%s is not there", path);
  assert_true(fread(text, 1, 65535, f) > 0);
  fclose(f);
  return text;
}

static const qcc_target_op *op(const world *w, const char *domain, const char *name) { return &w->t.ops[qcc_op_find(domain, name)]; }

static const qcc_target_way *way(const world *w, const char *name, qcc_mode mode) { return &op(w, "", name)->way[mode]; }

static void choices(const qcc_choices *c, size_t n, const unsigned *want) {
  assert_int_equal(c->count, n);
  for (size_t i = 0; i < n; i++) assert_int_equal(c->at[i], want[i]);
}
#define CHOICES(c, ...) choices(&(c), sizeof((unsigned[]){__VA_ARGS__}) / sizeof(unsigned), (unsigned[]){__VA_ARGS__})

/* ---- shipped files */

static void t_default_target(void **state) {
  world *w = *state;
  load(w, QCC_TARGET_DEFAULT);
  assert_true(w->t.pairs);
  assert_int_equal(w->t.activation.dtype, QCC_U8);
  assert_int_equal(w->t.weight.dtype, QCC_S8);
  assert_int_equal(w->t.weight.lo, -127);
  load(w, "ort-cpu");
  assert_false(w->t.pairs);
}

static void t_order_is_kept(void **state) {
  world *w = *state;
  load(w, "ort-cpu");
  CHOICES(way(w, "Conv", QCC_MODE_STATIC)->weight.granularity, QCC_GRANULARITY_PER_CHANNEL, QCC_GRANULARITY_PER_TENSOR);
  CHOICES(way(w, "Add", QCC_MODE_STATIC)->weight.granularity, QCC_GRANULARITY_PER_TENSOR);
  CHOICES(way(w, "Softmax", QCC_MODE_STATIC)->activation.dtype, QCC_F32, QCC_U8);
  assert_false(op(w, "", "Softmax")->is_static);
  assert_true(op(w, "", "Add")->is_static);
  CHOICES(way(w, "MatMul", QCC_MODE_WEIGHT)->weight.dtype, QCC_S8, QCC_U8, QCC_F8E4M3FN, QCC_F8E5M2, QCC_S4, QCC_U4);
}

static void t_all_shipped(void **state) {
  world *w = *state;
  const char *name;
  uint32_t i = 0;
  for (; (name = qcc_capability_shipped(i, NULL, NULL)); i++) {
    load(w, name);
    assert_string_equal(w->t.name, name);
    assert_true(*w->t.doc != 0);
    assert_true(op(w, "", "Conv")->is_static);
  }
  assert_int_equal(i, 10);
}

static void t_shipped_versions(void **state) {
  world *w = *state;
  load(w, "ort-cpu@1.19.2");
  assert_string_equal(w->t.name, "ort-cpu");
  assert_string_equal(w->t.runtime, "1.19.2");
  assert_false(op(w, "", "Flatten")->is_static);
  assert_true(op(w, "", "Reshape")->is_static);
  load(w, "ort-cpu-avx2@1.20"); /* in what it extends */
  assert_true(op(w, "", "Flatten")->is_static);
  load(w, "ort-dnnl");
  assert_string_equal(w->t.runtime, "1.20"); /* the newest, though its own list ends before */
  assert_true(op(w, "", "Erf")->bf16);
  load(w, "ort-dnnl@1.13");
  assert_false(op(w, "", "Erf")->bf16);
  load(w, "tensorrt");
  assert_int_equal(w->t.activation.dtype, QCC_S8);
  assert_true(w->t.activation.symmetric && w->t.float_bias);
  load(w, "qnn");
  assert_true(w->t.min_range == 1e-4);
}

/* ---- layouts of the predecessor */

static void t_first_layout(void **state) {
  world *w = *state;
  char *text = corpus("first_qlinear.yaml");
  add_file(w, "x/qlinear.yaml", text);
  load(w, "x/qlinear.yaml@1.6.1");
  assert_string_equal(w->t.name, "qlinear");
  assert_string_equal(w->t.runtime, "1.6.1");
  assert_string_equal(w->t.optimization, "enable_extended");
  CHOICES(way(w, "Conv", QCC_MODE_STATIC)->weight.granularity, QCC_GRANULARITY_PER_CHANNEL);
  CHOICES(way(w, "Conv", QCC_MODE_STATIC)->activation.scheme, QCC_SCHEME_SYM);
  CHOICES(way(w, "MatMul", QCC_MODE_STATIC)->activation.algorithm, QCC_ALGORITHM_MINMAX, QCC_ALGORITHM_KL); /* from "default" */
  assert_true(op(w, "", "Relu")->is_static);
  assert_false(op(w, "", "Sigmoid")->is_static); /* a row, but not in the list of operators */
  assert_true(qcc_target_fuses(&w->t, QCC_OP_CONV, QCC_OP_RELU));
  assert_false(qcc_target_fuses(&w->t, QCC_OP_CONV, QCC_OP_ADD)); /* of float kernels only */
  assert_int_equal(w->t.pattern_count, 3);
  load(w, "x/qlinear.yaml@1.7"); /* not exactly there: default */
  assert_false(op(w, "", "MatMul")->is_static);
  assert_true(op(w, "", "Conv")->is_static);
  load(w, "x/qlinear.yaml");
  assert_false(op(w, "", "MatMul")->is_static);
  free(text);
}

static void t_first_layout_at_run_time(void **state) {
  world *w = *state;
  char *text = corpus("first_integer.yaml");
  add_file(w, "integer.yaml", text);
  load(w, "integer.yaml@1.6");
  assert_false(op(w, "", "MatMul")->is_static);
  assert_true(op(w, "", "MatMul")->dynamic);
  CHOICES(way(w, "MatMul", QCC_MODE_DYNAMIC)->format, QCC_FORMAT_INTEGER);
  free(text);
}

static void t_second_layout(void **state) {
  world *w = *state;
  char *text = corpus("second.yaml");
  add_file(w, "second.yaml", text);
  load(w, "second.yaml"); /* the newest */
  assert_string_equal(w->t.runtime, "1.11.0");
  assert_true(op(w, "", "Gemm")->is_static);
  CHOICES(way(w, "MatMul", QCC_MODE_STATIC)->weight.granularity, QCC_GRANULARITY_PER_CHANNEL, QCC_GRANULARITY_PER_TENSOR);
  CHOICES(way(w, "Conv", QCC_MODE_STATIC)->format, QCC_FORMAT_QDQ, QCC_FORMAT_QOPERATOR);
  CHOICES(way(w, "Add", QCC_MODE_STATIC)->format, QCC_FORMAT_QOPERATOR);
  assert_true(op(w, "com.microsoft", "Attention")->is_static);
  assert_true(op(w, "", "Gemm")->f16);
  assert_true(op(w, "com.microsoft", "Gelu")->f16);
  assert_true(op(w, "", "MatMul")->bf16);
  assert_string_equal(w->t.optimization, "disable_all");
  load(w, "second.yaml@1.10.2"); /* the newest that is not newer */
  assert_false(op(w, "", "Gemm")->is_static);
  CHOICES(way(w, "MatMul", QCC_MODE_STATIC)->weight.granularity, QCC_GRANULARITY_PER_TENSOR);
  CHOICES(way(w, "MatMul", QCC_MODE_WEIGHT)->weight.dtype, QCC_S4, QCC_U4, QCC_S8, QCC_U8);
  assert_int_equal(way(w, "MatMul", QCC_MODE_WEIGHT)->block_count, 5);
  assert_int_equal(way(w, "MatMul", QCC_MODE_WEIGHT)->block[1], -1);
  load(w, "second.yaml@1.2"); /* older than all: default */
  assert_false(op(w, "", "Gemm")->is_static);
  free(text);
}

/* ---- our own */

static void t_own_layout(void **state) {
  world *w = *state;
  char *text = corpus("own.yaml");
  add_file(w, "own.yaml", text);
  load(w, "own.yaml");
  assert_string_equal(w->t.name, "everything");
  assert_string_equal(w->t.runtime, "1.20.1");
  assert_true(w->t.pairs == QCC_SATURATION_PAIRS16 && w->t.float_bias);
  assert_true(w->t.min_range == 1e-4);
  assert_int_equal(w->t.max_opset, 20); /* 1.20 is not newer than 1.20.1, 1.21 is */
  assert_int_equal(w->t.min_ir, 7);
  CHOICES(way(w, "Add", QCC_MODE_STATIC)->activation.dtype, QCC_S8); /* an inherited row under the new default */
  assert_true(way(w, "Tanh", QCC_MODE_STATIC)->activation.zero_only);
  assert_int_equal(way(w, "Softmax", QCC_MODE_STATIC)->activation.dtype.count, 0);
  assert_false(op(w, "", "MatMul")->dynamic);
  assert_true(op(w, "", "Gemm")->dynamic);
  assert_true(op(w, "com.microsoft", "Gelu")->is_static);
  assert_int_equal(op(w, "", "Tanh")->max_since, 13);
  assert_true(qcc_target_op_fits(op(w, "", "Tanh"), 13));
  assert_false(qcc_target_op_fits(op(w, "", "Tanh"), 14));
  assert_false(qcc_target_op_fits(op(w, "", "Tanh"), 5));
  assert_true(op(w, "", "HardSwish")->is_static);
  CHOICES(way(w, "Conv", QCC_MODE_STATIC)->weight.dtype, QCC_S8, QCC_U8);
  assert_true(qcc_target_fuses(&w->t, QCC_OP_CONV, QCC_OP_MUL));
  assert_true(qcc_target_fuses(&w->t, QCC_OP_ADD, QCC_OP_RELU));
  assert_false(qcc_target_fuses(&w->t, QCC_OP_RELU, QCC_OP_CONV));
  assert_int_equal(w->t.activation.dtype, QCC_S8);
  assert_true(w->t.activation.symmetric);
  load(w, "own.yaml@1.14"); /* asked for: stronger than what the file says */
  assert_int_equal(w->t.max_opset, 19);
  assert_false(op(w, "", "HardSwish")->is_static);
  free(text);
}

static void t_extends(void **state) {
  world *w = *state;
  add_file(w, "a/base.yaml", "doc: base\nopset: {min: 13, max: 17}\nint8: {static: {Conv: {}, Add: {}}}\n");
  add_file(w, "a/mine.yaml", "extends: ./base.yaml\nopset: {max: 18}\nint8: {static: {Add: null, Mul: {}}}\n");
  load(w, "a/mine.yaml");
  assert_string_equal(w->t.name, "mine");
  assert_string_equal(w->t.doc, "base");
  assert_int_equal(w->t.min_opset, 13);
  assert_int_equal(w->t.max_opset, 18);
  assert_true(op(w, "", "Conv")->is_static && op(w, "", "Mul")->is_static);
  assert_false(op(w, "", "Add")->is_static);
  CHOICES(way(w, "Conv", QCC_MODE_STATIC)->activation.dtype, QCC_U8); /* nothing said: u8 by s8 */
  CHOICES(way(w, "Conv", QCC_MODE_STATIC)->weight.dtype, QCC_S8);
}

static void t_circles(void **state) {
  world *w = *state;
  add_file(w, "a.yaml", "doc: a\nextends: ./b.yaml\n");
  add_file(w, "b.yaml", "extends: ././c.yaml\n");
  add_file(w, "c.yaml", "extends: b.yaml\n");
  fails(w, "a.yaml", QCC_ARG, "c.yaml:1:10: error[A-547]: \"b.yaml\" extends itself");
  add_file(w, "d/e.yaml", "extends: gone.yaml\n");
  fails(w, "d/e.yaml", QCC_IO, "d/gone.yaml: error[F-501]: cannot open the file (error 2)");
}

/* ---- what is said */

static const struct {
  const char *text, *message;
} bad[] = {
    {"", "x.yaml: error[A-540]: the file is empty"},
    {"int8", "x.yaml:1:1: error[A-520]: \"capability file\" is a word; it takes a map"},
    {"int8: {static: {Conv: {activation: {algorithm: [minmax, entorpy]}}}}",
     "x.yaml:1:57: error[A-521]: algorithm: \"entorpy\" is not known; did you mean \"entropy\"?; allowed: minmax, mse, percentile, kl, "
     "mean_minmax, moving_average, rtn, gptq, awq"},
    {"int8:\n  static:\n    Conv:\n      wieght: {}\n",
     "x.yaml:4:7: error[A-527]: operator: unknown key \"wieght\"; did you mean \"weight\"?; allowed: activation, weight, format, mode, "
     "unit, "
     "since, until"},
    {"int8:\n  static:\n    Conve: {}\n",
     "x.yaml:3:5: error[A-225]: operator \"Conve\" is not known; did you mean \"Conv\"?; \"qcc list ops\" names them"},
    {"saturation: xyzzyx", "x.yaml:1:13: error[A-521]: saturation: \"xyzzyx\" is not known; allowed: none, pairs16, pairs16_padded"},
    {"saturation: [none]", "x.yaml:1:13: error[A-520]: \"saturation\" is a list; it takes one word"},
    {"saturation: none\nbias: int32\nsaturation: pairs16\n", "x.yaml:3:1: error[A-506]: \"saturation\" is given twice, first in line 1"},
    {"opset: {min: one}", "x.yaml:1:14: error[A-523]: min: \"one\" is not a whole number"},
    {"opset: {min: 14, max: 13}", "x.yaml:1:8: error[A-224]: from 14 to 13 is no range"},
    {"min_range: -1", "x.yaml:1:12: error[A-524]: min_range: \"-1\" is not a number from 0 on"},
    {"target: ''", "x.yaml:1:9: error[A-525]: target is empty"},
    {"runtime: new", "x.yaml:1:10: error[A-526]: runtime: \"new\" is not a version such as 1.20.1"},
    {"int8: {static: [Conv]}", "x.yaml:1:16: error[A-520]: \"static\" is a list; it takes a map of operators"},
    {"int8: {static: {Conv: {unit: [float_output, float_output]}}}", "x.yaml:1:45: error[A-522]: unit: \"float_output\" is given twice"},
    {"int8: {static: {Conv: {until: 2000}}}", "x.yaml:1:31: error[A-223]: version 2000 of an operator; allowed: 0 to 1000"},
    {"int8: {weight_only: {Conv: {weight: {group_size: 0}}}}",
     "x.yaml:1:50: error[A-222]: group_size: 0; allowed: 1 to 32767, and -1 for a whole channel"},
    {"int8: {static: {Conv: {activation: {dtype: uint8, zero_point: zero}}}}",
     "x.yaml:1:63: error[A-221]: zero_point: zero takes a signed type and the scheme sym; here they begin with u8 and asym"},
    {"patterns: {int8: [Conv]}", "x.yaml:1:19: error[A-226]: \"Conv\" is no chain; \"Conv + Relu\" is one"},
    {"patterns: {int8: [Conv + Rellu]}",
     "x.yaml:1:19: error[A-225]: operator \"Rellu\" is not known; did you mean \"Relu\"?; \"qcc list ops\" names them"},
    {"fp16: {Conv: 1}", "x.yaml:1:7: error[A-520]: \"fp16\" is a map; it takes a word or a list of words"},
    {"extends: ort-cqu",
     "x.yaml:1:10: error[A-110]: unknown target \"ort-cqu\"; did you mean \"ort-cpu\"?; \"qcc list targets\" names them, "
     "and a file ends in .yaml"},
    {"extends: x.yaml", "x.yaml:1:10: error[A-547]: \"x.yaml\" extends itself"},
    {"versions: {}", "x.yaml:1:11: error[A-541]: a list of versions is wanted here"},
    {"versions: [{version: {name: 1.2}}, {version: {name: '1.10'}}, {version: {name: 1.9}}]",
     "x.yaml:1:80: error[A-546]: version 1.9 stands behind 1.10; older ones come first"},
    {"versions: [{version: {name: 1.2}, extends: ort-cpu}]",
     "x.yaml:1:12: error[A-543]: an item of a list of versions names no target, extends nothing and has no versions"},
    {"- {int8: {}}", "x.yaml:1:3: error[A-542]: an item without \"version: {name: ...}\""},
    {"- {version: {name: new}}", "x.yaml:1:20: error[A-526]: name: \"new\" is neither a version such as 1.20.1 nor \"default\""},
    {"- {version: {name: '1.2'}, capabilities: {int8: {}}}",
     "x.yaml:1:1: error[A-544]: no item is for version \"\", and none is \"default\""},
    {"- {version: {name: default}, capabilities: {int8: {}}, ops: {int8: Conv}}",
     "x.yaml:1:68: error[A-560]: a list of operators is wanted here"},
    {"target: [", "x.yaml:2:1: error[A-509]: not YAML: while parsing a flow node, did not find expected node content"},
    {"target: \"a\\0b\"", "x.yaml:1:9: error[A-505]: a zero byte stands in the text"},
    {"a: 1\n---\nb: 2\n", "x.yaml:2:1: error[A-508]: a second document begins; one is read"},
    {"target: *nothing", "x.yaml:1:9: error[A-501]: alias *\"nothing\": there is no such anchor above"},
    {"int8: &a {static: *a}", "x.yaml:1:19: error[A-502]: alias *\"a\" stands inside the value that it names"},
    {"target: !python/name:os.system x", "x.yaml:1:9: error[A-503]: tag \"!python/name:os.system\": tags are not read"},
    {"? [a, b]\n: c\n", "x.yaml:1:3: error[A-504]: a key must be a word"},
    {"int8: {<<: [1]}", "x.yaml:1:13: error[A-507]: \"<<\" takes a map or a list of maps"},
    {"target: \xff", "x.yaml: error[A-509]: not YAML: invalid leading UTF-8 octet at byte 8"},
};

static void t_messages(void **state) {
  world *w = *state;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    add_file(w, "x.yaml", bad[i].text);
    fails(w, "x.yaml", QCC_ARG, bad[i].message);
  }
  fails(w, "ort-cpux", QCC_ARG,
        "error[A-110]: unknown target \"ort-cpux\"; did you mean \"ort-cpu\"?; \"qcc list targets\" names them, and a file ends in .yaml");
  fails(w, "no.yaml", QCC_IO, "no.yaml: error[F-501]: cannot open the file (error 2)");
}

/* ---- limits: one below and at the limit, one above */

static void t_limits(void **state) {
  world *w = *state;
  qcc_limits *limits = qcc_context_limits(w->cx);
  const qcc_limits usual = *limits;
  add_file(w, "x.yaml", "int8: {static: {Conv: {}}}"); /* nested 4 deep, 7 values, 26 bytes */
  limits->config_depth = 4;
  load(w, "x.yaml");
  limits->config_depth = 3;
  fails(w, "x.yaml", QCC_LIMIT, "x.yaml:1:17: error[L-501]: nested deeper than 3; --limit max-config-depth=N raises it");
  *limits = usual;
  limits->config_nodes = 7;
  load(w, "x.yaml");
  limits->config_nodes = 6;
  fails(w, "x.yaml", QCC_LIMIT, "x.yaml:1:7: error[L-502]: more than 6 values, aliases written out; --limit max-config-nodes=N raises it");
  *limits = usual;
  limits->config_bytes = 26;
  load(w, "x.yaml");
  limits->config_bytes = 25;
  fails(w, "x.yaml", QCC_LIMIT, "x.yaml: error[L-503]: 26 bytes, at most 25; --limit max-config-bytes=N raises it");
}

/* Ten lists of ten aliases each, ten deep: 10^10 values when written out. */
static void t_alias_bomb(void **state) {
  world *w = *state;
  char text[2048];
  size_t n = (size_t)snprintf(text, sizeof text, "ops:\n  a0: &a0 [x]\n");
  for (int k = 1; k <= 10; k++) {
    n += (size_t)snprintf(text + n, sizeof text - n, "  a%d: &a%d [", k, k);
    for (int i = 0; i < 10; i++) n += (size_t)snprintf(text + n, sizeof text - n, "*a%d,", k - 1);
    n += (size_t)snprintf(text + n, sizeof text - n, "]\n");
  }
  add_file(w, "x.yaml", text);
  qcc_target_fini(&w->t);
  assert_int_equal(qcc_target_find(&w->t, w->cx, "x.yaml"), QCC_LIMIT);
  assert_non_null(strstr(qcc_last_error(w->cx), "L-502"));
}

static void t_long_chain(void **state) {
  world *w = *state;
  char path[9][32], text[9][48];
  for (int k = 0; k < 9; k++) {
    snprintf(path[k], sizeof path[k], "/f%d.yaml", k);
    snprintf(text[k], sizeof text[k], "extends: /f%d.yaml", k + 1);
    add_file(w, path[k], text[k]);
  }
  fails(w, "/f0.yaml", QCC_LIMIT, "/f7.yaml:1:10: error[L-504]: more than 8 files extend each other");
  add_file(w, "/f7.yaml", "target: end");
  load(w, "/f0.yaml");
  add_file(w, "/f7.yaml", "extends: /f3.yaml");
  fails(w, "/f0.yaml", QCC_ARG, "/f7.yaml:1:10: error[A-547]: \"/f3.yaml\" extends itself");
}

/* ---- what callers choose */

static void chooses(world *w, const char *name, qcc_target_choice choice) {
  load(w, name);
  if (qcc_target_choose(&w->t, &choice) != QCC_OK) fail_msg("%s", qcc_last_error(w->cx));
}

static void refuses(world *w, const char *name, qcc_target_choice choice, const char *message) {
  load(w, name);
  qcc_clear_errors(w->cx);
  assert_int_equal(qcc_target_choose(&w->t, &choice), QCC_ARG);
  assert_string_equal(qcc_last_error(w->cx), message);
}

static void grid(const qcc_grid *g, qcc_dtype dtype, int32_t lo, int32_t hi, bool symmetric) {
  assert_int_equal(g->dtype, dtype);
  assert_int_equal(g->lo, lo);
  assert_int_equal(g->hi, hi);
  assert_int_equal(g->symmetric, symmetric);
}

static void t_choices(void **state) {
  world *w = *state;
  const char *weights =
      "int8: {static: {default: {activation: {dtype: [uint8, int16, uint16], scheme: [asym, sym]},\n"
      "  weight: {dtype: [int8, uint8]}}, Conv: {activation: {dtype: [uint8]}}, Gemm: {}}}\n";
  add_file(w, "mine.yaml", weights);
  chooses(w, "ort-cpu-avx2", (qcc_target_choice){0});
  grid(&w->t.activation, QCC_U8, 0, 255, false);
  grid(&w->t.weight, QCC_S8, -127, 127, true);
  assert_true(w->t.pairs);
  chooses(w, "ort-cpu-avx2", (qcc_target_choice){.activations = "int8:sym", .reduce_range = true});
  grid(&w->t.activation, QCC_S8, -128, 127, true);
  grid(&w->t.weight, QCC_S8, -64, 64, true);
  assert_true(w->t.pairs);
  chooses(w, "ort-cpu-avx2", (qcc_target_choice){.activations = "u8:sym", .weights = "u8", .pow2 = true, .per_tensor = true});
  grid(&w->t.activation, QCC_U8, 0, 255, true);
  grid(&w->t.weight, QCC_U8, 1, 255, true);
  assert_true(w->t.activation.pow2 && w->t.weight.pow2 && !w->t.pairs);
  CHOICES(way(w, "Conv", QCC_MODE_STATIC)->weight.granularity, QCC_GRANULARITY_PER_TENSOR);
  chooses(w, "mine.yaml", (qcc_target_choice){.activations = "uint16"});
  grid(&w->t.activation, QCC_U16, 0, 65535, false);
  assert_false(op(w, "", "Conv")->is_static);
  assert_true(op(w, "", "Gemm")->is_static);
}

static void t_refused_choices(void **state) {
  world *w = *state;
  add_file(w, "signed.yaml",
           "int8: {static: {Conv: {activation: {dtype: [int8], scheme: [sym], zero_point: zero},\n"
           "  weight: {dtype: [int8], granularity: [per_channel]}}}}\n");
  refuses(w, "ort-cpu", (qcc_target_choice){.activations = "s16"},
          "error[A-211]: target \"ort-cpu\" takes no activations \"s16\"; it takes u8, s8 with :asym :sym");
  refuses(w, "signed.yaml", (qcc_target_choice){.activations = "s8:asym"},
          "error[A-211]: target \"signed\" takes no activations \"s8:asym\"; it takes s8 with :sym");
  refuses(w, "signed.yaml", (qcc_target_choice){.weights = "u8"},
          "error[A-211]: target \"signed\" takes no weights \"u8\"; it takes s8 with :sym");
  refuses(w, "signed.yaml", (qcc_target_choice){.per_tensor = true},
          "error[A-213]: target \"signed\" takes no weights with one scale for the whole tensor");
  refuses(w, "ort-cpu", (qcc_target_choice){.weights = "s8:asym"},
          "error[A-212]: weights \"s8:asym\": zero stands in the middle of their codes; leave out :asym");
  static const char *const wrong[] = {"", ":sym", "u8:", "u8:symm", "s32", "fp32", "u", "int", "uint", "uint8uint8uint8", "U8"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    load(w, "ort-cpu");
    assert_int_equal(qcc_target_choose(&w->t, &(qcc_target_choice){.activations = wrong[i]}), QCC_ARG);
    assert_non_null(strstr(qcc_last_error(w->cx), "A-210"));
  }
}

/* Every allocation in turn fails; the files are those of the corpus, read as files. */
static qcc_status load_corpus(qcc_context *cx, void *user) {
  qcc_target t;
  QCC_TRY(qcc_target_find(&t, cx, user));
  qcc_target_fini(&t);
  return QCC_OK;
}

static void t_without_memory(void **state) {
  (void)state;
  static const char *const names[] = {"tests/fuzz/yaml/own.yaml", "tests/fuzz/yaml/second.yaml@1.11",
                                      "tests/fuzz/yaml/first_integer.yaml@1.6"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_true(oom_sweep(load_corpus, (void *)(uintptr_t)names[i], 3, 0) > 10);
}

static void count_rows(void *user, const char *path, const char *doc) {
  assert_true(*path && strlen(doc) > 3);
  ++*(unsigned *)user;
}
static void t_schema_is_told(void **state) {
  (void)state;
  unsigned rows = 0;
  qcc_capability_schema(count_rows, &rows);
  assert_true(rows > 100);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(t_default_target),   TEST(t_order_is_kept),   TEST(t_all_shipped),
      TEST(t_shipped_versions), TEST(t_first_layout),    TEST(t_first_layout_at_run_time),
      TEST(t_second_layout),    TEST(t_own_layout),      TEST(t_extends),
      TEST(t_circles),          TEST(t_messages),        TEST(t_limits),
      TEST(t_alias_bomb),       TEST(t_long_chain),      TEST(t_schema_is_told),
      TEST(t_choices),          TEST(t_refused_choices), TEST(t_without_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
