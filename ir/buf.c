/* SPDX-License-Identifier: Apache-2.0
 * Reference-counted bytes. A buffer owns heap bytes (behind its header, in one block), or borrows bytes with a release
 * function (mapped files, spilled bytes), or is a window of another buffer. Only owned bytes with one reference may be written. */
#include <stdatomic.h>
#include <string.h>

#include "ir/tensor.h"

struct qcc_buf {
  atomic_size_t refs;
  qcc_context *cx;
  const void *data;
  size_t n;
  qcc_buf *parent; /* never itself a window */
  void (*release)(void *user);
  void *user;
  void (*cold)(void *user, const void *bytes, size_t n);
};

_Static_assert(sizeof(qcc_buf) == 64, "owned bytes stay on a 64-byte border");

static qcc_buf *new_buf(qcc_context *cx, size_t tail) {
  size_t total;
  if (!qcc_add_size(sizeof(qcc_buf), tail, &total)) total = SIZE_MAX;
  qcc_buf *b = qcc_alloc(cx, total);
  if (!b) return NULL;
  memset(b, 0, sizeof *b);
  atomic_init(&b->refs, 1);
  b->cx = cx;
  return b;
}

qcc_buf *qcc_buf_new(qcc_context *cx, size_t n) {
  qcc_buf *b = new_buf(cx, n ? n : 1);
  if (!b) return NULL;
  b->data = b + 1;
  b->n = n;
  return b;
}

qcc_buf *qcc_buf_copy(qcc_context *cx, const void *bytes, size_t n) {
  qcc_buf *b = qcc_buf_new(cx, n);
  if (b && n) memcpy(b + 1, bytes, n);
  return b;
}

qcc_buf *qcc_buf_wrap(qcc_context *cx, const void *bytes, size_t n, void (*release)(void *user), void *user) {
  qcc_buf *b = new_buf(cx, 0);
  if (!b) return NULL;
  b->data = bytes;
  b->n = n;
  b->release = release;
  b->user = user;
  return b;
}

qcc_buf *qcc_buf_slice(qcc_buf *parent, size_t offset, size_t n) {
  if (!parent || offset > parent->n || n > parent->n - offset) return NULL;
  qcc_buf *b = new_buf(parent->cx, 0);
  if (!b) return NULL;
  b->data = (const char *)parent->data + offset;
  b->n = n;
  b->parent = qcc_buf_retain(parent->parent ? parent->parent : parent);
  return b;
}

qcc_buf *qcc_buf_retain(qcc_buf *b) {
  if (b) atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
  return b;
}

void qcc_buf_on_cold(qcc_buf *b, void (*cold)(void *user, const void *bytes, size_t n)) { b->cold = cold; }

void qcc_buf_cold(qcc_buf *b) {
  const qcc_buf *root = b && b->parent ? b->parent : b;
  if (root && root->cold) root->cold(root->user, b->data, b->n);
}

/* ---- spilling */

enum { SPILL_BYTES = 256 << 10 }; /* below, it costs more calls than it gives back memory */

static void unspill(void *user) {
  const qcc_buf *b = user;
  const qcc_io *io = &qcc_context_host(b->cx)->io;
  io->unmap(io->user, b->data, b->n);
}

static void forget(void *user, const void *bytes, size_t n) {
  const qcc_buf *b = user;
  const qcc_io *io = &qcc_context_host(b->cx)->io;
  if (io->forget) io->forget(io->user, bytes, n);
}

bool qcc_buf_spill(qcc_buf **b) {
  qcc_buf *old = *b;
  bool own = old->data == old + 1 && atomic_load_explicit(&old->refs, memory_order_acquire) == 1;
  const void *kept = own && old->n >= SPILL_BYTES ? qcc_spill(old->cx, old->data, old->n) : NULL;
  if (!kept) return true;
  qcc_buf *made = qcc_buf_wrap(old->cx, kept, old->n, unspill, NULL);
  if (!made) {
    const qcc_io *io = &qcc_context_host(old->cx)->io;
    io->unmap(io->user, kept, old->n);
    return false;
  }
  made->user = made;
  qcc_buf_on_cold(made, forget);
  qcc_buf_release(old);
  *b = made;
  return true;
}

/* ---- references */

static bool drop(qcc_buf *b) { return atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) == 1; }

void qcc_buf_release(qcc_buf *b) {
  while (b && drop(b)) {
    qcc_buf *parent = b->parent;
    if (parent) qcc_buf_cold(b);
    if (b->release) b->release(b->user);
    qcc_free(b->cx, b);
    b = parent;
  }
}

const void *qcc_buf_data(const qcc_buf *b) { return b ? b->data : NULL; }
size_t qcc_buf_size(const qcc_buf *b) { return b ? b->n : 0; }

void *qcc_buf_unique(qcc_buf **b) {
  qcc_buf *old = *b;
  if (old->data == old + 1 && atomic_load_explicit(&old->refs, memory_order_acquire) == 1) return old + 1;
  qcc_buf *copy = qcc_buf_copy(old->cx, old->data, old->n);
  if (!copy) return NULL;
  *b = copy;
  qcc_buf_release(old);
  return copy + 1;
}
