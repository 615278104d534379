# SPDX-License-Identifier: Apache-2.0
"""Networks of well-known architectures with random weights, for measurements of time and memory.

  nets.py OUT_DIR [NAME ...] [--check]      writes OUT_DIR/NAME.onnx; default: all

The topologies of the light networks come from the tests inside the package onnx, where weights are made by ConstantOfShape;
here they become initializers, scaled after He so that activations neither vanish nor explode. bert_base is a transformer
encoder of 12 layers, built here. Seeds follow from names: the same bytes always. --check runs each in ONNX Runtime.
"""
import argparse
import os
import sys
import zlib

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import common

LIGHT = ["resnet50", "densenet121", "inception_v1", "inception_v2", "squeezenet", "shufflenet", "vgg19", "bvlc_alexnet", "zfnet512"]
NAMES = LIGHT + ["bert_base"]
SUMS = ("Sum", "Add")


def generator(*name):
    return np.random.default_rng(zlib.crc32("/".join(name).encode()))


def normal(rng, shape, std, mean=0.0):
    return (mean + std * rng.standard_normal(shape, np.float32)).astype(np.float32)


# ---- light networks

def weight(rng, shape):
    """He: the second moment is kept through a product followed by Relu."""
    return normal(rng, shape, np.sqrt(2 / max(1, np.prod(shape[1:]))))


def parameter(rng, shape, node, k, consumers):
    """Value of input `k` of `node`. Variances undo He's factor of two where no Relu follows; a branch of a sum adds half its power."""
    if node.op_type in ("Conv", "Gemm"):
        return weight(rng, shape) if k == 1 else normal(rng, shape, 0.02)
    if node.op_type == "BatchNormalization":
        next_ops = {c.op_type for c in consumers.get(node.output[0], [])}
        variance = 4 if next_ops.intersection(SUMS) else 2 if "Relu" not in next_ops and "Mul" not in next_ops else 1
        return {1: lambda: rng.uniform(0.9, 1.1, shape).astype(np.float32),
                2: lambda: normal(rng, shape, 0.1),
                3: lambda: normal(rng, shape, 0.1),
                4: lambda: (variance * rng.uniform(0.8, 1.25, shape)).astype(np.float32)}[k]()
    return normal(rng, shape, 0.1, 1.0 if node.op_type == "Mul" else 0.0)


def users(graph):
    to = {}
    for node in graph.node:
        for name in node.input:
            to.setdefault(name, []).append(node)
    return to


def user_of(name, consumers):
    """The node that computes with a parameter, behind an Unsqueeze if there is one, and the input that it is."""
    node = consumers[name][0]
    while node.op_type == "Unsqueeze":
        name, node = node.output[0], consumers[node.output[0]][0]
    return node, list(node.input).index(name)


def light(name):
    model = onnx.load(os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data", "light", f"light_{name}.onnx"))
    graph, consumers = model.graph, users(model.graph)
    values = {i.name: i for i in graph.initializer}
    made = {n.output[0]: tuple(numpy_helper.to_array(values[n.input[0]])) for n in graph.node if n.op_type == "ConstantOfShape"}
    shapes = {n.input[0] for n in graph.node if n.op_type == "ConstantOfShape"}
    made.update({i.name: tuple(i.dims) for i in graph.initializer if i.data_type == TensorProto.FLOAT and i.name in consumers})
    kept = [i for i in graph.initializer if i.name in consumers and i.name not in shapes and i.name not in made]
    for tensor, shape in made.items():
        node, k = user_of(tensor, consumers)
        kept.append(numpy_helper.from_array(parameter(generator(name, tensor), shape, node, k, consumers), tensor))
    nodes = [n for n in graph.node if n.op_type != "ConstantOfShape"]
    inputs = [i for i in graph.input if i.name not in values]
    new = helper.make_graph(nodes, name, inputs, list(graph.output), kept)
    return helper.make_model(new, opset_imports=model.opset_import, ir_version=4, producer_name="qcc-bench")


# ---- a transformer encoder

class Encoder:
    """Post-norm encoder from embeddings [1, rows, width], in primitive operators."""

    def __init__(self, name, layers, width, heads, hidden, rows):
        self.name, self.width, self.heads, self.rows = name, width, heads, rows
        self.nodes, self.constants, self.count = [], [], 0
        self.constant("half", np.float32(0.5))
        self.constant("one", np.float32(1))
        self.constant("root2", np.float32(np.sqrt(2)))
        self.constant("scale", np.float32(np.sqrt(width / heads)))
        self.constant("split", np.array([1, rows, heads, width // heads], np.int64))
        self.constant("join", np.array([1, rows, width], np.int64))
        x = "embeddings"
        for i in range(layers):
            x = self.norm(f"layer{i}.attention.norm", self.op("Add", x, self.attention(f"layer{i}.attention", x)))
            x = self.norm(f"layer{i}.output.norm", self.op("Add", x, self.feed(f"layer{i}", x, hidden)))
        self.output = x

    def constant(self, name, value):
        self.constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def op(self, op_type, *inputs, **attributes):
        self.count += 1
        out = f"{op_type.lower()}_{self.count}"
        self.nodes.append(helper.make_node(op_type, list(inputs), [out], name=out, **attributes))
        return out

    def dense(self, name, x, depth, width):
        w = self.constant(f"{name}.weight", normal(generator(self.name, name, "weight"), (depth, width), np.sqrt(1 / depth)))
        b = self.constant(f"{name}.bias", normal(generator(self.name, name, "bias"), (width,), 0.02))
        return self.op("Add", self.op("MatMul", x, w), b)

    def norm(self, name, x):
        scale = self.constant(f"{name}.scale", normal(generator(self.name, name, "scale"), (self.width,), 0.1, 1.0))
        bias = self.constant(f"{name}.bias", normal(generator(self.name, name, "bias"), (self.width,), 0.1))
        return self.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=1e-12)

    def part(self, name, x, perm):
        return self.op("Transpose", self.op("Reshape", self.dense(name, x, self.width, self.width), "split"), perm=perm)

    def attention(self, name, x):
        q, v = (self.part(f"{name}.{part}", x, [0, 2, 1, 3]) for part in ("query", "value"))
        k = self.part(f"{name}.key", x, [0, 2, 3, 1])
        weights = self.op("Softmax", self.op("Div", self.op("MatMul", q, k), "scale"), axis=-1)
        mixed = self.op("Transpose", self.op("MatMul", weights, v), perm=[0, 2, 1, 3])
        return self.dense(f"{name}.output", self.op("Reshape", mixed, "join"), self.width, self.width)

    def feed(self, name, x, hidden):
        h = self.dense(f"{name}.intermediate", x, self.width, hidden)
        gate = self.op("Add", self.op("Erf", self.op("Div", h, "root2")), "one")
        return self.dense(f"{name}.output", self.op("Mul", self.op("Mul", h, gate), "half"), hidden, self.width)

    def model(self):
        shape = [1, self.rows, self.width]
        graph = helper.make_graph(self.nodes, self.name, [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, shape)],
                                  [helper.make_tensor_value_info(self.output, TensorProto.FLOAT, shape)], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="qcc-bench")


def make(name):
    if name == "bert_base":
        return Encoder(name, layers=12, width=768, heads=12, hidden=3072, rows=128).model()
    return light(name)


def write(folder, name):
    """Makes a network, checks it and writes it; a file under its final name is complete."""
    path = os.path.join(folder, name + ".onnx")
    os.makedirs(folder, exist_ok=True)
    model = make(name)
    onnx.checker.check_model(model)
    onnx.save(model, path + ".part", format="protobuf")
    os.replace(path + ".part", path)
    return path


def check(path):
    """Range and deviation of the outputs in ONNX Runtime; false when they are not finite or all the same."""
    feed = common.random_feeds(path, 1, common.SEED_EVAL)[0]
    outputs = common.session(path).run(None, feed)
    print(f"{os.path.basename(path):<20} {os.path.getsize(path) / 1e6:8.1f} MB  " +
          ", ".join(f"{list(y.shape)} in {y.min():.3g} .. {y.max():.3g}, deviation {y.std():.3g}" for y in outputs), flush=True)
    return all(np.isfinite(y).all() and y.std() > 0 for y in outputs)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", metavar="OUT_DIR")
    p.add_argument("names", nargs="*", metavar="NAME", help="of " + " ".join(NAMES))
    p.add_argument("--check", action="store_true", help="run each in ONNX Runtime")
    args = p.parse_args()
    unknown = [n for n in args.names if n not in NAMES]
    if unknown:
        p.error(f"unknown: {' '.join(unknown)}; known: {' '.join(NAMES)}")
    paths = [write(args.folder, n) for n in args.names or NAMES]
    return 0 if not args.check or all([check(p) for p in paths]) else 1


if __name__ == "__main__":
    sys.exit(main())
