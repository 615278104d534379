#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_target.py QCC MODELS [--calib FOLDER] [NAME...]: every Q/DQ of a compiled model obeys the rules of its target.

Compiles a made network and the models below the folder MODELS for each shipped target that has rules here, with the default types and with
the others that it takes, and looks at every QuantizeLinear and DequantizeLinear: types, zero points, granularity, biases, narrow ranges, what
stands between a convolution and its activation or its sum, what computes on codes of two types, what ends in float or gains nothing by
codes. ONNX Runtime must load the files. Exits 1 on offences, 77 without packages."""
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

    import zoo
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MODELS = zoo.pick("resnet20", "mobilenet_v2", "mobilenet_v1_025", "squeezenet11", "vww", "kwt1", "ds_cnn_s", "gru_l", "basic_lstm_m",
                  "crnn_m", "yolox_nano", "ultraface")
WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
RECURRENT = ("LSTM", "GRU", "RNN")
CLAMPS = ("Relu", "Clip")
NO_GAIN = ("Softmax", "LayerNormalization", "InstanceNormalization", "Sigmoid", "Tanh", "Erf", "Gelu", "HardSwish", "Exp", "Log", "Pow", "Sqrt", "Div",
           "ReduceMean", "ReduceSum", "LSTM", "GRU")


@dataclass
class Rules:
    """A row of the table of targets."""
    activations: set
    weights: set = field(default_factory=lambda: {T.INT8})
    zero_activations: bool = False  # zero points of activations are 0
    float_bias: bool = False
    channels: set = field(default_factory=lambda: set(WEIGHTED + RECURRENT))  # operators with a scale for each channel
    sums: bool = False  # a convolution takes in the sum behind it: no pair between
    whole_units: bool = False  # no kernel ends in float: products give codes, other operators that do not are told
    only_gain: bool = False  # no pairs around what gains nothing by them
    least_range: float = 0.0
    most_opset: int = 21
    choices: tuple = ((),)


U8, S8 = T.UINT8, T.INT8
RULES = {
    "tensorrt": Rules({S8}, zero_activations=True, float_bias=True, sums=True, only_gain=True, choices=((), ("--per-tensor",))),
    "openvino": Rules({U8, S8}, float_bias=True, sums=True, choices=((), ("--activations", "s8:sym"), ("--reduce-range",))),
    "qnn": Rules({U8, T.UINT16}, weights={S8, U8}, channels={"Conv"}, least_range=1e-4, whole_units=True,
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
        self.outputs = {o.name for o in model.graph.output}
        self.pairs = self.borders = 0

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
            want = 1 if user.op_type in ("MatMul", "ConvTranspose") + RECURRENT or (
                user.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in user.attribute)) else 0
            if scale.ndim and (user.op_type not in self.rules.channels or axis != want):
                self.offence(n, f"{scale.size} scales along axis {axis} for a {user.op_type}")

    def bias(self, n, scale):
        if self.rules.float_bias:
            return self.offence(n, "a bias in int32")
        for user in self.users[n.output[0]]:
            x, w = self.made[user.input[0]], self.made[user.input[1]]
            want = np.float32(self.params(x)[0]) * self.params(w)[0].astype(np.float32)
            if not np.array_equal(*np.broadcast_arrays(want, scale)):
                self.offence(n, "its scale is not the product of the scales of data and weight")
        return None

    def dequantizer(self, x):
        """The DequantizeLinear of an activation; None: it is no such thing."""
        d = self.made.get(x)
        return d if d is not None and d.op_type == "DequantizeLinear" and d.input[0] in self.made else None

    def quantized_from(self, x):
        """What computes the tensor before its pair; None: no pair."""
        d = self.dequantizer(x)
        return self.made.get(self.made[d.input[0]].input[0]) if d is not None else None

    def is_quantized(self, y):
        """Do codes, or nothing, follow, behind an activation that is part of the kernel?"""
        users = self.users.get(y, [])
        if len(users) == 1 and users[0].op_type in CLAMPS:
            return self.is_quantized(users[0].output[0])
        return bool(users) and all(u.op_type == "QuantizeLinear" for u in users)

    def bias_of(self, n):
        """In float or in int32, as the target wants, where data and weight are in 8 bit."""
        if n.op_type not in ("Conv", "ConvTranspose", "Gemm") or len(n.input) < 3 or not n.input[2]:
            return
        bias = self.made.get(n.input[2])
        if self.rules.float_bias and bias is not None and bias.op_type == "DequantizeLinear":
            self.offence(n, "its bias is quantized")
        if not self.rules.float_bias and self.dequantizer(n.input[0]) is not None and self.is_weight(n.input[1]) and bias is None:
            self.offence(n, "its bias is float")

    def placement(self, n):
        before = self.quantized_from(n.input[0])
        if n.op_type in CLAMPS + ("BatchNormalization",) and before is not None and before.op_type == "Conv":
            self.offence(n, "a pair between it and its Conv")
        coded = [d for d in map(self.dequantizer, n.input) if d is not None]
        if self.rules.sums and n.op_type == "Add" and len(coded) == 2:
            for x, d in zip(n.input, coded):
                conv = self.quantized_from(x)
                if conv is not None and conv.op_type == "Conv" and len(self.users[x]) == len(self.users[d.input[0]]) == 1:
                    self.offence(n, "a pair between it and its Conv")
        if len({self.value[d.input[2]].data_type for d in coded if d.input[2] in self.value}) > 1:
            self.offence(n, "codes of two types")
        inputs = [x for x in n.input if x and x not in self.value and self.dequantizer(x) is None and not self.is_weight(x)]
        ends = all(self.is_quantized(y) or y in self.outputs for y in n.output)
        if self.rules.whole_units and coded and not inputs and not ends:
            self.borders += 1
            if n.op_type in WEIGHTED:
                self.offence(n, "reads codes and gives floats")
        if self.rules.only_gain and n.op_type in NO_GAIN and coded and all(self.is_quantized(y) for y in n.output):
            self.offence(n, "pairs around it")

    def is_weight(self, x):
        d = self.made.get(x)
        return d is not None and d.op_type == "DequantizeLinear" and d.input[0] in self.value

    def check(self):
        for n in self.model.graph.node:
            if n.op_type not in ("QuantizeLinear", "DequantizeLinear") and n.input:
                self.placement(n)
                self.bias_of(n)
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
    p.add_argument("--targets", nargs="+", default=list(RULES))
    args = p.parse_intermixed_args()
    shipped = subprocess.run([args.qcc, "list", "targets"], check=True, capture_output=True, text=True).stdout
    targets = [t for t in args.targets if f"\n{t} " in "\n" + shipped]
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
                    print(f"{name:14} {target:10} {' '.join(choice):24} {graph.pairs:4} Q and DQ, {len(found)} offences"
                          f"{f', {graph.borders} operators from codes to floats' if graph.borders else ''}")
                    for line in found[:6]:
                        print(f"    {line}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
