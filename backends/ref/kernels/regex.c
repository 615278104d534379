/* SPDX-License-Identifier: Apache-2.0
 * RegexFullMatch. The pattern becomes a small program whose threads run side by side over the code points of a string, so that time is at
 * most pattern times text whatever the pattern is. Syntax of RE2 without flags, named classes and Unicode classes. */
#include "backends/ref/kernels/kutil.h"

enum { MAX_DEPTH = 100, MAX_REPEAT = 1000, MAX_PROGRAM = 1 << 16, MAX_WORK = 1 << 20 };
typedef enum piece_kind { EMPTY, SET, JOIN, EITHER, REPEAT, EDGE } piece_kind;

typedef struct range {
  uint32_t lo, hi;
} range;

typedef struct piece {
  piece_kind kind;
  struct piece *a, *b;
  int min, max;       /* REPEAT; max -1: no end */
  const range *range; /* SET */
  uint32_t ranges;
  bool negated;
  char edge; /* EDGE: ^ $ b B */
} piece;

typedef struct parser {
  qcc_kargs *k;
  const char *at, *end;
  int depth;
  const char *wrong; /* what is not understood; NULL: nothing */
} parser;

static piece *new_piece(parser *p, piece_kind kind, piece *a, piece *b) {
  piece *x = qcc_kscratch(p->k, sizeof *x);
  if (x)
    *x = (piece){.kind = kind, .a = a, .b = b};
  else
    p->wrong = "no memory";
  return x;
}

/* One code point; broken UTF-8 counts byte by byte. */
static uint32_t decode(const char **at, const char *end) {
  const uint8_t *s = (const uint8_t *)*at;
  const size_t left = (size_t)(end - *at), n = s[0] < 0xc0 ? 1 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
  uint32_t c = s[0];
  bool whole = n > 1 && n <= left;
  for (size_t i = 1; whole && i < n; ++i) whole = (s[i] & 0xc0) == 0x80;
  if (whole) c &= 0xffu >> (n + 1);
  for (size_t i = 1; whole && i < n; ++i) c = c << 6 | (s[i] & 0x3fu);
  *at += whole ? n : 1;
  return c;
}

/* ---- sets */
static const range digits[] = {{'0', '9'}}, words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                   spaces[] = {{'\t', '\n'}, {'\f', '\r'}, {' ', ' '}};

static bool named_set(char c, const range **to, uint32_t *n) {
  switch (c | 0x20) {
    case 'd': *to = digits, *n = 1; return true;
    case 'w': *to = words, *n = 4; return true;
    case 's': *to = spaces, *n = 3; return true;
    default: return false;
  }
}

static piece *set_of(parser *p, const range *r, uint32_t n, bool negated) {
  piece *x = new_piece(p, SET, NULL, NULL);
  if (x) x->range = r, x->ranges = n, x->negated = negated;
  return x;
}

static piece *one_char(parser *p, uint32_t c) {
  range *r = qcc_kscratch(p->k, sizeof *r);
  if (!r) return p->wrong = "no memory", NULL;
  *r = (range){c, c};
  return set_of(p, r, 1, false);
}

static uint32_t hex(parser *p) {
  const bool braces = p->at < p->end && *p->at == '{';
  uint32_t c = 0;
  int n = 0;
  p->at += braces;
  for (; p->at < p->end && n < (braces ? 6 : 2); ++n, ++p->at) {
    const char d = *p->at;
    const int v = d >= '0' && d <= '9' ? d - '0' : (d | 32) >= 'a' && (d | 32) <= 'f' ? (d | 32) - 'a' + 10 : -1;
    if (v < 0) break;
    c = c * 16 + (uint32_t)v;
  }
  if (n == 0 || (braces && (p->at == p->end || *p->at++ != '}'))) p->wrong = "a hexadecimal escape that is not closed";
  return c;
}

/* The character after a backslash that stands for one character. */
static uint32_t escaped(parser *p) {
  static const char from[] = "nrtfva", to[] = "\n\r\t\f\v\a";
  if (p->at == p->end) return p->wrong = "a backslash at the end", 0u;
  const char *start = p->at;
  const uint32_t c = decode(&p->at, p->end);
  const char *found = c < 0x80 && c ? strchr(from, (int)c) : NULL;
  if (found) return (uint32_t)to[found - from];
  if (c == 'x') return hex(p);
  const bool letter = (*start >= '0' && *start <= '9') || ((*start | 32) >= 'a' && (*start | 32) <= 'z');
  if (letter) p->wrong = "an escape that this runtime does not know";
  return c;
}

static piece *class_of(parser *p) { /* after the opening bracket */
  range *r = qcc_kscratch(p->k, ((size_t)(p->end - p->at) * 4 + 4) * sizeof *r);
  uint32_t n = 0;
  if (!r) return p->wrong = "no memory", NULL;
  const bool negated = p->at < p->end && *p->at == '^';
  p->at += negated;
  for (bool first = true; !p->wrong; first = false) {
    if (p->at == p->end) return p->wrong = "a bracket that is not closed", NULL;
    if (*p->at == ']' && !first) break;
    const range *named;
    uint32_t count;
    if (p->at + 1 < p->end && p->at[0] == '[' && p->at[1] == ':') return p->wrong = "a named class", NULL;
    if (p->at + 1 < p->end && *p->at == '\\' && named_set(p->at[1], &named, &count)) {
      if (p->at[1] < 'a') return p->wrong = "a negated class within brackets", NULL;
      memcpy(r + n, named, count * sizeof *r);
      n += count;
      p->at += 2;
      continue;
    }
    uint32_t lo = decode(&p->at, p->end), hi;
    if (lo == '\\') lo = escaped(p);
    hi = lo;
    if (p->at + 1 < p->end && p->at[0] == '-' && p->at[1] != ']') {
      p->at++;
      hi = decode(&p->at, p->end);
      if (hi == '\\') hi = escaped(p);
      if (hi < lo) p->wrong = "a range that runs backwards";
    }
    r[n++] = (range){lo, hi};
  }
  p->at++;
  return set_of(p, r, n, negated);
}

/* ---- pieces */
static piece *alternatives(parser *p);

static piece *edge(parser *p, char kind) {
  piece *x = new_piece(p, EDGE, NULL, NULL);
  if (x) x->edge = kind;
  return x;
}

static piece *group(parser *p) {
  if (p->at + 1 < p->end && p->at[0] == '?') {
    if (p->at[1] != ':') return p->wrong = "a group with flags or a name", NULL;
    p->at += 2;
  }
  if (++p->depth > MAX_DEPTH) return p->wrong = "groups that are nested too deep", NULL;
  piece *x = alternatives(p);
  p->depth--;
  if (!p->wrong && (p->at == p->end || *p->at++ != ')')) p->wrong = "a group that is not closed";
  return x;
}

static piece *backslash(parser *p) {
  const range *named;
  uint32_t count;
  if (p->at < p->end && named_set(*p->at, &named, &count)) {
    const bool negated = *p->at < 'a';
    p->at++;
    return set_of(p, named, count, negated);
  }
  const char c = p->at < p->end ? *p->at : 0;
  if (c == 'b' || c == 'B' || c == 'A' || c == 'z') {
    p->at++;
    return edge(p, c == 'A' ? '^' : c == 'z' ? '$' : c);
  }
  return one_char(p, escaped(p));
}

static piece *atom(parser *p) {
  static const range line_end[] = {{'\n', '\n'}};
  const uint32_t c = decode(&p->at, p->end);
  switch (c) {
    case '(': return group(p);
    case '[': return class_of(p);
    case '.': return set_of(p, line_end, 1, true);
    case '^':
    case '$': return edge(p, (char)c);
    case '\\': return backslash(p);
    case '*':
    case '+':
    case '?': return p->wrong = "a repetition of nothing", NULL;
    default: return one_char(p, c);
  }
}

static int number(parser *p) {
  int n = -1;
  for (; p->at < p->end && *p->at >= '0' && *p->at <= '9'; ++p->at) {
    n = (n < 0 ? 0 : n) * 10 + (*p->at - '0');
    n = n > MAX_REPEAT ? MAX_REPEAT + 1 : n;
  }
  return n;
}

/* Reads {m}, {m,} or {m,n}; false: the brace is an ordinary character. */
static bool counts(parser *p, int *min, int *max) {
  const char *start = p->at++;
  *min = *max = number(p);
  if (*min >= 0 && p->at < p->end && *p->at == ',') {
    p->at++;
    *max = number(p);
  }
  if (*min >= 0 && p->at < p->end && *p->at == '}') {
    p->at++;
    return true;
  }
  p->at = start;
  return false;
}

static piece *repeated(parser *p) {
  piece *x = atom(p);
  while (!p->wrong && p->at < p->end && strchr("*+?{", *p->at) && *p->at) {
    int min = *p->at == '+', max = *p->at == '?' ? 1 : -1;
    if (*p->at != '{')
      p->at++;
    else if (!counts(p, &min, &max))
      break;
    if (p->at < p->end && *p->at == '?') p->at++; /* lazy: the same strings match */
    if (min > MAX_REPEAT || max > MAX_REPEAT || (max >= 0 && max < min)) p->wrong = "counts of a repetition";
    x = new_piece(p, REPEAT, x, NULL);
    if (x) x->min = min, x->max = max;
  }
  return x;
}

/* Sequences and alternatives lean to the right, so that walking them needs no stack. */
static piece *sequence(parser *p) {
  piece *x = new_piece(p, EMPTY, NULL, NULL), **end = &x;
  while (!p->wrong && p->at < p->end && *p->at != '|' && *p->at != ')') {
    piece *next = repeated(p);
    if (p->wrong || !(*end = new_piece(p, JOIN, next, *end))) break;
    end = &(*end)->b;
  }
  return x;
}

static piece *alternatives(parser *p) {
  piece *x = sequence(p), **end = &x;
  while (!p->wrong && p->at < p->end && *p->at == '|') {
    p->at++;
    piece *next = sequence(p);
    if (p->wrong || !(*end = new_piece(p, EITHER, *end, next))) break;
    end = &(*end)->b;
  }
  return x;
}

/* ---- the program */
typedef enum code { CODE_SET, CODE_EDGE, CODE_JUMP, CODE_SPLIT, CODE_MATCH } code;
typedef struct step {
  code code;
  uint32_t to[2]; /* JUMP, SPLIT */
  const piece *piece;
} step;

typedef struct program {
  step *step; /* NULL: only count */
  uint32_t n, work;
} program;

static uint32_t emit(program *g, step s) {
  if (g->step && g->n < MAX_PROGRAM) g->step[g->n] = s;
  return g->n < MAX_PROGRAM ? g->n++ : g->n;
}

static void patch(program *g, uint32_t at, int branch, uint32_t to) {
  if (g->step && at < MAX_PROGRAM) g->step[at].to[branch] = to;
}

static void compile(program *g, const piece *p);

static void compile_repeat(program *g, const piece *p) {
  for (int i = 0; i < p->min && g->n < MAX_PROGRAM; ++i) compile(g, p->a);
  if (p->max < 0) {
    const uint32_t split = emit(g, (step){.code = CODE_SPLIT, .to = {g->n + 1, 0}});
    compile(g, p->a);
    emit(g, (step){.code = CODE_JUMP, .to = {split, 0}});
    patch(g, split, 1, g->n);
    return;
  }
  for (int i = p->min; i < p->max && g->n < MAX_PROGRAM; ++i) {
    const uint32_t split = emit(g, (step){.code = CODE_SPLIT, .to = {g->n + 1, 0}});
    compile(g, p->a);
    patch(g, split, 1, g->n);
  }
}

static void compile_either(program *g, const piece *p) {
  uint32_t last = MAX_PROGRAM; /* jumps to the end, linked through to[1] */
  for (; p->kind == EITHER; p = p->b) {
    const uint32_t split = emit(g, (step){.code = CODE_SPLIT, .to = {g->n + 1, 0}});
    compile(g, p->a);
    last = emit(g, (step){.code = CODE_JUMP, .to = {0, last}});
    patch(g, split, 1, g->n);
  }
  compile(g, p);
  while (g->step && last < MAX_PROGRAM) {
    const uint32_t before = g->step[last].to[1];
    patch(g, last, 0, g->n);
    last = before;
  }
}

static void compile(program *g, const piece *p) {
  for (; p->kind == JOIN; p = p->b) compile(g, p->a);
  if (++g->work > MAX_WORK) g->n = MAX_PROGRAM; /* repetitions of nothing */
  if (g->n >= MAX_PROGRAM) return;
  if (p->kind == SET) emit(g, (step){.code = CODE_SET, .piece = p});
  if (p->kind == EDGE) emit(g, (step){.code = CODE_EDGE, .piece = p});
  if (p->kind == REPEAT) compile_repeat(g, p);
  if (p->kind == EITHER) compile_either(g, p);
}

/* ---- running */
typedef struct threads {
  uint32_t *at, n;
  uint64_t *seen, mark; /* seen[i] == mark: step i is in the list */
} threads;

static bool is_word(uint32_t c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || c == '_' || (c >= 'a' && c <= 'z'); }

typedef struct place {
  bool first, last;
  uint32_t before, after;
} place;

static bool holds(char kind, const place *p) {
  const bool border = (!p->first && is_word(p->before)) != (!p->last && is_word(p->after));
  return kind == '^' ? p->first : kind == '$' ? p->last : kind == 'b' ? border : !border;
}

/* Adds a step and all that follow without reading; `stack` has room for two entries per step. */
static void add(const program *g, threads *t, uint32_t at, const place *p, uint32_t *stack) {
  uint32_t n = 0;
  stack[n++] = at;
  while (n) {
    at = stack[--n];
    if (t->seen[at] == t->mark) continue;
    t->seen[at] = t->mark;
    const step *s = &g->step[at];
    if (s->code == CODE_SET || s->code == CODE_MATCH) t->at[t->n++] = at;
    if (s->code == CODE_EDGE && holds(s->piece->edge, p)) stack[n++] = at + 1;
    if (s->code == CODE_JUMP || s->code == CODE_SPLIT) stack[n++] = s->to[0];
    if (s->code == CODE_SPLIT) stack[n++] = s->to[1];
  }
}

static bool takes(const piece *p, uint32_t c) {
  bool in = false;
  for (uint32_t i = 0; i < p->ranges; ++i) in |= c >= p->range[i].lo && c <= p->range[i].hi;
  return in != p->negated;
}

static place place_at(const char *at, const char *end, bool first, uint32_t before) {
  const char *next = at;
  return (place){.first = first, .last = at == end, .before = before, .after = at < end ? decode(&next, end) : 0};
}

static bool full_match(const program *g, qcc_bytes text, threads *now, threads *then, uint32_t *stack) {
  const char *at = text.at, *end = text.at + text.n;
  place p = place_at(at, end, true, 0);
  now->n = 0;
  now->mark++;
  add(g, now, 0, &p, stack);
  while (at < end && now->n) {
    const uint32_t c = decode(&at, end);
    p = place_at(at, end, false, c);
    then->n = 0;
    then->mark++;
    for (uint32_t i = 0; i < now->n; ++i) {
      const step *s = &g->step[now->at[i]];
      if (s->code == CODE_SET && takes(s->piece, c)) add(g, then, now->at[i] + 1, &p, stack);
    }
    threads *swap = now;
    now = then;
    then = swap;
  }
  bool found = false;
  for (uint32_t i = 0; at == end && i < now->n; ++i) found |= g->step[now->at[i]].code == CODE_MATCH;
  return found;
}

static qcc_status build(qcc_kargs *k, program *g) {
  const char *pattern = qcc_attr_str(k->node, "pattern", "");
  parser p = {.k = k, .at = pattern, .end = pattern + strlen(pattern)};
  const piece *whole = alternatives(&p);
  if (!p.wrong && p.at < p.end) p.wrong = "a bracket that closes nothing";
  if (p.wrong && !strcmp(p.wrong, "no memory")) return QCC_NOMEM;
  if (p.wrong)
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-270", "pattern \"%.128s\" has %s at byte %d", pattern, p.wrong, (int)(p.at - pattern));
  *g = (program){.step = NULL};
  compile(g, whole);
  if (g->n >= MAX_PROGRAM) return qcc_kx_fail(k, QCC_LIMIT, "L-271", "the pattern needs more than %d steps", MAX_PROGRAM);
  g->step = qcc_kscratch(k, (g->n + 1) * sizeof *g->step);
  if (!g->step) return QCC_NOMEM;
  g->n = g->work = 0;
  compile(g, whole);
  emit(g, (step){.code = CODE_MATCH});
  return QCC_OK;
}

qcc_status qcc_kernel_regex_full_match(qcc_kargs *k) {
  const qcc_type t = qcc_kx_like(&k->in[0]->type, QCC_BOOL);
  const qcc_bytes *text;
  program g;
  threads list[2];
  void *to;
  QCC_TRY(qcc_kx_text(k, k->in[0], &text));
  QCC_TRY(build(k, &g));
  QCC_TRY(qcc_kx_out(k, 0, &t, &to));
  uint32_t *stack = qcc_kscratch(k, (2 * (size_t)g.n + 2) * sizeof *stack);
  for (int i = 0; i < 2; ++i) {
    list[i] = (threads){.at = qcc_kscratch(k, g.n * sizeof(uint32_t)), .seen = qcc_kscratch(k, g.n * sizeof(uint64_t))};
    if (!list[i].at || !list[i].seen || !stack) return QCC_NOMEM;
    memset(list[i].seen, 0, g.n * sizeof(uint64_t));
  }
  for (int64_t i = 0, n = to ? qcc_tensor_count(k->in[0]) : 0; i < n; ++i)
    ((uint8_t *)to)[i] = full_match(&g, text[i], &list[0], &list[1], stack);
  return QCC_OK;
}
