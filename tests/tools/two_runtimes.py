# SPDX-License-Identifier: Apache-2.0
"""What scripts share that compile networks and run them here and in another runtime: arguments, samples, our side, distances."""
import argparse
import os
import subprocess
import tempfile

import numpy as np
import onnx


def sqnr(want, got):
    want, got = want.astype(np.float64), got.astype(np.float64)
    return 10 * np.log10((np.sum(want**2) + 1e-30) / (np.sum((want - got)**2) + 1e-30))


def samples(args, name, shape):
    """FOLDER/NAME.npy of --calib, else random ones, one sample a row; `shape` is that of the model's input."""
    path = os.path.join(args.calib or "", f"{name}.npy")
    if args.calib and os.path.exists(path):
        return np.array(np.load(path, mmap_mode="r")[:args.samples], np.float32)
    return np.random.default_rng(5).standard_normal([args.samples] + shape[1:]).astype(np.float32)


def compiled(args, source, data, path, *options):
    """In 8 bit wherever the target has kernels."""
    calib = path + ".npy"
    np.save(calib, data)
    subprocess.run([args.qcc, "-q", "-O2", source, "-o", path, "--calib", calib, "--prefer", "size", *options], check=True)


def here(args, path, name, x, *how):
    """The outputs of the built-in runtime."""
    with tempfile.TemporaryDirectory() as folder:
        given = os.path.join(folder, "x.npy")
        np.save(given, x)
        subprocess.run([args.qcc, "run", "-q", *how, path, "--in", f"{name}={given}", "--out", folder], check=True, stdout=subprocess.DEVNULL)
        return [np.load(os.path.join(folder, o.name.replace("/", "_") + ".npy")) for o in onnx.load(path).graph.output]


def main(models, check, **more):
    """Calls check(args, name, folder), true when all is well, for the models that are there; `more`: positional arguments and options, by type."""
    p = argparse.ArgumentParser()
    p.add_argument("qcc")
    for option, default in more.items():
        p.add_argument(option if default is None else f"--{option}", **({} if default is None else {"type": type(default), "default": default}))
    p.add_argument("models")
    p.add_argument("names", nargs="*")
    p.add_argument("--calib")
    p.add_argument("--samples", type=int, default=16)
    args = p.parse_intermixed_args()
    names = [n for n in args.names or models if os.path.exists(os.path.join(args.models, models[n]))]
    if not names:
        print("skipped: no models")
        return 77
    with tempfile.TemporaryDirectory() as folder:
        return 0 if all([check(args, n, folder) for n in names]) else 1
