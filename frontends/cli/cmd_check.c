/* SPDX-License-Identifier: Apache-2.0
 * qcc check: which kernel each node gets. A table for people: totals, what stays float and why, which weights can saturate. */
#include <stdlib.h>
#include <string.h>

#include "frontends/cli/cli.h"

enum { FATES = QCC_FATE_OTHER + 1, GROUPS = 64, NAMED = 6, LISTED = 12 };

typedef struct group { /* nodes with one reason */
  char *reason, *what, *advice;
  bool is_float;
  uint64_t count;
} group;

typedef struct node { /* of the summary; strings are copies */
  char *name, *op;
  size_t group;
  uint64_t pairs, unsafe;
} node;

typedef struct total {
  char *kernel;
  bool on_codes;
  uint64_t count;
} total;

typedef struct table {
  node *nodes;
  size_t count, cap;
  group groups[GROUPS];
  size_t group_count;
  total *totals;
  size_t total_count;
  uint64_t fates[FATES], nodes_seen, pairs, unsafe;
  bool verbose, failed;
} table;

static char *copy(table *t, const char *text) {
  char *to = malloc(strlen(text) + 1);
  t->failed |= !to;
  return to ? strcpy(to, text) : NULL;
}

static node *fresh(table *t) {
  if (t->count == t->cap) {
    size_t cap = t->cap ? 2 * t->cap : 64;
    node *nodes = realloc(t->nodes, cap * sizeof *nodes);
    t->failed |= !nodes;
    if (!nodes) return NULL;
    t->nodes = nodes;
    t->cap = cap;
  }
  return &t->nodes[t->count++];
}

static void print_node(const qcc_check_row *r) {
  printf("%-8s ", r->fate_name);
  print_safe(stdout, r->op);
  printf(" ");
  print_safe(stdout, r->name);
  if (*r->kernel && strcmp(r->kernel, r->op) != 0) printf(" -> %s", r->kernel);
  if (*r->into) printf(" of "), print_safe(stdout, r->into);
  if (*r->reason) printf(": %s", r->reason);
  if (*r->input) printf(" "), print_safe(stdout, r->input);
  if (r->unsafe_pairs) printf("; %llu of %llu pairs can saturate", (unsigned long long)r->unsafe_pairs, (unsigned long long)r->pairs);
  printf("\n");
}

/* Reasons are few: a closed list. */
static size_t group_of(table *t, const qcc_check_row *r) {
  const bool is_float = r->fate == QCC_FATE_FLOAT;
  size_t k = 0;
  while (k < t->group_count && (t->groups[k].is_float != is_float || strcmp(t->groups[k].reason, r->reason) != 0)) k++;
  if (k == GROUPS) return GROUPS;
  if (k == t->group_count) {
    t->groups[k] = (group){copy(t, r->reason), copy(t, r->what), copy(t, r->advice), is_float, 0};
    if (t->failed) return GROUPS;
    t->group_count++;
  }
  t->groups[k].count++;
  return k;
}

static void take_node(void *user, const qcc_check_row *r) {
  table *t = user;
  t->fates[r->fate]++;
  t->nodes_seen++;
  t->pairs += r->pairs;
  t->unsafe += r->unsafe_pairs;
  if (t->verbose) print_node(r);
  const size_t place = *r->reason ? group_of(t, r) : GROUPS;
  const bool named = place < GROUPS && t->groups[place].count <= NAMED;
  if (!named && !r->unsafe_pairs) return;
  node *n = fresh(t);
  if (n) *n = (node){copy(t, r->name), copy(t, r->op), place, r->pairs, r->unsafe_pairs};
}

static void take_total(void *user, const char *kernel, bool on_codes, uint64_t count) {
  table *t = user;
  total *totals = realloc(t->totals, (t->total_count + 1) * sizeof *totals);
  t->failed |= !totals;
  if (!totals) return;
  t->totals = totals;
  t->totals[t->total_count++] = (total){copy(t, kernel), on_codes, count};
}

static void print_totals(const table *t) {
  printf("kernels\n");
  for (size_t k = 0; k < t->total_count; k++) {
    printf("%8llu  ", (unsigned long long)t->totals[k].count);
    print_safe(stdout, t->totals[k].kernel);
    printf("%s\n", t->totals[k].on_codes ? " on codes" : "");
  }
}

/* "12 no-kernel: ...; ..." and below it the nodes. */
static void print_reason(const table *t, size_t place) {
  const group *g = &t->groups[place];
  printf("%8llu  %s: %s. To do: %s\n", (unsigned long long)g->count, g->reason, g->what, g->advice);
  uint64_t shown = 0;
  for (size_t k = 0; k < t->count && shown < NAMED; k++) {
    const node *n = &t->nodes[k];
    if (n->group != place) continue;
    printf("          ");
    print_safe(stdout, n->op);
    printf(" ");
    print_safe(stdout, n->name);
    printf("\n");
    shown++;
  }
  if (g->count > shown) printf("          ... and %llu more (-v lists them)\n", (unsigned long long)(g->count - shown));
}

static void print_reasons(const table *t, bool of_float, const char *heading) {
  bool any = false;
  for (size_t k = 0; k < t->group_count; k++) {
    if (t->groups[k].is_float != of_float) continue;
    if (!any) printf("%s\n", heading);
    any = true;
    print_reason(t, k);
  }
}

static int worse(const void *a, const void *b) {
  const node *x = a, *y = b;
  const double p = x->pairs ? (double)x->unsafe / (double)x->pairs : 0, q = y->pairs ? (double)y->unsafe / (double)y->pairs : 0;
  if (p != q) return p < q ? 1 : -1;
  return strcmp(x->name, y->name);
}

static void print_saturation(table *t) {
  if (!t->pairs) return;
  printf("saturation        %llu of %llu pairs of weights can saturate on x86 without VNNI\n", (unsigned long long)t->unsafe,
         (unsigned long long)t->pairs);
  if (t->count) qsort(t->nodes, t->count, sizeof *t->nodes, worse);
  for (size_t k = 0; k < t->count && k < LISTED && t->nodes[k].unsafe; k++) {
    const node *n = &t->nodes[k];
    printf("%8llu  of %llu in ", (unsigned long long)n->unsafe, (unsigned long long)n->pairs);
    print_safe(stdout, n->op);
    printf(" ");
    print_safe(stdout, n->name);
    printf("\n");
  }
}

static void print_table(table *t) {
  static const char *const labels[] = {"in int8", "moving codes", "fused", "removed", "folded", "converting", "float", "other"};
  print_totals(t);
  printf("nodes             %llu:", (unsigned long long)t->nodes_seen);
  bool first = true;
  for (int k = 0; k < FATES; k++) {
    if (!t->fates[k]) continue;
    printf("%s %llu %s", first ? "" : ",", (unsigned long long)t->fates[k], labels[k]);
    first = false;
  }
  printf("\n");
  print_reasons(t, true, "float");
  print_reasons(t, false, "amiss");
  print_saturation(t);
}

static void free_table(table *t) {
  for (size_t k = 0; k < t->count; k++) {
    free(t->nodes[k].name);
    free(t->nodes[k].op);
  }
  for (size_t k = 0; k <= t->group_count && k < GROUPS; k++) { /* the last one may be half made */
    free(t->groups[k].reason);
    free(t->groups[k].what);
    free(t->groups[k].advice);
  }
  free(t->nodes);
  for (size_t k = 0; k < t->total_count; k++) free(t->totals[k].kernel);
  free(t->totals);
}

static qcc_status print_json(qcc_context *cx, const qcc_model *m, const qcc_check_options *o) {
  char *text = NULL;
  size_t n = 0;
  qcc_status st = qcc_check_json(m, o, &text, &n);
  if (st == QCC_OK && fwrite(text, 1, n, stdout) != n) st = QCC_IO;
  qcc_bytes_free(cx, text);
  return st;
}

static qcc_status print_text(const qcc_model *m, const qcc_check_options *o, bool verbose) {
  table t = {.verbose = verbose};
  qcc_status st = qcc_check(m, o, take_node, take_total, &t);
  if (st == QCC_OK && t.failed) st = no_memory();
  if (st == QCC_OK) print_table(&t);
  free_table(&t);
  return st;
}

static unsigned long long at_work(const table *t) { return (unsigned long long)(t->fates[QCC_FATE_INT8] + t->fates[QCC_FATE_CODES]); }

/* Kernels before and after, and what the repair did. */
static qcc_status fix(qcc_model *m, const qcc_check_options *o, const args *a) {
  table before = {0}, after = {0};
  qcc_status st = qcc_check(m, o, take_node, take_total, &before);
  if (st == QCC_INVALID) st = QCC_OK; /* what makes it invalid may be what is repaired */
  if (st == QCC_OK) st = qcc_passes(m, "tidy-qdq", NULL);
  if (st == QCC_OK) st = qcc_check(m, o, take_node, take_total, &after);
  if (st == QCC_OK && (before.failed || after.failed)) st = no_memory();
  if (st == QCC_OK) st = qcc_save(m, a->output);
  if (st == QCC_OK && !a->quiet && !a->json) {
    printf("repaired          %llu -> %llu nodes in int8 or moving codes, %llu -> %llu converting, %llu -> %llu float\n", at_work(&before),
           at_work(&after), (unsigned long long)before.fates[QCC_FATE_BORDER], (unsigned long long)after.fates[QCC_FATE_BORDER],
           (unsigned long long)before.fates[QCC_FATE_FLOAT], (unsigned long long)after.fates[QCC_FATE_FLOAT]);
  }
  free_table(&before);
  free_table(&after);
  return st;
}

qcc_status cmd_check(qcc_context *cx, const args *a) {
  if (a->fix && !a->output) return usage_error("where to? give -o OUT%s", "");
  if (!a->fix && a->output) return usage_error("-o needs --fix%s", "");
  qcc_check_options o = QCC_CHECK_OPTIONS_INIT;
  o.target = a->target;
  o.ort_version = a->ort_version;
  qcc_model *m = NULL;
  qcc_status st = load_model(&m, cx, a->pos[0]);
  if (st == QCC_OK && a->fix) st = fix(m, &o, a);
  if (st == QCC_OK) st = a->json ? print_json(cx, m, &o) : print_text(m, &o, a->verbose);
  qcc_model_free(m);
  return st;
}
