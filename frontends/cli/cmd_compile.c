/* SPDX-License-Identifier: Apache-2.0
 * qcc MODEL -o OUT: compile, write, tell what came out. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/cli/cli.h"

static void megabytes(char *to, size_t n, uint64_t bytes) {
  if (bytes < 100000) {
    snprintf(to, n, "%.1f kB", (double)bytes / 1e3);
  } else {
    snprintf(to, n, "%.2f MB", (double)bytes / 1e6);
  }
}

static void print_summary(const qcc_summary *s, int level) {
  char before[32], after[32];
  megabytes(before, sizeof before, s->bytes_before);
  megabytes(after, sizeof after, s->bytes_after);
  printf("level             -O%d\n", level);
  printf("nodes             %u: %u in int8, %u on run-time ranges, %u with small weights, %u weighted ones float\n", s->nodes,
         s->int8_nodes, s->dynamic_nodes, s->weight_only_nodes, s->float_nodes);
  printf("multiply-adds     %.1f %% in int8\n", 100 * s->int8_macs);
  if (s->speedup > 0) printf("expected          %.2f times as fast as float on the target\n", s->speedup);
  printf("weights           %s -> %s (%.2fx)\n", before, after, s->bytes_after ? (double)s->bytes_before / (double)s->bytes_after : 0);
  if (isnan(s->sqnr_db)) {
    printf("output SQNR       not measured\n");
  } else {
    printf("output SQNR       %.1f dB on held-out samples%s\n", s->sqnr_db, s->synthetic ? " (SYNTHETIC: real data will differ)" : "");
  }
  printf("time              %.2f s, peak memory %.0f MB\n", s->seconds, peak_megabytes());
}

typedef struct explanation {
  bool verbose;
  unsigned hidden;
} explanation;

static const struct {
  const char *kind, *label;
  bool rare; /* one line for each node: the first ones will do */
} kinds[] = {{"step", "step", false},
             {"weights", "only weights", true},
             {"float", "kept float", true},
             {"codes", "as codes", false},
             {"interface", "kept as it was", false}};

static void explain(void *user, const char *kind, const char *subject, const char *text) {
  explanation *e = user;
  size_t k = 0;
  while (k + 1 < sizeof kinds / sizeof *kinds && strcmp(kinds[k].kind, kind) != 0) k++;
  if (k == 0 && !e->verbose) return;
  if (kinds[k].rare && !e->verbose && e->hidden++ >= 8) return;
  printf("%-17s ", kinds[k].label);
  print_safe(stdout, subject);
  printf(": ");
  print_safe(stdout, text);
  printf("\n");
}

static void report(const qcc_model *m, const args *a) {
  qcc_summary s;
  if (a->quiet || qcc_summary_of(m, &s) != QCC_OK) return;
  if (!s.was_quantized) print_summary(&s, a->level);
  explanation e = {.verbose = a->verbose};
  qcc_explain(m, explain, &e);
  if (!a->verbose && e.hidden > 8) printf("kept float        ... and %u more (-v lists them)\n", e.hidden - 8);
}

static qcc_status open_data(qcc_data **out, const qcc_model *model, const args *a) {
  if (a->calib.count == 0) return a->transform ? usage_error("--transform needs --calib%s", "") : QCC_OK;
  return qcc_data_open(out, model, a->calib.at, a->calib.count, a->transform, a->samples.value);
}

static qcc_status compile(qcc_model **out, const qcc_model *model, qcc_compile_options *o, const args *a) {
  char *plan = NULL, *overrides = NULL, *encodings = NULL;
  size_t n = 0;
  qcc_status st = a->plan ? read_text(&plan, &n, a->plan) : QCC_OK;
  if (st == QCC_OK && a->overrides) st = read_text(&overrides, &o->overrides_bytes, a->overrides);
  if (st == QCC_OK && a->encodings) st = read_text(&encodings, &o->encodings_bytes, a->encodings);
  o->overrides = overrides;
  o->encodings = encodings;
  if (st == QCC_OK) st = plan ? qcc_compile_plan(out, model, plan, n, o) : qcc_compile(out, model, o);
  free(plan);
  free(overrides);
  free(encodings);
  o->overrides = o->encodings = NULL;
  return st;
}

static qcc_status prepare_json(text_out *to, qcc_context *cx, const qcc_model *m, const char *path,
                               qcc_status (*json)(const qcc_model *model, char **out, size_t *n)) {
  char *text = NULL;
  size_t n = 0;
  if (!path) return QCC_OK;
  qcc_status st = json(m, &text, &n);
  if (st == QCC_OK) st = text_prepare(to, path, text, n);
  qcc_bytes_free(cx, text);
  return st;
}

/* The model and what was asked for beside it, or nothing. */
static qcc_status save(qcc_context *cx, qcc_model *m, const args *a) {
  qcc_status st = QCC_OK;
  text_out plan = {0}, overrides = {0}, encodings = {0};
  if (a->passes) {
    qcc_pass_options passes;
    pass_options_of(&passes, a);
    st = qcc_passes(m, a->passes, &passes);
  }
  if (st == QCC_OK) st = prepare_json(&plan, cx, m, a->save_plan, qcc_plan_json);
  if (st == QCC_OK) st = prepare_json(&overrides, cx, m, a->save_overrides, qcc_overrides_json);
  if (st == QCC_OK) st = prepare_json(&encodings, cx, m, a->save_encodings, qcc_encodings_json);
  if (st == QCC_OK) st = qcc_save(m, a->output);
  st = text_finish(&plan, st);
  st = text_finish(&overrides, st);
  return text_finish(&encodings, st);
}

qcc_status cmd_compile(qcc_context *cx, const args *a) {
  if (!a->output) return usage_error("where to? give -o OUT%s", "");
  qcc_model *model = NULL, *result = NULL;
  qcc_data *data = NULL;
  qcc_pass_options passes;
  pass_options_of(&passes, a);
  qcc_compile_options o = QCC_COMPILE_OPTIONS_INIT;
  o.level = a->level;
  o.target = a->target;
  o.estimator = a->estimator;
  o.prefer = a->prefer;
  o.dynamic = a->dynamic;
  o.format = a->format;
  o.weights = a->weights;
  o.block = a->block.value > UINT32_MAX ? UINT32_MAX : (unsigned)a->block.value;
  o.nbits = a->nbits;
  o.floats = a->floats;
  o.float_interface = a->float_io;
  o.code_interface = a->io_int8;
  o.threads = (unsigned)a->threads.value;
  o.seed = a->seed.value;
  o.only = a->only.at, o.only_count = a->only.count;
  o.exclude = a->exclude.at, o.exclude_count = a->exclude.count;
  o.activations = a->activations;
  o.per_tensor = a->per_tensor;
  o.reduce_range = a->reduce_range;
  o.pow2 = a->pow2;
  o.passes = &passes;
  o.options_text = a->line;
  qcc_status st = exact_of(&o.exact, &o.saturating, a);
  if (st == QCC_OK) st = load_model(&model, cx, a->pos[0]);
  if (st == QCC_OK) st = open_data(&data, model, a);
  o.calib = data;
  if (st == QCC_OK) st = compile(&result, model, &o, a);
  if (st == QCC_OK) st = save(cx, result, a);
  if (st == QCC_OK) report(result, a);
  qcc_data_free(data);
  qcc_model_free(result);
  qcc_model_free(model);
  return st;
}
