/* SPDX-License-Identifier: Apache-2.0
 * qcc dump, qcc opt, qcc list, qcc capability: text out. */
#include <stdlib.h>
#include <string.h>

#include "frontends/cli/cli.h"

static qcc_status print_model(qcc_context *cx, const qcc_model *m, const char *around, const char *path) {
  char *text = NULL;
  size_t n = 0;
  qcc_status st = qcc_print(m, around, &text, &n);
  if (st == QCC_OK && path) st = write_text(path, text, n);
  if (st == QCC_OK && !path && fwrite(text, 1, n, stdout) != n) st = QCC_IO;
  qcc_bytes_free(cx, text);
  return st;
}

qcc_status cmd_dump(qcc_context *cx, const args *a) {
  qcc_model *m = NULL;
  qcc_status st = load_model(&m, cx, a->pos[0]);
  if (st == QCC_OK) st = print_model(cx, m, a->around, NULL);
  qcc_model_free(m);
  return st;
}

static bool is_onnx(const char *path) {
  size_t n = path ? strlen(path) : 0;
  return n > 5 && strcmp(path + n - 5, ".onnx") == 0;
}

qcc_status cmd_opt(qcc_context *cx, const args *a) {
  if (!a->passes) return usage_error("which passes? give --passes=PIPELINE%s", "");
  qcc_pass_options passes;
  pass_options_of(&passes, a);
  qcc_model *m = NULL;
  qcc_status st = load_model(&m, cx, a->pos[0]);
  if (st == QCC_OK) st = qcc_passes(m, a->passes, &passes);
  if (st == QCC_OK) st = is_onnx(a->output) ? qcc_save(m, a->output) : print_model(cx, m, NULL, a->output);
  qcc_model_free(m);
  return st;
}

static void print_row(void *user, const char *name, const char *doc) {
  (void)user;
  printf("%-24s%s%s\n", name, strlen(name) > 24 ? "\n                         " : " ", doc);
}

qcc_status cmd_list(qcc_context *cx, const args *a) { return qcc_list(cx, a->pos_count ? a->pos[0] : "tables", print_row, NULL); }

qcc_status cmd_capability(qcc_context *cx, const args *a) {
  qcc_model *m = NULL;
  char *text = NULL;
  size_t n = 0;
  qcc_status st = a->pos_count ? load_model(&m, cx, a->pos[0]) : QCC_OK;
  if (st == QCC_OK) st = (a->patterns ? qcc_query_fused_patterns : qcc_query_capability)(cx, m, a->target, &text, &n);
  if (st == QCC_OK && fwrite(text, 1, n, stdout) != n) st = QCC_IO;
  qcc_bytes_free(cx, text);
  qcc_model_free(m);
  return st;
}
