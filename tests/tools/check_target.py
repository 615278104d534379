#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_target.py QCC MODELS [--calib FOLDER] [NAME...]: every Q/DQ of a compiled model obeys the rules of its target.

Compiles a made network and the models below the folder MODELS for each shipped target that has rules here, with the default types and with
the others that it takes, and looks at every QuantizeLinear and DequantizeLinear: types, zero points, granularity, biases, narrow ranges, what
stands between a convolution and its activation. ONNX Runtime must load the files. Exits 1 on offences, 77 without packages."""
import argparse
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto as T
    from onnx import helper, numpy_helper
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MODELS = {"resnet20": "resnet20_cifar/resnet20.onnx", "mobilenet_v2": "mobilenet_v2/mobilenet_v2_1.0_224.onnx",
          "kwt1": "kwt1/kwt1.onnx", "ds_cnn_s": "ml_kws/ds_cnn_s.onnx"}


@dataclass
class Rules:
    """A row of the table of targets."""
    activations: set
    weights: set = field(default_factory=lambda: {T.INT8})
    zero_activations: bool = False  # zero points of activations are 0
    float_bias: bool = False
    channels: set = field(default_factory=lambda: {"Conv", "ConvTranspose", "Gemm", "MatMul"})  # operators with a scale for each channel
    least_range: float = 0.0
    most_opset: int = 21
    choices: tuple = ((),)


U8, S8 = T.UINT8, T.INT8
RULES = {
    "tensorrt": Rules({S8}, zero_activations=True, float_bias=True, choices=((), ("--per-tensor",))),
    "openvino": Rules({U8, S8}, float_bias=True, choices=((), ("--activations", "s8:sym"), ("--reduce-range",))),
    "qnn": Rules({U8, T.UINT16}, weights={S8, U8}, channels={"Conv"}, least_range=1e-4,
                 choices=((), ("--activations", "u16"), ("--weights", "uint8"))),
    "ort-arm": Rules({U8, S8}, choices=((), ("--activations", "s8:sym"))),
    "ort-cpu": Rules({U8, S8}, weights={S8, U8}, choices=((), ("--activations", "s8:sym"), ("--weights", "uint8"), ("--pow2",))),
    "generic": Rules({U8, S8, T.UINT16, T.INT16}, choices=((), ("--activations", "s8:sym"), ("--per-tensor", "--pow2"), ("--activations", "s16:sym")))}


class Graph:
    """A quantized model and the offences found in it."""

    def __init__(self, model, rules):
        self.model, self.rules, self.found = model, rules, []
        self.value = {t.name: t for t in model.graph.initializer}
        self.made = {y: n for n in model.graph.node for y in n.output}
        self.users = {}
        for n in model.graph.node:
            for x in n.input:
                self.users.setdefault(x, []).append(n)
        self.pairs = 0

    def offence(self, node, text):
        self.found.append(f"{node.op_type} {node.name}: {text}")

    def params(self, n):
        if len(n.input) < 3 or n.input[1] not in self.value or n.input[2] not in self.value:
            self.offence(n, "scale and zero point are not both constants")
            return None
        return numpy_helper.to_array(self.value[n.input[1]]), self.value[n.input[2]]

    def activation(self, n, scale, zero):
        r, zeros = self.rules, numpy_helper.to_array(zero).astype(np.int64)
        if zero.data_type not in r.activations:
            self.offence(n, f"activation of type {T.DataType.Name(zero.data_type)}")
        if scale.size != 1:
            self.offence(n, f"activation with {scale.size} scales")
        if r.zero_activations and np.any(zeros):
            self.offence(n, f"zero point {zeros}")
        width = float(scale.flat[0]) * (65535 if zero.data_type in (T.UINT16, T.INT16) else 255)
        if width < r.least_range * (1 - 1e-6):
            self.offence(n, f"range {width} is narrow")

    def weight(self, n, scale, zero):
        zeros = numpy_helper.to_array(zero).astype(np.int64)
        if zero.data_type not in self.rules.weights:
            self.offence(n, f"weight of type {T.DataType.Name(zero.data_type)}")
        if np.any(zeros != (128 if zero.data_type == U8 else 0)):
            self.offence(n, f"zero point {zeros}")
        for user in self.users.get(n.output[0], []):
            axis = next((a.i for a in n.attribute if a.name == "axis"), 1)
            want = 1 if user.op_type in ("MatMul", "ConvTranspose") or (
                user.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in user.attribute)) else 0
            if scale.ndim and (user.op_type not in self.rules.channels or axis != want):
                self.offence(n, f"{scale.size} scales along axis {axis} for a {user.op_type}")

    def bias(self, n, scale):
        if self.rules.float_bias:
            return self.offence(n, "a bias in int32")
        for user in self.users[n.output[0]]:
            x, w = self.made[user.input[0]], self.made[user.input[1]]
            want = np.float32(self.params(x)[0]) * self.params(w)[0].astype(np.float32)
            if not np.array_equal(np.broadcast_to(want, scale.shape), scale):
                self.offence(n, "its scale is not the product of the scales of data and weight")
        return None

    def check(self):
        for n in self.model.graph.node:
            if n.op_type in ("Relu", "Clip", "BatchNormalization"):
                d = self.made.get(n.input[0])
                q = self.made.get(d.input[0]) if d is not None and d.op_type == "DequantizeLinear" else None
                before = self.made.get(q.input[0]) if q is not None else None
                if before is not None and before.op_type == "Conv":
                    self.offence(n, "a pair between it and its Conv")
            if n.op_type not in ("QuantizeLinear", "DequantizeLinear"):
                continue
            self.pairs += 1
            known = self.params(n)
            if known is None:
                continue
            codes = self.value.get(n.input[0])
            if codes is None:
                self.activation(n, *known)
            elif codes.data_type == T.INT32:
                self.bias(n, known[0])
            else:
                self.weight(n, *known)
        opset = next(o.version for o in self.model.opset_import if not o.domain)
        if opset > self.rules.most_opset:
            self.found.append(f"operator set {opset}")
        return self.found


def made_model(path):
    """Convolutions with a residual sum, a branch that is always 0, a product; every bias there."""
    rng = np.random.default_rng(3)

    def const(name, *shape, by=0.3):
        return numpy_helper.from_array((rng.standard_normal(shape) * by).astype(np.float32), name)

    tensors = [const("w1", 8, 3, 3, 3), const("b1", 8), const("w2", 8, 8, 3, 3), const("b2", 8), const("w3", 8, 8, 1, 1, by=0),
               const("b3", 8, by=0), const("w4", 8, 5), const("b4", 5)]
    nodes = [helper.make_node("Conv", ["x", "w1", "b1"], ["c1"], "conv1", pads=[1] * 4), helper.make_node("Relu", ["c1"], ["r1"], "relu1"),
             helper.make_node("Conv", ["r1", "w2", "b2"], ["c2"], "conv2", pads=[1] * 4), helper.make_node("Add", ["c2", "r1"], ["s"], "add"),
             helper.make_node("Relu", ["s"], ["r2"], "relu2"), helper.make_node("Conv", ["r2", "w3", "b3"], ["c3"], "dead"),
             helper.make_node("Add", ["c3", "r2"], ["s2"], "add2"), helper.make_node("GlobalAveragePool", ["s2"], ["g"], "pool"),
             helper.make_node("Flatten", ["g"], ["f"], "flat"), helper.make_node("Gemm", ["f", "w4", "b4"], ["y"], "gemm")]
    graph = helper.make_graph(nodes, "made", [helper.make_tensor_value_info("x", T.FLOAT, [1, 3, 12, 12])],
                              [helper.make_tensor_value_info("y", T.FLOAT, [1, 5])], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def session(path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def samples(args, name, source, path):
    known = os.path.join(args.calib or "", f"{name}.npy")
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in session(source).get_inputs()[0].shape]
    data = np.load(known, mmap_mode="r")[:8] if args.calib and os.path.exists(known) else np.random.default_rng(5).standard_normal([8] + shape[1:])
    np.save(path, np.asarray(data, np.float32))


def main():
    p = argparse.ArgumentParser()
    p.add_argument("qcc")
    p.add_argument("models")
    p.add_argument("names", nargs="*")
    p.add_argument("--calib")
    args = p.parse_intermixed_args()
    shipped = subprocess.run([args.qcc, "list", "targets"], check=True, capture_output=True, text=True).stdout
    targets = [t for t in RULES if f"\n{t} " in "\n" + shipped]
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        calib, out, made = (os.path.join(folder, f) for f in ("calib.npy", "out.onnx", "made.onnx"))
        made_model(made)
        sources = {"made": made, **{n: os.path.join(args.models, MODELS[n]) for n in args.names or MODELS}}
        for name, source in sources.items():
            if not os.path.exists(source):
                continue
            samples(args, name, source, calib)
            for target in targets:
                for choice in RULES[target].choices if name == "made" else ((),):
                    subprocess.run([args.qcc, "-q", "-O2", source, "-o", out, "--calib", calib, "--target", target, *choice], check=True)
                    graph = Graph(onnx.load(out), RULES[target])
                    found = graph.check()
                    session(out)
                    bad += bool(found) or not graph.pairs
                    print(f"{name:14} {target:10} {' '.join(choice):24} {graph.pairs:4} Q and DQ, {len(found)} offences")
                    for line in found[:6]:
                        print(f"    {line}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
