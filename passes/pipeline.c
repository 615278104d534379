/* SPDX-License-Identifier: Apache-2.0
 * Pipelines as text: parse, check what passes need, print. "a,b{key=value},fix(c,d),@prepare"; blanks are allowed between tokens.
 * Errors carry the column and two notes that draw a caret. */
#include "passes/pipeline.h"

#include <string.h>

static const struct {
  const char *name, *text;
} stored[] = {
    {"@prepare",
     "raise-opset{to=13},canonicalize,infer-shapes,"
     "fix(fold-constants,eliminate,fuse-conv-bn,matmul-add-to-gemm,fuse-conv-scale,fuse-pad-conv,fuse-slice-conv,reduce-to-pool,"
     "fuse-activation,cse,dce),"
     "split-weights,infer-shapes"},
    {"@canonical", "canonicalize,infer-shapes,fold-constants,eliminate,dce"},
    {"@fakequant", "insert-fakequant,bias-correct,guard-bias"},
    {"@qlinear", "canonicalize,infer-shapes,fold-constants,eliminate,fuse-qlinear,dce"},
    {"@qdq", "raise-opset{to=13},canonicalize,infer-shapes,fold-constants{codes=keep},split-fused,eliminate,raise-qlinear,cse,dce"},
    {"@qdq-nbits",
     "raise-opset{to=13},canonicalize,infer-shapes,fold-constants{codes=keep},split-fused,eliminate,raise-qlinear{nbits=keep},cse,dce"},
    {"@qoperator",
     "raise-opset{to=13},canonicalize,infer-shapes,fold-constants{codes=keep},split-fused,eliminate,fuse-qlinear,fuse-integer,infer-shapes,"
     "cse,dce"},
    {"@integer",
     "raise-opset{to=13},canonicalize,infer-shapes,fold-constants{codes=keep},split-fused,eliminate,raise-qlinear{nbits=keep},fuse-integer{"
     "ranges="
     "runtime},infer-"
     "shapes,cse,"
     "dce"},
    {"@quantize", "insert-fakequant,bias-correct,guard-bias,rewrite-qdq,cse,dce"},
    {"@quantize-nbits", "insert-fakequant,bias-correct,guard-bias,rewrite-qdq{nbits=contrib},cse,dce"},
};

enum { MOST_DEPTH = 8, MOST_STAGES = 4096 };

typedef struct parser {
  qcc_pipeline *p;
  const char *text;
  const char *at;
  int depth; /* of @names and fix(...) */
} parser;

const char *qcc_pipeline_stored(const char *name) {
  for (size_t k = 0; k < sizeof stored / sizeof *stored; k++)
    if (!strcmp(stored[k].name, name)) return stored[k].text;
  return NULL;
}

/* The message must be told before; adds the drawing. */
static qcc_status caret(const parser *s, const char *where) {
  size_t column = (size_t)(where - s->text), from = column > 60 ? column - 60 : 0;
  char line[160], mark[160];
  qcc_format(line, sizeof line, "%.100s", s->text + from);
  memset(mark, ' ', sizeof mark);
  mark[column - from] = '^';
  mark[column - from + 1] = 0;
  qcc_note(s->p->cx, NULL, "%s", line);
  qcc_note(s->p->cx, NULL, "%s", mark);
  return QCC_ARG;
}

static qcc_loc loc_at(const parser *s, const char *where) {
  return (qcc_loc){.file = "pipeline", .line = 1, .column = (uint32_t)(where - s->text) + 1};
}

static qcc_status syntax(const parser *s, const char *expected) {
  qcc_loc loc = loc_at(s, s->at);
  char found[2] = {*s->at, 0};
  qcc_status status = qcc_error(s->p->cx, QCC_ARG, "A-171", &loc, "expected %s, found %s%s%s", expected, *s->at ? "'" : "the end", found,
                                *s->at ? "'" : "");
  caret(s, s->at);
  return status;
}

static void blanks(parser *s) {
  while (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r') s->at++;
}

static bool eat(parser *s, char c) {
  blanks(s);
  if (*s->at != c) return false;
  s->at++;
  blanks(s);
  return true;
}

static bool name_char(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; }

/* Interned name at the cursor. */
static qcc_status name(parser *s, const char **out, const char *expected) {
  const char *from = s->at;
  while (name_char(*s->at)) s->at++;
  if (s->at == from) return syntax(s, expected);
  *out = qcc_intern_n(s->p->cx, from, (size_t)(s->at - from));
  return *out ? QCC_OK : QCC_NOMEM;
}

static qcc_status add_stage(parser *s, qcc_stage stage) {
  if (s->p->stages.n >= MOST_STAGES) return qcc_error(s->p->cx, QCC_ARG, "A-172", NULL, "a pipeline has more than %d stages", MOST_STAGES);
  return qcc_vec_push(s->p->cx, &s->p->stages, stage) ? QCC_OK : QCC_NOMEM;
}

static bool takes_option(const qcc_pass *pass, const char *key) {
  if (!pass->options) return true;
  size_t n = strlen(key);
  for (const char *at = pass->options; *at;) {
    size_t len = strcspn(at, " ");
    if (len == n && !memcmp(at, key, n)) return true;
    at += len + (at[len] == ' ');
  }
  return false;
}

static qcc_status parse_option(parser *s, qcc_stage *stage) {
  const char *where = s->at;
  qcc_pass_option o = {0};
  QCC_TRY(name(s, &o.key, "an option name"));
  if (!takes_option(stage->pass, o.key)) {
    qcc_loc loc = loc_at(s, where);
    qcc_status status = qcc_error(s->p->cx, QCC_ARG, "A-173", &loc, "pass '%s' has no option %-s; it takes: %s", stage->pass->name, o.key,
                                  *stage->pass->options ? stage->pass->options : "none");
    caret(s, where);
    return status;
  }
  if (!eat(s, '=')) return syntax(s, "'='");
  const char *from = s->at;
  s->at += strcspn(s->at, ",{}()= \t\r\n");
  if (s->at == from) return syntax(s, "a value");
  o.value = qcc_intern_n(s->p->cx, from, (size_t)(s->at - from));
  if (!o.value || !qcc_vec_push(s->p->cx, &s->p->options, o)) return QCC_NOMEM;
  stage->option_count++;
  return QCC_OK;
}

static qcc_status parse_options(parser *s, qcc_stage *stage) {
  stage->first_option = (uint32_t)s->p->options.n;
  if (!eat(s, '{')) return QCC_OK;
  do QCC_TRY(parse_option(s, stage));
  while (eat(s, ','));
  return eat(s, '}') ? QCC_OK : syntax(s, "',' or '}'");
}

static qcc_status unknown_pass(parser *s, const char *where, const char *found) {
  qcc_loc loc = loc_at(s, where);
  qcc_status status = qcc_error(s->p->cx, QCC_ARG, "A-174", &loc, "unknown pass %-s; 'qcc list passes' names them all", found);
  caret(s, where);
  return status;
}

static qcc_status parse_list(parser *s, char end);

static qcc_status parse_stored(parser *s) {
  const char *where = s->at++, *found = NULL;
  QCC_TRY(name(s, &found, "the name of a stored pipeline"));
  found = qcc_intern_n(s->p->cx, where, (size_t)(s->at - where));
  if (!found) return QCC_NOMEM;
  const char *text = qcc_pipeline_stored(found);
  if (!text) return unknown_pass(s, where, found);
  parser inner = {.p = s->p, .text = text, .at = text, .depth = s->depth + 1};
  return parse_list(&inner, 0);
}

static qcc_status parse_fix(parser *s) {
  uint32_t begin = (uint32_t)s->p->stages.n;
  QCC_TRY(add_stage(s, (qcc_stage){.kind = QCC_STAGE_FIX}));
  s->depth++;
  QCC_TRY(parse_list(s, ')'));
  s->depth--;
  if (!eat(s, ')')) return syntax(s, "',' or ')'");
  s->p->stages.at[begin].end = (uint32_t)s->p->stages.n;
  return add_stage(s, (qcc_stage){.kind = QCC_STAGE_END});
}

static qcc_status parse_item(parser *s) {
  const char *where = s->at;
  if (s->depth > MOST_DEPTH) return syntax(s, "at most 8 levels of nesting");
  if (*s->at == '@') return parse_stored(s);
  const char *found = NULL;
  QCC_TRY(name(s, &found, "a pass"));
  if (!strcmp(found, "fix") && eat(s, '(')) return parse_fix(s);
  qcc_stage stage = {.pass = qcc_pass_find(found)};
  if (!stage.pass) return unknown_pass(s, where, found);
  QCC_TRY(parse_options(s, &stage));
  return add_stage(s, stage);
}

static qcc_status parse_list(parser *s, char end) {
  blanks(s);
  if (*s->at == end) return QCC_OK;
  do QCC_TRY(parse_item(s));
  while (eat(s, ','));
  return *s->at == end ? QCC_OK : syntax(s, end ? "',' or ')'" : "',' or the end");
}

/* ---- needs */

static const struct {
  uint32_t prop;
  const char *what, *by;
} props[] = {
    {QCC_PROP_SHAPES, "shapes", "infer-shapes"},
    {QCC_PROP_CANONICAL, "the canonical form", "canonicalize"},
    {QCC_PROP_OPSET13, "opset 13", "raise-opset{to=13}"},
    {QCC_PROP_FAKEQUANT, "FakeQuant nodes", "insert-fakequant"},
};

/* Column of the `index`th occurrence cannot be told after expansion, so the first place that names the pass is marked. */
static qcc_status need_error(const parser *s, const qcc_pass *pass, uint32_t missing) {
  const char *where = strstr(s->text, pass->name);
  qcc_loc loc = loc_at(s, where ? where : s->text);
  for (size_t k = 0; k < sizeof props / sizeof *props; k++)
    if (missing & props[k].prop) {
      qcc_status status =
          qcc_error(s->p->cx, QCC_ARG, "A-175", &loc, "pass '%s' needs %s, which nothing before it gives or keeps; put '%s' before it",
                    pass->name, props[k].what, props[k].by);
      caret(s, where ? where : s->text);
      return status;
    }
  return QCC_INTERNAL;
}

static qcc_status check_range(const parser *s, uint32_t from, uint32_t to, uint32_t *have) {
  for (uint32_t k = from; k < to; k++) {
    const qcc_stage *stage = &s->p->stages.at[k];
    if (stage->kind != QCC_STAGE_PASS) continue;
    uint32_t missing = stage->pass->needs & ~*have;
    if (missing) return need_error(s, stage->pass, missing);
    *have = (*have & stage->pass->keeps) | stage->pass->gives;
  }
  return QCC_OK;
}

/* A fix body runs again on what it left itself. */
static qcc_status check_needs(const parser *s, uint32_t have) {
  for (uint32_t k = 0; k < s->p->stages.n; k++) {
    const qcc_stage *stage = &s->p->stages.at[k];
    QCC_TRY(check_range(s, k, stage->kind == QCC_STAGE_FIX ? stage->end : k + 1, &have));
    if (stage->kind == QCC_STAGE_FIX) QCC_TRY(check_range(s, k, stage->end, &have));
    if (stage->kind == QCC_STAGE_FIX) k = stage->end;
  }
  return QCC_OK;
}

qcc_status qcc_pipeline_parse(qcc_pipeline **out, qcc_context *cx, const char *text, uint32_t given) {
  *out = NULL;
  qcc_pipeline *p = qcc_zalloc_array(cx, 1, sizeof *p);
  if (!p) return QCC_NOMEM;
  p->cx = cx;
  parser s = {.p = p, .text = text, .at = text};
  qcc_status status = parse_list(&s, 0);
  if (status == QCC_OK) status = check_needs(&s, given);
  if (status == QCC_OK)
    *out = p;
  else
    qcc_pipeline_free(p);
  return status;
}

void qcc_pipeline_free(qcc_pipeline *p) {
  if (!p) return;
  qcc_vec_free(p->cx, &p->stages);
  qcc_vec_free(p->cx, &p->options);
  qcc_free(p->cx, p);
}

bool qcc_pipeline_names(const qcc_pipeline *p, const char *pass) {
  for (size_t k = 0; k < p->stages.n; k++)
    if (p->stages.at[k].pass && !strcmp(p->stages.at[k].pass->name, pass)) return true;
  return false;
}

/* ---- print */

static void print_pass(qcc_text *to, const qcc_pipeline *p, const qcc_stage *stage) {
  qcc_text_addf(to, "%s", stage->pass->name);
  for (uint32_t k = 0; k < stage->option_count; k++) {
    const qcc_pass_option *o = &p->options.at[stage->first_option + k];
    qcc_text_addf(to, "%s%s=%s", k ? "," : "{", o->key, o->value);
  }
  if (stage->option_count) qcc_text_add(to, "}", 1);
}

void qcc_pipeline_print_from(qcc_text *to, const qcc_pipeline *p, uint32_t from) {
  int depth = 0;
  bool comma = false;
  for (uint32_t k = from; k < p->stages.n; k++) {
    const qcc_stage *stage = &p->stages.at[k];
    if (stage->kind == QCC_STAGE_END) {
      if (depth) qcc_text_add(to, ")", 1), depth--;
      comma = true;
      continue;
    }
    if (comma) qcc_text_add(to, ",", 1);
    comma = stage->kind == QCC_STAGE_PASS;
    if (stage->kind == QCC_STAGE_PASS)
      print_pass(to, p, stage);
    else
      qcc_text_add(to, "fix(", 4), depth++;
  }
}

void qcc_pipeline_print(qcc_text *to, const qcc_pipeline *p) { qcc_pipeline_print_from(to, p, 0); }
