/* SPDX-License-Identifier: Apache-2.0
 * JPEG to RGB through libjpeg. Its errors come back by longjmp, which never leaves `decode`; nothing is printed, nothing exits.
 * Invariant: the size is checked before memory is asked for, and progressive files may have only so many scans. */
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h wants it */
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "frontends/data/source.h"

typedef struct decoder {
  struct jpeg_error_mgr error;
  struct jpeg_source_mgr source;
  struct jpeg_progress_mgr progress;
  struct jpeg_decompress_struct z;
  jmp_buf back;
  const qcc_bytes_reader *r;
  uint64_t at; /* bytes of the file given to libjpeg so far */
  qcc_image *out;
  qcc_status status;
  JOCTET buffer[16384];
} decoder;

static void leave(decoder *d, qcc_status st) {
  d->status = st;
  longjmp(d->back, 1);
}

static void on_error(j_common_ptr z) {
  decoder *d = z->client_data;
  char text[JMSG_LENGTH_MAX] = "";
  qcc_loc loc = {.file = d->r->name};
  z->err->format_message(z, text);
  bool memory = z->err->msg_code == JERR_OUT_OF_MEMORY;
  leave(d, qcc_error(d->r->cx, memory ? QCC_NOMEM : QCC_DATA, memory ? "N-010" : "D-061", &loc, "cannot decode the JPEG: %-s", text));
}

static void on_warning(j_common_ptr z, int level) { (void)z, (void)level; }
static void on_message(j_common_ptr z) { (void)z; }

/* A progressive file of few bytes can ask for thousands of passes over all pixels. */
static void on_progress(j_common_ptr z) {
  decoder *d = z->client_data;
  qcc_loc loc = {.file = d->r->name};
  uint64_t most = qcc_context_limits(d->r->cx)->image_scans;
  if (d->z.input_scan_number < 0 || (uint64_t)d->z.input_scan_number <= most) return;
  leave(d, qcc_error(d->r->cx, QCC_LIMIT, "L-013", &loc, "a JPEG of more than %llu scans; --limit max-scans=N allows more",
                     (unsigned long long)most));
}

static void source_begin(j_decompress_ptr z) { (void)z; }

static boolean source_fill(j_decompress_ptr z) {
  decoder *d = z->client_data;
  qcc_loc loc = {.file = d->r->name};
  uint64_t rest = d->r->size - d->at;
  size_t n = rest < sizeof d->buffer ? (size_t)rest : sizeof d->buffer;
  if (n == 0)
    leave(d,
          qcc_error(d->r->cx, QCC_DATA, "D-062", &loc, "the JPEG ends after %llu bytes, before its last pixel", (unsigned long long)d->at));
  qcc_status st = qcc_reader_read(d->r, d->at, d->buffer, n);
  if (st != QCC_OK) leave(d, st);
  d->at += n;
  d->source.next_input_byte = d->buffer;
  d->source.bytes_in_buffer = n;
  return TRUE;
}

static void source_skip(j_decompress_ptr z, long count) {
  decoder *d = z->client_data;
  size_t n = count > 0 ? (size_t)count : 0, here = n < d->source.bytes_in_buffer ? n : d->source.bytes_in_buffer;
  d->source.next_input_byte += here;
  d->source.bytes_in_buffer -= here;
  uint64_t rest = d->r->size - d->at;
  d->at += n - here < rest ? n - here : rest;
}

static void source_end(j_decompress_ptr z) { (void)z; }

static void start(decoder *d) {
  d->z.err = jpeg_std_error(&d->error);
  d->z.client_data = d;
  d->error.error_exit = on_error;
  d->error.emit_message = on_warning;
  d->error.output_message = on_message;
  d->progress.progress_monitor = on_progress;
  d->source.init_source = source_begin;
  d->source.fill_input_buffer = source_fill;
  d->source.skip_input_data = source_skip;
  d->source.resync_to_restart = jpeg_resync_to_restart;
  d->source.term_source = source_end;
}

static void read_header(decoder *d) {
  struct jpeg_decompress_struct *z = &d->z;
  qcc_loc loc = {.file = d->r->name};
  z->src = &d->source;
  z->progress = &d->progress;
  jpeg_read_header(z, TRUE);
  if (z->jpeg_color_space == JCS_CMYK || z->jpeg_color_space == JCS_YCCK)
    leave(d, qcc_error(d->r->cx, QCC_DATA, "D-063", &loc, "a JPEG in CMYK colours; store it as RGB or grey"));
  qcc_status st = qcc_image_new(d->out, d->r->cx, d->r->name, z->image_width, z->image_height);
  if (st != QCC_OK) leave(d, st);
  z->out_color_space = JCS_RGB;
}

/* All of the work; a longjmp ends here. `d` and what it points at live with the caller. */
static void decode(decoder *d) {
  if (setjmp(d->back)) return;
  jpeg_create_decompress(&d->z);
  read_header(d);
  jpeg_start_decompress(&d->z);
  size_t row = d->out->w * 3;
  while (d->z.output_scanline < d->z.output_height) {
    JSAMPROW to = d->out->rgb + d->z.output_scanline * row;
    jpeg_read_scanlines(&d->z, &to, 1);
  }
}

qcc_status qcc_jpeg_read(qcc_image *out, const qcc_bytes_reader *r) {
  *out = (qcc_image){.cx = r->cx};
  decoder *d = qcc_zalloc_array(r->cx, 1, sizeof *d);
  if (!d) return QCC_NOMEM;
  d->r = r;
  d->out = out;
  start(d);
  decode(d);
  qcc_status st = d->status;
  jpeg_destroy_decompress(&d->z);
  qcc_free(r->cx, d);
  if (st != QCC_OK) qcc_image_free(out);
  return st;
}
