/* SPDX-License-Identifier: Apache-2.0
 * Broadcasting and strided copies: the two ways in which kernels walk over tensors of any rank.
 * Both first merge neighbouring dims that move alike, so that the common cases (same shape, scalar, per channel, plain transposition)
 * become one or two long loops. */
#include "backends/ref/kernels/kutil.h"

/* ---- broadcasting */
static bool operand_strides(int64_t *stride, const qcc_type *out, const qcc_type *in) {
  int shift = out->rank - in->rank;
  int64_t run = 1;
  if (shift < 0) return false;
  for (int d = 0; d < shift; ++d) stride[d] = 0;
  for (int d = in->rank - 1; d >= 0; --d) {
    if (in->dim[d] != 1 && in->dim[d] != out->dim[d + shift]) return false;
    stride[d + shift] = in->dim[d] == 1 ? 0 : run;
    run *= in->dim[d];
  }
  return true;
}

static bool moves_alike(const qcc_kx_bcast *p, int64_t stride[][QCC_MAX_RANK], int d, int64_t dim) {
  for (int o = 0; o < p->operands; ++o) {
    if (p->stride[o][p->rank - 1] != stride[o][d] * dim) return false;
  }
  return true;
}

bool qcc_kx_bcast_init(qcc_kx_bcast *p, const qcc_type *out, const qcc_type *const *in, int operands) {
  int64_t stride[QCC_KX_OPERANDS][QCC_MAX_RANK];
  *p = (qcc_kx_bcast){.operands = operands};
  for (int o = 0; o < operands; ++o) {
    if (!operand_strides(stride[o], out, in[o])) return false;
  }
  for (int d = 0; d < out->rank; ++d) {
    if (out->dim[d] == 1) continue;
    if (p->rank > 0 && moves_alike(p, stride, d, out->dim[d])) {
      p->dim[p->rank - 1] *= out->dim[d];
    } else {
      p->dim[p->rank++] = out->dim[d];
    }
    for (int o = 0; o < operands; ++o) p->stride[o][p->rank - 1] = stride[o][d];
  }
  if (p->rank == 0) {
    p->rank = 1;
    p->dim[0] = 1;
    for (int o = 0; o < operands; ++o) p->stride[o][0] = 1;
  }
  return true;
}

bool qcc_kx_bcast_next(qcc_kx_bcast *p) {
  p->done += p->dim[p->rank - 1];
  for (int d = p->rank - 2; d >= 0; --d) {
    if (++p->at[d] < p->dim[d]) {
      for (int o = 0; o < p->operands; ++o) p->offset[o] += p->stride[o][d];
      return true;
    }
    p->at[d] = 0;
    for (int o = 0; o < p->operands; ++o) p->offset[o] -= p->stride[o][d] * (p->dim[d] - 1);
  }
  return false;
}

static void pad_with_ones(qcc_type *b, int64_t axis, int rank) {
  int64_t tail = rank - axis - b->rank;
  for (int64_t i = 0; i < tail && b->rank < QCC_MAX_RANK; ++i) b->dim[b->rank++] = 1;
}

qcc_status qcc_kx_bcast_type(qcc_kargs *k, qcc_type *out, const qcc_type *a, qcc_type *b) {
  if (k->opset < 7 && qcc_attr_int(k->node, "broadcast", 0)) {
    int64_t axis = qcc_attr_int(k->node, "axis", a->rank - b->rank);
    if (axis < 0) axis += a->rank;
    if (axis >= 0) pad_with_ones(b, axis, a->rank);
  }
  *out = qcc_type_of(a->dtype, a->rank > b->rank ? a->rank : b->rank, (const int64_t[QCC_MAX_RANK]){0});
  for (int d = 0; d < out->rank; ++d) {
    int da = d - (out->rank - a->rank), db = d - (out->rank - b->rank);
    int64_t x = da < 0 ? 1 : a->dim[da], y = db < 0 ? 1 : b->dim[db];
    if (x != y && x != 1 && y != 1) {
      return qcc_kx_fail(k, QCC_DATA, "D-705", "shapes do not broadcast: size %lld meets %lld", (long long)x, (long long)y);
    }
    out->dim[d] = x == 1 ? y : x;
  }
  return QCC_OK;
}

qcc_kx_pair_loop qcc_kx_loop_of(const qcc_kx_pair_loops *loops, qcc_dtype t) {
  switch (t) {
    case QCC_F32:
    case QCC_F16:
    case QCC_BF16: return loops->f32;
    case QCC_F64: return loops->f64;
    case QCC_S8: return loops->s8;
    case QCC_S16: return loops->s16;
    case QCC_S32: return loops->s32;
    case QCC_S64: return loops->s64;
    case QCC_U8: return loops->u8;
    case QCC_U16: return loops->u16;
    case QCC_U32: return loops->u32;
    case QCC_U64: return loops->u64;
    default: return NULL;
  }
}

qcc_status qcc_kx_pairs(qcc_kargs *k, qcc_kx_pair_loop loop, qcc_kx_operand a, qcc_kx_operand b, size_t elem, const qcc_type *t, void *out,
                        size_t out_elem) {
  const int64_t size = (int64_t)elem, out_size = (int64_t)out_elem;
  qcc_kx_bcast p;
  if (qcc_kx_product(t->dim, 0, t->rank) == 0) return QCC_OK;
  if (!qcc_kx_bcast_init(&p, t, (const qcc_type *const[]){a.type, b.type}, 2))
    return qcc_kx_fail(k, QCC_DATA, "D-705", "shapes do not broadcast");
  const int last = p.rank - 1;
  const struct qcc_simd *simd = qcc_ksimd(k);
  do {
    loop(simd, p.dim[last], (const char *)a.data + p.offset[0] * size, p.stride[0][last], (const char *)b.data + p.offset[1] * size,
         p.stride[1][last], (char *)out + p.done * out_size);
  } while (qcc_kx_bcast_next(&p));
  return QCC_OK;
}

/* ---- strided copy */
void qcc_kx_strides(int64_t *stride, const int64_t *dim, int rank, size_t elem) {
  int64_t run = (int64_t)elem;
  for (int d = rank - 1; d >= 0; --d) {
    stride[d] = run;
    run *= dim[d];
  }
}

static void merge_dims(qcc_kx_move *m) {
  qcc_kx_move in = *m;
  m->rank = 0;
  for (int d = 0; d < in.rank; ++d) {
    int last = m->rank - 1;
    if (in.dim[d] == 1) continue;
    if (last >= 0 && m->to[last] == in.to[d] * in.dim[d] && m->from[last] == in.from[d] * in.dim[d]) {
      m->dim[last] *= in.dim[d];
    } else {
      m->dim[++last] = in.dim[d];
      m->rank = last + 1;
    }
    m->to[last] = in.to[d];
    m->from[last] = in.from[d];
  }
}

static bool is_run(const int64_t *offset, int64_t n, size_t elem) {
  for (int64_t i = 1; i < n; ++i) {
    if (offset[i] != offset[0] + i * (int64_t)elem) return false;
  }
  return true;
}

static void pick_run(char *to, const char *from, const int64_t *offset, int64_t n, size_t elem) {
#define PICK(T) \
  for (int64_t i = 0; i < n; ++i) memcpy(to + i * (int64_t)sizeof(T), from + offset[i], sizeof(T));
  switch (elem) {
    case 1: PICK(uint8_t) break;
    case 2: PICK(uint16_t) break;
    case 4: PICK(uint32_t) break;
    case 8: PICK(uint64_t) break;
    default:
      for (int64_t i = 0; i < n; ++i) memcpy(to + i * (int64_t)elem, from + offset[i], elem);
  }
}

void qcc_kx_pick(void *to, const void *from, int rank, const int64_t *dim, const int64_t *const *offset, size_t elem) {
  int64_t at[QCC_MAX_RANK] = {0}, one = 0, n = rank ? dim[rank - 1] : 1;
  const int64_t *inner = rank ? offset[rank - 1] : &one;
  const char *src = from;
  char *dst = to;
  for (int d = 0; d < rank; ++d) {
    if (dim[d] == 0) return;
  }
  for (int d = 0; d < rank - 1; ++d) src += offset[d][0];
  bool run = is_run(inner, n, elem);
  for (int d = 0; d >= 0; dst += n * (int64_t)elem) {
    if (run)
      memcpy(dst, src + inner[0], (size_t)n * elem);
    else
      pick_run(dst, src, inner, n, elem);
    for (d = rank - 2; d >= 0; --d) {
      src -= offset[d][at[d]];
      if (++at[d] < dim[d]) break;
      at[d] = 0;
      src += offset[d][0];
    }
    if (d >= 0) src += offset[d][at[d]];
  }
}

#define COPY_RUN(T)                                   \
  for (int64_t i = 0; i < n; ++i) {                   \
    T word;                                           \
    memcpy(&word, from + i * from_step, sizeof word); \
    memcpy(to + i * to_step, &word, sizeof word);     \
  }

static void copy_run(char *to, int64_t to_step, const char *from, int64_t from_step, int64_t n, size_t elem) {
  if (to_step == (int64_t)elem && from_step == (int64_t)elem) {
    memcpy(to, from, (size_t)n * elem);
    return;
  }
  switch (elem) {
    case 1: COPY_RUN(uint8_t) break;
    case 2: COPY_RUN(uint16_t) break;
    case 4: COPY_RUN(uint32_t) break;
    case 8: COPY_RUN(uint64_t) break;
    default:
      for (int64_t i = 0; i < n; ++i) memcpy(to + i * to_step, from + i * from_step, elem);
  }
}

/* Blocks keep the cache lines of both sides in use while one side is walked across its rows. */
static void copy_plane(char *to, const char *from, const qcc_kx_move *m, int d0, int d1, size_t elem) {
  enum { BLOCK = 16 };
  for (int64_t i = 0; i < m->dim[d0]; i += BLOCK) {
    int64_t i_end = i + BLOCK < m->dim[d0] ? i + BLOCK : m->dim[d0];
    for (int64_t j = 0; j < m->dim[d1]; j += BLOCK) {
      int64_t n = j + BLOCK < m->dim[d1] ? BLOCK : m->dim[d1] - j;
      for (int64_t r = i; r < i_end; ++r) {
        copy_run(to + r * m->to[d0] + j * m->to[d1], m->to[d1], from + r * m->from[d0] + j * m->from[d1], m->from[d1], n, elem);
      }
    }
  }
}

/* The dim along which the source is contiguous, when it is not the innermost: a transposition. -1: none. */
static int cross_dim(const qcc_kx_move *m, size_t elem) {
  if (m->rank < 2 || m->from[m->rank - 1] == (int64_t)elem || m->dim[m->rank - 1] < 4) return -1;
  for (int d = m->rank - 2; d >= 0; --d) {
    if (m->from[d] == (int64_t)elem && m->dim[d] >= 4) return d;
  }
  return -1;
}

void qcc_kx_copy(void *to, const void *from, const qcc_kx_move *move, size_t elem) {
  qcc_kx_move m = *move;
  int64_t at[QCC_MAX_RANK] = {0};
  const char *src = from;
  char *dst = to;
  for (int d = 0; d < m.rank; ++d) {
    if (m.dim[d] == 0) return;
  }
  merge_dims(&m);
  if (m.rank == 0) {
    memcpy(to, from, elem);
    return;
  }
  int cross = cross_dim(&m, elem), last = m.rank - 1, d = 0;
  while (d >= 0) {
    if (cross >= 0)
      copy_plane(dst, src, &m, cross, last, elem);
    else
      copy_run(dst, m.to[last], src, m.from[last], m.dim[last], elem);
    for (d = last - 1; d >= 0; --d) {
      if (d == cross) continue;
      dst += m.to[d];
      src += m.from[d];
      if (++at[d] < m.dim[d]) break;
      dst -= m.to[d] * m.dim[d];
      src -= m.from[d] * m.dim[d];
      at[d] = 0;
    }
  }
}

void qcc_kx_fill(void *to, const void *value, size_t elem, int64_t n) {
  char *p = to;
  size_t done = elem, total = (size_t)n * elem;
  if (n <= 0) return;
  if (value != to) memcpy(p, value, elem);
  while (done < total) {
    size_t more = done < total - done ? done : total - done;
    memcpy(p + done, p, more);
    done += more;
  }
}

void qcc_kx_turn(void *to, const void *from, int64_t batch, int64_t rows, int64_t columns, size_t elem) {
  const int64_t e = (int64_t)elem;
  const qcc_kx_move m = {
      .rank = 3, .dim = {batch, columns, rows}, .to = {rows * columns * e, rows * e, e}, .from = {rows * columns * e, e, columns * e}};
  qcc_kx_copy(to, from, &m, elem);
}
