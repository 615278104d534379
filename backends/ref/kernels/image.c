/* SPDX-License-Identifier: Apache-2.0
 * ImageDecoder. Formats without compression (BMP, binary PNM, plain TIFF) are read here; for others the caller of the runtime may bring a decoder. */
#include "backends/ref/kernels/kutil.h"
#include "backends/ref/run.h"

typedef struct image {
  const uint8_t *bytes;
  size_t n;
  int64_t height, width;
  qcc_tensor rgb; /* owned */
} image;

static qcc_status broken(qcc_kargs *k, const char *format) {
  return qcc_kx_fail(k, QCC_DATA, "D-288", "the %s image is cut or malformed", format);
}

static qcc_status new_pixels(qcc_kargs *k, image *m) {
  const qcc_type t = qcc_type_of(QCC_U8, 3, (int64_t[]){m->height, m->width, 3});
  int64_t pixels;
  if (!qcc_mul_s64(m->height, m->width, &pixels) || (uint64_t)pixels > qcc_context_limits(k->cx)->image_pixels)
    return qcc_kx_fail(k, QCC_LIMIT, "L-289", "an image of %lld x %lld pixels", (long long)m->width, (long long)m->height);
  return qcc_tensor_new(&m->rgb, k->cx, &t);
}

/* ---- BMP: 8 bit with a palette, 24 and 32 bit */
static uint32_t u32_at(const image *m, size_t at) {
  return (uint32_t)m->bytes[at] | (uint32_t)m->bytes[at + 1] << 8 | (uint32_t)m->bytes[at + 2] << 16 | (uint32_t)m->bytes[at + 3] << 24;
}

static qcc_status read_bmp(qcc_kargs *k, image *m) {
  if (m->n < 54) return broken(k, "BMP");
  const size_t data = u32_at(m, 10), header = u32_at(m, 14), bits = u32_at(m, 28) & 0xffff;
  const int32_t height = (int32_t)u32_at(m, 22);
  m->width = (int32_t)u32_at(m, 18);
  m->height = height < 0 ? -(int64_t)height : height;
  if (u32_at(m, 30) != 0 || (bits != 8 && bits != 24 && bits != 32))
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-290", "a BMP image of %zu bits or with compression", bits);
  const size_t row = ((size_t)(m->width > 0 ? m->width : 0) * bits + 31) / 32 * 4, palette = 14 + header;
  size_t all;
  const bool fits = m->width > 0 && m->height > 0 && qcc_mul_size(row, (size_t)m->height, &all) && data <= m->n && all <= m->n - data &&
                    header <= m->n && (bits != 8 || palette + 256 * 4 <= m->n);
  if (!fits) return broken(k, "BMP");
  QCC_TRY(new_pixels(k, m));
  uint8_t *to = qcc_tensor_mut(&m->rgb);
  for (int64_t y = 0; y < m->height; ++y) {
    const uint8_t *from = m->bytes + data + (size_t)(height < 0 ? y : m->height - 1 - y) * row;
    for (int64_t x = 0; x < m->width; ++x, to += 3) {
      const uint8_t *c = bits == 8 ? m->bytes + palette + (size_t)from[x] * 4 : from + (size_t)x * (bits / 8);
      to[0] = c[2], to[1] = c[1], to[2] = c[0];
    }
  }
  return QCC_OK;
}

/* ---- PNM: P5 and P6 with samples of one byte */
static bool pnm_number(const image *m, size_t *at, int64_t *to) {
  bool comment = false;
  for (; *at < m->n && (comment || m->bytes[*at] == '#' || m->bytes[*at] <= ' '); ++*at)
    comment = m->bytes[*at] == '#' || (comment && m->bytes[*at] != '\n');
  *to = 0;
  const size_t start = *at;
  for (; *at < m->n && m->bytes[*at] >= '0' && m->bytes[*at] <= '9' && *at - start < 9; ++*at) *to = *to * 10 + (m->bytes[*at] - '0');
  return *at > start;
}

static qcc_status read_pnm(qcc_kargs *k, image *m) {
  const size_t channels = m->bytes[1] == '6' ? 3 : 1;
  int64_t most;
  size_t at = 2, all;
  if (!pnm_number(m, &at, &m->width) || !pnm_number(m, &at, &m->height) || !pnm_number(m, &at, &most) || at >= m->n)
    return broken(k, "PNM");
  at++;
  if (most != 255) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-290", "a PNM image with samples up to %lld", (long long)most);
  if (m->width < 1 || m->height < 1 || !qcc_mul_size((size_t)(m->width * m->height), channels, &all) || all > m->n - at)
    return broken(k, "PNM");
  QCC_TRY(new_pixels(k, m));
  uint8_t *to = qcc_tensor_mut(&m->rgb);
  for (int64_t i = 0; i < m->width * m->height * 3; ++i) to[i] = m->bytes[at + (channels == 3 ? (size_t)i : (size_t)i / 3)];
  return QCC_OK;
}

/* ---- TIFF: first image, strips without compression, 8 bit gray or RGB */
typedef struct tiff {
  const image *m;
  bool big; /* byte order */
  bool cut; /* something was read beyond the end */
} tiff;

static uint32_t number_at(tiff *t, size_t at, size_t bytes) {
  uint32_t x = 0;
  t->cut |= at > t->m->n || bytes > t->m->n - at;
  for (size_t i = 0; !t->cut && i < bytes; ++i) x |= (uint32_t)t->m->bytes[at + i] << 8 * (t->big ? bytes - 1 - i : i);
  return x;
}

/* Where field `tag` stands; 0: it is absent. */
static size_t find_field(tiff *t, uint32_t tag) {
  const size_t list = number_at(t, 4, 4);
  const uint32_t n = number_at(t, list, 2);
  for (uint32_t i = 0; i < n && !t->cut; ++i)
    if (number_at(t, list + 2 + (size_t)i * 12, 2) == tag) return list + 2 + (size_t)i * 12;
  return 0;
}

/* Number `index` of the field at `entry`, short or long. */
static uint32_t value_at(tiff *t, size_t entry, uint32_t index) {
  const uint32_t type = number_at(t, entry + 2, 2), count = number_at(t, entry + 4, 4);
  const size_t size = type == 3 ? 2 : 4, at = (uint64_t)count * size <= 4 ? entry + 8 : number_at(t, entry + 8, 4);
  t->cut |= index >= count || (type != 3 && type != 4);
  return number_at(t, at + (size_t)index * size, size);
}

static uint32_t field_of(tiff *t, uint32_t tag, uint32_t fallback) {
  const size_t entry = find_field(t, tag);
  return entry ? value_at(t, entry, 0) : fallback;
}

static qcc_status read_strips(qcc_kargs *k, tiff *t, image *m, size_t channels) {
  const uint32_t per_strip = field_of(t, 278, UINT32_MAX);
  const size_t offsets = find_field(t, 273);
  if (per_strip == 0 || !offsets) return broken(k, "TIFF");
  QCC_TRY(new_pixels(k, m));
  uint8_t *to = qcc_tensor_mut(&m->rgb);
  const size_t row = (size_t)m->width * channels;
  for (int64_t y = 0; y < m->height; ++y) {
    const uint32_t strip = (uint32_t)y / per_strip;
    const size_t at = value_at(t, offsets, strip) + (size_t)((uint32_t)y % per_strip) * row;
    if (t->cut || at > m->n || row > m->n - at) return broken(k, "TIFF");
    for (int64_t i = 0; i < m->width * 3; ++i) *to++ = m->bytes[at + (channels == 3 ? (size_t)i : (size_t)i / 3)];
  }
  return QCC_OK;
}

static qcc_status read_tiff(qcc_kargs *k, image *m) {
  tiff t = {.m = m, .big = m->bytes[0] == 'M'};
  m->width = field_of(&t, 256, 0);
  m->height = field_of(&t, 257, 0);
  const uint32_t channels = field_of(&t, 277, 1), bits = field_of(&t, 258, 1), meaning = field_of(&t, 262, 0);
  const bool plain = field_of(&t, 259, 1) == 1 && field_of(&t, 284, 1) == 1 && bits == 8 && meaning == (channels == 3 ? 2 : 1);
  if (t.cut || m->width < 1 || m->height < 1) return broken(k, "TIFF");
  if (!plain || (channels != 1 && channels != 3))
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-290", "a TIFF image that is not plain gray or RGB");
  return read_strips(k, &t, m, channels);
}

static qcc_status decode(qcc_kargs *k, image *m) {
  const qcc_runner *r = k->worker->runner;
  if (m->n > 2 && m->bytes[0] == 'B' && m->bytes[1] == 'M') return read_bmp(k, m);
  if (m->n > 2 && m->bytes[0] == 'P' && (m->bytes[1] == '5' || m->bytes[1] == '6')) return read_pnm(k, m);
  if (m->n > 8 && (!memcmp(m->bytes, "II*\0", 4) || !memcmp(m->bytes, "MM\0*", 4))) return read_tiff(k, m);
  qcc_status st = r && r->how.decode_image ? r->how.decode_image(k->cx, m->bytes, m->n, &m->rgb) : QCC_UNSUPPORTED;
  if (st == QCC_UNSUPPORTED) return qcc_kx_fail(k, st, "U-291", "the runtime has no decoder for this image format");
  QCC_TRY(st);
  m->height = m->rgb.type.dim[0];
  m->width = m->rgb.type.dim[1];
  return QCC_OK;
}

static uint8_t luma(const uint8_t *c) { return (uint8_t)((c[0] * 19595u + c[1] * 38470u + c[2] * 7471u + 0x8000u) >> 16); }

static qcc_status put_pixels(qcc_kargs *k, const image *m) {
  const char *format = qcc_attr_str(k->node, "pixel_format", "RGB");
  const bool gray = strcmp(format, "Grayscale") == 0, bgr = strcmp(format, "BGR") == 0;
  const qcc_type t = qcc_type_of(QCC_U8, 3, (int64_t[]){m->height, m->width, gray ? 1 : 3});
  const uint8_t *from = m->rgb.data;
  void *out;
  QCC_TRY(qcc_kx_out(k, 0, &t, &out));
  uint8_t *to = out;
  for (int64_t i = 0; to && i < m->height * m->width; ++i, from += 3) {
    if (gray) {
      *to++ = luma(from);
      continue;
    }
    *to++ = from[bgr ? 2 : 0];
    *to++ = from[1];
    *to++ = from[bgr ? 0 : 2];
  }
  return QCC_OK;
}

qcc_status qcc_kernel_image_decoder(qcc_kargs *k) {
  image m = {.bytes = k->in[0]->data, .n = k->in[0]->bytes};
  if (k->in[0]->type.dtype != QCC_U8) return qcc_kx_no_type(k, k->in[0]->type.dtype);
  qcc_status st = decode(k, &m);
  if (st == QCC_OK) st = put_pixels(k, &m);
  qcc_tensor_release(&m.rgb);
  return st;
}
