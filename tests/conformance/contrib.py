#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# contrib.py RUN_MODEL FOLDER [NAME...]: operators of com.microsoft, and samples of quantized and windowed ones, against ONNX Runtime.
# The cases of an operator (seeded shapes, types, options) are nodes of one model. It runs twice here: data as inputs (the plan), and all as
# constants (folding). Integers must be equal, floats agree within a part of the output's range.
# contrib.py --mutants ONNX_MUTANTS FOLDER [ROUNDS]: a few of the cases, damaged.
import os
import subprocess
import sys

import ml_dtypes
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

    def node(self, op, inputs, domain="com.microsoft", outputs=1, tolerance=1e-5, what="", strip=True, hidden=False, **attrs):
        while strip and not inputs[-1]:
            inputs = inputs[:-1]
        names = [self.fresh() if o else "" for o in (range(1, outputs + 1) if isinstance(outputs, int) else outputs)]
        self.nodes.append(helper.make_node(op, inputs, names, domain=domain, **attrs))
        self.outputs += [(n, tolerance, f"{op} {attrs} {what}") for n in names if n and not hidden]
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
        m.node("QLinearSoftmax", [m.data(m.codes(shape, t))] + params(m, t) + [m.const(y), m.const(t(zero))], what=(shape, t.__name__), **attrs)


@group
def qlinear_where(m):
    for i in range(CASES):
        t = (U8, S8)[i % 2]
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
    elif mode == "VALID" or mode != "none" and all(k >= s for k, s in zip(kernel, attrs.get("strides", [1] * rank))):
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
        per = m.pick((), (columns,)) if len(b) == 2 else m.pick((), tuple(b[:-2]) + (1, columns))
        inputs = [m.data(m.codes(a, ta)), m.either(weight(m, b, tb)), m.const(m.scale()), m.const(m.scale(per)),
                  m.maybe(lambda: m.const(m.zero(ta))), m.maybe(lambda: m.const(weight(m, per, tb)))]
        m.node("MatMulIntegerToFloat", inputs + [m.maybe(lambda: m.const(m.floats(columns)))], what=(a, b, ta.__name__, tb.__name__))


@group
def dynamic_quantize_matmul(m):
    for i in range(CASES):
        tb = (U8, S8)[i % 2]
        a, b, columns = product_shapes(m)
        per = m.pick((), (columns,)) if len(b) == 2 else m.pick((), tuple(b[:-2]) + (1, columns))
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


# ---- fused operators
@group
def gelus(m):
    for i in range(CASES):
        shape = m.dims(m.pick(0, 1, 2)) + m.dims(1, 8, 20)
        x = m.data(m.floats(shape, 3))
        m.node("Gelu", [x])
        m.node("BiasGelu", [x, m.either(m.floats(shape[-1]))], what=shape)
        m.node("FastGelu", [x, m.maybe(lambda: m.const(m.floats(shape[-1])))], what=shape)
        m.node("QuickGelu", [x], what=shape, **({"alpha": float(m.rng.uniform(0.5, 2))} if m.chance() else {}))


@group
def fused_conv(m):
    for i in range(2 * CASES):
        rank = m.pick(1, 2, 2, 3)
        spatial = m.dims(rank, 4, 9)
        attrs = window(m, rank, spatial)
        groups = m.pick(1, 1, 2, 3)
        channels, out = groups * m.pick(1, 2, 3, 4), groups * m.pick(1, 2, 5, 8)
        act = m.pick(None, "Relu", "Tanh", "Sigmoid", "LeakyRelu", "Clip", "HardSigmoid")
        if act:
            attrs["activation"] = act
        if act in ("LeakyRelu", "Clip", "HardSigmoid"):
            attrs["activation_params"] = {"LeakyRelu": [0.3], "Clip": [-0.5, 0.9], "HardSigmoid": [0.3, 0.4]}[act]
        inputs = [m.data(m.floats([m.pick(1, 2), channels] + spatial)), m.either(m.floats([out, channels // groups] + attrs["kernel_shape"], 0.5)),
                  m.maybe(lambda: m.const(m.floats(out)))]
        m.node("FusedConv", inputs, group=groups, **attrs)


@group
def fused_gemm(m):
    for i in range(CASES):
        rows, inner, columns = m.dims(3, high=33)
        ta, tb = m.pick(0, 1), m.pick(0, 1)
        act = m.pick("Relu", "Tanh", "Sigmoid", "LeakyRelu", "HardSigmoid", "Elu", "Softplus", "Softsign", "ThresholdedRelu")
        attrs = {"activation": act}
        if act in ("LeakyRelu", "HardSigmoid", "Elu", "ThresholdedRelu"):
            attrs["activation_alpha"] = 0.3
        if act == "HardSigmoid":
            attrs["activation_beta"] = 0.4
        bias = m.pick(None, (columns,), (rows, 1), (rows, columns), (1,))
        m.node("FusedGemm", [m.data(m.floats([inner, rows] if ta else [rows, inner], 0.3)), m.either(m.floats([columns, inner] if tb else [inner, columns])),
                             "" if bias is None else m.const(m.floats(bias))], transA=ta, transB=tb, alpha=m.pick(1.0, 0.5), beta=m.pick(1.0, 2.0), **attrs)


@group
def fused_matmul(m):
    for i in range(2 * CASES):
        rows, inner, columns = m.dims(3, high=20)
        batch = m.dims(m.pick(0, 1, 2), high=3)
        flags = {n: m.pick(0, 1) for n in ("transA", "transB")}
        if batch:
            flags.update({n: m.pick(0, 1) for n in ("transBatchA", "transBatchB")})

        def stored(first, second, swap, lead):
            pair = [second, first] if swap else [first, second]
            return [pair[0]] + batch + [pair[1]] if lead else batch + pair
        a = stored(rows, inner, flags["transA"], flags.get("transBatchA"))
        b = stored(inner, columns, flags["transB"], flags.get("transBatchB"))
        m.node("FusedMatMul", [m.data(m.floats(a)), m.either(m.floats(b))], what=(a, b), alpha=m.pick(1.0, 0.125), **flags)


@group
def matmul_nbits(m):
    for i in range(3 * CASES):
        bits = m.pick(4, 4, 8, 2)
        block = m.pick(16, 32, 64, 128)
        n, k = int(m.rng.integers(1, 40)), int(m.rng.integers(1, 5)) * m.pick(16, 32, 24)
        k = max(k, 16)
        blocks = -(-k // block)
        lead = m.dims(m.pick(1, 2), high=5)
        zero = m.pick(None, U8, np.float32) if bits == 4 else m.pick(None, U8)
        inputs = [m.data(m.floats(lead + [k])), m.const(m.codes([n, blocks, block * bits // 8], U8)), m.const(m.scale(m.pick((n * blocks,), (n, blocks)))), "", ""]
        if zero is U8:
            inputs[3] = m.const(m.codes([n * -(-blocks * bits // 8)], U8))
        elif zero:
            inputs[3] = m.const(m.rng.uniform(0, 15, [n, blocks]).astype(np.float32))
        inputs.append(m.maybe(lambda: m.const(m.floats(n))))
        m.node("MatMulNBits", inputs, N=n, K=k, bits=bits, block_size=block, accuracy_level=m.pick(0, 1), what=(lead, zero), tolerance=2e-5)


@group
def skip_layer_norm(m):
    for i in range(2 * CASES):
        shape = m.dims(m.pick(2, 3, 3))
        shape[-1] = m.pick(1, 7, 32, 100)
        full = i % 2
        skip = m.pick(shape, shape, [1] + shape[1:], shape[1:]) if len(shape) == 3 else shape
        width = shape[-1]
        inputs = [m.data(m.floats(shape)), m.either(m.floats(skip)), m.const(m.floats(width))]
        if full:
            inputs.append(m.maybe(lambda: m.const(m.floats(width))))
        inputs.append(m.maybe(lambda: m.const(m.floats(width))))
        m.node("SkipLayerNormalization" if full else "SkipSimplifiedLayerNormalization", inputs, outputs=m.pick([1], [1, 0, 0, 1]), what=(shape, skip),
               epsilon=float(m.pick(1e-12, 1e-5, 1e-3)))


@group
def layer_norm(m):
    for i in range(CASES):
        shape = m.dims(m.pick(1, 2, 3))
        axis = int(m.rng.integers(-len(shape), 0)) if i % 2 else -1
        x, scale = m.data(m.floats(shape)), m.const(m.floats(shape[axis:]))
        m.node("SimplifiedLayerNormalization", [x, scale], domain="", axis=axis, epsilon=float(m.pick(1e-5, 1e-3)), outputs=m.pick([1], [1, 1]), what=shape)
        m.node("LayerNormalization", [x, scale, m.maybe(lambda: m.const(m.floats(shape[axis:])))], domain="", axis=axis, what=shape, tolerance=3e-5)


@group
def embed_layer_norm(m):
    for i in range(CASES):
        batch, seq = m.dims(2)
        words, positions, segments, width = m.pick(5, 30), seq + m.pick(0, 4), m.pick(1, 2, 3), m.pick(3, 16, 50)
        ids = lambda top, shape: m.data(m.rng.integers(0, top, shape).astype(np.int32))
        segment = m.chance(0.7)
        mask = m.chance()
        inputs = [ids(words, [batch, seq]), ids(segments, [batch, seq]) if segment else "", m.const(m.floats([words, width])),
                  m.const(m.floats([positions, width])), m.const(m.floats([segments, width])) if segment else "", m.const(m.floats(width)),
                  m.const(m.floats(width)), ids(2, [batch, seq]) if mask else "", ids(positions, m.pick([batch, seq], [1, seq])) if m.chance(0.4) else ""]
        m.node("EmbedLayerNormalization", inputs, outputs=m.pick([1, 1], [1, 1, 1]), epsilon=1e-5, what=(batch, seq, width))


def masks(m, batch, seq, total, causal):
    """At least one key stays for every query: else the sum with the mask leaves no digits to compare."""
    kind = m.pick("none", "end") if causal else m.pick("none", "end", "range", "keys", "pairs")
    if kind == "none":
        return ""
    if kind == "end":
        return m.const(m.rng.integers(1, total + 1, batch).astype(np.int32))
    if kind == "range":
        start = m.rng.integers(0, total, batch)
        end = start + m.rng.integers(1, total + 1, batch)
        return m.const(np.concatenate([np.minimum(end, total), start]).astype(np.int32))
    mask = m.rng.integers(0, 2, [batch, total] if kind == "keys" else [batch, seq, total]).astype(np.int32)
    mask[..., 0] = 1
    return m.const(mask)


@group
def attention(m):
    for i in range(3 * CASES):
        batch, seq, heads = m.pick(1, 2, 3), m.pick(1, 3, 8), m.pick(1, 2, 4)
        size, width = heads * m.pick(1, 3, 8), m.pick(4, 16, 33)
        value = size
        past = m.pick(0, 0, 2, 5)
        attrs = {"num_heads": heads}
        if not past and m.chance(0.3):
            value = heads * m.pick(2, 5)
            attrs["qkv_hidden_sizes"] = [size, size, value]
        causal = m.chance(0.3)
        attrs["unidirectional"] = int(causal)
        if m.chance(0.3):
            attrs["scale"] = 0.4
        if m.chance(0.3):
            attrs["mask_filter_value"] = -50.0
        total = past + seq
        inputs = [m.data(m.floats([batch, seq, width])), m.const(m.floats([width, 2 * size + value], 0.3)), m.const(m.floats(2 * size + value)),
                  masks(m, batch, seq, total, causal), m.data(m.floats([2, batch, heads, past, size // heads])) if past else "",
                  m.const(m.floats([m.pick(1, batch), m.pick(1, heads), seq, total])) if m.chance(0.3) and not past else ""]
        m.node("Attention", inputs, outputs=2 if value == size and (past or m.chance()) else 1, what=(batch, seq, total), tolerance=2e-5, **attrs)


@group
def qattention(m):
    for i in range(2 * CASES):
        tx, tw = PAIRS[i % 3] if i % 3 < 2 else (U8, S8)
        batch, seq, heads = m.pick(1, 2, 3), m.pick(1, 3, 8), m.pick(1, 2, 4)
        size, width = heads * m.pick(1, 3, 8), m.pick(4, 16, 33)
        past = m.pick(0, 0, 3)
        per, causal = m.pick((), (3 * size,)), m.pick(0, 1)
        inputs = [m.data(m.codes([batch, seq, width], tx)), m.const(weight(m, [width, 3 * size], tw)), m.const(m.floats(3 * size)), m.const(m.scale()),
                  m.const(m.scale(per, 0.001, 0.01)), masks(m, batch, seq, past + seq, causal), m.const(m.zero(tx)), m.const(weight(m, per, tw)),
                  m.data(m.floats([2, batch, heads, past, size // heads])) if past else ""]
        m.node("QAttention", inputs, outputs=2 if past else 1, num_heads=heads, unidirectional=causal, what=(batch, seq, past))


@group
def multi_head_attention(m):
    for i in range(4 * CASES):
        batch, seq, heads, past, causal = m.pick(1, 2, 3), m.pick(1, 3, 8), m.pick(1, 2, 4), m.pick(0, 0, 2, 5), m.chance(0.3)
        head, value = m.pick(1, 3, 8), m.pick(2, 5)
        keys = seq if past or causal else m.pick(seq, 1, 5, 11)
        total, turned = past + keys, not past and not causal and m.chance(0.3)
        if past or turned or m.chance():
            value = head
        side = lambda size: m.data(m.floats([batch, heads, keys, size] if turned else [batch, keys, heads * size]))
        attrs = {"num_heads": heads, "unidirectional": int(causal)}
        if m.chance(0.3):
            attrs["scale"] = 0.4
        if m.chance(0.3):
            attrs["mask_filter_value"] = -50.0
        mask = m.pick("", "", "keys", "pairs") if not causal else ""
        if mask:
            mask = m.rng.integers(0, 2, [batch, total] if mask == "keys" else [batch, seq, total]).astype(np.int32)
            mask[..., 0] = 1
            mask = m.const(mask)
        inputs = [m.data(m.floats([batch, seq, heads * head])), side(head), side(value),
                  m.const(m.floats(heads * (2 * head + value))) if m.chance() else "", mask,
                  m.const(m.floats([m.pick(1, batch), m.pick(1, heads), seq, total])) if m.chance(0.3) else ""]
        inputs += [m.data(m.floats([batch, heads, past, head])), m.data(m.floats([batch, heads, past, value]))] if past else ["", ""]
        m.node("MultiHeadAttention", inputs, outputs=3 if past else m.pick(1, 3) if not turned else 1, what=(batch, seq, keys, past, turned),
               tolerance=2e-5, **attrs)


@group
def dynamic_quantize_lstm(m):
    for i in range(CASES):
        direction = m.pick("forward", "reverse", "bidirectional")
        dirs = 2 if direction == "bidirectional" else 1
        steps, batch, size, hidden = m.dims(4, high=9)
        t = m.pick(U8, S8)
        per = m.pick((dirs,), (dirs, 4 * hidden))
        zero = lambda: m.const(weight(m, per, t) if len(per) == 1 else np.zeros(per, t))
        state = lambda: m.data(m.floats([dirs, batch, hidden]))
        inputs = [m.data(m.floats([steps, batch, size])), m.const(weight(m, [dirs, size, 4 * hidden], t)), m.const(weight(m, [dirs, hidden, 4 * hidden], t)),
                  m.maybe(lambda: m.const(m.floats([dirs, 8 * hidden]))), m.maybe(lambda: m.data(m.rng.integers(1, steps + 1, batch).astype(np.int32)), 0.3),
                  m.maybe(state), m.maybe(state), m.maybe(lambda: m.const(m.floats([dirs, 3 * hidden])), 0.3), m.const(m.scale(per, 0.005, 0.02)), zero(),
                  m.const(m.scale(per, 0.005, 0.02)), zero()]
        m.node("DynamicQuantizeLSTM", inputs, outputs=3, direction=direction, hidden_size=hidden, what=(steps, batch, size, hidden, t.__name__, per), tolerance=2e-2,
               **({"input_forget": 1} if m.chance(0.2) else {}), **({"clip": 1.5} if m.chance(0.2) else {}))


@group
def ms_quantize(m):
    for i in range(2 * CASES):
        t = m.pick(U8, S8, np.uint16, np.int16)
        shape = m.dims(m.pick(1, 2, 3))
        axis = int(m.rng.integers(-len(shape), len(shape)))
        per = m.pick((), (shape[axis],))
        scale, zero = m.const(m.scale(per)), m.const(m.codes(per, t))
        q, = m.node("QuantizeLinear", [m.data(m.floats(shape, 2)), scale, zero], axis=axis, what=(shape, t.__name__))
        m.node("DequantizeLinear", [q, scale, zero], axis=axis, what=(shape, t.__name__))
    for i in range(CASES // 2):  # four bits: the codes themselves cannot be looked at
        t, low = m.pick((ml_dtypes.int4, -8), (ml_dtypes.uint4, 0))
        shape = m.dims(m.pick(1, 2, 3))
        axis = int(m.rng.integers(-len(shape), len(shape)))
        per = m.pick((), (shape[axis],))
        scale, zero = m.const(m.scale(per, 0.1, 0.5)), m.const(m.rng.integers(low, low + 16, per).astype(t))
        q, = m.node("QuantizeLinear", [m.data(m.floats(shape, 2)), scale, zero], axis=axis, hidden=True)
        m.node("DequantizeLinear", [q, scale, zero], axis=axis, what=(shape, t.__name__))
    for i in range(CASES // 2):
        shape = m.dims(2)
        x = m.rng.integers(-99999, 99999, shape).astype(np.int32)
        m.node("DequantizeLinear", [m.data(x), m.const(m.scale())], what=(shape, "int32"))


# ---- standard operators over windows and on codes
@group
def windows(m):
    for i in range(5 * CASES):
        op = ("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool")[i % 5]
        pool = op.endswith("Pool")
        rank = m.pick(1, 2, 2, 3)
        spatial = m.dims(rank, 4, 10)
        attrs = window(m, rank, spatial, pool)
        if m.chance(0.3) and (op == "Conv" or pool):
            span = [min(d, 2) if (d - 1) // max(k - 1, 1) >= 2 else 1 for d, k in zip(m.dims(rank, high=2), attrs["kernel_shape"])]
            attrs["dilations"] = [s if (k - 1) * s < d else 1 for s, k, d in zip(span, attrs["kernel_shape"], spatial)]
        if pool and "auto_pad" not in attrs and m.chance(0.4):
            attrs["ceil_mode"] = 1
        if op == "AveragePool" and m.chance():
            attrs["count_include_pad"] = m.pick(0, 1)
        if op == "LpPool":
            attrs["p"] = m.pick(1, 2, 3)
        groups = 1 if pool else m.pick(1, 1, 2, 3)
        channels, out = groups * m.pick(1, 2, 3, 4), groups * m.pick(1, 2, 5, 8)
        if op == "ConvTranspose":
            strides = attrs.get("strides", [1] * rank)
            if m.chance(0.3) and attrs.get("auto_pad") is None:
                attrs["output_padding"] = [int(m.rng.integers(0, s)) for s in strides]
            elif m.chance(0.2) and attrs.get("auto_pad") != "VALID":
                attrs.pop("pads", None)
                full = [(d - 1) * s + k for d, s, k in zip(spatial, strides, attrs["kernel_shape"])]
                attrs["output_shape"] = [int(m.rng.integers(max(1, f - k + 1), f + 1)) for f, k in zip(full, attrs["kernel_shape"])]
        inputs = [m.data(m.floats([m.pick(1, 2), channels] + spatial))]
        if not pool:
            attrs["group"] = groups
            shape = [channels, out // groups] if op == "ConvTranspose" else [out, channels // groups]
            inputs += [m.either(m.floats(shape + attrs["kernel_shape"], 0.5)), m.maybe(lambda: m.const(m.floats(out)))]
        m.node(op, inputs, domain="", outputs=2 if op == "MaxPool" and m.chance(0.3) else 1, what=(channels, spatial), **attrs)


@group
def integer_products(m):
    for i in range(2 * CASES):
        ta, tb = PAIRS[i % 3]
        a, b, columns = product_shapes(m)
        per = m.pick((), (columns,)) if len(b) == 2 else m.pick((), tuple(b[:-2]) + (1, columns))
        inputs = [m.data(m.codes(a, ta)), m.either(weight(m, b, tb)), m.maybe(lambda: m.const(m.zero(ta))), m.maybe(lambda: m.const(weight(m, per, tb)))]
        m.node("MatMulInteger", inputs, domain="", what=(a, b, ta.__name__, tb.__name__))
        m.node("QLinearMatMul", [inputs[0], m.const(m.scale()), m.const(m.zero(ta)), inputs[1], m.const(m.scale(per)), m.const(weight(m, per, tb)),
                                 m.const(m.scale((), 0.01, 0.5)), m.const(m.zero(ta))], domain="", what=(a, b, ta.__name__, tb.__name__))
    for i in range(2 * CASES):
        t, tw = PAIRS[i % 3]
        rank = m.pick(1, 2, 2, 3)
        spatial = m.dims(rank, 4, 8)
        attrs = window(m, rank, spatial)
        groups = m.pick(1, 1, 2, 3)
        channels, out = groups * m.pick(1, 2, 3, 4, 8), groups * m.pick(1, 2, 5, 8)
        x = m.data(m.codes([m.pick(1, 2), channels] + spatial, t))
        per = m.pick((), (out,))
        shape = [out, channels // groups] + attrs["kernel_shape"]
        w = m.const(weight(m, shape, tw))
        inputs = [x, m.const(m.scale()), m.const(m.zero(t)), w, m.const(m.scale(per)), m.const(np.full(per, m.codes((), tw, 0, 20), tw)),
                  m.const(m.scale((), 0.01, 0.5)), m.const(m.zero(t)), m.maybe(lambda: m.const(m.rng.integers(-999, 999, out).astype(np.int32)))]
        m.node("QLinearConv", inputs, domain="", group=groups, what=(channels, spatial, t.__name__, tw.__name__), **attrs)
        if t is U8 and tw is U8:
            m.node("ConvInteger", [x, w, m.maybe(lambda: m.const(m.zero(t))), m.maybe(lambda: m.const(weight(m, (), tw)))], domain="", group=groups, **attrs)


# ---- running and comparing
def wrap(graph):
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)], ir_version=9)


def build(m, path, inputs):
    """`inputs`: data are inputs of the model; else all is constant."""
    given = [(n, a) for n, a in m.inputs] if inputs else []
    consts = m.consts + ([] if inputs else m.inputs)
    graph = helper.make_graph(
        m.nodes, m.name, [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given],
        [helper.make_empty_tensor_value_info(n) for n, _, _ in m.outputs], [numpy_helper.from_array(a, n) for n, a in consts])
    onnx.save(wrap(graph), path)
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


def write_suite(folder):
    """A few cases of every operator as tests of one node, all of whose inputs come from files: to be damaged by onnx_mutants."""
    for name in GROUPS:
        m = Model(name)
        GROUPS[name](m)
        arrays, seen = dict(m.inputs + m.consts), {}
        for node in m.nodes:
            seen[node.op_type] = seen.get(node.op_type, 0) + 1
            if seen[node.op_type] > 2 or any(i and i not in arrays for i in node.input):
                continue
            test = os.path.join(folder, f"test_{name}_{node.op_type}_{seen[node.op_type]}")
            data = os.path.join(test, "test_data_set_0")
            os.makedirs(data, exist_ok=True)
            given = [(i, arrays[i]) for i in dict.fromkeys(node.input) if i]
            graph = helper.make_graph(
                [node], name, [helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in given],
                [helper.make_empty_tensor_value_info(o) for o in node.output if o])
            onnx.save(wrap(graph), os.path.join(test, "model.onnx"))
            for i, (n, a) in enumerate(given):
                with open(os.path.join(data, f"input_{i}.pb"), "wb") as f:
                    f.write(numpy_helper.from_array(a, n).SerializeToString())


def main():
    if sys.argv[1] == "--mutants":
        write_suite(sys.argv[3])
        sys.exit(subprocess.run([sys.argv[2], sys.argv[3]] + sys.argv[4:]).returncode)
    tool, folder = sys.argv[1:3]
    os.makedirs(folder, exist_ok=True)
    sys.exit(1 if sum(run_group(tool, folder, n) for n in sys.argv[3:] or GROUPS) else 0)


if __name__ == "__main__":
    main()
