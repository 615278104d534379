#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_types.py QCC RUN_MODEL MODELS [--calib FOLDER] [--samples N] [NAME...]: every choice of types, here and in ONNX Runtime.

Compiles the models below the folder MODELS with each choice of types, checks that the file has the types, scales and operator set that were
asked for, and runs it in ONNX Runtime and in the built-in runtime (samples FOLDER/NAME.npy, else random ones). Where all arithmetic is on codes
they must give the same. With symmetric codes Relu keeps its convolution in float; sums of floats differ in their last bits, powers of two put
many of them on ties, and whole codes differ behind. There every operator alone must give in ONNX Runtime what it gives here: the same bytes
where there are codes, floats to FLOATS of their span. Exits 1 when not so, 77 without models or packages."""
import os
import subprocess
import sys

try:
    import numpy as np
    import onnx
    from onnx import TensorProto as T
    from onnx import numpy_helper

    import compare_exact
    import two_runtimes
    from two_runtimes import sqnr
    import zoo
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MODELS = zoo.pick("resnet20", "mobilenet_v1_025")
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
    "weights f8e4m3": (["--weights", "f8e4m3"], None, None, T.FLOAT8E4M3FN, 448, False),
    "weights f8e5m2": (["--weights", "f8e5m2", "--per-tensor"], None, None, T.FLOAT8E5M2, 57344, False),
    "f8 pow2": (["--weights", "f8e4m3", "--pow2"], None, None, T.FLOAT8E4M3FN, 448, True),
    "per tensor": (["--per-tensor"], T.UINT8, None, T.INT8, 127, False),
    "7 bits": (["--reduce-range"], T.UINT8, None, T.INT8, 64, False),
    "pow2": (["--pow2"], T.UINT8, None, T.INT8, 127, True),
    "pow2 s8": (["--pow2", "--activations", "s8:sym", "--per-tensor"], T.INT8, 0, T.INT8, 127, True)}
FLOATS = (T.FLOAT8E4M3FN, T.FLOAT8E5M2)
EQUAL_DB = 60  # floats behind the last codes


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
        zeros = numpy_helper.to_array(zero).astype(np.float64)
        if codes is None and middle is not None and zeros != middle:
            found.append(f"{n.name}: zero point {zeros}")
        if codes is None:
            continue
        reach = np.abs(numpy_helper.to_array(codes).astype(np.float64) - zeros.flat[0]).max()
        if weight in FLOATS and reach < most / 2:
            found.append(f"{n.name}: numbers up to {reach}, of {most}")
        if reach > most or np.any(zeros != (128 if weight == T.UINT8 else 0)):
            found.append(f"{n.name}: codes reach {reach} from zero point {zeros.flat[0]}")
        if per_tensor and scale.ndim:
            found.append(f"{n.name}: {scale.size} scales")
    opset = next(o.version for o in model.opset_import if o.domain == "")
    if activation in (T.UINT16, T.INT16) and opset < 21:
        found.append(f"codes of 16 bits in operator set {opset}")
    if weight in FLOATS and opset < 19:
        found.append(f"floats of 8 bits in operator set {opset}")
    return found


def operators(args, path, x, folder):
    """Does any operator round floats before the last codes? And those that alone do not give here what they give in ONNX Runtime."""
    coded = os.path.join(folder, "coded.onnx")
    subprocess.run([args.qcc, "opt", path, "--passes=@qlinear", "-o", coded], check=True, stdout=subprocess.DEVNULL)
    model = onnx.load(coded)
    mode = "saturating" if compare_exact.saturates() else "exact"
    return compare_exact.has_float_arithmetic(model), compare_exact.differing_operators(args, model, mode, x, folder)[1]


def check(args, name, folder):
    source = os.path.join(args.models, MODELS[name])
    reference = compare_exact.session(source)
    value = reference.get_inputs()[0]
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in value.shape]
    data = two_runtimes.samples(args, name, shape)
    target, path = (os.path.join(folder, f) for f in ("wide.yaml", "out.onnx"))
    with open(target, "w", encoding="ascii") as f:
        f.write(WIDE)
    bad = 0
    for title, choice in CHOICES.items():
        two_runtimes.compiled(args, source, data, path, "--target", target, *choice[0])
        wrong = wrong_types(onnx.load(path), choice, "--per-tensor" in choice[0])
        inputs = [np.ascontiguousarray(x.reshape([1] + shape[1:])) for x in data[:4]]
        theirs, quality, agreement = compare_exact.session(path), [], []
        for x in inputs:
            ours = two_runtimes.here(args, path, value.name, x, "--exact")[0]
            quality.append(sqnr(reference.run(None, {value.name: x})[0], ours))
            agreement.append(sqnr(theirs.run(None, {value.name: x})[0], ours))
        quality, agreement = float(np.median(quality)), float(np.median(agreement))
        floats, differing = operators(args, path, inputs[0], folder)
        wrong += [f"{d} differs" for d in differing]
        ok = not wrong and agreement >= (quality if floats else EQUAL_DB)
        bad += not ok
        print(f"{name:18} {title:14} {quality:6.1f} dB from float, {agreement:6.1f} dB from ONNX Runtime{', with float arithmetic' if floats else ''}"
              f"{'' if ok else '  WRONG'}", flush=True)
        for line in wrong[:5]:
            print(f"    {line}")
    return not bad


if __name__ == "__main__":
    sys.exit(two_runtimes.main(MODELS, check, run_model=None))
