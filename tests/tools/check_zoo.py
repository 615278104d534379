#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""check_zoo.py QCC FOLDER [-k PATTERN] [--keep DIR]: `qcc check` against what ONNX Runtime makes of real networks in every quantized form.

Each model below FOLDER is quantized by qcc (static Q/DQ, operators on codes, run-time ranges, weights only, blocks) and by the tools of ONNX Runtime
(Q/DQ u8s8 and s8s8, per channel and per tensor, operators on codes, dynamic), and compared as check_ort.py does. Compared are operators that
compute on codes or convert, and the float ones with weights; at the level "all", where changed layouts move conversions, those that compute. Exits 77 without the packages or the models."""
import argparse
import glob
import os
import re
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    import check_ort
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

FORMS = [("u8s8", QuantFormat.QDQ, QuantType.QUInt8, True), ("u8s8 per tensor", QuantFormat.QDQ, QuantType.QUInt8, False),
         ("s8s8", QuantFormat.QDQ, QuantType.QInt8, True), ("operators", QuantFormat.QOperator, QuantType.QUInt8, False)]


def inputs_of(model):
    given = {i.name for i in model.graph.initializer}
    for value in model.graph.input:
        if value.name not in given:
            dims = [d.dim_value or 1 for d in value.type.tensor_type.shape.dim]
            yield value.name, dims, onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)


def sample_of(model):
    rng = np.random.default_rng(1)
    return {n: (rng.standard_normal(d) if np.dtype(t).kind == "f" else np.ones(d)).astype(t) for n, d, t in inputs_of(model)}


class Samples(CalibrationDataReader):
    def __init__(self, model):
        self.left = [sample_of(model)]

    def get_next(self):
        return self.left.pop() if self.left else None


def by_qcc(qcc, path, folder):
    """Name and file of each form that qcc makes."""
    model = onnx.load(path)
    calib = os.path.join(folder, "calib.npz")
    np.savez(calib, **{n: x[None] for n, x in sample_of(model).items()})
    made = {}
    for name, arguments in (("qcc -O1", ["-O1"]), ("qcc static", ["-O1", "--calib", calib]), ("qcc -O2", ["-O2", "--calib", calib]),
                            ("qcc dynamic", ["-O1", "--dynamic"]), ("qcc operators", ["-O1", "--calib", calib, "--format", "qoperator"]),
                            ("qcc integer", ["-O1", "--format", "integer"]), ("qcc int4", ["-O1", "--weights", "int4"]),
                            ("qcc int4 packed", ["-O1", "--weights", "int4", "--nbits-contrib"]),
                            ("qcc for ARM", ["-O1", "--calib", calib, "--target", "ort-arm"])):
        out = made[name] = os.path.join(folder, f"{name}.onnx")
        done = subprocess.run([qcc, "-q", path, *arguments, "-o", out], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            yield name, out
        else:
            print(f"not made: {name}: {done.stderr.strip().splitlines()[-1:]}")
    for name, source in (("qcc @qlinear", made["qcc static"]), ("qcc -O1 @qlinear", made["qcc -O1"])):
        out = source + ".codes.onnx"
        if os.path.exists(source) and subprocess.run([qcc, "opt", source, "--passes=@qlinear", "-o", out], capture_output=True, check=False).returncode == 0:
            yield name, out


def by_peer(path, folder):
    model = onnx.load(path)
    source = os.path.join(folder, "source.onnx")
    standard = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    try:
        onnx.save(onnx.version_converter.convert_version(model, 13) if standard < 13 else model, source)
        quant_pre_process(source, source, skip_symbolic_shape=True)
    except Exception as refused:
        print(f"not made: the peer refuses: {str(refused)[:80]}")
        return
    for name, form, activation, per_channel in FORMS:
        out = os.path.join(folder, f"{name}.onnx")
        try:
            quantize_static(source, out, Samples(onnx.load(source)), quant_format=form, per_channel=per_channel, activation_type=activation,
                            weight_type=QuantType.QInt8)
            yield f"peer {name}", out
        except Exception as refused:
            print(f"not made: peer {name}: {str(refused)[:80]}")
    for name, weight in (("s8", QuantType.QInt8), ("u8", QuantType.QUInt8)):
        out = os.path.join(folder, f"dynamic {name}.onnx")
        try:
            quantize_dynamic(source, out, weight_type=weight)
            yield f"peer dynamic {name}", out
        except Exception as refused:
            print(f"not made: peer dynamic {name}: {str(refused)[:80]}")


def forms(qcc, path, folder):
    yield "as it is", path
    yield from by_qcc(qcc, path, folder)
    yield from by_peer(path, folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("qcc")
    parser.add_argument("folder")
    parser.add_argument("-k", default="", help="only models whose path matches this expression")
    parser.add_argument("--keep", help="leave the quantized models below this folder")
    args = parser.parse_args()
    models = [p for p in sorted(glob.glob(os.path.join(args.folder, "**", "*.onnx"), recursive=True)) if re.search(args.k, p)]
    if not models:
        print("skipped: no models")
        sys.exit(77)
    equal = wrong = refused = 0
    for path in models:
        with tempfile.TemporaryDirectory() as scratch:
            name = os.path.splitext(os.path.basename(path))[0]
            folder = os.path.join(args.keep, name) if args.keep else scratch
            os.makedirs(folder, exist_ok=True)
            for form, file in forms(args.qcc, path, folder):
                differences = check_ort.compare(args.qcc, file, scratch, check_ort.WHOLE)
                equal += differences == {}
                wrong += bool(differences)
                refused += differences is None
                if differences != {}:
                    print(f"{'refused' if differences is None else 'FAIL'} {name}, {form}: {differences}", flush=True)
    print(f"{equal} models as predicted, {wrong} not, {refused} refused by ONNX Runtime")
    sys.exit(bool(wrong or not equal))


if __name__ == "__main__":
    main()
