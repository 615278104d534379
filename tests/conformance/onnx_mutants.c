/* SPDX-License-Identifier: Apache-2.0
 * Damaged operators. Usage: onnx_mutants ROOT [ROUNDS [PART-OF-NAME]], where ROOT holds one folder per operator test.
 *
 * Every model of one node is folded ROUNDS times with one to three random changes: values (indices far outside, NaN, extremes), shapes, element
 * types, inputs left out, attributes. It is also run as a graph ROUNDS times with changed values and attributes, where no shape rule sees the
 * values before the kernel does. Any status is fine; a crash, a sanitizer report or a success without outputs is not. Seeded by round and
 * name, so a failure repeats. 77 when ROOT is not there. */
#define _DEFAULT_SOURCE
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/onnx/import.h"

enum { MAX_INPUTS = 32, MAX_OUTPUTS = 64, MAX_TESTS = 8192, PATH = 4096 };

typedef struct mutant {
  qcc_context *cx;
  qcc_graph *g;
  qcc_node *node;
  qcc_tensor in[MAX_INPUTS];
  bool absent[MAX_INPUTS];
  uint32_t in_count;
  uint64_t seed;
} mutant;

static uint64_t next(mutant *m) { /* splitmix64 */
  uint64_t z = m->seed += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static uint64_t below(mutant *m, uint64_t n) { return next(m) % n; }

static int64_t odd_int(mutant *m) {
  static const int64_t list[] = {
      0, 1, -1, 2, -2, 3, 5, 7, 100, -100, 127, -128, 255, 32767, INT32_MAX, INT32_MIN, INT64_MAX, INT64_MIN, (int64_t)1 << 40};
  return list[below(m, sizeof list / sizeof *list)];
}

static double odd_float(mutant *m) {
  static const double list[] = {0, 1, -1, 0.5, 1e-30, 1e30, -1e30, 3.4e38, 1e9, -1e9};
  uint64_t i = below(m, sizeof list / sizeof *list + 3);
  return i < sizeof list / sizeof *list ? list[i] : i % 3 == 0 ? (double)NAN : i % 3 == 1 ? (double)INFINITY : (double)-INFINITY;
}

static bool is_number(qcc_dtype t) {
  return qcc_dtype_bits(t) && qcc_dtype_kind(t) != QCC_KIND_COMPLEX && qcc_dtype_kind(t) != QCC_KIND_STRING;
}

static void change_values(mutant *m, qcc_tensor *t) {
  int64_t n = qcc_tensor_count(t);
  if (!is_number(t->type.dtype) || n == 0 || !qcc_tensor_mut(t)) return;
  for (uint64_t i = 1 + below(m, 3); i > 0; --i) {
    int64_t at = (int64_t)below(m, (uint64_t)n);
    qcc_tensor_set(t, at, qcc_dtype_is_int(t->type.dtype) ? (double)odd_int(m) : odd_float(m));
  }
}

static void replace(mutant *m, qcc_tensor *t, const qcc_type *type) {
  qcc_tensor fresh = {0};
  if (!is_number(type->dtype) || qcc_tensor_new(&fresh, m->cx, type) != QCC_OK) return;
  memset(qcc_tensor_mut(&fresh), 0, fresh.bytes);
  for (int64_t i = 0, n = qcc_tensor_count(&fresh); i < n; ++i) qcc_tensor_set(&fresh, i, (double)(int64_t)below(m, 5) - 1);
  qcc_tensor_release(t);
  *t = fresh;
}

static void change_shape(mutant *m, qcc_tensor *t) {
  qcc_type type = t->type;
  if (below(m, 2)) {
    type.rank = (int8_t)below(m, QCC_MAX_RANK + 1);
    for (int d = 0; d < type.rank; ++d) type.dim[d] = (int64_t)below(m, 3);
  } else if (type.rank > 0) {
    type.dim[below(m, (uint64_t)type.rank)] = (int64_t)below(m, 5);
  }
  replace(m, t, &type);
}

static void change_type(mutant *m, qcc_tensor *t) {
  qcc_type type = t->type;
  type.dtype = (qcc_dtype)(1 + below(m, QCC_DTYPE_COUNT - 1));
  replace(m, t, &type);
}

static void change_attr(mutant *m) {
  const qcc_attr *a = m->node->attrs;
  uint32_t count = 0;
  int64_t ints[16];
  for (const qcc_attr *p = a; p; p = p->next) ++count;
  if (count == 0) return;
  for (uint64_t i = below(m, count); i > 0; --i) a = a->next;
  if (a->kind == QCC_ATTR_INT) {
    qcc_attr_set_int(m->node, a->name, odd_int(m));
  } else if (a->kind == QCC_ATTR_FLOAT) {
    qcc_attr_set_float(m->node, a->name, (float)odd_float(m));
  } else if (a->kind == QCC_ATTR_INTS && a->count > 0 && a->count < 16) {
    memcpy(ints, a->ints, a->count * sizeof *ints);
    ints[below(m, a->count)] = odd_int(m);
    qcc_attr_set_ints(m->node, a->name, ints, a->count - (uint32_t)(below(m, 4) == 0) + (uint32_t)0);
  } else if (a->kind == QCC_ATTR_STRING) {
    qcc_attr_set_str(m->node, a->name, "zz", 2);
  } else {
    qcc_attr_remove(m->node, a->name);
  }
}

static void mutate(mutant *m) {
  for (uint64_t i = 1 + below(m, 3); i > 0; --i) {
    uint64_t kind = below(m, 12), at = m->in_count ? below(m, m->in_count) : 0;
    if (m->in_count == 0 || kind < 3)
      change_attr(m);
    else if (kind < 8)
      change_values(m, &m->in[at]);
    else if (kind < 10)
      change_shape(m, &m->in[at]);
    else if (kind < 11)
      change_type(m, &m->in[at]);
    else
      m->absent[at] = true;
  }
}

/* ---- one model */
static bool load(mutant *m, const char *folder) {
  char path[PATH + 64];
  const char *name;
  snprintf(path, sizeof path, "%s/model.onnx", folder);
  if (qcc_onnx_load(&m->g, m->cx, path) != QCC_OK || m->g->node_count != 1) return false;
  m->node = m->g->first;
  if (m->node->op == QCC_OP_OPAQUE || m->node->in_count > MAX_INPUTS || m->node->out_count > MAX_OUTPUTS) return false;
  for (uint32_t i = 0, file = 0; i < m->node->in_count; ++i) {
    const qcc_value *v = m->node->in[i].value;
    m->absent[i] = !v;
    if (!v) continue;
    if (v->data) {
      m->in[i] = qcc_tensor_retain(v->data);
      continue;
    }
    while (file < m->g->input_count && m->g->inputs[file] != v) ++file;
    snprintf(path, sizeof path, "%s/test_data_set_0/input_%u.pb", folder, file);
    if (qcc_onnx_load_tensor(&m->in[i], m->cx, path, &name) != QCC_OK) return false;
    file = 0;
  }
  m->in_count = m->node->in_count;
  return true;
}

static int fold(mutant *m) {
  const qcc_tensor *in[MAX_INPUTS];
  qcc_tensor out[MAX_OUTPUTS] = {{.bytes = 0}};
  int wrong = 0;
  for (uint32_t i = 0; i < m->in_count; ++i) in[i] = m->absent[i] ? NULL : &m->in[i];
  qcc_status st = qcc_ref_eval()->fold(m->cx, m->node, in, out);
  for (uint32_t i = 0; i < m->node->out_count; ++i) {
    wrong |= st == QCC_OK && m->node->out[i] && m->node->out[i]->use_count && (!out[i].data || !qcc_type_is_static(&out[i].type));
    wrong |= st == QCC_INTERNAL;
    qcc_tensor_release(&out[i]);
  }
  return wrong;
}

/* ---- as a graph */
static qcc_status get_inputs(void *user, size_t index, qcc_tensor *inputs) {
  mutant *m = user;
  (void)index;
  for (uint32_t i = 0; i < m->g->input_count; ++i) {
    for (uint32_t k = 0; k < m->in_count; ++k) {
      if (m->node->in[k].value == m->g->inputs[i] && !inputs[i].data) inputs[i] = qcc_tensor_retain(&m->in[k]);
    }
  }
  return QCC_OK;
}

static int run_graph(mutant *m) {
  qcc_runner *r = NULL;
  const qcc_eval *eval = qcc_ref_eval();
  const qcc_samples samples = {1, get_inputs, m};
  const qcc_hooks hooks = {.stage = NULL};
  for (uint64_t i = below(m, 3); m->in_count && i > 0; --i) change_values(m, &m->in[below(m, m->in_count)]);
  if (below(m, 3) == 0) change_attr(m);
  qcc_status st = eval->open(&r, m->cx, m->g, NULL);
  if (st == QCC_OK) st = eval->run(r, &samples, 0, 1, &hooks);
  eval->close(r);
  return st == QCC_INTERNAL;
}

static void log_line(void *user, qcc_severity severity, const char *line) {
  if (severity == QCC_ERROR) snprintf(user, 512, "%s", line);
}

static int run_mutant(const char *folder, uint64_t seed, bool as_graph, bool *usable) {
  static char error[512];
  mutant m = {.seed = seed};
  qcc_host host = {.log = log_line, .log_user = error};
  error[0] = 0;
  if (qcc_context_new(&m.cx, &host) != QCC_OK) return 1;
  qcc_context_limits(m.cx)->run_bytes = (uint64_t)1 << 26;
  *usable = load(&m, folder);
  int wrong = 0;
  if (*usable) {
    qcc_context_limits(m.cx)->run_steps = 5000;
    if (as_graph) {
      wrong = run_graph(&m);
    } else {
      mutate(&m);
      wrong = fold(&m);
    }
  }
  if (wrong) printf("FAILED %s seed %llu: %s\n", folder, (unsigned long long)seed, error);
  for (uint32_t i = 0; i < MAX_INPUTS; ++i) qcc_tensor_release(&m.in[i]);
  qcc_graph_free(m.g);
  qcc_context_free(m.cx);
  return wrong;
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

int main(int argc, char **argv) {
  static char *names[MAX_TESTS];
  size_t n = 0, runs = 0;
  int wrong = 0;
  unsigned long rounds = argc > 2 ? strtoul(argv[2], NULL, 10) : 3;
  DIR *d = argc > 1 ? opendir(argv[1]) : NULL;
  if (!d) return 77;
  for (struct dirent *e; (e = readdir(d)) && n < MAX_TESTS;) {
    if (e->d_name[0] != '.' && (argc < 4 || strstr(e->d_name, argv[3]))) names[n++] = strdup(e->d_name);
  }
  closedir(d);
  qsort(names, n, sizeof *names, by_name);
  for (size_t i = 0; i < n; ++i) {
    char folder[PATH];
    uint64_t hash = 14695981039346656037u;
    bool usable = true;
    for (const char *p = names[i]; *p; ++p) hash = (hash ^ (uint64_t)(unsigned char)*p) * 1099511628211u;
    snprintf(folder, sizeof folder, "%s/%s", argv[1], names[i]);
    if (getenv("QCC_VERBOSE")) fprintf(stderr, "%s\n", names[i]);
    for (unsigned long r = 0; usable && r < 2 * rounds; ++r, runs += usable) wrong += run_mutant(folder, hash + r, r & 1, &usable);
    free(names[i]);
  }
  printf("%zu mutants, %d wrong\n", runs, wrong);
  return wrong ? 1 : 0;
}
