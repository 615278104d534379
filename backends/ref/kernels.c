/* SPDX-License-Identifier: Apache-2.0
 * The kernel table, made from ops.def, and the services that kernels ask of the runner: outputs whose size they find out, scratch, bodies. */
#include <string.h>

#include "backends/ref/ref.h"
#include "backends/ref/run.h"

#define qcc_kernel_none ((qcc_kernel)0)
static const qcc_kernel table[] = {
    [QCC_OP_OPAQUE] = NULL,
#define OP(id, domain, name, since, in_min, in_max, out_max, shape, kern, role, exact) [QCC_OP_##id] = qcc_kernel_##kern,
#include "ir/ops.def"
#undef OP
};

qcc_kernel qcc_kernel_of(qcc_op op) { return (unsigned)op < QCC_OP_COUNT ? table[op] : NULL; }

bool qcc_ref_has_kernel(qcc_op op) { return qcc_kernel_of(op) != NULL; }

qcc_status qcc_check_bytes(qcc_context *cx, const qcc_node *n, const qcc_type *t) {
  const qcc_limits *limits = qcc_context_limits(cx);
  const uint64_t limit = limits->run_bytes < limits->tensor_bytes ? limits->run_bytes : limits->tensor_bytes;
  size_t bytes = 0;
  if (!qcc_dtype_bits(t->dtype)) return QCC_OK; /* strings, lists */
  const bool fits = qcc_type_bytes(t, &bytes);
  if (fits && bytes <= limit) return QCC_OK;
  qcc_loc loc = qcc_node_loc(n);
  return qcc_error(cx, QCC_LIMIT, "L-203", &loc, "an output of this node takes %s%zu bytes, the limit is %llu; --max-run-bytes raises it",
                   fits ? "" : "more than ", fits ? bytes : SIZE_MAX, (unsigned long long)limit);
}

qcc_status qcc_kout_alloc(qcc_kargs *k, uint32_t i, const qcc_type *type) {
  qcc_loc loc = qcc_node_loc(k->node);
  if (i >= k->out_count || !k->want[i])
    return qcc_error(k->cx, QCC_INTERNAL, "I-203", &loc, "a kernel made output %u that nobody reads", i);
  if (k->out[i].data) {
    if (qcc_type_equal(&k->out[i].type, type)) return QCC_OK;
    return qcc_error(k->cx, QCC_INTERNAL, "I-204", &loc, "shape rule and kernel disagree on output %u", i);
  }
  QCC_TRY(qcc_check_bytes(k->cx, k->node, type));
  return qcc_tensor_new(&k->out[i], k->cx, type);
}

const qcc_simd *qcc_ksimd(const qcc_kargs *k) { return k->worker->simd; }

void *qcc_kscratch(qcc_kargs *k, size_t bytes) { return qcc_scratch(k->worker, bytes); }

const qcc_pack *qcc_pack_of(const qcc_kargs *k) {
  const qcc_runner *r = k->worker->runner;
  return r && r->packs[k->node->id].at ? &r->packs[k->node->id] : NULL;
}

/* ---- bodies */
static void bind(qcc_worker *w, const qcc_graph *body, const qcc_tensor *in) {
  for (uint32_t i = 0; i < body->input_count; ++i) {
    qcc_tensor *slot = &w->slot[body->inputs[i]->id];
    *slot = in[i];
    slot->buf = NULL; /* borrowed */
  }
}

/* A value that the body made itself is shared; anything else is copied, because it belongs to somebody. */
static qcc_status take(qcc_worker *w, const qcc_graph *body, uint32_t i, qcc_tensor *out) {
  const qcc_value *v = body->outputs[i]->value;
  const qcc_tensor *t = qcc_worker_value(w, v);
  if (!t || !t->data) return qcc_error(w->cx, QCC_INTERNAL, "I-205", NULL, "output %u of a subgraph has no value", i);
  return qcc_tensor_share(out, w->cx, t);
}

static void clear_body(qcc_worker *w, const qcc_graph *body) {
  for (uint32_t i = 0; i < body->input_count; ++i) qcc_slot_clear(w, body->inputs[i]->id);
  QCC_FOR_NODES(n, body) {
    for (uint32_t i = 0; i < n->out_count; ++i)
      if (n->out[i]) qcc_slot_clear(w, n->out[i]->id);
  }
}

qcc_status qcc_krun(qcc_kargs *k, const qcc_graph *body, const qcc_tensor *in, qcc_tensor *out) {
  qcc_worker *w = k->worker;
  const qcc_prog *p = w->runner ? qcc_map_ptr(&w->runner->progs, body) : NULL;
  if (!p) return QCC_UNSUPPORTED;
  memset(out, 0, body->output_count * sizeof *out);
  bind(w, body, in);
  qcc_status st = qcc_prog_run(w, p);
  for (uint32_t i = 0; st == QCC_OK && i < body->output_count; ++i) st = take(w, body, i, &out[i]);
  clear_body(w, body);
  if (st != QCC_OK)
    for (uint32_t i = 0; i < body->output_count; ++i) qcc_tensor_release(&out[i]);
  return st;
}
