/* SPDX-License-Identifier: Apache-2.0
 * dump_samples OUT TRANSFORM|- TYPE SOURCE...: opens a data set for a model whose inputs are x (TYPE, e.g. f32[1,3,224,224] or u8[?,?,?,3])
 * and, when there is a second TYPE behind a plus sign, y; writes every sample as OUT/INDEX.NAME.npy. Exit code: the status. */
#include <stdio.h>
#include <string.h>

#include "frontends/data/data.h"

static void show(void *user, qcc_severity severity, const char *line) {
  (void)user, (void)severity;
  fprintf(stderr, "%s\n", line);
}

/* Parse "f32[1,?,3]"; returns the text behind it, NULL: not a type. */
static const char *read_type(qcc_type *t, const char *p) {
  char name[8] = "";
  size_t n = strcspn(p, "[");
  int64_t dims[QCC_MAX_RANK];
  int rank = 0;
  if (n >= sizeof name || p[n] != '[') return NULL;
  memcpy(name, p, n);
  for (p += n + 1; *p != ']'; p += *p == ',') {
    size_t k = *p == '?' ? 1 : qcc_read_s64(p, strcspn(p, ",]"), &dims[rank]);
    if (*p == '?') dims[rank] = QCC_DIM_UNKNOWN;
    if (!k || ++rank == QCC_MAX_RANK) return NULL;
    p += k;
  }
  *t = qcc_type_of(qcc_dtype_from_name(name), rank, dims);
  return p + 1;
}

static qcc_status write_sample(qcc_context *cx, const qcc_graph *g, const qcc_samples *s, size_t index, const char *folder) {
  qcc_tensor in[2];
  char path[1024];
  memset(in, 0, sizeof in);
  qcc_status st = s->get(s->user, index, in);
  for (uint32_t i = 0; i < g->input_count; i++) {
    qcc_format(path, sizeof path, "%s/%zu.%s.npy", folder, index, g->inputs[i]->name);
    if (st == QCC_OK) st = qcc_npy_write(cx, &in[i], path);
    qcc_tensor_release(&in[i]);
  }
  return st;
}

static qcc_status dump(qcc_context *cx, qcc_graph *g, int argc, char **argv) {
  const char *rest = argv[3];
  for (int i = 0; i < 2 && rest && (i == 0 || *rest); i++) {
    qcc_type t;
    rest = read_type(&t, rest + i);
    if (!rest || !qcc_add_input(g, i ? "y" : "x", &t)) return QCC_ARG;
  }
  qcc_dataset *d = NULL;
  QCC_TRY(qcc_dataset_open(&d, g, (const char *const *)argv + 4, (uint32_t)argc - 4, strcmp(argv[2], "-") ? argv[2] : NULL, 0));
  const qcc_samples *s = qcc_dataset_samples(d);
  qcc_status st = qcc_dataset_digest(d) ? QCC_OK : QCC_DATA;
  for (size_t i = 0; st == QCC_OK && i < s->count; i++) st = write_sample(cx, g, s, i, argv[1]);
  qcc_dataset_free(d);
  return st;
}

int main(int argc, char **argv) {
  qcc_host host = {.log = show};
  qcc_context *cx = NULL;
  qcc_graph *g = NULL;
  if (argc < 5) return QCC_ARG;
  qcc_status st = qcc_context_new(&cx, &host);
  if (st == QCC_OK) st = qcc_graph_new(&g, cx);
  if (st == QCC_OK) st = dump(cx, g, argc, argv);
  qcc_graph_free(g);
  qcc_context_free(cx);
  return (int)st;
}
