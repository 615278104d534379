/* SPDX-License-Identifier: Apache-2.0
 * The inside of a context, shared by the files of ir/support and by the symbol table of tensor.c, nobody else.
 * Invariant: `lock` guards `last`, `in_log` and calls of the log; counters are atomics; everything else belongs to
 * the one thread that uses the context. */
#ifndef QCC_SUPPORT_INTERNAL_H
#define QCC_SUPPORT_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "ir/support/arena.h"
#include "ir/support/context.h"

enum { QCC_LINE_BYTES = 2048, QCC_NAME_CUT = 128 };

typedef struct qcc_intern_slot {
  const char *text; /* NULL: free */
  uint64_t hash;
  size_t n;
} qcc_intern_slot;

struct qcc_context {
  qcc_host host;
  qcc_limits limits;
  atomic_size_t live, peak;
  pthread_mutex_t lock;
  bool in_log;               /* the log function is running: a nested message is stored, not shown */
  bool spill_failed;         /* keep constants in memory from now on */
  bool nomem_told;           /* the newest error is "out of memory": do not repeat it */
  char last[QCC_LINE_BYTES]; /* newest error */
  qcc_arena names;           /* bytes of interned text */
  qcc_intern_slot *slots;
  size_t name_count, name_cap;
  uint64_t key[2]; /* of the hash: hostile names must not collide on purpose */
  const char **symbols;
  size_t symbol_count, symbol_cap;
  struct qcc_map *symbol_index;
};

/* The default file access (posix_io.c); its memory comes from `cx`. */
qcc_io qcc_posix_io(qcc_context *cx);
int qcc_posix_spill(void *user, const void *bytes, size_t n, const void **kept);
/* intern.c */
void qcc_intern_init(qcc_context *cx);
void qcc_intern_fini(qcc_context *cx);
/* diag.c: tells "out of memory" once, without allocating. */
void qcc_tell_nomem(qcc_context *cx, size_t size);
/* format.c: copies text to `to` (room n, terminated) with control bytes and bad UTF-8 escaped; at most `cut` source
 * bytes, then "...". Returns the length that the whole would need. With `quote`, quotes and backslashes are escaped too. */
size_t qcc_escape(char *to, size_t n, const char *text, size_t length, size_t cut, bool quote);
/* number.c: decimal digits of a finite x > 0, exactly rounded half to even: x = 0.d1d2d3... * 10^*exponent.
 * `count` digits, or with `after_point` as many as reach `count` places behind the point. Returns how many (maybe 0); room 700. */
int qcc_digits(char *digits, double x, int count, bool after_point, int *exponent);
/* The fewest digits that tell x from its neighbours: of type float when `single`. */
int qcc_digits_short(char *digits, double x, bool single, int *exponent);

#endif
