/* SPDX-License-Identifier: Apache-2.0
 * The command line: arguments from tables (options.def, commands.def), one file per command, nothing but qcc.h below. */
#ifndef QCC_CLI_H
#define QCC_CLI_H

#include <stdio.h>

#include "frontends/capi/qcc.h"

/* Commands by number, then as bits for options.def. */
enum {
#define COMMAND(id, name, args, least, most, doc, example) command_##id,
#include "frontends/cli/commands.def"
#undef COMMAND
};
enum {
#define COMMAND(id, name, args, least, most, doc, example) id = 1 << command_##id,
#include "frontends/cli/commands.def"
#undef COMMAND
  ANY = INT32_MAX
};

typedef struct text_list {
  const char **at;
  uint32_t count;
} text_list;

typedef bool option_FLAG;
typedef const char *option_TEXT, *option_CHOICE;
typedef struct {
  uint64_t value;
  bool given;
} option_NUMBER;
typedef text_list option_LIST;

typedef struct args {
  unsigned command;
  int level; /* -O; 2 unless given */
  const char *pos[2];
  int pos_count;
#define OPTION(field, kind, name, letter, arg, commands, doc) option_##kind field;
#include "frontends/cli/options.def"
#undef OPTION
  char *line; /* the options as one text, for the model's metadata */
} args;

/* Fill `a` from the command line. QCC_ARG after one message. Release with args_free. */
qcc_status args_parse(args *a, int argc, char **argv);
void args_free(args *a);
/* Options of all commands, or of the one in `command`, with examples. */
void args_help(FILE *to, unsigned command);

/* What the host does for the library: messages and progress on stderr, signals. */
typedef struct terminal {
  bool quiet, verbose, is_tty, line_open;
  double last, stage_start;
  char stage[32];
} terminal;
void terminal_host(qcc_host *host, terminal *t, const args *a);
void terminal_clear(terminal *t); /* take an unfinished progress line away */
qcc_status usage_error(const char *fmt, const char *what);
double terminal_now(void);
int terminal_signal(void); /* the signal that asked to stop, 0: none */

/* A name or path from outside: control bytes as \xNN, cut at 1024 bytes. */
void print_safe(FILE *to, const char *text);
qcc_status no_memory(void);                                /* one message and QCC_NOMEM */
qcc_status file_error(const char *path, const char *what); /* one message with errno and QCC_IO */

/* Load by suffix: .qir or ONNX. */
qcc_status load_model(qcc_model **out, qcc_context *cx, const char *path);
qcc_status read_text(char **out, size_t *n, const char *path); /* free() it */

/* A text file on its way: prepared under another name, then finished: renamed when all went well so far, removed otherwise. */
typedef struct text_out {
  const char *path;
  char *temporary; /* NULL: nothing to finish */
} text_out;
qcc_status text_prepare(text_out *o, const char *path, const char *text, size_t n);
qcc_status text_finish(text_out *o, qcc_status so_far);
qcc_status write_text(const char *path, const char *text, size_t n);
qcc_status exact_of(bool *exact, bool *saturating, const args *a); /* what --exact asks for */
void pass_options_of(qcc_pass_options *o, const args *a);

/* What a session measured, on stdout. */
qcc_status print_profile(qcc_session *s);
qcc_status print_stats(qcc_session *s);
double peak_megabytes(void); /* resident, of this process */

qcc_status cmd_check(qcc_context *cx, const args *a);
qcc_status cmd_compile(qcc_context *cx, const args *a);
qcc_status cmd_run(qcc_context *cx, const args *a);
qcc_status cmd_diff(qcc_context *cx, const args *a);
qcc_status cmd_dump(qcc_context *cx, const args *a);
qcc_status cmd_opt(qcc_context *cx, const args *a);
qcc_status cmd_list(qcc_context *cx, const args *a);
qcc_status cmd_info(qcc_context *cx, const args *a);
qcc_status cmd_cost(qcc_context *cx, const args *a);
qcc_status cmd_capability(qcc_context *cx, const args *a);

#endif
