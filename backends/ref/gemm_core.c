/* SPDX-License-Identifier: Apache-2.0
 * Products of matrices on the tile loop of simd.h: rows of x times a packed or plain B. Sums run over the depth in order, so packed and
 * plain B, one row and many rows, whole and split calls give the same bits. */
#include <math.h>
#include <string.h>

#include "backends/ref/team.h"

/* Returns the end. */
static float *fill_panels(float *to, const qcc_simd *simd, size_t depth, size_t width, const float *b, bool transposed, float alpha) {
  for (size_t first = 0; first < width; first += simd->nr) {
    const size_t n = width - first < simd->nr ? width - first : simd->nr;
    for (size_t k = 0; k < depth; ++k, to += simd->nr) {
      for (size_t j = 0; j < n; ++j) to[j] = alpha * (transposed ? b[(first + j) * depth + k] : b[k * width + first + j]);
      for (size_t j = n; j < simd->nr; ++j) to[j] = 0.0f;
    }
  }
  return to;
}

qcc_status qcc_recurrence_pack(qcc_pack *p, qcc_context *cx, const qcc_simd *simd, size_t directions, size_t depth, size_t width,
                               const float *r) {
  *p = (qcc_pack){.depth = depth, .width = width, .panels = (width + simd->nr - 1) / simd->nr};
  size_t floats;
  if (!qcc_mul_size(p->panels * simd->nr, depth, &floats) || !qcc_mul_size(floats, directions, &floats))
    return qcc_error(cx, QCC_LIMIT, "L-201", NULL, "packed weights are too large for this machine");
  p->at = qcc_alloc_array(cx, floats ? floats : 1, sizeof *p->at);
  if (!p->at) return QCC_NOMEM;
  p->bytes = floats * sizeof *p->at;
  float *to = p->at;
  for (size_t d = 0; d < directions; ++d) to = fill_panels(to, simd, depth, width, r + d * depth * width, true, 1.0f);
  return QCC_OK;
}

void qcc_packed_row(const qcc_simd *simd, const qcc_pack *p, const float *panels, size_t from, size_t to, const float *x, float *y) {
  const size_t nr = simd->nr, step = p->depth * nr;
  float part[QCC_ROW_PANELS * QCC_NR_MAX];
  for (size_t j = from / nr, n; j * nr < to; j += n) {
    n = (to + nr - 1) / nr - j < QCC_ROW_PANELS ? (to + nr - 1) / nr - j : QCC_ROW_PANELS;
    const size_t lo = j * nr < from ? from : j * nr, hi = (j + n) * nr < to ? (j + n) * nr : to;
    memset(part, 0, sizeof part);
    memcpy(part + (lo - j * nr), y + (lo - from), (hi - lo) * sizeof *y);
    simd->row(&(qcc_row){.a = x,
                         .b = panels + j * step,
                         .depth = p->depth,
                         .ldb = nr,
                         .panel_step = step,
                         .panels = (unsigned)n,
                         .y = part,
                         .end = QCC_NO_FINISH});
    memcpy(y + (lo - from), part + (lo - j * nr), (hi - lo) * sizeof *y);
  }
}

qcc_status qcc_dense_pack(qcc_pack *p, qcc_context *cx, const qcc_simd *simd, size_t depth, size_t width, const float *b, bool transposed,
                          float alpha, const float *bias) {
  *p = (qcc_pack){.depth = depth, .width = width, .panels = (width + simd->nr - 1) / simd->nr};
  const size_t padded = p->panels * simd->nr;
  size_t floats;
  if (!qcc_mul_size(padded, depth, &floats) || !qcc_add_size(floats, padded, &floats))
    return qcc_error(cx, QCC_LIMIT, "L-201", NULL, "packed weights are too large for this machine");
  p->at = qcc_alloc_array(cx, floats ? floats : 1, sizeof *p->at);
  if (!p->at) return QCC_NOMEM;
  p->bytes = floats * sizeof *p->at;
  float *to = fill_panels(p->at, simd, depth, width, b, transposed, alpha);
  if (bias) {
    p->bias = to;
    for (size_t j = 0; j < padded; ++j) to[j] = j < width ? bias[j] : 0.0f;
  }
  return QCC_OK;
}

static const float **pointers(qcc_worker *w, size_t n) { return qcc_scratch(w, (n + QCC_MR) * sizeof(const float *)); }

static void point(const float **a, const float *x, size_t depth, size_t n) {
  for (size_t i = 0; i < n; ++i) a[qcc_row_slot(n, i)] = x + i * depth;
}

typedef struct dense { /* the rows of all images, cut into blocks and, when these are few, slices of columns */
  const qcc_pack *p;
  size_t rows, all, step, slices; /* rows of one image, of all */
  const qcc_lane *lane;
  qcc_finish end;
} dense;

/* Rows [r, r + n) as pieces of images. */
static void dense_posts(const dense *d, const qcc_worker *w, size_t r, size_t n) {
  for (size_t end = r + n, m; r < end; r += m) {
    const qcc_lane *l = &d->lane[r / d->rows];
    const size_t at = r % d->rows, offset = at * d->p->width;
    m = d->rows - at < end - r ? d->rows - at : end - r;
    qcc_posts_run(w, &l->posts, l->y + offset, offset, m * d->p->width);
  }
}

static qcc_status dense_part(qcc_worker *w, size_t index, void *user) {
  const dense *d = user;
  const qcc_pack *p = d->p;
  const size_t nr = w->simd->nr, r = index / d->slices * d->step, slice = index % d->slices;
  const size_t from = p->panels * slice / d->slices, to = p->panels * (slice + 1) / d->slices;
  const float **a = pointers(w, d->step);
  float **outs = qcc_scratch(w, d->step * sizeof *outs);
  if (!a || !outs) return QCC_NOMEM;
  qcc_block b = {.a = a, .taps = 1, .depth = p->depth, .ldb = nr, .panel_step = p->depth * nr, .ldc = p->width, .end = d->end};
  b.rows = d->all - r < d->step ? d->all - r : d->step;
  b.b = p->at + from * b.panel_step;
  b.bias = p->bias ? p->bias + from * nr : NULL;
  b.outs = outs;
  b.width = (to == p->panels ? p->width : to * nr) - from * nr;
  for (size_t i = 0; i < b.rows; ++i) {
    const qcc_lane *l = &d->lane[(r + i) / d->rows];
    a[qcc_row_slot(b.rows, i)] = l->x + (r + i) % d->rows * p->depth;
    outs[i] = l->y + (r + i) % d->rows * p->width + from * nr;
  }
  qcc_block_run(w->simd, &b);
  if (d->slices == 1) dense_posts(d, w, r, b.rows);
  return QCC_OK;
}

qcc_status qcc_dense_lanes(qcc_worker *w, const qcc_pack *p, size_t rows, qcc_lane *lane, size_t lanes) {
  dense d = {.p = p, .rows = rows, .all = rows * lanes, .lane = lane, .slices = 1};
  const size_t team = qcc_team_size(w);
  if (!rows) return QCC_OK;
  for (size_t i = 0; i < lanes; ++i) qcc_posts_finish(&lane[i].posts, &d.end);
  d.step = qcc_block_rows(d.all, p->depth, p->width, 1);
  const size_t blocks = (d.all + d.step - 1) / d.step;
  const double work = (double)d.all * (double)p->depth * (double)p->width;
  if (team > 1 && blocks < 4 * team) d.slices = qcc_slices(p->panels, team);
  QCC_TRY(qcc_team_run(w, work, blocks * d.slices, dense_part, &d));
  if (d.slices > 1) dense_posts(&d, w, 0, d.all);
  return QCC_OK;
}

qcc_status qcc_dense_run(qcc_worker *w, const qcc_pack *p, size_t rows, const float *x, float *y, const qcc_posts *posts) {
  qcc_lane one = {.x = x, .y = y, .posts.n = 0};
  if (posts) one.posts = *posts;
  return qcc_dense_lanes(w, p, rows, &one, 1);
}

/* The last panel of a plain B is copied, because the tile loop reads whole panels. */
static float *last_panel(qcc_worker *w, size_t depth, size_t width, const float *b) {
  const size_t nr = w->simd->nr, n = width % nr, from = width - n;
  float *to = qcc_scratch(w, depth * nr * sizeof *to);
  if (!to) return NULL;
  for (size_t k = 0; k < depth; ++k) {
    memcpy(to + k * nr, b + k * width + from, n * sizeof *to);
    memset(to + k * nr + n, 0, (nr - n) * sizeof *to);
  }
  return to;
}

qcc_status qcc_dense_plain(qcc_worker *w, size_t rows, size_t depth, size_t width, const float *x, const float *b, float *y) {
  const size_t nr = w->simd->nr, whole = width - width % nr, step = qcc_block_rows(rows, depth, width, 1);
  const float **a = pointers(w, step);
  const float *last = whole < width && a ? last_panel(w, depth, width, b) : NULL;
  if (!a || (whole < width && !last)) return QCC_NOMEM;
  for (size_t r = 0; r < rows; r += step) {
    qcc_block t = {.a = a, .taps = 1, .depth = depth, .b = b, .ldb = width, .panel_step = nr, .end = QCC_NO_FINISH};
    t.rows = rows - r < step ? rows - r : step;
    t.out = y + r * width, t.ldc = width, t.width = whole;
    point(a, x + r * depth, depth, t.rows);
    if (whole) qcc_block_run(w->simd, &t);
    if (!last) continue;
    t.b = last, t.ldb = nr, t.out += whole, t.width = width - whole;
    qcc_block_run(w->simd, &t);
  }
  return QCC_OK;
}
