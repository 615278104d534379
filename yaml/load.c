/* SPDX-License-Identifier: Apache-2.0
 * From a name to what a target can do: find the text, read it, choose the version, lay it over what it extends.
 *
 * Three layouts are read. Ours is one map; its "versions" are laid over it in order, up to the runtime's version. A list of maps is a file
 * of the predecessor: with "capabilities" inside, of its first generation (the item with exactly the runtime's version, else "default"),
 * otherwise of its second (the newest item that is not newer than the runtime, "default" only when all are). */
#include "yaml/load.h"

#include <string.h>

enum { MOST_EXTENDS = 8 };

typedef struct loader {
  qcc_context *cx;
  qcc_capability *c;
  const char *runtime;            /* asked for; NULL: none */
  const char *seen[MOST_EXTENDS]; /* names on the way, interned: a circle is told */
  uint32_t depth;
} loader;

/* ---- texts */

static bool is_path(const char *name) {
  size_t n = strlen(name);
  bool suffix = (n > 5 && strcmp(name + n - 5, ".yaml") == 0) || (n > 4 && strcmp(name + n - 4, ".yml") == 0);
  return suffix || strchr(name, '/');
}

static qcc_status unknown_target(qcc_context *cx, const char *name, const qcc_loc *loc) {
  qcc_nearest near = qcc_nearest_to(name, strlen(name));
  const char *shipped;
  for (uint32_t i = 0; (shipped = qcc_capability_shipped(i, NULL, NULL)); i++) qcc_nearest_offer(&near, shipped);
  const char *slip = qcc_nearest_slip(&near);
  return qcc_error(cx, QCC_ARG, "A-110", loc, "unknown target %-s%s%s%s; \"qcc list targets\" names them, and a file ends in .yaml", name,
                   slip ? "; did you mean \"" : "", slip ? slip : "", slip ? "\"?" : "");
}

static qcc_status read_file(qcc_context *cx, const char *path, char **text, size_t *n) {
  const qcc_io *io = &qcc_context_host(cx)->io;
  qcc_loc loc = {.file = path};
  uint64_t size = 0, most = qcc_context_limits(cx)->config_bytes;
  void *file = NULL;
  int e = io->open(io->user, path, NULL, &file, &size);
  if (e) return qcc_error(cx, QCC_IO, "F-501", &loc, "cannot open the file (error %d)", e);
  qcc_status st = QCC_OK;
  if (size > most)
    st = qcc_error(cx, QCC_LIMIT, "L-503", &loc, "%llu bytes, at most %llu; --limit max-config-bytes=N raises it", (unsigned long long)size,
                   (unsigned long long)most);
  if (st == QCC_OK && !(*text = qcc_alloc(cx, (size_t)size + 1))) st = QCC_NOMEM;
  if (st == QCC_OK) e = io->read(io->user, file, 0, *text, (size_t)size, n);
  if (st == QCC_OK && e) st = qcc_error(cx, QCC_IO, "F-502", &loc, "cannot read the file (error %d)", e);
  io->close(io->user, file);
  return st;
}

/* A new document of `c`; it stays when reading fails, so that there is one place that frees. */
static qcc_status parse(loader *l, const char *name, const char *text, size_t n, const qcc_doc_node **root) {
  qcc_capability *c = l->c;
  qcc_loc loc = {.file = name};
  if (c->doc_count == MOST_EXTENDS) return qcc_error(l->cx, QCC_LIMIT, "L-504", &loc, "more than %d files extend each other", MOST_EXTENDS);
  QCC_TRY(qcc_doc_parse(&c->doc[c->doc_count], l->cx, name, text, n));
  *root = c->doc[c->doc_count++].root;
  return *root ? QCC_OK : qcc_error(l->cx, QCC_ARG, "A-540", &loc, "the file is empty");
}

static qcc_status open_text(loader *l, const char *name, const qcc_doc_node *from, const qcc_doc_node **root) {
  const char *shipped, *text = NULL;
  size_t n = 0;
  qcc_loc loc = from ? qcc_doc_loc(from) : (qcc_loc){0};
  if (is_path(name)) {
    char *bytes = NULL;
    qcc_status st = read_file(l->cx, name, &bytes, &n);
    if (st == QCC_OK) st = parse(l, name, bytes, n, root);
    qcc_free(l->cx, bytes);
    return st;
  }
  for (uint32_t i = 0; (shipped = qcc_capability_shipped(i, &text, &n)); i++) {
    if (strcmp(shipped, name) == 0) return parse(l, qcc_internf(l->cx, "%s.yaml", name), text, n, root);
  }
  return unknown_target(l->cx, name, from ? &loc : NULL);
}

/* ---- versions */

static bool listed(const qcc_yaml_list *names, const char *version) {
  for (uint32_t i = 0; i < names->count; i++) {
    const char *name = names->item[i]->text;
    bool both = qcc_version_valid(name) && qcc_version_valid(version);
    if (both ? qcc_version_compare(name, version) == 0 : strcmp(name, version) == 0) return true;
  }
  return false;
}

/* The newest version of an item that is not newer than `most` (NULL: any); NULL: none. */
static const char *newest(const qcc_yaml_list *names, const char *most) {
  const char *best = NULL;
  for (uint32_t i = 0; i < names->count; i++) {
    const char *name = names->item[i]->text;
    if (!qcc_version_valid(name) || (most && qcc_version_compare(name, most) > 0)) continue;
    if (!best || qcc_version_compare(name, best) > 0) best = name;
  }
  return best;
}

typedef struct items {
  uint32_t count;
  qcc_yaml_CAPABILITY *at;
  bool first_generation;
} items;

static qcc_status bind_items(loader *l, items *to, const qcc_doc_node *list) {
  qcc_loc loc = qcc_doc_loc(list);
  if (list->kind != QCC_DOC_LIST || list->count == 0) return qcc_error(l->cx, QCC_ARG, "A-541", &loc, "a list of versions is wanted here");
  *to = (items){.count = list->count, .at = qcc_arena_array(&l->c->arena, list->count, sizeof *to->at)};
  if (!to->at) return QCC_NOMEM;
  for (uint32_t i = 0; i < list->count; i++) {
    qcc_yaml_CAPABILITY *item = &to->at[i];
    QCC_TRY(qcc_schema_bind(qcc_schema_root(), item, &l->c->arena, list->item[i]));
    qcc_loc at = qcc_doc_loc(list->item[i]);
    if (!item->version.name.at) return qcc_error(l->cx, QCC_ARG, "A-542", &at, "an item without \"version: {name: ...}\"");
    if (item->versions.at || item->extends.at || item->target.at)
      return qcc_error(l->cx, QCC_ARG, "A-543", &at, "an item of a list of versions names no target, extends nothing and has no versions");
    to->first_generation |= item->capabilities.at != NULL;
  }
  return QCC_OK;
}

static const qcc_yaml_CAPABILITY *choose_exact(const items *all, const char *runtime) {
  for (uint32_t i = 0; runtime && i < all->count; i++) {
    if (listed(&all->at[i].version.name, runtime)) return &all->at[i];
  }
  for (uint32_t i = 0; i < all->count; i++) {
    if (listed(&all->at[i].version.name, "default")) return &all->at[i];
  }
  return NULL;
}

static const qcc_yaml_CAPABILITY *choose_newest(const items *all, const char *runtime) {
  const qcc_yaml_CAPABILITY *best = NULL;
  const char *best_version = NULL;
  for (uint32_t i = 0; i < all->count; i++) {
    const char *version = newest(&all->at[i].version.name, runtime);
    if (!version || (best && qcc_version_compare(version, best_version) <= 0)) continue;
    best = &all->at[i];
    best_version = version;
  }
  return best ? best : choose_exact(all, NULL);
}

static qcc_status chosen(loader *l, const qcc_yaml_CAPABILITY *item) {
  const char *version = newest(&item->version.name, l->runtime);
  bool older = version && qcc_version_valid(l->c->runtime) && qcc_version_compare(version, l->c->runtime) < 0;
  if (older && !l->runtime) return QCC_OK; /* what is extended speaks of a newer one */
  l->c->runtime = qcc_intern(l->cx, l->runtime ? l->runtime : version ? version : "");
  return l->c->runtime ? QCC_OK : QCC_NOMEM;
}

static qcc_status load_list(loader *l, const qcc_doc_node *list, const char *name) {
  items all;
  QCC_TRY(bind_items(l, &all, list));
  const qcc_yaml_CAPABILITY *item = all.first_generation ? choose_exact(&all, l->runtime) : choose_newest(&all, l->runtime);
  qcc_loc loc = qcc_doc_loc(list);
  if (!item)
    return qcc_error(l->cx, QCC_ARG, "A-544", &loc, "no item is for version %s, and none is \"default\"", l->runtime ? l->runtime : "\"\"");
  qcc_yaml_CAPABILITY copy = *item;
  l->c->foreign = true;
  QCC_TRY(qcc_legacy_convert(&copy, &l->c->arena, name));
  QCC_TRY(chosen(l, item));
  return qcc_schema_overlay(qcc_schema_root(), &l->c->say, &copy, &l->c->arena);
}

/* Our "versions": laid over one another as long as they are not newer than the runtime. */
static qcc_status load_versions(loader *l, const qcc_doc_node *list) {
  items all;
  QCC_TRY(bind_items(l, &all, list));
  const char *before = "0";
  for (uint32_t i = 0; i < all.count; i++) {
    const qcc_yaml_list *names = &all.at[i].version.name;
    qcc_loc loc = qcc_doc_loc(names->at);
    if (names->count != 1 || !qcc_version_valid(names->item[0]->text))
      return qcc_error(l->cx, QCC_ARG, "A-545", &loc, "one version such as 1.20 is wanted here");
    if (qcc_version_compare(names->item[0]->text, before) <= 0)
      return qcc_error(l->cx, QCC_ARG, "A-546", &loc, "version %s stands behind %s; older ones come first", names->item[0]->text, before);
    before = names->item[0]->text;
    if (l->runtime && qcc_version_compare(before, l->runtime) > 0) continue;
    QCC_TRY(qcc_schema_overlay(qcc_schema_root(), &l->c->say, &all.at[i], &l->c->arena));
    QCC_TRY(chosen(l, &all.at[i]));
  }
  return QCC_OK;
}

/* ---- files */

static qcc_status load_name(loader *l, const char *name, const qcc_doc_node *from);

/* A path in "extends" is meant beside the file that says it. */
static qcc_status load_base(loader *l, const qcc_yaml_text *extends, const char *file) {
  const char *name = extends->text, *slash = strrchr(file, '/');
  if (!is_path(name)) return load_name(l, name, extends->at);
  while (name[0] == '.' && name[1] == '/') name += 2;
  if (*name != '/' && slash) name = qcc_internf(l->cx, "%.*s/%s", (int)(slash - file), file, name);
  return name ? load_name(l, name, extends->at) : QCC_NOMEM;
}

static qcc_status load_map(loader *l, const qcc_doc_node *root, const char *name) {
  qcc_yaml_CAPABILITY say = {0};
  QCC_TRY(qcc_schema_bind(qcc_schema_root(), &say, &l->c->arena, root));
  if (!l->runtime && say.runtime.at && !(l->runtime = qcc_intern(l->cx, say.runtime.text))) return QCC_NOMEM;
  if (say.extends.at) QCC_TRY(load_base(l, &say.extends, name));
  QCC_TRY(qcc_legacy_convert(&say, &l->c->arena, name));
  QCC_TRY(qcc_schema_overlay(qcc_schema_root(), &l->c->say, &say, &l->c->arena));
  return say.versions.at ? load_versions(l, say.versions.at) : QCC_OK;
}

static qcc_status load_name(loader *l, const char *name, const qcc_doc_node *from) {
  const qcc_doc_node *root = NULL;
  const char *interned = qcc_intern(l->cx, name);
  qcc_loc loc = from ? qcc_doc_loc(from) : (qcc_loc){.file = name};
  if (!interned) return QCC_NOMEM;
  for (uint32_t i = 0; i < l->depth; i++) {
    if (l->seen[i] == interned) return qcc_error(l->cx, QCC_ARG, "A-547", &loc, "%-s extends itself", name);
  }
  if (l->depth == MOST_EXTENDS) return qcc_error(l->cx, QCC_LIMIT, "L-504", &loc, "more than %d files extend each other", MOST_EXTENDS);
  l->seen[l->depth++] = interned;
  QCC_TRY(open_text(l, interned, from, &root));
  return root->kind == QCC_DOC_LIST ? load_list(l, root, interned) : load_map(l, root, interned);
}

/* "NAME@1.20": the version after the last '@'. */
static const char *split_version(qcc_context *cx, const char *name, const char **runtime) {
  const char *at = strrchr(name, '@');
  *runtime = NULL;
  if (!at || at == name || !qcc_version_valid(at + 1) || strchr(at, '/')) return qcc_intern(cx, name);
  *runtime = qcc_intern(cx, at + 1);
  return *runtime ? qcc_intern_n(cx, name, (size_t)(at - name)) : NULL;
}

/* A file that does not name its target is called after itself. */
static const char *name_of(const qcc_capability *c, qcc_context *cx, const char *name) {
  if (c->say.target.at && c->say.target.at->file == name) return qcc_intern(cx, c->say.target.text);
  const char *slash = strrchr(name, '/'), *base = slash ? slash + 1 : name;
  const char *dot = strrchr(base, '.');
  return qcc_intern_n(cx, base, dot && is_path(name) && dot > base ? (size_t)(dot - base) : strlen(base));
}

qcc_status qcc_capability_load(qcc_capability *out, qcc_context *cx, const char *name) {
  *out = (qcc_capability){.cx = cx, .runtime = ""};
  qcc_arena_init(&out->arena, cx);
  loader l = {.cx = cx, .c = out};
  const char *plain = split_version(cx, name, &l.runtime);
  qcc_status st = plain ? QCC_OK : QCC_NOMEM;
  out->doc = qcc_arena_array(&out->arena, MOST_EXTENDS, sizeof *out->doc);
  if (st == QCC_OK && !out->doc) st = QCC_NOMEM;
  if (st == QCC_OK) st = load_name(&l, plain, NULL);
  if (st == QCC_OK && !(out->name = name_of(out, cx, plain))) st = QCC_NOMEM;
  if (st == QCC_OK && l.runtime) out->runtime = l.runtime;
  if (st != QCC_OK) qcc_capability_fini(out);
  return st;
}

void qcc_capability_fini(qcc_capability *c) {
  for (uint32_t i = 0; i < c->doc_count; i++) qcc_doc_fini(&c->doc[i]);
  if (c->cx) qcc_arena_fini(&c->arena);
  *c = (qcc_capability){0};
}
