/* SPDX-License-Identifier: Apache-2.0
 * Numbers to decimal text and back, exactly, without stdio, strtod or a locale.
 * Everything is done on plain integers: a number is R / S with R, S naturals; digits come out by repeated comparison
 * (free-format output after Steele and White), reading divides two naturals bit by bit. Short cases take a fast path. */
#include <string.h>

#include "ir/support/internal.h"

enum { WORDS = 136, DIGITS_READ = 800 }; /* 800 digits and a sticky one decide every double */

typedef struct big { /* sum of w[i] * 2^(32 i); w[n-1] != 0; zero: n == 0 */
  int n;
  uint32_t w[WORDS];
} big;

static void big_set(big *a, uint64_t x) {
  a->w[0] = (uint32_t)x;
  a->w[1] = (uint32_t)(x >> 32);
  a->n = a->w[1] ? 2 : a->w[0] ? 1 : 0;
}

/* a = a * by + plus */
static void big_mul_add(big *a, uint32_t by, uint32_t plus) {
  uint64_t carry = plus;
  for (int i = 0; i < a->n; i++) {
    carry += (uint64_t)a->w[i] * by;
    a->w[i] = (uint32_t)carry;
    carry >>= 32;
  }
  if (carry && a->n < WORDS) a->w[a->n++] = (uint32_t)carry;
}

static void big_mul_pow10(big *a, int power) {
  for (; power >= 9; power -= 9) big_mul_add(a, 1000000000u, 0);
  for (; power > 0; power--) big_mul_add(a, 10, 0);
}

static void big_shift(big *a, int by) {
  int words = by / 32, bits = by % 32;
  if (!a->n || by <= 0) return;
  if (bits) big_mul_add(a, (uint32_t)1 << bits, 0);
  if (!words || a->n + words > WORDS) return;
  memmove(a->w + words, a->w, (size_t)a->n * sizeof a->w[0]);
  memset(a->w, 0, (size_t)words * sizeof a->w[0]);
  a->n += words;
}

static int big_compare(const big *a, const big *b) {
  if (a->n != b->n) return a->n < b->n ? -1 : 1;
  for (int i = a->n; i-- > 0;)
    if (a->w[i] != b->w[i]) return a->w[i] < b->w[i] ? -1 : 1;
  return 0;
}

/* a -= b, b <= a */
static void big_sub(big *a, const big *b) {
  int64_t borrow = 0;
  for (int i = 0; i < a->n; i++) {
    borrow += (int64_t)a->w[i] - (i < b->n ? b->w[i] : 0);
    a->w[i] = (uint32_t)borrow;
    borrow >>= 32; /* 0 or -1 */
  }
  while (a->n && !a->w[a->n - 1]) a->n--;
}

static void big_add(big *a, const big *b) {
  uint64_t carry = 0;
  for (int i = 0; i < a->n || i < b->n || carry; i++) {
    if (i >= WORDS) return;
    if (i >= a->n) a->w[a->n++] = 0;
    carry += (uint64_t)a->w[i] + (i < b->n ? b->w[i] : 0);
    a->w[i] = (uint32_t)carry;
    carry >>= 32;
  }
}

/* Copies what is in use: most numbers are short, and the array is not. */
static void big_copy(big *to, const big *from) {
  to->n = from->n;
  memcpy(to->w, from->w, (size_t)from->n * sizeof to->w[0]);
}

static int big_bits(const big *a) { return a->n ? 32 * a->n - __builtin_clz(a->w[a->n - 1]) : 0; }

/* ---- to digits */

typedef struct ratio { /* x = r / s * 10^exponent, 1/10 <= r / s < 1; neighbours half way at r - low and r + high */
  big r, s, low;
  bool even, wide; /* wide: the upper gap is twice the lower one */
  int exponent;
} ratio;

/* mantissa * 2^exponent of a finite x > 0; `bottom`: the gap below is the smaller one */
static uint64_t split(double x, bool single, int *exponent, bool *bottom) {
  uint64_t bits, one = single ? (uint64_t)1 << 23 : (uint64_t)1 << 52;
  int field, bias = single ? 150 : 1075;
  if (single) {
    float f = (float)x;
    uint32_t small;
    memcpy(&small, &f, sizeof small);
    bits = small;
    field = (int)(bits >> 23 & 0xff);
  } else {
    memcpy(&bits, &x, sizeof bits);
    field = (int)(bits >> 52 & 0x7ff);
  }
  uint64_t mantissa = bits & (one - 1);
  *bottom = field > 1 && mantissa == 0;
  *exponent = (field ? field : 1) - bias;
  return field ? mantissa | one : mantissa;
}

/* True when r (+ the upper gap) reaches s: then the number is >= 10^exponent or rounds to it. */
static bool reaches(const ratio *q, bool gap) {
  big sum;
  if (!gap) return big_compare(&q->r, &q->s) >= 0;
  big_copy(&sum, &q->r);
  big_add(&sum, &q->low);
  if (q->wide) big_add(&sum, &q->low);
  int c = big_compare(&sum, &q->s);
  return q->even ? c >= 0 : c > 0;
}

static void times_ten(ratio *q, bool gap) {
  big_mul_add(&q->r, 10, 0);
  if (gap) big_mul_add(&q->low, 10, 0);
}

static void start(ratio *q, double x, bool single, bool gap) {
  int e;
  bool bottom;
  uint64_t m = split(x, single, &e, &bottom);
  int bits = 64 - __builtin_clzll(m);
  big_set(&q->r, m);
  big_set(&q->s, 1);
  big_set(&q->low, 1);
  q->even = (m & 1) == 0;
  q->wide = gap && bottom;
  int scale = q->wide ? 2 : 1; /* the half gap becomes a whole number */
  big_shift(&q->r, (e > 0 ? e : 0) + scale);
  big_shift(&q->s, (e < 0 ? -e : 0) + scale);
  big_shift(&q->low, e > 0 ? e : 0);
  /* x >= 2^(e + bits - 1), so this is at most one below the wanted exponent: log10(2) = 0.30103 - 4e-9 */
  int64_t t = (int64_t)(e + bits - 1) * 30103;
  q->exponent = (int)(t >= 0 ? t / 100000 : -((-t + 99999) / 100000));
  if (q->exponent >= 0) {
    big_mul_pow10(&q->s, q->exponent);
  } else {
    big_mul_pow10(&q->r, -q->exponent);
    big_mul_pow10(&q->low, -q->exponent);
  }
  while (reaches(q, gap)) {
    big_mul_add(&q->s, 10, 0);
    q->exponent++;
  }
}

/* Takes floor(r / s) out of r. */
static int take_digit(ratio *q) {
  int digit = 0;
  while (big_compare(&q->r, &q->s) >= 0) {
    big_sub(&q->r, &q->s);
    digit++;
  }
  return digit;
}

/* Compares the rest r / s with one half. */
static int against_half(const ratio *q) {
  big twice;
  big_copy(&twice, &q->r);
  big_add(&twice, &q->r);
  return big_compare(&twice, &q->s);
}

int qcc_digits_short(char *digits, double x, bool single, int *exponent) {
  ratio q;
  int n = 0;
  start(&q, x, single, true);
  *exponent = q.exponent;
  for (;;) {
    times_ten(&q, true);
    int digit = take_digit(&q);
    int c = big_compare(&q.r, &q.low);
    bool low = q.even ? c <= 0 : c < 0, high = reaches(&q, true);
    if (!low && !high) {
      digits[n++] = (char)('0' + digit);
      continue;
    }
    bool up = high;
    if (low && high) {
      int half = against_half(&q);
      up = half > 0 || (half == 0 && (digit & 1));
    }
    digits[n++] = (char)('0' + digit + (up ? 1 : 0));
    return n;
  }
}

/* Adds one unit in the last place; returns the new count (a carry out of the top makes "1" and raises the exponent). */
static int carry_up(char *digits, int n, int *exponent) {
  int i = n;
  while (i > 0 && digits[i - 1] == '9') digits[--i] = '0';
  if (i > 0) {
    digits[i - 1]++;
    return n;
  }
  memmove(digits + 1, digits, (size_t)n);
  digits[0] = '1';
  (*exponent)++;
  return n + 1;
}

int qcc_digits(char *digits, double x, int count, bool after_point, int *exponent) {
  ratio q;
  start(&q, x, false, false);
  *exponent = q.exponent;
  int want = after_point ? q.exponent + count : count;
  if (want < 0) return 0;
  int last = 0;
  for (int i = 0; i < want; i++) {
    times_ten(&q, false);
    last = take_digit(&q);
    digits[i] = (char)('0' + last);
  }
  int half = against_half(&q);
  if (half < 0 || (half == 0 && !(last & 1))) return want;
  int n = carry_up(digits, want, exponent);
  return after_point || n == want ? n : want; /* 9.99 -> 10.0: one digit more only behind a fixed point */
}

/* ---- from text */

/* q * 2^exponent, q in [2^63, 2^64), with a sticky rest, to the nearest double. */
static double assemble(uint64_t q, bool sticky, int exponent) {
  int top = exponent + 63, keep = top >= -1022 ? 53 : 53 - (-1022 - top);
  uint64_t kept = 0, rest = q, half = (uint64_t)1 << 63, bits;
  if (top > 1023) return __builtin_inf();
  if (keep < 0) return 0;
  if (keep > 0) {
    int drop = 64 - keep;
    kept = q >> drop;
    rest = q & (((uint64_t)1 << drop) - 1);
    half = (uint64_t)1 << (drop - 1);
  }
  if (rest > half || (rest == half && (sticky || (kept & 1)))) kept++;
  bits = top >= -1022 ? ((uint64_t)(top + 1022) << 52) + kept : kept; /* the hidden bit raises the exponent field by one */
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

/* digits * 10^power, divided out to 64 bits. */
static double divide(big *num, int power) {
  big den;
  uint64_t q = 0;
  big_set(&den, 1);
  if (power >= 0) {
    big_mul_pow10(num, power);
  } else {
    big_mul_pow10(&den, -power);
  }
  int shift = big_bits(&den) - big_bits(num);
  big_shift(num, shift);
  big_shift(&den, -shift);
  if (big_compare(num, &den) < 0) {
    big_shift(num, 1);
    shift++;
  }
  for (int i = 0; i < 64; i++) {
    bool bit = big_compare(num, &den) >= 0;
    if (bit) big_sub(num, &den);
    q = q << 1 | bit;
    big_shift(num, 1);
  }
  return assemble(q, num->n != 0, -63 - shift);
}

typedef struct decimal {
  char digits[DIGITS_READ + 1]; /* significant; the last stands for all beyond */
  int n;
  int64_t power; /* value = digits * 10^power */
  size_t used;   /* bytes of text; 0: no number */
} decimal;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static void scan_digits(decimal *d, const char *text, size_t n) {
  bool point = false, any = false;
  size_t i = 0;
  for (; i < n; i++) {
    if (text[i] == '.' && !point) {
      point = true;
      continue;
    }
    if (!is_digit(text[i])) break;
    any = true;
    if (d->n == 0 && text[i] == '0') {
      d->power -= point;
    } else if (d->n < DIGITS_READ) {
      d->digits[d->n++] = text[i];
      d->power -= point;
    } else {
      if (text[i] != '0') d->digits[DIGITS_READ - 1] |= 1; /* sticky: moves the value off a tie, never across one */
      d->power += !point;
    }
  }
  d->used = any ? i : 0;
}

static void scan_exponent(decimal *d, const char *text, size_t n) {
  size_t i = d->used;
  if (i >= n || (text[i] != 'e' && text[i] != 'E')) return;
  bool minus = ++i < n && text[i] == '-';
  if (i < n && (text[i] == '-' || text[i] == '+')) i++;
  if (i >= n || !is_digit(text[i])) return;
  int64_t e = 0;
  for (; i < n && is_digit(text[i]); i++)
    if (e < INT64_C(1000000000000)) e = e * 10 + (text[i] - '0');
  d->power += minus ? -e : e;
  d->used = i;
}

static double value_of(decimal *d) {
  /* powers of ten that a double holds exactly: one rounding gives the exact result (D. Gay) */
  const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                         1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
  while (d->n && d->digits[d->n - 1] == '0') {
    d->n--;
    d->power++;
  }
  if (!d->n || d->power + d->n < -330) return 0;
  if (d->power + d->n > 310) return __builtin_inf();
  if (d->n <= 15 && d->power >= -22 && d->power <= 22) {
    uint64_t whole = 0;
    for (int i = 0; i < d->n; i++) whole = whole * 10 + (uint64_t)(d->digits[i] - '0');
    return d->power < 0 ? (double)whole / tens[-d->power] : (double)whole * tens[d->power];
  }
  big num;
  big_set(&num, 0);
  for (int i = 0; i < d->n; i++) {
    if (num.n == 0) {
      big_set(&num, (uint64_t)(d->digits[i] - '0'));
    } else {
      big_mul_add(&num, 10, (uint32_t)(d->digits[i] - '0'));
    }
  }
  return divide(&num, (int)d->power);
}

static bool has_word(const char *text, size_t n, const char *word) {
  size_t k = strlen(word);
  if (n < k) return false;
  for (size_t i = 0; i < k; i++)
    if ((text[i] | 0x20) != word[i]) return false;
  return true;
}

size_t qcc_read_f64(const char *text, size_t n, double *out) {
  size_t sign = n && (text[0] == '-' || text[0] == '+');
  const char *at = text + sign;
  size_t left = n - sign, used = 0;
  double x = 0;
  if (has_word(at, left, "inf")) {
    x = __builtin_inf();
    used = has_word(at, left, "infinity") ? 8 : 3;
  } else if (has_word(at, left, "nan")) {
    x = __builtin_nan("");
    used = 3;
  } else {
    decimal d;
    d.n = 0;
    d.power = 0;
    scan_digits(&d, at, left);
    if (!d.used) return 0;
    scan_exponent(&d, at, left);
    x = value_of(&d);
    used = d.used;
  }
  *out = sign && text[0] == '-' ? -x : x;
  return sign + used;
}

size_t qcc_read_s64(const char *text, size_t n, int64_t *out) {
  size_t i = n && (text[0] == '-' || text[0] == '+'), first = i;
  int64_t x = 0; /* kept negative: its range is the larger one */
  for (; i < n && is_digit(text[i]); i++)
    if (!qcc_mul_s64(x, 10, &x) || !qcc_add_s64(x, '0' - text[i], &x)) return 0;
  if (i == first) return 0;
  if (text[0] != '-' && x == INT64_MIN) return 0;
  *out = text[0] == '-' ? x : -x;
  return i;
}

/* ---- shortest text */

static size_t put_exponent(char *to, int e) {
  size_t n = 0;
  to[n++] = 'e';
  to[n++] = e < 0 ? '-' : '+';
  if (e < 0) e = -e;
  if (e >= 100) to[n++] = (char)('0' + e / 100);
  to[n++] = (char)('0' + e / 10 % 10);
  to[n++] = (char)('0' + e % 10);
  return n;
}

/* 0.d1d2d3... * 10^exponent as "12.5", "0.001" or "1.5e-07". */
static size_t layout(char *to, const char *digits, int n, int exponent) {
  size_t at = 0;
  bool scientific = exponent <= -4 || exponent > 16;
  int point = scientific ? 1 : exponent;
  if (point <= 0) {
    to[at++] = '0';
    to[at++] = '.';
    for (int i = point; i < 0; i++) to[at++] = '0';
  }
  for (int i = 0; i < n || i < point; i++) {
    if (i == point && i > 0) to[at++] = '.';
    to[at++] = i < n ? digits[i] : '0';
  }
  return scientific ? at + put_exponent(to + at, exponent - 1) : at;
}

static size_t print_short(char *to, double x, bool single) {
  char digits[32];
  int exponent;
  size_t sign = __builtin_signbit(x) && x == x;
  if (sign) *to++ = '-';
  if (x != x || __builtin_isinf(x) || x == 0) {
    const char *word = x != x ? "nan" : x == 0 ? "0" : "inf";
    memcpy(to, word, strlen(word) + 1);
    return sign + strlen(word);
  }
  int n = qcc_digits_short(digits, __builtin_fabs(x), single, &exponent);
  size_t used = layout(to, digits, n, exponent);
  to[used] = 0;
  return sign + used;
}

size_t qcc_print_f32(char *to, float x) {
  double back = 0;
  size_t n = print_short(to, (double)x, true);
  /* readers go through double: where that rounds twice, the digits of the double settle it */
  if (x == x && (!qcc_read_f64(to, n, &back) || (float)back != x)) n = print_short(to, (double)x, false);
  return n;
}

size_t qcc_print_f64(char *to, double x) { return print_short(to, x, false); }
