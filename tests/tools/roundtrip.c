/* SPDX-License-Identifier: Apache-2.0
 * roundtrip [-x] IN OUT: load a model and save it again (-x: weights to external data). roundtrip -t FILE.pb: load a tensor.
 * roundtrip -l: paths "IN\tOUT" on stdin, one context each; prints "STATUS\tIN". The exit code is the status of the last call. */
#include <stdio.h>
#include <string.h>

#include "backends/onnx/export.h"
#include "frontends/onnx/import.h"

static void print_line(void *user, qcc_severity severity, const char *line) {
  (void)user;
  (void)severity;
  fprintf(stderr, "roundtrip: %s\n", line);
}

static int run(const char *in, const char *out, bool external) {
  qcc_host host = {.log = print_line};
  qcc_onnx_write_options options = {.external = external ? 1 : -1};
  qcc_context *cx = NULL;
  qcc_graph *g = NULL;
  qcc_tensor t = {0};
  qcc_status st = qcc_context_new(&cx, &host);
  if (st != QCC_OK) return (int)st;
  st = out ? qcc_onnx_load(&g, cx, in) : qcc_onnx_load_tensor(&t, cx, in, NULL);
  if (st == QCC_OK && out && *out) st = qcc_onnx_save(g, out, &options);
  qcc_graph_free(g);
  qcc_tensor_release(&t);
  qcc_context_free(cx);
  return (int)st;
}

static int run_list(void) {
  char line[8192];
  int st = 0;
  while (fgets(line, sizeof line, stdin)) {
    line[strcspn(line, "\n")] = 0;
    char *tab = strchr(line, '\t');
    if (!tab) return 2;
    *tab = 0;
    st = run(line, tab + 1, false);
    printf("%d\t%s\n", st, line);
    fflush(stdout);
  }
  return st;
}

int main(int argc, char **argv) {
  if (argc == 2 && !strcmp(argv[1], "-l")) return run_list();
  if (argc == 3 && !strcmp(argv[1], "-t")) return run(argv[2], NULL, false);
  if (argc == 4 && !strcmp(argv[1], "-x")) return run(argv[2], argv[3], true);
  if (argc == 3) return run(argv[1], argv[2], false);
  fprintf(stderr, "usage: roundtrip [-x] IN OUT | roundtrip -t FILE.pb | roundtrip -l\n");
  return 2;
}
