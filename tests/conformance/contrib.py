#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# contrib.py RUN_MODEL FOLDER [NAME...]: operators of com.microsoft, and samples of quantized and windowed ones, against ONNX Runtime.
# The cases of an operator (seeded shapes, types, options) are nodes of one model. It runs twice here: data as inputs (the plan), and all as
# constants (folding). Integers must be equal, floats agree within a part of the output's range.
import os
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

CASES = 32
U8, S8 = np.uint8, np.int8


class Model:
    """Nodes of many cases side by side; `data` may come as an input, `const` never does."""

    def __init__(self, name):
        self.name, self.nodes, self.inputs, self.consts, self.outputs, self.count = name, [], [], [], [], 0
        self.rng = np.random.default_rng(sum(name.encode()) * 7919)

    def fresh(self):
        self.count += 1
        return f"t{self.count}"

    def const(self, array):
        self.consts.append((self.fresh(), np.asarray(array)))
        return self.consts[-1][0]

    def data(self, array):
        self.inputs.append((self.fresh(), np.asarray(array)))
        return self.inputs[-1][0]

    def either(self, array):
        return self.data(array) if self.rng.random() < 0.5 else self.const(array)

    def node(self, op, inputs, domain="com.microsoft", outputs=1, tolerance=1e-5, what="", strip=True, **attrs):
        while strip and not inputs[-1]:
            inputs = inputs[:-1]
        names = [self.fresh() if o else "" for o in (range(1, outputs + 1) if isinstance(outputs, int) else outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, domain=domain, **attrs))
        self.outputs += [(n, tolerance, f"{op} {attrs} {what}") for n in names if n]
        return names

    # -- random material
    def dims(self, rank, low=1, high=7):
        return [int(d) for d in self.rng.integers(low, high + 1, rank)]

    def codes(self, shape, dtype, low=None, high=None):
        info = np.iinfo(dtype)
        return self.rng.integers(info.min if low is None else low, (info.max if high is None else high) + 1, shape).astype(dtype)

    def floats(self, shape, scale=1.0):
        return (self.rng.standard_normal(shape) * scale).astype(np.float32)

    def scale(self, shape=(), low=0.003, high=0.05):
        return self.rng.uniform(low, high, shape).astype(np.float32)

    def zero(self, dtype, shape=()):
        return self.codes(shape, dtype)

    def pick(self, *options):
        return options[int(self.rng.integers(len(options)))]

    def chance(self, p=0.5):
        return bool(self.rng.random() < p)

    def maybe(self, make, p=0.5):
        return make() if self.chance(p) else ""

    def broadcast_pair(self):
        shape = self.dims(self.rng.integers(0, 5))
        other = [1 if self.chance(0.3) else d for d in shape]
        shape = [1 if self.chance(0.15) else d for d in shape]
        other = other[int(self.rng.integers(0, len(other) + 1)):] if self.chance(0.4) else other
        return (shape, other) if self.chance() else (other, shape)


GROUPS = {}


def group(f):
    GROUPS[f.__name__] = f
    return f


def params(m, dtype, optional=True):
    """Scale and zero point inputs of one tensor."""
    return [m.const(m.scale()), m.const(m.zero(dtype)) if not optional or m.chance(0.8) else ""]


# ---- operators on codes
def binary(m, op):
    for i in range(3 * CASES):
        t = (U8, S8)[i % 2]
        a, b = m.broadcast_pair()
        inputs = [m.data(m.codes(a, t))] + params(m, t, False) + [m.either(m.codes(b, t))] + params(m, t, False)
        m.node(op, inputs + params(m, t), what=(a, b, t.__name__))


@group
def qlinear_add(m):
    binary(m, "QLinearAdd")


@group
def qlinear_mul(m):
    binary(m, "QLinearMul")


def unary(m, op, **attrs):
    for i in range(CASES):
        t = (U8, S8)[i % 2]
        x = np.arange(256).astype(np.uint8).view(t).reshape(m.pick([256], [4, 64], [2, 2, 64]))
        m.node(op, [m.data(x)] + params(m, t) + params(m, t), what=t.__name__, strip=False, **{k: f(m) for k, f in attrs.items()})


@group
def qlinear_sigmoid(m):
    unary(m, "QLinearSigmoid")


@group
def qlinear_leaky_relu(m):
    unary(m, "QLinearLeakyRelu", alpha=lambda m: float(m.rng.uniform(-0.5, 1.5)))


@group
def qlinear_softmax(m):
    for i in range(2 * CASES):
        t = (U8, S8)[i % 2]
        shape = m.dims(m.pick(2, 3, 4), high=9)
        if m.chance(0.2):
            shape[-1] = m.pick(100, 257, 1000)
        attrs = {"opset": m.pick(11, 13)}
        if m.chance(0.7):
            attrs["axis"] = int(m.rng.integers(-len(shape), len(shape)))
        y = np.float32(m.pick(1 / 256, 1 / 255, 0.01))
        zero = m.pick(0, 3) if t is U8 else m.pick(-128, -120, 0)
        if t is S8 and zero + 1 / y > 127:  # a code above 127 wraps around there
            y = np.float32(1 / (127 - zero))
        m.node("QLinearSoftmax", [m.data(m.codes(shape, t))] + params(m, t) + [m.const(y), m.const(t(zero))], what=(shape, t.__name__), **attrs)


@group
def qlinear_where(m):
    for i in range(CASES):
        t = U8 if i % 2 or i > 8 else U8
        a, b = m.broadcast_pair()
        whole = list(np.broadcast_shapes(tuple(a), tuple(b)))
        c = [1 if m.chance(0.3) else d for d in whole]
        same = params(m, t, False)
        inputs = [m.data(m.rng.random(c) < 0.5), m.data(m.codes(a, t))] + (same if m.chance(0.3) else params(m, t, False))
        m.node("QLinearWhere", inputs + [m.either(m.codes(b, t))] + params(m, t, False) + same, what=(a, b, c))


@group
def qlinear_concat(m):
    for i in range(CASES):
        t = (U8, S8)[i % 2]
        shape = m.dims(m.pick(1, 2, 3, 4))
        axis = int(m.rng.integers(-len(shape), len(shape)))
        inputs = params(m, t, False)
        y = list(inputs)
        for _ in range(int(m.rng.integers(1, 4))):
            shape[axis] = int(m.rng.integers(1, 7))
            inputs += [m.either(m.codes(shape, t))] + (y if m.chance(0.3) else params(m, t, False))
        m.node("QLinearConcat", inputs, axis=axis, what=t.__name__)


def window(m, rank, shape, pool=False):
    """Attributes of a window that fits `shape`."""
    kernel = [int(m.rng.integers(1, min(4, d) + 1)) for d in shape]
    attrs = {"kernel_shape": kernel}
    if m.chance(0.7):
        attrs["strides"] = m.dims(rank, high=3)
    mode = m.pick("pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID", "none")
    if mode == "pads":
        attrs["pads"] = [int(m.rng.integers(0, k if pool else 3)) for k in kernel + kernel]
    elif mode != "none":
        attrs["auto_pad"] = mode
    return attrs


@group
def qlinear_average_pool(m):
    for i in range(2 * CASES):
        t = (U8, S8)[i % 2]
        rank = m.pick(1, 2, 2, 3)
        spatial = m.dims(rank, 2, 9)
        attrs = window(m, rank, spatial, True)
        if m.chance(0.2):
            attrs = {"kernel_shape": spatial}
        if m.chance():
            attrs["count_include_pad"] = m.pick(0, 1)
        if m.chance(0.3) and "auto_pad" not in attrs:
            attrs["ceil_mode"] = 1
        last = m.chance(0.4)
        attrs["channels_last"] = int(last)
        lead = m.dims(2, high=9)
        shape = [lead[0]] + spatial + [lead[1]] if last else lead + spatial
        m.node("QLinearAveragePool", [m.data(m.codes(shape, t))] + params(m, t, False) + params(m, t), what=(shape, t.__name__), **attrs)


@group
def qlinear_global_average_pool(m):
    for i in range(CASES):
        t = (U8, S8)[i % 2]
        shape = m.dims(m.pick(3, 4, 4, 5), high=11)
        m.node("QLinearGlobalAveragePool", [m.data(m.codes(shape, t))] + params(m, t, False) + params(m, t, False), what=(shape, t.__name__),
               channels_last=int(m.chance()))


def weight(m, shape, t):
    """Codes whose pairs cannot saturate in 16 bits; u8 is exact with u8."""
    return m.codes(shape, t, 0, 127) if t is U8 else m.codes(shape, t, -63, 63)


PAIRS = [(U8, U8), (U8, S8), (S8, S8)]


@group
def qgemm(m):
    for i in range(3 * CASES):
        ta, tb = PAIRS[i % 3]
        rows, inner, columns = m.dims(3, high=33)
        trans_a, trans_b = m.pick(0, 1), m.pick(0, 1)
        per = m.pick((), (1,), (columns,))
        inputs = [m.data(m.codes([inner, rows] if trans_a else [rows, inner], ta)), m.const(m.scale()), m.const(m.zero(ta)),
                  m.either(weight(m, [columns, inner] if trans_b else [inner, columns], tb)), m.const(m.scale(per)), m.const(weight(m, per, tb))]
        bias = m.pick(None, (columns,), (1, columns), (rows, 1), (rows, columns), (1,))
        inputs.append("" if bias is None else m.const(m.rng.integers(-9999, 9999, bias).astype(np.int32)))
        if m.chance(0.7):
            inputs += [m.const(m.scale((), 0.01, 1.0)), m.const(m.zero(ta))]
        m.node("QGemm", inputs, transA=trans_a, transB=trans_b, alpha=m.pick(1.0, 1.0, 0.37), what=(rows, inner, columns, ta.__name__, tb.__name__))


def product_shapes(m):
    rows, inner, columns = m.dims(3, high=20)
    batch = m.dims(m.pick(0, 0, 1, 2), high=3)
    return batch + [rows, inner], (batch if m.chance(0.3) else []) + [inner, columns], columns


@group
def matmul_integer_to_float(m):
    for i in range(2 * CASES):
        ta, tb = PAIRS[i % 3]
        a, b, columns = product_shapes(m)
        per = m.pick((), (columns,)) if len(b) == 2 else ()
        inputs = [m.data(m.codes(a, ta)), m.either(weight(m, b, tb)), m.const(m.scale()), m.const(m.scale(per)),
                  m.maybe(lambda: m.const(m.zero(ta))), m.maybe(lambda: m.const(weight(m, per, tb)))]
        m.node("MatMulIntegerToFloat", inputs + [m.maybe(lambda: m.const(m.floats(columns)))], what=(a, b, ta.__name__, tb.__name__))


@group
def dynamic_quantize_matmul(m):
    for i in range(CASES):
        tb = (U8, S8)[i % 2]
        a, b, columns = product_shapes(m)
        per = m.pick((), (columns,)) if len(b) == 2 else ()
        inputs = [m.data(m.floats(a)), m.either(weight(m, b, tb)), m.const(m.scale(per)), m.maybe(lambda: m.const(weight(m, per, tb)))]
        m.node("DynamicQuantizeMatMul", inputs + [m.maybe(lambda: m.const(m.floats(columns)))], what=(a, b, tb.__name__))


@group
def ms_qlinear_conv(m):
    for i in range(2 * CASES):
        t, tw = PAIRS[i % 3]
        rank = m.pick(1, 2, 2, 3)
        spatial = m.dims(rank, 4, 8)
        attrs = window(m, rank, spatial)
        groups = m.pick(1, 1, 2, 3)
        channels, out = groups * m.pick(1, 2, 3, 4), groups * m.pick(1, 2, 5, 8)
        last = m.chance(0.6)
        n = m.pick(1, 2)
        x = [n] + spatial + [channels] if last else [n, channels] + spatial
        per = m.pick((), (out,))
        inputs = [m.data(m.codes(x, t)), m.const(m.scale()), m.const(m.zero(t)), m.const(weight(m, [out, channels // groups] + attrs["kernel_shape"], tw)),
                  m.const(m.scale(per)), m.const(np.full(per, m.codes((), tw, 0, 20), tw)), m.const(m.scale((), 0.01, 0.5)), m.const(m.zero(t)),
                  m.maybe(lambda: m.const(m.rng.integers(-999, 999, out).astype(np.int32)))]
        m.node("QLinearConv", inputs, channels_last=int(last), group=groups, what=(x, t.__name__, tw.__name__), **attrs)


# ---- running and comparing
def build(m, path, inputs):
    """`inputs`: data are inputs of the model; else all is constant."""
    given = [(n, a) for n, a in m.inputs] if inputs else []
    consts = m.consts + ([] if inputs else m.inputs)
    graph = helper.make_graph(
        m.nodes, m.name, [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given],
        [helper.make_empty_tensor_value_info(n) for n, _, _ in m.outputs], [numpy_helper.from_array(a, n) for n, a in consts])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)], ir_version=9)
    onnx.save(model, path)
    return given


def ours(tool, folder, path, given):
    files = []
    for i, (name, array) in enumerate(given):
        files.append(os.path.join(folder, f"in{i}.pb"))
        with open(files[-1], "wb") as f:
            f.write(numpy_helper.from_array(array, name).SerializeToString())
    for name in os.listdir(folder):
        if name.endswith(".npy"):
            os.remove(os.path.join(folder, name))
    done = subprocess.run([tool, path, "-o", folder] + files, capture_output=True, text=True)
    if done.returncode:
        print(f"FAIL {path}: run_model ended with {done.returncode}\n{done.stderr[-2000:]}")
        return None
    return lambda i: np.load(os.path.join(folder, f"{i}.npy"))


def difference(have, want, tolerance):
    """None when they agree."""
    if have.shape != want.shape or have.dtype != want.dtype:
        return f"{have.dtype}{have.shape}, expected {want.dtype}{want.shape}"
    if want.size == 0:
        return None
    if want.dtype.kind != "f":
        bad = np.flatnonzero(have.ravel() != want.ravel())
        return f"{bad.size} of {want.size} differ, first {have.ravel()[bad[0]]}, expected {want.ravel()[bad[0]]}" if bad.size else None
    span = max(float(want.max() - want.min()), float(np.abs(want).max()), 1e-30)
    error = float(np.abs(have.astype(np.float64) - want.astype(np.float64)).max()) / span
    return None if error <= tolerance else f"off by {error:.3g} of the range"


def run_group(tool, folder, name):
    m = Model(name)
    GROUPS[name](m)
    path = os.path.join(folder, f"{name}.onnx")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    failed = 0
    for inputs in (True, False):
        given = build(m, path, inputs)
        if inputs:
            session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            want = session.run(None, dict(given))
        get = ours(tool, folder, path, given)
        if not get:
            return 1
        for i, (_, tolerance, what) in enumerate(m.outputs):
            bad = difference(get(i), want[i], tolerance)
            if bad:
                failed += 1
                if failed < 12:
                    print(f"FAIL {name} [{'inputs' if inputs else 'constants'}] {what}: {bad}")
    print(f"{name}: {len(m.outputs)} outputs of {len(m.nodes)} nodes, {failed} wrong")
    return failed


def main():
    tool, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    sys.exit(1 if sum(run_group(tool, folder, n) for n in sys.argv[3:] or GROUPS) else 0)


if __name__ == "__main__":
    main()
