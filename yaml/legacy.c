/* SPDX-License-Identifier: Apache-2.0
 * The predecessor's first generation: "ops" lists the operators of each precision, "capabilities" has a row for some of them, and the
 * others take its row "default". */
#include <string.h>

#include "yaml/load.h"

static const qcc_yaml_op *row_of(const qcc_yaml_ops *rows, const char *name) {
  for (uint32_t i = 0; i < rows->count; i++) {
    if (strcmp(rows->op[i].name->text, name) == 0) return &rows->op[i];
  }
  return NULL;
}

static qcc_status check_list(qcc_context *cx, const qcc_doc_node *list) {
  qcc_loc loc = qcc_doc_loc(list);
  bool fine = list->kind == QCC_DOC_LIST;
  for (uint32_t i = 0; fine && i < list->count; i++) {
    loc = qcc_doc_loc(list->item[i]);
    fine = list->item[i]->kind == QCC_DOC_SCALAR;
  }
  return fine ? QCC_OK : qcc_error(cx, QCC_ARG, "A-560", &loc, "a list of operators is wanted here");
}

/* Rows of one precision for the operators that its list names; all rows when there is no list. */
static qcc_status select_rows(qcc_yaml_ops *to, const qcc_yaml_ops *rows, const qcc_doc_node *list, qcc_arena *arena) {
  const qcc_yaml_op *fallback = row_of(rows, "default");
  *to = *rows;
  if (!list) return QCC_OK;
  QCC_TRY(check_list(arena->cx, list));
  *to = (qcc_yaml_ops){.at = list, .op = qcc_arena_array(arena, (size_t)list->count + 1, sizeof *to->op)};
  if (!to->op) return QCC_NOMEM;
  if (fallback) to->op[to->count++] = *fallback;
  for (uint32_t i = 0; i < list->count; i++) {
    const qcc_doc_node *name = list->item[i];
    const qcc_yaml_op *row = row_of(rows, name->text);
    if (strcmp(name->text, "*") == 0 || strcmp(name->text, "default") == 0 || row_of(to, name->text)) continue;
    to->op[to->count++] = row ? *row : (qcc_yaml_op){.name = name};
  }
  return QCC_OK;
}

qcc_status qcc_legacy_convert(qcc_yaml_CAPABILITY *say, qcc_arena *arena, const char *file) {
  if (!say->capabilities.at) return QCC_OK;
  const char *slash = strrchr(file, '/');
  bool at_run_time = strstr(slash ? slash : file, "integer");
  const struct {
    const qcc_yaml_ops *rows;
    qcc_yaml_PRECISION *to;
    const char *name;
  } precisions[] = {{&say->capabilities.int8, &say->int8, "int8"}, {&say->capabilities.uint8, &say->uint8, "uint8"}};
  for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
    qcc_yaml_PRECISION *to = precisions[i].to;
    if (!precisions[i].rows->at) continue;
    to->at = precisions[i].rows->at;
    const qcc_doc_node *list = say->ops.at ? qcc_doc_get(say->ops.at, precisions[i].name) : NULL;
    QCC_TRY(select_rows(at_run_time ? &to->dynamic : &to->fixed, precisions[i].rows, list, arena));
  }
  if (say->optimization.at) {
    say->recipes.at = say->optimization.at;
    say->recipes.optimization = say->optimization;
  }
  say->capabilities.at = NULL;
  return QCC_OK;
}
