/* SPDX-License-Identifier: Apache-2.0
 * String tensors: views of their elements, outputs made of views; StringConcat, StringSplit, StringNormalizer. Text is bytes in UTF-8: case
 * changes touch ASCII letters, Latin-1 and the basic Greek and Cyrillic letters, which all keep their length. */
#include "backends/ref/kernels/kutil.h"

qcc_status qcc_kx_pass_on(qcc_kargs *k, uint32_t i, const qcc_tensor *t) {
  void *to;
  if (i >= k->out_count || !k->want[i]) return QCC_OK;
  if (!k->out[i].data) return qcc_tensor_share(&k->out[i], k->cx, t);
  QCC_TRY(qcc_kx_out(k, i, &t->type, &to));
  if (t->bytes && to != t->data) memmove(to, t->data, t->bytes);
  return QCC_OK;
}

qcc_status qcc_kx_text(qcc_kargs *k, const qcc_tensor *t, const qcc_bytes **to) {
  const int64_t n = qcc_tensor_count(t);
  size_t at = 0;
  *to = NULL;
  if (t->type.dtype != QCC_STRING) return qcc_kx_no_type(k, t->type.dtype);
  qcc_bytes *views = qcc_kscratch(k, ((size_t)n + 1) * sizeof *views);
  if (!views) return QCC_NOMEM;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t length = 0;
    if (t->bytes - at >= sizeof length) memcpy(&length, (const char *)t->data + at, sizeof length);
    if (t->bytes - at < sizeof length || t->bytes - at - sizeof length < length)
      return qcc_kx_fail(k, QCC_DATA, "D-254", "string %lld of the tensor is cut", (long long)i);
    views[i] = (qcc_bytes){(const char *)t->data + at + sizeof length, length};
    at += sizeof length + length;
  }
  *to = views;
  return QCC_OK;
}

qcc_status qcc_kx_put_text(qcc_kargs *k, uint32_t i, const qcc_type *t, const qcc_bytes *from) {
  int64_t n;
  size_t total = 0;
  if (i >= k->out_count || !k->want[i]) return QCC_OK;
  if (!qcc_type_count(t, &n)) return qcc_kx_fail(k, QCC_LIMIT, "L-255", "too many strings");
  for (int64_t j = 0; j < n; ++j)
    if (from[j].n > UINT32_MAX || !qcc_add_size(total, from[j].n + sizeof(uint32_t), &total))
      return qcc_kx_fail(k, QCC_LIMIT, "L-255", "too much text");
  if (total > qcc_context_limits(k->cx)->run_bytes)
    return qcc_kx_fail(k, QCC_LIMIT, "L-255", "%zu bytes of text; --max-run-bytes raises the limit", total);
  QCC_TRY(qcc_tensor_new_bytes(&k->out[i], k->cx, t, total));
  char *at = qcc_kout(k, i);
  for (int64_t j = 0; j < n; ++j) {
    const uint32_t length = (uint32_t)from[j].n;
    memcpy(at, &length, sizeof length);
    if (length) memcpy(at + sizeof length, from[j].at, length);
    at += sizeof length + length;
  }
  return QCC_OK;
}

qcc_status qcc_kx_movable(qcc_kargs *k, const qcc_tensor *x, const void **from, size_t *elem) {
  const qcc_bytes *views;
  *from = x->data;
  if (x->type.dtype != QCC_STRING) return qcc_kx_elem(k, x->type.dtype, elem);
  QCC_TRY(qcc_kx_text(k, x, &views));
  *from = views;
  *elem = sizeof *views;
  return QCC_OK;
}

qcc_status qcc_kx_move_to(qcc_kargs *k, uint32_t i, const qcc_type *t, void **to) {
  int64_t n;
  size_t bytes;
  if (t->dtype != QCC_STRING) return qcc_kx_out(k, i, t, to);
  *to = NULL;
  if (i >= k->out_count || !k->want[i]) return QCC_OK;
  if (!qcc_type_count(t, &n) || !qcc_mul_size((size_t)n, sizeof(qcc_bytes), &bytes) || bytes > qcc_context_limits(k->cx)->run_bytes)
    return qcc_kx_fail(k, QCC_LIMIT, "L-255", "too many strings");
  *to = qcc_kscratch(k, bytes + 1);
  return *to ? QCC_OK : QCC_NOMEM;
}

qcc_status qcc_kx_moved(qcc_kargs *k, uint32_t i, const qcc_type *t, const void *to) {
  return t->dtype == QCC_STRING ? qcc_kx_put_text(k, i, t, to) : QCC_OK;
}

int qcc_kx_compare_text(qcc_bytes a, qcc_bytes b) {
  const int c = memcmp(a.at, b.at, a.n < b.n ? a.n : b.n);
  return c ? c : a.n < b.n ? -1 : a.n > b.n;
}

/* ---- StringConcat */
qcc_status qcc_kernel_string_concat(qcc_kargs *k) {
  const qcc_bytes *part[2];
  qcc_type b = k->in[1]->type, t;
  qcc_kx_bcast p;
  int64_t n;
  for (int i = 0; i < 2; ++i) QCC_TRY(qcc_kx_text(k, k->in[i], &part[i]));
  QCC_TRY(qcc_kx_bcast_type(k, &t, &k->in[0]->type, &b));
  if (!qcc_type_count(&t, &n) || !qcc_kx_bcast_init(&p, &t, (const qcc_type *[]){&k->in[0]->type, &b}, 2)) n = 0;
  qcc_bytes *to = qcc_kscratch(k, ((size_t)n + 1) * sizeof *to);
  if (!to) return QCC_NOMEM;
  for (int64_t at = 0; at < n;) {
    const int last = p.rank - 1;
    for (int64_t i = 0; i < p.dim[last]; ++i, ++at) {
      const qcc_bytes x = part[0][p.offset[0] + i * p.stride[0][last]], y = part[1][p.offset[1] + i * p.stride[1][last]];
      char *both = qcc_kscratch(k, x.n + y.n + 1);
      if (!both) return QCC_NOMEM;
      memcpy(both, x.at, x.n);
      memcpy(both + x.n, y.at, y.n);
      to[at] = (qcc_bytes){both, x.n + y.n};
    }
    if (!qcc_kx_bcast_next(&p)) break;
  }
  return qcc_kx_put_text(k, 0, &t, to);
}

/* ---- StringSplit */
typedef struct splitter {
  qcc_bytes mark; /* empty: white space */
  int64_t most;   /* splits; -1: all */
} splitter;

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static const char *find(qcc_bytes in, qcc_bytes what) {
  for (size_t i = 0; in.n >= what.n && i <= in.n - what.n; ++i)
    if (memcmp(in.at + i, what.at, what.n) == 0) return in.at + i;
  return NULL;
}

/* Takes the next part off `rest`; false when there is none. `made`: parts so far. */
static bool next_part(const splitter *s, qcc_bytes *rest, int64_t made, qcc_bytes *part) {
  const bool last = s->most >= 0 && made >= s->most;
  if (!rest->at) return false;
  if (s->mark.n) {
    const char *at = last ? NULL : find(*rest, s->mark);
    *part = (qcc_bytes){rest->at, at ? (size_t)(at - rest->at) : rest->n};
    *rest = at ? (qcc_bytes){at + s->mark.n, rest->n - part->n - s->mark.n} : (qcc_bytes){NULL, 0};
    return true;
  }
  while (rest->n && is_space(*rest->at)) rest->at++, rest->n--;
  if (!rest->n) return false;
  size_t n = 0;
  while (n < rest->n && (last || !is_space(rest->at[n]))) n++;
  while (last && n && is_space(rest->at[n - 1])) n--;
  *part = (qcc_bytes){rest->at, n};
  *rest = last ? (qcc_bytes){NULL, 0} : (qcc_bytes){rest->at + n, rest->n - n};
  return true;
}

qcc_status qcc_kernel_string_split(qcc_kargs *k) {
  const qcc_type *x = &k->in[0]->type;
  const qcc_attr *mark = qcc_attr_find(k->node, "delimiter");
  const splitter s = {.mark = mark && mark->kind == QCC_ATTR_STRING ? mark->s : (qcc_bytes){"", 0},
                      .most = qcc_attr_int(k->node, "maxsplit", -1)};
  const int64_t n = qcc_tensor_count(k->in[0]);
  const qcc_bytes *from;
  int64_t width = 0;
  void *counts;
  qcc_bytes rest, part;
  QCC_TRY(qcc_kx_text(k, k->in[0], &from));
  const qcc_type numbers = qcc_kx_like(x, QCC_S64);
  QCC_TRY(qcc_kx_out(k, 1, &numbers, &counts));
  for (int64_t i = 0; i < n; ++i) {
    int64_t made = 0;
    for (rest = from[i]; next_part(&s, &rest, made, &part);) ++made;
    width = made > width ? made : width;
    if (counts) ((int64_t *)counts)[i] = made;
  }
  qcc_type t = *x;
  t.dim[t.rank++] = width;
  size_t all;
  if (!qcc_mul_size((size_t)n, (size_t)width * sizeof(qcc_bytes), &all)) all = SIZE_MAX - 64;
  qcc_bytes *to = qcc_kscratch(k, all + sizeof *to);
  if (!to) return QCC_NOMEM;
  for (int64_t i = 0; i < n; ++i) {
    int64_t made = 0;
    for (rest = from[i]; next_part(&s, &rest, made, &part);) to[i * width + made++] = part;
    for (; made < width; ++made) to[i * width + made] = (qcc_bytes){"", 0};
  }
  return qcc_kx_put_text(k, 0, &t, to);
}

/* ---- StringNormalizer */
/* The other case of the two-byte letter c: Latin-1 supplement, Greek, Cyrillic. 0: none. */
static unsigned other_case(unsigned c, bool up) {
  static const struct {
    unsigned low, high, up; /* small letters and the distance to their capitals */
  } rows[] = {{0xe0, 0xf6, 32}, {0xf8, 0xfe, 32}, {0x3b1, 0x3c1, 32}, {0x3c3, 0x3cb, 32}, {0x430, 0x44f, 32}, {0x450, 0x45f, 80}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
    if (up && c >= rows[i].low && c <= rows[i].high) return c - rows[i].up;
    if (!up && c >= rows[i].low - rows[i].up && c <= rows[i].high - rows[i].up) return c + rows[i].up;
  }
  return 0;
}

static qcc_status change_case(qcc_kargs *k, qcc_bytes *s, bool up) {
  uint8_t *to = qcc_kscratch(k, s->n + 1);
  if (!to) return QCC_NOMEM;
  memcpy(to, s->at, s->n);
  for (size_t i = 0; i < s->n; ++i) {
    if (to[i] < 0x80) {
      if (up ? to[i] >= 'a' && to[i] <= 'z' : to[i] >= 'A' && to[i] <= 'Z') to[i] ^= 0x20;
    } else if ((to[i] & 0xe0) == 0xc0 && i + 1 < s->n) {
      const unsigned c = other_case((to[i] & 0x1fu) << 6 | (to[i + 1] & 0x3fu), up);
      if (c) to[i] = (uint8_t)(0xc0 | c >> 6), to[i + 1] = (uint8_t)(0x80 | (c & 0x3f));
      ++i;
    }
  }
  s->at = (const char *)to;
  return QCC_OK;
}

static qcc_status read_stop_words(qcc_kargs *k, bool exact, const qcc_bytes **to, uint32_t *n) {
  const qcc_attr *a = qcc_attr_find(k->node, "stopwords");
  *n = a && a->kind == QCC_ATTR_STRINGS ? a->count : 0;
  qcc_bytes *words = qcc_kscratch(k, (*n + 1) * sizeof *words);
  if (!words) return QCC_NOMEM;
  for (uint32_t i = 0; i < *n; ++i) {
    words[i] = a->strings[i];
    if (!exact) QCC_TRY(change_case(k, &words[i], false));
  }
  *to = words;
  return QCC_OK;
}

qcc_status qcc_kernel_string_normalizer(qcc_kargs *k) {
  const bool exact = qcc_attr_int(k->node, "is_case_sensitive", 0) != 0;
  const char *action = qcc_attr_str(k->node, "case_change_action", "NONE");
  const int64_t n = qcc_tensor_count(k->in[0]);
  const qcc_bytes *from, *stop;
  uint32_t stops;
  int64_t kept = 0;
  QCC_TRY(qcc_kx_text(k, k->in[0], &from));
  QCC_TRY(read_stop_words(k, exact, &stop, &stops));
  qcc_bytes *to = qcc_kscratch(k, ((size_t)n + 1) * sizeof *to);
  if (!to) return QCC_NOMEM;
  for (int64_t i = 0; i < n; ++i) {
    qcc_bytes word = from[i];
    bool stopped = false;
    if (!exact) QCC_TRY(change_case(k, &word, false));
    for (uint32_t j = 0; j < stops; ++j) stopped |= qcc_kx_compare_text(word, stop[j]) == 0;
    if (stopped) continue;
    to[kept] = from[i];
    if (strcmp(action, "NONE") != 0) QCC_TRY(change_case(k, &to[kept], strcmp(action, "UPPER") == 0));
    ++kept;
  }
  if (!kept) to[kept++] = (qcc_bytes){"", 0};
  qcc_type t = k->in[0]->type;
  t.dim[t.rank - 1] = kept;
  return qcc_kx_put_text(k, 0, &t, to);
}
