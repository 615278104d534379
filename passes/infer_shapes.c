/* SPDX-License-Identifier: Apache-2.0
 * infer-shapes: types and shapes of all values, from the operators' rules.
 *
 *   %y = Conv(%x, %w)      ->      %y: f32[1,8,6,6] = Conv(%x, %w)
 *
 * Claim: exact (nothing is computed otherwise). Not counted as a rewrite. */
#include "ir/check.h"
#include "passes/pass.h"

static qcc_status run(qcc_pass_cx *p) { return qcc_infer_graph(p->g, p->eval); }

const qcc_pass qcc_pass_infer_shapes = {
    .name = "infer-shapes",
    .doc = "find the types and shapes of all values",
    .options = "",
    .keeps = QCC_PROP_CANONICAL | QCC_PROP_OPSET13 | QCC_PROP_FAKEQUANT,
    .gives = QCC_PROP_SHAPES,
    .claim = QCC_CLAIM_EXACT,
    .run = run,
};
