/* SPDX-License-Identifier: Apache-2.0
 * Spilling by default: one unlinked file per buffer in the folder that the host names, written, mapped read-only and closed, so that the
 * mapping alone keeps it and nothing is left behind, however the process ends. Written by calls, never through the mapping: a full disk
 * is an error, not a signal. A file system in memory is refused, for it would win nothing. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "ir/support/internal.h"

/* For file systems that cannot make files without a name. */
static int open_named(const char *folder) {
  char path[4096];
  if (qcc_format(path, sizeof path, "%s/qcc-spill-XXXXXX", folder) >= sizeof path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  int fd = mkostemp(path, O_CLOEXEC);
  if (fd >= 0) unlink(path);
  return fd;
}

static int open_unlinked(const char *folder) {
  int fd;
  do fd = open(folder, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
  while (fd < 0 && errno == EINTR);
  return fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == EINVAL) ? open_named(folder) : fd;
}

/* Room for a file of `n` bytes, on a disk? A limit must be met beforehand, for going beyond it is a signal. */
static int check_place(int fd, size_t n) {
  struct statfs fs;
  struct rlimit limit;
  if (fstatfs(fd, &fs) != 0) return errno;
  if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) return ENOTSUP;
  return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < n ? EFBIG : 0;
}

static int write_all(int fd, const char *bytes, size_t n) {
  for (size_t done = 0; done < n;) {
    size_t want = n - done < (size_t)1 << 30 ? n - done : (size_t)1 << 30;
    ssize_t r = write(fd, bytes + done, want);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return errno;
    if (r == 0) return EIO;
    done += (size_t)r;
  }
  return 0;
}

int qcc_posix_spill(void *user, const void *bytes, size_t n, const void **kept) {
  const qcc_context *cx = user;
  const char *folder = cx->host.spill_folder;
  if (!folder) return ENOTSUP;
  int fd = open_unlinked(folder);
  if (fd < 0) return errno;
  int error = check_place(fd, n);
  if (!error) error = write_all(fd, bytes, n);
  void *at = error ? MAP_FAILED : mmap(NULL, n, PROT_READ, MAP_PRIVATE, fd, 0);
  if (!error && at == MAP_FAILED) error = errno;
  close(fd);
  if (!error) *kept = at;
  return error;
}
