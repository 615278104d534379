/* SPDX-License-Identifier: Apache-2.0
 * The caller's choice of types among what a target takes. Operators that do not take them leave the lists, so that everything behind
 * sees a target for which the choice is the only one; a choice that no operator takes is refused. */
#include <string.h>

#include "backends/target/target.h"
#include "ir/grid.h"

enum { SCHEME_OPEN = -1 };

typedef struct type_choice {
  const char *what, *text; /* "activations", and what the caller wrote */
  qcc_dtype dtype;         /* QCC_NONE: the target's own choice */
  int scheme;              /* SCHEME_OPEN: the target's own choice */
} type_choice;

/* ---- reading */

/* "u8", or "uint8" as capability files have it. */
static qcc_dtype dtype_named(const char *text, size_t n) {
  char name[8];
  size_t skip = n > 4 && memcmp(text, "uint", 4) == 0 ? 4 : n > 3 && memcmp(text, "int", 3) == 0 ? 3 : 0;
  if (n - skip + 2 > sizeof name) return QCC_NONE;
  memcpy(name + 1, text + skip, n - skip);
  name[n - skip + 1] = 0;
  name[0] = skip == 4 ? 'u' : 's';
  qcc_dtype t = qcc_dtype_from_name(skip ? name : name + 1);
  return t != QCC_NONE && qcc_dtype_is_int(t) && (qcc_dtype_bits(t) == 8 || qcc_dtype_bits(t) == 16) ? t : QCC_NONE;
}

/* Weights may be floats, too. */
static qcc_dtype float_named(const char *text) {
  const qcc_dtype t = strcmp(text, "f8e4m3") == 0 ? QCC_F8E4M3FN : qcc_dtype_from_name(text);
  return t == QCC_F8E4M3FN || t == QCC_F8E5M2 ? t : QCC_NONE;
}

static qcc_status read_type(type_choice *out, qcc_context *cx, const char *what, const char *text, bool floats, const char *allowed) {
  *out = (type_choice){.what = what, .text = text, .dtype = QCC_NONE, .scheme = SCHEME_OPEN};
  if (!text) return QCC_OK;
  const char *colon = strchr(text, ':');
  out->dtype = dtype_named(text, colon ? (size_t)(colon - text) : strlen(text));
  if (out->dtype == QCC_NONE && floats) out->dtype = float_named(text);
  if (colon && strcmp(colon, ":sym") == 0) out->scheme = QCC_SCHEME_SYM;
  if (colon && strcmp(colon, ":asym") == 0) out->scheme = QCC_SCHEME_ASYM;
  if (out->dtype != QCC_NONE && (!colon || out->scheme != SCHEME_OPEN)) return QCC_OK;
  return qcc_error(cx, QCC_ARG, "A-210", NULL, "%s: \"%s\" is no type; allowed are %s", what, text, allowed);
}

/* ---- what fits */

static bool side_fits(const qcc_target_side *side, const type_choice *c) {
  if (c->dtype == QCC_NONE) return true;
  if (!qcc_choices_have(&side->dtype, c->dtype)) return false;
  if (side->zero_only && qcc_dtype_kind(c->dtype) == QCC_KIND_UINT) return false;
  return c->scheme == SCHEME_OPEN || qcc_choices_have(&side->scheme, (unsigned)c->scheme);
}

static bool is_weighted(qcc_op op) {
  qcc_role role = qcc_op_get(op)->role;
  return role == QCC_ROLE_WEIGHTED || role == QCC_ROLE_RECURRENT;
}

static bool *mode_flag(qcc_target_op *o, qcc_mode mode) {
  return mode == QCC_MODE_STATIC ? &o->is_static : mode == QCC_MODE_DYNAMIC ? &o->dynamic : &o->weight_only;
}

typedef struct narrowing {
  type_choice activations, weights;
  bool per_tensor;
  bool took_activations, took_weights, took_per_tensor; /* some weighted operator does */
} narrowing;

static void narrow_way(narrowing *w, bool weighted, bool *on, qcc_target_way *way, qcc_mode mode) {
  bool activations = mode == QCC_MODE_WEIGHT || side_fits(&way->activation, &w->activations);
  bool weights = !weighted || side_fits(&way->weight, &w->weights);
  bool granularity = !weighted || !w->per_tensor || qcc_choices_have(&way->weight.granularity, QCC_GRANULARITY_PER_TENSOR);
  w->took_activations |= *on && weighted && activations && mode == QCC_MODE_STATIC;
  w->took_weights |= *on && weighted && weights;
  w->took_per_tensor |= *on && weighted && granularity;
  *on = *on && activations && weights && granularity;
  if (w->per_tensor && weighted) way->weight.granularity = (qcc_choices){1, {QCC_GRANULARITY_PER_TENSOR}};
}

static void narrow(qcc_target *t, narrowing *w) {
  for (qcc_op op = QCC_OP_OPAQUE; op < QCC_OP_COUNT; op++)
    for (qcc_mode mode = QCC_MODE_STATIC; mode <= QCC_MODE_WEIGHT; mode++)
      narrow_way(w, is_weighted(op), mode_flag(&t->ops[op], mode), &t->ops[op].way[mode], mode);
}

/* ---- refusing */

static void add_names(char *to, size_t n, const qcc_choices *dtypes) {
  for (uint8_t i = 0; i < dtypes->count; i++) {
    const char *name = qcc_dtype_name((qcc_dtype)dtypes->at[i]);
    if (qcc_dtype_bits((qcc_dtype)dtypes->at[i]) > (qcc_dtype_is_int((qcc_dtype)dtypes->at[i]) ? 16 : 8) || strstr(to, name)) continue;
    size_t at = strlen(to);
    qcc_format(to + at, n - at, "%s%s", at ? ", " : "", name);
  }
}

static void add_schemes(char *to, size_t n, const qcc_choices *schemes) {
  static const char *const names[] = {[QCC_SCHEME_SYM] = " :sym", [QCC_SCHEME_ASYM] = " :asym"};
  for (uint8_t i = 0; i < schemes->count; i++) {
    size_t at = strlen(to);
    if (!strstr(to, names[schemes->at[i]])) qcc_format(to + at, n - at, "%s", names[schemes->at[i]]);
  }
}

static qcc_status refuse(const qcc_target *t, const type_choice *c, bool weights) {
  char dtypes[64] = "", schemes[32] = "";
  for (qcc_op op = QCC_OP_OPAQUE; op < QCC_OP_COUNT; op++) {
    const qcc_target_way *way = t->ops[op].way;
    if (!is_weighted(op)) continue;
    for (qcc_mode mode = QCC_MODE_STATIC; mode <= (weights ? QCC_MODE_WEIGHT : QCC_MODE_STATIC); mode++) {
      const qcc_target_side *side = weights ? &way[mode].weight : &way[mode].activation;
      add_names(dtypes, sizeof dtypes, &side->dtype);
      add_schemes(schemes, sizeof schemes, &side->scheme);
    }
  }
  return qcc_error(t->cx, QCC_ARG, "A-211", NULL, "target \"%s\" takes no %s \"%s\"; it takes %s with%s", t->name, c->what, c->text,
                   dtypes[0] ? dtypes : "none", schemes);
}

/* ---- grids */

static void set_grid(qcc_grid *g, const type_choice *c) {
  if (c->dtype == QCC_NONE) return;
  if (c->scheme != SCHEME_OPEN) g->symmetric = c->scheme == QCC_SCHEME_SYM;
  g->dtype = c->dtype;
  if (!qcc_dtype_is_int(c->dtype)) return; /* it is no grid */
  g->lo = (int32_t)qcc_dtype_min(c->dtype);
  g->hi = (int32_t)qcc_dtype_max(c->dtype);
}

/* Weights have as many codes below zero as above. */
static void set_weight_grid(qcc_grid *g, bool reduced) {
  if (!qcc_dtype_is_int(g->dtype)) return;
  int32_t middle = qcc_grid_middle(g), half = reduced ? (g->hi - middle + 1) / 2 : g->hi - middle;
  g->lo = middle - half;
  g->hi = middle + half;
}

/* Products of other types than u8 by s8 are added exactly, or in float. */
static bool sums_in_pairs(const qcc_target *t) { return qcc_dtype_bits(t->activation.dtype) == 8 && t->weight.dtype == QCC_S8; }

qcc_status qcc_target_choose(qcc_target *t, const qcc_target_choice *choice) {
  narrowing w = {.per_tensor = choice->per_tensor};
  QCC_TRY(read_type(&w.activations, t->cx, "activations", choice->activations, false, "u8, s8, u16, s16, with :sym or :asym behind it"));
  QCC_TRY(read_type(&w.weights, t->cx, "weights", choice->weights, true, "int8, uint8, int4, uint4, f8e4m3, f8e5m2"));
  if (w.weights.scheme == QCC_SCHEME_ASYM)
    return qcc_error(t->cx, QCC_ARG, "A-212", NULL, "weights \"%s\": zero stands in the middle of their codes; leave out :asym",
                     w.weights.text);
  if (choice->reduce_range && qcc_dtype_is_f8(w.weights.dtype))
    return qcc_error(t->cx, QCC_ARG, "A-214", NULL, "weights \"%s\" are floats: they have no 7 bits", w.weights.text);
  w.weights.scheme = w.weights.dtype == QCC_NONE ? SCHEME_OPEN : QCC_SCHEME_SYM;
  narrow(t, &w);
  if (w.activations.dtype != QCC_NONE && !w.took_activations) return refuse(t, &w.activations, false);
  if (w.weights.dtype != QCC_NONE && !w.took_weights) return refuse(t, &w.weights, true);
  if (w.per_tensor && !w.took_per_tensor)
    return qcc_error(t->cx, QCC_ARG, "A-213", NULL, "target \"%s\" takes no weights with one scale for the whole tensor", t->name);
  set_grid(&t->activation, &w.activations);
  set_grid(&t->weight, &w.weights);
  set_weight_grid(&t->weight, choice->reduce_range);
  t->activation.pow2 = t->weight.pow2 = choice->pow2;
  if (!sums_in_pairs(t)) t->pairs = QCC_SATURATION_NONE;
  return QCC_OK;
}
