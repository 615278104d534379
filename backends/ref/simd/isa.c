/* SPDX-License-Identifier: Apache-2.0
 * Which instruction sets this processor has, best first. */
#include "backends/ref/simd/isa.h"

#include <string.h>

#include "backends/ref/ref.h"
#include "backends/ref/simd/simd_tables.h"

static bool has_base(void) { return true; }

#if defined(__x86_64__)
#if defined(__clang__)
#include <cpuid.h>
#endif

static bool has_avx2(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

/* Clang 14 does not know the name; the instruction behind it is slow, on virtual machines above all. */
static bool has_avxvnni(void) {
#if defined(__clang__)
  unsigned a, b, c, d;
  return has_avx2() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1u << 4);
#else
  return has_avx2() && __builtin_cpu_supports("avxvnni");
#endif
}

static bool has_avx512(void) {
  return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
}

static bool has_vnni(void) { return has_avx512() && __builtin_cpu_supports("avx512vnni"); }

#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>

static bool has_dotprod(void) { return getauxval(AT_HWCAP) & HWCAP_ASIMDDP; }

static bool has_i8mm(void) { return has_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM); }

#elif defined(__aarch64__)
static bool has_dotprod(void) { return false; }
static bool has_i8mm(void) { return false; }
#endif

static const struct known {
  qcc_isa isa;
  bool (*here)(void);
} all[] = {
#if defined(__x86_64__)
    {{"avx512vnni", &qcc_simd_avx512, &qcc_isimd_vnni}, has_vnni},  {{"avx512", &qcc_simd_avx512, &qcc_isimd_avx512}, has_avx512},
    {{"avxvnni", &qcc_simd_avx2, &qcc_isimd_avxvnni}, has_avxvnni}, {{"avx2", &qcc_simd_avx2, &qcc_isimd_avx2}, has_avx2},
    {{"sse2", &qcc_simd_base, &qcc_isimd_base}, has_base},
#elif defined(__aarch64__)
    {{"i8mm", &qcc_simd_base, &qcc_isimd_i8mm}, has_i8mm},
    {{"dotprod", &qcc_simd_base, &qcc_isimd_dotprod}, has_dotprod},
    {{"neon", &qcc_simd_base, &qcc_isimd_base}, has_base},
#else
    {{"c", &qcc_simd_base, &qcc_isimd_base}, has_base},
#endif
};
enum { SETS = sizeof all / sizeof all[0] };

const qcc_isa *qcc_isa_at(unsigned index) {
  for (unsigned i = 0; i < SETS; ++i)
    if (all[i].here() && index-- == 0) return &all[i].isa;
  return NULL;
}

const qcc_isa *qcc_isa_find(const char *name) {
  if (!name) return qcc_isa_at(0);
  for (unsigned i = 0; i < SETS; ++i)
    if (strcmp(all[i].isa.name, name) == 0) return all[i].here() ? &all[i].isa : NULL;
  return NULL;
}

/* Of neighbouring sets that share their loops the last one asks for least. */
const qcc_simd *qcc_simd_at(unsigned index) {
  for (unsigned i = 0; i < SETS; ++i) {
    if (i + 1 < SETS && all[i].isa.floats == all[i + 1].isa.floats) continue;
    if (all[i].here() && index-- == 0) return all[i].isa.floats;
  }
  return NULL;
}

const qcc_isimd *qcc_isimd_at(unsigned index) {
  const qcc_isa *isa = qcc_isa_at(index);
  return isa ? isa->codes : NULL;
}

const qcc_simd *qcc_simd_choose(void) { return qcc_simd_at(0); }

const qcc_isimd *qcc_isimd_choose(void) { return qcc_isimd_at(0); }

const char *qcc_ref_isa(void) { return qcc_isa_at(0)->name; }
