/* SPDX-License-Identifier: Apache-2.0
 * printf-like formatting into a buffer, without stdio and without a locale, and the escaping of hostile text.
 * An unknown conversion prints itself, so that a mistake is seen and nothing is read beyond the arguments. */
#include <string.h>

#include "ir/support/internal.h"

typedef struct sink {
  char *to;
  size_t n;    /* room, terminator included */
  size_t used; /* what the whole text needs so far */
} sink;

typedef struct spec {
  bool left, zero, plus, alternate;
  int width, precision; /* precision -1: none */
  int size;             /* bytes of the integer argument's type: 1, 2, 4, 8 */
  char conversion;
} spec;

static void put(sink *s, char c) {
  if (s->used + 1 < s->n) s->to[s->used] = c;
  s->used++;
}

static void put_n(sink *s, const char *text, size_t n) {
  for (size_t i = 0; i < n; i++) put(s, text[i]);
}

static void pad(sink *s, char c, size_t from, int width) {
  for (size_t i = from; width > 0 && i < (size_t)width; i++) put(s, c);
}

/* prefix (sign), digits with width; zeros go between the two */
static void put_number(sink *s, const spec *f, const char *prefix, const char *digits, size_t n, bool zero) {
  size_t whole = strlen(prefix) + n;
  if (!f->left && !zero) pad(s, ' ', whole, f->width);
  put_n(s, prefix, strlen(prefix));
  if (!f->left && zero) pad(s, '0', whole, f->width);
  put_n(s, digits, n);
  if (f->left) pad(s, ' ', whole, f->width);
}

static void put_integer(sink *s, const spec *f, uint64_t x, const char *sign) {
  char digits[96];
  size_t at = sizeof digits;
  unsigned base = f->conversion == 'x' || f->conversion == 'X' || f->conversion == 'p' ? 16 : 10;
  const char *set = f->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
  int least = f->precision > 64 ? 64 : f->precision;
  for (; x || (int)(sizeof digits - at) < (least < 0 ? 1 : least); x /= base) digits[--at] = set[x % base];
  put_number(s, f, sign, digits + at, sizeof digits - at, f->zero && f->precision < 0);
}

/* ---- floating point with a precision: the digits are exact, so is the rounding */

enum { DIGITS = 720, PRECISION_MAX = 300 };

static size_t fixed(char *to, double x, int precision) {
  char digits[DIGITS];
  int exponent = 0, n = 0;
  size_t at = 0;
  if (x > 0) n = qcc_digits(digits, x, precision, true, &exponent);
  if (n == 0) exponent = 0;
  for (int i = 0; i < exponent; i++) to[at++] = digits[i];
  if (exponent <= 0) to[at++] = '0';
  if (precision > 0) to[at++] = '.';
  for (int i = exponent; i < exponent + precision; i++) to[at++] = i >= 0 && i < n ? digits[i] : '0';
  return at;
}

static size_t scientific(char *to, const char *digits, int n, int e) {
  size_t at = 0;
  for (int i = 0; i < n; i++) {
    if (i == 1) to[at++] = '.';
    to[at++] = digits[i];
  }
  to[at++] = 'e';
  to[at++] = e < 0 ? '-' : '+';
  if (e < 0) e = -e;
  if (e >= 100) to[at++] = (char)('0' + e / 100);
  to[at++] = (char)('0' + e / 10 % 10);
  to[at++] = (char)('0' + e % 10);
  return at;
}

static size_t rounded(char *to, double x, int count, bool general) {
  char digits[DIGITS];
  int exponent = 1, n = count;
  memset(digits, '0', (size_t)count);
  if (x > 0) n = qcc_digits(digits, x, count, false, &exponent);
  if (!general) return scientific(to, digits, n, exponent - 1);
  while (n > 1 && digits[n - 1] == '0') n--;
  if (exponent < -3 || exponent > count) return scientific(to, digits, n, exponent - 1);
  size_t at = 0;
  if (exponent <= 0) to[at++] = '0';
  for (int i = 0; i < exponent; i++) to[at++] = i < n ? digits[i] : '0';
  if (n > exponent) to[at++] = '.';
  for (int i = exponent; i < n; i++) to[at++] = i >= 0 ? digits[i] : '0';
  return at;
}

static void put_float(sink *s, const spec *f, double x) {
  char text[DIGITS];
  size_t n;
  bool finite = x == x && !__builtin_isinf(x);
  double size = __builtin_fabs(x);
  int precision = f->precision < 0 ? 6 : f->precision > PRECISION_MAX ? PRECISION_MAX : f->precision;
  const char *sign = x == x && __builtin_signbit(x) ? "-" : f->plus ? "+" : "";
  if (!finite || (f->conversion == 'g' && f->precision < 0)) {
    n = qcc_print_f64(text, size);
  } else if (f->conversion == 'f') {
    n = fixed(text, size, precision);
  } else if (f->conversion == 'e') {
    n = rounded(text, size, precision + 1, false);
  } else {
    n = rounded(text, size, precision ? precision : 1, true);
  }
  put_number(s, f, sign, text, n, f->zero && finite);
}

/* ---- text */

/* Bytes of the UTF-8 character at `text`; 0: not one, or a control character. */
static size_t utf8_size(const unsigned char *text, size_t n) {
  unsigned char c = text[0];
  size_t size = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
  if (!size || size > n) return 0;
  for (size_t i = 1; i < size; i++)
    if ((text[i] & 0xc0) != 0x80) return 0;
  if (size == 1) return c >= 0x20 && c != 0x7f;
  if (c == 0xc2 && text[1] < 0xa0) return 0;                                    /* C1 controls */
  if ((c == 0xe0 && text[1] < 0xa0) || (c == 0xed && text[1] > 0x9f)) return 0; /* overlong, surrogates */
  if ((c == 0xf0 && text[1] < 0x90) || (c == 0xf4 && text[1] > 0x8f)) return 0;
  return size;
}

static void put_escaped(sink *s, const char *text, size_t length, size_t cut, bool quote) {
  const char *hex = "0123456789abcdef";
  const unsigned char *bytes = (const unsigned char *)text;
  size_t i = 0;
  while (i < length) {
    size_t size = utf8_size(bytes + i, length - i);
    if (i + (size ? size : 1) > cut) break;
    unsigned char c = bytes[i];
    if (size) {
      if (quote && (c == '"' || c == '\\')) put(s, '\\');
      put_n(s, text + i, size);
    } else {
      put(s, '\\');
      put(s, c == '\n' ? 'n' : c == '\t' ? 't' : c == '\r' ? 'r' : 'x');
      if (c != '\n' && c != '\t' && c != '\r') {
        put(s, hex[c >> 4]);
        put(s, hex[c & 15]);
      }
    }
    i += size ? size : 1;
  }
  if (i < length) put_n(s, "...", 3);
}

static void finish(sink *s) {
  if (s->n) s->to[s->used < s->n ? s->used : s->n - 1] = 0;
}

size_t qcc_escape(char *to, size_t n, const char *text, size_t length, size_t cut, bool quote) {
  sink s = {.to = to, .n = n};
  put_escaped(&s, text, length, cut, quote);
  finish(&s);
  return s.used;
}

static void put_text(sink *s, const spec *f, const char *text) {
  size_t n = 0;
  if (!text) text = "(none)";
  while (text[n] && (f->precision < 0 || n < (size_t)f->precision)) n++;
  if ((f->left && f->width == 0) || f->alternate) {
    put(s, '"');
    put_escaped(s, text, n, QCC_NAME_CUT, true);
    put(s, '"');
    return;
  }
  if (!f->left) pad(s, ' ', n, f->width);
  put_n(s, text, n);
  if (f->left) pad(s, ' ', n, f->width);
}

/* ---- the format string */

typedef struct arguments {
  va_list at;
} arguments; /* an array type cannot be passed by address portably */

static int number(const char **fmt, arguments *args) {
  int n = 0;
  if (**fmt == '*') {
    ++*fmt;
    return va_arg(args->at, int);
  }
  for (; **fmt >= '0' && **fmt <= '9'; ++*fmt)
    if (n < 100000) n = n * 10 + (**fmt - '0');
  return n;
}

static spec read_spec(const char **fmt, arguments *args) {
  spec f = {.precision = -1, .size = (int)sizeof(int)};
  for (;; ++*fmt) {
    if (**fmt == '-')
      f.left = true;
    else if (**fmt == '0')
      f.zero = true;
    else if (**fmt == '+')
      f.plus = true;
    else if (**fmt == '#')
      f.alternate = true;
    else
      break;
  }
  f.width = number(fmt, args);
  if (f.width < 0) {
    f.left = true;
    f.width = f.width < -100000 ? 100000 : -f.width;
  }
  if (f.width > 100000) f.width = 100000;
  if (**fmt == '.') {
    ++*fmt;
    f.precision = number(fmt, args);
  }
  for (; **fmt == 'h'; ++*fmt) f.size = f.size == (int)sizeof(short) ? 1 : (int)sizeof(short);
  for (; **fmt == 'l'; ++*fmt) f.size = 8;
  if (**fmt == 'z' || **fmt == 'j' || **fmt == 't') {
    f.size = 8;
    ++*fmt;
  }
  f.conversion = **fmt;
  if (**fmt) ++*fmt;
  return f;
}

_Static_assert(sizeof(long) == 8 && sizeof(size_t) == 8, "the sizes below are those of 64-bit Unix");

static void put_signed(sink *s, const spec *f, arguments *args) {
  int64_t x = f->size == 8 ? va_arg(args->at, int64_t) : va_arg(args->at, int);
  if (f->size == 1) x = (signed char)x;
  if (f->size == 2) x = (short)x;
  put_integer(s, f, x < 0 ? 0 - (uint64_t)x : (uint64_t)x, x < 0 ? "-" : f->plus ? "+" : "");
}

static void put_unsigned(sink *s, const spec *f, arguments *args) {
  uint64_t x = f->size == 8 ? va_arg(args->at, uint64_t) : va_arg(args->at, unsigned);
  if (f->size == 1) x = (unsigned char)x;
  if (f->size == 2) x = (unsigned short)x;
  put_integer(s, f, x, f->alternate && f->conversion != 'u' ? "0x" : "");
}

static void put_argument(sink *s, const spec *f, arguments *args) {
  char one;
  switch (f->conversion) {
    case 'd':
    case 'i': put_signed(s, f, args); break;
    case 'u':
    case 'x':
    case 'X': put_unsigned(s, f, args); break;
    case 'p': put_integer(s, f, (uint64_t)(uintptr_t)va_arg(args->at, void *), "0x"); break;
    case 's': put_text(s, f, va_arg(args->at, const char *)); break;
    case 'g':
    case 'f':
    case 'e': put_float(s, f, va_arg(args->at, double)); break;
    case 'c':
      one = (char)va_arg(args->at, int);
      put_number(s, f, "", &one, 1, false);
      break;
    default:
      put(s, '%');
      if (f->conversion && f->conversion != '%') put(s, f->conversion);
  }
}

size_t qcc_vformat(char *to, size_t n, const char *fmt, va_list args) {
  sink s = {.to = to, .n = n};
  arguments list;
  va_copy(list.at, args);
  while (*fmt) {
    if (*fmt != '%') {
      put(&s, *fmt++);
      continue;
    }
    fmt++;
    spec f = read_spec(&fmt, &list);
    put_argument(&s, &f, &list);
  }
  va_end(list.at);
  finish(&s);
  return s.used;
}

size_t qcc_format(char *to, size_t n, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  size_t used = qcc_vformat(to, n, fmt, args);
  va_end(args);
  return used;
}
