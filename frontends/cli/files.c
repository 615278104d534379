/* SPDX-License-Identifier: Apache-2.0
 * Small text files of the command line: .qir and plans. What is written stands beside its place under a temporary name until it is
 * committed, so that a command that fails changes nothing. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "frontends/cli/cli.h"

qcc_status file_error(const char *path, const char *what) {
  int cause = errno;
  fprintf(stderr, "qcc: ");
  print_safe(stderr, path);
  fprintf(stderr, ": error[F-001]: %s: %s\n", what, strerror(cause));
  return QCC_IO;
}

qcc_status read_text(char **out, size_t *n, const char *path) {
  struct stat info;
  if (stat(path, &info) != 0) return file_error(path, "cannot open");
  if (!S_ISREG(info.st_mode) || info.st_size > (1 << 30)) {
    errno = S_ISDIR(info.st_mode) ? EISDIR : EINVAL;
    return file_error(path, "not a regular file of at most 1 GiB");
  }
  FILE *f = fopen(path, "rb");
  if (!f) return file_error(path, "cannot open");
  char *text = malloc((size_t)info.st_size + 1);
  *n = text ? fread(text, 1, (size_t)info.st_size, f) : 0;
  bool bad = text && ferror(f);
  fclose(f);
  if (!text) return no_memory();
  text[*n] = 0;
  if (!bad) return *out = text, QCC_OK;
  free(text);
  return file_error(path, "cannot read");
}

/* ---- writing */

static qcc_status fill(FILE *f, const char *text, size_t n, bool sync) {
  bool ok = fwrite(text, 1, n, f) == n && fflush(f) == 0 && (!sync || fsync(fileno(f)) == 0);
  return fclose(f) == 0 && ok ? QCC_OK : QCC_IO;
}

/* Devices and pipes ("-o /dev/stdout") cannot be replaced; they are written as they are. */
static qcc_status write_through(const char *path, const char *text, size_t n) {
  FILE *f = fopen(path, "wb");
  return f && fill(f, text, n, false) == QCC_OK ? QCC_OK : file_error(path, "cannot write");
}

static FILE *open_temporary(char *name) {
  int fd = mkstemp(name);
  mode_t mask = umask(0);
  umask(mask);
  if (fd < 0) return NULL;
  FILE *f = fchmod(fd, 0666 & ~mask) == 0 ? fdopen(fd, "wb") : NULL;
  if (!f) {
    close(fd);
    unlink(name);
  }
  return f;
}

qcc_status text_prepare(text_out *o, const char *path, const char *text, size_t n) {
  struct stat info;
  *o = (text_out){.path = path};
  bool there = stat(path, &info) == 0;
  if (there && S_ISDIR(info.st_mode)) return errno = EISDIR, file_error(path, "cannot create");
  if (there && !S_ISREG(info.st_mode)) return write_through(path, text, n);
  size_t room = strlen(path) + sizeof ".XXXXXX";
  o->temporary = malloc(room);
  if (!o->temporary) return no_memory();
  snprintf(o->temporary, room, "%s.XXXXXX", path);
  FILE *f = open_temporary(o->temporary);
  if (f && fill(f, text, n, true) == QCC_OK) return QCC_OK;
  file_error(path, f ? "cannot write" : "cannot create");
  if (f) unlink(o->temporary);
  free(o->temporary);
  o->temporary = NULL;
  return QCC_IO;
}

qcc_status text_finish(text_out *o, qcc_status so_far) {
  if (!o->temporary) return so_far;
  if (so_far == QCC_OK && rename(o->temporary, o->path) != 0) so_far = file_error(o->path, "cannot create");
  if (so_far != QCC_OK) unlink(o->temporary);
  free(o->temporary);
  o->temporary = NULL;
  return so_far;
}

qcc_status write_text(const char *path, const char *text, size_t n) {
  text_out o;
  qcc_status st = text_prepare(&o, path, text, n);
  return text_finish(&o, st);
}

/* ---- models */

static bool is_text_ir(const char *path) {
  size_t n = strlen(path);
  return n > 4 && strcmp(path + n - 4, ".qir") == 0;
}

qcc_status load_model(qcc_model **out, qcc_context *cx, const char *path) {
  if (!is_text_ir(path)) return qcc_load(out, cx, path);
  char *text = NULL;
  size_t n = 0;
  qcc_status st = read_text(&text, &n, path);
  if (st == QCC_OK) st = qcc_parse(out, cx, text, n, path);
  free(text);
  return st;
}
