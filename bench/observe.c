/* SPDX-License-Identifier: Apache-2.0
 * observe [-t THREADS] [-w none|range|histogram] MODEL INPUT=FILE.npy...
 * Calibration as the compiler does it, on command (turns.h): the prepared graph runs while those values are watched that define the ranges
 * of a quantized model for ORT on a processor; by their extremes, by histograms, or not at all. */
#define _POSIX_C_SOURCE 200809L
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/ref/ref.h"
#include "backends/ref/simd/simd.h"
#include "backends/target/target.h"
#include "bench/turns.h"
#include "frontends/data/data.h"
#include "frontends/onnx/import.h"
#include "passes/pass.h"
#include "strategy/collect.h"
#include "strategy/placement.h"

enum { MOST_WORKERS = 8 };

typedef struct side {
  qcc_context *cx;
  qcc_graph *g;
  qcc_dataset *given;
  qcc_runner *runner;
  const char *watch;
  unsigned workers;
  const qcc_simd *simd;
  const qcc_value **values; /* NULL-terminated */
  size_t value_count;
  size_t count;     /* of samples in this turn */
  float *range;     /* two for each worker and value */
  qcc_tensor *kept; /* the one sample */
} side;

static void say(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity <= QCC_WARNING) fprintf(stderr, "%s\n", line);
}

static qcc_status get(void *user, size_t index, qcc_tensor *inputs) {
  (void)index;
  const side *s = user;
  for (uint32_t i = 0; i < s->g->input_count; i++) inputs[i] = qcc_tensor_retain(&s->kept[i]);
  return QCC_OK;
}

static void see(void *user, const qcc_piece *p) {
  side *s = user;
  float *to = s->range + 2 * (p->worker * s->value_count + p->index);
  s->simd->range(p->data, p->count, &to[0], &to[1]);
}

static bool make(void *user, size_t count) { return ((side *)user)->count = count, true; }

static qcc_status with_histograms(side *s, const qcc_samples *samples) {
  qcc_collector *c = NULL;
  qcc_status st = qcc_collector_new(&c, s->cx, s->workers, s->count, 0);
  for (size_t i = 0; st == QCC_OK && s->values[i]; i++) st = qcc_collector_watch(c, s->values[i], QCC_WATCH_HIST, 0);
  if (st == QCC_OK) st = qcc_collector_run(c, qcc_ref_eval(), s->runner, samples, 0, s->count, NULL);
  qcc_collector_free(c);
  return st;
}

static bool run(void *user) {
  side *s = user;
  const qcc_samples samples = {.count = s->count, .get = get, .user = s};
  if (strcmp(s->watch, "histogram") == 0) return with_histograms(s, &samples) == QCC_OK;
  const bool range = strcmp(s->watch, "range") == 0;
  const qcc_hooks hooks = {.observed = range ? s->values : NULL, .observe = range ? see : NULL, .user = s};
  return qcc_ref_eval()->run(s->runner, &samples, 0, s->count, &hooks) == QCC_OK;
}

/* ---- start */
static qcc_status choose(side *s) {
  qcc_target target;
  qcc_placement p;
  s->values = calloc(s->g->next_value_id + 1u, sizeof *s->values);
  size_t n = 0;
  if (!s->values) return QCC_NOMEM;
  QCC_TRY(qcc_target_find(&target, s->cx, QCC_TARGET_DEFAULT));
  QCC_TRY(qcc_place(&p, s->g, &target, &(qcc_place_options){.have_ranges = true}));
  for (uint32_t i = 0; i < s->g->input_count; i++)
    if (!s->g->inputs[i]->data && qcc_is_range_source(&p, s->g->inputs[i])) s->values[n++] = s->g->inputs[i];
  QCC_FOR_NODES(node, s->g)
  for (uint32_t i = 0; i < node->out_count; i++)
    if (node->out[i] && qcc_is_range_source(&p, node->out[i])) s->values[n++] = node->out[i];
  qcc_placement_fini(&p);
  qcc_target_fini(&target);
  s->range = calloc(2 * (n + 1) * MOST_WORKERS, sizeof *s->range);
  s->value_count = n;
  s->simd = qcc_simd_choose();
  fprintf(stderr, "%zu values are watched\n", n);
  return s->range ? QCC_OK : QCC_NOMEM;
}

static qcc_status keep_sample(side *s) {
  s->kept = calloc(s->g->input_count + 1u, sizeof *s->kept);
  const qcc_samples *samples = qcc_dataset_samples(s->given);
  return s->kept ? samples->get(samples->user, 0, s->kept) : QCC_NOMEM;
}

static qcc_status start(side *s, const char *model, char **sources, int count) {
  const char *folder = getenv("TMPDIR");
  const qcc_host host = {.log = say, .spill_folder = folder && *folder ? folder : "/var/tmp"}; /* as the command line does */
  const qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  QCC_TRY(qcc_context_new(&s->cx, &host));
  QCC_TRY(qcc_onnx_load(&s->g, s->cx, model));
  QCC_TRY(qcc_run_passes(s->g, "@prepare", &options));
  QCC_TRY(qcc_dataset_open(&s->given, s->g, (const char *const *)sources, (uint32_t)count, NULL, 0));
  QCC_TRY(keep_sample(s));
  QCC_TRY(choose(s));
  return qcc_ref_eval()->open(&s->runner, s->cx, s->g, &(qcc_run_options){.workers = s->workers});
}

static void stop(side *s) {
  for (uint32_t i = 0; s->kept && i < s->g->input_count; i++) qcc_tensor_release(&s->kept[i]);
  if (s->runner) qcc_ref_eval()->close(s->runner);
  qcc_dataset_free(s->given);
  qcc_graph_free(s->g);
  if (s->cx) qcc_context_free(s->cx);
  free(s->kept);
  free(s->values);
  free(s->range);
}

int main(int argc, char **argv) {
  side s = {.watch = "none", .workers = 1};
  for (int option; (option = getopt(argc, argv, "t:w:")) != -1;) {
    if (option == 't') s.workers = (unsigned)strtoul(optarg, NULL, 10);
    if (option == 'w') s.watch = optarg;
    if (option == '?') return QCC_ARG;
  }
  if (argc - optind < 2 || s.workers < 1 || s.workers > MOST_WORKERS) {
    fprintf(stderr, "usage: observe [-t THREADS] [-w none|range|histogram] MODEL INPUT=FILE.npy...\n");
    return QCC_ARG;
  }
  qcc_status st = start(&s, argv[optind], argv + optind + 1, argc - optind - 1);
  if (st == QCC_OK && !turns_serve(make, run, &s)) st = QCC_INTERNAL;
  stop(&s);
  return (int)st;
}
