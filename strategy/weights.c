/* SPDX-License-Identifier: Apache-2.0
 * Scale search. A row is laid out as two planes, the even and the odd members of its pairs, so that one pass of vector code rounds all
 * elements for a candidate scale, sums their error and sees whether any pair is beyond its limit; only blocks with such pairs are looked at
 * one by one. With pair limits a larger scale may win: that is how a row lands between 7 and 8 bits. */
#include "strategy/weights.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 64, POSITIVE = 32767, NEGATIVE = 32768 };

typedef float v8f __attribute__((vector_size(32)));
typedef int32_t v8i __attribute__((vector_size(32)));

typedef struct row { /* one row as pairs; plane 0 even, plane 1 odd members; padded with zeros */
  size_t pairs;      /* multiple of 8 */
  float *w[2], *h[2], *x[2], *q[2];
  int32_t *unsafe;   /* per pair: not 0 when beyond its limit */
  size_t *offset[2]; /* from the row's first element; SIZE_MAX: padding */
  size_t *channel[2];
  float *block;    /* owns all float planes */
  size_t *indices; /* owns offset and channel */
  size_t group;    /* that h and x belong to; SIZE_MAX: none */
  double weight;   /* sum of h */
} row;

typedef struct search {
  const qcc_weight *w;
  const qcc_weight_options *o;
  row r;
  bool pairs;
  double most; /* largest magnitude of the tensor */
} search;

qcc_weight_options qcc_weight_defaults(void) { return (qcc_weight_options){.grid = qcc_grid_weight()}; }

void qcc_code_max(int32_t *code_max, size_t count, const qcc_channels *c, float scale, int32_t zero) {
  const double seen = c && c->n > 1 ? (double)c->n : 2;
  const double margin = 1 + log((double)QCC_CODE_BEYOND) / log(seen);
  for (size_t i = 0; i < count; i++) {
    code_max[i] = 255;
    if (!c || c->count != count || !c->max) continue;
    double code = ceil((double)c->max[i] * margin / (double)scale) + zero;
    double least = zero > 32 ? zero : 32;
    code_max[i] = code > 255 ? 255 : code < least ? (int32_t)least : (int32_t)code;
  }
}

/* ---- pair limits */
static int32_t over(int32_t limit, int32_t x) { /* floor(limit / x), codes are small */
  return x > 0 ? limit / x < 127 ? limit / x : 127 : 127;
}

void qcc_pair_interval(int32_t *lo, int32_t *hi, int32_t x_max, int32_t q, int32_t x_partner) {
  int32_t up = POSITIVE - (q > 0 ? q * x_partner : 0), down = NEGATIVE - (q < 0 ? -q * x_partner : 0);
  *hi = over(up, x_max);
  *lo = -over(down, x_max);
}

/* Channels of a kernel position in the order of pairs, padding counted. */
static size_t stride_of(const qcc_weight *w, qcc_pair_sums pairs) {
  return w->channels + (pairs == QCC_SATURATION_PAIRS16_PADDED ? w->channels % 2 : 0);
}

/* Column at place k of that order; SIZE_MAX: padding. */
static size_t column_at(const qcc_weight *w, size_t stride, size_t k) {
  size_t position = k / stride, channel = k % stride;
  return position < w->positions && channel < w->channels ? channel * w->positions + position : SIZE_MAX;
}

void qcc_weight_partners(size_t *partner, const qcc_weight *w, qcc_pair_sums pairs) {
  size_t stride = stride_of(w, pairs);
  for (size_t j = 0; j < w->dim; j++) partner[j] = column_at(w, stride, (j % w->positions * stride + j / w->positions) ^ 1);
}

static int32_t x_of(const qcc_weight *w, const int32_t *code_max, size_t r, size_t column) {
  return code_max ? code_max[r / (w->rows / w->groups) * w->channels + column / w->positions] : 255;
}

size_t qcc_weight_unsafe_pairs(const qcc_weight *w, qcc_pair_sums pairs, const int8_t *codes, const int32_t *code_max) {
  size_t unsafe = 0, stride = stride_of(w, pairs);
  for (size_t r = 0; r < w->rows; r++)
    for (size_t k = 0; k < stride * w->positions; k += 2) {
      int32_t up = 0, down = 0;
      for (size_t m = k; m < k + 2; m++) {
        size_t j = column_at(w, stride, m);
        if (j == SIZE_MAX) continue;
        int32_t product = codes[qcc_weight_at(w, r, j)] * x_of(w, code_max, r, j);
        *(product > 0 ? &up : &down) += product;
      }
      unsafe += up > POSITIVE || down < -NEGATIVE;
    }
  return unsafe;
}

/* Nearest safe codes for magnitudes u, v of equal sign with weights hu, hv: the best integer point of the triangle a x + b y <= limit, looked
 * for `reach` steps around the point of the border that is best for real numbers. */
static void project(float *a, float *b, double u, double v, double hu, double hv, int32_t x, int32_t y, int32_t limit, int32_t reach) {
  if (!(hu > 0)) hu = 1e-12;
  if (!(hv > 0)) hv = 1e-12;
  double over_by = (u * x + v * y - limit) / ((double)x * x / hu + (double)y * y / hv), best = HUGE_VAL;
  double centre = u - over_by * x / hu;
  int32_t most_a = over(limit, x), from = (int32_t)floor(centre < 0 ? 0 : centre > most_a ? most_a : centre) - reach;
  for (int32_t p = from < 0 ? 0 : from; p <= from + 2 * reach + 1 && p <= most_a; p++) {
    int32_t room = over(limit - p * x, y), q = v < room ? (int32_t)(v + .5) : room;
    if (q > room) q = room;
    double e = hu * (u - p) * (u - p) + hv * (v - q) * (v - q);
    if (e < best) best = e, *a = (float)p, *b = (float)q;
  }
}

/* Make the unsafe pairs of [from, to) safe; returns by how much the error grew, in units of scale^2. */
static double repair(row *r, size_t from, size_t to, double inverse, int32_t reach) {
  double more = 0;
  for (size_t p = from; p < to; p++) {
    if (!r->unsafe[p]) continue;
    double sign = r->q[0][p] < 0 ? -1 : 1, u = (double)r->w[0][p] * inverse, v = (double)r->w[1][p] * inverse;
    double h0 = (double)r->h[0][p], h1 = (double)r->h[1][p], e0 = u - (double)r->q[0][p], e1 = v - (double)r->q[1][p];
    more -= h0 * e0 * e0 + h1 * e1 * e1;
    project(&r->q[0][p], &r->q[1][p], u * sign, v * sign, h0, h1, (int32_t)r->x[0][p], (int32_t)r->x[1][p], sign > 0 ? POSITIVE : NEGATIVE,
            reach);
    r->q[0][p] *= (float)sign, r->q[1][p] *= (float)sign;
    e0 = u - (double)r->q[0][p], e1 = v - (double)r->q[1][p];
    more += h0 * e0 * e0 + h1 * e1 * e1;
  }
  return more;
}

/* ---- one candidate */
#define INLINE static inline __attribute__((always_inline))
#define SELECT(mask, a, b) ((v8f)(((v8i)(a) & (mask)) | ((v8i)(b) & ~(mask))))

/* Round the pairs [from, to) for a scale, as qcc_quantize1 does; the error in units of scale^2 into *error; true when a pair is unsafe. */
INLINE bool block_body(const row *r, size_t from, size_t to, float scale, float lo, float hi, float *error) {
  const v8f magic = {12582912.f, 12582912.f, 12582912.f, 12582912.f, 12582912.f, 12582912.f, 12582912.f, 12582912.f};
  const v8f zero = {0}, low = zero + lo, high = zero + hi;
  v8f sum = zero;
  v8i unsafe = {0};
  for (size_t p = from; p < to; p += 8) {
    v8f up = zero, down = zero;
    for (int m = 0; m < 2; m++) {
      v8f u, h, x;
      memcpy(&u, r->w[m] + p, sizeof u);
      memcpy(&h, r->h[m] + p, sizeof h);
      memcpy(&x, r->x[m] + p, sizeof x);
      u /= scale;
      v8f q = SELECT(u > high, high, u);
      q = SELECT(q < low, low, q);
      q = (q + magic) - magic;
      memcpy(r->q[m] + p, &q, sizeof q);
      u -= q;
      sum += h * u * u;
      x *= q;
      up += SELECT(x > zero, x, zero);
      down += SELECT(x < zero, x, zero);
    }
    v8i beyond = (up > (float)POSITIVE) | (down < (float)-NEGATIVE);
    memcpy(r->unsafe + p, &beyond, sizeof beyond);
    unsafe |= beyond;
  }
  float e = 0;
  int32_t any = 0;
  for (size_t k = 0; k < 8; k++) e += sum[k], any |= unsafe[k];
  *error = e;
  return any != 0;
}

typedef bool block_fn(const row *, size_t, size_t, float, float, float, float *);
static bool block_base(const row *r, size_t from, size_t to, float scale, float lo, float hi, float *error) {
  return block_body(r, from, to, scale, lo, hi, error);
}
#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2"))) static bool block_avx2(const row *r, size_t from, size_t to, float scale, float lo, float hi,
                                                       float *error) {
  return block_body(r, from, to, scale, lo, hi, error);
}
static block_fn *block_of(void) { return __builtin_cpu_supports("avx2") ? block_avx2 : block_base; }
#else
static block_fn *block_of(void) { return block_base; }
#endif

/* Error of a row at a scale; leaves the codes in r.q. Stops early, with some larger value, beyond `least`. */
static double try_scale(search *s, double scale, double least, int32_t reach) {
  block_fn *block = block_of();
  row *r = &s->r;
  double sum = 0, unit = scale * scale;
  for (size_t p = 0; p < r->pairs && sum * unit <= least; p += BLOCK) {
    size_t to = r->pairs - p < BLOCK ? r->pairs : p + BLOCK;
    float e;
    bool unsafe = block(r, p, to, (float)scale, (float)s->o->grid.lo, (float)s->o->grid.hi, &e);
    sum += (double)e;
    if (s->pairs && unsafe) sum += repair(r, p, to, 1 / scale, reach);
  }
  return sum * unit;
}

/* ---- rows */
static qcc_status make_row(row *r, const qcc_weight *w, qcc_pair_sums pairs) {
  size_t stride = stride_of(w, pairs);
  r->pairs = ((stride * w->positions + 1) / 2 + 7) / 8 * 8;
  r->group = SIZE_MAX;
  r->block = qcc_zalloc_array(w->cx, r->pairs, 8 * sizeof(float));
  r->unsafe = qcc_zalloc_array(w->cx, r->pairs, sizeof *r->unsafe);
  r->indices = qcc_alloc_array(w->cx, r->pairs, 4 * sizeof(size_t));
  if (!r->block || !r->indices || !r->unsafe) return QCC_NOMEM;
  for (size_t m = 0; m < 2; m++) {
    r->w[m] = r->block + m * r->pairs;
    r->h[m] = r->block + (2 + m) * r->pairs;
    r->x[m] = r->block + (4 + m) * r->pairs;
    r->q[m] = r->block + (6 + m) * r->pairs;
    r->offset[m] = r->indices + m * r->pairs;
    r->channel[m] = r->indices + (2 + m) * r->pairs;
  }
  for (size_t k = 0; k < 2 * r->pairs; k++) {
    size_t column = column_at(w, stride, k);
    r->offset[k & 1][k / 2] = column != SIZE_MAX ? qcc_weight_at(w, 0, column) : SIZE_MAX;
    r->channel[k & 1][k / 2] = k % stride;
  }
  return QCC_OK;
}

static void load_group(search *s, size_t group) {
  row *r = &s->r;
  r->group = group;
  r->weight = 0;
  for (int m = 0; m < 2; m++)
    for (size_t p = 0; p < r->pairs; p++) {
      if (r->offset[m][p] == SIZE_MAX) continue;
      size_t channel = group * s->w->channels + r->channel[m][p];
      r->h[m][p] = s->o->meansq ? (float)s->o->meansq[channel] : 1;
      r->x[m][p] = s->o->code_max ? (float)s->o->code_max[channel] : 255;
      r->weight += (double)r->h[m][p];
    }
}

/* Fetch row `index`; returns its largest magnitude. */
static double load_row(search *s, size_t index) {
  row *r = &s->r;
  const float *w = s->w->w + index * s->w->row_step;
  size_t group = index / (s->w->rows / s->w->groups);
  float most = 0;
  if (group != r->group) load_group(s, group);
  for (int m = 0; m < 2; m++)
    for (size_t p = 0; p < r->pairs; p++) {
      float v = r->offset[m][p] == SIZE_MAX ? 0 : w[r->offset[m][p]];
      r->w[m][p] = v;
      if (fabsf(v) > most) most = fabsf(v);
    }
  return (double)most;
}

static void store_row(const search *s, size_t index, int8_t *codes) {
  codes += index * s->w->row_step;
  for (int m = 0; m < 2; m++)
    for (size_t p = 0; p < s->r.pairs; p++)
      if (s->r.offset[m][p] != SIZE_MAX) codes[s->r.offset[m][p]] = (int8_t)s->r.q[m][p];
}

static double round_row(search *s, float scale) { return try_scale(s, (double)scale, HUGE_VAL, 7); }

/* ---- scales */
double qcc_weight_least_scale(size_t row_index, double most, const qcc_weight_options *o) {
  double least = most * 1e-4 / o->grid.hi;
  if (least < 1e-30) least = 1e-30;
  if (o->bias && o->x_scale > 0) least = fmax(least, fabs((double)o->bias[row_index]) / (o->x_scale * 0x1p30));
  return least;
}

typedef struct choice {
  double scale, error;
} choice;

/* Multiples of amax / qmax: below 1 it clips, above 1 it makes room for pairs. First a coarse walk, 1 first so that ties keep it, then the
 * neighbourhood of the best. */
enum { COARSE = 5 };
static const double coarse_step = .05, fine_step = .01;

static bool candidate(const search *s, int i, double best, double *multiple) {
  int clips = s->o->grid.hi < 64 ? 16 : 7, rooms = s->pairs ? 20 : 0;
  int fine = i - clips - rooms; /* -4..-1, 1..4 around the best */
  if (i < clips)
    *multiple = 1 - coarse_step * i;
  else if (fine < 0)
    *multiple = 1 + coarse_step * (i - clips + 1);
  else
    *multiple = best + fine_step * (fine < COARSE - 1 ? fine - COARSE + 1 : fine - COARSE + 2);
  return fine < 2 * (COARSE - 1);
}

static double final_scale(const search *s, double scale) { /* what the float will be */
  if (s->o->grid.pow2) scale = exp2(ceil(log2(scale)));
  return (double)(float)scale;
}

static choice search_row(search *s, double most, double least) {
  choice best = {final_scale(s, least), HUGE_VAL};
  double m, at = 1;
  for (int i = 0; candidate(s, i, at, &m); i++) {
    double scale = final_scale(s, fmax(most / s->o->grid.hi * m, least));
    if (m > 1 && scale * scale / 12 * s->r.weight > 1.5 * best.error) continue; /* rounding alone costs more */
    double e = try_scale(s, scale, best.error, 1);
    if (e < best.error) best = (choice){scale, e}, at = m;
  }
  return best;
}

static void find_most(search *s) {
  float most = 0;
  for (size_t i = 0; i < s->w->count; i++)
    if (fabsf(s->w->w[i]) > most) most = fabsf(s->w->w[i]); /* NaN compares false */
  s->most = isfinite(most) ? (double)most : (double)FLT_MAX;
}

/* All rows with the same scale. */
static double try_tensor(search *s, double scale, double least) {
  double sum = 0;
  for (size_t r = 0; r < s->w->rows && sum <= least; r++) {
    load_row(s, r);
    sum += try_scale(s, scale, least - sum, 1);
  }
  return sum;
}

static double search_tensor(search *s) {
  choice best = {1, HUGE_VAL};
  double least = 0, m, at = 1;
  for (size_t r = 0; r < s->w->rows; r++) least = fmax(least, qcc_weight_least_scale(r, s->most, s->o));
  for (int i = 0; candidate(s, i, at, &m); i++) {
    double scale = final_scale(s, fmax(least, s->most / s->o->grid.hi * m)), e = try_tensor(s, scale, best.error);
    if (e < best.error) best = (choice){scale, e}, at = m;
  }
  return best.scale;
}

static qcc_status open_search(search *s, const qcc_weight *w, const qcc_weight_options *o) {
  *s = (search){.w = w, .o = o, .pairs = o->pairs && !w->depthwise && o->grid.hi > QCC_PAIR_SAFE};
  QCC_TRY(make_row(&s->r, w, o->pairs));
  find_most(s);
  return QCC_OK;
}

static void close_search(search *s) {
  qcc_free(s->w->cx, s->r.block);
  qcc_free(s->w->cx, s->r.indices);
  qcc_free(s->w->cx, s->r.unsafe);
}

qcc_status qcc_weight_scales(float *scale, int8_t *codes, double *error, const qcc_weight *w, const qcc_weight_options *o) {
  search s;
  qcc_status status = open_search(&s, w, o);
  double sum = 0, shared = status == QCC_OK && o->per_tensor ? search_tensor(&s) : 0;
  for (size_t r = 0; r < w->rows && status == QCC_OK; r++) {
    double most = load_row(&s, r), least = qcc_weight_least_scale(r, s.most, o);
    if (!isfinite(most)) most = (double)FLT_MAX;
    scale[r] = (float)(o->per_tensor ? shared : search_row(&s, most, least).scale);
    sum += round_row(&s, scale[r]);
    store_row(&s, r, codes);
  }
  close_search(&s);
  if (error) *error = sum;
  return status;
}

qcc_status qcc_weight_round(int8_t *codes, double *error, const qcc_weight *w, const float *scale, const qcc_weight_options *o) {
  search s;
  qcc_status status = open_search(&s, w, o);
  double sum = 0;
  for (size_t r = 0; r < w->rows && status == QCC_OK; r++) {
    load_row(&s, r);
    sum += round_row(&s, scale[r]);
    store_row(&s, r, codes);
  }
  close_search(&s);
  if (error) *error = sum;
  return status;
}
