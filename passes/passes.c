/* SPDX-License-Identifier: Apache-2.0
 * The registry, expanded from passes.def, and what passes may ask of their context. */
#include <string.h>

#include "passes/pass.h"

static const qcc_pass *const all[] = {
#define PASS(id) &qcc_pass_##id,
#include "passes/passes.def"
#undef PASS
};

enum { COUNT = sizeof all / sizeof *all };

const qcc_pass *qcc_pass_at(uint32_t index) { return index < COUNT ? all[index] : NULL; }

const qcc_pass *qcc_pass_find(const char *name) {
  for (uint32_t k = 0; k < COUNT; k++)
    if (!strcmp(all[k]->name, name)) return all[k];
  return NULL;
}

bool qcc_rewrite_ok(qcc_pass_cx *p, const qcc_node *at, const char *rule) {
  if (p->rewrites >= p->rewrite_limit) return false;
  p->rewrites++;
  if (p->rewrites == p->rewrite_limit)
    qcc_info(p->cx, "rewrite %llu, the last one allowed: %s at node %-s", (unsigned long long)p->rewrites, rule, at ? at->name : "");
  return true;
}

void qcc_pass_decline(const qcc_pass_cx *p, const qcc_node *at, const char *rule, const char *reason) {
  if (!p->explain) return;
  bool asked = !strcmp(p->explain, rule) || !strcmp(p->explain, "all") || (p->pass && !strcmp(p->explain, p->pass));
  if (!asked) return;
  qcc_loc loc = qcc_node_loc(at);
  qcc_note(p->cx, &loc, "%s declined: %s", rule, reason);
}

const char *qcc_pass_option_get(const qcc_pass_cx *p, const char *key, const char *fallback) {
  for (uint32_t k = 0; k < p->option_count; k++)
    if (!strcmp(p->options[k].key, key)) return p->options[k].value;
  return fallback;
}
