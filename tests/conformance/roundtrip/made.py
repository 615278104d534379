# SPDX-License-Identifier: Apache-2.0
"""Models made here, loaded and saved, then executed by ONNX Runtime before and after: local functions (nested, with attributes,
defaults, subgraphs, left-out arguments), external data in both directions, every element type as typed and as raw data.
usage: made.py ROUNDTRIP_PROGRAM    exit 1 on a difference, 77 when packages are missing
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

FUNCTIONS = {
    "plain": """
        agraph (float[2,3] x) => (float[2,3] y) { h = my.twice (x)  y = my.twice (h) }
        <domain: "my", opset_import: ["" : 17]>
        twice (a) => (b) { two = Constant <value = float {2.0}> ()  b = Mul (a, two) }""",
    "attributes": """
        agraph (float[2,3] x) => (float[2,3] y) { h = my.elu <al = 0.5> (x)  k = my.elu <al = 2.0, shift = 1.0> (h)  y = my.outer <q = 3.0> (k) }
        <domain: "my", opset_import: ["" : 17]>
        elu <al, shift: float = 0.25> (a) => (b) { s = Constant <value_float: float = @shift> ()  t = Add (a, s)  b = Elu <alpha: float = @al> (t) }
        <domain: "my", opset_import: ["" : 17, "my" : 1]>
        outer <q> (a) => (b) { t = my.elu <al: float = @q> (a)  b = Neg (t) }""",
    "subgraph": """
        agraph (float[2,3] x, bool[] c) => (float[2,3] y) { y = my.choose (c, x) }
        <domain: "my", opset_import: ["" : 17, "my" : 1]>
        choose (c, a) => (b) { n = Neg (a)
          b = If (c) <then_branch = g1 () => (t) { t = my.sq (n) }, else_branch = g2 () => (t) { u = my.sq (a) t = Sub (u, n) }> }
        <domain: "my", opset_import: ["" : 17]>
        sq (a) => (b) { b = Mul (a, a) }""",
    "outputs": """
        agraph (float[2,3] x) => (float[2,3] y, float[2,3] z, float[2,3] same) { y, z, same = my.parts (x) }
        <domain: "my", opset_import: ["" : 17]>
        parts (a) => (p, q, s) { p = Relu (a)  q = Sub (a, p)  s = Identity (a) }""",
    "names": """
        agraph (float[2,3] b) => (float[2,3] t) { a = my.f (b)  x = my.f (a)  t = Add (x, a) }
        <domain: "my", opset_import: ["" : 17]>
        f (x) => (b) { t = Exp (x)  a = Abs (t)  b = Sqrt (a) }""",
}


def run(program, source, out, *flags):
    done = subprocess.run([program, *flags, source, out], capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"roundtrip exit {done.returncode}: {done.stderr.strip()[-300:]}")


def execute(path):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(5)
    feeds = {}
    for i in session.get_inputs():
        shape = [d if isinstance(d, int) else 2 for d in i.shape]
        feeds[i.name] = np.array(True) if i.type == "tensor(bool)" else rng.standard_normal(shape).astype(np.float32)
    return [o.name for o in session.get_outputs()], session.run(None, feeds)


def same_results(source, out):
    (names, a), (others, b) = execute(source), execute(out)
    assert names == others, (names, others)
    for name, x, y in zip(names, a, b):
        assert x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes(), f"output {name} differs"


def check_function(program, folder, name, text):
    source, out = os.path.join(folder, name + ".onnx"), os.path.join(folder, name + ".out.onnx")
    model = onnx.parser.parse_model('<ir_version: 8, opset_import: ["" : 17, "my" : 1]>' + text)
    onnx.save(model, source)
    run(program, source, out)
    saved = onnx.load(out)
    if name != "subgraph":  # the parser leaves the types of branch outputs out, which the checker does not like before either
        onnx.checker.check_model(saved)
    assert not saved.functions and not any(n.domain == "my" for n in saved.graph.node), "calls are left"
    same_results(source, out)


def weights_model():
    rng = np.random.default_rng(1)
    w = [numpy_helper.from_array(rng.standard_normal((64, 64)).astype(np.float32), f"w{k}") for k in range(3)]
    nodes = [helper.make_node("MatMul", [f"h{k}", f"w{k}"], [f"h{k + 1}"]) for k in range(3)]
    f = TensorProto.FLOAT
    graph = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("h0", f, [2, 64])], [helper.make_tensor_value_info("h3", f, [2, 64])], w)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def check_external(program, folder):
    model, inside = weights_model(), os.path.join(folder, "inside.onnx")
    onnx.save(model, inside)
    for one_file in (True, False):
        outside, out = os.path.join(folder, f"outside{one_file}.onnx"), os.path.join(folder, "out.onnx")
        onnx.save(weights_model(), outside, save_as_external_data=True, all_tensors_to_one_file=one_file, location=f"one{one_file}.bin", size_threshold=100)
        run(program, outside, out)
        same_results(inside, out)
    out = os.path.join(folder, "written.onnx")
    run(program, inside, out, "-x")
    assert os.path.getsize(out) < 2000, "the weights are still inside"
    assert [f for f in os.listdir(folder) if f.startswith("written.onnx.") and f.endswith(".data")], "no data file"
    onnx.checker.check_model(out)
    same_results(inside, out)
    for a, b in zip(onnx.load(inside).graph.initializer, onnx.load(out).graph.initializer):
        assert numpy_helper.to_array(a).tobytes() == numpy_helper.to_array(b).tobytes()


def check_types(program, folder):
    source, out, count = os.path.join(folder, "types.onnx"), os.path.join(folder, "types.out.onnx"), 0
    tensors = []
    skipped = {TensorProto.UNDEFINED, TensorProto.STRING}
    for name, code in TensorProto.DataType.items():
        if code in skipped or code > 24:
            continue
        values = [1, 0, 1, 1, 0]
        for raw in (False, True):
            dtype = helper.tensor_dtype_to_np_dtype(code)
            array = np.array(values).astype(dtype)
            t = numpy_helper.from_array(array, f"{name}_{raw}") if raw else helper.make_tensor(f"{name}_{raw}", code, [5], array)
            tensors.append(t)
    tensors.append(helper.make_tensor("text", TensorProto.STRING, [2], [b"a\0b", "\u00e9".encode()]))
    f = TensorProto.FLOAT
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [helper.make_tensor_value_info("x", f, [1])],
                              [helper.make_tensor_value_info("y", f, [1])], tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=12), source)
    run(program, source, out)
    for a, b in zip(tensors, onnx.load(out).graph.initializer):
        x, y = numpy_helper.to_array(a), numpy_helper.to_array(b)
        assert a.data_type == b.data_type and x.shape == y.shape and (x.tolist() == y.tolist() if a.data_type == TensorProto.STRING else x.tobytes() == y.tobytes()), a.name
        count += 1
    return count


def main():
    program, bad = sys.argv[1], 0
    with tempfile.TemporaryDirectory() as folder:
        for name, text in FUNCTIONS.items():
            try:
                check_function(program, folder, name, text)
            except AssertionError as error:
                bad += 1
                print(f"functions, {name}: {error}")
        for what in (check_external, check_types):
            try:
                what(program, folder)
            except AssertionError as error:
                bad += 1
                print(f"{what.__name__}: {error}")
    print(f"{len(FUNCTIONS)} models with functions, external data, types: {bad} bad")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
