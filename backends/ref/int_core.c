/* SPDX-License-Identifier: Apache-2.0
 * Convolution and products on codes, channels last, in blocks of output pixels as conv_core.c does it. A band of input rows is copied once,
 * widened to s16 (or as bytes), with its padding; then a tap of the tile loop is one row of the kernel, and no edge is a special case.
 * Pointwise convolutions and products of matrices read their rows where they stand. */
#include <string.h>

#include "backends/ref/qint.h"
#include "backends/ref/team.h"

enum { BAND_BYTES = 96 * 1024, BLOCK_BYTES = 48 * 1024, LEAST_BLOCK = 48, MAX_BLOCK = 240, SLACK = 256, MAX_TAPS = 128 };

/* ---- packing */
static int32_t weight(const qcc_iweights *w, size_t o, size_t p, size_t i) {
  const uint8_t x = w->at[o * w->by[0] + p * w->by[1] + i * w->by[2]];
  return (w->type == QCC_S8 ? (int8_t)x : x) - w->zero;
}

/* Number `e` of tap `t` of column `o`; 0 past the end of a tap. */
static int32_t entry(const qcc_ipack *p, const qcc_iweights *w, size_t cin, size_t o, size_t t, size_t e) {
  return e < p->run ? weight(w, o, t * p->positions + e / cin, e % cin) : 0;
}

/* Can no pair of products leave 16 bits, whatever the codes are? */
static bool pairs_fit(const qcc_ipack *p, const qcc_iweights *w, size_t cin, size_t cout) {
  for (size_t o = 0; o < cout; ++o) {
    for (size_t t = 0; t < p->taps; ++t) {
      for (size_t e = 0; e < p->run; e += 2) {
        const int32_t a = entry(p, w, cin, o, t, e), b = entry(p, w, cin, o, t, e + 1);
        if ((a > 0 ? a : 0) + (b > 0 ? b : 0) > 128 || (a < 0 ? -a : 0) + (b < 0 ? -b : 0) > 128) return false;
      }
    }
  }
  return true;
}

/* Shape of the taps: a row of the kernel when that is one run of numbers, else a position. Where sums saturate, pairs run across rows, so an
 * odd run becomes one with the next: the whole kernel is one tap. */
static void shape_taps(qcc_ipack *p, const qcc_conv *c, bool saturates) {
  const size_t all = (size_t)(c->kernel[0] * c->kernel[1] * c->kernel[2]), cin = (size_t)(c->cin / c->group);
  p->positions = c->group == 1 && c->dilation[2] == 1 ? (size_t)c->kernel[2] : 1;
  if (saturates && p->positions * cin % 2) p->positions = all;
  p->taps = all / p->positions;
  p->run = p->positions * cin;
}

static void choose_way(qcc_ipack *p, const qcc_isimd *simd, qcc_arithmetic how, const qcc_conv *c, const qcc_iweights *w) {
  const size_t cin = (size_t)(c->cin / c->group), cout = (size_t)c->cout;
  const bool bytes = w->type == QCC_S8 && w->zero == 0;
  const bool saturates = bytes && how == QCC_AS_SATURATING;
  shape_taps(p, c, saturates);
  p->way = QCC_BY_PAIRS;
  if (c->depthwise && p->taps * p->positions <= MAX_TAPS)
    p->way = QCC_DEPTHWISE;
  else if (saturates)
    p->way = QCC_BY_QUADS;
  else if (bytes && simd->dot)
    p->way = QCC_BY_DOT;
  else if (bytes && pairs_fit(p, w, cin, cout))
    p->way = QCC_BY_QUADS;
  p->depth = p->way == QCC_BY_PAIRS ? (p->run + 1) / 2 : (p->run + 3) / 4;
}

static void fill_panels(qcc_ipack *p, const qcc_iweights *w, size_t group, size_t cin, size_t nr, uint8_t *to) {
  const size_t lanes = p->way == QCC_BY_PAIRS ? 2 : 4, first = group * p->width;
  for (size_t j = 0; j < p->panels * nr; j += nr) {
    for (size_t t = 0; t < p->taps; ++t) {
      for (size_t e = 0; e < p->depth * lanes; e += lanes) {
        for (size_t k = j; k < j + nr; ++k, to += 4) {
          for (size_t i = 0; i < lanes; ++i) {
            const int16_t x = (int16_t)(k < p->width ? entry(p, w, cin, first + k, t, e + i) : 0);
            if (lanes == 2)
              memcpy(to + 2 * i, &x, sizeof x);
            else
              to[i] = (uint8_t)x;
          }
        }
      }
    }
  }
}

static int32_t sum_of(const qcc_ipack *p, const qcc_iweights *w, size_t cin, size_t o) {
  int32_t sum = 0;
  for (size_t t = 0; t < p->taps; ++t)
    for (size_t e = 0; e < p->run; ++e) sum += entry(p, w, cin, o, t, e);
  return sum;
}

static uint8_t raw_zero(const qcc_iform *x) { return (uint8_t)(x->type == QCC_S8 ? x->zero + 128 : x->zero); }
/* Column of a group at place `j` of bias and scale. */
static size_t column_at(const qcc_ipack *p, const qcc_isimd *simd, size_t j) {
  return p->way == QCC_DEPTHWISE ? qcc_idw_channel(simd, j) : j;
}
static bool is_raw(const qcc_ipack *p) { return p->way == QCC_BY_QUADS || p->way == QCC_BY_DOT; }

static void fill_ends(qcc_ipack *p, const qcc_isimd *simd, const qcc_iweights *w, size_t groups, size_t cin, size_t padded) {
  for (size_t g = 0; g < groups; ++g) {
    for (size_t j = 0; j < padded; ++j) {
      const size_t k = column_at(p, simd, j), o = g * p->width + k, at = g * padded + j;
      const bool real = k < p->width;
      uint32_t b = real && w->bias ? (uint32_t)w->bias[o] : 0;
      const int32_t sum = real && is_raw(p) ? sum_of(p, w, cin, o) : 0;
      if (p->sum)
        p->sum[at] = sum;
      else
        b -= (uint32_t)raw_zero(&p->x) * (uint32_t)sum;
      p->bias[at] = (int32_t)b;
      p->scale[at] = real ? w->scale[o] : 0.0f;
    }
  }
}

static qcc_status fill_depthwise(qcc_ipack *p, qcc_context *cx, const qcc_isimd *simd, const qcc_iweights *w, size_t channels) {
  const size_t taps = p->taps * p->positions;
  int16_t *plain = qcc_alloc_array(cx, taps * channels + 1, sizeof *plain);
  if (!plain) return QCC_NOMEM;
  for (size_t t = 0; t < taps; ++t)
    for (size_t c = 0; c < channels; ++c) plain[t * channels + c] = (int16_t)weight(w, c, t, 0);
  qcc_idw_pack(simd, p->at, plain, taps, channels);
  qcc_free(cx, plain);
  return QCC_OK;
}

qcc_status qcc_ipack_new(qcc_ipack *p, qcc_context *cx, const qcc_isimd *simd, qcc_arithmetic how, const qcc_conv *c,
                         const qcc_iweights *w) {
  const size_t cin = (size_t)(c->cin / c->group), nr = simd->nr;
  choose_way(p, simd, how, c, w);
  const bool deep = p->way == QCC_DEPTHWISE;
  const size_t groups = deep ? 1 : (size_t)c->group;
  p->width = (size_t)c->cout / groups;
  p->panels = (p->width + nr - 1) / nr;
  const size_t padded = p->panels * nr;
  size_t bytes, ends, all;
  bool fits = qcc_mul_size(padded, p->taps * p->depth * 4, &bytes) && qcc_mul_size(bytes, groups, &bytes);
  if (deep) bytes = qcc_idw_room(simd, p->taps * p->positions, p->width) * sizeof(int16_t);
  fits = fits && qcc_mul_size(groups * padded, 2 * sizeof *p->bias + sizeof *p->scale, &ends) && qcc_add_size(bytes, ends, &all);
  if (!fits) return qcc_error(cx, QCC_LIMIT, "L-201", NULL, "packed weights are too large for this machine");
  p->at = qcc_alloc(cx, all + 1);
  if (!p->at) return QCC_NOMEM;
  p->bytes = all;
  p->bias = (int32_t *)(void *)((uint8_t *)p->at + bytes);
  p->scale = (float *)(void *)(p->bias + groups * padded);
  if (w->late) p->sum = (int32_t *)(void *)(p->scale + groups * padded);
  fill_ends(p, simd, w, groups, cin, padded);
  if (deep) return fill_depthwise(p, cx, simd, w, (size_t)c->cout);
  for (size_t g = 0; g < groups; ++g) fill_panels(p, w, g, cin, nr, (uint8_t *)p->at + g * padded * p->taps * p->depth * 4);
  return QCC_OK;
}

/* ---- the block loop: `rows` rows by pointers, all panels of group `g` */
typedef struct iblock {
  qcc_worker *w;
  const qcc_ipack *p;
  const qcc_iend *end; /* with bias and scale of all groups */
  const void **a;      /* [rows / MR][taps][MR] */
  size_t rows, group;
  uint8_t *out; /* at the first column of the group */
  size_t ldc;   /* bytes */
} iblock;

static size_t out_bytes(const qcc_iend *e) { return e->kind == QCC_TO_CODES ? 1 : 4; }

static qcc_iend own_end(const qcc_ipack *p) {
  qcc_iend e = p->end;
  e.bias = p->bias, e.scale = p->scale;
  return e;
}

static void run_block(const iblock *b) {
  const qcc_ipack *p = b->p;
  const qcc_isimd *simd = b->w->isimd;
  void (*loop)(const qcc_itile *) = p->way == QCC_BY_PAIRS ? simd->pair : p->way == QCC_BY_DOT ? simd->dot : simd->quad;
  const size_t nr = simd->nr, padded = p->panels * nr, panel = p->taps * p->depth * nr * 4;
  qcc_itile t = {.taps = p->taps, .depth = p->depth, .ldc = b->ldc, .end = *b->end};
  for (size_t j = 0; j < p->panels; ++j) {
    t.b = (const uint8_t *)p->at + (b->group * p->panels + j) * panel;
    t.end.bias = b->end->bias + b->group * padded + j * nr;
    t.end.scale = b->end->scale + b->group * padded + j * nr;
    t.n = (unsigned)(p->width - j * nr < nr ? p->width - j * nr : nr);
    for (size_t row = 0; row < b->rows; row += t.m) {
      const size_t left = b->rows - row;
      t.a = b->a + qcc_row_slot(b->rows, row) * p->taps;
      t.m = (unsigned)(left == QCC_MR + 1 ? 4 : left < QCC_MR ? left : QCC_MR);
      t.out = b->out + row * b->ldc + j * nr * out_bytes(b->end);
      loop(&t);
    }
  }
}

/* ---- rows that stand one behind the other */
static size_t elem_of(const qcc_ipack *p) { return p->way == QCC_BY_PAIRS || p->way == QCC_DEPTHWISE ? 2 : 1; }

/* Codes as the loops read them. */
static void convert(const qcc_worker *w, const qcc_ipack *p, int32_t zero, void *to, const uint8_t *x, size_t n) {
  const bool sign = p->x.type == QCC_S8;
  if (elem_of(p) == 2)
    w->isimd->widen(to, x, n, sign, zero);
  else if (sign)
    w->isimd->flip(to, x, n);
  else
    memcpy(to, x, n);
}

static size_t padded_rows(size_t rows) { return (rows + QCC_MR - 1) / QCC_MR * QCC_MR; }

static size_t block_rows(size_t rows, size_t row_bytes) {
  size_t n = BLOCK_BYTES / (row_bytes + 1);
  if (n > MAX_BLOCK) n = MAX_BLOCK;
  if (n < LEAST_BLOCK) n = LEAST_BLOCK;
  n -= n % QCC_MR;
  return rows < n ? rows : n;
}

typedef struct rows_of {
  size_t groups, rows, pitch; /* pitch: numbers of a row of x */
  const uint8_t *x;
  uint8_t *y;
  int32_t zero;
  qcc_iend end;
} rows_of;

typedef struct rows_run {
  const qcc_ipack *p;
  const rows_of *r;
  size_t step; /* rows of a part */
} rows_run;

/* Reads of whole groups must not leave x, so odd rows are copied. */
static qcc_status rows_part(qcc_worker *w, size_t index, void *user) {
  const rows_run *run = user;
  const rows_of *r = run->r;
  const qcc_ipack *p = run->p;
  const size_t elem = elem_of(p), row = index * run->step, rows = r->rows - row < run->step ? r->rows - row : run->step;
  const size_t out = out_bytes(&r->end), ldc = r->groups * p->width * out;
  const bool copy = elem == 2 || p->x.type == QCC_S8 || p->run % 4;
  const void **a = qcc_scratch(w, padded_rows(rows) * sizeof *a);
  uint8_t *own = copy ? qcc_scratch(w, rows * r->pitch * elem + SLACK) : NULL;
  if (!a || (copy && !own)) return QCC_NOMEM;
  if (copy) convert(w, p, r->zero, own, r->x + row * r->pitch, rows * r->pitch);
  const uint8_t *from = copy ? own : r->x + row * r->pitch;
  iblock b = {.w = w, .p = p, .end = &r->end, .a = a, .rows = rows, .ldc = ldc};
  for (b.group = 0; b.group < r->groups; ++b.group) {
    for (size_t i = 0; i < rows; ++i) a[qcc_row_slot(rows, i)] = from + (i * r->pitch + b.group * p->run) * elem;
    b.out = r->y + row * ldc + b.group * p->width * out;
    run_block(&b);
  }
  return QCC_OK;
}

static qcc_status run_rows(qcc_worker *w, const qcc_ipack *p, const rows_of *r) {
  rows_run run = {.p = p, .r = r, .step = block_rows(r->rows, r->pitch * elem_of(p))};
  if (!r->rows) return QCC_OK;
  const double work = (double)r->rows * (double)(r->groups * p->width * p->run);
  return qcc_team_run(w, work, (r->rows + run.step - 1) / run.step, rows_part, &run);
}

/* Bias for this zero point of the data. */
static qcc_status late_bias(qcc_worker *w, const qcc_ipack *p, size_t groups, int32_t zero, qcc_iend *end) {
  const size_t all = groups * p->panels * w->isimd->nr;
  const qcc_iform x = {.type = p->x.type, .zero = zero};
  int32_t *bias = qcc_scratch(w, all * sizeof *bias);
  if (!bias) return QCC_NOMEM;
  for (size_t j = 0; j < all; ++j) bias[j] = (int32_t)((uint32_t)p->bias[j] - (uint32_t)raw_zero(&x) * (uint32_t)p->sum[j]);
  end->bias = bias;
  return QCC_OK;
}

static qcc_status late_scale(qcc_worker *w, const qcc_ipack *p, size_t groups, const qcc_ilate *late, qcc_iend *end) {
  const size_t padded = p->panels * w->isimd->nr;
  float *scale = qcc_scratch(w, groups * padded * sizeof *scale);
  if (!scale) return QCC_NOMEM;
  for (size_t j = 0; j < groups * padded; ++j) {
    const size_t k = column_at(p, w->isimd, j % padded), o = j / padded * p->width + k;
    scale[j] = late->scale[late->scales > 1 && k < p->width ? o : 0];
  }
  end->scale = scale;
  end->kind = QCC_TO_FLOATS;
  return QCC_OK;
}

/* The end of a pack with what came while running; *zero: that of the data. */
static qcc_status end_with(qcc_worker *w, const qcc_ipack *p, size_t groups, const qcc_ilate *late, int32_t *zero, qcc_iend *end) {
  *end = own_end(p);
  *zero = late && late->zero ? *late->zero : p->x.zero;
  if (late && late->zero) QCC_TRY(late_bias(w, p, groups, *zero, end));
  return late && late->scale ? late_scale(w, p, groups, late, end) : QCC_OK;
}

qcc_status qcc_idense_run(qcc_worker *w, const qcc_ipack *p, size_t rows, const uint8_t *x, const qcc_ilate *late, uint8_t *y) {
  rows_of r = {.groups = 1, .rows = rows, .pitch = p->run, .x = x, .y = y};
  QCC_TRY(end_with(w, p, 1, late, &r.zero, &r.end));
  return run_rows(w, p, &r);
}

/* ---- bands of input rows with their padding, those of every plane under the kernel */
typedef struct band_run {
  const qcc_conv *c;
  const qcc_ipack *p;
  qcc_iend end;
  int32_t zero;
  const uint8_t *x;
  uint8_t *y;
  size_t columns, pitch; /* of a row: numbers of pixels, bytes */
  int64_t lines, bands;  /* of a part; of a plane */
} band_run;

typedef struct band {
  qcc_worker *w;
  const band_run *run;
  const qcc_conv *c;
  const qcc_ipack *p;
  uint8_t *at;
  size_t elem, pitch, deep; /* deep: bytes from one plane to the next */
  const void **a;           /* pointers of a block, or of the taps */
  uint8_t *patch;           /* whole kernels one behind the other; NULL: tap by tap */
} band;

static int64_t rows_for(const qcc_conv *c, int64_t lines) { return (lines - 1) * c->stride[1] + (c->kernel[1] - 1) * c->dilation[1] + 1; }

/* `plane` NULL: outside. */
static void fill_row(const band *b, uint8_t *to, const uint8_t *plane, int64_t row) {
  const qcc_conv *c = b->c;
  const size_t cin = (size_t)c->cin, whole = b->run->columns * cin;
  const int fill = b->elem == 1 ? raw_zero(&(qcc_iform){.type = b->p->x.type, .zero = b->run->zero}) : 0;
  if (!plane || row < 0 || row >= c->in[1]) {
    memset(to, fill, whole * b->elem);
    return;
  }
  const size_t left = (size_t)c->pad[2] * cin, width = (size_t)c->in[2] * cin, n = left + width < whole ? width : whole - left;
  memset(to, fill, left * b->elem);
  convert(b->w, b->p, b->run->zero, to + left * b->elem, plane + (size_t)row * width, n);
  memset(to + (left + n) * b->elem, fill, (whole - left - n) * b->elem);
}

static void fill_band(const band *b, const uint8_t *image, int64_t oz, int64_t line, int64_t lines) {
  const qcc_conv *c = b->c;
  const int64_t first = line * c->stride[1] - c->pad[1];
  for (int64_t kz = 0; kz < c->kernel[0]; ++kz) {
    const int64_t z = oz * c->stride[0] - c->pad[0] + kz * c->dilation[0];
    const uint8_t *plane = z >= 0 && z < c->in[0] ? image + (size_t)(z * c->in[1] * c->in[2] * c->cin) : NULL;
    for (int64_t r = 0; r < rows_for(c, lines); ++r) fill_row(b, b->at + (size_t)kz * b->deep + (size_t)r * b->pitch, plane, first + r);
  }
}

/* Address of kernel position (kz, ky, kx) of output (line, ox) within the band. */
static uint8_t *position(const band *b, int64_t line, int64_t ox, int64_t kz, int64_t ky, int64_t kx) {
  const qcc_conv *c = b->c;
  const size_t row = (size_t)(line * c->stride[1] + ky * c->dilation[1]), column = (size_t)(ox * c->stride[2] + kx * c->dilation[2]);
  return b->at + (size_t)kz * b->deep + row * b->pitch + column * (size_t)c->cin * b->elem;
}

/* The numbers of one group under the whole kernel, one behind the other. */
static const uint8_t *gather(const band *b, int64_t line, int64_t ox, size_t group, uint8_t *to) {
  const qcc_conv *c = b->c;
  const size_t cin = (size_t)(c->cin / c->group);
  const bool rows = c->group == 1 && c->dilation[2] == 1;
  const size_t run = rows ? (size_t)c->kernel[2] * cin : cin;
  uint8_t *at = to;
  for (int64_t kz = 0; kz < c->kernel[0]; ++kz)
    for (int64_t ky = 0; ky < c->kernel[1]; ++ky)
      for (int64_t kx = 0; kx < (rows ? 1 : c->kernel[2]); ++kx, at += run)
        memcpy(at, position(b, line, ox, kz, ky, kx) + group * cin, run);
  return to;
}

static void point(const band *b, size_t rows, size_t group) {
  const qcc_conv *c = b->c;
  const size_t offset = group * b->p->run * b->elem, cell = (size_t)c->cin * b->elem;
  const size_t down = (size_t)c->dilation[1] * b->pitch, right = (size_t)c->dilation[2] * cell, next = (size_t)c->stride[2] * cell;
  const int64_t tap_columns = b->p->positions > 1 ? 1 : c->kernel[2];
  int64_t line = 0, ox = 0;
  for (size_t i = 0; i < rows; ++i, ++ox) {
    if (ox == c->out[2]) ox = 0, ++line;
    const size_t slot = qcc_row_slot(rows, i);
    const void **to = b->a + slot / QCC_MR * QCC_MR * b->p->taps + slot % QCC_MR;
    if (b->patch) {
      *to = gather(b, line, ox, group, b->patch + i * (b->p->run + 4));
      continue;
    }
    const uint8_t *plane = b->at + (size_t)(line * c->stride[1]) * b->pitch + (size_t)ox * next + offset;
    for (int64_t kz = 0; kz < c->kernel[0]; ++kz, plane += b->deep) {
      const uint8_t *row = plane;
      for (int64_t ky = 0; ky < c->kernel[1]; ++ky, row += down)
        for (int64_t kx = 0; kx < tap_columns; ++kx, to += QCC_MR) *to = row + (size_t)kx * right;
    }
  }
}

static void dense_lines(const band *b, int64_t lines, uint8_t *y) {
  const qcc_conv *c = b->c;
  const qcc_iend *end = &b->run->end;
  iblock k = {.w = b->w, .p = b->p, .end = end, .a = b->a, .rows = (size_t)(lines * c->out[2]), .ldc = (size_t)c->cout * out_bytes(end)};
  for (k.group = 0; k.group < (size_t)c->group; ++k.group) {
    point(b, k.rows, k.group);
    k.out = y + k.group * b->p->width * out_bytes(end);
    run_block(&k);
  }
}

static void depthwise_lines(const band *b, int64_t lines, uint8_t *y) {
  const qcc_conv *c = b->c;
  const size_t taps = (size_t)(c->kernel[0] * c->kernel[1] * c->kernel[2]), channels = (size_t)c->cin;
  const int16_t *a[MAX_TAPS + 1];
  qcc_idwrun d = {.a = a, .w = b->p->at, .pairs = (taps + 1) / 2, .channels = channels, .count = (size_t)c->out[2]};
  d.step = (size_t)c->stride[2] * channels;
  d.end = b->run->end;
  for (int64_t line = 0; line < lines; ++line) {
    const int16_t **to = a;
    for (int64_t kz = 0; kz < c->kernel[0]; ++kz)
      for (int64_t ky = 0; ky < c->kernel[1]; ++ky)
        for (int64_t kx = 0; kx < c->kernel[2]; ++kx) *to++ = (const int16_t *)(const void *)position(b, line, 0, kz, ky, kx);
    a[taps] = a[taps - 1];
    d.out = y + (size_t)line * d.count * channels * out_bytes(&d.end);
    b->w->isimd->depthwise(&d);
  }
}

/* Lines of output at a time: a band that stays in the cache, and enough pixels to fill tiles. */
static int64_t lines_of(const qcc_conv *c, size_t pitch, bool deep) {
  const int64_t fit = ((int64_t)(BAND_BYTES / pitch) / c->kernel[0] - rows_for(c, 1)) / c->stride[1] + 1;
  int64_t lines = deep ? fit : MAX_BLOCK / c->out[2] < fit ? MAX_BLOCK / c->out[2] : fit;
  if (!deep && lines * c->out[2] < LEAST_BLOCK) lines = (LEAST_BLOCK + c->out[2] - 1) / c->out[2];
  if (lines < 1) lines = 1;
  return lines < c->out[1] ? lines : c->out[1];
}

static qcc_status make_band(band *b, qcc_worker *w, const band_run *run) {
  const qcc_conv *c = run->c;
  const qcc_ipack *p = run->p;
  *b = (band){.w = w, .run = run, .c = c, .p = p, .elem = elem_of(p), .pitch = run->pitch};
  b->deep = (size_t)rows_for(c, run->lines) * b->pitch;
  b->at = qcc_scratch(w, (size_t)c->kernel[0] * b->deep + SLACK);
  const size_t rows = padded_rows((size_t)(run->lines * c->out[2]));
  b->a = qcc_scratch(w, rows * p->taps * sizeof *b->a);
  const bool patches =
      p->way == QCC_BY_QUADS && p->taps == 1 && p->positions > (size_t)(c->group == 1 && c->dilation[2] == 1 ? c->kernel[2] : 1);
  if (patches) b->patch = qcc_scratch(w, rows * (p->run + 4) + SLACK);
  return b->at && b->a && (b->patch || !patches) ? QCC_OK : QCC_NOMEM;
}

static qcc_status band_part(qcc_worker *w, size_t index, void *user) {
  const band_run *run = user;
  const qcc_conv *c = run->c;
  const int64_t plane = (int64_t)index / run->bands, line = (int64_t)index % run->bands * run->lines;
  const int64_t lines = c->out[1] - line < run->lines ? c->out[1] - line : run->lines;
  const size_t pixel = (size_t)((plane * c->out[1] + line) * c->out[2]);
  const uint8_t *image = run->x + (size_t)(plane / c->out[0] * c->in[0] * c->in[1] * c->in[2] * c->cin);
  band b;
  QCC_TRY(make_band(&b, w, run));
  fill_band(&b, image, plane % c->out[0], line, lines);
  (run->p->way == QCC_DEPTHWISE ? depthwise_lines : dense_lines)(&b, lines, run->y + pixel * (size_t)c->cout * out_bytes(&run->end));
  return QCC_OK;
}

qcc_status qcc_iconv_run(qcc_worker *w, const qcc_conv *c, const qcc_ipack *p, const uint8_t *x, const qcc_ilate *late, uint8_t *y) {
  bool plain = p->way != QCC_DEPTHWISE;
  for (int d = 0; d < 3; ++d) plain = plain && c->kernel[d] == 1 && c->stride[d] == 1 && c->pad[d] == 0 && c->in[d] == c->out[d];
  const size_t out = (size_t)(c->batch * c->out[0] * c->out[1] * c->out[2]);
  band_run run = {.c = c, .p = p, .x = x, .y = y};
  QCC_TRY(end_with(w, p, p->way == QCC_DEPTHWISE ? 1 : (size_t)c->group, late, &run.zero, &run.end));
  if (plain) {
    const rows_of r = {.groups = (size_t)c->group, .rows = out, .pitch = (size_t)c->cin, .x = x, .y = y, .zero = run.zero, .end = run.end};
    return run_rows(w, p, &r);
  }
  run.columns = (size_t)((c->out[2] - 1) * c->stride[2] + (c->kernel[2] - 1) * c->dilation[2] + 1);
  if (run.columns < (size_t)c->pad[2]) run.columns = (size_t)c->pad[2];
  run.pitch = run.columns * (size_t)c->cin * elem_of(p);
  run.lines = lines_of(c, run.pitch, p->way == QCC_DEPTHWISE);
  run.bands = (c->out[1] + run.lines - 1) / run.lines;
  const double work = (double)out * (double)c->cout * (double)(p->taps * p->run);
  return qcc_team_run(w, work, (size_t)(c->batch * c->out[0] * run.bands), band_part, &run);
}
