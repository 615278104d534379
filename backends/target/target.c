/* SPDX-License-Identifier: Apache-2.0
 * From what a capability file says to what strategies ask. Nothing here decides anything; what a file leaves out is filled with u8
 * activations and s8 weights, the one combination that every runtime has. */
#include "backends/target/target.h"

#include <string.h>

#include "backends/target/chains.h"
#include "backends/target/costs.h"
#include "backends/target/words.h"

/* ---- words */

static bool says(const qcc_yaml_words *w, qcc_word word) {
  for (uint8_t i = 0; i < w->count; i++) {
    if (w->word[i] == word) return true;
  }
  return false;
}

static void add_words(qcc_choices *to, const qcc_yaml_words *from, unsigned fallback) {
  for (uint8_t i = 0; i < from->count; i++) qcc_choices_add(to, qcc_target_code((qcc_word)from->word[i]));
  if (!to->count) qcc_choices_add(to, fallback);
}

/* "int" stands for the types that have the sizes in "bits". */
static void add_dtypes(qcc_choices *to, const qcc_yaml_SIDE *side, unsigned fallback) {
  static const struct {
    int64_t bits;
    uint8_t sym, asym;
  } types[] = {{8, QCC_S8, QCC_U8}, {4, QCC_S4, QCC_U4}, {2, QCC_S2, QCC_U2}};
  bool sym = !side->scheme.count || says(&side->scheme, QCC_WORD_SCHEME_SYM), asym = says(&side->scheme, QCC_WORD_SCHEME_ASYM);
  for (uint8_t i = 0; i < side->dtype.count; i++) {
    if (side->dtype.word[i] != QCC_WORD_DTYPE_NONE) {
      qcc_choices_add(to, qcc_target_code((qcc_word)side->dtype.word[i]));
      continue;
    }
    for (uint32_t k = 0; k < side->bits.count; k++) {
      for (size_t j = 0; j < sizeof types / sizeof *types; j++) {
        if (types[j].bits != side->bits.value[k]) continue;
        if (sym) qcc_choices_add(to, types[j].sym);
        if (asym) qcc_choices_add(to, types[j].asym);
      }
    }
  }
  if (!to->count) qcc_choices_add(to, fallback);
}

/* ---- rows */

static qcc_status check_zero(qcc_context *cx, const qcc_yaml_SIDE *side, const qcc_target_side *made) {
  qcc_dtype first = (qcc_dtype)qcc_choices_first(&made->dtype, QCC_NONE);
  bool signed_codes = first == QCC_NONE || !qcc_dtype_is_int(first) || qcc_dtype_min(first) < 0;
  if (!made->zero_only || (signed_codes && qcc_choices_first(&made->scheme, QCC_SCHEME_SYM) == QCC_SCHEME_SYM)) return QCC_OK;
  qcc_loc loc = qcc_doc_loc(side->zero.at);
  return qcc_error(cx, QCC_ARG, "A-221", &loc, "zero_point: zero takes a signed type and the scheme sym; here they begin with %s and %s",
                   qcc_dtype_name(first), made->scheme.at[0] == QCC_SCHEME_SYM ? "sym" : "asym");
}

static qcc_status fill_side(qcc_context *cx, qcc_target_side *to, const qcc_yaml_SIDE *from, bool weight) {
  add_dtypes(&to->dtype, from, weight ? QCC_S8 : QCC_U8);
  add_words(&to->scheme, &from->scheme, weight ? QCC_SCHEME_SYM : QCC_SCHEME_ASYM);
  add_words(&to->granularity, &from->granularity, QCC_GRANULARITY_PER_TENSOR);
  add_words(&to->algorithm, &from->algorithm, QCC_ALGORITHM_MINMAX);
  to->zero_only |= says(&from->zero, QCC_WORD_ZERO_ONLY_ZERO);
  return check_zero(cx, from, to);
}

static qcc_status fill_blocks(qcc_context *cx, qcc_target_way *to, const qcc_yaml_ints *sizes) {
  for (uint32_t i = 0; i < sizes->count; i++) {
    int64_t size = sizes->value[i];
    qcc_loc loc = qcc_doc_loc(sizes->at);
    if (size != -1 && (size < 1 || size > INT16_MAX))
      return qcc_error(cx, QCC_ARG, "A-222", &loc, "group_size: %lld; allowed: 1 to %d, and -1 for a whole channel", (long long)size,
                       INT16_MAX);
    if (to->block_count < QCC_CHOICES) to->block[to->block_count++] = (int16_t)size;
  }
  return QCC_OK;
}

static qcc_status fill_op(qcc_context *cx, qcc_target_op *to, const qcc_yaml_WAY *from, qcc_mode mode) {
  qcc_target_way *way = &to->way[mode];
  QCC_TRY(fill_side(cx, &way->activation, &from->activation, false));
  QCC_TRY(fill_side(cx, &way->weight, &from->weight, true));
  QCC_TRY(fill_blocks(cx, way, &from->weight.group));
  add_words(&way->format, &from->format, mode == QCC_MODE_DYNAMIC ? QCC_FORMAT_INTEGER : QCC_FORMAT_QDQ);
  const qcc_choices *deciding = mode == QCC_MODE_WEIGHT ? &way->weight.dtype : &way->activation.dtype;
  bool wanted = qcc_choices_first(deciding, QCC_F32) != QCC_F32;
  if (mode == QCC_MODE_STATIC) {
    to->is_static = wanted;
    to->float_output = says(&from->unit, QCC_WORD_UNIT_FLOAT_OUTPUT);
    to->same_q = says(&from->unit, QCC_WORD_UNIT_SAME_PARAMETERS);
    to->needs_quantized_input = says(&from->unit, QCC_WORD_UNIT_QUANTIZED_INPUT);
  }
  if (mode == QCC_MODE_DYNAMIC) to->dynamic = wanted;
  if (mode == QCC_MODE_WEIGHT) to->weight_only = wanted;
  if (from->since.at) to->min_since = (int)from->since.value;
  if (from->until.at) to->max_since = (int)from->until.value;
  return QCC_OK;
}

static qcc_status check_versions(qcc_context *cx, const qcc_yaml_WAY *way) {
  const qcc_yaml_int *both[] = {&way->since, &way->until};
  for (size_t i = 0; i < 2; i++) {
    if (!both[i]->at || (both[i]->value >= 0 && both[i]->value <= 1000)) continue;
    qcc_loc loc = qcc_doc_loc(both[i]->at);
    return qcc_error(cx, QCC_ARG, "A-223", &loc, "version %lld of an operator; allowed: 0 to 1000", (long long)both[i]->value);
  }
  return QCC_OK;
}

static qcc_status fill_rows(qcc_target *t, qcc_capability *c, const qcc_yaml_ops *rows, qcc_mode mode) {
  for (uint32_t i = 0; i < rows->count; i++) {
    const qcc_yaml_op *row = &rows->op[i];
    qcc_yaml_WAY way;
    qcc_op ops[2];
    uint32_t count = 0;
    if (row->off || strcmp(row->name->text, "default") == 0) continue;
    QCC_TRY(qcc_target_ops_named(ops, &count, c, row->name, row->name->text, row->name->n));
    QCC_TRY(qcc_capability_way(&way, c, rows, row));
    QCC_TRY(check_versions(t->cx, &way));
    for (uint32_t k = 0; k < count; k++) QCC_TRY(fill_op(t->cx, &t->ops[ops[k]], &way, mode));
  }
  return QCC_OK;
}

static qcc_status fill_names(qcc_target *t, const qcc_capability *c, const qcc_yaml_list *names, bool half) {
  for (uint32_t i = 0; i < names->count; i++) {
    qcc_op ops[2];
    uint32_t count = 0;
    QCC_TRY(qcc_target_ops_named(ops, &count, c, names->item[i], names->item[i]->text, names->item[i]->n));
    for (uint32_t k = 0; k < count; k++) *(half ? &t->ops[ops[k]].f16 : &t->ops[ops[k]].bf16) = true;
  }
  return QCC_OK;
}

/* ---- the target as a whole */

static qcc_grid grid_of(const qcc_target_side *side, bool weight) {
  qcc_dtype dtype = (qcc_dtype)qcc_choices_first(&side->dtype, weight ? QCC_S8 : QCC_U8);
  if (!qcc_dtype_is_int(dtype)) return weight ? qcc_grid_weight() : qcc_grid_u8();
  qcc_grid g = {.dtype = dtype, .lo = (int32_t)qcc_dtype_min(dtype), .hi = (int32_t)qcc_dtype_max(dtype)};
  g.symmetric = qcc_choices_first(&side->scheme, QCC_SCHEME_ASYM) == QCC_SCHEME_SYM;
  if (weight && g.symmetric && g.lo < 0) g.lo = -g.hi;
  return g;
}

/* What tensors look like when nobody says otherwise: as the first operator with weights wants it. */
static void fill_grids(qcc_target *t) {
  static const qcc_op first[] = {QCC_OP_CONV, QCC_OP_GEMM, QCC_OP_MATMUL};
  t->activation = qcc_grid_u8();
  t->weight = qcc_grid_weight();
  for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
    const qcc_target_op *op = &t->ops[first[i]];
    if (!op->is_static) continue;
    t->activation = grid_of(&op->way[QCC_MODE_STATIC].activation, false);
    t->weight = grid_of(&op->way[QCC_MODE_STATIC].weight, true);
    return;
  }
}

static qcc_status fill_range(qcc_context *cx, int64_t *min, int64_t *max, const qcc_yaml_RANGE *from) {
  *min = from->min.value;
  *max = from->max.value;
  if (!from->at || (*min >= 0 && *max >= 0 && (!*max || *min <= *max))) return QCC_OK;
  qcc_loc loc = qcc_doc_loc(from->at);
  return qcc_error(cx, QCC_ARG, "A-224", &loc, "from %lld to %lld is no range", (long long)*min, (long long)*max);
}

static qcc_status fill(qcc_target *t, qcc_capability *c) {
  const qcc_yaml_CAPABILITY *say = &c->say;
  t->name = c->name;
  t->runtime = c->runtime;
  t->doc = say->doc.at ? qcc_intern(t->cx, say->doc.text) : "";
  const qcc_yaml_words *level = &say->recipes.optimization.level;
  t->optimization = level->count ? qcc_word_text((qcc_word)level->word[0]) : "";
  t->pairs = say->saturation.count ? (qcc_pair_sums)qcc_target_code((qcc_word)say->saturation.word[0]) : QCC_SATURATION_NONE;
  t->float_bias = says(&say->bias, QCC_WORD_BIAS_FLOAT);
  t->folds_casts = says(&say->float_weights, QCC_WORD_STORE_CAST);
  t->min_range = say->min_range.value;
  QCC_TRY(fill_range(t->cx, &t->min_opset, &t->max_opset, &say->opset));
  QCC_TRY(fill_range(t->cx, &t->min_ir, &t->max_ir, &say->ir));
  const qcc_yaml_PRECISION *const both[] = {&say->int8, &say->uint8};
  for (size_t i = 0; i < 2; i++) {
    QCC_TRY(fill_rows(t, c, &both[i]->fixed, QCC_MODE_STATIC));
    QCC_TRY(fill_rows(t, c, &both[i]->dynamic, QCC_MODE_DYNAMIC));
    QCC_TRY(fill_rows(t, c, &both[i]->weight_only, QCC_MODE_WEIGHT));
  }
  QCC_TRY(fill_rows(t, c, &say->weight_only_integer, QCC_MODE_WEIGHT));
  QCC_TRY(fill_names(t, c, &say->fp16, true));
  QCC_TRY(fill_names(t, c, &say->bf16, false));
  QCC_TRY(qcc_target_chains(t, c));
  QCC_TRY(qcc_target_costs(t, say->costs.at));
  fill_grids(t);
  return t->doc ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_target_find(qcc_target *out, qcc_context *cx, const char *name) {
  *out = (qcc_target){0};
  qcc_capability c;
  QCC_TRY(qcc_capability_load(&c, cx, name));
  qcc_status st = qcc_target_init(out, cx);
  if (st == QCC_OK) st = fill(out, &c);
  qcc_capability_fini(&c);
  if (st != QCC_OK) qcc_target_fini(out);
  return st;
}
