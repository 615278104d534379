# SPDX-License-Identifier: Apache-2.0
"""One-operator models around every rule by which ONNX Runtime makes integer kernels of Q/DQ: each rule as it holds and as it fails.

models() yields (name, ModelProto); names begin with the rule that they belong to."""
import numpy as np
from onnx import TensorProto, helper, numpy_helper

U8, S8, U16, S16, S32 = np.uint8, np.int8, np.uint16, np.int16, np.int32
F32, S64 = np.float32, np.int64


class Net:
    """A model in the making; every call adds a node and returns the name of its result."""

    def __init__(self, opset=13):
        self.opset, self.nodes, self.inputs, self.outputs, self.consts = opset, [], [], [], {}

    def fresh(self, word):
        return f"{word}_{len(self.nodes)}_{len(self.consts)}"

    def const(self, x, name=None, dtype=None):
        name = name or self.fresh("c")
        if dtype:  # of four bits
            x = np.asarray(x)
            self.consts[name] = helper.make_tensor(name, dtype, x.shape, x.flatten().tolist())
        else:
            self.consts[name] = numpy_helper.from_array(np.asarray(x), name)
        return name

    def input(self, shape, dtype=TensorProto.FLOAT):
        name = f"in{len(self.inputs)}"
        self.inputs.append(helper.make_tensor_value_info(name, dtype, shape))
        return name

    def node(self, op, inputs, outputs=1, domain="", **attributes):
        names = [self.fresh(op.lower()) + f"_{k}" for k in range(outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, name=names[0] + "_node", domain=domain, **attributes))
        return names[0] if outputs == 1 else names

    def params(self, scale, zero, dtype, zp, rank1):
        scale = np.asarray(scale, F32)
        zeros = np.full(scale.shape, zero, dtype)
        if rank1:
            scale, zeros = scale.reshape(1), zeros.reshape(1)
        return [self.const(scale)] + ([self.const(zeros)] if zp else [])

    def q(self, x, scale=0.1, zero=0, dtype=U8, zp=True, rank1=False, domain="", **attributes):
        return self.node("QuantizeLinear", [x] + self.params(scale, zero, dtype, zp, rank1), domain=domain, **attributes)

    def dq(self, x, scale=0.1, zero=0, dtype=U8, zp=True, rank1=False, domain="", **attributes):
        return self.node("DequantizeLinear", [x] + self.params(scale, zero, dtype, zp, rank1), domain=domain, **attributes)

    def qdq(self, x, scale=0.1, zero=0, dtype=U8, **how):
        return self.dq(self.q(x, scale, zero, dtype, **how), scale, zero, dtype, **how)

    def act(self, shape=(1, 4, 8, 8), **how):
        return self.qdq(self.input(list(shape)), **how)

    def weight(self, shape, axis=None, dtype=S8, zp=True, zero=0, **attributes):
        codes = self.const((np.arange(np.prod(shape)) % 7 - (3 if dtype in (S8, S16) else 0)).reshape(shape).astype(dtype))
        if axis is None:
            return self.dq(codes, 0.05, zero, dtype, zp, **attributes)
        return self.dq(codes, np.full(shape[axis], 0.05), zero, dtype, zp, axis=axis, **attributes)

    def bias(self, n, dtype=S32, per_channel=True, scale=0.005, **how):
        codes = self.const(np.arange(n).astype(dtype))
        return self.dq(codes, np.full(n, scale), dtype=dtype, axis=0, **how) if per_channel else self.dq(codes, scale, dtype=dtype, **how)

    def output(self, name, dtype=TensorProto.FLOAT):
        self.outputs.append(helper.make_tensor_value_info(name, dtype, None))
        return self

    def model(self):
        graph = helper.make_graph(self.nodes, "one", self.inputs, self.outputs, list(self.consts.values()))
        opsets = [helper.make_opsetid("", self.opset), helper.make_opsetid("com.microsoft", 1)]
        made = helper.make_model(graph, opset_imports=opsets)
        made.ir_version = 8 if self.opset < 19 else 10
        return made


def end(net, y, ending="pair", behind=None, **how):
    """What follows a result: a pair, floats, or one of the endings that spoil a unit."""
    if behind == "relu":
        y = net.node("Relu", [y])
    elif behind:
        y = net.node("Clip", [y] + [net.const(F32(b)) for b in behind])
    if ending == "float":
        return net.output(y)
    if ending == "softsign":
        return net.output(net.node("Softsign", [y]))
    if ending == "codes":
        kinds = {U8: TensorProto.UINT8, S8: TensorProto.INT8}
        return net.output(net.q(y, **how), kinds[how.get("dtype", U8)])
    if ending == "pair":
        return net.output(net.qdq(y, **how))
    if ending == "pair and output":
        return net.output(net.qdq(y, **how)).output(y)
    if ending == "mixed":
        return net.output(net.qdq(y, **how)).output(net.node("Softsign", [y]))
    if ending == "two pairs":  # of different parameters
        return net.output(net.qdq(y, **how)).output(net.qdq(y, scale=0.2))
    if ending == "two readers":  # one QuantizeLinear, two DequantizeLinear
        codes = net.q(y, **how)
        for _ in range(2):
            net.output(net.node("Softsign", [net.dq(codes, **how)]))
        return net
    if ending == "one dq, two readers":
        floats = net.qdq(y, **how)
        return net.output(net.node("Softsign", [floats])).output(net.node("Tanh", [floats]))
    if ending == "equal pairs":  # parameters are the same constants
        scale, zero = net.params(0.1, 0, U8, True, False)
        for _ in range(2):
            codes = net.node("QuantizeLinear", [y, scale, zero])
            net.output(net.node("Softsign", [net.node("DequantizeLinear", [codes, scale, zero])]))
        return net
    raise ValueError(ending)


def conv(opset=13, x=None, w=None, bias=None, ending="pair", behind=None, shape=(1, 4, 8, 8), kernel=(16, 4, 3, 3), op="Conv", axis=0, y=None,
         **attributes):
    net = Net(opset)
    data = net.act(shape, **(x or {}))
    w = {"axis": axis, **(w or {})}
    form = w.pop("form", "codes")
    if form == "codes":
        weight = net.weight(kernel, **w)
    elif form == "pair":  # float weights behind a pair
        weight = net.qdq(net.const(np.ones(kernel, F32)), 0.05, 0, S8)
    else:
        weight = net.const(np.ones(kernel, F32))
    inputs = [data, weight]
    outs = kernel[0] if op == "Conv" else kernel[1]
    if bias == "float":
        inputs.append(net.const(np.ones(outs, F32)))
    elif bias is not None:
        inputs.append(net.bias(outs, **bias))
    return end(net, net.node(op, inputs, **attributes), ending, behind, **(y if y is not None else (x or {})))


def conv_models():
    yield "C1 u8 s8 per channel", conv()
    yield "C1 per tensor", conv(w={"axis": None})
    yield "C1 u8 u8", conv(w={"dtype": U8, "zero": 3, "axis": None})
    yield "C1 s8 s8", conv(x={"dtype": S8})
    yield "C1 s8 data, u8 weights", conv(x={"dtype": S8}, w={"dtype": U8, "axis": None})
    yield "C1 quantized bias", conv(bias={})
    yield "C1 quantized bias per tensor", conv(bias={"per_channel": False}, w={"axis": None})
    for factor in (1.009, 1.011, 0.989, 2):
        yield f"2.6 bias at {factor} of its scale", conv(bias={"scale": 0.005 * factor})
        yield f"2.6 bias of Gemm at {factor} of its scale", gemm(scale=0.005 * factor)
    yield "2.6 small bias scale", conv(x={"scale": 0.001}, bias={"scale": 0.0000514})
    yield "2.6 bias with a zero point", conv(bias={"zero": 3})
    yield "2.6 bias per tensor, weights per channel", conv(bias={"per_channel": False})
    yield "C1 bias s8", conv(bias={"dtype": S8})
    yield "C1 float bias", conv(bias="float")
    yield "C1 float weights", conv(w={"form": "float"})
    yield "C1 float weights and bias", conv(w={"form": "float"}, bias="float")
    yield "C1 weights behind a pair", conv(w={"form": "pair"})
    yield "C1 float weights, ends in float", conv(w={"form": "float"}, ending="float")
    yield "C1 other type behind", conv(y={"dtype": S8})
    yield "C1 other parameters behind", conv(y={"scale": 0.3, "zero": 7})
    yield "C1 groups", conv(group=2, kernel=(16, 2, 3, 3))
    yield "C1 depthwise", conv(group=4, kernel=(4, 1, 3, 3), pads=[1, 1, 1, 1])
    yield "C1 one axis", conv(shape=(1, 4, 8), kernel=(8, 4, 3))
    yield "C1 three axes", conv(shape=(1, 4, 6, 6, 6), kernel=(8, 4, 3, 3, 3))
    for opset in (19, 21, 22, 23, 24):
        yield f"U1 Conv, opset {opset}", conv(opset=opset)
    micro = {"domain": "com.microsoft"}
    yield "U1 Q/DQ of com.microsoft", conv(x=micro, w=micro)
    yield "U3 two readers of one Q", conv(ending="two readers")
    yield "U3 two readers of one DQ", conv(ending="one dq, two readers")
    yield "U3 mixed readers", conv(ending="mixed")
    yield "U3 two Q", conv(ending="two pairs")
    yield "U3 two equal Q", conv(ending="equal pairs")
    yield "U3 no Q", conv(ending="softsign")
    yield "U3 codes are the output", conv(ending="codes")
    yield "U4 raw result is the output", conv(ending="float")
    yield "U4 raw result is an output, too", conv(ending="pair and output")
    yield "U5 parameters of rank 1", conv(x={"rank1": True})
    yield "U6 no zero point", conv(x={"zp": False})
    yield "U6 no zero point at the weights", conv(w={"zp": False})
    yield "U6 no zero point, signed", conv(x={"dtype": S8}, y={"zp": False, "dtype": U8})
    for opset in (13, 21):
        micro = {"domain": "com.microsoft"} if opset < 21 else {}
        yield f"U10 u16 data, opset {opset}", conv(opset=opset, x={"dtype": U16, **micro})
    yield "U10 s16 data", conv(opset=21, x={"dtype": S16})
    for name, op, kw in (("C2 ConvTranspose", "ConvTranspose", {}), ("C2 ConvTranspose, quantized bias", "ConvTranspose", {"bias": {}}),
                         ("C2 ConvTranspose, float bias", "ConvTranspose", {"bias": "float"})):
        yield name, conv(op=op, kernel=(4, 16, 3, 3), axis=1, **kw)
    yield "C2 ConvTranspose, per tensor", conv(op="ConvTranspose", kernel=(4, 16, 3, 3), w={"axis": None})
    yield "C2 ConvTranspose, float weights", conv(op="ConvTranspose", kernel=(4, 16, 3, 3), w={"form": "float"})


def conv_inputs():
    net = Net()
    shared = net.act()
    y = net.node("Conv", [shared, net.weight((4, 4, 1, 1), 0)])
    yield "U2 shared DQ", end(net, net.node("Add", [net.qdq(y), shared]))
    net = Net()
    yield "U2 float data", end(net, net.node("Conv", [net.input([1, 4, 8, 8]), net.weight((4, 4, 1, 1), 0)]))
    net = Net()
    x = net.act()
    net.output(x)
    yield "U4 DQ is an output", end(net, net.node("Conv", [x, net.weight((4, 4, 1, 1), 0)]))
    for bias in ("", ", quantized bias", ", float bias"):
        net = Net()
        x, scale = net.input([1, 4, 8, 8]), net.input([])
        zero = net.const(U8(0))
        x = net.node("DequantizeLinear", [net.node("QuantizeLinear", [x, scale, zero]), scale, zero])
        more = {"": lambda: [], ", quantized bias": lambda: [net.bias(4)], ", float bias": lambda: [net.const(np.ones(4, F32))]}[bias]()
        yield f"U5 scale is an input{bias}", end(net, net.node("Conv", [x, net.weight((4, 4, 1, 1), 0), *more]))
    net = Net()
    x, scale = net.input([1, 4, 8, 8]), net.input([])
    zero = net.const(U8(0))
    x = net.node("DequantizeLinear", [net.node("QuantizeLinear", [x, scale, zero]), scale, zero])
    y = net.node("QuantizeLinear", [net.node("Flatten", [x]), scale, zero])
    yield "U5 Flatten, scale is an input", net.output(net.node("DequantizeLinear", [y, scale, zero]))
    net = Net()
    y = net.node("Conv", [net.qdq(net.input([None] * 4)), net.weight((4, 4, 1, 1), 0)])
    yield "U9 sizes unknown", end(net, y)


def clamp_models():
    for name, kw in (("zero at the end", {}), ("zero inside", {"x": {"zero": 5}}), ("no zero point", {"y": {"zp": False}}),
                     ("rank 1", {"x": {"rank1": True}}), ("s8 -128", {"x": {"dtype": S8, "zero": -128}}), ("s8 0", {"x": {"dtype": S8}}),
                     ("float behind", {"ending": "float"}), ("mixed readers", {"ending": "mixed"}), ("opset 21", {"opset": 21}),
                     ("opset 23", {"opset": 23}), ("output, too", {"ending": "pair and output"})):
        yield f"2.5 Relu, {name}", conv(behind="relu", **kw)
        yield f"2.5 Clip, {name}", conv(behind=(0, 25.5) if kw.get("x", {}).get("dtype") != S8 or "-128" in name else (-12.8, 12.7), **kw)
    for name, bounds in (("wider", (-1, 30)), ("a bit narrower", (0, 25.46)), ("narrower", (0, 25)), ("six", (0, 6))):
        yield f"2.5 Clip, {name}", conv(behind=bounds)
    yield "2.5 Relu6 that fits", conv(behind=(0, 6), y={"scale": 6 / 255})
    yield "2.5 Relu alone", unary("Relu")
    yield "2.5 Relu alone, other parameters", unary("Relu", y={"scale": 0.2})
    yield "2.5 Relu alone, 16 bits", unary("Relu", opset=21, x={"dtype": U16})
    yield "2.5 Clip alone", unary("Clip", rest=[F32(0), F32(25.5)])
    yield "2.5 Clip alone, narrower", unary("Clip", rest=[F32(0), F32(6)])


def unary(op, opset=13, x=None, y=None, ending="pair", shape=(1, 4, 8, 8), rest=(), first=0, behind=None, outputs=1, **attributes):
    """One quantized operand and constants around it; `first` is the place of the operand."""
    net = Net(opset)
    operands = ["" if r is None else net.const(r) for r in rest]
    operands.insert(first, net.act(shape, **(x or {})))
    results = net.node(op, operands, outputs, **attributes)
    for result in results if outputs > 1 else [results]:
        end(net, result, ending, behind, **(y if y is not None else (x or {})))
    return net


def integers(*x):
    return np.array(x, S64)


MOVERS = {  # operator: (least opset, keywords)
    "Reshape": (13, {"rest": [integers(1, -1)]}),
    "Transpose": (13, {"perm": [0, 2, 3, 1]}),
    "Squeeze": (13, {"shape": (1, 4), "rest": [integers(0)]}),
    "Unsqueeze": (13, {"rest": [integers(0)]}),
    "Flatten": (13, {}),
    "Expand": (13, {"rest": [integers(2, 4, 8, 8)]}),
    "Slice": (13, {"rest": [integers(0, 0), integers(1, 2)]}),
    "Tile": (13, {"rest": [integers(2, 1, 1, 1)]}),
    "Gather": (13, {"rest": [integers(0)]}),
    "GatherElements": (13, {"rest": [np.zeros((1, 1, 1, 1), S64)]}),
    "DepthToSpace": (13, {"blocksize": 2}),
    "SpaceToDepth": (13, {"blocksize": 2}),
    "Split": (13, {"outputs": 2, "axis": 1}),
    "MaxPool": (13, {"kernel_shape": [2, 2]}),
    "ReduceMax": (13, {}),
    "ReduceMin": (13, {}),
    "Resize": (13, {"rest": [None, np.array([1, 1, 2, 2], F32)]}),
}


def mover_models():
    for op, (opset, kw) in MOVERS.items():
        row = "D2" if op == "Split" else "R" if op in ("MaxPool", "ReduceMax", "ReduceMin", "Resize") else "D1"
        yield f"{row} {op}", unary(op, opset, **kw)
        yield f"U7 {op}, other parameters", unary(op, opset, y={"scale": 0.2}, **kw)
        yield f"U6 {op}, no zero point", unary(op, opset, x={"zp": False}, **kw)
        yield f"2.7 {op}, ends in float", unary(op, opset, ending="float", **kw)
        yield f"{row} {op}, s8", unary(op, opset, x={"dtype": S8}, **kw)
        if op not in ("Split", "ReduceMax", "ReduceMin"):  # no kernel for 16 bits, or another signature at opset 21
            yield f"U10 {op}, u16", unary(op, 21, x={"dtype": U16}, **kw)
    for opset in (21, 22, 24):
        yield f"R MaxPool, opset {opset}", unary("MaxPool", opset, kernel_shape=[2, 2])
        yield f"D1 Reshape, opset {opset}", unary("Reshape", opset, rest=[integers(1, -1)])
        yield f"2.7 Transpose, opset {opset}", unary("Transpose", opset, ending="softsign", perm=[0, 2, 3, 1])
    for mode in ("linear", "cubic"):
        yield f"R Resize, {mode}", unary("Resize", 13, rest=[None, np.array([1, 1, 2, 2], F32)], mode=mode)
    yield "R MaxPool with Relu", unary("MaxPool", kernel_shape=[2, 2], behind="relu")
    yield "D1 Flatten of com.microsoft", unary("Flatten", x={"domain": "com.microsoft"})
    yield "D1 Flatten, mixed readers", unary("Flatten", ending="mixed")
    yield "D1 Flatten, rank 1", unary("Flatten", x={"rank1": True})
    for dtype in (U8, S8):
        net = Net()
        yield f"D3 ArgMax, {dtype.__name__}", net.output(net.node("ArgMax", [net.act(dtype=dtype)]), TensorProto.INT64)
    net = Net()
    yield "D3 ArgMax, no zero point", net.output(net.node("ArgMax", [net.act(zp=False)]), TensorProto.INT64)
    net = Net()
    table = net.weight((10, 4))
    y = net.node("Gather", [table, net.input([3], TensorProto.INT64)])
    yield "D1 Gather of a table", net.output(net.qdq(y, 0.05, 0, S8))
    net = Net()
    table = net.weight((10, 4))
    yield "D1 Gather of a table, float", net.output(net.node("Gather", [table, net.input([3], TensorProto.INT64)]))
    net = Net()
    y = net.node("Transpose", [net.node("Reshape", [net.act(), net.const(integers(1, 4, 64))])], perm=[0, 2, 1])
    yield "2.7 Reshape and Transpose, forward", net.output(net.node("Softsign", [y]))
    net = Net()
    y = net.node("Transpose", [net.node("Reshape", [net.input([1, 4, 8, 8]), net.const(integers(1, 4, 64))])], perm=[0, 2, 1])
    yield "2.7 Reshape and Transpose, backward", net.output(net.qdq(y))
    net = Net()
    x = net.act(dtype=S8)  # shared by two, so it stays signed; the pair behind Slice does not
    y = net.node("Slice", [x, net.const(integers(0, 0)), net.const(integers(1, 2))])
    yield "2.7 Slice of a shared DQ", net.output(net.node("Softsign", [y])).output(net.node("Tanh", [x]))
    net = Net()
    y = net.node("Reshape", [net.act(), net.const(integers(1, 4, 64))])
    yield "2.7 Reshape with two readers", net.output(net.node("Softsign", [y])).output(net.node("Tanh", [y]))
    for op, rest in (("Reshape", [integers(2, 4)]), ("Slice", [integers(0), integers(4), integers(1)])):
        for scale in (0.1, 0.2):
            for first in (False, True):  # a QuantizeLinear among the readers keeps pairs away
                net = Net()
                y = net.node(op, [net.qdq(net.node("Tanh", [net.input([1, 8])]))] + [net.const(x) for x in rest])
                ends = [lambda net, y: net.node("Elu", [y]), lambda net, y, scale=scale: net.node("Tanh", [net.qdq(y, scale)])]
                for read in reversed(ends) if first else ends:
                    net.output(read(net, y))
                yield f"2.7 {op}, read by floats and quantized again at {scale}{', that first' if first else ''}", net


def table_models():
    for op, kw in (("AveragePool", {"kernel_shape": [2, 2]}), ("GlobalAveragePool", {}), ("Sigmoid", {}), ("LeakyRelu", {}), ("Softmax", {})):
        yield f"P {op}", unary(op, **kw)
        yield f"P {op}, other parameters", unary(op, y={"scale": 1 / 256}, **kw)
        yield f"P {op}, s8", unary(op, x={"dtype": S8}, **kw)
        yield f"P {op}, ends in float", unary(op, ending="float", **kw)
        yield f"U6 P {op}, no zero point", unary(op, x={"zp": False}, **kw)
        yield f"U10 P {op}, u16", unary(op, opset=21, x={"dtype": U16}, **kw)
    yield "P Sigmoid and Mul", silu()


def silu():
    net = Net()
    x = net.act()
    return end(net, net.node("Mul", [x, net.qdq(net.node("Sigmoid", [x]), 1 / 256)]))


def binary(op, second="act", opset=13, a=None, b=None, y=None, ending="pair", shape=(1, 4, 8, 8)):
    net = Net(opset)
    left = net.act(**(a or {}))
    right = {"act": lambda: net.act(shape, **(b or a or {})), "codes": lambda: net.weight((1, 4, 1, 1), dtype=U8),
             "const": lambda: net.const(np.ones((1, 4, 1, 1), F32)), "float": lambda: net.input([1, 4, 8, 8]), "same": lambda: left}[second]()
    return end(net, net.node(op, [left, right]), ending, **(y if y is not None else (a or {})))


def binary_models():
    for op in ("Add", "Mul"):
        yield f"A1 {op}", binary(op)
        yield f"A1 {op}, other parameters", binary(op, b={"scale": 0.3, "zero": 9}, y={"scale": 0.4})
        yield f"A1 {op}, quantized constant", binary(op, "codes")
        yield f"U2 {op}, float constant", binary(op, "const")
        yield f"U2 {op}, float operand", binary(op, "float")
        yield f"A1 {op}, s8", binary(op, a={"dtype": S8})
        yield f"A1 {op}, broadcast", binary(op, shape=(1, 4, 1, 1))
        yield f"A1 {op}, with itself", binary(op, "same")
        yield f"U10 {op}, u16", binary(op, opset=21, a={"dtype": U16})
        yield f"U4 {op}, ends in float", binary(op, ending="float")
    for op in ("Sub", "Div", "Pow", "Max", "Min", "PRelu"):
        yield f"not fused {op}", binary(op)
    yield "V1 Concat", concat([{}, {}])
    yield "V1 Concat, other scales", concat([{"scale": 0.2}, {"scale": 0.3}], {"scale": 0.3})
    yield "V1 Concat, three", concat([{}, {"scale": 0.3}, {}])
    yield "V1 Concat, one float", concat([{}, None])
    yield "V1 Concat, types differ", concat([{}, {"dtype": U16, "domain": "com.microsoft"}])
    yield "V1 Concat, s8", concat([{"dtype": S8}, {"dtype": S8}], {"dtype": S8})
    yield "V1 Concat, ends in float", concat([{}, {}], ending="float")
    for name, branch, kw in (("", "act", {}), (", scalar constant", "scalar", {}), (", constant", "const", {}), (", ends in float", "act", {"ending": "float"}),
                             (", u16", "act", {"opset": 21, "a": {"dtype": U16}}), (", s8", "act", {"a": {"dtype": S8}})):
        yield f"A2 Where{name}", where(branch, **kw)


def concat(parts, y=None, ending="pair"):
    net = Net()
    inputs = [net.input([1, 4, 8, 8]) if p is None else net.act(**p) for p in parts]
    return end(net, net.node("Concat", inputs, axis=1), ending, **(y or {}))


def where(branch, opset=13, a=None, ending="pair"):
    net = Net(opset)
    condition = net.input([1, 4, 8, 8], TensorProto.BOOL)
    left = net.act(**(a or {}))
    right = {"act": lambda: net.act(**(a or {})), "scalar": lambda: net.const(F32(-5)), "const": lambda: net.const(np.ones((1, 4, 8, 8), F32))}[branch]()
    return end(net, net.node("Where", [condition, left, right]), ending, **(a or {}))


def matmul(b="codes", opset=13, a=None, w=None, ending="pair", behind=None, shape=(3, 16), add=None, y=None):
    net = Net(opset)
    left = net.act(shape, **(a or {}))
    right = {"codes": lambda: net.weight((16, 8), **{"axis": 1, **(w or {})}), "act": lambda: net.act(tuple(shape[:-2]) + (16, 8), **(a or {})),
             "float": lambda: net.const(np.ones((16, 8), F32))}[b]()
    result = net.node("MatMul", [left, right])
    if add == "const":
        result = net.node("Add", [result, net.const(np.ones(8, F32))])
    elif add == "codes":
        result = net.node("Add", [result, net.bias(8, per_channel=False)])
    elif add == "act":
        result = net.node("Add", [result, net.input(list(shape[:-1]) + [8])])
    return end(net, result, ending, behind, **(y if y is not None else (a or {})))


def gemm(bias="codes", opset=13, a=None, w=None, ending="pair", behind=None, y=None, scale=0.005, **attributes):
    net = Net(opset)
    inputs = [net.act((3, 16), **(a or {})), net.weight((16, 8), **{"axis": 1, **(w or {})})]
    if attributes.get("transB"):
        inputs[1] = net.weight((8, 16), axis=0)
    if bias == "codes":
        inputs.append(net.bias(8, scale=scale))
    elif bias == "float":
        inputs.append(net.const(np.ones(8, F32)))
    return end(net, net.node("Gemm", inputs, **attributes), ending, behind, **(y if y is not None else (a or {})))


def product_models():
    yield "M1 per column", matmul()
    yield "M1 per tensor", matmul(w={"axis": None})
    yield "M1 u8 weights", matmul(w={"axis": None, "dtype": U8})
    yield "M1 s8 s8", matmul(a={"dtype": S8})
    yield "M1 s8 data, u8 weights", matmul(a={"dtype": S8}, w={"axis": None, "dtype": U8})
    yield "M1 two activations", matmul("act")
    yield "M1 two activations, batched", matmul("act", shape=(2, 3, 16))
    yield "M1 float weights", matmul("float")
    yield "M1 other type behind", matmul(y={"dtype": S8, "zp": True})
    yield "M1 mixed readers", matmul(ending="mixed")
    yield "U10 M1 u16", matmul(opset=21, a={"dtype": U16})
    yield "2.5 MatMul, Relu, Q", matmul(behind="relu")
    yield "M2 ends in float", matmul(ending="float")
    yield "M2 read by an operator", matmul(ending="softsign")
    yield "M2 s8 s8", matmul(a={"dtype": S8}, ending="float")
    yield "M2 two activations", matmul("act", ending="float")
    yield "M2 with Relu", matmul(ending="float", behind="relu")
    yield "M2 no zero points", matmul(a={"zp": False}, w={"zp": False}, ending="float")
    yield "M2 three axes", matmul(shape=(2, 3, 16), ending="float")
    for add in ("const", "codes", "act"):
        yield f"M2 and Add of {add}", matmul(add=add, ending="float")
        yield f"M1 and Add of {add}, Q", matmul(add=add)
        yield f"M2 three axes and Add of {add}", matmul(add=add, ending="float", shape=(2, 3, 16))
        yield f"M1 three axes and Add of {add}, Q", matmul(add=add, shape=(2, 3, 16))
    for name, kw in (("", {}), (", float output", {"ending": "float"}), (", no bias", {"bias": None}), (", float bias", {"bias": "float"}),
                     (", float bias and output", {"bias": "float", "ending": "float"}), (", transB", {"transB": 1}), (", alpha", {"alpha": 0.5}), (", alpha, no bias", {"alpha": 0.5, "bias": None}),
                     (", beta", {"beta": 0.5}), (", beta, no bias", {"beta": 0.5, "bias": None}), (", per tensor", {"w": {"axis": None}}),
                     (", s8 s8", {"a": {"dtype": S8}}), (", s8 s8, float output", {"a": {"dtype": S8}, "ending": "float"}),
                     (", s8 u8", {"a": {"dtype": S8}, "w": {"axis": None, "dtype": U8}}), (", Relu, Q", {"behind": "relu"}),
                     (", Relu, float", {"behind": "relu", "ending": "float"}), (", mixed readers", {"ending": "mixed"}),
                     (", u16", {"opset": 21, "a": {"dtype": U16}}), (", other type behind", {"y": {"dtype": S8}})):
        yield f"G1 Gemm{name}", gemm(**kw)


def blocks(op="MatMul", dtype=TensorProto.INT4, block=32, zp=False, axis=0, ending="float", behind=None, add=False, form="block", shape=(3, 64), bias=None):
    net = Net(21)
    codes = net.const(np.arange(64 * 8).reshape(64, 8) % 5, dtype=dtype)
    scales = {"block": np.full((64 // (block or 1), 8), 0.1, F32) if axis == 0 else np.full((64, 8 // (block or 1)), 0.1, F32),
              "tensor": F32(0.1), "column": np.full(8, 0.1, F32), "row": np.full(64, 0.1, F32)}[form]
    operands = [codes, net.const(scales)] + ([net.const(np.zeros(scales.shape, S64), dtype=dtype)] if zp else [])
    how = {"block": {"block_size": block, "axis": axis}, "column": {"axis": 1}, "row": {"axis": 0}, "tensor": {}}[form]
    weight = net.node("DequantizeLinear", operands, **how)
    inputs = [net.input(list(shape)), weight]
    if bias == "float":
        inputs.append(net.const(np.ones(8, F32)))
    y = net.node(op, inputs)
    if add:
        y = net.node("Add", [y, net.const(np.ones(8, F32))])
    return end(net, y, ending, behind)


def block_models():
    for name, kw in (("", {}), (", u4", {"dtype": TensorProto.UINT4}), (", zero points", {"dtype": TensorProto.UINT4, "zp": True}),
                     (", blocks of 16", {"block": 16}), (", blocks of 8", {"block": 8}), (", axis 1", {"axis": 1, "block": 8}),
                     (", Q behind", {"ending": "pair"}), (", and Add", {"add": True}), (", three axes", {"shape": (2, 3, 64)}),
                     (", three axes and Add", {"shape": (2, 3, 64), "add": True}), (", s8 blocks", {"dtype": TensorProto.INT8}),
                     (", s8 per tensor", {"dtype": TensorProto.INT8, "form": "tensor"}), (", s8 per column", {"dtype": TensorProto.INT8, "form": "column"}),
                     (", s8 per row", {"dtype": TensorProto.INT8, "form": "row"}), (", u8 per column", {"dtype": TensorProto.UINT8, "form": "column"}),
                     (", s4 per tensor", {"form": "tensor"}), (", s4 per column", {"form": "column"}), (", Relu behind", {"behind": "relu"}),
                     (", Gemm", {"op": "Gemm"}), (", Gemm with bias", {"op": "Gemm", "bias": "float"}),
                     (", Gemm, Q behind", {"op": "Gemm", "ending": "pair"}), (", Gemm, Relu", {"op": "Gemm", "behind": "relu"}), (", Gemm per column", {"op": "Gemm", "dtype": TensorProto.INT8, "form": "column"})):
        yield f"W1{name}", blocks(**kw)
    net = Net(21)
    codes = net.const(np.arange(64 * 8).reshape(64, 8) % 5, dtype=TensorProto.INT4)
    weight = net.node("DequantizeLinear", [codes, net.const(np.full((2, 8), 0.1, F32))], block_size=32, axis=0)
    x = net.input([3, 64])
    yield "W1 shared by two", net.output(net.node("MatMul", [x, weight])).output(net.node("MatMul", [net.node("Softsign", [x]), weight]))


def dynamic(dtype=S8, zero=True, per_column=True, bias=None, products=1, extra=False, constant=True, cut=None):
    net = Net(13)
    x, zp, scale = None, None, None
    floats = net.input([3, 16])
    codes, scale, zp = net.node("DynamicQuantizeLinear", [floats], 3)
    if extra:
        net.output(codes, TensorProto.UINT8)
    for k in range(products):
        w = net.const((np.arange(128) % 5).reshape(16, 8).astype(dtype)) if constant else net.input([16, 8], TensorProto.INT8)
        count = 8 if per_column else None
        operands = [codes, w, zp] + ([net.const(np.zeros(count or (), dtype))] if zero else [])
        y = net.node("MatMulInteger", operands)
        y = net.node("Cast", [y], to=1)
        if cut == "cast":
            net.output(y)
        y = net.node("Mul", [y, net.node("Mul", [scale, net.const(np.full(count or (), 0.1, F32))])])
        if bias is not None:
            y = net.node("Add", [y, net.const(np.ones(bias, F32))] if cut != "left" else [net.const(np.ones(bias, F32)), y])
        net.output(net.node("Softsign", [y]))
    return net


def dynamic_models():
    for name, kw in (("", {}), (", u8", {"dtype": U8}), (", no zero point", {"zero": False}), (", per tensor", {"per_column": False}),
                     (", bias", {"bias": (8,)}), (", bias of two axes", {"bias": (1, 8)}), (", bias left", {"bias": (8,), "cut": "left"}),
                     (", bias of one", {"bias": (1,)}), (", bias matrix", {"bias": (3, 8)}), (", shared range", {"products": 2}),
                     (", shared range and scale", {"products": 2, "per_column": False}),
                     (", codes are an output", {"extra": True}), (", weights not constant", {"constant": False}), (", Cast is an output", {"cut": "cast"})):
        yield f"2.10{name}", dynamic(**kw)
    net = Net()
    codes, scale, zp = net.node("DynamicQuantizeLinear", [net.input([1, 4, 8, 8])], 3)
    y = net.node("ConvInteger", [codes, net.const(np.ones((4, 4, 1, 1), U8)), zp])
    for name, dtype, zero in (("s8", S8, 0), ("u8", U8, 128)):
        other = Net()
        codes3, scale3, zp3 = other.node("DynamicQuantizeLinear", [other.input([2, 4, 8])], 3)
        weight = [other.const(np.ones((8, 24), dtype)), other.const(np.ones(24, F32)), scale3, other.const(np.full(24, 0.1, F32)), "", zp3]
        yield f"2.10 QAttention, {name}", other.output(other.node("QAttention", [codes3, *weight, other.const(np.full(24, zero, dtype))],
                                                                  domain="com.microsoft", num_heads=2))
    yield "2.8 ConvInteger, u8", net.output(net.node("Mul", [net.node("Cast", [y], to=1), scale]))


OTHERS = {"Elu": {}, "HardSigmoid": {}, "Tanh": {}, "Erf": {}, "Exp": {}, "Log": {}, "Sqrt": {}, "Abs": {}, "Neg": {}, "Softplus": {}, "Softsign": {},
          "ReduceMean": {}, "GlobalMaxPool": {}, "LRN": {"size": 3}, "LogSoftmax": {}, "LpNormalization": {}, "Round": {}, "Ceil": {},
          "Pad": {"rest": [integers(0, 0, 1, 1, 0, 0, 1, 1)]}, "ReduceSum": {}, "Selu": {}, "Reciprocal": {}, "CumSum": {"rest": [np.array(1, S64)]},
          "InstanceNormalization": {"rest": [np.ones(4, F32), np.zeros(4, F32)]},
          "BatchNormalization": {"rest": [np.ones(4, F32), np.zeros(4, F32), np.zeros(4, F32), np.ones(4, F32)]},
          "HardSwish": {"opset": 14}, "Gelu": {"opset": 20}, "LayerNormalization": {"opset": 17, "rest": [np.ones(8, F32)]}, "Sum": {},
          "Identity": {}, "Dropout": {}}


def pair_models():
    for op, kw in OTHERS.items():
        yield f"not fused {op}", unary(op, **kw)
    net = Net()
    yield "2.1 pair behind pair", net.output(net.qdq(net.qdq(net.input([1, 8]))))
    net = Net()
    yield "2.1 pair behind another pair", net.output(net.node("Softsign", [net.qdq(net.qdq(net.node("Tanh", [net.input([1, 8])]), 0.1, 3), 0.05, 9)]))
    net = Net()
    for bias in (False, True):
        net = Net()
        x = net.qdq(net.qdq(net.node("Conv", [net.act(), net.weight((4, 4, 1, 1), 0)]), 0.1, 3), 0.05, 9)
        y = net.node("Conv", [x, net.weight((4, 4, 1, 1), 0)] + ([net.bias(4, scale=0.0025)] if bias else []))
        yield f"2.1 pair behind another pair, Conv{' with bias' if bias else ''}", net.output(net.qdq(y))
    net = Net()
    codes = net.q(net.qdq(net.node("Tanh", [net.input([1, 8])]), 0.1, 3), 0.05, 9)
    for op in ("Softsign", "Tanh"):
        net.output(net.node(op, [net.dq(codes, 0.05, 9)]))
    yield "2.1 pair behind another pair, two readers", net
    net = Net()
    yield "2.1 DQ, Q with equal parameters", net.output(net.q(net.dq(net.input([1, 8], TensorProto.UINT8))), TensorProto.UINT8)
    net = Net()
    yield "2.1 DQ, Q with other parameters", net.output(net.q(net.dq(net.input([1, 8], TensorProto.UINT8)), 0.2), TensorProto.UINT8)
    net = Net()
    yield "2.1 DQ, Q of another type", net.output(net.q(net.dq(net.input([1, 8], TensorProto.UINT8)), 0.1, 0, S8), TensorProto.INT8)
    net = Net()
    yield "2.1 constant behind a pair", net.output(net.node("Add", [net.input([1, 8]), net.qdq(net.const(np.ones((1, 8), F32)))]))
    net = Net()
    yield "2.1 unit of constants", net.output(net.node("Add", [net.input([8, 1]), net.qdq(net.node("Transpose", [net.dq(net.const(np.ones((1, 8), U8)))]))]))
    net = Net()
    y = net.node("QLinearConv", [net.q(net.input([1, 4, 8, 8])), *net.params(0.1, 0, U8, True, False), net.const(np.ones((4, 4, 1, 1), S8)),
                                 *net.params(0.1, 0, S8, True, False), *net.params(0.1, 0, U8, True, False)])
    yield "QOperator QLinearConv", net.output(net.dq(y))
    net = Net()
    y = net.node("QLinearAdd", [net.q(net.input([1, 8])), *net.params(0.1, 0, U8, True, False), net.q(net.input([1, 8])),
                                *net.params(0.1, 0, U8, True, False), *net.params(0.1, 0, U8, True, False)], domain="com.microsoft")
    yield "QOperator QLinearAdd", net.output(net.dq(y))
    net = Net()
    y = net.node("MaxPool", [net.q(net.input([1, 4, 8, 8]))], kernel_shape=[2, 2])
    yield "QOperator MaxPool", net.output(net.dq(y))


def models():
    for family in (conv_models, conv_inputs, clamp_models, mover_models, table_models, binary_models, product_models, block_models, dynamic_models,
                   pair_models):
        for name, net in family():
            yield name, net.model()
