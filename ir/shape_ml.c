/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of ai.onnx.ml and of what turns data of other kinds into numbers: n-grams, images. */
#include "ir/shape.h"

/* LabelEncoder: exactly one kind of keys and one of values. */
static int given_one(const qcc_node *n, const char *const *names) {
  int found = -1;
  for (int i = 0; names[i]; i++)
    if (qcc_attr_find(n, names[i])) found = found < 0 ? i : 4;
  return found;
}

qcc_status qcc_shape_label_encoder(qcc_infer *f) {
  static const char *const keys[] = {"keys_floats", "keys_int64s", "keys_strings", "keys_tensor", NULL};
  static const char *const values[] = {"values_floats", "values_int64s", "values_strings", "values_tensor", NULL};
  static const qcc_dtype types[] = {QCC_F32, QCC_S64, QCC_STRING};
  const int key = given_one(f->node, keys), value = given_one(f->node, values);
  if (f->opset < 2) return QCC_OK; /* classes in one list; there is no kernel */
  if (key < 0 || key > 3 || value < 0 || value > 3) return qcc_shape_bad(f, QCC_M_ARITY, "one list of keys and one of values are needed");
  const qcc_tensor *t = qcc_attr_tensor(f->node, "values_tensor");
  if (value == 3 && !t) return qcc_shape_bad(f, QCC_M_ATTR, "values_tensor is no tensor");
  qcc_type y = *f->in[0];
  y.dtype = value < 3 ? types[value] : t->type.dtype;
  qcc_shape_set(f, 0, &y);
  return QCC_OK;
}

/* The indices pick along the last axis. */
qcc_status qcc_shape_array_features(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *at = qcc_shape_ranked(f, 1);
  QCC_TRY(qcc_shape_rank(f, 0, 1, QCC_MAX_RANK));
  qcc_type t = qcc_shape_type(qcc_shape_dtype(f, 0), x ? (x->rank > 1 ? x->rank : 2) : -1);
  if (x && x->rank == 1) t.dim[0] = 1;
  for (int d = 0; x && d + 1 < x->rank; d++) t.dim[d] = x->dim[d];
  int64_t n;
  if (x && at && qcc_type_count(at, &n)) t.dim[t.rank - 1] = n;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

qcc_status qcc_shape_tree_ensemble(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  const int64_t targets = qcc_attr_int(f->node, "n_targets", 1);
  QCC_TRY(qcc_shape_rank(f, 0, 2, 2));
  if (targets < 1) return qcc_shape_bad(f, QCC_M_ATTR, "n_targets is %lld", (long long)targets);
  const qcc_type t = qcc_type_of(qcc_shape_dtype(f, 0), 2, (int64_t[]){x ? x->dim[0] : QCC_DIM_UNKNOWN, targets});
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

static const char *const modes[] = {"TF", "IDF", "TFIDF", NULL};
qcc_status qcc_shape_tf_idf(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0);
  qcc_type t = qcc_shape_type(QCC_F32, x ? (x->rank < 1 ? 1 : x->rank) : -1);
  uint32_t n;
  const int64_t *at = qcc_attr_ints(f->node, "ngram_indexes", &n);
  int64_t width = 0;
  int mode;
  if (!qcc_attr_find(f->node, "mode")) return qcc_shape_bad(f, QCC_M_ARITY, "attribute mode is missing");
  QCC_TRY(qcc_shape_choice(f, "mode", modes, &mode));
  QCC_TRY(qcc_shape_rank(f, 0, 0, 2));
  for (uint32_t i = 0; i < n; i++) {
    if (at[i] < 0 || at[i] > INT32_MAX) return qcc_shape_bad(f, QCC_M_ATTR, "ngram_indexes[%u] is %lld", i, (long long)at[i]);
    width = at[i] + 1 > width ? at[i] + 1 : width;
  }
  if (width == 0) return qcc_shape_bad(f, QCC_M_ATTR, "ngram_indexes is empty");
  if (x && x->rank == 2) t.dim[0] = x->dim[0];
  if (x) t.dim[t.rank - 1] = width;
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}

static const char *const formats[] = {"RGB", "BGR", "Grayscale", NULL};
qcc_status qcc_shape_image_decoder(qcc_infer *f) {
  int format;
  QCC_TRY(qcc_shape_choice(f, "pixel_format", formats, &format));
  QCC_TRY(qcc_shape_rank(f, 0, 1, 1));
  const qcc_type t = qcc_type_of(QCC_U8, 3, (int64_t[]){QCC_DIM_UNKNOWN, QCC_DIM_UNKNOWN, format == 2 ? 1 : 3});
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
