/* SPDX-License-Identifier: Apache-2.0
 * Operators on which stored results are thin: attention and Fourier transforms against their definitions over random shapes, patterns of
 * regular expressions, random tensors, and that folding is silent about what has no kernel. */
#include "kernel_case.h"

/* ---- attention */
typedef struct shape {
  int64_t batch, heads, kv_heads, rows, keys, size, v_size;
  bool causal, mask;
  int64_t left;
} shape;

static double naive(const shape *s, const float *q, const float *k, const float *v, const float *mask, int64_t b, int64_t h, int64_t i,
                    int64_t m) {
  const int64_t kv = b * s->kv_heads + h / (s->heads / s->kv_heads), row = (b * s->heads + h) * s->rows + i;
  double sum = 0, total = 0;
  for (int64_t j = 0; j < s->keys; ++j) {
    double dot = 0;
    if ((s->causal && j > i) || (s->left >= 0 && j < i - s->left)) continue;
    for (int64_t d = 0; d < s->size; ++d) dot += (double)q[row * s->size + d] * (double)k[(kv * s->keys + j) * s->size + d];
    const double p = exp(dot / sqrt((double)s->size) + (mask ? (double)mask[i * s->keys + j] : 0));
    sum += p * (double)v[(kv * s->keys + j) * s->v_size + m];
    total += p;
  }
  return total > 0 ? sum / total : 0;
}

static void attention_follows_its_definition(void **state) {
  (void)state;
  uint32_t seed = 11;
  for (int round = 0; round < 150; ++round) {
    kernel_case c;
    shape s = {.batch = pick(&seed, 1, 2), .kv_heads = pick(&seed, 1, 2), .rows = pick(&seed, 1, 40), .keys = pick(&seed, 1, 50)};
    s.heads = s.kv_heads * pick(&seed, 1, 3);
    s.size = pick(&seed, 1, 9), s.v_size = pick(&seed, 1, 5);
    s.causal = pick(&seed, 0, 1), s.mask = pick(&seed, 0, 1), s.left = pick(&seed, -1, 3);
    start(&c, 25);
    const float *q = input_random(&c, 4, (int64_t[]){s.batch, s.heads, s.rows, s.size}, &seed);
    const float *k = input_random(&c, 4, (int64_t[]){s.batch, s.kv_heads, s.keys, s.size}, &seed);
    const float *v = input_random(&c, 4, (int64_t[]){s.batch, s.kv_heads, s.keys, s.v_size}, &seed);
    const float *mask = s.mask ? input_random(&c, 2, (int64_t[]){s.rows, s.keys}, &seed) : NULL;
    node(&c, QCC_OP_ATTENTION, 1);
    qcc_attr_set_int(c.node, "is_causal", s.causal);
    qcc_attr_set_int(c.node, "left_window_size", s.left);
    assert_int_equal(fold_it(&c), QCC_OK);
    const float *y = c.out[0].data;
    for (int64_t b = 0; b < s.batch; ++b)
      for (int64_t h = 0; h < s.heads; ++h)
        for (int64_t i = 0; i < s.rows; ++i)
          for (int64_t m = 0; m < s.v_size; ++m)
            assert_close((double)y[((b * s.heads + h) * s.rows + i) * s.v_size + m], naive(&s, q, k, v, mask, b, h, i, m), 1e-5);
    done(&c);
  }
}

/* ---- Fourier */
static void transforms_of_every_length(void **state) {
  (void)state;
  uint32_t seed = 3;
  for (int64_t n = 1; n <= 40; ++n) {
    kernel_case c;
    start(&c, 20);
    const float *x = input_random(&c, 3, (int64_t[]){2, n, 2}, &seed);
    node(&c, QCC_OP_DFT, 1);
    assert_int_equal(fold_it(&c), QCC_OK);
    const float *y = c.out[0].data;
    for (int64_t r = 0; r < 2; ++r) {
      for (int64_t f = 0; f < n; ++f) {
        double re = 0, im = 0;
        for (int64_t i = 0; i < n; ++i) {
          const double at = -2 * 3.14159265358979323846 * (double)(i * f % n) / (double)n;
          const double a = (double)x[(r * n + i) * 2], b = (double)x[(r * n + i) * 2 + 1];
          re += a * cos(at) - b * sin(at);
          im += a * sin(at) + b * cos(at);
        }
        assert_close((double)y[(r * n + f) * 2], re, 1e-5);
        assert_close((double)y[(r * n + f) * 2 + 1], im, 1e-5);
      }
    }
    done(&c);
  }
}

/* ---- text */
static void input_text(kernel_case *c, const char *text) {
  const uint32_t n = (uint32_t)strlen(text);
  const qcc_type t = qcc_type_of(QCC_STRING, 1, (int64_t[]){1});
  assert_int_equal(qcc_tensor_new_bytes(&c->in[c->in_count], c->cx, &t, n + sizeof n), QCC_OK);
  char *to = qcc_tensor_mut(&c->in[c->in_count]);
  memcpy(to, &n, sizeof n);
  memcpy(to + sizeof n, text, n);
  c->has[c->in_count++] = true;
}

static qcc_status match(const char *pattern, const char *text, bool *found, char *error) {
  kernel_case c;
  start(&c, 20);
  input_text(&c, text);
  node(&c, QCC_OP_REGEX_FULL_MATCH, 1);
  qcc_attr_set_str(c.node, "pattern", pattern, strlen(pattern));
  qcc_status st = fold_it(&c);
  *found = st == QCC_OK && *(const uint8_t *)c.out[0].data;
  strcpy(error, c.error);
  done(&c);
  return st;
}

static void patterns(void **state) {
  (void)state;
  static const struct {
    const char *pattern, *text;
    bool found;
  } rows[] = {{"", "", true},
              {"", "a", false},
              {"a*", "", true},
              {"a*", "aaab", false},
              {"(a|ab)(c|bcd)(d*)", "abcd", true},
              {"a{2,3}", "a", false},
              {"a{2,3}", "aaa", true},
              {"a{2,3}", "aaaa", false},
              {"a{2,}", "aaaaaaa", true},
              {"a{,3}", "a{,3}", true},
              {"x+?y??", "xxx", true},
              {"[^a-c]", "d", true},
              {"[^a-c]", "b", false},
              {"[]a]+", "a]", true},
              {"[a\\-z]+", "a-z", true},
              {"\\d\\D\\s\\S\\w\\W", "1a b_-", true},
              {".", "\n", false},
              {".", "\xc3\xa4", true},
              {"..", "\xc3\xa4", false},
              {"\\x41\\x{e4}", "A\xc3\xa4", true},
              {"^a$", "a", true},
              {"\\bab\\b.c", "ab c", true},
              {"a\\b\\w", "ab", false},
              {"(?:a|b)*c", "ababc", true},
              {"(a*)*", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab", false},
              {"((a{0,9}){0,9}){0,9}b", "aaaa", false},
              {"\\.\\*", ".*", true}};
  char error[256];
  bool found;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
    assert_int_equal(match(rows[i].pattern, rows[i].text, &found, error), QCC_OK);
    if (found != rows[i].found) fail_msg("pattern %s, text %s: %d", rows[i].pattern, rows[i].text, found);
  }
}

/* Refused in silence while folding, whatever the reason; never a crash. */
static void bad_patterns(void **state) {
  (void)state;
  static const char *const bad[] = {"(",  ")",    "[",           "*a",    "a{3,2}", "a{1001}", "(?i)a",
                                    "\\", "\\pL", "[[:alpha:]]", "[b-a]", "\\x{",   "(?",      "[\\D]"};
  char error[256], deep[2048];
  bool found;
  for (size_t i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    if (match(bad[i], "a", &found, error) != QCC_UNSUPPORTED) fail_msg("pattern %s is accepted", bad[i]);
    assert_string_equal(error, "");
  }
  memset(deep, '(', sizeof deep - 1);
  deep[sizeof deep - 1] = 0;
  assert_int_equal(match(deep, "a", &found, error), QCC_UNSUPPORTED);
  assert_int_equal(match("((a{1000}){1000}){1000}", "a", &found, error), QCC_LIMIT);
  assert_int_equal(match("((()"
                         "{1000}){1000}){1000}",
                         "a", &found, error),
                   QCC_LIMIT);
}

/* ---- folding is silent about what has no kernel */
static void folding_is_silent(void **state) {
  (void)state;
  for (int i = 0; i < 5; ++i) {
    kernel_case c;
    start(&c, i == 0 ? 7 : 13);
    uint32_t seed = 1;
    switch (i) {
      case 0: /* statistics of training */
        input_random(&c, 3, (int64_t[]){1, 2, 3}, &seed);
        for (int k = 0; k < 4; ++k) input_random(&c, 1, (int64_t[]){2}, &seed);
        node(&c, QCC_OP_BATCH_NORMALIZATION, 2);
        break;
      case 1: /* an element type */
        input(&c, QCC_C64, 1, (int64_t[]){2});
        input(&c, QCC_C64, 1, (int64_t[]){2});
        node(&c, QCC_OP_ADD, 1);
        break;
      case 2: /* a format */
        memcpy(input(&c, QCC_U8, 1, (int64_t[]){8}), "RIFFabcd", 8);
        node(&c, QCC_OP_IMAGE_DECODER, 1);
        break;
      case 3: /* a list is no constant of a graph */
        input_random(&c, 1, (int64_t[]){2}, &seed);
        node(&c, QCC_OP_SEQUENCE_CONSTRUCT, 1);
        break;
      default: /* random */ node(&c, QCC_OP_RANDOM_NORMAL, 1); qcc_attr_set_ints(c.node, "shape", (int64_t[]){2}, 1);
    }
    const qcc_status st = fold_it(&c);
    if (st != QCC_UNSUPPORTED || c.error[0]) fail_msg("case %d: status %d, %s", i, (int)st, c.error);
    done(&c);
  }
}

/* A sequence where a tensor is needed: told, by whatever operator it meets. */
static void lists_meet_tensors(void **state) {
  (void)state;
  static const qcc_op ops[] = {QCC_OP_RELU, QCC_OP_SHAPE, QCC_OP_CAST, QCC_OP_TRANSPOSE, QCC_OP_REDUCE_SUM, QCC_OP_SEQUENCE_CONSTRUCT};
  for (size_t i = 0; i < sizeof ops / sizeof ops[0]; ++i) {
    kernel_case c;
    start(&c, 12);
    qcc_tensor item;
    const qcc_type t = qcc_type_of(QCC_F32, 1, (int64_t[]){3});
    assert_int_equal(qcc_tensor_new(&item, c.cx, &t), QCC_OK);
    assert_int_equal(qcc_tensor_list(&c.in[0], c.cx, QCC_SEQUENCE, &item, 1), QCC_OK);
    c.has[c.in_count++] = true;
    node(&c, ops[i], 1);
    qcc_attr_set_int(c.node, "to", QCC_F64);
    assert_int_equal(fold_it(&c), QCC_DATA);
    assert_non_null(strstr(c.error, "is a sequence"));
    done(&c);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(attention_follows_its_definition),
      cmocka_unit_test(transforms_of_every_length),
      cmocka_unit_test(patterns),
      cmocka_unit_test(bad_patterns),
      cmocka_unit_test(folding_is_silent),
      cmocka_unit_test(lists_meet_tensors),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
