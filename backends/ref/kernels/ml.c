/* SPDX-License-Identifier: Apache-2.0
 * ai.onnx.ml: LabelEncoder, Binarizer, ArrayFeatureExtractor, TreeEnsemble; and TfIdfVectorizer. Look-ups are binary searches in sorted
 * tables; trees are walked with a bound on the steps, because a file may hold a cycle. */
#include <stdlib.h>

#include "backends/ref/kernels/kutil.h"

/* ---- keys: a list of numbers or strings, compared as a whole */
typedef struct key {
  const int64_t *number;
  const qcc_bytes *text; /* not NULL: these count */
  int64_t n, at;         /* at: place in the list; the last of equal ones is found */
} key;

static int compare_items(const key *a, const key *b) {
  if (a->n != b->n) return a->n < b->n ? -1 : 1;
  for (int64_t i = 0; i < a->n; ++i) {
    const int c = a->text ? qcc_kx_compare_text(a->text[i], b->text[i]) : (a->number[i] > b->number[i]) - (a->number[i] < b->number[i]);
    if (c) return c;
  }
  return 0;
}

static int compare_keys(const void *a, const void *b) {
  const key *x = a, *y = b;
  const int c = compare_items(x, y);
  return c ? c : (x->at > y->at) - (x->at < y->at);
}

static void sort_keys(key *keys, int64_t n) {
  if (n > 1) qsort(keys, (size_t)n, sizeof *keys, compare_keys);
}

/* The last key equal to `want`; NULL: none. */
static const key *find_key(const key *keys, int64_t n, const key *want) {
  int64_t lo = 0, hi = n;
  while (lo < hi) {
    const int64_t mid = lo + (hi - lo) / 2;
    if (compare_items(&keys[mid], want) <= 0)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo && compare_items(&keys[lo - 1], want) == 0 ? &keys[lo - 1] : NULL;
}

/* A tensor's elements as numbers in the order of their type, or as strings. */
static qcc_status read_items(qcc_kargs *k, const qcc_tensor *t, const int64_t **number, const qcc_bytes **text) {
  const int64_t n = qcc_tensor_count(t);
  *number = NULL, *text = NULL;
  if (t->type.dtype == QCC_STRING) return qcc_kx_text(k, t, text);
  if (!qcc_kx_is_float(t->type.dtype) && !qcc_dtype_is_int(t->type.dtype)) return qcc_kx_no_type(k, t->type.dtype);
  int64_t *to = qcc_kscratch(k, ((size_t)n + 1) * sizeof *to);
  if (!to) return QCC_NOMEM;
  for (int64_t i = 0; i < n; ++i) to[i] = qcc_kx_key(t, i);
  *number = to;
  return QCC_OK;
}

/* ---- LabelEncoder */
/* The list PREFIX_floats, PREFIX_int64s, PREFIX_strings or PREFIX_tensor as a tensor; strings as views. */
static qcc_status read_list(qcc_kargs *k, const char *const names[4], qcc_tensor *t, const qcc_bytes **text) {
  *text = NULL;
  for (int i = 0; i < 4; ++i) {
    const qcc_attr *a = qcc_attr_find(k->node, names[i]);
    if (!a) continue;
    static const qcc_attr_kind kinds[] = {QCC_ATTR_FLOATS, QCC_ATTR_INTS, QCC_ATTR_STRINGS, QCC_ATTR_TENSOR};
    if (a->kind != kinds[i]) return qcc_kx_fail(k, QCC_DATA, "D-272", "attribute %s is of another kind", names[i]);
    if (i == 3) {
      *t = *a->t;
      return t->type.dtype == QCC_STRING ? qcc_kx_text(k, t, text) : QCC_OK;
    }
    const int64_t n = a->count;
    static const qcc_dtype types[] = {QCC_F32, QCC_S64, QCC_STRING};
    *t = (qcc_tensor){.type = qcc_type_of(types[i], 1, &n), .data = i == 0 ? (const void *)a->floats : a->ints};
    if (i == 2) *text = a->strings;
    return QCC_OK;
  }
  return qcc_kx_fail(k, QCC_DATA, "D-272", "neither %s nor the like is there", names[0]);
}

typedef struct encoder {
  key *keys;
  int64_t n;
  qcc_tensor value;
  const qcc_bytes *value_text;
  key *wanted;
} encoder;

static qcc_status read_encoder(qcc_kargs *k, encoder *e) {
  static const char *const key_names[] = {"keys_floats", "keys_int64s", "keys_strings", "keys_tensor"};
  static const char *const value_names[] = {"values_floats", "values_int64s", "values_strings", "values_tensor"};
  qcc_tensor keys;
  const qcc_bytes *text;
  const int64_t *number = NULL;
  QCC_TRY(read_list(k, key_names, &keys, &text));
  QCC_TRY(read_list(k, value_names, &e->value, &e->value_text));
  e->n = qcc_tensor_count(&keys);
  if (e->n != qcc_tensor_count(&e->value)) return qcc_kx_fail(k, QCC_DATA, "D-273", "there are more keys or more values");
  if (keys.type.dtype != k->in[0]->type.dtype) return qcc_kx_fail(k, QCC_DATA, "D-274", "the keys have another type than the input");
  if (!text) QCC_TRY(read_items(k, &keys, &number, &text));
  e->keys = qcc_kscratch(k, ((size_t)e->n + 1) * sizeof *e->keys);
  if (!e->keys) return QCC_NOMEM;
  for (int64_t i = 0; i < e->n; ++i) e->keys[i] = (key){number ? number + i : NULL, text ? text + i : NULL, 1, i};
  sort_keys(e->keys, e->n);
  return QCC_OK;
}

/* Number for elements without a key. */
static double default_number(const qcc_kargs *k, qcc_dtype t) {
  const qcc_tensor *d = qcc_attr_tensor(k->node, "default_tensor");
  if (d && qcc_tensor_count(d) == 1) return qcc_tensor_get(d, 0);
  return t == QCC_F32 ? (double)qcc_attr_float(k->node, "default_float", -0.0f) : (double)qcc_attr_int(k->node, "default_int64", -1);
}

static qcc_status default_text(qcc_kargs *k, qcc_bytes *to) {
  const qcc_tensor *d = qcc_attr_tensor(k->node, "default_tensor");
  const qcc_attr *a = qcc_attr_find(k->node, "default_string");
  const qcc_bytes *text;
  *to = a && a->kind == QCC_ATTR_STRING ? a->s : (qcc_bytes){"_Unused", 7};
  if (!d || d->type.dtype != QCC_STRING || qcc_tensor_count(d) != 1) return QCC_OK;
  QCC_TRY(qcc_kx_text(k, d, &text));
  *to = text[0];
  return QCC_OK;
}

static qcc_status encode(qcc_kargs *k, const encoder *e, const int64_t *at, const qcc_type *t) {
  const int64_t n = qcc_tensor_count(k->in[0]);
  void *to;
  size_t elem;
  if (t->dtype == QCC_STRING) {
    qcc_bytes *text = qcc_kscratch(k, ((size_t)n + 1) * sizeof *text), other;
    if (!text) return QCC_NOMEM;
    QCC_TRY(default_text(k, &other));
    for (int64_t i = 0; i < n; ++i) text[i] = at[i] < 0 ? other : e->value_text[at[i]];
    return qcc_kx_put_text(k, 0, t, text);
  }
  QCC_TRY(qcc_kx_elem(k, t->dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, t, &to));
  for (int64_t i = 0; to && i < n; ++i) {
    if (at[i] >= 0)
      memcpy((char *)to + (size_t)i * elem, (const char *)e->value.data + (size_t)at[i] * elem, elem);
    else
      qcc_kx_put(t->dtype, to, i, default_number(k, t->dtype));
  }
  return QCC_OK;
}

qcc_status qcc_kernel_label_encoder(qcc_kargs *k) {
  const int64_t n = qcc_tensor_count(k->in[0]);
  encoder e = {.n = 0};
  const int64_t *number;
  const qcc_bytes *text;
  if (k->opset < 2) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-275", "LabelEncoder of version 1 has no kernel");
  QCC_TRY(read_encoder(k, &e));
  QCC_TRY(read_items(k, k->in[0], &number, &text));
  int64_t *at = qcc_kscratch(k, ((size_t)n + 1) * sizeof *at);
  if (!at) return QCC_NOMEM;
  for (int64_t i = 0; i < n; ++i) {
    const key want = {number ? number + i : NULL, text ? text + i : NULL, 1, 0}, *found = find_key(e.keys, e.n, &want);
    at[i] = found ? found->at : -1;
  }
  const qcc_type t = qcc_kx_like(&k->in[0]->type, e.value.type.dtype);
  return encode(k, &e, at, &t);
}

/* ---- Binarizer, ArrayFeatureExtractor */
qcc_status qcc_kernel_binarizer(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  const double threshold = (double)qcc_attr_float(k->node, "threshold", 0);
  void *to;
  if (!qcc_kx_is_float(x->type.dtype) && !qcc_dtype_is_int(x->type.dtype)) return qcc_kx_no_type(k, x->type.dtype);
  QCC_TRY(qcc_kx_out(k, 0, &x->type, &to));
  for (int64_t i = 0, n = to ? qcc_tensor_count(x) : 0; i < n; ++i) qcc_kx_put(x->type.dtype, to, i, qcc_tensor_get(x, i) > threshold);
  return QCC_OK;
}

qcc_status qcc_kernel_array_features(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const int64_t n = qcc_tensor_count(k->in[1]), width = x->dim[x->rank - 1], rows = qcc_kx_product(x->dim, 0, x->rank - 1);
  qcc_type t = *x;
  size_t elem;
  void *to;
  if (t.rank == 1) t.dim[t.rank++] = 1, t.dim[0] = 1;
  t.dim[t.rank - 1] = n;
  QCC_TRY(qcc_kx_elem(k, t.dtype, &elem));
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  for (int64_t i = 0; to && i < rows * n; ++i) {
    const int64_t at = qcc_tensor_get_s64(k->in[1], i % n);
    if (at < 0 || at >= width) return qcc_kx_fail(k, QCC_DATA, "D-276", "index %lld is outside [0, %lld)", (long long)at, (long long)width);
    memcpy((char *)to + (size_t)i * elem, (const char *)k->in[0]->data + (size_t)(i / n * width + at) * elem, elem);
  }
  return QCC_OK;
}

/* ---- TreeEnsemble */
typedef struct ints {
  const int64_t *at;
  uint32_t n;
} ints;
enum { TRUE_NODE, FALSE_NODE, TRUE_LEAF, FALSE_LEAF, FEATURE, ROOTS, TARGET, TREE_LISTS };
/* post_transform, as the standard has it. ONNX Runtime 1.31 takes 1 for LOGISTIC and 2 for SOFTMAX, and leaves the scores of a single target. */
enum { NO_TRANSFORM, SOFTMAX, LOGISTIC, SOFTMAX_ZERO, PROBIT };
typedef struct trees {
  ints list[TREE_LISTS];
  ints missing;
  const qcc_tensor *mode, *split, *weight, *member;
  int64_t *set; /* by node: first of its members; -1: none */
  uint32_t nodes;
  int64_t targets, aggregate, transform;
} trees;

static qcc_status read_trees(qcc_kargs *k, trees *t) {
  static const char *const names[TREE_LISTS] = {"nodes_truenodeids", "nodes_falsenodeids", "nodes_trueleafs", "nodes_falseleafs",
                                                "nodes_featureids",  "tree_roots",         "leaf_targetids"};
  for (int i = 0; i < TREE_LISTS; ++i) t->list[i].at = qcc_attr_ints(k->node, names[i], &t->list[i].n);
  t->missing.at = qcc_attr_ints(k->node, "nodes_missing_value_tracks_true", &t->missing.n);
  t->mode = qcc_attr_tensor(k->node, "nodes_modes");
  t->split = qcc_attr_tensor(k->node, "nodes_splits");
  t->weight = qcc_attr_tensor(k->node, "leaf_weights");
  t->member = qcc_attr_tensor(k->node, "membership_values");
  t->nodes = t->list[TRUE_NODE].n;
  t->targets = qcc_attr_int(k->node, "n_targets", 1);
  t->aggregate = qcc_attr_int(k->node, "aggregate_function", 1);
  t->transform = qcc_attr_int(k->node, "post_transform", 0);
  bool fits = t->mode && t->split && t->weight && qcc_tensor_count(t->mode) == t->nodes && qcc_tensor_count(t->split) == t->nodes;
  for (int i = FALSE_NODE; fits && i <= FEATURE; ++i) fits = t->list[i].n == t->nodes;
  fits = fits && qcc_tensor_count(t->weight) == t->list[TARGET].n && (!t->missing.n || t->missing.n == t->nodes);
  for (uint32_t i = 0; fits && i < t->list[TARGET].n; ++i) fits = t->list[TARGET].at[i] >= 0 && t->list[TARGET].at[i] < t->targets;
  if (!fits) return qcc_kx_fail(k, QCC_DATA, "D-277", "the lists of nodes and leaves do not fit each other");
  if (t->aggregate < 0 || t->aggregate > 3 || t->transform < NO_TRANSFORM || t->transform > PROBIT)
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-278", "aggregate_function %lld, post_transform %lld", (long long)t->aggregate,
                       (long long)t->transform);
  t->set = qcc_kscratch(k, ((size_t)t->nodes + 1) * sizeof *t->set);
  if (!t->set) return QCC_NOMEM;
  int64_t at = 0;
  const int64_t members = t->member ? qcc_tensor_count(t->member) : 0;
  for (uint32_t i = 0; i < t->nodes; ++i) { /* sets stand in the order of their nodes, a NaN ends each */
    t->set[i] = qcc_tensor_get_s64(t->mode, i) == 6 ? at : -1;
    if (t->set[i] < 0) continue;
    while (at < members && !isnan(qcc_tensor_get(t->member, at))) ++at;
    ++at;
  }
  return QCC_OK;
}

static bool is_member(const trees *t, uint32_t node, double x) {
  for (int64_t i = t->set[node], n = t->member ? qcc_tensor_count(t->member) : 0; i < n; ++i) {
    const double m = qcc_tensor_get(t->member, i);
    if (isnan(m)) return false;
    if (m == x) return true;
  }
  return false;
}

static bool goes_true(const trees *t, uint32_t node, double x) {
  const double s = qcc_tensor_get(t->split, node);
  if (isnan(x) && t->missing.n && t->missing.at[node]) return true;
  switch (qcc_tensor_get_s64(t->mode, node)) {
    case 0: return x <= s;
    case 1: return x < s;
    case 2: return x >= s;
    case 3: return x > s;
    case 4: return x == s;
    case 5: return x != s;
    default: return is_member(t, node, x);
  }
}

/* Leaf that a row of features reaches; -1: the tree is broken. */
static int64_t find_leaf(const trees *t, int64_t root, const qcc_tensor *x, int64_t row) {
  const int64_t features = x->type.dim[1];
  int64_t at = root;
  for (uint32_t steps = 0; steps <= t->nodes; ++steps) {
    if (at < 0 || at >= t->nodes) return -1;
    const int64_t feature = t->list[FEATURE].at[at];
    if (feature < 0 || feature >= features) return -1;
    const bool yes = goes_true(t, (uint32_t)at, qcc_tensor_get(x, row * features + feature));
    const bool leaf = t->list[yes ? TRUE_LEAF : FALSE_LEAF].at[at] != 0;
    at = t->list[yes ? TRUE_NODE : FALSE_NODE].at[at];
    if (leaf) return at >= 0 && at < t->list[TARGET].n ? at : -1;
  }
  return -1;
}

static void collect(const trees *t, double *sum, int64_t *seen, int64_t leaf) {
  const int64_t target = t->list[TARGET].at[leaf];
  const double w = qcc_tensor_get(t->weight, leaf);
  if (t->aggregate <= 1)
    sum[target] += w;
  else if (!seen[target] || (t->aggregate == 2 ? w < sum[target] : w > sum[target]))
    sum[target] = w;
  seen[target]++;
}

/* Where the normal distribution reaches `p`, by Newton's steps from the middle into its lower half, which is convex: no step goes too far. */
static double probit(double p) {
  double x = 0;
  if (!(p > 0 && p < 1)) return p == 0 ? -INFINITY : p == 1 ? INFINITY : NAN;
  const double tail = p < .5 ? p : 1 - p;
  for (int i = 0; i < 1024; ++i) {
    const double step = (erfc(-x / sqrt(2.0)) / 2 - tail) / (exp(-x * x / 2) / sqrt(2 * acos(-1.0)));
    x -= step;
    if (fabs(step) < 1e-12) break;
  }
  return p < .5 ? x : -x;
}

/* Softmax of a row; `zero`: scores of 0 stay so. */
static void softmax_scores(double *x, int64_t n, bool zero) {
  double top = -INFINITY, sum = 0;
  for (int64_t i = 0; i < n; ++i) top = x[i] > top ? x[i] : top;
  for (int64_t i = 0; i < n; ++i) {
    x[i] = zero && x[i] == 0 ? 0 : exp(x[i] - top);
    sum += x[i];
  }
  for (int64_t i = 0; i < n; ++i) x[i] = sum > 0 ? x[i] / sum : 0;
}

static void transform_scores(const trees *t, double *x) {
  if (t->transform == SOFTMAX || t->transform == SOFTMAX_ZERO) softmax_scores(x, t->targets, t->transform == SOFTMAX_ZERO);
  for (int64_t i = 0; i < t->targets; ++i) {
    if (t->transform == LOGISTIC) x[i] = 1 / (1 + exp(-x[i]));
    if (t->transform == PROBIT) x[i] = probit(x[i]);
  }
}

qcc_status qcc_kernel_tree_ensemble(qcc_kargs *k) {
  const qcc_tensor *x = k->in[0];
  trees t = {.nodes = 0};
  void *to;
  if (!qcc_kx_is_float(x->type.dtype)) return qcc_kx_no_type(k, x->type.dtype);
  QCC_TRY(read_trees(k, &t));
  const qcc_type y = qcc_type_of(x->type.dtype, 2, (int64_t[]){x->type.dim[0], t.targets});
  QCC_TRY(qcc_kx_out(k, 0, &y, &to));
  double *sum = qcc_kscratch(k, (size_t)t.targets * sizeof *sum);
  int64_t *seen = qcc_kscratch(k, (size_t)t.targets * sizeof *seen);
  if (!sum || !seen) return QCC_NOMEM;
  for (int64_t row = 0; to && row < x->type.dim[0]; ++row) {
    memset(sum, 0, (size_t)t.targets * sizeof *sum);
    memset(seen, 0, (size_t)t.targets * sizeof *seen);
    for (uint32_t r = 0; r < t.list[ROOTS].n; ++r) {
      const int64_t leaf = find_leaf(&t, t.list[ROOTS].at[r], x, row);
      if (leaf < 0) return qcc_kx_fail(k, QCC_DATA, "D-279", "tree %u leads nowhere", r);
      collect(&t, sum, seen, leaf);
    }
    for (int64_t i = 0; i < t.targets && t.aggregate == 0 && t.list[ROOTS].n; ++i) sum[i] /= t.list[ROOTS].n;
    transform_scores(&t, sum);
    for (int64_t i = 0; i < t.targets; ++i) qcc_kx_put(y.dtype, to, row * t.targets + i, sum[i]);
  }
  return QCC_OK;
}

/* ---- TfIdfVectorizer */
typedef struct grams {
  key *keys;
  int64_t n;
  const int64_t *column; /* of n-gram `at` */
  int64_t least, longest, skips, width;
} grams;

/* The pool holds all 1-grams, then all 2-grams, ...; ngram_counts says where each length begins. */
static qcc_status read_grams(qcc_kargs *k, grams *g) {
  uint32_t pool, lengths, columns, texts = 0;
  const int64_t *number = qcc_attr_ints(k->node, "pool_int64s", &pool), *begin = qcc_attr_ints(k->node, "ngram_counts", &lengths);
  const qcc_attr *text = qcc_attr_find(k->node, "pool_strings");
  if (text && text->kind == QCC_ATTR_STRINGS) texts = text->count;
  if ((pool && texts) || (texts != 0) != (k->in[0]->type.dtype == QCC_STRING))
    return qcc_kx_fail(k, QCC_DATA, "D-280", "one pool of the input's kind is needed");
  if (texts) pool = texts;
  g->column = qcc_attr_ints(k->node, "ngram_indexes", &columns);
  g->keys = qcc_kscratch(k, ((size_t)columns + 1) * sizeof *g->keys);
  if (!g->keys) return QCC_NOMEM;
  for (uint32_t i = 0; i < columns; ++i) g->width = g->column[i] + 1 > g->width ? g->column[i] + 1 : g->width;
  int64_t all = 0;
  for (uint32_t l = 0; l < lengths; ++l) {
    const int64_t from = begin[l], to = l + 1 < lengths ? begin[l + 1] : pool, n = (int64_t)l + 1;
    if (from < 0 || to < from || to > pool || (to - from) % n)
      return qcc_kx_fail(k, QCC_DATA, "D-281", "ngram_counts does not divide the pool");
    for (int64_t i = from; i < to; i += n, ++all) {
      if (all == columns) return qcc_kx_fail(k, QCC_DATA, "D-281", "the pool has more n-grams than ngram_indexes");
      g->keys[all] = (key){texts ? NULL : number + i, texts ? text->strings + i : NULL, n, all};
    }
  }
  g->n = all;
  sort_keys(g->keys, g->n);
  return QCC_OK;
}

/* Counts the n-grams of one row: items `step` apart, every length. */
static void count_row(const grams *g, const int64_t *number, const qcc_bytes *text, int64_t length, key *want, int64_t *spare,
                      qcc_bytes *spare_text, float *to) {
  for (int64_t n = g->least; n <= g->longest; ++n) {
    for (int64_t step = 1; step <= (n == 1 ? 1 : g->skips + 1) && (n - 1) * step < length; ++step) {
      for (int64_t at = 0; at + (n - 1) * step < length; ++at) {
        for (int64_t i = 0; i < n; ++i) {
          if (text)
            spare_text[i] = text[at + i * step];
          else
            spare[i] = number[at + i * step];
        }
        *want = (key){text ? NULL : spare, text ? spare_text : NULL, n, 0};
        const key *found = find_key(g->keys, g->n, want);
        if (found) to[g->column[found->at]] += 1;
      }
    }
  }
}

static qcc_status weigh(qcc_kargs *k, const grams *g, int64_t rows, float *y) {
  const char *mode = qcc_attr_str(k->node, "mode", "TF");
  uint32_t n;
  const float *w = qcc_attr_floats(k->node, "weights", &n);
  if (strcmp(mode, "TF") == 0) return QCC_OK;
  if (n && n < g->width) return qcc_kx_fail(k, QCC_DATA, "D-282", "%u weights for %lld columns", n, (long long)g->width);
  for (int64_t i = 0; i < rows * g->width; ++i) {
    const float count = strcmp(mode, "IDF") == 0 ? (y[i] > 0 ? 1.0f : 0.0f) : y[i];
    y[i] = count * (n ? w[i % g->width] : 1.0f);
  }
  return QCC_OK;
}

qcc_status qcc_kernel_tf_idf(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const int64_t length = x->rank ? x->dim[x->rank - 1] : 1, rows = x->rank == 2 ? x->dim[0] : 1;
  grams g = {.least = qcc_attr_int(k->node, "min_gram_length", 1),
             .longest = qcc_attr_int(k->node, "max_gram_length", 1),
             .skips = qcc_attr_int(k->node, "max_skip_count", 0)};
  qcc_type t = {.dtype = QCC_F32, .rank = x->rank == 2 ? 2 : 1};
  const int64_t *number;
  const qcc_bytes *text;
  void *to;
  key want;
  if (g.least < 1 || g.longest < g.least || g.skips < 0 || g.skips > INT32_MAX)
    return qcc_kx_fail(k, QCC_DATA, "D-283", "lengths of n-grams or skips");
  if (g.longest > length) g.longest = length;
  QCC_TRY(read_grams(k, &g));
  if (x->dtype == QCC_STRING) {
    number = NULL;
    QCC_TRY(qcc_kx_text(k, k->in[0], &text));
  } else {
    if (!qcc_dtype_is_int(x->dtype)) return qcc_kx_no_type(k, x->dtype);
    QCC_TRY(read_items(k, k->in[0], &number, &text));
  }
  t.dim[0] = rows;
  t.dim[t.rank - 1] = g.width;
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  int64_t *spare = qcc_kscratch(k, ((size_t)length + 1) * sizeof *spare);
  qcc_bytes *spare_text = qcc_kscratch(k, ((size_t)length + 1) * sizeof *spare_text);
  if (!spare || !spare_text) return QCC_NOMEM;
  if (!to) return QCC_OK;
  memset(to, 0, k->out[0].bytes);
  for (int64_t r = 0; r < rows; ++r)
    count_row(&g, number ? number + r * length : NULL, text ? text + r * length : NULL, length, &want, spare, spare_text,
              (float *)to + r * g.width);
  return weigh(k, &g, rows, to);
}
