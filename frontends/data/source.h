/* SPDX-License-Identifier: Apache-2.0
 * Inside of frontends/data: sources of samples, and the readers of the formats they come in.
 * Invariant: a source feeds one input; a reader sees bytes of a file or of memory and never more than were announced. */
#ifndef QCC_SOURCE_H
#define QCC_SOURCE_H

#include "frontends/data/data.h"
#include "ir/recorded.h"

typedef struct qcc_transform qcc_transform;
typedef struct qcc_source qcc_source;

struct qcc_source {
  qcc_context *cx;
  const char *path;  /* interned */
  const char *file;  /* of the sample read last, for messages; NULL: `path` */
  const char *input; /* name of the input it feeds, interned */
  uint32_t place;    /* of that input among those that are not constants, and how many there are */
  uint32_t places;
  qcc_type want;                  /* type of that input; f32 where it is codes of which is known what they mean */
  qcc_recorded codes;             /* these; of type QCC_NONE: none */
  const qcc_transform *transform; /* for images; NULL: none was given */
  bool images;                    /* may read images */
  size_t count;                   /* samples; SIZE_MAX: the same one for ever */
  /* Sample `index` as a new tensor in the source's own type; shaped for the input, or without its batch axis. */
  qcc_status (*read)(qcc_source *s, size_t index, qcc_tensor *out);
  void (*close)(qcc_source *s); /* frees what `state` holds */
  void *state;
};

/* A .npy or .npz file: first axis = samples, unless the array has fewer axes than the input: then it is the one sample. */
qcc_status qcc_source_npy(qcc_source *s) QCC_MUST_USE;
qcc_status qcc_source_npz(qcc_source *s) QCC_MUST_USE;
/* Anything else: a folder of samples, or a file with one sample. QCC_DATA names the kinds there are. */
qcc_status qcc_source_folder(qcc_source *s) QCC_MUST_USE;
/* Whether a path can feed several inputs at once: a folder of folders or of .npz files. */
qcc_status qcc_folder_feeds_all(bool *all, qcc_context *cx, const char *path) QCC_MUST_USE;
/* Whether a .npz file has an array for this input; the sole input takes the sole array, arr_K is for the K-th of equally many. */
qcc_status qcc_npz_feeds(bool *feeds, const qcc_source *s, const char *path) QCC_MUST_USE;
/* Give `t` the shape that the input wants (adds a batch axis of 1) and its element type. QCC_DATA names sample, input and both shapes. */
qcc_status qcc_source_fit(qcc_source *s, size_t index, qcc_tensor *t) QCC_MUST_USE;

bool qcc_ends_with(const char *text, const char *end); /* letters of any case */

/* ---- bytes: random access to a file, to a part of one, or to memory */
typedef struct qcc_bytes_reader {
  qcc_context *cx;
  const char *name; /* for messages */
  void *file;       /* of the context's io; NULL: memory */
  uint64_t start;   /* where the bytes begin in the file */
  const uint8_t *bytes;
  uint64_t size;
} qcc_bytes_reader;

qcc_status qcc_reader_open(qcc_bytes_reader *r, qcc_context *cx, const char *path) QCC_MUST_USE;
void qcc_reader_close(qcc_bytes_reader *r);
/* Exactly n bytes; QCC_DATA when the file ends before. */
qcc_status qcc_reader_read(const qcc_bytes_reader *r, uint64_t offset, void *to, size_t n) QCC_MUST_USE;

/* ---- .npy */
typedef struct qcc_npy {
  qcc_type type;
  bool fortran, swap; /* axes in column-major order; bytes big-endian */
  uint64_t offset;    /* of the data */
} qcc_npy;

/* Parse the header at the start of `r`, whose size must be that of header and data. QCC_DATA names what is wrong. */
qcc_status qcc_npy_header(qcc_npy *out, const qcc_bytes_reader *r) QCC_MUST_USE;
/* Sample `index` of the first axis (not of a column-major array of several axes), or the whole array (SIZE_MAX), in row-major
 * little-endian order. */
qcc_status qcc_npy_slice(qcc_tensor *out, const qcc_bytes_reader *r, const qcc_npy *h, size_t index) QCC_MUST_USE;

/* An open array: of a .npy file, or of an entry of a .npz file. */
typedef struct qcc_npy_array {
  qcc_bytes_reader r;
  qcc_npy h;
  void *unpacked;  /* bytes of `r` when the entry was deflated */
  qcc_tensor rows; /* a column-major array, once put into row-major order */
  bool single;     /* the array is one sample */
} qcc_npy_array;

void qcc_npy_close(qcc_npy_array *a);
/* Let an array, allocated by the caller with qcc_zalloc_array, feed `s`; closed and freed with the source. */
void qcc_source_array(qcc_source *s, qcc_npy_array *a);

/* ---- zip archives: entries stored or deflated, zip64; no encryption, no parts */
typedef struct qcc_zip_entry {
  const char *name;
  uint16_t method, flags;
  uint32_t crc;
  uint64_t packed, size, header;
} qcc_zip_entry;

typedef struct qcc_zip {
  qcc_bytes_reader r;
  uint8_t *directory; /* names point into it */
  qcc_zip_entry *at;
  size_t n;
} qcc_zip;

qcc_status qcc_zip_open(qcc_zip *z, qcc_context *cx, const char *path) QCC_MUST_USE;
void qcc_zip_close(qcc_zip *z);
/* Where the packed bytes are; checked against the file. */
qcc_status qcc_zip_find(const qcc_zip *z, const qcc_zip_entry *e, uint64_t *offset) QCC_MUST_USE;
/* Unpack the first n bytes of an entry, never more; with n == e->size also compare length and checksum. */
qcc_status qcc_zip_unpack(const qcc_zip *z, const qcc_zip_entry *e, void *to, size_t n) QCC_MUST_USE;
/* Compare the checksum of a stored entry. */
qcc_status qcc_zip_check(const qcc_zip *z, const qcc_zip_entry *e) QCC_MUST_USE;

/* The array of a .npz file that feeds `s`. QCC_DATA when there is none. */
qcc_status qcc_npz_open(qcc_npy_array *a, const qcc_source *s, const char *path) QCC_MUST_USE;

/* ---- images: 8-bit RGB, rows without gaps */
typedef struct qcc_image {
  qcc_context *cx;
  const char *name; /* of the file, for messages */
  uint8_t *rgb;
  size_t w, h;
} qcc_image;

qcc_status qcc_image_new(qcc_image *out, qcc_context *cx, const char *name, size_t w, size_t h) QCC_MUST_USE; /* limit: image_pixels */
void qcc_image_free(qcc_image *i);
/* Decode by content, whatever the file is called. */
qcc_status qcc_jpeg_read(qcc_image *out, const qcc_bytes_reader *r) QCC_MUST_USE;
qcc_status qcc_png_read(qcc_image *out, const qcc_bytes_reader *r) QCC_MUST_USE;
/* Bilinear with anti-aliasing: the bytes that Pillow's Image.resize(..., BILINEAR) gives. */
qcc_status qcc_image_resize(qcc_image *i, size_t w, size_t h) QCC_MUST_USE;

/* ---- transform */
/* Parse "resize=256,crop=224,..."; QCC_ARG names the bad key and the nearest right one. */
qcc_status qcc_transform_parse(qcc_transform **out, qcc_context *cx, const char *spec) QCC_MUST_USE;
void qcc_transform_free(qcc_context *cx, qcc_transform *t);
bool qcc_transform_computes(const qcc_transform *t); /* whether there is a scale, mean or std; NULL: no */
/* Image to tensor for a source's input; `i` is changed. */
qcc_status qcc_transform_apply(qcc_tensor *out, const qcc_source *s, qcc_image *i) QCC_MUST_USE;

#endif
