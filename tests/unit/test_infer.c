/* SPDX-License-Identifier: Apache-2.0
 * Inference: types of results over operators, versions and symbols; every kind of wrong model gives one error of the right class;
 * type algebra; the op table. Graphs are written as text, one line per case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backends/ref/ref.h"
#include "ir/check.h"
#include "ir/text.h"

typedef struct seen {
  int errors;
} seen;

static void count_errors(void *user, qcc_severity severity, const char *line) {
  (void)line;
  ((seen *)user)->errors += severity == QCC_ERROR;
}

static qcc_context *new_context(seen *to) {
  qcc_context *cx = NULL;
  const qcc_host host = {.log = count_errors, .log_user = to};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  return cx;
}

/* "(inputs) opset N { body }" with the result named %y. */
static qcc_graph *parse(qcc_context *cx, const char *inputs, int opset, const char *body) {
  char text[2048];
  snprintf(text, sizeof text, "graph @g(%s) -> (%%y) opset %d, com.microsoft 1 {\n%s\n}\n", inputs, opset, body);
  qcc_graph *g = NULL;
  if (qcc_parse_graph(&g, cx, text, strlen(text), "case") != QCC_OK) fail_msg("%s\n%s", qcc_last_error(cx), text);
  return g;
}

static void check_type(const qcc_graph *g, const char *value, const char *want, const char *body) {
  const qcc_value *v = qcc_find_value(g, qcc_intern(g->cx, value));
  assert_non_null(v);
  qcc_text text = {.cx = g->cx};
  qcc_print_type(&text, g->cx, &v->type);
  assert_false(text.failed);
  if (strcmp(text.at, want) != 0) fail_msg("%s: %%%s is %s, expected %s", body, value, text.at, want);
  qcc_text_free(&text);
}

typedef struct good {
  const char *inputs;
  int opset;
  const char *body, *want;
} good;

static void check_good(const good *cases, size_t n) {
  for (size_t i = 0; i < n; i++) {
    seen s = {0};
    qcc_context *cx = new_context(&s);
    qcc_graph *g = parse(cx, cases[i].inputs, cases[i].opset, cases[i].body);
    if (qcc_infer_graph(g, qcc_ref_eval()) != QCC_OK) fail_msg("%s: %s", cases[i].body, qcc_last_error(cx));
    check_type(g, "y", cases[i].want, cases[i].body);
    assert_int_equal(s.errors, 0);
    qcc_graph_free(g);
    qcc_context_free(cx);
  }
}

#define CHECK_GOOD(cases) check_good(cases, sizeof(cases) / sizeof *(cases))

#define X4 "%x: f32[N,8,10,12]"

static void layers(void **state) {
  (void)state;
  static const good cases[] = {
      {X4, 13, "%w = const f32[6,8,3,3] rand(1)\n%y = Conv(%x, %w)", "f32[N,6,8,10]"},
      {X4, 13, "%w = const f32[6,8,3,3] rand(1)\n%y = Conv(%x, %w) {auto_pad=\"SAME_UPPER\", strides=[2,2]}", "f32[N,6,5,6]"},
      {X4, 13, "%w = const f32[8,1,3,3] rand(1)\n%y = Conv(%x, %w) {group=8, pads=[1,1,1,1], dilations=[2,2]}", "f32[N,8,8,10]"},
      {"%x: f32[1,4,9]", 13, "%w = const f32[4,2,3] rand(1)\n%y = ConvTranspose(%x, %w) {group=2, strides=[2], output_padding=[1]}",
       "f32[1,4,20]"},
      {"%x: f32[1,4,9]", 13, "%w = const f32[4,2,3] rand(1)\n%y = ConvTranspose(%x, %w) {strides=[2], output_shape=[18]}", "f32[1,2,18]"},
      {"%x: f32[1,4,9]", 13, "%w = const f32[4,2,3] rand(1)\n%y = ConvTranspose(%x, %w) {strides=[3], auto_pad=\"SAME_LOWER\"}",
       "f32[1,2,27]"},
      {X4, 13, "%y = MaxPool(%x) {kernel_shape=[3,3], strides=[2,2]}", "f32[N,8,4,5]"},
      {X4, 13, "%y = MaxPool(%x) {kernel_shape=[3,3], strides=[2,2], ceil_mode=1}", "f32[N,8,5,6]"},
      {"%x: f32[1,1,2,2]", 13, "%y = MaxPool(%x) {kernel_shape=[1,1], strides=[2,2], ceil_mode=1}", "f32[1,1,1,1]"},
      {X4, 13, "%_p, %y = MaxPool(%x) {kernel_shape=[2,2]}", "s64[N,8,9,11]"},
      {X4, 13, "%y = GlobalAveragePool(%x)", "f32[N,8,1,1]"},
      {"%x: f32[N,7]", 13, "%w = const f32[5,7] rand(1)\n%b = const f32[5] rand(2)\n%y = Gemm(%x, %w, %b) {transB=1}", "f32[N,5]"},
      {"%x: f32[N,T,7]", 13, "%w = const f32[7,5] rand(1)\n%y = MatMul(%x, %w)", "f32[N,T,5]"},
      {"%x: f32[7]", 13, "%w = const f32[2,7,5] rand(1)\n%y = MatMul(%x, %w)", "f32[2,5]"},
      {"%x: f32[T,N,4]", 13,
       "%w = const f32[2,12,4] rand(1)\n%r = const f32[2,12,3] rand(2)\n%y = LSTM(%x, %w, %r) {hidden_size=3, direction=\"bidirectional\"}",
       "f32[T,2,N,3]"},
      {"%x: f32[N,T,4]", 14,
       "%w = const f32[1,9,4] rand(1)\n%r = const f32[1,9,3] rand(2)\n%_s, %y = GRU(%x, %w, %r) {hidden_size=3, layout=1}", "f32[N,1,3]"},
      {X4, 13, "%s = const f32[8] splat(1)\n%y = BatchNormalization(%x, %s, %s, %s, %s)", "f32[N,8,10,12]"},
      {X4, 17, "%s = const f32[12] splat(1)\n%_a, %y = LayerNormalization(%x, %s)", "f32[N,8,10,1]"},
  };
  CHECK_GOOD(cases);
}

static void elements(void **state) {
  (void)state;
  static const good cases[] = {
      {"%a: f32[N,1,5], %b: f32[4,1]", 13, "%y = Add(%a, %b)", "f32[N,4,5]"},
      {"%a: f32[N,3], %b: f32[M,3]", 13, "%y = Add(%a, %b)", "f32[?,3]"},
      {"%a: f32[N,3], %b: f32[4,3]", 13, "%y = Less(%a, %b)", "bool[4,3]"},
      {"%a: f32[2,3,4,5], %b: f32[3,4]", 6, "%y = Mul(%a, %b) {broadcast=1, axis=1}", "f32[2,3,4,5]"},
      {"%c: bool[1,3], %a: s64[2,1]", 13, "%y = Where(%c, %a, %a)", "s64[2,3]"},
      {"%x: f32[?]", 13, "%y = Cast(%x) {to=7}", "s64[?]"},
      {"%x: f32[2]", 4, "%y = Cast(%x) {to=\"INT32\"}", "s32[2]"},
      {"%x: f32[2]", 12, "%_a, %y = Dropout(%x)", "bool[2]"},
      {"%x: f32[2]", 7, "%_a, %y = Dropout(%x)", "f32[2]"},
      {"%x: f32[2]", 12, "%y = Softmax(%x) {axis=1}", "f32[2]"},
  };
  CHECK_GOOD(cases);
}

static void movement(void **state) {
  (void)state;
  static const good cases[] = {
      {X4, 13, "%s = const s64[2] [0,-1]\n%y = Reshape(%x, %s)", "f32[N,960]"},
      {X4, 13, "%s = const s64[2] [-1,960]\n%y = Reshape(%x, %s)", "f32[N,960]"},
      {X4, 13, "%s = const s64[2] [-1,480]\n%y = Reshape(%x, %s)", "f32[?,480]"},
      {"%x: f32[0,3]", 14, "%s = const s64[2] [3,0]\n%y = Reshape(%x, %s) {allowzero=1}", "f32[3,0]"},
      {"%x: f32[2,6]", 4, "%y = Reshape(%x) {shape=[3,-1]}", "f32[3,4]"},
      {"%x: f32[1,3,1]", 11, "%y = Squeeze(%x) {axes=[0]}", "f32[3,1]"},
      {"%x: f32[1,3,1]", 13, "%a = const s64[1] [-1]\n%y = Squeeze(%x, %a)", "f32[1,3]"},
      {"%x: f32[1,3,N]", 13, "%y = Squeeze(%x)", "f32"},
      {"%x: f32[3]", 13, "%a = const s64[2] [0,-1]\n%y = Unsqueeze(%x, %a)", "f32[1,3,1]"},
      {X4, 13, "%y = Flatten(%x)", "f32[N,960]"},
      {X4, 13, "%y = Transpose(%x) {perm=[0,2,3,1]}", "f32[N,10,12,8]"},
      {X4, 9, "%y = Slice(%x) {starts=[1,-3], ends=[9223372036854775807,-1], axes=[1,3]}", "f32[N,7,10,2]"},
      {"%x: f32[10]", 13,
       "%s = const s64[1] [-1]\n%e = const s64[1] [-9223372036854775808]\n%a = const s64[1] [0]\n%t = const s64[1] [-3]\n%y = Slice(%x, "
       "%s, %e, %a, %t)",
       "f32[4]"},
      {"%x: f32[10]", 13,
       "%s = const s64[1] [9]\n%e = const s64[1] [-11]\n%a = const s64[1] [0]\n%t = const s64[1] [-9223372036854775808]\n%y = Slice(%x, "
       "%s, %e, %a, %t)",
       "f32[1]"},
      {"%a: f32[N,2], %b: f32[N,3]", 13, "%y = Concat(%a, %b) {axis=-1}", "f32[N,5]"},
      {"%x: f32[N,7]", 18, "%_a, %y = Split(%x) {axis=1, num_outputs=2}", "f32[N,3]"},
      {"%x: f32[N,7]", 11, "%_a, %y = Split(%x) {axis=1, split=[5,2]}", "f32[N,2]"},
      {"%x: f32[N,7]", 13, "%i = const s64[2,3] splat(1)\n%y = Gather(%x, %i) {axis=1}", "f32[N,2,3]"},
      {"%x: f32[N,7]", 10, "%y = Pad(%x) {pads=[0,1,0,-2]}", "f32[N,6]"},
      {"%x: f32[N,7]", 18, "%p = const s64[2] [1,2]\n%a = const s64[1] [-1]\n%y = Pad(%x, %p, _, %a)", "f32[N,10]"},
      {"%x: f32[1,8,2,3]", 13, "%y = DepthToSpace(%x) {blocksize=2}", "f32[1,2,4,6]"},
      {"%x: f32[1,2,3,3]", 10, "%s = const f32[4] [1,1,2,2.5]\n%y = Resize(%x, %s)", "f32[1,2,6,7]"},
      {"%x: f32[1,2,4,8]", 18, "%s = const s64[2] [6,6]\n%y = Resize(%x, _, _, %s) {axes=[2,3], keep_aspect_ratio_policy=\"not_larger\"}",
       "f32[1,2,3,6]"},
      {"%x: f32[N,2,3,3]", 7, "%y = Upsample(%x) {scales=[1.0,1.0,2.0,2.0]}", "f32[N,2,6,6]"},
      {"%x: f32[3,1]", 13, "%s = const s64[3] [2,1,4]\n%y = Expand(%x, %s)", "f32[2,3,4]"},
      {"%x: f32[2,3,4]", 12, "%w = const f32[2,4,5] rand(1)\n%y = Einsum(%x, %w) {equation=\"bij, bjk -> bik\"}", "f32[2,3,5]"},
      {"%x: f32[N,T,4]", 12, "%w = const f32[4] rand(1)\n%y = Einsum(%x, %w) {equation=\"...c,c\"}", "f32[N,T]"},
  };
  CHECK_GOOD(cases);
}

static void reductions_and_makers(void **state) {
  (void)state;
  static const good cases[] = {
      {X4, 13, "%y = ReduceMean(%x) {axes=[2,3], keepdims=0}", "f32[N,8]"},
      {X4, 18, "%a = const s64[2] [2,-1]\n%y = ReduceMean(%x, %a)", "f32[N,8,1,1]"},
      {X4, 13, "%y = ReduceSum(%x) {noop_with_empty_axes=1}", "f32[N,8,10,12]"},
      {X4, 13, "%y = ReduceMax(%x) {keepdims=0}", "f32[]"},
      {X4, 13, "%y = ArgMax(%x) {axis=1, keepdims=0}", "s64[N,10,12]"},
      {X4, 9, "%y, %_i = TopK(%x) {k=3}", "f32[N,8,10,3]"},
      {X4, 13, "%k = const s64[1] [3]\n%_v, %y = TopK(%x, %k) {axis=1}", "s64[N,3,10,12]"},
      {"%i: s64[N]", 13, "%d = const s64[] [10]\n%v = const f32[2] [0,1]\n%y = OneHot(%i, %d, %v)", "f32[N,10]"},
      {"%x: f32[N,3]", 13, "%y = NonZero(%x)", "s64[2,?]"},
      {"%x: f32[N,3]", 13, "%y = Shape(%x)", "s64[2]"},
      {"%x: f32[N,3]", 15, "%y = Shape(%x) {start=-1}", "s64[1]"},
      {"", 13, "%a = const f32[] [1]\n%b = const f32[] [2]\n%d = const f32[] [0.3]\n%y = Range(%a, %b, %d)", "f32[4]"},
      {"", 13, "%s = const s64[2] [3,4]\n%y = ConstantOfShape(%s) {value=const s64[1] [7]}", "s64[3,4]"},
      {"", 13, "%y = Constant() {value_floats=[1.0,2.0]}", "f32[2]"},
      {"%x: f32[2,6]", 21, "%s = const f32[2,2] splat(1)\n%y = QuantizeLinear(%x, %s) {axis=1, block_size=3, output_dtype=3}", "s8[2,6]"},
      {"%x: s8[2,6]", 13, "%s = const f32[2] splat(1)\n%y = DequantizeLinear(%x, %s) {axis=0}", "f32[2,6]"},
  };
  CHECK_GOOD(cases);
}

/* Shape arithmetic resolves through the folder, and keeps symbols where it can. */
static void shape_arithmetic(void **state) {
  (void)state;
  static const good cases[] = {
      {X4, 13,
       "%s = Shape(%x)\n%i = const s64[] [2]\n%h = Gather(%s, %i)\n%t = const s64[] [2]\n%m = Mul(%h, %t)\n%a = const s64[1] [0]\n%u = "
       "Unsqueeze(%m, %a)\n%r = const s64[1] [-1]\n%c = Concat(%u, %r) {axis=0}\n%z = const f32[20,4] rand(1)\n%y = Reshape(%z, %c)",
       "f32[20,4]"},
      {X4, 13,
       "%s = Shape(%x)\n%i = const s64[] [0]\n%h = Gather(%s, %i)\n%a = const s64[1] [0]\n%u = Unsqueeze(%h, %a)\n%r = const s64[1] "
       "[-1]\n%c = Concat(%u, %r) {axis=0}\n%y = Reshape(%x, %c)",
       "f32[N,960]"},
      {X4, 11, "%s = Shape(%x)\n%i = const s64[1] [0]\n%e = const s64[1] [2]\n%c = Slice(%s, %i, %e)\n%y = ConstantOfShape(%c)",
       "f32[N,8]"},
      {X4, 13,
       "%s = Shape(%x)\n%i = const s64[] [0]\n%h = Gather(%s, %i)\n%t = const s64[] [2]\n%m = Mul(%h, %t)\n%a = const s64[1] [0]\n%u = "
       "Unsqueeze(%m, %a)\n%r = const s64[2] [4,-1]\n%c = Concat(%u, %r) {axis=0}\n%y = Reshape(%x, %c)",
       "f32[?,4,?]"},
      {"%x: f32[1,3]", 13,
       "%s = Shape(%x)\n%i = const s64[] [1]\n%h = Gather(%s, %i)\n%o = const s64[] [1]\n%e = Equal(%h, %o)\n"
       "%y = If(%e) {then_branch=graph @t() -> (%q) {\n%a = const s64[1] [1]\n%q = Squeeze(%x, %a)\n}, else_branch=graph @f() -> (%p) "
       "{\n%p = Identity(%x)\n}}",
       "f32[1,3]"},
  };
  CHECK_GOOD(cases);
}

static void control_flow(void **state) {
  (void)state;
  static const good cases[] = {
      {"%c: bool[], %x: f32[2,3]", 13,
       "%y = If(%c) {then_branch=graph @t() -> (%q) {\n%q = Relu(%x)\n}, else_branch=graph @f() -> (%p) {\n%a = const s64[2] [1,3]\n%s = "
       "const s64[2] [0,0]\n%p = Slice(%x, %s, %a)\n}}",
       "f32[?,3]"},
      {"%n: s64[], %x: f32[2,3]", 13,
       "%t = const bool[] [1]\n%_f, %y = Loop(%n, %t, %x) {body=graph @b(%i: s64[], %k: bool[], %v: f32[2,3]) -> (%k2, %v2, %w) {\n%k2 = "
       "Identity(%k)\n%v2 = Relu(%v)\n%w = ReduceSum(%v) {keepdims=0}\n}}",
       "f32[?]"},
      {"%s: f32[3], %x: f32[5,3]", 13,
       "%_f, %y = Scan(%s, %x) {num_scan_inputs=1, body=graph @b(%a: f32[3], %e: f32[3]) -> (%a2, %o) {\n%a2 = Add(%a, %e)\n%o = "
       "Identity(%a2)\n}}",
       "f32[5,3]"},
  };
  CHECK_GOOD(cases);
}

/* ---- wrong models */
typedef struct wrong {
  const char *inputs;
  int opset;
  const char *body;
  qcc_status status;
} wrong;

static void check_wrong(const wrong *cases, size_t n) {
  for (size_t i = 0; i < n; i++) {
    seen s = {0};
    qcc_context *cx = new_context(&s);
    qcc_graph *g = parse(cx, cases[i].inputs, cases[i].opset, cases[i].body);
    qcc_status status = qcc_infer_graph(g, qcc_ref_eval());
    if (status != cases[i].status) fail_msg("%s: status %d, expected %d (%s)", cases[i].body, status, cases[i].status, qcc_last_error(cx));
    assert_int_equal(s.errors, 1);
    qcc_graph_free(g);
    qcc_context_free(cx);
  }
}

#define CHECK_WRONG(cases) check_wrong(cases, sizeof(cases) / sizeof *(cases))
#define CONV(attributes) \
  { X4, 13, "%w = const f32[6,8,3,3] splat(1)\n%y = Conv(%x, %w) {" attributes "}", QCC_INVALID }
#define POOL(attributes) \
  { X4, 13, "%y = MaxPool(%x) {" attributes "}", QCC_INVALID }

static void wrong_windows(void **state) {
  (void)state;
  static const wrong cases[] = {
      {X4, 13, "%w = const f32[6,8,3,3,3] splat(1)\n%y = Conv(%x, %w)", QCC_INVALID},
      {X4, 13, "%w = const f32[6,7,3,3] splat(1)\n%y = Conv(%x, %w)", QCC_INVALID},
      {X4, 13, "%w = const f32[6,8,3,3] splat(1)\n%b = const f32[5] splat(1)\n%y = Conv(%x, %w, %b)", QCC_INVALID},
      {X4, 13, "%w = const f32[6,8,11,3] splat(1)\n%y = Conv(%x, %w)", QCC_INVALID},
      CONV("kernel_shape=[3]"),
      CONV("kernel_shape=[3,4]"),
      CONV("pads=[1,1]"),
      CONV("pads=[-1,0,0,0]"),
      CONV("strides=[0,1]"),
      CONV("strides=[-1,1]"),
      CONV("strides=[2147483648,1]"),
      CONV("dilations=[0,1]"),
      CONV("dilations=[2147483647,1]"),
      CONV("group=0"),
      CONV("group=-1"),
      CONV("group=5"),
      CONV("auto_pad=\"SAME\""),
      POOL("strides=[1,1]"),
      POOL("kernel_shape=[3,3], strides=[0,1]"),
      POOL("kernel_shape=[3,3], pads=[3,0,0,0]"),
      POOL("kernel_shape=[30,3]"),
      POOL("kernel_shape=[0,3]"),
      POOL("kernel_shape=[3,3,3]"),
      {"%x: f32[1,4,9]", 13, "%w = const f32[4,2,3] splat(1)\n%y = ConvTranspose(%x, %w) {pads=[90,90]}", QCC_INVALID},
      {"%x: f32[1,4,9]", 13, "%w = const f32[4,2,3] splat(1)\n%y = ConvTranspose(%x, %w) {output_shape=[0]}", QCC_INVALID},
      {"%x: f32[1,4]", 13, "%w = const f32[4,4] splat(1)\n%y = Conv(%x, %w)", QCC_INVALID},
  };
  CHECK_WRONG(cases);
}

static void wrong_layers(void **state) {
  (void)state;
  static const wrong cases[] = {
      {"%a: f32[2,3], %b: f32[3,4]", 13, "%y = Gemm(%a, %b) {transB=823}", QCC_INVALID},
      {"%a: f32[2,3], %b: f32[2,4]", 13, "%y = Gemm(%a, %b)", QCC_INVALID},
      {"%a: f32[2,3,1], %b: f32[3,4]", 13, "%y = Gemm(%a, %b)", QCC_INVALID},
      {"%a: f32[2,3], %b: f32[3,4], %c: f32[5]", 13, "%y = Gemm(%a, %b, %c)", QCC_INVALID},
      {"%a: f32[], %b: f32[3,4]", 13, "%y = MatMul(%a, %b)", QCC_INVALID},
      {"%a: f32[2,3], %b: f32[4,3]", 13, "%y = MatMul(%a, %b)", QCC_INVALID},
      {"%a: f32[2,3], %b: f64[3,4]", 13, "%y = MatMul(%a, %b)", QCC_INVALID},
      {"%x: f32[4,4]", 13, "%w = const f32[1,12,4] splat(1)\n%r = const f32[1,12,3] splat(1)\n%y = LSTM(%x, %w, %r) {hidden_size=3}",
       QCC_INVALID},
      {"%x: f32[1,1,4]", 13, "%w = const f32[1,11,4] splat(1)\n%r = const f32[1,12,3] splat(1)\n%y = LSTM(%x, %w, %r) {hidden_size=3}",
       QCC_INVALID},
      {X4, 13, "%s = const f32[7] splat(1)\n%y = BatchNormalization(%x, %s, %s, %s, %s)", QCC_INVALID},
      {X4, 13, "%y = LRN(%x) {size=0}", QCC_INVALID},
      {X4, 13, "%y = DepthToSpace(%x) {blocksize=0}", QCC_INVALID},
      {X4, 13, "%y = DepthToSpace(%x) {blocksize=65536}", QCC_INVALID},
      {"%a: f32[2,3], %b: f32[3,4]", 13, "%y = Einsum(%a, %b) {equation=\"ij,jk->iz\"}", QCC_INVALID},
      {"%a: f32[2,3]", 13, "%y = Einsum(%a) {equation=\"ij,jk\"}", QCC_INVALID},
      {"%a: f32[2,3]", 13, "%y = Einsum(%a) {equation=\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrst\"}",
       QCC_INVALID},
  };
  CHECK_WRONG(cases);
}

static void wrong_moves(void **state) {
  (void)state;
  static const wrong cases[] = {
      {"%x: f32[2,6]", 13, "%s = const s64[2] [-1,-1]\n%y = Reshape(%x, %s)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%s = const s64[3] [2,6,0]\n%y = Reshape(%x, %s)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%s = const s64[2] [5,-1]\n%y = Reshape(%x, %s)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%s = const s64[1] [13]\n%y = Reshape(%x, %s)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%s = const s64[2] [-2,6]\n%y = Reshape(%x, %s)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%s = const s64[100000] splat(1)\n%y = Reshape(%x, %s)", QCC_INVALID},
      {"%x: f32[1]", 13, "%s = const s64[9] splat(1)\n%y = Reshape(%x, %s)", QCC_UNSUPPORTED},
      {"%x: f32[2,6]", 9, "%y = Slice(%x) {starts=[0,0], ends=[1]}", QCC_INVALID},
      {"%x: f32[10]", 13,
       "%s = const s64[1] [0]\n%e = const s64[1] [9]\n%a = const s64[1] [0]\n%t = const s64[1] [0]\n%y = Slice(%x, %s, %e, %a, %t)",
       QCC_INVALID},
      {"%x: f32[2,6]", 11, "%y = Split(%x) {axis=1, split=[5]}", QCC_INVALID},
      {"%x: f32[2,6]", 11, "%_a, %y = Split(%x) {axis=1, split=[7,-1]}", QCC_INVALID},
      {"%x: f32[2,7]", 11, "%_a, %y = Split(%x) {axis=1}", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%y = Concat(%x, %x) {axis=99}", QCC_INVALID},
      {"%x: f32[2,6], %z: f32[3,6]", 13, "%y = Concat(%x, %z) {axis=1}", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%y = Transpose(%x) {perm=[0,0]}", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%y = Transpose(%x) {perm=[0]}", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%y = Softmax(%x) {axis=99}", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%a = const s64[1] [0]\n%y = Squeeze(%x, %a)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%a = const s64[2] [0,-4]\n%y = Unsqueeze(%x, %a)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%k = const s64[1] [7]\n%y, %_i = TopK(%x, %k)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%i = const s64[1] [6]\n%y = Gather(%x, %i) {axis=1}", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%i = const s64[1] [-9223372036854775808]\n%y = Gather(%x, %i) {axis=1}", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%i = const s64[1,3] splat(0)\n%y = GatherND(%x, %i)", QCC_INVALID},
      {"%i: s64[2]", 13, "%d = const s64[] [0]\n%v = const f32[2] [0,1]\n%y = OneHot(%i, %d, %v)", QCC_INVALID},
      {"%x: f32[2,6]", 13, "%y = ReduceMean(%x) {axes=[1,-1]}", QCC_INVALID},
      {"%x: f32[2,6]", 11, "%p = const s64[4] [0,-7,0,0]\n%y = Pad(%x, %p)", QCC_INVALID},
      {"%x: f32[2,6], %z: f32[2,5]", 13, "%y = Add(%x, %z)", QCC_INVALID},
      {"%x: f32[2,6], %z: s64[2,6]", 13, "%y = Add(%x, %z)", QCC_INVALID},
      {"%x: f32[2]", 13, "%y: file f32[3] = Relu(%x)", QCC_INVALID},
      {"%x: f32[2]", 13, "%y: file s64[2] = Relu(%x)", QCC_INVALID},
      {"%c: bool[]", 13, "%y = If(%c) {then_branch=graph @t() -> () {\n}, else_branch=graph @f() -> () {\n}}", QCC_INVALID},
      {"%s: f32[3], %x: f32[5,3]", 13, "%_f, %y = Scan(%s, %x) {num_scan_inputs=5, body=graph @b(%a: f32[3], %e: f32[3]) -> (%a, %e) {\n}}",
       QCC_INVALID},
  };
  CHECK_WRONG(cases);
}

static void bombs(void **state) {
  (void)state;
  static const wrong cases[] = {
      {"", 13, "%s = const s64[2] [1048576,1048576]\n%y = ConstantOfShape(%s)", QCC_LIMIT},
      {"", 13, "%s = const s64[2] [9223372036854775807,9223372036854775807]\n%y = ConstantOfShape(%s)", QCC_LIMIT},
      {"", 13, "%s = const s64[2] [-1,4]\n%y = ConstantOfShape(%s)", QCC_INVALID},
      {"%x: f32[1]", 13, "%s = const s64[1] [1099511627776]\n%y = Expand(%x, %s)", QCC_LIMIT},
      {"%x: f32[4]", 13, "%s = const s64[1] [9223372036854775807]\n%y = Tile(%x, %s)", QCC_LIMIT},
      {"%x: f32[4]", 13, "%s = const s64[1] [-1]\n%y = Tile(%x, %s)", QCC_INVALID},
      {"%x: f32[4]", 11, "%s = const s64[2] [9223372036854775807,1]\n%y = Pad(%x, %s)", QCC_LIMIT},
      {"%x: f32[1,1,4,4]", 10, "%s = const f32[4] [1,1,1e9,1e9]\n%y = Resize(%x, %s)", QCC_LIMIT},
      {"%x: f32[1,1,4,4]", 10, "%s = const f32[4] [1,1,0,1]\n%y = Resize(%x, %s)", QCC_INVALID},
      {"%x: f32[1,1,4,4]", 10, "%s = const f32[4] [1,1,-1,1]\n%y = Resize(%x, %s)", QCC_INVALID},
      {"%x: f32[1,1,4,4]", 10, "%s = const f32[4] [1,1,nan,1]\n%y = Resize(%x, %s)", QCC_INVALID},
      {"", 13, "%a = const s64[] [0]\n%b = const s64[] [1000000000000]\n%d = const s64[] [1]\n%y = Range(%a, %b, %d)", QCC_LIMIT},
      {"", 13, "%a = const s64[] [0]\n%b = const s64[] [1]\n%d = const s64[] [0]\n%y = Range(%a, %b, %d)", QCC_INVALID},
      {"%i: s64[2]", 13, "%d = const s64[] [1000000000000]\n%v = const f32[2] [0,1]\n%y = OneHot(%i, %d, %v)", QCC_LIMIT},
  };
  CHECK_WRONG(cases);
}

static void wrong_quantization(void **state) {
  (void)state;
#define Q(opset, scale, rest) \
  { "%x: f32[2,6]", opset, "%s = const f32" scale "\n%y = QuantizeLinear(%x, %s" rest, QCC_INVALID }
  static const wrong cases[] = {
      Q(13, "[6] splat(1)", ") {axis=2}"),
      Q(13, "[5] splat(1)", ") {axis=1}"),
      Q(13, "[] [0]", ")"),
      Q(13, "[] [-1]", ")"),
      Q(13, "[] [nan]", ")"),
      Q(13, "[] [inf]", ")"),
      Q(21, "[2,2] splat(1)", ") {axis=1, block_size=-1}"),
      Q(21, "[2,2] splat(1)", ") {axis=1, block_size=2}"),
      Q(21, "[2,2] splat(1)", ") {axis=1, block_size=0}"),
      Q(10, "[6] splat(1)", ")"),
      {"%x: s8[2,6]", 13, "%s = const f32[] [1]\n%z = const u8[] [1]\n%y = DequantizeLinear(%x, %s, %z)", QCC_INVALID},
      {"%x: s8[2,6]", 13, "%s = const f32[6] splat(1)\n%z = const s8[2] splat(1)\n%y = DequantizeLinear(%x, %s, %z)", QCC_INVALID},
  };
#undef Q
  CHECK_WRONG(cases);
}

/* ---- algebra and table */
static void algebra(void **state) {
  (void)state;
  seen s = {0};
  qcc_context *cx = new_context(&s);
  int64_t n = qcc_symbol(cx, "N"), m = qcc_symbol(cx, "M");
  qcc_type a = qcc_type_of(QCC_F32, 2, (int64_t[]){n, QCC_DIM_UNKNOWN}), b = qcc_type_of(QCC_NONE, 2, (int64_t[]){4, m});
  assert_true(qcc_type_merge(&a, &b));
  assert_int_equal(a.dim[0], 4);
  assert_int_equal(a.dim[1], m);
  assert_int_equal(a.dtype, QCC_F32);
  b.dim[0] = 5;
  assert_false(qcc_type_merge(&a, &b));
  assert_int_equal(a.dim[0], 4);
  int axis = -7;
  assert_true(qcc_axis(-3, 3, &axis));
  assert_int_equal(axis, 0);
  assert_false(qcc_axis(3, 3, &axis));
  assert_false(qcc_axis(INT64_MIN, 3, &axis));
  qcc_context_free(cx);
}

static void op_table(void **state) {
  (void)state;
  for (int op = 1; op < QCC_OP_COUNT; op++) {
    const qcc_op_info *row = qcc_op_get((qcc_op)op);
    assert_int_equal(qcc_op_find(row->domain, row->name), op);
    assert_true(row->in_min <= row->in_max && row->since >= 1);
  }
  assert_int_equal(qcc_op_find("ai.onnx", "Conv"), QCC_OP_CONV);
  assert_int_equal(qcc_op_find(NULL, "Conv"), QCC_OP_CONV);
  assert_int_equal(qcc_op_find("com.microsoft", "Conv"), QCC_OP_OPAQUE);
  assert_int_equal(qcc_op_find("", "conv"), QCC_OP_OPAQUE);
  assert_int_equal(qcc_op_find("", "?"), QCC_OP_OPAQUE);
  assert_int_equal(qcc_op_find("", ""), QCC_OP_OPAQUE);
  assert_int_equal(qcc_op_get((qcc_op)-1)->in_max, QCC_MANY);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(layers),
      cmocka_unit_test(elements),
      cmocka_unit_test(movement),
      cmocka_unit_test(reductions_and_makers),
      cmocka_unit_test(shape_arithmetic),
      cmocka_unit_test(control_flow),
      cmocka_unit_test(wrong_windows),
      cmocka_unit_test(wrong_layers),
      cmocka_unit_test(wrong_moves),
      cmocka_unit_test(bombs),
      cmocka_unit_test(wrong_quantization),
      cmocka_unit_test(algebra),
      cmocka_unit_test(op_table),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
