/* SPDX-License-Identifier: Apache-2.0
 * qcc info: what a model is made of. */
#include <string.h>

#include "frontends/cli/cli.h"

static void print_label(const char *label) { printf("%-18s", label); }

static void print_count(void *user, const char *kind, const char *name, int64_t count) {
  const char *wanted = user;
  if (strcmp(kind, wanted) != 0) return;
  print_label(strcmp(kind, "opset") == 0 ? "opset" : "");
  if (strcmp(kind, "operator") == 0) printf("%6lld ", (long long)count);
  print_safe(stdout, name);
  if (strcmp(kind, "opset") == 0) printf(" %lld", (long long)count);
  printf("\n");
}

static qcc_status print_tensor(const qcc_model *m, const char *label, const char *name) {
  char type[512];
  float scale;
  int32_t zero_point;
  qcc_status st = qcc_type_text(m, name, type, sizeof type);
  if (st != QCC_OK) return st;
  print_label(label);
  print_safe(stdout, name);
  printf(" ");
  print_safe(stdout, type);
  if (qcc_codes_of(m, name, &scale, &zero_point)) printf(", scale %.9g, zero point %d", (double)scale, (int)zero_point);
  printf("\n");
  return QCC_OK;
}

/* Inputs that are constants, as old files list them, are parameters. */
static bool is_given(const qcc_model *m, const char *name) {
  qcc_array type;
  return qcc_tensor_of(m, name, &type) != QCC_OK || !type.data;
}

static qcc_status print_tensors(const qcc_model *m) {
  qcc_status st = QCC_OK;
  for (size_t i = 0; st == QCC_OK && i < qcc_input_count(m); i++)
    if (is_given(m, qcc_input_name(m, i))) st = print_tensor(m, "input", qcc_input_name(m, i));
  for (size_t i = 0; st == QCC_OK && i < qcc_output_count(m); i++) st = print_tensor(m, "output", qcc_output_name(m, i));
  return st;
}

static void scaled(const char *label, double x, const char *unit) {
  static const char *const prefix[] = {"", " thousand", " million", " billion"};
  int i = 0;
  for (; x >= 1000 && i < 3; i++) x /= 1000;
  print_label(label);
  printf("%.*f%s%s", i ? 2 : 0, x, prefix[i], unit);
}

static qcc_status print_info(const qcc_model *m) {
  qcc_model_info info;
  char operators[] = "operator", opsets[] = "opset";
  qcc_status st = qcc_describe(m, &info);
  if (st != QCC_OK) return st;
  print_label("made by");
  print_safe(stdout, *info.producer ? info.producer : "(not told)");
  printf("%s", *info.producer_version ? " " : "");
  print_safe(stdout, info.producer_version);
  printf("\n");
  print_label("IR version");
  printf("%lld\n", (long long)info.ir_version);
  st = qcc_describe_counts(m, print_count, opsets);
  if (st == QCC_OK) st = print_tensors(m);
  if (st != QCC_OK) return st;
  scaled("parameters", (double)info.parameters, "");
  printf(", %.3f MB\n", (double)info.parameter_bytes / 1e6);
  scaled("multiply-adds", info.macs, "\n");
  print_label("nodes");
  printf("%6llu\n", (unsigned long long)info.nodes);
  return qcc_describe_counts(m, print_count, operators);
}

qcc_status cmd_info(qcc_context *cx, const args *a) {
  qcc_model *m = NULL;
  qcc_status st = load_model(&m, cx, a->pos[0]);
  if (st == QCC_OK) st = qcc_passes(m, "infer-shapes", NULL); /* types that the file leaves out */
  if (st == QCC_OK) st = print_info(m);
  qcc_model_free(m);
  return st;
}
