# SPDX-License-Identifier: Apache-2.0
"""Load and save every model below a folder and compare with what the onnx package reads from the original.

Equal in meaning: the checker takes both or neither; same header, inputs, outputs, nodes in order with inputs, outputs, attributes and
domains; tensors equal in type, shape and bytes (raw or typed, inside or outside of the file). Models with local functions are only
counted here: their check by execution is functions.py.
usage: compare.py ROUNDTRIP_PROGRAM FOLDER...    exit 1 when a model differs, 77 when there is nothing to compare
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnx import numpy_helper
except ImportError as error:
    print("skipped:", error)
    sys.exit(77)

CHECK_LIMIT = 64 << 20


class Difference(Exception):
    pass


def same(what, a, b):
    if a != b:
        raise Difference(f"{what}: {a!r:.200} became {b!r:.200}")


def tensor_key(t):
    """Everything that a tensor means, its name left out."""
    if t.data_type == onnx.TensorProto.STRING:
        data = tuple(t.string_data)
    elif t.raw_data and t.data_type:
        data = bytes(t.raw_data)
    else:
        data = numpy_helper.to_array(t)
        data = packed(data, t.data_type)
    return t.data_type, tuple(t.dims), data, tuple((p.key, p.value) for p in t.metadata_props), t.doc_string


def packed(array, data_type):
    """Bytes of the raw form."""
    bits = {onnx.TensorProto.UINT4: 4, onnx.TensorProto.INT4: 4, onnx.TensorProto.FLOAT4E2M1: 4}.get(data_type)
    if data_type in (getattr(onnx.TensorProto, "UINT2", -1), getattr(onnx.TensorProto, "INT2", -1)):
        bits = 2
    if not bits:
        return array.tobytes()
    codes = array.view(np.uint8).ravel() & ((1 << bits) - 1)
    out = bytearray((codes.size * bits + 7) // 8)
    for index, code in enumerate(codes):
        out[index * bits // 8] |= int(code) << (index * bits % 8)
    return bytes(out)


def attribute_key(a):
    t = a.type
    kind = onnx.AttributeProto
    if t == kind.TENSOR:
        value = tensor_key(a.t)
    elif t == kind.TENSORS:
        value = [tensor_key(x) for x in a.tensors]
    elif t in (kind.GRAPH, kind.GRAPHS):
        value = None
    elif t == kind.FLOAT:
        value = np.float32(a.f).tobytes()
    elif t == kind.FLOATS:
        value = np.array(a.floats, np.float32).tobytes()
    else:
        value = a.SerializeToString(deterministic=True)
        return a.name, t, value
    return a.name, t, value, a.doc_string


def rename(names, given):
    return [names.get(x, x) for x in given]


def plain(domain):
    return "" if domain == "ai.onnx" else domain


def compare_nodes(a, b, names):
    same("number of nodes", len(a.node), len(b.node))
    for x, y in zip(a.node, b.node):
        where = f"node {x.name or x.op_type}"
        same(where + " operator", (x.op_type, plain(x.domain), x.overload), (y.op_type, plain(y.domain), y.overload))
        same(where + " name", x.name, y.name if y.name == x.name or not y.name.startswith(x.name + "_") else x.name)
        same(where + " inputs", rename(names, x.input), list(y.input))
        for old, new in zip(x.output, y.output):
            if old and old != new:
                names[old] = new
        same(where + " outputs", rename(names, x.output), list(y.output))
        same(where + " doc_string", x.doc_string, y.doc_string)
        same(where + " metadata", [(p.key, p.value) for p in x.metadata_props], [(p.key, p.value) for p in y.metadata_props])
        same(where + " attributes", [attribute_key(p) for p in x.attribute], [attribute_key(p) for p in y.attribute])
        for p, q in zip(x.attribute, y.attribute):
            for g, h in zip(list(p.graphs) + [p.g] * p.HasField("g"), list(q.graphs) + [q.g] * q.HasField("g")):
                compare_graphs(g, h, dict(names), False)


def value_key(v, names):
    return names.get(v.name, v.name), v.type.SerializeToString(deterministic=True), v.doc_string


def in_order(graph):
    seen = set()
    for n in graph.node:
        for x in n.input:
            if x in {o for m in graph.node for o in m.output} and x not in seen:
                return False
        seen.update(n.output)
    return True


def compare_graphs(a, b, names, root):
    for x, y in zip(a.input, b.input):
        names[x.name] = y.name
    consts = {t.name for t in a.initializer}
    for x, y in zip(a.initializer, b.initializer):
        names[x.name] = y.name
    if root:
        same("renamed interface", {k: v for k, v in names.items() if k != v}, {})
    same("inputs", [names[x.name] for x in a.input], [x.name for x in b.input])
    for x, y in zip(a.input, b.input):
        if x.name not in consts:
            same("input type", value_key(x, names), value_key(y, {}))
    same("initializer names", [names[x.name] for x in a.initializer], [x.name for x in b.initializer])
    for x, y in zip(a.initializer, b.initializer):
        same("tensor " + x.name, tensor_key(x), tensor_key(y))
    compare_nodes(a, b, names)
    same("outputs", [names.get(x.name, x.name) for x in a.output], [x.name for x in b.output])
    if root:
        same("outputs", [x.name for x in a.output], [x.name for x in b.output])
    ours = {y.name: y for y in b.output}
    given = {x.name for x in a.input} | consts
    for x in a.output:
        y = ours[names.get(x.name, x.name)]
        if x.name not in given:
            same("output type", value_key(x, names), value_key(y, {}))
    shown = given | {x.name for x in a.output}
    infos = sorted({value_key(x, names) for x in a.value_info if x.name not in shown})
    same("value_info", infos, sorted({value_key(x, {}) for x in b.value_info if x.name not in consts}))
    same("annotations", sorted(x.SerializeToString() for x in a.quantization_annotation), sorted(x.SerializeToString() for x in b.quantization_annotation))
    same("graph name", (a.name, a.doc_string), (b.name, b.doc_string))


def compare_models(a, b):
    for field in ("ir_version", "producer_name", "producer_version", "domain", "model_version", "doc_string"):
        same(field, getattr(a, field), getattr(b, field))
    same("opsets", [(plain(x.domain), x.version) for x in a.opset_import], [(plain(x.domain), x.version) for x in b.opset_import])
    same("metadata", [(x.key, x.value) for x in a.metadata_props], [(x.key, x.value) for x in b.metadata_props])
    compare_graphs(a.graph, b.graph, {}, True)


def checker_takes(path, model):
    try:
        onnx.checker.check_model(path if os.path.getsize(path) < CHECK_LIMIT else model)
        return True
    except Exception:  # noqa: BLE001 - any refusal counts
        return False


def judge(path, out):
    a = onnx.load(path)
    try:
        b = onnx.load(out)
    except Exception as error:  # noqa: BLE001 - what the package raises for a broken file
        raise Difference(f"the copy cannot be read: {error}") from error
    if a.functions:
        return "functions"
    compare_models(a, b)
    if checker_takes(path, a) and not checker_takes(out, b):
        raise Difference("the checker takes the original and refuses the copy")
    return "equal"


def find_models(folders):
    found = []
    for folder in folders:
        for root, _, files in os.walk(folder):
            found += [os.path.join(root, f) for f in files if f.endswith(".onnx")]
    return sorted(found)


def main():
    program, folders = sys.argv[1], sys.argv[2:]
    models = find_models(folders)
    if not models:
        print("skipped: no models below", folders)
        return 77
    counts, bad = {}, 0
    with tempfile.TemporaryDirectory() as tmp:
        outs = [os.path.join(tmp, f"{k}.onnx") for k in range(len(models))]
        lines = "".join(f"{m}\t{o}\n" for m, o in zip(models, outs))
        run = subprocess.run([program, "-l"], input=lines, capture_output=True, text=True, check=False)
        told = dict(reversed(line.split("\t", 1)) for line in run.stdout.splitlines())
        for path, out in zip(models, outs):
            try:
                if told.get(path) != "0":
                    raise Difference(f"roundtrip status {told.get(path, 'none: it died')}")
                verdict = judge(path, out)
            except Difference as difference:
                verdict, bad = "DIFFERENT", bad + 1
                print(f"{path}: {difference}")
            counts[verdict] = counts.get(verdict, 0) + 1
            if os.path.exists(out):
                os.unlink(out)
    print(f"{len(models)} models:", ", ".join(f"{v} {k}" for k, v in sorted(counts.items())))
    if bad and run.stderr:
        print(*[x for x in run.stderr.splitlines() if "warning" not in x][:10], sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
