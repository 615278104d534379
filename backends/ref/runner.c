/* SPDX-License-Identifier: Apache-2.0
 * ir/eval.h: open, run, close, stats, fold. */
#include <cblas.h>
#include <string.h>

#include "backends/ref/profile.h"
#include "backends/ref/qint.h"
#include "backends/ref/ref.h"
#include "backends/ref/simd/isa.h"
#include "ir/support/vec.h"

/* ---- open */
enum { MAX_MISSING = 64 };
typedef struct opener { /* operators without a kernel, in the order of the model */
  const char *name[MAX_MISSING];
  uint32_t nodes[MAX_MISSING], count, others;
} opener;

static qcc_status count_missing(qcc_graph *g, void *user) {
  opener *o = user;
  QCC_FOR_NODES(n, g) {
    if (qcc_kernel_of(n->op)) continue;
    uint32_t i = 0;
    const char *name = n->domain && n->domain[0] ? qcc_internf(g->cx, "%s.%s", n->domain, n->op_type) : n->op_type;
    if (!name) return QCC_NOMEM;
    while (i < o->count && o->name[i] != name) ++i;
    if (i == MAX_MISSING) {
      o->others++;
      continue;
    }
    if (i == o->count) o->name[o->count++] = name;
    o->nodes[i]++;
  }
  return QCC_OK;
}

static qcc_status check_ops(qcc_runner *r) {
  opener o = {.count = 0};
  qcc_text t = {.cx = r->cx};
  const qcc_loc loc = {.file = r->g->file};
  QCC_TRY(qcc_graph_walk((qcc_graph *)(uintptr_t)r->g, count_missing, &o));
  if (!o.count) return QCC_OK;
  for (uint32_t i = 0; i < o.count; ++i) qcc_text_addf(&t, "%s%s (%u)", i ? ", " : "", o.name[i], o.nodes[i]);
  if (o.others) qcc_text_addf(&t, " and %u nodes of other kinds", o.others);
  qcc_status st = t.failed ? QCC_NOMEM : QCC_UNSUPPORTED;
  if (!t.failed) st = qcc_error(r->cx, st, "U-001", &loc, "the built-in runtime has no code for these operators: %s", t.at);
  qcc_text_free(&t);
  return st;
}

static qcc_status add_prog(qcc_graph *g, void *user) {
  qcc_runner *r = user;
  qcc_prog *p;
  QCC_TRY(qcc_prog_new(&p, r, g));
  for (uint32_t i = 0; i < p->count; ++i) { /* folded nodes do not run */
    const qcc_node *n = p->step[i].node;
    bool made = n->out_count > 0;
    for (uint32_t j = 0; j < n->out_count; ++j) made = made && (!n->out[j] || !n->out[j]->use_count || r->folded[n->out[j]->id]);
    if (made) p->step[i].kernel = NULL;
  }
  if (qcc_map_put(&r->progs, g, (uintptr_t)p)) return QCC_OK;
  qcc_prog_free(r->cx, p);
  return QCC_NOMEM;
}

static qcc_status make_workers(qcc_runner *r, unsigned workers) {
  r->workers = qcc_zalloc_array(r->cx, workers, sizeof *r->workers);
  if (!r->workers) return QCC_NOMEM;
  r->worker_count = workers;
  for (unsigned i = 0; i < workers; ++i) {
    qcc_worker *w = &r->workers[i];
    *w = (qcc_worker){.cx = r->cx, .runner = r, .simd = r->simd, .isimd = r->isimd, .index = i};
    QCC_TRY(qcc_image_slots(w));
  }
  return QCC_OK;
}

static qcc_status fill(qcc_runner *r) {
  if (pthread_mutex_init(&r->lock, NULL) != 0) return qcc_error(r->cx, QCC_NOMEM, "N-201", NULL, "the system gives no lock");
  if (pthread_mutex_init(&r->plan_lock, NULL) != 0) {
    pthread_mutex_destroy(&r->lock);
    return qcc_error(r->cx, QCC_NOMEM, "N-201", NULL, "the system gives no lock");
  }
  r->has_lock = true;
  QCC_TRY(check_ops(r));
  openblas_set_num_threads(1); /* samples are what runs in parallel; its sums also depend on its threads */
  QCC_TRY(make_workers(r, r->how.workers));
  QCC_TRY(qcc_prepare(r));
  if (r->how.profile) QCC_TRY(qcc_profile_open(r));
  return qcc_graph_walk((qcc_graph *)(uintptr_t)r->g, add_prog, r);
}

static void close_runner(qcc_runner *r);

static qcc_status choose_loops(qcc_runner *r) {
  const qcc_isa *isa = qcc_isa_find(r->how.isa);
  if (!isa)
    return qcc_error(r->cx, QCC_ARG, "A-149", NULL, "this processor has no instruction set %s; the best it has is %s", r->how.isa,
                     qcc_ref_isa());
  r->simd = isa->floats;
  r->isimd = isa->codes;
  r->stats.isa = isa->name;
  return QCC_OK;
}

static qcc_status open_runner(qcc_runner **out, qcc_context *cx, const qcc_graph *g, const qcc_run_options *how) {
  *out = NULL;
  qcc_runner *r = qcc_zalloc_array(cx, 1, sizeof *r);
  if (!r) return QCC_NOMEM;
  r->cx = cx;
  r->g = g;
  if (how) r->how = *how;
  if (!r->how.workers) r->how.workers = 1;
  qcc_map_init(&r->progs, cx);
  qcc_status st = choose_loops(r);
  if (st == QCC_OK) st = fill(r);
  if (st == QCC_OK)
    *out = r;
  else
    close_runner(r);
  return st;
}

/* ---- close */
static qcc_status free_prog(qcc_graph *g, void *user) {
  qcc_runner *r = user;
  qcc_prog_free(r->cx, qcc_map_ptr(&r->progs, g));
  return QCC_OK;
}

static void free_worker(qcc_worker *w) {
  qcc_group_clear(w);
  for (unsigned i = 0; i < QCC_GROUP_MAX; ++i) {
    qcc_image_enter(w, i);
    qcc_free(w->cx, w->slot);
  }
  qcc_free(w->cx, w->arena);
  qcc_scratch_free(w);
}

static void close_runner(qcc_runner *r) {
  if (!r) return;
  qcc_teams_close(r);
  qcc_graph *g = (qcc_graph *)(uintptr_t)r->g;
  qcc_status st = qcc_graph_walk(g, free_prog, r);
  (void)st;
  qcc_map_fini(&r->progs);
  for (unsigned i = 0; i < r->worker_count; ++i) free_worker(&r->workers[i]);
  for (uint32_t i = 0; r->packs && i <= g->next_node_id; ++i) qcc_free(r->cx, r->packs[i].at);
  for (uint32_t i = 0; r->ipacks && i <= g->next_node_id; ++i) qcc_ipack_free(r->cx, r->ipacks[i]);
  for (uint32_t i = 0; r->consts && i <= g->next_value_id; ++i)
    if (r->consts[i].buf) qcc_tensor_release(&r->consts[i]);
  qcc_plans_free(r);
  qcc_profile_close(r);
  if (r->has_lock) {
    pthread_mutex_destroy(&r->lock);
    pthread_mutex_destroy(&r->plan_lock);
  }
  qcc_free(r->cx, r->workers);
  qcc_free(r->cx, r->folded);
  qcc_free(r->cx, r->packs);
  qcc_free(r->cx, r->ipacks);
  qcc_free(r->cx, r->consts);
  qcc_free(r->cx, r);
}

/* ---- run */
static qcc_status watch(qcc_runner *r, const qcc_hooks *hooks, uint32_t **observed) {
  *observed = NULL;
  if (!hooks || !hooks->observed || !hooks->observed[0]) return QCC_OK;
  uint32_t *map = qcc_zalloc_array(r->cx, (size_t)r->g->next_value_id + 1, sizeof *map);
  if (!map) return QCC_NOMEM;
  for (uint32_t i = 0; hooks->observed[i]; ++i) map[hooks->observed[i]->id] = (i + 1) | (qcc_is_shown_typed(hooks, i) ? QCC_WHOLE : 0);
  *observed = map;
  return QCC_OK;
}

static qcc_status run(qcc_runner *r, const qcc_samples *samples, size_t first, size_t count, const qcc_hooks *hooks) {
  uint32_t *observed;
  if (first > samples->count || count > samples->count - first)
    return qcc_error(r->cx, QCC_ARG, "A-201", NULL, "samples %zu to %zu were asked, there are %zu", first, first + count, samples->count);
  QCC_TRY(watch(r, hooks, &observed));
  for (unsigned i = 0; i < r->worker_count; ++i) {
    r->workers[i].hooks = hooks;
    r->workers[i].observed = observed;
  }
  qcc_status st = qcc_workers_run(r, samples, first, count, hooks);
  for (unsigned i = 0; i < r->worker_count; ++i) {
    r->workers[i].hooks = NULL;
    r->workers[i].observed = NULL;
  }
  qcc_free(r->cx, observed);
  const qcc_status told = r->profiler ? qcc_profile_gather(r) : QCC_OK;
  return st == QCC_OK ? told : st;
}

static qcc_run_stats stats(const qcc_runner *r) { return r->stats; }

static void reset(qcc_runner *r) {
  r->stats.seconds = 0;
  r->stats.samples = 0;
  if (r->profiler) qcc_profile_reset(r);
}

/* ---- fold */
static bool has_body(const qcc_node *n) {
  for (const qcc_attr *a = n->attrs; a; a = a->next)
    if (a->kind == QCC_ATTR_GRAPH || a->kind == QCC_ATTR_GRAPHS) return true;
  return false;
}

static qcc_status align(qcc_context *cx, const qcc_tensor *const *in, uint32_t n, const qcc_tensor **to, qcc_tensor *own) {
  for (uint32_t i = 0; i < n; ++i) {
    to[i] = in[i];
    if (!in[i] || !qcc_dtype_bits(in[i]->type.dtype) || (uintptr_t)in[i]->data % 16 == 0) continue;
    QCC_TRY(qcc_tensor_copy(&own[i], cx, &in[i]->type, in[i]->data));
    to[i] = &own[i];
  }
  return QCC_OK;
}

/* A graph has no constants of these types. */
static qcc_status refuse_lists(const qcc_node *n, qcc_tensor *out) {
  bool any = false;
  for (uint32_t i = 0; i < n->out_count; ++i) any |= qcc_tensor_is_list(&out[i]);
  for (uint32_t i = 0; any && i < n->out_count; ++i) qcc_tensor_release(&out[i]);
  return any ? QCC_UNSUPPORTED : QCC_OK;
}

static qcc_status fold(qcc_context *cx, const qcc_node *n, const qcc_tensor *const *in, qcc_tensor *out) {
  qcc_kernel kernel = qcc_kernel_of(n->op);
  if (!kernel || has_body(n) || qcc_op_get(n->op)->exact == QCC_RANDOM) return QCC_UNSUPPORTED;
  qcc_worker w = {.cx = cx, .simd = qcc_simd_choose(), .isimd = qcc_isimd_choose()};
  const qcc_tensor **aligned = qcc_zalloc_array(cx, (size_t)n->in_count + 1, sizeof *aligned);
  qcc_tensor *own = qcc_zalloc_array(cx, (size_t)n->in_count + 1, sizeof *own);
  qcc_status st = aligned && own ? align(cx, in, n->in_count, aligned, own) : QCC_NOMEM;
  memset(out, 0, n->out_count * sizeof *out);
  if (st == QCC_OK) st = qcc_node_run(&w, n, kernel, aligned, NULL, out);
  if (st == QCC_OK) st = refuse_lists(n, out);
  for (uint32_t i = 0; own && i < n->in_count; ++i) qcc_tensor_release(&own[i]);
  qcc_free(cx, own);
  qcc_free(cx, aligned);
  qcc_scratch_free(&w);
  return st;
}

static const qcc_eval eval = {.fold = fold, .open = open_runner, .run = run, .stats = stats, .reset = reset, .close = close_runner};

const qcc_eval *qcc_ref_eval(void) { return &eval; }
