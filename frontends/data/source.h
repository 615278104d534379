/* SPDX-License-Identifier: Apache-2.0
 * One source of samples for one input. A data set has one source per model input; kinds are rows of sources.def. */
#ifndef QCC_SOURCE_H
#define QCC_SOURCE_H

#include "frontends/data/data.h"

typedef struct qcc_source qcc_source;

struct qcc_source {
  qcc_context *cx;
  const char *path;         /* interned */
  const char *input;        /* name of the input it feeds, interned */
  qcc_type want;            /* type of that input */
  size_t count;             /* samples; SIZE_MAX: the same one for ever */
  /* Sample `index` as a new tensor in the source's own type; shaped for the input, or without its batch axis. */
  qcc_status (*read)(qcc_source *s, size_t index, qcc_tensor *out);
  void (*close)(qcc_source *s); /* frees what `state` holds */
  void *state;
};

/* Fill a source from a .npy file: first axis = samples, unless the array has fewer axes than the input: then it is the one sample. */
qcc_status qcc_source_npy(qcc_source *s) QCC_MUST_USE;

/* Any other kind: .npz with one array, folder of samples, folder of images. QCC_DATA names the kinds there are. */
qcc_status qcc_source_other(qcc_source *s, const char *transform) QCC_MUST_USE;
/* A path that feeds several inputs at once (.npz with an array per input, folder of such): fills their sources and sets *all. */
qcc_status qcc_sources_of_all(bool *all, qcc_source *sources, const qcc_graph *g, const char *path, const char *transform) QCC_MUST_USE;

/* ---- .npy files */
typedef struct qcc_npy {
  qcc_type type;
  bool fortran, swap;       /* axes in column-major order; bytes big-endian */
  uint64_t offset;          /* of the data */
} qcc_npy;

/* Parse the header at the start of a file (or of bytes in memory through `io` = NULL). QCC_DATA names what is wrong. */
typedef struct qcc_bytes_reader { /* random access to a file or to memory */
  qcc_context *cx;
  const char *name;         /* for messages */
  void *file;               /* of the context's io; NULL: memory */
  const uint8_t *bytes;
  uint64_t size;
} qcc_bytes_reader;

qcc_status qcc_reader_open(qcc_bytes_reader *r, qcc_context *cx, const char *path) QCC_MUST_USE;
void qcc_reader_close(qcc_bytes_reader *r);
/* Exactly n bytes; QCC_DATA when the file ends before. */
qcc_status qcc_reader_read(const qcc_bytes_reader *r, uint64_t offset, void *to, size_t n) QCC_MUST_USE;
qcc_status qcc_npy_header(qcc_npy *out, const qcc_bytes_reader *r) QCC_MUST_USE;
/* Elements of samples [index, index + 1) of the first axis, or of the whole array (index SIZE_MAX), in row-major little-endian order. */
qcc_status qcc_npy_slice(qcc_tensor *out, const qcc_bytes_reader *r, const qcc_npy *h, size_t index) QCC_MUST_USE;

/* Give `t` the shape that the input wants (adds a batch axis of 1) and its element type. QCC_DATA names sample, input and both shapes. */
qcc_status qcc_source_fit(qcc_source *s, size_t index, qcc_tensor *t) QCC_MUST_USE;

#endif
