/* SPDX-License-Identifier: Apache-2.0
 * Executing the graph of a golden file on the reference runtime, and comparing two executions.
 * Inputs are seeded by position, so the graph before and after a pass sees the same numbers. Unknown sizes become 2. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "ir/lex.h"
#include "ir/recorded.h"
#include "ir/text.h"
#include "tests/golden/case.h"

typedef struct feed {
  const golden *c;
  qcc_context *cx;
  const qcc_graph *g;
  outputs *to;
} feed;

static qcc_status parse_text_tensor(qcc_context *cx, const char *text, qcc_tensor *to, const char **name) {
  qcc_lexer l;
  qcc_lex_init(&l, cx, text, strlen(text), "head of the test");
  QCC_TRY(qcc_lex_next(&l));
  QCC_TRY(qcc_lex_name(&l, name));
  QCC_TRY(qcc_lex_take(&l, '='));
  QCC_TRY(qcc_lex_take_word(&l, "const"));
  return qcc_parse_tensor(&l, to);
}

/* "; input: %x = const f32[2] [1,2]" */
static qcc_status given_input(const feed *f, const qcc_value *v, qcc_tensor *to, bool *given) {
  *given = false;
  for (unsigned k = 0;; k++) {
    char *text = golden_head(f->c, "input", k);
    if (!text) return QCC_OK;
    const char *name = NULL;
    qcc_status st = parse_text_tensor(f->cx, text, to, &name);
    free(text);
    QCC_TRY(st);
    *given = name == v->name;
    if (*given) return QCC_OK;
    qcc_tensor_release(to);
  }
}

static qcc_status random_input(const feed *f, const qcc_value *v, size_t seed, qcc_tensor *to) {
  qcc_type type = v->type;
  for (int k = 0; k < type.rank; k++) {
    if (type.dim[k] < 0) type.dim[k] = 2;
  }
  qcc_text text = {.cx = f->cx};
  qcc_text_addf(&text, "%%x = const ");
  qcc_print_type(&text, f->cx, &type);
  bool index = type.dtype == QCC_S64 || type.dtype == QCC_S32; /* 1 is valid as an index, a size and a count */
  qcc_text_addf(&text, index ? " splat(1)" : " rand(%u)", (unsigned)(100 + seed));
  const char *name = NULL;
  qcc_status st = text.failed ? QCC_NOMEM : parse_text_tensor(f->cx, text.at, to, &name);
  qcc_text_free(&text);
  return st;
}

/* Codes of floats, where the graph tells what its codes mean: whether it takes floats or codes, the numbers are the same. */
static qcc_status coded_input(const feed *f, const qcc_value *v, size_t seed, qcc_tensor *to) {
  qcc_recorded r;
  qcc_value floats = *v;
  qcc_tensor x;
  if (!qcc_recorded_of(&r, v)) return random_input(f, v, seed, to);
  floats.type.dtype = QCC_F32;
  QCC_TRY(random_input(f, &floats, seed, &x));
  qcc_status st = qcc_recorded_quantize(to, f->cx, &x, &r);
  qcc_tensor_release(&x);
  return st;
}

static qcc_status get(void *user, size_t index, qcc_tensor *inputs) {
  const feed *f = user;
  for (uint32_t k = 0; k < f->g->input_count; k++) {
    bool given = false;
    const qcc_value *v = f->g->inputs[k];
    QCC_TRY(given_input(f, v, &inputs[k], &given));
    if (!given) QCC_TRY(coded_input(f, v, index * 10 + k, &inputs[k]));
  }
  return QCC_OK;
}

static qcc_status keep(void *user, size_t sample, const qcc_tensor *tensors) {
  (void)sample;
  feed *f = user;
  for (uint32_t k = 0; k < f->g->output_count; k++) {
    qcc_tensor copy;
    qcc_recorded r;
    if (qcc_recorded_of(&r, f->g->outputs[k]->value))
      QCC_TRY(qcc_recorded_dequantize(&copy, f->cx, &tensors[k], &r));
    else
      QCC_TRY(qcc_tensor_copy(&copy, f->cx, &tensors[k].type, tensors[k].data));
    if (!qcc_vec_push(f->cx, f->to, copy)) {
      qcc_tensor_release(&copy);
      return QCC_NOMEM;
    }
  }
  return QCC_OK;
}

qcc_status golden_run(outputs *to, const golden *c, qcc_context *cx, const qcc_graph *g, size_t count) {
  const qcc_eval *eval = qcc_ref_eval();
  qcc_runner *r = NULL;
  feed f = {.c = c, .cx = cx, .g = g, .to = to};
  qcc_samples samples = {.count = count, .get = get, .user = &f};
  qcc_hooks hooks = {.output = keep, .user = &f};
  QCC_TRY(eval->open(&r, cx, g, NULL));
  qcc_status st = eval->run(r, &samples, 0, count, &hooks);
  eval->close(r);
  return st;
}

void outputs_free(outputs *o, qcc_context *cx) {
  for (size_t k = 0; k < o->n; k++) qcc_tensor_release(&o->at[k]);
  qcc_vec_free(cx, o);
}

/* ---- comparing */
typedef struct error_sums {
  double worst, lo, hi, signal, noise;
} error_sums;

static void add_errors(error_sums *e, const qcc_tensor *a, const qcc_tensor *b) {
  for (int64_t i = 0, n = qcc_tensor_count(a); i < n; i++) {
    double x = qcc_tensor_get(a, i), y = qcc_tensor_get(b, i), d = fabs(x - y);
    if ((isnan(x) && isnan(y)) || x == y) d = 0;
    e->worst = d > e->worst || isnan(d) ? d : e->worst;
    e->lo = x < e->lo ? x : e->lo;
    e->hi = x > e->hi ? x : e->hi;
    e->signal += x * x;
    e->noise += d * d;
  }
}

static bool same_bytes(const qcc_tensor *a, const qcc_tensor *b) { return a->bytes == b->bytes && memcmp(a->data, b->data, a->bytes) == 0; }

const char *golden_compare(const outputs *before, const outputs *after, qcc_claim claim, double floor_db, double *figure) {
  *figure = 0;
  if (before->n != after->n) return "the number of outputs changed";
  for (size_t k = 0; k < before->n; k++) {
    const qcc_tensor *a = &before->at[k], *b = &after->at[k];
    error_sums e = {.lo = HUGE_VAL, .hi = -HUGE_VAL};
    if (!qcc_type_equal(&a->type, &b->type)) return "the type of an output changed";
    if (same_bytes(a, b)) continue;
    if (claim == QCC_CLAIM_EXACT) return "outputs differ though the pass claims to be exact";
    add_errors(&e, a, b);
    double range = e.hi - e.lo > fabs(e.hi) ? e.hi - e.lo : fabs(e.hi);
    *figure = e.worst / range;
    if (claim == QCC_CLAIM_ROUNDS && !(e.worst <= 1e-5 * range)) return "outputs differ by more than 1e-5 of their range";
    double sqnr = 10 * log10(e.signal / e.noise);
    if (claim == QCC_CLAIM_QUANTIZES) *figure = sqnr;
    if (claim == QCC_CLAIM_QUANTIZES && !(sqnr >= floor_db)) return "SQNR below the floor that the test gives";
  }
  return NULL;
}
