/* SPDX-License-Identifier: Apache-2.0
 * golden FILE.qir: one test, as its first line says. Exit 0 only when everything that the file promises was seen to hold.
 * golden --oom FILE.qir: the same work with one allocation failing, for each allocation in turn: it must end in QCC_NOMEM or succeed,
 * and give everything back.
 * QCC_BLESS=1 rewrites the expected block instead of comparing it; everything else is still checked. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "backends/target/target.h"
#include "ir/lex.h"
#include "ir/text.h"
#include "tests/golden/case.h"

static bool failed(const golden *c, const char *what) {
  fprintf(stderr, "FAIL %s: %s\n", c->path, what);
  return false;
}

static void print_log(void *user, qcc_severity severity, const char *line) {
  (void)user;
  if (severity != QCC_INFO) fprintf(stderr, "  %s\n", line);
}

/* ---- pieces that both modes do */
static qcc_status parse_case(const golden *c, qcc_context *cx, qcc_graph **g) {
  size_t head = c->expect_at; /* the expected block is comments, but its errors would mislead */
  return qcc_parse_graph(g, cx, c->text, head, c->path);
}

static qcc_status run_passes(const golden *c, qcc_context *cx, qcc_graph *g) {
  qcc_plan *plan = NULL;
  qcc_target target = {0};
  if (!*c->pipeline) return QCC_OK;
  if (c->target) QCC_TRY(qcc_target_find(&target, cx, c->target));
  qcc_status st = c->plan ? qcc_plan_from_json(&plan, cx, c->plan, strlen(c->plan)) : QCC_OK;
  const qcc_pass_run_options options = {.eval = qcc_ref_eval(), .plan = plan, .target = c->target ? &target : NULL};
  if (st == QCC_OK) st = qcc_run_passes(g, c->pipeline, &options);
  qcc_plan_free(plan);
  if (c->target) qcc_target_fini(&target);
  return st;
}

static qcc_status print(qcc_graph *g, bool all, qcc_text *to) {
  qcc_print_graph(to, g, &(qcc_print_options){.all_weights = all});
  return to->failed ? QCC_NOMEM : QCC_OK;
}

/* print(parse(text)) == text */
static qcc_status print_again(qcc_context *cx, const qcc_text *text, bool all, qcc_text *to) {
  qcc_graph *g = NULL;
  QCC_TRY(qcc_parse_graph(&g, cx, text->at, text->n, "printed text"));
  qcc_status st = print(g, all, to);
  qcc_graph_free(g);
  return st;
}

static bool same_text(const golden *c, const char *what, const char *expected, const char *found) {
  if (strcmp(expected, found) == 0) return true;
  failed(c, what);
  unsigned line = 1;
  while (*expected && *expected == *found) {
    line += *expected == '\n';
    expected++;
    found++;
  }
  fprintf(stderr, "first difference in line %u\n  expected: %.*s\n  found:    %.*s\n", line, (int)strcspn(expected, "\n"), expected,
          (int)strcspn(found, "\n"), found);
  return false;
}

static bool check_expect(const golden *c, const qcc_text *found) {
  if (getenv("QCC_BLESS")) return golden_bless(c, found->at) || failed(c, "cannot be written");
  if (!c->expect) return failed(c, "has no ';; expect' block; make it with QCC_BLESS=1 and read it");
  if (same_text(c, "differs from the expected block", c->expect, found->at)) return true;
  fprintf(stderr, "---- found\n%s----\n", found->at);
  return false;
}

static bool check_fixed_point(const golden *c, qcc_context *cx, qcc_graph *g) {
  qcc_text once = {.cx = cx}, twice = {.cx = cx};
  bool ok = print(g, true, &once) == QCC_OK && print_again(cx, &once, true, &twice) == QCC_OK;
  if (!ok) failed(c, "what was printed does not parse");
  ok = ok && same_text(c, "printing is not a fixed point", once.at, twice.at);
  qcc_text_free(&once);
  qcc_text_free(&twice);
  return ok;
}

/* ---- kinds */
static qcc_claim claim_of(qcc_context *cx, const char *pipeline) {
  qcc_pipeline *p = NULL;
  qcc_claim claim = QCC_CLAIM_EXACT;
  if (qcc_pipeline_parse(&p, cx, pipeline, 0) != QCC_OK) return claim;
  for (uint32_t k = 0; qcc_pass_at(k); k++) {
    const qcc_pass *pass = qcc_pass_at(k);
    if (qcc_pipeline_names(p, pass->name) && pass->claim > claim) claim = pass->claim;
  }
  qcc_pipeline_free(p);
  return claim;
}

static bool check_results(const golden *c, qcc_context *cx, const qcc_graph *before, const qcc_graph *after) {
  if (c->no_run) return *c->no_run || failed(c, "'; no-run:' needs a reason");
  outputs a = {0}, b = {0};
  qcc_claim claim = claim_of(cx, c->pipeline);
  double figure = 0;
  const char *wrong = NULL;
  if (claim == QCC_CLAIM_QUANTIZES && c->sqnr <= 0) wrong = "a pass that quantizes needs '; sqnr: floor in dB'";
  if (!wrong && golden_run(&a, c, cx, before, 2) != QCC_OK) wrong = "the graph before the pass does not run; see '; no-run: reason'";
  if (!wrong && golden_run(&b, c, cx, after, 2) != QCC_OK) wrong = "the graph after the pass does not run";
  if (!wrong) wrong = golden_compare(&a, &b, claim, c->sqnr, &figure);
  outputs_free(&a, cx);
  outputs_free(&b, cx);
  if (wrong) fprintf(stderr, "  figure: %g\n", figure);
  return !wrong || failed(c, wrong);
}

static bool test_pass(const golden *c, qcc_context *cx) {
  qcc_graph *before = NULL, *after = NULL;
  qcc_text found = {.cx = cx};
  bool ok = parse_case(c, cx, &before) == QCC_OK && parse_case(c, cx, &after) == QCC_OK;
  if (!ok) failed(c, "the text does not parse");
  if (ok && run_passes(c, cx, after) != QCC_OK) ok = failed(c, "the pipeline fails");
  ok = ok && print(after, false, &found) == QCC_OK;
  /* a wrong text and a wrong result are both worth telling */
  bool same = ok && check_expect(c, &found);
  ok = ok && check_fixed_point(c, cx, after) && check_results(c, cx, before, after);
  qcc_text_free(&found);
  qcc_graph_free(before);
  qcc_graph_free(after);
  return same && ok;
}

static bool test_roundtrip(const golden *c, qcc_context *cx) {
  qcc_graph *g = NULL, *clone = NULL;
  qcc_text found = {.cx = cx}, again = {.cx = cx}, cloned = {.cx = cx};
  if (parse_case(c, cx, &g) != QCC_OK) return failed(c, "the text does not parse");
  bool ok = print(g, true, &found) == QCC_OK && check_expect(c, &found) && check_fixed_point(c, cx, g);
  if (ok)
    ok = print_again(cx, &found, true, &again) == QCC_OK && same_text(c, "the expected block is not a fixed point", found.at, again.at);
  if (ok) ok = qcc_graph_clone(&clone, g) == QCC_OK && print(clone, true, &cloned) == QCC_OK;
  if (ok) ok = same_text(c, "a clone prints differently", found.at, cloned.at);
  qcc_text_free(&found);
  qcc_text_free(&again);
  qcc_text_free(&cloned);
  qcc_graph_free(g);
  qcc_graph_free(clone);
  return ok;
}

static bool test_reject(const golden *c, qcc_context *cx) {
  qcc_graph *g = NULL;
  unsigned line = 0;
  char *text = NULL, at[32];
  if (!golden_error(c, &line, &text)) return failed(c, "a reject test needs '; error: text' on the guilty line");
  qcc_status st = parse_case(c, cx, &g);
  if (st == QCC_OK) st = run_passes(c, cx, g);
  qcc_graph_free(g);
  const char *message = qcc_last_error(cx);
  snprintf(at, sizeof at, ".qir:%u", line);
  bool ok = st != QCC_OK && st != QCC_INTERNAL && st != QCC_NOMEM;
  if (!ok) failed(c, "was not refused as a wrong text");
  if (ok && !strstr(message, text)) ok = failed(c, "the error message is another one");
  /* errors of the verifier name a node instead of a line */
  if (ok && strstr(message, ".qir:") && !strstr(message, at)) ok = failed(c, "the error is reported at another line");
  if (!ok) fprintf(stderr, "  expected in line %u: %s\n  found: %s\n", line, text, message);
  free(text);
  return ok;
}

static void print_outputs(qcc_text *to, const qcc_graph *g, const outputs *o) {
  for (size_t k = 0; k < o->n; k++) {
    qcc_print_name(to, '%', g->outputs[k]->value->name);
    qcc_text_addf(to, " = const ");
    qcc_print_tensor(to, g->cx, &o->at[k], true);
    qcc_text_addf(to, "\n");
  }
}

/* Numbers are compared, not digits: results may differ in the last bit between instruction sets. */
static bool close_to_expect(const golden *c, qcc_context *cx, const outputs *found) {
  qcc_lexer l;
  qcc_lex_init(&l, cx, c->expect, strlen(c->expect), c->path);
  if (qcc_lex_next(&l) != QCC_OK) return false;
  for (size_t k = 0; k < found->n; k++) {
    const char *name = NULL;
    qcc_tensor t = {0};
    if (qcc_lex_name(&l, &name) != QCC_OK || qcc_lex_take(&l, '=') != QCC_OK || qcc_lex_take_word(&l, "const") != QCC_OK ||
        qcc_parse_tensor(&l, &t) != QCC_OK)
      return failed(c, "the expected block does not parse");
    outputs a = {.at = &t, .n = 1}, b = {.at = &found->at[k], .n = 1};
    double figure = 0;
    const char *wrong = golden_compare(&a, &b, QCC_CLAIM_ROUNDS, 0, &figure);
    qcc_tensor_release(&t);
    if (wrong && !(figure <= c->tolerance && figure > 0)) return failed(c, wrong);
  }
  return l.token.kind == QCC_TOKEN_END || failed(c, "fewer outputs than expected");
}

static bool test_eval(const golden *c, qcc_context *cx) {
  qcc_graph *g = NULL;
  outputs found = {0};
  qcc_text text = {.cx = cx};
  if (parse_case(c, cx, &g) != QCC_OK) return failed(c, "the text does not parse");
  bool ok = golden_run(&found, c, cx, g, 1) == QCC_OK || failed(c, "does not run");
  if (ok) print_outputs(&text, g, &found);
  if (ok && getenv("QCC_BLESS")) {
    ok = check_expect(c, &text);
  } else if (ok) {
    ok = c->expect ? close_to_expect(c, cx, &found) : failed(c, "has no ';; expect' block");
    if (!ok) fprintf(stderr, "---- found\n%s----\n", text.at);
  }
  outputs_free(&found, cx);
  qcc_text_free(&text);
  qcc_graph_free(g);
  return ok;
}

static bool test_case(const golden *c) {
  static bool (*const kinds[])(const golden *c, qcc_context *cx) = {test_pass, test_roundtrip, test_reject, test_eval};
  qcc_context *cx = NULL;
  qcc_host host = {.log = print_log};
  if (qcc_context_new(&cx, &host) != QCC_OK) return failed(c, "no context");
  bool ok = kinds[c->kind](c, cx);
  if (qcc_context_live_bytes(cx) > 1 << 24) ok = failed(c, "memory was not given back");
  qcc_context_free(cx);
  return ok;
}

/* ---- failing allocations */
typedef struct failing {
  size_t seen, fail_at;
} failing;

static void *resize(void *user, void *p, size_t old_size, size_t new_size) {
  failing *f = user;
  (void)old_size;
  if (new_size == 0) {
    free(p);
    return NULL;
  }
  return __atomic_fetch_add(&f->seen, 1, __ATOMIC_RELAXED) == f->fail_at ? NULL : realloc(p, new_size);
}

static qcc_status work(const golden *c, qcc_context *cx) {
  qcc_graph *g = NULL, *clone = NULL;
  qcc_text text = {.cx = cx};
  qcc_status st = parse_case(c, cx, &g);
  if (st == QCC_OK) st = qcc_graph_clone(&clone, g);
  if (st == QCC_OK) st = run_passes(c, cx, clone);
  if (st == QCC_OK) st = print(clone, false, &text);
  outputs found = {0};
  if (st == QCC_OK && !c->no_run) st = golden_run(&found, c, cx, clone, 1);
  outputs_free(&found, cx);
  qcc_text_free(&text);
  qcc_graph_free(g);
  qcc_graph_free(clone);
  return st;
}

/* One run; *count is the number of allocations that it asked for. */
static qcc_status work_failing(const golden *c, size_t fail_at, size_t *count, char *message, size_t size) {
  failing f = {.fail_at = fail_at};
  qcc_host host = {.alloc = {.resize = resize, .user = &f}};
  qcc_context *cx = NULL;
  qcc_status st = qcc_context_new(&cx, &host);
  if (st == QCC_OK) st = work(c, cx);
  snprintf(message, size, "%s", cx ? qcc_last_error(cx) : "");
  qcc_context_free(cx);
  *count = f.seen;
  return st;
}

static bool test_oom(const golden *c) {
  enum { MOST = 600 }; /* runs; more allocations than that are sampled evenly */
  size_t total = 0, count = 0;
  char message[600];
  qcc_status fine = work_failing(c, SIZE_MAX, &total, message, sizeof message);
  size_t step = total / MOST + 1;
  for (size_t k = 0; k < total; k += step) {
    qcc_status st = work_failing(c, k, &count, message, sizeof message);
    if (st == QCC_NOMEM || st == fine) continue;
    fprintf(stderr, "FAIL %s: allocation %zu of %zu failed and the status became %d: %s\n", c->path, k, total, (int)st, message);
    return false;
  }
  printf("%zu allocations, every %zu%s failed in turn\n", total, step, step == 1 ? "st" : "th");
  return true;
}

int main(int argc, char **argv) {
  golden c;
  bool oom = argc == 3 && strcmp(argv[1], "--oom") == 0;
  if (argc != 2 + oom) {
    fprintf(stderr, "usage: golden [--oom] FILE.qir\n");
    return 2;
  }
  bool ok = golden_read(&c, argv[argc - 1]);
  ok = ok && (oom ? test_oom(&c) : test_case(&c));
  golden_free(&c);
  return ok ? 0 : 1;
}
