/* SPDX-License-Identifier: Apache-2.0
 * Reductions over any set of axes. The input is first brought into the order [kept axes, reduced axes] (no copy when it has it already),
 * then every output is one contiguous run. Floats accumulate in double in 8 fixed lanes: deterministic, and vector code.
 * Integers accumulate in 64 bits and wrap. */
#include "backends/ref/kernels/kutil.h"

typedef enum reduce_op { R_MEAN, R_SUM, R_PROD, R_SUM_SQUARE, R_L1, R_L2, R_LOG_SUM, R_LOG_SUM_EXP, R_MAX, R_MIN } reduce_op;

enum { LANES = 8 };

#define LANE_SUM(name, T, TERM)                     \
  static double name(const T *x, int64_t n) {       \
    double lane[LANES] = {0}, sum = 0;              \
    int64_t i = 0;                                  \
    for (; i + LANES <= n; i += LANES) {            \
      for (int j = 0; j < LANES; ++j) {             \
        double v = (double)x[i + j];                \
        lane[j] += (TERM);                          \
      }                                             \
    }                                               \
    for (; i < n; ++i) {                            \
      double v = (double)x[i];                      \
      sum += (TERM);                                \
    }                                               \
    for (int j = 0; j < LANES; ++j) sum += lane[j]; \
    return sum;                                     \
  }

#define FLOAT_ROWS(id, T)                                                      \
  LANE_SUM(sum_##id, T, v)                                                     \
  LANE_SUM(square_##id, T, v *v)                                               \
  LANE_SUM(abs_##id, T, fabs(v))                                               \
  static double prod_##id(const T *x, int64_t n) {                             \
    double p = 1;                                                              \
    for (int64_t i = 0; i < n; ++i) p *= (double)x[i];                         \
    return p;                                                                  \
  }                                                                            \
  static double max_##id(const T *x, int64_t n) {                              \
    T m = (T)-INFINITY;                                                        \
    for (int64_t i = 0; i < n; ++i) m = (x[i] > m || x[i] != x[i]) ? x[i] : m; \
    return (double)m;                                                          \
  }                                                                            \
  static double min_##id(const T *x, int64_t n) {                              \
    T m = (T)INFINITY;                                                         \
    for (int64_t i = 0; i < n; ++i) m = (x[i] < m || x[i] != x[i]) ? x[i] : m; \
    return (double)m;                                                          \
  }                                                                            \
  static double log_sum_exp_##id(const T *x, int64_t n) {                      \
    double top = max_##id(x, n), sum = 0;                                      \
    if (isinf(top)) top = 0;                                                   \
    for (int64_t i = 0; i < n; ++i) sum += exp((double)x[i] - top);            \
    return log(sum) + top;                                                     \
  }                                                                            \
  static double row_##id(reduce_op op, const T *x, int64_t n) {                \
    switch (op) {                                                              \
      case R_MEAN: return sum_##id(x, n) / (double)n;                          \
      case R_SUM: return sum_##id(x, n);                                       \
      case R_PROD: return prod_##id(x, n);                                     \
      case R_SUM_SQUARE: return square_##id(x, n);                             \
      case R_L1: return abs_##id(x, n);                                        \
      case R_L2: return sqrt(square_##id(x, n));                               \
      case R_LOG_SUM: return log(sum_##id(x, n));                              \
      case R_LOG_SUM_EXP: return log_sum_exp_##id(x, n);                       \
      case R_MAX: return max_##id(x, n);                                       \
      default: return min_##id(x, n);                                          \
    }                                                                          \
  }

FLOAT_ROWS(f32, float)
FLOAT_ROWS(f64, double)

static bool less(qcc_dtype t, int64_t a, int64_t b) { return t == QCC_U64 ? (uint64_t)a < (uint64_t)b : a < b; }

static int64_t row_int(reduce_op op, const qcc_tensor *x, int64_t from, int64_t n) {
  qcc_dtype t = x->type.dtype;
  uint64_t sum = 0, prod = 1, square = 0, l1 = 0;
  double sum_exp = 0, wide = 0, square_wide = 0;
  int64_t top = t == QCC_BOOL ? 0 : qcc_dtype_min(t), low = t == QCC_BOOL ? 1 : t == QCC_U64 ? -1 : qcc_dtype_max(t);
  for (int64_t i = from; i < from + n; ++i) {
    int64_t v = qcc_tensor_get_s64(x, i);
    uint64_t u = (uint64_t)v;
    double d = qcc_tensor_get(x, i);
    sum += u;
    prod *= u;
    square += u * u;
    l1 += v < 0 && t != QCC_U64 ? 0 - u : u;
    wide += d;
    square_wide += d * d;
    if (op == R_LOG_SUM_EXP) sum_exp += exp(d);
    if (less(t, top, v)) top = v;
    if (less(t, v, low)) low = v;
  }
  switch (op) {
    case R_MEAN: return n == 0 ? 0 : t == QCC_U64 ? (int64_t)(sum / (uint64_t)n) : (int64_t)sum / n;
    case R_SUM: return (int64_t)sum;
    case R_PROD: return (int64_t)prod;
    case R_SUM_SQUARE: return (int64_t)square;
    case R_L1: return (int64_t)l1;
    case R_L2: return qcc_round_even(floor(sqrt(square_wide)));
    case R_LOG_SUM: return wide > 0 ? qcc_round_even(trunc(log(wide))) : 0;
    case R_LOG_SUM_EXP: return sum_exp > 0 ? qcc_round_even(trunc(log(sum_exp))) : 0;
    case R_MAX: return top;
    default: return low;
  }
}

typedef struct reduce_plan {
  qcc_type out;
  qcc_kx_move move; /* to the order [kept, reduced] */
  int64_t rows, run;
} reduce_plan;

/* `first_input_axes`: the opset in which axes became an input. */
static qcc_status plan_axes(qcc_kargs *k, int first_input_axes, uint32_t *set) {
  int64_t axes[QCC_MAX_RANK];
  int n, rank = k->in[0]->type.rank;
  QCC_TRY(qcc_kx_ints(k, k->opset >= first_input_axes ? 1 : QCC_KX_NO_INPUT, "axes", axes, QCC_MAX_RANK, &n));
  *set = 0;
  if (n <= 0 && !(n == 0 && k->opset < first_input_axes)) *set = qcc_attr_int(k->node, "noop_with_empty_axes", 0) ? 0 : (1u << rank) - 1;
  for (int i = 0; i < n; ++i) {
    int a = 0;
    QCC_TRY(qcc_kx_axis(k, axes[i], rank, &a));
    *set |= 1u << a;
  }
  return QCC_OK;
}

static void plan_move(reduce_plan *p, const qcc_type *x, uint32_t set, bool keep, size_t elem) {
  int64_t stride[QCC_MAX_RANK];
  qcc_kx_strides(stride, x->dim, x->rank, elem);
  *p = (reduce_plan){.out = {.dtype = x->dtype}, .rows = 1, .run = 1};
  for (int pass = 0; pass < 2; ++pass) {
    for (int d = 0; d < x->rank; ++d) {
      bool reduced = set >> d & 1;
      if (reduced != (pass == 1)) continue;
      p->move.dim[p->move.rank] = x->dim[d];
      p->move.from[p->move.rank++] = stride[d];
      if (reduced)
        p->run *= x->dim[d];
      else
        p->rows *= x->dim[d];
    }
  }
  qcc_kx_strides(p->move.to, p->move.dim, p->move.rank, elem);
  for (int d = 0; d < x->rank; ++d) {
    bool reduced = set >> d & 1;
    if (!reduced)
      p->out.dim[p->out.rank++] = x->dim[d];
    else if (keep)
      p->out.dim[p->out.rank++] = 1;
  }
}

static bool in_order(const qcc_kx_move *m) {
  for (int d = 0; d < m->rank; ++d) {
    if (m->dim[d] != 1 && m->from[d] != m->to[d]) return false;
  }
  return true;
}

static qcc_status ordered(qcc_kargs *k, const reduce_plan *p, size_t elem, const void **data) {
  void *copy;
  if (in_order(&p->move) || p->rows * p->run == 0) return QCC_OK;
  copy = qcc_kscratch(k, (size_t)(p->rows * p->run) * elem);
  if (!copy) return QCC_NOMEM;
  qcc_kx_copy(copy, *data, &p->move, elem);
  *data = copy;
  return QCC_OK;
}

static qcc_status reduce(qcc_kargs *k, reduce_op op, int first_input_axes) {
  const qcc_tensor *x = k->in[0];
  qcc_dtype t = x->type.dtype;
  bool is_float = qcc_kx_is_float(t), wide = t == QCC_F64;
  uint32_t set;
  size_t elem = sizeof(float);
  reduce_plan p;
  void *out;
  const void *data = x->data;
  if (!is_float && !qcc_dtype_is_int(t) && !(t == QCC_BOOL && (op == R_MAX || op == R_MIN))) return qcc_kx_no_type(k, t);
  if (!is_float || wide) QCC_TRY(qcc_kx_elem(k, t, &elem));
  QCC_TRY(plan_axes(k, first_input_axes, &set));
  plan_move(&p, &x->type, set, qcc_attr_int(k->node, "keepdims", 1) != 0, elem);
  QCC_TRY(qcc_kx_out(k, 0, &p.out, &out));
  if (!out) return QCC_OK;
  if (is_float && !wide) data = qcc_kx_f32(k, 0);
  if (!data) return QCC_NOMEM;
  QCC_TRY(ordered(k, &p, elem, &data));
  if (!is_float) {
    qcc_tensor view = {.type = qcc_type_of(t, 1, (int64_t[]){p.rows * p.run}), .data = data, .bytes = x->bytes};
    for (int64_t r = 0; r < p.rows; ++r) qcc_kx_put_s64(t, out, r, row_int(op, &view, r * p.run, p.run));
  } else if (wide) {
    for (int64_t r = 0; r < p.rows; ++r) qcc_kx_put(t, out, r, row_f64(op, (const double *)data + r * p.run, p.run));
  } else {
    for (int64_t r = 0; r < p.rows; ++r) qcc_kx_put(t, out, r, row_f32(op, (const float *)data + r * p.run, p.run));
  }
  return QCC_OK;
}

#define KERNEL(name, op, since) \
  qcc_status qcc_kernel_reduce_##name(qcc_kargs *k) { return reduce(k, op, since); }
KERNEL(mean, R_MEAN, 18)
KERNEL(sum, R_SUM, 13)
KERNEL(prod, R_PROD, 18)
KERNEL(sum_square, R_SUM_SQUARE, 18)
KERNEL(l1, R_L1, 18)
KERNEL(l2, R_L2, 18)
KERNEL(log_sum, R_LOG_SUM, 18)
KERNEL(log_sum_exp, R_LOG_SUM_EXP, 18)
KERNEL(max, R_MAX, 18)
KERNEL(min, R_MIN, 18)
