/* SPDX-License-Identifier: Apache-2.0
 * Shape rule of Einsum: reads the equation term by term, binds each letter to a size, and writes the sizes of the result term. */
#include <string.h>

#include "ir/shape.h"

enum { LETTERS = 128, TERM_MAX = 64 };

typedef struct term { /* letters of one term; the ellipsis stands before letter `ellipsis`, -1: none */
  char letter[TERM_MAX];
  int n, ellipsis;
} term;

typedef struct equation {
  qcc_infer *f;
  int64_t size[LETTERS];
  int seen[LETTERS];
  qcc_type middle; /* broadcast axes behind the ellipses */
  bool has_ellipsis, unknown;
} equation;

static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* Reads up to ',' or "->" or the end; *at is left there. */
static qcc_status read_term(const equation *e, const char **at, term *t) {
  *t = (term){.ellipsis = -1};
  const char *s = *at;
  for (; *s && *s != ',' && *s != '-'; s++) {
    if (*s == ' ') continue;
    if (strncmp(s, "...", 3) == 0 && t->ellipsis < 0) {
      t->ellipsis = t->n;
      s += 2;
    } else if (is_letter(*s) && t->n < TERM_MAX) {
      t->letter[t->n++] = *s;
    } else {
      return qcc_shape_bad(e->f, QCC_M_ATTR, "equation has '%c' where a letter, '...', ',' or '->' may stand", *s);
    }
  }
  *at = s;
  return QCC_OK;
}

static qcc_status bind_middle(equation *e, const qcc_type *x, const term *t) {
  qcc_type part = qcc_shape_type(QCC_NONE, x->rank - t->n);
  for (int i = 0; i < part.rank; i++) part.dim[i] = x->dim[t->ellipsis + i];
  if (!e->has_ellipsis)
    e->middle = part;
  else if (!qcc_broadcast(&e->middle, &e->middle, &part))
    return qcc_shape_bad(e->f, QCC_M_DIM, "the axes behind '...' do not broadcast");
  e->has_ellipsis = true;
  return QCC_OK;
}

static qcc_status bind(equation *e, uint32_t k, const term *t) {
  const qcc_type *x = qcc_shape_ranked(e->f, k);
  if (!x) e->unknown = true;
  if (x && (t->ellipsis < 0 ? x->rank != t->n : x->rank < t->n))
    return qcc_shape_bad(e->f, QCC_M_RANK, "input %u has rank %d, its term of the equation names %d axes", k, x->rank, t->n);
  if (x && t->ellipsis >= 0) QCC_TRY(bind_middle(e, x, t));
  for (int i = 0; i < t->n; i++) {
    int letter = t->letter[i];
    int64_t d = x ? x->dim[t->ellipsis >= 0 && i >= t->ellipsis ? x->rank - t->n + i : i] : QCC_DIM_UNKNOWN;
    if (!e->seen[letter]++)
      e->size[letter] = d;
    else if (e->size[letter] == 1)
      e->size[letter] = d;
    else if (d != 1)
      QCC_TRY(qcc_shape_fit(e->f, &e->size[letter], d, "axes of one letter"));
  }
  return QCC_OK;
}

/* Without "->": all letters that occur once, in alphabetic order, behind the ellipsis. */
static void implicit_result(const equation *e, term *t) {
  *t = (term){.ellipsis = e->has_ellipsis ? 0 : -1};
  for (int c = 0; c < LETTERS; c++)
    if (e->seen[c] == 1 && t->n < TERM_MAX) t->letter[t->n++] = (char)c;
}

static qcc_status write_result(equation *e, const term *t) {
  qcc_infer *f = e->f;
  int wide = t->ellipsis >= 0 && e->has_ellipsis ? e->middle.rank : 0;
  qcc_type out = qcc_shape_type(qcc_shape_dtype(f, 0), -1);
  for (int i = 0; i < t->n; i++) {
    if (!e->seen[(int)t->letter[i]]) return qcc_shape_bad(f, QCC_M_ATTR, "letter '%c' of the result is in no input", t->letter[i]);
    for (int j = 0; j < i; j++)
      if (t->letter[j] == t->letter[i]) return qcc_shape_bad(f, QCC_M_ATTR, "letter '%c' is twice in the result", t->letter[i]);
  }
  if (!(t->ellipsis >= 0 && e->unknown)) {
    QCC_TRY(qcc_shape_make(f, &out, out.dtype, t->n + wide));
    for (int i = 0; i < t->n; i++) out.dim[i + (t->ellipsis >= 0 && i >= t->ellipsis ? wide : 0)] = e->size[(int)t->letter[i]];
    for (int i = 0; i < wide; i++) out.dim[t->ellipsis + i] = e->middle.dim[i];
  }
  qcc_shape_set(f, 0, &out);
  return QCC_OK;
}

qcc_status qcc_shape_einsum(qcc_infer *f) {
  const char *at = qcc_attr_str(f->node, "equation", NULL);
  equation e = {.f = f};
  term t;
  if (!at) return qcc_shape_bad(f, QCC_M_ARITY, "attribute equation is missing");
  QCC_TRY(qcc_shape_same_dtype(f, 0, f->node->in_count));
  for (uint32_t k = 0; k < f->node->in_count; k++) {
    QCC_TRY(read_term(&e, &at, &t));
    QCC_TRY(bind(&e, k, &t));
    if (*at == ',' && k + 1 < f->node->in_count)
      at++;
    else if (k + 1 < f->node->in_count || *at == ',')
      return qcc_shape_bad(f, QCC_M_ATTR, "the equation has another number of terms than the node's %u inputs", f->node->in_count);
  }
  if (*at == 0) {
    implicit_result(&e, &t);
  } else {
    if (strncmp(at, "->", 2) != 0) return qcc_shape_bad(f, QCC_M_ATTR, "equation has '-' that is not '->'");
    at += 2;
    QCC_TRY(read_term(&e, &at, &t));
    if (*at) return qcc_shape_bad(f, QCC_M_ATTR, "equation goes on after its result");
  }
  return write_result(&e, &t);
}
