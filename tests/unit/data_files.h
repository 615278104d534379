/* SPDX-License-Identifier: Apache-2.0
 * Small .npy, .npz, PNG and JPEG files in memory, right and wrong ones, for tests of data sets. */
#ifndef QCC_TESTS_DATA_FILES_H
#define QCC_TESTS_DATA_FILES_H

#include <stdio.h> /* jpeglib.h wants it */
#include <string.h>

#include <jpeglib.h>
#include <png.h>
#include <zlib.h>

#include "ir/support/context.h"
#include "tests/oom.h"

typedef struct bytes {
  uint8_t at[8192];
  size_t n;
} bytes;

static inline void add(bytes *b, const void *at, size_t n) {
  assert_true(n <= sizeof b->at - b->n);
  memcpy(b->at + b->n, at, n);
  b->n += n;
}

static inline void add_int(bytes *b, uint64_t x, int n) {
  for (int i = 0; i < n; i++) add(b, &(uint8_t){(uint8_t)(i < 8 ? x >> 8 * i : 0)}, 1);
}

static inline void make_npy(bytes *b, int version, const char *header, uint64_t length, const void *data, size_t n) {
  b->n = 0;
  add(b, "\x93NUMPY", 6);
  add(b, (uint8_t[]){(uint8_t)version, 0}, 2);
  add_int(b, length, version == 1 ? 2 : 4);
  add(b, header, strlen(header));
  add(b, data, n);
}

#define HEADER(type, order, shape) "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", }\n"

static inline void make_f32(bytes *b, float first, int count) {
  float data[64];
  char header[128];
  for (int i = 0; i < count; i++) data[i] = first + (float)i;
  qcc_format(header, sizeof header, HEADER("<f4", "False", "(%d,)"), count);
  make_npy(b, 1, header, strlen(header), data, (size_t)count * sizeof *data);
}

typedef struct zip_file {
  const char *name;
  const bytes *from;
  bool deflated, zip64;
  uint32_t crc_error, flags; /* added to the right checksum */
  uint64_t size;             /* that the directory tells; 0: the right one */
} zip_file;

static inline size_t pack(uint8_t *to, size_t most, const bytes *from) {
  z_stream s = {0};
  assert_int_equal(deflateInit2(&s, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY), Z_OK);
  s.next_in = (uint8_t *)(uintptr_t)from->at;
  s.avail_in = (uInt)from->n;
  s.next_out = to;
  s.avail_out = (uInt)most;
  assert_int_equal(deflate(&s, Z_FINISH), Z_STREAM_END);
  deflateEnd(&s);
  return most - s.avail_out;
}

static inline void make_zip(bytes *z, const zip_file *files, size_t n) {
  bytes directory = {.n = 0};
  z->n = 0;
  for (size_t i = 0; i < n; i++) {
    const zip_file *f = &files[i];
    uint8_t packed[8192];
    size_t k = f->deflated ? pack(packed, sizeof packed, f->from) : f->from->n, at = z->n, name = strlen(f->name);
    uint64_t size = f->size ? f->size : f->from->n;
    uint32_t crc = (uint32_t)crc32(0, f->from->at, (uInt)f->from->n) + f->crc_error;
    add_int(z, 0x04034b50, 4);
    add_int(z, 0, 22); /* the reader trusts the directory only */
    add_int(z, name, 2);
    add_int(z, 3, 2);
    add(z, f->name, name);
    add(z, "xtr", 3);
    add(z, f->deflated ? packed : f->from->at, k);
    add_int(&directory, 0x02014b50, 4);
    add_int(&directory, 0, 4);
    add_int(&directory, f->flags, 2);
    add_int(&directory, f->deflated ? 8 : 0, 2);
    add_int(&directory, 0, 4);
    add_int(&directory, crc, 4);
    add_int(&directory, f->zip64 ? 0xffffffff : k, 4);
    add_int(&directory, f->zip64 ? 0xffffffff : size, 4);
    add_int(&directory, name, 2);
    add_int(&directory, f->zip64 ? 20 : 0, 2);
    add_int(&directory, 0, 10);
    add_int(&directory, at, 4);
    add(&directory, f->name, name);
    if (f->zip64) add_int(&directory, 1 | 16 << 16, 4), add_int(&directory, size, 8), add_int(&directory, k, 8);
  }
  size_t at = z->n;
  add(z, directory.at, directory.n);
  add_int(z, 0x06054b50, 4);
  add_int(z, 0, 4);
  add_int(z, n, 2);
  add_int(z, n, 2);
  add_int(z, directory.n, 4);
  add_int(z, at, 4);
  add_int(z, 0, 2);
}

static inline void paint(uint8_t *rgb, int w, int h) {
  for (int i = 0; i < w * h * 3; i++) rgb[i] = (uint8_t)(i * 7 + i / (3 * w) * 11);
}

static inline void make_png(bytes *b, int w, int h, bool alpha) {
  uint8_t pixels[4096];
  png_image im = {.version = PNG_IMAGE_VERSION, .width = (png_uint_32)w, .height = (png_uint_32)h};
  png_alloc_size_t n = sizeof b->at;
  im.format = alpha ? PNG_FORMAT_RGBA : PNG_FORMAT_RGB;
  paint(pixels, w, h);
  assert_int_equal(png_image_write_to_memory(&im, b->at, &n, 0, pixels, 0, NULL), 1);
  b->n = n;
}

static inline void make_jpeg(bytes *b, int w, int h, bool progressive, bool cmyk) {
  struct jpeg_error_mgr error;
  struct jpeg_compress_struct z = {.err = jpeg_std_error(&error)};
  uint8_t pixels[4096], *to = NULL;
  unsigned long n = 0;
  paint(pixels, w, h);
  jpeg_create_compress(&z);
  jpeg_mem_dest(&z, &to, &n);
  z.image_width = (JDIMENSION)w;
  z.image_height = (JDIMENSION)h;
  z.input_components = cmyk ? 4 : 3;
  z.in_color_space = cmyk ? JCS_CMYK : JCS_RGB;
  jpeg_set_defaults(&z);
  if (progressive) jpeg_simple_progression(&z);
  jpeg_start_compress(&z, TRUE);
  for (int y = 0; y < h; y++) {
    JSAMPROW row = pixels + y * w * 3;
    jpeg_write_scanlines(&z, &row, 1);
  }
  jpeg_finish_compress(&z);
  b->n = 0;
  add(b, to, n);
  jpeg_destroy_compress(&z);
  free(to);
}

#endif
