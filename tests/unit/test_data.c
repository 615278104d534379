/* SPDX-License-Identifier: Apache-2.0
 * Data sets: rows D of the catalogue of bad inputs as tables of files made here, archives and images cut at every byte, bombs, texts of
 * transforms, and what a folder's samples are. (That pixels equal Pillow's is compared in tests/tools.) */
#define _POSIX_C_SOURCE 200809L
#include <sys/stat.h>
#include <unistd.h>

#include "frontends/data/source.h"
#include "tests/unit/data_files.h"

typedef struct room {
  char folder[64], path[160], log[4096];
  qcc_context *cx;
  qcc_graph *g;
} room;

static void note(void *user, qcc_severity severity, const char *line) {
  room *r = user;
  (void)severity;
  qcc_format(r->log, sizeof r->log, "%s", line);
}

static void enter(room *r) {
  memset(r, 0, sizeof *r);
  qcc_host host = {.log = note, .log_user = r};
  assert_int_equal(qcc_context_new(&r->cx, &host), QCC_OK);
  assert_int_equal(qcc_graph_new(&r->g, r->cx), QCC_OK);
  qcc_format(r->folder, sizeof r->folder, "%s", "/tmp/qcc-data-XXXXXX");
  assert_non_null(mkdtemp(r->folder));
}

static void add_input(room *r, const char *name, qcc_dtype t, int rank, const int64_t *dims) {
  qcc_type type = qcc_type_of(t, rank, dims);
  assert_non_null(qcc_add_input(r->g, name, &type));
}

static const char *in(room *r, const char *name) {
  qcc_format(r->path, sizeof r->path, "%s/%s", r->folder, name);
  return r->path;
}

static void put_file(room *r, const char *name, const void *at, size_t n) {
  FILE *f = fopen(in(r, name), "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(at, 1, n, f), n);
  assert_int_equal(fclose(f), 0);
}

static void leave(room *r) {
  char command[128];
  qcc_graph_free(r->g);

  qcc_context_free(r->cx);
  qcc_format(command, sizeof command, "rm -r %s", r->folder);
  assert_int_equal(system(command), 0);
}

/* Open `name` of the room as the only source and read every sample; the last one is kept. */
static qcc_status read_all(room *r, const char *name, const char *transform, qcc_tensor *last, size_t *count) {
  qcc_dataset *d = NULL;
  const char *source = in(r, name);
  qcc_tensor t[4];
  QCC_TRY(qcc_dataset_open(&d, r->g, &source, 1, transform, 0));
  const qcc_samples *s = qcc_dataset_samples(d);
  qcc_status st = QCC_OK;
  if (count) *count = s->count;
  for (size_t i = 0; st == QCC_OK && i < s->count; i++) {
    memset(t, 0, sizeof t);
    st = s->get(s->user, i, t);
    if (last && st == QCC_OK && i + 1 == s->count) *last = qcc_tensor_retain(&t[0]);
    for (int k = 0; k < 4; k++) qcc_tensor_release(&t[k]);
  }
  qcc_dataset_free(d);
  return st;
}

/* ---- .npy */

static const struct npy_row {
  const char *what;
  int version;
  const char *header;
  uint64_t length; /* 0: the right one */
  size_t data;     /* bytes */
  qcc_status status;
} npy_rows[] = {
    {"plain", 1, HEADER("<f4", "False", "(2, 3)"), 0, 24, QCC_OK},
    {"version 2", 2, HEADER("<f4", "False", "(2, 3)"), 0, 24, QCC_OK},
    {"version 3", 3, HEADER("<f4", "False", "(2, 3)"), 0, 24, QCC_OK},
    {"version 9", 9, HEADER("<f4", "False", "(2, 3)"), 0, 24, QCC_DATA},
    {"header of 4 GiB", 2, HEADER("<f4", "False", "(2, 3)"), 0xFFFFFFF0, 24, QCC_LIMIT},
    {"header longer than the file", 1, HEADER("<f4", "False", "(2, 3)"), 60000, 24, QCC_DATA},
    {"no opening brace", 1, "'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 0, 24, QCC_DATA},
    {"no closing brace", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), ", 0, 24, QCC_DATA},
    {"empty header", 1, "", 0, 24, QCC_DATA},
    {"spaces", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }          \n", 0, 24, QCC_OK},
    {"negative shape", 1, HEADER("<f4", "False", "(-2, 3)"), 0, 24, QCC_DATA},
    {"wrapping shape", 1, HEADER("<f4", "False", "(4294967296, 4294967296, 3)"), 0, 24, QCC_DATA},
    {"wrapping bytes", 1, HEADER("<f4", "False", "(4611686018427387905, 1)"), 0, 24, QCC_DATA},
    {"number too long", 1, HEADER("<f4", "False", "(99999999999999999999, 3)"), 0, 24, QCC_DATA},
    {"shape not closed", 1, HEADER("<f4", "False", "(2, 3"), 0, 24, QCC_DATA},
    {"nine axes", 1, HEADER("<f4", "False", "(1,1,1,1,1,1,1,2,3)"), 0, 24, QCC_DATA},
    {"no shape", 1, "{'descr': '<f4', 'fortran_order': False}", 0, 24, QCC_DATA},
    {"neither order", 1, HEADER("<f4", "Maybe", "(2, 3)"), 0, 24, QCC_DATA},
    {"objects", 1, HEADER("|O", "False", "(2, 3)"), 0, 24, QCC_DATA},
    {"records", 1, "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (6,), }", 0, 24, QCC_DATA},
    {"complex", 1, HEADER("<c8", "False", "(1, 3)"), 0, 24, QCC_DATA},
    {"big-endian", 1, HEADER(">f4", "False", "(2, 3)"), 0, 24, QCC_OK},
    {"column-major", 1, HEADER("<f4", "True", "(2, 3)"), 0, 24, QCC_OK},
    {"bytes", 1, HEADER("|u1", "False", "(8, 3)"), 0, 24, QCC_OK},
    {"doubles", 1, HEADER("<f8", "False", "(1, 3)"), 0, 24, QCC_OK},
    {"short data", 1, HEADER("<f4", "False", "(2, 3)"), 0, 23, QCC_DATA},
    {"long data", 1, HEADER("<f4", "False", "(2, 3)"), 0, 25, QCC_DATA},
    {"no samples", 1, HEADER("<f4", "False", "(0, 3)"), 0, 0, QCC_DATA},
    {"other shape", 1, HEADER("<f4", "False", "(3, 2)"), 0, 24, QCC_DATA},
};

static void npy_table(void **state) {
  (void)state;
  room r;
  bytes b;
  uint8_t data[32] = {0};
  enter(&r);
  add_input(&r, "x", QCC_F32, 2, (int64_t[]){QCC_DIM_UNKNOWN, 3});
  for (size_t i = 0; i < sizeof npy_rows / sizeof *npy_rows; i++) {
    const struct npy_row *row = &npy_rows[i];
    make_npy(&b, row->version, row->header, row->length ? row->length : strlen(row->header), data, row->data);
    put_file(&r, "a.npy", b.at, b.n);
    r.log[0] = 0;
    qcc_status st = read_all(&r, "a.npy", NULL, NULL, NULL);
    if (st != row->status) fail_msg("%s: status %d, not %d: %s", row->what, (int)st, (int)row->status, r.log);
    if (st != QCC_OK && !strstr(r.log, "a.npy")) fail_msg("%s: no file name: %s", row->what, r.log);
  }
  put_file(&r, "a.npy", "\x80\x04pickle, not numpy", 18);
  assert_int_equal(read_all(&r, "a.npy", NULL, NULL, NULL), QCC_DATA);
  make_f32(&b, 1, 6);
  for (size_t n = 0; n < b.n; n++) {
    put_file(&r, "a.npy", b.at, n);
    assert_int_equal(read_all(&r, "a.npy", NULL, NULL, NULL), QCC_DATA);
  }
  assert_int_equal(read_all(&r, "none.npy", NULL, NULL, NULL), QCC_IO);
  leave(&r);
}

static void npy_orders(void **state) {
  (void)state;
  room r;
  bytes b;
  qcc_tensor t;
  enter(&r);
  add_input(&r, "x", QCC_F32, 2, (int64_t[]){1, 3});
  const uint8_t columns[] = {0, 1, 10, 11, 20, 21}; /* rows {0 10 20}, {1 11 21} */
  make_npy(&b, 1, HEADER("|u1", "True", "(2, 3)"), strlen(HEADER("|u1", "True", "(2, 3)")), columns, 6);
  put_file(&r, "a.npy", b.at, b.n);
  assert_int_equal(read_all(&r, "a.npy", NULL, &t, NULL), QCC_OK);
  assert_int_equal(t.type.rank, 2);
  assert_int_equal(t.type.dtype, QCC_F32);
  for (int i = 0; i < 3; i++) assert_true(qcc_tensor_get(&t, i) == 10 * i + 1);
  qcc_tensor_release(&t);
  const uint8_t big[] = {0x3f, 0x80, 0, 0, 0x40, 0, 0, 0, 0xc0, 0x40, 0, 0}; /* 1 2 -3 */
  make_npy(&b, 1, HEADER(">f4", "False", "(3,)"), strlen(HEADER(">f4", "False", "(3,)")), big, sizeof big);
  put_file(&r, "a.npy", b.at, b.n);
  size_t count = 0;
  assert_int_equal(read_all(&r, "a.npy", NULL, &t, &count), QCC_OK);
  assert_int_equal(count, 1); /* fewer axes than the input: one sample */
  assert_true(qcc_tensor_get(&t, 0) == 1 && qcc_tensor_get(&t, 1) == 2 && qcc_tensor_get(&t, 2) == -3);
  qcc_tensor_release(&t);
  leave(&r);
}

/* ---- .npz */

static void npz_table(void **state) {
  (void)state;
  room r;
  bytes z, a, bomb, cut;
  qcc_tensor t;
  enter(&r);
  add_input(&r, "x", QCC_F32, 1, (int64_t[]){4});
  make_f32(&a, 5, 4);
  make_npy(&bomb, 1, HEADER("<f4", "False", "(100000000000,)"), strlen(HEADER("<f4", "False", "(100000000000,)")), a.at, 64);
  cut = a;
  cut.n -= 4;
  const struct {
    const char *what;
    zip_file file;
    qcc_status status;
  } rows[] = {
      {"stored", {.name = "x.npy", .from = &a}, QCC_OK},
      {"deflated", {.name = "x.npy", .from = &a, .deflated = true}, QCC_OK},
      {"zip64", {.name = "x.npy", .from = &a, .deflated = true, .zip64 = true}, QCC_OK},
      {"only array", {.name = "arr_0.npy", .from = &a, .zip64 = true}, QCC_OK},
      {"wrong checksum, stored", {.name = "x.npy", .from = &a, .crc_error = 1}, QCC_DATA},
      {"wrong checksum, deflated", {.name = "x.npy", .from = &a, .deflated = true, .crc_error = 1}, QCC_DATA},
      {"encrypted", {.name = "x.npy", .from = &a, .flags = 1}, QCC_DATA},
      {"short array, stored", {.name = "x.npy", .from = &cut}, QCC_DATA},
      {"short array, deflated", {.name = "x.npy", .from = &cut, .deflated = true}, QCC_DATA},
      {"unpacks to less than told", {.name = "x.npy", .from = &cut, .deflated = true, .size = a.n}, QCC_DATA},
      {"unpacks to more than told", {.name = "x.npy", .from = &a, .deflated = true, .size = a.n - 1}, QCC_DATA},
      {"stored, two sizes", {.name = "x.npy", .from = &a, .size = a.n - 1}, QCC_DATA},
      {"announces 400 GB, has 64 bytes", {.name = "x.npy", .from = &bomb, .deflated = true}, QCC_DATA},
      {"directory agrees with 400 GB",
       {.name = "x.npy", .from = &bomb, .deflated = true, .zip64 = true, .size = bomb.n - 64 + 400000000000},
       QCC_LIMIT},
  };
  qcc_context_limits(r.cx)->tensor_bytes = (uint64_t)1 << 30;
  qcc_context_limits(r.cx)->npy_header = 100;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    make_zip(&z, &rows[i].file, 1);
    put_file(&r, "a.npz", z.at, z.n);
    qcc_status st = read_all(&r, "a.npz", NULL, &t, NULL);
    if (st != rows[i].status) fail_msg("%s: status %d, not %d: %s", rows[i].what, (int)st, (int)rows[i].status, r.log);
    if (st != QCC_OK) continue;
    assert_true(qcc_tensor_get(&t, 3) == 8);
    qcc_tensor_release(&t);
  }
  leave(&r);
}

static void npz_damage(void **state) {
  (void)state;
  room r;
  bytes z, a;
  enter(&r);
  add_input(&r, "x", QCC_F32, 1, (int64_t[]){4});
  make_f32(&a, 5, 4);
  for (int deflated = 0; deflated < 2; deflated++) {
    make_zip(&z, &(zip_file){.name = "x.npy", .from = &a, .deflated = deflated != 0}, 1);
    for (size_t n = 0; n < z.n; n++) {
      put_file(&r, "a.npz", z.at, n);
      assert_int_equal(read_all(&r, "a.npz", NULL, NULL, NULL), QCC_DATA);
    }
    for (size_t i = 0; i < z.n; i++) { /* any one byte: refused, or one of those that say nothing */
      z.at[i] ^= 0x55;
      put_file(&r, "a.npz", z.at, z.n);
      qcc_tensor t = {0};
      qcc_status st = read_all(&r, "a.npz", NULL, &t, NULL);
      assert_true(st == QCC_DATA || st == QCC_LIMIT || (st == QCC_OK && qcc_tensor_get(&t, 3) == 8));
      if (st == QCC_OK) qcc_tensor_release(&t);
      z.at[i] ^= 0x55;
    }
  }
  leave(&r);
}

/* Which array feeds which input. */
static void npz_names(void **state) {
  (void)state;
  room r;
  bytes z, a, b, c;
  enter(&r);
  add_input(&r, "x", QCC_F32, 1, (int64_t[]){4});
  add_input(&r, "y", QCC_F32, 1, (int64_t[]){5});
  make_f32(&a, 1, 4);
  make_f32(&b, 1, 5);
  make_f32(&c, 1, 6);
  make_zip(&z, (zip_file[]){{.name = "y.npy", .from = &b}, {.name = "more.npy", .from = &c}, {.name = "x.npy", .from = &a}}, 3);
  put_file(&r, "a.npz", z.at, z.n);
  assert_int_equal(read_all(&r, "a.npz", NULL, NULL, NULL), QCC_OK);
  make_zip(&z, (zip_file[]){{.name = "arr_1.npy", .from = &b}, {.name = "arr_0.npy", .from = &a}}, 2);
  put_file(&r, "a.npz", z.at, z.n);
  assert_int_equal(read_all(&r, "a.npz", NULL, NULL, NULL), QCC_OK);
  make_zip(&z, (zip_file[]){{.name = "x.npy", .from = &a}, {.name = "z.npy", .from = &b}}, 2);
  put_file(&r, "a.npz", z.at, z.n);
  assert_int_equal(read_all(&r, "a.npz", NULL, NULL, NULL), QCC_DATA);
  assert_non_null(strstr(r.log, "\"y\""));
  make_zip(&z, (zip_file[]){{.name = "u.npy", .from = &a}, {.name = "v.npy", .from = &b}}, 2);
  put_file(&r, "a.npz", z.at, z.n);
  assert_int_equal(read_all(&r, "a.npz", NULL, NULL, NULL), QCC_DATA);
  leave(&r);
}

/* ---- images */

static void images_cut(void **state) {
  (void)state;
  room r;
  bytes b[3];
  const char *const names[] = {"a.png", "a.jpg", "p.jpg"};
  const size_t needed[] = {0, 4, 2}; /* behind the last pixel: padding and the end marker, which nobody misses */
  enter(&r);
  add_input(&r, "x", QCC_U8, 4, (int64_t[]){1, 3, 9, 17});
  make_png(&b[0], 17, 9, false);
  make_jpeg(&b[1], 17, 9, false, false);
  make_jpeg(&b[2], 17, 9, true, false);
  for (int k = 0; k < 3; k++) {
    put_file(&r, names[k], b[k].at, b[k].n);
    assert_int_equal(read_all(&r, names[k], NULL, NULL, NULL), QCC_OK);
    for (size_t n = 0; n + needed[k] < b[k].n; n++) {
      put_file(&r, names[k], b[k].at, n);
      qcc_status st = read_all(&r, names[k], NULL, NULL, NULL);
      if (st != QCC_DATA) fail_msg("%s cut to %zu of %zu bytes: status %d", names[k], n, b[k].n, (int)st);
      assert_non_null(strstr(r.log, names[k]));
    }
  }
  leave(&r);
}

static uint32_t get_be32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }

static void images_bad(void **state) {
  (void)state;
  room r;
  bytes b;
  enter(&r);
  add_input(&r, "x", QCC_U8, 4, (int64_t[]){1, 3, 9, 17});
  make_jpeg(&b, 17, 9, false, false);
  put_file(&r, "wrong.png", b.at, b.n);
  assert_int_equal(read_all(&r, "wrong.png", NULL, NULL, NULL), QCC_OK);
  make_jpeg(&b, 8, 8, false, true);
  put_file(&r, "cmyk.jpg", b.at, b.n);
  assert_int_equal(read_all(&r, "cmyk.jpg", NULL, NULL, NULL), QCC_DATA);
  assert_non_null(strstr(r.log, "CMYK"));
  put_file(&r, "text.jpg", "hello", 5);
  assert_int_equal(read_all(&r, "text.jpg", NULL, NULL, NULL), QCC_DATA);
  make_png(&b, 17, 9, true);
  put_file(&r, "alpha.png", b.at, b.n);
  assert_int_equal(read_all(&r, "alpha.png", NULL, NULL, NULL), QCC_OK);
  b.at[b.n / 2] ^= 1; /* in the pixels: the checksum tells */
  put_file(&r, "crc.png", b.at, b.n);
  assert_int_equal(read_all(&r, "crc.png", NULL, NULL, NULL), QCC_DATA);
  make_png(&b, 17, 9, false);
  assert_int_equal(get_be32(b.at + 16), 17);
  memcpy(b.at + 16, "\0\0\xea\x60\0\0\xea\x60\1\0\0\0\0", 13); /* 60000 x 60000, 1 bit, grey */
  uint32_t crc = (uint32_t)crc32(0, b.at + 12, 17);
  memcpy(b.at + 29, (uint8_t[]){(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc}, 4);
  put_file(&r, "bomb.png", b.at, b.n);
  size_t before = qcc_context_peak_bytes(r.cx);
  assert_int_equal(read_all(&r, "bomb.png", NULL, NULL, NULL), QCC_LIMIT);
  assert_non_null(strstr(r.log, "max-pixels"));
  assert_true(qcc_context_peak_bytes(r.cx) < before + (1 << 20));
  leave(&r);
}

static void image_limits(void **state) {
  (void)state;
  room r;
  bytes b;
  enter(&r);
  add_input(&r, "x", QCC_U8, 4, (int64_t[]){1, 3, 9, 17});
  make_png(&b, 17, 9, false);
  put_file(&r, "a.png", b.at, b.n);
  for (uint64_t limit = 17 * 9 - 1; limit <= 17 * 9 + 1; limit++) {
    qcc_context_limits(r.cx)->image_pixels = limit;
    assert_int_equal(read_all(&r, "a.png", NULL, NULL, NULL), limit < 17 * 9 ? QCC_LIMIT : QCC_OK);
  }
  assert_int_equal(read_all(&r, "a.png", "resize=30000x30000", NULL, NULL), QCC_LIMIT);
  make_jpeg(&b, 17, 9, true, false); /* ten scans for a colour image */
  put_file(&r, "a.jpg", b.at, b.n);
  for (uint64_t limit = 9; limit <= 11; limit++) {
    qcc_context_limits(r.cx)->image_scans = limit;
    assert_int_equal(read_all(&r, "a.jpg", NULL, NULL, NULL), limit < 10 ? QCC_LIMIT : QCC_OK);
  }
  leave(&r);
}

/* ---- transforms */

static const struct {
  const char *spec;
  const char *error; /* part of the message; NULL: right */
} specs[] = {
    {"resize=256,crop=224,mean=0.485:0.456:0.406,std=0.229:0.224:0.225,scale=1/255,channels=rgb,layout=nchw", NULL},
    {"resize=240x320", NULL},
    {"scale=2", NULL},
    {"mean=123.675/255:0:1e-1,std=0.5", NULL},
    {"channels=grey,mean=0.5", NULL},
    {"", "is not a key"},
    {"resize=256,", "is not a key"},
    {"resise=256", "\"resize\""},
    {"Crop=224", "\"crop\""},
    {"chanels=rgb", "\"channels\""},
    {"sdt=1", "\"std\""},
    {"a-key-that-is-longer-than-every-buffer-that-anybody-would-think-of-for-a-key-of-this-kind=1", "did you mean"},
    {"crop", "crop="},
    {"crop=", "crop="},
    {"crop=0", "crop="},
    {"crop=-1", "crop="},
    {"crop=1e3", "crop="},
    {"crop=65537", "crop="},
    {"resize=2x", "resize="},
    {"resize=x2", "resize="},
    {"resize=2x3x4", "resize="},
    {"scale=1/0", "scale="},
    {"scale=1/", "scale="},
    {"scale=nan", "scale="},
    {"scale=inf", "scale="},
    {"mean=1:2", "mean="},
    {"mean=1:2:3:4", "mean="},
    {"mean=1::3", "mean="},
    {"std=1:0:1", "std="},
    {"std=1e-300", "std="},
    {"channels=rbg", "rgb, bgr, grey"},
    {"layout=NCHW", "nchw, nhwc"},
    {"crop=1,crop=1", "twice"},
    {"channels=grey,mean=1:2:3", "one mean"},
};

static void transform_texts(void **state) {
  (void)state;
  room r;
  enter(&r);
  for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
    qcc_transform *t = NULL;
    r.log[0] = 0;
    qcc_status st = qcc_transform_parse(&t, r.cx, specs[i].spec);
    if (st != (specs[i].error ? QCC_ARG : QCC_OK)) fail_msg("%s: status %d: %s", specs[i].spec, (int)st, r.log);
    if (specs[i].error && !strstr(r.log, specs[i].error)) fail_msg("%s: %s", specs[i].spec, r.log);
    qcc_transform_free(r.cx, t);
  }
  leave(&r);
}

static void transform_values(void **state) {
  (void)state;
  room r;
  bytes b;
  qcc_tensor t;
  uint8_t rgb[12];
  enter(&r);
  add_input(&r, "x", QCC_F32, 4, (int64_t[]){QCC_DIM_UNKNOWN, 3, 2, 2});
  paint(rgb, 2, 2);
  make_png(&b, 2, 2, false);
  put_file(&r, "a.png", b.at, b.n);
  assert_int_equal(read_all(&r, "a.png", "scale=1/255,mean=0.5:0.25:0,std=1:2:4,channels=bgr", &t, NULL), QCC_OK);
  assert_int_equal(t.type.dtype, QCC_F32);
  for (int c = 0; c < 3; c++) {
    float v = ((float)rgb[3 * 3 + 2 - c] / 255.0f - (c == 0 ? 0.5f : c == 1 ? 0.25f : 0)) / (float)(1 << c);
    assert_true((float)qcc_tensor_get(&t, c * 4 + 3) == v);
  }
  qcc_tensor_release(&t);
  r.log[0] = 0;
  assert_int_equal(read_all(&r, "a.png", "scale=1", NULL, NULL), QCC_OK);
  assert_string_equal(r.log, "");
  assert_int_equal(read_all(&r, "a.png", NULL, NULL, NULL), QCC_OK); /* bytes for a float model: told */
  assert_non_null(strstr(r.log, "0 to 255"));
  assert_int_equal(read_all(&r, "a.png", "layout=nhwc", NULL, NULL), QCC_DATA);
  assert_non_null(strstr(r.log, "[2,2,3]"));
  assert_int_equal(read_all(&r, "a.png", "crop=3", NULL, NULL), QCC_DATA);
  assert_non_null(strstr(r.log, "a.png"));
  make_f32(&b, 0, 12);
  put_file(&r, "a.npy", b.at, b.n);
  assert_int_equal(read_all(&r, "a.npy", "crop=3", NULL, NULL), QCC_ARG);
  leave(&r);
}

/* ---- folders and data sets */

static void put_f32(room *r, const char *name, float first, int count) {
  bytes b;
  make_f32(&b, first, count);
  put_file(r, name, b.at, b.n);
}

static void folder_kinds(void **state) {
  (void)state;
  room r;
  size_t count = 0;
  qcc_tensor t;
  enter(&r);
  add_input(&r, "x", QCC_F32, 2, (int64_t[]){1, 4});
  assert_int_equal(read_all(&r, "", NULL, NULL, NULL), QCC_DATA);
  put_file(&r, "labels.txt", "cat", 3);
  assert_int_equal(read_all(&r, "", NULL, NULL, NULL), QCC_DATA);
  assert_non_null(strstr(r.log, "labels.txt"));
  put_f32(&r, "b.npy", 20, 4);
  put_f32(&r, "a10.NPY", 30, 4);
  put_f32(&r, "a2.npy", 40, 4);
  put_f32(&r, "\xff\xfe.npy", 50, 4); /* not UTF-8: last */
  put_f32(&r, ".hidden.npy", 60, 7);
  assert_int_equal(read_all(&r, "", NULL, &t, &count), QCC_OK);
  assert_int_equal(count, 4);
  assert_true(qcc_tensor_get(&t, 0) == 50);
  qcc_tensor_release(&t);
  assert_int_equal(read_all(&r, "b.npy", NULL, NULL, &count), QCC_OK);
  put_f32(&r, "c.npy", 20, 5);
  assert_int_equal(read_all(&r, "", NULL, NULL, NULL), QCC_DATA);
  assert_non_null(strstr(r.log, "c.npy"));
  assert_int_equal(read_all(&r, "nothing", NULL, NULL, NULL), QCC_IO);
  assert_int_equal(read_all(&r, "labels.txt", NULL, NULL, NULL), QCC_DATA);
  leave(&r);
}

static void folder_of_folders(void **state) {
  (void)state;
  room r;
  size_t count = 0;
  static const char tensor[] = "\x08\x02\x10\x01\x4a\x08\0\0\x80\x3f\0\0\0\x40"; /* f32[2] {1, 2} */
  enter(&r);
  add_input(&r, "x", QCC_F32, 1, (int64_t[]){4});
  add_input(&r, "constant", QCC_F32, 1, (int64_t[]){1});
  add_input(&r, "a/b", QCC_F32, 1, (int64_t[]){2});
  qcc_tensor data = {.type = qcc_type_of(QCC_F32, 1, (int64_t[]){1})};
  r.g->inputs[1]->data = &data;
  for (int i = 0; i < 2; i++) {
    char name[64];
    qcc_format(name, sizeof name, "test_data_set_%d", i);
    assert_int_equal(mkdir(in(&r, name), 0700), 0);
    qcc_format(name, sizeof name, "test_data_set_%d/input_0.npy", i);
    put_f32(&r, name, (float)i, 4);
    qcc_format(name, sizeof name, "test_data_set_%d/%s", i, i ? "a_b.pb" : "input_1.pb");
    put_file(&r, name, tensor, sizeof tensor - 1);
  }
  assert_int_equal(read_all(&r, "", NULL, NULL, &count), QCC_OK);
  assert_int_equal(count, 2);
  assert_int_equal(read_all(&r, "test_data_set_0", NULL, NULL, &count), QCC_OK);
  assert_int_equal(count, 1);
  put_file(&r, "test_data_set_1/a_b.pb", tensor, sizeof tensor - 3);
  assert_int_equal(read_all(&r, "", NULL, NULL, NULL), QCC_DATA);
  assert_int_equal(unlink(in(&r, "test_data_set_1/a_b.pb")), 0);
  assert_int_equal(read_all(&r, "", NULL, NULL, NULL), QCC_DATA);
  assert_non_null(strstr(r.log, "\"a/b\""));
  leave(&r);
}

static qcc_status open_two(room *r, const char *a, const char *b, size_t limit, size_t *count, uint64_t *digest) {
  qcc_dataset *d = NULL;
  QCC_TRY(qcc_dataset_open(&d, r->g, (const char *const[]){a, b}, b ? 2 : 1, NULL, limit));
  *count = qcc_dataset_samples(d)->count;
  *digest = qcc_dataset_digest(d);
  qcc_dataset_free(d);
  return QCC_OK;
}

static void named_sources(void **state) {
  (void)state;
  room r;
  char x[200], y[200], z[200];
  size_t count = 0;
  uint64_t first = 0, second = 0;
  enter(&r);
  add_input(&r, "x", QCC_F32, 0, (int64_t[]){1});
  add_input(&r, "x=y", QCC_F32, 0, (int64_t[]){1});
  put_f32(&r, "a=1.npy", 0, 5);
  put_f32(&r, "b.npy", 0, 6);
  qcc_format(x, sizeof x, "x=%s/a=1.npy", r.folder);
  qcc_format(y, sizeof y, "x=y=%s/a=1.npy", r.folder);
  qcc_format(z, sizeof z, "x=y=%s/b.npy", r.folder);
  assert_int_equal(open_two(&r, x, NULL, 0, &count, &first), QCC_DATA); /* nothing for the other */
  assert_int_equal(open_two(&r, x, x, 0, &count, &first), QCC_ARG);
  assert_int_equal(open_two(&r, x, z, 0, &count, &first), QCC_DATA); /* 5 and 6 */
  assert_int_equal(open_two(&r, x + 2, NULL, 0, &count, &first), QCC_ARG);
  assert_int_equal(open_two(&r, x, y, 0, &count, &first), QCC_OK);
  assert_int_equal(count, 5);
  assert_int_equal(open_two(&r, x, y, 3, &count, &second), QCC_OK);
  assert_int_equal(count, 3);
  assert_true(first != 0 && second != 0 && first != second);
  leave(&r);
}

/* ---- memory */

static qcc_status open_and_read(qcc_context *cx, void *user) {
  qcc_graph *g = NULL;
  qcc_dataset *d = NULL;
  qcc_tensor t[1];
  qcc_type type = qcc_type_of(QCC_F32, 4, (int64_t[]){1, 3, 5, 4});
  memset(t, 0, sizeof t);
  QCC_TRY(qcc_graph_new(&g, cx));
  qcc_status st = qcc_add_input(g, "x", &type) ? QCC_OK : QCC_NOMEM;
  if (st == QCC_OK) st = qcc_dataset_open(&d, g, (const char *const[]){user}, 1, "resize=6x5,crop=5x4,scale=1/255", 0);
  for (size_t i = 0; st == QCC_OK && i < 3; i++) {
    st = qcc_dataset_samples(d)->get(qcc_dataset_samples(d)->user, i, t);
    qcc_tensor_release(t);
  }
  qcc_dataset_free(d);
  qcc_graph_free(g);
  return st;
}

static void no_memory(void **state) {
  (void)state;
  room r;
  bytes a, b;
  static const char header[] = HEADER("|u1", "False", "(3, 5, 4)");
  enter(&r);
  make_png(&b, 7, 7, false);
  put_file(&r, "a.png", b.at, b.n);
  make_jpeg(&b, 9, 7, true, false);
  put_file(&r, "b.jpg", b.at, b.n);
  make_npy(&a, 1, header, strlen(header), b.at, 60);
  make_zip(&b, &(zip_file){.name = "arr_0.npy", .from = &a, .deflated = true}, 1);
  put_file(&r, "c.npz", b.at, b.n);
  assert_true(oom_sweep(open_and_read, r.folder, 1, 0) > 20);
  leave(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(npy_table),        cmocka_unit_test(npy_orders),   cmocka_unit_test(npz_table),
      cmocka_unit_test(npz_damage),       cmocka_unit_test(npz_names),    cmocka_unit_test(images_cut),
      cmocka_unit_test(images_bad),       cmocka_unit_test(image_limits), cmocka_unit_test(transform_texts),
      cmocka_unit_test(transform_values), cmocka_unit_test(folder_kinds), cmocka_unit_test(folder_of_folders),
      cmocka_unit_test(named_sources),    cmocka_unit_test(no_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
