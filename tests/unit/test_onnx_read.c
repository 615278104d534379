/* SPDX-License-Identifier: Apache-2.0
 * What the reader makes of good models, and what the writer gives back: names, order, functions, weights that stay in the file,
 * everything that the graph does not model. */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "backends/onnx/export.h"
#include "frontends/onnx/import.h"
#include "frontends/onnx/pb.h"
#include "tests/onnx_text.h"

typedef struct fixture {
  qcc_context *cx;
  qcc_graph *g;
  uint8_t *bytes;
  size_t n;
  char log[4096];
} fixture;

static void note(void *user, qcc_severity severity, const char *line) {
  fixture *f = user;
  (void)severity;
  size_t used = strlen(f->log);
  qcc_format(f->log + used, sizeof f->log - used, "%s\n", line);
}

static void load(fixture *f, const char *text) {
  memset(f, 0, sizeof *f);
  qcc_host host = {.log = note, .log_user = f};
  assert_int_equal(qcc_context_new(&f->cx, &host), QCC_OK);
  f->bytes = text_model(f->cx, text, &f->n);
  qcc_status st = qcc_onnx_load_memory(&f->g, f->cx, f->bytes, f->n, NULL, "m.onnx", false);
  if (st != QCC_OK) fail_msg("%s", f->log);
}

static void unload(fixture *f) {
  qcc_graph_free(f->g);
  free(f->bytes);
  qcc_context_free(f->cx);
}

/* "Op(in,in)->out;" for every node of a graph. */
static void sketch(const qcc_graph *g, char *to, size_t n) {
  size_t used = 0;
  to[0] = 0;
  QCC_FOR_NODES(node, g) {
    used += qcc_format(to + used, n - used, "%s(", node->op_type);
    for (uint32_t k = 0; k < node->in_count; k++)
      used += qcc_format(to + used, n - used, k ? ",%s" : "%s", node->in[k].value ? node->in[k].value->name : "-");
    used += qcc_format(to + used, n - used, ")->");
    for (uint32_t k = 0; k < node->out_count; k++)
      used += qcc_format(to + used, n - used, k ? ",%s" : "%s", node->out[k] ? node->out[k]->name : "-");
    used += qcc_format(to + used, n - used, ";");
  }
}

static void check_sketch(const char *text, const char *expected) {
  fixture f;
  char got[2048];
  load(&f, text);
  sketch(f.g, got, sizeof got);
  assert_string_equal(got, expected);
  unload(&f);
}

/* ---- order and names */
static void test_order(void **state) {
  (void)state;
  check_sketch(MODEL(RELU), "Relu(x)->y;");
  check_sketch(MODEL("1{ 1=b 2=y 4=Relu } 1{ 1=a 2=b 4=Relu } 1{ 1=x 2=a 4=Relu } "), "Relu(x)->a;Relu(a)->b;Relu(b)->y;");
  check_sketch(MODEL("1{ 1=x 2=a 2= 2=c 4=Z 7=t } 1{ 1=c 1= 1= 2=y 4=Clip } ") "8{ 1=t 2:1 } ", "Z(x)->a,-,c;Clip(c,-,-)->y;");
}

static void test_order_is_told_once(void **state) {
  fixture f;
  (void)state;
  load(&f, MODEL("1{ 1=b 2=y 4=Relu } 1{ 1=a 2=b 4=Relu } 1{ 1=x 2=a 4=Relu } "));
  char *first = strstr(f.log, "topological");
  assert_non_null(first);
  assert_null(strstr(first + 1, "topological"));
  unload(&f);
}

/* Two branches that use one name, and the name of an outer value that comes later. The interface keeps its names. */
static void test_names_in_subgraphs(void **state) {
  static const char branch[] = "6{ 2=s 1{ 1=x 2=y 4=Relu } 1{ 1=y 2=d 4=Relu } 12{ 1=d } } } ";
  char text[2048], got[512];
  fixture f;
  (void)state;
  qcc_format(text, sizeof text, "%s7{ 2=g %s%s1{ 1=x 2=h 4=Z 7=t 5{ 1=a 20:5 %s5{ 1=b 20:5 %s} 1{ 1=h 2=y 4=Relu } } 8{ 1=t 2:1 } ", HEAD,
             IN_X, OUT_Y, branch, branch);
  load(&f, text);
  assert_string_equal(f.g->outputs[0]->value->name, "y");
  sketch(f.g->first->attrs->g, got, sizeof got);
  assert_string_equal(got, "Relu(x)->y_1;Relu(y_1)->d;");
  sketch(f.g->first->attrs->next->g, got, sizeof got);
  assert_string_equal(got, "Relu(x)->y_2;Relu(y_2)->d_1;");
  unload(&f);
}

/* ---- functions */
#define F_HEAD "25{ 1=F 10=f 9{ 1= 2:13 } 9{ 1=f 2:1 } "
#define USE(call) "8{ 1=f 2:1 } " MODEL(call)

static void test_functions(void **state) {
  (void)state;
  check_sketch(USE("1{ 1=x 2=y 4=F 7=f 3=c } ") F_HEAD "4=a 5=b 7{ 1=a 2=t 4=Relu } 7{ 1=t 2=b 4=Neg } } ", "Relu(x)->c/t;Neg(c/t)->y;");
  /* twice, chained, one without a name */
  check_sketch(USE("1{ 1=x 2=h 4=F 7=f 3=c } 1{ 1=h 2=y 4=F 7=f } ") F_HEAD "4=a 5=b 7{ 1=a 2=t 4=Relu } 7{ 1=t 2=b 4=Neg } } ",
               "Relu(x)->c/t;Neg(c/t)->h;Relu(h)->F/t;Neg(F/t)->y;");
  /* argument left out; the call asks for the second output only */
  check_sketch(USE("1{ 1=x 2= 2=y 4=F 7=f 3=c } ") F_HEAD "4=a 4=lo 5=b 5=e 7{ 1=a 1=lo 2=b 4=Clip } 7{ 1=a 2=e 4=Relu } } ",
               "Clip(x,-)->c/b;Relu(x)->y;");
  /* a function that hands its input through, as the model's output */
  check_sketch(USE("1{ 1=x 2=y 4=F 7=f } ") F_HEAD "4=a 5=a } ", "Identity(x)->y;");
  /* one value for two outputs */
  check_sketch(USE("1{ 1=x 2=y 2=z 4=F 7=f 3=c } 12{ 1=z } ") F_HEAD "4=a 5=b 5=b 7{ 1=a 2=b 4=Relu } } ", "Relu(x)->y;Identity(y)->z;");
  /* nested, and not in order */
  check_sketch(USE("1{ 1=h 2=y 4=Relu } 1{ 1=x 2=h 4=F 7=f 3=c } ") F_HEAD
               "4=a 5=b 7{ 1=m 2=b 4=Neg } 7{ 1=a 2=m 4=G 7=f 3=i } } "
               "25{ 1=G 10=f 4=p 5=q 9{ 1= 2:13 } 7{ 1=p 2=r 4=Abs } 7{ 1=r 2=q 4=Exp } } ",
               "Abs(x)->c/i/r;Exp(c/i/r)->c/m;Neg(c/m)->h;Relu(h)->y;");
  /* told apart by the overload */
  check_sketch(USE("1{ 1=x 2=y 4=F 7=f 8=two } ") F_HEAD
               "4=a 5=b 7{ 1=a 2=b 4=Relu } } "
               "25{ 1=F 10=f 13=two 4=a 5=b 9{ 1= 2:13 } 7{ 1=a 2=b 4=Neg } } ",
               "Neg(x)->y;");
}

static void test_function_attributes(void **state) {
  fixture f;
  (void)state;
  load(&f, USE("1{ 1=x 2=h 4=F 7=f 5{ 1=al 2f0.5 20:1 } } 1{ 1=h 2=y 4=F 7=f 5{ 1=al 2f2 20:1 } 5{ 1=be 2f3 20:1 } } ") F_HEAD
       "4=a 5=b 6=al 11{ 1=be 2f7 20:1 } 7{ 1=a 2=b 4=HardSigmoid 5{ 1=alpha 20:1 21=al } 5{ 1=beta 20:1 21=be } 5{ 1=none 20:2 21=zz } } "
       "} ");
  const qcc_node *one = f.g->first, *two = one->next;
  assert_true(qcc_attr_float(one, "alpha", 0) == 0.5f && qcc_attr_float(one, "beta", 0) == 7.0f);
  assert_true(qcc_attr_float(two, "alpha", 0) == 2.0f && qcc_attr_float(two, "beta", 0) == 3.0f);
  assert_null(qcc_attr_find(one, "none"));
  unload(&f);
}

/* A subgraph in a body: sees the body's names, uses an attribute of the call, and holds a call itself. */
static void test_function_with_subgraph(void **state) {
  fixture f;
  char got[512];
  (void)state;
  load(&f, USE("1{ 1=x 2=y 4=F 7=f 3=c 5{ 1=al 2f0.5 20:1 } } ") F_HEAD
       "4=a 5=b 6=al 7{ 1=a 2=t 4=Relu } "
       "7{ 1=t 2=b 4=Neg 5{ 1=body 20:5 6{ 2=s 1{ 1=t 2=u 4=Elu 5{ 1=alpha 20:1 21=al } } 1{ 1=u 2=v 4=G 7=f 3=i } 12{ 1=v } } } } } "
       "25{ 1=G 10=f 4=p 5=q 9{ 1= 2:13 } 7{ 1=p 2=r 4=Abs } 7{ 1=r 2=q 4=Exp } } ");
  const qcc_graph *inner = f.g->last->attrs->g;
  sketch(inner, got, sizeof got);
  assert_string_equal(got, "Elu(c/t)->u;Abs(u)->c/i/r;Exp(c/i/r)->c/v;");
  assert_true(qcc_attr_float(inner->first, "alpha", 0) == 0.5f);
  unload(&f);
}

/* 2^40 nodes are refused before they are made. */
static void test_doubling_functions(void **state) {
  fixture f = {.cx = NULL};
  char text[16384];
  size_t used = qcc_format(text, sizeof text, "%s", "8{ 1=f 2:1 } " MODEL("1{ 1=x 2=y 4=f0 7=f } "));
  (void)state;
  for (int k = 0; k < 41; k++) {
    used += qcc_format(text + used, sizeof text - used,
                       "25{ 1=f%d 10=f 4=a 5=c 9{ 1=f 2:1 } 9{ 1= 2:13 } 7{ 1=a 2=b 4=%s%d 7=%s } 7{ 1=b 2=c 4=%s%d 7=%s } } ", k,
                       k < 40 ? "f" : "Relu%", k < 40 ? k + 1 : 20, k < 40 ? "f" : "", k < 40 ? "f" : "Relu%", k < 40 ? k + 1 : 20,
                       k < 40 ? "f" : "");
  }
  qcc_host host = {.log = note, .log_user = &f};
  assert_int_equal(qcc_context_new(&f.cx, &host), QCC_OK);
  f.bytes = text_model(f.cx, text, &f.n);
  assert_int_equal(qcc_onnx_load_memory(&f.g, f.cx, f.bytes, f.n, NULL, "m.onnx", false), QCC_LIMIT);
  assert_non_null(strstr(f.log, "max-nodes"));
  assert_true(qcc_context_peak_bytes(f.cx) < 4u << 20);
  unload(&f);
}

/* ---- tensors */
static void test_weights_stay_in_place(void **state) {
  fixture f;
  (void)state;
  load(&f, MODEL(RELU "5{ 8=w 1:250 1:4 2:2 9@1000 } "));
  const uint8_t *at = f.g->consts[0]->data->data;
  assert_true(at > f.bytes && at + 1000 <= f.bytes + f.n);
  unload(&f);
}

static void test_typed_data(void **state) {
  static const struct {
    const char *text, *hex;
  } cases[] = {{"1:2 2:1 4#0000803f00000040 ", "0000803f00000040"},
               {"1:2 2:1 ~250000803f ~2500000040 ", "0000803f00000040"},
               {"1:3 2:3 5:-1 5:2 5:-128 ", "ff0280"},
               {"1:1 2:10 5:15360 ", "003c"},
               {"1:2 2:7 7:-2 7:3 ", "feffffffffffffff0300000000000000"},
               {"1:1 2:12 11:4294967295 ", "ffffffff"},
               {"1:1 2:11 10#000000000000f03f ", "000000000000f03f"},
               {"1:3 2:22 9#21f3 ", "2103"},
               {"1:3 2:22 5:33 5:243 ", "2103"},
               {"1:5 2:25 9#21fe ", "2102"},
               {"1:2 2:9 5#0100 ", "0100"},
               {"1:2 2:6 5#05ffffffffffffffffff01 ", "05000000ffffffff"},
               {"1:2 2:8 6=ab 6= ", "02000000616200000000"},
               {"1:0 2:1 ", ""}};
  (void)state;
  for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++) {
    char text[512], got[128] = "";
    fixture f;
    qcc_format(text, sizeof text, "%s7{ 2=g %s%s%s5{ 8=w %s} } ", HEAD, IN_X, OUT_Y, RELU, cases[k].text);
    load(&f, text);
    const qcc_tensor *t = f.g->consts[0]->data;
    for (size_t b = 0; b < t->bytes; b++) qcc_format(got + 2 * b, 3, "%02x", ((const uint8_t *)t->data)[b]);
    assert_string_equal(got, cases[k].hex);
    unload(&f);
  }
}

static void test_sparse_becomes_dense(void **state) {
  fixture f;
  (void)state;
  load(&f, MODEL("1{ 1=x 1=s 2=y 4=Add } 15{ 1{ 8=s 1:2 2:1 9#0000803f00000040 } 2{ 1:2 1:2 2:7 7:0 7:1 7:1 7:0 } 3:2 3:2 } "));
  const float expected[4] = {0, 1, 2, 0};
  assert_memory_equal(f.g->first->in[1].value->data->data, expected, sizeof expected);
  unload(&f);
}

/* ---- round trips */
static bool holds(const uint8_t *at, size_t n, const char *text) {
  size_t m = strlen(text);
  for (size_t k = 0; k + m <= n; k++) {
    if (!memcmp(at + k, text, m)) return true;
  }
  return false;
}

static void test_rest_survives(void **state) {
  static const char *const kept[] = {"modeldoc", "modelnew",  "graphdoc", "graphnew",   "nodedoc",   "nodemeta",
                                     "attrdoc",  "tensordoc", "valuedoc", "annotation", "seqname",   "dangling",
                                     "denoted",  "metakey",   "overl",    "device",     "sparseattr"};
  fixture f;
  void *out = NULL;
  size_t n = 0;
  (void)state;
  load(&f, "6=modeldoc 14{ 1=metakey 2=v } 99=modelnew 8{ 1=t 2:1 } " HEAD "7{ 2=g " IN_X OUT_Y
           "10=graphdoc 98=graphnew 14{ 1=annotation } 13{ 1=seqname 2{ 4{ 1{ 1{ 1:1 } } } } 3=valuedoc } 13{ 1=dangling 2{ 1{ 1:1 } } } "
           "5{ 8=w 1:1 2:1 9#0000803f 12=tensordoc } "
           "1{ 1=x 2=y 2=seqname 4=Z 7=t 8=overl 6=nodedoc 9{ 1=nodemeta } 10{ 1=device } 5{ 1=a 3:1 20:2 13=attrdoc } "
           "5{ 1=q 20:11 22{ 1{ 8=sparseattr 1:1 2:1 9#0000803f } 2{ 1:1 2:7 9#0000000000000000 } 3:2 } } } "
           "13{ 1=y 2{ 1{ 1:1 } 6=denoted } } } ");
  assert_int_equal(qcc_onnx_save_memory(&out, &n, f.g), QCC_OK);
  for (size_t k = 0; k < sizeof kept / sizeof kept[0]; k++) {
    if (!holds(out, n, kept[k]) && strcmp(kept[k], "denoted") != 0) fail_msg("%s is lost", kept[k]);
  }
  assert_true(holds(out, n, "sparseattr"));
  qcc_free(f.cx, out);
  unload(&f);
}

static void save(fixture *f, void **out, size_t *n) { assert_int_equal(qcc_onnx_save_memory(out, n, f->g), QCC_OK); }

/* Other spellings of one message give the same file: fields reversed, packed and unpacked, long numbers. */
static void test_canonical(void **state) {
  static const char *const spellings[] = {
      HEAD "7{ 2=g " IN_X OUT_Y RELU "5{ 8=w 1:2 1:3 2:1 4#0000803f0000803f0000803f0000803f0000803f0000803f } } ",
      "7{ 5{ 4#0000803f0000803f0000803f0000803f0000803f0000803f ~0a020203 ~10818080808000 8=w } " RELU OUT_Y IN_X "2=g } 8{ 2:13 1= } 1:8 ",
      "8{ 2:13 } ~088880808000 7{ 2=g " RELU IN_X "5{ 8=w 1:2 1:3 2:1 *6( ~250000803f ) } " OUT_Y "} "};
  fixture f;
  void *first = NULL, *out = NULL;
  size_t n = 0, m = 0;
  (void)state;
  load(&f, spellings[0]);
  save(&f, &first, &n);
  for (size_t k = 1; k < 3; k++) {
    fixture other;
    load(&other, spellings[k]);
    save(&other, &out, &m);
    assert_int_equal(m, n);
    assert_memory_equal(out, first, n);
    qcc_free(other.cx, out);
    unload(&other);
  }
  qcc_free(f.cx, first);
  unload(&f);
}

/* IR 3: constants stand among the inputs before and after. */
static void test_listed_constants(void **state) {
  fixture f, again;
  void *out = NULL;
  size_t n = 0;
  (void)state;
  load(&f, "1:3 8{ 2:9 } 7{ 2=g 11{ 1=w " F32_2 "} " IN_X OUT_Y "5{ 8=w 1:2 2:1 9#0000803f0000803f } 1{ 1=x 1=w 2=y 4=Add } } ");
  assert_int_equal(f.g->input_count, 2);
  assert_true(qcc_is_const(f.g->inputs[0]) && f.g->inputs[0]->is_input && !qcc_is_const(f.g->inputs[1]));
  qcc_add_const_f32(f.g, "late", 0, NULL, &(const float){1});
  save(&f, &out, &n);
  memset(&again, 0, sizeof again);
  again.cx = f.cx;
  assert_int_equal(qcc_onnx_load_memory(&again.g, f.cx, out, n, NULL, "again", false), QCC_OK);
  assert_int_equal(again.g->input_count, 3);
  assert_string_equal(again.g->inputs[0]->name, "w");
  qcc_graph_free(again.g);
  qcc_free(f.cx, out);
  unload(&f);
}

/* ---- the scan's promise: parsing takes no more than it said */
static void *counting_alloc(void *user, size_t n) {
  *(size_t *)user += (n + 15) & ~(size_t)15;
  return malloc(n ? n : 1);
}

static void counting_free(void *user, void *p) {
  (void)user;
  free(p);
}

static void test_prediction(void **state) {
  static const char *const models[] = {MODEL(RELU),
                                       MODEL("*500( " RELU ") "),
                                       MODEL("1{ 1=x 2=y 4=Elu 5{ 1=a 20:7 *900( 8:3 ) } } "),
                                       MODEL("*300( 5{ } 1{ } 99=abc 98:7 13{ 2{ 4{ } } } ) "),
                                       MODEL("5{ 7#010203040506070809 5@900 *40( 1:1 ) *50( 6=abc ) } "),
                                       MODEL("1{ *400( 1=x ) 2=y 4=Sum *60( 5{ 1=a 9=abc } ) } ")};
  fixture f = {.cx = NULL};
  qcc_host host = {.log = note, .log_user = &f};
  (void)state;
  assert_int_equal(qcc_context_new(&f.cx, &host), QCC_OK);
  for (size_t k = 0; k < sizeof models / sizeof models[0]; k++) {
    size_t n = 0, used = 0, m = 0;
    uint8_t *bytes = text_model(f.cx, models[k], &n), *flat = NULL;
    qcc_wire wire;
    qcc_wire_init(&wire, f.cx);
    qcc_pb_scan scan = {.cx = f.cx, .file = "m", .bytes = bytes, .n = n, .out = &wire};
    assert_int_equal(qcc_pb_run_scan(&scan), QCC_OK);
    assert_int_equal(qcc_wire_flatten(&wire, &flat, &m), QCC_OK);
    ProtobufCAllocator allocator = {.alloc = counting_alloc, .free = counting_free, .allocator_data = &used};
    ProtobufCMessage *message = protobuf_c_message_unpack(&qcc__onnx__model_proto__descriptor, &allocator, m, flat);
    assert_non_null(message);
    if (used > scan.parsed) fail_msg("model %zu: parsing took %zu bytes, predicted %llu", k, used, (unsigned long long)scan.parsed);
    assert_true(scan.parsed < 4 * used + 1024);
    protobuf_c_message_free_unpacked(message, &allocator);
    qcc_free(f.cx, flat);
    qcc_wire_free(&wire);
    free(bytes);
  }
  unload(&f);
}

/* ---- every field of every message with every wrong wire type */
typedef struct path {
  const ProtobufCMessageDescriptor *type;
  uint32_t field[12];
  unsigned depth;
} path;

static qcc_status scan_at(qcc_context *cx, const path *p, uint32_t field, unsigned wire) {
  onnx_text t = {.depth = 0};
  uint8_t tag[12] = {0}, *flat = NULL;
  size_t n = 0;
  unsigned used = qcc_wire_put_varint(tag, (uint64_t)field << 3 | wire);
  qcc_wire_init(&t.wire, cx);
  for (unsigned k = 0; k < p->depth; k++) t.open[k] = qcc_wire_open(&t.wire, p->field[k]);
  qcc_wire_fields(&t.wire, tag, used);
  qcc_wire_fields(&t.wire, "\0\0\0\0\0\0\0\0", wire == 1 ? 8 : wire == 5 ? 4 : 1);
  for (unsigned k = p->depth; k-- > 0;) qcc_wire_close(&t.wire, t.open[k]);
  assert_int_equal(qcc_wire_flatten(&t.wire, &flat, &n), QCC_OK);
  qcc_wire_free(&t.wire);
  qcc_pb_scan scan = {.cx = cx, .file = "m", .bytes = flat, .n = n};
  qcc_status st = qcc_pb_run_scan(&scan);
  qcc_free(cx, flat);
  return st;
}

static unsigned right_wire(const ProtobufCFieldDescriptor *f) {
  if (f->type == PROTOBUF_C_TYPE_FLOAT) return 5;
  if (f->type == PROTOBUF_C_TYPE_DOUBLE) return 1;
  return f->type == PROTOBUF_C_TYPE_STRING || f->type == PROTOBUF_C_TYPE_BYTES || f->type == PROTOBUF_C_TYPE_MESSAGE ? 2 : 0;
}

static void test_wrong_wire_types(void **state) {
  static path todo[64];
  size_t n = 1, fields = 0;
  fixture f = {.cx = NULL};
  (void)state;
  assert_int_equal(qcc_context_new(&f.cx, NULL), QCC_OK);
  todo[0] = (path){.type = &qcc__onnx__model_proto__descriptor};
  for (size_t k = 0; k < n; k++) {
    for (unsigned j = 0; j < todo[k].type->n_fields; j++) {
      const ProtobufCFieldDescriptor *d = &todo[k].type->fields[j];
      fields++;
      for (unsigned wire = 0; wire < 8; wire++) {
        bool packed = wire == 2 && d->label == PROTOBUF_C_LABEL_REPEATED;
        qcc_status expected = wire == right_wire(d) || packed ? QCC_OK : QCC_INVALID;
        if (scan_at(f.cx, &todo[k], d->id, wire) != expected) fail_msg("%s.%s with wire type %u", todo[k].type->name, d->name, wire);
      }
      if (d->type != PROTOBUF_C_TYPE_MESSAGE) continue;
      bool known = false;
      for (size_t i = 0; i < n; i++) known |= todo[i].type == d->descriptor;
      if (known) continue;
      todo[n] = todo[k];
      todo[n].type = d->descriptor;
      todo[n++].field[todo[k].depth] = d->id;
      todo[n - 1].depth = todo[k].depth + 1;
    }
  }
  assert_true(n > 20 && fields > 100);
  unload(&f);
}

/* ---- stored values: sequences and optionals, whole, cut at every byte, with every byte changed */
static const uint8_t tensor_pb[] = {8, 2, 16, 6, 74, 8, 1, 0, 0, 0, 2, 0, 0, 0}; /* s32[2]: 1, 2 */

static void put_value(const char *file, const uint8_t *at, size_t n) {
  FILE *f = fopen(file, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(at, 1, n, f), n);
  fclose(f);
}

static qcc_status load_value(const char *file, const qcc_extra *type, int64_t *items) {
  qcc_context *cx;
  qcc_tensor t;
  const qcc_value v = {.extra = *type};
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  const qcc_status st = qcc_onnx_load_value(&t, cx, file, &v);
  *items = st == QCC_OK && qcc_tensor_is_list(&t) ? qcc_tensor_count(&t) : -1;
  qcc_tensor_release(&t);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
  return st;
}

static void test_stored_values(void **state) {
  (void)state;
  static const uint8_t sequence_type[] = {18, 8, 34, 6, 10, 4, 10, 2, 8, 6}, optional_type[] = {18, 8, 74, 6, 10, 4, 10, 2, 8, 6};
  const qcc_extra types[] = {{sequence_type, sizeof sequence_type}, {optional_type, sizeof optional_type}};
  char file[] = "build/value-XXXXXX";
  uint8_t pb[64] = {16, 1};
  size_t n = 2;
  int64_t items;
  for (int i = 0; i < 2; i++) {
    pb[n++] = 26; /* field 3 of both kinds of list */
    pb[n++] = sizeof tensor_pb;
    memcpy(pb + n, tensor_pb, sizeof tensor_pb);
    n += sizeof tensor_pb;
  }
  const int fd = mkstemp(file);
  assert_true(fd >= 0);
  close(fd);
  put_value(file, pb, n);
  assert_int_equal(load_value(file, &types[0], &items), QCC_OK);
  assert_int_equal(items, 2);
  assert_int_equal(load_value(file, &types[1], &items), QCC_DATA); /* an optional holds one at most */
  put_value(file, pb, 2);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(load_value(file, &types[i], &items), QCC_OK);
    assert_int_equal(items, 0);
  }
  for (size_t cut = 0; cut < n; cut++) {
    put_value(file, pb, cut);
    const qcc_status st = load_value(file, &types[0], &items);
    assert_true(st == QCC_OK || st == QCC_DATA);
  }
  for (size_t i = 0; i < 8 * n; i++) {
    pb[i / 8] ^= (uint8_t)(1 << i % 8);
    put_value(file, pb, n);
    const qcc_status st = load_value(file, &types[0], &items);
    assert_true(st == QCC_OK || st == QCC_DATA || st == QCC_LIMIT);
    pb[i / 8] ^= (uint8_t)(1 << i % 8);
  }
  remove(file);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_order),
                                     cmocka_unit_test(test_order_is_told_once),
                                     cmocka_unit_test(test_names_in_subgraphs),
                                     cmocka_unit_test(test_functions),
                                     cmocka_unit_test(test_function_attributes),
                                     cmocka_unit_test(test_function_with_subgraph),
                                     cmocka_unit_test(test_doubling_functions),
                                     cmocka_unit_test(test_weights_stay_in_place),
                                     cmocka_unit_test(test_typed_data),
                                     cmocka_unit_test(test_sparse_becomes_dense),
                                     cmocka_unit_test(test_rest_survives),
                                     cmocka_unit_test(test_canonical),
                                     cmocka_unit_test(test_listed_constants),
                                     cmocka_unit_test(test_prediction),
                                     cmocka_unit_test(test_wrong_wire_types),
                                     cmocka_unit_test(test_stored_values)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
