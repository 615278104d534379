/* SPDX-License-Identifier: Apache-2.0
 * Data sets: .npy, .npz, folders of samples, images. A set is opened for a graph's inputs and becomes a qcc_samples. */
#ifndef QCC_DATA_H
#define QCC_DATA_H

#include "ir/eval.h"
#include "ir/ir.h"

typedef struct qcc_dataset qcc_dataset;

/* `sources`: "PATH" or "INPUT=PATH". PATH: .npy (first axis = samples) | .npz (one array per input) | folder of .npy/.npz/.pb samples |
 * folder of folders with input_K.pb, one sample each | folder of images (JPEG, PNG). Names are sorted by their bytes. `transform`: how an
 * image becomes a tensor, NULL: its size must be the input's; the text is explained in README.md. A sample has the shape of the input, or
 * lacks its batch axis. `limit` 0: all. Bytes are read when asked for; only deflated and column-major arrays are kept.
 * An input that is a constant takes no samples. QCC_DATA (or IO, LIMIT) names file, sample and input; QCC_ARG for sources and transform. */
qcc_status qcc_dataset_open(qcc_dataset **out, const qcc_graph *g, const char *const *sources, uint32_t source_count, const char *transform,
                            size_t limit) QCC_MUST_USE;
void qcc_dataset_free(qcc_dataset *d);
const qcc_samples *qcc_dataset_samples(qcc_dataset *d);
uint64_t qcc_dataset_digest(qcc_dataset *d); /* of the bytes of the sources' first and last samples, count and names; for metadata */

/* One tensor in and out. */
qcc_status qcc_npy_read(qcc_tensor *out, qcc_context *cx, const char *path) QCC_MUST_USE;
qcc_status qcc_npy_write(qcc_context *cx, const qcc_tensor *t, const char *path) QCC_MUST_USE;

/* An image file in memory, JPEG or PNG: a qcc_image_fn. */
qcc_status qcc_image_decode(qcc_context *cx, const void *bytes, size_t n, qcc_tensor *out) QCC_MUST_USE;

/* Random but shaped samples for -O2 without data: normal per-input noise with the statistics a first layer suggests; seeded. */
qcc_status qcc_dataset_synthetic(qcc_dataset **out, const qcc_graph *g, size_t count, uint64_t seed) QCC_MUST_USE;

#endif
