#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_types.py QCC MODELS [--calib FOLDER] [--samples N] [NAME...]: every choice of types, here and in ONNX Runtime.

Compiles the models below the folder MODELS with each choice of types, checks that the file has the types, scales and operator set that were
asked for, and runs it in ONNX Runtime and in the built-in runtime (samples FOLDER/NAME.npy, else random ones). The two must agree much better
than either agrees with the float model. Exits 1 when they do not, 77 without models or packages."""
import argparse
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto as T
    from onnx import numpy_helper
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MODELS = {"resnet20": "resnet20_cifar/resnet20.onnx", "mobilenet_v1_025": "mobilenet_v1_025/mobilenet_v1_0.25_224.onnx"}
WIDE = "extends: ort-cpu-avx2\nint8: {static: {default: {activation: {dtype: [uint8, int8, uint16, int16]}}}}\n"
# name: options, type of activations, their zero point (None: any), type of weights, their highest code seen from zero, are scales powers of two?
CHOICES = {
    "default": ([], T.UINT8, None, T.INT8, 127, False),
    "u8 sym": (["--activations", "u8:sym"], T.UINT8, 128, T.INT8, 127, False),
    "s8 sym": (["--activations", "s8:sym"], T.INT8, 0, T.INT8, 127, False),
    "s8 asym": (["--activations", "int8:asym"], T.INT8, None, T.INT8, 127, False),
    "u16": (["--activations", "u16"], T.UINT16, None, T.INT8, 127, False),
    "s16 sym": (["--activations", "s16:sym"], T.INT16, 0, T.INT8, 127, False),
    "weights u8": (["--weights", "u8"], T.UINT8, None, T.UINT8, 127, False),
    "per tensor": (["--per-tensor"], T.UINT8, None, T.INT8, 127, False),
    "7 bits": (["--reduce-range"], T.UINT8, None, T.INT8, 64, False),
    "pow2": (["--pow2"], T.UINT8, None, T.INT8, 127, True),
    "pow2 s8": (["--pow2", "--activations", "s8:sym", "--per-tensor"], T.INT8, 0, T.INT8, 127, True)}
AGREE_DB = 6  # the two runtimes are so much nearer to each other than to the float model


def session(path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def sqnr(want, got):
    want, got = want.astype(np.float64), got.astype(np.float64)
    return 10 * np.log10((np.sum(want**2) + 1e-30) / (np.sum((want - got)**2) + 1e-30))


def is_power(scale):
    return bool(np.all(np.frexp(scale)[0] == 0.5))


def wrong_types(model, choice, per_tensor):
    """What in the file is not as asked; empty: nothing."""
    _, activation, middle, weight, most, pow2 = choice
    value = {t.name: t for t in model.graph.initializer}
    found = []
    for n in model.graph.node:
        if n.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        scale, zero = numpy_helper.to_array(value[n.input[1]]), value[n.input[2]]
        codes = value.get(n.input[0])
        bias = codes is not None and codes.data_type == T.INT32
        if pow2 and not is_power(scale):
            found.append(f"{n.name}: scale {scale.flat[0]} is no power of two")
        if bias:
            continue
        if zero.data_type != (activation if codes is None else weight):
            found.append(f"{n.name}: zero point of type {zero.data_type}")
        zeros = numpy_helper.to_array(zero).astype(np.int64)
        if codes is None and middle is not None and zeros != middle:
            found.append(f"{n.name}: zero point {zeros}")
        if codes is None:
            continue
        reach = np.abs(numpy_helper.to_array(codes).astype(np.int64) - zeros.flat[0]).max()
        if reach > most or np.any(zeros != (128 if weight == T.UINT8 else 0)):
            found.append(f"{n.name}: codes reach {reach} from zero point {zeros.flat[0]}")
        if per_tensor and scale.ndim:
            found.append(f"{n.name}: {scale.size} scales")
    opset = next(o.version for o in model.opset_import if o.domain == "")
    if activation in (T.UINT16, T.INT16) and opset < 21:
        found.append(f"codes of 16 bits in operator set {opset}")
    return found


def here(tool, path, name, x, folder):
    given = os.path.join(folder, "x.npy")
    np.save(given, x)
    out = os.path.join(folder, "out")
    subprocess.run([tool, "run", "-q", "--exact", path, "--in", f"{name}={given}", "--out", out], check=True, stdout=subprocess.DEVNULL)
    return [np.load(os.path.join(out, o.name.replace("/", "_") + ".npy")) for o in onnx.load(path).graph.output]


def samples(args, name, shape):
    path = os.path.join(args.calib or "", f"{name}.npy")
    if args.calib and os.path.exists(path):
        return np.load(path)[:args.samples].astype(np.float32)
    return np.random.default_rng(5).standard_normal([args.samples] + shape[1:]).astype(np.float32)


def check(args, name, folder):
    source = os.path.join(args.models, MODELS[name])
    reference = session(source)
    value = reference.get_inputs()[0]
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in value.shape]
    data = samples(args, name, shape)
    calib, target, path = (os.path.join(folder, f) for f in ("calib.npy", "wide.yaml", "out.onnx"))
    np.save(calib, data)
    with open(target, "w", encoding="ascii") as f:
        f.write(WIDE)
    bad = 0
    for title, choice in CHOICES.items():
        subprocess.run([args.qcc, "-q", "-O2", source, "-o", path, "--calib", calib, "--target", target] + choice[0], check=True)
        wrong = wrong_types(onnx.load(path), choice, "--per-tensor" in choice[0])
        theirs, quality, agreement = session(path), [], []
        for x in data[:4]:
            x = np.ascontiguousarray(x.reshape([1] + shape[1:]))
            ours, ort_out = here(args.qcc, path, value.name, x, folder)[0], theirs.run(None, {value.name: x})[0]
            quality.append(sqnr(reference.run(None, {value.name: x})[0], ours))
            agreement.append(sqnr(ort_out, ours))
        quality, agreement = float(np.median(quality)), float(np.median(agreement))
        # powers of two put many sums exactly between two codes, where float and integer forms of an addition go different ways
        ok = not wrong and agreement >= quality + (0 if choice[5] else AGREE_DB)
        bad += not ok
        print(f"{name:18} {title:11} {quality:6.1f} dB from float, {agreement:6.1f} dB from ONNX Runtime{'' if ok else '  WRONG'}")
        for line in wrong[:5]:
            print(f"    {line}")
    return bad


def main():
    p = argparse.ArgumentParser()
    p.add_argument("qcc")
    p.add_argument("models")
    p.add_argument("names", nargs="*")
    p.add_argument("--calib")
    p.add_argument("--samples", type=int, default=16)
    args = p.parse_intermixed_args()
    names = [n for n in args.names or MODELS if os.path.exists(os.path.join(args.models, MODELS[n]))]
    if not names:
        print("skipped: no models")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        return 1 if sum(check(args, n, folder) for n in names) else 0


if __name__ == "__main__":
    sys.exit(main())
