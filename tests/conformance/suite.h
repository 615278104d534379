/* SPDX-License-Identifier: Apache-2.0
 * Stored tests of the operators' own suite: one folder per test (model.onnx, test_data_set_0/{input,output}_K.pb), or, for whole nets, a
 * model with one stored output. Shared by the programs of this folder. */
#ifndef QCC_TEST_SUITE_H
#define QCC_TEST_SUITE_H

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/ref/ref.h"
#include "frontends/onnx/import.h"

enum { SUITE_VALUES = 64, SUITE_PATH = 4096 };

typedef enum verdict { PASSED, UNSUPPORTED, FAILED } verdict;

/* What a test is about, judged by the types of inputs and outputs and by its operators. */
typedef enum test_class {
  CLASS_CORE, /* f32 u8 s8 s32 s64 bool */
  CLASS_INT16,
  CLASS_F64,
  CLASS_F16,
  CLASS_BF16,
  CLASS_INT4,
  CLASS_TINY, /* float8, float4, 2 bit */
  CLASS_LOSS,
  CLASS_TRAINING,
  CLASS_TEXT,
  CLASS_LIST,
  CLASS_IMAGE,
  CLASS_ML,
  CLASS_RANDOM,
  CLASS_COUNT
} test_class;
const char *class_name(test_class c);

typedef struct test_case {
  const char *root, *name; /* the folder root/name */
  char op[64];             /* of the model's first node */
  test_class kind;
  bool tier1, quantization;
  verdict verdict;
  char reason[1200]; /* one line, when it did not pass */
} test_case;

/* How a loaded test is executed. `run` gives what the operator suite calls the outputs, compared by suite_same. */
typedef struct loaded {
  const test_case *test;
  qcc_context *cx;
  qcc_graph *g;
  char model[SUITE_PATH];
  qcc_tensor *in; /* by graph input; empty: the default of the model */
  int *file;      /* by graph input: number of the stored input; -1: none */
  qcc_tensor want[SUITE_VALUES];
  uint32_t want_count;
  bool random; /* only types are compared */
  double slack;
  bool wrong;
  char detail[512], error[1024];
} loaded;
typedef qcc_status (*suite_runner)(loaded *t, void *user);

/* Runs one test: loads, executes by `run` (NULL: the built-in runtime, in this process), judges. */
void suite_run(test_case *t, suite_runner run, void *user);
void suite_input_path(const loaded *t, uint32_t input, char path[SUITE_PATH]);
bool suite_same(loaded *t, uint32_t index, const qcc_tensor *have);

/* Names of all tests below root/folder, sorted; filled with what the bytes of the models tell without loading them. */
size_t suite_list(const char *root, const char *folder, test_case **out);
void suite_free(test_case *t, size_t n);
/* Classification of a loaded graph. */
void suite_classify(test_case *t, const qcc_graph *g);
/* First operator of a model, found in its wire bytes; "" when there is none. */
void suite_first_operator(const char *path, char *to, size_t room);

#endif
