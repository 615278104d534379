/* SPDX-License-Identifier: Apache-2.0
 * Runs pipelines: verifies after each pass, prints, counts, takes time, writes a reproducer when a pass fails.
 * It knows nothing about any single pass. */
#include <string.h>
#include <time.h>

#include "ir/check.h"
#include "ir/text.h"
#include "passes/pipeline.h"

typedef struct cost {
  double seconds;
  uint64_t rewrites;
} cost;

typedef struct runner {
  const qcc_pipeline *p;
  qcc_graph *g;
  const qcc_pass_run_options *o;
  qcc_pass_cx cx;
  cost *costs;       /* per stage */
  qcc_graph *before; /* clone for the reproducer */
  qcc_text text;     /* of the graph before the pass (print_changed) */
} runner;

static double now(void) {
  struct timespec t;
  return timespec_get(&t, TIME_UTC) ? (double)t.tv_sec + 1e-9 * (double)t.tv_nsec : 0;
}

/* ---- printing */

static void put(const runner *r, const qcc_text *text) {
  if (r->o->print && text->at && !text->failed) r->o->print(r->o->print_user, text->at, text->n);
}

static void print_graph(const runner *r, const char *pass) {
  qcc_text text = {.cx = r->g->cx};
  qcc_text_addf(&text, "; after %s\n", pass);
  qcc_print_graph(&text, r->g, NULL);
  put(r, &text);
  qcc_text_free(&text);
}

static bool changed(const runner *r, const qcc_text *after) {
  return r->text.n != after->n || (after->n && memcmp(r->text.at, after->at, after->n) != 0);
}

static void print_after(runner *r, const qcc_pass *pass) {
  const char *which = r->o->print_after;
  if (which && (!strcmp(which, "all") || !strcmp(which, pass->name))) {
    print_graph(r, pass->name);
    return;
  }
  if (!r->o->print_changed) return;
  qcc_text after = {.cx = r->g->cx};
  qcc_print_graph(&after, r->g, NULL);
  if (changed(r, &after)) print_graph(r, pass->name);
  qcc_text_free(&after);
}

/* ---- reproducer */

enum { MOST_INLINE = 16 << 20 }; /* bytes of weights up to which the reproducer holds them */

static bool small_weights(const qcc_graph *g) {
  size_t sum = 0;
  for (uint32_t k = 0; k < g->const_count; k++)
    if (!qcc_add_size(sum, g->consts[k]->data->bytes, &sum)) return false;
  return sum <= MOST_INLINE;
}

static void reproducer_text(const runner *r, qcc_text *text, uint32_t stage) {
  qcc_text_addf(text, "; pass: ");
  qcc_pipeline_print_from(text, r->p, stage);
  qcc_text_add(text, "\n", 1);
  qcc_print_options options = {.all_weights = small_weights(r->before)};
  qcc_print_graph(text, r->before, &options);
}

static int write_file(const qcc_io *io, const char *path, const qcc_text *text) {
  void *file = NULL;
  int e = io->create(io->user, path, &file);
  if (e) return e;
  e = io->write(io->user, file, text->at, text->n);
  if (!e) return io->commit(io->user, file);
  io->abandon(io->user, file);
  return e;
}

/* The failure is told already; this adds where to look. */
static void write_reproducer(const runner *r, uint32_t stage) {
  qcc_context *cx = r->g->cx;
  qcc_text text = {.cx = cx};
  reproducer_text(r, &text, stage);
  int e = text.failed || !text.at ? -1 : write_file(&qcc_context_host(cx)->io, r->o->reproducer, &text);
  if (e)
    qcc_warn(cx, "F-171", NULL, "could not write the reproducer %-s", r->o->reproducer);
  else
    qcc_note(cx, NULL, "the graph before the failing pass and the rest of the pipeline are in %-s", r->o->reproducer);
  qcc_text_free(&text);
}

/* ---- one pass */

static qcc_status prepare_pass(runner *r) {
  if (r->o->print_changed) {
    qcc_text_free(&r->text);
    r->text = (qcc_text){.cx = r->g->cx};
    qcc_print_graph(&r->text, r->g, NULL);
  }
  if (!r->o->reproducer) return QCC_OK;
  qcc_graph_free(r->before);
  r->before = NULL;
  return qcc_graph_clone(&r->before, r->g);
}

static qcc_status run_and_check(runner *r, const qcc_pass *pass) {
  QCC_TRY(pass->run(&r->cx));
  QCC_TRY(qcc_graph_status(r->g));
  return r->o->no_verify ? QCC_OK : qcc_verify(r->g, QCC_INTERNAL);
}

static qcc_status run_stage(runner *r, uint32_t index) {
  const qcc_stage *stage = &r->p->stages.at[index];
  const qcc_pass *pass = stage->pass;
  QCC_TRY(qcc_progress(r->g->cx, "passes", index, r->p->stages.n));
  QCC_TRY(prepare_pass(r));
  r->cx.pass = pass->name;
  r->cx.options = r->p->options.at ? r->p->options.at + stage->first_option : NULL;
  r->cx.option_count = stage->option_count;
  uint64_t rewrites = r->cx.rewrites;
  double start = now();
  qcc_status status = run_and_check(r, pass);
  r->costs[index].seconds += now() - start;
  r->costs[index].rewrites += r->cx.rewrites - rewrites;
  if (status == QCC_OK) {
    print_after(r, pass);
    return QCC_OK;
  }
  if (status == QCC_INTERNAL) qcc_note(r->g->cx, NULL, "in or after pass '%s'", pass->name);
  if (r->before) write_reproducer(r, index);
  return status;
}

/* ---- whole pipelines */

static qcc_status run_range(runner *r, uint32_t from, uint32_t to);

static qcc_status run_fix(runner *r, uint32_t from, uint32_t to) {
  for (int round = 0; round < QCC_FIX_ROUNDS; round++) {
    uint64_t rewrites = r->cx.rewrites;
    QCC_TRY(run_range(r, from, to));
    if (r->cx.rewrites == rewrites) return QCC_OK;
  }
  qcc_warn(r->g->cx, "I-172", NULL, "a fix(...) group still changed the graph in round %d and was cut off", QCC_FIX_ROUNDS);
  return QCC_OK;
}

/* Recursion follows the nesting of fix(...), which the parser bounds. */
static qcc_status run_range(runner *r, uint32_t from, uint32_t to) {
  for (uint32_t k = from; k < to; k++) {
    const qcc_stage *stage = &r->p->stages.at[k];
    if (stage->kind == QCC_STAGE_PASS) QCC_TRY(run_stage(r, k));
    if (stage->kind != QCC_STAGE_FIX) continue;
    QCC_TRY(run_fix(r, k + 1, stage->end));
    k = stage->end;
  }
  return QCC_OK;
}

static void tell_costs(const runner *r) {
  qcc_info(r->g->cx, "%-24s %9s %9s", "pass", "seconds", "rewrites");
  for (uint32_t k = 0; k < r->p->stages.n; k++)
    if (r->p->stages.at[k].pass)
      qcc_info(r->g->cx, "%-24s %9.4f %9llu", r->p->stages.at[k].pass->name, r->costs[k].seconds, (unsigned long long)r->costs[k].rewrites);
}

qcc_status qcc_pipeline_run(const qcc_pipeline *p, qcc_graph *g, const qcc_pass_run_options *options, uint64_t *rewrites) {
  qcc_pass_run_options none = {0};
  runner r = {.p = p, .g = g, .o = options ? options : &none};
  r.cx = (qcc_pass_cx){.cx = g->cx,
                       .g = g,
                       .eval = r.o->eval,
                       .plan = r.o->plan,
                       .target = r.o->target,
                       .explain = r.o->explain,
                       .rewrite_limit = r.o->bisect ? r.o->bisect : UINT64_MAX};
  r.costs = qcc_zalloc_array(g->cx, p->stages.n + 1, sizeof *r.costs);
  if (!r.costs) return QCC_NOMEM;
  qcc_status status = run_range(&r, 0, (uint32_t)p->stages.n);
  if (r.o->time) tell_costs(&r);
  if (rewrites) *rewrites = r.cx.rewrites;
  qcc_graph_free(r.before);
  qcc_text_free(&r.text);
  qcc_free(g->cx, r.costs);
  return status;
}

qcc_status qcc_run_passes(qcc_graph *g, const char *pipeline, const qcc_pass_run_options *options) {
  qcc_pipeline *p;
  QCC_TRY(qcc_pipeline_parse(&p, g->cx, pipeline, options ? options->given : 0));
  qcc_status status = qcc_pipeline_run(p, g, options, NULL);
  qcc_pipeline_free(p);
  return status;
}
