/* SPDX-License-Identifier: Apache-2.0
 * From image to input tensor: resize, crop, channels, scale, mean and std, layout, in this order whatever the order of the text.
 * Invariant: the arithmetic is that of Pillow and torchvision, so that the tensor is the one a model was trained and measured on. */
#include <math.h>
#include <string.h>

#include "frontends/data/source.h"
#include "ir/support/nearest.h"

typedef enum channels { CHANNELS_AUTO, RGB, BGR, GREY } channels;
typedef enum layout { LAYOUT_AUTO, NCHW, NHWC } layout;

typedef struct numbers { /* one for all channels, or one per channel */
  double at[3];
  size_t n; /* 0: not given */
} numbers;

struct qcc_transform {
  size_t short_side, resize_h, resize_w; /* 0: not given */
  size_t crop_h, crop_w;
  channels channels;
  layout layout;
  double scale[2]; /* numerator, denominator; 0: not given */
  numbers mean, std;
  unsigned given; /* bit per row of `keys` */
};

/* ---- parsing. Each parser gets the n bytes of a value and says whether it is one. */

static bool read_size(const char *p, size_t n, size_t *out) {
  int64_t x = 0;
  if (n == 0 || n > 6 || *p < '0' || *p > '9' || qcc_read_s64(p, n, &x) != n || x < 1 || x > 65536) return false;
  return *out = (size_t)x, true;
}

static bool read_pair(const char *p, size_t n, size_t *h, size_t *w) {
  const char *x = memchr(p, 'x', n);
  size_t k = x ? (size_t)(x - p) : n;
  return x && read_size(p, k, h) && read_size(x + 1, n - k - 1, w);
}

static bool read_number(const char *p, size_t n, double *out) { return n > 0 && qcc_read_f64(p, n, out) == n && *out - *out == 0; }

/* a or a/b */
static bool read_ratio(const char *p, size_t n, double ratio[2]) {
  const char *slash = memchr(p, '/', n);
  size_t k = slash ? (size_t)(slash - p) : n;
  ratio[1] = 1;
  if (!read_number(p, k, &ratio[0])) return false;
  return !slash || (read_number(slash + 1, n - k - 1, &ratio[1]) && ratio[1] != 0);
}

static bool read_numbers(const char *p, size_t n, numbers *out) {
  for (out->n = 0; out->n < 3; out->n++) {
    const char *colon = memchr(p, ':', n);
    size_t k = colon ? (size_t)(colon - p) : n;
    double ratio[2];
    if (!read_ratio(p, k, ratio)) return false;
    out->at[out->n] = ratio[0] / ratio[1];
    if (!colon) return out->n++ != 1;
    p += k + 1;
    n -= k + 1;
  }
  return false;
}

static bool read_word(const char *p, size_t n, const char *const *words, int *out) {
  for (int i = 0; words[i]; i++) {
    if (strlen(words[i]) == n && memcmp(words[i], p, n) == 0) return *out = i + 1, true;
  }
  return false;
}

static bool parse_resize(qcc_transform *t, const char *p, size_t n) {
  return read_pair(p, n, &t->resize_h, &t->resize_w) || read_size(p, n, &t->short_side);
}

static bool parse_crop(qcc_transform *t, const char *p, size_t n) {
  if (read_pair(p, n, &t->crop_h, &t->crop_w)) return true;
  if (!read_size(p, n, &t->crop_h)) return false;
  return t->crop_w = t->crop_h, true;
}

static bool parse_channels(qcc_transform *t, const char *p, size_t n) {
  int i = 0;
  if (!read_word(p, n, (const char *const[]){"rgb", "bgr", "grey", NULL}, &i)) return false;
  return t->channels = (channels)i, true;
}

static bool parse_layout(qcc_transform *t, const char *p, size_t n) {
  int i = 0;
  if (!read_word(p, n, (const char *const[]){"nchw", "nhwc", NULL}, &i)) return false;
  return t->layout = (layout)i, true;
}

static bool parse_scale(qcc_transform *t, const char *p, size_t n) { return read_ratio(p, n, t->scale) && t->scale[0] != 0; }
static bool parse_mean(qcc_transform *t, const char *p, size_t n) { return read_numbers(p, n, &t->mean); }

static bool parse_std(qcc_transform *t, const char *p, size_t n) {
  if (!read_numbers(p, n, &t->std)) return false;
  for (size_t i = 0; i < t->std.n; i++) {
    if ((float)t->std.at[i] == 0) return false;
  }
  return true;
}

static const struct {
  char name[12];
  bool (*parse)(qcc_transform *t, const char *p, size_t n);
  char allowed[64];
} keys[] = {
    {"resize", parse_resize, "SHORT_SIDE or HEIGHTxWIDTH, 1 to 65536"},
    {"crop", parse_crop, "SIZE or HEIGHTxWIDTH, 1 to 65536"},
    {"channels", parse_channels, "rgb, bgr, grey"},
    {"scale", parse_scale, "a number or a ratio, not 0"},
    {"mean", parse_mean, "a number or three (R:G:B), each a or a/b"},
    {"std", parse_std, "a number or three (R:G:B), each a or a/b, not 0"},
    {"layout", parse_layout, "nchw, nhwc"},
};

enum { KEYS = sizeof keys / sizeof *keys };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

static qcc_status unknown_key(qcc_context *cx, const char *p, size_t n) {
  char word[64];
  size_t shown = n < sizeof word - 1 ? n : sizeof word - 1;
  qcc_nearest near = qcc_nearest_to(p, n);
  memcpy(word, p, shown);
  word[shown] = 0;
  for (size_t i = 0; i < KEYS; i++) qcc_nearest_offer(&near, keys[i].name);
  return qcc_error(cx, QCC_ARG, "A-160", NULL,
                   "transform: %-s is not a key; did you mean \"%s\"? allowed: resize, crop, channels, scale, mean, std, layout", word,
                   near.best);
}

static qcc_status parse_item(qcc_transform *t, qcc_context *cx, const char *p, size_t n) {
  const char *eq = memchr(p, '=', n);
  size_t k = eq ? (size_t)(eq - p) : n, i = 0;
  char value[64];
  while (i < KEYS && (strlen(keys[i].name) != k || memcmp(keys[i].name, p, k) != 0)) i++;
  if (i == KEYS) return unknown_key(cx, p, k);
  if (t->given & 1u << i) return qcc_error(cx, QCC_ARG, "A-161", NULL, "transform: %s is given twice", keys[i].name);
  t->given |= 1u << i;
  if (eq && keys[i].parse(t, eq + 1, n - k - 1)) return QCC_OK;
  size_t shown = eq ? least(n - k - 1, sizeof value - 1) : 0;
  memcpy(value, p + n - (eq ? n - k - 1 : 0), shown);
  value[shown] = 0;
  return qcc_error(cx, QCC_ARG, "A-162", NULL, "transform: %s=%-s; allowed: %s", keys[i].name, value, keys[i].allowed);
}

static qcc_status parse(qcc_transform *t, qcc_context *cx, const char *spec) {
  for (const char *p = spec;;) {
    size_t n = strcspn(p, ",");
    QCC_TRY(parse_item(t, cx, p, n));
    if (!p[n]) break;
    p += n + 1;
  }
  if (t->channels == GREY && (t->mean.n == 3 || t->std.n == 3))
    return qcc_error(cx, QCC_ARG, "A-163", NULL, "transform: channels=grey wants one mean and one std");
  return QCC_OK;
}

qcc_status qcc_transform_parse(qcc_transform **out, qcc_context *cx, const char *spec) {
  qcc_transform *t = *out = qcc_zalloc_array(cx, 1, sizeof *t);
  if (!t) return QCC_NOMEM;
  qcc_status st = parse(t, cx, spec);
  if (st != QCC_OK) {
    qcc_transform_free(cx, t);
    *out = NULL;
  }
  return st;
}

void qcc_transform_free(qcc_context *cx, qcc_transform *t) { qcc_free(cx, t); }

bool qcc_transform_computes(const qcc_transform *t) { return t && (t->scale[0] != 0 || t->mean.n || t->std.n); }

/* ---- applying */

/* With one number the short side gets it and the other follows, rounded down. */
static qcc_status resize(const qcc_transform *t, qcc_image *i) {
  size_t w = t->resize_w, h = t->resize_h, side = t->short_side;
  if (side && i->w <= i->h) {
    w = side;
    h = side * i->h / i->w;
  } else if (side) {
    h = side;
    w = side * i->w / i->h;
  }
  return w ? qcc_image_resize(i, w, h) : QCC_OK;
}

/* Half of the rest, halves to even. */
static size_t margin(size_t all, size_t part) {
  size_t rest = all - part, half = rest / 2;
  return rest % 2 ? half + half % 2 : half;
}

typedef struct window { /* of an image */
  size_t top, left, h, w;
} window;

static qcc_status crop(window *at, const qcc_transform *t, const qcc_image *i) {
  qcc_loc loc = {.file = i->name};
  *at = (window){.h = i->h, .w = i->w};
  if (!t->crop_h) return QCC_OK;
  if (t->crop_h > i->h || t->crop_w > i->w)
    return qcc_error(i->cx, QCC_DATA, "D-066", &loc, "the image is %zu x %zu (height x width), smaller than crop=%zux%zu; resize it before",
                     i->h, i->w, t->crop_h, t->crop_w);
  *at = (window){.top = margin(i->h, t->crop_h), .left = margin(i->w, t->crop_w), .h = t->crop_h, .w = t->crop_w};
  return QCC_OK;
}

/* Luma of ITU-R 601-2 in 16-bit fixed point. */
static uint8_t grey(const uint8_t *p) { return (uint8_t)((p[0] * 19595u + p[1] * 38470u + p[2] * 7471u + 0x8000u) >> 16); }

/* What the text leaves open follows from the input: the axis that has 1 or 3 elements is that of the channels. */
static qcc_transform settle(const qcc_transform *given, const qcc_type *want) {
  qcc_transform t = {0};
  if (given) t = *given;
  bool planes = want->rank >= 3, first = planes && (want->dim[want->rank - 3] == 3 || want->dim[want->rank - 3] == 1);
  bool last = planes && (want->dim[want->rank - 1] == 3 || want->dim[want->rank - 1] == 1);
  if (t.layout == LAYOUT_AUTO) t.layout = last && !first ? NHWC : NCHW;
  if (t.channels == CHANNELS_AUTO) t.channels = planes && want->dim[want->rank - (t.layout == NCHW ? 3 : 1)] == 1 ? GREY : RGB;
  return t;
}

static double number(const numbers *n, size_t c, double otherwise) { return n->n == 0 ? otherwise : n->at[n->n == 1 ? 0 : c]; }

/* All 256 values of a channel, in the steps of single precision that a tensor library takes. */
static void fill_table(float *to, const qcc_transform *t, size_t c) {
  float mean = (float)number(&t->mean, c, 0), std = (float)number(&t->std, c, 1);
  for (int x = 0; x < 256; x++) {
    float v = (float)(t->scale[0] != 0 ? x * t->scale[0] / t->scale[1] : x);
    to[x] = (v - mean) / std;
  }
}

/* Channel c of the window; `to` is a f32 or u8 element, `step` elements to the next. */
static void write_channel(void *to, size_t step, const float *table, const qcc_image *i, const window *at, size_t c, bool is_grey) {
  float *f = to;
  uint8_t *u = to;
  for (size_t y = 0; y < at->h; y++) {
    const uint8_t *p = i->rgb + ((at->top + y) * i->w + at->left) * 3;
    for (size_t x = 0; x < at->w; x++, p += 3) {
      uint8_t v = is_grey ? grey(p) : p[c];
      if (table) {
        *f = table[v];
        f += step;
      } else {
        *u = v;
        u += step;
      }
    }
  }
}

static qcc_status write_tensor(qcc_tensor *out, const qcc_transform *t, qcc_dtype dtype, const qcc_image *i, const window *at) {
  size_t n = t->channels == GREY ? 1 : 3, size = dtype == QCC_U8 ? 1 : sizeof(float);
  int64_t h = (int64_t)at->h, w = (int64_t)at->w, c = (int64_t)n;
  qcc_type type = qcc_type_of(dtype, 3, t->layout == NHWC ? (int64_t[]){h, w, c} : (int64_t[]){c, h, w});
  QCC_TRY(qcc_tensor_new(out, i->cx, &type));
  uint8_t *to = qcc_tensor_mut(out);
  if (!to) return qcc_tensor_release(out), QCC_NOMEM;
  for (size_t k = 0; k < n; k++) {
    float table[256];
    fill_table(table, t, k);
    size_t at_first = t->layout == NHWC ? k : k * at->h * at->w;
    write_channel(to + at_first * size, t->layout == NHWC ? n : 1, dtype == QCC_U8 ? NULL : table, i, at, t->channels == BGR ? 2 - k : k,
                  n == 1);
  }
  return QCC_OK;
}

qcc_status qcc_transform_apply(qcc_tensor *out, const qcc_source *s, qcc_image *i) {
  qcc_transform t = settle(s->transform, &s->want);
  window at;
  if (t.channels == GREY && (t.mean.n == 3 || t.std.n == 3))
    return qcc_error(s->cx, QCC_ARG, "A-163", NULL, "transform: input \"%s\" has one channel and wants one mean and one std", s->input);
  QCC_TRY(resize(&t, i));
  QCC_TRY(crop(&at, &t, i));
  return write_tensor(out, &t, s->want.dtype == QCC_U8 && !qcc_transform_computes(&t) ? QCC_U8 : QCC_F32, i, &at);
}
