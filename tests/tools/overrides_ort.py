# SPDX-License-Identifier: Apache-2.0
"""Parameters travel: what qcc saves as TensorQuantOverrides is what its file holds, what qcc takes back and what ONNX Runtime's
quantize_static takes; parameters that somebody changed are what the written file holds.

overrides_ort.py QCC MODELS MODEL..."""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

SAMPLES = 8


class Samples(CalibrationDataReader):
    def __init__(self, name, array):
        self.left = iter([{name: x[None]} for x in array])

    def get_next(self):
        return next(self.left, None)


def held(path, behind):
    """Scale and zero point by tensor. `behind` names the Relu or Clip behind a tensor: the file leaves out what the grid does anyway."""
    graph = onnx.load(path).graph
    constants = {i.name: numpy_helper.to_array(i) for i in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear") or node.input[1] not in constants:
            continue
        pair = (np.atleast_1d(constants[node.input[1]]), np.atleast_1d(constants[node.input[2]]))
        if node.op_type == "QuantizeLinear":
            found[node.name.removesuffix("_QuantizeLinear")] = pair
            found.setdefault(behind.get(node.input[0]), pair)
        elif node.input[0] in constants:
            found[node.input[0].removesuffix("_quantized")] = pair
    return found


def compare(what, overrides, found):
    """Every tensor of the overrides that the file quantizes has the same bits; most of them must be there."""
    seen = 0
    for name, items in overrides.items():
        if name not in found:
            continue
        seen += 1
        scale, zero = found[name]
        assert np.array_equal(np.array([i["scale"] for i in items], np.float32), scale), f"{what}: scale of {name}"
        assert np.array_equal([i["zero_point"] for i in items], zero.astype(int)), f"{what}: zero point of {name}"
    assert seen == len(overrides), f"{what}: {sorted(set(overrides) - set(found))} are not there"
    return seen


def activations(path):
    """From the input of each Relu and Clip to its output."""
    return {n.input[0]: n.output[0] for n in onnx.load(path).graph.node if n.op_type in ("Relu", "Clip")}


def followers(path, overrides):
    """Outputs of pools and operators that move codes: ONNX Runtime gives them the parameters of their input, whatever their own override says."""
    movers = ("Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "MaxPool", "AveragePool", "Resize", "Split", "Slice", "Gather")
    left_out = set()
    for n in onnx.load(path).graph.node:
        if n.op_type in movers:
            left_out |= {o for o in n.output if n.input[0] in left_out or overrides.get(n.input[0]) != overrides.get(o)}
    return left_out


def for_ort(overrides):
    """Python's objects for the words of the JSON; numbers as arrays, which is what ONNX Runtime computes with."""
    converted = {}
    for name, items in overrides.items():
        kind = QuantType.from_string(items[0]["quant_type"])
        number = {QuantType.QInt8: np.int8, QuantType.QUInt8: np.uint8}[kind]
        converted[name] = [dict(item, scale=np.array(item["scale"], np.float32), zero_point=np.array(item["zero_point"], number)) for item in items]
        converted[name][0]["quant_type"] = kind
    return converted


def run(qcc, *args):
    subprocess.run([qcc, "-q", "--prefer", "size", *map(str, args)], check=True, stderr=subprocess.DEVNULL)


def one_model(qcc, source, folder):
    session = onnx.load(source).graph.input[0]
    shape = [d.dim_value or 1 for d in session.type.tensor_type.shape.dim][1:]
    samples = np.random.default_rng(1).normal(size=(SAMPLES, *shape)).astype(np.float32)
    np.save(folder / "calib.npy", samples)
    prepared, calib = folder / "prepared.onnx", ["--calib", folder / "calib.npy"]
    subprocess.run([qcc, "opt", str(source), "--passes=@prepare", "-o", str(prepared)], check=True, stdout=subprocess.DEVNULL)
    out = {k: folder / f"{k}.json" for k in ("first", "again", "encodings", "encodings_again", "through", "changed", "kept")}
    run(qcc, "-O2", prepared, "-o", folder / "first.onnx", *calib, "--save-overrides", out["first"], "--save-encodings", out["encodings"])
    overrides = json.loads(out["first"].read_text())
    relus = activations(prepared)
    count = compare("own file", overrides, held(folder / "first.onnx", relus))

    run(qcc, "-O2", prepared, "-o", folder / "again.onnx", *calib, "--overrides", out["first"], "--save-overrides", out["again"])
    assert out["first"].read_bytes() == out["again"].read_bytes(), "overrides change on their way through"
    run(qcc, "-O2", prepared, "-o", folder / "through.onnx", *calib, "--encodings", out["encodings"],
        "--save-overrides", out["through"], "--save-encodings", out["encodings_again"])
    assert out["encodings"].read_bytes() == out["encodings_again"].read_bytes(), "encodings change on their way through"
    assert out["first"].read_bytes() == out["through"].read_bytes(), "encodings lose something"

    quantize_static(str(prepared), str(folder / "ort.onnx"), Samples(session.name, samples), quant_format=QuantFormat.QDQ,
                    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
                    extra_options={"TensorQuantOverrides": for_ort(overrides)})
    left_out = followers(prepared, overrides)
    there = compare("ONNX Runtime's file", {k: v for k, v in overrides.items() if k not in left_out}, held(folder / "ort.onnx", relus))

    for items in overrides.values():  # another grid for every tensor
        for item in items:
            item["scale"] = float(np.float32(item["scale"] * 1.25))
    out["changed"].write_text(json.dumps(overrides))
    run(qcc, "-O2", prepared, "-o", folder / "changed.onnx", *calib, "--overrides", out["changed"], "--save-overrides", out["kept"])
    compare("changed parameters", json.loads(out["kept"].read_text()), held(folder / "changed.onnx", relus))
    kept = json.loads(out["kept"].read_text())
    for name, items in kept.items():
        assert np.array_equal(np.float32([i["scale"] for i in items]), np.float32([i["scale"] for i in overrides[name]])), name
    return count, there


def main():
    qcc, models = sys.argv[1], Path(sys.argv[2])
    found = [p for name in sys.argv[3:] for p in sorted(models.rglob(f"{name}*.onnx"))]
    if not found:
        print("skipped: no models")
        sys.exit(77)
    for source in found:
        with tempfile.TemporaryDirectory() as folder:
            count, there = one_model(qcc, source, Path(folder))
            print(f"{source.name}: {count} tensors have their parameters in the file, {there} in that of ONNX Runtime", flush=True)


main()
