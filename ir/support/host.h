/* SPDX-License-Identifier: Apache-2.0
 * What the host gives and gets: status codes, allocator, log, progress, file access.
 * This block stands word for word in frontends/capi/qcc.h too (only that header is installed);
 * tests/lint compares the two. Internal code reaches these through ir/support/context.h. */
#ifndef QCC_HOST_H
#define QCC_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* host-begin */
#ifndef QCC_HOST_DEFINED
#define QCC_HOST_DEFINED

/* Result of every call that can fail. The values are the exit codes of the command line. */
typedef enum qcc_status {
  QCC_OK = 0,          /* done */
  QCC_GOAL = 1,        /* done, but the accuracy or size goal was not met; the best result is there */
  QCC_ARG = 2,         /* the caller's argument, option, command line or config is wrong */
  QCC_INVALID = 3,     /* the model is malformed or unsafe */
  QCC_UNSUPPORTED = 4, /* the model is valid; qcc cannot do this with it */
  QCC_DATA = 5,        /* the calibration or evaluation data is unusable */
  QCC_IO = 6,          /* a file could not be read or written */
  QCC_LIMIT = 7,       /* a limit was exceeded; the message names the option that raises it */
  QCC_NOMEM = 8,       /* out of memory */
  QCC_INTERNAL = 9,    /* a self-check failed: always a bug of qcc */
  QCC_CANCELLED = 10   /* the progress callback asked to stop */
} qcc_status;

/* All memory of a context. `resize` gets the old and the new size in bytes: (NULL, 0, n) allocates,
 * (p, n, 0) frees and returns NULL, otherwise reallocates. May be called from worker threads at the
 * same time. Returns NULL when there is no memory, and then leaves `p` as it was. */
typedef struct qcc_allocator {
  void *(*resize)(void *user, void *p, size_t old_size, size_t new_size);
  void *user;
} qcc_allocator;

typedef enum qcc_severity { QCC_ERROR, QCC_WARNING, QCC_NOTE, QCC_INFO } qcc_severity;

/* One finished line of text (UTF-8, control bytes escaped, no newline). Never called concurrently. */
typedef void (*qcc_log_fn)(void *user, qcc_severity severity, const char *line);

/* Long work reports here: `done` of `total` units of `stage`. Returns false to cancel: the running call
 * then ends with QCC_CANCELLED and nothing is written. Never called concurrently. */
typedef bool (*qcc_progress_fn)(void *user, const char *stage, uint64_t done, uint64_t total);

/* File access. Every function returns 0 or an errno value. Paths are opaque UTF-8 strings. */
typedef struct qcc_io {
  void *user;
  /* Open `path` for reading; regular files only. With `beneath` not NULL, `path` is relative to that folder and
   * must not leave it: no "..", no absolute path, no symbolic link on the way. */
  int (*open)(void *user, const char *path, const char *beneath, void **file, uint64_t *size);
  /* Read up to `n` bytes at `offset`; `*got` < n only at the end of the file. */
  int (*read)(void *user, void *file, uint64_t offset, void *to, size_t n, size_t *got);
  /* Optional (may be NULL, may fail with ENOTSUP): map the whole file read-only. */
  int (*map)(void *user, void *file, const void **bytes, size_t *n);
  void (*unmap)(void *user, const void *bytes, size_t n); /* from any thread */
  /* Optional: this part of a mapping was read and will hardly be again; its memory may go, the bytes must stay readable. */
  void (*forget)(void *user, const void *bytes, size_t n);
  /* Optional, goes with `unmap`: put a copy of `n` bytes where it costs no memory while nobody reads it, such as an unlinked file, and map it
   * read-only at `*kept`, until `unmap`. After the first failure a context keeps all its bytes in memory and asks no more. */
  int (*spill)(void *user, const void *bytes, size_t n, const void **kept);
  void (*close)(void *user, void *file);
  /* Create a temporary file beside `path`, exclusively; nothing named `path` is touched before `commit`. */
  int (*create)(void *user, const char *path, void **file);
  int (*write)(void *user, void *file, const void *from, size_t n);
  /* Read back what was written (verification before commit). */
  int (*reread)(void *user, void *file, uint64_t offset, void *to, size_t n, size_t *got);
  /* fsync, rename over `path`, fsync the folder; closes the file also on failure. */
  int (*commit)(void *user, void *file);
  /* Close and remove the temporary. */
  void (*abandon)(void *user, void *file);
  /* Call `each` for every entry of the folder `path` ("." and ".." left out), in any order. */
  int (*list)(void *user, const char *path, int (*each)(void *to, const char *name, bool is_folder), void *to);
} qcc_io;

/* All of it. Members left zero take the defaults: malloc, silence, POSIX files. */
typedef struct qcc_host {
  qcc_allocator alloc;
  qcc_io io;
  qcc_log_fn log;
  void *log_user;
  qcc_progress_fn progress;
  void *progress_user;
  const char *spill_folder; /* of POSIX files: folder on a disk for `spill`, which there makes unlinked files; NULL: no spilling */
} qcc_host;

#endif /* QCC_HOST_DEFINED */
/* host-end */

#endif
