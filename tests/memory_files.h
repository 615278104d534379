/* SPDX-License-Identifier: Apache-2.0
 * A context's files, in memory: a few paths with bytes; everything else is absent, and nothing can be written. */
#ifndef QCC_TESTS_MEMORY_FILES_H
#define QCC_TESTS_MEMORY_FILES_H

#include <errno.h>
#include <string.h>

#include "ir/support/host.h"

enum { MEMORY_FILES = 12 };
typedef struct memory_file {
  const char *path, *at;
  size_t n;
} memory_file;

typedef struct memory_files { /* those before the first without a path */
  memory_file file[MEMORY_FILES];
} memory_files;

static int memory_open(void *user, const char *path, const char *beneath, void **handle, uint64_t *size) {
  const memory_file *f = ((memory_files *)user)->file, *end = f + MEMORY_FILES;
  while (f < end && f->path && strcmp(f->path, path) != 0) f++;
  if (beneath || f == end || !f->path) return ENOENT;
  *handle = (void *)(uintptr_t)f;
  *size = f->n;
  return 0;
}

static int memory_read(void *user, void *handle, uint64_t offset, void *to, size_t n, size_t *got) {
  const memory_file *f = handle;
  (void)user;
  size_t from = offset < f->n ? (size_t)offset : f->n;
  *got = n < f->n - from ? n : f->n - from;
  memcpy(to, f->at + from, *got);
  return 0;
}

static void memory_close(void *user, void *handle) { (void)user, (void)handle; }
static int memory_create(void *user, const char *path, void **handle) { return (void)user, (void)path, (void)handle, EACCES; }
static int memory_write(void *user, void *handle, const void *from, size_t n) {
  return (void)user, (void)handle, (void)from, (void)n, EACCES;
}
static int memory_commit(void *user, void *handle) { return (void)user, (void)handle, EACCES; }
static int memory_list(void *user, const char *path, int (*each)(void *to, const char *name, bool is_folder), void *to) {
  return (void)user, (void)path, (void)each, (void)to, EACCES;
}

static inline qcc_host memory_host(memory_files *files) {
  return (qcc_host){.io = {.user = files,
                           .open = memory_open,
                           .read = memory_read,
                           .close = memory_close,
                           .create = memory_create,
                           .write = memory_write,
                           .reread = memory_read,
                           .commit = memory_commit,
                           .abandon = memory_close,
                           .list = memory_list}};
}

#endif
