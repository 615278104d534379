/* SPDX-License-Identifier: Apache-2.0
 * Spilling: large constants leave memory and read the same, whatever the place for them does; a compiled model has the same bytes. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "frontends/capi/qcc.h"
#include "ir/ir.h"
#include "tests/oom.h"

enum { LARGE = 1 << 20, SMALL = 1 << 10, WORKERS = 4 };

/* ---- a host whose place for bytes is told what to do */
typedef struct place {
  qcc_context *files; /* lends its file access */
  const qcc_io *real;
  int fails; /* errno; 0: works */
  int spilled, unmapped, forgotten;
} place;

static int spill(void *user, const void *bytes, size_t n, const void **kept) {
  place *p = user;
  p->spilled++;
  if (p->fails) return p->fails;
  void *copy = malloc(n);
  if (copy) *kept = memcpy(copy, bytes, n);
  return copy ? 0 : ENOMEM;
}

static void unmap(void *user, const void *bytes, size_t n) {
  (void)n;
  __atomic_add_fetch(&((place *)user)->unmapped, 1, __ATOMIC_RELAXED);
  free((void *)(uintptr_t)bytes);
}

static void forget(void *user, const void *bytes, size_t n) {
  (void)bytes;
  (void)n;
  __atomic_add_fetch(&((place *)user)->forgotten, 1, __ATOMIC_RELAXED);
}

static qcc_host host_of(place *p) {
  assert_int_equal(qcc_context_new(&p->files, NULL), QCC_OK);
  p->real = &qcc_context_host(p->files)->io;
  qcc_host h = {.io = *p->real};
  h.io.user = p;
  h.io.map = NULL;
  h.io.spill = spill;
  h.io.unmap = unmap;
  h.io.forget = forget;
  return h;
}

static qcc_context *open_place(place *p) {
  const qcc_host h = host_of(p);
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, &h), QCC_OK);
  return cx;
}

static void close_place(place *p, qcc_context *cx) {
  assert_true(qcc_context_live_bytes(cx) < LARGE / 8); /* names stay */
  qcc_context_free(cx);
  qcc_context_free(p->files);
}

static qcc_buf *filled(qcc_context *cx, size_t n) {
  qcc_buf *b = qcc_buf_new(cx, n);
  assert_non_null(b);
  uint8_t *to = qcc_buf_unique(&b);
  for (size_t i = 0; i < n; i++) to[i] = (uint8_t)(i * 7 + i / 251);
  return b;
}

static void check(const qcc_buf *b, size_t n) {
  const uint8_t *at = qcc_buf_data(b);
  assert_int_equal(qcc_buf_size(b), n);
  for (size_t i = 0; i < n; i++)
    if (at[i] != (uint8_t)(i * 7 + i / 251)) fail_msg("byte %zu differs", i);
}

/* ---- buffers */
static void leaves_memory(void **state) {
  (void)state;
  place p = {0};
  qcc_context *cx = open_place(&p);
  qcc_buf *b = filled(cx, LARGE);
  assert_true(qcc_buf_spill(&b));
  assert_int_equal(p.spilled, 1);
  assert_true(qcc_context_live_bytes(cx) < LARGE / 2);
  check(b, LARGE);
  assert_true(qcc_buf_spill(&b)); /* is there already */
  assert_int_equal(p.spilled, 1);

  qcc_buf *part = qcc_buf_slice(b, LARGE / 2, SMALL);
  qcc_buf_cold(b);
  qcc_buf_cold(part);
  assert_int_equal(p.forgotten, 2);
  qcc_buf_release(b);
  assert_int_equal(p.unmapped, 0);
  assert_memory_equal(qcc_buf_data(part), (uint8_t[]){(uint8_t)(LARGE / 2 * 7 + LARGE / 2 / 251)}, 1);
  qcc_buf_release(part);
  assert_int_equal(p.unmapped, 1);
  close_place(&p, cx);
}

static void written_as_a_copy(void **state) {
  (void)state;
  place p = {0};
  qcc_context *cx = open_place(&p);
  qcc_buf *b = filled(cx, LARGE), *other = NULL;
  assert_true(qcc_buf_spill(&b));
  other = qcc_buf_retain(b);
  uint8_t *to = qcc_buf_unique(&b);
  assert_non_null(to);
  to[0] = 99;
  check(other, LARGE);
  qcc_buf_release(other);
  assert_int_equal(p.unmapped, 1);
  qcc_buf_release(b);
  close_place(&p, cx);
}

static void stays(void **state) {
  (void)state;
  place p = {0};
  qcc_context *cx = open_place(&p);
  qcc_buf *small = filled(cx, SMALL), *shared = filled(cx, LARGE), *again = qcc_buf_retain(shared);
  assert_true(qcc_buf_spill(&small) && qcc_buf_spill(&shared));
  assert_int_equal(p.spilled, 0);
  assert_ptr_equal(shared, again);
  qcc_buf_release(small);
  qcc_buf_release(shared);
  qcc_buf_release(again);
  close_place(&p, cx);
}

/* A full disk is no failure, and is asked once. */
static void no_room(void **state) {
  (void)state;
  place p = {.fails = ENOSPC};
  qcc_context *cx = open_place(&p);
  for (int i = 0; i < 3; i++) {
    qcc_buf *b = filled(cx, LARGE);
    assert_true(qcc_buf_spill(&b));
    check(b, LARGE);
    qcc_buf_release(b);
  }
  assert_int_equal(p.spilled, 1);
  assert_string_equal(qcc_last_error(cx), "");
  close_place(&p, cx);
}

static void *drop(void *user) {
  qcc_buf **b = user;
  for (int i = 0; i < 50; i++) {
    qcc_buf_cold(b[i]);
    check(b[i], LARGE / 2);
    qcc_buf_release(b[i]);
  }
  return NULL;
}

static void released_by_workers(void **state) {
  (void)state;
  place p = {0};
  qcc_context *cx = open_place(&p);
  qcc_buf *b[50];
  pthread_t worker[WORKERS];
  for (int i = 0; i < 50; i++) {
    b[i] = filled(cx, LARGE / 2);
    assert_true(qcc_buf_spill(&b[i]));
    for (int k = 1; k < WORKERS; k++) qcc_buf_retain(b[i]);
  }
  for (int k = 0; k < WORKERS; k++) assert_int_equal(pthread_create(&worker[k], NULL, drop, b), 0);
  for (int k = 0; k < WORKERS; k++) pthread_join(worker[k], NULL);
  assert_int_equal(p.unmapped, 50);
  close_place(&p, cx);
}

static void no_memory(void **state) {
  (void)state;
  for (size_t k = 1; k < 4; k++) {
    place p = {0};
    oom o = {0};
    qcc_host h = host_of(&p);
    h.alloc = (qcc_allocator){oom_resize, &o};
    qcc_context *cx = NULL;
    assert_int_equal(qcc_context_new(&cx, &h), QCC_OK);
    qcc_buf *b = filled(cx, LARGE);
    o.fail_at = o.calls + k;
    bool done = qcc_buf_spill(&b);
    assert_int_equal(done, k > 1);
    check(b, LARGE);
    qcc_buf_release(b);
    assert_int_equal(p.unmapped, p.spilled);
    close_place(&p, cx);
    assert_int_equal(o.live, 0);
  }
}

/* ---- constants of graphs */
static void constants(void **state) {
  (void)state;
  place p = {0};
  qcc_context *cx = open_place(&p);
  qcc_graph *g = NULL, *copy = NULL;
  assert_int_equal(qcc_graph_new(&g, cx), QCC_OK);
  const int64_t dims[] = {LARGE / 4};
  qcc_type type = qcc_type_of(QCC_F32, 1, dims);
  qcc_tensor t;
  assert_int_equal(qcc_tensor_new(&t, cx, &type), QCC_OK);
  memset(qcc_tensor_mut(&t), 1, t.bytes);
  qcc_value *v = qcc_add_const(g, "w", &t);
  assert_int_equal(qcc_graph_status(g), QCC_OK);
  assert_int_equal(p.spilled, 1);
  assert_int_equal(qcc_graph_clone(&copy, g), QCC_OK);
  assert_ptr_equal(copy->consts[0]->data->data, v->data->data);
  assert_int_equal(qcc_tensor_new(&t, cx, &type), QCC_OK);
  memset(qcc_tensor_mut(&t), 2, t.bytes);
  qcc_set_const(v, &t);
  assert_int_equal(p.spilled, 2);
  assert_int_equal(*(const char *)v->data->data, 2);
  assert_int_equal(*(const char *)copy->consts[0]->data->data, 1);
  qcc_graph_free(g);
  qcc_graph_free(copy);
  assert_int_equal(p.unmapped, 2);
  close_place(&p, cx);
}

/* ---- the place that POSIX files have */
typedef struct folder {
  char at[64];
} folder;

static int make_folder(void **state) {
  folder *f = calloc(1, sizeof *f);
  if (!f) return -1;
  strcpy(f->at, "/var/tmp/qcc-spill-test-XXXXXX");
  *state = f;
  return mkdtemp(f->at) ? 0 : -1;
}

static int remove_folder(void **state) {
  folder *f = *state;
  int r = rmdir(f->at); /* fails when something is left behind */
  free(f);
  return r;
}

static size_t entries(const char *at) {
  size_t n = 0;
  DIR *d = opendir(at);
  assert_non_null(d);
  while (readdir(d)) n++;
  closedir(d);
  return n - 2; /* "." and ".." */
}

static void in_files(void **state) {
  const folder *f = *state;
  char path[sizeof f->at];
  memcpy(path, f->at, sizeof path);
  const qcc_host h = {.spill_folder = path};
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, &h), QCC_OK);
  path[0] = 0; /* the text was taken over */
  qcc_buf *b = filled(cx, LARGE + 1);
  const void *before = qcc_buf_data(b);
  assert_true(qcc_buf_spill(&b));
  if (qcc_buf_data(b) == before) skip(); /* no disk: a file system in memory is refused */
  assert_int_equal(entries(f->at), 0);
  check(b, LARGE + 1);
  qcc_buf_cold(b);
  check(b, LARGE + 1);
  qcc_buf_release(b);
  assert_true(qcc_context_live_bytes(cx) < LARGE / 8); /* names stay */
  qcc_context_free(cx);
}

static void try_folder(const char *at) {
  const qcc_host h = {.spill_folder = at};
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, &h), QCC_OK);
  qcc_buf *b = filled(cx, LARGE);
  const void *before = qcc_buf_data(b);
  assert_true(qcc_buf_spill(&b));
  assert_ptr_equal(qcc_buf_data(b), before);
  check(b, LARGE);
  qcc_buf_release(b);
  assert_string_equal(qcc_last_error(cx), "");
  qcc_context_free(cx);
}

static void nowhere(void **state) {
  const folder *f = *state;
  char missing[128];
  snprintf(missing, sizeof missing, "%s/missing", f->at);
  try_folder(missing);
  try_folder("/dev/null");
  struct rlimit was, most;
  assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
  most = (struct rlimit){.rlim_cur = LARGE / 2, .rlim_max = was.rlim_max};
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &most), 0);
  try_folder(f->at); /* a signal would end the test */
  assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
}

/* ---- compiling */
static const char network[] =
    "graph @net(%x: f32[1,64,4,4]) -> (%y) opset 13 {\n"
    "  %w = const f32[128,64,5,5] rand(1)\n"
    "  %s = const f32[128] rand(2)\n"
    "  %m = const f32[128] rand(3)\n"
    "  %v = const f32[128] splat(0.7)\n"
    "  %k = const f32[2048,300] rand(4)\n"
    "  %c = Conv(%x, %w) {pads=[2,2,2,2]} \"conv\"\n"
    "  %n = BatchNormalization(%c, %s, %m, %m, %v) \"bn\"\n"
    "  %f = Flatten(%n) \"flat\"\n"
    "  %y = MatMul(%f, %k) \"product\"\n}\n";

static void *compiled(const qcc_host *h, int level, size_t *n, size_t *peak) {
  qcc_context *cx = NULL;
  qcc_model *m = NULL, *small = NULL;
  void *bytes = NULL;
  qcc_data *data = NULL;
  assert_int_equal(qcc_open(&cx, h), QCC_OK);
  assert_int_equal(qcc_parse(&m, cx, network, strlen(network), "net.qir"), QCC_OK);
  qcc_compile_options o = QCC_COMPILE_OPTIONS_INIT;
  o.level = level;
  if (level > 1) assert_int_equal(qcc_data_synthetic(&data, m, 5, 1), QCC_OK);
  o.calib = data;
  assert_int_equal(qcc_compile(&small, m, &o), QCC_OK);
  *peak = qcc_peak_bytes(cx);
  assert_int_equal(qcc_save_memory(small, &bytes, n), QCC_OK);
  void *copy = malloc(*n);
  assert_non_null(copy);
  memcpy(copy, bytes, *n);
  qcc_bytes_free(cx, bytes);
  qcc_data_free(data);
  qcc_model_free(small);
  qcc_model_free(m);
  qcc_close(cx);
  return copy;
}

static void same_bytes(void **state) {
  (void)state;
  for (int level = 1; level <= 2; level++) {
    size_t n[3], peak[3];
    place works = {0}, full = {.fails = ENOSPC};
    const qcc_host here = {0}, there = host_of(&works), nowhere_ = host_of(&full);
    void *plain = compiled(&here, level, &n[0], &peak[0]);
    void *spilled = compiled(&there, level, &n[1], &peak[1]);
    void *refused = compiled(&nowhere_, level, &n[2], &peak[2]);
    assert_true(works.spilled > 3 && works.unmapped == works.spilled && full.spilled == 1);
    assert_true(n[0] == n[1] && n[0] == n[2]);
    assert_memory_equal(plain, spilled, n[0]);
    assert_memory_equal(plain, refused, n[0]);
    if (level == 1) assert_true(peak[1] < peak[0] * 3 / 4);
    free(plain);
    free(spilled);
    free(refused);
    qcc_context_free(works.files);
    qcc_context_free(full.files);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(leaves_memory),
      cmocka_unit_test(written_as_a_copy),
      cmocka_unit_test(stays),
      cmocka_unit_test(no_room),
      cmocka_unit_test(released_by_workers),
      cmocka_unit_test(no_memory),
      cmocka_unit_test(constants),
      cmocka_unit_test_setup_teardown(in_files, make_folder, remove_folder),
      cmocka_unit_test_setup_teardown(nowhere, make_folder, remove_folder),
      cmocka_unit_test(same_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
