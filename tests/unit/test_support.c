/* SPDX-License-Identifier: Apache-2.0
 * Context, memory, names, maps, arrays, text, diagnostics. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ir/support/arena.h"
#include "ir/support/map.h"
#include "ir/support/vec.h"
#include "tests/oom.h"

typedef struct log {
  char lines[8][2100];
  qcc_severity severity[8];
  int n;
} log;

static void keep(void *user, qcc_severity severity, const char *line) {
  log *l = user;
  if (l->n == 8) return;
  l->severity[l->n] = severity;
  snprintf(l->lines[l->n++], sizeof l->lines[0], "%s", line);
}

static qcc_context *make(log *l) {
  qcc_context *cx = NULL;
  qcc_host host = {.log = l ? keep : NULL, .log_user = l};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  return cx;
}

static void memory(void **state) {
  (void)state;
  oom o = {0};
  qcc_host host = {.alloc = {oom_resize, &o}};
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  size_t before = qcc_context_live_bytes(cx);
  char *p = qcc_alloc(cx, 100);
  assert_int_equal((uintptr_t)p % 64, 0);
  assert_int_equal(qcc_context_live_bytes(cx), before + 100);
  memset(p, 'a', 100);
  for (size_t n = 100; n < 3000000; n = n * 3 + 1) {
    p = qcc_realloc_array(cx, p, n, 1);
    assert_int_equal((uintptr_t)p % 64, 0);
    for (size_t i = 0; i < 100; i++) assert_int_equal(p[i], 'a');
    memset(p, 'a', n);
  }
  p = qcc_realloc_array(cx, p, 10, 1);
  assert_int_equal(qcc_context_live_bytes(cx), before + 10);
  assert_true(qcc_context_peak_bytes(cx) > 1000000);
  uint64_t *z = qcc_zalloc_array(cx, 1000, 8);
  for (int i = 0; i < 1000; i++) assert_true(z[i] == 0);
  void *empty = qcc_alloc(cx, 0);
  assert_non_null(empty);
  qcc_free(cx, empty);
  qcc_free(cx, z);
  qcc_free(cx, p);
  qcc_free(cx, NULL);
  assert_int_equal(qcc_context_live_bytes(cx), before);
  qcc_context_free(cx);
  assert_int_equal(o.live, 0);
  assert_false(o.wrong);
}

static void overflow(void **state) {
  (void)state;
  log l = {.n = 0};
  qcc_context *cx = make(&l);
  char *p = qcc_alloc(cx, 10);
  assert_null(qcc_alloc_array(cx, SIZE_MAX / 2, 3));
  assert_non_null(strstr(qcc_last_error(cx), "N-001"));
  assert_null(qcc_realloc_array(cx, p, SIZE_MAX / 4, 8)); /* told once */
  assert_null(qcc_alloc(cx, SIZE_MAX));
  assert_int_equal(l.n, 1);
  qcc_clear_errors(cx);
  assert_string_equal(qcc_last_error(cx), "");
  assert_null(qcc_zalloc_array(cx, SIZE_MAX, SIZE_MAX));
  assert_int_equal(l.n, 2);
  qcc_free(cx, p);
  qcc_context_free(cx);
}

static int never_open(void *user, const char *path, const char *beneath, void **file, uint64_t *size) {
  (void)user, (void)path, (void)beneath, (void)file, (void)size;
  return 1;
}

static void half_filled(void **state) {
  (void)state;
  qcc_context *cx = NULL;
  qcc_host host = {.io = {.open = never_open}};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_ARG);
  assert_null(cx);
  assert_int_equal(qcc_context_new(NULL, NULL), QCC_ARG);
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  assert_int_equal(qcc_context_limits(cx)->wire_depth, 100);
  qcc_context_free(cx);
  qcc_context_free(NULL);
}

static void arenas(void **state) {
  (void)state;
  qcc_context *cx = make(NULL);
  size_t before = qcc_context_live_bytes(cx);
  qcc_arena a;
  qcc_arena_init(&a, cx);
  char *kept[2000];
  for (size_t i = 0; i < 2000; i++) {
    size_t n = i % 97 == 0 ? 100000 + i : i % 61;
    kept[i] = qcc_arena_alloc(&a, n);
    assert_non_null(kept[i]);
    assert_int_equal((uintptr_t)kept[i] % 16, 0);
    for (size_t k = 0; k < n; k++) assert_int_equal(kept[i][k], 0);
    memset(kept[i], (int)(i % 251), n);
  }
  for (size_t i = 0; i < 2000; i++)
    for (size_t k = 0; k < i % 61 && i % 97; k++) assert_int_equal((unsigned char)kept[i][k], i % 251);
  assert_memory_equal(qcc_arena_copy(&a, "abc", 4), "abc", 4);
  assert_null(qcc_arena_array(&a, SIZE_MAX / 2, 4));
  assert_null(qcc_arena_alloc(&a, SIZE_MAX));
  qcc_arena_fini(&a);
  assert_int_equal(qcc_context_live_bytes(cx), before);
  qcc_context_free(cx);
}

static void names(void **state) {
  (void)state;
  qcc_context *cx = make(NULL);
  const char *kept[5000];
  for (int i = 0; i < 5000; i++) kept[i] = qcc_internf(cx, "layer%d/conv", i);
  for (int i = 0; i < 5000; i++) {
    char text[40];
    snprintf(text, sizeof text, "layer%d/conv", i);
    assert_string_equal(kept[i], text);
    assert_ptr_equal(qcc_intern(cx, text), kept[i]);
    for (int k = 1; k < 5; k++) assert_ptr_not_equal(kept[i], kept[(i + k) % 5000]);
  }
  assert_null(qcc_intern(cx, NULL));
  assert_ptr_equal(qcc_intern_n(cx, "abcdef", 3), qcc_intern(cx, "abc"));
  assert_ptr_not_equal(qcc_intern_n(cx, "abc\0d", 5), qcc_intern(cx, "abc"));
  assert_ptr_equal(qcc_intern(cx, ""), qcc_intern_n(cx, "x", 0));
  char longer[1000];
  memset(longer, 'q', sizeof longer);
  longer[999] = 0;
  assert_ptr_equal(qcc_internf(cx, "%s", longer), qcc_intern(cx, longer));
  qcc_context_free(cx);
}

static void maps(void **state) {
  (void)state;
  qcc_context *cx = make(NULL);
  qcc_map m;
  qcc_map_init(&m, cx);
  char keys[3000];
  uintptr_t value = 77;
  assert_false(qcc_map_get(&m, keys, &value));
  for (size_t i = 0; i < 3000; i++) assert_true(qcc_map_put(&m, &keys[i], i * 2));
  for (size_t i = 0; i < 3000; i += 3) assert_true(qcc_map_put(&m, &keys[i], 5));
  for (size_t i = 0; i < 3000; i++) {
    assert_true(qcc_map_get(&m, &keys[i], &value));
    assert_int_equal(value, i % 3 ? i * 2 : 5);
  }
  assert_int_equal(m.n, 3000);
  assert_false(qcc_map_get(&m, cx, NULL));
  assert_null(qcc_map_ptr(&m, cx));
  assert_null(qcc_map_ptr(&m, NULL));
  qcc_map_fini(&m);
  qcc_context_free(cx);
}

static void arrays_and_text(void **state) {
  (void)state;
  qcc_context *cx = make(NULL);
  QCC_VEC(int) v = {0};
  for (int i = 0; i < 1000; i++) assert_true(qcc_vec_push(cx, &v, i));
  for (int i = 0; i < 1000; i++) assert_int_equal(v.at[i], i);
  qcc_vec_free(cx, &v);
  qcc_text t = {.cx = cx};
  for (int i = 0; i < 500; i++) qcc_text_addf(&t, "%d,", i);
  qcc_text_addf(&t, "%400d", 1);
  qcc_text_add(&t, "end", 3);
  assert_false(t.failed);
  assert_int_equal(t.n, 10 * 2 + 90 * 3 + 400 * 4 + 400 + 3);
  assert_int_equal(strlen(t.at), t.n);
  assert_string_equal(t.at + t.n - 5, " 1end");
  qcc_text_free(&t);
  qcc_context_free(cx);
}

static void lines(void **state) {
  (void)state;
  log l = {.n = 0};
  qcc_context *cx = make(&l);
  qcc_loc loc = {.file = "a.onnx", .node = "conv\n1", .op = "Conv"};
  assert_int_equal(qcc_error(cx, QCC_INVALID, "M-042", &loc, "weight has rank %d, expected %d", 3, 4), QCC_INVALID);
  assert_string_equal(l.lines[0], "a.onnx: node \"conv\\n1\" (Conv): error[M-042]: weight has rank 3, expected 4");
  assert_string_equal(qcc_last_error(cx), l.lines[0]);
  loc = (qcc_loc){.file = "p.yaml", .line = 7, .column = 11};
  qcc_warn(cx, "A-007", &loc, "unknown key");
  assert_string_equal(l.lines[1], "p.yaml:7:11: warning[A-007]: unknown key");
  loc = (qcc_loc){.file = "a.onnx", .op = "Relu", .node = "", .tensor = "x"};
  qcc_note(cx, &loc, "see %-s", "b\x1b");
  assert_string_equal(l.lines[2], "a.onnx: operator Relu: tensor \"x\": note: see \"b\\x1b\"");
  qcc_info(cx, "done");
  assert_string_equal(l.lines[3], "done");
  assert_int_equal(l.severity[3], QCC_INFO);
  assert_string_equal(qcc_last_error(cx), l.lines[0]); /* only errors are kept */
  qcc_error(cx, QCC_IO, "F-001", NULL, "two\nlines");
  assert_string_equal(l.lines[4], "error[F-001]: two\\nlines");
  char longer[4000];
  memset(longer, 'x', sizeof longer);
  longer[3999] = 0;
  loc = (qcc_loc){.file = longer, .node = longer, .op = longer, .tensor = longer};
  qcc_error(cx, QCC_INVALID, "M-001", &loc, "%s", longer);
  assert_true(strlen(l.lines[5]) < 2048);
  assert_non_null(strstr(l.lines[5], "error[M-001]: xxx"));
  qcc_context_free(cx);
}

static void nested(void *user, qcc_severity severity, const char *line) {
  qcc_context **cx = user;
  (void)severity, (void)line;
  qcc_error(*cx, QCC_INTERNAL, "I-999", NULL, "said inside of the log");
}

static bool stop_at_three(void *user, const char *stage, uint64_t done, uint64_t total) {
  (void)stage;
  *(int *)user += 1;
  return !(done == 3 && total == 5);
}

static void callbacks(void **state) {
  (void)state;
  qcc_context *cx = NULL;
  int calls = 0;
  qcc_host host = {.log = nested, .log_user = &cx, .progress = stop_at_three, .progress_user = &calls};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  assert_int_equal(qcc_error(cx, QCC_ARG, "A-002", NULL, "outer"), QCC_ARG);
  assert_non_null(strstr(qcc_last_error(cx), "I-999"));
  assert_int_equal(qcc_progress(cx, "calibrate", 2, 5), QCC_OK);
  assert_int_equal(qcc_progress(cx, "calibrate", 3, 5), QCC_CANCELLED);
  assert_int_equal(calls, 2);
  qcc_context_free(cx);
}

static void *shout(void *user) {
  qcc_context *cx = user;
  for (int i = 0; i < 300; i++) {
    void *p = qcc_alloc(cx, (size_t)i * 7);
    qcc_error(cx, QCC_IO, "F-001", NULL, "number %d", i);
    qcc_free(cx, p);
  }
  return NULL;
}

static void threads(void **state) {
  (void)state;
  qcc_context *cx = make(NULL);
  size_t before = qcc_context_live_bytes(cx);
  pthread_t t[4];
  for (int i = 0; i < 4; i++) assert_int_equal(pthread_create(&t[i], NULL, shout, cx), 0);
  for (int i = 0; i < 4; i++) pthread_join(t[i], NULL);
  assert_string_equal(qcc_last_error(cx), "error[F-001]: number 299");
  assert_int_equal(qcc_context_live_bytes(cx), before);
  qcc_context_free(cx);
}

static qcc_status use_everything(qcc_context *cx, void *user) {
  (void)user;
  qcc_status status = QCC_NOMEM;
  qcc_arena a;
  qcc_map m;
  qcc_text t = {.cx = cx};
  qcc_arena_init(&a, cx);
  qcc_map_init(&m, cx);
  bool good = true;
  for (int i = 0; i < 120 && good; i++) {
    const char *name = qcc_internf(cx, "name %d", i);
    good = name && qcc_map_put(&m, name, 1) && qcc_arena_alloc(&a, 500);
    qcc_text_addf(&t, "%d", i);
  }
  if (good && !t.failed) status = QCC_OK;
  qcc_text_free(&t);
  qcc_map_fini(&m);
  qcc_arena_fini(&a);
  return status;
}

static void failures(void **state) {
  (void)state;
  assert_true(oom_sweep(use_everything, NULL, 1, 0) > 15);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(memory),    cmocka_unit_test(overflow), cmocka_unit_test(half_filled),     cmocka_unit_test(arenas),
      cmocka_unit_test(names),     cmocka_unit_test(maps),     cmocka_unit_test(arrays_and_text), cmocka_unit_test(lines),
      cmocka_unit_test(callbacks), cmocka_unit_test(threads),  cmocka_unit_test(failures),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
