/* SPDX-License-Identifier: Apache-2.0
 * Names of operators, and chains "Conv|Gemm + Relu|Clip" spelled out: one pattern for each choice. */
#include "backends/target/chains.h"

#include <string.h>

#include "ir/support/nearest.h"
#include "ir/support/vec.h"

enum { NAME = 96, MOST_PATTERNS = 4096 };

static qcc_status unknown_op(const qcc_capability *c, const qcc_doc_node *at, const char *name) {
  qcc_loc loc = qcc_doc_loc(at);
  qcc_nearest near = qcc_nearest_to(name, strlen(name));
  for (qcc_op op = (qcc_op)1; op < QCC_OP_COUNT; op++) qcc_nearest_offer(&near, qcc_op_get(op)->name);
  const char *slip = qcc_nearest_slip(&near);
  const char *before = slip ? "; did you mean \"" : "", *word = slip ? slip : "", *behind = slip ? "\"?" : "";
  if (c->foreign) {
    qcc_warn(c->cx, "A-225", &loc, "operator %-s is not known and passed over", name);
    return QCC_OK;
  }
  return qcc_error(c->cx, QCC_ARG, "A-225", &loc, "operator %-s is not known%s%s%s; \"qcc list ops\" names them", name, before, word,
                   behind);
}

qcc_status qcc_target_ops_named(qcc_op ops[2], uint32_t *count, const qcc_capability *c, const qcc_doc_node *at, const char *name,
                                size_t n) {
  char text[NAME], domain[NAME] = "";
  *count = 0;
  qcc_format(text, sizeof text, "%.*s", (int)(n < NAME ? n : NAME - 1), name);
  char *colon = strstr(text, "::"), *plain = text;
  if (colon) {
    memcpy(domain, text, (size_t)(colon - text));
    domain[colon - text] = 0;
    plain = colon + 2;
  }
  qcc_op op = qcc_op_find(domain, plain);
  if (op != QCC_OP_OPAQUE) ops[(*count)++] = op;
  op = c->foreign ? qcc_op_find("com.microsoft", plain) : QCC_OP_OPAQUE;
  if (op != QCC_OP_OPAQUE) ops[(*count)++] = op;
  return *count ? QCC_OK : unknown_op(c, at, text);
}

typedef QCC_VEC(qcc_target_pattern) patterns;

typedef struct chain {
  uint8_t count;
  uint8_t choices[QCC_FUSED_OPS];
  qcc_op op[QCC_FUSED_OPS][QCC_CHOICES];
} chain;

static const char *trim(const char *p, size_t *n) {
  while (*n && *p == ' ') p++, --*n;
  while (*n && p[*n - 1] == ' ') --*n;
  return p;
}

static qcc_status add_choice(chain *ch, const qcc_capability *c, const qcc_doc_node *at, const char *name, size_t n) {
  qcc_loc loc = qcc_doc_loc(at);
  qcc_op ops[2];
  uint32_t count = 0;
  name = trim(name, &n);
  QCC_TRY(qcc_target_ops_named(ops, &count, c, at, name, n));
  for (uint32_t i = 0; i < count; i++) {
    if (ch->choices[ch->count] == QCC_CHOICES)
      return qcc_error(c->cx, QCC_LIMIT, "L-221", &loc, "more than %d choices for one operator of a chain", QCC_CHOICES);
    ch->op[ch->count][ch->choices[ch->count]++] = ops[i];
  }
  return QCC_OK;
}

static qcc_status read_chain(chain *ch, const qcc_capability *c, const qcc_doc_node *at) {
  qcc_loc loc = qcc_doc_loc(at);
  const char *p = at->text;
  for (bool more = true; more;) {
    if (ch->count == QCC_FUSED_OPS) return qcc_error(c->cx, QCC_LIMIT, "L-222", &loc, "a chain of more than %d operators", QCC_FUSED_OPS);
    size_t n = strcspn(p, "|+");
    QCC_TRY(add_choice(ch, c, at, p, n));
    more = p[n] != 0;
    if (p[n] != '|') ch->count++;
    p += n + more;
  }
  return ch->count > 1 ? QCC_OK : qcc_error(c->cx, QCC_ARG, "A-226", &loc, "%-s is no chain; \"Conv + Relu\" is one", at->text);
}

/* Every way to take one of the choices in each place. */
static qcc_status spell_out(patterns *to, const chain *ch, const qcc_capability *c, const qcc_doc_node *at, bool is_float) {
  uint8_t pick[QCC_FUSED_OPS] = {0};
  qcc_loc loc = qcc_doc_loc(at);
  for (uint8_t k = 0; k < ch->count; k++) {
    if (!ch->choices[k]) return QCC_OK; /* an operator that was passed over */
  }
  for (int k = 0; k >= 0;) {
    qcc_target_pattern p = {.count = ch->count, .is_float = is_float};
    for (uint8_t i = 0; i < ch->count; i++) p.op[i] = ch->op[i][pick[i]];
    if (to->n == MOST_PATTERNS) return qcc_error(c->cx, QCC_LIMIT, "L-223", &loc, "more than %d chains", MOST_PATTERNS);
    if (!qcc_vec_push(c->cx, to, p)) return QCC_NOMEM;
    for (k = ch->count - 1; k >= 0 && ++pick[k] == ch->choices[k]; k--) pick[k] = 0;
  }
  return QCC_OK;
}

static qcc_status add_chains(patterns *to, const qcc_capability *c, const qcc_yaml_list *list, bool is_float) {
  for (uint32_t i = 0; i < list->count; i++) {
    chain ch = {0};
    QCC_TRY(read_chain(&ch, c, list->item[i]));
    QCC_TRY(spell_out(to, &ch, c, list->item[i], is_float));
  }
  return QCC_OK;
}

qcc_status qcc_target_chains(qcc_target *t, const qcc_capability *c) {
  patterns all = {0};
  qcc_status st = add_chains(&all, c, &c->say.patterns.int8, false);
  if (st == QCC_OK) st = add_chains(&all, c, &c->say.patterns.uint8, false);
  if (st == QCC_OK) st = add_chains(&all, c, &c->say.patterns.fp32, true);
  t->patterns = all.at;
  t->pattern_count = (uint32_t)all.n;
  return st;
}
