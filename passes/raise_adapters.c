/* SPDX-License-Identifier: Apache-2.0
 * The adapters of raise-opset, in the order of raise_opset.def. Each states in one line what changed between the versions. */
#include <string.h>

#include "passes/raise_opset.h"

/* ---- up to 6 */
/* `p` was a float. */
qcc_status qcc_raise_float_p(qcc_raise *r) {
  const qcc_attr *a = qcc_attr_find(r->node, "p");
  if (a && a->kind == QCC_ATTR_FLOAT) {
    float p = a->f;
    if (!(p >= 1 && p <= 1e6f) || p != (float)(int64_t)p) return qcc_raise_refuse(r, "p is not a whole number");
    qcc_attr_remove(r->node, "p");
    qcc_attr_set_int(r->node, "p", (int64_t)p);
  }
  return QCC_OK;
}

/* The attribute was called paddings. */
qcc_status qcc_raise_paddings(qcc_raise *r) {
  uint32_t n;
  const int64_t *at = qcc_attr_ints(r->node, "paddings", &n);
  if (!at) return QCC_OK;
  qcc_attr_set_ints(r->node, "pads", at, n);
  qcc_attr_remove(r->node, "paddings");
  return QCC_OK;
}

/* The sizes could be an input. Only a constant can become the attribute that versions 2 to 12 have. */
qcc_status qcc_raise_split_input(qcc_raise *r) {
  const qcc_value *sizes = qcc_in(r->node, 1);
  int64_t at[64];
  if (!sizes || r->to >= 13) return QCC_OK;
  if (!qcc_is_const(sizes) || qcc_tensor_count(sizes->data) > 64) return qcc_raise_refuse(r, "the sizes of the parts are not constant");
  uint32_t n = (uint32_t)qcc_tensor_count(sizes->data);
  for (uint32_t i = 0; i < n; i++) at[i] = qcc_tensor_get_s64(sizes->data, i);
  qcc_attr_set_ints(r->node, "split", at, n);
  qcc_raise_drop_input(r, 1);
  return QCC_OK;
}

/* `axis` had a default. */
qcc_status qcc_raise_concat_axis(qcc_raise *r) {
  if (!qcc_attr_find(r->node, "axis")) qcc_attr_set_int(r->node, "axis", 1);
  return QCC_OK;
}

qcc_status qcc_raise_reshape_shape(qcc_raise *r) { return qcc_raise_move_ints(r, "shape", 1); }

/* Types were spelled out. */
qcc_status qcc_raise_cast_to(qcc_raise *r) {
  const qcc_attr *a = qcc_attr_find(r->node, "to");
  const qcc_value *out = qcc_out(r->node, 0);
  if (!a || a->kind != QCC_ATTR_STRING || !out) return QCC_OK;
  if (out->type.dtype == QCC_NONE) return qcc_raise_refuse(r, "the type to cast to is unknown"); // inference has read the attribute
  int64_t to = out->type.dtype;
  qcc_attr_remove(r->node, "to");
  qcc_attr_set_int(r->node, "to", to);
  return QCC_OK;
}

/* One axis was repeated: inputs tiles and axis. */
qcc_status qcc_raise_tile_repeats(qcc_raise *r) {
  qcc_value *x = qcc_in(r->node, 0), *tiles = qcc_in(r->node, 1), *axis = qcc_in(r->node, 2);
  if (!axis) return QCC_OK;
  if (!qcc_is_const(tiles) || !qcc_is_const(axis) || x->type.rank < 0) return qcc_raise_refuse(r, "repeats or axis are not constant");
  int64_t repeats[QCC_MAX_RANK], at = qcc_tensor_get_s64(axis->data, 0);
  if (at < 0 || at >= x->type.rank) return qcc_raise_refuse(r, "the axis is out of range");
  for (int i = 0; i < x->type.rank; i++) repeats[i] = i == at ? qcc_tensor_get_s64(tiles->data, 0) : 1;
  qcc_value *list = qcc_raise_ints(r, "repeats", repeats, (uint32_t)x->type.rank);
  QCC_TRY(qcc_raise_become(r, QCC_OP_TILE, (qcc_value *const[]){qcc_in(r->node, 0), list}, 2, 1));
  if (tiles->use_count == 0) qcc_erase_const(tiles);
  if (axis != tiles && axis->use_count == 0) qcc_erase_const(axis);
  return QCC_OK;
}

/* ---- 7 */
/* `axis` placed the second operand within the first; now shapes align at the end. */
qcc_status qcc_raise_broadcast(qcc_raise *r) {
  const qcc_value *a = qcc_in(r->node, 0), *b = qcc_in(r->node, 1);
  if (qcc_attr_int(r->node, "broadcast", 0) && qcc_attr_find(r->node, "axis")) {
    if (!a || !b || a->type.rank < 0 || b->type.rank < 0) return qcc_raise_refuse(r, "the rank of an operand is unknown");
    int64_t axis = qcc_attr_int(r->node, "axis", 0);
    int64_t ones = a->type.rank - b->type.rank - (axis < 0 ? axis + a->type.rank : axis);
    if (ones < 0 || ones + b->type.rank > QCC_MAX_RANK)
      return qcc_raise_refuse(r, "axis does not place the second operand within the first");
    if (ones > 0) qcc_set_input(r->node, 1, qcc_raise_append_axes(r, 1, (int)ones));
  }
  qcc_attr_remove(r->node, "broadcast");
  qcc_attr_remove(r->node, "axis");
  return QCC_OK;
}

/* One slope per channel stood for itself; now it must broadcast. */
qcc_status qcc_raise_prelu_slope(qcc_raise *r) {
  const qcc_value *x = qcc_in(r->node, 0), *slope = qcc_in(r->node, 1);
  int64_t count;
  if (!slope || slope->type.rank != 1 || (qcc_type_count(&slope->type, &count) && count == 1)) return QCC_OK;
  if (!x || x->type.rank < 0) return qcc_raise_refuse(r, "the rank of the input is unknown");
  if (x->type.rank > 2) qcc_set_input(r->node, 1, qcc_raise_append_axes(r, 1, x->type.rank - 2));
  return QCC_OK;
}

qcc_status qcc_raise_gemm_broadcast(qcc_raise *r) {
  qcc_attr_remove(r->node, "broadcast");
  return QCC_OK;
}

/* The mode was an attribute; qcc reads models for inference. */
qcc_status qcc_raise_test_mode(qcc_raise *r) {
  qcc_attr_remove(r->node, "is_test");
  return QCC_OK;
}

qcc_status qcc_raise_output_sequence(qcc_raise *r) {
  qcc_attr_remove(r->node, "output_sequence");
  return QCC_OK;
}

/* Two factors became a list of scales. */
qcc_status qcc_raise_upsample_factors(qcc_raise *r) {
  float scales[4] = {1, 1, qcc_attr_float(r->node, "height_scale", 1), qcc_attr_float(r->node, "width_scale", 1)};
  if (!qcc_attr_find(r->node, "scales")) qcc_attr_set_floats(r->node, "scales", scales, 4);
  qcc_attr_remove(r->node, "height_scale");
  qcc_attr_remove(r->node, "width_scale");
  if (strcmp(qcc_attr_str(r->node, "mode", "nearest"), "bilinear") == 0) qcc_attr_set_str(r->node, "mode", "linear", 6);
  return QCC_OK;
}

/* ---- 9 to 12 */
/* spatial=0 normalized every activation by itself. */
qcc_status qcc_raise_spatial(qcc_raise *r) {
  if (qcc_attr_int(r->node, "spatial", 1) == 0) return qcc_raise_refuse(r, "spatial=0 has no equal in newer versions");
  qcc_attr_remove(r->node, "spatial");
  return QCC_OK;
}

qcc_status qcc_raise_scan_batch(qcc_raise *r) {
  return qcc_raise_refuse(r, "the batched Scan of version 8 has no equal in newer versions");
}

qcc_status qcc_raise_upsample_scales(qcc_raise *r) {
  uint32_t n;
  const float *at = qcc_attr_floats(r->node, "scales", &n);
  if (!at || qcc_in(r->node, 1)) return QCC_OK;
  int64_t dim = n;
  qcc_value *scales =
      qcc_add_const_f32(r->node->graph, r->node->name[0] ? qcc_internf(r->cx, "%s_scales", r->node->name) : NULL, 1, &dim, at);
  qcc_set_input(r->node, 1, scales);
  qcc_attr_remove(r->node, "scales");
  return QCC_OK;
}

/* The mask became bool. */
qcc_status qcc_raise_dropout_mask(qcc_raise *r) {
  qcc_value *mask = qcc_out(r->node, 1);
  if (!mask) return QCC_OK;
  if (mask->use_count) return qcc_raise_refuse(r, "its mask is used");
  mask->type = qcc_type_unknown();
  mask->typed_by_file = false;
  return QCC_OK;
}

qcc_status qcc_raise_slice_lists(qcc_raise *r) {
  QCC_TRY(qcc_raise_move_ints(r, "starts", 1));
  QCC_TRY(qcc_raise_move_ints(r, "ends", 2));
  return qcc_raise_move_ints(r, "axes", 3);
}

qcc_status qcc_raise_topk_k(qcc_raise *r) {
  int64_t k = qcc_attr_int(r->node, "k", -1);
  if (!qcc_attr_find(r->node, "k")) return QCC_OK;
  qcc_set_input(r->node, 1, qcc_raise_ints(r, "k", &k, 1));
  qcc_attr_remove(r->node, "k");
  return QCC_OK;
}

qcc_status qcc_raise_upsample_to_resize(qcc_raise *r) {
  qcc_value *in[] = {qcc_in(r->node, 0), qcc_in(r->node, 1)};
  return qcc_raise_become(r, QCC_OP_RESIZE, in, 2, 1);
}

static const char *const limit_names[] = {"min", "max"};

qcc_status qcc_raise_clip_limits(qcc_raise *r) {
  for (uint32_t k = 0; k < 2; k++) {
    if (!qcc_attr_find(r->node, limit_names[k])) continue;
    qcc_value *limit = qcc_raise_number(r, limit_names[k], qcc_attr_float(r->node, limit_names[k], 0));
    for (uint32_t i = r->node->in_count; i <= k; i++) qcc_set_input(r->node, i, NULL);
    qcc_set_input(r->node, k + 1, limit);
    qcc_attr_remove(r->node, limit_names[k]);
  }
  return QCC_OK;
}

qcc_status qcc_raise_pad_pads(qcc_raise *r) {
  float value = qcc_attr_float(r->node, "value", 0);
  QCC_TRY(qcc_raise_move_ints(r, "pads", 1));
  if (value < 0 || value > 0) qcc_set_input(r->node, 2, qcc_raise_number(r, "value", value));
  qcc_attr_remove(r->node, "value");
  return QCC_OK;
}

/* Does Resize-10 shrink every axis that it changes? Then runtimes rounded the nearest element up. */
static bool shrinks(const qcc_value *scales) {
  if (!qcc_is_const(scales)) return false;
  bool any = false;
  for (int64_t i = 0, n = qcc_tensor_count(scales->data); i < n; i++) {
    double s = qcc_tensor_get(scales->data, i);
    if (s > 1) return false;
    any = any || s < 1;
  }
  return any;
}

/* Scales moved behind the new roi; coordinates were asymmetric, and the nearest element was the one before. */
qcc_status qcc_raise_resize_floor(qcc_raise *r) {
  qcc_value *scales = qcc_in(r->node, 1);
  int64_t none = 0;
  float nothing = 0;
  const char *name = r->node->name[0] ? qcc_internf(r->cx, "%s_roi", r->node->name) : NULL;
  qcc_value *roi = r->to >= 13 ? NULL : qcc_add_const_f32(r->node->graph, name, 1, &none, &nothing);
  qcc_set_input(r->node, 1, roi);
  qcc_set_input(r->node, 2, scales);
  qcc_attr_set_str(r->node, "coordinate_transformation_mode", "asymmetric", 10);
  if (strcmp(qcc_attr_str(r->node, "mode", "nearest"), "nearest") != 0) return QCC_OK;
  if (shrinks(scales))
    qcc_attr_set_str(r->node, "nearest_mode", "ceil", 4);
  else
    qcc_attr_set_str(r->node, "nearest_mode", "floor", 5);
  return QCC_OK;
}

/* Renamed. */
qcc_status qcc_raise_scatter_elements(qcc_raise *r) {
  qcc_value *in[] = {qcc_in(r->node, 0), qcc_in(r->node, 1), qcc_in(r->node, 2)};
  return qcc_raise_become(r, QCC_OP_SCATTER_ELEMENTS, in, 3, 1);
}

qcc_status qcc_raise_dropout_ratio(qcc_raise *r) {
  if (!qcc_attr_find(r->node, "ratio")) return QCC_OK;
  qcc_set_input(r->node, 1, qcc_raise_number(r, "ratio", qcc_attr_float(r->node, "ratio", 0.5f)));
  qcc_attr_remove(r->node, "ratio");
  return QCC_OK;
}

/* ---- 13 */
qcc_status qcc_raise_axes_input(qcc_raise *r) { return qcc_raise_move_ints(r, "axes", 1); }

qcc_status qcc_raise_split_sizes(qcc_raise *r) { return qcc_raise_move_ints(r, "split", 1); }

/* The shape of `x` as an input of Reshape: a constant when at most one size is unknown, else read at run time. */
static qcc_value *shape_of(const qcc_raise *r, qcc_value *x) {
  int64_t dims[QCC_MAX_RANK], open = 0;
  for (int i = 0; i < x->type.rank; i++) {
    dims[i] = x->type.dim[i] > 0 ? x->type.dim[i] : -1;
    open += dims[i] < 0;
  }
  if (x->type.rank >= 0 && open <= 1) return qcc_raise_ints(r, "shape", dims, (uint32_t)x->type.rank);
  return qcc_raise_emit(r, QCC_OP_SHAPE, &x, 1, QCC_S64);
}

/* The input was flattened to a matrix at `axis`, and each row was one distribution. The same as today's meaning when nothing but
 * sizes of 1 stands behind the axis; else the flattening is written out. */
qcc_status qcc_raise_softmax_axis(qcc_raise *r) {
  qcc_value *x = qcc_in(r->node, 0), *old = qcc_out(r->node, 0);
  int64_t axis = qcc_attr_int(r->node, "axis", 1);
  int rank = x->type.rank;
  bool same = axis == -1;
  if (rank >= 0) {
    int64_t at = axis < 0 ? axis + rank : axis;
    same = at < rank;
    for (int64_t i = at + 1; i < rank; i++) same = same && x->type.dim[i] == 1;
  }
  qcc_attr_set_int(r->node, "axis", same ? axis : -1);
  if (same) return QCC_OK;
  if (r->to < 9 && axis < 0) return qcc_raise_refuse(r, "axis is negative");
  qcc_value *flat = qcc_raise_emit(r, QCC_OP_FLATTEN, &x, 1, x->type.dtype), *shape = shape_of(r, x);
  if (!flat || !shape) return QCC_NOMEM;
  qcc_attr_set_int(flat->def, "axis", axis);
  qcc_set_input(r->node, 0, flat);
  qcc_node *after = r->node->next;
  qcc_node *back = qcc_add_node(r->node->graph, after, QCC_OP_RESHAPE, qcc_internf(r->cx, "%s_Reshape", old->name), NULL, 0, 1);
  if (!back) return QCC_NOMEM;
  qcc_add_origin(back, r->node);
  qcc_set_type(qcc_out(back, 0), &old->type);
  qcc_out(back, 0)->typed_by_file = old->typed_by_file;
  qcc_swap_names(old, qcc_out(back, 0)); // the name stays with the meaning
  qcc_replace_uses(old, qcc_out(back, 0));
  qcc_set_input(back, 0, old);
  qcc_set_input(back, 1, shape);
  qcc_set_type(old, &flat->type);
  old->typed_by_file = false;
  return QCC_OK;
}

/* Empty scales or roi mean "left out", which is now said so. */
qcc_status qcc_raise_resize_empty(qcc_raise *r) {
  for (uint32_t k = 1; k < 3; k++) {
    const qcc_value *v = qcc_in(r->node, k);
    if (qcc_is_const(v) && qcc_tensor_count(v->data) == 0) qcc_raise_drop_input(r, k);
  }
  return QCC_OK;
}

/* ---- 14 and above */
/* Statistics that only training reads are gone. */
qcc_status qcc_raise_batch_norm_outputs(qcc_raise *r) {
  qcc_value *in[5];
  for (uint32_t k = 0; k < 5; k++) in[k] = qcc_in(r->node, k);
  for (uint32_t k = 1; k < r->node->out_count; k++)
    if (qcc_out(r->node, k) && qcc_out(r->node, k)->use_count) return qcc_raise_refuse(r, "its statistics are used");
  return r->node->out_count > 1 ? qcc_raise_become(r, QCC_OP_BATCH_NORMALIZATION, in, 5, 1) : QCC_OK;
}

/* The default of the attribute changed. */
qcc_status qcc_raise_roi_align_mode(qcc_raise *r) {
  if (!qcc_attr_find(r->node, "coordinate_transformation_mode"))
    qcc_attr_set_str(r->node, "coordinate_transformation_mode", "output_half_pixel", 17);
  return QCC_OK;
}

/* Without sizes the number of parts must be given. */
qcc_status qcc_raise_split_count(qcc_raise *r) {
  if (!qcc_in(r->node, 1)) qcc_attr_set_int(r->node, "num_outputs", r->node->out_count);
  return QCC_OK;
}

qcc_status qcc_raise_dft_axis(qcc_raise *r) {
  int64_t axis = qcc_attr_int(r->node, "axis", 1);
  qcc_value *v = qcc_add_const_s64(r->node->graph, NULL, 0, NULL, &axis);
  for (uint32_t k = r->node->in_count; k < 2; k++) qcc_set_input(r->node, k, NULL);
  qcc_set_input(r->node, 2, v);
  qcc_attr_remove(r->node, "axis");
  return QCC_OK;
}

qcc_status qcc_raise_grid_sample_mode(qcc_raise *r) {
  const char *mode = qcc_attr_str(r->node, "mode", "bilinear");
  if (strcmp(mode, "bilinear") == 0) qcc_attr_set_str(r->node, "mode", "linear", 6);
  if (strcmp(mode, "bicubic") == 0) qcc_attr_set_str(r->node, "mode", "cubic", 5);
  return QCC_OK;
}

/* Scale and bias of a group became those of its channels. */
qcc_status qcc_raise_group_norm_channels(qcc_raise *r) {
  const qcc_value *x = qcc_in(r->node, 0);
  int64_t groups = qcc_attr_int(r->node, "num_groups", 0);
  if (!x || x->type.rank < 2 || x->type.dim[1] < 0 || groups < 1) return qcc_raise_refuse(r, "the number of channels is unknown");
  int64_t wide[] = {groups, x->type.dim[1] / groups}, flat = -1;
  qcc_value *to = qcc_raise_ints(r, "wide", wide, 2), *back = qcc_raise_ints(r, "channels", &flat, 1);
  for (uint32_t k = 1; k < 3; k++) {
    qcc_dtype dtype = x->type.dtype;
    qcc_value *column = qcc_raise_append_axes(r, k, 1);
    qcc_value *all = qcc_raise_emit(r, QCC_OP_EXPAND, (qcc_value *const[]){column, to}, 2, dtype);
    qcc_set_input(r->node, k, qcc_raise_emit(r, QCC_OP_RESHAPE, (qcc_value *const[]){all, back}, 2, dtype));
  }
  return QCC_OK;
}
