#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_exact.py QCC RUN_MODEL MODELS [--calib FOLDER] [--samples N] [--format NAME] [NAME...]: quantized models as integers, here and in ONNX Runtime.

Compiles the models below the folder MODELS with qcc -O1 and -O2 (samples FOLDER/NAME.npy, else random ones), runs them in ONNX Runtime and in
the built-in runtime, exact and saturating, and counts outputs of samples: equal to the bit; equal but for the last bits of floats; different
because a float in front of a QuantizeLinear stood at a tie, or because sums saturated in one of the two; others. Then every operator runs alone
in ONNX Runtime on the inputs that it had here: that must give the same bytes where there are codes, and floats but for their last bits, so that
nothing else can be behind a tie. ONNX Runtime saturates on x86 without VNNI, so the operators are compared with the saturating form there and
with the exact one elsewhere. Exits 1 on others and differing operators, 77 without models or packages."""
import argparse
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    import zoo
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MODELS = zoo.pick("mobilenet_v2", "resnet20", "squeezenet11", "ds_cnn_s", "vww", "mobilenet_v1_025", "ultraface", "kwt1", "yolox_nano",
                  "mobilenet_v2_qdq")
MOVES = ("MaxPool", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Expand", "Slice", "Tile", "Gather", "Split", "Concat",
         "Identity", "Shape", "Resize")
FLOATS = 1e-5  # of the span of an output


def session(model):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if not isinstance(model, str):  # one node, as it is
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        model = model.SerializeToString()
    return ort.InferenceSession(model, options)


def saturates():
    with open("/proc/cpuinfo", encoding="ascii") as f:
        flags = f.read()
    return "avx2" in flags and "vnni" not in flags


def run_here(tool, path, mode, feeds, count):
    with tempfile.TemporaryDirectory() as folder:
        files = []
        for name, x in feeds.items():
            files.append(os.path.join(folder, f"{len(files)}.pb"))
            with open(files[-1], "wb") as f:
                f.write(numpy_helper.from_array(x, name).SerializeToString())
        subprocess.run([tool, path, "-o", folder, "-e", mode] + files, check=True, stdout=subprocess.DEVNULL)
        return [np.load(os.path.join(folder, f"{i}.npy")) for i in range(count)]


def samples(args, name, value):
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in value.shape]
    path = os.path.join(args.calib or "", f"{name}.npy")
    if args.calib and os.path.exists(path):
        data = np.load(path, mmap_mode="r")
        return [np.ascontiguousarray(data[i:i + 1]).reshape(shape).astype(np.float32) for i in range(min(args.samples, len(data)))]
    rng = np.random.default_rng(5)
    return [rng.standard_normal(shape).astype(np.float32) for _ in range(args.samples)]


def has_float_arithmetic(model):
    """Does any operator round floats before the model's last codes?"""
    coded = {i for n in model.graph.node for i in n.input if n.op_type == "QuantizeLinear"}
    made = {y: n for n in model.graph.node for y in n.output}
    return any(made[x].op_type not in MOVES + ("DequantizeLinear",) for x in coded if x in made) or any(
        n.op_type == "DynamicQuantizeLinear" for n in model.graph.node)


def verdict(got, want, floats_before):
    worst = 0.0
    for a, b in zip(got, want):
        span = float(np.abs(b.astype(np.float64)).max()) or 1.0
        worst = max(worst, float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max()) / span)
    return "equal" if worst == 0 else "float" if worst <= FLOATS else "ties" if floats_before else "others"


def all_visible(model, folder):
    """The model with every tensor as an output."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    have = {o.name for o in wide.graph.output}
    for n in wide.graph.node:
        wide.graph.output.extend(onnx.ValueInfoProto(name=y) for y in n.output if y and y not in have)
    types = {o.name: o for o in session(wide).get_outputs()}
    kinds = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "float": TensorProto.FLOAT, "int32": TensorProto.INT32,
             "int64": TensorProto.INT64, "bool": TensorProto.BOOL, "uint16": TensorProto.UINT16, "int16": TensorProto.INT16}
    for o in wide.graph.output:
        o.type.tensor_type.elem_type = kinds[types[o.name].type[7:-1]]
    path = os.path.join(folder, "wide.onnx")
    onnx.save(wide, path)
    return path, [o.name for o in wide.graph.output]


def alone(model, node, known):
    """The node on these inputs in ONNX Runtime."""
    given = [i for i in node.input if i and i in known]
    one = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    one.graph.name = "one"
    one.graph.node.append(node)
    one.graph.initializer.extend(t for t in model.graph.initializer if t.name in node.input)
    one.graph.input.extend(helper.make_tensor_value_info(i, helper.np_dtype_to_tensor_dtype(known[i].dtype), known[i].shape) for i in dict.fromkeys(given))
    one.graph.output.extend(onnx.ValueInfoProto(name=y) for y in node.output if y)
    return session(one).run(None, {i: known[i] for i in given})


def close(got, want):
    if got.dtype != want.dtype or got.shape != want.shape:
        return False
    return verdict([got], [want], False) in ("equal", "float")


def differing_operators(args, model, mode, x, folder):
    """Every operator alone: those that do not give the same, to the byte where there are codes, else but for the last bits of floats."""
    path, names = all_visible(model, folder)
    name = model.graph.input[0].name
    known = dict(zip(names, run_here(args.run_model, path, mode, {name: x}, len(names))))
    known[name] = x
    small = (np.uint8, np.int8, np.uint16, np.int16)
    count, bad = 0, []
    for n in model.graph.node:
        coded = any(i in known and known[i].dtype in small for i in list(n.input) + list(n.output))
        if n.op_type == "DynamicQuantizeLinear" or not any(i in known for i in n.input):
            continue
        count += 1
        for y, want in zip([o for o in n.output if o], alone(model, n, known)):
            if not close(known[y], want) or (coded and known[y].tobytes() != want.tobytes()):
                bad.append(f"{n.name} ({n.op_type})")
    return count, bad


def compare(args, name, level, path):
    with tempfile.TemporaryDirectory() as folder:
        small, coded = os.path.join(folder, "small.onnx"), os.path.join(folder, "coded.onnx")
        calib = os.path.join(args.calib or "", f"{name}.npy")
        form = ["--prefer", "size", "--format", args.format]
        options = ["--calib", calib, "--samples", "40"] if args.calib and os.path.exists(calib) else []
        if level:
            subprocess.run([args.qcc, "-q", f"-O{level}", path, "-o", small] + options + form, check=True, stderr=subprocess.DEVNULL)
        elif args.format != "auto":
            subprocess.run([args.qcc, "-q", path, "-o", small] + form, check=True, stderr=subprocess.DEVNULL)
        else:
            small = path
        subprocess.run([args.qcc, "opt", small, "--passes=@qlinear", "-o", coded], check=True, stdout=subprocess.DEVNULL)
        model, judge = onnx.load(coded), session(small)
        value, floats = judge.get_inputs()[0], has_float_arithmetic(onnx.load(coded))
        kinds = ("equal", "float", "ties", "saturation", "others")
        found = {m: dict.fromkeys(kinds, 0) for m in ("exact", "saturating")}
        inputs = samples(args, name, value)
        for x in inputs:
            want = judge.run(None, {value.name: x})
            seen = {m: verdict(run_here(args.run_model, small, m, {value.name: x}, len(want)), want, floats) for m in found}
            for m, other in (("exact", "saturating"), ("saturating", "exact")):
                found[m]["saturation" if seen[m] == "others" and seen[other] != "others" else seen[m]] += 1
        mode = "saturating" if saturates() else "exact"
        count, bad = differing_operators(args, model, mode, inputs[0], folder)
        label = f"{name} -O{level}" if level else name
        for m, counts in found.items():
            print(f"{label:22} {m:10} " + " ".join(f"{k} {v}" for k, v in counts.items()), flush=True)
        print(f"{label:22} operators  {count}, differing {len(bad)} {bad[:3] if bad else ''}", flush=True)
        return not bad and not any(counts["others"] for counts in found.values()) and not found[mode]["saturation"]


def read_tensor(path):
    with open(path, "rb") as f:
        return numpy_helper.to_array(onnx.TensorProto.FromString(f.read()))


def stored(args, name, path):
    """The vector beside the model, from a processor whose sums do not saturate, is met exactly."""
    folder = os.path.dirname(path)
    model = onnx.load(path, load_external_data=False)
    want = read_tensor(os.path.join(folder, "output_0.pb"))
    got = run_here(args.run_model, path, "exact", {model.graph.input[0].name: read_tensor(os.path.join(folder, "input_0.pb"))}, 1)[0]
    print(f"{name:22} stored     {'equal' if np.array_equal(got, want) else 'differs'}", flush=True)
    return np.array_equal(got, want)


def main():
    parser = argparse.ArgumentParser()
    for positional in ("qcc", "run_model", "models"):
        parser.add_argument(positional)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--calib")
    parser.add_argument("--format", default="auto")
    parser.add_argument("--samples", type=int, default=8)
    args = parser.parse_intermixed_args()
    ok, seen = True, False
    for name in args.names or MODELS:
        path = os.path.join(args.models, MODELS[name])
        if not os.path.exists(path):
            continue
        seen = True
        if name == "mobilenet_v2_qdq":
            ok = stored(args, name, path) and ok
        for level in (0,) if name.endswith("_qdq") else (1, 2):
            ok = compare(args, name, level, path) and ok
    if not seen:
        print("skipped: no models in", args.models)
        return 77
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
