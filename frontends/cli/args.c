/* SPDX-License-Identifier: Apache-2.0
 * Arguments to a struct, driven by options.def and commands.def; --help from the same rows. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "frontends/cli/cli.h"

typedef enum kind { FLAG, TEXT, NUMBER, LIST_KIND, CHOICE } kind;
#define KIND_FLAG FLAG
#define KIND_TEXT TEXT
#define KIND_NUMBER NUMBER
#define KIND_LIST LIST_KIND
#define KIND_CHOICE CHOICE

typedef struct row {
  kind kind;
  const char *name, *arg, *doc;
  char letter;
  unsigned commands;
  size_t offset;
} row;

static const row rows[] = {
#define OPTION(field, kind, name, letter, arg, commands, doc) {KIND_##kind, name, arg, doc, letter, commands, offsetof(args, field)},
#include "frontends/cli/options.def"
#undef OPTION
};
enum { ROWS = sizeof rows / sizeof *rows };

typedef struct command {
  unsigned id;
  const char *name, *usage, *doc, *example;
  int least, most;
} command;

static const command commands[] = {
#define COMMAND(id, name, usage, least, most, doc, example) {id, name, usage, doc, example, least, most},
#include "frontends/cli/commands.def"
#undef COMMAND
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void help_row(FILE *to, const row *r) {
  char left[64];
  snprintf(left, sizeof left, "%s%c%s--%s%s%s", r->letter ? "-" : "", r->letter ? r->letter : ' ', r->letter ? ", " : "   ", r->name,
           *r->arg && *r->arg != '[' ? " " : "", r->arg);
  fprintf(to, "  %-28s %s\n", left, r->doc);
}

void args_help(FILE *to, unsigned only) {
  fprintf(to, "qcc %s: a quantizing compiler for neural networks\n\n", qcc_version());
  for (int i = 0; i < COMMANDS; i++) {
    const command *c = &commands[i];
    if (only && only != c->id) continue;
    fprintf(to, "  qcc %s %s\n      %s\n      e.g. %s\n", c->id == COMPILE ? "[-O0|-O1|-O2]" : c->name, c->usage, c->doc, c->example);
  }
  fprintf(to, "\n");
  if (!only || only == COMPILE)
    fprintf(to, "  -O0 canonical float; -O1 needs no data; -O2 static ranges from samples, every step measured (default)\n");
  for (int i = 0; i < ROWS; i++) {
    if (!only || (rows[i].commands & only)) help_row(to, &rows[i]);
  }
  fprintf(to,
          "\nExit codes: 0 done, 1 goal missed, 2 command line, 3 bad model, 4 unsupported, 5 bad data, 6 files, 7 limit, 8 memory, 9 bug "
          "of qcc\n");
}

static const row *find_row(const char *name, size_t n, char letter) {
  for (int i = 0; i < ROWS; i++) {
    if (letter ? rows[i].letter == letter : strlen(rows[i].name) == n && strncmp(rows[i].name, name, n) == 0) return &rows[i];
  }
  return NULL;
}

static qcc_status set_number(option_NUMBER *to, const char *value, const char *name) {
  char *end = NULL;
  errno = 0;
  unsigned long long v = strtoull(value, &end, 10);
  if (errno || end == value || *end || *value == '-') return usage_error("option --%s needs a number", name);
  *to = (option_NUMBER){v, true};
  return QCC_OK;
}

static qcc_status add_text(text_list *list, const char *value) {
  const char **at = realloc(list->at, (list->count + 1) * sizeof *at);
  if (!at) return no_memory();
  list->at = at;
  list->at[list->count++] = value;
  return QCC_OK;
}

static qcc_status set(args *a, const row *r, const char *value) {
  char *field = (char *)a + r->offset;
  if (r->kind == FLAG) return *(bool *)field = true, QCC_OK;
  if (r->kind == LIST_KIND) return add_text((text_list *)(void *)field, value);
  if (r->kind == NUMBER) {
    if (((option_NUMBER *)(void *)field)->given) return usage_error("option --%s is given twice", r->name);
    return set_number((option_NUMBER *)(void *)field, value, r->name);
  }
  const char **text = (const char **)(void *)field;
  if (*text) return usage_error("option --%s is given twice", r->name);
  *text = value;
  return QCC_OK;
}

/* One option at argv[*i]; takes its value from behind '=' or from the next argument. */
static qcc_status parse_option(args *a, int argc, char **argv, int *i) {
  const char *arg = argv[*i], *value = NULL;
  if (arg[1] == 'O' && arg[2] >= '0' && arg[2] <= '9' && !arg[3]) return a->level = arg[2] - '0', QCC_OK;
  bool is_long = arg[1] == '-';
  const char *name = arg + (is_long ? 2 : 1);
  size_t n = is_long ? strcspn(name, "=") : 1;
  const row *r = is_long ? find_row(name, n, 0) : find_row(NULL, 0, *name);
  if (!r || (!is_long && name[1] && r->kind == FLAG)) return usage_error("unknown option %s; \"qcc --help\" lists them", arg);
  if (!(r->commands & a->command)) return usage_error("option %s does not belong to this command", arg);
  if (name[n] == '=') value = name + n + 1;
  if (!is_long && name[1]) value = name + 1;
  if (r->kind == FLAG && value) return usage_error("option --%s takes no value", r->name);
  if (r->kind == CHOICE && !value) value = "";
  if (r->kind != FLAG && !value) value = ++*i < argc ? argv[*i] : NULL;
  if (r->kind != FLAG && !value) return usage_error("option --%s needs a value", r->name);
  return set(a, r, value);
}

static const command *command_of(const char *word) {
  for (int i = 0; word && i < COMMANDS; i++) {
    if (strcmp(commands[i].name, word) == 0) return &commands[i];
  }
  return NULL;
}

/* What the model remembers: options without paths, so that the same work gives the same bytes anywhere. */
static qcc_status remember(args *a) {
  const struct {
    const char *name, *value; /* NULL: not given */
  } texts[] = {{"format", a->format}, {"activations", a->activations}, {"weights", a->weights}, {"float", a->floats}};
  const struct {
    const char *name;
    bool given;
  } flags[] = {{"dynamic", a->dynamic}, {"per-tensor", a->per_tensor}, {"reduce-range", a->reduce_range},
               {"pow2", a->pow2},       {"nbits-contrib", a->nbits},   {"float-io", a->float_io}};
  size_t n = 256;
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) n += texts[i].value ? strlen(texts[i].value) + 24 : 0;
  for (uint32_t i = 0; i < a->only.count; i++) n += strlen(a->only.at[i]) + 8;
  for (uint32_t i = 0; i < a->exclude.count; i++) n += strlen(a->exclude.at[i]) + 12;
  a->line = calloc(1, n);
  if (!a->line) return no_memory();
  int at = snprintf(a->line, n, "-O%d", a->level);
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    if (flags[i].given) at += snprintf(a->line + at, n - (size_t)at, " --%s", flags[i].name);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (texts[i].value) at += snprintf(a->line + at, n - (size_t)at, " --%s %s", texts[i].name, texts[i].value);
  if (a->block.given) at += snprintf(a->line + at, n - (size_t)at, " --block %llu", (unsigned long long)a->block.value);
  for (uint32_t i = 0; i < a->only.count; i++) at += snprintf(a->line + at, n - (size_t)at, " --only %s", a->only.at[i]);
  for (uint32_t i = 0; i < a->exclude.count; i++) at += snprintf(a->line + at, n - (size_t)at, " --exclude %s", a->exclude.at[i]);
  return QCC_OK;
}

static qcc_status check_positionals(const args *a, const command *c) {
  if (a->help || a->version) return QCC_OK;
  if (a->pos_count < c->least) return usage_error("missing argument: qcc %s", c->id == COMPILE ? "MODEL -o OUT" : c->usage);
  if (a->pos_count > c->most) return usage_error("too many arguments: qcc %s", c->usage);
  return QCC_OK;
}

qcc_status args_parse(args *a, int argc, char **argv) {
  *a = (args){.command = COMPILE, .level = 2};
  const command *c = argc > 1 ? command_of(argv[1]) : NULL;
  int i = c ? 2 : 1;
  if (!c) c = &commands[0];
  a->command = c->id;
  bool only_positionals = false;
  for (qcc_status st; i < argc; i++) {
    if (!only_positionals && strcmp(argv[i], "--") == 0) {
      only_positionals = true;
    } else if (!only_positionals && argv[i][0] == '-' && argv[i][1]) {
      if ((st = parse_option(a, argc, argv, &i)) != QCC_OK) return st;
    } else if (a->pos_count == 2) {
      return usage_error("too many arguments: qcc %s", c->usage);
    } else {
      a->pos[a->pos_count++] = argv[i];
    }
  }
  qcc_status st = check_positionals(a, c);
  return st == QCC_OK ? remember(a) : st;
}

void args_free(args *a) {
  free(a->calib.at);
  free(a->only.at);
  free(a->exclude.at);
  free(a->in.at);
  free(a->limit.at);
  free(a->line);
}

qcc_status exact_of(bool *exact, bool *saturating, const args *a) {
  *exact = a->exact != NULL;
  *saturating = a->exact && strcmp(a->exact, "saturating") == 0;
  return !a->exact || !*a->exact || *saturating ? QCC_OK : usage_error("--exact=%s: it is --exact or --exact=saturating", a->exact);
}
