/* SPDX-License-Identifier: Apache-2.0
 * The library's profile: a file with an array of JSON objects, one per event. It is read one object at a time, so that many runs need no more
 * memory than few, and removed. */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/ort/library.h"

static const char suffix[] = "_kernel_time";

/* The library's clock counts in microseconds: the fastest execution is that of the best row of so many, by their mean. */
enum { ROW = 16 };

qcc_status qcc_ort_profile_begin(qcc_ort_profile *p, const qcc_ort_library *l, void *options) {
  char prefix[64];
  memcpy(p->folder, "/tmp/qcc-XXXXXX", sizeof "/tmp/qcc-XXXXXX");
  if (!mkdtemp(p->folder)) {
    p->folder[0] = 0;
    return qcc_error(l->cx, QCC_IO, "F-150", NULL, "no folder for a profile can be made in /tmp (error %d)", errno);
  }
  qcc_format(prefix, sizeof prefix, "%s/p", p->folder);
  return qcc_ort_check(l, l->EnableProfiling(options, prefix), QCC_INTERNAL, "make a profile");
}

/* ---- events */

/* Bytes are told as text. */
static double number(const json_t *args, const char *key) {
  const char *text = json_string_value(json_object_get(args, key));
  double x = 0;
  return text && qcc_read_f64(text, strlen(text), &x) ? x : 0;
}

static qcc_profile_step *step_of(qcc_ort_profile *p, const char *op, const char *name) {
  for (size_t i = 0; i < p->steps.n; i++)
    if (p->steps.at[i].op == op && p->steps.at[i].name == name) return &p->steps.at[i];
  qcc_profile_step s = {.op = op, .name = name, .fused_ops = "", .fused = ""};
  return qcc_vec_push(p->cx, &p->rows, 0) && qcc_vec_push(p->cx, &p->steps, s) ? &p->steps.at[p->steps.n - 1] : NULL;
}

static void add_run(qcc_ort_profile *p, qcc_profile_step *s, double seconds) {
  double *row = &p->rows.at[s - p->steps.at];
  s->seconds += seconds;
  *row += seconds;
  if (++s->runs < ROW) s->fastest = s->seconds / (double)s->runs;
  if (s->runs % ROW) return;
  if (s->runs == ROW || *row / ROW < s->fastest) s->fastest = *row / ROW;
  *row = 0;
}

static qcc_status add_node(qcc_ort_profile *p, const json_t *event) {
  const json_t *args = json_object_get(event, "args");
  const char *op = json_string_value(json_object_get(args, "op_name")), *name = json_string_value(json_object_get(event, "name"));
  if (!op || !name) return QCC_OK;
  size_t n = strlen(name);
  if (n < sizeof suffix || strcmp(name + n + 1 - sizeof suffix, suffix) != 0) return QCC_OK; /* another phase of the node */
  op = qcc_intern(p->cx, op);
  name = qcc_intern_n(p->cx, name, n + 1 - sizeof suffix);
  qcc_profile_step *s = op && name ? step_of(p, op, name) : NULL;
  if (!s) return QCC_NOMEM;
  add_run(p, s, 1e-6 * json_number_value(json_object_get(event, "dur")));
  s->bytes_read += number(args, "activation_size") + number(args, "parameter_size");
  s->bytes_written += number(args, "output_size");
  return QCC_OK;
}

static bool is(const json_t *event, const char *key, const char *text) {
  const char *found = json_string_value(json_object_get(event, key));
  return found && strcmp(found, text) == 0;
}

/* Events of nodes stand in the order of time and before that of their run. */
static qcc_status read_events(qcc_ort_profile *p, FILE *f) {
  qcc_status st = QCC_OK;
  double warm = 0; /* end of the first run */
  for (int c = fgetc(f); c != EOF && c != ']' && st == QCC_OK; c = fgetc(f)) {
    if (c != '{') continue;
    ungetc(c, f);
    json_t *event = json_loadf(f, JSON_DISABLE_EOF_CHECK, NULL);
    if (!event) return qcc_error(p->cx, QCC_INTERNAL, "I-150", NULL, "the profile of ONNX Runtime is not JSON");
    double begin = json_number_value(json_object_get(event, "ts")), took = json_number_value(json_object_get(event, "dur"));
    if (is(event, "name", "model_run") && !(warm > 0)) warm = begin + took;
    if (is(event, "cat", "Node") && warm > 0 && begin >= warm) st = add_node(p, event);
    json_decref(event);
  }
  return st;
}

qcc_status qcc_ort_profile_end(qcc_ort_profile *p, const qcc_ort_library *l, void *session) {
  char *path = NULL;
  if (!p->folder[0]) return QCC_OK;
  qcc_status st = session ? qcc_ort_check(l, l->SessionEndProfiling(session, l->allocator, &path), QCC_INTERNAL, "end a profile") : QCC_OK;
  FILE *f = path ? fopen(path, "rb") : NULL;
  if (path && !f) st = qcc_error(p->cx, QCC_IO, "F-151", &(qcc_loc){.file = path}, "the profile cannot be read (error %d)", errno);
  if (f) {
    st = read_events(p, f);
    fclose(f);
  }
  if (path) {
    unlink(path);
    void *failed = l->AllocatorFree(l->allocator, path);
    if (failed) l->ReleaseStatus(failed);
  }
  rmdir(p->folder);
  p->folder[0] = 0;
  p->shown = (qcc_profile){.steps = p->steps.at, .step_count = p->steps.n};
  return st;
}

void qcc_ort_profile_reset(qcc_ort_profile *p) {
  p->steps.n = p->rows.n = 0;
  p->shown = (qcc_profile){0};
}

void qcc_ort_profile_free(qcc_ort_profile *p) {
  if (p->folder[0]) rmdir(p->folder);
  qcc_vec_free(p->cx, &p->steps);
  qcc_vec_free(p->cx, &p->rows);
}
