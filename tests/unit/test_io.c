/* SPDX-License-Identifier: Apache-2.0
 * The default file access: what opens, what must not open, and that an output appears whole or not at all. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "ir/support/context.h"

typedef struct place {
  qcc_context *cx;
  const qcc_io *io;
  char at[64];
} place;

static char *in(const place *p, const char *name, char *to) {
  snprintf(to, 256, "%s/%s", p->at, name);
  return to;
}

static void put(const char *path, const char *text) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(text, f);
  fclose(f);
}

static int setup(void **state) {
  char path[256];
  place *p = calloc(1, sizeof *p);
  strcpy(p->at, "/tmp/qcc-io-XXXXXX");
  if (!p || !mkdtemp(p->at) || qcc_context_new(&p->cx, NULL) != QCC_OK) return -1;
  p->io = &qcc_context_host(p->cx)->io;
  mkdir(in(p, "model", path), 0777);
  mkdir(in(p, "model/sub", path), 0777);
  put(in(p, "model/w.bin", path), "weights");
  put(in(p, "model/sub/v.bin", path), "inner");
  put(in(p, "secret", path), "secret");
  *state = p;
  return 0;
}

static int teardown(void **state) {
  place *p = *state;
  char command[128];
  qcc_context_free(p->cx);
  snprintf(command, sizeof command, "rm -rf %s", p->at);
  int r = system(command);
  free(p);
  return r;
}

static int try_open(const place *p, const char *path, const char *beneath) {
  void *f = NULL;
  uint64_t size = 0;
  int error = p->io->open(p->io->user, path, beneath, &f, &size);
  if (!error) p->io->close(p->io->user, f);
  return error;
}

static void reading(void **state) {
  const place *p = *state;
  char path[256], to[16] = "";
  void *f = NULL;
  uint64_t size = 0;
  size_t got = 0, n = 0;
  const void *bytes = NULL;
  assert_int_equal(p->io->open(p->io->user, in(p, "model/w.bin", path), NULL, &f, &size), 0);
  assert_int_equal(size, 7);
  assert_int_equal(p->io->read(p->io->user, f, 2, to, 3, &got), 0);
  assert_int_equal(got, 3);
  assert_memory_equal(to, "igh", 3);
  assert_int_equal(p->io->read(p->io->user, f, 5, to, 16, &got), 0);
  assert_int_equal(got, 2);
  assert_int_equal(p->io->read(p->io->user, f, UINT64_MAX - 2, to, 16, &got), 0);
  assert_int_equal(got, 0);
  assert_int_equal(p->io->map(p->io->user, f, &bytes, &n), 0);
  p->io->close(p->io->user, f);
  assert_int_equal(n, 7);
  assert_memory_equal(bytes, "weights", 7);
  p->io->unmap(p->io->user, bytes, n);
}

static void not_files(void **state) {
  const place *p = *state;
  char path[256];
  assert_int_equal(try_open(p, in(p, "absent", path), NULL), ENOENT);
  assert_int_equal(try_open(p, in(p, "model", path), NULL), EISDIR);
  assert_int_equal(mkfifo(in(p, "fifo", path), 0666), 0);
  assert_int_not_equal(try_open(p, path, NULL), 0); /* and returns at once */
  assert_int_not_equal(try_open(p, "/dev/zero", NULL), 0);
  assert_int_not_equal(try_open(p, "", NULL), 0);
}

static void beneath(void **state) {
  const place *p = *state;
  char folder[256], path[256], other[256];
  in(p, "model", folder);
  assert_int_equal(try_open(p, "w.bin", folder), 0);
  assert_int_equal(try_open(p, "sub/v.bin", folder), 0);
  assert_int_equal(try_open(p, "./w.bin", folder), 0);
  const char *bad[] = {"",           ".",      "..",         "../secret", "sub/../w.bin", "sub/../../secret", "/etc/passwd", "sub\\v.bin",
                       "..\\secret", "w.bin/", "sub//v.bin", "w\n.bin",   "sub",          "absent",           "sub/..",      "/",
                       "//w.bin"};
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
    if (try_open(p, bad[i], folder) == 0) fail_msg("opened '%s'", bad[i]);
  assert_int_equal(try_open(p, in(p, "model/w.bin", path), folder), EPERM);
  /* links, inside or out, of files or folders */
  assert_int_equal(symlink("w.bin", in(p, "model/link", path)), 0);
  assert_int_not_equal(try_open(p, "link", folder), 0);
  assert_int_equal(symlink("../secret", in(p, "model/out", path)), 0);
  assert_int_not_equal(try_open(p, "out", folder), 0);
  assert_int_equal(symlink("sub", in(p, "model/dir", path)), 0);
  assert_int_not_equal(try_open(p, "dir/v.bin", folder), 0);
  assert_int_equal(link(in(p, "secret", other), in(p, "model/hard", path)), 0);
  assert_int_equal(try_open(p, "hard", folder), EPERM);
  assert_int_equal(mkfifo(in(p, "model/fifo", path), 0666), 0);
  assert_int_not_equal(try_open(p, "fifo", folder), 0);
  char longer[600];
  memset(longer, 'a', sizeof longer);
  longer[599] = 0;
  assert_int_not_equal(try_open(p, longer, folder), 0);
}

static int count_one(void *to, const char *name, bool is_folder) {
  int *n = to;
  n[is_folder]++;
  return strcmp(name, "stop") == 0 ? 42 : 0;
}

static int entries(const place *p, const char *name) {
  char path[256];
  int n[2] = {0, 0};
  assert_int_equal(p->io->list(p->io->user, in(p, name, path), count_one, n), 0);
  return n[0] + n[1];
}

static void check_content(const char *path, const char *text) {
  char have[64] = "";
  FILE *f = fopen(path, "r");
  assert_non_null(f);
  size_t n = fread(have, 1, 63, f);
  fclose(f);
  have[n] = 0;
  assert_string_equal(have, text);
}

static void writing(void **state) {
  const place *p = *state;
  char path[256], back[8];
  void *f = NULL;
  size_t got = 0;
  struct stat st;
  umask(027);
  in(p, "out.onnx", path);
  assert_int_equal(p->io->create(p->io->user, path, &f), 0);
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(p->io->write(p->io->user, f, "hello", 5), 0);
  assert_int_equal(p->io->write(p->io->user, f, " you", 4), 0);
  assert_int_equal(p->io->reread(p->io->user, f, 4, back, 8, &got), 0);
  assert_int_equal(got, 5);
  assert_memory_equal(back, "o you", 5);
  assert_int_equal(access(path, F_OK), -1);
  assert_int_equal(p->io->commit(p->io->user, f), 0);
  check_content(path, "hello you");
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0640);
  chmod(path, 0604); /* the mode of a file that is replaced stays */
  int before = entries(p, "");
  assert_int_equal(p->io->create(p->io->user, path, &f), 0);
  assert_int_equal(entries(p, ""), before + 1);
  assert_int_equal(p->io->write(p->io->user, f, "new", 3), 0);
  p->io->abandon(p->io->user, f);
  assert_int_equal(entries(p, ""), before);
  check_content(path, "hello you");
  assert_int_equal(p->io->create(p->io->user, path, &f), 0);
  assert_int_equal(p->io->write(p->io->user, f, "new", 3), 0);
  assert_int_equal(p->io->commit(p->io->user, f), 0);
  check_content(path, "new");
  assert_int_equal(stat(path, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0604);
  assert_int_equal(entries(p, ""), before);
}

static int try_create(const place *p, const char *path) {
  void *f = NULL;
  int error = p->io->create(p->io->user, path, &f);
  if (!error) p->io->abandon(p->io->user, f);
  return error;
}

static void bad_targets(void **state) {
  const place *p = *state;
  char path[256], longer[400];
  int before = entries(p, "");
  assert_int_equal(try_create(p, in(p, "model", path)), EISDIR);
  assert_int_equal(try_create(p, in(p, "model/", path)), EISDIR);
  assert_int_equal(try_create(p, in(p, "nowhere/x", path)), ENOENT);
  assert_int_not_equal(try_create(p, ""), 0);
  assert_int_equal(symlink("secret", in(p, "alias", path)), 0);
  assert_int_equal(try_create(p, path), ELOOP);
  assert_int_equal(mkfifo(in(p, "pipe", path), 0666), 0);
  assert_int_not_equal(try_create(p, path), 0);
  assert_int_equal(entries(p, ""), before + 2);
  snprintf(longer, sizeof longer, "%s/%0255d", p->at, 1);
  assert_int_equal(try_create(p, longer), 0); /* 255 bytes: the longest name there is */
  snprintf(longer, sizeof longer, "%s/%0256d", p->at, 1);
  assert_int_equal(try_create(p, longer), ENAMETOOLONG);
  /* a link that appears before the commit is not followed */
  void *f = NULL;
  assert_int_equal(p->io->create(p->io->user, in(p, "late", path), &f), 0);
  assert_int_equal(symlink("secret", path), 0);
  assert_int_equal(p->io->commit(p->io->user, f), ELOOP);
  check_content(in(p, "secret", path), "secret");
}

static void listing(void **state) {
  const place *p = *state;
  char path[256];
  int n[2] = {0, 0};
  assert_int_equal(p->io->list(p->io->user, in(p, "model", path), count_one, n), 0);
  assert_int_equal(n[0], 1);
  assert_int_equal(n[1], 1);
  assert_int_equal(p->io->list(p->io->user, in(p, "secret", path), count_one, n), ENOTDIR);
  put(in(p, "model/stop", path), "");
  assert_int_equal(p->io->list(p->io->user, in(p, "model", path), count_one, n), 42);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(reading, setup, teardown),     cmocka_unit_test_setup_teardown(not_files, setup, teardown),
      cmocka_unit_test_setup_teardown(beneath, setup, teardown),     cmocka_unit_test_setup_teardown(writing, setup, teardown),
      cmocka_unit_test_setup_teardown(bad_targets, setup, teardown), cmocka_unit_test_setup_teardown(listing, setup, teardown),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
