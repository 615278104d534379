/* SPDX-License-Identifier: Apache-2.0
 * Random windows over one to three axes and where their taps fall, told by the definitions alone. */
#ifndef QCC_TEST_GRID_WINDOW_H
#define QCC_TEST_GRID_WINDOW_H

#include "grid_case.h"

typedef enum grid_kind { GRID_CONV, GRID_DECONV, GRID_POOL } grid_kind;
typedef struct grid_window {
  grid_kind kind;
  int rank, mode;                                                                                            /* mode: of auto_pad */
  int64_t batch, group, cin, cout, in[3], out[3], kernel[3], stride[3], dilation[3], lo[3], hi[3], extra[3]; /* leading axes have size 1 */
  bool ceil, count_pads, has_bias;
  int64_t p;
} grid_window;
static const char *const grid_modes[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"};

static inline int64_t grid_span(const grid_window *w, int d) { return (w->kernel[d] - 1) * w->dilation[d] + 1; }

static inline void grid_same(grid_window *w, int d, int64_t total) {
  if (total < 0) total = 0;
  w->lo[d] = w->mode == 1 ? total / 2 : total - total / 2;
  w->hi[d] = total - w->lo[d];
}

/* Size of the output along axis d, with auto_pad resolved; below 1 when the window does not fit. */
static inline int64_t grid_size(grid_window *w, int d) {
  const int64_t in = w->in[d], s = w->stride[d], span = grid_span(w, d);
  if (w->kind == GRID_DECONV) {
    const int64_t full = (in - 1) * s + span + w->extra[d];
    if (w->mode == 1 || w->mode == 2) {
      if (full < in * s) return 0;
      grid_same(w, d, full - in * s);
      return in * s;
    }
    return full - w->lo[d] - w->hi[d];
  }
  if (w->mode == 1 || w->mode == 2) {
    const int64_t out = (in + s - 1) / s;
    grid_same(w, d, (out - 1) * s + span - in);
    return out;
  }
  const int64_t room = in + w->lo[d] + w->hi[d] - span;
  if (room < 0) return 0;
  int64_t out = room / s + 1;
  if (w->ceil && room % s && out * s < in + w->lo[d]) ++out;
  return out;
}

/* Every output of a pool sees at least one element. */
static inline bool grid_seen(const grid_window *w, int d) {
  for (int64_t o = 0; o < w->out[d]; ++o) {
    bool any = false;
    for (int64_t k = 0; k < w->kernel[d] && !any; ++k) {
      const int64_t at = o * w->stride[d] - w->lo[d] + k * w->dilation[d];
      any = at >= 0 && at < w->in[d];
    }
    if (!any) return false;
  }
  return true;
}

static inline bool grid_try(grid_window *w, uint32_t *seed) {
  *w = (grid_window){.kind = w->kind, .rank = (int)grid_pick(seed, 1, 3), .p = grid_pick(seed, 1, 3)};
  w->mode = grid_chance(seed, 60) ? 0 : (int)grid_pick(seed, 1, 3);
  w->batch = grid_pick(seed, 1, 2);
  w->group = grid_chance(seed, 50) ? 1 : grid_pick(seed, 2, 5);
  w->cin = w->group * (grid_chance(seed, 30) ? 1 : grid_pick(seed, 1, 9));
  w->cout = w->group * (grid_chance(seed, 30) ? 1 : grid_pick(seed, 1, 18));
  w->has_bias = grid_chance(seed, 60);
  w->count_pads = grid_chance(seed, 50);
  w->ceil = w->kind == GRID_POOL && w->mode == 0 && grid_chance(seed, 40);
  for (int d = 0; d < 3; ++d) {
    const bool used = d >= 3 - w->rank;
    w->in[d] = w->out[d] = w->kernel[d] = w->stride[d] = w->dilation[d] = 1;
    if (!used) continue;
    w->in[d] = grid_pick(seed, 1, w->rank == 1 ? 40 : w->rank == 2 ? 13 : 6);
    w->kernel[d] = grid_pick(seed, 1, w->rank == 3 ? 3 : 5);
    w->stride[d] = grid_pick(seed, 1, 3);
    w->dilation[d] = grid_chance(seed, 70) ? 1 : grid_pick(seed, 2, 3);
    const int64_t most = w->kind == GRID_POOL ? grid_span(w, d) - 1 : 3;
    if (w->mode == 0 && most > 0) w->lo[d] = grid_pick(seed, 0, most), w->hi[d] = grid_pick(seed, 0, most);
    if (w->kind == GRID_DECONV && grid_chance(seed, 30)) w->extra[d] = grid_pick(seed, 0, w->stride[d] - 1);
    w->out[d] = grid_size(w, d);
    if (w->out[d] < 1 || (w->kind == GRID_POOL && !grid_seen(w, d))) return false;
  }
  return true;
}

static inline void grid_window_pick(grid_window *w, grid_kind kind, uint32_t *seed) {
  w->kind = kind;
  while (!grid_try(w, seed)) w->kind = kind;
}

static inline int64_t grid_cells(const int64_t d[3]) { return d[0] * d[1] * d[2]; }

/* Type [first, second, sizes...]. */
static inline int grid_dims(const grid_window *w, int64_t first, int64_t second, const int64_t *sizes, int64_t *dims) {
  dims[0] = first, dims[1] = second;
  memcpy(dims + 2, sizes + 3 - w->rank, (size_t)w->rank * sizeof *dims);
  return w->rank + 2;
}

static inline void grid_window_attrs(qcc_node *n, const void *user) {
  const grid_window *w = user;
  const int lead = 3 - w->rank;
  const uint32_t rank = (uint32_t)w->rank;
  int64_t pads[6];
  memcpy(pads, w->lo + lead, rank * sizeof *pads);
  memcpy(pads + rank, w->hi + lead, rank * sizeof *pads);
  qcc_attr_set_ints(n, "kernel_shape", w->kernel + lead, rank);
  qcc_attr_set_ints(n, "strides", w->stride + lead, rank);
  qcc_attr_set_ints(n, "dilations", w->dilation + lead, rank);
  if (w->mode)
    qcc_attr_set_str(n, "auto_pad", grid_modes[w->mode], strlen(grid_modes[w->mode]));
  else
    qcc_attr_set_ints(n, "pads", pads, 2 * rank);
  if (w->kind != GRID_POOL) qcc_attr_set_int(n, "group", w->group);
  if (w->kind == GRID_DECONV) qcc_attr_set_ints(n, "output_padding", w->extra + lead, rank);
  if (w->ceil) qcc_attr_set_int(n, "ceil_mode", 1);
}

static inline void grid_tell(const grid_window *w, const char *way, int64_t at, double have, double want) {
  char text[400];
  int n = snprintf(text, sizeof text, "batch %d, %d>%d channels, %d groups, %s%s:", (int)w->batch, (int)w->cin, (int)w->cout, (int)w->group,
                   grid_modes[w->mode], w->ceil ? ", ceil" : "");
  for (int d = 3 - w->rank; d < 3; ++d)
    n += snprintf(text + n, sizeof text - (size_t)n, " [%d>%d k%d s%d d%d p%d,%d,%d]", (int)w->in[d], (int)w->out[d], (int)w->kernel[d],
                  (int)w->stride[d], (int)w->dilation[d], (int)w->lo[d], (int)w->hi[d], (int)w->extra[d]);
  fail_msg("%s: %s element %d is %.9g, expected %.9g", way, text, (int)at, have, want);
}

#endif
