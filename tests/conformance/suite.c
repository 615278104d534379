/* SPDX-License-Identifier: Apache-2.0
 * Listing, loading, running and judging the stored tests. Integers and strings must be equal, floats agree within 1e-3 relative plus 1e-7,
 * the suite's own tolerance; random results are judged by their types. */
#define _DEFAULT_SOURCE
#include "tests/conformance/suite.h"

#include "frontends/data/data.h"
#include "ir/support/vec.h"

/* ---- comparing */

/* Stored results that are off by the rounding of f32 themselves: where the truth is 0 they hold up to 4e-7. */
static const struct {
  const char *name;
  double slack;
} noisy[] = {{"test_dft_inverse", 1e-6}, {"test_dft_inverse_opset19", 1e-6}};

static bool close_enough(double have, double want, double slack) {
  if (isnan(want)) return isnan(have) != 0;
  if (isinf(want) || isinf(have)) return have == want;
  return fabs(have - want) <= slack + 1e-3 * fabs(want);
}

static void type_text(const qcc_type *t, char *to, size_t n) {
  int at = snprintf(to, n, "%s[", qcc_dtype_name(t->dtype));
  for (int d = 0; d < t->rank; ++d) at += snprintf(to + at, n - (size_t)at, d ? ",%lld" : "%lld", (long long)t->dim[d]);
  snprintf(to + at, n - (size_t)at, "]");
}

static bool same_tensor(loaded *t, uint32_t i, const qcc_tensor *have, const qcc_tensor *want) {
  char a[128], b[128];
  if (!qcc_type_equal(&have->type, &want->type)) {
    type_text(&have->type, a, sizeof a);
    type_text(&want->type, b, sizeof b);
    snprintf(t->detail, sizeof t->detail, "output %u is %s, expected %s", i, a, b);
    return false;
  }
  if (qcc_tensor_is_list(want)) {
    for (int64_t j = 0, n = qcc_tensor_count(want); j < n; ++j)
      if (!same_tensor(t, i, &qcc_tensor_items(have)[j], &qcc_tensor_items(want)[j])) return false;
    return true;
  }
  if (t->random) return true;
  if (want->type.dtype == QCC_STRING) {
    if (have->bytes == want->bytes && !memcmp(have->data, want->data, have->bytes)) return true;
    snprintf(t->detail, sizeof t->detail, "output %u holds other strings", i);
    return false;
  }
  bool is_float = qcc_dtype_kind(want->type.dtype) == QCC_KIND_FLOAT;
  for (int64_t j = 0, n = qcc_tensor_count(want); j < n; ++j) {
    double x = qcc_tensor_get(have, j), y = qcc_tensor_get(want, j);
    bool ok = is_float ? close_enough(x, y, t->slack) : qcc_tensor_get_s64(have, j) == qcc_tensor_get_s64(want, j);
    if (ok) continue;
    snprintf(t->detail, sizeof t->detail, "output %u element %lld of %lld is %.9g, expected %.9g", i, (long long)j, (long long)n, x, y);
    return false;
  }
  return true;
}

bool suite_same(loaded *t, uint32_t i, const qcc_tensor *have) { return i >= t->want_count || same_tensor(t, i, have, &t->want[i]); }

/* ---- loading */
static void log_line(void *user, qcc_severity severity, const char *line) {
  loaded *t = user;
  if (severity == QCC_ERROR && !t->error[0]) snprintf(t->error, sizeof t->error, "%s", line);
}

static bool exists(const char *path) {
  FILE *f = fopen(path, "rb");
  if (f) fclose(f);
  return f != NULL;
}

static bool has(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  return n >= m && !strcmp(text + n - m, end);
}

/* Whole nets come without inputs: ramps from 0 to 1, as the suite makes them. */
static qcc_status make_ramp(loaded *t, uint32_t i) {
  qcc_type type = t->g->inputs[i]->type;
  for (int d = 0; d < type.rank; ++d) type.dim[d] = type.dim[d] < 0 ? 1 : type.dim[d];
  QCC_TRY(qcc_tensor_new(&t->in[i], t->cx, &type));
  float *to = qcc_tensor_mut(&t->in[i]);
  for (int64_t j = 0, n = qcc_tensor_count(&t->in[i]); j < n; ++j) to[j] = (float)((double)j / (double)n);
  return QCC_OK;
}

static uint32_t needed(const qcc_graph *g) {
  uint32_t n = 0;
  for (uint32_t i = 0; i < g->input_count; ++i) n += !g->inputs[i]->data;
  return n;
}

static void stored_path(const loaded *t, const char *stem, int number, char path[SUITE_PATH]) {
  snprintf(path, SUITE_PATH, "%.3000s/%.500s/test_data_set_0/%s_%d.pb", t->test->root, t->test->name, stem, number);
}

void suite_input_path(const loaded *t, uint32_t input, char path[SUITE_PATH]) { stored_path(t, "input", t->file[input], path); }

static qcc_status load_inputs(loaded *t) {
  const bool net = has(t->test->name, ".onnx");
  char path[SUITE_PATH];
  int stored = 0, next = 0;
  for (stored_path(t, "input", 0, path); !net && exists(path); stored_path(t, "input", stored, path)) ++stored;
  const bool defaults = (uint32_t)stored < t->g->input_count;
  t->in = calloc(t->g->input_count + 1, sizeof *t->in);
  t->file = calloc(t->g->input_count + 1, sizeof *t->file);
  if (!t->in || !t->file) abort();
  for (uint32_t i = 0; i < t->g->input_count; ++i) {
    const qcc_value *v = t->g->inputs[i];
    t->file[i] = -1;
    if (v->data && (defaults || net)) continue;
    if (net) {
      QCC_TRY(make_ramp(t, i));
      continue;
    }
    if (next == stored) {
      snprintf(t->detail, sizeof t->detail, "%d inputs stored, %u needed", stored, needed(t->g));
      return QCC_DATA;
    }
    t->file[i] = next++;
    suite_input_path(t, i, path);
    QCC_TRY(qcc_onnx_load_value(&t->in[i], t->cx, path, v));
  }
  return QCC_OK;
}

static qcc_status load_outputs(loaded *t) {
  const size_t stem = strlen(t->model) - strlen(".onnx");
  char path[SUITE_PATH];
  for (t->want_count = 0; t->want_count < t->g->output_count && t->want_count < SUITE_VALUES; ++t->want_count) {
    if (has(t->test->name, ".onnx"))
      snprintf(path, sizeof path, "%.*s_output_%u.pb", (int)(stem < 4000 ? stem : 4000), t->model, t->want_count);
    else
      stored_path(t, "output", (int)t->want_count, path);
    if (!exists(path)) break;
    QCC_TRY(qcc_onnx_load_value(&t->want[t->want_count], t->cx, path, t->g->outputs[t->want_count]->value));
  }
  if (t->want_count) return QCC_OK;
  snprintf(t->detail, sizeof t->detail, "no outputs are stored");
  return QCC_DATA;
}

static qcc_status find_random(qcc_graph *g, void *user) {
  bool *random = user;
  QCC_FOR_NODES(n, g)
  *random |= qcc_op_get(n->op)->exact == QCC_RANDOM || (n->op == QCC_OP_DROPOUT && qcc_in(n, 2));
  return QCC_OK;
}

/* ---- running in this process */
static qcc_status get_inputs(void *user, size_t index, qcc_tensor *inputs) {
  loaded *t = user;
  (void)index;
  for (uint32_t i = 0; i < t->g->input_count; ++i) inputs[i] = qcc_tensor_retain(t->in[i].data ? &t->in[i] : t->g->inputs[i]->data);
  return QCC_OK;
}

static qcc_status check_outputs(void *user, size_t sample, const qcc_tensor *outputs) {
  loaded *t = user;
  (void)sample;
  for (uint32_t i = 0; i < t->want_count && !t->wrong; ++i) t->wrong = !suite_same(t, i, &outputs[i]);
  return QCC_OK;
}

static qcc_status run_here(loaded *t, void *user) {
  qcc_runner *r = NULL;
  const qcc_eval *eval = qcc_ref_eval();
  qcc_samples samples = {1, get_inputs, t};
  qcc_hooks hooks = {.output = check_outputs, .user = t};
  (void)user;
  QCC_TRY(eval->open(&r, t->cx, t->g, &(qcc_run_options){.decode_image = qcc_image_decode}));
  qcc_status st = eval->run(r, &samples, 0, 1, &hooks);
  eval->close(r);
  return st;
}

static qcc_status load_and_run(loaded *t, test_case *test, suite_runner run, void *user) {
  bool random = false;
  QCC_TRY(qcc_onnx_load(&t->g, t->cx, t->model));
  suite_classify(test, t->g);
  QCC_TRY(qcc_graph_walk(t->g, find_random, &random));
  t->random = random;
  QCC_TRY(load_inputs(t));
  QCC_TRY(load_outputs(t));
  return run ? run(t, user) : run_here(t, user);
}

void suite_run(test_case *test, suite_runner run, void *user) {
  loaded *t = calloc(1, sizeof *t);
  if (!t) abort();
  t->test = test;
  t->slack = 1e-7;
  for (size_t i = 0; i < sizeof noisy / sizeof noisy[0]; ++i)
    if (!strcmp(noisy[i].name, test->name)) t->slack = noisy[i].slack;
  snprintf(t->model, sizeof t->model, "%s/%s%s", test->root, test->name, has(test->name, ".onnx") ? "" : "/model.onnx");
  const qcc_host host = {.log = log_line, .log_user = t};
  qcc_status st = qcc_context_new(&t->cx, &host);
  if (st == QCC_OK) st = load_and_run(t, test, run, user);
  test->verdict = st == QCC_UNSUPPORTED ? UNSUPPORTED : st != QCC_OK || t->wrong ? FAILED : PASSED;
  for (uint32_t i = 0; t->in && i < t->g->input_count; ++i) qcc_tensor_release(&t->in[i]);
  for (uint32_t i = 0; i < t->want_count + 1 && i < SUITE_VALUES; ++i) qcc_tensor_release(&t->want[i]);
  free(t->in);
  free(t->file);
  qcc_graph_free(t->g);
  if (test->verdict == PASSED && qcc_context_live_bytes(t->cx) > ((size_t)1 << 22)) { /* names and tables stay; tensors must not */
    snprintf(t->detail, sizeof t->detail, "memory is still held after the run");
    test->verdict = FAILED;
  }
  const char *at = strstr(t->error, "error["); /* without the path */
  if (test->verdict != PASSED)
    snprintf(test->reason, sizeof test->reason, "%.500s%s%.650s", t->detail, t->detail[0] && at ? "; " : "", at ? at : "");
  qcc_context_free(t->cx);
  free(t);
}

/* ---- listing */
typedef struct bytes {
  const unsigned char *at;
  size_t n;
} bytes;

static bool varint(bytes *s, size_t *to) {
  *to = 0;
  for (unsigned shift = 0; shift < 63 && s->n; shift += 7) {
    const unsigned char b = *s->at++;
    s->n--;
    *to |= (size_t)(b & 0x7f) << shift;
    if (b < 0x80) return true;
  }
  return false;
}

/* First length-delimited field with this number. */
static bytes field(bytes s, size_t number) {
  size_t key, n;
  while (s.n && varint(&s, &key)) {
    if ((key & 7) == 0) {
      if (!varint(&s, &n)) break;
      continue;
    }
    n = (key & 7) == 5 ? 4 : 8;
    if ((key & 7) == 2 && !varint(&s, &n)) break;
    if (n > s.n) break;
    if (key == (number << 3 | 2)) return (bytes){s.at, n};
    s.at += n;
    s.n -= n;
  }
  return (bytes){NULL, 0};
}

void suite_first_operator(const char *path, char *to, size_t room) {
  static unsigned char model[1 << 16];
  FILE *f = fopen(path, "rb");
  const size_t n = f ? fread(model, 1, sizeof model, f) : 0;
  if (f) fclose(f);
  const bytes type = field(field(field((bytes){model, n}, 7), 1), 4); /* graph, node, op_type */
  snprintf(to, room, "%.*s", (int)(type.n < room ? type.n : 0), (const char *)type.at);
}

static int by_name(const void *a, const void *b) { return strcmp(((const test_case *)a)->name, ((const test_case *)b)->name); }

/* An expanded function belongs to the operator of the test whose name it carries. */
static void name_operator(test_case *t, const test_case *all, size_t n) {
  char path[SUITE_PATH], base[256];
  const char *cut = strstr(t->name, "_expanded");
  if (cut) {
    snprintf(base, sizeof base, "%.*s", (int)(cut - t->name), t->name);
    const test_case *twin = bsearch(&(test_case){.name = base}, all, n, sizeof *all, by_name);
    if (twin) {
      snprintf(path, sizeof path, "%s/%s/model.onnx", t->root, base);
      suite_first_operator(path, t->op, sizeof t->op);
      return;
    }
  }
  snprintf(path, sizeof path, "%s/%s%s", t->root, t->name, has(t->name, ".onnx") ? "" : "/model.onnx");
  suite_first_operator(path, t->op, sizeof t->op);
}

size_t suite_list(const char *root, const char *folder, test_case **out) {
  QCC_VEC(test_case) all = {0};
  qcc_context *cx = NULL;
  char path[SUITE_PATH];
  *out = NULL;
  snprintf(path, sizeof path, "%s/%s", root, folder);
  DIR *d = opendir(path);
  if (!d || qcc_context_new(&cx, NULL) != QCC_OK) return 0;
  const char *top = strdup(path);
  for (struct dirent *e; (e = readdir(d));) {
    const test_case t = {.root = top, .name = strdup(e->d_name)};
    if (e->d_name[0] == '.' || has(e->d_name, ".pb") || !qcc_vec_push(cx, &all, t)) free((char *)(uintptr_t)t.name);
  }
  closedir(d);
  if (all.n) {
    *out = malloc(all.n * sizeof **out);
    if (!*out) abort();
    memcpy(*out, all.at, all.n * sizeof **out);
    qsort(*out, all.n, sizeof **out, by_name);
  } else {
    free((char *)(uintptr_t)top);
  }
  const size_t n = all.n;
  qcc_vec_free(cx, &all);
  qcc_context_free(cx);
  for (size_t i = 0; i < n; ++i) name_operator(&(*out)[i], *out, n);
  return n;
}

void suite_free(test_case *t, size_t n) {
  if (n) free((char *)(uintptr_t)t[0].root);
  for (size_t i = 0; i < n; ++i) free((char *)(uintptr_t)t[i].name);
  free(t);
}
