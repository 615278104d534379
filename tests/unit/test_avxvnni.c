/* SPDX-License-Identifier: Apache-2.0
 * The loops for AVX-VNNI on processors that lack it but have AVX2: its one instruction traps and is computed here, the rest runs as compiled.
 * Skipped where the instruction is there (unit.codes runs it then), or AVX2 is not. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/simd/isa.h"
#include "backends/ref/simd/simd_tables.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <signal.h>
#include <stddef.h>
#include <ucontext.h>
#include <unistd.h>

enum { XMM = 160 }; /* the lower halves in the frame that the kernel leaves */

typedef struct ymm {
  uint8_t at[32];
} ymm;

static uint8_t *lower(ucontext_t *u, unsigned n) { return (uint8_t *)u->uc_mcontext.fpregs + XMM + 16 * n; }

static uint8_t *upper(ucontext_t *u, unsigned n) {
  unsigned a, b, c, d;
  __cpuid_count(13, 2, a, b, c, d);
  return (uint8_t *)u->uc_mcontext.fpregs + b + 16 * n;
}

static ymm get(ucontext_t *u, unsigned n) {
  ymm y;
  memcpy(y.at, lower(u, n), 16), memcpy(y.at + 16, upper(u, n), 16);
  return y;
}

static void put(ucontext_t *u, unsigned n, ymm y) { memcpy(lower(u, n), y.at, 16), memcpy(upper(u, n), y.at + 16, 16); }

static greg_t base(const ucontext_t *u, unsigned n) {
  static const int order[] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                              REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  return u->uc_mcontext.gregs[order[n]];
}

/* The operand of a ModRM byte in memory; *p comes to stand behind it. */
static const uint8_t *address(const ucontext_t *u, const uint8_t **p, bool x, bool b) {
  const unsigned mod = **p >> 6, rm = *(*p)++ & 7;
  int64_t at = 0;
  int32_t wide = 0;
  bool none = mod == 0 && rm == 5;
  if (rm == 4) {
    const unsigned sib = *(*p)++, index = (sib >> 3 & 7u) + 8u * x;
    none = mod == 0 && (sib & 7) == 5;
    if (index != 4) at += base(u, index) << (sib >> 6);
    if (!none) at += base(u, (sib & 7u) + 8u * b);
  } else if (!none) {
    at = base(u, rm + 8u * b);
  }
  if (mod == 1) at += (int8_t) * (*p)++;
  if (mod == 2 || none) {
    memcpy(&wide, *p, 4);
    *p += 4, at += wide;
  }
  if (rm == 5 && none) at += (int64_t)(intptr_t)*p;
  return (const uint8_t *)(intptr_t)at;
}

static volatile sig_atomic_t trapped;

/* VEX.256.66.0F38.W0 50 /r: vpdpbusd ymm, ymm, ymm/m256. */
static void on_trap(int number, siginfo_t *info, void *user) {
  ucontext_t *u = user;
  const uint8_t *p = (const uint8_t *)(intptr_t)u->uc_mcontext.gregs[REG_RIP];
  (void)number, (void)info;
  if (p[0] != 0xc4 || (p[1] & 31) != 2 || (p[2] & 0x87) != 5 || p[3] != 0x50) _exit(1);
  const bool r = !(p[1] & 0x80), x = !(p[1] & 0x40), b = !(p[1] & 0x20);
  const unsigned to = (p[4] >> 3 & 7u) + 8u * r, left = ~(unsigned)p[2] >> 3 & 15;
  const uint8_t *next = p + 4;
  ymm sum = get(u, to), codes = get(u, left), weights;
  if (*next >> 6 == 3)
    weights = get(u, (*next++ & 7u) + 8u * b);
  else
    memcpy(&weights, address(u, &next, x, b), sizeof weights);
  for (size_t i = 0; i < 32; i += 4) {
    uint32_t s;
    memcpy(&s, sum.at + i, 4);
    for (size_t k = i; k < i + 4; ++k) s += (uint32_t)(codes.at[k] * (int8_t)weights.at[k]);
    memcpy(sum.at + i, &s, 4);
  }
  put(u, to, sum);
  u->uc_mcontext.gregs[REG_RIP] = (greg_t)(intptr_t)next;
  ++trapped;
}

enum { COLUMNS = 16, DEPTH = 40 };

static int check(unsigned m, size_t taps, size_t depth) {
  uint8_t a[3][QCC_MR][DEPTH * 4], b[3 * DEPTH * COLUMNS * 4];
  int32_t bias[COLUMNS], out[QCC_MR][COLUMNS];
  const void *row[3 * QCC_MR];
  uint32_t seed = m;
  for (size_t i = 0; i < sizeof a; ++i) (&a[0][0][0])[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
  for (size_t i = 0; i < sizeof b; ++i) b[i] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
  for (size_t i = 0; i < taps * QCC_MR; ++i) row[i] = a[i / QCC_MR][i % QCC_MR];
  for (int j = 0; j < COLUMNS; ++j) bias[j] = 1000 * j - 777;
  const qcc_itile t = {.a = row,
                       .taps = taps,
                       .depth = depth,
                       .b = b,
                       .m = m,
                       .n = COLUMNS,
                       .out = (uint8_t *)out,
                       .ldc = sizeof out[0],
                       .end = {.kind = QCC_TO_SUMS, .bias = bias}};
  qcc_isimd_avxvnni.dot(&t);
  int wrong = 0;
  for (size_t i = 0; i < m; ++i)
    for (size_t j = 0; j < COLUMNS; ++j) {
      int32_t want = bias[j];
      for (size_t k = 0; k < taps * depth * 4; ++k)
        want += a[k / (depth * 4)][i][k % (depth * 4)] * (int8_t)b[(k / 4 * COLUMNS + j) * 4 + k % 4];
      wrong += out[i][j] != want;
    }
  return wrong;
}

int main(void) {
  const struct sigaction on = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
  if (!qcc_isa_find("avx2") || qcc_isa_find("avxvnni")) {
    puts("skipped: needs AVX2 without AVX-VNNI");
    return 77;
  }
  if (qcc_isimd_avxvnni.nr != COLUMNS || sigaction(SIGILL, &on, NULL) != 0) return 1;
  int wrong = 0;
  for (unsigned m = 1; m <= QCC_MR; ++m)
    for (size_t taps = 1; taps <= 3; ++taps)
      for (size_t depth = 1; depth <= DEPTH; depth += 13) wrong += check(m, taps, depth);
  printf("%d instructions computed, %d sums wrong\n", (int)trapped, wrong);
  return wrong || trapped < 1000;
}
#else
int main(void) {
  puts("skipped: not x86-64 under Linux");
  return 77;
}
#endif
