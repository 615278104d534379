/* SPDX-License-Identifier: Apache-2.0
 * Numbers to text and back against the C library as the judge. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ir/support/context.h"

static uint64_t next(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  uint64_t x = *seed ^ *seed >> 29;
  return x * 0x9e3779b97f4a7c15u ^ x >> 32;
}

static double from_bits(uint64_t bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static bool same(double a, double b) { return memcmp(&a, &b, sizeof a) == 0 || (a != a && b != b); }

static void check_f64(double x) {
  char text[40], other[40];
  double back = 0;
  size_t n = qcc_print_f64(text, x);
  assert_int_equal(n, strlen(text));
  assert_true(n < 32);
  assert_int_equal(qcc_read_f64(text, n, &back), n);
  if (!same(back, x) || (x == x && !same(strtod(text, NULL), x))) fail_msg("%a printed as %s", x, text);
  if (x != x || x - x != 0) return;
  /* no shorter text does it: what printf gives with one digit less reads back differently */
  size_t digits = 0;
  for (const char *at = text; *at && *at != 'e'; at++) digits += *at >= '0' && *at <= '9' && (digits || *at != '0');
  while (digits > 1 && strchr(text, '.') == NULL && strchr(text, 'e') == NULL && text[n - 1] == '0') {
    n--;
    digits--;
  }
  if (digits < 2) return;
  snprintf(other, sizeof other, "%.*e", (int)digits - 2, x);
  if (same(strtod(other, NULL), x)) fail_msg("%s could be %s", text, other);
}

static void check_f32(float x) {
  char text[40];
  double back = 0;
  size_t n = qcc_print_f32(text, x);
  assert_true(n < 32);
  assert_int_equal(qcc_read_f64(text, n, &back), n);
  if (!same((double)(float)back, (double)x) || (x == x && strtof(text, NULL) != x)) fail_msg("%a printed as %s", (double)x, text);
}

static void round_trips(void **state) {
  (void)state;
  uint64_t seed = 1;
  for (int i = 0; i < 1000000; i++) {
    uint64_t bits = next(&seed);
    uint32_t word = (uint32_t)(bits >> 7);
    float f;
    memcpy(&f, &word, sizeof f);
    check_f32(f);
    if (i % 16 == 0) check_f64(from_bits(bits));
    if (i % 16 == 1) check_f64((double)(int64_t)bits / 0x1p60);
    if (i % 16 == 2) check_f64((double)f);
    if (i % 16 == 3) check_f64((double)(bits % 100000) / 1000);
  }
}

static void edges(void **state) {
  (void)state;
  for (int field = 0; field < 2047; field++)
    for (int k = -2; k <= 2; k++) {
      uint64_t bits = ((uint64_t)field << 52) + (uint64_t)(int64_t)k;
      if (field == 0 && k < 0) continue;
      check_f64(from_bits(bits));
    }
  for (uint32_t field = 0; field < 255; field++)
    for (uint32_t k = 0; k < 5; k++) {
      uint32_t word = (field << 23) + k - (field ? 2 : 0);
      float f;
      memcpy(&f, &word, sizeof f);
      check_f32(f);
    }
}

static void words(void **state) {
  (void)state;
  static const struct {
    double x;
    const char *text;
  } row[] = {{0, "0"},
             {-0.0, "-0"},
             {1, "1"},
             {0.1, "0.1"},
             {-2.5, "-2.5"},
             {1e-7, "1e-07"},
             {123456, "123456"},
             {1e15, "1000000000000000"},
             {1e16, "1e+16"},
             {0.0001, "0.0001"},
             {0.00001234, "1.234e-05"},
             {1e300, "1e+300"},
             {5e-324, "5e-324"},
             {1.7976931348623157e308, "1.7976931348623157e+308"},
             {2.2250738585072014e-308, "2.2250738585072014e-308"},
             {9007199254740993.0, "9007199254740992"}};
  char text[40];
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    qcc_print_f64(text, row[i].x);
    assert_string_equal(text, row[i].text);
  }
  qcc_print_f32(text, 0.1f);
  assert_string_equal(text, "0.1");
  qcc_print_f32(text, 1e-7f);
  assert_string_equal(text, "1e-07");
  qcc_print_f32(text, -__builtin_inff());
  assert_string_equal(text, "-inf");
  qcc_print_f32(text, __builtin_nanf(""));
  assert_string_equal(text, "nan");
}

/* Random decimal texts of many lengths, and texts exactly on or beside the middle of two doubles. */
static void reading(void **state) {
  (void)state;
  uint64_t seed = 7;
  char text[1300];
  for (int i = 0; i < 50000; i++) {
    size_t n = 0, digits = 1 + next(&seed) % (i % 100 == 0 ? 900 : 30);
    size_t point = next(&seed) % (digits + 1);
    for (size_t k = 0; k < digits; k++) {
      if (k == point) text[n++] = '.';
      text[n++] = (char)('0' + next(&seed) % 10);
    }
    n += (size_t)snprintf(text + n, 32, "e%d", (int)(next(&seed) % 700) - 350);
    double x = 0;
    assert_int_equal(qcc_read_f64(text, n, &x), n);
    if (!same(x, strtod(text, NULL))) fail_msg("%s read as %a", text, x);
  }
  for (int i = 0; i < 3000; i++) {
    uint64_t bits = next(&seed) & 0x3fffffffffffffff;
    double a = from_bits(bits), x = 0;
    /* the exact middle to the next double: its digits end, printf shows them all */
    long double middle = (long double)a + ((long double)from_bits(bits + 1) - (long double)a) / 2;
    int n = snprintf(text, sizeof text, "%.1200Lg", middle);
    if (n >= 1250) continue;
    if (!strchr(text, 'e') && !strchr(text, '.')) text[n++] = '.';
    for (int k = 0; k < 2; k++) {
      assert_int_equal(qcc_read_f64(text, (size_t)n, &x), n);
      if (!same(x, strtod(text, NULL))) fail_msg("%s read as %a", text, x);
      if (strchr(text, 'e')) break;
      text[n++] = '1'; /* just above it */
      text[n] = 0;
    }
  }
}

/* More digits than are kept: what is cut off must still move the number off the middle. */
static void endless(void **state) {
  (void)state;
  const char *middle = "1.00000000000000011102230246251565404236316680908203125"; /* 1 + 2^-53 */
  char text[1200];
  double x = 0;
  size_t n = strlen(middle);
  memset(text, '0', sizeof text);
  memcpy(text, middle, n);
  assert_int_equal(qcc_read_f64(text, 1100, &x), 1100);
  assert_true(x == 1);
  text[1099] = '1';
  assert_int_equal(qcc_read_f64(text, 1100, &x), 1100);
  assert_true(x == 1 + 0x1p-52);
}

static void odd_texts(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t used;
    double x;
  } row[] = {{"", 0, 0},
             {"-", 0, 0},
             {".", 0, 0},
             {"e5", 0, 0},
             {"abc", 0, 0},
             {"1e", 1, 1},
             {"1e+", 1, 1},
             {"1.", 2, 1},
             {".5", 2, 0.5},
             {"+3", 2, 3},
             {"1.2.3", 3, 1.2},
             {"0x10", 1, 0},
             {"1e99999999999999999999", 22, __builtin_inf()},
             {"1e-99999999999999999999", 23, 0},
             {"0e99999999999999", 16, 0},
             {"inf", 3, __builtin_inf()},
             {"-Infinity", 9, -__builtin_inf()},
             {"1,5", 1, 1}};
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    double x = 0;
    size_t n = qcc_read_f64(row[i].text, strlen(row[i].text), &x);
    if (n != row[i].used || (n && !same(x, row[i].x))) fail_msg("'%s': %zu, %g", row[i].text, n, x);
  }
  int64_t s = 0;
  assert_int_equal(qcc_read_s64("9223372036854775807", 19, &s), 19);
  assert_true(s == INT64_MAX);
  assert_int_equal(qcc_read_s64("-9223372036854775808x", 21, &s), 20);
  assert_true(s == INT64_MIN);
  assert_int_equal(qcc_read_s64("9223372036854775808", 19, &s), 0);
  assert_int_equal(qcc_read_s64("-9223372036854775809", 20, &s), 0);
  assert_int_equal(qcc_read_s64("-", 1, &s), 0);
  assert_int_equal(qcc_read_s64("", 0, &s), 0);
  assert_int_equal(qcc_read_s64("12", 1, &s), 1);
  assert_int_equal(s, 1);
}

static void check_format(const char *fmt, const char *ours, const char *theirs) {
  if (strcmp(ours, theirs) != 0) fail_msg("%s: '%s', expected '%s'", fmt, ours, theirs);
}

#define LIKE_PRINTF(fmt, ...)                                    \
  do {                                                           \
    size_t n_ = qcc_format(ours, sizeof ours, fmt, __VA_ARGS__); \
    snprintf(theirs, sizeof theirs, fmt, __VA_ARGS__);           \
    check_format(fmt, ours, theirs);                             \
    assert_int_equal(n_, strlen(ours));                          \
  } while (0)

static void formats(void **state) {
  (void)state;
  char ours[1500], theirs[1500];
  LIKE_PRINTF("%d %i|%5d|%-5d|%05d|%+d", -3, 4, 42, 42, -42, 7);
  LIKE_PRINTF("%u %x %X %08x %c%%", 3000000000u, 0xbeefu, 0xbeefu, 0x1fu, 'z');
  LIKE_PRINTF("%ld %lu %lld %llu %zu", INT64_MIN, UINT64_MAX, (long long)INT64_MIN, (unsigned long long)UINT64_MAX, SIZE_MAX);
  LIKE_PRINTF("%hhd %hu %s|%5s|%-5s|%.2s|%.*s", (signed char)-1, (unsigned short)65535, "a", "b", "c", "def", 1, "gh");
  LIKE_PRINTF("%.3d|%.0d|%*d|%-*d|", 7, 0, 6, 1, 6, 2);
  uint64_t seed = 3;
  for (int i = 0; i < 10000; i++) {
    uint64_t bits = next(&seed);
    double x = i % 2 ? from_bits(bits) : (double)(int64_t)bits / (double)((uint64_t)1 << (bits % 60));
    if (x != x) continue;
    int places = (int)(next(&seed) % 20);
    LIKE_PRINTF("%.*f|%.*e|%.*g|%10.2f|%-12.3e|%012.4f", places, x, places, x, places, x, x, x, x);
  }
  LIKE_PRINTF("%.0f %.0f %.0f %.1f %.2f %f %.0e %.0g", 0.5, 1.5, 2.5, 0.25, 0.995, 1e22, 9.5, 9.5);
  LIKE_PRINTF("%.3f %.0f %.2g %.300f", 0.0, 0.0, 0.0, 1e-300);
  qcc_format(ours, sizeof ours, "%g %g", 0.1, 100000000.0);
  assert_string_equal(ours, "0.1 100000000");
}

static void cutting(void **state) {
  (void)state;
  char to[8] = "xxxxxxx";
  assert_int_equal(qcc_format(to, 4, "%s", "abcdef"), 6);
  assert_string_equal(to, "abc");
  assert_int_equal(to[4], 'x');
  assert_int_equal(qcc_format(NULL, 0, "%d", 12345), 5);
  assert_int_equal(qcc_format(to, 1, "%d", 12345), 5);
  assert_string_equal(to, "");
}

static void quoting(void **state) {
  (void)state;
  char to[1024], longer[400];
  qcc_format(to, sizeof to, "%-s", "a\"b\\c\n\x1b[31m\x7f\xc3\xa4\xff\xc2\x9b");
  assert_string_equal(to, "\"a\\\"b\\\\c\\n\\x1b[31m\\x7f\xc3\xa4\\xff\\xc2\\x9b\"");
  memset(longer, 'n', sizeof longer);
  longer[399] = 0;
  assert_int_equal(qcc_format(to, sizeof to, "%-s", longer), 128 + 3 + 2);
  assert_string_equal(to + 129, "...\"");
  const char *volatile nothing = NULL;
  qcc_format(to, sizeof to, "%-s", nothing);
  assert_string_equal(to, "\"(none)\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(round_trips), cmocka_unit_test(edges),   cmocka_unit_test(words),
      cmocka_unit_test(reading),     cmocka_unit_test(endless), cmocka_unit_test(odd_texts),
      cmocka_unit_test(formats),     cmocka_unit_test(cutting), cmocka_unit_test(quoting),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
