/* SPDX-License-Identifier: Apache-2.0
 * What follows the main loop of a step: activations, residual additions, per-channel factors, fake quantization, on one chunk at a time.
 * Also the scratch memory of a worker and the change of layout, the other two things that every step shares. */
#include <math.h>
#include <string.h>

#include "backends/ref/run.h"

static void per_channel(const qcc_simd *simd, const qcc_post *p, float *at, size_t count) {
  for (size_t i = 0; i + p->channels <= count; i += p->channels) {
    float *row = at + i;
    if (p->kind == QCC_POST_AFFINE)
      simd->affine(row, row, p->operand, p->shift, p->channels);
    else if (p->swapped)
      simd->arith(p->arith, row, p->operand, row, p->channels);
    else
      simd->arith(p->arith, row, row, p->operand, p->channels);
  }
}

/* The operand stands left of an operation whose sides differ. */
static bool is_turned(const qcc_post *p) { return p->swapped && (p->arith == QCC_ARITH_SUB || p->arith == QCC_ARITH_DIV); }

static void scalar_left(const qcc_post *p, float *at, size_t count) {
  if (p->arith == QCC_ARITH_SUB) {
    for (size_t i = 0; i < count; ++i) at[i] = p->p - at[i];
  } else {
    for (size_t i = 0; i < count; ++i) at[i] = p->p / at[i];
  }
}

static void gate(const qcc_simd *simd, const qcc_post *p, float *at, size_t count) {
  enum { SOME = 1024 };
  float by[SOME];
  for (size_t i = 0, n; i < count; i += n) {
    n = count - i < SOME ? count - i : SOME;
    simd->act(p->act, by, at + i, n, p->p, p->q);
    if (p->scale > 0) simd->fake_quant(by, by, n, p->scale, p->lo, p->hi);
    simd->arith(QCC_ARITH_MUL, at + i, at + i, by, n);
  }
}

void qcc_post_alone(const qcc_simd *simd, const qcc_post *p, float *at, size_t count) {
  switch (p->kind) {
    case QCC_POST_ACT: simd->act(p->act, at, at, count, p->p, p->q); break;
    case QCC_POST_FAKE_QUANT: simd->fake_quant(at, at, count, p->scale, p->lo, p->hi); break;
    case QCC_POST_TABLE: simd->lookup(at, at, count, p->scale, p->lo, p->hi, p->operand); break;
    case QCC_POST_GATE: gate(simd, p, at, count); break;
    default:
      if (is_turned(p))
        scalar_left(p, at, count);
      else
        simd->scalar(p->arith, at, at, p->p, count);
  }
}

static void run_piece(const qcc_worker *w, const qcc_posts *posts, float *at, size_t offset, size_t count) {
  const qcc_simd *simd = w->simd;
  for (unsigned i = 0; i < posts->n; ++i) {
    const qcc_post *p = &posts->at[i];
    switch (p->kind) {
      case QCC_POST_SAME:
        if (is_turned(p))
          simd->arith(p->arith, at, p->operand + offset, at, count);
        else
          simd->arith(p->arith, at, at, p->operand + offset, count);
        break;
      case QCC_POST_SHOW: qcc_show_piece(w, p, at, offset, count); break;
      case QCC_POST_CHANNEL:
      case QCC_POST_AFFINE: per_channel(simd, p, at, count); break;
      default: qcc_post_alone(simd, p, at, count);
    }
  }
}

enum { PIECE = 4096 };

size_t qcc_posts_piece(const qcc_posts *posts) {
  size_t row = 1;
  for (unsigned i = 0; i < posts->n; ++i) /* rows of channels stay whole; all posts of a chain agree on them */
    if (posts->at[i].kind == QCC_POST_CHANNEL || posts->at[i].kind == QCC_POST_AFFINE) row = posts->at[i].channels;
  return row < PIECE ? PIECE / row * row : row;
}

void qcc_posts_run(const qcc_worker *w, const qcc_posts *posts, float *at, size_t offset, size_t count) {
  const size_t piece = qcc_posts_piece(posts);
  for (size_t i = 0; posts->n && i < count; i += piece) run_piece(w, posts, at + i, offset + i, count - i < piece ? count - i : piece);
}

static void drop_first(qcc_posts *p) {
  p->n--;
  memmove(&p->at[0], &p->at[1], p->n * sizeof p->at[0]);
}

void qcc_posts_finish(qcc_posts *p, qcc_finish *end) {
  const qcc_post *first = &p->at[0];
  *end = QCC_NO_FINISH;
  if (p->n && first->kind == QCC_POST_ACT && (first->act == QCC_ACT_RELU || first->act == QCC_ACT_CLIP)) {
    end->lo = first->act == QCC_ACT_CLIP ? first->p : 0.0f;
    if (first->act == QCC_ACT_CLIP) end->hi = first->q;
    drop_first(p);
  }
  if (p->n && first->kind == QCC_POST_FAKE_QUANT) {
    end->scale = first->scale, end->lowest = first->lo, end->highest = first->hi;
    drop_first(p);
  }
}

/* ---- scratch */
enum { BLOCK_HEAD = 64, FIRST_BLOCK = 64 * 1024, KEEP_BLOCK = 4 << 20 };

void *qcc_scratch(qcc_worker *w, size_t bytes) {
  size_t need, all;
  if (!qcc_add_size(bytes, 63, &need)) need = SIZE_MAX;
  need &= ~(size_t)63;
  qcc_scratch_block *b = w->scratch;
  if (!b || b->size - b->used < need) {
    size_t size = need > FIRST_BLOCK ? need : FIRST_BLOCK;
    if (size < w->scratch_want) size = w->scratch_want;
    if (!qcc_add_size(size, BLOCK_HEAD, &all)) all = SIZE_MAX;
    b = qcc_alloc(w->cx, all);
    if (!b) return NULL;
    *b = (qcc_scratch_block){.next = w->scratch, .size = size};
    w->scratch = b;
  }
  void *p = (uint8_t *)b + BLOCK_HEAD + b->used;
  b->used += need;
  return p;
}

qcc_scratch_mark qcc_scratch_here(const qcc_worker *w) { return (qcc_scratch_mark){w->scratch, w->scratch ? w->scratch->used : 0}; }

static size_t held(const qcc_worker *w) {
  size_t sum = 0;
  for (const qcc_scratch_block *b = w->scratch; b; b = b->next) sum += b->size;
  return sum;
}

/* At the bottom of the stack several blocks become one the next time, and huge ones are given back. Blocks that an inner mark frees count,
 * too, or a step that runs in parts would take its memory anew for every part. */
void qcc_scratch_back(qcc_worker *w, qcc_scratch_mark m) {
  const size_t sum = held(w);
  const qcc_scratch_block *marked = w->scratch; /* an inner mark at the bottom may have given the marked block back already */
  while (marked && marked != m.block) marked = marked->next;
  bool bottom = !marked || (!marked->next && m.used == 0);
  if (w->scratch && w->scratch->next && sum > w->scratch_want) w->scratch_want = sum > KEEP_BLOCK ? 0 : sum;
  if (bottom && w->scratch && (w->scratch->next || w->scratch->size > KEEP_BLOCK || w->scratch->size < w->scratch_want)) {
    qcc_scratch_free(w);
    return;
  }
  while (w->scratch && w->scratch != m.block && (m.block || w->scratch->next)) {
    qcc_scratch_block *b = w->scratch;
    w->scratch = b->next;
    qcc_free(w->cx, b);
  }
  if (w->scratch) w->scratch->used = m.used;
}

void qcc_scratch_free(qcc_worker *w) {
  while (w->scratch) {
    qcc_scratch_block *b = w->scratch;
    w->scratch = b->next;
    qcc_free(w->cx, b);
  }
}

/* ---- layout */
/* Images: three planes into one. */
static void weave(float *y, const float *x, size_t n) {
  const float *a = x, *b = x + n, *c = x + 2 * n;
  for (size_t i = 0; i < n; ++i) y[3 * i] = a[i], y[3 * i + 1] = b[i], y[3 * i + 2] = c[i];
}

void qcc_to_last(const qcc_simd *simd, float *y, const float *x, size_t batch, size_t channels, size_t spatial) {
  const size_t n = channels * spatial;
  for (size_t b = 0; b < batch; ++b) {
    if (channels == 3)
      weave(y + b * n, x + b * n, spatial);
    else
      simd->transpose(y + b * n, x + b * n, channels, spatial);
  }
}

void qcc_from_last(const qcc_simd *simd, float *y, const float *x, size_t batch, size_t channels, size_t spatial) {
  const size_t n = channels * spatial;
  for (size_t b = 0; b < batch; ++b) simd->transpose(y + b * n, x + b * n, spatial, channels);
}

enum { TURN_ROWS = 32 };

void qcc_turn_bytes(uint8_t *y, const uint8_t *x, size_t batch, size_t rows, size_t columns) {
  for (size_t b = 0; b < batch; ++b, x += rows * columns, y += rows * columns) {
    for (size_t j = 0; rows == 3 && j < columns; ++j) /* images */
      y[3 * j] = x[j], y[3 * j + 1] = x[columns + j], y[3 * j + 2] = x[2 * columns + j];
    for (size_t i0 = 0; rows != 3 && i0 < rows; i0 += TURN_ROWS) {
      const size_t i1 = rows - i0 < TURN_ROWS ? rows : i0 + TURN_ROWS;
      for (size_t j = 0; j < columns; ++j)
        for (size_t i = i0; i < i1; ++i) y[j * rows + i] = x[i * columns + j];
    }
  }
}
