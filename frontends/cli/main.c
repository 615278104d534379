/* SPDX-License-Identifier: Apache-2.0
 * qcc: parse, make a context, run one command, turn its status into an exit code. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "frontends/cli/cli.h"

/* What is large goes back to the system when it is freed. By itself glibc learns to keep it, and samples leave holes behind. */
static void give_memory_back(void) {
#ifdef __GLIBC__
  enum { LARGE = 1 << 20 };
  mallopt(M_MMAP_THRESHOLD, LARGE);
#endif
}

static void print_graph(void *user, const char *text, size_t n) {
  (void)user;
  fwrite(text, 1, n, stdout);
}

void pass_options_of(qcc_pass_options *o, const args *a) {
  *o = (qcc_pass_options)QCC_PASS_OPTIONS_INIT;
  o->print_after = a->print_after;
  o->print_changed = a->print_changed;
  o->time = a->time;
  o->bisect = a->bisect.value;
  o->explain = a->explain;
  o->reproducer = a->reproducer;
  o->print = print_graph;
}

static qcc_status set_limits(qcc_context *cx, const args *a) {
  for (uint32_t i = 0; i < a->limit.count; i++) {
    char name[64];
    const char *text = a->limit.at[i], *eq = strchr(text, '=');
    char *end = NULL;
    unsigned long long value = eq ? strtoull(eq + 1, &end, 10) : 0;
    if (!eq || end == eq + 1 || *end || (size_t)(eq - text) >= sizeof name) return usage_error("--limit %s: expected NAME=NUMBER", text);
    memcpy(name, text, (size_t)(eq - text));
    name[eq - text] = 0;
    qcc_status st = qcc_set_limit(cx, name, value);
    if (st != QCC_OK) return st;
  }
  return QCC_OK;
}

static qcc_status run_command(qcc_context *cx, const args *a) {
  static const struct {
    unsigned id;
    qcc_status (*run)(qcc_context *cx, const args *a);
  } table[] = {{COMPILE, cmd_compile}, {RUN, cmd_run},   {DIFF, cmd_diff},   {DUMP, cmd_dump}, {OPT, cmd_opt},
               {LIST, cmd_list},       {INFO, cmd_info}, {CHECK, cmd_check}, {COST, cmd_cost}, {CAPABILITY, cmd_capability}};
  for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
    if (table[i].id == a->command) return table[i].run(cx, a);
  }
  return QCC_INTERNAL;
}

static qcc_status with_context(const args *a) {
  terminal t;
  qcc_host host;
  qcc_context *cx = NULL;
  terminal_host(&host, &t, a);
  if (a->spill && host.spill_folder && access(host.spill_folder, W_OK | X_OK) != 0)
    return file_error(host.spill_folder, "cannot spill to it");
  qcc_status st = qcc_open(&cx, &host);
  if (st != QCC_OK) {
    fprintf(stderr, "qcc: error[N-001]: no memory to begin with\n");
    return st;
  }
  st = set_limits(cx, a);
  if (st == QCC_OK) st = run_command(cx, a);
  terminal_clear(&t);
  qcc_close(cx);
  if (st == QCC_OK && fflush(stdout) != 0) {
    fprintf(stderr, "qcc: error[F-002]: standard output cannot be written\n");
    st = QCC_IO;
  }
  return st;
}

int main(int argc, char **argv) {
  args a;
  give_memory_back();
  qcc_status st = args_parse(&a, argc, argv);
  if (st == QCC_OK && a.version) {
    printf("qcc %s\n", qcc_version());
  } else if (st == QCC_OK && a.help) {
    args_help(stdout, argc > 2 ? a.command : 0);
  } else if (st == QCC_OK) {
    st = with_context(&a);
  }
  args_free(&a);
  if (st == QCC_CANCELLED && terminal_signal()) return 128 + terminal_signal();
  return st == QCC_CANCELLED ? 130 : (int)st;
}
