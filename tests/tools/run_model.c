/* SPDX-License-Identifier: Apache-2.0
 * run_model MODEL [-o FOLDER] [-w WORKERS] [-n SAMPLES] [-r ROUNDS] [-p PASSES] [-a] [-e exact|saturating] [-s NAME=1x3x224x224] [FILE.pb...]
 * Runs a model on the built-in runtime: inputs from TensorProto files in the order of the model's inputs, the rest random. -a observes
 * every value, -p runs passes before, -e evaluates quantized parts as integers. Writes FOLDER/<index>.npy and prints time per sample, memory
 * and the instruction set. */
#define _GNU_SOURCE /* getrusage, clock_gettime */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "backends/ref/ref.h"
#include "frontends/onnx/import.h"
#include "passes/pass.h"

typedef struct shape {
  const char *name;
  int64_t dim[QCC_MAX_RANK];
  int rank;
} shape;

enum { MAX_GIVEN = 1024 };
typedef struct tool {
  qcc_context *cx;
  qcc_graph *g;
  const char *model, *folder, *passes;
  unsigned workers;
  size_t samples, rounds;
  bool all;
  qcc_arithmetic how;
  qcc_tensor given[MAX_GIVEN]; /* of every sample: from files, then random */
  uint32_t given_count;
  shape shapes[16];
  int shape_count;
  double seen;
} tool;

static void say(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity != QCC_INFO) fprintf(stderr, "%s\n", line);
}

static void read_shape(tool *t, const char *text) {
  shape *s = &t->shapes[t->shape_count++];
  const char *eq = strchr(text, '=');
  s->name = text;
  for (const char *p = eq ? eq + 1 : text; *p && s->rank < QCC_MAX_RANK;) {
    char *end;
    s->dim[s->rank++] = strtoll(p, &end, 10);
    p = *end ? end + 1 : end;
  }
}

static void concrete(const tool *t, const qcc_value *v, qcc_type *type) {
  *type = v->type;
  for (int i = 0; i < t->shape_count; ++i) {
    const size_t n = strcspn(t->shapes[i].name, "=");
    if (strncmp(t->shapes[i].name, v->name, n) != 0 || v->name[n]) continue;
    type->rank = (int8_t)t->shapes[i].rank;
    memcpy(type->dim, t->shapes[i].dim, sizeof type->dim);
  }
  for (int d = 0; d < type->rank; ++d)
    if (type->dim[d] < 0) type->dim[d] = 1;
}

static qcc_status get(void *user, size_t index, qcc_tensor *inputs) {
  tool *t = user;
  (void)index;
  for (uint32_t i = 0; i < t->g->input_count; ++i)
    if (!t->g->inputs[i]->data) inputs[i] = qcc_tensor_retain(&t->given[i]);
  return QCC_OK;
}

static qcc_status make_inputs(tool *t) {
  uint32_t seed = 1;
  for (; t->given_count < t->g->input_count && t->given_count < MAX_GIVEN; t->given_count++) {
    qcc_tensor *to = &t->given[t->given_count];
    qcc_type type;
    concrete(t, t->g->inputs[t->given_count], &type);
    QCC_TRY(qcc_tensor_new(to, t->cx, &type));
    for (int64_t j = 0, n = qcc_tensor_count(to); j < n; ++j) {
      seed = seed * 1664525u + 1013904223u;
      qcc_tensor_set(to, j, (double)(seed >> 8) / 8388608.0 - 1.0);
    }
  }
  return QCC_OK;
}

static const char *descr(qcc_dtype t) {
  static const char *const name[] = {[QCC_F32] = "<f4",  [QCC_U8] = "|u1",  [QCC_S8] = "|i1",  [QCC_S32] = "<i4", [QCC_S64] = "<i8",
                                     [QCC_BOOL] = "|b1", [QCC_F64] = "<f8", [QCC_F16] = "<f2", [QCC_U16] = "<u2", [QCC_S16] = "<i2"};
  return (size_t)t < sizeof name / sizeof name[0] ? name[t] : NULL;
}

static void write_npy(const tool *t, uint32_t index, const qcc_tensor *y) {
  char path[4096], head[256], dims[160] = "";
  if (!descr(y->type.dtype)) return;
  for (int d = 0; d < y->type.rank; ++d) snprintf(dims + strlen(dims), sizeof dims - strlen(dims), "%lld,", (long long)y->type.dim[d]);
  snprintf(path, sizeof path, "%s/%u.npy", t->folder, index);
  int n = snprintf(head, sizeof head, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr(y->type.dtype), dims);
  FILE *f = fopen(path, "wb");
  if (!f) return;
  fprintf(f, "\x93NUMPY%c%c%c%c%-117s\n", 1, 0, 118, 0, n < 117 ? head : "");
  fwrite(y->data, 1, y->bytes, f);
  fclose(f);
}

static qcc_status take(void *user, size_t sample, const qcc_tensor *outputs) {
  tool *t = user;
  for (uint32_t i = 0; sample == 0 && t->folder && i < t->g->output_count; ++i) write_npy(t, i, &outputs[i]);
  return QCC_OK;
}

static void see(void *user, const qcc_piece *p) { (void)user, (void)p; }

static double cpu(void) {
  struct timespec c;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &c);
  return (double)c.tv_sec + 1e-9 * (double)c.tv_nsec;
}

static qcc_status run(tool *t) {
  const qcc_eval *e = qcc_ref_eval();
  const qcc_samples samples = {.count = t->samples, .get = get, .user = t};
  const qcc_value **all = calloc(t->g->next_value_id + 1, sizeof *all);
  qcc_hooks hooks = {.output = take, .user = t};
  size_t n = 0;
  if (!all) return QCC_NOMEM;
  QCC_FOR_NODES(node, t->g)
  for (uint32_t i = 0; i < node->out_count; ++i)
    if (node->out[i]) all[n++] = node->out[i];
  if (t->all) hooks.observed = all, hooks.observe = see;
  qcc_runner *r = NULL;
  qcc_status st = e->open(&r, t->cx, t->g, &(qcc_run_options){.workers = t->workers, .arithmetic = t->how});
  double best = 1e30, work = 1e30, before = 0;
  for (size_t i = 0; st == QCC_OK && i < t->rounds; ++i) {
    const double start = cpu();
    st = e->run(r, &samples, 0, t->samples, &hooks);
    if (cpu() - start < work) work = cpu() - start;
    const double s = e->stats(r).seconds - before;
    before += s;
    if (s < best) best = s;
  }
  if (st == QCC_OK) {
    struct rusage u;
    const qcc_run_stats stats = e->stats(r);
    getrusage(RUSAGE_SELF, &u);
    printf("%s: %.3f ms/sample, %.3f ms of processor, %u workers, arena %.2f MB, packed %.2f MB, peak %.1f MB, %s\n", t->model,
           best * 1e3 / (double)t->samples, work * 1e3 / (double)t->samples, t->workers, (double)stats.arena_bytes / 1e6,
           (double)stats.packed_bytes / 1e6, (double)u.ru_maxrss / 1e3, qcc_ref_isa());
  }
  if (r) e->close(r);
  free(all);
  return st;
}

static qcc_status start(tool *t, int argc, char **argv) {
  for (int i = 1; i < argc; ++i) {
    const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : "";
    if (a[0] != '-') {
      if (!t->model)
        t->model = a;
      else if (t->given_count == MAX_GIVEN)
        return QCC_ARG;
      else if (qcc_onnx_load_tensor(&t->given[t->given_count], t->cx, a, &(const char *){NULL}) != QCC_OK)
        return QCC_DATA;
      else
        t->given_count++;
      continue;
    }
    if (a[1] == 'a') {
      t->all = true;
      continue;
    }
    if (a[1] == 'o')
      t->folder = v;
    else if (a[1] == 'w')
      t->workers = (unsigned)strtoul(v, NULL, 10);
    else if (a[1] == 'n')
      t->samples = strtoul(v, NULL, 10);
    else if (a[1] == 'r')
      t->rounds = strtoul(v, NULL, 10);
    else if (a[1] == 'p')
      t->passes = v;
    else if (a[1] == 'e')
      t->how = *v == 's' ? QCC_AS_SATURATING : QCC_AS_EXACT;
    else if (a[1] == 's')
      read_shape(t, v);
    else
      return QCC_ARG;
    ++i;
  }
  if (!t->model) return QCC_ARG;
  QCC_TRY(qcc_onnx_load(&t->g, t->cx, t->model));
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  if (t->passes) QCC_TRY(qcc_run_passes(t->g, t->passes, &options));
  if (t->how != QCC_AS_FLOAT) QCC_TRY(qcc_run_passes(t->g, "@qlinear", &options));
  return make_inputs(t);
}

int main(int argc, char **argv) {
  static tool t = {.workers = 1, .samples = 1, .rounds = 1};
  const qcc_host host = {.log = say};
  if (qcc_context_new(&t.cx, &host) != QCC_OK) return 8;
  qcc_status st = start(&t, argc, argv);
  if (st == QCC_OK)
    st = run(&t);
  else if (st == QCC_ARG)
    fprintf(stderr,
            "usage: run_model MODEL [-o FOLDER] [-w N] [-n N] [-r N] [-p PASSES] [-a] [-e exact|saturating] [-s NAME=1x3] [FILE.pb...]\n");
  for (uint32_t i = 0; i < t.given_count; ++i) qcc_tensor_release(&t.given[i]);
  qcc_graph_free(t.g);
  qcc_context_free(t.cx);
  return (int)st;
}
