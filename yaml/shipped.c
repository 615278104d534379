/* SPDX-License-Identifier: Apache-2.0
 * The capability files of this folder, as bytes: the build makes shipped_data.h from them (embed.cmake). */
#include "yaml/config.h"

#include <yaml/shipped_data.h>

const char *qcc_capability_shipped(uint32_t index, const char **text, size_t *n) {
  if (index >= sizeof shipped / sizeof *shipped) return NULL;
  if (text) *text = (const char *)shipped[index].bytes;
  if (n) *n = shipped[index].size;
  return shipped[index].name;
}
