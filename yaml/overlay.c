/* SPDX-License-Identifier: Apache-2.0
 * One file laid over another: what the upper one does not say stays as the lower one said it. */
#include <string.h>

#include "yaml/schema.h"

static qcc_yaml_op *find_op(const qcc_yaml_ops *ops, const char *name) {
  for (uint32_t i = 0; i < ops->count; i++) {
    if (strcmp(ops->op[i].name->text, name) == 0) return &ops->op[i];
  }
  return NULL;
}

static qcc_status overlay_op(const qcc_schema_block *block, qcc_yaml_op *base, const qcc_yaml_op *over, qcc_arena *arena) {
  if (over->off || base->off) return *base = *over, QCC_OK;
  base->name = over->name;
  return qcc_schema_overlay(block, &base->way, &over->way, arena);
}

static qcc_status overlay_ops(const qcc_schema_block *block, qcc_yaml_ops *base, const qcc_yaml_ops *over, qcc_arena *arena) {
  qcc_yaml_op *all = qcc_arena_array(arena, (size_t)base->count + over->count, sizeof *all);
  if (!all) return QCC_NOMEM;
  if (base->count) memcpy(all, base->op, base->count * sizeof *all);
  *base = (qcc_yaml_ops){.at = over->at, .count = base->count, .op = all};
  uint32_t before = base->count;
  for (uint32_t i = 0; i < over->count; i++) {
    qcc_yaml_ops lower = {.count = before, .op = all};
    qcc_yaml_op *op = find_op(&lower, over->op[i].name->text);
    if (op) {
      QCC_TRY(overlay_op(block, op, &over->op[i], arena));
    } else {
      all[base->count++] = over->op[i];
    }
  }
  return QCC_OK;
}

qcc_status qcc_schema_overlay(const qcc_schema_block *block, void *base, const void *over, qcc_arena *arena) {
  const qcc_doc_node *at = *(const qcc_doc_node *const *)over;
  if (at) *(const qcc_doc_node **)base = at;
  for (uint32_t i = 0; i < block->count; i++) {
    const qcc_schema_key *key = &block->key[i];
    void *to = (char *)base + key->offset;
    const void *from = (const char *)over + key->offset;
    if (!*(const qcc_doc_node *const *)from) continue; /* every value begins with its place */
    if (key->kind == QCC_KEY_MAP) {
      QCC_TRY(qcc_schema_overlay(key->block, to, from, arena));
    } else if (key->kind == QCC_KEY_OPS) {
      QCC_TRY(overlay_ops(key->block, to, from, arena));
    } else {
      memcpy(to, from, key->size);
    }
  }
  return QCC_OK;
}

qcc_status qcc_capability_way(qcc_yaml_WAY *out, qcc_capability *c, const qcc_yaml_ops *ops, const qcc_yaml_op *op) {
  const qcc_yaml_op *fallback = find_op(ops, "default");
  *out = (qcc_yaml_WAY){0};
  if (fallback) QCC_TRY(qcc_schema_overlay(qcc_schema_way(), out, &fallback->way, &c->arena));
  QCC_TRY(qcc_schema_overlay(qcc_schema_way(), out, &op->way, &c->arena));
  if (op->way.mode.at || !out->format.at) out->format = out->mode;
  return QCC_OK;
}
