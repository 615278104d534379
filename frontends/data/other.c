/* SPDX-License-Identifier: Apache-2.0
 * Sources that are not one .npy file. */
#include "frontends/data/source.h"

qcc_status qcc_source_other(qcc_source *s, const char *transform) {
  (void)transform;
  qcc_loc loc = {.file = s->path};
  return qcc_error(s->cx, QCC_DATA, "D-050", &loc, "not a kind of data that qcc reads: .npy, .npz, or a folder of .npy, .npz, .pb or images");
}

qcc_status qcc_sources_of_all(bool *all, qcc_source *sources, const qcc_graph *g, const char *path, const char *transform) {
  (void)sources, (void)g, (void)path, (void)transform;
  *all = false;
  return QCC_OK;
}
