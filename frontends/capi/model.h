/* SPDX-License-Identifier: Apache-2.0
 * What the facade keeps behind the opaque handles of qcc.h. */
#ifndef QCC_CAPI_MODEL_H
#define QCC_CAPI_MODEL_H

#include "frontends/capi/qcc.h"
#include "frontends/data/data.h"
#include "ir/eval.h"
#include "ir/ir.h"
#include "ir/plan.h"
#include "ir/target.h"
#include "passes/pass.h"
#include "strategy/strategy.h"

typedef struct qcc_row {
  char *kind, *subject, *text;
} qcc_row; /* one line of qcc_explain; owned */

struct qcc_model {
  qcc_context *cx;
  qcc_graph *g;
  qcc_plan *plan; /* of a compiled model; NULL otherwise */
  qcc_summary summary;
  qcc_row *rows;
  size_t row_count, row_cap;
  qcc_node *last_built; /* qcc_build_* */
};

struct qcc_data {
  qcc_context *cx;
  qcc_dataset *set; /* from files; NULL for callbacks */
  qcc_samples samples;
  qcc_status (*get)(void *user, size_t index, qcc_array *inputs);
  void *user;
  size_t input_count;
  qcc_array *arrays; /* of one callback sample */
  qcc_type *types;
  qcc_tensor *kept; /* the sample of qcc_data_repeat; owned */
};

/* A model around a graph; takes the graph over, also on failure. */
qcc_status qcc_model_wrap(qcc_model **out, qcc_graph *g) QCC_MUST_USE;
/* Append a line to qcc_explain. */
qcc_status qcc_model_note(qcc_model *m, const char *kind, const char *subject, const char *text) QCC_MUST_USE;
qcc_array qcc_array_of(const qcc_tensor *t);
/* Borrowed tensor over an array; QCC_ARG when type and bytes do not fit. */
qcc_status qcc_array_tensor(qcc_tensor *out, qcc_context *cx, const qcc_array *a, const char *what) QCC_MUST_USE;
qcc_status qcc_pass_run_options_of(qcc_pass_run_options *out, qcc_context *cx, const qcc_pass_options *options) QCC_MUST_USE;
/* QCC_ARG when the samples are of another context or of a model with another number of inputs. */
qcc_status qcc_data_fits(const qcc_data *data, const qcc_model *model) QCC_MUST_USE;
/* QCC_ARG when they are of another version of the library. */
qcc_status qcc_settings_check(qcc_context *cx, const qcc_run_settings *settings) QCC_MUST_USE;
qcc_arithmetic qcc_arithmetic_of(bool exact, bool saturating);
unsigned qcc_threads_of(unsigned asked); /* 0: one for each processor; never absurdly many */
/* Operators with integer or quantized arithmetic stand in the graph: it needs no quantization. */
bool qcc_is_quantized(const qcc_graph *g);
/* Counts and shares by the plan, while the graph is still the one that the plan speaks of; sizes, when it is done. */
qcc_status qcc_summarize_nodes(qcc_model *m) QCC_MUST_USE;
qcc_status qcc_summarize_bytes(qcc_model *m, const qcc_graph *original) QCC_MUST_USE;
/* Inputs and outputs as codes, where that is possible; notes tell what became of each. */
qcc_status qcc_interface_to_codes(qcc_model *m, const qcc_pass_run_options *options) QCC_MUST_USE;

#endif
