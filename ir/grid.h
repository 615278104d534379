/* SPDX-License-Identifier: Apache-2.0
 * Questions about grids of codes. */
#ifndef QCC_GRID_H
#define QCC_GRID_H

#include "ir/quant.h"

/* Code of zero when the grid is symmetric. */
static inline int32_t qcc_grid_middle(const qcc_grid *g) { return (int32_t)(((int64_t)g->lo + g->hi + 1) >> 1); }

#endif
