#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compare_openvino.py QCC MODELS [--calib FOLDER] [--least SHARE] [NAME...]: models for OpenVINO, there and here.

Compiles the models below the folder MODELS for the target openvino, runs them on OpenVINO's CPU plugin (in f32 where it does not compute in
8 bit) and in the built-in runtime, and counts what OpenVINO says it executes in 8 bit. OpenVINO rounds elsewhere between its layers: it may be
up to 3 dB further from the float model than the built-in runtime, and from this one no further than independent errors would be. The share
LEAST of convolutions and products must be in 8 bit. Exits 1 when not so, 77 without models or packages."""
import argparse
import collections
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import openvino
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

MODELS = {"resnet20": "resnet20_cifar/resnet20.onnx", "mobilenet_v2": "mobilenet_v2/mobilenet_v2_1.0_224.onnx"}
WITHIN_DB = 3
PRODUCTS = ("Convolution", "FullyConnected", "MatMul")


def load(path, shape=None):
    core = openvino.Core()
    model = core.read_model(path)
    if shape:
        model.reshape(shape)
    return core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})


def kernels(compiled):
    """How often each kind of layer ran in which kernel."""
    count = collections.Counter()
    for op in compiled.get_runtime_model().get_ops():
        info = op.get_rt_info()
        count[str(info["layerType"].value), str(info["primitiveType"].value)] += 1
    return count


def sqnr(want, got):
    want, got = want.astype(np.float64), got.astype(np.float64)
    return 10 * np.log10((np.sum(want**2) + 1e-30) / (np.sum((want - got)**2) + 1e-30))


def here(args, path, name, x, folder):
    given, out = os.path.join(folder, "x.npy"), os.path.join(folder, "out")
    np.save(given, x)
    subprocess.run([args.qcc, "run", "-q", path, "--in", f"{name}={given}", "--out", out], check=True, stdout=subprocess.DEVNULL)
    return np.load(os.path.join(out, sorted(os.listdir(out))[0]))


def check(args, name, folder):
    source, path, calib = os.path.join(args.models, MODELS[name]), os.path.join(folder, "out.onnx"), os.path.join(folder, "calib.npy")
    reference = load(source)
    value = reference.inputs[0]
    shape = [d.get_length() if d.is_static else 1 for d in value.get_partial_shape()]
    known = os.path.join(args.calib or "", f"{name}.npy")
    data = np.load(known, mmap_mode="r")[:16] if os.path.exists(known) else np.random.default_rng(5).standard_normal([16] + shape[1:])
    np.save(calib, np.asarray(data, np.float32))
    subprocess.run([args.qcc, "-q", "-O2", source, "-o", path, "--calib", calib, "--target", args.target], check=True)
    small = load(path)
    layers = kernels(small)
    products = sum(n for (kind, _), n in layers.items() if kind in PRODUCTS)
    in_8_bit = sum(n for (kind, kernel), n in layers.items() if kind in PRODUCTS and kernel.endswith(("_I8", "_U8", "_i8", "_u8")))
    quality, agreement, theirs_db = [], [], []
    for x in data[:4]:
        x = np.ascontiguousarray(x.reshape(shape), np.float32)
        ours, theirs = here(args, path, value.get_any_name(), x, folder), small(x)[0]
        wanted = reference(x)[0]
        quality.append(sqnr(wanted, ours))
        theirs_db.append(sqnr(wanted, theirs))
        agreement.append(sqnr(theirs, ours))
    quality, agreement, theirs_db = (float(np.median(x)) for x in (quality, agreement, theirs_db))
    ok = min(agreement, theirs_db) > quality - WITHIN_DB and in_8_bit >= args.least * products
    print(f"{name:14} {in_8_bit} of {products} convolutions and products in 8 bit, {quality:.1f} dB from float here, {theirs_db:.1f} there, "
          f"{agreement:.1f} dB between them{'' if ok else '  WRONG'}")
    return not ok


def main():
    p = argparse.ArgumentParser()
    p.add_argument("qcc")
    p.add_argument("models")
    p.add_argument("names", nargs="*")
    p.add_argument("--calib")
    p.add_argument("--least", type=float, default=1)
    p.add_argument("--target", default="openvino")
    args = p.parse_intermixed_args()
    names = [n for n in args.names or MODELS if os.path.exists(os.path.join(args.models, MODELS[n]))]
    if not names:
        print("skipped: no models")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        return 1 if sum(check(args, n, folder) for n in names) else 0


if __name__ == "__main__":
    sys.exit(main())
