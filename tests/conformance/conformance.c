/* SPDX-License-Identifier: Apache-2.0
 * Operators against the suite's stored results.
 *   conformance ROOT                      every suite below ROOT: counts by class against their floors, and every test that does not pass
 *   conformance ROOT --operator NAME      the node tests of one operator (functions expanded from it too), each with its verdict
 *   conformance ROOT --part TEXT          the tests of all suites whose name holds TEXT
 * With --command QCC [--every N] models run as `QCC run MODEL --in NAME=FILE --out FOLDER`, every N-th of them.
 * Exit code: 1 when a test fails or a floor is missed, 77 when ROOT is not there. */
#define _DEFAULT_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "frontends/data/data.h"
#include "tests/conformance/suite.h"

extern char **environ;

typedef struct options {
  const char *root, *op, *part, *command;
  size_t every;
  char folder[1024]; /* for the outputs of the command */
} options;

/* ---- through the command line */
enum { MAX_ARGS = 2 * SUITE_VALUES + 8 };

static qcc_status run_program(const options *o, char **args, const char *log) {
  posix_spawn_file_actions_t files;
  pid_t pid;
  int status = 0;
  if (posix_spawn_file_actions_init(&files)) return QCC_INTERNAL;
  posix_spawn_file_actions_addopen(&files, 2, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  const int failed = posix_spawn(&pid, o->command, &files, NULL, args, environ);
  posix_spawn_file_actions_destroy(&files);
  if (failed || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return QCC_INTERNAL;
  return (qcc_status)WEXITSTATUS(status);
}

static void read_log(const char *path, loaded *t) {
  FILE *f = fopen(path, "rb");
  if (!f) return;
  if (!fgets(t->error, sizeof t->error, f)) t->error[0] = 0;
  t->error[strcspn(t->error, "\n")] = 0;
  fclose(f);
}

/* The files that the command wrote, in order of the outputs; gone afterwards. */
static qcc_status compare_files(loaded *t, const char *folder) {
  qcc_status st = QCC_OK;
  for (uint32_t i = 0; i < t->g->output_count; ++i) {
    char path[SUITE_PATH];
    qcc_tensor have = {0};
    snprintf(path, sizeof path, "%s/%s.npy", folder, t->g->outputs[i]->value->name);
    for (char *p = path + strlen(folder) + 1; *p; ++p)
      if (*p == '/') *p = '_';
    if (st == QCC_OK) st = qcc_npy_read(&have, t->cx, path);
    if (st == QCC_OK && !t->wrong) t->wrong = !suite_same(t, i, &have);
    qcc_tensor_release(&have);
    unlink(path);
  }
  return st;
}

/* Where the command finds input `i`: a file of the suite, or one that is made of the ramp; `*made` tells which. */
static qcc_status input_path(loaded *t, uint32_t i, const char *folder, char path[SUITE_PATH], bool *made) {
  *made = t->file[i] < 0;
  if (!*made) return suite_input_path(t, i, path), QCC_OK;
  snprintf(path, SUITE_PATH, "%s/in%u.npy", folder, i);
  return qcc_npy_write(t->cx, &t->in[i], path);
}

static qcc_status run_command(loaded *t, void *user) {
  const options *o = user;
  char *args[MAX_ARGS], out[1100], log[1100];
  static char given[SUITE_VALUES][SUITE_PATH + 256], path[SUITE_PATH];
  bool made[SUITE_VALUES] = {false};
  size_t n = 0;
  snprintf(out, sizeof out, "%s/out", o->folder);
  snprintf(log, sizeof log, "%s/log", o->folder);
  const char *const head[] = {o->command, "run", t->model, "--out", out, "--threads", "1"};
  for (size_t i = 0; i < sizeof head / sizeof head[0]; ++i) args[n++] = (char *)(uintptr_t)head[i];
  for (uint32_t i = 0; i < t->g->input_count && i < SUITE_VALUES && n + 3 < MAX_ARGS; ++i) {
    if (!t->in[i].data) continue;
    QCC_TRY(input_path(t, i, o->folder, path, &made[i]));
    snprintf(given[i], sizeof given[i], "%.200s=%s", t->g->inputs[i]->name, path);
    args[n++] = (char *)(uintptr_t) "--in";
    args[n++] = given[i];
  }
  args[n] = NULL;
  qcc_status st = run_program(o, args, log);
  if (st != QCC_OK) read_log(log, t);
  if (st == QCC_OK) st = compare_files(t, out);
  for (uint32_t i = 0; i < SUITE_VALUES; ++i)
    if (made[i]) unlink(strchr(given[i], '=') + 1);
  unlink(log);
  rmdir(out);
  return st;
}

/* ---- counting */
typedef struct figure {
  const char *name;
  unsigned count[3], floor; /* floor: least number of passes */
} figure;

enum { QUANTIZATION, TIER1, CORE, NODE, SIMPLE, LIGHT, PYTORCH, FIGURES };

static void count(figure *f, const test_case *t) { ++f->count[t->verdict]; }

static bool print_figure(const figure *f, bool judge) {
  const unsigned all = f->count[0] + f->count[1] + f->count[2];
  const bool low = judge && f->count[PASSED] < f->floor;
  printf("%-22s %6u of %5u pass, %4u refused as unsupported, %3u fail", f->name, f->count[PASSED], all, f->count[UNSUPPORTED],
         f->count[FAILED]);
  printf(low ? "   BELOW THE FLOOR OF %u\n" : "\n", f->floor);
  return low;
}

static void print_verdict(const test_case *t, bool always) {
  static const char *const words[] = {"passed", "unsupported", "FAILED"};
  if (t->verdict != PASSED || always) printf("%-11s %s (%s): %s\n", words[t->verdict], t->name, t->op[0] ? t->op : "-", t->reason);
  fflush(stdout);
}

static bool selected(const options *o, const test_case *t) {
  if (o->op && strcmp(o->op, t->op)) return false;
  return !o->part || strstr(t->name, o->part);
}

static size_t run_suite(options *o, const char *folder, figure *figures, int which, figure *classes) {
  test_case *all;
  const size_t n = suite_list(o->root, folder, &all);
  size_t ran = 0;
  for (size_t i = 0; i < n; ++i) {
    test_case *t = &all[i];
    if (!selected(o, t) || (o->every > 1 && i % o->every)) continue;
    suite_run(t, o->command ? run_command : NULL, o);
    ++ran;
    print_verdict(t, o->op || o->part);
    count(&figures[which], t);
    if (which != NODE) continue;
    if (t->quantization) count(&figures[QUANTIZATION], t);
    if (t->tier1) count(&figures[TIER1], t);
    if (t->kind == CLASS_CORE) count(&figures[CORE], t);
    count(&classes[t->kind], t);
  }
  suite_free(all, n);
  return ran;
}

static int run_all(options *o) {
  figure figures[FIGURES] = {{.name = "quantization", .floor = 33}, {.name = "Tier 1", .floor = 551},
                             {.name = "core types", .floor = 1243}, {.name = "all node tests", .floor = 1800},
                             {.name = "simple", .floor = 23},       {.name = "light nets", .floor = 9},
                             {.name = "pytorch", .floor = 117}};
  static const struct {
    const char *folder;
    int figure;
  } suites[] = {{"node", NODE}, {"simple", SIMPLE}, {"light", LIGHT}, {"pytorch-converted", PYTORCH}, {"pytorch-operator", PYTORCH}};
  figure classes[CLASS_COUNT] = {{0}};
  size_t ran = 0;
  bool bad = false;
  const bool whole = !o->op && !o->part && !o->command;
  for (size_t i = 0; i < sizeof suites / sizeof suites[0]; ++i) {
    if (o->op && suites[i].figure != NODE) continue;
    ran += run_suite(o, suites[i].folder, figures, suites[i].figure, classes);
  }
  if (ran == 0) {
    printf("no tests at %s\n", o->root);
    return 77;
  }
  printf("\n");
  for (int i = 0; i < CLASS_COUNT && whole; ++i) {
    classes[i].name = class_name((test_class)i);
    print_figure(&classes[i], false);
  }
  printf("\n");
  for (int i = 0; i < FIGURES; ++i) {
    if (whole || figures[i].count[0] + figures[i].count[1] + figures[i].count[2]) bad |= print_figure(&figures[i], whole);
    bad |= figures[i].count[FAILED] > 0;
  }
  return bad;
}

static bool read_args(options *o, int argc, char **argv) {
  *o = (options){.root = argc > 1 ? argv[1] : NULL, .every = 1};
  for (int i = 2; i + 1 < argc; i += 2) {
    if (!strcmp(argv[i], "--operator"))
      o->op = argv[i + 1];
    else if (!strcmp(argv[i], "--part"))
      o->part = argv[i + 1];
    else if (!strcmp(argv[i], "--command"))
      o->command = argv[i + 1];
    else if (!strcmp(argv[i], "--every"))
      o->every = strtoul(argv[i + 1], NULL, 10);
    else
      return false;
  }
  return o->root && argc % 2 == 0;
}

int main(int argc, char **argv) {
  options o;
  if (!read_args(&o, argc, argv)) {
    fprintf(stderr, "usage: conformance ROOT [--operator NAME] [--part TEXT] [--command QCC] [--every N]\n");
    return 2;
  }
  const char *build = getenv("QCC_BUILD");
  snprintf(o.folder, sizeof o.folder, "%.900s/conformance-XXXXXX", build ? build : "build");
  if (o.command && !mkdtemp(o.folder)) return 1;
  const int code = run_all(&o);
  if (o.command) rmdir(o.folder);
  return code;
}
