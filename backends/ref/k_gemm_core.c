/* SPDX-License-Identifier: Apache-2.0
 * Products of matrices on the tile loop of simd.h: rows of x times a packed or plain B. Sums run over the depth in order, so packed and
 * plain B, one row and many rows, whole and split calls give the same bits. */
#include <math.h>
#include <string.h>

#include "backends/ref/run.h"

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
  float *to = p->at;
  for (size_t first = 0; first < width; first += simd->nr) {
    const size_t n = width - first < simd->nr ? width - first : simd->nr;
    for (size_t k = 0; k < depth; ++k, to += simd->nr) {
      for (size_t j = 0; j < n; ++j) to[j] = alpha * (transposed ? b[(first + j) * depth + k] : b[k * width + first + j]);
      for (size_t j = n; j < simd->nr; ++j) to[j] = 0.0f;
    }
  }
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

qcc_status qcc_dense_run(qcc_worker *w, const qcc_pack *p, size_t rows, const float *x, float *y, const qcc_posts *posts) {
  qcc_posts rest = {.n = 0};
  if (posts) rest = *posts;
  const size_t step = qcc_block_rows(rows, p->depth, p->width, 1);
  const float **a = pointers(w, step);
  if (!a) return QCC_NOMEM;
  qcc_block b = {.a = a, .taps = 1, .depth = p->depth, .b = p->at, .ldb = w->simd->nr, .panel_step = p->depth * w->simd->nr};
  b.bias = p->bias, b.ldc = b.width = p->width;
  qcc_posts_clamp(&rest, &b.lo, &b.hi);
  for (size_t r = 0; r < rows; r += step) {
    b.rows = rows - r < step ? rows - r : step;
    b.out = y + r * p->width;
    point(a, x + r * p->depth, p->depth, b.rows);
    qcc_block_run(w->simd, &b);
    qcc_posts_run(w->simd, &rest, b.out, r * p->width, b.rows * p->width);
  }
  return QCC_OK;
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
    qcc_block t = {.a = a, .taps = 1, .depth = depth, .b = b, .ldb = width, .panel_step = nr, .lo = -INFINITY, .hi = INFINITY};
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
