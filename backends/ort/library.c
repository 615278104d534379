/* SPDX-License-Identifier: Apache-2.0
 * Finding the library and its table of functions. */
#define _GNU_SOURCE /* RTLD_NODELETE */
#include "backends/ort/library.h"

#include <dlfcn.h>
#include <string.h>

enum { API_VERSION = 2, LOG_ERRORS = 3, ARENA = 1, DEFAULT_MEMORY = 0 };

/* What the only exported symbol that is needed gives. */
typedef struct api_base {
  const void *(*get_api)(uint32_t version);
  const char *(*get_version)(void);
} api_base;

/* Once loaded it stays: it keeps threads and tables of its own, and loading takes a while. */
static void *open_library(const char *path) {
  const int flags = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
  static const char *const usual[] = {"libonnxruntime.so.1", "libonnxruntime.so"};
  if (path && strcmp(path, "ort") != 0) return dlopen(path, flags);
  void *handle = NULL;
  for (size_t i = 0; !handle && i < sizeof usual / sizeof *usual; i++) handle = dlopen(usual[i], flags);
  return handle;
}

static void take_functions(qcc_ort_library *l, const char *api) {
#define ORT(place, name, result, arguments) memcpy(&l->name, api + (place) * sizeof(void *), sizeof(void *));
#include "backends/ort/functions.def"
#undef ORT
}

qcc_status qcc_ort_check(const qcc_ort_library *l, void *returned, qcc_status status, const char *doing) {
  if (!returned) return QCC_OK;
  qcc_status st = qcc_error(l->cx, status, "U-150", NULL, "ONNX Runtime %s cannot %s: %s", l->version, doing, l->GetErrorMessage(returned));
  l->ReleaseStatus(returned);
  return st;
}

qcc_status qcc_ort_load(qcc_ort_library *l, qcc_context *cx, const char *path) {
  *l = (qcc_ort_library){.cx = cx};
  l->handle = open_library(path);
  if (!l->handle)
    return qcc_error(cx, QCC_ARG, "A-150", NULL,
                     "cannot load ONNX Runtime: %s; give the path of libonnxruntime.so (a Python wheel has it in onnxruntime/capi)",
                     dlerror());
  void *symbol = dlsym(l->handle, "OrtGetApiBase");
  const api_base *(*get_base)(void) = NULL;
  memcpy(&get_base, &symbol, sizeof symbol);
  const api_base *base = symbol ? get_base() : NULL;
  const void *api = base ? base->get_api(API_VERSION) : NULL;
  if (!api) return qcc_error(cx, QCC_ARG, "A-151", NULL, "\"%s\" is not a library of ONNX Runtime", path);
  l->version = qcc_intern(cx, base->get_version());
  if (!l->version) return QCC_NOMEM;
  take_functions(l, api);
  QCC_TRY(qcc_ort_check(l, l->CreateEnv(LOG_ERRORS, "qcc", &l->env), QCC_INTERNAL, "start"));
  QCC_TRY(qcc_ort_check(l, l->GetAllocatorWithDefaultOptions(&l->allocator), QCC_INTERNAL, "start"));
  return qcc_ort_check(l, l->CreateCpuMemoryInfo(ARENA, DEFAULT_MEMORY, &l->memory), QCC_INTERNAL, "start");
}

void qcc_ort_unload(qcc_ort_library *l) {
  if (l->memory) l->ReleaseMemoryInfo(l->memory);
  if (l->env) l->ReleaseEnv(l->env);
  if (l->handle) dlclose(l->handle);
  *l = (qcc_ort_library){0};
}
