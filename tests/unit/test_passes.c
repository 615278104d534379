/* SPDX-License-Identifier: Apache-2.0
 * Pipelines as text, and what the pass manager promises: needs, fix, bisect, explain, printing, the reproducer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/text.h"
#include "passes/pass.h"

typedef struct log {
  char text[16384];
} log_text;

static void keep_line(void *user, qcc_severity severity, const char *line) {
  log_text *l = user;
  (void)severity;
  if (strlen(l->text) + strlen(line) + 2 < sizeof l->text) strcat(strcat(l->text, line), "\n");
}

/* A file system of one file, which `commit` makes readable in `done`. */
typedef struct one_file {
  char bytes[16384];
  size_t n;
  bool done;
} one_file;

static int file_create(void *user, const char *path, void **file) {
  (void)path;
  *file = user;
  return 0;
}
static int file_write(void *user, void *file, const void *from, size_t n) {
  one_file *f = user;
  (void)file;
  if (f->n + n >= sizeof f->bytes) return 28;
  memcpy(f->bytes + f->n, from, n);
  f->n += n;
  return 0;
}
static int file_commit(void *user, void *file) {
  (void)file;
  ((one_file *)user)->done = true;
  return 0;
}
static void file_close(void *user, void *file) { (void)user, (void)file; }
static int file_open(void *user, const char *path, const char *beneath, void **file, uint64_t *size) {
  (void)user, (void)path, (void)beneath, (void)file, (void)size;
  return 2;
}
static int file_read(void *user, void *file, uint64_t offset, void *to, size_t n, size_t *got) {
  (void)user, (void)file, (void)offset, (void)to, (void)n;
  *got = 0;
  return 0;
}
static int file_list(void *user, const char *path, int (*each)(void *to, const char *name, bool is_folder), void *to) {
  (void)user, (void)path, (void)each, (void)to;
  return 2;
}

typedef struct fixture {
  qcc_context *cx;
  log_text log;
  one_file file;
} fixture;

static int set_up(void **state) {
  fixture *f = calloc(1, sizeof *f);
  qcc_host host = {.log = keep_line, .log_user = &f->log};
  host.io = (qcc_io){.user = &f->file,
                     .open = file_open,
                     .read = file_read,
                     .close = file_close,
                     .create = file_create,
                     .write = file_write,
                     .reread = file_read,
                     .commit = file_commit,
                     .abandon = file_close,
                     .list = file_list};
  if (qcc_context_new(&f->cx, &host) != QCC_OK) return 1;
  *state = f;
  return 0;
}

static int tear_down(void **state) {
  fixture *f = *state;
  qcc_context_free(f->cx);
  free(f);
  return 0;
}

static qcc_graph *parse(fixture *f, const char *text) {
  qcc_graph *g = NULL;
  assert_int_equal(qcc_parse_graph(&g, f->cx, text, strlen(text), "test"), QCC_OK);
  return g;
}

static void expect_print(fixture *f, const char *text, const char *printed) {
  qcc_pipeline *p = NULL;
  qcc_text out = {.cx = f->cx};
  assert_int_equal(qcc_pipeline_parse(&p, f->cx, text, 0xff), QCC_OK);
  qcc_pipeline_print(&out, p);
  assert_string_equal(out.at ? out.at : "", printed);
  qcc_text_free(&out);
  qcc_pipeline_free(p);
}

static void pipelines_print_back(void **state) {
  fixture *f = *state;
  expect_print(f, "", "");
  expect_print(f, "dce", "dce");
  expect_print(f, "canonicalize,fix(eliminate,fix(cse,dce)),dce", "canonicalize,fix(eliminate,fix(cse,dce)),dce");
  expect_print(f, " raise-opset { to = 13 } , dce ", "raise-opset{to=13},dce");
  expect_print(f, "fix(),fix(dce)", "fix(),fix(dce)");
  for (const char *const *name = (const char *const[]){"@prepare", "@quantize", NULL}; *name; name++)
    expect_print(f, *name, qcc_pipeline_stored(*name));
  assert_null(qcc_pipeline_stored("@nothing"));
}

static void expect_refused(fixture *f, const char *text, uint32_t given, const char *message) {
  qcc_pipeline *p = NULL;
  f->log.text[0] = 0;
  assert_int_equal(qcc_pipeline_parse(&p, f->cx, text, given), QCC_ARG);
  assert_null(p);
  if (!strstr(f->log.text, message)) fail_msg("'%s' gave '%s' without '%s'", text, f->log.text, message);
}

static void wrong_pipelines_are_refused(void **state) {
  fixture *f = *state;
  expect_refused(f, "dce,nonsense", 0, "pipeline:1:5");
  expect_refused(f, "dce,nonsense", 0, "    ^");
  expect_refused(f, "dce{x=1}", 0, "has no option");
  expect_refused(f, "raise-opset{to}", 0, "'='");
  expect_refused(f, "raise-opset{to=13", 0, "'}'");
  expect_refused(f, "fix(dce", 0, "')'");
  expect_refused(f, "dce)", 0, "the end");
  expect_refused(f, "dce,", 0, "a pass");
  expect_refused(f, "@nothing", 0, "unknown pass");
  expect_refused(f, "fix(fix(fix(fix(fix(fix(fix(fix(fix(fix(dce))))))))))", 0, "nesting");
}

static void needs_are_checked_when_parsing(void **state) {
  fixture *f = *state;
  qcc_pipeline *p = NULL;
  expect_refused(f, "fuse-conv-bn", 0, "needs shapes");
  expect_refused(f, "infer-shapes,fuse-conv-bn", 0, "canonicalize");
  expect_refused(f, "rewrite-qdq", 0xff & ~QCC_PROP_FAKEQUANT, "insert-fakequant");
  assert_int_equal(qcc_pipeline_parse(&p, f->cx, "fuse-conv-bn", QCC_PROP_SHAPES | QCC_PROP_CANONICAL), QCC_OK);
  qcc_pipeline_free(p);
  assert_int_equal(qcc_pipeline_parse(&p, f->cx, "@prepare", 0), QCC_OK);
  assert_true(qcc_pipeline_names(p, "dce"));
  assert_false(qcc_pipeline_names(p, "rewrite-qdq"));
  qcc_pipeline_free(p);
}

static const char chain[] =
    "graph @f(%x: f32[4]) -> (%y) opset 13 {\n  %a = Identity(%x) \"a\"\n  %b = Identity(%a) \"b\"\n  %c = Identity(%b) \"c\"\n"
    "  %y = Relu(%c) \"y\"\n}\n";

static uint64_t run(fixture *f, qcc_graph *g, const char *pipeline, const qcc_pass_run_options *o) {
  qcc_pipeline *p = NULL;
  uint64_t rewrites = 0;
  assert_int_equal(qcc_pipeline_parse(&p, f->cx, pipeline, 0xff), QCC_OK);
  assert_int_equal(qcc_pipeline_run(p, g, o, &rewrites), QCC_OK);
  qcc_pipeline_free(p);
  return rewrites;
}

static void bisect_counts_single_rewrites(void **state) {
  fixture *f = *state;
  for (uint64_t limit = 1; limit <= 4; limit++) {
    qcc_graph *g = parse(f, chain);
    uint64_t done = run(f, g, "fix(eliminate,cse),dce", &(qcc_pass_run_options){.bisect = limit});
    assert_int_equal(done, limit < 3 ? limit : 3);
    assert_int_equal(g->node_count, 4 - done);
    qcc_graph_free(g);
  }
}

static void explain_tells_the_reason(void **state) {
  fixture *f = *state;
  qcc_graph *g = parse(f, "graph @f(%x: f32[4]) -> (%y) opset 13 {\n  %y = Identity(%x) \"stays\"\n}\n");
  assert_int_equal(run(f, g, "eliminate", &(qcc_pass_run_options){.explain = "identity"}), 0);
  assert_non_null(strstr(f->log.text, "stays"));
  assert_non_null(strstr(f->log.text, "identity declined: the graph's interface needs the node"));
  f->log.text[0] = 0;
  run(f, g, "eliminate", &(qcc_pass_run_options){.explain = "dropout"});
  assert_string_equal(f->log.text, "");
  qcc_graph_free(g);
}

static void keep_text(void *user, const char *text, size_t n) {
  log_text *l = user;
  strncat(l->text, text, n);
}

static void only_changes_are_printed(void **state) {
  fixture *f = *state;
  log_text out = {{0}};
  qcc_graph *g = parse(f, chain);
  qcc_pass_run_options o = {.print_changed = true, .print = keep_text, .print_user = &out};
  run(f, g, "dce,eliminate,cse", &o);
  assert_non_null(strstr(out.text, "; after eliminate\n"));
  assert_null(strstr(out.text, "; after dce"));
  assert_null(strstr(out.text, "; after cse"));
  out.text[0] = 0;
  o = (qcc_pass_run_options){.print_after = "cse", .print = keep_text, .print_user = &out};
  run(f, g, "dce,eliminate,cse", &o);
  assert_non_null(strstr(out.text, "; after cse\ngraph @f"));
  assert_null(strstr(out.text, "; after eliminate"));
  qcc_graph_free(g);
}

static void time_is_told_per_pass(void **state) {
  fixture *f = *state;
  qcc_graph *g = parse(f, chain);
  run(f, g, "eliminate,dce", &(qcc_pass_run_options){.time = true});
  assert_non_null(strstr(f->log.text, "rewrites"));
  assert_non_null(strstr(f->log.text, "eliminate"));
  qcc_graph_free(g);
}

/* Shapes that contradict each other make infer-shapes fail: the file holds the graph before it and what was left to do. */
static void a_failing_pass_leaves_a_reproducer(void **state) {
  fixture *f = *state;
  const char bad[] =
      "graph @f(%x: f32[2,3]) -> (%y) opset 13 {\n  %w = const f32[4,5] rand(1)\n  %i = Identity(%x)\n  %y = MatMul(%i, %w) \"bad\"\n}\n";
  qcc_graph *g = parse(f, bad), *again = NULL;
  assert_int_equal(qcc_run_passes(g, "canonicalize,infer-shapes,fix(eliminate,dce)", &(qcc_pass_run_options){.reproducer = "x.repro.qir"}),
                   QCC_INVALID);
  qcc_graph_free(g);
  assert_true(f->file.done);
  assert_memory_equal(f->file.bytes, "; pass: infer-shapes,fix(eliminate,dce)\n", 40);
  assert_int_equal(qcc_parse_graph(&again, f->cx, f->file.bytes, f->file.n, "x.repro.qir"), QCC_OK);
  assert_int_equal(again->node_count, 2);
  qcc_graph_free(again);
}

static void the_registry_is_complete(void **state) {
  (void)state;
  uint32_t count = 0;
  for (const qcc_pass *p; (p = qcc_pass_at(count)) != NULL; count++) {
    assert_ptr_equal(qcc_pass_find(p->name), p);
    assert_non_null(p->doc);
    assert_true(strlen(p->doc) > 10);
    for (const char *at = p->name; *at; at++) assert_true((*at >= 'a' && *at <= 'z') || *at == '-');
  }
  assert_true(count >= 17);
  assert_null(qcc_pass_find("nonsense"));
}

int main(void) {
  const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
      TEST(pipelines_print_back),          TEST(wrong_pipelines_are_refused),        TEST(needs_are_checked_when_parsing),
      TEST(bisect_counts_single_rewrites), TEST(explain_tells_the_reason),           TEST(only_changes_are_printed),
      TEST(time_is_told_per_pass),         TEST(a_failing_pass_leaves_a_reproducer), TEST(the_registry_is_complete),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
