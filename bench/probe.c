/* SPDX-License-Identifier: Apache-2.0
 * probe [-t THREADS]
 * What the processors themselves give, on command (turns.h): every thread multiplies and adds in registers, without memory, locks or the
 * other threads. On a machine whose processors are whole, twice as many threads do twice as much in the same time. */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "backends/ref/simd/simd.h"
#include "bench/turns.h"
#include "ir/support/host.h"

enum { MOST_THREADS = 8, ROUNDS = 1000000 };

typedef struct side {
  unsigned threads;
  size_t count;
} side;

static bool make(void *user, size_t count) { return ((side *)user)->count = count, true; }

static void *multiply(void *user) {
  const side *s = user;
  const qcc_simd *simd = qcc_simd_choose();
  float to[QCC_NR_MAX] = {0};
  for (size_t i = 0; i < s->count; i++) simd->peak(ROUNDS, to);
  return NULL;
}

static bool run(void *user) {
  side *s = user;
  pthread_t thread[MOST_THREADS];
  unsigned n = 1; /* this one */
  while (n < s->threads && pthread_create(&thread[n], NULL, multiply, s) == 0) n++;
  multiply(s);
  for (unsigned i = 1; i < n; i++) pthread_join(thread[i], NULL);
  return n == s->threads;
}

int main(int argc, char **argv) {
  side s = {.threads = 1};
  for (int option; (option = getopt(argc, argv, "t:")) != -1;) {
    if (option == 't') s.threads = (unsigned)strtoul(optarg, NULL, 10);
    if (option == '?') return QCC_ARG;
  }
  if (s.threads < 1 || s.threads > MOST_THREADS || optind != argc) {
    fprintf(stderr, "usage: probe [-t THREADS]\n");
    return QCC_ARG;
  }
  return turns_serve(make, run, &s) ? QCC_OK : QCC_INTERNAL;
}
