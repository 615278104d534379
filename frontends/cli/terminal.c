/* SPDX-License-Identifier: Apache-2.0
 * Messages and progress on stderr. A progress line with ETA on a terminal, nothing when piped; SIGINT, SIGTERM and SIGHUP end long work
 * through the progress callback. */
#define _POSIX_C_SOURCE 200809L
#include <signal.h>
#include <stdlib.h>
#include <string.h>
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

/* A folder that nobody asked for may be missing; memory then does. */
static const char *spill_folder(const args *a) {
  const char *folder = getenv("TMPDIR");
  if (a->spill) return strcmp(a->spill, "off") == 0 ? NULL : a->spill;
  return folder && *folder ? folder : "/var/tmp";
}

void terminal_host(qcc_host *host, terminal *t, const args *a) {
  *t = (terminal){.quiet = a->quiet, .verbose = a->verbose, .is_tty = isatty(STDERR_FILENO) == 1};
  *host = (qcc_host){.log = log_line, .log_user = t, .progress = progress, .progress_user = t, .spill_folder = spill_folder(a)};
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
  sigaction(SIGHUP, &action, NULL);
  signal(SIGPIPE, SIG_IGN);
}

/* Bytes that could steer a terminal: C0, DEL, and C1 in UTF-8. */
static bool is_control(const char *s) {
  unsigned char c = (unsigned char)s[0], d = c ? (unsigned char)s[1] : 0;
  return c < 32 || c == 127 || (c == 0xC2 && d >= 0x80 && d < 0xA0);
}

void print_safe(FILE *to, const char *s) {
  size_t n = 0;
  for (; s[n] && n < 1024; n++) {
    if (is_control(s + n)) {
      fprintf(to, "\\x%02x", (unsigned)(unsigned char)s[n]);
    } else {
      fputc(s[n], to);
    }
  }
  if (s[n]) fprintf(to, "...");
}

qcc_status usage_error(const char *fmt, const char *what) {
  const char *at = strstr(fmt, "%s");
  fprintf(stderr, "qcc: error[A-001]: %.*s", at ? (int)(at - fmt) : (int)strlen(fmt), fmt);
  if (at) print_safe(stderr, what);
  fprintf(stderr, "%s\n", at ? at + 2 : "");
  return QCC_ARG;
}

qcc_status no_memory(void) {
  fprintf(stderr, "qcc: error[N-001]: out of memory\n");
  return QCC_NOMEM;
}
