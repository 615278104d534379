#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_io.py QCC MODELS [--samples N] [NAME...]: models whose inputs and outputs are codes against the same models with floats.

Each model below the folder MODELS is compiled with and without --io-int8, as pairs, as operators on codes and with codes of 16 bits. In ONNX
Runtime and in the built-in runtime both files must give the same numbers, bit for bit, when the caller does what the nodes did: the codes of
its samples in, by the parameters in the file, and the outputs' codes turned back. `qcc check` must predict the kernels of the file with codes,
and `qcc diff` find that its outputs equal those of the other. Exits 1 when something differs, 77 without models or packages."""
import os
import subprocess
import sys

try:
    import numpy as np
    import onnx
    import onnxruntime as ort

    import check_ort
    import two_runtimes
    import zoo
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MODELS = zoo.pick("resnet20", "mobilenet_v2", "mobilenet_v1_025", "squeezenet11", "ds_cnn_s", "vww", "ultraface", "crnn_m")
WIDE = "extends: ort-cpu-avx2\nint8: {static: {default: {activation: {dtype: [uint8, int8, uint16, int16]}}}}\n"
FORMS = {"pairs": ["--format", "qdq"], "operators": ["--format", "qoperator"], "16 bits": ["--activations", "u16", "--format", "qdq"]}


def session(path):
    options = ort.SessionOptions()
    options.log_severity_level = 3
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def meaning(path):
    """(kind, name): scale and zero point, as the file tells."""
    told = {p.key: p.value for p in onnx.load(path).metadata_props}
    found = {}
    for key, value in told.items():
        if key.startswith("qcc.") and key.endswith(".scale"):
            _, kind, name = key[:-len(".scale")].split(".", 2)
            found[kind, name] = np.float32(value), int(told[key[:-len("scale")] + "zero_point"])
    return found


def quantize(x, params, dtype):
    scale, zero = params
    limits = np.iinfo(dtype)
    return np.clip(np.rint(x / scale) + zero, limits.min, limits.max).astype(dtype)


def dequantize(codes, params):
    scale, zero = params
    return (codes.astype(np.int32) - zero).astype(np.float32) * scale


def check_form(args, name, form, folder):
    source, plain, coded, calib, target = os.path.join(args.models, MODELS[name]), *(
        os.path.join(folder, f) for f in ("plain.onnx", "coded.onnx", "calib.npy", "wide.yaml"))
    value = session(source).get_inputs()[0]
    shape = [d if isinstance(d, int) and d > 0 else 1 for d in value.shape]
    data = np.random.default_rng(5).standard_normal([args.samples] + shape[1:]).astype(np.float32)
    np.save(calib, data)
    with open(target, "w", encoding="ascii") as f:
        f.write(WIDE)
    command = [args.qcc, "-q", "-O1", source, "--calib", calib, "--target", target] + FORMS[form]
    plan = os.path.join(folder, "plan.json")
    subprocess.run(command + ["-o", coded, "--io-int8", "--save-plan", plan], check=True)
    subprocess.run(command + ["-o", plain, "--plan", plan], check=True)
    params, wrong = meaning(coded), []
    floats, codes = session(plain), session(coded)
    for x in data[:4]:
        feeds = {value.name: x.reshape([1] + shape[1:])}
        given = {i.name: i for i in codes.get_inputs()}
        coded_feeds = {n: quantize(x, params["input", n], np.dtype(given[n].type[7:-1])) if ("input", n) in params else x for n, x in feeds.items()}
        names = [o.name for o in codes.get_outputs()]
        for runtime, want, got in (("ONNX Runtime", floats.run(None, feeds), codes.run(None, coded_feeds)),
                                   ("built-in", two_runtimes.here(args, plain, value.name, feeds[value.name]),
                                    two_runtimes.here(args, coded, value.name, coded_feeds[value.name]))):
            for n, w, g in zip(names, want, got):
                g = dequantize(g, params["output", n]) if ("output", n) in params else g
                if not np.array_equal(w, g, equal_nan=True):
                    wrong.append(f"{runtime}: output {n} differs by {np.abs(w - g).max()}")
    predicted = check_ort.compare(args.qcc, coded, folder, check_ort.WHOLE)
    if predicted:
        wrong.append(f"not the kernels that qcc check predicts: {predicted}")
    table = subprocess.run([args.qcc, "diff", plain, coded, "--calib", calib, "--samples", "2"], check=True, capture_output=True, text=True).stdout
    outputs = [line.split() for line in table.splitlines() if line.endswith("(output)")]
    if not outputs or any(line[0] != "inf" for line in outputs):
        wrong.append(f"qcc diff: {outputs}")
    as_codes = f"{sum(k == 'input' for k, _ in params)} inputs, {sum(k == 'output' for k, _ in params)} of {len(names)} outputs in codes"
    print(f"{name:18} {form:10} {as_codes}{'  WRONG' if wrong else ''}", flush=True)
    for line in wrong[:5]:
        print(f"    {line}")
    return not wrong and ("input", value.name) in params


def check(args, name, folder):
    return all([check_form(args, name, form, folder) for form in FORMS])


if __name__ == "__main__":
    sys.exit(two_runtimes.main(MODELS, check))
