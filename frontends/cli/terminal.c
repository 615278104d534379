/* SPDX-License-Identifier: Apache-2.0
 * Messages and progress on stderr. A progress line with ETA on a terminal, nothing when piped; SIGINT, SIGTERM and SIGHUP end long work
 * through the progress callback. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "frontends/cli/cli.h"

static volatile sig_atomic_t caught; /* the one place where a signal can leave a mark */

static void on_signal(int signal) { caught = signal; }

int terminal_signal(void) { return caught; }

double terminal_now(void) {
  struct timespec t = {0};
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void terminal_clear(terminal *t) {
  if (t->line_open) fprintf(stderr, "\r\033[K");
  t->line_open = false;
}

static void log_line(void *user, qcc_severity severity, const char *line) {
  terminal *t = user;
  if (severity == QCC_INFO && !t->verbose) return;
  if (severity == QCC_NOTE && t->quiet) return;
  terminal_clear(t);
  fprintf(stderr, "qcc: %s\n", line);
}

static bool progress(void *user, const char *stage, uint64_t done, uint64_t total) {
  terminal *t = user;
  if (caught) return false;
  if (t->quiet || !t->is_tty) return true;
  double now = terminal_now();
  if (strncmp(t->stage, stage, sizeof t->stage - 1) != 0) {
    snprintf(t->stage, sizeof t->stage, "%s", stage);
    t->stage_start = now;
  } else if (now - t->last < 0.1 && done < total) {
    return true;
  }
  t->last = now;
  double passed = now - t->stage_start, eta = done ? passed * (double)(total - done) / (double)done : 0;
  fprintf(stderr, "\r\033[K%-14s %llu/%llu  %.1f s, %.1f s to go", stage, (unsigned long long)done, (unsigned long long)total, passed, eta);
  fflush(stderr);
  t->line_open = true;
  return true;
}

void terminal_host(qcc_host *host, terminal *t, const args *a) {
  *t = (terminal){.quiet = a->quiet, .verbose = a->verbose, .is_tty = isatty(STDERR_FILENO) == 1};
  *host = (qcc_host){.log = log_line, .log_user = t, .progress = progress, .progress_user = t};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

qcc_status usage_error(const char *fmt, const char *what) {
  char shown[129];
  size_t n = 0;
  for (; what[n] && n < 128; n++) shown[n] = (unsigned char)what[n] < 32 || what[n] == 127 ? '?' : what[n];
  shown[n] = 0;
  const char *at = strstr(fmt, "%s");
  fprintf(stderr, "qcc: error[A-001]: %.*s%s%s\n", at ? (int)(at - fmt) : (int)strlen(fmt), fmt, at ? shown : "", at ? at + 2 : "");
  return QCC_ARG;
}

static qcc_status file_error(const char *path, const char *what) {
  fprintf(stderr, "qcc: error[F-001]: %s: %s: %s\n", path, what, strerror(errno));
  return QCC_IO;
}

/* ---- small text files: .qir and plans */

qcc_status read_text(char **out, size_t *n, const char *path) {
  FILE *f = fopen(path, "rb");
  if (!f) return file_error(path, "cannot open");
  struct stat info;
  if (fstat(fileno(f), &info) != 0 || !S_ISREG(info.st_mode) || info.st_size > (1 << 30)) {
    fclose(f);
    errno = EINVAL;
    return file_error(path, "not a regular file of at most 1 GiB");
  }
  char *text = malloc((size_t)info.st_size + 1);
  *n = text ? fread(text, 1, (size_t)info.st_size, f) : 0;
  bool bad = !text || ferror(f);
  fclose(f);
  if (text) text[*n] = 0;
  if (!bad) *out = text;
  if (bad) free(text);
  return text == NULL ? QCC_NOMEM : bad ? file_error(path, "cannot read") : QCC_OK;
}

qcc_status write_text(const char *path, const char *text, size_t n) {
  FILE *f = fopen(path, "wb");
  if (!f) return file_error(path, "cannot create");
  bool ok = fwrite(text, 1, n, f) == n;
  ok = fclose(f) == 0 && ok;
  return ok ? QCC_OK : file_error(path, "cannot write");
}

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
