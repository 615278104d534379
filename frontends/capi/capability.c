/* SPDX-License-Identifier: Apache-2.0
 * What a target can do with a model, as JSON: by type of operator, by node, and which chains of nodes become one kernel. */
#include <jansson.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "backends/target/target.h"
#include "backends/target/words.h"
#include "frontends/capi/model.h"
#include "ir/support/vec.h"
#include "strategy/placement.h"

typedef struct query {
  qcc_context *cx;
  qcc_target target;
  qcc_graph *g; /* a prepared copy of the model, or NULL */
  qcc_text text;
  bool foreign; /* a name is not UTF-8 */
} query;

static const struct {
  qcc_mode mode;
  const char *name;
} ways[] = {{QCC_MODE_STATIC, "static"}, {QCC_MODE_DYNAMIC, "dynamic"}, {QCC_MODE_WEIGHT, "weight_only"}, {QCC_MODE_FLOAT, "float"}};
enum { WAYS = 3 }; /* those that quantize */

/* ---- pieces of JSON */

static int take_bytes(const char *bytes, size_t n, void *to) {
  qcc_text_add(to, bytes, n);
  return ((qcc_text *)to)->failed ? -1 : 0;
}

static void add_string(query *q, const char *s) {
  json_t *j = json_string(s);
  if (!j) q->foreign = true;
  if (j && json_dump_callback(j, take_bytes, &q->text, JSON_ENCODE_ANY) != 0) q->text.failed = true;
  json_decref(j);
}

static void add_member(query *q, const char *key, const char *value) {
  qcc_text_addf(&q->text, "\"%s\": ", key);
  add_string(q, value);
}

static void add_choices(query *q, const char *key, const qcc_choices *c, qcc_word_set set) {
  qcc_text_addf(&q->text, "\"%s\": [", key);
  for (unsigned i = 0; i < c->count; i++) qcc_text_addf(&q->text, "%s\"%s\"", i ? ", " : "", qcc_target_word(set, c->at[i]));
  qcc_text_addf(&q->text, "]");
}

/* ---- by type */

static void add_side(query *q, const char *name, const qcc_target_side *s) {
  qcc_text_addf(&q->text, ", \"%s\": {", name);
  add_choices(q, "dtype", &s->dtype, QCC_WORDS_DTYPE);
  qcc_text_addf(&q->text, ", ");
  add_choices(q, "scheme", &s->scheme, QCC_WORDS_SCHEME);
  qcc_text_addf(&q->text, ", ");
  add_choices(q, "granularity", &s->granularity, QCC_WORDS_GRANULARITY);
  qcc_text_addf(&q->text, ", ");
  add_choices(q, "algorithm", &s->algorithm, QCC_WORDS_ALGORITHM);
  qcc_text_addf(&q->text, "%s}", s->zero_only ? ", \"zero_point\": \"zero\"" : "");
}

static void add_unit(query *q, const qcc_target_op *op) {
  qcc_text_addf(&q->text, ", \"unit\": [\"%s\"", op->float_output ? "float_output" : "quantized_output");
  if (op->same_q) qcc_text_addf(&q->text, ", \"same_parameters\"");
  if (op->needs_quantized_input) qcc_text_addf(&q->text, ", \"quantized_input\"");
  qcc_text_addf(&q->text, "]");
}

static bool has_way(const qcc_target_op *op, qcc_mode mode) { return op->way[mode].format.count > 0; }

static void add_way(query *q, qcc_op op, size_t k) {
  const qcc_target_op *row = &q->target.ops[op];
  const qcc_target_way *way = &row->way[ways[k].mode];
  qcc_role role = qcc_op_get(op)->role;
  bool weighted = role == QCC_ROLE_WEIGHTED || role == QCC_ROLE_RECURRENT;
  qcc_text_addf(&q->text, "   {\"quant_mode\": \"%s\"", ways[k].name);
  add_side(q, "activation", &way->activation);
  if (weighted) add_side(q, "weight", &way->weight);
  if (way->block_count) qcc_text_addf(&q->text, ", \"group_size\": [");
  for (unsigned i = 0; i < way->block_count; i++) qcc_text_addf(&q->text, "%s%d", i ? ", " : "", way->block[i]);
  qcc_text_addf(&q->text, "%s, ", way->block_count ? "]" : "");
  add_choices(q, "format", &way->format, QCC_WORDS_FORMAT);
  if (ways[k].mode == QCC_MODE_STATIC) add_unit(q, row);
  if (row->min_since) qcc_text_addf(&q->text, ", \"since\": %d", row->min_since);
  if (row->max_since) qcc_text_addf(&q->text, ", \"until\": %d", row->max_since);
  qcc_text_addf(&q->text, "},\n");
}

static bool has_row(const qcc_target_op *op) {
  bool any = op->f16 || op->bf16;
  for (size_t k = 0; k < WAYS; k++) any |= has_way(op, ways[k].mode);
  return any;
}

static void add_types(query *q) {
  const char *comma = "";
  qcc_text_addf(&q->text, " \"optypewise\": {");
  for (qcc_op op = (qcc_op)1; op < QCC_OP_COUNT; op++) {
    const qcc_target_op *row = &q->target.ops[op];
    const qcc_op_info *info = qcc_op_get(op);
    if (!has_row(row)) continue;
    qcc_text_addf(&q->text, "%s\n  \"%s%s%s\": [\n", comma, info->domain, *info->domain ? "::" : "", info->name);
    for (size_t k = 0; k < WAYS; k++) {
      if (has_way(row, ways[k].mode)) add_way(q, op, k);
    }
    qcc_text_addf(&q->text, "   {\"quant_mode\": \"float\", \"dtype\": [\"fp32\"%s%s]}]", row->f16 ? ", \"fp16\"" : "",
                  row->bf16 ? ", \"bf16\"" : "");
    comma = ",";
  }
  qcc_text_addf(&q->text, "}");
}

/* ---- by node */

static const char *mode_name(qcc_mode mode) {
  size_t k = 0;
  while (ways[k].mode != mode) k++;
  return ways[k].name;
}

static void add_node(query *q, const qcc_placement *p, const qcc_node *n) {
  const qcc_target_op *row = &q->target.ops[n->op];
  const char *reason = p->reason[n->id];
  bool open = !reason && qcc_target_op_fits(row, qcc_graph_opset(q->g, n->domain));
  qcc_text_addf(&q->text, "  {");
  add_member(q, "name", n->name);
  qcc_text_addf(&q->text, ", ");
  add_member(q, "type", n->op_type);
  if (n->origin && *n->origin) qcc_text_addf(&q->text, ", ");
  if (n->origin && *n->origin) add_member(q, "from", n->origin);
  qcc_text_addf(&q->text, ", \"default\": \"%s\"%s, \"ways\": [", mode_name(p->mode[n->id]), p->fused[n->id] ? ", \"fused\": true" : "");
  for (size_t k = 0; k < WAYS && open; k++) {
    if (has_way(row, ways[k].mode)) qcc_text_addf(&q->text, "\"%s\", ", ways[k].name);
  }
  qcc_text_addf(&q->text, "\"float\"]");
  if (reason) qcc_text_addf(&q->text, ", ");
  if (reason) add_member(q, "reason", reason);
  qcc_text_addf(&q->text, "}");
}

static qcc_status add_nodes(query *q) {
  qcc_placement p;
  const char *comma = "";
  QCC_TRY(qcc_place(&p, q->g, &q->target, &(qcc_place_options){.have_ranges = true}));
  qcc_text_addf(&q->text, ",\n \"opwise\": [");
  QCC_FOR_NODES(n, q->g) {
    qcc_text_addf(&q->text, "%s\n", comma);
    add_node(q, &p, n);
    comma = ",";
  }
  qcc_text_addf(&q->text, "]");
  qcc_placement_fini(&p);
  return QCC_OK;
}

/* ---- chains */

static const char *op_name(qcc_op op) { return qcc_op_get(op)->name; }

/* The node behind `n` in a chain: its only user. */
static const qcc_node *behind(const qcc_node *n) { return n->out_count && n->out[0] ? qcc_only_user(n->out[0]) : NULL; }

static bool begins_at(const qcc_target_pattern *p, const qcc_node *n) {
  for (uint8_t k = 0; k < p->count; k++, n = behind(n)) {
    if (!n || n->op != p->op[k]) return false;
    if (k + 1 == p->count) break;
  }
  return true;
}

static void add_pattern(query *q, const qcc_target_pattern *p) {
  qcc_text_addf(&q->text, "\"kernel\": \"%s\", \"ops\": [", p->is_float ? "fp32" : "int8");
  for (uint8_t k = 0; k < p->count; k++) qcc_text_addf(&q->text, "%s\"%s\"", k ? ", " : "", op_name(p->op[k]));
  qcc_text_addf(&q->text, "]");
}

static void add_match(query *q, const qcc_target_pattern *p, const qcc_node *n) {
  add_pattern(q, p);
  qcc_text_addf(&q->text, ", \"nodes\": [");
  for (uint8_t k = 0; k < p->count; k++, n = behind(n)) {
    if (k) qcc_text_addf(&q->text, ", ");
    add_string(q, n->name);
  }
  qcc_text_addf(&q->text, "]");
}

static qcc_status write_patterns(query *q) {
  qcc_text_addf(&q->text, ",\n \"patterns\": [");
  for (uint32_t i = 0; i < q->target.pattern_count; i++) {
    qcc_text_addf(&q->text, "%s\n  {", i ? "," : "");
    add_pattern(q, &q->target.patterns[i]);
    qcc_text_addf(&q->text, "}");
  }
  qcc_text_addf(&q->text, "]");
  if (!q->g) return QCC_OK;
  const char *comma = "";
  qcc_text_addf(&q->text, ",\n \"matches\": [");
  QCC_FOR_NODES(n, q->g) {
    for (uint32_t i = 0; i < q->target.pattern_count; i++) {
      if (!begins_at(&q->target.patterns[i], n)) continue;
      qcc_text_addf(&q->text, "%s\n  {", comma);
      add_match(q, &q->target.patterns[i], n);
      qcc_text_addf(&q->text, "}");
      comma = ",";
    }
  }
  qcc_text_addf(&q->text, "]");
  return QCC_OK;
}

/* ---- all of it */

static void write_head(query *q, const char *format) {
  qcc_text_addf(&q->text, "{\n \"format\": \"%s\", \"version\": 1, ", format);
  add_member(q, "target", q->target.name);
  if (*q->target.runtime) qcc_text_addf(&q->text, ", ");
  if (*q->target.runtime) add_member(q, "runtime", q->target.runtime);
}

static qcc_status write_capability(query *q) {
  const qcc_target *t = &q->target;
  qcc_text_addf(&q->text, ",\n ");
  add_member(q, "doc", t->doc);
  qcc_text_addf(&q->text, ",\n \"saturation\": \"%s\", \"bias\": \"%s\", \"min_range\": %g, ",
                qcc_target_word(QCC_WORDS_SATURATION, t->pairs), t->float_bias ? "float" : "int32", t->min_range);
  qcc_text_addf(&q->text, "\"opset\": [%lld, %lld], \"ir\": [%lld, %lld]", (long long)t->min_opset, (long long)t->max_opset,
                (long long)t->min_ir, (long long)t->max_ir);
  if (*t->optimization) qcc_text_addf(&q->text, ", \"graph_optimization\": \"%s\"", t->optimization);
  qcc_text_addf(&q->text, ",\n");
  add_types(q);
  return q->g ? add_nodes(q) : QCC_OK;
}

static qcc_status open_query(query *q, const qcc_model *model, const char *target) {
  QCC_TRY(qcc_target_find(&q->target, q->cx, target ? target : QCC_TARGET_DEFAULT));
  if (!model) return QCC_OK;
  qcc_pass_run_options options = {.eval = qcc_ref_eval()};
  QCC_TRY(qcc_graph_clone(&q->g, model->g));
  return qcc_run_passes(q->g, "@prepare", &options);
}

static qcc_status close_query(query *q, qcc_status st, char **out, size_t *n) {
  qcc_graph_free(q->g);
  qcc_target_fini(&q->target);
  qcc_text_addf(&q->text, "\n}\n");
  if (st == QCC_OK && q->text.failed) st = QCC_NOMEM;
  if (st == QCC_OK && q->foreign) st = qcc_error(q->cx, QCC_UNSUPPORTED, "U-320", NULL, "a name of the model is not UTF-8: it has no JSON");
  if (st != QCC_OK) qcc_text_free(&q->text);
  *out = q->text.at;
  *n = q->text.n;
  return st;
}

static qcc_status ask(qcc_context *cx, const qcc_model *model, const char *target, char **out, size_t *n, const char *format,
                      qcc_status (*write)(query *q)) {
  if (!cx || !out || !n || (model && model->cx != cx)) return QCC_ARG;
  *out = NULL;
  *n = 0;
  query q = {.cx = cx, .text = {.cx = cx}};
  qcc_status st = open_query(&q, model, target);
  if (st == QCC_OK) write_head(&q, format);
  if (st == QCC_OK) st = write(&q);
  return close_query(&q, st, out, n);
}

qcc_status qcc_query_capability(qcc_context *cx, const qcc_model *model, const char *target, char **out, size_t *n) {
  return ask(cx, model, target, out, n, "qcc-capability", write_capability);
}

qcc_status qcc_query_fused_patterns(qcc_context *cx, const qcc_model *model, const char *target, char **out, size_t *n) {
  return ask(cx, model, target, out, n, "qcc-fused-patterns", write_patterns);
}
