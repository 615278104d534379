/* SPDX-License-Identifier: Apache-2.0
 * Accuracy of models on labelled samples, through the public API only: evaluate SAMPLES.npy LABELS.npy [HOW:]FLOAT.onnx [[HOW:]OTHER.onnx ...].
 * HOW is the arithmetic of quantized parts: exact (as integer kernels), saturating (as those of x86 without VNNI); without it, floats.
 * Prints one row per model: accuracy, agreement with the first, size of the file. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "frontends/capi/qcc.h"

typedef struct votes {
  int64_t *top;
  size_t count;
} votes;

static void say(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity <= QCC_WARNING) fprintf(stderr, "evaluate: %s\n", line);
}

static qcc_status vote(void *user, size_t sample, const qcc_array *outputs) {
  votes *v = user;
  const float *x = outputs[0].data;
  size_t n = outputs[0].bytes / sizeof *x, best = 0;
  for (size_t i = 1; i < n; i++) {
    if (x[i] > x[best]) best = i;
  }
  if (sample < v->count) v->top[sample] = (int64_t)best;
  return QCC_OK;
}

/* The path behind the arithmetic that is asked for. */
static const char *path_of(const char *arg, qcc_run_settings *how) {
  *how = (qcc_run_settings)QCC_RUN_SETTINGS_INIT;
  how->exact = strncmp(arg, "exact:", 6) == 0;
  how->saturating = strncmp(arg, "saturating:", 11) == 0;
  return how->exact || how->saturating ? strchr(arg, ':') + 1 : arg;
}

static qcc_status run_model(votes *v, qcc_context *cx, const char *arg, const char *samples) {
  qcc_model *model = NULL;
  qcc_data *data = NULL;
  qcc_run_settings how;
  qcc_status st = qcc_load(&model, cx, path_of(arg, &how));
  if (st == QCC_OK) st = qcc_data_open(&data, model, &samples, 1, NULL, 0);
  if (st == QCC_OK) v->count = qcc_data_count(data);
  if (st == QCC_OK && !(v->top = calloc(v->count, sizeof *v->top))) st = QCC_NOMEM;
  if (st == QCC_OK) st = qcc_run_as(model, data, &how, vote, v);
  qcc_data_free(data);
  qcc_model_free(model);
  return st;
}

static double share(const int64_t *a, const int64_t *b, size_t n) {
  size_t same = 0;
  for (size_t i = 0; i < n; i++) same += a[i] == b[i];
  return n ? 100.0 * (double)same / (double)n : 0;
}

static double kilobytes(const char *arg) {
  qcc_run_settings how;
  struct stat info;
  return stat(path_of(arg, &how), &info) == 0 ? (double)info.st_size / 1e3 : 0;
}

static qcc_status table(qcc_context *cx, int argc, char **argv) {
  qcc_array labels;
  qcc_status st = qcc_array_read(&labels, cx, argv[2]);
  if (st != QCC_OK) return st;
  votes first = {0};
  printf("%-40s %10s %12s %10s\n", "model", "accuracy", "like first", "size");
  for (int i = 3; i < argc && st == QCC_OK; i++) {
    votes v = {0};
    st = run_model(&v, cx, argv[i], argv[1]);
    if (st == QCC_OK && v.count * sizeof(int64_t) != labels.bytes) st = QCC_DATA;
    if (st == QCC_OK && i == 3) first = v;
    if (st == QCC_OK)
      printf("%-40s %8.2f %% %10.2f %% %7.1f kB\n", argv[i], share(v.top, labels.data, v.count), share(v.top, first.top, v.count),
             kilobytes(argv[i]));
    if (v.top != first.top) free(v.top);
  }
  free(first.top);
  qcc_bytes_free(cx, (void *)(uintptr_t)labels.data);
  return st;
}

int main(int argc, char **argv) {
  if (argc < 4) {
    fprintf(stderr, "evaluate SAMPLES.npy LABELS.npy [HOW:]FLOAT.onnx [[HOW:]OTHER.onnx ...]   HOW: exact, saturating\n");
    return QCC_ARG;
  }
  qcc_context *cx = NULL;
  qcc_host host = {.log = say};
  qcc_status st = qcc_open(&cx, &host);
  if (st == QCC_OK) st = table(cx, argc, argv);
  qcc_close(cx);
  return (int)st;
}
