#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""runtime_ort.py QCC MODEL: `qcc run --runtime` gives what onnxruntime gives from Python, and the built-in runtime agrees with both.

Also: a file that is no library, a library that is none of ONNX Runtime, and a model that it refuses end with their exit codes and one line.
Exits 77 without the packages."""
import glob
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

QCC, MODEL = sys.argv[1:3]
LIBRARY = glob.glob(os.path.join(os.path.dirname(ort.__file__), "capi", "libonnxruntime.so*"))


def qcc_run(folder, model, feeds, *options):
    """Exit code, messages, outputs in the order of the model."""
    given = []
    for name, x in feeds.items():
        np.save(os.path.join(folder, f"{len(given)}.npy"), x)
        given += ["--in", f"{name}={os.path.join(folder, f'{len(given)}.npy')}"]
    out = os.path.join(folder, "out")
    done = subprocess.run([QCC, "run", model, *given, "--out", out, *options], capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.strip(), [np.load(path) for path in done.stdout.split()]


def check(condition, text):
    if not condition:
        sys.exit(text)


def outputs_agree(folder):
    session = ort.InferenceSession(MODEL)
    rng = np.random.default_rng(7)
    feeds = {i.name: rng.standard_normal([d if isinstance(d, int) else 2 for d in i.shape]).astype(np.float32) for i in session.get_inputs()}
    expected = session.run(None, feeds)
    for options, close in ((["--runtime", LIBRARY[0]], 1e-6), ([], 1e-4)):
        code, said, got = qcc_run(folder, MODEL, feeds, *options)
        check(code == 0 and len(got) == len(expected), f"{options}: exit {code}: {said}")
        for e, g in zip(expected, got):
            worst = np.max(np.abs(e - g)) / (np.ptp(e) + 1e-9)
            check(g.shape == e.shape and worst <= close, f"{options}: {g.shape} for {e.shape}, off by {worst:.2g} of the range")


def profile_names_kernels():
    done = subprocess.run([QCC, "run", MODEL, "--runtime", LIBRARY[0], "--profile", "--repeat", "3"], capture_output=True, text=True, check=False)
    kernels = {line.split()[6] for line in done.stdout.splitlines() if line[:1] == " " and len(line.split()) > 6}
    check(done.returncode == 0 and "Conv" in kernels and "3 samples" in done.stdout, f"--profile: exit {done.returncode}, kernels {kernels}")


def failures_are_told(folder):
    x = {"x": np.ones((2, 3), np.float32)}
    node = helper.make_node("NoSuchOperator", ["x"], ["y"], domain="nowhere")
    types = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, 3]) for n in "xy"]
    graph = helper.make_graph([node], "g", types[:1], types[1:])
    strange = os.path.join(folder, "strange.onnx")
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13), helper.make_opsetid("nowhere", 1)], ir_version=8), strange)
    text = os.path.join(folder, "text.so")
    with open(text, "w", encoding="ascii") as f:
        f.write("no library\n")
    for library, code in ((text, 2), ("libm.so.6", 2), (LIBRARY[0], 4)):
        got, said, _ = qcc_run(folder, strange, x, "--runtime", library)
        check(got == code and said.count("error[") == 1, f"{library}: exit {got}, not {code}: {said}")


def main():
    check(LIBRARY, "onnxruntime has no C library in this package")
    with tempfile.TemporaryDirectory() as folder:
        outputs_agree(folder)
        failures_are_told(folder)
    profile_names_kernels()
    print(f"1 passed, 0 failed: {os.path.basename(LIBRARY[0])}")


main()
