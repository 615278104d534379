/* SPDX-License-Identifier: Apache-2.0
 * What kernels cost, from a capability file. */
#ifndef QCC_TARGET_COSTS_H
#define QCC_TARGET_COSTS_H

#include "ir/target.h"
#include "yaml/doc.h"

/* Fill t->costs from the map "costs"; NULL: nothing. QCC_ARG, located. */
qcc_status qcc_target_costs(qcc_target *t, const qcc_doc_node *costs) QCC_MUST_USE;

#endif
