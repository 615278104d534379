/* SPDX-License-Identifier: Apache-2.0
 * Shape rules of attention and what stands around it: caches, rotary positions, recurrent forms. Q, K and V come as [batch, heads, length,
 * size] or packed as [batch, length, heads * size]; the rules reduce both to the first. */
#include "ir/shape.h"

typedef struct heads {
  int64_t batch, count, length, size; /* unknown: negative */
} heads;

static int64_t known_product(int64_t a, int64_t b) {
  int64_t n;
  return a >= 0 && b >= 0 && qcc_mul_s64(a, b, &n) ? n : QCC_DIM_UNKNOWN;
}

static int64_t known_sum(int64_t a, int64_t b) { return a >= 0 && b >= 0 && a <= INT64_MAX - b ? a + b : QCC_DIM_UNKNOWN; }

/* `attr` gives the number of heads of packed inputs. */
static qcc_status heads_of(const qcc_infer *f, uint32_t input, const char *attr, heads *h) {
  const qcc_type *t = qcc_shape_ranked(f, input);
  *h = (heads){QCC_DIM_UNKNOWN, QCC_DIM_UNKNOWN, QCC_DIM_UNKNOWN, QCC_DIM_UNKNOWN};
  QCC_TRY(qcc_shape_rank(f, input, 3, 4));
  if (!t) return QCC_OK;
  *h = (heads){t->dim[0], t->dim[1], t->dim[2], t->dim[3]};
  if (t->rank == 4) return QCC_OK;
  const int64_t count = qcc_attr_int(f->node, attr, 0), packed = t->dim[2];
  if (count < 1) return qcc_shape_bad(f, QCC_M_ATTR, "%s is %lld; inputs of rank 3 need the number of heads", attr, (long long)count);
  if (packed >= 0 && packed % count)
    return qcc_shape_bad(f, QCC_M_DIM, "%s %lld does not divide the last size %lld of input %u", attr, (long long)count, (long long)packed,
                         input);
  *h = (heads){t->dim[0], count, t->dim[1], packed < 0 ? QCC_DIM_UNKNOWN : packed / count};
  return QCC_OK;
}

static qcc_status check_groups(const qcc_infer *f, int64_t q, int64_t kv) {
  if (q < 0 || kv < 0 || (kv > 0 && q % kv == 0)) return QCC_OK;
  return qcc_shape_bad(f, QCC_M_DIM, "%lld heads of the query are no multiple of the %lld heads of key and value", (long long)q,
                       (long long)kv);
}

/* Q, K and V that fit each other. */
static qcc_status read_qkv(const qcc_infer *f, heads *q, heads *k, heads *v) {
  QCC_TRY(heads_of(f, 0, "q_num_heads", q));
  QCC_TRY(heads_of(f, 1, "kv_num_heads", k));
  QCC_TRY(heads_of(f, 2, "kv_num_heads", v));
  const qcc_type *t = qcc_shape_ranked(f, 0);
  for (uint32_t i = 1; t && i < 3; i++) QCC_TRY(qcc_shape_rank(f, i, t->rank, t->rank));
  QCC_TRY(qcc_shape_fit(f, &q->batch, k->batch, "batch of query and key"));
  QCC_TRY(qcc_shape_fit(f, &q->batch, v->batch, "batch of query and value"));
  QCC_TRY(qcc_shape_fit(f, &k->count, v->count, "heads of key and value"));
  QCC_TRY(qcc_shape_fit(f, &k->length, v->length, "lengths of key and value"));
  QCC_TRY(qcc_shape_fit(f, &q->size, k->size, "head sizes of query and key"));
  return check_groups(f, q->count, k->count);
}

static qcc_type four(qcc_dtype dtype, int64_t a, int64_t b, int64_t c, int64_t d) { return qcc_type_of(dtype, 4, (int64_t[]){a, b, c, d}); }

static void set_y(qcc_infer *f, const heads *q, const heads *v) {
  const qcc_type *t = qcc_shape_ranked(f, 0);
  qcc_type y = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  if (t && t->rank == 4) y = four(y.dtype, q->batch, q->count, q->length, v->size);
  if (t && t->rank == 3) y = qcc_type_of(y.dtype, 3, (int64_t[]){q->batch, q->length, known_product(q->count, v->size)});
  qcc_shape_set(f, 0, &y);
}

/* ---- Attention */
static qcc_status check_past(qcc_infer *f, heads *k, heads *v) {
  heads past[2];
  for (uint32_t i = 0; i < 2; i++) {
    heads *fresh = i ? v : k;
    QCC_TRY(qcc_shape_rank(f, 4 + i, 4, 4));
    QCC_TRY(heads_of(f, 4 + i, "kv_num_heads", &past[i]));
    QCC_TRY(qcc_shape_fit(f, &fresh->batch, past[i].batch, "batch of the cache"));
    QCC_TRY(qcc_shape_fit(f, &fresh->count, past[i].count, "heads of the cache"));
    QCC_TRY(qcc_shape_fit(f, &fresh->size, past[i].size, "head size of the cache"));
  }
  QCC_TRY(qcc_shape_fit(f, &past[0].length, past[1].length, "lengths of the caches"));
  k->length = v->length = known_sum(k->length, past[0].length);
  return QCC_OK;
}

/* Broadcasts to [batch, heads, queries, keys]; fewer keys are filled up. */
static qcc_status check_mask(const qcc_infer *f, const heads *q, int64_t total) {
  const qcc_type *m = qcc_shape_ranked(f, 3);
  const int64_t want[4] = {q->batch, q->count, q->length, total};
  QCC_TRY(qcc_shape_rank(f, 3, 1, 4));
  for (int d = 1; m && d <= m->rank; d++) {
    const int64_t have = m->dim[m->rank - d], most = want[4 - d];
    const bool fits = have < 0 || most < 0 || (d == 1 ? have <= most : have == 1 || have == most);
    if (!fits) return qcc_shape_bad(f, QCC_M_DIM, "the mask has size %lld where scores have %lld", (long long)have, (long long)most);
  }
  return QCC_OK;
}

qcc_status qcc_shape_attention(qcc_infer *f) {
  heads q, k, v;
  QCC_TRY(read_qkv(f, &q, &k, &v));
  const bool past = qcc_shape_in(f, 4) != NULL;
  if (past != (qcc_shape_in(f, 5) != NULL)) return qcc_shape_bad(f, QCC_M_ARITY, "past_key and past_value come together");
  if (past && qcc_shape_in(f, 6)) return qcc_shape_bad(f, QCC_M_ARITY, "nonpad_kv_seqlen and past_key exclude each other");
  if (past) QCC_TRY(check_past(f, &k, &v));
  if (qcc_shape_in(f, 3)) QCC_TRY(check_mask(f, &q, k.length));
  if (qcc_shape_in(f, 6)) {
    const qcc_type *pad = qcc_shape_ranked(f, 6);
    QCC_TRY(qcc_shape_rank(f, 6, 1, 1));
    if (pad) QCC_TRY(qcc_shape_fit(f, &q.batch, pad->dim[0], "batch and nonpad_kv_seqlen"));
  }
  const int64_t mode = qcc_attr_int(f->node, "qk_matmul_output_mode", 0);
  if (mode < 0 || mode > 3) return qcc_shape_bad(f, QCC_M_ATTR, "qk_matmul_output_mode is %lld; allowed is 0 to 3", (long long)mode);
  set_y(f, &q, &v);
  qcc_type t = four(qcc_shape_dtype(f, 1), k.batch, k.count, k.length, k.size);
  qcc_shape_set(f, 1, &t);
  t = four(qcc_shape_dtype(f, 2), v.batch, v.count, v.length, v.size);
  qcc_shape_set(f, 2, &t);
  t = four(qcc_shape_dtype(f, 0), q.batch, q.count, q.length, k.length);
  qcc_shape_set(f, 3, &t);
  return QCC_OK;
}

qcc_status qcc_shape_flex_attention(qcc_infer *f) {
  heads q, k, v;
  for (uint32_t i = 0; i < 3; i++) QCC_TRY(qcc_shape_rank(f, i, 4, 4));
  QCC_TRY(read_qkv(f, &q, &k, &v));
  set_y(f, &q, &v);
  return QCC_OK;
}

/* ---- recurrent forms */
static const char *const rules[] = {"gated_delta", "linear", "gated", "delta", NULL};
qcc_status qcc_shape_linear_attention(qcc_infer *f) {
  heads q, k, v;
  int rule;
  for (uint32_t i = 0; i < 3; i++) QCC_TRY(qcc_shape_rank(f, i, 3, 3));
  QCC_TRY(read_qkv(f, &q, &k, &v));
  QCC_TRY(qcc_shape_fit(f, &q.length, k.length, "lengths of query and key"));
  QCC_TRY(qcc_shape_choice(f, "update_rule", rules, &rule));
  const bool gates = rule == 0 || rule == 2, corrects = rule == 0 || rule == 3;
  if (gates && !qcc_shape_in(f, 4)) return qcc_shape_bad(f, QCC_M_ARITY, "update_rule %s needs the decay", rules[rule]);
  if (corrects && !qcc_shape_in(f, 5)) return qcc_shape_bad(f, QCC_M_ARITY, "update_rule %s needs beta", rules[rule]);
  for (uint32_t i = 4; i < 6; i++) {
    const qcc_type *t = qcc_shape_ranked(f, i);
    QCC_TRY(qcc_shape_rank(f, i, 3, 3));
    if (!t) continue;
    int64_t batch = q.batch, length = q.length, last = t->dim[2];
    QCC_TRY(qcc_shape_fit(f, &batch, t->dim[0], "batch of query and gates"));
    QCC_TRY(qcc_shape_fit(f, &length, t->dim[1], "lengths of query and gates"));
    const int64_t wide = i == 4 ? known_product(k.count, k.size) : 1;
    if (last >= 0 && k.count >= 0 && last != k.count && wide >= 0 && last != wide)
      return qcc_shape_bad(f, QCC_M_DIM, "input %u has last size %lld; allowed is %lld or %lld", i, (long long)last, (long long)k.count,
                           (long long)wide);
  }
  qcc_type state = four(qcc_shape_in(f, 3) ? qcc_shape_dtype(f, 3) : qcc_shape_dtype(f, 0), q.batch, k.count, k.size, v.size);
  const qcc_type *past = qcc_shape_ranked(f, 3);
  QCC_TRY(qcc_shape_rank(f, 3, 4, 4));
  for (int d = 0; past && d < 4; d++) QCC_TRY(qcc_shape_fit(f, &state.dim[d], past->dim[d], "sizes of the state"));
  set_y(f, &q, &v);
  qcc_shape_set(f, 1, &state);
  return QCC_OK;
}

static const char *const activations[] = {"none", "silu", "swish", NULL};
qcc_status qcc_shape_causal_conv(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *w = qcc_shape_ranked(f, 1), *b = qcc_shape_ranked(f, 2), *past = qcc_shape_ranked(f, 3);
  int activation;
  QCC_TRY(qcc_shape_choice(f, "activation", activations, &activation));
  for (uint32_t i = 0; i < 4; i++) QCC_TRY(qcc_shape_rank(f, i, i == 2 ? 1 : 3, i == 2 ? 1 : 3));
  qcc_shape_set(f, 0, f->in[0]);
  qcc_type state = qcc_shape_type(qcc_shape_dtype(f, 0), 3);
  if (x) state.dim[0] = x->dim[0], state.dim[1] = x->dim[1];
  if (w) {
    int64_t one = 1;
    if (w->dim[2] == 0) return qcc_shape_bad(f, QCC_M_DIM, "the kernel is empty");
    QCC_TRY(qcc_shape_fit(f, &state.dim[1], w->dim[0], "channels of input and weight"));
    QCC_TRY(qcc_shape_fit(f, &one, w->dim[1], "1 and the middle size of the weight"));
    state.dim[2] = w->dim[2] > 0 ? w->dim[2] - 1 : QCC_DIM_UNKNOWN;
  }
  if (b) QCC_TRY(qcc_shape_fit(f, &state.dim[1], b->dim[0], "channels of input and bias"));
  for (int d = 0; past && d < 3; d++) QCC_TRY(qcc_shape_fit(f, &state.dim[d], past->dim[d], "sizes of the state"));
  qcc_shape_set(f, 1, &state);
  return QCC_OK;
}

/* ---- positions and caches */
qcc_status qcc_shape_rotary(qcc_infer *f) {
  heads x;
  const qcc_type *id = qcc_shape_ranked(f, 3);
  const bool ids = qcc_shape_in(f, 3) != NULL;
  int64_t half = qcc_attr_int(f->node, "rotary_embedding_dim", 0);
  QCC_TRY(heads_of(f, 0, "num_heads", &x));
  if (half < 0 || half % 2 || (x.size >= 0 && half > x.size))
    return qcc_shape_bad(f, QCC_M_ATTR, "rotary_embedding_dim is %lld; allowed are even numbers up to the head size", (long long)half);
  if (half == 0 && x.size >= 0 && x.size % 2) return qcc_shape_bad(f, QCC_M_DIM, "the head size %lld is odd", (long long)x.size);
  half = half ? half / 2 : x.size >= 0 ? x.size / 2 : QCC_DIM_UNKNOWN;
  for (uint32_t i = 1; i < 3; i++) {
    const qcc_type *c = qcc_shape_ranked(f, i);
    QCC_TRY(qcc_shape_rank(f, i, ids ? 2 : 3, ids ? 2 : 3));
    if (!c) continue;
    QCC_TRY(qcc_shape_fit(f, &half, c->dim[c->rank - 1], "half the rotated size and the caches"));
    if (ids) continue;
    QCC_TRY(qcc_shape_fit(f, &x.batch, c->dim[0], "batch of input and caches"));
    QCC_TRY(qcc_shape_fit(f, &x.length, c->dim[1], "lengths of input and caches"));
  }
  QCC_TRY(qcc_shape_rank(f, 3, 2, 2));
  if (id) {
    QCC_TRY(qcc_shape_fit(f, &x.batch, id->dim[0], "batch of input and positions"));
    QCC_TRY(qcc_shape_fit(f, &x.length, id->dim[1], "lengths of input and positions"));
  }
  return qcc_shape_same(f);
}

static const char *const modes[] = {"linear", "circular", NULL};
qcc_status qcc_shape_tensor_scatter(qcc_infer *f) {
  const qcc_type *x = qcc_shape_ranked(f, 0), *u = qcc_shape_ranked(f, 1), *at = qcc_shape_ranked(f, 2);
  int mode, axis;
  QCC_TRY(qcc_shape_choice(f, "mode", modes, &mode));
  QCC_TRY(qcc_shape_same_dtype(f, 0, 1));
  QCC_TRY(qcc_shape_rank(f, 0, 2, QCC_MAX_RANK));
  if (x) {
    QCC_TRY(qcc_shape_rank(f, 1, x->rank, x->rank));
    QCC_TRY(qcc_shape_axis(f, qcc_attr_int(f->node, "axis", -2), x->rank, &axis));
    if (axis == 0) return qcc_shape_bad(f, QCC_M_INDEX, "axis 0 is the batch and cannot be written along");
    for (int d = 0; u && d < x->rank; d++) {
      int64_t size = x->dim[d];
      if (d != axis) QCC_TRY(qcc_shape_fit(f, &size, u->dim[d], "cache and update"));
      if (d == axis && size >= 0 && u->dim[d] > size)
        return qcc_shape_bad(f, QCC_M_DIM, "the update has %lld rows, the cache %lld", (long long)u->dim[d], (long long)size);
    }
  }
  QCC_TRY(qcc_shape_rank(f, 2, 1, 1));
  if (x && at) {
    int64_t batch = x->dim[0];
    QCC_TRY(qcc_shape_fit(f, &batch, at->dim[0], "batch and write_indices"));
  }
  return qcc_shape_same(f);
}

qcc_status qcc_shape_swiglu(qcc_infer *f) {
  qcc_type t = *f->in[0];
  QCC_TRY(qcc_shape_same_dtype(f, 0, 1));
  if (!qcc_type_merge(&t, f->in[1])) return qcc_shape_bad(f, QCC_M_DIM, "gate and value differ in shape");
  qcc_shape_set(f, 0, &t);
  return QCC_OK;
}
