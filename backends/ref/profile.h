/* SPDX-License-Identifier: Apache-2.0
 * The profile: what every step of every plan costs. Off by default, and then nothing but a pointer that is NULL.
 * Invariants: a worker writes only its own log; lines are made while a plan is built, under its lock; logs are added up between runs, in the
 * order of workers. Measuring changes no result. */
#ifndef QCC_REF_PROFILE_H
#define QCC_REF_PROFILE_H

#include "backends/ref/plan.h"

qcc_status qcc_profile_open(qcc_runner *r) QCC_MUST_USE; /* logs for all workers; measures the peak of this processor */
void qcc_profile_close(qcc_runner *r);
qcc_status qcc_profile_plan(qcc_planner *b) QCC_MUST_USE; /* a line for each step of a finished plan */
double qcc_profile_now(void);                             /* seconds of a clock that never goes back */
/* Step `i` of the plan ran on the current image. */
qcc_status qcc_profile_took(qcc_worker *w, const qcc_shape_plan *p, size_t i, double start, double seconds) QCC_MUST_USE;
qcc_status qcc_profile_gather(qcc_runner *r) QCC_MUST_USE; /* from the logs into r->stats */
void qcc_profile_reset(qcc_runner *r);                     /* lines stay, figures and executions go */

#endif
