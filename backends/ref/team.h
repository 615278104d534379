/* SPDX-License-Identifier: Apache-2.0
 * Parallelism inside a sample. A step cuts its output into parts whose bits do not depend on the cut, and runs them through the team of its
 * worker; without one they run in order. */
#ifndef QCC_TEAM_H
#define QCC_TEAM_H

#include "backends/ref/run.h"

/* Part `index` on worker `w`: the leader or a member, whose scratch is free again afterwards. */
typedef qcc_status (*qcc_part)(qcc_worker *w, size_t index, void *user);

/* Runs parts 0..parts-1, each once, and returns when all are done. `work`: about how many multiply-adds that is in all; little is done
 * alone, because waking a member costs microseconds. The result is that of the lowest part that failed. */
qcc_status qcc_team_run(qcc_worker *w, double work, size_t parts, qcc_part part, void *user) QCC_MUST_USE;
unsigned qcc_team_size(const qcc_worker *w);                                  /* threads that take parts, the leader included */
void qcc_team_helpers(const qcc_worker *w, unsigned *first, unsigned *count); /* workers other than the leader, by index */
/* Into how many slices a team cuts `panels` columns of a product when rows alone do not keep it busy. */
static inline size_t qcc_slices(size_t panels, size_t team) { return panels < 2 * team ? (panels ? panels : 1) : 2 * team; }

/* The same on a team of one's own, however little the work is. */
qcc_status qcc_team_share(qcc_team *t, qcc_worker *w, size_t parts, qcc_part part, void *user) QCC_MUST_USE;

/* Threads for `count` workers, which belong to the team until it is closed; count 0 gives NULL. */
qcc_status qcc_team_open(qcc_team **out, qcc_worker *members, unsigned count) QCC_MUST_USE;
void qcc_team_close(qcc_team *t);

#endif
