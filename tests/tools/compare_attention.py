#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_attention.py QCC: com.microsoft Attention, as optimizers of transformers write it, from floats to QAttention and back.

Makes small encoders with random weights: masks of every kind, causal ones, with a past, with sizes that QAttention does not have. Each is
compiled with run-time ranges, given static ones afterwards, and written in every format. ONNX Runtime must load each file, the built-in runtime
must agree with it to 60 dB, and formats of one model with each other and with the float model to what 8 bits give. Exits 1 on a difference, 77
without packages."""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    from compare_formats import built_in_of, closeness, convert, network, outputs_of
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

F32, S32 = np.float32, np.int32
BATCH, LENGTH, SIZE, HEADS, LAYERS = 2, 12, 48, 4, 2


def masks(kind, past):
    total = LENGTH + past
    if kind == "end":
        return np.array([total, total - 3], S32)
    if kind == "range":
        return np.array([total, total - 3, 1, 0], S32)
    mask = np.ones((BATCH, total) if kind == "keys" else (BATCH, LENGTH, total), S32)
    mask[..., total - 2:] = 0
    return mask


def encoder(mask=None, past=0, value=None, **attributes):
    """Model and inputs: layers of Attention, a product, a sum and a normalization."""
    rng = np.random.default_rng(11)
    inits, nodes, feeds, results = [], [], {"x": rng.standard_normal((BATCH, LENGTH, SIZE)).astype(F32)}, []

    def const(shape, scale=1.0, base=0.0):
        name = f"c{len(inits)}"
        inits.append(numpy_helper.from_array((rng.standard_normal(shape) * scale + base).astype(F32), name))
        return name

    def node(op, inputs, outputs, domain="", **attrs):
        nodes.append(helper.make_node(op, inputs, outputs, name=outputs[0] + "_node", domain=domain, **attrs))
        return outputs[0]

    if mask:
        feeds["mask"] = masks(mask, past)
    width, x = value or SIZE, "x"
    if value:
        attributes["qkv_hidden_sizes"] = [SIZE, SIZE, value]
    for k in range(LAYERS):
        inputs = [x, const((SIZE, 2 * SIZE + width), 0.3), const(2 * SIZE + width), "mask" if mask else ""]
        names = [f"attended{k}"]
        if past:
            feeds[f"past{k}"] = rng.standard_normal((2, BATCH, HEADS, past, SIZE // HEADS)).astype(F32)
            inputs.append(f"past{k}")
            names.append(f"present{k}")
            results.append(names[1])
        while not inputs[-1]:
            inputs.pop()
        y = node("Attention", inputs, names, domain="com.microsoft", num_heads=HEADS, **attributes)
        y = node("Add", [node("MatMul", [y, const((width, SIZE), 0.2)], [f"product{k}"]), x], [f"sum{k}"])
        x = node("LayerNormalization", [y, const(SIZE, 0.1, 1.0), const(SIZE, 0.1)], [f"normal{k}"], axis=-1)
    results.append(x)
    kinds = {F32: TensorProto.FLOAT, S32: TensorProto.INT32}
    graph = helper.make_graph(nodes, "encoder", [helper.make_tensor_value_info(k, kinds[v.dtype.type], v.shape) for k, v in feeds.items()],
                              [helper.make_tensor_value_info(r, TensorProto.FLOAT, None) for r in results], inits)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)])
    made.ir_version = 8
    return made, feeds


CASES = {"plain": {}, "end": {"mask": "end"}, "range": {"mask": "range"}, "keys": {"mask": "keys"}, "pairs": {"mask": "pairs"},
         "causal": {"unidirectional": 1}, "past": {"past": 3}, "past, keys": {"past": 3, "mask": "keys", "unidirectional": 1},
         "scale": {"scale": 0.4, "mask_filter_value": -50.0, "mask": "end"}, "equal sizes": {"value": SIZE},
         "other sizes": {"value": 32}}


def static(model):
    """Constant ranges in place of those of each run."""
    for k, n in enumerate(model.graph.node):
        if n.op_type != "DynamicQuantizeLinear":
            continue
        scale, zero = n.output[1], n.output[2]
        model.graph.initializer.extend([numpy_helper.from_array(np.array(0.03, F32), scale), numpy_helper.from_array(np.array(128, np.uint8), zero)])
        model.graph.node[k].CopyFrom(helper.make_node("QuantizeLinear", [n.input[0], scale, zero], [n.output[0]], name=n.name))
    return model


def kinds_of(path):
    return [n.op_type for n in onnx.load(path).graph.node if n.domain == "com.microsoft" and n.op_type.endswith("Attention")]


def check(qcc, name, how, folder):
    at = lambda word: os.path.join(folder, word + ".onnx")
    model, feeds = encoder(**how)
    onnx.save(model, at("float"))
    coded = ["Attention" if name == "other sizes" else "QAttention"] * LAYERS
    plain, want, ok = ["Attention"] * LAYERS, outputs_of(at("float"), feeds), True

    def judge(word, kinds, least, other=None):
        """The file has these operators, both runtimes agree on it, and it is near enough to the other one."""
        nonlocal ok
        got = outputs_of(at(word), feeds)
        agree, near = closeness(built_in_of(qcc, at(word), feeds, folder), got), closeness(got, outputs_of(at(other), feeds) if other else want)
        good = kinds_of(at(word)) == kinds and agree > 60 and near > least
        print(f"{name:12} {word:9} {'' if good else 'WRONG: '}{kinds_of(at(word))[0]}, {agree:.1f} dB, {near:.1f} dB", flush=True)
        ok = ok and good

    convert(qcc, at("float"), "auto", at("dynamic"), "-O1", "--dynamic")
    judge("dynamic", coded, 25)
    convert(qcc, at("dynamic"), "qdq", at("back"))
    judge("back", plain, 25)
    convert(qcc, at("back"), "integer", at("again"))
    judge("again", coded, 60, "dynamic")
    onnx.save(static(onnx.load(at("back"))), at("static"))
    convert(qcc, at("static"), "qoperator", at("coded"))
    judge("coded", coded, 40, "static")
    convert(qcc, at("coded"), "qdq", at("floats"))
    judge("floats", plain, 40, "static")
    if network(at("again")) != network(at("dynamic")):
        print(f"{name:12} DIFFERS after a turn")
        ok = False
    return ok


def main():
    with tempfile.TemporaryDirectory() as folder:
        return 0 if all([check(sys.argv[1], name, how, folder) for name, how in CASES.items()]) else 1


if __name__ == "__main__":
    sys.exit(main())
