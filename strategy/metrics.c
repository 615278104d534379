/* SPDX-License-Identifier: Apache-2.0
 * Output metrics, in double, in index order. */
#include "strategy/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct power {
  double signal, noise, other, product;
} power;

static power powers(const float *want, const float *got, size_t n) {
  power p = {0};
  for (size_t i = 0; i < n; i++) {
    double a = (double)want[i], b = (double)got[i];
    if (!isfinite(a)) continue;
    if (!isfinite(b)) b = 2 * a + copysign(1, a); /* an error at least as large as the signal */
    p.signal += a * a;
    p.other += b * b;
    p.product += a * b;
    p.noise += (a - b) * (a - b);
  }
  return p;
}

static double db_of(const power *p) { return 10 * log10((p->signal + 1e-30) / (p->noise + 1e-30)); }
static double nmse_of(const power *p) { return p->noise > 0 ? p->noise / (p->signal > 0 ? p->signal : 1e-30) : 0; }
static double cosine_of(const power *p) {
  if (!(p->signal > 0) || !(p->other > 0)) return p->signal > 0 || p->other > 0 ? 0 : 1;
  return p->product / (sqrt(p->signal) * sqrt(p->other));
}

double qcc_sqnr_db(const float *want, const float *got, size_t n) {
  power p = powers(want, got, n);
  return db_of(&p);
}

double qcc_nmse(const float *want, const float *got, size_t n) {
  power p = powers(want, got, n);
  return nmse_of(&p);
}

double qcc_cosine(const float *want, const float *got, size_t n) {
  power p = powers(want, got, n);
  return cosine_of(&p);
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

double qcc_median(double *x, size_t n) {
  if (!n) return (double)NAN;
  qsort(x, n, sizeof *x, ascending);
  return n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
}

qcc_status qcc_closeness_init(qcc_closeness *m, qcc_context *cx, uint32_t outputs, size_t samples) {
  *m = (qcc_closeness){.cx = cx, .outputs = outputs, .cap = samples};
  size_t n;
  if (!qcc_mul_size(outputs, samples, &n)) n = SIZE_MAX;
  m->db = qcc_alloc_array(cx, n ? n : 1, sizeof *m->db);
  return m->db ? QCC_OK : QCC_NOMEM;
}

void qcc_closeness_fini(qcc_closeness *m) {
  if (m->cx) qcc_free(m->cx, m->db);
  memset(m, 0, sizeof *m);
}

static size_t largest(const float *x, size_t n) {
  size_t best = 0;
  for (size_t i = 1; i < n; i++)
    if (x[i] > x[best]) best = i;
  return best;
}

static double compare(qcc_closeness *m, const float *want, const float *got, size_t n) {
  power p = powers(want, got, n);
  m->nmse_sum += nmse_of(&p);
  m->cosine_sum += cosine_of(&p);
  m->pairs++;
  if (n >= 2) m->top1_of++, m->top1 += largest(want, n) == largest(got, n);
  return db_of(&p);
}

/* A tensor's elements as f32: its own bytes, or a copy in *owned. */
static const float *floats(qcc_context *cx, const qcc_tensor *t, float **owned) {
  *owned = NULL;
  if (t->type.dtype == QCC_F32 && (uintptr_t)t->data % sizeof(float) == 0) return t->data;
  *owned = qcc_alloc_array(cx, (size_t)qcc_tensor_count(t) + 1, sizeof **owned);
  if (*owned) qcc_tensor_read_f32(t, *owned);
  return *owned;
}

qcc_status qcc_closeness_add(qcc_closeness *m, const qcc_tensor *want, const qcc_tensor *got) {
  if (m->samples >= m->cap) return qcc_error(m->cx, QCC_INTERNAL, "I-603", NULL, "more than %zu samples compared", m->cap);
  for (uint32_t k = 0; k < m->outputs; k++) {
    double *db = &m->db[k * m->cap + m->samples];
    *db = 0;
    if (qcc_tensor_count(&want[k]) != qcc_tensor_count(&got[k])) continue;
    float *own_a, *own_b;
    const float *a = floats(m->cx, &want[k], &own_a), *b = floats(m->cx, &got[k], &own_b);
    if (a && b) *db = compare(m, a, b, (size_t)qcc_tensor_count(&want[k]));
    qcc_free(m->cx, own_a);
    qcc_free(m->cx, own_b);
    if (!a || !b) return QCC_NOMEM;
  }
  m->samples++;
  return QCC_OK;
}

double qcc_closeness_db(const qcc_closeness *m) {
  double worst = (double)NAN;
  double *copy = qcc_alloc_array(m->cx, m->samples ? m->samples : 1, sizeof *copy);
  for (uint32_t k = 0; copy && k < m->outputs && m->samples; k++) {
    memcpy(copy, m->db + k * m->cap, m->samples * sizeof *copy);
    double db = qcc_median(copy, m->samples);
    if (!(worst <= db)) worst = db;
  }
  qcc_free(m->cx, copy);
  return worst;
}

double qcc_closeness_nmse(const qcc_closeness *m) { return m->pairs ? m->nmse_sum / (double)m->pairs : 0; }
double qcc_closeness_cosine(const qcc_closeness *m) { return m->pairs ? m->cosine_sum / (double)m->pairs : 1; }
double qcc_closeness_top1(const qcc_closeness *m) { return m->top1_of ? (double)m->top1 / (double)m->top1_of : (double)NAN; }
