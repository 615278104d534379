/* SPDX-License-Identifier: Apache-2.0
 * Watching values of a graph while samples run: histograms, channel statistics and Gram matrices in one pass.
 *
 *   qcc_collector *c;
 *   qcc_collector_new(&c, cx, workers, sample_count, seed);
 *   qcc_collector_watch(c, value, QCC_WATCH_HIST | QCC_WATCH_CHANNELS, 1);
 *   qcc_collector_run(c, eval, runner, samples, 0, sample_count);
 *   ... qcc_collector_hist(c, value) ...
 *   qcc_collector_free(c);
 *
 * Each worker has its own accumulators; what they hold adds up to the same bits for any number of workers and any order of samples. */
#ifndef QCC_COLLECT_H
#define QCC_COLLECT_H

#include "ir/eval.h"
#include "strategy/channels.h"
#include "strategy/gram.h"
#include "strategy/histogram.h"

enum { QCC_WATCH_HIST = 1, QCC_WATCH_CHANNELS = 2 };

typedef struct qcc_collector qcc_collector;

/* `workers` at least what the runner was opened with (0: one); `samples`: how many will run, for moving averages and row quotas. */
qcc_status qcc_collector_new(qcc_collector **out, qcc_context *cx, unsigned workers, size_t samples, uint64_t seed) QCC_MUST_USE;
void qcc_collector_free(qcc_collector *c);
/* Watch a value; asking again for the same one adds to it. `axis` is the channel axis (negative: from the end). Before the first run. */
qcc_status qcc_collector_watch(qcc_collector *c, const qcc_value *v, unsigned what, int axis) QCC_MUST_USE;
/* Feed a Gram matrix (owned by the caller) from the value. Before the first run. */
qcc_status qcc_collector_gram(qcc_collector *c, const qcc_value *v, qcc_gram *gram) QCC_MUST_USE;
/* The graph's outputs, too, are wanted: `output` as in qcc_hooks. */
void qcc_collector_outputs(qcc_collector *c, qcc_status (*output)(void *user, size_t sample, const qcc_tensor *outputs), void *user);
/* Run and finish. May be called again with further samples: results then cover all of them. */
qcc_status qcc_collector_run(qcc_collector *c, const qcc_eval *eval, qcc_runner *runner, const qcc_samples *samples, size_t first,
                             size_t count, const char *stage) QCC_MUST_USE;

/* Results; NULL when the value is not watched that way. Channel statistics with count 0 saw nothing. */
const qcc_hist *qcc_collector_hist(const qcc_collector *c, const qcc_value *v);
const qcc_channels *qcc_collector_channels(const qcc_collector *c, const qcc_value *v);
/* The first value, in the first sample, that was not finite in a histogram; NULL: none. The same for any number of workers. */
const qcc_value *qcc_collector_not_finite(const qcc_collector *c, size_t *sample);

#endif
