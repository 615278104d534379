/* SPDX-License-Identifier: Apache-2.0
 * Types, buffers, small floats (against all codes and a slow nearest search), element access, casts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "ir/half.h"
#include "ir/quant.h"
#include "tests/oom.h"

static qcc_context *make(void) {
  qcc_context *cx = NULL;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  return cx;
}

static uint64_t next(uint64_t *seed) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  uint64_t x = *seed ^ *seed >> 29;
  return x * 0x9e3779b97f4a7c15u ^ x >> 32;
}

static void dtypes(void **state) {
  (void)state;
  for (unsigned i = 1; i < QCC_DTYPE_COUNT; i++) assert_int_equal(qcc_dtype_from_name(qcc_dtype_name((qcc_dtype)i)), i);
  assert_string_equal(qcc_dtype_name((qcc_dtype)99), "?");
  assert_int_equal(qcc_dtype_from_name("int8"), QCC_NONE);
  assert_int_equal(qcc_dtype_from_name(NULL), QCC_NONE);
  static const struct {
    qcc_dtype t;
    int64_t lo, hi;
  } row[] = {{QCC_U8, 0, 255},
             {QCC_S8, -128, 127},
             {QCC_U16, 0, 65535},
             {QCC_S16, -32768, 32767},
             {QCC_S32, INT32_MIN, INT32_MAX},
             {QCC_U32, 0, UINT32_MAX},
             {QCC_S64, INT64_MIN, INT64_MAX},
             {QCC_U64, 0, INT64_MAX},
             {QCC_U4, 0, 15},
             {QCC_S4, -8, 7},
             {QCC_U2, 0, 3},
             {QCC_S2, -2, 1}};
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    assert_true(qcc_dtype_min(row[i].t) == row[i].lo && qcc_dtype_max(row[i].t) == row[i].hi);
    assert_true(qcc_dtype_is_int(row[i].t));
  }
  size_t n = 7;
  assert_true(qcc_dtype_bytes(QCC_S4, 3, &n) && n == 2);
  assert_true(qcc_dtype_bytes(QCC_U2, 5, &n) && n == 2);
  assert_true(qcc_dtype_bytes(QCC_F32, INT64_MAX / 8, &n) && n == (size_t)(INT64_MAX / 8) * 4);
  assert_true(qcc_dtype_bytes(QCC_U4, 0, &n) && n == 0);
  assert_false(qcc_dtype_bytes(QCC_F32, INT64_MAX, &n));
  assert_false(qcc_dtype_bytes(QCC_STRING, 1, &n));
  assert_false(qcc_dtype_bytes(QCC_U8, -1, &n));
}

static void types(void **state) {
  (void)state;
  qcc_context *cx = make();
  int64_t count = 0, a = qcc_symbol(cx, "batch"), b = qcc_symbol(cx, "time");
  assert_true(a <= -2 && b <= -2 && a != b && qcc_symbol(cx, "batch") == a);
  assert_string_equal(qcc_symbol_name(cx, b), "time");
  assert_null(qcc_symbol_name(cx, -1));
  assert_null(qcc_symbol_name(cx, b - 1));
  assert_null(qcc_symbol_name(cx, INT64_MIN));
  qcc_type t = qcc_type_of(QCC_F32, 3, (int64_t[]){2, 3, 4}), u = t;
  assert_true(qcc_type_count(&t, &count) && count == 24);
  u.dim[1] = a;
  assert_false(qcc_type_equal(&t, &u) || qcc_type_is_static(&u) || qcc_type_count(&u, &count));
  t = qcc_type_of(QCC_F32, 3, (int64_t[]){INT64_MAX, INT64_MAX, 0});
  assert_true(qcc_type_count(&t, &count) && count == 0);
  t.dim[2] = 2;
  assert_false(qcc_type_count(&t, &count));
  t = qcc_type_of(QCC_F32, 0, NULL);
  assert_true(qcc_type_count(&t, &count) && count == 1);
  t = qcc_type_of(QCC_F32, 9, (int64_t[]){1, 1, 1, 1, 1, 1, 1, 1, 1});
  assert_int_equal(t.rank, -1);
  for (int i = 0; i < 300; i++) {
    char name[16];
    snprintf(name, sizeof name, "s%d", i);
    assert_string_equal(qcc_symbol_name(cx, qcc_symbol(cx, name)), name);
  }
  qcc_context_free(cx);
}

static void let_go(void *user) { *(int *)user += 1; }

static void get_cold(void *user, const void *bytes, size_t n) {
  (void)bytes;
  *(int *)user += (int)(100 * n);
}

static void buffers(void **state) {
  (void)state;
  qcc_context *cx = make();
  int released = 0;
  char bytes[] = "0123456789";
  qcc_buf *b = qcc_buf_wrap(cx, bytes, 10, let_go, &released);
  qcc_buf *s = qcc_buf_slice(b, 2, 5), *s2 = qcc_buf_slice(s, 1, 2);
  assert_null(qcc_buf_slice(b, 8, 3));
  assert_null(qcc_buf_slice(b, 11, 0));
  assert_null(qcc_buf_slice(b, 1, SIZE_MAX));
  qcc_buf_on_cold(b, get_cold);
  qcc_buf_release(b);
  qcc_buf_release(s);
  assert_int_equal(released, 500); /* the window's five bytes are cold, nothing is released */
  qcc_buf_cold(s2);
  assert_int_equal(released, 700);
  released = 0;
  assert_memory_equal(qcc_buf_data(s2), "34", 2);
  char *mine = qcc_buf_unique(&s2); /* not ours: copied */
  assert_int_equal(released, 201);
  mine[0] = 'x';
  assert_string_equal(bytes, "0123456789");
  assert_ptr_equal(qcc_buf_unique(&s2), mine);
  qcc_buf *other = qcc_buf_retain(s2);
  assert_ptr_not_equal(qcc_buf_unique(&s2), mine); /* shared: copied */
  assert_memory_equal(qcc_buf_data(other), "x4", 2);
  qcc_buf_release(other);
  qcc_buf_release(s2);
  qcc_buf_release(NULL);
  b = qcc_buf_new(cx, 0);
  assert_int_equal(qcc_buf_size(b), 0);
  assert_int_equal((uintptr_t)qcc_buf_data(b) % 64, 0);
  qcc_buf_release(b);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

static void copy_on_write(void **state) {
  (void)state;
  qcc_context *cx = make();
  qcc_tensor t, u;
  qcc_type type = qcc_type_of(QCC_F32, 1, (int64_t[]){3});
  assert_int_equal(qcc_tensor_copy(&t, cx, &type, (float[]){1, 2, 3}), QCC_OK);
  u = qcc_tensor_retain(&t);
  qcc_tensor_set(&u, 1, 7);
  assert_true(qcc_tensor_get(&t, 1) == 2 && qcc_tensor_get(&u, 1) == 7 && qcc_tensor_get(&u, 2) == 3);
  qcc_tensor_release(&t);
  qcc_tensor_release(&u);
  /* a tensor that shows the end of its buffer */
  qcc_buf *b = qcc_buf_copy(cx, (float[]){1, 2, 3, 4}, 16);
  t = (qcc_tensor){.type = qcc_type_of(QCC_F32, 1, (int64_t[]){2}), .data = (const char *)qcc_buf_data(b) + 8, .bytes = 8, .buf = b};
  u = qcc_tensor_retain(&t);
  qcc_tensor_set(&u, 0, 9);
  assert_true(qcc_tensor_get(&u, 0) == 9 && qcc_tensor_get(&u, 1) == 4 && qcc_tensor_get(&t, 0) == 3);
  qcc_tensor_release(&t);
  qcc_tensor_release(&u);
  type = qcc_type_of(QCC_F32, 1, (int64_t[]){(int64_t)1 << 60});
  assert_int_equal(qcc_tensor_new(&t, cx, &type), QCC_LIMIT);
  assert_non_null(strstr(qcc_last_error(cx), "--max-tensor-bytes"));
  type.dim[0] = -1;
  assert_int_equal(qcc_tensor_new(&t, cx, &type), QCC_INTERNAL);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

static bool same(double a, double b) { return (a != a && b != b) || (a == b && !signbit(a) == !signbit(b)); }

/* The nearest of all finite codes, ties to the even one. */
static uint32_t slow_encode(qcc_dtype t, unsigned bits, double x) {
  uint32_t best = 0;
  double best_gap = INFINITY;
  for (uint32_t c = 0; c < (uint32_t)1 << bits; c++) {
    double y = qcc_small_decode(t, c), gap = fabs(y - x);
    if (y != y || isinf(y) || (y == 0 && signbit(y) && !signbit(x)) || (y == 0 && !signbit(y) && signbit(x) && bits != 8)) continue;
    if (gap < best_gap || (gap == best_gap && !(c & 1))) {
      best = c;
      best_gap = gap;
    }
  }
  return best;
}

static void small_floats(void **state) {
  (void)state;
  static const struct {
    qcc_dtype t;
    unsigned bits;
    double largest, least;
  } row[] = {{QCC_F16, 16, 65504, 0x1p-24},   {QCC_BF16, 16, 0x1.fep127, 0x1p-133},
             {QCC_F8E4M3FN, 8, 448, 0x1p-9},  {QCC_F8E4M3FNUZ, 8, 240, 0x1p-10},
             {QCC_F8E5M2, 8, 57344, 0x1p-16}, {QCC_F8E5M2FNUZ, 8, 57344, 0x1p-17},
             {QCC_F4E2M1, 4, 6, 0.5}};
  uint64_t seed = 5;
  for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
    double largest = 0, least = INFINITY;
    for (uint32_t c = 0; c < (uint32_t)1 << row[i].bits; c++) {
      double x = qcc_small_decode(row[i].t, c);
      if (x > largest && !isinf(x)) largest = x;
      if (x > 0 && x < least) least = x;
      if (x == x)
        assert_int_equal(qcc_small_encode(row[i].t, x), isinf(x) && row[i].bits == 8 ? qcc_small_encode(row[i].t, copysign(1e30, x)) : c);
    }
    assert_true(largest == row[i].largest && least == row[i].least);
    if (row[i].bits == 16) continue;
    for (int k = 0; k < 3000; k++) {
      double x = (double)(int64_t)next(&seed) / 0x1p63 * row[i].largest * (k % 2 ? 1 : 0x1p-12);
      double a = qcc_small_decode(row[i].t, qcc_small_encode(row[i].t, x)),
             b = qcc_small_decode(row[i].t, slow_encode(row[i].t, row[i].bits, x));
      if (a != b) fail_msg("%s: %a became %a, not %a", qcc_dtype_name(row[i].t), x, a, b);
    }
    assert_true(qcc_small_decode(row[i].t, qcc_small_encode(row[i].t, INFINITY)) == row[i].largest);
  }
  assert_int_equal(qcc_small_encode(QCC_F8E4M3FNUZ, -0.0), 0);
  assert_int_equal(qcc_small_encode(QCC_F8E4M3FNUZ, NAN), 0x80);
  assert_int_equal(qcc_small_encode(QCC_F8E4M3FN, NAN) & 0x7f, 0x7f);
  assert_true(qcc_small_decode(QCC_F8E8M0, 127) == 1 && qcc_small_encode(QCC_F8E8M0, 1.0) == 127 &&
              qcc_small_encode(QCC_F8E8M0, 1.5) == 128);
}

/* Every half, and every middle between two halves with its float neighbours. */
static void halves(void **state) {
  (void)state;
  for (uint32_t c = 0; c < 0x10000; c++) {
    float x = qcc_f16_to_f32((uint16_t)c), b = qcc_bf16_to_f32((uint16_t)c);
    assert_true(same((double)x, qcc_small_decode(QCC_F16, c)) && same((double)b, qcc_small_decode(QCC_BF16, c)));
    if (x == x) assert_int_equal(qcc_f32_to_f16(x), c);
    if (b == b) assert_int_equal(qcc_f32_to_bf16(b), c);
    if ((c & 0x7fff) >= 0x7bff) continue;
    float up = qcc_f16_to_f32((uint16_t)(c + 1)), middle = (x + up) / 2;
    assert_int_equal(qcc_f32_to_f16(middle), c & 1 ? c + 1 : c);
    assert_int_equal(qcc_f32_to_f16(nextafterf(middle, x)), c);
    assert_int_equal(qcc_f32_to_f16(nextafterf(middle, up)), c + 1);
  }
  assert_int_equal(qcc_f32_to_f16(65519.0f), 0x7bff);
  assert_int_equal(qcc_f32_to_f16(65520.0f), 0x7c00);
  assert_int_equal(qcc_f32_to_f16(0x1p-25f), 0);
  assert_int_equal(qcc_f32_to_f16(0x1.000002p-25f), 1);
  uint64_t seed = 9;
  for (int i = 0; i < 200000; i++) {
    uint32_t word = (uint32_t)next(&seed);
    float x;
    memcpy(&x, &word, sizeof x);
    if (x == x) assert_int_equal(qcc_f32_to_bf16(x), qcc_small_encode(QCC_BF16, (double)x));
  }
  assert_true(isnan(qcc_f16_to_f32(qcc_f32_to_f16(NAN))) && isnan(qcc_bf16_to_f32(qcc_f32_to_bf16(NAN))));
}

static void elements(void **state) {
  (void)state;
  qcc_context *cx = make();
  static const qcc_dtype all[] = {QCC_F32, QCC_F64, QCC_F16,  QCC_BF16, QCC_U8, QCC_S8, QCC_U16, QCC_S16,      QCC_S32,   QCC_S64,
                                  QCC_U32, QCC_U64, QCC_BOOL, QCC_U4,   QCC_S4, QCC_U2, QCC_S2,  QCC_F8E4M3FN, QCC_F4E2M1};
  for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
    qcc_tensor t;
    float as_float[7];
    qcc_type type = qcc_type_of(all[i], 1, (int64_t[]){7});
    assert_int_equal(qcc_tensor_new(&t, cx, &type), QCC_OK);
    memset(qcc_tensor_mut(&t), 0xff, t.bytes);
    for (int64_t k = 0; k < 7; k++) qcc_tensor_set(&t, k, (double)(k % 2));
    qcc_tensor_read_f32(&t, as_float);
    for (int64_t k = 0; k < 7; k++) {
      assert_true(qcc_tensor_get(&t, k) == (double)(k % 2));
      assert_int_equal(qcc_tensor_get_s64(&t, k), k % 2);
      assert_true(as_float[k] == (float)(k % 2));
    }
    if (!qcc_dtype_is_int(all[i])) {
      qcc_tensor_release(&t);
      continue;
    }
    qcc_tensor_set(&t, 2, 1e30);
    qcc_tensor_set(&t, 3, -1e30);
    qcc_tensor_set(&t, 4, 0.5);
    qcc_tensor_set(&t, 5, 1.5);
    qcc_tensor_set(&t, 6, (double)NAN);
    assert_true(qcc_tensor_get_s64(&t, 2) == qcc_dtype_max(all[i]) && qcc_tensor_get_s64(&t, 3) == qcc_dtype_min(all[i]));
    assert_true(qcc_tensor_get_s64(&t, 4) == 0 && qcc_tensor_get_s64(&t, 6) == 0 && qcc_tensor_get_s64(&t, 1) == 1);
    assert_int_equal(qcc_tensor_get_s64(&t, 5), qcc_dtype_max(all[i]) == 1 ? 1 : 2);
    qcc_tensor_release(&t);
  }
  qcc_context_free(cx);
}

static void cast_row(qcc_context *cx, qcc_dtype from, qcc_dtype to, double x, double want) {
  qcc_tensor t, u;
  qcc_type type = qcc_type_of(from, 1, (int64_t[]){3});
  assert_int_equal(qcc_tensor_new(&t, cx, &type), QCC_OK);
  memset(qcc_tensor_mut(&t), 0, t.bytes);
  qcc_tensor_set(&t, 1, x);
  assert_int_equal(qcc_tensor_cast(&u, cx, &t, to), QCC_OK);
  if (qcc_tensor_get(&u, 1) != want || qcc_tensor_get(&u, 0) != 0 || qcc_tensor_get(&u, 2) != 0)
    fail_msg("%s %g to %s: %g, not %g", qcc_dtype_name(from), x, qcc_dtype_name(to), qcc_tensor_get(&u, 1), want);
  qcc_tensor_release(&t);
  qcc_tensor_release(&u);
}

static void casts(void **state) {
  (void)state;
  qcc_context *cx = make();
  cast_row(cx, QCC_F32, QCC_S32, -2.7, -2);
  cast_row(cx, QCC_F32, QCC_S8, 300, 127);
  cast_row(cx, QCC_F32, QCC_U4, 5.9, 5);
  cast_row(cx, QCC_F32, QCC_BOOL, 0.1f, 1);
  cast_row(cx, QCC_F32, QCC_F16, 1e9, (double)INFINITY);
  cast_row(cx, QCC_F64, QCC_F32, 0.1, (double)0.1f);
  cast_row(cx, QCC_F64, QCC_F16, 1 + 0x1p-11 + 0x1p-40, 1 + 0x1p-10); /* through f32 it would become 1 */
  cast_row(cx, QCC_F32, QCC_F8E4M3FN, 1000, 448);
  cast_row(cx, QCC_S32, QCC_U8, -1, 255);
  cast_row(cx, QCC_S32, QCC_S8, 300, 44);
  cast_row(cx, QCC_S4, QCC_S64, -8, -8);
  cast_row(cx, QCC_U4, QCC_F32, 15, 15);
  cast_row(cx, QCC_S64, QCC_F32, 16777217, 16777216);
  cast_row(cx, QCC_U64, QCC_F64, 0x1p63, 0x1p63);
  cast_row(cx, QCC_BOOL, QCC_S4, 1, 1);
  cast_row(cx, QCC_BF16, QCC_F16, 1.5, 1.5);
  qcc_tensor u, t = {.type = qcc_type_of(QCC_STRING, 0, NULL), .data = "", .bytes = 0};
  assert_int_equal(qcc_tensor_cast(&u, cx, &t, QCC_F32), QCC_UNSUPPORTED);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
}

static qcc_status make_tensors(qcc_context *cx, void *user) {
  (void)user;
  qcc_tensor t, u = {0}, w = {0};
  qcc_type type = qcc_type_of(QCC_F32, 1, (int64_t[]){10});
  QCC_TRY(qcc_tensor_new(&t, cx, &type));
  memset(qcc_tensor_mut(&t), 0, t.bytes);
  qcc_status status = qcc_tensor_cast(&u, cx, &t, QCC_S4);
  if (status == QCC_OK) {
    w = qcc_tensor_retain(&t);
    if (!qcc_tensor_mut(&w)) status = QCC_NOMEM;
  }
  qcc_tensor_release(&w);
  qcc_tensor_release(&u);
  qcc_tensor_release(&t);
  return status;
}

/* ---- lists */
static qcc_status make_list(qcc_context *cx, void *user) {
  qcc_tensor item[3] = {{.bytes = 0}}, list = {0}, outer = {0}, borrowed, copy = {0};
  const qcc_type type = qcc_type_of(QCC_S32, 1, (int64_t[]){2});
  qcc_status st = QCC_OK;
  for (int i = 0; st == QCC_OK && i < 3; i++) st = qcc_tensor_new(&item[i], cx, &type);
  for (int i = 0; st == QCC_OK && i < 3; i++) memset(qcc_tensor_mut(&item[i]), i, item[i].bytes);
  if (st == QCC_OK) {
    st = qcc_tensor_list(&list, cx, QCC_SEQUENCE, item, 3); /* takes the items, also on failure */
    memset(item, 0, sizeof item);
  }
  if (st == QCC_OK) {
    borrowed = list;
    borrowed.buf = NULL;
    st = qcc_tensor_share(&copy, cx, &borrowed);
  }
  if (st == QCC_OK) st = qcc_tensor_share(&item[0], cx, &list);
  if (st == QCC_OK) {
    st = qcc_tensor_list(&outer, cx, QCC_OPTIONAL, item, 1);
    memset(item, 0, sizeof item);
  }
  qcc_tensor_release(&list);
  if (st == QCC_OK && user) { /* the items live on in the copy and in the outer list */
    assert_true(qcc_tensor_is_list(&copy) && qcc_tensor_count(&copy) == 3);
    assert_int_equal(((const int32_t *)qcc_tensor_items(&copy)[2].data)[1], 0x02020202);
    assert_int_equal(qcc_tensor_items(&outer)[0].type.dtype, QCC_SEQUENCE);
    assert_ptr_equal(qcc_tensor_items(qcc_tensor_items(&outer))[1].data, qcc_tensor_items(&copy)[1].data);
    assert_null(qcc_tensor_mut(&copy));
  }
  qcc_tensor_release(&copy);
  qcc_tensor_release(&outer);
  for (int i = 0; i < 3; i++) qcc_tensor_release(&item[i]);
  return st;
}

static void lists(void **state) {
  (void)state;
  qcc_context *cx;
  assert_int_equal(qcc_context_new(&cx, NULL), QCC_OK);
  assert_int_equal(make_list(cx, &(int){1}), QCC_OK);
  assert_int_equal(qcc_context_live_bytes(cx), 0);
  qcc_context_free(cx);
  assert_true(oom_sweep(make_list, NULL, 1, 0) > 6);
}

static void failures(void **state) {
  (void)state;
  assert_int_equal(oom_sweep(make_tensors, NULL, 1, 0), 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(dtypes),       cmocka_unit_test(types),  cmocka_unit_test(buffers),  cmocka_unit_test(copy_on_write),
      cmocka_unit_test(small_floats), cmocka_unit_test(halves), cmocka_unit_test(elements), cmocka_unit_test(casts),
      cmocka_unit_test(failures),     cmocka_unit_test(lists),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
