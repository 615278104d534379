/* SPDX-License-Identifier: Apache-2.0
 * External data, reading and writing: rows X of the catalogue of bad inputs, and files that must be refused, on a folder made here. */
#define _POSIX_C_SOURCE 200809L
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dirent.h>

#include <cmocka.h>

#include "backends/onnx/export.h"
#include "frontends/onnx/import.h"
#include "tests/onnx_text.h"
#include "tests/oom.h"

typedef struct room {
  char folder[64], model[96];
  qcc_context *cx;
  char log[4096];
} room;

static void note(void *user, qcc_severity severity, const char *line) {
  room *r = user;
  (void)severity;
  qcc_format(r->log, sizeof r->log, "%s", line);
}

static const char *in(const room *r, const char *name, char *to) {
  qcc_format(to, 512, "%s/%s", r->folder, name);
  return to;
}

static void put_file(const char *path, const void *bytes, size_t n) {
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

/* m/model.onnx with m/w.bin (16 bytes), m/sub/w.bin, secret beside m; links, a FIFO, a folder. */
static void make_room(room *r) {
  static const char bytes[] = "0123456789abcdef";
  char a[512], b[512];
  memset(r, 0, sizeof *r);
  qcc_host host = {.log = note, .log_user = r};
  assert_int_equal(qcc_context_new(&r->cx, &host), QCC_OK);
  qcc_format(r->folder, sizeof r->folder, "%s", "/tmp/qcc-external-XXXXXX");
  assert_non_null(mkdtemp(r->folder));
  put_file(in(r, "secret", a), "top secret bytes", 16);
  assert_int_equal(mkdir(in(r, "m", a), 0700), 0);
  assert_int_equal(mkdir(in(r, "m/sub", a), 0700), 0);
  put_file(in(r, "m/w.bin", a), bytes, 16);
  put_file(in(r, "m/sub/w.bin", a), bytes, 16);
  put_file(in(r, "m/one.bin", a), bytes, 16);
  assert_int_equal(link(in(r, "m/one.bin", a), in(r, "m/two.bin", b)), 0);
  assert_int_equal(symlink("../secret", in(r, "m/out.bin", a)), 0);
  assert_int_equal(symlink("w.bin", in(r, "m/back.bin", a)), 0);
  assert_int_equal(symlink("loop.bin", in(r, "m/loop.bin", a)), 0);
  assert_int_equal(symlink("..", in(r, "m/up", a)), 0);
  assert_int_equal(mkfifo(in(r, "m/fifo", a), 0600), 0);
  in(r, "m/model.onnx", r->model);
}

static void remove_all(const char *folder) {
  char path[1024];
  DIR *d = opendir(folder);
  for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) {
    struct stat st;
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    qcc_format(path, sizeof path, "%s/%s", folder, e->d_name);
    if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode))
      remove_all(path);
    else
      unlink(path);
  }
  if (d) closedir(d);
  rmdir(folder);
}

static void leave_room(room *r) {
  remove_all(r->folder);
  qcc_context_free(r->cx);
}

static int count_files(const char *folder) {
  int n = 0;
  DIR *d = opendir(folder);
  for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d)) n++;
  if (d) closedir(d);
  return n;
}

/* A model with one initializer of two s64 and the given external entries. */
static qcc_status load(room *r, const char *entries, qcc_graph **g) {
  char text[8192];
  size_t n;
  qcc_format(text, sizeof text, "%s7{ 2=g %s%s%s5{ 8=w 1:2 2:7 14:1 %s} } ", HEAD, IN_X, OUT_Y, RELU, entries);
  uint8_t *bytes = text_model(r->cx, text, &n);
  put_file(r->model, bytes, n);
  free(bytes);
  return qcc_onnx_load(g, r->cx, r->model);
}

#define AT(location, more) "13{ 1=location 2=" location " } " more
#define KEY(key, value) "13{ 1=" key " 2=" value " } "

typedef struct row {
  const char *id;
  qcc_status status;
  const char *entries;
} row;

static const row rows[] = {
    {"plain", QCC_OK, AT("w.bin", "")},
    {"sub", QCC_OK, AT("sub/w.bin", KEY("offset", "0") KEY("length", "16"))},
    {"dot", QCC_OK, AT("./w.bin", "")},
    {"X01a", QCC_INVALID, AT("../secret", "")},
    {"X01b", QCC_INVALID, AT("sub/../../secret", "")},
    {"X01c", QCC_INVALID, AT("sub//../../secret", "")},
    {"X01d", QCC_INVALID, AT(".", "")},
    {"X01e", QCC_INVALID, AT("", "")},
    {"X01f", QCC_INVALID, AT("w.bin/", "")},
    {"X01g", QCC_INVALID, AT("c:w.bin", "")},
    {"X01h", QCC_INVALID, AT("sub\\w.bin", "")},
    {"X01i", QCC_INVALID, "13{ 1=location 2@5000 } "},
    {"X01j", QCC_INVALID, AT("sub/../w.bin", "")},
    {"X01k", QCC_INVALID, AT("sub/./w.bin", "")},
    {"X02a", QCC_INVALID, AT("/etc/passwd", "")},
    {"X02b", QCC_INVALID, AT("w.bin%00", "")},
    {"X03a", QCC_INVALID, AT("out.bin", "")},
    {"X03b", QCC_INVALID, AT("up/secret", "")},
    {"X03c", QCC_INVALID, AT("loop.bin", "")},
    {"X03d", QCC_INVALID, AT("back.bin", "")},
    {"X04", QCC_INVALID, AT("one.bin", "")},
    {"X05a", QCC_INVALID, AT("fifo", "")},
    {"X05b", QCC_INVALID, AT("sub", "")},
    {"missing", QCC_IO, AT("none.bin", "")},
    {"X07a", QCC_INVALID, AT("w.bin", KEY("offset", "-1"))},
    {"X07b", QCC_INVALID, AT("w.bin", KEY("offset", "0x0"))},
    {"X07c", QCC_INVALID, AT("w.bin", KEY("offset", "1e9"))},
    {"X07d", QCC_INVALID, AT("w.bin", KEY("offset", ""))},
    {"X07e", QCC_INVALID, AT("w.bin", KEY("offset", "9223372036854775808"))},
    {"X07f", QCC_INVALID, AT("w.bin", KEY("offset", "9223372036854775807"))},
    {"X07g", QCC_INVALID, AT("w.bin", KEY("offset", "1"))},
    {"X07h", QCC_INVALID, AT("w.bin", KEY("length", "8"))},
    {"X07i", QCC_INVALID, AT("w.bin", KEY("length", "17"))},
    {"X07j", QCC_INVALID, AT("w.bin", KEY("offset", "%200"))},
    {"X08a", QCC_INVALID, AT("w.bin", AT("w.bin", ""))},
    {"X08b", QCC_INVALID, AT("w.bin", KEY("offset", "0") KEY("offset", "0"))},
    {"X08c", QCC_OK, AT("w.bin", KEY("whatever", "0"))},
    {"X08d", QCC_INVALID, KEY("offset", "0")},
    {"X08e", QCC_INVALID, AT("w.bin", KEY("checksum", "0000000000000000000000000000000000000000"))},
    {"X08f", QCC_OK, AT("w.bin", KEY("checksum", "fe5567e8d769550852182cdf69d74bb16dff8e29"))},
    {"X08g", QCC_INVALID, AT("w.bin", KEY("checksum", "fe5567"))},
};

static void test_rows(void **state) {
  room r;
  int bad = 0;
  (void)state;
  make_room(&r);
  for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++) {
    qcc_graph *g = NULL;
    qcc_status st = load(&r, rows[k].entries, &g);
    bool right = st == QCC_OK ? !memcmp(g->consts[0]->data->data, "0123456789abcdef", 16) : strstr(r.log, "secret bytes") == NULL;
    if (st != rows[k].status || !right) {
      print_error("%s: status %d, wanted %d: %s\n", rows[k].id, (int)st, (int)rows[k].status, r.log);
      bad++;
    }
    qcc_graph_free(g);
  }
  assert_int_equal(bad, 0);
  leave_room(&r);
}

/* Tensors that overlap cannot ask for more than four times the file; many files are opened a few at a time. */
static void test_many(void **state) {
  room r;
  qcc_graph *g = NULL;
  char text[4096], path[512];
  size_t n, used;
  (void)state;
  make_room(&r);
  used = qcc_format(text, sizeof text, "%s7{ 2=g %s%s%s", HEAD, IN_X, OUT_Y, RELU);
  for (int k = 0; k < 30; k++) {
    char name[16];
    qcc_format(name, sizeof name, "m/%d.bin", k);
    put_file(in(&r, name, path), "0123456789abcdef", 16);
    used += qcc_format(text + used, sizeof text - used, "5{ 8=w%d 1:2 2:7 14:1 13{ 1=location 2=%d.bin } } ", k, k);
  }
  qcc_format(text + used, sizeof text - used, "} ");
  uint8_t *bytes = text_model(r.cx, text, &n);
  put_file(r.model, bytes, n);
  free(bytes);
  assert_int_equal(qcc_onnx_load(&g, r.cx, r.model), QCC_OK);
  assert_int_equal(g->const_count, 30);
  qcc_graph_free(g);
  leave_room(&r);
}

/* ---- writing */
static qcc_graph *sample(room *r) {
  qcc_graph *g = NULL;
  size_t n;
  uint8_t *bytes = text_model(
      r->cx, MODEL(RELU "5{ 8=big 1:500 1:4 2:2 9@2000 } 5{ 8=small 1:2 2:1 9#0000803f0000803f } 5{ 8=more 1:1500 2:2 9@1500 } "), &n);
  assert_int_equal(qcc_onnx_load_memory(&g, r->cx, bytes, n, NULL, "m", true), QCC_OK);
  free(bytes);
  return g;
}

static void test_write_external(void **state) {
  room r;
  char path[512];
  qcc_graph *again = NULL;
  (void)state;
  make_room(&r);
  int before = count_files(r.folder);
  qcc_graph *g = sample(&r);
  qcc_onnx_write_options options = {.external = 1};
  assert_int_equal(qcc_onnx_save(g, in(&r, "out.onnx", path), &options), QCC_OK);
  assert_int_equal(qcc_onnx_save(g, path, &options), QCC_OK); /* the same again: the same names */
  assert_int_equal(count_files(r.folder), before + 2);
  struct stat st;
  assert_int_equal(stat(path, &st), 0);
  assert_true(st.st_size < 1000);
  assert_int_equal(qcc_onnx_load(&again, r.cx, path), QCC_OK);
  for (uint32_t k = 0; k < 3; k++) {
    assert_int_equal(again->consts[k]->data->bytes, g->consts[k]->data->bytes);
    assert_memory_equal(again->consts[k]->data->data, g->consts[k]->data->data, g->consts[k]->data->bytes);
  }
  qcc_graph_free(again);
  qcc_graph_free(g);
  leave_room(&r);
}

static void test_refused_outputs(void **state) {
  room r;
  char path[512];
  (void)state;
  make_room(&r);
  qcc_graph *g = sample(&r);
  int before = count_files(r.folder);
  assert_int_equal(qcc_onnx_save(g, in(&r, "nowhere/out.onnx", path), NULL), QCC_IO);
  assert_int_equal(qcc_onnx_save(g, in(&r, "m", path), NULL), QCC_ARG);
  assert_int_equal(qcc_onnx_save(g, in(&r, "m/out.bin", path), NULL), QCC_ARG);
  assert_int_equal(qcc_onnx_save(g, in(&r, "m/fifo", path), NULL), QCC_ARG);
  qcc_value *x = g->inputs[0];
  qcc_add_opaque(g, NULL, "qcc", "FakeQuant", NULL, &x, 1, 1);
  assert_int_equal(qcc_onnx_save(g, in(&r, "out.onnx", path), NULL), QCC_INTERNAL);
  assert_int_equal(count_files(r.folder), before);
  qcc_graph_free(g);
  leave_room(&r);
}

/* ---- the output protocol against a host that fails at the k-th call, or that stores other bytes */
typedef struct faulty {
  const qcc_io *real;
  long left; /* calls that still work */
  bool flip; /* the disk returns one wrong bit */
  long opened, closed;
} faulty;

static bool fails(faulty *f) { return f->left-- <= 0; }

static int bad_create(void *user, const char *path, void **file) {
  faulty *f = user;
  int code = fails(f) ? 28 : f->real->create(f->real->user, path, file);
  f->opened += code == 0;
  return code;
}

static int bad_write(void *user, void *file, const void *from, size_t n) {
  faulty *f = user;
  return fails(f) ? 28 : f->real->write(f->real->user, file, from, n);
}

static int bad_reread(void *user, void *file, uint64_t offset, void *to, size_t n, size_t *got) {
  faulty *f = user;
  if (fails(f)) return 5;
  int code = f->real->reread(f->real->user, file, offset, to, n, got);
  if (f->flip && offset == 0 && *got) ((uint8_t *)to)[*got - 1] ^= 1;
  return code;
}

static int bad_commit(void *user, void *file) {
  faulty *f = user;
  f->closed++;
  if (!fails(f)) return f->real->commit(f->real->user, file);
  f->real->abandon(f->real->user, file);
  return 5;
}

static void bad_abandon(void *user, void *file) {
  faulty *f = user;
  f->closed++;
  f->real->abandon(f->real->user, file);
}

static qcc_status save_faulty(room *r, faulty *f, const char *path, const qcc_onnx_write_options *options) {
  qcc_context *cx = NULL;
  qcc_graph *g = NULL;
  size_t n;
  qcc_host host = {0};
  f->real = &qcc_context_host(r->cx)->io;
  host.io = (qcc_io){.user = f,
                     .open = f->real->open,
                     .read = f->real->read,
                     .close = f->real->close,
                     .create = bad_create,
                     .write = bad_write,
                     .reread = bad_reread,
                     .commit = bad_commit,
                     .abandon = bad_abandon,
                     .list = f->real->list};
  assert_int_equal(qcc_context_new(&cx, &host), QCC_OK);
  uint8_t *bytes = text_model(cx, MODEL(RELU "5{ 8=big 1:500 1:4 2:2 9@2000 } "), &n);
  assert_int_equal(qcc_onnx_load_memory(&g, cx, bytes, n, NULL, "m", false), QCC_OK);
  qcc_status st = qcc_onnx_save(g, path, options);
  qcc_graph_free(g);
  free(bytes);
  qcc_context_free(cx);
  assert_int_equal(f->opened, f->closed);
  return st;
}

static void test_faulty_disk(void **state) {
  room r;
  char path[512];
  (void)state;
  for (int external = 0; external < 2; external++) {
    qcc_onnx_write_options options = {.external = external};
    make_room(&r);
    in(&r, "out.onnx", path);
    put_file(path, "old", 3);
    int before = count_files(r.folder);
    qcc_status st = QCC_IO;
    long k = 0;
    for (; st != QCC_OK; k++) {
      struct stat old;
      assert_int_equal(stat(path, &old), 0);
      assert_int_equal(old.st_size, 3);
      faulty f = {.left = k};
      st = save_faulty(&r, &f, path, &options);
      assert_true(st == QCC_OK || st == QCC_IO);
      assert_true(count_files(r.folder) <= before + external); /* the data file may be there already */
    }
    assert_true(k > 4);
    faulty f = {.left = 1000, .flip = true};
    assert_true(save_faulty(&r, &f, path, &options) != QCC_OK);
    leave_room(&r);
  }
}

/* ---- every allocation fails in turn, through files */
typedef struct target {
  room *r;
  char path[512];
  int before; /* files in the folder */
} target;

static qcc_status load_and_save(qcc_context *cx, void *user) {
  const target *t = user;
  const qcc_onnx_write_options options = {.external = 1, .external_threshold = 1};
  qcc_graph *g = NULL;
  qcc_status st = qcc_onnx_load(&g, cx, t->r->model);
  if (st == QCC_OK) {
    st = qcc_onnx_save(g, t->path, &options);
    qcc_graph_free(g);
  }
  assert_true(count_files(t->r->folder) <= t->before + 2);
  return st;
}

static void test_no_memory(void **state) {
  room r;
  target t = {.r = &r};
  qcc_graph *g = NULL;
  (void)state;
  make_room(&r);
  assert_int_equal(load(&r, AT("w.bin", KEY("checksum", "fe5567e8d769550852182cdf69d74bb16dff8e29")), &g), QCC_OK);
  qcc_graph_free(g);
  in(&r, "out.onnx", t.path);
  t.before = count_files(r.folder);
  assert_true(oom_sweep(load_and_save, &t, 1, 0) > 20);
  leave_room(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_rows),           cmocka_unit_test(test_many),
                                     cmocka_unit_test(test_write_external), cmocka_unit_test(test_refused_outputs),
                                     cmocka_unit_test(test_faulty_disk),    cmocka_unit_test(test_no_memory)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
