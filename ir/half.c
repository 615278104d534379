/* SPDX-License-Identifier: Apache-2.0
 * 16, 8 and 4 bit floats. A format is a row: width of the fields, bias, largest finite code, how NaN is written. Encoding
 * rounds once, from the 53 bits of a double, half to even; a carry runs into the exponent by itself. */
#include "ir/half.h"

#include <string.h>

#include "ir/quant.h"

typedef struct format {
  qcc_dtype dtype;
  int exponent, mantissa, bias;
  uint32_t largest;  /* code of the largest finite number */
  uint32_t nan;      /* 0: there is none */
  uint32_t infinity; /* 0: there is none */
  bool saturates;    /* overflow and infinity give the largest number */
  bool one_zero;     /* no negative zero */
} format;

static const format formats[] = {
    {QCC_F16, 5, 10, 15, 0x7bff, 0x7e00, 0x7c00, false, false},
    {QCC_BF16, 8, 7, 127, 0x7f7f, 0x7fc0, 0x7f80, false, false},
    {QCC_F8E4M3FN, 4, 3, 7, 0x7e, 0x7f, 0, true, false},
    {QCC_F8E4M3FNUZ, 4, 3, 8, 0x7f, 0x80, 0, true, true},
    {QCC_F8E5M2, 5, 2, 15, 0x7b, 0x7e, 0x7c, true, false},
    {QCC_F8E5M2FNUZ, 5, 2, 16, 0x7f, 0x80, 0, true, true},
    {QCC_F4E2M1, 2, 1, 1, 0x7, 0, 0, true, false},
};

static const format *format_of(qcc_dtype t) {
  for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
    if (formats[i].dtype == t) return &formats[i];
  return NULL;
}

bool qcc_is_small_float(qcc_dtype t) { return t == QCC_F8E8M0 || format_of(t) != NULL; }

/* 2^e for e of a normal double. */
static double power_of_two(int e) {
  uint64_t bits = (uint64_t)(e + 1023) << 52;
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static double decode(const format *f, uint32_t code) {
  uint32_t sign = (uint32_t)1 << (f->exponent + f->mantissa), rest = code & (sign - 1);
  bool is_nan = f->one_zero ? code == f->nan : f->nan && rest > f->largest && rest != f->infinity;
  if (is_nan) return __builtin_nan("");
  uint32_t field = rest >> f->mantissa, mantissa = rest & (((uint32_t)1 << f->mantissa) - 1);
  double x = f->infinity && rest == f->infinity ? __builtin_inf()
             : field ? (double)(mantissa | (uint32_t)1 << f->mantissa) * power_of_two((int)field - f->bias - f->mantissa)
                     : (double)mantissa * power_of_two(1 - f->bias - f->mantissa);
  return code & sign ? -x : x;
}

static uint32_t encode(const format *f, double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  uint32_t sign = bits >> 63 ? (uint32_t)1 << (f->exponent + f->mantissa) : 0, over = f->saturates ? f->largest : f->infinity;
  int e = (int)(bits >> 52 & 0x7ff) - 1023, least = 1 - f->bias;
  uint64_t code = 0, m = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)1 << 52;
  if (x != x) return f->one_zero ? f->nan : f->nan | sign;
  int shift = 52 - f->mantissa + (e < least ? least - e : 0);
  if (e > f->bias + 1) {
    code = over;
  } else if (e >= -1022 && shift < 64) { /* doubles below that are zero in every format */
    uint64_t rest = m & (((uint64_t)1 << shift) - 1), half = (uint64_t)1 << (shift - 1);
    m >>= shift;
    m += rest > half || (rest == half && (m & 1));
    code = ((uint64_t)(e < least ? 0 : e - least) << f->mantissa) + m;
    if (code > f->largest) code = over;
  }
  return f->one_zero && code == 0 ? 0 : (uint32_t)code | sign;
}

/* A bare exponent: rounds up, saturates; 255 is NaN. */
static uint32_t encode_e8m0(double x) {
  uint64_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (x != x) return 255;
  if (x <= 0) return 0;
  int e = (int)(bits >> 52 & 0x7ff) - 1023 + ((bits << 12) != 0) + 127;
  return e < 0 ? 0 : e > 254 ? 254 : (uint32_t)e;
}

double qcc_small_decode(qcc_dtype t, uint32_t code) {
  if (t == QCC_F8E8M0) return code == 255 ? __builtin_nan("") : power_of_two((int)(code & 255) - 127);
  const format *f = format_of(t);
  return f ? decode(f, code) : 0;
}

uint32_t qcc_small_encode(qcc_dtype t, double x) {
  if (t == QCC_F8E8M0) return encode_e8m0(x);
  const format *f = format_of(t);
  return f ? encode(f, x) : 0;
}

double qcc_f8_most(qcc_dtype t) {
  const format *f = format_of(t);
  return f ? decode(f, f->largest) : 0;
}

/* Normal numbers round in the bits of a float, where a carry runs into the exponent; below them all steps are equal, and adding a number whose
 * last bit weighs one step rounds. */
static inline float round_small(float x, uint32_t drop, float least_normal, float magic, float most) {
  uint32_t bits, sign;
  memcpy(&bits, &x, sizeof bits);
  sign = bits & 0x80000000u;
  bits ^= sign;
  float size, whole, near_zero;
  memcpy(&size, &bits, sizeof size);
  bits += ((uint32_t)1 << (drop - 1)) - 1 + (bits >> drop & 1);
  bits &= ~(((uint32_t)1 << drop) - 1);
  memcpy(&whole, &bits, sizeof whole);
  near_zero = (size + magic) - magic;
  float y = size < least_normal ? near_zero : whole;
  y = y > most ? most : y;
  y = size == size ? y : size;
  memcpy(&bits, &y, sizeof bits);
  bits |= sign;
  memcpy(&y, &bits, sizeof y);
  return y;
}

void qcc_fake_quantize_f8(qcc_dtype t, float *y, const float *x, size_t n, float scale) {
  const format *f = format_of(t);
  if (!f) return;
  const uint32_t drop = (uint32_t)(23 - f->mantissa);
  const float least = (float)power_of_two(1 - f->bias), most = (float)decode(f, f->largest);
  const float magic = (float)power_of_two(23 + 1 - f->bias - f->mantissa);
  for (size_t i = 0; i < n; i++) y[i] = round_small(x[i] / scale, drop, least, magic, most) * scale;
}

float qcc_f16_to_f32(uint16_t h) {
  /* branch-free, so that loops over it become vector code */
  uint32_t rest = (uint32_t)(h & 0x7fff) << 13, field = rest & 0x0f800000u, bits;
  const uint32_t magic_bits = 113u << 23;
  float magic, small, x;
  memcpy(&magic, &magic_bits, sizeof magic);
  uint32_t normal = rest + (112u << 23) + (field == 0x0f800000u ? 112u << 23 : 0);
  uint32_t raised = rest + magic_bits;
  memcpy(&small, &raised, sizeof small);
  small -= magic; /* subnormals: exact */
  memcpy(&raised, &small, sizeof raised);
  bits = (field == 0 ? raised : normal) | (uint32_t)(h & 0x8000) << 16;
  memcpy(&x, &bits, sizeof x);
  return x;
}

uint16_t qcc_f32_to_f16(float x) { return (uint16_t)encode(&formats[0], (double)x); }

float qcc_bf16_to_f32(uint16_t h) {
  uint32_t bits = (uint32_t)h << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

uint16_t qcc_f32_to_bf16(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (x != x) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
