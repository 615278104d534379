/* SPDX-License-Identifier: Apache-2.0
 * Which figure a test counts for. Models that a function was expanded into carry the name of the operator: they belong to it. */
#include "tests/conformance/suite.h"

const char *class_name(test_class c) {
  static const char *const names[CLASS_COUNT] = {"core types",           "16-bit, u32, u64", "double",     "fp16",     "bf16",
                                                 "int4, uint4",          "fp8, fp4, 2-bit",  "losses",     "training", "strings",
                                                 "sequences, optionals", "images",           "ai.onnx.ml", "random"};
  return c < CLASS_COUNT ? names[c] : "?";
}

/* Operators without which hardly any network runs. */
static const char *const tier1[] = {"Resize",
                                    "AveragePool",
                                    "MaxPool",
                                    "LayerNormalization",
                                    "ArgMax",
                                    "Split",
                                    "Clip",
                                    "Concat",
                                    "ReduceSum",
                                    "Gemm",
                                    "ConvTranspose",
                                    "Shape",
                                    "Pow",
                                    "Reshape",
                                    "ReduceMax",
                                    "ReduceMin",
                                    "Flatten",
                                    "And",
                                    "Max",
                                    "Min",
                                    "Slice",
                                    "ReduceMean",
                                    "MatMul",
                                    "Softmax",
                                    "LogSoftmax",
                                    "Transpose",
                                    "Unsqueeze",
                                    "Conv",
                                    "Div",
                                    "Dropout",
                                    "Pad",
                                    "TopK",
                                    "Mul",
                                    "Sub",
                                    "Add",
                                    "Equal",
                                    "Gather",
                                    "Greater",
                                    "Less",
                                    "QLinearMatMul",
                                    "BatchNormalization",
                                    "GlobalAveragePool",
                                    "GlobalMaxPool",
                                    "InstanceNormalization",
                                    "LRN",
                                    "PRelu",
                                    "Sqrt",
                                    "Exp",
                                    "Log",
                                    "Neg",
                                    "Reciprocal",
                                    "Sigmoid",
                                    "Tanh",
                                    "Squeeze",
                                    "Expand",
                                    "Tile",
                                    "Where",
                                    "DepthToSpace",
                                    "ConvInteger",
                                    "LeakyRelu",
                                    "Elu",
                                    "HardSigmoid",
                                    "Sum",
                                    "ConstantOfShape",
                                    "Identity",
                                    "Not",
                                    "QuantizeLinear",
                                    "DequantizeLinear",
                                    "DynamicQuantizeLinear",
                                    "Relu",
                                    "Erf",
                                    "Abs",
                                    "HardSwish",
                                    "Constant",
                                    "QLinearConv",
                                    "MatMulInteger",
                                    "Cast"};

static const char *const quantization[] = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv",
                                           "QLinearMatMul",  "ConvInteger",      "MatMulInteger"};

#define COUNT(list) (sizeof(list) / sizeof(list)[0])

static bool is_one_of(const char *name, const char *const *list, size_t n) {
  for (size_t i = 0; i < n; ++i)
    if (!strcmp(name, list[i])) return true;
  return false;
}

static bool starts(const char *text, const char *with) { return strncmp(text, with, strlen(with)) == 0; }

/* ---- operators: whole families that count by themselves */
static const struct {
  const char *prefix; /* of the operator, or of the domain */
  test_class kind;
} families[] = {{"NegativeLogLikelihoodLoss", CLASS_LOSS},
                {"SoftmaxCrossEntropyLoss", CLASS_LOSS},
                {"ai.onnx.preview", CLASS_TRAINING},
                {"Bernoulli", CLASS_RANDOM},
                {"ImageDecoder", CLASS_IMAGE},
                {"ai.onnx.ml", CLASS_ML},
                {"TfIdfVectorizer", CLASS_TEXT},
                {"Sequence", CLASS_LIST},
                {"Optional", CLASS_LIST}};

typedef struct walk {
  test_class kind;
  bool found, only_tier1;
} walk;

static qcc_status look(qcc_graph *g, void *user) {
  walk *w = user;
  QCC_FOR_NODES(n, g) {
    w->only_tier1 = w->only_tier1 && n->domain[0] == 0 && is_one_of(n->op_type, tier1, COUNT(tier1));
    for (size_t i = 0; i < COUNT(families) && n == g->first && g == g->root; ++i)
      if (!w->found && (starts(n->op_type, families[i].prefix) || starts(n->domain, families[i].prefix)))
        w->kind = families[i].kind, w->found = true;
  }
  return QCC_OK;
}

/* ---- element types, the rarest first */
static const struct {
  qcc_dtype dtype[8];
  test_class kind;
} types[] = {{{QCC_STRING}, CLASS_TEXT},
             {{QCC_F8E4M3FN, QCC_F8E4M3FNUZ, QCC_F8E5M2, QCC_F8E5M2FNUZ, QCC_F4E2M1, QCC_F8E8M0, QCC_U2, QCC_S2}, CLASS_TINY},
             {{QCC_U4, QCC_S4}, CLASS_INT4},
             {{QCC_BF16}, CLASS_BF16},
             {{QCC_F16}, CLASS_F16},
             {{QCC_F64}, CLASS_F64},
             {{QCC_U16, QCC_S16, QCC_U32, QCC_U64}, CLASS_INT16}};

/* Rank of the class of a value's type; the lowest counts. */
static size_t type_rank(const qcc_value *v) {
  for (size_t i = 0; i < COUNT(types); ++i)
    for (size_t j = 0; j < COUNT(types[i].dtype); ++j)
      if (types[i].dtype[j] != QCC_NONE && types[i].dtype[j] == v->type.dtype) return i;
  return COUNT(types);
}

static bool is_list(const qcc_value *v) { return v->type.dtype == QCC_NONE && v->extra.n; }

static test_class class_by_types(const qcc_graph *g) {
  size_t rank = COUNT(types);
  bool list = false;
  for (uint32_t i = 0; i < g->input_count + g->output_count; ++i) {
    const qcc_value *v = i < g->input_count ? g->inputs[i] : g->outputs[i - g->input_count]->value;
    if (!v) continue;
    list |= is_list(v);
    const size_t r = type_rank(v);
    rank = r < rank ? r : rank;
  }
  return list ? CLASS_LIST : rank < COUNT(types) ? types[rank].kind : CLASS_CORE;
}

void suite_classify(test_case *t, const qcc_graph *g) {
  walk w = {.only_tier1 = true};
  if (qcc_graph_walk((qcc_graph *)(uintptr_t)g, look, &w) != QCC_OK) return;
  for (size_t i = 0; i < COUNT(families) && !w.found; ++i) /* functions expanded: the operator is in the name alone */
    if (starts(t->op, families[i].prefix)) w.kind = families[i].kind, w.found = true;
  const bool training = strstr(t->name, "training") != NULL;
  t->kind = training ? CLASS_TRAINING : w.found ? w.kind : class_by_types(g);
  t->tier1 = t->kind == CLASS_CORE && w.only_tier1;
  t->quantization = is_one_of(t->op, quantization, COUNT(quantization)) && t->kind != CLASS_TINY;
}
