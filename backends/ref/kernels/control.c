/* SPDX-License-Identifier: Apache-2.0
 * If, Loop and Scan: they run a body through qcc_krun. Bodies use outer values directly, so only their own inputs are passed.
 * Every body result is an owned tensor that is copied out or becomes the next state; all are released on every path. */
#include "backends/ref/kernels/kutil.h"

static void release_all(qcc_tensor *t, uint32_t n) {
  for (uint32_t i = 0; t && i < n; ++i) qcc_tensor_release(&t[i]);
}

static qcc_status read_flag(qcc_kargs *k, const qcc_tensor *t, bool *flag) {
  if (t->type.dtype != QCC_BOOL || qcc_tensor_count(t) != 1) return qcc_kx_fail(k, QCC_DATA, "D-790", "the condition must be one boolean");
  *flag = *(const uint8_t *)t->data != 0;
  return QCC_OK;
}

static qcc_status body_of(qcc_kargs *k, const char *attr, const qcc_graph **body) {
  *body = qcc_attr_graph(k->node, attr);
  return *body ? QCC_OK : qcc_kx_fail(k, QCC_DATA, "D-791", "attribute %s has no graph", attr);
}

qcc_status qcc_kernel_if(qcc_kargs *k) {
  const qcc_graph *body;
  bool yes = false;
  QCC_TRY(read_flag(k, k->in[0], &yes));
  QCC_TRY(body_of(k, yes ? "then_branch" : "else_branch", &body));
  if (body->output_count < k->out_count || body->input_count) {
    return qcc_kx_fail(k, QCC_DATA, "D-792", "the branch has %u inputs and %u outputs; 0 and %u are needed", body->input_count,
                       body->output_count, k->out_count);
  }
  qcc_tensor *out = qcc_zalloc_array(k->cx, body->output_count, sizeof *out);
  if (!out) return QCC_NOMEM;
  qcc_status st = qcc_krun(k, body, NULL, out);
  for (uint32_t i = 0; st == QCC_OK && i < k->out_count; ++i) st = qcc_kx_pass_on(k, i, &out[i]);
  release_all(out, body->output_count);
  qcc_free(k->cx, out);
  return st;
}

/* ---- outputs that grow by one slice per iteration */
typedef struct growing {
  qcc_type slice;
  char *at;
  size_t bytes, cap;
  int64_t count;
} growing;

static qcc_status grow(qcc_kargs *k, growing *g, const qcc_tensor *slice) {
  size_t need, cap;
  if (slice->type.dtype == QCC_STRING) return qcc_kx_no_type(k, QCC_STRING);
  if (qcc_dtype_bits(slice->type.dtype) < 8 || slice->type.rank >= QCC_MAX_RANK) return qcc_kx_no_type(k, slice->type.dtype);
  if (g->count == 0)
    g->slice = slice->type;
  else if (!qcc_type_equal(&g->slice, &slice->type))
    return qcc_kx_fail(k, QCC_DATA, "D-793", "iteration %lld gives another shape than the first", (long long)g->count);
  if (!qcc_add_size(g->bytes, slice->bytes, &need) || need > qcc_context_limits(k->cx)->run_bytes) {
    return qcc_kx_fail(k, QCC_LIMIT, "L-794", "the collected outputs exceed %llu bytes (--max-run-bytes)",
                       (unsigned long long)qcc_context_limits(k->cx)->run_bytes);
  }
  if (need > g->cap) {
    cap = need > g->cap * 2 ? need : g->cap * 2;
    char *more = qcc_realloc_array(k->cx, g->at, cap, 1);
    if (!more) return QCC_NOMEM;
    g->at = more;
    g->cap = cap;
  }
  if (slice->bytes) memcpy(g->at + g->bytes, slice->data, slice->bytes);
  g->bytes = need;
  ++g->count;
  return QCC_OK;
}

/* The slices stacked along a new axis (in reverse order when asked). Without any iteration the slice shape is what the body declares. */
static qcc_status stack_out(qcc_kargs *k, uint32_t i, const growing *g, const qcc_value *declared, int64_t axis, bool reverse) {
  qcc_type slice = g->count ? g->slice : declared->type, t = {.dtype = slice.dtype};
  int at = 0;
  void *to;
  for (int d = 0; d < slice.rank; ++d) slice.dim[d] = slice.dim[d] < 0 ? 0 : slice.dim[d];
  if (slice.dtype == QCC_NONE || slice.rank < 0 || slice.rank >= QCC_MAX_RANK) {
    if (i >= k->out_count || !k->want[i]) return QCC_OK;
    return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-795", "no iteration ran and the body does not declare the type of output %u", i);
  }
  QCC_TRY(qcc_kx_axis(k, axis, slice.rank + 1, &at));
  t.rank = (int8_t)(slice.rank + 1);
  for (int d = 0; d < t.rank; ++d) t.dim[d] = d == at ? g->count : slice.dim[d < at ? d : d - 1];
  QCC_TRY(qcc_kx_out(k, i, &t, &to));
  if (!to || g->bytes == 0) return QCC_OK;
  int64_t elem = (int64_t)(qcc_dtype_bits(t.dtype) / 8), inner = qcc_kx_product(slice.dim, at, slice.rank) * elem;
  int64_t outer = qcc_kx_product(slice.dim, 0, at);
  for (int64_t s = 0; s < g->count; ++s) {
    const char *from = g->at + (reverse ? g->count - 1 - s : s) * outer * inner;
    for (int64_t o = 0; o < outer; ++o) memcpy((char *)to + (o * g->count + s) * inner, from + o * inner, (size_t)inner);
  }
  return QCC_OK;
}

/* ---- what Loop and Scan share */
typedef struct iteration {
  const qcc_graph *body;
  uint32_t states, scans_in, scans_out, lead_in, lead_out; /* lead: Loop's counter and condition */
  qcc_tensor *in, *out;                                    /* of the body */
  qcc_tensor *state;                                       /* retained or owned */
  growing *grown;
} iteration;

static void end_iteration(qcc_kargs *k, iteration *it) {
  release_all(it->out, it->out ? it->body->output_count : 0);
  release_all(it->state, it->state ? it->states : 0);
  for (uint32_t i = 0; it->grown && i < it->scans_out; ++i) qcc_free(k->cx, it->grown[i].at);
  qcc_free(k->cx, it->in);
  qcc_free(k->cx, it->out);
  qcc_free(k->cx, it->state);
  qcc_free(k->cx, it->grown);
}

static qcc_status begin_iteration(qcc_kargs *k, iteration *it, uint32_t first_state) {
  if (it->body->input_count != it->lead_in + it->states + it->scans_in || it->body->output_count < it->lead_out + it->states) {
    return qcc_kx_fail(k, QCC_DATA, "D-792", "the body has %u inputs and %u outputs, which do not fit the operator", it->body->input_count,
                       it->body->output_count);
  }
  it->scans_out = it->body->output_count - it->lead_out - it->states;
  if (k->out_count > it->states + it->scans_out) return qcc_kx_fail(k, QCC_DATA, "D-792", "the body has too few outputs");
  it->in = qcc_zalloc_array(k->cx, it->body->input_count + 1, sizeof *it->in);
  it->out = qcc_zalloc_array(k->cx, it->body->output_count + 1, sizeof *it->out);
  it->state = qcc_zalloc_array(k->cx, it->states + 1, sizeof *it->state);
  it->grown = qcc_zalloc_array(k->cx, it->scans_out + 1, sizeof *it->grown);
  if (!it->in || !it->out || !it->state || !it->grown) return QCC_NOMEM;
  for (uint32_t i = 0; i < it->states; ++i) {
    const qcc_tensor *t = qcc_kx_in(k, first_state + i);
    if (!t) return qcc_kx_fail(k, QCC_DATA, "D-796", "input %u is left out", first_state + i);
    it->state[i] = *t;
    it->state[i].buf = NULL; /* borrowed */
  }
  return QCC_OK;
}

/* Runs the body on it->in (lead and scan inputs are set); states move on, scan outputs are collected. it->out keeps the lead outputs. */
static qcc_status iterate(qcc_kargs *k, iteration *it) {
  for (uint32_t i = 0; i < it->states; ++i) it->in[it->lead_in + i] = it->state[i];
  release_all(it->out, it->body->output_count);
  QCC_TRY(qcc_krun(k, it->body, it->in, it->out));
  for (uint32_t i = 0; i < it->states; ++i) {
    qcc_tensor_release(&it->state[i]);
    it->state[i] = it->out[it->lead_out + i];
    it->out[it->lead_out + i] = (qcc_tensor){0};
  }
  for (uint32_t i = 0; i < it->scans_out; ++i) QCC_TRY(grow(k, &it->grown[i], &it->out[it->lead_out + it->states + i]));
  return QCC_OK;
}

/* ---- Loop */
static qcc_status run_loop(qcc_kargs *k, iteration *it) {
  const qcc_tensor *limit = qcc_kx_in(k, 0), *condition = qcc_kx_in(k, 1);
  int64_t trips = INT64_MAX, i = 0;
  uint8_t flag = 1;
  bool go = true;
  if (limit && qcc_tensor_count(limit) != 1) return qcc_kx_fail(k, QCC_DATA, "D-797", "the trip count must be one number");
  if (limit) trips = qcc_tensor_get_s64(limit, 0);
  if (condition) QCC_TRY(read_flag(k, condition, &go));
  for (; go && i < trips; ++i) {
    if ((uint64_t)i >= qcc_context_limits(k->cx)->run_steps) {
      return qcc_kx_fail(k, QCC_LIMIT, "L-798", "more than %lld iterations (--max-steps)", (long long)i);
    }
    it->in[0] = (qcc_tensor){.type = qcc_type_of(QCC_S64, 0, NULL), .data = &i, .bytes = sizeof i};
    it->in[1] = (qcc_tensor){.type = qcc_type_of(QCC_BOOL, 0, NULL), .data = &flag, .bytes = sizeof flag};
    QCC_TRY(iterate(k, it));
    QCC_TRY(read_flag(k, &it->out[0], &go));
    flag = go;
  }
  for (uint32_t s = 0; s < it->states; ++s) QCC_TRY(qcc_kx_pass_on(k, s, &it->state[s]));
  for (uint32_t s = 0; s < it->scans_out && it->states + s < k->out_count; ++s) {
    QCC_TRY(stack_out(k, it->states + s, &it->grown[s], it->body->outputs[1 + it->states + s]->value, 0, false));
  }
  return QCC_OK;
}

qcc_status qcc_kernel_loop(qcc_kargs *k) {
  iteration it = {.lead_in = 2, .lead_out = 1, .states = k->in_count > 2 ? k->in_count - 2 : 0}; /* count and condition may be left out */
  QCC_TRY(body_of(k, "body", &it.body));
  qcc_status st = begin_iteration(k, &it, 2);
  if (st == QCC_OK) st = run_loop(k, &it);
  end_iteration(k, &it);
  return st;
}

/* ---- Scan */
typedef struct scan_input {
  const char *data;
  qcc_type slice;
  int axis;
  bool reverse;
} scan_input;

static int64_t list_entry(qcc_kargs *k, const char *attr, uint32_t i) {
  uint32_t count;
  const int64_t *list = qcc_attr_ints(k->node, attr, &count);
  return i < count ? list[i] : 0;
}

/* Slice `at` of scan input `i`, in its own scratch block. */
static void take_slice(const qcc_tensor *x, const scan_input *s, int64_t at, qcc_tensor *to) {
  int64_t elem = (int64_t)(qcc_dtype_bits(x->type.dtype) / 8), n = x->type.dim[s->axis];
  int64_t inner = qcc_kx_product(x->type.dim, s->axis + 1, x->type.rank) * elem, outer = qcc_kx_product(x->type.dim, 0, s->axis);
  if (s->reverse) at = n - 1 - at;
  for (int64_t o = 0; o < outer; ++o)
    memcpy((char *)(uintptr_t)to->data + o * inner, (const char *)x->data + (o * n + at) * inner, (size_t)inner);
}

static qcc_status scan_inputs(qcc_kargs *k, const iteration *it, scan_input *s, qcc_tensor *slices, int64_t *steps) {
  *steps = -1;
  for (uint32_t i = 0; i < it->scans_in; ++i) {
    const qcc_tensor *x = qcc_kx_in(k, it->states + i);
    size_t elem;
    if (!x) return qcc_kx_fail(k, QCC_DATA, "D-796", "input %u is left out", it->states + i);
    QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
    QCC_TRY(qcc_kx_axis(k, list_entry(k, "scan_input_axes", i), x->type.rank, &s[i].axis));
    s[i].reverse = list_entry(k, "scan_input_directions", i) != 0;
    s[i].slice = (qcc_type){.dtype = x->type.dtype};
    for (int d = 0; d < x->type.rank; ++d) {
      if (d != s[i].axis) s[i].slice.dim[s[i].slice.rank++] = x->type.dim[d];
    }
    int64_t n = x->type.dim[s[i].axis];
    if (*steps >= 0 && n != *steps)
      return qcc_kx_fail(k, QCC_DATA, "D-799", "scan inputs have %lld and %lld steps", (long long)*steps, (long long)n);
    *steps = n;
    QCC_TRY(qcc_tensor_new(&slices[i], k->cx, &s[i].slice));
  }
  return QCC_OK;
}

static qcc_status run_scan(qcc_kargs *k, iteration *it, scan_input *s, qcc_tensor *slices) {
  int64_t steps;
  QCC_TRY(scan_inputs(k, it, s, slices, &steps));
  for (int64_t t = 0; t < steps; ++t) {
    for (uint32_t i = 0; i < it->scans_in; ++i) {
      take_slice(k->in[it->states + i], &s[i], t, &slices[i]);
      it->in[it->states + i] = slices[i];
    }
    QCC_TRY(iterate(k, it));
  }
  for (uint32_t i = 0; i < it->states; ++i) QCC_TRY(qcc_kx_pass_on(k, i, &it->state[i]));
  for (uint32_t i = 0; i < it->scans_out && it->states + i < k->out_count; ++i) {
    QCC_TRY(stack_out(k, it->states + i, &it->grown[i], it->body->outputs[it->states + i]->value, list_entry(k, "scan_output_axes", i),
                      list_entry(k, "scan_output_directions", i) != 0));
  }
  return QCC_OK;
}

/* ---- Scan of opset 8: an input with lengths in front, a batch axis in front of all, then time */
/* Item `at` of tensor x along its first `lead` axes, as a borrowed tensor. */
static qcc_status item_of(qcc_kargs *k, const qcc_tensor *x, int lead, int64_t at, qcc_tensor *to) {
  size_t elem;
  if (!x || x->type.rank < lead) return qcc_kx_fail(k, QCC_DATA, "D-802", "an input of Scan has too few axes");
  QCC_TRY(qcc_kx_elem(k, x->type.dtype, &elem));
  *to = (qcc_tensor){.type = {.dtype = x->type.dtype, .rank = (int8_t)(x->type.rank - lead)}};
  for (int d = 0; d < to->type.rank; ++d) to->type.dim[d] = x->type.dim[d + lead];
  to->bytes = (size_t)qcc_kx_product(to->type.dim, 0, to->type.rank) * elem;
  to->data = (const char *)x->data + (size_t)at * to->bytes;
  return QCC_OK;
}

/* Item b of output i; what is missing at its end is zero. */
static qcc_status put_item(qcc_kargs *k, uint32_t i, const qcc_type *each, int64_t batch, int64_t b, const void *from, size_t bytes) {
  qcc_type t = {.dtype = each->dtype, .rank = (int8_t)(each->rank + 1), .dim = {batch}};
  void *to;
  if (each->rank >= QCC_MAX_RANK) return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-803", "an output of rank %d", each->rank + 1);
  memcpy(t.dim + 1, each->dim, (size_t)each->rank * sizeof *t.dim);
  QCC_TRY(qcc_kx_out(k, i, &t, &to));
  const size_t room = to && batch ? k->out[i].bytes / (size_t)batch : 0;
  if (!to || bytes > room) return to ? qcc_kx_fail(k, QCC_DATA, "D-793", "the samples of the batch give different shapes") : QCC_OK;
  memset((char *)to + (size_t)b * room, 0, room);
  if (bytes) memcpy((char *)to + (size_t)b * room, from, bytes);
  return QCC_OK;
}

static qcc_status run_batch(qcc_kargs *k, iteration *it, int64_t b, int64_t steps, int64_t batch) {
  const int64_t n = k->in[0] ? qcc_tensor_get_s64(k->in[0], b) : steps;
  if (n < 0 || n > steps) return qcc_kx_fail(k, QCC_DATA, "D-804", "length %lld of %lld steps", (long long)n, (long long)steps);
  for (uint32_t i = 0; i < it->states; ++i) QCC_TRY(item_of(k, k->in[1 + i], 1, b, &it->state[i]));
  for (int64_t t = 0; t < n; ++t) {
    for (uint32_t i = 0; i < it->scans_in; ++i) {
      const int64_t at = list_entry(k, "directions", i) ? n - 1 - t : t;
      QCC_TRY(item_of(k, k->in[1 + it->states + i], 2, b * steps + at, &it->in[it->states + i]));
    }
    QCC_TRY(iterate(k, it));
  }
  for (uint32_t i = 0; i < k->out_count; ++i) {
    if (i < it->states) {
      QCC_TRY(put_item(k, i, &it->state[i].type, batch, b, it->state[i].data, it->state[i].bytes));
      continue;
    }
    const growing *g = &it->grown[i - it->states];
    qcc_type each = {.dtype = g->slice.dtype, .rank = (int8_t)(g->slice.rank + 1), .dim = {steps}};
    if (!g->count || g->slice.rank >= QCC_MAX_RANK - 1)
      return qcc_kx_fail(k, QCC_UNSUPPORTED, "U-795", "no iteration ran for output %u", i);
    memcpy(each.dim + 1, g->slice.dim, (size_t)g->slice.rank * sizeof *each.dim);
    QCC_TRY(put_item(k, i, &each, batch, b, g->at, g->bytes));
  }
  return QCC_OK;
}

static qcc_status scan_batches(qcc_kargs *k, int64_t scans) {
  if (scans < 1 || scans >= k->in_count)
    return qcc_kx_fail(k, QCC_DATA, "D-801", "num_scan_inputs is %lld of %u inputs", (long long)scans, k->in_count - 1);
  const qcc_tensor *x = k->in[k->in_count - 1];
  if (!x || x->type.rank < 2) return qcc_kx_fail(k, QCC_DATA, "D-802", "an input of Scan has too few axes");
  const int64_t batch = x->type.dim[0], steps = x->type.dim[1];
  for (uint32_t i = 0; i < k->in_count; ++i) {
    const qcc_type *t = k->in[i] ? &k->in[i]->type : NULL;
    const bool scanned = i + scans >= k->in_count;
    const bool fits = t ? t->rank > scanned && t->dim[0] == batch && (!scanned || t->dim[1] == steps) : i == 0;
    if (!fits) return qcc_kx_fail(k, QCC_DATA, "D-799", "input %u has another batch or number of steps", i);
  }
  for (int64_t b = 0; b < batch; ++b) {
    iteration it = {.scans_in = (uint32_t)scans, .states = k->in_count - 1 - (uint32_t)scans};
    QCC_TRY(body_of(k, "body", &it.body));
    qcc_status st = begin_iteration(k, &it, 1);
    if (st == QCC_OK) st = run_batch(k, &it, b, steps, batch);
    end_iteration(k, &it);
    QCC_TRY(st);
  }
  return batch ? QCC_OK : qcc_kx_fail(k, QCC_UNSUPPORTED, "U-795", "no iteration ran and the body does not declare types");
}

qcc_status qcc_kernel_scan(qcc_kargs *k) {
  int64_t scans = qcc_attr_int(k->node, "num_scan_inputs", 0);
  iteration it = {0};
  if (k->opset < 9) return scan_batches(k, scans);
  if (scans < 1 || scans > k->in_count)
    return qcc_kx_fail(k, QCC_DATA, "D-801", "num_scan_inputs is %lld of %u inputs", (long long)scans, k->in_count);
  it.scans_in = (uint32_t)scans;
  it.states = k->in_count - it.scans_in;
  QCC_TRY(body_of(k, "body", &it.body));
  scan_input *s = qcc_zalloc_array(k->cx, it.scans_in, sizeof *s);
  qcc_tensor *slices = qcc_zalloc_array(k->cx, it.scans_in, sizeof *slices);
  qcc_status st = s && slices ? begin_iteration(k, &it, 0) : QCC_NOMEM;
  if (st == QCC_OK) st = run_scan(k, &it, s, slices);
  end_iteration(k, &it);
  release_all(slices, it.scans_in);
  qcc_free(k->cx, slices);
  qcc_free(k->cx, s);
  return st;
}
