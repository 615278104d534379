/* SPDX-License-Identifier: Apache-2.0
 * qcc_compile: one function call per arrow of the design. Prepare, tune (policy -> plan), quantize (plan -> graph), summarize. */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <string.h>
#include <time.h>

#include "backends/ref/ref.h"
#include "backends/target/target.h"
#include "frontends/capi/format.h"
#include "frontends/capi/params.h"
#include "passes/facts.h"
#include "strategy/float_range.h"

typedef struct job {
  qcc_context *cx;
  const qcc_compile_options *o;
  const qcc_graph *original;
  qcc_graph *g;        /* being compiled; the facade frees it on failure */
  qcc_graph *prepared; /* after @prepare: what the plan speaks of */
  qcc_target target;
  const qcc_format_row *format; /* NULL: each operator in the form that suits it best */
  qcc_pass_run_options passes;
  qcc_dtype blocks; /* type of weights in blocks; QCC_NONE: none */
  qcc_dtype floats; /* what float parts compute in; QCC_NONE: f32 */
  qcc_given given;  /* parameters from the options */
  qcc_tune_result tuned;
  double start;
} job;

static double now(void) {
  struct timespec t = {0};
  if (clock_gettime(CLOCK_MONOTONIC, &t) != 0) return 0;
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

bool qcc_is_quantized(const qcc_graph *g) {
  QCC_FOR_NODES(n, g) {
    if (qcc_op_get(n->op)->role == QCC_ROLE_QUANT || qcc_stores_codes(n)) return true;
  }
  return false;
}

static bool has_holes(const char *const *list, uint32_t count) {
  if (count && !list) return true;
  for (uint32_t i = 0; i < count; i++) {
    if (!list[i]) return true;
  }
  return false;
}

static qcc_status check_options(const qcc_model *in, const qcc_compile_options *o) {
  qcc_context *cx = in->cx;
  if (o->size != sizeof *o) return qcc_error(cx, QCC_ARG, "A-107", NULL, "compile options of another version of the library");
  if (o->level == 3) return qcc_error(cx, QCC_ARG, "A-108", NULL, "-O3 (accuracy-driven tuning) is not there yet; use -O2");
  if (o->level < 0 || o->level > 3) return qcc_error(cx, QCC_ARG, "A-109", NULL, "level %d: levels are 0, 1 and 2", o->level);
  if (has_holes(o->only, o->only_count) || has_holes(o->exclude, o->exclude_count))
    return qcc_error(cx, QCC_ARG, "A-145", NULL, "a selector is NULL");
  if (!o->calib) return QCC_OK;
  QCC_TRY(qcc_data_fits(o->calib, in));
  return o->calib->samples.count ? QCC_OK : qcc_error(cx, QCC_DATA, "D-011", NULL, "there are no calibration samples");
}

/* ---- data: -O2 without any makes its own, loudly */

/* Who says what to quantize, or how, wants it in 8 bit, whatever it costs. */
static const char *default_preference(const job *j) {
  const qcc_compile_options *o = j->o;
  const bool at_run_time = o->dynamic || (j->format && j->format->form == QCC_FORMAT_INTEGER);
  return o->only_count || o->overrides || o->encodings || o->code_interface || at_run_time ? "size" : "speed";
}

static qcc_status prefer_of(qcc_prefer *out, const job *j) {
  static const char *const names[] = {[QCC_PREFER_SPEED] = "speed", [QCC_PREFER_SIZE] = "size", [QCC_PREFER_ACCURACY] = "accuracy"};
  const char *asked = j->o->prefer ? j->o->prefer : default_preference(j);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(asked, names[i]) == 0) return *out = (qcc_prefer)i, QCC_OK;
  return qcc_error(j->cx, QCC_ARG, "A-117", NULL, "\"%-s\" cannot be preferred; it is speed, size or accuracy", j->o->prefer);
}

static qcc_status tune_options(qcc_tune_options *t, const job *j) {
  const qcc_compile_options *o = j->o;
  *t = (qcc_tune_options){.level = o->level,
                          .estimator = QCC_EST_AUTO,
                          .dynamic = o->dynamic || (j->format && j->format->form == QCC_FORMAT_INTEGER),
                          .block_dtype = j->blocks,
                          .block = o->block ? o->block : 32,
                          .coded_interface = o->code_interface,
                          .workers = qcc_threads_of(o->threads),
                          .seed = o->seed,
                          .arithmetic = qcc_arithmetic_of(o->exact, o->saturating),
                          .target = &j->target,
                          .eval = j->passes.eval};
  t->given = &j->given;
  QCC_TRY(prefer_of(&t->prefer, j));
  t->select = (qcc_select){o->only, o->only_count, o->exclude, o->exclude_count, j->original};
  if (!o->estimator) return QCC_OK;
#define ESTIMATOR(id, name, doc) \
  if (strcmp(o->estimator, name) == 0) return t->estimator = QCC_EST_##id, QCC_OK;
#include "strategy/estimators.def"
#undef ESTIMATOR
  return qcc_error(j->cx, QCC_ARG, "A-111", NULL, "unknown estimator \"%s\"; \"qcc list estimators\" names them", o->estimator);
}

static qcc_status tune(job *j) {
  qcc_tune_options t;
  QCC_TRY(tune_options(&t, j));
  qcc_dataset *synthetic = NULL;
  if (j->o->calib) {
    t.calib = &j->o->calib->samples;
  } else if (t.level >= 2) {
    qcc_warn(j->cx, "D-001", NULL,
             "NO CALIBRATION DATA: ranges come from random samples, accuracy will suffer; give real samples with --calib, or use -O1");
    QCC_TRY(qcc_dataset_synthetic(&synthetic, j->prepared, 32, t.seed));
    t.calib = qcc_dataset_samples(synthetic);
  }
  qcc_status st = qcc_tune(&j->tuned, j->prepared, &t);
  j->tuned.synthetic_data = synthetic != NULL;
  if (st == QCC_OK) qcc_given_unused(&j->given, j->tuned.plan);
  qcc_dataset_free(synthetic);
  return st;
}

/* ---- what the written model says about itself */

static qcc_status record(const job *j, qcc_graph *g) {
  char level[8];
  qcc_format(level, sizeof level, "%d", j->o->level);
  QCC_TRY(qcc_graph_set_metadata(g, "qcc.version", qcc_version()));
  QCC_TRY(qcc_graph_set_metadata(g, "qcc.level", level));
  QCC_TRY(qcc_graph_set_metadata(g, "qcc.target", j->target.name));
  if (j->o->options_text) QCC_TRY(qcc_graph_set_metadata(g, "qcc.options", j->o->options_text));
  if (!j->o->calib) return qcc_graph_set_metadata(g, "qcc.calibration", j->tuned.synthetic_data ? "synthetic" : "none");
  if (!j->o->calib->set) return qcc_graph_set_metadata(g, "qcc.calibration", "callback");
  char digest[32];
  qcc_format(digest, sizeof digest, "%llx", (unsigned long long)qcc_dataset_digest(j->o->calib->set));
  return qcc_graph_set_metadata(g, "qcc.calibration", digest);
}

static qcc_status note_steps(qcc_model *m, const qcc_tune_result *r) {
  for (uint32_t i = 0; i < r->step_count; i++) {
    const qcc_step *s = &r->steps[i];
    char text[128];
    char before[24] = "";
    if (!isnan(s->sqnr_before)) qcc_format(before, sizeof before, "%.2f dB -> ", s->sqnr_before); /* the first step has nothing before it */
    qcc_format(text, sizeof text, "%s%.2f dB, %s, %.2f s", before, s->sqnr_after, s->kept ? "kept" : "dropped", s->seconds);
    QCC_TRY(qcc_model_note(m, "step", s->name, text));
  }
  return QCC_OK;
}

/* Products in blocks that are, or are to be, MatMulNBits stay so. */
static const char *pipeline_of(const job *j) {
  return j->o->nbits && j->format->form == QCC_FORMAT_QDQ ? "@qdq-nbits" : j->format->pipeline;
}

static qcc_status quantize(const job *j, const qcc_model *m) {
  qcc_pass_run_options options = j->passes;
  options.plan = m->plan;
  options.given = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13;
  options.target = &j->target;
  QCC_TRY(qcc_run_passes(m->g, j->o->nbits ? "@quantize-nbits" : "@quantize", &options));
  return j->format ? qcc_run_passes(m->g, pipeline_of(j), &options) : QCC_OK;
}

static qcc_status convert_floats(const job *j, qcc_graph *g, const qcc_plan *ranges) {
  if (j->floats == QCC_NONE) return QCC_OK;
  char pipeline[80];
  qcc_pass_run_options options = j->passes;
  qcc_format(pipeline, sizeof pipeline, "infer-shapes,convert-float{to=%s%s},dce", qcc_dtype_name(j->floats),
             j->o->float_interface ? ",io=convert" : "");
  options.plan = ranges;
  return qcc_run_passes(g, pipeline, &options);
}

/* What the caller asked for beside quantization. Samples fit the interface that the model came with, so ranges are measured first. */
static qcc_status change_interface(const job *j, qcc_model *m) {
  qcc_plan *ranges = NULL;
  if (j->floats == QCC_F16 && j->o->calib)
    QCC_TRY(qcc_float_ranges(&ranges, m->g, j->passes.eval, &j->o->calib->samples, qcc_threads_of(j->o->threads)));
  qcc_status st = j->o->code_interface ? qcc_interface_to_codes(m, &j->passes) : QCC_OK;
  if (st == QCC_OK) st = convert_floats(j, m->g, ranges);
  qcc_plan_free(ranges);
  return st;
}

/* From the prepared graph and its plan to the model. */
static qcc_status finish(qcc_model **out, job *j) {
  qcc_model *m = NULL;
  qcc_graph *g = j->g;
  j->g = NULL;
  QCC_TRY(qcc_model_wrap(&m, g));
  m->plan = j->tuned.plan;
  j->tuned.plan = NULL;
  m->summary.sqnr_db = m->plan ? j->tuned.sqnr_db : NAN;
  m->summary.speedup = m->plan ? j->tuned.speedup : NAN;
  m->summary.synthetic = j->tuned.synthetic_data;
  qcc_status st = note_steps(m, &j->tuned);
  if (st == QCC_OK) st = qcc_summarize_nodes(m);
  qcc_graph_free(j->prepared); /* or its weights would stay beside those that replace them */
  j->prepared = NULL;
  if (st == QCC_OK && m->plan) st = quantize(j, m);
  if (st == QCC_OK) st = change_interface(j, m);
  if (st == QCC_OK) st = record(j, m->g);
  if (st == QCC_OK) st = qcc_summarize_bytes(m, j->original);
  m->summary.seconds = now() - j->start;
  if (st != QCC_OK) qcc_model_free(m);
  if (st == QCC_OK) *out = m;
  return st;
}

/* The weights of the file: what of them is still in use comes back by itself. */
static qcc_status cool(qcc_graph *g, void *user) {
  (void)user;
  for (uint32_t i = 0; i < g->const_count; i++)
    if (g->consts[i]->data) qcc_buf_cold(g->consts[i]->data->buf);
  return QCC_OK;
}

static qcc_status prepare(job *j) {
  const char *pipeline = j->o->level == 0 ? "@canonical" : "@prepare";
  QCC_TRY(qcc_graph_clone(&j->g, j->original));
  QCC_TRY(qcc_run_passes(j->g, pipeline, &j->passes));
  QCC_TRY(qcc_graph_walk((qcc_graph *)(uintptr_t)j->original, cool, NULL)); /* reads only */
  return qcc_graph_clone(&j->prepared, j->g);
}

static qcc_status choose_types(job *j) {
  const qcc_compile_options *o = j->o;
  qcc_target_choice choice = {o->activations, j->blocks == QCC_NONE ? o->weights : NULL, o->per_tensor, o->reduce_range, o->pow2};
  return qcc_target_choose(&j->target, &choice);
}

/* The model is written as it is; the runtime may refuse it. */
static void check_opset(const job *j) {
  const qcc_target *t = &j->target;
  int64_t opset = qcc_graph_opset(j->g, "");
  const qcc_loc loc = {.file = j->original->file};
  if ((!t->max_opset || opset <= t->max_opset) && opset >= t->min_opset) return;
  qcc_warn(j->cx, "U-321", &loc, "opset %lld, but target \"%s\" takes %lld to %lld", (long long)opset, t->name, (long long)t->min_opset,
           (long long)t->max_opset);
}

static qcc_status compile(qcc_model **out, job *j, const qcc_plan *given) {
  QCC_TRY(qcc_pass_run_options_of(&j->passes, j->cx, j->o->passes));
  j->passes.eval = qcc_ref_eval();
  QCC_TRY(qcc_target_find(&j->target, j->cx, j->o->target ? j->o->target : QCC_TARGET_DEFAULT));
  QCC_TRY(choose_types(j));
  if (j->format) QCC_TRY(qcc_format_check(j->format, &j->target));
  if (j->blocks != QCC_NONE) QCC_TRY(qcc_weights_check(j->blocks, &j->target));
  QCC_TRY(qcc_progress(j->cx, "prepare", 0, 1));
  QCC_TRY(prepare(j));
  QCC_TRY(qcc_params_given(&j->given, j->o, j->original, j->prepared, given != NULL));
  if (j->o->level > 0) check_opset(j);
  if (given) {
    QCC_TRY(qcc_plan_clone(&j->tuned.plan, given));
    j->tuned.sqnr_db = j->tuned.speedup = NAN;
  } else if (j->o->level > 0) {
    QCC_TRY(tune(j));
  }
  return finish(out, j);
}

/* The model is quantized already: it may take another form, but nothing of it is decided again. */
static qcc_status convert(qcc_model *m, job *j) {
  qcc_graph *g = m->g;
  QCC_TRY(qcc_target_find(&j->target, j->cx, j->o->target ? j->o->target : QCC_TARGET_DEFAULT));
  if (j->format) QCC_TRY(qcc_format_check(j->format, &j->target));
  QCC_TRY(qcc_pass_run_options_of(&j->passes, j->cx, j->o->passes));
  j->passes.eval = qcc_ref_eval();
  j->passes.target = &j->target;
  if (j->format) QCC_TRY(qcc_run_passes(g, pipeline_of(j), &j->passes));
  if (j->o->nbits) QCC_TRY(qcc_run_passes(g, "infer-shapes,fuse-nbits,dce", &j->passes));
  QCC_TRY(change_interface(j, m));
  QCC_TRY(qcc_graph_set_metadata(g, "qcc.version", qcc_version()));
  return j->o->options_text ? qcc_graph_set_metadata(g, "qcc.options", j->o->options_text) : QCC_OK;
}

static qcc_status take_quantized(qcc_model **out, const qcc_model *in, job *j) {
  const qcc_loc loc = {.file = in->g->file};
  if (j->format)
    qcc_note(in->cx, &loc, "the model is quantized already; it is written in the format \"%s\"", j->format->name);
  else if (j->o->nbits)
    qcc_note(in->cx, &loc, "the model is quantized already; its products with weights in blocks become MatMulNBits");
  else if (j->floats != QCC_NONE)
    qcc_note(in->cx, &loc, "the model is quantized already; its float parts are converted to %s", qcc_dtype_name(j->floats));
  else if (j->o->code_interface)
    qcc_note(in->cx, &loc, "the model is quantized already; its inputs and outputs become codes");
  else
    qcc_note(in->cx, &loc, "the model is quantized already; it is left as it is");
  qcc_model *m = NULL;
  QCC_TRY(qcc_clone(&m, in));
  m->summary.size = sizeof(qcc_summary);
  m->summary.was_quantized = true;
  m->summary.sqnr_db = m->summary.speedup = NAN;
  const bool changes = j->format || j->o->nbits || j->floats != QCC_NONE || j->o->code_interface;
  qcc_status st = changes ? convert(m, j) : QCC_OK;
  if (st == QCC_OK)
    *out = m;
  else
    qcc_model_free(m);
  return st;
}

static qcc_status run_job(qcc_model **out, const qcc_model *in, const qcc_plan *plan, const qcc_compile_options *o) {
  *out = NULL;
  QCC_TRY(check_options(in, o));
  job j = {.cx = in->cx, .o = o, .original = in->g, .start = now()};
  QCC_TRY(qcc_format_find(&j.format, j.cx, o->format));
  QCC_TRY(qcc_floats_find(&j.floats, j.cx, o->floats));
  QCC_TRY(qcc_weights_find(&j.blocks, j.cx, o->weights, o->block));
  qcc_given_init(&j.given, in->cx);
  qcc_status st = qcc_is_quantized(in->g) ? take_quantized(out, in, &j) : compile(out, &j, plan);
  qcc_tune_result_fini(in->cx, &j.tuned);
  qcc_given_fini(&j.given);
  qcc_target_fini(&j.target);
  qcc_graph_free(j.prepared);
  qcc_graph_free(j.g);
  return st;
}

qcc_status qcc_compile(qcc_model **out, const qcc_model *in, const qcc_compile_options *options) {
  static const qcc_compile_options fallback = QCC_COMPILE_OPTIONS_INIT;
  if (!out || !in) return QCC_ARG;
  return run_job(out, in, NULL, options ? options : &fallback);
}

qcc_status qcc_compile_plan(qcc_model **out, const qcc_model *in, const char *plan_json, size_t n, const qcc_compile_options *options) {
  static const qcc_compile_options fallback = QCC_COMPILE_OPTIONS_INIT;
  if (!out || !in || !plan_json) return QCC_ARG;
  *out = NULL;
  qcc_plan *plan = NULL;
  QCC_TRY(qcc_plan_from_json(&plan, in->cx, plan_json, n));
  qcc_status st = run_job(out, in, plan, options ? options : &fallback);
  qcc_plan_free(plan);
  return st;
}

qcc_status qcc_plan_json(const qcc_model *model, char **out, size_t *n) {
  if (!model || !out || !n) return QCC_ARG;
  *out = NULL;
  *n = 0;
  if (!model->plan) return qcc_error(model->cx, QCC_ARG, "A-112", NULL, "the model was not made by qcc_compile: it has no plan");
  return qcc_plan_to_json(model->plan, out, n);
}
