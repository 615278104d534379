/* SPDX-License-Identifier: Apache-2.0
 * runtime [-t THREADS] [-p PIPELINE] [-x] MODEL INPUT=FILE.npy...
 * Our side of goals.py: a session that stays open and runs on command (turns.h), through the public header. -x: quantized parts as integers. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/turns.h"
#include "frontends/capi/qcc.h"

typedef struct side {
  qcc_context *cx;
  qcc_model *model;
  qcc_data *given, *data;
  qcc_session *session;
} side;

static void say(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity <= QCC_WARNING) fprintf(stderr, "%s\n", line);
}

static bool make(void *user, size_t count) {
  side *s = user;
  qcc_data_free(s->data);
  return qcc_data_repeat(&s->data, s->given, count) == QCC_OK;
}

static bool run(void *user) {
  side *s = user;
  return qcc_session_run(s->session, s->data, NULL, NULL) == QCC_OK;
}

static qcc_status start(side *s, const char *model, const char *pipeline, const qcc_run_settings *settings, char **sources, int count) {
  const qcc_host host = {.log = say};
  qcc_status st = qcc_open(&s->cx, &host);
  if (st == QCC_OK) st = qcc_load(&s->model, s->cx, model);
  if (st == QCC_OK && pipeline) st = qcc_passes(s->model, pipeline, NULL);
  if (st == QCC_OK) st = qcc_data_open(&s->given, s->model, (const char *const *)sources, (uint32_t)count, NULL, 0);
  return st == QCC_OK ? qcc_session_open(&s->session, s->model, settings) : st;
}

int main(int argc, char **argv) {
  side s = {0};
  const char *pipeline = NULL;
  qcc_run_settings settings = QCC_RUN_SETTINGS_INIT;
  settings.threads = 1;
  for (int option; (option = getopt(argc, argv, "t:p:x")) != -1;) {
    if (option == 't') settings.threads = (unsigned)strtoul(optarg, NULL, 10);
    if (option == 'p') pipeline = optarg;
    if (option == 'x') settings.exact = true;
    if (option == '?') return QCC_ARG;
  }
  if (argc - optind < 2) {
    fprintf(stderr, "usage: runtime [-t THREADS] [-p PIPELINE] [-x] MODEL INPUT=FILE.npy...\n");
    return QCC_ARG;
  }
  qcc_status st = start(&s, argv[optind], pipeline, &settings, argv + optind + 1, argc - optind - 1);
  if (st == QCC_OK && !turns_serve(make, run, &s)) st = QCC_INTERNAL;
  qcc_session_close(s.session);
  qcc_data_free(s.data);
  qcc_data_free(s.given);
  qcc_model_free(s.model);
  if (s.cx) qcc_close(s.cx);
  return (int)st;
}
