/* SPDX-License-Identifier: Apache-2.0
 * Winograd's F(4x4, 3x3): a 3x3 convolution of stride 1 by a quarter of the multiplications (Lavin and Gray 2015, arXiv:1509.09308).
 * The output is cut into tiles of 4x4 pixels. The 6x6 inputs d of a tile become v = B'dB, the filters u = GgG' (once, when packed), then
 * 36 products of matrices [tiles][cin] x [cin][cout] give m, and y = A'mA. The simd table has both transforms, the products are
 * qcc_block_run. Error: sums are taken in another order and with factors up to 8, about 1e-6 of the largest output.
 * Invariant: whether a convolution runs this way follows from its shape alone, and a tile's result does not depend on its block. */
#include <math.h>
#include <string.h>

#include "backends/ref/team.h"
#include "ir/check.h"

enum { POINTS = QCC_WINO_IN * QCC_WINO_IN, TILE = QCC_WINO_OUT, BLOCK_FLOATS = 256 * 1024, LEAST_TILES = 24, MOST_TILES = 96 };

static int64_t tiles_of(int64_t pixels) { return (pixels + TILE - 1) / TILE; }

/* Time in products of one pixel: the direct sum has 9 per input and output channel, this has 2.25 and what the transforms cost; tiles past
 * the edge are wasted, and few tiles do not hide that 36 instead of 9 weights per channel pair are read. */
bool qcc_winograd_pays(const qcc_conv *c) {
  if (c->group != 1 || c->cin < 16 || c->cout < 16 || c->in[0] != 1 || c->kernel[0] != 1 || c->out[0] != 1) return false;
  for (int d = 1; d < 3; ++d)
    if (c->kernel[d] != 3 || c->stride[d] != 1 || c->dilation[d] != 1 || c->out[d] < 1) return false;
  const double cin = (double)c->cin, cout = (double)c->cout, tiles = (double)(tiles_of(c->out[1]) * tiles_of(c->out[2]));
  const double direct = 9.0 * cin * cout * (double)(c->out[1] * c->out[2]);
  const double products = tiles * POINTS * cin * cout, transforms = tiles * 280.0 * (cin + cout), weights = 12.0 * POINTS * cin * cout;
  return products + transforms + weights < 0.9 * direct;
}

/* u = G g G' of one filter, in double. */
static void filter(double *u, const float *g) {
  static const double G[QCC_WINO_IN][3] = {
      {1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6}, {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6},
      {0, 0, 1}};
  for (int i = 0; i < QCC_WINO_IN; ++i) {
    double row[3];
    for (int x = 0; x < 3; ++x) row[x] = G[i][0] * (double)g[x] + G[i][1] * (double)g[3 + x] + G[i][2] * (double)g[6 + x];
    for (int j = 0; j < QCC_WINO_IN; ++j) u[i * QCC_WINO_IN + j] = row[0] * G[j][0] + row[1] * G[j][1] + row[2] * G[j][2];
  }
}

/* [cout][cin][9] to [36][panel][cin][nr]. */
void qcc_winograd_pack(float *to, const float *w, size_t cin, size_t cout, size_t nr) {
  const size_t padded = (cout + nr - 1) / nr * nr, point = padded * cin;
  for (size_t o = 0; o < padded; ++o) {
    float *column = to + o / nr * nr * cin + o % nr;
    for (size_t i = 0; i < cin; ++i, column += nr) {
      double u[POINTS] = {0};
      if (o < cout) filter(u, w + (o * cin + i) * 9);
      for (size_t k = 0; k < POINTS; ++k) column[k * point] = (float)u[k];
    }
  }
}

typedef struct run {
  const qcc_conv *c;
  const qcc_pack *p;
  const qcc_lane *lane;
  const float *zeros;
  int64_t across, tiles, all; /* tiles of one row of tiles; of one image; of all images */
  size_t block;               /* tiles of a block */
  qcc_finish end;
} run;

typedef struct block { /* tiles first..first + n - 1 */
  const run *r;
  float *v, *m; /* v: [36][block][cin], m: [36][block][cout] */
  size_t n;
  int64_t first;
} block;

/* Pixels of an image before `tile`'s image in its lane. */
static size_t lane_at(const run *r, int64_t tile, const int64_t size[3], const qcc_lane **lane) {
  const int64_t image = tile / r->tiles;
  *lane = &r->lane[image / r->c->batch];
  return (size_t)(image % r->c->batch * size[1] * size[2]);
}

static void gather(const block *b, const qcc_simd *simd, int64_t tile, float *v) {
  const run *r = b->r;
  const qcc_conv *c = r->c;
  const qcc_lane *lane;
  const size_t before = lane_at(r, tile, c->in, &lane);
  const float *plane = lane->x + before * (size_t)c->cin;
  const int64_t t = tile % r->tiles, y0 = t / r->across * TILE - c->pad[1], x0 = t % r->across * TILE - c->pad[2];
  const float *from[POINTS];
  for (int64_t i = 0; i < QCC_WINO_IN; ++i) {
    const int64_t y = y0 + i;
    for (int64_t j = 0; j < QCC_WINO_IN; ++j) {
      const int64_t x = x0 + j;
      const bool in = y >= 0 && y < c->in[1] && x >= 0 && x < c->in[2];
      from[i * QCC_WINO_IN + j] = in ? plane + (y * c->in[2] + x) * c->cin : r->zeros;
    }
  }
  simd->wino_in(v, r->block * (size_t)c->cin, from, (size_t)c->cin);
}

static void scatter(const block *b, const qcc_worker *w, int64_t tile, const float *m) {
  const run *r = b->r;
  const qcc_conv *c = r->c;
  const qcc_lane *lane;
  const size_t cout = (size_t)c->cout, before = lane_at(r, tile, c->out, &lane) * cout;
  const int64_t t = tile % r->tiles, y0 = t / r->across * TILE, x0 = t % r->across * TILE;
  const int64_t rows = c->out[1] - y0 < TILE ? c->out[1] - y0 : TILE, columns = c->out[2] - x0 < TILE ? c->out[2] - x0 : TILE;
  float *plane = lane->y + before;
  qcc_wino_out o = {.m = m, .step = r->block * cout, .channels = cout, .bias = r->p->bias, .end = r->end};
  for (int64_t i = 0; i < TILE; ++i)
    for (int64_t j = 0; j < TILE; ++j)
      o.y[i * TILE + j] = i < rows && j < columns ? plane + (size_t)((y0 + i) * c->out[2] + x0 + j) * cout : NULL;
  w->simd->wino_out(&o);
  if (!lane->posts.n) return;
  for (int64_t i = 0; i < rows; ++i) {
    const size_t at = (size_t)((y0 + i) * c->out[2] + x0) * cout;
    qcc_posts_run(w, &lane->posts, plane + at, before + at, (size_t)columns * cout);
  }
}

/* The three phases of a block, each cut into parts: every eighth tile, every point, every eighth tile. */
enum { STRIDE = 8 };
static qcc_status part_in(qcc_worker *w, size_t index, void *user) {
  const block *b = user;
  for (size_t i = index; i < b->n; i += STRIDE) gather(b, w->simd, b->first + (int64_t)i, b->v + i * (size_t)b->r->c->cin);
  return QCC_OK;
}

static qcc_status part_product(qcc_worker *w, size_t k, void *user) {
  const block *b = user;
  const run *r = b->r;
  const size_t cin = (size_t)r->c->cin, cout = (size_t)r->c->cout, nr = w->simd->nr;
  const float **a = qcc_scratch(w, (b->n + QCC_MR) * sizeof *a);
  if (!a) return QCC_NOMEM;
  for (size_t i = 0; i < b->n; ++i) a[qcc_row_slot(b->n, i)] = b->v + (k * r->block + i) * cin;
  qcc_block q = {.a = a, .rows = b->n, .taps = 1, .depth = cin, .ldb = nr, .panel_step = cin * nr, .ldc = cout, .width = cout};
  q.end = QCC_NO_FINISH;
  q.b = r->p->at + k * r->p->panels * nr * cin;
  q.out = b->m + k * r->block * cout;
  qcc_block_run(w->simd, &q);
  return QCC_OK;
}

static qcc_status part_out(qcc_worker *w, size_t index, void *user) {
  const block *b = user;
  for (size_t i = index; i < b->n; i += STRIDE) scatter(b, w, b->first + (int64_t)i, b->m + i * (size_t)b->r->c->cout);
  return QCC_OK;
}

static qcc_status run_block(qcc_worker *w, size_t index, void *user) {
  const run *r = user;
  const qcc_conv *c = r->c;
  block b = {.r = r, .first = (int64_t)(index * r->block)};
  b.n = (size_t)(r->all - b.first < (int64_t)r->block ? r->all - b.first : (int64_t)r->block);
  b.v = qcc_scratch(w, POINTS * r->block * (size_t)c->cin * sizeof *b.v);
  b.m = qcc_scratch(w, POINTS * r->block * (size_t)c->cout * sizeof *b.m);
  if (!b.v || !b.m) return QCC_NOMEM;
  const double in = 150.0 * (double)b.n * (double)c->cin, out = 150.0 * (double)b.n * (double)c->cout;
  QCC_TRY(qcc_team_run(w, in, STRIDE, part_in, &b));
  QCC_TRY(qcc_team_run(w, (double)(POINTS * b.n) * (double)c->cin * (double)c->cout, POINTS, part_product, &b));
  return qcc_team_run(w, out, STRIDE, part_out, &b);
}

qcc_status qcc_winograd_run(qcc_worker *w, const qcc_conv *c, const qcc_pack *p, const qcc_lane *lane, size_t lanes,
                            const qcc_finish *end) {
  const size_t cin = (size_t)c->cin, cout = (size_t)c->cout, team = qcc_team_size(w);
  run r = {.c = c, .p = p, .lane = lane, .across = tiles_of(c->out[2]), .end = *end};
  r.tiles = r.across * tiles_of(c->out[1]);
  r.all = (int64_t)lanes * c->batch * r.tiles;
  r.block = BLOCK_FLOATS / (POINTS * (cin + cout));
  r.block = r.block < LEAST_TILES ? LEAST_TILES : r.block > MOST_TILES ? MOST_TILES : r.block / QCC_MR * QCC_MR;
  if (!r.all) return QCC_OK;
  if ((int64_t)r.block > r.all) r.block = (size_t)r.all;
  float *zeros = qcc_scratch(w, cin * sizeof *zeros);
  if (!zeros) return QCC_NOMEM;
  memset(zeros, 0, cin * sizeof *zeros);
  r.zeros = zeros;
  const size_t blocks = ((size_t)r.all + r.block - 1) / r.block;
  if (team > 1 && blocks >= 2 * team) return qcc_team_run(w, INFINITY, blocks, run_block, &r);
  for (size_t i = 0; i < blocks; ++i) { /* few blocks: the team works inside */
    const qcc_scratch_mark mark = qcc_scratch_here(w);
    QCC_TRY(run_block(w, i, &r));
    qcc_scratch_back(w, mark);
  }
  return QCC_OK;
}
