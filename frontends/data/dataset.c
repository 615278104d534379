/* SPDX-License-Identifier: Apache-2.0
 * A data set: one source per input, all with the same number of samples. Samples are read when asked for and never kept. */
#include <string.h>

#include "frontends/data/source.h"
#include "ir/support/vec.h"

enum { DIGEST_MOST = 1 << 20 };

struct qcc_dataset {
  qcc_context *cx;
  qcc_source *sources; /* one per graph input; read NULL: the input is a constant */
  uint32_t count;
  qcc_transform *transform;
  qcc_samples samples;
};

static void shape_text(char *to, size_t n, const qcc_context *cx, const qcc_type *t) {
  size_t at = 0;
  qcc_format(to, n, "%s[", qcc_dtype_name(t->dtype));
  for (int i = 0; i < t->rank && at + 24 < n; i++) {
    at = strlen(to);
    const char *symbol = qcc_symbol_name(cx, t->dim[i]);
    if (t->dim[i] >= 0) qcc_format(to + at, n - at, "%s%lld", i ? "," : "", (long long)t->dim[i]);
    if (t->dim[i] < 0) qcc_format(to + at, n - at, "%s%s", i ? "," : "", symbol ? symbol : "?");
  }
  at = strlen(to);
  qcc_format(to + at, n - at, "]");
}

static bool fits(const qcc_type *have, const qcc_type *want) {
  if (want->rank < 0) return true;
  if (have->rank != want->rank) return false;
  for (int i = 0; i < want->rank; i++) {
    if (want->dim[i] >= 0 && want->dim[i] != have->dim[i]) return false;
  }
  return true;
}

static qcc_status misfit(const qcc_source *s, size_t index, const qcc_type *have) {
  char want_text[256], have_text[256];
  shape_text(want_text, sizeof want_text, s->cx, &s->want);
  shape_text(have_text, sizeof have_text, s->cx, have);
  qcc_loc loc = {.file = s->file ? s->file : s->path};
  return qcc_error(s->cx, QCC_DATA, "D-040", &loc, "sample %zu is %s, input \"%s\" wants %s", index, have_text, s->input, want_text);
}

static qcc_status to_type(qcc_tensor *t, qcc_context *cx, qcc_dtype dtype) {
  qcc_tensor cast = {0};
  if (t->type.dtype == dtype) return QCC_OK;
  QCC_TRY(qcc_tensor_cast(&cast, cx, t, dtype));
  qcc_tensor_release(t);
  *t = cast;
  return QCC_OK;
}

/* A sample may be codes already. */
static qcc_status to_codes(qcc_tensor *t, qcc_context *cx, const qcc_recorded *codes) {
  qcc_tensor quantized = {0};
  if (t->type.dtype == codes->dtype) return QCC_OK;
  QCC_TRY(to_type(t, cx, QCC_F32));
  QCC_TRY(qcc_recorded_quantize(&quantized, cx, t, codes));
  qcc_tensor_release(t);
  *t = quantized;
  return QCC_OK;
}

qcc_status qcc_source_fit(qcc_source *s, size_t index, qcc_tensor *t) {
  qcc_type batched = t->type;
  if (t->type.rank < QCC_MAX_RANK) {
    batched.rank++;
    batched.dim[0] = 1;
    memcpy(batched.dim + 1, t->type.dim, (size_t)t->type.rank * sizeof *batched.dim);
  }
  bool as_is = fits(&t->type, &s->want) && s->want.rank >= 0;
  if (!as_is && !fits(&batched, &s->want)) return misfit(s, index, &t->type);
  if (!as_is) t->type = batched;
  if (s->codes.dtype != QCC_NONE) return to_codes(t, s->cx, &s->codes);
  if (s->want.dtype == QCC_NONE || s->want.dtype == t->type.dtype) return QCC_OK;
  return s->want.dtype == QCC_STRING ? misfit(s, index, &t->type) : to_type(t, s->cx, s->want.dtype);
}

static qcc_status read_one(qcc_source *s, size_t index, qcc_tensor *out) {
  QCC_TRY(s->read(s, index, out));
  qcc_status st = qcc_source_fit(s, index, out);
  if (st != QCC_OK) qcc_tensor_release(out);
  return st;
}

static qcc_status get(void *user, size_t index, qcc_tensor *inputs) {
  qcc_dataset *d = user;
  for (uint32_t i = 0; i < d->count; i++) {
    if (!d->sources[i].read) continue;
    qcc_status st = read_one(&d->sources[i], index, &inputs[i]);
    if (st == QCC_OK) continue;
    while (i-- > 0) qcc_tensor_release(&inputs[i]);
    return st;
  }
  return QCC_OK;
}

/* ---- opening */

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c; }

bool qcc_ends_with(const char *text, const char *end) {
  size_t n = strlen(text), m = strlen(end);
  for (size_t i = 0; i < m; i++) {
    if (n < m || lower(text[n - m + i]) != end[i]) return false;
  }
  return true;
}

/* The input that "INPUT=PATH" names (the longest name that fits), and the path behind it; UINT32_MAX when the text names none: then all
 * of it is a path. */
static uint32_t named_input(const char **path, const qcc_dataset *d, const char *text) {
  uint32_t found = UINT32_MAX;
  *path = text;
  for (const char *eq = strchr(text, '='); eq; eq = strchr(eq + 1, '=')) {
    size_t n = (size_t)(eq - text);
    for (uint32_t i = 0; i < d->count; i++) {
      const char *name = d->sources[i].input;
      if (strlen(name) != n || memcmp(name, text, n) != 0) continue;
      *path = eq + 1;
      found = i;
    }
  }
  return found;
}

static qcc_status open_source(qcc_dataset *d, uint32_t i, const char *path) {
  qcc_source *s = &d->sources[i];
  if (!s->places) return qcc_error(d->cx, QCC_ARG, "A-152", NULL, "input \"%s\" is a constant of the model and takes no samples", s->input);
  if (s->read) return qcc_error(d->cx, QCC_ARG, "A-151", NULL, "input \"%s\" has two sources", s->input);
  s->path = qcc_intern(d->cx, path);
  if (!s->path) return QCC_NOMEM;
  if (qcc_ends_with(path, ".npy")) return qcc_source_npy(s);
  return qcc_ends_with(path, ".npz") ? qcc_source_npz(s) : qcc_source_folder(s);
}

/* A path that names no input: for the only input, or for every input that it has something for. */
static qcc_status open_for_all(qcc_dataset *d, const char *path) {
  bool npz = qcc_ends_with(path, ".npz"), all = npz;
  uint32_t places = 0, fed = 0;
  for (uint32_t i = 0; i < d->count; i++) places = d->sources[i].places ? d->sources[i].places : places;
  if (!npz && places > 1) QCC_TRY(qcc_folder_feeds_all(&all, d->cx, path));
  if (!all && places != 1)
    return qcc_error(d->cx, QCC_ARG, "A-150", NULL, "the model has %u inputs: give each source as INPUT=PATH (%-s names none)", places,
                     path);
  for (uint32_t i = 0; i < d->count; i++) {
    bool feeds = d->sources[i].places != 0;
    if (feeds && npz && places > 1) QCC_TRY(qcc_npz_feeds(&feeds, &d->sources[i], path));
    if (feeds) QCC_TRY(open_source(d, i, path));
    fed += feeds;
  }
  qcc_loc loc = {.file = path};
  return fed ? QCC_OK : qcc_error(d->cx, QCC_DATA, "D-045", &loc, "none of its arrays is named like one of the model's %u inputs", places);
}

static qcc_status add_source(qcc_dataset *d, const char *text) {
  const char *path = NULL;
  uint32_t i = named_input(&path, d, text);
  return i == UINT32_MAX ? open_for_all(d, path) : open_source(d, i, path);
}

/* A model that was trained on normalized images computes nonsense on bytes, and ranges measured then ruin it: say so. */
static qcc_status check_transform(const qcc_dataset *d) {
  bool images = false;
  for (uint32_t i = 0; i < d->count; i++) {
    const qcc_source *s = &d->sources[i];
    qcc_loc loc = {.file = s->path};
    images = images || s->images;
    if (!s->images || qcc_transform_computes(d->transform) || qcc_dtype_kind(s->want.dtype) != QCC_KIND_FLOAT) continue;
    qcc_warn(d->cx, "D-002", &loc,
             "images go into float input \"%s\" as 0 to 255: give a transform with scale, mean and std as in training (scale=1 if it wants "
             "bytes)",
             s->input);
  }
  if (images || !d->transform) return QCC_OK;
  return qcc_error(d->cx, QCC_ARG, "A-153", NULL, "a transform is for images, and no source has any (.jpg, .jpeg, .png)");
}

static qcc_status check_counts(qcc_dataset *d, const qcc_graph *g, size_t limit) {
  size_t count = SIZE_MAX;
  for (uint32_t i = 0; i < d->count; i++) {
    qcc_source *s = &d->sources[i];
    if (g->inputs[i]->data) continue;
    if (!s->read) return qcc_error(d->cx, QCC_DATA, "D-041", NULL, "input \"%s\" has no samples; give them as %s=PATH", s->input, s->input);
    qcc_loc loc = {.file = s->path};
    if (s->count == 0) return qcc_error(d->cx, QCC_DATA, "D-042", &loc, "there are no samples in it");
    if (s->count == SIZE_MAX) continue;
    if (count != SIZE_MAX && count != s->count)
      return qcc_error(d->cx, QCC_DATA, "D-043", &loc, "input \"%s\" has %zu samples, another input has %zu", s->input, s->count, count);
    count = s->count;
  }
  if (count == SIZE_MAX) count = 1;
  d->samples = (qcc_samples){.count = limit && limit < count ? limit : count, .get = get, .user = d};
  return QCC_OK;
}

static qcc_status dataset_new(qcc_dataset **out, const qcc_graph *g) {
  qcc_dataset *d = *out = qcc_zalloc_array(g->cx, 1, sizeof *d);
  uint32_t places = 0, place = 0;
  if (!d) return QCC_NOMEM;
  d->cx = g->cx;
  d->sources = qcc_zalloc_array(g->cx, g->input_count + 1u, sizeof *d->sources);
  if (!d->sources) return QCC_NOMEM;
  d->count = g->input_count;
  for (uint32_t i = 0; i < d->count; i++) places += !g->inputs[i]->data;
  for (uint32_t i = 0; i < d->count; i++) {
    d->sources[i] = (qcc_source){.cx = g->cx, .input = g->inputs[i]->name, .want = g->inputs[i]->type};
    if (qcc_recorded_of(&d->sources[i].codes, g->inputs[i])) d->sources[i].want.dtype = QCC_F32;
    if (g->inputs[i]->data) continue;
    d->sources[i].place = place++;
    d->sources[i].places = places;
  }
  return QCC_OK;
}

static qcc_status open_all(qcc_dataset *d, const qcc_graph *g, const char *const *sources, uint32_t n, const char *transform,
                           size_t limit) {
  if (transform) QCC_TRY(qcc_transform_parse(&d->transform, d->cx, transform));
  for (uint32_t i = 0; i < d->count; i++) d->sources[i].transform = d->transform;
  for (uint32_t i = 0; i < n; i++) QCC_TRY(add_source(d, sources[i]));
  QCC_TRY(check_transform(d));
  return check_counts(d, g, limit);
}

qcc_status qcc_dataset_open(qcc_dataset **out, const qcc_graph *g, const char *const *sources, uint32_t source_count, const char *transform,
                            size_t limit) {
  qcc_status st = dataset_new(out, g);
  if (st == QCC_OK) st = open_all(*out, g, sources, source_count, transform, limit);
  if (st == QCC_OK) return QCC_OK;
  qcc_dataset_free(*out);
  *out = NULL;
  return st;
}

void qcc_dataset_free(qcc_dataset *d) {
  if (!d) return;
  for (uint32_t i = 0; d->sources && i < d->count; i++) {
    if (d->sources[i].close) d->sources[i].close(&d->sources[i]);
  }
  qcc_transform_free(d->cx, d->transform);
  qcc_free(d->cx, d->sources);
  qcc_free(d->cx, d);
}

const qcc_samples *qcc_dataset_samples(qcc_dataset *d) { return &d->samples; }

/* ---- digest: FNV-1a over the names, the count, and the first MiB of the first and the last sample */

static uint64_t mix(uint64_t h, const void *bytes, size_t n) {
  const uint8_t *p = bytes;
  for (size_t i = 0; i < n; i++) h = (h ^ p[i]) * 0x100000001b3u;
  return h;
}

uint64_t qcc_dataset_digest(qcc_dataset *d) {
  uint64_t h = mix(0xcbf29ce484222325u, &d->samples.count, sizeof d->samples.count);
  for (uint32_t i = 0; i < d->count; i++) {
    qcc_source *s = &d->sources[i];
    if (!s->read) continue;
    h = mix(h, s->input, strlen(s->input));
    for (int last = 0; last < 2; last++) {
      qcc_tensor t = {0};
      if (read_one(s, last ? d->samples.count - 1 : 0, &t) != QCC_OK) return 0;
      h = mix(h, t.data, t.bytes < DIGEST_MOST ? t.bytes : DIGEST_MOST);
      qcc_tensor_release(&t);
    }
  }
  return h;
}

/* ---- synthetic samples: approximately normal numbers, smooth over the last two axes as images and features are */

typedef struct synthetic {
  uint64_t seed;
} synthetic;

static uint64_t next(uint64_t *s) { /* splitmix64 */
  uint64_t z = *s += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}

static double normal(uint64_t *s) { /* sum of twelve uniforms (Irwin-Hall): no libm, the same bits everywhere */
  double x = -6;
  for (int i = 0; i < 12; i++) x += (double)(next(s) >> 11) * 0x1p-53;
  return x;
}

static qcc_status read_synthetic(qcc_source *s, size_t index, qcc_tensor *out) {
  const synthetic *state = s->state;
  qcc_type type = s->want;
  if (type.rank < 0) type = qcc_type_of(type.dtype, 1, (int64_t[]){1});
  if (type.dtype == QCC_NONE) type.dtype = QCC_F32;
  QCC_TRY(qcc_tensor_new(out, s->cx, &type));
  uint64_t r = state->seed ^ (index + 1) * 0xd1b54a32d192ed03u;
  int64_t count = qcc_tensor_count(out);
  bool is_int = qcc_dtype_kind(type.dtype) != QCC_KIND_FLOAT;
  double gain = 0.5 + (double)(index % 4) * 0.5, before = normal(&r);
  for (int64_t i = 0; i < count; i++) {
    before = 0.8 * before + 0.6 * normal(&r);
    qcc_tensor_set(out, i, is_int ? 0 : gain * before);
  }
  return QCC_OK;
}

/* Sizes for what the model leaves open: 1 for batches (a first axis, and every axis of the same symbol), else what networks expect: 224 for images,
 * 512 for frames of sound and text. */
static void close_sizes(qcc_type *t, const qcc_graph *g) {
  for (int i = 0; i < t->rank; i++) {
    bool batch = i == 0;
    for (uint32_t k = 0; k < g->input_count && t->dim[i] < QCC_DIM_UNKNOWN; k++)
      batch |= g->inputs[k]->type.rank > 0 && g->inputs[k]->type.dim[0] == t->dim[i];
    if (t->dim[i] < 0) t->dim[i] = batch ? 1 : t->rank == 4 ? 224 : 512;
  }
}

static void close_synthetic(qcc_source *s) { qcc_free(s->cx, s->state); }

qcc_status qcc_dataset_synthetic(qcc_dataset **out, const qcc_graph *g, size_t count, uint64_t seed) {
  qcc_status st = dataset_new(out, g);
  for (uint32_t i = 0; st == QCC_OK && i < (*out)->count; i++) {
    qcc_source *s = &(*out)->sources[i];
    if (g->inputs[i]->data) continue;
    synthetic *state = qcc_alloc(g->cx, sizeof *state);
    s->state = state;
    s->read = read_synthetic;
    close_sizes(&s->want, g);
    s->close = close_synthetic;
    s->count = count;
    if (state) state->seed = seed + i;
    if (!state) st = QCC_NOMEM;
  }
  if (st == QCC_OK) st = check_counts(*out, g, 0);
  if (st == QCC_OK) return QCC_OK;
  qcc_dataset_free(*out);
  *out = NULL;
  return st;
}
