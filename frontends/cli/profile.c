/* SPDX-License-Identifier: Apache-2.0
 * What a session measured, as tables: steps by time, totals per operator, figures of the whole run. */
#define _XOPEN_SOURCE 700 /* getrusage */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "frontends/cli/cli.h"

double peak_megabytes(void) {
  struct rusage usage;
  return getrusage(RUSAGE_SELF, &usage) == 0 ? (double)usage.ru_maxrss / 1e3 : 0;
}

typedef struct line { /* of a step, or of all steps of one operator */
  qcc_step_cost cost;
  size_t steps;
} line;

typedef struct sheet {
  line *at;
  size_t count, cap;
  bool failed;
} sheet;

static void add_line(sheet *t, const qcc_step_cost *cost) {
  if (t->count == t->cap) {
    const size_t cap = t->cap ? 2 * t->cap : 64;
    line *at = realloc(t->at, cap * sizeof *at);
    t->failed |= !at;
    if (!at) return;
    t->at = at;
    t->cap = cap;
  }
  t->at[t->count++] = (line){*cost, 1};
}

static void take_step(void *user, const qcc_step_cost *cost) { add_line(user, cost); }

static void add_total(sheet *t, const qcc_step_cost *cost) {
  size_t i = 0;
  while (i < t->count && strcmp(t->at[i].cost.op, cost->op) != 0) i++;
  if (i == t->count) {
    add_line(t, cost);
    return;
  }
  qcc_step_cost *to = &t->at[i].cost;
  to->seconds += cost->seconds;
  to->operations += cost->operations;
  to->bytes_read += cost->bytes_read;
  to->bytes_written += cost->bytes_written;
  t->at[i].steps++;
}

static int slower(const void *a, const void *b) {
  const double x = ((const line *)a)->cost.seconds, y = ((const line *)b)->cost.seconds;
  return x < y ? 1 : x > y ? -1 : 0;
}

typedef struct scale {
  double samples, seconds, peak; /* seconds: of all steps */
} scale;

static double ratio(double a, double b) { return b > 0 ? a / b : 0; }

/* What another runtime does not tell is left out. */
static void print_cost(const qcc_step_cost *c, const scale *s) {
  const double bytes = c->bytes_read + c->bytes_written, speed = ratio(c->operations, c->seconds);
  printf("%10.4f %6.2f", 1e3 * ratio(c->seconds, s->samples), 100 * ratio(c->seconds, s->seconds));
  if (s->peak > 0)
    printf(" %9.2f %6.1f", 1e-9 * speed, 100 * ratio(speed, s->peak));
  else
    printf(" %9s %6s", "-", "-");
  printf(" %9.3f %7.1f", 1e-6 * ratio(bytes, s->samples), 1e-9 * ratio(bytes, c->seconds));
}

static void print_step(const qcc_step_cost *c) {
  size_t n = strlen(c->op) + (*c->fused_ops ? strlen(c->fused_ops) + 1 : 0);
  printf("  ");
  print_safe(stdout, c->op);
  if (*c->fused_ops) printf("+");
  print_safe(stdout, c->fused_ops);
  printf("%*s", n < 32 ? 33 - (int)n : 1, "");
  print_safe(stdout, c->name);
  if (*c->fused) printf(", ");
  print_safe(stdout, c->fused);
  printf("\n");
}

static void print_sheets(sheet *steps, sheet *totals, const qcc_run_figures *f, const scale *s) {
  qsort(steps->at, steps->count, sizeof *steps->at, slower);
  qsort(totals->at, totals->count, sizeof *totals->at, slower);
  printf("%10s %6s %9s %6s %9s %7s  %-32s %s\n", "ms", "share", "GFLOP/s", "peak %", "MB", "GB/s", "operators", "nodes");
  for (size_t i = 0; i < steps->count; i++) {
    print_cost(&steps->at[i].cost, s);
    print_step(&steps->at[i].cost);
  }
  printf("\n%10s %6s %9s %6s %9s %7s  %-32s %s\n", "ms", "share", "GFLOP/s", "peak %", "MB", "GB/s", "steps that begin with", "count");
  for (size_t i = 0; i < totals->count; i++) {
    print_cost(&totals->at[i].cost, s);
    printf("  ");
    print_safe(stdout, totals->at[i].cost.op);
    printf("%*zu\n", 38 - (int)(strlen(totals->at[i].cost.op) < 32 ? strlen(totals->at[i].cost.op) : 32), totals->at[i].steps);
  }
  printf("\nper sample %.4f ms in steps, %.4f ms between them; means of %zu samples on %u threads; %s", 1e3 * ratio(s->seconds, s->samples),
         1e3 * ratio(f->seconds * (f->samples < f->threads ? (double)f->samples : f->threads) - s->seconds, s->samples), f->samples,
         f->threads, f->isa);
  if (s->peak > 0) printf(", at most %.1f GFLOP/s on one processor", 1e-9 * f->peak);
  printf("\n");
}

qcc_status print_profile(qcc_session *session) {
  sheet steps = {0}, totals = {0};
  qcc_run_figures f;
  scale s = {0};
  qcc_status st = qcc_session_figures(session, &f);
  if (st == QCC_OK) st = qcc_session_steps(session, take_step, &steps);
  for (size_t i = 0; i < steps.count; i++) {
    s.seconds += steps.at[i].cost.seconds;
    add_total(&totals, &steps.at[i].cost);
  }
  if (st == QCC_OK && (steps.failed || totals.failed)) st = no_memory();
  if (st == QCC_OK) {
    s.samples = (double)f.samples;
    s.peak = f.peak;
    print_sheets(&steps, &totals, &f, &s);
  }
  free(steps.at);
  free(totals.at);
  return st;
}

qcc_status print_stats(qcc_session *session) {
  qcc_run_figures f;
  qcc_status st = qcc_session_figures(session, &f);
  if (st != QCC_OK) return st;
  printf("time              %.4f s for %zu samples: %.4f ms a sample, %.1f samples/s\n", f.seconds, f.samples,
         1e3 * ratio(f.seconds, (double)f.samples), ratio((double)f.samples, f.seconds));
  printf("threads           %u, instruction set %s\n", f.threads, f.isa);
  if (f.plans) { /* another runtime does not tell */
    printf("activations       %.3f MB a thread\n", (double)f.arena_bytes / 1e6);
    printf("packed weights    %.3f MB\n", (double)f.packed_bytes / 1e6);
    printf("plans             %zu\n", f.plans);
  }
  printf("peak memory       %.1f MB\n", peak_megabytes());
  return QCC_OK;
}
