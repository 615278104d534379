/* SPDX-License-Identifier: Apache-2.0
 * The pipe between goals.py and a program that it measures: a line "N" on standard input runs N samples, the answer is a line
 * "WALL PROCESSOR" in seconds. Both sides of a comparison stay open and take turns within milliseconds of each other. */
#ifndef QCC_BENCH_TURNS_H
#define QCC_BENCH_TURNS_H

#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L /* clocks */
#endif

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

static inline double turns_clock(clockid_t which) {
  struct timespec t;
  clock_gettime(which, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* `make` prepares `count` samples outside the measurement, `run` runs them. Ends with the input; false: a call failed. */
static inline bool turns_serve(bool (*make)(void *user, size_t count), bool (*run)(void *user), void *user) {
  size_t count;
  printf("ready\n");
  fflush(stdout);
  while (scanf("%zu", &count) == 1) {
    if (!make(user, count)) return false;
    const double wall = turns_clock(CLOCK_MONOTONIC), processor = turns_clock(CLOCK_PROCESS_CPUTIME_ID);
    if (!run(user)) return false;
    printf("%.9f %.9f\n", turns_clock(CLOCK_MONOTONIC) - wall, turns_clock(CLOCK_PROCESS_CPUTIME_ID) - processor);
    fflush(stdout);
  }
  return true;
}

#endif
