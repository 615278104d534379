/* SPDX-License-Identifier: Apache-2.0
 * Folders of samples, and single files with one sample. What a folder's samples are is told by what is in it: files of known endings; or
 * folders with one file per input; or such files themselves, then the folder is one sample. Names are sorted by their bytes.
 * Invariant: what a file is, is told by its first bytes; each failure names the file. */
#include <errno.h>
#include <string.h>

#include "frontends/data/source.h"
#include "frontends/onnx/import.h"
#include "ir/support/arena.h"
#include "ir/support/vec.h"

typedef enum kind { EMPTY, FILES, FOLDERS, SELF } kind;

typedef struct listing {
  qcc_context *cx;
  qcc_arena arena; /* of the names */
  QCC_VEC(const char *) files;
  QCC_VEC(const char *) folders;
  bool self;          /* one file per input is here */
  const char *passed; /* some file that is no sample, for messages */
} listing;

typedef struct folder {
  listing list;
  kind kind;
  char *path; /* of the sample read last */
} folder;

/* ---- listing */

static const struct {
  char end[8];
  bool image;
} endings[] = {{".npy", false}, {".npz", false}, {".pb", false}, {".jpg", true}, {".jpeg", true}, {".png", true}};

static bool is_sample(const char *name, bool *image) {
  for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
    if (qcc_ends_with(name, endings[i].end)) return *image = endings[i].image, true;
  }
  return false;
}

static int add_name(void *to, const char *name, bool is_folder) {
  listing *l = to;
  bool image = false, sample = !is_folder && name[0] != '.' && is_sample(name, &image);
  if (!is_folder && !sample && l->passed) return 0;
  const char *copy = qcc_arena_copy(&l->arena, name, strlen(name) + 1);
  if (!copy) return ENOMEM;
  if (is_folder && name[0] != '.') return qcc_vec_push(l->cx, &l->folders, copy) ? 0 : ENOMEM;
  if (!sample) return l->passed = copy, 0;
  if (strcmp(name, "input_0.pb") == 0 || strcmp(name, "input_0.npy") == 0) l->self = true;
  return qcc_vec_push(l->cx, &l->files, copy) ? 0 : ENOMEM;
}

static void sift(const char **at, size_t i, size_t n) {
  for (size_t child; (child = 2 * i + 1) < n; i = child) {
    if (child + 1 < n && strcmp(at[child], at[child + 1]) < 0) child++;
    if (strcmp(at[i], at[child]) >= 0) return;
    const char *t = at[i];
    at[i] = at[child];
    at[child] = t;
  }
}

static void sort_names(const char **at, size_t n) {
  for (size_t i = n / 2; i-- > 0;) sift(at, i, n);
  for (size_t end = n; end-- > 1;) {
    const char *t = at[0];
    at[0] = at[end];
    at[end] = t;
    sift(at, 0, end);
  }
}

static void free_listing(listing *l) {
  qcc_vec_free(l->cx, &l->files);
  qcc_vec_free(l->cx, &l->folders);
  qcc_arena_fini(&l->arena);
}

/* 0 or an errno; ENOTDIR: it is a file. */
static int list(listing *l, qcc_context *cx, const char *path) {
  const qcc_io *io = &qcc_context_host(cx)->io;
  *l = (listing){.cx = cx};
  qcc_arena_init(&l->arena, cx);
  int e = io->list(io->user, path, add_name, l);
  if (!e) sort_names(l->files.at, l->files.n);
  if (!e) sort_names(l->folders.at, l->folders.n);
  if (e) free_listing(l);
  return e;
}

static kind kind_of(const listing *l) {
  if (l->self) return SELF;
  if (l->files.n) return FILES;
  return l->folders.n ? FOLDERS : EMPTY;
}

qcc_status qcc_folder_feeds_all(bool *all, qcc_context *cx, const char *path) {
  listing l;
  *all = false;
  int e = list(&l, cx, path);
  if (e == ENOMEM) return QCC_NOMEM;
  if (e) return QCC_OK; /* told when it is opened */
  kind k = kind_of(&l);
  *all = k == FOLDERS || k == SELF || (k == FILES && qcc_ends_with(l.files.at[0], ".npz"));
  free_listing(&l);
  return QCC_OK;
}

/* ---- one file */

static qcc_status read_image(qcc_source *s, const qcc_bytes_reader *r, bool png, qcc_tensor *out) {
  qcc_image i;
  QCC_TRY(png ? qcc_png_read(&i, r) : qcc_jpeg_read(&i, r));
  qcc_status st = qcc_transform_apply(out, s, &i);
  qcc_image_free(&i);
  return st;
}

static qcc_status read_npy(const qcc_bytes_reader *r, qcc_tensor *out) {
  qcc_npy h;
  QCC_TRY(qcc_npy_header(&h, r));
  return qcc_npy_slice(out, r, &h, SIZE_MAX);
}

static qcc_status read_npz(qcc_source *s, const char *path, qcc_tensor *out) {
  qcc_npy_array a;
  QCC_TRY(qcc_npz_open(&a, s, path));
  qcc_status st = qcc_npy_slice(out, &a.r, &a.h, SIZE_MAX);
  qcc_npy_close(&a);
  return st;
}

static qcc_status read_pb(qcc_source *s, const char *path, qcc_tensor *out) {
  const char *name = NULL;
  return qcc_onnx_load_tensor(out, s->cx, path, &name);
}

static qcc_status read_by_content(qcc_source *s, const qcc_bytes_reader *r, const char *path, qcc_tensor *out) {
  uint8_t head[8] = {0};
  qcc_loc loc = {.file = path};
  QCC_TRY(qcc_reader_read(r, 0, head, r->size < sizeof head ? (size_t)r->size : sizeof head));
  if (memcmp(head, "\x93NUMPY", 6) == 0) return read_npy(r, out);
  if (memcmp(head, "PK\3\4", 4) == 0 || memcmp(head, "PK\5\6", 4) == 0) return read_npz(s, path, out);
  if (memcmp(head, "\xff\xd8\xff", 3) == 0) return read_image(s, r, false, out);
  if (memcmp(head, "\x89PNG\r\n\x1a\n", 8) == 0) return read_image(s, r, true, out);
  if (qcc_ends_with(path, ".pb")) return read_pb(s, path, out);
  return qcc_error(s->cx, QCC_DATA, "D-052", &loc, "neither .npy, .npz, .pb, JPEG nor PNG, judged by its first bytes");
}

static qcc_status read_file(qcc_source *s, const char *path, qcc_tensor *out) {
  qcc_bytes_reader r;
  QCC_TRY(qcc_reader_open(&r, s->cx, path));
  qcc_status st = read_by_content(s, &r, path, out);
  qcc_reader_close(&r);
  return st;
}

/* ---- samples of a folder */

/* `path` = folder / name [/ file]; NULL: no memory. */
static const char *set_path(qcc_source *s, folder *f, const char *name, const char *file) {
  size_t n = strlen(s->path) + strlen(name) + strlen(file) + 3;
  qcc_free(s->cx, f->path);
  f->path = qcc_alloc(s->cx, n);
  s->file = f->path;
  if (f->path) qcc_format(f->path, n, "%s%s%s%s%s", s->path, name[0] ? "/" : "", name, file[0] ? "/" : "", file);
  return f->path;
}

/* Whether the file is there and readable; only QCC_NOMEM is a failure. */
static qcc_status look(bool *there, qcc_context *cx, const char *path) {
  const qcc_io *io = &qcc_context_host(cx)->io;
  void *file = NULL;
  int e = io->open(io->user, path, NULL, &file, NULL);
  *there = e == 0;
  if (!e) io->close(io->user, file);
  return e == ENOMEM ? QCC_NOMEM : QCC_OK;
}

/* Of input "a/b", the second: input_1.pb, input_1.npy, a_b.pb or a_b.npy. */
static qcc_status find_input_file(qcc_source *s, folder *f, const char *name) {
  static const char ends[2][8] = {".pb", ".npy"};
  char file[512];
  bool there = false;
  for (int i = 0; i < 4; i++) {
    if (i < 2) qcc_format(file, sizeof file, "input_%u%s", s->place, ends[i]);
    if (i >= 2 && qcc_format(file, sizeof file, "%s%s", s->input, ends[i - 2]) >= sizeof file) continue;
    for (char *p = file; *p; p++) *p = *p == '/' ? '_' : *p;
    if (!set_path(s, f, name, file)) return QCC_NOMEM;
    QCC_TRY(look(&there, s->cx, f->path));
    if (there) return QCC_OK;
  }
  if (!set_path(s, f, name, "")) return QCC_NOMEM;
  qcc_loc loc = {.file = f->path};
  return qcc_error(s->cx, QCC_DATA, "D-053", &loc, "the sample has no file for input \"%s\": input_%u or its name, with .pb or .npy",
                   s->input, s->place);
}

static qcc_status read_sample(qcc_source *s, size_t index, qcc_tensor *out) {
  folder *f = s->state;
  if (f->kind == FILES) {
    if (!set_path(s, f, f->list.files.at[index], "")) return QCC_NOMEM;
  } else {
    QCC_TRY(find_input_file(s, f, f->kind == SELF ? "" : f->list.folders.at[index]));
  }
  return read_file(s, f->path, out);
}

static void close_folder(qcc_source *s) {
  folder *f = s->state;
  free_listing(&f->list);
  qcc_free(s->cx, f->path);
  qcc_free(s->cx, f);
  s->state = NULL;
}

static qcc_status read_alone(qcc_source *s, size_t index, qcc_tensor *out) {
  (void)index;
  return read_file(s, s->path, out);
}

/* ---- opening */

/* A file: its ending must be one of those that hold a sample, and it must be there. */
static qcc_status open_file(qcc_source *s) {
  qcc_loc loc = {.file = s->path};
  qcc_bytes_reader r;
  QCC_TRY(qcc_reader_open(&r, s->cx, s->path));
  qcc_reader_close(&r);
  if (!is_sample(s->path, &s->images))
    return qcc_error(s->cx, QCC_DATA, "D-050", &loc,
                     "not a kind of data that qcc reads: .npy, .npz, or a folder of .npy, .npz, .pb or images (.jpg, .jpeg, .png)");
  s->read = read_alone;
  s->count = SIZE_MAX;
  return QCC_OK;
}

static qcc_status open_folder(qcc_source *s, folder *f) {
  qcc_loc loc = {.file = s->path};
  f->kind = kind_of(&f->list);
  s->count = f->kind == FILES ? f->list.files.n : f->kind == FOLDERS ? f->list.folders.n : 1;
  for (size_t i = 0; f->kind == FILES && i < f->list.files.n && !s->images; i++) is_sample(f->list.files.at[i], &s->images);
  if (f->kind != EMPTY) return QCC_OK;
  return qcc_error(s->cx, QCC_DATA, "D-051", &loc,
                   "no samples in the folder (%s%-s): .npy, .npz, .pb, .jpg, .jpeg, .png, or folders with input_0.pb",
                   f->list.passed ? "there is " : "it is empty", f->list.passed ? f->list.passed : "");
}

qcc_status qcc_source_folder(qcc_source *s) {
  folder *f = qcc_zalloc_array(s->cx, 1, sizeof *f);
  if (!f) return QCC_NOMEM;
  int e = list(&f->list, s->cx, s->path);
  qcc_loc loc = {.file = s->path};
  if (e) {
    qcc_free(s->cx, f);
    if (e == ENOMEM) return QCC_NOMEM;
    if (e == ENOTDIR) return open_file(s);
    return qcc_error(s->cx, QCC_IO, "F-023", &loc, "cannot read it (error %d: %s)", e, e == ENOENT ? "there is none" : "not readable");
  }
  s->state = f;
  s->read = read_sample;
  s->close = close_folder;
  return open_folder(s, f);
}
