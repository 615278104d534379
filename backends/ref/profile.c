/* SPDX-License-Identifier: Apache-2.0
 * Measuring steps (see profile.h). A step is known by its node, a change of layout by its tensor, so that plans for different shapes add to
 * the same line. */
#define _POSIX_C_SOURCE 200809L /* the monotonic clock */
#include "backends/ref/profile.h"

#include <string.h>
#include <time.h>

#include "backends/ref/qint.h"

enum { PEAK_TRIES = 100, PEAK_ROUNDS = 4096 };

typedef struct cost {
  uint64_t runs;
  double seconds, operations, read, written, fastest;
} cost;

typedef struct qcc_profile_log {
  cost *sum; /* by line */
  size_t count;
  QCC_VEC(qcc_profile_event) event;
} qcc_profile_log;

typedef struct qcc_profiler {
  qcc_arena mem; /* names */
  qcc_map line;  /* node, or place of a constant, to line + 1 */
  QCC_VEC(qcc_profile_step) step;
  QCC_VEC(qcc_profile_event) event;
  qcc_profile shown;
  double opened;
} qcc_profiler;

double qcc_profile_now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double measure_peak(const qcc_simd *simd) {
  float to[QCC_NR_MAX] = {0};
  double best = 0;
  for (int i = 0; i < PEAK_TRIES; ++i) {
    const double start = qcc_profile_now(), operations = simd->peak(PEAK_ROUNDS, to), seconds = qcc_profile_now() - start;
    if (seconds > 0 && operations / seconds > best) best = operations / seconds;
  }
  return best;
}

/* ---- open and close */
qcc_status qcc_profile_open(qcc_runner *r) {
  qcc_profiler *p = qcc_zalloc_array(r->cx, 1, sizeof *p);
  if (!p) return QCC_NOMEM;
  r->profiler = p;
  qcc_arena_init(&p->mem, r->cx);
  qcc_map_init(&p->line, r->cx);
  for (unsigned i = 0; i < r->worker_count; ++i) {
    r->workers[i].log = qcc_zalloc_array(r->cx, 1, sizeof *r->workers[i].log);
    if (!r->workers[i].log) return QCC_NOMEM;
  }
  p->shown.traced = r->how.trace;
  p->shown.peak = measure_peak(r->simd);
  p->opened = qcc_profile_now();
  r->stats.profile = &p->shown;
  return QCC_OK;
}

void qcc_profile_close(qcc_runner *r) {
  qcc_profiler *p = r->profiler;
  for (unsigned i = 0; i < r->worker_count; ++i) {
    qcc_profile_log *log = r->workers[i].log;
    if (!log) continue;
    qcc_vec_free(r->cx, &log->event);
    qcc_free(r->cx, log->sum);
    qcc_free(r->cx, log);
  }
  if (!p) return;
  qcc_vec_free(r->cx, &p->step);
  qcc_vec_free(r->cx, &p->event);
  qcc_map_fini(&p->line);
  qcc_arena_fini(&p->mem);
  qcc_free(r->cx, p);
}

/* ---- lines */
static bool is_turn(const qcc_plan_step *s) { return s->kind == QCC_STEP_TO_LAST || s->kind == QCC_STEP_TO_ROW; }

/* A value of the graph: the plan's own ones have numbers behind them. */
static uint32_t turned(const qcc_runner *r, const qcc_plan_step *s) { return s->in[0] <= r->g->next_value_id ? s->in[0] : s->out[0]; }

static const void *key_of(const qcc_runner *r, const qcc_plan_step *s) {
  if (!is_turn(s)) return s->node;
  return (const char *)&r->consts[turned(r, s)] + (s->kind == QCC_STEP_TO_LAST ? 0 : 1);
}

/* The node before or behind which the layout changes reads or makes the tensor; at the end the outputs change. */
static const char *tensor_name(const qcc_planner *b, uint32_t id, const qcc_node *n) {
  const qcc_graph *g = b->prog->g;
  for (uint32_t i = 0; i < n->in_count; ++i)
    if (n->in[i].value && n->in[i].value->id == id) return n->in[i].value->name;
  for (uint32_t i = 0; i < n->out_count; ++i)
    if (n->out[i] && n->out[i]->id == id) return n->out[i]->name;
  for (uint32_t i = 0; i < g->output_count; ++i)
    if (g->outputs[i]->value->id == id) return g->outputs[i]->value->name;
  return "";
}

/* What the step absorbed, in the order of the program. */
static qcc_status add_fused(const qcc_planner *b, uint32_t step, qcc_text *ops, qcc_text *names) {
  for (uint32_t i = 0; i < b->prog->count; ++i) {
    const qcc_node *n = b->prog->step[i].node;
    if (b->into[i] != step) continue;
    if (n == b->p->step.at[step].node) continue; /* a pattern that begins with the step's own node */
    qcc_text_addf(ops, "%s%s", ops->n ? "+" : "", n->op_type);
    qcc_text_addf(names, "%s%s", names->n ? ", " : "", n->name ? n->name : "");
  }
  return ops->failed || names->failed ? QCC_NOMEM : QCC_OK;
}

static const char *keep(qcc_profiler *p, const char *text) {
  return text ? qcc_arena_copy(&p->mem, text, strlen(text) + 1) : qcc_arena_copy(&p->mem, "", 1);
}

static qcc_status new_line(qcc_planner *b, const qcc_plan_step *s, const char *ops, const char *names) {
  qcc_runner *r = b->p->r;
  qcc_profiler *p = r->profiler;
  qcc_profile_step line = {.op = "ToChannelsLast"};
  if (s->kind == QCC_STEP_TO_ROW) line.op = "ToRowMajor";
  if (!is_turn(s)) line.op = keep(p, s->node->op_type);
  line.name = keep(p, is_turn(s) ? tensor_name(b, turned(r, s), b->prog->step[s->at].node) : s->node->name);
  line.fused_ops = keep(p, ops);
  line.fused = keep(p, names);
  if (!line.op || !line.name || !line.fused_ops || !line.fused) return QCC_NOMEM;
  return qcc_vec_push(r->cx, &p->step, line) && qcc_map_put(&p->line, key_of(r, s), p->step.n) ? QCC_OK : QCC_NOMEM;
}

static qcc_status line_of(qcc_planner *b, uint32_t i, uint32_t *out) {
  qcc_runner *r = b->p->r;
  const qcc_plan_step *s = &b->p->step.at[i];
  uintptr_t line;
  if (!qcc_map_get(&r->profiler->line, key_of(r, s), &line)) {
    qcc_text ops = {.cx = r->cx}, names = {.cx = r->cx};
    qcc_status st = add_fused(b, i, &ops, &names);
    if (st == QCC_OK) st = new_line(b, s, ops.at, names.at);
    qcc_text_free(&ops);
    qcc_text_free(&names);
    if (st != QCC_OK) return st;
    line = r->profiler->step.n;
  }
  *out = (uint32_t)line - 1;
  return QCC_OK;
}

qcc_status qcc_profile_plan(qcc_planner *b) {
  b->p->row = qcc_arena_array(&b->p->mem, b->p->step.n + 1, sizeof *b->p->row);
  if (!b->p->row) return QCC_NOMEM;
  for (uint32_t i = 0; i < b->p->step.n; ++i) QCC_TRY(line_of(b, i, &b->p->row[i]));
  return QCC_OK;
}

/* ---- costs */
static const qcc_tensor nothing = {.bytes = 0};

static const qcc_tensor *tensor_at(const qcc_worker *w, uint32_t id) {
  if (id == QCC_NO_VALUE) return &nothing;
  return w->slot[id].data || id > w->runner->g->next_value_id ? &w->slot[id] : &w->runner->consts[id];
}

static double elements(const qcc_type *t) {
  double n = 1;
  for (int d = 0; d < t->rank; ++d) n *= (double)t->dim[d];
  return n;
}

static double window(const qcc_conv *c) {
  return (double)c->out[0] * (double)c->out[1] * (double)c->out[2] * (double)c->kernel[0] * (double)c->kernel[1] * (double)c->kernel[2];
}

static double node_operations(const qcc_worker *w, const qcc_plan_step *s) {
  const qcc_node *n = s->node;
  const uint32_t weight = qcc_weight_input(n->op);
  const qcc_tensor *x = s->in_count ? tensor_at(w, s->in[0]) : NULL, *y = s->out_count ? tensor_at(w, s->out[0]) : NULL;
  const qcc_role role = qcc_op_get(n->op)->role;
  if (!x || !y || role == QCC_ROLE_PASS) return 0;
  if (s->in_count > weight) {
    const double macs = qcc_macs_of(n, &x->type, &tensor_at(w, s->in[weight])->type, &y->type);
    if (macs > 0) return 2 * macs;
  }
  return elements(&x->type) > elements(&y->type) ? elements(&x->type) : elements(&y->type);
}

static double code_operations(const qcc_worker *w, const qcc_plan_step *s, const qcc_type *x) {
  const qcc_ipack *pack = s->codes->pack;
  return pack ? 2 * elements(&tensor_at(w, s->out[0])->type) * (double)(pack->taps * pack->run) : elements(x);
}

static double operations_of(const qcc_worker *w, const qcc_plan_step *s, const qcc_pack *pack) {
  const qcc_type *x = s->in_count ? &tensor_at(w, s->in[0])->type : NULL;
  switch (s->kind) {
    case QCC_STEP_VIEW:
    case QCC_STEP_TO_LAST:
    case QCC_STEP_TO_ROW:
    case QCC_STEP_CONCAT:
    case QCC_STEP_ELEM: return 0;
    case QCC_STEP_CONV: return 2 * (double)s->conv.batch * (double)s->conv.cout * (double)(s->conv.cin / s->conv.group) * window(&s->conv);
    case QCC_STEP_DENSE: return 2 * elements(x) * (double)pack->width;
    case QCC_STEP_MAX_POOL:
    case QCC_STEP_AVERAGE_POOL: return (double)s->conv.batch * (double)s->conv.cin * window(&s->conv);
    case QCC_STEP_MEAN: return elements(x);
    case QCC_STEP_CODES: return code_operations(w, s, x);
    default: return node_operations(w, s);
  }
}

static void add_cost(const qcc_worker *w, const qcc_plan_step *s, cost *to) {
  const qcc_pack *pack = s->node ? &w->runner->packs[s->node->id] : NULL;
  to->operations += operations_of(w, s, pack);
  if (s->kind == QCC_STEP_VIEW) return;
  if (pack && pack->at) to->read += (double)pack->bytes;
  if (s->codes && s->codes->pack) to->read += (double)s->codes->pack->bytes;
  for (uint32_t i = 0; i < s->in_count; ++i)
    if (tensor_at(w, s->in[i])->data) to->read += (double)tensor_at(w, s->in[i])->bytes;
  for (uint32_t i = 0; i < s->out_count; ++i) to->written += (double)tensor_at(w, s->out[i])->bytes;
  for (uint32_t i = 0; i < s->post_count; ++i) {
    if (s->post[i].post.kind == QCC_POST_SHOW) continue;
    to->operations += elements(&tensor_at(w, s->out[0])->type);
    if (s->post[i].operand != QCC_NO_VALUE) to->read += (double)tensor_at(w, s->post[i].operand)->bytes;
  }
}

static bool has_line(qcc_context *cx, qcc_profile_log *log, size_t line) {
  if (line < log->count) return true;
  const size_t count = line + line / 2 + 64;
  cost *sum = qcc_realloc_array(cx, log->sum, count, sizeof *sum);
  if (!sum) return false;
  memset(sum + log->count, 0, (count - log->count) * sizeof *sum);
  log->sum = sum;
  log->count = count;
  return true;
}

qcc_status qcc_profile_took(qcc_worker *w, const qcc_shape_plan *p, size_t i, double start, double seconds) {
  qcc_profile_log *log = w->log;
  if (!has_line(w->cx, log, p->row[i])) return QCC_NOMEM;
  cost *c = &log->sum[p->row[i]];
  if (!c->runs++ || seconds < c->fastest) c->fastest = seconds;
  c->seconds += seconds;
  add_cost(w, &p->step.at[i], c);
  if (!w->runner->how.trace) return QCC_OK;
  const qcc_profile_event e = {p->row[i], w->index, w->sample, start - w->runner->profiler->opened, seconds};
  return qcc_vec_push(w->cx, &log->event, e) ? QCC_OK : QCC_NOMEM;
}

/* ---- what the caller sees */
static qcc_status take(qcc_runner *r, qcc_profile_log *log) {
  qcc_profiler *p = r->profiler;
  for (size_t i = 0; i < log->count && i < p->step.n; ++i) {
    qcc_profile_step *s = &p->step.at[i];
    if (log->sum[i].runs && (!s->runs || log->sum[i].fastest < s->fastest)) s->fastest = log->sum[i].fastest;
    s->runs += log->sum[i].runs;
    s->seconds += log->sum[i].seconds;
    s->operations += log->sum[i].operations;
    s->bytes_read += log->sum[i].read;
    s->bytes_written += log->sum[i].written;
    log->sum[i] = (cost){0};
  }
  for (size_t i = 0; i < log->event.n; ++i)
    if (!qcc_vec_push(r->cx, &p->event, log->event.at[i])) return QCC_NOMEM;
  log->event.n = 0;
  return QCC_OK;
}

qcc_status qcc_profile_gather(qcc_runner *r) {
  qcc_profiler *p = r->profiler;
  qcc_status st = QCC_OK;
  for (unsigned i = 0; st == QCC_OK && i < r->worker_count; ++i) st = take(r, r->workers[i].log);
  p->shown.steps = p->step.at;
  p->shown.step_count = p->step.n;
  p->shown.events = p->event.at;
  p->shown.event_count = p->event.n;
  return st;
}

void qcc_profile_reset(qcc_runner *r) {
  qcc_profiler *p = r->profiler;
  for (size_t i = 0; i < p->step.n; ++i) {
    qcc_profile_step *s = &p->step.at[i];
    s->runs = 0;
    s->seconds = s->operations = s->bytes_read = s->bytes_written = s->fastest = 0;
  }
  p->event.n = p->shown.event_count = 0;
}
