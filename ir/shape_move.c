/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of operators that rearrange: Reshape and relatives, Transpose, Concat, Split, Tile, Expand, Pad, block moves. */
#include "ir/shape.h"

/* ---- Reshape */
typedef struct product {
  int64_t number;
  int64_t symbol[QCC_LIST_MAX];
  int symbols;
  bool known;
} product;

static void product_add(product *p, int64_t dim) {
  if (dim >= 0)
    p->known = p->known && qcc_mul_s64(p->number, dim, &p->number);
  else if (dim == QCC_DIM_UNKNOWN || dim == QCC_ENTRY_UNKNOWN)
    p->known = false;
  else
    p->symbol[p->symbols++] = dim;
}

/* Take the symbols of `b` out of `a`; those of `b` that `a` does not hold stay in `b`. */
static void product_cancel(product *a, product *b) {
  int left = 0;
  for (int i = 0; i < b->symbols; i++) {
    int j = 0;
    while (j < a->symbols && a->symbol[j] != b->symbol[i]) j++;
    if (j < a->symbols)
      a->symbol[j] = a->symbol[--a->symbols];
    else
      b->symbol[left++] = b->symbol[i];
  }
  b->symbols = left;
}

/* The size that -1 stands for: elements of x over those of the other entries; UNKNOWN when symbols do not cancel. */
static qcc_status solve(qcc_infer *f, product *have, product *want, int64_t *dim) {
  *dim = QCC_DIM_UNKNOWN;
  product_cancel(have, want);
  if (!have->known || !want->known || want->symbols > 0 || have->symbols > 1) return QCC_OK;
  if (want->number == 0) {
    if (have->symbols) return QCC_OK;
    return qcc_shape_bad(f, QCC_M_DIM, "-1 beside a size of 0 has no answer for %lld elements", (long long)have->number);
  }
  if (have->symbols == 1) {
    if (have->number == want->number) *dim = have->symbol[0];
    return QCC_OK;
  }
  if (have->number % want->number)
    return qcc_shape_bad(f, QCC_M_DIM, "%lld elements cannot be split by %lld", (long long)have->number, (long long)want->number);
  *dim = have->number / want->number;
  return QCC_OK;
}

static qcc_status reshape_entries(qcc_infer *f, const qcc_list *to, bool zero_is_zero, qcc_type *t, int *open) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  bool partial = !qcc_shape_known(f, 1) && qcc_shape_in(f, 1); // then entries below -1 are symbols
  for (int i = 0; i < to->n; i++) {
    int64_t d = to->at[i];
    if (d < -1 && d != QCC_ENTRY_UNKNOWN && !partial)
      return qcc_shape_bad(f, QCC_M_ATTR, "shape[%d] is %lld; allowed is -1 or more", i, (long long)d);
    if (d == -1 && *open >= 0) return qcc_shape_bad(f, QCC_M_ATTR, "shape holds -1 twice, at %d and %d", *open, i);
    if (d == -1) *open = i;
    if (d == 0 && !zero_is_zero) {
      if (x && i >= x->rank) return qcc_shape_bad(f, QCC_M_ATTR, "shape[%d] is 0 (keep), but the input has rank %d", i, x->rank);
      d = x ? x->dim[i] : QCC_DIM_UNKNOWN;
    }
    t->dim[i] = d == QCC_ENTRY_UNKNOWN ? QCC_DIM_UNKNOWN : d;
  }
  return QCC_OK;
}

static qcc_status reshape_to(qcc_infer *f, const qcc_list *to, bool zero_is_zero, qcc_type *t) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  int open = -1;
  QCC_TRY(reshape_entries(f, to, zero_is_zero, t, &open));
  product have = {.number = 1, .known = x != NULL}, want = {.number = 1, .known = true};
  for (int i = 0; i < t->rank; i++)
    if (i != open) product_add(&want, t->dim[i]);
  for (int i = 0; x && i < x->rank; i++) product_add(&have, x->dim[i]);
  if (open >= 0) return solve(f, &have, &want, &t->dim[open]);
  product_cancel(&have, &want);
  if (have.known && want.known && !have.symbols && !want.symbols && have.number != want.number)
    return qcc_shape_bad(f, QCC_M_DIM, "%lld elements do not fit a shape of %lld", (long long)have.number, (long long)want.number);
  return QCC_OK;
}

qcc_status qcc_shape_reshape(qcc_infer *f) {
  qcc_list to;
  bool zero_is_zero;
  QCC_TRY(qcc_shape_flag(f, "allowzero", false, &zero_is_zero));
  if (f->opset >= 5) {
    if (!qcc_shape_in(f, 1)) return qcc_shape_bad(f, QCC_M_ARITY, "input 1 (shape) is missing");
    QCC_TRY(qcc_shape_target(f, 1, &to));
  } else {
    QCC_TRY(qcc_shape_list(f, "shape", QCC_NO_INPUT, &to));
  }
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (to.n >= 0 && to.state != QCC_LIST_ABSENT) QCC_TRY(qcc_shape_make(f, &t, t.dtype, to.n));
  if (to.state == QCC_LIST_KNOWN) QCC_TRY(reshape_to(f, &to, zero_is_zero, &t));
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- axes of size 1 */
static qcc_status read_axes(qcc_infer *f, qcc_list *axes) {
  bool is_input = f->opset >= 13;
  return qcc_shape_list(f, is_input ? NULL : "axes", is_input ? 1 : QCC_NO_INPUT, axes);
}

static qcc_status squeeze_ones(qcc_infer *f, const qcc_type *x, qcc_type *t) {
  for (int i = 0; i < x->rank; i++)
    if (x->dim[i] < 0) return QCC_OK; // whether it goes is not known: the rank stays unknown
  t->rank = 0;
  for (int i = 0; i < x->rank; i++)
    if (x->dim[i] != 1) t->dim[t->rank++] = x->dim[i];
  qcc_shape_set(f, 0, t);
  return QCC_OK;
}

qcc_status qcc_shape_squeeze(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_list axes;
  uint32_t set;
  QCC_TRY(read_axes(f, &axes));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  qcc_shape_set(f, 0, &t);
  if (!x) return QCC_OK;
  if (axes.state == QCC_LIST_ABSENT) return squeeze_ones(f, x, &t);
  if (axes.state == QCC_LIST_UNKNOWN) {
    if (axes.n >= 0 && axes.n <= x->rank) t = qcc_shape_type(t.dtype, x->rank - axes.n);
    qcc_shape_set(f, 0, &t);
    return QCC_OK;
  }
  QCC_TRY(qcc_shape_axes(f, &axes, x->rank, &set));
  t.rank = 0;
  for (int i = 0; i < x->rank; i++) {
    if (!(set & 1u << i))
      t.dim[t.rank++] = x->dim[i];
    else if (x->dim[i] >= 0 && x->dim[i] != 1)
      return qcc_shape_bad(f, QCC_M_DIM, "axis %d has size %lld; only size 1 can be squeezed", i, (long long)x->dim[i]);
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_unsqueeze(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_list axes;
  uint32_t set;
  QCC_TRY(read_axes(f, &axes));
  if (axes.state == QCC_LIST_ABSENT) return qcc_shape_bad(f, QCC_M_ARITY, "axes are missing");
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (x && axes.n >= 0) QCC_TRY(qcc_shape_make(f, &t, t.dtype, x->rank + axes.n));
  if (x && axes.state == QCC_LIST_KNOWN) {
    QCC_TRY(qcc_shape_axes(f, &axes, t.rank, &set));
    for (int i = 0, from = 0; i < t.rank; i++) t.dim[i] = set & 1u << i ? 1 : x->dim[from++];
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

static int64_t flat(const qcc_type *x, int from, int to) {
  int64_t p = 1;
  if (to - from == 1) return x->dim[from];
  int symbol = -1;
  for (int i = from; i < to; i++) {
    if (x->dim[i] < 0 && symbol < 0)
      symbol = i;
    else if (x->dim[i] < 0 || !qcc_mul_s64(p, x->dim[i], &p))
      return QCC_DIM_UNKNOWN;
  }
  return symbol < 0 ? p : p == 1 ? x->dim[symbol] : QCC_DIM_UNKNOWN;
}

qcc_status qcc_shape_flatten(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), 2);
  int64_t axis = qcc_attr_int(f->node, "axis", 1);
  if (x) {
    if (axis < -x->rank || axis > x->rank)
      return qcc_shape_bad(f, QCC_M_INDEX, "axis %lld; allowed is %d to %d", (long long)axis, -x->rank, x->rank);
    if (axis < 0) axis += x->rank;
    t.dim[0] = flat(x, 0, (int)axis);
    t.dim[1] = flat(x, (int)axis, x->rank);
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_transpose(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_list perm;
  uint32_t set;
  QCC_TRY(qcc_shape_list(f, "perm", QCC_NO_INPUT, &perm));
  bool given = perm.state == QCC_LIST_KNOWN;
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), x ? x->rank : -1);
  if (!x && given) QCC_TRY(qcc_shape_make(f, &t, t.dtype, perm.n));
  if (given && perm.n != t.rank) return qcc_shape_bad(f, QCC_M_ATTR, "perm has %d entries; the input has rank %d", perm.n, t.rank);
  if (given) QCC_TRY(qcc_shape_axes(f, &perm, t.rank, &set));
  for (int i = 0; x && i < t.rank; i++) {
    int64_t from = given ? perm.at[i] : t.rank - 1 - i;
    t.dim[i] = x->dim[from < 0 ? from + t.rank : from];
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

/* ---- joining and cutting */
qcc_status qcc_shape_concat(qcc_infer *f) {
  qcc_type t = qcc_shape_type(QCC_NONE, -1);
  int axis = 0;
  int64_t sum = 0;
  QCC_TRY(qcc_shape_same_dtype(f, 0, f->node->in_count));
  if (!qcc_attr_find(f->node, "axis") && f->opset >= 4) return qcc_shape_bad(f, QCC_M_ARITY, "attribute axis is missing");
  for (uint32_t k = 0; k < f->node->in_count; k++) {
    const qcc_type *x = qcc_shape_ranked(f, k);
    if (t.dtype == QCC_NONE) t.dtype = qcc_shape_dtype(f, k);
    if (!x) {
      sum = QCC_DIM_UNKNOWN;
      continue;
    }
    if (t.rank < 0) {
      QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 1), x->rank, &axis));
      t = qcc_shape_type(t.dtype, x->rank);
    } else {
      QCC_TRY(qcc_shape_rank(f, k, t.rank, t.rank));
    }
    for (int i = 0; i < x->rank; i++)
      if (i != axis) QCC_TRY(qcc_shape_fit(f, &t.dim[i], x->dim[i], "sizes beside the axis of concatenation"));
    if (f->node->in_count == 1)
      sum = x->dim[axis];
    else if (x->dim[axis] < 0 || sum < 0)
      sum = QCC_DIM_UNKNOWN;
    else if (!qcc_add_s64(sum, x->dim[axis], &sum))
      return qcc_shape_limit(f, "the sizes along the axis add up to more than 2^63");
  }
  if (t.rank > 0) t.dim[axis] = sum;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

static qcc_status split_sizes(qcc_infer *f, qcc_list *sizes, int64_t *parts) {
  *parts = f->node->out_count;
  bool is_input = f->opset >= 13 || (f->opset == 1 && f->node->in_count > 1);
  QCC_TRY(qcc_shape_list(f, is_input ? NULL : "split", is_input ? 1 : QCC_NO_INPUT, sizes));
  if (!qcc_attr_find(f->node, "num_outputs")) return QCC_OK;
  *parts = qcc_attr_int(f->node, "num_outputs", 0);
  if (*parts != f->node->out_count)
    return qcc_shape_bad(f, QCC_M_ATTR, "num_outputs is %lld, but the node has %u outputs", (long long)*parts, f->node->out_count);
  return QCC_OK;
}

static qcc_status split_equally(qcc_infer *f, int64_t whole, uint32_t k, int64_t *dim) {
  int64_t parts = f->node->out_count, part = whole / parts + (whole % parts != 0);
  if (whole % parts && f->opset < 18)
    return qcc_shape_bad(f, QCC_M_DIM, "%lld elements cannot be split into %lld equal parts", (long long)whole, (long long)parts);
  *dim = k + 1 < f->node->out_count ? part : whole - part * (parts - 1);
  if (*dim < 0) return qcc_shape_bad(f, QCC_M_DIM, "%lld elements are too few for %lld parts", (long long)whole, (long long)parts);
  return QCC_OK;
}

static qcc_status split_check(qcc_infer *f, const qcc_list *sizes, int64_t whole) {
  int64_t sum = 0;
  for (int i = 0; i < sizes->n; i++)
    if (sizes->at[i] < 0 || !qcc_add_s64(sum, sizes->at[i], &sum))
      return qcc_shape_bad(f, QCC_M_ATTR, "split[%d] is %lld; allowed is 0 or more", i, (long long)sizes->at[i]);
  if (whole >= 0 && sum != whole)
    return qcc_shape_bad(f, QCC_M_DIM, "split adds up to %lld, but the axis has %lld elements", (long long)sum, (long long)whole);
  return QCC_OK;
}

qcc_status qcc_shape_split(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  int axis = 0;
  qcc_list sizes;
  int64_t parts;
  QCC_TRY(split_sizes(f, &sizes, &parts));
  if (x) QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", 0), x->rank, &axis));
  if (sizes.state != QCC_LIST_ABSENT && sizes.n >= 0 && sizes.n != parts)
    return qcc_shape_bad(f, QCC_M_ATTR, "split has %d entries, but the node has %u outputs", sizes.n, f->node->out_count);
  if (sizes.state == QCC_LIST_KNOWN) QCC_TRY(split_check(f, &sizes, x ? x->dim[axis] : QCC_DIM_UNKNOWN));
  qcc_type t = x ? *x : qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  for (uint32_t k = 0; k < f->node->out_count; k++) {
    if (x && sizes.state == QCC_LIST_KNOWN)
      t.dim[axis] = sizes.at[k];
    else if (x && sizes.state == QCC_LIST_ABSENT && x->dim[axis] >= 0)
      QCC_TRY(split_equally(f, x->dim[axis], k, &t.dim[axis]));
    else if (x && f->node->out_count > 1)
      t.dim[axis] = QCC_DIM_UNKNOWN;
    qcc_shape_set(f, k, &t);
  }
  return QCC_OK;
}

/* ---- block moves */
static qcc_status read_block(qcc_infer *f, int64_t *block) {
  *block = qcc_attr_int(f->node, "blocksize", 0);
  if (*block < 1 || *block > INT32_MAX)
    return qcc_shape_bad(f, QCC_M_ATTR, "blocksize is %lld; allowed is 1 to 2147483647", (long long)*block);
  return qcc_shape_rank(f, 0, 4, 4);
}

static const char *const modes[] = {"DCR", "CRD", NULL};
qcc_status qcc_shape_depth_to_space(qcc_infer *f) {
  int64_t block;
  int mode;
  QCC_TRY(read_block(f, &block));
  QCC_TRY(qcc_shape_choice(f, "mode", modes, &mode));
  qcc_type t = *f->in[0];
  if (t.rank == 4) {
    if (t.dim[1] >= 0 && t.dim[1] % (block * block))
      return qcc_shape_bad(f, QCC_M_DIM, "%lld channels are not a multiple of blocksize %lld squared", (long long)t.dim[1],
                           (long long)block);
    if (t.dim[1] >= 0)
      t.dim[1] /= block * block;
    else if (block > 1)
      t.dim[1] = QCC_DIM_UNKNOWN;
    for (int i = 2; i < 4; i++) {
      if (t.dim[i] >= 0 && !qcc_mul_s64(t.dim[i], block, &t.dim[i]))
        return qcc_shape_limit(f, "blocksize %lld is too large", (long long)block);
      if (t.dim[i] < 0 && block > 1) t.dim[i] = QCC_DIM_UNKNOWN;
    }
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_space_to_depth(qcc_infer *f) {
  int64_t block;
  QCC_TRY(read_block(f, &block));
  qcc_type t = *f->in[0];
  if (t.rank == 4) {
    for (int i = 2; i < 4; i++) {
      if (t.dim[i] >= 0 && t.dim[i] % block)
        return qcc_shape_bad(f, QCC_M_DIM, "size %lld of axis %d is not a multiple of blocksize %lld", (long long)t.dim[i], i,
                             (long long)block);
      if (t.dim[i] >= 0)
        t.dim[i] /= block;
      else if (block > 1)
        t.dim[i] = QCC_DIM_UNKNOWN;
    }
    if (t.dim[1] >= 0 && !qcc_mul_s64(t.dim[1], block * block, &t.dim[1]))
      return qcc_shape_limit(f, "blocksize %lld is too large", (long long)block);
    if (t.dim[1] < 0 && block > 1) t.dim[1] = QCC_DIM_UNKNOWN;
  }
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
