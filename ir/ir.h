/* SPDX-License-Identifier: Apache-2.0
 * The graph. Nodes and values have stable addresses and dense ids; only build/edit functions write links.
 *
 * Everything reachable from a graph is in the root graph's arena, interned in the context, or a qcc_buf.
 * Subgraphs (If, Loop, Scan) are graphs owned by an attribute of a node. They share arena, ids and opsets of the root and
 * use outer values directly ("captures"), so a use list may hold users from inner graphs. Names are unique over the
 * whole module (root and subgraphs).
 *
 * A value is a graph input (def NULL, data NULL), a constant (def NULL, data set: an ONNX initializer) or the output of a node.
 * Nodes of a graph stand in a list that is a topological order at all times.
 *
 * Builders are sticky: after the first failed allocation they return NULL, accept NULL, and qcc_graph_failed() says so; a rewrite
 * reads as algebra and is checked once. */
#ifndef QCC_IR_H
#define QCC_IR_H

#include "ir/quant.h"
#include "ir/support/arena.h"
#include "ir/tensor.h"

typedef struct qcc_graph qcc_graph;
typedef struct qcc_node qcc_node;
typedef struct qcc_value qcc_value;
typedef struct qcc_use qcc_use;
typedef struct qcc_attr qcc_attr;

/* ---- op table (ops.def) */
typedef enum qcc_op {
  QCC_OP_OPAQUE, /* unknown operator: preserved, never touched */
#define OP(id, domain, name, since, in_min, in_max, out_max, shape, kern, role, exact) QCC_OP_##id,
#include "ir/ops.def"
#undef OP
  QCC_OP_COUNT
} qcc_op;

/* What quantization may do with an operator; the closed set that ops.def uses. */
typedef enum qcc_role {
  QCC_ROLE_FLOAT,      /* stays float */
  QCC_ROLE_WEIGHTED,   /* integer accumulate: data 0, weight 1, bias 2 (Conv, ConvTranspose, Gemm, MatMul, com.microsoft Attention) */
  QCC_ROLE_ARITH,      /* integer with rescale: Add, Mul, average pools */
  QCC_ROLE_TABLE,      /* unary, 8-bit look-up possible: Sigmoid, LeakyRelu, Softmax */
  QCC_ROLE_SAME_SCALE, /* several inputs, inputs and output share parameters: Concat */
  QCC_ROLE_PASS,       /* moves or selects bytes of input 0: MaxPool, Reshape, Transpose, Slice, Resize nearest */
  QCC_ROLE_CLAMP,      /* narrows the range, folds into the producer: Relu, Clip */
  QCC_ROLE_RECURRENT,  /* weights can be stored in 8 bit: LSTM, GRU, RNN (W 1, R 2) */
  QCC_ROLE_QUANT       /* already quantized arithmetic, Q and DQ themselves */
} qcc_role;

typedef enum qcc_exact { QCC_EXACT, QCC_ROUNDS, QCC_RANDOM } qcc_exact; /* how to compare two runs of the operator */

enum { QCC_MANY = 0x7fffffff };

typedef struct qcc_op_info {
  const char *domain; /* "" for ai.onnx, "com.microsoft", "qcc" */
  const char *name;
  int since; /* first opset that has it */
  int in_min, in_max, out_max;
  qcc_role role;
  qcc_exact exact;
} qcc_op_info;

const qcc_op_info *qcc_op_get(qcc_op op);                 /* never NULL */
qcc_op qcc_op_find(const char *domain, const char *name); /* QCC_OP_OPAQUE when unknown; "ai.onnx" equals "" */

/* ---- pieces */
struct qcc_use {    /* one edge: input `index` of `node`, or graph output `index` when node is NULL */
  qcc_value *value; /* NULL: optional input left out */
  qcc_node *node;
  qcc_graph *graph; /* the graph whose node or output list holds this edge */
  uint32_t index;
  qcc_use *prev, *next; /* in value->uses, in order of linking; next of the last is NULL, prev of the first is the last */
};

typedef struct qcc_extra { /* wire bytes of fields that the IR does not model; the writer appends them unchanged */
  const uint8_t *bytes;
  size_t n;
} qcc_extra;

struct qcc_value {
  uint32_t id;      /* dense over the module */
  const char *name; /* interned, unique */
  qcc_type type;
  qcc_node *def; /* NULL: graph input or constant */
  uint32_t def_index;
  qcc_graph *graph;
  const qcc_tensor *data; /* constants */
  qcc_use *uses;
  uint32_t use_count;     /* graph outputs included */
  uint32_t output_uses;   /* those of them that are graph outputs */
  bool is_input;          /* listed in graph->inputs */
  bool typed_by_file;     /* the model gave value_info for it */
  qcc_extra extra;        /* of ValueInfoProto */
  qcc_extra tensor_extra; /* of TensorProto (constants) */
};

typedef enum qcc_attr_kind {
  QCC_ATTR_INT,
  QCC_ATTR_FLOAT,
  QCC_ATTR_STRING,
  QCC_ATTR_TENSOR,
  QCC_ATTR_GRAPH,
  QCC_ATTR_INTS,
  QCC_ATTR_FLOATS,
  QCC_ATTR_STRINGS,
  QCC_ATTR_TENSORS,
  QCC_ATTR_GRAPHS,
  QCC_ATTR_OPAQUE /* kept as the wire bytes of the AttributeProto */
} qcc_attr_kind;

typedef struct qcc_bytes {
  const char *at;
  size_t n;
} qcc_bytes; /* also terminated by 0 */

struct qcc_attr {
  const char *name; /* interned */
  qcc_attr_kind kind;
  uint32_t count; /* of the list kinds */
  union {
    int64_t i;
    float f;
    qcc_bytes s;
    const qcc_tensor *t;
    qcc_graph *g;
    const int64_t *ints;
    const float *floats;
    const qcc_bytes *strings;
    const qcc_tensor *tensors;
    qcc_graph *const *graphs;
  };
  qcc_extra extra;
  qcc_attr *next;
};

struct qcc_node {
  uint32_t id; /* dense over the module */
  qcc_op op;
  const char *op_type;  /* interned, also for opaque operators */
  const char *domain;   /* interned; "" for ai.onnx */
  const char *overload; /* usually "" */
  const char *name;     /* interned; "" allowed: see assign-names */
  const char *origin;   /* names of the source nodes this one stands for, comma separated; survives rewriting */
  uint32_t in_count, out_count;
  qcc_use *in;     /* array; in[k].value may be NULL */
  qcc_value **out; /* array; out[k] may be NULL: output left out */
  qcc_attr *attrs; /* in file order */
  qcc_graph *graph;
  qcc_node *prev, *next; /* topological order */
  qcc_extra extra;
};

typedef struct qcc_opset {
  const char *domain;
  int64_t version;
} qcc_opset;
typedef struct qcc_meta {
  const char *key, *value;
} qcc_meta;

struct qcc_graph {
  qcc_context *cx;
  qcc_arena *arena; /* the root's */
  qcc_graph *root;  /* itself for the root */
  qcc_node *owner;  /* node whose attribute holds this subgraph; NULL for the root */
  const char *name;
  qcc_node *first, *last;
  uint32_t node_count; /* of this graph, without subgraphs */
  qcc_value **inputs;
  uint32_t input_count, input_cap;
  qcc_use **outputs;
  uint32_t output_count, output_cap;
  qcc_value **consts;
  uint32_t const_count, const_cap; /* in file order; erased ones are removed */
  qcc_extra extra;                 /* of GraphProto */
  /* root only */
  uint32_t next_node_id, next_value_id;
  bool failed;      /* sticky: an allocation failed */
  const char *file; /* path of the model or NULL */
  int64_t ir_version, model_version;
  const char *producer, *producer_version, *model_domain;
  qcc_opset *opsets;
  uint32_t opset_count, opset_cap;
  qcc_meta *metadata;
  uint32_t meta_count, meta_cap;
  qcc_extra model_extra;
  struct qcc_name_table *names; /* value and node names in use */
  const qcc_tensor **owned;
  uint32_t owned_count, owned_cap; /* tensors whose buffers the graph releases */
};

/* ---- own and iterate */
qcc_status qcc_graph_new(qcc_graph **out, qcc_context *cx) QCC_MUST_USE; /* empty root, opset "" 13, ir_version 8 */
void qcc_graph_free(qcc_graph *g);                                       /* root only; NULL is fine */
/* Deep copy of a root graph; ids are compacted, weight buffers shared. */
qcc_status qcc_graph_clone(qcc_graph **out, const qcc_graph *g) QCC_MUST_USE;
qcc_graph *qcc_subgraph_new(qcc_graph *parent); /* attach with qcc_attr_set_graph */
bool qcc_graph_failed(const qcc_graph *g);
/* QCC_NOMEM when a builder failed, else QCC_OK: the one check after a rewrite. */
qcc_status qcc_graph_status(const qcc_graph *g) QCC_MUST_USE;
int64_t qcc_graph_opset(const qcc_graph *g, const char *domain); /* 0: not imported; "ai.onnx" equals "" */
qcc_status qcc_graph_set_opset(qcc_graph *g, const char *domain, int64_t version) QCC_MUST_USE;
qcc_status qcc_graph_set_metadata(qcc_graph *g, const char *key, const char *value) QCC_MUST_USE; /* replaces; NULL removes */
const char *qcc_graph_metadata(const qcc_graph *g, const char *key);                              /* NULL: absent */
#define QCC_FOR_NODES(n, g) for (qcc_node *n = (g)->first; n; n = n->next)
#define QCC_FOR_NODES_SAFE(n, next_, g) \
  for (qcc_node *n = (g)->first, *next_ = n ? n->next : NULL; n; n = next_, next_ = n ? n->next : NULL)
#define QCC_FOR_USES(u, v) for (qcc_use *u = (v)->uses; u; u = u->next)
/* Calls `each` for this graph, then for every subgraph, outermost first. Stops at the first failure. */
qcc_status qcc_graph_walk(qcc_graph *g, qcc_status (*each)(qcc_graph *g, void *user), void *user) QCC_MUST_USE;
qcc_value *qcc_find_value(const qcc_graph *g, const char *interned_name); /* in the whole module; NULL: absent */
qcc_node *qcc_find_node(const qcc_graph *g, const char *interned_name);   /* NULL: absent */
qcc_loc qcc_node_loc(const qcc_node *n);

/* ---- attributes */
const qcc_attr *qcc_attr_find(const qcc_node *n, const char *name); /* any string, not only interned */
int64_t qcc_attr_int(const qcc_node *n, const char *name, int64_t fallback);
float qcc_attr_float(const qcc_node *n, const char *name, float fallback);
const char *qcc_attr_str(const qcc_node *n, const char *name, const char *fallback);
const int64_t *qcc_attr_ints(const qcc_node *n, const char *name, uint32_t *count); /* NULL and 0 when absent */
const float *qcc_attr_floats(const qcc_node *n, const char *name, uint32_t *count);
const qcc_tensor *qcc_attr_tensor(const qcc_node *n, const char *name);
qcc_graph *qcc_attr_graph(const qcc_node *n, const char *name);
void qcc_attr_set_int(qcc_node *n, const char *name, int64_t i); /* setters replace; data is copied */
void qcc_attr_set_float(qcc_node *n, const char *name, float f);
void qcc_attr_set_str(qcc_node *n, const char *name, const char *s, size_t len);
void qcc_attr_set_strs(qcc_node *n, const char *name, const qcc_bytes *s, uint32_t count);
void qcc_attr_set_ints(qcc_node *n, const char *name, const int64_t *i, uint32_t count);
void qcc_attr_set_floats(qcc_node *n, const char *name, const float *f, uint32_t count);
void qcc_attr_set_tensor(qcc_node *n, const char *name, const qcc_tensor *t); /* shares the buffer */
void qcc_attr_set_graph(qcc_node *n, const char *name, qcc_graph *g);
void qcc_attr_set_tensors(qcc_node *n, const char *name, const qcc_tensor *t, uint32_t count);
void qcc_attr_set_graphs(qcc_node *n, const char *name, qcc_graph *const *g, uint32_t count);
void qcc_attr_set_opaque(qcc_node *n, const char *name, const void *bytes, size_t size); /* wire bytes of the AttributeProto */
void qcc_attr_remove(qcc_node *n, const char *name);
void qcc_attr_copy(qcc_node *to, const qcc_node *from); /* all attributes; subgraphs are cloned */

/* ---- build. Names may be NULL (a fresh one is made from `hint`/op) and are made unique when taken. */
qcc_value *qcc_add_input(qcc_graph *g, const char *name, const qcc_type *type);
/* Takes over the reference of `t->buf` on success and on failure. */
qcc_value *qcc_add_const(qcc_graph *g, const char *name, qcc_tensor *t);
qcc_value *qcc_add_const_f32(qcc_graph *g, const char *name, int rank, const int64_t *dims, const float *x);
qcc_value *qcc_add_const_s64(qcc_graph *g, const char *name, int rank, const int64_t *dims, const int64_t *x);
/* Append (before == NULL) or insert a node. Inputs may hold NULL (left out); the outputs are new values with unknown type.
 * Nodes get `out_count` fresh outputs named after the node. */
qcc_node *qcc_add_node(qcc_graph *g, qcc_node *before, qcc_op op, const char *name, qcc_value *const *in, uint32_t in_count,
                       uint32_t out_count);
/* Same for operators outside the table. */
qcc_node *qcc_add_opaque(qcc_graph *g, qcc_node *before, const char *domain, const char *op_type, const char *name, qcc_value *const *in,
                         uint32_t in_count, uint32_t out_count);
void qcc_add_output(qcc_graph *g, qcc_value *v);
qcc_value *qcc_out(const qcc_node *n, uint32_t k);          /* NULL-safe */
const char *qcc_fresh_name(qcc_graph *g, const char *base); /* interned, not in use: base, base_1, base_2... */

/* ---- edit */
void qcc_set_input(qcc_node *n, uint32_t index, qcc_value *v); /* v may be NULL; index may equal in_count: appends */
void qcc_set_use(qcc_use *u, qcc_value *v);                    /* any edge, graph outputs included */
void qcc_replace_uses(qcc_value *from, qcc_value *to);         /* every edge; graph outputs too */
/* Same, and when `from` is a graph output, `to` takes its name (they swap), so that the interface stays. Where `to` cannot take the
 * name (it is an input, an output itself, or of another graph) the graph outputs stay on `from`: look at from->use_count before you
 * erase its node. */
void qcc_replace_value(qcc_value *from, qcc_value *to);
void qcc_rename_value(qcc_value *v, const char *name); /* made unique when taken */
void qcc_rename_node(qcc_node *n, const char *name);
void qcc_swap_names(qcc_value *a, qcc_value *b);
void qcc_set_type(qcc_value *v, const qcc_type *t);
/* Unlink a node; its outputs must be unused (else QCC_INTERNAL). Inputs lose a use but stay. */
qcc_status qcc_erase_node(qcc_node *n) QCC_MUST_USE;
/* A constant without uses that is not an input too; its tensor is gone afterwards. For many at once take qcc_erase_unused_consts. */
void qcc_erase_const(qcc_value *v);
void qcc_spend_const(qcc_value *v);             /* its bytes go; it keeps its type and is good for nothing but to be freed with its graph */
uint32_t qcc_erase_unused_consts(qcc_graph *g); /* all of one graph, one pass; returns how many */
/* Move `n` directly before `before` (NULL: to the end); the caller keeps the order topological. */
void qcc_move_node(qcc_node *n, qcc_node *before);
/* Restore topological order of one graph; QCC_INVALID names a node on a cycle. Stable: keeps order where it may. */
qcc_status qcc_sort_nodes(qcc_graph *g) QCC_MUST_USE;
/* `origin` of `n` becomes the union of both; a node without origin counts with its name in `from`, with nothing in `n`. */
void qcc_add_origin(qcc_node *n, const qcc_node *from);
/* Replace the bytes of a constant (type may change). Takes over `t->buf`; the old tensor is gone. */
void qcc_set_const(qcc_value *v, qcc_tensor *t);

/* ---- ask */
bool qcc_is_const(const qcc_value *v); /* NULL-safe */
bool qcc_is_graph_output(const qcc_value *v);
/* The only use of v when it has exactly one and that one is a node, else NULL. */
qcc_node *qcc_only_user(const qcc_value *v);
qcc_value *qcc_in(const qcc_node *n, uint32_t k); /* NULL past the end */

#endif
