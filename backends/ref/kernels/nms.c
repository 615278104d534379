/* SPDX-License-Identifier: Apache-2.0
 * NonMaxSuppression: per batch and class the boxes are visited by falling score (ties: lower index first); one is kept when its overlap with
 * every box already kept is not above the threshold. */
#include "backends/ref/kernels/kutil.h"

typedef struct candidate {
  float score;
  int64_t box;
} candidate;

typedef struct nms {
  const float *boxes, *scores;
  int64_t batches, classes, count, most;
  float overlap, least;
  bool by_centre, has_least;
} nms;

typedef struct rect {
  float y0, x0, y1, x1;
} rect;

static rect rect_of(const nms *s, int64_t batch, int64_t i) {
  const float *b = s->boxes + (batch * s->count + i) * 4;
  if (s->by_centre) { /* x, y, width, height */
    return (rect){b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
  }
  return (rect){b[0] < b[2] ? b[0] : b[2], b[1] < b[3] ? b[1] : b[3], b[0] < b[2] ? b[2] : b[0], b[1] < b[3] ? b[3] : b[1]};
}

static bool too_close(const rect *a, const rect *b, float threshold) {
  float h = (a->y1 < b->y1 ? a->y1 : b->y1) - (a->y0 > b->y0 ? a->y0 : b->y0);
  float w = (a->x1 < b->x1 ? a->x1 : b->x1) - (a->x0 > b->x0 ? a->x0 : b->x0);
  if (!(h > 0) || !(w > 0)) return false;
  float both = h * w, all = (a->y1 - a->y0) * (a->x1 - a->x0) + (b->y1 - b->y0) * (b->x1 - b->x0) - both;
  return all > 0 && both / all > threshold;
}

static bool first_of(const candidate *a, const candidate *b) { return a->score != b->score ? a->score > b->score : a->box < b->box; }

/* Bottom-up merge sort between the two halves of `at` (2 * n entries); returns the half that holds the result. */
static candidate *sort(candidate *at, int64_t n) {
  candidate *from = at, *to = at + n;
  for (int64_t run = 1; run < n; run *= 2) {
    for (int64_t begin = 0; begin < n; begin += 2 * run) {
      int64_t mid = begin + run < n ? begin + run : n, end = begin + 2 * run < n ? begin + 2 * run : n, i = begin, j = mid;
      for (int64_t o = begin; o < end; ++o) to[o] = j >= end || (i < mid && !first_of(&from[j], &from[i])) ? from[i++] : from[j++];
    }
    candidate *swap = from;
    from = to;
    to = swap;
  }
  return from;
}

/* Kept boxes of one class, in order, into `kept` (up to `most`). */
static int64_t suppress(const nms *s, int64_t batch, int64_t class_, candidate *work, int64_t *kept) {
  const float *score = s->scores + (batch * s->classes + class_) * s->count;
  int64_t n = 0, found = 0;
  for (int64_t i = 0; i < s->count; ++i) {
    if (!s->has_least || score[i] > s->least) work[n++] = (candidate){score[i], i};
  }
  const candidate *order = sort(work, n);
  for (int64_t i = 0; i < n && found < s->most; ++i) {
    rect r = rect_of(s, batch, order[i].box);
    bool keep = true;
    for (int64_t j = 0; keep && j < found; ++j) {
      rect other = rect_of(s, batch, kept[j]);
      keep = !too_close(&r, &other, s->overlap);
    }
    if (keep) kept[found++] = order[i].box;
  }
  return found;
}

static qcc_status number(qcc_kargs *k, uint32_t i, double fallback, double *to) {
  const qcc_tensor *t = qcc_kx_in(k, i);
  *to = t && qcc_tensor_count(t) > 0 ? qcc_tensor_get(t, 0) : fallback;
  return QCC_OK;
}

static qcc_status read_node(qcc_kargs *k, nms *s) {
  const qcc_type *b = &k->in[0]->type, *c = &k->in[1]->type;
  double most, overlap, least;
  if (b->rank != 3 || c->rank != 3 || b->dim[2] != 4 || b->dim[0] != c->dim[0] || b->dim[1] != c->dim[2]) {
    return qcc_kx_fail(k, QCC_DATA, "D-840", "boxes must be [batch, n, 4] and scores [batch, classes, n]");
  }
  if (!qcc_kx_is_float(b->dtype) || !qcc_kx_is_float(c->dtype)) return qcc_kx_no_type(k, b->dtype);
  QCC_TRY(number(k, 2, 0, &most));
  QCC_TRY(number(k, 3, 0, &overlap));
  QCC_TRY(number(k, 4, 0, &least));
  *s = (nms){.boxes = qcc_kx_f32(k, 0), .scores = qcc_kx_f32(k, 1), .batches = b->dim[0], .classes = c->dim[1], .count = b->dim[1]};
  if (!s->boxes || !s->scores) return QCC_NOMEM;
  s->most = !(most > 0) ? 0 : most < (double)s->count ? (int64_t)most : s->count;
  s->overlap = (float)overlap;
  s->least = (float)least;
  s->has_least = qcc_kx_in(k, 4) && qcc_tensor_count(k->in[4]) > 0;
  s->by_centre = qcc_attr_int(k->node, "center_point_box", 0) != 0;
  return QCC_OK;
}

qcc_status qcc_kernel_nms(qcc_kargs *k) {
  nms s;
  void *out;
  size_t cells;
  QCC_TRY(read_node(k, &s));
  int64_t groups, total = 0;
  if (!qcc_mul_s64(s.batches, s.classes, &groups) || !qcc_mul_size((size_t)groups, (size_t)s.most + 1, &cells) || cells > SIZE_MAX / 16) {
    return qcc_kx_fail(k, QCC_LIMIT, "L-786", "the boxes to keep do not fit the memory");
  }
  candidate *work = qcc_kscratch(k, (size_t)(2 * s.count + 1) * sizeof *work);
  int64_t *kept = qcc_kscratch(k, cells * sizeof *kept); /* per group: the number, then the boxes */
  if (!work || !kept) return QCC_NOMEM;
  for (int64_t g = 0; g < groups; ++g) {
    int64_t *list = kept + g * (s.most + 1);
    list[0] = suppress(&s, g / s.classes, g % s.classes, work, list + 1);
    total += list[0];
  }
  qcc_type t = qcc_type_of(QCC_S64, 2, (int64_t[]){total, 3});
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  int64_t *to = out;
  for (int64_t g = 0; to && g < groups; ++g) {
    const int64_t *list = kept + g * (s.most + 1);
    for (int64_t i = 0; i < list[0]; ++i, to += 3) {
      to[0] = g / s.classes;
      to[1] = g % s.classes;
      to[2] = list[1 + i];
    }
  }
  return QCC_OK;
}
