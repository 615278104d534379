/* SPDX-License-Identifier: Apache-2.0
 * Pad in all modes and opsets. Negative pads crop. Constant: fill and copy the inside; the others: one source index per axis position. */
#include "backends/ref/kernels/kutil.h"

typedef enum pad_mode { PAD_CONSTANT, PAD_REFLECT, PAD_EDGE, PAD_WRAP } pad_mode;

typedef struct pad_work {
  qcc_type out;
  int64_t begin[QCC_MAX_RANK], end[QCC_MAX_RANK];
  size_t elem;
  pad_mode mode;
} pad_work;

static qcc_status read_pads(qcc_kargs *k, pad_work *w) {
  int64_t pads[2 * QCC_MAX_RANK], axes[QCC_MAX_RANK];
  int n, have_axes, rank = k->in[0]->type.rank;
  uint32_t seen = 0;
  QCC_TRY(qcc_kx_ints(k, k->opset >= 11 ? 1 : QCC_KX_NO_INPUT, k->opset < 2 ? "paddings" : "pads", pads, 2 * QCC_MAX_RANK, &n));
  QCC_TRY(qcc_kx_ints(k, 3, NULL, axes, QCC_MAX_RANK, &have_axes));
  int count = have_axes < 0 ? rank : have_axes;
  if (n != 2 * count) return qcc_kx_fail(k, QCC_DATA, "D-740", "%d pads for %d axes; two per axis are needed", n, count);
  for (int i = 0; i < count; ++i) {
    int a = i;
    if (have_axes >= 0) QCC_TRY(qcc_kx_axis(k, axes[i], rank, &a));
    if (seen & 1u << a) return qcc_kx_fail(k, QCC_DATA, "D-724", "axis %d is listed twice", a);
    seen |= 1u << a;
    w->begin[a] = pads[i];
    w->end[a] = pads[count + i];
  }
  return QCC_OK;
}

static qcc_status pad_type(qcc_kargs *k, pad_work *w) {
  int64_t all = 1;
  w->out = k->in[0]->type;
  for (int d = 0; d < w->out.rank; ++d) {
    int64_t *dim = &w->out.dim[d];
    bool fits = qcc_add_s64(*dim, w->begin[d], dim) && qcc_add_s64(*dim, w->end[d], dim) && *dim >= 0;
    if (!fits || (*dim && !qcc_mul_s64(all, *dim, &all))) {
      return qcc_kx_fail(k, QCC_DATA, "D-741", "pads %lld and %lld give axis %d no valid size", (long long)w->begin[d],
                         (long long)w->end[d], d);
    }
  }
  return QCC_OK;
}

static void pad_constant(const pad_work *w, const qcc_tensor *x, char *to, const void *value) {
  const char *from = x->data;
  qcc_kx_move m = {.rank = x->type.rank};
  qcc_kx_fill(to, value, w->elem, qcc_kx_product(w->out.dim, 0, w->out.rank));
  qcc_kx_strides(m.to, w->out.dim, m.rank, w->elem);
  qcc_kx_strides(m.from, x->type.dim, m.rank, w->elem);
  for (int d = 0; d < m.rank; ++d) {
    int64_t skip = w->begin[d] < 0 ? -w->begin[d] : 0, cut = w->end[d] < 0 ? -w->end[d] : 0;
    m.dim[d] = x->type.dim[d] - skip - cut;
    if (m.dim[d] <= 0) return;
    from += skip * m.from[d];
    to += (w->begin[d] > 0 ? w->begin[d] : 0) * m.to[d];
  }
  qcc_kx_copy(to, from, &m, w->elem);
}

static int64_t wrapped(int64_t i, int64_t n) {
  int64_t r = i % n;
  return r < 0 ? r + n : r;
}

static int64_t source_index(pad_mode mode, int64_t i, int64_t n) {
  if (mode == PAD_EDGE || n == 1) return i < 0 ? 0 : i >= n ? n - 1 : i;
  if (mode == PAD_WRAP) return wrapped(i, n);
  i = wrapped(i, 2 * (n - 1));
  return i < n ? i : 2 * (n - 1) - i;
}

static qcc_status pad_by_index(qcc_kargs *k, const pad_work *w, const qcc_tensor *x, void *to) {
  const int64_t *offset[QCC_MAX_RANK] = {NULL};
  int64_t stride[QCC_MAX_RANK];
  qcc_kx_strides(stride, x->type.dim, x->type.rank, w->elem);
  for (int d = 0; d < x->type.rank; ++d) {
    int64_t *list = qcc_kscratch(k, (size_t)w->out.dim[d] * sizeof *list);
    if (!list) return QCC_NOMEM;
    if (x->type.dim[d] == 0 && w->out.dim[d] > 0)
      return qcc_kx_fail(k, QCC_DATA, "D-742", "axis %d is empty, there is nothing to repeat", d);
    for (int64_t i = 0; i < w->out.dim[d]; ++i) list[i] = source_index(w->mode, i - w->begin[d], x->type.dim[d]) * stride[d];
    offset[d] = list;
  }
  qcc_kx_pick(to, x->data, x->type.rank, w->out.dim, offset, w->elem);
  return QCC_OK;
}

qcc_status qcc_kernel_pad(qcc_kargs *k) {
  static const char *const modes[] = {"constant", "reflect", "edge", "wrap", NULL};
  const qcc_tensor *x = k->in[0], *value = k->opset >= 11 ? qcc_kx_in(k, 2) : NULL;
  pad_work w = {.elem = 0};
  int mode;
  uint64_t bytes[2] = {0};
  void *to;
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &w.elem));
  QCC_TRY(qcc_kx_choice(k, "mode", modes, PAD_CONSTANT, &mode));
  w.mode = (pad_mode)mode;
  QCC_TRY(read_pads(k, &w));
  QCC_TRY(pad_type(k, &w));
  if (value && (value->type.dtype != x->type.dtype || qcc_tensor_count(value) < 1)) {
    return qcc_kx_fail(k, QCC_DATA, "D-743", "the constant value must be one element of the data's type");
  }
  if (value)
    memcpy(bytes, value->data, w.elem);
  else if (k->opset < 11)
    qcc_kx_put(x->type.dtype, bytes, 0, (double)qcc_attr_float(k->node, "value", 0));
  QCC_TRY(qcc_kx_out(k, 0, &w.out, &to));
  if (!to || qcc_tensor_count(&k->out[0]) == 0) return QCC_OK;
  if (w.mode != PAD_CONSTANT) return pad_by_index(k, &w, x, to);
  pad_constant(&w, x, to, bytes);
  return QCC_OK;
}
