/* SPDX-License-Identifier: Apache-2.0
 * Gram matrices from sampled patches. A chunk of at most 256 rows of codes up to 255 sums to less than 2^24, so that single-precision ssyrk is
 * exact on it; chunks enter 32-bit totals (33000 rows fit), the lower triangle only. */
#include "strategy/gram.h"

#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

enum { CHUNK_ROWS = 256, CHUNK_FLOATS = 1 << 18, SMALL_DIM = 32, MAX_TOTALS = 1 << 24 };

struct qcc_gram {
  qcc_context *cx;
  bool conv;
  qcc_window w;
  size_t channels, positions, dim, groups, triangle; /* channels of one group; kernel positions */
  float inverse;                                     /* 1 / scale */
  double scale;
  size_t rows;
  int32_t *h;   /* groups * triangle */
  int64_t *sum; /* groups * dim */
  pthread_mutex_t lock;
};

struct qcc_gram_scratch {
  qcc_context *cx;
  float *rows;    /* CHUNK_FLOATS, or one row */
  float *product; /* dim * dim */
};

typedef struct source { /* one sample of the input, with its own sizes */
  const float *x;
  size_t batch, in[3], out[3], plane, positions;
  bool last;
} source;

size_t qcc_gram_dim(const qcc_gram *g) { return g->dim; }
size_t qcc_gram_groups(const qcc_gram *g) { return g->groups; }
size_t qcc_gram_rows(const qcc_gram *g) { return g->rows; }

double qcc_gram_scale(const qcc_gram *g) { return g->scale; }

size_t qcc_gram_target(size_t dim) {
  size_t n = 4 * dim;
  if (dim <= SMALL_DIM) return 512;
  return n < 1024 ? 1024 : n > QCC_GRAM_MAX_ROWS ? QCC_GRAM_MAX_ROWS : n;
}

void qcc_gram_set_scale(qcc_gram *g, double scale) {
  g->scale = scale;
  g->inverse = (float)(1 / scale);
}

static bool sizes(qcc_gram *g, const qcc_window *w, size_t channels) {
  g->groups = w ? (size_t)w->group : 1;
  g->positions = 1;
  if (!g->groups || !channels || channels % g->groups) return false;
  for (int i = 0; w && i < w->rank; i++)
    if (!qcc_mul_size(g->positions, (size_t)w->kernel[i], &g->positions)) return false;
  g->channels = channels / g->groups;
  if (!qcc_mul_size(g->channels, g->positions, &g->dim) || g->dim > QCC_GRAM_MAX_DIM || !g->dim) return false;
  g->triangle = g->dim * (g->dim + 1) / 2;
  size_t row;
  return qcc_mul_size(g->groups, g->dim, &row) && row <= CHUNK_FLOATS && g->groups <= MAX_TOTALS / g->triangle;
}

qcc_status qcc_gram_new(qcc_gram **out, qcc_context *cx, const qcc_window *w, size_t channels, double scale) {
  qcc_gram *g = qcc_zalloc_array(cx, 1, sizeof *g);
  *out = NULL;
  if (!g) return QCC_NOMEM;
  g->cx = cx;
  g->conv = w != NULL;
  if (w) g->w = *w;
  if (scale > 0) qcc_gram_set_scale(g, scale);
  if (!sizes(g, w, channels) || pthread_mutex_init(&g->lock, NULL)) {
    qcc_free(cx, g);
    return QCC_LIMIT;
  }
  g->h = qcc_zalloc_array(cx, g->groups * g->triangle, sizeof *g->h);
  g->sum = qcc_zalloc_array(cx, g->groups * g->dim, sizeof *g->sum);
  if (!g->h || !g->sum) {
    qcc_gram_free(g);
    return QCC_NOMEM;
  }
  *out = g;
  return QCC_OK;
}

void qcc_gram_free(qcc_gram *g) {
  if (!g) return;
  pthread_mutex_destroy(&g->lock);
  qcc_free(g->cx, g->h);
  qcc_free(g->cx, g->sum);
  qcc_free(g->cx, g);
}

qcc_gram_scratch *qcc_gram_scratch_new(qcc_context *cx, size_t dim) {
  char *block = qcc_alloc(cx, 64 + (CHUNK_FLOATS + dim * dim) * sizeof(float)); /* dim <= QCC_GRAM_MAX_DIM */
  if (!block) return NULL;
  qcc_gram_scratch *s = (qcc_gram_scratch *)(void *)block;
  *s = (qcc_gram_scratch){cx, (float *)(void *)(block + 64), NULL};
  s->product = s->rows + CHUNK_FLOATS;
  return s;
}

/* ---- patches */
static bool open_source(source *s, const qcc_gram *g, const qcc_tensor *t, bool last) {
  const qcc_type *type = &t->type;
  *s = (source){.x = t->data, .batch = 1, .in = {1, 1, 1}, .out = {1, 1, 1}, .plane = 1};
  if (type->dtype != QCC_F32 || !(g->scale > 0)) return false;
  if (!g->conv) {
    if (type->rank < 1 || (size_t)type->dim[type->rank - 1] != g->channels) return false;
    for (int i = 0; i + 1 < type->rank; i++) s->batch *= (size_t)type->dim[i];
    return (s->positions = s->batch) > 0;
  }
  if (type->rank != g->w.rank + 2 || (size_t)type->dim[1] != g->channels * g->groups) return false;
  s->batch = (size_t)type->dim[0];
  for (int i = 0; i < g->w.rank; i++) {
    int64_t reach = g->w.dilation[i] * (g->w.kernel[i] - 1) + 1;
    int64_t out = (type->dim[i + 2] + g->w.pad_begin[i] + g->w.pad_end[i] - reach) / g->w.stride[i] + 1;
    if (out <= 0) return false;
    s->in[i] = (size_t)type->dim[i + 2], s->out[i] = (size_t)out, s->plane *= s->in[i];
  }
  s->positions = s->batch * s->out[0] * s->out[1] * s->out[2];
  s->last = last;
  return s->positions > 0;
}

static float code_of(float x, float inverse) {
  const float magic = 12582912.f; /* 1.5 * 2^23: rounds to integer */
  float q = x * inverse;
  q = q > 255 ? 255 : q < -255 ? -255 : q == q ? q : 0;
  return (q + magic) - magic;
}

/* Offsets of the kernel positions within a plane; SIZE_MAX in the padding. */
static void offsets(const qcc_gram *g, const source *s, const size_t at[3], size_t *offset) {
  size_t kernel[3] = {1, 1, 1}, n = 0;
  for (int i = 0; i < g->w.rank; i++) kernel[i] = (size_t)g->w.kernel[i];
  for (size_t a = 0; a < kernel[0]; a++)
    for (size_t b = 0; b < kernel[1]; b++)
      for (size_t c = 0; c < kernel[2]; c++, n++) {
        const size_t k[3] = {a, b, c};
        offset[n] = 0;
        for (int i = 0; i < g->w.rank && offset[n] != SIZE_MAX; i++) {
          int64_t p = (int64_t)at[i] * g->w.stride[i] - g->w.pad_begin[i] + (int64_t)k[i] * g->w.dilation[i];
          offset[n] = p < 0 || p >= (int64_t)s->in[i] ? SIZE_MAX : offset[n] * s->in[i] + (size_t)p;
        }
      }
}

static void patch(const qcc_gram *g, const source *s, size_t position, float *row) {
  if (!g->conv) {
    const float *x = s->x + position * g->channels;
    for (size_t i = 0; i < g->channels; i++) row[i] = code_of(x[i], g->inverse);
    return;
  }
  size_t offset[QCC_GRAM_MAX_DIM], at[3], rest = position, channels = g->channels * g->groups;
  for (int i = 3; i-- > 0; rest /= s->out[i]) at[i] = rest % s->out[i];
  offsets(g, s, at, offset);
  const float *x = s->x + rest * channels * s->plane;
  if (s->last) {
    for (size_t p = 0; p < g->positions; p++)
      for (size_t c = 0; c < channels; c++)
        row[c * g->positions + p] = offset[p] == SIZE_MAX ? 0 : code_of(x[offset[p] * channels + c], g->inverse);
    return;
  }
  for (size_t c = 0; c < channels; c++, x += s->plane)
    for (size_t p = 0; p < g->positions; p++) *row++ = offset[p] == SIZE_MAX ? 0 : code_of(x[offset[p]], g->inverse);
}

/* ---- totals */
static void add_small(const qcc_gram *g, const float *rows, size_t n, size_t stride, float *product) {
  memset(product, 0, g->dim * g->dim * sizeof *product);
  for (size_t r = 0; r < n; r++, rows += stride)
    for (size_t i = 0; i < g->dim; i++)
      for (size_t j = 0; j <= i; j++) product[i * g->dim + j] += rows[i] * rows[j];
}

static void add_group(qcc_gram *g, size_t group, const float *rows, size_t n, float *product) {
  size_t stride = g->groups * g->dim;
  if (g->dim <= SMALL_DIM)
    add_small(g, rows, n, stride, product);
  else
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, (blasint)g->dim, (blasint)n, 1, rows, (blasint)stride, 0, product, (blasint)g->dim);
  int32_t *h = g->h + group * g->triangle;
  int64_t *sum = g->sum + group * g->dim;
  pthread_mutex_lock(&g->lock);
  for (size_t i = 0; i < g->dim; i++)
    for (size_t j = 0; j <= i; j++) *h++ += (int32_t)product[i * g->dim + j];
  for (size_t r = 0; r < n; r++)
    for (size_t i = 0; i < g->dim; i++) sum[i] += (int64_t)rows[r * stride + i];
  pthread_mutex_unlock(&g->lock);
}

static uint64_t next(uint64_t *state) { /* splitmix64 */
  uint64_t z = *state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

/* Reserve up to n rows below the limit of the totals. */
static size_t reserve(qcc_gram *g, size_t n) {
  pthread_mutex_lock(&g->lock);
  if (n > QCC_GRAM_MAX_ROWS - g->rows) n = QCC_GRAM_MAX_ROWS - g->rows;
  g->rows += n;
  pthread_mutex_unlock(&g->lock);
  return n;
}

void qcc_gram_add(qcc_gram *g, qcc_gram_scratch *scratch, const qcc_tensor *x, bool last, size_t sample, size_t quota, uint64_t seed) {
  source s;
  if (!open_source(&s, g, x, last)) return;
  size_t stride = g->groups * g->dim, most = CHUNK_FLOATS / stride, n = s.positions < quota ? s.positions : quota;
  if (most > CHUNK_ROWS) most = CHUNK_ROWS;
  uint64_t state = seed ^ ((uint64_t)sample + 1) * 0xd1342543de82ef95u;
  n = reserve(g, n);
  bool every = n == s.positions;
  for (size_t done = 0; done < n;) {
    size_t rows = n - done < most ? n - done : most;
    for (size_t r = 0; r < rows; r++) patch(g, &s, every ? done + r : (size_t)(next(&state) % s.positions), scratch->rows + r * stride);
    for (size_t k = 0; k < g->groups; k++) add_group(g, k, scratch->rows + k * g->dim, rows, scratch->product);
    done += rows;
  }
}

void qcc_gram_read(const qcc_gram *g, size_t group, float *h, double *mean) {
  const int32_t *from = g->h + group * g->triangle;
  double part = g->rows ? 1 / (double)g->rows : 0;
  for (size_t i = 0; i < g->dim; i++)
    for (size_t j = 0; j <= i; j++) h[i * g->dim + j] = h[j * g->dim + i] = (float)((double)*from++ * part);
  for (size_t i = 0; mean && i < g->dim; i++) mean[i] = (double)g->sum[group * g->dim + i] * part;
}
