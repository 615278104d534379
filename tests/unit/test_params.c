/* SPDX-License-Identifier: Apache-2.0
 * Parameters of single tensors from JSON: every rule of the two layouts, and that what was given is what comes out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "frontends/capi/qcc.h"

/* r, d and k share their parameters. */
static const char net[] =
    "graph @net(%x: f32[1,3,4,4]) -> (%y) opset 13 {\n"
    "  %w = const f32[4,3,1,1] rand(1)\n"
    "  %u = const f32[4,3,1,1] rand(2)\n"
    "  %v = const f32[2,8,1,1] rand(3)\n"
    "  %b = const f32[4] [1,2,3,4]\n"
    "  %c = Conv(%x, %w, %b) \"conv\"\n"
    "  %r = Relu(%c) \"relu\"\n"
    "  %d = Conv(%x, %u) \"other\"\n"
    "  %k = Concat(%r, %d) {axis=1} \"concat\"\n"
    "  %y = Conv(%k, %v) \"last\"\n}\n";

typedef struct world {
  qcc_context *cx;
  qcc_model *model, *result;
  qcc_data *data;
  qcc_compile_options o;
  float values[48];
  char warnings[4096];
} world;

static void keep_line(void *user, qcc_severity severity, const char *line) {
  world *w = user;
  size_t n = strlen(w->warnings);
  if (severity == QCC_WARNING) snprintf(w->warnings + n, sizeof w->warnings - n, "%s\n", line);
}

static qcc_status get(void *user, size_t index, qcc_array *inputs) {
  world *w = user;
  for (size_t i = 0; i < 48; i++) w->values[i] = (float)((index * 31 + i * 7) % 23) / 11.0f - 1.0f;
  inputs[0] = (qcc_array){.dtype = 1, .rank = 4, .dim = {1, 3, 4, 4}, .data = w->values, .bytes = sizeof w->values};
  return QCC_OK;
}

static int setup(void **state) {
  world *w = calloc(1, sizeof *w);
  qcc_host host = {.log = keep_line, .log_user = w};
  assert_int_equal(qcc_open(&w->cx, &host), QCC_OK);
  assert_int_equal(qcc_parse(&w->model, w->cx, net, strlen(net), "net.qir"), QCC_OK);
  assert_int_equal(qcc_data_pull(&w->data, w->model, 8, get, w), QCC_OK);
  w->o = (qcc_compile_options)QCC_COMPILE_OPTIONS_INIT;
  w->o.calib = w->data;
  w->o.threads = 1;
  *state = w;
  return 0;
}

static int teardown(void **state) {
  world *w = *state;
  qcc_model_free(w->result);
  qcc_data_free(w->data);
  qcc_model_free(w->model);
  qcc_close(w->cx);
  free(w);
  return 0;
}

static qcc_status compile(world *w, const char *overrides, const char *encodings) {
  qcc_model_free(w->result);
  w->warnings[0] = 0;
  w->o.overrides = overrides, w->o.overrides_bytes = overrides ? strlen(overrides) : 0;
  w->o.encodings = encodings, w->o.encodings_bytes = encodings ? strlen(encodings) : 0;
  return qcc_compile(&w->result, w->model, &w->o);
}

/* JSON of the result without spaces and line ends; free it. */
static char *result_json(world *w, qcc_status (*json)(const qcc_model *model, char **out, size_t *n)) {
  char *text = NULL, *to;
  size_t n = 0;
  assert_int_equal(json(w->result, &text, &n), QCC_OK);
  char *tight = to = malloc(n + 1);
  for (size_t i = 0; i < n; i++)
    if (text[i] != ' ' && text[i] != '\n') *to++ = text[i];
  *to = 0;
  qcc_bytes_free(w->cx, text);
  return tight;
}

static void holds(world *w, const char *part) {
  char *text = result_json(w, qcc_overrides_json);
  if (!strstr(text, part)) fail_msg("no %s in %s", part, text);
  free(text);
}

static void refused(world *w, bool is_overrides, const char *text, const char *message) {
  qcc_status st = compile(w, is_overrides ? text : NULL, is_overrides ? NULL : text);
  if (st == QCC_OK || !strstr(qcc_message(w->cx), message)) fail_msg("%s: %d: %s", text, (int)st, qcc_message(w->cx));
  assert_null(w->result);
}

static void overrides_rules(void **state) {
  static const char *const cases[][2] = {
      {"{", "1:1: error[A-320]: overrides: not valid JSON"},
      {"[]", "overrides: expected an object"},
      {"{\"x\": [{}], \"x\": [{}]}", "not valid JSON: duplicate"},
      {"{\"xx\": [{}]}", "overrides: \"xx\": the model has no such tensor; did you mean \"x\"?"},
      {"{\"nothing like it\": [{}]}", "the model has no such tensor"},
      {"{\"x\": {}}", "overrides: \"x\": expected a list of objects"},
      {"{\"x\": [1]}", "overrides: \"x\"[0]: expected an object"},
      {"{\"x\": [{\"scales\": 1}]}", "overrides: \"x\"[0]: unknown member \"scales\"; did you mean \"scale\"?"},
      {"{\"x\": [{\"quant_type\": \"QInt9\"}]}", "\"quant_type\" must be QInt8"},
      {"{\"x\": [{\"quant_type\": 1}]}", "\"quant_type\" must be QInt8"},
      {"{\"x\": [{\"quant_type\": \"QUInt16\"}]}", "the type u16 cannot be given here; the target computes in u8"},
      {"{\"w\": [{\"quant_type\": \"QUInt8\"}]}", "the type u8 cannot be given here; the target computes in s8"},
      {"{\"x\": [{\"scale\": 0.1}]}", "\"scale\" stands alone"},
      {"{\"x\": [{\"zero_point\": 3}]}", "\"zero_point\" stands alone"},
      {"{\"x\": [{\"scale\": 0, \"zero_point\": 3}]}", "\"scale\" must be above 0"},
      {"{\"x\": [{\"scale\": \"1\", \"zero_point\": 3}]}", "\"scale\" must be a finite number"},
      {"{\"x\": [{\"scale\": 1e-60, \"zero_point\": 3}]}", "\"scale\" must be above 0"},
      {"{\"x\": [{\"scale\": 1, \"zero_point\": 0.5}]}", "\"zero_point\" must be an integer"},
      {"{\"x\": [{\"scale\": 1, \"zero_point\": 256}]}", "zero point 256 is not a code of u8"},
      {"{\"w\": [{\"scale\": 1, \"zero_point\": 2}]}", "weights are symmetric"},
      {"{\"w\": [{\"symmetric\": false}]}", "weights are symmetric"},
      {"{\"x\": [{\"scale\": 1, \"zero_point\": 0, \"symmetric\": true}]}", "\"symmetric\" has no meaning beside"},
      {"{\"w\": [{\"scale\": 1, \"zero_point\": 0, \"reduce_range\": true}]}", "\"reduce_range\" has no meaning beside"},
      {"{\"x\": [{\"scale\": 1, \"zero_point\": 0, \"rmin\": 0}]}", "\"rmin\" has no meaning beside"},
      {"{\"x\": [{\"scale\": 1, \"zero_point\": 0, \"rmax\": 0}]}", "\"rmax\" has no meaning beside"},
      {"{\"x\": [{\"symmetric\": 1}]}", "\"symmetric\" must be true or false"},
      {"{\"x\": [{\"rmin\": 0}]}", "\"rmin\" stands alone"},
      {"{\"x\": [{\"rmax\": 0}]}", "\"rmax\" stands alone"},
      {"{\"x\": [{\"rmin\": 1, \"rmax\": 0}]}", "\"rmin\" must not be above"},
      {"{\"x\": [{\"reduce_range\": true}]}", "\"reduce_range\" is for initializers"},
      {"{\"x\": [{\"axis\": 1}]}", "\"axis\" is for initializers"},
      {"{\"x\": [{}, {}]}", "several items are for initializers"},
      {"{\"w\": [{}, {}]}", "several items need \"axis\" in the first"},
      {"{\"w\": [{\"axis\": 4}]}", "\"axis\" is not an axis of the tensor"},
      {"{\"w\": [{\"axis\": -5}]}", "\"axis\" is not an axis of the tensor"},
      {"{\"w\": [{\"axis\": 0}, {}]}", "2 items, but the axis has 4 channels"},
      {"{\"w\": [{\"axis\": 1, \"scale\": 1, \"zero_point\": 0}]}", "axis 1, but the channels of this weight are on axis 0"},
      {"{\"w\": [{\"axis\": 0, \"scale\": 1, \"zero_point\": 0}, {}, {}, {}]}",
       "\"w\"[1]: all channels have \"scale\" and \"zero_point\", or none"},
      {"{\"w\": [{\"axis\": 0}, {\"rmin\": 0, \"rmax\": 1}, {}, {}]}", "\"w\"[1]: all channels have \"rmin\" and \"rmax\", or none"},
      {"{\"w\": [{\"axis\": 0}, {\"axis\": 1}, {}, {}]}", "\"w\"[1]: \"axis\" differs from the first"},
      {"{\"w\": [{\"axis\": 0}, {}, {\"quant_type\": \"QInt8\"}, {}]}", "\"w\"[2]: \"quant_type\" differs from the first"},
      {"{\"w\": [{\"axis\": 0}, {}, {}, {\"symmetric\": true}]}", "\"w\"[3]: \"symmetric\" differs from the first"},
      {"{\"w\": [{\"axis\": 0}, {\"reduce_range\": true}, {}, {}]}", "\"w\"[1]: \"reduce_range\" differs from the first"},
      {"{\"w\": [{\"convert\": {\"quant_type\": \"QInt8\"}}]}", "\"convert\" is for activations"},
      {"{\"x\": [{\"convert\": 1}]}", "\"convert\" must be an object"},
      {"{\"x\": [{\"convert\": {}}]}", "\"x\"[0], \"convert\": \"quant_type\" is missing"},
      {"{\"x\": [{\"convert\": {\"quant_type\": \"QInt8\", \"scale\": 1}}]}", "\"convert\": \"scale\" stands alone"},
      {"{\"x\": [{\"convert\": {\"quant_type\": \"QInt8\", \"reduce_range\": true}}]}", "\"reduce_range\" is for initializers"},
      {"{\"x\": [{\"quant_type\": \"QUInt8\", \"convert\": {\"quant_type\": \"QUInt8\"}}]}", "must differ from the type of the tensor"},
      {"{\"x\": [{\"convert\": {\"quant_type\": \"QUInt16\", \"recv_nodes\": [\"conv\"]}}]}", "\"convert\" is not supported"},
      {"{\"r\": [{\"scale\": 1, \"zero_point\": 0}], \"d\": [{\"scale\": 1, \"zero_point\": 1}]}",
       "both tensors must share their parameters"},
      {"{\"w\": [{\"scale\": 1e-20, \"zero_point\": 0}]}", "too small for its bias to fit 32 bits"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) refused(*state, true, cases[i][0], cases[i][1]);
}

static void encodings_rules(void **state) {
#define ONE(text) "{\"activation_encodings\": {\"x\": [" text "]}}"
  static const char *const cases[][2] = {
      {"{\"a\": 1}", "neither \"activation_encodings\" nor \"param_encodings\" is there"},
      {"{\"activation_encodings\": 1}", "encodings: \"activation_encodings\": expected an object or a list"},
      {"{\"activation_encodings\": {\"xx\": [{\"bitwidth\": 8, \"min\": 0, \"max\": 1}]}}", "did you mean \"x\"?"},
      {"{\"activation_encodings\": {\"x\": []}}", "expected at least one encoding"},
      {"{\"activation_encodings\": [{\"bw\": 8}]}", "\"activation_encodings\"[0]: \"name\" must be a text"},
      {ONE("1"), "encodings: \"activation_encodings\".\"x\": expected an object"},
      {ONE("{\"bits\": 8}"), "unknown member \"bits\""},
      {ONE("{}"), "\"bitwidth\" must be an integer"},
      {ONE("{\"bitwidth\": 5, \"min\": 0, \"max\": 1}"), "\"bitwidth\" must be 4, 8 or 16"},
      {ONE("{\"bitwidth\": 8, \"dtype\": \"float\"}"), "\"dtype\" must be \"int\""},
      {ONE("{\"bitwidth\": 8, \"is_symmetric\": \"maybe\"}"), "\"is_symmetric\" must be"},
      {ONE("{\"bitwidth\": 8, \"scale\": 1}"), "\"scale\" stands alone"},
      {ONE("{\"bitwidth\": 8, \"offset\": -1}"), "\"offset\" stands alone"},
      {ONE("{\"bitwidth\": 8, \"scale\": -1, \"offset\": 0}"), "\"scale\" must be above 0"},
      {ONE("{\"bitwidth\": 8, \"scale\": 1, \"offset\": 3}"), "\"offset\" must be an integer not above 0"},
      {ONE("{\"bitwidth\": 8, \"scale\": 1, \"offset\": -300}"), "zero point 300 is not a code of u8"},
      {ONE("{\"bitwidth\": 8, \"min\": 1}"), "are missing"},
      {ONE("{\"bitwidth\": 16, \"scale\": 1, \"offset\": 0}"), "the type u16 cannot be given here"},
      {ONE("{\"bitwidth\": 8, \"min\": 0, \"max\": 1}, {\"bitwidth\": 8, \"min\": 0, \"max\": 1}"), "an activation has one encoding"},
      {"{\"param_encodings\": {\"w\": [{\"bitwidth\": 8, \"min\": 0, \"max\": 1}, {}]}}", "another number of channels"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) refused(*state, false, cases[i][0], cases[i][1]);
}

static void other_options(void **state) {
  world *w = *state;
  const char *one = "{\"x\": [{\"scale\": 1, \"zero_point\": 0}]}";
  assert_int_equal(compile(w, one, "{\"activation_encodings\": {\"x\": [{\"bitwidth\": 8, \"min\": 0, \"max\": 1}]}}"), QCC_ARG);
  assert_non_null(strstr(qcc_message(w->cx), "is also in overrides: \"x\""));
  w->o.level = 0;
  refused(w, true, one, "-O0 quantizes nothing");
  w->o.level = 1;
  assert_int_equal(compile(w, NULL, NULL), QCC_OK);
  char *plan = NULL;
  size_t n = 0;
  assert_int_equal(qcc_plan_json(w->result, &plan, &n), QCC_OK);
  w->o.overrides = one, w->o.overrides_bytes = strlen(one);
  qcc_model *other = NULL;
  assert_int_equal(qcc_compile_plan(&other, w->model, plan, n, &w->o), QCC_ARG);
  assert_non_null(strstr(qcc_message(w->cx), "a plan has its own parameters"));
  qcc_bytes_free(w->cx, plan);
  assert_int_equal(qcc_overrides_json(w->model, &plan, &n), QCC_ARG);
  assert_int_equal(qcc_encodings_json(w->model, &plan, &n), QCC_ARG);
}

/* At both levels, whatever trials would have liked. */
static void given_is_kept(void **state) {
  world *w = *state;
  const char *text =
      "{\"x\": [{\"quant_type\": \"QUInt8\", \"scale\": 0.0123, \"zero_point\": 100}], \"r\": [{\"rmin\": -1.0, \"rmax\": 4.1}],"
      " \"w\": [{\"axis\": -4, \"scale\": 0.02, \"zero_point\": 0}, {\"scale\": 0.03, \"zero_point\": 0}, {\"scale\": 0.04, "
      "\"zero_point\": 0},"
      "         {\"scale\": 0.05, \"zero_point\": 0}],"
      " \"u\": [{\"axis\": 0, \"rmin\": -2.54, \"rmax\": 1}], \"v\": [{\"rmin\": -1.27, \"rmax\": 1.27}]}";
  for (w->o.level = 1; w->o.level <= 2; w->o.level++) {
    assert_int_equal(compile(w, text, NULL), QCC_OK);
    assert_string_equal(w->warnings, "");
    holds(w, "\"x\":[{\"quant_type\":\"QUInt8\",\"scale\":0.0123,\"zero_point\":100}]");
    holds(w, "\"r\":[{\"quant_type\":\"QUInt8\",\"scale\":0.02,\"zero_point\":50}]");
    holds(w, "\"d\":[{\"quant_type\":\"QUInt8\",\"scale\":0.02,\"zero_point\":50}]"); /* shares them */
    holds(w,
          "\"w\":[{\"quant_type\":\"QInt8\",\"axis\":0,\"scale\":0.02,\"zero_point\":0},{\"scale\":0.03,\"zero_point\":0},"
          "{\"scale\":0.04,\"zero_point\":0},{\"scale\":0.05,\"zero_point\":0}]");
    holds(w, "\"u\":[{\"quant_type\":\"QInt8\",\"axis\":0,\"scale\":0.02,\"zero_point\":0},{\"scale\":0.02");
    holds(w, "\"v\":[{\"quant_type\":\"QInt8\",\"scale\":0.01,\"zero_point\":0}]");
  }
}

static void only_the_grid(void **state) {
  world *w = *state;
  w->o.level = 1; /* no islands */
  assert_int_equal(
      compile(w, "{\"x\": [{\"symmetric\": true}], \"w\": [{\"axis\": 0, \"reduce_range\": true, \"rmin\": -64, \"rmax\": 64}], \"r\": []}",
              NULL),
      QCC_OK);
  char *text = result_json(w, qcc_overrides_json);
  const char *x = strstr(text, "\"x\":[");
  assert_non_null(x);
  assert_int_equal(strncmp(strstr(x, "\"zero_point\""), "\"zero_point\":128", 16), 0);
  free(text);
  holds(w, "\"w\":[{\"quant_type\":\"QInt8\",\"axis\":0,\"scale\":1.0,\"zero_point\":0}");
}

static void what_is_not_used_is_told(void **state) {
  world *w = *state;
  assert_int_equal(compile(w, "{\"c\": [{\"scale\": 1, \"zero_point\": 0}], \"b\": [{\"scale\": 1, \"zero_point\": 0}]}", NULL), QCC_OK);
  assert_non_null(strstr(w->warnings, "overrides: \"c\" and 1 more: stays float, or follows from other tensors"));
}

static void encodings_are_taken(void **state) {
  world *w = *state;
  const char *old =
      "{\"version\": \"0.6.1\", \"activation_encodings\": {\"x\": [{\"bitwidth\": 8, \"dtype\": \"int\", \"is_symmetric\": \"False\","
      " \"min\": -1, \"max\": 1.55, \"offset\": -100, \"scale\": 0.01}]},"
      " \"param_encodings\": {\"v\": [{\"bitwidth\": 8, \"offset\": -128, \"scale\": 0.5}, {\"bitwidth\": 8, \"offset\": -128, \"scale\": "
      "0.25}]}}";
  const char *new =
      "{\"version\": \"1.0.0\", \"activation_encodings\": [{\"name\": \"x\", \"enc_type\": \"PER_TENSOR\", \"dtype\": \"INT\", \"bw\": 8,"
      " \"is_sym\": false, \"scale\": [0.01], \"offset\": [-100.0]}], \"param_encodings\": [{\"name\": \"v\", \"dtype\": \"INT\", \"bw\": "
      "8,"
      " \"enc_type\": \"PER_CHANNEL\", \"is_sym\": true, \"scale\": [0.5, 0.25], \"offset\": [-128, -128]}]}";
  w->o.level = 1; /* no islands */
  for (int k = 0; k < 2; k++) {
    assert_int_equal(compile(w, NULL, k ? new : old), QCC_OK);
    holds(w, "\"x\":[{\"quant_type\":\"QUInt8\",\"scale\":0.01,\"zero_point\":100}]");
    holds(w, "\"v\":[{\"quant_type\":\"QInt8\",\"axis\":0,\"scale\":0.5,\"zero_point\":0},{\"scale\":0.25,\"zero_point\":0}]");
    char *text = result_json(w, qcc_encodings_json);
    assert_non_null(strstr(text,
                           "\"x\":[{\"bitwidth\":8,\"dtype\":\"int\",\"is_symmetric\":\"False\",\"min\":-1.0,\"max\":1.55,\"offset\":-100,"
                           "\"scale\":0.01}]"));
    assert_non_null(strstr(text,
                           "\"v\":[{\"bitwidth\":8,\"dtype\":\"int\",\"is_symmetric\":\"True\",\"min\":-64.0,\"max\":63.5,\"offset\":-128,"
                           "\"scale\":0.5},"));
    free(text);
  }
  assert_int_equal(compile(w, NULL, ONE("{\"bitwidth\": 8, \"min\": -1.27, \"max\": 1.28}")), QCC_OK);
  holds(w, "\"x\":[{\"quant_type\":\"QUInt8\",\"scale\":0.01,\"zero_point\":127}]");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
      TEST(overrides_rules), TEST(encodings_rules),          TEST(other_options),       TEST(given_is_kept),
      TEST(only_the_grid),   TEST(what_is_not_used_is_told), TEST(encodings_are_taken),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
