/* SPDX-License-Identifier: Apache-2.0
 * Convolution, channels last, in blocks of output pixels. A block computes all output channels of its pixels, then runs what follows on
 * them while they are in the cache. The input is not copied: the tile loop gets one pointer per pixel and tap, and padding points at zeros.
 * With few channels (a first layer) a tap is a whole row of the kernel, which is one run of floats; only rows cut by the edge are copied.
 * Invariant: the partition into blocks cannot change a bit, because each output is one sum in a fixed order: taps, then channels. */
#include <string.h>

#include "backends/ref/team.h"
#include "ir/check.h"

enum {
  ROW_FLOATS = 64,
  BLOCK_FLOATS = 48 * 1024,
  BLOCK_POINTERS = 16 * 1024,
  MOST_ROWS = 240,
  GOOD_ROWS = 132,
  MAX_ROWS = 64,
  NEAR_FLOATS = 6 * 1024,
  QUARTERS = 4
};

/* Multiply-adds of all. */
static double work_of(const qcc_conv *c) {
  double n = (double)c->batch * (double)c->cout * (double)(c->cin / c->group);
  for (int d = 0; d < 3; ++d) n *= (double)c->out[d] * (double)c->kernel[d];
  return n;
}

void qcc_conv_of(qcc_conv *c, const qcc_window *win, int64_t batch, int64_t cin, int64_t cout) {
  *c = (qcc_conv){.batch = batch, .cin = cin, .cout = cout, .group = win->group};
  for (int d = 0, from = win->rank - 3; d < 3; ++d, ++from) {
    bool real = from >= 0;
    c->in[d] = real ? win->in[from] : 1;
    c->out[d] = real ? win->out[from] : 1;
    c->kernel[d] = real ? win->kernel[from] : 1;
    c->stride[d] = real ? win->stride[from] : 1;
    c->dilation[d] = real ? win->dilation[from] : 1;
    c->pad[d] = real ? win->pad_begin[from] : 0;
  }
  c->depthwise = c->group > 1 && c->group == cin && cin == cout && c->kernel[0] <= MAX_ROWS && c->kernel[0] * c->kernel[1] <= MAX_ROWS;
}

/* ---- packing */
static void pack_depthwise(float *to, const float *w, size_t channels, size_t taps) {
  for (size_t c = 0; c < channels; ++c)
    for (size_t t = 0; t < taps; ++t) to[t * channels + c] = w[c * taps + t];
}

/* One group: [width][depth][taps] to panels [taps][depth][nr], columns past the width are 0. */
static void pack_group(float *to, const float *w, size_t width, size_t depth, size_t taps, size_t nr) {
  for (size_t first = 0; first < width; first += nr) {
    for (size_t t = 0; t < taps; ++t) {
      for (size_t k = 0; k < depth; ++k, to += nr) {
        for (size_t j = 0; j < nr; ++j) to[j] = first + j < width ? w[((first + j) * depth + k) * taps + t] : 0.0f;
      }
    }
  }
}

static void pack_bias(float *to, const float *bias, size_t groups, size_t width, size_t padded) {
  for (size_t g = 0; g < groups; ++g)
    for (size_t j = 0; j < padded; ++j) to[g * padded + j] = j < width ? bias[g * width + j] : 0.0f;
}

qcc_status qcc_conv_pack(qcc_pack *p, qcc_context *cx, const qcc_simd *simd, const qcc_conv *c, const float *w, const float *bias) {
  const size_t taps = (size_t)(c->kernel[0] * c->kernel[1] * c->kernel[2]), groups = (size_t)c->group;
  const bool deep = c->depthwise;
  *p = (qcc_pack){.depthwise = deep, .depth = (size_t)(c->cin / c->group) * taps, .width = (size_t)(c->cout / c->group)};
  p->panels = (p->width + simd->nr - 1) / simd->nr;
  p->winograd = qcc_winograd_pays(c);
  if (p->winograd) p->depth = p->depth / taps * QCC_WINO_IN * QCC_WINO_IN;
  const size_t padded = p->panels * simd->nr;
  size_t floats, biases = !bias ? 0 : deep ? groups : groups * padded;
  if (!qcc_mul_size(deep ? 1 : padded, p->depth, &floats) || !qcc_mul_size(floats, groups, &floats) ||
      !qcc_add_size(floats, biases, &floats))
    return qcc_error(cx, QCC_LIMIT, "L-201", NULL, "packed weights are too large for this machine");
  p->at = qcc_alloc_array(cx, floats ? floats : 1, sizeof *p->at);
  if (!p->at) return QCC_NOMEM;
  p->bytes = floats * sizeof *p->at;
  if (bias) p->bias = p->at + (floats - biases);
  if (deep) {
    pack_depthwise(p->at, w, groups, taps);
    if (bias) memcpy(p->bias, bias, groups * sizeof *bias);
    return QCC_OK;
  }
  if (p->winograd) qcc_winograd_pack(p->at, w, (size_t)c->cin, p->width, simd->nr);
  for (size_t g = 0; g < groups && !p->winograd; ++g) {
    const size_t depth = p->depth / taps;
    pack_group(p->at + g * padded * p->depth, w + g * p->width * p->depth, p->width, depth, taps, simd->nr);
  }
  if (bias) pack_bias(p->bias, bias, groups, p->width, padded);
  return QCC_OK;
}

/* ---- the block loop */
/* As many rows as fit the cache with what they read and write, but enough to pay for reading the weights; all blocks about the same.
 * Where the weights leave room, that is the first cache. */
size_t qcc_block_rows(size_t rows, size_t depth, size_t width, size_t taps) {
  size_t most = BLOCK_FLOATS / (depth + width + 1);
  if (most < GOOD_ROWS && taps < 128) most = GOOD_ROWS;
  if (depth * taps * width < NEAR_FLOATS / 2 && most > NEAR_FLOATS / (depth + width)) most = NEAR_FLOATS / (depth + width);
  if (most > BLOCK_POINTERS / taps) most = BLOCK_POINTERS / taps;
  if (most > MOST_ROWS) most = MOST_ROWS;
  if (most < QCC_MR) most = QCC_MR;
  if (rows <= most) return rows;
  const size_t blocks = (rows + most - 1) / most, even = (rows + blocks - 1) / blocks;
  return (even + QCC_MR - 1) / QCC_MR * QCC_MR;
}

static bool even(float *const *to, unsigned n, size_t step) {
  for (unsigned i = 1; i < n; ++i)
    if (to[i] != *to + i * step) return false;
  return true;
}

/* Rows that do not stand at one distance, because they belong to several images, are computed beside and copied. */
static void run_tile(const qcc_simd *simd, const qcc_block *b, qcc_tile *t, size_t row, size_t column) {
  float *const *to = b->outs ? b->outs + row : NULL;
  t->out = (to ? *to : b->out + row * b->ldc) + column;
  t->ldc = b->ldc;
  if (!to || even(to, t->m, b->ldc)) {
    simd->tile(t);
    return;
  }
  float beside[QCC_MR * QCC_NR_MAX];
  t->out = beside, t->ldc = simd->nr;
  simd->tile(t);
  for (unsigned i = 0; i < t->m; ++i) memcpy(to[i] + column, beside + i * simd->nr, t->n * sizeof *beside);
}

/* A single row over the whole panels; returns how many. */
static size_t row_run(const qcc_simd *simd, const qcc_block *b) {
  const size_t nr = simd->nr, panels = b->width / nr;
  float *out = b->outs ? b->outs[0] : b->out;
  for (size_t j = 0, n; j < panels; j += n) {
    n = panels - j < QCC_ROW_PANELS ? panels - j : QCC_ROW_PANELS;
    float *y = out + j * nr;
    if (b->bias)
      memcpy(y, b->bias + j * nr, n * nr * sizeof *y);
    else
      memset(y, 0, n * nr * sizeof *y);
    simd->row(&(qcc_row){.a = b->a[0],
                         .b = b->b + j * b->panel_step,
                         .depth = b->depth,
                         .ldb = b->ldb,
                         .panel_step = b->panel_step,
                         .panels = (unsigned)n,
                         .y = y,
                         .end = b->end});
  }
  return panels;
}

/* While a panel is used, the first tiles fetch the next one, a quarter each: it comes from far away, and there is time now. */
void qcc_block_run(const qcc_simd *simd, const qcc_block *b) {
  qcc_tile t = {.taps = b->taps, .depth = b->depth, .ldb = b->ldb, .end = b->end};
  const size_t panels = (b->width + simd->nr - 1) / simd->nr, done = b->rows == 1 && b->taps == 1 ? row_run(simd, b) : 0;
  for (size_t j = done; j < panels; ++j) {
    t.b = b->b + j * b->panel_step;
    t.bias = b->bias ? b->bias + j * simd->nr : NULL;
    t.n = (unsigned)(b->width - j * simd->nr < simd->nr ? b->width - j * simd->nr : simd->nr);
    const float *next = j + 1 < panels ? t.b + b->panel_step : t.b;
    for (size_t row = 0; row < b->rows; row += t.m) {
      const size_t left = b->rows - row;
      t.a = b->a + qcc_row_slot(b->rows, row) * b->taps;
      t.next = row < QUARTERS * QCC_MR ? next + row / QCC_MR * b->taps * (b->depth / QUARTERS) * b->ldb : t.b;
      t.m = (unsigned)(left == QCC_MR + 1 ? 4 : left < QCC_MR ? left : QCC_MR);
      run_tile(simd, b, &t, row, j * simd->nr);
    }
  }
}

/* ---- where a pixel's taps are */
typedef struct walk { /* state of one convolution */
  const qcc_conv *c;
  const float *zeros;
  size_t taps, depth; /* depth: input channels of one group */
  size_t pixels;      /* of one image */
  const float **base; /* by row of the kernel, for one output line */
  bool plain;         /* 1x1, stride 1: pixel by pixel */
} walk;

/* Tap range along axis d that lies inside for output coordinate `o`. */
static void inside(const qcc_conv *c, int d, int64_t o, int64_t *start, int64_t *from, int64_t *to) {
  const int64_t first = o * c->stride[d] - c->pad[d], dil = c->dilation[d];
  int64_t lo = first >= 0 ? 0 : -first, hi = first >= c->in[d] ? 0 : c->in[d] - first;
  if (dil > 1) lo = (lo + dil - 1) / dil, hi = (hi + dil - 1) / dil;
  if (hi > c->kernel[d]) hi = c->kernel[d];
  if (lo > hi) lo = hi;
  *start = first, *from = lo, *to = hi;
}

/* Where the rows of the kernel start for output line `line` (z and y together), at input column 0; NULL: outside. */
static void aim(const walk *s, const float *x, int64_t line) {
  const qcc_conv *c = s->c;
  int64_t start[2], lo[2], hi[2];
  const float **to = s->base;
  inside(c, 0, line / c->out[1], &start[0], &lo[0], &hi[0]);
  inside(c, 1, line % c->out[1], &start[1], &lo[1], &hi[1]);
  for (int64_t kz = 0; kz < c->kernel[0]; ++kz) {
    for (int64_t ky = 0; ky < c->kernel[1]; ++ky) {
      const bool in = kz >= lo[0] && kz < hi[0] && ky >= lo[1] && ky < hi[1];
      const int64_t z = start[0] + kz * c->dilation[0], y = start[1] + ky * c->dilation[1];
      *to++ = in ? x + (z * c->in[1] + y) * c->in[2] * c->cin : NULL;
    }
  }
}

/* One pointer per tap of the pixel in column `ox` of the line. */
static void tap_pointers(const walk *s, int64_t ox, const float **to) {
  const qcc_conv *c = s->c;
  const int64_t rows = c->kernel[0] * c->kernel[1];
  int64_t start, lo, hi;
  inside(c, 2, ox, &start, &lo, &hi);
  for (int64_t r = 0; r < rows; ++r) {
    const float *base = s->base[r];
    for (int64_t kx = 0; kx < c->kernel[2]; ++kx, to += QCC_MR)
      *to = base && kx >= lo && kx < hi ? base + (start + kx * c->dilation[2]) * c->cin : s->zeros;
  }
}

/* The same when a tap is a row of the kernel: one run of taps x channels. Rows cut by the edge are put together at `cut`. */
static float *row_pointers(const walk *s, int64_t ox, const float **to, float *cut) {
  const qcc_conv *c = s->c;
  const int64_t rows = c->kernel[0] * c->kernel[1];
  int64_t start, lo, hi;
  inside(c, 2, ox, &start, &lo, &hi);
  const bool whole = lo == 0 && hi == c->kernel[2];
  for (int64_t r = 0; r < rows; ++r, to += QCC_MR) {
    const float *base = lo < hi ? s->base[r] : NULL;
    *to = base ? base + (start + lo) * c->cin : s->zeros;
    if (whole || !base) continue;
    memset(cut, 0, s->depth * sizeof *cut);
    memcpy(cut + lo * c->cin, *to, (size_t)((hi - lo) * c->cin) * sizeof *cut);
    *to = cut;
    cut += s->depth;
  }
  return cut;
}

typedef struct dense_walk {
  walk s; /* base is each part's own */
  const qcc_pack *p;
  const qcc_lane *lane;
  qcc_finish end;
  size_t all, rows; /* pixels of all images, of a block */
  size_t slices;    /* a block's columns are cut for a team when there are few blocks */
  bool by_rows;
} dense_walk;

typedef struct dense_part { /* pointers of one block */
  const dense_walk *d;
  walk s;
  size_t first, n;        /* its pixels */
  const float **pointers; /* [rows / MR][taps][MR] */
  float **outs;
  float *cut; /* by rows: room for the rows of a block; NULL: tap by tap */
} dense_part;

/* A piece of a block: pixels of one image. */
typedef struct piece {
  const float *x;
  float *y; /* of the whole image */
  const qcc_lane *lane;
  size_t at, n, p0, offset; /* at: in the block; p0: in the image; offset: of the image in the output of the lane */
} piece;

/* The piece that starts at pixel `at` of the block. */
static piece piece_at(const dense_part *q, size_t at) {
  const qcc_conv *c = q->s.c;
  const size_t pixel = q->first + at, image = pixel / q->s.pixels, batch = (size_t)c->batch, left = q->n - at;
  const size_t in = (size_t)(c->in[0] * c->in[1] * c->in[2] * c->cin);
  piece p = {.lane = &q->d->lane[image / batch], .at = at, .p0 = pixel % q->s.pixels};
  p.n = q->s.pixels - p.p0 < left ? q->s.pixels - p.p0 : left;
  p.offset = image % batch * q->s.pixels * (size_t)c->cout;
  p.x = p.lane->x + image % batch * in;
  p.y = p.lane->y + p.offset;
  return p;
}

/* Pointers of a piece, whose channels start at `channel`. Returns the room for cut rows that is left. */
static float *point_piece(const dense_part *d, const piece *p, size_t channel, float *cut) {
  const walk *s = &d->s;
  const float *x = p->x + channel;
  if (s->plain) {
    for (size_t i = 0; i < p->n; ++i) d->pointers[qcc_row_slot(d->n, p->at + i)] = x + (p->p0 + i) * (size_t)s->c->cin;
    return cut;
  }
  int64_t line = (int64_t)p->p0 / s->c->out[2], ox = (int64_t)p->p0 % s->c->out[2];
  aim(s, x, line);
  for (size_t i = 0; i < p->n; ++i, ++ox) {
    if (ox == s->c->out[2]) {
      ox = 0;
      aim(s, x, ++line);
    }
    const size_t slot = qcc_row_slot(d->n, p->at + i);
    const float **to = d->pointers + slot / QCC_MR * QCC_MR * s->taps + slot % QCC_MR;
    if (cut)
      cut = row_pointers(s, ox, to, cut);
    else
      tap_pointers(s, ox, to);
  }
  return cut;
}

static void point_block(const dense_part *q, size_t channel, size_t column) {
  const size_t cout = (size_t)q->s.c->cout;
  float *cut = q->cut;
  for (size_t i = 0; i < q->n;) {
    const piece p = piece_at(q, i);
    cut = point_piece(q, &p, channel, cut);
    for (size_t k = 0; k < p.n; ++k) q->outs[i + k] = p.y + (p.p0 + k) * cout + column;
    i += p.n;
  }
}

/* All groups of one block, or the panels of a slice when there is one group. */
static void dense_block(const dense_part *q, const qcc_simd *simd, size_t slice) {
  const dense_walk *d = q->d;
  const qcc_conv *c = q->s.c;
  const size_t padded = d->p->panels * simd->nr, taps = (size_t)(c->kernel[0] * c->kernel[1] * c->kernel[2]);
  const size_t from = d->p->panels * slice / d->slices, to = d->p->panels * (slice + 1) / d->slices;
  for (size_t g = 0; g < (size_t)c->group; ++g) {
    point_block(q, g * d->p->depth / taps, g * d->p->width + from * simd->nr);
    qcc_block b = {.a = q->pointers, .rows = q->n, .taps = q->s.taps, .depth = q->s.depth, .ldb = simd->nr, .end = d->end};
    b.panel_step = d->p->depth * simd->nr;
    b.b = d->p->at + g * padded * d->p->depth + from * b.panel_step;
    b.bias = d->p->bias ? d->p->bias + g * padded + from * simd->nr : NULL;
    b.outs = q->outs;
    b.ldc = (size_t)c->cout;
    b.width = (to == d->p->panels ? d->p->width : to * simd->nr) - from * simd->nr;
    qcc_block_run(simd, &b);
  }
}

static void block_posts(const dense_part *q, const qcc_worker *w) {
  const size_t cout = (size_t)q->s.c->cout;
  for (size_t i = 0; i < q->n;) {
    const piece p = piece_at(q, i);
    qcc_posts_run(w, &p.lane->posts, p.y + p.p0 * cout, p.offset + p.p0 * cout, p.n * cout);
    i += p.n;
  }
}

static dense_part part_of(const dense_walk *d, size_t block) {
  dense_part q = {.d = d, .s = d->s, .first = block * d->rows};
  q.n = d->all - q.first < d->rows ? d->all - q.first : d->rows;
  return q;
}

static qcc_status run_part(qcc_worker *w, size_t index, void *user) {
  const dense_walk *d = user;
  const size_t groups = (d->rows + QCC_MR - 1) / QCC_MR * QCC_MR;
  dense_part q = part_of(d, index / d->slices);
  q.s.base = qcc_scratch(w, (size_t)(d->s.c->kernel[0] * d->s.c->kernel[1]) * sizeof *q.s.base);
  q.pointers = qcc_scratch(w, groups * d->s.taps * sizeof *q.pointers);
  q.outs = qcc_scratch(w, d->rows * sizeof *q.outs);
  if (d->by_rows) q.cut = qcc_scratch(w, d->rows * d->s.taps * d->s.depth * sizeof *q.cut);
  if (!q.s.base || !q.pointers || !q.outs || (d->by_rows && !q.cut)) return QCC_NOMEM;
  dense_block(&q, w->simd, index % d->slices);
  if (d->slices == 1) block_posts(&q, w);
  return QCC_OK;
}

static qcc_status run_dense(qcc_worker *w, dense_walk *d, size_t lanes) {
  const walk *s = &d->s;
  const size_t team = qcc_team_size(w);
  d->all = lanes * (size_t)s->c->batch * s->pixels;
  if (!d->all) return QCC_OK;
  d->rows = qcc_block_rows(d->all, s->depth, (size_t)s->c->cout, s->taps);
  const size_t blocks = (d->all + d->rows - 1) / d->rows;
  d->slices = team == 1 || s->c->group > 1 || blocks >= 4 * team ? 1 : qcc_slices(d->p->panels, team);
  QCC_TRY(qcc_team_run(w, (double)lanes * work_of(s->c), blocks * d->slices, run_part, d));
  for (size_t i = 0; d->slices > 1 && i < blocks; ++i) {
    const dense_part q = part_of(d, i);
    block_posts(&q, w);
  }
  return QCC_OK;
}

/* ---- depthwise, one output row at a time */
typedef struct dw_row {
  const qcc_conv *c;
  qcc_dwrun run;
  const float **row, **w;
  const float *weights;
} dw_row;

/* Pixels [from, to) whose taps kx in [lo, hi) are inside. */
static void dw_part(const qcc_simd *simd, const dw_row *r, const float *const *row, int64_t from, int64_t to, int64_t lo, int64_t hi,
                    float *y) {
  if (from >= to) return;
  const qcc_conv *c = r->c;
  qcc_dwrun d = r->run;
  const int64_t shift = (from * c->stride[2] - c->pad[2] + lo * c->dilation[2]) * c->cin;
  const float *rows[MAX_ROWS], *w[MAX_ROWS];
  for (size_t i = 0; i < d.rows; ++i) {
    rows[i] = row[i] + shift;
    w[i] = r->w[i] + lo * c->cin;
  }
  d.row = rows, d.w = w;
  d.taps = (size_t)(hi - lo), d.count = (size_t)(to - from), d.out = y + from * c->cin;
  simd->depthwise(&d);
}

/* Past the last pixel of a line all of whose taps are inside; there is one. */
static int64_t whole_end(const qcc_conv *c) {
  const int64_t end = (c->in[2] - 1 - (c->kernel[2] - 1) * c->dilation[2] + c->pad[2]) / c->stride[2] + 1;
  return end < c->out[2] ? end : c->out[2];
}

/* Line `line` (z and y together) of an image. */
static void dw_line(const qcc_simd *simd, dw_row *r, const float *image, int64_t line, float *y) {
  const qcc_conv *c = r->c;
  int64_t start, lo, hi, z, front, back, ox = 0;
  inside(c, 0, line / c->out[1], &z, &front, &back);
  inside(c, 1, line % c->out[1], &start, &lo, &hi);
  r->run.rows = 0;
  for (int64_t kz = front; kz < back; ++kz) {
    for (int64_t k = lo; k < hi; ++k, ++r->run.rows) {
      r->row[r->run.rows] = image + ((z + kz * c->dilation[0]) * c->in[1] + start + k * c->dilation[1]) * c->in[2] * c->cin;
      r->w[r->run.rows] = r->weights + (kz * c->kernel[1] + k) * c->kernel[2] * c->cin;
    }
  }
  while (ox < c->out[2]) { /* runs of pixels that use the same taps */
    inside(c, 2, ox, &start, &lo, &hi);
    const int64_t end = lo == 0 && hi == c->kernel[2] ? whole_end(c) : ox + 1;
    dw_part(simd, r, r->row, ox, end, lo, hi, y);
    ox = end;
  }
}

typedef struct dw_walk {
  const qcc_conv *c;
  const qcc_pack *p;
  const float *x;
  float *y;
  qcc_finish end;
  const qcc_posts *posts;
  int64_t lines; /* of one part */
} dw_walk;

static qcc_status dw_lines(qcc_worker *w, size_t index, void *user) {
  const dw_walk *d = user;
  const qcc_conv *c = d->c;
  const float *row[MAX_ROWS], *weight[MAX_ROWS];
  const size_t channels = (size_t)c->cin, line = (size_t)c->out[2] * channels;
  dw_row r = {.c = c, .row = row, .w = weight, .weights = d->p->at};
  r.run = (qcc_dwrun){.step = (size_t)c->stride[2] * channels, .dilation = (size_t)c->dilation[2] * channels, .channels = channels};
  r.run.bias = d->p->bias, r.run.end = d->end;
  const int64_t own = c->out[0] * c->out[1], all = c->batch * own, first = (int64_t)index * d->lines;
  const int64_t end = all - first < d->lines ? all : first + d->lines;
  for (int64_t i = first; i < end; ++i) {
    const size_t offset = (size_t)i * line;
    dw_line(w->simd, &r, d->x + i / own * c->in[0] * c->in[1] * c->in[2] * c->cin, i % own, d->y + offset);
    qcc_posts_run(w, d->posts, d->y + offset, offset, line);
  }
  return QCC_OK;
}

static qcc_status run_depthwise(qcc_worker *w, dw_walk *d) {
  const int64_t all = d->c->batch * d->c->out[0] * d->c->out[1], parts = 2 * (int64_t)qcc_team_size(w);
  d->lines = parts > 2 ? (all + parts - 1) / parts : all;
  return all ? qcc_team_run(w, 4 * work_of(d->c), (size_t)((all + d->lines - 1) / d->lines), dw_lines, d) : QCC_OK;
}

static const float *zeros(qcc_worker *w, size_t n) {
  float *z = qcc_scratch(w, n * sizeof *z);
  if (z) memset(z, 0, n * sizeof *z);
  return z;
}

static qcc_status depthwise_lanes(qcc_worker *w, dw_walk *d, const qcc_lane *lane, size_t lanes) {
  for (size_t i = 0; i < lanes; ++i) {
    d->x = lane[i].x, d->y = lane[i].y, d->posts = &lane[i].posts;
    QCC_TRY(run_depthwise(w, d));
  }
  return QCC_OK;
}

qcc_status qcc_conv_lanes(qcc_worker *w, const qcc_conv *c, const qcc_pack *p, qcc_lane *lane, size_t lanes) {
  qcc_finish end = QCC_NO_FINISH;
  for (size_t i = 0; i < lanes; ++i) qcc_posts_finish(&lane[i].posts, &end);
  if (p->depthwise) return depthwise_lanes(w, &(dw_walk){.c = c, .p = p, .end = end}, lane, lanes);
  if (p->winograd) return qcc_winograd_run(w, c, p, lane, lanes, &end);
  dense_walk d = {.p = p, .lane = lane, .end = end};
  d.s = (walk){.c = c, .depth = (size_t)(c->cin / c->group)};
  d.s.taps = (size_t)(c->kernel[0] * c->kernel[1] * c->kernel[2]);
  d.s.pixels = (size_t)(c->out[0] * c->out[1] * c->out[2]);
  d.s.plain = d.s.taps == 1;
  for (int i = 0; i < 3; ++i) d.s.plain = d.s.plain && c->stride[i] == 1 && c->pad[i] == 0 && c->in[i] == c->out[i];
  d.by_rows = d.s.taps > 1 && c->group == 1 && c->dilation[2] == 1 && c->kernel[2] * c->cin <= ROW_FLOATS;
  if (d.by_rows) {
    d.s.taps /= (size_t)c->kernel[2];
    d.s.depth *= (size_t)c->kernel[2];
  }
  d.s.zeros = zeros(w, d.s.depth);
  return d.s.zeros ? run_dense(w, &d, lanes) : QCC_NOMEM;
}

qcc_status qcc_conv_run(qcc_worker *w, const qcc_conv *c, const qcc_pack *p, const float *x, float *y, const qcc_posts *posts) {
  qcc_lane one = {.x = x, .y = y, .posts.n = 0};
  if (posts) one.posts = *posts;
  return qcc_conv_lanes(w, c, p, &one, 1);
}
