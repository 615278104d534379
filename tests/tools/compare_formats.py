#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_formats.py QCC MODELS [NAME...]: quantized models from one format to another and back.

Compiles the models below the folder MODELS with qcc -O2 (random samples), writes them as operators on codes and as Q/DQ again: both Q/DQ files
must be the same network up to names and order. Products on run-time ranges must come back as they went after the first turn, those of convolutions, for a target that
wants them, too, and the built-in runtime must agree with ONNX Runtime on them to 60 dB. So must products with weights in blocks. ONNX Runtime must load every file, and its outputs on
a random sample must agree to 20 dB between forms of one model (10 dB on run-time ranges), and of the model in f16 with the model itself. bf16 must agree where it has
kernels. Exits 1 on a difference, 77 without models or packages."""
import collections
import hashlib
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import helper, numpy_helper

    import zoo
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

CONVOLUTIONS = ("resnet20", "ds_cnn_s", "vww", "crnn_m")
DEFAULTS = {("Gemm", "alpha"): 1.0, ("Gemm", "beta"): 1.0, ("Gemm", "transA"): 0, ("Gemm", "transB"): 0}


def digest(*parts):
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def attributes(node):
    found = []
    for a in node.attribute:
        v = helper.get_attribute_value(a)
        if DEFAULTS.get((node.op_type, a.name)) != v and not (node.op_type == "AveragePool" and a.name == "dilations" and set(v) == {1}):
            found.append((a.name, v.SerializeToString() if hasattr(v, "SerializeToString") else v))
    return sorted(found, key=lambda pair: pair[0])


def network(path):
    """Every node by what it computes from what: names and order do not matter."""
    graph = onnx.load(path).graph
    known = {v.name: digest("input", i) for i, v in enumerate(graph.input)}
    for t in graph.initializer:
        a = numpy_helper.to_array(t)
        known[t.name] = digest(str(a.dtype), a.shape, a.tobytes())
    nodes = collections.Counter()
    for n in graph.node:
        node = digest(n.domain, n.op_type, attributes(n), [known.get(i) for i in n.input])
        nodes[node] += 1
        known.update((y, digest(node, k)) for k, y in enumerate(n.output))
    return nodes, [known[o.name] for o in graph.output]


def convert(qcc, path, form, to, *more):
    subprocess.run([qcc, "-q", path, "-o", to, "--format", form, *more], check=True, stderr=subprocess.DEVNULL)
    return to


def random_feeds(session):
    rng = np.random.default_rng(5)
    return {v.name: rng.standard_normal([d if isinstance(d, int) and d > 0 else 1 for d in v.shape]).astype(np.float32)
            for v in session.get_inputs()}


def open_session(path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(path, options)


def outputs_of(path, feeds):
    return open_session(path).run(None, feeds)


def outputs(path):
    return outputs_of(path, random_feeds(open_session(path)))


def built_in_of(qcc, path, feeds, folder):
    """The same outputs from the built-in runtime."""
    session = open_session(path)
    command = [qcc, "run", path, "--out", folder]
    for k, (name, x) in enumerate(feeds.items()):
        np.save(os.path.join(folder, f"in{k}.npy"), x)
        command += ["--in", f"{name}={os.path.join(folder, f'in{k}.npy')}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return [np.load(os.path.join(folder, v.name.replace("/", "_") + ".npy")) for v in session.get_outputs()]


def closeness(a, b):
    power = min(float((y.astype(np.float64) ** 2).mean()) / max(float(((x - y).astype(np.float64) ** 2).mean()), 1e-30) for x, y in zip(a, b))
    return 10 * np.log10(power)


def check(qcc, path):
    ok = True
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name + ".onnx")
        first = convert(qcc, path, "qdq", at("qdq"), "-O2", "--prefer", "size")
        for form in ("qoperator", "integer"):
            there = convert(qcc, first, form, at(form))
            back = convert(qcc, there, "qdq", at("back"))
            db = closeness(outputs(there), outputs(first))
            again = convert(qcc, convert(qcc, back, form, at("again")), "qdq", at("last"))
            same = network(again) == network(back)
            if form == "qoperator" and not path.endswith("_qdq.onnx"):  # that one has a Relu in front of every QuantizeLinear
                same = same and network(back) == network(first)
            print(f"{os.path.basename(path):28} {form:10} {'the same again' if same else 'DIFFERS'}, {db:.1f} dB", flush=True)
            ok = ok and same and db > (10 if form == "integer" else 20)  # recurrent networks take random data badly
    return ok


def check_convolutions(qcc, path):
    """Convolutions on run-time ranges, for a target that wants them."""
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name)
        with open(at("target.yaml"), "w", encoding="utf-8") as to:
            to.write("extends: ort-cpu-avx2\nint8: {dynamic: {Conv: {activation: {dtype: [uint8]}}}}\n")
        there = convert(qcc, path, "integer", at("there.onnx"), "-O1", "--dynamic", "--target", at("target.yaml"))
        count = sum(n.op_type == "ConvInteger" for n in onnx.load(there).graph.node)
        db, near = closeness(built_in_of(qcc, there, random_feeds(open_session(there)), folder), outputs(there)), closeness(outputs(there), outputs(path))
        back = convert(qcc, there, "qdq", at("back.onnx"))
        again = convert(qcc, back, "integer", at("again.onnx"))
        same = network(again) == network(there)
        left = sum(n.op_type == "ConvInteger" for n in onnx.load(back).graph.node)
        print(f"{os.path.basename(path):28} {count} ConvInteger, {'the same again' if same else 'DIFFERS'}, {db:.1f} dB, {near:.1f} dB to float",
              flush=True)
        return count > 0 and left == 0 and same and db > 60 and near > 20


def packed_model(path):
    """MatMulNBits of 4 and 8 bits with zero points; the last block is not full."""
    rng, k, n, block = np.random.default_rng(7), 84, 24, 32
    inits, nodes, x = [], [], "x"
    for bits, (rows, columns) in ((4, (k, n)), (8, (n, k))):
        blocks = -(-rows // block)
        arrays = (rng.integers(0, 256, (columns, blocks, block * bits // 8), np.uint8), rng.uniform(0.01, 0.02, columns * blocks).astype(np.float32),
                  rng.integers(0, 256, columns * -(-blocks * bits // 8), np.uint8))
        names = [f"{word}{bits}" for word in ("codes", "scales", "zeros")]
        inits += [numpy_helper.from_array(a, name) for a, name in zip(arrays, names)]
        nodes.append(helper.make_node("MatMulNBits", [x, *names], [f"y{bits}"], name=f"product{bits}", domain="com.microsoft", K=rows, N=columns,
                                      bits=bits, block_size=block, accuracy_level=4))
        x = f"y{bits}"
    graph = helper.make_graph(nodes, "packed", [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3, k])],
                              [helper.make_tensor_value_info(x, onnx.TensorProto.FLOAT, None)], inits)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("com.microsoft", 1)])
    model.ir_version = 8
    onnx.save(model, path)


def check_blocks(qcc, path, *how):
    """MatMulNBits to DequantizeLinear in blocks and back."""
    with tempfile.TemporaryDirectory() as folder:
        at = lambda name: os.path.join(folder, name + ".onnx")
        if path:
            convert(qcc, path, "auto", at("first"), "-O1", "--nbits-contrib", *how)
        else:
            packed_model(at("first"))
        convert(qcc, at("first"), "qdq", at("there"))
        convert(qcc, at("there"), "auto", at("back"), "--nbits-contrib")
        kinds = lambda name: collections.Counter(n.op_type for n in onnx.load(at(name)).graph.node)
        count, db = kinds("first")["MatMulNBits"], closeness(outputs(at("there")), outputs(at("first")))
        moved = count > 0 and not kinds("there")["MatMulNBits"] and kinds("there")["DequantizeLinear"] == count
        same = network(convert(qcc, at("back"), "qdq", at("again"))) == network(at("there")) and kinds("back")["MatMulNBits"] == count
        print(f"{os.path.basename(path or 'made'):28} {count} MatMulNBits {' '.join(how)}: {'the same again' if same else 'DIFFERS'}, {db:.1f} dB", flush=True)
        return moved and same and db > 60


def check_floats(qcc, path):
    """In f16 everywhere; ONNX Runtime has kernels for bf16 for some models only."""
    ok = True
    with tempfile.TemporaryDirectory() as folder:
        want = outputs(path)
        for kind in ("f16", "bf16"):
            small = os.path.join(folder, kind + ".onnx")
            subprocess.run([qcc, "-q", "-O0", path, "-o", small, "--float", kind], check=True, stderr=subprocess.DEVNULL)
            share = os.path.getsize(small) / os.path.getsize(path)
            try:
                db = closeness(outputs(small), want)
            except ort.capi.onnxruntime_pybind11_state.NotImplemented:
                ok = ok and kind == "bf16"
                print(f"{os.path.basename(path):28} {kind:10} no kernels", flush=True)
                continue
            print(f"{os.path.basename(path):28} {kind:10} {share:.2f} of the size, {db:.1f} dB", flush=True)
            ok = ok and share < 0.65 and db > 20
    return ok


def main():
    qcc, models, names = sys.argv[1], sys.argv[2], sys.argv[3:]
    found = {n: os.path.join(models, m) for n, m in zoo.PATHS.items() if not names or n in names}
    found = {n: p for n, p in found.items() if os.path.exists(p)}
    if not found:
        print("skipped: no models in", models)
        return 77
    results = [check(qcc, p) for p in found.values()] + [check_convolutions(qcc, found[n]) for n in CONVOLUTIONS if n in found]
    results += [check_blocks(qcc, found["kwt1"], "--weights", kind) for kind in ("int4", "uint4") if "kwt1" in found]
    results += [check_blocks(qcc, None)] + [check_floats(qcc, p) for n, p in found.items() if n != "mobilenet_v2_qdq"]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
