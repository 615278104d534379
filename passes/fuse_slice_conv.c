/* SPDX-License-Identifier: Apache-2.0
 * fuse-slice-conv: a convolution over all strided slices of a tensor side by side ("focus", space to depth) convolves the tensor itself.
 *
 *   %a = Slice(%x, [0,0], [H,W], [2,3], [2,2])      %b = Slice(%x, [1,0], ...)      ...
 *   %s = Concat(%a, %b, %c, %d) {axis=1}
 *   %y = Conv(%s, %w) {pads=[1,1,1,1]}              ->      %y = Conv(%x, %v) {pads=[2,2,2,2], strides=[2,2]}
 *
 * Slice k with steps (S, T) from (r, q) holds x[c, S i + r, T j + q]: its weight w[o, k C + c, u, v] stands at v[o, c, S u + r, T v + q]. Just
 * as many multiply-adds, without a copy of the tensor. The slices may be chains, one axis each. Claim: rounds (kernels sum in another order). */
#include <string.h>

#include "ir/check.h"
#include "passes/facts.h"
#include "passes/rewrite.h"

enum { CONV, X, W, B, MOST_PHASES = 16 };

/* Every step[]-th element from at[] on, along height and width. */
typedef struct phase {
  qcc_value *of;
  int64_t at[2], step[2];
} phase;

typedef struct focus {
  qcc_value *x;
  int64_t step[2], channels;
  uint32_t count;
  phase phases[MOST_PHASES];
} focus;

/* One axis of a Slice to the end of the tensor, into at and step of height (0) or width (1). */
static bool read_axis(phase *p, const qcc_type *t, int64_t start, int64_t end, int64_t axis, int64_t step) {
  axis = axis < 0 ? axis + t->rank : axis;
  if (axis < 2 || axis > 3 || step < 1 || start < 0 || start >= step || end < t->dim[axis]) return false;
  p->at[axis - 2] = start;
  p->step[axis - 2] = step;
  return true;
}

static bool read_slice(phase *p, const qcc_node *n) {
  qcc_int_list starts, ends, axes = {0}, steps = {0};
  const qcc_type *t = &n->in[0].value->type;
  *p = (phase){.of = n->in[0].value, .step = {1, 1}};
  if (t->rank != 4 || t->dim[2] < 1 || t->dim[3] < 1) return false;
  if (!qcc_node_ints(n, "starts", 1, &starts) || !qcc_node_ints(n, "ends", 2, &ends) || starts.count != ends.count) return false;
  if (!qcc_node_has(n, "axes", 3) || !qcc_node_ints(n, "axes", 3, &axes) || axes.count != starts.count) return false;
  const bool stepped = qcc_in(n, 4) != NULL;
  if (stepped && (!qcc_const_ints(n->in[4].value, &steps) || steps.count != starts.count)) return false;
  for (uint32_t k = 0; k < starts.count; k++)
    if (!read_axis(p, t, starts.at[k], ends.at[k], axes.at[k], stepped ? steps.at[k] : 1)) return false;
  return true;
}

/* Follows a chain of slices up to what they are taken from. */
static bool read_phase(phase *p, qcc_value *v) {
  phase outer;
  *p = (phase){.of = v, .step = {1, 1}};
  while (p->of->def && p->of->def->op == QCC_OP_SLICE && read_slice(&outer, p->of->def)) {
    for (int k = 0; k < 2; k++) {
      p->at[k] = outer.at[k] + outer.step[k] * p->at[k];
      if (!qcc_mul_s64(outer.step[k], p->step[k], &p->step[k]) || p->step[k] > MOST_PHASES) return false;
    }
    p->of = outer.of;
  }
  return p->step[0] * p->step[1] > 1;
}

static bool are_all_phases(const focus *f) {
  bool seen[MOST_PHASES] = {0};
  const int64_t *step = f->step;
  if (step[0] * step[1] != f->count) return false;
  for (uint32_t k = 0; k < f->count; k++) {
    const phase *p = &f->phases[k];
    const int64_t place = p->at[0] * step[1] + p->at[1];
    if (p->of != f->x || p->step[0] != step[0] || p->step[1] != step[1] || seen[place]) return false;
    seen[place] = true;
  }
  return true;
}

static const char *read_focus(focus *f, const qcc_match *m) {
  const qcc_node *concat = m->value[X]->def;
  if (!concat || concat->op != QCC_OP_CONCAT || concat->in_count > MOST_PHASES) return "it reads no slices";
  if (m->value[X]->use_count != 1 || qcc_attr_int(concat, "axis", 0) != 1) return "its slices are read by others";
  f->count = concat->in_count;
  for (uint32_t k = 0; k < f->count; k++)
    if (!read_phase(&f->phases[k], concat->in[k].value)) return "it reads no slices";
  f->x = f->phases[0].of;
  memcpy(f->step, f->phases[0].step, sizeof f->step);
  if (!are_all_phases(f)) return "the slices are not all of one tensor";
  const qcc_type *t = &f->x->type;
  f->channels = t->dim[1];
  return f->channels > 0 && t->dim[2] % f->step[0] == 0 && t->dim[3] % f->step[1] == 0 ? NULL : "the slices are not alike";
}

/* Fills `out` with attribute `name`, `fallback` where it is not given. */
static bool window(const qcc_node *n, const char *name, uint32_t count, int64_t fallback, int64_t *out) {
  uint32_t given = 0;
  const int64_t *at = qcc_attr_ints(n, name, &given);
  for (uint32_t k = 0; k < count; k++) out[k] = given ? at[k] : fallback;
  return !given || given == count;
}

static const char *when(const qcc_match *m) {
  focus f;
  int64_t dilation[2], sizes[4];
  const qcc_node *n = m->node[CONV];
  const qcc_type *w = &m->value[W]->type;
  const char *why = read_focus(&f, m);
  if (why) return why;
  if (strcmp(qcc_attr_str(n, "auto_pad", "NOTSET"), "NOTSET") != 0) return "it pads by itself";
  if (!window(n, "dilations", 2, 1, dilation) || dilation[0] != 1 || dilation[1] != 1) return "its window has holes";
  if (!window(n, "pads", 4, 0, sizes) || !window(n, "strides", 2, 1, sizes)) return "its window does not fit the rank";
  if (w->dtype != QCC_F32 || w->rank != 4 || qcc_attr_int(n, "group", 1) != 1) return "it has groups";
  return w->dim[1] == f.channels * f.count ? NULL : "its weights do not fit";
}

static void spread(float *to, const float *from, const qcc_type *w, const focus *f) {
  const int64_t kh = w->dim[2], kw = w->dim[3], width = kw * f->step[1];
  for (int64_t o = 0; o < w->dim[0]; o++)
    for (uint32_t k = 0; k < f->count; k++)
      for (int64_t c = 0; c < f->channels; c++) {
        float *plane = to + (o * f->channels + c) * kh * f->step[0] * width + f->phases[k].at[0] * width + f->phases[k].at[1];
        for (int64_t u = 0; u < kh; u++)
          for (int64_t v = 0; v < kw; v++) plane[u * f->step[0] * width + v * f->step[1]] = *from++;
      }
}

static qcc_value *wide_weight(const qcc_match *m, const focus *f) {
  const qcc_type *w = &m->value[W]->type;
  qcc_type type = qcc_type_of(QCC_F32, 4, (int64_t[]){w->dim[0], f->channels, w->dim[2] * f->step[0], w->dim[3] * f->step[1]});
  qcc_tensor t;
  float *from = qcc_alloc_array(m->p->cx, (size_t)qcc_tensor_count(m->value[W]->data) + 1, sizeof *from);
  if (!from || qcc_tensor_new(&t, m->p->cx, &type) != QCC_OK) {
    qcc_free(m->p->cx, from);
    return NULL;
  }
  float *to = qcc_tensor_mut(&t);
  qcc_tensor_read_f32(m->value[W]->data, from);
  if (to) spread(to, from, w, f);
  qcc_free(m->p->cx, from);
  qcc_value *v = qcc_add_const(m->root->graph, NULL, &t);
  qcc_take_name(v, m->value[W]);
  return v;
}

static qcc_value *build(const qcc_match *m) {
  focus f;
  int64_t pads[4], strides[2];
  const qcc_node *old = m->node[CONV];
  if (read_focus(&f, m)) return NULL;
  window(old, "pads", 4, 0, pads);
  window(old, "strides", 2, 1, strides);
  for (int k = 0; k < 4; k++) pads[k] *= f.step[k % 2];
  for (int k = 0; k < 2; k++) strides[k] *= f.step[k];
  qcc_value *in[3] = {f.x, wide_weight(m, &f), m->value[B]};
  qcc_node *n = in[1] ? qcc_add_node(old->graph, m->root, QCC_OP_CONV, NULL, in, old->in_count > 3 ? 3 : old->in_count, 1) : NULL;
  if (!n) return NULL;
  qcc_attr_copy(n, old);
  qcc_attr_remove(n, "kernel_shape");
  qcc_attr_set_ints(n, "pads", pads, 4);
  qcc_attr_set_ints(n, "strides", strides, 2);
  return qcc_out(n, 0);
}

static const qcc_rule rules[] = {
    {.name = "slice-conv",
     .doc = "conv(concat(all strided slices of x), w) -> conv(x, v) with wider strides",
     .when = when,
     .build = build,
     .pattern = P_OP(CONV, OPS(QCC_OP_CONV), P_ANY(X), P_CONST(W), P_MAYBE(B))},
};

static qcc_status run(qcc_pass_cx *p) { return QCC_REWRITE(p, rules); }

const qcc_pass qcc_pass_fuse_slice_conv = {
    .name = "fuse-slice-conv",
    .doc = "convolve a tensor instead of all its strided slices",
    .options = "",
    .needs = QCC_PROP_SHAPES | QCC_PROP_CANONICAL,
    .keeps = QCC_PROP_SHAPES | QCC_PROP_CANONICAL | QCC_PROP_OPSET13,
    .claim = QCC_CLAIM_ROUNDS,
    .run = run,
};
