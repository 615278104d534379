/* SPDX-License-Identifier: Apache-2.0
 * The default file access: POSIX. Readers never block on a FIFO and see regular files only; a file of a model's folder
 * ("beneath") is reached without leaving it by "..", symbolic or hard links. Writers make a temporary beside the target and
 * rename it when everything is on the disk, so that a reader sees the old file or the new one. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h> /* renameat */
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "ir/support/internal.h"

typedef struct file {
  qcc_context *cx;
  int fd, folder; /* folder: of the target, -1 for readers */
  uint64_t size;
  char *target; /* last component of the path; writers */
  char temporary[288];
} file;

static int retry_open(int folder, const char *path, int flags, mode_t mode) {
  int fd;
  do fd = openat(folder, path, flags | O_CLOEXEC, mode);
  while (fd < 0 && errno == EINTR);
  return fd;
}

/* ---- reading */

/* A relative path without empty, "." free or ".." parts, backslashes or control characters. */
static bool stays_beneath(const char *path) {
  if (!path[0] || path[0] == '/') return false;
  for (const char *at = path; *at;) {
    size_t n = strcspn(at, "/");
    if (n == 2 && at[0] == '.' && at[1] == '.') return false;
    for (size_t i = 0; i < n; i++)
      if (at[i] == '\\' || (unsigned char)at[i] < 0x20) return false;
    at += n + (at[n] == '/');
    if (n == 0 || (at[-1] == '/' && !*at)) return false;
  }
  return true;
}

/* Component by component, for kernels without openat2. */
static int walk_beneath(int folder, const char *path) {
  char part[NAME_MAX + 1];
  int at = folder, next;
  for (;;) {
    size_t n = strcspn(path, "/");
    bool last = !path[n];
    if (n > NAME_MAX) {
      next = -1;
      errno = ENAMETOOLONG;
    } else {
      memcpy(part, path, n);
      part[n] = 0;
      next = retry_open(at, part, O_RDONLY | O_NOFOLLOW | (last ? O_NONBLOCK | O_NOCTTY : O_DIRECTORY), 0);
    }
    int error = errno;
    if (at != folder) close(at);
    errno = error;
    if (next < 0 || last) return next;
    at = next;
    path += n + 1;
  }
}

static int open_beneath(int folder, const char *path) {
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS};
  long fd;
  do fd = syscall(SYS_openat2, folder, path, &how, sizeof how);
  while (fd < 0 && (errno == EINTR || errno == EAGAIN));
  if (fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EINVAL)) return walk_beneath(folder, path);
  return (int)fd;
}

static int open_any(const char *path, const char *beneath) {
  if (!beneath) return retry_open(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
  if (!stays_beneath(path)) {
    errno = EPERM;
    return -1;
  }
  int folder = retry_open(AT_FDCWD, beneath[0] ? beneath : ".", O_RDONLY | O_DIRECTORY, 0);
  if (folder < 0) return -1;
  int fd = open_beneath(folder, path), error = errno;
  close(folder);
  errno = error;
  return fd;
}

static int check_regular(int fd, bool alone, uint64_t *size) {
  struct stat st;
  if (fstat(fd, &st) != 0) return errno;
  if (S_ISDIR(st.st_mode)) return EISDIR;
  if (!S_ISREG(st.st_mode)) return EINVAL;
  if (alone && st.st_nlink > 1) return EPERM; /* a hard link may show a file from elsewhere */
  *size = (uint64_t)st.st_size;
  return 0;
}

static int io_open(void *user, const char *path, const char *beneath, void **out, uint64_t *size) {
  qcc_context *cx = user;
  uint64_t n = 0;
  int fd = open_any(path, beneath);
  if (fd < 0) return errno;
  int error = check_regular(fd, beneath != NULL, &n);
  file *f = error ? NULL : qcc_zalloc_array(cx, 1, sizeof *f);
  if (!f) {
    close(fd);
    return error ? error : ENOMEM;
  }
  f->cx = cx;
  f->fd = fd;
  f->folder = -1;
  f->size = n;
  *out = f;
  if (size) *size = n;
  return 0;
}

static int io_read(void *user, void *handle, uint64_t offset, void *to, size_t n, size_t *got) {
  (void)user;
  const file *f = handle;
  size_t done = 0;
  *got = 0;
  while (done < n && offset + done <= INT64_MAX && offset + done >= offset) {
    size_t want = n - done < (size_t)1 << 30 ? n - done : (size_t)1 << 30;
    ssize_t r = pread(f->fd, (char *)to + done, want, (off_t)(offset + done));
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return errno;
    if (r == 0) break;
    done += (size_t)r;
  }
  *got = done;
  return 0;
}

static int io_map(void *user, void *handle, const void **bytes, size_t *n) {
  (void)user;
  const file *f = handle;
  if (f->size == 0 || f->size > SIZE_MAX) return ENOTSUP;
  void *p = mmap(NULL, (size_t)f->size, PROT_READ, MAP_PRIVATE, f->fd, 0);
  if (p == MAP_FAILED) return errno;
  *bytes = p;
  *n = (size_t)f->size;
  return 0;
}

static void io_unmap(void *user, const void *bytes, size_t n) {
  (void)user;
  if (bytes) munmap((void *)(uintptr_t)bytes, n);
}

/* Whole pages only. */
static void io_forget(void *user, const void *bytes, size_t n) {
  (void)user;
  const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)bytes + page - 1) / page * page;
  const uintptr_t to = ((uintptr_t)bytes + n) / page * page;
  if (to > from) (void)madvise((void *)from, to - from, MADV_DONTNEED); /* a private mapping of a file reads it again */
}

static void io_close(void *user, void *handle) {
  (void)user;
  file *f = handle;
  if (!f) return;
  close(f->fd);
  qcc_free(f->cx, f);
}

/* ---- writing */

static void drop_writer(file *f) {
  if (f->fd >= 0) close(f->fd);
  if (f->folder >= 0) close(f->folder);
  qcc_free(f->cx, f->target);
  qcc_free(f->cx, f);
}

static char *copy_text(qcc_context *cx, const char *text, size_t n) {
  char *p = qcc_alloc(cx, n + 1);
  if (!p) return NULL;
  memcpy(p, text, n);
  p[n] = 0;
  return p;
}

/* Opens the folder of `path` and keeps the last component. */
static int split_target(file *f, const char *path) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  size_t head = slash ? (size_t)(slash - path) + 1 : 0;
  if (!name[0] || strcmp(name, ".") == 0 || strcmp(name, "..") == 0) return EISDIR;
  if (strlen(name) > NAME_MAX) return ENAMETOOLONG;
  f->target = copy_text(f->cx, name, strlen(name));
  char *folder = head ? copy_text(f->cx, path, head) : copy_text(f->cx, ".", 1);
  if (!f->target || !folder) {
    qcc_free(f->cx, folder);
    return ENOMEM;
  }
  f->folder = retry_open(AT_FDCWD, folder, O_RDONLY | O_DIRECTORY, 0);
  int error = f->folder < 0 ? errno : 0;
  qcc_free(f->cx, folder);
  return error;
}

/* Only a regular file may be replaced; its mode is kept. */
static int check_target(const file *f, mode_t *mode, bool *exists) {
  struct stat st;
  *exists = false;
  if (fstatat(f->folder, f->target, &st, AT_SYMLINK_NOFOLLOW) != 0) return errno == ENOENT ? 0 : errno;
  if (S_ISDIR(st.st_mode)) return EISDIR;
  if (S_ISLNK(st.st_mode)) return ELOOP;
  if (!S_ISREG(st.st_mode)) return EINVAL;
  *exists = true;
  *mode = st.st_mode & 07777;
  return 0;
}

static uint64_t stir(uint64_t x) {
  x ^= x >> 31;
  x *= 0x9e3779b97f4a7c15u;
  return x ^ x >> 29;
}

static int create_temporary(file *f) {
  const char set[] = "abcdefghijklmnopqrstuvwxyz012345"; /* 32 */
  struct timespec now = {0};
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t seed = stir((uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 30) ^ stir((uint64_t)getpid()) ^ stir((uint64_t)(uintptr_t)f);
  size_t n = strlen(f->target);
  if (n > 200) n = 200; /* ".name.qcc-XXXXXX" must fit a component */
  for (int tries = 0; tries < 100; tries++) {
    char *at = f->temporary;
    *at++ = '.';
    memcpy(at, f->target, n);
    memcpy(at + n, ".qcc-", 5);
    at += n + 5;
    uint64_t x = seed = stir(seed + (uint64_t)tries + 1);
    for (int i = 0; i < 6; i++, x >>= 5) *at++ = set[x & 31];
    *at = 0;
    f->fd = retry_open(f->folder, f->temporary, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
    if (f->fd >= 0) return 0;
    if (errno != EEXIST) return errno;
  }
  return EEXIST;
}

static int io_create(void *user, const char *path, void **out) {
  qcc_context *cx = user;
  mode_t mode = 0;
  bool exists = false;
  file *f = qcc_zalloc_array(cx, 1, sizeof *f);
  if (!f) return ENOMEM;
  f->cx = cx;
  f->fd = f->folder = -1;
  int error = split_target(f, path);
  if (!error) error = check_target(f, &mode, &exists);
  if (!error) error = create_temporary(f);
  if (!error && exists && fchmod(f->fd, mode) != 0) {
    error = errno;
    unlinkat(f->folder, f->temporary, 0);
  }
  if (error) {
    drop_writer(f);
    return error;
  }
  *out = f;
  return 0;
}

static int io_write(void *user, void *handle, const void *from, size_t n) {
  (void)user;
  const file *f = handle;
  for (size_t done = 0; done < n;) {
    size_t want = n - done < (size_t)1 << 30 ? n - done : (size_t)1 << 30;
    ssize_t r = write(f->fd, (const char *)from + done, want);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return errno;
    if (r == 0) return EIO;
    done += (size_t)r;
  }
  return 0;
}

static void io_abandon(void *user, void *handle) {
  (void)user;
  file *f = handle;
  if (!f) return;
  unlinkat(f->folder, f->temporary, 0);
  drop_writer(f);
}

static int sync_fd(int fd) {
  int r;
  do r = fsync(fd);
  while (r != 0 && errno == EINTR);
  return r == 0 ? 0 : errno;
}

static int io_commit(void *user, void *handle) {
  file *f = handle;
  mode_t mode;
  bool exists;
  int error = sync_fd(f->fd);
  if (!error) error = check_target(f, &mode, &exists); /* it may have become a folder or a link meanwhile */
  if (!error) {
    error = close(f->fd) == 0 || errno == EINTR ? 0 : errno;
    f->fd = -1;
  }
  if (!error && renameat(f->folder, f->temporary, f->folder, f->target) != 0) error = errno;
  if (error) {
    io_abandon(user, f);
    return error;
  }
  error = sync_fd(f->folder);
  if (error == EINVAL || error == EROFS || error == EBADF) error = 0; /* file systems that cannot sync a folder */
  drop_writer(f);
  return error;
}

static int io_list(void *user, const char *path, int (*each)(void *to, const char *name, bool is_folder), void *to) {
  (void)user;
  int error = 0;
  DIR *folder = opendir(path);
  if (!folder) return errno;
  while (!error) {
    errno = 0;
    struct dirent *entry = readdir(folder);
    if (!entry) {
      error = errno;
      break;
    }
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    struct stat st;
    bool is_folder = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK)
      is_folder = fstatat(dirfd(folder), entry->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode);
    error = each(to, entry->d_name, is_folder);
  }
  closedir(folder);
  return error;
}

qcc_io qcc_posix_io(qcc_context *cx) {
  return (qcc_io){
      .user = cx,
      .open = io_open,
      .read = io_read,
      .map = io_map,
      .unmap = io_unmap,
      .forget = io_forget,
      .spill = qcc_posix_spill,
      .close = io_close,
      .create = io_create,
      .write = io_write,
      .reread = io_read,
      .commit = io_commit,
      .abandon = io_abandon,
      .list = io_list,
  };
}
