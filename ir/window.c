/* SPDX-License-Identifier: Apache-2.0
 * Geometry of sliding windows: attributes of Conv, ConvTranspose and pools, checked, with auto_pad and output_shape resolved to numbers.
 *
 * Shape rules, kernels and passes all read a window through this one function, so they cannot disagree. Sizes up to 2^48 and
 * attributes up to 2^31-1 go in; every product is checked. */
#include <string.h>

#include "ir/check.h"

enum { MAX_SPATIAL = 3 };
static const int64_t max_size = (int64_t)1 << 48;

typedef enum pad_mode { PAD_EXPLICIT, PAD_VALID, PAD_SAME_UPPER, PAD_SAME_LOWER } pad_mode;

typedef struct geometry { /* what the window is computed from */
  qcc_context *cx;
  const qcc_node *node;
  const qcc_type *x, *w;
  qcc_window *to;
  pad_mode mode;
  bool is_pool, is_transpose;
} geometry;

#define bad(q, code, ...) qcc_error((q)->cx, QCC_INVALID, code, (qcc_loc[]){qcc_node_loc((q)->node)}, __VA_ARGS__)

/* One list attribute of `n` entries within [lo, 2^31-1]; absent: keeps what `to` holds. */
static qcc_status read_list(const geometry *q, const char *name, uint32_t n, int64_t lo, int64_t *to) {
  uint32_t count;
  const int64_t *at = qcc_attr_ints(q->node, name, &count);
  if (!qcc_attr_find(q->node, name)) return QCC_OK;
  if (count != n) return bad(q, "M-022", "%s has %u entries, expected %u", name, count, n);
  for (uint32_t i = 0; i < n; i++) {
    if (at[i] < lo || at[i] > INT32_MAX)
      return bad(q, "M-022", "%s[%u] is %lld; allowed is %lld to 2147483647", name, i, (long long)at[i], (long long)lo);
    to[i] = at[i];
  }
  return QCC_OK;
}

static bool is_pool_op(qcc_op op) {
  return op == QCC_OP_MAX_POOL || op == QCC_OP_AVERAGE_POOL || op == QCC_OP_LP_POOL || op == QCC_OP_MS_QLINEAR_AVERAGE_POOL;
}

/* Spatial rank from whichever of x, weight, kernel_shape tells it; 0 when none does. */
static qcc_status find_rank(const geometry *q) {
  uint32_t count;
  int rank = 0;
  qcc_attr_ints(q->node, "kernel_shape", &count);
  if (q->x && q->x->rank >= 0)
    rank = q->x->rank - 2;
  else if (q->w && q->w->rank >= 0)
    rank = q->w->rank - 2;
  else if (count)
    rank = (int)(count > QCC_MAX_RANK ? QCC_MAX_RANK : count);
  else
    return QCC_OK;
  if (rank < 1) return bad(q, "M-021", "input has rank %d; a window needs rank 3 to 5", rank + 2);
  if (q->w && q->w->rank >= 0 && q->w->rank != rank + 2) return bad(q, "M-021", "weight has rank %d, expected %d", q->w->rank, rank + 2);
  if (rank > MAX_SPATIAL)
    return qcc_error(q->cx, QCC_UNSUPPORTED, "U-021", (qcc_loc[]){qcc_node_loc(q->node)}, "%d spatial axes; qcc handles 1 to 3", rank);
  q->to->rank = rank;
  return QCC_OK;
}

static qcc_status read_kernel(const geometry *q) {
  qcc_window *t = q->to;
  int64_t attr[MAX_SPATIAL] = {-1, -1, -1};
  QCC_TRY(read_list(q, "kernel_shape", (uint32_t)t->rank, 1, attr));
  for (int i = 0; i < t->rank; i++) {
    int64_t weight = q->w && q->w->rank >= 0 ? q->w->dim[i + 2] : -1;
    if (attr[i] > 0 && weight >= 0 && attr[i] != weight)
      return bad(q, "M-023", "kernel_shape[%d] is %lld, but the weight has %lld", i, (long long)attr[i], (long long)weight);
    t->kernel[i] = weight >= 0 ? weight : attr[i];
    if (t->kernel[i] == 0 || t->kernel[i] > INT32_MAX)
      return bad(q, "M-023", "kernel size %lld; allowed is 1 to 2147483647", (long long)t->kernel[i]);
    if (t->kernel[i] < 0 && q->is_pool) return bad(q, "M-020", "attribute kernel_shape is missing");
  }
  return QCC_OK;
}

static const char *const names[] = {"NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"};
static qcc_status read_pads(geometry *q) {
  const char *s = qcc_attr_str(q->node, "auto_pad", "NOTSET");
  int mode = 0;
  while (mode < 4 && strcmp(s, names[mode]) != 0) mode++;
  if (mode == 4 && s[0] == 0) mode = 0; // some exporters write it empty
  if (mode == 4) return bad(q, "M-022", "auto_pad is '%.128s'; allowed is NOTSET, VALID, SAME_UPPER, SAME_LOWER", s);
  q->mode = (pad_mode)mode;
  qcc_window *t = q->to;
  int64_t pads[2 * MAX_SPATIAL] = {0};
  QCC_TRY(read_list(q, "pads", 2 * (uint32_t)t->rank, 0, pads));
  for (int i = 0; i < t->rank && q->mode == PAD_EXPLICIT; i++) {
    t->pad_begin[i] = pads[i];
    t->pad_end[i] = pads[t->rank + i];
    int64_t most = pads[i] > pads[t->rank + i] ? pads[i] : pads[t->rank + i];
    if (q->is_pool && most >= (t->kernel[i] - 1) * t->dilation[i] + 1)
      return bad(q, "M-022", "padding %lld of axis %d is not smaller than the window", (long long)most, i);
  }
  return QCC_OK;
}

/* Attributes that do not depend on sizes. */
static qcc_status read_attrs(geometry *q) {
  qcc_window *t = q->to;
  for (int i = 0; i < MAX_SPATIAL; i++) {
    t->stride[i] = t->dilation[i] = 1;
    t->in[i] = t->out[i] = -1;
  }
  t->group = qcc_attr_int(q->node, "group", 1);
  if (t->group < 1 || t->group > INT32_MAX)
    return bad(q, "M-022", "group is %lld; allowed is 1 to the number of channels", (long long)t->group);
  QCC_TRY(find_rank(q));
  if (t->rank == 0) return QCC_OK;
  QCC_TRY(read_kernel(q));
  QCC_TRY(read_list(q, "strides", (uint32_t)t->rank, 1, t->stride));
  QCC_TRY(read_list(q, "dilations", (uint32_t)t->rank, 1, t->dilation));
  QCC_TRY(read_list(q, "output_padding", (uint32_t)t->rank, 0, t->out_pad));
  return read_pads(q);
}

static qcc_status check_channels(const geometry *q) {
  if (!q->w || q->w->rank < 0) return QCC_OK;
  int64_t group = q->to->group, c = q->x && q->x->rank >= 0 ? q->x->dim[1] : -1, w0 = q->w->dim[0], w1 = q->w->dim[1];
  const int64_t per = q->is_transpose ? w0 : w1;
  if (w0 >= 0 && w0 % group != 0)
    return bad(q, "M-023", "group %lld does not divide the %lld channels of the weight", (long long)group, (long long)w0);
  int64_t expected;
  if (c < 0 || per < 0) return QCC_OK;
  if (!qcc_mul_s64(per, q->is_transpose ? 1 : group, &expected) || expected != c)
    return bad(q, "M-023", "input has %lld channels; the weight takes %lld with group %lld", (long long)c, (long long)per,
               (long long)group);
  return QCC_OK;
}

static void split_pad(qcc_window *t, int i, int64_t total, bool more_at_end) {
  if (total < 0) total = 0;
  t->pad_begin[i] = more_at_end ? total / 2 : total - total / 2;
  t->pad_end[i] = total - t->pad_begin[i];
}

/* Conv and pools, one axis with known input. */
static qcc_status slide(const geometry *q, int i) {
  qcc_window *t = q->to;
  int64_t span = (t->kernel[i] - 1) * t->dilation[i] + 1; // below 2^62
  if (q->mode >= PAD_SAME_UPPER) {
    t->out[i] = t->in[i] / t->stride[i] + (t->in[i] % t->stride[i] != 0);
    split_pad(t, i, (t->out[i] - 1) * t->stride[i] + span - t->in[i], q->mode == PAD_SAME_UPPER);
    return QCC_OK;
  }
  int64_t room = t->in[i] + t->pad_begin[i] + t->pad_end[i] - span;
  if (room < 0)
    return bad(q, "M-023", "a window of %lld does not fit axis %d of size %lld with padding %lld", (long long)span, i, (long long)t->in[i],
               (long long)(t->pad_begin[i] + t->pad_end[i]));
  t->out[i] = room / t->stride[i] + 1;
  if (q->is_pool && qcc_attr_int(q->node, "ceil_mode", 0) && room % t->stride[i] && t->out[i] * t->stride[i] < t->in[i] + t->pad_begin[i])
    t->out[i]++; // a last window that starts inside the input or its left padding
  return QCC_OK;
}

/* ConvTranspose, one axis with known input; `wanted` >= 0: output_shape. */
static qcc_status unslide(const geometry *q, int i, int64_t wanted) {
  qcc_window *t = q->to;
  int64_t full, span = (t->kernel[i] - 1) * t->dilation[i] + 1;
  if (t->in[i] < 1 || !qcc_mul_s64(t->in[i] - 1, t->stride[i], &full) || full > max_size || span > max_size)
    return bad(q, "M-023", "input size %lld with stride %lld", (long long)t->in[i], (long long)t->stride[i]);
  full += span;
  if (wanted < 0 && q->mode >= PAD_SAME_UPPER) wanted = t->in[i] * t->stride[i];
  if (wanted >= 0) {
    split_pad(t, i, full + t->out_pad[i] - wanted, q->mode == PAD_SAME_UPPER);
    t->out[i] = wanted;
    t->out_pad[i] = wanted - (full - t->pad_begin[i] - t->pad_end[i]);
  } else {
    t->out[i] = full + t->out_pad[i] - t->pad_begin[i] - t->pad_end[i];
  }
  if (t->out[i] < 1) return bad(q, "M-023", "axis %d of the output has size %lld; padding is too large", i, (long long)t->out[i]);
  return QCC_OK;
}

static qcc_status read_output_shape(const geometry *q, int64_t *wanted) {
  uint32_t count;
  qcc_attr_ints(q->node, "output_shape", &count);
  if (!q->is_transpose || count == 0) return QCC_OK;
  int64_t all[MAX_SPATIAL + 2];
  bool whole = count == (uint32_t)q->to->rank + 2; // batch and channels may stand in front
  QCC_TRY(read_list(q, "output_shape", (uint32_t)q->to->rank + (whole ? 2 : 0), whole ? -1 : 1, all));
  for (int i = 0; i < q->to->rank; i++) {
    wanted[i] = all[whole ? i + 2 : i];
    if (wanted[i] < 1) return bad(q, "M-022", "output_shape asks for size %lld", (long long)wanted[i]);
  }
  return QCC_OK;
}

qcc_status qcc_window_of(qcc_window *out, qcc_context *cx, const qcc_node *n, const qcc_type *x, const qcc_type *w) {
  *out = (qcc_window){0};
  geometry q = {.cx = cx, .node = n, .x = x, .w = w, .to = out};
  q.is_pool = is_pool_op(n->op);
  q.is_transpose = n->op == QCC_OP_CONV_TRANSPOSE;
  QCC_TRY(read_attrs(&q));
  QCC_TRY(check_channels(&q));
  int64_t wanted[MAX_SPATIAL] = {-1, -1, -1};
  QCC_TRY(read_output_shape(&q, wanted));
  for (int i = 0; i < out->rank; i++) {
    out->in[i] = x && x->rank >= 0 && x->dim[i + 2] >= 0 ? x->dim[i + 2] : -1;
    if (out->in[i] > max_size)
      return qcc_error(cx, QCC_LIMIT, "L-020", (qcc_loc[]){qcc_node_loc(n)}, "axis of size %lld; at most 2^48", (long long)out->in[i]);
    if (wanted[i] > 0) out->out[i] = wanted[i];
    if (out->in[i] >= 0 && out->kernel[i] > 0) QCC_TRY(q.is_transpose ? unslide(&q, i, wanted[i]) : slide(&q, i));
  }
  return QCC_OK;
}

qcc_window qcc_window_widen(const qcc_window *w) {
  qcc_window out = {.rank = MAX_SPATIAL, .group = w->group};
  for (int d = 0; d < MAX_SPATIAL; d++) {
    const int from = d - (MAX_SPATIAL - w->rank);
    const bool real = from >= 0;
    out.in[d] = real ? w->in[from] : 1;
    out.out[d] = real ? w->out[from] : 1;
    out.kernel[d] = real ? w->kernel[from] : 1;
    out.stride[d] = real ? w->stride[from] : 1;
    out.dilation[d] = real ? w->dilation[from] : 1;
    out.pad_begin[d] = real ? w->pad_begin[from] : 0;
    out.pad_end[d] = real ? w->pad_end[from] : 0;
    out.out_pad[d] = real ? w->out_pad[from] : 0;
  }
  return out;
}

qcc_type qcc_channels_first(const qcc_type *t) {
  qcc_type out = *t;
  out.dim[1] = t->dim[t->rank - 1];
  for (int d = 2; d < t->rank; d++) out.dim[d] = t->dim[d - 1];
  return out;
}

qcc_type qcc_channels_last(const qcc_type *t) {
  qcc_type out = *t;
  out.dim[t->rank - 1] = t->dim[1];
  for (int d = 2; d < t->rank; d++) out.dim[d - 1] = t->dim[d];
  return out;
}
