/* SPDX-License-Identifier: Apache-2.0
 * PNG to RGB through libpng's row interface: palettes and grey become RGB, 16 bits lose their low byte, alpha is dropped, colour
 * profiles and gamma are not applied. Its errors come back by longjmp, which never leaves `decode`.
 * Invariant: the size is checked before memory is asked for; all memory comes from the context. */
#include <setjmp.h>
#include <string.h>

#include <png.h>

#include "frontends/data/source.h"

typedef struct decoder {
  png_structp z;
  png_infop info;
  jmp_buf back;
  const qcc_bytes_reader *r;
  uint64_t at;
  qcc_image *out;
  qcc_status status;
} decoder;

static void leave(decoder *d, qcc_status st) {
  d->status = st;
  longjmp(d->back, 1);
}

static PNG_NORETURN void on_error(png_structp z, png_const_charp text) {
  decoder *d = png_get_error_ptr(z);
  qcc_loc loc = {.file = d->r->name};
  if (d->status == QCC_OK) d->status = qcc_error(d->r->cx, QCC_DATA, "D-064", &loc, "cannot decode the PNG: %-s", text);
  longjmp(d->back, 1);
}

static void on_warning(png_structp z, png_const_charp text) { (void)z, (void)text; }

static png_voidp take(png_structp z, png_alloc_size_t n) {
  decoder *d = png_get_mem_ptr(z);
  void *p = qcc_alloc(d->r->cx, n);
  if (!p) d->status = QCC_NOMEM; /* libpng ends with an error then, or does without */
  return p;
}

static void give_back(png_structp z, png_voidp p) {
  decoder *d = png_get_mem_ptr(z);
  qcc_free(d->r->cx, p);
}

static void source_read(png_structp z, png_bytep to, size_t n) {
  decoder *d = png_get_io_ptr(z);
  qcc_status st = qcc_reader_read(d->r, d->at, to, n);
  if (st != QCC_OK) leave(d, st);
  d->at += n;
}

static void read_header(decoder *d) {
  png_structp z = d->z;
  png_set_read_fn(z, d, source_read);
  png_set_user_limits(z, 0x7fffffff, 0x7fffffff);
  png_set_keep_unknown_chunks(z, PNG_HANDLE_CHUNK_NEVER, NULL, -1); /* text, profiles, dates: not even unpacked */
  png_read_info(z, d->info);
  qcc_status st = qcc_image_new(d->out, d->r->cx, d->r->name, png_get_image_width(z, d->info), png_get_image_height(z, d->info));
  if (st != QCC_OK) leave(d, st);
  int colour = png_get_color_type(z, d->info);
  png_set_expand(z);
  png_set_strip_16(z);
  png_set_strip_alpha(z);
  if (!(colour & PNG_COLOR_MASK_COLOR)) png_set_gray_to_rgb(z);
}

static void read_rows(decoder *d) {
  int passes = png_set_interlace_handling(d->z);
  size_t row = d->out->w * 3;
  qcc_loc loc = {.file = d->r->name};
  png_read_update_info(d->z, d->info);
  if (png_get_rowbytes(d->z, d->info) != row) leave(d, qcc_error(d->r->cx, QCC_DATA, "D-065", &loc, "a PNG of a kind that is not known"));
  memset(d->out->rgb, 0, row * d->out->h);
  for (int pass = 0; pass < passes; pass++) {
    for (size_t y = 0; y < d->out->h; y++) png_read_row(d->z, d->out->rgb + y * row, NULL);
  }
  png_read_end(d->z, NULL); /* so that a file cut behind its last row is told, too */
}

/* All of the work; a longjmp ends here. `d` and what it points at live with the caller. */
static void decode(decoder *d) {
  if (setjmp(d->back)) return;
  d->z = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, d, on_error, on_warning, d, take, give_back);
  d->info = d->z ? png_create_info_struct(d->z) : NULL;
  if (!d->info) leave(d, QCC_NOMEM);
  read_header(d);
  read_rows(d);
}

qcc_status qcc_png_read(qcc_image *out, const qcc_bytes_reader *r) {
  *out = (qcc_image){.cx = r->cx};
  decoder *d = qcc_zalloc_array(r->cx, 1, sizeof *d);
  if (!d) return QCC_NOMEM;
  d->r = r;
  d->out = out;
  decode(d);
  qcc_status st = d->status;
  png_destroy_read_struct(&d->z, &d->info, NULL);
  qcc_free(r->cx, d);
  if (st != QCC_OK) qcc_image_free(out);
  return st;
}
