/* SPDX-License-Identifier: Apache-2.0
 * Kernels that move and combine elements, against loops that follow the definition index by index, over random shapes; indices and sizes
 * that cannot be are QCC_DATA. */
#include "kernel_case.h"

static void random_dims(uint32_t *seed, int rank, int64_t most, int64_t *dim) {
  for (int d = 0; d < rank; ++d) dim[d] = pick(seed, 1, most);
}

static int64_t count_of(int rank, const int64_t *dim) {
  int64_t n = 1;
  for (int d = 0; d < rank; ++d) n *= dim[d];
  return n;
}

/* Coordinates of element i. */
static void unravel(int64_t i, int rank, const int64_t *dim, int64_t *at) {
  for (int d = rank - 1; d >= 0; --d) {
    at[d] = i % dim[d];
    i /= dim[d];
  }
}

static int64_t ravel(int rank, const int64_t *dim, const int64_t *at) {
  int64_t i = 0;
  for (int d = 0; d < rank; ++d) i = i * dim[d] + at[d];
  return i;
}

/* Element of a tensor of shape (rank, dim) that stands at `at` of a broadcast result of rank out_rank. */
static int64_t broadcast_index(int rank, const int64_t *dim, int out_rank, const int64_t *at) {
  int64_t own[QCC_MAX_RANK];
  for (int d = 0; d < rank; ++d) own[d] = dim[d] == 1 ? 0 : at[d + out_rank - rank];
  return ravel(rank, dim, own);
}

static void broadcasting(void **state) {
  (void)state;
  uint32_t seed = 5;
  for (int round = 0; round < 300; ++round) {
    kernel_case c;
    int rank = (int)pick(&seed, 0, 5), ra = (int)pick(&seed, 0, rank), rb = rank;
    int64_t out[QCC_MAX_RANK], a[QCC_MAX_RANK], b[QCC_MAX_RANK];
    random_dims(&seed, rank, 6, out);
    for (int d = 0; d < rank; ++d) b[d] = pick(&seed, 0, 2) ? out[d] : 1;
    for (int d = 0; d < ra; ++d) a[d] = pick(&seed, 0, 2) ? out[d + rank - ra] : 1;
    for (int d = 0; d < rank; ++d) {
      int64_t x = d < rank - ra ? 1 : a[d - (rank - ra)];
      out[d] = x > b[d] ? x : b[d];
    }
    start(&c, 18);
    bool swap = round & 1;
    float *x = swap ? input_random(&c, rb, b, &seed) : input_random(&c, ra, a, &seed);
    float *y = swap ? input_random(&c, ra, a, &seed) : input_random(&c, rb, b, &seed);
    node(&c, QCC_OP_SUB, 1);
    assert_int_equal(fold_it(&c), QCC_OK);
    qcc_type want = qcc_type_of(QCC_F32, rank, out);
    assert_true(qcc_type_equal(&c.out[0].type, &want));
    const float *z = c.out[0].data, *pa = swap ? y : x, *pb = swap ? x : y;
    for (int64_t i = 0; i < count_of(rank, out); ++i) {
      int64_t at[QCC_MAX_RANK];
      unravel(i, rank, out, at);
      float u = pa[broadcast_index(ra, a, rank, at)], v = pb[broadcast_index(rb, b, rank, at)];
      assert_true(z[i] == (swap ? v - u : u - v));
    }
    done(&c);
  }
}

static void integers_wrap_and_divide(void **state) {
  (void)state;
  static const int32_t a[] = {INT32_MAX, INT32_MIN, -7, 7, INT32_MIN}, b[] = {2, -1, 2, -2, 1};
  static const struct {
    qcc_op op;
    int32_t want[5];
  } rows[] = {{QCC_OP_ADD, {INT32_MIN + 1, INT32_MAX, -5, 5, INT32_MIN + 1}},
              {QCC_OP_MUL, {-2, INT32_MIN, -14, -14, INT32_MIN}},
              {QCC_OP_DIV, {INT32_MAX / 2, INT32_MIN, -3, -3, INT32_MIN}},
              {QCC_OP_MOD, {1, 0, 1, -1, 0}}};
  for (size_t r = 0; r < sizeof rows / sizeof *rows; ++r) {
    kernel_case c;
    start(&c, 18);
    memcpy(input(&c, QCC_S32, 1, (int64_t[]){5}), a, sizeof a);
    memcpy(input(&c, QCC_S32, 1, (int64_t[]){5}), b, sizeof b);
    node(&c, rows[r].op, 1);
    assert_int_equal(fold_it(&c), QCC_OK);
    assert_memory_equal(c.out[0].data, rows[r].want, sizeof a);
    done(&c);
  }
  kernel_case c;
  start(&c, 18);
  memcpy(input(&c, QCC_S32, 1, (int64_t[]){5}), a, sizeof a);
  memset(input(&c, QCC_S32, 0, NULL), 0, 4);
  node(&c, QCC_OP_DIV, 1);
  assert_int_equal(fold_it(&c), QCC_DATA);
  assert_non_null(strstr(c.error, "division by zero"));
  done(&c);
}

static void transposition(void **state) {
  (void)state;
  static const qcc_dtype types[] = {QCC_U8, QCC_F16, QCC_F32, QCC_S64, QCC_C128};
  uint32_t seed = 9;
  for (int round = 0; round < 200; ++round) {
    kernel_case c;
    int rank = (int)pick(&seed, 0, 5);
    qcc_dtype t = types[round % 5];
    size_t elem = qcc_dtype_bits(t) / 8;
    int64_t dim[QCC_MAX_RANK], perm[QCC_MAX_RANK], out[QCC_MAX_RANK];
    random_dims(&seed, rank, rank > 3 ? 5 : 40, dim);
    for (int d = 0; d < rank; ++d) perm[d] = d;
    for (int d = rank - 1; d > 0; --d) {
      int64_t e = pick(&seed, 0, d), swap = perm[d];
      perm[d] = perm[e];
      perm[e] = swap;
    }
    for (int d = 0; d < rank; ++d) out[d] = dim[perm[d]];
    start(&c, 13);
    uint8_t *x = input(&c, t, rank, dim);
    for (size_t i = 0; i < c.in[0].bytes; ++i) x[i] = (uint8_t)next_random(&seed);
    node(&c, QCC_OP_TRANSPOSE, 1);
    qcc_attr_set_ints(c.node, "perm", perm, (uint32_t)rank);
    assert_int_equal(fold_it(&c), QCC_OK);
    for (int64_t i = 0; i < count_of(rank, out); ++i) {
      int64_t at[QCC_MAX_RANK], from[QCC_MAX_RANK];
      unravel(i, rank, out, at);
      for (int d = 0; d < rank; ++d) from[perm[d]] = at[d];
      assert_memory_equal((const uint8_t *)c.out[0].data + (size_t)i * elem, x + (size_t)ravel(rank, dim, from) * elem, elem);
    }
    done(&c);
  }
}

/* Elements of one axis by walking it: the definition. */
static int64_t walk(int64_t n, int64_t first, int64_t end, int64_t step, int64_t *list) {
  int64_t count = 0;
  if (first < 0) first += n;
  if (end < 0 && end >= -n)
    end += n;
  else if (end < -n)
    end = -1;
  if (step > 0) {
    for (int64_t i = first < 0 ? 0 : first; i < n && i < end; i += step) list[count++] = i;
  } else {
    for (int64_t i = first >= n ? n - 1 : first; i > end && i >= 0; i += step) list[count++] = i;
  }
  return count;
}

static void slicing(void **state) {
  (void)state;
  uint32_t seed = 77;
  for (int round = 0; round < 400; ++round) {
    kernel_case c;
    int64_t dim[2] = {pick(&seed, 1, 7), pick(&seed, 1, 7)}, begin[2], end[2], step[2], list[2][64], n[2];
    for (int d = 0; d < 2; ++d) {
      begin[d] = pick(&seed, -9, 9);
      end[d] = pick(&seed, 0, 5) ? pick(&seed, -9, 9) : pick(&seed, 0, 1) ? INT64_MAX : INT64_MIN;
      step[d] = pick(&seed, 1, 4) * (pick(&seed, 0, 1) ? 1 : -1);
      if (begin[d] < -dim[d]) begin[d] = -dim[d]; /* below that the walk has no start */
      n[d] = walk(dim[d], begin[d], end[d], step[d], list[d]);
    }
    start(&c, 13);
    float *x = input_random(&c, 2, dim, &seed);
    input_s64(&c, 2, begin);
    input_s64(&c, 2, end);
    input_s64(&c, 2, (int64_t[]){0, -1});
    input_s64(&c, 2, step);
    node(&c, QCC_OP_SLICE, 1);
    assert_int_equal(fold_it(&c), QCC_OK);
    assert_int_equal(c.out[0].type.dim[0], n[0]);
    assert_int_equal(c.out[0].type.dim[1], n[1]);
    const float *y = c.out[0].data;
    for (int64_t i = 0; i < n[0]; ++i)
      for (int64_t j = 0; j < n[1]; ++j) assert_true(y[i * n[1] + j] == x[list[0][i] * dim[1] + list[1][j]]);
    done(&c);
  }
}

static void reductions(void **state) {
  (void)state;
  uint32_t seed = 31;
  for (int round = 0; round < 200; ++round) {
    kernel_case c;
    int rank = (int)pick(&seed, 1, 5);
    int64_t dim[QCC_MAX_RANK], axes[QCC_MAX_RANK], out[QCC_MAX_RANK], n = 0, at[QCC_MAX_RANK];
    random_dims(&seed, rank, 9, dim);
    memcpy(out, dim, sizeof out);
    for (int d = 0; d < rank; ++d) {
      if (pick(&seed, 0, 1)) continue;
      axes[n++] = pick(&seed, 0, 1) ? d : d - rank;
      out[d] = 1;
    }
    if (n == 0) axes[n++] = 0, out[0] = 1;
    static const qcc_op ops[] = {QCC_OP_REDUCE_SUM, QCC_OP_REDUCE_L2, QCC_OP_REDUCE_MAX, QCC_OP_REDUCE_LOG_SUM_EXP};
    int op = round % 4;
    double want[9 * 9 * 9 * 9 * 9];
    for (int64_t i = 0; i < count_of(rank, out); ++i) want[i] = op == 2 ? (double)-INFINITY : 0;
    start(&c, 18);
    float *x = input_random(&c, rank, dim, &seed);
    input_s64(&c, n, axes);
    for (int64_t i = 0; i < count_of(rank, dim); ++i) {
      double v = (double)x[i];
      unravel(i, rank, dim, at);
      double *w = &want[broadcast_index(rank, out, rank, at)];
      if (op == 2)
        *w = v > *w ? v : *w;
      else
        *w += op == 0 ? v : op == 1 ? v * v : exp(v);
    }
    node(&c, ops[op], 1);
    assert_int_equal(fold_it(&c), QCC_OK);
    const float *y = c.out[0].data;
    for (int64_t i = 0; i < count_of(rank, out); ++i) {
      assert_close((double)y[i], op == 1 ? sqrt(want[i]) : op == 3 ? log(want[i]) : want[i], 1e-6);
    }
    done(&c);
  }
}

static int64_t mirrored(int64_t i, int64_t n) {
  while (i < 0 || i >= n) i = n == 1 ? 0 : i < 0 ? -i : 2 * (n - 1) - i;
  return i;
}

static void padding(void **state) {
  (void)state;
  static const char *const modes[] = {"reflect", "edge", "wrap", "constant"};
  uint32_t seed = 3;
  for (int round = 0; round < 300; ++round) {
    kernel_case c;
    int64_t n = pick(&seed, 1, 6), before = pick(&seed, -n + 1, 14), after = pick(&seed, 0, 14), total = n + before + after;
    start(&c, 19);
    float *x = input_random(&c, 1, &n, &seed);
    input_s64(&c, 2, (int64_t[]){before, after});
    *(float *)input(&c, QCC_F32, 0, NULL) = 9;
    node(&c, QCC_OP_PAD, 1);
    qcc_attr_set_str(c.node, "mode", modes[round % 4], strlen(modes[round % 4]));
    assert_int_equal(fold_it(&c), QCC_OK);
    assert_int_equal(c.out[0].type.dim[0], total);
    for (int64_t i = 0; i < total; ++i) {
      int64_t at = i - before, edge = at < 0 ? 0 : at >= n ? n - 1 : at;
      float want = round % 4 == 3   ? (at < 0 || at >= n ? 9 : x[at])
                   : round % 4 == 2 ? x[((at % n) + n) % n]
                   : round % 4 == 1 ? x[edge]
                                    : x[mirrored(at, n)];
      assert_true(((const float *)c.out[0].data)[i] == want);
    }
    done(&c);
  }
}

static void einsum_follows_its_equation(void **state) {
  (void)state;
  uint32_t seed = 8;
  static const char *const equations[] = {"bij,bjk->bik", "ij,kj->ki", "bihd,bjhd->bhij", "i,j->ji", "ij,jk,kl->il", "iij->j"};
  static const int64_t size[26] = {['b' - 'a'] = 2, ['i' - 'a'] = 3, ['j' - 'a'] = 4, ['k' - 'a'] = 5,
                                   ['l' - 'a'] = 2, ['h' - 'a'] = 3, ['d' - 'a'] = 6};
  for (size_t e = 0; e < sizeof equations / sizeof *equations; ++e) {
    kernel_case c;
    char labels[8] = "";
    const float *x[3];
    start(&c, 13);
    const char *s = equations[e];
    for (; *s && *s != '-'; s += *s == ',') {
      int64_t dim[QCC_MAX_RANK];
      int rank = 0;
      for (; *s && *s != ',' && *s != '-'; ++s) {
        dim[rank++] = size[*s - 'a'];
        if (!strchr(labels, *s)) strncat(labels, s, 1);
      }
      x[c.in_count] = input_random(&c, rank, dim, &seed);
    }
    node(&c, QCC_OP_EINSUM, 1);
    qcc_attr_set_str(c.node, "equation", equations[e], strlen(equations[e]));
    assert_int_equal(fold_it(&c), QCC_OK);
    int rank = (int)strlen(labels);
    int64_t dim[QCC_MAX_RANK], at[QCC_MAX_RANK], n = qcc_tensor_count(&c.out[0]);
    double want[512] = {0};
    for (int d = 0; d < rank; ++d) dim[d] = size[labels[d] - 'a'];
    for (int64_t i = 0; i < count_of(rank, dim); ++i) {
      double term = 1;
      int64_t index = 0;
      uint32_t operand = 0;
      unravel(i, rank, dim, at);
      for (const char *p = equations[e]; *p; ++p) {
        if (*p == ',' || *p == '-') {
          term *= (double)x[operand++][index];
          index = 0;
          p += *p == '-';
          continue;
        }
        index = index * size[*p - 'a'] + at[strchr(labels, *p) - labels];
      }
      want[index] += term;
    }
    for (int64_t i = 0; i < n; ++i) assert_close((double)((const float *)c.out[0].data)[i], want[i], 1e-5);
    done(&c);
  }
}

/* ---- data that cannot be */
static void bad_indices(void **state) {
  (void)state;
  static const qcc_op ops[] = {QCC_OP_GATHER, QCC_OP_GATHER_ELEMENTS, QCC_OP_GATHER_ND, QCC_OP_SCATTER_ELEMENTS, QCC_OP_SCATTER_ND};
  static const int64_t bad[] = {3, -4, INT64_MAX, INT64_MIN};
  uint32_t seed = 1;
  for (size_t o = 0; o < sizeof ops / sizeof *ops; ++o) {
    for (size_t b = 0; b < 5; ++b) { /* the last round has a good index */
      kernel_case c;
      start(&c, 18);
      input_random(&c, 2, (int64_t[]){3, 3}, &seed);
      *(int64_t *)input(&c, QCC_S64, 2, (int64_t[]){1, 1}) = b < 4 ? bad[b] : -3;
      if (o == 3) input_random(&c, 2, (int64_t[]){1, 1}, &seed);
      if (o == 4) input_random(&c, 2, (int64_t[]){1, 3}, &seed);
      node(&c, ops[o], 1);
      qcc_status st = fold_it(&c); /* INVALID: the shape rule saw the index before the kernel */
      bool right = b == 4 ? st == QCC_OK : st == QCC_DATA || st == QCC_INVALID;
      if (!right) fail_msg("%s: status %d: %s", qcc_op_get(ops[o])->name, st, c.error);
      if (st == QCC_DATA) assert_non_null(strstr(c.error, "is outside [-3, 3)"));
      done(&c);
    }
  }
}

static void top_k_orders_ties_by_index(void **state) {
  (void)state;
  static const float x[] = {1, 3, 3, NAN, -0.0f, 0.0f, -INFINITY, 3};
  static const int64_t largest[] = {3, 1, 2, 7, 0, 4, 5, 6}, smallest[] = {6, 4, 5, 0, 1, 2, 7, 3};
  for (int64_t count = 0; count <= 8; ++count) {
    for (int high = 0; high < 2; ++high) {
      kernel_case c;
      start(&c, 11);
      memcpy(input(&c, QCC_F32, 1, (int64_t[]){8}), x, sizeof x);
      input_s64(&c, 1, &count);
      node(&c, QCC_OP_TOPK, 2);
      qcc_attr_set_int(c.node, "largest", high);
      assert_int_equal(fold_it(&c), QCC_OK);
      if (count) assert_memory_equal(c.out[1].data, high ? largest : smallest, (size_t)count * sizeof *largest);
      done(&c);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(broadcasting),
      cmocka_unit_test(integers_wrap_and_divide),
      cmocka_unit_test(transposition),
      cmocka_unit_test(slicing),
      cmocka_unit_test(reductions),
      cmocka_unit_test(padding),
      cmocka_unit_test(bad_indices),
      cmocka_unit_test(einsum_follows_its_equation),
      cmocka_unit_test(top_k_orders_ties_by_index),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
