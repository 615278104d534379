/* SPDX-License-Identifier: Apache-2.0
 * Images in memory. Invariant: never more pixels than the limit allows, checked before memory is asked for. */
#include <string.h>

#include "frontends/data/source.h"

qcc_status qcc_image_new(qcc_image *out, qcc_context *cx, const char *name, size_t w, size_t h) {
  qcc_loc loc = {.file = name};
  size_t pixels = 0, bytes = 0;
  *out = (qcc_image){.cx = cx, .name = name, .w = w, .h = h};
  if (w == 0 || h == 0) return qcc_error(cx, QCC_DATA, "D-060", &loc, "the image is %zu x %zu pixels", w, h);
  if (!qcc_mul_size(w, h, &pixels) || pixels > qcc_context_limits(cx)->image_pixels || !qcc_mul_size(pixels, 3, &bytes))
    return qcc_error(cx, QCC_LIMIT, "L-011", &loc, "an image of %zu x %zu pixels; --limit max-pixels=N allows more than %llu", w, h,
                     (unsigned long long)qcc_context_limits(cx)->image_pixels);
  out->rgb = qcc_alloc(cx, bytes);
  return out->rgb ? QCC_OK : QCC_NOMEM;
}

void qcc_image_free(qcc_image *i) {
  if (i->rgb) qcc_free(i->cx, i->rgb);
  i->rgb = NULL;
}

qcc_status qcc_image_decode(qcc_context *cx, const void *bytes, size_t n, qcc_tensor *out) {
  const bool jpeg = n > 3 && memcmp(bytes, "\xff\xd8\xff", 3) == 0, png = n > 8 && memcmp(bytes, "\x89PNG\r\n\x1a\n", 8) == 0;
  const qcc_bytes_reader r = {.cx = cx, .name = "image", .bytes = bytes, .size = n};
  qcc_image i = {.cx = cx};
  *out = (qcc_tensor){0};
  if (!jpeg && !png) return QCC_UNSUPPORTED;
  qcc_status st = jpeg ? qcc_jpeg_read(&i, &r) : qcc_png_read(&i, &r);
  const qcc_type t = qcc_type_of(QCC_U8, 3, (int64_t[]){(int64_t)i.h, (int64_t)i.w, 3});
  if (st == QCC_OK) st = qcc_tensor_copy(out, cx, &t, i.rgb);
  qcc_image_free(&i);
  return st;
}
