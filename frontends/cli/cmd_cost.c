/* SPDX-License-Identifier: Apache-2.0
 * qcc cost: the table of what kernels cost on this machine. */
#include <string.h>

#include "frontends/cli/cli.h"

/* The target is called like the file: "here" for folder/here.yaml. */
static void name_of(char name[256], const char *path) {
  const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
  size_t n = strcspn(base, ".");
  snprintf(name, 256, "%.*s", n < 255 ? (int)n : 255, base);
}

qcc_status cmd_cost(qcc_context *cx, const args *a) {
  char *text = NULL, name[256];
  size_t n = 0;
  if (!a->output) return usage_error("where to? give -o FILE%s", "");
  name_of(name, a->output);
  if (!*name) return usage_error("-o %s: a name is needed before the dot", a->output);
  qcc_status st = qcc_measure_costs(cx, a->target, name, a->runtime, &text, &n);
  if (st == QCC_OK) st = write_text(a->output, text, n);
  qcc_bytes_free(cx, text);
  return st;
}
